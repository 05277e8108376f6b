/* SPDX-License-Identifier: MIT */
#include "io/conn.h"

#include <assert.h>
#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/budget.h"
#include "io/clock.h"
#include "io/conn_internal.h"
#include "io/hold.h"
#include "io/intake.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/socket.h"
#include "proto/limits.h"

/* Emptied output buffers that are kept for whoever writes next, and how large one may be. */
#define SPARE_MAX          64
#define SPARE_CAPACITY_MAX (64u << 10)

/* The part of the input's limit that one turn's may take beside it. */
#define INTAKE_PART 4

/* With what comes behind it in one read: more is not kept of a message that may still be one. */
#define MESSAGE_ROOM_MAX (FRAME_LEN_MAX + INTAKE_READ_LEN)

TAILQ_HEAD(conn_list, conn);
STAILQ_HEAD(conn_queue, conn);

/*
 * What the connections of one loop share, so that an idle one has no buffers at all: input is read
 * into the intake, and only what is left of it is copied; output buffers go round.
 */
struct conn_group {
    struct loop *loop;
    struct conn_list to_flush;
    struct conn_list watched; /* by watched_since_ms: each has CONN_PROGRESS_MS */
    struct conn_list holding; /* whose output waits for a ticket */
    struct conn_list resting; /* by resting_until_ms: whose input waits for its time */
    struct conn_list paused;  /* whose input waits for its output to be read */
    struct conn_queue left;   /* to be told, and freed, at the end of the turn */
    struct timer *watch_timer;
    bool is_watch_timer_set;
    struct timer *rest_timer; /* set while any is resting */
    unsigned spare_count;
    struct buffer spares[SPARE_MAX];
    struct intake intake;
    uint64_t released_ticket;
    struct budget input_budget;
    size_t output_limit;   /* 0: none */
    size_t output_len;     /* what the connections' output took when each was last counted */
    bool is_output_scarce; /* the limit had been passed when the last turn ended */
};

/*
 *     CONNECTING --> OPEN --finish--> LINGERING --> ENDED --> freed
 *         |            |                              ^
 *         +------------+------------close-------------+
 *
 * LINGERING: the output has been sent, the owner has been told, and what still comes is thrown away
 * until the other side closes, too. Closing at once, with input unread, would make the kernel reset
 * the connection, and a last error message would be lost on its way.
 */
enum conn_state { CONNECTING, OPEN, LINGERING, ENDED };

struct conn {
    struct conn_group *group;
    const struct conn_handler *handler;
    void *context;
    loop_callback *on_free; /* the listener's */
    void *on_free_context;

    enum conn_state state;
    int fd;
    bool is_finishing; /* to leave once the output is sent; nothing is read */
    bool is_paused;    /* too much output: nothing is read */
    bool is_resting;   /* conn_pause_input: nothing is read */
    bool is_reading;   /* read_event is added */
    bool is_writing;   /* write_event is added: connecting, or the socket is full */
    bool is_to_flush;  /* in a queue of the group */
    bool is_watched;   /* likewise */
    bool is_told;      /* on_close has run */
    struct event read_event;
    struct event write_event;
    TAILQ_ENTRY(conn) flush_link;
    TAILQ_ENTRY(conn) watch_link;
    TAILQ_ENTRY(conn) hold_link;
    TAILQ_ENTRY(conn) rest_link;
    TAILQ_ENTRY(conn) pause_link;
    STAILQ_ENTRY(conn) left_link;

    struct buffer input; /* left over by on_input, from input_start on; else empty */
    size_t input_start;
    struct budget_part input_part; /* waiting: nothing is read */
    struct buffer output;          /* appended to */
    struct buffer sending;         /* what the socket did not take yet, from sending_start on */
    size_t sending_start;
    uint64_t sent_len;  /* that the socket has taken, ever */
    size_t counted_len; /* its part of the group's output_len */
    struct hold hold;
    uint64_t resting_until_ms;

    uint64_t watched_since_ms;
    size_t progress; /* bytes since then */

