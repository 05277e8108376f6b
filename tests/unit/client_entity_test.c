/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "proto/table.h"
#include "tests/unit/client_fixture.h"

/* Ids and entities. Logical shards below 4096 are the first server's, the others the second's. */

/* {"a": 1} */
static const struct skv_value DOCUMENT = {.type = SKV_MSGPACK, .bytes = {"\x81\xa1\x61\x01", 4}};

/* Long enough for a request to be heard on a loaded machine. */
static const struct skv_call HEARD = {.timeout_ms = 600};

static const struct skv_call OF_ENTITIES = {.table = "entities"};

static uint64_t id_of(uint32_t shard, uint64_t ms)
{
    uint64_t id = 0;
    assert_true(skv_id_compose(1 + ms, shard, 7, 1, &id));
    return id;
}

/* --- put --- */

static void a_put_goes_to_the_owner_of_its_shard_and_brings_its_id(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t shards[] = {0, 12, 4095, 4096, 8191};
    for (size_t i = 0; i < sizeof(shards) / sizeof(shards[0]); i++) {
        struct fake *server = fixture->servers[shards[i] / 4096];
        uint64_t id = 0;
        set_script(server, keep_params);
        assert_int_equal(skv_entity_put(fixture->kv, shards[i], 65535, DOCUMENT, NULL, &id),
                         SKV_OK);
        assert_int_equal(asked_count(server), 1);
        assert_int_equal(skv_id_shard(id), shards[i]);
        assert_non_null(strstr(last_params, ",65535,{\"a\":1},{\"deadline_ms\":"));
        assert_non_null(strstr(last_params, "\"seq\":"));
        assert_null(strstr(last_params, "table"));
    }
    assert_int_equal(skv_entity_put(fixture->kv, 12, 1, DOCUMENT, NULL, NULL), SKV_OK);
}

static uint64_t points[1024];

static enum fake_act note_point(struct fake *fake, const struct fake_request *request)
{
    fake->trace[0] = '\0';
    points[fake->asked_count - 1] = request->point;
    return FAKE_ANSWER;
}

static enum fake_act note_point_and_drop_first(struct fake *fake,
                                               const struct fake_request *request)
{
    points[fake->asked_count - 1] = request->point;
    return drop_first(fake, request);
}

static void a_put_whose_reply_was_lost_has_the_same_point_and_number(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], note_point_and_drop_first);
    assert_int_equal(skv_entity_put(fixture->kv, 12, 1, DOCUMENT, &PATIENT, NULL), SKV_OK);
    assert_trace(fixture->servers[0], "put @12 #1/1; put @12 #1/1; ");
    assert_int_equal(points[0], points[1]);
}

static void a_redirected_put_has_the_same_point_and_number(void **state)
{
    struct fixture *fixture = *state;
    move_to(fixture->servers[0], fixture->servers[1], 0);
    set_script(fixture->servers[0], redirect);
    set_script(fixture->servers[1], note_point);
    uint64_t id = 0;
    assert_int_equal(skv_entity_put(fixture->kv, 12, 1, DOCUMENT, NULL, &id), SKV_OK);
    assert_trace(fixture->servers[0], "put @12 #1/1; ");
    assert_int_equal(points[0] >> 51, 12);
    assert_memory_equal(fixture->servers[0]->client, fixture->servers[1]->client, ID_LEN);
}

static void a_put_that_nobody_answers_is_unknown_and_says_where(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = 4711;
    set_script(fixture->servers[0], silence);
    assert_int_equal(skv_entity_put(fixture->kv, 12, 1, DOCUMENT, &HEARD, &id), SKV_UNKNOWN);
    assert_non_null(strstr(skv_error()->text, "put in logical shard 12: 127.0.0.1:"));
    assert_int_equal(id, 4711);
}

