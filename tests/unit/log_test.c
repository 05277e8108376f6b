/* SPDX-License-Identifier: MIT */
#include "shardd/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/clock.h"
#include "io/memory.h"
#include "proto/log_scan.h"
#include "proto/stamp.h"
#include "shardd/segment.h"
#include "tests/unit/dice.h"
#include "tests/unit/scratch.h"

#define SEGMENT_LEN (UINT64_C(64) << 10)
#define OP_MAX      60000
#define VALUE_MAX   (9u << 20)
#define HOUR_MS     (UINT64_C(3600) * 1000)

/* An operation as it was added, or as a replay told it. */
struct entry {
    uint64_t stamp;
    uint32_t number; /* its point: how many were added before */
    uint32_t len;    /* of its value, whose bytes follow from the number */
    enum log_kind kind;
};

/* What a log tells, or was told: the operations, the account after them, the control state. */
struct history {
    struct entry *entries;
    uint32_t count;
    struct log_account account;
    char state[32];
    uint32_t checkpoint_count;
    uint32_t clear_count;
};

struct fixture {
    struct scratch scratch;
    struct dir *dir;
    struct loop *loop;
    struct timer *poll;
    bool (*is_there)(const struct fixture *fixture);
    struct log *log;
    enum durability durability;
    uint64_t now_ms;
    uint64_t applied;
    uint64_t awaited;
    bool is_account_changed;
    bool is_stopped;
    struct history added;
    struct history told;
    struct dice dice;
};

static uint8_t *value_bytes;

/* --- the owner --- */

static void on_progress(void *context)
{
    struct fixture *fixture = context;
    if (!fixture->is_there && log_durable(fixture->log) >= fixture->awaited) {
        loop_stop(fixture->loop);
    }
}

static uint32_t put_accounts(void *context, struct buffer *out)
{
    struct fixture *fixture = context;
    if (!fixture->is_account_changed) {
        return 0;
    }
    fixture->is_account_changed = false;
    log_account_encode(&fixture->added.account, out);
    return 1;
}

static void put_checkpoint(void *context, struct buffer *out, uint32_t *account_count)
{
    struct fixture *fixture = context;
    log_account_encode(&fixture->added.account, out);
    buffer_append_bytes(out, bytes_text(fixture->added.state));
    *account_count = 1;
}

static void on_stopped(void *context)
{
    struct fixture *fixture = context;
    fixture->is_stopped = true;
    loop_stop(fixture->loop);
}

/* --- the visitor --- */

static void take_state(struct history *told, struct bytes state)
{
    assert_true(state.len < sizeof(told->state));
    memset(told->state, 0, sizeof(told->state));
    memcpy(told->state, state.data, state.len);
}

static bool on_control(void *context, const struct log_record_header *header, struct bytes accounts,
                       struct bytes blob)
{
    struct history *told = context;
    const uint8_t *bytes = blob.data;
    if (header->type == LOG_CHECKPOINT) {
        told->checkpoint_count++;
        take_state(told, blob);
        assert_true(log_account_next(&accounts, &told->account));
    } else if (bytes[0] == LOG_STATE) {
        take_state(told, bytes_of(bytes + 1, blob.len - 1));
        assert_true(log_account_next(&accounts, &told->account));
    } else {
        assert_int_equal(bytes[0], LOG_CLEAR);
        told->clear_count++;
    }
    return true;
}

static bool on_accounts(void *context, struct bytes accounts)
{
    struct history *told = context;
    while (log_account_next(&accounts, &told->account)) {
    }
    return true;
}

static bool on_ops(void *context, uint64_t first, const struct log_op *ops, uint32_t count)
{
    struct history *told = context;
    assert_true(count <= OPS_TOLD_MAX && told->count + count <= OP_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct log_op *op = &ops[i];
        assert_memory_equal(op->value.data, value_bytes + op->point, op->value.len);
        told->entries[told->count++] =
            (struct entry){first + i, (uint32_t)op->point, (uint32_t)op->value.len, op->kind};
    }
    return true;
}

/* --- opening and closing --- */

static struct log *open_at(struct fixture *fixture, struct dir *dir, uint64_t tree_durable,
                           char error[256])
{
    struct log_config config = {fixture->loop, dir, fixture->durability, SEGMENT_LEN};
    struct log_visitor visitor = {&fixture->told, on_control, on_accounts, NULL};
    fixture->told = (struct history){.entries = fixture->told.entries};
    return log_open(&config, fixture->applied, tree_durable, &visitor, error, 256);
}

/* What open_at has not told. */
static void replay(struct log *log, struct history *told)
{
    struct log_visitor visitor = {told, NULL, NULL, on_ops};
    char error[256] = "";
    if (!log_replay(log, &visitor, error, sizeof(error))) {
        fail_msg("%s", error);
    }
}

static void start(struct fixture *fixture)
{
    static const struct log_identity identity = {{1}, {2}, 3};
    struct log_owner owner = {fixture, on_progress, put_accounts, put_checkpoint};
    char error[256] = "";
    if (!log_start(fixture->log, &identity, &owner, error, sizeof(error))) {
        fail_msg("%s", error);
    }
}

static void reopen(struct fixture *fixture)
{
    char error[256] = "";
    log_close(fixture->log);
    fixture->log = open_at(fixture, fixture->dir, 0, error);
    if (!fixture->log) {
        fail_msg("%s", error);
    }
    replay(fixture->log, &fixture->told);
}

static void assert_refused(struct fixture *fixture, uint64_t tree_durable, const char *part)
{
    char error[256] = "";
    log_close(fixture->log);
    fixture->log = open_at(fixture, fixture->dir, tree_durable, error);
    assert_null(fixture->log);
    if (!strstr(error, part)) {
        fail_msg("\"%s\" lacks \"%s\"", error, part);
    }
}

static void on_poll(void *context)
{
    struct fixture *fixture = context;
    if (fixture->is_there(fixture)) {
        fixture->is_there = NULL;
        loop_stop(fixture->loop);
    } else {
        timer_set(fixture->poll, 1);
    }
}

static void wait_until(struct fixture *fixture, bool (*is_there)(const struct fixture *fixture))
{
    fixture->is_there = is_there;
    timer_set(fixture->poll, 0);
    loop_run(fixture->loop);
}

static void open_dir(struct fixture *fixture)
{
    char error[256] = "";
    fixture->dir = dir_open(fixture->scratch.path, error, sizeof(error));
    assert_non_null(fixture->dir);
}

static struct fixture *make(enum durability durability)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->durability = durability;
    fixture->scratch = scratch_make();
    fixture->loop = loop_new();
    fixture->poll = timer_new(fixture->loop, on_poll, fixture);
    fixture->added.entries = calloc(OP_MAX, sizeof(struct entry));
    fixture->told.entries = calloc(OP_MAX, sizeof(struct entry));
    (void)snprintf(fixture->added.state, sizeof(fixture->added.state), "state 0");
    fixture->dice = dice_of(20);
    fixture->now_ms = clock_wall_ms();
    open_dir(fixture);
    return fixture;
}

