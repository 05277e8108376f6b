/* SPDX-License-Identifier: MIT */
#include "libclient/sequence.h"

#include <assert.h>
#include <string.h>

_Static_assert(RETRY_OPEN_MAX % 64 == 0, "numbers are kept as whole words of bits");

static uint64_t *word_of(struct sequence *sequence, uint64_t number)
{
    return &sequence->answered[number % RETRY_OPEN_MAX / 64];
}

static uint64_t bit_of(uint64_t number)
{
    return UINT64_C(1) << number % 64;
}

void sequence_init(struct sequence *sequence)
{
    memset(sequence, 0, sizeof(*sequence));
    sequence->done = 1;
}

bool sequence_take(struct sequence *sequence, uint64_t *number)
{
    if (sequence->newest + 1 - sequence->done >= RETRY_OPEN_MAX) {
        return false;
    }
    *number = ++sequence->newest;
    return true;
}

void sequence_answer(struct sequence *sequence, uint64_t number)
{
    assert(number >= sequence->done && number <= sequence->newest);
    assert(!(*word_of(sequence, number) & bit_of(number)));
    *word_of(sequence, number) |= bit_of(number);
    while (sequence->done <= sequence->newest &&
           *word_of(sequence, sequence->done) & bit_of(sequence->done)) {
        *word_of(sequence, sequence->done) &= ~bit_of(sequence->done);
        sequence->done++;
    }
}
