/* SPDX-License-Identifier: MIT */
#include "shardd/stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "io/peer.h"
#include "proto/endian.h"
#include "proto/pack.h"
#include "proto/unpack.h"

/* Between two tries to reach the target. */
#define REST_MIN_MS 50
#define REST_MAX_MS 1000

/* A target that answers nothing for so long is not there: storing what it was sent takes it a part of that. */
#define ANSWER_WITHIN_MS 10000

/* RULES V7: at the cap without an acknowledgement. */
#define FULL_MS_MAX 1000

/* RULES V7: nor of the end: operations wait for it. */
#define END_MS_MAX 3000

/* Messages on the way: where they are small, those that wait are sent as one. */
#define FLYING_MAX (PEER_CALLS_MAX / 4)

/* Output that the socket has not taken: enough for it to be busy until the next turn. */
#define OUTPUT_LEN (2u << 20)

/* Of a rate what is older than this counts half, and half of that after another such time. */
#define RATE_MS 1000

/* Slices of a pace in a second: enough to look even, and few beside what it takes to read one. */
#define PACE_SLICES   4
#define PACE_SLICE_US (1000000 / PACE_SLICES)

enum { REASON_LEN = 256 };

enum state { RESTING, CONNECTING, GREETING, OPEN, READY, LOST };

struct message {
    struct message *next;
    struct buffer items;
    uint64_t need;
    uint64_t seq; /* 0: never sent */
};

/* A connection: its callbacks may come when the stream has another, or is gone. */
struct link {
    struct stream *stream; /* NULL: let go */
    struct peer *peer;
};

/* Of the time before `since_ms`, halved each RATE_MS, so many bytes in so many milliseconds. */
struct rate {
    uint64_t past_len, past_ms;
    uint64_t since_ms;
    uint64_t since_len; /* done_len then */
};

struct stream {
    struct stream_config config;
    enum state state;
    struct link *link;        /* NULL: none */
    struct timer *tick;       /* every STREAM_PING_MS: what time alone decides */
    struct timer *again;      /* makes a turn: there is more to be sent */
    struct timer *pace_timer; /* makes a turn: the pace allows a slice */
    uint64_t rest_until_ms;
    uint32_t rest_ms;
    bool is_begun;

    struct message *first;
    struct message *last;
    struct message *unsent; /* the first that was not sent over this link; NULL: none */
    uint64_t last_seq;      /* ever sent */
    uint64_t sent_seq;      /* over this link */
    uint64_t done_seq;      /* acknowledged */
    uint64_t waiting_len;
    uint64_t flying_len; /* of these, sent over this link */
    uint32_t flying_count;
    bool has_end;
    bool is_end_sent; /* over this link */
    uint64_t has_end_ms;
    uint64_t durable;
    struct range_sum end_sum;
    uint64_t end_stamp;
    uint64_t end_ids_ms;
    struct buffer head; /* of the message in the making */

    uint64_t heard_ms;
    uint64_t done_ms; /* of the last acknowledgement; or when the cap was reached */
    bool is_full;
    bool is_paused;
    uint64_t bytes_per_s; /* of slices; 0: no limit */
    uint64_t paced_us;    /* before it no slice is to be begun */
    uint64_t done_len;    /* bytes acknowledged */
    struct rate rate;     /* of these */
};

static const struct peer_handler link_handler;

/* There is a turn now, and that is all. */
static void on_again(void *context)
{
    (void)context;
}

/* --- links --- */

static void let_go(struct stream *stream, const char *reason)
{
    struct link *link = stream->link;
    if (link) {
        link->stream = NULL;
        stream->link = NULL;
        peer_close(link->peer, reason);
    }
}

static void connect(struct stream *stream)
{
    struct link *link = memory_get(1, sizeof(*link));
    stream->state = CONNECTING;
    stream->link = link;
    link->stream = stream;
    link->peer = peer_connect(stream->config.loop, &stream->config.target, &link_handler, link);
}

/* RULES V3: it is tried again. */
static void rest(struct stream *stream, const char *reason)
{
    let_go(stream, reason);
    stream->state = RESTING;
    stream->rest_until_ms = clock_mono_ms() + stream->rest_ms;
    stream->rest_ms = 2 * stream->rest_ms < REST_MAX_MS ? 2 * stream->rest_ms : REST_MAX_MS;
}

