/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_CLEAR_H
#define SHARDD_CLEAR_H

#include "shardd/tree.h"

/*
 * Removes records and retry results that an earlier ownership left in [start, end), bounds, in
 * many small transactions: nobody sees what is not owned, so it does not matter where a crash or a
 * full disk leaves off.
 */
enum tree_fault clear_range(struct tree *tree, uint64_t start, uint64_t end);

#endif
