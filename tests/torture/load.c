/* SPDX-License-Identifier: MIT */
#include "tests/torture/load.h"

#include <assert.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "tests/torture/judge.h"
#include "tests/torture/talk.h"

/* `done` stays so far behind the lowest number without an answer that there are results to ask for again. */
#define DONE_LAG 16

/* Longer than any run. */
#define TTL_MS UINT64_C(86400000)

/* A server that gives no answer for so long will give none. */
#define PATIENCE_US UINT64_C(20000000)

/* Message ids of operations that are sent again begin here. */
#define REPEAT_MSGID (UINT32_C(1) << 31)

void load_init(struct load *load, uint64_t seed, uint32_t key_count)
{
    *load = (struct load){.dice = {seed}, .window_max = 16, .next_number = 1};
    history_init(&load->history, key_count);
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        load->conns[i].next_seq = 1;
        load->conns[i].done = 1;
        for (uint32_t j = 0; j < ID_LEN; j++) {
            load->conns[i].client[j] = (uint8_t)dice_roll(&load->dice);
        }
    }
}

void load_fini(struct load *load)
{
    load_close(load);
    history_fini(&load->history);
}

void load_add_totals(const struct load *load, struct load_totals *totals)
{
    totals->operation_count += load->operation_count;
    totals->answered_count += load->answered_count;
    totals->refused_count += load->refused_count;
    totals->full_count += load->full_count;
}

void load_close(struct load *load)
{
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        talk_close(load->conns[i].talk);
        load->conns[i].talk = NULL;
        load->conns[i].window_count = 0;
    }
}

/* --- what the server knows --- */

/* A server that does not know an option or a method says so; one that does leaves everything as it is. */
static bool is_known(struct talk *talk, const char *method, const struct buffer *params)
{
    struct rpc_message message;
    return talk_call(talk, method, buffer_bytes(params), &message) &&
           message.code != STATUS_INVALID && message.code != STATUS_UNKNOWN_METHOD;
}

static void ask_features(struct load *load)
{
    struct buffer params = {0};
    struct talk *talk = load->conns[0].talk;
    pack_array(&params, 3);
    pack_text(&params, "probe");
    pack_nil(&params);
    pack_map(&params, 2);
    pack_text(&params, "if_version");
    pack_uint(&params, 1);
    pack_text(&params, "ttl_ms");
    pack_uint(&params, TTL_MS);
    load->features.has_ttl = is_known(talk, "write", &params);
    buffer_clear(&params);
    pack_array(&params, 2);
    pack_text(&params, "probe");
    pack_uint(&params, TTL_MS);
    load->features.has_expire = is_known(talk, "expire", &params);
    buffer_fini(&params);
}

void load_open(struct load *load, uint16_t port)
{
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        load->conns[i].talk = talk_open(port);
    }
    if (load->operation_count == 0) {
        ask_features(load);
    }
}

/* --- drawing and sending --- */

static enum operation_kind draw_kind(struct load *load, uint32_t key)
{
    uint32_t drawn = dice_below(&load->dice, 100);
    bool is_counter = operation_is_counter(key);
    if (load->manner == LOAD_GROWS) {
        return is_counter ? OPERATION_INCR : OPERATION_WRITE;
    }
    if (load->manner == LOAD_SHRINKS) {
        return drawn < 50 ? OPERATION_POP : OPERATION_DELETE;
    }
    if (drawn < 40) {
        return is_counter ? OPERATION_INCR : OPERATION_WRITE;
    }
    if (drawn < 48) {
        return OPERATION_WRITE_ABSENT;
    }
    if (drawn < 60) {
        return OPERATION_POP;
    }
    if (drawn < 68) {
        return OPERATION_DELETE;
    }
    if (drawn < 73 && load->features.has_expire && !is_counter) {
        return OPERATION_EXPIRE;
    }
    return drawn < 78 ? OPERATION_EXISTS : OPERATION_READ;
}

static uint64_t lowest_open_seq(const struct load *load, const struct load_conn *conn)
{
    uint64_t lowest = conn->next_seq;
    for (uint32_t i = 0; i < conn->window_count; i++) {
        uint64_t seq = load->history.operations[conn->window[i]].seq;
        lowest = seq && seq < lowest ? seq : lowest;
    }
    return lowest;
}

