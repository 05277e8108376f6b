/* SPDX-License-Identifier: MIT */
#include "shardd/hand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/file.h"
#include "io/memory.h"
#include "proto/endian.h"
#include "proto/point.h"
#include "proto/stream.h"
#include "shardd/hot_internal.h"
#include "tests/unit/dice.h"
#include "tests/unit/scratch.h"

/*
 * A source without a store: a tree, a hot table and what they should hold; a test changes, sweeps and evicts as it
 * likes while the hand walks. The target is a table, to which the items are applied as they come.
 */

enum { KEYS = 6000, BATCH = 256 };

#define DAY_MS  (UINT64_C(24) * 3600 * 1000)
#define MIB     (UINT64_C(1) << 20)
#define LEN_MAX (VALUE_LEN_MAX)

/* A record as it should be; its value follows from version and length. */
struct expected {
    bool is_there;
    uint64_t point;
    uint64_t version;
    uint64_t expiry_ms;
    uint64_t ttl_ms;
    size_t len;
};

struct arrived {
    struct buffer stored; /* empty: not there */
    bool was_met;         /* anything has come of it */
};

struct world {
    struct scratch scratch;
    struct loop *loop;
    struct tree *tree;
    struct arena *arena;
    struct hot *hot;
    struct accounts accounts;
    struct retries *retries;
    struct dice dice;
    uint64_t stamp;
    uint64_t durable;

    struct hand *hand;
    struct hand_config config;
    struct expected source[KEYS];
    struct arrived target[KEYS];
    uint32_t key_count;
    uint32_t message_count;
    uint32_t line_count;
    struct stream_line line; /* the last */
    uint32_t result_count;
    struct retries *taken; /* the target's results */
    char fault[128];

    struct hot_item batch[BATCH]; /* the sweep's */
    uint32_t batch_count;
    bool is_batch_written;
    uint64_t sweep_point;
    uint8_t *value; /* LEN_MAX bytes */
};

/* The test's choice, by key. */
static uint64_t points[KEYS];

static uint32_t number_of(struct bytes key)
{
    assert_int_equal(key.len, 4);
    uint32_t number = endian_get_le32(key.data);
    assert_true(number < KEYS);
    return number;
}

static uint64_t point_of(uint16_t table, struct bytes key)
{
    (void)table;
    return points[number_of(key)];
}

static uint64_t log_of_source(void *context, const struct log_op *op)
{
    struct world *w = context;
    uint64_t stamp = ++w->stamp;
    if (w->hand && op->kind == LOG_RESULT && point_in(op->point, w->config.start, w->config.end)) {
        hands_on_result(w->hand, stamp, op);
    }
    return stamp;
}

static uint64_t log_of_target(void *context, const struct log_op *op)
{
    (void)context, (void)op;
    return 1;
}

static void on_turn_end(void *context)
{
    struct world *w = context;
    if (!hand_is_reading(w->hand)) {
        loop_stop(w->loop);
    }
}

static struct world *world_open(uint64_t seed)
{
    struct world *w = memory_get(1, sizeof(*w));
    char error[256];
    w->scratch = scratch_make();
    w->loop = loop_new();
    loop_on_turn_end(w->loop, on_turn_end, w);
    w->tree = tree_open(w->scratch.path, error, sizeof(error));
    assert_non_null(w->tree);
    w->arena = arena_new();
    w->hot = hot_new_with(w->arena, false, point_of);
    w->retries = retries_new(&w->accounts, log_of_source, w);
    w->taken = retries_new(&w->accounts, log_of_target, w);
    w->dice = dice_of(seed);
    w->stamp = w->durable = 1000;
    w->value = memory_get(1, LEN_MAX);
    return w;
}

static void world_close(struct world *w)
{
    hand_free(w->hand);
    retries_free(w->retries);
    retries_free(w->taken);
    if (w->batch_count > 0) {
        hot_not_swept(w->hot, w->batch, w->batch_count);
    }
    hot_free(w->hot);
    arena_free_all(w->arena);
    tree_close(w->tree);
    loop_free(w->loop);
    scratch_remove(&w->scratch);
    for (uint32_t i = 0; i < KEYS; i++) {
        buffer_fini(&w->target[i].stored);
    }
    free(w->value);
    free(w);
}

