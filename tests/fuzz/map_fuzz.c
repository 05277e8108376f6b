/* SPDX-License-Identifier: MIT */

/*
 * The map from strangers' bytes, as JSON and in the form that travels. Whatever is accepted passes
 * map_check, and comes back the same from what is written of it.
 */

#include "proto/map.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_written(const struct map *map)
{
    struct map same;
    struct map_error error;
    struct buffer packed = {0};
    struct buffer again = {0};
    map_pack(map, &packed);
    struct unpack in = unpack_of(buffer_bytes(&packed));
    require(map_unpack(&in, &same, &error));
    map_pack(&same, &again);
    require(bytes_equal(buffer_bytes(&packed), buffer_bytes(&again)));
    map_fini(&same);
    buffer_fini(&packed);
    buffer_fini(&again);
}

/* Of what a person may write nothing is lost on paper. */
static void check_printed(const struct map *map)
{
    struct map same;
    struct map_error error;
    struct buffer json = {0};
    map_print(map, &json);
    require(map_parse(buffer_bytes(&json), &same, &error));
    require(same.entry_count == map->entry_count && same.origin_ms == map->origin_ms);
    for (uint32_t i = 0; i < same.entry_count; i++) {
        const struct map_entry *a = &map->entries[i];
        const struct map_entry *b = &same.entries[i];
        require(strcmp(a->name, b->name) == 0 && a->start == b->start && a->end == b->end);
        require(a->size == b->size && address_equal(&a->address, &b->address));
        require(a->when_full == b->when_full);
    }
    map_fini(&same);
    buffer_fini(&json);
}

static void check_map(struct map *map)
{
    struct map_error error;
    require(map_check(map, &error));
    require(map_find(map, 0) == &map->entries[0]);
    require(map_find(map, UINT64_MAX) == &map->entries[map->entry_count - 1]);
    check_written(map);
    check_printed(map);
    map_fini(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct map map;
    struct map_error error = {0};
    struct unpack in = unpack_of(bytes_of(data, size));
    if (map_parse(bytes_of(data, size), &map, &error)) {
        check_map(&map);
    } else {
        require(error.text[0] != '\0');
    }
    if (map_unpack(&in, &map, &error)) {
        check_map(&map);
    } else {
        require(!unpack_is_fine(&in));
    }
    return 0;
}
