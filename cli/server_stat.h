/* SPDX-License-Identifier: MIT */
#ifndef CLI_SERVER_STAT_H
#define CLI_SERVER_STAT_H

/*
 * What every server of the map says about itself. Of those that are silent the map tells what they
 * should have; what bootstrapd, if one of the addresses is its, finds wrong is the problem.
 */

#include "cli/server_numbers.h"
#include "cli/session.h"

struct shard_stat {
    char name[NAME_LEN_MAX + 1];
    uint64_t start, end; /* bounds */
    uint64_t epoch;
    uint64_t size;
    char when_full[8]; /* "reject", "evict"; "" when an older server did not say */
    bool is_counted;   /* the server told records and bytes */
    uint64_t records;
    uint64_t bytes;
    uint64_t evictions; /* since its start; SERVER_NUMBER_UNKNOWN: not told */
    uint64_t expirations;
};

struct server_stat {
    struct address address;
    char id[ID_TEXT_LEN]; /* "" while it is not known */
    char state[32];       /* "serving", ..., or "down" */
    char problem[256];    /* "" when there is none */
    struct server_numbers numbers;
    struct shard_stat *shards;
    uint32_t shard_count;
};

struct server_stats {
    uint64_t map_revision;
    char problem[512];           /* of the cluster, as bootstrapd sees it; "" when there is none */
    struct server_stat *servers; /* in the order of the map's ranges */
    uint32_t server_count;
};

void server_stats_fini(struct server_stats *stats);

/* Asks for the map, then each server in it. A silent server is an answer; says why if there is no map. */
enum exit_code server_stats_get(struct session *session, struct server_stats *stats);

bool server_stat_is_serving(const struct server_stat *server);

/* Of all servers that answered. */
uint64_t server_stats_records(const struct server_stats *stats);

#endif
