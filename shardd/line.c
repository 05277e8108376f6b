/* SPDX-License-Identifier: MIT */
#include "shardd/line.h"

#include <stdlib.h>

#include "io/memory.h"
#include "io/random.h"
#include "proto/hash.h"

/* Buckets of a chunk, and the fewest of all. */
#define CHUNK_BUCKETS 1024

/* Two buckets for each line that goes: so there are never many more than twice as many. */
#define SHRINK_STEPS 2

/* Room for results that a line without any keeps. */
enum { KEEP_CAPACITY = 64 };

void lines_init(struct lines *lines)
{
    *lines = (struct lines){.bucket_count = CHUNK_BUCKETS, .half = CHUNK_BUCKETS};
    lines->chunks = memory_get(1, sizeof(struct line **));
    lines->chunk_capacity = 1;
    lines->chunks[0] = memory_get(CHUNK_BUCKETS, sizeof(struct line *));
    lines->len = sizeof(struct line **) + CHUNK_BUCKETS * sizeof(struct line *);
    random_fill(lines->secret, sizeof(lines->secret));
}

static void free_kept(struct lines *lines, struct line *line, struct kept *kept)
{
    if (kept->len > KEPT_INLINE_LEN) {
        lines->len -= kept->len;
        lines->results_len -= kept->len;
        line->bytes_len -= kept->len;
        free(kept->encoded.bytes);
    }
}

static void free_line(struct lines *lines, struct line *line)
{
    for (uint32_t i = 0; i < line->kept_count; i++) {
        free_kept(lines, line, line_at(line, i));
    }
    lines->results_len -= line_results_len(line);
    lines->len -= sizeof(*line) + line->kept_capacity * sizeof(*line->kept) +
                  line->gone_capacity * sizeof(*line->gone);
    free(line->kept);
    free(line->gone);
    free(line);
}

void lines_fini(struct lines *lines)
{
    for (uint32_t i = 0; i < lines->bucket_count; i++) {
        struct line *next;
        for (struct line *line = lines_bucket(lines, i); line; line = next) {
            next = line->next;
            free_line(lines, line);
        }
    }
    for (uint32_t i = 0; i < lines->bucket_count; i += CHUNK_BUCKETS) {
        free(lines->chunks[i / CHUNK_BUCKETS]);
    }
    free(lines->chunks);
}

/* --- the table --- */

static struct line **bucket_at(const struct lines *lines, uint32_t bucket)
{
    return &lines->chunks[bucket / CHUNK_BUCKETS][bucket % CHUNK_BUCKETS];
}

struct line *lines_bucket(const struct lines *lines, uint32_t bucket)
{
    return *bucket_at(lines, bucket);
}

static uint64_t hash_client(const struct lines *lines, const uint8_t client[ID_LEN])
{
    uint64_t halves[2];
    uint64_t secret[2];
    memcpy(halves, client, ID_LEN);
    memcpy(secret, lines->secret, ID_LEN);
    halves[0] ^= secret[0];
    halves[1] ^= secret[1];
    return hash_bytes(bytes_of(halves, sizeof(halves)));
}

/* The buckets from `half` on are those that the first ones have already been split into. */
static uint32_t bucket_of_hash(const struct lines *lines, uint64_t hash)
{
    uint64_t bucket = hash & (2 * (uint64_t)lines->half - 1);
    return (uint32_t)(bucket < lines->bucket_count ? bucket : bucket & (lines->half - 1));
}

static uint32_t bucket_of(const struct lines *lines, const uint8_t client[ID_LEN])
{
    return bucket_of_hash(lines, hash_client(lines, client));
}

static void add_chunk(struct lines *lines, uint32_t chunk)
{
    if (chunk == lines->chunk_capacity) {
        lines->len += lines->chunk_capacity * sizeof(*lines->chunks);
        lines->chunk_capacity *= 2;
        lines->chunks = memory_resize(lines->chunks, lines->chunk_capacity, sizeof(*lines->chunks));
    }
    lines->chunks[chunk] = memory_get(CHUNK_BUCKETS, sizeof(struct line *));
    lines->len += CHUNK_BUCKETS * sizeof(struct line *);
}

/* One more bucket, which takes its lines from the one that it stands for. */
static void grow(struct lines *lines)
{
    uint32_t added = lines->bucket_count;
    if (added % CHUNK_BUCKETS == 0) {
        add_chunk(lines, added / CHUNK_BUCKETS);
    }
    lines->bucket_count++;
    struct line **from = bucket_at(lines, added - lines->half);
    struct line **to = bucket_at(lines, added);
    while (*from) {
        struct line *line = *from;
        if (bucket_of(lines, line->client) == added) {
            *from = line->next;
            line->next = *to;
            *to = line;
        } else {
            from = &line->next;
        }
    }
    if (lines->bucket_count == 2 * lines->half) {
        lines->half *= 2;
    }
}