/* --- records --- */

static struct bytes key_of(uint32_t number, uint8_t bytes[4])
{
    endian_put_le32(bytes, number);
    return bytes_of(bytes, 4);
}

/* Lives until the next. */
static struct record record_of(struct world *w, uint32_t number, uint8_t key[4])
{
    const struct expected *expected = &w->source[number];
    memset(w->value, (int)(expected->version & 0xff), expected->len);
    return (struct record){
        .point = expected->point,
        .table = (uint16_t)(number % 3),
        .key = key_of(number, key),
        .value = bytes_of(w->value, expected->len),
        .version = expected->version,
        .expiry_ms = expected->expiry_ms,
        .ttl_ms = expected->ttl_ms,
        .kind = (uint16_t)(number % 5),
        .flags = expected->ttl_ms > 0 ? RECORD_SLIDING : 0,
    };
}

static struct bytes stored_of(const struct record *record, struct buffer *out)
{
    uint8_t key[TREE_KEY_LEN_MAX];
    uint8_t head[RECORD_HEADER_LEN];
    size_t key_len = record_key_encode(record->point, record->table, record->key, key);
    record_header_encode(record, bytes_of(key, key_len), head);
    buffer_clear(out);
    buffer_append(out, head, sizeof(head));
    buffer_append_bytes(out, record->value);
    return buffer_bytes(out);
}

static void sum_record(const struct record *record, struct bytes stored, struct range_sum *sum)
{
    uint8_t key[TREE_KEY_LEN_MAX];
    size_t key_len = record_key_encode(record->point, record->table, record->key, key);
    range_sum_add(sum, bytes_of(key, key_len), stored);
}

static bool is_in_range(const struct world *w, uint32_t number)
{
    return point_in(w->source[number].point, w->config.start, w->config.end);
}

/* --- the source changes --- */

static struct hot_record *find(struct world *w, uint32_t number)
{
    uint8_t key[4];
    return hot_find(w->hot, w->source[number].point, (uint16_t)(number % 3), key_of(number, key));
}

static void tell(struct world *w, const struct log_op *op, const struct record *before)
{
    if (w->hand && point_in(op->point, w->config.start, w->config.end)) {
        const struct hand_change change = {.stamp = w->stamp, .op = op, .before = before};
        hands_on_change(w->hand, &change);
    }
}

static struct log_op op_of(struct world *w, enum log_kind kind, uint32_t number, uint8_t key[4])
{
    const struct expected *expected = &w->source[number];
    return (struct log_op){
        .kind = kind,
        .table = (uint16_t)(number % 3),
        .point = expected->point,
        .key = key_of(number, key),
    };
}

/* A copy of what is there, for as long as its value is not made anew. */
static const struct record *before_of(struct world *w, uint32_t number, struct record *record,
                                      struct buffer *value, uint8_t key[4])
{
    if (!w->source[number].is_there) {
        return NULL;
    }
    *record = record_of(w, number, key);
    buffer_append_bytes(value, record->value);
    record->value = buffer_bytes(value);
    return record;
}

static void put(struct world *w, uint32_t number, size_t len, uint64_t ttl_ms)
{
    uint8_t keys[2][4];
    struct record before;
    struct buffer value = {0};
    const struct record *was = before_of(w, number, &before, &value, keys[0]);
    struct expected *expected = &w->source[number];
    uint64_t stamp = ++w->stamp;
    *expected =
        (struct expected){true, expected->point, stamp, ttl_ms ? DAY_MS + stamp : 0, ttl_ms, len};
    struct record record = record_of(w, number, keys[1]);
    struct log_op op = op_of(w, LOG_PUT, number, keys[1]);
    op.is_sliding = record.flags & RECORD_SLIDING;
    op.record_kind = record.kind;
    op.expiry_ms = record.expiry_ms;
    op.ttl_ms = record.ttl_ms;
    op.value = record.value;
    tell(w, &op, was);
    hot_put(w->hot, find(w, number), &record, HOT_RECORD, true);
    buffer_fini(&value);
}

