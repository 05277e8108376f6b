/* SPDX-License-Identifier: MIT */
#include "shardd/hand.h"

#include "proto/endian.h"
#include "proto/table.h"
#include "shardd/store_internal.h"
#include "tests/unit/dice.h"
#include "tests/unit/store_fixture.h"

/*
 * The hand over a real store, whose operations tell it of what they change: two walks of the same range, one while
 * clients write, the other when nothing changes any more, must come to the same. Every other record is an entity.
 */

enum { KEYS = 400 };

struct walk {
    struct hand *hand;
    struct buffer stored[KEYS]; /* what the target has; empty: nothing */
    uint32_t change_count;
};

struct world {
    struct store_fixture *store;
    struct dice dice;
    struct walk walks[2];
    struct walk *walk; /* that is under way; NULL: none */
};

/* Operations of each kind that came in the stream, over all seeds. */
static uint32_t kinds[LOG_DONE + 1];

static uint32_t number_of(struct bytes key)
{
    char text[16] = {0};
    assert_true(key.len > 3 && key.len < sizeof(text));
    memcpy(text, key.data, key.len);
    uint32_t number = (uint32_t)strtoul(text + 3, NULL, 10);
    assert_true(number < KEYS);
    return number;
}

static void store_arrived(struct walk *walk, const struct record *record)
{
    uint8_t key[TREE_KEY_LEN_MAX];
    uint8_t head[RECORD_HEADER_LEN];
    struct buffer *stored = &walk->stored[number_of(record->key)];
    size_t key_len = record_key_encode(record->point, record->table, record->key, key);
    struct buffer made = {0};
    record_header_encode(record, bytes_of(key, key_len), head);
    buffer_append(&made, head, sizeof(head));
    buffer_append_bytes(&made, record->value);
    buffer_fini(stored);
    *stored = made;
}

static void apply_touch(struct walk *walk, const struct log_op *op)
{
    uint8_t key[TREE_KEY_LEN_MAX];
    struct record record = {.point = op->point, .table = op->table, .key = op->key};
    size_t key_len = record_key_encode(op->point, op->table, op->key, key);
    struct buffer before = walk->stored[number_of(op->key)];
    assert_int_equal(record_decode(buffer_bytes(&before), bytes_of(key, key_len), &record),
                     RECORD_FINE);
    walk->stored[number_of(op->key)] = (struct buffer){0};
    record.expiry_ms = op->expiry_ms;
    store_arrived(walk, &record);
    buffer_fini(&before);
}

static void apply_operation(struct walk *walk, const struct log_op *op)
{
    walk->change_count += op->kind != LOG_RESULT;
    kinds[op->kind]++;
    if (op->kind == LOG_PUT) {
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
        store_arrived(walk, &record);
    } else if (op->kind == LOG_TOUCH) {
        apply_touch(walk, op);
    } else if (op->kind != LOG_RESULT) {
        assert_true(walk->stored[number_of(op->key)].len > 0);
        buffer_fini(&walk->stored[number_of(op->key)]);
    }
}

static void on_emit(void *context, struct buffer *items, uint64_t need)
{
    struct walk *walk = context;
    struct bytes rest = buffer_bytes(items);
    struct stream_unit unit;
    (void)need;
    while (stream_next(&rest, &unit)) {
        struct record record = {0};
        if (unit.item == STREAM_OPERATION) {
            apply_operation(walk, &unit.op);
        } else if (unit.item == STREAM_RECORD) {
            assert_int_equal(record_decode(unit.stored, unit.tree_key, &record), RECORD_FINE);
            assert_true(record_key_decode(unit.tree_key, &record));
            store_arrived(walk, &record);
        }
    }
    assert_int_equal(rest.len, 0);
    buffer_fini(items);
}

static void on_fault(void *context, const char *text)
{
    (void)context;
    fail_msg("%s", text);
}

static struct world world;

static void on_turn_end(void *context)
{
    (void)context;
    if (world.walk) {
        bool may_go_on = dice_below(&world.dice, 3) > 0;
        store_hand_turn(world.store->store, world.walk->hand, may_go_on);
    }
}

static void begin_walk(struct walk *walk)
{
    struct store *store = world.store->store;
    const struct hand_config config = {
        .loop = world.store->loop,
        .tree = store->tree,
        .hot = store->hot,
        .retries = store->retries,
        .end = BOUND_END,
        .slice_records = 5,
        .emit = on_emit,
        .on_fault = on_fault,
        .context = walk,
    };
    walk->hand = hand_new(&config);
    world.walk = walk;
}

