/* SPDX-License-Identifier: MIT */
#include "libclient/task.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/random.h"
#include "libclient/error.h"
#include "libclient/explain.h"
#include "libclient/value.h"
#include "proto/id.h"
#include "proto/pack.h"
#include "proto/table.h"
#include "proto/unpack.h"

static const char *method_of(enum task_kind kind)
{
    switch (kind) {
    case TASK_WRITE:
    case TASK_UPDATE:
        return "write";
    case TASK_READ:
        return "read";
    case TASK_POP:
        return "pop";
    case TASK_DELETE:
        return "delete";
    case TASK_EXISTS:
        return "exists";
    case TASK_INCR:
        return "incr";
    case TASK_EXPIRE:
        return "expire";
    case TASK_PUT:
        return "put";
    case TASK_MINT:
        return "mint";
    case TASK_SCAN:
        return "scan";
    case TASK_MAP:
        return "map.get";
    case TASK_REQUEST:
        break;
    }
    return "request";
}

static bool kind_changes(enum task_kind kind)
{
    switch (kind) {
    case TASK_WRITE:
    case TASK_POP:
    case TASK_DELETE:
    case TASK_INCR:
    case TASK_EXPIRE:
    case TASK_PUT:
    case TASK_UPDATE:
    case TASK_REQUEST: /* for all that is known */
        return true;
    case TASK_MINT: /* nobody has the ids of a lost reply */
    case TASK_READ:
    case TASK_EXISTS:
    case TASK_SCAN:
    case TASK_MAP:
        break;
    }
    return false;
}

void task_prepare_raw(struct task *task, enum task_kind kind, const char *method,
                      uint32_t timeout_ms)
{
    *task = (struct task){
        .kind = kind,
        .method = method ? method : method_of(kind),
        .timeout_ms = timeout_ms,
        .told_ms = timeout_ms,
        .attempt = {.changes = kind_changes(kind), .can_repeat = kind != TASK_REQUEST},
        .state = TASK_HELD,
        .status = SKV_UNAVAILABLE, /* until it is done */
    };
}

struct buffer *task_option(struct task *task, const char *name)
{
    task->option_count++;
    pack_text(&task->arguments, name);
    return &task->arguments;
}

/* What no key stands for: the point is drawn. */
static bool is_by_shard(const struct task_wish *wish)
{
    return wish->kind == TASK_PUT || wish->kind == TASK_MINT;
}

static const char *table_of(const struct task_wish *wish)
{
    if (wish->call && wish->call->table) {
        return wish->call->table;
    }
    return wish->is_entity ? table_name(TABLE_ENTITIES) : NULL;
}

static const char *fault_of_call(const struct skv_call *call)
{
    for (size_t i = 0; i < sizeof(call->reserved) / sizeof(call->reserved[0]); i++) {
        if (call->reserved[i] != 0) {
            return "a reserved field of skv_call is not 0";
        }
    }
    if (call->table && (!call->table[0] || strlen(call->table) > NAME_LEN_MAX)) {
        return "the name of a table has 1 to 63 bytes";
    }
    return NULL;
}

static const char *fault_of_key(const struct task *task, const struct task_wish *wish)
{
    if (wish->key.len == 0) {
        return "the key is empty: a key has 1 to 480 bytes";
    }
    if (wish->key.len > KEY_LEN_MAX) {
        return "the key is too long: a key has 1 to 480 bytes";
    }
    if (table_has_ids(task->table) && wish->key.len != ID_KEY_LEN) {
        return "the key is no id: in this table a key has 8 bytes (skv_key_of_id)";
    }
    return NULL;
}

