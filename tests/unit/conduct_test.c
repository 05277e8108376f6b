/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bootstrapd/admission.h"
#include "bootstrapd/orders.h"
#include "bootstrapd/parts.h"
#include "dice.h"
#include "proto/pack.h"
#include "proto/point.h"

/*
 * Two shards, a on server 11 (port 1) and b on server 12 (port 2), and an empty server 13 (port 3). Servers are written as one
 * byte, their ids are 16 of it. What follows becomes durable at once (settle), unless a test holds it back.
 */

#define HALF    (BOUND_END / 2)
#define QUARTER (BOUND_END / 4)

static const char config[] = "{\"shards\":["
                             "{\"name\":\"a\",\"start\":0.0,\"end\":0.5,\"size\":\"1GiB\",\"host\":"
                             "\"127.0.0.1\",\"port\":1},"
                             "{\"name\":\"b\",\"start\":0.5,\"end\":1.0,\"size\":\"1GiB\",\"host\":"
                             "\"127.0.0.1\",\"port\":2}]}";

struct fixture {
    struct cluster *cluster;
    struct conduct *conduct;
    uint64_t now_ms;
    struct text why;
};

static const uint8_t *id_of(uint8_t server)
{
    static uint8_t ids[256][ID_LEN];
    memset(ids[server], server, ID_LEN);
    return ids[server];
}

static struct address address_of(uint8_t server)
{
    struct address address = {.port = (uint16_t)(server - 10)};
    (void)snprintf(address.host, sizeof(address.host), "127.0.0.1");
    return address;
}

static const struct ledger *ledger_of(const struct fixture *fixture)
{
    return cluster_ledger(fixture->cluster);
}

static const struct map *map_of(const struct fixture *fixture)
{
    return &ledger_of(fixture)->map;
}

static const struct map_entry *entry(const struct fixture *fixture, const char *name)
{
    const struct map_entry *found = map_find_name(map_of(fixture), bytes_text(name));
    if (!found) {
        fail_msg("there is no shard %s", name);
    }
    return found;
}

/* --- time and durability --- */

static void adopt(struct fixture *fixture, struct plan *plan)
{
    struct map_error error;
    plan_log(plan, fixture->now_ms);
    if (plan->is_changed) {
        assert_int_equal(plan->next.map.revision, map_of(fixture)->revision + 1);
    }
    if (!map_check(&plan->next.map, &error)) {
        fail_msg("%s", error.text);
    }
    cluster_adopt(fixture->cluster, plan);
    plan_fini(plan);
}

static bool next_plan(struct fixture *fixture, struct plan *plan)
{
    return cluster_next(fixture->cluster, plan) ||
           conduct_next(fixture->conduct, fixture->cluster, fixture->now_ms, plan);
}

/* How many changes it took. */
static unsigned settle(struct fixture *fixture)
{
    struct plan plan;
    unsigned count = 0;
    while (next_plan(fixture, &plan)) {
        adopt(fixture, &plan);
        assert_true(++count < 50);
    }
    return count;
}

/* --- what servers say --- */

static void greet_with(struct fixture *fixture, uint8_t server, uint64_t now_ms, uint64_t stamp)
{
    struct address address = address_of(server);
    struct site_hello hello = {.incarnation = 1,
                               .now_ms = now_ms,
                               .stamp = stamp,
                               .heard_ms = fixture->now_ms,
                               .start = server};
    memcpy(hello.server, id_of(server), ID_LEN);
    if (map_of(fixture)->revision > 1) {
        memcpy(hello.cluster, map_of(fixture)->cluster, ID_LEN);
    }
    cluster_on_hello(fixture->cluster, &address, &hello);
}

static void greet(struct fixture *fixture, uint8_t server)
{
    greet_with(fixture, server, fixture->now_ms, 0);
}

static void open_shard(struct fixture *fixture, uint8_t server, const char *name)
{
    struct address address = address_of(server);
    cluster_on_opened(fixture->cluster, &address, bytes_text(name), entry(fixture, name)->epoch);
}

/* It has taken `revision`, and has a part in one move; a state of 0: in none. */
static void report_at(struct fixture *fixture, uint8_t server, uint64_t revision, uint64_t id,
                      unsigned state)
{
    struct move_reports reports = {.revision = revision};
    if (state != 0) {
        reports.count = 1;
        reports.items = calloc(1, sizeof(*reports.items));
        assert_non_null(reports.items);
        reports.items[0] = (struct move_report){.id = id, .state = (enum move_state)state};
        if (state == MOVE_SOURCE_LOST || state == MOVE_TARGET_LOST) {
            (void)snprintf(reports.items[0].text, MOVE_TEXT_LEN, "it was started again");
        }
    }
    conduct_on_reports(fixture->conduct, id_of(server), &reports);
    assert_null(reports.items);
}

static void report(struct fixture *fixture, uint8_t server, unsigned state)
{
    report_at(fixture, server, map_of(fixture)->revision, entry(fixture, "a")->move.id, state);
}

static void away(struct fixture *fixture, uint8_t server)
{
    struct address address = address_of(server);
    conduct_on_gone(fixture->conduct, id_of(server));
    cluster_on_down(fixture->cluster, &address, "gone");
}

static void count(struct fixture *fixture, uint8_t server, const char *name, uint64_t bytes)
{
    const struct map_entry *counted = entry(fixture, name);
    struct address address = address_of(server);
    struct buffer stat = {0};
    static const char *const fields[] = {"start", "end", "epoch", "records", "bytes"};
    const uint64_t values[] = {counted->start, counted->end, counted->epoch, bytes / 100, bytes};
    pack_map(&stat, 3);
    pack_text(&stat, "disk_free_bytes");
    pack_uint(&stat, 1 << 30);
    pack_text(&stat, "later");
    pack_nil(&stat);
    pack_text(&stat, "shards");
    pack_array(&stat, 1);
    pack_map(&stat, 5);
    for (unsigned i = 0; i < 5; i++) {
        pack_text(&stat, fields[i]);
        pack_uint(&stat, values[i]);
    }
    assert_true(cluster_on_stat(fixture->cluster, &address, 1, buffer_bytes(&stat)));
    buffer_fini(&stat);
}

/* --- fixture --- */

static int found(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct ledger ledger;
    struct map_error error;
    struct address guest = address_of(13);
    assert_non_null(fixture);
    assert_true(ledger_found(bytes_text(config), id_of(100), id_of(101), &ledger, &error));
    fixture->now_ms = 1000000;
    fixture->cluster = cluster_new(&ledger);
    fixture->conduct = conduct_new();
    greet(fixture, 11);
    greet(fixture, 12);
    settle(fixture);
    open_shard(fixture, 11, "a");
    open_shard(fixture, 12, "b");
    settle(fixture);
    cluster_invite(fixture->cluster, &guest, 0);
    greet(fixture, 13);
    settle(fixture);
    cluster_invite(fixture->cluster, NULL, 0);
    assert_int_equal(map_of(fixture)->server_count, 3);
    *state = fixture;
    return 0;
}

static int fini(void **state)
{
    struct fixture *fixture = *state;
    cluster_free(fixture->cluster);
    conduct_free(fixture->conduct);
    free(fixture);
    return 0;
}

