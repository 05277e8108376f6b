/* SPDX-License-Identifier: MIT */
#include "proto/rpc.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/extent.h"
#include "proto/pack.h"

/* From the repository's root, where the tests are run. */
#define PROTOCOL "proto/PROTOCOL.md"

#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static enum unpack_fault decode(struct buffer *frame, struct rpc_message *message)
{
    assert_false(frame->failed);
    return rpc_decode(buffer_bytes(frame), message);
}

static void a_request_comes_back(void **state)
{
    (void)state;
    struct buffer frame = {0};
    rpc_request(&frame, UINT32_MAX, "read");
    pack_array(&frame, 1);
    pack_text(&frame, "test");

    struct rpc_message message;
    assert_int_equal(decode(&frame, &message), UNPACK_FINE);
    assert_int_equal(message.type, RPC_REQUEST);
    assert_int_equal(message.msgid, UINT32_MAX);
    assert_true(bytes_equal(message.method, bytes_text("read")));
    assert_true(bytes_equal(message.params, bytes_text("\x91\xa4test")));
    buffer_fini(&frame);
}

static void a_notification_comes_back(void **state)
{
    (void)state;
    struct buffer frame = {0};
    rpc_notification(&frame, "map.changed");
    pack_array(&frame, 0);

    struct rpc_message message;
    assert_int_equal(decode(&frame, &message), UNPACK_FINE);
    assert_int_equal(message.type, RPC_NOTIFICATION);
    assert_int_equal(message.msgid, 0);
    assert_true(bytes_equal(message.method, bytes_text("map.changed")));
    assert_true(bytes_equal(message.params, bytes_text("\x90")));
    buffer_fini(&frame);
}

static void a_result_comes_back(void **state)
{
    (void)state;
    struct buffer frame = {0};
    rpc_response(&frame, 7);
    pack_text(&frame, "x");

    struct rpc_message message;
    assert_int_equal(decode(&frame, &message), UNPACK_FINE);
    assert_int_equal(message.type, RPC_RESPONSE);
    assert_int_equal(message.msgid, 7);
    assert_int_equal(message.code, STATUS_OK);
    assert_true(bytes_equal(message.result, bytes_text("\xa1x")));
    buffer_fini(&frame);
}

static void an_error_comes_back_with_text_and_detail(void **state)
{
    (void)state;
    struct buffer frame = {0};
    rpc_error(&frame, 7, STATUS_FULL, "shard a is full");
    pack_array(&frame, 2);
    pack_uint(&frame, 1000);
    pack_uint(&frame, 1024);
    rpc_error_end(&frame);

    struct rpc_message message;
    assert_int_equal(decode(&frame, &message), UNPACK_FINE);
    assert_int_equal(message.type, RPC_RESPONSE);
    assert_int_equal(message.msgid, 7);
    assert_int_equal(message.code, STATUS_FULL);
    assert_true(bytes_equal(message.text, bytes_text("shard a is full")));
    assert_true(bytes_equal(message.detail, bytes_of("\x92\xcd\x03\xe8\xcd\x04\x00", 7)));
    assert_true(bytes_equal(message.result, bytes_text("\xc0")));
    buffer_fini(&frame);
}

static void a_code_that_is_not_known_here_is_kept(void **state)
{
    (void)state;
    struct rpc_message message;
    struct bytes frame = BYTES("\x94\x01\x07\x93\xcd\x03\xe8\xa3new\xc0\xc0");
    assert_int_equal(rpc_decode(frame, &message), UNPACK_FINE);
    assert_int_equal(message.code, 1000);
    assert_true(bytes_equal(message.text, bytes_text("new")));
    assert_true(bytes_equal(message.detail, bytes_text("\xc0")));
}