    const char *reason;
    char *remote;
    struct socket_targets *targets; /* while connecting */
};

/* --- progress: who has begun something must go on with it --- */

static void unwatch(struct conn *conn)
{
    if (conn->is_watched) {
        TAILQ_REMOVE(&conn->group->watched, conn, watch_link);
        conn->is_watched = false;
    }
}

/* Its time begins now. */
static void watch(struct conn *conn)
{
    struct conn_group *group = conn->group;
    unwatch(conn);
    conn->is_watched = true;
    conn->watched_since_ms = clock_mono_ms();
    conn->progress = 0;
    TAILQ_INSERT_TAIL(&group->watched, conn, watch_link);
    if (!group->is_watch_timer_set) {
        group->is_watch_timer_set = true;
        timer_set(group->watch_timer, CONN_PROGRESS_MS);
    }
}

/* --- events --- */

static void set_event(struct event *event, bool *is_added, bool is_wanted)
{
    if (is_wanted && !*is_added && event_add(event, NULL) != 0) {
        logline_die("out of memory");
    }
    if (!is_wanted && *is_added) {
        event_del(event);
    }
    *is_added = is_wanted;
}

static void set_reading(struct conn *conn, bool is_wanted)
{
    set_event(&conn->read_event, &conn->is_reading, is_wanted);
}

static void set_writing(struct conn *conn, bool is_wanted)
{
    set_event(&conn->write_event, &conn->is_writing, is_wanted);
}

/* --- the end of a connection --- */

static void close_fd(struct conn *conn)
{
    if (conn->fd >= 0) {
        close(conn->fd);
        conn->fd = -1;
    }
}

static void drop_hold(struct conn *conn)
{
    if (!hold_is_empty(&conn->hold)) {
        TAILQ_REMOVE(&conn->group->holding, conn, hold_link);
        hold_fini(&conn->hold);
    }
}

static void set_paused(struct conn *conn, bool is_paused)
{
    if (is_paused && !conn->is_paused) {
        TAILQ_INSERT_TAIL(&conn->group->paused, conn, pause_link);
    } else if (!is_paused && conn->is_paused) {
        TAILQ_REMOVE(&conn->group->paused, conn, pause_link);
    }
    conn->is_paused = is_paused;
}

static void end_rest(struct conn *conn)
{
    if (conn->is_resting) {
        TAILQ_REMOVE(&conn->group->resting, conn, rest_link);
        conn->is_resting = false;
    }
}

/* For the rest of the turn it only stands in the queue. */
static void leave(struct conn *conn, enum conn_state state, const char *reason)
{
    conn->state = state;
    conn->reason = reason;
    set_reading(conn, false);
    set_writing(conn, false);
    unwatch(conn);
    end_rest(conn);
    set_paused(conn, false);
    budget_leave(&conn->group->input_budget, &conn->input_part);
    drop_hold(conn);
    conn->group->output_len -= conn->counted_len;
    conn->counted_len = 0;
    STAILQ_INSERT_TAIL(&conn->group->left, conn, left_link);
    loop_hurry(conn->group->loop);
}

static void end(struct conn *conn, const char *reason)
{
    leave(conn, ENDED, reason);
    close_fd(conn);
}

static void free_buffers(struct conn *conn)
{
    buffer_fini(&conn->input);
    buffer_fini(&conn->output);
    buffer_fini(&conn->sending);
}

static void free_conn(struct conn *conn)
{
    set_reading(conn, false);
    close_fd(conn);
    if (conn->is_to_flush) {
        TAILQ_REMOVE(&conn->group->to_flush, conn, flush_link);
    }
    if (conn->on_free != NULL) {
        conn->on_free(conn->on_free_context);
    }
    free_buffers(conn);
    free(conn->targets);
    free(conn->remote);
    free(conn);
}

static void linger(struct conn *conn)
{
    free_buffers(conn);
    set_reading(conn, true);
    watch(conn);
}

