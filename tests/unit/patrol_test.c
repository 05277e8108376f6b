/* SPDX-License-Identifier: MIT */
#include "shardd/patrol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/point.h"
#include "proto/record.h"
#include "tests/unit/scratch.h"

enum { COUNT = 1500, NOW_MS = 1000 };

struct fixture {
    struct scratch scratch;
    struct tree *tree;
    struct loop *loop;
    struct patrol *patrol;
    uint32_t due_count;
    uint32_t any_count;
    uint32_t expected; /* visits to wait for */
    const struct range *range;
    uint8_t seen[COUNT];
};

static void on_found(void *context, const struct patrol_found *found)
{
    struct fixture *f = context;
    char text[16] = "";
    memcpy(text, found->key.data, found->key.len);
    uint32_t number = (uint32_t)strtoul(text + 3, NULL, 10);
    assert_int_equal(found->version, number + 1);
    assert_int_equal(found->point, point_of_key(found->key));
    assert_true(!f->range || point_in(found->point, f->range->start, f->range->end));
    f->due_count += found->is_due;
    f->any_count++;
    f->seen[number]++;
}

/* A piece is over when the next may begin. */
static void on_turn_end(void *context)
{
    struct fixture *f = context;
    (void)f;
    loop_stop(f->loop);
}

/* Every third is due, every third expires later. */
static void put_all(struct fixture *f)
{
    struct tree_txn *txn = tree_begin_write(f->tree);
    for (uint32_t i = 0; i < COUNT; i++) {
        char key_text[16];
        uint8_t key_bytes[TREE_KEY_LEN_MAX];
        uint8_t header[RECORD_HEADER_LEN];
        (void)snprintf(key_text, sizeof(key_text), "key%u", i);
        struct bytes key = bytes_text(key_text);
        const struct record record = {
            .point = point_of_key(key),
            .key = key,
            .version = i + 1,
            .expiry_ms = i % 3 == 0   ? NOW_MS
                         : i % 3 == 1 ? NOW_MS + 1
                                      : 0,
        };
        struct bytes at = bytes_of(key_bytes, record_key_encode(record.point, 0, key, key_bytes));
        record_header_encode(&record, at, header);
        tree_put(txn, TREE_RECORDS, at, bytes_of(header, sizeof(header)), bytes_of(NULL, 0));
    }
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static int setup(void **state)
{
    static struct fixture f;
    char error[256];
    f = (struct fixture){.scratch = scratch_make(), .loop = loop_new()};
    f.tree = tree_open(f.scratch.path, error, sizeof(error));
    assert_non_null(f.tree);
    f.patrol = patrol_new(f.loop, f.tree, on_found, &f);
    loop_on_turn_end(f.loop, on_turn_end, &f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    patrol_free(f->patrol);
    tree_close(f->tree);
    loop_free(f->loop);
    scratch_remove(&f->scratch);
    return 0;
}

static void patrol_pieces(struct fixture *f, const struct range *range, int count)
{
    f->range = range;
    for (int i = 0; i < count; i++) {
        assert_true(patrol_start(f->patrol, range, patrol_point(f->patrol), NOW_MS));
        assert_false(patrol_start(f->patrol, range, patrol_point(f->patrol), NOW_MS));
        assert_true(patrol_is_busy(f->patrol));
        loop_run(f->loop);
    }
}

static void all_that_is_due_is_found_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    patrol_pieces(f, NULL, 1);
    assert_int_equal(f->due_count, COUNT / 3);
    assert_int_equal(f->any_count, COUNT / 3);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(f->seen[i], i % 3 == 0);
    }
    assert_false(patrol_is_needless(f->patrol));
}

static void a_round_that_meets_nothing_that_expires_ends_the_search_until_it_is_noted(void **state)
{
    struct fixture *f = *state;
    assert_false(patrol_is_needless(f->patrol));
    patrol_pieces(f, NULL, 1);
    assert_true(patrol_is_needless(f->patrol));
    patrol_note(f->patrol);
    assert_false(patrol_is_needless(f->patrol));
    patrol_pieces(f, NULL, 1);
    assert_false(patrol_is_needless(f->patrol));
    patrol_pieces(f, NULL, 1);
    assert_true(patrol_is_needless(f->patrol));
}

static void a_shard_that_is_nearly_full_is_gone_through_piece_by_piece_and_again(void **state)
{
    struct fixture *f = *state;
    static const struct range upper = {.start = BOUND_END / 2, .end = BOUND_END};
    put_all(f);
    uint32_t there = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%u", i);
        there += point_of_key(bytes_text(key)) >> 63 == 1;
    }
    patrol_pieces(f, &upper, 4);
    uint32_t seen_count = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        seen_count += f->seen[i] > 0;
    }
    assert_int_equal(seen_count, there);
    assert_true(f->any_count > there);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_that_is_due_is_found_and_nothing_else),
        TEST(a_round_that_meets_nothing_that_expires_ends_the_search_until_it_is_noted),
        TEST(a_shard_that_is_nearly_full_is_gone_through_piece_by_piece_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
