/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/memory.h"
#include "libclient/shardkv.h"
#include "proto/pack.h"
#include "proto/unpack.h"
#include "tests/torture/cluster.h"

/*
 * Many entities, as an application would have them, put while the cluster grows from two servers to four:
 *
 *     puts, 3 kinds, 64 logical shards   ─┬───────┬─────────────────────> every id is read back, and each kind counted
 *     rebalance ─> third server           '       |
 *     a fourth is added, rebalance ─> fourth      '
 *
 *     document   {"n": NUMBER, "of": "SHARD", "text": "..."}, of a length that follows from the number
 *
 * Nobody dies: no call may fail.
 */

enum { THREADS = 8, BATCH = 256, KINDS = 3, SHARDS = 64, REBALANCES = 2 };
enum { CALL_TIMEOUT_MS = 20000, LOOK_AGAIN_US = 50000, TEXT_LEN_MAX = 64 };

/* When so much of all is put, of 100, the rebalances are asked for; and with so much puts wait until they have begun. */
static const uint32_t parts[REBALANCES] = {15, 50};
static const uint32_t gates[REBALANCES] = {40, 80};

/* Until all servers have told what they hold, and until its moves are over. */
#define PLAN_US  UINT64_C(30000000)
#define MOVES_US UINT64_C(600000000)

struct entities;

struct worker {
    struct entities *entities;
    pthread_t thread;
    uint32_t first, end; /* numbers */
    bool is_reading;
};

struct rebalance {
    uint32_t put_before, put_after; /* how many were there when it began and ended */
    uint32_t move_count;
    uint64_t took_us;
};

struct entities {
    struct scene scene;
    struct cluster cluster;
    struct daemon fourth;
    char durability[32];
    struct skv *kv;
    uint32_t count;
    uint64_t *ids; /* by number */
    struct worker workers[THREADS];
    atomic_uint put_count, read_count, working;
    atomic_uint gate; /* puts wait there */
    struct rebalance rebalances[REBALANCES];
    uint64_t begin_ms, end_ms; /* of the puts, wall clock */
    uint64_t put_us, read_us;
    uint32_t kind_counts[KINDS];
    pthread_mutex_t lock;
    uint32_t violation_count;
};

static bool fail(struct entities *entities, const char *what)
{
    (void)pthread_mutex_lock(&entities->lock);
    if (entities->violation_count++ < 5) {
        printf("# VIOLATION: SEED=%" PRIu64 ", %u put, %u read: %s\n", entities->scene.seed,
               atomic_load(&entities->put_count), atomic_load(&entities->read_count), what);
    }
    (void)pthread_mutex_unlock(&entities->lock);
    return false;
}

/* --- one entity --- */

static uint32_t shard_of(uint32_t number)
{
    return number % SHARDS * (SKV_SHARD_COUNT / SHARDS) + 17;
}

static uint16_t kind_of(uint32_t number)
{
    return (uint16_t)(number % KINDS + 1);
}

static void pack_document(uint32_t number, struct buffer *out)
{
    char text[TEXT_LEN_MAX + 1];
    char shard[16];
    uint32_t len = 16 + number * 7 % (TEXT_LEN_MAX - 16);
    memset(text, 'a' + (int)(number % 26), len);
    text[len] = '\0';
    (void)snprintf(shard, sizeof(shard), "%u", shard_of(number));
    buffer_clear(out);
    pack_map(out, 3);
    pack_text(out, "n");
    pack_uint(out, number);
    pack_text(out, "of");
    pack_text(out, shard);
    pack_text(out, "text");
    pack_text(out, text);
    memory_must(!out->failed);
}

/* --- puts and reads --- */

static void put_batch(struct entities *entities, struct skv_batch *batch, uint32_t first,
                      uint32_t count, struct buffer *document)
{
    skv_batch_clear(batch);
    for (uint32_t i = 0; i < count; i++) {
        pack_document(first + i, document);
        skv_batch_entity_put(batch, shard_of(first + i), kind_of(first + i),
                             skv_msgpack(document->data, document->len), NULL);
    }
    if (skv_batch_run(batch) != SKV_OK) {
        (void)fail(entities, skv_error()->text);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        entities->ids[first + i] = skv_batch_record(batch, i)->id;
    }
    atomic_fetch_add(&entities->put_count, count);
}

