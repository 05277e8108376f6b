/* SPDX-License-Identifier: MIT */
#include "shardd/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "io/memory.h"

#define BLOCK_LEN  ((size_t)2 << 20) /* x86's and ARM's huge page */
#define SLAB_LEN   ((size_t)64 << 10)
#define SLAB_COUNT (BLOCK_LEN / SLAB_LEN)

#define STEP_LEN     8u    /* between small classes; what all memory is aligned to */
#define SMALL_MAX    1024u /* from here on each doubling has eight classes */
#define SMALL_BITS   10
#define SLAB_MAX     16384u
#define SMALL_COUNT  (SMALL_MAX / STEP_LEN)
#define CLASS_COUNT  (SMALL_COUNT + 32)
#define MALLOC_EXTRA 8u /* malloc's own word before what it gives */

/* Empty blocks that are kept: a table that breathes does not map and unmap all the time. */
#define EMPTY_MAX 2

/* Of so many slabs of a class the sparsest is emptied. */
#define COMPARED_MAX 32

/* Another block is wanted when there are less: at 100 MB/s, 40 ms. */
#define SPARE_SLABS (2 * SLAB_COUNT)

/* More than an operation takes: of a record, of a block of the table, of what that splits into. */
#define SHORT_SLABS 8

#define PAGE_LEN 4096

/* A free item holds the next one of its slab. */
struct item {
    struct item *next;
};

/* 32 of them head their block, and so do not stand in one set of the cache each 64 KiB. */
struct slab {
    struct item *free;
    struct slab *previous; /* of those of its class that have room */
    struct slab *next;
    uint32_t used_count;
    uint32_t cut_count; /* items that were ever given out; those behind are untouched */
    uint32_t capacity;  /* 0: the slab is not in use */
    uint16_t class_index;
    bool is_fixed;
};

struct block {
    struct slab slabs[SLAB_COUNT];
    struct block *previous; /* of the open ones, or of the empty ones */
    struct block *next;
    struct block *older; /* of all */
    struct block *newer;
    uint32_t free_slabs; /* a bit for each */
};

/* What malloc gave is linked, so that arena_free_all finds it. */
struct large {
    struct large *previous;
    struct large *next;
};

struct arena {
    /* Slabs with room: of what may be moved, and of what is fixed. */
    struct slab *roomy[2][CLASS_COUNT];
    size_t free_items[CLASS_COUNT]; /* in slabs of what may be moved */
    struct block *open;             /* blocks with free slabs and others */
    struct block *empty;            /* linked by next */
    struct block *newest;
    struct large *large;
    uint32_t empty_count;
    size_t free_slab_count; /* of all blocks */
    size_t used;
    size_t held;
};

#define BLOCK_HEAD_LEN ((sizeof(struct block) + 63) / 64 * 64)
_Static_assert(SLAB_COUNT == 32, "a bit for each slab");
_Static_assert(BLOCK_HEAD_LEN + SLAB_MAX <= SLAB_LEN, "the first slab holds one of each class");

/* --- classes --- */

/* 1 <= len <= SLAB_MAX */
static uint32_t class_of(size_t len)
{
    if (len <= SMALL_MAX) {
        return (uint32_t)((len - 1) / STEP_LEN);
    }
    uint32_t bits = 63 - (uint32_t)__builtin_clzll(len - 1);
    uint32_t eighth = (uint32_t)((len - 1) >> (bits - 3)) & 7;
    return SMALL_COUNT + (bits - SMALL_BITS) * 8 + eighth;
}

static size_t len_of_class(uint32_t class_index)
{
    if (class_index < SMALL_COUNT) {
        return (class_index + 1) * (size_t)STEP_LEN;
    }
    uint32_t doubling = (class_index - SMALL_COUNT) / 8;
    uint32_t eighth = (class_index - SMALL_COUNT) % 8;
    return (size_t)(SMALL_MAX / 8 * (eighth + 9)) << doubling;
}

static size_t large_len(size_t len)
{
    return (sizeof(struct large) + len + MALLOC_EXTRA + 15) / 16 * 16;
}