/* The last bucket's lines go back to the one that they came from. */
static void shrink(struct lines *lines)
{
    if (lines->bucket_count == lines->half) {
        lines->half /= 2;
    }
    uint32_t removed = --lines->bucket_count;
    struct line **to = bucket_at(lines, removed - lines->half);
    while (*to) {
        to = &(*to)->next;
    }
    *to = *bucket_at(lines, removed);
    *bucket_at(lines, removed) = NULL;
    if (removed % CHUNK_BUCKETS == 0) {
        free(lines->chunks[removed / CHUNK_BUCKETS]);
        lines->len -= CHUNK_BUCKETS * sizeof(struct line *);
    }
}

struct line *lines_find(struct lines *lines, const uint8_t client[ID_LEN])
{
    struct line *line = lines->recent;
    if (line && memcmp(line->client, client, ID_LEN) == 0) {
        return line;
    }
    line = *bucket_at(lines, bucket_of(lines, client));
    while (line && memcmp(line->client, client, ID_LEN) != 0) {
        line = line->next;
    }
    lines->recent = line;
    return line;
}

struct line *lines_get(struct lines *lines, const uint8_t client[ID_LEN])
{
    struct line *line = lines_find(lines, client);
    if (line) {
        return line;
    }
    if (lines->line_count >= lines->bucket_count) {
        grow(lines);
    }
    line = memory_get(1, sizeof(*line));
    memcpy(line->client, client, ID_LEN);
    struct line **bucket = bucket_at(lines, bucket_of(lines, client));
    line->next = *bucket;
    *bucket = line;
    lines->line_count++;
    lines->len += sizeof(*line);
    lines->recent = line;
    return line;
}

void lines_remove(struct lines *lines, struct line *line)
{
    struct line **place = bucket_at(lines, bucket_of(lines, line->client));
    while (*place != line) {
        place = &(*place)->next;
    }
    *place = line->next;
    lines->line_count--;
    lines->recent = NULL;
    free_line(lines, line);
    for (int i = 0; i < SHRINK_STEPS; i++) {
        if (lines->bucket_count > CHUNK_BUCKETS && lines->line_count < lines->bucket_count / 2) {
            shrink(lines);
        }
    }
}

/* --- walking --- */

