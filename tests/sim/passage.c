/* SPDX-License-Identifier: MIT */
#include "tests/sim/passage.h"

#include "bootstrapd/ledger.h"
#include "shardd/ownership.h"

#include <inttypes.h>
#include <stdio.h>

/* Within which a step may be followed by a crash: as long as the next steps take, or longer. */
#define CRASH_WITHIN_US (SECOND_US / 20)

/* So much likelier is a crash where it is short and rare. */
#define UNDO_FACTOR 5

/* clang-format off */
#define ROW_TABLE(X)                                                                 \
    X(BEGUN,          "bootstrapd: NONE, begun: COPY")                               \
    X(AGAIN,          "bootstrapd: ABORTED, begun again: COPY of another id")        \
    X(COMMITTED,      "bootstrapd: COPY, target READY: COMMITTED")                   \
    X(ABORTED_LOST,   "bootstrapd: COPY, lost: ABORTED")                             \
    X(ABORTED_ASKED,  "bootstrapd: COPY, operator: ABORTED")                         \
    X(OPENED,         "bootstrapd: COMMITTED, target OPEN: OPENED")                  \
    X(UNDO,           "bootstrapd: COMMITTED, operator: UNDO")                       \
    X(UNDO_OPENED,    "bootstrapd: UNDO, target OPEN: OPENED")                       \
    X(UNDONE,         "bootstrapd: UNDO, target READY: ABORTED")                     \
    X(OVER,           "bootstrapd: OPENED, source OUT: NONE")                        \
    X(EDITED,         "bootstrapd: COPY, settings: COPY of the same id")             \
    X(OPEN_COPY,      "owner: OPEN, COPY of another id: live")                       \
    X(OPEN_EDITED,    "owner: OPEN, COPY of the same id: goes on")                   \
    X(FROZEN_EDITED,  "owner: FROZEN, COPY of the same id: goes on")                 \
    X(OPEN_ABORTED,   "owner: OPEN, ABORTED: the stream ends")                       \
    X(OPEN_SAME,      "owner: OPEN, any other: nothing")                             \
    X(THAWED,         "owner: FROZEN, ABORTED or COPY of another id: OPEN")          \
    X(GIVEN_BACK,     "owner: CLOSED: OPEN")                                         \
    X(READY_OPEN,     "owner: READY, COMMITTED: OPEN")                               \
    X(READY_UNDO,     "owner: READY, UNDO: stays")                                   \
    X(FROZEN_CLOSED,  "not owner: FROZEN: CLOSED")                                   \
    X(IMPORT_EDITED,  "not owner: IMPORT, COPY of the same id: stays")               \
    X(READY_EDITED,   "not owner: READY, COPY of the same id: stays")                \
    X(IMPORT_DROP,    "not owner: IMPORT, any other: DROP")                          \
    X(READY_DROP,     "not owner: READY, any other: DROP")                           \
    X(OUT_ANY,        "not owner: OUT: nothing")                                     \
    X(CLOSED_ANY,     "not owner: CLOSED: nothing")                                  \
    X(DELETING_ANY,   "not owner: DELETING: nothing")                                \
    X(FREEZE,         "source: OPEN, FREEZE durable: FROZEN")                        \
    X(DELETE,         "source: CLOSED, OPENED and the walk agrees: DELETING")        \
    X(OUT,            "source, target: DELETING, all is gone: OUT")                  \
    X(IMPORT,         "target: OUT, BEGIN: IMPORT")                                  \
    X(READY,          "target: IMPORT, END, sums agree: READY")
/* clang-format on */

enum row {
#define X(name, text) ROW_##name,
    ROW_TABLE(X)
#undef X
        ROW_COUNT,
};

/* A range at a server. */
enum part {
    PART_OUT,
    PART_OPEN,
    PART_FROZEN,
    PART_CLOSED,
    PART_DELETING,
    PART_IMPORT,
    PART_READY,
    PART_COUNT,
};

enum party { PARTY_BOOTSTRAPD, PARTY_SOURCE, PARTY_TARGET, PARTY_COUNT };

/* An entry of the map that a process has. */
struct spot {
    uint64_t start;
    uint64_t epoch;
    struct map_move move;
    uint32_t server;         /* of the scene; so the next two */
    uint32_t source, target; /* DAEMON_COUNT: none */
    enum part part;          /* a server's */
    enum move_wish wish;     /* bootstrapd's */
};

struct view {
    struct spot spots[SCENE_SHARDS_MAX];
    uint32_t count;
    bool is_up, is_stopping;
};

