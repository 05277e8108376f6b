/* SPDX-License-Identifier: MIT */
#include "shardd/tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/logline.h"
#include "io/memory.h"
#include "proto/log.h"

/*
 * Addresses, not bytes: the file grows as it is used, and the map is never resized (RULES F2). A
 * process whose address space is limited gets as much as there is. The sanitizers' shadow memory
 * leaves no hole of 16 TiB.
 */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TREE_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define TREE_IS_SANITIZED 1
#endif
#endif
#ifdef TREE_IS_SANITIZED
#define MAP_LEN_WANTED ((size_t)64 << 30)
#else
#define MAP_LEN_WANTED ((size_t)16 << 40)
#endif
#define MAP_LEN_MIN ((size_t)64 << 20)

#define TREE_NAME     "tree"
#define NEW_TREE_NAME "tree-compact" /* half made, if it is there */

struct tree {
    MDB_env *env;
    MDB_dbi databases[TREE_DATABASE_COUNT];
    _Atomic(const char *) fault_text; /* readers on any thread have faults, too */
};

struct tree_txn {
    struct tree *tree;
    MDB_txn *txn;
    bool is_writing;
    enum tree_fault fault;
    MDB_cursor *writers[TREE_DATABASE_COUNT]; /* NULL: none yet. Where the last write was */
    bool is_between[TREE_DATABASE_COUNT];     /* there are keys behind those of tree_put_next */
};

struct tree_cursor {
    struct tree_txn *txn;
    MDB_cursor *cursor; /* NULL after a fault */
    MDB_val key;
    MDB_val value;
};

static const char *const database_names[TREE_DATABASE_COUNT] = {
    [TREE_RECORDS] = "records",
    [TREE_RESULTS] = "results",
    [TREE_LINES] = "lines",
    [TREE_META] = "meta",
};

/* mdb_strerror's text of an errno is not safe on several threads. */
static const char *text_of(int result)
{
    if (result >= MDB_KEYEXIST && result <= MDB_LAST_ERRCODE) {
        return mdb_strerror(result);
    }
    const char *text = strerrordesc_np(result);
    return text ? text : "unknown error";
}

/* LMDB does not write through it. */
static MDB_val val_of(struct bytes bytes)
{
    return (MDB_val){bytes.len, (void *)(uintptr_t)bytes.data};
}

static struct bytes bytes_of_val(MDB_val val)
{
    return bytes_of(val.mv_data, val.mv_size);
}

/* --- opening --- */

static int open_env(const char *path, size_t map_len, MDB_env **opened)
{
    MDB_env *env = NULL;
    int result = mdb_env_create(&env);
    if (result == 0) {
        mdb_env_set_maxdbs(env, TREE_DATABASE_COUNT);
        result = mdb_env_set_mapsize(env, map_len);
    }
    if (result == 0) {
        result = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600);
    }
    if (result != 0) {
        mdb_env_close(env);
        return result;
    }
    *opened = env;
    return 0;
}

static int open_env_within_limits(const char *path, MDB_env **env)
{
    size_t map_len = MAP_LEN_WANTED;
    int result = open_env(path, map_len, env);
    while (result == ENOMEM && map_len > MAP_LEN_MIN) {
        map_len /= 2;
        result = open_env(path, map_len, env);
    }
    if (result == 0 && map_len < MAP_LEN_WANTED) {
        logline(LOGLINE_WARNING, "%s: address space is limited, so the tree is full at %zu MiB",
                path, map_len >> 20);
    }
    return result;
}

/*
 * Reading a mapped page behind the file's end is SIGBUS. The file may rightly be shorter than LMDB's
 * last page says: what one transaction takes at the end and gives back is not written. So only when it
 * is, all that is in use is read once, under guard. Static, because a signal handler finds nothing else;
 * for the start of a process, before it has threads.
 */
static struct {
    sigjmp_buf fault;
    MDB_txn *txn;
    MDB_cursor *cursor;
    int result;
} probe;

static void on_bus_error(int number)
{
    (void)number;
    siglongjmp(probe.fault, 1);
}

/* The first and the last byte: the pages of a value stand one behind the other. */
static void touch(MDB_val value)
{
    if (value.mv_size > 0) {
        const volatile uint8_t *bytes = value.mv_data;
        (void)bytes[0];
        (void)bytes[value.mv_size - 1];
    }
}

