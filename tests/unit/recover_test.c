/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bootstrapd/recover.h"
#include "sample_map.h"

/*
 * A bootstrapd at revision 5 and term 3: "low" on server 1, "high" on server 2. What servers hold is given as maps;
 * server N listens at port 5000 + N.
 */

#define OWN_REVISION 5
#define OWN_TERM     3
#define NOW_MS       1000

struct fixture {
    struct cluster *cluster;
    struct recover_answers answers;
    struct plan plan;
    struct text why;
};

static void add_server(struct map *map, uint8_t server, uint64_t incarnation)
{
    map->servers = realloc(map->servers, (map->server_count + 1) * sizeof(*map->servers));
    assert_non_null(map->servers);
    struct map_server *added = &map->servers[map->server_count++];
    *added = (struct map_server){.incarnation = incarnation, .start = 100 * incarnation};
    sample_id(server, added->id);
    added->address = (struct address){"127.0.0.1", (uint16_t)(5000 + server)};
}

static struct map own_map(void)
{
    struct map map = SAMPLE_MAP(OWN_REVISION, {"low", HALF, 5, 1, false, 0},
                                {"high", BOUND_END, 4, 2, false, 0});
    add_server(&map, 1, 7);
    add_server(&map, 2, 1);
    return map;
}

/* Takes the map. */
static void found(struct fixture *fixture, struct map map)
{
    struct ledger ledger = {.map = map, .term = OWN_TERM, .is_founded = true};
    cluster_free(fixture->cluster);
    fixture->cluster = cluster_new(&ledger);
}

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    found(fixture, own_map());
    *state = fixture;
    return 0;
}

static int clean(void **state)
{
    struct fixture *fixture = *state;
    plan_fini(&fixture->plan);
    recover_answers_fini(&fixture->answers);
    cluster_free(fixture->cluster);
    free(fixture);
    return 0;
}

/* Takes the map. */
static struct recover_answer *answer(struct fixture *fixture, uint8_t server, struct map map)
{
    struct recover_answers *answers = &fixture->answers;
    answers->items = realloc(answers->items, (answers->count + 1) * sizeof(*answers->items));
    assert_non_null(answers->items);
    struct recover_answer *added = &answers->items[answers->count++];
    *added = (struct recover_answer){.is_there = true, .map = map};
    added->address = (struct address){"127.0.0.1", (uint16_t)(5000 + server)};
    added->hello.revision = map.revision;
    sample_id(server, added->hello.server);
    return added;
}

static void add_move(struct fixture *fixture, uint64_t number, uint64_t id)
{
    struct plan plan;
    struct move move = {.number = number, .id = id, .end = HALF};
    move.course = id != 0 ? COURSE_GOING : COURSE_WAITING;
    sample_id(1, move.source);
    sample_id(2, move.target);
    plan_begin(&plan, cluster_ledger(fixture->cluster));
    moves_add(&plan.next.moves, &move);
    cluster_adopt(fixture->cluster, &plan);
    plan_fini(&plan);
}

static enum status recover(struct fixture *fixture, bool accepts_missing)
{
    struct map_error error;
    enum status status = recover_plan(fixture->cluster, &fixture->answers, accepts_missing, NOW_MS,
                                      &fixture->plan, &fixture->why);
    if (status == STATUS_OK) {
        assert_true(map_check(&fixture->plan.next.map, &error));
    }
    return status;
}

static void assert_says(const struct text *text, const char *word)
{
    if (!strstr(text->chars, word)) {
        fail_msg("\"%s\" does not say \"%s\"", text->chars, word);
    }
}

/* Whether a line of the plan is of the shard, and says `word`. */
static bool plan_says(const struct fixture *fixture, const char *shard, const char *word)
{
    struct bytes line = {0};
    while (plan_next_line(&fixture->plan, &line)) {
        struct text text;
        struct text begin;
        text_set(&text, "%.*s", (int)line.len, (const char *)line.data);
        text_set(&begin, "shard %s: ", shard);
        if (strstr(text.chars, begin.chars) == text.chars && strstr(text.chars, word)) {
            return true;
        }
    }
    return false;
}

