/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "tests/torture/judge.h"
#include "tests/torture/load.h"
#include "tests/torture/rebuild.h"
#include "tests/torture/scene.h"
#include "tests/torture/talk.h"
#include "tests/torture/trace.h"
#include "tests/unit/scratch.h"

/*
 * Power cuts: a server is recorded under load, then started on directories as a power cut may have
 * left them (tests/torture/rebuild.h), and held against what it had answered before the cut.
 *
 *     record   load ─> trace, history        one run of a few thousand operations
 *     explore  state ─> start ─> scan ─> judge [─> send again ─> judge] [─> start again ─> the same]
 *
 * An answer counts from the moment at which it was about to be sent: the recorder sees that, too.
 */

enum {
    KEY_COUNT = 160,
    SHARD_SIZE = 64 << 20,
    STATES_PER_RUN = 250,
    OPERATIONS_MAX = 6000,
    REPEATS_MAX = 24, /* per connection */
    REPEAT_EVERY = 4, /* states */
    SECOND_EVERY = 8,
};

struct power {
    struct scene scene;
    uint32_t run;
    bool is_os;
    char trace[SCENE_PATH_LEN + 16];
    char environment[3][SCENE_PATH_LEN + 32];
    char preload[SCENE_PATH_LEN + 32];
    struct load load;
    struct rebuild *rebuild;
    uint32_t ready_event;   /* from here on it had said that it is ready */
    uint32_t founded_event; /* from here on the map has been taken */
    uint32_t state;
    char made[REBUILD_TEXT_LEN]; /* how the state was */
    uint32_t violation_count;
    uint32_t unready_count; /* refused to start where it had never been ready */
    uint64_t state_count;
    uint64_t explore_us;
    uint64_t operation_count;
    uint64_t answered_count;
    uint64_t repeat_count;
    uint64_t second_count;
    uint64_t event_count;
};

/* --- recording --- */

static void set_recorder(struct power *power, struct dice *dice)
{
    const char *environment[] = {power->environment[0], power->environment[1],
                                 power->environment[2], NULL};
    (void)snprintf(power->trace, sizeof(power->trace), "%s/trace", power->scene.home);
    (void)unlink(power->trace);
    (void)snprintf(power->environment[0], sizeof(power->environment[0]), "%s=%s", TRACE_FILE,
                   power->trace);
    (void)snprintf(power->environment[1], sizeof(power->environment[1]), "%s=%s", TRACE_DATA,
                   power->scene.data);
    (void)snprintf(power->environment[2], sizeof(power->environment[2]), "%s=%u", TRACE_SYNC_US,
                   dice_below(dice, 1500));
    scene_preload(&power->scene, power->preload, "record", environment);
}

static uint64_t trace_len(const struct power *power)
{
    struct stat status;
    return stat(power->trace, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* A load, then a stop or a kill: both ends are worth cuts. */
static bool run_load(struct power *power, struct dice *dice)
{
    struct load *load = &power->load;
    load_open(load, power->scene.server.port);
    load->window_max = 1 + dice_below(dice, 32);
    bool is_fine = load_run(load, 500 + dice_below(dice, OPERATIONS_MAX - 500), UINT64_MAX) &&
                   load_drain(load) && load->violation[0] == '\0';
    if (dice_below(dice, 2) == 0) {
        load_close(load);
        server_signal(&power->scene.server, SIGTERM);
        (void)server_reap(&power->scene.server);
    }
    server_kill(&power->scene.server);
    load_close(load);
    return is_fine;
}

static void on_response(void *context, uint32_t event, struct bytes frame)
{
    struct power *power = context;
    struct rpc_message message;
    if (rpc_decode(frame, &message) == UNPACK_FINE && message.type == RPC_RESPONSE &&
        message.msgid > 0 && message.msgid <= power->load.history.count) {
        power->load.history.operations[message.msgid - 1].answered_at = event;
    }
}

/* An answer that came was recorded. */
static bool has_all_answers(const struct power *power)
{
    const struct history *history = &power->load.history;
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->operations[i].is_answered && history->operations[i].answered_at == 0) {
            return false;
        }
    }
    return true;
}