/* What servers that follow the RPC specification alone may send: any object is an error. */
static void a_foreign_error_has_an_unknown_code_and_its_text_if_it_is_text(void **state)
{
    (void)state;
    static const struct {
        struct bytes error;
        const char *text;
    } cases[] = {
        {BYTES("\xa4oops"), "oops"},
        {BYTES("\xc4\x04oops"), "oops"},
        {BYTES("\x05"), ""},
        {BYTES("\xc3"), ""},
        {BYTES("\xc2"), ""},
        {BYTES("\x90"), ""},
        {BYTES("\x80"), ""},
        {BYTES("\x92\x05\xa4oops"), ""},      /* no detail */
        {BYTES("\x93\x00\xa4oops\xc0"), ""},  /* the code of success */
        {BYTES("\x93\xff\xa4oops\xc0"), ""},  /* a negative code */
        {BYTES("\x93\xa1x\xa4oops\xc0"), ""}, /* a name for a code */
        {BYTES("\x93\x05\x05\xc0"), ""},      /* a number for a text */
        {BYTES("\x93\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa4oops\xc0"), ""},
    };
    struct buffer frame = {0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        buffer_clear(&frame);
        buffer_append(&frame, "\x94\x01\x07", 3);
        buffer_append_bytes(&frame, cases[i].error);
        pack_nil(&frame);
        struct rpc_message message;
        assert_int_equal(decode(&frame, &message), UNPACK_FINE);
        assert_int_equal(message.code, RPC_CODE_FOREIGN);
        assert_int_equal(status_class(message.code), STATUS_CLASS_UNKNOWN);
        assert_true(bytes_equal(message.text, bytes_text(cases[i].text)));
        assert_true(bytes_equal(message.detail, cases[i].error));
    }
    buffer_fini(&frame);
}

static void an_error_may_have_more_fields_in_a_later_version(void **state)
{
    (void)state;
    struct rpc_message message;
    struct bytes frame = BYTES("\x94\x01\x07\x94\x05\xa4"
                               "full\xc0\xc3\xc0");
    assert_int_equal(rpc_decode(frame, &message), UNPACK_FINE);
    assert_int_equal(message.code, STATUS_FULL);
}

static void what_is_no_envelope_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("\xc0"),
        BYTES("\x05"),
        BYTES("\x80"),
        BYTES("\x90"),
        BYTES("\x94\x03\x00\xa1m\x90"),     /* no such type */
        BYTES("\x94\xff\x00\xa1m\x90"),     /* a negative type */
        BYTES("\x94\xa1x\x00\xa1m\x90"),    /* a text for a type */
        BYTES("\x93\x00\x00\xa1m"),         /* a request without params */
        BYTES("\x95\x00\x00\xa1m\x90\xc0"), /* and one with too much */
        BYTES("\x94\x00\xff\xa1m\x90"),     /* a negative msgid */
        BYTES("\x94\x00\xc0\xa1m\x90"),     /* none */
        BYTES("\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1m\x90"), /* one of 33 bits */
        BYTES("\x94\x00\x00\x05\x90"),                                  /* a number for a method */
        BYTES("\x94\x00\x00\xc0\x90"),
        BYTES("\x94\x00\x00\xa1m\xc0"), /* params that are no array */
        BYTES("\x94\x00\x00\xa1m\x80"),
        BYTES("\x94\x00\x00\xa1m\xa1x"),
        BYTES("\x93\x01\x00\xc0"), /* a response without a result */
        BYTES("\x95\x01\x00\xc0\xc0\xc0"),
        BYTES("\x94\x02\x00\xa1m\x90"), /* a notification with a msgid */
        BYTES("\x93\x02\xa1m\x80"),
        BYTES("\x93\x02\x05\x90"),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct rpc_message message = {.msgid = 12345};
        assert_int_not_equal(rpc_decode(cases[i], &message), UNPACK_FINE);
        assert_int_equal(message.msgid, 12345);
    }
}

static void an_error_nested_too_deep_is_refused(void **state)
{
    (void)state;
    struct buffer frame = {0};
    buffer_append(&frame, "\x94\x01\x07", 3);
    for (int i = 0; i < DEPTH_MAX + 1; i++) {
        pack_array(&frame, 1);
    }
    pack_nil(&frame);
    pack_nil(&frame);
    struct rpc_message message;
    assert_int_equal(decode(&frame, &message), UNPACK_TOO_DEEP);
    buffer_fini(&frame);
}

/* --- the examples of the protocol's page --- */

static void print_bin(FILE *text, struct bytes bin)
{
    const uint8_t *data = bin.data;
    (void)fputs("h'", text);
    for (size_t i = 0; i < bin.len; i++) {
        (void)fprintf(text, "%02x", data[i]);
    }
    (void)fputs("'", text);
}

static void print_object(FILE *text, struct unpack *in);

