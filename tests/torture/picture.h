/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_PICTURE_H
#define TORTURE_PICTURE_H

/* All records of a server, by key, as its scans give them. */

#include "tests/torture/operation.h"

struct talk;

struct seen {
    bool is_there;
    bool is_strange; /* a value that no operation can have written, or two records of one key */
    int64_t number;
    uint64_t version;
    int64_t ttl_ms;
};

struct picture {
    struct seen *keys;
    uint32_t key_count;
    uint32_t stranger_count; /* records of keys that are no keys of the load */
    uint64_t version_max;
    uint64_t told_ms_min; /* between these two moments */
    uint64_t told_ms_max;
};

/* False with `error` filled: a scan failed. For picture_fini in any case. */
bool picture_take(struct talk *talk, uint32_t key_count, struct picture *picture, char *error,
                  size_t error_len);
void picture_fini(struct picture *picture);

/* The same records, with the same versions and moments of expiry. Else the first that differs is printed. */
bool picture_is_same(const struct picture *a, const struct picture *b);

#endif
