/* SPDX-License-Identifier: MIT */
#include "libclient/exchange.h"

#include <assert.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/random.h"
#include "libclient/answer.h"
#include "libclient/chain.h"
#include "libclient/lane.h"

/* After that another candidate is asked for the map. */
#define MAP_ATTEMPT_US UINT64_C(500000)

/* Many clients that lose the same server do not ask for the map in the same moment. */
#define MAP_JITTER_US UINT64_C(10000)

struct exchange {
    struct cluster *cluster;
    struct task *tasks;
    size_t task_count;
    size_t left; /* tasks not finished */
    struct lane *lanes;
    size_t lane_count;
    struct net_wait *waits; /* lane_count of them */
    struct task_list waiting;
    struct task fetch; /* of the map, beside the tasks */
    bool is_fetching;
    bool goes_on;    /* something was queued: look at the lanes again before waiting */
    uint64_t due_us; /* no deadline is before it */
    uint64_t now_us;
};

static struct lane *lane_get(struct exchange *exchange, const struct address *address)
{
    struct lane **last = &exchange->lanes;
    for (; *last; last = &(*last)->next) {
        if (address_equal(server_address((*last)->server), address)) {
            return *last;
        }
    }
    size_t size = (exchange->lane_count + 1) * sizeof(*exchange->waits);
    struct net_wait *waits = realloc(exchange->waits, size);
    struct server *server = waits ? pool_server(exchange->cluster->pool, address) : NULL;
    exchange->waits = waits ? waits : exchange->waits;
    *last = server ? lane_new(server) : NULL;
    exchange->lane_count += *last != NULL;
    return *last;
}

/* --- a task's way: placed, waiting, finished --- */

/* Its outcome is in the task; nobody sends it again, so its number is answered. */
static void finish(struct exchange *exchange, struct task *task)
{
    struct cluster *cluster = exchange->cluster;
    task_list_remove(task);
    if (task->state == TASK_SENT) {
        wire_forget(task->lane->wire, task->msgid);
    }
    task->state = TASK_FINISHED;
    if (task->line) {
        server_answer_number(cluster->pool, task->line, task->number);
        task->line = NULL;
    }
    if (task == &exchange->fetch) {
        exchange->is_fetching = false;
        route_end_fetch(cluster->route);
        task_fini(task);
        return;
    }
    exchange->left--;
    struct task *freed = chain_leave(task);
    if (freed) {
        freed->state = TASK_WAITING;
        freed->wake_us = 0;
        task_list_append(&exchange->waiting, freed);
    }
}

static void finish_failed(struct exchange *exchange, struct task *task, enum skv_status status,
                          const char *said)
{
    task_fail(task, status, said);
    finish(exchange, task);
}

/* A failure of our own, which tells nothing of what attempts before it did. */
static void give_up(struct exchange *exchange, struct task *task, enum skv_status status,
                    const char *said)
{
    enum skv_status ended = task->attempt.may_be_done ? SKV_UNKNOWN : status;
    finish_failed(exchange, task, ended, said);
}

static void back_off(struct exchange *exchange, struct task *task, uint64_t wait_max_us)
{
    task->state = TASK_WAITING;
    task->wake_us = exchange->now_us + random_below(wait_max_us + 1);
    task_list_append(&exchange->waiting, task);
}

static void fetch_map(struct exchange *exchange)
{
    uint32_t first = 0;
    if (exchange->is_fetching ||
        !route_begin_fetch(exchange->cluster->route, exchange->now_us, &first)) {
        return;
    }
    struct task *fetch = &exchange->fetch;
    task_prepare_raw(fetch, TASK_MAP, NULL, 0);
    fetch->target = TARGET_ANYONE;
    fetch->order = ROUTE_SERVERS_FIRST;
    fetch->candidate = first;
    fetch->deadline_us = UINT64_MAX; /* it ends with the exchange */
    exchange->is_fetching = true;
    back_off(exchange, fetch, MAP_JITTER_US);
}

static bool target_of(struct exchange *exchange, struct task *task, struct owner *owner)
{
    struct route *route = exchange->cluster->route;
    switch (task->target) {
    case TARGET_OWNER:
        return route_find(route, task->point, owner);
    case TARGET_ADDRESS:
        owner->address = *task->address;
        break;
    case TARGET_ANYONE:
        owner->address = route_candidate(route, task->order, task->candidate++);
        break;
    }
    return true;
}