/* Only the ledger survives, as bytes; servers greet, and say what they have a part in when a test makes them. */
static void restart(struct fixture *fixture)
{
    struct buffer packed = {0};
    struct ledger ledger;
    struct map_error error;
    ledger_pack(ledger_of(fixture), &packed);
    if (!ledger_unpack(buffer_bytes(&packed), &ledger, &error)) {
        fail_msg("%s", error.text);
    }
    buffer_fini(&packed);
    cluster_free(fixture->cluster);
    conduct_free(fixture->conduct);
    fixture->cluster = cluster_new(&ledger);
    fixture->conduct = conduct_new();
    greet(fixture, 11);
    greet(fixture, 12);
    greet(fixture, 13);
}

/* --- what people ask for --- */

static struct order_scope scope_of(const struct fixture *fixture)
{
    return (struct order_scope){fixture->cluster, fixture->conduct, fixture->now_ms, "127.0.0.1:9"};
}

static enum status try_start(struct fixture *fixture, const struct order_start *start,
                             uint64_t *number)
{
    struct order_scope scope = scope_of(fixture);
    struct plan plan;
    enum status status = order_move_start(&scope, start, &plan, number, &fixture->why);
    if (status == STATUS_OK) {
        adopt(fixture, &plan);
    }
    return status;
}

static uint64_t start(struct fixture *fixture, const char *shard, const char *target)
{
    const struct order_start wanted = {.shard = bytes_text(shard), .target = bytes_text(target)};
    uint64_t number = 0;
    if (try_start(fixture, &wanted, &number) != STATUS_OK) {
        fail_msg("%s", fixture->why.chars);
    }
    return number;
}

static enum status change(struct fixture *fixture, enum order_move order, uint64_t number)
{
    struct order_scope scope = scope_of(fixture);
    struct plan plan;
    enum status status = order_move_change(&scope, order, number, 1000, &plan, &fixture->why);
    if (status == STATUS_OK) {
        adopt(fixture, &plan);
    }
    return status;
}

/* --- asserting --- */

static void assert_phase(const struct fixture *fixture, const char *name, enum move_phase phase,
                         uint8_t owner)
{
    const struct map_entry *there = entry(fixture, name);
    const struct address address = address_of(owner);
    assert_string_equal(move_phase_text(there->move.phase), move_phase_text(phase));
    assert_memory_equal(there->server, id_of(owner), ID_LEN);
    assert_true(address_equal(&there->address, &address));
}

static void assert_says(const struct fixture *fixture, const char *word)
{
    if (!strstr(fixture->why.chars, word)) {
        fail_msg("\"%s\" does not say \"%s\"", fixture->why.chars, word);
    }
}

static const struct move *last_ended(const struct fixture *fixture)
{
    const struct history *recent = &ledger_of(fixture)->recent;
    assert_true(recent->move_count > 0);
    return &recent->moves[recent->move_count - 1].move;
}

static void assert_ended(const struct fixture *fixture, uint64_t number, enum move_course course)
{
    const struct move *ended = last_ended(fixture);
    assert_int_equal(ended->number, number);
    assert_string_equal(move_course_text(ended->course), move_course_text(course));
    assert_int_equal(ended->ended_ms, fixture->now_ms);
    assert_null(moves_find(&ledger_of(fixture)->moves, number));
}

/* --- up to a row --- */

static uint64_t to_copy(struct fixture *fixture)
{
    uint64_t number = start(fixture, "a", "127.0.0.1:3");
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
    return number;
}

static uint64_t to_committed(struct fixture *fixture)
{
    uint64_t number = to_copy(fixture);
    report(fixture, 13, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
    return number;
}

static uint64_t to_opened(struct fixture *fixture)
{
    uint64_t number = to_committed(fixture);
    report(fixture, 13, MOVE_TARGET_OPEN);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_OPENED, 13);
    return number;
}

/* --- the table itself --- */

#define KNOWN(is_current, state)                                                                   \
    {                                                                                              \
        true, is_current, (enum move_state)(state)                                                 \
    }
#define UNKNOWN                                                                                    \
    {                                                                                              \
        false, false, (enum move_state)0                                                           \
    }

static void each_row_of_the_table_is_as_the_model_has_it(void **state)
{
    static const struct {
        enum move_phase phase;
        enum move_wish wish;
        struct conduct_word source, target;
        enum conduct_verdict verdict;
    } rows[] = {
        {MOVE_COPY, WISH_NONE, UNKNOWN, UNKNOWN, CONDUCT_STAYS},
        {MOVE_COPY, WISH_NONE, KNOWN(true, 0), KNOWN(true, 0), CONDUCT_STAYS},
        {MOVE_COPY, WISH_NONE, KNOWN(true, 1), KNOWN(true, 11), CONDUCT_STAYS},
        {MOVE_COPY, WISH_NONE, KNOWN(true, 2), KNOWN(true, 11), CONDUCT_STAYS},
        {MOVE_COPY, WISH_NONE, KNOWN(true, 2), KNOWN(true, 12), CONDUCT_COMMIT},
        {MOVE_COPY, WISH_NONE, UNKNOWN, KNOWN(false, 12), CONDUCT_COMMIT},
        {MOVE_COPY, WISH_NONE, KNOWN(true, 5), KNOWN(true, 12), CONDUCT_COMMIT},
        {MOVE_COPY, WISH_NONE, KNOWN(true, 5), KNOWN(true, 11), CONDUCT_ABORT},
        {MOVE_COPY, WISH_NONE, KNOWN(false, 5), UNKNOWN, CONDUCT_ABORT},
        {MOVE_COPY, WISH_NONE, KNOWN(true, 1), KNOWN(true, 14), CONDUCT_ABORT},
        {MOVE_COPY, WISH_ABORT, KNOWN(true, 2), KNOWN(true, 12), CONDUCT_ABORT},
        {MOVE_COPY, WISH_ABORT, UNKNOWN, UNKNOWN, CONDUCT_ABORT},
        {MOVE_COMMITTED, WISH_NONE, KNOWN(true, 3), KNOWN(true, 12), CONDUCT_STAYS},
        {MOVE_COMMITTED, WISH_NONE, UNKNOWN, UNKNOWN, CONDUCT_STAYS},
        {MOVE_COMMITTED, WISH_NONE, UNKNOWN, KNOWN(true, 13), CONDUCT_OPENED},
        {MOVE_COMMITTED, WISH_ABORT, UNKNOWN, KNOWN(true, 12), CONDUCT_STAYS},
        {MOVE_COMMITTED, WISH_UNDO, UNKNOWN, KNOWN(true, 12), CONDUCT_UNDO},
        {MOVE_COMMITTED, WISH_UNDO, UNKNOWN, KNOWN(true, 13), CONDUCT_OPENED},
        {MOVE_COMMITTED, WISH_UNDO, UNKNOWN, UNKNOWN, CONDUCT_UNDO},
        {MOVE_COMMITTED, WISH_UNDO_LOSS, UNKNOWN, KNOWN(true, 12), CONDUCT_UNDO},
        {MOVE_COMMITTED, WISH_UNDO_LOSS, UNKNOWN, UNKNOWN, CONDUCT_ABORT},
        {MOVE_UNDO, WISH_UNDO, UNKNOWN, KNOWN(false, 12), CONDUCT_STAYS},
        {MOVE_UNDO, WISH_UNDO, UNKNOWN, KNOWN(true, 12), CONDUCT_ABORT},
        {MOVE_UNDO, WISH_UNDO, UNKNOWN, KNOWN(true, 13), CONDUCT_OPENED},
        {MOVE_UNDO, WISH_UNDO, UNKNOWN, KNOWN(true, 0), CONDUCT_STAYS},
        {MOVE_UNDO, WISH_UNDO, UNKNOWN, UNKNOWN, CONDUCT_STAYS},
        {MOVE_UNDO, WISH_UNDO_LOSS, UNKNOWN, UNKNOWN, CONDUCT_ABORT},
        {MOVE_OPENED, WISH_NONE, KNOWN(true, 3), KNOWN(true, 13), CONDUCT_STAYS},
        {MOVE_OPENED, WISH_NONE, KNOWN(true, 4), KNOWN(true, 13), CONDUCT_STAYS},
        {MOVE_OPENED, WISH_NONE, KNOWN(false, 0), KNOWN(true, 13), CONDUCT_STAYS},
        {MOVE_OPENED, WISH_NONE, UNKNOWN, KNOWN(true, 13), CONDUCT_STAYS},
        {MOVE_OPENED, WISH_NONE, KNOWN(true, 0), KNOWN(true, 13), CONDUCT_OVER},
        {MOVE_OPENED, WISH_UNDO_LOSS, KNOWN(true, 3), UNKNOWN, CONDUCT_STAYS},
        {MOVE_NONE, WISH_NONE, KNOWN(true, 5), KNOWN(true, 12), CONDUCT_STAYS},
        {MOVE_ABORTED, WISH_NONE, KNOWN(true, 5), KNOWN(true, 12), CONDUCT_STAYS},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        enum conduct_verdict verdict =
            conduct_judge(rows[i].phase, rows[i].wish, &rows[i].source, &rows[i].target);
        if (verdict != rows[i].verdict) {
            fail_msg("row %zu: %d instead of %d", i, (int)verdict, (int)rows[i].verdict);
        }
    }
}

