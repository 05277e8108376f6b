/* SPDX-License-Identifier: MIT */
#include "shardd/execute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/table.h"
#include "proto/unpack.h"
#include "shardd/hand.h"
#include "shardd/tree.h"
#include "tests/unit/bench.h"

#define LIMIT  4096
#define TTL_MS 1600

/* What else the shard counts while one record is looked at. */
#define OTHERS 1000

static int open_with(void **state, uint64_t limit, enum when_full when_full)
{
    static struct bench bench;
    bench_open(&bench, limit, when_full, true);
    *state = &bench;
    return 0;
}

static int setup(void **state)
{
    return open_with(state, LIMIT, WHEN_FULL_REJECT);
}

static int setup_cache(void **state)
{
    return open_with(state, LIMIT, WHEN_FULL_EVICT);
}

static int teardown(void **state)
{
    bench_close(*state);
    return 0;
}

static const struct outcome *run(struct bench *bench, enum op_kind kind, const char *key)
{
    struct op op = bench_op(kind, key);
    return bench_run(bench, &op);
}

static const struct outcome *write_text(struct bench *bench, const char *key, const char *text)
{
    struct op op = bench_write(key, text);
    return bench_run(bench, &op);
}

static struct op with_seq(struct op op, uint64_t seq, uint64_t done)
{
    op.identity = (struct op_identity){.client = {1}, .seq = seq, .done = done};
    return op;
}

static const struct outcome *incr(struct bench *bench, const char *key, int64_t by)
{
    struct op op = bench_op(OP_INCR, key);
    op.by = by;
    return bench_run(bench, &op);
}

static const struct outcome *write_for(struct bench *bench, const char *key, uint64_t ttl_ms,
                                       bool is_sliding)
{
    struct op op = bench_write(key, "value");
    op.ttl_ms = ttl_ms;
    op.is_sliding = is_sliding;
    return bench_run(bench, &op);
}

static void assert_text(const struct outcome *outcome, const char *text)
{
    struct unpack in = unpack_of(outcome->value);
    assert_int_equal(outcome->status, STATUS_OK);
    assert_true(outcome->was_there);
    assert_true(bytes_equal(unpack_text(&in), bytes_text(text)));
}

/* --- every operation on everything that may be found --- */

enum found {
    NOWHERE,       /* not hot, and the tree has nothing that is not */
    KNOWN_NOWHERE, /* the tree was asked */
    UNKNOWN,       /* not hot: perhaps in the tree */
    BEING_FETCHED,
    DELETED,
    THERE,
    DUE,
    SLIDING,
    DAMAGED,
    DAMAGED_NEWER, /* of a newer format */
    FOUND_COUNT,
};

enum condition { UNCONDITIONAL, IF_ABSENT, IF_PRESENT, IF_THIS, IF_OTHER, CONDITION_COUNT };

/* The record's value is the integer 7; its version is VERSION. */
#define VERSION UINT64_C(77)
#define SIZE    (UINT64_C(4) + 1 + RECORD_OVERHEAD)

struct scene {
    struct bench bench;
    enum op_kind kind;
    enum found found;
    enum condition condition;
    const char *key;
    struct op op;
    struct execute_damage damage;
    bool is_full; /* the disk */
};

/* A key of four bytes in the lower half. */
static const char *four_bytes(void)
{
    static char key[5] = "a000";
    while (point_of_key(bytes_text(key)) >> 63 != 0) {
        key[3]++;
    }
    return key;
}

static bool is_readable(enum found found)
{
    return found == THERE || found == SLIDING;
}

static bool is_damaged(enum found found)
{
    return found == DAMAGED || found == DAMAGED_NEWER;
}

static void put_found(struct scene *scene)
{
    static const enum hot_state states[FOUND_COUNT] = {
        [KNOWN_NOWHERE] = HOT_ABSENT, [BEING_FETCHED] = HOT_FETCHING, [DELETED] = HOT_DELETED};
    uint64_t now_ms = scene->bench.execution.now_ms;
    struct record record = {
        .point = scene->op.point,
        .key = scene->op.key,
        .value = bytes_of("\x07", 1),
        .version = VERSION,
        .expiry_ms = scene->found == DUE       ? now_ms
                     : scene->found == SLIDING ? now_ms + 100
                                               : 0,
        .ttl_ms = scene->found == DUE || scene->found == SLIDING ? TTL_MS : 0,
        .flags = scene->found == SLIDING ? RECORD_SLIDING : 0,
    };
    if (scene->found != NOWHERE && scene->found != UNKNOWN && !is_damaged(scene->found)) {
        hot_put(scene->bench.execution.hot, NULL, &record, states[scene->found],
                scene->found == DELETED);
    }
}

static void make_scene(struct scene *scene)
{
    bool is_complete = scene->found == NOWHERE;
    bench_open(&scene->bench, UINT64_C(1) << 30, WHEN_FULL_REJECT, is_complete);
    scene->bench.execution.is_disk_full = scene->is_full;
    scene->key = four_bytes();
    scene->op = bench_op(scene->kind, scene->key);
    scene->op.value = bytes_of("\x01", scene->kind == OP_WRITE ? 1 : 0);
    scene->op.by = 1;
    scene->op.if_absent = scene->condition == IF_ABSENT;
    scene->op.if_present = scene->condition == IF_PRESENT;
    scene->op.if_version = scene->condition == IF_THIS    ? VERSION
                           : scene->condition == IF_OTHER ? VERSION + 1
                                                          : 0;
    scene->damage = (struct execute_damage){scene->found == DAMAGED_NEWER, SIZE};
    put_found(scene);
    bool is_counted = is_readable(scene->found) || is_damaged(scene->found) || scene->found == DUE;
    struct account *account = bench_account(&scene->bench);
    account->used = OTHERS + (is_counted ? SIZE : 0);
    account->records = is_counted ? 2 : 1;
}

static bool takes_conditions(enum op_kind kind)
{
    return kind == OP_WRITE || kind == OP_POP || kind == OP_DELETE || kind == OP_INCR ||
           kind == OP_EXPIRE;
}

