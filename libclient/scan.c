/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "libclient/client.h"
#include "libclient/cursor.h"
#include "libclient/error.h"
#include "libclient/exchange.h"
#include "libclient/result.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "proto/table.h"

/*
 * A scan goes page by page: each is one request to whoever owns the point where the cursor stands,
 * so that it follows moves by itself.
 */

enum { PAGE_FIELDS = 3, CURSOR_FIELDS = 2, DAMAGED_FIELDS = 3, WHY_LEN = 160 };

struct skv_scan {
    struct skv *kv;
    char table[NAME_LEN_MAX + 1]; /* "": the default */
    uint16_t table_number;
    uint8_t prefix[KEY_LEN_MAX];
    size_t prefix_len;
    bool keys_only;
    bool has_kind;
    uint16_t kind;
    uint32_t timeout_ms;
    void (*on_damaged)(void *context, struct skv_bytes key, uint64_t point, const char *why);
    void *on_damaged_context;

    struct cursor at; /* behind the last record given */
    struct skv_record page;
    struct unpack records; /* at the first of the page that is not yet given */
    uint32_t record_count; /* of those */
    bool has_page;
    struct cursor page_end; /* where to go on behind it */

    struct skv_record record; /* the last given; points into the page */
    char text[CURSOR_TEXT_LEN];
    struct skv_error error; /* status SKV_OK: none yet */
};

static enum skv_status check_options(const struct skv_scan_options *options)
{
    for (size_t i = 0; i < sizeof(options->reserved) / sizeof(options->reserved[0]); i++) {
        if (options->reserved[i] != 0) {
            return error_say(SKV_INVALID, "scan: a reserved field of skv_scan_options is not 0");
        }
    }
    if (options->table && (!options->table[0] || strlen(options->table) > NAME_LEN_MAX)) {
        return error_say(SKV_INVALID, "scan: the name of a table has 1 to %d bytes", NAME_LEN_MAX);
    }
    if (options->prefix.len > KEY_LEN_MAX) {
        return error_say(SKV_INVALID, "scan: the prefix has more than %d bytes", KEY_LEN_MAX);
    }
    struct cursor cursor;
    if (options->cursor && !cursor_parse(options->cursor, &cursor)) {
        return error_say(SKV_INVALID, "scan: \"%.64s\" is no cursor: skv_scan_cursor gives them",
                         options->cursor);
    }
    return SKV_OK;
}

static void take_options(struct skv_scan *scan, const struct skv_scan_options *options)
{
    if (options->table) {
        memcpy(scan->table, options->table, strlen(options->table));
        (void)table_find(bytes_text(scan->table),
                         &scan->table_number); /* else the server says so */
    }
    if (options->prefix.len > 0) {
        memcpy(scan->prefix, options->prefix.data, options->prefix.len);
    }
    scan->prefix_len = options->prefix.len;
    scan->keys_only = options->keys_only;
    scan->has_kind = options->has_kind;
    scan->kind = options->kind;
    scan->timeout_ms = options->timeout_ms;
    scan->on_damaged = options->on_damaged;
    scan->on_damaged_context = options->on_damaged_context;
    if (options->cursor) {
        (void)cursor_parse(options->cursor, &scan->at); /* checked before */
    }
}

enum skv_status skv_scan_open(struct skv *kv, const struct skv_scan_options *options,
                              struct skv_scan **scan)
{
    static const struct skv_scan_options defaults;
    options = options ? options : &defaults;
    enum skv_status status = check_options(options);
    if (status != SKV_OK) {
        return status;
    }
    struct skv_scan *opened = calloc(1, sizeof(*opened));
    if (!opened) {
        return error_say(SKV_NO_MEMORY, "scan: out of memory");
    }
    opened->kv = kv;
    take_options(opened, options);
    if (opened->timeout_ms == 0) {
        opened->timeout_ms = client_enter(kv)->options.timeout_ms;
    }
    *scan = opened;
    return SKV_OK;
}

static void prepare(const struct skv_scan *scan, struct task *task)
{
    task_prepare_raw(task, TASK_SCAN, NULL, scan->timeout_ms);
    task->target = TARGET_OWNER;
    task->point = scan->at.point;
    pack_uint(&task->arguments, scan->at.point);
    if (scan->at.key_len > 0) {
        pack_bin(&task->arguments, bytes_of(scan->at.key, scan->at.key_len));
    } else {
        pack_nil(&task->arguments);
    }
    task->argument_count = 2;
    task->arguments_len = task->arguments.len;
    if (scan->table[0]) {
        pack_text(task_option(task, "table"), scan->table);
    }
    if (scan->prefix_len > 0) {
        pack_bin(task_option(task, "prefix"), bytes_of(scan->prefix, scan->prefix_len));
    }
    if (scan->keys_only) {
        pack_bool(task_option(task, "keys_only"), true);
    }
    if (scan->has_kind) {
        pack_uint(task_option(task, "kind"), scan->kind);
    }
    if (scan->on_damaged) {
        pack_bool(task_option(task, "skip_damaged"), true);
    }
}

