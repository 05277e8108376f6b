/* SPDX-License-Identifier: MIT */
#ifndef PROTO_ADDRESS_H
#define PROTO_ADDRESS_H

/* Where somebody listens: "127.0.0.1:5050", "store1.example:5050", "[::1]:5050". */

#include "proto/bytes.h"
#include "proto/limits.h"

struct address {
    char host[HOST_LEN_MAX + 1];
    uint16_t port;
};

/* Brackets are taken off. False when the text is no host:port; *address is then untouched. */
bool address_parse(struct bytes text, struct address *address);

enum { ADDRESS_TEXT_LEN = HOST_LEN_MAX + 10 };

/* Brackets are put on around a host with a colon. */
void address_print(const struct address *address, char text[ADDRESS_TEXT_LEN]);

bool address_equal(const struct address *a, const struct address *b);

/* An order for sorting, by host, then port; 0 where they are equal. */
int address_compare(const struct address *a, const struct address *b);

/* 127.0.0.0/8, ::1 or "localhost". */
bool address_is_loopback(const struct address *address);

#endif
