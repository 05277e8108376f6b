/* SPDX-License-Identifier: MIT */
#include "shardd/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/random.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "shardd/result.h"
#include "tests/unit/dice.h"
#include "tests/unit/scratch.h"

#define START_MS   UINT64_C(1700000000000)
#define HELD       UINT64_C(73)
#define KIB        UINT64_C(1024)
#define EVERYTHING 4096

/* An operation of the log, with copies of its bytes. */
struct entry {
    struct log_op op;
    uint64_t stamp;
    uint64_t used; /* of the account, at the end of its turn */
    uint32_t turn;
};

struct fixture {
    struct scratch scratch;
    struct tree *tree;
    struct accounts accounts;
    struct retries *retries;
    struct retry_limits limits;
    uint64_t now_ms;
    uint64_t last; /* stamp */
    int64_t counter;
    struct entry *entries;
    uint32_t entry_count;
    uint32_t entry_capacity;
    uint32_t turn;
    struct outcome outcome;
    uint8_t value[64];
};

/* The secret of the table of lines, in place of io/random.c's: so a seed repeats a run. */
void random_fill(void *data, size_t len)
{
    memset(data, 's', len);
}

uint64_t random_below(uint64_t below)
{
    return below / 2;
}

/* --- the server around it --- */

static struct bytes copy_bytes(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.len);
    return bytes_of(copy, bytes.len);
}

static uint64_t add_to_log(void *context, const struct log_op *op)
{
    struct fixture *f = context;
    if (f->entry_count == f->entry_capacity) {
        f->entry_capacity = 2 * f->entry_capacity + 64;
        f->entries = realloc(f->entries, f->entry_capacity * sizeof(*f->entries));
        assert_non_null(f->entries);
    }
    struct entry *entry = &f->entries[f->entry_count++];
    *entry = (struct entry){*op, ++f->last, 0, f->turn};
    entry->op.key = copy_bytes(op->key);
    entry->op.value = copy_bytes(op->value);
    return entry->stamp;
}

static void forget_last_entry(struct fixture *f)
{
    struct entry *entry = &f->entries[--f->entry_count];
    free((void *)(uintptr_t)entry->op.key.data);
    free((void *)(uintptr_t)entry->op.value.data);
}

static uint64_t *used(struct fixture *f)
{
    return &f->accounts.items[0].used;
}

/* The account as each record of the log has it (RULES S8). */
static void end_turn(struct fixture *f, uint32_t from)
{
    for (uint32_t i = from; i < f->entry_count; i++) {
        f->entries[i].used = *used(f);
    }
    f->turn++;
}

static void split_nothing(void *context, uint64_t start, uint64_t end, uint64_t *split_used,
                          uint64_t *records)
{
    (void)context;
    (void)start;
    (void)end;
    *split_used = *records = 0;
}

static void open_tree(struct fixture *f)
{
    char error[256] = "";
    f->tree = tree_open(f->scratch.path, error, sizeof(error));
    assert_string_equal(error, "");
}

static int setup(void **state)
{
    static struct fixture fixture;
    static const struct range lower_half = {.end = BOUND_END / 2, .limit = 1 << 20, .epoch = 1};
    fixture = (struct fixture){.scratch = scratch_make(), .now_ms = START_MS};
    fixture.limits = (struct retry_limits){UINT64_MAX, UINT64_MAX};
    struct fixture *f = &fixture;
    accounts_replace(&f->accounts, &lower_half, 1, split_nothing, NULL);
    f->retries = retries_new(&f->accounts, add_to_log, f);
    open_tree(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    retries_free(f->retries);
    accounts_fini(&f->accounts);
    while (f->entry_count > 0) {
        forget_last_entry(f);
    }
    free(f->entries);
    tree_close(f->tree);
    scratch_remove(&f->scratch);
    return 0;
}

static void limit(struct fixture *f, uint64_t results_len, uint64_t lines_len)
{
    f->limits = (struct retry_limits){results_len, lines_len};
    retries_limit(f->retries, &f->limits);
}

static struct op op_of(enum op_kind kind, uint32_t client, uint64_t seq, uint64_t done)
{
    struct op op = {.kind = kind, .identity = {.seq = seq, .done = done}};
    memcpy(op.identity.client, &client, sizeof(client));
    op.point = point_of_key(bytes_of(&seq, sizeof(seq))) / 2;
    return op;
}

/* What a pop finds: a record of HELD bytes, whose value tells the count of runs. */
static uint64_t pop(struct fixture *f, struct outcome *outcome)
{
    account_change(&f->accounts, &f->accounts.items[0], (int64_t)HELD, 0);
    int len = snprintf((char *)f->value, sizeof(f->value), "value %25" PRIi64, f->counter);
    outcome->value = bytes_of(f->value, (size_t)len);
    outcome->was_there = true;
    return HELD;
}

/* As execute() does. Returns whether it ran; f->outcome and its `need` are filled in. */
static bool run(struct fixture *f, const struct op *op)
{
    f->outcome = (struct outcome){.left_ms = -1};
    if (retry_answer(f->retries, op, f->now_ms, &f->outcome, &f->outcome.need)) {
        return false;
    }
    f->outcome.integer = ++f->counter;
    uint64_t held = op->kind == OP_POP ? pop(f, &f->outcome) : 0;
    f->outcome.need = retry_keep(f->retries, op, &f->outcome, held, f->now_ms);
    return true;
}

static const struct outcome *ask(struct fixture *f, enum op_kind kind, uint32_t client,
                                 uint64_t seq, uint64_t done)
{
    const struct op op = op_of(kind, client, seq, done);
    (void)run(f, &op);
    return &f->outcome;
}

static const struct outcome *incr(struct fixture *f, uint32_t client, uint64_t seq, uint64_t done)
{
    return ask(f, OP_INCR, client, seq, done);
}

static uint64_t say_done(struct fixture *f, uint32_t client, uint64_t done)
{
    const struct op op = op_of(OP_DONE, client, 0, done);
    return retry_done(f->retries, &op, f->now_ms);
}

static void tick_all(struct fixture *f, uint32_t line_count)
{
    for (uint32_t i = 0; i < 64 + line_count / 8; i++) {
        retries_tick(f->retries, f->now_ms);
    }
}

static void clear(struct fixture *f, uint64_t start, uint64_t last)
{
    while (!retries_clear(f->retries, start, last)) {
    }
}

/* --- the tree --- */

static void write_batch(struct fixture *f, struct retry_batch *batch)
{
    struct tree_txn *txn = tree_begin_write(f->tree);
    retry_batch_write(batch, txn);
    assert_int_equal(tree_commit(txn), TREE_FINE);
    retries_swept(f->retries, batch, true);
}

/* One round: returns how many batches had something. */
static uint32_t sweep(struct fixture *f, uint64_t durable, uint32_t item_max)
{
    uint32_t count = 0;
    for (bool is_end = false; !is_end;) {
        struct retry_batch *batch = retries_collect(f->retries, durable, item_max, &is_end);
        if (batch) {
            write_batch(f, batch);
            count++;
        }
    }
    return count;
}

/* All keys and values of both databases, one behind the other; *count: of results. */
static struct buffer read_tree(struct fixture *f, uint32_t *line_count, uint32_t *result_count)
{
    static const enum tree_database databases[] = {TREE_LINES, TREE_RESULTS};
    uint32_t *counts[] = {line_count, result_count};
    struct buffer all = {0};
    struct tree_txn *txn = tree_begin_read(f->tree);
    for (int i = 0; i < 2; i++) {
        struct tree_cursor *cursor = tree_cursor_open(txn, databases[i]);
        bool more = tree_cursor_seek(cursor, bytes_of("", 1));
        for (*counts[i] = 0; more; more = tree_cursor_next(cursor)) {
            (*counts[i])++;
            pack_bin(&all, tree_cursor_key(cursor));
            pack_bin(&all, tree_cursor_value(cursor));
        }
        tree_cursor_close(cursor);
    }
    tree_abort(txn);
    return all;
}

static void expect_in_tree(struct fixture *f, uint32_t line_count, uint32_t result_count)
{
    uint32_t lines;
    uint32_t results;
    struct buffer all = read_tree(f, &lines, &results);
    buffer_fini(&all);
    assert_int_equal(lines, line_count);
    assert_int_equal(results, result_count);
}

/* A process that ends: what it knew is gone but for the tree, and the log above `applied`. */
static void restart(struct fixture *f, uint64_t applied)
{
    char error[256] = "";
    retries_free(f->retries);
    f->retries = retries_new(&f->accounts, add_to_log, f);
    retries_limit(f->retries, &f->limits);
    struct tree_txn *txn = tree_begin_read(f->tree);
    assert_true(retries_load(f->retries, txn, error, sizeof(error)));
    tree_abort(txn);
    for (uint32_t i = 0; i < f->entry_count; i++) {
        const struct entry *entry = &f->entries[i];
        if (entry->stamp > applied) {
            assert_true(retries_replay(f->retries, entry->stamp, &entry->op));
        }
    }
}

/* --- answers --- */

static void the_same_seq_gets_the_same_answer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
    assert_int_equal(incr(f, 'a', 2, 1)->integer, 2);
    assert_int_equal(incr(f, 'b', 1, 1)->integer, 3);
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
}