/* --- one move --- */

static void a_whole_shard_goes_over(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_copy(fixture);
    assert_int_equal(entry(fixture, "a")->move.id, map_of(fixture)->revision);
    assert_int_equal(entry(fixture, "a")->epoch, map_of(fixture)->revision);
    report(fixture, 11, MOVE_SOURCE_COPYING);
    report(fixture, 13, MOVE_TARGET_IMPORTING);
    assert_int_equal(settle(fixture), 0);
    report(fixture, 11, MOVE_SOURCE_FROZEN);
    report(fixture, 13, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
    report(fixture, 11, MOVE_SOURCE_CLOSED);
    report(fixture, 13, MOVE_TARGET_OPEN);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_OPENED, 13);
    report(fixture, 11, MOVE_SOURCE_DELETING);
    assert_int_equal(settle(fixture), 0);
    report(fixture, 11, 0);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_NONE, 13);
    assert_int_equal(entry(fixture, "a")->move.id, 0);
    assert_ended(fixture, number, COURSE_DONE);
    assert_false(conduct_is_busy(fixture->cluster));
}

static void what_is_known_already_is_followed_without_being_told_again(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    struct plan plan;
    report(fixture, 13, MOVE_TARGET_READY);
    assert_true(next_plan(fixture, &plan));
    /* While the commit is being written the target is seen to be open, by a map that it had from somebody else. */
    report(fixture, 13, MOVE_TARGET_OPEN);
    adopt(fixture, &plan);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_OPENED, 13);
}

static void a_report_of_another_id_is_no_ready(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    uint64_t id = entry(fixture, "a")->move.id;
    report_at(fixture, 13, map_of(fixture)->revision, id - 1, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 0);
    report_at(fixture, 13, map_of(fixture)->revision, id + 1, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 0);
    /* Nor is it when the source says so, or a server that has no part. */
    report(fixture, 11, MOVE_TARGET_READY);
    report(fixture, 12, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 0);
    assert_phase(fixture, "a", MOVE_COPY, 11);
}

static void a_change_that_was_overtaken_is_not_written_blindly(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    struct plan plan;
    plan_begin(&plan, ledger_of(fixture));
    struct map_entry *planned = &plan.next.map.entries[0];
    struct map_entry seen = *planned;
    seen.epoch--;
    assert_false(plan_set_phase(&plan, planned, &seen, MOVE_COMMITTED));
    seen = *planned;
    seen.move.id++;
    assert_false(plan_set_phase(&plan, planned, &seen, MOVE_COMMITTED));
    seen = *planned;
    seen.move.phase = MOVE_ABORTED;
    assert_false(plan_set_phase(&plan, planned, &seen, MOVE_COMMITTED));
    assert_false(plan.is_changed);
    seen = *planned;
    assert_true(plan_set_phase(&plan, planned, &seen, MOVE_COMMITTED));
    assert_true(plan.is_changed);
    plan_fini(&plan);
}

static void repeated_and_late_reports_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_opened(fixture);
    uint64_t id = entry(fixture, "a")->move.id;
    uint64_t revision = map_of(fixture)->revision;
    for (unsigned i = 0; i < 3; i++) {
        report_at(fixture, 13, revision - 1, id, MOVE_TARGET_READY);
        report_at(fixture, 11, revision - 2, id, MOVE_SOURCE_COPYING);
        report_at(fixture, 11, revision - 1, id, MOVE_SOURCE_FROZEN);
        /* From before it had even heard of the move: not listed, and yet not over. */
        report_at(fixture, 11, revision - 3, id, 0);
        assert_int_equal(settle(fixture), 0);
    }
    report(fixture, 11, 0);
    report(fixture, 11, 0);
    assert_int_equal(settle(fixture), 1);
    report_at(fixture, 13, revision, id, MOVE_TARGET_OPEN);
    report_at(fixture, 11, revision, id, MOVE_SOURCE_DELETING);
    assert_int_equal(settle(fixture), 0);
    assert_ended(fixture, number, COURSE_DONE);
}

