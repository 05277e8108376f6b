/* SPDX-License-Identifier: MIT */
#include "shardd/store_internal.h"

#include "proto/endian.h"
#include "shardd/retry.h"
#include "shardd/seal.h"
#include "tests/unit/dice.h"
#include "tests/unit/store_fixture.h"

static int setup(void **state)
{
    *state = store_fixture_open();
    return 0;
}

static int teardown(void **state)
{
    store_fixture_free(*state);
    return 0;
}

static const struct outcome *run(struct store_fixture *f, enum op_kind kind, const char *key)
{
    struct op op = store_op(kind, key);
    return store_fixture_do(f, &op);
}

static uint32_t submit(struct store_fixture *f, enum op_kind kind, const char *key)
{
    struct op op = store_op(kind, key);
    return store_fixture_submit(f, &op);
}

static const char *numbered(uint32_t number)
{
    static char key[16];
    (void)snprintf(key, sizeof(key), "key%u", number);
    return key;
}

/* --- order --- */

static void effects_and_answers_keep_the_order_of_submission(void **state)
{
    struct store_fixture *f = *state;
    static const enum op_kind kinds[] = {OP_EXISTS, OP_WRITE,  OP_EXISTS, OP_INCR,
                                         OP_INCR,   OP_DELETE, OP_EXISTS, OP_INCR};
    for (uint32_t i = 0; i < 8; i++) {
        submit(f, kinds[i], "key");
    }
    store_fixture_wait(f);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(f->answers[i].order, i);
        assert_int_equal(store_fixture_answer(f, i)->status, STATUS_OK);
    }
    assert_false(store_fixture_answer(f, 0)->was_there);
    assert_true(store_fixture_answer(f, 2)->was_there);
    assert_int_equal(store_fixture_answer(f, 3)->integer, 2);
    assert_int_equal(store_fixture_answer(f, 4)->integer, 3);
    assert_true(store_fixture_answer(f, 5)->was_there);
    assert_false(store_fixture_answer(f, 6)->was_there);
    assert_int_equal(store_fixture_answer(f, 7)->integer, 1);
}

static void more_than_a_batch_is_done_in_several(void **state)
{
    struct store_fixture *f = *state;
    for (uint32_t i = 0; i < 1000; i++) {
        submit(f, OP_INCR, "key");
    }
    assert_false(store_is_idle(f->store));
    store_fixture_wait(f);
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(store_fixture_answer(f, i)->integer, i + 1);
    }
    assert_true(store_is_idle(f->store));
    assert_int_equal(store_account(f->store, 0)->records, 1);
}

/* --- starts --- */

static void what_was_acknowledged_is_there_after_a_stop_and_after_a_kill(void **state)
{
    struct store_fixture *f = *state;
    for (uint32_t i = 0; i < 1000; i++) {
        submit(f, i % 3 == 2 ? OP_DELETE : OP_INCR, numbered(i / 3));
    }
    store_fixture_wait(f);
    struct store_fixture *copy = store_fixture_crash(f);
    store_fixture_start(copy);
    store_fixture_restart(f);
    struct store_fixture *both[] = {f, copy};
    for (int which = 0; which < 2; which++) {
        const struct account *account = store_account(both[which]->store, 0);
        assert_int_equal(account->records, 1);
        assert_int_equal(account->used, 6 + 1 + 64);
        assert_true(run(both[which], OP_EXISTS, numbered(333))->was_there);
        assert_false(run(both[which], OP_EXISTS, numbered(1))->was_there);
    }
    store_fixture_free(copy);
}

struct known {
    uint64_t acknowledged;  /* version; 0: nothing there */
    uint64_t submitted[64]; /* later ones */
    uint32_t submitted_count;
    uint32_t answer; /* of the last */
};

/* The version found is the one acknowledged or a later one; and the accounts are what is there. */
static void check_recovered(struct store_fixture *copy, struct known *keys, uint32_t key_count)
{
    uint64_t records = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        const struct outcome *outcome = run(copy, OP_READ, numbered(i));
        uint64_t version = outcome->was_there ? outcome->version : 0;
        bool is_fine = version == keys[i].acknowledged;
        for (uint32_t j = 0; j < keys[i].submitted_count; j++) {
            is_fine |= version == keys[i].submitted[j];
        }
        assert_true(is_fine);
        records += outcome->was_there;
    }
    assert_int_equal(store_account(copy->store, 0)->records, records);
    assert_int_equal(run(copy, OP_INCR, "another")->status, STATUS_OK);
}