static int setup(void **state)
{
    struct fixture *fixture = make(DURABILITY_DISK);
    reopen(fixture);
    assert_true(log_is_new(fixture->log));
    start(fixture);
    *state = fixture;
    return 0;
}

static int setup_os(void **state)
{
    struct fixture *fixture = make(DURABILITY_OS);
    reopen(fixture);
    start(fixture);
    *state = fixture;
    return 0;
}

static int setup_unopened(void **state)
{
    *state = make(DURABILITY_DISK);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    log_close(fixture->log);
    timer_free(fixture->poll);
    loop_free(fixture->loop);
    dir_close(fixture->dir);
    scratch_remove(&fixture->scratch);
    free(fixture->added.entries);
    free(fixture->told.entries);
    free(fixture);
    return 0;
}

/* --- writing --- */

static void add_kind(struct fixture *fixture, enum log_kind kind, uint32_t len)
{
    uint32_t number = fixture->added.count;
    struct log_op op = {
        .kind = kind,
        .point = number,
        .key = bytes_of("key", 3),
        .value = bytes_of(value_bytes + number, len),
    };
    assert_true(number < OP_MAX);
    uint64_t stamp = log_add(fixture->log, &op);
    assert_int_equal(stamp, log_last(fixture->log));
    fixture->added.entries[number] = (struct entry){stamp, number, len, kind};
    assert_true(number == 0 || stamp > fixture->added.entries[number - 1].stamp);
    fixture->added.count++;
    fixture->added.account.used += len;
    fixture->added.account.records++;
    fixture->is_account_changed = true;
}

static void add(struct fixture *fixture, uint32_t len)
{
    add_kind(fixture, LOG_PUT, len);
}

static void begin_turn(struct fixture *fixture)
{
    log_turn_begin(fixture->log, fixture->now_ms);
}

static void wait_durable(struct fixture *fixture, uint64_t stamp)
{
    fixture->awaited = stamp;
    while (log_durable(fixture->log) < stamp) {
        loop_run(fixture->loop);
    }
    assert_true(log_released(fixture->log) >= log_durable(fixture->log));
}

static void add_turn(struct fixture *fixture, uint32_t count, uint32_t len_max)
{
    fixture->now_ms += dice_below(&fixture->dice, 2);
    begin_turn(fixture);
    for (uint32_t i = 0; i < count; i++) {
        add(fixture, dice_below(&fixture->dice, len_max));
    }
    log_turn_end(fixture->log);
}

static void add_durably(struct fixture *fixture, uint32_t len)
{
    begin_turn(fixture);
    add(fixture, len);
    log_turn_end(fixture->log);
    wait_durable(fixture, log_last(fixture->log));
}

static uint64_t add_state(struct fixture *fixture, const char *text)
{
    (void)snprintf(fixture->added.state, sizeof(fixture->added.state), "%s", text);
    return log_add_control(fixture->log, LOG_STATE, bytes_text(text));
}

static void add_many(struct fixture *fixture, uint32_t turn_count)
{
    for (uint32_t turn = 0; turn < turn_count; turn++) {
        add_turn(fixture, 1 + dice_below(&fixture->dice, 8), 300);
        if (turn % 64 == 0) {
            wait_durable(fixture, log_last(fixture->log) - dice_below(&fixture->dice, 2));
        }
    }
}

static void stop(struct fixture *fixture)
{
    fixture->is_stopped = false;
    log_stop(fixture->log, on_stopped, fixture);
    while (!fixture->is_stopped) {
        loop_run(fixture->loop);
    }
    assert_int_equal(log_durable(fixture->log), log_last(fixture->log));
}

/* --- comparing --- */

static bool is_same(const struct entry *a, const struct entry *b)
{
    return a->stamp == b->stamp && a->number == b->number && a->len == b->len && a->kind == b->kind;
}

/* What was told is what was added, up to some operation. */
static void assert_prefix(const struct history *told, const struct history *added)
{
    uint64_t used = 0;
    assert_true(told->count <= added->count);
    for (uint32_t i = 0; i < told->count; i++) {
        if (!is_same(&told->entries[i], &added->entries[i])) {
            fail_msg("operation %u differs", i);
        }
        used += told->entries[i].len;
    }
    assert_int_equal(told->account.used, used);
    assert_int_equal(told->account.records, told->count);
}

static void assert_all_told(struct fixture *fixture)
{
    assert_int_equal(fixture->told.count, fixture->added.count);
    assert_prefix(&fixture->told, &fixture->added);
    assert_string_equal(fixture->told.state, fixture->added.state);
}

/* After a recovery the model knows what is left. */
static void forget_lost(struct fixture *fixture)
{
    fixture->added.count = fixture->told.count;
    fixture->added.account = fixture->told.account;
}

/* --- files --- */

static void path_of(const struct fixture *fixture, uint64_t number, char path[256])
{
    char name[SEGMENT_NAME_LEN];
    segment_name(number, name);
    (void)snprintf(path, 256, "%s/%s", fixture->scratch.path, name);
}

static uint64_t newest_number(const struct fixture *fixture)
{
    uint64_t *numbers = NULL;
    uint32_t count = 0;
    assert_int_equal(segment_list(fixture->dir, &numbers, &count), 0);
    uint64_t newest = count > 0 ? numbers[count - 1] : 0;
    free(numbers);
    return newest;
}

static uint8_t *read_bytes(const char *path, size_t *len)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    *len = (size_t)status.st_size;
    uint8_t *bytes = malloc(*len + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, *len), *len);
    close(fd);
    return bytes;
}

