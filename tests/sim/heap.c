/* SPDX-License-Identifier: MIT */
#include "tests/sim/heap.h"

#include "tests/sim/world.h"

#include <assert.h>
#include <stdlib.h>

/* What the linker calls instead (-Wl,--wrap), and what it calls the originals. */
void *__real_malloc(size_t len);
void *__real_calloc(size_t count, size_t len);
void *__real_realloc(void *memory, size_t len);
void *__real_aligned_alloc(size_t alignment, size_t len);
void __real_free(void *memory);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_realloc(void *memory, size_t len);
void *__wrap_reallocarray(void *memory, size_t count, size_t len);
void *__wrap_aligned_alloc(size_t alignment, size_t len);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len_max);

/* Open addressing, linear probing; a removal closes its gap, so there are no tombstones. */
struct owned {
    void *memory; /* NULL: free place */
    const struct node *node;
};

static struct {
    struct owned *places;
    size_t place_count; /* a power of two */
    size_t used;
} heap;

static size_t home_of(const void *memory)
{
    uint64_t word = (uint64_t)(uintptr_t)memory >> 4;
    return (size_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (heap.place_count - 1);
}

static size_t place_of(const void *memory)
{
    size_t place = home_of(memory);
    while (heap.places[place].memory && heap.places[place].memory != memory) {
        place = (place + 1) & (heap.place_count - 1);
    }
    return place;
}

static void grow(void)
{
    struct owned *old = heap.places;
    size_t old_count = heap.place_count;
    heap.place_count = old_count ? 2 * old_count : 4096;
    heap.places = world_get(heap.place_count, sizeof(struct owned));
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].memory) {
            heap.places[place_of(old[i].memory)] = old[i];
        }
    }
    world_put(old);
}

static void *note(void *memory)
{
    const struct node *node = world_current();
    if (!memory || !node) {
        return memory;
    }
    if (2 * heap.used >= heap.place_count) {
        grow();
    }
    heap.places[place_of(memory)] = (struct owned){memory, node};
    heap.used++;
    return memory;
}

/* What probed past the gap moves into it. */
static void close_gap(size_t gap)
{
    size_t mask = heap.place_count - 1;
    for (size_t place = (gap + 1) & mask; heap.places[place].memory; place = (place + 1) & mask) {
        size_t home = home_of(heap.places[place].memory);
        if (((place - home) & mask) >= ((place - gap) & mask)) {
            heap.places[gap] = heap.places[place];
            gap = place;
        }
    }
    heap.places[gap].memory = NULL;
}

static void forget(const void *memory)
{
    if (!memory || !heap.place_count) {
        return;
    }
    size_t place = place_of(memory);
    if (heap.places[place].memory) {
        close_gap(place);
        heap.used--;
    }
}

void heap_drop(const struct node *node)
{
    for (size_t place = 0; place < heap.place_count;) {
        struct owned *owned = &heap.places[place];
        if (owned->memory && owned->node == node) {
            __real_free(owned->memory);
            close_gap(place); /* may bring another one here */
            heap.used--;
        } else {
            place++;
        }
    }
}

size_t heap_count(const struct node *node)
{
    size_t result = 0;
    for (size_t place = 0; place < heap.place_count; place++) {
        result += heap.places[place].memory && heap.places[place].node == node;
    }
    return result;
}

void heap_end(void)
{
    assert(heap.used == 0);
    world_put(heap.places);
    heap.places = NULL;
    heap.place_count = 0;
}

void *__wrap_malloc(size_t len)
{
    return note(__real_malloc(len));
}

void *__wrap_calloc(size_t count, size_t len)
{
    return note(__real_calloc(count, len));
}

void *__wrap_realloc(void *memory, size_t len)
{
    void *moved = __real_realloc(memory, len);
    if (moved) {
        forget(memory);
        note(moved);
    }
    return moved;
}

void *__wrap_reallocarray(void *memory, size_t count, size_t len)
{
    return len && count > SIZE_MAX / len ? NULL : __wrap_realloc(memory, count * len);
}

void *__wrap_aligned_alloc(size_t alignment, size_t len)
{
    return note(__real_aligned_alloc(alignment, len));
}

void __wrap_free(void *memory)
{
    forget(memory);
    __real_free(memory);
}

char *__wrap_strndup(const char *text, size_t len_max)
{
    size_t len = strnlen(text, len_max);
    char *copy = __wrap_malloc(len + 1);
    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

void *world_get(size_t count, size_t len)
{
    void *memory = __real_calloc(count ? count : 1, len ? len : 1);
    assert(memory);
    return memory;
}

void *world_resize(void *memory, size_t len)
{
    void *moved = __real_realloc(memory, len ? len : 1);
    assert(moved);
    return moved;
}

void world_put(void *memory)
{
    __real_free(memory);
}
