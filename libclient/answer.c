/* SPDX-License-Identifier: MIT */
#include "libclient/answer.h"

#include <inttypes.h>

#include "proto/point.h"

static enum result take_map(struct cluster *cluster, struct bytes encoded)
{
    struct unpack in = unpack_of(encoded);
    struct map map = {.revision = 0};
    struct map_error error;
    if (!map_unpack(&in, &map, &error)) {
        cluster_log(cluster, LOG_ERROR, "map: %s", error.text);
        return RESULT_MALFORMED;
    }
    enum route_took took = route_take_map(cluster->route, &map);
    uint64_t revision = map.revision;
    map_fini(&map);
    switch (took) {
    case ROUTE_TOOK:
        cluster_log(cluster, LOG_INFO, "map: revision %" PRIu64, revision);
        return RESULT_FOUND;
    case ROUTE_FOREIGN:
        cluster_log(cluster, LOG_ERROR, "map: of another cluster");
        return RESULT_MALFORMED;
    case ROUTE_NO_MEMORY:
        break;
    }
    return RESULT_NO_MEMORY;
}

enum result answer_take_result(struct cluster *cluster, struct task *task, struct bytes encoded)
{
    const struct result_key key = {task->key, task->table};
    switch (task->kind) {
    case TASK_WRITE:
    case TASK_UPDATE:
        return result_of_write(encoded, &key, &task->given, task->record);
    case TASK_EXPIRE:
        return result_of_expire(encoded, &key, &task->given, task->record);
    case TASK_READ:
    case TASK_POP:
        return result_of_read(encoded, &key, task->record);
    case TASK_DELETE:
    case TASK_EXISTS:
        return result_of_bool(encoded);
    case TASK_INCR:
        return result_of_incr(encoded, &key, task->record);
    case TASK_PUT:
        return result_of_put(encoded, &task->given, task->record);
    case TASK_MINT:
        return result_of_mint(encoded, task_shard(task), task->ids, &task->id_count);
    case TASK_MAP:
        return take_map(cluster, encoded);
    case TASK_SCAN:
    case TASK_REQUEST:
        break;
    }
    return result_of_any(encoded, task->record);
}

bool answer_take_owner(struct cluster *cluster, const struct task *task, struct bytes detail)
{
    struct route *route = cluster->route;
    struct unpack in = unpack_of(detail);
    struct map_entry entry;
    struct map_error error;
    if (task->target != TARGET_OWNER) {
        return false; /* it was not the map that chose the server, which may be anybody's */
    }
    bool has_entry = unpack_array(&in) >= 2;
    (void)unpack_uint(&in); /* the revision */
    if (has_entry && unpack_peek(&in) == UNPACK_ARRAY && map_unpack_entry(&in, &entry, &error) &&
        point_in(task->point, entry.start, entry.end) &&
        route_take_entry(route, &entry) == MAP_TOOK) {
        cluster_log(cluster, LOG_DEBUG, "map: shard %s is at %s:%u, epoch %" PRIu64, entry.name,
                    entry.address.host, entry.address.port, entry.epoch);
    }
    struct owner owner;
    return route_find(route, task->point, &owner) &&
           !address_equal(&owner.address, server_address(task->asked));
}

void answer_take_detail(struct task *task, const struct rpc_message *message)
{
    struct unpack in = unpack_of(message->detail);
    if (message->code == STATUS_CONDITION && unpack_array(&in) >= 1) {
        task->version = unpack_uint(&in);
    } else if (message->code == STATUS_FULL && unpack_array(&in) >= 2) {
        task->used = unpack_uint(&in);
        task->limit = unpack_uint(&in);
    }
}