static void a_refusal_is_remembered_too(void **state)
{
    struct fixture *f = *state;
    const struct op op = op_of(OP_WRITE, 'a', 1, 1);
    struct outcome outcome = {.version = 77};
    outcome_refuse(&outcome, STATUS_CONDITION, OP_REASON_THERE_ALREADY);
    assert_false(retry_answer(f->retries, &op, f->now_ms, &f->outcome, &f->outcome.need));
    retry_keep(f->retries, &op, &outcome, 0, f->now_ms);
    assert_true(retry_answer(f->retries, &op, f->now_ms, &f->outcome, &f->outcome.need));
    assert_int_equal(f->outcome.status, STATUS_CONDITION);
    assert_int_equal(f->outcome.reason, OP_REASON_THERE_ALREADY);
    assert_int_equal(f->outcome.version, 77);
}

static void a_popped_value_comes_back_on_a_retry_and_counts_until_it_goes(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        const struct outcome *outcome = ask(f, OP_POP, 'a', 1, 1);
        assert_true(outcome->was_there);
        assert_true(bytes_equal(outcome->value, bytes_text("value                         1")));
        assert_int_equal(*used(f), HELD);
    }
    assert_int_equal(f->entry_count, 1);
    incr(f, 'a', 2, 2);
    assert_int_equal(*used(f), 0);
    assert_int_equal(ask(f, OP_POP, 'a', 1, 1)->status, STATUS_STALE);
    /* The account's change has a LOG_DONE of its own (RULES S8). */
    assert_int_equal(f->entry_count, 3);
    assert_int_equal(f->entries[1].op.kind, LOG_DONE);
}

static void what_done_passes_is_forgotten_and_stale(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    incr(f, 'a', 2, 1);
    incr(f, 'a', 3, 1);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 1, 3);
    incr(f, 'a', 4, 3);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 1, 2);
    assert_int_equal(incr(f, 'a', 2, 1)->status, STATUS_STALE);
    assert_int_equal(incr(f, 'a', 3, 1)->integer, 3);
    assert_int_equal(f->entry_count, 4);
}

static void a_large_popped_value_takes_no_memory_once_it_went(void **state)
{
    enum { LARGE_LEN = 1 << 20 };
    struct fixture *f = *state;
    struct op op = op_of(OP_POP, 'a', 1, 1);
    struct outcome outcome = {.left_ms = -1, .was_there = true};
    outcome.value = bytes_of(calloc(1, LARGE_LEN), LARGE_LEN);
    assert_non_null(outcome.value.data);
    account_change(&f->accounts, &f->accounts.items[0], HELD, 0);
    (void)retry_keep(f->retries, &op, &outcome, HELD, f->now_ms);
    assert_true(retries_len(f->retries) >= LARGE_LEN);
    say_done(f, 'a', 2);
    assert_true(retries_len(f->retries) < LARGE_LEN / 2);
    free((void *)(uintptr_t)outcome.value.data);
}

static void a_client_that_is_done_frees_what_its_popped_value_counted(void **state)
{
    struct fixture *f = *state;
    ask(f, OP_POP, 'a', 1, 1);
    assert_int_equal(*used(f), HELD);
    uint64_t stamp = say_done(f, 'a', 2);
    assert_int_equal(stamp, f->last);
    assert_int_equal(f->entry_count, 2);
    assert_int_equal(*used(f), 0);
    sweep(f, f->last, EVERYTHING);
    /* The line stays: a late duplicate must not run. */
    expect_in_tree(f, 1, 0);
    assert_int_equal(ask(f, OP_POP, 'a', 1, 1)->status, STATUS_STALE);
    /* Nothing counts twice, and nothing that counts nothing is logged. */
    assert_int_equal(say_done(f, 'a', 3), 0);
    assert_int_equal(f->entry_count, 2);
}

static void a_client_that_says_its_last_word_is_forgotten_at_once(void **state)
{
    struct fixture *f = *state;
    size_t len = retries_len(f->retries);
    incr(f, 'a', 1, 1);
    ask(f, OP_POP, 'a', 2, 1);
    say_done(f, 'a', RETRY_DONE_LAST);
    assert_int_equal(*used(f), 0);
    assert_in_range(retries_len(f->retries), 0, len + 256); /* what its log value was made in */
    assert_false(retries_are_dirty(f->retries));
    assert_false(ask(f, OP_POP, 'a', 2, 1)->status == STATUS_STALE);
    /* Nobody else is, and who is not known leaves nothing. */
    int64_t integer = incr(f, 'b', 1, 1)->integer;
    len = retries_len(f->retries);
    assert_int_equal(say_done(f, 'c', RETRY_DONE_LAST), 0);
    assert_int_equal(retries_len(f->retries), len);
    assert_int_equal(incr(f, 'b', 1, 1)->integer, integer);
}

static void the_last_word_holds_in_the_tree_and_after_a_restart(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    ask(f, OP_POP, 'b', 1, 1);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 2, 2);
    uint64_t applied = f->last;
    say_done(f, 'a', RETRY_DONE_LAST);
    incr(f, 'c', 1, 1);
    say_done(f, 'c', RETRY_DONE_LAST);
    restart(f, applied);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 1, 1);
    assert_true(ask(f, OP_POP, 'b', 1, 1)->was_there);
    assert_int_equal(*used(f), HELD);
}

static void a_lower_seq_that_never_came_still_runs(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 5, 1);
    assert_int_equal(incr(f, 'a', 2, 1)->integer, 2);
    assert_int_equal(incr(f, 'a', 3, 1)->integer, 3);
    assert_int_equal(incr(f, 'a', 5, 1)->integer, 1);
    assert_int_equal(incr(f, 'a', 2, 1)->integer, 2);
}

static void silence_makes_all_that_was_stale(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    incr(f, 'a', 3, 1);
    f->now_ms += RETRY_SILENT_MS - 1;
    assert_int_equal(incr(f, 'a', 3, 1)->integer, 2);
    f->now_ms += RETRY_SILENT_MS;
    assert_int_equal(incr(f, 'a', 3, 1)->status, STATUS_STALE);
    assert_int_equal(f->outcome.need, f->last); /* the LOG_DONE that says so */
    assert_int_equal(incr(f, 'a', 2, 1)->status, STATUS_STALE);
    assert_int_equal(incr(f, 'a', 4, 1)->integer, 3);
}

static void the_hand_finds_silent_clients(void **state)
{
    struct fixture *f = *state;
    ask(f, OP_POP, 1, 1, 1);
    for (uint32_t client = 2; client < 100; client++) {
        incr(f, client, 1, 1);
    }
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 99, 99);
    f->now_ms += RETRY_SILENT_MS;
    tick_all(f, 99);
    assert_int_equal(*used(f), 0);
    assert_int_equal(f->entry_count, 99 + 99);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 99, 0);
    tick_all(f, 99);
    assert_int_equal(f->entry_count, 99 + 99);
    f->now_ms += RETRY_REMEMBERED_MS;
    tick_all(f, 99);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 0, 0);
    assert_false(retries_are_dirty(f->retries));
}

