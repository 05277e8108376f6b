/* SPDX-License-Identifier: MIT */
#include "io/conn.h"

#include "io/budget.h"
#include "io/hold.h"
#include "tests/sim/accept.h"
#include "tests/sim/turn.h"

#include <assert.h>
#include <stdlib.h>

/* Bytes read in one turn. */
#define READ_LEN (64u << 10)

/* Input of a turn after which its hooks run early: much less than in io/conn.c, so that it happens. */
#define INPUTS_LEN_MAX (16u << 10)

/* Likewise the part that a loop's limit of kept input is of what was asked for. */
#define INPUT_LIMIT_PART 128

/* What comes out of freed input. */
#define POISON 0xdb

#define PROGRESS_US (UINT64_C(1000) * CONN_PROGRESS_MS)

/* A copy of its own for each on_input, so that a look behind its end is found, too. */
struct conn_input {
    struct conn_input *next;
    size_t len;
    uint8_t data[];
};

/*
 *     CONNECTING --> OPEN --finish--> LINGERING --> ENDED --> freed
 *         |            |                              ^
 *         +------------+------------close-------------+
 *
 * As in io/conn.c: a lingering one has been told, and waits for the other side to close, too.
 */
enum conn_state { CONNECTING, OPEN, LINGERING, ENDED };

struct conn {
    struct conn *next; /* of the loop's */
    struct loop *loop;
    struct endpoint *endpoint;
    const struct conn_handler *handler;
    void *context;
    loop_callback *on_free;
    void *on_free_context;

    enum conn_state state;
    bool is_finishing;
    bool is_paused;
    bool is_resting;
    bool is_resumed; /* on_input may have stopped for the same reason */
    bool is_told;
    struct ready ready;
    struct buffer input;
    struct budget_part input_part;
    struct buffer output;
    uint64_t sent_len; /* that the network has taken, ever */
    struct hold hold;
    struct event rest;     /* set while resting */
    struct event progress; /* set while something has begun and must go on */
    size_t progress_len;
    const char *reason;
    char remote[ADDRESS_TEXT_LEN];
};

static struct budget *input_budget(const struct conn *conn)
{
    return &loop_conns(conn->loop)->input_budget;
}

static bool is_favoured(const struct conn *conn)
{
    return input_budget(conn)->favoured == &conn->input_part;
}

static void end(struct conn *conn, const char *reason)
{
    if (conn->state == ENDED) {
        return;
    }
    budget_leave(input_budget(conn), &conn->input_part);
    conn->state = ENDED;
    conn->reason = conn->is_told ? conn->reason : reason;
    hold_fini(&conn->hold);
    endpoint_close(conn->endpoint);
    conn->endpoint = NULL;
    event_clear(&conn->progress);
    event_clear(&conn->rest);
    loop_unready(conn->loop, &conn->ready);
    loop_wake(conn->loop);
}

static void watch_progress(struct conn *conn)
{
    conn->progress_len = 0;
    event_set(&conn->progress, PROGRESS_US);
}

/* What of the output may leave now. */
static size_t free_len(const struct conn *conn)
{
    return hold_is_empty(&conn->hold) ? conn->output.len
                                      : (size_t)(conn->hold.free_end - conn->sent_len);
}

static void on_no_progress(void *context)
{
    struct conn *conn = context;
    if (conn->state == OPEN && conn->is_finishing && free_len(conn) == 0) {
        watch_progress(conn); /* it waits for us */
        return;
    }
    bool is_input = conn->state == OPEN && !conn->is_finishing;
    if (is_input) {
        count(COUNT_PROGRESS_CLOSE);
    }
    end(conn, is_input ? "stopped in the middle of a message" : "took too long");
}

/* --- input --- */

static bool is_stopped(const struct conn *conn)
{
    return conn->is_paused || conn->is_resting;
}

/* The favoured one must go on, even if it was stopped: others wait for it. */
static void stop_progress(struct conn *conn)
{
    if (!is_favoured(conn)) {
        event_clear(&conn->progress);
    }
}

static void note_progress(struct conn *conn, size_t received, size_t consumed)
{
    bool is_still = conn->input_part.is_waiting || (is_stopped(conn) && !is_favoured(conn));
    conn->progress_len += received;
    if (conn->input.len == 0 || is_still) {
        event_clear(&conn->progress);
    } else if (consumed > 0 || !event_is_set(&conn->progress) ||
               conn->progress_len >= CONN_PROGRESS_BYTES) {
        watch_progress(conn);
    }
}

static bool is_output_scarce(struct loop *loop)
{
    const struct loop_conns *conns = loop_conns(loop);
    return conns->output_limit > 0 && conn_output_total(loop) > conns->output_limit;
}

