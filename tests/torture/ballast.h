/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_BALLAST_H
#define TORTURE_BALLAST_H

/*
 * Records that nobody changes, all over the circle: they make that a move takes a while, and whoever loses or doubles
 * some is found out.
 *
 *     key    "ballast-001234"
 *     value  "8638:bbb", BALLAST_LEN bytes
 */

#include "tests/torture/cluster.h"

enum { BALLAST_COUNT = 12000, BALLAST_LEN = 300, BALLAST_WHY_LEN = 600 };

struct skv;

/* The key of number `index`. */
void ballast_print_key(uint32_t index, char key[32]);

/* False: *why has the reason. */
bool ballast_load(struct skv *kv, char why[BALLAST_WHY_LEN]);

/*
 * When nobody else changes anything: each is there, once and as it was; and the servers count as many records as
 * there are, and as many bytes, or at most `kept_max` more (popped values that are kept, RULES Q2). Waits until what
 * has expired is removed. False: *why has what is wrong.
 */
bool ballast_is_there(struct skv *kv, const struct cluster *cluster, uint64_t kept_max,
                      char why[BALLAST_WHY_LEN]);

#endif
