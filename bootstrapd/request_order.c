/* SPDX-License-Identifier: MIT */
#include "bootstrapd/request_internal.h"

#include <stdlib.h>

#include "io/memory.h"

/* A request whose plan has to wait for its turn: what it says is copied, since frames end with their turn. */
struct ask {
    struct coordinator *coordinator;
    struct peer *peer;
    uint32_t msgid;
    struct buffer params;
    struct unpack in; /* behind the array's head */
    uint32_t param_count;

    coordinator_make *make;
    void (*answer)(const struct ask *ask, uint64_t revision, struct buffer *out);

    struct order_start start;
    enum order_move order;
    uint64_t number;
    uint64_t amount; /* bytes, or bytes a second */
    struct bytes name;
    struct address address;
    bool is_set;
    enum balance_by by;
    struct rebalance rebalance;
    uint32_t queued_count;
    bool is_dry_run;
    struct buffer lines; /* encoded, one str behind the other */
    uint32_t line_count;
};

static struct ask *ask_new(const struct request *request)
{
    struct ask *ask = memory_get(1, sizeof(*ask));
    ask->coordinator = request->coordinator;
    ask->peer = request->peer;
    ask->msgid = request->msgid;
    buffer_append_bytes(&ask->params, request->encoded);
    memory_must(!ask->params.failed);
    ask->in = unpack_of(buffer_bytes(&ask->params));
    ask->param_count = unpack_array(&ask->in);
    peer_hold(ask->peer);
    return ask;
}

static void ask_free(struct ask *ask)
{
    peer_release(ask->peer);
    buffer_fini(&ask->params);
    rebalance_fini(&ask->rebalance);
    buffer_fini(&ask->lines);
    free(ask);
}

static void on_made(void *context, enum status status, const struct plan *plan,
                    const struct text *why)
{
    struct ask *ask = context;
    if (status != STATUS_OK) {
        peer_refuse(ask->peer, ask->msgid, status, why->chars);
    } else {
        uint64_t revision = cluster_ledger(coordinator_cluster(ask->coordinator))->map.revision;
        struct buffer *out = peer_output(ask->peer);
        (void)plan;
        rpc_response(out, ask->msgid);
        ask->answer(ask, revision, out);
    }
    ask_free(ask);
}

static void refuse(struct ask *ask, const char *usage)
{
    peer_refuse(ask->peer, ask->msgid, STATUS_INVALID, usage);
    ask_free(ask);
}

/* `is_fine`: what was asked for is no nonsense. */
static void send(struct ask *ask, bool is_fine, const char *usage)
{
    if (!is_fine) {
        refuse(ask, usage);
        return;
    }
    coordinator_order(ask->coordinator, peer_remote(ask->peer), ask->make, on_made, ask);
}

/* The same, by what servers hold now. */
static void send_counted(struct ask *ask, bool is_fine, const char *usage)
{
    if (!is_fine) {
        refuse(ask, usage);
        return;
    }
    coordinator_order_counted(ask->coordinator, peer_remote(ask->peer), ask->make, on_made, ask);
}

static void answer_revision(const struct ask *ask, uint64_t revision, struct buffer *out)
{
    (void)ask;
    pack_array(out, 1);
    pack_uint(out, revision);
}

static void answer_number(const struct ask *ask, uint64_t revision, struct buffer *out)
{
    (void)revision;
    pack_array(out, 1);
    pack_uint(out, ask->number);
}

/* --- moves --- */

static enum status make_start(void *context, const struct order_scope *scope, struct plan *plan,
                              struct text *why)
{
    struct ask *ask = context;
    return order_move_start(scope, &ask->start, plan, &ask->number, why);
}

void request_move_start(struct request *request)
{
    struct ask *ask = ask_new(request);
    struct order_start *start = &ask->start;
    const struct request_option options[] = {
        {"shard", REQUEST_TEXT, &start->shard, NULL},
        {"to", REQUEST_TEXT, &start->target, NULL},
        {"from", REQUEST_UINT, &start->from, &start->has_from},
        {"until", REQUEST_UINT, &start->until, &start->has_until},
        {"bytes_per_s", REQUEST_UINT, &start->bytes_per_s, NULL},
        {"force", REQUEST_BOOL, &start->is_forced, NULL},
    };
    bool is_fine = request_take_options(&ask->in, true, options, 6) && start->shard.len > 0 &&
                   start->target.len > 0;
    ask->make = make_start;
    ask->answer = answer_number;
    send(ask, is_fine,
         "move.start: options are shard and to, and from, until (bounds), bytes_per_s, force");
}

static enum status make_change(void *context, const struct order_scope *scope, struct plan *plan,
                               struct text *why)
{
    const struct ask *ask = context;
    return order_move_change(scope, ask->order, ask->number, ask->amount, plan, why);
}

static struct ask *ask_change(const struct request *request, enum order_move order)
{
    struct ask *ask = ask_new(request);
    ask->order = order;
    ask->number = unpack_uint(&ask->in);
    ask->make = make_change;
    ask->answer = answer_number;
    return ask;
}