static void stop(struct stream *stream, enum state state, const char *reason)
{
    let_go(stream, reason);
    stream->state = state;
    timer_clear(stream->tick);
}

/* The last thing that is done in a callback: the owner may free the stream. */
static void lose(struct stream *stream, const char *reason)
{
    stop(stream, LOST, "the stream is lost");
    stream->config.on_lost(stream->config.context, reason);
}

static void finish(struct stream *stream)
{
    stop(stream, READY, "the target has all");
    stream->config.on_ready(stream->config.context);
}

static void take_refusal(struct stream *stream, const struct rpc_message *message)
{
    char reason[REASON_LEN];
    if (message->code == STATUS_TRY_LATER || message->code == STATUS_SHUTTING_DOWN) {
        rest(stream, "the target is to be asked later");
        return;
    }
    int text_len = (int)(message->text.len < REASON_LEN ? message->text.len : REASON_LEN);
    (void)snprintf(reason, sizeof(reason), "the target refuses: %s: %.*s",
                   status_name(message->code), text_len, (const char *)message->text.data);
    lose(stream, reason);
}

/* The stream whose answer it is, if that says yes. NULL: all has been done about it. */
static struct stream *answered(const struct link *link, const struct rpc_message *message)
{
    struct stream *stream = link->stream;
    if (!stream) {
        return NULL;
    }
    if (!message) {
        rest(stream, "no answer in time");
        return NULL;
    }
    stream->heard_ms = clock_mono_ms();
    if (message->code != STATUS_OK) {
        take_refusal(stream, message);
        return NULL;
    }
    return stream;
}

/* --- acknowledgements --- */

static uint64_t window_len(const struct stream *stream)
{
    return stream->config.waiting_len_max / 2;
}

/* One message may be as large as a value can be, however small the cap. */
static bool is_at_cap(const struct stream *stream)
{
    return stream->waiting_len >= stream->config.waiting_len_max && stream->first != stream->last;
}

static void drop_first(struct stream *stream)
{
    struct message *message = stream->first;
    stream->first = message->next;
    stream->last = stream->first ? stream->last : NULL;
    stream->waiting_len -= message->items.len;
    stream->done_len += message->items.len;
    if (message->seq <= stream->sent_seq) {
        stream->flying_len -= message->items.len;
        stream->flying_count--;
    }
    buffer_fini(&message->items);
    free(message);
}

static void acknowledge(struct stream *stream, uint64_t seq)
{
    while (stream->first && stream->first->seq != 0 && stream->first->seq <= seq) {
        drop_first(stream);
    }
    if (seq > stream->done_seq) {
        stream->done_seq = seq;
        stream->done_ms = clock_mono_ms();
    }
    stream->is_full = is_at_cap(stream);
}

static void on_data_answer(void *context, const struct rpc_message *message)
{
    struct stream *stream = answered(context, message);
    if (!stream) {
        return;
    }
    struct unpack in = unpack_of(message->result);
    (void)unpack_array(&in);
    uint64_t seq = unpack_uint(&in);
    if (unpack_is_fine(&in) && seq <= stream->sent_seq) {
        acknowledge(stream, seq);
    } else {
        lose(stream, "the target acknowledges what it was not sent");
    }
}

static void on_end_answer(void *context, const struct rpc_message *message)
{
    struct stream *stream = answered(context, message);
    if (stream) {
        finish(stream);
    }
}

/* --- import.begin --- */

/* NULL, or what is wrong. `seq`: what the target has processed. */
static const char *misfit(const struct stream *stream, uint64_t seq, bool is_ready)
{
    if (is_ready) {
        return stream->has_end ? NULL : "the target has an end that was not sent";
    }
    if (seq > stream->last_seq) {
        return "the target has what it was not sent";
    }
    return seq < stream->done_seq ? "the target has begun anew" : NULL;
}

