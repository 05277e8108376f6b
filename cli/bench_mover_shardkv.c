/* SPDX-License-Identifier: MIT */

/*
 * Moves parts of a shard by bootstrapd's move.start, and looks at them with move.list until they are over.
 *
 *     steps   0 ..... over ..... opened ..... asked ..... end of the round ..... all
 *             source has | target    | waits,     | not asked for yet
 *             nothing    | serves    | or goes on |
 *             left
 *
 * All parts of a round are asked for at once: bootstrapd goes from one to the next by itself, in their order, and
 * prepares one while another goes on. So how often one looks here shapes nothing. BEGUN is the moment of asking, OPENED
 * that of the look that found it, late by LOOK_NS and an answer's time at most, OVER what bootstrapd has noted.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/ask.h"
#include "cli/bench_io.h"
#include "cli/bench_mover.h"
#include "cli/moving.h"
#include "proto/point.h"
#include "proto/status.h"

/* Between two looks. */
#define LOOK_NS 3000000

/* Before bootstrapd is asked again to begin: the move before may not be over everywhere. */
#define AGAIN_NS 20000000

#define BEGIN_NS_MAX  (30 * BENCH_NS_PER_S)
#define CHANGE_NS_MAX (1 * BENCH_NS_PER_S)

/* That wait or go on: a quarter of what bootstrapd takes, so that others may ask for theirs. */
#define QUEUE_MAX 256

#define NS_PER_MS 1000000

/* A step that was asked for. */
struct step {
    uint64_t number;
    uint64_t asked_ns, opened_ns;
};

struct course {
    const struct bench_mover_order *order;
    struct session session;
    int pipe;
    struct step *steps;
    uint32_t count; /* of all steps */
    uint32_t asked, opened, over;
    uint64_t trying_since_ns; /* to ask for step `asked`; 0: not yet */
    uint64_t again_ns;        /* not before, since it was refused */
};

static void wait_ns(long ns)
{
    const struct timespec moment = {.tv_nsec = ns};
    (void)nanosleep(&moment, NULL);
}

static enum skv_status try_ask(struct ask *ask)
{
    return session_try_bootstrapd(ask->session, ask->method, buffer_bytes(&ask->params),
                                  &ask->record);
}

/* --- asking --- */

static bool pack_start(struct ask *ask, const struct bench_mover_step *step, char error[256])
{
    struct map map = {0};
    if (session_get_map(ask->session, &map) != EXIT_CODE_DONE) {
        (void)snprintf(error, 256, "there is no map");
        return false;
    }
    const struct map_entry *entry = map_find(&map, point_of_bound(step->start));
    bool is_within = entry && step->end <= entry->end;
    if (is_within) {
        char to[ADDRESS_TEXT_LEN];
        address_print(&step->target, to);
        pack_map(&ask->params, 4);
        pack_text(&ask->params, "shard");
        pack_text(&ask->params, entry->name);
        pack_text(&ask->params, "to");
        pack_text(&ask->params, to);
        pack_text(&ask->params, "from");
        pack_uint(&ask->params, step->start);
        pack_text(&ask->params, "until");
        pack_uint(&ask->params, step->end);
    } else {
        (void)snprintf(error, 256, "what is to move lies in more than one shard");
    }
    map_fini(&map);
    return is_within;
}

/* Another refusal passes when the map has changed between the look at it and the request. */
static bool is_worth_asking_again(uint64_t since_ns)
{
    uint32_t code = skv_error()->wire_code;
    bool is_busy = code == STATUS_TRY_LATER || code == STATUS_CONFLICT;
    uint64_t patience_ns = is_busy ? BEGIN_NS_MAX : CHANGE_NS_MAX;
    return code != STATUS_UNKNOWN_METHOD && bench_now_ns() < since_ns + patience_ns;
}

static uint64_t number_of(const struct ask *ask)
{
    struct unpack in = ask_answer(ask);
    return unpack_array(&in) > 0 ? unpack_uint(&in) : 0;
}

static void tell_begun(struct course *course)
{
    course->trying_since_ns = bench_now_ns();
    const struct bench_news begun = {
        .kind = BENCH_NEWS_BEGUN, .step = course->asked, .at_ns = course->trying_since_ns};
    bench_mover_tell(course->pipe, &begun);
}

/* Once. False with why in `error`: refused for good. */
static bool ask_for(struct course *course, const struct bench_mover_step *step, char error[256])
{
    struct ask ask;
    struct step *asked = &course->steps[course->asked];
    ask_begin(&ask, &course->session, "move.start", 1);
    bool is_fine = pack_start(&ask, step, error);
    asked->asked_ns = bench_now_ns();
    if (is_fine && try_ask(&ask) == SKV_OK) {
        asked->number = number_of(&ask);
        course->asked++;
        course->trying_since_ns = 0;
        is_fine = asked->number != 0;
        (void)snprintf(error, 256, "move.start: the answer is not understood");
    } else if (is_fine) {
        course->again_ns = bench_now_ns() + AGAIN_NS;
        is_fine = is_worth_asking_again(course->trying_since_ns);
        (void)snprintf(error, 256, "%.200s", skv_error()->text);
    }
    ask_end(&ask);
    return is_fine;
}

