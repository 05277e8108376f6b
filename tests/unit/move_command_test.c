/* SPDX-License-Identifier: MIT */

/* move, moves, server, rebalance, map log and shard against a bootstrapd that answers as a test says. */

#include "cli/moving.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "cli/actions.h"
#include "proto/json.h"
#include "tests/unit/captured.h"
#include "tests/unit/fake_server.h"

#define ANSWERS_MAX 4

/* Answers to one method, each given once, the last again and again. */
struct answers {
    const char *method;
    const char *json[ANSWERS_MAX]; /* NULL: DENIED; "": TRY_LATER */
};

struct fixture {
    struct fake *fake;
    const struct answers *answers;
    uint32_t given[8];
    char asked[4096]; /* "move.pause [3]; " */
    char said[8192];  /* on standard output and standard error */
};

/* The fake's script is given nothing of ours. */
static struct fixture *present;

static struct buffer result;

static void note(const struct fake_request *request)
{
    struct buffer json = {0};
    size_t len = strlen(present->asked);
    assert_true(json_print(request->params, &json));
    (void)snprintf(present->asked + len, sizeof present->asked - len, "%s %.*s; ", request->method,
                   (int)json.len, (const char *)json.data);
    buffer_fini(&json);
}

static enum fake_act answer(struct fake *fake, const struct fake_request *request)
{
    struct json_error error;
    note(request);
    for (uint32_t i = 0; present->answers[i].method; i++) {
        const struct answers *answers = &present->answers[i];
        if (strcmp(answers->method, request->method) != 0) {
            continue;
        }
        uint32_t at = present->given[i];
        present->given[i] += at + 1 < ANSWERS_MAX && answers->json[at + 1];
        if (!answers->json[at]) {
            fake->code = STATUS_DENIED;
            return FAKE_REFUSE;
        }
        if (!*answers->json[at]) {
            fake->code = STATUS_TRY_LATER;
            return FAKE_REFUSE;
        }
        buffer_clear(&result);
        assert_true(json_parse(bytes_text(answers->json[at]), &result, &error));
        fake->result = buffer_bytes(&result);
        return FAKE_RESULT;
    }
    return FAKE_ODD;
}

static struct map halves(const struct fake *fake)
{
    struct map map = {.cluster = {0xcc}, .instance = {0xdd}, .revision = 2, .origin_ms = 1};
    map.entries = calloc(2, sizeof(*map.entries));
    map.servers = calloc(1, sizeof(*map.servers));
    map.entry_count = 2;
    map.server_count = 1;
    map.servers[0] = (struct map_server){.id = {1}, .address = fake->address, .incarnation = 1};
    for (uint32_t i = 0; i < 2; i++) {
        struct map_entry *entry = &map.entries[i];
        (void)snprintf(entry->name, sizeof entry->name, "%c", (char)('a' + i));
        entry->start = i * (BOUND_END / 2);
        entry->end = (i + 1) * (BOUND_END / 2);
        entry->epoch = 1;
        entry->size = 1 << 20;
        entry->server[0] = 1;
        entry->address = fake->address;
    }
    return map;
}

static void run_captured(struct fixture *fixture, action *act, struct session *session,
                         enum exit_code *code)
{
    struct captured captured = captured_begin();
    *code = act(session);
    captured_end(&captured, fixture->said, sizeof fixture->said);
}

