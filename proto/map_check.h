/* SPDX-License-Identifier: MIT */
#ifndef PROTO_MAP_CHECK_H
#define PROTO_MAP_CHECK_H

/*
 * What is checked of a map, piece by piece, so that a reader of JSON can name an entry by its place
 * in the input before it sorts. Inside proto only; others call map_check.
 */

#include "proto/map.h"

/* Milliseconds since 1970 have 48 bits in a stamp (RULES N2). */
#define ORIGIN_MS_MAX ((UINT64_C(1) << 48) - 1)

/* Replaces the text, as error_text_print does. */
void map_error_set(struct map_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One entry alone. False: *fault is "field: what is wrong". */
bool map_check_entry(const struct map_entry *entry, struct map_error *fault);

/* No name twice; the entries may be in any order. */
bool map_check_names(const struct map *map, struct map_error *error);

/* Entries sorted by start cover the circle, none twice. Names every gap and overlap that fits. */
bool map_check_tiling(const struct map *map, struct map_error *error);

#endif