static void take_away(struct world *w, uint32_t number, enum log_kind kind)
{
    uint8_t keys[2][4];
    struct record before;
    struct buffer value = {0};
    const struct record *was = before_of(w, number, &before, &value, keys[0]);
    if (was) {
        w->stamp++;
        struct log_op op = op_of(w, kind, number, keys[1]);
        tell(w, &op, was);
        struct record deletion = {
            .point = op.point, .table = op.table, .key = op.key, .version = w->stamp};
        hot_put(w->hot, find(w, number), &deletion, HOT_DELETED, true);
        w->source[number].is_there = false;
    }
    buffer_fini(&value);
}

static void touch(struct world *w, uint32_t number)
{
    uint8_t keys[2][4];
    struct record before;
    struct buffer value = {0};
    const struct record *was = before_of(w, number, &before, &value, keys[0]);
    struct expected *expected = &w->source[number];
    if (was && expected->ttl_ms > 0) {
        struct hot_record *entry = find(w, number);
        entry = entry ? entry : hot_put(w->hot, NULL, was, HOT_RECORD, false);
        w->stamp++;
        expected->expiry_ms += 1 + dice_below(&w->dice, 1000);
        struct log_op op = op_of(w, LOG_TOUCH, number, keys[1]);
        op.version = expected->version;
        op.expiry_ms = expected->expiry_ms;
        op.ttl_ms = expected->ttl_ms;
        tell(w, &op, was);
        hot_touch(w->hot, op.point, entry, op.expiry_ms);
    }
    buffer_fini(&value);
}

static void change_one(struct world *w)
{
    static const enum log_kind kinds[] = {LOG_DELETE, LOG_EVICT, LOG_EXPIRE};
    uint32_t number = dice_below(&w->dice, w->key_count);
    uint32_t roll = dice_below(&w->dice, 10);
    if (roll < 5) {
        put(w, number, dice_below(&w->dice, roll == 0 ? 3000 : 100), roll < 2 ? 1000 : 0);
    } else if (roll < 8) {
        take_away(w, number, kinds[dice_below(&w->dice, 3)]);
    } else {
        touch(w, number);
    }
}

/* --- the sweep, in its three steps --- */

static void collect(struct world *w)
{
    bool is_end;
    w->batch_count =
        hot_collect(w->hot, &w->sweep_point, UINT64_MAX, w->durable, w->batch, BATCH, 256, &is_end);
    w->is_batch_written = false;
    w->sweep_point = is_end ? 0 : w->sweep_point;
}

static void write_batch(struct world *w)
{
    struct tree_txn *txn = tree_begin_write(w->tree);
    struct buffer stored = {0};
    for (uint32_t i = 0; i < w->batch_count; i++) {
        struct hot_view view;
        uint8_t bytes[TREE_KEY_LEN_MAX];
        hot_item_view(&w->batch[i], &view);
        const struct record *record = &view.record;
        struct bytes key =
            bytes_of(bytes, record_key_encode(record->point, record->table, record->key, bytes));
        if (view.state == HOT_RECORD) {
            tree_put(txn, TREE_RECORDS, key, stored_of(record, &stored), bytes_of(NULL, 0));
        } else {
            (void)tree_delete(txn, TREE_RECORDS, key);
        }
    }
    assert_int_equal(tree_commit(txn), TREE_FINE);
    buffer_fini(&stored);
    w->is_batch_written = true;
}

static void sweep_step(struct world *w)
{
    if (w->batch_count == 0) {
        collect(w);
    } else if (!w->is_batch_written) {
        write_batch(w);
    } else {
        hot_swept(w->hot, w->batch, w->batch_count);
        w->batch_count = 0;
    }
}

static void sweep_all(struct world *w)
{
    struct hot_stat stat;
    w->durable = w->stamp;
    do {
        sweep_step(w);
        hot_stat(w->hot, &stat);
    } while (stat.dirty_count > 0 || w->batch_count > 0);
}

/* Nothing clean is left in memory. */
static void evict_all(struct world *w)
{
    for (int round = 0; round < 3; round++) {
        (void)hot_evict(w->hot, 0, UINT32_MAX);
    }
}

/* --- the target --- */

