/* SPDX-License-Identifier: MIT */
#include "tests/torture/minters.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/memory.h"
#include "libclient/shardkv.h"
#include "proto/id.h"
#include "proto/pack.h"
#include "proto/unpack.h"
#include "tests/unit/dice.h"

enum { NUMBER_SHIFT = 40, KIND = 7, DOCUMENT_LEN_MAX = 16, CALM_US = 2000, VIOLATION_LEN = 512 };

/* Instead of a logical shard that one thread alone has. */
enum { ALL = UINT16_MAX, NOBODY };

/* Ten of sixteen calls are single ones, three are batches, three are puts. */
enum { LOTS = 16, LOTS_SINGLE = 10, LOTS_BATCH = 13 };

/* One call's ids are at ids[first] and behind. */
struct answer {
    uint64_t begin_us, end_us;
    uint32_t first, count;
};

struct minter {
    struct minters *minters;
    pthread_t thread;
    uint32_t index;
    struct dice dice;
    uint64_t *ids;
    struct answer *answers;
    uint64_t *puts; /* by their count: the id, 0: not known */
    bool *is_there; /* by their count: a scan has found it */
    size_t id_count, id_room, answer_count, answer_room, put_count, put_room;
};

struct minters {
    struct minters_config config;
    struct skv *kv;
    struct minter *all; /* and one more, of who has them */
    atomic_bool is_over, may_be_refused;
    atomic_uint who; /* asks: ALL, NOBODY, or one, for this logical shard */
    atomic_uint_fast64_t given, puts, calls, refused, unknown, full, longest_us;
    atomic_uint under_way;
    pthread_mutex_t lock;
    char violation[VIOLATION_LEN];
    uint64_t *found; /* ids of records whose put has no known outcome */
    size_t found_count, found_room;
};

static void violate(struct minters *minters, const char *what, uint64_t id, uint64_t other)
{
    (void)pthread_mutex_lock(&minters->lock);
    if (!minters->violation[0]) {
        (void)snprintf(minters->violation, VIOLATION_LEN,
                       "%s: %" PRIu64 " (shard %u, %" PRIu64 " ms, sequence %u), %" PRIu64, what,
                       id, id_shard(id), id_ms(id), id_sequence(id), other);
    }
    (void)pthread_mutex_unlock(&minters->lock);
}

static void violate_call(struct minters *minters, enum skv_status status)
{
    (void)pthread_mutex_lock(&minters->lock);
    if (!minters->violation[0]) {
        (void)snprintf(minters->violation, VIOLATION_LEN, "a call failed: %s: %.400s",
                       skv_status_name(status), skv_error()->text);
    }
    (void)pthread_mutex_unlock(&minters->lock);
}

/* Room for `more` elements behind `count`. */
static void *grow(void *memory, size_t *room, size_t count, size_t more, size_t len)
{
    if (count + more <= *room) {
        return memory;
    }
    *room = 2 * *room + more + 256;
    return memory_resize(memory, *room, len);
}

/* --- calls --- */

static void note_time(struct minters *minters, uint64_t took_us)
{
    uint_fast64_t longest_us = atomic_load(&minters->longest_us);
    while (took_us > longest_us &&
           !atomic_compare_exchange_weak(&minters->longest_us, &longest_us, took_us)) {
    }
}

/* `count` ids are behind those that are noted. */
static void note_answer(struct minter *minter, uint32_t shard, uint64_t begin_us, uint32_t count)
{
    struct minters *minters = minter->minters;
    uint64_t end_us = clock_mono_us();
    const uint64_t *ids = minter->ids + minter->id_count;
    minter->answers = grow(minter->answers, &minter->answer_room, minter->answer_count, 1,
                           sizeof(*minter->answers));
    minter->answers[minter->answer_count++] =
        (struct answer){begin_us, end_us, (uint32_t)minter->id_count, count};
    for (uint32_t i = 0; i < count; i++) {
        if (id_shard(ids[i]) != shard || (i > 0 && ids[i] <= ids[i - 1])) {
            violate(minters, "an id of another shard, or not above the one before", ids[i], shard);
        }
    }
    minter->id_count += count;
    atomic_fetch_add(&minters->given, count);
    atomic_fetch_add(&minters->calls, 1);
    note_time(minters, end_us - begin_us);
}

/* Only what a clock that is behind brings about, and only while one is. */
static void note_failure(struct minters *minters, enum skv_status status)
{
    bool is_refusal = status == SKV_UNAVAILABLE && atomic_load(&minters->may_be_refused);
    atomic_fetch_add(&minters->refused, is_refusal);
    if (!is_refusal) {
        violate_call(minters, status);
    }
}