static void check(struct entities *entities, const struct skv_record *record, uint32_t number,
                  struct buffer *document)
{
    uint64_t id = entities->ids[number];
    uint64_t created_ms = skv_id_created_ms(id, skv_origin_ms(entities->kv));
    pack_document(number, document);
    if (!bytes_equal(bytes_of(record->encoded.data, record->encoded.len), buffer_bytes(document)) ||
        record->kind != kind_of(number) || record->id != id) {
        (void)fail(entities, "an entity is not what was put");
    } else if (skv_id_shard(id) != shard_of(number)) {
        (void)fail(entities, "an id is of another logical shard");
    } else if (created_ms < entities->begin_ms || created_ms > entities->end_ms) {
        (void)fail(entities, "an id's time is not within the run");
    }
}

static void read_batch(struct entities *entities, struct skv_batch *batch, uint32_t first,
                       uint32_t count, struct buffer *document)
{
    skv_batch_clear(batch);
    for (uint32_t i = 0; i < count; i++) {
        skv_batch_entity_get(batch, entities->ids[first + i], NULL);
    }
    if (skv_batch_run(batch) != SKV_OK) {
        (void)fail(entities, skv_error()->text);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        check(entities, skv_batch_record(batch, i), first + i, document);
    }
    atomic_fetch_add(&entities->read_count, count);
}

static void await_gate(struct entities *entities)
{
    while (atomic_load(&entities->put_count) >= atomic_load(&entities->gate)) {
        usleep(LOOK_AGAIN_US / 50);
    }
}

static void set_gate(struct entities *entities, uint32_t part)
{
    uint64_t count = (uint64_t)entities->count * part / 100;
    atomic_store(&entities->gate, part < 100 ? (uint32_t)count : UINT32_MAX);
}

static void *work(void *context)
{
    struct worker *worker = context;
    struct entities *entities = worker->entities;
    struct skv_batch *batch = skv_batch_new(entities->kv);
    struct buffer document = {0};
    for (uint32_t next = worker->first; next < worker->end; next += BATCH) {
        uint32_t left = worker->end - next;
        uint32_t count = left < BATCH ? left : BATCH;
        if (worker->is_reading) {
            read_batch(entities, batch, next, count, &document);
        } else {
            await_gate(entities);
            put_batch(entities, batch, next, count, &document);
        }
    }
    buffer_fini(&document);
    skv_batch_free(batch);
    atomic_fetch_sub(&entities->working, 1);
    return NULL;
}

static void start_workers(struct entities *entities, bool are_reading)
{
    atomic_store(&entities->working, THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        struct worker *worker = &entities->workers[i];
        *worker = (struct worker){
            .entities = entities,
            .first = (uint32_t)((uint64_t)entities->count * i / THREADS),
            .end = (uint32_t)((uint64_t)entities->count * (i + 1) / THREADS),
            .is_reading = are_reading,
        };
        memory_must(pthread_create(&worker->thread, NULL, work, worker) == 0);
    }
}

static void join_workers(struct entities *entities)
{
    for (uint32_t i = 0; i < THREADS; i++) {
        (void)pthread_join(entities->workers[i].thread, NULL);
    }
}

/* --- rebalances --- */

/* The answer's number of elements, of an array, or of the one named `moves` in a map; UINT32_MAX: no answer. */
static uint32_t ask(struct entities *entities, const char *method)
{
    static const uint8_t params[] = {0x91, 0x80}; /* [{}] */
    struct skv_record record = {0};
    uint32_t count = UINT32_MAX;
    if (skv_request(entities->kv, entities->cluster.daemons[CLUSTER_BOOTSTRAPD].address, method,
                    skv_msgpack(params, sizeof(params)), 0, &record) == SKV_OK) {
        struct unpack in = unpack_of(bytes_of(record.encoded.data, record.encoded.len));
        bool is_plan = strncmp(method, "rebalance", strlen("rebalance")) == 0;
        uint32_t fields = is_plan ? unpack_map(&in) : 0;
        count = is_plan ? 0 : unpack_array(&in);
        for (uint32_t i = 0; i < fields; i++) {
            bool is_it = bytes_equal(unpack_text(&in), bytes_text("moves"));
            struct unpack value = unpack_of(unpack_skip(&in));
            count = is_it ? unpack_array(&value) : count;
        }
    }
    skv_record_fini(&record);
    return count;
}

