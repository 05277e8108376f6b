/* SPDX-License-Identifier: MIT */
#include "bootstrapd/coordinator.h"

#include <stdlib.h>

#include "bootstrapd/admin.h"
#include "bootstrapd/push.h"
#include "bootstrapd/survey.h"
#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"

/* While a move waits or goes on: how often it is looked at again, and servers are asked where they are. */
#define LOOK_EVERY_MS 250

/* How often what nobody asks for is looked at; the second, when what was planned last has failed. */
#define BALANCE_EVERY_MS 1000
#define BALANCE_AGAIN_MS 60000

/* For a server that is to be added, to answer and to be written into the map: clients wait for two seconds. */
#define GUEST_WITHIN_MS 1500

/* Who takes longer to tell what it holds is planned with by what it told last. */
#define COUNT_WITHIN_MS 1000

/* Items of the ledger's history from which on they are written beside the map: when nothing moves, and at any time. */
#define KEEP_IDLE_COUNT 64
#define KEEP_COUNT      512

/* Who waits for a plan of his own. */
struct order {
    struct order *next;
    char who[WHO_LEN];
    coordinator_make *make;
    coordinator_made *made;
    void *context;
    bool is_surveyed; /* the survey is for it */
};

/* A server that is to be added. */
struct guest {
    struct address address;
    char who[WHO_LEN];
    coordinator_made *made; /* NULL: nobody waits for one */
    void *context;
    bool is_late;
};

struct coordinator {
    struct loop *loop;
    struct mapstore *store;
    struct cluster *cluster;
    struct conduct *conduct;
    struct push *push;
    const struct coordinator_handler *handler;
    void *context;

    bool is_auto;
    struct timer *look_timer;
    struct timer *balance_timer;
    struct timer *guest_timer;
    struct guest guest;

    struct order *orders;   /* in the order of asking */
    struct order *counting; /* likewise, those that wait for servers to be counted first */
    uint32_t order_count;   /* of both */
    struct timer *count_timer;
    struct survey *survey;   /* until the plan that it is for is made; NULL: none */
    struct order *surveying; /* waits for it; NULL: it is done */
    struct order *order;     /* whose plan is being written; NULL: nobody's */

    struct history whole;
    uint64_t kept;       /* the last item that is in the store's history */
    uint64_t keeping;    /* that is being written there; 0: nothing is */
    uint32_t kept_count; /* items of the ledger when that failed last; 0: it did not */

    bool is_writing;
    struct plan plan;       /* that is being written */
    coordinator_done *done; /* who waits for it; NULL: nobody */
    void *done_context;

    bool is_stopping;
    bool has_said_behind;
};

static void begin_write(struct coordinator *coordinator);
static void pursue(struct coordinator *coordinator);

/* --- orders --- */

static void append_order(struct order **list, struct order *order)
{
    while (*list) {
        list = &(*list)->next;
    }
    *list = order;
}

static struct order *take_order(struct coordinator *coordinator)
{
    struct order *order = coordinator->orders;
    if (order) {
        coordinator->orders = order->next;
        coordinator->order_count--;
    }
    return order;
}

/* They wait for their turn as the others do. */
static void release_counting(struct coordinator *coordinator)
{
    append_order(&coordinator->orders, coordinator->counting);
    coordinator->counting = NULL;
    timer_clear(coordinator->count_timer);
}

static void end_order(struct order *order, enum status status, const struct plan *plan,
                      const struct text *why)
{
    order->made(order->context, status, plan, why);
    free(order);
}

/* Those that change nothing are answered at once. True: a plan is to be written. */
static bool next_order(struct coordinator *coordinator)
{
    struct order *order;
    while ((order = take_order(coordinator)) != NULL) {
        struct text why = {{0}};
        struct plan plan;
        const struct order_scope scope = {coordinator->cluster, coordinator->conduct,
                                          clock_wall_ms(), order->who};
        enum status status = order->make(order->context, &scope, &plan, &why);
        if (order->is_surveyed) {
            survey_free(coordinator->survey);
            coordinator->survey = NULL;
        }
        if (status == STATUS_OK && (plan.is_changed || plan.is_noted)) {
            coordinator->plan = plan;
            coordinator->order = order;
            return true;
        }
        end_order(order, status, status == STATUS_OK ? &plan : NULL, &why);
        if (status == STATUS_OK) {
            plan_fini(&plan);
        }
    }
    return false;
}

