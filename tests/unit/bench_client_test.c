/* SPDX-License-Identifier: MIT */
#include "cli/bench_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/id.h"
#include "tests/unit/fake_server.h"

#define SHARD        12
#define COUNT        UINT64_C(3)
#define DOCUMENT_LEN 100

/*
 * The load generator's connections against two scripted servers, the first of which owns all. What a script is told in
 * fake->detail: how many requests are answered, and the millisecond behind which its ids begin.
 */
struct fixture {
    struct fake *servers[2];
    struct bench_cluster cluster;
    struct bench_workload workload;
    struct bench_driver driver;
    struct bench_ids *ids;
    struct bench_tally tally;
};

/* --- what servers do --- */

static enum fake_act give_result(struct fake *fake, const struct buffer *result)
{
    static _Thread_local uint8_t bytes[64];
    assert(result->len <= sizeof(bytes));
    memcpy(bytes, result->data, result->len);
    fake->result = bytes_of(bytes, result->len);
    return FAKE_RESULT;
}

/* [[id, COUNT]] */
static enum fake_act give(struct fake *fake, uint64_t ms)
{
    struct buffer result = {0};
    uint64_t id = 0;
    (void)id_compose(ms, SHARD, 0, &id);
    pack_array(&result, 1);
    pack_array(&result, 2);
    pack_uint(&result, id);
    pack_uint(&result, COUNT);
    enum fake_act act = give_result(fake, &result);
    buffer_fini(&result);
    return act;
}

static enum fake_act mint_then_break(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count > fake->detail[0] ? FAKE_GARBAGE
                                               : give(fake, fake->detail[1] + fake->asked_count);
}

static enum fake_act mint_then_redirect(struct fake *fake, const struct fake_request *request)
{
    enum fake_act act = mint_then_break(fake, request);
    return act == FAKE_GARBAGE ? FAKE_REDIRECT : act;
}

static enum fake_act mint_the_same(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count > fake->detail[0] ? FAKE_GARBAGE : give(fake, fake->detail[1]);
}

static enum fake_act refuse_all(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    fake->code = STATUS_FULL;
    return fake->asked_count > fake->detail[0] ? FAKE_GARBAGE : FAKE_REFUSE;
}

/* [id, version, size] */
static enum fake_act put_then_break(struct fake *fake, const struct fake_request *request)
{
    struct buffer result = {0};
    struct unpack in = unpack_of(request->params);
    uint64_t id = 0;
    (void)unpack_array(&in);
    (void)id_compose(fake->asked_count, (uint32_t)(unpack_uint(&in) >> 51), 0, &id);
    pack_array(&result, 3);
    pack_uint(&result, id);
    pack_uint(&result, 77);
    pack_uint(&result, 172);
    enum fake_act act = give_result(fake, &result);
    buffer_fini(&result);
    return fake->asked_count > fake->detail[0] ? FAKE_GARBAGE : act;
}

/* --- runs --- */

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    *state = fixture;
    for (uint32_t i = 0; i < 2; i++) {
        fixture->servers[i] = fake_new();
        fixture->servers[i]->script = mint_then_break;
        fixture->servers[i]->detail[0] = 5;
        fixture->servers[i]->detail[1] = (uint64_t)i * 1000;
    }
    fixture->servers[0]->redirect = (struct map_entry){.name = "all",
                                                       .end = BOUND_END,
                                                       .epoch = 7,
                                                       .size = MAP_SIZE_MIN,
                                                       .address = fixture->servers[1]->address};
    fixture->ids = bench_ids_new();
    assert_non_null(fixture->ids);
    assert_true(bench_cluster_init_single(&fixture->cluster, &fixture->servers[0]->address));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 2; i++) {
        fake_free(fixture->servers[i]);
    }
    bench_workload_fini(&fixture->workload);
    bench_driver_fini(&fixture->driver);
    bench_cluster_fini(&fixture->cluster);
    bench_ids_free(fixture->ids);
    free(fixture);
    return 0;
}