static struct {
    struct view views[DAEMON_COUNT];
    uint8_t ids[DAEMON_COUNT][ID_LEN]; /* of servers that were up */
    uint64_t run_counts[DAEMON_COUNT]; /* of its node, when that was seen */
    bool is_stale[DAEMON_COUNT];       /* by what another has been seen to be */
    uint64_t rows[ROW_COUNT];
    uint64_t crashes_by_phase[PARTY_COUNT][MOVE_PHASE_LAST + 1];
    uint64_t crashes_by_source[PARTY_COUNT][PART_COUNT];
    uint64_t crashes_by_target[PARTY_COUNT][PART_COUNT];
} passage;

void passage_begin(void)
{
    memset(passage.views, 0, sizeof passage.views);
    memset(passage.ids, 0, sizeof passage.ids);
    memset(passage.run_counts, 0, sizeof passage.run_counts);
}

/* --- what a process holds --- */

static uint32_t server_of(const uint8_t id[ID_LEN])
{
    uint32_t i = DAEMON_SERVER_1;
    while (i < DAEMON_COUNT && memcmp(passage.ids[i], id, ID_LEN) != 0) {
        i++;
    }
    return i;
}

static struct spot spot_of(const struct map_entry *entry)
{
    bool has_move = entry->move.phase != MOVE_NONE;
    return (struct spot){
        .start = entry->start,
        .epoch = entry->epoch,
        .move = entry->move,
        .server = server_of(entry->server),
        .source = has_move ? server_of(entry->move.source) : DAEMON_COUNT,
        .target = has_move ? server_of(entry->move.target) : DAEMON_COUNT,
    };
}

static enum part part_of_moving(enum moving_state state)
{
    switch (state) {
    case MOVING_FROZEN:
        return PART_FROZEN;
    case MOVING_CLOSED:
        return PART_CLOSED;
    case MOVING_DELETING:
        return PART_DELETING;
    case MOVING_IMPORT:
        return PART_IMPORT;
    case MOVING_READY:
        break;
    }
    return PART_READY;
}

/* What goes may lie below what comes. */
static enum part part_at(const struct ownership *ownership, uint64_t bound)
{
    enum part part = PART_OUT;
    for (uint32_t i = 0; i < ownership->range_count; i++) {
        const struct range *range = &ownership->ranges[i];
        part = bound >= range->start && bound < range->end ? PART_OPEN : part;
    }
    for (uint32_t i = 0; i < ownership->movings.count; i++) {
        const struct moving *moving = &ownership->movings.items[i];
        bool is_in = bound >= moving->start && bound < moving->end;
        if (is_in && (moving->state != MOVING_DELETING || part == PART_OUT)) {
            part = part_of_moving(moving->state);
        }
    }
    return part;
}

static void look_at_map(const struct map *map, struct view *view)
{
    for (uint32_t i = 0; i < map->entry_count && i < SCENE_SHARDS_MAX; i++) {
        view->spots[view->count++] = spot_of(&map->entries[i]);
    }
}

static void look_at_bootstrapd(const struct ledger *ledger, struct view *view)
{
    look_at_map(&ledger->map, view);
    for (uint32_t i = 0; i < view->count; i++) {
        struct spot *spot = &view->spots[i];
        for (uint32_t j = 0; j < ledger->moves.count; j++) {
            const struct move *move = &ledger->moves.items[j];
            spot->wish = move->id == spot->move.id ? move->wish : spot->wish;
        }
    }
}

static void look_at_server(const struct ownership *ownership, struct view *view)
{
    look_at_map(&ownership->map, view);
    for (uint32_t i = 0; i < view->count; i++) {
        view->spots[i].part = part_at(ownership, view->spots[i].start);
    }
}

/* --- rows --- */

static enum row row_of_phase(const struct spot *before, const struct spot *now)
{
    switch (now->move.phase) {
    case MOVE_COPY:
        return before->move.phase == MOVE_NONE      ? ROW_BEGUN
               : before->move.phase == MOVE_ABORTED ? ROW_AGAIN
                                                    : ROW_EDITED;
    case MOVE_COMMITTED:
        return before->move.phase == MOVE_COPY ? ROW_COMMITTED : ROW_COUNT;
    case MOVE_ABORTED:
        return before->move.phase == MOVE_UNDO   ? ROW_UNDONE
               : before->move.phase != MOVE_COPY ? ROW_COUNT
               : before->wish == WISH_ABORT      ? ROW_ABORTED_ASKED
                                                 : ROW_ABORTED_LOST;
    case MOVE_UNDO:
        return before->move.phase == MOVE_COMMITTED ? ROW_UNDO : ROW_COUNT;
    case MOVE_OPENED:
        return before->move.phase == MOVE_UNDO        ? ROW_UNDO_OPENED
               : before->move.phase == MOVE_COMMITTED ? ROW_OPENED
                                                      : ROW_COUNT;
    case MOVE_NONE:
        break;
    }
    return before->move.phase == MOVE_OPENED ? ROW_OVER : ROW_COUNT;
}

