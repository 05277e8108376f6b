/* SPDX-License-Identifier: MIT */
#include "tests/sim/carrier.h"

#include "bootstrapd/ledger.h"
#include "proto/pack.h"
#include "shardd/ownership.h"
#include "tests/sim/client.h"
#include "tests/sim/fiber.h"
#include "tests/sim/heap.h"
#include "tests/sim/passage.h"

#include <stdio.h>

#define CARRIER_PORT 6300
#define TIMEOUT_MS   2000

/* All tries of a move that cannot succeed take a minute, and several wait for each other. */
#define END_WITHIN_US (240 * SECOND_US)

/* What is to be caught lasts some turns of the network; each look costs one event. */
#define STALK_US      (SECOND_US)
#define STALK_STEP_US 500

/* Of a process that is killed there. */
#define DOWN_US (SECOND_US / 2)

/* Of those that are caught at a state so many times more are killed than of those that pass one. */
#define CRASH_FACTOR 5

/* A move asked for now may be any of the last ones. */
enum { NUMBERS_RECENT = 3 };

struct carrier {
    struct scene *scene;
    uint64_t last_number; /* of a move */
};

/* --- requests --- */

static const struct ledger *ledger_of(const struct carrier *carrier)
{
    return daemon_ledger(carrier->scene->daemons[DAEMON_BOOTSTRAPD]);
}

/* Takes the params. Whatever is refused may be asked for again, or not. */
static enum skv_status ask(struct skv *kv, const struct carrier *carrier, const char *method,
                           struct buffer *params, struct skv_record *record)
{
    struct daemon *bootstrapd = carrier->scene->daemons[DAEMON_BOOTSTRAPD];
    daemon_forget_map_text(bootstrapd);
    enum skv_status status =
        skv_request(kv, daemon_address(bootstrapd), method, skv_msgpack(params->data, params->len),
                    TIMEOUT_MS, record);
    trace_text(method);
    trace("asked", (uint64_t)status, 0);
    if (status != SKV_OK) {
        trace_text(skv_error()->text);
    }
    buffer_fini(params);
    return status;
}

/* True when there is none to add, too. */
static bool is_added(const struct carrier *carrier)
{
    const struct ledger *ledger = ledger_of(carrier);
    bool is_there = !world_swarm()->has_third_server;
    for (uint32_t i = 0; ledger && i < ledger->map.server_count; i++) {
        const struct address *address = &ledger->map.servers[i].address;
        is_there |= scene_server_at(carrier->scene, address) == DAEMON_SERVER_3;
    }
    return is_there;
}

static void add_server(struct skv *kv, const struct carrier *carrier)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    pack_array(&params, 1);
    pack_text(&params, daemon_address(carrier->scene->daemons[DAEMON_SERVER_3]));
    (void)ask(kv, carrier, "server.add", &params, &record);
    skv_record_fini(&record);
}

struct wish {
    char shard[NAME_LEN_MAX + 1];
    uint32_t target;
    bool is_part;
    uint64_t from, until;
    uint64_t bytes_per_s;
    bool is_forced;
};

/* From one of the cuts in it on, or up to one, or between both. */
static void draw_part(const struct scene *scene, const struct map_entry *entry, struct wish *wish)
{
    uint64_t bounds[SCENE_FOUNDED_MAX * SCENE_CUTS_MAX + 2];
    uint32_t count = 0;
    bounds[count++] = entry->start;
    bounds[count++] = entry->end;
    for (uint32_t i = 0; i < scene->founded_count; i++) {
        for (uint32_t j = 0; j < SCENE_CUTS_MAX; j++) {
            uint64_t cut = scene->cuts[i][j];
            bounds[count] = cut;
            count += cut > entry->start && cut < entry->end;
        }
    }
    uint64_t one = bounds[world_below(count)];
    uint64_t other = bounds[world_below(count)];
    wish->is_part = one != other;
    wish->from = one < other ? one : other;
    wish->until = one < other ? other : one;
}

/* Any but the owner. */
static uint32_t draw_target(const struct scene *scene, uint32_t owner)
{
    uint32_t server_count = scene->daemon_count - DAEMON_SERVER_1;
    uint32_t step = (uint32_t)world_between(1, server_count - 1);
    return DAEMON_SERVER_1 + (owner - DAEMON_SERVER_1 + step) % server_count;
}

