/* SPDX-License-Identifier: MIT */
#include "tests/torture/view.h"

#include <inttypes.h>
#include <string.h>

#include "libclient/shardkv.h"
#include "proto/pack.h"
#include "proto/point.h"

static const char *address_of(const struct view *view, uint32_t daemon)
{
    return view->cluster->daemons[daemon].address;
}

/* `params` is emptied; NULL: none. */
static enum skv_status call(const struct view *view, uint32_t daemon, const char *method,
                            struct buffer *params, struct skv_record *record)
{
    struct skv_value none = {.type = SKV_NIL};
    enum skv_status status =
        skv_request(view->kv, address_of(view, daemon), method,
                    params ? skv_msgpack(params->data, params->len) : none, VIEW_MS, record);
    if (params) {
        buffer_fini(params);
    }
    return status;
}

static struct unpack answer_of(const struct skv_record *record)
{
    return unpack_of(bytes_of(record->encoded.data, record->encoded.len));
}

static void copy_text(struct bytes text, char *to, size_t size)
{
    (void)snprintf(to, size, "%.*s", (int)text.len, (const char *)text.data);
}

/* --- the map --- */

static uint32_t daemon_at(const struct view *view, const struct address *address)
{
    char text[ADDRESS_TEXT_LEN];
    uint32_t daemon = 0;
    address_print(address, text);
    while (daemon < CLUSTER_SERVERS && strcmp(address_of(view, daemon), text) != 0) {
        daemon++;
    }
    return daemon;
}

bool view_entry(const struct view *view, const char *shard, struct view_entry *entry)
{
    struct skv_record record = {0};
    struct map_error error;
    struct map map = {0};
    const struct map_entry *found = NULL;
    if (call(view, CLUSTER_BOOTSTRAPD, "map.get", NULL, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        found = map_unpack(&in, &map, &error) ? map_find_name(&map, bytes_text(shard)) : NULL;
    }
    if (found) {
        *entry = (struct view_entry){daemon_at(view, &found->address), found->move.phase,
                                     found->move.id};
    }
    map_fini(&map);
    skv_record_fini(&record);
    return found != NULL;
}

/* --- servers --- */

enum move_state view_part(const struct view *view, uint32_t server, uint64_t id)
{
    struct skv_record record = {0};
    struct move_reports reports = {0};
    const struct move_report *report = NULL;
    if (call(view, server, "move.status", NULL, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        report = move_reports_unpack(&in, &reports) ? move_reports_find(&reports, id) : NULL;
    }
    enum move_state state = report ? report->state : 0;
    move_reports_fini(&reports);
    skv_record_fini(&record);
    return state;
}

bool view_serves(const struct view *view, uint32_t server, const char *key)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    pack_array(&params, 2);
    pack_text(&params, key);
    pack_map(&params, 1);
    pack_text(&params, "deadline_ms");
    pack_uint(&params, VIEW_SERVES_MS / 2);
    enum skv_status status =
        skv_request(view->kv, address_of(view, server), "exists",
                    skv_msgpack(params.data, params.len), VIEW_SERVES_MS, &record);
    buffer_fini(&params);
    skv_record_fini(&record);
    return status == SKV_OK || status == SKV_NOT_FOUND;
}

/* The text field `name` of the map of an array whose field `key` is `text`. */
static bool find_state(struct unpack *in, const char *address, struct bytes *state)
{
    uint32_t fields = unpack_map(in);
    bool is_it = false;
    for (uint32_t i = 0; i < fields; i++) {
        struct bytes name = unpack_text(in);
        if (bytes_equal(name, bytes_text("address"))) {
            is_it = bytes_equal(unpack_text(in), bytes_text(address));
        } else if (bytes_equal(name, bytes_text("state"))) {
            *state = unpack_text(in);
        } else {
            (void)unpack_skip(in);
        }
    }
    return is_it;
}

bool view_is_up(const struct view *view, uint32_t server)
{
    struct skv_record record = {0};
    bool is_up = false;
    if (call(view, CLUSTER_BOOTSTRAPD, "server.list", NULL, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        uint32_t count = unpack_array(&in);
        for (uint32_t i = 0; i < count && unpack_is_fine(&in); i++) {
            struct bytes state = {0};
            bool is_it = find_state(&in, address_of(view, server), &state);
            is_up |= is_it && bytes_equal(state, bytes_text("up"));
        }
    }
    skv_record_fini(&record);
    return is_up;
}

/* --- moves --- */

static void take_move(struct unpack *in, struct view_move *move)
{
    uint32_t fields = unpack_map(in);
    for (uint32_t i = 0; i < fields; i++) {
        struct bytes name = unpack_text(in);
        if (bytes_equal(name, bytes_text("course"))) {
            copy_text(unpack_text(in), move->course, sizeof(move->course));
        } else if (bytes_equal(name, bytes_text("reason"))) {
            copy_text(unpack_text(in), move->reason, sizeof(move->reason));
        } else if (bytes_equal(name, bytes_text("records"))) {
            move->records = unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("records_left"))) {
            move->records_left = unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("tries"))) {
            move->tries = unpack_uint(in);
        } else {
            (void)unpack_skip(in);
        }
    }
}

