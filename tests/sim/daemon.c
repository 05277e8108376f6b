/* SPDX-License-Identifier: MIT */
#include "tests/sim/daemon.h"

#include "bootstrapd/server.h"
#include "shardd/server.h"
#include "tests/sim/heap.h"
#include "tests/sim/history.h"
#include "tests/sim/logview.h"
#include "tests/sim/network.h"
#include "tests/sim/turn.h"

#include <assert.h>
#include <stdio.h>

#define CONNECTION_MAX 1000

/* A bootstrapd has few jobs and a server many: with its rate it would never crash in one. */
#define BOOTSTRAPD_CRASH_FACTOR 20

/* When a start failed for an injected fault, or the process ended itself, systemd tries again. */
#define RESTART_AFTER_US SECOND_US

/* The promise is 2 s behind the last answered request; a write may wait for a slow disk, and the
 * process for its turns. */
#define STOP_WITHIN_US (10 * SECOND_US)

struct daemon {
    struct node *node;
    char address[ADDRESS_TEXT_LEN];
    const char *map_text;
    bool is_bootstrapd;
    bool is_map_text_given;
    bool is_stopping;
    uint32_t start_count;
    struct loop *loop; /* NULL: down */
    struct shardd *shardd;
    struct bootstrapd *bootstrapd;
    struct event start;
    struct event mishap;
    struct event stopped;
    struct event stop_limit;
    struct event second_crash; /* right behind a start, */
    uint64_t expected_digest;  /* whose log the next one must find the same; 0: no matter */
};

static void take_down(struct daemon *daemon, enum disk_end end)
{
    struct node *node = daemon->node;
    world_drop_events(node);
    event_clear(&daemon->mishap);
    event_clear(&daemon->stopped);
    event_clear(&daemon->stop_limit);
    event_clear(&daemon->second_crash);
    network_drop_node(node, end == DISK_POWER_LOST);
    disk_end_process(node->disk, end);
    heap_drop(node);
    node->is_powered = end != DISK_POWER_LOST;
    node->in_job = false;
    node->jobs_waiting = node->jobs_running = 0;
    node->run_count++;
    daemon->loop = NULL;
    daemon->shardd = NULL;
    daemon->bootstrapd = NULL;
    daemon->is_stopping = false;
}

/* --- start --- */

static bool open_bootstrapd(struct daemon *daemon, char *error, size_t error_len)
{
    struct bootstrapd_config config = {
        .listen = daemon->node->address,
        .data_path = daemon->node->name,
        .map_name = daemon->is_map_text_given ? "map.json" : NULL,
        .map_text = bytes_text(daemon->map_text),
        .connection_max = CONNECTION_MAX,
    };
    daemon->bootstrapd = bootstrapd_open(daemon->loop, &config, error, error_len);
    return daemon->bootstrapd != NULL;
}

/* Small, so that segments turn over, the hand goes round, and records leave. */
static bool open_shardd(struct daemon *daemon, char *error, size_t error_len)
{
    const struct swarm *swarm = world_swarm();
    struct shardd_config config = {
        .listen = daemon->node->address,
        .data = daemon->node->name,
        .connection_max = CONNECTION_MAX,
        .durability = swarm->level == SWARM_DISK ? DURABILITY_DISK : DURABILITY_OS,
        .memory_limit = (uint64_t)swarm->memory_kib << 10,
        .segment_len = (uint64_t)swarm->segment_kib << 10,
        .log_limit = ((uint64_t)swarm->segment_kib << 10) * swarm->log_segments,
    };
    daemon->shardd = shardd_open(daemon->loop, &config, error, error_len);
    return daemon->shardd != NULL;
}

/* What it writes meanwhile takes time, too: its first turn waits, and a crash may fall in between. */
static bool open_process(struct daemon *daemon, char *error, size_t error_len)
{
    struct node *node = daemon->node;
    world_enter(node);
    node->in_job = node->is_starting = true;
    node->io_done_us = world_now_us();
    daemon->loop = loop_new();
    bool is_open = daemon->is_bootstrapd ? open_bootstrapd(daemon, error, error_len)
                                         : open_shardd(daemon, error, error_len);
    node->in_job = node->is_starting = false;
    node->busy_until_us = node->io_done_us + 1;
    trace_text(is_open ? "up" : error);
    world_enter(NULL);
    return is_open;
}

/* How a recovery finds the log. */
static void look_at_log(const struct daemon *daemon)
{
    struct logview view;
    logview_look(daemon->node->disk, &view);
    if (view.is_there) {
        count(view.is_stopped ? COUNT_CLEAN_END : COUNT_UNCLEAN_END);
        count_if(view.is_torn, COUNT_TORN_TAIL);
        count_if(view.clear_count > 0, COUNT_LOG_CLEAR);
        count_if(view.touch_count > 0, COUNT_LOG_TOUCH);
        count_if(view.eviction_count > 0, COUNT_LOG_EVICT);
        count_if(view.expiration_count > 0, COUNT_LOG_EXPIRE);
    }
}

