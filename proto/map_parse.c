/* SPDX-License-Identifier: MIT */
#include "proto/map.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "proto/id.h"
#include "proto/map_check.h"
#include "proto/point.h"

/* An entry as far as it is read. */
struct draft {
    struct map_entry entry;
    uint64_t slices_start, slices_end; /* bounds of "logical_shards" */
};

/* Reads one value into the draft. False: *fault is "field: what is wrong". */
typedef bool (*read_field)(const json_t *value, struct draft *draft, struct map_error *fault);

struct field {
    const char *name;
    read_field read; /* NULL: bootstrapd's own, of no meaning in what a person writes */
    json_type type;  /* of what is not read */
    bool required;
};

/* A string without NUL of 1 to size - 1 bytes. */
static bool read_string(const json_t *value, const char *field, char *string, size_t size,
                        struct map_error *fault)
{
    if (!json_is_string(value)) {
        map_error_set(fault, "%s: must be a string", field);
        return false;
    }
    size_t len = json_string_length(value);
    if (len >= size) {
        map_error_set(fault, "%s: longer than %zu bytes", field, size - 1);
        return false;
    }
    if (strlen(json_string_value(value)) != len) {
        map_error_set(fault, "%s: has a NUL character", field);
        return false;
    }
    memcpy(string, json_string_value(value), len + 1);
    return true;
}

static bool read_name(const json_t *value, struct draft *draft, struct map_error *fault)
{
    return read_string(value, "name", draft->entry.name, sizeof(draft->entry.name), fault);
}

static bool read_bound(const json_t *value, const char *field, uint64_t *bound,
                       struct map_error *fault)
{
    if (!json_is_number(value)) {
        map_error_set(fault, "%s: must be a number", field);
        return false;
    }
    if (!bound_of_fraction(json_number_value(value), bound)) {
        map_error_set(fault, "%s: %.15g is not between 0 and 1", field, json_number_value(value));
        return false;
    }
    return true;
}

static bool read_start(const json_t *value, struct draft *draft, struct map_error *fault)
{
    return read_bound(value, "start", &draft->entry.start, fault);
}

static bool read_end(const json_t *value, struct draft *draft, struct map_error *fault)
{
    return read_bound(value, "end", &draft->entry.end, fault);
}

/* Digits without leading zeros, moves behind them; whatever is above ID_SHARD_COUNT is one more. */
static bool take_slice(const char **text, uint32_t *slice)
{
    const char *digit = *text;
    uint32_t number = 0;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        number = 10 * number + (uint32_t)(*digit - '0');
        number = number > ID_SHARD_COUNT ? ID_SHARD_COUNT + 1 : number;
    }
    if (digit == *text || (**text == '0' && digit - *text > 1)) {
        return false;
    }
    *text = digit;
    *slice = number;
    return true;
}

static bool read_logical_shards(const json_t *value, struct draft *draft, struct map_error *fault)
{
    char string[64];
    const char *text = string;
    uint32_t first, end;
    if (!read_string(value, "logical_shards", string, sizeof(string), fault)) {
        return false;
    }
    if (!take_slice(&text, &first) || *text++ != '-' || !take_slice(&text, &end) || *text) {
        map_error_set(fault,
                      "logical_shards: \"%s\" is not FIRST-END without spaces, signs and leading "
                      "zeros, as in \"1-9\" for 1 to 8",
                      string);
        return false;
    }
    if (first > ID_SHARD_COUNT || end > ID_SHARD_COUNT) {
        map_error_set(fault, "logical_shards: \"%s\" goes beyond %u", string, ID_SHARD_COUNT);
        return false;
    }
    if (first >= end) {
        map_error_set(fault, "logical_shards: \"%s\": %" PRIu32 " is not above %" PRIu32, string,
                      end, first);
        return false;
    }
    draft->slices_start = id_shard_bound(first);
    draft->slices_end = id_shard_bound(end);
    return true;
}

static bool read_size(const json_t *value, struct draft *draft, struct map_error *fault)
{
    if (json_is_integer(value) && json_integer_value(value) < 0) {
        map_error_set(fault, "size: %" JSON_INTEGER_FORMAT " is below %d",
                      json_integer_value(value), MAP_SIZE_MIN);
        return false;
    }
    if (json_is_integer(value)) {
        draft->entry.size = (uint64_t)json_integer_value(value);
        return true;
    }
    if (!json_is_string(value)) {
        map_error_set(fault, "size: must be a text like \"1GiB\" or a whole number of bytes");
        return false;
    }
    const char *text = json_string_value(value);
    if (!size_parse(bytes_of(text, json_string_length(value)), &draft->entry.size)) {
        map_error_set(fault, "size: \"%s\" is no size like \"1GiB\", \"512MiB\" or \"100MB\"",
                      text);
        return false;
    }
    return true;
}

