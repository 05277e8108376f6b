/* SPDX-License-Identifier: MIT */
#include "shardd/request_internal.h"

#include <stdio.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/table.h"
#include "shardd/minter.h"
#include "shardd/reply.h"
#include "shardd/stat.h"

struct method {
    const char *name;
    size_t name_len;
    void (*run)(struct request *request);
    const char *form; /* of its arguments, for people */
    uint32_t count_min;
    uint32_t count_max;
    enum op_kind kind;       /* of data methods */
    uint32_t option_allowed; /* a set of enum option */
};

void request_refuse(const struct request *request, enum status status, const char *text)
{
    peer_refuse(request->peer, request->msgid, status, text);
}

void request_refuse_arguments(const struct request *request)
{
    request_refuse(request, request->arguments.status, request->arguments.text);
}

struct buffer *request_answer(const struct request *request)
{
    struct buffer *out = peer_output(request->peer);
    rpc_response(out, request->msgid);
    return out;
}

static const struct ownership *ownership_of(const struct request *request)
{
    return membership_ownership(request->scope->membership);
}

/* --- data methods --- */

static void reply_elsewhere(const struct op *op, struct peer *peer)
{
    const struct request_scope *scope = op->context;
    const struct ownership *ownership = membership_ownership(scope->membership);
    const struct map_entry *entry;
    enum status status = ownership_judge(ownership, op->point, &entry);
    if (status == STATUS_OK) {
        /* It went and came back while the operation waited, or is just coming or going. */
        peer_refuse(peer, op->reply_id, STATUS_TRY_LATER, status_text(STATUS_TRY_LATER));
    } else {
        reply_not_owned(peer_output(peer), op->reply_id, ownership, status, entry);
    }
}

static const char *name_of(const struct op *op)
{
    const struct request_scope *scope = op->context;
    const struct ownership *ownership = membership_ownership(scope->membership);
    const struct map_entry *entry = map_find(&ownership->map, op->point);
    return entry ? entry->name : NULL;
}

/* RULES F3. */
static void slow_down(const struct op *op, struct peer *peer)
{
    const struct request_scope *scope = op->context;
    uint32_t delay_ms = op_changes(op) ? store_writer_delay_ms(scope->store, op->point) : 0;
    if (delay_ms > 0) {
        peer_pause(peer, delay_ms);
    }
}

static void reply(const struct op *op, const struct outcome *outcome)
{
    struct peer *peer = op->reply_to;
    if (outcome->status == STATUS_WRONG_SHARD) {
        reply_elsewhere(op, peer);
    } else {
        bool is_named = outcome->status == STATUS_FULL;
        reply_outcome(peer_output(peer), op, outcome, is_named ? name_of(op) : NULL);
    }
    peer_output_until(peer, outcome->need);
    slow_down(op, peer);
    peer_release(peer);
}

/* Of a reply as large as can be. */
static bool has_room(const struct op *op)
{
    return peer_output_len(op->reply_to) + FRAME_LEN_MAX <= CONN_OUTPUT_MAX;
}

static bool is_awaited(const struct op *op)
{
    return peer_is_open(op->reply_to);
}

static void enqueue(const struct request *request, struct op *op)
{
    struct request_scope *scope = request->scope;
    op->done = reply;
    op->is_awaited = is_awaited;
    op->has_room = has_room;
    op->context = scope;
    op->reply_to = request->peer;
    op->reply_id = request->msgid;
    peer_hold(request->peer);
    store_submit(scope->store, op);
}

/*
 * RULES M6: who knows of a newer map than this server waits for it; where no bootstrapd knows more, what is
 * known here holds.
 */
static bool awaits_map(const struct request *request, uint64_t point, uint64_t epoch)
{
    const struct map_entry *entry = map_find(&ownership_of(request)->map, point);
    return epoch > (entry ? entry->epoch : 0) &&
           membership_fetch(request->scope->membership, epoch);
}

/* Whether the point is owned is asked where the operation runs. A restored copy runs none. */
static void submit(const struct request *request, struct op *op,
                   const struct option_values *options)
{
    const struct ownership *ownership = ownership_of(request);
    if ((options->given & OPTION_EPOCH) && awaits_map(request, op->point, options->epoch)) {
        request_refuse(request, STATUS_TRY_LATER, "this server asks for a newer map");
    } else if (ownership->is_restored) {
        const struct map_entry *entry;
        enum status status = ownership_judge(ownership, op->point, &entry);
        reply_not_owned(peer_output(request->peer), request->msgid, ownership, status, entry);
    } else {
        enqueue(request, op);
    }
}

