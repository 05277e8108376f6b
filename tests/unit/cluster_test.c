/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bootstrapd/admin.h"
#include "dice.h"
#include "proto/hash.h"
#include "proto/pack.h"

/*
 * Four shards on three servers: a and b on port 1, c on 2, d on 3. Servers are written as one byte,
 * their ids are 16 of it. What the cluster asks for becomes durable at once (settle) unless a test
 * holds it back.
 */

#define ENTRY(name, start, end, size, port)                                                        \
    "{\"name\":\"" name "\",\"start\":" start ",\"end\":" end ",\"size\":\"" size                  \
    "\",\"host\":\"127.0.0.1\",\"port\":" port "}"
#define MAP(a, b, c, d) "{\"shards\":[" a "," b "," c "," d "]}"
#define A               ENTRY("a", "0.0", "0.25", "1GiB", "1")
#define B               ENTRY("b", "0.25", "0.5", "1GiB", "1")
#define C               ENTRY("c", "0.5", "0.75", "1GiB", "2")
#define D               ENTRY("d", "0.75", "1.0", "1GiB", "3")

static const char config[] = MAP(A, B, C, D);

struct fixture {
    struct cluster *cluster;
    struct text why;
};

static struct bytes id_of(uint8_t server)
{
    static uint8_t ids[256][ID_LEN];
    memset(ids[server], server, ID_LEN);
    return bytes_of(ids[server], ID_LEN);
}

static struct address address_of(uint16_t port)
{
    struct address address = {.port = port};
    (void)snprintf(address.host, sizeof(address.host), "127.0.0.1");
    return address;
}

static int found(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct ledger ledger;
    struct map_error error;
    assert_non_null(fixture);
    assert_true(
        ledger_found(bytes_text(config), id_of(100).data, id_of(101).data, &ledger, &error));
    fixture->cluster = cluster_new(&ledger);
    *state = fixture;
    return 0;
}

static int fini(void **state)
{
    struct fixture *fixture = *state;
    cluster_free(fixture->cluster);
    free(fixture);
    return 0;
}

static const struct map *map_of(const struct fixture *fixture)
{
    return &cluster_ledger(fixture->cluster)->map;
}

static const struct map_entry *entry(const struct fixture *fixture, const char *name)
{
    const struct map_entry *found_entry = map_find_name(map_of(fixture), bytes_text(name));
    assert_non_null(found_entry);
    return found_entry;
}

static const struct site *site(const struct fixture *fixture, uint16_t port)
{
    struct address address = address_of(port);
    return cluster_find_site(fixture->cluster, &address);
}

static void assert_owner(const struct fixture *fixture, const char *name, uint8_t server)
{
    assert_memory_equal(entry(fixture, name)->server, id_of(server).data, ID_LEN);
}

/* But for the epoch. */
static bool is_same_entry(const struct map_entry *a, const struct map_entry *b)
{
    struct buffer packed[2] = {{0}};
    struct map_entry aged = *a;
    aged.epoch = b->epoch;
    map_pack_entry(&aged, &packed[0]);
    map_pack_entry(b, &packed[1]);
    bool is_same = bytes_equal(buffer_bytes(&packed[0]), buffer_bytes(&packed[1]));
    buffer_fini(&packed[0]);
    buffer_fini(&packed[1]);
    return is_same;
}

/* Epochs and revision only grow, and what changed has the new revision as its epoch (RULES M1). */
static void assert_follows(const struct map *before, const struct map *after)
{
    struct map_error error;
    assert_true(map_check(after, &error));
    assert_int_equal(after->revision, before->revision + 1);
    for (uint32_t i = 0; i < after->entry_count; i++) {
        bool is_same = is_same_entry(&before->entries[i], &after->entries[i]);
        assert_int_equal(after->entries[i].epoch,
                         is_same ? before->entries[i].epoch : after->revision);
    }
}

static void adopt(struct fixture *fixture, struct plan *plan)
{
    if (plan->is_changed) {
        assert_follows(map_of(fixture), &plan->next.map);
    }
    cluster_adopt(fixture->cluster, plan);
    plan_fini(plan);
}

/* Makes durable what the servers' words ask for; how many changes that took. */
static unsigned settle(struct fixture *fixture)
{
    struct plan plan;
    unsigned count = 0;
    while (cluster_next(fixture->cluster, &plan)) {
        adopt(fixture, &plan);
        assert_true(++count < 10);
    }
    return count;
}

static struct site_hello hello_of(uint8_t server, uint64_t incarnation)
{
    struct site_hello hello = {.incarnation = incarnation};
    memcpy(hello.server, id_of(server).data, ID_LEN);
    return hello;
}

static void greet(struct fixture *fixture, uint16_t port, uint8_t server, uint64_t incarnation)
{
    struct site_hello hello = hello_of(server, incarnation);
    struct address address = address_of(port);
    cluster_on_hello(fixture->cluster, &address, &hello);
}

