/* SPDX-License-Identifier: MIT */
#include "shardd/membership.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "shardd/control.h"
#include "shardd/division.h"

/* A bootstrapd that does not answer map.get for so long is asked again. */
#define FETCH_TIMEOUT_MS 2000

struct push {
    struct push *next;
    struct map map;
    struct bootstrap from;
    struct peer *peer; /* held; NULL for a map that was asked for */
    uint32_t msgid;
    membership_pushed *on_pushed;
    void *context;
};

/* A step of a move. */
struct change {
    struct change *next;
    membership_step *step;
    membership_stepped *on_stepped;
    void *context;
};

/* Outlives the membership when the reply comes late. */
struct fetch {
    struct membership *membership; /* NULL: it is gone */
    uint64_t epoch;                /* it was begun for */
};

struct membership {
    struct store *store;
    struct sessions *sessions;
    struct ownership ownership;

    struct peer *bootstrap_peer; /* where it was heard last; NULL: no bootstrapd is here */
    struct bootstrap bootstrap;
    uint64_t bootstrap_number; /* of its sessions; another one gets the next */
    uint64_t bootstrap_heard_ms;
    struct fetch *fetch;    /* NULL: none is under way */
    uint64_t fetched_epoch; /* the highest for which it was asked, and gave what it has */

    struct push *first; /* they wait for `saving` */
    struct push *last;
    uint32_t push_count;
    struct push *saving; /* not in the list any more */
    struct change *first_change;
    struct change **changes_end;
    struct change *changing; /* or this is what is being saved */
    struct ownership next;
    void (*on_changed)(void *context);
    void *on_changed_context;
};

static void on_counted(void *context);

struct membership *membership_new(struct store *store, struct sessions *sessions,
                                  struct ownership *ownership)
{
    struct membership *membership = memory_get(1, sizeof(*membership));
    membership->store = store;
    membership->sessions = sessions;
    membership->ownership = *ownership;
    membership->changes_end = &membership->first_change;
    membership->bootstrap_number = 1;
    *ownership = (struct ownership){0};
    store_on_counted(store, on_counted, membership);
    store_set_origin(store, membership->ownership.map.origin_ms);
    return membership;
}

/* Gives the push its answer and frees it. */
static void answer_push(struct push *push, enum status status, const char *text)
{
    if (push->peer) {
        push->on_pushed(push->context, push->peer, push->msgid, status, text);
        peer_release(push->peer);
    }
    map_fini(&push->map);
    free(push);
}

static struct push *pop_push(struct membership *membership)
{
    struct push *push = membership->first;
    if (push) {
        membership->first = push->next;
        membership->push_count--;
    }
    return push;
}

static struct change *pop_change(struct membership *membership)
{
    struct change *change = membership->first_change;
    membership->first_change = change->next;
    if (!membership->first_change) {
        membership->changes_end = &membership->first_change;
    }
    return change;
}

/* Steps that are not done yet are forgotten. */
void membership_free(struct membership *membership)
{
    if (!membership) {
        return;
    }
    struct push *push = membership->saving ? membership->saving : pop_push(membership);
    for (; push; push = pop_push(membership)) {
        answer_push(push, STATUS_SHUTTING_DOWN, status_text(STATUS_SHUTTING_DOWN));
    }
    free(membership->changing);
    while (membership->first_change) {
        free(pop_change(membership));
    }
    if (membership->fetch) {
        membership->fetch->membership = NULL;
    }
    ownership_fini(&membership->next);
    ownership_fini(&membership->ownership);
    free(membership);
}

const struct ownership *membership_ownership(const struct membership *membership)
{
    return &membership->ownership;
}

bool membership_is_idle(const struct membership *membership)
{
    return !membership->saving && !membership->changing && membership->push_count == 0 &&
           !membership->first_change;
}

struct peer *membership_bootstrapd(const struct membership *membership)
{
    return membership->bootstrap_peer;
}

/* --- who is here --- */

