/* SPDX-License-Identifier: MIT */
#include "shardd/execute.h"

#include "io/memory.h"
#include "proto/endian.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/stamp.h"
#include "proto/table.h"
#include "proto/unpack.h"
#include "shardd/hand.h"

/* Pieces of the table that are looked through for one record to evict, and the buckets of each. */
#define VICTIM_PIECES      2
#define VICTIM_BUCKETS_MAX 4096

/*
 * Records that one operation evicts in any case, so that small ones never wait for large ones; and up to how many in
 * a turn larger ones do: half a millisecond.
 */
#define VICTIMS_OF_ONE  4
#define VICTIMS_OF_TURN 1024

/* RULES R4: a slide is made when it gains this part of the time to live. */
#define SLIDE_PART 16

/* Where an operation's record is, or would be. */
struct place {
    struct account *account;
    struct hot_record *entry; /* NULL: the hot table has none */
    struct hot_view view;     /* of the entry */
    bool is_there;
    bool is_damaged;
    enum op_reason damage;
    uint64_t size; /* what the record counts; 0 without one */
    uint64_t need; /* RULES R1: the record's stamp, or its deletion's */
};

/* --- effects: each is logged, counted, and then in the hot table --- */

static void count(struct execution *execution, struct account *account, uint64_t before,
                  uint64_t after, int64_t records)
{
    account_change(execution->accounts, account, (int64_t)(after - before), records);
}

/* Returns the stamp. */
static uint64_t take_away(struct execution *execution, struct account *account,
                          struct hot_record *entry, const struct record *record, uint64_t size,
                          enum log_kind kind)
{
    const struct log_op logged = {
        .kind = kind,
        .table = record->table,
        .point = record->point,
        .key = record->key,
    };
    uint64_t stamp = log_add(execution->log, &logged);
    if (account->hands) {
        const struct hand_change change = {stamp, &logged, record->version ? record : NULL,
                                           -(int64_t)size, -1};
        hands_on_change(account->hands, &change);
    }
    const struct record deletion = {
        .point = record->point,
        .table = record->table,
        .key = record->key,
        .version = stamp,
    };
    count(execution, account, size, 0, -1);
    hot_put(execution->hot, entry, &deletion, HOT_DELETED, true);
    return stamp;
}

/* Sets record->version. */
static void store(struct execution *execution, const struct place *place, struct record *record,
                  uint64_t size)
{
    const struct log_op logged = {
        .kind = LOG_PUT,
        .is_sliding = record->flags & RECORD_SLIDING,
        .table = record->table,
        .record_kind = record->kind,
        .point = record->point,
        .expiry_ms = record->expiry_ms,
        .ttl_ms = record->ttl_ms,
        .key = record->key,
        .value = record->value,
    };
    record->version = log_add(execution->log, &logged);
    if (place->account->hands) {
        const struct hand_change change = {
            .stamp = record->version,
            .op = &logged,
            .before = place->is_there && !place->is_damaged ? &place->view.record : NULL,
            .bytes = (int64_t)(size - place->size),
            .records = !place->is_there,
        };
        hands_on_change(place->account->hands, &change);
    }
    count(execution, place->account, place->size, size, !place->is_there);
    hot_put(execution->hot, place->entry, record, HOT_RECORD, true);
}

/* --- finding --- */

static bool is_due(const struct execution *execution, const struct record *record)
{
    return record->expiry_ms != 0 && record->expiry_ms <= execution->now_ms;
}

/*
 * Invisible from now on, and gone in the log: the deletion's stamp is at or after the expiry, so a reply
 * that waits for it hides nothing that could come back (RULES R3).
 */
static void expire(struct execution *execution, const struct op *op, struct place *place)
{
    struct account *account = place->account;
    place->need =
        take_away(execution, account, place->entry, &place->view.record, place->size, LOG_EXPIRE);
    account->expired++;
    place->is_there = false;
    place->size = 0;
    /* Not by the view's key: what the view shows was given back. */
    place->entry = hot_find(execution->hot, op->point, op->table, op->key);
}