static void store_arrived(struct world *w, const struct record *record)
{
    struct buffer stored = {0};
    struct arrived *arrived = &w->target[number_of(record->key)];
    (void)stored_of(record, &stored);
    buffer_fini(&arrived->stored);
    arrived->stored = stored;
    arrived->was_met = true;
}

/* RULES V1: nothing has come of a record before it comes in its slice. */
static void apply_record(struct world *w, const struct stream_unit *unit, uint64_t need)
{
    struct record record = {0};
    assert_int_equal(record_decode(unit->stored, unit->tree_key, &record), RECORD_FINE);
    assert_true(record_key_decode(unit->tree_key, &record));
    uint32_t number = number_of(record.key);
    assert_true(is_in_range(w, number));
    assert_false(w->target[number].was_met);
    assert_true(record.version <= need || record.version <= w->durable);
    store_arrived(w, &record);
}

static void apply_put(struct world *w, const struct log_op *op)
{
    const struct record record = {
        .point = op->point,
        .table = op->table,
        .key = op->key,
        .value = op->value,
        .version = op->version,
        .expiry_ms = op->expiry_ms,
        .ttl_ms = op->ttl_ms,
        .kind = op->record_kind,
        .flags = op->is_sliding ? RECORD_SLIDING : 0,
    };
    store_arrived(w, &record);
}

static void apply_touch(struct world *w, const struct log_op *op)
{
    uint8_t bytes[TREE_KEY_LEN_MAX];
    struct bytes key = bytes_of(bytes, record_key_encode(op->point, op->table, op->key, bytes));
    struct buffer before = w->target[number_of(op->key)].stored;
    struct record record = {.point = op->point, .table = op->table, .key = op->key};
    assert_int_equal(record_decode(buffer_bytes(&before), key, &record), RECORD_FINE);
    assert_int_equal(record.version, op->version);
    w->target[number_of(op->key)].stored = (struct buffer){0};
    record.expiry_ms = op->expiry_ms;
    store_arrived(w, &record);
    buffer_fini(&before);
}

static void apply_operation(struct world *w, const struct stream_unit *unit, uint64_t need)
{
    const struct log_op *op = &unit->op;
    assert_true(unit->stamp <= need);
    assert_true(point_in(op->point, w->config.start, w->config.end));
    if (op->kind == LOG_RESULT) {
        w->result_count++;
        assert_true(retries_replay(w->taken, unit->stamp, op));
        return;
    }
    struct arrived *arrived = &w->target[number_of(op->key)];
    if (op->kind == LOG_PUT) {
        assert_int_equal(op->version, unit->stamp);
        apply_put(w, op);
    } else if (op->kind == LOG_TOUCH) {
        apply_touch(w, op);
    } else {
        assert_int_equal(op->version, unit->stamp);
        assert_true(arrived->stored.len > 0);
        buffer_fini(&arrived->stored);
    }
    arrived->was_met = true;
}

static void on_emit(void *context, struct buffer *items, uint64_t need)
{
    struct world *w = context;
    struct bytes rest = buffer_bytes(items);
    struct stream_unit unit;
    uint32_t count = 0;
    assert_true(items->len > 0);
    for (; stream_next(&rest, &unit); count++) {
        if (unit.item == STREAM_RECORD) {
            apply_record(w, &unit, need);
        } else if (unit.item == STREAM_OPERATION) {
            apply_operation(w, &unit, need);
        } else {
            w->line = unit.line;
            w->line_count++;
        }
    }
    assert_int_equal(rest.len, 0);
    assert_true(items->len <= STREAM_MESSAGE_LEN || count == 1);
    w->message_count++;
    buffer_fini(items);
}

static void on_fault(void *context, const char *text)
{
    struct world *w = context;
    (void)snprintf(w->fault, sizeof(w->fault), "%s", text);
}

/* --- the walk --- */

static void begin_hand(struct world *w, uint64_t start, uint64_t end)
{
    w->config.loop = w->loop;
    w->config.tree = w->tree;
    w->config.hot = w->hot;
    w->config.retries = w->retries;
    w->config.start = start;
    w->config.end = end;
    w->config.emit = on_emit;
    w->config.on_fault = on_fault;
    w->config.context = w;
    w->hand = hand_new(&w->config);
}