/* False: bootstrapd is down, or has no map. */
static bool draw_wish(const struct carrier *carrier, struct wish *wish)
{
    static const uint64_t limits[] = {0, 0, 0, 500, 5000, 50000};
    const struct ledger *ledger = ledger_of(carrier);
    if (!ledger || ledger->map.entry_count == 0) {
        return false;
    }
    const struct map_entry *entry = &ledger->map.entries[world_below(ledger->map.entry_count)];
    *wish = (struct wish){
        .target = draw_target(carrier->scene, scene_server_at(carrier->scene, &entry->address)),
        .bytes_per_s = limits[world_below(sizeof limits / sizeof limits[0])],
        .is_forced = world_below(8) > 0,
    };
    (void)snprintf(wish->shard, sizeof wish->shard, "%s", entry->name);
    if (world_below(2)) {
        draw_part(carrier->scene, entry, wish);
    }
    return true;
}

static void pack_option(struct buffer *params, const char *name, uint64_t value)
{
    pack_text(params, name);
    pack_uint(params, value);
}

static void pack_wish(const struct carrier *carrier, const struct wish *wish, struct buffer *params)
{
    pack_array(params, 1);
    pack_map(params, wish->is_part ? 6 : 4);
    pack_text(params, "shard");
    pack_text(params, wish->shard);
    pack_text(params, "to");
    pack_text(params, daemon_address(carrier->scene->daemons[wish->target]));
    pack_text(params, "force");
    pack_bool(params, wish->is_forced);
    pack_option(params, "bytes_per_s", wish->bytes_per_s);
    if (wish->is_part) {
        pack_option(params, "from", wish->from);
        pack_option(params, "until", wish->until);
    }
}

static bool start_move(struct skv *kv, struct carrier *carrier)
{
    struct wish wish;
    struct buffer params = {0};
    struct skv_record record = {0};
    if (!draw_wish(carrier, &wish)) {
        return false;
    }
    pack_wish(carrier, &wish, &params);
    bool is_started = ask(kv, carrier, "move.start", &params, &record) == SKV_OK;
    if (is_started) {
        struct unpack in = unpack_of(bytes_of(record.encoded.data, record.encoded.len));
        (void)unpack_array(&in);
        carrier->last_number = unpack_uint(&in);
        if (!unpack_is_done(&in) || carrier->last_number == 0) {
            violation("move.start's result is not what PROTOCOL.md says");
        }
    }
    skv_record_fini(&record);
    return is_started;
}

static void change_move(struct skv *kv, const struct carrier *carrier, const char *method,
                        uint64_t number)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    pack_array(&params, 1);
    pack_uint(&params, number);
    (void)ask(kv, carrier, method, &params, &record);
    skv_record_fini(&record);
}

static void throttle_move(struct skv *kv, const struct carrier *carrier, uint64_t number,
                          uint64_t bytes_per_s)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    pack_array(&params, 2);
    pack_uint(&params, number);
    pack_uint(&params, bytes_per_s);
    (void)ask(kv, carrier, "move.throttle", &params, &record);
    skv_record_fini(&record);
}

static void resize_shard(struct skv *kv, const struct carrier *carrier, const char *name)
{
    struct buffer params = {0};
    struct skv_record record = {0};
    uint32_t size = world_swarm()->shard_size;
    pack_array(&params, 2);
    pack_text(&params, name);
    pack_uint(&params, world_between(size, size + size / 2));
    count_if(ask(kv, carrier, "shard.resize", &params, &record) == SKV_OK, COUNT_MAP_CHANGE);
    skv_record_fini(&record);
}

/* --- at the right moment --- */

/* What lasts so short that it is not met by chance: a phase of the map, or a state at a server. */
struct prey {
    enum move_phase phase; /* MOVE_NONE: any */
    enum moving_state state;
};

static const struct prey preys[] = {
    {MOVE_COPY, 0},
    {MOVE_COPY, MOVING_IMPORT},
    {MOVE_COPY, MOVING_FROZEN},
    {MOVE_COPY, MOVING_READY},
    {MOVE_COMMITTED, 0},
    {MOVE_COMMITTED, 0}, /* what is undone depends on it */
    {MOVE_COMMITTED, MOVING_CLOSED},
    {MOVE_UNDO, 0},
    {MOVE_OPENED, 0},
    {MOVE_OPENED, MOVING_DELETING},
};

