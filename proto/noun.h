/* SPDX-License-Identifier: MIT */
#ifndef PROTO_NOUN_H
#define PROTO_NOUN_H

/* Behind a number in a text for people: "1 record", "0 records", "2 records". */

#include <stdint.h>

static inline const char *noun_of(uint64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

#endif