static size_t output_pause(const struct conn *conn)
{
    const struct loop_conns *conns = loop_conns(conn->loop);
    if (!is_output_scarce(conn->loop)) {
        return CONN_OUTPUT_PAUSE;
    }
    size_t share = budget_share(conns->output_limit, conns->input_budget.count);
    return share < CONN_OUTPUT_PAUSE ? share : CONN_OUTPUT_PAUSE;
}

/* Whatever the others have, so little pauses nobody: their sum need not be made for each of hundreds. */
static bool is_output_little(const struct conn *conn)
{
    const struct loop_conns *conns = loop_conns(conn->loop);
    size_t share = budget_share(conns->output_limit, conns->input_budget.count);
    return conn->output.len <= share && conn->output.len <= CONN_OUTPUT_PAUSE;
}

static void weigh_output(struct conn *conn)
{
    if (!conn->is_paused && is_output_little(conn)) {
        return;
    }
    size_t pause = output_pause(conn);
    if (conn->output.len > CONN_OUTPUT_MAX) {
        end(conn, "does not read its replies");
    } else if (conn->output.len > pause) {
        conn->is_paused = true;
        stop_progress(conn);
    } else if (conn->is_paused && conn->output.len < pause / 2) {
        conn->is_paused = false;
        conn->is_resumed |= conn->input.len > 0;
        loop_ready(conn->loop, &conn->ready);
    }
}

static void on_rested(void *context)
{
    struct conn *conn = context;
    conn->is_resting = false;
    conn->is_resumed |= conn->input.len > 0;
    loop_ready(conn->loop, &conn->ready);
}

/* As much as is there, or less: a read may end anywhere. */
static size_t receive(struct conn *conn)
{
    size_t arrived = endpoint_arrived(conn->endpoint);
    size_t len = arrived < READ_LEN ? arrived : READ_LEN;
    if (len > 0) {
        len = budget_ask(input_budget(conn), &conn->input_part, conn->input.len, len, len);
    }
    if (conn->input_part.is_waiting) {
        count(COUNT_INPUT_WAIT);
        event_clear(&conn->progress);
        return 0;
    }
    if (len > 1 && world_chance(world_swarm()->split_ppm)) {
        len = (size_t)world_between(1, len);
    }
    uint8_t *to = len ? buffer_reserve(&conn->input, len) : NULL;
    size_t received = to ? endpoint_read(conn->endpoint, to, len) : 0;
    conn->input.len += received;
    if (received < arrived) {
        loop_ready(conn->loop, &conn->ready);
    }
    return received;
}

static struct bytes copy_input(struct conn *conn)
{
    struct loop_conns *conns = loop_conns(conn->loop);
    struct conn_input *input = malloc(sizeof *input + conn->input.len);
    assert(input);
    input->next = conns->inputs;
    input->len = conn->input.len;
    if (input->len) {
        memcpy(input->data, conn->input.data, input->len);
    }
    conns->inputs = input;
    conns->inputs_len += input->len;
    return bytes_of(input->data, input->len);
}

void conn_drop_inputs(struct loop *loop)
{
    struct loop_conns *conns = loop_conns(loop);
    while (conns->inputs) {
        struct conn_input *input = conns->inputs;
        conns->inputs = input->next;
        memset(input->data, POISON, input->len);
        free(input);
    }
    conns->inputs_len = 0;
}

/* Its message has ended, or there is room. */
static void read_on(struct conn *conn)
{
    loop_ready(conn->loop, &conn->ready);
    if (conn->input.len > 0 && (!is_stopped(conn) || is_favoured(conn))) {
        watch_progress(conn);
    }
}

static void let_read_on(struct loop *loop)
{
    size_t promised = 0;
    struct budget_part *part;
    while ((part = budget_next(&loop_conns(loop)->input_budget, &promised))) {
        read_on(part->conn);
    }
}

static void count_input(struct conn *conn, size_t consumed)
{
    bool was_waiting = conn->input_part.is_waiting;
    budget_count(input_budget(conn), &conn->input_part, conn->input.len);
    if (consumed > 0) {
        budget_yield(input_budget(conn), &conn->input_part);
        if (was_waiting) {
            read_on(conn);
        }
    }
}

static void read_input(struct conn *conn)
{
    bool is_resumed = conn->is_resumed;
    bool may_read = !is_resumed && !conn->input_part.is_waiting;
    size_t received = may_read ? receive(conn) : 0;
    if (received || is_resumed) {
        conn->is_resumed = false;
        if (is_resumed) {
            loop_ready(conn->loop, &conn->ready); /* what came meanwhile is read in the next turn */
        }
        size_t consumed = conn->handler->on_input(conn->context, copy_input(conn));
        assert(consumed <= conn->input.len);
        if (conn->state != OPEN || conn->is_finishing) {
            return;
        }
        buffer_consume(&conn->input, consumed);
        count_input(conn, consumed);
        note_progress(conn, received, consumed);
        weigh_output(conn);
    } else if (endpoint_state(conn->endpoint) == ENDPOINT_ENDED) {
        end(conn, endpoint_error(conn->endpoint));
    }
}

