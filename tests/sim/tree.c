/* SPDX-License-Identifier: MIT */
#include "shardd/tree.h"

#include "tests/sim/disk.h"
#include "tests/sim/forest.h"
#include "tests/sim/heap.h"

#include <assert.h>
#include <stdlib.h>

struct entry {
    size_t key_len;
    size_t value_len;
    uint8_t data[]; /* key, value */
};

struct list {
    struct entry **entries; /* by key */
    size_t count;
    size_t capacity;
};

/* What a database held under a key before a change. */
struct undo {
    struct undo *next; /* the change before */
    enum tree_database database;
    struct entry *before; /* NULL: nothing */
    struct entry *after;  /* NULL: nothing; the list's, not ours */
};

struct commit {
    struct commit *next; /* a later one */
    uint64_t begun_us;
    uint64_t durable_us;
    struct undo *undo;
};

struct forest {
    struct node *node;
    bool is_there;
    struct list lists[TREE_DATABASE_COUNT];
    struct commit *pending; /* oldest first */
    struct undo *open;      /* of the writing transaction, newest first */
};

struct tree {
    struct forest *forest;
    struct tree_txn *readers; /* linked by next */
    bool is_written;          /* there is a writing transaction */
    const char *fault_text;
};

struct tree_txn {
    struct tree *tree;
    struct tree_txn *next;
    bool is_writing;
    enum tree_fault fault;
    /* A reader's version: the forest's, until somebody changes that. */
    bool is_detached;
    struct list version[TREE_DATABASE_COUNT];
};

struct tree_cursor {
    const struct tree_txn *txn;
    const struct list *list;
    size_t index;
};

/* --- lists --- */

static struct bytes key_of(const struct entry *entry)
{
    return bytes_of(entry->data, entry->key_len);
}

static struct bytes value_of(const struct entry *entry)
{
    return bytes_of(entry->data + entry->key_len, entry->value_len);
}

/* The first at or behind `key`. */
static size_t find(const struct list *list, struct bytes key, bool *is_found)
{
    size_t low = 0;
    size_t high = list->count;
    *is_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(key_of(list->entries[middle]), key);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *is_found |= order == 0;
        }
    }
    return low;
}

static void insert(struct list *list, size_t index, struct entry *entry)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->entries = world_resize(list->entries, list->capacity * sizeof(struct entry *));
    }
    memmove(&list->entries[index + 1], &list->entries[index],
            (list->count - index) * sizeof(struct entry *));
    list->entries[index] = entry;
    list->count++;
}

static void take_out(struct list *list, size_t index)
{
    list->count--;
    memmove(&list->entries[index], &list->entries[index + 1],
            (list->count - index) * sizeof(struct entry *));
}

/* Puts `entry` (NULL: nothing) under its or the present one's key; what was there is the caller's. */
static struct entry *exchange(struct list *list, struct bytes key, struct entry *entry)
{
    bool is_found;
    size_t index = find(list, key, &is_found);
    struct entry *before = is_found ? list->entries[index] : NULL;
    if (entry && is_found) {
        list->entries[index] = entry;
    } else if (entry) {
        insert(list, index, entry);
    } else if (is_found) {
        take_out(list, index);
    }
    return before;
}

/* --- commits and their undoing --- */

static void free_undo(struct undo *undo)
{
    while (undo) {
        struct undo *next = undo->next;
        world_put(undo->before);
        world_put(undo);
        undo = next;
    }
}

static void roll_back(struct forest *forest, struct undo *undo)
{
    while (undo) {
        struct undo *next = undo->next;
        struct bytes key = key_of(undo->before ? undo->before : undo->after);
        world_put(exchange(&forest->lists[undo->database], key, undo->before));
        world_put(undo);
        undo = next;
    }
}

static void roll_back_open(struct forest *forest)
{
    roll_back(forest, forest->open);
    forest->open = NULL;
}

static void settle(struct forest *forest, uint64_t now_us)
{
    while (forest->pending && forest->pending->durable_us <= now_us) {
        struct commit *commit = forest->pending;
        forest->pending = commit->next;
        free_undo(commit->undo);
        world_put(commit);
    }
}

