/* SPDX-License-Identifier: MIT */
#include "cli/bench_route.h"

#include <assert.h>
#include <stdlib.h>

void bench_route_fini(struct bench_route *route)
{
    free(route->pieces);
    free(route->servers);
    *route = (struct bench_route){0};
}

uint32_t bench_route_server(struct bench_route *route, const struct address *address)
{
    for (uint32_t i = 0; i < route->server_count; i++) {
        if (address_equal(&route->servers[i], address)) {
            return i;
        }
    }
    struct address *more =
        reallocarray(route->servers, route->server_count + 1, sizeof(*route->servers));
    if (!more) {
        return UINT32_MAX;
    }
    route->servers = more;
    route->servers[route->server_count] = *address;
    return route->server_count++;
}

/* Index of the piece that holds the place; there is one. */
static uint32_t index_of(const struct bench_route *route, uint64_t place)
{
    uint32_t low = 0, high = route->piece_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (route->pieces[middle].start <= place) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t bench_route_find(const struct bench_route *route, uint32_t place)
{
    return route->piece_count == 0 ? 0 : route->pieces[index_of(route, place)].server;
}

uint64_t bench_route_end(const struct bench_route *route, uint32_t place)
{
    uint32_t next = route->piece_count == 0 ? 0 : index_of(route, place) + 1;
    return next < route->piece_count ? route->pieces[next].start : BENCH_PLACE_END;
}

/* A piece begins at `place`, which there is memory for. */
static void cut(struct bench_route *route, uint64_t place)
{
    uint32_t index = index_of(route, place);
    if (place == BENCH_PLACE_END || route->pieces[index].start == place) {
        return;
    }
    struct bench_piece *piece = &route->pieces[index];
    memmove(piece + 1, piece, (route->piece_count - index) * sizeof(*piece));
    piece[1].start = place;
    route->piece_count++;
}

static void join_equal(struct bench_route *route)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < route->piece_count; i++) {
        const struct bench_piece *piece = &route->pieces[i];
        if (piece->server != route->pieces[kept].server ||
            piece->epoch != route->pieces[kept].epoch) {
            route->pieces[++kept] = *piece;
        }
    }
    route->piece_count = kept + 1;
}

/* Two cuts make two pieces more; the first call of all makes the one that is cut. */
static bool make_room(struct bench_route *route)
{
    struct bench_piece *more =
        reallocarray(route->pieces, route->piece_count + 3, sizeof(*route->pieces));
    if (!more) {
        return false;
    }
    route->pieces = more;
    if (route->piece_count == 0) {
        route->pieces[route->piece_count++] = (struct bench_piece){0};
    }
    return true;
}

bool bench_route_set(struct bench_route *route, uint64_t start, uint64_t end, uint32_t server,
                     uint64_t epoch)
{
    assert(start < end && end <= BENCH_PLACE_END);
    if (!make_room(route)) {
        return false;
    }
    cut(route, start);
    cut(route, end);
    for (uint32_t i = index_of(route, start);
         i < route->piece_count && route->pieces[i].start < end; i++) {
        struct bench_piece *piece = &route->pieces[i];
        if (epoch == 0 || epoch > piece->epoch) {
            piece->server = server;
            piece->epoch = epoch;
        }
    }
    join_equal(route);
    return true;
}
