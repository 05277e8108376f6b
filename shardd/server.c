/* SPDX-License-Identifier: MIT */
#include "shardd/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/listener.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/random.h"
#include "proto/noun.h"
#include "shardd/control.h"
#include "shardd/mend.h"
#include "shardd/mover.h"
#include "shardd/recount.h"
#include "shardd/request.h"
#include "shardd/tree.h"

/* Requests that were on their way when the server began to stop get an answer that says so. */
#define STOP_LINGER_MS 200

/* Whoever has not read the replies by then is cut off. */
#define STOP_FLUSH_MS 1000

enum stage {
    SERVING,
    ANSWERING, /* what was submitted gets its answer */
    SEALING,   /* the log gets its end */
    LINGERING,
    FLUSHING,
    STOPPED,
};

struct shardd {
    struct loop *loop;
    struct dir *dir;
    struct listener *listener;
    struct address address;
    struct store *store;
    struct sessions *sessions;
    struct membership *membership;
    struct mover *mover;
    struct request_scope scope;

    enum stage stage;
    struct timer *timer; /* ends LINGERING and FLUSHING */
    loop_callback *on_stopped;
    void *on_stopped_context;
};

/* --- connections --- */

static void end_when_flushed(struct shardd *shardd)
{
    if (shardd->stage == FLUSHING && sessions_count(shardd->sessions) == 0) {
        shardd->stage = STOPPED;
        timer_clear(shardd->timer);
        shardd->on_stopped(shardd->on_stopped_context);
    }
}

static void on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    (void)context;
    struct shardd *shardd = session_owner(peer);
    if (shardd) {
        request_take(&shardd->scope, peer, message);
    }
}

static void on_close(void *context, struct peer *peer, const char *reason)
{
    (void)context;
    (void)reason;
    struct shardd *shardd = session_owner(peer);
    if (shardd) {
        membership_left(shardd->membership, peer);
        mover_left(shardd->mover, peer);
        session_end(peer);
        end_when_flushed(shardd);
    }
}

/* Without a context: a connection may outlive the server by a turn, and then has no session. */
static const struct peer_handler peer_handler = {NULL, on_request, on_close};

static void on_accept(void *context, struct conn *conn)
{
    struct shardd *shardd = context;
    struct peer *peer = peer_accept(shardd->loop, conn, &peer_handler, NULL);
    sessions_add(shardd->sessions, peer, shardd);
}

/* --- the turn, and the end --- */

static void on_sealed(void *context)
{
    struct shardd *shardd = context;
    shardd->stage = LINGERING;
    timer_set(shardd->timer, STOP_LINGER_MS);
}

static void on_turn_end(void *context)
{
    struct shardd *shardd = context;
    store_execute(shardd->store);
    if (shardd->stage <= ANSWERING) {
        mover_turn(shardd->mover);
    }
    store_turn_end(shardd->store);
    bool is_idle = store_is_idle(shardd->store) && membership_is_idle(shardd->membership);
    if (shardd->stage == ANSWERING && (is_idle || store_is_stuck(shardd->store))) {
        shardd->stage = SEALING;
        mover_stop(shardd->mover);
        store_stop(shardd->store, on_sealed, shardd);
    }
}

static void on_timer(void *context)
{
    struct shardd *shardd = context;
    if (shardd->stage == LINGERING) {
        shardd->stage = FLUSHING;
        timer_set(shardd->timer, STOP_FLUSH_MS);
        sessions_finish(shardd->sessions, "the server is stopping");
    } else if (shardd->stage == FLUSHING) {
        sessions_cut(shardd->sessions, "did not read its replies before the server stopped");
    }
    end_when_flushed(shardd);
}

void shardd_stop(struct shardd *shardd, loop_callback *on_stopped, void *context)
{
    if (shardd->stage != SERVING) {
        return;
    }
    shardd->stage = ANSWERING;
    shardd->scope.is_stopping = true;
    shardd->on_stopped = on_stopped;
    shardd->on_stopped_context = context;
    listener_close(shardd->listener);
    shardd->listener = NULL;
    timer_set(shardd->timer, 0); /* there may be no other turn */
}

/* --- opening --- */

/* What this server was when it ended, or a new one. */
static bool load_ownership(struct store *store, struct ownership *ownership, char *error,
                           size_t error_len)
{
    struct bytes control = store_control(store);
    if (control.len == 0) {
        random_fill(ownership->server, ID_LEN);
        return true;
    }
    return control_decode(control, ownership, error, error_len);
}

/* RULES M4: raised durably before anything is said. */
static bool raise_incarnation(struct store *store, struct ownership *ownership, char *error,
                              size_t error_len)
{
    struct buffer control = {0};
    struct log_identity identity;
    ownership_start(ownership, 1 + random_below(UINT64_MAX));
    control_encode(ownership, &control);
    identity.incarnation = ownership->incarnation;
    memcpy(identity.cluster, ownership->cluster, ID_LEN);
    memcpy(identity.server, ownership->server, ID_LEN);
    uint32_t held_count;
    struct range *held = ownership_held(ownership, &held_count);
    const struct store_state state = {buffer_bytes(&control), held, held_count};
    bool is_started = store_start(store, &identity, &state, error, error_len);
    free(held);
    buffer_fini(&control);
    return is_started;
}

