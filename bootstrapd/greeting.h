/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_GREETING_H
#define BOOTSTRAPD_GREETING_H

/* The hello that is said to a server, and what it answers (proto/PROTOCOL.md). Pure. */

#include "bootstrapd/cluster.h"

/* The params of hello to the server at `site`. */
void greeting_pack(const struct cluster *cluster, const struct site *site, struct buffer *params);

/*
 * The detail of a refusal. True: its term is too low for the server, which hears no other bootstrapd now; *term: what it
 * has.
 */
bool greeting_unpack_refusal(struct bytes detail, uint64_t *term);

/* False when it is no server's answer. */
bool greeting_unpack(struct bytes result, struct site_hello *hello);

#endif
