/* SPDX-License-Identifier: MIT */
#include "tests/torture/crowd.h"

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
#include "tests/sim/history.h"
#include "tests/unit/dice.h"

/* Written numbers are this far apart, so that sums never meet another value. */
#define NUMBER_STEP   1000
#define NUMBER_THREAD INT64_C(1000000000000)

enum { NAME_LEN = 64, TEXT_LEN = 512, DIGITS_LEN = 24, BATCH_MAX = 6, PAUSE_US_MAX = 3000 };
enum { TTL_MS_MAX = 3000 };

struct member {
    struct crowd *crowd;
    pthread_t thread;
    struct skv *kv;
    struct dice dice;
    int64_t last_number;
    uint64_t *versions; /* last seen, by key */
    struct crowd_totals totals;
};

struct crowd {
    struct crowd_config config;
    struct chronicle *chronicle;
    struct skv *shared; /* of half of the members */
    atomic_bool is_over;
    pthread_mutex_t lock; /* of violation */
    char violation[TEXT_LEN];
    struct member *members;
};

/* --- keys and values --- */

enum key_kind { KEY_REGISTER, KEY_COUNTER, KEY_PLACE, KEY_KINDS };

static enum key_kind kind_of(uint32_t key)
{
    return (enum key_kind)(key % KEY_KINDS);
}

static struct skv_bytes key_text(const struct crowd *crowd, uint32_t key, char text[NAME_LEN])
{
    (void)snprintf(text, NAME_LEN, "%s-%05u", crowd->config.name, key);
    return skv_key(text);
}

/* Mostly some bytes, sometimes some thousand, rarely more than a page of the tree takes. */
static size_t padding_len(int64_t number)
{
    uint64_t lot = (uint64_t)number / NUMBER_STEP * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    return lot % 64 == 0 ? 20000 + lot % 20000 : lot % 8 == 0 ? lot % 3000 : lot % 100;
}

/* For free(). */
static char *print_value(int64_t number, size_t *len)
{
    size_t padded = padding_len(number);
    char *text = memory_get(1, DIGITS_LEN + padded);
    *len = (size_t)snprintf(text, DIGITS_LEN, "%" PRId64 ":", number);
    memset(text + *len, 'v', padded);
    *len += padded;
    return text;
}

static void violate(struct crowd *crowd, uint32_t key, const char *what, const char *detail)
{
    (void)pthread_mutex_lock(&crowd->lock);
    if (!crowd->violation[0]) {
        (void)snprintf(crowd->violation, TEXT_LEN, "key %s-%05u: %s: %.300s", crowd->config.name,
                       key, what, detail);
    }
    (void)pthread_mutex_unlock(&crowd->lock);
}

static int64_t number_of(struct crowd *crowd, uint32_t key, const struct skv_value *value)
{
    char digits[DIGITS_LEN] = "";
    size_t len = 0;
    if (value->type == SKV_INT) {
        return value->integer;
    }
    if (value->type != SKV_STR) {
        violate(crowd, key, "a value that nobody wrote", "of another type");
        return 0;
    }
    memcpy(digits, value->bytes.data,
           value->bytes.len < DIGITS_LEN ? value->bytes.len : DIGITS_LEN - 1);
    int64_t number = strtoll(digits, NULL, 10);
    char *text = print_value(number, &len);
    if (len != value->bytes.len || memcmp(text, value->bytes.data, len) != 0) {
        violate(crowd, key, "a value that nobody wrote", digits);
    }
    free(text);
    return number;
}

/* --- what is told --- */

static void note_done(struct crowd *crowd, struct operation *operation,
                      const struct skv_record *record)
{
    operation->was_there = true;
    bool tells_value =
        operation->deed == DEED_READ || operation->deed == DEED_POP || operation->deed == DEED_INCR;
    if (record) {
        operation->version = record->version;
        operation->result = tells_value ? number_of(crowd, operation->key, &record->value) : 0;
    }
}

static bool changes_nothing(const struct operation *operation)
{
    return operation->deed == DEED_READ || operation->deed == DEED_EXISTS;
}

/* `error`: of the call; of an item of a batch nothing but its text is known. */
static void note(struct member *member, uint32_t number, struct operation *operation,
                 enum skv_status status, const struct skv_record *record, const char *error)
{
    struct crowd *crowd = member->crowd;
    bool is_open = status == SKV_UNKNOWN && !changes_nothing(operation);
    member->totals.done += status == SKV_OK || status == SKV_NOT_FOUND || status == SKV_CONDITION;
    member->totals.unavailable += status == SKV_UNAVAILABLE;
    member->totals.unknown += status == SKV_UNKNOWN;
    switch (status) {
    case SKV_OK:
        note_done(crowd, operation, record);
        break;
    case SKV_NOT_FOUND:
        break;
    case SKV_CONDITION:
        operation->is_refused = true;
        operation->version = record ? record->version : 0;
        break;
    case SKV_UNAVAILABLE:
    case SKV_UNKNOWN:
        operation->is_void = true;
        break;
    case SKV_FULL:
    case SKV_INVALID:
    case SKV_DENIED:
    case SKV_NO_MEMORY:
        operation->is_void = true;
        violate(crowd, operation->key, skv_status_name(status), error);
    }
    if (!is_open) {
        chronicle_answer(crowd->chronicle, number, operation);
    }
    if (status == SKV_OK && operation->version) {
        member->versions[operation->key] = operation->version;
    }
}

