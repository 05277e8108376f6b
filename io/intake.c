/* SPDX-License-Identifier: MIT */
#include "io/intake.h"

#include <assert.h>
#include <stdlib.h>

#include "io/memory.h"

static bool has_room(const struct intake *intake)
{
    return intake->chunk_used + INTAKE_READ_LEN <= INTAKE_CHUNK_LEN;
}

static unsigned chunk_max(const struct intake *intake)
{
    return intake->chunk_max > 0 ? intake->chunk_max : INTAKE_CHUNK_MAX;
}

void intake_limit(struct intake *intake, size_t len)
{
    size_t chunks = len / INTAKE_CHUNK_LEN;
    intake->chunk_max = chunks < INTAKE_CHUNK_MAX ? (unsigned)chunks : INTAKE_CHUNK_MAX;
    intake->chunk_max = intake->chunk_max > 0 ? intake->chunk_max : 1;
}

bool intake_is_full(const struct intake *intake)
{
    size_t retired_part = INTAKE_RETIRED_LEN_MAX / INTAKE_CHUNK_MAX;
    return (!has_room(intake) && intake->chunk_index + 1 >= chunk_max(intake)) ||
           intake->retired_len > retired_part * chunk_max(intake);
}

uint8_t *intake_room(struct intake *intake)
{
    if (!has_room(intake)) {
        intake->chunk_index++;
        intake->chunk_used = 0;
        assert(intake->chunk_index < INTAKE_CHUNK_MAX);
    }
    if (intake->chunk_index == intake->chunk_count) {
        /* Not zeroed: that would touch all of it. */
        intake->chunks[intake->chunk_count++] = memory_resize(NULL, 1, INTAKE_CHUNK_LEN);
    }
    return intake->chunks[intake->chunk_index] + intake->chunk_used;
}

void intake_take(struct intake *intake, size_t len)
{
    intake->chunk_used += len;
}

void intake_retire(struct intake *intake, struct buffer *buffer)
{
    if (buffer->data != NULL) {
        if (intake->retired_count == intake->retired_capacity) {
            intake->retired_capacity = intake->retired_capacity ? 2 * intake->retired_capacity : 16;
            intake->retired =
                memory_resize(intake->retired, intake->retired_capacity, sizeof(uint8_t *));
        }
        intake->retired[intake->retired_count++] = buffer->data;
        intake->retired_len += buffer->capacity;
    }
    *buffer = (struct buffer){0};
}

static void free_retired(struct intake *intake)
{
    while (intake->retired_count > 0) {
        free(intake->retired[--intake->retired_count]);
    }
    intake->retired_len = 0;
}

/* One at a time: the next burst is often as large as the last. */
static void end_window(struct intake *intake)
{
    if (intake->chunk_count > intake->window_chunk_count) {
        free(intake->chunks[--intake->chunk_count]);
    }
    intake->window_turn = 0;
    intake->window_chunk_count = 1;
}

void intake_reset(struct intake *intake)
{
    if (intake->retired_count > 0) {
        free_retired(intake);
    }
    unsigned used = intake->chunk_index + 1;
    if (used > intake->window_chunk_count) {
        intake->window_chunk_count = used;
    }
    intake->chunk_index = 0;
    intake->chunk_used = 0;
    if (++intake->window_turn == INTAKE_WINDOW_TURNS) {
        end_window(intake);
    }
}

void intake_fini(struct intake *intake)
{
    free_retired(intake);
    free(intake->retired);
    while (intake->chunk_count > 0) {
        free(intake->chunks[--intake->chunk_count]);
    }
    *intake = (struct intake){0};
}