/* False: it is refused, and `made` was told. */
static bool add_order(struct coordinator *coordinator, struct order **list, const char *who,
                      coordinator_make *make, coordinator_made *made, void *context)
{
    struct order *order = memory_get(1, sizeof(*order));
    *order = (struct order){.make = make, .made = made, .context = context};
    move_set_text(order->who, sizeof(order->who), who);
    if (coordinator->order_count == COORDINATOR_ORDERS_MAX || coordinator->is_stopping) {
        struct text why;
        text_set(&why, "too many changes of the map wait");
        end_order(order, STATUS_TRY_LATER, NULL, &why);
        return false;
    }
    append_order(list, order);
    coordinator->order_count++;
    return true;
}

void coordinator_order(struct coordinator *coordinator, const char *who, coordinator_make *make,
                       coordinator_made *made, void *context)
{
    if (add_order(coordinator, &coordinator->orders, who, make, made, context)) {
        pursue(coordinator);
    }
}

void coordinator_order_counted(struct coordinator *coordinator, const char *who,
                               coordinator_make *make, coordinator_made *made, void *context)
{
    bool is_first = !coordinator->counting;
    if (add_order(coordinator, &coordinator->counting, who, make, made, context)) {
        if (is_first) {
            timer_set(coordinator->count_timer, COUNT_WITHIN_MS);
        }
        push_count(coordinator->push);
    }
}

static void on_counted(void *context)
{
    struct coordinator *coordinator = context;
    release_counting(coordinator);
    pursue(coordinator);
}

static void on_surveyed(void *context)
{
    struct coordinator *coordinator = context;
    append_order(&coordinator->orders, coordinator->surveying);
    coordinator->surveying = NULL;
    pursue(coordinator);
}

void coordinator_order_surveyed(struct coordinator *coordinator, const char *who,
                                coordinator_make *make, coordinator_made *made, void *context)
{
    if (coordinator->survey) {
        struct text why;
        text_set(&why, "the servers are being asked already");
        made(context, STATUS_TRY_LATER, NULL, &why);
        return;
    }
    if (add_order(coordinator, &coordinator->surveying, who, make, made, context)) {
        coordinator->surveying->is_surveyed = true;
        coordinator->survey =
            survey_new(coordinator->loop, &cluster_ledger(coordinator->cluster)->map, on_surveyed,
                       coordinator);
    }
}

const struct recover_answers *coordinator_answers(const struct coordinator *coordinator)
{
    return survey_answers(coordinator->survey);
}

/* --- what is to be done --- */

static bool next_plan(struct coordinator *coordinator)
{
    if (cluster_next(coordinator->cluster, &coordinator->plan)) {
        if (coordinator->guest.made) {
            move_set_text(coordinator->plan.who, sizeof(coordinator->plan.who),
                          coordinator->guest.who);
        }
        return true;
    }
    return conduct_next(coordinator->conduct, coordinator->cluster, clock_wall_ms(),
                        &coordinator->plan) ||
           next_order(coordinator);
}

/* What servers' words and people ask for, unless a change is under way: then when that is done. */
static void pursue(struct coordinator *coordinator)
{
    if (!coordinator->is_writing && !coordinator->is_stopping && next_plan(coordinator)) {
        begin_write(coordinator);
    }
}

static void look_again(struct coordinator *coordinator)
{
    if (!coordinator->is_stopping && conduct_is_busy(coordinator->cluster)) {
        timer_set(coordinator->look_timer, LOOK_EVERY_MS);
    }
}

static void on_look_timer(void *context)
{
    struct coordinator *coordinator = context;
    push_ask_moves(coordinator->push);
    pursue(coordinator);
    look_again(coordinator);
}

/* What cannot be moved now cannot be a second later. */
static uint64_t balance_pause_ms(const struct coordinator *coordinator)
{
    const struct history *whole = &coordinator->whole;
    bool has_failed =
        whole->move_count > 0 && whole->moves[whole->move_count - 1].move.course == COURSE_FAILED;
    return has_failed ? BALANCE_AGAIN_MS : BALANCE_EVERY_MS;
}