static void take_entry(struct execution *execution, const struct op *op, struct place *place)
{
    hot_view(execution->hot, op->point, place->entry, &place->view);
    if (place->view.state == HOT_DELETED) {
        place->need = place->view.record.version;
    } else if (place->view.state == HOT_RECORD) {
        const struct record *record = &place->view.record;
        place->is_there = true;
        place->size = record_size(record->key.len, record->value.len);
        place->need = record->version;
        if (is_due(execution, record)) {
            expire(execution, op, place);
        }
    }
}

/* False: the tree must be asked. */
static bool find(struct execution *execution, const struct op *op,
                 const struct execute_damage *damage, struct place *place)
{
    place->entry = hot_find(execution->hot, op->point, op->table, op->key);
    if (damage) {
        place->is_there = place->is_damaged = true;
        place->damage = damage->is_newer_format ? OP_REASON_RECORD_NEWER : OP_REASON_RECORD_DAMAGED;
        place->size = damage->size;
        return true;
    }
    if (!place->entry) {
        return hot_is_complete(execution->hot, op->point);
    }
    if (hot_state(place->entry) == HOT_FETCHING) {
        return false;
    }
    take_entry(execution, op, place);
    return true;
}

/* True, with the refusal, when what is there would have to be read and cannot be. */
static bool is_unreadable(const struct place *place, struct outcome *outcome)
{
    if (place->is_damaged) {
        outcome_refuse(outcome, STATUS_DAMAGED, place->damage);
    }
    return place->is_damaged;
}

static bool meets_conditions(const struct place *place, const struct op *op,
                             struct outcome *outcome)
{
    if (!op->if_absent && !op->if_present && op->if_version == 0) {
        return true;
    }
    if (is_unreadable(place, outcome)) {
        return false;
    }
    uint64_t version = place->is_there ? place->view.record.version : 0;
    enum op_reason reason = OP_REASON_NONE;
    if (op->if_absent && place->is_there) {
        reason = OP_REASON_THERE_ALREADY;
    } else if (op->if_present && !place->is_there) {
        reason = OP_REASON_NOT_THERE;
    } else if (op->if_version != 0 && version != op->if_version) {
        reason = OP_REASON_OTHER_VERSION;
    }
    if (reason != OP_REASON_NONE) {
        outcome_refuse(outcome, STATUS_CONDITION, reason);
        outcome->version = version;
    }
    return reason == OP_REASON_NONE;
}

/* --- room --- */

static bool fits(const struct account *account, uint64_t growth)
{
    return account->used <= account->range.limit && growth <= account->range.limit - account->used;
}

/*
 * From the hand on, and round; each piece twice, since where all were used lately the first look takes the marks
 * of that away. Where nothing is found the hand stays behind it, so who needs room in the next turn gets further.
 */
static bool find_victim(struct execution *execution, struct account *account,
                        struct hot_view *victim)
{
    if (account->barren_turn == execution->turn) {
        return false;
    }
    uint64_t first = point_of_bound(account->range.start);
    uint64_t last = point_of_bound(account->range.end) - 1;
    uint64_t *hand = &execution->victim_point;
    for (int piece = 0; piece < VICTIM_PIECES; piece++) {
        uint64_t from = *hand < first || *hand > last ? first : *hand;
        for (int look = 0; look < 2; look++) {
            *hand = from;
            if (hot_next_victim(execution->hot, hand, last, VICTIM_BUCKETS_MAX, victim)) {
                return true;
            }
        }
    }
    account->barren_turn = execution->turn;
    return false;
}

/* RULES S7: through the log. False: nothing that may go was found. */
static bool evict_one(struct execution *execution, struct account *account)
{
    struct hot_view victim;
    if (!find_victim(execution, account, &victim)) {
        return false;
    }
    const struct record *record = &victim.record;
    struct hot_record *entry = hot_find(execution->hot, record->point, record->table, record->key);
    take_away(execution, account, entry, record, record_size(record->key.len, record->value.len),
              LOG_EVICT);
    account->evicted++;
    execution->victim_count++;
    return true;
}

/* An account as it was when an operation began to make room in it. */
struct room_begun {
    uint64_t used;
    uint64_t evicted;
};

