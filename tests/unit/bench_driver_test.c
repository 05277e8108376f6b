/* SPDX-License-Identifier: MIT */
#include "cli/bench_driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/map.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/rpc.h"

#define VALUE_LEN 100

static const uint8_t value[VALUE_LEN] = {0xc1, 'v', [VALUE_LEN - 1] = 'z'};

static struct bench_request request_of(enum bench_method method, uint32_t slot)
{
    struct bench_request request = {.method = method, .slot = slot, .value = value, .limit = 7};
    bench_key_print(0xabc, request.key);
    return request;
}

static struct buffer encoded(const struct bench_driver *driver, enum bench_method method,
                             uint32_t slot)
{
    struct buffer out = {0};
    struct bench_request request = request_of(method, slot);
    bench_driver_encode(driver, &request, &out);
    assert_false(out.failed);
    return out;
}

static void assert_text(const struct buffer *buffer, const char *text)
{
    assert_true(bytes_equal(buffer_bytes(buffer), bytes_text(text)));
}

/* At its exact length a reply is whole, and every shorter one is partial, wherever it is cut. */
static void assert_no_prefix_is_whole(const struct bench_driver *driver, struct bytes reply_bytes)
{
    struct bench_reply reply;
    for (size_t len = 0; len < reply_bytes.len; len++) {
        /* Of its own, so that reading behind its end is noticed. */
        uint8_t *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, reply_bytes.data, len);
        assert_int_equal(bench_driver_decode(driver, bytes_of(copy, len), &reply),
                         BENCH_DECODED_PARTIAL);
        free(copy);
    }
    assert_int_equal(bench_driver_decode(driver, reply_bytes, &reply), BENCH_DECODED_WHOLE);
    assert_int_equal(reply.len, reply_bytes.len);
}

static void keys_are_16_digits(void **state)
{
    uint8_t key[BENCH_KEY_LEN];
    (void)state;
    bench_key_print(UINT64_C(0x123456789abcdef0), key);
    assert_memory_equal(key, "123456789abcdef0", sizeof(key));
    bench_key_print(42, key);
    assert_memory_equal(key, "000000000000002a", sizeof(key));
}

/* --- shardkv --- */

static struct rpc_message message_of(const struct buffer *frame)
{
    struct rpc_message message;
    assert_int_equal(rpc_decode(buffer_bytes(frame), &message), UNPACK_FINE);
    assert_int_equal(message.type, RPC_REQUEST);
    return message;
}

static void shardkv_requests_are_those_of_the_protocol(void **state)
{
    struct bench_driver driver;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 128));
    struct buffer read = encoded(&driver, BENCH_METHOD_READ, 127);
    struct rpc_message message = message_of(&read);
    assert_int_equal(message.msgid, 127);
    assert_true(bytes_equal(message.method, bytes_text("read")));
    struct unpack in = unpack_of(message.params);
    assert_int_equal(unpack_array(&in), 1);
    assert_true(bytes_equal(unpack_text(&in), bytes_text("0000000000000abc")));
    assert_true(unpack_is_done(&in));
    struct buffer write = encoded(&driver, BENCH_METHOD_WRITE, 5);
    message = message_of(&write);
    assert_int_equal(message.msgid, 5);
    assert_true(bytes_equal(message.method, bytes_text("write")));
    in = unpack_of(message.params);
    assert_int_equal(unpack_array(&in), 2);
    assert_true(bytes_equal(unpack_text(&in), bytes_text("0000000000000abc")));
    assert_int_equal(unpack_peek(&in), UNPACK_BIN);
    assert_true(bytes_equal(unpack_text(&in), bytes_of(value, sizeof(value))));
    assert_true(unpack_is_done(&in));
    buffer_fini(&read);
    buffer_fini(&write);
    bench_driver_fini(&driver);
}

static void shardkv_scans_begin_at_the_keys_point(void **state)
{
    struct bench_driver driver;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 1));
    struct buffer scan = encoded(&driver, BENCH_METHOD_SCAN, 0);
    struct rpc_message message = message_of(&scan);
    struct unpack in = unpack_of(message.params);
    assert_true(bytes_equal(message.method, bytes_text("scan")));
    assert_int_equal(unpack_array(&in), 3);
    assert_true(unpack_uint(&in) == point_of_key(bytes_text("0000000000000abc")));
    unpack_nil(&in);
    assert_int_equal(unpack_map(&in), 1);
    assert_true(bytes_equal(unpack_text(&in), bytes_text("limit")));
    assert_int_equal(unpack_uint(&in), 7);
    assert_true(unpack_is_done(&in));
    buffer_fini(&scan);
    bench_driver_fini(&driver);
}