static void assert_owner(const struct fixture *fixture, const char *name, uint8_t server)
{
    uint8_t id[ID_LEN];
    const struct map_entry *entry = map_find_name(&fixture->plan.next.map, bytes_text(name));
    assert_non_null(entry);
    sample_id(server, id);
    assert_memory_equal(entry->server, id, ID_LEN);
    assert_int_equal(entry->address.port, 5000 + server);
}

/* "low" went to 3, and "high" was split: each of two servers knows one of these. */
static void answer_newer(struct fixture *fixture)
{
    struct map first =
        SAMPLE_MAP(9, {"low", HALF, 9, 3, false, 0}, {"high", BOUND_END, 4, 2, false, 0});
    struct map second = SAMPLE_MAP(12, {"low", HALF, 5, 1, false, 0},
                                   {"high", BOUND_END - QUARTER, 12, 2, false, 0},
                                   {"high.1", BOUND_END, 12, 2, false, 0});
    add_server(&first, 1, 1);
    add_server(&first, 2, 1);
    add_server(&second, 1, 2);
    add_server(&second, 2, 5);
    add_server(&second, 3, 4);
    (void)answer(fixture, 1, first);
    (void)answer(fixture, 2, second);
}

/* --- */

static void the_newest_of_each_point_is_taken(void **state)
{
    struct fixture *fixture = *state;
    answer_newer(fixture);
    (void)answer(fixture, 3, (struct map){0});
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_true(fixture->plan.is_changed);
    assert_int_equal(fixture->plan.next.map.entry_count, 3);
    assert_owner(fixture, "low", 3);
    assert_owner(fixture, "high", 2);
    assert_owner(fixture, "high.1", 2);
}

static void all_numbers_are_far_above_what_was_seen(void **state)
{
    struct fixture *fixture = *state;
    const struct map *map = &fixture->plan.next.map;
    answer_newer(fixture);
    struct recover_answer *told = answer(fixture, 3, (struct map){0});
    told->hello.epoch = 30;
    told->hello.term = 8;
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_int_equal(map->revision, 30 + RECOVER_REVISIONS);
    for (uint32_t i = 0; i < map->entry_count; i++) {
        assert_int_equal(map->entries[i].epoch, map->revision);
    }
    assert_int_equal(fixture->plan.next.term, 8 + RECOVER_TERMS);
}

static void the_last_start_of_a_server_that_anybody_saw_is_kept(void **state)
{
    struct fixture *fixture = *state;
    const struct map *map = &fixture->plan.next.map;
    answer_newer(fixture);
    (void)answer(fixture, 3, (struct map){0});
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_int_equal(map->server_count, 3);
    static const uint64_t incarnations[] = {7, 5, 4};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(map->servers[i].incarnation, incarnations[i]);
        assert_int_equal(map->servers[i].start, 100 * incarnations[i]);
    }
}

static void assert_nothing_changes(struct fixture *fixture)
{
    assert_false(fixture->plan.is_changed);
    assert_false(fixture->plan.is_noted);
    assert_int_equal(fixture->plan.line_count, 0);
    plan_fini(&fixture->plan);
}

static void where_nobody_is_ahead_nothing_changes(void **state)
{
    struct fixture *fixture = *state;
    (void)answer(fixture, 1, own_map());
    (void)answer(fixture, 2, own_map());
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_nothing_changes(fixture);
}

/* Server 2 may be the only one that knows of a newer map. */
static void that_nothing_is_newer_is_said_only_if_all_have_answered(void **state)
{
    struct fixture *fixture = *state;
    (void)answer(fixture, 1, own_map());
    assert_int_equal(recover(fixture, false), STATUS_DENIED);
    assert_says(&fixture->why, "127.0.0.1:5002 (02020202)");
    assert_says(&fixture->why, "--accept-missing");
    assert_null(strstr(fixture->why.chars, "127.0.0.1:5001"));
    assert_int_equal(recover(fixture, true), STATUS_OK);
    assert_nothing_changes(fixture);
}

/* As of servers that are down, or of another cluster. */
static void where_no_server_has_answered_recovery_is_refused_even_without_them(void **state)
{
    struct fixture *fixture = *state;
    answer(fixture, 1, (struct map){0})->is_there = false;
    answer(fixture, 2, (struct map){0})->is_there = false;
    assert_int_equal(recover(fixture, false), STATUS_DENIED);
    assert_says(&fixture->why, "127.0.0.1:5001 (01010101), 127.0.0.1:5002 (02020202)");
    assert_int_equal(recover(fixture, true), STATUS_DENIED);
    assert_says(&fixture->why, "no server has answered");
    assert_says(&fixture->why, "127.0.0.1:5001 (01010101), 127.0.0.1:5002 (02020202)");
}