static void open_shard(struct fixture *fixture, uint16_t port, const char *name)
{
    struct address address = address_of(port);
    cluster_on_opened(fixture->cluster, &address, bytes_text(name), entry(fixture, name)->epoch);
}

static void found_whole(struct fixture *fixture)
{
    greet(fixture, 1, 11, 1);
    greet(fixture, 2, 12, 1);
    greet(fixture, 3, 13, 1);
    settle(fixture);
    open_shard(fixture, 1, "a");
    open_shard(fixture, 1, "b");
    open_shard(fixture, 2, "c");
    open_shard(fixture, 3, "d");
    settle(fixture);
    assert_true(cluster_ledger(fixture->cluster)->is_founded);
}

static void assert_state(const struct fixture *fixture, uint16_t port, enum site_state state)
{
    assert_string_equal(site_state_text(site(fixture, port)->state), site_state_text(state));
}

static void assert_says(const struct text *text, const char *word)
{
    if (!strstr(text->chars, word)) {
        fail_msg("\"%s\" does not say \"%s\"", text->chars, word);
    }
}

/* --- founding --- */

static void a_founded_map_is_new_everywhere_and_bound_to_nobody(void **state)
{
    const struct fixture *fixture = *state;
    assert_int_equal(map_of(fixture)->revision, 1);
    assert_int_equal(cluster_site_count(fixture->cluster), 3);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(map_of(fixture)->entries[i].is_new);
        assert_int_equal(map_of(fixture)->entries[i].epoch, 1);
        assert_true(id_bytes_is_zero(map_of(fixture)->entries[i].server));
    }
    struct plan plan;
    assert_false(cluster_next(fixture->cluster, &plan));
}

static void founding_forgets_owners_epochs_and_servers_of_another_clusters_map(void **state)
{
    struct fixture *fixture = *state;
    struct buffer printed = {0};
    struct ledger ledger;
    struct map_error error;
    found_whole(fixture);
    map_print(map_of(fixture), &printed);
    assert_true(
        ledger_found(buffer_bytes(&printed), id_of(7).data, id_of(8).data, &ledger, &error));
    assert_int_equal(ledger.map.revision, 1);
    assert_int_equal(ledger.map.server_count, 0);
    assert_memory_equal(ledger.map.cluster, id_of(7).data, ID_LEN);
    assert_true(id_bytes_is_zero(ledger.map.entries[0].server));
    assert_int_equal(ledger.map.entries[0].epoch, 1);
    assert_true(ledger.map.entries[0].is_new);
    assert_false(ledger.is_founded);
    ledger_fini(&ledger);
    buffer_fini(&printed);
}

static void servers_are_bound_in_whatever_order_they_come(void **state)
{
    static const uint16_t orders[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
                                         {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
        void *fresh = NULL;
        found(&fresh);
        struct fixture *fixture = fresh;
        for (unsigned j = 0; j < 3; j++) {
            uint16_t port = orders[i][j];
            greet(fixture, port, (uint8_t)(10 + port), 1);
            assert_int_equal(settle(fixture), 1);
        }
        assert_owner(fixture, "a", 11);
        assert_owner(fixture, "b", 11);
        assert_owner(fixture, "c", 12);
        assert_owner(fixture, "d", 13);
        assert_int_equal(map_of(fixture)->revision, 4);
        assert_int_equal(map_of(fixture)->server_count, 3);
        fini(&fresh);
    }
}

static void clients_are_told_when_every_shard_was_opened_and_not_before(void **state)
{
    struct fixture *fixture = *state;
    struct text waiting;
    greet(fixture, 1, 11, 1);
    settle(fixture);
    open_shard(fixture, 1, "a");
    open_shard(fixture, 1, "b");
    settle(fixture);
    cluster_say_founding(fixture->cluster, &waiting);
    assert_says(&waiting, "127.0.0.1:2 (down), 127.0.0.1:3 (down)");
    assert_null(strstr(waiting.chars, "127.0.0.1:1"));
    greet(fixture, 2, 12, 1);
    greet(fixture, 3, 13, 1);
    settle(fixture);
    open_shard(fixture, 2, "c");
    settle(fixture);
    assert_false(cluster_ledger(fixture->cluster)->is_founded);
    open_shard(fixture, 3, "d");
    settle(fixture);
    assert_true(cluster_ledger(fixture->cluster)->is_founded);
    cluster_say_founding(fixture->cluster, &waiting);
    assert_true(text_is_empty(&waiting));
}

static void a_report_of_another_epoch_or_of_somebody_else_opens_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct address first = address_of(1);
    struct address second = address_of(2);
    greet(fixture, 1, 11, 1);
    greet(fixture, 2, 12, 1);
    settle(fixture);
    uint64_t epoch = entry(fixture, "a")->epoch;
    cluster_on_opened(fixture->cluster, &first, bytes_text("a"), epoch - 1);
    cluster_on_opened(fixture->cluster, &first, bytes_text("a"), epoch + 1);
    cluster_on_opened(fixture->cluster, &second, bytes_text("a"), epoch);
    cluster_on_opened(fixture->cluster, &first, bytes_text("nobody"), epoch);
    assert_int_equal(settle(fixture), 0);
    assert_true(entry(fixture, "a")->is_new);
}