/* Acknowledged within the turn or later; what was refused has changed nothing. */
static void change_known(struct store_fixture *f, struct known *known, const char *key,
                         enum op_kind kind)
{
    uint32_t number = submit(f, kind, key);
    store_fixture_end_turn(f);
    const struct answer *answer = &f->answers[number];
    if (!answer->is_done || answer->outcome.status != STATUS_OK) {
        store_fixture_wait(f);
        answer = &f->answers[number];
    }
    bool is_refused = answer->outcome.status != STATUS_OK;
    known->submitted[known->submitted_count] = kind == OP_DELETE ? 0 : answer->outcome.version;
    known->submitted_count += !is_refused;
}

static void acknowledge(struct known *known)
{
    if (known->submitted_count > 0) {
        known->acknowledged = known->submitted[known->submitted_count - 1];
        known->submitted_count = 0;
    }
}

/* The directory is copied at any time, also while the log or the tree is being written to. */
static void killed_at_any_time_it_has_all_that_was_acknowledged(void **state)
{
    struct store_fixture *f = *state;
    struct dice dice = dice_of(3);
    enum { KEYS = 40 };
    static struct known keys[KEYS];
    memset(keys, 0, sizeof(keys));
    f->config.log_limit = 20000;
    store_fixture_restart(f);
    for (int round = 0; round < 60; round++) {
        for (uint32_t i = dice_below(&dice, 60); i > 0; i--) {
            uint32_t key = dice_below(&dice, KEYS);
            if (keys[key].submitted_count < 64) {
                enum op_kind kind = dice_below(&dice, 3) == 0 ? OP_DELETE : OP_WRITE;
                change_known(f, &keys[key], numbered(key), kind);
            }
        }
        if (dice_below(&dice, 2) == 0) {
            struct store_fixture *copy = store_fixture_crash(f);
            copy->config.log_limit = STORE_LOG_DEFAULT;
            store_fixture_start(copy);
            check_recovered(copy, keys, KEYS);
            store_fixture_free(copy);
        }
        store_fixture_wait(f);
        for (uint32_t i = 0; i < KEYS; i++) {
            acknowledge(&keys[i]);
        }
    }
}

/* --- cold records (RULES S5) --- */

static void operations_on_a_cold_key_wait_in_order_and_others_overtake_them(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "cold");
    store_fixture_make_cold(f);
    run(f, OP_INCR, "hot");
    uint32_t first = submit(f, OP_INCR, "cold");
    uint32_t last = first;
    for (int i = 0; i < 100; i++) {
        last = submit(f, OP_INCR, "cold");
    }
    uint32_t other = submit(f, OP_INCR, "hot");
    store_fixture_end_turn(f);
    assert_true(f->answers[other].is_done);
    assert_false(f->answers[first].is_done);
    store_fixture_wait(f);
    for (uint32_t i = first; i <= last; i++) {
        assert_int_equal(store_fixture_answer(f, i)->integer, i - first + 2);
        assert_true(i == first || f->answers[i].order > f->answers[i - 1].order);
    }
    struct store_stat stat;
    store_stat(f->store, &stat);
    assert_true(stat.cold_reads >= 1 && stat.cold_reads <= 2);
}

static void what_the_tree_does_not_have_is_asked_for_once(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "some");
    store_fixture_make_cold(f);
    assert_false(run(f, OP_READ, "absent")->was_there);
    assert_int_equal(store_fixture_answer(f, f->answer_count - 1)->need, 0);
    assert_false(run(f, OP_READ, "absent")->was_there);
    struct store_stat stat;
    store_stat(f->store, &stat);
    assert_int_equal(stat.cold_reads, 1);
}

static bool is_nobody_there(const struct op *op)
{
    (void)op;
    return false;
}

