/* SPDX-License-Identifier: MIT */
#include "libclient/client.h"
#include "libclient/error.h"
#include "libclient/exchange.h"
#include "proto/unpack.h"

/* Method, msgid and array heads fit into what is left of a frame. */
#define METHOD_LEN_MAX 64
#define PARAMS_LEN_MAX (FRAME_LEN_MAX - 2 * METHOD_LEN_MAX)

/* The elements of the array `params`; false when it is none, or too long. */
static bool append_arguments(struct task *task, struct skv_value params)
{
    if (params.type == SKV_NIL) {
        return true;
    }
    if (params.type != SKV_MSGPACK || params.bytes.len > PARAMS_LEN_MAX) {
        return false;
    }
    struct unpack in = unpack_of(bytes_of(params.bytes.data, params.bytes.len));
    task->argument_count = unpack_array(&in);
    const uint8_t *first = in.next;
    for (uint32_t i = 0; i < task->argument_count && unpack_is_fine(&in); i++) {
        (void)unpack_skip(&in);
    }
    if (!unpack_is_done(&in)) {
        return false;
    }
    buffer_append(&task->arguments, first, (size_t)(in.next - first));
    return true;
}

enum skv_status skv_request(struct skv *kv, const char *server, const char *method,
                            struct skv_value params, uint32_t timeout_ms, struct skv_record *rec)
{
    struct cluster *cluster = client_enter(kv);
    struct address address;
    struct task task;
    if (!method[0] || strlen(method) > METHOD_LEN_MAX) {
        return error_say(SKV_INVALID, "request: a method has 1 to %d bytes", METHOD_LEN_MAX);
    }
    if (server && !address_parse(bytes_text(server), &address)) {
        return error_say(SKV_INVALID, "%s: \"%.200s\" is not HOST:PORT, like 127.0.0.1:5050",
                         method, server);
    }
    task_prepare_raw(&task, TASK_REQUEST, method,
                     timeout_ms ? timeout_ms : cluster->options.timeout_ms);
    task.target = server ? TARGET_ADDRESS : TARGET_ANYONE;
    task.address = &address;
    task.order = ROUTE_GIVEN_FIRST;
    task.record = rec;
    enum skv_status status;
    if (!append_arguments(&task, params)) {
        status = error_say(SKV_INVALID, "%s: params are no encoded array of at most %u bytes",
                           method, PARAMS_LEN_MAX);
    } else if (task.arguments.failed) {
        status = error_say(SKV_NO_MEMORY, "%s: out of memory", method);
    } else {
        exchange_run(cluster, &task, 1);
        status = task_report(&task);
    }
    task_fini(&task);
    return status;
}
