/* SPDX-License-Identifier: MIT */
#include "shardd/segment.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/logline.h"
#include "io/memory.h"
#include "io/worker.h"
#include "proto/log.h"

#define LOG_PREFIX      "log-"
#define PREPARED_PREFIX "prepared-"

/* What becomes LOG_NEWEST_NAME: that is whole from the beginning. */
#define NEWEST_UNNAMED "prepared.newest"

#define RETRY_MS 1000

/* Left on the disk by what is prepared: the tree must go on, too, when it is full (RULES F1). */
#define LEFT_LEN (UINT64_C(8) << 20)

enum { DIGITS = 16 };

/* One piece of one file; submitted again until the file is filled. */
struct prepare_job {
    struct job job; /* first */
    struct segments *segments;
    uint64_t index;
    struct file *file;
    uint64_t len; /* segment_len; less for the start on a full disk */
    uint64_t filled_len;
    int error_number;
};

struct make_job {
    struct job job; /* first */
    struct segments *segments;
    uint64_t number;
    uint64_t len;
    struct buffer bytes;
    segments_made *on_made; /* NULL: none is asked for */
    void *context;
    bool is_submitted;
    uint64_t index; /* of the prepared file, if */
    bool has_index;
    struct file *file;
    bool was_full; /* the last try: there was no room, and nothing else has happened */
    bool is_named; /* a fault is that of the note */
    int error_number;
};

struct retiring {
    struct retiring *next;
    uint64_t number;
    uint64_t len;
};

struct retire_job {
    struct job job; /* first */
    struct segments *segments;
    struct retiring *first; /* the worker has it while is_submitted */
    struct retiring *last;
    bool is_submitted;
    bool is_wanted; /* as prepared file `index`, and so it went */
    bool is_kept;
    uint64_t index;
    int error_number;
};

struct segments {
    struct dir *dir;
    struct file *newest; /* LOG_NEWEST_NAME */
    uint64_t segment_len;
    struct worker *worker;
    struct timer *retry;
    uint64_t next_index;
    uint64_t prepared[SEGMENTS_PREPARED_MAX];
    uint32_t prepared_count;
    bool is_preparing;
    bool is_disk_full;
    struct prepare_job prepare;
    struct make_job make;
    struct retire_job retire;
};

/* --- names --- */

void segment_name(uint64_t number, char name[SEGMENT_NAME_LEN])
{
    (void)snprintf(name, SEGMENT_NAME_LEN, LOG_PREFIX "%016" PRIx64, number);
}

static void prepared_name(uint64_t index, char name[SEGMENT_NAME_LEN])
{
    (void)snprintf(name, SEGMENT_NAME_LEN, PREPARED_PREFIX "%016" PRIx64, index);
}

/* Exactly what the two above print. */
static bool parse_name(const char *name, const char *prefix, uint64_t *number)
{
    size_t prefix_len = strlen(prefix);
    if (strncmp(name, prefix, prefix_len) != 0 || strlen(name) != prefix_len + DIGITS ||
        strspn(name + prefix_len, "0123456789abcdef") != DIGITS) {
        return false;
    }
    *number = strtoull(name + prefix_len, NULL, 16);
    return true;
}

struct listing {
    const char *prefix;
    uint64_t *numbers;
    uint32_t count;
};