static void change_move(const struct request *request, enum order_move order, const char *usage)
{
    struct ask *ask = ask_change(request, order);
    send(ask, unpack_is_done(&ask->in), usage);
}

void request_move_pause(struct request *request)
{
    change_move(request, ORDER_PAUSE, "move.pause: a move's number");
}

void request_move_resume(struct request *request)
{
    change_move(request, ORDER_RESUME, "move.resume: a move's number");
}

void request_move_abort(struct request *request)
{
    change_move(request, ORDER_ABORT, "move.abort: a move's number");
}

void request_move_throttle(struct request *request)
{
    struct ask *ask = ask_change(request, ORDER_THROTTLE);
    ask->amount = unpack_uint(&ask->in);
    send(ask, unpack_is_done(&ask->in), "move.throttle: a move's number, and bytes a second");
}

void request_move_undo(struct request *request)
{
    struct ask *ask = ask_change(request, ORDER_UNDO);
    const struct request_option option = {"accept_loss", REQUEST_BOOL, &ask->is_set, NULL};
    bool is_fine = request_take_options(&ask->in, ask->param_count > 1, &option, 1);
    ask->order = ask->is_set ? ORDER_UNDO_LOSS : ORDER_UNDO;
    send(ask, is_fine, "move.undo: a move's number, and the option accept_loss");
}

/* --- servers --- */

static bool take_address(struct unpack *in, struct address *address)
{
    struct bytes text = unpack_text(in);
    return unpack_is_fine(in) && address_parse(text, address) && address->port != 0;
}

static void on_added(void *context, enum status status, const struct plan *plan,
                     const struct text *why)
{
    struct ask *ask = context;
    const struct map *map = &cluster_ledger(coordinator_cluster(ask->coordinator))->map;
    (void)plan;
    if (status != STATUS_OK) {
        peer_refuse(ask->peer, ask->msgid, status, why->chars);
    }
    for (uint32_t i = 0; i < map->server_count && status == STATUS_OK; i++) {
        if (address_equal(&map->servers[i].address, &ask->address)) {
            struct buffer *out = peer_output(ask->peer);
            rpc_response(out, ask->msgid);
            pack_array(out, 1);
            pack_bin(out, bytes_of(map->servers[i].id, ID_LEN));
            break;
        }
    }
    ask_free(ask);
}

void request_server_add(struct request *request)
{
    struct ask *ask = ask_new(request);
    const struct request_option option = {"capacity", REQUEST_UINT, &ask->amount, NULL};
    if (!take_address(&ask->in, &ask->address) ||
        !request_take_options(&ask->in, ask->param_count > 1, &option, 1)) {
        peer_refuse(ask->peer, ask->msgid, STATUS_INVALID,
                    "server.add: HOST:PORT, and the option capacity");
        ask_free(ask);
        return;
    }
    coordinator_add_server(ask->coordinator, &ask->address, ask->amount, peer_remote(ask->peer),
                           on_added, ask);
}

static enum status make_drain(void *context, const struct order_scope *scope, struct plan *plan,
                              struct text *why)
{
    const struct ask *ask = context;
    return order_server_drain(scope, ask->name, ask->is_set, plan, why);
}

void request_server_drain(struct request *request)
{
    struct ask *ask = ask_new(request);
    const struct request_option option = {"undo", REQUEST_BOOL, &ask->is_set, NULL};
    ask->name = unpack_text(&ask->in);
    ask->make = make_drain;
    ask->answer = answer_revision;
    send(ask, request_take_options(&ask->in, ask->param_count > 1, &option, 1),
         "server.drain: a server, and the option undo");
}

static enum status make_remove(void *context, const struct order_scope *scope, struct plan *plan,
                               struct text *why)
{
    const struct ask *ask = context;
    return order_server_remove(scope, ask->name, plan, why);
}

void request_server_remove(struct request *request)
{
    struct ask *ask = ask_new(request);
    ask->name = unpack_text(&ask->in);
    ask->make = make_remove;
    ask->answer = answer_revision;
    send(ask, unpack_is_done(&ask->in), "server.remove: a server");
}

static enum status make_set_address(void *context, const struct order_scope *scope,
                                    struct plan *plan, struct text *why)
{
    const struct ask *ask = context;
    return order_server_set_address(scope, ask->name, &ask->address, plan, why);
}

void request_server_set_address(struct request *request)
{
    struct ask *ask = ask_new(request);
    ask->name = unpack_text(&ask->in);
    bool is_fine = take_address(&ask->in, &ask->address) && unpack_is_done(&ask->in);
    ask->make = make_set_address;
    ask->answer = answer_revision;
    send(ask, is_fine, "server.set_address: a server, and HOST:PORT");
}

/* --- shards --- */

static enum status make_resize(void *context, const struct order_scope *scope, struct plan *plan,
                               struct text *why)
{
    const struct ask *ask = context;
    return order_shard_resize(scope, ask->name, ask->amount, plan, why);
}