enum status membership_check_cluster(const struct membership *membership,
                                     const uint8_t cluster[ID_LEN], char text[MEMBERSHIP_TEXT_LEN])
{
    const uint8_t *own = membership->ownership.cluster;
    if (id_bytes_is_zero(own) || memcmp(own, cluster, ID_LEN) == 0) {
        return STATUS_OK;
    }
    char own_text[ID_TEXT_LEN];
    char other_text[ID_TEXT_LEN];
    id_bytes_print(own, own_text);
    id_bytes_print(cluster, other_text);
    (void)snprintf(text, MEMBERSHIP_TEXT_LEN, "this server belongs to cluster %s, not %s", own_text,
                   other_text);
    return STATUS_WRONG_CLUSTER;
}

/* One that names no cluster, or this server's own, may become its bootstrapd; of the rest it is known who they are. */
static bool is_stranger(const struct membership *membership, const struct greeting *greeting)
{
    const struct ownership *ownership = &membership->ownership;
    return !id_bytes_is_zero(ownership->cluster) && !greeting->has_cluster;
}

static bool is_bootstrap_alive(const struct membership *membership)
{
    return membership->bootstrap_peer &&
           clock_mono_ms() - membership->bootstrap_heard_ms < BOOTSTRAP_ALIVE_MS;
}

const struct bootstrap *membership_at_work(const struct membership *membership)
{
    return is_bootstrap_alive(membership) ? &membership->bootstrap : NULL;
}

static bool is_other_alive(const struct membership *membership, const struct peer *peer,
                           const struct bootstrap *from)
{
    return is_bootstrap_alive(membership) && membership->bootstrap_peer != peer &&
           !bootstrap_equal(&membership->bootstrap, from);
}

