/* SPDX-License-Identifier: MIT */
#include "shardd/interval.h"

#include "proto/endian.h"
#include "shardd/hot.h"
#include "shardd/log.h"

uint64_t interval_clear(const struct interval *interval, struct log *log, struct hot *hot)
{
    uint8_t blob[16];
    endian_put_le64(blob, interval->start);
    endian_put_le64(blob + 8, interval->end);
    uint64_t stamp = log_add_control(log, LOG_CLEAR, bytes_of(blob, sizeof(blob)));
    hot_clear(hot, interval_first(interval), interval_last(interval), false);
    return stamp;
}