static void points_of_a_shard_are_spread_over_all_of_it(void **state)
{
    struct fixture *fixture = *state;
    uint64_t ones = 0;
    uint64_t zeros = 0;
    set_script(fixture->servers[0], note_point);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(skv_entity_put(fixture->kv, 12, 1, DOCUMENT, &PATIENT, NULL), SKV_OK);
        assert_int_equal(points[i] >> 51, 12);
        ones |= points[i];
        zeros |= ~points[i];
    }
    /* That one of 51 bits is the same a hundred times comes about once in 2^93 runs. */
    assert_int_equal(ones & zeros, (UINT64_C(1) << 51) - 1);
}

static void a_put_of_any_shard_draws_one_each_time(void **state)
{
    struct fixture *fixture = *state;
    enum { PUTS = 256 };
    uint64_t ones = 0;
    uint64_t zeros = 0;
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    for (int i = 0; i < PUTS; i++) {
        skv_batch_entity_put(batch, SKV_SHARD_ANY, 1, DOCUMENT, &PATIENT);
    }
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    for (size_t i = 0; i < PUTS; i++) {
        uint64_t id = skv_batch_record(batch, i)->id;
        ones |= skv_id_shard(id);
        zeros |= ~(uint64_t)skv_id_shard(id);
    }
    assert_int_equal(ones & zeros, SKV_SHARD_COUNT - 1);
    assert_int_equal(asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]), PUTS);
    skv_batch_free(batch);
}

enum { HELD_PUTS = FAKE_HELD_MAX };

static enum fake_act hold_all_but_the_last(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count < HELD_PUTS ? FAKE_HOLD : FAKE_RELEASE;
}

/* They have no key that would put them in an order. */
static void puts_of_a_batch_do_not_wait_for_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    set_script(fixture->servers[0], hold_all_but_the_last);
    for (uint32_t i = 0; i < HELD_PUTS; i++) {
        skv_batch_entity_put(batch, 12, (uint16_t)i, DOCUMENT, &PATIENT);
    }
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    for (uint32_t i = 0; i < HELD_PUTS; i++) {
        assert_int_equal(skv_batch_record(batch, i)->kind, i);
        assert_int_equal(skv_batch_record(batch, i)->size, 99);
    }
    skv_batch_free(batch);
}

static void a_time_to_live_goes_with_the_put(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_call call = {.ttl_ms = 10000, .left_ms = 9300, .sliding = true};
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    set_script(fixture->servers[0], keep_params);
    skv_batch_entity_put(batch, 12, 1, DOCUMENT, &call);
    assert_int_equal(skv_batch_run(batch), SKV_OK);
    assert_non_null(strstr(last_params, "{\"ttl_ms\":10000,\"left_ms\":9300,\"sliding\":true,"));
    assert_int_equal(skv_batch_record(batch, 0)->ttl_ms, 9300);
    assert_int_equal(skv_batch_record(batch, 0)->full_ttl_ms, 10000);
    skv_batch_free(batch);
}

/* --- get, update, delete --- */

static void an_entity_is_asked_for_where_its_id_says(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t shards[] = {0, 12, 4095, 4096, 8191};
    for (size_t i = 0; i < sizeof(shards) / sizeof(shards[0]); i++) {
        struct fake *server = fixture->servers[shards[i] / 4096];
        uint64_t id = id_of(shards[i], 1000 + i);
        struct skv_record rec = {0};
        set_script(server, keep_params);
        assert_int_equal(skv_entity_get(fixture->kv, id, NULL, &rec), SKV_OK);
        assert_non_null(strstr(last_params, "{\"table\":\"entities\",\"deadline_ms\":"));
        assert_int_equal(rec.id, id);
        assert_int_equal(rec.point >> 51, shards[i]);
        assert_int_equal(rec.key.len, SKV_ID_KEY_LEN);
        assert_int_equal(endian_get_be64(rec.key.data), id);
        assert_int_equal(skv_entity_delete(fixture->kv, id, &OF_ENTITIES), SKV_OK);
        assert_int_equal(asked_count(server), 2);
        skv_record_fini(&rec);
    }
}

