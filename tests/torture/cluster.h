/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_CLUSTER_H
#define TORTURE_CLUSTER_H

/*
 * Real daemons: three servers, of which the third has nothing to begin with, and the bootstrapd.
 *
 *     0 a   low  [0, 0.5)        what one says is in HOME/NAME.log, its data in HOME/NAME
 *     1 b   high [0.5, 1)
 *     2 c   added                each comes back at the address that it had first
 *     3 bootstrapd
 */

#include "tests/torture/scene.h"

enum { CLUSTER_SERVERS = 3, CLUSTER_BOOTSTRAPD = CLUSTER_SERVERS, CLUSTER_DAEMONS };

struct daemon {
    const char *name;
    struct server server;
    struct server_config config;
    char data[SCENE_PATH_LEN + 32];
    char log[SCENE_PATH_LEN + 32];
    char host[32];    /* 127.0.0.1, or that of its own network */
    char address[48]; /* with its port; empty until it has started once */
};

struct cluster {
    struct daemon daemons[CLUSTER_DAEMONS];
    char bootstrapd[SCENE_PATH_LEN + 16];
    char map_path[SCENE_PATH_LEN + 32];
};

/* Their places and options. What is changed before cluster_start (host, config.net) counts. */
void cluster_init(struct cluster *cluster, const struct scene *scene);

/* All four; the third server is added. False: said why. */
bool cluster_start(struct cluster *cluster);

/* One more, not of the cluster's own: `name` is borrowed. False: it does not start, and it was said why. */
void cluster_init_daemon(struct daemon *daemon, const char *name, const struct scene *scene);
bool cluster_start_daemon(struct daemon *daemon);

/* Makes a server known that has nothing yet. False: said why. */
bool cluster_add(const struct cluster *cluster, const struct daemon *daemon);

/* What a client opens it by: bootstrapd's first. */
#define CLUSTER_ADDRESSES_LEN 256
void cluster_print_addresses(const struct cluster *cluster, char text[CLUSTER_ADDRESSES_LEN]);

bool cluster_is_up(const struct cluster *cluster, uint32_t which);
void cluster_kill(struct cluster *cluster, uint32_t which); /* kill -9 */
bool cluster_restart(struct cluster *cluster, uint32_t which);

/* Takes in what they say. False: one that was not killed has ended; its last words are printed. */
bool cluster_hear(struct cluster *cluster);

void cluster_end(struct cluster *cluster);

#endif
