/* SPDX-License-Identifier: MIT */
#include "shardd/mover_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/logline.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"

static const struct ownership *ownership_of(const struct mover *mover)
{
    return membership_ownership(mover->membership);
}

static bool is_self(const struct mover *mover, const uint8_t id[ID_LEN])
{
    return memcmp(id, ownership_of(mover)->server, ID_LEN) == 0;
}

/* --- what goes: one after another --- */

static void on_emptied(void *context)
{
    struct mover *mover = context;
    mover->is_emptied = true;
    store_wake(mover->store);
}

static bool strike(void *context, const struct ownership *present, struct ownership *next)
{
    const struct mover *mover = context;
    return ownership_deleted(present, mover->emptying_id, next);
}

static void on_struck(void *context, bool is_done)
{
    struct mover *mover = context;
    mover->is_striking = false;
    store_wake(mover->store);
    if (is_done) {
        logline(LOGLINE_INFO, "move of revision %llu: all that it left here is gone",
                (unsigned long long)mover->emptying_id);
        mover->emptying_id = 0;
        mover->is_emptied = false;
        mover->is_due = true;
        mover_note(mover);
    }
}

static void begin_emptying(struct mover *mover, const struct moving *moving)
{
    if (store_empty(mover->store, moving->start, moving->end, moving->sum.records, on_emptied,
                    mover)) {
        mover->emptying_id = moving->id;
        mover->is_emptied = false;
    }
}

static void empty(struct mover *mover)
{
    const struct movings *movings = &ownership_of(mover)->movings;
    for (uint32_t i = 0; i < movings->count && mover->emptying_id == 0; i++) {
        if (movings->items[i].state == MOVING_DELETING) {
            begin_emptying(mover, &movings->items[i]);
        }
    }
    if (mover->is_emptied && !mover->is_striking) {
        mover->is_striking = true;
        membership_change(mover->membership, strike, on_struck, mover);
    }
}

/* --- a copy, before it goes (RULES V6) --- */

static void drop_items(void *context, struct buffer *items, uint64_t need)
{
    (void)context, (void)need;
    buffer_fini(items);
}

static void on_check_fault(void *context, const char *text)
{
    struct mover *mover = context;
    (void)snprintf(mover->checking.text, sizeof(mover->checking.text),
                   "the source's copy is kept: %s", text);
    logline(LOGLINE_WARNING, "move of revision %llu: %s", (unsigned long long)mover->checking.id,
            mover->checking.text);
}

static void keep(struct mover *mover)
{
    struct checking *checking = &mover->checking;
    mover->kept = memory_resize(mover->kept, mover->kept_count + 1, sizeof(*mover->kept));
    struct kept *kept = &mover->kept[mover->kept_count++];
    kept->id = checking->id;
    memcpy(kept->text, checking->text, sizeof(kept->text));
    mover_note(mover);
}

/* The next copy's turn. */
static void let_check_go(struct mover *mover)
{
    mover->checking.id = 0;
    mover->checking.text[0] = '\0';
    mover->is_due = true;
    store_wake(mover->store);
}

static bool delete_copy(void *context, const struct ownership *present, struct ownership *next)
{
    const struct mover *mover = context;
    return ownership_delete(present, mover->checking.id, next);
}

static void on_deleting(void *context, bool is_done)
{
    struct mover *mover = context;
    (void)is_done;
    let_check_go(mover);
    mover_note(mover);
}

static const struct kept *find_kept(const struct mover *mover, uint64_t id)
{
    for (uint32_t i = 0; i < mover->kept_count; i++) {
        if (mover->kept[i].id == id) {
            return &mover->kept[i];
        }
    }
    return NULL;
}

static void begin_check(struct mover *mover, const struct moving *moving)
{
    mover->checking.id = moving->id;
    mover->checking.hand =
        store_hand_new(mover->store, moving->start, moving->end, drop_items, on_check_fault, mover);
}