/* --- single operations --- */

static enum skv_status run_incr(struct skv *kv, const struct operation *operation,
                                struct skv_bytes key, struct skv_record *record)
{
    int64_t sum = 0;
    enum skv_status status = skv_incr(kv, key, operation->argument, NULL, &sum);
    record->version = 0;
    record->value = skv_int(sum);
    return status;
}

static enum skv_status run_write(struct skv *kv, const struct operation *operation,
                                 struct skv_bytes key, struct skv_record *record)
{
    const struct skv_call call = {
        .if_absent = operation->deed == DEED_WRITE_IF_ABSENT,
        .if_version = operation->condition_version,
        .ttl_ms = operation->ttl_ms,
        .sliding = operation->is_sliding,
    };
    size_t len = 0;
    char *text = print_value(operation->argument, &len);
    enum skv_status status = skv_write(kv, key, skv_str(text, len), &call, record);
    free(text);
    if (status == SKV_CONDITION) {
        record->version = skv_error()->version;
    }
    return status;
}

static enum skv_status run_one(struct member *member, const struct operation *operation,
                               struct skv_record *record)
{
    char text[NAME_LEN];
    struct skv_bytes key = key_text(member->crowd, operation->key, text);
    struct skv *kv = member->kv;
    switch (operation->deed) {
    case DEED_READ:
        return skv_read(kv, key, NULL, record);
    case DEED_EXISTS:
        return skv_exists(kv, key, NULL);
    case DEED_WRITE:
    case DEED_WRITE_IF_ABSENT:
    case DEED_WRITE_IF_VERSION:
        return run_write(kv, operation, key, record);
    case DEED_POP:
        return skv_pop(kv, key, NULL, record);
    case DEED_DELETE:
        return skv_delete(kv, key, NULL);
    case DEED_EXPIRE:
        return skv_expire(kv, key, operation->ttl_ms,
                          &(struct skv_call){.sliding = operation->is_sliding}, record);
    case DEED_INCR:
        break;
    }
    return run_incr(kv, operation, key, record);
}

static enum skv_status do_single(struct member *member, struct operation operation)
{
    struct skv_record record = {0};
    uint32_t number = chronicle_ask(member->crowd->chronicle, &operation);
    uint64_t start_us = clock_mono_us();
    enum skv_status status = run_one(member, &operation, &record);
    uint64_t took_us = clock_mono_us() - start_us;
    bool has_record = operation.deed != DEED_EXISTS && operation.deed != DEED_DELETE;
    if (took_us > member->totals.longest_us) {
        member->totals.longest_us = took_us;
    }
    note(member, number, &operation, status, has_record ? &record : NULL,
         status == SKV_OK ? "" : skv_error()->text);
    skv_record_fini(&record);
    return status;
}

/* --- what is drawn --- */

static void draw_write(struct member *member, struct operation *operation)
{
    member->last_number += NUMBER_STEP;
    operation->argument = member->last_number;
    if (operation->deed == DEED_WRITE_IF_VERSION) {
        operation->condition_version = member->versions[operation->key];
        operation->deed = operation->condition_version ? DEED_WRITE_IF_VERSION : DEED_WRITE;
    }
    if (dice_below(&member->dice, 6) == 0) {
        operation->ttl_ms = 1 + dice_below(&member->dice, TTL_MS_MAX);
        operation->is_sliding = dice_below(&member->dice, 3) == 0;
    }
}