static void what_a_server_said_goes_with_its_connection(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    struct plan plan;
    report(fixture, 13, MOVE_TARGET_READY);
    away(fixture, 13);
    assert_false(next_plan(fixture, &plan));
    greet(fixture, 13);
    assert_int_equal(settle(fixture), 0);
    report(fixture, 13, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
}

/* --- tries --- */

static void what_a_restart_lost_is_begun_again_under_a_new_id(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_copy(fixture);
    uint64_t id = entry(fixture, "a")->move.id;
    report(fixture, 11, MOVE_SOURCE_LOST);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    assert_string_equal(moves_find(&ledger_of(fixture)->moves, number)->reason,
                        "it was started again");
    fixture->now_ms += CONDUCT_PAUSE_MIN_MS - 1;
    assert_int_equal(settle(fixture), 0);
    fixture->now_ms++;
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
    assert_true(entry(fixture, "a")->move.id > id);
    /* The report of the try before, once more. */
    report_at(fixture, 11, map_of(fixture)->revision, id, MOVE_SOURCE_LOST);
    assert_int_equal(settle(fixture), 0);
    report(fixture, 13, MOVE_TARGET_LOST);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    assert_int_equal(moves_find(&ledger_of(fixture)->moves, number)->try_count, 2);
}

static void pauses_double_and_tries_end(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_copy(fixture);
    uint64_t pause_ms = CONDUCT_PAUSE_MIN_MS;
    for (unsigned i = 1; i < CONDUCT_TRIES_MAX; i++) {
        report(fixture, 13, MOVE_TARGET_LOST);
        assert_int_equal(settle(fixture), 1);
        fixture->now_ms += pause_ms - 1;
        assert_int_equal(settle(fixture), 0);
        fixture->now_ms++;
        assert_int_equal(settle(fixture), 1);
        pause_ms *= 2;
    }
    report(fixture, 13, MOVE_TARGET_LOST);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    assert_ended(fixture, number, COURSE_FAILED);
    assert_string_equal(last_ended(fixture)->reason, "the target: it was started again");
    fixture->now_ms += 1000000;
    assert_int_equal(settle(fixture), 0);
    assert_false(conduct_is_busy(fixture->cluster));
}

/* Pauses are kept by the wall clock, which outlives a restart. */
static void a_clock_that_goes_back_makes_no_pause_longer(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    fixture->now_ms += 3600000;
    report(fixture, 13, MOVE_TARGET_LOST);
    assert_int_equal(settle(fixture), 1);
    fixture->now_ms -= 3600000;
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
}

static void no_try_begins_while_a_server_is_away(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    report(fixture, 11, MOVE_SOURCE_LOST);
    settle(fixture);
    away(fixture, 13);
    fixture->now_ms += 100000;
    assert_int_equal(settle(fixture), 0);
    greet(fixture, 13);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
}

static void a_target_that_was_ready_makes_a_lost_source_no_loss(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    report(fixture, 11, MOVE_SOURCE_LOST);
    report(fixture, 13, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
}

/* --- abort, undo --- */

static void an_abort_ends_the_copy_and_gives_no_new_try(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_copy(fixture);
    assert_int_equal(change(fixture, ORDER_ABORT, number), STATUS_OK);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    assert_ended(fixture, number, COURSE_ABORTED);
    fixture->now_ms += 1000000;
    assert_int_equal(settle(fixture), 0);
    /* And the next one begins from there. */
    start(fixture, "a", "127.0.0.1:2");
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
    assert_memory_equal(entry(fixture, "a")->move.target, id_of(12), ID_LEN);
}

static void an_abort_ends_a_move_between_two_tries(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_copy(fixture);
    report(fixture, 11, MOVE_SOURCE_LOST);
    settle(fixture);
    assert_int_equal(change(fixture, ORDER_ABORT, number), STATUS_OK);
    settle(fixture);
    assert_ended(fixture, number, COURSE_ABORTED);
    fixture->now_ms += 1000000;
    assert_int_equal(settle(fixture), 0);
}

static void of_abort_and_ready_the_first_one_wins(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_copy(fixture);
    struct plan plan;
    report(fixture, 13, MOVE_TARGET_READY);
    assert_true(next_plan(fixture, &plan));
    adopt(fixture, &plan);
    assert_int_equal(change(fixture, ORDER_ABORT, number), STATUS_DENIED);
    assert_says(fixture, "is committed");
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
}

static void undo_asks_the_target_and_goes_by_its_answer(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_committed(fixture);
    report(fixture, 13, MOVE_TARGET_READY);
    assert_int_equal(change(fixture, ORDER_UNDO, number), STATUS_OK);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_UNDO, 13);
    /* It was ready before; whether it has taken this epoch is not known. */
    assert_int_equal(settle(fixture), 0);
    report(fixture, 13, MOVE_TARGET_READY);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    assert_ended(fixture, number, COURSE_UNDONE);
    fixture->now_ms += 1000000;
    assert_int_equal(settle(fixture), 0);
}

static void undo_comes_too_late_when_the_target_has_opened(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_committed(fixture);
    assert_int_equal(change(fixture, ORDER_UNDO, number), STATUS_OK);
    assert_int_equal(settle(fixture), 1);
    report(fixture, 13, MOVE_TARGET_OPEN);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_OPENED, 13);
    assert_int_equal(change(fixture, ORDER_UNDO, number), STATUS_DENIED);
    assert_says(fixture, "has opened");
    report(fixture, 11, 0);
    settle(fixture);
    assert_ended(fixture, number, COURSE_DONE);
}

static void undo_with_loss_does_not_ask_a_target_that_is_away(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_committed(fixture);
    away(fixture, 13);
    assert_int_equal(change(fixture, ORDER_UNDO, number), STATUS_OK);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_UNDO, 13);
    assert_int_equal(settle(fixture), 0);
    assert_int_equal(change(fixture, ORDER_UNDO_LOSS, number), STATUS_OK);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    assert_ended(fixture, number, COURSE_UNDONE);
}

static void undo_is_nothing_for_a_copy(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_copy(fixture);
    assert_int_equal(change(fixture, ORDER_UNDO, number), STATUS_DENIED);
    assert_says(fixture, "abort it");
    assert_int_equal(change(fixture, ORDER_PAUSE, number + 1), STATUS_INVALID);
}

/* --- restarts --- */

static void a_restart_at_each_row_goes_on_from_the_ledger_alone(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = start(fixture, "a", "127.0.0.1:3");
    restart(fixture);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
    restart(fixture);
    report(fixture, 13, MOVE_TARGET_READY);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
    restart(fixture);
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
    report(fixture, 13, MOVE_TARGET_OPEN);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_OPENED, 13);
    restart(fixture);
    report(fixture, 11, 0);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_NONE, 13);
    assert_ended(fixture, number, COURSE_DONE);
    restart(fixture);
    assert_ended(fixture, number, COURSE_DONE);
}

static void a_restart_between_two_tries_makes_the_next_one(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    report(fixture, 11, MOVE_SOURCE_LOST);
    settle(fixture);
    restart(fixture);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    fixture->now_ms += CONDUCT_PAUSE_MIN_MS;
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
}

static void a_restart_in_undo_goes_on(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_committed(fixture);
    assert_int_equal(change(fixture, ORDER_UNDO, number), STATUS_OK);
    restart(fixture);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_UNDO, 13);
    restart(fixture);
    report(fixture, 13, MOVE_TARGET_READY);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_ABORTED, 11);
    assert_ended(fixture, number, COURSE_UNDONE);
}

/* What a bootstrapd without the list, or one that lost it, finds in the map is brought to an end all the same. */
static void a_move_that_is_in_the_map_alone_is_brought_to_an_end(void **state)
{
    struct fixture *fixture = *state;
    to_copy(fixture);
    struct plan plan;
    plan_begin(&plan, ledger_of(fixture));
    moves_fini(&plan.next.moves);
    plan_note(&plan);
    adopt(fixture, &plan);
    report(fixture, 13, MOVE_TARGET_READY);
    settle(fixture);
    report(fixture, 13, MOVE_TARGET_OPEN);
    settle(fixture);
    report(fixture, 11, 0);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_NONE, 13);
}

/* --- parts --- */

static uint64_t start_part(struct fixture *fixture, uint64_t from, uint64_t until)
{
    const struct order_start wanted = {.shard = bytes_text("a"),
                                       .target = bytes_text("127.0.0.1:3"),
                                       .has_from = true,
                                       .from = from,
                                       .has_until = true,
                                       .until = until};
    uint64_t number = 0;
    if (try_start(fixture, &wanted, &number) != STATUS_OK) {
        fail_msg("%s", fixture->why.chars);
    }
    return number;
}

