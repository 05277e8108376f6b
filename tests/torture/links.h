/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_LINKS_H
#define TORTURE_LINKS_H

/*
 * Each daemon in a network of its own, so that the way from one to another can be cut, in one direction or both:
 *
 *     this program 10.77.0.1 ── bridge ── 10.77.0.10 + i, daemon i
 *
 * A plain user may do so in a user namespace. A cut way is a neighbour whose hardware address is nobody's: what
 * is sent is lost without a word, and what comes the other way arrives.
 */

#include "tests/torture/cluster.h"

struct links {
    int nets[CLUSTER_DAEMONS];                     /* of the namespaces; 0: none */
    bool is_cut[CLUSTER_DAEMONS][CLUSTER_DAEMONS]; /* from, to */
    int probes[CLUSTER_DAEMONS];                   /* datagram sockets in them; 0: none */
};

/* Before any thread is started, and before files are made. False: it cannot be done here. */
bool links_enter(void);

/* Makes the networks, and the cluster's daemons live in them. False: said why. */
bool links_open(struct links *links, struct cluster *cluster);
void links_close(struct links *links);

void links_cut(struct links *links, uint32_t from, uint32_t to);
void links_mend_all(struct links *links);

/* Whether what one of them sends arrives at the other, which is seen at once, or not within a tenth of a second. */
bool links_carries(const struct links *links, uint32_t from, uint32_t to);

/* Of /proc/net/snmp there: TCP segments sent again so far, and connections begun. Both 0 when the daemon is down. */
struct links_count {
    uint64_t sent_again, begun;
};

struct links_count links_count(const struct daemon *daemon);

#endif
