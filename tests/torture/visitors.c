/* SPDX-License-Identifier: MIT */
#include "tests/torture/visitors.h"

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
#include "proto/hash.h"
#include "tests/unit/dice.h"

enum { THREADS = 6, OWN_KEYS = 4000, PAUSE_US_MAX = 300 };
enum { NAME_LEN = 48, TEXT_LEN = 600, DIGITS_LEN = 24, PADDING_MAX = 1500 };

/* A record that nobody changes, as it was. */
struct exhibit {
    char *key;
    size_t key_len;
    struct hash128 value;
    uint64_t version;
};

struct visitor {
    struct visitors *visitors;
    uint32_t index;
    pthread_t thread;
    struct dice dice;
    uint64_t last_number;
    uint64_t acknowledged[OWN_KEYS]; /* numbers; 0: none */
    struct visitors_totals totals;
};

struct visitors {
    struct skv *kv;
    struct exhibit *exhibits;
    uint32_t exhibit_count, exhibit_capacity;
    atomic_bool is_over;
    pthread_mutex_t lock; /* of violation */
    char violation[TEXT_LEN];
    struct visitor members[THREADS];
};

static void violate(struct visitors *visitors, struct skv_bytes key, const char *what)
{
    (void)pthread_mutex_lock(&visitors->lock);
    if (!visitors->violation[0]) {
        (void)snprintf(visitors->violation, TEXT_LEN, "%.*s: %.400s", (int)key.len,
                       (const char *)key.data, what);
    }
    (void)pthread_mutex_unlock(&visitors->lock);
}

/* --- what is there at the start --- */

static struct hash128 hash_of(const struct skv_record *record)
{
    return hash128_bytes(bytes_of(record->encoded.data, record->encoded.len));
}

static void add_exhibit(struct visitors *visitors, const struct skv_record *record)
{
    if (visitors->exhibit_count == visitors->exhibit_capacity) {
        visitors->exhibit_capacity =
            visitors->exhibit_capacity ? 2 * visitors->exhibit_capacity : 1024;
        visitors->exhibits = memory_resize(visitors->exhibits, visitors->exhibit_capacity,
                                           sizeof(*visitors->exhibits));
    }
    struct exhibit *exhibit = &visitors->exhibits[visitors->exhibit_count++];
    exhibit->key = memory_get(1, record->key.len);
    exhibit->key_len = record->key.len;
    memcpy(exhibit->key, record->key.data, record->key.len);
    exhibit->value = hash_of(record);
    exhibit->version = record->version;
}

static bool look_around(struct visitors *visitors, struct skv *kv)
{
    struct skv_scan *scan = NULL;
    const struct skv_record *record;
    enum skv_status status = skv_scan_open(kv, NULL, &scan);
    while (status == SKV_OK && (record = skv_scan_next(scan))) {
        add_exhibit(visitors, record);
    }
    status = status == SKV_OK ? skv_scan_close(scan) : status;
    if (status != SKV_OK) {
        printf("# what is there at the start: %s\n", skv_error()->text);
    }
    return status == SKV_OK;
}

/* --- own keys --- */

static struct skv_bytes print_key(const struct visitor *visitor, uint32_t own, char text[NAME_LEN])
{
    (void)snprintf(text, NAME_LEN, VISITORS_PREFIX "%u-%05u", visitor->index, own);
    return skv_key(text);
}

static struct skv_value print_value(uint64_t number, char text[DIGITS_LEN + PADDING_MAX])
{
    size_t padded = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 32) % PADDING_MAX;
    int len = snprintf(text, DIGITS_LEN, "%" PRIu64 ":", number);
    memset(text + len, 'v', padded);
    return skv_str(text, (size_t)len + padded);
}

static bool is_value(const struct skv_record *record, uint64_t number)
{
    char text[DIGITS_LEN + PADDING_MAX];
    struct skv_value value = print_value(number, text);
    return record->value.type == SKV_STR && record->value.bytes.len == value.bytes.len &&
           memcmp(record->value.bytes.data, value.bytes.data, value.bytes.len) == 0;
}

static void write_own(struct visitor *visitor, uint32_t own)
{
    char name[NAME_LEN];
    char text[DIGITS_LEN + PADDING_MAX];
    struct skv_bytes key = print_key(visitor, own, name);
    uint64_t number = ++visitor->last_number;
    if (skv_write(visitor->visitors->kv, key, print_value(number, text), NULL, NULL) != SKV_OK) {
        violate(visitor->visitors, key, skv_error()->text);
        return;
    }
    visitor->totals.kept += visitor->acknowledged[own] == 0;
    visitor->totals.wrote++;
    visitor->acknowledged[own] = number;
}

