/* SPDX-License-Identifier: MIT */
#include "libclient/task.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libclient/error.h"
#include "libclient/explain.h"
#include "libclient/value.h"
#include "proto/pack.h"
#include "proto/point.h"

static const char *method_of(enum task_kind kind)
{
    switch (kind) {
    case TASK_WRITE:
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
    case TASK_REQUEST: /* for all that is known */
        return true;
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

/* What is wrong with the wish, or NULL. */
static const char *fault_of(const struct task_wish *wish)
{
    const struct skv_call *call = wish->call;
    if (wish->key.len == 0) {
        return "the key is empty: a key has 1 to 480 bytes";
    }
    if (wish->key.len > KEY_LEN_MAX) {
        return "the key is too long: a key has 1 to 480 bytes";
    }
    for (size_t i = 0; call && i < sizeof(call->reserved) / sizeof(call->reserved[0]); i++) {
        if (call->reserved[i] != 0) {
            return "a reserved field of skv_call is not 0";
        }
    }
    if (call && call->table && (!call->table[0] || strlen(call->table) > NAME_LEN_MAX)) {
        return "the name of a table has 1 to 63 bytes";
    }
    return NULL;
}

static void pack_options(struct task *task, const struct skv_call *call)
{
    if (call && call->table) {
        pack_text(task_option(task, "table"), call->table);
    }
    if (call && call->if_absent) {
        pack_bool(task_option(task, "if_absent"), true);
    }
    if (call && call->if_version) {
        pack_uint(task_option(task, "if_version"), call->if_version);
    }
    if (call && call->ttl_ms) {
        pack_uint(task_option(task, "ttl_ms"), call->ttl_ms);
    }
    if (call && call->left_ms) {
        pack_uint(task_option(task, "left_ms"), call->left_ms);
    }
    if (call && call->sliding) {
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
static struct result_expiry expiry_of(const struct task_wish *wish)
{
    const struct skv_call *call = wish->call;
    struct result_expiry expiry = {.ttl_ms = wish->ttl_ms, .sliding = call && call->sliding};
    if (call && wish->kind == TASK_WRITE) {
        expiry.ttl_ms = call->ttl_ms;
        expiry.left_ms = call->left_ms;
    }
    return expiry;
}

/* What is wrong with the value, or NULL. */
static const char *pack_arguments(struct task *task, const struct task_wish *wish)
{
    struct buffer *out = &task->arguments;
    pack_bin(out, bytes_of(wish->key.data, wish->key.len));
    size_t key_end = out->len;
    task->key = bytes_of(wish->key.data, wish->key.len); /* until it has its own copy */
    task->argument_count = 1;
    if (wish->kind == TASK_WRITE) {
        task->argument_count = 2;
        if (!value_encode(wish->value, out)) {
            return "the value is not exactly one MessagePack object";
        }
    } else if (wish->kind == TASK_INCR) {
        task->argument_count = 2;
        pack_int(out, wish->by);
    } else if (wish->kind == TASK_EXPIRE) {
        task->argument_count = 2;
        pack_ttl(out, wish->ttl_ms);
    }
    if (out->len - key_end > VALUE_LEN_MAX) {
        return "the value is too long: encoded it has at most 8388608 bytes";
    }
    task->arguments_len = out->len;
    task->expiry = expiry_of(wish);
    pack_options(task, wish->call);
    if (!out->failed) {
        task->key = bytes_of(out->data + key_end - wish->key.len, wish->key.len);
    }
    return NULL;
}

void task_prepare(struct task *task, const struct task_wish *wish, uint32_t timeout_ms)
{
    bool has_own_timeout = wish->call && wish->call->timeout_ms > 0;
    task_prepare_raw(task, wish->kind, NULL, has_own_timeout ? wish->call->timeout_ms : timeout_ms);
    const char *fault = fault_of(wish);
    if (!fault) {
        task->target = TARGET_OWNER;
        task->point = point_of_key(bytes_of(wish->key.data, wish->key.len));
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

void task_fail(struct task *task, enum skv_status status, const char *said)
{
    char server[ADDRESS_TEXT_LEN];
    char text[EXPLAIN_TEXT_LEN];
    print_asked(task, server);
    task->status = status;
    explain(&(struct explanation){.status = status,
                                  .wire_code = task->wire_code,
                                  .method = task->kind == TASK_MAP ? "open" : task->method,
                                  .key = task->key,
                                  .server = server,
                                  .said = said,
                                  .timeout_ms = is_late(task) ? task->timeout_ms : 0,
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