/* `words`: behind the command's name, ended by NULL. */
static enum exit_code run(struct fixture *fixture, const struct answers *answers, action *act,
                          const char *command, const struct arguments *options,
                          const char *const *words)
{
    char address[ADDRESS_TEXT_LEN];
    const char *items[4] = {0};
    struct arguments arguments = options ? *options : (struct arguments){0};
    struct session session;
    enum exit_code code = EXIT_CODE_UNKNOWN;
    memset(fixture, 0, sizeof *fixture);
    fixture->fake = fake_new();
    fixture->fake->script = answer;
    fixture->fake->map = halves(fixture->fake);
    fixture->answers = answers;
    present = fixture;
    fake_start(fixture->fake);
    address_print(&fixture->fake->address, address);
    arguments.bootstrap = address;
    for (; words && words[arguments.words.count]; arguments.words.count++) {
        items[arguments.words.count] = words[arguments.words.count];
    }
    arguments.words.items = items;
    session_init(&session, command, &arguments);
    run_captured(fixture, act, &session, &code);
    session_fini(&session);
    fake_free(fixture->fake);
    buffer_fini(&result);
    return code;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define GOING                                                                                      \
    "[{\"number\":7,\"shard\":\"a\",\"start\":0,\"end\":2147483648,\"from\":\"h:1\",\"to\":\"h:"   \
    "2\","                                                                                         \
    "\"course\":\"going\",\"state\":\"copying\",\"records\":25,\"bytes\":2500,\"records_left\":"   \
    "75,"                                                                                          \
    "\"bytes_per_s\":1500,\"waiting_bytes\":65000}]"

#define DONE                                                                                       \
    "[{\"number\":7,\"shard\":\"a\",\"start\":0,\"end\":2147483648,\"from\":\"h:1\",\"to\":\"h:"   \
    "2\","                                                                                         \
    "\"course\":\"done\",\"records\":100,\"bytes\":10000000,\"begun_ms\":1000,\"ended_ms\":3000,"  \
    "\"hold_us\":[100,200,900,300,100]}]"

#define OPENED                                                                                     \
    "[{\"number\":7,\"shard\":\"a\",\"course\":\"going\",\"state\":\"open\",\"records\":25,"       \
    "\"tries\":"                                                                                   \
    "1,\"reason\":\"the source's copy is kept: why\"}]"

#define ABORTED                                                                                    \
    "[{\"number\":7,\"shard\":\"a\",\"course\":\"aborted\",\"reason\":\"the target is full\"}]"

/* --- move --- */

static void a_move_is_followed_to_its_end(void **state)
{
    static const struct answers answers[] = {
        {"move.start", {"[7]"}}, {"move.list", {"[{\"course\":\"waiting\"}]", GOING, DONE}}, {0}};
    struct fixture fixture;
    struct arguments options = {.to = "h:2"};
    (void)state;
    assert_int_equal(run(&fixture, answers, move_start, "move", &options, WORDS("a")),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.said,
                        "moved 100 records, 10.0 MB, in 2 s: 5.0 MB/s\n"
                        "longest hold 1.6 ms: freeze 0.1 + drain 0.2 + sync 0.9 + commit 0.3 + "
                        "open 0.1; sums equal\n");
    assert_string_equal(fixture.asked, "move.start [{\"shard\":\"a\",\"to\":\"h:2\"}]; "
                                       "move.list [{\"number\":7,\"all\":true}]; "
                                       "move.list [{\"number\":7,\"all\":true}]; "
                                       "move.list [{\"number\":7,\"all\":true}]; ");
}

static void json_streams_the_looks_and_ends_with_the_figures(void **state)
{
    static const struct answers answers[] = {
        {"move.start", {"[7]"}}, {"move.list", {GOING, DONE}}, {0}};
    struct fixture fixture;
    struct arguments options = {.to = "h:2", .json = true};
    (void)state;
    assert_int_equal(run(&fixture, answers, move_start, "move", &options, WORDS("a")),
                     EXIT_CODE_DONE);
    const char *second = strchr(fixture.said, '\n');
    assert_non_null(second);
    assert_non_null(strstr(fixture.said, "\"percent\":25,\"records\":25,"));
    assert_non_null(strstr(fixture.said, "\"records_left\":75,\"bytes_left\":7500,"));
    assert_non_null(strstr(second, "\"seconds\":2.0,\"mb_per_s\":5.0,\"longest_hold_ms\":1.6,"
                                   "\"hold_us\":{\"freeze\":100,\"drain\":200,\"sync\":900,"
                                   "\"commit\":300,\"open\":100},\"sums_equal\":true"));
}

static void a_move_that_came_to_nothing_is_refused(void **state)
{
    static const struct answers answers[] = {
        {"move.start", {"[7]"}}, {"move.list", {ABORTED}}, {0}};
    struct fixture fixture;
    struct arguments options = {.to = "h:2"};
    (void)state;
    assert_int_equal(run(&fixture, answers, move_start, "move", &options, WORDS("a")),
                     EXIT_CODE_REFUSED);
    assert_string_equal(fixture.said, "shardkv: move: move 7 is aborted: the target is full\n");
}

static void a_move_that_nobody_knows_may_go_on(void **state)
{
    static const struct answers answers[] = {{"move.start", {"[7]"}}, {"move.list", {"[]"}}, {0}};
    struct fixture fixture;
    struct arguments options = {.to = "h:2"};
    (void)state;
    assert_int_equal(run(&fixture, answers, move_start, "move", &options, WORDS("a")),
                     EXIT_CODE_UNKNOWN);
    assert_non_null(strstr(fixture.said, "bootstrapd does not know of it"));
}

static void parts_are_told_as_bounds(void **state)
{
    static const struct answers answers[] = {{"move.start", {"[7]"}}, {0}};
    struct fixture fixture;
    struct arguments half = {.to = "h:2", .part = "0.5", .detach = true};
    struct arguments middle = {.to = "h:2",
                               .from = "0.25",
                               .until = "0.5",
                               .rate = "10MB/s",
                               .force = true,
                               .detach = true};
    (void)state;
    assert_int_equal(run(&fixture, answers, move_start, "move", &half, WORDS("b")), EXIT_CODE_DONE);
    assert_string_equal(fixture.said, "move 7 is asked for\n");
    assert_string_equal(fixture.asked,
                        "move.start [{\"shard\":\"b\",\"to\":\"h:2\",\"from\":3221225472}]; ");
    assert_int_equal(run(&fixture, answers, move_start, "move", &middle, WORDS("a")),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked,
                        "move.start [{\"shard\":\"a\",\"to\":\"h:2\",\"from\":1073741824,\"until\":"
                        "2147483648,\"bytes_per_s\":10000000,\"force\":true}]; ");
}

static void what_is_no_move_is_said_before_anyone_is_asked(void **state)
{
    static const struct answers answers[] = {{0}};
    static const struct {
        struct arguments options;
        const char *said;
    } cases[] = {
        {{0}, "--to SERVER is needed"},
        {{.to = "h:2", .part = "0"}, "--part is above 0"},
        {{.to = "h:2", .part = "x"}, "--part is above 0"},
        {{.to = "h:2", .part = "0.5", .until = "0.5"}, "--part excludes"},
        {{.to = "h:2", .from = "1.5"}, "--from is a bound"},
        {{.to = "h:2", .rate = "fast"}, "a rate is bytes a second"},
    };
    struct fixture fixture;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run(&fixture, answers, move_start, "move", &cases[i].options, WORDS("a")),
                         EXIT_CODE_USAGE);
        assert_non_null(strstr(fixture.said, cases[i].said));
        assert_string_equal(fixture.asked, "");
    }
}

