/* SPDX-License-Identifier: MIT */
#include "shardd/mend.h"

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/logline.h"
#include "io/memory.h"
#include "proto/buffer.h"
#include "proto/endian.h"
#include "proto/limits.h"
#include "proto/noun.h"
#include "proto/record.h"
#include "shardd/swept.h"
#include "shardd/tree.h"

/* No record, and no result with the value that was popped, is longer. */
#define STORED_LEN_MAX (VALUE_LEN_MAX + (64u << 10))

/* Records written in one transaction. */
#define BATCH_RECORDS 4096

/* Each of these is said; of more their number. */
#define SAID_MAX 20

/* What is looked for behind damage grows by this part: not much that can be read is passed over. */
#define STEP_PART 8

struct mend {
    struct tree *damaged;
    struct tree *beside;
    enum tree_database database;
    struct tree_txn *to;
    uint32_t batch_count;

    struct tree_txn *from;
    struct tree_cursor *cursor;
    uint64_t sought; /* first eight bytes of a key */
    bool is_sought;  /* the cursor stands there already */
    bool is_at_end;
    struct buffer key;
    struct buffer value;
    uint64_t state_stamp; /* of the control state, once that is in `value` */

    uint64_t kept;
    uint64_t damaged_count; /* records */
    uint64_t gap_count;
};

/* --- reading under guard --- */

/* Static, because a signal handler finds nothing else. */
static sigjmp_buf fault;

static void on_fault(int number)
{
    siglongjmp(fault, number);
}

/* False: a signal ended it, and what it held is lost. */
static bool run_guarded(bool (*run)(struct mend *mend), struct mend *mend)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    const struct sigaction guard = {.sa_handler = on_fault};
    struct sigaction before[4];
    volatile bool is_done = false;
    for (int i = 0; i < 4; i++) {
        (void)sigaction(numbers[i], &guard, &before[i]);
    }
    if (sigsetjmp(fault, 1) == 0) {
        is_done = run(mend);
    }
    for (int i = 0; i < 4; i++) {
        (void)sigaction(numbers[i], &before[i], NULL);
    }
    return is_done;
}

static bool find_databases(struct mend *mend)
{
    return tree_find_databases(mend->damaged);
}

static bool copy(struct buffer *to, struct bytes from, size_t len_max)
{
    if (from.len > len_max) {
        return false;
    }
    buffer_clear(to);
    buffer_append_bytes(to, from);
    memory_must(!to->failed);
    return true;
}

/* Moves to the next record and copies it. False: it cannot be read. At the end: is_at_end. */
static bool read_one(struct mend *mend)
{
    uint8_t sought[8];
    endian_put_be64(sought, mend->sought);
    bool is_there = mend->is_sought
                        ? tree_cursor_next(mend->cursor)
                        : tree_cursor_seek(mend->cursor, bytes_of(sought, sizeof(sought)));
    mend->is_sought = true;
    mend->is_at_end = !is_there && tree_txn_fault(mend->from) == TREE_FINE;
    return is_there && copy(&mend->key, tree_cursor_key(mend->cursor), TREE_KEY_LEN_MAX) &&
           copy(&mend->value, tree_cursor_value(mend->cursor), STORED_LEN_MAX) &&
           mend->key.len >= sizeof(sought);
}

static bool begin_reading(struct mend *mend)
{
    mend->from = tree_begin_read(mend->damaged);
    mend->cursor = tree_cursor_open(mend->from, mend->database);
    return tree_txn_fault(mend->from) == TREE_FINE;
}

static void stop_reading(struct mend *mend)
{
    if (mend->cursor) {
        tree_cursor_close(mend->cursor);
    }
    if (mend->from) {
        tree_abort(mend->from);
    }
    mend->cursor = NULL;
    mend->from = NULL;
}

static uint64_t position(const struct mend *mend)
{
    return endian_get_be64(mend->key.data);
}

/* Anew at `sought`, since a fault sticks. */
static bool seek(struct mend *mend, uint64_t sought)
{
    stop_reading(mend);
    mend->sought = sought;
    mend->is_sought = false;
    mend->is_at_end = false;
    return run_guarded(begin_reading, mend) &&
           ((run_guarded(read_one, mend) && position(mend) >= sought) || mend->is_at_end);
}

/* --- writing --- */

static bool commit(struct mend *mend)
{
    enum tree_fault result = tree_commit(mend->to);
    mend->to = NULL;
    mend->batch_count = 0;
    return result == TREE_FINE;
}

static bool keep(struct mend *mend)
{
    if (!mend->to) {
        mend->to = tree_begin_write(mend->beside);
    }
    tree_put(mend->to, mend->database, buffer_bytes(&mend->key), buffer_bytes(&mend->value),
             bytes_of(NULL, 0));
    mend->kept++;
    return ++mend->batch_count < BATCH_RECORDS || commit(mend);
}

/* What else is stored is verified by who loads it. */
static bool is_intact(const struct mend *mend)
{
    struct record record;
    struct bytes key = buffer_bytes(&mend->key);
    return mend->database != TREE_RECORDS ||
           (record_key_decode(key, &record) &&
            record_decode(buffer_bytes(&mend->value), key, &record) == RECORD_FINE);
}

