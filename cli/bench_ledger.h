/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_LEDGER_H
#define CLI_BENCH_LEDGER_H

/*
 * What each record must hold, as far as its only client can know: the proof that a move loses nothing and does nothing
 * twice.
 *
 *     counter   0 ........ acknowledged ........ sent        of a record: how often it was written
 *               must be there          | may be there        more: done twice, or by somebody else
 *
 * Rules:
 *  - A plain record's value says the how-manieth write it is; every sixteenth record is an integer, and a write of it is
 *    an incr by one, whose effect no other write hides.
 *  - At most one write to a record is under way, so `sent` is `acknowledged` or one above, but for writes whose outcome
 *    is not known.
 *  - A read must find no less than what was acknowledged before it was asked, and no more than what was sent.
 */

#include <stdbool.h>
#include <stdint.h>

struct bench_ledger_line {
    uint32_t acknowledged;
    uint32_t sent; /* the highest bit: a write is under way */
};

struct bench_ledger {
    struct bench_ledger_line *lines;
    uint64_t record_count;
    uint64_t lost;    /* acknowledged writes that a read did not find */
    uint64_t doubled; /* what a read found beyond all that was sent */
};

/* False when out of memory. */
bool bench_ledger_init(struct bench_ledger *ledger, uint64_t record_count);
void bench_ledger_fini(struct bench_ledger *ledger);

static inline bool bench_ledger_is_integer(uint64_t record)
{
    return record % 16 == 15;
}

/* The number that this write makes it; 0: another is under way. */
uint32_t bench_ledger_begin(struct bench_ledger *ledger, uint64_t record);

/* How the write that is under way ended. */
void bench_ledger_acknowledge(struct bench_ledger *ledger, uint64_t record);
void bench_ledger_refuse(struct bench_ledger *ledger, uint64_t record);
void bench_ledger_leave_unknown(struct bench_ledger *ledger, uint64_t record);

/* An integer that was there before the run: instead of bench_ledger_acknowledge, once, with what the first incr gave. */
void bench_ledger_found(struct bench_ledger *ledger, uint64_t record, int64_t sum);

/* The sum that an incr gave, before it is acknowledged. */
void bench_ledger_check_sum(struct bench_ledger *ledger, uint64_t record, int64_t sum);

uint32_t bench_ledger_acknowledged(const struct bench_ledger *ledger, uint64_t record);

/*
 * A read found `found`, 0 for nothing; `least` was acknowledged when it was asked. Counts what is lost or doubled: of
 * integers each operation, of plain records one, since a later write hides how many.
 */
void bench_ledger_check_read(struct bench_ledger *ledger, uint64_t record, uint32_t least,
                             int64_t found);

#endif