static bool record_run(struct power *power)
{
    struct dice dice = {power->scene.seed * 1000003 + power->run};
    char error[256] = "";
    load_init(&power->load, dice_roll(&dice), KEY_COUNT);
    scene_clear(&power->scene);
    power->is_os = power->scene.has_durability && power->run % 2 == 1;
    scene_draw_settings(&power->scene, &dice, power->is_os);
    set_recorder(power, &dice);
    bool is_fine = scene_start(&power->scene);
    uint64_t ready_at = trace_len(power);
    is_fine = is_fine && server_found(&power->scene.server, true, SHARD_SIZE, error, sizeof(error));
    uint64_t founded_at = trace_len(power);
    is_fine = is_fine && run_load(power, &dice);
    server_kill(&power->scene.server);
    power->scene.config.environment[0] = NULL;
    power->rebuild = is_fine ? rebuild_open(power->trace) : NULL;
    if (!power->rebuild) {
        printf("# run %u cannot be recorded: %s %s; the server said: %s\n", power->run, error,
               power->load.violation, power->scene.server.said);
        return false;
    }
    power->ready_event = rebuild_event_at(power->rebuild, ready_at);
    power->founded_event = rebuild_event_at(power->rebuild, founded_at);
    rebuild_responses(power->rebuild, on_response, power);
    if (!has_all_answers(power)) {
        printf("# run %u: there are answers that the recorder did not see\n", power->run);
        return false;
    }
    power->operation_count += power->load.operation_count;
    power->answered_count += power->load.answered_count;
    power->event_count += rebuild_event_count(power->rebuild);
    return true;
}

static void end_run(struct power *power)
{
    rebuild_close(power->rebuild);
    power->rebuild = NULL;
    load_fini(&power->load);
}

/* --- judging --- */

static void fail(struct power *power, const char *what)
{
    power->violation_count++;
    if (!power->scene.is_quiet) {
        printf("# VIOLATION: --seed %llu --only %u%s: %s; %s\n",
               (unsigned long long)power->scene.seed, power->state, power->is_os ? " (os)" : "",
               what, power->made);
    }
}

static bool is_answered_before(const struct operation *operation, uint32_t cut)
{
    return operation->is_answered && operation->answered_at < cut;
}

static uint32_t required_prefix(const struct power *power, const struct course *course,
                                uint32_t cut)
{
    uint32_t required = 0;
    for (uint32_t i = 0; i < course->count && !power->is_os; i++) {
        if (is_answered_before(course_operation(&power->load.history, course, i), cut)) {
            required = i + 1;
        }
    }
    return required;
}

static void free_fits(bool **fits)
{
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        free(fits[i]);
    }
}

/* Each key is as one of its prefixes left it; at level os all of them as one stamp cuts them. */
static bool judge_all(struct power *power, uint32_t cut, const struct picture *picture, bool **fits)
{
    const struct history *history = &power->load.history;
    struct cut *cuts = memory_get(history->count + KEY_COUNT + 1, sizeof(*cuts));
    uint32_t cut_count = 0;
    bool is_fine = picture->stranger_count == 0;
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        const struct course *course = &history->courses[i];
        uint32_t required = required_prefix(power, course, cut);
        fits[i] = memory_get(course->count + 1, sizeof(**fits));
        if (judge_prefixes(history, course, required, picture, i, fits[i]) == 0) {
            if (!power->scene.is_quiet && is_fine) {
                judge_explain(history, course, required, picture, i);
            }
            is_fine = false;
        }
        cut_count += judge_cuts(history, course, fits[i], cuts + cut_count);
    }
    if (!is_fine) {
        fail(power, "a record is lost or wrong");
    } else if (!judge_has_common_cut(cuts, cut_count, KEY_COUNT)) {
        fail(power, "what is lost is no suffix");
        is_fine = false;
    }
    free(cuts);
    return is_fine;
}

/* --- sending again --- */

struct again {
    struct power *power;
    struct operation *operations; /* by their index in the history */
    uint32_t open_count;
};

static void on_again(void *context, const struct rpc_message *message)
{
    struct again *again = context;
    struct operation *operation = &again->operations[message->msgid - 1];
    struct reply reply = operation_read_reply(operation, message);
    operation_answer(operation, &reply, clock_wall_ms());
    again->open_count--;
}