static void a_call_that_takes_a_key_takes_an_ids_in_their_table(void **state)
{
    struct fixture *fixture = *state;
    uint8_t memory[SKV_ID_KEY_LEN];
    const struct skv_call call = {
        .table = "entities", .has_kind = true, .kind = 9, .if_present = true};
    for (uint32_t shard = 4095; shard <= 4096; shard++) {
        struct fake *server = fixture->servers[shard / 4096];
        uint64_t id = id_of(shard, 5);
        struct skv_record rec = {0};
        set_script(server, keep_params);
        assert_int_equal(skv_write(fixture->kv, skv_key_of_id(id, memory), DOCUMENT, &call, &rec),
                         SKV_OK);
        assert_int_equal(asked_count(server), 1);
        assert_non_null(
            strstr(last_params, "{\"table\":\"entities\",\"if_present\":true,\"kind\":9,"));
        assert_int_equal(rec.id, id);
        assert_int_equal(rec.kind, 9);
        skv_record_fini(&rec);
    }
}

static enum fake_act refuse(struct fake *fake, const struct fake_request *request)
{
    (void)fake;
    (void)request;
    return FAKE_REFUSE;
}

static void set_refusal(struct fake *fake, enum status code, uint64_t detail)
{
    set_script(fake, refuse);
    pthread_mutex_lock(&fake->lock);
    fake->code = code;
    fake->detail[0] = detail;
    pthread_mutex_unlock(&fake->lock);
}

static void an_update_changes_what_is_there_and_its_kind_if_told(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_call call = {.has_kind = true, .kind = 0, .if_version = 7};
    uint64_t id = id_of(12, 5);
    struct skv_record rec = {0};
    set_script(fixture->servers[0], keep_params);
    assert_int_equal(skv_entity_update(fixture->kv, id, DOCUMENT, NULL, &rec), SKV_OK);
    assert_non_null(strstr(
        last_params, ",{\"a\":1},{\"table\":\"entities\",\"if_present\":true,\"deadline_ms\":"));
    assert_int_equal(rec.id, id);
    assert_int_equal(rec.version, 1001);
    assert_int_equal(skv_entity_update(fixture->kv, id, DOCUMENT, &call, NULL), SKV_OK);
    assert_non_null(strstr(last_params, "\"if_present\":true,\"if_version\":7,\"kind\":0,"));
    skv_record_fini(&rec);
}

static void an_update_of_nothing_is_not_found_and_of_another_version_a_condition(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_call call = {.if_present = true};
    char expected[64];
    uint64_t id = id_of(12, 5);
    set_refusal(fixture->servers[0], STATUS_CONDITION, 0);
    assert_int_equal(skv_entity_update(fixture->kv, id, DOCUMENT, NULL, NULL), SKV_NOT_FOUND);
    (void)snprintf(expected, sizeof(expected), "update %llu: 127.0.0.1:", (unsigned long long)id);
    assert_non_null(strstr(skv_error()->text, expected));
    assert_non_null(strstr(skv_error()->text, ": there is no entity with this id"));
    assert_null(strstr(skv_error()->text, "if_present"));
    set_refusal(fixture->servers[0], STATUS_CONDITION, 77);
    assert_int_equal(skv_entity_update(fixture->kv, id, DOCUMENT, NULL, NULL), SKV_CONDITION);
    assert_int_equal(skv_error()->version, 77);
    assert_non_null(strstr(skv_error()->text, expected));
    /* A write that asks for the condition itself hears of it. */
    set_refusal(fixture->servers[0], STATUS_CONDITION, 0);
    set_refusal(fixture->servers[1], STATUS_CONDITION, 0);
    assert_int_equal(skv_write(fixture->kv, skv_key("k"), skv_int(1), &call, NULL), SKV_CONDITION);
    assert_int_equal(skv_error()->version, 0);
}

static void an_id_that_is_not_there_is_named_as_a_number(void **state)
{
    struct fixture *fixture = *state;
    char expected[64];
    uint64_t id = id_of(12, 5);
    pthread_mutex_lock(&fixture->servers[0]->lock);
    fixture->servers[0]->code = STATUS_TOO_LARGE;
    pthread_mutex_unlock(&fixture->servers[0]->lock);
    set_script(fixture->servers[0], refuse);
    assert_int_equal(skv_entity_get(fixture->kv, id, NULL, NULL), SKV_INVALID);
    (void)snprintf(expected, sizeof(expected), "read %llu: 127.0.0.1:", (unsigned long long)id);
    assert_non_null(strstr(skv_error()->text, expected));
}