static uint64_t deadline_us(const struct option_values *options)
{
    if (!(options->given & OPTION_DEADLINE_MS)) {
        return 0;
    }
    uint64_t now_us = clock_mono_us();
    uint64_t wait_ms_max = (UINT64_MAX - now_us) / 1000;
    return options->deadline_ms < wait_ms_max ? now_us + options->deadline_ms * 1000 : 0;
}

static void take_operands(struct arguments *arguments, struct op *op)
{
    if (op->kind == OP_SCAN) {
        op->point = arguments_uint(arguments, "point");
        op->key = arguments_key_or_nil(arguments);
    } else {
        op->key = arguments_key(arguments);
    }
    if (op->kind == OP_WRITE) {
        op->value = arguments_value(arguments);
    } else if (op->kind == OP_INCR) {
        op->by = arguments_int(arguments, "by");
    } else if (op->kind == OP_EXPIRE) {
        op->ttl_ms = arguments_ttl_or_nil(arguments);
    }
}

static void run_data(struct request *request)
{
    struct arguments *arguments = &request->arguments;
    struct op op = {.kind = request->method->kind};
    take_operands(arguments, &op);
    struct option_values given;
    const struct option_values *options =
        arguments_options(arguments, request->method->option_allowed, &given);
    arguments_table(arguments, options, &op);
    arguments_expiry(arguments, options, &op);
    if (!arguments_are_fine(arguments)) {
        request_refuse_arguments(request);
        return;
    }
    bool is_limited = options->limit > 0 && options->limit < SCAN_RECORDS_MAX;
    op.if_absent = options->if_absent;
    op.if_present = options->if_present;
    op.if_version = options->if_version;
    op.identity = options->identity;
    op.prefix = options->prefix;
    op.limit = is_limited ? (uint32_t)options->limit : SCAN_RECORDS_MAX;
    op.keys_only = options->keys_only;
    op.skip_damaged = options->skip_damaged;
    op.deadline_us = deadline_us(options);
    submit(request, &op, options);
}

/* --- ids --- */

static void run_ids(struct request *request)
{
    struct arguments *arguments = &request->arguments;
    struct op op = {.kind = request->method->kind, .table = TABLE_ENTITIES};
    op.point = arguments_uint(arguments, "point");
    if (op.kind == OP_MINT) {
        op.limit = (uint32_t)arguments_number(arguments, "count", 1, MINTER_COUNT_MAX);
    } else {
        op.record_kind = (uint16_t)arguments_number(arguments, "kind", 0, UINT16_MAX);
        op.value = arguments_document(arguments);
    }
    struct option_values given;
    const struct option_values *options =
        arguments_options(arguments, request->method->option_allowed, &given);
    arguments_expiry(arguments, options, &op);
    if (!arguments_are_fine(arguments)) {
        request_refuse_arguments(request);
        return;
    }
    op.identity = options->identity;
    op.deadline_us = deadline_us(options);
    submit(request, &op, options);
}

static void run_done(struct request *request)
{
    struct arguments *arguments = &request->arguments;
    struct op op = {.kind = OP_DONE};
    arguments_id(arguments, "client", op.identity.client);
    op.identity.done = arguments_uint(arguments, "done");
    if (arguments_are_fine(arguments)) {
        enqueue(request, &op);
    } else {
        request_refuse_arguments(request);
    }
}

/* --- hello, ping --- */

static void pack_id(struct buffer *out, const uint8_t id[ID_LEN])
{
    if (id_bytes_is_zero(id)) {
        pack_nil(out);
    } else {
        pack_bin(out, bytes_of(id, ID_LEN));
    }
}

static void pack_at_work(const struct request *request, struct buffer *out)
{
    static const uint8_t nobody[ID_LEN];
    const struct bootstrap *at_work = membership_at_work(request->scope->membership);
    pack_id(out, at_work ? at_work->instance : nobody);
}

