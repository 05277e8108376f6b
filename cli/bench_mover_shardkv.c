/* SPDX-License-Identifier: MIT */

/* Moves a part of a shard by bootstrapd's move.start, and looks at it with move.list until it is over. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/bench_io.h"
#include "cli/bench_mover.h"
#include "cli/session.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/status.h"

/* Between two looks: what `seconds` may be off by. */
#define LOOK_NS 3000000

/* Before bootstrapd is asked again to begin: the move before may not be over everywhere. */
#define AGAIN_NS 20000000

#define BEGIN_NS_MAX  (30 * BENCH_NS_PER_S)
#define CHANGE_NS_MAX (1 * BENCH_NS_PER_S)

static void wait_ns(long ns)
{
    const struct timespec moment = {.tv_nsec = ns};
    (void)nanosleep(&moment, NULL);
}

/* --- beginning --- */

static bool pack_start(struct session *session, const struct bench_mover_step *step,
                       struct buffer *params, char error[256])
{
    struct map map = {0};
    if (session_get_map(session, &map) != EXIT_CODE_DONE) {
        (void)snprintf(error, 256, "there is no map");
        return false;
    }
    const struct map_entry *entry = map_find(&map, point_of_bound(step->start));
    bool is_within = entry && step->end <= entry->end;
    if (is_within) {
        char to[ADDRESS_TEXT_LEN];
        address_print(&step->target, to);
        pack_array(params, 1);
        pack_map(params, 4);
        pack_text(params, "shard");
        pack_text(params, entry->name);
        pack_text(params, "to");
        pack_text(params, to);
        pack_text(params, "from");
        pack_uint(params, step->start);
        pack_text(params, "until");
        pack_uint(params, step->end);
    } else {
        (void)snprintf(error, 256, "what is to move lies in more than one shard");
    }
    map_fini(&map);
    return is_within;
}

/* Another refusal passes when the map has changed between the look at it and the request. */
static bool is_worth_asking_again(uint64_t begun_ns)
{
    uint32_t code = skv_error()->wire_code;
    bool is_busy = code == STATUS_TRY_LATER || code == STATUS_CONFLICT;
    uint64_t patience_ns = is_busy ? BEGIN_NS_MAX : CHANGE_NS_MAX;
    return code != STATUS_UNKNOWN_METHOD && bench_now_ns() < begun_ns + patience_ns;
}

static bool take_number(struct skv_record *record, uint64_t *number, char error[256])
{
    struct unpack in = unpack_of(session_bytes(record->encoded));
    if (unpack_array(&in) > 0) {
        *number = unpack_uint(&in);
    }
    if (*number == 0) {
        (void)snprintf(error, 256, "move.start: the answer is not understood");
    }
    return *number != 0;
}

static bool start(struct session *session, const struct bench_mover_step *step, uint64_t *number,
                  char error[256])
{
    struct skv_record record = {0};
    uint64_t begun_ns = bench_now_ns();
    enum skv_status status = SKV_UNAVAILABLE;
    bool is_packed = true;
    do {
        struct buffer params = {0};
        is_packed = pack_start(session, step, &params, error);
        if (is_packed) {
            status = session_try_bootstrapd(session, "move.start", buffer_bytes(&params), &record);
        }
        buffer_fini(&params);
        if (status != SKV_OK) {
            wait_ns(AGAIN_NS);
        }
    } while (is_packed && status != SKV_OK && is_worth_asking_again(begun_ns));
    if (is_packed && status != SKV_OK) {
        (void)snprintf(error, 256, "%.200s", skv_error()->text);
    }
    bool is_begun = status == SKV_OK && take_number(&record, number, error);
    skv_record_fini(&record);
    return is_begun;
}

/* --- watching --- */

/* What is looked at of the maps that move.list gives. */
struct sight {
    struct bytes course, state, reason;
    uint64_t records;
    uint64_t hold_us[MOVE_HOLD_COUNT];
};

static void take_hold(struct unpack *in, struct sight *sight)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t us = unpack_uint(in);
        if (i < MOVE_HOLD_COUNT) {
            sight->hold_us[i] = us;
        }
    }
}

static bool take_sight(struct bytes encoded, struct sight *sight)
{
    struct unpack in = unpack_of(encoded);
    if (unpack_array(&in) == 0) {
        return false;
    }
    uint32_t count = unpack_map(&in);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = unpack_text(&in);
        if (bytes_equal(name, bytes_text("course"))) {
            sight->course = unpack_text(&in);
        } else if (bytes_equal(name, bytes_text("state"))) {
            sight->state = unpack_text(&in);
        } else if (bytes_equal(name, bytes_text("reason"))) {
            sight->reason = unpack_text(&in);
        } else if (bytes_equal(name, bytes_text("records"))) {
            sight->records = unpack_uint(&in);
        } else if (bytes_equal(name, bytes_text("hold_us"))) {
            take_hold(&in, sight);
        } else {
            (void)unpack_skip(&in);
        }
    }
    return unpack_is_fine(&in);
}