/* What others wait for is not taken from them: whoever comes later makes room of its own. */
static bool has_place(const struct account *account, const struct room_begun *begun,
                      uint64_t growth)
{
    return fits(account, account->wanted + growth) ||
           (fits(account, growth) && account->used + growth <= begun->used);
}

/*
 * What is not hot goes first. So beyond the few of a small one nothing hot goes before the patrol has found all to
 * be so: least of all for those who wait, whom it would cost what those before them have just written.
 */
static bool may_evict(const struct execution *execution, const struct account *account,
                      const struct room_begun *begun)
{
    bool is_small = !execution->has_waited && account->evicted - begun->evicted < VICTIMS_OF_ONE;
    return is_small ||
           (execution->victim_count < VICTIMS_OF_TURN && account->cold == ACCOUNT_COLD_NONE);
}

static bool make_room(struct execution *execution, struct account *account,
                      const struct room_begun *begun, uint64_t growth)
{
    while (!has_place(account, begun, growth)) {
        if (!may_evict(execution, account, begun) || !evict_one(execution, account)) {
            return false;
        }
    }
    return true;
}

/* What is evicted may be the key itself. */
static bool evict_for(struct execution *execution, const struct op *op, struct place *place,
                      uint64_t size)
{
    struct account *account = place->account;
    const struct room_begun begun = {account->used, account->evicted};
    bool is_fine = make_room(execution, account, &begun, size - place->size);
    if (account->evicted != begun.evicted && !place->is_damaged) {
        struct place anew = {.account = account};
        (void)find(execution, op, NULL, &anew);
        *place = anew;
        is_fine = is_fine && make_room(execution, account, &begun, size - place->size);
    }
    return is_fine;
}

static void refuse_full(const struct execution *execution, const struct account *account,
                        enum op_reason reason, uint64_t size, struct outcome *outcome)
{
    outcome_refuse(outcome, STATUS_FULL, reason);
    outcome->size = size;
    outcome->used = account->used;
    outcome->limit = account->range.limit;
    outcome->need = log_last(execution->log);
}

/* Why a record of that size is refused: where no deletion helps, nobody is to be told of any. */
static enum op_reason why_full(const struct account *account, bool can_fit, uint64_t size)
{
    if (can_fit) {
        return OP_REASON_DISK_FULL;
    }
    return size > account->range.limit ? OP_REASON_RECORD_LARGER : OP_REASON_NONE;
}

/*
 * RULES F1: what does not grow always has room. Nothing is evicted for what would be refused all the same; for all
 * else there will be room.
 */
static bool has_room(struct execution *execution, const struct op *op, struct place *place,
                     struct outcome *outcome, uint64_t size)
{
    struct account *account = place->account;
    if (size <= place->size) {
        return true;
    }
    bool does_evict = account->range.when_full == WHEN_FULL_EVICT;
    bool can_fit = does_evict ? size <= account->range.limit : fits(account, size - place->size);
    if (!can_fit || execution->is_disk_full) {
        refuse_full(execution, account, why_full(account, can_fit, size), size, outcome);
        return false;
    }
    if (!does_evict || evict_for(execution, op, place, size)) {
        return true;
    }
    outcome_refuse(outcome, STATUS_TRY_LATER, OP_REASON_MAKING_ROOM);
    if (execution->can_wait) {
        account->wanted += size - place->size;
    }
    return false;
}

/* --- the operations: each returns the bytes that a popped record goes on to count --- */

static void describe(const struct execution *execution, const struct place *place,
                     struct outcome *outcome)
{
    const struct record *record = &place->view.record;
    outcome->was_there = true;
    outcome->version = record->version;
    outcome->size = place->size;
    outcome->kind = record->kind;
    outcome->ttl_ms = record->ttl_ms;
    outcome->is_sliding = record->flags & RECORD_SLIDING;
    outcome->left_ms = record->expiry_ms ? (int64_t)(record->expiry_ms - execution->now_ms) : -1;
    outcome->value = record->value;
}

static void note_touch(struct execution *execution, uint64_t stamp)
{
    bool is_settled = execution->touch_stamp <= log_durable(execution->log);
    if (is_settled || execution->now_ms < execution->touched_since_ms) {
        execution->touched_since_ms = execution->now_ms;
    }
    execution->touch_stamp = stamp;
}