static void one_that_goes_on_can_be_changed(void **state)
{
    static const struct answers answers[] = {{"move.pause", {"[7]"}},    {"move.resume", {"[7]"}},
                                             {"move.abort", {"[7]"}},    {"move.undo", {"[7]"}},
                                             {"move.throttle", {"[7]"}}, {0}};
    static const struct {
        action *act;
        const char *rate, *asked, *said;
    } cases[] = {
        {move_pause, NULL, "move.pause [7]; ", "move 7 is paused\n"},
        {move_resume, NULL, "move.resume [7]; ", "move 7 goes on\n"},
        {move_abort, NULL, "move.abort [7]; ", "move 7 is asked to abort\n"},
        {move_undo, NULL, "move.undo [7,{\"accept_loss\":true}]; ",
         "move 7 is asked to be undone\n"},
        {move_throttle, "5MB", "move.throttle [7,5000000]; ", "move 7 is throttled\n"},
        {move_throttle, "0", "move.throttle [7,0]; ", "move 7 goes as fast as it can\n"},
    };
    struct fixture fixture;
    struct arguments options = {.accept_loss = true};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(
            run(&fixture, answers, cases[i].act, "move x", &options, WORDS("7", cases[i].rate)),
            EXIT_CODE_DONE);
        assert_string_equal(fixture.asked, cases[i].asked);
        assert_string_equal(fixture.said, cases[i].said);
    }
    assert_int_equal(run(&fixture, answers, move_pause, "move pause", NULL, WORDS("a")),
                     EXIT_CODE_USAGE);
}

