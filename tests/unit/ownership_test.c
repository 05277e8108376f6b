/* SPDX-License-Identifier: MIT */
#include "shardd/ownership.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/unit/sample_map.h"

#define ME 1

static struct bootstrap pusher = {.instance = "instance of one", .term = 1};

static struct ownership nobody(void)
{
    struct ownership ownership = {.incarnation = 1};
    sample_id(ME, ownership.server);
    return ownership;
}

/* Takes and frees `map`; false when nothing changed. */
static bool take(struct ownership *ownership, struct map map)
{
    struct ownership next;
    bool took = ownership_take(ownership, &map, &pusher, &next) == OWNERSHIP_CHANGED;
    map_fini(&map);
    if (took) {
        ownership_fini(ownership);
        *ownership = next;
    }
    return took;
}

static enum status judge(const struct ownership *ownership, uint64_t bound)
{
    const struct map_entry *entry;
    return ownership_judge(ownership, point_of_bound(bound), &entry);
}

struct owned {
    uint64_t start, end;
    uint64_t limit;
};

static void assert_ranges(const struct ownership *ownership, const struct owned *ranges,
                          uint32_t count)
{
    assert_int_equal(ownership->range_count, count);
    const struct range *owned = ownership->ranges;
    for (uint32_t i = 0; owned && i < count; i++) {
        assert_int_equal(owned[i].start, ranges[i].start);
        assert_int_equal(owned[i].end, ranges[i].end);
        assert_int_equal(owned[i].limit, ranges[i].limit);
    }
}

#define ASSERT_RANGES(ownership, ...)                                                              \
    assert_ranges(ownership, (const struct owned[]){__VA_ARGS__},                                  \
                  sizeof((const struct owned[]){__VA_ARGS__}) / sizeof(struct owned))

#define MIB (1 << 20)

static void without_a_map_requests_are_told_to_wait(void **state)
{
    (void)state;
    struct ownership own = nobody();
    assert_int_equal(judge(&own, 0), STATUS_TRY_LATER);
    assert_string_equal(ownership_state(&own), "no map");
    assert_int_equal(ownership_epoch(&own), 0);
}

static void a_new_entry_is_opened_and_a_strange_one_is_not(void **state)
{
    (void)state;
    struct ownership own = nobody();
    assert_true(take(
        &own, SAMPLE_MAP(3, {"low", HALF, 2, ME, true, 0}, {"high", BOUND_END, 3, 2, true, 0})));
    ASSERT_RANGES(&own, {0, HALF, MIB});
    assert_int_equal(judge(&own, 0), STATUS_OK);
    assert_int_equal(judge(&own, HALF - 1), STATUS_OK);
    assert_int_equal(judge(&own, HALF), STATUS_WRONG_SHARD);
    assert_string_equal(ownership_state(&own), "serving");
    assert_int_equal(ownership_epoch(&own), 3);
    assert_true(ownership_has_opened(&own, &own.map.entries[0]));
    assert_false(ownership_has_opened(&own, &own.map.entries[1]));
    ownership_fini(&own);
}

static void an_entry_that_is_not_new_is_missing(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(3, {"low", HALF, 2, ME, false, 0}, {"high", BOUND_END, 3, ME, true, 0}));
    ASSERT_RANGES(&own, {HALF, BOUND_END, MIB});
    assert_int_equal(judge(&own, 0), STATUS_DATA_MISSING);
    assert_int_equal(judge(&own, HALF), STATUS_OK);
    assert_string_equal(ownership_state(&own), "data missing");
    ownership_fini(&own);
}

static void what_is_struck_new_stays_open(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 0}));
    take(&own, SAMPLE_MAP(3, {"all", BOUND_END, 3, ME, false, 0}));
    ASSERT_RANGES(&own, {0, BOUND_END, MIB});
    ownership_fini(&own);
}

static void an_older_epoch_changes_nothing(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(5, {"all", BOUND_END, 5, 2, false, 0}));
    assert_false(take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 0})));
    assert_int_equal(own.range_count, 0);
    assert_int_equal(judge(&own, 0), STATUS_WRONG_SHARD);
    ownership_fini(&own);
}

static void epochs_count_point_by_point(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(5, {"low", HALF, 5, ME, true, 0}, {"high", BOUND_END, 2, ME, true, 0}));
    /* Of an older map the newer half is taken. */
    take(&own, SAMPLE_MAP(4, {"low", HALF, 3, 2, false, 0}, {"high", BOUND_END, 4, 2, false, 0}));
    ASSERT_RANGES(&own, {0, HALF, MIB});
    ownership_fini(&own);
}

static void pieces_that_make_no_map_are_a_conflict(void **state)
{
    (void)state;
    struct ownership own = nobody();
    struct ownership next;
    take(&own, SAMPLE_MAP(5, {"low", QUARTER, 2, ME, true, 0}, {"middle", HALF, 5, ME, true, 0},
                          {"high", BOUND_END, 2, ME, true, 0}));
    /* Its only entry would stand on both sides of `middle`. */
    struct map map = SAMPLE_MAP(3, {"all", BOUND_END, 3, 2, false, 0});
    assert_int_equal(ownership_take(&own, &map, &pusher, &next), OWNERSHIP_CONFLICT);
    map_fini(&map);
    ownership_fini(&own);
}

