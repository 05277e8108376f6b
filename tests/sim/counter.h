/* SPDX-License-Identifier: MIT */
#ifndef SIM_COUNTER_H
#define SIM_COUNTER_H

/*
 * How often each kind of fault and each state was reached, over all seeds of a run. A kind that
 * a long run never reached proves nothing, so the run then fails.
 */

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define COUNTER_TABLE(X)                                                   \
    X(CRASH_KILL,         "processes killed")                              \
    X(CRASH_POWER,        "machines that lost power")                      \
    X(CRASH_BEFORE_RUN,   "crashes before a submitted job ran")            \
    X(CRASH_BEFORE_DONE,  "crashes between a job's run and its completion") \
    X(CRASH_CLIENT,       "clients killed")                                \
    X(CRASH_BY_FAULT,     "processes that ended themselves")               \
    X(RESTART,            "restarts")                                      \
    X(STOP,               "clean stops")                                   \
    X(COMMIT_LOST,        "unfinished commits lost in a crash")            \
    X(COMMIT_KEPT,        "unfinished commits kept in a crash")            \
    X(WRITE_LOST,         "unsynced writes lost")                          \
    X(WRITE_TORN,         "unsynced writes torn")                          \
    X(WRITE_KEPT,         "unsynced writes kept")                          \
    X(NAME_LOST,          "unsynced directory changes lost")               \
    X(FILE_ERROR,         "file operations that failed")                   \
    X(TREE_NO_SPACE,      "transactions without room")                     \
    X(TREE_BROKEN,        "transactions that failed")                      \
    X(RESET,              "connections reset")                             \
    X(SILENCE,            "connections gone silent")                       \
    X(PARTITION,          "partitions")                                    \
    X(PARTITION_ONE_WAY,  "one-way partitions")                            \
    X(SLOW_LINK,          "slow links")                                    \
    X(CONNECT_REFUSED,    "connects refused")                              \
    X(DELIVERY_SPLIT,     "deliveries cut in two")                         \
    X(WINDOW_FULL,        "writes that found the window full")             \
    X(CLOCK_FORTH,        "clocks stepped forth")                          \
    X(CLOCK_BACK,         "clocks stepped back")                           \
    X(STALL,              "turns that came late")                          \
    X(TURN_BATCHED,       "turns with several events")                     \
    X(PROGRESS_CLOSE,     "connections closed for lack of progress")       \
    X(DOUBLED,            "requests sent twice on two connections")        \
    X(DOUBLED_ANSWERED,   "doubled requests answered twice alike")         \
    X(OP_DONE,            "operations done")                               \
    X(OP_NOT_FOUND,       "operations that found nothing")                 \
    X(OP_CONDITION,       "conditions that failed")                        \
    X(OP_FULL,            "operations refused as full")                    \
    X(OP_UNAVAILABLE,     "operations unavailable")                        \
    X(OP_UNKNOWN,         "operations of unknown outcome")                 \
    X(BATCH,              "batches")                                       \
    X(SCAN,               "whole scans")                                   \
    X(MAP_CHANGE,         "changes of the map")                            \
    X(DISKS_EXCHANGED,    "servers whose disks were exchanged")                    \
    X(DISK_EMPTIED,       "servers whose disk was emptied")                    \
    X(MAP_SEEN,           "maps checked")                                  \
    X(AUDIT,              "audits after a restart")                        \
    X(KEY_CHECKED,        "histories found linearizable")                  \
    X(KEY_UNDECIDED,      "histories too tangled to decide")
/* clang-format on */

enum counter {
#define X(name, text) COUNT_##name,
    COUNTER_TABLE(X)
#undef X
        COUNTER_COUNT,
};

void count(enum counter counter);
uint64_t counter_value(enum counter counter);
const char *counter_text(enum counter counter);

/* While off (the second run of each seed), nothing is counted. */
void counter_switch(bool on);

#endif