/* The highest `done` that the server may have been told before the cut. */
static uint64_t told_done(const struct history *history, uint32_t conn, uint32_t cut)
{
    uint64_t done = 1;
    uint32_t behind = 0;
    for (uint32_t i = 0; i < history->count && behind < LOAD_WINDOW_MAX; i++) {
        const struct operation *operation = &history->operations[i];
        if (operation->conn != conn) {
            continue;
        }
        behind = is_answered_before(operation, cut) ? 0 : behind + 1;
        done = operation->seq ? operation->done : done;
    }
    return done;
}

/* Stamps that were told before the cut are not given again, whether their effects are there or not (RULES N2). */
static uint64_t told_version(const struct history *history, uint32_t cut)
{
    uint64_t version = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        const struct operation *operation = &history->operations[i];
        if (is_answered_before(operation, cut) && operation->reply.version > version) {
            version = operation->reply.version;
        }
    }
    return version;
}

static void pack_again(struct again *again, uint32_t conn, uint32_t cut, struct buffer *out)
{
    const struct history *history = &again->power->load.history;
    uint64_t done = told_done(history, conn, cut);
    uint64_t version = told_version(history, cut);
    uint32_t count = 0;
    for (uint32_t i = 0; i < history->count && count < REPEATS_MAX; i++) {
        const struct operation *original = &history->operations[i];
        if (original->conn != conn || original->seq < done || original->is_refused) {
            continue;
        }
        struct operation *operation = &again->operations[i];
        *operation = *original;
        operation->is_answered = false;
        operation->done = done;
        operation->version_floor = version;
        operation_pack(operation, i + 1, again->power->load.conns[conn].client, out);
        again->open_count++;
        count++;
    }
}

static bool send_again(struct again *again, uint32_t cut)
{
    struct talk *talks[LOAD_CONNS];
    uint64_t deadline_us = clock_mono_us() + UINT64_C(10000000);
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        talks[i] = talk_open(again->power->scene.server.port);
        pack_again(again, i, cut, talk_output(talks[i]));
    }
    again->power->repeat_count += again->open_count;
    while (again->open_count > 0 && talk_wait(talks, LOAD_CONNS, deadline_us, on_again, again)) {
    }
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        talk_close(talks[i]);
    }
    return again->open_count == 0;
}

static void explain_again(const struct again *again, const struct repeats *repeats, uint32_t key)
{
    const struct course *course = &again->power->load.history.courses[key];
    judge_explain(&again->power->load.history, course, 0, repeats->before, key);
    for (uint32_t i = 0; i < course->count; i++) {
        char text[OPERATION_TEXT_LEN];
        if (repeats->operations[i]) {
            operation_print(repeats->operations[i], text);
            printf("#   %u again: %s\n", i, text);
        }
    }
}

static bool judge_key_again(struct again *again, const struct picture *before,
                            const struct picture *after, uint32_t key, bool *fits)
{
    const struct history *history = &again->power->load.history;
    const struct course *course = &history->courses[key];
    const struct operation **operations =
        memory_get(course->count + 1, sizeof(const struct operation *));
    const struct repeats repeats = {operations, before, after};
    struct state left = {0};
    for (uint32_t i = 0; i < course->count; i++) {
        const struct operation *repeat = &again->operations[course->indexes[i]];
        operations[i] = repeat->is_answered ? repeat : NULL;
    }
    bool is_fine = judge_repeats(history, course, &repeats, key, fits, &left);
    if (!is_fine && !again->power->scene.is_quiet) {
        explain_again(again, &repeats, key);
    }
    free(operations);
    return is_fine;
}

static void judge_again(struct power *power, uint32_t cut, const struct picture *before,
                        bool **fits)
{
    struct again again = {.power = power};
    struct picture after = {0};
    again.operations = memory_get(power->load.history.count + 1, sizeof(*again.operations));
    bool is_fine = send_again(&again, cut) && scene_picture(&power->scene, KEY_COUNT, &after);
    for (uint32_t i = 0; i < KEY_COUNT && is_fine; i++) {
        is_fine = judge_key_again(&again, before, &after, i, fits[i]);
    }
    if (!is_fine) {
        fail(power, "what was sent again did not take place once");
    }
    picture_fini(&after);
    free(again.operations);
}

/* --- a state --- */

static bool recover_again(struct power *power, const struct picture *first)
{
    struct picture second = {0};
    server_kill(&power->scene.server);
    bool is_same = scene_start(&power->scene) && scene_picture(&power->scene, KEY_COUNT, &second) &&
                   picture_is_same(first, &second);
    if (!is_same) {
        fail(power, "a second recovery gives something else");
    }
    picture_fini(&second);
    power->second_count++;
    return is_same;
}