static void print_array(FILE *text, struct unpack *in)
{
    uint32_t count = unpack_array(in);
    (void)fputs("[", text);
    for (uint32_t i = 0; i < count; i++) {
        (void)fprintf(text, "%s", i ? ", " : "");
        print_object(text, in);
    }
    (void)fputs("]", text);
}

static void print_map(FILE *text, struct unpack *in)
{
    uint32_t pair_count = unpack_map(in);
    (void)fputs("{", text);
    for (uint32_t i = 0; i < pair_count; i++) {
        (void)fprintf(text, "%s", i ? ", " : "");
        print_object(text, in);
        (void)fputs(": ", text);
        print_object(text, in);
    }
    (void)fputs("}", text);
}

/* In the notation of the page; it has no floats and no extensions. */
static void print_object(FILE *text, struct unpack *in)
{
    struct bytes str;
    switch (unpack_peek(in)) {
    case UNPACK_NIL:
        unpack_nil(in);
        (void)fputs("nil", text);
        break;
    case UNPACK_BOOL:
        (void)fprintf(text, "%s", unpack_bool(in) ? "true" : "false");
        break;
    case UNPACK_UINT:
        (void)fprintf(text, "%" PRIu64, unpack_uint(in));
        break;
    case UNPACK_INT:
        (void)fprintf(text, "%" PRId64, unpack_int(in));
        break;
    case UNPACK_STR:
        str = unpack_text(in);
        (void)fprintf(text, "\"%.*s\"", (int)str.len, (const char *)str.data);
        break;
    case UNPACK_BIN:
        print_bin(text, unpack_text(in));
        break;
    case UNPACK_ARRAY:
        print_array(text, in);
        break;
    case UNPACK_MAP:
        print_map(text, in);
        break;
    case UNPACK_FLOAT:
    case UNPACK_EXT:
    case UNPACK_NONE:
        fail();
    }
}

struct example {
    char text[512];
    uint8_t frame[512];
    size_t frame_len;
};

struct page {
    struct example examples[64];
    size_t example_count;
    char methods[16][32]; /* of the table of data methods */
    size_t method_count;
};

static void read_example_line(struct page *page, const char *line)
{
    if (line[0] == '[') {
        assert_in_range(page->example_count, 0, COUNT(page->examples) - 1);
        struct example *example = &page->examples[page->example_count++];
        (void)snprintf(example->text, sizeof example->text, "%.*s", (int)strcspn(line, "\n"), line);
        return;
    }
    assert_true(page->example_count > 0);
    struct example *example = &page->examples[page->example_count - 1];
    unsigned byte;
    int read_len;
    while (sscanf(line, "%2x%n", &byte, &read_len) == 1) {
        assert_in_range(example->frame_len, 0, sizeof example->frame - 1);
        example->frame[example->frame_len++] = (uint8_t)byte;
        line += read_len;
    }
}

/* Every fenced block of the page holds examples: a line of text, then lines of bytes. */
static void read_page(struct page *page)
{
    FILE *file = fopen(PROTOCOL, "re");
    assert_non_null(file);
    char line[1024];
    bool is_fenced = false;
    bool is_about_data = false;
    while (fgets(line, sizeof line, file)) {
        char method[32];
        if (strncmp(line, "```", 3) == 0) {
            is_fenced = !is_fenced;
        } else if (is_fenced) {
            read_example_line(page, line);
        } else if (strncmp(line, "## ", 3) == 0) {
            is_about_data = strncmp(line, "## Data methods", 15) == 0;
        } else if (is_about_data && sscanf(line, "| `%31[a-z.]` ", method) == 1) {
            assert_in_range(page->method_count, 0, COUNT(page->methods) - 1);
            memcpy(page->methods[page->method_count++], method, sizeof method);
        }
    }
    assert_int_equal(fclose(file), 0);
}

static void the_protocols_bytes_are_what_it_says_they_are(void **state)
{
    (void)state;
    static struct page page;
    read_page(&page);
    assert_true(page.example_count > 0);
    for (size_t i = 0; i < page.example_count; i++) {
        struct example *example = &page.examples[i];
        struct unpack in = unpack_of(bytes_of(example->frame, example->frame_len));
        char text[sizeof example->text];
        FILE *stream = fmemopen(text, sizeof text, "w");
        assert_non_null(stream);
        print_object(stream, &in);
        assert_int_equal(fclose(stream), 0);
        assert_true(unpack_is_done(&in));
        assert_string_equal(text, example->text);
    }
}

