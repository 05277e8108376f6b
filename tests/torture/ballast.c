/* SPDX-License-Identifier: MIT */
#include "tests/torture/ballast.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "libclient/shardkv.h"
#include "proto/pack.h"

/* Until what has expired is removed, and its deletion counted. */
#define COUNTS_US UINT64_C(20000000)

#define LOOK_AGAIN_US 200000

static const char key_prefix[] = "ballast-";

void ballast_print_key(uint32_t index, char key[32])
{
    (void)snprintf(key, 32, "%s%06u", key_prefix, index);
}

static void print_value(uint32_t index, char value[BALLAST_LEN + 1])
{
    int len = snprintf(value, BALLAST_LEN, "%u:", index * 7);
    memset(value + len, 'b', (size_t)(BALLAST_LEN - len));
    value[BALLAST_LEN] = '\0';
}

static bool say(char why[BALLAST_WHY_LEN], const char *what)
{
    (void)snprintf(why, BALLAST_WHY_LEN, "%s", what);
    return false;
}

bool ballast_load(struct skv *kv, char why[BALLAST_WHY_LEN])
{
    struct skv_batch *batch = skv_batch_new(kv);
    enum skv_status status = SKV_OK;
    for (uint32_t i = 0; i < BALLAST_COUNT && status == SKV_OK; i++) {
        char key[32];
        char value[BALLAST_LEN + 1];
        ballast_print_key(i, key);
        print_value(i, value);
        skv_batch_write(batch, skv_key(key), skv_text(value), NULL);
        if (skv_batch_count(batch) == 1000 || i + 1 == BALLAST_COUNT) {
            status = skv_batch_run(batch);
            skv_batch_clear(batch);
        }
    }
    skv_batch_free(batch);
    return status == SKV_OK || say(why, skv_error()->text);
}

struct sums {
    uint64_t records, bytes;
};

static bool is_ballast(const struct skv_record *record, bool *is_seen)
{
    char value[BALLAST_LEN + 1];
    uint32_t index =
        (uint32_t)strtoul((const char *)record->key.data + strlen(key_prefix), NULL, 10);
    if (index >= BALLAST_COUNT || is_seen[index]) {
        return false;
    }
    is_seen[index] = true;
    print_value(index, value);
    return record->value.type == SKV_STR && record->value.bytes.len == BALLAST_LEN &&
           memcmp(record->value.bytes.data, value, BALLAST_LEN) == 0;
}

/* All of it, each once and as it was; and what is there in all. */
static bool scan(struct skv *kv, struct sums *sums, char why[BALLAST_WHY_LEN])
{
    static bool is_seen[BALLAST_COUNT];
    const struct skv_record *record = NULL;
    struct skv_scan *one = NULL;
    uint32_t count = 0;
    bool is_fine = true;
    *sums = (struct sums){0};
    memset(is_seen, 0, sizeof(is_seen));
    enum skv_status status = skv_scan_open(kv, NULL, &one);
    while (status == SKV_OK && (record = skv_scan_next(one))) {
        size_t len = strlen(key_prefix);
        bool is_one = record->key.len > len && memcmp(record->key.data, key_prefix, len) == 0;
        sums->records++;
        sums->bytes += record->size;
        count += is_one;
        if (is_one && !is_ballast(record, is_seen)) {
            (void)snprintf(why, BALLAST_WHY_LEN,
                           "%.*s, which nobody changes, has changed or is there twice",
                           (int)record->key.len, (const char *)record->key.data);
            is_fine = false;
        }
    }
    status = status == SKV_OK ? skv_scan_close(one) : status;
    if (status != SKV_OK) {
        return say(why, skv_error()->text);
    }
    if (is_fine && count != BALLAST_COUNT) {
        (void)snprintf(why, BALLAST_WHY_LEN, "%u of %u records that nobody changes are there",
                       count, BALLAST_COUNT);
    }
    return is_fine && count == BALLAST_COUNT;
}

static void take_counts(struct unpack *in, struct sums *sums)
{
    uint32_t fields = unpack_map(in);
    for (uint32_t i = 0; i < fields; i++) {
        struct bytes name = unpack_text(in);
        if (bytes_equal(name, bytes_text("records"))) {
            sums->records += unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("bytes"))) {
            sums->bytes += unpack_uint(in);
        } else {
            (void)unpack_skip(in);
        }
    }
}

/* What the servers count. False: one of them does not tell. */
static bool get_counts(struct skv *kv, const struct cluster *cluster, struct sums *sums)
{
    const char *bootstrapd = cluster->daemons[CLUSTER_BOOTSTRAPD].address;
    struct skv_record record = {0};
    *sums = (struct sums){0};
    bool is_told = skv_request(kv, bootstrapd, "shard.list", (struct skv_value){.type = SKV_NIL}, 0,
                               &record) == SKV_OK;
    struct unpack in = unpack_of(bytes_of(record.encoded.data, record.encoded.len));
    uint32_t count = is_told ? unpack_array(&in) : 0;
    for (uint32_t i = 0; i < count; i++) {
        take_counts(&in, sums);
    }
    is_told = is_told && unpack_is_fine(&in);
    skv_record_fini(&record);
    return is_told;
}

bool ballast_is_there(struct skv *kv, const struct cluster *cluster, uint64_t kept_max,
                      char why[BALLAST_WHY_LEN])
{
    struct sums seen, counted;
    uint64_t deadline_us = clock_mono_us() + COUNTS_US;
    for (;;) {
        if (!scan(kv, &seen, why)) {
            return false;
        }
        bool is_told = get_counts(kv, cluster, &counted);
        if (is_told && seen.records == counted.records && seen.bytes <= counted.bytes &&
            counted.bytes <= seen.bytes + kept_max) {
            return true;
        }
        if (clock_mono_us() > deadline_us) {
            (void)snprintf(why, BALLAST_WHY_LEN,
                           "%" PRIu64 " records of %" PRIu64 " bytes are there, %" PRIu64
                           " of %" PRIu64 " are counted",
                           seen.records, seen.bytes, is_told ? counted.records : 0,
                           is_told ? counted.bytes : 0);
            return false;
        }
        usleep(LOOK_AGAIN_US);
    }
}