size_t arena_class_len(size_t len)
{
    if (len > SLAB_MAX) {
        return large_len(len);
    }
    return len_of_class(class_of(len ? len : 1));
}

/* --- blocks --- */

static void link_open(struct arena *arena, struct block *block)
{
    block->previous = NULL;
    block->next = arena->open;
    if (block->next) {
        block->next->previous = block;
    }
    arena->open = block;
}

static void unlink_open(struct arena *arena, struct block *block)
{
    if (block->previous) {
        block->previous->next = block->next;
    } else {
        arena->open = block->next;
    }
    if (block->next) {
        block->next->previous = block->previous;
    }
}

static void *get_pages(void)
{
    void *memory = aligned_alloc(BLOCK_LEN, BLOCK_LEN);
    memory_must(memory != NULL);
    assert(memory);
    return memory;
}

void *arena_block_new(void)
{
    char *memory = get_pages();
    /* Advice: a kernel without huge pages goes on with small ones. */
    (void)madvise(memory, BLOCK_LEN, MADV_HUGEPAGE);
    for (size_t at = 0; at < BLOCK_LEN; at += PAGE_LEN) {
        memory[at] = 0;
    }
    return memory;
}

void arena_block_free(void *block)
{
    free(block);
}

static struct block *adopt(struct arena *arena, void *memory)
{
    struct block *block = memory;
    *block = (struct block){.free_slabs = UINT32_MAX, .older = arena->newest};
    if (arena->newest) {
        arena->newest->newer = block;
    }
    arena->newest = block;
    arena->free_slab_count += SLAB_COUNT;
    return block;
}

void arena_give_block(struct arena *arena, void *block)
{
    struct block *adopted = adopt(arena, block);
    arena->empty_count++;
    adopted->next = arena->empty;
    arena->empty = adopted;
}

bool arena_wants_block(const struct arena *arena)
{
    return arena->newest && arena->free_slab_count < SPARE_SLABS;
}

bool arena_is_short(const struct arena *arena)
{
    return arena->newest && arena->free_slab_count < SHORT_SLABS;
}

/* Small pages: the head's comes before the advice, and makes it one for later. */
static struct block *block_new(struct arena *arena)
{
    void *memory = get_pages();
    (void)madvise(memory, BLOCK_LEN, MADV_NOHUGEPAGE);
    struct block *block = adopt(arena, memory);
    (void)madvise(memory, BLOCK_LEN, MADV_HUGEPAGE);
    return block;
}

/* One with a free slab. */
static struct block *block_open(struct arena *arena)
{
    struct block *block = arena->open;
    if (block) {
        return block;
    }
    block = arena->empty;
    if (block) {
        arena->empty = block->next;
        arena->empty_count--;
    } else {
        block = block_new(arena);
    }
    link_open(arena, block);
    return block;
}

/* free() may keep it in the heap: its pages go now. */
static void release_pages(struct block *block)
{
    (void)madvise(block, BLOCK_LEN, MADV_DONTNEED);
    free(block);
}

static void block_free(struct arena *arena, struct block *block)
{
    if (block->newer) {
        block->newer->older = block->older;
    } else {
        arena->newest = block->older;
    }
    if (block->older) {
        block->older->newer = block->newer;
    }
    arena->free_slab_count -= SLAB_COUNT;
    release_pages(block);
}

static struct block *block_of(void *memory)
{
    uintptr_t inside = (uintptr_t)memory & (BLOCK_LEN - 1);
    return (struct block *)(void *)((char *)memory - inside);
}

/* --- slabs --- */

static void link_roomy(struct arena *arena, struct slab *slab)
{
    struct slab **first = &arena->roomy[slab->is_fixed][slab->class_index];
    slab->previous = NULL;
    slab->next = *first;
    if (slab->next) {
        slab->next->previous = slab;
    }
    *first = slab;
}

static void unlink_roomy(struct arena *arena, struct slab *slab)
{
    if (slab->previous) {
        slab->previous->next = slab->next;
    } else {
        arena->roomy[slab->is_fixed][slab->class_index] = slab->next;
    }
    if (slab->next) {
        slab->next->previous = slab->previous;
    }
}

