/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/wait.h>

#include "io/clock.h"
#include "tests/unit/client_fixture.h"

/* --- opening --- */

static uint32_t map_count(struct fake *fake)
{
    pthread_mutex_lock(&fake->lock);
    uint32_t count = fake->map_count;
    pthread_mutex_unlock(&fake->lock);
    return count;
}

static void opened_without_a_map_it_is_fetched_when_a_key_needs_it(void **state)
{
    struct fixture *fixture = *state;
    struct skv_options options = {.without_map = true};
    struct skv_record rec = {0};
    skv_close(fixture->kv);
    uint32_t before = map_count(fixture->servers[0]) + map_count(fixture->servers[1]);
    open_client(fixture, &options);
    assert_int_equal(map_count(fixture->servers[0]) + map_count(fixture->servers[1]), before);
    assert_int_equal(skv_read(fixture->kv, skv_key(key_in(1, 0)), NULL, &rec), SKV_OK);
    assert_int_equal(map_count(fixture->servers[0]) + map_count(fixture->servers[1]), before + 1);
    skv_record_fini(&rec);
}

/* --- routing --- */

static void a_call_goes_to_the_owner_of_its_key(void **state)
{
    struct fixture *fixture = *state;
    char expected[64];
    for (uint32_t half = 0; half < 2; half++) {
        struct skv_record rec = {0};
        const char *key = key_in(half, 0);
        assert_int_equal(skv_read(fixture->kv, skv_key(key), NULL, &rec), SKV_OK);
        (void)snprintf(expected, sizeof(expected), "read %s; ", key);
        assert_trace(fixture->servers[half], expected);
        assert_int_equal(rec.value.type, SKV_STR);
        assert_memory_equal(rec.value.bytes.data, key, strlen(key));
        assert_memory_equal(rec.key.data, key, strlen(key));
        assert_int_equal(rec.version, 77);
        assert_int_equal(rec.ttl_ms, -1);
        assert_true(rec.point == skv_point(skv_key(key)));
        skv_record_fini(&rec);
    }
}

static void a_redirect_is_followed_with_one_request_and_remembered(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    move_to(fixture->servers[0], fixture->servers[1], 0);
    set_script(fixture->servers[0], redirect);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), NULL), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 1);
    assert_int_equal(asked_count(fixture->servers[1]), 1);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), NULL), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 1);
    assert_int_equal(asked_count(fixture->servers[1]), 2);
}

static void a_redirected_operation_keeps_its_number(void **state)
{
    struct fixture *fixture = *state;
    char expected[64];
    const char *key = key_in(0, 0);
    move_to(fixture->servers[0], fixture->servers[1], 0);
    set_script(fixture->servers[0], redirect);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), NULL), SKV_OK);
    (void)snprintf(expected, sizeof(expected), "delete %s #1/1; ", key);
    assert_trace(fixture->servers[0], expected);
    assert_trace(fixture->servers[1], expected);
    assert_memory_equal(fixture->servers[0]->client, fixture->servers[1]->client, ID_LEN);
}

static void a_redirect_without_an_entry_has_the_map_fetched(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        struct fake *server = fixture->servers[i];
        pthread_mutex_lock(&server->lock);
        server->map.revision = 9;
        server->map.entries[0].epoch = 9;
        server->map.entries[0].address = fixture->servers[1]->address;
        pthread_mutex_unlock(&server->lock);
    }
    set_script(fixture->servers[0], redirect); /* its entry is nil */
    assert_int_equal(skv_exists(fixture->kv, skv_key(key_in(0, 0)), &PATIENT), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[1]), 1);
}

static void a_foreign_server_is_told_nothing(void **state)
{
    struct fixture *fixture = *state;
    pthread_mutex_lock(&fixture->servers[1]->lock);
    fixture->servers[1]->hello_code = STATUS_WRONG_CLUSTER;
    pthread_mutex_unlock(&fixture->servers[1]->lock);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key_in(1, 0)), NULL), SKV_DENIED);
    assert_int_equal(skv_error()->wire_code, STATUS_WRONG_CLUSTER);
    assert_int_equal(asked_count(fixture->servers[1]), 0);
}

static void opening_passes_over_an_address_where_nobody_listens(void **state)
{
    struct fixture *fixture = *state;
    struct fake *gone = fake_new();
    char addresses[2 * ADDRESS_TEXT_LEN];
    (void)snprintf(addresses, sizeof(addresses), "127.0.0.1:%u,127.0.0.1:%u", gone->address.port,
                   fixture->servers[1]->address.port);
    fake_start(gone);
    fake_stop(gone);
    struct skv *kv = NULL;
    assert_int_equal(skv_open(addresses, NULL, &kv), SKV_OK);
    skv_close(kv);
    fake_free(gone);
}

static void opening_ends_by_its_deadline_and_says_where_nobody_listens(void **state)
{
    (void)state;
    struct fake *gone = fake_new();
    char address[ADDRESS_TEXT_LEN];
    address_print(&gone->address, address);
    fake_start(gone);
    fake_free(gone);
    struct skv *kv = NULL;
    const struct skv_options options = {.timeout_ms = 100};
    assert_int_equal(skv_open(address, &options, &kv), SKV_UNAVAILABLE);
    assert_null(kv);
    assert_string_equal(skv_error()->server, address);
    assert_non_null(strstr(skv_error()->text, "Connection refused"));
    assert_non_null(strstr(skv_error()->text, "within 100 ms"));
}