static void each_data_method_has_an_example_of_request_and_response(void **state)
{
    (void)state;
    static struct page page;
    read_page(&page);
    assert_true(page.method_count > 0);
    bool is_shown[COUNT(page.methods)] = {false};
    assert_int_equal(page.example_count % 2, 0);
    for (size_t i = 0; i < page.example_count; i += 2) {
        const struct example *pair = &page.examples[i];
        struct rpc_message request;
        struct rpc_message response;
        assert_int_equal(rpc_decode(bytes_of(pair[0].frame, pair[0].frame_len), &request),
                         UNPACK_FINE);
        assert_int_equal(rpc_decode(bytes_of(pair[1].frame, pair[1].frame_len), &response),
                         UNPACK_FINE);
        assert_int_equal(request.type, RPC_REQUEST);
        assert_int_equal(response.type, RPC_RESPONSE);
        assert_int_equal(response.msgid, request.msgid);
        for (size_t j = 0; j < page.method_count; j++) {
            is_shown[j] |= bytes_equal(request.method, bytes_text(page.methods[j]));
        }
    }
    for (size_t j = 0; j < page.method_count; j++) {
        if (!is_shown[j]) {
            fail_msg("no example of %s", page.methods[j]);
        }
    }
}

static void check_within(struct bytes inner, struct bytes frame)
{
    const uint8_t *start = frame.data;
    const uint8_t *inner_start = inner.data;
    if (inner.data) {
        assert_true(inner_start >= start && inner_start + inner.len <= start + frame.len);
    }
}

static void check_decode_stays_within(struct bytes frame)
{
    struct rpc_message message;
    if (rpc_decode(frame, &message) == UNPACK_FINE) {
        check_within(message.method, frame);
        check_within(message.params, frame);
        check_within(message.text, frame);
        check_within(message.detail, frame);
        check_within(message.result, frame);
    }
}

static void frames_cut_or_with_a_flipped_bit_are_read_within_their_bytes(void **state)
{
    (void)state;
    static struct page page;
    read_page(&page);
    for (size_t i = 0; i < page.example_count; i++) {
        size_t len = page.examples[i].frame_len;
        uint8_t *frame = malloc(len); /* of its own size, for the sanitizer */
        assert_non_null(frame);
        memcpy(frame, page.examples[i].frame, len);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
            check_decode_stays_within(bytes_of(frame, len));
            frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 1; cut <= len; cut++) {
            memmove(frame + cut, page.examples[i].frame, len - cut);
            check_decode_stays_within(bytes_of(frame + cut, len - cut));
        }
        free(frame);
    }
}

static void the_protocols_first_example_is_what_is_packed(void **state)
{
    (void)state;
    static struct page page;
    read_page(&page);
    struct buffer frame = {0};
    rpc_request(&frame, 1, "read");
    pack_array(&frame, 1);
    pack_text(&frame, "test");
    assert_true(bytes_equal(buffer_bytes(&frame),
                            bytes_of(page.examples[0].frame, page.examples[0].frame_len)));
    buffer_clear(&frame);
    rpc_response(&frame, 1);
    pack_nil(&frame);
    assert_true(bytes_equal(buffer_bytes(&frame),
                            bytes_of(page.examples[1].frame, page.examples[1].frame_len)));
    buffer_fini(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_comes_back),
        cmocka_unit_test(a_notification_comes_back),
        cmocka_unit_test(a_result_comes_back),
        cmocka_unit_test(an_error_comes_back_with_text_and_detail),
        cmocka_unit_test(a_code_that_is_not_known_here_is_kept),
        cmocka_unit_test(a_foreign_error_has_an_unknown_code_and_its_text_if_it_is_text),
        cmocka_unit_test(an_error_may_have_more_fields_in_a_later_version),
        cmocka_unit_test(what_is_no_envelope_is_refused_and_changes_nothing),
        cmocka_unit_test(an_error_nested_too_deep_is_refused),
        cmocka_unit_test(the_protocols_bytes_are_what_it_says_they_are),
        cmocka_unit_test(each_data_method_has_an_example_of_request_and_response),
        cmocka_unit_test(frames_cut_or_with_a_flipped_bit_are_read_within_their_bytes),
        cmocka_unit_test(the_protocols_first_example_is_what_is_packed),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
