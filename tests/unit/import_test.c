/* SPDX-License-Identifier: MIT */
#include "shardd/import.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "proto/stamp.h"
#include "proto/table.h"
#include "proto/varint.h"
#include "shardd/result.h"
#include "shardd/store_internal.h"
#include "tests/unit/dice.h"
#include "tests/unit/store_fixture.h"

/*
 * A store that takes the upper half of the circle. The source is the test: a list of records in hash order, of which
 * those before `hand` have been sent; what is changed there follows in the stream.
 */

#define HALF (BOUND_END / 2)

static const struct range lower[] = {{.end = HALF, .limit = STORE_TEST_LIMIT}};
static const struct range importing[] = {
    {.end = HALF, .limit = STORE_TEST_LIMIT},
    {.start = HALF, .end = BOUND_END, .limit = STORE_TEST_LIMIT, .state = RANGE_IMPORT}};
static const struct range ready[] = {
    {.end = HALF, .limit = STORE_TEST_LIMIT},
    {.start = HALF, .end = BOUND_END, .limit = STORE_TEST_LIMIT, .state = RANGE_READY}};
static const struct range both[] = {{.end = HALF, .limit = STORE_TEST_LIMIT},
                                    {.start = HALF, .end = BOUND_END, .limit = STORE_TEST_LIMIT}};

enum { RECORDS = 1000, MESSAGES = 4096, VALUE_LEN = 64 };

struct item {
    char key[16]; /* as many bytes as an id has */
    uint16_t table;
    uint64_t point;
    bool is_there;
    uint64_t version;
    uint64_t expiry_ms;
    uint8_t value[VALUE_LEN]; /* the first byte is that of a MessagePack bin of the rest */
};

struct fixture {
    struct store_fixture *store;
    struct import *import;

    struct item items[RECORDS]; /* of the source, in hash order */
    uint32_t hand;
    uint64_t stamp; /* the source's last */
    struct range_sum sum;
    struct buffer message;
    uint64_t seq;

    /* What the import said. */
    enum status answers[MESSAGES];
    uint32_t answer_counts[MESSAGES];
    uint32_t answer_count;
    bool is_whole;
    bool is_broken;
    enum status status;
    char text[200];
    struct range_sum told_sum;
};

static struct fixture *current; /* the store fixture's `until` has no context of its own */

/* --- the source --- */

static int compare_items(const void *a, const void *b)
{
    const struct item *left = a;
    const struct item *right = b;
    int order = (left->point > right->point) - (left->point < right->point);
    order = order ? order : (left->table > right->table) - (left->table < right->table);
    return order ? order : strcmp(left->key, right->key);
}

/* Of both tables; the sixth letter spreads ids over the upper half. */
static void make_items(struct fixture *f)
{
    uint32_t count = 0;
    for (uint32_t i = 0; count < RECORDS; i++) {
        struct item *item = &f->items[count];
        *item = (struct item){0};
        (void)snprintf(item->key, sizeof(item->key), "%05u%cid", i, 'A' + (int)(i % 58));
        item->table = i % 3 == 0 ? TABLE_ENTITIES : TABLE_DEFAULT;
        item->point = table_point(item->table, bytes_text(item->key));
        count += point_bound(item->point) >= HALF;
    }
    qsort(f->items, RECORDS, sizeof(f->items[0]), compare_items);
}

static uint16_t kind_of(const struct item *item)
{
    return table_has_ids(item->table) ? 1 + (uint16_t)(item->point % 5) : 0;
}

static struct op op_of(enum op_kind kind, const struct item *item)
{
    struct op op = store_op(kind, item->key);
    op.table = item->table;
    op.point = item->point;
    return op;
}

static struct record record_of(const struct item *item)
{
    return (struct record){
        .point = item->point,
        .table = item->table,
        .kind = kind_of(item),
        .key = bytes_text(item->key),
        .value = bytes_of(item->value, VALUE_LEN),
        .version = item->version,
        .expiry_ms = item->expiry_ms,
    };
}

static struct bytes encode(const struct record *record, uint8_t key[TREE_KEY_LEN_MAX],
                           struct buffer *stored)
{
    uint8_t header[RECORD_HEADER_LEN];
    struct bytes tree_key =
        bytes_of(key, record_key_encode(record->point, record->table, record->key, key));
    record_header_encode(record, tree_key, header);
    buffer_clear(stored);
    buffer_append(stored, header, sizeof(header));
    buffer_append_bytes(stored, record->value);
    return tree_key;
}