/* What the rules say, told another way than the code does. */
static enum status expected_status(const struct scene *scene)
{
    bool is_conditional = takes_conditions(scene->kind) && scene->condition != UNCONDITIONAL;
    bool is_blind = scene->kind == OP_WRITE || scene->kind == OP_DELETE || scene->kind == OP_EVICT;
    bool grows = (scene->kind == OP_WRITE || scene->kind == OP_INCR) && !is_readable(scene->found);
    if (is_damaged(scene->found) && (is_conditional || !is_blind)) {
        return STATUS_DAMAGED;
    }
    if (is_conditional && scene->condition == IF_ABSENT && is_readable(scene->found)) {
        return STATUS_CONDITION;
    }
    if (is_conditional && scene->condition != IF_ABSENT &&
        !(is_readable(scene->found) && scene->condition != IF_OTHER)) {
        return STATUS_CONDITION;
    }
    return grows && scene->is_full && !is_damaged(scene->found) ? STATUS_FULL : STATUS_OK;
}

/* 1: there afterwards, 0: not. */
static uint64_t expected_presence(const struct scene *scene)
{
    bool was_there = is_readable(scene->found) || is_damaged(scene->found);
    if (expected_status(scene) != STATUS_OK) {
        return was_there;
    }
    switch (scene->kind) {
    case OP_WRITE:
    case OP_INCR:
        return 1;
    case OP_POP:
    case OP_DELETE:
        return 0;
    case OP_REAP:
    case OP_EVICT:
        return was_there && !(is_readable(scene->found) && scene->condition == IF_THIS);
    default:
        return was_there;
    }
}

static bool changes_record(const struct scene *scene)
{
    bool was_there = is_readable(scene->found) || is_damaged(scene->found);
    bool is_rewritten = scene->kind == OP_WRITE || scene->kind == OP_INCR ||
                        (scene->kind == OP_EXPIRE && was_there);
    return expected_status(scene) == STATUS_OK &&
           (is_rewritten || expected_presence(scene) != was_there);
}

static bool slides(const struct scene *scene)
{
    return scene->kind == OP_READ && scene->found == SLIDING && !scene->is_full;
}

/* RULES R1 and R3. */
static void check_need(const struct scene *scene, uint64_t last_before)
{
    const struct outcome *outcome = &scene->bench.outcome;
    uint64_t last = log_last(scene->bench.log);
    if (outcome->status == STATUS_FULL || changes_record(scene) || slides(scene)) {
        assert_int_equal(outcome->need, last);
    } else if (is_readable(scene->found) || scene->found == DELETED) {
        assert_int_equal(outcome->need, VERSION);
    } else if (scene->found == DUE) {
        assert_true(last > last_before);
        assert_true(outcome->need > last_before && outcome->need <= last);
        assert_true(outcome->need >= stamp_of_ms(scene->bench.execution.now_ms));
    } else {
        assert_int_equal(outcome->need, 0);
    }
}

static void check_account(const struct scene *scene)
{
    const struct account *account = &scene->bench.accounts.items[0];
    uint64_t presence = expected_presence(scene);
    assert_int_equal(account->records, 1 + presence);
    assert_int_equal(account->used, OTHERS + presence * SIZE);
    bool is_reaped = scene->kind == OP_REAP && changes_record(scene);
    assert_int_equal(account->expired, is_reaped || scene->found == DUE);
    assert_int_equal(account->evicted, scene->kind == OP_EVICT && changes_record(scene));
}

static void check_outcome(const struct scene *scene)
{
    const struct outcome *outcome = &scene->bench.outcome;
    bool was_there = is_readable(scene->found) || is_damaged(scene->found);
    assert_int_equal(outcome->status, expected_status(scene));
    if (outcome->status == STATUS_CONDITION) {
        assert_int_equal(outcome->version, is_readable(scene->found) ? VERSION : 0);
    }
    if (outcome->status == STATUS_DAMAGED) {
        assert_int_equal(outcome->reason, scene->found == DAMAGED_NEWER ? OP_REASON_RECORD_NEWER
                                                                        : OP_REASON_RECORD_DAMAGED);
    }
    if (outcome->status == STATUS_OK && scene->kind == OP_INCR) {
        assert_int_equal(outcome->integer, is_readable(scene->found) ? 8 : 1);
    } else if (outcome->status == STATUS_OK && scene->kind != OP_WRITE && scene->kind != OP_EVICT) {
        assert_int_equal(outcome->was_there, was_there);
    }
}

static void play(struct scene *scene)
{
    make_scene(scene);
    uint64_t last_before = log_last(scene->bench.log);
    enum execute_result result =
        execute(&scene->bench.execution, &scene->op,
                is_damaged(scene->found) ? &scene->damage : NULL, &scene->bench.outcome);
    if (scene->found == UNKNOWN || scene->found == BEING_FETCHED) {
        assert_int_equal(result, EXECUTE_FETCH);
        assert_int_equal(log_last(scene->bench.log), last_before);
    } else {
        assert_int_equal(result, EXECUTE_DONE);
        check_outcome(scene);
        check_account(scene);
        check_need(scene, last_before);
    }
    bench_close(&scene->bench);
}

static void play_all(enum op_kind kind, enum found found)
{
    for (enum condition condition = UNCONDITIONAL; condition < CONDITION_COUNT; condition++) {
        for (int is_full = 0; is_full < 2; is_full++) {
            static struct scene scene;
            scene.kind = kind;
            scene.found = found;
            scene.condition = condition;
            scene.is_full = is_full;
            play(&scene);
        }
    }
}

static void every_operation_does_what_the_rules_say_whatever_is_found(void **state)
{
    static const enum op_kind kinds[] = {OP_READ, OP_EXISTS, OP_WRITE, OP_POP,  OP_DELETE,
                                         OP_INCR, OP_EXPIRE, OP_REAP,  OP_EVICT};
    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (enum found found = NOWHERE; found < FOUND_COUNT; found++) {
            play_all(kinds[i], found);
        }
    }
}

/* --- values and versions --- */

