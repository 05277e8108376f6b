/* SPDX-License-Identifier: MIT */
#include "cli/bench_traffic.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench_io.h"
#include "cli/bench_random.h"
#include "io/socket.h"
#include "proto/endian.h"

/* Read at once; what is left over of it moves to the connection. */
#define READ_LEN (256u << 10)

/* Connections that are served before the clock is looked at again. */
#define EVENTS_MAX 512

/* Before what a server wants to be asked later is asked again. */
#define REST_NS (BENCH_NS_PER_S / 1000)

/* A client's patience: what was asked again and again for so long has failed. */
#define PATIENCE_NS (5 * BENCH_NS_PER_S)

/* A server that answers nothing for so long, though asked, is given up. */
#define SILENCE_NS_MAX (30 * BENCH_NS_PER_S)

/* Two servers that send a client to each other are asked again only after a rest. */
#define REDIRECTS_MAX 4

/* Draws that met a record with a write under way, after which it is read instead. */
#define DRAWS_MAX 8

/* The same in each run, so that two runs ask for the same. */
#define SEED 1

/* In `order`: the reply to `asking`, which nobody waits for. */
#define NO_OP UINT32_MAX

struct op {
    uint64_t due_ns;
    uint64_t rest_ns; /* until when it rests */
    uint64_t record;
    uint32_t least;     /* of a read: acknowledged when it was asked */
    uint32_t number;    /* of a write: what it makes the record */
    uint32_t server;    /* that was asked last */
    uint32_t redirects; /* since it last rested */
    enum bench_method method;
    bool is_asking;
};

/* One connection. */
struct line {
    int fd;
    uint32_t *slots;      /* the op of each */
    uint32_t *free_slots; /* a stack */
    uint32_t free_count;
    uint32_t *order; /* a ring of ops, or NO_OP, in which replies come: of a protocol in order */
    uint32_t asked, answered; /* counts of both, ever */
    bool wants_write;
    bool is_dirty; /* has something to send that nobody has tried to */
    size_t sent;   /* of output */
    struct buffer output;
    struct buffer input; /* the beginning of a reply whose end is not here */
};

struct bench_traffic {
    struct bench_traffic_config config;
    struct bench_traffic_counts counts;
    const struct bench_traffic_load *load;
    struct line **servers; /* of each server of the route, its lines; NULL: not connected */
    uint32_t *turns;       /* by server: the line that is next */
    uint32_t server_count;
    struct line **dirty;
    uint32_t dirty_count;
    struct op *ops;
    uint32_t *free_ops; /* a stack */
    uint32_t free_op_count;
    uint32_t op_count;
    uint32_t *resting; /* a ring of ops, in the order in which their rest ends */
    uint32_t rested, rest_count;
    uint64_t start_ns; /* of the open loop */
    uint64_t issued;   /* operations of the load so far */
    uint64_t heard_ns;
    struct bench_random random;
    uint8_t *value; /* random bytes, but for what encode puts at its beginning */
    uint8_t *scratch;
    int poller;
    int watched;
    bool has_event;
    bool is_broken;
};

void bench_traffic_key(uint64_t record, uint8_t key[BENCH_KEY_LEN])
{
    bench_key_print(record, key);
    key[0] = 'r';
}

/* --- what went wrong --- */

static void note_error(struct bench_traffic *traffic, struct bytes text)
{
    struct bench_traffic_counts *counts = &traffic->counts;
    counts->errors++;
    if (!*counts->first_error) {
        (void)snprintf(counts->first_error, sizeof(counts->first_error), "%.*s", (int)text.len,
                       (const char *)text.data);
    }
}

static void break_off(struct bench_traffic *traffic, const char *why)
{
    note_error(traffic, bytes_text(why));
    traffic->is_broken = true;
}

/* --- opening --- */