static void read_own(struct visitor *visitor, uint32_t own, struct skv_record *record)
{
    char name[NAME_LEN];
    struct skv_bytes key = print_key(visitor, own, name);
    uint64_t number = visitor->acknowledged[own];
    enum skv_status status = skv_read(visitor->visitors->kv, key, NULL, record);
    if (status != (number ? SKV_OK : SKV_NOT_FOUND)) {
        violate(visitor->visitors, key, status == SKV_OK ? "nobody wrote it" : skv_error()->text);
    } else if (number && !is_value(record, number)) {
        violate(visitor->visitors, key, "it has not the value that was acknowledged last");
    }
}

static void read_exhibit(struct visitor *visitor, struct skv_record *record)
{
    struct visitors *visitors = visitor->visitors;
    const struct exhibit *exhibit =
        &visitors->exhibits[dice_below(&visitor->dice, visitors->exhibit_count)];
    struct skv_bytes key = {exhibit->key, exhibit->key_len};
    if (skv_read(visitors->kv, key, NULL, record) != SKV_OK) {
        violate(visitors, key, skv_error()->text);
        return;
    }
    struct hash128 value = hash_of(record);
    if (value.low != exhibit->value.low || value.high != exhibit->value.high ||
        record->version != exhibit->version) {
        violate(visitors, key, "nobody changes it, and it has changed");
    }
    visitor->totals.read++;
}

/* --- the threads --- */

static void visit(struct visitor *visitor, struct skv_record *record)
{
    uint32_t lot = dice_below(&visitor->dice, 4);
    uint32_t own = dice_below(&visitor->dice, OWN_KEYS);
    uint64_t start_us = clock_mono_us();
    if (lot == 0) {
        write_own(visitor, own);
    } else if (lot == 1) {
        read_own(visitor, own, record);
    } else {
        read_exhibit(visitor, record);
    }
    uint64_t took_us = clock_mono_us() - start_us;
    if (took_us > visitor->totals.longest_us) {
        visitor->totals.longest_us = took_us;
    }
}

static void *run(void *context)
{
    struct visitor *visitor = context;
    struct skv_record record = {0};
    while (!atomic_load(&visitor->visitors->is_over)) {
        visit(visitor, &record);
        usleep(dice_below(&visitor->dice, PAUSE_US_MAX));
    }
    skv_record_fini(&record);
    return NULL;
}

static void start_threads(struct visitors *visitors, uint64_t seed)
{
    for (uint32_t i = 0; i < THREADS; i++) {
        struct visitor *visitor = &visitors->members[i];
        visitor->visitors = visitors;
        visitor->index = i;
        visitor->dice = (struct dice){seed * 1000 + i};
        memory_must(pthread_create(&visitor->thread, NULL, run, visitor) == 0);
    }
}

struct visitors *visitors_start(struct skv *kv, const char *addresses, uint64_t seed,
                                uint32_t timeout_ms)
{
    struct visitors *visitors = memory_get(1, sizeof(*visitors));
    const struct skv_options options = {.timeout_ms = timeout_ms};
    (void)pthread_mutex_init(&visitors->lock, NULL);
    bool is_open = skv_open(addresses, &options, &visitors->kv) == SKV_OK;
    if (!is_open || !look_around(visitors, kv)) {
        visitors_free(visitors);
        return NULL;
    }
    start_threads(visitors, seed);
    return visitors;
}

void visitors_stop(struct visitors *visitors)
{
    atomic_store(&visitors->is_over, true);
    for (uint32_t i = 0; i < THREADS; i++) {
        (void)pthread_join(visitors->members[i].thread, NULL);
    }
}

void visitors_read_own(struct visitors *visitors)
{
    struct skv_record record = {0};
    for (uint32_t i = 0; i < THREADS; i++) {
        for (uint32_t own = 0; own < OWN_KEYS; own++) {
            read_own(&visitors->members[i], own, &record);
        }
    }
    skv_record_fini(&record);
}

const char *visitors_violation(const struct visitors *visitors)
{
    return visitors->violation;
}

void visitors_get_totals(const struct visitors *visitors, struct visitors_totals *totals)
{
    *totals = (struct visitors_totals){0};
    for (uint32_t i = 0; i < THREADS; i++) {
        const struct visitors_totals *own = &visitors->members[i].totals;
        totals->read += own->read;
        totals->wrote += own->wrote;
        totals->kept += own->kept;
        totals->longest_us =
            own->longest_us > totals->longest_us ? own->longest_us : totals->longest_us;
    }
}

void visitors_free(struct visitors *visitors)
{
    if (!visitors) {
        return;
    }
    for (uint32_t i = 0; i < visitors->exhibit_count; i++) {
        free(visitors->exhibits[i].key);
    }
    free(visitors->exhibits);
    skv_close(visitors->kv);
    (void)pthread_mutex_destroy(&visitors->lock);
    free(visitors);
}
