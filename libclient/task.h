/* SPDX-License-Identifier: MIT */
#ifndef LIBCLIENT_TASK_H
#define LIBCLIENT_TASK_H

/*
 * One operation on its way: what to ask, whom, what is known of it so far, how it ended.
 *
 *     HELD ──> QUEUED ──> SENT ──> FINISHED
 *                ^          │
 *                └─ WAITING <┘      refused or lost: once more, with the same number
 *
 * A task is prepared by a call (task_prepare, task_prepare_raw), run by libclient/exchange.h, and
 * read by the call again. The arguments are encoded once; what an attempt adds (number, epoch,
 * deadline) goes behind them as options.
 */

#include "libclient/pool.h"
#include "libclient/result.h"
#include "libclient/route.h"
#include "libclient/shardkv.h"
#include "libclient/verdict.h"
#include "proto/buffer.h"
#include "proto/id.h"

enum task_kind {
    TASK_WRITE,
    TASK_READ,
    TASK_POP,
    TASK_DELETE,
    TASK_EXISTS,
    TASK_INCR,
    TASK_EXPIRE,
    TASK_PUT,    /* a new entity */
    TASK_UPDATE, /* a write of an entity that must be there: else SKV_NOT_FOUND */
    TASK_MINT,
    TASK_SCAN,
    TASK_MAP,     /* map.get, taken to the route */
    TASK_REQUEST, /* any method, sent once */
};

enum task_target {
    TARGET_OWNER,   /* of `point` */
    TARGET_ADDRESS, /* `address` */
    TARGET_ANYONE,  /* candidates of the route, from `candidate` on */
};

enum task_state { TASK_HELD, TASK_QUEUED, TASK_SENT, TASK_WAITING, TASK_FINISHED };

struct lane;
struct task;

struct task_list {
    struct task *first;
    struct task *last;
};

struct task {
    enum task_kind kind;
    uint16_t table;     /* of proto/table.h */
    const char *method; /* static, or borrowed for the call */

    enum task_target target;
    uint64_t point;
    const struct address *address; /* borrowed */
    enum route_order order;
    uint32_t candidate;

    struct buffer arguments; /* encoded arguments, then encoded options */
    size_t arguments_len;    /* of the former */
    uint32_t argument_count;
    uint32_t option_count;
    struct bytes key;          /* points into `arguments`; empty: none */
    struct result_given given; /* write, put, expire: what the record gets */

    uint32_t timeout_ms;
    uint32_t told_ms;  /* for its text: all that the call had, of which timeout_ms may be a rest */
    uint64_t ids_came; /* likewise, of TASK_MINT: those of the call's earlier tasks */
    uint64_t ids_wanted; /* likewise: those of all its tasks */
    uint32_t id_count;   /* TASK_MINT: asked for, and then given, which may be fewer */
    uint64_t deadline_us;
    struct attempt attempt;
    struct server *line; /* whose number it has; NULL: none yet */
    uint64_t number;

    /* The exchange's. */
    enum task_state state;
    struct task_list *list; /* that it is in */
    struct task *next, *previous;
    struct task *ahead, *behind; /* of the same key, and not finished */
    struct lane *lane;           /* that it is queued or sent on, or was last */
    uint32_t msgid;              /* TASK_SENT */
    uint64_t attempt_until_us;   /* TASK_SENT: when to ask another candidate */
    uint64_t wake_us;            /* TASK_WAITING */

    /* How it ended. */
    enum skv_status status;
    uint32_t wire_code; /* of the last reply; 0: none, or the connection was lost after it */
    uint64_t version, used, limit;
    const struct server *asked; /* last; NULL: nobody */
    char *said;                 /* by the server that refused it last, or noted; NULL: neither */
    char *text;                 /* NULL when status is SKV_OK, or memory was short */
    struct skv_record *record;  /* filled when status is SKV_OK; may be NULL */
    uint64_t *ids;              /* likewise, of TASK_MINT: `id_count` of them, borrowed */
};

/* What a call wants done with a key; or in a logical shard: TASK_PUT, TASK_MINT. */
struct task_wish {
    enum task_kind kind;
    struct skv_bytes key;
    struct skv_value value;      /* TASK_WRITE, TASK_UPDATE, TASK_PUT */
    int64_t by;                  /* TASK_INCR */
    uint64_t ttl_ms;             /* TASK_EXPIRE; 0: for ever */
    uint32_t shard;              /* TASK_PUT, TASK_MINT; SKV_SHARD_ANY: one is drawn */
    uint32_t id_count;           /* TASK_MINT: 1 to TASK_MINT_MAX */
    uint16_t entity_kind;        /* TASK_PUT */
    bool is_entity;              /* of table "entities", unless the call names another one of ids */
    const struct skv_call *call; /* may be NULL */
};

/* Ids of one request. */
#define TASK_MINT_MAX 65536u

/*
 * Fills all of *task. What can never work is finished at once, with its status and text, and the
 * exchange then leaves it alone. `timeout_ms`: unless the call has its own.
 */
void task_prepare(struct task *task, const struct task_wish *wish, uint32_t timeout_ms);

/* A method without options. The caller sets target and what belongs to it, and packs arguments. */
void task_prepare_raw(struct task *task, enum task_kind kind, const char *method,
                      uint32_t timeout_ms);

static inline uint32_t task_shard(const struct task *task)
{
    return id_shard_of_point(task->point);
}

/* Gives back the memory; not that of the record. */
void task_fini(struct task *task);

/* One option behind the arguments; the caller packs its value. */
struct buffer *task_option(struct task *task, const char *name);

/* The params of one attempt. `epoch` 0: not known. */
struct task_send {
    uint64_t epoch;
    uint64_t done;
    uint64_t deadline_ms;
};

void task_pack_params(const struct task *task, const struct task_send *send, struct buffer *out);

/* Keeps what a server said to it, or what to say until one does, for the text of a failure that comes later. */
void task_note(struct task *task, struct bytes said);

/* The status and one line that says what went wrong; `said`: by the server, or of the connection. */
void task_fail(struct task *task, enum skv_status status, const char *said);

/* Shows the task's outcome to the calling thread. Returns the status. */
enum skv_status task_report(const struct task *task);

void task_list_append(struct task_list *list, struct task *task);
void task_list_prepend(struct task_list *list, struct task *task);

/* From whichever list it is in, if any. */
void task_list_remove(struct task *task);

#endif
