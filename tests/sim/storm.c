/* SPDX-License-Identifier: MIT */
#include "tests/sim/storm.h"

#include "tests/sim/heap.h"
#include "tests/sim/network.h"

#define HOUR_MS (3600 * 1000)

#define PARTITION_MEAN_US (3 * SECOND_US)
#define RESTART_MEAN_US   (SECOND_US)
#define FULL_MEAN_US      (2 * SECOND_US)

enum { CUTS_MAX = 4 };

/* Who cannot reach whom, until its time is over. */
struct cut {
    struct event heal;
    struct node *from; /* NULL: not in use */
    struct node *to;
    bool is_one_way;
};

struct storm {
    struct scene *scene;
    struct event crash;
    struct event partition;
    struct event clock_step;
    struct event full;
    struct event room[DAEMON_COUNT];
    struct cut cuts[CUTS_MAX];
};

static struct daemon *draw_daemon(const struct storm *storm)
{
    return storm->scene->daemons[world_below(storm->scene->daemon_count)];
}

static struct actor *draw_actor(const struct storm *storm)
{
    return storm->scene->actors[world_below(storm->scene->actor_count)];
}

static void set_next(struct event *event, uint32_t mean_ms)
{
    if (mean_ms) {
        event_set(event, world_around((uint64_t)mean_ms * 1000));
    }
}

/* --- crashes --- */

static void crash_daemon(struct daemon *daemon)
{
    switch (world_below(5)) {
    case 0:
        daemon_stop(daemon);
        return;
    case 1:
    case 2:
        daemon_crash(daemon, DISK_POWER_LOST);
        break;
    default:
        daemon_crash(daemon, DISK_PROCESS_KILLED);
        break;
    }
    daemon_start(daemon, world_around(RESTART_MEAN_US));
}

static void on_crash(void *context)
{
    struct storm *storm = context;
    uint64_t lot = world_below(12);
    if (lot == 0) {
        for (uint32_t i = 0; i < storm->scene->daemon_count; i++) {
            crash_daemon(storm->scene->daemons[i]);
        }
    } else if (lot < 3) {
        struct actor *actor = draw_actor(storm);
        trace("client killed", actor_node(actor)->index, 0);
        count(COUNT_CRASH_CLIENT);
        actor_restart(actor);
    } else {
        crash_daemon(draw_daemon(storm));
    }
    set_next(&storm->crash, world_swarm()->crash_mean_ms);
}

/* --- partitions --- */

static void set_cut(const struct cut *cut, bool is_cut)
{
    network_cut(cut->from, cut->to, is_cut);
    if (!cut->is_one_way) {
        network_cut(cut->to, cut->from, is_cut);
    }
}

static void on_heal(void *context)
{
    struct cut *cut = context;
    trace("healed", cut->from->index, cut->to->index);
    set_cut(cut, false);
    cut->from = NULL;
}

/* Two cuts of one link would be healed by the first: there is only one at a time. */
static void cut_link(struct cut *cut, struct node *from, struct node *to)
{
    if (from == to || network_is_cut(from, to) || network_is_cut(to, from)) {
        return;
    }
    cut->from = from;
    cut->to = to;
    cut->is_one_way = world_below(2);
    trace("cut", from->index, to->index);
    count(cut->is_one_way ? COUNT_PARTITION_ONE_WAY : COUNT_PARTITION);
    set_cut(cut, true);
    event_set(&cut->heal, world_around(PARTITION_MEAN_US));
}

static void on_partition(void *context)
{
    struct storm *storm = context;
    struct node *one = daemon_node(draw_daemon(storm));
    struct node *other =
        world_below(2) ? daemon_node(draw_daemon(storm)) : actor_node(draw_actor(storm));
    for (int i = 0; i < CUTS_MAX; i++) {
        if (!storm->cuts[i].from) {
            bool is_from_other = world_below(2);
            cut_link(&storm->cuts[i], is_from_other ? other : one, is_from_other ? one : other);
            break;
        }
    }
    set_next(&storm->partition, world_swarm()->partition_mean_ms);
}