static int read_database(MDB_dbi database)
{
    MDB_val key;
    MDB_val value;
    int result = mdb_cursor_open(probe.txn, database, &probe.cursor);
    while (result == 0) {
        result = mdb_cursor_get(probe.cursor, &key, &value, MDB_NEXT);
        if (result == 0) {
            touch(value);
        }
    }
    mdb_cursor_close(probe.cursor);
    probe.cursor = NULL;
    return result == MDB_NOTFOUND ? 0 : result;
}

/* Also the one of free pages, which is number 0. */
static int read_all(MDB_env *env)
{
    int result = mdb_txn_begin(env, NULL, MDB_RDONLY, &probe.txn);
    if (result == 0) {
        result = read_database(0);
    }
    for (int i = 0; i < TREE_DATABASE_COUNT && result == 0; i++) {
        MDB_dbi database;
        result = mdb_dbi_open(probe.txn, database_names[i], 0, &database);
        if (result == 0) {
            result = read_database(database);
        }
        result = result == MDB_NOTFOUND ? 0 : result;
    }
    return result;
}

static void end_probe(void)
{
    if (probe.cursor) {
        mdb_cursor_close(probe.cursor);
    }
    mdb_txn_abort(probe.txn);
    probe.cursor = NULL;
    probe.txn = NULL;
}

static int probe_env(MDB_env *env, bool *is_cut)
{
    const struct sigaction guard = {.sa_handler = on_bus_error};
    struct sigaction before;
    probe.result = 0;
    *is_cut = false;
    (void)sigaction(SIGBUS, &guard, &before);
    if (sigsetjmp(probe.fault, 1) == 0) {
        probe.result = read_all(env);
    } else {
        *is_cut = true;
    }
    (void)sigaction(SIGBUS, &before, NULL);
    end_probe();
    return probe.result;
}

/* Its pages cannot be mended: what there is to do is the same whatever is wrong. */
static void say_damage(const char *file_path, const char *what, char *error, size_t error_len)
{
    (void)snprintf(
        error, error_len,
        "%s: %s: bring a whole copy of the directory back, or see: shardkv help log salvage",
        file_path, what);
}

static void say_result(int result, const char *file_path, char *error, size_t error_len)
{
    bool is_damage = result == MDB_CORRUPTED || result == MDB_INVALID ||
                     result == MDB_PAGE_NOTFOUND || result == MDB_PANIC ||
                     result == MDB_VERSION_MISMATCH || result == MDB_INCOMPATIBLE;
    if (is_damage) {
        say_damage(file_path, text_of(result), error, error_len);
    } else {
        (void)snprintf(error, error_len, "%s: %s", file_path, text_of(result));
    }
}

/* False: the file's end is missing, or it cannot be told; `error` is filled. */
static bool check_len(MDB_env *env, const char *path, char *error, size_t error_len)
{
    struct stat status;
    MDB_envinfo info;
    MDB_stat pages;
    mdb_filehandle_t fd;
    bool is_cut = false;
    int result = mdb_env_info(env, &info);
    result = result == 0 ? mdb_env_stat(env, &pages) : result;
    result = result == 0 ? mdb_env_get_fd(env, &fd) : result;
    if (result == 0 && fstat(fd, &status) != 0) {
        result = errno;
    }
    size_t wanted = result == 0 ? (info.me_last_pgno + 1) * pages.ms_psize : 0;
    if (result == 0 && (size_t)status.st_size < wanted) {
        result = probe_env(env, &is_cut);
    }
    if (is_cut) {
        char what[120];
        (void)snprintf(
            what, sizeof(what),
            "is %zu bytes long and was up to %zu: its end is missing, and with it records",
            (size_t)status.st_size, wanted);
        say_damage(path, what, error, error_len);
    } else if (result != 0) {
        say_result(result, path, error, error_len);
    }
    return result == 0 && !is_cut;
}

/* Readers that a killed process left behind would keep their pages from being used again. */
static int open_databases(struct tree *tree)
{
    MDB_txn *txn = NULL;
    int result = mdb_reader_check(tree->env, NULL);
    if (result == 0) {
        result = mdb_txn_begin(tree->env, NULL, 0, &txn);
    }
    for (int i = 0; i < TREE_DATABASE_COUNT && result == 0; i++) {
        result = mdb_dbi_open(txn, database_names[i], MDB_CREATE, &tree->databases[i]);
    }
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    return mdb_txn_commit(txn);
}

