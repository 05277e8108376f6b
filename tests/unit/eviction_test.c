/* SPDX-License-Identifier: MIT */

/*
 * How well what is evicted is chosen: on a Zipf 0.99 trace beside exact LRU of the same size, once in a shard that
 * evicts at its limit, once where the tree has everything and memory is short; and that what is not in memory
 * goes first.
 */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "shardd/hot_internal.h"
#include "shardd/store.h"
#include "tests/unit/bench.h"
#include "tests/unit/dice.h"

#define KEYS      100000
#define PART      10 /* of the keys have room */
#define ACCESSES  1000000
#define KEY_LEN   12
#define VALUE_LEN 100

/* The issue's: within 0.02 of exact LRU. To be better is no fault. */
#define WORSE_MAX 0.02

#define EXPONENT 0.99

/* --- the trace --- */

struct trace {
    char keys[KEYS][KEY_LEN + 1]; /* in the owned half of the circle */
    uint32_t accesses[ACCESSES];  /* indexes of keys */
};

static struct bytes trace_key(const struct trace *trace, uint32_t index)
{
    return bytes_of(trace->keys[index], KEY_LEN);
}

static void make_keys(struct trace *trace)
{
    uint32_t count = 0;
    for (uint32_t number = 0; count < KEYS; number++) {
        (void)snprintf(trace->keys[count], KEY_LEN + 1, "key:%08u", number);
        count += point_of_key(trace_key(trace, count)) >> 63 == 0;
    }
}

static uint32_t rank_at(const double *sums, double at)
{
    uint32_t low = 0;
    uint32_t high = KEYS - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sums[middle] <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Ranks are the keys' numbers: their points have nothing to do with these. */
static struct trace *make_trace(void)
{
    static double sums[KEYS];
    struct dice dice = dice_of(99);
    struct trace *trace = calloc(1, sizeof(*trace));
    double sum = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        sum += pow((double)i + 1, -EXPONENT);
        sums[i] = sum;
    }
    make_keys(trace);
    for (uint32_t i = 0; i < ACCESSES; i++) {
        double fraction = (double)(dice_roll(&dice) >> 11) * 0x1p-53;
        trace->accesses[i] = rank_at(sums, fraction * sum);
    }
    return trace;
}

/* --- exact LRU --- */

struct lru {
    uint32_t newer[KEYS + 1]; /* rings through KEYS, which is none of them */
    uint32_t older[KEYS + 1];
    bool is_in[KEYS];
    uint32_t count;
};

static void lru_unlink(struct lru *lru, uint32_t key)
{
    lru->newer[lru->older[key]] = lru->newer[key];
    lru->older[lru->newer[key]] = lru->older[key];
}

static void lru_link(struct lru *lru, uint32_t key)
{
    lru->older[key] = lru->older[KEYS];
    lru->newer[key] = KEYS;
    lru->newer[lru->older[KEYS]] = key;
    lru->older[KEYS] = key;
}

/* Returns whether it was there. */
static bool lru_use(struct lru *lru, uint32_t key, uint32_t capacity)
{
    bool was_in = lru->is_in[key];
    if (was_in) {
        lru_unlink(lru, key);
    } else if (lru->count == capacity) {
        uint32_t oldest = lru->newer[KEYS];
        lru_unlink(lru, oldest);
        lru->is_in[oldest] = false;
    } else {
        lru->count++;
    }
    lru->is_in[key] = true;
    lru_link(lru, key);
    return was_in;
}

static double lru_ratio(const struct trace *trace, uint32_t capacity)
{
    static struct lru lru;
    uint32_t hits = 0;
    lru = (struct lru){0};
    lru.newer[KEYS] = lru.older[KEYS] = KEYS;
    for (uint32_t i = 0; i < ACCESSES; i++) {
        hits += lru_use(&lru, trace->accesses[i], capacity);
    }
    return (double)hits / ACCESSES;
}

static void assert_not_worse(double ratio, const struct trace *trace, uint32_t capacity)
{
    double exact = lru_ratio(trace, capacity);
    printf("# %u of %u records: hit ratio %.4f, exact LRU %.4f\n", capacity, KEYS, ratio, exact);
    assert_true(ratio >= exact - WORSE_MAX);
}

/* --- a shard at its limit --- */

/* As the sweep does it. */
static void sweep_all(struct hot *hot)
{
    static struct hot_item items[4096];
    uint64_t point = 0;
    bool is_end = false;
    while (!is_end) {
        uint32_t count =
            hot_collect(hot, &point, UINT64_MAX, UINT64_MAX, items, 4096, UINT32_MAX, &is_end);
        hot_swept(hot, items, count);
    }
}