static void a_clock_that_goes_back_makes_nobody_silent(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    f->now_ms -= 10 * RETRY_REMEMBERED_MS;
    tick_all(f, 1);
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
    assert_int_equal(f->entry_count, 1);
}

static void more_than_512_open_results_are_refused(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 1; seq <= RETRY_OPEN_MAX; seq++) {
        assert_int_equal(incr(f, 'a', seq, 1)->integer, (int64_t)seq);
    }
    assert_int_equal(incr(f, 'a', RETRY_OPEN_MAX + 1, 1)->status, STATUS_TRY_LATER);
    assert_int_equal(f->outcome.need, 0);
    assert_int_equal(incr(f, 'a', RETRY_OPEN_MAX, 1)->integer, RETRY_OPEN_MAX);
    assert_int_equal(incr(f, 'b', 1, 1)->integer, RETRY_OPEN_MAX + 1);
    assert_int_equal(incr(f, 'a', RETRY_OPEN_MAX + 1, 2)->integer, RETRY_OPEN_MAX + 2);
}

static void a_seq_of_another_kind_is_refused(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    assert_int_equal(ask(f, OP_DELETE, 'a', 1, 1)->status, STATUS_INVALID);
    assert_int_equal(f->outcome.reason, OP_REASON_SEQ_REUSED);
    assert_int_equal(f->outcome.need, f->last);
}

/* A client's seq may be anything: silence must let go of the highest, too, and once. */
static void the_highest_seq_of_all_goes_by_silence(void **state)
{
    struct fixture *f = *state;
    ask(f, OP_POP, 'a', UINT64_MAX, 1);
    f->now_ms += RETRY_SILENT_MS;
    tick_all(f, 1);
    tick_all(f, 1);
    assert_int_equal(*used(f), 0);
    assert_int_equal(f->entry_count, 2);
    assert_int_equal(incr(f, 'a', UINT64_MAX, 1)->status, STATUS_STALE);
}

static void an_answer_depends_on_the_stamp_of_its_result(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    uint64_t stamp = f->last;
    incr(f, 'a', 2, 1);
    assert_int_equal(incr(f, 'a', 1, 1)->need, stamp);
    /* STALE depends on the record that carried `done`. */
    incr(f, 'a', 3, 3);
    assert_int_equal(incr(f, 'a', 2, 1)->status, STATUS_STALE);
    assert_int_equal(f->outcome.need, f->last);
    /* What the tree has is durable. */
    sweep(f, f->last, EVERYTHING);
    restart(f, f->last);
    assert_int_equal(incr(f, 'a', 3, 3)->integer, 3);
    assert_int_equal(f->outcome.need, 0);
}

/* --- in order of use --- */

static void who_was_silent_for_longest_is_met_first_among_many(void **state)
{
    enum { LIVELY = 20000 };
    struct fixture *f = *state;
    ask(f, OP_POP, 0, 1, 1);
    f->now_ms += 2000;
    for (uint32_t client = 1; client <= LIVELY; client++) {
        incr(f, client, 1, 1);
    }
    f->now_ms += RETRY_SILENT_MS - 1000;
    retries_tick(f->retries, f->now_ms);
    assert_int_equal(*used(f), 0);
    assert_int_equal(f->entry_count, 1 + LIVELY + 1);
    /* After a restart, too: of all that are there, in whatever order they were found. */
    sweep(f, f->last, EVERYTHING);
    incr(f, 7, 2, 1);
    f->now_ms += RETRY_SILENT_MS;
    incr(f, 5, 2, 1);
    sweep(f, f->last, EVERYTHING);
    restart(f, f->last);
    uint32_t entry_count = f->entry_count;
    tick_all(f, LIVELY);
    assert_int_equal(f->entry_count, entry_count + LIVELY - 1); /* but 5 */
    assert_int_equal(incr(f, 5, 2, 1)->integer, LIVELY + 3);
    assert_int_equal(incr(f, 7, 2, 1)->status, STATUS_STALE);
}

static void who_is_used_all_the_time_is_not_taken_for_silent(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    incr(f, 'b', 1, 1);
    for (uint64_t passed_ms = 0; passed_ms < 2 * RETRY_SILENT_MS; passed_ms += 900) {
        f->now_ms += 900;
        assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
        retries_tick(f->retries, f->now_ms);
    }
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
    assert_int_equal(f->entry_count, 3); /* b's, forgotten */
    assert_int_equal(incr(f, 'b', 1, 1)->status, STATUS_STALE);
}

static void who_was_heard_by_a_clock_that_was_ahead_holds_up_nobody(void **state)
{
    struct fixture *f = *state;
    f->now_ms += RETRY_REMEMBERED_MS;
    incr(f, 'a', 1, 1);
    f->now_ms -= RETRY_REMEMBERED_MS;
    incr(f, 'b', 1, 1);
    f->now_ms += RETRY_SILENT_MS;
    retries_tick(f->retries, f->now_ms);
    assert_int_equal(f->entry_count, 3);
    assert_int_equal(incr(f, 'b', 1, 1)->status, STATUS_STALE);
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
}

static void a_client_that_is_remembered_takes_a_third_of_a_kib_at_most(void **state)
{
    enum { CLIENTS = 2000, EACH = 40 };
    struct fixture *f = *state;
    size_t len = retries_len(f->retries);
    for (uint32_t i = 0; i < CLIENTS * EACH; i++) {
        incr(f, i % CLIENTS, 1 + i / CLIENTS, 1);
    }
    assert_true(retries_len(f->retries) - len > (size_t)CLIENTS * EACH * 64);
    f->now_ms += RETRY_SILENT_MS;
    tick_all(f, CLIENTS);
    assert_true(retries_len(f->retries) - len < (size_t)CLIENTS * 340);
}

/* --- limits --- */

static void the_line_that_holds_most_gives_up_its_oldest_results(void **state)
{
    struct fixture *f = *state;
    limit(f, 16 * KIB, UINT64_MAX);
    incr(f, 'b', 1, 1);
    ask(f, OP_POP, 'b', 2, 1);
    uint64_t seq = 0;
    while (f->entry_count == seq + 2) { /* no LOG_DONE yet */
        assert_true(++seq < 1000);
        ask(f, OP_POP, 'a', seq + 1, 1);
    }
    assert_in_range(seq, 100, 256);
    assert_int_equal(*used(f), retries_held(f->retries, 0, UINT64_MAX));
    assert_in_range(*used(f), HELD * (seq / 3), HELD * (seq - 10));
    assert_true(retries_len(f->retries) < (48 + 16) * KIB);
    assert_int_equal(ask(f, OP_POP, 'a', 2, 1)->status, STATUS_STALE);
    assert_int_equal(f->outcome.need, f->last); /* the LOG_DONE that says so */
    assert_int_equal(incr(f, 'a', 1, 1)->status,
                     STATUS_STALE); /* it may be on its way since long ago */
    assert_int_equal(ask(f, OP_POP, 'a', seq + 1, 1)->status, STATUS_OK);
    assert_int_equal(incr(f, 'b', 1, 1)->integer, 1);
    assert_int_equal(ask(f, OP_POP, 'b', 2, 1)->integer, 2);
    /* It goes on, and what it says is done stays so. */
    assert_int_equal(ask(f, OP_POP, 'a', seq + 2, seq + 2)->status, STATUS_OK);
    assert_int_equal(*used(f), 2 * HELD);
}