static void on_balance_timer(void *context)
{
    struct coordinator *coordinator = context;
    if (coordinator->is_stopping) {
        return;
    }
    if (!coordinator->is_writing && text_is_empty(cluster_behind(coordinator->cluster)) &&
        cluster_ledger(coordinator->cluster)->is_founded &&
        rebalance_next(coordinator->cluster, coordinator->is_auto, clock_wall_ms(),
                       &coordinator->plan)) {
        begin_write(coordinator);
    }
    timer_set(coordinator->balance_timer, balance_pause_ms(coordinator));
}

/* --- a server that is to be added --- */

static bool is_in_map(const struct map *map, const struct address *address)
{
    for (uint32_t i = 0; i < map->server_count; i++) {
        if (address_equal(&map->servers[i].address, address)) {
            return true;
        }
    }
    return false;
}

/* STATUS_TRY_LATER: not yet. */
static enum status judge_guest(const struct coordinator *coordinator, struct text *why)
{
    const struct cluster *cluster = coordinator->cluster;
    const struct address *address = &coordinator->guest.address;
    const struct site *site = cluster_find_site(cluster, address);
    if (is_in_map(&cluster_ledger(cluster)->map, address)) {
        return STATUS_OK;
    }
    text_set(why, "server ");
    text_add_address(why, address);
    text_add(why, ": %s%s%s", site_state_text(site->state),
             text_is_empty(&site->problem) ? "" : ": ", site->problem.chars);
    return site->state == SITE_UP || site->state == SITE_DOWN ? STATUS_TRY_LATER : STATUS_DENIED;
}

static void end_guest(struct coordinator *coordinator, enum status status, const struct text *why)
{
    struct guest guest = coordinator->guest;
    coordinator->guest = (struct guest){.made = NULL};
    timer_clear(coordinator->guest_timer);
    cluster_invite(coordinator->cluster, NULL, 0);
    push_follow(coordinator->push);
    guest.made(guest.context, status, NULL, why);
}

/* Never from inside a callback of push. */
static void on_guest_timer(void *context)
{
    struct coordinator *coordinator = context;
    struct text why = {{0}};
    if (!coordinator->guest.made) {
        return;
    }
    enum status status = judge_guest(coordinator, &why);
    if (status != STATUS_TRY_LATER || coordinator->guest.is_late) {
        end_guest(coordinator, status, &why);
    } else {
        coordinator->guest.is_late = true;
        timer_set(coordinator->guest_timer, GUEST_WITHIN_MS);
    }
}

/* The timer that says it is too late says, set to nothing, that there is an answer. */
static void look_at_guest(const struct coordinator *coordinator)
{
    struct text why = {{0}};
    if (coordinator->guest.made && judge_guest(coordinator, &why) != STATUS_TRY_LATER) {
        timer_set(coordinator->guest_timer, 0);
    }
}

void coordinator_add_server(struct coordinator *coordinator, const struct address *address,
                            uint64_t capacity, const char *who, coordinator_made *made,
                            void *context)
{
    struct text why = {{0}};
    enum status status = order_server_check_new(coordinator->cluster, address, &why);
    if (status == STATUS_OK && (coordinator->guest.made || coordinator->is_stopping)) {
        text_set(&why, "another server is being added");
        status = STATUS_TRY_LATER;
    }
    if (status != STATUS_OK) {
        made(context, status, NULL, &why);
        return;
    }
    coordinator->guest = (struct guest){.address = *address, .made = made, .context = context};
    move_set_text(coordinator->guest.who, sizeof(coordinator->guest.who), who);
    cluster_invite(coordinator->cluster, address, capacity);
    push_follow(coordinator->push);
    timer_set(coordinator->guest_timer, 0);
}

/* --- history --- */

static void load_history(struct coordinator *coordinator)
{
    struct buffer payload = {0};
    if (mapstore_load_history(coordinator->store, &payload)) {
        struct unpack in = unpack_of(buffer_bytes(&payload));
        if (history_unpack(&in, &coordinator->whole)) {
            coordinator->kept = history_last(&coordinator->whole);
        }
    }
    history_join(&coordinator->whole, &cluster_ledger(coordinator->cluster)->recent);
    buffer_fini(&payload);
}