/* An errno, or a result of LMDB's. */
static int create_empty(const char *file_path)
{
    MDB_env *env;
    struct tree tree = {0};
    int result = open_env_within_limits(file_path, &env);
    if (result != 0) {
        return result;
    }
    tree.env = env;
    result = open_databases(&tree);
    result = result == 0 ? mdb_env_sync(env, 1) : result;
    mdb_env_close(env);
    return result;
}

/*
 * A new tree gets its name when it is whole: a first write that a power cut tore would look like damage
 * (RULES L7; whoever made the directory syncs the name).
 */
static int create_if_missing(const char *file_path)
{
    char *new_path = NULL;
    char *lock_path = NULL;
    if (access(file_path, F_OK) == 0) {
        return 0;
    }
    memory_must(asprintf(&new_path, "%s.new", file_path) >= 0);
    memory_must(asprintf(&lock_path, "%s.new-lock", file_path) >= 0);
    (void)unlink(new_path);
    int result = create_empty(new_path);
    (void)unlink(lock_path);
    if (result == 0 && rename(new_path, file_path) != 0) {
        result = errno;
    }
    free(new_path);
    free(lock_path);
    return result;
}

/*
 * A tree is made before there is a log: where it is missing beside one, its records are, and an empty one must not
 * take their place. Unless log salvage wrote the directory, and was told so.
 */
static bool is_lost(const char *path)
{
    bool has_log = false;
    bool is_expected = false;
    const struct dirent *entry;
    DIR *entries = opendir(path);
    while (entries && (entry = readdir(entries))) {
        has_log = has_log || strncmp(entry->d_name, "log-", 4) == 0;
        is_expected = is_expected || strcmp(entry->d_name, TREE_NAME) == 0 ||
                      strcmp(entry->d_name, LOG_NO_TREE_NAME) == 0;
    }
    if (entries) {
        closedir(entries);
    }
    return has_log && !is_expected;
}

/* Of an empty file LMDB would make a tree; a new one only gets its name when it is whole. */
static bool is_empty_file(const char *file_path)
{
    struct stat status;
    return stat(file_path, &status) == 0 && status.st_size == 0;
}

static bool is_there(const char *path, const char *file_path, char *error, size_t error_len)
{
    bool is_missing = is_lost(path);
    bool is_empty = is_empty_file(file_path);
    if (is_missing || is_empty) {
        say_damage(file_path, is_missing ? "is missing, and there is a log beside it" : "is empty",
                   error, error_len);
    }
    return !is_missing && !is_empty;
}

/* What a compacting left that did not come to its end. */
static void strike_half_made(const char *path)
{
    char *new_path = NULL;
    memory_must(asprintf(&new_path, "%s/" NEW_TREE_NAME, path) >= 0);
    (void)unlink(new_path);
    free(new_path);
}

/* An errno, or a result of LMDB's; -1: `error` is filled. */
static int open_tree(struct tree *tree, const char *file_path, char *error, size_t error_len)
{
    int result = create_if_missing(file_path);
    result = result == 0 ? open_env_within_limits(file_path, &tree->env) : result;
    if (result == 0 && !check_len(tree->env, file_path, error, error_len)) {
        return -1;
    }
    return result == 0 ? open_databases(tree) : result;
}

struct tree *tree_open(const char *path, char *error, size_t error_len)
{
    char *file_path = NULL;
    memory_must(asprintf(&file_path, "%s/" TREE_NAME, path) >= 0);
    strike_half_made(path);
    struct tree *tree = memory_get(1, sizeof(*tree));
    tree->fault_text = "";
    int result = -1;
    if (is_there(path, file_path, error, error_len)) {
        result = open_tree(tree, file_path, error, error_len);
    }
    if (result != 0) {
        tree_close(tree);
        tree = NULL;
    }
    if (result != 0 && result != -1) {
        say_result(result, file_path, error, error_len);
    }
    free(file_path);
    return tree;
}

void tree_close(struct tree *tree)
{
    if (tree) {
        if (tree->env) {
            mdb_env_close(tree->env);
        }
        free(tree);
    }
}

/* --- transactions --- */

