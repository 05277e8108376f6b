/* SPDX-License-Identifier: MIT */
#ifndef CLI_VALUE_TEXT_H
#define CLI_VALUE_TEXT_H

/*
 * A value as somebody types it.
 *
 *     JSON that prints back identically   that value     5  true  1.5  {"a":1}  "5"
 *     any other UTF-8                     str            hello  05  1.50  { "a": 1 }
 *     any other bytes                     bin
 *
 * So nothing is changed silently: what is read again is what was typed.
 */

#include "proto/buffer.h"

/* Appends the MessagePack. Running out of memory sticks in `object`. */
void value_text_encode(struct bytes text, struct buffer *object);

enum { VALUE_TEXT_LEN = 48 };

/* "str (11 bytes)", "map (2 pairs)", "int": what an encoded value is. */
void value_text_describe(struct bytes object, char text[VALUE_TEXT_LEN]);

#endif