/* Into the queue of the server that is to be asked. The task is in no list. */
static void place(struct exchange *exchange, struct task *task)
{
    struct owner owner = {.epoch = 0};
    if (!target_of(exchange, task, &owner)) {
        struct verdict verdict = verdict_on_error(&task->attempt, STATUS_WRONG_SHARD, false);
        back_off(exchange, task, verdict.wait_max_us);
        fetch_map(exchange);
        return;
    }
    task->lane = lane_get(exchange, &owner.address);
    if (!task->lane) {
        give_up(exchange, task, SKV_NO_MEMORY, "out of memory");
        return;
    }
    task->state = TASK_QUEUED;
    if (task->line) {
        /* First those that have a number: until they are answered the others may not get one (RULES Q2). */
        task_list_prepend(&task->lane->queue, task);
    } else {
        task_list_append(&task->lane->queue, task);
    }
    exchange->goes_on = true;
}

static void place_all(struct exchange *exchange, struct task_list *list)
{
    struct task_list taken = {.first = NULL}; /* what is placed may land in `list` again */
    struct task *task;
    while ((task = list->first)) {
        task_list_remove(task);
        task_list_append(&taken, task);
    }
    while ((task = taken.first)) {
        task_list_remove(task);
        place(exchange, task);
    }
}

/* What waits for a server that rests may have another owner now. */
static void place_again(struct exchange *exchange)
{
    for (struct lane *lane = exchange->lanes; lane; lane = lane->next) {
        if (!lane->wire) {
            place_all(exchange, &lane->queue);
        }
    }
}

static void follow(struct exchange *exchange, struct task *task, struct verdict verdict,
                   const char *said)
{
    switch (verdict.action) {
    case VERDICT_FAIL:
        finish_failed(exchange, task, verdict.status, said);
        break;
    case VERDICT_RESEND:
        place(exchange, task);
        break;
    case VERDICT_WAIT:
        back_off(exchange, task, verdict.wait_max_us);
        break;
    }
    if (verdict.needs_map) {
        fetch_map(exchange);
    }
}

/* --- replies --- */

static void on_error(struct exchange *exchange, struct task *task,
                     const struct rpc_message *message)
{
    struct lane *lane = task->lane;
    task_note(task, message->text);
    answer_take_detail(task, message);
    if (message->code == STATUS_SHUTTING_DOWN) {
        wire_retire(lane->wire);
    }
    bool owner_is_other = false;
    if (message->code == STATUS_WRONG_SHARD) {
        owner_is_other = answer_take_owner(exchange->cluster, task, message->detail);
        place_again(exchange);
    }
    struct verdict verdict = verdict_on_error(&task->attempt, message->code, owner_is_other);
    const char *said = task->said ? task->said : "";
    if (task->kind == TASK_UPDATE && message->code == STATUS_CONDITION && task->version == 0) {
        /* The server speaks of the condition with which an update is sent, and nobody has asked for one. */
        verdict.status = SKV_NOT_FOUND;
        said = "there is no entity with this id";
    }
    follow(exchange, task, verdict, said);
}

static void on_result(struct exchange *exchange, struct task *task, struct bytes encoded)
{
    switch (answer_take_result(exchange->cluster, task, encoded)) {
    case RESULT_FOUND:
        task->status = SKV_OK;
        finish(exchange, task);
        if (task->kind == TASK_MAP) {
            place_again(exchange);
        }
        break;
    case RESULT_ABSENT:
        finish_failed(exchange, task, SKV_NOT_FOUND, "not found");
        break;
    case RESULT_MALFORMED:
        wire_break(task->lane->wire, "malformed result");
        follow(exchange, task, verdict_on_loss(&task->attempt, true), "malformed result");
        break;
    case RESULT_NO_MEMORY:
        task->attempt.may_be_done |= task->attempt.changes;
        give_up(exchange, task, SKV_NO_MEMORY, "out of memory for the result");
        break;
    }
}