static const char *open_line(struct bench_traffic *traffic, struct line *line,
                             const struct address *address)
{
    uint32_t depth = traffic->config.pipeline;
    const char *problem = NULL;
    line->slots = calloc(depth, sizeof(*line->slots));
    line->free_slots = calloc(depth, sizeof(*line->free_slots));
    line->order = calloc(2 * (size_t)depth, sizeof(*line->order));
    if (!line->slots || !line->free_slots || !line->order) {
        return "out of memory";
    }
    for (uint32_t i = 0; i < depth; i++) {
        line->free_slots[line->free_count++] = i;
        line->slots[i] = NO_OP;
    }
    line->fd = bench_connect(address, &problem);
    if (line->fd < 0) {
        return problem;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = line};
    return epoll_ctl(traffic->poller, EPOLL_CTL_ADD, line->fd, &event) == 0
               ? NULL
               : socket_error_text(errno);
}

static const char *open_server(struct bench_traffic *traffic, uint32_t server)
{
    uint32_t count = traffic->config.connections;
    struct line *lines = calloc(count, sizeof(*lines));
    const char *problem = lines ? NULL : "out of memory";
    traffic->servers[server] = lines;
    for (uint32_t i = 0; lines && i < count; i++) {
        lines[i].fd = -1;
    }
    for (uint32_t i = 0; !problem && i < count; i++) {
        problem = open_line(traffic, &lines[i], &traffic->config.route->servers[server]);
    }
    return problem;
}

/* Connects to servers that the route has and this not yet. */
static bool open_servers(struct bench_traffic *traffic)
{
    uint32_t count = traffic->config.route->server_count;
    if (count == traffic->server_count) {
        return true;
    }
    struct line **servers = reallocarray(traffic->servers, count, sizeof(struct line *));
    traffic->servers = servers ? servers : traffic->servers;
    uint32_t *turns = reallocarray(traffic->turns, count, sizeof(*turns));
    traffic->turns = turns ? turns : traffic->turns;
    struct line **dirty = reallocarray(traffic->dirty, (size_t)count * traffic->config.connections,
                                       sizeof(struct line *));
    traffic->dirty = dirty ? dirty : traffic->dirty;
    if (!servers || !turns || !dirty) {
        break_off(traffic, "out of memory");
        return false;
    }
    while (traffic->server_count < count) {
        uint32_t server = traffic->server_count++;
        turns[server] = 0;
        const char *problem = open_server(traffic, server);
        if (problem) {
            char text[ADDRESS_TEXT_LEN + 200];
            address_print(&traffic->config.route->servers[server], text);
            (void)snprintf(text + strlen(text), 200, ": %s", problem);
            break_off(traffic, text);
            return false;
        }
    }
    return true;
}

static bool allocate(struct bench_traffic *traffic)
{
    uint32_t count = traffic->op_count;
    size_t value_len = traffic->config.value_len;
    traffic->ops = calloc(count, sizeof(*traffic->ops));
    traffic->free_ops = calloc(count, sizeof(*traffic->free_ops));
    traffic->resting = calloc(count, sizeof(*traffic->resting));
    traffic->value = malloc(value_len);
    traffic->scratch = malloc(READ_LEN);
    traffic->poller = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; traffic->value && i < value_len; i++) {
        traffic->value[i] = (uint8_t)bench_random_next(&traffic->random);
    }
    for (uint32_t i = 0; traffic->free_ops && i < count; i++) {
        traffic->free_ops[traffic->free_op_count++] = i;
    }
    return traffic->ops && traffic->free_ops && traffic->resting && traffic->value &&
           traffic->scratch && traffic->poller >= 0;
}

struct bench_traffic *bench_traffic_open(const struct bench_traffic_config *config, char *error,
                                         size_t error_len)
{
    assert(config->pipeline >= 1 && config->pipeline <= BENCH_SLOTS_MAX);
    assert(config->value_len >= BENCH_TRAFFIC_VALUE_MIN);
    struct bench_traffic *traffic = calloc(1, sizeof(*traffic));
    if (!traffic) {
        (void)snprintf(error, error_len, "out of memory");
        return NULL;
    }
    traffic->config = *config;
    traffic->random.state = SEED;
    traffic->op_count = config->connections * config->pipeline;
    traffic->watched = -1;
    if (!allocate(traffic) || !open_servers(traffic)) {
        (void)snprintf(error, error_len, "%s",
                       traffic->is_broken ? traffic->counts.first_error : "out of memory");
        bench_traffic_close(traffic);
        return NULL;
    }
    bench_catch_signals();
    /* The kernel would gather wake-ups that are up to 50 us apart. */
    (void)prctl(PR_SET_TIMERSLACK, 1);
    return traffic;
}

