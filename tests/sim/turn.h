/* SPDX-License-Identifier: MIT */
#ifndef SIM_TURN_H
#define SIM_TURN_H

/*
 * What the simulated loop offers to conn, listener, worker and the scenario (as io/loop_internal.h
 * does in the real one). What is ready waits for the loop's next turn, which comes a little later,
 * or much later where the process is slow: so a turn gathers several events, as under load.
 */

#include "io/budget.h"
#include "io/loop.h"
#include "tests/sim/world.h"

/* Embedded; runs once in the next turn. */
struct ready {
    struct ready *next;
    loop_callback *run;
    void *context;
    bool is_queued;
};

void loop_ready(struct loop *loop, struct ready *ready);
void loop_unready(struct loop *loop, struct ready *ready);

/* A turn comes even if nothing is ready. */
void loop_wake(struct loop *loop);

struct node *loop_node(const struct loop *loop);

/* Between two events of a turn: very much input has come. */
void loop_run_hooks(struct loop *loop);

struct conn;
struct conn_input;

/* What sim/conn.c keeps per loop. */
struct loop_conns {
    struct conn *first;
    struct conn_input *inputs; /* given to on_input in this turn */
    size_t inputs_len;
    uint64_t released_ticket;
    struct budget input_budget;
    size_t output_limit;
    bool is_output_scarce; /* at the end of the last turn */
};

struct loop_conns *loop_conns(struct loop *loop);

/* sim/conn.c: the hooks have run; whoever still looks at input finds garbage. */
void conn_drop_inputs(struct loop *loop);

/* sim/conn.c: writes what there is to write; tells and frees what has ended. */
void conn_flush_all(struct loop *loop);

/* With the loop: those that have ended, or linger. */
void conn_free_all(struct loop *loop);

#endif