/* By the log alone, and by the tree alone. */
static void what_was_given_up_stays_so_after_a_restart(void **state)
{
    struct fixture *f = *state;
    limit(f, 4 * KIB, UINT64_MAX);
    uint64_t seq = 0;
    while (f->entry_count == seq) {
        sweep(f, f->last, EVERYTHING); /* some are in the tree already */
        assert_true(seq < 1000);
        ask(f, OP_POP, 'a', ++seq, 1);
    }
    uint64_t before = *used(f);
    assert_in_range(before, HELD, HELD * (seq - 1));
    for (int i = 0; i < 2; i++) {
        restart(f, i == 0 ? 0 : f->last);
        assert_int_equal(ask(f, OP_POP, 'a', 1, 1)->status, STATUS_STALE);
        assert_int_equal(ask(f, OP_POP, 'a', seq, 1)->integer, (int64_t)seq);
        assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), before);
        sweep(f, f->last, EVERYTHING);
        expect_in_tree(f, 1, (uint32_t)(before / HELD));
    }
    say_done(f, 'a', seq + 1);
    assert_int_equal(*used(f), 0);
}

static void the_result_that_was_kept_last_stays_however_large_it_is(void **state)
{
    struct fixture *f = *state;
    limit(f, 1, UINT64_MAX);
    for (uint64_t seq = 1; seq <= 20; seq++) {
        for (uint32_t client = 1; client <= 3; client++) {
            const struct outcome first = *ask(f, OP_POP, client, seq, 1);
            assert_int_equal(ask(f, OP_POP, client, seq, 1)->integer, first.integer);
            assert_int_equal(f->outcome.status, STATUS_OK);
        }
        assert_int_equal(*used(f), HELD);
        assert_int_equal(ask(f, OP_POP, 1, seq, 1)->status, STATUS_STALE);
    }
}

static void many_lines_of_small_results_keep_to_the_limit_bit_by_bit(void **state)
{
    enum { CLIENTS = 500, EACH = 30, LIMIT = 256 * 1024 };
    struct fixture *f = *state;
    for (uint32_t i = 0; i < CLIENTS * EACH; i++) {
        incr(f, i % CLIENTS, 1 + i / CLIENTS, 1);
    }
    limit(f, LIMIT, UINT64_MAX);
    size_t len = retries_len(f->retries);
    uint32_t entry_count = f->entry_count;
    retries_tick(f->retries, f->now_ms);
    assert_in_range(f->entry_count - entry_count, 1, 64); /* not all in one turn */
    for (int i = 0; i < 200; i++) {
        retries_tick(f->retries, f->now_ms);
    }
    assert_true(retries_len(f->retries) < len - (CLIENTS * EACH * 64 - LIMIT));
    entry_count = f->entry_count;
    retries_tick(f->retries, f->now_ms);
    assert_int_equal(f->entry_count, entry_count);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        assert_int_equal(incr(f, client, 1, 1)->status, STATUS_STALE);
        assert_int_equal(incr(f, client, EACH, 1)->status, STATUS_OK);
    }
}

/* Client by client until one is refused; returns which. */
static uint32_t fill_with_clients(struct fixture *f, uint32_t client)
{
    uint32_t first = client;
    uint32_t entry_count = f->entry_count;
    while (incr(f, client, 1, 1)->status == STATUS_OK) {
        client++;
    }
    assert_int_equal(f->outcome.status, STATUS_TRY_LATER);
    assert_int_equal(f->outcome.reason, OP_REASON_TOO_MANY_CLIENTS);
    assert_int_equal(f->outcome.need, 0);
    assert_int_equal(say_done(f, client, 2), 0);
    assert_int_equal(f->entry_count, entry_count + client - first);
    return client;
}

static void lines_beyond_their_part_are_refused_and_none_goes_early(void **state)
{
    struct fixture *f = *state;
    limit(f, UINT64_MAX, retries_len(f->retries) + 10 * KIB);
    uint32_t first_end = fill_with_clients(f, 1);
    assert_in_range(first_end, 25, 50);
    f->now_ms += RETRY_SILENT_MS; /* without results lines take less */
    tick_all(f, first_end);
    uint32_t second_end = fill_with_clients(f, first_end);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, second_end - 1, second_end - first_end);
    f->now_ms += RETRY_REMEMBERED_MS - 1;
    tick_all(f, second_end);
    uint32_t third_end = fill_with_clients(f, second_end);
    for (uint32_t client = 1; client < second_end; client++) {
        assert_int_equal(incr(f, client, 1, 1)->status, STATUS_STALE);
    }
    assert_int_equal(incr(f, 1, 2, 1)->status, STATUS_OK);
    sweep(f, f->last, EVERYTHING);
    restart(f, f->last);
    uint32_t end = fill_with_clients(f, third_end);
    assert_in_range(end - third_end, 0, 10);
    f->now_ms += RETRY_SILENT_MS + RETRY_REMEMBERED_MS;
    tick_all(f, end);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 0, 0);
    assert_int_equal(incr(f, end, 1, 1)->status, STATUS_OK);
}

static void there_is_room_for_one_largest_result_and_else_for_a_part_of_the_memory(void **state)
{
    (void)state;
    struct retry_limits limits = retry_limits_of(UINT64_C(16) << 20);
    assert_in_range(limits.results_len, VALUE_LEN_MAX + 1024, VALUE_LEN_MAX + (1 << 20));
    assert_int_equal(limits.lines_len, 4 << 20);
    limits = retry_limits_of(UINT64_C(1) << 30);
    assert_int_equal(limits.results_len, 128 << 20);
    assert_int_equal(limits.lines_len, 256 << 20);
}

/* --- sweep and recovery --- */

static void what_is_not_durable_is_not_swept(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    assert_int_equal(sweep(f, f->last - 1, EVERYTHING), 0);
    assert_true(retries_are_dirty(f->retries));
    assert_int_equal(sweep(f, f->last, EVERYTHING), 1);
    assert_false(retries_are_dirty(f->retries));
    /* A durable result beside a newer one: the line waits, and the log has it. */
    incr(f, 'b', 1, 1);
    incr(f, 'b', 2, 1);
    sweep(f, f->last - 1, EVERYTHING);
    expect_in_tree(f, 1, 2);
    restart(f, f->last - 1);
    assert_int_equal(incr(f, 'b', 1, 1)->integer, 2);
    assert_int_equal(incr(f, 'b', 2, 1)->integer, 3);
}

static void the_tree_keeps_a_result_until_the_done_that_passed_it_is_durable(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    sweep(f, f->last, EVERYTHING);
    incr(f, 'a', 2, 2);
    sweep(f, f->last - 1, EVERYTHING);
    expect_in_tree(f, 1, 1);
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 1, 1); /* the other one */
    restart(f, f->last);
    assert_int_equal(incr(f, 'a', 1, 1)->status, STATUS_STALE);
    assert_int_equal(incr(f, 'a', 2, 1)->integer, 2);
}

/*
 * Its LOG_RESULT is freed with its part of the log, the line is skipped for a newer stamp whose record does
 * not have the `done`: a late duplicate would run.
 */
static void a_result_that_is_done_without_a_record_is_not_lost_between_log_and_tree(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    uint64_t durable = f->last; /* A */
    incr(f, 'a', 2, 1);
    say_done(f, 'a', 2);
    sweep(f, durable, EVERYTHING);
    restart(f, durable);
    assert_int_equal(incr(f, 'a', 1, 1)->status, STATUS_STALE);
    assert_int_equal(incr(f, 'a', 2, 1)->integer, 2);
}

static void an_older_record_is_not_replayed_over_a_newer_line_of_the_tree(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    sweep(f, f->last, EVERYTHING);
    uint64_t applied = f->last;
    incr(f, 'a', 2, 1);
    say_done(f, 'a', 2);
    sweep(f, f->last, EVERYTHING); /* and the process ends before `applied` has risen */
    expect_in_tree(f, 1, 1);
    restart(f, applied);
    assert_int_equal(incr(f, 'a', 1, 1)->status, STATUS_STALE);
    assert_int_equal(incr(f, 'a', 2, 1)->integer, 2);
}