static void run(struct fixture *fixture, const char *workload, uint32_t pipeline)
{
    char error[256];
    fake_start(fixture->servers[0]);
    fake_start(fixture->servers[1]);
    assert_true(bench_workload_init(&fixture->workload, bench_mix_find(workload), &fixture->cluster,
                                    1, DOCUMENT_LEN));
    fixture->workload.slices.first = SHARD;
    assert_true(bench_shardkv_init(&fixture->driver, DOCUMENT_LEN, pipeline));
    assert_true(bench_shardkv_add_ids(&fixture->driver, COUNT, DOCUMENT_LEN));
    const struct bench_client_config config = {.driver = &fixture->driver,
                                               .cluster = &fixture->cluster,
                                               .connections = 1,
                                               .pipeline = pipeline,
                                               .ids = fixture->ids,
                                               .mint_count = COUNT};
    struct bench_client *client =
        bench_client_open(&config, &fixture->workload, error, sizeof(error));
    assert_non_null(client);
    assert_int_equal(bench_client_run(client, 0, &fixture->tally), BENCH_ENDED_BROKEN);
    bench_client_close(client);
}

/* A run ends with an error: when a server that has answered all that it was to breaks the connection. */
static void assert_tally(const struct fixture *fixture, uint64_t ids, uint64_t errors,
                         const char *first_error)
{
    assert_int_equal(fixture->tally.ids, ids);
    assert_int_equal(fixture->tally.errors, errors);
    assert_string_equal(fixture->tally.first_error, first_error);
}

static uint32_t asked(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    uint32_t count = fake->asked_count;
    pthread_mutex_unlock(&fake->lock);
    return count;
}

static void ids_that_were_minted_are_counted(void **state)
{
    struct fixture *fixture = *state;
    run(fixture, "mint", 1);
    assert_tally(fixture, 5 * COUNT, 1, unpack_fault_text(UNPACK_BAD_BYTE));
    assert_int_equal(fixture->tally.kinds[BENCH_MINT].count, 5);
    assert_true(fixture->tally.longest_gap_ns > 0);
}

static void a_connection_that_mints_goes_after_its_point(void **state)
{
    struct fixture *fixture = *state;
    fixture->servers[0]->script = mint_then_redirect;
    run(fixture, "mint", 1);
    assert_tally(fixture, 10 * COUNT, 1, unpack_fault_text(UNPACK_BAD_BYTE));
    assert_int_equal(asked(fixture->servers[0]), 6);
    assert_int_equal(asked(fixture->servers[1]), 6);
}

static void all_that_a_pipeline_had_under_way_goes_along(void **state)
{
    struct fixture *fixture = *state;
    fixture->servers[0]->script = mint_then_redirect;
    fixture->servers[1]->detail[0] = 20;
    run(fixture, "mint", 8);
    assert_tally(fixture, 25 * COUNT, 1, unpack_fault_text(UNPACK_BAD_BYTE));
    assert_in_range(asked(fixture->servers[0]), 8, 5 + 8);
}

static void an_id_that_comes_twice_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    fixture->servers[0]->script = mint_the_same;
    run(fixture, "mint", 2);
    assert_tally(fixture, 5 * COUNT, 4 + 1, "an id came twice");
}

static void ids_of_two_servers_that_are_alike_are_an_error(void **state)
{
    struct fixture *fixture = *state;
    fixture->servers[0]->script = mint_then_redirect;
    fixture->servers[1]->detail[1] = 4;
    run(fixture, "mint", 2);
    assert_tally(fixture, 10 * COUNT, 1 + 1, "an id came twice");
}

static void ids_that_a_connection_gets_must_grow(void **state)
{
    struct fixture *fixture = *state;
    fixture->servers[0]->script = mint_then_redirect;
    fixture->servers[0]->detail[1] = 2000;
    fixture->servers[1]->detail[0] = 1;
    run(fixture, "mint", 1);
    assert_tally(fixture, 6 * COUNT, 1 + 1, "ids do not grow");
}

static void a_mint_that_is_refused_brings_no_ids(void **state)
{
    struct fixture *fixture = *state;
    fixture->servers[0]->script = refuse_all;
    run(fixture, "mint", 1);
    assert_tally(fixture, 0, 5 + 1, status_text(STATUS_FULL));
}

static void puts_have_an_id_each(void **state)
{
    struct fixture *fixture = *state;
    fixture->servers[0]->script = put_then_break;
    run(fixture, "put", 4);
    assert_tally(fixture, 5, 1, unpack_fault_text(UNPACK_BAD_BYTE));
    assert_int_equal(fixture->tally.kinds[BENCH_PUT].count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_that_were_minted_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_mints_goes_after_its_point, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(all_that_a_pipeline_had_under_way_goes_along, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_id_that_comes_twice_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_of_two_servers_that_are_alike_are_an_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ids_that_a_connection_gets_must_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mint_that_is_refused_brings_no_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(puts_have_an_id_each, setup, teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