static void shardkv_slots_beyond_a_fixint_take_more_bytes_and_come_back(void **state)
{
    struct bench_driver driver;
    const uint32_t slots[] = {0, 1, 255, 256, BENCH_SLOTS_MAX - 1};
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, BENCH_SLOTS_MAX));
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        struct buffer write = encoded(&driver, BENCH_METHOD_WRITE, slots[i]);
        struct buffer answer = {0};
        struct bench_reply reply;
        rpc_response(&answer, message_of(&write).msgid);
        pack_bool(&answer, true);
        assert_no_prefix_is_whole(&driver, buffer_bytes(&answer));
        (void)bench_driver_decode(&driver, buffer_bytes(&answer), &reply);
        assert_int_equal(reply.slot, slots[i]);
        buffer_fini(&write);
        buffer_fini(&answer);
    }
    bench_driver_fini(&driver);
}

static struct buffer encoded_at(const struct bench_driver *driver, enum bench_method method,
                                uint64_t point)
{
    struct buffer out = {0};
    struct bench_request request = {.method = method, .slot = 9, .point = point, .value = value};
    bench_driver_encode(driver, &request, &out);
    assert_false(out.failed);
    return out;
}

static void a_shardkv_mint_asks_for_so_many_ids_at_a_point(void **state)
{
    static const uint64_t points[] = {0, UINT64_C(0x0123456789abcdef), UINT64_MAX};
    struct bench_driver driver;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    assert_true(bench_shardkv_add_ids(&driver, 65536, BENCH_DOCUMENT_LEN_MIN));
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        struct buffer mint = encoded_at(&driver, BENCH_METHOD_MINT, points[i]);
        struct rpc_message message = message_of(&mint);
        struct unpack in = unpack_of(message.params);
        assert_int_equal(message.msgid, 9);
        assert_true(bytes_equal(message.method, bytes_text("mint")));
        assert_int_equal(unpack_array(&in), 2);
        assert_true(unpack_uint(&in) == points[i]);
        assert_int_equal(unpack_uint(&in), 65536);
        assert_true(unpack_is_done(&in));
        buffer_fini(&mint);
    }
    bench_driver_fini(&driver);
}

/* A bin's head grows at 256 and 65,536 bytes. */
static void a_shardkv_put_has_a_document_of_just_so_many_bytes(void **state)
{
    static const size_t lens[] = {
        BENCH_DOCUMENT_LEN_MIN, 6, 100, 260, 261, 262, 263, 65541, 65542, 65543, 65544};
    static uint8_t bytes[70000] = {1, 2, 3};
    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct bench_driver driver;
        struct buffer put = {0};
        assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
        assert_true(bench_shardkv_add_ids(&driver, 1, lens[i]));
        struct bench_request request = {
            .method = BENCH_METHOD_PUT, .slot = 9, .point = 77, .value = bytes};
        bench_driver_encode(&driver, &request, &put);
        struct rpc_message message = message_of(&put);
        struct unpack in = unpack_of(message.params);
        assert_true(bytes_equal(message.method, bytes_text("put")));
        assert_int_equal(unpack_array(&in), 3);
        assert_int_equal(unpack_uint(&in), 77);
        assert_true(unpack_uint(&in) <= UINT16_MAX);
        assert_int_equal((size_t)(in.end - in.next), lens[i]);
        assert_int_equal(unpack_map(&in), 1);
        (void)unpack_text(&in);
        struct bytes bin = unpack_text(&in);
        assert_memory_equal(bin.data, bytes, bin.len);
        assert_true(unpack_is_done(&in));
        buffer_fini(&put);
        bench_driver_fini(&driver);
    }
}

static void a_shardkv_reply_has_its_result(void **state)
{
    static const uint32_t slot_counts[] = {16, BENCH_SLOTS_MAX};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bench_driver driver;
        struct buffer answer = {0};
        struct bench_reply reply;
        assert_true(bench_shardkv_init(&driver, VALUE_LEN, slot_counts[i]));
        rpc_response(&answer, driver.slot_first + 9);
        size_t head_len = answer.len;
        pack_array(&answer, 1);
        pack_uint(&answer, 7);
        size_t len = answer.len;
        pack_nil(&answer); /* the next one's beginning */
        assert_int_equal(bench_driver_decode(&driver, buffer_bytes(&answer), &reply),
                         BENCH_DECODED_WHOLE);
        assert_true(bytes_equal(reply.whole, bytes_of(answer.data, len)));
        assert_true(bytes_equal(reply.result, bytes_of(answer.data + head_len, len - head_len)));
        buffer_fini(&answer);
        bench_driver_fini(&driver);
    }
}