static void write_bytes(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

struct found {
    uint64_t offsets[256];
    struct log_record_header headers[256];
    uint32_t count;
};

static bool note_record(void *context, const struct log_record_header *header, struct bytes payload,
                        uint64_t offset)
{
    struct found *found = context;
    (void)payload;
    assert_true(found->count < 256);
    found->headers[found->count] = *header;
    found->offsets[found->count++] = offset;
    return true;
}

/* The records of one segment, which need not be the last. */
static struct found records_of(const struct fixture *fixture, uint64_t number)
{
    struct found found = {.count = 0};
    struct log_scan scan = {0};
    char text[LOG_SCAN_TEXT_LEN];
    char path[256];
    size_t len;
    path_of(fixture, number, path);
    uint8_t *bytes = read_bytes(path, &len);
    (void)log_scan_segment(&scan, bytes_of(bytes, len), NULL, 0, note_record, &found, text);
    free(bytes);
    return found;
}

static void damage(const struct fixture *fixture, uint64_t number, uint64_t offset)
{
    char path[256];
    size_t len;
    path_of(fixture, number, path);
    uint8_t *bytes = read_bytes(path, &len);
    bytes[offset] ^= 0x10;
    write_bytes(path, bytes, len);
    free(bytes);
}

static void copy_file(const char *from, const char *to, const char *name)
{
    char source[512];
    char target[512];
    size_t len;
    (void)snprintf(source, sizeof(source), "%s/%s", from, name);
    (void)snprintf(target, sizeof(target), "%s/%s", to, name);
    uint8_t *bytes = read_bytes(source, &len);
    write_bytes(target, bytes, len);
    free(bytes);
}

/* The worker may name and note one segment meanwhile: the note comes first, or it may tell of one not copied. */
static void copy_dir(const char *from, const char *to)
{
    DIR *dir = opendir(from);
    const struct dirent *entry;
    assert_non_null(dir);
    copy_file(from, to, LOG_NEWEST_NAME);
    while ((entry = readdir(dir))) {
        if (strncmp(entry->d_name, "log-", 4) == 0) {
            copy_file(from, to, entry->d_name);
        }
    }
    closedir(dir);
}

/* --- writing and replaying --- */

static void what_was_added_is_replayed_over_many_segments(void **state)
{
    struct fixture *fixture = *state;
    struct log_stat stat;
    add_many(fixture, 4000);
    wait_durable(fixture, log_last(fixture->log));
    log_stat(fixture->log, &stat);
    assert_true(stat.segment_count > 20);
    assert_int_equal(stat.queue_len, 0);
    assert_true(stat.len >= stat.segment_count * SEGMENT_LEN);
    assert_true(stat.used < stat.len && stat.used > stat.len / 2);
    assert_true(stat.appender.sync_count > 0);
    uint64_t last = log_last(fixture->log);
    reopen(fixture);
    assert_all_told(fixture);
    assert_false(log_was_stopped(fixture->log));
    assert_int_equal(log_recovered_last(fixture->log), last);
    assert_int_equal(log_found_count(fixture->log), fixture->added.count);
    assert_true(fixture->told.checkpoint_count >= stat.segment_count - 1);
}

static void a_turn_of_many_operations_is_spread_over_segments(void **state)
{
    struct fixture *fixture = *state;
    add_turn(fixture, 3000, 400);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
}

static void a_long_operation_gets_a_segment_that_is_long_enough(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 3; i++) {
        add_turn(fixture, 5, 100);
        begin_turn(fixture);
        add(fixture, 8u << 20);
        log_turn_end(fixture->log);
    }
    add_turn(fixture, 5, 100);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
}

static void a_result_stands_in_the_record_of_its_operation(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 200; i++) {
        begin_turn(fixture);
        for (uint32_t j = 0; j < 10; j++) {
            add_kind(fixture, LOG_DELETE, dice_below(&fixture->dice, 1000));
            add_kind(fixture, LOG_RESULT, dice_below(&fixture->dice, 12000));
        }
        log_turn_end(fixture->log);
    }
    wait_durable(fixture, log_last(fixture->log));
    uint64_t newest = newest_number(fixture);
    assert_true(newest > 10);
    for (uint64_t number = 1; number <= newest; number++) {
        struct found found = records_of(fixture, number);
        for (uint32_t i = 0; i < found.count; i++) {
            assert_int_equal(found.headers[i].count % 2, 0);
        }
    }
    reopen(fixture);
    assert_all_told(fixture);
}

static void operations_that_were_applied_are_not_told(void **state)
{
    struct fixture *fixture = *state;
    add_many(fixture, 500);
    wait_durable(fixture, log_last(fixture->log));
    uint32_t middle = fixture->added.count / 2;
    fixture->applied = fixture->added.entries[middle].stamp;
    reopen(fixture);
    assert_int_equal(fixture->told.count, fixture->added.count - middle - 1);
    assert_true(is_same(&fixture->told.entries[0], &fixture->added.entries[middle + 1]));
    assert_true(log_found_count(fixture->log) <= fixture->told.count);
    assert_true(log_found_count(fixture->log) > fixture->told.count / 2);
    assert_int_equal(fixture->told.account.records, fixture->added.count);
}

static void control_records_keep_their_place_and_their_accounts(void **state)
{
    struct fixture *fixture = *state;
    begin_turn(fixture);
    add(fixture, 10);
    uint64_t stamp = add_state(fixture, "state 1");
    assert_true(stamp > fixture->added.entries[0].stamp);
    add(fixture, 10);
    (void)log_add_control(fixture->log, LOG_CLEAR, bytes_of("0123456789abcdef", 16));
    log_turn_end(fixture->log);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
    assert_int_equal(fixture->told.clear_count, 1);
}

/* --- crashes --- */

/* Another process would find what a copy has; the directory as it is stays open and is written. */
static void recover_copy(struct fixture *fixture, uint64_t durable)
{
    struct scratch copy = scratch_make();
    char error[256] = "";
    copy_dir(fixture->scratch.path, copy.path);
    struct dir *dir = dir_open(copy.path, error, sizeof(error));
    assert_non_null(dir);
    struct log *log = open_at(fixture, dir, durable, error);
    if (!log) {
        fail_msg("%s", error);
    }
    assert_true(log_recovered_last(log) >= durable);
    replay(log, &fixture->told);
    assert_prefix(&fixture->told, &fixture->added);
    log_close(log);
    dir_close(dir);
    scratch_remove(&copy);
}

static void a_copy_taken_at_any_moment_recovers_all_that_was_durable(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 40; i++) {
        add_many(fixture, 1 + dice_below(&fixture->dice, 60));
        recover_copy(fixture, log_durable(fixture->log));
    }
}

static void crashes_one_after_another_lose_nothing_that_was_durable(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 12; i++) {
        add_many(fixture, 1 + dice_below(&fixture->dice, 150));
        uint64_t durable = log_durable(fixture->log);
        uint64_t given = log_last(fixture->log);
        reopen(fixture);
        assert_true(log_recovered_last(fixture->log) >= durable);
        assert_prefix(&fixture->told, &fixture->added);
        forget_lost(fixture);
        start(fixture);
        begin_turn(fixture);
        add(fixture, 20);
        log_turn_end(fixture->log);
        assert_true(log_last(fixture->log) > given); /* RULES N2 */
    }
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
}