/* The first slab of a block begins behind the block's head. */
static char *slab_start(struct slab *slab)
{
    struct block *block = block_of(slab);
    size_t index = (size_t)(slab - block->slabs);
    return (char *)block + (index ? index * SLAB_LEN : BLOCK_HEAD_LEN);
}

static void count_free(struct arena *arena, const struct slab *slab, size_t difference)
{
    if (!slab->is_fixed) {
        arena->free_items[slab->class_index] += difference;
    }
}

static struct slab *slab_new(struct arena *arena, uint32_t class_index, bool is_fixed)
{
    struct block *block = block_open(arena);
    uint32_t index = (uint32_t)__builtin_ctz(block->free_slabs);
    block->free_slabs &= ~(1u << index);
    arena->free_slab_count--;
    if (block->free_slabs == 0) {
        unlink_open(arena, block);
    }
    size_t room = index ? SLAB_LEN : SLAB_LEN - BLOCK_HEAD_LEN;
    struct slab *slab = &block->slabs[index];
    *slab = (struct slab){.class_index = (uint16_t)class_index,
                          .is_fixed = is_fixed,
                          .capacity = (uint32_t)(room / len_of_class(class_index))};
    count_free(arena, slab, slab->capacity);
    link_roomy(arena, slab);
    arena->held += SLAB_LEN;
    return slab;
}

static void slab_free(struct arena *arena, struct slab *slab)
{
    struct block *block = block_of(slab);
    unlink_roomy(arena, slab);
    count_free(arena, slab, -(size_t)slab->capacity);
    slab->capacity = 0;
    arena->held -= SLAB_LEN;
    arena->free_slab_count++;
    if (block->free_slabs != 0) {
        unlink_open(arena, block);
    }
    block->free_slabs |= 1u << (slab - block->slabs);
    if (block->free_slabs != UINT32_MAX) {
        link_open(arena, block);
    } else if (arena->empty_count < EMPTY_MAX) {
        arena->empty_count++;
        block->next = arena->empty;
        arena->empty = block;
    } else {
        block_free(arena, block);
    }
}

/* --- items --- */

static void *get_large(struct arena *arena, size_t len)
{
    /* All of its class: who finds two lengths in one class may write either. */
    struct large *large = memory_resize(NULL, 1, large_len(len) - MALLOC_EXTRA);
    *large = (struct large){.next = arena->large};
    if (large->next) {
        large->next->previous = large;
    }
    arena->large = large;
    arena->used += large_len(len);
    arena->held += large_len(len);
    return large + 1;
}

static void put_large(struct arena *arena, void *memory, size_t len)
{
    struct large *large = (struct large *)memory - 1;
    if (large->previous) {
        large->previous->next = large->next;
    } else {
        arena->large = large->next;
    }
    if (large->next) {
        large->next->previous = large->previous;
    }
    arena->used -= large_len(len);
    arena->held -= large_len(len);
    free(large);
}

static void *get(struct arena *arena, size_t len, bool is_fixed)
{
    if (len > SLAB_MAX) {
        return get_large(arena, len);
    }
    uint32_t class_index = class_of(len ? len : 1);
    size_t class_len = len_of_class(class_index);
    struct slab *slab = arena->roomy[is_fixed][class_index];
    if (!slab) {
        slab = slab_new(arena, class_index, is_fixed);
    }
    struct item *item = slab->free;
    if (item) {
        slab->free = item->next;
    } else {
        item = (struct item *)(void *)(slab_start(slab) + slab->cut_count++ * class_len);
    }
    if (++slab->used_count == slab->capacity) {
        unlink_roomy(arena, slab);
    }
    count_free(arena, slab, (size_t)-1);
    arena->used += class_len;
    return item;
}

void *arena_get(struct arena *arena, size_t len)
{
    return get(arena, len, false);
}

void *arena_get_fixed(struct arena *arena, size_t len)
{
    return get(arena, len, true);
}