static void what_is_written_is_read_with_its_version(void **state)
{
    struct bench *bench = *state;
    const char *key = four_bytes();
    uint64_t version = write_text(bench, key, "value")->version;
    assert_int_equal(version, stamp_of_ms(bench->execution.now_ms));
    const struct outcome *outcome = run(bench, OP_READ, key);
    assert_text(outcome, "value");
    assert_int_equal(outcome->version, version);
    assert_int_equal(outcome->size, 4 + 6 + 64);
    assert_int_equal(outcome->left_ms, -1);
    assert_false(run(bench, OP_READ, bench_key(1))->was_there);
}

static void a_popped_record_is_given_once(void **state)
{
    struct bench *bench = *state;
    write_text(bench, bench_key(1), "value");
    assert_text(run(bench, OP_POP, bench_key(1)), "value");
    assert_false(run(bench, OP_POP, bench_key(1))->was_there);
    assert_int_equal(bench_account(bench)->used, 0);
}

static void incr_counts_from_zero_and_stays_within_64_bits(void **state)
{
    struct bench *bench = *state;
    const char *key = bench_key(1);
    assert_int_equal(incr(bench, key, 5)->integer, 5);
    assert_int_equal(incr(bench, key, -7)->integer, -2);
    assert_int_equal(incr(bench, key, INT64_MIN)->status, STATUS_INVALID);
    assert_int_equal(bench->outcome.reason, OP_REASON_OVERFLOW);
    assert_int_equal(incr(bench, key, INT64_MAX)->integer, INT64_MAX - 2);
    assert_int_equal(incr(bench, key, 2)->integer, INT64_MAX);
    assert_int_equal(incr(bench, key, 1)->status, STATUS_INVALID);
    assert_int_equal(incr(bench, key, 0)->integer, INT64_MAX);
    assert_int_equal(bench_account(bench)->records, 1);
}

static void incr_changes_only_integers(void **state)
{
    struct bench *bench = *state;
    write_text(bench, bench_key(1), "1");
    assert_int_equal(incr(bench, bench_key(1), 1)->status, STATUS_INVALID);
    assert_int_equal(bench->outcome.reason, OP_REASON_NOT_AN_INTEGER);
    assert_text(run(bench, OP_READ, bench_key(1)), "1");
    struct op op = bench_op(OP_WRITE, bench_key(2));
    op.value = bytes_of("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    bench_run(bench, &op);
    assert_int_equal(incr(bench, bench_key(2), 1)->status, STATUS_INVALID);
}

static void a_point_elsewhere_is_another_shards(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write(bench_key(1), "1");
    op.point = point_of_bound(BOUND_END / 2);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_WRONG_SHARD);
    op.kind = OP_READ;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_WRONG_SHARD);
}

/* --- entities --- */

/* In the lower half. */
static const uint8_t some_id[ID_KEY_LEN] = {0, 1, 2, 3, 4, 0x3f, 6, 7};

static struct op entity_op(enum op_kind kind)
{
    struct bytes id = bytes_of(some_id, sizeof(some_id));
    return (struct op){
        .kind = kind,
        .table = TABLE_ENTITIES,
        .key = id,
        .point = table_point(TABLE_ENTITIES, id),
        .value = kind == OP_WRITE ? bytes_of("\x80", 1) : bytes_of(NULL, 0),
    };
}

static const struct outcome *run_entity(struct bench *bench, enum op_kind kind)
{
    struct op op = entity_op(kind);
    return bench_run(bench, &op);
}

static const struct outcome *write_of_kind(struct bench *bench, uint16_t kind)
{
    struct op op = entity_op(OP_WRITE);
    op.has_kind = true;
    op.record_kind = kind;
    return bench_run(bench, &op);
}

static void a_record_keeps_its_kind_unless_a_write_gives_another(void **state)
{
    struct bench *bench = *state;
    run_entity(bench, OP_WRITE);
    assert_int_equal(run_entity(bench, OP_READ)->kind, 0);
    write_of_kind(bench, UINT16_MAX);
    run_entity(bench, OP_WRITE);
    assert_int_equal(run_entity(bench, OP_READ)->kind, UINT16_MAX);
    struct op expire = entity_op(OP_EXPIRE);
    expire.ttl_ms = TTL_MS;
    bench_run(bench, &expire);
    assert_int_equal(run_entity(bench, OP_READ)->kind, UINT16_MAX);
    write_of_kind(bench, 0);
    assert_int_equal(run_entity(bench, OP_READ)->kind, 0);
    write_of_kind(bench, 7);
    assert_int_equal(run_entity(bench, OP_POP)->kind, 7);
    run_entity(bench, OP_WRITE);
    assert_int_equal(run_entity(bench, OP_READ)->kind, 0);
}

/* Nobody sees it any more, so nothing of it is kept. */
static void a_write_over_what_is_due_gives_it_no_kind(void **state)
{
    struct bench *bench = *state;
    struct op op = entity_op(OP_WRITE);
    op.has_kind = true;
    op.record_kind = 7;
    op.ttl_ms = TTL_MS;
    bench_run(bench, &op);
    bench_pass(bench, TTL_MS);
    run_entity(bench, OP_WRITE);
    assert_int_equal(run_entity(bench, OP_READ)->kind, 0);
}

static void the_same_bytes_in_another_table_are_another_record(void **state)
{
    struct bench *bench = *state;
    struct op op = entity_op(OP_READ);
    run_entity(bench, OP_WRITE);
    op.table = TABLE_DEFAULT;
    op.point = table_point(op.table, op.key) >> 1;
    assert_false(bench_run(bench, &op)->was_there);
    assert_true(run_entity(bench, OP_DELETE)->was_there);
    assert_int_equal(bench_account(bench)->records, 0);
}

/* RULES Q1: and not what the same condition would come to by then. */
static void a_retry_of_a_write_to_what_was_not_there_gets_the_first_answer(void **state)
{
    struct bench *bench = *state;
    struct op op = with_seq(entity_op(OP_WRITE), 1, 1);
    op.if_present = true;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_CONDITION);
    assert_int_equal(bench->outcome.version, 0);
    run_entity(bench, OP_WRITE);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_CONDITION);
    assert_int_equal(bench->outcome.version, 0);
    assert_string_equal(outcome_text(&bench->outcome), "if_present: the key is not there");
    op = with_seq(op, 2, 2);
    uint64_t version = bench_run(bench, &op)->version;
    assert_int_equal(bench->outcome.status, STATUS_OK);
    run_entity(bench, OP_DELETE);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
    assert_int_equal(bench->outcome.version, version);
    assert_false(run_entity(bench, OP_READ)->was_there);
}

