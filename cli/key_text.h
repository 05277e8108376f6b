/* SPDX-License-Identifier: MIT */
#ifndef CLI_KEY_TEXT_H
#define CLI_KEY_TEXT_H

/* A key for a person to read, and to paste back into a shell. */

#include "proto/buffer.h"

/*
 * Appends the key as it is when it is UTF-8 without control characters; else quoted for the shell,
 * $'a\nb\xff', which is also the form of a key that begins with $'.
 */
void key_text_print(struct bytes key, struct buffer *text);

/* Appends it in double quotes, for messages; what cannot stand there as in key_text_print. */
void key_text_quote(struct bytes key, struct buffer *text);

/* Appends "key test", or "id 307821103844175873" where keys are ids. */
void key_text_name(struct bytes key, bool is_id, struct buffer *text);

#endif
