/* SPDX-License-Identifier: MIT */
#ifndef PROTO_JSON_NUMBER_H
#define PROTO_JSON_NUMBER_H

/*
 * Numbers in JSON text that jansson and printf do not do: integers from 2^63 to 2^64-1, and
 * floats in the fewest digits, whatever the locale. Inside proto only.
 */

#include "proto/buffer.h"

/* "0.1", "-0.0", "1e+300": always with a point or an exponent. `value` is finite. */
void json_number_print_float(double value, struct buffer *json);

/* Goes from number to number through JSON text, past strings. What is no JSON is not noticed. */
struct json_numbers {
    const char *next;
    const char *end;
};

struct json_numbers json_numbers_of(struct bytes json);

/* False at the end. *literal points into the text. */
bool json_numbers_next(struct json_numbers *numbers, struct bytes *literal);

enum json_number_kind {
    JSON_NUMBER_PLAIN, /* jansson reads it: a float, or an integer of 64 bits with a sign */
    JSON_NUMBER_LARGE, /* an integer from 2^63 to 2^64-1 */
    JSON_NUMBER_OVER,  /* an integer that fits no 64 bits */
};

/* *value is set if it is large. */
enum json_number_kind json_number_classify(struct bytes literal, uint64_t *value);

#endif