static void sum_item(struct fixture *f, const struct item *item,
                     void (*sum_one)(struct range_sum *, struct bytes, struct bytes))
{
    uint8_t key[TREE_KEY_LEN_MAX];
    struct buffer stored = {0};
    struct record record = record_of(item);
    struct bytes tree_key = encode(&record, key, &stored);
    sum_one(&f->sum, tree_key, buffer_bytes(&stored));
    buffer_fini(&stored);
}

static void fill(struct item *item, uint64_t stamp)
{
    memset(item->value, (int)(stamp % 251), sizeof(item->value));
    item->value[0] = 0xc4;
    item->value[1] = VALUE_LEN - 2;
    item->is_there = true;
    item->version = stamp;
    item->expiry_ms = 0;
}

/* The hand passes the next one. */
static void pass(struct fixture *f)
{
    struct item *item = &f->items[f->hand++];
    if (item->is_there) {
        uint8_t key[TREE_KEY_LEN_MAX];
        struct buffer stored = {0};
        struct record record = record_of(item);
        struct bytes tree_key = encode(&record, key, &stored);
        stream_record_encode(tree_key, buffer_bytes(&stored), &f->message);
        range_sum_add(&f->sum, tree_key, buffer_bytes(&stored));
        buffer_fini(&stored);
    }
}

static void pass_until(struct fixture *f, uint32_t hand)
{
    while (f->hand < hand) {
        pass(f);
    }
}

static void emit(struct fixture *f, const struct item *item, enum log_kind kind)
{
    const struct log_op op = {
        .kind = kind,
        .table = item->table,
        .record_kind = kind == LOG_PUT ? kind_of(item) : 0,
        .point = item->point,
        .key = bytes_text(item->key),
        .value = bytes_of(item->value, kind == LOG_PUT ? VALUE_LEN : 0),
        .version = item->version,
        .expiry_ms = item->expiry_ms,
    };
    stream_operation_encode(f->stamp, &op, &f->message);
}

static void change(struct fixture *f, uint32_t i, bool is_put)
{
    struct item *item = &f->items[i];
    bool is_behind = i < f->hand;
    if (is_behind && item->is_there) {
        sum_item(f, item, range_sum_take);
    }
    item->version = ++f->stamp;
    item->is_there = false;
    item->expiry_ms = 0;
    if (is_put) {
        fill(item, f->stamp);
    }
    if (is_behind) {
        emit(f, item, is_put ? LOG_PUT : LOG_DELETE);
    }
    if (is_behind && is_put) {
        sum_item(f, item, range_sum_add);
    }
}

static void touch(struct fixture *f, uint32_t i, uint64_t expiry_ms)
{
    struct item *item = &f->items[i];
    f->stamp++;
    sum_item(f, item, range_sum_take);
    item->expiry_ms = expiry_ms;
    sum_item(f, item, range_sum_add);
    emit(f, item, LOG_TOUCH);
}

static void put_all(struct fixture *f)
{
    for (uint32_t i = 0; i < RECORDS; i++) {
        change(f, i, true);
    }
}

/* --- the target --- */

static void on_answer(void *context, const struct import_reply *reply, uint64_t seq,
                      enum status status, const char *text)
{
    struct fixture *f = context;
    (void)reply;
    assert_true(seq < MESSAGES && (status == STATUS_OK) == (text == NULL));
    f->answers[seq] = status;
    f->answer_counts[seq]++;
    f->answer_count++;
}

static void on_whole(void *context, const struct range_sum *sum)
{
    struct fixture *f = context;
    f->is_whole = true;
    f->told_sum = *sum;
}

static void on_broken(void *context, enum status status, const char *text)
{
    struct fixture *f = context;
    assert_false(f->is_broken);
    f->is_broken = true;
    f->status = status;
    (void)snprintf(f->text, sizeof(f->text), "%s", text);
}

static void begin_import(struct fixture *f)
{
    struct store *store = f->store->store;
    const struct import_config config = {
        .loop = f->store->loop,
        .tree = store->tree,
        .sweep = store->sweep,
        .execution = &store->execution,
        .start = HALF,
        .end = BOUND_END,
        .on_answer = on_answer,
        .on_whole = on_whole,
        .on_broken = on_broken,
        .context = f,
    };
    f->import = import_new(&config);
    f->seq = 0;
}

static void end_import(struct fixture *f)
{
    import_free(f->import);
    f->import = NULL;
}

/* As the server does it at the end of a turn. */
static void turn(struct fixture *f)
{
    store_begin_turn(f->store->store);
    if (f->import) {
        import_turn(f->import);
    }
    store_turn_end(f->store->store);
}

