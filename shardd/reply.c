/* SPDX-License-Identifier: MIT */
#include "shardd/reply.h"

#include <assert.h>
#include <stdio.h>

#include "proto/endian.h"
#include "proto/pack.h"
#include "proto/rpc.h"
#include "proto/table.h"
#include "shardd/arguments.h"

enum { TEXT_LEN = 512, SHOWN_KEY_LEN = SHOWN_TEXT_LEN + 8 };

static void reply_wrong_shard(struct buffer *out, uint32_t msgid, uint64_t revision,
                              const struct map_entry *entry)
{
    char text[TEXT_LEN];
    char address[ADDRESS_TEXT_LEN];
    address_print(&entry->address, address);
    (void)snprintf(text, sizeof(text), "shard %s is at %s", entry->name, address);
    rpc_error(out, msgid, STATUS_WRONG_SHARD, text);
    pack_array(out, 2);
    pack_uint(out, revision);
    map_pack_entry(entry, out);
    rpc_error_end(out);
}

void reply_missing_begin(struct buffer *out, uint32_t msgid, const struct map_entry *entry)
{
    char text[TEXT_LEN];
    (void)snprintf(text, sizeof(text), "the data of %s%s, expected here, is not here",
                   entry ? "shard " : "this server", entry ? entry->name : "");
    rpc_error(out, msgid, STATUS_DATA_MISSING, text);
}

static void reply_restored_begin(struct buffer *out, uint32_t msgid, const struct map_entry *entry)
{
    char text[TEXT_LEN];
    (void)snprintf(text, sizeof(text),
                   "this server has a restored copy of its data, older than what was acknowledged: "
                   "bring the newer data back, or take it as it is with: shardkv shard reset %s "
                   "--accept-loss",
                   entry ? entry->name : "NAME");
    rpc_error(out, msgid, STATUS_DATA_MISSING, text);
}

void reply_not_owned(struct buffer *out, uint32_t msgid, const struct ownership *ownership,
                     enum status status, const struct map_entry *entry)
{
    if (status == STATUS_WRONG_SHARD) {
        reply_wrong_shard(out, msgid, ownership->map.revision, entry);
        return;
    }
    if (status == STATUS_DATA_MISSING && ownership->is_restored) {
        reply_restored_begin(out, msgid, entry);
    } else if (status == STATUS_DATA_MISSING) {
        reply_missing_begin(out, msgid, entry);
    } else {
        rpc_error(out, msgid, status, "this server has no map yet");
    }
    pack_nil(out);
    rpc_error_end(out);
}

/* `key`: of a record of this table, or empty. */
static void show_key(uint16_t table, struct bytes key, char shown[SHOWN_KEY_LEN])
{
    if (table_has_ids(table) && key.len == ID_KEY_LEN) {
        (void)snprintf(shown, SHOWN_KEY_LEN, "id %llu",
                       (unsigned long long)endian_get_be64(key.data));
    } else {
        char name[SHOWN_TEXT_LEN];
        show_name(key, name);
        (void)snprintf(shown, SHOWN_KEY_LEN, "key \"%s\"", name);
    }
}

/* Of a scan: which record it is. */
static void print_damaged(uint16_t table, const struct outcome *outcome, char text[TEXT_LEN])
{
    struct unpack in = unpack_of(outcome->value);
    char shown[SHOWN_KEY_LEN];
    (void)unpack_array(&in);
    uint64_t point = unpack_uint(&in);
    show_key(table, unpack_text(&in), shown);
    (void)snprintf(text, TEXT_LEN, "%s: %s, point 0x%016llx", outcome_text(outcome), shown,
                   (unsigned long long)point);
}