static uint32_t recent_count(const struct coordinator *coordinator)
{
    const struct history *recent = &cluster_ledger(coordinator->cluster)->recent;
    return recent->line_count + recent->move_count;
}

/* What could not be written is tried again when as much more has come. */
static void on_kept(void *context, bool is_kept)
{
    struct coordinator *coordinator = context;
    coordinator->kept = is_kept ? coordinator->keeping : coordinator->kept;
    coordinator->kept_count = is_kept ? 0 : recent_count(coordinator);
    coordinator->keeping = 0;
}

/* The ledger then needs them no more, and is short when a commit writes it. */
static void keep_history(struct coordinator *coordinator)
{
    const struct history *recent = &cluster_ledger(coordinator->cluster)->recent;
    uint32_t count = recent_count(coordinator);
    bool is_idle = !conduct_is_busy(coordinator->cluster);
    if (coordinator->keeping != 0 || history_last(recent) <= coordinator->kept ||
        count < coordinator->kept_count + (is_idle ? KEEP_IDLE_COUNT : KEEP_COUNT)) {
        return;
    }
    struct buffer payload = {0};
    history_pack(&coordinator->whole, &payload);
    memory_must(!payload.failed);
    coordinator->keeping = history_last(&coordinator->whole);
    mapstore_keep(coordinator->store, buffer_bytes(&payload), on_kept, coordinator);
    buffer_fini(&payload);
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
        logline(LOGLINE_ERROR, "%s", behind->chars);
    }
    coordinator->has_said_behind = !text_is_empty(behind);
}

/* Of a plan whose ledger the cluster has taken. */
static void say_lines(const struct plan *plan, uint64_t revision)
{
    struct bytes line = {0};
    while (plan_next_line(plan, &line)) {
        logline(LOGLINE_INFO, "revision %llu: %.*s", (unsigned long long)revision, (int)line.len,
                (const char *)line.data);
    }
}

/* Takes the plan that is done; the callback may ask for the next one. */
static void end_plan(struct coordinator *coordinator, bool is_carried_out)
{
    struct plan plan = coordinator->plan;
    coordinator_done *done = coordinator->done;
    struct order *order = coordinator->order;
    struct text why = {{0}};
    coordinator->plan = (struct plan){0};
    coordinator->done = NULL;
    coordinator->order = NULL;
    coordinator->is_writing = false;
    if (done) {
        done(coordinator->done_context, is_carried_out ? &plan : NULL);
    }
    if (order) {
        end_order(order, is_carried_out ? STATUS_OK : STATUS_SHUTTING_DOWN,
                  is_carried_out ? &plan : NULL, &why);
    }
    plan_fini(&plan);
}

static void on_durable(void *context)
{
    struct coordinator *coordinator = context;
    uint64_t old_revision = cluster_ledger(coordinator->cluster)->map.revision;
    cluster_adopt(coordinator->cluster, &coordinator->plan);
    push_follow(coordinator->push); /* first: where a range is committed, operations wait for it */
    say_lines(&coordinator->plan, cluster_ledger(coordinator->cluster)->map.revision);
    say_news(coordinator);
    if (coordinator->plan.is_changed) {
        coordinator->handler->on_changed(coordinator->context, old_revision);
    }
    history_join(&coordinator->whole, &cluster_ledger(coordinator->cluster)->recent);
    look_at_guest(coordinator);
    end_plan(coordinator, true);
    if (coordinator->is_stopping) {
        push_stop(coordinator->push);
    } else {
        pursue(coordinator);
        look_again(coordinator);
        keep_history(coordinator);
    }
}

static void begin_write(struct coordinator *coordinator)
{
    struct plan *plan = &coordinator->plan;
    coordinator->is_writing = true;
    plan_log(plan, clock_wall_ms());
    history_forget(&plan->next.recent, coordinator->kept);
    history_trim(&plan->next.recent);
    mapstore_write(coordinator->store, &coordinator->plan.next, on_durable, coordinator);
}

/* --- what push brings --- */