static void a_part_is_split_off_first_and_counted_by_its_owner(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, HALF - QUARTER / 2, HALF);
    assert_int_equal(settle(fixture), 1);
    assert_int_equal(map_of(fixture)->entry_count, 3);
    assert_phase(fixture, "a", MOVE_NONE, 11);
    assert_phase(fixture, "a.1", MOVE_NONE, 11);
    assert_int_equal(entry(fixture, "a")->end, HALF - QUARTER / 2);
    assert_int_equal(entry(fixture, "a")->size, (UINT64_C(1) << 30) / 4 * 3);
    assert_int_equal(entry(fixture, "a.1")->size, (UINT64_C(1) << 30) / 4);
    assert_int_equal(entry(fixture, "a")->epoch, entry(fixture, "a.1")->epoch);
    count(fixture, 11, "a", UINT64_C(1) << 29);
    assert_int_equal(settle(fixture), 0);
    count(fixture, 11, "a.1", UINT64_C(1) << 29);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a.1", MOVE_COPY, 11);
    assert_int_equal(entry(fixture, "a")->size, UINT64_C(1) << 29);
    assert_int_equal(entry(fixture, "a.1")->size, UINT64_C(1) << 29);
}

static void a_part_that_holds_next_to_nothing_has_room_by_its_width(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, HALF - QUARTER / 2, HALF);
    settle(fixture);
    count(fixture, 11, "a", 4000);
    count(fixture, 11, "a.1", 0);
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a.1", MOVE_COPY, 11);
    assert_int_equal(entry(fixture, "a.1")->size, ((UINT64_C(1) << 30) - 4000) / 4);
    assert_int_equal(entry(fixture, "a")->size + entry(fixture, "a.1")->size, UINT64_C(1) << 30);
}

static void parts_of_a_shard_that_is_over_its_size_share_it_by_their_bytes(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, HALF - QUARTER / 2, HALF);
    settle(fixture);
    count(fixture, 11, "a", UINT64_C(3) << 29);
    count(fixture, 11, "a.1", UINT64_C(3) << 29);
    settle(fixture);
    assert_int_equal(entry(fixture, "a")->size, UINT64_C(1) << 29);
    assert_int_equal(entry(fixture, "a.1")->size, UINT64_C(1) << 29);
}

static void an_owner_that_does_not_count_holds_nothing_up(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, 0, QUARTER);
    settle(fixture);
    fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
    assert_int_equal(settle(fixture), 1);
    /* Of two equal parts the first keeps the name. */
    assert_phase(fixture, "a", MOVE_COPY, 11);
    assert_phase(fixture, "a.1", MOVE_NONE, 11);
    assert_int_equal(entry(fixture, "a")->size + entry(fixture, "a.1")->size, UINT64_C(1) << 30);
}

static void a_middle_part_leaves_two_beside_it(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, QUARTER / 2, QUARTER);
    assert_int_equal(settle(fixture), 1);
    assert_int_equal(map_of(fixture)->entry_count, 4);
    fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
    assert_int_equal(settle(fixture), 1);
    const struct map_entry *moving = map_find(map_of(fixture), point_of_bound(QUARTER / 2));
    assert_int_equal(moving->start, QUARTER / 2);
    assert_int_equal(moving->end, QUARTER);
    assert_int_equal(moving->move.phase, MOVE_COPY);
    assert_string_equal(moving->name, "a.2");
}

static uint64_t sum_of_sizes(const struct fixture *fixture)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < map_of(fixture)->entry_count; i++) {
        sum += map_of(fixture)->entries[i].size;
    }
    return sum;
}

static void parts_of_one_owner_join_again(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = start_part(fixture, QUARTER / 2, QUARTER);
    settle(fixture);
    fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
    settle(fixture);
    assert_int_equal(change(fixture, ORDER_ABORT, number), STATUS_OK);
    settle(fixture);
    assert_int_equal(map_of(fixture)->entry_count, 2);
    assert_phase(fixture, "a", MOVE_NONE, 11);
    assert_int_equal(entry(fixture, "a")->size, UINT64_C(1) << 30);
    assert_int_equal(sum_of_sizes(fixture), UINT64_C(2) << 30);
    assert_int_equal(ledger_of(fixture)->cuts.count, 0);
}

static void what_a_person_divided_stays_divided(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, "a", "127.0.0.1:2");
    settle(fixture);
    report(fixture, 12, MOVE_TARGET_READY);
    settle(fixture);
    report(fixture, 12, MOVE_TARGET_OPEN);
    settle(fixture);
    report(fixture, 11, 0);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_NONE, 12);
    assert_phase(fixture, "b", MOVE_NONE, 12);
    assert_int_equal(map_of(fixture)->entry_count, 2);
}

static void parts_that_arrive_at_one_server_join_there(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, 0, QUARTER);
    start_part(fixture, QUARTER, HALF);
    for (unsigned i = 0; i < 2; i++) {
        settle(fixture);
        fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
        settle(fixture);
        const struct map_entry *moving =
            map_find(map_of(fixture), point_of_bound(i == 0 ? 0 : QUARTER));
        assert_int_equal(moving->move.phase, MOVE_COPY);
        uint64_t id = moving->move.id;
        report_at(fixture, 13, map_of(fixture)->revision, id, MOVE_TARGET_READY);
        settle(fixture);
        report_at(fixture, 13, map_of(fixture)->revision, id, MOVE_TARGET_OPEN);
        settle(fixture);
        report_at(fixture, 11, map_of(fixture)->revision, id, 0);
        report_at(fixture, 13, map_of(fixture)->revision, id, 0);
    }
    settle(fixture);
    assert_int_equal(map_of(fixture)->entry_count, 2);
    assert_phase(fixture, "a", MOVE_NONE, 13);
    assert_int_equal(entry(fixture, "a")->size, UINT64_C(1) << 30);
}

static void names_of_parts_are_free_and_never_too_long(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    plan_begin(&plan, ledger_of(fixture));
    memset(plan.next.map.entries[0].name, 'x', NAME_LEN_MAX);
    for (uint64_t i = 1; i <= 20; i++) {
        struct map_error error;
        assert_true(parts_split(&plan, 0, HALF - i * 1000, &fixture->why));
        assert_true(map_check(&plan.next.map, &error));
    }
    assert_int_equal(plan.next.map.entry_count, 22);
    assert_int_equal(plan.next.cuts.count, 20);
    plan_fini(&plan);
}

/* --- several --- */

static void a_server_copies_in_one_move_at_a_time_and_others_wait_by_number(void **state)
{
    struct fixture *fixture = *state;
    start(fixture, "a", "127.0.0.1:3");
    start(fixture, "b", "127.0.0.1:3");
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
    assert_phase(fixture, "b", MOVE_NONE, 12);
    report(fixture, 13, MOVE_TARGET_READY);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_COMMITTED, 13);
    assert_phase(fixture, "b", MOVE_NONE, 12);
    report(fixture, 13, MOVE_TARGET_OPEN);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_OPENED, 13);
    assert_phase(fixture, "b", MOVE_COPY, 12);
}

/* The `part`th 32nd of a's half goes over, and the source does not delete what it left. */
static uint64_t open_part(struct fixture *fixture, unsigned part)
{
    const struct map_entry *moving = map_find(map_of(fixture), point_of_bound(part * (HALF / 32)));
    uint64_t id = moving->move.id;
    assert_int_equal(moving->move.phase, MOVE_COPY);
    report_at(fixture, 13, map_of(fixture)->revision, id, MOVE_TARGET_READY);
    settle(fixture);
    report_at(fixture, 13, map_of(fixture)->revision, id, MOVE_TARGET_OPEN);
    settle(fixture);
    return id;
}

