/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_DIVISION_H
#define SHARDD_DIVISION_H

/*
 * Taking a map that divides what is owned (RULES V8, M1). Pure.
 *
 *     owned     |                  low                  |      mid      |
 *     pushed    |       low       |        low.2        |   mid, full   |
 *     taken         not before low is counted: low.2        at once
 *                   has the rest
 *
 * Counting takes a while, so an entry that divides a range is held back until the parts are counted, all but the
 * largest; the other entries are taken meanwhile. Nothing of that is durable: who holds an entry back has not taken it.
 */

#include "shardd/interval.h"
#include "shardd/ownership.h"

/* More at once are not counted before, but when they are taken. */
#define DIVISION_PARTS_MAX 16

typedef bool division_is_counted(void *context, const struct interval *part);

struct division {
    division_is_counted *is_counted;
    void *context;
    /* What the map divides: the parts that are to be counted. Filled in whatever comes of it. */
    struct interval parts[DIVISION_PARTS_MAX];
    uint32_t count;
};

/* ownership_take without the entries of `pushed` that are held back, which are removed from it. */
enum ownership_took division_take(const struct ownership *ownership, struct map *pushed,
                                  const struct bootstrap *from, struct division *division,
                                  struct ownership *next);

#endif
