/* SPDX-License-Identifier: MIT */
#include "bootstrapd/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bootstrapd/ledger.h"

static const char map_text[] =
    "{\"shards\":[{\"name\":\"a\",\"start\":0.0,\"end\":1.0,\"size\":\"1GiB\","
    "\"host\":\"127.0.0.1\",\"port\":1}]}";

static void add_line(struct history *history, uint64_t number)
{
    struct history_line line = {.number = number, .revision = number + 1, .at_ms = number + 2};
    move_set_text(line.who, sizeof(line.who), "127.0.0.1:9");
    move_set_text(line.text, sizeof(line.text), "something was done");
    history_add_line(history, &line);
}

static void add_move(struct history *history, uint64_t number)
{
    struct history_move ended = {.number = number, .move = {.number = number, .start = 5}};
    ended.move.course = COURSE_FAILED;
    move_set_text(ended.move.reason, sizeof(ended.move.reason), "because");
    history_add_move(history, &ended);
}

static void a_history_comes_back_as_it_was_and_no_prefix_does(void **state)
{
    (void)state;
    struct history history = {0};
    struct history same = {0};
    struct buffer packed = {0};
    add_line(&history, 1);
    add_move(&history, 2);
    add_line(&history, 3);
    history_pack(&history, &packed);
    for (size_t len = 0; len < packed.len; len++) {
        struct unpack in = unpack_of(bytes_of(packed.data, len));
        assert_false(history_unpack(&in, &same));
    }
    struct unpack in = unpack_of(buffer_bytes(&packed));
    assert_true(history_unpack(&in, &same));
    assert_int_equal(same.line_count, 2);
    assert_memory_equal(same.lines, history.lines, 2 * sizeof(*same.lines));
    assert_int_equal(same.move_count, 1);
    assert_memory_equal(same.moves, history.moves, sizeof(*same.moves));
    assert_int_equal(history_last(&same), 3);
    history_fini(&same);
    history_fini(&history);
    buffer_fini(&packed);
}

static void what_both_have_is_joined_once_and_the_oldest_go(void **state)
{
    (void)state;
    struct history whole = {0};
    struct history recent = {0};
    for (uint64_t i = 1; i <= HISTORY_MAX; i++) {
        add_line(&whole, i);
    }
    add_line(&recent, HISTORY_MAX - 1);
    add_line(&recent, HISTORY_MAX);
    add_move(&recent, HISTORY_MAX + 1);
    add_line(&recent, HISTORY_MAX + 2);
    history_join(&whole, &recent);
    history_join(&whole, &recent);
    assert_int_equal(whole.line_count, HISTORY_MAX);
    assert_int_equal(whole.lines[0].number, 2);
    assert_int_equal(whole.move_count, 1);
    assert_int_equal(history_last(&whole), HISTORY_MAX + 2);
    history_fini(&whole);
    history_fini(&recent);
}

static void what_is_kept_elsewhere_is_forgotten_but_for_the_last_moves(void **state)
{
    (void)state;
    struct history recent = {0};
    for (uint64_t i = 1; i <= 100; i += 2) {
        add_line(&recent, i);
        add_move(&recent, i + 1);
    }
    history_forget(&recent, 51);
    assert_int_equal(recent.lines[0].number, 53);
    assert_int_equal(recent.moves[0].number, 52);
    history_forget(&recent, 1000);
    assert_int_equal(recent.line_count, 0);
    assert_int_equal(recent.move_count, HISTORY_MOVES_KEPT);
    assert_int_equal(history_last(&recent), 100);
    history_fini(&recent);
}

static struct ledger found_ledger(void)
{
    static const uint8_t id[ID_LEN] = {1};
    struct ledger ledger;
    struct map_error error;
    assert_true(ledger_found(bytes_text(map_text), id, id, &ledger, &error));
    return ledger;
}

static void a_ledger_brings_its_moves_cuts_and_history_along(void **state)
{
    (void)state;
    struct ledger ledger = found_ledger();
    struct ledger same;
    struct map_error error;
    struct buffer packed = {0};
    struct move move = {.number = 4, .id = 9, .shard = "a", .start = 1, .end = 2, .source = {3}};
    move.target[0] = 4;
    move.wish = WISH_UNDO;
    move.is_cut = true;
    move.hold_us[MOVE_HOLD_OPEN] = 77;
    moves_add(&ledger.moves, &move);
    ledger.move_count = 4;
    cuts_add(&ledger.cuts, 300);
    cuts_add(&ledger.cuts, 100);
    cuts_add(&ledger.cuts, 200);
    cuts_add(&ledger.cuts, 200);
    cuts_drop(&ledger.cuts, 100);
    add_line(&ledger.recent, 1);
    ledger.history_count = 1;
    ledger_pack(&ledger, &packed);
    for (size_t len = 0; len < packed.len; len++) {
        assert_false(ledger_unpack(bytes_of(packed.data, len), &same, &error));
    }
    assert_true(ledger_unpack(buffer_bytes(&packed), &same, &error));
    assert_memory_equal(&same.moves.items[0], &move, sizeof(move));
    assert_ptr_equal(moves_find(&same.moves, 4), &same.moves.items[0]);
    assert_ptr_equal(moves_find_id(&same.moves, 9), &same.moves.items[0]);
    assert_int_equal(same.move_count, 4);
    assert_int_equal(same.cuts.count, 2);
    assert_int_equal(same.cuts.bounds[0], 200);
    assert_true(cuts_has(&same.cuts, 300));
    assert_false(cuts_has(&same.cuts, 100));
    assert_int_equal(same.recent.line_count, 1);
    assert_int_equal(same.history_count, 1);
    ledger_fini(&same);
    ledger_fini(&ledger);
    buffer_fini(&packed);
}

/* [map, term, config hash, is founded, applied hash], as the version before wrote it. */
static void a_ledger_of_the_version_before_moves_is_read(void **state)
{
    (void)state;
    struct ledger ledger = found_ledger();
    struct ledger same;
    struct map_error error;
    struct buffer packed = {0};
    ledger_pack(&ledger, &packed);
    assert_int_equal(packed.data[0], 0x9a);
    packed.data[0] = 0x95;
    packed.len -= 7; /* no moves, 0, no cuts, a history of two empty arrays, 0 */
    assert_true(ledger_unpack(buffer_bytes(&packed), &same, &error));
    assert_int_equal(same.applied_hash, ledger.applied_hash);
    assert_int_equal(same.moves.count, 0);
    ledger_fini(&same);
    ledger_fini(&ledger);
    buffer_fini(&packed);
}

static void texts_are_cut_between_characters(void **state)
{
    (void)state;
    char text[6];
    move_set_text(text, sizeof(text), "abcd\xc3\xa4");
    assert_string_equal(text, "abcd");
    move_set_text(text, sizeof(text), "abc\xc3\xa4");
    assert_string_equal(text, "abc\xc3\xa4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_comes_back_as_it_was_and_no_prefix_does),
        cmocka_unit_test(what_both_have_is_joined_once_and_the_oldest_go),
        cmocka_unit_test(what_is_kept_elsewhere_is_forgotten_but_for_the_last_moves),
        cmocka_unit_test(a_ledger_brings_its_moves_cuts_and_history_along),
        cmocka_unit_test(a_ledger_of_the_version_before_moves_is_read),
        cmocka_unit_test(texts_are_cut_between_characters),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
