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
    X(TREE_FULL,          "transactions on a full disk")                   \
    X(DISK_FULL,          "disks that were full for a while")              \
    X(FILE_NO_SPACE,      "files that could not grow")                     \
    X(CLOCK_WHILE_DOWN,   "clocks stepped while their server was down")    \
    X(SECOND_RECOVERY,    "recoveries right behind one, with the same log") \
    X(UNCLEAN_END,        "recoveries of a log without a clean end")       \
    X(CLEAN_END,          "recoveries of a log with a clean end")          \
    X(TORN_TAIL,          "torn ends of a log cut off")                    \
    X(SEGMENT_SWITCHED,   "segments begun behind a full one")              \
    X(SEGMENT_RECYCLED,   "segments used again")                           \
    X(LOG_CLEAR,          "intervals that were gained and emptied")        \
    X(LOG_TOUCH,          "slides logged")                                 \
    X(LOG_EVICT,          "evictions by size logged")                      \
    X(LOG_EXPIRE,         "expirations logged")                            \
    X(TIME_TO_LIVE,       "operations with a time to live")                \
    X(SWEEP,              "sweeps with records")                           \
    X(SWEEP_APPLIED,      "sweeps that only tell how far all is applied")  \
    X(TOMBSTONE,          "deletions swept")                               \
    X(HAND_ROUND,         "servers whose hand has gone round")             \
    X(COLD_READ,          "servers that fetched from their tree")          \
    X(MEMORY_EVICTED,     "servers that have less in memory than they keep") \
    X(OS_POWER,           "machines that lost power at level os")          \
    X(READER_KEPT,        "readers whose version outlived a commit")      \
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
    X(INPUT_WAIT,         "inputs that waited for room")                   \
    X(DOUBLED,            "requests sent twice on two connections")        \
    X(DOUBLED_ANSWERED,   "doubled requests answered twice alike")         \
    X(OP_DONE,            "operations done")                               \
    X(OP_NOT_FOUND,       "operations that found nothing")                 \
    X(OP_CONDITION,       "conditions that failed")                        \
    X(OP_FULL,            "operations refused as full")                    \
    X(OP_UNAVAILABLE,     "operations unavailable")                        \
    X(OP_UNKNOWN,         "operations of unknown outcome")                 \
    X(MINT,               "mints")                                         \
    X(MINT_IDS,           "ids told")                                      \
    X(MINT_BEHIND,        "mints refused for a clock that is behind")      \
    X(MINT_AHEAD,         "looks for an id with the second ahead used up")  \
    X(MINT_MOVED,         "mints after a move, by the new owner")          \
    X(MINT_SPLIT,         "mints while another server gives of the slice, too") \
    X(BROUGHT,            "entities written with an id of their own")      \
    X(PUT,                "entities put")                                  \
    X(PUT_DOUBLED,        "puts sent twice that have the same id")         \
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
void count_if(bool is_so, enum counter counter);
void count_many(uint64_t times, enum counter counter);
uint64_t counter_value(enum counter counter);
const char *counter_text(enum counter counter);

/* While off (the second run of each seed), nothing is counted. */
void counter_switch(bool on);
bool counter_is_on(void);

#endif
