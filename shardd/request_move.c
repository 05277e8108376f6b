/* SPDX-License-Identifier: MIT */
#include "shardd/request_internal.h"

#include "proto/pack.h"

/*
 * The methods of moves (PROTOCOL.md "Moves (servers)"): bootstrapd asks and paces them, a source brings what it has.
 */

/* --- bootstrapd's --- */

void request_pack_reports(const struct request_scope *scope, struct buffer *out)
{
    struct move_reports reports;
    mover_report(scope->mover, &reports);
    move_reports_pack(&reports, out);
    move_reports_fini(&reports);
}

void request_move_status(struct request *request)
{
    request_pack_reports(request->scope, request_answer(request));
}

void request_move_pace(struct request *request)
{
    struct move_pace pace;
    struct unpack in = unpack_of(request->params);
    if (!move_pace_unpack(&in, &pace)) {
        request_refuse(request, STATUS_INVALID, "move.pace: malformed");
    } else if (mover_pace(request->scope->mover, &pace)) {
        pack_nil(request_answer(request));
    } else {
        request_refuse(request, STATUS_CONFLICT, "move.pace: no such move leaves this server");
    }
}

/* --- a source's --- */

void request_import_begin(struct request *request)
{
    struct arguments *arguments = &request->arguments;
    struct import_greeting greeting;
    greeting.id = arguments_uint(arguments, "id");
    greeting.start = arguments_uint(arguments, "start");
    greeting.end = arguments_uint(arguments, "end");
    arguments_id(arguments, "source", greeting.source);
    greeting.stamp = arguments_uint(arguments, "stamp");
    if (arguments_are_fine(arguments)) {
        mover_import_begin(request->scope->mover, request->peer, request->msgid, &greeting);
    } else {
        request_refuse_arguments(request);
    }
}

void request_import_data(struct request *request)
{
    struct arguments *arguments = &request->arguments;
    uint64_t id = arguments_uint(arguments, "id");
    uint64_t seq = arguments_uint(arguments, "seq");
    struct bytes items = arguments_bin(arguments, "items");
    if (arguments_are_fine(arguments)) {
        mover_import_data(request->scope->mover, request->peer, request->msgid, id, seq, items);
    } else {
        request_refuse_arguments(request);
    }
}

void request_import_end(struct request *request)
{
    struct arguments *arguments = &request->arguments;
    struct import_ending ending;
    ending.id = arguments_uint(arguments, "id");
    ending.seq = arguments_uint(arguments, "seq");
    ending.sum.records = arguments_uint(arguments, "records");
    ending.sum.bytes = arguments_uint(arguments, "bytes");
    ending.sum.high = arguments_uint(arguments, "high");
    ending.sum.low = arguments_uint(arguments, "low");
    ending.stamp = arguments_uint(arguments, "stamp");
    ending.ids_ms = arguments_uint(arguments, "ids_ms");
    if (arguments_are_fine(arguments)) {
        mover_import_end(request->scope->mover, request->peer, request->msgid, &ending);
    } else {
        request_refuse_arguments(request);
    }
}
