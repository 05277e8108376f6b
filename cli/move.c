/* SPDX-License-Identifier: MIT */

/* move and what is done to one that goes on; moves. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/actions.h"
#include "cli/listing.h"
#include "cli/moving.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "cli/watch.h"
#include "proto/noun.h"
#include "proto/point.h"

/* --- which part --- */

/* A fraction of the whole, from 0 to 1. */
static bool parse_fraction(const char *text, double *fraction)
{
    char *end = NULL;
    *fraction = strtod(text, &end);
    return *text && !*end && *fraction >= 0 && *fraction <= 1;
}

static enum exit_code take_bound(const struct session *session, const char *option,
                                 const char *text, uint64_t *bound)
{
    double fraction;
    if (parse_fraction(text, &fraction) && bound_of_fraction(fraction, bound)) {
        return EXIT_CODE_DONE;
    }
    return session_say_usage(session, "--%s is a bound from 0 to 1, not \"%s\"", option, text);
}

/* The end of the shard, of that share of its points. */
static enum exit_code take_part(struct session *session, const char *text, uint64_t *from)
{
    double share;
    struct map map = {0};
    if (!parse_fraction(text, &share) || share <= 0) {
        return session_say_usage(session, "--part is above 0 and at most 1, not \"%s\"", text);
    }
    enum exit_code code = session_get_map(session, &map);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    const char *name = session_word(session, 0);
    const struct map_entry *entry = map_find_name(&map, bytes_text(name));
    if (!entry) {
        code =
            failure_say(EXIT_CODE_REFUSED, "%s: no shard has the name %s", session->command, name);
    } else {
        uint64_t width = entry->end - entry->start;
        uint64_t part = (uint64_t)((double)width * share + 0.5);
        *from = entry->end - (part > 0 ? part : 1);
    }
    map_fini(&map);
    return code;
}

struct part {
    bool has_from, has_until;
    uint64_t from, until;
};

static enum exit_code take_interval(struct session *session, struct part *part)
{
    const struct arguments *arguments = session->arguments;
    enum exit_code code = EXIT_CODE_DONE;
    part->has_from = arguments->part || arguments->from;
    part->has_until = arguments->until;
    if (arguments->part && (arguments->from || arguments->until)) {
        return session_say_usage(session, "--part excludes --from and --until");
    }
    if (arguments->part) {
        return take_part(session, arguments->part, &part->from);
    }
    if (arguments->from) {
        code = take_bound(session, "from", arguments->from, &part->from);
    }
    if (code == EXIT_CODE_DONE && arguments->until) {
        code = take_bound(session, "until", arguments->until, &part->until);
    }
    if (code == EXIT_CODE_DONE && arguments->from && arguments->until &&
        part->from >= part->until) {
        code = session_say_usage(session, "--from %s is not below --until %s", arguments->from,
                                 arguments->until);
    }
    return code;
}

/* "10MB", "10MB/s", "0" */
static bool parse_rate(const char *text, uint64_t *bytes_per_s)
{
    struct bytes rate = bytes_text(text);
    if (rate.len > 2 && memcmp(text + rate.len - 2, "/s", 2) == 0) {
        rate.len -= 2;
    }
    return size_parse(rate, bytes_per_s);
}

static enum exit_code say_no_rate(const struct session *session, const char *text)
{
    return session_say_usage(session, "a rate is bytes a second like 10MB, or 0: not \"%s\"", text);
}

/* --- move --- */

static void pack_named_number(struct buffer *out, const char *name, uint64_t number)
{
    pack_text(out, name);
    pack_uint(out, number);
}