static enum status deny(const struct membership *membership, const struct peer *peer,
                        const struct greeting *greeting, char text[MEMBERSHIP_TEXT_LEN])
{
    const struct ownership *ownership = &membership->ownership;
    char instance[ID_TEXT_LEN];
    if (is_other_alive(membership, peer, &greeting->from)) {
        id_bytes_print(membership->bootstrap.instance, instance);
        (void)snprintf(text, MEMBERSHIP_TEXT_LEN,
                       "another bootstrapd is at work from %s (instance %s, term %llu)",
                       peer_remote(membership->bootstrap_peer), instance,
                       (unsigned long long)membership->bootstrap.term);
        return STATUS_DENIED;
    }
    bool is_copy = greeting->from.term == ownership->term &&
                   memcmp(ownership->instance, greeting->from.instance, ID_LEN) != 0;
    if (is_copy || greeting->from.term < ownership->term) {
        id_bytes_print(ownership->instance, instance);
        (void)snprintf(
            text, MEMBERSHIP_TEXT_LEN,
            "bootstrapd was here with term %llu (instance %s), this one has %llu: it runs "
            "on a copy of the other's directory",
            (unsigned long long)ownership->term, instance, (unsigned long long)greeting->from.term);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static bool is_restored(const struct ownership *ownership, const struct greeting *greeting)
{
    return memcmp(greeting->expected, ownership->server, ID_LEN) == 0 &&
           !ownership_has_started(ownership, greeting->seen_incarnation, greeting->seen_start);
}

static void take_greeting(struct ownership *ownership, const struct greeting *greeting)
{
    bool was_restored = ownership->is_restored;
    memcpy(ownership->expected, greeting->expected, ID_LEN);
    ownership->has_stranger = false;
    ownership->is_restored = is_restored(ownership, greeting);
    if (ownership->is_restored && !was_restored) {
        logline(LOGLINE_WARNING,
                "this data is a restored copy: it knows nothing of the start in incarnation %llu "
                "that bootstrapd saw; nothing is served",
                (unsigned long long)greeting->seen_incarnation);
    } else if (was_restored && !ownership->is_restored) {
        logline(LOGLINE_WARNING, "bootstrapd takes this data as it is: it is served again");
    }
}

/* What others said hello for holds no more, if this is another one; nor is a restored copy anybody's. */
static void take_bootstrapd(struct membership *membership, struct peer *peer,
                            const struct bootstrap *from)
{
    bool is_copy = membership->ownership.is_restored;
    if (is_copy || !bootstrap_equal(&membership->bootstrap, from)) {
        membership->bootstrap_number++;
    }
    membership->bootstrap = *from;
    membership->bootstrap_peer = is_copy ? NULL : peer;
    membership->bootstrap_heard_ms = clock_mono_ms();
    membership->fetched_epoch = 0;
    session_greet(peer, is_copy ? 0 : membership->bootstrap_number);
}

enum status membership_greet(struct membership *membership, struct peer *peer,
                             const struct greeting *greeting, char text[MEMBERSHIP_TEXT_LEN])
{
    struct ownership *ownership = &membership->ownership;
    if (greeting->has_cluster &&
        membership_check_cluster(membership, greeting->cluster, text) != STATUS_OK) {
        ownership->has_stranger = !membership->bootstrap_peer;
        return STATUS_WRONG_CLUSTER;
    }
    if (is_stranger(membership, greeting)) {
        /* It sees by the answer that this is another cluster's server. */
        ownership->has_stranger = !membership->bootstrap_peer;
        return STATUS_OK;
    }
    enum status status = deny(membership, peer, greeting, text);
    if (status != STATUS_OK) {
        return status;
    }
    if (greeting->revision < ownership_epoch(ownership)) {
        logline(LOGLINE_WARNING, "bootstrapd at %s has revision %llu, below epoch %llu taken here",
                peer_remote(peer), (unsigned long long)greeting->revision,
                (unsigned long long)ownership_epoch(ownership));
    }
    take_greeting(ownership, greeting);
    take_bootstrapd(membership, peer, &greeting->from);
    return STATUS_OK;
}

static bool is_bootstrapd(const struct membership *membership, const struct peer *peer)
{
    return session_greeted(peer) == membership->bootstrap_number;
}

void membership_heard(struct membership *membership, struct peer *peer)
{
    if (is_bootstrapd(membership, peer)) {
        membership->bootstrap_peer = peer;
        membership->bootstrap_heard_ms = clock_mono_ms();
    }
}

void membership_left(struct membership *membership, const struct peer *peer)
{
    if (peer == membership->bootstrap_peer) {
        membership->bootstrap_peer = NULL;
    }
}

/* --- maps that are pushed --- */

/* To watchers: the entries that were taken. */
static void tell_watchers(struct membership *membership, const struct map *before,
                          const struct map *after)
{
    struct buffer entries = {0};
    struct buffer frame = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < after->entry_count; i++) {
        const struct map_entry *entry = &after->entries[i];
        const struct map_entry *old = map_find(before, point_of_bound(entry->start));
        if (!old || old->epoch < entry->epoch) {
            map_pack_entry(entry, &entries);
            count++;
        }
    }
    rpc_notification(&frame, "map.changed");
    pack_array(&frame, 2);
    pack_uint(&frame, after->revision);
    pack_array(&frame, count);
    buffer_append_bytes(&frame, buffer_bytes(&entries));
    memory_must(!frame.failed && !entries.failed);
    if (count > 0) {
        sessions_notify(membership->sessions, buffer_bytes(&frame));
    }
    buffer_fini(&entries);
    buffer_fini(&frame);
}

/* To the operator: what was owned here is not any more. */
static void tell_closed(const struct ownership *ownership, const struct map_entry *entry)
{
    unsigned long long epoch = entry->epoch;
    if (ownership_has_handed_over(ownership, entry)) {
        char address[ADDRESS_TEXT_LEN];
        address_print(&entry->address, address);
        logline(LOGLINE_INFO,
                "shard %s: handed over to %s at epoch %llu, its copy goes when it is open there",
                entry->name, address, epoch);
    } else {
        logline(LOGLINE_WARNING, "shard %s: closed at epoch %llu, its data is kept", entry->name,
                epoch);
    }
}

/* Likewise. */
static void tell_operator(const struct ownership *before, const struct ownership *after)
{
    for (uint32_t i = 0; i < after->map.entry_count; i++) {
        const struct map_entry *entry = &after->map.entries[i];
        const struct map_entry *taken;
        uint64_t point = point_of_bound(entry->start);
        bool was_owned = ownership_find(before, point) != NULL;
        enum status status = ownership_judge(after, point, &taken);
        if (status == STATUS_OK && !was_owned) {
            logline(LOGLINE_INFO, "shard %s: opened, epoch %llu", entry->name,
                    (unsigned long long)entry->epoch);
        } else if (status != STATUS_OK && was_owned) {
            tell_closed(after, entry);
        } else if (status == STATUS_DATA_MISSING) {
            logline(LOGLINE_WARNING,
                    "shard %s: the map expects its data here, epoch %llu, and it is not here",
                    entry->name, (unsigned long long)entry->epoch);
        }
    }
}

static void start_next(struct membership *membership);

/* What is saved holds from now on. */
static void adopt(struct membership *membership)
{
    struct ownership before = membership->ownership;
    membership->ownership = membership->next;
    /* What bootstrapds said meanwhile. */
    memcpy(membership->ownership.expected, before.expected, ID_LEN);
    membership->ownership.has_stranger = before.has_stranger;
    membership->ownership.is_restored = before.is_restored;
    store_set_origin(membership->store, membership->ownership.map.origin_ms);
    tell_operator(&before, &membership->ownership);
    tell_watchers(membership, &before.map, &membership->ownership.map);
    ownership_fini(&before);
}

static void end_saving(struct membership *membership, bool is_saved)
{
    struct push *push = membership->saving;
    struct change *change = membership->changing;
    membership->saving = NULL;
    membership->changing = NULL;
    if (push) {
        answer_push(push, is_saved ? STATUS_OK : STATUS_TRY_LATER,
                    is_saved ? "" : "the map cannot be stored: the disk is full");
    }
    if (change) {
        change->on_stepped(change->context, is_saved);
        free(change);
    }
}

static void on_saved(void *context, bool is_saved)
{
    struct membership *membership = context;
    if (is_saved) {
        adopt(membership);
    } else {
        ownership_fini(&membership->next);
    }
    membership->next = (struct ownership){0};
    if (is_saved && membership->on_changed) {
        membership->on_changed(membership->on_changed_context);
    }
    end_saving(membership, is_saved);
    start_next(membership);
}

static void save(struct membership *membership)
{
    struct buffer control = {0};
    const struct ownership *next = &membership->next;
    uint32_t held_count;
    struct range *held = ownership_held(next, &held_count);
    control_encode(next, &control);
    const struct store_state state = {buffer_bytes(&control), held, held_count};
    store_save(membership->store, &state, on_saved, membership);
    free(held);
    buffer_fini(&control);
}

static bool is_counted(void *context, const struct interval *part)
{
    return store_has_counted(context, part);
}

/* What of it is held back is counted from now on, and the map asked for again. */
static enum ownership_took take(struct membership *membership, struct push *push)
{
    struct division division = {.is_counted = is_counted, .context = membership->store};
    enum ownership_took took = division_take(&membership->ownership, &push->map, &push->from,
                                             &division, &membership->next);
    store_count(membership->store, division.parts, division.count);
    return took;
}

/* False: it was answered. */
static bool take_push(struct membership *membership, struct push *push)
{
    char text[MEMBERSHIP_TEXT_LEN];
    enum status status = membership_check_cluster(membership, push->map.cluster, text);
    if (status != STATUS_OK) {
        answer_push(push, status, text);
        return false;
    }
    switch (take(membership, push)) {
    case OWNERSHIP_CHANGED:
        return true;
    case OWNERSHIP_SAME:
        answer_push(push, STATUS_OK, "");
        break;
    case OWNERSHIP_CONFLICT:
        answer_push(push, STATUS_CONFLICT, "the map contradicts a newer one that is held here");
        break;
    }
    return false;
}

/* The next step of a move, or push, that changes something. */
static void start_next(struct membership *membership)
{
    while (!membership->saving && !membership->changing) {
        if (membership->first_change) {
            struct change *change = pop_change(membership);
            if (change->step(change->context, &membership->ownership, &membership->next)) {
                membership->changing = change;
                save(membership);
            } else {
                change->on_stepped(change->context, false);
                free(change);
            }
            continue;
        }
        struct push *push = pop_push(membership);
        if (!push) {
            return;
        }
        if (take_push(membership, push)) {
            membership->saving = push;
            save(membership);
        }
    }
}

static void add_push(struct membership *membership, const struct push *push)
{
    struct push *added = memory_get(1, sizeof(*added));
    *added = *push;
    if (membership->first) {
        membership->last->next = added;
    } else {
        membership->first = added;
    }
    membership->last = added;
    membership->push_count++;
    start_next(membership);
}

void membership_push(struct membership *membership, struct peer *peer, uint32_t msgid,
                     struct map *map, membership_pushed *on_pushed, void *context)
{
    enum status status = STATUS_OK;
    const char *text = NULL;
    if (!is_bootstrapd(membership, peer)) {
        status = STATUS_DENIED;
        text = "only a bootstrapd that has said hello may push a map";
    } else if (membership->push_count == PUSHES_MAX) {
        status = STATUS_TRY_LATER;
        text = "too many pushes wait";
    }
    if (status != STATUS_OK) {
        map_fini(map);
        on_pushed(context, peer, msgid, status, text);
        return;
    }
    peer_hold(peer);
    struct push push = {
        .map = *map,
        .from = membership->bootstrap,
        .peer = peer,
        .msgid = msgid,
        .on_pushed = on_pushed,
        .context = context,
    };
    *map = (struct map){0};
    add_push(membership, &push);
}

/* --- steps of moves --- */

void membership_change(struct membership *membership, membership_step *step,
                       membership_stepped *on_stepped, void *context)
{
    struct change *change = memory_get(1, sizeof(*change));
    *change = (struct change){NULL, step, on_stepped, context};
    *membership->changes_end = change;
    membership->changes_end = &change->next;
    start_next(membership);
}

void membership_on_changed(struct membership *membership, void (*on_changed)(void *context),
                           void *context)
{
    membership->on_changed = on_changed;
    membership->on_changed_context = context;
}

/* --- maps that are asked for --- */

static void on_fetched(void *context, const struct rpc_message *message)
{
    struct fetch *fetch = context;
    struct membership *membership = fetch->membership;
    uint64_t epoch = fetch->epoch;
    free(fetch);
    if (!membership) {
        return;
    }
    membership->fetch = NULL;
    if (!message || message->code != STATUS_OK || membership->push_count == PUSHES_MAX) {
        return;
    }
    struct map_error error;
    struct push push = {.from = membership->bootstrap};
    struct unpack in = unpack_of(message->result);
    if (map_unpack(&in, &push.map, &error)) {
        membership->fetched_epoch = epoch;
        add_push(membership, &push);
    } else {
        logline(LOGLINE_WARNING, "the map that bootstrapd gave is wrong: %s", error.text);
    }
}

static void ask(struct membership *membership, uint64_t epoch)
{
    static const uint8_t no_params[] = {0x90};
    if (!membership->fetch) {
        membership->fetch = memory_get(1, sizeof(*membership->fetch));
        membership->fetch->membership = membership;
        membership->fetch->epoch = epoch;
        peer_call(membership->bootstrap_peer, "map.get", bytes_of(no_params, sizeof(no_params)),
                  FETCH_TIMEOUT_MS, on_fetched, membership->fetch);
    }
}

/* The entries that were held back can be taken (RULES V8). A bootstrapd that is not here pushes when it is back. */
static void on_counted(void *context)
{
    struct membership *membership = context;
    if (is_bootstrap_alive(membership)) {
        ask(membership, membership->fetched_epoch);
    }
}

bool membership_fetch(struct membership *membership, uint64_t epoch)
{
    bool is_known = epoch <= membership->fetched_epoch;
    if (!is_bootstrap_alive(membership) || (is_known && membership_is_idle(membership))) {
        return false;
    }
    if (!is_known) {
        ask(membership, epoch);
    }
    return true;
}
