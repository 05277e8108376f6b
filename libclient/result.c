/* SPDX-License-Identifier: MIT */
#include "libclient/result.h"

#include <stdlib.h>

#include "libclient/value.h"
#include "proto/endian.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/table.h"

enum {
    WRITE_FIELDS = 2,
    PUT_FIELDS = 3,
    INCR_FIELDS = 2,
    RUN_FIELDS = 2,
    BODY_FIELDS_MIN = 5,
    BODY_FIELDS = 7
};

#define FOR_EVER (-1)

/*
 * Copies key and value into the record's memory, which then holds `*found`. New memory, so that a
 * key in the old one may be copied, unless it is there already.
 */
static enum result store(struct skv_record *record, struct skv_record *found)
{
    size_t key_len = found->key.len;
    size_t len = key_len + found->encoded.len;
    uint8_t *memory = record->memory;
    size_t capacity = record->capacity;
    if (capacity < len || !memory) {
        capacity = len > 0 ? len : 1;
        memory = malloc(capacity);
        if (!memory) {
            return RESULT_NO_MEMORY;
        }
    }
    if (key_len > 0) {
        memmove(memory, found->key.data, key_len);
    }
    if (found->encoded.len > 0) {
        memcpy(memory + key_len, found->encoded.data, found->encoded.len);
    }
    if (memory != record->memory) {
        free(record->memory);
    }
    found->key.data = memory;
    found->encoded.data = memory + key_len;
    found->memory = memory;
    found->capacity = capacity;
    *record = *found;
    if (record->encoded.len > 0) {
        record->value = value_decode(bytes_of(record->encoded.data, record->encoded.len));
    }
    return RESULT_FOUND;
}

static struct skv_bytes skv_bytes_of(struct bytes bytes)
{
    return (struct skv_bytes){bytes.data, bytes.len};
}

/* Key, point and id. */
static void name(struct skv_record *record, const struct result_key *key)
{
    bool is_id = table_has_ids(key->table) && key->bytes.len == ID_KEY_LEN;
    record->key = skv_bytes_of(key->bytes);
    record->point = table_point(key->table, key->bytes);
    record->id = is_id ? endian_get_be64(key->bytes.data) : 0;
}

static uint32_t expect_fields(struct unpack *in, uint32_t field_count_min)
{
    uint32_t field_count = unpack_array(in);
    if (field_count < field_count_min) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    return field_count;
}

static int64_t left_ms_of(const struct result_given *given)
{
    if (given->ttl_ms == 0) {
        return FOR_EVER;
    }
    return (int64_t)(given->left_ms > 0 ? given->left_ms : given->ttl_ms);
}

/* [version, size], or the end of [id, version, size]. */
static enum result take_version(struct unpack *in, const struct result_key *key,
                                const struct result_given *given, struct skv_record *record)
{
    struct skv_record found = {
        .ttl_ms = left_ms_of(given),
        .full_ttl_ms = given->ttl_ms,
        .sliding = given->sliding,
        .kind = given->kind,
    };
    name(&found, key);
    found.version = unpack_uint(in);
    found.size = unpack_uint(in);
    if (!unpack_is_fine(in)) {
        return RESULT_MALFORMED;
    }
    return record ? store(record, &found) : RESULT_FOUND;
}

enum result result_of_write(struct bytes encoded, const struct result_key *key,
                            const struct result_given *given, struct skv_record *record)
{
    struct unpack in = unpack_of(encoded);
    (void)expect_fields(&in, WRITE_FIELDS);
    return take_version(&in, key, given, record);
}

enum result result_of_put(struct bytes encoded, const struct result_given *given,
                          struct skv_record *record)
{
    struct unpack in = unpack_of(encoded);
    uint8_t key[ID_KEY_LEN];
    (void)expect_fields(&in, PUT_FIELDS);
    endian_put_be64(key, unpack_uint(&in));
    const struct result_key name_of_it = {bytes_of(key, sizeof(key)), TABLE_ENTITIES};
    return take_version(&in, &name_of_it, given, record);
}

enum result result_of_expire(struct bytes encoded, const struct result_key *key,
                             const struct result_given *given, struct skv_record *record)
{
    struct unpack in = unpack_of(encoded);
    bool is_absent = unpack_peek(&in) == UNPACK_NIL;
    return is_absent ? RESULT_ABSENT : result_of_write(encoded, key, given, record);
}

/*
 * What read, pop and scan have in common: value, version, time left, size, kind, time to live,
 * sliding. An older server's has but the first five.
 */
