/* SPDX-License-Identifier: MIT */
#include "shardd/hand.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"
#include "proto/endian.h"
#include "proto/point.h"
#include "proto/stream.h"
#include "shardd/merge.h"

/*
 * A slice covers so many points at most: there changes are kept while it is read, and dirty entries looked for. The
 * first covers this part of the range; then it is what the last one would have needed, and some more.
 */
#define FIRST_WIDTH_SHIFT 20
#define WIDTH_MARGIN      1.25
#define WIDTH_GROWTH_MAX  8.0

/* Records between two looks at the clock. */
#define LOOKS_PER_CLOCK 64

/* Between two steps of the lines: so they take a quarter of the loop's time. */
#define STEP_MS 1

/* Memory that is kept from one slice to the next, of each buffer. */
#define BUFFER_KEEP (64u << 10)

/* What an item has at most, beside key and value of its operation. */
#define ITEM_HEAD_MAX 64

enum { DAMAGE_LEN = 128 };

enum phase { LINES, RECORDS, LINES_AGAIN, AT_END, FAULTY };

/* One within the slice that is read, or beyond where it will end; in `kept`: tree key, item. */
struct change {
    struct range_sum delta; /* what it makes of the sum */
    uint64_t stamp;
    size_t key_at, key_len;
    size_t item_len;
};

struct hand {
    struct job job; /* first */
    struct hand_config config;
    struct hand *next; /* of the account's */
    struct worker *worker;
    struct timer *timer;  /* makes a turn for the next step of the lines */
    uint64_t first, last; /* points */
    enum phase phase;
    uint8_t place[TREE_KEY_LEN_MAX]; /* keys up to and with it are behind the hand */
    size_t place_len;
    struct range_sum sum;
    struct buffer pending; /* items that stand behind all that was emitted */
    uint64_t pending_need;
    struct retry_walk walk;
    uint64_t walk_need;
    uint64_t begun_ms; /* wall clock: when the lines were begun */

    size_t slice_len; /* of the next one: the config's, or less */

    /* The slice that is read. */
    bool is_reading;
    uint64_t width; /* points that it covers at most */
    struct merge merge;
    struct tree_txn *txn;
    uint64_t until_ms; /* monotonic: then the transaction must end */
    uint64_t need;
    struct buffer kept;
    struct change *changes;
    uint32_t change_count;
    uint32_t change_capacity;

    /* What the worker makes. */
    struct buffer items;
    struct range_sum slice_sum;
    uint8_t reached[TREE_KEY_LEN_MAX]; /* passed last */
    size_t reached_len;
    uint32_t looks;
    bool is_whole; /* all that it was to cover is in it */
    enum tree_fault fault;
    char damage[DAMAGE_LEN]; /* of the record that it ends before; "": none */
    struct buffer scratch;
};

static void run(struct job *job);
static void done(struct job *job);
static void on_line(void *context, const struct stream_line *line);
static void on_result(void *context, uint64_t stamp, const struct log_op *op);

/* There is a turn now, and that is all. */
static void on_timer(void *context)
{
    (void)context;
}

static void set_place(struct hand *hand, uint64_t point)
{
    endian_put_be64(hand->place, point);
    hand->place_len = sizeof(point);
}

struct hand *hand_new(const struct hand_config *config)
{
    struct hand *hand = memory_get(1, sizeof(*hand));
    hand->job = (struct job){.run = run, .done = done};
    hand->config = *config;
    if (config->slice_len == 0) {
        hand->config.slice_len = HAND_SLICE_LEN;
    }
    hand->slice_len = hand->config.slice_len;
    if (config->slice_records == 0) {
        hand->config.slice_records = HAND_SLICE_RECORDS;
    }
    hand->worker = worker_new(config->loop, "hand", WORKER_LOW);
    hand->timer = timer_new(config->loop, on_timer, hand);
    hand->first = point_of_bound(config->start);
    hand->last = point_of_bound(config->end) - 1;
    hand->width = ((hand->last - hand->first) >> FIRST_WIDTH_SHIFT) + 1;
    hand->walk = (struct retry_walk){
        .start = hand->first,
        .last = hand->last,
        .on_line = on_line,
        .on_result = on_result,
        .context = hand,
    };
    hand->phase = config->emit ? LINES : RECORDS;
    set_place(hand, hand->first);
    return hand;
}