static bool is_settled(struct store_fixture *store)
{
    (void)store;
    turn(current);
    return current->is_whole || current->is_broken || current->answer_count >= current->seq;
}

/* Until all that was sent has its answer, or the import has come to its end. */
static void wait(struct fixture *f)
{
    store_fixture_run(f->store, is_settled);
}

static bool has_come_to_its_end(struct store_fixture *store)
{
    (void)store;
    turn(current);
    return current->is_whole || current->is_broken;
}

static void take(struct fixture *f, uint64_t seq, struct bytes items)
{
    const struct import_reply reply = {NULL, (uint32_t)seq};
    import_take(f->import, seq, items, &reply);
}

static void send(struct fixture *f)
{
    assert_false(f->message.failed);
    take(f, ++f->seq, buffer_bytes(&f->message));
    buffer_clear(&f->message);
}

static void send_end(struct fixture *f)
{
    assert_true(import_end(f->import, f->seq + 1, &f->sum, f->stamp));
    store_fixture_run(f->store, has_come_to_its_end);
}

static void open_it(struct fixture *f)
{
    end_import(f);
    store_fixture_own(f->store, ready, 2);
    store_fixture_own(f->store, both, 2);
}

/* The end, which must be whole; then it is served from here. */
static void finish(struct fixture *f)
{
    send_end(f);
    if (f->is_broken) {
        fail_msg("%s", f->text);
    }
    assert_true(f->is_whole);
    assert_true(range_sum_equal(&f->told_sum, &f->sum));
    open_it(f);
}

static void check_item(struct fixture *f, const struct item *item)
{
    struct op read = op_of(OP_READ, item);
    const struct outcome *outcome = store_fixture_do(f->store, &read);
    assert_int_equal(outcome->was_there, item->is_there);
    if (item->is_there) {
        assert_int_equal(outcome->status, STATUS_OK);
        assert_int_equal(outcome->version, item->version);
        assert_int_equal(outcome->kind, kind_of(item));
        assert_int_equal(outcome->left_ms >= 0, item->expiry_ms != 0);
        assert_true(bytes_equal(outcome->value, bytes_of(item->value, VALUE_LEN)));
    }
}

static const struct account *upper_account(const struct fixture *f)
{
    return store_account(f->store->store, point_of_bound(HALF));
}

/* What is here is what the source has, and is counted so. */
static void check(struct fixture *f)
{
    uint64_t records = 0;
    for (uint32_t i = 0; i < RECORDS; i++) {
        check_item(f, &f->items[i]);
        records += f->items[i].is_there;
    }
    assert_int_equal(upper_account(f)->records, records);
    assert_int_equal(upper_account(f)->records, f->sum.records);
    assert_int_equal(upper_account(f)->used, f->sum.bytes);
}

static void begin_fixture(struct fixture *f, struct store_fixture *store)
{
    current = f;
    f->store = store;
    store_fixture_start(store);
    store_fixture_own(store, lower, 1);
    store_fixture_own(store, importing, 2);
    make_items(f);
    f->stamp = stamp_of_ms(clock_wall_ms());
    begin_import(f);
}

static int setup(void **state)
{
    struct fixture *f = memory_get(1, sizeof(*f));
    begin_fixture(f, store_fixture_new(scratch_make()));
    *state = f;
    return 0;
}

/* The sweep never rests, and memory is short. */
static int setup_busy(void **state)
{
    struct fixture *f = memory_get(1, sizeof(*f));
    struct store_fixture *store = store_fixture_new(scratch_make());
    store->config.log_limit = 1;
    begin_fixture(f, store);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    end_import(f);
    buffer_fini(&f->message);
    store_fixture_free(f->store);
    free(f);
    return 0;
}

/* --- content --- */

static void slices_then_changes_then_the_end_bring_the_same_content(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    for (uint32_t i = 0; i < 10; i++) {
        pass_until(f, (i + 1) * RECORDS / 10);
        send(f);
    }
    for (uint32_t i = 0; i < RECORDS; i += 3) {
        change(f, i, i % 2 == 0);
    }
    send(f);
    finish(f);
    check(f);
}

static void changes_between_slices_are_made_behind_them(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    for (uint32_t i = 0; i < 20; i++) {
        pass_until(f, (i + 1) * RECORDS / 20);
        change(f, f->hand - 1, true);
        send(f);
        change(f, f->hand - 1, true);
        change(f, 0, i % 2 == 0);
        change(f, RECORDS - 1, true);
        send(f);
    }
    finish(f);
    check(f);
}

