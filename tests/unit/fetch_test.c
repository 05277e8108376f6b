/* SPDX-License-Identifier: MIT */
#include "shardd/fetch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/point.h"
#include "tests/unit/scratch.h"

enum { COUNT = 60 };

/* Several of them are more than one job brings. */
#define VALUE_LEN (400u << 10)

struct fixture {
    struct scratch scratch;
    struct tree *tree;
    struct loop *loop;
    struct fetch *fetch;
    uint8_t *value;
    uint32_t told_count;
    uint32_t awaited;
    uint32_t told[COUNT + 10];
    enum fetched_state states[COUNT + 10];
};

static struct bytes key_of(uint32_t number)
{
    static char key[16];
    (void)snprintf(key, sizeof(key), "key%u", number);
    return bytes_text(key);
}

static void on_fetched(void *context, const struct fetched *fetched)
{
    struct fixture *f = context;
    char text[16] = "";
    memcpy(text, fetched->record.key.data, fetched->record.key.len);
    uint32_t number = (uint32_t)strtoul(text + 3, NULL, 10);
    f->told[number]++;
    f->told_count++;
    f->states[number] = fetched->state;
    assert_int_equal(fetched->record.point, point_of_key(fetched->record.key));
    if (fetched->state == FETCHED_RECORD) {
        assert_int_equal(fetched->record.version, number + 1);
        assert_memory_equal(fetched->record.value.data, f->value + number,
                            fetched->record.value.len);
    }
    if (fetched->state != FETCHED_NOTHING) {
        assert_int_equal(fetched->size, record_size(fetched->record.key.len, VALUE_LEN));
    }
}

static void on_turn_end(void *context)
{
    struct fixture *f = context;
    fetch_turn(f->fetch);
    if (f->told_count >= f->awaited) {
        loop_stop(f->loop);
    }
}

static void put_stored(struct fixture *f, uint32_t number, size_t flipped)
{
    uint8_t key_bytes[TREE_KEY_LEN_MAX];
    uint8_t header[RECORD_HEADER_LEN];
    struct bytes key = key_of(number);
    const struct record record = {.point = point_of_key(key),
                                  .key = key,
                                  .value = bytes_of(f->value + number, VALUE_LEN),
                                  .version = number + 1};
    struct bytes at = bytes_of(key_bytes, record_key_encode(record.point, 0, key, key_bytes));
    record_header_encode(&record, at, header);
    header[flipped] ^= flipped > 0;
    struct tree_txn *txn = tree_begin_write(f->tree);
    tree_put(txn, TREE_RECORDS, at, bytes_of(header, sizeof(header)), record.value);
    assert_int_equal(tree_commit(txn), TREE_FINE);
}

static int setup(void **state)
{
    static struct fixture f;
    char error[256];
    f = (struct fixture){.scratch = scratch_make(), .loop = loop_new()};
    f.value = calloc(1, VALUE_LEN + COUNT + 10);
    for (uint32_t i = 0; i < VALUE_LEN + COUNT; i++) {
        f.value[i] = (uint8_t)(i * 31);
    }
    f.tree = tree_open(f.scratch.path, error, sizeof(error));
    assert_non_null(f.tree);
    f.fetch = fetch_new(f.loop, f.tree, 8u << 20, on_fetched, &f);
    loop_on_turn_end(f.loop, on_turn_end, &f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fetch_free(f->fetch);
    tree_close(f->tree);
    loop_free(f->loop);
    scratch_remove(&f->scratch);
    free(f->value);
    return 0;
}

static void want(struct fixture *f, uint32_t number)
{
    struct bytes key = key_of(number);
    fetch_want(f->fetch, point_of_key(key), 0, key);
    f->awaited++;
}

static void run(struct fixture *f)
{
    fetch_turn(f->fetch);
    loop_run(f->loop);
    assert_int_equal(f->told_count, f->awaited);
    assert_int_equal(fetch_count(f->fetch), f->awaited);
}

static void every_key_is_told_once_though_all_are_more_than_one_job_brings(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < COUNT; i++) {
        put_stored(f, i, 0);
        want(f, i);
    }
    for (uint32_t i = COUNT; i < COUNT + 10; i++) {
        want(f, i);
    }
    run(f);
    for (uint32_t i = 0; i < COUNT + 10; i++) {
        assert_int_equal(f->told[i], 1);
        assert_int_equal(f->states[i], i < COUNT ? FETCHED_RECORD : FETCHED_NOTHING);
    }
}

static void what_cannot_be_read_is_told_with_its_size(void **state)
{
    struct fixture *f = *state;
    put_stored(f, 1, RECORD_HEADER_LEN - 1);
    want(f, 1);
    run(f);
    assert_int_equal(f->states[1], FETCHED_DAMAGED);
}

static void an_end_while_a_job_runs_tells_nothing(void **state)
{
    struct fixture *f = *state;
    put_stored(f, 1, 0);
    want(f, 1);
    fetch_turn(f->fetch);
    want(f, 2);
    fetch_free(f->fetch);
    f->fetch = NULL;
    assert_int_equal(f->told_count, 0);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_key_is_told_once_though_all_are_more_than_one_job_brings),
        TEST(what_cannot_be_read_is_told_with_its_size),
        TEST(an_end_while_a_job_runs_tells_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