static void fail(struct tree_txn *txn, int result)
{
    if (txn->fault != TREE_FINE) {
        return;
    }
    /* MDB_TXN_FULL: too many pages for one transaction. EFBIG: a limit on the size of files. */
    bool is_full = result == MDB_MAP_FULL || result == MDB_TXN_FULL || result == ENOSPC ||
                   result == EDQUOT || result == EFBIG;
    txn->fault = is_full ? TREE_NO_SPACE : TREE_BROKEN;
    txn->tree->fault_text = text_of(result);
}

static struct tree_txn *begin(struct tree *tree, bool is_writing)
{
    struct tree_txn *txn = memory_get(1, sizeof(*txn));
    txn->tree = tree;
    txn->is_writing = is_writing;
    int result = mdb_txn_begin(tree->env, NULL, is_writing ? 0 : MDB_RDONLY, &txn->txn);
    if (result != 0) {
        fail(txn, result);
    }
    return txn;
}

struct tree_txn *tree_begin_write(struct tree *tree)
{
    return begin(tree, true);
}

struct tree_txn *tree_begin_read(struct tree *tree)
{
    return begin(tree, false);
}

bool tree_get(struct tree_txn *txn, enum tree_database database, struct bytes key,
              struct bytes *value)
{
    if (txn->fault != TREE_FINE) {
        return false;
    }
    MDB_val key_val = val_of(key);
    MDB_val value_val;
    int result = mdb_get(txn->txn, txn->tree->databases[database], &key_val, &value_val);
    if (result == 0) {
        *value = bytes_of_val(value_val);
    } else if (result != MDB_NOTFOUND) {
        fail(txn, result);
    }
    return result == 0;
}

static void fill(MDB_val room, struct bytes head, struct bytes tail)
{
    uint8_t *to = room.mv_data;
    if (head.len > 0) {
        memcpy(to, head.data, head.len);
    }
    if (tail.len > 0) {
        memcpy(to + head.len, tail.data, tail.len);
    }
}

void tree_put(struct tree_txn *txn, enum tree_database database, struct bytes key,
              struct bytes head, struct bytes tail)
{
    assert(txn->is_writing);
    if (txn->fault != TREE_FINE) {
        return;
    }
    MDB_val key_val = val_of(key);
    MDB_val room = {head.len + tail.len, NULL};
    int result = mdb_put(txn->txn, txn->tree->databases[database], &key_val, &room, MDB_RESERVE);
    if (result != 0) {
        fail(txn, result);
        return;
    }
    fill(room, head, tail);
}

/* A cursor that stays near: keys that go up need not be searched from the root. NULL after a fault. */
static MDB_cursor *writer_of(struct tree_txn *txn, enum tree_database database)
{
    assert(txn->is_writing);
    MDB_cursor **writer = &txn->writers[database];
    if (txn->fault == TREE_FINE && !*writer) {
        int result = mdb_cursor_open(txn->txn, txn->tree->databases[database], writer);
        if (result != 0) {
            fail(txn, result);
        }
    }
    return txn->fault == TREE_FINE ? *writer : NULL;
}

/* NOLINTNEXTLINE(readability-function-size): where, what, and unless what is there */
void tree_put_newer(struct tree_txn *txn, enum tree_database database, struct bytes key,
                    struct bytes head, struct bytes tail, tree_is_newer *is_newer,
                    const void *context)
{
    MDB_cursor *writer = writer_of(txn, database);
    if (!writer) {
        return;
    }
    MDB_val key_val = val_of(key);
    MDB_val room = {head.len + tail.len, NULL};
    int result = mdb_cursor_put(writer, &key_val, &room, MDB_RESERVE | MDB_NOOVERWRITE);
    if (result == MDB_KEYEXIST) {
        /* Now `room` is what is there, and the cursor stands on it. */
        if (is_newer(bytes_of_val(room), context)) {
            return;
        }
        room = (MDB_val){head.len + tail.len, NULL};
        result = mdb_cursor_put(writer, &key_val, &room, MDB_RESERVE | MDB_CURRENT);
    }
    if (result == 0) {
        fill(room, head, tail);
    } else {
        fail(txn, result);
    }
}

/* False: the key is not behind all, or there was a fault. */
static bool append(struct tree_txn *txn, enum tree_database database, struct bytes key,
                   struct bytes value)
{
    MDB_cursor *writer = writer_of(txn, database);
    if (!writer || txn->is_between[database]) {
        return false;
    }
    MDB_val key_val = val_of(key);
    MDB_val value_val = val_of(value);
    int result = mdb_cursor_put(writer, &key_val, &value_val, MDB_APPEND);
    if (result == MDB_KEYEXIST) {
        txn->is_between[database] = true;
    } else if (result != 0) {
        fail(txn, result);
    }
    return result == 0;
}