static void the_next_part_is_split_and_counted_while_one_is_copied(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, 0, HALF / 32);
    start_part(fixture, HALF / 32, HALF / 16);
    start_part(fixture, HALF / 16, HALF / 32 * 3);
    settle(fixture);
    fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
    settle(fixture);
    assert_int_equal(map_of(fixture)->entry_count, 4);
    fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
    settle(fixture);
    /* No more than one ahead. */
    assert_int_equal(map_of(fixture)->entry_count, 4);
    open_part(fixture, 0);
    const struct map_entry *next = map_find(map_of(fixture), point_of_bound(HALF / 32));
    assert_int_equal(next->move.phase, MOVE_COPY);
    assert_int_equal(map_of(fixture)->entry_count, 5);
}

static void a_source_that_does_not_keep_up_with_deleting_begins_no_further_move(void **state)
{
    struct fixture *fixture = *state;
    uint64_t ids[CONDUCT_DELETING_MAX];
    for (unsigned i = 0; i <= CONDUCT_DELETING_MAX; i++) {
        start_part(fixture, i * (HALF / 32), (i + 1) * (HALF / 32));
    }
    settle(fixture);
    for (unsigned i = 0; i < CONDUCT_DELETING_MAX; i++) {
        fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
        settle(fixture);
        ids[i] = open_part(fixture, i);
    }
    fixture->now_ms += CONDUCT_COUNT_WITHIN_MS;
    settle(fixture);
    uint64_t start = CONDUCT_DELETING_MAX * (HALF / 32);
    assert_int_equal(map_find(map_of(fixture), point_of_bound(start))->move.phase, MOVE_NONE);
    report_at(fixture, 11, map_of(fixture)->revision, ids[1], MOVE_SOURCE_DELETING);
    settle(fixture);
    assert_int_equal(map_find(map_of(fixture), point_of_bound(start))->move.phase, MOVE_COPY);
}

static void what_points_have_in_common_moves_once(void **state)
{
    struct fixture *fixture = *state;
    start_part(fixture, 0, QUARTER);
    const struct order_start wanted = {.shard = bytes_text("a"),
                                       .target = bytes_text("127.0.0.1:2")};
    uint64_t number = 0;
    assert_int_equal(try_start(fixture, &wanted, &number), STATUS_CONFLICT);
    assert_says(fixture, "another move of it");
}

static void a_paused_move_does_not_begin_and_the_source_is_told_its_pace(void **state)
{
    struct fixture *fixture = *state;
    struct move_pace pace;
    uint64_t number = start(fixture, "a", "127.0.0.1:3");
    assert_int_equal(change(fixture, ORDER_PAUSE, number), STATUS_OK);
    assert_int_equal(settle(fixture), 0);
    assert_int_equal(change(fixture, ORDER_RESUME, number), STATUS_OK);
    assert_int_equal(settle(fixture), 1);
    report(fixture, 11, MOVE_SOURCE_COPYING);
    assert_true(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    assert_false(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    assert_int_equal(change(fixture, ORDER_THROTTLE, number), STATUS_OK);
    assert_false(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(13), &pace));
    assert_true(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    assert_int_equal(pace.id, entry(fixture, "a")->move.id);
    assert_int_equal(pace.bytes_per_s, 1000);
    assert_false(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    conduct_untell(fixture->conduct, id_of(11), pace.id);
    assert_true(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    away(fixture, 11);
    greet(fixture, 11);
    assert_false(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    report(fixture, 11, MOVE_SOURCE_COPYING);
    assert_true(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
}

/* --- what is refused --- */

static enum status start_b(struct fixture *fixture, const char *target, bool is_forced)
{
    const struct order_start wanted = {
        .shard = bytes_text("a"), .target = bytes_text(target), .is_forced = is_forced};
    uint64_t number = 0;
    return try_start(fixture, &wanted, &number);
}

static void a_source_that_was_away_when_its_pause_ended_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct move_pace pace;
    uint64_t number = start(fixture, "a", "127.0.0.1:3");
    settle(fixture);
    report(fixture, 11, MOVE_SOURCE_COPYING);
    assert_int_equal(change(fixture, ORDER_PAUSE, number), STATUS_OK);
    assert_true(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    assert_true(pace.is_paused);
    away(fixture, 11);
    assert_int_equal(change(fixture, ORDER_RESUME, number), STATUS_OK);
    greet(fixture, 11);
    report(fixture, 11, MOVE_SOURCE_COPYING);
    assert_true(conduct_take_pace(fixture->conduct, fixture->cluster, id_of(11), &pace));
    assert_false(pace.is_paused);
}

static void what_cannot_move_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(start_b(fixture, "127.0.0.1:1", false), STATUS_INVALID);
    assert_says(fixture, "has it");
    assert_int_equal(start_b(fixture, "127.0.0.1:7", false), STATUS_INVALID);
    assert_says(fixture, "no server");
    away(fixture, 13);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_TRY_LATER);
    assert_says(fixture, "127.0.0.1:3: down");
    greet(fixture, 13);
    assert_int_equal(start_b(fixture, "0d0d0d0d", false), STATUS_OK);
}

static void clocks_a_minute_apart_need_force(void **state)
{
    struct fixture *fixture = *state;
    greet_with(fixture, 11, fixture->now_ms + 1000, 0);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_OK);
    assert_int_equal(change(fixture, ORDER_ABORT, 1), STATUS_OK);
    settle(fixture);
    greet_with(fixture, 11, fixture->now_ms - ADMISSION_CLOCK_REFUSED_MS - 1, 0);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_DENIED);
    assert_says(fixture, "60001 ms apart");
    /* The clock is right and the stamp before it: what the target gives would be, too. */
    greet_with(fixture, 11, fixture->now_ms,
               (fixture->now_ms + ADMISSION_STAMP_REFUSED_MS + 1) << 16);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_DENIED);
    assert_says(fixture, "last stamp is 86400001 ms");
    assert_int_equal(start_b(fixture, "127.0.0.1:3", true), STATUS_OK);
    settle(fixture);
    assert_phase(fixture, "a", MOVE_COPY, 11);
}

/* Each unclean start lifts the stamp by 65 s (RULES N2): a move would fail for good when its source crashes. */
static void a_source_that_crashed_is_not_refused_for_its_stamp(void **state)
{
    struct fixture *fixture = *state;
    greet_with(fixture, 11, fixture->now_ms, (fixture->now_ms + 131072) << 16);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_OK);
    settle(fixture);
    report(fixture, 11, MOVE_SOURCE_LOST);
    settle(fixture);
    greet_with(fixture, 11, fixture->now_ms + UINT64_C(2) * ADMISSION_CLOCK_REFUSED_MS, 0);
    fixture->now_ms += CONDUCT_PAUSE_MIN_MS;
    assert_int_equal(settle(fixture), 1);
    assert_phase(fixture, "a", MOVE_COPY, 11);
}

static void a_difference_of_clocks_that_is_told_stands_in_the_log(void **state)
{
    struct fixture *fixture = *state;
    greet_with(fixture, 11, fixture->now_ms + 5000, 0);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_OK);
    const struct history *recent = &ledger_of(fixture)->recent;
    const struct history_line *line = &recent->lines[recent->line_count - 1];
    assert_non_null(strstr(line->text, "5000 ms apart"));
    assert_string_equal(line->who, "127.0.0.1:9");
    assert_int_equal(line->at_ms, fixture->now_ms);
}