static void say_who(const struct ownership *ownership)
{
    char server[ID_TEXT_LEN];
    id_bytes_print(ownership->server, server);
    logline(LOGLINE_INFO, "server %s, incarnation %llu, owns %u %s at map revision %llu", server,
            (unsigned long long)ownership->incarnation, ownership->range_count,
            noun_of(ownership->range_count, "range", "ranges"),
            (unsigned long long)ownership->map.revision);
}

static bool open_store(struct shardd *shardd, const struct shardd_config *config, char *error,
                       size_t error_len)
{
    const struct store_config store = {
        .loop = shardd->loop,
        .dir = shardd->dir,
        .durability = config->durability,
        .memory_limit = config->memory_limit,
        .log_limit = config->log_limit,
        .segment_len = config->segment_len,
    };
    shardd->store = store_open(&store, error, error_len);
    return shardd->store != NULL;
}

static bool compact(const struct shardd_config *config, char *error, size_t error_len)
{
    uint64_t before;
    uint64_t after;
    if (!config->is_to_compact) {
        return true;
    }
    if (!tree_compact(config->data, &before, &after, error, error_len)) {
        return false;
    }
    logline(LOGLINE_INFO, "%s: the tree is compact: %llu bytes before, %llu after", config->data,
            (unsigned long long)before, (unsigned long long)after);
    return true;
}

/* It loses data, and its records must be counted then. */
static bool mend(const struct shardd *shardd, const char *path, char *error, size_t error_len)
{
    if (!recount_is_due(shardd->dir)) {
        (void)snprintf(
            error, error_len,
            "--salvage-tree: %s is not what shardkv log salvage wrote, or was started since", path);
        return false;
    }
    return mend_tree(path, error, error_len);
}

static bool open_data(struct shardd *shardd, const struct shardd_config *config, char *error,
                      size_t error_len)
{
    const char *path = config->data;
    struct ownership ownership = {0};
    char reason[400] = "";
    shardd->dir = dir_open(path, error, error_len);
    if (!shardd->dir) {
        return false;
    }
    if (dir_has(shardd->dir, "map")) {
        (void)snprintf(error, error_len, "%s: is a bootstrapd's directory: there is a map in it",
                       path);
        return false;
    }
    if ((config->is_to_mend && !mend(shardd, path, error, error_len)) ||
        !compact(config, error, error_len)) {
        return false;
    }
    if (!open_store(shardd, config, reason, sizeof(reason))) {
        (void)snprintf(error, error_len, "%s: %s", path, reason);
        return false;
    }
    /* LMDB syncs its file, and not the name that it has given it (RULES L7). */
    int fault = dir_sync(shardd->dir);
    if (fault != 0) {
        (void)snprintf(error, error_len, "%s: %s", path, strerror(fault));
        return false;
    }
    if (!load_ownership(shardd->store, &ownership, reason, sizeof(reason)) ||
        !raise_incarnation(shardd->store, &ownership, reason, sizeof(reason))) {
        (void)snprintf(error, error_len, "%s: %s", path, reason);
        ownership_fini(&ownership);
        return false;
    }
    say_who(&ownership);
    shardd->membership = membership_new(shardd->store, shardd->sessions, &ownership);
    return true;
}

static bool open_listener(struct shardd *shardd, const struct shardd_config *config, char *error,
                          size_t error_len)
{
    const struct listener_config listener = {&config->listen, config->connection_max, on_accept,
                                             shardd};
    shardd->listener = listener_open(shardd->loop, &listener, error, error_len);
    if (!shardd->listener) {
        return false;
    }
    shardd->address = *listener_address(shardd->listener);
    return true;
}

struct shardd *shardd_open(struct loop *loop, const struct shardd_config *config, char *error,
                           size_t error_len)
{
    struct shardd *shardd = memory_get(1, sizeof(*shardd));
    shardd->loop = loop;
    shardd->sessions = sessions_new();
    conn_set_limits(loop, config->memory_limit / STORE_INPUT_PART,
                    config->memory_limit / STORE_OUTPUT_PART);
    if (!open_data(shardd, config, error, error_len) ||
        !open_listener(shardd, config, error, error_len)) {
        shardd_free(shardd);
        return NULL;
    }
    shardd->mover = mover_new(loop, shardd->store, shardd->membership);
    shardd->scope = (struct request_scope){
        .store = shardd->store,
        .membership = shardd->membership,
        .mover = shardd->mover,
        .sessions = shardd->sessions,
    };
    shardd->timer = timer_new(loop, on_timer, shardd);
    loop_on_turn_end(loop, on_turn_end, shardd);
    return shardd;
}

void shardd_free(struct shardd *shardd)
{
    if (!shardd) {
        return;
    }
    timer_free(shardd->timer);
    if (shardd->listener) {
        listener_close(shardd->listener);
    }
    sessions_free(shardd->sessions);
    mover_free(shardd->mover);
    /* Both give back what waits, into connections that are closed. */
    store_free(shardd->store);
    membership_free(shardd->membership);
    if (shardd->dir) {
        dir_close(shardd->dir);
    }
    free(shardd);
}

const struct address *shardd_address(const struct shardd *shardd)
{
    return &shardd->address;
}

/* One that is owned and frozen waits, and the next owner may be open by then (RULES V4). */
bool shardd_serves(const struct shardd *shardd, uint64_t point)
{
    const struct account *account = store_account(shardd->store, point);
    return shardd->stage == SERVING && account && account->is_open &&
           ownership_find(membership_ownership(shardd->membership), point) != NULL;
}

const struct ownership *shardd_ownership(const struct shardd *shardd)
{
    return membership_ownership(shardd->membership);
}
