/* SPDX-License-Identifier: MIT */
#include "bootstrapd/request.h"

#include <stdlib.h>

#include "bootstrapd/request_internal.h"
#include "io/clock.h"
#include "io/memory.h"
#include "proto/noun.h"

static const struct ledger *ledger_of(const struct request *request)
{
    return cluster_ledger(coordinator_cluster(request->coordinator));
}

void request_refuse(const struct request *request, enum status code, const char *text)
{
    peer_refuse(request->peer, request->msgid, code, text);
}

struct buffer *request_respond(const struct request *request)
{
    struct buffer *out = peer_output(request->peer);
    rpc_response(out, request->msgid);
    return out;
}

void request_pack_id(struct buffer *out, const char *name, const uint8_t id[ID_LEN])
{
    pack_text(out, name);
    pack_bin(out, bytes_of(id, ID_LEN));
}

void request_pack_uint(struct buffer *out, const char *name, uint64_t value)
{
    pack_text(out, name);
    pack_uint(out, value);
}

void request_pack_text(struct buffer *out, const char *name, const char *text)
{
    pack_text(out, name);
    pack_text(out, text);
}

void request_pack_address(struct buffer *out, const char *name, const struct address *address)
{
    char printed[ADDRESS_TEXT_LEN];
    address_print(address, printed);
    request_pack_text(out, name, printed);
}

void request_pack_problem(struct buffer *out, const struct text *problem)
{
    pack_text(out, "problem");
    if (text_is_empty(problem)) {
        pack_nil(out);
    } else {
        pack_text(out, problem->chars);
    }
}

/* --- options --- */

static void take_option(struct unpack *in, const struct request_option *option)
{
    switch (option->kind) {
    case REQUEST_TEXT:
        *(struct bytes *)option->value = unpack_text(in);
        break;
    case REQUEST_UINT:
        *(uint64_t *)option->value = unpack_uint(in);
        break;
    case REQUEST_BOOL:
        *(bool *)option->value = unpack_bool(in);
        break;
    }
    if (option->is_given) {
        *option->is_given = true;
    }
}

bool request_take_options(struct unpack *in, bool is_there, const struct request_option *options,
                          uint32_t option_count)
{
    uint32_t pair_count = is_there ? unpack_map(in) : 0;
    for (uint32_t i = 0; i < pair_count; i++) {
        struct bytes name = unpack_text(in);
        uint32_t j = 0;
        while (j < option_count && !bytes_equal(name, bytes_text(options[j].name))) {
            j++;
        }
        if (j == option_count) {
            return false;
        }
        take_option(in, &options[j]);
    }
    return unpack_is_done(in);
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
        bytes_equal(name, bytes_text("revision")) || bytes_equal(name, bytes_text("expect")) ||
        bytes_equal(name, bytes_text("seen_incarnation")) ||
        bytes_equal(name, bytes_text("seen_start"));
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
        request_refuse(request, STATUS_INVALID, "hello: options are cluster (16 bytes) and role");
    } else if (options.cluster.len > 0 &&
               !bytes_equal(options.cluster, bytes_of(map->cluster, ID_LEN))) {
        request_refuse(request, STATUS_WRONG_CLUSTER, "this is the bootstrapd of another cluster");
    } else if (bytes_equal(options.role, bytes_text("bootstrapd"))) {
        request_refuse(request, STATUS_DENIED, "this is a bootstrapd, not a server");
    } else {
        struct buffer *out = request_respond(request);
        pack_map(out, 6);
        pack_text(out, "program");
        pack_text(out, "bootstrapd");
        pack_text(out, "version");
        pack_text(out, SHARDKV_VERSION);
        request_pack_id(out, "cluster", map->cluster);
        request_pack_id(out, "instance", map->instance);
        request_pack_uint(out, "revision", map->revision);
        request_pack_uint(out, "now_ms", clock_wall_ms());
    }
}

static void answer_ping(struct request *request)
{
    pack_nil(request_respond(request));
}

/* --- map.get, map.watch --- */

/* Refuses while there is no map for clients. */
static bool is_map_there(struct request *request)
{
    struct text founding = {{0}};
    cluster_say_founding(coordinator_cluster(request->coordinator), &founding);
    if (!text_is_empty(&founding)) {
        request_refuse(request, STATUS_TRY_LATER, founding.chars);
    }
    return text_is_empty(&founding);
}

static void answer_map_get(struct request *request)
{
    if (is_map_there(request)) {
        map_pack(&ledger_of(request)->map, request_respond(request));
    }
}