/* The newest first. */
static void roll_back_commits(struct forest *forest, struct commit *commit)
{
    if (!commit) {
        return;
    }
    roll_back_commits(forest, commit->next);
    count(COUNT_COMMIT_LOST);
    roll_back(forest, commit->undo);
    world_put(commit);
}

struct forest *forest_new(struct node *node)
{
    struct forest *forest = world_get(1, sizeof *forest);
    forest->node = node;
    return forest;
}

void forest_free(struct forest *forest)
{
    settle(forest, UINT64_MAX);
    for (int i = 0; i < TREE_DATABASE_COUNT; i++) {
        for (size_t j = 0; j < forest->lists[i].count; j++) {
            world_put(forest->lists[i].entries[j]);
        }
        world_put(forest->lists[i].entries);
    }
    world_put(forest);
}

void forest_move(struct forest *forest, struct node *node)
{
    forest->node = node;
}

bool forest_is_there(const struct forest *forest)
{
    return forest->is_there;
}

void forest_end_process(struct forest *forest, bool is_settled)
{
    roll_back_open(forest);
    settle(forest, is_settled ? UINT64_MAX : world_now_us());
    while (forest->pending && forest->pending->begun_us <= world_now_us() && world_below(2)) {
        count(COUNT_COMMIT_KEPT);
        settle(forest, forest->pending->durable_us);
    }
    struct commit *lost = forest->pending;
    forest->pending = NULL;
    roll_back_commits(forest, lost);
}

/* --- transactions --- */

struct tree *tree_open(const char *path, char *error, size_t error_len)
{
    (void)path;
    (void)error;
    (void)error_len;
    struct tree *tree = calloc(1, sizeof *tree);
    assert(tree);
    tree->forest = disk_forest(world_current()->disk);
    tree->forest->is_there = true;
    tree->fault_text = "";
    return tree;
}

void tree_close(struct tree *tree)
{
    if (tree) {
        assert(!tree->readers && !tree->is_written);
        free(tree);
    }
}

static struct tree_txn *begin(struct tree *tree, bool is_writing)
{
    struct tree_txn *txn = calloc(1, sizeof *txn);
    assert(txn);
    txn->tree = tree;
    txn->is_writing = is_writing;
    return txn;
}

struct tree_txn *tree_begin_write(struct tree *tree)
{
    assert(!tree->is_written);
    tree->is_written = true;
    return begin(tree, true);
}

struct tree_txn *tree_begin_read(struct tree *tree)
{
    struct tree_txn *txn = begin(tree, false);
    txn->next = tree->readers;
    tree->readers = txn;
    return txn;
}

static void copy_list(const struct list *list, struct list *copy)
{
    copy->entries = calloc(list->count + 1, sizeof(struct entry *));
    assert(copy->entries);
    copy->count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        const struct entry *entry = list->entries[i];
        size_t len = sizeof *entry + entry->key_len + entry->value_len;
        copy->entries[i] = malloc(len);
        assert(copy->entries[i]);
        memcpy(copy->entries[i], entry, len);
    }
}

/* What is changed now, readers still see as it was. */
static void detach_readers(struct tree *tree)
{
    for (struct tree_txn *txn = tree->readers; txn; txn = txn->next) {
        if (!txn->is_detached) {
            for (int i = 0; i < TREE_DATABASE_COUNT; i++) {
                copy_list(&tree->forest->lists[i], &txn->version[i]);
            }
            txn->is_detached = true;
            count(COUNT_READER_KEPT);
        }
    }
}

static void free_version(struct tree_txn *txn)
{
    for (int i = 0; i < TREE_DATABASE_COUNT; i++) {
        for (size_t j = 0; j < txn->version[i].count; j++) {
            free(txn->version[i].entries[j]);
        }
        free(txn->version[i].entries);
    }
}

static void end(struct tree_txn *txn)
{
    if (txn->is_writing) {
        txn->tree->is_written = false;
    } else {
        struct tree_txn **link = &txn->tree->readers;
        while (*link != txn) {
            link = &(*link)->next;
        }
        *link = txn->next;
    }
    free_version(txn);
    free(txn);
}