static bool read_when_full(const json_t *value, struct draft *draft, struct map_error *fault)
{
    char text[16];
    if (!read_string(value, "when_full", text, sizeof(text), fault)) {
        return false;
    }
    bool is_evict = strcmp(text, "evict") == 0;
    if (!is_evict && strcmp(text, "reject") != 0) {
        map_error_set(fault, "when_full: \"%s\" is not \"reject\" or \"evict\"", text);
        return false;
    }
    draft->entry.when_full = is_evict ? WHEN_FULL_EVICT : WHEN_FULL_REJECT;
    return true;
}

static bool read_host(const json_t *value, struct draft *draft, struct map_error *fault)
{
    struct address *address = &draft->entry.address;
    return read_string(value, "host", address->host, sizeof(address->host), fault);
}

static bool read_port(const json_t *value, struct draft *draft, struct map_error *fault)
{
    json_int_t port = json_integer_value(value);
    if (!json_is_integer(value) || port < 1 || port > UINT16_MAX) {
        map_error_set(fault, "port: must be a whole number from 1 to %d", UINT16_MAX);
        return false;
    }
    draft->entry.address.port = (uint16_t)port;
    return true;
}

static const struct field entry_fields[] = {
    {.name = "name", .read = read_name, .required = true},
    {.name = "start", .read = read_start},
    {.name = "end", .read = read_end},
    {.name = "logical_shards", .read = read_logical_shards},
    {.name = "size", .read = read_size, .required = true},
    {.name = "when_full", .read = read_when_full},
    {.name = "host", .read = read_host, .required = true},
    {.name = "port", .read = read_port, .required = true},
    {.name = "epoch", .type = JSON_STRING},
    {.name = "server", .type = JSON_STRING},
    {.name = "new", .type = JSON_TRUE},
    {.name = "move", .type = JSON_OBJECT},
};

/* shards and origin_ms are read by read_map. */
static const struct field map_fields[] = {
    {.name = "shards", .type = JSON_ARRAY, .required = true},
    {.name = "origin_ms", .type = JSON_INTEGER},
    {.name = "cluster", .type = JSON_STRING},
    {.name = "instance", .type = JSON_STRING},
    {.name = "revision", .type = JSON_STRING},
    {.name = "servers", .type = JSON_ARRAY},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool has_type(const json_t *value, json_type type)
{
    return type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == type;
}

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        break;
    }
    return "null";
}

static bool check_known(json_t *object, const struct field *fields, size_t field_count,
                        struct map_error *fault)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        size_t i = 0;
        while (i < field_count && strcmp(fields[i].name, name) != 0) {
            i++;
        }
        if (i == field_count) {
            map_error_set(fault, "unknown field \"%s\"", name);
            return false;
        }
    }
    return true;
}

/* Each field in the order of the table, so that the first fault is the same however it is written. */
static bool read_fields(json_t *object, const struct field *fields, size_t field_count,
                        struct draft *draft, struct map_error *fault)
{
    if (!json_is_object(object)) {
        map_error_set(fault, "must be an object");
        return false;
    }
    if (!check_known(object, fields, field_count, fault)) {
        return false;
    }
    for (size_t i = 0; i < field_count; i++) {
        const struct field *field = &fields[i];
        const json_t *value = json_object_get(object, field->name);
        if (!value && field->required) {
            map_error_set(fault, "%s: is missing", field->name);
            return false;
        }
        if (value && field->read && !field->read(value, draft, fault)) {
            return false;
        }
        if (value && !field->read && !has_type(value, field->type)) {
            map_error_set(fault, "%s: must be %s", field->name, type_name(field->type));
            return false;
        }
    }
    return true;
}