/* A callback may close further ones, and may leave work to the hooks: hence another turn. */
static void settle_left(struct conn_group *group)
{
    struct conn *conn;
    while ((conn = STAILQ_FIRST(&group->left)) != NULL) {
        if (!conn->is_told) {
            conn->is_told = true;
            conn->handler->on_close(conn->context, conn->reason);
            loop_hurry(group->loop);
        }
        STAILQ_REMOVE_HEAD(&group->left, left_link);
        if (conn->state == LINGERING) {
            linger(conn);
        } else {
            free_conn(conn);
        }
    }
}

/* --- what has not been sent --- */

static size_t unsent_len(const struct conn *conn)
{
    return conn->sending.len - conn->sending_start + conn->output.len;
}

/* What of it may leave now. */
static size_t free_len(const struct conn *conn)
{
    return hold_is_empty(&conn->hold) ? unsent_len(conn)
                                      : (size_t)(conn->hold.free_end - conn->sent_len);
}

/* What was sent of a buffer stays until all of it was. */
static size_t output_memory(const struct conn *conn)
{
    return conn->sending.len + conn->output.len;
}

static void count_output(struct conn *conn)
{
    size_t len = output_memory(conn);
    conn->group->output_len += len - conn->counted_len;
    conn->counted_len = len;
}

static bool is_output_scarce(const struct conn_group *group)
{
    return group->output_limit > 0 && group->output_len > group->output_limit;
}

/* What may be unsent before input stops. */
static size_t output_pause(const struct conn_group *group)
{
    if (!is_output_scarce(group)) {
        return CONN_OUTPUT_PAUSE;
    }
    size_t share = budget_share(group->output_limit, group->input_budget.count);
    return share < CONN_OUTPUT_PAUSE ? share : CONN_OUTPUT_PAUSE;
}

static const char *expiry_reason(const struct conn *conn)
{
    if (conn->state == CONNECTING) {
        return "connecting took too long";
    }
    return conn->is_finishing || conn->is_paused ? "does not read its replies"
                                                 : "stopped in the middle of a message";
}

static void on_watch_timer(void *context)
{
    struct conn_group *group = context;
    uint64_t now_ms = clock_mono_ms();
    struct conn *oldest;
    while ((oldest = TAILQ_FIRST(&group->watched)) != NULL) {
        uint64_t age_ms = now_ms - oldest->watched_since_ms;
        if (age_ms < CONN_PROGRESS_MS) {
            timer_set(group->watch_timer, CONN_PROGRESS_MS - age_ms);
            return;
        }
        if (oldest->is_finishing && oldest->state == OPEN && free_len(oldest) == 0) {
            watch(oldest); /* it waits for us */
        } else {
            end(oldest, expiry_reason(oldest));
        }
    }
    group->is_watch_timer_set = false;
}

/* --- output --- */

static void give_back(struct conn_group *group, struct buffer *buffer)
{
    if (buffer->data == NULL) {
        return;
    }
    bool is_spare = buffer->capacity <= SPARE_CAPACITY_MAX;
    if (is_spare && group->spare_count < SPARE_MAX) {
        buffer_clear(buffer);
        group->spares[group->spare_count++] = *buffer;
        *buffer = (struct buffer){0};
    } else {
        buffer_fini(buffer);
    }
}