/* What is wrong with the wish, or NULL. */
static const char *fault_of(const struct task *task, const struct task_wish *wish)
{
    const char *fault = wish->call ? fault_of_call(wish->call) : NULL;
    if (fault) {
        return fault;
    }
    if (wish->is_entity && !table_has_ids(task->table)) {
        return "the table has no ids for keys: entities are in \"entities\"";
    }
    if (!is_by_shard(wish)) {
        return fault_of_key(task, wish);
    }
    if (wish->shard >= ID_SHARD_COUNT && wish->shard != SKV_SHARD_ANY) {
        return "a logical shard is 0 to 8191, or SKV_SHARD_ANY";
    }
    return NULL;
}

/* The same at each try: it routes, and a server holds the request for it, as a key's. */
static uint64_t draw_point(uint32_t shard)
{
    uint64_t point;
    random_fill(&point, sizeof(point));
    if (shard == SKV_SHARD_ANY) {
        return point;
    }
    return id_slice_point(shard, point);
}

static void pack_conditions(struct task *task, const struct skv_call *call, bool if_present)
{
    if (call->if_absent) {
        pack_bool(task_option(task, "if_absent"), true);
    }
    if (if_present) {
        pack_bool(task_option(task, "if_present"), true);
    }
    if (call->if_version) {
        pack_uint(task_option(task, "if_version"), call->if_version);
    }
}

static void pack_options(struct task *task, const struct task_wish *wish)
{
    static const struct skv_call defaults;
    const struct skv_call *call = wish->call ? wish->call : &defaults;
    const char *table = table_of(wish);
    if (table && !is_by_shard(wish)) {
        pack_text(task_option(task, "table"), table);
    }
    pack_conditions(task, call, call->if_present || wish->kind == TASK_UPDATE);
    if (call->has_kind) {
        pack_uint(task_option(task, "kind"), call->kind);
    }
    if (call->ttl_ms) {
        pack_uint(task_option(task, "ttl_ms"), call->ttl_ms);
    }
    if (call->left_ms) {
        pack_uint(task_option(task, "left_ms"), call->left_ms);
    }
    if (call->sliding) {
        pack_bool(task_option(task, "sliding"), true);
    }
}

static void pack_ttl(struct buffer *out, uint64_t ttl_ms)
{
    if (ttl_ms > 0) {
        pack_uint(out, ttl_ms);
    } else {
        pack_nil(out);
    }
}

/* What the record has when the wish came true. */
static struct result_given given_of(const struct task_wish *wish)
{
    const struct skv_call *call = wish->call;
    struct result_given given = {.ttl_ms = wish->ttl_ms, .kind = wish->entity_kind};
    if (call) {
        given.sliding = call->sliding;
    }
    if (call && wish->kind != TASK_EXPIRE) {
        given.ttl_ms = call->ttl_ms;
        given.left_ms = call->left_ms;
    }
    if (call && call->has_kind) {
        given.kind = call->kind;
    }
    return given;
}

static const char *pack_value(struct task *task, struct skv_value value)
{
    size_t start = task->arguments.len;
    if (!value_encode(value, &task->arguments)) {
        return "the value is not exactly one MessagePack object";
    }
    if (task->arguments.len - start > VALUE_LEN_MAX) {
        return "the value is too long: encoded it has at most 8388608 bytes";
    }
    return NULL;
}

static const char *pack_document(struct task *task, struct skv_value document)
{
    bool is_encoded = document.type == SKV_MSGPACK;
    struct unpack in = unpack_of(is_encoded ? bytes_of(document.bytes.data, document.bytes.len)
                                            : bytes_of(NULL, 0));
    if (unpack_peek(&in) != UNPACK_MAP) {
        return "the document is no MessagePack map";
    }
    return pack_value(task, document);
}

