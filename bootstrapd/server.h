/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_SERVER_H
#define BOOTSTRAPD_SERVER_H

/*
 * A whole bootstrapd on a loop: data directory, listener, clients, and the connections to the
 * servers in its map. Several may live in one process.
 */

#include "io/loop.h"
#include "proto/address.h"

struct bootstrapd;

struct bootstrapd_config {
    struct address listen;
    const char *data_path;
    const char *map_name;  /* the map file's, for messages; NULL: none was given */
    struct bytes map_text; /* the map file's contents */
    uint32_t connection_max;
    bool is_auto; /* rebalances unasked */
};

/*
 * Founds the cluster in an empty directory, or goes on with the one that is there; blocks while it
 * writes. `config` is not kept. NULL with `error` filled: one line that names the file.
 */
struct bootstrapd *bootstrapd_open(struct loop *loop, const struct bootstrapd_config *config,
                                   char *error, size_t error_len);

/* Whether the map file of a config is one: for a check without a start. */
bool bootstrapd_check_map(const struct bootstrapd_config *config, char *error, size_t error_len);

/* Where it really listens. */
const struct address *bootstrapd_address(const struct bootstrapd *bootstrapd);

/* What is durable. Valid until the loop's next turn. */
struct ledger;
const struct ledger *bootstrapd_ledger(const struct bootstrapd *bootstrapd);

/*
 * Answers what is under way, refuses new requests with SHUTTING_DOWN, closes its connections, then
 * calls back.
 */
void bootstrapd_stop(struct bootstrapd *bootstrapd, loop_callback *on_stopped, void *context);

/*
 * At any time: no callback comes after it. Connections that are still open close at the end of the
 * turn. NULL is allowed.
 */
void bootstrapd_free(struct bootstrapd *bootstrapd);

#endif
