/* SPDX-License-Identifier: MIT */

/*
 * apply_order DIR [RECORDS]: what the order costs in which dirty records are brought to the tree. A
 * tree of RECORDS (2,000,000) records of 16-byte keys and 100-byte values, made with the settings of
 * shardd/tree.c, half of them dirty; batches of 1,000, each its own durable transaction,
 *
 *     hash   in the order of their points, as the sweep goes
 *     log    in the order in which they were written, which is any
 *
 * Each order goes on for 10 s or to its end, whichever comes first. One line of JSON:
 *
 *     {"hash_per_s":310000,"log_per_s":51000}
 */

#include <errno.h>
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench_driver.h"
#include "cli/bench_random.h"
#include "proto/point.h"
#include "proto/record.h"

#define RECORDS_DEFAULT 2000000
#define RECORDS_MAX     1000000000
#define BATCH           1000
#define LOAD_BATCH      100000
#define VALUE_LEN       (RECORD_HEADER_LEN + 102) /* 100 bytes as a MessagePack bin */
#define MAP_LEN         ((size_t)64 << 30)
#define SECONDS_MAX     10
#define SEED            1

/* The start of one; the tree orders by it alone, as points are unlike as good as surely. */
struct item {
    uint64_t point;
    uint64_t record;
};

static void must(int result, const char *what)
{
    if (result != 0) {
        (void)fprintf(stderr, "apply_order: %s: %s\n", what, mdb_strerror(result));
        exit(EXIT_FAILURE);
    }
}

static void must_have(const void *memory)
{
    must(memory ? 0 : ENOMEM, "memory");
}

static double now_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare_points(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;
    return (left->point > right->point) - (left->point < right->point);
}

/* In hash order. */
static struct item *make_items(size_t count)
{
    struct item *items = calloc(count, sizeof(*items));
    must_have(items);
    for (size_t i = 0; i < count; i++) {
        uint8_t key[BENCH_KEY_LEN];
        bench_key_print(i, key);
        items[i] = (struct item){point_of_key(bytes_of(key, sizeof(key))), i};
    }
    qsort(items, count, sizeof(*items), compare_points);
    return items;
}

static MDB_env *open_tree(const char *path, MDB_dbi *records)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    must(mdb_env_create(&env), "mdb_env_create");
    must(mdb_env_set_maxdbs(env, 4), "mdb_env_set_maxdbs");
    must(mdb_env_set_mapsize(env, MAP_LEN), "mdb_env_set_mapsize");
    must(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS, 0600), path);
    must(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    must(mdb_dbi_open(txn, "records", MDB_CREATE, records), "mdb_dbi_open");
    must(mdb_txn_commit(txn), "mdb_txn_commit");
    return env;
}

static void put(MDB_txn *txn, MDB_dbi records, const struct item *item, uint8_t filling)
{
    uint8_t key[BENCH_KEY_LEN];
    uint8_t tree_key[TREE_KEY_LEN_MAX];
    bench_key_print(item->record, key);
    size_t len = record_key_encode(item->point, 0, bytes_of(key, sizeof(key)), tree_key);
    MDB_val key_val = {len, tree_key};
    MDB_val room = {VALUE_LEN, NULL};
    must(mdb_put(txn, records, &key_val, &room, MDB_RESERVE), "mdb_put");
    memset(room.mv_data, filling, room.mv_size);
}

static void put_batch(MDB_env *env, MDB_dbi records, const struct item *items, size_t count,
                      uint8_t filling)
{
    MDB_txn *txn = NULL;
    must(mdb_txn_begin(env, NULL, 0, &txn), "mdb_txn_begin");
    for (size_t i = 0; i < count; i++) {
        put(txn, records, &items[i], filling);
    }
    must(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* Returns records per second. */
static double apply(MDB_env *env, MDB_dbi records, const struct item *items, size_t count)
{
    double begin_s = now_s(), elapsed_s = 0;
    size_t done = 0;
    while (done < count && elapsed_s < SECONDS_MAX) {
        size_t batch = count - done < BATCH ? count - done : BATCH;
        put_batch(env, records, items + done, batch, (uint8_t)(done / BATCH));
        done += batch;
        elapsed_s = now_s() - begin_s;
    }
    return (double)done / elapsed_s;
}

static void shuffle(struct item *items, size_t count, struct bench_random *random)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = bench_random_below(random, i);
        struct item moved = items[i - 1];
        items[i - 1] = items[other];
        items[other] = moved;
    }
}

/* Half of them, by chance, moved to the front; their order stays. Returns how many. */
static size_t choose_dirty(struct item *items, size_t count, struct bench_random *random)
{
    size_t dirty = 0;
    for (size_t i = 0; i < count; i++) {
        if (bench_random_next(random) >> 63) {
            items[dirty++] = items[i];
        }
    }
    return dirty;
}

int main(int argc, char **argv)
{
    char path[4096];
    MDB_dbi records = 0;
    struct bench_random random = {SEED};
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : RECORDS_DEFAULT;
    if (argc < 2 || argc > 3 || count < BATCH || count > RECORDS_MAX) {
        (void)fprintf(stderr, "usage: apply_order DIR [RECORDS]\n");
        return 2;
    }
    (void)snprintf(path, sizeof(path), "%s/tree", argv[1]);
    struct item *items = make_items((size_t)count);
    MDB_env *env = open_tree(path, &records);
    for (size_t i = 0; i < (size_t)count; i += LOAD_BATCH) {
        size_t left = (size_t)count - i;
        put_batch(env, records, items + i, left < LOAD_BATCH ? left : LOAD_BATCH, 0);
    }
    size_t dirty = choose_dirty(items, (size_t)count, &random);
    double hash_per_s = apply(env, records, items, dirty);
    shuffle(items, dirty, &random);
    double log_per_s = apply(env, records, items, dirty);
    (void)printf("{\"hash_per_s\":%.0f,\"log_per_s\":%.0f}\n", hash_per_s, log_per_s);
    mdb_env_close(env);
    free(items);
    return 0;
}
