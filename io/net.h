/* SPDX-License-Identifier: MIT */
#ifndef IO_NET_H
#define IO_NET_H

/*
 * Sockets of a blocking client, which waits for several at once with a deadline: what the library
 * stands on. No loop, no threads; a socket belongs to whoever opened it.
 *
 * Two bodies: io/net.c on poll(), tests/sim/ where a wait hands over to the other actors.
 */

#include "proto/address.h"

struct net_socket;

enum net_result {
    NET_OK,
    NET_AGAIN,  /* nothing now: wait */
    NET_CLOSED, /* for good; net_error says why */
};

/*
 * Starts to connect. NULL when out of memory, else never: a failure shows as NET_CLOSED.
 * A host that is not numeric is looked up, which may block.
 */
struct net_socket *net_connect(const struct address *address);

/* NET_OK: *len bytes (1..capacity), or 0..len for write. NET_AGAIN while still connecting. */
enum net_result net_read(struct net_socket *socket, void *data, size_t capacity, size_t *len);
enum net_result net_write(struct net_socket *socket, const void *data, size_t data_len,
                          size_t *len);

struct net_wait {
    struct net_socket *socket;
    bool want_write; /* reading is always wanted */
    bool is_ready;   /* set by net_wait */
};

/* Until one is ready or clock_mono_us() reaches `deadline_us`. False: the deadline. */
bool net_wait(struct net_wait *waits, size_t count, uint64_t deadline_us);

/* True when the other side has closed an idle socket, or sent what nobody asked for. Never blocks. */
bool net_is_stale(struct net_socket *socket);

/* "Connection refused"; lives as long as the socket. */
const char *net_error(const struct net_socket *socket);

void net_close(struct net_socket *socket); /* NULL is allowed */

#endif