static void close_lines(struct line *lines, uint32_t count)
{
    for (uint32_t i = 0; lines && i < count; i++) {
        if (lines[i].fd >= 0) {
            close(lines[i].fd);
        }
        buffer_fini(&lines[i].output);
        buffer_fini(&lines[i].input);
        free(lines[i].slots);
        free(lines[i].free_slots);
        free(lines[i].order);
    }
    free(lines);
}

void bench_traffic_close(struct bench_traffic *traffic)
{
    if (!traffic) {
        return;
    }
    for (uint32_t i = 0; i < traffic->server_count; i++) {
        close_lines(traffic->servers[i], traffic->config.connections);
    }
    if (traffic->poller >= 0) {
        close(traffic->poller);
    }
    free((void *)traffic->servers);
    free((void *)traffic->dirty);
    free(traffic->turns);
    free(traffic->ops);
    free(traffic->free_ops);
    free(traffic->resting);
    free(traffic->value);
    free(traffic->scratch);
    free(traffic);
}

const struct bench_traffic_counts *bench_traffic_counts(const struct bench_traffic *traffic)
{
    return &traffic->counts;
}

/* --- sending --- */

/* The next line of the server, in turn, with a free slot: there are as many slots as operations. */
static struct line *free_line(struct bench_traffic *traffic, uint32_t server)
{
    uint32_t count = traffic->config.connections;
    for (uint32_t i = 0; i < count; i++) {
        struct line *line = &traffic->servers[server][traffic->turns[server]];
        traffic->turns[server] =
            traffic->turns[server] + 1 == count ? 0 : traffic->turns[server] + 1;
        if (line->free_count > 0) {
            return line;
        }
    }
    return NULL;
}

static void expect(const struct bench_traffic *traffic, struct line *line, uint32_t op_index)
{
    line->order[line->asked++ % (2 * traffic->config.pipeline)] = op_index;
}

static void encode(struct bench_traffic *traffic, struct line *line, const struct op *op,
                   uint32_t slot)
{
    struct bench_request request = {.method = op->method, .slot = slot, .value = traffic->value};
    bench_traffic_key(op->record, request.key);
    if (op->method == BENCH_METHOD_WRITE) {
        endian_put_le64(traffic->value, op->number);
        endian_put_le64(traffic->value + 8, op->record);
    }
    bench_driver_encode(traffic->config.driver, &request, &line->output);
}

static void send_op(struct bench_traffic *traffic, uint32_t op_index, uint32_t server)
{
    struct op *op = &traffic->ops[op_index];
    struct line *line = free_line(traffic, server);
    assert(line);
    uint32_t slot = line->free_slots[--line->free_count];
    op->server = server;
    line->slots[slot] = op_index;
    if (op->is_asking) {
        op->is_asking = false;
        buffer_append_bytes(&line->output, traffic->config.driver->asking);
        expect(traffic, line, NO_OP);
    }
    expect(traffic, line, slot);
    encode(traffic, line, op, slot);
    if (!line->is_dirty) {
        line->is_dirty = true;
        traffic->dirty[traffic->dirty_count++] = line;
    }
}

static void flush(struct bench_traffic *traffic, struct line *line)
{
    if (line->output.failed) {
        break_off(traffic, "out of memory");
    } else if (!bench_send(line->fd, &line->output, &line->sent)) {
        break_off(traffic, socket_error_text(errno));
    }
    bool wants_write = line->output.len > 0;
    if (wants_write != line->wants_write) {
        struct epoll_event event = {.events = wants_write ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                    .data.ptr = line};
        line->wants_write = wants_write;
        (void)epoll_ctl(traffic->poller, EPOLL_CTL_MOD, line->fd, &event);
    }
}

static void flush_all(struct bench_traffic *traffic)
{
    for (uint32_t i = 0; i < traffic->dirty_count && !traffic->is_broken; i++) {
        traffic->dirty[i]->is_dirty = false;
        flush(traffic, traffic->dirty[i]);
    }
    traffic->dirty_count = 0;
}

static uint32_t place_of(const struct bench_traffic *traffic, uint64_t record)
{
    uint8_t key[BENCH_KEY_LEN];
    bench_traffic_key(record, key);
    return traffic->config.driver->body->place(bytes_of(key, sizeof(key)));
}