static bool is_same_copy(const struct spot *before, const struct spot *now)
{
    return now->move.phase == MOVE_COPY && before->move.phase == MOVE_COPY &&
           now->move.id == before->move.id;
}

static enum row row_of_own(const struct spot *before, const struct spot *now)
{
    switch (before->part) {
    case PART_OPEN:
        return is_same_copy(before, now)         ? ROW_OPEN_EDITED
               : now->move.phase == MOVE_COPY    ? ROW_OPEN_COPY
               : now->move.phase == MOVE_ABORTED ? ROW_OPEN_ABORTED
                                                 : ROW_OPEN_SAME;
    case PART_FROZEN:
        return is_same_copy(before, now) ? ROW_FROZEN_EDITED : ROW_THAWED;
    case PART_CLOSED:
        return ROW_GIVEN_BACK;
    case PART_READY:
        return now->part == PART_OPEN ? ROW_READY_OPEN : ROW_READY_UNDO;
    case PART_OUT:
    case PART_IMPORT:
    case PART_DELETING:
    case PART_COUNT:
        break;
    }
    return ROW_COUNT;
}

static enum row row_of_anothers(const struct spot *before, const struct spot *now)
{
    switch (before->part) {
    case PART_FROZEN:
        return ROW_FROZEN_CLOSED;
    case PART_IMPORT:
        return is_same_copy(before, now) ? ROW_IMPORT_EDITED : ROW_IMPORT_DROP;
    case PART_READY:
        return is_same_copy(before, now) ? ROW_READY_EDITED : ROW_READY_DROP;
    case PART_OUT:
        return ROW_OUT_ANY;
    case PART_CLOSED:
        return ROW_CLOSED_ANY;
    case PART_DELETING:
        return ROW_DELETING_ANY;
    case PART_OPEN:
    case PART_COUNT:
        break;
    }
    return ROW_COUNT;
}

static enum row row_of_step(enum part before, enum part now)
{
    switch (now) {
    case PART_FROZEN:
        return before == PART_OPEN ? ROW_FREEZE : ROW_COUNT;
    case PART_DELETING:
        return before == PART_CLOSED ? ROW_DELETE : ROW_COUNT;
    case PART_OUT:
        return before == PART_DELETING ? ROW_OUT : ROW_COUNT;
    case PART_IMPORT:
        return before == PART_OUT ? ROW_IMPORT : ROW_COUNT;
    case PART_READY:
        return before == PART_IMPORT ? ROW_READY : ROW_COUNT;
    case PART_OPEN:
    case PART_CLOSED:
    case PART_COUNT:
        break;
    }
    return ROW_COUNT;
}

static enum row row_of(uint32_t daemon, const struct spot *before, const struct spot *now)
{
    if (daemon == DAEMON_BOOTSTRAPD) {
        return now->epoch > before->epoch ? row_of_phase(before, now) : ROW_COUNT;
    }
    if (now->epoch <= before->epoch) {
        return row_of_step(before->part, now->part);
    }
    if (now->move.phase == MOVE_NONE && before->move.phase == MOVE_NONE) {
        return ROW_COUNT;
    }
    return now->server == daemon ? row_of_own(before, now) : row_of_anothers(before, now);
}

static const struct spot *spot_at(const struct view *view, uint64_t start)
{
    for (uint32_t i = 0; i < view->count; i++) {
        if (view->spots[i].start == start) {
            return &view->spots[i];
        }
    }
    return NULL;
}

/* UNDO lasts as long as a push and its answer: no other crash would often fall into it. */
static void tempt_undone(const struct scene *scene, const struct spot *spot)
{
    const struct swarm *swarm = world_swarm();
    for (uint32_t i = 0; i < scene->daemon_count; i++) {
        if (i == DAEMON_BOOTSTRAPD || i == spot->source || i == spot->target) {
            world_tempt_fate(daemon_node(scene->daemons[i]), UNDO_FACTOR * swarm->move_crash_ppm,
                             UINT64_C(2) * swarm->latency_us);
        }
    }
}