static void give_identity(const struct load *load, struct load_conn *conn,
                          struct operation *operation)
{
    uint64_t lowest = lowest_open_seq(load, conn);
    uint64_t done = lowest > DONE_LAG ? lowest - DONE_LAG : 1;
    conn->done = done > conn->done ? done : conn->done;
    operation->done = conn->done;
    operation->seq = conn->next_seq++;
}

static int64_t draw_number(struct load *load)
{
    while ((load->manner == LOAD_GROWS && !operation_is_large(load->next_number)) ||
           (load->manner == LOAD_SMALL && !operation_is_small(load->next_number))) {
        load->next_number++;
    }
    return load->next_number++;
}

static struct operation draw(struct load *load, uint32_t conn_index)
{
    struct dice *dice = &load->dice;
    uint32_t keys_each = load->history.key_count / LOAD_CONNS;
    /* A few keys are asked for often. */
    uint32_t spread = dice_below(dice, 3) == 0 && keys_each > 16 ? 16 : keys_each;
    uint32_t place = dice_below(dice, spread);
    /* Pairs of a value and a counter go round. */
    uint32_t key = (place / 2 * LOAD_CONNS + conn_index) * 2 + place % 2;
    struct operation operation = {.kind = draw_kind(load, key), .key = key, .conn = conn_index};
    if (operation.kind == OPERATION_INCR) {
        operation.number = (int64_t)dice_below(dice, 2001) - 1000;
    } else {
        operation.number = draw_number(load);
    }
    bool may_have_ttl = load->features.has_ttl && !operation_is_counter(key);
    bool has_ttl = operation.kind == OPERATION_EXPIRE ||
                   (operation.kind == OPERATION_WRITE && may_have_ttl && dice_below(dice, 4) == 0);
    operation.ttl_ms = has_ttl ? TTL_MS + dice_below(dice, 1000) * UINT64_C(10000) : 0;
    if (operation_changes(operation.kind) && dice_below(dice, 2) == 0) {
        give_identity(load, &load->conns[conn_index], &operation);
    }
    return operation;
}

static uint32_t send_one(struct load *load, struct operation operation)
{
    struct load_conn *conn = &load->conns[operation.conn];
    uint32_t index = load->history.count;
    operation.version_floor = load->version_floor;
    operation.sent_ms = clock_wall_ms();
    history_add(&load->history, &operation);
    conn->window[conn->window_count++] = index;
    operation_pack(&operation, index + 1, conn->client, talk_output(conn->talk));
    load->operation_count++;
    return index;
}

/* --- replies --- */

static void leave_window(struct load_conn *conn, uint32_t index)
{
    for (uint32_t i = 0; i < conn->window_count; i++) {
        if (conn->window[i] == index) {
            conn->window[i] = conn->window[--conn->window_count];
            return;
        }
    }
}

static void violate(struct load *load, const char *what, const char *detail)
{
    if (load->violation[0] == '\0') {
        (void)snprintf(load->violation, sizeof(load->violation), "%s: %s", what, detail);
        if (!load->is_quiet) {
            printf("# VIOLATION: %s\n", load->violation);
        }
    }
}

/* May be refused on a full disk (RULES F1). */
static bool grows(enum operation_kind kind)
{
    return kind == OPERATION_WRITE || kind == OPERATION_WRITE_ABSENT || kind == OPERATION_INCR ||
           kind == OPERATION_EXPIRE;
}

static void on_reply(void *context, const struct rpc_message *message)
{
    struct load *load = context;
    char text[HISTORY_TEXT_LEN] = "";
    uint32_t index = message->msgid - 1;
    if (index >= load->history.count || load->history.operations[index].is_answered) {
        (void)snprintf(text, sizeof(text), "msgid %u, %s", message->msgid,
                       status_name(message->code));
        violate(load, "a reply to nothing that was asked", text);
        return;
    }
    struct operation *operation = &load->history.operations[index];
    struct reply reply = operation_read_reply(operation, message);
    leave_window(&load->conns[operation->conn], index);
    if (!history_answer(&load->history, index, &reply, text)) {
        violate(load, "a wrong reply", text);
    }
    load->answered_count++;
    load->refused_count += operation->is_refused;
    if (operation->is_refused) {
        (void)snprintf(load->refusal, sizeof(load->refusal), "%s: %.*s", status_name(reply.code),
                       (int)message->text.len, (const char *)message->text.data);
    }
    load->full_count += reply.code == STATUS_FULL;
    if (reply.code == STATUS_FULL && (reply.is_strange || !grows(operation->kind))) {
        operation_print(operation, text);
        violate(load, reply.is_strange ? "FULL without numbers" : "FULL for what does not grow",
                text);
    }
}

