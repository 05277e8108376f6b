/* SPDX-License-Identifier: MIT */
#include "cli/bench_workload.h"

#include <stdlib.h>

#include "proto/id.h"
#include "proto/point.h"

/* The same in each run, so that two runs ask for the same. */
#define SEED 1

/* Starts of values: so many that two alike are rare, and that they do not fit into a CPU's cache. */
#define VALUES_LEN (UINT64_C(1) << 20)

#define SCAN_LIMIT_MAX 100

/* A server that none of so many draws belong to has, as good as surely, no record. */
#define DRAWS_MAX (1u << 20)

static const struct bench_mix mixes[] = {
    {"read", {[BENCH_READ] = 100}, BENCH_KEYS_UNIFORM},
    {"write", {[BENCH_WRITE] = 100}, BENCH_KEYS_UNIFORM},
    {"mixed", {[BENCH_READ] = 50, [BENCH_WRITE] = 50}, BENCH_KEYS_UNIFORM},
    {"ycsb-a", {[BENCH_READ] = 50, [BENCH_WRITE] = 50}, BENCH_KEYS_ZIPF},
    {"ycsb-b", {[BENCH_READ] = 95, [BENCH_WRITE] = 5}, BENCH_KEYS_ZIPF},
    {"ycsb-c", {[BENCH_READ] = 100}, BENCH_KEYS_ZIPF},
    {"ycsb-d", {[BENCH_READ] = 95, [BENCH_INSERT] = 5}, BENCH_KEYS_LATEST},
    {"ycsb-e", {[BENCH_SCAN] = 95, [BENCH_INSERT] = 5}, BENCH_KEYS_ZIPF},
    {"ycsb-f", {[BENCH_READ] = 50, [BENCH_MODIFY] = 50}, BENCH_KEYS_ZIPF},
    {"mint", {[BENCH_MINT] = 100}, BENCH_KEYS_IDS},
    {"put", {[BENCH_PUT] = 100}, BENCH_KEYS_IDS},
};

static const struct bench_mix load_mix = {"load", {[BENCH_INSERT] = 100}, BENCH_KEYS_EACH};

const struct bench_mix *bench_mix_find(const char *name)
{
    for (size_t i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
        if (strcmp(mixes[i].name, name) == 0) {
            return &mixes[i];
        }
    }
    return NULL;
}

const char *bench_kind_name(enum bench_kind kind)
{
    static const char *const names[BENCH_KIND_COUNT] = {
        [BENCH_READ] = "read", [BENCH_WRITE] = "write",   [BENCH_INSERT] = "insert",
        [BENCH_SCAN] = "scan", [BENCH_MODIFY] = "modify", [BENCH_MINT] = "mint",
        [BENCH_PUT] = "put",
    };
    return names[kind];
}

static bool make_values(struct bench_workload *workload)
{
    size_t len = VALUES_LEN + workload->value_len;
    workload->values = malloc(len);
    for (size_t i = 0; workload->values && i < len; i++) {
        workload->values[i] = (uint8_t)bench_random_next(&workload->random);
    }
    return workload->values;
}

bool bench_workload_init(struct bench_workload *workload, const struct bench_mix *mix,
                         const struct bench_cluster *cluster, uint64_t record_count,
                         size_t value_len)
{
    *workload = (struct bench_workload){
        .mix = *mix,
        .cluster = cluster,
        .random = {SEED},
        .slices = {.count = 1},
        .record_count = record_count,
        .value_len = value_len,
    };
    if (mix->keys == BENCH_KEYS_ZIPF) {
        bench_zipf_init_scrambled(&workload->zipf);
    } else if (mix->keys == BENCH_KEYS_LATEST) {
        bench_zipf_init(&workload->zipf, record_count);
    }
    return make_values(workload);
}

bool bench_workload_init_load(struct bench_workload *workload, const struct bench_cluster *cluster,
                              uint64_t record_count, size_t value_len)
{
    bool is_made = bench_workload_init(workload, &load_mix, cluster, 0, value_len);
    workload->record_end = record_count;
    workload->next_each = calloc(cluster->server_count, sizeof(*workload->next_each));
    return is_made && workload->next_each;
}