/* True: something of a move has changed. */
static bool compare(const struct scene *scene, uint32_t daemon, const struct view *before,
                    const struct view *now)
{
    bool has_changed = false;
    for (uint32_t i = 0; i < now->count; i++) {
        const struct spot *spot = spot_at(before, now->spots[i].start);
        enum row row = spot ? row_of(daemon, spot, &now->spots[i]) : ROW_COUNT;
        if (row != ROW_COUNT) {
            passage.rows[row] += counter_is_on();
            trace("row", daemon, row);
            has_changed = true;
            if (row == ROW_UNDO) {
                tempt_undone(scene, &now->spots[i]);
            }
        }
    }
    return has_changed;
}

/* --- crashes --- */

static void note_crash_at(uint32_t daemon, const struct spot *spot)
{
    enum party party = daemon == DAEMON_BOOTSTRAPD ? PARTY_BOOTSTRAPD
                       : daemon == spot->source    ? PARTY_SOURCE
                       : daemon == spot->target    ? PARTY_TARGET
                                                   : PARTY_COUNT;
    if (party == PARTY_COUNT || spot->source == DAEMON_COUNT || spot->target == DAEMON_COUNT) {
        return;
    }
    const struct spot *at_source = spot_at(&passage.views[spot->source], spot->start);
    const struct spot *at_target = spot_at(&passage.views[spot->target], spot->start);
    passage.crashes_by_phase[party][spot->move.phase]++;
    if (at_source) {
        passage.crashes_by_source[party][at_source->part]++;
    }
    if (at_target) {
        passage.crashes_by_target[party][at_target->part]++;
    }
}

static void note_crash(uint32_t daemon)
{
    const struct view *map = &passage.views[DAEMON_BOOTSTRAPD];
    for (uint32_t i = 0; i < map->count && counter_is_on(); i++) {
        if (map->spots[i].move.phase != MOVE_NONE) {
            note_crash_at(daemon, &map->spots[i]);
        }
    }
}

/* --- --- */

/* Views name servers by their ids. */
static void learn_id(uint32_t server, const uint8_t id[ID_LEN])
{
    if (memcmp(passage.ids[server], id, ID_LEN) != 0) {
        memcpy(passage.ids[server], id, ID_LEN);
        memset(passage.is_stale, true, sizeof passage.is_stale);
    }
}

static void see(const struct scene *scene, uint32_t i)
{
    const struct daemon *daemon = scene->daemons[i];
    struct view *view = &passage.views[i];
    struct view now = {.is_up = true, .is_stopping = daemon_is_stopping(daemon)};
    const struct ownership *ownership = daemon_ownership(daemon);
    const struct ledger *ledger = daemon_ledger(daemon);
    if (!ownership && !ledger) {
        if (view->is_up && !view->is_stopping) {
            note_crash(i);
        }
        view->is_up = false;
        return;
    }
    if (ledger) {
        look_at_bootstrapd(ledger, &now);
    } else {
        learn_id(i, ownership->server);
        look_at_server(ownership, &now);
    }
    bool has_changed = compare(scene, i, view, &now);
    *view = now;
    if (has_changed) {
        uint64_t victim = world_below(scene->daemon_count);
        world_tempt_fate(daemon_node(scene->daemons[victim]), world_swarm()->move_crash_ppm,
                         world_around(CRASH_WITHIN_US));
    }
}

void passage_see(const struct scene *scene)
{
    for (uint32_t i = 0; i < scene->daemon_count && world_swarm()->move_mean_ms; i++) {
        uint64_t run_count = daemon_node(scene->daemons[i])->run_count;
        if (run_count != passage.run_counts[i] || passage.is_stale[i]) {
            passage.run_counts[i] = run_count;
            passage.is_stale[i] = false;
            see(scene, i);
        }
    }
}

bool passage_is_over(const struct scene *scene)
{
    const struct ledger *ledger = daemon_ledger(scene->daemons[DAEMON_BOOTSTRAPD]);
    bool is_over = ledger && ledger->moves.count == 0;
    for (uint32_t i = 0; is_over && i < ledger->map.entry_count; i++) {
        enum move_phase phase = ledger->map.entries[i].move.phase;
        is_over = phase == MOVE_NONE || phase == MOVE_ABORTED;
    }
    for (uint32_t i = DAEMON_SERVER_1; i < scene->daemon_count; i++) {
        const struct ownership *ownership = daemon_ownership(scene->daemons[i]);
        is_over = is_over && ownership && ownership->movings.count == 0;
    }
    return is_over;
}