static size_t gather_talks(struct load *load, struct talk *talks[LOAD_CONNS], bool *is_any_gone)
{
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        talks[i] = load->conns[i].talk;
        *is_any_gone = *is_any_gone || !talk_is_open(talks[i]);
    }
    return LOAD_CONNS;
}

bool load_run(struct load *load, uint64_t operation_max, uint64_t deadline_us)
{
    struct talk *talks[LOAD_CONNS];
    uint64_t last_us = clock_mono_us() + PATIENCE_US;
    uint64_t end = load->operation_count + operation_max;
    bool is_any_gone = false;
    size_t count = gather_talks(load, talks, &is_any_gone);
    deadline_us = deadline_us < last_us ? deadline_us : last_us;
    while (!is_any_gone && load->operation_count < end && clock_mono_us() < deadline_us) {
        /* One each in turn: an answer that comes first must not give its connection all the rest. */
        for (uint32_t i = 0; i < LOAD_CONNS * load->window_max && load->operation_count < end;
             i++) {
            uint32_t conn = load->turn++ % LOAD_CONNS;
            if (load->conns[conn].window_count < load->window_max) {
                send_one(load, draw(load, conn));
            }
        }
        (void)talk_wait(talks, count, deadline_us, on_reply, load);
        gather_talks(load, talks, &is_any_gone);
    }
    return !is_any_gone;
}

static bool is_drained(const struct load *load)
{
    uint32_t open_count = 0;
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        open_count += load->conns[i].window_count;
    }
    return open_count == 0;
}

bool load_drain(struct load *load)
{
    struct talk *talks[LOAD_CONNS];
    bool is_any_gone = false;
    size_t count = gather_talks(load, talks, &is_any_gone);
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (!is_drained(load) && talk_wait(talks, count, deadline_us, on_reply, load)) {
    }
    return is_drained(load);
}

void load_print_open(const struct load *load)
{
    for (uint32_t i = 0; i < LOAD_CONNS; i++) {
        const struct load_conn *conn = &load->conns[i];
        printf("# connection %u: %u without an answer\n", i, conn->window_count);
        for (uint32_t j = 0; j < conn->window_count && j < 4; j++) {
            char text[OPERATION_TEXT_LEN];
            operation_print(&load->history.operations[conn->window[j]], text);
            printf("#   %s\n", text);
        }
    }
}

bool load_one(struct load *load, const struct operation *operation, struct reply *reply)
{
    struct operation sent = *operation;
    sent.conn = operation->key / 2 % LOAD_CONNS;
    if (sent.seq) {
        give_identity(load, &load->conns[sent.conn], &sent);
    }
    if (sent.number == 0) {
        sent.number = load->next_number++;
    }
    uint32_t index = send_one(load, sent);
    bool has_answer = load_drain(load);
    *reply = load->history.operations[index].reply;
    return has_answer;
}

/* --- after a crash --- */

struct again {
    struct load *load;
    struct operation *operations; /* those sent again, by their index in the history */
    uint32_t open_count;
    const struct picture *before;
    struct picture after;
};

static void on_again(void *context, const struct rpc_message *message)
{
    struct again *again = context;
    uint32_t index = message->msgid - REPEAT_MSGID;
    assert(index < again->load->history.count);
    struct operation *operation = &again->operations[index];
    struct reply reply = operation_read_reply(operation, message);
    operation_answer(operation, &reply, clock_wall_ms());
    if (operation->reply.version > again->load->history.version_max) {
        again->load->history.version_max = operation->reply.version;
    }
    again->open_count--;
}

