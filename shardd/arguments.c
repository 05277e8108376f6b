/* SPDX-License-Identifier: MIT */
#include "shardd/arguments.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "proto/table.h"

void show_name(struct bytes name, char shown[SHOWN_TEXT_LEN])
{
    const uint8_t *bytes = name.data;
    size_t len = 0;
    for (; len < name.len && len < SHOWN_TEXT_LEN - 1; len++) {
        shown[len] = '?';
        if (bytes[len] >= ' ' && bytes[len] <= '~') {
            shown[len] = (char)bytes[len];
        }
    }
    shown[len] = '\0';
}

void arguments_fail(struct arguments *arguments, enum status status, const char *format, ...)
{
    if (arguments->status != STATUS_OK) {
        return;
    }
    arguments->status = status;
    int len = snprintf(arguments->text, sizeof(arguments->text), "%s: ", arguments->method);
    va_list values;
    va_start(values, format);
    (void)vsnprintf(arguments->text + len, sizeof(arguments->text) - (size_t)len, format, values);
    va_end(values);
}

void arguments_begin(struct arguments *arguments, const char *method, struct bytes params,
                     uint32_t count_min, uint32_t count_max, const char *form)
{
    arguments->method = method;
    arguments->in = unpack_of(params);
    arguments->status = STATUS_OK;
    arguments->text[0] = '\0'; /* the rest is left as it is: this runs for each request */
    arguments->left = unpack_array(&arguments->in);
    if (arguments->left < count_min || arguments->left > count_max) {
        arguments_fail(arguments, STATUS_INVALID, "takes %s, %u given", form, arguments->left);
    }
}

/* The next one, if all was fine so far. */
static bool next(struct arguments *arguments)
{
    if (!arguments_are_fine(arguments)) {
        return false;
    }
    arguments->left--;
    return true;
}

static void check(struct arguments *arguments, const char *name, const char *wanted)
{
    if (!unpack_is_fine(&arguments->in)) {
        arguments_fail(arguments, STATUS_INVALID, "%s must be %s", name, wanted);
    }
}

struct bytes arguments_key(struct arguments *arguments)
{
    struct bytes none = {NULL, 0};
    if (!next(arguments)) {
        return none;
    }
    struct bytes key = unpack_text(&arguments->in);
    check(arguments, "key", "str or bin");
    if (arguments_are_fine(arguments) && key.len == 0) {
        arguments_fail(arguments, STATUS_INVALID, "key is empty");
    }
    if (key.len > KEY_LEN_MAX) {
        arguments_fail(arguments, STATUS_TOO_LARGE, "key has %zu bytes, at most %d are allowed",
                       key.len, KEY_LEN_MAX);
    }
    return arguments_are_fine(arguments) ? key : none;
}

struct bytes arguments_key_or_nil(struct arguments *arguments)
{
    struct bytes none = {NULL, 0};
    if (arguments_are_fine(arguments) && unpack_peek(&arguments->in) == UNPACK_NIL) {
        unpack_nil(&arguments->in);
        arguments->left--;
        return none;
    }
    return arguments_key(arguments);
}

struct bytes arguments_value(struct arguments *arguments)
{
    struct bytes none = {NULL, 0};
    if (!next(arguments)) {
        return none;
    }
    struct bytes value = unpack_skip(&arguments->in);
    if (!unpack_is_fine(&arguments->in)) {
        arguments_fail(arguments, STATUS_INVALID, "value: %s",
                       unpack_fault_text(arguments->in.fault));
    }
    if (value.len > VALUE_LEN_MAX) {
        arguments_fail(arguments, STATUS_TOO_LARGE, "value has %zu bytes, at most %u are allowed",
                       value.len, VALUE_LEN_MAX);
    }
    return arguments_are_fine(arguments) ? value : none;
}

uint64_t arguments_uint(struct arguments *arguments, const char *name)
{
    uint64_t number = next(arguments) ? unpack_uint(&arguments->in) : 0;
    check(arguments, name, "an integer from 0 to 2^64-1");
    return number;
}

uint64_t arguments_number(struct arguments *arguments, const char *name, uint64_t min, uint64_t max)
{
    char wanted[64];
    uint64_t number = next(arguments) ? unpack_uint_max(&arguments->in, max) : 0;
    if (number >= min && unpack_is_fine(&arguments->in)) {
        return number;
    }
    unpack_fail(&arguments->in, UNPACK_WRONG_TYPE);
    (void)snprintf(wanted, sizeof(wanted), "an integer from %llu to %llu", (unsigned long long)min,
                   (unsigned long long)max);
    check(arguments, name, wanted);
    return number;
}

