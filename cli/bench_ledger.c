/* SPDX-License-Identifier: MIT */
#include "cli/bench_ledger.h"

#include <assert.h>
#include <stdlib.h>

/* Of `sent`. */
#define BUSY        (UINT32_C(1) << 31)
#define COUNTER_MAX (BUSY - 1)

bool bench_ledger_init(struct bench_ledger *ledger, uint64_t record_count)
{
    *ledger = (struct bench_ledger){.record_count = record_count};
    ledger->lines = calloc(record_count, sizeof(*ledger->lines));
    return ledger->lines;
}

void bench_ledger_fini(struct bench_ledger *ledger)
{
    free(ledger->lines);
    ledger->lines = NULL;
}

static struct bench_ledger_line *line_of(const struct bench_ledger *ledger, uint64_t record)
{
    assert(record < ledger->record_count);
    return &ledger->lines[record];
}

uint32_t bench_ledger_begin(struct bench_ledger *ledger, uint64_t record)
{
    struct bench_ledger_line *line = line_of(ledger, record);
    if (line->sent & BUSY) {
        return 0;
    }
    uint32_t number = (line->sent + 1) & COUNTER_MAX;
    line->sent = number | BUSY;
    return number;
}

static struct bench_ledger_line *end(struct bench_ledger *ledger, uint64_t record)
{
    struct bench_ledger_line *line = line_of(ledger, record);
    assert(line->sent & BUSY);
    line->sent &= COUNTER_MAX;
    return line;
}

/* Of an integer earlier writes whose outcome is unknown stay so; of others this one stands for all. */
void bench_ledger_acknowledge(struct bench_ledger *ledger, uint64_t record)
{
    struct bench_ledger_line *line = end(ledger, record);
    line->acknowledged = bench_ledger_is_integer(record) ? line->acknowledged + 1 : line->sent;
}

void bench_ledger_refuse(struct bench_ledger *ledger, uint64_t record)
{
    struct bench_ledger_line *line = end(ledger, record);
    line->sent = (line->sent - 1) & COUNTER_MAX;
}

void bench_ledger_leave_unknown(struct bench_ledger *ledger, uint64_t record)
{
    (void)end(ledger, record);
}

void bench_ledger_found(struct bench_ledger *ledger, uint64_t record, int64_t sum)
{
    struct bench_ledger_line *line = end(ledger, record);
    /* A sum that is no counter of ours counts as none. */
    line->acknowledged = sum < 0 || sum > COUNTER_MAX ? 0 : (uint32_t)sum;
    line->sent = line->acknowledged;
}

void bench_ledger_check_sum(struct bench_ledger *ledger, uint64_t record, int64_t sum)
{
    bench_ledger_check_read(ledger, record, line_of(ledger, record)->acknowledged + 1, sum);
}

uint32_t bench_ledger_acknowledged(const struct bench_ledger *ledger, uint64_t record)
{
    return line_of(ledger, record)->acknowledged;
}

void bench_ledger_check_read(struct bench_ledger *ledger, uint64_t record, uint32_t least,
                             int64_t found)
{
    int64_t sent = line_of(ledger, record)->sent & COUNTER_MAX;
    bool is_integer = bench_ledger_is_integer(record);
    if (found < (int64_t)least) {
        ledger->lost += is_integer && found >= 0 ? (uint64_t)((int64_t)least - found) : 1;
    } else if (found > sent) {
        ledger->doubled += is_integer ? (uint64_t)(found - sent) : 1;
    }
}