/* Nothing was sent over this link; what the target has by an earlier one is not sent again. */
static void open_link(struct stream *stream, uint64_t seq)
{
    stream->state = OPEN;
    stream->rest_ms = REST_MIN_MS;
    stream->flying_len = 0;
    stream->flying_count = 0;
    stream->sent_seq = 0;
    stream->is_end_sent = false;
    acknowledge(stream, seq);
    stream->unsent = stream->first;
    stream->sent_seq = seq;
    if (!stream->is_begun) {
        stream->is_begun = true;
        stream->rate.since_ms = clock_mono_ms();
        stream->config.on_begun(stream->config.context);
    }
}

static void on_begin_answer(void *context, const struct rpc_message *message)
{
    struct stream *stream = answered(context, message);
    if (!stream) {
        return;
    }
    struct unpack in = unpack_of(message->result);
    (void)unpack_array(&in);
    uint64_t seq = unpack_uint(&in);
    bool is_ready = unpack_bool(&in);
    const char *wrong =
        unpack_is_fine(&in) ? misfit(stream, seq, is_ready) : "the target's answer is malformed";
    if (wrong) {
        lose(stream, wrong);
    } else if (is_ready) {
        finish(stream);
    } else {
        open_link(stream, seq);
    }
}

static void on_open(void *context, struct peer *peer)
{
    struct link *link = context;
    struct stream *stream = link->stream;
    if (!stream) {
        return;
    }
    stream->state = GREETING;
    buffer_clear(&stream->head);
    stream->config.greet(stream->config.context, &stream->head);
    memory_must(!stream->head.failed);
    peer_call(peer, "import.begin", buffer_bytes(&stream->head), ANSWER_WITHIN_MS, on_begin_answer,
              link);
}

static void on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    if (message->type == RPC_REQUEST) {
        peer_refuse(peer, message->msgid, STATUS_UNKNOWN_METHOD, "nothing is answered here");
    }
}

static void on_close(void *context, struct peer *peer, const char *reason)
{
    struct link *link = context;
    (void)peer;
    if (link->stream) {
        rest(link->stream, reason);
    }
    free(link);
}

static const struct peer_handler link_handler = {on_open, on_request, on_close};

/* --- sending --- */

/* Those behind it that may be sent, too, go with it. */
static void gather(struct stream *stream, struct message *message)
{
    struct message *next;
    while (message->seq == 0 && (next = message->next) && next->need <= stream->durable &&
           message->items.len + next->items.len <= STREAM_MESSAGE_LEN) {
        buffer_append_bytes(&message->items, buffer_bytes(&next->items));
        memory_must(!message->items.failed);
        message->next = next->next;
        stream->last = message->next ? stream->last : message;
        buffer_fini(&next->items);
        free(next);
    }
}

static bool may_send(const struct stream *stream)
{
    const struct message *message = stream->unsent;
    return stream->state == OPEN && message && message->need <= stream->durable &&
           stream->flying_count < FLYING_MAX &&
           (stream->flying_len == 0 ||
            stream->flying_len + message->items.len <= window_len(stream)) &&
           peer_is_open(stream->link->peer) && peer_output_len(stream->link->peer) < OUTPUT_LEN;
}

/* The params up to the items, which go to the output without another copy: a bin, by its longest head. */
static void pack_head(struct stream *stream, const struct message *message)
{
    uint8_t bin[5] = {0xc6};
    struct buffer *head = &stream->head;
    endian_put_be32(bin + 1, (uint32_t)message->items.len);
    buffer_clear(head);
    pack_array(head, 3);
    pack_uint(head, stream->config.id);
    pack_uint(head, message->seq);
    buffer_append(head, bin, sizeof(bin));
    memory_must(!head->failed);
}

/* Returns its length. */
static size_t send_next(struct stream *stream)
{
    struct message *message = stream->unsent;
    gather(stream, message);
    if (message->seq == 0) {
        message->seq = ++stream->last_seq;
    }
    pack_head(stream, message);
    peer_call(stream->link->peer, "import.data", buffer_bytes(&stream->head), ANSWER_WITHIN_MS,
              on_data_answer, stream->link);
    buffer_append_bytes(peer_output(stream->link->peer), buffer_bytes(&message->items));
    stream->sent_seq = message->seq;
    stream->flying_len += message->items.len;
    stream->flying_count++;
    stream->unsent = message->next;
    return message->items.len;
}