/* It was seen since bootstrapd began, but what is ahead is not here any more. */
static void a_copy_that_is_behind_is_not_recovered_from_nobody(void **state)
{
    struct fixture *fixture = *state;
    const struct address address = {"127.0.0.1", 5001};
    cluster_on_outranked(fixture->cluster, &address, 40);
    assert_int_equal(recover(fixture, true), STATUS_DENIED);
    assert_says(&fixture->why, "no server has answered");
}

/* New disks came to the addresses: nobody is there who knew of the map. */
static void servers_that_the_lists_do_not_name_are_nobody(void **state)
{
    struct fixture *fixture = *state;
    sample_id(33, answer(fixture, 1, (struct map){0})->hello.server);
    sample_id(34, answer(fixture, 2, (struct map){0})->hello.server);
    assert_int_equal(recover(fixture, true), STATUS_DENIED);
    assert_says(&fixture->why, "no server has answered");
}

static void an_address_to_which_no_server_is_bound_yet_must_answer_too(void **state)
{
    struct fixture *fixture = *state;
    found(fixture, SAMPLE_MAP(1, {"all", BOUND_END, 1, 0, false, 0}));
    struct recover_answer *told = answer(fixture, 0, (struct map){0});
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_nothing_changes(fixture);
    told->is_there = false;
    assert_int_equal(recover(fixture, false), STATUS_DENIED);
    assert_says(&fixture->why, "not in reach: 127.0.0.1:5000");
    assert_int_equal(recover(fixture, true), STATUS_DENIED);
    assert_says(&fixture->why, "no server has answered");
}

static void servers_that_are_not_there_are_named_and_may_be_given_up(void **state)
{
    struct fixture *fixture = *state;
    answer_newer(fixture);
    assert_int_equal(recover(fixture, false), STATUS_DENIED);
    assert_says(&fixture->why, "127.0.0.1:5003 (03030303)");
    assert_says(&fixture->why, "--accept-missing");
    assert_null(strstr(fixture->why.chars, "127.0.0.1:5002"));
    assert_int_equal(recover(fixture, true), STATUS_OK);
    assert_owner(fixture, "low", 3);
}

static void a_disk_at_the_address_of_another_server_is_not_that_server(void **state)
{
    struct fixture *fixture = *state;
    answer_newer(fixture);
    struct recover_answer *other = answer(fixture, 3, (struct map){0});
    sample_id(33, other->hello.server);
    assert_int_equal(recover(fixture, false), STATUS_DENIED);
    assert_says(&fixture->why, "127.0.0.1:5003");
}

static void nothing_is_recovered_while_another_bootstrapd_is_at_work(void **state)
{
    struct fixture *fixture = *state;
    answer_newer(fixture);
    struct recover_answer *told = answer(fixture, 3, (struct map){0});
    sample_id(77, told->hello.at_work);
    assert_int_equal(recover(fixture, true), STATUS_DENIED);
    assert_says(&fixture->why, "another bootstrapd is at work at server 127.0.0.1:5003");
    memset(told->hello.at_work, 'i', ID_LEN);
    assert_int_equal(recover(fixture, true), STATUS_OK);
}

/* It is at an epoch that a server acts on: a change that this bootstrapd made meanwhile is nobody's. */
static void of_equal_epochs_that_of_a_server_holds(void **state)
{
    struct fixture *fixture = *state;
    struct map held =
        SAMPLE_MAP(6, {"low", HALF, 5, 2, false, 0}, {"high", BOUND_END, 6, 2, false, 0});
    add_server(&held, 1, 1);
    add_server(&held, 2, 1);
    (void)answer(fixture, 2, held);
    assert_int_equal(recover(fixture, true), STATUS_OK);
    assert_owner(fixture, "low", 2);
}

/* Server 1 holds the own map, but for what the caller changes of "low", and "high" is newer. */
static struct map_entry *answer_low(struct fixture *fixture)
{
    struct map map = own_map();
    map.revision = 9;
    map.entries[1].epoch = 9;
    (void)answer(fixture, 2, (struct map){0});
    return answer(fixture, 1, map)->map.entries;
}