static void what_comes_while_a_change_is_written_is_done_after_it(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    greet(fixture, 1, 11, 1);
    settle(fixture);
    greet(fixture, 2, 12, 1);
    assert_true(cluster_next(fixture->cluster, &plan));
    greet(fixture, 3, 13, 1);
    open_shard(fixture, 1, "a");
    adopt(fixture, &plan);
    assert_owner(fixture, "c", 12);
    assert_true(id_bytes_is_zero(entry(fixture, "d")->server));
    assert_true(entry(fixture, "a")->is_new);
    assert_int_equal(settle(fixture), 1);
    assert_owner(fixture, "d", 13);
    assert_false(entry(fixture, "a")->is_new);
}

/* Only the ledger survives, as bytes. */
static void restart(struct fixture *fixture)
{
    struct buffer packed = {0};
    struct ledger ledger;
    struct map_error error;
    ledger_pack(cluster_ledger(fixture->cluster), &packed);
    assert_true(ledger_unpack(buffer_bytes(&packed), &ledger, &error));
    buffer_fini(&packed);
    cluster_free(fixture->cluster);
    fixture->cluster = cluster_new(&ledger);
}

/* One thing that may happen while a cluster is founded. */
static void stumble(struct fixture *fixture, struct dice *dice)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    static const uint16_t ports[] = {1, 1, 2, 3};
    unsigned i = dice_below(dice, 4);
    unsigned what = dice_below(dice, 10);
    struct plan plan;
    if (what == 0) {
        restart(fixture);
    } else if (what < 4) {
        greet(fixture, ports[i], (uint8_t)(10 + ports[i]), 1);
    } else if (what < 7) {
        open_shard(fixture, ports[i], names[i]);
    } else if (cluster_next(fixture->cluster, &plan)) {
        adopt(fixture, &plan);
    }
}

static void a_restart_at_any_step_of_the_founding_goes_on(void **state)
{
    struct dice dice = dice_of(1);
    (void)state;
    for (unsigned run = 0; run < 200; run++) {
        void *fresh = NULL;
        found(&fresh);
        struct fixture *fixture = fresh;
        for (unsigned step = 0; !cluster_ledger(fixture->cluster)->is_founded; step++) {
            assert_true(step < 5000);
            stumble(fixture, &dice);
        }
        assert_owner(fixture, "a", 11);
        assert_owner(fixture, "b", 11);
        assert_owner(fixture, "c", 12);
        assert_owner(fixture, "d", 13);
        fini(&fresh);
    }
}

/* --- servers that are not what the map says --- */

static void a_server_is_pushed_to_only_once_it_is_durably_bound(void **state)
{
    struct fixture *fixture = *state;
    greet(fixture, 1, 11, 1);
    assert_false(cluster_may_push(fixture->cluster, site(fixture, 1)));
    settle(fixture);
    assert_true(cluster_may_push(fixture->cluster, site(fixture, 1)));
    assert_true(cluster_awaits_open(fixture->cluster, site(fixture, 1)));
    open_shard(fixture, 1, "a");
    open_shard(fixture, 1, "b");
    settle(fixture);
    assert_false(cluster_awaits_open(fixture->cluster, site(fixture, 1)));
}

static void another_disk_at_the_address_is_missing_data(void **state)
{
    struct fixture *fixture = *state;
    uint8_t expected[ID_LEN];
    found_whole(fixture);
    greet(fixture, 1, 21, 1);
    assert_state(fixture, 1, SITE_DATA_MISSING);
    assert_says(&site(fixture, 1)->problem, "shardkv shard reset a --accept-loss");
    assert_says(&site(fixture, 1)->problem, "not here: a, b");
    assert_false(cluster_may_push(fixture->cluster, site(fixture, 1)));
    assert_int_equal(settle(fixture), 0);
    cluster_expected_server(fixture->cluster, site(fixture, 1), expected);
    assert_memory_equal(expected, id_of(11).data, ID_LEN);
    greet(fixture, 1, 11, 2);
    assert_state(fixture, 1, SITE_UP);
}

static void a_server_of_another_cluster_is_not_bound(void **state)
{
    struct fixture *fixture = *state;
    struct site_hello hello = hello_of(11, 1);
    struct address address = address_of(1);
    memset(hello.cluster, 99, ID_LEN);
    hello.revision = 1000;
    cluster_on_hello(fixture->cluster, &address, &hello);
    assert_state(fixture, 1, SITE_WRONG_CLUSTER);
    assert_int_equal(settle(fixture), 0);
    assert_false(cluster_may_push(fixture->cluster, site(fixture, 1)));
    /* Its revisions are none of ours. */
    assert_true(text_is_empty(cluster_behind(fixture->cluster)));
}

