/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_LEDGER_H
#define BOOTSTRAPD_LEDGER_H

/*
 * What bootstrapd must not forget: the map and a few words beside it. One ledger is one payload of
 * the map store (bootstrapd/mapstore.h), as MessagePack:
 *
 *     [map, term, config hash, is founded, applied hash,
 *      moves, moves numbered, cuts, history, history numbered]      longer in later versions
 *
 * The instance id is the map's own. One of an earlier version ends behind the applied hash.
 */

#include "bootstrapd/history.h"

/*
 * Bounds at which a shard was split by itself: where both sides have one owner again, they join again (a bound that
 * a person wrote stays). Sorted.
 */
struct cuts {
    uint64_t *bounds;
    uint32_t count;
};

struct ledger {
    struct map map;
    uint64_t term;         /* raised at each start */
    uint64_t config_hash;  /* of the map file's text at the founding, or the last start with one */
    uint64_t applied_hash; /* of the text that was applied last; before that the same */
    bool is_founded;       /* every entry was bound and opened once: clients may be told the map */
    struct moves moves;    /* that wait or go on */
    uint64_t move_count;   /* numbered so far */
    struct cuts cuts;
    struct history recent;
    uint64_t history_count; /* numbered so far */
};

void ledger_fini(struct ledger *ledger);

/* Ends the process when out of memory. */
void ledger_copy(const struct ledger *ledger, struct ledger *copy);

void cuts_add(struct cuts *cuts, uint64_t bound);
void cuts_drop(struct cuts *cuts, uint64_t bound);
bool cuts_has(const struct cuts *cuts, uint64_t bound);

/*
 * The first ledger of a cluster, from what a person wrote: revision 1, every entry new and bound to
 * nobody. The ids are the caller's random bytes. False: *error says what is wrong.
 */
bool ledger_found(struct bytes config, const uint8_t cluster[ID_LEN],
                  const uint8_t instance[ID_LEN], struct ledger *ledger, struct map_error *error);

/* Servers that the map names, each by its address; more than MAP_SERVERS_MAX are refused. */
bool ledger_check_addresses(const struct map *map, struct map_error *error);

void ledger_pack(const struct ledger *ledger, struct buffer *out);

/* False: *error says why; *ledger is then untouched. */
bool ledger_unpack(struct bytes packed, struct ledger *ledger, struct map_error *error);

#endif