static void linger_on(struct conn *conn)
{
    uint8_t thrown_away[1024];
    while (endpoint_read(conn->endpoint, thrown_away, sizeof thrown_away)) {
    }
    if (endpoint_state(conn->endpoint) == ENDPOINT_ENDED) {
        end(conn, conn->reason);
    }
}

static void run_ready(void *context)
{
    struct conn *conn = context;
    if (conn->state == CONNECTING) {
        if (endpoint_state(conn->endpoint) == ENDPOINT_CONNECTING) {
            return;
        }
        if (endpoint_state(conn->endpoint) == ENDPOINT_ENDED) {
            end(conn, endpoint_error(conn->endpoint));
            return;
        }
        conn->state = OPEN;
        event_clear(&conn->progress);
        if (conn->handler->on_open) {
            conn->handler->on_open(conn->context);
        }
    }
    if (conn->state == LINGERING) {
        linger_on(conn);
    } else if (conn->state == OPEN && !is_stopped(conn) && !conn->is_finishing) {
        read_input(conn);
        if (loop_conns(conn->loop)->inputs_len > INPUTS_LEN_MAX) {
            loop_run_hooks(conn->loop);
        }
    } else if (conn->state == OPEN && endpoint_state(conn->endpoint) == ENDPOINT_ENDED) {
        end(conn, endpoint_error(conn->endpoint));
    }
}

/* --- the last part of a turn --- */

static void write_output(struct conn *conn)
{
    size_t free_now = free_len(conn);
    size_t written = free_now ? endpoint_write(conn->endpoint, conn->output.data, free_now) : 0;
    conn->sent_len += written;
    buffer_consume(&conn->output, written);
    if (conn->is_finishing) {
        if (written) {
            watch_progress(conn);
        }
        if (conn->output.len == 0) {
            endpoint_shutdown(conn->endpoint);
            conn->state = LINGERING;
        }
        return;
    }
    weigh_output(conn);
}

static void tell(struct conn *conn)
{
    conn->is_told = true;
    if (conn->state == LINGERING) {
        watch_progress(conn);
        loop_ready(conn->loop, &conn->ready);
    }
    conn->handler->on_close(conn->context, conn->reason);
}

static void conn_free(struct conn *conn)
{
    event_clear(&conn->progress);
    event_clear(&conn->rest);
    loop_unready(conn->loop, &conn->ready);
    hold_fini(&conn->hold);
    endpoint_close(conn->endpoint);
    buffer_fini(&conn->input);
    buffer_fini(&conn->output);
    if (conn->on_free) {
        conn->on_free(conn->on_free_context);
    }
    free(conn);
}

/* A callback may end further ones, hence from the start again. */
static bool settle_one(struct conn **link)
{
    for (; *link; link = &(*link)->next) {
        struct conn *conn = *link;
        if (conn->state >= LINGERING && !conn->is_told) {
            tell(conn);
            return true;
        }
        if (conn->state == ENDED) {
            *link = conn->next;
            conn_free(conn);
            return true;
        }
    }
    return false;
}

/* When output is no longer scarce, those go on that were stopped for it. */
static void weigh_paused(struct loop *loop)
{
    struct loop_conns *conns = loop_conns(loop);
    bool was_scarce = conns->is_output_scarce;
    conns->is_output_scarce = is_output_scarce(loop);
    for (struct conn *conn = conns->first; was_scarce && conn; conn = conn->next) {
        if (conn->state == OPEN && conn->is_paused) {
            weigh_output(conn);
        }
    }
}

void conn_flush_all(struct loop *loop)
{
    for (struct conn *conn = loop_conns(loop)->first; conn; conn = conn->next) {
        if (conn->state == OPEN && (conn->output.len > 0 || conn->is_finishing)) {
            write_output(conn);
        }
    }
    weigh_paused(loop);
    let_read_on(loop);
    while (settle_one(&loop_conns(loop)->first)) {
    }
}

void conn_free_all(struct loop *loop)
{
    struct conn **conns = &loop_conns(loop)->first;
    conn_drop_inputs(loop);
    while (*conns) {
        struct conn *conn = *conns;
        assert(conn->state >= LINGERING);
        *conns = conn->next;
        conn_free(conn);
    }
}

/* --- the beginning --- */

static void on_change(void *context)
{
    struct conn *conn = context;
    loop_ready(conn->loop, &conn->ready);
}

