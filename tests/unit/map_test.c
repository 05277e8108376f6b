/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/point.h"
#include "tests/unit/dice.h"

/* A small circle: bounds are multiples of 2^28, so a model can hold each cell's epoch and owner. */
#define CELL       (UINT64_C(1) << 28)
#define CELL_COUNT 16

static struct map_entry make_entry(uint32_t start_cell, uint32_t end_cell, uint64_t epoch)
{
    struct map_entry entry = {
        .start = start_cell * CELL,
        .end = end_cell * CELL,
        .epoch = epoch,
        .size = 1 << 20,
        .address = {"localhost", (uint16_t)(5000 + epoch)},
    };
    (void)snprintf(entry.name, sizeof(entry.name), "shard%" PRIu64, epoch);
    entry.server[0] = (uint8_t)epoch;
    return entry;
}

static struct map_entry random_entry(struct dice *dice, uint64_t epoch)
{
    uint32_t start = dice_below(dice, CELL_COUNT);
    uint32_t end = start + 1 + dice_below(dice, CELL_COUNT - start);
    return make_entry(start, end, epoch);
}

/* Sorted, disjoint, nothing of an entry changed but its bounds. */
static void assert_well_formed(const struct map *map)
{
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        struct map_entry expected = make_entry(0, 0, entry->epoch);
        expected.start = entry->start;
        expected.end = entry->end;
        assert_memory_equal(entry, &expected, sizeof(expected));
        assert_true(entry->start < entry->end && entry->end <= BOUND_END);
        if (i > 0) {
            assert_true(map->entries[i - 1].end <= entry->start);
        }
    }
}

/* Where each epoch is one entry's: no piece of it is needlessly in two. */
static void assert_pieces_are_whole(const struct map *map)
{
    for (uint32_t i = 1; i < map->entry_count; i++) {
        const struct map_entry *before = &map->entries[i - 1];
        assert_true(before->end < before[1].start || before->epoch != before[1].epoch);
    }
}

/* Epoch held at each cell; 0: none. */
struct model {
    uint64_t epochs[CELL_COUNT];
};

static bool model_take(struct model *model, const struct map_entry *entry)
{
    bool took = false;
    for (uint64_t cell = entry->start / CELL; cell < entry->end / CELL; cell++) {
        if (entry->epoch > model->epochs[cell]) {
            model->epochs[cell] = entry->epoch;
            took = true;
        }
    }
    return took;
}

static void assert_like_model(const struct map *map, const struct model *model)
{
    for (uint64_t cell = 0; cell < CELL_COUNT; cell++) {
        const uint64_t points[] = {point_of_bound(cell * CELL),
                                   point_of_bound((cell + 1) * CELL - 1) | UINT32_MAX};
        for (int i = 0; i < 2; i++) {
            const struct map_entry *entry = map_find(map, points[i]);
            assert_int_equal(entry ? entry->epoch : 0, model->epochs[cell]);
        }
    }
}

static void taking_is_point_by_point_the_higher_epoch(void **state)
{
    (void)state;
    struct dice dice = dice_of(1);
    for (int round = 0; round < 5000; round++) {
        struct map map = {0};
        struct model model = {0};
        for (uint32_t i = dice_below(&dice, 20); i > 0; i--) {
            struct map_entry entry = random_entry(&dice, 1 + dice_below(&dice, 100));
            bool took = model_take(&model, &entry);
            assert_int_equal(map_take(&map, &entry), took ? MAP_TOOK : MAP_TOOK_NOTHING);
            assert_int_equal(map.revision, 0);
            assert_well_formed(&map);
            assert_like_model(&map, &model);
        }
        map_fini(&map);
    }
}

static void any_order_of_taking_ends_in_the_same_map(void **state)
{
    (void)state;
    enum { ENTRIES = 12 };
    struct dice dice = dice_of(2);
    for (int round = 0; round < 2000; round++) {
        struct map_entry entries[ENTRIES];
        struct map maps[2] = {0};
        for (uint32_t i = 0; i < ENTRIES; i++) {
            entries[i] = random_entry(&dice, i + 1);
        }
        for (int order = 0; order < 2; order++) {
            for (uint32_t i = ENTRIES - 1; i > 0; i--) {
                uint32_t other = dice_below(&dice, i + 1);
                struct map_entry swap = entries[i];
                entries[i] = entries[other];
                entries[other] = swap;
            }
            for (uint32_t i = 0; i < ENTRIES; i++) {
                assert_int_not_equal(map_take(&maps[order], &entries[i]), MAP_TOOK_NO_MEMORY);
            }
        }
        assert_pieces_are_whole(&maps[0]);
        assert_int_equal(maps[0].entry_count, maps[1].entry_count);
        assert_memory_equal(maps[0].entries, maps[1].entries,
                            maps[0].entry_count * sizeof(*maps[0].entries));
        map_fini(&maps[0]);
        map_fini(&maps[1]);
    }
}

