/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_REQUEST_H
#define BOOTSTRAPD_REQUEST_H

/* The methods that bootstrapd answers (proto/PROTOCOL.md "Other methods"). */

#include "bootstrapd/coordinator.h"
#include "bootstrapd/watch.h"

/*
 * Answers `message`, at once or, where the map is changed, when that is durable. Notifications are
 * not looked at. `watchers` is NULL for a peer that must not watch.
 */
void request_handle(struct coordinator *coordinator, struct watchers *watchers, struct peer *peer,
                    const struct rpc_message *message);

#endif