static void recovering_twice_gives_the_same_and_higher_stamps(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first_after[2];
    add_many(fixture, 300);
    begin_turn(fixture);
    (void)add_state(fixture, "state 1");
    log_turn_end(fixture->log);
    wait_durable(fixture, log_last(fixture->log));
    uint64_t last = log_last(fixture->log);
    for (int i = 0; i < 2; i++) {
        reopen(fixture);
        assert_all_told(fixture);
        assert_int_equal(log_recovered_last(fixture->log), last);
        start(fixture);
        assert_int_equal(log_last(fixture->log), last);
        assert_int_equal(log_durable(fixture->log), last);
        first_after[i] = records_of(fixture, newest_number(fixture)).headers[0].first;
    }
    assert_true(first_after[0] > last + (UINT64_C(1) << 32));
    assert_true(first_after[1] >= first_after[0] + (UINT64_C(1) << 32));
    begin_turn(fixture);
    add(fixture, 1);
    log_turn_end(fixture->log);
    assert_true(log_last(fixture->log) >= first_after[1]);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
}

/* What the new control state says must not be undone by an older record behind the checkpoint. */
static void an_unproven_control_record_does_not_undo_the_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    begin_turn(fixture);
    uint64_t stamp = add_state(fixture, "state 1");
    log_turn_end(fixture->log);
    wait_durable(fixture, stamp);
    reopen(fixture);
    (void)snprintf(fixture->added.state, sizeof(fixture->added.state), "state 2");
    start(fixture);
    char error[256] = "";
    log_close(fixture->log);
    fixture->log = open_at(fixture, fixture->dir, stamp, error);
    assert_non_null(fixture->log);
    replay(fixture->log, &fixture->told);
    assert_all_told(fixture);
}

/* RULES L4: what the page cache alone may have held is in the new segment before that has its name. */
static void what_was_not_proven_durable_is_copied_before_the_new_segment_is_named(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 4; i++) {
        add_durably(fixture, 100);
    }
    uint64_t number = newest_number(fixture);
    struct found found = records_of(fixture, number);
    reopen(fixture);
    start(fixture);
    assert_int_equal(newest_number(fixture), number + 1);
    damage(fixture, number, found.offsets[found.count - 1] + LOG_RECORD_HEADER_LEN);
    reopen(fixture);
    assert_all_told(fixture);
    struct found copies = records_of(fixture, number + 1);
    damage(fixture, number + 1, copies.offsets[1] + LOG_RECORD_HEADER_LEN);
    assert_refused(fixture, 0, "offset");
}

/* One bad sector may hold the last of the copies and the marker behind them. */
static void copies_that_are_lost_with_their_marker_are_refused(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 100);
    add_durably(fixture, 100);
    reopen(fixture);
    start(fixture);
    uint64_t number = newest_number(fixture);
    struct found copies = records_of(fixture, number);
    assert_int_equal(copies.headers[copies.count - 1].type, LOG_MARKER);
    assert_int_equal(copies.headers[copies.count - 2].type, LOG_OPERATIONS);
    damage(fixture, number, copies.offsets[copies.count - 1]);
    damage(fixture, number, copies.offsets[copies.count - 2]);
    assert_refused(fixture, 0, "offset");
}

static void the_newest_segment_without_its_checkpoint_is_refused(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, SEGMENT_LEN - 5000);
    add_durably(fixture, 5000);
    wait_durable(fixture, log_last(fixture->log));
    assert_int_equal(newest_number(fixture), 2);
    damage(fixture, 2, LOG_SEGMENT_HEADER_LEN + LOG_RECORD_HEADER_LEN);
    assert_refused(fixture, 0, "offset 4096: no whole checkpoint");
}

/* --- damage --- */

static void damage_before_what_vouches_for_it_is_refused_with_file_and_offset(void **state)
{
    struct fixture *fixture = *state;
    char part[64];
    for (uint32_t i = 0; i < 6; i++) {
        add_durably(fixture, 100);
    }
    struct found found = records_of(fixture, 1);
    assert_true(found.count >= 7);
    damage(fixture, 1, found.offsets[2] + LOG_RECORD_HEADER_LEN + 30);
    (void)snprintf(part, sizeof(part), "log-0000000000000001: offset %" PRIu64, found.offsets[2]);
    assert_refused(fixture, 0, part);
}

static void a_torn_tail_is_cut(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 6; i++) {
        add_durably(fixture, 100);
    }
    struct found found = records_of(fixture, 1);
    damage(fixture, 1, found.offsets[found.count - 1] + 9);
    uint64_t durable = log_durable(fixture->log);
    reopen(fixture);
    assert_prefix(&fixture->told, &fixture->added);
    assert_int_equal(fixture->told.count, fixture->added.count - 1);
    assert_refused(fixture, durable, "durable"); /* the tree's word for it */
}

static bool has_marker(const struct fixture *fixture)
{
    struct found found = records_of(fixture, newest_number(fixture));
    return found.headers[found.count - 1].type == LOG_MARKER;
}

static void a_marker_follows_quiet_and_vouches_for_what_was_last(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 100);
    wait_until(fixture, has_marker);
    struct found found = records_of(fixture, 1);
    assert_int_equal(found.headers[found.count - 1].durable, log_last(fixture->log));
    damage(fixture, 1, found.offsets[found.count - 2] + LOG_RECORD_HEADER_LEN);
    assert_refused(fixture, 0, "offset");
}

/* There is a marker, and time for one more. */
static void let_quiet_pass(struct fixture *fixture)
{
    uint64_t until_ms = clock_mono_ms() + 250;
    while (clock_mono_ms() < until_ms) {
        wait_until(fixture, has_marker);
    }
}

static void quiet_adds_one_marker_and_the_log_goes_on_behind_it(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 100);
    wait_until(fixture, has_marker);
    uint32_t count = records_of(fixture, 1).count;
    let_quiet_pass(fixture);
    assert_int_equal(records_of(fixture, 1).count, count);
    add_many(fixture, 1000);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
}

/* The marker is in the chain: the next segment must not have its name before it is durable. */
static void a_marker_of_quiet_may_be_the_last_of_its_segment(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 100);
    wait_until(fixture, has_marker);
    add_durably(fixture, 2 * SEGMENT_LEN);
    struct found found = records_of(fixture, 1);
    assert_int_equal(found.headers[found.count - 1].type, LOG_MARKER);
    assert_int_equal(newest_number(fixture), 2);
    reopen(fixture);
    assert_all_told(fixture);
}

static void a_missing_segment_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    add_many(fixture, 500);
    wait_durable(fixture, log_last(fixture->log));
    assert_true(newest_number(fixture) > 3);
    path_of(fixture, 2, path);
    assert_int_equal(unlink(path), 0);
    assert_refused(fixture, 0, "log-0000000000000002: this segment is missing");
    path_of(fixture, 1, path);
    assert_int_equal(unlink(path), 0);
    assert_refused(fixture, 0, "older segments are missing");
}

static uint64_t newest_path(const struct fixture *fixture, char path[256])
{
    uint64_t number = newest_number(fixture);
    path_of(fixture, number, path);
    return number;
}

