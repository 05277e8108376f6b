/* SPDX-License-Identifier: MIT */
#include "bootstrapd/moves.h"

#include <stdlib.h>

#include "io/memory.h"
#include "proto/json.h"
#include "proto/pack.h"
#include "proto/point.h"

#define MOVE_FIELDS 23

void moves_fini(struct moves *moves)
{
    free(moves->items);
    *moves = (struct moves){0};
}

void moves_copy(const struct moves *moves, struct moves *copy)
{
    *copy = (struct moves){.count = moves->count};
    if (moves->count > 0) {
        copy->items = memory_get(moves->count, sizeof(*moves->items));
        memcpy(copy->items, moves->items, moves->count * sizeof(*moves->items));
    }
}

void moves_add(struct moves *moves, const struct move *move)
{
    moves->items = memory_resize(moves->items, moves->count + 1, sizeof(*moves->items));
    moves->items[moves->count++] = *move;
}

void moves_drop(struct moves *moves, uint32_t index)
{
    struct move *item = &moves->items[index];
    memmove(item, item + 1, (--moves->count - index) * sizeof(*item));
}

struct move *moves_find(const struct moves *moves, uint64_t number)
{
    for (uint32_t i = 0; i < moves->count; i++) {
        if (moves->items[i].number == number) {
            return &moves->items[i];
        }
    }
    return NULL;
}

struct move *moves_find_id(const struct moves *moves, uint64_t id)
{
    for (uint32_t i = 0; i < moves->count; i++) {
        if (moves->items[i].id == id) {
            return &moves->items[i];
        }
    }
    return NULL;
}

bool moves_touch(const struct moves *moves, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < moves->count; i++) {
        if (moves->items[i].start < end && start < moves->items[i].end) {
            return true;
        }
    }
    return false;
}

const char *move_course_text(enum move_course course)
{
    switch (course) {
    case COURSE_WAITING:
        return "waiting";
    case COURSE_GOING:
        return "going";
    case COURSE_DONE:
        return "done";
    case COURSE_ABORTED:
        return "aborted";
    case COURSE_UNDONE:
        return "undone";
    case COURSE_FAILED:
        return "failed";
    }
    return "unknown";
}

void move_set_text(char *to, size_t size, const char *text)
{
    size_t len = strlen(text);
    if (len >= size) {
        len = utf8_prefix_len(bytes_of(text, size - 1));
    }
    memcpy(to, text, len);
    to[len] = '\0';
}

/* --- bytes --- */

void move_pack(const struct move *move, struct buffer *out)
{
    pack_array(out, MOVE_FIELDS);
    pack_uint(out, move->number);
    pack_uint(out, move->id);
    pack_text(out, move->shard);
    pack_uint(out, move->start);
    pack_uint(out, move->end);
    pack_bin(out, bytes_of(move->source, ID_LEN));
    pack_bin(out, bytes_of(move->target, ID_LEN));
    pack_uint(out, (uint64_t)move->course);
    pack_uint(out, (uint64_t)move->wish);
    pack_bool(out, move->is_paused);
    pack_bool(out, move->is_forced);
    pack_bool(out, move->is_cut);
    pack_uint(out, move->bytes_per_s);
    pack_uint(out, move->try_count);
    pack_uint(out, move->asked_ms);
    pack_uint(out, move->begun_ms);
    pack_uint(out, move->ended_ms);
    pack_uint(out, move->not_before_ms);
    pack_uint(out, move->records);
    pack_uint(out, move->bytes);
    pack_array(out, MOVE_HOLD_COUNT);
    for (uint32_t i = 0; i < MOVE_HOLD_COUNT; i++) {
        pack_uint(out, move->hold_us[i]);
    }
    pack_text(out, move->who);
    pack_text(out, move->reason);
}

const struct map_entry *move_find_entry(const struct move *move, const struct map *map)
{
    bool is_range = move->start < move->end;
    const struct map_entry *entry = is_range ? map_find(map, point_of_bound(move->start)) : NULL;
    return entry && move->end <= entry->end ? entry : NULL;
}

void moves_pack(const struct moves *moves, struct buffer *out)
{
    pack_array(out, moves->count);
    for (uint32_t i = 0; i < moves->count; i++) {
        move_pack(&moves->items[i], out);
    }
}

static void unpack_hold(struct unpack *in, struct move *move)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t us = unpack_uint(in);
        if (i < MOVE_HOLD_COUNT) {
            move->hold_us[i] = us;
        }
    }
}

void move_unpack(struct unpack *in, struct move *move)
{
    uint32_t count = unpack_array(in);
    if (count < MOVE_FIELDS) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    move->number = unpack_uint(in);
    move->id = unpack_uint(in);
    unpack_string(in, move->shard, sizeof(move->shard));
    move->start = unpack_uint(in);
    move->end = unpack_uint(in);
    unpack_id(in, move->source);
    unpack_id(in, move->target);
    move->course = (enum move_course)unpack_uint_max(in, COURSE_LAST);
    move->wish = (enum move_wish)unpack_uint_max(in, WISH_LAST);
    move->is_paused = unpack_bool(in);
    move->is_forced = unpack_bool(in);
    move->is_cut = unpack_bool(in);
    move->bytes_per_s = unpack_uint(in);
    move->try_count = (uint32_t)unpack_uint_max(in, UINT32_MAX);
    move->asked_ms = unpack_uint(in);
    move->begun_ms = unpack_uint(in);
    move->ended_ms = unpack_uint(in);
    move->not_before_ms = unpack_uint(in);
    move->records = unpack_uint(in);
    move->bytes = unpack_uint(in);
    unpack_hold(in, move);
    unpack_string(in, move->who, sizeof(move->who));
    unpack_string(in, move->reason, sizeof(move->reason));
    for (uint32_t i = MOVE_FIELDS; i < count; i++) {
        unpack_skip(in);
    }
}

bool moves_unpack(struct unpack *in, uint32_t max, struct moves *moves)
{
    struct moves unpacked = {0};
    uint32_t count = unpack_array(in);
    if (count > max) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        struct move move = {0};
        move_unpack(in, &move);
        moves_add(&unpacked, &move);
    }
    if (!unpack_is_fine(in)) {
        moves_fini(&unpacked);
        return false;
    }
    *moves = unpacked;
    return true;
}
