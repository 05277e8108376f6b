/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_SERVER_H
#define TESTS_UNIT_FAKE_SERVER_H

/*
 * A server on loopback whose behaviour a test scripts: it answers hello and map.get by itself, asks
 * the script about everything else, and keeps a trace of what it was asked:
 *
 *     "write k1=v1 #1/1; read k1; put @12 #2/2; mint @12*1000; "       #seq/done, @logical shard, *count
 *
 * One thread serves all connections. What a script sees of the server it may change: the thread
 * holds the lock meanwhile.
 */

#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/extent.h"
#include "proto/id.h"
#include "proto/map.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/rpc.h"

#define FAKE_CONNS_MAX 64
#define FAKE_HELD_MAX  16

enum fake_act {
    FAKE_ANSWER,   /* as a server would that holds every key */
    FAKE_SILENT,   /* never answers */
    FAKE_DROP,     /* closes the connection instead */
    FAKE_HOLD,     /* answers when it is told to release, the last first */
    FAKE_RELEASE,  /* answers this one, then those held */
    FAKE_REFUSE,   /* with fake->code and fake->detail */
    FAKE_REDIRECT, /* WRONG_SHARD with fake->redirect, nil when its end is 0 */
    FAKE_GARBAGE,  /* bytes that are no response */
    FAKE_ODD,      /* a response, but not of this method */
    FAKE_RESULT,   /* with fake->result, an encoded object */
};

struct fake_request {
    const char *method;
    char key[64];
    char value[64]; /* of a write: a str */
    uint64_t point; /* instead of a key: put, mint, scan */
    uint32_t count; /* of a mint */
    uint64_t deadline_ms;
    uint8_t client[ID_LEN];
    uint64_t seq, done; /* 0: none */
    uint32_t msgid;
    struct bytes params;
};

struct fake_conn {
    int fd;
    struct extent extent;
    struct buffer input;
};

struct fake_held {
    int fd;
    struct fake_request request;
};

struct fake {
    int listener;
    int stop[2];
    struct address address;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows while the thread runs */
    enum fake_act (*script)(struct fake *fake, const struct fake_request *request);
    struct map map;
    struct map_entry redirect;
    enum status code;
    uint64_t detail[2];
    struct bytes scanned; /* the value that a scan brings, encoded */
    struct bytes result;
    enum status hello_code;
    uint32_t asked_count; /* requests that the script saw */
    uint32_t map_count;   /* map.get */
    uint64_t done_told;   /* by the method `done` */
    uint32_t mint_max;    /* ids that it gives at once; 0: as many as are asked for */
    uint64_t minted_ms;   /* since the origin: ids of this millisecond were given last */
    uint32_t conn_count, conn_count_max;
    uint64_t open_max;      /* the widest seq + 1 - done */
    uint8_t client[ID_LEN]; /* of the last request that had one */
    struct fake_conn conns[FAKE_CONNS_MAX];
    struct fake_held held[FAKE_HELD_MAX];
    uint32_t held_count;
    char trace[4096];
};

static inline void fake_send(int fd, const struct buffer *out)
{
    for (size_t sent = 0; sent < out->len;) {
        ssize_t len = send(fd, out->data + sent, out->len - sent, MSG_NOSIGNAL);
        if (len <= 0) {
            return; /* the client is gone: its business */
        }
        sent += (size_t)len;
    }
}

/* The first keys k0, k1, ... in each half of the circle; which they are does not change. */
static inline void fake_print_key(uint32_t half, uint32_t index, char text[16])
{
    for (uint32_t i = 0, found = 0; found <= index; i++) {
        (void)snprintf(text, 16, "k%u", (unsigned)i);
        found += point_of_key(bytes_text(text)) >> 63 == half;
    }
}

/* One record in each half, on pages of their own; and one behind the first that is damaged, for those who pass over it. */
static inline void fake_pack_scan(const struct fake *fake, const struct fake_request *request,
                                  struct buffer *out)
{
    struct unpack in = unpack_of(request->params);
    (void)unpack_array(&in);
    bool is_second_half = unpack_uint(&in) >> 63;
    bool is_behind_it = unpack_peek(&in) != UNPACK_NIL;
    char key[16];
    bool skips_damaged =
        memmem(request->params.data, request->params.len, "skip_damaged", 12) != NULL;
    fake_print_key(is_second_half, 0, key);
    pack_array(out, skips_damaged ? 4 : 3);
    pack_array(out, !is_behind_it);
    if (!is_behind_it) {
        pack_array(out, 6);
        pack_text(out, key);
        pack_encoded(out, fake->scanned.len ? fake->scanned : bytes_text("\xa5value"));
        pack_uint(out, 77);
        pack_int(out, -1);
        pack_uint(out, 71);
        pack_uint(out, 0);
    }
    pack_nil(out);
    pack_uint(out, is_second_half ? BOUND_END : BOUND_END / 2);
    if (skips_damaged) {
        pack_array(out, !is_second_half);
        if (!is_second_half) {
            pack_array(out, 3);
            pack_uint(out, 4711);
            pack_bin(out, bytes_text("bad"));
            pack_text(out, "its checksum fails");
        }
    }
}