static ssize_t send_output(const struct conn *conn, size_t len)
{
    uint8_t *first = conn->sending.data + conn->sending_start;
    size_t first_len = conn->sending.len - conn->sending_start;
    if (first_len == 0) {
        return send(conn->fd, conn->output.data, len, MSG_NOSIGNAL);
    }
    if (first_len >= len) {
        return send(conn->fd, first, len, MSG_NOSIGNAL);
    }
    struct iovec parts[] = {{first, first_len}, {conn->output.data, len - first_len}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(conn->fd, &message, MSG_NOSIGNAL);
}

/* The socket reads from one buffer while the next output gathers in the other: nothing is moved. */
static void drop_sent(struct conn *conn, size_t len)
{
    conn->sent_len += len;
    conn->sending_start += len;
    if (conn->sending_start < conn->sending.len) {
        return;
    }
    size_t start = conn->sending_start - conn->sending.len;
    give_back(conn->group, &conn->sending);
    conn->sending_start = start;
    if (start < conn->output.len) {
        conn->sending = conn->output;
        conn->output = (struct buffer){0};
    } else {
        conn->sending_start = 0;
        give_back(conn->group, &conn->output);
    }
}

/* What the socket takes now. May end the connection. */
static void write_output(struct conn *conn)
{
    if (conn->output.failed) {
        end(conn, "out of memory"); /* and not a part of a message */
        return;
    }
    size_t len = free_len(conn);
    if (len > 0) {
        ssize_t sent = send_output(conn, len);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            end(conn, socket_error_text(errno));
            return;
        }
        if (sent > 0) {
            drop_sent(conn, (size_t)sent);
            len -= (size_t)sent;
            if (conn->is_finishing) {
                watch(conn);
            }
        }
    }
    set_writing(conn, len > 0);
}

/* For either of two reasons. */
static bool is_stopped(const struct conn *conn)
{
    return conn->is_paused || conn->is_resting;
}

static bool is_favoured(const struct conn *conn)
{
    return conn->group->input_budget.favoured == &conn->input_part;
}

/* The favoured one must go on, even if it was stopped: others wait for it. */
static void stop_input(struct conn *conn)
{
    set_reading(conn, false);
    if (!is_favoured(conn)) {
        unwatch(conn);
    }
}

static void resume_input(struct conn *conn)
{
    if (is_stopped(conn) || conn->is_finishing || conn->state != OPEN) {
        return;
    }
    bool is_waiting = conn->input_part.is_waiting;
    set_reading(conn, !is_waiting);
    if (conn->input.len > 0) {
        /* on_input may have stopped for the same reason; it goes on in the next turn. */
        event_active(&conn->read_event, EV_TIMEOUT, 0);
        if (!is_waiting) {
            watch(conn);
        }
    }
}

/* What the length of the output means for the connection. */
static void weigh_output(struct conn *conn)
{
    count_output(conn);
    size_t unsent = unsent_len(conn);
    size_t pause = output_pause(conn->group);
    if (conn->output.failed) {
        end(conn, "out of memory");
    } else if (unsent > CONN_OUTPUT_MAX) {
        end(conn, "does not read its replies");
    } else if (conn->is_finishing) {
        if (unsent == 0 && conn->state == OPEN) {
            shutdown(conn->fd, SHUT_WR);
            leave(conn, LINGERING, conn->reason);
        }
    } else if (conn->is_paused) {
        if (unsent < pause / 2) {
            set_paused(conn, false);
            resume_input(conn);
        }
    } else if (unsent > pause) {
        set_paused(conn, true);
        stop_input(conn);
    }
}

/* When output is no longer scarce, those go on that were stopped for it. */
static void weigh_paused(struct conn_group *group)
{
    bool was_scarce = group->is_output_scarce;
    group->is_output_scarce = is_output_scarce(group);
    if (was_scarce && !group->is_output_scarce) {
        struct conn *next;
        for (struct conn *conn = TAILQ_FIRST(&group->paused); conn != NULL; conn = next) {
            next = TAILQ_NEXT(conn, pause_link);
            weigh_output(conn);
        }
    }
}

/* --- rest --- */

static void on_rest_timer(void *context)
{
    struct conn_group *group = context;
    uint64_t now_ms = clock_mono_ms();
    struct conn *first;
    while ((first = TAILQ_FIRST(&group->resting)) != NULL) {
        if (first->resting_until_ms > now_ms) {
            timer_set(group->rest_timer, first->resting_until_ms - now_ms);
            return;
        }
        end_rest(first);
        resume_input(first);
    }
}