static bool hear(struct entities *entities)
{
    bool is_heard = cluster_hear(&entities->cluster);
    bool is_fourth_heard =
        entities->fourth.server.pid == 0 || server_hear(&entities->fourth.server);
    return (is_heard && is_fourth_heard) || fail(entities, "a daemon has ended by itself");
}

/* False: violated. */
static bool await_part(struct entities *entities, uint32_t part)
{
    uint64_t wanted = (uint64_t)entities->count * part / 100;
    while (atomic_load(&entities->put_count) < wanted && entities->violation_count == 0) {
        if (!hear(entities)) {
            return false;
        }
        usleep(LOOK_AGAIN_US);
    }
    return entities->violation_count == 0;
}

static bool rebalance(struct entities *entities, struct rebalance *one)
{
    uint64_t begin_us = clock_mono_us();
    uint32_t count = UINT32_MAX;
    while (count == UINT32_MAX || count == 0) {
        if (clock_mono_us() > begin_us + PLAN_US) {
            return fail(entities, "no rebalance is planned");
        }
        usleep(LOOK_AGAIN_US);
        count = ask(entities, "rebalance.run");
    }
    begin_us = clock_mono_us();
    one->put_before = atomic_load(&entities->put_count);
    one->move_count = count;
    set_gate(entities, one == entities->rebalances ? gates[1] : 100);
    while (ask(entities, "move.list") != 0) {
        if (!hear(entities) || clock_mono_us() > begin_us + MOVES_US) {
            return fail(entities, "a rebalance does not end");
        }
        usleep(LOOK_AGAIN_US);
    }
    one->put_after = atomic_load(&entities->put_count);
    one->took_us = clock_mono_us() - begin_us;
    return true;
}

static bool add_fourth(struct entities *entities)
{
    return (cluster_start_daemon(&entities->fourth) &&
            cluster_add(&entities->cluster, &entities->fourth)) ||
           fail(entities, "a fourth server cannot be added");
}

static bool rebalance_all(struct entities *entities)
{
    return await_part(entities, parts[0]) && rebalance(entities, &entities->rebalances[0]) &&
           await_part(entities, parts[1]) && add_fourth(entities) &&
           rebalance(entities, &entities->rebalances[1]);
}

static void put_all(struct entities *entities)
{
    uint64_t begin_us = clock_mono_us();
    entities->begin_ms = clock_wall_ms();
    set_gate(entities, gates[0]);
    start_workers(entities, false);
    (void)rebalance_all(entities);
    set_gate(entities, 100);
    join_workers(entities);
    entities->end_ms = clock_wall_ms();
    entities->put_us = clock_mono_us() - begin_us;
    for (uint32_t i = 0; i < REBALANCES; i++) {
        const struct rebalance *one = &entities->rebalances[i];
        if (entities->violation_count == 0 && one->put_after <= one->put_before) {
            (void)fail(entities, "nothing was put while a rebalance ran");
        }
    }
}

/* --- what is there --- */

static void read_all(struct entities *entities)
{
    uint64_t begin_us = clock_mono_us();
    start_workers(entities, true);
    while (atomic_load(&entities->working) > 0 && hear(entities)) {
        usleep(LOOK_AGAIN_US);
    }
    join_workers(entities);
    entities->read_us = clock_mono_us() - begin_us;
}

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Sorts them: afterwards they are not by number any more. */
static void compare_all(struct entities *entities)
{
    qsort(entities->ids, entities->count, sizeof(*entities->ids), compare_ids);
    for (uint32_t i = 1; i < entities->count; i++) {
        if (entities->ids[i] == entities->ids[i - 1]) {
            (void)fail(entities, "an id was given twice");
        }
    }
}