/* --- lost replies --- */

static void a_lost_reply_is_asked_for_again_with_the_same_number(void **state)
{
    struct fixture *fixture = *state;
    char expected[128];
    const char *key = key_in(0, 0);
    struct skv_record rec = {0};
    set_script(fixture->servers[0], drop_first);
    assert_int_equal(skv_write(fixture->kv, skv_key(key), skv_text("v"), NULL, &rec), SKV_OK);
    (void)snprintf(expected, sizeof(expected), "write %s=v #1/1; write %s=v #1/1; ", key, key);
    assert_trace(fixture->servers[0], expected);
    assert_int_equal(rec.version, 1001);
    assert_int_equal(rec.size, 99);
    assert_int_equal(rec.value.type, SKV_NIL);
    skv_record_fini(&rec);
}

static void a_time_to_live_goes_with_the_write_and_comes_back_in_its_record(void **state)
{
    struct fixture *fixture = *state;
    struct skv_record rec = {0};
    const struct skv_call call = {.ttl_ms = 10000, .left_ms = 9300, .sliding = true};
    set_script(fixture->servers[0], keep_params);
    struct skv_bytes key = skv_key(key_in(0, 0));
    assert_int_equal(skv_write(fixture->kv, key, skv_int(5), &call, &rec), SKV_OK);
    assert_non_null(strstr(last_params, ",5,{\"ttl_ms\":10000,\"left_ms\":9300,\"sliding\":true,"));
    assert_int_equal(rec.ttl_ms, 9300);
    assert_int_equal(rec.full_ttl_ms, 10000);
    assert_true(rec.sliding);
    /* Without one it lives for ever. */
    assert_int_equal(skv_write(fixture->kv, key, skv_int(5), NULL, &rec), SKV_OK);
    assert_null(strstr(last_params, "ttl_ms"));
    assert_int_equal(rec.ttl_ms, -1);
    assert_int_equal(rec.full_ttl_ms, 0);
    assert_false(rec.sliding);
    skv_record_fini(&rec);
}

static void expire_sends_the_time_or_nil_and_counts_as_a_change(void **state)
{
    struct fixture *fixture = *state;
    struct skv_record rec = {0};
    const struct skv_call sliding = {.sliding = true, .if_version = 7};
    set_script(fixture->servers[0], keep_params);
    struct skv_bytes key = skv_key(key_in(0, 0));
    assert_int_equal(skv_expire(fixture->kv, key, 10000, &sliding, &rec), SKV_OK);
    assert_non_null(strstr(last_params, ",10000,{\"if_version\":7,\"sliding\":true,"));
    assert_non_null(strstr(last_params, "\"seq\":1,\"done\":1"));
    assert_int_equal(rec.version, 1001);
    assert_int_equal(rec.ttl_ms, 10000);
    assert_true(rec.sliding);
    assert_int_equal(skv_expire(fixture->kv, key, 0, NULL, &rec), SKV_OK);
    assert_non_null(strstr(last_params, ",null,{"));
    assert_int_equal(rec.ttl_ms, -1);
    assert_int_equal(skv_expire(fixture->kv, key, 0, NULL, NULL), SKV_OK);
    skv_record_fini(&rec);
}

static void a_batch_expires_too(void **state)
{
    struct fixture *fixture = *state;
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    assert_non_null(batch);
    skv_batch_expire(batch, skv_key(key_in(0, 0)), 5000, NULL);
    skv_batch_expire(batch, skv_key(key_in(1, 0)), 0, NULL);
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    assert_int_equal(skv_batch_record(batch, 0)->ttl_ms, 5000);
    assert_int_equal(skv_batch_record(batch, 1)->ttl_ms, -1);
    assert_int_equal(skv_batch_record(batch, 1)->size, 99);
    skv_batch_free(batch);
}

static void done_passes_a_number_that_was_answered(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    char expected[128];
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), NULL), SKV_OK);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), NULL), SKV_OK);
    (void)snprintf(expected, sizeof(expected), "delete %s #1/1; delete %s #2/2; ", key, key);
    assert_trace(fixture->servers[0], expected);
}

static enum fake_act garbage_first(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_GARBAGE : FAKE_ANSWER;
}

static enum fake_act odd_first(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_ODD : FAKE_ANSWER;
}

static void a_malformed_reply_counts_as_a_lost_one(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], garbage_first);
    assert_int_equal(skv_read(fixture->kv, skv_key(key_in(0, 0)), &PATIENT, NULL), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 2);
    set_script(fixture->servers[0], odd_first);
    assert_int_equal(skv_write(fixture->kv, skv_key(key_in(0, 0)), skv_int(1), &PATIENT, NULL),
                     SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 2);
}

static enum fake_act silence_once(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_SILENT : FAKE_ANSWER;
}

static void at_the_deadline_a_heard_write_is_unknown_and_a_read_unavailable(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    set_script(fixture->servers[0], silence);
    assert_int_equal(skv_write(fixture->kv, skv_key(key), skv_int(1), &BRIEF, NULL), SKV_UNKNOWN);
    assert_non_null(strstr(skv_error()->text, "may have been done"));
    assert_int_equal(skv_read(fixture->kv, skv_key(key), &BRIEF, NULL), SKV_UNAVAILABLE);
}

