/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_ERROR_H
#define LIBCLIENT_ERROR_H

/* The calling thread's last error: what skv_error() shows. */

#include "libclient/shardkv.h"

/* All fields. Returns error->status. */
enum skv_status error_set(const struct skv_error *error);

/* A failure that no server had a part in. Returns `status`. */
enum skv_status error_say(enum skv_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
