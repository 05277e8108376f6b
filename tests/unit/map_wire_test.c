/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/id.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "tests/unit/dice.h"

static struct map_entry entries[] = {
    {.name = "first",
     .start = 0,
     .end = UINT64_C(1) << 31,
     .epoch = 3,
     .size = UINT64_C(1) << 30,
     .server = {1, 2, 3},
     .address = {"127.0.0.1", 5050}},
    {.name = "second",
     .start = UINT64_C(1) << 31,
     .end = BOUND_END,
     .epoch = 7,
     .size = MAP_SIZE_MIN,
     .when_full = WHEN_FULL_EVICT,
     .is_new = true,
     .server = {4},
     .address = {"store1.example", 65535},
     .move = {MOVE_COPY, 7, {4}, {1, 2, 3}}},
};

static struct map_server servers[] = {
    {.id = {1, 2, 3}, .address = {"127.0.0.1", 5050}, .incarnation = 9, .start = 99},
    {.id = {4}, .address = {"::1", 65535}, .incarnation = UINT64_MAX},
};

static struct map sample(void)
{
    return (struct map){.cluster = {0xaa, 0xbb},
                        .instance = {0xcc},
                        .revision = 7,
                        .origin_ms = ID_ORIGIN_MS,
                        .entries = entries,
                        .entry_count = 2,
                        .servers = servers,
                        .server_count = 2};
}

static bool unpack_whole(struct bytes bytes, struct map *map, struct map_error *error)
{
    struct unpack in = unpack_of(bytes);
    return map_unpack(&in, map, error) && unpack_is_done(&in);
}

static void assert_same(const struct map *a, const struct map *b)
{
    struct buffer packed_a = {0};
    struct buffer packed_b = {0};
    map_pack(a, &packed_a);
    map_pack(b, &packed_b);
    assert_true(bytes_equal(buffer_bytes(&packed_a), buffer_bytes(&packed_b)));
    buffer_fini(&packed_a);
    buffer_fini(&packed_b);
}

static void a_map_comes_back_as_it_was(void **state)
{
    (void)state;
    struct map map = sample();
    struct map same;
    struct map_error error;
    struct buffer packed = {0};
    map_pack(&map, &packed);
    assert_true(unpack_whole(buffer_bytes(&packed), &same, &error));
    assert_int_equal(same.entry_count, 2);
    assert_memory_equal(same.entries, entries, sizeof(entries));
    assert_int_equal(same.server_count, 2);
    assert_memory_equal(same.servers, servers, sizeof(servers));
    assert_memory_equal(same.cluster, map.cluster, ID_LEN);
    assert_memory_equal(same.instance, map.instance, ID_LEN);
    assert_int_equal(same.revision, 7);
    assert_int_equal(same.origin_ms, ID_ORIGIN_MS);
    map_fini(&same);
    buffer_fini(&packed);
}

static void an_entry_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct map_entry same;
        struct map_error error;
        struct buffer packed = {0};
        map_pack_entry(&entries[i], &packed);
        struct unpack in = unpack_of(buffer_bytes(&packed));
        assert_true(map_unpack_entry(&in, &same, &error));
        assert_true(unpack_is_done(&in));
        assert_memory_equal(&same, &entries[i], sizeof(same));
        buffer_fini(&packed);
    }
}

static void every_shorter_prefix_is_refused_and_says_why(void **state)
{
    (void)state;
    struct map map = sample();
    struct buffer packed = {0};
    map_pack(&map, &packed);
    for (size_t len = 0; len < packed.len; len++) {
        /* On the heap and of that length, so that a sanitizer sees a read behind it. */
        uint8_t *prefix = malloc(len ? len : 1);
        struct map untouched = {.revision = 99};
        struct map_error error = {0};
        assert_non_null(prefix);
        memcpy(prefix, packed.data, len);
        assert_false(unpack_whole(bytes_of(prefix, len), &untouched, &error));
        assert_int_equal(untouched.revision, 99);
        assert_true(error.text[0] != '\0');
        free(prefix);
    }
    buffer_fini(&packed);
}