static void what_nobody_heard_is_certainly_not_done(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(1, 0);
    fake_stop(fixture->servers[1]);
    assert_int_equal(skv_write(fixture->kv, skv_key(key), skv_int(1), &BRIEF, NULL),
                     SKV_UNAVAILABLE);
    char expected[160];
    (void)snprintf(expected, sizeof(expected),
                   "write \"%s\": 127.0.0.1:%u: Connection refused; no server could serve it "
                   "within 150 ms: is shardd running there?",
                   key, fixture->servers[1]->address.port);
    assert_string_equal(skv_error()->text, expected);
}

static enum fake_act refuse(struct fake *fake, const struct fake_request *request)
{
    (void)fake;
    (void)request;
    return FAKE_REFUSE;
}

static enum fake_act drop_then_refuse(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_DROP : FAKE_REFUSE;
}

static void set_refusal(struct fake *fake, enum status code, uint64_t first, uint64_t second)
{
    pthread_mutex_lock(&fake->lock);
    fake->code = code;
    fake->detail[0] = first;
    fake->detail[1] = second;
    pthread_mutex_unlock(&fake->lock);
}

static void a_refusal_after_a_lost_reply_leaves_it_unknown(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    set_refusal(fixture->servers[0], STATUS_TRY_LATER, 0, 0);
    set_script(fixture->servers[0], refuse);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), &BRIEF), SKV_UNAVAILABLE);
    assert_int_equal(skv_error()->wire_code, STATUS_TRY_LATER);
    set_script(fixture->servers[0], drop_then_refuse);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), &BRIEF), SKV_UNKNOWN);
}

static void refusals_bring_their_details(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    struct skv_record rec = {.version = 5};
    set_script(fixture->servers[0], refuse);
    set_refusal(fixture->servers[0], STATUS_CONDITION, 12345, 0);
    assert_int_equal(skv_write(fixture->kv, skv_key(key), skv_int(1), NULL, &rec), SKV_CONDITION);
    assert_int_equal(skv_error()->version, 12345);
    assert_int_equal(rec.version, 5);
    set_refusal(fixture->servers[0], STATUS_FULL, 900, 1024);
    assert_int_equal(skv_write(fixture->kv, skv_key(key), skv_int(1), NULL, &rec), SKV_FULL);
    assert_int_equal(skv_error()->used, 900);
    assert_int_equal(skv_error()->limit, 1024);
    set_refusal(fixture->servers[0], STATUS_STALE, 0, 0);
    assert_int_equal(skv_write(fixture->kv, skv_key(key), skv_int(1), NULL, &rec), SKV_UNKNOWN);
    assert_int_equal(asked_count(fixture->servers[0]), 3);
}

static void a_raw_request_is_sent_once(void **state)
{
    struct fixture *fixture = *state;
    char address[ADDRESS_TEXT_LEN];
    address_print(&fixture->servers[0]->address, address);
    struct skv_value nil = {.type = SKV_NIL};
    struct skv_record rec = {0};
    assert_int_equal(skv_request(fixture->kv, address, "stat", nil, 0, &rec), SKV_OK);
    assert_int_equal(rec.value.type, SKV_BOOL);
    set_script(fixture->servers[0], drop_first);
    assert_int_equal(skv_request(fixture->kv, address, "stat", nil, 0, &rec), SKV_UNKNOWN);
    assert_trace(fixture->servers[0], "stat; ");
    assert_int_equal(skv_request(fixture->kv, NULL, "stat", skv_msgpack("\x91\x07", 2), 0, &rec),
                     SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 2);
    skv_record_fini(&rec);
}

static void a_server_that_stopped_and_came_back_is_found_again(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    struct fake *server = fixture->servers[0];
    assert_int_equal(skv_read(fixture->kv, skv_key(key), NULL, NULL), SKV_OK);
    pthread_mutex_lock(&server->lock);
    for (uint32_t i = 0; i < FAKE_CONNS_MAX; i++) {
        if (server->conns[i].fd >= 0) {
            shutdown(server->conns[i].fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->lock);
    assert_int_equal(skv_read(fixture->kv, skv_key(key), NULL, NULL), SKV_OK);
    assert_int_equal(asked_count(server), 2);
}

/* A port that nobody accepts at: one connection fills its queue, and the next gets no answer. */
struct deaf {
    int listener, first;
    char address[ADDRESS_TEXT_LEN];
};

static void deaf_open(struct deaf *deaf)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t name_len = sizeof(name);
    deaf->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(deaf->listener, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(deaf->listener, 0), 0);
    assert_int_equal(getsockname(deaf->listener, (struct sockaddr *)&name, &name_len), 0);
    deaf->first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(deaf->first, (struct sockaddr *)&name, sizeof(name)), 0);
    (void)snprintf(deaf->address, sizeof(deaf->address), "127.0.0.1:%u", ntohs(name.sin_port));
}

static void deaf_close(struct deaf *deaf)
{
    close(deaf->first);
    close(deaf->listener);
}

