/* SPDX-License-Identifier: MIT */
#include "cli/moving.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/duration.h"
#include "cli/reply.h"
#include "proto/noun.h"

static const char *const hold_words[MOVE_HOLD_COUNT] = {"freeze", "drain", "sync", "commit",
                                                        "open"};

/* --- what was told --- */

static void take_hold(struct bytes encoded, struct moving *moving)
{
    struct unpack in = unpack_of(encoded);
    uint32_t count = encoded.len ? unpack_array(&in) : 0;
    for (uint32_t i = 0; i < count && i < MOVE_HOLD_COUNT; i++) {
        moving->hold_us[i] = unpack_uint(&in);
    }
}

void moving_take(struct unpack *in, struct moving *moving)
{
    struct bytes shard = {0}, from = {0}, to = {0}, course = {0}, state = {0}, hold = {0};
    struct bytes who = {0}, reason = {0};
    *moving = (struct moving){0};
    const struct reply_field fields[] = {
        {"number", REPLY_NUMBER, &moving->number},
        {"shard", REPLY_TEXT, &shard},
        {"start", REPLY_NUMBER, &moving->start},
        {"end", REPLY_NUMBER, &moving->end},
        {"from", REPLY_TEXT, &from},
        {"to", REPLY_TEXT, &to},
        {"course", REPLY_TEXT, &course},
        {"state", REPLY_TEXT, &state},
        {"paused", REPLY_BOOL, &moving->is_paused},
        {"limit_bytes_per_s", REPLY_NUMBER, &moving->limit_bytes_per_s},
        {"tries", REPLY_NUMBER, &moving->tries},
        {"asked_ms", REPLY_NUMBER, &moving->asked_ms},
        {"begun_ms", REPLY_NUMBER, &moving->begun_ms},
        {"ended_ms", REPLY_NUMBER, &moving->ended_ms},
        {"records", REPLY_NUMBER, &moving->records},
        {"bytes", REPLY_NUMBER, &moving->bytes},
        {"records_left", REPLY_NUMBER, &moving->records_left},
        {"bytes_per_s", REPLY_NUMBER, &moving->bytes_per_s},
        {"waiting_bytes", REPLY_NUMBER, &moving->waiting_bytes},
        {"hold_us", REPLY_ENCODED, &hold},
        {"who", REPLY_TEXT, &who},
        {"reason", REPLY_TEXT, &reason},
    };
    reply_take(in, fields, sizeof(fields) / sizeof(fields[0]));
    reply_copy_text(shard, moving->shard, sizeof(moving->shard));
    reply_copy_text(from, moving->from, sizeof(moving->from));
    reply_copy_text(to, moving->to, sizeof(moving->to));
    reply_copy_text(course, moving->course, sizeof(moving->course));
    reply_copy_text(state, moving->state, sizeof(moving->state));
    reply_copy_text(who, moving->who, sizeof(moving->who));
    reply_copy_text(reason, moving->reason, sizeof(moving->reason));
    take_hold(hold, moving);
}

bool moving_is_over(const struct moving *moving)
{
    return strcmp(moving->course, "waiting") != 0 && strcmp(moving->course, "going") != 0;
}

bool moving_is_done(const struct moving *moving)
{
    return strcmp(moving->course, "done") == 0;
}

/* --- what follows --- */

uint64_t moving_bytes_left(const struct moving *moving)
{
    double mean = moving->records ? (double)moving->bytes / (double)moving->records : 0;
    return (uint64_t)(mean * (double)moving->records_left);
}

unsigned moving_percent(const struct moving *moving)
{
    double all = (double)moving->records + (double)moving->records_left;
    if (moving_is_over(moving)) {
        return 100;
    }
    return all > 0 ? (unsigned)((double)moving->records / all * 100) : 0;
}

static uint64_t duration_of(const struct moving *moving)
{
    return moving->ended_ms > moving->begun_ms ? moving->ended_ms - moving->begun_ms : 1;
}

static uint64_t whole_hold_us(const struct moving *moving)
{
    uint64_t sum = 0;
    for (int i = 0; i < MOVE_HOLD_COUNT; i++) {
        sum += moving->hold_us[i];
    }
    return sum;
}

/* --- JSON --- */

static void write_hold(const struct moving *moving, struct json_writer *writer)
{
    json_writer_float(writer, "longest_hold_ms", (double)whole_hold_us(moving) / 1000);
    json_writer_open(writer, "hold_us", '{');
    for (int i = 0; i < MOVE_HOLD_COUNT; i++) {
        json_writer_number(writer, hold_words[i], moving->hold_us[i]);
    }
    json_writer_close(writer, '}');
}

static void write_end(const struct moving *moving, struct json_writer *writer)
{
    double seconds = (double)duration_of(moving) / 1000;
    json_writer_float(writer, "seconds", seconds);
    json_writer_float(writer, "mb_per_s", (double)moving->bytes / 1e6 / seconds);
    write_hold(moving, writer);
    json_writer_bool(writer, "sums_equal", true);
}