/* Most pauses of one time are of one length: its place is at the end, or near it. */
static void insert_resting(struct conn *conn)
{
    struct conn_list *resting = &conn->group->resting;
    struct conn *before = TAILQ_LAST(resting, conn_list);
    while (before != NULL && before->resting_until_ms > conn->resting_until_ms) {
        before = TAILQ_PREV(before, conn_list, rest_link);
    }
    if (before != NULL) {
        TAILQ_INSERT_AFTER(resting, before, conn, rest_link);
    } else {
        TAILQ_INSERT_HEAD(resting, conn, rest_link);
    }
}

/* --- input that waits for room --- */

static void read_on(struct conn *conn)
{
    if (!is_stopped(conn)) {
        set_reading(conn, true);
        watch(conn);
    } else if (is_favoured(conn)) {
        watch(conn);
    }
}

static void let_read_on(struct conn_group *group)
{
    size_t promised = 0;
    struct budget_part *part;
    while ((part = budget_next(&group->input_budget, &promised)) != NULL) {
        read_on(part->conn);
    }
}

/* A message has ended: it asks anew for the next. */
static void yield_input(struct conn *conn)
{
    bool was_waiting = conn->input_part.is_waiting;
    budget_yield(&conn->group->input_budget, &conn->input_part);
    if (was_waiting) {
        read_on(conn);
    }
}

static void flush(void *context)
{
    struct conn_group *group = context;
    struct conn *conn;
    intake_reset(&group->intake);
    while ((conn = TAILQ_FIRST(&group->to_flush)) != NULL) {
        TAILQ_REMOVE(&group->to_flush, conn, flush_link);
        conn->is_to_flush = false;
        if (conn->state == OPEN && !conn->is_writing) {
            write_output(conn);
        }
        if (conn->state <= OPEN) {
            weigh_output(conn);
        }
    }
    weigh_paused(group);
    let_read_on(group);
    settle_left(group);
}

static void request_flush(struct conn *conn)
{
    if (!conn->is_to_flush) {
        conn->is_to_flush = true;
        TAILQ_INSERT_TAIL(&conn->group->to_flush, conn, flush_link);
        loop_hurry(conn->group->loop);
    }
}

/* --- input --- */

static size_t kept_len(const struct conn *conn)
{
    return conn->input.len - conn->input_start;
}

/* For a rest and `len` more bytes: twice as much, until that is more than a message can be. */
static size_t grown_capacity(size_t rest, size_t len)
{
    size_t doubled = rest > 0 ? 2 * rest + len : len;
    return doubled > MESSAGE_ROOM_MAX && rest + len <= MESSAGE_ROOM_MAX ? MESSAGE_ROOM_MAX
                                                                        : doubled;
}

/*
 * The rest of `input` so far, and `len` more bytes, with which it is then twice as long: each byte is
 * copied once or twice, however many pieces a message has. What on_input has seen stays as it is.
 */
static void append_input(struct conn *conn, const uint8_t *data, size_t len)
{
    struct buffer *input = &conn->input;
    if (input->capacity - input->len < len) {
        size_t rest = kept_len(conn);
        struct buffer grown = {0};
        (void)buffer_reserve(&grown, grown_capacity(rest, len));
        if (rest > 0) {
            buffer_append(&grown, input->data + conn->input_start, rest);
        }
        intake_retire(&conn->group->intake, input);
        *input = grown;
        conn->input_start = 0;
    }
    buffer_append(input, data, len);
}

/* Drops `consumed` bytes at the front, copying at most as many. */
static void consume_input(struct conn *conn, size_t consumed)
{
    conn->input_start += consumed;
    size_t rest = kept_len(conn);
    if (conn->input_start < rest) {
        return;
    }
    /* Into a buffer of its own size: a small rest must not keep the memory of a large message. */
    struct buffer kept = {0};
    buffer_append(&kept, conn->input.data + conn->input_start, rest);
    intake_retire(&conn->group->intake, &conn->input);
    conn->input = kept;
    conn->input_start = 0;
}

static void count_input(struct conn *conn)
{
    budget_count(&conn->group->input_budget, &conn->input_part, conn->input.capacity);
}