static void a_raw_request_takes_arguments_nested_as_deep_as_values_may_be(void **state)
{
    struct fixture *fixture = *state;
    uint8_t params[1 + DEPTH_MAX];
    memset(params, 0x91, sizeof(params));
    params[DEPTH_MAX] = 0x90;
    assert_int_equal(
        skv_request(fixture->kv, NULL, "odd", skv_msgpack(params, sizeof(params)), 0, NULL),
        SKV_OK);
}

static void a_raw_request_that_never_left_is_certainly_not_done(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_options options = {.without_map = true};
    struct deaf deaf;
    deaf_open(&deaf);
    skv_close(fixture->kv);
    open_client(fixture, &options);
    struct skv_value nil = {.type = SKV_NIL};
    assert_int_equal(skv_request(fixture->kv, deaf.address, "odd", nil, 200, NULL),
                     SKV_UNAVAILABLE);
    deaf_close(&deaf);
}

static void a_raw_request_passes_over_an_address_that_does_not_answer(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_options options = {.without_map = true};
    char addresses[2 * ADDRESS_TEXT_LEN];
    struct deaf deaf;
    deaf_open(&deaf);
    skv_close(fixture->kv);
    (void)snprintf(addresses, sizeof(addresses), "%s,127.0.0.1:%u", deaf.address,
                   fixture->servers[0]->address.port);
    assert_int_equal(skv_open(addresses, &options, &fixture->kv), SKV_OK);
    struct skv_value nil = {.type = SKV_NIL};
    assert_int_equal(skv_request(fixture->kv, NULL, "odd", nil, 20000, NULL), SKV_OK);
    deaf_close(&deaf);
}

static void a_raw_request_to_the_wrong_server_does_not_change_the_map(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_options options = {.without_map = true};
    struct skv_value nil = {.type = SKV_NIL};
    skv_close(fixture->kv);
    open_client(fixture, &options);
    set_script(fixture->servers[1], redirect);
    fixture->servers[1]->redirect = fixture->servers[1]->map.entries[0];
    fixture->servers[1]->redirect.address = fixture->servers[1]->address;
    fixture->servers[1]->redirect.epoch = 9;
    char address[ADDRESS_TEXT_LEN];
    address_print(&fixture->servers[1]->address, address);
    assert_int_equal(skv_request(fixture->kv, address, "odd", nil, 0, NULL), SKV_UNAVAILABLE);
    assert_int_equal(skv_exists(fixture->kv, skv_key(key_in(0, 0)), NULL), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 1);
}

static void
a_connection_older_than_the_map_is_asked_for_its_cluster_before_data_goes_out(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_options options = {.without_map = true};
    struct skv_value nil = {.type = SKV_NIL};
    char address[ADDRESS_TEXT_LEN];
    address_print(&fixture->servers[1]->address, address);
    skv_close(fixture->kv);
    open_client(fixture, &options);
    assert_int_equal(skv_request(fixture->kv, address, "odd", nil, 0, NULL), SKV_OK);
    pthread_mutex_lock(&fixture->servers[1]->lock);
    fixture->servers[1]->hello_code = STATUS_WRONG_CLUSTER;
    pthread_mutex_unlock(&fixture->servers[1]->lock);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key_in(1, 0)), NULL), SKV_DENIED);
    assert_int_equal(asked_count(fixture->servers[1]), 1);
}

/* --- batches --- */

static enum fake_act hold_two(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count < 3 ? FAKE_HOLD : FAKE_RELEASE;
}

static void responses_in_another_order_find_their_requests(void **state)
{
    struct fixture *fixture = *state;
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    set_script(fixture->servers[0], hold_two);
    for (uint32_t i = 0; i < 3; i++) {
        skv_batch_read(batch, skv_key(key_in(0, i)), NULL);
    }
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const struct skv_record *rec = skv_batch_record(batch, i);
        const char *key = key_in(0, i);
        assert_int_equal(rec->value.bytes.len, strlen(key));
        assert_memory_equal(rec->value.bytes.data, key, strlen(key));
    }
    skv_batch_free(batch);
}

static enum fake_act redirect_first(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_REDIRECT : FAKE_ANSWER;
}

static void items_of_one_key_keep_their_order_over_a_redirect(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    char expected[128];
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    move_to(fixture->servers[0], fixture->servers[1], 0);
    set_script(fixture->servers[0], redirect_first);
    skv_batch_write(batch, skv_key(key), skv_text("a"), NULL);
    skv_batch_write(batch, skv_key(key), skv_text("b"), NULL);
    skv_batch_write(batch, skv_key(key), skv_text("c"), NULL);
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 1);
    (void)snprintf(expected, sizeof(expected),
                   "write %s=a #1/1; write %s=b #1/1; write %s=c #2/2; ", key, key, key);
    assert_trace(fixture->servers[1], expected);
    skv_batch_free(batch);
}

static enum fake_act drop_second(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 2 ? FAKE_DROP : FAKE_ANSWER;
}