/* What goes behind the key, or the point. Returns what is wrong, or NULL. */
static const char *pack_operands(struct task *task, const struct task_wish *wish)
{
    struct buffer *out = &task->arguments;
    task->argument_count = 2;
    switch (wish->kind) {
    case TASK_WRITE:
        return pack_value(task, wish->value);
    case TASK_UPDATE:
        return pack_document(task, wish->value);
    case TASK_PUT:
        task->argument_count = 3;
        pack_uint(out, wish->entity_kind);
        return pack_document(task, wish->value);
    case TASK_MINT:
        pack_uint(out, wish->id_count);
        break;
    case TASK_INCR:
        pack_int(out, wish->by);
        break;
    case TASK_EXPIRE:
        pack_ttl(out, wish->ttl_ms);
        break;
    case TASK_READ:
    case TASK_POP:
    case TASK_DELETE:
    case TASK_EXISTS:
    case TASK_SCAN:
    case TASK_MAP:
    case TASK_REQUEST:
        task->argument_count = 1;
        break;
    }
    return NULL;
}

/* What is wrong with the value, or NULL. */
static const char *pack_arguments(struct task *task, const struct task_wish *wish)
{
    struct buffer *out = &task->arguments;
    struct bytes key = bytes_of(wish->key.data, wish->key.len);
    if (is_by_shard(wish)) {
        pack_uint(out, task->point);
    } else {
        pack_bin(out, key);
    }
    size_t key_end = out->len;
    task->key = key; /* until it has its own copy */
    const char *fault = pack_operands(task, wish);
    if (fault) {
        return fault;
    }
    task->arguments_len = out->len;
    task->given = given_of(wish);
    pack_options(task, wish);
    if (!out->failed) {
        task->key = bytes_of(out->data + key_end - key.len, key.len);
    }
    return NULL;
}

static uint64_t point_of(const struct task *task, const struct task_wish *wish)
{
    return is_by_shard(wish) ? draw_point(wish->shard)
                             : table_point(task->table, bytes_of(wish->key.data, wish->key.len));
}

/* An unknown one is the server's to refuse: it may be newer. */
static uint16_t table_number_of(const struct task_wish *wish)
{
    uint16_t number = TABLE_DEFAULT;
    const char *table = table_of(wish);
    if (table) {
        (void)table_find(bytes_text(table), &number);
    }
    return number;
}

void task_prepare(struct task *task, const struct task_wish *wish, uint32_t timeout_ms)
{
    bool has_own_timeout = wish->call && wish->call->timeout_ms > 0;
    task_prepare_raw(task, wish->kind, NULL, has_own_timeout ? wish->call->timeout_ms : timeout_ms);
    task->table = table_number_of(wish);
    task->id_count = wish->id_count;
    const char *fault = fault_of(task, wish);
    if (!fault) {
        task->target = TARGET_OWNER;
        task->point = point_of(task, wish);
        fault = pack_arguments(task, wish);
    }
    if (fault) {
        task->state = TASK_FINISHED;
        task_fail(task, SKV_INVALID, fault);
        task->key = bytes_of(NULL, 0);
    } else if (task->arguments.failed) {
        task->state = TASK_FINISHED;
        task_fail(task, SKV_NO_MEMORY, "out of memory");
    }
}

void task_fini(struct task *task)
{
    buffer_fini(&task->arguments);
    free(task->said);
    task->said = NULL;
    free(task->text);
    task->text = NULL;
}

static bool has_number(const struct task *task)
{
    return task->line != NULL;
}

void task_pack_params(const struct task *task, const struct task_send *send, struct buffer *out)
{
    const struct buffer *arguments = &task->arguments;
    if (task->target != TARGET_OWNER) {
        pack_array(out, task->argument_count);
        buffer_append_bytes(out, buffer_bytes(arguments));
        return;
    }
    pack_array(out, task->argument_count + 1);
    buffer_append(out, arguments->data, task->arguments_len);
    pack_map(out, task->option_count + 1 + (send->epoch > 0) + (has_number(task) ? 3 : 0));
    if (arguments->len > task->arguments_len) {
        buffer_append(out, arguments->data + task->arguments_len,
                      arguments->len - task->arguments_len);
    }
    pack_text(out, "deadline_ms");
    pack_uint(out, send->deadline_ms);
    if (send->epoch > 0) {
        pack_text(out, "epoch");
        pack_uint(out, send->epoch);
    }
    if (has_number(task)) {
        pack_text(out, "client");
        pack_bin(out, bytes_of(server_client_id(task->line), ID_LEN));
        pack_text(out, "seq");
        pack_uint(out, task->number);
        pack_text(out, "done");
        pack_uint(out, send->done);
    }
}

