/* SPDX-License-Identifier: MIT */
#include "bootstrapd/coordinator.h"

#include <stdlib.h>

#include "bootstrapd/admin.h"
#include "bootstrapd/push.h"
#include "io/logline.h"
#include "io/memory.h"

struct coordinator {
    struct mapstore *store;
    struct cluster *cluster;
    struct push *push;
    const struct coordinator_handler *handler;
    void *context;

    bool is_writing;
    struct plan plan;       /* that is being written */
    coordinator_done *done; /* who waits for it; NULL: nobody */
    void *done_context;

    bool is_stopping;
    bool has_said_behind;
};

static void begin_write(struct coordinator *coordinator);

/* What the servers' words ask for, unless a change is under way: then when that is done. */
static void pursue(struct coordinator *coordinator)
{
    if (!coordinator->is_writing && !coordinator->is_stopping &&
        cluster_next(coordinator->cluster, &coordinator->plan)) {
        begin_write(coordinator);
    }
}

static void say_news(struct coordinator *coordinator)
{
    const struct site *site;
    while ((site = cluster_take_news(coordinator->cluster)) != NULL) {
        char address[ADDRESS_TEXT_LEN];
        address_print(&site->address, address);
        logline(site->state == SITE_UP ? LOGLINE_INFO : LOGLINE_WARNING, "server %s: %s%s%s",
                address, site_state_text(site->state), text_is_empty(&site->problem) ? "" : ": ",
                site->problem.chars);
    }
    const struct text *behind = cluster_behind(coordinator->cluster);
    if (!text_is_empty(behind) && !coordinator->has_said_behind) {
        coordinator->has_said_behind = true;
        logline(LOGLINE_ERROR, "%s", behind->chars);
    }
}

static void say_lines(const struct plan *plan)
{
    struct bytes line = {0};
    while (plan_next_line(plan, &line)) {
        logline(LOGLINE_INFO, "revision %llu: %.*s", (unsigned long long)plan->revision,
                (int)line.len, (const char *)line.data);
    }
}

/* Takes the plan that is done; the callback may ask for the next one. */
static void end_plan(struct coordinator *coordinator, bool is_carried_out)
{
    struct plan plan = coordinator->plan;
    coordinator_done *done = coordinator->done;
    coordinator->plan = (struct plan){0};
    coordinator->done = NULL;
    coordinator->is_writing = false;
    if (done) {
        done(coordinator->done_context, is_carried_out ? &plan : NULL);
    }
    plan_fini(&plan);
}

static void on_durable(void *context)
{
    struct coordinator *coordinator = context;
    uint64_t old_revision = cluster_ledger(coordinator->cluster)->map.revision;
    say_lines(&coordinator->plan);
    cluster_adopt(coordinator->cluster, &coordinator->plan);
    say_news(coordinator);
    push_follow(coordinator->push);
    if (coordinator->plan.is_changed) {
        coordinator->handler->on_changed(coordinator->context, old_revision);
    }
    end_plan(coordinator, true);
    if (coordinator->is_stopping) {
        push_stop(coordinator->push);
    } else {
        pursue(coordinator);
    }
}

static void begin_write(struct coordinator *coordinator)
{
    coordinator->is_writing = true;
    mapstore_write(coordinator->store, &coordinator->plan.next, on_durable, coordinator);
}

/* --- what push brings --- */

static void on_heard(void *context)
{
    struct coordinator *coordinator = context;
    say_news(coordinator);
    pursue(coordinator);
}

static void on_request(void *context, struct peer *peer, const struct rpc_message *message)
{
    const struct coordinator *coordinator = context;
    coordinator->handler->on_request(coordinator->context, peer, message);
}

static void on_push_stopped(void *context)
{
    const struct coordinator *coordinator = context;
    coordinator->handler->on_stopped(coordinator->context);
}

static const struct push_handler push_handler = {on_heard, on_request, on_push_stopped};

/* --- for the owner --- */

struct coordinator *coordinator_new(struct loop *loop, struct mapstore *store,
                                    struct ledger *ledger,
                                    const struct coordinator_handler *handler, void *context)
{
    struct coordinator *coordinator = memory_get(1, sizeof(*coordinator));
    coordinator->store = store;
    coordinator->cluster = cluster_new(ledger);
    coordinator->handler = handler;
    coordinator->context = context;
    coordinator->push = push_new(loop, coordinator->cluster, &push_handler, coordinator);
    return coordinator;
}

void coordinator_start(struct coordinator *coordinator)
{
    push_follow(coordinator->push);
}

const struct cluster *coordinator_cluster(const struct coordinator *coordinator)
{
    return coordinator->cluster;
}

static bool is_busy(const struct coordinator *coordinator, struct text *why)
{
    if (coordinator->is_writing) {
        text_set(why, "another change of the map is being written");
    }
    return coordinator->is_writing;
}

static bool needs_write(const struct coordinator *coordinator, const struct plan *plan)
{
    return plan->is_changed ||
           plan->next.applied_hash != cluster_ledger(coordinator->cluster)->applied_hash;
}

static void carry_out(struct coordinator *coordinator, coordinator_done *done, void *context)
{
    coordinator->done = done;
    coordinator->done_context = context;
    begin_write(coordinator);
}

enum status coordinator_apply(struct coordinator *coordinator, struct bytes json, bool is_dry_run,
                              coordinator_done *done, void *context, struct text *why)
{
    struct plan plan;
    if (is_busy(coordinator, why)) {
        return STATUS_TRY_LATER;
    }
    enum status status = admin_plan_apply(coordinator->cluster, json, &plan, why);
    if (status != STATUS_OK) {
        return status;
    }
    if (is_dry_run || !needs_write(coordinator, &plan)) {
        done(context, &plan);
        plan_fini(&plan);
    } else {
        coordinator->plan = plan;
        carry_out(coordinator, done, context);
    }
    return STATUS_OK;
}

enum status coordinator_reset(struct coordinator *coordinator, struct bytes name,
                              coordinator_done *done, void *context, struct text *why)
{
    if (is_busy(coordinator, why)) {
        return STATUS_TRY_LATER;
    }
    enum status status = admin_plan_reset(coordinator->cluster, name, &coordinator->plan, why);
    if (status == STATUS_OK) {
        carry_out(coordinator, done, context);
    }
    return status;
}

void coordinator_stop(struct coordinator *coordinator)
{
    coordinator->is_stopping = true;
    if (!coordinator->is_writing) {
        push_stop(coordinator->push);
    }
}

void coordinator_free(struct coordinator *coordinator)
{
    if (!coordinator) {
        return;
    }
    push_free(coordinator->push);
    if (coordinator->is_writing) {
        end_plan(coordinator, false);
    }
    cluster_free(coordinator->cluster);
    free(coordinator);
}