static void a_target_without_room_refuses(void **state)
{
    struct fixture *fixture = *state;
    count(fixture, 11, "a", UINT64_C(3) << 30);
    count(fixture, 12, "b", 1000);
    struct address address = address_of(13);
    struct buffer stat = {0};
    pack_map(&stat, 1);
    pack_text(&stat, "disk_free_bytes");
    pack_uint(&stat, 1 << 30);
    assert_true(cluster_on_stat(fixture->cluster, &address, 1, buffer_bytes(&stat)));
    buffer_fini(&stat);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_DENIED);
    assert_says(fixture, "room for 1073741824 bytes");
    count(fixture, 11, "a", 1000);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_OK);
}

static void a_capacity_bounds_the_sizes_that_a_server_gets(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    plan_begin(&plan, ledger_of(fixture));
    for (uint32_t i = 0; i < plan.next.map.server_count; i++) {
        plan.next.map.servers[i].capacity = (UINT64_C(1) << 30) + 1000;
    }
    plan_touch_map(&plan);
    adopt(fixture, &plan);
    assert_int_equal(start_b(fixture, "127.0.0.1:2", false), STATUS_DENIED);
    assert_says(fixture, "capacity");
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_OK);
}

/* --- servers and shards --- */

static void a_server_is_removed_when_it_owns_nothing_and_takes_part_in_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct order_scope scope = scope_of(fixture);
    struct plan plan;
    assert_int_equal(order_server_remove(&scope, bytes_text("127.0.0.1:1"), &plan, &fixture->why),
                     STATUS_DENIED);
    assert_says(fixture, "drain it first");
    uint64_t number = to_copy(fixture);
    assert_int_equal(order_server_remove(&scope, bytes_text("127.0.0.1:3"), &plan, &fixture->why),
                     STATUS_DENIED);
    assert_says(fixture, "part in a move");
    assert_int_equal(change(fixture, ORDER_ABORT, number), STATUS_OK);
    settle(fixture);
    assert_int_equal(order_server_remove(&scope, bytes_text("127.0.0.1:3"), &plan, &fixture->why),
                     STATUS_OK);
    adopt(fixture, &plan);
    assert_int_equal(map_of(fixture)->server_count, 2);
    assert_int_equal(cluster_site_count(fixture->cluster), 2);
}

static enum status try_remove(struct fixture *fixture, const char *server)
{
    struct order_scope scope = scope_of(fixture);
    struct plan plan;
    enum status status = order_server_remove(&scope, bytes_text(server), &plan, &fixture->why);
    if (status == STATUS_OK) {
        adopt(fixture, &plan);
    }
    return status;
}

static void a_source_that_is_gone_for_good_can_be_removed_when_the_target_is_open(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_opened(fixture);
    report(fixture, 11, MOVE_SOURCE_DELETING);
    assert_int_equal(try_remove(fixture, "127.0.0.1:1"), STATUS_DENIED);
    assert_says(fixture, "part in a move");
    away(fixture, 11);
    assert_int_equal(try_remove(fixture, "127.0.0.1:1"), STATUS_OK);
    assert_phase(fixture, "a", MOVE_NONE, 13);
    assert_ended(fixture, number, COURSE_DONE);
    assert_int_equal(map_of(fixture)->server_count, 2);
    assert_int_equal(settle(fixture), 0);
}

static void a_source_that_is_gone_before_the_target_is_open_cannot_be_removed(void **state)
{
    struct fixture *fixture = *state;
    to_committed(fixture);
    away(fixture, 11);
    assert_int_equal(try_remove(fixture, "127.0.0.1:1"), STATUS_DENIED);
    assert_says(fixture, "part in a move");
}

static void a_source_that_keeps_its_copy_can_be_removed(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = to_opened(fixture);
    struct move_reports reports = {.revision = map_of(fixture)->revision, .count = 1};
    reports.items = calloc(1, sizeof(*reports.items));
    assert_non_null(reports.items);
    reports.items[0] = (struct move_report){.id = entry(fixture, "a")->move.id,
                                            .state = MOVE_SOURCE_CLOSED,
                                            .text = "the source's copy is kept: why"};
    report(fixture, 11, MOVE_SOURCE_CLOSED);
    assert_int_equal(try_remove(fixture, "127.0.0.1:1"), STATUS_DENIED);
    conduct_on_reports(fixture->conduct, id_of(11), &reports);
    assert_int_equal(settle(fixture), 0);
    assert_int_equal(try_remove(fixture, "127.0.0.1:1"), STATUS_OK);
    assert_phase(fixture, "a", MOVE_NONE, 13);
    assert_ended(fixture, number, COURSE_DONE);
}

static void a_server_that_comes_back_elsewhere_is_the_same_server(void **state)
{
    struct fixture *fixture = *state;
    struct order_scope scope = scope_of(fixture);
    struct plan plan;
    struct address taken = address_of(12);
    struct address address = address_of(14);
    struct bytes server = bytes_text("127.0.0.1:1");
    assert_int_equal(order_server_set_address(&scope, server, &taken, &plan, &fixture->why),
                     STATUS_DENIED);
    assert_int_equal(order_server_set_address(&scope, server, &address, &plan, &fixture->why),
                     STATUS_OK);
    adopt(fixture, &plan);
    assert_memory_equal(entry(fixture, "a")->server, id_of(11), ID_LEN);
    assert_true(address_equal(&entry(fixture, "a")->address, &address));
    assert_int_equal(entry(fixture, "a")->epoch, map_of(fixture)->revision);
    const struct map_server *moved = map_find_server(map_of(fixture), id_of(11));
    assert_true(address_equal(&moved->address, &address));
}

static void a_drained_server_gets_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct order_scope scope = scope_of(fixture);
    struct plan plan;
    struct bytes server = bytes_text("127.0.0.1:3");
    assert_int_equal(order_server_drain(&scope, server, false, &plan, &fixture->why), STATUS_OK);
    adopt(fixture, &plan);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_DENIED);
    assert_int_equal(order_server_drain(&scope, server, true, &plan, &fixture->why), STATUS_OK);
    adopt(fixture, &plan);
    assert_int_equal(start_b(fixture, "127.0.0.1:3", false), STATUS_OK);
}

static void another_disk_at_an_idle_servers_address_is_not_taken_quietly(void **state)
{
    struct fixture *fixture = *state;
    struct address address = address_of(13);
    struct site_hello hello = {.incarnation = 1};
    memcpy(hello.server, id_of(77), ID_LEN);
    cluster_on_hello(fixture->cluster, &address, &hello);
    assert_int_equal(settle(fixture), 0);
    const struct site *site = cluster_find_site(fixture->cluster, &address);
    assert_int_equal(site->state, SITE_REFUSED);
    assert_non_null(strstr(site->problem.chars, "owns nothing"));
}