/* In the order in which they were asked first (RULES R2). False: not all were answered. */
static bool send_again(struct load *load, struct again *again)
{
    struct talk *talks[LOAD_CONNS];
    bool is_any_gone = false;
    for (uint32_t i = 0; i < load->history.count; i++) {
        struct operation *operation = &again->operations[i];
        const struct operation *original = &load->history.operations[i];
        if (original->is_answered || original->seq == 0) {
            continue;
        }
        struct load_conn *conn = &load->conns[original->conn];
        *operation = *original;
        operation_pack(operation, REPEAT_MSGID + i, conn->client, talk_output(conn->talk));
        again->open_count++;
    }
    size_t count = gather_talks(load, talks, &is_any_gone);
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (again->open_count > 0 && talk_wait(talks, count, deadline_us, on_again, again)) {
    }
    return again->open_count == 0;
}

static void explain(const struct load *load, const struct again *again,
                    const struct operation *const *operations, uint32_t key)
{
    const struct course *course = &load->history.courses[key];
    const struct seen *after = &again->after.keys[key];
    judge_explain(&load->history, course, judge_required(&load->history, course), again->before,
                  key);
    for (uint32_t i = 0; i < course->count; i++) {
        char text[OPERATION_TEXT_LEN];
        if (operations[i]) {
            operation_print(operations[i], text);
            printf("#   again: %s\n", text);
        }
    }
    printf("# then it is %s, number %lld, version %llu\n", after->is_there ? "there" : "absent",
           (long long)after->number, (unsigned long long)after->version);
}

static bool settle_key(struct load *load, const struct again *again, uint32_t key)
{
    struct course *course = &load->history.courses[key];
    const struct operation **operations =
        memory_get(course->count + 1, sizeof(const struct operation *));
    const struct repeats repeats = {operations, again->before, &again->after};
    for (uint32_t i = 0; i < course->count; i++) {
        const struct operation *repeat = &again->operations[course->indexes[i]];
        operations[i] = repeat->is_answered ? repeat : NULL;
    }
    bool may_refuse = load->may_be_refused || load->refused_count > 0;
    enum judgement judgement =
        judge_settled(&load->history, course, &repeats, key, may_refuse, &course->state);
    if (judgement != JUDGEMENT_FINE) {
        char name[KEY_TEXT_LEN];
        operation_key(key, name);
        if (!load->is_quiet && load->violation[0] == '\0') {
            explain(load, again, operations, key);
        }
        violate(load,
                judgement == JUDGEMENT_LOST ? "a lost or wrong record"
                                            : "what was sent again did not take place once",
                name);
    }
    free(operations);
    return judgement == JUDGEMENT_FINE;
}

/* The part of a course that is certain: replies were checked as they came. */
static void drop_folded(struct history *history)
{
    for (uint32_t i = 0; i < history->key_count; i++) {
        struct course *course = &history->courses[i];
        course->base = course->state;
        course->count -= course->folded;
        if (course->count > 0) {
            memmove(course->indexes, course->indexes + course->folded,
                    course->count * sizeof(*course->indexes));
        }
        course->folded = 0;
    }
}

static bool take_after(struct load *load, struct again *again)
{
    char error[256] = "";
    bool is_taken =
        send_again(load, again) && picture_take(load->conns[0].talk, load->history.key_count,
                                                &again->after, error, sizeof(error));
    if (!is_taken) {
        violate(load, "no answer to what was sent again", error);
    }
    return is_taken;
}

static void raise_version(struct history *history, uint64_t version)
{
    history->version_max = version > history->version_max ? version : history->version_max;
}

bool load_settle(struct load *load, const struct picture *picture)
{
    struct again again = {.load = load, .before = picture};
    bool is_fine = load->violation[0] == '\0';
    again.operations = memory_get(load->history.count + 1, sizeof(*again.operations));
    drop_folded(&load->history);
    if (picture->stranger_count > 0) {
        violate(load, "a record that nobody wrote", "its key is none of ours");
        is_fine = false;
    }
    is_fine = take_after(load, &again) && is_fine;
    for (uint32_t i = 0; i < load->history.key_count && again.after.keys; i++) {
        is_fine = settle_key(load, &again, i) && is_fine;
    }
    raise_version(&load->history, picture->version_max);
    raise_version(&load->history, again.after.version_max);
    load->version_floor = load->history.version_max;
    history_settle(&load->history);
    picture_fini(&again.after);
    free(again.operations);
    return is_fine;
}
