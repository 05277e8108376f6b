/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_CLIENT_H
#define LIBCLIENT_CLIENT_H

/* One client: what skv_open makes. */

#include "libclient/cluster.h"

/*
 * Each call begins with this. In a child after fork it first lets go of the parent's connections
 * and draws new client ids: two processes with one id would be answered with each other's results.
 */
struct cluster *client_enter(struct skv *kv);

#endif