static uint32_t owner_of(const struct bench_traffic *traffic, uint64_t record)
{
    return bench_route_find(traffic->config.route, place_of(traffic, record));
}

/* --- what is asked next --- */

static uint64_t draw(struct bench_traffic *traffic)
{
    const struct bench_traffic_load *load = traffic->load;
    uint64_t index = bench_random_below(&traffic->random, load->record_count);
    return load->records ? load->records[index] : index;
}

/* A write of a record that none is under way to; false when that is hard to find. */
static bool draw_write(struct bench_traffic *traffic, struct op *op)
{
    for (unsigned i = 0; i < DRAWS_MAX; i++) {
        op->record = draw(traffic);
        op->number = bench_ledger_begin(traffic->config.ledger, op->record);
        if (op->number > 0) {
            return true;
        }
    }
    return false;
}

static void make_read(const struct bench_traffic *traffic, struct op *op, uint64_t record)
{
    op->method = BENCH_METHOD_READ;
    op->record = record;
    op->least = bench_ledger_acknowledged(traffic->config.ledger, record);
}

static enum bench_method write_method(uint64_t record)
{
    return bench_ledger_is_integer(record) ? BENCH_METHOD_INCR : BENCH_METHOD_WRITE;
}

static void draw_mixed(struct bench_traffic *traffic, struct op *op)
{
    bool is_read = bench_random_below(&traffic->random, 100) < traffic->load->read_percent;
    if (!is_read && draw_write(traffic, op)) {
        op->method = write_method(op->record);
    } else {
        make_read(traffic, op, draw(traffic));
    }
}

static bool has_next(const struct bench_traffic *traffic)
{
    switch (traffic->load->kind) {
    case BENCH_TRAFFIC_MIX:
        return true;
    case BENCH_TRAFFIC_LOAD:
    case BENCH_TRAFFIC_VERIFY:
        return traffic->issued < traffic->load->record_count;
    case BENCH_TRAFFIC_IDLE:
    case BENCH_TRAFFIC_DRAIN:
        break;
    }
    return false;
}

/* has_next, and an operation is free. */
static void begin_op(struct bench_traffic *traffic, uint64_t due_ns)
{
    bool is_first = traffic->free_op_count == traffic->op_count;
    uint32_t op_index = traffic->free_ops[--traffic->free_op_count];
    struct op *op = &traffic->ops[op_index];
    *op = (struct op){.due_ns = due_ns};
    if (traffic->load->kind == BENCH_TRAFFIC_MIX) {
        draw_mixed(traffic, op);
    } else if (traffic->load->kind == BENCH_TRAFFIC_VERIFY) {
        make_read(traffic, op, traffic->issued);
    } else {
        op->record = traffic->issued;
        op->method = write_method(op->record);
        op->number = bench_ledger_begin(traffic->config.ledger, op->record);
    }
    traffic->issued++;
    traffic->heard_ns = is_first ? bench_now_ns() : traffic->heard_ns;
    send_op(traffic, op_index, owner_of(traffic, op->record));
}

/* When operation `index` of the open loop is due. */
static uint64_t due_at(const struct bench_traffic *traffic, uint64_t index)
{
    uint64_t rate = traffic->load->rate;
    return traffic->start_ns + index / rate * BENCH_NS_PER_S + index % rate * BENCH_NS_PER_S / rate;
}

/* All whose time has come, as far as operations are free. */
static void issue(struct bench_traffic *traffic)
{
    uint64_t at_ns = bench_now_ns();
    bool is_open = traffic->load->rate > 0;
    while (has_next(traffic) && traffic->free_op_count > 0) {
        uint64_t due_ns = is_open ? due_at(traffic, traffic->issued) : at_ns;
        if (due_ns > at_ns) {
            break;
        }
        begin_op(traffic, due_ns);
    }
}

/* --- replies --- */

static void free_op(struct bench_traffic *traffic, uint32_t op_index)
{
    traffic->free_ops[traffic->free_op_count++] = op_index;
}