static void who_waited_too_long_or_left_is_put_off_without_an_effect(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "cold");
    store_fixture_make_cold(f);
    struct op late = store_op(OP_INCR, "cold");
    late.deadline_us = 1;
    struct op left = store_op(OP_READ, "cold");
    left.is_awaited = is_nobody_there;
    struct op write = store_op(OP_INCR, "cold");
    write.is_awaited = is_nobody_there;
    uint32_t first = store_fixture_submit(f, &late);
    store_fixture_submit(f, &left);
    store_fixture_submit(f, &write);
    store_fixture_wait(f);
    assert_int_equal(store_fixture_answer(f, first)->status, STATUS_TRY_LATER);
    assert_int_equal(store_fixture_answer(f, first)->reason, OP_REASON_WAITED_TOO_LONG);
    assert_int_equal(store_fixture_answer(f, first + 1)->status, STATUS_TRY_LATER);
    assert_int_equal(store_fixture_answer(f, first + 2)->integer, 2);
}

static void what_waits_is_bounded_and_counted(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "cold");
    store_fixture_make_cold(f);
    static uint8_t value[1 << 20] = {0xc6, 0, 0x0f, 0xff, 0xfb};
    struct op write = store_op(OP_WRITE, "cold");
    write.value = bytes_of(value, sizeof(value));
    uint32_t count = 0;
    while (store_has_room(f->store, op_len(&write)) && count < 200) {
        store_fixture_submit(f, &write);
        store_fixture_end_turn(f);
        count++;
    }
    assert_true(count > 0 && count <= STORE_QUEUE_LEN_MAX / sizeof(value));
    store_fixture_wait(f);
    assert_true(store_has_room(f->store, op_len(&write)));
}

/* RULES F3: however much memory there is. */
static void with_little_memory_less_waits(void **state)
{
    struct store_fixture *f = *state;
    f->config.memory_limit = STORE_MEMORY_MIN;
    run(f, OP_INCR, "cold");
    store_fixture_make_cold(f);
    static uint8_t value[4 << 20] = {0xc6, 0, 0x3f, 0xff, 0xfb};
    struct op write = store_op(OP_WRITE, "cold");
    write.value = bytes_of(value, sizeof(value));
    uint32_t first = f->answer_count;
    for (uint32_t i = 0; i < 5; i++) {
        store_fixture_submit(f, &write);
    }
    store_fixture_wait(f);
    for (uint32_t i = 0; i < 5; i++) {
        const struct outcome *outcome = store_fixture_answer(f, first + i);
        assert_int_equal(outcome->status, i < 2 ? STATUS_OK : STATUS_TRY_LATER);
        assert_int_equal(outcome->reason, i < 2 ? OP_REASON_NONE : OP_REASON_TOO_MANY_WAIT);
    }
}

static void what_is_freed_unanswered_is_given_back(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "cold");
    store_fixture_make_cold(f);
    uint32_t fetched = submit(f, OP_INCR, "cold");
    struct op scan = store_op(OP_SCAN, "");
    scan.point = 0;
    store_fixture_submit(f, &scan);
    store_fixture_submit(f, &scan);
    store_fixture_end_turn(f);
    submit(f, OP_INCR, "cold"); /* of a turn that does not end */
    store_free(f->store);
    f->store = NULL;
    for (uint32_t i = fetched; i < f->answer_count; i++) {
        assert_int_equal(store_fixture_answer(f, i)->status, STATUS_SHUTTING_DOWN);
    }
}

/* --- damage --- */