/* Until then a crash may undo it. */
static void keep_undo(struct forest *forest, uint64_t begun_us, uint64_t durable_us)
{
    struct commit *commit = world_get(1, sizeof *commit);
    commit->begun_us = begun_us;
    commit->durable_us = durable_us;
    commit->undo = forest->open;
    forest->open = NULL;
    struct commit **link = &forest->pending;
    while (*link) {
        link = &(*link)->next;
    }
    *link = commit;
}

static void fail(struct tree_txn *txn, enum tree_fault fault)
{
    txn->fault = fault;
    txn->tree->fault_text = fault == TREE_BROKEN ? "Input/output error" : "No space left on device";
    if (fault == TREE_BROKEN) {
        txn->tree->forest->node->fault_count++;
    } else {
        txn->tree->forest->node->full_count++;
    }
    count(fault == TREE_BROKEN ? COUNT_TREE_BROKEN : COUNT_TREE_NO_SPACE);
}

/* The sweep is who writes how far all is applied. */
static void count_sweep(const struct undo *undo)
{
    bool has_records = false;
    bool has_meta = false;
    for (; undo; undo = undo->next) {
        has_records |= undo->database == TREE_RECORDS;
        has_meta |= undo->database == TREE_META;
    }
    if (has_meta) {
        count(has_records ? COUNT_SWEEP : COUNT_SWEEP_APPLIED);
    }
}

enum tree_fault tree_commit(struct tree_txn *txn)
{
    struct forest *forest = txn->tree->forest;
    struct node *node = forest->node;
    assert(txn->is_writing);
    settle(forest, world_now_us());
    if (txn->fault == TREE_FINE && world_chance(world_swarm()->no_space_ppm)) {
        fail(txn, TREE_NO_SPACE);
    }
    if (txn->fault == TREE_FINE) {
        count_sweep(forest->open);
    }
    if (txn->fault != TREE_FINE) {
        roll_back_open(forest);
    } else if (world_chance(5 * world_swarm()->io_error_ppm)) {
        fail(txn, TREE_BROKEN);
        keep_undo(forest, node->in_job ? node->io_done_us : world_now_us(), UINT64_MAX);
    } else if (node->in_job) {
        uint64_t begun_us = node->io_done_us;
        node->io_done_us += world_around(world_swarm()->io_us);
        keep_undo(forest, begun_us, node->io_done_us);
    } else {
        free_undo(forest->open);
        forest->open = NULL;
    }
    enum tree_fault fault = txn->fault;
    end(txn);
    return fault;
}

void tree_abort(struct tree_txn *txn)
{
    if (txn->is_writing) {
        roll_back_open(txn->tree->forest);
    }
    end(txn);
}

enum tree_fault tree_txn_fault(const struct tree_txn *txn)
{
    return txn->fault;
}

const char *tree_fault_text(const struct tree *tree)
{
    return tree->fault_text;
}

static struct list *list_of(struct tree_txn *txn, enum tree_database database)
{
    return txn->is_detached ? &txn->version[database] : &txn->tree->forest->lists[database];
}

bool tree_get(struct tree_txn *txn, enum tree_database database, struct bytes key,
              struct bytes *value)
{
    bool is_found;
    const struct list *list = list_of(txn, database);
    size_t index = find(list, key, &is_found);
    if (!is_found || txn->fault != TREE_FINE) {
        return false;
    }
    *value = value_of(list->entries[index]);
    return true;
}

static void change(struct tree_txn *txn, enum tree_database database, struct bytes key,
                   struct entry *entry)
{
    struct forest *forest = txn->tree->forest;
    detach_readers(txn->tree);
    struct undo *undo = world_get(1, sizeof *undo);
    undo->next = forest->open;
    undo->database = database;
    undo->after = entry;
    undo->before = exchange(list_of(txn, database), key, entry);
    forest->open = undo;
}

/* On a full disk pages that are free take what does not grow; so most of it fails, not all. */
static bool has_no_room(struct tree_txn *txn)
{
    if (txn->tree->forest->node->is_disk_full && world_below(4) == 0) {
        count(COUNT_TREE_FULL);
        return true;
    }
    return world_chance(world_swarm()->no_space_ppm);
}

