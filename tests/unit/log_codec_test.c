/* SPDX-License-Identifier: MIT */
#include "proto/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/hash.h"
#include "tests/unit/dice.h"

#define SALT  UINT64_C(0x1122334455667788)
#define CHAIN UINT64_C(0x99aabbccddeeff00)

static const struct log_segment_header segment = {
    .cluster = "a cluster's id",
    .server = "a server's id",
    .incarnation = 3,
    .number = 0x0102030405060708,
    .first = 0x1112131415161718,
    .previous_last = 0x1112131415161700,
    .previous_chain = CHAIN,
    .salt = SALT,
    .len = 64u << 20,
    .created_ms = UINT64_C(1757000000123),
};

/* --- segments --- */

static void a_segments_header_comes_back_as_it_was(void **state)
{
    (void)state;
    uint8_t bytes[LOG_SEGMENT_HEADER_LEN];
    struct log_segment_header found;
    memset(&found, 0xa5, sizeof found);
    log_segment_header_encode(&segment, bytes);
    assert_int_equal(log_segment_header_decode(bytes, &found), LOG_FINE);
    assert_memory_equal(found.cluster, segment.cluster, ID_LEN);
    assert_memory_equal(found.server, segment.server, ID_LEN);
    assert_int_equal(found.incarnation, segment.incarnation);
    assert_int_equal(found.number, segment.number);
    assert_int_equal(found.first, segment.first);
    assert_int_equal(found.previous_last, segment.previous_last);
    assert_int_equal(found.previous_chain, segment.previous_chain);
    assert_int_equal(found.salt, segment.salt);
    assert_int_equal(found.len, segment.len);
    assert_int_equal(found.created_ms, segment.created_ms);
}

static void a_segments_fields_stand_where_the_header_says(void **state)
{
    (void)state;
    uint8_t bytes[LOG_SEGMENT_HEADER_LEN];
    log_segment_header_encode(&segment, bytes);
    assert_memory_equal(bytes, "shardlog", 8);
    assert_int_equal(endian_get_le32(bytes + 8), 1);
    assert_int_equal(endian_get_le32(bytes + 12),
                     hash_bytes(bytes_of(bytes + 16, 104)) & UINT32_MAX);
    assert_memory_equal(bytes + 16, segment.cluster, ID_LEN);
    assert_memory_equal(bytes + 32, segment.server, ID_LEN);
    const uint64_t numbers[] = {3,
                                segment.number,
                                segment.first,
                                segment.previous_last,
                                CHAIN,
                                SALT,
                                segment.len,
                                segment.created_ms,
                                0,
                                0};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(endian_get_le64(bytes + 48 + 8 * i), numbers[i]);
    }
}

