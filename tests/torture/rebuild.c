/* SPDX-License-Identifier: MIT */
#include "tests/torture/rebuild.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/memory.h"
#include "proto/buffer.h"
#include "proto/extent.h"
#include "tests/torture/image.h"
#include "tests/torture/trace.h"

enum { FDS_MAX = 4096, NAMES_MAX = 256, NAME_LEN = 64, SECTOR_LEN = 512 };

struct list {
    uint32_t *events;
    uint32_t count;
    uint32_t capacity;
};

struct stored_file {
    struct image durable;
    struct list applied; /* what is in `durable` */
    struct list waiting; /* not synced */
};

struct name {
    char text[NAME_LEN];
    uint32_t file;
};

struct names {
    struct name entries[NAMES_MAX];
    uint32_t count;
};

/* A change of names that waits for the directory's sync. */
struct change {
    uint32_t event;
    enum { CHANGE_MAKE, CHANGE_RENAME, CHANGE_UNLINK } kind;
    uint32_t file;
    char from[NAME_LEN], to[NAME_LEN];
};

struct descriptor {
    bool is_dir;
    bool is_file;
    uint32_t file;
};

struct rebuild {
    const uint8_t *trace;
    size_t trace_len;
    const struct trace_record **events;
    uint32_t event_count;
    uint32_t now; /* so many have happened */
    struct stored_file *files;
    uint32_t file_count;
    struct names live; /* as the running server saw them */
    struct names durable;
    struct change changes[NAMES_MAX];
    uint32_t change_count;
    struct descriptor fds[FDS_MAX];
};

static struct bytes payload_of(const struct trace_record *record)
{
    return bytes_of(record + 1, record->len);
}

static void list_add(struct list *list, uint32_t event)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 16;
        list->events = memory_resize(list->events, list->capacity, sizeof(*list->events));
    }
    list->events[list->count++] = event;
}

/* --- reading --- */

/* A kill may have cut the last record. */
static bool index_events(struct rebuild *rebuild)
{
    uint32_t capacity = 0;
    size_t at = 0;
    while (at + sizeof(struct trace_record) <= rebuild->trace_len) {
        const void *place = rebuild->trace + at;
        const struct trace_record *record = place;
        if (record->magic != TRACE_MAGIC) {
            return false;
        }
        if (record->len > rebuild->trace_len - at - sizeof(*record)) {
            break;
        }
        if (rebuild->event_count == capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            rebuild->events = memory_resize(rebuild->events, capacity, sizeof(void *));
        }
        rebuild->events[rebuild->event_count++] = record;
        at += sizeof(*record) + record->len;
    }
    return rebuild->event_count > 0;
}