static void a_restart_of_a_server_is_noted_and_an_older_copy_of_it_refused(void **state)
{
    struct fixture *fixture = *state;
    found_whole(fixture);
    uint64_t epoch = entry(fixture, "a")->epoch;
    greet(fixture, 1, 11, 5);
    assert_int_equal(settle(fixture), 1);
    assert_int_equal(map_find_server(map_of(fixture), id_of(11).data)->incarnation, 5);
    assert_int_equal(entry(fixture, "a")->epoch, epoch);
    restart(fixture);
    greet(fixture, 1, 11, 4);
    assert_state(fixture, 1, SITE_REFUSED);
    assert_says(&site(fixture, 1)->problem, "incarnation 5 was seen here, this is 4");
    assert_false(cluster_may_push(fixture->cluster, site(fixture, 1)));
    assert_int_equal(settle(fixture), 0);
    greet(fixture, 1, 11, 5);
    assert_state(fixture, 1, SITE_UP);
    assert_int_equal(settle(fixture), 0);
}

static void greet_start(struct fixture *fixture, uint64_t incarnation, uint64_t start,
                        bool is_restored)
{
    struct site_hello hello = hello_of(11, incarnation);
    struct address address = address_of(1);
    hello.start = start;
    hello.is_restored = is_restored;
    cluster_on_hello(fixture->cluster, &address, &hello);
}

/* A backup of incarnation 4, started once, is 5, too. */
static void a_restored_copy_that_was_started_as_often_is_refused(void **state)
{
    struct fixture *fixture = *state;
    found_whole(fixture);
    greet_start(fixture, 5, 77, false);
    settle(fixture);
    restart(fixture);
    greet_start(fixture, 5, 78, false);
    assert_state(fixture, 1, SITE_REFUSED);
    assert_says(&site(fixture, 1)->problem, "incarnation 5 was seen here, this is 5");
    assert_says(&site(fixture, 1)->problem, "shardkv shard reset a --accept-loss");
    assert_false(cluster_may_push(fixture->cluster, site(fixture, 1)));
    greet_start(fixture, 6, 79, true);
    assert_state(fixture, 1, SITE_REFUSED);
    assert_int_equal(settle(fixture), 0);
    greet_start(fixture, 5, 77, false);
    assert_state(fixture, 1, SITE_UP);
}

static void one_server_under_two_addresses_is_bound_to_one_and_said(void **state)
{
    struct fixture *fixture = *state;
    greet(fixture, 1, 11, 1);
    greet(fixture, 2, 11, 1);
    assert_int_equal(settle(fixture), 1);
    assert_owner(fixture, "a", 11);
    assert_true(id_bytes_is_zero(entry(fixture, "c")->server));
    assert_state(fixture, 2, SITE_REFUSED);
    assert_says(&site(fixture, 2)->problem, "which the map has at 127.0.0.1:1");
}

static void a_map_that_is_behind_a_server_is_not_changed(void **state)
{
    struct fixture *fixture = *state;
    struct site_hello hello = hello_of(11, 1);
    struct address address = address_of(1);
    struct plan plan;
    found_whole(fixture);
    memcpy(hello.cluster, map_of(fixture)->cluster, ID_LEN);
    hello.epoch = map_of(fixture)->revision;
    hello.revision = map_of(fixture)->revision;
    cluster_on_hello(fixture->cluster, &address, &hello);
    assert_true(text_is_empty(cluster_behind(fixture->cluster)));
    hello.epoch++;
    hello.incarnation++;
    cluster_on_hello(fixture->cluster, &address, &hello);
    assert_says(cluster_behind(fixture->cluster), "127.0.0.1:1 has taken revision");
    assert_false(cluster_next(fixture->cluster, &plan));
    assert_int_equal(admin_plan_apply(fixture->cluster, bytes_text(config), &plan, &fixture->why),
                     STATUS_DENIED);
    assert_says(&fixture->why, "an old copy of it was restored");
    assert_int_equal(admin_plan_reset(fixture->cluster, bytes_text("a"), &plan, &fixture->why),
                     STATUS_DENIED);
}