struct bytes arguments_bin(struct arguments *arguments, const char *name)
{
    struct bytes bytes = next(arguments) ? unpack_text(&arguments->in) : bytes_of(NULL, 0);
    check(arguments, name, "bytes");
    return bytes;
}

int64_t arguments_int(struct arguments *arguments, const char *name)
{
    int64_t number = next(arguments) ? unpack_int(&arguments->in) : 0;
    check(arguments, name, "an integer from -2^63 to 2^63-1");
    return number;
}

/* --- options --- */

enum option_type {
    TYPE_BOOL,
    TYPE_NUMBER,   /* u64 */
    TYPE_POSITIVE, /* 1 to 2^63-1 */
    TYPE_TTL,      /* 1 to TTL_MS_MAX */
    TYPE_TEXT,     /* str or bin */
    TYPE_ID,       /* 16 bytes */
    TYPE_TABLE,    /* the name of one */
    TYPE_KIND,     /* u16 */
};

static const char *const type_texts[] = {
    [TYPE_BOOL] = "true or false",
    [TYPE_NUMBER] = "an integer from 0 to 2^64-1",
    [TYPE_POSITIVE] = "an integer from 1 to 2^63-1",
    [TYPE_TTL] = "an integer from 1 to 2^46",
    [TYPE_TEXT] = "str or bin",
    [TYPE_ID] = "bin of 16 bytes",
    [TYPE_TABLE] = "str or bin",
    [TYPE_KIND] = "an integer from 0 to 65535",
};

#define NAMED(name) (name), sizeof(name) - 1

static const struct option_form {
    const char *name;
    size_t name_len;
    enum option option;
    enum option_type type;
    size_t offset; /* in struct option_values */
} option_forms[] = {
    {NAMED("table"), OPTION_TABLE, TYPE_TABLE, offsetof(struct option_values, table)},
    {NAMED("kind"), OPTION_KIND, TYPE_KIND, offsetof(struct option_values, kind)},
    {NAMED("if_absent"), OPTION_IF_ABSENT, TYPE_BOOL, offsetof(struct option_values, if_absent)},
    {NAMED("if_present"), OPTION_IF_PRESENT, TYPE_BOOL, offsetof(struct option_values, if_present)},
    {NAMED("if_version"), OPTION_IF_VERSION, TYPE_NUMBER,
     offsetof(struct option_values, if_version)},
    {NAMED("client"), OPTION_CLIENT, TYPE_ID, offsetof(struct option_values, identity.client)},
    {NAMED("seq"), OPTION_SEQ, TYPE_POSITIVE, offsetof(struct option_values, identity.seq)},
    {NAMED("done"), OPTION_DONE, TYPE_POSITIVE, offsetof(struct option_values, identity.done)},
    {NAMED("epoch"), OPTION_EPOCH, TYPE_NUMBER, offsetof(struct option_values, epoch)},
    {NAMED("deadline_ms"), OPTION_DEADLINE_MS, TYPE_NUMBER,
     offsetof(struct option_values, deadline_ms)},
    {NAMED("limit"), OPTION_LIMIT, TYPE_POSITIVE, offsetof(struct option_values, limit)},
    {NAMED("prefix"), OPTION_PREFIX, TYPE_TEXT, offsetof(struct option_values, prefix)},
    {NAMED("keys_only"), OPTION_KEYS_ONLY, TYPE_BOOL, offsetof(struct option_values, keys_only)},
    {NAMED("skip_damaged"), OPTION_SKIP_DAMAGED, TYPE_BOOL,
     offsetof(struct option_values, skip_damaged)},
    {NAMED("cluster"), OPTION_CLUSTER, TYPE_ID, offsetof(struct option_values, cluster)},
    {NAMED("role"), OPTION_ROLE, TYPE_TEXT, offsetof(struct option_values, role)},
    {NAMED("instance"), OPTION_INSTANCE, TYPE_ID, offsetof(struct option_values, instance)},
    {NAMED("term"), OPTION_TERM, TYPE_NUMBER, offsetof(struct option_values, term)},
    {NAMED("revision"), OPTION_REVISION, TYPE_NUMBER, offsetof(struct option_values, revision)},
    {NAMED("expect"), OPTION_EXPECT, TYPE_ID, offsetof(struct option_values, expect)},
    {NAMED("seen_incarnation"), OPTION_SEEN_INCARNATION, TYPE_NUMBER,
     offsetof(struct option_values, seen_incarnation)},
    {NAMED("seen_start"), OPTION_SEEN_START, TYPE_NUMBER,
     offsetof(struct option_values, seen_start)},
    {NAMED("ttl_ms"), OPTION_TTL_MS, TYPE_TTL, offsetof(struct option_values, ttl_ms)},
    {NAMED("left_ms"), OPTION_LEFT_MS, TYPE_TTL, offsetof(struct option_values, left_ms)},
    {NAMED("sliding"), OPTION_SLIDING, TYPE_BOOL, offsetof(struct option_values, sliding)},
};