static void assert_refused_or_sound(struct bytes bytes)
{
    struct map map;
    struct map_error error = {0};
    struct unpack in = unpack_of(bytes);
    if (map_unpack(&in, &map, &error)) {
        assert_true(map_check(&map, &error));
        map_fini(&map);
    } else {
        assert_true(error.text[0] != '\0');
        assert_false(unpack_is_fine(&in));
    }
}

static void no_flipped_bit_makes_an_unsound_map(void **state)
{
    (void)state;
    struct map map = sample();
    struct buffer packed = {0};
    map_pack(&map, &packed);
    for (size_t bit = 0; bit < 8 * packed.len; bit++) {
        packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_refused_or_sound(buffer_bytes(&packed));
        packed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buffer_fini(&packed);
}

static void no_random_damage_makes_an_unsound_map(void **state)
{
    (void)state;
    struct dice dice = dice_of(5);
    struct map map = sample();
    struct buffer packed = {0};
    struct buffer damaged = {0};
    map_pack(&map, &packed);
    for (int round = 0; round < 20000; round++) {
        buffer_clear(&damaged);
        buffer_append_bytes(&damaged, buffer_bytes(&packed));
        for (uint32_t i = dice_below(&dice, 4) + 1; i > 0; i--) {
            damaged.data[dice_below(&dice, (uint32_t)damaged.len)] = (uint8_t)dice_roll(&dice);
        }
        assert_refused_or_sound(buffer_bytes(&damaged));
    }
    buffer_fini(&packed);
    buffer_fini(&damaged);
}

static void what_later_versions_add_is_ignored(void **state)
{
    (void)state;
    struct map map = sample();
    struct map same;
    struct map_error error;
    struct buffer packed = {0};
    pack_map(&packed, 8);
    pack_text(&packed, "replicas");
    pack_array(&packed, 1);
    pack_text(&packed, "what it may be");
    map_pack(&map, &packed);
    /* The head of map_pack's own map, between. */
    size_t head_at = 1 + 9 + 1 + 15;
    assert_int_equal(packed.data[head_at], 0x86);
    memmove(packed.data + head_at, packed.data + head_at + 1, packed.len - head_at - 1);
    packed.len--;
    pack_text(&packed, "later");
    pack_nil(&packed);
    assert_true(unpack_whole(buffer_bytes(&packed), &same, &error));
    assert_same(&map, &same);
    map_fini(&same);
    buffer_fini(&packed);
}

static void a_longer_entry_is_an_entry(void **state)
{
    (void)state;
    struct map_entry same;
    struct map_error error;
    struct buffer packed = {0};
    map_pack_entry(&entries[0], &packed);
    assert_int_equal(packed.data[0], 0x9b);
    packed.data[0] = 0x9d;
    pack_map(&packed, 1);
    pack_nil(&packed);
    pack_uint(&packed, 1);
    pack_text(&packed, "more");
    struct unpack in = unpack_of(buffer_bytes(&packed));
    assert_true(map_unpack_entry(&in, &same, &error));
    assert_true(unpack_is_done(&in));
    assert_memory_equal(&same, &entries[0], sizeof(same));
    buffer_fini(&packed);
}

/* Packs `map`, which is wrong in one thing, and expects this. */
static void assert_unsound(const struct map *map, const char *text)
{
    struct map untouched;
    struct map_error error = {0};
    struct buffer packed = {0};
    map_pack(map, &packed);
    assert_false(unpack_whole(buffer_bytes(&packed), &untouched, &error));
    assert_string_equal(error.text, text);
    buffer_fini(&packed);
}

static void what_a_map_must_not_be_is_refused_with_the_reason(void **state)
{
    (void)state;
    struct map_entry changed[2];
    struct map_server changed_servers[2];
    struct map map = sample();
    map.entries = changed;
    map.servers = changed_servers;
#define WITH(change, text)                                                                         \
    memcpy(changed, entries, sizeof(entries));                                                     \
    memcpy(changed_servers, servers, sizeof(servers));                                             \
    change;                                                                                        \
    assert_unsound(&map, text)

    WITH(changed[0].end--, "nothing covers 0.4999999998 to 0.5 (between \"first\" and \"second\")");
    WITH(changed[0].end++, "\"first\" and \"second\" overlap from 0.5 to 0.5000000002");
    WITH(changed[1].end = BOUND_END + 1, "shards[1]: of another type, or a number out of range");
    WITH(changed[1].start = BOUND_END, "shards[1] \"second\": end: 1.0 is not above start 1.0");
    WITH(changed[1].size = 1023, "shards[1] \"second\": size: 1023 is below 1024");
    WITH(changed[1].size = UINT64_MAX,
         "shards[1] \"second\": size: 18446744073709551615 is above 1PiB");
    WITH(changed[1].epoch = 8, "shards[1] \"second\": epoch: 8 is above the revision");
    WITH(changed[1].address.port = 0, "shards[1] \"second\": port: 0 is not between 1 and 65535");
    WITH(strcpy(changed[1].address.host, "a b"),
         "shards[1] \"second\": host: \"a b\" is no host name or address");
    WITH(strcpy(changed[1].address.host, ""),
         "shards[1] \"second\": host: \"\" is no host name or address");
    WITH(strcpy(changed[1].name, "first"), "shards[1] \"first\": name: shards[0] has it, too");
    WITH(strcpy(changed[1].name, "\xff"),
         "shards[1] \"?\": name: has bytes that are not UTF-8, or control characters");
    WITH(changed[1].move.phase = MOVE_PHASE_LAST + 1,
         "shards[1]: of another type, or a number out of range");
    WITH(changed[1].when_full = 2, "shards[1]: of another type, or a number out of range");
    WITH(changed[0] = entries[1];
         changed[1] = entries[0], "shards[1] \"first\": start: below that of the entry before");
    WITH(changed_servers[1].id[0] = 1; changed_servers[1].id[1] = 2;
         changed_servers[1].id[2] = 3, "servers[1]: id: servers[0] has it, too");
    WITH(changed_servers[0].address.port = 0, "servers[0]: port: 0 is not between 1 and 65535");
    WITH(map.origin_ms = UINT64_C(1) << 48,
         "origin_ms: 281474976710656 is not between 1 and 281474976710655");
    WITH(map.origin_ms = 0, "origin_ms: 0 is not between 1 and 281474976710655");
#undef WITH
    map = sample();
    map.entry_count = 0;
    assert_unsound(&map, "shards: is empty");
}

static void counts_are_bounded_before_memory_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"\x81\xa6shards\xdd\xff\xff\xff\xff", 13, "map: ends before it is complete"},
        {"\xdf\xff\xff\xff\xff", 5, "map: ends before it is complete"},
        {"\x82\xa8revision\x01\xa8revision\x02", 21, "revision: repeated"},
        {"\x81\xa8revision\x01", 11, "cluster: missing"},
        {"\x90", 1, "map: of another type, or a number out of range"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct map map;
        struct map_error error = {0};
        assert_false(unpack_whole(bytes_of(cases[i].bytes, cases[i].len), &map, &error));
        assert_string_equal(error.text, cases[i].text);
    }
    struct map map;
    struct map_error error = {0};
    struct buffer packed = {0};
    pack_map(&packed, 1);
    pack_text(&packed, "servers");
    pack_array(&packed, MAP_SERVERS_MAX + 1);
    for (int i = 0; i <= MAP_SERVERS_MAX; i++) {
        pack_nil(&packed);
    }
    assert_false(unpack_whole(buffer_bytes(&packed), &map, &error));
    assert_string_equal(error.text, "servers: more than 4096");
    buffer_fini(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_comes_back_as_it_was),
        cmocka_unit_test(an_entry_comes_back_as_it_was),
        cmocka_unit_test(every_shorter_prefix_is_refused_and_says_why),
        cmocka_unit_test(no_flipped_bit_makes_an_unsound_map),
        cmocka_unit_test(no_random_damage_makes_an_unsound_map),
        cmocka_unit_test(what_later_versions_add_is_ignored),
        cmocka_unit_test(a_longer_entry_is_an_entry),
        cmocka_unit_test(what_a_map_must_not_be_is_refused_with_the_reason),
        cmocka_unit_test(counts_are_bounded_before_memory_is_taken),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