static void what_a_slice_brought_can_be_deleted(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    wait(f);
    for (uint32_t i = 0; i < RECORDS; i++) {
        change(f, i, false);
    }
    send(f);
    finish(f);
    assert_int_equal(upper_account(f)->records, 0);
    check(f);
    store_fixture_make_cold(f->store);
    check(f);
}

static void a_touch_of_what_only_the_tree_has_counts(void **state)
{
    struct fixture *f = *state;
    uint64_t later_ms = clock_wall_ms() + 1000000;
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    wait(f);
    touch(f, 1, later_ms);
    touch(f, 1, later_ms + 5);
    change(f, 2, true);
    touch(f, 2, later_ms);
    send(f);
    finish(f);
    check(f);
    store_fixture_make_cold(f->store);
    check(f);
}

/* RULES V5: a slice may have been cut behind a change that is told all the same. */
static void what_comes_twice_counts_once(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, 10);
    emit(f, &f->items[3], LOG_PUT);
    send(f);
    emit(f, &f->items[4], LOG_PUT);
    pass_until(f, RECORDS);
    send(f);
    finish(f);
    check(f);
}

static void what_is_older_is_passed_over(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS);
    const struct item older = f->items[3];
    send(f);
    change(f, 3, true);
    change(f, 4, false);
    emit(f, &older, LOG_PUT);
    send(f);
    finish(f);
    check(f);
}

/* The tree as it was when the key was looked up had an earlier one, and the table has none any more. */
static void what_is_swept_and_evicted_meanwhile_is_looked_up_again(void **state)
{
    struct fixture *f = *state;
    struct store *store = f->store->store;
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    change(f, 3, true);
    change(f, 4, true);
    send(f);
    wait(f);
    f->answer_count = 0;
    change(f, 3, true);
    change(f, 4, false);
    send(f);
    turn(f);
    struct import *import = f->import;
    f->import = NULL; /* it has no turn for a while */
    store->config.log_limit = 1;
    store_fixture_run(f->store, store_fixture_is_swept);
    hot_evict(store->hot, 0, UINT32_MAX);
    hot_evict(store->hot, 0, UINT32_MAX);
    const struct item *item = &f->items[3];
    assert_null(hot_peek(store->hot, item->point, item->table, bytes_text(item->key)));
    f->import = import;
    finish(f);
    check(f);
}

static void a_record_of_the_largest_size_comes(void **state)
{
    struct fixture *f = *state;
    struct buffer value = {0};
    struct buffer stored = {0};
    uint8_t key[TREE_KEY_LEN_MAX];
    uint8_t *to = buffer_reserve(&value, VALUE_LEN_MAX);
    assert_non_null(to);
    memset(to, 0, VALUE_LEN_MAX);
    to[0] = 0xc6;
    to[2] = 0x7f;
    to[3] = 0xff;
    to[4] = 0xfb;
    value.len = VALUE_LEN_MAX;
    const struct record record = {.point = UINT64_MAX,
                                  .key = bytes_text("k"),
                                  .version = f->stamp,
                                  .value = buffer_bytes(&value)};
    struct bytes tree_key = encode(&record, key, &stored);
    stream_record_encode(tree_key, buffer_bytes(&stored), &f->message);
    range_sum_add(&f->sum, tree_key, buffer_bytes(&stored));
    send(f);
    send_end(f);
    assert_true(f->is_whole);
    assert_int_equal(upper_account(f)->used, record_size(1, VALUE_LEN_MAX));
    buffer_fini(&value);
    buffer_fini(&stored);
}

static void nothing_at_all_is_whole(void **state)
{
    struct fixture *f = *state;
    send(f); /* without items */
    finish(f);
    check(f);
}

/* Any order that a source can have, while the sweep goes round. */
static void random_streams_bring_the_same_content(void **state)
{
    struct fixture *f = *state;
    struct dice dice = dice_of(20264);
    uint64_t later_ms = clock_wall_ms() + 1000000;
    for (uint32_t i = 0; i < RECORDS; i++) {
        change(f, i, dice_below(&dice, 4) > 0);
    }
    while (f->hand < RECORDS || dice_below(&dice, 50) > 0) {
        uint32_t i = dice_below(&dice, RECORDS);
        switch (dice_below(&dice, 8)) {
        case 0:
            pass_until(f, f->hand + dice_below(&dice, RECORDS - f->hand + 1));
            break;
        case 1:
            send(f);
            break;
        case 2:
            turn(f);
            break;
        case 3:
            if (dice_below(&dice, 4) == 0) {
                wait(f);
            }
            break;
        case 4:
            if (i < f->hand && f->items[i].is_there) {
                touch(f, i, ++later_ms);
            }
            break;
        case 5:
            change(f, i, false);
            break;
        default:
            change(f, i, true);
            break;
        }
    }
    send(f);
    finish(f);
    check(f);
    store_fixture_make_cold(f->store);
    check(f);
}