static const struct option_form *find_form(struct bytes name, uint32_t allowed)
{
    for (size_t i = 0; i < sizeof(option_forms) / sizeof(option_forms[0]); i++) {
        const struct option_form *form = &option_forms[i];
        if ((form->option & allowed) && bytes_equal(name, bytes_of(form->name, form->name_len))) {
            return form;
        }
    }
    return NULL;
}

static void refuse_table(struct arguments *arguments, struct bytes name)
{
    char shown[SHOWN_TEXT_LEN];
    char all[ARGUMENTS_TEXT_LEN] = "";
    size_t len = 0;
    const char *one;
    for (size_t i = 0; (one = table_name_at(i)) && len < sizeof(all); i++) {
        len += (size_t)snprintf(all + len, sizeof(all) - len, "%s\"%s\"", i > 0 ? ", " : "", one);
    }
    show_name(name, shown);
    arguments_fail(arguments, STATUS_NO_TABLE, "there is no table \"%s\", only %s", shown, all);
}

static void take_table(struct arguments *arguments, uint16_t *table)
{
    struct bytes name = unpack_text(&arguments->in);
    if (unpack_is_fine(&arguments->in) && !table_find(name, table)) {
        refuse_table(arguments, name);
    }
}

static void take_id(struct unpack *in, uint8_t *id)
{
    struct bytes bytes = unpack_text(in);
    if (bytes.len != ID_LEN) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
        return;
    }
    memcpy(id, bytes.data, ID_LEN);
}

void arguments_id(struct arguments *arguments, const char *name, uint8_t id[ID_LEN])
{
    if (next(arguments)) {
        take_id(&arguments->in, id);
    }
    check(arguments, name, type_texts[TYPE_ID]);
}

static uint64_t take_positive(struct unpack *in, uint64_t max)
{
    uint64_t number = unpack_uint_max(in, max);
    if (number == 0) {
        unpack_fail(in, UNPACK_WRONG_TYPE);
    }
    return number;
}

uint64_t arguments_ttl_or_nil(struct arguments *arguments)
{
    uint64_t ttl_ms = 0;
    if (!next(arguments)) {
        return 0;
    }
    if (unpack_peek(&arguments->in) == UNPACK_NIL) {
        unpack_nil(&arguments->in);
    } else {
        ttl_ms = take_positive(&arguments->in, TTL_MS_MAX);
    }
    check(arguments, "ttl_ms", "nil or an integer from 1 to 2^46");
    return ttl_ms;
}

static void take_option(struct arguments *arguments, const struct option_form *form,
                        struct option_values *values)
{
    struct unpack *in = &arguments->in;
    void *value = (uint8_t *)values + form->offset;
    switch (form->type) {
    case TYPE_BOOL:
        *(bool *)value = unpack_bool(in);
        break;
    case TYPE_NUMBER:
        *(uint64_t *)value = unpack_uint(in);
        break;
    case TYPE_POSITIVE:
        *(uint64_t *)value = take_positive(in, INT64_MAX);
        break;
    case TYPE_TTL:
        *(uint64_t *)value = take_positive(in, TTL_MS_MAX);
        break;
    case TYPE_TEXT:
        *(struct bytes *)value = unpack_text(in);
        break;
    case TYPE_ID:
        take_id(in, value);
        break;
    case TYPE_TABLE:
        take_table(arguments, value);
        break;
    case TYPE_KIND:
        *(uint16_t *)value = (uint16_t)unpack_uint_max(in, UINT16_MAX);
        break;
    }
    check(arguments, form->name, type_texts[form->type]);
}

static void take_pair(struct arguments *arguments, uint32_t allowed, struct option_values *values)
{
    struct bytes name = unpack_text(&arguments->in);
    check(arguments, "an option's name", "str");
    if (!arguments_are_fine(arguments)) {
        return;
    }
    const struct option_form *form = find_form(name, allowed);
    if (!form) {
        char shown[SHOWN_TEXT_LEN];
        show_name(name, shown);
        bool exists = find_form(name, UINT32_MAX) != NULL;
        arguments_fail(arguments, STATUS_INVALID,
                       exists ? "does not take option \"%s\"" : "unknown option \"%s\"", shown);
    } else if (values->given & form->option) {
        arguments_fail(arguments, STATUS_INVALID, "option \"%s\" is given twice", form->name);
    } else {
        values->given |= form->option;
        take_option(arguments, form, values);
    }
}

