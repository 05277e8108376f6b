/* SPDX-License-Identifier: MIT */
#ifndef SIM_VALUE_H
#define SIM_VALUE_H

/*
 * Values that can be told apart: each is a number that is written once, as text with padding whose
 * length follows from the number; a counter's is the number alone.
 */

#include "libclient/shardkv.h"

/* Points into *text, which is the caller's to free. */
struct skv_value value_of_number(int64_t number, char **text);

/* Breaks off the run when it is none that was ever written: damaged, or made up. */
int64_t value_number(const struct skv_value *value);

#endif
