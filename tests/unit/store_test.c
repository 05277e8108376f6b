/* SPDX-License-Identifier: MIT */
#include "shardd/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "io/clock.h"
#include "proto/point.h"
#include "proto/unpack.h"
#include "tests/unit/scratch.h"

static const struct range all[] = {{0, BOUND_END, UINT64_C(1) << 40}};
static const struct range upper[] = {{BOUND_END / 2, BOUND_END, UINT64_C(1) << 40}};

struct fixture {
    struct scratch scratch;
    struct loop *loop;
    struct store *store;
    uint32_t waiting; /* operations and saves that are not done */
    uint32_t done_count;
    bool is_saved;
    uint32_t order[8192]; /* reply ids as they came */
    enum status statuses[8192];
    int64_t integers[8192];
    bool were_there[8192];
};

static void on_turn_end(void *context)
{
    struct fixture *fixture = context;
    store_turn_end(fixture->store);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char error[256] = "";
    fixture->scratch = scratch_make();
    fixture->loop = loop_new();
    fixture->store = store_open(fixture->loop, fixture->scratch.path, error, sizeof(error));
    assert_non_null(fixture->store);
    assert_true(store_start(fixture->store, bytes_text("control"), NULL, 0, error, sizeof(error)));
    loop_on_turn_end(fixture->loop, on_turn_end, fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_free(fixture->store);
    loop_free(fixture->loop);
    scratch_remove(&fixture->scratch);
    free(fixture);
    return 0;
}

static void finish_one(struct fixture *fixture)
{
    if (--fixture->waiting == 0) {
        loop_stop(fixture->loop);
    }
}

static void on_done(struct op *op)
{
    struct fixture *fixture = op->context;
    fixture->order[fixture->done_count++] = op->reply_id;
    fixture->statuses[op->reply_id] = op->outcome.status;
    fixture->integers[op->reply_id] = op->outcome.integer;
    fixture->were_there[op->reply_id] = op->outcome.was_there;
    op_free(op);
    finish_one(fixture);
}

static void on_saved(void *context, bool is_saved)
{
    struct fixture *fixture = context;
    fixture->is_saved = is_saved;
    finish_one(fixture);
}

static void save(struct fixture *fixture, const struct range *ranges, uint32_t range_count)
{
    fixture->waiting++;
    store_save_control(fixture->store, bytes_text("control"), ranges, range_count, on_saved,
                       fixture);
}

static void wait_all(struct fixture *fixture)
{
    store_turn_end(fixture->store);
    loop_run(fixture->loop);
    assert_int_equal(fixture->waiting, 0);
}

static void own(struct fixture *fixture, const struct range *ranges)
{
    save(fixture, ranges, 1);
    wait_all(fixture);
    assert_true(fixture->is_saved);
}

static void submit(struct fixture *fixture, const struct op *op)
{
    struct op copy = *op;
    copy.done = on_done;
    copy.context = fixture;
    copy.reply_id = fixture->done_count + fixture->waiting;
    fixture->waiting++;
    store_submit(fixture->store, op_new(&copy));
}

static struct op op_of(enum op_kind kind, const char *key)
{
    struct bytes bytes = bytes_text(key);
    return (struct op){
        .kind = kind,
        .key = bytes,
        .point = point_of_key(bytes),
        .value = bytes_of("\x01", kind == OP_WRITE ? 1 : 0),
        .by = 1,
        .limit = 1,
    };
}

static void effects_and_answers_keep_the_order_of_submission(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    struct op write = op_of(OP_WRITE, "key");
    struct op incr = op_of(OP_INCR, "key");
    struct op exists = op_of(OP_EXISTS, "key");
    struct op delete = op_of(OP_DELETE, "key");
    submit(fixture, &exists);
    submit(fixture, &write);
    submit(fixture, &exists);
    submit(fixture, &incr);
    submit(fixture, &incr);
    submit(fixture, &delete);
    submit(fixture, &exists);
    submit(fixture, &incr);
    wait_all(fixture);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(fixture->order[i], i);
        assert_int_equal(fixture->statuses[i], STATUS_OK);
    }
    assert_false(fixture->were_there[0]);
    assert_true(fixture->were_there[2]);
    assert_int_equal(fixture->integers[3], 2);
    assert_int_equal(fixture->integers[4], 3);
    assert_true(fixture->were_there[5]);
    assert_false(fixture->were_there[6]);
    assert_int_equal(fixture->integers[7], 1);
}

static void more_than_a_group_is_done_in_several(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    struct op incr = op_of(OP_INCR, "key");
    uint32_t count = STORE_GROUP_OPS_MAX + 1000;
    for (uint32_t i = 0; i < count; i++) {
        submit(fixture, &incr);
    }
    assert_false(store_is_idle(fixture->store));
    wait_all(fixture);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(fixture->integers[i], i + 1);
    }
    assert_true(store_is_idle(fixture->store));
    assert_int_equal(store_account(fixture->store, 0)->records, 1);
}