/* What to do about it, only the server knows: who has a shard that evicts is not to delete records. */
static void print_full(const struct outcome *outcome, const char *name, char text[TEXT_LEN])
{
    unsigned long long limit = outcome->limit;
    const char *shard = name ? name : "?";
    if (outcome->reason == OP_REASON_NONE) {
        (void)snprintf(
            text, TEXT_LEN,
            "shard %s is full: %llu of %llu bytes are used; delete records, or give it a "
            "larger size",
            shard, (unsigned long long)outcome->used, limit);
    } else if (outcome->reason == OP_REASON_RECORD_LARGER) {
        (void)snprintf(
            text, TEXT_LEN,
            "the record takes %llu bytes, and shard %s has %llu in all: give it a larger "
            "size",
            (unsigned long long)outcome->size, shard, limit);
    } else {
        (void)snprintf(text, TEXT_LEN, "%s", outcome_text(outcome));
    }
}

static void reply_error(struct buffer *out, const struct op *op, const struct outcome *outcome,
                        const char *name)
{
    bool is_full = outcome->status == STATUS_FULL;
    bool is_damaged = outcome->status == STATUS_DAMAGED && outcome->value.len > 0;
    char text[TEXT_LEN];
    if (is_full) {
        print_full(outcome, name, text);
    } else if (is_damaged) {
        print_damaged(op->table, outcome, text);
    } else {
        (void)snprintf(text, sizeof(text), "%s", outcome_text(outcome));
    }
    rpc_error(out, op->reply_id, outcome->status, text);
    if (is_full) {
        pack_array(out, 2);
        pack_uint(out, outcome->used);
        pack_uint(out, outcome->limit);
    } else if (outcome->status == STATUS_CONDITION) {
        pack_array(out, 1);
        pack_uint(out, outcome->version);
    } else if (is_damaged) {
        pack_encoded(out, outcome->value);
    } else {
        pack_nil(out);
    }
    rpc_error_end(out);
}

static void pack_record(struct buffer *out, const struct outcome *outcome)
{
    if (!outcome->was_there) {
        pack_nil(out);
        return;
    }
    pack_array(out, 7);
    pack_encoded(out, outcome->value);
    pack_uint(out, outcome->version);
    pack_int(out, outcome->left_ms);
    pack_uint(out, outcome->size);
    pack_uint(out, outcome->kind);
    pack_uint(out, outcome->ttl_ms);
    pack_bool(out, outcome->is_sliding);
}

static void pack_written(struct buffer *out, const struct outcome *outcome)
{
    pack_array(out, 2);
    pack_uint(out, outcome->version);
    pack_uint(out, outcome->size);
}

void reply_outcome(struct buffer *out, const struct op *op, const struct outcome *outcome,
                   const char *name)
{
    assert(outcome->status != STATUS_WRONG_SHARD);
    if (outcome->status != STATUS_OK) {
        reply_error(out, op, outcome, name);
        return;
    }
    rpc_response(out, op->reply_id);
    switch (op->kind) {
    case OP_READ:
    case OP_POP:
        pack_record(out, outcome);
        break;
    case OP_EXISTS:
    case OP_DELETE:
        pack_bool(out, outcome->was_there);
        break;
    case OP_SCAN:
        pack_encoded(out, outcome->value);
        break;
    case OP_WRITE:
        pack_written(out, outcome);
        break;
    case OP_EXPIRE:
        if (outcome->was_there) {
            pack_written(out, outcome);
        } else {
            pack_nil(out);
        }
        break;
    case OP_INCR:
        pack_array(out, 2);
        pack_int(out, outcome->integer);
        pack_uint(out, outcome->version);
        break;
    case OP_MINT:
        pack_encoded(out, outcome->value);
        break;
    case OP_PUT:
        pack_array(out, 3);
        pack_uint(out, (uint64_t)outcome->integer);
        pack_uint(out, outcome->version);
        pack_uint(out, outcome->size);
        break;
    case OP_DONE:
    case OP_REAP: /* the store's own, as the next: nobody waits for them */
    case OP_EVICT:
        pack_nil(out);
        break;
    }
}