/* What must hold between them. */
static void check_options(struct arguments *arguments, const struct option_values *values)
{
    uint32_t retry = values->given & OPTIONS_RETRY;
    if (retry != 0 && retry != OPTIONS_RETRY) {
        arguments_fail(arguments, STATUS_INVALID, "client, seq and done go together or not at all");
    }
    if (values->identity.done > values->identity.seq) {
        arguments_fail(arguments, STATUS_INVALID, "done is above seq");
    }
    if ((values->given & OPTION_IF_VERSION) && values->if_version == 0) {
        arguments_fail(arguments, STATUS_INVALID, "if_version is 0, which no record has");
    }
    if (values->if_absent && (values->given & OPTION_IF_VERSION)) {
        arguments_fail(arguments, STATUS_INVALID, "if_absent and if_version exclude each other");
    }
    if (values->if_absent && values->if_present) {
        arguments_fail(arguments, STATUS_INVALID, "if_absent and if_present exclude each other");
    }
}

const struct option_values *arguments_options(struct arguments *arguments, uint32_t allowed,
                                              struct option_values *values)
{
    static const struct option_values none;
    if (!arguments_are_fine(arguments) || arguments->left == 0) {
        return &none;
    }
    *values = (struct option_values){0};
    arguments->left--;
    uint32_t pair_count = unpack_map(&arguments->in);
    check(arguments, "options", "a map");
    for (uint32_t i = 0; i < pair_count && arguments_are_fine(arguments); i++) {
        take_pair(arguments, allowed, values);
    }
    check_options(arguments, values);
    return values;
}

static bool is_map(struct bytes value)
{
    struct unpack in = unpack_of(value);
    return unpack_peek(&in) == UNPACK_MAP;
}

struct bytes arguments_document(struct arguments *arguments)
{
    struct bytes document = arguments_value(arguments);
    if (arguments_are_fine(arguments) && !is_map(document)) {
        arguments_fail(arguments, STATUS_INVALID, "document: it must be a map");
    }
    return document;
}

/* A scan may begin without a key. */
static void check_entity(struct arguments *arguments, const struct op *op)
{
    const char *table = table_name(op->table);
    if (op->key.len != ID_KEY_LEN && (op->kind != OP_SCAN || op->key.len > 0)) {
        arguments_fail(arguments, STATUS_INVALID, "key: an id of table \"%s\" has %d bytes", table,
                       ID_KEY_LEN);
    }
    if (op->kind == OP_WRITE && !is_map(op->value)) {
        arguments_fail(arguments, STATUS_INVALID, "value: a record of table \"%s\" is a map",
                       table);
    }
    if (op->kind == OP_INCR) {
        arguments_fail(arguments, STATUS_INVALID, "a record of table \"%s\" is a map, no integer",
                       table);
    }
}

void arguments_table(struct arguments *arguments, const struct option_values *options,
                     struct op *op)
{
    op->table = options->table;
    op->has_kind = options->given & OPTION_KIND;
    op->record_kind = options->kind;
    if (op->kind != OP_SCAN) {
        op->point = table_point(op->table, op->key);
    }
    if (table_has_ids(op->table)) {
        check_entity(arguments, op);
    } else if (op->has_kind && op->kind != OP_SCAN) {
        arguments_fail(arguments, STATUS_INVALID, "kind: a record of table \"%s\" has none",
                       table_name(op->table));
    }
}

void arguments_expiry(struct arguments *arguments, const struct option_values *options,
                      struct op *op)
{
    if (op->kind == OP_WRITE || op->kind == OP_PUT) {
        op->ttl_ms = options->ttl_ms;
    }
    op->left_ms = options->left_ms;
    op->is_sliding = options->sliding;
    if (op->is_sliding && op->ttl_ms == 0) {
        arguments_fail(arguments, STATUS_INVALID, "sliding needs ttl_ms");
    }
    if (op->left_ms > 0 && op->ttl_ms == 0) {
        arguments_fail(arguments, STATUS_INVALID, "left_ms needs ttl_ms");
    }
    if (op->left_ms > op->ttl_ms) {
        arguments_fail(arguments, STATUS_INVALID, "left_ms is above ttl_ms");
    }
}
