/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_LINE_H
#define SHARDD_LINE_H

/*
 * Clients' lines and their results in memory, for shardd/retry.c, which knows what they mean.
 *
 *     lines     chunks of 1024 buckets, each a chain of lines; grows and shrinks by one bucket at a
 *               time (linear hashing; Litwin 1980), so no step is long
 *     line      results:  | room | seq 7 | seq 8 | seq 11 |       by seq; what goes, goes at the front
 *               gone:     results that the tree has and must not have: until the sweep has passed
 *     lists     dirty · by use · by size: each line stands in at most one of each kind
 *
 * Clients choose their ids. They are hashed after a secret of this table is mixed in, so that nobody makes
 * a long chain.
 */

#include "proto/buffer.h"
#include "proto/limits.h"

/* Encoded results up to this long stand in the line: most, unless they hold a popped value. */
#define KEPT_INLINE_LEN 32

/* A result that is kept: one cache line. */
struct kept {
    uint64_t seq;
    uint64_t point;
    uint64_t stamp; /* of its LOG_RESULT; 0: it was in the tree at the start */
    uint32_t len;   /* 0: the tree's is damaged */
    bool is_dirty;  /* the tree has not got it */
    bool is_in_tree;
    bool is_taken; /* in the sweep's batch */
    bool is_held;  /* its popped value counts */
    union {
        uint8_t inlined[KEPT_INLINE_LEN];
        uint8_t *bytes;
    } encoded;
};

/* A result that the tree is to forget. */
struct gone {
    uint64_t seq;
    uint64_t point;
    uint64_t stamp; /* of what says so in the log; GONE_UNLOGGED: nothing does */
    bool is_taken;  /* in the sweep's batch */
};

#define GONE_UNLOGGED UINT64_MAX

/* What the log and the tree hold of a line. */
struct line_state {
    uint64_t done;      /* results below it are gone */
    uint64_t highest;   /* seq that was kept */
    uint64_t forgotten; /* results at or below it are gone, by silence */
    uint64_t seen_ms;
};

/* The kinds of lists that a line may stand in. */
enum line_place { LINE_DIRTY, LINE_BY_USE, LINE_BY_SIZE, LINE_PLACE_COUNT };

struct line_link {
    struct line *previous;
    struct line *next;
};

/* What an operation looks at comes first. */
struct line {
    struct line *next; /* in its bucket */
    uint8_t client[ID_LEN];
    struct line_state now;
    uint64_t stamp;    /* of its newest LOG_RESULT or LOG_DONE; 0: none */
    struct kept *kept; /* `kept_count` of them from `kept_first` on */
    uint32_t kept_first;
    uint32_t kept_count;
    uint32_t kept_capacity;
    uint32_t kept_dirty_count;
    uint64_t bytes_len; /* of the results that do not stand in `kept` */
    uint64_t placed_ms; /* when it was put last in its list by use */
    uint32_t gone_count;
    uint8_t use;     /* its list by use, */
    uint8_t size;    /* and by size: shardd/retry_internal.h; 0: none */
    bool is_damaged; /* the tree's, and the log has no newer one */
    bool is_ended;   /* nothing is to be remembered */
    bool is_dirty;   /* the tree has another `now` */
    bool is_listed;  /* among what is dirty */
    bool is_in_tree;
    bool is_taken;    /* `now` is in the sweep's batch */
    bool is_unlogged; /* results went since `stamp` of which the log knows nothing */
    uint32_t gone_capacity;
    struct gone *gone;
    uint64_t tree_done; /* `done` of the line in the tree */
    uint64_t round;     /* of the sweep that has looked at it */
    struct line_link links[LINE_PLACE_COUNT];
};

/* First in, first out. */
struct line_list {
    struct line *first;
    struct line *last;
};

struct lines {
    struct line ***chunks;
    uint32_t chunk_capacity;
    uint32_t bucket_count;
    uint32_t half; /* the power of two at or below bucket_count */
    uint32_t line_count;
    struct line *recent;    /* most operations ask twice for the same one */
    size_t len;             /* bytes of memory; of these, */
    size_t results_len;     /* the sum of line_results_len */
    uint8_t secret[ID_LEN]; /* mixed into each id */
};

void lines_init(struct lines *lines);
void lines_fini(struct lines *lines);

struct line *lines_find(struct lines *lines, const uint8_t client[ID_LEN]);

/* A new one is all zero but for its client. */
struct line *lines_get(struct lines *lines, const uint8_t client[ID_LEN]);
void lines_remove(struct lines *lines, struct line *line);

/*
 * The lines of one bucket, and on: *cursor is 0 at first. Who goes on until it returns false has visited each line that
 * was there throughout, once, whatever came, went, and was moved between its steps. `visit` leaves the table alone.
 */
typedef void lines_visit(void *context, struct line *line);
bool lines_walk(const struct lines *lines, uint64_t *cursor, lines_visit *visit, void *context);

/* The first line of a bucket below lines->bucket_count; the others by `next`. */
struct line *lines_bucket(const struct lines *lines, uint32_t bucket);

/* --- lists --- */

void line_list_add(struct line_list *list, enum line_place place, struct line *line);
void line_list_remove(struct line_list *list, enum line_place place, struct line *line);

static inline struct line *line_next(const struct line *line, enum line_place place)
{
    return line->links[place].next;
}

/* --- the results of one line --- */

/* Results of a line that has none yet, and room for gone ones likewise. */
enum { LINE_FIRST_CAPACITY = 2 };

/* Bytes of memory of its results, beyond what each line takes that is in use. */
static inline uint64_t line_results_len(const struct line *line)
{
    uint64_t capacity = line->kept_capacity > LINE_FIRST_CAPACITY ? line->kept_capacity : 0;
    return capacity * sizeof(*line->kept) + line->bytes_len;
}

/* The i-th, by seq. */
static inline struct kept *line_at(const struct line *line, uint32_t i)
{
    return &line->kept[line->kept_first + i];
}

struct kept *line_find(const struct line *line, uint64_t seq);

/* Takes a copy of `encoded`; what was there of this seq is replaced, and keeps its flags. */
struct kept *line_keep(struct lines *lines, struct line *line, uint64_t seq, struct bytes encoded);

struct bytes kept_encoded(const struct kept *kept);

/* The first goes. */
void line_drop_first(struct lines *lines, struct line *line);

/* No more room than for the results that are there. */
void line_fit(struct lines *lines, struct line *line);

/* All with a point in [start, last] go. */
void line_drop_points(struct lines *lines, struct line *line, uint64_t start, uint64_t last);

void line_add_gone(struct lines *lines, struct line *line, const struct gone *gone);

/* Whether it was among what is gone. It no longer is, unless the sweep has it. */
bool line_take_gone(struct line *line, uint64_t seq, uint64_t point);

/* What the sweep had is through: it stays only if the tree still has it, and must not. */
void line_gone_swept(struct lines *lines, struct line *line, bool is_written);

#endif