static void await_slice(struct world *w)
{
    if (hand_is_reading(w->hand)) {
        loop_run(w->loop);
    }
}

static void turn(struct world *w, bool may_go_on)
{
    hand_turn(w->hand, w->stamp, clock_wall_ms(), may_go_on);
}

static void walk_to_the_end(struct world *w)
{
    while (!hand_is_at_end(w->hand) && w->fault[0] == '\0') {
        turn(w, true);
        await_slice(w);
    }
    turn(w, true);
}

static void check_one(struct world *w, uint32_t number, struct range_sum *sum)
{
    uint8_t key[4];
    struct buffer stored = {0};
    const struct arrived *arrived = &w->target[number];
    struct record record = record_of(w, number, key);
    if (w->source[number].is_there && is_in_range(w, number)) {
        struct bytes wanted = stored_of(&record, &stored);
        assert_true(bytes_equal(wanted, buffer_bytes(&arrived->stored)));
        sum_record(&record, wanted, sum);
    } else {
        assert_int_equal(arrived->stored.len, 0);
    }
    buffer_fini(&stored);
}

/* RULES V5: equal content, and the sum is its. */
static void check_all(struct world *w)
{
    struct range_sum sum = {0};
    for (uint32_t i = 0; i < w->key_count; i++) {
        check_one(w, i, &sum);
    }
    assert_true(range_sum_equal(&sum, hand_sum(w->hand)));
}

static void give_points(struct world *w, uint32_t count,
                        uint64_t (*choose)(struct world *w, uint32_t number))
{
    w->key_count = count;
    for (uint32_t i = 0; i < count; i++) {
        w->source[i].point = points[i] = choose(w, i);
    }
}

/* --- tests --- */

/* A quarter is at few points; the ends of the circle are among them. */
static uint64_t any_point(struct world *w, uint32_t number)
{
    if (number < 4) {
        return number % 2 == 0 ? 0 : UINT64_MAX;
    }
    return dice_below(&w->dice, 4) == 0 ? (uint64_t)dice_below(&w->dice, 5) << 62
                                        : dice_roll(&w->dice);
}

static void change_meanwhile(struct world *w)
{
    uint32_t count = dice_below(&w->dice, 12);
    for (uint32_t i = 0; i < count; i++) {
        change_one(w);
        if (dice_below(&w->dice, 4) == 0) {
            w->durable = w->stamp;
        }
        if (dice_below(&w->dice, 20) == 0) {
            sweep_step(w);
        }
    }
    if (dice_below(&w->dice, 3) == 0) {
        (void)hot_evict(w->hot, 0, 50);
    }
}

static void run_model(uint64_t seed)
{
    struct world *w = world_open(seed);
    give_points(w, 50 + dice_below(&w->dice, 400), any_point);
    uint32_t count = dice_below(&w->dice, 1500);
    for (uint32_t i = 0; i < count; i++) {
        change_one(w);
        if (dice_below(&w->dice, 40) == 0) {
            w->durable = w->stamp;
            sweep_step(w);
        }
    }
    w->config.slice_len = 1 + dice_below(&w->dice, 4000);
    w->config.slice_records = 1 + dice_below(&w->dice, 40);
    uint64_t start = dice_below(&w->dice, 2) ? 0 : dice_below(&w->dice, UINT32_MAX);
    uint64_t end = dice_below(&w->dice, 2) ? BOUND_END : start + 1 + dice_below(&w->dice, 1u << 31);
    begin_hand(w, start, end < BOUND_END ? end : BOUND_END);
    uint32_t turn_count = 0;
    while (!hand_is_at_end(w->hand) && ++turn_count < 100000) {
        change_meanwhile(w);
        turn(w, dice_below(&w->dice, 4) > 0);
        change_meanwhile(w);
        if (dice_below(&w->dice, 3) > 0) {
            await_slice(w);
        }
    }
    for (int i = 0; i < 50; i++) {
        change_one(w);
    }
    turn(w, false);
    check_all(w);
    world_close(w);
}

static void whatever_changes_while_the_hand_walks_the_target_has_it(void **state)
{
    (void)state;
    uint64_t seeds = getenv("SEED") ? 1 : 100;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        run_model(seed);
    }
}