static void pack_hello(const struct request *request)
{
    const struct ownership *ownership = ownership_of(request);
    struct buffer *out = request_answer(request);
    pack_map(out, 13);
    pack_text(out, "program");
    pack_text(out, "shardd");
    pack_text(out, "version");
    pack_text(out, SHARDKV_VERSION);
    pack_text(out, "cluster");
    pack_id(out, ownership->cluster);
    pack_text(out, "server");
    pack_id(out, ownership->server);
    pack_text(out, "incarnation");
    pack_uint(out, ownership->incarnation);
    pack_text(out, "start");
    pack_uint(out, ownership->starts[ownership->start_count - 1]);
    pack_text(out, "restored");
    pack_bool(out, ownership->is_restored);
    pack_text(out, "epoch");
    pack_uint(out, ownership_epoch(ownership));
    pack_text(out, "revision");
    pack_uint(out, ownership->map.revision);
    pack_text(out, "term");
    pack_uint(out, ownership->term);
    pack_text(out, "at_work");
    pack_at_work(request, out);
    pack_text(out, "now_ms");
    pack_uint(out, clock_wall_ms());
    pack_text(out, "stamp");
    pack_uint(out, store_last_stamp(request->scope->store));
}

/* A bootstrapd: with what it needs to know of the other one. */
static void deny_hello(const struct request *request, const char *text)
{
    struct buffer *out = peer_output(request->peer);
    rpc_error(out, request->msgid, STATUS_DENIED, text);
    pack_array(out, 2);
    pack_uint(out, ownership_of(request)->term);
    pack_at_work(request, out);
    rpc_error_end(out);
}

static enum status greet_bootstrapd(const struct request *request,
                                    const struct option_values *options,
                                    char text[MEMBERSHIP_TEXT_LEN])
{
    struct greeting greeting = {
        .has_cluster = options->given & OPTION_CLUSTER,
        .from = {.term = options->term},
        .revision = options->revision,
        .seen_incarnation = options->seen_incarnation,
        .seen_start = options->seen_start,
    };
    memcpy(greeting.cluster, options->cluster, ID_LEN);
    memcpy(greeting.from.instance, options->instance, ID_LEN);
    memcpy(greeting.expected, options->expect, ID_LEN);
    return membership_greet(request->scope->membership, request->peer, &greeting, text);
}

static void check_role(struct arguments *arguments, const struct option_values *options)
{
    uint32_t needed = OPTION_INSTANCE | OPTION_TERM | OPTION_REVISION;
    uint32_t bootstrapd_only = needed | OPTION_EXPECT | OPTION_SEEN_INCARNATION | OPTION_SEEN_START;
    bool is_bootstrapd = bytes_equal(options->role, bytes_text("bootstrapd"));
    bool is_client =
        !(options->given & OPTION_ROLE) || bytes_equal(options->role, bytes_text("client"));
    if (!is_bootstrapd && !is_client) {
        arguments_fail(arguments, STATUS_INVALID, "role must be \"client\" or \"bootstrapd\"");
    } else if (is_bootstrapd && (options->given & needed) != needed) {
        arguments_fail(arguments, STATUS_INVALID, "a bootstrapd gives instance, term and revision");
    } else if (is_client && (options->given & bootstrapd_only)) {
        arguments_fail(arguments, STATUS_INVALID,
                       "instance, term, revision, expect and seen_* are a bootstrapd's");
    }
}

static void run_hello(struct request *request)
{
    struct arguments *arguments = &request->arguments;
    struct option_values given;
    const struct option_values *options =
        arguments_options(arguments, request->method->option_allowed, &given);
    check_role(arguments, options);
    if (!arguments_are_fine(arguments)) {
        request_refuse_arguments(request);
        return;
    }
    char text[MEMBERSHIP_TEXT_LEN];
    enum status status = STATUS_OK;
    if (options->given & OPTION_INSTANCE) {
        status = greet_bootstrapd(request, options, text);
    } else if (options->given & OPTION_CLUSTER) {
        status = membership_check_cluster(request->scope->membership, options->cluster, text);
    }
    if (status == STATUS_OK) {
        pack_hello(request);
    } else if (status == STATUS_DENIED) {
        deny_hello(request, text);
    } else {
        request_refuse(request, status, text);
    }
}

static void run_ping(struct request *request)
{
    pack_nil(request_answer(request));
}

/* --- the map --- */

static void run_map_get(struct request *request)
{
    const struct ownership *ownership = ownership_of(request);
    if (ownership->map.revision == 0) {
        request_refuse(request, STATUS_TRY_LATER, "this server has no map yet");
    } else {
        map_pack(&ownership->map, request_answer(request));
    }
}

static void run_map_watch(struct request *request)
{
    if (ownership_of(request)->map.revision > 0) {
        session_watch(request->peer);
    }
    run_map_get(request);
}

typedef bool is_listed(const struct ownership *ownership, const struct map_entry *entry);