static void write_course(const struct moving *moving, struct json_writer *writer)
{
    json_writer_text(writer, "course", bytes_text(moving->course));
    json_writer_text(writer, "state", bytes_text(moving->state));
    json_writer_bool(writer, "paused", moving->is_paused);
    json_writer_number(writer, "percent", moving_percent(moving));
    json_writer_number(writer, "records", moving->records);
    json_writer_number(writer, "bytes", moving->bytes);
    json_writer_number(writer, "records_left", moving->records_left);
    json_writer_number(writer, "bytes_left", moving_bytes_left(moving));
    json_writer_number(writer, "bytes_per_s", moving->bytes_per_s);
    json_writer_number(writer, "waiting_bytes", moving->waiting_bytes);
    json_writer_number(writer, "limit_bytes_per_s", moving->limit_bytes_per_s);
    json_writer_number(writer, "tries", moving->tries);
}

void moving_write(const struct moving *moving, struct json_writer *writer)
{
    json_writer_open(writer, NULL, '{');
    json_writer_number(writer, "move", moving->number);
    json_writer_text(writer, "shard", bytes_text(moving->shard));
    json_writer_bound(writer, "start", moving->start);
    json_writer_bound(writer, "end", moving->end);
    json_writer_text(writer, "from", bytes_text(moving->from));
    json_writer_text(writer, "to", bytes_text(moving->to));
    write_course(moving, writer);
    json_writer_number(writer, "asked_ms", moving->asked_ms);
    json_writer_number(writer, "begun_ms", moving->begun_ms);
    json_writer_number(writer, "ended_ms", moving->ended_ms);
    if (moving_is_done(moving)) {
        write_end(moving, writer);
    }
    json_writer_text(writer, "who", bytes_text(moving->who));
    json_writer_text(writer, "reason", bytes_text(moving->reason));
    json_writer_close(writer, '}');
}

/* --- text --- */

void moving_print_amount(uint64_t bytes, char text[AMOUNT_TEXT_LEN])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double amount = (double)bytes;
    unsigned unit = 0;
    while (amount >= 999.95) {
        amount /= 1000;
        unit++;
    }
    (void)snprintf(text, AMOUNT_TEXT_LEN, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
}

static void add(char text[MOVING_TEXT_LEN], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(char text[MOVING_TEXT_LEN], const char *format, ...)
{
    size_t len = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + len, MOVING_TEXT_LEN - len, format, arguments);
    va_end(arguments);
}

static void add_amount(char text[MOVING_TEXT_LEN], const char *before, uint64_t bytes,
                       const char *behind)
{
    char amount[AMOUNT_TEXT_LEN];
    moving_print_amount(bytes, amount);
    add(text, "%s%s%s", before, amount, behind);
}

static void add_time_left(const struct moving *moving, char text[MOVING_TEXT_LEN])
{
    if (moving->bytes_per_s > 0 && !moving->is_paused) {
        char left[DURATION_TEXT_LEN];
        uint64_t left_s = moving_bytes_left(moving) / moving->bytes_per_s;
        duration_print(left_s * 1000, left);
        add(text, ", %s left", left_s ? left : "0 s");
    }
}

/* A state that says more than that it goes on. */
static bool is_worth_saying(const char *state)
{
    return *state && strcmp(state, "copying") != 0 && strcmp(state, "importing") != 0;
}

void moving_print_progress(const struct moving *moving, char text[MOVING_TEXT_LEN])
{
    text[0] = '\0';
    if (strcmp(moving->course, "waiting") == 0) {
        add(text, "waiting%s%s", *moving->reason ? ": " : "", moving->reason);
        return;
    }
    add(text, "%u %%, %" PRIu64 " %s, %" PRIu64 " left", moving_percent(moving), moving->records,
        noun_of(moving->records, "record", "records"), moving->records_left);
    add_amount(text, " (", moving_bytes_left(moving), ")");
    add_amount(text, ", ", moving->bytes_per_s, "/s");
    add_amount(text, ", ", moving->waiting_bytes, " waiting");
    add_time_left(moving, text);
    if (moving->is_paused) {
        add(text, ", paused");
    } else if (is_worth_saying(moving->state)) {
        add(text, ", %s", moving->state);
    }
    if (*moving->reason && strcmp(moving->state, "open") == 0) {
        add(text, ": %s", moving->reason); /* no try can fail any more */
    } else if (*moving->reason) {
        add(text, " (try %" PRIu64 ": %s)", moving->tries, moving->reason);
    }
}

static void print_hold(const struct moving *moving, char text[MOVING_TEXT_LEN])
{
    add(text, "longest hold %.1f ms: ", (double)whole_hold_us(moving) / 1000);
    for (int i = 0; i < MOVE_HOLD_COUNT; i++) {
        add(text, "%s%s %.1f", i ? " + " : "", hold_words[i], (double)moving->hold_us[i] / 1000);
    }
    add(text, "; sums equal\n");
}

void moving_print_end(const struct moving *moving, struct buffer *out)
{
    char text[MOVING_TEXT_LEN] = "";
    if (moving_is_done(moving)) {
        char took[DURATION_TEXT_LEN];
        duration_print(duration_of(moving), took);
        add(text, "moved %" PRIu64 " %s", moving->records,
            noun_of(moving->records, "record", "records"));
        add_amount(text, ", ", moving->bytes, "");
        add(text, ", in %s: %.1f MB/s\n", took,
            (double)moving->bytes / 1000 / (double)duration_of(moving));
        print_hold(moving, text);
    } else {
        add(text, "move %" PRIu64 " is %s%s%s\n", moving->number, moving->course,
            *moving->reason ? ": " : "", moving->reason);
    }
    buffer_append_bytes(out, bytes_text(text));
}