/* Its low 32 bits, the lowest first. */
static uint32_t reverse(uint64_t hash)
{
    uint32_t bits = (uint32_t)hash;
    bits = (bits >> 1 & 0x55555555) | (bits & 0x55555555) << 1;
    bits = (bits >> 2 & 0x33333333) | (bits & 0x33333333) << 2;
    bits = (bits >> 4 & 0x0f0f0f0f) | (bits & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(bits);
}

/*
 * By reversed hashes: of these a bucket holds an interval, which is halved where it splits (Redis' SCAN goes by the
 * same). So what was visited is always all below the cursor.
 */
bool lines_walk(const struct lines *lines, uint64_t *cursor, lines_visit *visit, void *context)
{
    uint32_t bucket = bucket_of_hash(lines, reverse(*cursor));
    bool is_split = bucket >= lines->half || bucket + lines->half < lines->bucket_count;
    uint32_t mask = (is_split ? 2 * lines->half : lines->half) - 1;
    for (struct line *line = lines_bucket(lines, bucket); line; line = line->next) {
        if (reverse(hash_client(lines, line->client)) >= *cursor) {
            visit(context, line);
        }
    }
    *cursor = (*cursor | ~reverse(mask)) + 1;
    return *cursor <= UINT32_MAX;
}

/* --- lists --- */

void line_list_add(struct line_list *list, enum line_place place, struct line *line)
{
    line->links[place] = (struct line_link){.previous = list->last};
    *(list->last ? &list->last->links[place].next : &list->first) = line;
    list->last = line;
}

void line_list_remove(struct line_list *list, enum line_place place, struct line *line)
{
    const struct line_link *link = &line->links[place];
    *(link->previous ? &link->previous->links[place].next : &list->first) = link->next;
    *(link->next ? &link->next->links[place].previous : &list->last) = link->previous;
}

/* --- results --- */

/* How many have a lower seq. Nearly always all: a client counts up. */
static uint32_t count_below(const struct line *line, uint64_t seq)
{
    if (line->kept_count == 0 || line_at(line, line->kept_count - 1)->seq < seq) {
        return line->kept_count;
    }
    uint32_t low = 0;
    uint32_t high = line->kept_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (line_at(line, middle)->seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct kept *line_find(const struct line *line, uint64_t seq)
{
    uint32_t i = count_below(line, seq);
    return i < line->kept_count && line_at(line, i)->seq == seq ? line_at(line, i) : NULL;
}

struct bytes kept_encoded(const struct kept *kept)
{
    return bytes_of(kept->len > KEPT_INLINE_LEN ? kept->encoded.bytes : kept->encoded.inlined,
                    kept->len);
}

static void resize_kept(struct lines *lines, struct line *line, uint32_t capacity)
{
    lines->results_len -= line_results_len(line);
    lines->len -= line->kept_capacity * sizeof(*line->kept);
    lines->len += capacity * sizeof(*line->kept);
    if (capacity == 0) {
        free(line->kept);
        line->kept = NULL;
    } else {
        line->kept = memory_resize(line->kept, capacity, sizeof(*line->kept));
    }
    line->kept_capacity = capacity;
    lines->results_len += line_results_len(line);
}

static void move_to_front(struct line *line)
{
    if (line->kept_count > 0) {
        memmove(line->kept, line_at(line, 0), line->kept_count * sizeof(*line->kept));
    }
    line->kept_first = 0;
}

/* Behind the last one: by moving all to the front when half of the room is there, else by more room. */
static void make_room(struct lines *lines, struct line *line)
{
    if (line->kept_first + line->kept_count < line->kept_capacity) {
        return;
    }
    if (line->kept_first > 0 && line->kept_first >= line->kept_count) {
        move_to_front(line);
        return;
    }
    resize_kept(lines, line, line->kept_capacity ? 2 * line->kept_capacity : LINE_FIRST_CAPACITY);
}

static struct kept *insert(struct lines *lines, struct line *line, uint64_t seq)
{
    make_room(lines, line);
    uint32_t i = count_below(line, seq);
    struct kept *kept = line_at(line, i);
    if (i < line->kept_count) {
        memmove(kept + 1, kept, (line->kept_count - i) * sizeof(*kept));
    }
    line->kept_count++;
    *kept = (struct kept){.seq = seq};
    return kept;
}

struct kept *line_keep(struct lines *lines, struct line *line, uint64_t seq, struct bytes encoded)
{
    struct kept *kept = line_find(line, seq);
    if (kept) {
        free_kept(lines, line, kept);
    } else {
        kept = insert(lines, line, seq);
    }
    kept->len = (uint32_t)encoded.len;
    if (encoded.len > KEPT_INLINE_LEN) {
        kept->encoded.bytes = memory_resize(NULL, 1, encoded.len);
        lines->len += encoded.len;
        lines->results_len += encoded.len;
        line->bytes_len += encoded.len;
        memcpy(kept->encoded.bytes, encoded.data, encoded.len);
    } else if (encoded.len > 0) {
        memcpy(kept->encoded.inlined, encoded.data, encoded.len);
    }
    return kept;
}

static void drop(struct lines *lines, struct line *line, struct kept *kept)
{
    line->kept_dirty_count -= kept->is_dirty ? 1 : 0;
    free_kept(lines, line, kept);
}

/* A line that once had many results and has none keeps little room. */
static void trim(struct lines *lines, struct line *line)
{
    if (line->kept_count > 0) {
        return;
    }
    line->kept_first = 0;
    if (line->kept_capacity > KEEP_CAPACITY) {
        resize_kept(lines, line, LINE_FIRST_CAPACITY);
    }
}

void line_fit(struct lines *lines, struct line *line)
{
    if (line->kept_count < line->kept_capacity) {
        move_to_front(line);
        resize_kept(lines, line, line->kept_count);
    }
}

void line_drop_first(struct lines *lines, struct line *line)
{
    drop(lines, line, line_at(line, 0));
    line->kept_first++;
    line->kept_count--;
    trim(lines, line);
}

void line_drop_points(struct lines *lines, struct line *line, uint64_t start, uint64_t last)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < line->kept_count; i++) {
        struct kept *kept = line_at(line, i);
        if (kept->point >= start && kept->point <= last) {
            drop(lines, line, kept);
        } else {
            *line_at(line, left++) = *kept;
        }
    }
    line->kept_count = left;
    trim(lines, line);
}

/* --- what is gone --- */

void line_add_gone(struct lines *lines, struct line *line, const struct gone *gone)
{
    if (line->gone_count == line->gone_capacity) {
        uint32_t capacity = line->gone_capacity ? 2 * line->gone_capacity : LINE_FIRST_CAPACITY;
        lines->len += (capacity - line->gone_capacity) * sizeof(*line->gone);
        line->gone = memory_resize(line->gone, capacity, sizeof(*line->gone));
        line->gone_capacity = capacity;
    }
    line->gone[line->gone_count++] = *gone;
}

bool line_take_gone(struct line *line, uint64_t seq, uint64_t point)
{
    for (uint32_t i = 0; i < line->gone_count; i++) {
        struct gone *gone = &line->gone[i];
        if (gone->seq == seq && gone->point == point) {
            if (!gone->is_taken) {
                *gone = line->gone[--line->gone_count];
            }
            return true;
        }
    }
    return false;
}

void line_gone_swept(struct lines *lines, struct line *line, bool is_written)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < line->gone_count; i++) {
        struct gone gone = line->gone[i];
        const struct kept *kept = gone.is_taken ? line_find(line, gone.seq) : NULL;
        bool is_kept_again = kept && kept->point == gone.point;
        if (!gone.is_taken || !(is_written || is_kept_again)) {
            gone.is_taken = false;
            line->gone[left++] = gone;
        }
    }
    line->gone_count = left;
    if (left == 0) {
        lines->len -= line->gone_capacity * sizeof(*line->gone);
        line->gone_capacity = 0;
        free(line->gone);
        line->gone = NULL;
    }
}