void hand_free(struct hand *hand)
{
    if (!hand) {
        return;
    }
    worker_free(hand->worker); /* its job has run, and ended the transaction */
    timer_free(hand->timer);
    merge_fini(&hand->merge);
    buffer_fini(&hand->pending);
    buffer_fini(&hand->kept);
    buffer_fini(&hand->items);
    buffer_fini(&hand->scratch);
    free(hand->changes);
    free(hand);
}

bool hand_is_at_end(const struct hand *hand)
{
    return hand->phase == AT_END;
}

bool hand_is_reading(const struct hand *hand)
{
    return hand->is_reading;
}

const struct range_sum *hand_sum(const struct hand *hand)
{
    return &hand->sum;
}

uint64_t hand_start(const struct hand *hand)
{
    return hand->config.start;
}

static bool is_counting(const struct hand *hand)
{
    return !hand->config.emit;
}

uint64_t hand_left(const struct hand *hand)
{
    uint64_t behind = endian_get_be64(hand->place) - hand->first;
    uint64_t ahead = hand->last - hand->first - behind;
    if (hand->phase > RECORDS || behind == 0) {
        return 0;
    }
    double left = (double)hand->sum.records * (double)ahead / (double)behind;
    return left < (double)INT64_MAX ? (uint64_t)left : INT64_MAX;
}

size_t hand_len(const struct hand *hand)
{
    return hand->pending.len + hand->kept.len + hand->change_count * sizeof(*hand->changes);
}

/* --- what stands behind all that was emitted --- */

static void flush(struct hand *hand)
{
    if (hand->pending.len > 0) {
        hand->config.emit(hand->config.context, &hand->pending, hand->pending_need);
        hand->pending = (struct buffer){0};
        hand->pending_need = 0;
    }
}

/* Where an item of at most `len` bytes goes. */
static struct buffer *pend(struct hand *hand, uint64_t need, size_t len)
{
    if (hand->pending.len + len > STREAM_MESSAGE_LEN) {
        flush(hand);
    }
    if (need > hand->pending_need) {
        hand->pending_need = need;
    }
    return &hand->pending;
}

static void pend_operation(struct hand *hand, uint64_t stamp, uint64_t need,
                           const struct log_op *op)
{
    struct buffer *to = pend(hand, need, op->key.len + op->value.len + ITEM_HEAD_MAX);
    stream_operation_encode(stamp, op, to);
    memory_must(!to->failed);
}

/* --- lines --- */

static void on_line(void *context, const struct stream_line *line)
{
    struct hand *hand = context;
    struct buffer *to = pend(hand, hand->walk_need, ITEM_HEAD_MAX);
    stream_line_encode(line, to);
    memory_must(!to->failed);
}

static void on_result(void *context, uint64_t stamp, const struct log_op *op)
{
    struct hand *hand = context;
    pend_operation(hand, stamp, hand->walk_need, op);
}

/* What the lines say may not be durable yet. */
static void step_lines(struct hand *hand, uint64_t last_stamp)
{
    hand->walk_need = last_stamp;
    if (retries_walk(hand->config.retries, &hand->walk)) {
        timer_set(hand->timer, STEP_MS);
    } else {
        hand->walk.cursor = 0;
        hand->phase++;
    }
}

/* --- changes --- */

/* The stored form of a record, but for its value, which no sum looks at. */
static struct bytes head_of(const struct record *record, struct bytes key,
                            uint8_t head[RECORD_HEADER_LEN])
{
    record_header_encode(record, key, head);
    return bytes_of(head, RECORD_HEADER_LEN + record->value.len);
}

static void sum_put(const struct log_op *op, uint64_t stamp, struct bytes key,
                    struct range_sum *sum)
{
    uint8_t head[RECORD_HEADER_LEN];
    const struct record record = {
        .value = op->value,
        .version = op->version ? op->version : stamp,
        .expiry_ms = op->expiry_ms,
        .ttl_ms = op->ttl_ms,
        .kind = op->record_kind,
        .flags = op->is_sliding ? RECORD_SLIDING : 0,
    };
    range_sum_add(sum, key, head_of(&record, key, head));
}

/* RULES R4: the same with another expiry. */
static void sum_touched(const struct log_op *op, const struct record *before, struct bytes key,
                        struct range_sum *sum)
{
    uint8_t head[RECORD_HEADER_LEN];
    struct record record = *before;
    record.expiry_ms = op->expiry_ms;
    range_sum_add(sum, key, head_of(&record, key, head));
}

