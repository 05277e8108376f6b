/* SPDX-License-Identifier: MIT */
#include "bootstrapd/history.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/pack.h"

#define HISTORY_FIELDS 2
#define LINE_FIELDS    5
#define MOVE_FIELDS    2

void history_fini(struct history *history)
{
    free(history->lines);
    free(history->moves);
    *history = (struct history){0};
}

void history_copy(const struct history *history, struct history *copy)
{
    *copy = *history;
    copy->lines = memory_get(history->line_count + 1, sizeof(*history->lines));
    copy->moves = memory_get(history->move_count + 1, sizeof(*history->moves));
    if (history->line_count > 0) {
        memcpy(copy->lines, history->lines, history->line_count * sizeof(*history->lines));
    }
    if (history->move_count > 0) {
        memcpy(copy->moves, history->moves, history->move_count * sizeof(*history->moves));
    }
}

void history_add_line(struct history *history, const struct history_line *line)
{
    history->lines =
        memory_resize(history->lines, history->line_count + 1, sizeof(*history->lines));
    history->lines[history->line_count++] = *line;
}

void history_add_move(struct history *history, const struct history_move *move)
{
    history->moves =
        memory_resize(history->moves, history->move_count + 1, sizeof(*history->moves));
    history->moves[history->move_count++] = *move;
}

uint64_t history_last(const struct history *history)
{
    uint64_t line = history->line_count ? history->lines[history->line_count - 1].number : 0;
    uint64_t move = history->move_count ? history->moves[history->move_count - 1].number : 0;
    return line > move ? line : move;
}

static void drop_lines(struct history *history, uint32_t count)
{
    if (count > 0) {
        history->line_count -= count;
        memmove(history->lines, history->lines + count,
                history->line_count * sizeof(*history->lines));
    }
}

static void drop_moves(struct history *history, uint32_t count)
{
    if (count > 0) {
        history->move_count -= count;
        memmove(history->moves, history->moves + count,
                history->move_count * sizeof(*history->moves));
    }
}

static uint32_t excess(uint32_t count)
{
    return count > HISTORY_MAX ? count - HISTORY_MAX : 0;
}

void history_trim(struct history *history)
{
    drop_lines(history, excess(history->line_count));
    drop_moves(history, excess(history->move_count));
}

void history_join(struct history *whole, const struct history *recent)
{
    uint64_t known = history_last(whole);
    for (uint32_t i = 0; i < recent->line_count; i++) {
        if (recent->lines[i].number > known) {
            history_add_line(whole, &recent->lines[i]);
        }
    }
    for (uint32_t i = 0; i < recent->move_count; i++) {
        if (recent->moves[i].number > known) {
            history_add_move(whole, &recent->moves[i]);
        }
    }
    history_trim(whole);
}

void history_forget(struct history *history, uint64_t number)
{
    uint32_t count = 0;
    while (count < history->line_count && history->lines[count].number <= number) {
        count++;
    }
    drop_lines(history, count);
    count = 0;
    while (count + HISTORY_MOVES_KEPT < history->move_count &&
           history->moves[count].number <= number) {
        count++;
    }
    drop_moves(history, count);
}

/* --- bytes --- */

void history_pack(const struct history *history, struct buffer *out)
{
    pack_array(out, HISTORY_FIELDS);
    pack_array(out, history->line_count);
    for (uint32_t i = 0; i < history->line_count; i++) {
        const struct history_line *line = &history->lines[i];
        pack_array(out, LINE_FIELDS);
        pack_uint(out, line->number);
        pack_uint(out, line->revision);
        pack_uint(out, line->at_ms);
        pack_text(out, line->who);
        pack_text(out, line->text);
    }
    pack_array(out, history->move_count);
    for (uint32_t i = 0; i < history->move_count; i++) {
        pack_array(out, MOVE_FIELDS);
        pack_uint(out, history->moves[i].number);
        move_pack(&history->moves[i].move, out);
    }
}

static uint32_t unpack_count(struct unpack *in)
{
    uint32_t count = unpack_array(in);
    if (count > HISTORY_READ_MAX) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return 0;
    }
    return count;
}

static void unpack_line(struct unpack *in, struct history_line *line)
{
    if (unpack_array(in) != LINE_FIELDS) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    line->number = unpack_uint(in);
    line->revision = unpack_uint(in);
    line->at_ms = unpack_uint(in);
    unpack_string(in, line->who, sizeof(line->who));
    unpack_string(in, line->text, sizeof(line->text));
}

static void unpack_ended(struct unpack *in, struct history_move *ended)
{
    if (unpack_array(in) != MOVE_FIELDS) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    ended->number = unpack_uint(in);
    move_unpack(in, &ended->move);
}

bool history_unpack(struct unpack *in, struct history *history)
{
    struct history unpacked = {0};
    uint32_t field_count = unpack_array(in);
    uint32_t count = unpack_count(in);
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        struct history_line line = {0};
        unpack_line(in, &line);
        history_add_line(&unpacked, &line);
    }
    count = unpack_count(in);
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        struct history_move ended = {0};
        unpack_ended(in, &ended);
        history_add_move(&unpacked, &ended);
    }
    for (uint32_t i = HISTORY_FIELDS; i < field_count; i++) {
        unpack_skip(in);
    }
    if (!unpack_is_fine(in)) {
        history_fini(&unpacked);
        return false;
    }
    *history = unpacked;
    return true;
}
