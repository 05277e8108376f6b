/* SPDX-License-Identifier: MIT */
#include "shardd/minter.h"
#include "shardd/mover_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "proto/stamp.h"
#include "proto/pack.h"
#include "proto/point.h"

/* --- the list --- */

struct incoming *mover_find_incoming(const struct mover *mover, uint64_t id)
{
    struct incoming *incoming = mover->incoming;
    while (incoming && (incoming->id != id || incoming->is_over)) {
        incoming = incoming->next;
    }
    return incoming;
}

/* What is broken is freed in the next turn only, and bootstrapd hears of it in this one. */
bool mover_is_importing(const struct incoming *incoming)
{
    return incoming->import && !incoming->is_broken;
}

static void unlink_from(struct incoming *incoming)
{
    if (incoming->link) {
        peer_release(incoming->link);
        incoming->link = NULL;
    }
}

static void link_to(struct incoming *incoming, struct peer *peer)
{
    peer_hold(peer);
    unlink_from(incoming);
    incoming->link = peer;
}

/* The one who waits for an answer gets it. */
static struct peer *take_asker(struct incoming *incoming)
{
    struct peer *asker = incoming->asker;
    incoming->asker = NULL;
    return asker;
}

static void await(struct incoming *incoming, struct peer *peer, uint32_t msgid)
{
    struct peer *before = take_asker(incoming);
    if (before) {
        peer_refuse(before, incoming->msgid, STATUS_CONFLICT, "the source has asked again");
        peer_release(before);
    }
    peer_hold(peer);
    incoming->asker = peer;
    incoming->msgid = msgid;
}

static void refuse_asker(struct incoming *incoming, enum status status, const char *text)
{
    struct peer *asker = take_asker(incoming);
    if (asker) {
        peer_refuse(asker, incoming->msgid, status, text);
        peer_release(asker);
    }
}

static void stop(struct incoming *incoming)
{
    import_free(incoming->import);
    incoming->import = NULL;
    refuse_asker(incoming, STATUS_CONFLICT, "the move has ended");
    unlink_from(incoming);
}

static struct incoming *add(struct mover *mover, const struct import_greeting *greeting)
{
    struct incoming *incoming = memory_get(1, sizeof(*incoming));
    incoming->mover = mover;
    incoming->id = greeting->id;
    incoming->start = greeting->start;
    incoming->end = greeting->end;
    incoming->stamp = greeting->stamp;
    incoming->next = mover->incoming;
    mover->incoming = incoming;
    return incoming;
}

/* --- all has come --- */

static void reply_whole(struct peer *peer, uint32_t msgid)
{
    struct buffer *out = peer_output(peer);
    rpc_response(out, msgid);
    pack_array(out, 0);
}

static bool ready_step(void *context, const struct ownership *present, struct ownership *next)
{
    const struct incoming *incoming = context;
    return incoming->import && ownership_ready(present, incoming->id, &incoming->sum, next);
}

static void on_ready(void *context, bool is_done)
{
    struct incoming *incoming = context;
    incoming->is_stepping = false;
    if (!is_done) {
        refuse_asker(incoming, STATUS_TRY_LATER, "READY cannot be stored");
        return;
    }
    incoming->is_ready = true;
    incoming->hold_us[MOVE_HOLD_SYNC] = clock_mono_us() - incoming->whole_us;
    incoming->ready_us = clock_mono_us();
    struct peer *asker = take_asker(incoming);
    if (asker) {
        reply_whole(asker, incoming->msgid);
        peer_release(asker);
    }
    mover_tell(incoming->mover); /* at once: operations wait */
}

static void on_whole(void *context, const struct range_sum *sum)
{
    struct incoming *incoming = context;
    incoming->sum = *sum;
    incoming->whole_us = clock_mono_us();
    if (!incoming->is_stepping) {
        incoming->is_stepping = true;
        membership_change(incoming->mover->membership, ready_step, on_ready, incoming);
    }
}