static void a_batch_has_entities_among_other_items(void **state)
{
    struct fixture *fixture = *state;
    struct skv_batch *batch = skv_batch_new(fixture->kv);
    skv_batch_entity_put(batch, 12, 3, DOCUMENT, NULL);
    skv_batch_entity_get(batch, id_of(5000, 6), NULL);
    skv_batch_entity_update(batch, id_of(5000, 6), DOCUMENT, NULL);
    skv_batch_entity_delete(batch, id_of(5000, 6), NULL);
    skv_batch_entity_put(batch, SKV_SHARD_COUNT, 3, DOCUMENT, NULL);
    skv_batch_read(batch, skv_key(key_in(0, 0)), NULL);
    assert_int_equal(skv_batch_run(batch), SKV_INVALID);
    assert_int_equal(skv_id_shard(skv_batch_record(batch, 0)->id), 12);
    assert_int_equal(skv_batch_record(batch, 1)->id, id_of(5000, 6));
    assert_int_equal(skv_batch_record(batch, 2)->id, id_of(5000, 6));
    assert_int_equal(skv_batch_status(batch, 3), SKV_OK);
    assert_null(skv_batch_record(batch, 3));
    assert_int_equal(skv_batch_status(batch, 4), SKV_INVALID);
    assert_non_null(strstr(skv_batch_text(batch, 4), "0 to 8191"));
    assert_int_equal(skv_batch_record(batch, 5)->id, 0);
    skv_batch_free(batch);
}

/* --- what can never work --- */

static void what_is_no_entity_is_refused_before_it_is_sent(void **state)
{
    struct fixture *fixture = *state;
    struct skv *kv = fixture->kv;
    const struct skv_call other_table = {.table = "default"};
    const struct skv_call reserved = {.reserved = {1}};
    uint64_t id = 4711;
    assert_int_equal(skv_entity_put(kv, 12, 1, skv_int(1), NULL, &id), SKV_INVALID);
    assert_int_equal(skv_entity_put(kv, 12, 1, skv_text("\x81\xa1\x61\x01"), NULL, &id),
                     SKV_INVALID);
    assert_int_equal(skv_entity_put(kv, 12, 1, skv_msgpack("\x90", 1), NULL, &id), SKV_INVALID);
    assert_int_equal(skv_entity_put(kv, 12, 1, skv_msgpack("\x81\x01", 2), NULL, &id), SKV_INVALID);
    assert_int_equal(skv_entity_put(kv, 12, 1, skv_msgpack("", 0), NULL, &id), SKV_INVALID);
    assert_int_equal(skv_entity_put(kv, SKV_SHARD_COUNT, 1, DOCUMENT, NULL, &id), SKV_INVALID);
    assert_non_null(strstr(skv_error()->text, "put: a logical shard is 0 to 8191"));
    assert_int_equal(skv_entity_put(kv, SKV_SHARD_ANY - 1, 1, DOCUMENT, NULL, &id), SKV_INVALID);
    assert_int_equal(skv_entity_put(kv, 12, 1, DOCUMENT, &other_table, &id), SKV_INVALID);
    assert_int_equal(skv_entity_put(kv, 12, 1, DOCUMENT, &reserved, &id), SKV_INVALID);
    assert_int_equal(skv_entity_get(kv, 1, &other_table, NULL), SKV_INVALID);
    assert_int_equal(skv_entity_update(kv, 1, skv_int(1), NULL, NULL), SKV_INVALID);
    assert_int_equal(skv_mint(kv, SKV_SHARD_COUNT, &id, 1, NULL), SKV_INVALID);
    assert_int_equal(skv_mint(kv, 12, &id, 1, &other_table), SKV_INVALID);
    /* Of no ids, too, what the caller will ask for with more of them. */
    assert_int_equal(skv_mint(kv, SKV_SHARD_COUNT, NULL, 0, NULL), SKV_INVALID);
    assert_non_null(strstr(skv_error()->text, "mint: a logical shard is 0 to 8191"));
    assert_int_equal(skv_mint(kv, 12, NULL, 0, &other_table), SKV_INVALID);
    assert_int_equal(skv_mint(kv, 12, NULL, 0, &reserved), SKV_INVALID);
    assert_int_equal(id, 4711);
    assert_int_equal(asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]), 0);
}