/*
 * RULES R1: a reply tells the time left, so it depends on the touch that gave it: R4 allows a crash to cost a
 * sixteenth of the time to live, and one that took the touch might cost nearly all of it, of a record that
 * somebody was told would live. The touch's stamp is not kept with the record, so any that is as late counts: where
 * all are durable, nothing is waited for.
 */
static void depend_on_touch(const struct execution *execution, const struct record *record,
                            struct outcome *outcome)
{
    if ((record->flags & RECORD_SLIDING) && execution->touch_stamp > outcome->need &&
        record->expiry_ms >= execution->touched_since_ms + record->ttl_ms) {
        outcome->need = execution->touch_stamp;
    }
}

/* RULES R4. A full disk has no room for touches, and a full memory none for what they make dirty (F3). */
static void slide(struct execution *execution, struct place *place, struct outcome *outcome)
{
    const struct record *record = &place->view.record;
    uint64_t expiry_ms = execution->now_ms + record->ttl_ms;
    if (!(record->flags & RECORD_SLIDING) || execution->is_disk_full || execution->is_memory_full ||
        expiry_ms < record->expiry_ms + record->ttl_ms / SLIDE_PART ||
        expiry_ms == record->expiry_ms) {
        return;
    }
    const struct log_op touch = {
        .kind = LOG_TOUCH,
        .table = record->table,
        .point = record->point,
        .version = record->version,
        .expiry_ms = expiry_ms,
        .ttl_ms = record->ttl_ms,
        .key = record->key,
    };
    uint64_t stamp = log_add(execution->log, &touch);
    note_touch(execution, stamp);
    if (place->account->hands) {
        const struct hand_change change = {stamp, &touch, record, 0, 0};
        hands_on_change(place->account->hands, &change);
    }
    place->entry = hot_touch(execution->hot, record->point, place->entry, expiry_ms);
    hot_view(execution->hot, record->point, place->entry, &place->view);
    describe(execution, place, outcome);
}

static uint64_t run_read(struct execution *execution, struct place *place, const struct op *op,
                         struct outcome *outcome)
{
    (void)op;
    if (place->is_there && !is_unreadable(place, outcome)) {
        describe(execution, place, outcome);
        slide(execution, place, outcome);
        depend_on_touch(execution, &place->view.record, outcome);
    }
    return 0;
}

static uint64_t run_exists(struct execution *execution, struct place *place, const struct op *op,
                           struct outcome *outcome)
{
    (void)execution;
    (void)op;
    outcome->was_there = place->is_there && !is_unreadable(place, outcome);
    return 0;
}

static void put(struct execution *execution, struct place *place, const struct op *op,
                struct outcome *outcome, struct record *record)
{
    uint64_t size = record_size(op->key.len, record->value.len);
    if (!has_room(execution, op, place, outcome, size)) {
        return;
    }
    record->point = op->point;
    record->table = op->table;
    record->key = op->key;
    store(execution, place, record, size);
    outcome->version = outcome->need = record->version;
    outcome->size = size;
}

static void set_time_to_live(const struct execution *execution, const struct op *op,
                             struct record *record)
{
    if (op->ttl_ms > 0) {
        record->ttl_ms = op->ttl_ms;
        record->expiry_ms = execution->now_ms + (op->left_ms ? op->left_ms : op->ttl_ms);
        record->flags = op->is_sliding ? RECORD_SLIDING : 0;
    }
}

/* What cannot be read has none that could be kept. */
static uint16_t kind_for(const struct place *place, const struct op *op)
{
    bool is_kept = !op->has_kind && place->is_there && !place->is_damaged;
    return is_kept ? place->view.record.kind : op->record_kind;
}

/* RULES I1: of who brings an id along, that nothing is given later which would not be above it. */
static bool may_have_id(const struct execution *execution, const struct op *op,
                        struct outcome *outcome)
{
    const struct mint_wish now = {
        .now_ms = execution->now_ms,
        .durable = log_durable(execution->log),
    };
    enum mint_result result = minter_meet(execution->minter, endian_get_be64(op->key.data), &now);
    if (result == MINT_LATER) {
        outcome_refuse(outcome, STATUS_TRY_LATER, OP_REASON_IDS_AHEAD);
    } else if (result == MINT_BEHIND) {
        outcome_refuse(outcome, STATUS_INVALID, OP_REASON_ID_AHEAD);
    }
    return result == MINT_DONE;
}