static void reads_that_do_not_fit_into_one_group_are_answered_in_order(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    uint32_t value_len = 3 << 20;
    uint8_t *value = calloc(1, value_len);
    uint8_t head[] = {0xc6, 0, 0x2f, 0xff, 0xfb};
    memcpy(value, head, sizeof(head));
    struct op write = op_of(OP_WRITE, "key");
    write.value = bytes_of(value, value_len);
    submit(fixture, &write);
    free(value);
    struct op read = op_of(OP_READ, "key");
    for (uint32_t i = 0; i < 10; i++) {
        submit(fixture, &read);
    }
    wait_all(fixture);
    for (uint32_t i = 0; i < 11; i++) {
        assert_int_equal(fixture->order[i], i);
        assert_true(i == 0 || fixture->were_there[i]);
    }
}

static void what_waits_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    struct op write = op_of(OP_WRITE, "key");
    static uint8_t value[1 << 20] = {0xc6, 0, 0x0f, 0xff, 0xfb};
    write.value = bytes_of(value, sizeof(value));
    uint32_t count = 0;
    for (; store_has_room(fixture->store, op_len(&write)); count++) {
        submit(fixture, &write);
    }
    assert_int_equal(count, STORE_QUEUE_LEN_MAX / (sizeof(value) + 1000));
    wait_all(fixture);
    assert_true(store_has_room(fixture->store, op_len(&write)));
}

static void an_operation_that_waited_too_long_is_put_off(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    struct op write = op_of(OP_WRITE, "key");
    struct op exists = op_of(OP_EXISTS, "key");
    write.deadline_us = 1;
    submit(fixture, &write);
    submit(fixture, &exists);
    wait_all(fixture);
    assert_int_equal(fixture->statuses[0], STATUS_TRY_LATER);
    assert_int_equal(fixture->statuses[1], STATUS_OK);
    assert_false(fixture->were_there[1]);
}

static bool is_nobody_there(const struct op *op)
{
    (void)op;
    return false;
}

/*
 * Somebody asks for large values as fast as the wire takes it, and leaves: all were read to the last,
 * a group for each, and whoever came after waited for minutes.
 */
static void what_nobody_waits_for_any_more_is_not_read(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    struct op write = op_of(OP_WRITE, "key");
    struct op read = op_of(OP_READ, "key");
    struct op exists = op_of(OP_EXISTS, "key");
    write.is_awaited = is_nobody_there;
    submit(fixture, &write);
    submit(fixture, &read);
    read.is_awaited = is_nobody_there;
    submit(fixture, &read);
    submit(fixture, &exists);
    wait_all(fixture);
    assert_int_equal(fixture->statuses[0], STATUS_OK);
    assert_true(fixture->were_there[1]);
    assert_false(fixture->were_there[2]);
    assert_int_equal(fixture->statuses[2], STATUS_TRY_LATER);
    assert_true(fixture->were_there[3]);
}

static void what_is_no_longer_owned_when_its_turn_comes_is_not_done(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    struct op low = op_of(OP_WRITE, "low");
    struct op high = op_of(OP_WRITE, "high");
    low.point = 0;
    high.point = UINT64_MAX;
    submit(fixture, &low);
    submit(fixture, &high);
    save(fixture, upper, 1);
    wait_all(fixture);
    assert_int_equal(fixture->statuses[0], STATUS_WRONG_SHARD);
    assert_int_equal(fixture->statuses[1], STATUS_OK);
    assert_null(store_account(fixture->store, 0));
    assert_int_equal(store_account(fixture->store, UINT64_MAX)->records, 1);
}

static void what_is_freed_unanswered_is_given_back(void **state)
{
    struct fixture *fixture = *state;
    own(fixture, all);
    struct op write = op_of(OP_WRITE, "key");
    submit(fixture, &write);
    store_turn_end(fixture->store);
    submit(fixture, &write);
    store_free(fixture->store);
    assert_int_equal(fixture->waiting, 0);
    assert_int_equal(fixture->statuses[0], STATUS_SHUTTING_DOWN);
    assert_int_equal(fixture->statuses[1], STATUS_SHUTTING_DOWN);
    fixture->store = NULL;
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(effects_and_answers_keep_the_order_of_submission),
        TEST(more_than_a_group_is_done_in_several),
        TEST(reads_that_do_not_fit_into_one_group_are_answered_in_order),
        TEST(what_waits_is_bounded),
        TEST(an_operation_that_waited_too_long_is_put_off),
        TEST(what_nobody_waits_for_any_more_is_not_read),
        TEST(what_is_no_longer_owned_when_its_turn_comes_is_not_done),
        TEST(what_is_freed_unanswered_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