static void items_of_one_key_keep_their_order_over_a_lost_connection(void **state)
{
    struct fixture *fixture = *state;
    const char *key = key_in(0, 0);
    char expected[160];
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    set_script(fixture->servers[0], drop_second);
    skv_batch_write(batch, skv_key(key), skv_text("a"), &PATIENT);
    skv_batch_pop(batch, skv_key(key), &PATIENT);
    skv_batch_write(batch, skv_key(key), skv_text("c"), &PATIENT);
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    (void)snprintf(expected, sizeof(expected),
                   "write %s=a #1/1; pop %s #2/2; pop %s #2/2; write %s=c #3/3; ", key, key, key,
                   key);
    assert_trace(fixture->servers[0], expected);
    skv_batch_free(batch);
}

static void a_large_batch_keeps_within_the_window_of_open_numbers(void **state)
{
    struct fixture *fixture = *state;
    enum { ITEMS = 3000 };
    char key[16];
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    for (int i = 0; i < ITEMS; i++) {
        (void)snprintf(key, sizeof(key), "key %d", i);
        skv_batch_write(batch, skv_key(key), skv_int(i), &PATIENT);
    }
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    assert_int_equal(skv_batch_count(batch), ITEMS);
    uint32_t total = asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]);
    assert_int_equal(total, ITEMS);
    assert_true(fixture->servers[0]->open_max <= RETRY_OPEN_MAX);
    assert_true(fixture->servers[0]->open_max > 1);
    skv_batch_free(batch);
}

static void each_item_has_its_own_outcome(void **state)
{
    struct fixture *fixture = *state;
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    set_script(fixture->servers[1], silence);
    skv_batch_incr(batch, skv_key(key_in(0, 0)), 3, NULL);
    skv_batch_write(batch, skv_key(""), skv_int(1), NULL);
    skv_batch_delete(batch, skv_key(key_in(1, 0)), &BRIEF);
    assert_int_equal(skv_batch_status(batch, 0), SKV_UNAVAILABLE);
    assert_string_equal(skv_batch_text(batch, 0), "not run yet");
    assert_int_equal(skv_batch_run(batch), SKV_INVALID);
    assert_int_equal(skv_batch_status(batch, 0), SKV_OK);
    assert_string_equal(skv_batch_text(batch, 0), "");
    assert_int_equal(skv_batch_record(batch, 0)->value.integer, -5);
    assert_int_equal(skv_batch_status(batch, 1), SKV_INVALID);
    assert_string_equal(skv_batch_text(batch, 1), skv_error()->text);
    assert_int_equal(skv_batch_status(batch, 2), SKV_UNKNOWN);
    assert_null(skv_batch_record(batch, 2));
    skv_batch_clear(batch);
    assert_int_equal(skv_batch_count(batch), 0);
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    skv_batch_free(batch);
}

static void values_larger_than_any_buffer_go_out_while_replies_come_in(void **state)
{
    struct fixture *fixture = *state;
    enum { LEN = 3 << 20 };
    char *large = calloc(1, LEN);
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    for (uint32_t i = 0; i < 4; i++) {
        skv_batch_write(batch, skv_key(key_in(i % 2, i)), skv_bin(large, LEN), &PATIENT);
    }
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    skv_batch_free(batch);
    free(large);
}

/* --- scans --- */

static void a_scan_goes_from_owner_to_owner_and_resumes_at_its_cursor(void **state)
{
    struct fixture *fixture = *state;
    struct skv_scan *scan = NULL;
    char cursor[1024];
    assert_int_equal(skv_scan_open(fixture->kv, NULL, &scan), SKV_OK);
    const struct skv_record *rec = skv_scan_next(scan);
    assert_memory_equal(rec->key.data, key_in(0, 0), rec->key.len);
    assert_memory_equal(rec->value.bytes.data, "value", 5);
    (void)snprintf(cursor, sizeof(cursor), "%s", skv_scan_cursor(scan));
    rec = skv_scan_next(scan);
    assert_memory_equal(rec->key.data, key_in(1, 0), rec->key.len);
    assert_null(skv_scan_next(scan));
    assert_string_equal(skv_scan_cursor(scan), "end");
    assert_int_equal(skv_scan_close(scan), SKV_OK);

    const struct skv_scan_options options = {.cursor = cursor};
    assert_int_equal(skv_scan_open(fixture->kv, &options, &scan), SKV_OK);
    rec = skv_scan_next(scan);
    assert_memory_equal(rec->key.data, key_in(1, 0), rec->key.len);
    assert_int_equal(skv_scan_close(scan), SKV_OK);
}

static void a_scan_that_fails_says_so_when_it_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct skv_scan *scan = NULL;
    const struct skv_scan_options options = {.timeout_ms = 100};
    set_script(fixture->servers[1], silence);
    assert_int_equal(skv_scan_open(fixture->kv, &options, &scan), SKV_OK);
    assert_non_null(skv_scan_next(scan));
    assert_null(skv_scan_next(scan));
    assert_null(skv_scan_next(scan));
    assert_int_equal(asked_count(fixture->servers[1]), 1);
    assert_int_equal(skv_scan_close(scan), SKV_UNAVAILABLE);
    assert_non_null(strstr(skv_error()->text, "scan"));
}

static void note_damaged(void *context, struct skv_bytes key, uint64_t point, const char *why)
{
    uint32_t *count = context;
    assert_int_equal(key.len, 3);
    assert_memory_equal(key.data, "bad", 3);
    assert_int_equal(point, 4711);
    assert_string_equal(why, "its checksum fails");
    (*count)++;
}

