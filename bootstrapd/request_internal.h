/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_REQUEST_INTERNAL_H
#define BOOTSTRAPD_REQUEST_INTERNAL_H

/* What the files of bootstrapd/request.h share: request.c, request_list.c, request_order.c. */

#include "bootstrapd/coordinator.h"
#include "bootstrapd/watch.h"
#include "proto/pack.h"

struct request {
    struct coordinator *coordinator;
    struct watchers *watchers; /* NULL: must not watch */
    struct peer *peer;
    uint32_t msgid;
    struct bytes encoded; /* the params, whole */
    struct unpack params; /* behind the array's head */
    uint32_t param_count;
};

struct method {
    const char *name;
    uint32_t param_min, param_max;
    void (*answer)(struct request *request);
};

void request_refuse(const struct request *request, enum status code, const char *text);

/* The caller packs the result. */
struct buffer *request_respond(const struct request *request);

/* --- packing maps for people --- */

void request_pack_id(struct buffer *out, const char *name, const uint8_t id[ID_LEN]);
void request_pack_uint(struct buffer *out, const char *name, uint64_t value);
void request_pack_text(struct buffer *out, const char *name, const char *text);
void request_pack_address(struct buffer *out, const char *name, const struct address *address);

/* nil when it is empty */
void request_pack_problem(struct buffer *out, const struct text *problem);

/* --- options --- */

enum request_kind { REQUEST_TEXT, REQUEST_UINT, REQUEST_BOOL };

struct request_option {
    const char *name;
    enum request_kind kind;
    void *value;    /* struct bytes, uint64_t, bool: as it was when not given */
    bool *is_given; /* may be NULL */
};

/* A map with some of the options; nothing at all if `is_there` is false. False: another one, or malformed. */
bool request_take_options(struct unpack *in, bool is_there, const struct request_option *options,
                          uint32_t option_count);

/* --- methods --- */

void request_move_list(struct request *request);
void request_server_list(struct request *request);
void request_shard_list(struct request *request);
void request_map_log(struct request *request);

void request_move_start(struct request *request);
void request_move_pause(struct request *request);
void request_move_resume(struct request *request);
void request_move_abort(struct request *request);
void request_move_throttle(struct request *request);
void request_move_undo(struct request *request);
void request_server_add(struct request *request);
void request_server_drain(struct request *request);
void request_server_remove(struct request *request);
void request_server_set_address(struct request *request);
void request_shard_resize(struct request *request);
void request_map_recover(struct request *request);
void request_rebalance_plan(struct request *request);
void request_rebalance_run(struct request *request);
void request_rebalance_stop(struct request *request);

#endif