static struct operation draw(struct member *member)
{
    static const enum deed deeds[KEY_KINDS][16] = {
        [KEY_REGISTER] = {DEED_READ, DEED_READ, DEED_READ, DEED_READ, DEED_READ, DEED_EXISTS,
                          DEED_WRITE, DEED_WRITE, DEED_WRITE, DEED_WRITE, DEED_WRITE_IF_VERSION,
                          DEED_WRITE_IF_VERSION, DEED_WRITE_IF_ABSENT, DEED_POP, DEED_DELETE,
                          DEED_EXPIRE},
        [KEY_COUNTER] = {DEED_READ, DEED_READ, DEED_READ, DEED_EXISTS, DEED_INCR, DEED_INCR,
                         DEED_INCR, DEED_INCR, DEED_INCR, DEED_INCR, DEED_INCR, DEED_INCR,
                         DEED_INCR, DEED_INCR, DEED_INCR, DEED_POP},
        [KEY_PLACE] = {DEED_READ, DEED_READ, DEED_EXISTS, DEED_WRITE_IF_ABSENT,
                       DEED_WRITE_IF_ABSENT, DEED_WRITE_IF_ABSENT, DEED_WRITE_IF_ABSENT,
                       DEED_WRITE_IF_ABSENT, DEED_WRITE, DEED_WRITE, DEED_POP, DEED_POP, DEED_POP,
                       DEED_POP, DEED_POP, DEED_POP},
    };
    struct operation operation = {
        .key = dice_below(&member->dice, member->crowd->config.key_count),
    };
    operation.deed = deeds[kind_of(operation.key)][dice_below(&member->dice, 16)];
    if (operation.deed >= DEED_WRITE && operation.deed <= DEED_WRITE_IF_VERSION) {
        draw_write(member, &operation);
    } else if (operation.deed == DEED_INCR) {
        operation.argument = 1 + dice_below(&member->dice, 9);
    } else if (operation.deed == DEED_EXPIRE && dice_below(&member->dice, 4)) {
        operation.ttl_ms = 1 + dice_below(&member->dice, TTL_MS_MAX);
        operation.is_sliding = dice_below(&member->dice, 3) == 0;
    }
    return operation;
}

/* --- batches --- */

static void add_item(const struct member *member, struct skv_batch *batch,
                     const struct operation *operation)
{
    char text[NAME_LEN];
    struct skv_bytes key = key_text(member->crowd, operation->key, text);
    const struct skv_call call = {
        .ttl_ms = operation->ttl_ms,
        .sliding = operation->is_sliding,
        .if_absent = operation->deed == DEED_WRITE_IF_ABSENT,
    };
    size_t len = 0;
    char *value = NULL;
    switch (operation->deed) {
    case DEED_WRITE:
    case DEED_WRITE_IF_ABSENT:
        value = print_value(operation->argument, &len);
        skv_batch_write(batch, key, skv_str(value, len), &call);
        free(value);
        break;
    case DEED_POP:
        skv_batch_pop(batch, key, NULL);
        break;
    case DEED_DELETE:
        skv_batch_delete(batch, key, NULL);
        break;
    case DEED_INCR:
        skv_batch_incr(batch, key, operation->argument, NULL);
        break;
    case DEED_READ:
    case DEED_EXISTS:
    case DEED_WRITE_IF_VERSION:
    case DEED_EXPIRE:
        skv_batch_read(batch, key, NULL);
        break;
    }
}

/* What a batch has no function for is a read in it. */
static struct operation draw_item(struct member *member)
{
    struct operation operation = draw(member);
    bool has_no_item = operation.deed == DEED_EXISTS || operation.deed == DEED_WRITE_IF_VERSION ||
                       operation.deed == DEED_EXPIRE;
    return has_no_item ? (struct operation){.deed = DEED_READ, .key = operation.key} : operation;
}

static void note_item(struct member *member, struct skv_batch *batch, size_t index, uint32_t number,
                      struct operation *operation)
{
    enum skv_status status = skv_batch_status(batch, index);
    const struct skv_record *record = status == SKV_OK ? skv_batch_record(batch, index) : NULL;
    bool has_record = operation->deed != DEED_DELETE;
    note(member, number, operation, status, has_record ? record : NULL,
         skv_batch_text(batch, index));
}

static void do_batch(struct member *member)
{
    struct operation operations[BATCH_MAX];
    uint32_t numbers[BATCH_MAX];
    uint32_t count = 2 + dice_below(&member->dice, BATCH_MAX - 1);
    struct skv_batch *batch = skv_batch_new(member->kv);
    memory_must(batch != NULL);
    for (uint32_t i = 0; i < count; i++) {
        operations[i] = draw_item(member);
        for (uint32_t j = 0; j < i; j++) {
            operations[i].after =
                operations[j].key == operations[i].key ? numbers[j] : operations[i].after;
        }
        numbers[i] = chronicle_ask(member->crowd->chronicle, &operations[i]);
        add_item(member, batch, &operations[i]);
    }
    enum skv_status worst = skv_batch_run(batch);
    (void)worst; /* each item is looked at */
    for (uint32_t i = 0; i < count; i++) {
        note_item(member, batch, i, numbers[i], &operations[i]);
    }
    skv_batch_free(batch);
}

/* --- the threads --- */

