/* SPDX-License-Identifier: MIT */
#include "bootstrapd/request.h"

#include <stdlib.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/pack.h"

struct request {
    struct coordinator *coordinator;
    struct watchers *watchers; /* NULL: must not watch */
    struct peer *peer;
    uint32_t msgid;
    struct unpack params; /* behind the array's head */
    uint32_t param_count;
};

static const struct ledger *ledger_of(const struct request *request)
{
    return cluster_ledger(coordinator_cluster(request->coordinator));
}

static void refuse(struct request *request, enum status code, const char *text)
{
    peer_refuse(request->peer, request->msgid, code, text);
}

/* The caller packs the result. */
static struct buffer *respond(struct request *request)
{
    struct buffer *out = peer_output(request->peer);
    rpc_response(out, request->msgid);
    return out;
}

static void pack_id(struct buffer *out, const char *name, const uint8_t id[ID_LEN])
{
    pack_text(out, name);
    pack_bin(out, bytes_of(id, ID_LEN));
}

static void pack_named_uint(struct buffer *out, const char *name, uint64_t value)
{
    pack_text(out, name);
    pack_uint(out, value);
}

static void pack_problem(struct buffer *out, const struct text *problem)
{
    pack_text(out, "problem");
    if (text_is_empty(problem)) {
        pack_nil(out);
    } else {
        pack_text(out, problem->chars);
    }
}

/* --- hello, ping --- */

struct hello_options {
    struct bytes cluster; /* empty: not given */
    struct bytes role;    /* likewise */
};

/* False: a word that is no option of hello. */
static bool take_hello_option(struct unpack *in, struct hello_options *options)
{
    struct bytes name = unpack_text(in);
    if (bytes_equal(name, bytes_text("cluster"))) {
        options->cluster = unpack_text(in);
        return options->cluster.len == ID_LEN;
    }
    if (bytes_equal(name, bytes_text("role"))) {
        options->role = unpack_text(in);
        return true;
    }
    bool is_of_bootstrapd =
        bytes_equal(name, bytes_text("instance")) || bytes_equal(name, bytes_text("term")) ||
        bytes_equal(name, bytes_text("revision")) || bytes_equal(name, bytes_text("expect"));
    unpack_skip(in);
    return is_of_bootstrapd;
}

static bool unpack_hello(struct request *request, struct hello_options *options)
{
    struct unpack *in = &request->params;
    bool is_fine = true;
    if (request->param_count == 1) {
        uint32_t pair_count = unpack_map(in);
        for (uint32_t i = 0; i < pair_count && is_fine; i++) {
            is_fine = take_hello_option(in, options);
        }
    }
    return is_fine && unpack_is_done(in);
}

static void answer_hello(struct request *request)
{
    const struct map *map = &ledger_of(request)->map;
    struct hello_options options = {0};
    if (!unpack_hello(request, &options)) {
        refuse(request, STATUS_INVALID, "hello: options are cluster (16 bytes) and role");
    } else if (options.cluster.len > 0 &&
               !bytes_equal(options.cluster, bytes_of(map->cluster, ID_LEN))) {
        refuse(request, STATUS_WRONG_CLUSTER, "this is the bootstrapd of another cluster");
    } else if (bytes_equal(options.role, bytes_text("bootstrapd"))) {
        refuse(request, STATUS_DENIED, "this is a bootstrapd, not a server");
    } else {
        struct buffer *out = respond(request);
        pack_map(out, 6);
        pack_text(out, "program");
        pack_text(out, "bootstrapd");
        pack_text(out, "version");
        pack_text(out, SHARDKV_VERSION);
        pack_id(out, "cluster", map->cluster);
        pack_id(out, "instance", map->instance);
        pack_named_uint(out, "revision", map->revision);
        pack_named_uint(out, "now_ms", clock_wall_ms());
    }
}

static void answer_ping(struct request *request)
{
    pack_nil(respond(request));
}

/* --- map.get, map.watch --- */