static void flip(struct store_fixture *f, const char *key, size_t offset)
{
    uint8_t tree_key[TREE_KEY_LEN_MAX];
    static uint8_t copy[1024];
    struct bytes stored;
    char error[256];
    struct op op = store_op(OP_READ, key);
    struct tree *tree = tree_open(f->scratch.path, error, sizeof(error));
    assert_non_null(tree);
    struct tree_txn *txn = tree_begin_write(tree);
    struct bytes at = bytes_of(tree_key, record_key_encode(op.point, 0, op.key, tree_key));
    assert_true(tree_get(txn, TREE_RECORDS, at, &stored));
    memcpy(copy, stored.data, stored.len);
    copy[offset] ^= 0x80;
    tree_put(txn, TREE_RECORDS, at, bytes_of(copy, stored.len), bytes_of(NULL, 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    tree_close(tree);
}

static void a_damaged_record_is_never_given_but_can_be_replaced_and_deleted(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "replaced");
    run(f, OP_INCR, "deleted");
    run(f, OP_INCR, "sound");
    uint64_t used = store_account(f->store, 0)->used;
    store_fixture_make_cold(f);
    store_fixture_kill(f);
    flip(f, "replaced", 15); /* its version seems to be far ahead */
    flip(f, "deleted", RECORD_HEADER_LEN);
    store_fixture_start(f);
    static const enum op_kind kinds[] = {OP_READ, OP_EXISTS, OP_POP, OP_INCR};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(run(f, kinds[i], "replaced")->status, STATUS_DAMAGED);
    }
    struct op scan = store_op(OP_SCAN, "");
    scan.point = 0;
    assert_int_equal(store_fixture_do(f, &scan)->status, STATUS_DAMAGED);
    assert_int_equal(run(f, OP_INCR, "sound")->integer, 2);
    uint32_t first = submit(f, OP_READ, "replaced");
    submit(f, OP_WRITE, "replaced");
    submit(f, OP_INCR, "replaced");
    submit(f, OP_DELETE, "deleted");
    submit(f, OP_READ, "deleted");
    store_fixture_wait(f);
    assert_int_equal(store_fixture_answer(f, first)->status, STATUS_DAMAGED);
    assert_int_equal(store_fixture_answer(f, first + 1)->status, STATUS_OK);
    assert_int_equal(store_fixture_answer(f, first + 2)->integer, 2);
    assert_true(store_fixture_answer(f, first + 3)->was_there);
    assert_false(store_fixture_answer(f, first + 4)->was_there);
    assert_int_equal(store_account(f->store, 0)->used, used - (7 + 1 + 64));
    store_fixture_make_cold(f);
    assert_int_equal(run(f, OP_INCR, "replaced")->integer, 3);
    assert_int_equal(store_fixture_do(f, &scan)->status, STATUS_OK);
}

/* --- memory (RULES F3) --- */

enum { MEMORY = 8 << 20, VALUE_LEN = 4000 };

static struct op large_write(uint32_t number)
{
    static uint8_t value[VALUE_LEN] = {0xc5, (VALUE_LEN - 3) >> 8, (VALUE_LEN - 3) & 0xff};
    struct op op = store_op(OP_WRITE, numbered(number));
    op.value = bytes_of(value, sizeof(value));
    return op;
}

static bool has_swept(struct store_fixture *f)
{
    struct store_stat stat;
    store_stat(f->store, &stat);
    return store_is_idle(f->store) && stat.dirty_bytes < MEMORY / 4;
}

/* Of the answers from `first` on; memory may run short amid them. */
static bool all_are_written(struct store_fixture *f, uint32_t first)
{
    bool all = true;
    for (uint32_t i = first; i < f->answer_count; i++) {
        enum status status = store_fixture_answer(f, i)->status;
        assert_true(status == STATUS_OK || status == STATUS_TRY_LATER);
        all &= status == STATUS_OK;
    }
    return all;
}

static void data_many_times_larger_than_the_memory_is_kept_within_it(void **state)
{
    struct store_fixture *f = *state;
    enum { COUNT = 16000 };
    f->config.memory_limit = MEMORY;
    store_fixture_restart(f);
    uint64_t highest = 0;
    uint64_t dirtiest = 0;
    for (uint32_t i = 0; i < COUNT; i += 64) {
        uint32_t first = f->answer_count;
        struct store_stat stat;
        for (uint32_t j = i; j < i + 64; j++) {
            struct op op = large_write(j);
            store_fixture_submit(f, &op);
        }
        store_fixture_wait(f);
        store_stat(f->store, &stat);
        uint64_t held = stat.hot_bytes + stat.table_bytes;
        highest = held > highest ? held : highest;
        dirtiest = stat.dirty_bytes > dirtiest ? stat.dirty_bytes : dirtiest;
        if (!all_are_written(f, first)) {
            store_fixture_run(f, has_swept);
            i -= 64;
        }
    }
    assert_true(dirtiest <= MEMORY / 2 + 2 * 64 * (VALUE_LEN + 500));
    assert_true(highest <= MEMORY + MEMORY / 2);
    assert_int_equal(store_account(f->store, 0)->records, COUNT);
    for (uint32_t i = 0; i < COUNT; i += 7) {
        uint32_t number = submit(f, OP_READ, numbered(i));
        if (i % 50 == 0) {
            store_fixture_wait(f);
            assert_int_equal(store_fixture_answer(f, number)->value.len, VALUE_LEN);
        }
    }
    store_fixture_wait(f);
    struct store_stat stat;
    store_stat(f->store, &stat);
    assert_true(stat.hot_bytes + stat.table_bytes <= MEMORY + MEMORY / 2);
}