static void what_bootstrapd_refuses_is_said(void **state)
{
    static const struct answers answers[] = {{"move.abort", {NULL}}, {0}};
    struct fixture fixture;
    (void)state;
    assert_int_equal(run(&fixture, answers, move_abort, "move abort", NULL, WORDS("7")),
                     EXIT_CODE_REFUSED);
    assert_non_null(strstr(fixture.said, "shardkv: "));
}

static void moves_are_listed(void **state)
{
    static const struct answers answers[] = {{"move.list", {GOING, "[]"}}, {0}};
    static const struct answers none[] = {{"move.list", {"[]"}}, {"server.list", {"[]"}}, {0}};
    struct fixture fixture;
    (void)state;
    assert_int_equal(run(&fixture, answers, moves_list, "moves", NULL, NULL), EXIT_CODE_DONE);
    assert_string_equal(
        fixture.said,
        "MOVE  SHARD  START  END  FROM  TO   COURSE  PROGRESS\n"
        "   7  a        0.0  0.5  h:1   h:2  going   25 %, 25 records, 75 left (7.5 KB), 1.5 KB/s, "
        "65.0 KB waiting, 5 s left\n");
    assert_int_equal(run(&fixture, none, moves_list, "moves", NULL, NULL), EXIT_CODE_DONE);
    assert_string_equal(fixture.said, "nothing moves\n");
}

/* Right behind `server drain` nothing was said to move. */
static void where_nothing_moves_yet_what_is_being_planned_is_told(void **state)
{
    static const struct answers draining[] = {
        {"move.list", {"[]"}},
        {"server.list",
         {"[{\"address\":\"h:1\",\"draining\":true,\"shards\":2},{\"address\":\"h:2\",\"shards\":1}"
          "]"}},
        {0}};
    static const struct answers drained[] = {
        {"move.list", {"[]"}},
        {"server.list", {"[{\"address\":\"h:1\",\"draining\":true,\"shards\":0}]"}},
        {0}};
    struct fixture fixture;
    (void)state;
    assert_int_equal(run(&fixture, draining, moves_list, "moves", NULL, NULL), EXIT_CODE_DONE);
    assert_string_equal(fixture.said, "no moves yet: those that empty h:1 are being planned; what "
                                      "that waits for, shardkv rebalance tells\n");
    assert_int_equal(run(&fixture, drained, moves_list, "moves", NULL, NULL), EXIT_CODE_DONE);
    assert_string_equal(fixture.said, "nothing moves\n");
}

static void a_move_that_is_open_but_does_not_end_says_why(void **state)
{
    static const struct answers answers[] = {{"move.list", {OPENED, "[]"}}, {0}};
    struct fixture fixture;
    (void)state;
    assert_int_equal(run(&fixture, answers, moves_list, "moves", NULL, NULL), EXIT_CODE_DONE);
    assert_non_null(strstr(fixture.said, ", open: the source's copy is kept: why\n"));
}

/* --- servers --- */

