/* SPDX-License-Identifier: MIT */
#include "shardd/import_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "io/clock.h"
#include "io/logline.h"

/* Bytes of one transaction: half of what may be on the way, so that as much arrives while it is committed. */
#define STORE_LEN_MAX (STREAM_WAITING_LEN_MAX / 2)

/* A transaction takes no more records after so long: the sweep's turn comes, and a slow disk's commit is short. */
#define STORE_MS_MAX 100

/* Requests come first, as long as no message waits for so long. */
#define STORE_LATE_MS 250

/* --- on the sweep's worker --- */

static void note_damage(struct storing *storing, const struct record *record, const char *text)
{
    (void)snprintf(storing->damage, sizeof(storing->damage),
                   "the record of table %u at %016" PRIx64 " that came %s", record->table,
                   record->point, text);
}

/* RULES S10. */
static bool verify(struct storing *storing, const struct stream_unit *unit, struct record *record)
{
    *record = (struct record){0};
    if (!record_key_decode(unit->tree_key, record) ||
        !import_is_within(storing->import, record->point)) {
        note_damage(storing, record, "is of another range");
        return false;
    }
    enum record_fault fault = record_decode(unit->stored, unit->tree_key, record);
    if (fault != RECORD_FINE) {
        note_damage(storing, record,
                    fault == RECORD_NEWER_FORMAT ? "has the format of a newer version"
                                                 : "fails its checksum");
    }
    return fault == RECORD_FINE;
}

/*
 * The hand goes on and on: what comes again, or behind it, may be older than what was changed there since, and the sums
 * would agree all the same.
 */
static bool is_next(struct storing *storing, const struct stream_unit *unit,
                    const struct record *record)
{
    struct bytes last = bytes_of(storing->last_key, storing->last_key_len);
    if (bytes_compare(unit->tree_key, last) <= 0) {
        note_damage(storing, record, "is out of order");
        return false;
    }
    memcpy(storing->last_key, unit->tree_key.data, unit->tree_key.len);
    storing->last_key_len = unit->tree_key.len;
    return true;
}

/* tree_is_newer: nothing can be there. */
static bool note_present(struct bytes stored, const void *context)
{
    struct storing *const *storing = context;
    (void)stored;
    (*storing)->has_met_present = true;
    return true;
}

static bool store_record(struct storing *storing, struct tree_txn *txn,
                         const struct stream_unit *unit)
{
    struct record record;
    if (!verify(storing, unit, &record) || !is_next(storing, unit, &record)) {
        return false;
    }
    tree_put_next(txn, TREE_RECORDS, unit->tree_key, unit->stored, note_present, &storing);
    if (storing->has_met_present) {
        note_damage(storing, &record, "was changed before it came");
        return false;
    }
    range_sum_add(&storing->sum, unit->tree_key, unit->stored);
    storing->has_expiring |= record.expiry_ms != 0;
    return true;
}

/* False: a record cannot be taken. */
static bool store_message(struct storing *storing, struct tree_txn *txn,
                          const struct message *message)
{
    struct bytes rest = bytes_of(message->items, message->len);
    struct stream_unit unit;
    uint32_t left = message->record_count;
    while (left > 0 && stream_next(&rest, &unit)) {
        if (unit.item != STREAM_RECORD) {
            continue;
        }
        if (!store_record(storing, txn, &unit)) {
            return false;
        }
        left--;
    }
    return true;
}

/* `next` of the last one is the loop's. */
static bool store_messages(struct storing *storing, struct tree_txn *txn)
{
    uint64_t until_ms = clock_mono_ms() + STORE_MS_MAX;
    const struct message *message = storing->first;
    storing->stored_count = 0;
    while (store_message(storing, txn, message)) {
        storing->stored_count++;
        if (storing->stored_count == storing->count || clock_mono_ms() > until_ms) {
            return true;
        }
        message = message->next;
    }
    return false;
}

static void run_storing(struct job *job)
{
    struct storing *storing = (struct storing *)job;
    struct tree_txn *txn = tree_begin_write(storing->import->config.tree);
    storing->fault = TREE_FINE;
    if (store_messages(storing, txn)) {
        storing->fault = tree_commit(txn);
    } else {
        tree_abort(txn);
    }
}

/* --- on the loop --- */

static void storing_done(struct job *job)
{
    struct storing *storing = (struct storing *)job;
    struct import *import = storing->import;
    storing->is_busy = false;
    if (storing->fault == TREE_BROKEN) {
        logline_die("tree: cannot commit: %s", tree_fault_text(import->config.tree));
    }
    if (import->is_freed) {
        import_destroy(import);
        return;
    }
    if (storing->damage[0] != '\0') {
        import_fail(import, STATUS_DAMAGED, storing->damage);
    } else if (storing->fault == TREE_NO_SPACE) {
        import_fail(import, STATUS_FULL, "this server's disk is full");
    } else {
        import_count(import, &storing->sum);
        for (uint32_t i = 0; i < storing->stored_count; i++) {
            import->to_store = import->to_store->next;
        }
        if (storing->has_expiring) {
            sweep_note_expiring(import->config.sweep);
        }
    }
}

void import_init_storing(struct import *import)
{
    import->storing.import = import;
    import->storing.job = (struct job){.run = run_storing, .done = storing_done};
}

/* RULES N2. False: it has to wait. */
static bool lift(struct import *import, const struct message *message)
{
    return log_lift(import->config.execution->log, message->stamp);
}

/* RULES V7: a source at its cap gives up after a second. */
static bool is_late(const struct import *import)
{
    return clock_mono_ms() - import->first->arrived_ms >= STORE_LATE_MS;
}

void import_begin_storing(struct import *import)
{
    struct storing *storing = &import->storing;
    size_t len = 0;
    if (storing->is_busy) {
        return;
    }
    while (import->to_store && import->to_store->record_count == 0 &&
           lift(import, import->to_store)) {
        import->to_store = import->to_store->next;
    }
    storing->first = import->to_store;
    storing->count = 0;
    for (struct message *message = storing->first; message; message = message->next) {
        len += message->len;
        if ((storing->count > 0 && len > STORE_LEN_MAX) || !lift(import, message)) {
            break;
        }
        storing->count++;
    }
    if (storing->count > 0) {
        storing->sum = (struct range_sum){0};
        storing->has_expiring = false;
        storing->is_busy = true;
        sweep_lend(import->config.sweep, &storing->job, is_late(import));
    }
}