static uint64_t one_point(struct world *w, uint32_t number)
{
    (void)w, (void)number;
    return UINT64_C(0x8000000000000001);
}

/* More dirty ones than a slice copies, over as many in the tree. */
static void thousands_at_one_point_pass_in_slices(void **state)
{
    (void)state;
    struct world *w = world_open(7);
    give_points(w, KEYS, one_point);
    for (uint32_t i = 0; i < KEYS; i++) {
        put(w, i, 10, 0);
    }
    sweep_all(w);
    for (uint32_t i = 0; i < KEYS; i++) {
        if (i % 7 == 0) {
            take_away(w, i, LOG_DELETE);
        } else if (i % 7 < 6) {
            put(w, i, 20, 0);
        }
    }
    begin_hand(w, 0, BOUND_END);
    walk_to_the_end(w);
    check_all(w);
    world_close(w);
}

static uint64_t neighbouring_point(struct world *w, uint32_t number)
{
    (void)w;
    return (UINT64_C(1) << 32) + number;
}

/* So that slices end between neighbours, of which none is met twice or not at all. */
static void records_at_neighbouring_points_are_met_once(void **state)
{
    (void)state;
    struct world *w = world_open(15);
    give_points(w, KEYS, neighbouring_point);
    for (uint32_t i = 0; i < KEYS; i++) {
        put(w, i, 10, 0);
    }
    begin_hand(w, 1, 2);
    walk_to_the_end(w);
    check_all(w);
    world_close(w);
}

static void an_empty_range_is_at_its_end_with_nothing_emitted(void **state)
{
    (void)state;
    struct world *w = world_open(8);
    give_points(w, 3, one_point);
    put(w, 0, 10, 0);
    begin_hand(w, 0, BOUND_END / 2);
    walk_to_the_end(w);
    assert_int_equal(w->message_count, 0);
    check_all(w);
    assert_int_equal(hand_sum(w->hand)->records, 0);
    world_close(w);
}

static uint64_t end_point(struct world *w, uint32_t number)
{
    (void)w;
    static const uint64_t ends[] = {0, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX - UINT32_MAX,
                                    UINT64_MAX};
    return ends[number];
}

/* The narrowest there are. */
static void ranges_at_both_ends_of_the_circle_hold_their_own(void **state)
{
    (void)state;
    static const struct {
        uint64_t start, end;
        uint64_t records;
    } cases[] = {{0, 1, 2}, {1, 2, 1}, {BOUND_END - 1, BOUND_END, 2}, {0, BOUND_END, 5}};
    for (int i = 0; i < 4; i++) {
        struct world *w = world_open(9);
        give_points(w, 5, end_point);
        for (uint32_t j = 0; j < 5; j++) {
            put(w, j, 10, 0);
            if (j == 2) {
                sweep_all(w);
            }
        }
        begin_hand(w, cases[i].start, cases[i].end);
        walk_to_the_end(w);
        assert_int_equal(hand_sum(w->hand)->records, cases[i].records);
        check_all(w);
        world_close(w);
    }
}

/* In the tree, dirty, and changed behind the hand. */
static void the_largest_values_go_one_to_a_message(void **state)
{
    (void)state;
    struct world *w = world_open(10);
    give_points(w, 6, any_point);
    for (uint32_t i = 0; i < 3; i++) {
        put(w, i, LEN_MAX, 0);
    }
    sweep_all(w);
    evict_all(w);
    for (uint32_t i = 3; i < 5; i++) {
        put(w, i, LEN_MAX, 0);
    }
    begin_hand(w, 0, BOUND_END);
    walk_to_the_end(w);
    assert_int_equal(w->message_count, 5);
    put(w, 5, LEN_MAX, 0);
    put(w, 0, LEN_MAX, 0);
    take_away(w, 1, LOG_DELETE);
    turn(w, true);
    assert_int_equal(w->message_count, 8);
    check_all(w);
    world_close(w);
}

static uint64_t spread_point(struct world *w, uint32_t number)
{
    (void)w;
    return (uint64_t)number * (UINT64_MAX / KEYS);
}