static struct conn *conn_new(struct loop *loop, struct endpoint *endpoint)
{
    struct conn *conn = calloc(1, sizeof *conn);
    assert(conn);
    conn->loop = loop;
    conn->endpoint = endpoint;
    conn->ready = (struct ready){.run = run_ready, .context = conn};
    event_init(&conn->progress, loop_node(loop), "no progress", on_no_progress, conn);
    event_init(&conn->rest, loop_node(loop), "rested", on_rested, conn);
    address_print(endpoint_remote(endpoint), conn->remote);
    budget_join(&loop_conns(loop)->input_budget, &conn->input_part, conn);
    conn->next = loop_conns(loop)->first;
    loop_conns(loop)->first = conn;
    endpoint_set_callback(endpoint, on_change, conn);
    return conn;
}

struct conn *conn_connect(struct loop *loop, const struct address *address,
                          const struct conn_handler *handler, void *context)
{
    struct conn *conn = conn_new(loop, network_connect(loop_node(loop), address));
    conn_set_handler(conn, handler, context);
    watch_progress(conn);
    return conn;
}

struct conn *conn_accepted(struct loop *loop, struct endpoint *endpoint, loop_callback *on_free,
                           void *context)
{
    struct conn *conn = conn_new(loop, endpoint);
    conn->state = OPEN;
    conn->on_free = on_free;
    conn->on_free_context = context;
    loop_ready(loop, &conn->ready); /* bytes may be here already */
    return conn;
}

/* --- for the owner --- */

void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *context)
{
    conn->handler = handler;
    conn->context = context;
}

bool conn_has_handler(const struct conn *conn)
{
    return conn->handler != NULL;
}

struct buffer *conn_output(struct conn *conn)
{
    if (conn->state <= OPEN && conn->output.len > CONN_OUTPUT_MAX) {
        end(conn, "does not read its replies");
    }
    if (conn->state > OPEN) {
        buffer_clear(&conn->output);
        return &conn->output;
    }
    loop_wake(conn->loop);
    return &conn->output;
}

void conn_output_until(struct conn *conn, uint64_t ticket)
{
    bool is_released = ticket <= loop_conns(conn->loop)->released_ticket;
    if (conn->state > OPEN || conn->output.len == 0 ||
        (hold_is_empty(&conn->hold) && is_released)) {
        return;
    }
    hold_add(&conn->hold, conn->sent_len, conn->sent_len + conn->output.len, ticket);
}

void conn_release(struct loop *loop, uint64_t ticket)
{
    struct loop_conns *conns = loop_conns(loop);
    if (ticket <= conns->released_ticket) {
        return;
    }
    conns->released_ticket = ticket;
    for (struct conn *conn = conns->first; conn; conn = conn->next) {
        if (hold_release(&conn->hold, ticket)) {
            loop_wake(loop);
        }
    }
}

bool conn_is_output_full(const struct conn *conn)
{
    return conn_output_len(conn) > output_pause(conn);
}

size_t conn_output_len(const struct conn *conn)
{
    return conn->state <= OPEN ? conn->output.len : 0;
}

size_t conn_output_total(struct loop *loop)
{
    size_t total = 0;
    for (const struct conn *conn = loop_conns(loop)->first; conn; conn = conn->next) {
        total += conn_output_len(conn);
    }
    return total;
}

size_t conn_input_total(struct loop *loop)
{
    return loop_conns(loop)->input_budget.used;
}

void conn_set_limits(struct loop *loop, size_t input_len, size_t output_len)
{
    loop_conns(loop)->input_budget.limit = input_len / INPUT_LIMIT_PART;
    loop_conns(loop)->output_limit = output_len;
}

void conn_pause_input(struct conn *conn, uint32_t pause_ms)
{
    if (conn->state > OPEN || conn->is_finishing || conn->is_resting || pause_ms == 0) {
        return;
    }
    uint32_t rest_ms = pause_ms < CONN_PAUSE_MS_MAX ? pause_ms : CONN_PAUSE_MS_MAX;
    conn->is_resting = true;
    if (conn->state == OPEN) {
        stop_progress(conn);
    }
    event_set(&conn->rest, UINT64_C(1000) * rest_ms);
}

bool conn_is_input_paused(const struct conn *conn)
{
    return conn->is_resting;
}

void conn_close(struct conn *conn, const char *reason)
{
    if (conn->state <= OPEN) {
        end(conn, reason);
    }
}

void conn_finish(struct conn *conn, const char *reason)
{
    if (conn->state > OPEN || conn->is_finishing) {
        return;
    }
    conn->is_finishing = true;
    conn->is_resting = false;
    conn->reason = reason;
    event_clear(&conn->rest);
    budget_leave(input_budget(conn), &conn->input_part);
    buffer_fini(&conn->input); /* on_input was given a copy */
    watch_progress(conn);
    loop_wake(conn->loop);
}

const char *conn_remote(const struct conn *conn)
{
    return conn->remote;
}