static void pack_record(struct buffer *out, uint32_t msgid)
{
    rpc_response(out, msgid);
    pack_array(out, 5);
    pack_bin(out, bytes_of(value, sizeof(value)));
    pack_uint(out, UINT64_MAX);
    pack_int(out, -1);
    pack_uint(out, 180);
    pack_uint(out, 0);
}

static void no_prefix_of_a_shardkv_reply_is_whole(void **state)
{
    struct bench_driver driver;
    struct buffer answer = {0};
    struct bench_reply reply;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    pack_record(&answer, 9);
    assert_no_prefix_is_whole(&driver, buffer_bytes(&answer));
    (void)bench_driver_decode(&driver, buffer_bytes(&answer), &reply);
    assert_int_equal(reply.slot, 9);
    assert_false(reply.is_error || reply.is_missing);
    buffer_fini(&answer);
    bench_driver_fini(&driver);
}

static void a_shardkv_reply_without_record_is_missing(void **state)
{
    struct bench_driver driver;
    struct buffer answer = {0};
    struct bench_reply reply;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    rpc_response(&answer, 3);
    pack_nil(&answer);
    assert_no_prefix_is_whole(&driver, buffer_bytes(&answer));
    (void)bench_driver_decode(&driver, buffer_bytes(&answer), &reply);
    assert_true(reply.is_missing);
    assert_false(reply.is_error);
    buffer_fini(&answer);
    bench_driver_fini(&driver);
}

static void a_shardkv_error_is_an_error_with_its_text(void **state)
{
    struct bench_driver driver;
    struct buffer answer = {0};
    struct bench_reply reply;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    rpc_error(&answer, 3, STATUS_FULL, "the shard is at its size");
    pack_nil(&answer);
    rpc_error_end(&answer);
    assert_no_prefix_is_whole(&driver, buffer_bytes(&answer));
    (void)bench_driver_decode(&driver, buffer_bytes(&answer), &reply);
    assert_true(reply.is_error);
    assert_false(reply.is_missing);
    assert_int_equal(reply.slot, 3);
    assert_true(bytes_equal(reply.error, bytes_text("the shard is at its size")));
    buffer_fini(&answer);
    bench_driver_fini(&driver);
}

static void a_shardkv_error_that_passes_is_told_from_one_that_stays(void **state)
{
    const struct {
        enum status code;
        bool is_later;
    } cases[] = {{STATUS_TRY_LATER, true}, {STATUS_FULL, false}};
    struct bench_driver driver;
    struct bench_reply reply;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer answer = {0};
        rpc_error(&answer, 3, cases[i].code, "why");
        pack_nil(&answer);
        rpc_error_end(&answer);
        (void)bench_driver_decode(&driver, buffer_bytes(&answer), &reply);
        assert_true(reply.is_error);
        assert_true(reply.is_later == cases[i].is_later);
        buffer_fini(&answer);
    }
    bench_driver_fini(&driver);
}

static void what_is_no_response_breaks_a_shardkv_connection(void **state)
{
    struct bench_driver driver;
    struct buffer answer = {0};
    struct bench_reply reply;
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 256));
    assert_int_equal(bench_driver_decode(&driver, bytes_text("\xc1"), &reply),
                     BENCH_DECODED_BROKEN);
    assert_true(reply.error.len > 0);
    rpc_request(&answer, 1, "hello");
    pack_array(&answer, 0);
    assert_int_equal(bench_driver_decode(&driver, buffer_bytes(&answer), &reply),
                     BENCH_DECODED_BROKEN);
    buffer_clear(&answer);
    rpc_error(&answer, 0, STATUS_INVALID, "no frame");
    pack_nil(&answer);
    rpc_error_end(&answer);
    assert_int_equal(bench_driver_decode(&driver, buffer_bytes(&answer), &reply),
                     BENCH_DECODED_BROKEN);
    assert_true(bytes_equal(reply.error, bytes_text("no frame")));
    buffer_fini(&answer);
    bench_driver_fini(&driver);
}

static struct bench_answer answer_of(const struct bench_driver *driver, enum bench_method method,
                                     struct bytes reply)
{
    struct bench_answer answer = {0};
    driver->body->answer(method, reply, &answer);
    return answer;
}

