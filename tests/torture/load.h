/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_LOAD_H
#define TORTURE_LOAD_H

/*
 * The mixed load: several pipelined connections, each with keys of its own, every choice from one seed.
 * Half of what changes something carries an identity (RULES Q1).
 *
 *     load_open ─> load_run ... ─> crash ─> load_close ─> picture ─> load_settle ─> load_open
 *
 * Rules:
 *  - Every reply is checked as it comes, as soon as those before it on the same key are there.
 *  - What was sent and not answered when the server died is kept; with an identity it is sent again.
 */

#include "tests/torture/history.h"
#include "tests/torture/picture.h"
#include "tests/unit/dice.h"

enum { LOAD_CONNS = 4, LOAD_WINDOW_MAX = 64 };

/* What the server at hand knows. */
struct load_features {
    bool has_ttl;
    bool has_expire;
};

struct load_conn {
    struct talk *talk; /* NULL: not connected */
    uint8_t client[ID_LEN];
    uint64_t next_seq;
    uint64_t done;                    /* sent last */
    uint32_t window[LOAD_WINDOW_MAX]; /* operations without an answer */
    uint32_t window_count;
};

struct load {
    struct history history;
    struct load_features features;
    struct load_conn conns[LOAD_CONNS];
    struct dice dice;
    uint32_t turn;       /* whose turn it is to send */
    uint32_t window_max; /* per connection */
    /* Large writes alone; deletions alone; all kinds, with small values. */
    enum { LOAD_MIXED, LOAD_GROWS, LOAD_SHRINKS, LOAD_SMALL } manner;
    bool is_quiet; /* a violation is what is wanted: it is not printed */
    /* What has no answer after a crash may have been refused; else only where others were. */
    bool may_be_refused;
    int64_t next_number;
    uint64_t version_floor;   /* versions from now on are above it */
    uint64_t operation_count; /* in all */
    uint64_t answered_count;
    uint64_t refused_count;
    uint64_t full_count;              /* of these: STATUS_FULL */
    char refusal[96];                 /* what the last one said */
    char violation[HISTORY_TEXT_LEN]; /* empty: none so far */
};

/* Of several loads. */
struct load_totals {
    uint64_t operation_count;
    uint64_t answered_count;
    uint64_t refused_count;
    uint64_t full_count;
};

void load_init(struct load *load, uint64_t seed, uint32_t key_count);
void load_fini(struct load *load);

void load_add_totals(const struct load *load, struct load_totals *totals);

/* Connects; the first time it asks what the server knows. */
void load_open(struct load *load, uint16_t port);

/*
 * Keeps the windows full until `operation_max` were sent, the clock (clock_mono_us) is past
 * the deadline, or a connection has ended. False: a connection has ended.
 */
bool load_run(struct load *load, uint64_t operation_max, uint64_t deadline_us);

/* Takes in what still comes, until all is answered or the connections have ended. False: not all. */
bool load_drain(struct load *load);

/* Those without an answer, a few of each connection, on standard output. */
void load_print_open(const struct load *load);

/* The server is gone, or is to be left. */
void load_close(struct load *load);

/* One operation, and its reply; the connections must be idle. False: no answer. */
bool load_one(struct load *load, const struct operation *operation, struct reply *reply);

/*
 * After a crash, with the server up again and connected to: holds `picture` against the history, sends again
 * what has an identity and no answer, and checks that each took place once. What each key then
 * holds is certain. False: load->violation says what is wrong, and more is on standard output.
 */
bool load_settle(struct load *load, const struct picture *picture);

#endif