/* --- expiry --- */

static void a_record_is_there_until_its_time_and_not_a_millisecond_longer(void **state)
{
    struct bench *bench = *state;
    const char *key = bench_key(1);
    write_for(bench, key, TTL_MS, false);
    assert_int_equal(run(bench, OP_READ, key)->left_ms, TTL_MS);
    bench_pass(bench, TTL_MS - 1);
    assert_int_equal(run(bench, OP_READ, key)->left_ms, 1);
    assert_int_equal(bench->outcome.ttl_ms, TTL_MS);
    bench_pass(bench, 1);
    assert_false(run(bench, OP_READ, key)->was_there);
    /* RULES R3: a deletion whose stamp is at or after the expiry. */
    assert_int_equal(bench->outcome.need, log_last(bench->log));
    assert_true(bench->outcome.need >= stamp_of_ms(bench->execution.now_ms));
    assert_int_equal(bench_account(bench)->used, 0);
    assert_int_equal(bench_account(bench)->expired, 1);
    /* A clock that goes back does not bring it back. */
    bench->execution.now_ms -= TTL_MS;
    assert_false(run(bench, OP_READ, key)->was_there);
}

/* A scan hid it, and while the reap was on its way the clock was set back: the next read showed it again. */
static void what_a_scan_has_hidden_goes_by_any_clock(void **state)
{
    struct bench *bench = *state;
    struct op reap = bench_op(OP_REAP, bench_key(1));
    reap.if_version = write_for(bench, bench_key(1), TTL_MS, true)->version;
    bench_pass(bench, TTL_MS / 2);
    assert_true(run(bench, OP_READ, bench_key(1))->was_there);
    bench_run(bench, &reap);
    assert_int_equal(bench->outcome.need, log_last(bench->log));
    assert_int_equal(bench_account(bench)->expired, 1);
    assert_false(run(bench, OP_READ, bench_key(1))->was_there);
    /* What came after it stays, as does what is not due where nothing was hidden. */
    write_for(bench, bench_key(1), TTL_MS, false);
    bench_run(bench, &reap);
    run(bench, OP_REAP, bench_key(1));
    assert_true(run(bench, OP_READ, bench_key(1))->was_there);
    assert_int_equal(bench_account(bench)->expired, 1);
}

/* Its key was read from memory that had been given back: with a large value it was no longer mapped. */
static void a_large_record_that_is_due_goes_like_any_other(void **state)
{
    struct bench *bench = *state;
    static uint8_t value[8u << 20] = {0xc6, 0, 0x7f, 0xff, 0xfb};
    bench_account(bench)->range.limit = UINT64_C(1) << 30;
    struct op op = bench_op(OP_WRITE, bench_key(1));
    op.value = bytes_of(value, sizeof(value));
    op.ttl_ms = 1;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
    bench_pass(bench, 1);
    op.if_absent = true;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
    assert_int_equal(bench_account(bench)->records, 1);
    assert_int_equal(bench_account(bench)->expired, 1);
}

static void incr_keeps_the_time_to_live(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_op(OP_WRITE, bench_key(1));
    op.value = bytes_of("\x01", 1);
    op.ttl_ms = TTL_MS;
    op.is_sliding = true;
    bench_run(bench, &op);
    bench_pass(bench, 50);
    assert_int_equal(incr(bench, bench_key(1), 1)->integer, 2);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS - 50);
    assert_int_equal(bench->outcome.ttl_ms, TTL_MS);
    assert_true(bench->outcome.is_sliding);
}

static void a_write_restarts_the_time_to_live_or_ends_it(void **state)
{
    struct bench *bench = *state;
    write_for(bench, bench_key(1), TTL_MS, true);
    bench_pass(bench, 1000);
    write_for(bench, bench_key(1), TTL_MS, false);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS);
    assert_false(bench->outcome.is_sliding);
    write_text(bench, bench_key(1), "for ever");
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, -1);
    assert_int_equal(bench->outcome.ttl_ms, 0);
}

static void an_imported_record_has_only_the_rest_of_its_time_at_first(void **state)
{
    struct bench *bench = *state;
    struct op op = bench_write(bench_key(1), "value");
    op.ttl_ms = TTL_MS;
    op.left_ms = 10;
    bench_run(bench, &op);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, 10);
    assert_int_equal(bench->outcome.ttl_ms, TTL_MS);
}

static void expire_sets_and_ends_the_time_to_live_and_keeps_the_value(void **state)
{
    struct bench *bench = *state;
    uint64_t first = write_text(bench, bench_key(1), "value")->version;
    struct op op = bench_op(OP_EXPIRE, bench_key(1));
    op.ttl_ms = TTL_MS;
    uint64_t second = bench_run(bench, &op)->version;
    assert_true(bench->outcome.was_there && second > first);
    assert_text(run(bench, OP_READ, bench_key(1)), "value");
    assert_int_equal(bench->outcome.left_ms, TTL_MS);
    assert_int_equal(bench->outcome.version, second);
    op.ttl_ms = 0;
    bench_run(bench, &op);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, -1);
    op.key = bytes_text(bench_key(2));
    op.point = point_of_key(op.key);
    assert_false(bench_run(bench, &op)->was_there);
}

/* --- RULES R4 --- */

static void a_slide_is_made_only_where_it_gains_a_sixteenth(void **state)
{
    struct bench *bench = *state;
    uint64_t version = write_for(bench, bench_key(1), TTL_MS, true)->version;
    bench_pass(bench, TTL_MS / 16 - 1);
    uint64_t last = log_last(bench->log);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS - TTL_MS / 16 + 1);
    assert_int_equal(log_last(bench->log), last);
    bench_pass(bench, 1);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS);
    assert_int_equal(bench->outcome.version, version);
    assert_true(log_last(bench->log) > last);
    last = log_last(bench->log);
    assert_int_equal(run(bench, OP_EXISTS, bench_key(1))->was_there, true);
    assert_text(run(bench, OP_READ, bench_key(1)), "value");
    assert_int_equal(log_last(bench->log), last);
}