static uint64_t hot_len(const struct store_fixture *f)
{
    struct store_stat stat;
    store_stat(f->store, &stat);
    return stat.hot_bytes + stat.table_bytes;
}

static uint64_t give_up_ms;

static bool has_given_way(struct store_fixture *f)
{
    return hot_len(f) <= MEMORY * 5 / 8 || clock_mono_ms() > give_up_ms;
}

/* RULES F3 */
static void what_moves_keep_is_taken_from_the_records_that_are_in_memory(void **state)
{
    struct store_fixture *f = *state;
    f->config.memory_limit = MEMORY;
    store_fixture_restart(f);
    for (uint32_t i = 0; hot_len(f) < MEMORY * 7 / 8; i++) {
        assert_true(i < 100000);
        struct op op = large_write(i);
        store_fixture_submit(f, &op);
        if (i % 64 == 63) {
            store_fixture_run(f, has_swept);
        }
    }
    store_fixture_run(f, has_swept);
    assert_true(hot_len(f) > MEMORY * 3 / 4);
    store_set_moving_len(f->store, MEMORY / 2);
    struct store_stat stat;
    store_stat(f->store, &stat);
    assert_int_equal(stat.moving_bytes, MEMORY / 2);
    give_up_ms = clock_mono_ms() + 10000;
    store_fixture_run(f, has_given_way);
    assert_true(hot_len(f) <= MEMORY * 5 / 8);
}

static void a_log_many_times_larger_than_the_memory_is_replayed_within_it(void **state)
{
    struct store_fixture *f = *state;
    enum { COUNT = 12000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        struct op op = large_write(i);
        store_fixture_submit(f, &op);
        if (i % 64 == 63) {
            store_fixture_end_turn(f);
        }
    }
    store_fixture_wait(f);
    struct store_fixture *copy = store_fixture_crash(f);
    copy->config.memory_limit = MEMORY;
    store_fixture_start(copy);
    struct store_stat stat;
    store_stat(copy->store, &stat);
    assert_true(stat.hot_bytes + stat.table_bytes <= MEMORY + MEMORY / 2);
    assert_true(stat.dirty_bytes <= MEMORY / 2);
    for (uint32_t i = 0; i < COUNT; i += 100) {
        assert_true(run(copy, OP_EXISTS, numbered(i))->was_there);
    }
    store_fixture_free(copy);
}

/* --- retries through a restart --- */

static void a_retry_after_a_restart_is_answered_from_the_tree_and_the_log(void **state)
{
    struct store_fixture *f = *state;
    struct op pop = store_op(OP_POP, "key");
    pop.identity = (struct op_identity){.client = {9}, .seq = 1, .done = 1};
    run(f, OP_INCR, "key");
    assert_true(store_fixture_do(f, &pop)->was_there);
    uint64_t used = store_account(f->store, 0)->used;
    struct store_fixture *copy = store_fixture_crash(f);
    store_fixture_start(copy);
    assert_true(store_fixture_do(copy, &pop)->was_there);
    assert_int_equal(store_account(copy->store, 0)->used, used);
    store_fixture_free(copy);
    store_fixture_make_cold(f);
    const struct outcome *outcome = store_fixture_do(f, &pop);
    assert_true(outcome->was_there);
    assert_int_equal(outcome->value.len, 1);
    assert_int_equal(store_account(f->store, 0)->used, used);
    pop.identity.seq = 2;
    pop.identity.done = 2;
    assert_false(store_fixture_do(f, &pop)->was_there);
    assert_int_equal(store_account(f->store, 0)->used, 0);
}