static bool mint(struct minter *minter, uint32_t shard, uint32_t count)
{
    struct minters *minters = minter->minters;
    minter->ids =
        grow(minter->ids, &minter->id_room, minter->id_count, count, sizeof(*minter->ids));
    uint64_t begin_us = clock_mono_us();
    enum skv_status status =
        skv_mint(minters->kv, shard, minter->ids + minter->id_count, count, NULL);
    if (status == SKV_OK) {
        note_answer(minter, shard, begin_us, count);
    } else {
        note_failure(minters, status);
    }
    return status == SKV_OK;
}

static size_t pack_document(uint64_t number, uint8_t document[DOCUMENT_LEN_MAX])
{
    struct buffer out = {0};
    pack_map(&out, 1);
    pack_text(&out, "n");
    pack_uint(&out, number);
    memory_must(!out.failed && out.len <= DOCUMENT_LEN_MAX);
    size_t len = out.len;
    memcpy(document, out.data, len);
    buffer_fini(&out);
    return len;
}

static void put(struct minter *minter, uint32_t shard)
{
    struct minters *minters = minter->minters;
    uint8_t document[DOCUMENT_LEN_MAX];
    uint64_t number = (uint64_t)minter->index << NUMBER_SHIFT | minter->put_count;
    size_t len = pack_document(number, document);
    minter->ids = grow(minter->ids, &minter->id_room, minter->id_count, 1, sizeof(*minter->ids));
    minter->puts =
        grow(minter->puts, &minter->put_room, minter->put_count, 1, sizeof(*minter->puts));
    uint64_t *id = &minter->puts[minter->put_count++];
    *id = 0;
    uint64_t begin_us = clock_mono_us();
    enum skv_status status =
        skv_entity_put(minters->kv, shard, KIND, skv_msgpack(document, len), NULL, id);
    if (status == SKV_OK) {
        minter->ids[minter->id_count] = *id;
        note_answer(minter, shard, begin_us, 1);
        atomic_fetch_add(&minters->puts, 1);
    } else if (status == SKV_UNKNOWN) {
        atomic_fetch_add(&minters->unknown, 1);
    } else if (status == SKV_FULL) {
        atomic_fetch_add(&minters->full, 1);
    } else {
        note_failure(minters, status);
    }
}

static void ask(struct minter *minter)
{
    const struct minters_config *config = &minter->minters->config;
    uint32_t lot = dice_below(&minter->dice, LOTS);
    uint32_t shard = config->shards[dice_below(&minter->dice, config->shard_count)];
    if (lot < LOTS_SINGLE) {
        (void)mint(minter, shard, 1);
    } else if (lot < LOTS_BATCH) {
        (void)mint(minter, shard, 1 + dice_below(&minter->dice, config->batch_max));
    } else {
        put(minter, shard);
    }
}

/* Whether it may ask again at once. */
static bool ask_if_due(struct minter *minter)
{
    uint32_t who = atomic_load(&minter->minters->who);
    bool is_alone = who < ALL && minter->index == 0;
    if (who == ALL) {
        ask(minter);
    } else if (is_alone) {
        (void)mint(minter, who, 1);
    }
    return is_alone;
}

static void *run(void *context)
{
    struct minter *minter = context;
    struct minters *minters = minter->minters;
    while (!atomic_load(&minters->is_over)) {
        atomic_fetch_add(&minters->under_way, 1);
        bool is_alone = ask_if_due(minter);
        atomic_fetch_sub(&minters->under_way, 1);
        if (!is_alone) {
            usleep(1 + dice_below(&minter->dice, minters->config.pause_us_max));
        }
    }
    return NULL;
}

/* --- --- */

struct minters *minters_start(const struct minters_config *config)
{
    struct minters *minters = memory_get(1, sizeof(*minters));
    const struct skv_options options = {.timeout_ms = config->timeout_ms,
                                        .pool_max = config->connection_count,
                                        .pool_wait_ms = config->timeout_ms};
    minters->config = *config;
    atomic_store(&minters->who, ALL);
    minters->all = memory_get(config->thread_count + 1, sizeof(*minters->all));
    (void)pthread_mutex_init(&minters->lock, NULL);
    memory_must(skv_open(config->addresses, &options, &minters->kv) == SKV_OK);
    for (uint32_t i = 0; i <= config->thread_count; i++) {
        minters->all[i] =
            (struct minter){.minters = minters, .index = i, .dice = {config->seed * 1000 + i}};
    }
    for (uint32_t i = 0; i < config->thread_count; i++) {
        struct minter *minter = &minters->all[i];
        memory_must(pthread_create(&minter->thread, NULL, run, minter) == 0);
    }
    return minters;
}

void minters_stop(struct minters *minters)
{
    atomic_store(&minters->is_over, true);
    for (uint32_t i = 0; i < minters->config.thread_count; i++) {
        (void)pthread_join(minters->all[i].thread, NULL);
    }
}