static void remove_newest(const struct fixture *fixture)
{
    char path[256];
    (void)newest_path(fixture, path);
    assert_int_equal(unlink(path), 0);
}

static void note_path(const struct fixture *fixture, char path[256])
{
    (void)snprintf(path, 256, "%s/" LOG_NEWEST_NAME, fixture->scratch.path);
}

/* RULES L2: what was acknowledged there was in no other file. */
static void a_log_without_its_newest_segment_is_refused(void **state)
{
    struct fixture *fixture = *state;
    add_many(fixture, 500);
    wait_durable(fixture, log_last(fixture->log));
    log_close(fixture->log);
    fixture->log = NULL;
    uint64_t newest = newest_number(fixture);
    char part[96];
    (void)snprintf(part, sizeof(part),
                   "log-%016" PRIx64 ": missing: the newest segment was number %" PRIu64, newest,
                   newest);
    while (newest_number(fixture) > 0) {
        remove_newest(fixture);
        assert_refused(fixture, 0, part);
    }
}

static void a_log_that_does_not_know_its_newest_segment_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t zeros[LOG_NEWEST_LEN];
    char path[256];
    add_durably(fixture, 100);
    note_path(fixture, path);
    write_bytes(path, zeros, sizeof(zeros));
    assert_refused(fixture, 0, "log.newest: damaged");
    assert_int_equal(unlink(path), 0);
    assert_refused(fixture, 0, "log.newest: missing");
    remove_newest(fixture);
    reopen(fixture);
    assert_true(log_is_new(fixture->log));
}

static void set_note(const struct fixture *fixture, uint64_t number)
{
    uint8_t bytes[LOG_NEWEST_LEN] = {0};
    char path[256];
    log_newest_encode(number, bytes + number % 2 * LOG_NEWEST_SLOT_LEN);
    note_path(fixture, path);
    write_bytes(path, bytes, sizeof(bytes));
}

static void a_segment_that_was_named_and_not_noted_is_taken(void **state)
{
    struct fixture *fixture = *state;
    uint64_t noted = 0;
    add_many(fixture, 300);
    wait_durable(fixture, log_last(fixture->log));
    log_close(fixture->log);
    fixture->log = NULL;
    uint64_t newest = newest_number(fixture);
    set_note(fixture, newest - 2);
    assert_refused(fixture, 0, "log.newest: damaged");
    set_note(fixture, newest - 1);
    reopen(fixture);
    assert_all_told(fixture);
    start(fixture);
    assert_int_equal(segment_read_newest(fixture->dir, &noted), 0);
    assert_int_equal(noted, newest + 1);
}

/* What the other slot tells is enough while the newest segment is there. */
static void every_flipped_byte_of_the_note_is_survived_or_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    char segment_path[256];
    char away[512];
    char error[256] = "";
    size_t len;
    add_many(fixture, 200);
    wait_durable(fixture, log_last(fixture->log));
    log_close(fixture->log);
    fixture->log = NULL;
    note_path(fixture, path);
    uint8_t *bytes = read_bytes(path, &len);
    uint64_t newest = newest_path(fixture, segment_path);
    (void)snprintf(away, sizeof(away), "%s/away", fixture->scratch.path);
    assert_int_equal(len, LOG_NEWEST_LEN);
    assert_true(newest > 1);
    for (size_t at = 0; at < len; at++) {
        bool is_of_newest = at / LOG_NEWEST_SLOT_LEN == newest % 2;
        bytes[at] ^= 0x20;
        write_bytes(path, bytes, len);
        struct log *log = open_at(fixture, fixture->dir, 0, error);
        assert_non_null(log);
        log_close(log);
        if (!is_of_newest) {
            assert_int_equal(rename(segment_path, away), 0);
            assert_refused(fixture, 0, "the newest segment was");
            assert_int_equal(rename(away, segment_path), 0);
        }
        bytes[at] ^= 0x20;
    }
    free(bytes);
}

static void a_lost_log_beside_a_tree_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->applied = 100;
    assert_refused(fixture, 101, "the log is missing");
    char error[256] = "";
    fixture->log = open_at(fixture, fixture->dir, 100, error);
    assert_non_null(fixture->log);
    assert_true(log_is_new(fixture->log));
    start(fixture);
    log_close(fixture->log);
    fixture->log = open_at(fixture, fixture->dir, 100, error);
    assert_non_null(fixture->log);
    assert_false(log_is_new(fixture->log));
    assert_int_equal(log_recovered_last(fixture->log), 100);
}

static void the_log_of_another_server_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct log_identity other = {{1}, {9}, 3};
    struct log_owner owner = {fixture, on_progress, put_accounts, put_checkpoint};
    char error[256] = "";
    add_durably(fixture, 1);
    reopen(fixture);
    assert_false(log_start(fixture->log, &other, &owner, error, sizeof(error)));
    assert_non_null(strstr(error, "another server"));
}

/* --- stopping --- */

static void a_clean_stop_is_known_and_raises_no_stamp(void **state)
{
    struct fixture *fixture = *state;
    add_many(fixture, 200);
    stop(fixture);
    uint64_t last = log_last(fixture->log);
    reopen(fixture);
    assert_all_told(fixture);
    assert_true(log_was_stopped(fixture->log));
    start(fixture);
    begin_turn(fixture);
    add(fixture, 1);
    log_turn_end(fixture->log);
    assert_true(log_last(fixture->log) < last + (UINT64_C(1) << 32));
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_false(log_was_stopped(fixture->log));
}

/* The quiet after the last operation comes when the stop's marker is there: it adds none behind it. */
static void a_stop_right_behind_an_operation_stays_the_end(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 100);
    stop(fixture);
    let_quiet_pass(fixture);
    reopen(fixture);
    assert_all_told(fixture);
    assert_true(log_was_stopped(fixture->log));
}

/* Of a record of one operation: its header, an account, the operation's fields, its key. */
#define BESIDE_VALUE_LEN (LOG_RECORD_HEADER_LEN + LOG_ACCOUNT_LEN + 20 + 3)

/* Bytes of records that the newest segment still takes, beside the marker of a stop. */
static uint64_t room_left(const struct fixture *fixture)
{
    return SEGMENT_LEN - LOG_SEGMENT_HEADER_LEN - log_used(fixture->log) - LOG_RECORD_HEADER_LEN;
}

/* The marker by which the stamps catch up with the clock begins one, and nothing goes to the appender. */
static void a_stop_whose_marker_begins_a_segment_ends(void **state)
{
    struct fixture *fixture = *state;
    fixture->now_ms += HOUR_MS;
    begin_turn(fixture);
    add(fixture, (uint32_t)(room_left(fixture) - BESIDE_VALUE_LEN));
    log_turn_end(fixture->log);
    assert_true(room_left(fixture) < LOG_RECORD_HEADER_LEN);
    stop(fixture);
    assert_int_equal(newest_number(fixture), 2);
    reopen(fixture);
    assert_all_told(fixture);
    assert_true(log_was_stopped(fixture->log));
}