struct rebuild *rebuild_open(const char *trace)
{
    struct rebuild *rebuild = memory_get(1, sizeof(*rebuild));
    struct stat status;
    int fd = open(trace, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0) {
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        rebuild->trace_len = map == MAP_FAILED ? 0 : (size_t)status.st_size;
        rebuild->trace = rebuild->trace_len ? map : NULL;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (!rebuild->trace || !index_events(rebuild)) {
        rebuild_close(rebuild);
        return NULL;
    }
    return rebuild;
}

void rebuild_close(struct rebuild *rebuild)
{
    if (!rebuild) {
        return;
    }
    for (uint32_t i = 0; i < rebuild->file_count; i++) {
        image_fini(&rebuild->files[i].durable);
        free(rebuild->files[i].applied.events);
        free(rebuild->files[i].waiting.events);
    }
    if (rebuild->trace) {
        munmap((void *)(uintptr_t)rebuild->trace, rebuild->trace_len);
    }
    free(rebuild->files);
    free(rebuild->events);
    free(rebuild);
}

uint32_t rebuild_event_count(const struct rebuild *rebuild)
{
    return rebuild->event_count;
}

uint32_t rebuild_event_at(const struct rebuild *rebuild, uint64_t place)
{
    uint32_t event = 0;
    while (event < rebuild->event_count &&
           (uint64_t)((const uint8_t *)rebuild->events[event] - rebuild->trace) < place) {
        event++;
    }
    return event;
}

bool rebuild_is_turn(const struct rebuild *rebuild, uint32_t event)
{
    enum trace_type type = rebuild->events[event]->type;
    return type == TRACE_SYNC_END || type == TRACE_RENAME || type == TRACE_UNLINK ||
           type == TRACE_OPEN || type == TRACE_LEN || type == TRACE_SEND;
}

/* --- what was sent --- */

struct stream {
    struct buffer bytes;
    struct extent extent;
    uint32_t send_event;
    bool is_sending;
};

static void take_sent(struct stream *stream, uint32_t event, struct bytes sent,
                      rebuild_response *on_response, void *context)
{
    enum unpack_fault fault;
    buffer_append_bytes(&stream->bytes, sent);
    while (stream->bytes.len > 0 && extent_scan(&stream->extent, buffer_bytes(&stream->bytes),
                                                FRAME_LEN_MAX, &fault) == EXTENT_WHOLE) {
        size_t len = stream->extent.scanned;
        on_response(context, event, bytes_of(stream->bytes.data, len));
        buffer_consume(&stream->bytes, len);
        extent_reset(&stream->extent);
    }
}

void rebuild_responses(const struct rebuild *rebuild, rebuild_response *on_response, void *context)
{
    struct stream *streams = memory_get(FDS_MAX, sizeof(*streams));
    for (uint32_t i = 0; i < rebuild->event_count; i++) {
        const struct trace_record *record = rebuild->events[i];
        struct stream *stream = &streams[record->fd >= 0 ? record->fd : 0];
        if (record->type == TRACE_ACCEPT) {
            buffer_clear(&stream->bytes);
            extent_reset(&stream->extent);
        } else if (record->type == TRACE_SEND) {
            stream->send_event = i;
            stream->is_sending = true;
        } else if (record->type == TRACE_SENT) {
            stream->is_sending = false;
            struct bytes sent = payload_of(rebuild->events[stream->send_event]);
            take_sent(stream, stream->send_event, bytes_of(sent.data, record->number), on_response,
                      context);
        }
    }
    for (uint32_t i = 0; i < FDS_MAX; i++) {
        /* Killed when it was sent and before that was recorded. */
        if (streams[i].is_sending) {
            take_sent(&streams[i], streams[i].send_event,
                      payload_of(rebuild->events[streams[i].send_event]), on_response, context);
        }
        buffer_fini(&streams[i].bytes);
    }
    free(streams);
}

/* --- names --- */

static struct name *names_find(struct names *names, const char *text)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (strcmp(names->entries[i].text, text) == 0) {
            return &names->entries[i];
        }
    }
    return NULL;
}

static void names_put(struct names *names, const char *text, uint32_t file)
{
    struct name *name = names_find(names, text);
    if (!name) {
        assert(names->count < NAMES_MAX);
        name = &names->entries[names->count++];
        (void)snprintf(name->text, sizeof(name->text), "%s", text);
    }
    name->file = file;
}

static void names_remove(struct names *names, const char *text)
{
    struct name *name = names_find(names, text);
    if (name) {
        *name = names->entries[--names->count];
    }
}

/* What makes no sense, because a change before it is lost, is lost, too. */
static void names_change(struct names *names, const struct change *change)
{
    const struct name *name;
    switch (change->kind) {
    case CHANGE_MAKE:
        names_put(names, change->to, change->file);
        break;
    case CHANGE_RENAME:
        name = names_find(names, change->from);
        if (name && name->file == change->file) {
            names_remove(names, change->from);
            names_put(names, change->to, change->file);
        }
        break;
    case CHANGE_UNLINK:
        name = names_find(names, change->from);
        if (name && name->file == change->file) {
            names_remove(names, change->from);
        }
        break;
    }
}

static void add_change(struct rebuild *rebuild, struct change change)
{
    assert(rebuild->change_count < NAMES_MAX);
    change.event = rebuild->now;
    names_change(&rebuild->live, &change);
    rebuild->changes[rebuild->change_count++] = change;
}

/* --- events --- */

static void copy_name(struct bytes name, char text[NAME_LEN])
{
    (void)snprintf(text, NAME_LEN, "%.*s", (int)name.len, (const char *)name.data);
}

