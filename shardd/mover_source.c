/* SPDX-License-Identifier: MIT */
#include "shardd/mover_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "proto/pack.h"

/*
 * Of the stream, when operations begin to wait: as little as there is between writes; where they come so fast that
 * there never is, twice as much after each such time, up to what is on its way in some milliseconds.
 */
#define FREEZE_WAITING_MIN (32u << 10)
#define FREEZE_PATIENCE_MS 100
#define FREEZE_DOUBLED_MAX 7

/* DESIGN §7: bootstrapd and the target must have answered so lately. */
#define FREEZE_HEARD_MS 100

/*
 * DESIGN §6: requests come first. While so many come in a second, the hand rests after a slice for some times as long
 * as that took: the longer the busier the machine is, since its thread is the lowest in priority.
 */
#define REST_OPERATIONS 1000
#define REST_TIMES      3
#define REST_US_MAX     20000

/* Bootstrapd's answer to a ping. */
#define ASK_TIMEOUT_MS 1000

/* RULES V1: from half of the stream's cap on writers are slowed, at the cap by this. */
#define DELAY_MS_MAX 50

static const uint8_t no_params[] = {0x90};

/* A question to bootstrapd, which outlives its move when the answer comes late. */
struct asking {
    struct outgoing *outgoing; /* NULL: it is gone */
};

/* --- the list --- */

struct outgoing *mover_find_outgoing(const struct mover *mover, uint64_t id)
{
    struct outgoing *outgoing = mover->outgoing;
    while (outgoing && (outgoing->id != id || outgoing->is_over)) {
        outgoing = outgoing->next;
    }
    return outgoing;
}

static struct outgoing *add(struct mover *mover, const struct map_entry *entry)
{
    struct outgoing *outgoing = memory_get(1, sizeof(*outgoing));
    outgoing->mover = mover;
    outgoing->id = entry->move.id;
    outgoing->start = entry->start;
    outgoing->end = entry->end;
    outgoing->next = mover->outgoing;
    mover->outgoing = outgoing;
    return outgoing;
}

/* It has nothing more to read or send. Once: then the range may be another's, of the next try. */
static void stop(struct outgoing *outgoing)
{
    if (!outgoing->hand) {
        return;
    }
    outgoing->sum = *hand_sum(outgoing->hand);
    store_remove_hand(outgoing->mover->store, outgoing->hand);
    store_set_delay(outgoing->mover->store, outgoing->start, 0);
    hand_free(outgoing->hand);
    stream_free(outgoing->stream);
    outgoing->hand = NULL;
    outgoing->stream = NULL;
}

/* RULES V3: bootstrapd begins it anew, under a new id. */
static void lose(struct outgoing *outgoing, const char *why)
{
    if (!outgoing->stream) {
        return;
    }
    (void)snprintf(outgoing->text, sizeof(outgoing->text), "%s", why);
    logline(LOGLINE_WARNING, "move of revision %llu: %s", (unsigned long long)outgoing->id, why);
    outgoing->is_losing = true;
    mover_note(outgoing->mover);
}

/* --- copying --- */

static void on_emit(void *context, struct buffer *items, uint64_t need)
{
    struct outgoing *outgoing = context;
    stream_put(outgoing->stream, items, need);
}

static void on_hand_fault(void *context, const char *text)
{
    lose(context, text);
}

static void on_lost(void *context, const char *reason)
{
    lose(context, reason);
}

static void on_begun(void *context)
{
    struct outgoing *outgoing = context;
    outgoing->is_begun = true;
    mover_note(outgoing->mover);
}

static void on_ready(void *context)
{
    struct outgoing *outgoing = context;
    outgoing->is_ended = true;
    outgoing->ready_us = clock_mono_us();
    outgoing->hold_us[MOVE_HOLD_DRAIN] = outgoing->ready_us - outgoing->frozen_us;
}

static void greet(void *context, struct buffer *out)
{
    const struct outgoing *outgoing = context;
    const struct mover *mover = outgoing->mover;
    pack_array(out, 5);
    pack_uint(out, outgoing->id);
    pack_uint(out, outgoing->start);
    pack_uint(out, outgoing->end);
    pack_bin(out, bytes_of(membership_ownership(mover->membership)->server, ID_LEN));
    pack_uint(out, store_last_stamp(mover->store));
}