/* --- the report --- */

static const char *const party_texts[PARTY_COUNT] = {"bootstrapd", "source", "target"};
static const char *const part_texts[PART_COUNT] = {"OUT",      "OPEN",   "FROZEN", "CLOSED",
                                                   "DELETING", "IMPORT", "READY"};
static const char *const phase_texts[] = {"NONE", "COPY", "COMMITTED", "ABORTED", "UNDO", "OPENED"};

static void print_rest_of_map(const struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->moves.count; i++) {
        const struct move *move = &ledger->moves.items[i];
        printf("# move %" PRIu64 " of %s: course %d, id %" PRIu64 ", %" PRIu32
               " tries, server %" PRIu32 " to %" PRIu32 "%s: %s\n",
               move->number, move->shard, (int)move->course, move->id, move->try_count,
               server_of(move->source), server_of(move->target), move->is_paused ? ", paused" : "",
               move->reason);
    }
    for (uint32_t i = 0; i < ledger->map.entry_count; i++) {
        const struct map_entry *entry = &ledger->map.entries[i];
        if (entry->move.phase != MOVE_NONE) {
            printf("# %s: %s, id %" PRIu64 ", epoch %" PRIu64 ", of server %" PRIu32 "\n",
                   entry->name, phase_texts[entry->move.phase], entry->move.id, entry->epoch,
                   server_of(entry->server));
        }
    }
}

void passage_print_rest(const struct scene *scene)
{
    const struct ledger *ledger = daemon_ledger(scene->daemons[DAEMON_BOOTSTRAPD]);
    if (ledger) {
        print_rest_of_map(ledger);
    }
    for (uint32_t i = DAEMON_SERVER_1; i < scene->daemon_count; i++) {
        const struct ownership *ownership = daemon_ownership(scene->daemons[i]);
        printf("# server %" PRIu32 " is %s\n", i, ownership ? "up" : "down");
        for (uint32_t j = 0; ownership && j < ownership->movings.count; j++) {
            const struct moving *moving = &ownership->movings.items[j];
            printf("# server %" PRIu32 ": id %" PRIu64 " is %s, bounds %" PRIu64 " to %" PRIu64
                   "\n",
                   i, moving->id, part_texts[part_of_moving(moving->state)], moving->start,
                   moving->end);
        }
    }
}

static bool print_count(uint64_t value, const char *who, const char *where, const char *state)
{
    printf("# counters: %10" PRIu64 " crashes of %s while %s is %s\n", value, who, where, state);
    return value > 0;
}

/* Of those, OUT and DELETING of a target end a move, as OPEN of a source does. */
static bool print_crashes(enum party party)
{
    static const enum part source_parts[] = {PART_OPEN, PART_FROZEN, PART_CLOSED, PART_DELETING};
    static const enum part target_parts[] = {PART_OUT, PART_IMPORT, PART_READY, PART_OPEN,
                                             PART_DELETING};
    const char *who = party_texts[party];
    bool are_all_there = true;
    for (enum move_phase phase = MOVE_COPY; phase <= MOVE_PHASE_LAST; phase++) {
        are_all_there &=
            print_count(passage.crashes_by_phase[party][phase], who, "the map", phase_texts[phase]);
    }
    for (size_t i = 0; i < sizeof source_parts / sizeof source_parts[0]; i++) {
        enum part part = source_parts[i];
        are_all_there &= print_count(passage.crashes_by_source[party][part], who, "the source",
                                     part_texts[part]);
    }
    for (size_t i = 0; i < sizeof target_parts / sizeof target_parts[0]; i++) {
        enum part part = target_parts[i];
        are_all_there &= print_count(passage.crashes_by_target[party][part], who, "the target",
                                     part_texts[part]);
    }
    return are_all_there;
}

bool passage_print(void)
{
    static const char *const texts[ROW_COUNT] = {
#define X(name, text) [ROW_##name] = (text),
        ROW_TABLE(X)
#undef X
    };
    bool are_all_there = true;
    for (uint32_t i = 0; i < ROW_COUNT; i++) {
        printf("# counters: %10" PRIu64 " %s\n", passage.rows[i], texts[i]);
        are_all_there &= passage.rows[i] > 0;
    }
    for (enum party party = 0; party < PARTY_COUNT; party++) {
        are_all_there &= print_crashes(party);
    }
    return are_all_there;
}