static void apply(const struct rebuild *rebuild, uint32_t event, struct image *image)
{
    const struct trace_record *record = rebuild->events[event];
    if (record->type == TRACE_WRITE) {
        image_write(image, record->number, payload_of(record));
    } else if (record->type == TRACE_LEN || record->number > image->len) {
        image_set_len(image, record->number);
    }
}

static void on_open(struct rebuild *rebuild, const struct trace_record *record)
{
    struct change change = {.kind = CHANGE_MAKE, .file = rebuild->file_count};
    copy_name(payload_of(record), change.to);
    const struct name *name = names_find(&rebuild->live, change.to);
    if (!name) {
        rebuild->files =
            memory_resize(rebuild->files, rebuild->file_count + 1, sizeof(*rebuild->files));
        rebuild->files[rebuild->file_count++] = (struct stored_file){0};
        add_change(rebuild, change);
    }
    uint32_t file = name ? name->file : change.file;
    rebuild->fds[record->fd] = (struct descriptor){.is_file = true, .file = file};
    if (record->flags & TRACE_IS_CUT) {
        (void)fprintf(stderr, "torture: O_TRUNC is not understood\n");
        abort();
    }
}

static void on_names(struct rebuild *rebuild, const struct trace_record *record)
{
    struct change change = {.kind = CHANGE_UNLINK};
    copy_name(payload_of(record), change.from); /* up to the NUL */
    if (record->type == TRACE_RENAME) {
        size_t from_len = strlen((const char *)(record + 1)) + 1;
        change.kind = CHANGE_RENAME;
        copy_name(bytes_of((const uint8_t *)(record + 1) + from_len, record->len - from_len),
                  change.to);
    }
    const struct name *name = names_find(&rebuild->live, change.from);
    if (name) {
        change.file = name->file;
        add_change(rebuild, change);
    }
}

static void make_durable(struct rebuild *rebuild, struct stored_file *file, uint32_t before)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < file->waiting.count; i++) {
        uint32_t event = file->waiting.events[i];
        if (event < before) {
            apply(rebuild, event, &file->durable);
            list_add(&file->applied, event);
        } else {
            file->waiting.events[kept++] = event;
        }
    }
    file->waiting.count = kept;
}

static void make_names_durable(struct rebuild *rebuild, uint32_t before)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < rebuild->change_count; i++) {
        if (rebuild->changes[i].event < before) {
            names_change(&rebuild->durable, &rebuild->changes[i]);
        } else {
            rebuild->changes[kept++] = rebuild->changes[i];
        }
    }
    rebuild->change_count = kept;
}

/* The begin of a sync is found again by its number: two threads may sync one descriptor. */
static uint32_t find_begin(const struct rebuild *rebuild, uint32_t end)
{
    uint32_t event = end;
    do {
        event--;
    } while (rebuild->events[event]->type != TRACE_SYNC_BEGIN ||
             rebuild->events[event]->number != rebuild->events[end]->number);
    return event;
}

static void on_written(struct rebuild *rebuild, const struct trace_record *record)
{
    struct stored_file *file = &rebuild->files[rebuild->fds[record->fd].file];
    if (record->flags & TRACE_IS_DSYNC) {
        apply(rebuild, rebuild->now, &file->durable);
        list_add(&file->applied, rebuild->now);
    } else {
        list_add(&file->waiting, rebuild->now);
    }
}

static void on_sync_end(struct rebuild *rebuild, const struct trace_record *record)
{
    const struct descriptor *descriptor = &rebuild->fds[record->fd];
    uint32_t begin = find_begin(rebuild, rebuild->now);
    if (descriptor->is_dir) {
        make_names_durable(rebuild, begin);
    } else if (descriptor->is_file) {
        make_durable(rebuild, &rebuild->files[descriptor->file], begin);
    }
}