static void send_end(struct stream *stream)
{
    struct buffer *head = &stream->head;
    const struct range_sum *sum = &stream->end_sum;
    buffer_clear(head);
    pack_array(head, 8);
    pack_uint(head, stream->config.id);
    pack_uint(head, stream->last_seq + 1);
    pack_uint(head, sum->records);
    pack_uint(head, sum->bytes);
    pack_uint(head, sum->high);
    pack_uint(head, sum->low);
    pack_uint(head, stream->end_stamp);
    pack_uint(head, stream->end_ids_ms);
    memory_must(!head->failed);
    stream->is_end_sent = true;
    peer_call(stream->link->peer, "import.end", buffer_bytes(head), ANSWER_WITHIN_MS, on_end_answer,
              stream->link);
}

void stream_turn(struct stream *stream, uint64_t durable)
{
    size_t sent_len = 0;
    stream->durable = durable;
    while (sent_len < STREAM_MESSAGE_LEN && may_send(stream)) {
        sent_len += send_next(stream);
    }
    if (may_send(stream)) {
        timer_set(stream->again, 0);
    }
    if (stream->state == OPEN && stream->has_end && !stream->is_end_sent && !stream->unsent) {
        send_end(stream);
    }
}

/* --- what waits --- */

/*
 * Behind others that wait the last one takes it in, or many small ones would take more memory than they count. Never
 * the first: what is put again and again would hold it back until all is durable.
 */
static bool join_last(struct stream *stream, struct buffer *items, uint64_t need)
{
    struct message *last = stream->last;
    if (!last || last == stream->unsent || last->seq != 0 ||
        last->items.len + items->len > STREAM_MESSAGE_LEN) {
        return false;
    }
    buffer_append_bytes(&last->items, buffer_bytes(items));
    memory_must(!last->items.failed);
    last->need = last->need > need ? last->need : need;
    stream->waiting_len += items->len;
    buffer_fini(items);
    return true;
}

static void append(struct stream *stream, struct buffer *items, uint64_t need)
{
    struct message *message = memory_get(1, sizeof(*message));
    message->items = *items;
    message->need = need;
    *items = (struct buffer){0};
    *(stream->last ? &stream->last->next : &stream->first) = message;
    stream->last = message;
    stream->unsent = stream->unsent ? stream->unsent : message;
    stream->waiting_len += message->items.len;
}

/* --- time --- */

/* Whether it is there. It is not asked when it has something to answer, or all. */
static void ping(struct stream *stream, uint64_t now_ms)
{
    bool is_idle = !stream->first && !stream->has_end;
    if (stream->state == OPEN && is_idle && now_ms - stream->heard_ms >= STREAM_PING_MS) {
        struct buffer nothing = {0};
        append(stream, &nothing, 0);
        (void)send_next(stream);
    }
}

static void measure(struct stream *stream, uint64_t now_ms)
{
    struct rate *rate = &stream->rate;
    uint64_t passed_ms = now_ms - rate->since_ms;
    if (passed_ms >= RATE_MS) {
        rate->past_len = (rate->past_len + stream->done_len - rate->since_len) / 2;
        rate->past_ms = (rate->past_ms + passed_ms) / 2;
        rate->since_ms = now_ms;
        rate->since_len = stream->done_len;
    }
}

static uint64_t rate_at(const struct stream *stream, uint64_t now_ms)
{
    const struct rate *rate = &stream->rate;
    uint64_t ms = rate->past_ms + now_ms - rate->since_ms;
    uint64_t len = rate->past_len + stream->done_len - rate->since_len;
    return ms > 0 ? len * 1000 / ms : 0;
}

static void on_tick(void *context)
{
    struct stream *stream = context;
    uint64_t now_ms = clock_mono_ms();
    timer_set(stream->tick, STREAM_PING_MS);
    measure(stream, now_ms);
    if (stream->is_full && now_ms - stream->done_ms >= FULL_MS_MAX) {
        lose(stream, "the target takes too long: as much as may be is on the way");
        return;
    }
    if (stream->has_end && now_ms - stream->has_end_ms >= END_MS_MAX) {
        lose(stream, "the target takes too long: it has not said that it has all");
        return;
    }
    if (stream->state == RESTING && now_ms >= stream->rest_until_ms) {
        connect(stream);
    }
    ping(stream, now_ms);
}