/* --- what is wrong --- */

static void a_sum_that_differs_breaks_it(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    f->sum.low ^= 1;
    send_end(f);
    assert_true(f->is_broken);
    assert_false(f->is_whole);
    assert_int_equal(f->status, STATUS_DAMAGED);
    assert_non_null(strstr(f->text, "sums differ"));
}

static void a_record_that_fails_its_checksum_breaks_it(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, 2);
    f->message.data[f->message.len - 1] ^= 1;
    send(f);
    wait(f);
    assert_true(f->is_broken);
    assert_int_equal(f->status, STATUS_DAMAGED);
    assert_non_null(strstr(f->text, "fails its checksum"));
    assert_int_equal(f->answers[1], STATUS_DAMAGED);
    assert_int_equal(upper_account(f)->records, 0);
    change(f, 0, true);
    send(f);
    assert_int_equal(f->answers[2], STATUS_DAMAGED);
}

static void a_record_of_another_range_breaks_it(void **state)
{
    struct fixture *f = *state;
    f->items[0].point = 5;
    f->hand = 0;
    fill(&f->items[0], ++f->stamp);
    pass(f);
    send(f);
    wait(f);
    assert_true(f->is_broken);
}

/* The sums would agree, and what was changed there would be lost. */
static void a_record_from_behind_the_hand_breaks_it(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, 10);
    send(f);
    change(f, 5, false);
    send(f);
    wait(f);
    f->hand = 5;
    f->items[5].is_there = true;
    pass_until(f, 6);
    send(f);
    wait(f);
    assert_true(f->is_broken);
    assert_non_null(strstr(f->text, "out of order"));
}

static void a_change_from_ahead_of_the_hand_breaks_it(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    emit(f, &f->items[5], LOG_PUT);
    send(f);
    wait(f);
    store_fixture_run(f->store, store_fixture_is_swept);
    pass_until(f, 10);
    send(f);
    wait(f);
    assert_true(f->is_broken);
    assert_non_null(strstr(f->text, "before it came"));
}

static void a_malformed_item_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, 10);
    size_t len = f->message.len;
    for (size_t shorter = len - 1; shorter > len - 20; shorter--) {
        take(f, 1, bytes_of(f->message.data, shorter));
        assert_int_equal(f->answers[1], STATUS_INVALID);
    }
    uint32_t refused_count = f->answer_count;
    send(f);
    assert_int_equal(f->answer_count, refused_count);
    change(f, 3, true);
    f->items[3].point = 5;
    emit(f, &f->items[3], LOG_PUT); /* not here */
    take(f, 2, buffer_bytes(&f->message));
    assert_int_equal(f->answers[2], STATUS_INVALID);
    assert_false(f->is_broken);
}

/* RULES V9, N2: it would stay in this server's stamps for ever. */
static void a_stamp_from_far_ahead_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t last = store_last_stamp(f->store->store);
    f->hand = RECORDS;
    f->stamp += stamp_of_ms(UINT64_C(10) * IMPORT_AHEAD_MS);
    change(f, 0, true);
    send(f);
    assert_int_equal(f->answers[1], STATUS_INVALID);
    turn(f);
    assert_true(store_last_stamp(f->store->store) <= last + stamp_of_ms(IMPORT_AHEAD_MS));
}