/* They were taken for forgotten ones, as the tree still had the line from before the client's long silence. */
static void results_of_a_client_that_came_back_are_not_forgotten_with_its_old_line(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 20, 1);
    f->now_ms += RETRY_SILENT_MS;
    tick_all(f, 1);
    sweep(f, f->last, EVERYTHING);
    f->now_ms += RETRY_REMEMBERED_MS;
    tick_all(f, 1);
    incr(f, 'a', 1, 1);
    uint64_t durable = f->last;
    incr(f, 'a', 2, 1);
    sweep(f, durable, EVERYTHING);
    expect_in_tree(f, 1, 1);
    restart(f, durable);
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 2);
    assert_int_equal(incr(f, 'a', 2, 1)->integer, 3);
}

static void changes_between_collect_and_swept_stay_dirty(void **state)
{
    struct fixture *f = *state;
    bool is_end;
    incr(f, 'a', 1, 1);
    incr(f, 'a', 2, 1);
    struct retry_batch *batch = retries_collect(f->retries, f->last, EVERYTHING, &is_end);
    assert_true(is_end);
    incr(f, 'a', 3, 2); /* 1 goes, but is being written */
    write_batch(f, batch);
    expect_in_tree(f, 1, 2);
    assert_true(retries_are_dirty(f->retries));
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 1, 2);
    assert_false(retries_are_dirty(f->retries));
    restart(f, f->last);
    assert_int_equal(incr(f, 'a', 1, 1)->status, STATUS_STALE);
    assert_int_equal(incr(f, 'a', 3, 2)->integer, 3);
}

static void a_batch_that_was_not_written_is_taken_again(void **state)
{
    struct fixture *f = *state;
    bool is_end;
    incr(f, 'a', 1, 1);
    sweep(f, f->last, EVERYTHING);
    incr(f, 'a', 2, 2);
    struct retry_batch *batch = retries_collect(f->retries, f->last, EVERYTHING, &is_end);
    retries_swept(f->retries, batch, false);
    assert_true(retries_are_dirty(f->retries));
    sweep(f, f->last, EVERYTHING);
    expect_in_tree(f, 1, 1);
    restart(f, f->last);
    assert_int_equal(incr(f, 'a', 2, 2)->integer, 2);
}

static void a_round_takes_small_batches_and_ends(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 1; seq <= 100; seq++) {
        incr(f, 'a', seq, 1);
        incr(f, 'b', seq, 1);
    }
    assert_in_range(sweep(f, f->last, 10), 21, 23);
    expect_in_tree(f, 2, 200);
    assert_false(retries_are_dirty(f->retries));
}

static void a_popped_value_that_went_counts_nothing_after_a_restart(void **state)
{
    struct fixture *f = *state;
    ask(f, OP_POP, 'a', 1, 1);
    ask(f, OP_POP, 'a', 2, 1);
    assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), 2 * HELD);
    say_done(f, 'a', 2);
    restart(f, 0);
    assert_int_equal(*used(f), HELD);
    assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), HELD);
    say_done(f, 'a', 3);
    assert_int_equal(*used(f), 0);
}

/* A result of the upper half, as another server tells of it; its log is not this one's. */
static struct log_op told_of_upper_half(struct fixture *f, uint64_t seq, uint64_t done)
{
    struct retries *own = f->retries;
    f->retries = retries_new(&f->accounts, add_to_log, f);
    incr(f, 'a', seq, done);
    retries_free(f->retries);
    f->retries = own;
    struct entry *entry = &f->entries[f->entry_count - 1];
    entry->stamp = 0;
    struct log_op op = entry->op;
    op.point = point_of_bound(BOUND_END / 2);
    return op;
}

/* RULES V2, S8: of an import that is dropped nothing is replayed, and the account has changed all the same. */
static void what_went_by_a_moved_result_has_gone_also_when_its_move_is_aborted(void **state)
{
    struct fixture *f = *state;
    ask(f, OP_POP, 'a', 1, 1);
    struct log_op told = told_of_upper_half(f, 2, 2);
    uint32_t from = f->entry_count;
    assert_int_equal(retries_take_result(f->retries, &told), RETRY_TAKEN);
    assert_int_equal(*used(f), 0);
    for (uint32_t i = from; i < f->entry_count; i++) {
        if (f->entries[i].op.point == told.point) {
            f->entries[i].stamp = 0;
        }
    }
    restart(f, 0);
    assert_int_equal(*used(f), 0);
    assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), 0);
}

static void an_emptied_interval_has_no_results(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seq = 1; seq <= 20; seq++) {
        incr(f, 'a', seq, 1);
    }
    uint64_t point = op_of(OP_INCR, 'a', 7, 1).point;
    uint32_t entry_count = f->entry_count;
    clear(f, point, point);
    assert_int_equal(f->entry_count, entry_count);
    assert_int_equal(incr(f, 'a', 6, 1)->integer, 6);
    assert_int_equal(incr(f, 'a', 8, 1)->integer, 8);
    assert_int_equal(incr(f, 'a', 7, 1)->integer, 21);
    clear(f, 0, UINT64_MAX);
    assert_int_equal(incr(f, 'a', 20, 1)->integer, 22);
}

static void an_interval_is_emptied_in_steps_whoever_is_heard_meanwhile(void **state)
{
    enum { CLIENTS = 3000, EACH = 4 };
    struct fixture *f = *state;
    bool is_end;
    for (uint32_t i = 0; i < CLIENTS * EACH; i++) {
        ask(f, OP_POP, i % CLIENTS, 1 + i / CLIENTS, 1);
    }
    struct retry_batch *batch = retries_collect(f->retries, f->last, 8, &is_end);
    assert_false(retries_clear(f->retries, 0, UINT64_MAX)); /* RULES V2 */
    retries_swept(f->retries, batch, false);
    assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), HELD * CLIENTS * EACH);
    uint32_t step_count = 1;
    for (; !retries_clear(f->retries, 0, UINT64_MAX); step_count++) {
        f->now_ms +=
            2000; /* all that are heard go to the end of the list, some before they were looked at */
        for (uint32_t client = 100; client < CLIENTS; client += step_count + 1) {
            const struct op op = op_of(OP_DONE, client, 0, 1);
            (void)retry_done(f->retries, &op, f->now_ms);
        }
        assert_true(step_count < 100);
    }
    assert_in_range(step_count, 3, 20);
    assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), 0);
    assert_int_equal(f->entry_count, CLIENTS * EACH);
}

/* --- damage --- */

