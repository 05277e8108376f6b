/* SPDX-License-Identifier: MIT */
#ifndef IO_INTAKE_H
#define IO_INTAKE_H

/*
 * The memory of one turn's input, which lives until the turn's hooks have run.
 *
 *     chunks   | read | read | read |    | | read | ...      each connection reads behind the last
 *     retired  buffers of messages in pieces that on_input has seen: freed with the turn
 *
 * Inside io only: what conn reads into.
 */

#include "proto/buffer.h"

/* Bytes read from one connection in one turn. */
#define INTAKE_READ_LEN (64u << 10)

#define INTAKE_CHUNK_LEN (256u << 10)

/* So that a turn's input takes 4 MiB at most, or what intake_limit says; then, the hooks run early. */
#define INTAKE_CHUNK_MAX 16

/* Likewise of what is retired: a message of 8 MiB leaves that much behind as it grows. */
#define INTAKE_RETIRED_LEN_MAX (4u << 20)

/* Turns after which a chunk that none of them used is given back. */
#define INTAKE_WINDOW_TURNS 1024

struct intake {
    uint8_t *chunks[INTAKE_CHUNK_MAX];
    unsigned chunk_max; /* 0: INTAKE_CHUNK_MAX */
    unsigned chunk_count;
    unsigned chunk_index; /* read into */
    size_t chunk_used;
    uint8_t **retired;
    unsigned retired_count;
    unsigned retired_capacity;
    size_t retired_len;
    unsigned window_turn;
    unsigned window_chunk_count; /* the most that a turn of the window used */
};

/* The zero value is an empty one. */
void intake_fini(struct intake *intake);

/* A turn's input takes `len` bytes at most, and what is retired about as many; a chunk in any case. */
void intake_limit(struct intake *intake, size_t len);

/* Room for INTAKE_READ_LEN bytes; not to be asked for while intake_is_full. */
uint8_t *intake_room(struct intake *intake);

/* So many bytes of that room are input; what is not taken is given again. */
void intake_take(struct intake *intake, size_t len);

/* Takes the memory of `buffer`, which becomes empty. */
void intake_retire(struct intake *intake, struct buffer *buffer);

/* The hooks must run before more is read. */
bool intake_is_full(const struct intake *intake);

/* The hooks have run. */
void intake_reset(struct intake *intake);

#endif