/* --- clocks --- */

static void on_clock_step(void *context)
{
    struct storm *storm = context;
    const struct daemon *daemon = draw_daemon(storm);
    struct node *node = daemon_node(daemon);
    int64_t before_ms = node->clock_offset_ms;
    int64_t offset_ms = (int64_t)world_around(HOUR_MS / 4) * (world_below(2) ? 1 : -1);
    if (world_step_clock(node, offset_ms)) {
        bool is_forth = offset_ms > before_ms;
        trace(is_forth ? "clock forth" : "clock back", node->index, (uint64_t)offset_ms);
        count(is_forth ? COUNT_CLOCK_FORTH : COUNT_CLOCK_BACK);
        count_if(daemon_is_down(daemon), COUNT_CLOCK_WHILE_DOWN);
    }
    set_next(&storm->clock_step, world_swarm()->clock_step_mean_ms);
}

/* --- full disks --- */

static void on_full(void *context)
{
    struct storm *storm = context;
    uint32_t i = (uint32_t)world_between(DAEMON_SERVER_1, storm->scene->daemon_count - 1);
    struct node *node = daemon_node(storm->scene->daemons[i]);
    trace("disk full", node->index, 0);
    count(COUNT_DISK_FULL);
    node->is_disk_full = true;
    event_set(&storm->room[i], world_around(FULL_MEAN_US));
    set_next(&storm->full, world_swarm()->full_mean_ms);
}

static void on_room(void *context)
{
    struct node *node = context;
    trace("disk has room", node->index, 0);
    node->is_disk_full = false;
}

/* --- --- */

static void slow_one_link(const struct storm *storm)
{
    network_slow(actor_node(draw_actor(storm)), daemon_node(draw_daemon(storm)));
    network_slow(daemon_node(draw_daemon(storm)), daemon_node(draw_daemon(storm)));
    count(COUNT_SLOW_LINK);
}

struct storm *storm_new(struct scene *scene)
{
    const struct swarm *swarm = world_swarm();
    struct storm *storm = world_get(1, sizeof *storm);
    storm->scene = scene;
    event_init(&storm->crash, NULL, "crash", on_crash, storm);
    event_init(&storm->partition, NULL, "partition", on_partition, storm);
    event_init(&storm->clock_step, NULL, "clock step", on_clock_step, storm);
    event_init(&storm->full, NULL, "full", on_full, storm);
    for (uint32_t i = 0; i < scene->daemon_count; i++) {
        event_init(&storm->room[i], NULL, "room", on_room, daemon_node(scene->daemons[i]));
    }
    for (int i = 0; i < CUTS_MAX; i++) {
        event_init(&storm->cuts[i].heal, NULL, "heal", on_heal, &storm->cuts[i]);
    }
    set_next(&storm->crash, swarm->crash_mean_ms);
    set_next(&storm->partition, swarm->partition_mean_ms);
    set_next(&storm->clock_step, swarm->clock_step_mean_ms);
    set_next(&storm->full, swarm->full_mean_ms);
    if (swarm->has_slow_link) {
        slow_one_link(storm);
    }
    return storm;
}

void storm_end(struct storm *storm)
{
    event_clear(&storm->crash);
    event_clear(&storm->partition);
    event_clear(&storm->clock_step);
    event_clear(&storm->full);
    for (int i = 0; i < CUTS_MAX; i++) {
        if (storm->cuts[i].from) {
            event_clear(&storm->cuts[i].heal);
            on_heal(&storm->cuts[i]);
        }
    }
    network_unslow();
    for (uint32_t i = 0; i < storm->scene->daemon_count; i++) {
        event_clear(&storm->room[i]);
        on_room(daemon_node(storm->scene->daemons[i]));
        daemon_start(storm->scene->daemons[i], world_around(SECOND_US));
    }
}

void storm_free(struct storm *storm)
{
    world_put(storm);
}
