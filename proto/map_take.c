/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/point.h"

/*
 * Taking is a merge of two sorted lists of disjoint entries. It goes from bound to bound of
 * either, and between two of them the entry with the higher epoch holds; what one entry holds
 * without a break is one piece.
 *
 *     held     |   a 3   |   b 3   |   c 5   |
 *     newer         |       d 4        |
 *     result   | a  |     d    |      c      |
 */

struct list {
    const struct map_entry *next;
    const struct map_entry *end;
};

struct merge {
    struct list held;
    struct list newer;
    uint64_t at;                  /* all before it is done */
    const struct map_entry *last; /* whose piece ends at `at`; NULL: nobody's */
    uint32_t piece_count;
    struct map_entry *pieces; /* NULL: they are only counted */
    bool took;
};

static struct list list_of(const struct map_entry *entries, uint32_t count)
{
    return (struct list){entries, count ? entries + count : entries};
}

/* The entry that holds `at`, or NULL; *until: how far that is so. */
static const struct map_entry *list_holder(struct list *list, uint64_t at, uint64_t *until)
{
    while (list->next < list->end && list->next->end <= at) {
        list->next++;
    }
    if (list->next == list->end) {
        *until = BOUND_END;
        return NULL;
    }
    bool holds = list->next->start <= at;
    *until = holds ? list->next->end : list->next->start;
    return holds ? list->next : NULL;
}

static void add_piece(struct merge *merge, const struct map_entry *entry, uint64_t end)
{
    bool continues = entry == merge->last;
    merge->piece_count += !continues;
    if (merge->pieces) {
        struct map_entry *piece = &merge->pieces[merge->piece_count - 1];
        if (!continues) {
            *piece = *entry;
            piece->start = merge->at;
        }
        piece->end = end;
    }
}

static void merge_run(struct merge *merge)
{
    while (merge->at < BOUND_END) {
        uint64_t held_until;
        uint64_t newer_until;
        const struct map_entry *held = list_holder(&merge->held, merge->at, &held_until);
        const struct map_entry *newer = list_holder(&merge->newer, merge->at, &newer_until);
        uint64_t end = held_until < newer_until ? held_until : newer_until;
        bool take = newer && (!held || newer->epoch > held->epoch);
        const struct map_entry *winner = take ? newer : held;
        if (winner) {
            add_piece(merge, winner, end);
        }
        merge->took |= take;
        merge->last = winner;
        merge->at = end;
    }
}

/* *pieces: the new entries of `map`, malloc'd. Counts first, so that it allocates what is needed. */
static enum map_took merge_entries(const struct map *map, struct list newer,
                                   struct map_entry **pieces, uint32_t *piece_count)
{
    struct merge start = {.held = list_of(map->entries, map->entry_count), .newer = newer};
    struct merge count = start;
    merge_run(&count);
    if (!count.took) {
        return MAP_TOOK_NOTHING;
    }
    if (count.piece_count > MAP_PIECES_MAX) {
        return MAP_TOOK_NO_MEMORY;
    }
    struct merge fill = start;
    fill.pieces = malloc(count.piece_count * sizeof(*fill.pieces));
    if (!fill.pieces) {
        return MAP_TOOK_NO_MEMORY;
    }
    merge_run(&fill);
    assert(fill.piece_count == count.piece_count);
    *pieces = fill.pieces;
    *piece_count = fill.piece_count;
    return MAP_TOOK;
}

static void replace_entries(struct map *map, struct map_entry *pieces, uint32_t piece_count)
{
    free(map->entries);
    map->entries = pieces;
    map->entry_count = piece_count;
}

enum map_took map_take(struct map *map, const struct map_entry *entry)
{
    assert(entry->start < entry->end && entry->end <= BOUND_END);
    struct map_entry *pieces;
    uint32_t piece_count;
    enum map_took took = merge_entries(map, list_of(entry, 1), &pieces, &piece_count);
    if (took == MAP_TOOK) {
        replace_entries(map, pieces, piece_count);
    }
    return took;
}

/* All of `newer` but its entries. */
static bool take_header(struct map *map, const struct map *newer)
{
    struct map header = *newer;
    struct map copy;
    header.entries = NULL;
    header.entry_count = 0;
    if (!map_copy(&header, &copy)) {
        return false;
    }
    free(map->servers);
    copy.entries = map->entries;
    copy.entry_count = map->entry_count;
    *map = copy;
    return true;
}

enum map_took map_take_all(struct map *map, const struct map *newer)
{
    struct map_entry *pieces;
    uint32_t piece_count;
    enum map_took took =
        merge_entries(map, list_of(newer->entries, newer->entry_count), &pieces, &piece_count);
    if (took == MAP_TOOK_NO_MEMORY) {
        return took;
    }
    bool is_later = newer->revision > map->revision;
    if (is_later && !take_header(map, newer)) {
        if (took == MAP_TOOK) {
            free(pieces);
        }
        return MAP_TOOK_NO_MEMORY;
    }
    if (took == MAP_TOOK) {
        replace_entries(map, pieces, piece_count);
    }
    return took == MAP_TOOK || is_later ? MAP_TOOK : MAP_TOOK_NOTHING;
}