/* A random patchwork, its revision the highest epoch in it. */
static struct map random_map(struct dice *dice, uint64_t epoch_max)
{
    struct map map = {0};
    for (uint32_t i = dice_below(dice, 8); i > 0; i--) {
        struct map_entry entry = random_entry(dice, 1 + dice_below(dice, (uint32_t)epoch_max));
        assert_int_not_equal(map_take(&map, &entry), MAP_TOOK_NO_MEMORY);
        map.revision = entry.epoch > map.revision ? entry.epoch : map.revision;
    }
    return map;
}

static void taking_a_whole_map_is_taking_each_of_its_entries(void **state)
{
    (void)state;
    struct dice dice = dice_of(3);
    for (int round = 0; round < 5000; round++) {
        struct map held = random_map(&dice, 40);
        struct map newer = random_map(&dice, 40);
        struct map one_by_one;
        bool took = false;
        assert_true(map_copy(&held, &one_by_one));
        for (uint32_t i = 0; i < newer.entry_count; i++) {
            took |= map_take(&one_by_one, &newer.entries[i]) == MAP_TOOK;
        }
        uint64_t revision = newer.revision > held.revision ? newer.revision : held.revision;
        took |= revision > held.revision;
        assert_int_equal(map_take_all(&held, &newer), took ? MAP_TOOK : MAP_TOOK_NOTHING);
        assert_well_formed(&held);
        assert_int_equal(held.revision, revision);
        assert_int_equal(held.entry_count, one_by_one.entry_count);
        if (held.entry_count > 0) {
            assert_memory_equal(held.entries, one_by_one.entries,
                                held.entry_count * sizeof(*held.entries));
        }
        map_fini(&held);
        map_fini(&newer);
        map_fini(&one_by_one);
    }
}

static void servers_and_cluster_come_with_the_higher_revision_only(void **state)
{
    (void)state;
    struct map_server server = {.id = {7}, .address = {"localhost", 7}, .incarnation = 3};
    struct map_entry entry = make_entry(0, 16, 5);
    struct map newer = {.cluster = {1}, .instance = {2}, .revision = 5, .origin_ms = 9};
    struct map held = {.revision = 5, .origin_ms = 1};
    newer.entries = &entry;
    newer.entry_count = 1;
    newer.servers = &server;
    newer.server_count = 1;

    assert_int_equal(map_take_all(&held, &newer), MAP_TOOK);
    assert_int_equal(held.entry_count, 1);
    assert_int_equal(held.origin_ms, 1);
    assert_int_equal(held.server_count, 0);
    assert_int_equal(map_take_all(&held, &newer), MAP_TOOK_NOTHING);

    newer.revision = 6;
    assert_int_equal(map_take_all(&held, &newer), MAP_TOOK);
    assert_int_equal(held.revision, 6);
    assert_int_equal(held.origin_ms, 9);
    assert_int_equal(held.cluster[0], 1);
    assert_int_equal(held.instance[0], 2);
    assert_int_equal(held.entry_count, 1);
    assert_ptr_equal(map_find_server(&held, server.id), &held.servers[0]);
    assert_int_equal(held.servers[0].incarnation, 3);
    assert_null(map_find_server(&held, newer.cluster));
    map_fini(&held);
}

static const struct map_entry *look_at_each(const struct map *map, uint64_t point)
{
    const struct map_entry *found = NULL;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (point_in(point, map->entries[i].start, map->entries[i].end)) {
            assert_null(found);
            found = &map->entries[i];
        }
    }
    return found;
}

/* A redirect brings an entry of revision 2 to a client that has the map of revision 1. */
static void an_entry_that_came_before_its_map_does_not_keep_out_the_maps_servers(void **state)
{
    (void)state;
    struct map_server server = {.id = {7}, .address = {"localhost", 7}};
    struct map_entry entry = make_entry(0, 16, 2);
    struct map newer = {.cluster = {1}, .revision = 2, .entries = &entry, .entry_count = 1};
    struct map held = {.cluster = {1}, .revision = 1};
    newer.servers = &server;
    newer.server_count = 1;
    assert_int_equal(map_take(&held, &entry), MAP_TOOK);
    assert_int_equal(map_take_all(&held, &newer), MAP_TOOK);
    assert_int_equal(held.revision, 2);
    assert_int_equal(held.server_count, 1);
    map_fini(&held);
}