void request_shard_resize(struct request *request)
{
    struct ask *ask = ask_new(request);
    ask->name = unpack_text(&ask->in);
    ask->amount = unpack_uint(&ask->in);
    ask->make = make_resize;
    ask->answer = answer_revision;
    send(ask, unpack_is_done(&ask->in), "shard.resize: a shard's name, and its size in bytes");
}

/* --- map.recover --- */

static void keep_lines(struct ask *ask, const struct plan *plan)
{
    struct bytes line = {0};
    while (plan_next_line(plan, &line)) {
        pack_str(&ask->lines, line);
        ask->line_count++;
    }
    memory_must(!ask->lines.failed);
}

static enum status make_recovery(void *context, const struct order_scope *scope, struct plan *plan,
                                 struct text *why)
{
    struct ask *ask = context;
    enum status status = recover_plan(scope->cluster, coordinator_answers(ask->coordinator),
                                      ask->is_set, scope->now_ms, plan, why);
    if (status != STATUS_OK) {
        return status;
    }
    move_set_text(plan->who, sizeof(plan->who), scope->who);
    keep_lines(ask, plan);
    if (ask->is_dry_run) {
        plan_fini(plan);
        plan_begin(plan, cluster_ledger(scope->cluster));
    }
    return STATUS_OK;
}

static void answer_recovery(const struct ask *ask, uint64_t revision, struct buffer *out)
{
    pack_array(out, 2);
    pack_uint(out, revision);
    pack_array(out, ask->line_count);
    buffer_append_bytes(out, buffer_bytes(&ask->lines));
}

void request_map_recover(struct request *request)
{
    struct ask *ask = ask_new(request);
    const struct request_option options[] = {
        {"dry_run", REQUEST_BOOL, &ask->is_dry_run, NULL},
        {"accept_missing", REQUEST_BOOL, &ask->is_set, NULL},
    };
    ask->make = make_recovery;
    ask->answer = answer_recovery;
    if (!request_take_options(&ask->in, ask->param_count > 0, options, 2)) {
        refuse(ask, "map.recover: the options dry_run and accept_missing");
        return;
    }
    coordinator_order_surveyed(ask->coordinator, peer_remote(ask->peer), ask->make, on_made, ask);
}

/* --- rebalance --- */

static const char usage_by[] = "the option by is \"bytes\" or \"load\"";

static void answer_plan(const struct ask *ask, uint64_t revision, struct buffer *out)
{
    (void)revision;
    rebalance_pack(&ask->rebalance, &cluster_ledger(coordinator_cluster(ask->coordinator))->map,
                   ask->number, ask->queued_count, out);
}

/* RULES M4 */
static enum status check_behind(const struct order_scope *scope, struct text *why)
{
    *why = *cluster_behind(scope->cluster);
    return text_is_empty(why) ? STATUS_OK : STATUS_DENIED;
}

static enum status make_rebalance(void *context, const struct order_scope *scope, struct plan *plan,
                                  struct text *why)
{
    struct ask *ask = context;
    const struct rebalance_wish wish = {.by = ask->by, .who = REBALANCE_WHO};
    enum status status = check_behind(scope, why);
    if (status == STATUS_OK) {
        status = rebalance_make(scope->cluster, &wish, &ask->rebalance, why);
    }
    if (status == STATUS_OK) {
        plan_begin(plan, cluster_ledger(scope->cluster));
        move_set_text(plan->who, sizeof(plan->who), scope->who);
        uint64_t first = plan->next.move_count + 1;
        ask->queued_count = ask->is_set ? rebalance_queue(&ask->rebalance, plan, scope->now_ms) : 0;
        ask->number = ask->queued_count > 0 ? first : 0;
    }
    return status;
}

static void ask_rebalance(const struct request *request, bool is_run)
{
    struct ask *ask = ask_new(request);
    ask->is_set = is_run;
    ask->make = make_rebalance;
    ask->answer = answer_plan;
    send_counted(ask, rebalance_unpack_options(&ask->in, ask->param_count, &ask->by), usage_by);
}

void request_rebalance_plan(struct request *request)
{
    ask_rebalance(request, false);
}

void request_rebalance_run(struct request *request)
{
    ask_rebalance(request, true);
}

static enum status make_stop(void *context, const struct order_scope *scope, struct plan *plan,
                             struct text *why)
{
    struct ask *ask = context;
    enum status status = check_behind(scope, why);
    if (status == STATUS_OK) {
        plan_begin(plan, cluster_ledger(scope->cluster));
        move_set_text(plan->who, sizeof(plan->who), scope->who);
        ask->number = rebalance_stop(plan, scope->now_ms);
    }
    return status;
}

void request_rebalance_stop(struct request *request)
{
    struct ask *ask = ask_new(request);
    ask->make = make_stop;
    ask->answer = answer_number;
    send(ask, true, "");
}
