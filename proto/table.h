/* SPDX-License-Identifier: MIT */
#ifndef PROTO_TABLE_H
#define PROTO_TABLE_H

/*
 * Tables: spaces of keys beside each other on the same circle. A table's number tells the form of its keys, so that a
 * record's point follows from table and key everywhere (RULES N1):
 *
 *     0        default     bytes    any key                    XXH3_64bits of the key
 *     0x8000   entities    id       8 bytes, big-endian        id_point (proto/id.h)
 */

#include "proto/bytes.h"

enum table {
    TABLE_DEFAULT = 0,
    TABLE_ENTITIES = 0x8000,
};

#define TABLE_IS_ID 0x8000
#define ID_KEY_LEN  8

static inline bool table_has_ids(uint16_t table)
{
    return table & TABLE_IS_ID;
}

/* By name; false: there is none. */
bool table_find(struct bytes name, uint16_t *table);

/* Static storage; NULL: a number that no table of this version has. */
const char *table_name(uint16_t table);

/* Of the index-th of all, from 0 on; NULL: there are no more. */
const char *table_name_at(size_t index);

/* Where the record lives. What is no id in a table of ids has the point of its bytes: nobody can have stored it. */
uint64_t table_point(uint16_t table, struct bytes key);

#endif
