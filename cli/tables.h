/* SPDX-License-Identifier: MIT */
#ifndef CLI_TABLES_H
#define CLI_TABLES_H

/* The tables in the order in which all that there is is written out. */

#include "proto/table.h"

enum { TABLES_COUNT = 2 };

static inline uint16_t tables_number(unsigned index)
{
    static const uint16_t numbers[TABLES_COUNT] = {TABLE_DEFAULT, TABLE_ENTITIES};
    return numbers[index];
}

static inline const char *tables_name(unsigned index)
{
    return table_name(tables_number(index));
}

static inline bool tables_has_ids(unsigned index)
{
    return table_has_ids(tables_number(index));
}

/* A table's place in that order; TABLES_COUNT for one that this version does not know. */
static inline unsigned tables_index(struct bytes name)
{
    unsigned index = 0;
    while (index < TABLES_COUNT && !bytes_equal(name, bytes_text(tables_name(index)))) {
        index++;
    }
    return index;
}

#endif