static void flip_stored(struct world *w, uint32_t number)
{
    uint8_t key_bytes[4];
    uint8_t bytes[TREE_KEY_LEN_MAX];
    struct buffer stored = {0};
    struct record record = record_of(w, number, key_bytes);
    struct bytes key =
        bytes_of(bytes, record_key_encode(record.point, record.table, record.key, bytes));
    (void)stored_of(&record, &stored);
    stored.data[stored.len - 1] ^= 1;
    struct tree_txn *txn = tree_begin_write(w->tree);
    tree_put(txn, TREE_RECORDS, key, buffer_bytes(&stored), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    buffer_fini(&stored);
}

static void a_slice_can_be_limited_between_two(void **state)
{
    (void)state;
    struct world *w = world_open(18);
    give_points(w, 1000, spread_point);
    for (uint32_t i = 0; i < 1000; i++) {
        put(w, i, 10, 0);
    }
    sweep_all(w);
    begin_hand(w, 0, BOUND_END);
    hand_limit_slice(w->hand, 1);
    for (int i = 0; i < 20; i++) {
        uint64_t records = hand_sum(w->hand)->records;
        turn(w, true);
        await_slice(w);
        assert_true(hand_sum(w->hand)->records <= records + 1);
    }
    assert_true(hand_sum(w->hand)->records > 0);
    hand_limit_slice(w->hand, 0);
    walk_to_the_end(w);
    check_all(w);
    world_close(w);
}

/* RULES S10. */
static void a_damaged_record_ends_the_walk_and_is_named(void **state)
{
    (void)state;
    struct world *w = world_open(11);
    give_points(w, 1000, spread_point);
    for (uint32_t i = 0; i < 1000; i++) {
        put(w, i, 10, 0);
    }
    sweep_all(w);
    flip_stored(w, 601);
    w->config.slice_records = 100;
    begin_hand(w, 0, BOUND_END);
    walk_to_the_end(w);
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "a record of table %d at point %llu fails its checksum",
                   601 % 3, (unsigned long long)w->source[601].point);
    assert_string_equal(w->fault, wanted);
    for (int i = 0; i < 3; i++) {
        turn(w, true);
        assert_false(hand_is_reading(w->hand));
        assert_false(hand_is_at_end(w->hand));
    }
    world_close(w);
}

/* What hides it is what counts. */
static void a_damaged_record_that_was_written_anew_does_no_harm(void **state)
{
    (void)state;
    struct world *w = world_open(12);
    give_points(w, 10, spread_point);
    for (uint32_t i = 0; i < 10; i++) {
        put(w, i, 10, 0);
    }
    sweep_all(w);
    flip_stored(w, 5);
    flip_stored(w, 6);
    put(w, 5, 20, 0);
    take_away(w, 6, LOG_DELETE);
    begin_hand(w, 0, BOUND_END);
    walk_to_the_end(w);
    check_all(w);
    world_close(w);
}

/* RULES V1: what is dirty may not be durable; what the tree has is. */
static void a_paused_hand_stands_and_changes_behind_it_go_on(void **state)
{
    (void)state;
    struct world *w = world_open(13);
    give_points(w, 1000, spread_point);
    for (uint32_t i = 0; i < 1000; i++) {
        put(w, i, 10, 0);
    }
    w->config.slice_records = 10;
    begin_hand(w, 0, BOUND_END);
    while (w->message_count < 20) {
        turn(w, true);
        await_slice(w);
    }
    struct range_sum before = *hand_sum(w->hand);
    for (uint32_t i = 0; i < 1000; i++) {
        put(w, i, 20, 0);
    }
    uint32_t message_count = w->message_count;
    turn(w, false);
    assert_false(hand_is_reading(w->hand));
    assert_true(w->message_count > message_count);
    assert_int_equal(hand_sum(w->hand)->records, before.records);
    assert_int_equal(hand_sum(w->hand)->bytes, before.bytes + 10 * before.records);
    assert_true(hand_left(w->hand) >= 1000 - 2 * before.records);
    walk_to_the_end(w);
    assert_int_equal(hand_left(w->hand), 0);
    check_all(w);
    world_close(w);
}

/* --- results --- */

