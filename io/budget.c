/* SPDX-License-Identifier: MIT */
#include "io/budget.h"

void budget_init(struct budget *budget)
{
    *budget = (struct budget){0};
    TAILQ_INIT(&budget->waiting);
}

void budget_join(struct budget *budget, struct budget_part *part, struct conn *conn)
{
    *part = (struct budget_part){.conn = conn};
    budget->count++;
}

static void stop_waiting(struct budget *budget, struct budget_part *part)
{
    if (part->is_waiting) {
        TAILQ_REMOVE(&budget->waiting, part, link);
        part->is_waiting = false;
    }
}

void budget_leave(struct budget *budget, struct budget_part *part)
{
    if (part->conn == NULL) {
        return;
    }
    budget_count(budget, part, 0);
    budget_yield(budget, part);
    stop_waiting(budget, part);
    part->conn = NULL;
    budget->count--;
}

size_t budget_share(size_t limit, unsigned count)
{
    /* Memory grows by doubling: what is kept takes twice its length. */
    size_t share = limit / 2 / (count > 0 ? count : 1);
    return share < BUDGET_SHARE_MIN ? BUDGET_SHARE_MIN : share;
}

size_t budget_ask(struct budget *budget, struct budget_part *part, size_t kept, size_t growth,
                  size_t wanted)
{
    if (budget_has(budget, growth) || budget->favoured == part) {
        return wanted;
    }
    size_t share = budget_share(budget->limit, budget->count);
    if (kept < share) {
        return share - kept < wanted ? share - kept : wanted;
    }
    if (budget->favoured == NULL) {
        budget->favoured = part;
        return wanted;
    }
    if (!part->is_waiting) {
        TAILQ_INSERT_TAIL(&budget->waiting, part, link);
        part->is_waiting = true;
    }
    part->growth = growth;
    return 0;
}

void budget_yield(struct budget *budget, const struct budget_part *part)
{
    if (budget->favoured == part) {
        budget->favoured = NULL;
    }
}

struct budget_part *budget_next(struct budget *budget, size_t *promised)
{
    struct budget_part *first = TAILQ_FIRST(&budget->waiting);
    if (first == NULL) {
        return NULL;
    }
    if (budget_has(budget, *promised + first->growth)) {
        *promised += first->growth;
    } else if (budget->favoured == NULL) {
        budget->favoured = first;
    } else {
        return NULL;
    }
    stop_waiting(budget, first);
    return first;
}