static uint64_t log_digest(const struct daemon *daemon)
{
    struct logview view;
    logview_look(daemon->node->disk, &view);
    return view.digest | 1;
}

/* RULES L4: recovering twice gives the same. Nothing ran in between. */
static void compare_recoveries(struct daemon *daemon)
{
    if (daemon->expected_digest) {
        count(COUNT_SECOND_RECOVERY);
        if (daemon->expected_digest != log_digest(daemon)) {
            violation("%s: a second recovery finds another log than the first left",
                      daemon->node->name);
        }
    }
    daemon->expected_digest = 0;
    if (world_chance(world_swarm()->second_crash_ppm)) {
        daemon->expected_digest = log_digest(daemon);
        event_set(&daemon->second_crash, daemon->node->io_done_us - world_now_us());
    }
}

/* All of the start is durable, and the first turn is to come. */
static void crash_again(void *context)
{
    struct daemon *daemon = context;
    uint64_t digest = daemon->expected_digest;
    daemon_crash(daemon, world_below(2) ? DISK_POWER_LOST : DISK_PROCESS_KILLED);
    daemon->expected_digest = digest;
    daemon_start(daemon, 0);
}

static void start_now(void *context)
{
    struct daemon *daemon = context;
    struct node *node = daemon->node;
    char error[512] = "";
    assert(!daemon->loop);
    node->is_powered = true;
    node->fault_count = 0;
    node->full_count = 0;
    if (!daemon->is_bootstrapd) {
        look_at_log(daemon);
    }
    if (open_process(daemon, error, sizeof error)) {
        if (daemon->start_count++) {
            count(COUNT_RESTART);
        }
        if (!daemon->is_bootstrapd) {
            compare_recoveries(daemon);
        }
        world_tempt_fate(node, world_swarm()->open_crash_ppm, node->busy_until_us - world_now_us());
        return;
    }
    if (!node->fault_count && !node->full_count) {
        violation("%s does not start, without a fault: %s", node->name, error);
    }
    take_down(daemon, DISK_PROCESS_KILLED);
    daemon_start(daemon, RESTART_AFTER_US);
}

void daemon_start(struct daemon *daemon, uint64_t delay_us)
{
    if (!daemon->loop) {
        event_set(&daemon->start, delay_us);
    }
}

/* --- the process ends itself (RULES L5) --- */

static void on_death(void *owner)
{
    struct daemon *daemon = owner;
    if (!daemon->node->fault_count) {
        violation("%s ended itself, without a fault", daemon->node->name);
    }
    count(COUNT_CRASH_BY_FAULT);
    take_down(daemon, DISK_PROCESS_KILLED);
    daemon_start(daemon, RESTART_AFTER_US);
}

/* Level os promises less, and only there (RULES L6). */
static enum disk_end bound_end(const struct daemon *daemon, enum disk_end end)
{
    enum swarm_level level = world_swarm()->level;
    if (daemon->is_bootstrapd || level == SWARM_DISK || end != DISK_POWER_LOST) {
        return end;
    }
    if (level == SWARM_OS_KILLED) {
        return DISK_PROCESS_KILLED;
    }
    count(COUNT_OS_POWER);
    history_tear(daemon->node);
    return end;
}

void daemon_crash(struct daemon *daemon, enum disk_end end)
{
    const struct node *node = daemon->node;
    end = bound_end(daemon, end);
    daemon->expected_digest = 0;
    if (daemon->loop) {
        trace(end == DISK_POWER_LOST ? "power lost" : "killed", node->index, 0);
        count(end == DISK_POWER_LOST ? COUNT_CRASH_POWER : COUNT_CRASH_KILL);
        if (node->jobs_waiting) {
            count(COUNT_CRASH_BEFORE_RUN);
        }
        if (node->jobs_running) {
            count(COUNT_CRASH_BEFORE_DONE);
        }
        take_down(daemon, end);
    } else if (end == DISK_POWER_LOST) {
        disk_end_process(node->disk, end);
    }
}

void daemon_exchange_disks(struct daemon *one, struct daemon *other)
{
    struct disk *disk = one->node->disk;
    daemon_crash(one, DISK_PROCESS_KILLED);
    daemon_crash(other, DISK_PROCESS_KILLED);
    disk_move(other->node->disk, one->node);
    disk_move(disk, other->node);
    daemon_start(one, world_around(RESTART_AFTER_US));
    daemon_start(other, world_around(RESTART_AFTER_US));
}