/* From zero, modulo: what the change makes of the sum of whatever range it is in. */
static struct range_sum delta_of(const struct log_op *op, uint64_t stamp,
                                 const struct record *before, struct bytes key)
{
    struct range_sum delta = {0};
    if (before) {
        uint8_t head[RECORD_HEADER_LEN];
        range_sum_take(&delta, key, head_of(before, key, head));
    }
    if (op->kind == LOG_PUT) {
        sum_put(op, stamp, key, &delta);
    } else if (op->kind == LOG_TOUCH) {
        assert(before);
        sum_touched(op, before, key, &delta);
    }
    return delta;
}

static struct range_sum delta_for(const struct hand *hand, const struct hand_change *told,
                                  const struct log_op *op, struct bytes key)
{
    if (is_counting(hand)) {
        return (struct range_sum){.records = (uint64_t)told->records,
                                  .bytes = (uint64_t)told->bytes};
    }
    return delta_of(op, told->stamp, told->before, key);
}

static struct change *add_change(struct hand *hand)
{
    if (hand->change_count == hand->change_capacity) {
        hand->change_capacity = hand->change_capacity ? 2 * hand->change_capacity : 64;
        hand->changes = memory_resize(hand->changes, hand->change_capacity, sizeof(*hand->changes));
    }
    return &hand->changes[hand->change_count++];
}

static void keep(struct hand *hand, uint64_t stamp, const struct log_op *op,
                 const struct range_sum *delta, struct bytes key)
{
    struct change *change = add_change(hand);
    *change = (struct change){
        .delta = *delta,
        .stamp = stamp,
        .key_at = hand->kept.len,
        .key_len = key.len,
    };
    buffer_append_bytes(&hand->kept, key);
    if (!is_counting(hand)) {
        stream_operation_encode(stamp, op, &hand->kept);
    }
    memory_must(!hand->kept.failed);
    change->item_len = hand->kept.len - change->key_at - key.len;
}

static bool is_behind(const struct hand *hand, struct bytes key)
{
    return bytes_compare(key, bytes_of(hand->place, hand->place_len)) <= 0;
}

static void on_change(struct hand *hand, const struct hand_change *change)
{
    uint8_t bytes[TREE_KEY_LEN_MAX];
    struct log_op op = *change->op;
    struct bytes key = bytes_of(bytes, record_key_encode(op.point, op.table, op.key, bytes));
    bool is_met = is_behind(hand, key);
    if (!is_met && (!hand->is_reading || op.point > hand->merge.last)) {
        return;
    }
    op.version = op.version ? op.version : change->stamp;
    struct range_sum delta = delta_for(hand, change, &op, key);
    if (!is_met) {
        keep(hand, change->stamp, &op, &delta, key);
        return;
    }
    range_sum_join(&hand->sum, &delta);
    if (!is_counting(hand)) {
        pend_operation(hand, change->stamp, change->stamp, &op);
    }
}

/* --- those of an account --- */

void hands_add(struct hand **first, struct hand *hand)
{
    hand->next = *first;
    *first = hand;
}

void hands_remove(struct hand **first, const struct hand *hand)
{
    while (*first && *first != hand) {
        first = &(*first)->next;
    }
    if (*first) {
        *first = hand->next;
    }
}

bool hands_have(const struct hand *first, const struct hand *hand)
{
    while (first && first != hand) {
        first = first->next;
    }
    return first != NULL;
}

static bool has_point(const struct hand *hand, uint64_t point)
{
    return point >= hand->first && point <= hand->last;
}

void hands_on_change(struct hand *first, const struct hand_change *change)
{
    for (struct hand *hand = first; hand; hand = hand->next) {
        if (has_point(hand, change->op->point)) {
            on_change(hand, change);
        }
    }
}

void hands_on_result(struct hand *first, uint64_t stamp, const struct log_op *op)
{
    for (struct hand *hand = first; hand; hand = hand->next) {
        if (has_point(hand, op->point) && !is_counting(hand)) {
            pend_operation(hand, stamp, stamp, op);
        }
    }
}

/* The slice has ended: what came meanwhile stands behind it, or is met later. */
static void settle_changes(struct hand *hand)
{
    for (uint32_t i = 0; i < hand->change_count; i++) {
        const struct change *change = &hand->changes[i];
        const uint8_t *key = hand->kept.data + change->key_at;
        if (is_behind(hand, bytes_of(key, change->key_len))) {
            struct buffer *to = pend(hand, change->stamp, change->item_len);
            buffer_append(to, key + change->key_len, change->item_len);
            memory_must(!to->failed);
            range_sum_join(&hand->sum, &change->delta);
        }
    }
    hand->change_count = 0;
    buffer_shrink(&hand->kept, BUFFER_KEEP);
}