static void a_shardkv_redirect_names_the_new_owner_and_its_range(void **state)
{
    struct bench_driver driver;
    struct buffer reply = {0};
    struct map_entry entry = {.name = "a", .start = 5, .end = 9, .epoch = 7, .size = MAP_SIZE_MIN};
    (void)state;
    assert_true(address_parse(bytes_text("127.0.0.1:5051"), &entry.address));
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    rpc_error(&reply, 3, STATUS_WRONG_SHARD, "another server owns this point");
    pack_array(&reply, 2);
    pack_uint(&reply, 8);
    map_pack_entry(&entry, &reply);
    rpc_error_end(&reply);
    struct bench_answer answer = answer_of(&driver, BENCH_METHOD_READ, buffer_bytes(&reply));
    assert_int_equal(answer.kind, BENCH_ANSWER_MOVED);
    assert_int_equal(answer.start, 5);
    assert_int_equal(answer.end, 9);
    assert_int_equal(answer.epoch, 7);
    assert_true(address_equal(&answer.server, &entry.address));
    buffer_fini(&reply);
    bench_driver_fini(&driver);
}

static void a_shardkv_redirect_to_nobody_is_to_be_asked_later(void **state)
{
    struct bench_driver driver;
    struct buffer reply = {0};
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    rpc_error(&reply, 3, STATUS_WRONG_SHARD, "another server owns this point");
    pack_array(&reply, 2);
    pack_uint(&reply, 8);
    pack_nil(&reply);
    rpc_error_end(&reply);
    struct bench_answer answer = answer_of(&driver, BENCH_METHOD_WRITE, buffer_bytes(&reply));
    assert_int_equal(answer.kind, BENCH_ANSWER_LATER);
    buffer_fini(&reply);
    bench_driver_fini(&driver);
}

static void what_a_shardkv_reply_brought_is_told(void **state)
{
    struct bench_driver driver;
    struct buffer record = {0}, sum = {0}, nothing = {0};
    (void)state;
    assert_true(bench_shardkv_init(&driver, VALUE_LEN, 16));
    pack_record(&record, 1);
    struct bench_answer answer = answer_of(&driver, BENCH_METHOD_READ, buffer_bytes(&record));
    assert_int_equal(answer.kind, BENCH_ANSWER_DONE);
    assert_true(bytes_equal(answer.value, bytes_of(value, sizeof(value))));
    rpc_response(&sum, 1);
    pack_array(&sum, 2);
    pack_int(&sum, -7);
    pack_uint(&sum, UINT64_MAX);
    answer = answer_of(&driver, BENCH_METHOD_INCR, buffer_bytes(&sum));
    assert_true(answer.has_number);
    assert_int_equal(answer.number, -7);
    rpc_response(&nothing, 1);
    pack_nil(&nothing);
    answer = answer_of(&driver, BENCH_METHOD_READ, buffer_bytes(&nothing));
    assert_int_equal(answer.kind, BENCH_ANSWER_MISSING);
    buffer_fini(&record);
    buffer_fini(&sum);
    buffer_fini(&nothing);
    bench_driver_fini(&driver);
}

/* --- redis --- */

/* Slots as redis-server gives them by CLUSTER KEYSLOT. */
static void a_redis_key_is_in_the_slot_of_its_crc(void **state)
{
    struct bench_driver driver;
    (void)state;
    assert_true(bench_redis_init(&driver, VALUE_LEN));
    assert_int_equal(driver.body->place(bytes_text("123456789")) >> 18, 12739);
    assert_int_equal(driver.body->place(bytes_text("foo")) >> 18, 12182);
    bench_driver_fini(&driver);
}

static void redis_redirects_are_followed_for_good_or_for_once(void **state)
{
    struct bench_driver driver;
    (void)state;
    assert_true(bench_redis_init(&driver, VALUE_LEN));
    struct bench_answer answer =
        answer_of(&driver, BENCH_METHOD_READ, bytes_text("-MOVED 3999 127.0.0.1:6381\r\n"));
    assert_int_equal(answer.kind, BENCH_ANSWER_MOVED);
    assert_int_equal(answer.start, UINT64_C(3999) << 18);
    assert_int_equal(answer.end, UINT64_C(4000) << 18);
    assert_int_equal(answer.server.port, 6381);
    answer = answer_of(&driver, BENCH_METHOD_READ, bytes_text("-ASK 3999 127.0.0.1:6381\r\n"));
    assert_int_equal(answer.kind, BENCH_ANSWER_ASK);
    static const char *const refusals[] = {"-MOVED 16384 127.0.0.1:6381\r\n", "-MOVED \r\n",
                                           "-ASK x 127.0.0.1:1\r\n", "-ERR no\r\n", "-\r\n"};
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        answer = answer_of(&driver, BENCH_METHOD_READ, bytes_text(refusals[i]));
        assert_int_equal(answer.kind, BENCH_ANSWER_REFUSED);
    }
    answer = answer_of(&driver, BENCH_METHOD_READ, bytes_text("-TRYAGAIN wait\r\n"));
    assert_int_equal(answer.kind, BENCH_ANSWER_LATER);
    bench_driver_fini(&driver);
}