static void what_a_server_answers_with_an_error_shows_in_its_state(void **state)
{
    static const struct {
        enum status code;
        enum site_state state;
    } cases[] = {
        {STATUS_WRONG_CLUSTER, SITE_WRONG_CLUSTER},
        {STATUS_DATA_MISSING, SITE_DATA_MISSING},
        {STATUS_DENIED, SITE_REFUSED},
        {STATUS_INVALID, SITE_REFUSED},
        {STATUS_TRY_LATER, SITE_DOWN},
        {STATUS_SHUTTING_DOWN, SITE_DOWN},
    };
    struct fixture *fixture = *state;
    struct address address = address_of(1);
    found_whole(fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cluster_on_refused(fixture->cluster, &address, cases[i].code, bytes_text("because\n"));
        assert_state(fixture, 1, cases[i].state);
        assert_string_equal(site(fixture, 1)->problem.chars, "because?");
        greet(fixture, 1, 11, 1);
        assert_state(fixture, 1, SITE_UP);
        cluster_on_pushed(fixture->cluster, &address, cases[i].code, bytes_text("no"));
        assert_state(fixture, 1, cases[i].state);
        assert_true(cluster_may_push(fixture->cluster, site(fixture, 1)));
        cluster_on_pushed(fixture->cluster, &address, STATUS_OK, bytes_text(""));
        assert_state(fixture, 1, SITE_UP);
    }
    cluster_on_down(fixture->cluster, &address, "gone");
    assert_state(fixture, 1, SITE_DOWN);
}

static void news_are_given_once_for_each_change_of_state(void **state)
{
    struct fixture *fixture = *state;
    struct address address = address_of(2);
    assert_null(cluster_take_news(fixture->cluster));
    for (unsigned i = 0; i < 3; i++) {
        cluster_on_down(fixture->cluster, &address, "Connection refused");
        assert_ptr_equal(cluster_take_news(fixture->cluster), i ? NULL : site(fixture, 2));
    }
    greet(fixture, 2, 12, 1);
    assert_ptr_equal(cluster_take_news(fixture->cluster), site(fixture, 2));
    assert_null(cluster_take_news(fixture->cluster));
}

static void words_from_an_address_that_is_not_in_the_map_are_not_noted(void **state)
{
    struct fixture *fixture = *state;
    struct address stranger = address_of(9);
    struct site_hello hello = hello_of(19, 1);
    cluster_on_hello(fixture->cluster, &stranger, &hello);
    cluster_on_down(fixture->cluster, &stranger, "gone");
    cluster_on_refused(fixture->cluster, &stranger, STATUS_DENIED, bytes_text("no"));
    cluster_on_pushed(fixture->cluster, &stranger, STATUS_DENIED, bytes_text("no"));
    cluster_on_opened(fixture->cluster, &stranger, bytes_text("a"), 1);
    assert_int_equal(settle(fixture), 0);
}

/* --- reset --- */

static enum status reset(struct fixture *fixture, const char *name)
{
    struct plan plan;
    enum status status = admin_plan_reset(fixture->cluster, bytes_text(name), &plan, &fixture->why);
    if (status == STATUS_OK) {
        assert_int_equal(plan.line_count, 1);
        adopt(fixture, &plan);
    }
    return status;
}

static void a_reset_gives_the_shard_empty_to_the_server_that_is_there(void **state)
{
    struct fixture *fixture = *state;
    found_whole(fixture);
    greet(fixture, 2, 22, 3);
    assert_int_equal(reset(fixture, "c"), STATUS_OK);
    assert_owner(fixture, "c", 22);
    assert_true(entry(fixture, "c")->is_new);
    assert_null(map_find_server(map_of(fixture), id_of(12).data));
    assert_int_equal(map_find_server(map_of(fixture), id_of(22).data)->incarnation, 3);
    assert_state(fixture, 2, SITE_UP);
    assert_true(cluster_may_push(fixture->cluster, site(fixture, 2)));
    /* Clients keep their map meanwhile. */
    assert_true(cluster_ledger(fixture->cluster)->is_founded);
    open_shard(fixture, 2, "c");
    settle(fixture);
    assert_false(entry(fixture, "c")->is_new);
    /* The disk that was given up is a stranger now. */
    greet(fixture, 2, 12, 9);
    assert_state(fixture, 2, SITE_DATA_MISSING);
}

static void each_shard_of_a_lost_server_is_reset_by_its_name(void **state)
{
    struct fixture *fixture = *state;
    uint8_t expected[ID_LEN];
    found_whole(fixture);
    greet(fixture, 1, 21, 1);
    assert_int_equal(reset(fixture, "b"), STATUS_OK);
    assert_owner(fixture, "a", 11);
    assert_owner(fixture, "b", 21);
    assert_state(fixture, 1, SITE_DATA_MISSING);
    assert_says(&site(fixture, 1)->problem, "shard reset a");
    assert_true(cluster_may_push(fixture->cluster, site(fixture, 1)));
    cluster_expected_server(fixture->cluster, site(fixture, 1), expected);
    assert_memory_equal(expected, id_of(21).data, ID_LEN);
    assert_int_equal(reset(fixture, "a"), STATUS_OK);
    assert_state(fixture, 1, SITE_UP);
    assert_int_equal(map_of(fixture)->server_count, 3);
}

