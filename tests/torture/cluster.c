/* SPDX-License-Identifier: MIT */
#include "tests/torture/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/shardkv.h"
#include "proto/pack.h"

#define SHARD_SIZE "1GiB"

/* Of what a start may take that follows a kill under load. */
#define FOUND_MS_MAX 20000

/* A small log and a small memory, so that segments and sweeps come by often. */
static void set_arguments(const struct cluster *cluster, uint32_t which, const char **arguments)
{
    bool is_server = which < CLUSTER_SERVERS;
    arguments[0] = is_server ? "--log-segment=1MiB" : "--config";
    arguments[1] = is_server ? "--log-size=16MiB" : cluster->map_path;
    arguments[2] = is_server ? "--memory=24MiB" : NULL;
}

void cluster_init_daemon(struct daemon *daemon, const char *name, const struct scene *scene)
{
    *daemon = (struct daemon){.name = name};
    (void)snprintf(daemon->host, sizeof(daemon->host), "127.0.0.1");
    (void)snprintf(daemon->data, sizeof(daemon->data), "%s/%s", scene->home, name);
    (void)snprintf(daemon->log, sizeof(daemon->log), "%s/%s.log", scene->home, name);
    daemon->config = (struct server_config){
        .program = scene->shardd,
        .data = daemon->data,
        .words_path = daemon->log,
    };
}

void cluster_init(struct cluster *cluster, const struct scene *scene)
{
    static const char *const names[CLUSTER_DAEMONS] = {"a", "b", "c", "bootstrapd"};
    *cluster = (struct cluster){0};
    (void)snprintf(cluster->bootstrapd, sizeof(cluster->bootstrapd), "%.*s/bootstrapd",
                   (int)(strrchr(scene->shardd, '/') - scene->shardd), scene->shardd);
    (void)snprintf(cluster->map_path, sizeof(cluster->map_path), "%s/map.json", scene->home);
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        cluster_init_daemon(&cluster->daemons[i], names[i], scene);
        set_arguments(cluster, i, cluster->daemons[i].config.arguments);
    }
    cluster->daemons[CLUSTER_BOOTSTRAPD].config.program = cluster->bootstrapd;
}

bool cluster_start_daemon(struct daemon *daemon)
{
    char listen[48];
    (void)snprintf(listen, sizeof(listen), "%s:0", daemon->host);
    daemon->config.listen = daemon->address[0] ? daemon->address : listen;
    server_spawn(&daemon->server, &daemon->config);
    if (!server_await(&daemon->server)) {
        printf("# %s does not start, status %d: %s\n", daemon->name, server_reap(&daemon->server),
               daemon->server.said);
        return false;
    }
    (void)snprintf(daemon->address, sizeof(daemon->address), "%s:%u", daemon->host,
                   daemon->server.port);
    return true;
}

static bool write_map(const struct cluster *cluster)
{
    const struct daemon *daemons = cluster->daemons;
    FILE *file = fopen(cluster->map_path, "we");
    if (!file) {
        perror(cluster->map_path);
        return false;
    }
    (void)fprintf(
        file,
        "{ \"shards\": [ { \"name\": \"low\", \"start\": 0.0, \"end\": 0.5, \"size\": \"" SHARD_SIZE
        "\", \"host\": \"%s\", \"port\": %u },\n  { \"name\": \"high\", \"start\": 0.5, "
        "\"end\": 1.0, \"size\": \"" SHARD_SIZE "\", \"host\": \"%s\", \"port\": %u } ] }\n",
        daemons[0].host, daemons[0].server.port, daemons[1].host, daemons[1].server.port);
    return fclose(file) == 0;
}

static struct skv *open_client(const struct cluster *cluster)
{
    const struct skv_options options = {.timeout_ms = FOUND_MS_MAX};
    struct skv *kv = NULL;
    if (skv_open(cluster->daemons[CLUSTER_BOOTSTRAPD].address, &options, &kv) != SKV_OK) {
        printf("# %s\n", skv_error()->text);
    }
    return kv;
}

/* Founding takes its time: whatever is read waits for it. */
static bool await_founding(const struct cluster *cluster)
{
    struct skv *kv = open_client(cluster);
    bool is_founded = kv && skv_exists(kv, skv_key("founding"), NULL) == SKV_NOT_FOUND;
    if (kv && !is_founded) {
        printf("# founding: %s\n", skv_error()->text);
    }
    skv_close(kv);
    return is_founded;
}

bool cluster_add(const struct cluster *cluster, const struct daemon *daemon)
{
    struct skv *kv = open_client(cluster);
    struct skv_record record = {0};
    struct buffer params = {0};
    pack_array(&params, 2);
    pack_text(&params, daemon->address);
    pack_map(&params, 0);
    bool is_added =
        kv && skv_request(kv, cluster->daemons[CLUSTER_BOOTSTRAPD].address, "server.add",
                          skv_msgpack(params.data, params.len), 0, &record) == SKV_OK;
    if (kv && !is_added) {
        printf("# server.add: %s\n", skv_error()->text);
    }
    skv_record_fini(&record);
    buffer_fini(&params);
    skv_close(kv);
    return is_added;
}

bool cluster_start(struct cluster *cluster)
{
    for (uint32_t i = 0; i < CLUSTER_SERVERS; i++) {
        if (!cluster_start_daemon(&cluster->daemons[i])) {
            return false;
        }
    }
    return write_map(cluster) && cluster_start_daemon(&cluster->daemons[CLUSTER_BOOTSTRAPD]) &&
           await_founding(cluster) && cluster_add(cluster, &cluster->daemons[CLUSTER_SERVERS - 1]);
}

void cluster_print_addresses(const struct cluster *cluster, char text[CLUSTER_ADDRESSES_LEN])
{
    const struct daemon *daemons = cluster->daemons;
    (void)snprintf(text, CLUSTER_ADDRESSES_LEN, "%s,%s,%s,%s", daemons[CLUSTER_BOOTSTRAPD].address,
                   daemons[0].address, daemons[1].address, daemons[2].address);
}

bool cluster_is_up(const struct cluster *cluster, uint32_t which)
{
    return cluster->daemons[which].server.pid > 0;
}

void cluster_kill(struct cluster *cluster, uint32_t which)
{
    server_kill(&cluster->daemons[which].server);
}

bool cluster_restart(struct cluster *cluster, uint32_t which)
{
    return cluster_start_daemon(&cluster->daemons[which]);
}

bool cluster_hear(struct cluster *cluster)
{
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        struct daemon *daemon = &cluster->daemons[i];
        if (daemon->server.pid > 0 && !server_hear(&daemon->server)) {
            int status = server_reap(&daemon->server);
            printf("# %s has ended by itself, status %d: see %s\n", daemon->name, status,
                   daemon->log);
            return false;
        }
    }
    return true;
}

void cluster_end(struct cluster *cluster)
{
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        server_kill(&cluster->daemons[i].server);
    }
}
