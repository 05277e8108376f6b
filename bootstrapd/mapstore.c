/* SPDX-License-Identifier: MIT */
#include "bootstrapd/mapstore.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "bootstrapd/slot.h"
#include "io/file.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"

#define MAP_FILE     "map"
#define MAP_FILE_NEW "map.new" /* not yet founded, or not yet the larger one */

#define HISTORY_FILE     "history"
#define HISTORY_FILE_NEW "history.new"

/* Far more than the longest has. */
#define HISTORY_LEN_MAX (UINT64_C(4) << 20)

/* Room for about 500 shards with short names before the file has to be made anew. */
#define SLOT_LEN_MIN (UINT64_C(64) << 10)

/* More than the largest map has (8192 shards, 4096 servers, longest names). */
#define SLOT_LEN_MAX (UINT64_C(16) << 20)

struct mapstore {
    struct dir *dir;
    struct file *file; /* once the worker has begun, only its jobs touch it */
    uint64_t slot_len; /* a power of two */
    uint64_t sequence; /* of the newest slot */
    uint32_t next_slot;
    struct worker *worker;

    struct job job;
    struct buffer encoded; /* the slot that is being written */
    int error_number;
    loop_callback *on_durable; /* NULL: no write is under way */
    void *context;

    struct keeping {
        struct job job;
        struct mapstore *store;
        struct buffer encoded;
        int error_number;
        mapstore_kept *on_kept; /* NULL: none is under way */
        void *context;
    } keeping;
};

struct mapstore *mapstore_open(struct loop *loop, const char *path, char *error, size_t error_len)
{
    struct dir *dir = dir_open(path, error, error_len);
    if (!dir) {
        return NULL;
    }
    if (!dir_has(dir, MAP_FILE)) {
        /* A founding that was cut off before anybody was told: it never took place. */
        int fault = dir_has(dir, MAP_FILE_NEW) ? dir_unlink(dir, MAP_FILE_NEW) : 0;
        if (fault != 0 || !dir_is_empty(dir)) {
            (void)snprintf(error, error_len, "%s: %s", path,
                           fault ? strerror(fault)
                                 : "not empty, and no map in it: not a bootstrapd's directory");
            dir_close(dir);
            return NULL;
        }
    }
    struct mapstore *store = memory_get(1, sizeof(*store));
    store->dir = dir;
    store->worker = worker_new(loop, "mapstore", WORKER_NORMAL);
    return store;
}

bool mapstore_is_founded(const struct mapstore *store)
{
    return dir_has(store->dir, MAP_FILE);
}

static void refuse(const struct mapstore *store, char *error, size_t error_len, const char *why)
{
    (void)snprintf(error, error_len, "%s/%s: %s", dir_path(store->dir), MAP_FILE, why);
}

static bool open_file(struct mapstore *store, char *error, size_t error_len)
{
    int error_number = 0;
    store->file = file_open(store->dir, MAP_FILE, FILE_EXISTING, &error_number);
    if (!store->file) {
        refuse(store, error, error_len, strerror(error_number));
        return false;
    }
    /*
     * One that was killed may have left its last slot, or the name, in the kernel alone (RULES L7).
     * The next write overwrites the slot before: by then the last one must be durable.
     */
    error_number = file_sync(store->file);
    if (error_number == 0) {
        error_number = dir_sync(store->dir);
    }
    if (error_number != 0) {
        refuse(store, error, error_len, strerror(error_number));
        return false;
    }
    uint64_t len = file_len(store->file);
    store->slot_len = len / 2;
    /* A cut-off file must not pass for one whose newer slot is torn. */
    if (len < 2 * SLOT_LEN_MIN || len > 2 * SLOT_LEN_MAX || (len & (len - 1)) != 0) {
        refuse(store, error, error_len, "damaged: not of a length that was written");
        return false;
    }
    return true;
}

/* Appends the whole slot to `stored`; one that cannot be read is as bad as a torn one. */
static enum slot_fault read_slot(struct mapstore *store, uint32_t index, struct buffer *stored,
                                 struct slot *slot)
{
    uint8_t *to = buffer_reserve(stored, store->slot_len);
    memory_must(to != NULL);
    if (file_read(store->file, index * store->slot_len, to, store->slot_len) != 0) {
        return SLOT_DAMAGED;
    }
    stored->len += store->slot_len;
    return slot_decode(buffer_bytes(stored), slot);
}

/*
 * What was read may be in the kernel alone: the sync of the process that wrote it failed, and left the
 * pages clean (RULES L5), so that another one says nothing of them. The same bytes again do no harm if
 * they are torn.
 */