/* The number that a read found: 0 for what is no value of this record. */
static int64_t number_found(const struct bench_traffic *traffic, const struct op *op,
                            const struct bench_answer *answer)
{
    const uint8_t *value = answer->value.data;
    if (answer->kind == BENCH_ANSWER_MISSING) {
        return 0;
    }
    if (bench_ledger_is_integer(op->record)) {
        return answer->has_number ? answer->number : 0;
    }
    if (answer->value.len != traffic->config.value_len ||
        endian_get_le64(value + 8) != op->record) {
        return 0;
    }
    return (int64_t)endian_get_le64(value);
}

static void take_incr(struct bench_traffic *traffic, const struct op *op,
                      const struct bench_answer *answer)
{
    struct bench_ledger *ledger = traffic->config.ledger;
    int64_t sum = answer->has_number ? answer->number : 0;
    if (traffic->load->kind == BENCH_TRAFFIC_LOAD) {
        bench_ledger_found(ledger, op->record, sum);
    } else {
        bench_ledger_check_sum(ledger, op->record, sum);
        bench_ledger_acknowledge(ledger, op->record);
    }
}

static void finish(struct bench_traffic *traffic, uint32_t op_index,
                   const struct bench_answer *answer, uint64_t at_ns)
{
    struct op *op = &traffic->ops[op_index];
    struct bench_ledger *ledger = traffic->config.ledger;
    if (op->method == BENCH_METHOD_READ) {
        bench_ledger_check_read(ledger, op->record, op->least, number_found(traffic, op, answer));
    } else if (op->method == BENCH_METHOD_INCR) {
        take_incr(traffic, op, answer);
    } else {
        bench_ledger_acknowledge(ledger, op->record);
    }
    traffic->counts.done++;
    bench_timeline_add(traffic->config.timeline, op->due_ns, at_ns);
    free_op(traffic, op_index);
}

static void fail(struct bench_traffic *traffic, uint32_t op_index, bool is_unknown,
                 struct bytes why)
{
    struct op *op = &traffic->ops[op_index];
    note_error(traffic, why);
    if (op->method != BENCH_METHOD_READ) {
        if (is_unknown) {
            bench_ledger_leave_unknown(traffic->config.ledger, op->record);
        } else {
            bench_ledger_refuse(traffic->config.ledger, op->record);
        }
    }
    free_op(traffic, op_index);
}

/* It was not done: that it rests long enough is an error, but while loading, which must succeed. */
static void rest(struct bench_traffic *traffic, uint32_t op_index, uint64_t at_ns, struct bytes why)
{
    struct op *op = &traffic->ops[op_index];
    if (at_ns > op->due_ns + PATIENCE_NS && traffic->load->kind != BENCH_TRAFFIC_LOAD) {
        fail(traffic, op_index, false, why);
        return;
    }
    traffic->counts.laters++;
    op->rest_ns = at_ns + REST_NS;
    op->redirects = 0;
    traffic->resting[(traffic->rested + traffic->rest_count++) % traffic->op_count] = op_index;
}

static void wake(struct bench_traffic *traffic)
{
    uint64_t at_ns = traffic->rest_count > 0 ? bench_now_ns() : 0;
    while (traffic->rest_count > 0) {
        uint32_t op_index = traffic->resting[traffic->rested % traffic->op_count];
        if (traffic->ops[op_index].rest_ns > at_ns) {
            return;
        }
        traffic->rested = (traffic->rested + 1) % traffic->op_count;
        traffic->rest_count--;
        send_op(traffic, op_index, owner_of(traffic, traffic->ops[op_index].record));
    }
}

static void follow(struct bench_traffic *traffic, uint32_t op_index,
                   const struct bench_answer *answer, uint64_t at_ns)
{
    struct op *op = &traffic->ops[op_index];
    struct bench_route *route = traffic->config.route;
    uint32_t server = bench_route_server(route, &answer->server);
    traffic->counts.redirects++;
    if (server == UINT32_MAX || !open_servers(traffic)) {
        traffic->is_broken = true;
        return;
    }
    if (answer->kind == BENCH_ANSWER_MOVED) {
        (void)bench_route_set(route, answer->start, answer->end, server, answer->epoch);
        server = owner_of(traffic, op->record);
    }
    op->is_asking = answer->kind == BENCH_ANSWER_ASK;
    if (server == op->server || op->redirects++ == REDIRECTS_MAX) {
        op->is_asking = false;
        rest(traffic, op_index, at_ns, bytes_text("servers send the client to each other"));
    } else {
        send_op(traffic, op_index, server);
    }
}