static void finding_is_what_looking_at_each_entry_gives(void **state)
{
    (void)state;
    struct dice dice = dice_of(4);
    for (int round = 0; round < 500; round++) {
        struct map map = random_map(&dice, 30);
        for (int i = 0; i < 100; i++) {
            uint64_t point = dice_roll(&dice);
            assert_ptr_equal(map_find(&map, point), look_at_each(&map, point));
        }
        map_fini(&map);
    }
}

static void the_largest_map_is_searched_at_every_bound(void **state)
{
    (void)state;
    const uint64_t width = BOUND_END / MAP_SHARDS_MAX;
    struct map map = {0};
    map.entries = calloc(MAP_SHARDS_MAX, sizeof(*map.entries));
    assert_non_null(map.entries);
    map.entry_count = MAP_SHARDS_MAX;
    for (uint32_t i = 0; i < MAP_SHARDS_MAX; i++) {
        map.entries[i].start = i * width;
        map.entries[i].end = (i + 1) * width;
        (void)snprintf(map.entries[i].name, sizeof(map.entries[i].name), "%" PRIu32, i);
    }
    for (uint32_t i = 0; i < MAP_SHARDS_MAX; i++) {
        uint64_t first = point_of_bound(i * width);
        assert_ptr_equal(map_find(&map, first), &map.entries[i]);
        assert_ptr_equal(map_find(&map, first + point_of_bound(width) - 1), &map.entries[i]);
    }
    assert_ptr_equal(map_find_name(&map, bytes_text("8191")), &map.entries[8191]);
    assert_null(map_find_name(&map, bytes_text("8192")));
    assert_null(map_find_name(&map, bytes_text("0819")));
    map_fini(&map);
}

static void nothing_is_found_in_an_empty_map(void **state)
{
    (void)state;
    struct map map = {0};
    struct map copy;
    assert_null(map_find(&map, 0));
    assert_null(map_find_name(&map, bytes_text("a")));
    assert_null(map_find_server(&map, map.cluster));
    assert_true(map_copy(&map, &copy));
    assert_null(copy.entries);
    assert_int_equal(map_take_all(&map, &copy), MAP_TOOK_NOTHING);
    map_fini(&copy);
    map_fini(&map);
}

static void a_copy_lives_on_its_own(void **state)
{
    (void)state;
    struct map map = {0};
    struct map copy;
    struct map_entry entry = make_entry(0, 16, 1);
    assert_int_equal(map_take(&map, &entry), MAP_TOOK);
    assert_true(map_copy(&map, &copy));
    map_fini(&map);
    assert_int_equal(map.entry_count, 0);
    assert_memory_equal(map_find(&copy, 0), &entry, sizeof(entry));
    map_fini(&copy);
}

/* Somebody who sends entry after entry of one cell cannot make the map grow without end. */
static void a_patchwork_has_a_limit(void **state)
{
    (void)state;
    const uint32_t count = MAP_PIECES_MAX;
    struct map map = {0};
    map.entries = calloc(count, sizeof(*map.entries));
    assert_non_null(map.entries);
    map.entry_count = count;
    for (uint32_t i = 0; i < count; i++) {
        map.entries[i].start = UINT64_C(2) * i;
        map.entries[i].end = UINT64_C(2) * i + 1;
        map.entries[i].epoch = 1;
    }
    struct map_entry entry = {.start = BOUND_END - 1, .end = BOUND_END, .epoch = 2};
    assert_int_equal(map_take(&map, &entry), MAP_TOOK_NO_MEMORY);
    assert_int_equal(map.entry_count, count);
    assert_int_equal(map.revision, 0);
    entry.start = 0;
    assert_int_equal(map_take(&map, &entry), MAP_TOOK);
    assert_int_equal(map.entry_count, 1);
    map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taking_is_point_by_point_the_higher_epoch),
        cmocka_unit_test(any_order_of_taking_ends_in_the_same_map),
        cmocka_unit_test(taking_a_whole_map_is_taking_each_of_its_entries),
        cmocka_unit_test(servers_and_cluster_come_with_the_higher_revision_only),
        cmocka_unit_test(an_entry_that_came_before_its_map_does_not_keep_out_the_maps_servers),
        cmocka_unit_test(finding_is_what_looking_at_each_entry_gives),
        cmocka_unit_test(the_largest_map_is_searched_at_every_bound),
        cmocka_unit_test(nothing_is_found_in_an_empty_map),
        cmocka_unit_test(a_copy_lives_on_its_own),
        cmocka_unit_test(a_patchwork_has_a_limit),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
