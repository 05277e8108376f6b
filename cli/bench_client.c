/* SPDX-License-Identifier: MIT */
#include "cli/bench_client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench_io.h"
#include "io/socket.h"
#include "proto/id.h"

/* Read at once: what a pipeline's replies need. What is left over of it moves to the connection. */
#define READ_LEN (256u << 10)

/* Connections that are served before the clock is looked at again. */
#define EVENTS_MAX 512

/* Before what the server wants to be asked later is asked again. */
#define REST_NS (BENCH_NS_PER_S / 1000)

/* A server that answers nothing for so long, though asked, is given up. */
#define SILENCE_NS_MAX (30 * BENCH_NS_PER_S)

struct slot {
    uint64_t begun_ns; /* or, in the open loop, when it was to begin */
    uint64_t record;
    uint64_t point; /* of a mint or put */
    enum bench_kind kind;
    bool is_taken;
    bool is_written; /* of BENCH_MODIFY: the read was answered, this is the write */
    bool is_moved;   /* of BENCH_MINT: not done, and to be asked elsewhere */
};

/* One connection. */
struct line {
    int fd;
    uint32_t server;
    struct slot *slots;
    uint32_t *free_slots; /* a ring: slots are taken in the order in which they were given back */
    uint32_t taken;       /* counts of both, ever; their difference is what is in flight */
    uint32_t given;
    uint32_t replies;     /* ever: of a protocol in order, whose reply is next */
    uint64_t home;        /* the point whose ids it mints */
    uint64_t last_id;     /* that it minted */
    struct address owner; /* of the point, as far as was heard; with the epoch of that */
    uint64_t owner_epoch;
    uint32_t moved_count; /* slots that are moved: nothing new is asked until all are */
    bool wants_write;
    size_t sent; /* of output */
    struct buffer output;
    struct buffer input; /* the beginning of a reply whose end is not here */
};

struct bench_client {
    const struct bench_driver *driver;
    struct bench_workload *workload;
    struct bench_tally *tally; /* of the stretch under way */
    struct line *lines;
    uint32_t line_count;
    uint32_t depth; /* slots of each line */
    uint64_t in_flight;
    struct bench_ids *ids;
    uint32_t mint_count;
    uint64_t id_ns; /* when the last id came; 0: none has */
    uint64_t rate;
    uint64_t start_ns; /* of the open loop */
    uint64_t issued;   /* operations of the open loop so far */
    uint32_t turn;     /* the line that is next in the open loop */
    uint64_t heard_ns; /* when a server last sent something, or was first asked */
    bool is_exhausted; /* the workload has no more */
    bool wants_rest;   /* asked to come again later, in this turn */
    bool is_broken;
    int poller;
    uint8_t *scratch; /* READ_LEN bytes */
};

/* --- opening --- */

static bool watch(const struct bench_client *client, struct line *line, int operation,
                  uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = line};
    return epoll_ctl(client->poller, operation, line->fd, &event) == 0;
}

static const char *open_line(struct bench_client *client, struct line *line,
                             const struct address *address)
{
    const char *problem = NULL;
    line->slots = calloc(client->depth, sizeof(*line->slots));
    line->free_slots = calloc(client->depth, sizeof(*line->free_slots));
    if (!line->slots || !line->free_slots) {
        return "out of memory";
    }
    for (uint32_t i = 0; i < client->depth; i++) {
        line->free_slots[i] = i;
    }
    line->fd = bench_connect(address, &problem);
    if (line->fd < 0) {
        return problem;
    }
    return watch(client, line, EPOLL_CTL_ADD, EPOLLIN) ? NULL : socket_error_text(errno);
}

static uint32_t server_of(struct bench_client *client, const struct bench_cluster *cluster,
                          struct line *line, uint32_t index)
{
    if (client->workload->mix.keys != BENCH_KEYS_IDS) {
        return bench_cluster_server_of(cluster, index, client->line_count);
    }
    line->home = bench_workload_home(client->workload, index, client->line_count);
    return bench_cluster_find(cluster, line->home);
}

static bool open_lines(struct bench_client *client, const struct bench_cluster *cluster,
                       char *error, size_t error_len)
{
    for (uint32_t i = 0; i < client->line_count; i++) {
        struct line *line = &client->lines[i];
        line->server = server_of(client, cluster, line, i);
        const char *problem = open_line(client, line, &cluster->servers[line->server]);
        if (problem) {
            char text[ADDRESS_TEXT_LEN];
            address_print(&cluster->servers[line->server], text);
            (void)snprintf(error, error_len, "%s: connection %u: %s", text, i + 1, problem);
            return false;
        }
    }
    return true;
}