/* --- the owner's --- */

struct stream *stream_new(const struct stream_config *config)
{
    struct stream *stream = memory_get(1, sizeof(*stream));
    stream->config = *config;
    stream->config.waiting_len_max =
        config->waiting_len_max > 0 ? config->waiting_len_max : STREAM_WAITING_LEN_MAX;
    stream->tick = timer_new(config->loop, on_tick, stream);
    stream->again = timer_new(config->loop, on_again, stream);
    stream->pace_timer = timer_new(config->loop, on_again, stream);
    stream->rest_ms = REST_MIN_MS;
    stream->rate.since_ms = clock_mono_ms();
    timer_set(stream->tick, STREAM_PING_MS);
    connect(stream);
    return stream;
}

void stream_free(struct stream *stream)
{
    if (!stream) {
        return;
    }
    let_go(stream, "the stream has ended");
    while (stream->first) {
        drop_first(stream);
    }
    timer_free(stream->tick);
    timer_free(stream->again);
    timer_free(stream->pace_timer);
    buffer_fini(&stream->head);
    free(stream);
}

/* Slices hold records, and what is not a slice does not. */
static bool is_slice(const struct buffer *items)
{
    return items->len > 0 && items->data[0] == STREAM_RECORD;
}

/* Not before `from_us`, nor before all rests that were asked for have passed. */
static void rest_from(struct stream *stream, uint64_t from_us, uint64_t length_us)
{
    uint64_t now_us = clock_mono_us();
    from_us = stream->paced_us > from_us ? stream->paced_us : from_us;
    stream->paced_us = from_us + length_us;
    uint64_t left_us = stream->paced_us > now_us ? stream->paced_us - now_us : 0;
    timer_set(stream->pace_timer, left_us / 1000 + 1);
}

void stream_rest(struct stream *stream, uint64_t length_us)
{
    rest_from(stream, clock_mono_us(), length_us);
}

/* From when the slice might have begun: what it took to read and send it is none of its pace. */
static void charge(struct stream *stream, size_t len)
{
    uint64_t now_us = clock_mono_us();
    uint64_t early_us = now_us > PACE_SLICE_US ? now_us - PACE_SLICE_US : 0;
    rest_from(stream, early_us, len * UINT64_C(1000000) / stream->bytes_per_s);
}

void stream_put(struct stream *stream, struct buffer *items, uint64_t need)
{
    assert(!stream->has_end);
    if (stream->bytes_per_s > 0 && is_slice(items)) {
        charge(stream, items->len);
    }
    if (!join_last(stream, items, need)) {
        append(stream, items, need);
    }
    if (!stream->is_full && is_at_cap(stream)) {
        stream->is_full = true;
        stream->done_ms = clock_mono_ms();
    }
}

void stream_end(struct stream *stream, const struct range_sum *sum, uint64_t stamp, uint64_t ids_ms)
{
    stream->has_end = true;
    stream->has_end_ms = clock_mono_ms();
    stream->end_sum = *sum;
    stream->end_stamp = stamp;
    stream->end_ids_ms = ids_ms;
}

void stream_pace(struct stream *stream, uint64_t bytes_per_s, bool is_paused)
{
    stream->bytes_per_s = bytes_per_s;
    stream->is_paused = is_paused;
    stream->paced_us = clock_mono_us();
    timer_set(stream->pace_timer, 0);
}

bool stream_has_room(const struct stream *stream)
{
    return stream->is_begun && !stream->is_paused && stream->waiting_len < window_len(stream) &&
           clock_mono_us() >= stream->paced_us;
}

size_t stream_slice_len(const struct stream *stream)
{
    uint64_t len = stream->bytes_per_s / PACE_SLICES;
    return len > 0 || stream->bytes_per_s == 0 ? (size_t)len : 1;
}

uint64_t stream_waiting(const struct stream *stream)
{
    return stream->waiting_len;
}

uint64_t stream_heard_ms(const struct stream *stream)
{
    return stream->heard_ms;
}

void stream_stat(const struct stream *stream, struct stream_stat *stat)
{
    *stat = (struct stream_stat){stream->waiting_len, stream->done_len,
                                 rate_at(stream, clock_mono_ms())};
}
