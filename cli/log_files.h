/* SPDX-License-Identifier: MIT */
#ifndef CLI_LOG_FILES_H
#define CLI_LOG_FILES_H

/*
 * The log of a directory that no server has open, walked from its oldest segment on: what holds, and
 * behind damage what is whole.
 *
 *     log-...07   | C r r r r |            on_record x 5                               on_segment
 *     log-...08   | C r x . r r |          on_record x 2, on_gap, on_record x 2        on_segment: damaged
 *     (missing)                            on_gap                                      on_segment: missing
 *     log-...0a   | C r r ~ |              on_record x 3                               on_segment: torn
 *     (missing, log.newest tells 0b)       on_gap                                      on_segment: missing
 *
 * Behind a sealed segment's end, which the next one's header tells, nothing is looked at (RULES L3). What the
 * tree has nobody here can read: whether the oldest segment reaches down to it the server tells (L2).
 */

#include "cli/json_writer.h"
#include "cli/session.h"
#include "io/file.h"
#include "proto/log_scan.h"

#define LOG_TREE_NAME "tree"

enum { LOG_FILE_NAME_LEN = 24, LOG_FAULT_TEXT_LEN = 160 };

/* Of log.newest. */
enum log_note { LOG_NOTE_FINE, LOG_NOTE_MISSING, LOG_NOTE_DAMAGED };

struct log_files {
    const char *command; /* for messages */
    struct dir *dir;
    uint64_t *numbers; /* ascending */
    uint32_t count;
    uint32_t capacity;
    enum log_note note;
    uint64_t newest; /* number that the note tells; 0: none, or no segment yet */
    bool has_tree;
    bool is_tree_empty; /* of all that can be wrong with it nothing else shows without opening it */
    bool has_failed;    /* out of memory */
};

/* Records that hold, or those that are whole behind damage. */
struct log_tally {
    uint64_t records;
    uint64_t operations;
    uint64_t first; /* stamps; 0: none was given */
    uint64_t last;
};

/* One behind the other. */
void log_tally_add(struct log_tally *sum, const struct log_tally *part);

/* As members of what is open. */
void log_tally_write(struct json_writer *writer, const struct log_tally *tally);

enum log_state { LOG_STATE_FINE, LOG_STATE_TORN, LOG_STATE_DAMAGED, LOG_STATE_MISSING };

struct log_segment_report {
    char file[LOG_FILE_NAME_LEN];
    uint64_t number;
    uint64_t missing_count; /* of segments that are missing: this one and those behind it */
    enum log_state state;
    char text[LOG_SCAN_TEXT_LEN]; /* of damage: "offset 8192: ..." */
    uint64_t follows;             /* stamp that its header says it follows; 0: none, or not known */
    uint64_t end;                 /* behind what holds */
    uint64_t len;
    uint64_t durable; /* the highest durable stamp told up to here */
    uint64_t chain;   /* at `end` */
    bool is_stopped;
    bool is_newer; /* its header tells a newer format, or is damaged in that place */
    struct log_tally holds;
    struct log_tally behind;
};

/*
 * One record: its segment, file and place, and whether it lies behind damage. Borrowed for the call. Of a segment whose
 * header is damaged only number, salt and length are told.
 */
struct log_seen {
    const struct log_segment_header *segment;
    const char *file;
    uint64_t offset;
    bool is_behind;
    const struct log_record_header *header;
    struct bytes payload;
};

/* What cannot be read: bytes of a file, or whole segments. */
struct log_gap {
    const char *file; /* of missing segments the first */
    uint64_t number;  /* its own */
    uint64_t from;
    uint64_t to;
    uint64_t missing_count; /* segments; 0: the file is there */
    struct log_tally told;  /* of records that are not whole, but whose headers are */
};

/* All may be NULL. False ends the walk. */
struct log_walker {
    void *context;
    bool (*on_record)(void *context, const struct log_seen *seen);
    bool (*on_gap)(void *context, const struct log_gap *gap);
    bool (*on_segment)(void *context, const struct log_segment_report *report);
};

/* Says why it cannot: no directory, in use, nothing of a server in it. */
enum exit_code log_files_open(struct log_files *files, const char *command, const char *path);
void log_files_close(struct log_files *files);

void log_files_name(uint64_t number, char name[LOG_FILE_NAME_LEN]);

/* What is wrong with all but the segments: "log.newest is missing: ...". False: there is no fault with this index. */
bool log_files_fault(const struct log_files *files, unsigned index, char text[LOG_FAULT_TEXT_LEN]);

/* "log-...08", "log-...08 to log-...0a". */
void log_missing_print(const char *file, uint64_t number, uint64_t missing_count,
                       char text[LOG_FAULT_TEXT_LEN]);

/* Fails when a file cannot be read at all; damage is no failure. */
enum exit_code log_files_walk(struct log_files *files, const struct log_walker *walker);

#endif