static void receive(struct exchange *exchange, struct lane *lane)
{
    struct rpc_message message;
    void *token = NULL;
    wire_receive(lane->wire);
    while (wire_next(lane->wire, &message, &token)) {
        struct task *task = token;
        task->state = TASK_HELD; /* no longer sent, and in no list */
        task->wire_code = message.code;
        lane->failures = 0;
        lane->said[0] = '\0';
        if (message.code == STATUS_OK) {
            on_result(exchange, task, message.result);
        } else {
            on_error(exchange, task, &message);
        }
    }
}

/* --- lanes --- */

static void deny_all(struct exchange *exchange, struct lane *lane)
{
    while (lane->queue.first) {
        struct task *task = lane->queue.first;
        task->asked = lane->server;
        task->wire_code = STATUS_WRONG_CLUSTER;
        task_list_remove(task);
        follow(exchange, task, verdict_on_error(&task->attempt, STATUS_WRONG_CLUSTER, false),
               lane->said);
    }
}

/* The connection is gone: what was sent and not answered, and what waits for it. */
static void lose(struct exchange *exchange, struct lane *lane)
{
    char address[ADDRESS_TEXT_LEN];
    address_print(server_address(lane->server), address);
    cluster_log(exchange->cluster, LOG_WARNING, "%s: %s", address, wire_reason(lane->wire));
    bool is_denied = wire_is_denied(lane->wire);
    bool was_sent = false;
    struct task *task;
    struct task_list lost = {.first = NULL};
    while ((task = wire_take_unanswered(lane->wire, &was_sent))) {
        struct verdict verdict = verdict_on_loss(&task->attempt, was_sent);
        task->state = TASK_HELD;
        task->wire_code = 0;
        if (verdict.action == VERDICT_RESEND) {
            task_list_append(&lost, task);
        } else {
            follow(exchange, task, verdict, wire_reason(lane->wire));
        }
    }
    lane_lose(exchange->cluster, lane, exchange->now_us);
    if (is_denied) {
        deny_all(exchange, lane);
    }
    place_all(exchange, &lane->queue);
    place_all(exchange, &lost);
    fetch_map(exchange);
}

/* False while a number is not to be had: too many operations are open. */
static bool take_number(struct exchange *exchange, struct lane *lane, struct task *task)
{
    if (task->line || !task->attempt.changes || !task->attempt.can_repeat) {
        return true;
    }
    if (!server_take_number(exchange->cluster->pool, lane->server, &task->number)) {
        return false;
    }
    task->line = lane->server;
    return true;
}

/*
 * The server gets an eighth less than is left: its TRY_LATER, if it comes to that, is then here
 * in time to tell that nothing was done.
 */
static uint64_t server_deadline_ms(uint64_t left_us)
{
    uint64_t share_ms = (left_us - left_us / 8) / 1000;
    return share_ms > 0 ? share_ms : 1;
}

static void send_task(struct exchange *exchange, struct lane *lane, struct task *task,
                      uint64_t epoch)
{
    struct task_send params = {
        .epoch = epoch,
        .done = task->line ? server_done(exchange->cluster->pool, task->line) : 0,
        .deadline_ms = server_deadline_ms(task->deadline_us - exchange->now_us),
    };
    task_list_remove(task);
    task->asked = lane->server;
    task_pack_params(task, &params, wire_begin(lane->wire, task->method));
    if (!wire_end(lane->wire, task, &task->msgid)) {
        give_up(exchange, task, SKV_NO_MEMORY, "out of memory");
        return;
    }
    task->state = TASK_SENT;
    if (task->kind == TASK_MAP) {
        task->attempt_until_us = exchange->now_us + MAP_ATTEMPT_US;
        if (exchange->due_us > task->attempt_until_us) {
            exchange->due_us = task->attempt_until_us;
        }
    }
}

static void give_up_all(struct exchange *exchange, struct lane *lane, enum skv_status status,
                        const char *said)
{
    while (lane->queue.first) {
        lane->queue.first->asked = lane->server;
        give_up(exchange, lane->queue.first, status, said);
    }
}

