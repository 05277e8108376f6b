/* SPDX-License-Identifier: MIT */
#include "tests/torture/mover.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/memory.h"
#include "libclient/shardkv.h"
#include "proto/map.h"
#include "proto/pack.h"

#define CALL_MS       800
#define SETTLE_US     UINT64_C(60000000)
#define LOOK_AGAIN_US 100000
#define SHARDS_MAX    24
/* Of bounds: a narrower one moves as a whole. */
#define WIDTH_MIN (UINT64_C(1) << 18)

#define THROTTLE_BYTES 1000000

struct mover {
    const struct cluster *cluster;
    struct skv *kv;
    struct dice dice;
    uint32_t pause_ms;
    pthread_t thread;
    atomic_bool is_over;
    atomic_uint source, target, count;
    uint32_t refused_count;
    char refusal[256]; /* the last one */
};

static const char *bootstrapd_of(const struct mover *mover)
{
    return mover->cluster->daemons[CLUSTER_BOOTSTRAPD].address;
}

/* A call of bootstrapd; `params` is emptied. */
static enum skv_status call(struct mover *mover, const char *method, struct buffer *params,
                            struct skv_record *record)
{
    enum skv_status status = skv_request(mover->kv, bootstrapd_of(mover), method,
                                         skv_msgpack(params->data, params->len), CALL_MS, record);
    buffer_fini(params);
    return status;
}

static struct unpack answer_of(const struct skv_record *record)
{
    return unpack_of(bytes_of(record->encoded.data, record->encoded.len));
}

/* --- what is asked for --- */

static bool get_map(struct mover *mover, struct map *map)
{
    struct skv_record record = {0};
    struct map_error error;
    struct buffer params = {0};
    pack_array(&params, 0);
    bool has_map = call(mover, "map.get", &params, &record) == SKV_OK;
    struct unpack in = answer_of(&record);
    has_map = has_map && map_unpack(&in, map, &error);
    skv_record_fini(&record);
    return has_map;
}

static uint32_t owner_of(const struct mover *mover, const struct map_entry *entry)
{
    uint32_t owner = 0;
    while (owner < CLUSTER_SERVERS &&
           entry->address.port != mover->cluster->daemons[owner].server.port) {
        owner++;
    }
    return owner;
}

static void pack_bound(struct buffer *out, const char *name, uint64_t bound)
{
    pack_text(out, name);
    pack_uint(out, bound);
}

/*
 * The whole, its beginning, its end, or its middle; a small one, or one of many, as a whole. Half of them slowly, so
 * that there is a while in which somebody may die.
 */
static void pack_start(struct mover *mover, const struct map *map, const struct map_entry *entry,
                       uint32_t target, struct buffer *params)
{
    uint64_t width = entry->end - entry->start;
    bool may_split = width > WIDTH_MIN && map->entry_count < SHARDS_MAX;
    uint32_t form = may_split ? dice_below(&mover->dice, 5) : 0;
    bool has_from = form == 2 || form == 3;
    bool has_until = form == 1 || form == 3;
    bool is_slow = dice_below(&mover->dice, 2) == 0;
    uint64_t from = entry->start + width / 8 * (1 + dice_below(&mover->dice, 3));
    uint64_t until = entry->start + width / 8 * (5 + dice_below(&mover->dice, 3));
    pack_array(params, 1);
    pack_map(params, 2U + has_from + has_until + is_slow);
    pack_text(params, "shard");
    pack_text(params, entry->name);
    pack_text(params, "to");
    pack_text(params, mover->cluster->daemons[target].address);
    if (has_from) {
        pack_bound(params, "from", from);
    }
    if (has_until) {
        pack_bound(params, "until", until);
    }
    if (is_slow) {
        pack_text(params, "bytes_per_s");
        pack_uint(params, (uint64_t)THROTTLE_BYTES * (1 + dice_below(&mover->dice, 10)));
    }
}