static void servers_are_added_listed_and_changed(void **state)
{
    static const struct answers answers[] = {
        {"server.add", {"[{\"$bin\":\"AAECAwQFBgcICQoLDA0ODw==\"}]"}},
        {"server.drain", {"[9]"}},
        {"server.remove", {"[9]"}},
        {"server.set_address", {"[9]"}},
        {"server.list",
         {"[{\"id\":{\"$bin\":\"AAECAwQFBgcICQoLDA0ODw==\"},\"address\":\"h:1\",\"state\":\"up\","
          "\"problem\":null,\"capacity\":1073741824,\"draining\":true,\"shards\":2,\"records\":5,"
          "\"bytes\":500}]"}},
        {0}};
    struct fixture fixture;
    struct arguments large = {.capacity = "100GiB"};
    (void)state;
    assert_int_equal(run(&fixture, answers, server_add, "server add", &large, WORDS("h:1")),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "server.add [\"h:1\",{\"capacity\":107374182400}]; ");
    assert_string_equal(fixture.said, "server h:1 is known, id 000102030405060708090a0b0c0d0e0f\n");
    assert_int_equal(run(&fixture, answers, server_list, "server list", NULL, NULL),
                     EXIT_CODE_DONE);
    assert_non_null(strstr(fixture.said, "draining      1GiB       2        5    500\n"));
    assert_int_equal(run(&fixture, answers, server_drain, "server drain", NULL, WORDS("h:1")),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "server.drain [\"h:1\",{\"undo\":false}]; ");
    assert_int_equal(run(&fixture, answers, server_remove, "server remove", NULL, WORDS("h:1")),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.said, "server h:1 is removed, map revision 9\n");
    assert_int_equal(
        run(&fixture, answers, server_set_address, "server set-address", NULL, WORDS("h:1", "h:3")),
        EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "server.set_address [\"h:1\",\"h:3\"]; ");
    assert_int_equal(
        run(&fixture, answers, server_set_address, "server set-address", NULL, WORDS("h:1", "h")),
        EXIT_CODE_USAGE);
}

/* --- rebalance --- */

#define PLANNED                                                                                    \
    "{\"shard\":\"a\",\"start\":0,\"end\":2147483648,\"from\":\"h:1\",\"to\":\"h:2\",\"bytes\":"   \
    "5000000}"

#define PLAN_OF(first, queued, moves)                                                              \
    "{\"by\":\"bytes\",\"bytes\":5000000,\"least\":4900000,\"seconds\":1,\"bytes_per_s\":"         \
    "50000000,"                                                                                    \
    "\"first\":" first ",\"queued\":" queued                                                       \
    ",\"servers\":[{\"address\":\"h:1\",\"before\":10000000,\"share\":5000000,"                    \
    "\"after\":5000000},{\"address\":\"h:2\",\"share\":5000000,\"after\":5000000}],\"moves\":"     \
    "[" moves "]}"

/* As bootstrapd tells it, but that one server is away. */
#define PLAN_WITHOUT                                                                               \
    "{\"by\":\"bytes\",\"servers\":[{\"address\":\"h:1\",\"before\":5000000,\"share\":5000000,"    \
    "\"after\":5000000},{\"address\":\"h:2\",\"away\":true}],\"moves\":[]}"

#define PLAN(first)              PLAN_OF(first, "1", PLANNED)
#define LONG_PLAN(first, queued) PLAN_OF(first, queued, PLANNED "," PLANNED)

static void a_plan_is_shown(void **state)
{
    static const struct answers answers[] = {{"rebalance.plan", {PLAN("0")}}, {0}};
    struct fixture fixture;
    (void)state;
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", NULL, NULL),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "rebalance.plan [{\"by\":\"bytes\"}]; ");
    assert_string_equal(fixture.said,
                        "SERVER      HAS   SHARE   AFTER\n"
                        "h:1     10.0 MB  5.0 MB  5.0 MB\n"
                        "h:2         0 B  5.0 MB  5.0 MB\n"
                        "\n"
                        "SHARD  START  END  FROM  TO    BYTES\n"
                        "a        0.0  0.5  h:1   h:2  5.0 MB\n"
                        "\n"
                        "1 move, 5.0 MB, about 1 s at 50.0 MB/s; shardkv rebalance --run does "
                        "it\n");
}

static void a_server_that_is_left_out_is_told(void **state)
{
    static const struct answers answers[] = {{"rebalance.plan", {PLAN_WITHOUT}}, {0}};
    struct fixture fixture;
    struct arguments options = {.json = true};
    (void)state;
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", NULL, NULL),
                     EXIT_CODE_DONE);
    assert_non_null(strstr(fixture.said, "away: left out\n"));
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", &options, NULL),
                     EXIT_CODE_DONE);
    assert_non_null(strstr(fixture.said, "\"server\":\"h:2\",\"draining\":false,\"away\":true,"));
}