static void nothing_is_reset_but_missing_data(void **state)
{
    struct fixture *fixture = *state;
    struct address address = address_of(2);
    assert_int_equal(reset(fixture, "c"), STATUS_TRY_LATER);
    found_whole(fixture);
    assert_int_equal(reset(fixture, "c"), STATUS_DENIED);
    assert_says(&fixture->why, "not missing");
    assert_int_equal(reset(fixture, "nobody"), STATUS_INVALID);
    assert_says(&fixture->why, "nobody");
    /* The server of another address, or of another cluster, cannot have it. */
    greet(fixture, 2, 11, 1);
    assert_int_equal(reset(fixture, "c"), STATUS_DENIED);
    cluster_on_down(fixture->cluster, &address, "Connection refused");
    assert_int_equal(reset(fixture, "c"), STATUS_TRY_LATER);
    assert_says(&fixture->why, "127.0.0.1:2: Connection refused");
}

static void a_server_that_says_itself_that_its_data_is_missing_may_be_reset(void **state)
{
    struct fixture *fixture = *state;
    struct address address = address_of(2);
    found_whole(fixture);
    uint64_t epoch = entry(fixture, "c")->epoch;
    cluster_on_missing(fixture->cluster, &address, bytes_text("c"), epoch);
    assert_state(fixture, 2, SITE_DATA_MISSING);
    assert_says(&site(fixture, 2)->problem, "shard reset c");
    assert_true(cluster_may_push(fixture->cluster, site(fixture, 2)));
    assert_int_equal(reset(fixture, "c"), STATUS_OK);
    assert_owner(fixture, "c", 12);
    assert_true(entry(fixture, "c")->is_new);
    assert_true(entry(fixture, "c")->epoch > epoch);
    assert_state(fixture, 2, SITE_UP);
}

static void of_one_server_only_the_shard_that_is_missing_is_reset(void **state)
{
    struct fixture *fixture = *state;
    struct address address = address_of(1);
    found_whole(fixture);
    cluster_on_missing(fixture->cluster, &address, bytes_text("b"), entry(fixture, "b")->epoch);
    assert_int_equal(reset(fixture, "a"), STATUS_DENIED);
    assert_says(&fixture->why, "not missing");
    /* It may have been brought back while the server was away. */
    greet(fixture, 1, 11, 2);
    assert_state(fixture, 1, SITE_UP);
    assert_int_equal(reset(fixture, "b"), STATUS_DENIED);
}

static void a_report_of_missing_data_by_somebody_else_or_of_another_epoch_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct address address = address_of(2);
    found_whole(fixture);
    cluster_on_missing(fixture->cluster, &address, bytes_text("a"), entry(fixture, "a")->epoch);
    cluster_on_missing(fixture->cluster, &address, bytes_text("c"), entry(fixture, "c")->epoch - 1);
    cluster_on_missing(fixture->cluster, &address, bytes_text("nobody"), 1);
    assert_state(fixture, 1, SITE_UP);
    assert_state(fixture, 2, SITE_UP);
}

static void a_restored_copy_is_taken_as_it_is_by_a_reset(void **state)
{
    struct fixture *fixture = *state;
    found_whole(fixture);
    greet_start(fixture, 5, 77, false);
    settle(fixture);
    greet_start(fixture, 4, 70, true);
    uint64_t epoch = entry(fixture, "a")->epoch;
    assert_int_equal(reset(fixture, "c"), STATUS_DENIED);
    assert_int_equal(reset(fixture, "a"), STATUS_OK);
    assert_int_equal(entry(fixture, "a")->epoch, epoch);
    assert_false(entry(fixture, "a")->is_new);
    greet_start(fixture, 4, 70, false);
    assert_state(fixture, 1, SITE_UP);
    /* The data that was given up. */
    greet_start(fixture, 6, 80, true);
    assert_state(fixture, 1, SITE_REFUSED);
}

static void the_incarnation_of_a_server_that_has_not_all_is_noted(void **state)
{
    struct fixture *fixture = *state;
    found_whole(fixture);
    greet(fixture, 1, 21, 1);
    assert_int_equal(reset(fixture, "b"), STATUS_OK);
    greet(fixture, 1, 21, 5);
    settle(fixture);
    assert_state(fixture, 1, SITE_DATA_MISSING);
    assert_int_equal(map_find_server(map_of(fixture), id_of(21).data)->incarnation, 5);
    greet(fixture, 1, 21, 4);
    assert_state(fixture, 1, SITE_REFUSED);
}

/*
 * The old disk came back after the reset: it goes by its own log, serves what it held, and whatever is
 * written there is lost. It must be told that it owns nothing any more.
 */