static void answer_map_watch(struct request *request)
{
    if (!request->watchers) {
        request_refuse(request, STATUS_DENIED, "map.watch: a server gets the map pushed");
    } else if (is_map_there(request)) {
        watchers_add(request->watchers, request->peer);
        map_pack(&ledger_of(request)->map, request_respond(request));
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
        request_pack_id(out, "id", bound->id);
    } else {
        pack_text(out, "id");
        pack_nil(out);
    }
    pack_text(out, "state");
    pack_text(out, site_state_text(site->state));
    request_pack_uint(out, "incarnation", bound ? bound->incarnation : 0);
    request_pack_problem(out, &site->problem);
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
    struct buffer *out = request_respond(request);
    pack_map(out, 6);
    request_pack_id(out, "cluster", map->cluster);
    request_pack_uint(out, "revision", map->revision);
    request_pack_id(out, "instance", map->instance);
    request_pack_problem(out, &problem);
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
        request_refuse(request, STATUS_INVALID,
                       "map.apply: the map as JSON text, and the option dry_run");
        return;
    }
    struct text why = {{0}};
    struct asker *asker = asker_new(request);
    asker->is_dry_run = is_dry_run;
    const struct coordinator_asker by = {peer_remote(request->peer), on_applied, asker};
    enum status status = coordinator_apply(request->coordinator, json, is_dry_run, &by, &why);
    if (status != STATUS_OK) {
        request_refuse(request, status, why.chars);
        asker_free(asker);
    }
}

static void answer_shard_reset(struct request *request)
{
    struct bytes name;
    bool is_loss_accepted = false;
    if (!unpack_text_and_flag(request, "accept_loss", &name, &is_loss_accepted)) {
        request_refuse(request, STATUS_INVALID,
                       "shard.reset: a shard's name, and the option accept_loss");
        return;
    }
    if (!is_loss_accepted) {
        request_refuse(request, STATUS_DENIED,
                       "shard.reset: gives up what the shard had: accept_loss must be true");
        return;
    }
    struct text why = {{0}};
    struct asker *asker = asker_new(request);
    const struct coordinator_asker by = {peer_remote(request->peer), on_reset, asker};
    enum status status = coordinator_reset(request->coordinator, name, &by, &why);
    if (status != STATUS_OK) {
        request_refuse(request, status, why.chars);
        asker_free(asker);
    }
}

/* --- which --- */

static const struct method methods[] = {
    {"hello", 0, 1, answer_hello},
    {"ping", 0, 0, answer_ping},
    {"map.get", 0, 0, answer_map_get},
    {"map.watch", 0, 0, answer_map_watch},
    {"status", 0, 0, answer_status},
    {"map.apply", 1, 2, answer_map_apply},
    {"map.recover", 0, 1, request_map_recover},
    {"shard.reset", 1, 2, answer_shard_reset},
    {"move.start", 1, 1, request_move_start},
    {"move.list", 0, 1, request_move_list},
    {"move.pause", 1, 1, request_move_pause},
    {"move.resume", 1, 1, request_move_resume},
    {"move.abort", 1, 1, request_move_abort},
    {"move.throttle", 2, 2, request_move_throttle},
    {"move.undo", 1, 2, request_move_undo},
    {"server.add", 1, 2, request_server_add},
    {"server.list", 0, 0, request_server_list},
    {"server.drain", 1, 2, request_server_drain},
    {"server.remove", 1, 1, request_server_remove},
    {"server.set_address", 2, 2, request_server_set_address},
    {"shard.list", 0, 0, request_shard_list},
    {"shard.resize", 2, 2, request_shard_resize},
    {"map.log", 0, 1, request_map_log},
    {"rebalance.plan", 0, 1, request_rebalance_plan},
    {"rebalance.run", 0, 1, request_rebalance_run},
    {"rebalance.stop", 0, 0, request_rebalance_stop},
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

static void say_arity(const struct method *method, uint32_t param_count, struct text *why)
{
    text_set(why, "%s: takes ", method->name);
    if (method->param_max == 0) {
        text_add(why, "no parameters");
    } else if (method->param_min == method->param_max) {
        text_add(why, "%u %s", method->param_max,
                 noun_of(method->param_max, "parameter", "parameters"));
    } else {
        text_add(why, "%u to %u parameters", method->param_min, method->param_max);
    }
    text_add(why, ", not %u", param_count);
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
        .encoded = message->params,
        .params = unpack_of(message->params),
    };
    request.param_count = unpack_array(&request.params);
    const struct method *method = find_method(message->method);
    if (!method) {
        text_set(&why, "bootstrapd has no method ");
        text_add_foreign(&why, message->method);
        request_refuse(&request, STATUS_UNKNOWN_METHOD, why.chars);
    } else if (!unpack_is_fine(&request.params) || request.param_count < method->param_min ||
               request.param_count > method->param_max) {
        say_arity(method, request.param_count, &why);
        request_refuse(&request, STATUS_INVALID, why.chars);
    } else {
        method->answer(&request);
    }
}