/* Refuses while there is no map for clients. */
static bool is_map_there(struct request *request)
{
    struct text founding = {{0}};
    cluster_say_founding(coordinator_cluster(request->coordinator), &founding);
    if (!text_is_empty(&founding)) {
        refuse(request, STATUS_TRY_LATER, founding.chars);
    }
    return text_is_empty(&founding);
}

static void answer_map_get(struct request *request)
{
    if (is_map_there(request)) {
        map_pack(&ledger_of(request)->map, respond(request));
    }
}

static void answer_map_watch(struct request *request)
{
    if (!request->watchers) {
        refuse(request, STATUS_DENIED, "map.watch: a server gets the map pushed");
    } else if (is_map_there(request)) {
        watchers_add(request->watchers, request->peer);
        map_pack(&ledger_of(request)->map, respond(request));
    }
}

/* --- status --- */

static void pack_site(struct buffer *out, const struct map *map, const struct site *site)
{
    char address[ADDRESS_TEXT_LEN];
    address_print(&site->address, address);
    const struct map_server *bound = NULL;
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (address_equal(&map->servers[i].address, &site->address)) {
            bound = &map->servers[i];
        }
    }
    pack_map(out, 5);
    pack_text(out, "address");
    pack_text(out, address);
    if (bound) {
        pack_id(out, "id", bound->id);
    } else {
        pack_text(out, "id");
        pack_nil(out);
    }
    pack_text(out, "state");
    pack_text(out, site_state_text(site->state));
    pack_named_uint(out, "incarnation", bound ? bound->incarnation : 0);
    pack_problem(out, &site->problem);
}

/* What matters most: behind, then a founding that waits, then the first server with a problem. */
static void find_problem(const struct cluster *cluster, struct text *problem)
{
    *problem = *cluster_behind(cluster);
    if (text_is_empty(problem)) {
        cluster_say_founding(cluster, problem);
    }
    for (uint32_t i = 0; i < cluster_site_count(cluster) && text_is_empty(problem); i++) {
        const struct site *site = cluster_site(cluster, i);
        if (site->state != SITE_UP) {
            text_set(problem, "server ");
            text_add_address(problem, &site->address);
            text_add(problem, ": %s", site_state_text(site->state));
        }
    }
}

static void answer_status(struct request *request)
{
    const struct cluster *cluster = coordinator_cluster(request->coordinator);
    const struct map *map = &ledger_of(request)->map;
    struct text problem = {{0}};
    find_problem(cluster, &problem);
    struct buffer *out = respond(request);
    pack_map(out, 6);
    pack_id(out, "cluster", map->cluster);
    pack_named_uint(out, "revision", map->revision);
    pack_id(out, "instance", map->instance);
    pack_problem(out, &problem);
    pack_text(out, "servers");
    pack_array(out, cluster_site_count(cluster));
    for (uint32_t i = 0; i < cluster_site_count(cluster); i++) {
        pack_site(out, map, cluster_site(cluster, i));
    }
    pack_text(out, "map");
    map_pack(map, out);
}

/* --- map.apply, shard.reset --- */

/* Who waits for a change to be durable. */
struct asker {
    struct peer *peer;
    uint32_t msgid;
    bool is_dry_run;
};

static struct asker *asker_new(const struct request *request)
{
    struct asker *asker = memory_get(1, sizeof(*asker));
    asker->peer = request->peer;
    asker->msgid = request->msgid;
    peer_hold(asker->peer);
    return asker;
}

static void asker_free(struct asker *asker)
{
    peer_release(asker->peer);
    free(asker);
}

static void on_applied(void *context, const struct plan *plan)
{
    struct asker *asker = context;
    if (plan) {
        struct bytes line = {0};
        struct buffer *out = peer_output(asker->peer);
        rpc_response(out, asker->msgid);
        pack_array(out, 2);
        pack_uint(out,
                  plan->is_changed && !asker->is_dry_run ? plan->revision : plan->revision - 1);
        pack_array(out, plan->line_count);
        while (plan_next_line(plan, &line)) {
            pack_str(out, line);
        }
    }
    asker_free(asker);
}