static void a_full_disk_breaks_it(void **state)
{
    struct fixture *f = *state;
    char path[256];
    struct stat status;
    struct rlimit before;
    put_all(f);
    pass_until(f, RECORDS);
    (void)snprintf(path, sizeof(path), "%s/tree", f->store->scratch.path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit limit = {(rlim_t)status.st_size, before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    send(f);
    wait(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(f->is_broken);
    assert_int_equal(f->status, STATUS_FULL);
    assert_int_equal(f->answers[1], STATUS_FULL);
    assert_int_equal(upper_account(f)->records, 0);
}

static void where_the_disk_is_full_nothing_is_begun(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    store_begin_turn(f->store->store);
    f->store->store->execution.is_disk_full = true;
    import_turn(f->import);
    assert_true(f->is_broken);
    assert_int_equal(f->status, STATUS_FULL);
}

/* --- sequence and links --- */

static void what_is_out_of_sequence_is_refused(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS / 2);
    take(f, 0, buffer_bytes(&f->message));
    take(f, 2, buffer_bytes(&f->message));
    assert_int_equal(f->answers[0], STATUS_INVALID);
    assert_int_equal(f->answers[2], STATUS_INVALID);
    assert_false(import_end(f->import, 2, &f->sum, f->stamp));
    f->answer_count = 0;
    send(f);
    pass_until(f, RECORDS);
    send(f);
    finish(f);
    check(f);
}

/* RULES V3 */
static void what_is_sent_again_by_a_new_link_is_taken_once(void **state)
{
    struct fixture *f = *state;
    struct buffer first = {0};
    struct buffer second = {0};
    put_all(f);
    pass_until(f, RECORDS / 2);
    buffer_append_bytes(&first, buffer_bytes(&f->message));
    send(f);
    wait(f);
    pass_until(f, RECORDS);
    for (uint32_t i = 0; i < RECORDS; i++) {
        change(f, i, true);
    }
    buffer_append_bytes(&second, buffer_bytes(&f->message));
    send(f);
    assert_int_equal(import_link(f->import), 1);
    assert_int_equal(f->answers[2], STATUS_TRY_LATER);
    take(f, 2, buffer_bytes(&second));
    take(f, 1, buffer_bytes(&first));
    assert_int_equal(f->answers[1], STATUS_OK);
    assert_int_equal(f->answer_counts[1], 2);
    assert_int_equal(f->answer_counts[2], 1);
    f->answer_count = 1;
    wait(f);
    assert_int_equal(f->answers[2], STATUS_OK);
    assert_int_equal(f->answer_counts[2], 2);
    buffer_fini(&first);
    buffer_fini(&second);
    finish(f);
    check(f);
}

static void no_more_is_kept_than_may_be_on_the_way(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS);
    while (f->message.len < STREAM_MESSAGE_LEN) {
        change(f, 0, true);
    }
    uint64_t fitting = STREAM_WAITING_LEN_MAX / f->message.len;
    for (uint64_t seq = 1; seq <= fitting; seq++) {
        take(f, seq, buffer_bytes(&f->message));
    }
    assert_true(f->answer_count < 4);
    assert_true(import_len(f->import) > STREAM_WAITING_LEN_MAX - 4 * STREAM_MESSAGE_LEN);
    assert_true(import_len(f->import) < STREAM_WAITING_LEN_MAX + 4 * STREAM_MESSAGE_LEN);
    take(f, fitting + 1, buffer_bytes(&f->message));
    assert_int_equal(f->answers[fitting + 1], STATUS_INVALID);
}

/* --- ends --- */

static void it_can_be_freed_at_any_time(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    for (uint32_t i = 0; i < 8; i++) {
        f->hand = 0;
        pass_until(f, RECORDS);
        change(f, 1, true);
        send(f);
        for (uint32_t j = 0; j < i; j++) {
            turn(f);
        }
        end_import(f);
        assert_int_equal(f->answer_counts[1], i + 1);
        store_fixture_own(f->store, lower, 1);
        store_fixture_own(f->store, importing, 2);
        begin_import(f);
    }
    turn(f);
    assert_int_equal(upper_account(f)->records, 0);
}

/* RULES V2: nothing of it is known, and the interval is emptied before it begins anew. */
static void after_a_restart_it_begins_in_an_empty_interval(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    for (uint32_t i = 0; i < RECORDS; i += 2) {
        change(f, i, true);
    }
    send(f);
    wait(f);
    end_import(f);
    store_fixture_restart(f->store);
    store_fixture_own(f->store, lower, 1);
    store_fixture_own(f->store, importing, 2);
    begin_import(f);
    assert_int_equal(upper_account(f)->records, 0);
    for (uint32_t i = 0; i < RECORDS; i++) {
        f->items[i].is_there = i % 2 == 1 && f->items[i].is_there;
    }
    f->sum = (struct range_sum){0};
    f->hand = 0;
    f->answer_count = 0;
    pass_until(f, RECORDS);
    send(f);
    finish(f);
    check(f);
}

static void what_is_ready_is_there_after_a_crash(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    for (uint32_t i = 0; i < 5; i++) {
        pass_until(f, (i + 1) * RECORDS / 5);
        change(f, f->hand / 2, i % 2 == 0);
        send(f);
    }
    send_end(f);
    assert_true(f->is_whole);
    end_import(f);
    store_fixture_own(f->store, ready, 2);
    struct store_fixture *before = f->store;
    f->store = store_fixture_crash(before);
    store_fixture_free(before);
    store_fixture_start(f->store);
    store_fixture_own(f->store, both, 2);
    check(f);
}

/* RULES N2: what is written next is newer than all that came, whatever the clocks say. */
static void what_is_written_after_it_is_newer(void **state)
{
    struct fixture *f = *state;
    f->stamp += stamp_of_ms(IMPORT_AHEAD_MS - 5000);
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    change(f, 7, true);
    send(f);
    finish(f);
    check(f);
    struct op write = op_of(OP_WRITE, &f->items[7]);
    const struct outcome *outcome = store_fixture_do(f->store, &write);
    assert_int_equal(outcome->status, STATUS_OK);
    assert_true(outcome->version > f->stamp);
    store_fixture_make_cold(f->store);
    struct op read = op_of(OP_READ, &f->items[7]);
    assert_int_equal(store_fixture_do(f->store, &read)->value.len, 1);
}

/* RULES N2: it was told of before the hand came there, and has gone since. */
/* RULES N2: or it would wait for a stamp that nobody gives, as long as nobody does. */
static void what_came_has_no_place_below_its_version(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    pass_until(f, RECORDS);
    send(f);
    wait(f);
    f->stamp += stamp_of_ms(IMPORT_AHEAD_MS - 5000);
    change(f, 7, true);
    uint64_t version = f->stamp;
    send(f);
    wait(f);
    assert_true(store_last_stamp(f->store->store) > version);
}

static void what_did_not_come_is_older_than_what_is_written_after_it(void **state)
{
    struct fixture *f = *state;
    f->stamp += stamp_of_ms(IMPORT_AHEAD_MS - 5000);
    finish(f);
    struct op write = op_of(OP_WRITE, &f->items[7]);
    const struct outcome *outcome = store_fixture_do(f->store, &write);
    assert_int_equal(outcome->status, STATUS_OK);
    assert_true(outcome->version > f->stamp);
}

/* --- clients (RULES Q1, Q2) --- */

static const uint8_t client[ID_LEN] = {1, 2, 3};

/* Of a pop, if its value is `held`. */
static void emit_result(struct fixture *f, const struct item *item, uint64_t seq, uint64_t done,
                        uint64_t held)
{
    struct buffer value = {0};
    const struct outcome outcome = {.left_ms = -1, .version = f->stamp};
    uint8_t *to = buffer_reserve(&value, 64);
    assert_non_null(to);
    to = varint_put(varint_put(varint_put(varint_put(to, done), 0), clock_wall_ms()), seq);
    value.len = (size_t)(to - value.data);
    result_encode(held > 0 ? OP_POP : OP_WRITE, &outcome, held, &value);
    const struct log_op op = {
        .kind = LOG_RESULT,
        .point = item->point,
        .key = bytes_of(client, sizeof(client)),
        .value = buffer_bytes(&value),
    };
    stream_operation_encode(f->stamp, &op, &f->message);
    buffer_fini(&value);
}

static const struct outcome *write_again(struct fixture *f, const struct item *item, uint64_t seq)
{
    struct op write = op_of(OP_WRITE, item);
    memcpy(write.identity.client, client, sizeof(client));
    write.identity.seq = seq;
    return store_fixture_do(f->store, &write);
}

static void what_had_run_is_answered_from_its_result(void **state)
{
    struct fixture *f = *state;
    put_all(f);
    const struct stream_line line = {.client = {1, 2, 3}, .done = 3, .highest = 9, .forgotten = 4};
    stream_line_encode(&line, &f->message);
    pass_until(f, RECORDS);
    send(f);
    change(f, 7, true);
    emit_result(f, &f->items[7], 9, 3, 0);
    uint64_t version = f->stamp;
    change(f, 8, true);
    emit_result(f, &f->items[8], 4, 3, 0); /* was forgotten meanwhile */
    send(f);
    finish(f);
    check(f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write_again(f, &f->items[7], 9)->version, version);
        assert_int_equal(write_again(f, &f->items[8], 4)->status, STATUS_STALE);
        assert_int_equal(write_again(f, &f->items[9], 2)->status, STATUS_STALE);
        check_item(f, &f->items[7]);
        store_fixture_make_cold(f->store);
    }
    assert_int_equal(write_again(f, &f->items[9], 10)->status, STATUS_OK);
}