static void damage(struct fixture *f, enum tree_database database)
{
    struct tree_txn *txn = tree_begin_write(f->tree);
    struct tree_cursor *cursor = tree_cursor_open(txn, database);
    uint8_t key[64];
    uint8_t value[256];
    assert_true(tree_cursor_seek(cursor, bytes_of("", 1)));
    size_t key_len = tree_cursor_key(cursor).len;
    size_t value_len = tree_cursor_value(cursor).len;
    memcpy(key, tree_cursor_key(cursor).data, key_len);
    memcpy(value, tree_cursor_value(cursor).data, value_len);
    value[value_len - 1] ^= 1;
    tree_cursor_close(cursor);
    tree_put(txn, database, bytes_of(key, key_len), bytes_of(value, value_len), bytes_of("", 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static void a_damaged_result_is_answered_as_such_and_no_other(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    incr(f, 'b', 2, 1);
    sweep(f, f->last, EVERYTHING);
    damage(f, TREE_RESULTS);
    restart(f, f->last);
    bool is_first = op_of(OP_INCR, 'a', 1, 1).point < op_of(OP_INCR, 'b', 2, 1).point;
    assert_int_equal(incr(f, 'a', 1, 1)->status, is_first ? STATUS_DAMAGED : STATUS_OK);
    assert_int_equal(incr(f, 'b', 2, 1)->status, is_first ? STATUS_OK : STATUS_DAMAGED);
    assert_int_equal(incr(f, 'a', 3, 1)->status, STATUS_OK);
}

static void a_damaged_line_refuses_its_client(void **state)
{
    struct fixture *f = *state;
    incr(f, 'a', 1, 1);
    incr(f, 'b', 1, 1);
    uint64_t applied = f->last;
    sweep(f, f->last, EVERYTHING);
    damage(f, TREE_LINES);
    restart(f, applied);
    assert_int_equal(incr(f, 'a', 1, 1)->status, STATUS_DAMAGED);
    assert_int_equal(f->outcome.reason, OP_REASON_RETRY_DAMAGED);
    assert_int_equal(incr(f, 'a', 2, 2)->status, STATUS_DAMAGED);
    assert_int_equal(incr(f, 'b', 1, 1)->integer, 2);
    /* The log's newer line takes its place. */
    restart(f, 0);
    assert_int_equal(incr(f, 'a', 1, 1)->integer, 1);
}

static void what_is_no_result_and_no_line_is_not_replayed(void **state)
{
    struct fixture *f = *state;
    ask(f, OP_POP, 'a', 1, 1);
    say_done(f, 'a', 2);
    for (uint32_t i = 0; i < f->entry_count; i++) {
        struct log_op op = f->entries[i].op;
        size_t value_len = op.value.len;
        for (op.value.len = 0; op.value.len < 12; op.value.len++) {
            assert_true(!retries_replay(f->retries, 9, &op) || op.value.len == value_len);
        }
        op.value.len = value_len;
        op.key.len--;
        assert_false(retries_replay(f->retries, 9, &op));
    }
}

/* --- the forms of earlier versions --- */

static void directories_of_the_earlier_version_are_read(void **state)
{
    struct fixture *f = *state;
    struct op op = op_of(OP_POP, 'a', 7, 5);
    struct bytes client = bytes_of(op.identity.client, ID_LEN);
    uint8_t key_bytes[RESULT_KEY_LEN];
    struct bytes key = bytes_of(key_bytes, sizeof(key_bytes));
    struct buffer stored = {0};
    struct tree_txn *txn = tree_begin_write(f->tree);
    result_key_encode(op.point, op.identity.client, 7, key_bytes);
    seal_begin(&stored, 1);
    pack_array(&stored, 12);
    const uint64_t numbers[] = {OP_POP, HELD, STATUS_OK, OP_REASON_NONE};
    for (int i = 0; i < 4; i++) {
        pack_uint(&stored, numbers[i]);
    }
    pack_bool(&stored, true);
    for (uint64_t number = 1; number <= 6; number++) {
        pack_uint(&stored, number); /* kind, version, size, integer, used, limit */
    }
    pack_bin(&stored, bytes_text("popped"));
    seal_end(&stored, key);
    tree_put(txn, TREE_RESULTS, key, buffer_bytes(&stored), bytes_of("", 0));
    seal_begin(&stored, 1);
    pack_array(&stored, 5);
    const uint64_t state_numbers[] = {5, 7, 0, START_MS};
    for (int i = 0; i < 4; i++) {
        pack_uint(&stored, state_numbers[i]);
    }
    pack_array(&stored, 3);
    for (int i = 0; i < 3; i++) {
        pack_uint(&stored, 7);
    }
    seal_end(&stored, client);
    tree_put(txn, TREE_LINES, client, buffer_bytes(&stored), bytes_of("", 0));
    assert_int_equal(tree_commit(txn), TREE_FINE);
    buffer_fini(&stored);
    restart(f, 0);
    *used(f) = HELD;
    const struct outcome *outcome = ask(f, OP_POP, 'a', 7, 5);
    assert_true(outcome->was_there);
    assert_int_equal(outcome->version, 2);
    assert_int_equal(outcome->left_ms, -1);
    assert_true(bytes_equal(outcome->value, bytes_text("popped")));
    assert_int_equal(ask(f, OP_POP, 'a', 4, 4)->status, STATUS_STALE);
    say_done(f, 'a', 8);
    assert_int_equal(*used(f), 0);
}

static void expect_same_outcome(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->was_there, b->was_there);
    assert_int_equal(a->is_sliding, b->is_sliding);
    assert_int_equal(a->kind, b->kind);
    assert_true(a->version == b->version && a->size == b->size);
    assert_true(a->left_ms == b->left_ms && a->ttl_ms == b->ttl_ms);
    assert_true(a->integer == b->integer && a->used == b->used && a->limit == b->limit);
    assert_true(bytes_equal(a->value, b->value));
}

static void a_result_comes_back_field_by_field(void **state)
{
    static const struct outcome outcomes[] = {
        {0},
        {.left_ms = -1, .integer = INT64_MIN},
        {STATUS_FULL, OP_REASON_DISK_FULL, true, true, 3, 4, 5, -6, 7, -8, 9, 10, 0, {"value", 5}},
        {STATUS_DAMAGED,
         OP_REASON_OTHER_VERSION,
         false,
         true,
         UINT16_MAX,
         UINT64_MAX,
         UINT64_MAX,
         INT64_MAX,
         UINT64_MAX,
         INT64_MAX,
         UINT64_MAX,
         UINT64_MAX,
         0,
         {"", 1}},
    };
    (void)state;
    struct buffer encoded = {0};
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
        struct result result;
        buffer_clear(&encoded);
        result_encode(OP_POP, &outcomes[i], i, &encoded);
        assert_true(result_decode(buffer_bytes(&encoded), &result));
        assert_int_equal(result.op_kind, OP_POP);
        assert_int_equal(result.held, i);
        expect_same_outcome(&result.outcome, &outcomes[i]);
        for (size_t len = 0; len < encoded.len - outcomes[i].value.len; len++) {
            assert_false(result_decode(bytes_of(encoded.data, len), &result));
        }
    }
    buffer_fini(&encoded);
}

static void a_stored_result_shows_each_flipped_bit(void **state)
{
    static const uint8_t client[ID_LEN] = "sixteen bytes..";
    static const struct outcome outcome = {.version = 4, .value = {"value", 5}};
    (void)state;
    uint8_t key_bytes[RESULT_KEY_LEN];
    struct bytes key = bytes_of(key_bytes, sizeof(key_bytes));
    struct buffer encoded = {0};
    struct buffer stored = {0};
    struct buffer opened = {0};
    result_key_encode(1, client, 2, key_bytes);
    result_encode(OP_POP, &outcome, 9, &encoded);
    result_seal(buffer_bytes(&encoded), key, &stored);
    assert_int_equal(result_open(buffer_bytes(&stored), key, &opened), SEAL_FINE);
    assert_true(bytes_equal(buffer_bytes(&opened), buffer_bytes(&encoded)));
    for (size_t i = 0; i < 8 * stored.len; i++) {
        stored.data[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(result_open(buffer_bytes(&stored), key, &opened), SEAL_DAMAGED);
        stored.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    key_bytes[0] ^= 1;
    assert_int_equal(result_open(buffer_bytes(&stored), key, &opened), SEAL_DAMAGED);
    buffer_fini(&encoded);
    buffer_fini(&stored);
    buffer_fini(&opened);
}

/* --- many --- */

static void a_hundred_thousand_clients_are_told_apart_and_forgotten(void **state)
{
    enum { CLIENTS = 100000 };
    struct fixture *f = *state;
    size_t len = retries_len(f->retries);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        incr(f, client, 1, 1);
    }
    assert_true(retries_len(f->retries) > CLIENTS * sizeof(uint64_t[16]));
    for (uint32_t client = 0; client < CLIENTS; client++) {
        assert_int_equal(incr(f, client, 1, 1)->integer, client + 1);
    }
    sweep(f, f->last, 1000);
    expect_in_tree(f, CLIENTS, CLIENTS);
    restart(f, f->last);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        assert_int_equal(incr(f, client, 1, 1)->integer, client + 1);
    }
    f->now_ms += RETRY_SILENT_MS + RETRY_REMEMBERED_MS;
    tick_all(f, CLIENTS);
    sweep(f, f->last, 1000);
    expect_in_tree(f, 0, 0);
    assert_true(retries_len(f->retries) < 2 * len + 4096);
}

/* As lines go the table shrinks, and puts those of its last buckets to the first ones. */
static void an_interval_is_emptied_of_all_though_lines_go_meanwhile(void **state)
{
    enum { ENDED = 6000, LIVING = 2000 };
    struct fixture *f = *state;
    for (uint32_t client = 0; client < ENDED; client++) {
        incr(f, client, 1, 1);
    }
    uint64_t durable = f->last;
    for (uint32_t client = 0; client < ENDED; client++) {
        incr(f, client, 2, 1);
    }
    sweep(f, durable, 1000); /* the first results, but no line: it is newer */
    f->now_ms += RETRY_SILENT_MS + RETRY_REMEMBERED_MS;
    tick_all(f, ENDED);
    for (uint32_t client = 0; client < LIVING; client++) {
        ask(f, OP_POP, ENDED + client, 1, 1);
    }
    clear(f, 0, UINT64_MAX);
    assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), 0);
}