static void every_flipped_byte_of_a_stopped_log_is_found(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 3; i++) {
        add_durably(fixture, 40 + i);
    }
    stop(fixture);
    struct found found = records_of(fixture, 1);
    uint64_t end = found.offsets[found.count - 1];
    for (uint64_t offset = 0; offset < end; offset++) {
        damage(fixture, 1, offset);
        assert_refused(fixture, 0, "offset");
        damage(fixture, 1, offset);
    }
    reopen(fixture);
    assert_all_told(fixture);
}

/* --- stamps --- */

static bool is_raised(const struct fixture *fixture)
{
    struct found found = records_of(fixture, newest_number(fixture));
    const struct log_record_header *last = &found.headers[found.count - 1];
    return last->type == LOG_MARKER && last->first >= stamp_of_ms(fixture->now_ms);
}

/* RULES N2 */
static void a_stamp_stays_near_the_durable_one_when_the_clock_jumps(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 1);
    uint64_t durable = log_durable(fixture->log);
    fixture->now_ms += HOUR_MS;
    begin_turn(fixture);
    add(fixture, 1);
    assert_true(log_last(fixture->log) > durable + (UINT64_C(1) << 31));
    assert_true(log_last(fixture->log) < durable + (UINT64_C(1) << 32));
    log_turn_end(fixture->log);
    wait_durable(fixture, log_last(fixture->log));
    assert_true(log_durable(fixture->log) <= log_last(fixture->log));
    wait_until(fixture, is_raised);
    add_durably(fixture, 1); /* perhaps before the marker was durable; then */
    add_durably(fixture, 1);
    assert_true(log_last(fixture->log) >= stamp_of_ms(fixture->now_ms));
    reopen(fixture);
    assert_all_told(fixture);
}

static void a_crash_behind_a_raised_marker_gives_no_stamp_twice(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 1);
    fixture->now_ms += HOUR_MS;
    add_durably(fixture, 1);
    wait_until(fixture, is_raised);
    reopen(fixture);
    start(fixture);
    begin_turn(fixture);
    add(fixture, 1);
    log_turn_end(fixture->log);
    assert_true(log_last(fixture->log) > stamp_of_ms(fixture->now_ms) + (UINT64_C(1) << 32) - 1);
    wait_durable(fixture, log_last(fixture->log));
}

static void stamps_go_on_when_the_clock_steps_back(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 1);
    uint64_t last = log_last(fixture->log);
    fixture->now_ms -= HOUR_MS;
    begin_turn(fixture);
    add(fixture, 1);
    assert_int_equal(log_last(fixture->log), last + 1);
    log_turn_end(fixture->log);
}

/* RULES N2: what a move brings is older than what is logged here behind it. */
static void a_lift_counts_from_the_next_operation_on(void **state)
{
    struct fixture *fixture = *state;
    begin_turn(fixture);
    add(fixture, 1);
    uint64_t stamp = log_last(fixture->log) + (UINT64_C(1) << 30);
    assert_true(log_lift(fixture->log, stamp));
    assert_true(log_last(fixture->log) < stamp);
    add(fixture, 1);
    assert_int_equal(log_last(fixture->log), stamp + 1);
    assert_true(log_lift(fixture->log, stamp));
    add(fixture, 1);
    assert_int_equal(log_last(fixture->log), stamp + 2);
    log_turn_end(fixture->log);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
}

static uint64_t wanted_stamp;

static bool is_lifted(const struct fixture *fixture)
{
    bool is = log_lift(fixture->log, wanted_stamp);
    log_turn_end(fixture->log);
    return is;
}

static void a_lift_beyond_what_a_stamp_may_be_is_durable_first(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 1);
    wanted_stamp = log_durable(fixture->log) + 3 * (UINT64_C(1) << 32);
    begin_turn(fixture);
    assert_false(is_lifted(fixture));
    wait_until(fixture, is_lifted);
    begin_turn(fixture);
    add(fixture, 1);
    assert_int_equal(log_last(fixture->log), wanted_stamp + 1);
    log_turn_end(fixture->log);
    reopen(fixture);
    start(fixture);
    begin_turn(fixture);
    add(fixture, 1);
    assert_true(log_last(fixture->log) > wanted_stamp + 1);
    log_turn_end(fixture->log);
    wait_durable(fixture, log_last(fixture->log));
}

/* Which waits for the next sync, and nothing else may come. */
static void a_lift_does_not_wait_behind_a_marker_of_quiet(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 1);
    let_quiet_pass(fixture);
    wanted_stamp = log_durable(fixture->log) + 3 * (UINT64_C(1) << 32);
    begin_turn(fixture);
    assert_false(is_lifted(fixture));
    wait_until(fixture, is_lifted);
}

/* There is no moment for a marker, and each group lets the next go further. */
static void a_lift_comes_while_something_is_always_on_its_way(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 1);
    uint64_t durable = log_durable(fixture->log);
    wanted_stamp = durable + 3 * (UINT64_C(1) << 32);
    for (int i = 0; i < 8; i++) {
        begin_turn(fixture);
        add(fixture, 1);
        bool is = log_lift(fixture->log, wanted_stamp);
        add(fixture, 1);
        assert_true(log_last(fixture->log) < log_durable(fixture->log) + (UINT64_C(1) << 32));
        log_turn_end(fixture->log);
        wait_durable(fixture, log_last(fixture->log) - 1);
        if (is) {
            assert_true(log_last(fixture->log) > wanted_stamp);
            return;
        }
    }
    fail();
}

/* --- few writers --- */

static void what_the_loop_syncs_itself_is_counted_among_the_syncs(void **state)
{
    struct fixture *fixture = *state;
    struct log_stat before;
    struct log_stat after;
    uint32_t own_count = 0;
    add_durably(fixture, 100);
    log_stat(fixture->log, &before);
    for (uint32_t i = 0; i < 8; i++) {
        begin_turn(fixture);
        add(fixture, 100);
        log_turn_end_alone(fixture->log);
        own_count += log_durable(fixture->log) == log_last(fixture->log);
        wait_durable(fixture, log_last(fixture->log));
    }
    log_stat(fixture->log, &after);
    assert_true(own_count > 0);
    assert_true(after.appender.sync_count >= before.appender.sync_count + 8);
    assert_in_range(after.appender.group_len_p50, 100, 400);
    reopen(fixture);
    assert_all_told(fixture);
}

/* --- level os --- */