static void a_shard_gets_another_size(void **state)
{
    struct fixture *fixture = *state;
    struct order_scope scope = scope_of(fixture);
    struct plan plan;
    assert_int_equal(order_shard_resize(&scope, bytes_text("a"), 100, &plan, &fixture->why),
                     STATUS_INVALID);
    assert_int_equal(
        order_shard_resize(&scope, bytes_text("a"), MAP_SIZE_MAX + 1, &plan, &fixture->why),
        STATUS_INVALID);
    assert_says(fixture, "size: is above 1PiB");
    assert_int_equal(order_shard_resize(&scope, bytes_text("c"), 5000, &plan, &fixture->why),
                     STATUS_INVALID);
    assert_int_equal(order_shard_resize(&scope, bytes_text("a"), 5000, &plan, &fixture->why),
                     STATUS_OK);
    adopt(fixture, &plan);
    assert_int_equal(entry(fixture, "a")->size, 5000);
    assert_int_equal(entry(fixture, "a")->epoch, map_of(fixture)->revision);
}

/* --- chance --- */

/* Two servers that follow the map as shardd does, as far as bootstrapd sees it. */
struct actor {
    uint8_t server;
    uint64_t revision;
    uint64_t id;
    unsigned state; /* 0: none */
};

static void act(struct fixture *fixture, struct actor *source, struct actor *target,
                struct dice *dice)
{
    const struct map_entry *a = entry(fixture, "a");
    struct actor *actor = dice_below(dice, 2) ? source : target;
    bool takes = dice_below(dice, 2) && actor->revision < map_of(fixture)->revision;
    bool is_source = actor == source;
    if (takes) {
        actor->revision = map_of(fixture)->revision;
        if (a->move.phase == MOVE_COPY && a->move.id != actor->id) {
            actor->id = a->move.id;
            actor->state = is_source ? MOVE_SOURCE_COPYING : MOVE_TARGET_IMPORTING;
        } else if (a->move.phase == MOVE_ABORTED || (a->move.phase == MOVE_OPENED && is_source)) {
            actor->state = 0;
        } else if (a->move.phase == MOVE_COMMITTED && actor->state != 0) {
            actor->state = is_source ? MOVE_SOURCE_CLOSED : MOVE_TARGET_OPEN;
        }
    } else if (dice_below(dice, 6) == 0 &&
               (actor->state == MOVE_SOURCE_COPYING || actor->state == MOVE_TARGET_IMPORTING)) {
        actor->state = is_source ? MOVE_SOURCE_LOST : MOVE_TARGET_LOST;
    } else if (source->state == MOVE_SOURCE_COPYING && target->state == MOVE_TARGET_IMPORTING &&
               source->id == target->id) {
        source->state = MOVE_SOURCE_FROZEN;
        target->state = MOVE_TARGET_READY;
    }
    if (dice_below(dice, 3) > 0) {
        report_at(fixture, actor->server, actor->revision, actor->id, actor->state);
    }
}

static void whatever_happens_in_between_a_move_ends(void **state)
{
    struct dice dice = dice_of(4);
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        void *fresh = NULL;
        found(&fresh);
        struct fixture *fixture = fresh;
        struct actor source = {.server = 11};
        struct actor target = {.server = 13};
        uint64_t number = start(fixture, "a", "127.0.0.1:3");
        for (unsigned i = 0; i < 5000 && conduct_is_busy(fixture->cluster); i++) {
            fixture->now_ms += dice_below(&dice, 2000);
            act(fixture, &source, &target, &dice);
            if (dice_below(&dice, 20) == 0) {
                restart(fixture);
            }
            (void)settle(fixture);
        }
        assert_false(conduct_is_busy(fixture->cluster));
        assert_int_equal(last_ended(fixture)->number, number);
        bool is_done = last_ended(fixture)->course == COURSE_DONE;
        assert_true(is_done || last_ended(fixture)->course == COURSE_FAILED);
        assert_phase(fixture, "a", is_done ? MOVE_NONE : MOVE_ABORTED, is_done ? 13 : 11);
        fini(&fresh);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, found, fini)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_of_the_table_is_as_the_model_has_it),
        TEST(a_whole_shard_goes_over),
        TEST(what_is_known_already_is_followed_without_being_told_again),
        TEST(a_report_of_another_id_is_no_ready),
        TEST(a_change_that_was_overtaken_is_not_written_blindly),
        TEST(repeated_and_late_reports_change_nothing),
        TEST(what_a_server_said_goes_with_its_connection),
        TEST(what_a_restart_lost_is_begun_again_under_a_new_id),
        TEST(pauses_double_and_tries_end),
        TEST(a_clock_that_goes_back_makes_no_pause_longer),
        TEST(no_try_begins_while_a_server_is_away),
        TEST(a_target_that_was_ready_makes_a_lost_source_no_loss),
        TEST(an_abort_ends_the_copy_and_gives_no_new_try),
        TEST(an_abort_ends_a_move_between_two_tries),
        TEST(of_abort_and_ready_the_first_one_wins),
        TEST(undo_asks_the_target_and_goes_by_its_answer),
        TEST(undo_comes_too_late_when_the_target_has_opened),
        TEST(undo_with_loss_does_not_ask_a_target_that_is_away),
        TEST(undo_is_nothing_for_a_copy),
        TEST(a_restart_at_each_row_goes_on_from_the_ledger_alone),
        TEST(a_restart_between_two_tries_makes_the_next_one),
        TEST(a_restart_in_undo_goes_on),
        TEST(a_move_that_is_in_the_map_alone_is_brought_to_an_end),
        TEST(a_part_is_split_off_first_and_counted_by_its_owner),
        TEST(a_part_that_holds_next_to_nothing_has_room_by_its_width),
        TEST(parts_of_a_shard_that_is_over_its_size_share_it_by_their_bytes),
        TEST(an_owner_that_does_not_count_holds_nothing_up),
        TEST(a_middle_part_leaves_two_beside_it),
        TEST(parts_of_one_owner_join_again),
        TEST(what_a_person_divided_stays_divided),
        TEST(parts_that_arrive_at_one_server_join_there),
        TEST(names_of_parts_are_free_and_never_too_long),
        TEST(a_server_copies_in_one_move_at_a_time_and_others_wait_by_number),
        TEST(the_next_part_is_split_and_counted_while_one_is_copied),
        TEST(a_source_that_does_not_keep_up_with_deleting_begins_no_further_move),
        TEST(what_points_have_in_common_moves_once),
        TEST(a_paused_move_does_not_begin_and_the_source_is_told_its_pace),
        TEST(a_source_that_was_away_when_its_pause_ended_is_told),
        TEST(what_cannot_move_is_refused_at_once),
        TEST(clocks_a_minute_apart_need_force),
        TEST(a_source_that_crashed_is_not_refused_for_its_stamp),
        TEST(a_difference_of_clocks_that_is_told_stands_in_the_log),
        TEST(a_target_without_room_refuses),
        TEST(a_capacity_bounds_the_sizes_that_a_server_gets),
        TEST(a_server_is_removed_when_it_owns_nothing_and_takes_part_in_nothing),
        TEST(a_source_that_is_gone_for_good_can_be_removed_when_the_target_is_open),
        TEST(a_source_that_is_gone_before_the_target_is_open_cannot_be_removed),
        TEST(a_source_that_keeps_its_copy_can_be_removed),
        TEST(a_server_that_comes_back_elsewhere_is_the_same_server),
        TEST(a_drained_server_gets_nothing),
        TEST(another_disk_at_an_idle_servers_address_is_not_taken_quietly),
        TEST(a_shard_gets_another_size),
        cmocka_unit_test(whatever_happens_in_between_a_move_ends),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