static uint64_t run_write(struct execution *execution, struct place *place, const struct op *op,
                          struct outcome *outcome)
{
    if (meets_conditions(place, op, outcome)) {
        if (!place->is_there && table_has_ids(op->table) && !may_have_id(execution, op, outcome)) {
            return 0;
        }
        struct record record = {.value = op->value, .kind = kind_for(place, op)};
        set_time_to_live(execution, op, &record);
        put(execution, place, op, outcome, &record);
    }
    return 0;
}

/* Into memory of our own: its record is about to be written to. */
static struct bytes keep_value(struct execution *execution, struct bytes value)
{
    buffer_shrink(&execution->scratch, 64u << 10);
    buffer_append_bytes(&execution->scratch, value);
    memory_must(!execution->scratch.failed);
    return buffer_bytes(&execution->scratch);
}

static uint64_t run_expire(struct execution *execution, struct place *place, const struct op *op,
                           struct outcome *outcome)
{
    if (!meets_conditions(place, op, outcome) || !place->is_there ||
        is_unreadable(place, outcome)) {
        return 0;
    }
    struct record record = {
        .value = keep_value(execution, place->view.record.value),
        .kind = place->view.record.kind,
    };
    set_time_to_live(execution, op, &record);
    outcome->was_there = true;
    put(execution, place, op, outcome, &record);
    return 0;
}

/*
 * RULES Q2. Nothing evicts a result: those of clients that have died would fill a shard that evicts, where all others
 * wait for room, until they are forgotten.
 */
static uint64_t held_by_result(const struct op *op, const struct place *place)
{
    bool does_evict = place->account->range.when_full == WHEN_FULL_EVICT;
    return op->identity.seq > 0 && !does_evict ? place->size : 0;
}

static uint64_t run_pop(struct execution *execution, struct place *place, const struct op *op,
                        struct outcome *outcome)
{
    if (!meets_conditions(place, op, outcome) || !place->is_there ||
        is_unreadable(place, outcome)) {
        return 0;
    }
    describe(execution, place, outcome);
    outcome->value = keep_value(execution, outcome->value);
    outcome->need = take_away(execution, place->account, place->entry, &place->view.record,
                              place->size, LOG_DELETE);
    uint64_t held = held_by_result(op, place);
    count(execution, place->account, 0, held, 0);
    return held;
}

static uint64_t run_delete(struct execution *execution, struct place *place, const struct op *op,
                           struct outcome *outcome)
{
    if (meets_conditions(place, op, outcome) && place->is_there) {
        const struct record damaged = {.point = op->point, .table = op->table, .key = op->key};
        const struct record *record = place->is_damaged ? &damaged : &place->view.record;
        outcome->need =
            take_away(execution, place->account, place->entry, record, place->size, LOG_DELETE);
        outcome->was_there = true;
    }
    return 0;
}

/* Nothing there counts as 0. */
static bool read_integer(const struct place *place, struct outcome *outcome, int64_t *integer)
{
    *integer = 0;
    if (!place->is_there) {
        return true;
    }
    if (is_unreadable(place, outcome)) {
        return false;
    }
    struct unpack in = unpack_of(place->view.record.value);
    *integer = unpack_int(&in);
    if (!unpack_is_done(&in)) {
        outcome_refuse(outcome, STATUS_INVALID, OP_REASON_NOT_AN_INTEGER);
    }
    return unpack_is_done(&in);
}

/* The time to live goes on. */
static uint64_t run_incr(struct execution *execution, struct place *place, const struct op *op,
                         struct outcome *outcome)
{
    int64_t integer;
    if (!meets_conditions(place, op, outcome) || !read_integer(place, outcome, &integer)) {
        return 0;
    }
    if (__builtin_add_overflow(integer, op->by, &integer)) {
        outcome_refuse(outcome, STATUS_INVALID, OP_REASON_OVERFLOW);
        return 0;
    }
    struct record record = place->is_there ? place->view.record : (struct record){0};
    buffer_clear(&execution->scratch);
    pack_int(&execution->scratch, integer);
    memory_must(!execution->scratch.failed);
    record.value = buffer_bytes(&execution->scratch);
    put(execution, place, op, outcome, &record);
    outcome->integer = integer;
    return 0;
}