void minters_pause(struct minters *minters)
{
    atomic_store(&minters->who, NOBODY);
    while (atomic_load(&minters->under_way) > 0) {
        usleep(CALM_US);
    }
}

void minters_go_on(struct minters *minters)
{
    atomic_store(&minters->who, ALL);
}

void minters_leave_one(struct minters *minters, uint32_t shard)
{
    minters_pause(minters);
    atomic_store(&minters->longest_us, 0);
    atomic_store(&minters->who, shard);
}

void minters_expect_refusals(struct minters *minters, bool may_be)
{
    atomic_store(&minters->may_be_refused, may_be);
}

void minters_count(const struct minters *minters, struct minters_counts *counts)
{
    *counts = (struct minters_counts){
        .given = atomic_load(&minters->given),
        .puts = atomic_load(&minters->puts),
        .calls = atomic_load(&minters->calls),
        .refused = atomic_load(&minters->refused),
        .unknown = atomic_load(&minters->unknown),
        .full = atomic_load(&minters->full),
        .under_way = atomic_load(&minters->under_way),
    };
}

uint64_t minters_take_longest_us(struct minters *minters)
{
    return atomic_exchange(&minters->longest_us, 0);
}

static struct minter *own(const struct minters *minters)
{
    return &minters->all[minters->config.thread_count];
}

bool minters_mint(struct minters *minters, uint32_t shard, uint32_t count, uint64_t *took_us)
{
    uint64_t begin_us = clock_mono_us();
    bool is_done = mint(own(minters), shard, count);
    if (took_us) {
        *took_us = clock_mono_us() - begin_us;
    }
    return is_done;
}

uint64_t minters_last(const struct minters *minters)
{
    const struct minter *minter = own(minters);
    return minter->id_count ? minter->ids[minter->id_count - 1] : 0;
}

const char *minters_violation(const struct minters *minters)
{
    return minters->violation;
}

/* --- what is there --- */

static bool take_number(const struct skv_record *record, uint64_t *number)
{
    struct unpack in = unpack_of(bytes_of(record->encoded.data, record->encoded.len));
    bool is_one = unpack_map(&in) == 1 && bytes_equal(unpack_text(&in), bytes_text("n")) &&
                  record->kind == KIND;
    *number = unpack_uint(&in);
    return is_one && unpack_is_done(&in);
}

static void look_at(struct minters *minters, const struct skv_record *record)
{
    uint64_t number = 0;
    bool is_one = take_number(record, &number);
    uint64_t index = number >> NUMBER_SHIFT;
    uint64_t count = number & ((UINT64_C(1) << NUMBER_SHIFT) - 1);
    if (!is_one || index >= minters->config.thread_count ||
        count >= minters->all[index].put_count) {
        violate(minters, "a record that nobody put", record->id, number);
        return;
    }
    struct minter *minter = &minters->all[index];
    if (minter->is_there[count]) {
        violate(minters, "a document is there twice", record->id, minter->puts[count]);
    } else if (minter->puts[count] == 0) {
        minters->found = grow(minters->found, &minters->found_room, minters->found_count, 1,
                              sizeof(*minters->found));
        minters->found[minters->found_count++] = record->id;
    } else if (minter->puts[count] != record->id) {
        violate(minters, "a document is not where its put said", record->id, minter->puts[count]);
    }
    minter->is_there[count] = true;
}

static void scan(struct minters *minters)
{
    const struct skv_scan_options options = {.table = "entities",
                                             .timeout_ms = minters->config.timeout_ms};
    const struct skv_record *record = NULL;
    struct skv_scan *one = NULL;
    enum skv_status status = skv_scan_open(minters->kv, &options, &one);
    while (status == SKV_OK && (record = skv_scan_next(one))) {
        look_at(minters, record);
    }
    status = status == SKV_OK ? skv_scan_close(one) : status;
    if (status != SKV_OK) {
        violate_call(minters, status);
    }
}

static void judge_puts(struct minters *minters)
{
    for (uint32_t i = 0; i < minters->config.thread_count; i++) {
        minters->all[i].is_there =
            memory_get(minters->all[i].put_count + 1, sizeof(*minters->all[i].is_there));
    }
    scan(minters);
    for (uint32_t i = 0; i < minters->config.thread_count; i++) {
        const struct minter *minter = &minters->all[i];
        for (size_t k = 0; k < minter->put_count; k++) {
            if (minter->puts[k] && !minter->is_there[k]) {
                violate(minters, "a put that was acknowledged is not there", minter->puts[k], k);
            }
        }
    }
}

