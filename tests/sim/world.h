/* SPDX-License-Identifier: MIT */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

/*
 * The simulated world: virtual time, one source of chance, and the nodes that live in it.
 *
 *     queue of events, by virtual time and then by lot  ->  one is dispatched, in its node's name
 *         ->  it sets others  ->  ...
 *
 * Nothing happens outside an event, nothing takes time inside one, and nothing is random but by
 * the seed: so a seed is a whole execution, and its trace hash names it. The simulated bodies of
 * io/ have no context argument, hence there is exactly one world (RULES W1).
 */

#include "proto/address.h"
#include "tests/sim/counter.h"
#include "tests/sim/swarm.h"
#include "tests/sim/trace.h"

#define SECOND_US UINT64_C(1000000)

/* Of the virtual clock at the start: far from 0, so that a stepped clock stays positive. */
#define WALL_START_MS UINT64_C(1700000000000)

/* A machine's clock is stepped so often at most. */
enum { CLOCK_STEPS_MAX = 128 };

struct clock_step {
    uint64_t at_us;
    int64_t offset_ms; /* from then on */
};

struct disk;
struct endpoint;
struct node;

typedef void world_callback(void *context);

/* Embedded in what it concerns: init once, then set and clear at will. */
struct event {
    uint64_t at_us;
    uint64_t lot; /* decides between events of the same time */
    size_t place; /* in the queue, from 1; 0: not set */
    struct node *node;
    const char *name; /* for the trace; static */
    world_callback *run;
    void *context;
};

/* A machine with one process on it. */
struct node {
    const char *name;
    uint32_t index;
    struct address address;
    int64_t clock_offset_ms;
    struct clock_step clock_steps[CLOCK_STEPS_MAX];
    uint32_t clock_step_count;
    bool is_powered;       /* off: not even a refusal comes from it */
    uint32_t fault_count;  /* injected into its I/O since the process began */
    uint32_t full_count;   /* refusals for want of room: a start may fail for them, nothing else */
    bool is_disk_full;     /* for some time */
    bool is_server;        /* and so lives with a full disk (RULES F1) */
    bool is_starting;      /* its process is being opened */
    uint64_t io_done_us;   /* when what a job has written so far will be on the disk */
    bool in_job;           /* ... which is why its syncs are not done at once */
    uint32_t jobs_waiting; /* submitted, not run */
    uint32_t jobs_running; /* run, not completed */
    struct disk *disk;
    struct endpoint *endpoints; /* its ends of connections */
    world_callback *on_death;   /* the process ended itself (RULES L5); runs in nobody's name */
    void *owner;                /* for on_death */
    uint32_t job_crash_ppm;     /* of a job, to see a crash around it */
    struct event *mishap;       /* a crash; set to fall into a write. NULL: none here */
    uint64_t busy_until_us;     /* what blocks its loop before the first turn */
    uint64_t run_count;         /* times that anything ran in its name, or that its process ended */
};

enum { NODE_MAX = 16 };

void world_begin(uint64_t seed);
void world_end(void);

uint64_t world_seed(void);
const struct swarm *world_swarm(void);

/* No more random faults: the time to heal. */
void world_calm(void);
bool world_is_calm(void);

/* Lives as long as the world; starts powered, with nothing running. At most NODE_MAX. */
struct node *world_add_node(const char *name, const struct address *address);
struct node *world_node_at(const struct address *address); /* NULL: no such machine */

/* Sets its clock; false: that was done too often. */
bool world_step_clock(struct node *node, int64_t offset_ms);

/* The least and the most that its clock showed from `from_us` to `to_us`. */
uint64_t world_least_wall_ms(const struct node *node, uint64_t from_us, uint64_t to_us);
uint64_t world_most_wall_ms(const struct node *node, uint64_t from_us, uint64_t to_us);

/* In whose name the present event runs; NULL: nobody's (the network's, a fault's). */
struct node *world_current(void);

/* Returns the one before, to be set again. */
struct node *world_enter(struct node *node);

/* The events of `node` are forgotten: its process is no more. */
void world_drop_events(const struct node *node);

/* Perhaps a crash of `node` within the next `span_us`, while it writes. */
void world_tempt_fate(const struct node *node, uint32_t ppm, uint64_t span_us);

/* Ends the present event, and the process in whose name it runs; on_death follows. */
_Noreturn void world_die(void);

uint64_t world_now_us(void);
uint64_t world_random(void);
uint64_t world_below(uint64_t below);                /* below > 0 */
uint64_t world_between(uint64_t low, uint64_t high); /* both inclusive */
bool world_chance(uint32_t ppm);                     /* a fault's: never while calm */

/* Around `mean`, 1 at least, 4 means at most: short ones are common, long ones happen. */
uint64_t world_around(uint64_t mean);

void event_init(struct event *event, struct node *node, const char *name, world_callback *run,
                void *context);
void event_set(struct event *event, uint64_t delay_us); /* replaces what was set */
void event_clear(struct event *event);
bool event_is_set(const struct event *event);

/* Dispatches the next event; false when there is none by `until_us` (which is then the time). */
bool world_step(uint64_t until_us);

#endif