void tree_put_next(struct tree_txn *txn, enum tree_database database, struct bytes key,
                   struct bytes value, tree_is_newer *is_newer, const void *context)
{
    if (!append(txn, database, key, value)) {
        tree_put_newer(txn, database, key, value, bytes_of(NULL, 0), is_newer, context);
    }
}

void tree_delete_older(struct tree_txn *txn, enum tree_database database, struct bytes key,
                       tree_is_newer *is_newer, const void *context)
{
    MDB_cursor *writer = writer_of(txn, database);
    if (!writer) {
        return;
    }
    MDB_val key_val = val_of(key);
    MDB_val stored;
    int result = mdb_cursor_get(writer, &key_val, &stored, MDB_SET);
    if (result == 0 && !is_newer(bytes_of_val(stored), context)) {
        result = mdb_cursor_del(writer, 0);
    }
    if (result != 0 && result != MDB_NOTFOUND) {
        fail(txn, result);
    }
}

bool tree_delete(struct tree_txn *txn, enum tree_database database, struct bytes key)
{
    assert(txn->is_writing);
    if (txn->fault != TREE_FINE) {
        return false;
    }
    MDB_val key_val = val_of(key);
    int result = mdb_del(txn->txn, txn->tree->databases[database], &key_val, NULL);
    if (result != 0 && result != MDB_NOTFOUND) {
        fail(txn, result);
    }
    return result == 0;
}

/*
 * LMDB calls it EIO, too, when the system writes less than it was given, which a disk does that becomes
 * full in the middle: then no call has failed. What was written belongs to nobody, so going on is safe.
 */
static int commit(MDB_txn *txn)
{
    errno = 0;
    int result = mdb_txn_commit(txn);
    return result == EIO && errno != EIO ? ENOSPC : result;
}

/* Before the transaction ends. */
static void close_writers(struct tree_txn *txn)
{
    for (int i = 0; i < TREE_DATABASE_COUNT; i++) {
        if (txn->writers[i]) {
            mdb_cursor_close(txn->writers[i]);
            txn->writers[i] = NULL;
        }
    }
}

enum tree_fault tree_commit(struct tree_txn *txn)
{
    assert(txn->is_writing);
    close_writers(txn);
    if (txn->fault == TREE_FINE) {
        int result = commit(txn->txn);
        txn->txn = NULL; /* it has ended, either way */
        if (result != 0) {
            fail(txn, result);
        }
    }
    enum tree_fault fault = txn->fault;
    tree_abort(txn);
    return fault;
}

void tree_abort(struct tree_txn *txn)
{
    close_writers(txn);
    if (txn->txn) {
        mdb_txn_abort(txn->txn);
    }
    free(txn);
}

static uint64_t pages_of(const MDB_stat *stat)
{
    return stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages;
}