/* *record is what *sight points into. */
static bool look(struct session *session, uint64_t number, struct skv_record *record,
                 struct sight *sight, char error[256])
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 2);
    pack_text(&params, "number");
    pack_uint(&params, number);
    pack_text(&params, "all");
    pack_bool(&params, true);
    enum skv_status status =
        session_try_bootstrapd(session, "move.list", buffer_bytes(&params), record);
    buffer_fini(&params);
    *sight = (struct sight){0};
    if (status != SKV_OK) {
        (void)snprintf(error, 256, "%.200s", skv_error()->text);
        return false;
    }
    if (!take_sight(session_bytes(record->encoded), sight)) {
        (void)snprintf(error, 256, "move.list: move %llu is not there", (unsigned long long)number);
        return false;
    }
    return true;
}

static bool is_text(struct bytes bytes, const char *text)
{
    return bytes_equal(bytes, bytes_text(text));
}

static bool has_opened(const struct sight *sight)
{
    return is_text(sight->course, "done") || is_text(sight->state, "open") ||
           is_text(sight->state, "deleting");
}

static bool has_failed(const struct sight *sight)
{
    return is_text(sight->course, "aborted") || is_text(sight->course, "undone") ||
           is_text(sight->course, "failed");
}

/* Moves that bootstrapd was asked for, by step. */
struct asked {
    struct session session;
    int pipe;
    uint64_t *numbers;
    uint32_t count;
    uint32_t over; /* so many of the first are */
};

static void tell(const struct asked *asked, enum bench_news_kind kind, uint32_t step,
                 const struct sight *sight)
{
    struct bench_news news = {
        .kind = kind, .step = step, .records = sight->records, .has_hold = true};
    memcpy(news.hold_us, sight->hold_us, sizeof(news.hold_us));
    bench_mover_tell(asked->pipe, &news);
}

enum outcome { FAILED, GOING, OPEN, OVER };

/* What has become of a step; tells of one that is over, since nobody looks again. */
static enum outcome look_at(struct asked *asked, uint32_t step, bool wants_open, char error[256])
{
    struct skv_record record = {0};
    struct sight sight;
    enum outcome outcome = FAILED;
    if (look(&asked->session, asked->numbers[step], &record, &sight, error)) {
        outcome = is_text(sight.course, "done") ? OVER : has_opened(&sight) ? OPEN : GOING;
        if (has_failed(&sight)) {
            outcome = FAILED;
            (void)snprintf(error, 256, "move %llu has ended as %.*s: %.*s",
                           (unsigned long long)asked->numbers[step], (int)sight.course.len,
                           (const char *)sight.course.data, (int)sight.reason.len,
                           (const char *)sight.reason.data);
        }
        if (wants_open && (outcome == OPEN || outcome == OVER)) {
            tell(asked, BENCH_NEWS_OPENED, step, &sight);
        } else if (!wants_open && outcome == OVER) {
            tell(asked, BENCH_NEWS_OVER, step, &sight);
        }
    }
    skv_record_fini(&record);
    return outcome;
}

/* Waits until step `opening` has opened, or, when that is none of them, until all are over. */
static bool watch(struct asked *asked, uint32_t opening, char error[256])
{
    bool is_open = opening == asked->count;
    while (!is_open || (opening == asked->count && asked->over < asked->count)) {
        enum outcome oldest = GOING, newest = GOING;
        wait_ns(LOOK_NS);
        if (!is_open) {
            newest = look_at(asked, opening, true, error);
            is_open = newest == OPEN || newest == OVER;
        }
        if (asked->over < opening) {
            oldest = look_at(asked, asked->over, false, error);
            asked->over += oldest == OVER;
        }
        if (newest == FAILED || oldest == FAILED) {
            return false;
        }
    }
    return true;
}

static bool move_all(const struct bench_mover_order *order, struct asked *asked, char error[256])
{
    struct bench_mover_step step;
    for (uint32_t i = 0; bench_mover_step_of(order, i, &step); i++) {
        const struct bench_news begun = {.kind = BENCH_NEWS_BEGUN, .step = i};
        bench_mover_tell(asked->pipe, &begun);
        if (!start(&asked->session, &step, &asked->numbers[i], error)) {
            return false;
        }
        asked->count = i + 1;
        if (!watch(asked, i, error)) {
            return false;
        }
    }
    return watch(asked, asked->count, error);
}

static bool run(const struct bench_mover_order *order, int pipe, char error[256])
{
    struct asked asked = {.session = *order->session, .pipe = pipe};
    asked.session.kv = NULL; /* the other process has that one */
    asked.numbers = calloc((size_t)order->rounds * order->parts, sizeof(*asked.numbers));
    bool is_done = asked.numbers && session_open_without_map(&asked.session) == EXIT_CODE_DONE &&
                   move_all(order, &asked, error);
    session_fini(&asked.session);
    free(asked.numbers);
    return is_done;
}

const struct bench_mover_body bench_mover_shardkv = {run};