static void a_disk_that_was_given_up_is_told_the_map_when_it_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct address address = address_of(2);
    struct site_hello old_disk = hello_of(12, 9);
    memcpy(old_disk.cluster, map_of(fixture)->cluster, ID_LEN);
    found_whole(fixture);
    greet(fixture, 2, 22, 3);
    assert_int_equal(reset(fixture, "c"), STATUS_OK);
    cluster_on_hello(fixture->cluster, &address, &old_disk);
    assert_state(fixture, 2, SITE_DATA_MISSING);
    assert_true(cluster_may_push(fixture->cluster, site(fixture, 2)));
}

/* --- apply --- */

static enum status apply(struct fixture *fixture, const char *json, unsigned line_count)
{
    struct plan plan;
    enum status status = admin_plan_apply(fixture->cluster, bytes_text(json), &plan, &fixture->why);
    if (status == STATUS_OK) {
        assert_int_equal(plan.line_count, line_count);
        assert_int_equal(plan.is_changed, line_count > 0);
        assert_int_equal(plan.next.applied_hash, hash_bytes(bytes_text(json)));
        adopt(fixture, &plan);
    }
    return status;
}

static void applying_what_is_there_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct buffer printed = {0};
    found_whole(fixture);
    uint64_t revision = map_of(fixture)->revision;
    assert_int_equal(apply(fixture, config, 0), STATUS_OK);
    /* Nor does what `map get` prints. */
    map_print(map_of(fixture), &printed);
    buffer_append(&printed, "", 1);
    assert_int_equal(apply(fixture, (const char *)printed.data, 0), STATUS_OK);
    assert_int_equal(map_of(fixture)->revision, revision);
    buffer_fini(&printed);
}

static void settings_and_names_are_applied_and_said(void **state)
{
    struct fixture *fixture = *state;
    struct plan plan;
    struct bytes line = {0};
    found_whole(fixture);
    const char *json = MAP(ENTRY("a", "0.0", "0.25", "2GiB", "1"), B,
                           ENTRY("see", "0.5", "0.75", "512MiB", "2"), D);
    assert_int_equal(admin_plan_apply(fixture->cluster, bytes_text(json), &plan, &fixture->why),
                     STATUS_OK);
    static const char *const lines[] = {"shard a: size 1GiB -> 2GiB", "shard c: name c -> see",
                                        "shard see: size 1GiB -> 512MiB"};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(plan_next_line(&plan, &line));
        assert_int_equal(line.len, strlen(lines[i]));
        assert_memory_equal(line.data, lines[i], line.len);
    }
    assert_false(plan_next_line(&plan, &line));
    /* A plan alone changes nothing: that is a dry run. */
    assert_int_equal(entry(fixture, "a")->size, UINT64_C(1) << 30);
    adopt(fixture, &plan);
    assert_int_equal(entry(fixture, "a")->size, UINT64_C(2) << 30);
    assert_int_equal(entry(fixture, "see")->size, UINT64_C(512) << 20);
    assert_owner(fixture, "see", 12);
    assert_false(entry(fixture, "see")->is_new);
}

static void bounds_and_owners_are_refused_as_moves(void **state)
{
    static const char *const moves[] = {
        MAP(ENTRY("a", "0.0", "0.125", "1GiB", "1"), ENTRY("b", "0.125", "0.5", "1GiB", "1"), C, D),
        MAP(A, B, ENTRY("c", "0.5", "0.75", "1GiB", "3"), D),
        "{\"shards\":[" ENTRY("a", "0.0", "0.5", "1GiB", "1") "," C "," D "]}",
    };
    struct fixture *fixture = *state;
    found_whole(fixture);
    for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
        assert_int_equal(apply(fixture, moves[i], 0), STATUS_DENIED);
        assert_says(&fixture->why, "shardkv move");
    }
}

static void a_map_that_is_none_is_refused_with_the_place(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(apply(fixture, "{\"shards\":[", 0), STATUS_INVALID);
    assert_int_equal(apply(fixture, "{\"shards\":[" A "]}", 0), STATUS_INVALID);
    assert_says(&fixture->why, "0.25");
}

static void a_server_may_change_its_address_with_all_its_shards(void **state)
{
    struct fixture *fixture = *state;
    struct address old = address_of(1);
    found_whole(fixture);
    assert_int_equal(apply(fixture,
                           MAP(ENTRY("a", "0.0", "0.25", "1GiB", "9"),
                               ENTRY("b", "0.25", "0.5", "1GiB", "9"), C, D),
                           2),
                     STATUS_OK);
    assert_null(cluster_find_site(fixture->cluster, &old));
    assert_owner(fixture, "a", 11);
    assert_int_equal(map_find_server(map_of(fixture), id_of(11).data)->address.port, 9);
    assert_state(fixture, 9, SITE_DOWN);
    greet(fixture, 9, 11, 2);
    assert_state(fixture, 9, SITE_UP);
    greet(fixture, 9, 21, 2);
    assert_state(fixture, 9, SITE_DATA_MISSING);
}