/* A new millisecond for each run: of 1024 ids at most. */
static inline uint64_t fake_next_id(struct fake *fake, const struct fake_request *request)
{
    uint64_t id = 0;
    bool fits = id_compose(++fake->minted_ms, (uint32_t)(request->point >> 51), 0, &id);
    assert(fits);
    (void)fits;
    return id;
}

static inline void fake_pack_minted(struct fake *fake, const struct fake_request *request,
                                    struct buffer *out)
{
    bool is_fewer = fake->mint_max > 0 && fake->mint_max < request->count;
    uint32_t count = is_fewer ? fake->mint_max : request->count;
    pack_array(out, (count + ID_SEQUENCE_COUNT - 1) / ID_SEQUENCE_COUNT);
    for (uint32_t left = count; left > 0;) {
        uint32_t len = left < ID_SEQUENCE_COUNT ? left : ID_SEQUENCE_COUNT;
        pack_array(out, 2);
        pack_uint(out, fake_next_id(fake, request));
        pack_uint(out, len);
        left -= len;
    }
}

static inline void fake_pack_result(struct fake *fake, const struct fake_request *request,
                                    struct buffer *out)
{
    const char *method = request->method;
    if (strcmp(method, "write") == 0 || strcmp(method, "expire") == 0) {
        pack_array(out, 2);
        pack_uint(out, 1000 + request->seq);
        pack_uint(out, 99);
    } else if (strcmp(method, "read") == 0 || strcmp(method, "pop") == 0) {
        pack_array(out, 5);
        pack_text(out, request->key);
        pack_uint(out, 77);
        pack_int(out, -1);
        pack_uint(out, 99);
        pack_uint(out, 0);
    } else if (strcmp(method, "incr") == 0) {
        pack_array(out, 2);
        pack_int(out, -5);
        pack_uint(out, 78);
    } else if (strcmp(method, "put") == 0) {
        pack_array(out, 3);
        pack_uint(out, fake_next_id(fake, request));
        pack_uint(out, 1000 + request->seq);
        pack_uint(out, 99);
    } else if (strcmp(method, "mint") == 0) {
        fake_pack_minted(fake, request, out);
    } else if (strcmp(method, "scan") == 0) {
        fake_pack_scan(fake, request, out);
    } else {
        pack_bool(out, true);
    }
}

static inline void fake_answer(struct fake *fake, int fd, const struct fake_request *request)
{
    struct buffer out = {.data = NULL};
    rpc_response(&out, request->msgid);
    fake_pack_result(fake, request, &out);
    fake_send(fd, &out);
    buffer_fini(&out);
}

static inline void fake_refuse(const struct fake *fake, int fd, const struct fake_request *request,
                               enum status code)
{
    struct buffer out = {.data = NULL};
    rpc_error(&out, request->msgid, code, status_text(code));
    if (code == STATUS_WRONG_SHARD) {
        pack_array(&out, 2);
        pack_uint(&out, fake->redirect.epoch);
        if (fake->redirect.end > 0) {
            map_pack_entry(&fake->redirect, &out);
        } else {
            pack_nil(&out);
        }
    } else {
        pack_array(&out, 2);
        pack_uint(&out, fake->detail[0]);
        pack_uint(&out, fake->detail[1]);
    }
    rpc_error_end(&out);
    fake_send(fd, &out);
    buffer_fini(&out);
}

static inline void fake_release(struct fake *fake)
{
    while (fake->held_count > 0) {
        const struct fake_held *held = &fake->held[--fake->held_count];
        fake_answer(fake, held->fd, &held->request);
    }
}

/* False: the connection is to be closed. */
static inline bool fake_act(struct fake *fake, int fd, const struct fake_request *request)
{
    struct buffer out = {.data = NULL};
    switch (fake->script(fake, request)) {
    case FAKE_ANSWER:
        fake_answer(fake, fd, request);
        break;
    case FAKE_SILENT:
        break;
    case FAKE_DROP:
        return false;
    case FAKE_HOLD:
        assert(fake->held_count < FAKE_HELD_MAX);
        fake->held[fake->held_count++] = (struct fake_held){fd, *request};
        break;
    case FAKE_RELEASE:
        fake_answer(fake, fd, request);
        fake_release(fake);
        break;
    case FAKE_REFUSE:
        fake_refuse(fake, fd, request, fake->code);
        break;
    case FAKE_REDIRECT:
        fake_refuse(fake, fd, request, STATUS_WRONG_SHARD);
        break;
    case FAKE_GARBAGE:
        buffer_append(&out, "\xc1\xc1", 2);
        fake_send(fd, &out);
        break;
    case FAKE_ODD:
        rpc_response(&out, request->msgid);
        pack_text(&out, "odd");
        fake_send(fd, &out);
        break;
    case FAKE_RESULT:
        rpc_response(&out, request->msgid);
        pack_encoded(&out, fake->result);
        fake_send(fd, &out);
        break;
    }
    buffer_fini(&out);
    return true;
}

