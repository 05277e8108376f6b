/* SPDX-License-Identifier: MIT */
#include "bootstrapd/server.h"

#include <stdio.h>
#include <stdlib.h>

#include "bootstrapd/request.h"
#include "io/listener.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/random.h"
#include "proto/hash.h"
#include "proto/noun.h"

/* A client that does not read its last replies is not waited for any longer. */
#define FINISH_WITHIN_MS 1000

struct client {
    struct client *next, *previous;
    struct bootstrapd *bootstrapd; /* NULL: freed */
    struct peer *peer;
};

struct bootstrapd {
    struct loop *loop;
    struct mapstore *store;
    struct coordinator *coordinator;
    struct listener *listener;
    struct address address;
    struct watchers watchers;
    struct client *clients;

    bool is_stopping;
    bool has_coordinator_stopped;
    struct timer *finish_timer;
    loop_callback *on_stopped; /* NULL: was called */
    void *stopped_context;
};

/* --- clients --- */

static void check_stopped(struct bootstrapd *bootstrapd);

static void client_on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    const struct client *client = context;
    struct bootstrapd *bootstrapd = client->bootstrapd;
    if (!bootstrapd) {
        return;
    }
    if (!bootstrapd->is_stopping) {
        request_handle(bootstrapd->coordinator, &bootstrapd->watchers, peer, message);
    } else if (message->type == RPC_REQUEST) {
        peer_refuse(peer, message->msgid, STATUS_SHUTTING_DOWN, "bootstrapd is stopping");
    }
}

static void client_on_close(void *context, struct peer *peer, const char *reason)
{
    struct client *client = context;
    struct bootstrapd *bootstrapd = client->bootstrapd;
    if (bootstrapd) {
        logline(LOGLINE_DEBUG, "client %s: %s", peer_remote(peer), reason);
        watchers_remove(&bootstrapd->watchers, peer);
        if (client->next) {
            client->next->previous = client->previous;
        }
        if (client->previous) {
            client->previous->next = client->next;
        } else {
            bootstrapd->clients = client->next;
        }
        check_stopped(bootstrapd);
    }
    free(client);
}

static const struct peer_handler client_handler = {NULL, client_on_request, client_on_close};

static void on_accept(void *context, struct conn *conn)
{
    struct bootstrapd *bootstrapd = context;
    struct client *client = memory_get(1, sizeof(*client));
    client->bootstrapd = bootstrapd;
    client->next = bootstrapd->clients;
    if (client->next) {
        client->next->previous = client;
    }
    bootstrapd->clients = client;
    client->peer = peer_accept(bootstrapd->loop, conn, &client_handler, client);
}

/* --- what the coordinator brings --- */

static void on_changed(void *context, uint64_t old_revision)
{
    const struct bootstrapd *bootstrapd = context;
    const struct cluster *cluster = coordinator_cluster(bootstrapd->coordinator);
    watchers_tell(&bootstrapd->watchers, &cluster_ledger(cluster)->map, old_revision);
}

static void on_server_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    const struct bootstrapd *bootstrapd = context;
    if (!bootstrapd->is_stopping) {
        request_handle(bootstrapd->coordinator, NULL, peer, message);
    }
}

static void on_coordinator_stopped(void *context)
{
    struct bootstrapd *bootstrapd = context;
    bootstrapd->has_coordinator_stopped = true;
    for (const struct client *client = bootstrapd->clients; client; client = client->next) {
        peer_finish(client->peer, "bootstrapd is stopping");
    }
    timer_set(bootstrapd->finish_timer, FINISH_WITHIN_MS);
    check_stopped(bootstrapd);
}

static const struct coordinator_handler coordinator_handler = {on_changed, on_server_request,
                                                               on_coordinator_stopped};

/* --- start --- */

static void say(char *error, size_t error_len, const char *name, const char *what)
{
    (void)snprintf(error, error_len, "%s: %s", name, what);
}

static bool found(const struct bootstrapd_config *config, struct ledger *ledger, char *error,
                  size_t error_len)
{
    uint8_t cluster[ID_LEN];
    uint8_t instance[ID_LEN];
    struct map_error map_error;
    if (!config->map_name) {
        say(error, error_len, config->data_path,
            "no cluster was founded here yet: give it a map with --config");
        return false;
    }
    random_fill(cluster, sizeof(cluster));
    random_fill(instance, sizeof(instance));
    if (!ledger_found(config->map_text, cluster, instance, ledger, &map_error)) {
        say(error, error_len, config->map_name, map_error.text);
        return false;
    }
    return true;
}

/*
 * Each start has a term of its own, by which servers tell an old copy from the one that came later,
 * and an instance id, by which they tell two copies that were started equally often.
 */
static bool resume(struct mapstore *store, const struct bootstrapd_config *config,
                   struct ledger *ledger, char *error, size_t error_len)
{
    struct ledger loaded;
    if (!mapstore_load(store, &loaded, error, error_len)) {
        return false;
    }
    uint64_t config_hash = config->map_name ? hash_bytes(config->map_text) : loaded.config_hash;
    /* What the file said is in force, or was until something else was applied: nobody edited it. */
    if (config_hash != loaded.config_hash && config_hash != loaded.applied_hash) {
        (void)snprintf(
            error, error_len,
            "%s was edited since; use: shardkv map apply %s (with bootstrapd started without "
            "--config)",
            config->map_name, config->map_name);
        ledger_fini(&loaded);
        return false;
    }
    loaded.config_hash = config_hash;
    loaded.term++;
    random_fill(loaded.map.instance, sizeof(loaded.map.instance));
    *ledger = loaded;
    return true;
}