void arena_put(struct arena *arena, void *memory, size_t len)
{
    if (len > SLAB_MAX) {
        put_large(arena, memory, len);
        return;
    }
    struct block *block = block_of(memory);
    struct slab *slab = &block->slabs[(size_t)((char *)memory - (char *)block) / SLAB_LEN];
    assert(slab->used_count > 0 && slab->class_index == class_of(len ? len : 1));
    struct item *item = memory;
    item->next = slab->free;
    slab->free = item;
    arena->used -= len_of_class(slab->class_index);
    count_free(arena, slab, 1);
    if (slab->used_count-- == slab->capacity) {
        link_roomy(arena, slab);
    }
    if (slab->used_count == 0) {
        slab_free(arena, slab);
    }
}

/* --- emptying slabs --- */

/* What is in a slab fits into the others when as much as a slab is free. CLASS_COUNT: nowhere. */
static uint32_t most_wasteful_class(const struct arena *arena)
{
    size_t most = SLAB_LEN;
    uint32_t result = CLASS_COUNT;
    for (uint32_t i = 0; i < CLASS_COUNT; i++) {
        size_t waste = arena->free_items[i] * len_of_class(i);
        if (waste > most) {
            most = waste;
            result = i;
        }
    }
    return result;
}

static void link_behind(struct slab *slab, struct slab *before)
{
    slab->previous = before;
    slab->next = before->next;
    before->next = slab;
    if (slab->next) {
        slab->next->previous = slab;
    }
}

/* It goes behind those it was compared with, the fullest of them to the front, to be filled. */
static struct slab *choose_slab(struct arena *arena, uint32_t class_index)
{
    struct slab *last = arena->roomy[0][class_index];
    struct slab *sparsest = last;
    struct slab *fullest = last;
    for (uint32_t i = 1; i < COMPARED_MAX && last->next; i++) {
        last = last->next;
        sparsest = last->used_count < sparsest->used_count ? last : sparsest;
        fullest = last->used_count >= fullest->used_count ? last : fullest;
    }
    if (sparsest != last) {
        unlink_roomy(arena, sparsest);
        link_behind(sparsest, last);
    }
    if (fullest != sparsest) {
        unlink_roomy(arena, fullest);
        link_roomy(arena, fullest);
    }
    return sparsest;
}

/* A bit for each item that is in use. */
struct item_set {
    uint64_t words[SLAB_LEN / STEP_LEN / 64];
};

static void find_used(struct slab *slab, struct item_set *set)
{
    const char *start = slab_start(slab);
    size_t class_len = len_of_class(slab->class_index);
    *set = (struct item_set){{0}};
    for (size_t i = 0; i < slab->cut_count; i++) {
        set->words[i / 64] |= UINT64_C(1) << i % 64;
    }
    for (const struct item *item = slab->free; item; item = item->next) {
        size_t i = (size_t)((const char *)item - start) / class_len;
        set->words[i / 64] &= ~(UINT64_C(1) << i % 64);
    }
}

uint32_t arena_compact(struct arena *arena, uint32_t item_max, arena_move *move, void *context)
{
    struct item_set set;
    uint32_t class_index = most_wasteful_class(arena);
    if (class_index == CLASS_COUNT) {
        return 0;
    }
    struct slab *slab = choose_slab(arena, class_index);
    char *start = slab_start(slab);
    size_t class_len = len_of_class(class_index);
    uint32_t moved = 0;
    find_used(slab, &set);
    for (uint32_t i = 0, end = slab->cut_count; i < end && moved < item_max; i++) {
        bool is_used = (set.words[i / 64] >> i % 64 & 1) != 0;
        if (is_used && arena->roomy[0][class_index] != slab) {
            moved += move(context, start + i * class_len);
        }
    }
    return moved;
}

/* --- the arena --- */

struct arena *arena_new(void)
{
    return memory_get(1, sizeof(struct arena));
}

void arena_free_all(struct arena *arena)
{
    if (!arena) {
        return;
    }
    struct large *large;
    while ((large = arena->large)) {
        arena->large = large->next;
        free(large);
    }
    struct block *block;
    while ((block = arena->newest)) {
        arena->newest = block->older;
        release_pages(block);
    }
    free(arena);
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

size_t arena_held(const struct arena *arena)
{
    return arena->held;
}