static void happen(struct rebuild *rebuild, const struct trace_record *record)
{
    switch ((enum trace_type)record->type) {
    case TRACE_OPEN:
        on_open(rebuild, record);
        break;
    case TRACE_OPEN_DIR:
        rebuild->fds[record->fd] = (struct descriptor){.is_dir = true};
        break;
    case TRACE_CLOSE:
        rebuild->fds[record->fd] = (struct descriptor){0};
        break;
    case TRACE_WRITE:
    case TRACE_LEN:
    case TRACE_EXTEND:
        on_written(rebuild, record);
        break;
    case TRACE_SYNC_END:
        on_sync_end(rebuild, record);
        break;
    case TRACE_RENAME:
    case TRACE_UNLINK:
        on_names(rebuild, record);
        break;
    case TRACE_SYNC_BEGIN:
    case TRACE_ACCEPT:
    case TRACE_SEND:
    case TRACE_SENT:
        break;
    }
}

void rebuild_advance(struct rebuild *rebuild, uint32_t event)
{
    while (rebuild->now < event) {
        happen(rebuild, rebuild->events[rebuild->now]);
        rebuild->now++;
    }
}

/* --- a state --- */

/* What of the unsynced is lost, all over the directory. */
struct fate {
    enum { FATE_NONE_LOST, FATE_ALL_LOST, FATE_SUBSET, FATE_PREFIX } kind;
    uint32_t keep_of_8;  /* FATE_SUBSET */
    uint32_t last_event; /* FATE_PREFIX: those up to it are there */
    uint32_t torn_event; /* UINT32_MAX: none */
    bool is_lengthened;  /* a lost write has left its length */
};

static uint32_t count_waiting(const struct rebuild *rebuild)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < rebuild->file_count; i++) {
        count += rebuild->files[i].waiting.count;
    }
    return count;
}

static uint32_t pick_waiting(const struct rebuild *rebuild, uint32_t index)
{
    for (uint32_t i = 0; i < rebuild->file_count; i++) {
        const struct list *waiting = &rebuild->files[i].waiting;
        if (index < waiting->count) {
            return waiting->events[index];
        }
        index -= waiting->count;
    }
    return UINT32_MAX;
}

static struct fate draw_fate(const struct rebuild *rebuild, struct dice *dice)
{
    uint32_t waiting_count = count_waiting(rebuild);
    uint32_t drawn = dice_below(dice, 8);
    struct fate fate = {.kind = FATE_SUBSET, .torn_event = UINT32_MAX};
    if (drawn < 3) {
        fate.kind = drawn == 0 ? FATE_NONE_LOST : drawn == 1 ? FATE_ALL_LOST : FATE_PREFIX;
    }
    fate.keep_of_8 = 1 + dice_below(dice, 7);
    fate.is_lengthened = dice_below(dice, 2) == 0;
    if (waiting_count > 0) {
        fate.last_event = pick_waiting(rebuild, dice_below(dice, waiting_count));
        if (dice_below(dice, 2) == 0) {
            fate.torn_event = pick_waiting(rebuild, dice_below(dice, waiting_count));
        }
    }
    return fate;
}

static bool survives(const struct fate *fate, uint32_t event, struct dice *dice)
{
    switch (fate->kind) {
    case FATE_NONE_LOST:
        return true;
    case FATE_ALL_LOST:
        return false;
    case FATE_PREFIX:
        return event <= fate->last_event;
    case FATE_SUBSET:
        return dice_below(dice, 8) < fate->keep_of_8;
    }
    abort();
}

/* The first sectors, the last ones, or any. */
static void tear(const struct trace_record *record, struct dice *dice, struct image *image)
{
    uint64_t offset = record->number;
    const uint8_t *data = (const uint8_t *)(record + 1);
    uint64_t end = offset + record->len;
    uint64_t sector_count = (end - 1) / SECTOR_LEN - offset / SECTOR_LEN + 1;
    uint64_t cut = dice_roll(dice) % (sector_count + 1);
    uint32_t manner = dice_below(dice, 3);
    for (uint64_t sector = 0; offset < end; sector++) {
        uint64_t room = SECTOR_LEN - offset % SECTOR_LEN;
        uint64_t len = end - offset < room ? end - offset : room;
        bool is_there = manner == 0   ? sector < cut
                        : manner == 1 ? sector >= cut
                                      : dice_below(dice, 2) == 0;
        if (is_there) {
            image_write(image, offset, bytes_of(data, len));
        }
        data += len;
        offset += len;
    }
}