void tree_put(struct tree_txn *txn, enum tree_database database, struct bytes key,
              struct bytes head, struct bytes tail)
{
    assert(txn->is_writing);
    if (txn->fault == TREE_FINE && has_no_room(txn)) {
        fail(txn, TREE_NO_SPACE);
    }
    if (txn->fault != TREE_FINE) {
        return;
    }
    struct entry *entry = world_get(1, sizeof *entry + key.len + head.len + tail.len);
    entry->key_len = key.len;
    entry->value_len = head.len + tail.len;
    memcpy(entry->data, key.data, key.len);
    if (head.len) {
        memcpy(entry->data + key.len, head.data, head.len);
    }
    if (tail.len) {
        memcpy(entry->data + key.len + head.len, tail.data, tail.len);
    }
    change(txn, database, key, entry);
}

/* NOLINTNEXTLINE(readability-function-size): where, what, and unless what is there */
void tree_put_newer(struct tree_txn *txn, enum tree_database database, struct bytes key,
                    struct bytes head, struct bytes tail, tree_is_newer *is_newer,
                    const void *context)
{
    struct bytes stored;
    if (!tree_get(txn, database, key, &stored) || !is_newer(stored, context)) {
        tree_put(txn, database, key, head, tail);
    }
}

void tree_put_next(struct tree_txn *txn, enum tree_database database, struct bytes key,
                   struct bytes value, tree_is_newer *is_newer, const void *context)
{
    tree_put_newer(txn, database, key, value, bytes_of(NULL, 0), is_newer, context);
}

void tree_delete_older(struct tree_txn *txn, enum tree_database database, struct bytes key,
                       tree_is_newer *is_newer, const void *context)
{
    struct bytes stored;
    if (tree_get(txn, database, key, &stored) && !is_newer(stored, context)) {
        count(COUNT_TOMBSTONE);
        (void)tree_delete(txn, database, key);
    }
}

/* It has no free pages. */
bool tree_compact(const char *path, uint64_t *before, uint64_t *after, char *error,
                  size_t error_len)
{
    (void)path;
    (void)error;
    (void)error_len;
    *before = *after = 0;
    return true;
}

/* None is damaged. */
struct tree *tree_open_damaged(const char *path, char *error, size_t error_len)
{
    (void)path;
    (void)error;
    (void)error_len;
    return NULL;
}

bool tree_find_databases(struct tree *damaged)
{
    (void)damaged;
    return false;
}

struct tree *tree_open_beside(const char *path, char *error, size_t error_len)
{
    return tree_open_damaged(path, error, error_len);
}

bool tree_replace(struct tree *beside, const char *path, char *error, size_t error_len)
{
    (void)beside;
    (void)path;
    (void)error;
    (void)error_len;
    return false;
}

void tree_measure(struct tree_txn *txn, struct tree_space *space)
{
    *space = (struct tree_space){0};
    space->record_count = list_of(txn, TREE_RECORDS)->count;
}

bool tree_delete(struct tree_txn *txn, enum tree_database database, struct bytes key)
{
    bool is_found;
    assert(txn->is_writing);
    find(list_of(txn, database), key, &is_found);
    if (!is_found || txn->fault != TREE_FINE) {
        return false;
    }
    change(txn, database, key, NULL);
    return true;
}

/* --- cursors --- */

struct tree_cursor *tree_cursor_open(struct tree_txn *txn, enum tree_database database)
{
    struct tree_cursor *cursor = calloc(1, sizeof *cursor);
    assert(cursor);
    cursor->txn = txn;
    cursor->list = list_of(txn, database);
    return cursor;
}

static bool is_at_entry(const struct tree_cursor *cursor)
{
    return cursor->index < cursor->list->count && cursor->txn->fault == TREE_FINE;
}

bool tree_cursor_seek(struct tree_cursor *cursor, struct bytes key)
{
    bool is_found;
    cursor->index = find(cursor->list, key, &is_found);
    return is_at_entry(cursor);
}

bool tree_cursor_next(struct tree_cursor *cursor)
{
    cursor->index++;
    return is_at_entry(cursor);
}

struct bytes tree_cursor_key(const struct tree_cursor *cursor)
{
    return key_of(cursor->list->entries[cursor->index]);
}

struct bytes tree_cursor_value(const struct tree_cursor *cursor)
{
    return value_of(cursor->list->entries[cursor->index]);
}

void tree_cursor_close(struct tree_cursor *cursor)
{
    free(cursor);
}