/* Whether the lane can take a request now. */
static bool can_send(struct exchange *exchange, struct lane *lane)
{
    switch (lane_open(exchange->cluster, lane, exchange->now_us)) {
    case LANE_OPEN:
        return wire_has_room(lane->wire);
    case LANE_RESTS:
        break;
    case LANE_GIVES_UP:
        give_up_all(exchange, lane, SKV_UNAVAILABLE, "all connections to it are in use");
        break;
    case LANE_NO_MEMORY:
        give_up_all(exchange, lane, SKV_NO_MEMORY, "out of memory");
        break;
    }
    return false;
}

/* The map may have changed since the task was queued. */
static bool is_still_for(struct exchange *exchange, const struct lane *lane,
                         const struct task *task, struct owner *owner)
{
    return task->target != TARGET_OWNER ||
           (route_find(exchange->cluster->route, task->point, owner) &&
            address_equal(&owner->address, server_address(lane->server)));
}

static void fill(struct exchange *exchange, struct lane *lane)
{
    /* With nothing in flight there is always room, unless the server asked for a new connection. */
    if (lane->wire && wire_state(lane->wire) == WIRE_OPEN && wire_in_flight(lane->wire) == 0 &&
        !wire_has_room(lane->wire)) {
        lane_release(exchange->cluster, lane);
    }
    struct task *task;
    while ((task = lane->queue.first)) {
        struct owner owner = {.epoch = 0};
        if (!is_still_for(exchange, lane, task, &owner)) {
            task_list_remove(task);
            place(exchange, task);
        } else if (!can_send(exchange, lane)) {
            break;
        } else if (!take_number(exchange, lane, task)) {
            lane->stall = LANE_NO_NUMBER;
            break;
        } else {
            lane->stall = LANE_FLOWS;
            send_task(exchange, lane, task, owner.epoch);
        }
    }
    if (lane->queue.first) {
        return;
    }
    lane->stall = LANE_FLOWS;
    if (lane->wire && wire_in_flight(lane->wire) == 0) {
        lane_release(exchange->cluster, lane);
    }
}

static void flush(struct exchange *exchange, struct lane *lane)
{
    if (wire_state(lane->wire) == WIRE_OPENING && exchange->now_us >= lane->open_until_us) {
        wire_break(lane->wire, "does not answer");
    }
    wire_flush(lane->wire);
    if (wire_state(lane->wire) == WIRE_CLOSED) {
        lose(exchange, lane);
    }
}

/* --- time --- */

/* Why a task has not come further: what the connection to its server did, or a server said to it. */
static const char *trouble_of(const struct task *task)
{
    if (task->state == TASK_HELD) {
        return "an earlier item on this key took all the time";
    }
    if (!task->lane) {
        return "the map names no server for it";
    }
    if (task->lane->said[0]) {
        return task->lane->said;
    }
    return task->said ? task->said : "no answer";
}

static void expire(struct exchange *exchange, struct task *task)
{
    if (task->state == TASK_FINISHED) {
        return;
    }
    /* Even if it could not be written yet: it still may be, before the exchange ends. */
    bool is_sent = task->state == TASK_SENT;
    if (exchange->now_us >= task->deadline_us) {
        task->asked = task->lane ? task->lane->server : NULL;
        finish_failed(exchange, task, verdict_on_deadline(&task->attempt, is_sent),
                      trouble_of(task));
        return;
    }
    uint64_t due_us = task->deadline_us;
    if (is_sent && task->kind == TASK_MAP) {
        if (exchange->now_us >= task->attempt_until_us) {
            wire_forget(task->lane->wire, task->msgid);
            task->state = TASK_HELD;
            place(exchange, task);
        } else if (due_us > task->attempt_until_us) {
            due_us = task->attempt_until_us;
        }
    }
    exchange->due_us = exchange->due_us < due_us ? exchange->due_us : due_us;
}

static void expire_all(struct exchange *exchange)
{
    if (exchange->now_us < exchange->due_us) {
        return;
    }
    exchange->due_us = UINT64_MAX;
    for (size_t i = 0; i < exchange->task_count; i++) {
        expire(exchange, &exchange->tasks[i]);
    }
    if (exchange->is_fetching) {
        expire(exchange, &exchange->fetch);
    }
}

static void wake_all(struct exchange *exchange)
{
    struct task *next;
    for (struct task *task = exchange->waiting.first; task; task = next) {
        next = task->next;
        if (exchange->now_us >= task->wake_us) {
            task_list_remove(task);
            place(exchange, task);
        }
    }
}

