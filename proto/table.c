/* SPDX-License-Identifier: MIT */
#include "proto/table.h"

#include "proto/endian.h"
#include "proto/id.h"
#include "proto/point.h"

static const struct {
    uint16_t number;
    const char *name;
} tables[] = {
    {TABLE_DEFAULT, "default"},
    {TABLE_ENTITIES, "entities"},
};

#define TABLE_COUNT (sizeof(tables) / sizeof(tables[0]))

bool table_find(struct bytes name, uint16_t *table)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (bytes_equal(name, bytes_text(tables[i].name))) {
            *table = tables[i].number;
            return true;
        }
    }
    return false;
}

const char *table_name(uint16_t table)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (tables[i].number == table) {
            return tables[i].name;
        }
    }
    return NULL;
}

const char *table_name_at(size_t index)
{
    return index < TABLE_COUNT ? tables[index].name : NULL;
}

uint64_t table_point(uint16_t table, struct bytes key)
{
    bool is_id = table_has_ids(table) && key.len == ID_KEY_LEN;
    return is_id ? id_point(endian_get_be64(key.data)) : point_of_key(key);
}