static void begin(struct mover *mover, const struct map_entry *entry, const struct address *target)
{
    struct outgoing *outgoing = add(mover, entry);
    const struct stream_config config = {
        .loop = mover->loop,
        .target = *target,
        .id = outgoing->id,
        .waiting_len_max = store_stream_len_max(mover->store),
        .greet = greet,
        .on_begun = on_begun,
        .on_ready = on_ready,
        .on_lost = on_lost,
        .context = outgoing,
    };
    outgoing->stream = stream_new(&config);
    outgoing->hand = store_hand_new(mover->store, outgoing->start, outgoing->end, on_emit,
                                    on_hand_fault, outgoing);
    store_add_hand(mover->store, outgoing->hand);
    logline(LOGLINE_INFO, "move of revision %llu: shard %s goes to %s:%u",
            (unsigned long long)outgoing->id, entry->name, target->host, (unsigned)target->port);
    mover_note(mover);
}

/* --- what the map asks for --- */

static bool is_copying(const struct mover *mover, const struct map_entry *entry)
{
    const struct ownership *ownership = membership_ownership(mover->membership);
    return entry->move.phase == MOVE_COPY &&
           memcmp(entry->server, ownership->server, ID_LEN) == 0 &&
           memcmp(entry->move.source, ownership->server, ID_LEN) == 0 &&
           ownership_holds(ownership, entry);
}

void mover_find_lost(struct mover *mover)
{
    const struct map *map = &membership_ownership(mover->membership)->map;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        if (is_copying(mover, &map->entries[i])) {
            struct outgoing *outgoing = add(mover, &map->entries[i]);
            (void)snprintf(outgoing->text, sizeof(outgoing->text), "its source was started again");
        }
    }
}

static void begin_new(struct mover *mover)
{
    const struct map *map = &membership_ownership(mover->membership)->map;
    for (uint32_t i = 0; i < map->entry_count; i++) {
        const struct map_entry *entry = &map->entries[i];
        if (!is_copying(mover, entry) || mover_find_outgoing(mover, entry->move.id)) {
            continue;
        }
        const struct map_server *target = map_find_server(map, entry->move.target);
        if (target) {
            begin(mover, entry, &target->address);
        }
    }
}

/* What the map has decided: it is aborted, or another try, or the range is the target's. */
static void end_old(struct mover *mover)
{
    const struct ownership *ownership = membership_ownership(mover->membership);
    for (struct outgoing *outgoing = mover->outgoing; outgoing; outgoing = outgoing->next) {
        const struct map_entry *entry = ownership_find_move(ownership, outgoing->id);
        bool goes_on = entry && entry->move.phase == MOVE_COPY;
        if (!goes_on && outgoing->is_ended && outgoing->hold_us[MOVE_HOLD_COMMIT] == 0) {
            outgoing->hold_us[MOVE_HOLD_COMMIT] = clock_mono_us() - outgoing->ready_us;
        }
        if (!goes_on) {
            stop(outgoing);
        }
        outgoing->is_over = !entry;
    }
}

static void forget(struct outgoing *outgoing)
{
    if (outgoing->asking) {
        outgoing->asking->outgoing = NULL;
    }
    free(outgoing);
}

static void free_over(struct mover *mover)
{
    struct outgoing **place = &mover->outgoing;
    while (*place) {
        struct outgoing *outgoing = *place;
        if (outgoing->is_over && !outgoing->is_stepping) {
            *place = outgoing->next;
            forget(outgoing);
        } else {
            place = &outgoing->next;
        }
    }
}

void mover_follow_sources(struct mover *mover)
{
    end_old(mover);
    free_over(mover);
    begin_new(mover);
}

/* --- freezing (RULES V4) --- */

/* A map that was taken meanwhile has opened it again: from here on the sum must not change. */
static bool freeze_step(void *context, const struct ownership *present, struct ownership *next)
{
    const struct outgoing *outgoing = context;
    if (!outgoing->stream || outgoing->is_losing) {
        return false;
    }
    store_freeze(outgoing->mover->store, outgoing->start);
    return ownership_freeze(present, outgoing->id, hand_sum(outgoing->hand), next);
}