/*
 * What is due was removed as it was found. What a scan has hidden goes even if the clock was set back since
 * (RULES R3).
 */
static uint64_t run_reap(struct execution *execution, struct place *place, const struct op *op,
                         struct outcome *outcome)
{
    (void)run_exists(execution, place, op, outcome);
    if (outcome->was_there && place->view.record.version == op->if_version) {
        expire(execution, op, place);
        outcome->need = place->need;
    }
    return 0;
}

static uint64_t run_evict(struct execution *execution, struct place *place, const struct op *op,
                          struct outcome *outcome)
{
    if (place->is_there && !place->is_damaged && place->view.record.version == op->if_version) {
        outcome->need = take_away(execution, place->account, place->entry, &place->view.record,
                                  place->size, LOG_EVICT);
        place->account->evicted++;
        place->account->evicted_cold++;
    }
    return 0;
}

/* --- ids --- */

static enum mint_result mint(const struct execution *execution, const struct account *account,
                             uint64_t point, uint32_t count, const struct mint_run **runs,
                             uint32_t *run_count)
{
    const struct mint_wish wish = {
        .point = point,
        .start = account->range.start,
        .end = account->range.end,
        .count = count,
        .now_ms = execution->now_ms,
        .durable = log_durable(execution->log),
    };
    return minter_mint(execution->minter, &wish, runs, run_count);
}

/* False, with the refusal; TRY_LATER: it waits (RULES I3). */
static bool has_minted(enum mint_result result, struct outcome *outcome)
{
    if (result == MINT_LATER) {
        outcome_refuse(outcome, STATUS_TRY_LATER, OP_REASON_IDS_AHEAD);
    } else if (result == MINT_BEHIND) {
        outcome_refuse(outcome, STATUS_CLOCK_BEHIND, OP_REASON_CLOCK_BEHIND);
    }
    return result == MINT_DONE;
}

/* A reserve goes to the log. */
static bool can_mint(const struct execution *execution, struct outcome *outcome)
{
    if (execution->is_log_full) {
        outcome_refuse(outcome, STATUS_TRY_LATER, OP_REASON_LOG_FULL);
    }
    return !execution->is_log_full;
}

/* The reply is an array of [first, count]. */
static uint64_t run_mint(struct execution *execution, struct place *place, const struct op *op,
                         struct outcome *outcome)
{
    const struct mint_run *runs;
    uint32_t run_count;
    if (!can_mint(execution, outcome) ||
        !has_minted(mint(execution, place->account, op->point, op->limit, &runs, &run_count),
                    outcome)) {
        return 0;
    }
    buffer_clear(&execution->scratch);
    pack_array(&execution->scratch, run_count);
    for (uint32_t i = 0; i < run_count; i++) {
        pack_array(&execution->scratch, 2);
        pack_uint(&execution->scratch, runs[i].first);
        pack_uint(&execution->scratch, runs[i].count);
    }
    memory_must(!execution->scratch.failed);
    outcome->value = buffer_bytes(&execution->scratch);
    return 0;
}

/* Somebody may be asking for an id that nobody was given yet: he is told that there is nothing, and it stays so. */
static bool is_met(struct execution *execution, struct record *record, struct place *place)
{
    place->entry = hot_find(execution->hot, record->point, record->table, record->key);
    return place->entry && hot_state(place->entry) != HOT_ABSENT;
}

/*
 * RULES I: no record has an id that is given, so nothing is asked of the tree. Its point is in the range of the op's, so
 * that record and result go along together when the range moves.
 */