/* RULES R1: it told of a time to live that a crash could take back, all but the rest of the one before. */
static void a_reply_that_tells_what_a_slide_gave_depends_on_the_touch(void **state)
{
    struct bench *bench = *state;
    uint64_t version = write_for(bench, bench_key(1), TTL_MS, true)->version;
    bench_pass(bench, TTL_MS / 32);
    uint64_t other = write_for(bench, bench_key(2), TTL_MS, true)->version;
    bench_pass(bench, TTL_MS / 32);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->version, version);
    uint64_t touch = log_last(bench->log);
    assert_true(touch > other);
    assert_int_equal(bench->outcome.need, touch);
    /* And so does the next, which has nothing to add; but not exists, which tells no time, nor what had no touch. */
    bench_pass(bench, 1);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS - 1);
    assert_int_equal(bench->outcome.need, touch);
    assert_int_equal(run(bench, OP_EXISTS, bench_key(1))->need, version);
    assert_int_equal(run(bench, OP_READ, bench_key(2))->need, other);
    assert_int_equal(log_last(bench->log), touch);
}

/* The second touch has the earlier time of the two, and neither is durable. */
static void a_touch_by_a_clock_that_went_back_is_depended_on_too(void **state)
{
    struct bench *bench = *state;
    write_for(bench, bench_key(1), TTL_MS, true);
    write_for(bench, bench_key(2), TTL_MS, true);
    bench_pass(bench, TTL_MS / 2);
    run(bench, OP_READ, bench_key(1));
    bench->execution.now_ms -= TTL_MS / 4;
    run(bench, OP_READ, bench_key(2));
    uint64_t touch = log_last(bench->log);
    assert_int_equal(run(bench, OP_READ, bench_key(2))->need, touch);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->need, touch);
    assert_int_equal(log_last(bench->log), touch);
}

static void a_time_to_live_below_sixteen_milliseconds_slides_once_a_millisecond(void **state)
{
    struct bench *bench = *state;
    write_for(bench, bench_key(1), 5, true);
    uint64_t last = log_last(bench->log);
    run(bench, OP_READ, bench_key(1));
    assert_int_equal(log_last(bench->log), last);
    bench_pass(bench, 1);
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, 5);
    assert_true(log_last(bench->log) > last);
}

static void no_slide_is_made_where_disk_or_memory_is_full_or_by_a_clock_that_went_back(void **state)
{
    struct bench *bench = *state;
    write_for(bench, bench_key(1), TTL_MS, true);
    uint64_t last = log_last(bench->log);
    bench_pass(bench, TTL_MS / 2);
    bench->execution.is_disk_full = true;
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS / 2);
    bench->execution.is_disk_full = false;
    bench->execution.is_memory_full = true;
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS / 2);
    bench->execution.is_memory_full = false;
    bench->execution.now_ms -= TTL_MS;
    assert_int_equal(run(bench, OP_READ, bench_key(1))->left_ms, TTL_MS + TTL_MS / 2);
    assert_int_equal(log_last(bench->log), last);
}

/* --- limits --- */

/* Writes until nothing more fits; returns how many did. */
static uint32_t fill(struct bench *bench)
{
    for (uint32_t i = 0;; i++) {
        if (write_text(bench, bench_key(i), "0123456789")->status == STATUS_FULL) {
            return i;
        }
    }
}

static void a_full_shard_refuses_only_what_grows(void **state)
{
    struct bench *bench = *state;
    fill(bench);
    assert_int_equal(bench->outcome.used, bench_account(bench)->used);
    assert_int_equal(bench->outcome.limit, LIMIT);
    assert_int_equal(bench->outcome.reason, OP_REASON_NONE);
    assert_int_equal(bench->outcome.need, log_last(bench->log));
    assert_true(LIMIT - bench_account(bench)->used < 16 + 11 + 64);
    assert_int_equal(write_text(bench, bench_key(0), "9876543210")->status, STATUS_OK);
    assert_int_equal(write_text(bench, bench_key(0), "98765")->status, STATUS_OK);
    assert_int_equal(incr(bench, bench_key(1000), 1)->status, STATUS_FULL);
    assert_text(run(bench, OP_READ, bench_key(1)), "0123456789");
    assert_text(run(bench, OP_POP, bench_key(1)), "0123456789");
    assert_int_equal(run(bench, OP_DELETE, bench_key(2))->status, STATUS_OK);
    assert_int_equal(incr(bench, bench_key(1000), 1)->status, STATUS_OK);
}

static void the_last_byte_of_the_limit_can_be_used(void **state)
{
    struct bench *bench = *state;
    bench_account(bench)->range.limit = 4 + 6 + 64;
    assert_int_equal(write_text(bench, four_bytes(), "valuee")->status, STATUS_FULL);
    assert_int_equal(write_text(bench, four_bytes(), "value")->status, STATUS_OK);
    assert_int_equal(bench_account(bench)->used, 4 + 6 + 64);
}

static void a_shard_over_a_lowered_limit_still_shrinks(void **state)
{
    struct bench *bench = *state;
    fill(bench);
    bench_account(bench)->range.limit = 1024;
    assert_int_equal(write_text(bench, bench_key(0), "1")->status, STATUS_OK);
    assert_int_equal(write_text(bench, bench_key(0), "12")->status, STATUS_FULL);
    assert_int_equal(run(bench, OP_DELETE, bench_key(0))->status, STATUS_OK);
}

static void a_full_disk_refuses_what_grows_and_says_so(void **state)
{
    struct bench *bench = *state;
    write_text(bench, bench_key(1), "12345");
    bench->execution.is_disk_full = true;
    assert_int_equal(write_text(bench, bench_key(2), "1")->status, STATUS_FULL);
    assert_int_equal(bench->outcome.reason, OP_REASON_DISK_FULL);
    assert_int_equal(write_text(bench, bench_key(1), "54321")->status, STATUS_OK);
    assert_text(run(bench, OP_POP, bench_key(1)), "54321");
}

