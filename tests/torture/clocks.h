/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_CLOCKS_H
#define TORTURE_CLOCKS_H

/*
 * The wall clock of each of a cluster's servers, to be stepped while it runs, and while it is down: a file in the scratch
 * folder, which clock_preload.c reads each time. Bootstrapd and this program keep the machine's.
 */

#include "tests/torture/cluster.h"

struct clocks {
    char preload[SCENE_PATH_LEN + 64];
    char files[CLUSTER_SERVERS][SCENE_PATH_LEN + 64]; /* NAME=PATH */
    volatile int64_t *ms[CLUSTER_SERVERS];
};

/* Behind cluster_init, before cluster_start; must outlive the cluster. False: said why. */
bool clocks_open(struct clocks *clocks, const struct scene *scene, struct cluster *cluster);
void clocks_close(struct clocks *clocks);

/* So much ahead of the machine's clock from now on; negative: behind. */
void clocks_set(struct clocks *clocks, uint32_t server, int64_t ms);
void clocks_set_all(struct clocks *clocks, int64_t ms);

#endif