static void at_level_os_a_turn_is_released_when_it_is_written(void **state)
{
    struct fixture *fixture = *state;
    begin_turn(fixture);
    add(fixture, 100);
    uint64_t released = log_released(fixture->log);
    assert_true(released < log_last(fixture->log));
    log_turn_end(fixture->log);
    assert_int_equal(log_released(fixture->log), log_last(fixture->log));
    assert_true(log_durable(fixture->log) < log_last(fixture->log));
    wait_durable(fixture, log_last(fixture->log)); /* within the second */
    reopen(fixture);
    assert_all_told(fixture);
}

/* RULES L6 */
static void at_level_os_a_control_record_is_durable_at_once(void **state)
{
    struct fixture *fixture = *state;
    begin_turn(fixture);
    add(fixture, 100);
    uint64_t stamp = add_state(fixture, "state 1");
    log_turn_end(fixture->log);
    uint64_t start_ms = clock_mono_ms();
    wait_durable(fixture, stamp);
    assert_true(clock_mono_ms() - start_ms < 900);
    reopen(fixture);
    assert_all_told(fixture);
}

static void at_level_os_many_segments_are_replayed(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t turn = 0; turn < 3000; turn++) {
        add_turn(fixture, 1 + dice_below(&fixture->dice, 8), 300);
        if (turn % 500 == 0) {
            recover_copy(fixture, log_durable(fixture->log));
        }
    }
    stop(fixture);
    assert_true(newest_number(fixture) > 10);
    reopen(fixture);
    assert_true(log_was_stopped(fixture->log));
    assert_all_told(fixture);
}

/* --- room --- */

static bool has_one_segment(const struct fixture *fixture)
{
    uint64_t *numbers = NULL;
    uint32_t count = 0;
    assert_int_equal(segment_list(fixture->dir, &numbers, &count), 0);
    free(numbers);
    return count == 1;
}

/* The checkpoint says what the marker said that went with its segment. */
static void a_raised_stamp_outlives_the_segment_of_its_marker(void **state)
{
    struct fixture *fixture = *state;
    add_durably(fixture, 1);
    fixture->now_ms += HOUR_MS;
    add_durably(fixture, 1);
    wait_until(fixture, is_raised);
    uint64_t raised = stamp_of_ms(fixture->now_ms);
    fixture->now_ms -= HOUR_MS;
    add_durably(fixture, 2 * SEGMENT_LEN);
    assert_true(log_last(fixture->log) < raised);
    fixture->applied = log_durable(fixture->log);
    log_free(fixture->log, fixture->applied);
    wait_until(fixture, has_one_segment);
    reopen(fixture);
    start(fixture);
    begin_turn(fixture);
    add(fixture, 1);
    log_turn_end(fixture->log);
    assert_true(log_last(fixture->log) >= raised + (UINT64_C(1) << 32));
}

static void what_is_applied_is_freed_and_used_again(void **state)
{
    struct fixture *fixture = *state;
    struct log_stat stat;
    for (uint32_t round = 0; round < 20; round++) {
        add_many(fixture, 200);
        wait_durable(fixture, log_last(fixture->log));
        fixture->applied = log_durable(fixture->log);
        log_free(fixture->log, fixture->applied);
        log_stat(fixture->log, &stat);
        assert_int_equal(stat.segment_count, 1);
    }
    wait_until(fixture, has_one_segment);
    add_many(fixture, 300);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_prefix(&(struct history){fixture->told.entries, 0, {0}, "", 0, 0}, &fixture->added);
    assert_int_equal(fixture->told.account.records, fixture->added.count);
    assert_int_equal(fixture->told.entries[fixture->told.count - 1].stamp,
                     fixture->added.entries[fixture->added.count - 1].stamp);
}

static void a_segment_stays_while_any_of_it_is_not_applied(void **state)
{
    struct fixture *fixture = *state;
    add_many(fixture, 300);
    wait_durable(fixture, log_last(fixture->log));
    struct log_stat before;
    struct log_stat after;
    log_stat(fixture->log, &before);
    struct found found = records_of(fixture, 1);
    uint64_t last = log_record_last(&found.headers[found.count - 1]);
    log_free(fixture->log, last - 1);
    log_stat(fixture->log, &after);
    assert_int_equal(after.segment_count, before.segment_count);
    log_free(fixture->log, last);
    log_stat(fixture->log, &after);
    assert_int_equal(after.segment_count, before.segment_count - 1);
}

static bool is_full(const struct fixture *fixture)
{
    return log_is_disk_full(fixture->log);
}

static bool has_room_again(const struct fixture *fixture)
{
    return !log_is_disk_full(fixture->log);
}

static void limit_file_len(rlim_t len)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = len;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void put_prepared(const struct fixture *fixture, uint32_t index)
{
    char path[256];
    uint8_t *zeros = calloc(1, SEGMENT_LEN);
    (void)snprintf(path, sizeof(path), "%s/prepared-%016x", fixture->scratch.path, index);
    write_bytes(path, zeros, SEGMENT_LEN);
    free(zeros);
}

/* Files may be half as long as a segment, and one is prepared. */
static void start_on_a_full_disk(struct fixture *fixture)
{
    put_prepared(fixture, 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    reopen(fixture);
    limit_file_len(SEGMENT_LEN / 2);
    start(fixture);
}

static void open_on_a_full_disk(struct fixture *fixture)
{
    start_on_a_full_disk(fixture);
    wait_until(fixture, is_full);
}

static void a_full_disk_is_told_and_no_fault(void **state)
{
    struct fixture *fixture = *state;
    open_on_a_full_disk(fixture);
    uint64_t room = log_room(fixture->log);
    assert_true(room > SEGMENT_LEN / 2 && room < SEGMENT_LEN);
    add_durably(fixture, 1000);
    assert_true(log_room(fixture->log) < room - 1000);
    limit_file_len(RLIM_INFINITY);
    wait_until(fixture, has_room_again);
    assert_true(log_room(fixture->log) > room);
    add_many(fixture, 500);
    wait_durable(fixture, log_last(fixture->log));
    reopen(fixture);
    assert_all_told(fixture);
}

static void what_needs_a_segment_waits_until_the_disk_has_room(void **state)
{
    struct fixture *fixture = *state;
    struct log_stat stat;
    open_on_a_full_disk(fixture);
    begin_turn(fixture);
    add(fixture, 2 * SEGMENT_LEN);
    log_turn_end(fixture->log);
    add_turn(fixture, 5, 100);
    log_stat(fixture->log, &stat);
    assert_true(stat.queue_len > 2 * SEGMENT_LEN);
    assert_true(stat.segment_count >= 2);
    assert_int_equal(newest_number(fixture), 1);
    limit_file_len(RLIM_INFINITY);
    wait_durable(fixture, log_last(fixture->log));
    log_stat(fixture->log, &stat);
    assert_int_equal(stat.queue_len, 0);
    reopen(fixture);
    assert_all_told(fixture);
}

static void stop_with_a_segment_that_waits(struct fixture *fixture)
{
    uint32_t count = fixture->added.count;
    begin_turn(fixture);
    add(fixture, 2 * SEGMENT_LEN);
    log_turn_end(fixture->log);
    log_stop(fixture->log, on_stopped, fixture);
    while (!fixture->is_stopped) {
        loop_run(fixture->loop);
    }
    assert_true(log_durable(fixture->log) < log_last(fixture->log));
    assert_int_equal(newest_number(fixture), 1);
    limit_file_len(RLIM_INFINITY);
    fixture->added.count = count;
    fixture->added.account.used -= 2 * SEGMENT_LEN;
    fixture->added.account.records--;
    reopen(fixture);
    assert_all_told(fixture);
    assert_false(log_was_stopped(fixture->log));
}

static void a_stop_does_not_wait_for_a_full_disk(void **state)
{
    struct fixture *fixture = *state;
    open_on_a_full_disk(fixture);
    add_durably(fixture, 1000);
    stop_with_a_segment_that_waits(fixture);
}

static void a_stop_does_not_wait_for_a_disk_that_is_found_full_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    start_on_a_full_disk(fixture);
    stop_with_a_segment_that_waits(fixture);
}