/* --- moves --- */

/* RULES V1 */
static void only_who_changes_a_range_with_a_delay_is_slowed_by_it(void **state)
{
    struct store_fixture *f = *state;
    const struct range halves[] = {
        {.end = BOUND_END / 2, .limit = STORE_TEST_LIMIT},
        {.start = BOUND_END / 2, .end = BOUND_END, .limit = STORE_TEST_LIMIT}};
    store_fixture_own(f, halves, 2);
    assert_int_equal(store_writer_delay_ms(f->store, UINT64_MAX), 0);
    store_set_delay(f->store, BOUND_END / 2, 20);
    assert_int_equal(store_writer_delay_ms(f->store, UINT64_MAX), 20);
    assert_int_equal(store_writer_delay_ms(f->store, 0), 0);
    store_set_delay(f->store, BOUND_END / 2, 0);
    assert_int_equal(store_writer_delay_ms(f->store, UINT64_MAX), 0);
}

/* RULES V4: certainly not done, and nobody is there to be told. */
static void a_held_change_of_who_left_is_dropped(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "key");
    store_freeze(f->store, 0);
    struct op left = store_op(OP_INCR, "key");
    left.is_awaited = is_nobody_there;
    uint32_t first = store_fixture_submit(f, &left);
    uint32_t stayed = submit(f, OP_INCR, "key");
    store_fixture_end_turn(f);
    assert_false(f->answers[first].is_done);
    store_thaw(f->store, 0);
    store_fixture_wait(f);
    assert_int_equal(store_fixture_answer(f, first)->status, STATUS_TRY_LATER);
    assert_int_equal(store_fixture_answer(f, stayed)->integer, 2);
}

/* What it depends on may still be there: it is asked for anew where the others are refused. */
static void a_scan_that_is_held_outlives_what_is_refused_around_it(void **state)
{
    struct store_fixture *f = *state;
    run(f, OP_INCR, "key");
    store_freeze(f->store, 0);
    struct op scan = store_op(OP_SCAN, "");
    scan.point = 0;
    uint32_t first = store_fixture_submit(f, &scan);
    uint32_t refused = submit(f, OP_INCR, "key");
    store_fixture_end_turn(f);
    store_refuse_within(f->store, 0, UINT64_MAX);
    assert_int_equal(store_fixture_answer(f, refused)->status, STATUS_TRY_LATER);
    assert_false(f->answers[first].is_done);
    store_thaw(f->store, 0);
    store_fixture_wait(f);
    assert_int_equal(store_fixture_answer(f, first)->status, STATUS_OK);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(effects_and_answers_keep_the_order_of_submission),
        TEST(more_than_a_batch_is_done_in_several),
        TEST(what_was_acknowledged_is_there_after_a_stop_and_after_a_kill),
        TEST(killed_at_any_time_it_has_all_that_was_acknowledged),
        TEST(operations_on_a_cold_key_wait_in_order_and_others_overtake_them),
        TEST(what_the_tree_does_not_have_is_asked_for_once),
        TEST(who_waited_too_long_or_left_is_put_off_without_an_effect),
        TEST(what_waits_is_bounded_and_counted),
        TEST(with_little_memory_less_waits),
        TEST(what_is_freed_unanswered_is_given_back),
        TEST(a_damaged_record_is_never_given_but_can_be_replaced_and_deleted),
        TEST(data_many_times_larger_than_the_memory_is_kept_within_it),
        TEST(what_moves_keep_is_taken_from_the_records_that_are_in_memory),
        TEST(a_log_many_times_larger_than_the_memory_is_replayed_within_it),
        TEST(a_retry_after_a_restart_is_answered_from_the_tree_and_the_log),
        TEST(only_who_changes_a_range_with_a_delay_is_slowed_by_it),
        TEST(a_held_change_of_who_left_is_dropped),
        TEST(a_scan_that_is_held_outlives_what_is_refused_around_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
