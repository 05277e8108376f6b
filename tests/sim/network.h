/* SPDX-License-Identifier: MIT */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

/*
 * TCP between nodes: bytes of one direction arrive in order, each once, or the connection ends.
 *
 *     write -> | segments under way, each with its time | -> | arrived | -> read
 *              `---------------- at most the window -----------------'
 *
 * What goes wrong: segments are late, slow or cut; a connection is reset, having delivered any
 * prefix; it falls silent for a while before either side is told; a partition holds up one or both
 * directions between two nodes. A request that is "doubled" or "late" is one that a client sent
 * again on a new connection while the old one's bytes were under way.
 */

#include "tests/sim/world.h"

struct endpoint;
struct door;

enum endpoint_state { ENDPOINT_CONNECTING, ENDPOINT_OPEN, ENDPOINT_ENDED };

/* Never NULL: a failure shows later. */
struct endpoint *network_connect(struct node *node, const struct address *to);

/*
 * `on_change`: it has opened, ended, got bytes, or room to write. Runs in the node's name, between
 * its turns; it must not read, write or close.
 */
void endpoint_set_callback(struct endpoint *endpoint, world_callback *on_change, void *context);

enum endpoint_state endpoint_state(const struct endpoint *endpoint);
const char *endpoint_error(const struct endpoint *endpoint); /* when ended; static */
const struct address *endpoint_remote(const struct endpoint *endpoint);

/* Bytes that have arrived (also when ended: the rest before the end). */
size_t endpoint_arrived(const struct endpoint *endpoint);
size_t endpoint_read(struct endpoint *endpoint, void *data, size_t capacity);

/* Returns how many bytes fitted; on_change says when there is room again. */
size_t endpoint_write(struct endpoint *endpoint, const void *data, size_t len);
bool endpoint_has_room(
    const struct endpoint *endpoint); /* open, and a write would not be in vain */

/* Sends the end behind what was written; nothing may be written after it. */
void endpoint_shutdown(struct endpoint *endpoint);

/* What was written is still delivered. Frees the endpoint; NULL is allowed. */
void endpoint_close(struct endpoint *endpoint);

typedef void door_callback(void *context, struct endpoint *endpoint);

/* Listens. NULL: the address is in use. */
struct door *network_listen(struct node *node, const struct address *address,
                            door_callback *on_knock, void *context);
void door_close(struct door *door); /* NULL is allowed */

/* The node's process is gone: its kernel ends its connections, or with the power they just stop. */
void network_drop_node(struct node *node, bool is_power_lost);

/* Holds up what `from` sends to `to`; `is_cut` false lets it flow again. */
void network_cut(const struct node *from, const struct node *to, bool is_cut);
bool network_is_cut(const struct node *from, const struct node *to);

/* What `from` sends to `to` crawls, until network_unslow. */
void network_slow(const struct node *from, const struct node *to);
void network_unslow(void);

void network_begin(void);
void network_end(void);

#endif