/* A bound that the file has, too, beside logical_shards, must be the same. */
static bool take_slices_bound(json_t *object, const char *field, uint64_t slices_bound,
                              uint64_t *bound, struct map_error *fault)
{
    if (!json_object_get(object, field) || *bound == slices_bound) {
        *bound = slices_bound;
        return true;
    }
    char slices_text[BOUND_TEXT_LEN];
    char text[BOUND_TEXT_LEN];
    bound_print(slices_bound, slices_text);
    bound_print(*bound, text);
    map_error_set(fault, "%s: %s, but logical_shards \"%s\" says %s: change both or leave one out",
                  field, text, json_string_value(json_object_get(object, "logical_shards")),
                  slices_text);
    return false;
}

/* start and end, or logical_shards, or all if they agree. */
static bool settle_bounds(json_t *object, struct draft *draft, struct map_error *fault)
{
    bool has_start = json_object_get(object, "start") != NULL;
    struct map_entry *entry = &draft->entry;
    if (json_object_get(object, "logical_shards")) {
        return take_slices_bound(object, "start", draft->slices_start, &entry->start, fault) &&
               take_slices_bound(object, "end", draft->slices_end, &entry->end, fault);
    }
    if (!has_start || !json_object_get(object, "end")) {
        map_error_set(fault, "%s: is missing", has_start ? "end" : "start");
        return false;
    }
    return true;
}

static bool read_entry(json_t *object, struct map_entry *entry, struct map_error *fault)
{
    struct draft draft = {0};
    if (!read_fields(object, entry_fields, COUNT(entry_fields), &draft, fault) ||
        !settle_bounds(object, &draft, fault) || !map_check_entry(&draft.entry, fault)) {
        return false;
    }
    *entry = draft.entry;
    return true;
}

static void set_entry_error(size_t index, const json_t *object, const struct map_error *fault,
                            struct map_error *error)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    if (name && *name) {
        map_error_set(error, "shards[%zu] \"%.*s\": %s", index, NAME_LEN_MAX, name, fault->text);
    } else {
        map_error_set(error, "shards[%zu]: %s", index, fault->text);
    }
}

static bool read_shards(const json_t *shards, struct map *map, struct map_error *error)
{
    size_t count = json_array_size(shards);
    if (count == 0 || count > MAP_SHARDS_MAX) {
        map_error_set(error, "shards: must have 1 to %d entries", MAP_SHARDS_MAX);
        return false;
    }
    map->entries = calloc(count, sizeof(*map->entries));
    if (!map->entries) {
        map_error_set(error, "out of memory");
        return false;
    }
    map->entry_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        json_t *object = json_array_get(shards, i);
        struct map_error fault;
        if (!read_entry(object, &map->entries[i], &fault)) {
            set_entry_error(i, object, &fault, error);
            return false;
        }
    }
    return map_check_names(map, error);
}

static bool read_origin(const json_t *value, struct map *map, struct map_error *error)
{
    json_int_t origin_ms = value ? json_integer_value(value) : (json_int_t)ID_ORIGIN_MS;
    if (origin_ms < 1 || (uint64_t)origin_ms > ORIGIN_MS_MAX) {
        map_error_set(error, "origin_ms: %" JSON_INTEGER_FORMAT " is not between 1 and %" PRIu64,
                      origin_ms, ORIGIN_MS_MAX);
        return false;
    }
    map->origin_ms = (uint64_t)origin_ms;
    return true;
}

static int compare_starts(const void *a, const void *b)
{
    const struct map_entry *left = a;
    const struct map_entry *right = b;
    return (left->start > right->start) - (left->start < right->start);
}

static bool read_map(json_t *root, struct map *map, struct map_error *error)
{
    struct map read = {0};
    bool is_fine = read_fields(root, map_fields, COUNT(map_fields), NULL, error) &&
                   read_origin(json_object_get(root, "origin_ms"), &read, error) &&
                   read_shards(json_object_get(root, "shards"), &read, error);
    if (is_fine) {
        qsort(read.entries, read.entry_count, sizeof(*read.entries), compare_starts);
        is_fine = map_check_tiling(&read, error);
    }
    if (!is_fine) {
        map_fini(&read);
        return false;
    }
    *map = read;
    return true;
}

bool map_parse(struct bytes json, struct map *map, struct map_error *error)
{
    json_error_t syntax;
    const char *text = json.len ? json.data : "";
    json_t *root = json_loadb(text, json.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &syntax);
    if (!root) {
        int column = syntax.column > 0 ? syntax.column : 1; /* 0 at the end of nothing */
        map_error_set(error, "line %d, column %d: %s", syntax.line, column, syntax.text);
        return false;
    }
    bool is_fine = read_map(root, map, error);
    json_decref(root);
    return is_fine;
}