static bool take(struct mend *mend)
{
    if (is_intact(mend)) {
        return keep(mend);
    }
    if (mend->damaged_count++ < SAID_MAX) {
        logline(LOGLINE_WARNING,
                "left behind: a record at point %016" PRIx64 ", whose checksum fails",
                position(mend));
    }
    return true;
}

/* --- the walk --- */

/* Records up to one that cannot be read, or the end. False: they cannot be written. */
static bool walk_readable(struct mend *mend)
{
    struct buffer last = {0};
    bool is_written = true;
    bool more = !mend->is_at_end;
    while (more && is_written) {
        (void)copy(&last, buffer_bytes(&mend->key), TREE_KEY_LEN_MAX);
        is_written = take(mend);
        more = run_guarded(read_one, mend) &&
               bytes_compare(buffer_bytes(&mend->key), buffer_bytes(&last)) > 0;
    }
    mend->sought = last.len > 0 ? endian_get_be64(last.data) : mend->sought;
    buffer_fini(&last);
    return is_written;
}

/* The first position above `from` at which it can be read again. False: there is none. */
static bool skip_damage(struct mend *mend, uint64_t from)
{
    if (from == UINT64_MAX) {
        return false;
    }
    uint64_t low = from;
    uint64_t step = 1;
    while (!seek(mend, low + step)) {
        low += step;
        step += step / STEP_PART + 1;
        if (step > UINT64_MAX - low) {
            return false;
        }
    }
    uint64_t high = low + step;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (seek(mend, middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return seek(mend, high);
}

static void say_gap(struct mend *mend, uint64_t from, bool is_found)
{
    if (mend->gap_count++ >= SAID_MAX) {
        return;
    }
    if (is_found && !mend->is_at_end) {
        logline(LOGLINE_WARNING, "left behind: what stood from point %016" PRIx64 " to %016" PRIx64,
                from, position(mend));
    } else {
        logline(LOGLINE_WARNING, "left behind: what stood from point %016" PRIx64 " on", from);
    }
}

static bool mend_database(struct mend *mend, enum tree_database database)
{
    mend->database = database;
    bool is_written = true;
    bool is_readable = seek(mend, 0);
    while (is_written && !mend->is_at_end) {
        is_written = !is_readable || walk_readable(mend);
        if (is_written && !mend->is_at_end) {
            uint64_t from = mend->sought;
            is_readable = skip_damage(mend, from);
            say_gap(mend, from, is_readable);
            mend->is_at_end = mend->is_at_end || !is_readable;
        }
    }
    stop_reading(mend);
    return is_written && (!mend->to || commit(mend));
}

static bool read_state(struct mend *mend)
{
    return swept_load_state(mend->from, &mend->state_stamp, &mend->value);
}

static bool mend_state(struct mend *mend)
{
    mend->database = TREE_META;
    if (run_guarded(begin_reading, mend) && run_guarded(read_state, mend)) {
        mend->to = tree_begin_write(mend->beside);
        swept_store_state(mend->to, mend->state_stamp, buffer_bytes(&mend->value));
    }
    stop_reading(mend);
    return !mend->to || commit(mend);
}

static bool mend_all(struct mend *mend)
{
    static const enum tree_database databases[] = {TREE_RECORDS, TREE_RESULTS, TREE_LINES};
    for (int i = 0; i < 3; i++) {
        mend->is_at_end = false;
        if (!mend_database(mend, databases[i])) {
            return false;
        }
        if (databases[i] == TREE_RECORDS) {
            logline(LOGLINE_INFO,
                    "the tree was written anew: %" PRIu64 " %s; left behind: %" PRIu64
                    " whose checksum failed, and what stood in %" PRIu64 " %s",
                    mend->kept, noun_of(mend->kept, "record", "records"), mend->damaged_count,
                    mend->gap_count, noun_of(mend->gap_count, "gap", "gaps"));
        }
    }
    return mend_state(mend);
}

bool mend_tree(const char *path, char *error, size_t error_len)
{
    struct mend mend = {.damaged = tree_open_damaged(path, error, error_len)};
    bool is_mended = false;
    if (!mend.damaged) {
        return false;
    }
    mend.beside = tree_open_beside(path, error, error_len);
    if (mend.beside) {
        is_mended = run_guarded(find_databases, &mend);
        if (!is_mended) {
            (void)snprintf(error, error_len,
                           "%s/tree: nothing in it can be read: what the log has is kept by "
                           "shardkv log salvage "
                           "--without-tree",
                           path);
        } else if (!mend_all(&mend)) {
            (void)snprintf(error, error_len, "%s/tree: cannot be written anew: %s", path,
                           tree_fault_text(mend.beside));
            is_mended = false;
        }
    }
    if (mend.to) {
        tree_abort(mend.to);
    }
    buffer_fini(&mend.key);
    buffer_fini(&mend.value);
    tree_close(mend.damaged);
    if (!is_mended) {
        tree_close(mend.beside);
        return false;
    }
    return tree_replace(mend.beside, path, error, error_len);
}