static void a_full_memory_puts_off_what_changes_something_but_not_what_makes_room(void **state)
{
    struct bench *bench = *state;
    uint64_t version = write_text(bench, bench_key(1), "12345")->version;
    write_for(bench, bench_key(2), 1, false);
    bench->execution.is_memory_full = true;
    static const enum op_kind kinds[] = {OP_WRITE, OP_POP, OP_DELETE, OP_INCR, OP_EXPIRE};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct op op = bench_op(kinds[i], bench_key(1));
        op.identity.seq = 1;
        assert_int_equal(bench_run(bench, &op)->status, STATUS_TRY_LATER);
        assert_int_equal(bench->outcome.reason, OP_REASON_MEMORY_FULL);
    }
    assert_text(run(bench, OP_READ, bench_key(1)), "12345");
    bench_pass(bench, 1);
    run(bench, OP_REAP, bench_key(2));
    assert_int_equal(bench_account(bench)->expired, 1);
    struct op evict = bench_op(OP_EVICT, bench_key(1));
    evict.if_version = version;
    bench_run(bench, &evict);
    assert_int_equal(bench_account(bench)->evicted, 1);
    /* Certainly not done: nothing was kept of it. */
    bench->execution.is_memory_full = false;
    struct op op = bench_write(bench_key(1), "again");
    op.identity.seq = 1;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
}

/* --- a cache --- */

/* Bytes that all records count, added up anew. */
static bool add_up(void *context, const struct hot_view *view)
{
    struct account *sum = context;
    if (view->state == HOT_RECORD) {
        sum->used += record_size(view->record.key.len, view->record.value.len);
        sum->records++;
    }
    return true;
}

static void assert_exact(struct bench *bench)
{
    struct account sum = {0};
    hot_walk(bench->execution.hot, 0, UINT64_MAX, true, add_up, &sum);
    assert_int_equal(bench_account(bench)->used, sum.used);
    assert_int_equal(bench_account(bench)->records, sum.records);
}

static void a_full_cache_evicts_through_the_log(void **state)
{
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t last = log_last(bench->log);
        uint64_t evicted = bench_account(bench)->evicted;
        assert_int_equal(write_text(bench, bench_key(i), "0123456789")->status, STATUS_OK);
        assert_true(log_last(bench->log) - last > bench_account(bench)->evicted - evicted);
        assert_true(bench_account(bench)->used <= LIMIT);
    }
    assert_exact(bench);
    assert_int_equal(bench_account(bench)->records + bench_account(bench)->evicted, 1000);
    assert_text(run(bench, OP_READ, bench_key(999)), "0123456789");
}

static void where_all_were_used_lately_some_go_all_the_same(void **state)
{
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 30; i++) {
        write_text(bench, bench_key(i), "0123456789");
        run(bench, OP_READ, bench_key(i));
    }
    for (uint32_t i = 30; i < 200; i++) {
        for (uint32_t j = 0; j < i; j++) {
            run(bench, OP_EXISTS, bench_key(j));
        }
        assert_int_equal(write_text(bench, bench_key(i), "0123456789")->status, STATUS_OK);
    }
    assert_exact(bench);
}

static void what_is_larger_than_the_limit_evicts_nothing(void **state)
{
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 100; i++) {
        write_text(bench, bench_key(i), "0123456789");
    }
    uint64_t evicted = bench_account(bench)->evicted;
    static uint8_t value[LIMIT] = {0xc5, (LIMIT - 3) >> 8, (LIMIT - 3) & 0xff};
    struct op op = bench_op(OP_WRITE, bench_key(0));
    op.value = bytes_of(value, sizeof(value));
    assert_int_equal(bench_run(bench, &op)->status, STATUS_FULL);
    assert_int_equal(bench->outcome.reason, OP_REASON_RECORD_LARGER);
    assert_int_equal(bench->outcome.limit, LIMIT);
    assert_int_equal(bench->outcome.size, LIMIT + 6 + 64);
    assert_int_equal(bench_account(bench)->evicted, evicted);
}

/* Each grows to nearly the limit, so that it is itself among what must go. */
static void what_is_evicted_may_be_the_key_itself(void **state)
{
    struct bench *bench = *state;
    static uint8_t value[LIMIT - 200];
    for (uint32_t i = 0; i < 20; i++) {
        write_text(bench, bench_key(i), "0123456789");
    }
    for (uint32_t i = 0; i < 20; i++) {
        size_t len = sizeof(value) - i;
        value[0] = 0xc5;
        value[1] = (uint8_t)((len - 3) >> 8);
        value[2] = (uint8_t)(len - 3);
        struct op op = bench_op(OP_WRITE, bench_key(i));
        op.value = bytes_of(value, len);
        assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
        assert_int_equal(run(bench, OP_READ, bench_key(i))->value.len, len);
        assert_exact(bench);
    }
    assert_int_equal(incr(bench, bench_key(100), 1)->integer, 1);
    bench_account(bench)->range.limit = 1;
    assert_int_equal(incr(bench, bench_key(101), 1)->status, STATUS_FULL);
    assert_exact(bench);
}

/* It evicted what it then could not replace, one record for each write that it refused. */
static void a_full_disk_evicts_nothing_for_what_it_refuses(void **state)
{
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 100; i++) {
        write_text(bench, bench_key(i), "0123456789");
    }
    uint64_t evicted = bench_account(bench)->evicted;
    bench->execution.is_disk_full = true;
    for (uint32_t i = 100; i < 110; i++) {
        assert_int_equal(write_text(bench, bench_key(i), "012345678901234")->status, STATUS_FULL);
    }
    assert_int_equal(bench_account(bench)->evicted, evicted);
}