static void judge_founded(struct power *power, uint32_t cut)
{
    struct picture picture = {0};
    bool *fits[KEY_COUNT] = {0};
    bool is_fine = scene_picture(&power->scene, KEY_COUNT, &picture);
    if (!is_fine) {
        fail(power, "no scan");
    }
    is_fine = is_fine && judge_all(power, cut, &picture, fits);
    if (is_fine && power->state % SECOND_EVERY == 0) {
        is_fine = recover_again(power, &picture);
    }
    if (is_fine && power->state % REPEAT_EVERY == 0) {
        judge_again(power, cut, &picture, fits);
    }
    free_fits(fits);
    picture_fini(&picture);
}

static void start_and_judge(struct power *power, uint32_t cut)
{
    char error[256] = "";
    if (!scene_start(&power->scene)) {
        if (cut < power->ready_event) {
            power->unready_count++;
        } else {
            fail(power, "the server does not start");
        }
    } else if (cut >= power->founded_event) {
        judge_founded(power, cut);
    } else if (!server_found(&power->scene.server, true, SHARD_SIZE, error, sizeof(error))) {
        fail(power, error);
    }
    server_kill(&power->scene.server);
}

static uint32_t draw_cut(const struct rebuild *rebuild, struct dice *dice)
{
    uint32_t count = rebuild_event_count(rebuild);
    uint32_t cut = dice_below(dice, count + 1);
    if (dice_below(dice, 2) == 0) {
        while (cut < count && !rebuild_is_turn(rebuild, cut)) {
            cut++;
        }
        cut += dice_below(dice, 3);
    }
    return cut > count ? count : cut;
}

/* Reproducible by the seed and the state's number, but for the recorded run itself. */
static struct dice state_dice(const struct power *power, uint32_t state)
{
    return (struct dice){power->scene.seed * UINT64_C(0x9e3779b97f4a7c15) + state};
}

/* For whoever looks into it: the trace, and the directory as the cut left it and as the server left it. */
static void keep_evidence(struct power *power, uint32_t state)
{
    char path[SCENE_PATH_LEN + 16];
    char name[64];
    struct dice dice = state_dice(power, state);
    (void)draw_cut(power->rebuild, &dice);
    (void)snprintf(path, sizeof(path), "%s/cut", power->scene.home);
    rebuild_write(power->rebuild, &dice, false, path, power->made);
    (void)snprintf(name, sizeof(name), "power-%llu-%u", (unsigned long long)power->scene.seed,
                   state);
    scene_keep(&power->scene, "trace data cut", name);
    scene_remove(path);
}

static void explore_state(struct power *power, uint32_t state, bool drop_durable)
{
    struct dice dice = state_dice(power, state);
    uint32_t before = power->violation_count;
    uint32_t cut = draw_cut(power->rebuild, &dice);
    power->state = state;
    scene_clear(&power->scene);
    rebuild_advance(power->rebuild, cut);
    rebuild_write(power->rebuild, &dice, drop_durable, power->scene.data, power->made);
    start_and_judge(power, cut);
    power->state_count++;
    if (power->violation_count > before && !power->scene.is_quiet) {
        keep_evidence(power, state);
    }
}

/* --- a run's states, in the order of their cuts --- */

struct turn {
    uint32_t state;
    uint32_t cut;
};

static int compare_turns(const void *a, const void *b)
{
    const struct turn *one = a;
    const struct turn *two = b;
    return (one->cut > two->cut) - (one->cut < two->cut);
}

static void explore_run(struct power *power, uint32_t count, uint32_t only)
{
    struct turn *turns = memory_get(count, sizeof(*turns));
    uint64_t start_us = clock_mono_us();
    for (uint32_t i = 0; i < count; i++) {
        turns[i].state = power->run * STATES_PER_RUN + i;
        struct dice dice = state_dice(power, turns[i].state);
        turns[i].cut = draw_cut(power->rebuild, &dice);
    }
    qsort(turns, count, sizeof(*turns), compare_turns);
    for (uint32_t i = 0; i < count && power->violation_count < 10; i++) {
        if (only == UINT32_MAX || turns[i].state == only) {
            explore_state(power, turns[i].state, false);
        }
    }
    power->explore_us += clock_mono_us() - start_us;
    free(turns);
}