/* Where the page ends: its own cursor, or the end of the range that its server owns. */
static void unpack_page_end(struct unpack *in, struct cursor *end)
{
    struct cursor found = {.is_end = false};
    bool has_cursor = unpack_peek(in) != UNPACK_NIL;
    if (has_cursor) {
        if (unpack_array(in) != CURSOR_FIELDS) {
            unpack_fail(in, UNPACK_WRONG_TYPE);
        }
        uint64_t point = unpack_uint(in);
        bool has_key = unpack_peek(in) != UNPACK_NIL; /* without: all at that point comes */
        struct bytes key = has_key ? unpack_text(in) : bytes_of(NULL, 0);
        if (!has_key) {
            unpack_nil(in);
        }
        if (key.len > KEY_LEN_MAX) {
            unpack_fail(in, UNPACK_WRONG_TYPE);
            return;
        }
        cursor_set(&found, point, key);
    } else {
        unpack_nil(in);
    }
    uint64_t bound = unpack_uint_max(in, BOUND_END);
    if (!has_cursor) {
        found.is_end = bound == BOUND_END;
        found.point = found.is_end ? 0 : point_of_bound(bound);
    }
    *end = found;
}

/* Field by field: a value may have all the depth that unpack_skip goes to. */
static void skip_records(struct unpack *in, uint32_t record_count)
{
    for (uint32_t i = 0; i < record_count && unpack_is_fine(in); i++) {
        uint32_t field_count = unpack_array(in);
        for (uint32_t j = 0; j < field_count && unpack_is_fine(in); j++) {
            (void)unpack_skip(in);
        }
    }
}

static void tell_damaged(const struct skv_scan *scan, struct unpack *in)
{
    uint32_t count = unpack_array(in);
    for (uint32_t i = 0; i < count && unpack_is_fine(in); i++) {
        char why[WHY_LEN];
        uint32_t field_count = unpack_array(in);
        uint64_t point = unpack_uint(in);
        struct bytes key = unpack_text(in);
        struct bytes text = unpack_text(in);
        for (uint32_t j = DAMAGED_FIELDS; j < field_count && unpack_is_fine(in); j++) {
            (void)unpack_skip(in);
        }
        (void)snprintf(why, sizeof(why), "%.*s", (int)(text.len < WHY_LEN ? text.len : WHY_LEN),
                       (const char *)text.data);
        if (field_count >= DAMAGED_FIELDS && unpack_is_fine(in)) {
            scan->on_damaged(scan->on_damaged_context, (struct skv_bytes){key.data, key.len}, point,
                             why);
        }
    }
}

static bool open_page(struct skv_scan *scan)
{
    struct unpack in = unpack_of(bytes_of(scan->page.encoded.data, scan->page.encoded.len));
    uint32_t field_count = unpack_array(&in);
    if (field_count < PAGE_FIELDS + (scan->on_damaged != NULL)) {
        return false;
    }
    scan->record_count = unpack_array(&in);
    scan->records = in;
    skip_records(&in, scan->record_count);
    unpack_page_end(&in, &scan->page_end);
    if (scan->on_damaged) {
        tell_damaged(scan, &in);
    }
    /* Going on where it has been before would never end. */
    scan->has_page = unpack_is_fine(&in) && cursor_is_before(&scan->at, &scan->page_end);
    return scan->has_page;
}

static void fail(struct skv_scan *scan)
{
    scan->error = *skv_error();
}

static void fail_malformed(struct skv_scan *scan)
{
    (void)error_say(SKV_UNAVAILABLE, "scan: a server sent a malformed page");
    fail(scan);
}

static void fetch_page(struct skv_scan *scan)
{
    struct task task;
    prepare(scan, &task);
    task.record = &scan->page;
    if (task.arguments.failed) {
        (void)error_say(SKV_NO_MEMORY, "scan: out of memory");
        fail(scan);
    } else {
        exchange_run(client_enter(scan->kv), &task, 1);
        if (task_report(&task) != SKV_OK) {
            fail(scan);
        } else if (!open_page(scan)) {
            fail_malformed(scan);
        }
    }
    task_fini(&task);
}

const struct skv_record *skv_scan_next(struct skv_scan *scan)
{
    while (scan->error.status == SKV_OK && !scan->at.is_end) {
        if (!scan->has_page) {
            fetch_page(scan);
        } else if (scan->record_count == 0) {
            scan->at = scan->page_end;
            scan->has_page = false;
        } else if (!result_unpack_record(&scan->records, scan->table_number, &scan->record)) {
            fail_malformed(scan);
        } else {
            const struct skv_bytes key = scan->record.key;
            scan->record_count--;
            cursor_set(&scan->at, scan->record.point, bytes_of(key.data, key.len));
            return &scan->record;
        }
    }
    return NULL;
}

const char *skv_scan_cursor(struct skv_scan *scan)
{
    cursor_print(&scan->at, scan->text);
    return scan->text;
}

enum skv_status skv_scan_close(struct skv_scan *scan)
{
    enum skv_status status = scan->error.status;
    if (status != SKV_OK) {
        (void)error_set(&scan->error);
    }
    skv_record_fini(&scan->page);
    free(scan);
    return status;
}