static void a_lost_entry_is_closed_and_does_not_come_back_by_itself(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 0}));
    take(&own, SAMPLE_MAP(3, {"all", BOUND_END, 3, 2, true, 0}));
    assert_int_equal(own.range_count, 0);
    assert_int_equal(judge(&own, 7), STATUS_WRONG_SHARD);
    take(&own, SAMPLE_MAP(4, {"all", BOUND_END, 4, ME, false, 0}));
    assert_int_equal(own.range_count, 0);
    assert_int_equal(judge(&own, 7), STATUS_DATA_MISSING);
    take(&own, SAMPLE_MAP(5, {"all", BOUND_END, 5, ME, true, 0}));
    assert_int_equal(judge(&own, 7), STATUS_OK);
    ownership_fini(&own);
}

static void a_new_size_becomes_the_limit(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 2048}));
    take(&own, SAMPLE_MAP(3, {"all", BOUND_END, 3, ME, false, 4096}));
    ASSERT_RANGES(&own, {0, BOUND_END, 4096});
    ownership_fini(&own);
}

static void a_range_has_the_settings_of_its_entry(void **state)
{
    (void)state;
    struct ownership own = nobody();
    struct map map =
        SAMPLE_MAP(2, {"low", HALF, 2, ME, true, 0}, {"high", BOUND_END, 2, ME, true, 0});
    map.entries[1].when_full = WHEN_FULL_EVICT;
    take(&own, map);
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the map was taken */
    assert_int_equal(own.ranges[0].when_full, WHEN_FULL_REJECT);
    assert_int_equal(own.ranges[1].when_full, WHEN_FULL_EVICT);
    map = SAMPLE_MAP(3, {"low", HALF, 3, ME, false, 0}, {"high", BOUND_END, 3, ME, false, 0});
    map.entries[0].when_full = WHEN_FULL_EVICT;
    take(&own, map);
    assert_int_equal(own.ranges[0].when_full, WHEN_FULL_EVICT);
    assert_int_equal(own.ranges[1].when_full, WHEN_FULL_REJECT);
    assert_int_equal(own.ranges[1].epoch, 3);
    ownership_fini(&own);
}

static void a_split_keeps_both_parts(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 0}));
    take(&own,
         SAMPLE_MAP(3, {"low", QUARTER, 3, ME, false, 0}, {"high", BOUND_END, 3, ME, false, 0}));
    ASSERT_RANGES(&own, {0, QUARTER, MIB}, {QUARTER, BOUND_END, MIB});
    ownership_fini(&own);
}

static void a_join_makes_one_range(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"low", HALF, 2, ME, true, 0}, {"high", BOUND_END, 2, ME, true, 0}));
    take(&own, SAMPLE_MAP(3, {"all", BOUND_END, 3, ME, false, 0}));
    ASSERT_RANGES(&own, {0, BOUND_END, MIB});
    ownership_fini(&own);
}

static void a_join_with_what_was_never_here_serves_only_what_was(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"low", HALF, 2, 2, true, 0}, {"high", BOUND_END, 2, ME, true, 0}));
    take(&own, SAMPLE_MAP(3, {"all", BOUND_END, 3, ME, false, 0}));
    ASSERT_RANGES(&own, {HALF, BOUND_END, MIB});
    assert_int_equal(judge(&own, 0), STATUS_DATA_MISSING);
    ownership_fini(&own);
}

static void another_disk_at_the_address_is_missing_data(void **state)
{
    (void)state;
    struct ownership own = nobody();
    sample_id(9, own.expected);
    assert_int_equal(judge(&own, 0), STATUS_DATA_MISSING);
    take(&own, SAMPLE_MAP(2, {"low", HALF, 2, 9, false, 0}, {"high", BOUND_END, 2, 3, false, 0}));
    assert_int_equal(judge(&own, 0), STATUS_DATA_MISSING);
    assert_int_equal(judge(&own, HALF), STATUS_WRONG_SHARD);
    assert_string_equal(ownership_state(&own), "data missing");
    sample_id(ME, own.expected);
    assert_int_equal(judge(&own, 0), STATUS_WRONG_SHARD);
    assert_string_equal(ownership_state(&own), "serving");
    ownership_fini(&own);
}

static void the_first_map_gives_the_cluster(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, 2, true, 0}));
    assert_memory_equal(own.cluster, own.map.cluster, ID_LEN);
    ownership_fini(&own);
}

static void the_same_map_in_a_new_term_is_to_be_remembered(void **state)
{
    (void)state;
    struct ownership own = nobody();
    take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 0}));
    assert_false(take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 0})));
    pusher.term = 2;
    assert_true(take(&own, SAMPLE_MAP(2, {"all", BOUND_END, 2, ME, true, 0})));
    pusher.term = 1;
    assert_int_equal(own.term, 2);
    ASSERT_RANGES(&own, {0, BOUND_END, MIB});
    ownership_fini(&own);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_map_requests_are_told_to_wait),
        cmocka_unit_test(a_new_entry_is_opened_and_a_strange_one_is_not),
        cmocka_unit_test(an_entry_that_is_not_new_is_missing),
        cmocka_unit_test(what_is_struck_new_stays_open),
        cmocka_unit_test(an_older_epoch_changes_nothing),
        cmocka_unit_test(epochs_count_point_by_point),
        cmocka_unit_test(pieces_that_make_no_map_are_a_conflict),
        cmocka_unit_test(a_lost_entry_is_closed_and_does_not_come_back_by_itself),
        cmocka_unit_test(a_new_size_becomes_the_limit),
        cmocka_unit_test(a_range_has_the_settings_of_its_entry),
        cmocka_unit_test(a_split_keeps_both_parts),
        cmocka_unit_test(a_join_makes_one_range),
        cmocka_unit_test(a_join_with_what_was_never_here_serves_only_what_was),
        cmocka_unit_test(another_disk_at_the_address_is_missing_data),
        cmocka_unit_test(the_first_map_gives_the_cluster),
        cmocka_unit_test(the_same_map_in_a_new_term_is_to_be_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
