/* SPDX-License-Identifier: MIT */
#include "proto/noun.h"
#include "shardd/import_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/stamp.h"

struct import *import_new(const struct import_config *config)
{
    struct import *import = memory_get(1, sizeof(*import));
    import->config = *config;
    import->worker = worker_new(config->loop, "import", WORKER_NORMAL);
    import_init_storing(import);
    import_init_looking(import);
    uint64_t last = log_last(config->execution->log);
    import->begun_stamp = last > config->stamp ? last : config->stamp;
    /* The tree gets records that the hot table is not told of. */
    hot_clear(config->execution->hot, point_of_bound(config->start),
              point_of_bound(config->end) - 1, false);
    return import;
}

static void answer(const struct import *import, const struct import_reply *reply, uint64_t seq,
                   enum status status, const char *text)
{
    import->config.on_answer(import->config.context, reply, seq, status, text);
}

static void answer_message(const struct import *import, struct message *message, enum status status,
                           const char *text)
{
    if (message->has_reply) {
        message->has_reply = false;
        answer(import, &message->reply, message->seq, status, text);
    }
}

static void answer_all(const struct import *import, enum status status, const char *text)
{
    for (struct message *message = import->first; message; message = message->next) {
        answer_message(import, message, status, text);
    }
}

static void free_message(struct message *message)
{
    free(message->changes);
    free(message);
}

void import_destroy(struct import *import)
{
    while (import->first) {
        struct message *message = import->first;
        import->first = message->next;
        free_message(message);
    }
    buffer_fini(&import->looking.stored);
    free(import);
}

void import_free(struct import *import)
{
    if (!import) {
        return;
    }
    worker_free(import->worker);
    answer_all(import, STATUS_TRY_LATER, "the move is over here");
    bool is_storing =
        import->storing.is_busy && !sweep_take_back(import->config.sweep, &import->storing.job);
    if (is_storing) {
        import->is_freed = true;
    } else {
        import_destroy(import);
    }
}

const struct range_sum *import_sum(const struct import *import)
{
    return &import->sum;
}

size_t import_len(const struct import *import)
{
    return sizeof(*import) + import->waiting_len + import->looking.stored.capacity;
}

uint64_t import_link(struct import *import)
{
    answer_all(import, STATUS_TRY_LATER, "there is a newer connection");
    return import->applied_seq;
}

void import_fail(struct import *import, enum status status, const char *text)
{
    if (import->fault == STATUS_OK) {
        import->fault = status;
        (void)snprintf(import->text, sizeof(import->text), "%s", text);
    }
}

/* --- what arrives --- */

/* Not more than could ever be stored. */
static bool is_op_fine(const struct import *import, const struct log_op *op)
{
    if (op->kind == LOG_RESULT) {
        return op->key.len == ID_LEN && import_is_within(import, op->point);
    }
    return import_is_record(op->kind) && op->key.len > 0 && op->value.len <= VALUE_LEN_MAX &&
           op->version != 0 && import_is_within(import, op->point);
}

static void note_stamp(struct message *message, uint64_t stamp)
{
    message->stamp = stamp > message->stamp ? stamp : message->stamp;
}

static void note_change(struct message *message, size_t at)
{
    if (message->change_count == message->change_capacity) {
        message->change_capacity = message->change_capacity ? 2 * message->change_capacity : 16;
        message->changes =
            memory_resize(message->changes, message->change_capacity, sizeof(*message->changes));
    }
    message->changes[message->change_count++] = (uint32_t)at;
}

/* False: an item is none. Records are verified as they are stored. */
static bool look_through(const struct import *import, struct message *message)
{
    struct bytes rest = bytes_of(message->items, message->len);
    struct stream_unit unit;
    size_t at = 0;
    while (stream_next(&rest, &unit)) {
        if (unit.item == STREAM_RECORD) {
            message->record_count++;
            note_stamp(message, record_stored_version(unit.stored));
        } else {
            note_change(message, at);
        }
        if (unit.item == STREAM_OPERATION) {
            if (!is_op_fine(import, &unit.op)) {
                return false;
            }
            note_stamp(message, unit.stamp);
            note_stamp(message, unit.op.version);
        }
        at = message->len - rest.len;
    }
    return rest.len == 0;
}

bool import_is_too_far_ahead(uint64_t stamp, uint64_t base_stamp, uint64_t ahead_ms)
{
    uint64_t now = stamp_of_ms(clock_wall_ms());
    uint64_t base = now > base_stamp ? now : base_stamp;
    return stamp > base && stamp - base > stamp_of_ms(ahead_ms);
}

static bool is_too_far_ahead(const struct import *import, uint64_t stamp)
{
    return import_is_too_far_ahead(stamp, import->begun_stamp, IMPORT_AHEAD_MS);
}

static struct message *copy_message(uint64_t seq, struct bytes items)
{
    struct message *message = memory_get(1, sizeof(*message) + items.len);
    message->seq = seq;
    message->arrived_ms = clock_mono_ms();
    message->len = items.len;
    if (items.len > 0) {
        memcpy(message->items, items.data, items.len);
    }
    return message;
}

static size_t message_len(const struct message *message)
{
    return sizeof(*message) + message->len + message->change_capacity * sizeof(uint32_t);
}