static void add_waiting(const struct rebuild *rebuild, const struct stored_file *file,
                        const struct fate *fate, struct dice *dice, struct image *image)
{
    for (uint32_t i = 0; i < file->waiting.count; i++) {
        uint32_t event = file->waiting.events[i];
        const struct trace_record *record = rebuild->events[event];
        bool is_write = record->type == TRACE_WRITE;
        uint64_t end = record->number + record->len;
        if (event == fate->torn_event && is_write) {
            tear(record, dice, image);
        } else if (survives(fate, event, dice)) {
            apply(rebuild, event, image);
        }
        if (is_write && fate->is_lengthened && end > image->len) {
            image_set_len(image, end);
        }
    }
}

/* A durable write of this file among its last ones; UINT32_MAX: there is none. */
static uint32_t pick_durable(const struct rebuild *rebuild, const struct stored_file *file,
                             struct dice *dice)
{
    uint32_t among = file->applied.count < 8 ? file->applied.count : 8;
    uint32_t event = among ? file->applied.events[file->applied.count - 1 - dice_below(dice, among)]
                           : UINT32_MAX;
    return among && rebuild->events[event]->type == TRACE_WRITE ? event : UINT32_MAX;
}

static void make_image(const struct rebuild *rebuild, const struct stored_file *file,
                       uint32_t dropped_event, struct image *image)
{
    if (dropped_event == UINT32_MAX) {
        image_copy(&file->durable, image);
        return;
    }
    *image = (struct image){0};
    for (uint32_t i = 0; i < file->applied.count; i++) {
        if (file->applied.events[i] != dropped_event) {
            apply(rebuild, file->applied.events[i], image);
        }
    }
}

static void draw_names(const struct rebuild *rebuild, struct dice *dice, struct names *names)
{
    bool is_prefix = dice_below(dice, 2) == 0;
    uint32_t first_lost = dice_below(dice, rebuild->change_count + 1);
    *names = rebuild->durable;
    for (uint32_t i = 0; i < rebuild->change_count; i++) {
        if (is_prefix ? i < first_lost : dice_below(dice, 2) == 0) {
            names_change(names, &rebuild->changes[i]);
        }
    }
}

void rebuild_write(struct rebuild *rebuild, struct dice *dice, bool drop_durable, const char *path,
                   char text[REBUILD_TEXT_LEN])
{
    struct fate fate = draw_fate(rebuild, dice);
    struct names *names = memory_get(1, sizeof(*names));
    draw_names(rebuild, dice, names);
    uint32_t dropping = drop_durable && names->count ? dice_below(dice, names->count) : UINT32_MAX;
    if (mkdir(path, 0700) != 0) {
        perror(path);
        abort();
    }
    for (uint32_t i = 0; i < names->count; i++) {
        char file_path[512];
        struct image image;
        const struct stored_file *file = &rebuild->files[names->entries[i].file];
        uint32_t dropped = i == dropping ? pick_durable(rebuild, file, dice) : UINT32_MAX;
        make_image(rebuild, file, dropped, &image);
        add_waiting(rebuild, file, &fate, dice, &image);
        (void)snprintf(file_path, sizeof(file_path), "%s/%s", path, names->entries[i].text);
        image_save(&image, file_path);
        image_fini(&image);
    }
    (void)snprintf(text, REBUILD_TEXT_LEN,
                   "cut before event %u of %u, %u unsynced writes (%s), %s torn%s, %u of %u names "
                   "unsynced",
                   rebuild->now, rebuild->event_count, count_waiting(rebuild),
                   fate.kind == FATE_SUBSET     ? "some lost"
                   : fate.kind == FATE_PREFIX   ? "the last lost"
                   : fate.kind == FATE_ALL_LOST ? "all lost"
                                                : "none lost",
                   fate.torn_event == UINT32_MAX ? "none" : "one",
                   fate.is_lengthened ? ", lengthened" : "", rebuild->change_count, names->count);
    free(names);
}
