/* SPDX-License-Identifier: MIT */

/* rebalance: shows which parts of which shards should move, and has bootstrapd move them. */

#include <inttypes.h>
#include <stdio.h>

#include "cli/actions.h"
#include "cli/ask.h"
#include "cli/duration.h"
#include "cli/moving.h"
#include "cli/output.h"
#include "cli/reply.h"
#include "cli/table.h"
#include "cli/watch.h"
#include "proto/noun.h"

/* What a shard holds a server tells when it is there; how much it is used, two answers, of every five seconds. */
#define COUNT_WITHIN_MS 8000
#define LOAD_WITHIN_MS  13000

/* --- the answer --- */

struct rebalance_plan {
    struct bytes by;
    uint64_t bytes, least;
    uint64_t seconds, bytes_per_s;
    uint64_t first, queued_count;
    struct bytes servers, moves; /* encoded */
    uint32_t move_count;
};

static bool take_plan(struct unpack in, struct rebalance_plan *plan)
{
    *plan = (struct rebalance_plan){0};
    const struct reply_field fields[] = {
        {"by", REPLY_TEXT, &plan->by},
        {"bytes", REPLY_NUMBER, &plan->bytes},
        {"least", REPLY_NUMBER, &plan->least},
        {"seconds", REPLY_NUMBER, &plan->seconds},
        {"bytes_per_s", REPLY_NUMBER, &plan->bytes_per_s},
        {"first", REPLY_NUMBER, &plan->first},
        {"queued", REPLY_NUMBER, &plan->queued_count},
        {"servers", REPLY_ENCODED, &plan->servers},
        {"moves", REPLY_ENCODED, &plan->moves},
    };
    reply_take(&in, fields, sizeof(fields) / sizeof(fields[0]));
    struct unpack moves = unpack_of(plan->moves);
    plan->move_count = unpack_array(&moves);
    return unpack_is_fine(&in) && unpack_is_fine(&moves);
}

struct level {
    struct bytes address;
    uint64_t capacity, before, share, after;
    bool is_draining, is_away;
};

static void take_level(struct unpack *in, struct level *level)
{
    *level = (struct level){0};
    const struct reply_field fields[] = {
        {"address", REPLY_TEXT, &level->address},      {"capacity", REPLY_NUMBER, &level->capacity},
        {"draining", REPLY_BOOL, &level->is_draining}, {"away", REPLY_BOOL, &level->is_away},
        {"before", REPLY_NUMBER, &level->before},      {"share", REPLY_NUMBER, &level->share},
        {"after", REPLY_NUMBER, &level->after},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
}

struct planned {
    struct bytes shard, from, to;
    uint64_t start, end, bytes;
};

static void take_planned(struct unpack *in, struct planned *planned)
{
    *planned = (struct planned){0};
    const struct reply_field fields[] = {
        {"shard", REPLY_TEXT, &planned->shard}, {"from", REPLY_TEXT, &planned->from},
        {"to", REPLY_TEXT, &planned->to},       {"start", REPLY_NUMBER, &planned->start},
        {"end", REPLY_NUMBER, &planned->end},   {"bytes", REPLY_NUMBER, &planned->bytes},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
}

/* --- JSON --- */

static void write_level(const struct level *level, struct json_writer *writer)
{
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "server", level->address);
    json_writer_bool(writer, "draining", level->is_draining);
    json_writer_bool(writer, "away", level->is_away);
    json_writer_number(writer, "capacity", level->capacity);
    json_writer_number(writer, "before", level->before);
    json_writer_number(writer, "share", level->share);
    json_writer_number(writer, "after", level->after);
    json_writer_close(writer, '}');
}

static void write_planned(const struct planned *planned, struct json_writer *writer)
{
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "shard", planned->shard);
    json_writer_bound(writer, "start", planned->start);
    json_writer_bound(writer, "end", planned->end);
    json_writer_text(writer, "from", planned->from);
    json_writer_text(writer, "to", planned->to);
    json_writer_number(writer, "bytes", planned->bytes);
    json_writer_close(writer, '}');
}