static void a_key_that_is_no_id_is_refused_in_a_table_of_ids(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(skv_read(fixture->kv, skv_key("1234567"), &OF_ENTITIES, NULL), SKV_INVALID);
    assert_int_equal(skv_read(fixture->kv, skv_key("123456789"), &OF_ENTITIES, NULL), SKV_INVALID);
    assert_non_null(strstr(skv_error()->text, "8 bytes"));
    assert_int_equal(asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]), 0);
    assert_int_equal(skv_read(fixture->kv, skv_key("12345678"), &OF_ENTITIES, NULL), SKV_OK);
}

/* --- scans --- */

/* Entities of the first server, then none of the second. */
static struct buffer page;

static void pack_page(const uint64_t *ids, uint32_t id_count)
{
    uint8_t key[ID_KEY_LEN];
    buffer_clear(&page);
    pack_array(&page, 3);
    pack_array(&page, id_count);
    for (uint32_t i = 0; i < id_count; i++) {
        endian_put_be64(key, ids[i]);
        pack_array(&page, 8);
        pack_bin(&page, bytes_of(key, sizeof(key)));
        pack_encoded(&page, bytes_of(DOCUMENT.bytes.data, DOCUMENT.bytes.len));
        pack_uint(&page, 77);
        pack_int(&page, -1);
        pack_uint(&page, 76);
        pack_uint(&page, 3);
        pack_uint(&page, 0);
        pack_bool(&page, false);
    }
    pack_nil(&page);
    pack_uint(&page, BOUND_END);
}

static enum fake_act give_page(struct fake *fake, const struct fake_request *request)
{
    (void)keep_params(fake, request);
    fake->result = buffer_bytes(&page);
    return FAKE_RESULT;
}

static void a_scan_of_entities_has_their_ids_and_goes_on_at_their_points(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t ids[] = {id_of(3, 9), id_of(12, 5)};
    struct skv_scan_options options = {.table = "entities", .has_kind = true, .kind = 3};
    struct skv_scan *scan = NULL;
    char cursor[1024];
    char expected[64];
    pack_page(ids, 2);
    set_script(fixture->servers[0], give_page);
    assert_int_equal(skv_scan_open(fixture->kv, &options, &scan), SKV_OK);
    for (int i = 0; i < 2; i++) {
        const struct skv_record *rec = skv_scan_next(scan);
        assert_non_null(rec);
        assert_int_equal(rec->id, ids[i]);
        assert_int_equal(rec->point, id_point(ids[i]));
        assert_int_equal(rec->kind, 3);
        (void)snprintf(cursor, sizeof(cursor), "%s", skv_scan_cursor(scan));
    }
    assert_non_null(strstr(last_params, "{\"table\":\"entities\",\"kind\":3,"));
    assert_null(skv_scan_next(scan));
    assert_int_equal(skv_scan_close(scan), SKV_OK);
    (void)snprintf(expected, sizeof(expected), "%016llx.%016llx",
                   (unsigned long long)id_point(ids[1]), (unsigned long long)ids[1]);
    assert_string_equal(cursor, expected);

    options.cursor = cursor;
    pack_page(NULL, 0);
    assert_int_equal(skv_scan_open(fixture->kv, &options, &scan), SKV_OK);
    assert_null(skv_scan_next(scan));
    assert_int_equal(skv_scan_close(scan), SKV_OK);
    (void)snprintf(expected, sizeof(expected), "[%llu,", (unsigned long long)id_point(ids[1]));
    assert_int_equal(strncmp(last_params, expected, strlen(expected)), 0);
    buffer_fini(&page);
    page = (struct buffer){.data = NULL};
}