static void count_kind(struct entities *entities, uint16_t kind)
{
    const struct skv_scan_options options = {.table = "entities",
                                             .keys_only = true,
                                             .has_kind = true,
                                             .kind = kind,
                                             .timeout_ms = CALL_TIMEOUT_MS};
    uint32_t wanted = (entities->count + KINDS - kind) / KINDS;
    uint32_t *count = &entities->kind_counts[kind - 1];
    struct skv_scan *scan = NULL;
    enum skv_status status = skv_scan_open(entities->kv, &options, &scan);
    while (status == SKV_OK && skv_scan_next(scan)) {
        ++*count;
    }
    status = status == SKV_OK ? skv_scan_close(scan) : status;
    if (status != SKV_OK) {
        (void)fail(entities, skv_error()->text);
    } else if (*count != wanted) {
        (void)fail(entities, "a scan by kind has more, or fewer");
    }
}

/* --- --- */

static void set_arguments(struct entities *entities, struct daemon *daemon)
{
    daemon->config.arguments[0] = entities->durability;
    daemon->config.arguments[1] = "--log-size=256MiB";
    daemon->config.arguments[2] = "--memory=256MiB";
    daemon->config.arguments[3] = NULL;
}

static bool begin(struct entities *entities, const char *durability)
{
    const struct skv_options options = {.timeout_ms = CALL_TIMEOUT_MS};
    (void)snprintf(entities->durability, sizeof(entities->durability), "--durability=%s",
                   durability);
    cluster_init(&entities->cluster, &entities->scene);
    cluster_init_daemon(&entities->fourth, "d", &entities->scene);
    for (uint32_t i = 0; i < CLUSTER_SERVERS; i++) {
        set_arguments(entities, &entities->cluster.daemons[i]);
    }
    set_arguments(entities, &entities->fourth);
    return (cluster_start(&entities->cluster) &&
            skv_open(entities->cluster.daemons[CLUSTER_BOOTSTRAPD].address, &options,
                     &entities->kv) == SKV_OK) ||
           fail(entities, "the cluster does not start");
}

static void print_total(const struct entities *entities)
{
    for (uint32_t i = 0; i < REBALANCES; i++) {
        const struct rebalance *one = &entities->rebalances[i];
        printf("# rebalance %u: %u moves in %.1f s, while %u were put\n", i + 1, one->move_count,
               (double)one->took_us / 1000000, one->put_after - one->put_before);
    }
    printf("# total: %u entities of %u, %u and %u of each kind, over %d logical shards on %d "
           "servers (%s): put in %.1f s, %u read back in %.1f s; %u faults\n",
           atomic_load(&entities->put_count), entities->kind_counts[0], entities->kind_counts[1],
           entities->kind_counts[2], SHARDS, CLUSTER_SERVERS + 1, entities->durability + 2,
           (double)entities->put_us / 1000000, atomic_load(&entities->read_count),
           (double)entities->read_us / 1000000, entities->violation_count);
}

int torture_entities(uint64_t seed, uint32_t count, const char *durability)
{
    static struct entities entities;
    entities = (struct entities){.count = count};
    (void)pthread_mutex_init(&entities.lock, NULL);
    scene_init(&entities.scene, seed, false);
    entities.ids = memory_get(count, sizeof(*entities.ids));
    if (begin(&entities, durability)) {
        put_all(&entities);
    }
    if (entities.violation_count == 0) {
        read_all(&entities);
        for (uint32_t kind = 1; kind <= KINDS; kind++) {
            count_kind(&entities, (uint16_t)kind);
        }
        compare_all(&entities);
    }
    print_total(&entities);
    tap_result(&entities.scene.tap, entities.violation_count == 0,
               "entities put while two rebalances run: each is there under an id of its own");
    skv_close(entities.kv);
    server_kill(&entities.fourth.server);
    cluster_end(&entities.cluster);
    free(entities.ids);
    return scene_end(&entities.scene);
}