static enum exit_code print_json(const struct rebalance_plan *plan)
{
    struct json_writer writer = {0};
    struct unpack servers = unpack_of(plan->servers);
    struct unpack moves = unpack_of(plan->moves);
    uint32_t server_count = unpack_array(&servers);
    struct planned planned;
    struct level level;
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "by", plan->by);
    json_writer_number(&writer, "bytes", plan->bytes);
    json_writer_number(&writer, "least", plan->least);
    json_writer_number(&writer, "seconds", plan->seconds);
    json_writer_number(&writer, "bytes_per_s", plan->bytes_per_s);
    json_writer_number(&writer, "first_move", plan->first);
    json_writer_number(&writer, "queued_moves", plan->queued_count);
    json_writer_open(&writer, "servers", '[');
    for (uint32_t i = 0; i < server_count && unpack_is_fine(&servers); i++) {
        take_level(&servers, &level);
        write_level(&level, &writer);
    }
    json_writer_close(&writer, ']');
    json_writer_open(&writer, "moves", '[');
    for (uint32_t i = unpack_array(&moves); i > 0 && unpack_is_fine(&moves); i--) {
        take_planned(&moves, &planned);
        write_planned(&planned, &writer);
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

/* --- text --- */

static void add_amount(struct table *table, const struct rebalance_plan *plan, uint64_t amount)
{
    char text[AMOUNT_TEXT_LEN];
    if (bytes_equal(plan->by, bytes_text("load"))) {
        (void)snprintf(text, sizeof(text), "%" PRIu64 "/s", amount);
    } else {
        moving_print_amount(amount, text);
    }
    table_cell(table, text);
}

static const char *remark_on(const struct level *level)
{
    if (level->is_away) {
        return "away: left out";
    }
    return level->is_draining ? "draining" : "";
}

static enum exit_code print_levels(const struct rebalance_plan *plan)
{
    static const char *const headings[] = {"SERVER", "HAS", "SHARE", "AFTER", ""};
    struct unpack in = unpack_of(plan->servers);
    struct table table;
    struct level level;
    table_init_headed(&table, "lrrrl", headings);
    for (uint32_t i = unpack_array(&in); i > 0 && unpack_is_fine(&in); i--) {
        take_level(&in, &level);
        table_cell_bytes(&table, level.address);
        add_amount(&table, plan, level.before);
        add_amount(&table, plan, level.share);
        add_amount(&table, plan, level.after);
        table_cell(&table, remark_on(&level));
    }
    return table_print(&table);
}

static void add_planned(struct table *table, const struct planned *planned)
{
    char amount[AMOUNT_TEXT_LEN];
    table_cell_bytes(table, planned->shard);
    table_cell_bound(table, planned->start);
    table_cell_bound(table, planned->end);
    table_cell_bytes(table, planned->from);
    table_cell_bytes(table, planned->to);
    moving_print_amount(planned->bytes, amount);
    table_cell(table, amount);
}

static enum exit_code print_planned(const struct rebalance_plan *plan)
{
    static const char *const headings[] = {"SHARD", "START", "END", "FROM", "TO", "BYTES"};
    struct unpack in = unpack_of(plan->moves);
    struct table table;
    struct planned planned;
    table_init_headed(&table, "lrrllr", headings);
    for (uint32_t i = unpack_array(&in); i > 0 && unpack_is_fine(&in); i--) {
        take_planned(&in, &planned);
        add_planned(&table, &planned);
    }
    (void)printf("\n");
    return table_print(&table);
}

/* What bootstrapd had no room for. */
static void print_rest(const struct rebalance_plan *plan)
{
    if (plan->queued_count == 0) {
        (void)printf("\nnone of them is asked for: as many moves wait as bootstrapd keeps\n");
    } else if (plan->queued_count < plan->move_count) {
        (void)printf("; only %" PRIu64 " of them are asked for: as many moves wait as bootstrapd "
                     "keeps, and shardkv rebalance --run plans the rest when they are over\n",
                     plan->queued_count);
    } else {
        (void)printf("\n");
    }
}

static enum exit_code print_text(const struct rebalance_plan *plan, bool is_run)
{
    char bytes[AMOUNT_TEXT_LEN];
    char time[DURATION_TEXT_LEN];
    enum exit_code code = print_levels(plan);
    if (plan->move_count == 0) {
        (void)printf("\nnothing to move: each server is within 5 %% of its share\n");
        return code;
    }
    code = failure_worst(code, print_planned(plan));
    moving_print_amount(plan->bytes, bytes);
    duration_print(plan->seconds * 1000, time);
    (void)printf("\n%u %s, %s, about %s", plan->move_count,
                 noun_of(plan->move_count, "move", "moves"), bytes, time);
    moving_print_amount(plan->bytes_per_s, bytes);
    (void)printf(" at %s/s", bytes);
    if (is_run) {
        print_rest(plan);
    } else {
        (void)printf("; shardkv rebalance --run does it\n");
    }
    return code;
}

/* --- the command --- */

static enum exit_code stop(struct session *session)
{
    struct ask ask;
    struct json_writer writer = {0};
    uint64_t count = 0;
    ask_begin(&ask, session, "rebalance.stop", 0);
    enum exit_code code = ask_send_for_number(&ask, &count);
    ask_end(&ask);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    if (session->arguments->json) {
        json_writer_open(&writer, NULL, '{');
        json_writer_number(&writer, "called_off", count);
        json_writer_close(&writer, '}');
        code = json_writer_print(&writer);
    } else {
        (void)printf("%" PRIu64 " %s that had not begun %s called off\n", count,
                     noun_of(count, "move", "moves"), noun_of(count, "is", "are"));
    }
    return output_finish_change(code, "rebalancing is stopped");
}

static enum exit_code take_answer(struct session *session, const struct ask *ask)
{
    const struct arguments *arguments = session->arguments;
    struct rebalance_plan plan;
    if (!take_plan(ask_answer(ask), &plan)) {
        return ask_say_odd(ask);
    }
    enum exit_code code = arguments->json ? print_json(&plan) : print_text(&plan, arguments->run);
    if (!arguments->run) {
        return code;
    }
    if (plan.queued_count == 0 && plan.move_count > 0) {
        return failure_worst(code, EXIT_CODE_UNAVAILABLE);
    }
    code = output_finish_change(code, "the moves are asked for");
    if (arguments->detach || plan.first == 0) {
        return code;
    }
    return failure_worst(code, watch_moves(session, plan.first, plan.queued_count));
}

static bool is_known_measure(const char *by)
{
    return strcmp(by, "bytes") == 0 || strcmp(by, "load") == 0;
}

enum exit_code rebalance_run(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    const char *by = arguments->by ? arguments->by : "bytes";
    struct ask ask;
    if (arguments->run && arguments->stop) {
        return session_say_usage(session, "--run and --stop exclude each other");
    }
    if (!is_known_measure(by)) {
        return session_say_usage(session, "--by is bytes or load, not \"%s\"", by);
    }
    if (arguments->stop) {
        return stop(session);
    }
    ask_begin(&ask, session, arguments->run ? "rebalance.run" : "rebalance.plan", 1);
    pack_map(&ask.params, 1);
    pack_text(&ask.params, "by");
    pack_text(&ask.params, by);
    enum exit_code code =
        ask_send_patiently(&ask, strcmp(by, "load") == 0 ? LOAD_WITHIN_MS : COUNT_WITHIN_MS);
    if (code == EXIT_CODE_DONE) {
        code = take_answer(session, &ask);
    }
    ask_end(&ask);
    return code;
}
