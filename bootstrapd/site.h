/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_SITE_H
#define BOOTSTRAPD_SITE_H

/*
 * A site: an address in the map, where a server is to be found, and what was last heard there.
 * Pure: what the map says and what the server said go in, a state and its reason come out.
 *
 *     contact                    the map says                            state
 *     none                                                               down
 *     an error to hello or push                                          by its code
 *     hello, another cluster                                             wrong cluster
 *     hello, bound elsewhere     the id is at another address            refused
 *     hello, old incarnation     a higher one was seen                   refused (RULES M4)
 *     hello, another start       the same incarnation was seen           refused (RULES M4)
 *     hello, restored copy       it knows nothing of the start seen      refused (RULES M4)
 *     hello, another server id   this address is bound to an id          data missing (RULES M3)
 *     hello, another server id   here is a server that owns nothing      refused
 *     a report of missing data   the entry is bound to it                data missing
 *     hello, else                                                        up
 */

#include "bootstrapd/text.h"
#include "proto/map.h"
#include "proto/status.h"

enum site_state { SITE_DOWN, SITE_UP, SITE_DATA_MISSING, SITE_WRONG_CLUSTER, SITE_REFUSED };

/* The word for it in `status`. */
const char *site_state_text(enum site_state state);

/* What a server answers to hello. */
struct site_hello {
    uint8_t server[ID_LEN];
    uint8_t cluster[ID_LEN]; /* zero before it has one */
    uint64_t incarnation;
    uint64_t start;   /* the random number of this start; 0: it has none */
    bool is_restored; /* it does not know of the start that it was greeted with */
    uint64_t epoch;   /* highest taken */
    uint64_t revision;
    uint64_t term;           /* highest of a bootstrapd whose map it took */
    uint8_t at_work[ID_LEN]; /* the instance that it hears now; zero: none */
    uint64_t now_ms;         /* its clock, since 1970 */
    uint64_t stamp;          /* its last */
    uint64_t heard_ms;       /* this clock, when that came */
};

/* Of its last `stat`. */
struct site_numbers {
    bool is_there;
    bool is_disk_full;
    uint64_t disk_free_bytes;
    uint64_t tree_reusable_bytes;
};

enum site_contact {
    CONTACT_NONE,    /* `reason` says why */
    CONTACT_REFUSED, /* it answered hello with `refusal` and `reason` */
    CONTACT_HELLO,   /* it answered with `hello`, and the last push with `refusal` and `reason` */
};

struct site {
    struct address address;
    enum site_contact contact;
    struct site_hello hello;
    enum status refusal; /* STATUS_OK: none */
    struct text reason;
    struct site_numbers numbers;

    /* Judged: */
    enum site_state state;
    struct text problem; /* empty: none */
    bool is_accepted;    /* a server of this cluster, at its address, no old copy */
    bool is_restored;    /* one, but an old copy of its data */
    bool is_unsaid;      /* state or problem have changed and nobody was told */

    uint32_t first, entry_count; /* its entries, in the owner's order by address */
};

/* What the server of an entry said of it: the entry's epochs at which it did, or 0. */
struct site_report {
    uint64_t opened;
    uint64_t missing;
    uint64_t counted; /* what it holds: */
    uint64_t records, bytes;
    uint64_t operations, operations_ms; /* since its start, and when that was heard; 0: never */
    uint64_t load;                      /* operations a second between the last two times */
    bool is_load_known;
};

/* The map's entries, ordered so that those of one address stand together. */
struct site_entries {
    const struct map *map;
    const uint32_t
        *order; /* indexes of map->entries; a site's are order[first .. first + entry_count) */
    const struct site_report *reports; /* parallel to map->entries */
};

void site_judge(struct site *site, const struct site_entries *entries);

/* Its i-th entry, i < entry_count. */
const struct map_entry *site_entry(const struct site *site, const struct site_entries *entries,
                                   uint32_t i);

/* At least one of its entries is bound to the server of its hello. */
bool site_is_bound(const struct site *site, const struct site_entries *entries);

#endif
