/* SPDX-License-Identifier: MIT */
#include "tests/sim/mints.h"

#include "proto/id.h"
#include "proto/point.h"
#include "shardd/minter.h"
#include "shardd/ownership.h"
#include "tests/sim/heap.h"

#include <inttypes.h>

enum { MARKS_MAX = 1 + SCENE_FOUNDED_MAX * SCENE_CUTS_MAX };

/* Up to so much behind the ids that were given the clock may be: RULES I3, and what a reserve is further than ids. */
#define BEHIND_MS (MINTER_BEHIND_MS - MINTER_AHEAD_MS - MINTER_RESERVE_MS)

/* Ids that follow each other: first to last. */
struct run {
    uint64_t first, last;
};

struct runs {
    struct run *items;
    size_t count, capacity;
};

/* Where a part of the slice may begin. */
struct mark {
    uint64_t point;
    uint64_t last;  /* that was given by who served the point */
    uint32_t giver; /* who that was; 0: nobody yet */
};

struct slice {
    uint32_t number;
    struct runs given[DAEMON_COUNT]; /* by each server: in its order, which grows */
    struct runs told;                /* in order; so the next one */
    struct runs brought;             /* with records that were there before */
    struct mark marks[MARKS_MAX];
    uint32_t mark_count;
};

static struct {
    const struct scene *scene;
    struct slice *slices;
    uint32_t count, capacity;
    uint32_t places[ID_SHARD_COUNT]; /* in slices, from 1; 0: not there */
    uint64_t most_ms[DAEMON_COUNT];  /* of all ids that the server gave, since the origin */
    /* Since the origin: reserved before its start, or handed over. */
    uint64_t passed_ms[DAEMON_COUNT];
    uint64_t seen_ms[DAEMON_COUNT]; /* since 1970: its clock's latest since its start */
    uint64_t refused;
} mints;

void mints_begin(const struct scene *scene)
{
    memset(&mints, 0, sizeof mints);
    mints.scene = scene;
}

void mints_end(void)
{
    for (uint32_t i = 0; i < mints.count; i++) {
        for (uint32_t j = 0; j < DAEMON_COUNT; j++) {
            world_put(mints.slices[i].given[j].items);
        }
        world_put(mints.slices[i].told.items);
        world_put(mints.slices[i].brought.items);
    }
    world_put(mints.slices);
    mints.slices = NULL;
    mints.count = 0;
}

uint64_t mints_refused(void)
{
    return mints.refused;
}

/* --- runs --- */