void bench_workload_fini(struct bench_workload *workload)
{
    free(workload->values);
    free(workload->next_each);
}

static enum bench_kind draw_kind(struct bench_workload *workload)
{
    uint64_t draw = bench_random_below(&workload->random, 100);
    for (unsigned kind = 0; kind + 1 < BENCH_KIND_COUNT; kind++) {
        if (draw < workload->mix.percent[kind]) {
            return (enum bench_kind)kind;
        }
        draw -= workload->mix.percent[kind];
    }
    return (enum bench_kind)(BENCH_KIND_COUNT - 1);
}

static uint64_t draw_record(struct bench_workload *workload)
{
    uint64_t count = workload->record_count;
    if (workload->mix.keys == BENCH_KEYS_UNIFORM) {
        return bench_random_below(&workload->random, count);
    }
    uint64_t rank = bench_zipf_rank(&workload->zipf, &workload->random);
    return workload->mix.keys == BENCH_KEYS_ZIPF ? bench_zipf_scramble(rank, count)
                                                 : count - 1 - rank;
}

/* Fills the key; whether this server has it. */
static bool is_at(const struct bench_workload *workload, uint32_t server, struct bench_op *op)
{
    bench_key_print(op->record, op->key);
    if (workload->cluster->server_count == 1) {
        return true;
    }
    uint64_t point = point_of_key(bytes_of(op->key, sizeof(op->key)));
    return bench_cluster_find(workload->cluster, point) == server;
}

static bool next_each(struct bench_workload *workload, uint32_t server, struct bench_op *op)
{
    op->kind = BENCH_INSERT;
    while (workload->next_each[server] < workload->record_end) {
        op->record = workload->next_each[server]++;
        if (is_at(workload, server, op)) {
            return true;
        }
    }
    return false;
}

/* A new record that is another server's is left to a connection there. */
static void draw_op(struct bench_workload *workload, struct bench_op *op)
{
    op->kind = draw_kind(workload);
    if (op->kind == BENCH_INSERT) {
        op->record = workload->record_count;
    } else {
        op->record = draw_record(workload);
    }
    if (op->kind == BENCH_SCAN) {
        op->limit = 1 + (uint32_t)bench_random_below(&workload->random, SCAN_LIMIT_MAX);
    }
}

/* Slice `index` of those of the workload, and a point of it. */
static uint64_t draw_point(struct bench_workload *workload, uint64_t index)
{
    const struct bench_slices *slices = &workload->slices;
    uint64_t slice = (slices->first + index * ID_SHARD_COUNT / slices->count) % ID_SHARD_COUNT;
    return id_slice_point((uint32_t)slice, bench_random_next(&workload->random));
}

uint64_t bench_workload_home(struct bench_workload *workload, uint32_t index, uint32_t count)
{
    return draw_point(workload, (uint64_t)index * workload->slices.count / count);
}

static bool next_id(struct bench_workload *workload, uint32_t server, struct bench_op *op)
{
    op->kind = draw_kind(workload);
    if (op->kind == BENCH_MINT) {
        return true;
    }
    for (unsigned draws = 0; draws < DRAWS_MAX; draws++) {
        op->point =
            draw_point(workload, bench_random_below(&workload->random, workload->slices.count));
        if (bench_cluster_find(workload->cluster, op->point) == server) {
            return true;
        }
    }
    return false;
}

bool bench_workload_next(struct bench_workload *workload, uint32_t server, struct bench_op *op)
{
    if (workload->mix.keys == BENCH_KEYS_EACH) {
        return next_each(workload, server, op);
    }
    if (workload->mix.keys == BENCH_KEYS_IDS) {
        return next_id(workload, server, op);
    }
    unsigned draws = 0;
    do {
        if (draws++ == DRAWS_MAX) {
            return false;
        }
        draw_op(workload, op);
    } while (!is_at(workload, server, op));
    if (op->kind == BENCH_INSERT) {
        workload->record_count++;
        if (workload->mix.keys == BENCH_KEYS_LATEST) {
            bench_zipf_grow(&workload->zipf, workload->record_count);
        }
    }
    return true;
}

const uint8_t *bench_workload_value(struct bench_workload *workload)
{
    return workload->values + bench_random_below(&workload->random, VALUES_LEN);
}
