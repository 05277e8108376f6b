/* SPDX-License-Identifier: MIT */
#include "tests/sim/world.h"

#include "tests/sim/heap.h"

#include <assert.h>
#include <setjmp.h>

static struct {
    uint64_t seed;
    uint64_t chance[4];
    uint64_t now_us;
    bool is_calm;
    struct swarm swarm;
    struct node nodes[NODE_MAX];
    uint32_t node_count;
    struct node *current;
    struct event **queue; /* a binary heap, from place 1 */
    size_t event_count;
    size_t queue_capacity;
    jmp_buf death;
} world;

/* --- chance: xoshiro256** (Blackman, Vigna), seeded by splitmix64 --- */

static uint64_t rotate_left(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static void seed_chance(uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t word = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
        world.chance[i] = word ^ word >> 31;
    }
}

uint64_t world_random(void)
{
    uint64_t *state = world.chance;
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

uint64_t world_below(uint64_t below)
{
    assert(below);
    return world_random() % below;
}

uint64_t world_between(uint64_t low, uint64_t high)
{
    return low + world_below(high - low + 1);
}

bool world_chance(uint32_t ppm)
{
    return ppm && !world.is_calm && world_below(1000000) < ppm;
}

/* The product of two uniform draws leans to the short side, as waiting times do. */
uint64_t world_around(uint64_t mean)
{
    uint64_t a = world_below(2048);
    uint64_t b = world_below(2048);
    return 1 + mean * a * b / (UINT64_C(1) << 20);
}

/* --- the queue of events --- */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->lot < b->lot;
}

static void put(size_t place, struct event *event)
{
    world.queue[place] = event;
    event->place = place;
}

static void rise(size_t place, struct event *event)
{
    for (; place > 1 && is_before(event, world.queue[place / 2]); place /= 2) {
        put(place, world.queue[place / 2]);
    }
    put(place, event);
}

static void sink(size_t place, struct event *event)
{
    for (;;) {
        size_t child = 2 * place;
        if (child > world.event_count) {
            break;
        }
        child += child < world.event_count && is_before(world.queue[child + 1], world.queue[child]);
        if (!is_before(world.queue[child], event)) {
            break;
        }
        put(place, world.queue[child]);
        place = child;
    }
    put(place, event);
}

void event_init(struct event *event, struct node *node, const char *name, world_callback *run,
                void *context)
{
    *event = (struct event){.node = node, .name = name, .run = run, .context = context};
}

void event_set(struct event *event, uint64_t delay_us)
{
    event_clear(event);
    if (world.event_count + 1 >= world.queue_capacity) {
        world.queue_capacity = world.queue_capacity ? 2 * world.queue_capacity : 256;
        world.queue = world_resize(world.queue, world.queue_capacity * sizeof(struct event *));
    }
    event->at_us = world.now_us + delay_us;
    event->lot = world_random();
    rise(++world.event_count, event);
}

void event_clear(struct event *event)
{
    size_t place = event->place;
    if (!place) {
        return;
    }
    event->place = 0;
    struct event *last = world.queue[world.event_count--];
    if (last == event) {
        return;
    }
    if (place > 1 && is_before(last, world.queue[place / 2])) {
        rise(place, last);
    } else {
        sink(place, last);
    }
}

bool event_is_set(const struct event *event)
{
    return event->place != 0;
}

void world_drop_events(const struct node *node)
{
    for (size_t place = 1; place <= world.event_count;) {
        struct event *event = world.queue[place];
        if (event->node == node) {
            event_clear(event);
            place = 1;
        } else {
            place++;
        }
    }
}

/* --- time goes on --- */

static void dispatch(struct event *event)
{
    world_enter(event->node);
    trace(event->name, 0, 0);
    if (setjmp(world.death) == 0) {
        event->run(event->context);
        world.current = NULL;
        return;
    }
    struct node *dead = world.current;
    assert(dead && dead->on_death);
    world.current = NULL;
    dead->on_death(dead->owner);
}