static void a_scan_tells_of_damaged_records_and_goes_on_behind_them(void **state)
{
    struct fixture *fixture = *state;
    struct skv_scan *scan = NULL;
    uint32_t damaged_count = 0;
    const struct skv_scan_options options = {.on_damaged = note_damaged,
                                             .on_damaged_context = &damaged_count};
    assert_int_equal(skv_scan_open(fixture->kv, &options, &scan), SKV_OK);
    assert_non_null(skv_scan_next(scan));
    assert_int_equal(damaged_count, 1);
    assert_non_null(skv_scan_next(scan));
    assert_null(skv_scan_next(scan));
    assert_int_equal(damaged_count, 1);
    assert_int_equal(skv_scan_close(scan), SKV_OK);
}

static void a_scan_brings_values_nested_as_deep_as_they_may_be(void **state)
{
    struct fixture *fixture = *state;
    struct skv_scan *scan = NULL;
    uint8_t deep[DEPTH_MAX];
    memset(deep, 0x91, sizeof(deep)); /* each an array of one element */
    deep[DEPTH_MAX - 1] = 0x90;
    pthread_mutex_lock(&fixture->servers[0]->lock);
    fixture->servers[0]->scanned = bytes_of(deep, sizeof(deep));
    pthread_mutex_unlock(&fixture->servers[0]->lock);
    assert_int_equal(skv_scan_open(fixture->kv, NULL, &scan), SKV_OK);
    const struct skv_record *rec = skv_scan_next(scan);
    assert_non_null(rec);
    assert_int_equal(rec->encoded.len, sizeof(deep));
    assert_memory_equal(rec->encoded.data, deep, sizeof(deep));
    assert_int_equal(skv_scan_close(scan), SKV_OK);
}

/* --- what is shared --- */

static void bad_arguments_are_named_and_never_sent(void **state)
{
    struct fixture *fixture = *state;
    char key[481] = {0};
    const struct skv_bytes long_key = {key, sizeof(key)};
    const struct skv_call reserved = {.reserved = {1}};
    const struct skv_call table = {.table = ""};
    const struct skv_options options = {.reserved = {1}};
    const struct skv_scan_options cursor = {.cursor = "nonsense"};
    struct skv_value nil = {.type = SKV_NIL};
    struct skv_scan *scan = NULL;
    struct skv *kv = NULL;
    assert_int_equal(skv_read(fixture->kv, skv_key(""), NULL, NULL), SKV_INVALID);
    assert_int_equal(skv_read(fixture->kv, long_key, NULL, NULL), SKV_INVALID);
    assert_int_equal(skv_read(fixture->kv, skv_key("k"), &reserved, NULL), SKV_INVALID);
    assert_int_equal(skv_read(fixture->kv, skv_key("k"), &table, NULL), SKV_INVALID);
    assert_int_equal(skv_write(fixture->kv, skv_key("k"), skv_msgpack("\xc1", 1), NULL, NULL),
                     SKV_INVALID);
    assert_int_equal(skv_request(fixture->kv, "nowhere", "ping", nil, 0, NULL), SKV_INVALID);
    assert_int_equal(skv_request(fixture->kv, NULL, "", nil, 0, NULL), SKV_INVALID);
    assert_int_equal(skv_request(fixture->kv, NULL, "ping", skv_int(1), 0, NULL), SKV_INVALID);
    assert_int_equal(skv_scan_open(fixture->kv, &cursor, &scan), SKV_INVALID);
    assert_int_equal(skv_open("127.0.0.1:1,", NULL, &kv), SKV_INVALID);
    assert_int_equal(skv_open("127.0.0.1:1", &options, &kv), SKV_INVALID);
    assert_int_equal(asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]), 0);
}

/* Exits 0 when its own write, and that of its second client, went well. */
static void run_child(struct fixture *fixture, const char *key)
{
    enum skv_status status = skv_delete(fixture->kv, skv_key(key), &PATIENT);
    skv_close(fixture->kv);
    _exit(status == SKV_OK ? 0 : 1);
}

static void a_forked_child_is_another_client_and_leaves_the_parents_connections_alone(void **state)
{
    struct fixture *fixture = *state;
    struct fake *server = fixture->servers[0];
    const char *key = key_in(0, 0);
    uint8_t client[ID_LEN];
    char expected[128];
    assert_int_equal(skv_delete(fixture->kv, skv_key(key), NULL), SKV_OK);
    pthread_mutex_lock(&server->lock);
    memcpy(client, server->client, ID_LEN);
    uint32_t conn_count = server->conn_count;
    pthread_mutex_unlock(&server->lock);

    pid_t child = fork();
    if (child == 0) {
        run_child(fixture, key);
    }
    int exit_status = -1;
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);
    pthread_mutex_lock(&server->lock);
    assert_memory_not_equal(client, server->client, ID_LEN);
    pthread_mutex_unlock(&server->lock);

    assert_int_equal(skv_delete(fixture->kv, skv_key(key), NULL), SKV_OK);
    assert_memory_equal(client, server->client, ID_LEN);
    (void)snprintf(expected, sizeof(expected), "delete %s #1/1; delete %s #1/1; delete %s #2/2; ",
                   key, key, key);
    assert_trace(server, expected);
    assert_true(server->conn_count_max <= conn_count + 1);
}