/* --- anything, in any order --- */

enum { CLIENTS = 12, SEQS = 300 };

struct model {
    struct dice dice;
    uint64_t durable;
    uint64_t applied;
    bool is_limited;         /* results are given up */
    uint32_t given_up_count; /* answers without them that else had been there */
    uint32_t id[CLIENTS];    /* another one after each last word */
    uint64_t base[CLIENTS];  /* about where its seqs are */
    uint64_t done[CLIENTS];  /* the highest that it has told */
    struct {
        uint64_t stamp; /* 0: it has not run */
        int64_t integer;
        bool may_be_stale;
    } runs[CLIENTS][SEQS];
};

static void note_run(struct fixture *f, struct model *m, uint32_t client, uint64_t seq)
{
    assert_int_equal(m->runs[client][seq].stamp, 0);
    m->runs[client][seq].stamp = f->outcome.need;
    m->runs[client][seq].integer = f->outcome.integer;
    m->runs[client][seq].may_be_stale = false;
}

/* RULES Q: nothing runs twice, and what is open is answered as it was. */
static void note_answer(struct fixture *f, struct model *m, uint32_t client, uint64_t seq)
{
    bool has_run = m->runs[client][seq].stamp > 0;
    bool may_be_stale = !has_run || m->runs[client][seq].may_be_stale || seq < m->done[client];
    if (f->outcome.status == STATUS_OK) {
        assert_true(has_run);
        assert_int_equal(f->outcome.integer, m->runs[client][seq].integer);
        assert_true(f->outcome.need == 0 || f->outcome.need == m->runs[client][seq].stamp);
    } else {
        assert_int_equal(f->outcome.status, STATUS_STALE);
        assert_true(may_be_stale || m->is_limited);
        m->given_up_count += !may_be_stale;
    }
}

/* All it ever sent is answered, and it never comes again: another client has its place. */
static void say_last_word(struct fixture *f, struct model *m, uint32_t client)
{
    say_done(f, m->id[client], RETRY_DONE_LAST);
    m->id[client] += CLIENTS;
    m->base[client] = 1;
    m->done[client] = 0;
    memset(m->runs[client], 0, sizeof(m->runs[client]));
}

static void random_op(struct fixture *f, struct model *m)
{
    uint32_t client = dice_below(&m->dice, CLIENTS);
    uint64_t seq = m->base[client] + dice_below(&m->dice, 12);
    uint64_t done = m->base[client] > 6 ? m->base[client] - dice_below(&m->dice, 7) : 1;
    m->base[client] += dice_below(&m->dice, 4) == 0 && seq + 16 < SEQS;
    if (dice_below(&m->dice, 6) == 0) {
        seq = 1 + dice_below(&m->dice, (uint32_t)seq);
    }
    if (dice_below(&m->dice, 2) == 0) {
        done = 1;
    }
    if (dice_below(&m->dice, 200) == 0) {
        say_last_word(f, m, client);
        return;
    }
    m->done[client] = done > m->done[client] ? done : m->done[client];
    if (dice_below(&m->dice, 10) == 0) {
        say_done(f, m->id[client], done);
        return;
    }
    /* The kind follows from the seq, as a retry's would. */
    const struct op op = op_of(seq % 3 ? OP_INCR : OP_POP, m->id[client], seq, done);
    if (run(f, &op)) {
        note_run(f, m, client, seq);
    } else {
        note_answer(f, m, client, seq);
    }
}

static void random_time(struct fixture *f, struct model *m)
{
    uint32_t roll = dice_below(&m->dice, 400);
    f->now_ms += dice_below(&m->dice, 3);
    if (roll > 3) {
        return;
    }
    f->now_ms += RETRY_SILENT_MS + (roll == 0 ? RETRY_REMEMBERED_MS : 0);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        for (uint32_t seq = 0; seq < SEQS; seq++) {
            m->runs[client][seq].may_be_stale = true;
            m->runs[client][seq].stamp *= roll > 0; /* a day: it may run anew */
        }
        if (roll == 0) {
            m->base[client] = 1;
            m->done[client] = 0;
        }
    }
    if (dice_below(&m->dice, 2) == 0) {
        tick_all(f, CLIENTS);
    }
}

static void random_turn(struct fixture *f, struct model *m)
{
    uint32_t from = f->entry_count;
    uint64_t last = f->last;
    random_time(f, m);
    for (uint32_t i = dice_below(&m->dice, 4); i > 0; i--) {
        random_op(f, m);
    }
    retries_tick(f->retries, f->now_ms);
    end_turn(f, from);
    if (dice_below(&m->dice, 3) == 0) {
        m->durable = dice_below(&m->dice, 2) == 0 ? last : f->last;
    }
}

/* A round in small batches, some not written, with turns between and during them (RULES S2). */
static void random_round(struct fixture *f, struct model *m)
{
    uint64_t durable_at_start = m->durable;
    for (bool is_end = false; !is_end;) {
        uint32_t from = f->entry_count;
        uint32_t item_max = 2 + dice_below(&m->dice, 40);
        struct retry_batch *batch = retries_collect(f->retries, m->durable, item_max, &is_end);
        end_turn(f, from);
        while (dice_below(&m->dice, 3) == 0) {
            random_turn(f, m);
        }
        if (batch && dice_below(&m->dice, 5) == 0) {
            retries_swept(f->retries, batch, false);
            return; /* the round begins anew another time */
        }
        if (batch) {
            write_batch(f, batch);
        }
    }
    m->durable = f->last; /* E */
    m->applied = durable_at_start;
}

/* Power goes: of what was not durable a suffix of turns is lost. */
static void random_crash(struct fixture *f, struct model *m)
{
    uint64_t cut = m->durable + dice_below(&m->dice, (uint32_t)(f->last - m->durable + 1));
    uint32_t turn = UINT32_MAX;
    for (; f->entry_count > 0; forget_last_entry(f)) {
        const struct entry *entry = &f->entries[f->entry_count - 1];
        if (entry->stamp <= cut && entry->turn != turn) {
            break;
        }
        turn = entry->turn;
    }
    bool is_empty = f->entry_count == 0;
    cut = is_empty ? 0 : f->entries[f->entry_count - 1].stamp;
    *used(f) = is_empty ? 0 : f->entries[f->entry_count - 1].used;
    restart(f, m->applied);
    for (uint32_t client = 0; client < CLIENTS; client++) {
        for (uint32_t seq = 0; seq < SEQS; seq++) {
            m->runs[client][seq].stamp *= m->runs[client][seq].stamp <= cut;
        }
    }
    f->last += 1000; /* RULES N2: no stamp is given twice */
    m->durable = f->last;
}

static void start_model(struct model *m, uint64_t seed)
{
    *m = (struct model){.dice = dice_of(seed)};
    for (uint32_t client = 0; client < CLIENTS; client++) {
        m->id[client] = client;
        m->base[client] = 1;
    }
}

/* Then the log has all of every line. */
static void one_more_of_each_client(struct fixture *f, const struct model *m)
{
    for (uint32_t client = 0; client < CLIENTS; client++) {
        incr(f, m->id[client], SEQS + 1, 1);
    }
}

/* After all were silent nothing counts, and nothing is left behind. */
static void expect_nothing_stays(struct fixture *f)
{
    f->now_ms += RETRY_SILENT_MS;
    tick_all(f, CLIENTS);
    assert_int_equal(*used(f), 0);
    f->now_ms += RETRY_REMEMBERED_MS;
    tick_all(f, CLIENTS);
    sweep(f, f->last, 50);
    sweep(f, f->last, 50);
    expect_in_tree(f, 0, 0);
    assert_false(retries_are_dirty(f->retries));
}