/* A move that goes on. */
struct catch
{
    uint64_t number;
    char name[NAME_LEN_MAX + 1];
    uint32_t parties[3]; /* bootstrapd, source, target: daemons */
};

static bool has_moving(const struct carrier *carrier, uint64_t id, enum moving_state state)
{
    for (uint32_t i = DAEMON_SERVER_1; i < carrier->scene->daemon_count; i++) {
        const struct ownership *ownership = daemon_ownership(carrier->scene->daemons[i]);
        for (uint32_t j = 0; ownership && j < ownership->movings.count; j++) {
            const struct moving *moving = &ownership->movings.items[j];
            if (moving->id == id && moving->state == state) {
                return true;
            }
        }
    }
    return false;
}

static uint32_t server_of(const struct carrier *carrier, const struct map *map,
                          const uint8_t id[ID_LEN])
{
    const struct map_server *server = map_find_server(map, id);
    return server ? scene_server_at(carrier->scene, &server->address) : DAEMON_COUNT;
}

static void take(const struct carrier *carrier, const struct map *map,
                 const struct map_entry *entry, const struct move *move, struct catch *caught)
{
    *caught = (struct catch){
        .number = move->number,
        .parties = {DAEMON_BOOTSTRAPD, server_of(carrier, map, entry->move.source),
                    server_of(carrier, map, entry->move.target)},
    };
    (void)snprintf(caught->name, sizeof caught->name, "%s", entry->name);
}

/* Of which it is true right now. False: of none. */
static bool find_prey(const struct carrier *carrier, const struct prey *prey, struct catch *caught)
{
    const struct ledger *ledger = ledger_of(carrier);
    for (uint32_t i = 0; ledger && i < ledger->moves.count; i++) {
        const struct move *move = &ledger->moves.items[i];
        for (uint32_t j = 0; j < ledger->map.entry_count; j++) {
            const struct map_entry *entry = &ledger->map.entries[j];
            if (entry->move.phase == prey->phase && entry->move.id == move->id &&
                (!prey->state || has_moving(carrier, move->id, prey->state))) {
                take(carrier, &ledger->map, entry, move, caught);
                return true;
            }
        }
    }
    return false;
}

/* With nobody down it is over too soon for what is asked then. */
static void crash_one(const struct carrier *carrier, const struct catch *caught)
{
    uint32_t party = caught->parties[world_below(3)];
    if (party < carrier->scene->daemon_count) {
        struct daemon *daemon = carrier->scene->daemons[party];
        daemon_crash(daemon, world_below(2) ? DISK_POWER_LOST : DISK_PROCESS_KILLED);
        daemon_start(daemon, world_around(DOWN_US));
    }
}

/* What is to be undone lasts until the target has answered. */
static void undo(struct skv *kv, const struct carrier *carrier, uint64_t number)
{
    static const struct prey undone = {MOVE_UNDO, 0};
    struct catch caught;
    change_move(kv, carrier, "move.undo", number);
    if (world_swarm()->move_crash_ppm && !world_is_calm() && find_prey(carrier, &undone, &caught)) {
        crash_one(carrier, &caught);
    }
}

static void spring(struct skv *kv, const struct carrier *carrier, const struct prey *prey,
                   const struct catch *caught)
{
    if (!world_is_calm() && world_chance(CRASH_FACTOR * world_swarm()->move_crash_ppm)) {
        crash_one(carrier, caught);
    }
    if (prey->phase != MOVE_COPY) {
        undo(kv, carrier, caught->number);
    } else if (world_below(3)) {
        resize_shard(kv, carrier, caught->name);
    } else {
        change_move(kv, carrier, "move.abort", caught->number);
    }
}

static void stalk(struct skv *kv, const struct carrier *carrier)
{
    const struct prey *prey = &preys[world_below(sizeof preys / sizeof preys[0])];
    uint64_t until_us = world_now_us() + STALK_US;
    struct catch caught;
    while (!find_prey(carrier, prey, &caught)) {
        if (world_now_us() > until_us || world_is_calm()) {
            return;
        }
        fiber_sleep(STALK_STEP_US);
    }
    spring(kv, carrier, prey, &caught);
}