/* RULES Q2: what this server knows of a client may be more than what comes. */
static void of_two_lines_of_a_client_the_greater_counts(void **state)
{
    struct fixture *f = *state;
    const struct stream_line more = {.client = {1, 2, 3}, .done = 8, .highest = 9};
    const struct stream_line less = {.client = {1, 2, 3}, .done = 4, .highest = 5};
    stream_line_encode(&more, &f->message);
    send(f);
    stream_line_encode(&less, &f->message);
    send(f);
    finish(f);
    assert_int_equal(write_again(f, &f->items[7], 7)->status, STATUS_STALE);
    assert_int_equal(write_again(f, &f->items[7], 10)->status, STATUS_OK);
}

static void a_popped_value_counts_here_until_its_client_has_it(void **state)
{
    struct fixture *f = *state;
    emit_result(f, &f->items[7], 9, 3, 200);
    emit_result(f, &f->items[8], 10, 3, 300);
    emit_result(f, &f->items[8], 10, 3, 300); /* once with the others, and once as it was made */
    send(f);
    finish(f);
    assert_int_equal(upper_account(f)->used, 500);
    struct op done = {.kind = OP_DONE, .identity = {.client = {1, 2, 3}, .done = 10}};
    store_fixture_do(f->store, &done);
    assert_int_equal(upper_account(f)->used, 300);
    store_fixture_restart(f->store);
    assert_int_equal(upper_account(f)->used, 300);
}