static void a_plan_is_waited_for(void **state)
{
    static const struct answers answers[] = {{"rebalance.plan", {"", PLAN("0")}}, {0}};
    struct fixture fixture;
    struct arguments options = {.json = true};
    (void)state;
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", &options, NULL),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "rebalance.plan [{\"by\":\"bytes\"}]; "
                                       "rebalance.plan [{\"by\":\"bytes\"}]; ");
    assert_non_null(strstr(fixture.said, "\"servers\":[{\"server\":\"h:1\","));
}

static void a_plan_that_is_refused_is_not_waited_for(void **state)
{
    static const struct answers answers[] = {{"rebalance.plan", {NULL}}, {0}};
    struct fixture fixture;
    (void)state;
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", NULL, NULL),
                     EXIT_CODE_REFUSED);
    assert_non_null(strstr(fixture.said, "shardkv: "));
}

static void a_plan_that_runs_is_followed(void **state)
{
    static const struct answers answers[] = {
        {"rebalance.run", {PLAN("7")}}, {"move.list", {GOING, DONE}}, {0}};
    struct fixture fixture;
    struct arguments options = {.run = true, .by = "load"};
    (void)state;
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", &options, NULL),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "rebalance.run [{\"by\":\"load\"}]; "
                                       "move.list [{\"number\":7,\"all\":true}]; "
                                       "move.list [{\"number\":7,\"all\":true}]; ");
    assert_non_null(strstr(fixture.said, "moved 100 records"));
}

/* bootstrapd has room for so many at a time. */
static void of_a_long_plan_what_is_queued_is_followed_and_the_rest_told(void **state)
{
    static const struct answers answers[] = {
        {"rebalance.run", {LONG_PLAN("7", "1")}}, {"move.list", {DONE}}, {0}};
    static const struct answers full[] = {{"rebalance.run", {LONG_PLAN("0", "0")}}, {0}};
    struct fixture fixture;
    struct arguments options = {.run = true};
    (void)state;
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", &options, NULL),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "rebalance.run [{\"by\":\"bytes\"}]; "
                                       "move.list [{\"number\":7,\"all\":true}]; ");
    assert_non_null(strstr(fixture.said, "\n2 moves, "));
    assert_non_null(strstr(fixture.said, "only 1 of them"));
    assert_int_equal(run(&fixture, full, rebalance_run, "rebalance", &options, NULL),
                     EXIT_CODE_UNAVAILABLE);
    assert_non_null(strstr(fixture.said, "none of them"));
}

static void rebalancing_is_stopped(void **state)
{
    static const struct answers answers[] = {{"rebalance.stop", {"[3]"}}, {0}};
    struct fixture fixture;
    struct arguments options = {.stop = true};
    struct arguments both = {.stop = true, .run = true};
    struct arguments odd = {.by = "colour"};
    (void)state;
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", &options, NULL),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.said, "3 moves that had not begun are called off\n");
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", &both, NULL),
                     EXIT_CODE_USAGE);
    assert_int_equal(run(&fixture, answers, rebalance_run, "rebalance", &odd, NULL),
                     EXIT_CODE_USAGE);
}

/* --- map log, shard list, shard resize --- */

static void the_log_of_the_map_is_shown(void **state)
{
    static const struct answers answers[] = {
        {"map.log",
         {"[{\"revision\":5,\"at_ms\":1500,\"who\":\"h:9\",\"text\":\"shard a: size\"}]"}},
        {0}};
    struct fixture fixture;
    struct arguments options = {.limit = 10, .json = true};
    (void)state;
    setenv("TZ", "UTC", 1);
    assert_int_equal(run(&fixture, answers, map_log, "map log", NULL, NULL), EXIT_CODE_DONE);
    assert_string_equal(fixture.said, "REVISION  TIME                     WHO  WHAT\n"
                                      "       5  1970-01-01 00:00:01.500  h:9  shard a: size\n");
    assert_int_equal(run(&fixture, answers, map_log, "map log", &options, NULL), EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "map.log [{\"limit\":10}]; ");
    assert_string_equal(fixture.said, "{\"map_revision\":5,\"at_ms\":1500,\"who\":\"h:9\","
                                      "\"text\":\"shard a: size\"}\n");
}

static void shards_are_listed_and_resized(void **state)
{
    static const struct answers answers[] = {
        {"shard.list",
         {"[{\"name\":\"a\",\"start\":0,\"end\":2147483648,\"epoch\":3,\"size\":1073741824,"
          "\"when_full\":\"reject\",\"address\":\"h:1\",\"records\":null,\"bytes\":null,\"move\":"
          "\"copy\"},{\"name\":\"b\",\"start\":2147483648,\"end\":4294967296,\"size\":1048576,"
          "\"when_full\":\"evict\",\"address\":\"h:2\",\"records\":5,\"bytes\":500,\"move\":null}"
          "]"}},
        {"shard.resize", {"[12]"}},
        {0}};
    struct fixture fixture;
    (void)state;
    assert_int_equal(run(&fixture, answers, shard_list, "shard list", NULL, NULL), EXIT_CODE_DONE);
    assert_string_equal(fixture.said,
                        "SHARD  START  END  SERVER  RECORDS  BYTES  SIZE  FULL    MOVE\n"
                        "a        0.0  0.5  h:1           -      -  1GiB  reject  copy\n"
                        "b        0.5  1.0  h:2           5    500  1MiB  evict\n");
    assert_int_equal(run(&fixture, answers, shard_resize, "shard resize", NULL, WORDS("a", "2GiB")),
                     EXIT_CODE_DONE);
    assert_string_equal(fixture.asked, "shard.resize [\"a\",2147483648]; ");
    assert_string_equal(fixture.said, "shard a has size 2GiB, map revision 12\n");
    assert_int_equal(run(&fixture, answers, shard_resize, "shard resize", NULL, WORDS("a", "7")),
                     EXIT_CODE_USAGE);
}

static void amounts_are_told_in_powers_of_a_thousand(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},           {999, "999 B"},     {1000, "1.0 KB"},
                 {999949, "999.9 KB"}, {999950, "1.0 MB"}, {UINT64_MAX, "18.4 EB"}};
    char text[AMOUNT_TEXT_LEN];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        moving_print_amount(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_is_followed_to_its_end),
        cmocka_unit_test(json_streams_the_looks_and_ends_with_the_figures),
        cmocka_unit_test(a_move_that_came_to_nothing_is_refused),
        cmocka_unit_test(a_move_that_nobody_knows_may_go_on),
        cmocka_unit_test(parts_are_told_as_bounds),
        cmocka_unit_test(what_is_no_move_is_said_before_anyone_is_asked),
        cmocka_unit_test(one_that_goes_on_can_be_changed),
        cmocka_unit_test(what_bootstrapd_refuses_is_said),
        cmocka_unit_test(moves_are_listed),
        cmocka_unit_test(where_nothing_moves_yet_what_is_being_planned_is_told),
        cmocka_unit_test(a_move_that_is_open_but_does_not_end_says_why),
        cmocka_unit_test(servers_are_added_listed_and_changed),
        cmocka_unit_test(a_plan_is_shown),
        cmocka_unit_test(a_server_that_is_left_out_is_told),
        cmocka_unit_test(a_plan_is_waited_for),
        cmocka_unit_test(a_plan_that_is_refused_is_not_waited_for),
        cmocka_unit_test(a_plan_that_runs_is_followed),
        cmocka_unit_test(of_a_long_plan_what_is_queued_is_followed_and_the_rest_told),
        cmocka_unit_test(rebalancing_is_stopped),
        cmocka_unit_test(the_log_of_the_map_is_shown),
        cmocka_unit_test(shards_are_listed_and_resized),
        cmocka_unit_test(amounts_are_told_in_powers_of_a_thousand),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