static void any_flipped_bit_of_a_segments_header_is_noticed(void **state)
{
    (void)state;
    uint8_t bytes[LOG_SEGMENT_HEADER_LEN];
    struct log_segment_header found = {0};
    log_segment_header_encode(&segment, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum log_fault fault = log_segment_header_decode(bytes, &found);
        enum log_fault expected = bit < 64   ? LOG_NOT_A_SEGMENT
                                  : bit < 96 ? LOG_NEWER_FORMAT
                                             : LOG_DAMAGED;
        assert_int_equal(fault, expected);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(found.number, 0);
}

static void a_newer_format_is_told_from_damage(void **state)
{
    (void)state;
    uint8_t bytes[LOG_SEGMENT_HEADER_LEN];
    struct log_segment_header found;
    log_segment_header_encode(&segment, bytes);
    endian_put_le32(bytes + 8, LOG_FORMAT + 1);
    assert_int_equal(log_segment_header_decode(bytes, &found), LOG_NEWER_FORMAT);
    bytes[20] ^= 1;
    assert_int_equal(log_segment_header_decode(bytes, &found), LOG_DAMAGED);
}

/* --- which segment is the newest --- */

static void put_newest(uint8_t file[LOG_NEWEST_LEN], uint64_t number)
{
    log_newest_encode(number, file + number % 2 * LOG_NEWEST_SLOT_LEN);
}

static void the_newest_of_both_slots_counts(void **state)
{
    (void)state;
    uint8_t file[LOG_NEWEST_LEN] = {0};
    uint64_t number = 99;
    assert_false(log_newest_decode(bytes_of(file, sizeof file), &number));
    assert_int_equal(number, 99);
    for (uint64_t i = 0; i < 5; i++) {
        put_newest(file, i);
        assert_true(log_newest_decode(bytes_of(file, sizeof file), &number));
        assert_int_equal(number, i);
    }
    put_newest(file, UINT64_MAX);
    assert_true(log_newest_decode(bytes_of(file, sizeof file), &number));
    assert_int_equal(number, UINT64_MAX);
}

static void a_slots_fields_stand_where_the_header_says(void **state)
{
    (void)state;
    uint8_t slot[LOG_NEWEST_SLOT_LEN];
    memset(slot, 0xa5, sizeof slot);
    log_newest_encode(0x0102030405060708, slot);
    assert_memory_equal(slot, "shardnew", 8);
    assert_int_equal(endian_get_le32(slot + 8), 1);
    assert_int_equal(endian_get_le32(slot + 12), hash_bytes(bytes_of(slot + 16, 8)) & UINT32_MAX);
    assert_int_equal(endian_get_le64(slot + 16), 0x0102030405060708);
    for (size_t i = 24; i < sizeof slot; i++) {
        assert_int_equal(slot[i], 0);
    }
}

/* Then the other slot tells, of the one before. */
static void a_slot_with_any_flipped_bit_does_not_count(void **state)
{
    (void)state;
    uint8_t file[LOG_NEWEST_LEN];
    uint64_t number = 0;
    put_newest(file, 6);
    put_newest(file, 7);
    for (size_t bit = 0; bit < 8 * sizeof file; bit++) {
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(log_newest_decode(bytes_of(file, sizeof file), &number));
        assert_int_equal(number, bit / 8 < LOG_NEWEST_SLOT_LEN ? 7 : 6);
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void
a_slot_in_the_place_of_the_other_or_a_file_of_another_length_does_not_count(void **state)
{
    (void)state;
    uint8_t file[LOG_NEWEST_LEN + 1] = {0};
    uint64_t number = 0;
    log_newest_encode(7, file);
    assert_false(log_newest_decode(bytes_of(file, LOG_NEWEST_LEN), &number));
    put_newest(file, 7);
    assert_true(log_newest_decode(bytes_of(file, LOG_NEWEST_LEN), &number));
    for (size_t len = 0; len < LOG_NEWEST_LEN; len++) {
        assert_false(log_newest_decode(bytes_of(file, len), &number));
    }
    assert_false(log_newest_decode(bytes_of(file, sizeof file), &number));
}

/* --- operations --- */

static bool ops_equal(const struct log_op *a, const struct log_op *b)
{
    return a->kind == b->kind && a->is_sliding == b->is_sliding && a->table == b->table &&
           a->record_kind == b->record_kind && a->point == b->point && a->version == b->version &&
           a->expiry_ms == b->expiry_ms && a->ttl_ms == b->ttl_ms && bytes_equal(a->key, b->key) &&
           bytes_equal(a->value, b->value);
}

/* All kinds with every combination of the optional fields; short, long and no keys and values. */
static struct log_op sample(unsigned number)
{
    static const uint8_t filling[2048] = {1, 2, 3};
    static const size_t key_lens[] = {1, 0, KEY_LEN_MAX};
    static const size_t value_lens[] = {0, 1, sizeof filling};
    return (struct log_op){
        .kind = (enum log_kind)(LOG_PUT + number % 7),
        .is_sliding = number & 1,
        .table = (uint16_t)(number * 257),
        .record_kind = (uint16_t)(number * 17),
        .point = number * UINT64_C(0x9e3779b97f4a7c15),
        .version = number & 2 ? UINT64_MAX - number : 0,
        .expiry_ms = number & 4 ? 1000 + number : 0,
        .ttl_ms = number & 8 ? UINT64_MAX : 0,
        .key = {filling, key_lens[number % 3]},
        .value = {filling, value_lens[number / 3 % 3]},
    };
}

enum { SAMPLE_COUNT = 7 * 16 * 9 };

static void every_operation_comes_back_as_it_was(void **state)
{
    (void)state;
    struct buffer out = {0};
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        const struct log_op op = sample(i);
        log_op_encode(&op, &out);
    }
    struct bytes rest = buffer_bytes(&out);
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        const struct log_op op = sample(i);
        struct log_op found;
        memset(&found, 0xa5, sizeof found);
        assert_true(log_op_next(&rest, &found));
        assert_true(ops_equal(&op, &found));
    }
    struct log_op none;
    assert_false(log_op_next(&rest, &none));
    assert_int_equal(rest.len, 0);
    buffer_fini(&out);
}

static void an_operations_fields_stand_where_the_header_says(void **state)
{
    (void)state;
    const struct log_op op = {
        .kind = LOG_TOUCH,
        .is_sliding = true,
        .table = 0x0102,
        .record_kind = 0x0304,
        .point = UINT64_C(0x05060708090a0b0c),
        .version = 0x11,
        .expiry_ms = 0x22,
        .ttl_ms = 0x33,
        .key = {"key", 3},
        .value = {"value", 5},
    };
    static const uint8_t expected[] = {
        5,    7, 2,    1, 3, 0, 4, 3, 5,   0,   0,    0,   12,  11,  10,  9,  8, 7,
        6,    5, 0x11, 0, 0, 0, 0, 0, 0,   0,   0x22, 0,   0,   0,   0,   0,  0, 0,
        0x33, 0, 0,    0, 0, 0, 0, 0, 'k', 'e', 'y',  'v', 'a', 'l', 'u', 'e'};
    struct buffer out = {0};
    log_op_encode(&op, &out);
    assert_int_equal(out.len, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    buffer_fini(&out);
}

static void every_shorter_operation_is_a_fault(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SAMPLE_COUNT; i++) {
        struct buffer out = {0};
        const struct log_op op = sample(i);
        log_op_encode(&op, &out);
        for (size_t len = 1; len < out.len; len++) {
            uint8_t *exact = malloc(len);
            assert_non_null(exact);
            memcpy(exact, out.data, len);
            struct bytes rest = bytes_of(exact, len);
            struct log_op found;
            assert_false(log_op_next(&rest, &found));
            assert_int_equal(rest.len, len);
            free(exact);
        }
        buffer_fini(&out);
    }
}

static void kinds_flags_and_lengths_that_cannot_be_are_faults(void **state)
{
    (void)state;
    struct buffer out = {0};
    const struct log_op op = {.kind = LOG_PUT, .key = {"k", 1}, .value = {"v", 1}};
    log_op_encode(&op, &out);
    static const struct {
        size_t at;
        uint8_t value;
    } faults[] = {
        {0, 0}, {0, 8}, {0, 0xff}, {1, 8}, {1, 0x80}, {4, 0xff}, {5, 1}, {8, 0xff}, {11, 0xff},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        uint8_t was = out.data[faults[i].at];
        out.data[faults[i].at] = faults[i].value;
        struct bytes rest = buffer_bytes(&out);
        struct log_op found;
        assert_false(log_op_next(&rest, &found));
        assert_int_equal(rest.len, out.len);
        out.data[faults[i].at] = was;
    }
    buffer_fini(&out);
}

static void a_key_longer_than_any_is_a_fault_even_if_it_is_there(void **state)
{
    (void)state;
    uint8_t bytes[20 + KEY_LEN_MAX + 1] = {LOG_PUT};
    struct bytes rest = bytes_of(bytes, sizeof bytes);
    struct log_op found;
    endian_put_le16(bytes + 4, KEY_LEN_MAX + 1);
    assert_false(log_op_next(&rest, &found));
    endian_put_le16(bytes + 4, KEY_LEN_MAX);
    assert_true(log_op_next(&rest, &found));
    assert_int_equal(rest.len, 1);
}

/* --- accounts --- */

static void accounts_come_back_and_the_rest_begins_behind_them(void **state)
{
    (void)state;
    struct buffer payload = {0};
    for (uint64_t i = 1; i <= 3; i++) {
        const struct log_account account = {i, 10 * i, 100 * i, 1000 * i};
        log_account_encode(&account, &payload);
    }
    buffer_append(&payload, "blob", 4);
    struct log_record_header header = {.account_count = 3};
    struct bytes accounts, rest;
    assert_true(log_payload_split(&header, buffer_bytes(&payload), &accounts, &rest));
    assert_true(bytes_equal(rest, bytes_text("blob")));
    struct log_account account;
    for (uint64_t i = 1; i <= 3; i++) {
        assert_true(log_account_next(&accounts, &account));
        assert_int_equal(account.start, i);
        assert_int_equal(account.epoch, 10 * i);
        assert_int_equal(account.used, 100 * i);
        assert_int_equal(account.records, 1000 * i);
    }
    assert_false(log_account_next(&accounts, &account));
    assert_int_equal(accounts.len, 0);
    buffer_fini(&payload);
}

static void more_accounts_than_the_payload_holds_are_a_fault(void **state)
{
    (void)state;
    uint8_t bytes[2 * LOG_ACCOUNT_LEN] = {0};
    struct log_record_header header = {.account_count = 2};
    struct bytes accounts, rest;
    for (size_t len = 0; len < sizeof bytes; len++) {
        assert_false(log_payload_split(&header, bytes_of(bytes, len), &accounts, &rest));
    }
    assert_true(log_payload_split(&header, bytes_of(bytes, sizeof bytes), &accounts, &rest));
    assert_int_equal(rest.len, 0);
    header.account_count = UINT16_MAX;
    assert_false(log_payload_split(&header, bytes_of(bytes, sizeof bytes), &accounts, &rest));
    header.account_count = 0;
    assert_true(log_payload_split(&header, bytes_of(NULL, 0), &accounts, &rest));
    assert_int_equal(accounts.len + rest.len, 0);
}

static void a_short_account_is_a_fault(void **state)
{
    (void)state;
    uint8_t bytes[LOG_ACCOUNT_LEN] = {0};
    struct log_account account;
    for (size_t len = 1; len < sizeof bytes; len++) {
        struct bytes rest = bytes_of(bytes, len);
        assert_false(log_account_next(&rest, &account));
        assert_int_equal(rest.len, len);
    }
}

/* --- records --- */

struct stored {
    uint8_t header[LOG_RECORD_HEADER_LEN];
    struct log_record_header fields;
    struct buffer payload;
};

static struct stored stored_record(void)
{
    struct stored stored = {
        .fields = {.first = 0x0102030405060708,
                   .durable = 0x0102030405060700,
                   .count = 7,
                   .type = LOG_OPERATIONS,
                   .flags = 0,
                   .account_count = 0},
    };
    for (unsigned i = 0; i < 7; i++) {
        const struct log_op op = sample(i);
        log_op_encode(&op, &stored.payload);
    }
    log_record_header_encode(&stored.fields, buffer_bytes(&stored.payload), CHAIN, SALT,
                             stored.header);
    return stored;
}

static bool is_whole(const struct stored *stored, uint64_t salt)
{
    struct log_record_header found;
    return log_record_header_decode(stored->header, salt, &found) &&
           log_payload_is_intact(&found, buffer_bytes(&stored->payload), salt);
}

static void a_records_header_comes_back_as_it_was(void **state)
{
    (void)state;
    struct stored stored = stored_record();
    struct log_record_header found;
    memset(&found, 0xa5, sizeof found);
    assert_true(log_record_header_decode(stored.header, SALT, &found));
    assert_int_equal(found.payload_len, stored.payload.len);
    assert_int_equal(found.first, stored.fields.first);
    assert_int_equal(found.durable, stored.fields.durable);
    assert_int_equal(found.count, 7);
    assert_int_equal(found.type, LOG_OPERATIONS);
    assert_int_equal(found.flags, 0);
    assert_int_equal(found.account_count, 0);
    assert_int_equal(found.payload_checksum, stored.fields.payload_checksum);
    assert_int_equal(found.chain, log_chain(stored.header, CHAIN));
    assert_true(log_payload_is_intact(&found, buffer_bytes(&stored.payload), SALT));
    buffer_fini(&stored.payload);
}

static void a_records_fields_stand_where_the_header_says(void **state)
{
    (void)state;
    struct stored stored = stored_record();
    const uint8_t *in = stored.header;
    assert_int_equal(endian_get_le32(in),
                     hash_bytes_seeded(bytes_of(in + 4, 44), SALT) & UINT32_MAX);
    assert_int_equal(endian_get_le32(in + 4), stored.payload.len);
    assert_int_equal(endian_get_le64(in + 8), stored.fields.first);
    assert_int_equal(endian_get_le64(in + 16), stored.fields.durable);
    assert_int_equal(endian_get_le32(in + 24), 7);
    assert_int_equal(in[28], LOG_OPERATIONS);
    assert_int_equal(in[29], 0);
    assert_int_equal(endian_get_le16(in + 30), 0);
    assert_int_equal(endian_get_le64(in + 32),
                     hash_bytes_seeded(buffer_bytes(&stored.payload), SALT));
    assert_int_equal(endian_get_le64(in + 40), hash_bytes_seeded(bytes_of(in + 4, 36), CHAIN));
    buffer_fini(&stored.payload);
}

static void any_flipped_bit_of_header_or_payload_is_noticed(void **state)
{
    (void)state;
    struct stored stored = stored_record();
    for (size_t bit = 0; bit < 8 * (LOG_RECORD_HEADER_LEN + stored.payload.len); bit++) {
        size_t at = bit / 8;
        uint8_t *byte = at < LOG_RECORD_HEADER_LEN
                            ? &stored.header[at]
                            : &stored.payload.data[at - LOG_RECORD_HEADER_LEN];
        *byte ^= (uint8_t)(1u << bit % 8);
        assert_false(is_whole(&stored, SALT));
        *byte ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(is_whole(&stored, SALT));
    buffer_fini(&stored.payload);
}

static void another_salt_or_length_is_noticed(void **state)
{
    (void)state;
    struct stored stored = stored_record();
    assert_false(is_whole(&stored, SALT + 1));
    assert_false(is_whole(&stored, 0));
    stored.payload.len--;
    assert_false(is_whole(&stored, SALT));
    buffer_fini(&stored.payload);
}

static void a_length_beyond_all_bounds_is_refused_though_the_checksum_holds(void **state)
{
    (void)state;
    struct stored stored = stored_record();
    static const uint32_t lens[] = {LOG_PAYLOAD_LEN_MAX, LOG_PAYLOAD_LEN_MAX + 1, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct log_record_header found;
        endian_put_le32(stored.header + 4, lens[i]);
        endian_put_le32(stored.header,
                        (uint32_t)hash_bytes_seeded(bytes_of(stored.header + 4, 44), SALT));
        assert_int_equal(log_record_header_decode(stored.header, SALT, &found), i == 0);
    }
    buffer_fini(&stored.payload);
}

static void the_chain_tells_order(void **state)
{
    (void)state;
    struct stored a = stored_record();
    struct stored b = stored_record();
    assert_int_equal(log_chain(a.header, CHAIN), log_chain(b.header, CHAIN));
    b.fields.first++;
    log_record_header_encode(&b.fields, buffer_bytes(&b.payload), CHAIN, SALT, b.header);
    assert_int_not_equal(log_chain(b.header, log_chain(a.header, CHAIN)),
                         log_chain(a.header, log_chain(b.header, CHAIN)));
    buffer_fini(&a.payload);
    buffer_fini(&b.payload);
}

static void lengths_are_rounded_up_to_eight(void **state)
{
    (void)state;
    assert_int_equal(log_record_len(0), 48);
    assert_int_equal(log_record_len(1), 56);
    assert_int_equal(log_record_len(8), 56);
    assert_int_equal(log_record_len(9), 64);
    const struct log_record_header three = {.first = 10, .count = 3};
    const struct log_record_header none = {.first = 10, .count = 0};
    assert_int_equal(log_record_last(&three), 12);
    assert_int_equal(log_record_last(&none), 9);
}

static void random_bytes_are_read_without_harm(void **state)
{
    (void)state;
    struct dice dice = dice_of(7);
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t len = dice_below(&dice, sizeof bytes + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(dice_below(&dice, 3) ? dice_below(&dice, 8) : dice_roll(&dice));
        }
        struct bytes rest = bytes_of(bytes, len);
        struct log_op op;
        size_t before = len + 1;
        while (log_op_next(&rest, &op)) {
            assert_true(rest.len < before && op.key.len + op.value.len <= len);
            before = rest.len;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segments_header_comes_back_as_it_was),
        cmocka_unit_test(a_segments_fields_stand_where_the_header_says),
        cmocka_unit_test(any_flipped_bit_of_a_segments_header_is_noticed),
        cmocka_unit_test(a_newer_format_is_told_from_damage),
        cmocka_unit_test(the_newest_of_both_slots_counts),
        cmocka_unit_test(a_slots_fields_stand_where_the_header_says),
        cmocka_unit_test(a_slot_with_any_flipped_bit_does_not_count),
        cmocka_unit_test(
            a_slot_in_the_place_of_the_other_or_a_file_of_another_length_does_not_count),
        cmocka_unit_test(every_operation_comes_back_as_it_was),
        cmocka_unit_test(an_operations_fields_stand_where_the_header_says),
        cmocka_unit_test(every_shorter_operation_is_a_fault),
        cmocka_unit_test(kinds_flags_and_lengths_that_cannot_be_are_faults),
        cmocka_unit_test(a_key_longer_than_any_is_a_fault_even_if_it_is_there),
        cmocka_unit_test(accounts_come_back_and_the_rest_begins_behind_them),
        cmocka_unit_test(more_accounts_than_the_payload_holds_are_a_fault),
        cmocka_unit_test(a_short_account_is_a_fault),
        cmocka_unit_test(a_records_header_comes_back_as_it_was),
        cmocka_unit_test(a_records_fields_stand_where_the_header_says),
        cmocka_unit_test(any_flipped_bit_of_header_or_payload_is_noticed),
        cmocka_unit_test(another_salt_or_length_is_noticed),
        cmocka_unit_test(a_length_beyond_all_bounds_is_refused_though_the_checksum_holds),
        cmocka_unit_test(the_chain_tells_order),
        cmocka_unit_test(lengths_are_rounded_up_to_eight),
        cmocka_unit_test(random_bytes_are_read_without_harm),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