static bool allocate(struct bench_client *client, uint32_t connections)
{
    client->lines = calloc(connections, sizeof(*client->lines));
    client->scratch = malloc(READ_LEN);
    client->poller = epoll_create1(EPOLL_CLOEXEC);
    client->line_count = client->lines ? connections : 0;
    for (uint32_t i = 0; i < client->line_count; i++) {
        client->lines[i].fd = -1;
    }
    return client->lines && client->scratch && client->poller >= 0;
}

struct bench_client *bench_client_open(const struct bench_client_config *config,
                                       struct bench_workload *workload, char *error,
                                       size_t error_len)
{
    assert(config->pipeline >= 1 && config->pipeline <= BENCH_SLOTS_MAX);
    struct bench_client *client = calloc(1, sizeof(*client));
    if (!client || !allocate(client, config->connections)) {
        (void)snprintf(error, error_len, "out of memory");
        bench_client_close(client);
        return NULL;
    }
    client->driver = config->driver;
    client->workload = workload;
    client->depth = config->pipeline;
    client->rate = config->rate;
    client->ids = config->ids;
    client->mint_count = config->mint_count;
    if (!open_lines(client, config->cluster, error, error_len)) {
        bench_client_close(client);
        return NULL;
    }
    bench_catch_signals();
    /* The kernel would gather wake-ups that are up to 50 us apart. */
    (void)prctl(PR_SET_TIMERSLACK, 1);
    return client;
}

void bench_client_close(struct bench_client *client)
{
    if (!client) {
        return;
    }
    for (uint32_t i = 0; i < client->line_count; i++) {
        struct line *line = &client->lines[i];
        if (line->fd >= 0) {
            close(line->fd);
        }
        buffer_fini(&line->output);
        buffer_fini(&line->input);
        free(line->slots);
        free(line->free_slots);
    }
    if (client->poller >= 0) {
        close(client->poller);
    }
    free(client->lines);
    free(client->scratch);
    free(client);
}

/* --- what went wrong --- */

static void note_error(struct bench_tally *tally, struct bytes text)
{
    tally->errors++;
    if (!*tally->first_error) {
        (void)snprintf(tally->first_error, sizeof(tally->first_error), "%.*s", (int)text.len,
                       (const char *)text.data);
    }
}

static void break_off(struct bench_client *client, struct bytes why)
{
    note_error(client->tally, why);
    client->is_broken = true;
}

static void break_off_text(struct bench_client *client, const char *why)
{
    break_off(client, bytes_text(why));
}

/* --- requests --- */

static bool has_free_slot(const struct bench_client *client, const struct line *line)
{
    return line->taken - line->given < client->depth && line->moved_count == 0;
}

static void encode(struct bench_client *client, struct line *line, uint32_t slot_index,
                   const struct bench_op *op, enum bench_method method)
{
    struct bench_request request = {
        .method = method, .slot = slot_index, .point = op->point, .limit = op->limit};
    memcpy(request.key, op->key, sizeof(request.key));
    if (method == BENCH_METHOD_WRITE || method == BENCH_METHOD_PUT) {
        request.value = bench_workload_value(client->workload);
    }
    bench_driver_encode(client->driver, &request, &line->output);
}

static enum bench_method first_method(enum bench_kind kind)
{
    static const enum bench_method methods[BENCH_KIND_COUNT] = {
        [BENCH_READ] = BENCH_METHOD_READ,    [BENCH_WRITE] = BENCH_METHOD_WRITE,
        [BENCH_INSERT] = BENCH_METHOD_WRITE, [BENCH_SCAN] = BENCH_METHOD_SCAN,
        [BENCH_MODIFY] = BENCH_METHOD_READ,  [BENCH_MINT] = BENCH_METHOD_MINT,
        [BENCH_PUT] = BENCH_METHOD_PUT,
    };
    return methods[kind];
}

/* Takes a slot, which is free, for the workload's next. False when there is none. */
static bool begin_op(struct bench_client *client, struct line *line, uint64_t begun_ns)
{
    struct bench_op op = {0};
    if (!bench_workload_next(client->workload, line->server, &op)) {
        return false;
    }
    if (op.kind == BENCH_MINT) {
        op.point = line->home;
    }
    uint32_t slot_index = line->free_slots[line->taken++ % client->depth];
    line->slots[slot_index] = (struct slot){.begun_ns = begun_ns,
                                            .record = op.record,
                                            .point = op.point,
                                            .kind = op.kind,
                                            .is_taken = true};
    client->in_flight++;
    encode(client, line, slot_index, &op, first_method(op.kind));
    return true;
}

