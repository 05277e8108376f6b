/* SPDX-License-Identifier: MIT */
#include "cli/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/output.h"
#include "io/clock.h"

/* Four times a second is smooth; the servers tell bootstrapd no more often. */
#define LOOK_EVERY_MS 250

/* bootstrapd may be restarted meanwhile: the move goes on without it. */
#define AWAY_MS_MAX 60000

struct watch {
    struct session *session;
    bool is_shown;    /* the line, on a terminal */
    uint64_t seen_ms; /* when bootstrapd last answered */
};

static void wait_for_next(void)
{
    const struct timespec time = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    (void)nanosleep(&time, NULL);
}

static void clear_line(const struct watch *watch)
{
    if (watch->is_shown) {
        (void)fputs("\r\033[K", stderr);
    }
}

static void show_line(const struct watch *watch, uint64_t number, const char *text)
{
    if (watch->is_shown) {
        (void)fprintf(stderr, "\r\033[Kmove %" PRIu64 ": %s", number, text);
    }
}

enum look { LOOK_SEEN, LOOK_AWAY, LOOK_FAILED };

/* FAILED: said why. */
static enum look look(struct watch *watch, uint64_t number, struct moving *moving)
{
    struct skv_record record = {0};
    struct buffer params = {0};
    enum look result = LOOK_AWAY;
    pack_array(&params, 1);
    pack_map(&params, 2);
    pack_text(&params, "number");
    pack_uint(&params, number);
    pack_text(&params, "all");
    pack_bool(&params, true);
    enum skv_status status = params.failed ? SKV_NO_MEMORY
                                           : session_try_bootstrapd(watch->session, "move.list",
                                                                    buffer_bytes(&params), &record);
    if (status == SKV_OK) {
        struct unpack in = unpack_of(session_bytes(record.encoded));
        uint32_t count = unpack_array(&in);
        moving_take(&in, moving);
        result = count == 1 && unpack_is_fine(&in) ? LOOK_SEEN : LOOK_FAILED;
    } else if (status != SKV_UNAVAILABLE && status != SKV_UNKNOWN) {
        result = LOOK_FAILED;
    }
    skv_record_fini(&record);
    buffer_fini(&params);
    return result;
}

static enum exit_code print_look(const struct moving *moving)
{
    struct json_writer writer = {0};
    moving_write(moving, &writer);
    enum exit_code code = json_writer_print(&writer);
    (void)fflush(stdout);
    return code;
}

static enum exit_code say_lost(const struct watch *watch, uint64_t number, const char *why)
{
    clear_line(watch);
    return failure_say(EXIT_CODE_UNKNOWN,
                       "%s: move %" PRIu64 ": %s; it may go on: see shardkv moves --all",
                       watch->session->command, number, why);
}

static enum exit_code print_end(const struct watch *watch, const struct moving *moving)
{
    struct buffer text = {0};
    clear_line(watch);
    if (watch->session->arguments->json) {
        return print_look(moving);
    }
    if (!moving_is_done(moving)) {
        return failure_say(EXIT_CODE_REFUSED, "%s: move %" PRIu64 " is %s%s%s",
                           watch->session->command, moving->number, moving->course,
                           *moving->reason ? ": " : "", moving->reason);
    }
    moving_print_end(moving, &text);
    return output_finish_change(output_print(&text), "the range has moved");
}

/* Until it is over, or nothing is heard of it. */
static enum exit_code follow(struct watch *watch, uint64_t number)
{
    char text[MOVING_TEXT_LEN];
    struct moving moving = {0};
    for (;;) {
        enum look seen = look(watch, number, &moving);
        if (seen == LOOK_FAILED) {
            return say_lost(watch, number, "bootstrapd does not know of it");
        }
        if (seen == LOOK_SEEN) {
            watch->seen_ms = clock_mono_ms();
            if (moving_is_over(&moving)) {
                return failure_worst(print_end(watch, &moving),
                                     moving_is_done(&moving) ? EXIT_CODE_DONE : EXIT_CODE_REFUSED);
            }
            moving_print_progress(&moving, text);
            show_line(watch, number, text);
            if (watch->session->arguments->json && print_look(&moving) != EXIT_CODE_DONE) {
                return EXIT_CODE_UNAVAILABLE;
            }
        } else if (clock_mono_ms() - watch->seen_ms > AWAY_MS_MAX) {
            return say_lost(watch, number, "bootstrapd has not answered for a minute");
        } else {
            show_line(watch, number, "bootstrapd does not answer");
        }
        wait_for_next();
    }
}

enum exit_code watch_moves(struct session *session, uint64_t first, uint64_t count)
{
    struct watch watch = {.session = session, .seen_ms = clock_mono_ms()};
    enum exit_code code = EXIT_CODE_DONE;
    watch.is_shown = !session->arguments->json && isatty(STDERR_FILENO) != 0;
    for (uint64_t i = 0; i < count; i++) {
        code = failure_worst(code, follow(&watch, first + i));
    }
    return code;
}

enum exit_code watch_move(struct session *session, uint64_t number)
{
    return watch_moves(session, number, 1);
}