/* --- a slice: the loop's part --- */

void hand_limit_slice(struct hand *hand, size_t slice_len)
{
    size_t len_max = hand->config.slice_len;
    assert(!hand->is_reading);
    hand->slice_len = slice_len > 0 && slice_len < len_max ? slice_len : len_max;
}

/* The last point of the next one at most. */
static uint64_t slice_last(const struct hand *hand)
{
    uint64_t from = endian_get_be64(hand->place);
    return hand->width - 1 < hand->last - from ? from + hand->width - 1 : hand->last;
}

/* What is only in the tree is durable (RULES S1). */
static void begin_slice(struct hand *hand, uint64_t last_stamp)
{
    const struct merge_interval interval = {
        .from = bytes_of(hand->place, hand->place_len),
        .last = slice_last(hand),
        .keys_only = is_counting(hand),
    };
    merge_copy(&hand->merge, hand->config.hot, &interval);
    hand->txn = tree_begin_read(hand->config.tree);
    hand->until_ms = clock_mono_ms() + TREE_READ_MS_MAX;
    hand->need = hand->merge.dirty_count > 0 ? last_stamp : 0;
    hand->is_reading = true;
    worker_submit(hand->worker, &hand->job);
}

/* So that the next one is likely to be filled, and little is looked for and kept beyond it. */
static void fit_width(struct hand *hand, uint64_t covered)
{
    double by_len = (double)hand->items.len / (double)hand->slice_len;
    double by_count = (double)hand->slice_sum.records / (double)hand->config.slice_records;
    double filled = !hand->is_whole ? 1 : by_len > by_count ? by_len : by_count;
    double growth =
        filled * WIDTH_GROWTH_MAX > WIDTH_MARGIN ? WIDTH_MARGIN / filled : WIDTH_GROWTH_MAX;
    double width = (double)covered * growth;
    hand->width = width < (double)INT64_MAX ? (uint64_t)width + 1 : UINT64_MAX;
}

/* The place moves to the slice's end. */
static void pass_slice(struct hand *hand)
{
    uint64_t from = endian_get_be64(hand->place);
    if (!hand->is_whole) {
        memcpy(hand->place, hand->reached, hand->reached_len);
        hand->place_len = hand->reached_len;
    } else if (hand->merge.last < hand->last) {
        set_place(hand, hand->merge.last + 1);
    } else {
        memset(hand->place, 0xff, sizeof(hand->place));
        hand->place_len = sizeof(hand->place);
        hand->phase = is_counting(hand) ? AT_END : LINES_AGAIN;
    }
    fit_width(hand, endian_get_be64(hand->place) - from);
}

static void emit_slice(struct hand *hand)
{
    range_sum_join(&hand->sum, &hand->slice_sum);
    if (hand->items.len > 0) {
        hand->config.emit(hand->config.context, &hand->items, hand->need);
        hand->items = (struct buffer){0};
    }
}

static void done(struct job *job)
{
    struct hand *hand = (struct hand *)job;
    if (hand->fault != TREE_FINE) {
        logline_die("tree: cannot read: %s", tree_fault_text(hand->config.tree));
    }
    hand->is_reading = false;
    buffer_shrink(&hand->merge.copies, BUFFER_KEEP);
    if (hand->damage[0] != '\0') {
        hand->phase = FAULTY;
        hand->config.on_fault(hand->config.context, hand->damage);
        return;
    }
    flush(hand); /* what stands before it */
    pass_slice(hand);
    emit_slice(hand);
    settle_changes(hand);
}

void hand_turn(struct hand *hand, uint64_t last_stamp, uint64_t now_ms, bool may_go_on)
{
    if (may_go_on && hand->phase == LINES) {
        hand->begun_ms = hand->begun_ms ? hand->begun_ms : now_ms;
        step_lines(hand, last_stamp);
    }
    if (may_go_on && hand->phase == RECORDS && !hand->is_reading) {
        begin_slice(hand, last_stamp);
    }
    if (may_go_on && hand->phase == LINES_AGAIN) {
        hand->walk.since_ms = hand->begun_ms;
        step_lines(hand, last_stamp);
    }
    flush(hand);
}

/* --- the worker's part --- */