/* It was refused as FULL, although the shard's size could hold it. What is counted here is in the tree alone. */
static void what_a_cache_has_no_room_for_yet_waits_or_is_to_try_later(void **state)
{
    struct bench *bench = *state;
    bench_account(bench)->used = LIMIT - 100;
    struct op op = with_seq(bench_write(bench_key(1), "0123456789012345678901234567890"), 1, 1);
    assert_int_equal(bench_run(bench, &op)->status, STATUS_TRY_LATER);
    assert_int_equal(bench->outcome.reason, OP_REASON_MAKING_ROOM);
    assert_int_equal(bench_account(bench)->wanted, 0);
    bench->execution.can_wait = true;
    uint64_t size = record_size(op.key.len, op.value.len);
    for (uint32_t i = 1; i <= 2; i++) {
        assert_int_equal(execute(&bench->execution, &op, NULL, &bench->outcome), EXECUTE_ROOM);
        assert_int_equal(bench_account(bench)->wanted, i * size);
    }
    /* Neither left a result; and when there is room it is for those that want it. */
    bench_account(bench)->used = LIMIT - 2 * size;
    struct op late = bench_write(bench_key(2), "");
    assert_int_equal(execute(&bench->execution, &late, NULL, &bench->outcome), EXECUTE_ROOM);
    bench_account(bench)->wanted = 0;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_OK);
    assert_int_equal(bench_run(bench, &late)->status, STATUS_OK);
}

/* Who comes later gives up as much as it takes. */
static void what_others_wait_for_is_left_to_them(void **state)
{
    struct bench *bench = *state;
    for (uint32_t i = 0; i < 100; i++) {
        write_text(bench, bench_key(i), "0123456789");
    }
    bench_account(bench)->wanted = LIMIT / 2;
    uint64_t used = bench_account(bench)->used;
    for (uint32_t i = 100; i < 110; i++) {
        assert_int_equal(write_text(bench, bench_key(i), "0123456789")->status, STATUS_OK);
        assert_true(bench_account(bench)->used <= used);
    }
    assert_true(used - bench_account(bench)->used < LIMIT / 4);
    assert_exact(bench);
}

/* Those it looked through had been deleted a moment ago; it began there again with each write. */
static void deletions_that_were_not_swept_hide_nothing_that_may_go(void **state)
{
    struct bench *bench = *state;
    enum { COUNT = 150000 };
    bench_account(bench)->range.limit = UINT64_C(1) << 30;
    for (uint32_t i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%u", i);
        if (point_of_key(bytes_text(key)) >> 63 == 0) {
            write_text(bench, key, "0123456789");
        }
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%u", i);
        if (point_of_key(bytes_text(key)) >> 63 == 0 &&
            point_of_key(bytes_text(key)) < UINT64_MAX / 2 - UINT64_MAX / 64) {
            run(bench, OP_DELETE, key);
        }
    }
    bench_account(bench)->range.limit = bench_account(bench)->used;
    uint32_t refused_count = 0;
    for (uint32_t i = 0; i < 100; i++) {
        refused_count += write_text(bench, bench_key(i), "0123456789")->status != STATUS_OK;
        bench_pass(bench, 0);
    }
    assert_true(refused_count < 50);
    assert_exact(bench);
}

/* --- RULES Q1 --- */

static void a_retried_operation_is_answered_and_not_done_again(void **state)
{
    struct bench *bench = *state;
    struct op op = with_seq(bench_op(OP_INCR, bench_key(1)), 1, 1);
    op.by = 5;
    assert_int_equal(bench_run(bench, &op)->integer, 5);
    uint64_t last = log_last(bench->log);
    assert_int_equal(bench->outcome.need, last);
    assert_int_equal(bench_run(bench, &op)->integer, 5);
    assert_int_equal(bench->outcome.need, last);
    assert_int_equal(log_last(bench->log), last);
    assert_int_equal(incr(bench, bench_key(1), 0)->integer, 5);
}

static void a_retried_pop_gives_the_value_again_until_it_is_answered(void **state)
{
    struct bench *bench = *state;
    write_text(bench, bench_key(1), "value");
    uint64_t used = bench_account(bench)->used;
    struct op pop = with_seq(bench_op(OP_POP, bench_key(1)), 1, 1);
    assert_text(bench_run(bench, &pop), "value");
    assert_int_equal(bench_account(bench)->used, used);
    assert_int_equal(bench_account(bench)->records, 0);
    write_text(bench, bench_key(1), "another");
    assert_text(bench_run(bench, &pop), "value");
    assert_text(run(bench, OP_READ, bench_key(1)), "another");
    struct op done = with_seq(bench_op(OP_DONE, bench_key(1)), 0, 2);
    bench_run(bench, &done);
    assert_int_equal(bench_run(bench, &pop)->status, STATUS_STALE);
    assert_int_equal(bench_account(bench)->used, used + 2);
    assert_exact(bench);
}

static void a_refusal_is_kept_like_any_outcome(void **state)
{
    struct bench *bench = *state;
    write_text(bench, bench_key(1), "value");
    struct op op = with_seq(bench_write(bench_key(1), "other"), 1, 1);
    op.if_absent = true;
    assert_int_equal(bench_run(bench, &op)->status, STATUS_CONDITION);
    run(bench, OP_DELETE, bench_key(1));
    assert_int_equal(bench_run(bench, &op)->status, STATUS_CONDITION);
    assert_false(run(bench, OP_READ, bench_key(1))->was_there);
}

/* --- what a move that reads the range is told --- */

static void drop_items(void *context, struct buffer *items, uint64_t need)
{
    (void)context, (void)need;
    buffer_fini(items);
}

static void fail_hand(void *context, const char *text)
{
    (void)context;
    fail_msg("%s", text);
}

static void stop_loop(void *context)
{
    loop_stop(context);
}

/* A hand that has been all over the empty range: whatever changes now is behind it. */
static struct hand *hand_at_end(struct bench *bench, struct tree *tree)
{
    const struct hand_config config = {
        .loop = bench->loop,
        .tree = tree,
        .hot = bench->execution.hot,
        .retries = bench->execution.retries,
        .end = BOUND_END / 2,
        .emit = drop_items,
        .on_fault = fail_hand,
    };
    struct hand *hand = hand_new(&config);
    loop_on_turn_end(bench->loop, stop_loop, bench->loop);
    while (!hand_is_at_end(hand)) {
        hand_turn(hand, 1, 1, true);
        if (hand_is_reading(hand)) {
            loop_run(bench->loop);
        }
    }
    return hand;
}

