/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_ARENA_H
#define SHARDD_ARENA_H

/*
 * Memory of the hot table's records: slabs of one size class each, cut from blocks of 2 MiB that the
 * kernel may back with huge pages.
 *
 *     block    | slab 64 KiB | slab | ... |          malloc'd 2 MiB aligned, huge page
 *     slab     | head | item | item | ... |          one class; free items are linked in the slab
 *
 * By hand because: 134 bytes take 160 of jemalloc's and 144 of glibc's, and here 136; with records on huge
 * pages ten million keys cost no more than one million (a fifth less time per request); and what is held is
 * known exactly (RULES F3). A slab that empties may serve another class; arena_compact empties those with few items.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct arena *arena_new(void);
void arena_free_all(struct arena *arena); /* with all that it gave out; NULL is allowed */

/* Aligned to 8. Classes go up in eights to 1 KiB, then by eighths to 16 KiB; above: malloc. Never NULL. */
void *arena_get(struct arena *arena, size_t len);
void *arena_get_fixed(struct arena *arena, size_t len); /* arena_compact leaves it where it is */
void arena_put(struct arena *arena, void *memory, size_t len); /* `len` as it was asked for */

/*
 * The first touch of a huge page takes milliseconds. So whoever owns the arena has blocks made on another thread
 * when it is about to want one, and gives them to it on its own; without, a block has small pages (until the kernel
 * joins them), which come one by one.
 */
bool arena_wants_block(const struct arena *arena); /* not before it is used */
bool arena_is_short(const struct arena *arena);    /* the next records may find none */
void *arena_block_new(void);                       /* on any thread; takes milliseconds */
void arena_give_block(struct arena *arena, void *block);
void arena_block_free(void *block); /* that was given to none; NULL is allowed */

/*
 * Empties a slab of the class that wastes most, so that what is held comes nearer to what is used: `move` gets each
 * item in use, at most item_max, copies it to memory from arena_get of the same length, puts the old one and returns
 * true; or leaves it. Returns how many were moved; 0: no class has as much as a slab free, or none
 * of those in the slab could be moved (the next call takes another slab).
 */
typedef bool arena_move(void *context, void *memory);
uint32_t arena_compact(struct arena *arena, uint32_t item_max, arena_move *move, void *context);

/* What `len` bytes really take. */
size_t arena_class_len(size_t len);

/* Bytes given out, as classes; and bytes held for it: slabs in use and what malloc gave. */
size_t arena_used(const struct arena *arena);
size_t arena_held(const struct arena *arena);

#endif