static bool make_durable(struct mapstore *store, uint32_t index, struct bytes stored, char *error,
                         size_t error_len)
{
    int error_number = file_write(store->file, index * store->slot_len, stored.data, stored.len);
    if (error_number == 0) {
        error_number = file_sync(store->file);
    }
    if (error_number != 0) {
        refuse(store, error, error_len, strerror(error_number));
    }
    return error_number == 0;
}

/* The newer of the two valid slots into *ledger. */
static bool choose_slot(struct mapstore *store, struct buffer stored[2], struct ledger *ledger,
                        char *error, size_t error_len)
{
    struct slot slots[2] = {{0}};
    enum slot_fault faults[2];
    for (uint32_t i = 0; i < 2; i++) {
        faults[i] = read_slot(store, i, &stored[i], &slots[i]);
        if (faults[i] == SLOT_NEWER_FORMAT) {
            refuse(store, error, error_len, "written by a newer version of bootstrapd");
            return false;
        }
    }
    if (faults[0] != SLOT_FINE && faults[1] != SLOT_FINE) {
        refuse(store, error, error_len,
               "damaged: a cluster was founded here, and neither slot is valid");
        return false;
    }
    uint32_t newer =
        faults[0] != SLOT_FINE || (faults[1] == SLOT_FINE && slots[1].sequence > slots[0].sequence);
    struct map_error map_error;
    if (!ledger_unpack(slots[newer].payload, ledger, &map_error)) {
        refuse(store, error, error_len, map_error.text);
        return false;
    }
    store->sequence = slots[newer].sequence;
    store->next_slot = 1 - newer;
    return make_durable(store, newer, buffer_bytes(&stored[newer]), error, error_len);
}

bool mapstore_load(struct mapstore *store, struct ledger *ledger, char *error, size_t error_len)
{
    assert(store->file == NULL);
    if (!open_file(store, error, error_len)) {
        return false;
    }
    struct buffer stored[2] = {{0}};
    bool is_loaded = choose_slot(store, stored, ledger, error, error_len);
    buffer_fini(&stored[0]);
    buffer_fini(&stored[1]);
    return is_loaded;
}

/* --- writing; everything below returns an errno, 0 for done --- */

static int fill_new_file(struct file *file, uint64_t slot_len, struct bytes encoded)
{
    int fault = file_preallocate(file, 2 * slot_len);
    if (fault == 0) {
        fault = file_write(file, 0, encoded.data, encoded.len);
    }
    return fault ? fault : file_sync(file);
}

static int replace_file(struct mapstore *store, struct bytes encoded)
{
    uint64_t slot_len = SLOT_LEN_MIN;
    while (slot_len < encoded.len) {
        slot_len *= 2;
    }
    int fault = dir_has(store->dir, MAP_FILE_NEW) ? dir_unlink(store->dir, MAP_FILE_NEW) : 0;
    if (fault != 0) {
        return fault;
    }
    struct file *file = file_open(store->dir, MAP_FILE_NEW, FILE_NEW, &fault);
    if (!file) {
        return fault;
    }
    fault = fill_new_file(file, slot_len, encoded);
    if (fault == 0) {
        fault = dir_rename(store->dir, MAP_FILE_NEW, MAP_FILE);
    }
    if (fault == 0) {
        fault = dir_sync(store->dir);
    }
    if (fault != 0) {
        file_close(file);
        return fault;
    }
    file_close(store->file);
    store->file = file;
    store->slot_len = slot_len;
    store->next_slot = 1;
    return 0;
}

static int write_slot(struct mapstore *store, struct bytes encoded)
{
    if (!store->file || encoded.len > store->slot_len) {
        return replace_file(store, encoded);
    }
    int fault =
        file_write(store->file, store->next_slot * store->slot_len, encoded.data, encoded.len);
    if (fault == 0) {
        fault = file_sync(store->file);
    }
    store->next_slot = 1 - store->next_slot;
    return fault;
}

static void encode(struct mapstore *store, const struct ledger *ledger)
{
    struct buffer payload = {0};
    ledger_pack(ledger, &payload);
    buffer_clear(&store->encoded);
    slot_encode(&(struct slot){++store->sequence, buffer_bytes(&payload)}, &store->encoded);
    memory_must(!payload.failed && !store->encoded.failed);
    buffer_fini(&payload);
}

bool mapstore_write_now(struct mapstore *store, const struct ledger *ledger, char *error,
                        size_t error_len)
{
    encode(store, ledger);
    int fault = write_slot(store, buffer_bytes(&store->encoded));
    if (fault != 0) {
        refuse(store, error, error_len, strerror(fault));
    }
    return fault == 0;
}

static struct mapstore *store_of(struct job *job)
{
    return (struct mapstore *)(void *)((char *)job - offsetof(struct mapstore, job));
}