/* --- at any moment --- */

static void change_one(struct skv *kv, const struct carrier *carrier)
{
    static const char *const methods[] = {"move.pause", "move.resume", "move.resume", "move.abort",
                                          "move.undo"};
    uint64_t below = carrier->last_number < NUMBERS_RECENT ? carrier->last_number : NUMBERS_RECENT;
    if (below == 0) {
        return;
    }
    uint64_t number = carrier->last_number - world_below(below);
    if (world_below(4) == 0) {
        throttle_move(kv, carrier, number, world_below(2) ? 0 : world_around(20000));
    } else {
        change_move(kv, carrier, methods[world_below(sizeof methods / sizeof methods[0])], number);
    }
}

static void act(struct skv *kv, struct carrier *carrier)
{
    const struct ledger *ledger = ledger_of(carrier);
    if (!is_added(carrier)) {
        add_server(kv, carrier);
        return;
    }
    switch (world_below(8)) {
    case 0:
    case 1:
        change_one(kv, carrier);
        break;
    case 2:
        if (ledger && ledger->map.entry_count) {
            char name[NAME_LEN_MAX + 1];
            (void)snprintf(name, sizeof name, "%s",
                           ledger->map.entries[world_below(ledger->map.entry_count)].name);
            resize_shard(kv, carrier, name);
        }
        break;
    default:
        if (start_move(kv, carrier) && world_below(3)) {
            stalk(kv, carrier);
        }
    }
}

/* --- when the faults are over --- */

/* All that waits or goes on. */
static void release_all(struct skv *kv, const struct carrier *carrier)
{
    const struct ledger *ledger = ledger_of(carrier);
    uint64_t numbers[64];
    uint32_t count_of_moves = 0;
    for (uint32_t i = 0; ledger && i < ledger->moves.count && i < 64; i++) {
        const struct move *move = &ledger->moves.items[i];
        if (move->is_paused || move->bytes_per_s) {
            numbers[count_of_moves++] = move->number;
        }
    }
    for (uint32_t i = 0; i < count_of_moves; i++) {
        change_move(kv, carrier, "move.resume", numbers[i]);
        throttle_move(kv, carrier, numbers[i], 0);
    }
}

static void await_end(struct skv *kv, struct carrier *carrier, uint64_t deadline_us)
{
    while (!is_added(carrier) || !passage_is_over(carrier->scene)) {
        if (world_now_us() > deadline_us) {
            passage_print_rest(carrier->scene);
            violation("healed, but a move does not come to its end, or a server is not added: %s",
                      skv_error()->text);
        }
        if (!is_added(carrier)) {
            add_server(kv, carrier);
        }
        release_all(kv, carrier);
        fiber_sleep(SECOND_US / 2);
    }
}

static void live(void *context)
{
    struct carrier *carrier = context;
    while (!world_is_calm()) {
        struct skv *kv = client_open(carrier->scene, TIMEOUT_MS, world_now_us() + 5 * SECOND_US);
        for (int i = 0; kv && i < 40 && !world_is_calm(); i++) {
            act(kv, carrier);
            fiber_sleep(world_around(1000 * (uint64_t)world_swarm()->move_mean_ms));
        }
        skv_close(kv);
    }
    uint64_t deadline_us = world_now_us() + END_WITHIN_US;
    struct skv *kv = client_open(carrier->scene, TIMEOUT_MS, deadline_us);
    if (!kv) {
        violation("healed, but the carrier cannot open: %s", skv_error()->text);
    }
    await_end(kv, carrier, deadline_us);
    skv_close(kv);
}

struct carrier *carrier_new(struct scene *scene)
{
    if (!world_swarm()->move_mean_ms) {
        return NULL;
    }
    struct carrier *carrier = world_get(1, sizeof *carrier);
    carrier->scene = scene;
    scene->carrier = actor_new("carrier", CARRIER_PORT, live, carrier);
    scene->actors[scene->actor_count++] = scene->carrier;
    return carrier;
}

void carrier_free(struct carrier *carrier)
{
    world_put(carrier);
}