static inline void fake_copy_text(struct bytes from, char to[64])
{
    size_t len = from.len < 63 ? from.len : 63;
    memcpy(to, len ? from.data : "", len);
    to[len] = '\0';
}

static inline void fake_read_options(struct unpack *in, struct fake_request *request)
{
    uint32_t count = unpack_map(in);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = unpack_text(in);
        if (bytes_equal(name, bytes_text("client"))) {
            memcpy(request->client, unpack_text(in).data, ID_LEN);
        } else if (bytes_equal(name, bytes_text("seq"))) {
            request->seq = unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("done"))) {
            request->done = unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("deadline_ms"))) {
            request->deadline_ms = unpack_uint(in);
        } else {
            unpack_skip(in);
        }
    }
}

static inline void fake_read_request(const struct rpc_message *message,
                                     struct fake_request *request)
{
    struct unpack in = unpack_of(message->params);
    uint32_t left = unpack_array(&in);
    request->msgid = message->msgid;
    request->params = message->params;
    if (left > 0 && (unpack_peek(&in) == UNPACK_BIN || unpack_peek(&in) == UNPACK_STR)) {
        fake_copy_text(unpack_text(&in), request->key);
        left--;
    } else if (left > 0 && unpack_peek(&in) == UNPACK_UINT) {
        request->point = unpack_uint(&in);
        left--;
    }
    if (left > 0 && strcmp(request->method, "mint") == 0) {
        request->count = (uint32_t)unpack_uint_max(&in, 65536);
        left--;
    }
    while (left > 0) {
        if (unpack_peek(&in) == UNPACK_MAP && left == 1) {
            fake_read_options(&in, request);
        } else if (unpack_peek(&in) == UNPACK_STR) {
            fake_copy_text(unpack_text(&in), request->value);
        } else {
            unpack_skip(&in);
        }
        left--;
    }
    assert(unpack_is_done(&in));
}

static inline void fake_note(struct fake *fake, const struct fake_request *request)
{
    size_t len = strlen(fake->trace);
    size_t room = sizeof(fake->trace) - len;
    char *end = fake->trace + len;
    unsigned shard = (unsigned)(request->point >> 51);
    if (strcmp(request->method, "mint") == 0) {
        (void)snprintf(end, room, "mint @%u*%u; ", shard, (unsigned)request->count);
    } else if (strcmp(request->method, "put") == 0) {
        (void)snprintf(end, room, "put @%u #%u/%u; ", shard, (unsigned)request->seq,
                       (unsigned)request->done);
    } else if (request->seq) {
        (void)snprintf(end, room, "%s %s%s%s #%u/%u; ", request->method, request->key,
                       request->value[0] ? "=" : "", request->value, (unsigned)request->seq,
                       (unsigned)request->done);
        uint64_t open = request->seq + 1 - request->done;
        fake->open_max = fake->open_max < open ? open : fake->open_max;
        memcpy(fake->client, request->client, ID_LEN);
    } else {
        (void)snprintf(end, room, "%s%s%s; ", request->method, request->key[0] ? " " : "",
                       request->key);
    }
}

static inline bool fake_on_request(struct fake *fake, int fd, const struct rpc_message *message)
{
    char method[64];
    struct fake_request request = {.method = method};
    fake_copy_text(message->method, method);
    fake_read_request(message, &request);
    struct buffer out = {.data = NULL};
    bool goes_on = true;
    if (strcmp(method, "hello") == 0 && fake->hello_code != STATUS_OK) {
        fake_refuse(fake, fd, &request, fake->hello_code);
    } else if (strcmp(method, "hello") == 0 || strcmp(method, "map.get") == 0) {
        rpc_response(&out, request.msgid);
        fake->map_count += method[0] == 'm';
        if (method[0] == 'm') {
            map_pack(&fake->map, &out);
        } else {
            pack_map(&out, 0);
        }
        fake_send(fd, &out);
    } else if (strcmp(method, "done") == 0) {
        struct unpack in = unpack_of(request.params);
        unpack_array(&in);
        unpack_text(&in);
        fake->done_told = unpack_uint(&in);
    } else {
        fake->asked_count++;
        fake_note(fake, &request);
        goes_on = fake_act(fake, fd, &request);
    }
    buffer_fini(&out);
    return goes_on;
}