static void check_copies(struct mover *mover)
{
    const struct ownership *ownership = ownership_of(mover);
    for (uint32_t i = 0; i < ownership->movings.count && mover->checking.id == 0; i++) {
        const struct moving *moving = &ownership->movings.items[i];
        const struct map_entry *entry = ownership_find_move(ownership, moving->id);
        if (moving->state == MOVING_CLOSED && entry && entry->move.phase == MOVE_OPENED &&
            !find_kept(mover, moving->id)) {
            begin_check(mover, moving);
        }
    }
}

static void end_check(struct mover *mover)
{
    struct checking *checking = &mover->checking;
    const struct moving *moving =
        movings_find(&ownership_of(mover)->movings, checking->id, MOVING_CLOSED);
    bool is_read = !checking->text[0];
    bool is_equal = is_read && moving && range_sum_equal(hand_sum(checking->hand), &moving->sum);
    hand_free(checking->hand);
    checking->hand = NULL;
    if (is_equal) {
        membership_change(mover->membership, delete_copy, on_deleting, mover);
        return;
    }
    if (is_read && moving) {
        on_check_fault(mover, "it is not what was handed over");
    }
    if (moving) { /* else it is owned again */
        keep(mover);
    }
    let_check_go(mover);
}

static void turn_check(struct mover *mover)
{
    struct checking *checking = &mover->checking;
    if (checking->hand) {
        store_hand_turn(mover->store, checking->hand, true);
        if (checking->text[0] || hand_is_at_end(checking->hand)) {
            end_check(mover);
        }
    }
}

/* --- bootstrapd hears of it --- */

void mover_note(struct mover *mover)
{
    mover->has_news = true;
}

static void report_source(const struct mover *mover, const struct map_entry *entry,
                          struct move_report *report)
{
    const struct movings *movings = &ownership_of(mover)->movings;
    const struct outgoing *outgoing = mover_find_outgoing(mover, report->id);
    if (outgoing) {
        mover_report_outgoing(outgoing, report);
    }
    if (movings_find(movings, report->id, MOVING_FROZEN)) {
        report->state = outgoing && outgoing->stream ? MOVE_SOURCE_FROZEN : MOVE_SOURCE_LOST;
    } else if (movings_find(movings, report->id, MOVING_CLOSED)) {
        const struct kept *kept = find_kept(mover, report->id);
        report->state = MOVE_SOURCE_CLOSED;
        (void)snprintf(report->text, sizeof(report->text), "%s", kept ? kept->text : "");
    } else if (movings_find(movings, report->id, MOVING_DELETING)) {
        report->state = MOVE_SOURCE_DELETING;
    } else if (entry->move.phase == MOVE_COPY) {
        report->state = outgoing && outgoing->hand ? MOVE_SOURCE_COPYING : MOVE_SOURCE_LOST;
    }
}

static void report_target(const struct mover *mover, const struct map_entry *entry,
                          struct move_report *report)
{
    const struct ownership *ownership = ownership_of(mover);
    const struct movings *movings = &ownership->movings;
    const struct incoming *incoming = mover_find_incoming(mover, report->id);
    if (incoming) {
        mover_report_incoming(incoming, report);
    }
    if (movings_find(movings, report->id, MOVING_IMPORT)) {
        report->state =
            incoming && mover_is_importing(incoming) ? MOVE_TARGET_IMPORTING : MOVE_TARGET_LOST;
    } else if (movings_find(movings, report->id, MOVING_READY)) {
        report->state = MOVE_TARGET_READY;
    } else if (is_self(mover, entry->server) && ownership_holds(ownership, entry)) {
        report->state = MOVE_TARGET_OPEN;
    }
}

static void add_report(struct move_reports *reports, const struct move_report *report)
{
    if (report->state != 0 && reports->count < MOVE_REPORTS_MAX) {
        reports->items = memory_resize(reports->items, reports->count + 1, sizeof(*reports->items));
        reports->items[reports->count++] = *report;
    }
}

