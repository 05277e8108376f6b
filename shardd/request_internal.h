/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_REQUEST_INTERNAL_H
#define SHARDD_REQUEST_INTERNAL_H

/*
 * The requests' parts: request.c (the table of methods, and most of them), request_move.c (those of moves).
 */

#include "shardd/arguments.h"
#include "shardd/request.h"

struct method;

struct request {
    struct request_scope *scope;
    struct peer *peer;
    uint32_t msgid;
    const struct method *method;
    struct bytes params;
    struct arguments arguments; /* as many as the method takes */
};

void request_refuse(const struct request *request, enum status status, const char *text);

/* What was found wrong with the arguments. */
void request_refuse_arguments(const struct request *request);

/* The result is to be packed into what it returns. */
struct buffer *request_answer(const struct request *request);

/* --- request_move.c --- */

void request_move_status(struct request *request);
void request_move_pace(struct request *request);
void request_import_begin(struct request *request);
void request_import_data(struct request *request);
void request_import_end(struct request *request);

/* Of all moves that this server has a part in. */
void request_pack_reports(const struct request_scope *scope, struct buffer *out);

#endif