/* RULES V5: the sums would differ at the end of the move. */
static void the_sum_of_a_move_is_what_the_shard_counts_whatever_was_done(void **state)
{
    struct bench *bench = *state;
    char error[256];
    struct scratch scratch = scratch_make();
    struct tree *tree = tree_open(scratch.path, error, sizeof(error));
    assert_non_null(tree);
    struct hand *hand = hand_at_end(bench, tree);
    hands_add(&bench_account(bench)->hands, hand);
    for (uint32_t i = 0; i < 6; i++) {
        write_text(bench, bench_key(i), "a value");
        write_text(bench, bench_key(i), "another");
    }
    write_for(bench, bench_key(6), TTL_MS, true);
    incr(bench, bench_key(7), 1);
    incr(bench, bench_key(7), 100000);
    assert_int_equal(run(bench, OP_DELETE, bench_key(0))->status, STATUS_OK);
    assert_int_equal(run(bench, OP_POP, bench_key(1))->status, STATUS_OK);
    assert_int_equal(run(bench, OP_EXPIRE, bench_key(2))->status, STATUS_OK);
    assert_int_equal(run(bench, OP_EVICT, bench_key(3))->status, STATUS_OK);
    bench_pass(bench, TTL_MS / 2);
    run(bench, OP_READ, bench_key(6));
    const struct range_sum before = *hand_sum(hand);
    assert_int_equal(before.records, bench_account(bench)->records);
    assert_int_equal(before.bytes, bench_account(bench)->used);
    for (uint32_t i = 0; i < 8; i++) {
        run(bench, OP_DELETE, bench_key(i));
    }
    assert_true(range_sum_equal(hand_sum(hand), &(struct range_sum){0}));
    bench_account(bench)->hands = NULL;
    hand_free(hand);
    tree_close(tree);
    scratch_remove(&scratch);
}

/* RULES V4: what clients ask for waits, and what the server does by itself is not done. */
static void in_a_frozen_range_everything_waits_and_nothing_changes(void **state)
{
    static const enum op_kind kinds[] = {OP_READ,   OP_WRITE, OP_DELETE, OP_POP,  OP_INCR,
                                         OP_EXPIRE, OP_REAP,  OP_EVICT,  OP_MINT, OP_PUT};
    struct bench *bench = *state;
    write_for(bench, bench_key(1), TTL_MS, true);
    uint64_t last = log_last(bench->log);
    uint64_t used = bench_account(bench)->used;
    accounts_freeze(&bench->accounts, 0);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            struct op op = bench_op(kinds[i], bench_key(1));
            assert_int_equal(execute(&bench->execution, &op, NULL, &bench->outcome), EXECUTE_HELD);
        }
        bench_pass(bench, TTL_MS); /* then it is due */
    }
    assert_int_equal(log_last(bench->log), last);
    assert_int_equal(bench_account(bench)->used, used);
    accounts_thaw(&bench->accounts, 0);
    run(bench, OP_REAP, bench_key(1));
    assert_int_equal(bench_account(bench)->records, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define CACHE(name) cmocka_unit_test_setup_teardown(name, setup_cache, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_does_what_the_rules_say_whatever_is_found),
        TEST(what_is_written_is_read_with_its_version),
        TEST(a_popped_record_is_given_once),
        TEST(incr_counts_from_zero_and_stays_within_64_bits),
        TEST(incr_changes_only_integers),
        TEST(a_point_elsewhere_is_another_shards),
        TEST(a_record_keeps_its_kind_unless_a_write_gives_another),
        TEST(a_write_over_what_is_due_gives_it_no_kind),
        TEST(the_same_bytes_in_another_table_are_another_record),
        TEST(a_retry_of_a_write_to_what_was_not_there_gets_the_first_answer),
        TEST(a_record_is_there_until_its_time_and_not_a_millisecond_longer),
        TEST(what_a_scan_has_hidden_goes_by_any_clock),
        TEST(a_large_record_that_is_due_goes_like_any_other),
        TEST(incr_keeps_the_time_to_live),
        TEST(a_write_restarts_the_time_to_live_or_ends_it),
        TEST(an_imported_record_has_only_the_rest_of_its_time_at_first),
        TEST(expire_sets_and_ends_the_time_to_live_and_keeps_the_value),
        TEST(a_slide_is_made_only_where_it_gains_a_sixteenth),
        TEST(a_reply_that_tells_what_a_slide_gave_depends_on_the_touch),
        TEST(a_touch_by_a_clock_that_went_back_is_depended_on_too),
        TEST(a_time_to_live_below_sixteen_milliseconds_slides_once_a_millisecond),
        TEST(no_slide_is_made_where_disk_or_memory_is_full_or_by_a_clock_that_went_back),
        TEST(a_full_shard_refuses_only_what_grows),
        TEST(the_last_byte_of_the_limit_can_be_used),
        TEST(a_shard_over_a_lowered_limit_still_shrinks),
        TEST(a_full_disk_refuses_what_grows_and_says_so),
        TEST(a_full_memory_puts_off_what_changes_something_but_not_what_makes_room),
        CACHE(a_full_cache_evicts_through_the_log),
        CACHE(where_all_were_used_lately_some_go_all_the_same),
        CACHE(what_is_larger_than_the_limit_evicts_nothing),
        CACHE(what_is_evicted_may_be_the_key_itself),
        CACHE(a_full_disk_evicts_nothing_for_what_it_refuses),
        CACHE(what_a_cache_has_no_room_for_yet_waits_or_is_to_try_later),
        CACHE(what_others_wait_for_is_left_to_them),
        CACHE(deletions_that_were_not_swept_hide_nothing_that_may_go),
        TEST(a_retried_operation_is_answered_and_not_done_again),
        TEST(a_retried_pop_gives_the_value_again_until_it_is_answered),
        TEST(a_refusal_is_kept_like_any_outcome),
        TEST(the_sum_of_a_move_is_what_the_shard_counts_whatever_was_done),
        TEST(in_a_frozen_range_everything_waits_and_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
