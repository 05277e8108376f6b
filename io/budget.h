/* SPDX-License-Identifier: MIT */
#ifndef IO_BUDGET_H
#define IO_BUDGET_H

/*
 * Who may read on while the input that the connections of a loop keep is as much as they may keep together
 * (RULES F3): messages that have begun and are not whole.
 *
 *     used up:  at most a share ──────> reads on, up to its share
 *               more than that ───────> waits ──> there is room, or it is its turn: reads on
 *                                       one, the favoured, always reads on, to the end of its message
 *
 * So that something ends whatever all have begun, and what they keep is the limit, a share of each, and one
 * message. Pure; inside io and its simulated body.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

/* A small request finds its place also among very many. */
#define BUDGET_SHARE_MIN ((size_t)1 << 10)

struct conn;

/* Of one connection. */
struct budget_part {
    struct conn *conn;
    size_t len;    /* memory that it holds */
    size_t growth; /* while it waits: what reading on takes */
    bool is_waiting;
    TAILQ_ENTRY(budget_part) link;
};

TAILQ_HEAD(budget_queue, budget_part);

struct budget {
    size_t limit; /* bytes; 0: none */
    size_t used;  /* the sum of the parts */
    unsigned count;
    struct budget_queue waiting;
    struct budget_part *favoured; /* NULL only while none waits */
};

void budget_init(struct budget *budget);

void budget_join(struct budget *budget, struct budget_part *part, struct conn *conn);

/* What it holds counts no longer. Again: nothing happens. */
void budget_leave(struct budget *budget, struct budget_part *part);

/* It holds `len` bytes now. */
static inline void budget_count(struct budget *budget, struct budget_part *part, size_t len)
{
    budget->used += len - part->len;
    part->len = len;
}

static inline bool budget_has(const struct budget *budget, size_t len)
{
    return budget->limit == 0 || budget->used + len <= budget->limit;
}

/* What each may keep, whatever the others do. */
size_t budget_share(size_t limit, unsigned count);

/*
 * How many bytes it may read, `wanted` at most, if it keeps `kept` of its input and reading takes `growth`
 * more memory. 0: it waits, until budget_next gives it.
 */
size_t budget_ask(struct budget *budget, struct budget_part *part, size_t kept, size_t growth,
                  size_t wanted);

/* A message of it has ended: another's turn. */
void budget_yield(struct budget *budget, const struct budget_part *part);

/*
 * One that waited and may read on, or NULL. `promised`: what those take that it gave before, in the same
 * turn; 0 at first.
 */
struct budget_part *budget_next(struct budget *budget, size_t *promised);

#endif