static void note_progress(struct conn *conn, size_t received, size_t consumed)
{
    bool is_still = conn->input_part.is_waiting || (is_stopped(conn) && !is_favoured(conn));
    conn->progress += received;
    if (conn->input.len == 0 || is_still) {
        unwatch(conn);
    } else if (!conn->is_watched || consumed > 0 || conn->progress >= CONN_PROGRESS_BYTES) {
        watch(conn);
    }
}

static void keep_rest(struct conn *conn, struct bytes received, size_t consumed,
                      bool is_behind_rest)
{
    if (consumed > 0) {
        yield_input(conn);
    }
    if (is_behind_rest) {
        consume_input(conn, consumed);
        count_input(conn);
    } else if (consumed < received.len) {
        const uint8_t *data = received.data;
        append_input(conn, data + consumed, received.len - consumed);
        count_input(conn);
    }
}

/* Offers what was left over, and behind it what has been received. */
static void give_input(struct conn *conn, struct bytes received)
{
    bool is_behind_rest = conn->input.len > 0;
    struct bytes input = received;
    if (is_behind_rest) {
        append_input(conn, received.data, received.len);
        if (conn->input.failed) {
            end(conn, "out of memory"); /* before on_input takes of a stream with a gap */
            return;
        }
        input = bytes_of(conn->input.data + conn->input_start, conn->input.len - conn->input_start);
    } else {
        intake_take(&conn->group->intake, received.len);
    }
    size_t consumed = conn->handler->on_input(conn->context, input);
    assert(consumed <= input.len);
    if (conn->state != OPEN || conn->is_finishing) {
        return;
    }
    keep_rest(conn, received, consumed, is_behind_rest);
    if (conn->input.failed) {
        end(conn, "out of memory");
        return;
    }
    note_progress(conn, received.len, consumed);
    weigh_output(conn);
}

/* How much is to be read; 0: it waits for room. */
static size_t ask_for_room(struct conn *conn)
{
    size_t kept = kept_len(conn);
    size_t capacity = conn->input.capacity;
    size_t growth = 0;
    if (capacity - conn->input.len < INTAKE_READ_LEN) {
        size_t grown = grown_capacity(kept, INTAKE_READ_LEN);
        growth = grown > capacity ? grown - capacity : 0;
    }
    return budget_ask(&conn->group->input_budget, &conn->input_part, kept, growth, INTAKE_READ_LEN);
}

/* Empty if the connection has ended, must wait, or there is nothing. */
static struct bytes receive(struct conn *conn)
{
    uint8_t *room = intake_room(&conn->group->intake);
    size_t len = ask_for_room(conn);
    if (len == 0) {
        stop_input(conn);
        return bytes_of(room, 0);
    }
    ssize_t received = recv(conn->fd, room, len, 0);
    if (received > 0) {
        return bytes_of(room, (size_t)received);
    }
    if (received == 0) {
        end(conn, "closed by the other side");
    } else if (errno != EAGAIN && errno != EINTR) {
        end(conn, socket_error_text(errno));
    }
    return bytes_of(room, 0);
}

/* What was gathered is carried out now, so that its memory can take more. */
static void empty_intake(struct conn_group *group)
{
    loop_run_hooks(group->loop);
    intake_reset(&group->intake);
}

/*
 * EV_TIMEOUT stands for resume_input; these events have no time-outs. It may have been stopped again. Nothing is
 * read then: whole messages may be left, which must not become more and more.
 */
static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    struct conn *conn = context;
    struct conn_group *group = conn->group;
    if (is_stopped(conn)) {
        return;
    }
    bool is_resumed = what & EV_TIMEOUT;
    struct bytes received = is_resumed ? bytes_of(NULL, 0) : receive(conn);
    if (conn->state == OPEN && (received.len > 0 || is_resumed)) {
        give_input(conn, received);
    }
    if (intake_is_full(&group->intake)) {
        empty_intake(group);
    }
}

/* --- the beginning of a connection --- */

static void on_writable(evutil_socket_t fd, short what, void *context);