/* What only goes, of a move that the map does not know any more. */
static void report_going(const struct mover *mover, struct move_reports *reports)
{
    const struct ownership *ownership = ownership_of(mover);
    for (uint32_t i = 0; i < ownership->movings.count; i++) {
        const struct moving *moving = &ownership->movings.items[i];
        const struct map_entry *entry = ownership_find_move(ownership, moving->id);
        bool is_told = entry && is_self(mover, entry->move.source);
        if (moving->state == MOVING_DELETING && !is_told) {
            const struct move_report report = {.id = moving->id, .state = MOVE_TARGET_DELETING};
            add_report(reports, &report);
        }
    }
}

void mover_report(const struct mover *mover, struct move_reports *reports)
{
    const struct ownership *ownership = ownership_of(mover);
    *reports = (struct move_reports){.revision = ownership->map.revision};
    for (uint32_t i = 0; i < ownership->map.entry_count; i++) {
        const struct map_entry *entry = &ownership->map.entries[i];
        if (entry->move.phase == MOVE_NONE) {
            continue;
        }
        struct move_report report = {.id = entry->move.id};
        if (is_self(mover, entry->move.source)) {
            report_source(mover, entry, &report);
        } else if (is_self(mover, entry->move.target)) {
            report_target(mover, entry, &report);
        }
        add_report(reports, &report);
    }
    report_going(mover, reports);
}

void mover_tell(struct mover *mover)
{
    struct peer *peer = membership_bootstrapd(mover->membership);
    mover->has_news = false;
    if (!peer) {
        return; /* it asks when it is back */
    }
    struct move_reports reports;
    mover_report(mover, &reports);
    struct buffer *out = peer_output(peer);
    rpc_notification(out, "move.changed");
    move_reports_pack(&reports, out);
    move_reports_fini(&reports);
}

/* --- a turn --- */

/* What the map asks for is begun before bootstrapd hears that it was taken: it would look lost. */
static void follow(struct mover *mover)
{
    mover->is_due = false;
    mover_follow_sources(mover);
    mover_follow_targets(mover);
    check_copies(mover);
}

static void on_changed(void *context)
{
    struct mover *mover = context;
    follow(mover);
    mover_note(mover);
    store_wake(mover->store);
}

struct mover *mover_new(struct loop *loop, struct store *store, struct membership *membership)
{
    struct mover *mover = memory_get(1, sizeof(*mover));
    mover->loop = loop;
    mover->store = store;
    mover->membership = membership;
    mover_find_lost(mover);
    membership_on_changed(membership, on_changed, mover);
    mover->is_due = true;
    return mover;
}

void mover_stop(struct mover *mover)
{
    mover_stop_sources(mover);
}

void mover_free(struct mover *mover)
{
    if (!mover) {
        return;
    }
    membership_on_changed(mover->membership, NULL, NULL);
    mover_free_sources(mover);
    mover_free_targets(mover);
    hand_free(mover->checking.hand);
    free(mover->kept);
    free(mover);
}

void mover_turn(struct mover *mover)
{
    if (mover->is_due) {
        follow(mover);
    }
    mover_turn_sources(mover);
    mover_turn_targets(mover);
    store_set_moving_len(mover->store, mover_sources_len(mover) + mover_targets_len(mover));
    turn_check(mover);
    empty(mover);
    if (mover->has_news) {
        mover_tell(mover);
    }
}

bool mover_pace(struct mover *mover, const struct move_pace *pace)
{
    struct outgoing *outgoing = mover_find_outgoing(mover, pace->id);
    if (!outgoing || !outgoing->stream) {
        return false;
    }
    outgoing->is_paced = true;
    outgoing->pace = *pace;
    stream_pace(outgoing->stream, pace->bytes_per_s, pace->is_paused);
    return true;
}