/* The first that ends at or behind `id`. */
static size_t find(const struct runs *runs, uint64_t id)
{
    size_t low = 0;
    size_t high = runs->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (runs->items[middle].last < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool does_meet(const struct runs *runs, uint64_t first, uint64_t last)
{
    size_t at = find(runs, first);
    return at < runs->count && runs->items[at].first <= last;
}

/* It meets none that is there. */
static void insert(struct runs *runs, uint64_t first, uint64_t last)
{
    size_t at = find(runs, first);
    if (at > 0 && runs->items[at - 1].last + 1 == first) {
        runs->items[at - 1].last = last;
        return;
    }
    if (runs->count == runs->capacity) {
        runs->capacity = runs->capacity ? 2 * runs->capacity : 32;
        runs->items = world_resize(runs->items, runs->capacity * sizeof(struct run));
    }
    memmove(&runs->items[at + 1], &runs->items[at], (runs->count - at) * sizeof(struct run));
    runs->items[at] = (struct run){first, last};
    runs->count++;
}

/* --- slices --- */

static void add_mark(struct slice *slice, uint64_t bound)
{
    slice->marks[slice->mark_count++] = (struct mark){.point = point_of_bound(bound)};
}

static void draw_marks(struct slice *slice)
{
    uint64_t start = id_shard_bound(slice->number);
    add_mark(slice, start);
    for (uint32_t i = 0; i < mints.scene->founded_count; i++) {
        for (uint32_t j = 0; j < SCENE_CUTS_MAX; j++) {
            uint64_t cut = mints.scene->cuts[i][j];
            if (cut > start && cut < id_shard_bound(slice->number + 1)) {
                add_mark(slice, cut);
            }
        }
    }
}

/* Until another is asked for. */
static struct slice *get_slice(uint32_t number)
{
    if (!mints.places[number]) {
        if (mints.count == mints.capacity) {
            mints.capacity = mints.capacity ? 2 * mints.capacity : 8;
            mints.slices = world_resize(mints.slices, mints.capacity * sizeof(struct slice));
        }
        struct slice *slice = &mints.slices[mints.count++];
        memset(slice, 0, sizeof *slice);
        slice->number = number;
        draw_marks(slice);
        mints.places[number] = mints.count;
    }
    return &mints.slices[mints.places[number] - 1];
}

/* --- what a server gives --- */

static uint32_t current_server(void)
{
    uint32_t i = DAEMON_SERVER_1;
    while (i < mints.scene->daemon_count &&
           daemon_node(mints.scene->daemons[i]) != world_current()) {
        i++;
    }
    if (i == mints.scene->daemon_count) {
        violation("ids are given by who is no server");
    }
    return i;
}

static bool does_serve(uint32_t server, uint64_t point)
{
    return daemon_serves(mints.scene->daemons[server], point);
}

static bool does_own(const struct ownership *ownership, uint64_t point)
{
    for (uint32_t i = 0; i < ownership->range_count; i++) {
        const struct range *range = &ownership->ranges[i];
        if (point_in(point, range->start, range->end)) {
            return range->state == RANGE_OPEN;
        }
    }
    return false;
}

/* What had come before it began to stop is still carried out. */
static bool may_give(uint32_t server, uint64_t point)
{
    const struct daemon *daemon = mints.scene->daemons[server];
    return does_serve(server, point) ||
           (daemon_is_stopping(daemon) && does_own(daemon_ownership(daemon), point));
}

/* RULES I1: only an owner gives ids, and only those whose points are in the range that it was asked for. */
static void check_points(uint32_t server, const struct mint_wish *wish, const struct run *run)
{
    uint32_t number = id_shard_of_point(wish->point);
    bool is_whole =
        id_shard_bound(number) >= wish->start && id_shard_bound(number + 1) <= wish->end;
    if (id_shard(run->first) != number || id_shard(run->last) != number ||
        id_ms(run->first) != id_ms(run->last)) {
        violation("ids %" PRIu64 " to %" PRIu64 " are not all of slice %u", run->first, run->last,
                  number);
    }
    for (uint64_t id = run->first; id <= run->last && !is_whole; id++) {
        if (!point_in(id_point(id), wish->start, wish->end) || !may_give(server, id_point(id))) {
            violation("server %u gives id %" PRIu64 ", whose point is not of the range", server,
                      id);
        }
    }
}

static void check_range(uint32_t server, const struct mint_wish *wish)
{
    uint64_t last = wish->end == BOUND_END ? UINT64_MAX : point_of_bound(wish->end) - 1;
    if (!may_give(server, point_of_bound(wish->start)) || !may_give(server, last) ||
        !point_in(wish->point, wish->start, wish->end)) {
        violation("server %u gives ids for a range that it does not serve", server);
    }
}

/* RULES I3: of the clock, or of what was reserved before the start or handed over by a move, if that is later. */
static uint64_t bound_ms(uint32_t server)
{
    uint64_t passed_ms = ID_ORIGIN_MS + mints.passed_ms[server];
    return passed_ms > mints.seen_ms[server] ? passed_ms : mints.seen_ms[server];
}

/* RULES I3 */
static void check_time(uint32_t server, const struct mint_wish *wish, const struct run *run)
{
    uint64_t most_ms = mints.most_ms[server];
    if (ID_ORIGIN_MS + id_ms(run->last) > bound_ms(server) + MINTER_AHEAD_MS) {
        violation("server %u gives id %" PRIu64 ", more than a second ahead", server, run->last);
    }
    if (most_ms && ID_ORIGIN_MS + most_ms > wish->now_ms + MINTER_BEHIND_MS) {
        violation("server %u gives ids, and its clock is more than ten minutes behind", server);
    }
}

/* RULES I2: over all its restarts. */
static void check_reserve(uint32_t server, const struct minter *minter)
{
    if (minter_reserved_ms(minter) < mints.most_ms[server]) {
        violation("server %u has reserved up to %" PRIu64 " ms, and has given ids of %" PRIu64
                  " ms",
                  server, minter_reserved_ms(minter), mints.most_ms[server]);
    }
}

/* RULES I1, I2: by its own order, over all its restarts; and nobody else has given one of them. */
static void check_new(uint32_t server, const struct slice *slice, const struct run *run)
{
    const struct runs *own = &slice->given[server];
    if (own->count && own->items[own->count - 1].last >= run->first) {
        violation("server %u gives id %" PRIu64 " of slice %u, and has given %" PRIu64, server,
                  run->first, slice->number, own->items[own->count - 1].last);
    }
    if (does_meet(&slice->brought, run->first, run->last)) {
        violation("server %u gives one of the ids %" PRIu64 " to %" PRIu64
                  ", with which a record was written before",
                  server, run->first, run->last);
    }
    for (uint32_t i = DAEMON_SERVER_1; i < DAEMON_COUNT; i++) {
        if (i != server && does_meet(&slice->given[i], run->first, run->last)) {
            violation("server %u gives ids %" PRIu64 " to %" PRIu64 " of slice %u, as did %u",
                      server, run->first, run->last, slice->number, i);
        }
    }
}

/* To be counted. */
struct seen {
    bool is_new_owner; /* the first ids behind a move */
    bool is_split;     /* another server gives of this slice, too */
};

/* RULES I2: at each point over moves, too. */
static void pass_marks(uint32_t server, struct slice *slice, const struct run *run,
                       struct seen *seen)
{
    for (uint32_t i = 0; i < slice->mark_count; i++) {
        struct mark *mark = &slice->marks[i];
        bool is_others = mark->giver && mark->giver != server;
        if (!does_serve(server, mark->point)) {
            seen->is_split |= is_others && does_serve(mark->giver, mark->point);
            continue;
        }
        if (mark->last >= run->first) {
            violation("server %u gives id %" PRIu64 " of slice %u, where %u gave %" PRIu64
                      " at point %" PRIu64,
                      server, run->first, slice->number, mark->giver, mark->last, mark->point);
        }
        seen->is_new_owner |= is_others;
        mark->last = run->last;
        mark->giver = server;
    }
}

static void give(uint32_t server, const struct mint_wish *wish, const struct mint_run *runs,
                 uint32_t run_count)
{
    struct slice *slice = get_slice(id_shard_of_point(wish->point));
    struct seen seen = {0};
    check_range(server, wish);
    for (uint32_t i = 0; i < run_count; i++) {
        struct run run = {runs[i].first, runs[i].first + runs[i].count - 1};
        check_points(server, wish, &run);
        check_time(server, wish, &run);
        check_new(server, slice, &run);
        pass_marks(server, slice, &run, &seen);
        insert(&slice->given[server], run.first, run.last);
        trace("given", run.first, runs[i].count);
    }
    count_if(seen.is_new_owner, COUNT_MINT_MOVED);
    count_if(seen.is_split, COUNT_MINT_SPLIT);
    /* Last: the ids of one answer are looked at with the clock that it was given by. */
    uint64_t ms = run_count ? id_ms(runs[run_count - 1].first) : 0;
    mints.most_ms[server] = ms > mints.most_ms[server] ? ms : mints.most_ms[server];
}

/* RULES I3: as long as all ids that there are, whoever gave them, and all clocks are not ahead of it, it may not refuse. */
static void check_refusal(uint32_t server, const struct minter *minter,
                          const struct mint_wish *wish)
{
    uint64_t most_ms = bound_ms(server);
    for (uint32_t i = DAEMON_SERVER_1; i < mints.scene->daemon_count; i++) {
        const struct node *node = daemon_node(mints.scene->daemons[i]);
        uint64_t ms = world_most_wall_ms(node, 0, world_now_us());
        most_ms = ms > most_ms ? ms : most_ms;
    }
    if (wish->now_ms + BEHIND_MS >= most_ms) {
        violation("server %u says that its clock is ten minutes behind: %" PRIu64
                  " ms, reserved %" PRIu64 " ms, but no clock was ahead of %" PRIu64 " ms",
                  server, wish->now_ms, ID_ORIGIN_MS + minter_reserved_ms(minter), most_ms);
    }
    count(COUNT_MINT_BEHIND);
    mints.refused++;
}

/* Then ids may be up to ten minutes ahead of a clock, until it has caught up: given before it went back, or elsewhere. */
static bool is_any_clock_stepped(void)
{
    bool is_stepped = false;
    for (uint32_t i = DAEMON_SERVER_1; i < mints.scene->daemon_count; i++) {
        is_stepped |= daemon_node(mints.scene->daemons[i])->clock_step_count > 0;
    }
    return is_stepped;
}

/* Why it waits: of a second ahead nothing is left, or the reserve is on its way. */
static void note_waiting(const struct minter *minter, const struct mint_wish *wish)
{
    uint32_t number = id_shard_of_point(wish->point);
    uint64_t last_ms =
        ID_ORIGIN_MS + minter_given_ms(minter, id_shard_bound(number), id_shard_bound(number + 1));
    uint64_t ahead_ms = mints.seen_ms[current_server()] + MINTER_AHEAD_MS;
    mints.refused += last_ms >= ahead_ms && is_any_clock_stepped();
    count_if(last_ms == ahead_ms, COUNT_MINT_AHEAD); /* above it: a clock has gone back */
}

/* The linker's (-Wl,--wrap), as the next two. */
struct minter *__real_minter_new(uint64_t reserved_ms, minter_reserve *reserve, void *context);
struct minter *__wrap_minter_new(uint64_t reserved_ms, minter_reserve *reserve, void *context);

struct minter *__wrap_minter_new(uint64_t reserved_ms, minter_reserve *reserve, void *context)
{
    mints.passed_ms[current_server()] = reserved_ms;
    mints.seen_ms[current_server()] = 0;
    return __real_minter_new(reserved_ms, reserve, context);
}

void __real_minter_take_over(struct minter *minter, uint64_t start, uint64_t end, uint64_t ms);
void __wrap_minter_take_over(struct minter *minter, uint64_t start, uint64_t end, uint64_t ms);

void __wrap_minter_take_over(struct minter *minter, uint64_t start, uint64_t end, uint64_t ms)
{
    uint64_t *passed_ms = &mints.passed_ms[current_server()];
    *passed_ms = ms > *passed_ms ? ms : *passed_ms;
    __real_minter_take_over(minter, start, end, ms);
}

enum mint_result __real_minter_mint(struct minter *minter, const struct mint_wish *wish,
                                    const struct mint_run **runs, uint32_t *run_count);
enum mint_result __wrap_minter_mint(struct minter *minter, const struct mint_wish *wish,
                                    const struct mint_run **runs, uint32_t *run_count);

enum mint_result __wrap_minter_mint(struct minter *minter, const struct mint_wish *wish,
                                    const struct mint_run **runs, uint32_t *run_count)
{
    uint64_t *seen_ms = &mints.seen_ms[current_server()];
    *seen_ms = wish->now_ms > *seen_ms ? wish->now_ms : *seen_ms;
    check_reserve(current_server(), minter);
    enum mint_result result = __real_minter_mint(minter, wish, runs, run_count);
    switch (result) {
    case MINT_DONE:
        give(current_server(), wish, *runs, *run_count);
        break;
    case MINT_LATER:
        note_waiting(minter, wish);
        break;
    case MINT_BEHIND:
        check_refusal(current_server(), minter, wish);
        break;
    }
    return result;
}

/* --- what clients are told --- */

static const struct run *find_given(uint64_t id)
{
    const struct slice *slice = get_slice(id_shard(id));
    for (uint32_t i = DAEMON_SERVER_1; i < DAEMON_COUNT; i++) {
        const struct runs *runs = &slice->given[i];
        size_t at = find(runs, id);
        if (at < runs->count && runs->items[at].first <= id) {
            return &runs->items[at];
        }
    }
    return NULL;
}

bool mints_is_given(uint64_t id)
{
    return find_given(id) != NULL;
}

static void tell(uint64_t first, uint64_t last)
{
    struct slice *slice = get_slice(id_shard(first));
    for (uint64_t id = first; id <= last;) {
        const struct run *given = find_given(id);
        if (!given) {
            violation("a client has id %" PRIu64 ", which nobody gave", id);
        }
        id = given->last + 1;
    }
    if (does_meet(&slice->told, first, last)) {
        violation("one of the ids %" PRIu64 " to %" PRIu64 " is told a second time", first, last);
    }
    insert(&slice->told, first, last);
}

void mints_tell(const uint64_t *ids, size_t id_count)
{
    size_t from = 0;
    for (size_t i = 1; i <= id_count; i++) {
        if (i < id_count && ids[i] <= ids[i - 1]) {
            violation("ids do not grow: %" PRIu64 ", then %" PRIu64, ids[i - 1], ids[i]);
        }
        if (i == id_count || ids[i] != ids[i - 1] + 1 || id_shard(ids[i]) != id_shard(ids[from])) {
            tell(ids[from], ids[i - 1]);
            from = i;
        }
    }
    count_many(id_count, COUNT_MINT_IDS);
}

void mints_bring(uint64_t id)
{
    struct slice *slice = get_slice(id_shard(id));
    if (!does_meet(&slice->brought, id, id)) {
        insert(&slice->brought, id, id);
    }
}
