/* SPDX-License-Identifier: MIT */
#ifndef PROTO_MAP_H
#define PROTO_MAP_H

/*
 * The range map: who owns which points.
 *
 *     0          0.25                      1
 *     |  entry 0  |         entry 1        |     sorted by start, tiling [0, 1) exactly
 *        epoch 3         epoch 7                 revision 7
 *
 * Each change raises the map's revision; an entry's epoch is the revision at which it last
 * changed (RULES M1). Epochs are compared point by point: what a server or a client holds may be
 * a patchwork of entries from several revisions, still tiling. `map_take` builds it. A redirect brings
 * one entry of revision 9 to a client whose map is of revision 5: a whole map of revision 7 that comes
 * later is newer elsewhere and older there, so neither map as a whole may replace the other.
 */

#include "proto/address.h"
#include "proto/buffer.h"
#include "proto/unpack.h"

#define MAP_SHARDS_MAX  8192
#define MAP_SERVERS_MAX 4096

/* Entries of a patchwork: pieces of several whole maps. */
#define MAP_PIECES_MAX (4 * MAP_SHARDS_MAX)

enum when_full { WHEN_FULL_REJECT = 0, WHEN_FULL_EVICT = 1 };

/*
 * Recorded in the entry of the range that moves (DESIGN §7; tests/model/move.pml has the whole of it):
 *
 *     NONE ──> COPY ──> COMMITTED ──> OPENED ──> NONE        the owner: the source in COPY and ABORTED,
 *               │ ^         └─> UNDO ───^ │                  the target in COMMITTED, UNDO and OPENED
 *               v └─── ABORTED <────┘
 */
enum move_phase {
    MOVE_NONE = 0,
    MOVE_COPY = 1,      /* the source is read, and changes go on there */
    MOVE_COMMITTED = 2, /* the target may open */
    MOVE_ABORTED = 3,   /* the source goes on; the target drops what it has */
    MOVE_UNDO = 4,      /* asked to give the range back, if the target has not opened */
    MOVE_OPENED = 5,    /* the target has opened: the source may delete its copy */
};

#define MOVE_PHASE_LAST MOVE_OPENED

struct map_move {
    enum move_phase phase; /* MOVE_NONE: the other fields are zero */
    uint64_t id;           /* the revision that recorded it */
    uint8_t source[ID_LEN];
    uint8_t target[ID_LEN];
};

struct map_entry {
    char name[NAME_LEN_MAX + 1];
    uint64_t start, end; /* bounds (RULES N3), start < end */
    uint64_t epoch;      /* 0 in a file that a person wrote */
    uint64_t size;       /* bytes of live records; MAP_SIZE_MIN to MAP_SIZE_MAX */
    enum when_full when_full;
    bool is_new;            /* the owner may open it empty (RULES M3) */
    uint8_t server[ID_LEN]; /* the owner; zero until it is bound */
    struct address address; /* where the owner listens */
    struct map_move move;
};

#define MAP_SIZE_MIN 1024

/* 1 PiB: the sum over MAP_SHARDS_MAX shards, and one more, fits 64 bits. */
#define MAP_SIZE_MAX (UINT64_C(1) << 50)

struct map_server {
    uint8_t id[ID_LEN];
    struct address address;
    uint64_t incarnation; /* of the last start seen (RULES M4) */
    uint64_t start;       /* the random number of that start; 0: not known */
    uint64_t capacity;    /* bytes that its shards' sizes may add up to; 0: not told */
    bool is_draining;     /* gets nothing more; what it has is moved off */
};

struct map {
    uint8_t cluster[ID_LEN];  /* zero in a file that a person wrote */
    uint8_t instance[ID_LEN]; /* of the bootstrapd that founded it */
    uint64_t revision;
    uint64_t origin_ms; /* of ids */
    struct map_entry *entries;
    struct map_server *servers;
    uint32_t entry_count;
    uint32_t server_count;
};

/*
 * What is wrong with a map, and where, without the file's name: entries by their index in the input
 * and name, fields as they are written. 'shards[1] "b": end: ...' or 'line 3, column 14: ...'
 */
struct map_error {
    char text[256];
};

void map_fini(struct map *map);

/* False when out of memory; *copy then untouched. */
bool map_copy(const struct map *map, struct map *copy);

/* The JSON that a person writes: sorts, checks as a whole. False: *error says what and where. */
bool map_parse(struct bytes json, struct map *map, struct map_error *error);

/* Appends the JSON of a whole map, two-space indented, what a person may write first in each entry. */
void map_print(const struct map *map, struct buffer *json);

/* Unique names, tiling, sizes, hosts. A gap or overlap is named by its bounds. */
bool map_check(const struct map *map, struct map_error *error);

/* The form that travels and is stored; MessagePack (PROTOCOL.md "map"). */
void map_pack(const struct map *map, struct buffer *out);
void map_pack_entry(const struct map_entry *entry, struct buffer *out);

/* Checks all that map_check does. False on a fault or no memory; *map then untouched. */
bool map_unpack(struct unpack *in, struct map *map, struct map_error *error);
bool map_unpack_entry(struct unpack *in, struct map_entry *entry, struct map_error *error);

/* Bisection. NULL when no entry holds the point (an empty or patchwork map). Valid until the map changes. */
const struct map_entry *map_find(const struct map *map, uint64_t point);
const struct map_entry *map_find_name(const struct map *map, struct bytes name);
const struct map_server *map_find_server(const struct map *map, const uint8_t id[ID_LEN]);

enum map_took { MAP_TOOK_NOTHING, MAP_TOOK, MAP_TOOK_NO_MEMORY };

/*
 * Takes `entry` for the points at which its epoch is higher than the one held, cutting the entries
 * that it displaces (RULES M1); points that no entry held are taken, too. The revision stays: it
 * tells of which whole map the cluster, origin and servers are. A no-memory leaves the map as it was;
 * more than MAP_PIECES_MAX entries count as that.
 */
enum map_took map_take(struct map *map, const struct map_entry *entry);

/* map_take for each entry of `newer`, and its revision, cluster, origin and servers if the revision is higher. */
enum map_took map_take_all(struct map *map, const struct map *newer);

/* "1GiB", "512MiB", "1024", "100 KB" (KB = 1000, KiB = 1024). False unless a whole number of bytes >= 0. */
bool size_parse(struct bytes text, uint64_t *size);

enum { SIZE_TEXT_LEN = 32 };

/* The shortest exact form: "1GiB", "1536MiB", "1000". */
void size_print(uint64_t size, char text[SIZE_TEXT_LEN]);

enum { ID_TEXT_LEN = 2 * ID_LEN + 1 };

/* 32 lower-case hexadecimal digits. */
void id_bytes_print(const uint8_t id[ID_LEN], char text[ID_TEXT_LEN]);
bool id_bytes_parse(struct bytes text, uint8_t id[ID_LEN]);
bool id_bytes_is_zero(const uint8_t id[ID_LEN]);

static inline bool id_bytes_equal(const uint8_t a[ID_LEN], const uint8_t b[ID_LEN])
{
    return memcmp(a, b, ID_LEN) == 0;
}

#endif