/* Stock has been taken: the prepared file that comes second is lost, and the first has no room for a header. */
static void put_checkpoint_and_spoil(void *context, struct buffer *out, uint32_t *account_count)
{
    const struct fixture *fixture = context;
    assert_int_equal(dir_unlink(fixture->dir, "prepared-0000000000000000"), 0);
    limit_file_len(64);
    put_checkpoint(context, out, account_count);
}

/* RULES L5: only the first try had no room, so there is no third. */
static void a_start_that_fails_behind_a_full_disk_is_not_tried_again(void **state)
{
    static const struct log_identity identity = {{1}, {2}, 3};
    struct fixture *fixture = *state;
    struct log_owner owner = {fixture, on_progress, put_accounts, put_checkpoint_and_spoil};
    char error[256] = "";
    put_prepared(fixture, 0);
    put_prepared(fixture, 1);
    (void)signal(SIGXFSZ, SIG_IGN);
    reopen(fixture);
    bool is_started = log_start(fixture->log, &identity, &owner, error, sizeof(error));
    limit_file_len(RLIM_INFINITY);
    assert_false(is_started);
    assert_non_null(strstr(error, strerror(ENOENT)));
}

/* --- --- */

static int make_values(void **state)
{
    struct dice dice = dice_of(7);
    (void)state;
    value_bytes = malloc(VALUE_MAX);
    for (size_t i = 0; i + 8 <= VALUE_MAX; i += 8) {
        uint64_t rolled = dice_roll(&dice);
        memcpy(value_bytes + i, &rolled, sizeof(rolled));
    }
    return 0;
}

static int free_values(void **state)
{
    (void)state;
    free(value_bytes);
    return 0;
}

#define CASE(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define OS_CASE(name) cmocka_unit_test_setup_teardown(name, setup_os, teardown)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        CASE(what_was_added_is_replayed_over_many_segments),
        CASE(a_turn_of_many_operations_is_spread_over_segments),
        CASE(a_long_operation_gets_a_segment_that_is_long_enough),
        CASE(a_result_stands_in_the_record_of_its_operation),
        CASE(operations_that_were_applied_are_not_told),
        CASE(control_records_keep_their_place_and_their_accounts),
        CASE(a_copy_taken_at_any_moment_recovers_all_that_was_durable),
        CASE(crashes_one_after_another_lose_nothing_that_was_durable),
        CASE(recovering_twice_gives_the_same_and_higher_stamps),
        CASE(an_unproven_control_record_does_not_undo_the_checkpoint),
        CASE(what_was_not_proven_durable_is_copied_before_the_new_segment_is_named),
        CASE(copies_that_are_lost_with_their_marker_are_refused),
        CASE(the_newest_segment_without_its_checkpoint_is_refused),
        CASE(damage_before_what_vouches_for_it_is_refused_with_file_and_offset),
        CASE(a_torn_tail_is_cut),
        CASE(a_marker_follows_quiet_and_vouches_for_what_was_last),
        CASE(quiet_adds_one_marker_and_the_log_goes_on_behind_it),
        CASE(a_marker_of_quiet_may_be_the_last_of_its_segment),
        CASE(a_missing_segment_is_refused),
        CASE(a_log_without_its_newest_segment_is_refused),
        CASE(a_log_that_does_not_know_its_newest_segment_is_refused),
        CASE(a_segment_that_was_named_and_not_noted_is_taken),
        CASE(every_flipped_byte_of_the_note_is_survived_or_refused),
        cmocka_unit_test_setup_teardown(a_lost_log_beside_a_tree_is_refused, setup_unopened,
                                        teardown),
        CASE(the_log_of_another_server_is_refused),
        CASE(a_clean_stop_is_known_and_raises_no_stamp),
        CASE(a_stop_right_behind_an_operation_stays_the_end),
        CASE(a_stop_whose_marker_begins_a_segment_ends),
        CASE(every_flipped_byte_of_a_stopped_log_is_found),
        CASE(a_stamp_stays_near_the_durable_one_when_the_clock_jumps),
        CASE(a_crash_behind_a_raised_marker_gives_no_stamp_twice),
        CASE(stamps_go_on_when_the_clock_steps_back),
        CASE(what_the_loop_syncs_itself_is_counted_among_the_syncs),
        OS_CASE(at_level_os_a_turn_is_released_when_it_is_written),
        OS_CASE(at_level_os_a_control_record_is_durable_at_once),
        OS_CASE(at_level_os_many_segments_are_replayed),
        CASE(a_raised_stamp_outlives_the_segment_of_its_marker),
        CASE(a_lift_counts_from_the_next_operation_on),
        CASE(a_lift_beyond_what_a_stamp_may_be_is_durable_first),
        OS_CASE(a_lift_beyond_what_a_stamp_may_be_is_durable_first),
        CASE(a_lift_does_not_wait_behind_a_marker_of_quiet),
        CASE(a_lift_comes_while_something_is_always_on_its_way),
        CASE(what_is_applied_is_freed_and_used_again),
        CASE(a_segment_stays_while_any_of_it_is_not_applied),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_no_fault, setup_unopened, teardown),
        cmocka_unit_test_setup_teardown(what_needs_a_segment_waits_until_the_disk_has_room,
                                        setup_unopened, teardown),
        cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_a_full_disk, setup_unopened,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_stop_does_not_wait_for_a_disk_that_is_found_full_meanwhile, setup_unopened, teardown),
        cmocka_unit_test_setup_teardown(a_start_that_fails_behind_a_full_disk_is_not_tried_again,
                                        setup_unopened, teardown),
    };
    return cmocka_run_group_tests(tests, make_values, free_values);
}