static void add_name(void *context, const char *name)
{
    struct listing *listing = context;
    uint64_t number;
    if (parse_name(name, listing->prefix, &number)) {
        listing->numbers =
            memory_resize(listing->numbers, listing->count + 1, sizeof(*listing->numbers));
        listing->numbers[listing->count++] = number;
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static int list(struct dir *dir, const char *prefix, uint64_t **numbers, uint32_t *count)
{
    struct listing listing = {.prefix = prefix};
    int error_number = dir_list(dir, prefix, add_name, &listing);
    if (error_number != 0) {
        free(listing.numbers);
        return error_number;
    }
    if (listing.count > 0) {
        qsort(listing.numbers, listing.count, sizeof(*listing.numbers), compare);
    }
    *numbers = listing.numbers;
    *count = listing.count;
    return 0;
}

int segment_list(struct dir *dir, uint64_t **numbers, uint32_t *count)
{
    return list(dir, LOG_PREFIX, numbers, count);
}

/* --- what blocks: on the worker, or at the start --- */

static bool is_full(int error_number)
{
    return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

/*
 * From memory that stays: where a source page is not there yet, the kernel copies up to it, zeroes the rest
 * of a large folio, and tries again, which cost a fifth of the processor time of a busy writer.
 */
static int fill_piece(struct file *file, uint64_t from, uint64_t len)
{
    static const uint8_t zeros[64u << 10];
    int error_number = 0;
    for (uint64_t at = from; at < from + len && error_number == 0; at += sizeof(zeros)) {
        uint64_t left = from + len - at;
        error_number = file_write(file, at, zeros, left < sizeof(zeros) ? left : sizeof(zeros));
    }
    return error_number ? error_number : file_sync(file);
}

static uint64_t piece_end(uint64_t from, uint64_t end)
{
    return end - from < SEGMENT_PIECE_LEN ? end : from + SEGMENT_PIECE_LEN;
}

/* What is longer than others, for one long record. */
static int lengthen(struct file *file, uint64_t len)
{
    int error_number = 0;
    for (uint64_t at = file_len(file); at < len && error_number == 0;) {
        uint64_t end = piece_end(at, len);
        error_number = fill_piece(file, at, end - at);
        at = end;
    }
    return error_number;
}

static int write_first(struct file *file, struct bytes bytes)
{
    int error_number = file_write(file, 0, bytes.data, bytes.len);
    return error_number ? error_number : file_sync(file);
}

static int rename_durably(struct dir *dir, const char *from, const char *to)
{
    int error_number = dir_rename(dir, from, to);
    return error_number ? error_number : dir_sync(dir);
}

static int unlink_durably(struct dir *dir, const char *name)
{
    int error_number = dir_unlink(dir, name);
    return error_number ? error_number : dir_sync(dir);
}

/* --- which is the newest --- */

int segment_read_newest(struct dir *dir, uint64_t *number)
{
    uint8_t bytes[LOG_NEWEST_LEN];
    int error_number = 0;
    struct file *file = file_open(dir, LOG_NEWEST_NAME, FILE_READ, &error_number);
    if (!file) {
        return error_number;
    }
    bool is_whole = file_len(file) == sizeof(bytes);
    if (is_whole) {
        error_number = file_read(file, 0, bytes, sizeof(bytes));
    }
    file_close(file);
    if (error_number != 0) {
        return error_number;
    }
    return is_whole && log_newest_decode(bytes_of(bytes, sizeof(bytes)), number) ? 0 : EBADMSG;
}

static int write_newest(struct file *file, uint64_t number)
{
    uint8_t slot[LOG_NEWEST_SLOT_LEN];
    log_newest_encode(number, slot);
    int error_number =
        file_write(file, number % 2 * LOG_NEWEST_SLOT_LEN, slot, LOG_NEWEST_SLOT_LEN);
    return error_number ? error_number : file_sync(file);
}

/* Both slots have their blocks from here on: no disk is too full for a later number. */
static int create_newest(struct dir *dir)
{
    int error_number = dir_has(dir, NEWEST_UNNAMED) ? dir_unlink(dir, NEWEST_UNNAMED) : 0;
    if (error_number != 0) {
        return error_number;
    }
    struct file *file = file_open(dir, NEWEST_UNNAMED, FILE_NEW, &error_number);
    if (!file) {
        return error_number;
    }
    error_number = file_preallocate(file, LOG_NEWEST_LEN);
    if (error_number == 0) {
        error_number = write_newest(file, 0);
    }
    file_close(file);
    return error_number ? error_number : rename_durably(dir, NEWEST_UNNAMED, LOG_NEWEST_NAME);
}

/*
 * What a killed process has named and perhaps not noted is the newest from here on, so its name must be durable
 * first. Were it left out, the next number would overwrite the only one that is durable.
 */
static int note_found(struct dir *dir, struct file *newest)
{
    uint64_t *numbers = NULL;
    uint32_t count = 0;
    int error_number = segment_list(dir, &numbers, &count);
    uint64_t number = count > 0 ? numbers[count - 1] : 0;
    free(numbers);
    if (error_number == 0) {
        error_number = dir_sync(dir);
    }
    return error_number ? error_number : write_newest(newest, number);
}

static int open_newest(struct segments *segments)
{
    struct dir *dir = segments->dir;
    int error_number = dir_has(dir, LOG_NEWEST_NAME) ? 0 : create_newest(dir);
    if (error_number != 0) {
        return error_number;
    }
    segments->newest = file_open(dir, LOG_NEWEST_NAME, FILE_EXISTING, &error_number);
    return segments->newest ? note_found(dir, segments->newest) : error_number;
}

/* --- making --- */

/* Opened again, so that faults name the segment and not what it was made of. */
static int name_segment(struct dir *dir, uint64_t index, uint64_t number, struct file **file)
{
    char from[SEGMENT_NAME_LEN];
    char to[SEGMENT_NAME_LEN];
    prepared_name(index, from);
    segment_name(number, to);
    int error_number = rename_durably(dir, from, to);
    if (error_number == 0) {
        *file = file_open(dir, to, FILE_EXISTING, &error_number);
    }
    return error_number;
}

static int make_segment(struct make_job *make, struct bytes bytes)
{
    struct dir *dir = make->segments->dir;
    char name[SEGMENT_NAME_LEN];
    int error_number = 0;
    make->is_named = false;
    prepared_name(make->index, name);
    struct file *file = file_open(dir, name, FILE_EXISTING, &error_number);
    if (!file) {
        return error_number;
    }
    error_number = lengthen(file, make->len);
    make->was_full = is_full(error_number);
    if (error_number == 0) {
        error_number = write_first(file, bytes);
    }
    file_close(file);
    if (error_number == 0) {
        error_number = name_segment(dir, make->index, make->number, &make->file);
    }
    make->is_named = error_number == 0;
    return make->is_named ? write_newest(make->segments->newest, make->number) : error_number;
}

static void faulty_name(const struct make_job *make, char name[SEGMENT_NAME_LEN])
{
    if (make->is_named) {
        (void)snprintf(name, SEGMENT_NAME_LEN, "%s", LOG_NEWEST_NAME);
    } else {
        segment_name(make->number, name);
    }
}

/* --- preparing --- */

static uint64_t room_on_disk(struct dir *dir)
{
    uint64_t free_len = UINT64_MAX;
    uint64_t total_len;
    if (dir_space(dir, &free_len, &total_len) != 0) {
        return UINT64_MAX;
    }
    return free_len > LEFT_LEN ? free_len - LEFT_LEN : 0;
}

static int prepare_piece(struct prepare_job *prepare)
{
    struct dir *dir = prepare->segments->dir;
    uint64_t len = prepare->len;
    int error_number = 0;
    if (!prepare->file) {
        char name[SEGMENT_NAME_LEN];
        if (len == prepare->segments->segment_len && room_on_disk(dir) < len) {
            return ENOSPC;
        }
        prepared_name(prepare->index, name);
        prepare->file = file_open(dir, name, FILE_NEW, &error_number);
        if (!prepare->file) {
            return error_number;
        }
    }
    uint64_t end = piece_end(prepare->filled_len, len);
    error_number = fill_piece(prepare->file, prepare->filled_len, end - prepare->filled_len);
    prepare->filled_len = end;
    return error_number == 0 && end == len ? dir_sync(dir) : error_number;
}

static bool is_filled(const struct prepare_job *prepare)
{
    return prepare->filled_len == prepare->len;
}

/* Room that the unfinished one takes is wanted elsewhere. */
static void abandon(struct prepare_job *prepare)
{
    char name[SEGMENT_NAME_LEN];
    prepared_name(prepare->index, name);
    if (prepare->file) {
        (void)unlink_durably(prepare->segments->dir, name);
    }
}

static void run_prepare(struct job *job)
{
    struct prepare_job *prepare = (struct prepare_job *)job;
    prepare->error_number = prepare_piece(prepare);
    if (prepare->error_number != 0) {
        abandon(prepare);
    }
    if (prepare->error_number != 0 || is_filled(prepare)) {
        file_close(prepare->file);
        prepare->file = NULL;
    }
}

static void submit_make(struct segments *segments);

static _Noreturn void die(const struct segments *segments, const char *name, int error_number)
{
    logline_die("log: %s/%s: %s", dir_path(segments->dir), name, strerror(error_number));
}

/* Who waits hears of it through segments_is_disk_full, the operator once. */
static void note_full(struct segments *segments, int error_number)
{
    if (!segments->is_disk_full) {
        logline(LOGLINE_WARNING, "log: %s: no room for a further segment: %s",
                dir_path(segments->dir), strerror(error_number));
    }
    segments->is_disk_full = true;
    timer_set(segments->retry, RETRY_MS);
}

static void note_room(struct segments *segments)
{
    if (segments->prepared_count >= SEGMENTS_PREPARED_MIN && segments->is_disk_full) {
        segments->is_disk_full = false;
        logline(LOGLINE_INFO, "log: %s: room for a further segment again", dir_path(segments->dir));
    }
}

static void add_prepared(struct segments *segments, uint64_t index)
{
    assert(segments->prepared_count < SEGMENTS_PREPARED_MAX);
    segments->prepared[segments->prepared_count++] = index;
    note_room(segments);
    submit_make(segments);
}

static void begin_prepare(struct segments *segments)
{
    struct prepare_job *prepare = &segments->prepare;
    prepare->index = segments->next_index++;
    prepare->len = segments->segment_len;
    prepare->filled_len = 0;
    segments->is_preparing = true;
    worker_submit(segments->worker, &prepare->job);
}

void segments_prepare(struct segments *segments)
{
    if (!segments->is_preparing &&
        segments->prepared_count + (segments->retire.is_wanted ? 1 : 0) < SEGMENTS_PREPARED_MIN) {
        begin_prepare(segments);
    }
}

static void prepare_done(struct job *job)
{
    struct prepare_job *prepare = (struct prepare_job *)job;
    struct segments *segments = prepare->segments;
    if (prepare->error_number == 0 && !is_filled(prepare)) {
        worker_submit(segments->worker, &prepare->job);
        return;
    }
    segments->is_preparing = false;
    if (is_full(prepare->error_number)) {
        note_full(segments, prepare->error_number);
        return;
    }
    if (prepare->error_number != 0) {
        char name[SEGMENT_NAME_LEN];
        prepared_name(prepare->index, name);
        die(segments, name, prepare->error_number);
    }
    add_prepared(segments, prepare->index);
    segments_prepare(segments);
}

static void on_retry(void *context)
{
    struct segments *segments = context;
    segments_prepare(segments);
    submit_make(segments);
}

/* --- segments out of what is prepared --- */

static void run_make(struct job *job)
{
    struct make_job *make = (struct make_job *)job;
    make->was_full = false;
    make->error_number = make_segment(make, buffer_bytes(&make->bytes));
}

static void submit_make(struct segments *segments)
{
    struct make_job *make = &segments->make;
    bool has_any = make->has_index || segments->prepared_count > 0;
    if (!make->on_made || make->is_submitted || !has_any) {
        return;
    }
    make->is_submitted = true;
    if (!make->has_index) {
        make->index = segments->prepared[--segments->prepared_count];
        make->has_index = true;
    }
    worker_submit(segments->worker, &make->job);
}

static void make_done(struct job *job)
{
    struct make_job *make = (struct make_job *)job;
    struct segments *segments = make->segments;
    make->is_submitted = false;
    if (make->error_number != 0 && !make->was_full) {
        char name[SEGMENT_NAME_LEN];
        faulty_name(make, name);
        die(segments, name, make->error_number);
    }
    /* Its file is longer by now than others, and no other segment's: this one goes on with it. */
    if (make->was_full) {
        note_full(segments, make->error_number);
        return;
    }
    make->has_index = false;
    segments_made *on_made = make->on_made;
    struct file *file = make->file;
    make->on_made = NULL;
    make->file = NULL;
    buffer_fini(&make->bytes);
    note_room(segments);
    segments_prepare(segments);
    on_made(make->context, file);
}

void segments_make(struct segments *segments, uint64_t number, uint64_t len, struct buffer *bytes,
                   segments_made *on_made, void *context)
{
    struct make_job *make = &segments->make;
    assert(!make->on_made);
    make->number = number;
    make->len = len;
    make->bytes = *bytes;
    *bytes = (struct buffer){0};
    make->on_made = on_made;
    make->context = context;
    submit_make(segments);
    segments_prepare(segments);
}

/* --- and back --- */

/* A directory that has no room for the new name can always lose the old one. */
static void run_retire(struct job *job)
{
    struct retire_job *retire = (struct retire_job *)job;
    struct dir *dir = retire->segments->dir;
    char name[SEGMENT_NAME_LEN];
    char kept_name[SEGMENT_NAME_LEN];
    segment_name(retire->first->number, name);
    prepared_name(retire->index, kept_name);
    retire->error_number = retire->is_wanted ? rename_durably(dir, name, kept_name) : 0;
    retire->is_kept = retire->is_wanted && !is_full(retire->error_number);
    if (!retire->is_kept) {
        retire->error_number = unlink_durably(dir, name);
    }
}

/* Counts all that is, or is about to be, prepared. */
static bool is_wanted(const struct segments *segments, uint64_t len)
{
    uint32_t count = segments->prepared_count + (segments->is_preparing ? 1 : 0) +
                     (segments->make.is_submitted ? 1 : 0);
    return len == segments->segment_len && count < SEGMENTS_PREPARED_MAX;
}

static void submit_retire(struct segments *segments)
{
    struct retire_job *retire = &segments->retire;
    if (!retire->first || retire->is_submitted) {
        return;
    }
    retire->is_submitted = true;
    retire->is_wanted = is_wanted(segments, retire->first->len);
    retire->index = segments->next_index++;
    worker_submit(segments->worker, &retire->job);
}

static void drop_first(struct retire_job *retire)
{
    struct retiring *first = retire->first;
    retire->first = first->next;
    free(first);
}

static void retire_done(struct job *job)
{
    struct retire_job *retire = (struct retire_job *)job;
    struct segments *segments = retire->segments;
    if (retire->error_number != 0) {
        char name[SEGMENT_NAME_LEN];
        segment_name(retire->first->number, name);
        die(segments, name, retire->error_number);
    }
    retire->is_submitted = false;
    retire->is_wanted = false;
    drop_first(retire);
    if (retire->is_kept) {
        add_prepared(segments, retire->index);
    }
    submit_retire(segments);
    segments_prepare(segments);
}

void segments_retire(struct segments *segments, uint64_t number, uint64_t len)
{
    struct retire_job *retire = &segments->retire;
    struct retiring *retiring = memory_get(1, sizeof(*retiring));
    *retiring = (struct retiring){NULL, number, len};
    if (retire->first) {
        retire->last->next = retiring;
    } else {
        retire->first = retiring;
    }
    retire->last = retiring;
    submit_retire(segments);
}

/* --- opening and closing --- */

/* Of another length: half filled when a process ended, or from other settings. */
static int has_len(struct dir *dir, const char *name, uint64_t len, bool *has)
{
    int error_number = 0;
    struct file *file = file_open(dir, name, FILE_EXISTING, &error_number);
    if (!file) {
        return error_number;
    }
    *has = file_len(file) == len;
    file_close(file);
    return 0;
}

static int keep_or_strike(struct segments *segments, uint64_t index)
{
    char name[SEGMENT_NAME_LEN];
    bool is_of_use = false;
    prepared_name(index, name);
    int error_number = has_len(segments->dir, name, segments->segment_len, &is_of_use);
    if (error_number != 0) {
        return error_number;
    }
    if (is_of_use && segments->prepared_count < SEGMENTS_PREPARED_MAX) {
        segments->prepared[segments->prepared_count++] = index;
        return 0;
    }
    return unlink_durably(segments->dir, name);
}

static int take_stock(struct segments *segments)
{
    uint64_t *indexes = NULL;
    uint32_t count = 0;
    int error_number = list(segments->dir, PREPARED_PREFIX, &indexes, &count);
    for (uint32_t i = 0; i < count && error_number == 0; i++) {
        segments->next_index = indexes[i] + 1;
        error_number = keep_or_strike(segments, indexes[i]);
    }
    free(indexes);
    return error_number;
}

struct segments *segments_open(struct loop *loop, struct dir *dir, uint64_t segment_len,
                               char *error, size_t error_len)
{
    struct segments *segments = memory_get(1, sizeof(*segments));
    segments->dir = dir;
    segments->segment_len = segment_len;
    const char *name = LOG_NEWEST_NAME;
    int error_number = open_newest(segments);
    if (error_number == 0) {
        name = PREPARED_PREFIX "*";
        error_number = take_stock(segments);
    }
    if (error_number != 0) {
        (void)snprintf(error, error_len, "%s/%s: %s", dir_path(dir), name, strerror(error_number));
        file_close(segments->newest);
        free(segments);
        return NULL;
    }
    segments->worker = worker_new(loop, "segments", WORKER_NORMAL);
    segments->retry = timer_new(loop, on_retry, segments);
    segments->prepare.job = (struct job){.run = run_prepare, .done = prepare_done};
    segments->prepare.segments = segments;
    segments->make.job = (struct job){.run = run_make, .done = make_done};
    segments->make.segments = segments;
    segments->retire.job = (struct job){.run = run_retire, .done = retire_done};
    segments->retire.segments = segments;
    return segments;
}

void segments_close(struct segments *segments)
{
    if (!segments) {
        return;
    }
    worker_free(segments->worker);
    timer_free(segments->retry);
    while (segments->retire.first) {
        drop_first(&segments->retire);
    }
    file_close(segments->prepare.file);
    file_close(segments->make.file);
    file_close(segments->newest);
    buffer_fini(&segments->make.bytes);
    free(segments);
}

static int prepare_now(struct segments *segments, uint64_t len)
{
    struct prepare_job *prepare = &segments->prepare;
    prepare->index = segments->next_index++;
    prepare->len = len < segments->segment_len ? len : segments->segment_len;
    prepare->filled_len = 0;
    do {
        run_prepare(&prepare->job);
    } while (prepare->error_number == 0 && !is_filled(prepare));
    if (prepare->error_number == 0) {
        segments->prepared[segments->prepared_count++] = prepare->index;
    }
    return prepare->error_number;
}

/* Of what is there the tree needs something, too. */
uint64_t segments_len_now(const struct segments *segments, uint64_t least)
{
    uint64_t len = segments->segment_len;
    uint64_t room = room_on_disk(segments->dir);
    if (segments->prepared_count == 0 && segments->is_disk_full) {
        len = least;
    } else if (segments->prepared_count == 0 && room < len) {
        len = (room / 2) & ~UINT64_C(7);
    }
    return len > least ? len : least;
}

struct file *segments_make_now(struct segments *segments, uint64_t number, uint64_t len,
                               struct bytes bytes, char *error, size_t error_len)
{
    struct make_job *make = &segments->make;
    assert(!make->file);
    make->number = number;
    make->len = len;
    make->is_named = false;
    int error_number = segments->prepared_count > 0 ? 0 : prepare_now(segments, len);
    if (error_number == 0) {
        make->index = segments->prepared[--segments->prepared_count];
        error_number = make_segment(make, bytes);
    }
    make->was_full = is_full(error_number) && !make->is_named;
    if (error_number != 0) {
        char name[SEGMENT_NAME_LEN];
        faulty_name(make, name);
        (void)snprintf(error, error_len, "%s/%s: %s", dir_path(segments->dir), name,
                       strerror(error_number));
        if (make->was_full) {
            note_full(segments, error_number);
        }
        return NULL;
    }
    struct file *file = make->file;
    make->file = NULL;
    return file;
}

bool segments_had_no_room(const struct segments *segments)
{
    return segments->make.was_full;
}

bool segments_is_making(const struct segments *segments)
{
    return segments->make.is_submitted;
}

uint32_t segments_prepared_count(const struct segments *segments)
{
    return segments->prepared_count;
}

bool segments_is_disk_full(const struct segments *segments)
{
    return segments->is_disk_full;
}