static const struct outcome *run_on(struct bench *bench, const struct trace *trace, uint32_t index,
                                    enum op_kind kind)
{
    static const uint8_t value[VALUE_LEN];
    struct op op = {.kind = kind, .key = trace_key(trace, index)};
    op.point = point_of_key(op.key);
    if (kind == OP_WRITE) {
        op.value = bytes_of(value, sizeof(value));
    }
    return bench_run(bench, &op);
}

/* Returns whether it was there. */
static bool read_or_write(struct bench *bench, const struct trace *trace, uint32_t index)
{
    if (run_on(bench, trace, index, OP_READ)->was_there) {
        return true;
    }
    const struct outcome *outcome = run_on(bench, trace, index, OP_WRITE);
    assert_int_equal(outcome->status, STATUS_OK);
    return false;
}

static void a_shard_that_evicts_keeps_what_exact_lru_would(void **state)
{
    (void)state;
    struct bench bench;
    struct trace *trace = make_trace();
    uint64_t limit = (uint64_t)KEYS / PART * record_size(KEY_LEN, VALUE_LEN);
    uint32_t hits = 0;
    bench_open(&bench, limit, WHEN_FULL_EVICT, true);
    for (uint32_t i = 0; i < ACCESSES; i++) {
        hits += read_or_write(&bench, trace, trace->accesses[i]);
        assert_true(bench_account(&bench)->used <= limit);
        if (i % 10000 == 0) {
            bench_pass(&bench, 1);
            sweep_all(bench.execution.hot);
        }
    }
    assert_int_equal(bench_account(&bench)->records, KEYS / PART);
    assert_not_worse((double)hits / ACCESSES, trace, KEYS / PART);
    bench_close(&bench);
    free(trace);
}

/* --- memory that is short --- */

struct memory {
    struct arena *arena;
    struct hot *hot;
    size_t limit; /* bytes */
};

/* RULES S5, as the store does it. */
static void fetch(struct memory *memory, struct bytes key)
{
    static const uint8_t value[VALUE_LEN];
    struct record record = {.point = point_of_key(key), .key = key, .version = 1};
    struct hot_record *entry = hot_put(memory->hot, NULL, &record, HOT_FETCHING, false);
    record.value = bytes_of(value, sizeof(value));
    hot_put(memory->hot, entry, &record, HOT_RECORD, false);
    assert_non_null(hot_find(memory->hot, record.point, 0, key));
    hot_forget_use(memory->hot, record.point, 0, key);
}

static bool find_or_fetch(struct memory *memory, struct bytes key)
{
    if (hot_find(memory->hot, point_of_key(key), 0, key)) {
        return true;
    }
    fetch(memory, key);
    return false;
}

static void memory_keeps_what_exact_lru_would(void **state)
{
    (void)state;
    struct trace *trace = make_trace();
    struct memory memory = {.arena = arena_new()};
    uint32_t hits = 0;
    uint64_t count_sum = 0;
    memory.hot = hot_new(memory.arena, false);
    memory.limit = hot_held(memory.hot) + (size_t)KEYS / PART * (VALUE_LEN + 50);
    for (uint32_t i = 0; i < ACCESSES; i++) {
        struct hot_stat stat;
        hits += find_or_fetch(&memory, trace_key(trace, trace->accesses[i]));
        if (i % 64 == 0) {
            hot_trim(memory.hot, memory.limit, 4096, 1024);
        }
        hot_stat(memory.hot, &stat);
        count_sum += stat.record_count;
    }
    assert_not_worse((double)hits / ACCESSES, trace, (uint32_t)(count_sum / ACCESSES));
    hot_free(memory.hot);
    arena_free_all(memory.arena);
    free(trace);
}

/* --- a shard larger than the memory --- */

#define STORE_SIZE      (UINT64_C(8) << 20)
#define STORE_MEMORY    (STORE_SIZE / 4)
#define STORE_VALUE_LEN 1000
#define PER_TURN        32 /* writes of a turn */
#define TURN_MS         4
#define RECORDS_IN_ALL  ((uint32_t)(STORE_SIZE / 2 * 3 / STORE_VALUE_LEN))

struct cache {
    struct scratch scratch;
    struct loop *loop;
    struct dir *dir;
    struct store *store;
    struct timer *timer;
    uint32_t keys[PER_TURN]; /* of this turn */
    uint32_t next;           /* key to be written */
    uint32_t refused_count;  /* writes that were to try later */
    uint64_t used_max;
    uint32_t waited_count; /* turns */
    bool is_stopped;
};

static const struct account *cache_account(const struct cache *cache)
{
    return store_account(cache->store, 0);
}

static void on_written(const struct op *op, const struct outcome *outcome)
{
    struct cache *cache = op->context;
    uint64_t used = cache_account(cache)->used;
    if (outcome->status == STATUS_TRY_LATER) {
        cache->refused_count++;
    } else {
        assert_int_equal(outcome->status, STATUS_OK);
    }
    cache->used_max = used > cache->used_max ? used : cache->used_max;
}