/* RULES V4: not what a record of the log has frozen. */
static void thaw(const struct outgoing *outgoing)
{
    const struct mover *mover = outgoing->mover;
    if (!movings_at(&membership_ownership(mover->membership)->movings, outgoing->start)) {
        store_thaw(mover->store, outgoing->start);
    }
}

static void on_frozen(void *context, bool is_done)
{
    struct outgoing *outgoing = context;
    outgoing->is_stepping = false;
    outgoing->is_freezing = false;
    if (!is_done) {
        thaw(outgoing);
        return;
    }
    outgoing->frozen_us = clock_mono_us();
    outgoing->hold_us[MOVE_HOLD_FREEZE] = outgoing->frozen_us - outgoing->freeze_us;
    outgoing->is_frozen = true;
    if (outgoing->stream) {
        struct store *store = outgoing->mover->store;
        uint64_t durable = store_durable_stamp(store);
        stream_end(outgoing->stream, hand_sum(outgoing->hand), durable,
                   store_given_ms(store, outgoing->start, outgoing->end));
        /* The turn's own is over, and the next may be long in coming: operations wait. */
        stream_turn(outgoing->stream, durable);
    }
}

/* From here on nothing changes in the range, so its sum is what the hand has. */
static void freeze(struct outgoing *outgoing)
{
    outgoing->freeze_us = clock_mono_us();
    outgoing->is_freezing = true;
    outgoing->is_stepping = true;
    store_freeze(outgoing->mover->store, outgoing->start);
    membership_change(outgoing->mover->membership, freeze_step, on_frozen, outgoing);
}

static void on_answered(void *context, const struct rpc_message *message)
{
    struct asking *asking = context;
    struct outgoing *outgoing = asking->outgoing;
    free(asking);
    if (outgoing) {
        outgoing->asking = NULL;
        outgoing->answered_ms = message ? clock_mono_ms() : outgoing->answered_ms;
    }
}

static void ask_bootstrapd(struct outgoing *outgoing)
{
    struct peer *peer = membership_bootstrapd(outgoing->mover->membership);
    if (peer && !outgoing->asking) {
        outgoing->asking = memory_get(1, sizeof(*outgoing->asking));
        outgoing->asking->outgoing = outgoing;
        peer_call(peer, "ping", bytes_of(no_params, sizeof(no_params)), ASK_TIMEOUT_MS, on_answered,
                  outgoing->asking);
    }
}

static bool is_lately(uint64_t then_ms, uint64_t now_ms)
{
    return then_ms != 0 && now_ms - then_ms <= FREEZE_HEARD_MS;
}

/* Whether little enough is on its way, now that the hand has arrived. */
static bool is_near(struct outgoing *outgoing, uint64_t now_ms)
{
    if (outgoing->arrived_ms == 0) {
        outgoing->arrived_ms = now_ms;
    }
    uint64_t doubled = (now_ms - outgoing->arrived_ms) / FREEZE_PATIENCE_MS;
    doubled = doubled < FREEZE_DOUBLED_MAX ? doubled : FREEZE_DOUBLED_MAX;
    return stream_waiting(outgoing->stream) <= (uint64_t)FREEZE_WAITING_MIN << doubled;
}

static void consider_freezing(struct outgoing *outgoing)
{
    uint64_t now_ms = clock_mono_ms();
    if (!hand_is_at_end(outgoing->hand) || outgoing->pace.is_paused || !is_near(outgoing, now_ms)) {
        return;
    }
    if (is_lately(outgoing->answered_ms, now_ms) &&
        is_lately(stream_heard_ms(outgoing->stream), now_ms)) {
        freeze(outgoing);
    } else {
        ask_bootstrapd(outgoing);
    }
}

/* --- a turn --- */

/* What the hand keeps while a slice is read follows it into the stream at once. */
static uint64_t waiting_len(const struct outgoing *outgoing)
{
    return hand_len(outgoing->hand) + stream_waiting(outgoing->stream);
}