static void run_anything(struct fixture *f, struct model *m)
{
    for (uint32_t i = 0; i < 4000; i++) {
        switch (dice_below(&m->dice, 40)) {
        case 0:
            random_crash(f, m);
            break;
        case 1:
        case 2:
        case 3:
            random_round(f, m);
            break;
        default:
            random_turn(f, m);
            break;
        }
        assert_int_equal(retries_held(f->retries, 0, UINT64_MAX), *used(f));
    }
}

static void nothing_runs_twice_whatever_is_swept_and_lost(void **state)
{
    struct fixture *f = *state;
    static struct model model;
    start_model(&model, 20);
    run_anything(f, &model);
    assert_int_equal(model.given_up_count, 0);
    expect_nothing_stays(f);
}

static void nothing_runs_twice_whatever_is_given_up(void **state)
{
    struct fixture *f = *state;
    static struct model model;
    start_model(&model, 23);
    model.is_limited = true;
    limit(f, 2000, UINT64_MAX);
    run_anything(f, &model);
    assert_true(model.given_up_count > 20);
    expect_nothing_stays(f);
}

/* A second server, with a tree of its own. */
static struct fixture twin_of(struct fixture *f)
{
    struct fixture twin = *f;
    twin.scratch = scratch_make();
    twin.retries = retries_new(&f->accounts, add_to_log, f);
    open_tree(&twin);
    return twin;
}

static void free_twin(struct fixture *twin)
{
    retries_free(twin->retries);
    tree_close(twin->tree);
    scratch_remove(&twin->scratch);
}

static void expect_same_tree(struct fixture *a, struct fixture *b)
{
    uint32_t counts[4];
    struct buffer of_a = read_tree(a, &counts[0], &counts[1]);
    struct buffer of_b = read_tree(b, &counts[2], &counts[3]);
    assert_int_equal(counts[0], CLIENTS);
    assert_true(counts[1] >= CLIENTS);
    assert_true(bytes_equal(buffer_bytes(&of_a), buffer_bytes(&of_b)));
    buffer_fini(&of_a);
    buffer_fini(&of_b);
}

static void a_replayed_log_is_what_was_in_memory(void **state)
{
    struct fixture *f = *state;
    static struct model model;
    start_model(&model, 21);
    for (uint32_t i = 0; i < 2000; i++) {
        random_turn(f, &model);
    }
    one_more_of_each_client(f, &model);
    struct fixture twin = twin_of(f);
    for (uint32_t i = 0; i < f->entry_count; i++) {
        assert_true(retries_replay(twin.retries, f->entries[i].stamp, &f->entries[i].op));
    }
    assert_int_equal(retries_held(twin.retries, 0, UINT64_MAX), *used(f));
    sweep(f, f->last, 20);
    sweep(&twin, f->last, 30);
    expect_same_tree(f, &twin);
    free_twin(&twin);
}

static void what_is_loaded_answers_as_memory_does(void **state)
{
    struct fixture *f = *state;
    static struct model model;
    start_model(&model, 22);
    for (uint32_t i = 0; i < 500; i++) {
        random_turn(f, &model);
        if (dice_below(&model.dice, 20) == 0) {
            random_round(f, &model);
        }
    }
    one_more_of_each_client(f, &model);
    sweep(f, f->last, 30);
    char error[256] = "";
    struct fixture twin = twin_of(f);
    struct tree_txn *txn = tree_begin_read(f->tree);
    assert_true(retries_load(twin.retries, txn, error, sizeof(error)));
    tree_abort(txn);
    uint32_t answer_count = 0;
    for (uint32_t client = 0; client < CLIENTS; client++) {
        for (uint64_t seq = 1; seq <= SEQS + 1; seq++) {
            const struct op op = op_of(seq % 3 ? OP_INCR : OP_POP, model.id[client], seq, 1);
            struct outcome here = {0};
            struct outcome there = {0};
            bool has_answer = retry_answer(f->retries, &op, f->now_ms, &here, &here.need);
            assert_int_equal(retry_answer(twin.retries, &op, f->now_ms, &there, &there.need),
                             has_answer);
            expect_same_outcome(&here, &there);
            answer_count += has_answer && here.status == STATUS_OK;
        }
    }
    assert_true(answer_count >= CLIENTS);
    assert_int_equal(retries_held(twin.retries, 0, UINT64_MAX), *used(f));
    free_twin(&twin);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_same_seq_gets_the_same_answer),
        TEST(a_refusal_is_remembered_too),
        TEST(a_popped_value_comes_back_on_a_retry_and_counts_until_it_goes),
        TEST(what_done_passes_is_forgotten_and_stale),
        TEST(a_large_popped_value_takes_no_memory_once_it_went),
        TEST(a_client_that_is_done_frees_what_its_popped_value_counted),
        TEST(a_client_that_says_its_last_word_is_forgotten_at_once),
        TEST(the_last_word_holds_in_the_tree_and_after_a_restart),
        TEST(a_lower_seq_that_never_came_still_runs),
        TEST(silence_makes_all_that_was_stale),
        TEST(the_hand_finds_silent_clients),
        TEST(a_clock_that_goes_back_makes_nobody_silent),
        TEST(more_than_512_open_results_are_refused),
        TEST(a_seq_of_another_kind_is_refused),
        TEST(the_highest_seq_of_all_goes_by_silence),
        TEST(an_answer_depends_on_the_stamp_of_its_result),
        TEST(who_was_silent_for_longest_is_met_first_among_many),
        TEST(who_is_used_all_the_time_is_not_taken_for_silent),
        TEST(who_was_heard_by_a_clock_that_was_ahead_holds_up_nobody),
        TEST(a_client_that_is_remembered_takes_a_third_of_a_kib_at_most),
        TEST(the_line_that_holds_most_gives_up_its_oldest_results),
        TEST(what_was_given_up_stays_so_after_a_restart),
        TEST(the_result_that_was_kept_last_stays_however_large_it_is),
        TEST(many_lines_of_small_results_keep_to_the_limit_bit_by_bit),
        TEST(lines_beyond_their_part_are_refused_and_none_goes_early),
        cmocka_unit_test(there_is_room_for_one_largest_result_and_else_for_a_part_of_the_memory),
        TEST(what_is_not_durable_is_not_swept),
        TEST(the_tree_keeps_a_result_until_the_done_that_passed_it_is_durable),
        TEST(a_result_that_is_done_without_a_record_is_not_lost_between_log_and_tree),
        TEST(an_older_record_is_not_replayed_over_a_newer_line_of_the_tree),
        TEST(results_of_a_client_that_came_back_are_not_forgotten_with_its_old_line),
        TEST(changes_between_collect_and_swept_stay_dirty),
        TEST(a_batch_that_was_not_written_is_taken_again),
        TEST(a_round_takes_small_batches_and_ends),
        TEST(a_popped_value_that_went_counts_nothing_after_a_restart),
        TEST(what_went_by_a_moved_result_has_gone_also_when_its_move_is_aborted),
        TEST(an_emptied_interval_has_no_results),
        TEST(an_interval_is_emptied_in_steps_whoever_is_heard_meanwhile),
        TEST(a_damaged_result_is_answered_as_such_and_no_other),
        TEST(a_damaged_line_refuses_its_client),
        TEST(what_is_no_result_and_no_line_is_not_replayed),
        TEST(directories_of_the_earlier_version_are_read),
        cmocka_unit_test(a_result_comes_back_field_by_field),
        cmocka_unit_test(a_stored_result_shows_each_flipped_bit),
        TEST(a_hundred_thousand_clients_are_told_apart_and_forgotten),
        TEST(an_interval_is_emptied_of_all_though_lines_go_meanwhile),
        TEST(nothing_runs_twice_whatever_is_swept_and_lost),
        TEST(nothing_runs_twice_whatever_is_given_up),
        TEST(a_replayed_log_is_what_was_in_memory),
        TEST(what_is_loaded_answers_as_memory_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