/* Of one message. */
static void on_answer(void *context, const struct import_reply *reply, uint64_t seq,
                      enum status status, const char *text)
{
    (void)context;
    if (status == STATUS_OK) {
        struct buffer *out = peer_output(reply->peer);
        rpc_response(out, reply->msgid);
        pack_array(out, 1);
        pack_uint(out, seq);
    } else {
        peer_refuse(reply->peer, reply->msgid, status, text);
    }
    peer_release(reply->peer);
}

static void on_broken(void *context, enum status status, const char *text)
{
    struct incoming *incoming = context;
    (void)snprintf(incoming->text, sizeof(incoming->text), "%s", text);
    logline(LOGLINE_WARNING, "move of revision %llu: %s", (unsigned long long)incoming->id, text);
    refuse_asker(incoming, status, text);
    incoming->is_broken = true;
    mover_note(incoming->mover);
}

/* --- import.begin --- */

/* The last message of its stream that was processed; or that all has come. */
static void reply_begun(struct incoming *incoming, struct peer *peer, uint32_t msgid)
{
    struct buffer *out = peer_output(peer);
    rpc_response(out, msgid);
    pack_array(out, 2);
    pack_uint(out, incoming->import ? import_link(incoming->import) : 0);
    pack_bool(out, incoming->is_ready);
}

static bool import_step(void *context, const struct ownership *present, struct ownership *next)
{
    const struct incoming *incoming = context;
    return ownership_import(present, incoming->id, next);
}

static void on_imported(void *context, bool is_done)
{
    struct incoming *incoming = context;
    incoming->is_stepping = false;
    if (!is_done) {
        refuse_asker(incoming, STATUS_TRY_LATER, "this server cannot take the range yet");
        incoming->is_over = true;
        return;
    }
    const struct store_import config = {
        .start = incoming->start,
        .end = incoming->end,
        .stamp = incoming->stamp,
        .on_answer = on_answer,
        .on_whole = on_whole,
        .on_broken = on_broken,
        .context = incoming,
    };
    incoming->import = store_import_new(incoming->mover->store, &config);
    mover_note(incoming->mover);
    struct peer *asker = take_asker(incoming);
    if (asker) {
        reply_begun(incoming, asker, incoming->msgid);
        peer_release(asker);
    }
}

static void begin(struct mover *mover, struct peer *peer, uint32_t msgid,
                  const struct import_greeting *greeting)
{
    struct incoming *incoming = add(mover, greeting);
    link_to(incoming, peer);
    await(incoming, peer, msgid);
    incoming->is_stepping = true;
    membership_change(mover->membership, import_step, on_imported, incoming);
}

/* NULL, or why the move that is greeted for cannot be begun here; *status: what to answer. */
static const char *misfit(const struct mover *mover, const struct import_greeting *greeting,
                          enum status *status)
{
    const struct ownership *ownership = membership_ownership(mover->membership);
    const struct map_entry *entry = ownership_find_move(ownership, greeting->id);
    *status = STATUS_TRY_LATER; /* the map may be on its way */
    if (!entry || entry->move.phase != MOVE_COPY) {
        return "the map does not tell of such a move here";
    }
    *status = STATUS_CONFLICT;
    if (memcmp(entry->move.target, ownership->server, ID_LEN) != 0 ||
        memcmp(entry->move.source, greeting->source, ID_LEN) != 0 ||
        entry->start != greeting->start || entry->end != greeting->end) {
        return "the map tells otherwise of this move";
    }
    if (movings_find(&ownership->movings, greeting->id, MOVING_IMPORT) &&
        !mover_find_incoming(mover, greeting->id)) {
        return "this server was started again"; /* RULES V3 */
    }
    return NULL;
}

static bool is_ready(const struct mover *mover, uint64_t id)
{
    return movings_find(&membership_ownership(mover->membership)->movings, id, MOVING_READY);
}