static void run_op(struct world *w, uint8_t client, uint64_t seq, uint64_t done, uint64_t point)
{
    struct op op = {.kind = OP_DELETE, .point = point};
    struct outcome outcome = {.was_there = true, .version = seq};
    op.identity.client[0] = client;
    op.identity.seq = seq;
    op.identity.done = done;
    uint64_t need;
    struct outcome known;
    assert_false(retry_answer(w->retries, &op, clock_wall_ms(), &known, &need));
    (void)retry_keep(w->retries, &op, &outcome, 0, clock_wall_ms());
}

static bool is_known_there(struct world *w, uint8_t client, uint64_t seq, uint64_t point)
{
    struct op op = {.kind = OP_DELETE, .point = point};
    struct outcome outcome = {0};
    uint64_t need;
    op.identity.client[0] = client;
    op.identity.seq = seq;
    op.identity.done = 1;
    return retry_answer(w->taken, &op, clock_wall_ms(), &outcome, &need) &&
           outcome.status == STATUS_OK && outcome.version == seq;
}

/* RULES Q1, Q2: what had run before, what runs while the hand walks, ahead of it or behind. */
static void results_of_the_range_and_all_lines_go_along(void **state)
{
    (void)state;
    struct world *w = world_open(14);
    enum { CLIENTS = 200 };
    give_points(w, 1000, spread_point);
    for (uint32_t i = 0; i < 1000; i++) {
        put(w, i, 10, 0);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        run_op(w, (uint8_t)i, 1, 1, i % 2 == 0 ? 5 : UINT64_MAX);
    }
    w->config.slice_records = 100;
    begin_hand(w, 0, BOUND_END / 2);
    uint32_t later = 0;
    while (!hand_is_at_end(w->hand)) {
        turn(w, true);
        run_op(w, (uint8_t)(later % CLIENTS), 2 + later / CLIENTS, 1, UINT64_MAX / 4);
        later++;
        await_slice(w);
    }
    turn(w, true);
    assert_true(w->line_count >= CLIENTS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(is_known_there(w, (uint8_t)i, 1, 5), i % 2 == 0);
    }
    for (uint32_t i = 0; i < later; i++) {
        uint8_t client = (uint8_t)(i % CLIENTS);
        assert_true(is_known_there(w, client, 2 + i / CLIENTS, UINT64_MAX / 4));
    }
    assert_int_equal(w->result_count, CLIENTS / 2 + later);
    check_all(w);
    world_close(w);
}

/* RULES Q2: it counts wherever its client asked for it, and something late of it may come to the range. */
static void what_a_line_has_put_behind_it_meanwhile_goes_along_at_the_end(void **state)
{
    (void)state;
    struct world *w = world_open(15);
    give_points(w, 1000, spread_point);
    for (uint32_t i = 0; i < 1000; i++) {
        put(w, i, 10, 0);
    }
    run_op(w, 1, 1, 1, UINT64_MAX);
    w->config.slice_records = 100;
    begin_hand(w, 0, BOUND_END / 2);
    turn(w, true);
    await_slice(w);
    assert_int_equal(w->line_count, 1);
    run_op(w, 1, 9, 9, UINT64_MAX);
    walk_to_the_end(w);
    assert_int_equal(w->line.done, 9);
    world_close(w);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_changes_while_the_hand_walks_the_target_has_it),
        cmocka_unit_test(thousands_at_one_point_pass_in_slices),
        cmocka_unit_test(records_at_neighbouring_points_are_met_once),
        cmocka_unit_test(an_empty_range_is_at_its_end_with_nothing_emitted),
        cmocka_unit_test(ranges_at_both_ends_of_the_circle_hold_their_own),
        cmocka_unit_test(the_largest_values_go_one_to_a_message),
        cmocka_unit_test(a_slice_can_be_limited_between_two),
        cmocka_unit_test(a_damaged_record_ends_the_walk_and_is_named),
        cmocka_unit_test(a_damaged_record_that_was_written_anew_does_no_harm),
        cmocka_unit_test(a_paused_hand_stands_and_changes_behind_it_go_on),
        cmocka_unit_test(results_of_the_range_and_all_lines_go_along),
        cmocka_unit_test(what_a_line_has_put_behind_it_meanwhile_goes_along_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