static void *run_member(void *context)
{
    struct member *member = context;
    while (!atomic_load(&member->crowd->is_over)) {
        if (dice_below(&member->dice, 10) == 0) {
            do_batch(member);
        } else {
            (void)do_single(member, draw(member));
        }
        usleep(dice_below(&member->dice, PAUSE_US_MAX));
    }
    return NULL;
}

static struct skv *open_client(const struct crowd_config *config)
{
    const struct skv_options options = {.timeout_ms = config->timeout_ms, .without_map = true};
    struct skv *kv = NULL;
    if (skv_open(config->addresses, &options, &kv) != SKV_OK) {
        printf("# skv_open: %s\n", skv_error()->text);
        abort();
    }
    return kv;
}

struct crowd *crowd_start(const struct crowd_config *config)
{
    struct crowd *crowd = memory_get(1, sizeof(*crowd));
    crowd->config = *config;
    crowd->chronicle = chronicle_new(config->key_count);
    crowd->shared = open_client(config);
    crowd->members = memory_get(config->thread_count, sizeof(*crowd->members));
    (void)pthread_mutex_init(&crowd->lock, NULL);
    for (uint32_t i = 0; i < config->thread_count; i++) {
        struct member *member = &crowd->members[i];
        member->crowd = crowd;
        member->kv = i % 2 ? crowd->shared : open_client(config);
        member->dice = (struct dice){config->seed * 1000 + i};
        member->last_number = (i + 1) * NUMBER_THREAD;
        member->versions = memory_get(config->key_count, sizeof(*member->versions));
        if (pthread_create(&member->thread, NULL, run_member, member) != 0) {
            perror("pthread_create");
            abort();
        }
    }
    return crowd;
}

void crowd_stop(struct crowd *crowd)
{
    atomic_store(&crowd->is_over, true);
    for (uint32_t i = 0; i < crowd->config.thread_count; i++) {
        (void)pthread_join(crowd->members[i].thread, NULL);
    }
}

bool crowd_read_all(struct crowd *crowd)
{
    for (uint32_t key = 0; key < crowd->config.key_count; key++) {
        enum skv_status status =
            do_single(&crowd->members[0], (struct operation){.deed = DEED_READ, .key = key});
        if (status != SKV_OK && status != SKV_NOT_FOUND) {
            violate(crowd, key, "cannot be read when all is calm", skv_error()->text);
            return false;
        }
    }
    return true;
}

void crowd_add_totals(const struct crowd *crowd, struct crowd_totals *totals)
{
    for (uint32_t i = 0; i < crowd->config.thread_count; i++) {
        const struct crowd_totals *own = &crowd->members[i].totals;
        totals->done += own->done;
        totals->unavailable += own->unavailable;
        totals->unknown += own->unknown;
        totals->longest_us =
            own->longest_us > totals->longest_us ? own->longest_us : totals->longest_us;
    }
}

const char *crowd_violation(const struct crowd *crowd)
{
    return crowd->violation;
}

/* Of a broken history, what is printed before the first answer that nothing explains, and behind it. */
enum { SHOWN_BEFORE = 25, SHOWN_BEHIND = 15 };

static bool is_key_explained(const struct crowd *crowd, uint32_t key, uint32_t *operation_count)
{
    uint32_t furthest = 0;
    uint32_t count = 0;
    enum chronicle_verdict verdict = chronicle_check(crowd->chronicle, key, &furthest);
    (void)chronicle_of_key(crowd->chronicle, key, &count);
    *operation_count += count;
    if (verdict == CHRONICLE_BROKEN) {
        printf("# key %s-%05u: no order explains answer %u of %u\n", crowd->config.name, key,
               furthest, count);
        chronicle_print(crowd->chronicle, key,
                        furthest > SHOWN_BEFORE ? furthest - SHOWN_BEFORE : 0,
                        furthest + SHOWN_BEHIND);
    } else if (verdict == CHRONICLE_GAVE_UP) {
        printf("# key %u: its history of %u operations is too much for the checker\n", key, count);
    }
    return verdict != CHRONICLE_BROKEN;
}

bool crowd_is_explained(const struct crowd *crowd, uint32_t *operation_count)
{
    bool is_explained = true;
    for (uint32_t key = 0; key < crowd->config.key_count; key++) {
        is_explained &= is_key_explained(crowd, key, operation_count);
    }
    return is_explained;
}

void crowd_free(struct crowd *crowd)
{
    for (uint32_t i = 0; crowd && i < crowd->config.thread_count; i++) {
        if (crowd->members[i].kv != crowd->shared) {
            skv_close(crowd->members[i].kv);
        }
        free(crowd->members[i].versions);
    }
    if (crowd) {
        skv_close(crowd->shared);
        chronicle_free(crowd->chronicle);
        (void)pthread_mutex_destroy(&crowd->lock);
        free(crowd->members);
        free(crowd);
    }
}