static void take_answer(struct bench_traffic *traffic, uint32_t op_index,
                        const struct bench_answer *answer, struct bytes why, uint64_t at_ns)
{
    switch (answer->kind) {
    case BENCH_ANSWER_DONE:
    case BENCH_ANSWER_MISSING:
        finish(traffic, op_index, answer, at_ns);
        break;
    case BENCH_ANSWER_LATER:
        rest(traffic, op_index, at_ns, why);
        break;
    case BENCH_ANSWER_MOVED:
    case BENCH_ANSWER_ASK:
        follow(traffic, op_index, answer, at_ns);
        break;
    case BENCH_ANSWER_REFUSED:
    case BENCH_ANSWER_UNKNOWN:
        fail(traffic, op_index, answer->kind == BENCH_ANSWER_UNKNOWN, why);
        break;
    }
}

/* The slot that the reply belongs to; NO_OP of one that nobody waits for. False: of none. */
static bool find_slot(const struct bench_traffic *traffic, struct line *line,
                      const struct bench_reply *reply, uint32_t *slot)
{
    uint32_t depth = traffic->config.pipeline;
    if (line->asked == line->answered) {
        return false;
    }
    uint32_t answered = line->answered++;
    *slot = reply->slot;
    if (traffic->config.driver->is_in_order) {
        *slot = line->order[answered % (2 * depth)];
        return true;
    }
    return *slot < depth && line->slots[*slot] != NO_OP;
}

static void take_reply(struct bench_traffic *traffic, struct line *line, struct bytes frame,
                       const struct bench_reply *reply, uint64_t at_ns)
{
    struct bench_answer answer = {0};
    uint32_t slot = 0;
    if (!find_slot(traffic, line, reply, &slot)) {
        break_off(traffic, "a reply to no request");
        return;
    }
    if (slot == NO_OP) {
        return;
    }
    uint32_t op_index = line->slots[slot];
    enum bench_method method = traffic->ops[op_index].method;
    line->slots[slot] = NO_OP;
    line->free_slots[line->free_count++] = slot;
    if (reply->is_error || method != BENCH_METHOD_WRITE) {
        traffic->config.driver->body->answer(method, frame, &answer);
    }
    take_answer(traffic, op_index, &answer, reply->error, at_ns);
}

/* Returns how many bytes whole replies took. */
static size_t take_replies(struct bench_traffic *traffic, struct line *line, struct bytes input,
                           uint64_t at_ns)
{
    size_t used = 0;
    while (used < input.len && !traffic->is_broken) {
        struct bench_reply reply;
        struct bytes left = bytes_of((const uint8_t *)input.data + used, input.len - used);
        enum bench_decoded decoded = bench_driver_decode(traffic->config.driver, left, &reply);
        if (decoded == BENCH_DECODED_PARTIAL) {
            break;
        }
        if (decoded == BENCH_DECODED_BROKEN) {
            note_error(traffic, reply.error);
            traffic->is_broken = true;
        } else {
            take_reply(traffic, line, bytes_of(left.data, reply.len), &reply, at_ns);
        }
        used += reply.len;
    }
    return used;
}

/* The bytes go where a reply's beginning is, or, usually, where there is none, to the scratch. */
static void read_line(struct bench_traffic *traffic, struct line *line)
{
    bool has_rest = line->input.len > 0;
    uint8_t *to = has_rest ? buffer_reserve(&line->input, READ_LEN) : traffic->scratch;
    if (!to) {
        break_off(traffic, "out of memory");
        return;
    }
    ssize_t len = read(line->fd, to, READ_LEN);
    if (len <= 0) {
        if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
            break_off(traffic,
                      len == 0 ? "a server closed the connection" : socket_error_text(errno));
        }
        return;
    }
    uint64_t at_ns = bench_now_ns();
    traffic->heard_ns = at_ns;
    if (has_rest) {
        line->input.len += (size_t)len;
        size_t used = take_replies(traffic, line, buffer_bytes(&line->input), at_ns);
        buffer_consume(&line->input, used);
    } else {
        size_t used = take_replies(traffic, line, bytes_of(to, (size_t)len), at_ns);
        buffer_append(&line->input, to + used, (size_t)len - used);
    }
}