static void print_asked(const struct task *task, char text[ADDRESS_TEXT_LEN])
{
    text[0] = '\0';
    if (task->asked) {
        address_print(server_address(task->asked), text);
    }
}

/* Only an outcome that the deadline brought speaks of it. */
static bool is_late(const struct task *task)
{
    bool is_refused = task->wire_code == STATUS_DAMAGED || task->wire_code == STATUS_CLOCK_BEHIND;
    return task->status == SKV_UNAVAILABLE && !is_refused && task->attempt.can_repeat;
}

void task_note(struct task *task, struct bytes said)
{
    free(task->said);
    task->said = said.len ? strndup(said.data, said.len) : NULL;
}

/* Its point was drawn in one. */
static bool is_of_shard(const struct task *task)
{
    return (task->kind == TASK_PUT || task->kind == TASK_MINT) && task->argument_count > 0;
}

/* What a person asked for, where the method that serves it has another name. */
static const char *name_of(const struct task *task)
{
    if (task->kind == TASK_MAP) {
        return "open";
    }
    return task->kind == TASK_UPDATE ? "update" : task->method;
}

void task_fail(struct task *task, enum skv_status status, const char *said)
{
    char server[ADDRESS_TEXT_LEN];
    char text[EXPLAIN_TEXT_LEN];
    print_asked(task, server);
    task->status = status;
    explain(
        &(struct explanation){.status = status,
                              .wire_code = task->wire_code,
                              .method = name_of(task),
                              .key = task->key,
                              .is_id = table_has_ids(task->table) && task->key.len == ID_KEY_LEN,
                              .has_shard = is_of_shard(task),
                              .shard = task_shard(task),
                              .server = server,
                              .said = said,
                              .timeout_ms = is_late(task) ? task->told_ms : 0,
                              .ids_came = task->ids_came,
                              .ids_wanted = task->ids_wanted,
                              .version = task->version},
        text);
    task->text = strdup(text);
}

enum skv_status task_report(const struct task *task)
{
    if (task->status == SKV_OK) {
        return SKV_OK;
    }
    struct skv_error error = {.status = task->status,
                              .wire_code = task->wire_code,
                              .version = task->version,
                              .used = task->used,
                              .limit = task->limit};
    _Static_assert(sizeof(error.server) >= ADDRESS_TEXT_LEN, "any address fits");
    _Static_assert(sizeof(error.text) >= EXPLAIN_TEXT_LEN, "any explanation fits");
    print_asked(task, error.server);
    (void)snprintf(error.text, sizeof(error.text), "%s", task->text ? task->text : "out of memory");
    return error_set(&error);
}

void task_list_append(struct task_list *list, struct task *task)
{
    assert(!task->list);
    task->list = list;
    task->next = NULL;
    task->previous = list->last;
    if (list->last) {
        list->last->next = task;
    } else {
        list->first = task;
    }
    list->last = task;
}

void task_list_prepend(struct task_list *list, struct task *task)
{
    assert(!task->list);
    task->list = list;
    task->previous = NULL;
    task->next = list->first;
    if (list->first) {
        list->first->previous = task;
    } else {
        list->last = task;
    }
    list->first = task;
}

void task_list_remove(struct task *task)
{
    struct task_list *list = task->list;
    if (!list) {
        return;
    }
    if (task->previous) {
        task->previous->next = task->next;
    } else {
        list->first = task->next;
    }
    if (task->next) {
        task->next->previous = task->previous;
    } else {
        list->last = task->previous;
    }
    task->list = NULL;
}