/* `key` lives until the end of the turn. */
static void write_next(struct cache *cache, uint32_t *key)
{
    static const uint8_t value[STORE_VALUE_LEN];
    struct op op = {.kind = OP_WRITE, .done = on_written, .context = cache};
    *key = cache->next++;
    op.key = bytes_of(key, sizeof(*key));
    op.point = point_of_key(op.key);
    op.value = bytes_of(value, sizeof(value));
    store_submit(cache->store, &op);
}

/* Half of what is to be kept free is taken: what makes room is given time, on a busy machine, too. */
static bool must_wait(const struct cache *cache)
{
    return cache_account(cache)->used > STORE_SIZE - STORE_SIZE / 128;
}

/* Writes as a client does that the store slows down (RULES F3). */
static void on_timer(void *context)
{
    struct cache *cache = context;
    uint64_t delay_ms = store_writer_delay_ms(cache->store, 0);
    cache->waited_count += must_wait(cache);
    for (uint32_t i = 0; !must_wait(cache) && i < PER_TURN && cache->next < RECORDS_IN_ALL; i++) {
        write_next(cache, &cache->keys[i]);
    }
    timer_set(cache->timer, delay_ms > TURN_MS ? delay_ms : TURN_MS);
}

static void on_stopped(void *context)
{
    struct cache *cache = context;
    cache->is_stopped = true;
    loop_stop(cache->loop);
}

static void on_turn_end(void *context)
{
    struct cache *cache = context;
    store_turn_end(cache->store);
    if (cache->next == RECORDS_IN_ALL && store_is_idle(cache->store)) {
        loop_stop(cache->loop);
    }
}

static void on_saved(void *context, bool is_saved)
{
    struct cache *cache = context;
    assert_true(is_saved);
    timer_set(cache->timer, 0);
}

/* A new store owns nothing at first. */
static void own_all(struct cache *cache)
{
    const struct range range = {
        .end = BOUND_END, .limit = STORE_SIZE, .when_full = WHEN_FULL_EVICT};
    const struct store_state state = {bytes_text("control"), &range, 1};
    store_save(cache->store, &state, on_saved, cache);
}

static void open_cache(struct cache *cache)
{
    static const struct log_identity identity = {.server = {1}, .incarnation = 1};
    char error[256];
    *cache = (struct cache){.scratch = scratch_make(), .loop = loop_new()};
    cache->dir = dir_open(cache->scratch.path, error, sizeof(error));
    assert_non_null(cache->dir);
    const struct store_config config = {.loop = cache->loop,
                                        .dir = cache->dir,
                                        .durability = DURABILITY_OS,
                                        .memory_limit = STORE_MEMORY,
                                        .log_limit = 32 * STORE_MEMORY,
                                        .segment_len = STORE_MEMORY / 2};
    cache->store = store_open(&config, error, sizeof(error));
    assert_non_null(cache->store);
    static const struct store_state nothing;
    if (!store_start(cache->store, &identity, &nothing, error, sizeof(error))) {
        fail_msg("%s", error);
    }
    cache->timer = timer_new(cache->loop, on_timer, cache);
    loop_on_turn_end(cache->loop, on_turn_end, cache);
}

static void close_cache(struct cache *cache)
{
    store_stop(cache->store, on_stopped, cache);
    while (!cache->is_stopped) {
        loop_run(cache->loop);
    }
    timer_free(cache->timer);
    store_free(cache->store);
    loop_free(cache->loop);
    dir_close(cache->dir);
    scratch_remove(&cache->scratch);
}

/* Three quarters of it are cold: these go first, while the writer goes on. */
static void what_is_cold_goes_first_in_a_shard_larger_than_the_memory(void **state)
{
    (void)state;
    struct cache cache;
    open_cache(&cache);
    own_all(&cache);
    loop_run(cache.loop);
    const struct account *account = cache_account(&cache);
    printf("# %" PRIu64 " evicted, of these %" PRIu64 " cold; at most %" PRIu64 " of %" PRIu64
           " bytes; %u writes refused, %u turns waited\n",
           account->evicted, account->evicted_cold, cache.used_max, STORE_SIZE, cache.refused_count,
           cache.waited_count);
    assert_true(cache.used_max <= STORE_SIZE);
    assert_true(account->evicted > RECORDS_IN_ALL / 5);
    assert_int_equal(account->evicted_cold, account->evicted);
    close_cache(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_that_evicts_keeps_what_exact_lru_would),
        cmocka_unit_test(memory_keeps_what_exact_lru_would),
        cmocka_unit_test(what_is_cold_goes_first_in_a_shard_larger_than_the_memory),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