static void a_scan_without_a_kind_asks_for_none(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_scan_options options = {.table = "entities", .kind = 3};
    struct skv_scan *scan = NULL;
    pack_page(NULL, 0);
    set_script(fixture->servers[0], give_page);
    assert_int_equal(skv_scan_open(fixture->kv, &options, &scan), SKV_OK);
    assert_null(skv_scan_next(scan));
    assert_null(strstr(last_params, "kind"));
    assert_int_equal(skv_scan_close(scan), SKV_OK);
    buffer_fini(&page);
    page = (struct buffer){.data = NULL};
}

/* --- minting --- */

enum { IDS_MAX = 200000 };

static uint64_t ids[IDS_MAX];

static void assert_growing(uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        assert_true(ids[i] > ids[i - 1]);
    }
}

static void one_id_is_one_request_without_a_number(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], keep_params);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, 1, NULL), SKV_OK);
    assert_int_equal(skv_id_shard(ids[0]), 12);
    assert_trace(fixture->servers[0], "mint @12*1; ");
    assert_non_null(strstr(last_params, ",1,{\"deadline_ms\":"));
    assert_null(strstr(last_params, "seq"));
    assert_null(strstr(last_params, "table"));
    assert_int_equal(skv_mint(fixture->kv, 12, NULL, 0, NULL), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 1);
}

static void many_ids_are_asked_for_in_pieces_one_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    ids[IDS_MAX - 1] = 4711;
    assert_int_equal(skv_mint(fixture->kv, 8191, ids, IDS_MAX - 1, &PATIENT), SKV_OK);
    assert_trace(fixture->servers[1],
                 "mint @8191*65536; mint @8191*65536; mint @8191*65536; mint @8191*3391; ");
    assert_growing(IDS_MAX - 1);
    assert_int_equal(skv_id_shard(ids[IDS_MAX - 2]), 8191);
    assert_int_equal(ids[IDS_MAX - 1], 4711);
}

static void ids_of_any_shard_are_spread_over_servers_and_grow_all_the_same(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], answer);
    set_script(fixture->servers[1], answer);
    static const uint32_t counts[] = {1, 2, 255, 256, 257, 1000, 100000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint32_t asked = asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]);
        assert_int_equal(skv_mint(fixture->kv, SKV_SHARD_ANY, ids, counts[i], &PATIENT), SKV_OK);
        assert_growing(counts[i]);
        asked = asked_count(fixture->servers[0]) + asked_count(fixture->servers[1]) - asked;
        assert_int_equal(asked, counts[i] < 256 ? counts[i] : 256);
        set_script(fixture->servers[0], answer);
        set_script(fixture->servers[1], answer);
    }
    uint32_t upper_count = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        upper_count += skv_id_shard(ids[i]) >= SKV_SHARD_COUNT / 2;
    }
    /* Of 256 fair coins: eight deviations. */
    assert_in_range(upper_count, 25000, 75000);
}

static void a_mint_whose_reply_was_lost_is_asked_again_at_the_same_point(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], note_point_and_drop_first);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, 1000, &PATIENT), SKV_OK);
    assert_trace(fixture->servers[0], "mint @12*1000; mint @12*1000; ");
    assert_int_equal(points[0], points[1]);
    assert_growing(1000);
}

static void set_mint_max(struct fixture *fixture, uint32_t mint_max)
{
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&fixture->servers[i]->lock);
        fixture->servers[i]->mint_max = mint_max;
        pthread_mutex_unlock(&fixture->servers[i]->lock);
    }
}

static void a_server_that_gives_fewer_is_asked_for_the_rest(void **state)
{
    struct fixture *fixture = *state;
    set_mint_max(fixture, 1500);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, 3500, &PATIENT), SKV_OK);
    assert_trace(fixture->servers[0], "mint @12*3500; mint @12*2000; mint @12*500; ");
    assert_growing(3500);
    ids[100000] = 4711;
    set_mint_max(fixture, 150);
    assert_int_equal(skv_mint(fixture->kv, SKV_SHARD_ANY, ids, 100000, &PATIENT), SKV_OK);
    assert_growing(100000);
    assert_int_equal(ids[100000], 4711);
}