static void slow_writers(struct outgoing *outgoing)
{
    uint64_t half = store_stream_len_max(outgoing->mover->store) / 2;
    uint64_t waiting = waiting_len(outgoing);
    uint64_t over = waiting > half ? waiting - half : 0;
    assert(half > 0);
    over = over < half ? over : half;
    store_set_delay(outgoing->mover->store, outgoing->start,
                    (uint32_t)(DELAY_MS_MAX * over / half));
}

static void rest(struct outgoing *outgoing, uint64_t took_us)
{
    uint64_t before = outgoing->slice_operations;
    uint64_t now = store_operations(outgoing->mover->store);
    uint64_t operations = now > before ? now - before : 0; /* those of a range that left are gone */
    if (operations * 1000000 >= took_us * REST_OPERATIONS) {
        uint64_t rest_us = REST_TIMES * took_us;
        stream_rest(outgoing->stream, rest_us < REST_US_MAX ? rest_us : REST_US_MAX);
    }
}

/* Begins the next slice if it may, and notes when. */
static void go_on(struct outgoing *outgoing)
{
    struct store *store = outgoing->mover->store;
    if (outgoing->slice_us != 0 && !hand_is_reading(outgoing->hand)) {
        rest(outgoing, clock_mono_us() - outgoing->slice_us);
        outgoing->slice_us = 0;
    }
    if (!hand_is_reading(outgoing->hand)) {
        hand_limit_slice(outgoing->hand, stream_slice_len(outgoing->stream));
    }
    bool may_go_on = outgoing->is_begun && outgoing->is_paced && stream_has_room(outgoing->stream);
    store_hand_turn(store, outgoing->hand, may_go_on);
    if (outgoing->slice_us == 0 && hand_is_reading(outgoing->hand)) {
        outgoing->slice_us = clock_mono_us();
        outgoing->slice_operations = store_operations(store);
    }
}

static void turn(struct outgoing *outgoing)
{
    struct store *store = outgoing->mover->store;
    go_on(outgoing);
    stream_turn(outgoing->stream, store_durable_stamp(store));
    slow_writers(outgoing);
    if (!outgoing->is_freezing && !outgoing->is_frozen) {
        consider_freezing(outgoing);
    }
}

void mover_turn_sources(struct mover *mover)
{
    for (struct outgoing *outgoing = mover->outgoing; outgoing; outgoing = outgoing->next) {
        if (outgoing->is_losing && outgoing->stream && !outgoing->is_stepping) {
            stop(outgoing);
        }
        if (outgoing->stream && !outgoing->is_losing) {
            turn(outgoing);
        }
    }
}

uint64_t mover_sources_len(const struct mover *mover)
{
    uint64_t len = 0;
    for (const struct outgoing *outgoing = mover->outgoing; outgoing; outgoing = outgoing->next) {
        if (outgoing->stream) {
            len += waiting_len(outgoing);
        }
    }
    return len;
}

void mover_stop_sources(struct mover *mover)
{
    for (struct outgoing *outgoing = mover->outgoing; outgoing; outgoing = outgoing->next) {
        stop(outgoing);
    }
}

void mover_free_sources(struct mover *mover)
{
    while (mover->outgoing) {
        struct outgoing *outgoing = mover->outgoing;
        mover->outgoing = outgoing->next;
        stop(outgoing);
        forget(outgoing);
    }
}

/* --- reports --- */

void mover_report_outgoing(const struct outgoing *outgoing, struct move_report *report)
{
    if (outgoing->stream) {
        struct stream_stat stat;
        stream_stat(outgoing->stream, &stat);
        report->bytes_per_s = stat.bytes_per_s;
        report->waiting_bytes = stat.waiting_len;
        report->records_left = hand_left(outgoing->hand);
    }
    const struct range_sum *sum = outgoing->hand ? hand_sum(outgoing->hand) : &outgoing->sum;
    report->records = sum->records;
    report->bytes = sum->bytes;
    memcpy(report->hold_us, outgoing->hold_us, sizeof(report->hold_us));
    memcpy(report->text, outgoing->text, sizeof(report->text));
}