void daemon_empty_disk(struct daemon *daemon)
{
    daemon_crash(daemon, DISK_PROCESS_KILLED);
    disk_free(daemon->node->disk);
    daemon->node->disk = disk_new(daemon->node);
    daemon_start(daemon, world_around(RESTART_AFTER_US));
}

static void on_mishap(void *context)
{
    struct daemon *daemon = context;
    daemon_crash(daemon, world_below(2) ? DISK_POWER_LOST : DISK_PROCESS_KILLED);
    daemon_start(daemon, world_around(RESTART_AFTER_US));
}

/* --- a clean stop --- */

static void on_stopped(void *context)
{
    struct daemon *daemon = context;
    event_set(&daemon->stopped, 0);
}

/* As main() does behind loop_run. */
static void finish_stop(void *context)
{
    struct daemon *daemon = context;
    world_enter(daemon->node);
    shardd_free(daemon->shardd);
    bootstrapd_free(daemon->bootstrapd);
    loop_free(daemon->loop);
    world_enter(NULL);
    size_t left = heap_count(daemon->node);
    if (left) {
        violation("%s stopped and left %zu allocations", daemon->node->name, left);
    }
    count(COUNT_STOP);
    take_down(daemon, DISK_PROCESS_STOPPED);
    daemon_start(daemon, world_around(SECOND_US));
}

static void stop_took_too_long(void *context)
{
    const struct daemon *daemon = context;
    violation("%s does not stop", daemon->node->name);
}

void daemon_stop(struct daemon *daemon)
{
    if (!daemon->loop || daemon->is_stopping) {
        return;
    }
    daemon->is_stopping = true;
    event_set(&daemon->stop_limit, STOP_WITHIN_US);
    world_enter(daemon->node);
    trace("stop", 0, 0);
    if (daemon->shardd) {
        shardd_stop(daemon->shardd, on_stopped, daemon);
    } else {
        bootstrapd_stop(daemon->bootstrapd, on_stopped, daemon);
    }
    loop_wake(daemon->loop);
    world_enter(NULL);
}

/* --- --- */

struct daemon *daemon_new(const char *name, uint16_t port, const char *map_text)
{
    struct daemon *daemon = world_get(1, sizeof *daemon);
    struct address address = {.host = "127.0.0.1", .port = port};
    daemon->node = world_add_node(name, &address);
    daemon->node->disk = disk_new(daemon->node);
    daemon->node->on_death = on_death;
    daemon->node->owner = daemon;
    daemon->node->mishap = &daemon->mishap;
    daemon->node->job_crash_ppm =
        world_swarm()->job_crash_ppm * (map_text ? BOOTSTRAPD_CRASH_FACTOR : 1);
    daemon->map_text = map_text;
    daemon->is_bootstrapd = map_text != NULL;
    daemon->node->is_server = map_text == NULL;
    daemon->is_map_text_given = map_text != NULL;
    address_print(&address, daemon->address);
    event_init(&daemon->start, NULL, "start", start_now, daemon);
    event_init(&daemon->mishap, NULL, "mishap", on_mishap, daemon);
    event_init(&daemon->stopped, NULL, "stopped", finish_stop, daemon);
    event_init(&daemon->second_crash, NULL, "second crash", crash_again, daemon);
    event_init(&daemon->stop_limit, NULL, "stop limit", stop_took_too_long, daemon);
    return daemon;
}

void daemon_free(struct daemon *daemon)
{
    event_clear(&daemon->start);
    take_down(daemon, DISK_PROCESS_KILLED);
    disk_free(daemon->node->disk);
    world_put(daemon);
}

void daemon_forget_map_text(struct daemon *daemon)
{
    daemon->is_map_text_given = false;
}

struct node *daemon_node(const struct daemon *daemon)
{
    return daemon->node;
}

const char *daemon_address(const struct daemon *daemon)
{
    return daemon->address;
}

bool daemon_is_up(const struct daemon *daemon)
{
    return daemon->loop != NULL && !daemon->is_stopping;
}

bool daemon_is_down(const struct daemon *daemon)
{
    return daemon->loop == NULL;
}

bool daemon_is_stopping(const struct daemon *daemon)
{
    return daemon->is_stopping;
}

uint32_t daemon_start_count(const struct daemon *daemon)
{
    return daemon->start_count;
}

bool daemon_serves(const struct daemon *daemon, uint64_t point)
{
    return daemon->shardd && shardd_serves(daemon->shardd, point);
}

const struct ownership *daemon_ownership(const struct daemon *daemon)
{
    return daemon->shardd ? shardd_ownership(daemon->shardd) : NULL;
}

const struct ledger *daemon_ledger(const struct daemon *daemon)
{
    return daemon->bootstrapd ? bootstrapd_ledger(daemon->bootstrapd) : NULL;
}