/* The copy gave an epoch that the lost directory had given to another size. */
static void a_size_that_goes_back_to_what_servers_hold_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct map map = own_map();
    map.entries[0].size = 3 << 20;
    found(fixture, map);
    (void)answer_low(fixture);
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_int_equal(fixture->plan.next.map.entries[0].size, 1 << 20);
    assert_true(plan_says(fixture, "low", ", 1MiB, "));
    assert_true(plan_says(fixture, "low", "size 3MiB -> 1MiB"));
}

static void a_size_that_is_newer_than_what_servers_hold_stays(void **state)
{
    struct fixture *fixture = *state;
    struct map_entry *low = answer_low(fixture);
    low->epoch = 3;
    low->size = 3 << 20;
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_int_equal(fixture->plan.next.map.entries[0].size, 1 << 20);
    assert_false(plan_says(fixture, "low", ""));
    assert_true(plan_says(fixture, "high", ""));
}

static void a_shard_that_evicts_on_servers_only_is_named(void **state)
{
    struct fixture *fixture = *state;
    answer_low(fixture)->when_full = WHEN_FULL_EVICT;
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_int_equal(fixture->plan.next.map.entries[0].when_full, WHEN_FULL_EVICT);
    assert_true(plan_says(fixture, "low", "when_full reject -> evict"));
}

static void a_shard_of_another_name_on_servers_is_named(void **state)
{
    struct fixture *fixture = *state;
    strcpy(answer_low(fixture)->name, "first");
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_true(plan_says(fixture, "first", "name low -> first"));
}

static void a_shard_that_is_new_on_servers_only_is_named(void **state)
{
    struct fixture *fixture = *state;
    answer_low(fixture)->is_new = true;
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_true(plan_says(fixture, "low", "new false -> true"));
}

static void a_move_that_only_servers_know_of_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct map_entry *low = answer_low(fixture);
    low->move = (struct map_move){.phase = MOVE_COPY, .id = 5};
    sample_id(1, low->move.source);
    sample_id(2, low->move.target);
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_true(plan_says(fixture, "low", "move none -> copy"));
}

/* Without a new epoch: bootstrapd follows a server to its address. */
static void a_shard_whose_server_has_another_address_is_named(void **state)
{
    struct fixture *fixture = *state;
    (void)answer_low(fixture);
    fixture->answers.items[1].map.servers[0].address.port = 5011;
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_true(plan_says(fixture, "low", "on server 127.0.0.1:5011"));
}

static void what_makes_no_map_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct map nameless =
        SAMPLE_MAP(6, {"low", QUARTER, 3, 1, false, 0}, {"new", BOUND_END, 6, 1, false, 0});
    struct map orphan =
        SAMPLE_MAP(7, {"low", HALF, 7, 9, false, 0}, {"high", BOUND_END, 7, 2, false, 0});
    add_server(&nameless, 1, 1);
    add_server(&orphan, 2, 1);
    (void)answer(fixture, 1, nameless);
    (void)answer(fixture, 2, orphan);
    assert_int_equal(recover(fixture, true), STATUS_CONFLICT);
    assert_says(&fixture->why, "no list of servers has");
}

static void a_number_that_nobody_can_have_given_is_refused(void **state)
{
    struct fixture *fixture = *state;
    answer_newer(fixture);
    answer(fixture, 3, (struct map){0})->hello.epoch = UINT64_MAX;
    assert_int_equal(recover(fixture, true), STATUS_CONFLICT);
}

/* A move of "low" from 1 to 2, as `phase` has it. */
static void answer_moving(struct fixture *fixture, uint64_t id, enum move_phase phase)
{
    struct map map = own_map();
    map.revision = 20;
    map.entries[0].epoch = 20;
    map.entries[0].move = (struct map_move){.phase = phase, .id = id};
    sample_id(1, map.entries[0].move.source);
    sample_id(2, map.entries[0].move.target);
    (void)answer(fixture, 1, map);
    (void)answer(fixture, 2, (struct map){0});
}