/* Closes, and returns what the first server is told then. */
static uint64_t close_and_hear_done(struct fixture *fixture)
{
    struct fake *server = fixture->servers[0];
    skv_close(fixture->kv);
    fixture->kv = NULL;
    /* Nobody waits for it to arrive; the server's thread is about to read it. */
    uint64_t told = 0;
    while (told == 0) {
        sched_yield();
        pthread_mutex_lock(&server->lock);
        told = server->done_told;
        pthread_mutex_unlock(&server->lock);
    }
    return told;
}

static void closing_tells_the_server_that_nothing_comes_any_more(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(skv_delete(fixture->kv, skv_key(key_in(0, 0)), NULL), SKV_OK);
    }
    assert_int_equal(close_and_hear_done(fixture), RETRY_DONE_LAST);
}

/* RULES Q2: what was sent on the connection that is lost may arrive yet, wherever that was. */
static void after_a_lost_connection_closing_tells_only_what_is_answered(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(skv_delete(fixture->kv, skv_key(key_in(0, 0)), NULL), SKV_OK);
    set_script(fixture->servers[1], drop_first);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key_in(1, 0)), NULL), SKV_OK);
    assert_int_equal(close_and_hear_done(fixture), 2);
}

static void after_a_call_that_gave_up_closing_tells_only_what_is_answered(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], silence_once);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key_in(0, 0)), &BRIEF), SKV_UNKNOWN);
    assert_int_equal(skv_delete(fixture->kv, skv_key(key_in(0, 0)), NULL), SKV_OK);
    assert_int_equal(close_and_hear_done(fixture), 3);
}

enum { MANY = 4 * RETRY_OPEN_MAX };

static enum fake_act drop_the_hundredth(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    fake->trace[0] = '\0';
    return fake->asked_count == 100 ? FAKE_DROP : FAKE_ANSWER;
}

/* Those that were lost hold numbers, and until they are answered nobody else gets one. */
static void a_large_batch_goes_on_after_a_lost_connection(void **state)
{
    struct fixture *fixture = *state;
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    set_script(fixture->servers[0], drop_the_hundredth);
    for (uint32_t i = 0; i < MANY; i++) {
        skv_batch_write(batch, skv_key(key_in(0, i)), skv_int(1), &PATIENT);
    }
    uint64_t start_us = clock_mono_us();
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    assert_true(clock_mono_us() - start_us < PATIENT.timeout_ms * UINT64_C(500));
    assert_int_equal(asked_count(fixture->servers[0]) >= MANY, 1);
    skv_batch_free(batch);
}

/* The first read's data is missing, whatever else is refused for another reason. */
static enum fake_act refuse_each_in_its_way(struct fake *fake, const struct fake_request *request)
{
    fake->code = strcmp(request->key, key_in(0, 0)) == 0 ? STATUS_DATA_MISSING : STATUS_TRY_LATER;
    return FAKE_REFUSE;
}

static void an_error_tells_what_was_said_to_this_request_and_not_to_another(void **state)
{
    struct fixture *fixture = *state;
    struct skv_call brief = {.timeout_ms = 1000}; /* long enough for a reply on a loaded machine */
    set_script(fixture->servers[0], refuse_each_in_its_way);
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    skv_batch_read(batch, skv_key(key_in(0, 0)), &brief);
    skv_batch_read(batch, skv_key(key_in(0, 1)), &brief);
    assert_int_equal(skv_batch_run(batch), SKV_UNAVAILABLE);
    assert_non_null(strstr(skv_batch_text(batch, 0), status_text(STATUS_DATA_MISSING)));
    assert_non_null(strstr(skv_batch_text(batch, 1), status_text(STATUS_TRY_LATER)));
    skv_batch_free(batch);
}

enum { THREADS = 16, CALLS = 40 };

static void *call_many(void *context)
{
    struct skv *kv = context;
    char key[16];
    intptr_t failed_count = 0;
    for (int i = 0; i < CALLS; i++) {
        struct skv_record rec = {0};
        (void)snprintf(key, sizeof(key), "key %d", i);
        failed_count += skv_write(kv, skv_key(key), skv_int(i), &PATIENT, NULL) != SKV_OK;
        failed_count += skv_read(kv, skv_key(key), &PATIENT, &rec) != SKV_OK;
        failed_count += rec.value.bytes.len != strlen(key);
        skv_record_fini(&rec);
    }
    return (void *)failed_count;
}

static void sixteen_threads_share_a_client_and_three_connections(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[THREADS];
    const struct skv_options options = {.pool_max = 3, .pool_wait_ms = 20000};
    skv_close(fixture->kv);
    open_client(fixture, &options);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, fixture->kv), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed_count = NULL;
        pthread_join(threads[i], &failed_count);
        assert_null(failed_count);
    }
    uint32_t total = asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]);
    assert_int_equal(total, 2 * THREADS * CALLS);
    assert_true(fixture->servers[1]->conn_count_max <= 3);
}

static void *read_in_silence(void *context)
{
    struct fixture *fixture = context;
    const struct skv_call call = {.timeout_ms = 400};
    enum skv_status status = skv_read(fixture->kv, skv_key("k0"), &call, NULL);
    return (void *)(intptr_t)status;
}