static bool is_at_end(struct store_fixture *f)
{
    (void)f;
    timer_set(world.store->store->tick, 1);
    return hand_is_at_end(world.walk->hand);
}

/* --- clients --- */

static void submit_one(void)
{
    static const enum op_kind choice[] = {OP_WRITE, OP_WRITE,  OP_WRITE, OP_DELETE, OP_POP,
                                          OP_READ,  OP_EXPIRE, OP_INCR,  OP_READ};
    static uint64_t seq;
    static char text[16];
    uint32_t number = dice_below(&world.dice, KEYS);
    (void)snprintf(text, sizeof(text), "key%05u", number); /* as many bytes as an id has */
    struct op op = store_op(choice[dice_below(&world.dice, 9)], text);
    op.table = number % 2 == 0 ? TABLE_DEFAULT : TABLE_ENTITIES;
    op.point = table_point(op.table, op.key);
    op.has_kind = op.kind == OP_WRITE && table_has_ids(op.table);
    op.record_kind = (uint16_t)(op.has_kind ? dice_below(&world.dice, 3) : 0);
    if (op.kind == OP_WRITE || op.kind == OP_EXPIRE) {
        uint32_t roll = dice_below(&world.dice, 6);
        op.ttl_ms = roll == 0 ? 1 : roll == 1 ? 50 : roll == 2 ? 3600000 : 0;
        op.is_sliding = op.ttl_ms == 50;
    }
    if (op_changes(&op) && dice_below(&world.dice, 3) == 0) {
        op.identity.client[0] = (uint8_t)(1 + dice_below(&world.dice, 20));
        op.identity.seq = ++seq;
        op.identity.done = seq > 100 ? seq - 100 : 1;
    }
    (void)store_fixture_submit(world.store, &op);
}

static void submit_some(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        submit_one();
    }
    store_fixture_wait(world.store);
}

static void compare(const struct walk *one, const struct walk *other)
{
    assert_true(range_sum_equal(hand_sum(one->hand), hand_sum(other->hand)));
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_true(bytes_equal(buffer_bytes(&one->stored[i]), buffer_bytes(&other->stored[i])));
    }
}

static void end_world(void)
{
    world.walk = NULL;
    for (int i = 0; i < 2; i++) {
        hand_free(world.walks[i].hand);
        for (uint32_t j = 0; j < KEYS; j++) {
            buffer_fini(&world.walks[i].stored[j]);
        }
    }
    store_fixture_free(world.store);
}

static void run_seed(uint64_t seed, const struct range *range)
{
    world = (struct world){.store = store_fixture_open(), .dice = dice_of(seed)};
    store_fixture_own(world.store, range, 1);
    submit_some(1500);
    if (seed % 2 == 0) {
        store_fixture_make_cold(world.store);
    }
    loop_on_turn_end(world.store->loop, on_turn_end, NULL);
    begin_walk(&world.walks[0]);
    store_add_hand(world.store->store, world.walks[0].hand);
    while (!hand_is_at_end(world.walks[0].hand)) {
        submit_some(1 + dice_below(&world.dice, 30));
    }
    submit_some(300);
    store_freeze(world.store->store, 0);
    store_hand_turn(world.store->store, world.walks[0].hand, false);
    assert_true(world.walks[0].change_count > 100);
    struct range_sum sum = *hand_sum(world.walks[0].hand);
    begin_walk(&world.walks[1]);
    store_fixture_run(world.store, is_at_end);
    assert_int_equal(world.walks[1].change_count, 0);
    assert_true(range_sum_equal(&sum, hand_sum(world.walks[0].hand)));
    compare(&world.walks[0], &world.walks[1]);
    end_world();
}

static void what_clients_change_while_the_hand_walks_is_in_the_stream(void **state)
{
    static const struct range all = {.end = BOUND_END, .limit = STORE_TEST_LIMIT};
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run_seed(seed, &all);
    }
    assert_true(kinds[LOG_PUT] > 0 && kinds[LOG_DELETE] > 0 && kinds[LOG_EXPIRE] > 0);
    assert_true(kinds[LOG_TOUCH] > 0 && kinds[LOG_RESULT] > 0);
}

/* RULES S7: what leaves to make room, too. */
static void what_is_evicted_while_the_hand_walks_is_in_the_stream(void **state)
{
    static const struct range small = {
        .end = BOUND_END, .limit = 15000, .when_full = WHEN_FULL_EVICT};
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run_seed(seed, &small);
    }
    assert_true(kinds[LOG_EVICT] > 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_change_while_the_hand_walks_is_in_the_stream),
        cmocka_unit_test(what_is_evicted_while_the_hand_walks_is_in_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