static void a_server_is_not_torn_apart_nor_joined_by_addresses(void **state)
{
    struct fixture *fixture = *state;
    found_whole(fixture);
    assert_int_equal(apply(fixture, MAP(ENTRY("a", "0.0", "0.25", "1GiB", "9"), B, C, D), 0),
                     STATUS_DENIED);
    assert_says(&fixture->why, "shards a and b: are on one server");
    assert_int_equal(apply(fixture,
                           MAP(A, B, ENTRY("c", "0.5", "0.75", "1GiB", "9"),
                               ENTRY("d", "0.75", "1.0", "1GiB", "9")),
                           0),
                     STATUS_DENIED);
    assert_says(&fixture->why, "shards c and d: are on two servers");
}

static void a_wrong_address_in_the_founding_map_can_be_put_right(void **state)
{
    struct fixture *fixture = *state;
    greet(fixture, 1, 11, 1);
    settle(fixture);
    assert_int_equal(apply(fixture,
                           MAP(A, B, ENTRY("c", "0.5", "0.75", "1GiB", "1"),
                               ENTRY("d", "0.75", "1.0", "1GiB", "4")),
                           2),
                     STATUS_OK);
    assert_int_equal(settle(fixture), 1);
    assert_owner(fixture, "c", 11);
    greet(fixture, 4, 14, 1);
    settle(fixture);
    assert_owner(fixture, "d", 14);
}

static void the_origin_of_ids_is_chosen_once(void **state)
{
    struct fixture *fixture = *state;
    found_whole(fixture);
    assert_int_equal(apply(fixture, "{\"shards\":[" A "," B "," C "," D "],\"origin_ms\":1}", 0),
                     STATUS_DENIED);
    assert_says(&fixture->why, "origin_ms");
}

static void more_addresses_than_a_map_holds_are_refused(void **state)
{
    (void)state;
    struct map map = {.entry_count = MAP_SERVERS_MAX + 1};
    struct map_error error;
    map.entries = calloc(map.entry_count, sizeof(*map.entries));
    assert_non_null(map.entries);
    for (uint32_t i = 0; i < map.entry_count; i++) {
        map.entries[i].address = address_of((uint16_t)(i + 1));
    }
    assert_false(ledger_check_addresses(&map, &error));
    map.entries[7].address = map.entries[4000].address;
    assert_true(ledger_check_addresses(&map, &error));
    map_fini(&map);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, found, fini)
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        TEST(a_founded_map_is_new_everywhere_and_bound_to_nobody),
        TEST(founding_forgets_owners_epochs_and_servers_of_another_clusters_map),
        TEST(servers_are_bound_in_whatever_order_they_come),
        TEST(clients_are_told_when_every_shard_was_opened_and_not_before),
        TEST(a_report_of_another_epoch_or_of_somebody_else_opens_nothing),
        TEST(what_comes_while_a_change_is_written_is_done_after_it),
        TEST(a_restart_at_any_step_of_the_founding_goes_on),
        TEST(a_server_is_pushed_to_only_once_it_is_durably_bound),
        TEST(another_disk_at_the_address_is_missing_data),
        TEST(a_server_of_another_cluster_is_not_bound),
        TEST(a_restart_of_a_server_is_noted_and_an_older_copy_of_it_refused),
        TEST(one_server_under_two_addresses_is_bound_to_one_and_said),
        TEST(a_map_that_is_behind_a_server_is_not_changed),
        TEST(what_a_server_answers_with_an_error_shows_in_its_state),
        TEST(news_are_given_once_for_each_change_of_state),
        TEST(words_from_an_address_that_is_not_in_the_map_are_not_noted),
        TEST(a_reset_gives_the_shard_empty_to_the_server_that_is_there),
        TEST(each_shard_of_a_lost_server_is_reset_by_its_name),
        TEST(nothing_is_reset_but_missing_data),
        TEST(a_server_that_says_itself_that_its_data_is_missing_may_be_reset),
        TEST(of_one_server_only_the_shard_that_is_missing_is_reset),
        TEST(a_report_of_missing_data_by_somebody_else_or_of_another_epoch_is_none),
        TEST(the_incarnation_of_a_server_that_has_not_all_is_noted),
        TEST(a_restored_copy_that_was_started_as_often_is_refused),
        TEST(a_restored_copy_is_taken_as_it_is_by_a_reset),
        TEST(a_disk_that_was_given_up_is_told_the_map_when_it_comes_back),
        TEST(applying_what_is_there_changes_nothing),
        TEST(settings_and_names_are_applied_and_said),
        TEST(bounds_and_owners_are_refused_as_moves),
        TEST(a_map_that_is_none_is_refused_with_the_place),
        TEST(a_server_may_change_its_address_with_all_its_shards),
        TEST(a_server_is_not_torn_apart_nor_joined_by_addresses),
        TEST(a_wrong_address_in_the_founding_map_can_be_put_right),
        TEST(the_origin_of_ids_is_chosen_once),
        TEST(more_addresses_than_a_map_holds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
