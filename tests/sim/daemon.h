/* SPDX-License-Identifier: MIT */
#ifndef SIM_DAEMON_H
#define SIM_DAEMON_H

/*
 * A daemon on its machine: started, stopped, killed, and started again on the same disk.
 *
 *     down --start--> up --stop--> stopping --> down        (leaving no memory behind)
 *                      |              |
 *                      +-- crash -----+-------> down        (at any moment between two events)
 */

#include "tests/sim/disk.h"
#include "tests/sim/world.h"

/* The third server is there in some seeds: added to a cluster that others founded. */
enum {
    DAEMON_BOOTSTRAPD,
    DAEMON_SERVER_1,
    DAEMON_SERVER_2,
    DAEMON_SERVER_3,
    DAEMON_COUNT,
};

struct daemon;

/* `map_text` founds the cluster; NULL for a shardd. It must outlive the daemon. */
struct daemon *daemon_new(const char *name, uint16_t port, const char *map_text);

/* A person who has applied an edited map starts bootstrapd without the old file. */
void daemon_forget_map_text(struct daemon *daemon);

/* Ends it as a crash would. */
void daemon_free(struct daemon *daemon);

struct node *daemon_node(const struct daemon *daemon);
const char *daemon_address(const struct daemon *daemon); /* "127.0.0.1:5050" */
bool daemon_is_up(const struct daemon *daemon);
bool daemon_is_down(const struct daemon *daemon);
bool daemon_is_stopping(const struct daemon *daemon);

/* Each open since the beginning that succeeded. */
uint32_t daemon_start_count(const struct daemon *daemon);

/* A down one starts after the delay, whatever was planned before. */
void daemon_start(struct daemon *daemon, uint64_t delay_us);

/* `end` is DISK_PROCESS_KILLED or DISK_POWER_LOST. Not from within the node's own event. */
void daemon_crash(struct daemon *daemon, enum disk_end end);

/* What operators do to disks: both are killed, or the one, and start again. */
void daemon_exchange_disks(struct daemon *one, struct daemon *other);
void daemon_empty_disk(struct daemon *daemon);

/* As SIGTERM does; it must come to an end by itself. */
void daemon_stop(struct daemon *daemon);

/* Whether it is a server that would carry out a request for this point. */
bool daemon_serves(const struct daemon *daemon, uint64_t point);

/* What it holds durably, of a server and of bootstrapd; NULL: it is down, or the other kind. */
struct ledger;
struct ownership;
const struct ownership *daemon_ownership(const struct daemon *daemon);
const struct ledger *daemon_ledger(const struct daemon *daemon);

#endif
