/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_TEXT_H
#define BOOTSTRAPD_TEXT_H

/* One-line texts for people, built in an array of fixed length. */

#include "proto/address.h"
#include "proto/bytes.h"

enum { TEXT_LEN = 480 };

struct text {
    char chars[TEXT_LEN]; /* always terminated; too long ones end in "..." */
};

void text_clear(struct text *text);
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_address(struct text *text, const struct address *address);
void text_add_id(struct text *text, const uint8_t id[ID_LEN]);

/* What came from a peer: control bytes, and what is not UTF-8, become '?'. */
void text_add_foreign(struct text *text, struct bytes foreign);

/* text_clear and text_add. */
void text_set(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool text_is_empty(const struct text *text);
bool text_equal(const struct text *a, const struct text *b);

#endif