bool view_move(const struct view *view, uint64_t number, struct view_move *move)
{
    struct skv_record record = {0};
    struct buffer params = {0};
    bool is_told = false;
    pack_array(&params, 1);
    pack_map(&params, 2);
    pack_text(&params, "all");
    pack_bool(&params, true);
    pack_text(&params, "number");
    pack_uint(&params, number);
    *move = (struct view_move){0};
    if (call(view, CLUSTER_BOOTSTRAPD, "move.list", &params, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        is_told = unpack_array(&in) == 1;
        take_move(&in, move);
        is_told &= unpack_is_fine(&in);
    }
    skv_record_fini(&record);
    return is_told;
}

uint64_t view_start(const struct view *view, const char *shard, uint32_t target,
                    uint64_t bytes_per_s)
{
    struct skv_record record = {0};
    struct buffer params = {0};
    uint64_t number = 0;
    pack_array(&params, 1);
    pack_map(&params, 3);
    pack_text(&params, "shard");
    pack_text(&params, shard);
    pack_text(&params, "to");
    pack_text(&params, address_of(view, target));
    pack_text(&params, "bytes_per_s");
    pack_uint(&params, bytes_per_s);
    if (call(view, CLUSTER_BOOTSTRAPD, "move.start", &params, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        number = unpack_array(&in) > 0 ? unpack_uint(&in) : 0;
    } else {
        printf("# move.start: %s\n", skv_error()->text);
    }
    skv_record_fini(&record);
    return number;
}

static void pack_part(struct buffer *params, const struct map_entry *entry, uint64_t start,
                      uint64_t until, const char *target)
{
    bool has_from = start > entry->start;
    bool has_until = until < entry->end;
    pack_array(params, 1);
    pack_map(params, 2U + has_from + has_until);
    pack_text(params, "shard");
    pack_text(params, entry->name);
    pack_text(params, "to");
    pack_text(params, target);
    if (has_from) {
        pack_text(params, "from");
        pack_uint(params, start);
    }
    if (has_until) {
        pack_text(params, "until");
        pack_uint(params, until);
    }
}

/* `entry`: of the map as it is told now. */
static uint64_t start_part(const struct view *view, const struct map_entry *entry, uint64_t start,
                           uint32_t target, const struct view_part *part)
{
    struct skv_record record = {0};
    struct buffer params = {0};
    uint64_t number = 0;
    pack_part(&params, entry, start, part->until, address_of(view, target));
    if (call(view, CLUSTER_BOOTSTRAPD, "move.start", &params, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        number = unpack_array(&in) > 0 ? unpack_uint(&in) : 0;
    }
    skv_record_fini(&record);
    return number;
}

uint64_t view_start_part(const struct view *view, uint64_t start, uint64_t end, uint32_t target,
                         struct view_part *part)
{
    struct skv_record record = {0};
    struct map_error error;
    struct map map = {0};
    uint64_t number = 0;
    *part = (struct view_part){.owner = CLUSTER_SERVERS, .until = end};
    if (call(view, CLUSTER_BOOTSTRAPD, "map.get", NULL, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        const struct map_entry *entry =
            map_unpack(&in, &map, &error) ? map_find(&map, point_of_bound(start)) : NULL;
        if (entry) {
            part->owner = daemon_at(view, &entry->address);
            part->until = entry->end < end ? entry->end : end;
            number = part->owner != target ? start_part(view, entry, start, target, part) : 0;
        }
    }
    map_fini(&map);
    skv_record_fini(&record);
    return number;
}

bool view_ask(const struct view *view, const char *method, uint64_t number)
{
    struct skv_record record = {0};
    struct buffer params = {0};
    bool has_rate = strcmp(method, "move.throttle") == 0;
    pack_array(&params, 1U + has_rate);
    pack_uint(&params, number);
    if (has_rate) {
        pack_uint(&params, 0);
    }
    enum skv_status status = call(view, CLUSTER_BOOTSTRAPD, method, &params, &record);
    skv_record_fini(&record);
    return status == SKV_OK;
}