/* `[name, epoch]` of each entry that is in; returns one of them, or NULL. */
static const struct map_entry *pack_entries(const struct ownership *ownership, is_listed *is_in,
                                            struct buffer *out)
{
    const struct map_entry *listed = NULL;
    struct buffer entries = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < ownership->map.entry_count; i++) {
        const struct map_entry *entry = &ownership->map.entries[i];
        if (is_in(ownership, entry)) {
            pack_array(&entries, 2);
            pack_text(&entries, entry->name);
            pack_uint(&entries, entry->epoch);
            listed = entry;
            count++;
        }
    }
    memory_must(!entries.failed);
    pack_array(out, count);
    buffer_append_bytes(out, buffer_bytes(&entries));
    buffer_fini(&entries);
    return listed;
}

/*
 * `[revision, opened, missing, reports]`: all that is marked new and open here, so that a push that is repeated tells it
 * again; what is missing; and of moves. Where data is missing the map was taken all the same: DATA_MISSING with that
 * as its detail (RULES M3).
 */
static void reply_pushed(void *context, struct peer *peer, uint32_t msgid, enum status status,
                         const char *text)
{
    const struct request_scope *scope = context;
    const struct ownership *ownership = membership_ownership(scope->membership);
    if (status != STATUS_OK) {
        peer_refuse(peer, msgid, status, text);
        return;
    }
    struct buffer missing = {0};
    const struct map_entry *missed = pack_entries(ownership, ownership_misses, &missing);
    struct buffer *out = peer_output(peer);
    if (missed) {
        reply_missing_begin(out, msgid, missed);
    } else {
        rpc_response(out, msgid);
    }
    pack_array(out, 4);
    pack_uint(out, ownership->map.revision);
    pack_entries(ownership, ownership_has_opened, out);
    buffer_append_bytes(out, buffer_bytes(&missing));
    request_pack_reports(scope, out);
    if (missed) {
        rpc_error_end(out);
    }
    buffer_fini(&missing);
}

static void run_map_push(struct request *request)
{
    struct map map;
    struct map_error error;
    if (!map_unpack(&request->arguments.in, &map, &error)) {
        arguments_fail(&request->arguments, STATUS_INVALID, "map: %s", error.text);
        request_refuse_arguments(request);
    } else if (id_bytes_is_zero(map.cluster)) {
        map_fini(&map);
        request_refuse(request, STATUS_INVALID, "map.push: the map has no cluster");
    } else {
        membership_push(request->scope->membership, request->peer, request->msgid, &map,
                        reply_pushed, request->scope);
    }
}

/* --- stat --- */

static void run_stat(struct request *request)
{
    const struct request_scope *scope = request->scope;
    const struct ownership *ownership = ownership_of(request);
    static const struct account leaving; /* its range is just being given away */
    struct store_stat stat;
    struct buffer *out = request_answer(request);
    store_stat(scope->store, &stat);
    stat_pack_begin(&(struct stat_server){.ownership = ownership,
                                          .is_stopping = scope->is_stopping,
                                          .connection_count = sessions_count(scope->sessions)},
                    &stat, out);
    for (uint32_t i = 0; i < ownership->range_count; i++) {
        const struct range *range = &ownership->ranges[i];
        const struct account *account = store_account(scope->store, point_of_bound(range->start));
        stat_pack_shard(ownership, range, account ? account : &leaving, out);
    }
}

/* --- the table --- */

/* clang-format off */
#define OPTIONS_ANY (OPTION_TABLE | OPTION_EPOCH | OPTION_DEADLINE_MS)
#define OPTIONS_CHANGE (OPTIONS_ANY | OPTIONS_RETRY | OPTION_IF_VERSION)
#define OPTIONS_WRITE (OPTIONS_CHANGE | OPTION_KIND | OPTION_IF_ABSENT | OPTION_IF_PRESENT | OPTION_TTL_MS | OPTION_LEFT_MS | OPTION_SLIDING)
#define OPTIONS_PUT (OPTION_EPOCH | OPTION_DEADLINE_MS | OPTIONS_RETRY | OPTION_TTL_MS | OPTION_LEFT_MS | OPTION_SLIDING)
#define OPTIONS_EXPIRE (OPTIONS_CHANGE | OPTION_SLIDING)
#define OPTIONS_SCAN (OPTIONS_ANY | OPTION_KIND | OPTION_LIMIT | OPTION_PREFIX | OPTION_KEYS_ONLY | OPTION_SKIP_DAMAGED)
#define OPTIONS_HELLO (OPTION_CLUSTER | OPTION_ROLE | OPTION_INSTANCE | OPTION_TERM | OPTION_REVISION | OPTION_EXPECT | OPTION_SEEN_INCARNATION | OPTION_SEEN_START)
#define FORM_KEY "[key] or [key, options]"