static uint64_t wake_us(const struct exchange *exchange)
{
    if (exchange->goes_on) {
        return exchange->now_us;
    }
    uint64_t until_us = exchange->due_us;
    for (const struct task *task = exchange->waiting.first; task; task = task->next) {
        until_us = until_us < task->wake_us ? until_us : task->wake_us;
    }
    for (const struct lane *lane = exchange->lanes; lane; lane = lane->next) {
        uint64_t lane_us = lane_wake_us(lane, exchange->now_us);
        until_us = until_us < lane_us ? until_us : lane_us;
    }
    return until_us;
}

/* --- turns --- */

/* Between two looks at whether another call has given a connection back. */
#define STALL_POLL_US UINT64_C(1000)

static void wait_for_any(struct exchange *exchange)
{
    uint64_t until_us = wake_us(exchange);
    struct server *stalled = NULL; /* the last that has no connection for us */
    size_t stalled_count = 0;
    size_t count = 0;
    for (const struct lane *lane = exchange->lanes; lane; lane = lane->next) {
        if (lane->wire) {
            exchange->waits[count++] = wire_wait(lane->wire);
        } else if (lane->stall == LANE_NO_WIRE) {
            stalled = lane->server;
            stalled_count++;
        }
    }
    if (stalled_count == 1 && count == 0) {
        pool_wait(exchange->cluster->pool, stalled, until_us);
        return;
    }
    uint64_t poll_us = exchange->now_us + STALL_POLL_US;
    (void)net_wait(exchange->waits, count, stalled && poll_us < until_us ? poll_us : until_us);
}

static void wait_and_receive(struct exchange *exchange)
{
    wait_for_any(exchange);
    exchange->now_us = clock_mono_us();
    size_t i = 0;
    for (struct lane *lane = exchange->lanes; lane; lane = lane->next) {
        if (lane->wire && exchange->waits[i++].is_ready) {
            receive(exchange, lane);
        }
    }
}

static void turn(struct exchange *exchange)
{
    exchange->now_us = clock_mono_us();
    expire_all(exchange);
    wake_all(exchange);
    exchange->goes_on = false;
    for (struct lane *lane = exchange->lanes; lane; lane = lane->next) {
        fill(exchange, lane);
        if (lane->wire) {
            flush(exchange, lane);
        }
    }
    if (exchange->left > 0) {
        wait_and_receive(exchange);
    }
}

static void start(struct exchange *exchange)
{
    exchange->now_us = clock_mono_us();
    exchange->due_us = UINT64_MAX;
    for (size_t i = 0; i < exchange->task_count; i++) {
        struct task *task = &exchange->tasks[i];
        if (task->state != TASK_FINISHED) {
            exchange->left++;
            task->deadline_us = exchange->now_us + task->timeout_ms * UINT64_C(1000);
            exchange->due_us =
                exchange->due_us < task->deadline_us ? exchange->due_us : task->deadline_us;
        }
    }
    for (size_t i = 0; i < exchange->task_count; i++) {
        struct task *task = &exchange->tasks[i];
        if (task->state == TASK_HELD && !task->ahead) {
            place(exchange, task);
        }
    }
}

static void end(struct exchange *exchange)
{
    if (exchange->is_fetching) {
        finish(exchange, &exchange->fetch);
    }
    while (exchange->lanes) {
        struct lane *lane = exchange->lanes;
        exchange->lanes = lane->next;
        lane_free(exchange->cluster, lane);
    }
    free(exchange->waits);
}

void exchange_run(struct cluster *cluster, struct task *tasks, size_t task_count)
{
    struct exchange exchange = {.cluster = cluster, .tasks = tasks, .task_count = task_count};
    if (!chain_all(tasks, task_count)) {
        for (size_t i = 0; i < task_count; i++) {
            if (tasks[i].state != TASK_FINISHED) {
                tasks[i].state = TASK_FINISHED;
                task_fail(&tasks[i], SKV_NO_MEMORY, "out of memory");
            }
        }
        return;
    }
    start(&exchange);
    while (exchange.left > 0) {
        turn(&exchange);
    }
    end(&exchange);
}
