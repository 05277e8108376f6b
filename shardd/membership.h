/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_MEMBERSHIP_H
#define SHARDD_MEMBERSHIP_H

/*
 * This server's place in its cluster: greets bootstrapds, takes the maps that one of them pushes,
 * tells watchers. What it decides by is pure (shardd/ownership.h).
 *
 *     hello ─> current bootstrapd        map.push ─> taken ─> durable ─> acted on ─> answered
 *
 * Rules:
 *  - A map is durable before anything is done because of it (RULES M1); one at a time.
 *  - There is one bootstrapd: while its connection lives, another is refused (RULES M4).
 *  - It may have several connections: one that it gave up may bring its hello after the next one's. What comes on any
 *    of them is its word, and it is spoken to on the one where it was heard last.
 */

#include "io/peer.h"
#include "shardd/ownership.h"
#include "shardd/session.h"
#include "shardd/store.h"

/* A bootstrapd that has said nothing for so long may be replaced: it pings every second. */
#define BOOTSTRAP_ALIVE_MS 3000

/* Pushes that wait for the one before. */
#define PUSHES_MAX 16

struct membership;

/* Takes what is in `ownership` and zeroes it. The others must outlive it. */
struct membership *membership_new(struct store *store, struct sessions *sessions,
                                  struct ownership *ownership);

/* Pushes that wait are answered with SHUTTING_DOWN. NULL is allowed. */
void membership_free(struct membership *membership);

/* Valid until the loop's next turn. */
const struct ownership *membership_ownership(const struct membership *membership);

/* What a bootstrapd says of itself. */
struct greeting {
    bool has_cluster;
    uint8_t cluster[ID_LEN];
    struct bootstrap from;
    uint64_t revision;
    uint8_t expected[ID_LEN];  /* the server that its map binds to this address; zero: none */
    uint64_t seen_incarnation; /* the last start of that server that it saw; 0: none */
    uint64_t seen_start;
};

enum { MEMBERSHIP_TEXT_LEN = 256 };

/*
 * A bootstrapd's hello. A restored copy takes no maps and serves nothing until a hello says that it is
 * what was seen, or is accepted (RULES M4). STATUS_OK, or the refusal with `text` filled.
 */
enum status membership_greet(struct membership *membership, struct peer *peer,
                             const struct greeting *greeting, char text[MEMBERSHIP_TEXT_LEN]);

/* Refused in the same words whoever greets, when its cluster is not this server's. */
enum status membership_check_cluster(const struct membership *membership,
                                     const uint8_t cluster[ID_LEN], char text[MEMBERSHIP_TEXT_LEN]);

/* Whatever connection this was. */
void membership_heard(struct membership *membership, struct peer *peer);
void membership_left(struct membership *membership, const struct peer *peer);

/* `text` ends with the call. */
typedef void membership_pushed(void *context, struct peer *peer, uint32_t msgid, enum status status,
                               const char *text);

/* Takes what is in `map` and zeroes it. The answer may come from inside. Holds the peer until then. */
void membership_push(struct membership *membership, struct peer *peer, uint32_t msgid,
                     struct map *map, membership_pushed *on_pushed, void *context);

/*
 * This server's own step in a move (RULES V): what becomes of `present`. False: it is not at that step any more, and
 * *next is untouched.
 */
typedef bool membership_step(void *context, const struct ownership *present,
                             struct ownership *next);

/* It is durable and holds, or was not done: not any more, or the disk is full. */
typedef void membership_stepped(void *context, bool is_done);

/* Behind the change that is under way, before maps that wait. `on_stepped` may come from inside, with false. */
void membership_change(struct membership *membership, membership_step *step,
                       membership_stepped *on_stepped, void *context);

/* After each change of the ownership that holds durably, before whoever asked for it is answered. */
void membership_on_changed(struct membership *membership, void (*on_changed)(void *context),
                           void *context);

/* The connection where the bootstrapd that is at work was heard last, or NULL. */
struct peer *membership_bootstrapd(const struct membership *membership);

/* Who that is; NULL when none has been heard lately. Valid until the loop's next turn. */
const struct bootstrap *membership_at_work(const struct membership *membership);

/*
 * A client knows of `epoch`, which is above what is held here (RULES M6). True: wait, the map of the
 * current bootstrapd is asked for or being taken. False: nobody can tell more than is known here.
 */
bool membership_fetch(struct membership *membership, uint64_t epoch);

/* No push waits. */
bool membership_is_idle(const struct membership *membership);

#endif