/* Sends what the kernel takes, and has it tell when it takes more. */
static void flush(struct bench_client *client, struct line *line)
{
    if (line->output.failed) {
        break_off_text(client, "out of memory");
    }
    if (line->output.len == line->sent || client->is_broken) {
        return;
    }
    if (!bench_send(line->fd, &line->output, &line->sent)) {
        break_off_text(client, socket_error_text(errno));
        return;
    }
    bool wants_write = line->output.len > 0;
    if (wants_write != line->wants_write) {
        line->wants_write = wants_write;
        (void)watch(client, line, EPOLL_CTL_MOD, wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

/* The closed loop: all slots of a line are in flight. */
static void fill(struct bench_client *client, struct line *line, uint64_t at_ns)
{
    while (has_free_slot(client, line)) {
        if (!begin_op(client, line, at_ns)) {
            client->is_exhausted = true;
            return;
        }
    }
}

static void fill_all(struct bench_client *client)
{
    for (uint32_t i = 0; i < client->line_count; i++) {
        fill(client, &client->lines[i], bench_now_ns());
        flush(client, &client->lines[i]);
    }
}

/* When operation `index` of the open loop is to begin. */
static uint64_t intended_ns(const struct bench_client *client, uint64_t index)
{
    uint64_t seconds = index / client->rate;
    uint64_t rest = index % client->rate;
    return client->start_ns + seconds * BENCH_NS_PER_S + rest * BENCH_NS_PER_S / client->rate;
}

/* The next line, in turn, that has a free slot; NULL when none has. */
static struct line *free_line(struct bench_client *client)
{
    for (uint32_t i = 0; i < client->line_count; i++) {
        struct line *line = &client->lines[client->turn];
        client->turn = client->turn + 1 == client->line_count ? 0 : client->turn + 1;
        if (has_free_slot(client, line)) {
            return line;
        }
    }
    return NULL;
}

static bool is_full(const struct bench_client *client)
{
    return client->in_flight == (uint64_t)client->line_count * client->depth;
}

/* The open loop: all whose time has come, as far as there are slots. */
static void issue_due(struct bench_client *client)
{
    uint64_t at_ns = bench_now_ns();
    while (!is_full(client) && intended_ns(client, client->issued) <= at_ns) {
        struct line *line = free_line(client);
        if (!line) {
            break; /* what has free slots is moving */
        }
        if (!begin_op(client, line, intended_ns(client, client->issued))) {
            client->is_exhausted = true;
            break;
        }
        client->issued++;
    }
    /* Once for each line, however many are late: else a generator that is behind stays behind. */
    for (uint32_t i = 0; i < client->line_count; i++) {
        flush(client, &client->lines[i]);
    }
}

/* --- replies --- */

static void give_slot(struct bench_client *client, struct line *line, uint32_t slot_index)
{
    line->slots[slot_index].is_taken = false;
    line->free_slots[line->given++ % client->depth] = slot_index;
    client->in_flight--;
}

/* Of the slot's record: the second half of BENCH_MODIFY, or once more what was refused. */
static void write_again(struct bench_client *client, struct line *line, uint32_t slot_index)
{
    struct bench_op op = {.record = line->slots[slot_index].record};
    bench_key_print(op.record, op.key);
    encode(client, line, slot_index, &op, BENCH_METHOD_WRITE);
}

/* --- ids --- */

/* A redirect: the slot waits until all of its connection are answered. False: it is none. */
static bool take_redirect(struct bench_client *client, struct line *line, struct slot *slot,
                          const struct bench_reply *reply)
{
    struct bench_answer answer = {0};
    if (!reply->is_error || slot->kind != BENCH_MINT) {
        return false;
    }
    client->driver->body->answer(BENCH_METHOD_MINT, reply->whole, &answer);
    if (answer.kind != BENCH_ANSWER_MOVED) {
        return false;
    }
    if (answer.epoch > line->owner_epoch) {
        line->owner = answer.server;
        line->owner_epoch = answer.epoch;
    } else if (line->moved_count == 0) {
        client->wants_rest = true; /* two servers send it to each other */
    }
    slot->is_moved = true;
    line->moved_count++;
    return true;
}

static void mint_moved(struct bench_client *client, struct line *line)
{
    const struct bench_op op = {.point = line->home};
    for (uint32_t i = 0; i < client->depth; i++) {
        if (line->slots[i].is_taken && line->slots[i].is_moved) {
            line->slots[i].is_moved = false;
            encode(client, line, i, &op, BENCH_METHOD_MINT);
        }
    }
    line->moved_count = 0;
}

/* All that the connection has asked is answered, and some of it by a redirect: goes to the owner, and asks there. */
static void follow(struct bench_client *client, struct line *line)
{
    const char *problem = NULL;
    close(line->fd);
    buffer_clear(&line->output);
    buffer_clear(&line->input);
    line->sent = 0;
    line->wants_write = false;
    line->fd = bench_connect(&line->owner, &problem);
    if (line->fd < 0) {
        break_off_text(client, problem);
    } else if (!watch(client, line, EPOLL_CTL_ADD, EPOLLIN)) {
        break_off_text(client, socket_error_text(errno));
    } else {
        mint_moved(client, line);
    }
}

static void note_gap(struct bench_client *client, uint64_t at_ns)
{
    uint64_t gap_ns = client->id_ns > 0 && at_ns > client->id_ns ? at_ns - client->id_ns : 0;
    struct bench_tally *tally = client->tally;
    tally->longest_gap_ns = gap_ns > tally->longest_gap_ns ? gap_ns : tally->longest_gap_ns;
}

/* With more than one under way on a connection replies may overtake. */
static void take_ids(struct bench_client *client, struct line *line, const struct slot *slot,
                     const struct bench_reply *reply, uint64_t at_ns)
{
    struct bench_minted minted = {.shard = id_shard_of_point(slot->point),
                                  .count = client->mint_count,
                                  .last = client->depth == 1 ? line->last_id : 0};
    struct bench_tally *tally = client->tally;
    bool is_mint = slot->kind == BENCH_MINT;
    const char *wrong = is_mint ? bench_ids_take_mint(client->ids, reply->result, &minted)
                                : bench_ids_take_put(client->ids, reply->result, minted.shard);
    if (wrong) {
        note_error(tally, bytes_text(wrong));
        tally->wrong_ids++;
        tally->wrong = wrong;
    }
    note_gap(client, at_ns);
    client->id_ns = at_ns;
    line->last_id = minted.last;
    tally->ids += is_mint ? minted.taken : 1;
}

/* False: the reply belongs to no request. */
static bool take_reply(struct bench_client *client, struct line *line,
                       const struct bench_reply *reply, uint64_t at_ns)
{
    uint32_t replies = line->replies++;
    uint32_t slot_index = client->driver->is_in_order ? replies % client->depth : reply->slot;
    if (slot_index >= client->depth || !line->slots[slot_index].is_taken) {
        return false;
    }
    struct slot *slot = &line->slots[slot_index];
    /* All records are to be loaded, however long it takes; what is measured has to be in time. */
    if (reply->is_later && client->workload->mix.keys == BENCH_KEYS_EACH) {
        client->wants_rest = true;
        write_again(client, line, slot_index);
        return true;
    }
    if (take_redirect(client, line, slot, reply)) {
        return true;
    }
    if (reply->is_error) {
        note_error(client->tally, reply->error);
    } else if (slot->kind == BENCH_MODIFY && !slot->is_written) {
        slot->is_written = true;
        write_again(client, line, slot_index);
        return true;
    } else {
        client->tally->missing += reply->is_missing;
        if (client->ids) {
            take_ids(client, line, slot, reply, at_ns);
        }
        uint64_t time_ns = at_ns > slot->begun_ns ? at_ns - slot->begun_ns : 0;
        bench_histogram_add(&client->tally->kinds[slot->kind], time_ns);
    }
    give_slot(client, line, slot_index);
    return true;
}

/* Returns how many bytes whole replies took. */
static size_t take_replies(struct bench_client *client, struct line *line, struct bytes input,
                           uint64_t at_ns)
{
    size_t used = 0;
    while (used < input.len && !client->is_broken) {
        struct bench_reply reply;
        struct bytes rest = bytes_of((const uint8_t *)input.data + used, input.len - used);
        enum bench_decoded decoded = bench_driver_decode(client->driver, rest, &reply);
        if (decoded == BENCH_DECODED_PARTIAL) {
            break;
        }
        if (decoded == BENCH_DECODED_BROKEN) {
            break_off(client, reply.error);
        } else if (!take_reply(client, line, &reply, at_ns)) {
            break_off_text(client, "a reply to no request");
        }
        used += reply.len;
    }
    return used;
}

/* The bytes go where a reply's beginning is, or, usually, where there is none, to the scratch. */
static void read_line(struct bench_client *client, struct line *line)
{
    bool has_rest = line->input.len > 0;
    uint8_t *to = has_rest ? buffer_reserve(&line->input, READ_LEN) : client->scratch;
    if (!to) {
        break_off_text(client, "out of memory");
        return;
    }
    ssize_t len = read(line->fd, to, READ_LEN);
    if (len <= 0) {
        if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
            break_off_text(client, len == 0 ? "the server closed the connection"
                                            : socket_error_text(errno));
        }
        return;
    }
    uint64_t at_ns = bench_now_ns();
    client->heard_ns = at_ns;
    if (has_rest) {
        line->input.len += (size_t)len;
        buffer_consume(&line->input, take_replies(client, line, buffer_bytes(&line->input), at_ns));
    } else {
        size_t used = take_replies(client, line, bytes_of(to, (size_t)len), at_ns);
        buffer_append(&line->input, to + used, (size_t)len - used);
    }
    if (line->moved_count > 0 && line->moved_count == line->taken - line->given &&
        !client->is_broken) {
        follow(client, line);
    }
    if (client->rate == 0) {
        fill(client, line, at_ns);
    }
    flush(client, line);
}

static void on_event(struct bench_client *client, const struct epoll_event *event)
{
    struct line *line = event->data.ptr;
    if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        read_line(client, line);
    }
    if ((event->events & EPOLLOUT) && !client->is_broken) {
        flush(client, line);
    }
}

/* --- running --- */

static uint64_t sooner(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Until the deadline or the end of patience, in the open loop at most until a request is due. */
static uint64_t wait_until(const struct bench_client *client, uint64_t deadline_ns)
{
    uint64_t until_ns = sooner(deadline_ns, client->heard_ns + SILENCE_NS_MAX);
    if (client->rate == 0 || is_full(client)) {
        return until_ns;
    }
    return sooner(until_ns, intended_ns(client, client->issued));
}

static void turn(struct bench_client *client, uint64_t deadline_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t until_ns = wait_until(client, deadline_ns);
    uint64_t at_ns = bench_now_ns();
    uint64_t left_ns = until_ns > at_ns ? until_ns - at_ns : 0;
    struct timespec timeout = {(time_t)(left_ns / BENCH_NS_PER_S),
                               (long)(left_ns % BENCH_NS_PER_S)};
    int count = epoll_pwait2(client->poller, events, EVENTS_MAX, &timeout, NULL);
    for (int i = 0; i < count && !client->is_broken; i++) {
        on_event(client, &events[i]);
    }
    if (client->rate != 0 && !client->is_broken) {
        issue_due(client);
    }
    if (client->wants_rest) {
        const struct timespec rest = {.tv_nsec = REST_NS};
        client->wants_rest = false;
        (void)nanosleep(&rest, NULL);
    }
}

static void begin(struct bench_client *client)
{
    client->heard_ns = bench_now_ns();
    if (client->rate == 0) {
        fill_all(client);
    } else if (client->start_ns == 0) {
        client->start_ns = bench_now_ns();
    }
}

enum bench_ended bench_client_run(struct bench_client *client, uint64_t duration_ns,
                                  struct bench_tally *tally)
{
    uint64_t begun_ns = bench_now_ns();
    uint64_t deadline_ns = duration_ns == 0 ? UINT64_MAX : begun_ns + duration_ns;
    enum bench_ended ended = BENCH_ENDED_TIME;
    client->tally = tally;
    begin(client);
    while (!client->is_broken && bench_now_ns() < deadline_ns) {
        if (bench_is_interrupted()) {
            ended = BENCH_ENDED_INTERRUPTED;
            break;
        }
        if (client->is_exhausted && client->in_flight == 0) {
            ended = BENCH_ENDED_DONE;
            break;
        }
        turn(client, deadline_ns);
        if (client->in_flight > 0 && bench_now_ns() > client->heard_ns + SILENCE_NS_MAX) {
            break_off_text(client, "no reply for 30 s");
        }
    }
    tally->elapsed_ns = bench_now_ns() - begun_ns;
    note_gap(client, bench_now_ns());
    return client->is_broken ? BENCH_ENDED_BROKEN : ended;
}
