/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_CLUSTER_H
#define LIBCLIENT_CLUSTER_H

/* What all calls of one client share: its settings, the map, the connections. */

#include "libclient/pool.h"
#include "libclient/route.h"
#include "libclient/shardkv.h"

struct cluster {
    struct skv_options options; /* defaults filled in */
    struct pool *pool;
    struct route *route;
};

/* Levels of skv_options.log. */
enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* One line: control characters, which a peer's words may have, become '?'. */
void cluster_log(const struct cluster *cluster, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