static void a_move_goes_on_at_the_phase_that_servers_have(void **state)
{
    struct fixture *fixture = *state;
    add_move(fixture, 1, 5);
    answer_moving(fixture, 5, MOVE_COPY);
    assert_int_equal(recover(fixture, false), STATUS_OK);
    const struct ledger *next = &fixture->plan.next;
    assert_int_equal(next->map.entries[0].move.phase, MOVE_COPY);
    assert_int_equal(next->map.entries[0].move.id, 5);
    assert_int_equal(next->moves.count, 1);
    assert_int_equal(next->moves.items[0].number, 1);
    assert_int_equal(next->moves.items[0].course, COURSE_GOING);
}

static void a_move_that_was_asked_for_since_gets_a_number(void **state)
{
    struct fixture *fixture = *state;
    answer_moving(fixture, 18, MOVE_COMMITTED);
    assert_int_equal(recover(fixture, false), STATUS_OK);
    const struct ledger *next = &fixture->plan.next;
    assert_int_equal(next->moves.count, 1);
    assert_int_equal(next->moves.items[0].id, 18);
    assert_int_equal(next->moves.items[0].end, HALF);
    assert_int_equal(next->moves.items[0].course, COURSE_GOING);
    assert_int_equal(next->move_count, 1);
}

/* Who aborted a try, bootstrapd to make it again or a person, no server knows. */
static void moves_that_wait_or_were_aborted_are_given_up(void **state)
{
    struct fixture *fixture = *state;
    add_move(fixture, 1, 5);
    add_move(fixture, 2, 0);
    answer_moving(fixture, 5, MOVE_ABORTED);
    assert_int_equal(recover(fixture, false), STATUS_OK);
    const struct ledger *next = &fixture->plan.next;
    assert_int_equal(next->moves.count, 0);
    assert_int_equal(next->recent.move_count, 2);
    assert_int_equal(next->recent.moves[0].move.course, COURSE_FAILED);
}

/* RULES M4 */
static void a_recovered_cluster_is_behind_nobody(void **state)
{
    struct fixture *fixture = *state;
    const struct address address = {"127.0.0.1", 5001};
    answer_newer(fixture);
    cluster_on_outranked(fixture->cluster, &address, 40);
    assert_says(cluster_behind(fixture->cluster), "shardkv map recover");
    (void)answer(fixture, 3, (struct map){0});
    assert_int_equal(recover(fixture, false), STATUS_OK);
    assert_int_equal(fixture->plan.next.term, 40 + RECOVER_TERMS);
    cluster_adopt(fixture->cluster, &fixture->plan);
    assert_true(text_is_empty(cluster_behind(fixture->cluster)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_of_each_point_is_taken),
        TEST(all_numbers_are_far_above_what_was_seen),
        TEST(the_last_start_of_a_server_that_anybody_saw_is_kept),
        TEST(where_nobody_is_ahead_nothing_changes),
        TEST(that_nothing_is_newer_is_said_only_if_all_have_answered),
        TEST(where_no_server_has_answered_recovery_is_refused_even_without_them),
        TEST(a_copy_that_is_behind_is_not_recovered_from_nobody),
        TEST(servers_that_the_lists_do_not_name_are_nobody),
        TEST(an_address_to_which_no_server_is_bound_yet_must_answer_too),
        TEST(servers_that_are_not_there_are_named_and_may_be_given_up),
        TEST(a_disk_at_the_address_of_another_server_is_not_that_server),
        TEST(nothing_is_recovered_while_another_bootstrapd_is_at_work),
        TEST(of_equal_epochs_that_of_a_server_holds),
        TEST(a_size_that_goes_back_to_what_servers_hold_is_named),
        TEST(a_size_that_is_newer_than_what_servers_hold_stays),
        TEST(a_shard_that_evicts_on_servers_only_is_named),
        TEST(a_shard_of_another_name_on_servers_is_named),
        TEST(a_shard_that_is_new_on_servers_only_is_named),
        TEST(a_move_that_only_servers_know_of_is_named),
        TEST(a_shard_whose_server_has_another_address_is_named),
        TEST(what_makes_no_map_is_refused),
        TEST(a_number_that_nobody_can_have_given_is_refused),
        TEST(a_move_goes_on_at_the_phase_that_servers_have),
        TEST(a_move_that_was_asked_for_since_gets_a_number),
        TEST(moves_that_wait_or_were_aborted_are_given_up),
        TEST(a_recovered_cluster_is_behind_nobody),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