static enum fake_act none_first(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    fake->result = bytes_text("\x90");
    return fake->asked_count == 1 ? FAKE_RESULT : FAKE_ANSWER;
}

static void no_id_at_all_is_a_malformed_reply(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], none_first);
    assert_int_equal(skv_mint(fixture->kv, 0, ids, 2, &PATIENT), SKV_OK);
    assert_int_equal(asked_count(fixture->servers[0]), 2);
    assert_growing(2);
}

/* Nobody has ids of a lost reply. */
static void a_mint_that_nobody_answers_is_certainly_not_done(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], silence);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, 1, &BRIEF), SKV_UNAVAILABLE);
    assert_non_null(strstr(skv_error()->text, "mint in logical shard 12: 127.0.0.1:"));
    assert_non_null(strstr(skv_error()->text, "within 150 ms"));
}

static void a_server_whose_clock_is_behind_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    uint64_t id = 4711;
    set_refusal(fixture->servers[0], STATUS_CLOCK_BEHIND, 0);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, 1, &PATIENT), SKV_UNAVAILABLE);
    assert_int_equal(skv_error()->wire_code, STATUS_CLOCK_BEHIND);
    assert_int_equal(skv_entity_put(fixture->kv, 12, 1, DOCUMENT, &PATIENT, &id), SKV_UNAVAILABLE);
    assert_non_null(strstr(skv_error()->text, status_text(STATUS_CLOCK_BEHIND)));
    assert_null(strstr(skv_error()->text, "within"));
    assert_int_equal(asked_count(fixture->servers[0]), 2);
    assert_int_equal(id, 4711);
}

static enum fake_act silence_after_one(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_ANSWER : FAKE_SILENT;
}

static void a_piece_that_fails_fails_the_call(void **state)
{
    struct fixture *fixture = *state;
    set_script(fixture->servers[0], silence_after_one);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, IDS_MAX, &HEARD), SKV_UNAVAILABLE);
    assert_int_equal(asked_count(fixture->servers[0]), 2);
}

enum { LATER_FIRST = 5 };

static enum fake_act later_then_one_then_silence(struct fake *fake,
                                                 const struct fake_request *request)
{
    (void)request;
    if (fake->asked_count <= LATER_FIRST) {
        return FAKE_REFUSE;
    }
    return fake->asked_count == LATER_FIRST + 1 ? FAKE_ANSWER : FAKE_SILENT;
}

static void set_later(struct fake *fake,
                      enum fake_act (*script)(struct fake *fake, const struct fake_request *))
{
    pthread_mutex_lock(&fake->lock);
    fake->code = STATUS_TRY_LATER;
    pthread_mutex_unlock(&fake->lock);
    set_script(fake, script);
}

/* The pauses before the first piece leave the second one less than the call had, which was told for all of it. */
static void a_mint_that_is_late_tells_the_calls_time_and_how_far_it_came(void **state)
{
    struct fixture *fixture = *state;
    set_later(fixture->servers[0], later_then_one_then_silence);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, IDS_MAX, &HEARD), SKV_UNAVAILABLE);
    assert_int_equal(asked_count(fixture->servers[0]), LATER_FIRST + 2);
    assert_non_null(strstr(skv_error()->text, "mint in logical shard 12: 127.0.0.1:"));
    assert_non_null(strstr(skv_error()->text, "; 65536 of 200000 ids came within 728 ms: "));
    assert_non_null(
        strstr(skv_error()->text, "no more ids yet: a logical shard has 1,024 a millisecond"));
    assert_null(strstr(skv_error()->text, "is shardd running"));
}

static enum fake_act one_then_later(struct fake *fake, const struct fake_request *request)
{
    (void)request;
    return fake->asked_count == 1 ? FAKE_ANSWER : FAKE_REFUSE;
}

