/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_BALANCE_H
#define BOOTSTRAPD_BALANCE_H

/*
 * Which parts of which ranges should move, so that each server has its share. Pure.
 *
 *     weight    bytes, or operations a second: what is balanced
 *     share     of all weight, by capacity; the untold capacity is the mean of those told
 *
 *     0          share - 5 %    share    share + 5 %
 *     |  too little  |            |           |  too much        a draining server: all is too much
 *
 * Rules:
 *  - No server may be left outside its 5 %. The least weight that must move for that is the sum of what servers have too
 *    much, or of what they have too little if that is more; a plan moves at most 1.05 times it. Within this it brings
 *    all as near to their shares as it can, so that the next small change asks for nothing.
 *  - Where all are within 5 %, and no server that drains owns anything, the plan is empty. After a plan they are: a
 *    second one is empty, and nothing goes to and fro.
 *  - A server gives or takes, never both. A piece is the beginning or the end of what is left of a range, or all of it.
 *    It is never more than was meant: what cannot be cut finely (a narrow range, a hot part of one) stays.
 *  - Few pieces: one that borders on what its target owns is preferred, since it joins with that; then one that is all of a range.
 */

#include <stdbool.h>
#include <stdint.h>

#define BALANCE_PARTS 64

enum balance_by { BALANCE_BYTES, BALANCE_LOAD };

struct balance_server {
    uint64_t capacity; /* 0: not told */
    bool is_draining;
};

struct balance_range {
    uint64_t start, end; /* bounds */
    uint32_t owner;      /* index of its server; where it moves, of the target */
    bool is_fixed;       /* it counts, but does not move now */
    uint64_t bytes;
    uint64_t load; /* operations a second */
    /* Weight of each of BALANCE_PARTS equal parts, in any unit; NULL: as if even. Borrowed. */
    const uint64_t *parts;
};

struct balance_cluster {
    enum balance_by by;
    bool is_patient; /* nothing unless a server is 10 % off: for those who look again and again */
    bool
        is_only_draining; /* only draining servers give; the others get what brings them nearest to their shares */
    const struct balance_server *servers;
    uint32_t server_count;
    const struct balance_range *ranges; /* by start */
    uint32_t range_count;
};

struct balance_move {
    uint64_t start, end;
    uint32_t range; /* index of the range that it is, or is a part of */
    uint32_t source, target;
    uint64_t bytes;
};

/* A server's weight. */
struct balance_level {
    double before, share, after;
};

struct balance_plan {
    struct balance_move
        *moves; /* those of one range in an order in which each is at an end of what is left */
    uint32_t move_count;
    struct balance_level *levels; /* one for each server */
    uint64_t bytes;               /* of all moves */
    double weight, least;         /* that moves; that must move */
};

/* Where every server drains, there is nowhere to go: the plan is empty. */
void balance_make(const struct balance_cluster *cluster, struct balance_plan *plan);
void balance_fini(struct balance_plan *plan);

/* Of the server that has most to give or take: pairs copy at once, each server in one move at a time. */
uint64_t balance_seconds(const struct balance_plan *plan, uint32_t server_count,
                         uint64_t bytes_per_s);

#endif