#define NAMED(name) (name), sizeof(name) - 1
static const struct method methods[] = {
    {NAMED("read"),      run_data,      FORM_KEY,                                   1, 2, OP_READ,   OPTIONS_ANY},
    {NAMED("write"),     run_data,      "[key, value] or [key, value, options]",    2, 3, OP_WRITE,  OPTIONS_WRITE},
    {NAMED("pop"),       run_data,      FORM_KEY,                                   1, 2, OP_POP,    OPTIONS_CHANGE},
    {NAMED("delete"),    run_data,      FORM_KEY,                                   1, 2, OP_DELETE, OPTIONS_CHANGE},
    {NAMED("exists"),    run_data,      FORM_KEY,                                   1, 2, OP_EXISTS, OPTIONS_ANY},
    {NAMED("incr"),      run_data,      "[key, by] or [key, by, options]",          2, 3, OP_INCR,   OPTIONS_CHANGE},
    {NAMED("expire"),    run_data,      "[key, ttl_ms] or [key, ttl_ms, options]",  2, 3, OP_EXPIRE, OPTIONS_EXPIRE},
    {NAMED("scan"),      run_data,      "[point, key] or [point, key, options]",    2, 3, OP_SCAN,   OPTIONS_SCAN},
    {NAMED("mint"),      run_ids,       "[point, count] or [point, count, options]", 2, 3, OP_MINT,  OPTION_EPOCH | OPTION_DEADLINE_MS},
    {NAMED("put"),       run_ids,       "[point, kind, document] or [point, kind, document, options]", 3, 4, OP_PUT, OPTIONS_PUT},
    {NAMED("done"),      run_done,      "[client, done]",                           2, 2, OP_DONE,   0},
    {NAMED("hello"),     run_hello,     "[] or [options]",                          0, 1, 0,         OPTIONS_HELLO},
    {NAMED("ping"),      run_ping,      "[]",                                       0, 0, 0,         0},
    {NAMED("map.get"),   run_map_get,   "[]",                                       0, 0, 0,         0},
    {NAMED("map.watch"), run_map_watch, "[]",                                       0, 0, 0,         0},
    {NAMED("map.push"),  run_map_push,  "[map]",                                    1, 1, 0,         0},
    {NAMED("move.status"),  request_move_status,  "[]",                                 0, 0, 0,         0},
    {NAMED("move.pace"),    request_move_pace,    "[id, bytes_per_s, is_paused]",       3, 16, 0,        0},
    {NAMED("import.begin"), request_import_begin, "[id, start, end, source, stamp]",    5, 5, 0,         0},
    {NAMED("import.data"),  request_import_data,  "[id, seq, items]",                   3, 3, 0,         0},
    {NAMED("import.end"),   request_import_end,   "[id, seq, records, bytes, high, low, stamp, ids_ms]", 8, 8, 0,  0},
    {NAMED("stat"),      run_stat,      "[]",                                       0, 0, 0,         0},
};
/* clang-format on */

static const struct method *find_method(struct bytes name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (bytes_equal(name, bytes_of(methods[i].name, methods[i].name_len))) {
            return &methods[i];
        }
    }
    return NULL;
}

static void refuse_unknown(const struct request *request, struct bytes name)
{
    char shown[SHOWN_TEXT_LEN];
    char text[SHOWN_TEXT_LEN + 32];
    show_name(name, shown);
    (void)snprintf(text, sizeof(text), "there is no method \"%s\"", shown);
    request_refuse(request, STATUS_UNKNOWN_METHOD, text);
}

void request_take(struct request_scope *scope, struct peer *peer, const struct rpc_message *message)
{
    membership_heard(scope->membership, peer);
    if (message->type != RPC_REQUEST) {
        return;
    }
    const struct method *method = find_method(message->method);
    struct request request; /* not cleared: its arguments have room for a text */
    request.scope = scope;
    request.peer = peer;
    request.msgid = message->msgid;
    request.method = method;
    request.params = message->params;
    if (!method) {
        refuse_unknown(&request, message->method);
        return;
    }
    if (scope->is_stopping && method->run != run_stat) {
        request_refuse(&request, STATUS_SHUTTING_DOWN, status_text(STATUS_SHUTTING_DOWN));
        return;
    }
    arguments_begin(&request.arguments, method->name, message->params, method->count_min,
                    method->count_max, method->form);
    if (!arguments_are_fine(&request.arguments)) {
        request_refuse_arguments(&request);
        return;
    }
    method->run(&request);
}