static void pass(struct hand *hand, struct bytes key)
{
    memcpy(hand->reached, key.data, key.len);
    hand->reached_len = key.len;
    hand->looks++;
}

/* Of the slice for a record with so long a stored value. */
static bool has_room(const struct hand *hand, struct bytes key, size_t stored_len)
{
    const struct hand_config *config = &hand->config;
    bool is_time_over =
        hand->looks % LOOKS_PER_CLOCK == LOOKS_PER_CLOCK - 1 && clock_mono_ms() > hand->until_ms;
    return hand->slice_sum.records == 0 ||
           (hand->slice_sum.records < config->slice_records && !is_time_over &&
            hand->items.len + key.len + stored_len + ITEM_HEAD_MAX <= hand->slice_len);
}

static void add(struct hand *hand, struct bytes key, struct bytes stored)
{
    range_sum_add(&hand->slice_sum, key, stored);
    stream_record_encode(key, stored, &hand->items);
    memory_must(!hand->items.failed);
}

/* RULES S10: the operator is to find it. */
static bool refuse(struct hand *hand, const struct record *record, bool has_key,
                   enum record_fault fault)
{
    const char *what =
        fault == RECORD_NEWER_FORMAT ? "was stored by a newer version" : "fails its checksum";
    if (has_key) {
        (void)snprintf(hand->damage, sizeof(hand->damage), "a record of table %u at point %llu %s",
                       (unsigned)record->table, (unsigned long long)record->point, what);
    } else {
        (void)snprintf(hand->damage, sizeof(hand->damage),
                       "what stands in the tree behind point %llu is no record",
                       (unsigned long long)endian_get_be64(hand->place));
    }
    return false;
}

static bool count(struct hand *hand, struct bytes key, uint64_t size)
{
    bool has = has_room(hand, key, 0);
    if (has) {
        hand->slice_sum.records++;
        hand->slice_sum.bytes += size;
    }
    return has;
}

static bool take_stored(struct hand *hand, struct bytes key)
{
    struct bytes stored = merge_stored(&hand->merge);
    struct record record = {0};
    if (is_counting(hand)) {
        return count(hand, key, record_stored_size(record_key_len(key), stored));
    }
    if (!has_room(hand, key, stored.len)) {
        return false;
    }
    bool has_key = record_key_decode(key, &record);
    enum record_fault fault = record_decode(stored, key, &record);
    if (!has_key || fault != RECORD_FINE) {
        return refuse(hand, &record, has_key, fault);
    }
    add(hand, key, stored);
    return true;
}

static bool take_dirty(struct hand *hand, struct bytes key)
{
    uint8_t head[RECORD_HEADER_LEN];
    struct record record;
    size_t value_len;
    merge_record(&hand->merge, &record, &value_len);
    if (is_counting(hand)) {
        return count(hand, key, record_size(record_key_len(key), value_len));
    }
    if (!has_room(hand, key, RECORD_HEADER_LEN + value_len)) {
        return false;
    }
    record_header_encode(&record, key, head);
    buffer_clear(&hand->scratch);
    buffer_append(&hand->scratch, head, sizeof(head));
    buffer_append_bytes(&hand->scratch, record.value);
    memory_must(!hand->scratch.failed);
    add(hand, key, buffer_bytes(&hand->scratch));
    return true;
}

/* False: the slice ends before it. */
static bool take(struct hand *hand, enum merge_kind kind)
{
    struct bytes key = merge_key(&hand->merge, kind);
    bool is_taken = kind == MERGE_DELETED ||
                    (kind == MERGE_STORED ? take_stored(hand, key) : take_dirty(hand, key));
    if (is_taken) {
        pass(hand, key);
    }
    return is_taken;
}

static void run(struct job *job)
{
    struct hand *hand = (struct hand *)job;
    enum merge_kind kind;
    hand->slice_sum = (struct range_sum){0};
    hand->looks = 0;
    if (!is_counting(hand)) {
        memory_must(buffer_reserve(&hand->items, hand->slice_len) != NULL);
    }
    merge_open(&hand->merge, hand->txn);
    while ((kind = merge_look(&hand->merge)) < MERGE_CAPPED && take(hand, kind)) {
        merge_pass(&hand->merge, kind);
    }
    merge_close(&hand->merge);
    hand->is_whole = kind == MERGE_END;
    hand->fault = tree_txn_fault(hand->txn);
    tree_abort(hand->txn);
    buffer_shrink(&hand->scratch, BUFFER_KEEP);
}
