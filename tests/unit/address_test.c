/* SPDX-License-Identifier: MIT */
#include "proto/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct address parsed(const char *text)
{
    struct address address;
    if (!address_parse(bytes_text(text), &address)) {
        fail_msg("not parsed: %s", text);
    }
    return address;
}

static void addresses_are_read_and_printed_back(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:5050", "127.0.0.1", 5050},     {"store1.example:1", "store1.example", 1},
        {"my_store-1:65535", "my_store-1", 65535}, {"[::1]:5050", "::1", 5050},
        {"[fe80::1%eth0]:80", "fe80::1%eth0", 80}, {"localhost:0", "localhost", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address = parsed(cases[i].text);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        char text[ADDRESS_TEXT_LEN];
        address_print(&address, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void what_is_no_address_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",         ":",           "host",          "host:",       ":5050",       "host:65536",
        "host:-1",  "host:+1",     "host: 1",       "host:1 ",     "host:123456", "host:0x10",
        "a b:1",    "[::1]",       "[]:1",          "[host]:1",    "[::1:1",      "::1]:1",
        "::1:5050", "h/x:1",       "http://host:1", "[::1]x:5050", "a[::1]:1",    "user@host:1",
        "h\n:1",    "[::1]:5050:", "h\xc3\xa9:1",   "[[::1]]:1",   "[:",          "[:1",
    };
    struct address address = {.host = "kept", .port = 7};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (address_parse(bytes_text(cases[i]), &address)) {
            fail_msg("parsed: %s", cases[i]);
        }
        assert_string_equal(address.host, "kept");
        assert_int_equal(address.port, 7);
    }
    assert_false(address_parse(bytes_of(NULL, 0), &address));
    assert_false(address_parse(bytes_of("h\0st:1", 6), &address));
}

static void the_text_need_not_end_in_a_zero_byte(void **state)
{
    (void)state;
    struct address address;
    assert_true(address_parse(bytes_of("host:50505", 7), &address));
    assert_int_equal(address.port, 50);
}

static void the_longest_host_is_taken_and_a_longer_one_is_not(void **state)
{
    (void)state;
    char text[HOST_LEN_MAX + 16];
    for (size_t extra = 0; extra < 2; extra++) {
        size_t host_len = HOST_LEN_MAX + extra;
        memset(text, 'h', host_len);
        memcpy(text + host_len, ":65535", 7);
        struct address address;
        assert_int_equal(address_parse(bytes_text(text), &address), extra == 0);
    }
    memset(text, ':', HOST_LEN_MAX);
    text[HOST_LEN_MAX] = '\0';
    struct address address = {.port = 65535};
    memcpy(address.host, text, HOST_LEN_MAX + 1);
    char printed[ADDRESS_TEXT_LEN];
    address_print(&address, printed);
    assert_int_equal(strlen(printed), HOST_LEN_MAX + 2 + 1 + 5);
}

static void addresses_are_equal_by_host_in_any_case_and_by_port(void **state)
{
    (void)state;
    struct address a = parsed("Store.Example:5050");
    struct address b = parsed("store.example:5050");
    struct address c = parsed("store.example:5051");
    struct address d = parsed("store2.example:5050");
    assert_true(address_equal(&a, &b));
    assert_false(address_equal(&b, &c));
    assert_false(address_equal(&b, &d));
}

static void only_loopback_is_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:1", true},  {"127.255.0.9:1", true},        {"[::1]:1", true},
        {"localhost:1", true},  {"Localhost:1", true},          {"0.0.0.0:1", false},
        {"128.0.0.1:1", false}, {"10.0.0.1:1", false},          {"[::]:1", false},
        {"[::2]:1", false},     {"127.0.0.1.example:1", false}, {"localhost.example:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct address address = parsed(cases[i].text);
        assert_int_equal(address_is_loopback(&address), cases[i].is_loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_printed_back),
        cmocka_unit_test(what_is_no_address_is_refused_and_changes_nothing),
        cmocka_unit_test(the_text_need_not_end_in_a_zero_byte),
        cmocka_unit_test(the_longest_host_is_taken_and_a_longer_one_is_not),
        cmocka_unit_test(addresses_are_equal_by_host_in_any_case_and_by_port),
        cmocka_unit_test(only_loopback_is_loopback),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