static void run_write(struct job *job)
{
    struct mapstore *store = store_of(job);
    store->error_number = write_slot(store, buffer_bytes(&store->encoded));
}

static void write_done(struct job *job)
{
    struct mapstore *store = store_of(job);
    if (store->error_number != 0) {
        logline_die("%s/%s: cannot write: %s", dir_path(store->dir), MAP_FILE,
                    strerror(store->error_number));
    }
    loop_callback *on_durable = store->on_durable;
    store->on_durable = NULL;
    on_durable(store->context);
}

void mapstore_write(struct mapstore *store, const struct ledger *ledger, loop_callback *on_durable,
                    void *context)
{
    assert(store->on_durable == NULL);
    encode(store, ledger);
    store->on_durable = on_durable;
    store->context = context;
    store->job = (struct job){.run = run_write, .done = write_done};
    worker_submit(store->worker, &store->job);
}

/* --- history --- */

static bool read_history(struct mapstore *store, struct buffer *stored)
{
    int error_number = 0;
    struct file *file = file_open(store->dir, HISTORY_FILE, FILE_READ, &error_number);
    if (!file) {
        return false;
    }
    uint64_t len = file_len(file);
    bool is_read = false;
    if (len <= HISTORY_LEN_MAX) {
        uint8_t *to = buffer_reserve(stored, len);
        memory_must(to != NULL);
        is_read = file_read(file, 0, to, len) == 0;
        stored->len += len;
    }
    file_close(file);
    return is_read;
}

bool mapstore_load_history(struct mapstore *store, struct buffer *payload)
{
    struct buffer stored = {0};
    struct slot slot;
    bool is_there = dir_has(store->dir, HISTORY_FILE);
    bool is_fine = is_there && read_history(store, &stored) &&
                   slot_decode(buffer_bytes(&stored), &slot) == SLOT_FINE;
    if (is_fine) {
        buffer_append_bytes(payload, slot.payload);
        memory_must(!payload->failed);
    } else if (is_there) {
        logline(LOGLINE_WARNING, "%s/%s: cannot be read: what was done earlier is not shown",
                dir_path(store->dir), HISTORY_FILE);
    }
    buffer_fini(&stored);
    return is_fine;
}

static int write_history(struct mapstore *store, struct bytes encoded)
{
    int fault =
        dir_has(store->dir, HISTORY_FILE_NEW) ? dir_unlink(store->dir, HISTORY_FILE_NEW) : 0;
    struct file *file =
        fault == 0 ? file_open(store->dir, HISTORY_FILE_NEW, FILE_NEW, &fault) : NULL;
    if (!file) {
        return fault;
    }
    fault = file_write(file, 0, encoded.data, encoded.len);
    if (fault == 0) {
        fault = file_sync(file);
    }
    file_close(file);
    if (fault == 0) {
        fault = dir_rename(store->dir, HISTORY_FILE_NEW, HISTORY_FILE);
    }
    return fault ? fault : dir_sync(store->dir);
}

static struct keeping *keeping_of(struct job *job)
{
    return (struct keeping *)(void *)((char *)job - offsetof(struct keeping, job));
}

static void run_keep(struct job *job)
{
    struct keeping *keeping = keeping_of(job);
    keeping->error_number = write_history(keeping->store, buffer_bytes(&keeping->encoded));
}

static void keep_done(struct job *job)
{
    struct keeping *keeping = keeping_of(job);
    if (keeping->error_number != 0) {
        logline(LOGLINE_WARNING, "%s/%s: cannot write: %s", dir_path(keeping->store->dir),
                HISTORY_FILE, strerror(keeping->error_number));
    }
    mapstore_kept *on_kept = keeping->on_kept;
    keeping->on_kept = NULL;
    on_kept(keeping->context, keeping->error_number == 0);
}

void mapstore_keep(struct mapstore *store, struct bytes payload, mapstore_kept *on_kept,
                   void *context)
{
    struct keeping *keeping = &store->keeping;
    assert(keeping->on_kept == NULL);
    buffer_clear(&keeping->encoded);
    slot_encode(&(struct slot){1, payload}, &keeping->encoded);
    memory_must(!keeping->encoded.failed);
    keeping->store = store;
    keeping->on_kept = on_kept;
    keeping->context = context;
    keeping->job = (struct job){.run = run_keep, .done = keep_done};
    worker_submit(store->worker, &keeping->job);
}

void mapstore_free(struct mapstore *store)
{
    if (!store) {
        return;
    }
    worker_free(store->worker);
    buffer_fini(&store->keeping.encoded);
    buffer_fini(&store->encoded);
    file_close(store->file);
    dir_close(store->dir);
    free(store);
}