static void pack_start(const struct session *session, const struct part *part, uint64_t rate,
                       struct buffer *out)
{
    const struct arguments *arguments = session->arguments;
    pack_map(out, 2U + part->has_from + part->has_until + (rate > 0) + arguments->force);
    pack_text(out, "shard");
    pack_text(out, session_word(session, 0));
    pack_text(out, "to");
    pack_text(out, arguments->to);
    if (part->has_from) {
        pack_named_number(out, "from", part->from);
    }
    if (part->has_until) {
        pack_named_number(out, "until", part->until);
    }
    if (rate > 0) {
        pack_named_number(out, "bytes_per_s", rate);
    }
    if (arguments->force) {
        pack_text(out, "force");
        pack_bool(out, true);
    }
}

static enum exit_code print_number(const struct session *session, uint64_t number, const char *what)
{
    struct json_writer writer = {0};
    if (!session->arguments->json) {
        (void)printf("move %" PRIu64 " %s\n", number, what);
        return EXIT_CODE_DONE;
    }
    json_writer_open(&writer, NULL, '{');
    json_writer_number(&writer, "move", number);
    json_writer_text(&writer, "outcome", bytes_text(what));
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code start(struct session *session, const struct part *part, uint64_t rate,
                            uint64_t *number)
{
    struct ask ask;
    ask_begin(&ask, session, "move.start", 1);
    pack_start(session, part, rate, &ask.params);
    enum exit_code code = ask_send_for_number(&ask, number);
    ask_end(&ask);
    return code;
}

enum exit_code move_start(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct part part = {0};
    uint64_t rate = 0;
    uint64_t number = 0;
    if (!arguments->to) {
        return session_say_usage(session, "--to SERVER is needed");
    }
    if (arguments->rate && !parse_rate(arguments->rate, &rate)) {
        return say_no_rate(session, arguments->rate);
    }
    enum exit_code code = take_interval(session, &part);
    if (code == EXIT_CODE_DONE) {
        code = start(session, &part, rate, &number);
    }
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (arguments->detach) {
        return output_finish_change(print_number(session, number, "is asked for"),
                                    "the move is asked for");
    }
    return watch_move(session, number);
}

/* --- moves --- */

static void add_moving(struct unpack *in, struct table *table)
{
    char progress[MOVING_TEXT_LEN];
    struct moving moving;
    moving_take(in, &moving);
    table_cell_number(table, moving.number);
    table_cell(table, moving.shard);
    table_cell_bound(table, moving.start);
    table_cell_bound(table, moving.end);
    table_cell(table, moving.from);
    table_cell(table, moving.to);
    table_cell(table, moving.is_paused ? "paused" : moving.course);
    if (!moving_is_over(&moving)) {
        moving_print_progress(&moving, progress);
    } else if (moving_is_done(&moving)) {
        (void)snprintf(progress, sizeof(progress), "%" PRIu64 " %s", moving.records,
                       noun_of(moving.records, "record", "records"));
    } else {
        (void)snprintf(progress, sizeof(progress), "%s", moving.reason);
    }
    table_cell(table, progress);
}

static void write_moving(struct unpack *in, struct json_writer *writer)
{
    struct moving moving;
    moving_take(in, &moving);
    moving_write(&moving, writer);
}

/* A server of a list, as far as it tells whether moves are to be expected. Empty: none are. */
static struct bytes take_draining(struct unpack *in)
{
    struct bytes address = {0};
    bool is_draining = false;
    uint64_t shards = 0;
    const struct reply_field fields[] = {
        {"address", REPLY_TEXT, &address},
        {"draining", REPLY_BOOL, &is_draining},
        {"shards", REPLY_NUMBER, &shards},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
    return is_draining && shards > 0 ? address : (struct bytes){0};
}

static enum exit_code print_nothing(const struct ask *ask)
{
    struct unpack in = ask_answer(ask);
    bool is_all = ask->session->arguments->all;
    uint32_t draining_count = 0;
    for (uint32_t i = unpack_array(&in); i > 0 && unpack_is_fine(&in); i--) {
        struct bytes address = take_draining(&in);
        if (address.len > 0) {
            (void)printf("%s%.*s", draining_count++ ? ", " : "no moves yet: those that empty ",
                         (int)address.len, (const char *)address.data);
        }
    }
    if (!unpack_is_fine(&in)) {
        return ask_say_odd(ask);
    }
    (void)puts(draining_count > 0
                   ? " are being planned; what that waits for, shardkv rebalance tells"
               : is_all ? "nothing moves, and nothing did"
                        : "nothing moves");
    return EXIT_CODE_DONE;
}

/* bootstrapd looks each second at what is to be emptied: right behind `server drain` there are no moves yet. */
static enum exit_code say_nothing(struct session *session)
{
    struct ask ask;
    ask_begin(&ask, session, "server.list", 0);
    enum exit_code code = ask_send(&ask);
    if (code == EXIT_CODE_DONE) {
        code = print_nothing(&ask);
    }
    ask_end(&ask);
    return code;
}

enum exit_code moves_list(struct session *session)
{
    static const char *const headings[] = {"MOVE", "SHARD", "START",  "END",
                                           "FROM", "TO",    "COURSE", "PROGRESS"};
    bool is_all = session->arguments->all;
    const struct listing listing = {.name = "moves",
                                    .alignment = "rlrrllll",
                                    .headings = headings,
                                    .say_nothing = say_nothing,
                                    .add = add_moving,
                                    .write = write_moving};
    struct ask ask;
    ask_begin(&ask, session, "move.list", 1);
    pack_map(&ask.params, 1);
    pack_text(&ask.params, "all");
    pack_bool(&ask.params, is_all);
    return listing_print(&ask, &listing);
}

/* --- what is done to one --- */

static enum exit_code take_number(const struct session *session, uint64_t *number)
{
    const char *text = session_word(session, 0);
    char *end = NULL;
    *number = strtoull(text, &end, 10);
    if (*number == 0 || *end || *text == '-') {
        return session_say_usage(session, "a move is a number, as in `shardkv moves`: not \"%s\"",
                                 text);
    }
    return EXIT_CODE_DONE;
}

/* The caller has begun `ask` and packed all parameters. */
static enum exit_code change(struct ask *ask, uint64_t number, const char *what)
{
    uint64_t confirmed;
    enum exit_code code = ask_send_for_number(ask, &confirmed);
    ask_end(ask);
    if (code == EXIT_CODE_DONE) {
        code = output_finish_change(print_number(ask->session, number, what), what);
    }
    return code;
}

static enum exit_code change_plainly(struct session *session, const char *method, const char *what)
{
    struct ask ask;
    uint64_t number;
    enum exit_code code = take_number(session, &number);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    ask_begin(&ask, session, method, 1);
    pack_uint(&ask.params, number);
    return change(&ask, number, what);
}

enum exit_code move_pause(struct session *session)
{
    return change_plainly(session, "move.pause", "is paused");
}

enum exit_code move_resume(struct session *session)
{
    return change_plainly(session, "move.resume", "goes on");
}

enum exit_code move_abort(struct session *session)
{
    return change_plainly(session, "move.abort", "is asked to abort");
}

enum exit_code move_undo(struct session *session)
{
    struct ask ask;
    uint64_t number;
    enum exit_code code = take_number(session, &number);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    ask_begin(&ask, session, "move.undo", 2);
    pack_uint(&ask.params, number);
    pack_map(&ask.params, 1);
    pack_text(&ask.params, "accept_loss");
    pack_bool(&ask.params, session->arguments->accept_loss);
    return change(&ask, number, "is asked to be undone");
}

enum exit_code move_throttle(struct session *session)
{
    struct ask ask;
    uint64_t number;
    uint64_t rate;
    enum exit_code code = take_number(session, &number);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (!parse_rate(session_word(session, 1), &rate)) {
        return say_no_rate(session, session_word(session, 1));
    }
    ask_begin(&ask, session, "move.throttle", 2);
    pack_uint(&ask.params, number);
    pack_uint(&ask.params, rate);
    return change(&ask, number, rate ? "is throttled" : "goes as fast as it can");
}