static void what_a_redis_reply_brought_is_told(void **state)
{
    struct bench_driver driver;
    (void)state;
    assert_true(bench_redis_init(&driver, VALUE_LEN));
    struct bench_answer answer = answer_of(&driver, BENCH_METHOD_READ, bytes_text("$3\r\nabc\r\n"));
    assert_int_equal(answer.kind, BENCH_ANSWER_DONE);
    assert_true(bytes_equal(answer.value, bytes_text("abc")));
    assert_false(answer.has_number);
    answer = answer_of(&driver, BENCH_METHOD_READ, bytes_text("$2\r\n17\r\n"));
    assert_true(answer.has_number);
    assert_int_equal(answer.number, 17);
    answer = answer_of(&driver, BENCH_METHOD_READ, bytes_text("$-1\r\n"));
    assert_int_equal(answer.kind, BENCH_ANSWER_MISSING);
    answer = answer_of(&driver, BENCH_METHOD_INCR, bytes_text(":8\r\n"));
    assert_int_equal(answer.number, 8);
    bench_driver_fini(&driver);
}

static void redis_requests_are_resp(void **state)
{
    struct bench_driver driver;
    (void)state;
    assert_true(bench_redis_init(&driver, VALUE_LEN));
    struct buffer read = encoded(&driver, BENCH_METHOD_READ, 0);
    assert_text(&read, "*2\r\n$3\r\nGET\r\n$16\r\n0000000000000abc\r\n");
    struct buffer write = encoded(&driver, BENCH_METHOD_WRITE, 0);
    struct buffer expected = {0};
    const struct bytes head = bytes_text("*3\r\n$3\r\nSET\r\n$16\r\n0000000000000abc\r\n$100\r\n");
    buffer_append_bytes(&expected, head);
    buffer_append(&expected, value, sizeof(value));
    buffer_append(&expected, "\r\n", 2);
    assert_true(bytes_equal(buffer_bytes(&write), buffer_bytes(&expected)));
    struct buffer incr = encoded(&driver, BENCH_METHOD_INCR, 0);
    assert_text(&incr, "*2\r\n$4\r\nINCR\r\n$16\r\n0000000000000abc\r\n");
    assert_false(driver.can_scan);
    buffer_fini(&incr);
    buffer_fini(&read);
    buffer_fini(&write);
    buffer_fini(&expected);
    bench_driver_fini(&driver);
}

static void no_prefix_of_a_redis_reply_is_whole(void **state)
{
    static const char *const replies[] = {
        "+OK\r\n", "-ERR no\r\n", ":17\r\n",
        "$-1\r\n", "$0\r\n\r\n",  "$11\r\n\r\n$3\r\nabc\r\n\r\n",
    };
    struct bench_driver driver;
    (void)state;
    assert_true(bench_redis_init(&driver, VALUE_LEN));
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        assert_no_prefix_is_whole(&driver, bytes_text(replies[i]));
    }
    bench_driver_fini(&driver);
}

static void redis_errors_and_absent_values_are_told_apart(void **state)
{
    struct bench_driver driver;
    struct bench_reply reply;
    (void)state;
    assert_true(bench_redis_init(&driver, VALUE_LEN));
    (void)bench_driver_decode(&driver, bytes_text("-OOM no memory\r\n+OK\r\n"), &reply);
    assert_true(reply.is_error);
    assert_int_equal(reply.len, 16);
    assert_true(bytes_equal(reply.error, bytes_text("OOM no memory")));
    (void)bench_driver_decode(&driver, bytes_text("$-1\r\n"), &reply);
    assert_true(reply.is_missing);
    assert_false(reply.is_error);
    (void)bench_driver_decode(&driver, bytes_text("$2\r\nab\r\n"), &reply);
    assert_false(reply.is_missing || reply.is_error);
    bench_driver_fini(&driver);
}

