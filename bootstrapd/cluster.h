/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_CLUSTER_H
#define BOOTSTRAPD_CLUSTER_H

/*
 * The cluster as bootstrapd knows it, and what is to be done about it. Pure: no I/O, no clock.
 *
 *     what servers say --> cluster_on_x --> sites
 *                                            |
 *     present ledger ------------------------+--> cluster_next --> plan, made durable
 *          ^                                                         |
 *          +---------------------- cluster_adopt --------------------+
 *
 * cluster_next looks at what is known, not at what has just happened, so that an event that comes
 * while a change is being written is not lost and a restart in the middle goes on.
 *
 * A bootstrapd that is behind a server (an old copy of its directory was restored) changes nothing, until its map is
 * recovered from them (RULES M4, bootstrapd/recover.h).
 */

#include "bootstrapd/plan.h"
#include "bootstrapd/site.h"

struct cluster;

/* Takes the ledger's memory and zeroes it. */
struct cluster *cluster_new(struct ledger *ledger);
void cluster_free(struct cluster *cluster); /* NULL is allowed */

/* The durable ledger. Valid until cluster_adopt. */
const struct ledger *cluster_ledger(const struct cluster *cluster);

/* One for each address of a shard or a server in the map, and the guest's, by address. Valid until cluster_adopt. */
uint32_t cluster_site_count(const struct cluster *cluster);
const struct site *cluster_site(const struct cluster *cluster, uint32_t index);
const struct site *cluster_find_site(const struct cluster *cluster, const struct address *address);

/* Where the server is to be found; NULL when the map does not know it. */
const struct site *cluster_server_site(const struct cluster *cluster, const uint8_t server[ID_LEN]);

/* Whether that server answers there, and is at work. */
bool cluster_is_up(const struct cluster *cluster, const uint8_t server[ID_LEN]);

/* Raised whenever there are other sites. */
uint64_t cluster_site_version(const struct cluster *cluster);

/*
 * Looks at an address that is not in the map for an empty server, whose id is then taken into the map with that
 * capacity: one at a time. NULL: no longer.
 */
void cluster_invite(struct cluster *cluster, const struct address *address, uint64_t capacity);

/* --- what was heard at an address; of one that is not in the map nothing is noted --- */

void cluster_on_hello(struct cluster *cluster, const struct address *address,
                      const struct site_hello *hello);

/* It answered hello with an error. */
void cluster_on_refused(struct cluster *cluster, const struct address *address, enum status code,
                        struct bytes text);

/* What it knows of is a bootstrapd of a higher term, or another of the same, which is not at work. */
void cluster_on_outranked(struct cluster *cluster, const struct address *address, uint64_t term);

/* It answered a push: STATUS_OK, or an error. */
void cluster_on_pushed(struct cluster *cluster, const struct address *address, enum status code,
                       struct bytes text);

/*
 * It misses the data of the entry of that name and epoch, which is bound to it (RULES M3). Holds until
 * its next hello: within one run of a server nothing comes back.
 */
void cluster_on_missing(struct cluster *cluster, const struct address *address, struct bytes name,
                        uint64_t epoch);

/* It has opened the new entry of that name and epoch. */
void cluster_on_opened(struct cluster *cluster, const struct address *address, struct bytes name,
                       uint64_t epoch);

void cluster_on_down(struct cluster *cluster, const struct address *address, const char *reason);

/*
 * It answered `stat`. False: that was none. `round_ms`, by a clock that does not step: of a round, in which all
 * servers are asked at once; load is measured from one to the next. 0: it was asked for its counts alone.
 */
bool cluster_on_stat(struct cluster *cluster, const struct address *address, uint64_t round_ms,
                     struct bytes result);

/* --- what follows --- */

/*
 * What the servers' words ask for: binds new entries to the servers at their addresses, strikes
 * `new` where it was opened (RULES M3), notes incarnations (RULES M4). False: nothing, and no plan.
 * The plan is to be adopted before the next one is asked for.
 */
bool cluster_next(struct cluster *cluster, struct plan *plan);

/* The plan's ledger is durable now. Takes it; plan_fini stays the caller's. */
void cluster_adopt(struct cluster *cluster, struct plan *plan);

/*
 * What the owner of `entry`, one of the ledger's, has counted in it. False: nothing yet, or, if `is_exact`, not at the
 * entry's present epoch.
 */
bool cluster_count(const struct cluster *cluster, const struct map_entry *entry, bool is_exact,
                   uint64_t *records, uint64_t *bytes);

/* Operations a second, between the last two rounds of `stat`. False: not known yet. */
bool cluster_load(const struct cluster *cluster, const struct map_entry *entry, uint64_t *load);

/* Whether the server that has `entry`, one of the ledger's, has said that its data is missing. */
bool cluster_is_missing(const struct cluster *cluster, const struct map_entry *entry);

/*
 * Whether the server there may be sent the map: it is a member of the cluster, as the map knows it there, or one of
 * its entries is durably bound to it, or was. (One whose shards were reset goes by its own log: it must hear that
 * it owns nothing.)
 */
bool cluster_may_push(const struct cluster *cluster, const struct site *site);

/* Whether the server there has yet to open an entry that is bound to it. */
bool cluster_awaits_open(const struct cluster *cluster, const struct site *site);

/* The server that the map binds to the address, to be put into hello; zero if none. */
void cluster_expected_server(const struct cluster *cluster, const struct site *site,
                             uint8_t server[ID_LEN]);

/* A site whose state or problem has changed since it was last given here; NULL when none. */
const struct site *cluster_take_news(struct cluster *cluster);

/* Empty unless behind. */
const struct text *cluster_behind(const struct cluster *cluster);

/* The highest that any server has told; 0 unless behind. */
uint64_t cluster_seen_revision(const struct cluster *cluster);
uint64_t cluster_seen_term(const struct cluster *cluster);

/* While the founding goes on: the servers that are waited for. Empty afterwards. */
void cluster_say_founding(const struct cluster *cluster, struct text *text);

#endif