/* Its move is over, or these points could have no other: nobody asks for it any more, and only people may delete it. */
static void refuse_for_copy(struct peer *peer, uint32_t msgid, const struct moving *kept)
{
    char start[BOUND_TEXT_LEN];
    char end[BOUND_TEXT_LEN];
    char text[MOVE_TEXT_LEN];
    bound_print(kept->start, start);
    bound_print(kept->end, end);
    (void)snprintf(text, sizeof(text),
                   "it keeps its copy of %s to %s from the move of revision %llu: drain and remove "
                   "it, and start it with an empty data directory",
                   start, end, (unsigned long long)kept->id);
    peer_refuse(peer, msgid, STATUS_CONFLICT, text);
}

/* The clock alone counts, or each greeting could lift this server's stamps further. */
static bool is_from_far_ahead(const struct mover *mover, uint64_t stamp)
{
    return stamp > store_last_stamp(mover->store) &&
           import_is_too_far_ahead(stamp, 0, IMPORT_SOURCE_AHEAD_MS);
}

static void begin_first(struct mover *mover, struct peer *peer, uint32_t msgid,
                        const struct import_greeting *greeting)
{
    const struct movings *movings = &membership_ownership(mover->membership)->movings;
    const struct moving *kept = movings_find_closed(movings, greeting->start, greeting->end);
    if (kept) {
        refuse_for_copy(peer, msgid, kept);
    } else if (is_from_far_ahead(mover, greeting->stamp)) {
        peer_refuse(peer, msgid, STATUS_INVALID,
                    "the source's last stamp is more than a year ahead of this server's clock");
    } else {
        store_raise_stamp(mover->store, greeting->stamp); /* RULES N2 */
        begin(mover, peer, msgid, greeting);
    }
}

void mover_import_begin(struct mover *mover, struct peer *peer, uint32_t msgid,
                        const struct import_greeting *greeting)
{
    enum status status;
    const char *why = misfit(mover, greeting, &status);
    struct incoming *incoming = mover_find_incoming(mover, greeting->id);
    if (why) {
        peer_refuse(peer, msgid, status, why);
    } else if (is_ready(mover, greeting->id)) {
        struct incoming ready = {.is_ready = true};
        reply_begun(&ready, peer, msgid);
    } else if (!incoming) {
        begin_first(mover, peer, msgid, greeting);
    } else if (incoming->is_broken) {
        peer_refuse(peer, msgid, STATUS_CONFLICT, incoming->text);
    } else if (incoming->import) {
        link_to(incoming, peer);
        reply_begun(incoming, peer, msgid);
    } else {
        link_to(incoming, peer);
        await(incoming, peer, msgid);
    }
}

/* --- import.data, import.end --- */

/* Of the last link that greeted (RULES V3). */
static struct incoming *find_linked(const struct mover *mover, const struct peer *peer, uint64_t id)
{
    struct incoming *incoming = mover_find_incoming(mover, id);
    bool is_heard = incoming && mover_is_importing(incoming) && incoming->link == peer;
    return is_heard ? incoming : NULL;
}

void mover_import_data(struct mover *mover, struct peer *peer, uint32_t msgid, uint64_t id,
                       uint64_t seq, struct bytes items)
{
    struct incoming *incoming = find_linked(mover, peer, id);
    if (!incoming) {
        peer_refuse(peer, msgid, STATUS_CONFLICT, "no such import is under way on this connection");
        return;
    }
    const struct import_reply reply = {peer, msgid};
    peer_hold(peer);
    import_take(incoming->import, seq, items, &reply);
}

/* RULES I3: with a clock that far behind none are given, nor is more reserved. */
#define IDS_AHEAD_MS (MINTER_BEHIND_MS + MINTER_AHEAD_MS + MINTER_RESERVE_MS)

static bool may_take_ids(const struct mover *mover, const struct import_ending *ending)
{
    uint64_t origin_ms = membership_ownership(mover->membership)->map.origin_ms;
    return ending->ids_ms <= ID_TIME_MAX &&
           origin_ms + ending->ids_ms <= stamp_ms(ending->stamp) + IDS_AHEAD_MS;
}