/* A round begins when the one before has opened. */
static bool may_ask(const struct course *course, uint64_t now_ns)
{
    uint32_t round_start = course->asked - course->asked % course->order->parts;
    return course->asked < course->count && course->opened >= round_start &&
           course->asked - course->over < QUEUE_MAX && now_ns >= course->again_ns;
}

static bool ask_for_all(struct course *course, char error[256])
{
    struct bench_mover_step step;
    bool is_fine = true;
    while (is_fine && may_ask(course, bench_now_ns()) &&
           bench_mover_step_of(course->order, course->asked, &step)) {
        if (course->trying_since_ns == 0) {
            tell_begun(course);
        }
        is_fine = ask_for(course, &step, error);
    }
    return is_fine;
}

/* --- looking --- */

static bool look(struct course *course, uint32_t index, struct moving *moving, char error[256])
{
    struct ask ask;
    ask_begin(&ask, &course->session, "move.list", 1);
    pack_map(&ask.params, 2);
    pack_text(&ask.params, "number");
    pack_uint(&ask.params, course->steps[index].number);
    pack_text(&ask.params, "all");
    pack_bool(&ask.params, true);
    bool is_there = try_ask(&ask) == SKV_OK;
    (void)snprintf(error, 256, "%.200s", skv_error()->text);
    if (is_there) {
        struct unpack in = ask_answer(&ask);
        is_there = unpack_array(&in) == 1;
        moving_take(&in, moving);
        is_there = is_there && unpack_is_fine(&in);
        (void)snprintf(error, 256, "move.list: the answer is not understood");
    }
    ask_end(&ask);
    if (is_there && moving_is_over(moving) && !moving_is_done(moving)) {
        (void)snprintf(error, 256, "move %llu has ended as %s: %.150s",
                       (unsigned long long)moving->number, moving->course, moving->reason);
        return false;
    }
    return is_there;
}

static bool has_opened(const struct moving *moving)
{
    return moving_is_done(moving) || strcmp(moving->state, "open") == 0 ||
           strcmp(moving->state, "deleting") == 0;
}

static void tell(const struct course *course, enum bench_news_kind kind, uint32_t index,
                 const struct moving *moving, uint64_t at_ns)
{
    struct bench_news news = {
        .kind = kind, .step = index, .at_ns = at_ns, .records = moving->records, .has_hold = true};
    memcpy(news.hold_us, moving->hold_us, sizeof(news.hold_us));
    bench_mover_tell(course->pipe, &news);
}

/* When it was over by the clock of here: one that was over before those that were asked for earlier is seen late. */
static uint64_t over_ns(const struct step *step, const struct moving *moving)
{
    uint64_t took_ms =
        moving->ended_ms > moving->asked_ms ? moving->ended_ms - moving->asked_ms : 0;
    uint64_t noted_ns = step->asked_ns + took_ms * NS_PER_MS;
    uint64_t now_ns = bench_now_ns();
    uint64_t ended_ns = noted_ns < now_ns ? noted_ns : now_ns;
    return ended_ns > step->opened_ns ? ended_ns : step->opened_ns;
}

static bool follow_opened(struct course *course, char error[256])
{
    struct moving moving = {.course = "done"};
    while (course->opened < course->asked && has_opened(&moving)) {
        struct step *step = &course->steps[course->opened];
        if (!look(course, course->opened, &moving, error)) {
            return false;
        }
        if (has_opened(&moving)) {
            step->opened_ns = bench_now_ns();
            tell(course, BENCH_NEWS_OPENED, course->opened++, &moving, step->opened_ns);
        }
    }
    return true;
}

static bool follow_over(struct course *course, char error[256])
{
    struct moving moving = {.course = "done"};
    while (course->over < course->opened && moving_is_done(&moving)) {
        const struct step *step = &course->steps[course->over];
        if (!look(course, course->over, &moving, error)) {
            return false;
        }
        if (moving_is_done(&moving)) {
            tell(course, BENCH_NEWS_OVER, course->over++, &moving, over_ns(step, &moving));
        }
    }
    return true;
}

static bool move_all(struct course *course, char error[256])
{
    while (course->over < course->count) {
        if (!ask_for_all(course, error) || !follow_opened(course, error) ||
            !follow_over(course, error)) {
            return false;
        }
        wait_ns(LOOK_NS);
    }
    return true;
}

static bool run(const struct bench_mover_order *order, int pipe, char error[256])
{
    struct course course = {.order = order,
                            .session = *order->session,
                            .pipe = pipe,
                            .count = order->rounds * order->parts};
    course.session.kv = NULL; /* the other process has that one */
    course.steps = calloc(course.count, sizeof(*course.steps));
    bool is_done = course.steps && session_open_without_map(&course.session) == EXIT_CODE_DONE &&
                   move_all(&course, error);
    session_fini(&course.session);
    free(course.steps);
    return is_done;
}

const struct bench_mover_body bench_mover_shardkv = {run};