static void unpack_body(struct unpack *in, uint32_t field_count, struct skv_record *record)
{
    record->encoded = skv_bytes_of(unpack_skip(in));
    record->version = unpack_uint(in);
    record->ttl_ms = unpack_int(in);
    record->size = unpack_uint(in);
    record->kind = (uint16_t)unpack_uint_max(in, UINT16_MAX);
    if (field_count > BODY_FIELDS_MIN) {
        record->full_ttl_ms = unpack_uint(in);
    }
    if (field_count > BODY_FIELDS_MIN + 1) {
        record->sliding = unpack_bool(in);
    }
    for (uint32_t i = BODY_FIELDS; i < field_count && unpack_is_fine(in); i++) {
        (void)unpack_skip(in);
    }
}

enum result result_of_read(struct bytes encoded, const struct result_key *key,
                           struct skv_record *record)
{
    struct unpack in = unpack_of(encoded);
    if (unpack_peek(&in) == UNPACK_NIL) {
        return RESULT_ABSENT;
    }
    struct skv_record found = {0};
    name(&found, key);
    unpack_body(&in, expect_fields(&in, BODY_FIELDS_MIN), &found);
    if (!unpack_is_fine(&in)) {
        return RESULT_MALFORMED;
    }
    return record ? store(record, &found) : RESULT_FOUND;
}

enum result result_of_bool(struct bytes encoded)
{
    struct unpack in = unpack_of(encoded);
    bool is_there = unpack_bool(&in);
    if (!unpack_is_fine(&in)) {
        return RESULT_MALFORMED;
    }
    return is_there ? RESULT_FOUND : RESULT_ABSENT;
}

enum result result_of_incr(struct bytes encoded, const struct result_key *key,
                           struct skv_record *record)
{
    struct unpack in = unpack_of(encoded);
    struct skv_record found = {.ttl_ms = FOR_EVER};
    name(&found, key);
    (void)expect_fields(&in, INCR_FIELDS);
    struct unpack before = in;
    (void)unpack_int(&in); /* it must fit */
    size_t integer_len = (size_t)(in.next - before.next);
    found.encoded = (struct skv_bytes){before.next, integer_len};
    found.version = unpack_uint(&in);
    if (!unpack_is_fine(&in)) {
        return RESULT_MALFORMED;
    }
    return record ? store(record, &found) : RESULT_FOUND;
}

/* Its ids differ in their sequence alone. */
static uint32_t unpack_run(struct unpack *in, uint32_t shard, uint64_t *first)
{
    uint32_t field_count = expect_fields(in, RUN_FIELDS);
    *first = unpack_uint(in);
    uint64_t count = unpack_uint_max(in, ID_SEQUENCE_COUNT - id_sequence(*first));
    for (uint32_t i = RUN_FIELDS; i < field_count && unpack_is_fine(in); i++) {
        (void)unpack_skip(in);
    }
    if (count == 0 || id_shard(*first) != shard) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    return unpack_is_fine(in) ? (uint32_t)count : 0;
}

enum result result_of_mint(struct bytes encoded, uint32_t shard, uint64_t *ids, uint32_t *count)
{
    struct unpack in = unpack_of(encoded);
    uint32_t run_count = unpack_array(&in);
    uint32_t filled = 0;
    for (uint32_t i = 0; i < run_count && unpack_is_fine(&in); i++) {
        uint64_t first;
        uint32_t len = unpack_run(&in, shard, &first);
        if (len > *count - filled || (filled > 0 && first <= ids[filled - 1])) {
            return RESULT_MALFORMED;
        }
        for (uint32_t j = 0; j < len; j++) {
            ids[filled++] = first + j;
        }
    }
    if (!unpack_is_fine(&in) || filled == 0) {
        return RESULT_MALFORMED;
    }
    *count = filled;
    return RESULT_FOUND;
}

enum result result_of_any(struct bytes encoded, struct skv_record *record)
{
    struct skv_record found = {.encoded = skv_bytes_of(encoded)};
    return record ? store(record, &found) : RESULT_FOUND;
}

bool result_unpack_record(struct unpack *in, uint16_t table, struct skv_record *record)
{
    struct skv_record found = {0};
    uint32_t field_count = expect_fields(in, 1 + BODY_FIELDS_MIN);
    struct bytes key = unpack_text(in);
    unpack_body(in, field_count - 1, &found);
    if (!unpack_is_fine(in) || key.len > KEY_LEN_MAX) {
        return false;
    }
    name(&found, &(struct result_key){key, table});
    found.value = value_decode(bytes_of(found.encoded.data, found.encoded.len));
    *record = found;
    return true;
}

void skv_record_fini(struct skv_record *rec)
{
    free(rec->memory);
    *rec = (struct skv_record){0};
}