static void a_call_that_gets_no_connection_in_time_says_so(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_options options = {.pool_max = 1, .pool_wait_ms = 50};
    pthread_t threads[2];
    void *statuses[2];
    skv_close(fixture->kv);
    open_client(fixture, &options);
    set_script(fixture->servers[0], silence);
    set_script(fixture->servers[1], silence);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_in_silence, fixture), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &statuses[i]);
        assert_int_equal((intptr_t)statuses[i], SKV_UNAVAILABLE);
    }
    uint32_t total = asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]);
    assert_int_equal(total, 1);
}

struct reader {
    struct skv *kv;
    char key[16];
    struct skv_call call;
};

static void *read_key(void *context)
{
    const struct reader *reader = context;
    enum skv_status status = skv_read(reader->kv, skv_key(reader->key), &reader->call, NULL);
    return (void *)(intptr_t)status;
}

static void a_batch_that_waits_for_two_servers_goes_on_with_whichever_is_free_first(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_options options = {.pool_max = 1};
    struct reader readers[2] = {{.call = {.timeout_ms = 2000}}, {.call = {.timeout_ms = 300}}};
    pthread_t threads[2];
    skv_close(fixture->kv);
    open_client(fixture, &options);
    for (uint32_t i = 0; i < 2; i++) {
        set_script(fixture->servers[i], silence_once);
        readers[i].kv = fixture->kv;
        fake_print_key(i, 0, readers[i].key);
        assert_int_equal(pthread_create(&threads[i], NULL, read_key, &readers[i]), 0);
        while (asked_count(fixture->servers[i]) == 0) {
            sched_yield();
        }
    }
    const struct skv_call call = {.timeout_ms = 1200};
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    skv_batch_read(batch, skv_key(key_in(0, 1)), &PATIENT);
    skv_batch_read(batch, skv_key(key_in(1, 1)), &call);
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    skv_batch_free(batch);
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opened_without_a_map_it_is_fetched_when_a_key_needs_it),
        TEST(a_call_goes_to_the_owner_of_its_key),
        TEST(a_redirect_is_followed_with_one_request_and_remembered),
        TEST(a_redirected_operation_keeps_its_number),
        TEST(a_redirect_without_an_entry_has_the_map_fetched),
        TEST(a_foreign_server_is_told_nothing),
        TEST(opening_passes_over_an_address_where_nobody_listens),
        TEST(opening_ends_by_its_deadline_and_says_where_nobody_listens),
        TEST(a_lost_reply_is_asked_for_again_with_the_same_number),
        TEST(a_time_to_live_goes_with_the_write_and_comes_back_in_its_record),
        TEST(expire_sends_the_time_or_nil_and_counts_as_a_change),
        TEST(a_batch_expires_too),
        TEST(done_passes_a_number_that_was_answered),
        TEST(a_malformed_reply_counts_as_a_lost_one),
        TEST(at_the_deadline_a_heard_write_is_unknown_and_a_read_unavailable),
        TEST(what_nobody_heard_is_certainly_not_done),
        TEST(a_refusal_after_a_lost_reply_leaves_it_unknown),
        TEST(refusals_bring_their_details),
        TEST(a_raw_request_is_sent_once),
        TEST(a_raw_request_takes_arguments_nested_as_deep_as_values_may_be),
        TEST(a_raw_request_that_never_left_is_certainly_not_done),
        TEST(a_raw_request_passes_over_an_address_that_does_not_answer),
        TEST(a_raw_request_to_the_wrong_server_does_not_change_the_map),
        TEST(a_connection_older_than_the_map_is_asked_for_its_cluster_before_data_goes_out),
        TEST(a_server_that_stopped_and_came_back_is_found_again),
        TEST(responses_in_another_order_find_their_requests),
        TEST(items_of_one_key_keep_their_order_over_a_redirect),
        TEST(items_of_one_key_keep_their_order_over_a_lost_connection),
        TEST(a_large_batch_keeps_within_the_window_of_open_numbers),
        TEST(each_item_has_its_own_outcome),
        TEST(values_larger_than_any_buffer_go_out_while_replies_come_in),
        TEST(a_scan_goes_from_owner_to_owner_and_resumes_at_its_cursor),
        TEST(a_scan_that_fails_says_so_when_it_is_closed),
        TEST(a_scan_tells_of_damaged_records_and_goes_on_behind_them),
        TEST(a_scan_brings_values_nested_as_deep_as_they_may_be),
        TEST(bad_arguments_are_named_and_never_sent),
        TEST(a_forked_child_is_another_client_and_leaves_the_parents_connections_alone),
        TEST(closing_tells_the_server_that_nothing_comes_any_more),
        TEST(after_a_lost_connection_closing_tells_only_what_is_answered),
        TEST(after_a_call_that_gave_up_closing_tells_only_what_is_answered),
        TEST(a_large_batch_goes_on_after_a_lost_connection),
        TEST(an_error_tells_what_was_said_to_this_request_and_not_to_another),
        TEST(sixteen_threads_share_a_client_and_three_connections),
        TEST(a_call_that_gets_no_connection_in_time_says_so),
        TEST(a_batch_that_waits_for_two_servers_goes_on_with_whichever_is_free_first),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
