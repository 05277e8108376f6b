/* SPDX-License-Identifier: MIT */
#ifndef IO_CONN_INTERNAL_H
#define IO_CONN_INTERNAL_H

/* What io/conn.c offers to listener. */

#include "io/conn.h"
#include "io/loop_internal.h"

/* Takes `fd`, which does not block. `on_free` runs when its descriptor has been closed. */
struct conn *conn_accepted(struct loop *loop, int fd, const struct address *remote,
                           loop_callback *on_free, void *context);

/* Whether it has been told whom to call. */
bool conn_has_handler(const struct conn *conn);

#endif
