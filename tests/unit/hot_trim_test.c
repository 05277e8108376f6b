/* SPDX-License-Identifier: MIT */
#include "shardd/hot_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/point.h"
#include "tests/unit/dice.h"

#define KEYS       150000
#define VALUE_MAX  400
#define BATCH_MAX  2000
#define BLOCK_LEN  ((size_t)2 << 20)
#define SLAB_LEN   ((size_t)64 << 10)
#define TRIM_EVERY 64 /* puts */

/* Keys are numbers; a value is as many bytes of the low byte of its version. */
struct bed {
    struct dice dice;
    struct arena *arena;
    struct hot *hot;
    uint64_t clock;
    uint64_t versions[KEYS];
    uint16_t value_lens[KEYS];
    bool are_dirty[KEYS];
    struct hot_item items[BATCH_MAX];
    uint32_t item_count;
    uint64_t hand;
};

static struct bed *bed_open(void)
{
    struct bed *bed = calloc(1, sizeof(*bed));
    bed->dice = dice_of(5);
    bed->arena = arena_new();
    bed->hot = hot_new(bed->arena, false);
    return bed;
}

static void bed_close(struct bed *bed)
{
    hot_free(bed->hot);
    arena_free_all(bed->arena);
    free(bed);
}

static struct hot_record *find(const struct bed *bed, uint64_t number)
{
    struct bytes key = bytes_of(&number, sizeof(number));
    return hot_peek(bed->hot, point_of_key(key), 0, key);
}

static struct hot_record *put_as(struct bed *bed, uint64_t number, uint16_t value_len,
                                 enum hot_state state, bool is_dirty)
{
    uint8_t value[VALUE_MAX];
    struct bytes key = bytes_of(&number, sizeof(number));
    uint64_t version = ++bed->clock;
    memset(value, (int)(version & 0xff), value_len);
    const struct record record = {.point = point_of_key(key),
                                  .key = key,
                                  .value = bytes_of(value, value_len),
                                  .version = version};
    bed->versions[number] = version;
    bed->value_lens[number] = value_len;
    bed->are_dirty[number] = is_dirty;
    return hot_put(bed->hot, find(bed, number), &record, state, is_dirty);
}

static void assert_right(const struct bed *bed, uint64_t number, const struct hot_record *entry)
{
    uint8_t value[VALUE_MAX];
    memset(value, (int)(bed->versions[number] & 0xff), bed->value_lens[number]);
    assert_int_equal(hot_version(entry), bed->versions[number]);
    assert_true(bytes_equal(hot_value(entry), bytes_of(value, bed->value_lens[number])));
}

/* What is not here is in the tree. */
static void assert_all_right(const struct bed *bed)
{
    for (uint64_t number = 0; number < KEYS; number++) {
        const struct hot_record *entry = find(bed, number);
        assert_true(entry || !bed->are_dirty[number]);
        if (entry) {
            assert_right(bed, number, entry);
        }
    }
}

static void note_clean(struct bed *bed, const struct hot_item *item)
{
    uint64_t number;
    struct hot_view view;
    hot_item_view(item, &view);
    memcpy(&number, view.record.key.data, sizeof(number));
    if (view.record.version == bed->versions[number]) {
        bed->are_dirty[number] = false;
    }
}

/* A batch is in flight between two calls. */
static void sweep(struct bed *bed)
{
    bool is_end;
    for (uint32_t i = 0; i < bed->item_count; i++) {
        note_clean(bed, &bed->items[i]);
    }
    hot_swept(bed->hot, bed->items, bed->item_count);
    bed->item_count = hot_collect(bed->hot, &bed->hand, UINT64_MAX, bed->clock, bed->items,
                                  BATCH_MAX, UINT32_MAX, &is_end);
}

static void stop_sweep(struct bed *bed)
{
    hot_not_swept(bed->hot, bed->items, bed->item_count);
    bed->item_count = 0;
}

/* --- keeping to a limit --- */

struct phase {
    const char *name;
    uint16_t value_min;
    uint16_t value_max;
};

/* Each size that comes begins with a slab of its own. */
static void overwrite(struct bed *bed, const struct phase *phase, size_t limit)
{
    size_t most = 0;
    for (uint32_t i = 0; i < 2 * KEYS; i++) {
        uint32_t spread = (uint32_t)(phase->value_max - phase->value_min) + 1;
        uint16_t value_len = (uint16_t)(phase->value_min + dice_below(&bed->dice, spread));
        put_as(bed, dice_below(&bed->dice, KEYS), value_len, HOT_RECORD, true);
        if (i % TRIM_EVERY == 0) {
            hot_trim(bed->hot, limit, 4096, 1024);
        }
        if (i % (BATCH_MAX / 2) == 0) {
            sweep(bed);
        }
        most = hot_held(bed->hot) > most ? hot_held(bed->hot) : most;
    }
    size_t used = hot_used(bed->hot);
    printf("# %s: at most %zu of %zu bytes held, at the end %zu, used %zu\n", phase->name, most,
           limit, hot_held(bed->hot), used);
    size_t size_count = (size_t)(phase->value_max - phase->value_min) / 8;
    assert_true(most <= limit + BLOCK_LEN + size_count * SLAB_LEN);
    /* A limit of so few slabs leaves little to each of many sizes. */
    assert_true(used >= limit / (size_count > 16 ? 4 : 2));
}