void mover_import_end(struct mover *mover, struct peer *peer, uint32_t msgid,
                      const struct import_ending *ending)
{
    if (is_ready(mover, ending->id)) {
        reply_whole(peer, msgid); /* it was not when the source greeted over this link (RULES V3) */
        return;
    }
    struct incoming *incoming = find_linked(mover, peer, ending->id);
    if (!incoming) {
        peer_refuse(peer, msgid, STATUS_CONFLICT, "no such import is under way on this connection");
        return;
    }
    if (!may_take_ids(mover, ending)) {
        peer_refuse(peer, msgid, STATUS_CONFLICT, "its last id is too far ahead of its last stamp");
        return;
    }
    await(incoming, peer, msgid);
    store_take_over_ids(mover->store, incoming->start, incoming->end, ending->ids_ms);
    if (!import_end(incoming->import, ending->seq, &ending->sum, ending->stamp)) {
        refuse_asker(incoming, STATUS_CONFLICT,
                     "the end is out of sequence, or its stamp too far ahead");
    }
}

void mover_left(struct mover *mover, const struct peer *peer)
{
    for (struct incoming *incoming = mover->incoming; incoming; incoming = incoming->next) {
        if (incoming->link == peer) {
            unlink_from(incoming);
        }
    }
}

/* --- what the map asks for --- */

static bool goes_on(const struct mover *mover, const struct incoming *incoming)
{
    const struct ownership *ownership = membership_ownership(mover->membership);
    const struct map_entry *entry = ownership_find_move(ownership, incoming->id);
    return incoming->is_stepping || (entry && entry->move.phase != MOVE_ABORTED);
}

static void note_open(const struct mover *mover, struct incoming *incoming)
{
    const struct ownership *ownership = membership_ownership(mover->membership);
    const struct map_entry *entry = ownership_find_move(ownership, incoming->id);
    if (incoming->is_ready && incoming->hold_us[MOVE_HOLD_OPEN] == 0 && entry &&
        memcmp(entry->server, ownership->server, ID_LEN) == 0 &&
        ownership_holds(ownership, entry)) {
        incoming->hold_us[MOVE_HOLD_OPEN] = clock_mono_us() - incoming->ready_us;
    }
}

void mover_follow_targets(struct mover *mover)
{
    struct incoming **place = &mover->incoming;
    while (*place) {
        struct incoming *incoming = *place;
        note_open(mover, incoming);
        if (!goes_on(mover, incoming)) {
            incoming->is_over = true;
        }
        if (incoming->is_over && !incoming->is_stepping) {
            *place = incoming->next;
            stop(incoming);
            free(incoming);
        } else {
            place = &incoming->next;
        }
    }
}

void mover_turn_targets(struct mover *mover)
{
    for (struct incoming *incoming = mover->incoming; incoming; incoming = incoming->next) {
        bool is_done = incoming->is_broken || incoming->is_ready;
        if (incoming->import && is_done && !incoming->is_stepping) {
            import_free(incoming->import);
            incoming->import = NULL;
        }
        if (incoming->import) {
            store_import_turn(mover->store, incoming->import);
        }
        mover->is_due |= incoming->is_over && !incoming->is_stepping;
    }
}

uint64_t mover_targets_len(const struct mover *mover)
{
    uint64_t len = 0;
    for (const struct incoming *incoming = mover->incoming; incoming; incoming = incoming->next) {
        len += incoming->import ? import_len(incoming->import) : 0;
    }
    return len;
}

void mover_free_targets(struct mover *mover)
{
    while (mover->incoming) {
        struct incoming *incoming = mover->incoming;
        mover->incoming = incoming->next;
        stop(incoming);
        free(incoming);
    }
}

/* --- reports --- */

void mover_report_incoming(const struct incoming *incoming, struct move_report *report)
{
    if (incoming->import) {
        report->records = import_sum(incoming->import)->records;
        report->bytes = import_sum(incoming->import)->bytes;
    }
    memcpy(report->hold_us, incoming->hold_us, sizeof(report->hold_us));
    memcpy(report->text, incoming->text, sizeof(report->text));
}