static inline void fake_close(struct fake *fake, struct fake_conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
    buffer_fini(&conn->input);
    fake->conn_count--;
}

static inline bool fake_on_input(struct fake *fake, struct fake_conn *conn)
{
    uint8_t *room = buffer_reserve(&conn->input, 65536);
    ssize_t len = recv(conn->fd, room, 65536, 0);
    if (len <= 0) {
        return false;
    }
    conn->input.len += (size_t)len;
    enum unpack_fault fault;
    while (conn->input.len > 0 && extent_scan(&conn->extent, buffer_bytes(&conn->input),
                                              FRAME_LEN_MAX, &fault) == EXTENT_WHOLE) {
        struct rpc_message message;
        struct bytes frame = bytes_of(conn->input.data, conn->extent.scanned);
        enum unpack_fault decoded = rpc_decode(frame, &message);
        assert(decoded == UNPACK_FINE);
        (void)decoded;
        if (!fake_on_request(fake, conn->fd, &message)) {
            return false;
        }
        buffer_consume(&conn->input, frame.len);
        extent_reset(&conn->extent);
    }
    return true;
}

static inline void fake_accept(struct fake *fake)
{
    int fd = accept(fake->listener, NULL, NULL);
    assert(fd >= 0);
    for (uint32_t i = 0; i < FAKE_CONNS_MAX; i++) {
        if (fake->conns[i].fd < 0) {
            fake->conns[i] = (struct fake_conn){.fd = fd};
            extent_reset(&fake->conns[i].extent);
            fake->conn_count++;
            if (fake->conn_count > fake->conn_count_max) {
                fake->conn_count_max = fake->conn_count;
            }
            return;
        }
    }
    abort();
}

static inline void *fake_run(void *context)
{
    struct fake *fake = context;
    struct pollfd polls[FAKE_CONNS_MAX + 2];
    for (;;) {
        polls[0] = (struct pollfd){.fd = fake->stop[0], .events = POLLIN};
        polls[1] = (struct pollfd){.fd = fake->listener, .events = POLLIN};
        for (uint32_t i = 0; i < FAKE_CONNS_MAX; i++) {
            polls[2 + i] = (struct pollfd){.fd = fake->conns[i].fd, .events = POLLIN};
        }
        (void)poll(polls, FAKE_CONNS_MAX + 2, -1);
        if (polls[0].revents) {
            return NULL;
        }
        pthread_mutex_lock(&fake->lock);
        for (uint32_t i = 0; i < FAKE_CONNS_MAX; i++) {
            if (polls[2 + i].revents && !fake_on_input(fake, &fake->conns[i])) {
                fake_close(fake, &fake->conns[i]);
            }
        }
        if (polls[1].revents) {
            fake_accept(fake);
        }
        pthread_mutex_unlock(&fake->lock);
    }
}

/* Listens, so that its address is known; requests are served from fake_start on. */
static inline struct fake *fake_new(void)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t name_len = sizeof(name);
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int failed = bind(fake->listener, (struct sockaddr *)&name, sizeof(name)) ||
                 listen(fake->listener, FAKE_CONNS_MAX) ||
                 getsockname(fake->listener, (struct sockaddr *)&name, &name_len) ||
                 pipe(fake->stop);
    if (failed) {
        abort();
    }
    fake->address = (struct address){.host = "127.0.0.1", .port = ntohs(name.sin_port)};
    for (uint32_t i = 0; i < FAKE_CONNS_MAX; i++) {
        fake->conns[i].fd = -1;
    }
    pthread_mutex_init(&fake->lock, NULL);
    return fake;
}

static inline void fake_start(struct fake *fake)
{
    if (pthread_create(&fake->thread, NULL, fake_run, fake) != 0) {
        abort();
    }
}

/* From then on connections are refused. */
static inline void fake_stop(struct fake *fake)
{
    if (fake->listener < 0) {
        return;
    }
    (void)!write(fake->stop[1], "", 1);
    pthread_join(fake->thread, NULL);
    for (uint32_t i = 0; i < FAKE_CONNS_MAX; i++) {
        if (fake->conns[i].fd >= 0) {
            fake_close(fake, &fake->conns[i]);
        }
    }
    close(fake->listener);
    close(fake->stop[0]);
    close(fake->stop[1]);
    fake->listener = -1;
}

static inline void fake_free(struct fake *fake)
{
    fake_stop(fake);
    pthread_mutex_destroy(&fake->lock);
    map_fini(&fake->map);
    free(fake);
}

#endif