static bool explore(struct power *power, uint32_t state_count, uint32_t only)
{
    for (uint32_t done = 0; done < state_count && power->violation_count < 10; power->run++) {
        uint32_t left = state_count - done;
        uint32_t count = left < STATES_PER_RUN ? left : STATES_PER_RUN;
        bool is_wanted = only == UINT32_MAX || only / STATES_PER_RUN == power->run;
        bool is_recorded = !is_wanted || record_run(power);
        if (!is_recorded) {
            end_run(power);
            return false;
        }
        if (is_wanted) {
            explore_run(power, count, only);
            end_run(power);
        }
        done += count;
    }
    return power->violation_count == 0;
}

/* --- the test of the test --- */

/* A disk that loses what it has synced is found out, by a refusal or by what is missing. */
static bool finds_dropped_write(struct power *power)
{
    uint32_t before = power->violation_count;
    power->scene.is_quiet = true;
    bool is_recorded = record_run(power);
    uint32_t event_count = is_recorded ? rebuild_event_count(power->rebuild) : 0;
    for (uint32_t i = 0; is_recorded && i < 40 && power->violation_count == before; i++) {
        struct dice dice = state_dice(power, i);
        uint32_t cut = event_count / 2 + i;
        scene_clear(&power->scene);
        rebuild_advance(power->rebuild, cut);
        rebuild_write(power->rebuild, &dice, true, power->scene.data, power->made);
        start_and_judge(power, cut);
    }
    bool is_found = power->violation_count > before;
    power->violation_count = before;
    power->scene.is_quiet = false;
    end_run(power);
    return is_found;
}

/* An answer that was given before its record was durable is found out: answers are moved forward. */
static bool finds_early_answers(struct power *power)
{
    uint32_t before = power->violation_count;
    power->scene.is_quiet = true;
    bool is_recorded = record_run(power);
    uint32_t event_count = is_recorded ? rebuild_event_count(power->rebuild) : 0;
    for (uint32_t i = 0; i < power->load.history.count; i++) {
        struct operation *operation = &power->load.history.operations[i];
        operation->answered_at -= operation->answered_at > 40 ? 40 : 0;
    }
    for (uint32_t i = 0; is_recorded && i < 40 && power->violation_count == before; i++) {
        uint32_t cut = event_count / 2 + 7 * i;
        struct dice dice = state_dice(power, i);
        scene_clear(&power->scene);
        rebuild_advance(power->rebuild, cut < event_count ? cut : event_count);
        rebuild_write(power->rebuild, &dice, false, power->scene.data, power->made);
        start_and_judge(power, cut);
    }
    bool is_found = power->violation_count > before;
    power->violation_count = before;
    power->scene.is_quiet = false;
    end_run(power);
    return is_found;
}

int torture_power(uint64_t seed, uint32_t state_count, uint32_t only)
{
    struct power *power = memory_get(1, sizeof(*power));
    scene_init(&power->scene, seed, true);
    bool is_fine = explore(power, state_count, only);
    printf("# total: %llu states of %u runs, half of them at each level, %.1f ms each; %llu "
           "events, %llu operations, "
           "%llu acknowledged; %llu sent again, %llu recovered twice; %u faults\n",
           (unsigned long long)power->state_count, power->run,
           power->state_count ? (double)power->explore_us / 1000 / (double)power->state_count : 0.0,
           (unsigned long long)power->event_count, (unsigned long long)power->operation_count,
           (unsigned long long)power->answered_count, (unsigned long long)power->repeat_count,
           (unsigned long long)power->second_count, power->violation_count);
    tap_result(&power->scene.tap, is_fine,
               "a power cut takes nothing that was answered, at level os a suffix");
    tap_result(&power->scene.tap, power->unready_count == 0,
               "a power cut during the very first start leaves a directory that starts");
    if (only == UINT32_MAX) {
        power->run += power->run % 2; /* level disk */
        tap_result(&power->scene.tap, finds_dropped_write(power),
                   "the explorer finds a disk that drops a synced write");
        tap_result(&power->scene.tap, finds_early_answers(power),
                   "the explorer finds answers that come before their sync");
    }
    int status = scene_end(&power->scene);
    free(power);
    return status;
}