static uint64_t run_put(struct execution *execution, struct place *place, const struct op *op,
                        struct outcome *outcome)
{
    const struct mint_run *run;
    uint32_t run_count;
    uint8_t key[ID_KEY_LEN];
    struct record record = {.table = TABLE_ENTITIES,
                            .kind = op->record_kind,
                            .key = bytes_of(key, sizeof(key)),
                            .value = op->value};
    uint64_t size = record_size(sizeof(key), op->value.len);
    if (!can_mint(execution, outcome) || !has_room(execution, op, place, outcome, size)) {
        return 0;
    }
    do {
        if (!has_minted(mint(execution, place->account, op->point, 1, &run, &run_count), outcome)) {
            return 0;
        }
        endian_put_be64(key, run->first);
        record.point = id_point(run->first);
    } while (is_met(execution, &record, place));
    set_time_to_live(execution, op, &record);
    store(execution, place, &record, size);
    outcome->version = outcome->need = record.version;
    outcome->size = size;
    outcome->integer = (int64_t)run->first;
    return 0;
}

typedef uint64_t run_function(struct execution *execution, struct place *place, const struct op *op,
                              struct outcome *outcome);

static run_function *const functions[OP_KIND_COUNT] = {
    [OP_READ] = run_read,     [OP_EXISTS] = run_exists, [OP_WRITE] = run_write,
    [OP_POP] = run_pop,       [OP_DELETE] = run_delete, [OP_INCR] = run_incr,
    [OP_EXPIRE] = run_expire, [OP_REAP] = run_reap,     [OP_EVICT] = run_evict,
    [OP_MINT] = run_mint,     [OP_PUT] = run_put,
};

static bool has_identity(const struct op *op)
{
    return op_changes(op) && op->identity.seq > 0;
}

/* RULES Q1: asked where the operation would run, after what it waited for. */
static bool is_answered(struct execution *execution, const struct op *op, struct outcome *outcome)
{
    return has_identity(op) &&
           retry_answer(execution->retries, op, execution->now_ms, outcome, &outcome->need);
}

/* True, with the refusal, when nothing can be logged for now. */
static bool must_wait(const struct execution *execution, const struct op *op,
                      struct outcome *outcome)
{
    bool is_asked = op_changes(op) && !op_is_inner(op);
    if (!is_asked || (!execution->is_memory_full && !execution->is_log_full)) {
        return false;
    }
    outcome_refuse(outcome, STATUS_TRY_LATER,
                   execution->is_log_full ? OP_REASON_LOG_FULL : OP_REASON_MEMORY_FULL);
    return true;
}

/*
 * RULES V4, R2: what waits for a step of a move waits in its order. Behind operations on the same key that wait for a
 * fetch it waits with them.
 */
static enum execute_result meet_closed(const struct execution *execution, const struct op *op,
                                       const struct account *account, struct outcome *outcome)
{
    if (!account || !account_is_held(account)) {
        outcome_refuse(outcome, STATUS_WRONG_SHARD, OP_REASON_NONE);
        return EXECUTE_DONE;
    }
    const struct hot_record *entry = hot_peek(execution->hot, op->point, op->table, op->key);
    return entry && hot_state(entry) == HOT_FETCHING ? EXECUTE_FETCH : EXECUTE_HELD;
}

enum execute_result execute(struct execution *execution, const struct op *op,
                            const struct execute_damage *damage, struct outcome *outcome)
{
    *outcome = (struct outcome){.left_ms = -1};
    if (op->kind == OP_DONE) {
        outcome->need = retry_done(execution->retries, op, execution->now_ms);
        return EXECUTE_DONE;
    }
    struct place place = {.account = accounts_find(execution->accounts, op->point)};
    if (!place.account || !place.account->is_open) {
        return meet_closed(execution, op, place.account, outcome);
    }
    if (!op_mints(op) && !find(execution, op, damage, &place)) {
        return EXECUTE_FETCH;
    }
    place.account->operations++;
    outcome->need = place.need;
    if (is_answered(execution, op, outcome)) {
        return EXECUTE_DONE;
    }
    if (must_wait(execution, op, outcome)) {
        return EXECUTE_DONE;
    }
    uint64_t held = functions[op->kind](execution, &place, op, outcome);
    if (outcome->status == STATUS_TRY_LATER) {
        return execution->can_wait ? EXECUTE_ROOM
                                   : EXECUTE_DONE; /* with no result: it is not done */
    }
    if (has_identity(op)) {
        outcome->need = retry_keep(execution->retries, op, outcome, held, execution->now_ms);
    }
    return EXECUTE_DONE;
}