static void on_reset(void *context, const struct plan *plan)
{
    struct asker *asker = context;
    if (plan) {
        struct buffer *out = peer_output(asker->peer);
        rpc_response(out, asker->msgid);
        pack_array(out, 1);
        pack_uint(out, plan->revision);
    }
    asker_free(asker);
}

/* [text] or [text, {option: bool}]. False when it is neither, or another option. */
static bool unpack_text_and_flag(struct request *request, const char *option, struct bytes *text,
                                 bool *flag)
{
    struct unpack *in = &request->params;
    *text = unpack_text(in);
    uint32_t pair_count = request->param_count == 2 ? unpack_map(in) : 0;
    for (uint32_t i = 0; i < pair_count; i++) {
        if (!bytes_equal(unpack_text(in), bytes_text(option))) {
            return false;
        }
        *flag = unpack_bool(in);
    }
    return unpack_is_done(in);
}

static void answer_map_apply(struct request *request)
{
    struct bytes json;
    bool is_dry_run = false;
    if (!unpack_text_and_flag(request, "dry_run", &json, &is_dry_run)) {
        refuse(request, STATUS_INVALID, "map.apply: the map as JSON text, and the option dry_run");
        return;
    }
    struct text why = {{0}};
    struct asker *asker = asker_new(request);
    asker->is_dry_run = is_dry_run;
    enum status status =
        coordinator_apply(request->coordinator, json, is_dry_run, on_applied, asker, &why);
    if (status != STATUS_OK) {
        refuse(request, status, why.chars);
        asker_free(asker);
    }
}

static void answer_shard_reset(struct request *request)
{
    struct bytes name;
    bool is_loss_accepted = false;
    if (!unpack_text_and_flag(request, "accept_loss", &name, &is_loss_accepted)) {
        refuse(request, STATUS_INVALID, "shard.reset: a shard's name, and the option accept_loss");
        return;
    }
    if (!is_loss_accepted) {
        refuse(request, STATUS_DENIED,
               "shard.reset: gives up what the shard had: accept_loss must be true");
        return;
    }
    struct text why = {{0}};
    struct asker *asker = asker_new(request);
    enum status status = coordinator_reset(request->coordinator, name, on_reset, asker, &why);
    if (status != STATUS_OK) {
        refuse(request, status, why.chars);
        asker_free(asker);
    }
}

/* --- which --- */

struct method {
    const char *name;
    uint32_t param_min, param_max;
    void (*answer)(struct request *request);
};

static const struct method methods[] = {
    {"hello", 0, 1, answer_hello},
    {"ping", 0, 0, answer_ping},
    {"map.get", 0, 0, answer_map_get},
    {"map.watch", 0, 0, answer_map_watch},
    {"status", 0, 0, answer_status},
    {"map.apply", 1, 2, answer_map_apply},
    {"shard.reset", 1, 2, answer_shard_reset},
};

static const struct method *find_method(struct bytes name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        if (bytes_equal(name, bytes_text(methods[i].name))) {
            return &methods[i];
        }
    }
    return NULL;
}

void request_handle(struct coordinator *coordinator, struct watchers *watchers, struct peer *peer,
                    const struct rpc_message *message)
{
    struct text why = {{0}};
    if (message->type != RPC_REQUEST) {
        return;
    }
    struct request request = {
        .coordinator = coordinator,
        .watchers = watchers,
        .peer = peer,
        .msgid = message->msgid,
        .params = unpack_of(message->params),
    };
    request.param_count = unpack_array(&request.params);
    const struct method *method = find_method(message->method);
    if (!method) {
        text_set(&why, "bootstrapd has no method ");
        text_add_foreign(&why, message->method);
        refuse(&request, STATUS_UNKNOWN_METHOD, why.chars);
    } else if (!unpack_is_fine(&request.params) || request.param_count < method->param_min ||
               request.param_count > method->param_max) {
        text_set(&why, "%s: takes %u to %u parameters, not %u", method->name, method->param_min,
                 method->param_max, request.param_count);
        refuse(&request, STATUS_INVALID, why.chars);
    } else {
        method->answer(&request);
    }
}