/* Its number; 0: it was refused, or nobody answered. */
static uint64_t start_move(struct mover *mover, const struct map *map)
{
    const struct map_entry *entry = &map->entries[dice_below(&mover->dice, map->entry_count)];
    struct buffer params = {0};
    struct skv_record record = {0};
    uint64_t number = 0;
    uint32_t source = owner_of(mover, entry);
    uint32_t target =
        (source + 1 + dice_below(&mover->dice, CLUSTER_SERVERS - 1)) % CLUSTER_SERVERS;
    if (source == CLUSTER_SERVERS ||
        (entry->move.phase != MOVE_NONE && entry->move.phase != MOVE_ABORTED)) {
        return 0;
    }
    atomic_store(&mover->source, source);
    atomic_store(&mover->target, target);
    atomic_fetch_add(&mover->count, 1);
    pack_start(mover, map, entry, target, &params);
    if (call(mover, "move.start", &params, &record) == SKV_OK) {
        struct unpack in = answer_of(&record);
        number = unpack_array(&in) > 0 ? unpack_uint(&in) : 0;
    } else {
        mover->refused_count++;
        (void)snprintf(mover->refusal, sizeof(mover->refusal), "%.255s", skv_error()->text);
    }
    skv_record_fini(&record);
    return number;
}

static void change(struct mover *mover, const char *method, uint64_t number, bool has_rate,
                   uint64_t rate)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    pack_array(&params, 1U + has_rate);
    pack_uint(&params, number);
    if (has_rate) {
        pack_uint(&params, rate);
    }
    (void)call(mover, method, &params, &record);
    skv_record_fini(&record);
}

static void undo(struct mover *mover, uint64_t number)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    pack_array(&params, 2);
    pack_uint(&params, number);
    pack_map(&params, 1);
    pack_text(&params, "accept_loss");
    pack_bool(&params, false);
    (void)call(mover, "move.undo", &params, &record);
    skv_record_fini(&record);
}

static void wait_ms(struct mover *mover, uint32_t mean_ms)
{
    uint64_t end_us =
        clock_mono_us() + 1000 * (uint64_t)(mean_ms / 2 + dice_below(&mover->dice, mean_ms + 1));
    while (clock_mono_us() < end_us && !atomic_load(&mover->is_over)) {
        usleep(5000);
    }
}

static void disturb(struct mover *mover, uint64_t number)
{
    wait_ms(mover, dice_below(&mover->dice, 2) ? 20 : 300);
    switch (dice_below(&mover->dice, 8)) {
    case 0:
        change(mover, "move.pause", number, false, 0);
        wait_ms(mover, 500);
        change(mover, "move.resume", number, false, 0);
        break;
    case 1:
        change(mover, "move.throttle", number, true, THROTTLE_BYTES);
        wait_ms(mover, 500);
        change(mover, "move.throttle", number, true, 0);
        break;
    case 2:
        change(mover, "move.abort", number, false, 0);
        break;
    case 3:
        undo(mover, number);
        break;
    default:
        break;
    }
}

static void *run(void *context)
{
    struct mover *mover = context;
    while (!atomic_load(&mover->is_over)) {
        struct map map = {0};
        uint64_t number = get_map(mover, &map) ? start_move(mover, &map) : 0;
        map_fini(&map);
        if (number) {
            disturb(mover, number);
        }
        wait_ms(mover, mover->pause_ms);
    }
    return NULL;
}

struct mover *mover_start(const struct cluster *cluster, uint64_t seed, uint32_t pause_ms)
{
    struct mover *mover = memory_get(1, sizeof(*mover));
    const struct skv_options options = {.timeout_ms = CALL_MS, .without_map = true};
    mover->cluster = cluster;
    mover->dice = (struct dice){seed};
    mover->pause_ms = pause_ms;
    atomic_store(&mover->source, CLUSTER_SERVERS);
    atomic_store(&mover->target, CLUSTER_SERVERS);
    memory_must(skv_open(bootstrapd_of(mover), &options, &mover->kv) == SKV_OK);
    memory_must(pthread_create(&mover->thread, NULL, run, mover) == 0);
    return mover;
}

void mover_stop(struct mover *mover)
{
    atomic_store(&mover->is_over, true);
    (void)pthread_join(mover->thread, NULL);
}

/* --- the end --- */

struct sight {
    uint64_t number;
    struct bytes course, state, reason;
};