static void what_is_no_resp_breaks_a_redis_connection(void **state)
{
    static const char *const replies[] = {
        "HTTP/1.1 400\r\n", "$x\r\n", "$-2\r\n", "$99999999999\r\n", "$99999999\r\n", "\n", "+\n",
    };
    struct bench_driver driver;
    struct bench_reply reply;
    (void)state;
    assert_true(bench_redis_init(&driver, VALUE_LEN));
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        assert_int_equal(bench_driver_decode(&driver, bytes_text(replies[i]), &reply),
                         BENCH_DECODED_BROKEN);
        assert_true(reply.error.len > 0);
    }
    bench_driver_fini(&driver);
}

/* --- echo --- */

static void echo_requests_and_replies_are_as_long_as_shardkvs(void **state)
{
    struct bench_driver echo, shardkv;
    struct buffer answer = {0};
    (void)state;
    assert_true(bench_echo_init(&echo, VALUE_LEN));
    assert_true(bench_shardkv_init(&shardkv, VALUE_LEN, 16));
    struct buffer ours = encoded(&shardkv, BENCH_METHOD_READ, 1);
    struct buffer floor = encoded(&echo, BENCH_METHOD_READ, 1);
    pack_record(&answer, 1);
    assert_int_equal(floor.len, ours.len);
    assert_int_equal(endian_get_be32(floor.data), ours.len);
    assert_int_equal(endian_get_be32(floor.data + 4), answer.len);
    buffer_fini(&ours);
    buffer_fini(&floor);
    ours = encoded(&shardkv, BENCH_METHOD_WRITE, 1);
    floor = encoded(&echo, BENCH_METHOD_WRITE, 1);
    assert_int_equal(floor.len, ours.len);
    buffer_fini(&ours);
    buffer_fini(&floor);
    buffer_fini(&answer);
    bench_driver_fini(&echo);
    bench_driver_fini(&shardkv);
}

static void no_prefix_of_an_echo_is_whole(void **state)
{
    struct bench_driver driver;
    struct bench_reply reply;
    const uint8_t answer[20] = {0, 0, 0, 20};
    (void)state;
    assert_true(bench_echo_init(&driver, VALUE_LEN));
    assert_no_prefix_is_whole(&driver, bytes_of(answer, sizeof(answer)));
    assert_int_equal(bench_driver_decode(&driver, bytes_text("\xff\xff\xff\xff"), &reply),
                     BENCH_DECODED_BROKEN);
    bench_driver_fini(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_16_digits),
        cmocka_unit_test(shardkv_requests_are_those_of_the_protocol),
        cmocka_unit_test(shardkv_scans_begin_at_the_keys_point),
        cmocka_unit_test(shardkv_slots_beyond_a_fixint_take_more_bytes_and_come_back),
        cmocka_unit_test(a_shardkv_mint_asks_for_so_many_ids_at_a_point),
        cmocka_unit_test(a_shardkv_put_has_a_document_of_just_so_many_bytes),
        cmocka_unit_test(a_shardkv_reply_has_its_result),
        cmocka_unit_test(no_prefix_of_a_shardkv_reply_is_whole),
        cmocka_unit_test(a_shardkv_reply_without_record_is_missing),
        cmocka_unit_test(a_shardkv_error_is_an_error_with_its_text),
        cmocka_unit_test(a_shardkv_error_that_passes_is_told_from_one_that_stays),
        cmocka_unit_test(what_is_no_response_breaks_a_shardkv_connection),
        cmocka_unit_test(a_shardkv_redirect_names_the_new_owner_and_its_range),
        cmocka_unit_test(a_shardkv_redirect_to_nobody_is_to_be_asked_later),
        cmocka_unit_test(what_a_shardkv_reply_brought_is_told),
        cmocka_unit_test(a_redis_key_is_in_the_slot_of_its_crc),
        cmocka_unit_test(redis_redirects_are_followed_for_good_or_for_once),
        cmocka_unit_test(what_a_redis_reply_brought_is_told),
        cmocka_unit_test(redis_requests_are_resp),
        cmocka_unit_test(no_prefix_of_a_redis_reply_is_whole),
        cmocka_unit_test(redis_errors_and_absent_values_are_told_apart),
        cmocka_unit_test(what_is_no_resp_breaks_a_redis_connection),
        cmocka_unit_test(echo_requests_and_replies_are_as_long_as_shardkvs),
        cmocka_unit_test(no_prefix_of_an_echo_is_whole),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