/* Database 0 lists the free pages: each value is a count, and so many numbers of pages. */
static uint64_t count_free_pages(struct tree_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    uint64_t count = 0;
    int result = mdb_cursor_open(txn->txn, 0, &cursor);
    if (result != 0) {
        fail(txn, result);
        return 0;
    }
    while ((result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t pages;
        memcpy(&pages, value.mv_data, sizeof(pages));
        count += pages;
    }
    mdb_cursor_close(cursor);
    if (result != MDB_NOTFOUND) {
        fail(txn, result);
    }
    return count;
}

void tree_measure(struct tree_txn *txn, struct tree_space *space)
{
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t page_len = 0;
    *space = (struct tree_space){0};
    if (txn->fault != TREE_FINE || mdb_env_info(txn->tree->env, &info) != 0) {
        return;
    }
    for (int i = 0; i < TREE_DATABASE_COUNT; i++) {
        if (mdb_stat(txn->txn, txn->tree->databases[i], &stat) == 0) {
            space->used_len += pages_of(&stat) * stat.ms_psize;
            space->record_count += i == TREE_RECORDS ? stat.ms_entries : 0;
            page_len = stat.ms_psize;
            space->file_len = (info.me_last_pgno + 1) * page_len;
        }
    }
    space->free_len = count_free_pages(txn) * page_len;
}

enum tree_fault tree_txn_fault(const struct tree_txn *txn)
{
    return txn->fault;
}

const char *tree_fault_text(const struct tree *tree)
{
    return tree->fault_text;
}

/* --- cursors --- */

struct tree_cursor *tree_cursor_open(struct tree_txn *txn, enum tree_database database)
{
    struct tree_cursor *cursor = memory_get(1, sizeof(*cursor));
    cursor->txn = txn;
    if (txn->fault == TREE_FINE) {
        int result = mdb_cursor_open(txn->txn, txn->tree->databases[database], &cursor->cursor);
        if (result != 0) {
            fail(txn, result);
        }
    }
    return cursor;
}

static bool move(struct tree_cursor *cursor, MDB_cursor_op op)
{
    if (cursor->txn->fault != TREE_FINE) {
        return false;
    }
    int result = mdb_cursor_get(cursor->cursor, &cursor->key, &cursor->value, op);
    if (result != 0 && result != MDB_NOTFOUND) {
        fail(cursor->txn, result);
    }
    return result == 0;
}

bool tree_cursor_seek(struct tree_cursor *cursor, struct bytes key)
{
    cursor->key = val_of(key);
    return move(cursor, MDB_SET_RANGE);
}

bool tree_cursor_next(struct tree_cursor *cursor)
{
    return move(cursor, MDB_NEXT);
}

struct bytes tree_cursor_key(const struct tree_cursor *cursor)
{
    return bytes_of_val(cursor->key);
}

struct bytes tree_cursor_value(const struct tree_cursor *cursor)
{
    return bytes_of_val(cursor->value);
}

void tree_cursor_close(struct tree_cursor *cursor)
{
    if (cursor->cursor) {
        mdb_cursor_close(cursor->cursor);
    }
    free(cursor);
}

/* --- compacting --- */

/* Beside what is copied: pages that the copy is not told of, and the log goes on after. */
#define COMPACT_SPARED_LEN (UINT64_C(8) << 20)

struct compacting {
    char *directory_path;
    char *path;
    char *new_path;
    char *error;
    size_t error_len;
};

static bool fail_compacting(const struct compacting *compacting, int result)
{
    (void)snprintf(compacting->error, compacting->error_len, "%s: cannot be made compact: %s",
                   compacting->path, text_of(result));
    return false;
}

static uint64_t len_of_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static bool has_room_for_copy(const struct compacting *compacting, struct tree *tree)
{
    struct statvfs status;
    struct tree_space space;
    struct tree_txn *txn = tree_begin_read(tree);
    tree_measure(txn, &space);
    tree_abort(txn);
    if (statvfs(compacting->directory_path, &status) != 0) {
        return fail_compacting(compacting, errno);
    }
    uint64_t free_len = (uint64_t)status.f_bavail * status.f_frsize;
    uint64_t needed = space.used_len + COMPACT_SPARED_LEN;
    if (free_len < needed) {
        (void)snprintf(
            compacting->error, compacting->error_len,
            "%s: cannot be made compact: that needs %llu MiB of the disk, and %llu are free",
            compacting->path, (unsigned long long)(needed >> 20) + 1,
            (unsigned long long)free_len >> 20);
    }
    return free_len >= needed;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int result = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return result;
}

/* The new file is whole and durable before it gets the name; the directory then is (RULES L7). */
static int replace(const struct compacting *compacting)
{
    /* LMDB makes its copy for all to read. */
    int result = chmod(compacting->new_path, 0600) == 0 ? 0 : errno;
    result = result == 0 ? sync_path(compacting->new_path, O_RDWR) : result;
    if (result == 0 && rename(compacting->new_path, compacting->path) != 0) {
        result = errno;
    }
    return result ? result : sync_path(compacting->directory_path, O_RDONLY | O_DIRECTORY);
}

static bool copy_compact(const struct compacting *compacting)
{
    struct tree *tree =
        tree_open(compacting->directory_path, compacting->error, compacting->error_len);
    bool is_fine = tree && has_room_for_copy(compacting, tree);
    int result = 0;
    if (is_fine) {
        result = mdb_env_copy2(tree->env, compacting->new_path, MDB_CP_COMPACT);
    }
    tree_close(tree);
    if (is_fine && result == 0) {
        result = replace(compacting);
    }
    if (result != 0) {
        (void)unlink(compacting->new_path);
        is_fine = fail_compacting(compacting, result);
    }
    return is_fine;
}

bool tree_compact(const char *path, uint64_t *before, uint64_t *after, char *error,
                  size_t error_len)
{
    struct compacting compacting = {.error = error, .error_len = error_len};
    bool is_fine = true;
    memory_must(asprintf(&compacting.directory_path, "%s", path) >= 0 &&
                asprintf(&compacting.path, "%s/" TREE_NAME, path) >= 0 &&
                asprintf(&compacting.new_path, "%s/" NEW_TREE_NAME, path) >= 0);
    *before = len_of_file(compacting.path);
    if (*before > 0) {
        is_fine = copy_compact(&compacting);
    }
    *after = len_of_file(compacting.path);
    free(compacting.directory_path);
    free(compacting.path);
    free(compacting.new_path);
    return is_fine;
}

/* --- a damaged one --- */

/* Of a database that could not be found: 0 is that of free pages. */
#define NO_DATABASE UINT_MAX

/* Without LMDB's words on standard error: there may be one for each page. */
static void on_assert(MDB_env *env, const char *text)
{
    (void)env;
    (void)text;
    (void)raise(SIGABRT);
}

struct tree *tree_open_damaged(const char *path, char *error, size_t error_len)
{
    char *file_path = NULL;
    memory_must(asprintf(&file_path, "%s/" TREE_NAME, path) >= 0);
    struct tree *tree = memory_get(1, sizeof(*tree));
    tree->fault_text = "";
    for (int i = 0; i < TREE_DATABASE_COUNT; i++) {
        tree->databases[i] = NO_DATABASE;
    }
    int result = is_empty_file(file_path) ? MDB_INVALID : mdb_env_create(&tree->env);
    if (result == 0) {
        mdb_env_set_maxdbs(tree->env, TREE_DATABASE_COUNT);
        mdb_env_set_assert(tree->env, on_assert);
        result = mdb_env_open(tree->env, file_path,
                              MDB_NOSUBDIR | MDB_NOTLS | MDB_RDONLY | MDB_NOLOCK, 0600);
    }
    if (result != 0) {
        say_result(result, file_path, error, error_len);
        tree_close(tree);
        tree = NULL;
    }
    free(file_path);
    return tree;
}

bool tree_find_databases(struct tree *damaged)
{
    MDB_txn *txn = NULL;
    bool is_any = false;
    if (mdb_txn_begin(damaged->env, NULL, MDB_RDONLY, &txn) != 0) {
        return false;
    }
    for (int i = 0; i < TREE_DATABASE_COUNT; i++) {
        is_any |= mdb_dbi_open(txn, database_names[i], 0, &damaged->databases[i]) == 0;
    }
    return mdb_txn_commit(txn) == 0 && is_any;
}

static char *beside_path(const char *path)
{
    char *file_path = NULL;
    memory_must(asprintf(&file_path, "%s/" NEW_TREE_NAME, path) >= 0);
    return file_path;
}

struct tree *tree_open_beside(const char *path, char *error, size_t error_len)
{
    char *file_path = beside_path(path);
    strike_half_made(path);
    struct tree *tree = memory_get(1, sizeof(*tree));
    tree->fault_text = "";
    int result = open_env_within_limits(file_path, &tree->env);
    result = result == 0 ? open_databases(tree) : result;
    if (result != 0) {
        say_result(result, file_path, error, error_len);
        tree_close(tree);
        tree = NULL;
    }
    free(file_path);
    return tree;
}

bool tree_replace(struct tree *beside, const char *path, char *error, size_t error_len)
{
    char *lock_path = NULL;
    struct compacting replacing = {.new_path = beside_path(path)};
    memory_must(asprintf(&replacing.directory_path, "%s", path) >= 0);
    memory_must(asprintf(&replacing.path, "%s/" TREE_NAME, path) >= 0);
    memory_must(asprintf(&lock_path, "%s-lock", replacing.new_path) >= 0);
    tree_close(beside);
    (void)unlink(lock_path);
    int result = replace(&replacing);
    if (result != 0) {
        say_result(result, replacing.path, error, error_len);
    }
    free(lock_path);
    free(replacing.directory_path);
    free(replacing.path);
    free(replacing.new_path);
    return result == 0;
}