static bool load(struct mapstore *store, const struct bootstrapd_config *config,
                 struct ledger *ledger, char *error, size_t error_len)
{
    bool is_founded = mapstore_is_founded(store);
    bool is_there = is_founded ? resume(store, config, ledger, error, error_len)
                               : found(config, ledger, error, error_len);
    if (is_there && !mapstore_write_now(store, ledger, error, error_len)) {
        ledger_fini(ledger);
        is_there = false;
    }
    if (is_there && !is_founded) {
        logline(LOGLINE_INFO, "%s: a new cluster of %u %s, from %s", config->data_path,
                ledger->map.entry_count, noun_of(ledger->map.entry_count, "shard", "shards"),
                config->map_name);
    }
    return is_there;
}

static void on_finish_timer(void *context)
{
    const struct bootstrapd *bootstrapd = context;
    for (const struct client *client = bootstrapd->clients; client; client = client->next) {
        peer_close(client->peer, "bootstrapd is stopping");
    }
}

struct bootstrapd *bootstrapd_open(struct loop *loop, const struct bootstrapd_config *config,
                                   char *error, size_t error_len)
{
    struct bootstrapd *bootstrapd = memory_get(1, sizeof(*bootstrapd));
    struct ledger ledger;
    bootstrapd->loop = loop;
    /* The port first: one that is in use must not cost a term, nor found a cluster. */
    const struct listener_config listener = {&config->listen, config->connection_max, on_accept,
                                             bootstrapd};
    bootstrapd->listener = listener_open(loop, &listener, error, error_len);
    if (!bootstrapd->listener) {
        goto failed;
    }
    bootstrapd->address = *listener_address(bootstrapd->listener);
    bootstrapd->store = mapstore_open(loop, config->data_path, error, error_len);
    if (!bootstrapd->store || !load(bootstrapd->store, config, &ledger, error, error_len)) {
        goto failed;
    }
    bootstrapd->coordinator = coordinator_new(loop, bootstrapd->store, &ledger, config->is_auto,
                                              &coordinator_handler, bootstrapd);
    /* Only now is it known how many servers there are: each takes a connection, too. */
    if (!listener_raise_file_limit(config->connection_max + cluster_site_count(coordinator_cluster(
                                                                bootstrapd->coordinator)),
                                   error, error_len)) {
        goto failed;
    }
    bootstrapd->finish_timer = timer_new(loop, on_finish_timer, bootstrapd);
    coordinator_start(bootstrapd->coordinator);
    return bootstrapd;
failed:
    bootstrapd_free(bootstrapd);
    return NULL;
}

bool bootstrapd_check_map(const struct bootstrapd_config *config, char *error, size_t error_len)
{
    static const uint8_t nobody[ID_LEN];
    struct map_error map_error;
    struct ledger ledger;
    if (!ledger_found(config->map_text, nobody, nobody, &ledger, &map_error)) {
        say(error, error_len, config->map_name, map_error.text);
        return false;
    }
    ledger_fini(&ledger);
    return true;
}

const struct address *bootstrapd_address(const struct bootstrapd *bootstrapd)
{
    return &bootstrapd->address;
}

const struct ledger *bootstrapd_ledger(const struct bootstrapd *bootstrapd)
{
    return cluster_ledger(coordinator_cluster(bootstrapd->coordinator));
}

/* --- end --- */

static void check_stopped(struct bootstrapd *bootstrapd)
{
    if (bootstrapd->has_coordinator_stopped && !bootstrapd->clients && bootstrapd->on_stopped) {
        loop_callback *on_stopped = bootstrapd->on_stopped;
        bootstrapd->on_stopped = NULL;
        on_stopped(bootstrapd->stopped_context);
    }
}

void bootstrapd_stop(struct bootstrapd *bootstrapd, loop_callback *on_stopped, void *context)
{
    if (bootstrapd->is_stopping) {
        return;
    }
    bootstrapd->is_stopping = true;
    bootstrapd->on_stopped = on_stopped;
    bootstrapd->stopped_context = context;
    listener_close(bootstrapd->listener);
    bootstrapd->listener = NULL;
    coordinator_stop(bootstrapd->coordinator);
}

void bootstrapd_free(struct bootstrapd *bootstrapd)
{
    if (!bootstrapd) {
        return;
    }
    while (bootstrapd->clients) {
        struct client *client = bootstrapd->clients;
        bootstrapd->clients = client->next;
        client->bootstrapd = NULL;
        peer_close(client->peer, "bootstrapd has ended");
    }
    listener_close(bootstrapd->listener);
    coordinator_free(bootstrapd->coordinator);
    mapstore_free(bootstrapd->store);
    watchers_fini(&bootstrapd->watchers);
    timer_free(bootstrapd->finish_timer);
    free(bootstrapd);
}