static struct sight take_sight(struct unpack *in)
{
    struct sight sight = {0};
    uint32_t count = unpack_map(in);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = unpack_text(in);
        if (bytes_equal(name, bytes_text("number"))) {
            sight.number = unpack_uint(in);
        } else if (bytes_equal(name, bytes_text("course"))) {
            sight.course = unpack_text(in);
        } else if (bytes_equal(name, bytes_text("state"))) {
            sight.state = unpack_text(in);
        } else if (bytes_equal(name, bytes_text("reason"))) {
            sight.reason = unpack_text(in);
        } else {
            (void)unpack_skip(in);
        }
    }
    return sight;
}

/* All that bootstrapd knows of, or those alone that are not over. */
static bool list(struct mover *mover, bool is_all, struct skv_record *record)
{
    struct buffer params = {0};
    pack_array(&params, 1);
    pack_map(&params, 1);
    pack_text(&params, "all");
    pack_bool(&params, is_all);
    return call(mover, "move.list", &params, record) == SKV_OK;
}

/* How many are not over; UINT32_MAX: nobody answers. */
static uint32_t hurry(struct mover *mover, bool is_told)
{
    struct skv_record record = {0};
    uint32_t count = UINT32_MAX;
    if (list(mover, false, &record)) {
        struct unpack in = answer_of(&record);
        count = unpack_array(&in);
        for (uint32_t i = 0; i < count; i++) {
            struct sight sight = take_sight(&in);
            change(mover, "move.resume", sight.number, false, 0);
            change(mover, "move.throttle", sight.number, true, 0);
            if (is_told) {
                printf("# move %" PRIu64 " does not end: %.*s, %.*s %.*s\n", sight.number,
                       (int)sight.course.len, (const char *)sight.course.data, (int)sight.state.len,
                       (const char *)sight.state.data, (int)sight.reason.len,
                       (const char *)sight.reason.data);
            }
        }
    }
    skv_record_fini(&record);
    return count;
}

static void count_up(struct mover *mover, struct mover_totals *totals)
{
    struct skv_record record = {0};
    bool is_known = list(mover, true, &record);
    struct unpack in = answer_of(&record);
    uint32_t count = is_known ? unpack_array(&in) : 0;
    uint64_t last_number = totals->last_number;
    for (uint32_t i = 0; i < count && unpack_is_fine(&in); i++) {
        struct sight sight = take_sight(&in);
        bool is_new = sight.number > totals->last_number;
        last_number = sight.number > last_number ? sight.number : last_number;
        totals->done += is_new && bytes_equal(sight.course, bytes_text("done"));
        totals->aborted += is_new && (bytes_equal(sight.course, bytes_text("aborted")) ||
                                      bytes_equal(sight.course, bytes_text("undone")));
        totals->failed += is_new && bytes_equal(sight.course, bytes_text("failed"));
        if (is_new && !bytes_equal(sight.course, bytes_text("done"))) {
            printf("# move %" PRIu64 " is %.*s: %.*s\n", sight.number, (int)sight.course.len,
                   (const char *)sight.course.data, (int)sight.reason.len,
                   (const char *)sight.reason.data);
        }
    }
    totals->last_number = last_number;
    totals->refused += mover->refused_count;
    skv_record_fini(&record);
}

bool mover_settle(struct mover *mover, struct mover_totals *totals)
{
    uint64_t deadline_us = clock_mono_us() + SETTLE_US;
    while (hurry(mover, false) != 0) {
        if (clock_mono_us() > deadline_us) {
            if (hurry(mover, true) == UINT32_MAX) {
                printf("# bootstrapd does not answer: %s\n", skv_error()->text);
            }
            return false;
        }
        usleep(LOOK_AGAIN_US);
    }
    count_up(mover, totals);
    return true;
}

void mover_free(struct mover *mover)
{
    skv_close(mover->kv);
    free(mover);
}

uint32_t mover_source(const struct mover *mover)
{
    return atomic_load(&mover->source);
}

uint32_t mover_target(const struct mover *mover)
{
    return atomic_load(&mover->target);
}

uint32_t mover_count(const struct mover *mover)
{
    return atomic_load(&mover->count);
}
