/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_ARGUMENTS_H
#define SHARDD_ARGUMENTS_H

/*
 * The arguments of a request, read one after another. The first that is wrong sticks, with a text
 * that names method and argument; later reads return zero, so a method checks once, at the end.
 */

#include "proto/rpc.h"
#include "proto/unpack.h"
#include "shardd/op.h"

enum { ARGUMENTS_TEXT_LEN = 192, SHOWN_TEXT_LEN = 40 };

/* What a peer wrote, fit for a line of text. */
void show_name(struct bytes name, char shown[SHOWN_TEXT_LEN]);

struct arguments {
    const char *method;
    struct unpack in;
    uint32_t left;
    enum status status; /* STATUS_OK so far */
    char text[ARGUMENTS_TEXT_LEN];
};

/* `params` must hold `count_min` to `count_max` arguments, which `form` shows: "[key] or [key, options]". */
void arguments_begin(struct arguments *arguments, const char *method, struct bytes params,
                     uint32_t count_min, uint32_t count_max, const char *form);

/* "method: text", unless something was wrong before. */
void arguments_fail(struct arguments *arguments, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline bool arguments_are_fine(const struct arguments *arguments)
{
    return arguments->status == STATUS_OK;
}

/* Points into params, like all bytes here. */
struct bytes arguments_key(struct arguments *arguments);
struct bytes arguments_key_or_nil(struct arguments *arguments); /* nil: empty */
struct bytes arguments_value(struct arguments *arguments);      /* one encoded object */
struct bytes arguments_document(struct arguments *arguments);   /* a map */
uint64_t arguments_number(struct arguments *arguments, const char *name, uint64_t min,
                          uint64_t max);
struct bytes arguments_bin(struct arguments *arguments, const char *name);
uint64_t arguments_uint(struct arguments *arguments, const char *name);
void arguments_id(struct arguments *arguments, const char *name, uint8_t id[ID_LEN]);
int64_t arguments_int(struct arguments *arguments, const char *name);
uint64_t arguments_ttl_or_nil(struct arguments *arguments); /* ms; nil: 0, for ever */

/* What may stand in the map of options; bits of a set. */
enum option {
    OPTION_TABLE = 1 << 0,
    OPTION_IF_ABSENT = 1 << 1,
    OPTION_IF_VERSION = 1 << 2,
    OPTION_CLIENT = 1 << 3,
    OPTION_SEQ = 1 << 4,
    OPTION_DONE = 1 << 5,
    OPTION_EPOCH = 1 << 6,
    OPTION_DEADLINE_MS = 1 << 7,
    OPTION_LIMIT = 1 << 8,
    OPTION_PREFIX = 1 << 9,
    OPTION_KEYS_ONLY = 1 << 10,
    OPTION_CLUSTER = 1 << 11,
    OPTION_ROLE = 1 << 12,
    OPTION_INSTANCE = 1 << 13,
    OPTION_TERM = 1 << 14,
    OPTION_REVISION = 1 << 15,
    OPTION_EXPECT = 1 << 16,
    OPTION_SEEN_INCARNATION = 1 << 17,
    OPTION_SEEN_START = 1 << 18,
    OPTION_TTL_MS = 1 << 19,
    OPTION_LEFT_MS = 1 << 20,
    OPTION_SLIDING = 1 << 21,
    OPTION_SKIP_DAMAGED = 1 << 22,
    OPTION_IF_PRESENT = 1 << 23,
    OPTION_KIND = 1 << 24,
};

#define OPTIONS_RETRY (OPTION_CLIENT | OPTION_SEQ | OPTION_DONE)

struct option_values {
    uint32_t given; /* a set of enum option */
    uint16_t table;
    uint16_t kind;
    bool if_absent;
    bool if_present;
    uint64_t if_version;
    struct op_identity identity;
    uint64_t epoch;
    uint64_t deadline_ms;
    uint64_t ttl_ms;
    uint64_t left_ms;
    bool sliding;
    uint64_t limit;
    struct bytes prefix;
    bool keys_only;
    bool skip_damaged;
    uint8_t cluster[ID_LEN];
    struct bytes role;
    uint8_t instance[ID_LEN];
    uint64_t term;
    uint64_t revision;
    uint8_t expect[ID_LEN];
    uint64_t seen_incarnation;
    uint64_t seen_start;
};

/*
 * The options, if an argument is left for them; only those in `allowed` (a set of enum option). Into *values,
 * which most requests need not have cleared: where none are given, what is returned is static.
 */
const struct option_values *arguments_options(struct arguments *arguments, uint32_t allowed,
                                              struct option_values *values);

/*
 * Table and kind, and, of all but a scan, the point that follows from table and key (RULES N1). What is wrong with key
 * and value, which *op has, for that table: its ids have 8 bytes, and its records are maps.
 */
void arguments_table(struct arguments *arguments, const struct option_values *options,
                     struct op *op);

/*
 * When the record is to expire: of write all of it, of expire, whose ttl_ms is an operand and in *op,
 * whether it slides.
 */
void arguments_expiry(struct arguments *arguments, const struct option_values *options,
                      struct op *op);

#endif
