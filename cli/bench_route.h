/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_ROUTE_H
#define CLI_BENCH_ROUTE_H

/*
 * Which server has which places (bench_driver.h), as far as a client has heard: what redirects change. Pure.
 *
 *     0         start                        2^32
 *     | server 0 |  server 2  |   server 1   |      sorted, tiling; neighbours differ
 *
 * A piece is taken only where its epoch is higher than what is held; epoch 0, of a protocol that has none, is taken
 * as the newest.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/address.h"

#define BENCH_PLACE_END (UINT64_C(1) << 32)

struct bench_piece {
    uint64_t start; /* up to the next one's */
    uint64_t epoch;
    uint32_t server;
};

/* The zero value is all of server 0. */
struct bench_route {
    struct bench_piece *pieces;
    uint32_t piece_count;
    struct address *servers;
    uint32_t server_count;
};

void bench_route_fini(struct bench_route *route);

/* Index of the server, which is added if it is new; UINT32_MAX when out of memory. */
uint32_t bench_route_server(struct bench_route *route, const struct address *address);

/* The places [start, end) are this server's. False when out of memory. */
bool bench_route_set(struct bench_route *route, uint64_t start, uint64_t end, uint32_t server,
                     uint64_t epoch);

uint32_t bench_route_find(const struct bench_route *route, uint32_t place);

/* Where the piece that holds `place` ends. */
uint64_t bench_route_end(const struct bench_route *route, uint32_t place);

#endif