/* --- no two alike --- */

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void judge_uniqueness(struct minters *minters)
{
    size_t count = 0;
    size_t room = minters->found_count + 1;
    for (uint32_t i = 0; i <= minters->config.thread_count; i++) {
        room += minters->all[i].id_count;
    }
    uint64_t *ids = memory_get(room, sizeof(*ids));
    for (uint32_t i = 0; i <= minters->config.thread_count; i++) {
        const struct minter *minter = &minters->all[i];
        if (minter->id_count) {
            memcpy(ids + count, minter->ids, minter->id_count * sizeof(*ids));
        }
        count += minter->id_count;
    }
    if (minters->found_count) {
        memcpy(ids + count, minters->found, minters->found_count * sizeof(*ids));
    }
    count += minters->found_count;
    qsort(ids, count, sizeof(*ids), compare_ids);
    for (size_t i = 1; i < count; i++) {
        if (ids[i] == ids[i - 1]) {
            violate(minters, "given twice", ids[i], i);
        }
    }
    free(ids);
}

/* --- growth --- */

/* Of one answer, what it has of one half of one slice. */
struct span {
    uint64_t begin_us, end_us;
    uint64_t low, high; /* ids */
    uint32_t half;      /* the slice, and which half of it */
};

static uint32_t half_of(uint64_t id)
{
    return (uint32_t)(id_point(id) >> 50);
}

static size_t add_spans(const struct minter *minter, const struct answer *answer,
                        struct span *spans)
{
    struct span halves[2] = {{.low = UINT64_MAX}, {.low = UINT64_MAX}};
    size_t count = 0;
    for (uint32_t i = 0; i < answer->count; i++) {
        uint64_t id = minter->ids[answer->first + i];
        struct span *span = &halves[half_of(id) & 1];
        span->low = id < span->low ? id : span->low;
        span->high = id > span->high ? id : span->high;
        span->half = half_of(id);
    }
    for (uint32_t i = 0; i < 2; i++) {
        halves[i].begin_us = answer->begin_us;
        halves[i].end_us = answer->end_us;
        if (halves[i].high) {
            spans[count++] = halves[i];
        }
    }
    return count;
}

static int compare_begins(const void *left, const void *right)
{
    const struct span *a = left;
    const struct span *b = right;
    return a->half != b->half ? (a->half > b->half) - (a->half < b->half)
                              : (a->begin_us > b->begin_us) - (a->begin_us < b->begin_us);
}

static int compare_ends(const void *left, const void *right)
{
    const struct span *a = left;
    const struct span *b = right;
    return a->half != b->half ? (a->half > b->half) - (a->half < b->half)
                              : (a->end_us > b->end_us) - (a->end_us < b->end_us);
}

/* The spans by begin and by end: the highest id of those that had ended is below what was asked for later. */
static void compare_spans(struct minters *minters, const struct span *begins,
                          const struct span *ends, size_t count)
{
    uint64_t high = 0;
    for (size_t i = 0, ended = 0; i < count; i++) {
        if (i == 0 || begins[i].half != begins[i - 1].half) {
            high = 0;
            ended = i;
        }
        for (; ended < count && ends[ended].half == begins[i].half &&
               ends[ended].end_us < begins[i].begin_us;
             ended++) {
            high = ends[ended].high > high ? ends[ended].high : high;
        }
        if (begins[i].low <= high) {
            violate(minters, "below one that was given before it was asked for", begins[i].low,
                    high);
        }
    }
}

static void judge_growth(struct minters *minters)
{
    size_t room = 1;
    size_t count = 0;
    for (uint32_t i = 0; i <= minters->config.thread_count; i++) {
        room += 2 * minters->all[i].answer_count;
    }
    struct span *begins = memory_get(room, sizeof(*begins));
    struct span *ends = memory_get(room, sizeof(*ends));
    for (uint32_t i = 0; i <= minters->config.thread_count; i++) {
        const struct minter *minter = &minters->all[i];
        for (size_t k = 0; k < minter->answer_count; k++) {
            count += add_spans(minter, &minter->answers[k], begins + count);
        }
    }
    memcpy(ends, begins, count * sizeof(*begins));
    qsort(begins, count, sizeof(*begins), compare_begins);
    qsort(ends, count, sizeof(*ends), compare_ends);
    compare_spans(minters, begins, ends, count);
    free(begins);
    free(ends);
}

void minters_judge(struct minters *minters)
{
    judge_puts(minters);
    judge_uniqueness(minters);
    judge_growth(minters);
}

void minters_free(struct minters *minters)
{
    for (uint32_t i = 0; minters && i <= minters->config.thread_count; i++) {
        free(minters->all[i].ids);
        free(minters->all[i].answers);
        free(minters->all[i].puts);
        free(minters->all[i].is_there);
    }
    if (minters) {
        skv_close(minters->kv);
        (void)pthread_mutex_destroy(&minters->lock);
        free(minters->found);
        free(minters->all);
        free(minters);
    }
}