/* RULES F3. What is shorter in the end must fill the memory, too: nothing is lost to the sizes that were. */
static void values_that_change_their_size_hold_no_more_than_the_limit(void **state)
{
    (void)state;
    static const struct phase phases[] = {
        {"100 bytes", 100, 100},       {"300 bytes", 300, 300}, {"50 bytes", 50, 50},
        {"all lengths", 0, VALUE_MAX}, {"50 bytes", 50, 50},    {"400 bytes", 400, 400},
    };
    struct bed *bed = bed_open();
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        overwrite(bed, &phases[i], (size_t)12 << 20);
        assert_all_right(bed);
    }
    stop_sweep(bed);
    bed_close(bed);
}

/* --- moving together --- */

static void remove_most(struct bed *bed)
{
    for (uint64_t number = 0; number < KEYS; number++) {
        struct bytes key = bytes_of(&number, sizeof(number));
        if (dice_below(&bed->dice, 10) != 0) {
            hot_remove(bed->hot, point_of_key(key), find(bed, number));
        }
    }
}

static void assert_compact(const struct bed *bed)
{
    size_t waste = hot_held(bed->hot) - hot_used(bed->hot);
    printf("# %zu bytes held, %zu free in slabs\n", hot_held(bed->hot), waste);
    assert_true(waste < 8 * SLAB_LEN + hot_held(bed->hot) / 4);
}

static void what_is_left_in_sparse_slabs_is_moved_together(void **state)
{
    (void)state;
    struct bed *bed = bed_open();
    for (uint64_t number = 0; number < KEYS; number++) {
        put_as(bed, number, 100, HOT_RECORD, false);
    }
    remove_most(bed);
    assert_true(hot_held(bed->hot) > 4 * hot_used(bed->hot));
    hot_compact(bed->hot, 0, UINT32_MAX);
    assert_compact(bed);
    assert_all_right(bed);
    bed_close(bed);
}

static void a_move_is_bounded(void **state)
{
    (void)state;
    struct bed *bed = bed_open();
    for (uint64_t number = 0; number < KEYS; number++) {
        put_as(bed, number, 100, HOT_RECORD, false);
    }
    remove_most(bed);
    static const struct hot_record *before[KEYS];
    for (uint64_t number = 0; number < KEYS; number++) {
        before[number] = find(bed, number);
    }
    hot_compact(bed->hot, 0, 100);
    uint32_t moved = 0;
    for (uint64_t number = 0; number < KEYS; number++) {
        moved += find(bed, number) != before[number];
    }
    assert_int_equal(moved, 100);
    bed_close(bed);
}

/* The sweep's worker reads them without a lock, and who waits for a fetch is known by them. */
static void what_is_in_the_batch_or_awaited_stays_where_it_is(void **state)
{
    (void)state;
    struct bed *bed = bed_open();
    static int waiter;
    for (uint64_t number = 0; number < KEYS; number++) {
        put_as(bed, number, 100, HOT_RECORD, number % 10 == 0);
    }
    sweep(bed);
    assert_true(bed->item_count > BATCH_MAX / 2);
    struct hot_record *awaited = put_as(bed, 7, 0, HOT_FETCHING, false);
    hot_set_waiters(awaited, &waiter);
    for (uint64_t number = 0; number < KEYS; number++) {
        struct bytes key = bytes_of(&number, sizeof(number));
        if (number != 7 && number % 10 != 0) {
            hot_remove(bed->hot, point_of_key(key), find(bed, number));
        }
    }
    hot_compact(bed->hot, 0, UINT32_MAX);
    assert_ptr_equal(find(bed, 7), awaited);
    assert_ptr_equal(hot_waiters(awaited), &waiter);
    for (uint32_t i = 0; i < bed->item_count; i++) {
        uint64_t number;
        struct hot_view view;
        hot_item_view(&bed->items[i], &view);
        memcpy(&number, view.record.key.data, sizeof(number));
        assert_ptr_equal(find(bed, number), bed->items[i].entry);
        assert_right(bed, number, bed->items[i].entry);
    }
    stop_sweep(bed);
    hot_compact(bed->hot, 0, UINT32_MAX);
    assert_compact(bed);
    bed_close(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_change_their_size_hold_no_more_than_the_limit),
        cmocka_unit_test(what_is_left_in_sparse_slabs_is_moved_together),
        cmocka_unit_test(a_move_is_bounded),
        cmocka_unit_test(what_is_in_the_batch_or_awaited_stays_where_it_is),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
