/* SPDX-License-Identifier: MIT */
#include "tests/sim/counter.h"

static uint64_t values[COUNTER_COUNT];
static bool is_on;

void count(enum counter counter)
{
    values[counter] += is_on;
}

void count_if(bool is_so, enum counter counter)
{
    if (is_so) {
        count(counter);
    }
}

void count_many(uint64_t times, enum counter counter)
{
    values[counter] += is_on ? times : 0;
}

uint64_t counter_value(enum counter counter)
{
    return values[counter];
}

const char *counter_text(enum counter counter)
{
    static const char *const texts[COUNTER_COUNT] = {
#define X(name, text) [COUNT_##name] = (text),
        COUNTER_TABLE(X)
#undef X
    };
    return texts[counter];
}

void counter_switch(bool on)
{
    is_on = on;
}

bool counter_is_on(void)
{
    return is_on;
}