static void append(struct import *import, struct message *message)
{
    *(import->last ? &import->last->next : &import->first) = message;
    import->last = message;
    import->to_store = import->to_store ? import->to_store : message;
    import->received_seq = message->seq;
    import->waiting_len += message_len(message);
}

/* What was sent again is answered when it is applied, to the last who asked. */
static void take_again(struct import *import, uint64_t seq, const struct import_reply *reply)
{
    if (seq <= import->applied_seq) {
        answer(import, reply, seq, STATUS_OK, NULL);
        return;
    }
    struct message *message = import->first;
    while (message->seq != seq) {
        message = message->next;
    }
    answer_message(import, message, STATUS_TRY_LATER, "it was sent again");
    message->reply = *reply;
    message->has_reply = true;
}

/* NULL: it may be taken. */
static const char *why_not(const struct import *import, uint64_t seq, struct bytes items)
{
    if (import->has_end || seq != import->received_seq + 1) {
        return "the message is out of sequence";
    }
    if (items.len > STREAM_WAITING_LEN_MAX ||
        (import->first && import->waiting_len + items.len > STREAM_WAITING_LEN_MAX)) {
        return "more is sent without an answer than may be";
    }
    return NULL;
}

static void take_new(struct import *import, uint64_t seq, struct bytes items,
                     const struct import_reply *reply)
{
    struct message *message = copy_message(seq, items);
    const char *refusal = NULL;
    if (!look_through(import, message)) {
        refusal = "an item of the stream is malformed";
    } else if (is_too_far_ahead(import, message->stamp)) {
        refusal = "a stamp is too far ahead of this server's clock";
    }
    if (refusal) {
        answer(import, reply, seq, STATUS_INVALID, refusal);
        free_message(message);
        return;
    }
    message->reply = *reply;
    message->has_reply = true;
    append(import, message);
}

void import_take(struct import *import, uint64_t seq, struct bytes items,
                 const struct import_reply *reply)
{
    if (import->fault != STATUS_OK) {
        answer(import, reply, seq, import->fault, import->text);
        return;
    }
    if (seq > 0 && seq <= import->received_seq) {
        take_again(import, seq, reply);
        return;
    }
    const char *refusal = why_not(import, seq, items);
    if (refusal) {
        answer(import, reply, seq, STATUS_INVALID, refusal);
    } else {
        take_new(import, seq, items, reply);
    }
}

bool import_end(struct import *import, uint64_t seq, const struct range_sum *sum, uint64_t stamp)
{
    if (seq != import->received_seq + 1 || is_too_far_ahead(import, stamp)) {
        return false;
    }
    import->has_end = true;
    import->end_sum = *sum;
    import->end_stamp = stamp;
    import->is_told &= import->fault != STATUS_OK;
    return true;
}

/* --- what is applied --- */

void import_count(struct import *import, const struct range_sum *difference)
{
    struct accounts *accounts = import->config.execution->accounts;
    struct account *account = accounts_find(accounts, point_of_bound(import->config.start));
    if (!account) {
        return; /* the move has ended, and the import is to be freed: what it brought goes */
    }
    account_change(accounts, account, (int64_t)difference->bytes, (int64_t)difference->records);
    range_sum_join(&import->sum, difference);
}

static void remove_first(struct import *import)
{
    struct message *message = import->first;
    import->first = message->next;
    import->last = import->first ? import->last : NULL;
    import->made_count = 0;
    import->applied_seq = message->seq;
    import->waiting_len -= message_len(message);
    answer_message(import, message, STATUS_OK, NULL);
    free_message(message);
}

void import_settle(struct import *import)
{
    while (import->fault == STATUS_OK && import->first && import->first != import->to_store &&
           import->made_count == import->first->change_count) {
        remove_first(import);
    }
}

/* --- a turn --- */

static void look_at_disk(struct import *import)
{
    if (import->first && import->config.execution->is_disk_full) {
        import_fail(import, STATUS_FULL, "this server's disk is full");
    }
}

static void look_at_end(struct import *import)
{
    if (import->has_end && !import->first && !range_sum_equal(&import->sum, &import->end_sum)) {
        char text[IMPORT_TEXT_LEN];
        (void)snprintf(text, sizeof(text),
                       "the sums differ: %" PRIu64 " %s of %" PRIu64
                       " bytes were sent, and %" PRIu64 " of %" PRIu64 " are here",
                       import->end_sum.records,
                       noun_of(import->end_sum.records, "record", "records"), import->end_sum.bytes,
                       import->sum.records, import->sum.bytes);
        import_fail(import, STATUS_DAMAGED, text);
    }
}

/* The last thing that is done: the import may go. */
static void tell(struct import *import)
{
    if (import->is_told) {
        return;
    }
    if (import->fault != STATUS_OK) {
        import->is_told = true;
        answer_all(import, import->fault, import->text);
        import->config.on_broken(import->config.context, import->fault, import->text);
    } else if (import->has_end && !import->first &&
               log_lift(import->config.execution->log, import->end_stamp)) {
        import->is_told = true;
        import->config.on_whole(import->config.context, &import->sum);
    }
}

void import_turn(struct import *import)
{
    if (import->fault == STATUS_OK) {
        import_make_changes(import);
        import_settle(import);
        look_at_disk(import);
        look_at_end(import);
    }
    if (import->fault == STATUS_OK) {
        import_begin_storing(import);
        import_begin_looking(import);
        import_settle(import); /* an empty message */
        look_at_end(import);
    }
    tell(import);
}