static void on_heard(void *context)
{
    struct coordinator *coordinator = context;
    pursue(coordinator);
    say_news(coordinator);
    look_at_guest(coordinator);
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

static const struct push_handler push_handler = {on_heard, on_counted, on_request, on_push_stopped};

/* --- for the owner --- */

struct coordinator *coordinator_new(struct loop *loop, struct mapstore *store,
                                    struct ledger *ledger, bool is_auto,
                                    const struct coordinator_handler *handler, void *context)
{
    struct coordinator *coordinator = memory_get(1, sizeof(*coordinator));
    coordinator->loop = loop;
    coordinator->store = store;
    coordinator->cluster = cluster_new(ledger);
    coordinator->handler = handler;
    coordinator->context = context;
    coordinator->is_auto = is_auto;
    coordinator->conduct = conduct_new();
    coordinator->push =
        push_new(loop, coordinator->cluster, coordinator->conduct, &push_handler, coordinator);
    coordinator->look_timer = timer_new(loop, on_look_timer, coordinator);
    coordinator->balance_timer = timer_new(loop, on_balance_timer, coordinator);
    coordinator->guest_timer = timer_new(loop, on_guest_timer, coordinator);
    coordinator->count_timer = timer_new(loop, on_counted, coordinator);
    load_history(coordinator);
    return coordinator;
}

void coordinator_start(struct coordinator *coordinator)
{
    push_follow(coordinator->push);
    look_again(coordinator);
    timer_set(coordinator->balance_timer, BALANCE_EVERY_MS);
}

const struct cluster *coordinator_cluster(const struct coordinator *coordinator)
{
    return coordinator->cluster;
}

const struct conduct *coordinator_conduct(const struct coordinator *coordinator)
{
    return coordinator->conduct;
}

const struct history *coordinator_history(const struct coordinator *coordinator)
{
    return &coordinator->whole;
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
    return plan->is_changed || plan->is_noted ||
           plan->next.applied_hash != cluster_ledger(coordinator->cluster)->applied_hash;
}

static void carry_out(struct coordinator *coordinator, const struct coordinator_asker *asker)
{
    coordinator->done = asker->done;
    coordinator->done_context = asker->context;
    move_set_text(coordinator->plan.who, sizeof(coordinator->plan.who), asker->who);
    begin_write(coordinator);
}

enum status coordinator_apply(struct coordinator *coordinator, struct bytes json, bool is_dry_run,
                              const struct coordinator_asker *asker, struct text *why)
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
        asker->done(asker->context, &plan);
        plan_fini(&plan);
    } else {
        coordinator->plan = plan;
        carry_out(coordinator, asker);
    }
    return STATUS_OK;
}

enum status coordinator_reset(struct coordinator *coordinator, struct bytes name,
                              const struct coordinator_asker *asker, struct text *why)
{
    if (is_busy(coordinator, why)) {
        return STATUS_TRY_LATER;
    }
    enum status status = admin_plan_reset(coordinator->cluster, name, &coordinator->plan, why);
    if (status == STATUS_OK) {
        carry_out(coordinator, asker);
    }
    return status;
}

/* Who waits for what has not begun hears that it will not. */
static void give_up(struct coordinator *coordinator)
{
    struct order *order;
    struct text why;
    text_set(&why, "bootstrapd is stopping");
    release_counting(coordinator);
    append_order(&coordinator->orders, coordinator->surveying);
    coordinator->surveying = NULL;
    survey_free(coordinator->survey);
    coordinator->survey = NULL;
    while ((order = take_order(coordinator)) != NULL) {
        end_order(order, STATUS_SHUTTING_DOWN, NULL, &why);
    }
    if (coordinator->guest.made) {
        struct guest guest = coordinator->guest;
        coordinator->guest = (struct guest){.made = NULL};
        guest.made(guest.context, STATUS_SHUTTING_DOWN, NULL, &why);
    }
}

void coordinator_stop(struct coordinator *coordinator)
{
    coordinator->is_stopping = true;
    give_up(coordinator);
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
    give_up(coordinator);
    timer_free(coordinator->look_timer);
    timer_free(coordinator->balance_timer);
    timer_free(coordinator->guest_timer);
    timer_free(coordinator->count_timer);
    conduct_free(coordinator->conduct);
    history_fini(&coordinator->whole);
    cluster_free(coordinator->cluster);
    free(coordinator);
}