static void attach(struct conn *conn, int fd)
{
    struct event_base *base = loop_base(conn->group->loop);
    conn->fd = fd;
    event_assign(&conn->read_event, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    event_assign(&conn->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
}

static void connect_next(struct conn *conn, const char *problem)
{
    set_writing(conn, false);
    close_fd(conn);
    int fd = socket_connect(conn->targets, &problem);
    if (fd < 0) {
        end(conn, problem);
        return;
    }
    attach(conn, fd);
    set_writing(conn, true);
    watch(conn);
}

static void on_connected(struct conn *conn)
{
    conn->state = OPEN;
    free(conn->targets);
    conn->targets = NULL;
    unwatch(conn);
    set_writing(conn, false);
    set_reading(conn, !conn->is_finishing && !is_stopped(conn));
    request_flush(conn);
    if (conn->handler->on_open != NULL) {
        conn->handler->on_open(conn->context);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct conn *conn = context;
    if (conn->state == CONNECTING) {
        int error_number = socket_connect_result(fd);
        if (error_number == 0) {
            on_connected(conn);
        } else {
            connect_next(conn, socket_error_text(error_number));
        }
        return;
    }
    write_output(conn);
    if (conn->state == OPEN) {
        weigh_output(conn);
    }
}

static void free_group(void *context)
{
    struct conn_group *group = context;
    struct conn *conn;
    while ((conn = STAILQ_FIRST(&group->left)) != NULL) {
        STAILQ_REMOVE_HEAD(&group->left, left_link);
        free_conn(conn);
    }
    struct conn *next;
    for (conn = TAILQ_FIRST(&group->watched); conn != NULL; conn = next) {
        assert(conn->state == LINGERING);
        next = TAILQ_NEXT(conn, watch_link);
        free_conn(conn);
    }
    while (group->spare_count > 0) {
        buffer_fini(&group->spares[--group->spare_count]);
    }
    intake_fini(&group->intake);
    timer_free(group->watch_timer);
    timer_free(group->rest_timer);
    free(group);
}

static struct conn_group *get_group(struct loop *loop)
{
    struct loop_flusher *flusher = loop_flusher(loop);
    if (flusher->context == NULL) {
        struct conn_group *group = memory_get(1, sizeof(*group));
        group->loop = loop;
        TAILQ_INIT(&group->to_flush);
        TAILQ_INIT(&group->watched);
        TAILQ_INIT(&group->holding);
        TAILQ_INIT(&group->resting);
        TAILQ_INIT(&group->paused);
        budget_init(&group->input_budget);
        STAILQ_INIT(&group->left);
        group->watch_timer = timer_new(loop, on_watch_timer, group);
        group->rest_timer = timer_new(loop, on_rest_timer, group);
        *flusher = (struct loop_flusher){flush, free_group, group};
    }
    return flusher->context;
}

static struct conn *new_conn(struct loop *loop, const struct address *remote)
{
    char text[ADDRESS_TEXT_LEN];
    address_print(remote, text);
    struct conn *conn = memory_get(1, sizeof(*conn));
    conn->group = get_group(loop);
    budget_join(&conn->group->input_budget, &conn->input_part, conn);
    conn->fd = -1;
    conn->remote = memory_copy_text(text);
    return conn;
}

struct conn *conn_connect(struct loop *loop, const struct address *address,
                          const struct conn_handler *handler, void *context)
{
    struct conn *conn = new_conn(loop, address);
    conn_set_handler(conn, handler, context);
    conn->targets = memory_get(1, sizeof(*conn->targets));
    const char *problem = socket_resolve(address, conn->targets);
    connect_next(conn, problem);
    return conn;
}

struct conn *conn_accepted(struct loop *loop, int fd, const struct address *remote,
                           loop_callback *on_free, void *context)
{
    struct conn *conn = new_conn(loop, remote);
    conn->state = OPEN;
    conn->on_free = on_free;
    conn->on_free_context = context;
    attach(conn, fd);
    set_reading(conn, true);
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
    struct conn_group *group = conn->group;
    if (conn->state <= OPEN && unsent_len(conn) > CONN_OUTPUT_MAX) {
        end(conn, "does not read its replies");
    }
    if (conn->state > OPEN) {
        buffer_clear(&conn->output); /* swallowed, and never more than one message kept */
        return &conn->output;
    }
    if (conn->output.data == NULL && group->spare_count > 0) {
        conn->output = group->spares[--group->spare_count];
    }
    request_flush(conn);
    return &conn->output;
}

void conn_output_until(struct conn *conn, uint64_t ticket)
{
    struct conn_group *group = conn->group;
    size_t unsent = unsent_len(conn);
    if (conn->state > OPEN || unsent == 0) {
        return;
    }
    if (hold_is_empty(&conn->hold)) {
        if (ticket <= group->released_ticket) {
            return;
        }
        TAILQ_INSERT_TAIL(&group->holding, conn, hold_link);
    }
    /* What is being sent was free in an earlier turn. */
    uint64_t free_end = conn->sent_len + conn->sending.len - conn->sending_start;
    hold_add(&conn->hold, free_end, conn->sent_len + unsent, ticket);
}

void conn_release(struct loop *loop, uint64_t ticket)
{
    struct conn_group *group = get_group(loop);
    if (ticket <= group->released_ticket) {
        return;
    }
    group->released_ticket = ticket;
    struct conn *next;
    for (struct conn *conn = TAILQ_FIRST(&group->holding); conn != NULL; conn = next) {
        next = TAILQ_NEXT(conn, hold_link);
        if (hold_release(&conn->hold, ticket)) {
            request_flush(conn);
        }
        if (hold_is_empty(&conn->hold)) {
            TAILQ_REMOVE(&group->holding, conn, hold_link);
        }
    }
}

size_t conn_output_len(const struct conn *conn)
{
    return conn->state <= OPEN ? unsent_len(conn) : 0;
}

bool conn_is_output_full(const struct conn *conn)
{
    size_t unsent = conn_output_len(conn);
    return unsent > BUDGET_SHARE_MIN && unsent > output_pause(conn->group);
}

size_t conn_output_total(struct loop *loop)
{
    const struct conn_group *group = get_group(loop);
    size_t total = group->output_len;
    const struct conn *conn = NULL;
    TAILQ_FOREACH(conn, &group->to_flush, flush_link)
    {
        total += (conn->state <= OPEN ? output_memory(conn) : 0) - conn->counted_len;
    }
    return total;
}

size_t conn_input_total(struct loop *loop)
{
    return get_group(loop)->input_budget.used;
}

void conn_set_limits(struct loop *loop, size_t input_len, size_t output_len)
{
    struct conn_group *group = get_group(loop);
    group->input_budget.limit = input_len;
    group->output_limit = output_len;
    if (input_len > 0) {
        intake_limit(&group->intake, input_len / INTAKE_PART);
    }
}

void conn_pause_input(struct conn *conn, uint32_t pause_ms)
{
    if (conn->state > OPEN || conn->is_finishing || conn->is_resting || pause_ms == 0) {
        return;
    }
    struct conn_group *group = conn->group;
    uint32_t rest_ms = pause_ms < CONN_PAUSE_MS_MAX ? pause_ms : CONN_PAUSE_MS_MAX;
    conn->is_resting = true;
    conn->resting_until_ms = clock_mono_ms() + rest_ms;
    insert_resting(conn);
    if (TAILQ_FIRST(&group->resting) == conn) {
        timer_set(group->rest_timer, rest_ms);
    }
    if (conn->state == OPEN) {
        stop_input(conn);
    }
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
    conn->reason = reason;
    set_paused(conn, false); /* or what still comes would not be thrown away */
    end_rest(conn);
    intake_retire(&conn->group->intake, &conn->input);
    conn->input_start = 0;
    budget_leave(&conn->group->input_budget, &conn->input_part);
    set_reading(conn, false);
    watch(conn);
    request_flush(conn);
}

const char *conn_remote(const struct conn *conn)
{
    return conn->remote;
}