static void a_mint_that_is_late_tells_the_reason_that_the_server_gave(void **state)
{
    struct fixture *fixture = *state;
    set_later(fixture->servers[0], one_then_later);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, IDS_MAX, &HEARD), SKV_UNAVAILABLE);
    assert_int_equal(skv_error()->wire_code, STATUS_TRY_LATER);
    assert_non_null(strstr(skv_error()->text, status_text(STATUS_TRY_LATER)));
    assert_non_null(strstr(skv_error()->text, "; 65536 of 200000 ids came within 728 ms: "));
}

static uint64_t deadlines[8];

static enum fake_act note_deadline(struct fake *fake, const struct fake_request *request)
{
    deadlines[fake->asked_count - 1] = request->deadline_ms;
    return FAKE_ANSWER;
}

/* The server is told seven eighths of what is left; of two seconds and what 1,024 in a millisecond take. */
static void the_formats_rate_comes_on_top_of_the_timeout(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_call call = {.timeout_ms = 20000};
    set_script(fixture->servers[0], note_deadline);
    assert_int_equal(skv_mint(fixture->kv, 12, ids, UINT64_C(3) * 65536, &call), SKV_OK);
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t most_ms = (20000 + 64 * (i + 1)) / 8 * 7;
        assert_in_range(deadlines[i], most_ms - 15000, most_ms);
    }
}

/* --- the map --- */

static void the_origin_is_the_maps(void **state)
{
    struct fixture *fixture = *state;
    const struct skv_options options = {.without_map = true};
    assert_int_equal(skv_origin_ms(fixture->kv), 1);
    skv_close(fixture->kv);
    open_client(fixture, &options);
    assert_int_equal(skv_origin_ms(fixture->kv), 0);
    assert_int_equal(skv_entity_delete(fixture->kv, 1, &PATIENT), SKV_OK);
    assert_int_equal(skv_origin_ms(fixture->kv), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_put_goes_to_the_owner_of_its_shard_and_brings_its_id),
        TEST(a_put_whose_reply_was_lost_has_the_same_point_and_number),
        TEST(a_redirected_put_has_the_same_point_and_number),
        TEST(a_put_that_nobody_answers_is_unknown_and_says_where),
        TEST(points_of_a_shard_are_spread_over_all_of_it),
        TEST(a_put_of_any_shard_draws_one_each_time),
        TEST(puts_of_a_batch_do_not_wait_for_each_other),
        TEST(a_time_to_live_goes_with_the_put),
        TEST(an_entity_is_asked_for_where_its_id_says),
        TEST(a_call_that_takes_a_key_takes_an_ids_in_their_table),
        TEST(an_update_changes_what_is_there_and_its_kind_if_told),
        TEST(an_update_of_nothing_is_not_found_and_of_another_version_a_condition),
        TEST(an_id_that_is_not_there_is_named_as_a_number),
        TEST(a_batch_has_entities_among_other_items),
        TEST(what_is_no_entity_is_refused_before_it_is_sent),
        TEST(a_key_that_is_no_id_is_refused_in_a_table_of_ids),
        TEST(a_scan_of_entities_has_their_ids_and_goes_on_at_their_points),
        TEST(a_scan_without_a_kind_asks_for_none),
        TEST(one_id_is_one_request_without_a_number),
        TEST(many_ids_are_asked_for_in_pieces_one_after_the_other),
        TEST(ids_of_any_shard_are_spread_over_servers_and_grow_all_the_same),
        TEST(a_mint_whose_reply_was_lost_is_asked_again_at_the_same_point),
        TEST(a_server_that_gives_fewer_is_asked_for_the_rest),
        TEST(no_id_at_all_is_a_malformed_reply),
        TEST(a_mint_that_nobody_answers_is_certainly_not_done),
        TEST(a_server_whose_clock_is_behind_is_not_waited_for),
        TEST(a_piece_that_fails_fails_the_call),
        TEST(a_mint_that_is_late_tells_the_calls_time_and_how_far_it_came),
        TEST(a_mint_that_is_late_tells_the_reason_that_the_server_gave),
        TEST(the_formats_rate_comes_on_top_of_the_timeout),
        TEST(the_origin_is_the_maps),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