static void on_event(struct bench_traffic *traffic, const struct epoll_event *event)
{
    struct line *line = event->data.ptr;
    if (!line) {
        traffic->has_event = true;
        return;
    }
    if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        read_line(traffic, line);
    }
    if ((event->events & EPOLLOUT) && !traffic->is_broken) {
        flush(traffic, line);
    }
}

/* --- running --- */

/* Nothing is under way. */
static bool is_quiet(const struct bench_traffic *traffic)
{
    return traffic->free_op_count == traffic->op_count;
}

static uint64_t sooner(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t wait_until(const struct bench_traffic *traffic, uint64_t deadline_ns)
{
    uint64_t patience_ns = is_quiet(traffic) ? UINT64_MAX : traffic->heard_ns + SILENCE_NS_MAX;
    uint64_t until_ns = sooner(deadline_ns, patience_ns);
    if (traffic->rest_count > 0) {
        uint32_t op_index = traffic->resting[traffic->rested];
        until_ns = sooner(until_ns, traffic->ops[op_index].rest_ns);
    }
    if (traffic->load->rate > 0 && traffic->free_op_count > 0 && has_next(traffic)) {
        until_ns = sooner(until_ns, due_at(traffic, traffic->issued));
    }
    return until_ns;
}

static void turn(struct bench_traffic *traffic, uint64_t deadline_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t until_ns = wait_until(traffic, deadline_ns);
    uint64_t at_ns = bench_now_ns();
    uint64_t left_ns = until_ns > at_ns ? until_ns - at_ns : 0;
    struct timespec timeout = {(time_t)(left_ns / BENCH_NS_PER_S),
                               (long)(left_ns % BENCH_NS_PER_S)};
    int count = epoll_pwait2(traffic->poller, events, EVENTS_MAX, &timeout, NULL);
    for (int i = 0; i < count && !traffic->is_broken; i++) {
        on_event(traffic, &events[i]);
    }
    if (!traffic->is_broken) {
        wake(traffic);
        issue(traffic);
        flush_all(traffic);
    }
}

static void watch(struct bench_traffic *traffic, int watched)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (watched != traffic->watched) {
        if (traffic->watched >= 0) {
            (void)epoll_ctl(traffic->poller, EPOLL_CTL_DEL, traffic->watched, NULL);
        }
        if (watched >= 0) {
            (void)epoll_ctl(traffic->poller, EPOLL_CTL_ADD, watched, &event);
        }
        traffic->watched = watched;
    }
}

static void begin(struct bench_traffic *traffic, const struct bench_traffic_load *load)
{
    traffic->heard_ns = bench_now_ns();
    traffic->has_event = false;
    if (load != traffic->load) {
        traffic->load = load;
        traffic->start_ns = traffic->heard_ns;
        traffic->issued = 0;
    }
    issue(traffic);
    flush_all(traffic);
}

static bool is_done(const struct bench_traffic *traffic)
{
    return traffic->load->kind != BENCH_TRAFFIC_IDLE && !has_next(traffic) && is_quiet(traffic);
}

enum bench_traffic_ended bench_traffic_run(struct bench_traffic *traffic,
                                           const struct bench_traffic_load *load,
                                           uint64_t duration_ns, int watched)
{
    uint64_t deadline_ns = duration_ns == 0 ? UINT64_MAX : bench_now_ns() + duration_ns;
    watch(traffic, watched);
    begin(traffic, load);
    while (!traffic->is_broken && bench_now_ns() < deadline_ns) {
        if (bench_is_interrupted()) {
            return BENCH_TRAFFIC_INTERRUPTED;
        }
        if (traffic->has_event) {
            return BENCH_TRAFFIC_EVENT;
        }
        if (is_done(traffic)) {
            return BENCH_TRAFFIC_DONE;
        }
        turn(traffic, deadline_ns);
        if (!is_quiet(traffic) && bench_now_ns() > traffic->heard_ns + SILENCE_NS_MAX) {
            break_off(traffic, "no reply for 30 s");
        }
    }
    return traffic->is_broken ? BENCH_TRAFFIC_BROKEN : BENCH_TRAFFIC_TIME;
}
