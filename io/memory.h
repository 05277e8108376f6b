/* SPDX-License-Identifier: MIT */
#ifndef IO_MEMORY_H
#define IO_MEMORY_H

/* Memory for daemons, which cannot go on without it: each call ends the process when there is none. */

#include <stdbool.h>
#include <stddef.h>

/* Zeroed. For free(). */
void *memory_get(size_t count, size_t len);

/* As realloc: what is added is not zeroed. */
void *memory_resize(void *memory, size_t count, size_t len);

char *memory_copy_text(const char *text);

/* For what reports a lack of memory itself: proto's buffers, map_copy. */
void memory_must(bool was_there);

#endif