bool world_step(uint64_t until_us)
{
    struct event *event = world.event_count ? world.queue[1] : NULL;
    if (!event || event->at_us > until_us) {
        world.now_us = until_us > world.now_us ? until_us : world.now_us;
        return false;
    }
    event_clear(event);
    world.now_us = event->at_us;
    dispatch(event);
    return true;
}

void world_tempt_fate(const struct node *node, uint32_t ppm, uint64_t span_us)
{
    if (node->mishap && world_chance(ppm)) {
        event_set(node->mishap, world_below(span_us + 1));
    }
}

void world_die(void)
{
    longjmp(world.death, 1);
}

uint64_t world_now_us(void)
{
    return world.now_us;
}

/* --- the world and its nodes --- */

void world_begin(uint64_t seed)
{
    world.seed = seed;
    world.now_us = 0;
    world.is_calm = false;
    world.node_count = 0;
    world.current = NULL;
    seed_chance(seed);
    swarm_draw(&world.swarm);
}

void world_end(void)
{
    assert(world.event_count == 0);
    world_put(world.queue);
    world.queue = NULL;
    world.queue_capacity = 0;
}

uint64_t world_seed(void)
{
    return world.seed;
}

const struct swarm *world_swarm(void)
{
    return &world.swarm;
}

void world_calm(void)
{
    world.is_calm = true;
}

bool world_is_calm(void)
{
    return world.is_calm;
}

struct node *world_add_node(const char *name, const struct address *address)
{
    assert(world.node_count < NODE_MAX);
    struct node *node = &world.nodes[world.node_count];
    *node = (struct node){
        .name = name, .index = world.node_count, .address = *address, .is_powered = true};
    world.node_count++;
    return node;
}

struct node *world_node_at(const struct address *address)
{
    for (uint32_t i = 0; i < world.node_count; i++) {
        if (address_equal(&world.nodes[i].address, address)) {
            return &world.nodes[i];
        }
    }
    return NULL;
}

/* --- clocks --- */

bool world_step_clock(struct node *node, int64_t offset_ms)
{
    if (node->clock_step_count == CLOCK_STEPS_MAX) {
        return false;
    }
    node->clock_steps[node->clock_step_count++] = (struct clock_step){world.now_us, offset_ms};
    node->clock_offset_ms = offset_ms;
    return true;
}

static uint64_t wall_ms(uint64_t at_us, int64_t offset_ms)
{
    return (uint64_t)((int64_t)(WALL_START_MS + at_us / 1000) + offset_ms);
}

/* Between two steps a clock only goes on: its ends are the least and the most. */
static void find_wall(const struct node *node, uint64_t from_us, uint64_t to_us, uint64_t *least,
                      uint64_t *most)
{
    uint64_t start_us = 0;
    int64_t offset_ms = 0;
    *least = UINT64_MAX;
    *most = 0;
    for (uint32_t i = 0; i <= node->clock_step_count; i++) {
        const struct clock_step *next = i < node->clock_step_count ? &node->clock_steps[i] : NULL;
        uint64_t first_us = start_us > from_us ? start_us : from_us;
        uint64_t last_us = next && next->at_us < to_us ? next->at_us : to_us;
        if (first_us <= last_us) {
            uint64_t first_ms = wall_ms(first_us, offset_ms);
            uint64_t last_ms = wall_ms(last_us, offset_ms);
            *least = first_ms < *least ? first_ms : *least;
            *most = last_ms > *most ? last_ms : *most;
        }
        if (next) {
            start_us = next->at_us;
            offset_ms = next->offset_ms;
        }
    }
}

uint64_t world_least_wall_ms(const struct node *node, uint64_t from_us, uint64_t to_us)
{
    uint64_t least;
    uint64_t most;
    find_wall(node, from_us, to_us, &least, &most);
    return least;
}

uint64_t world_most_wall_ms(const struct node *node, uint64_t from_us, uint64_t to_us)
{
    uint64_t least;
    uint64_t most;
    find_wall(node, from_us, to_us, &least, &most);
    return most;
}

struct node *world_current(void)
{
    return world.current;
}

struct node *world_enter(struct node *node)
{
    struct node *before = world.current;
    world.current = node;
    if (node) {
        node->run_count++;
    }
    return before;
}