static void a_client_whose_line_is_damaged_runs_nothing_again(void **state)
{
    struct fixture *f = *state;
    const struct stream_line line = {.client = {1, 2, 3}, .is_damaged = true};
    stream_line_encode(&line, &f->message);
    send(f);
    finish(f);
    assert_int_equal(write_again(f, &f->items[7], 100)->status, STATUS_STALE);
    store_fixture_restart(f->store);
    assert_int_equal(write_again(f, &f->items[7], 100)->status, STATUS_STALE);
}

static void a_result_that_is_none_breaks_it(void **state)
{
    struct fixture *f = *state;
    const struct log_op op = {.kind = LOG_RESULT,
                              .point = f->items[0].point,
                              .key = bytes_of(client, sizeof(client)),
                              .value = bytes_text("x")};
    stream_operation_encode(f->stamp, &op, &f->message);
    send(f);
    wait(f);
    assert_true(f->is_broken);
    assert_int_equal(f->answers[1], STATUS_DAMAGED);
}

#define CASE(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define BUSY_CASE(name) cmocka_unit_test_setup_teardown(name, setup_busy, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        CASE(slices_then_changes_then_the_end_bring_the_same_content),
        CASE(changes_between_slices_are_made_behind_them),
        CASE(what_a_slice_brought_can_be_deleted),
        CASE(a_touch_of_what_only_the_tree_has_counts),
        CASE(what_comes_twice_counts_once),
        CASE(what_is_older_is_passed_over),
        CASE(what_is_swept_and_evicted_meanwhile_is_looked_up_again),
        CASE(a_record_of_the_largest_size_comes),
        CASE(nothing_at_all_is_whole),
        CASE(random_streams_bring_the_same_content),
        BUSY_CASE(random_streams_bring_the_same_content),
        CASE(a_sum_that_differs_breaks_it),
        CASE(a_record_that_fails_its_checksum_breaks_it),
        CASE(a_record_of_another_range_breaks_it),
        CASE(a_record_from_behind_the_hand_breaks_it),
        BUSY_CASE(a_change_from_ahead_of_the_hand_breaks_it),
        CASE(a_malformed_item_is_refused_and_changes_nothing),
        CASE(a_stamp_from_far_ahead_is_refused),
        CASE(a_full_disk_breaks_it),
        CASE(where_the_disk_is_full_nothing_is_begun),
        CASE(what_is_out_of_sequence_is_refused),
        CASE(what_is_sent_again_by_a_new_link_is_taken_once),
        CASE(no_more_is_kept_than_may_be_on_the_way),
        CASE(it_can_be_freed_at_any_time),
        CASE(after_a_restart_it_begins_in_an_empty_interval),
        CASE(what_is_ready_is_there_after_a_crash),
        CASE(what_is_written_after_it_is_newer),
        CASE(what_came_has_no_place_below_its_version),
        CASE(what_did_not_come_is_older_than_what_is_written_after_it),
        CASE(what_had_run_is_answered_from_its_result),
        CASE(of_two_lines_of_a_client_the_greater_counts),
        CASE(a_popped_value_counts_here_until_its_client_has_it),
        CASE(a_client_whose_line_is_damaged_runs_nothing_again),
        CASE(a_result_that_is_none_breaks_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
