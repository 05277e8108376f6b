/* SPDX-License-Identifier: MIT */
#ifndef SIM_ACCEPT_H
#define SIM_ACCEPT_H

/* What the simulated conn offers to the simulated listener. */

#include "io/conn.h"
#include "tests/sim/network.h"

/* Takes the endpoint. `on_free` runs when the connection is gone for good. */
struct conn *conn_accepted(struct loop *loop, struct endpoint *endpoint, loop_callback *on_free,
                           void *context);

bool conn_has_handler(const struct conn *conn);

#endif
