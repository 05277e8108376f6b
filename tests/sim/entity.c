/* SPDX-License-Identifier: MIT */
#include "tests/sim/entity.h"

#include "proto/id.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "tests/sim/heap.h"
#include "tests/sim/mints.h"
#include "tests/sim/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* Above those of all clients. */
#define NUMBER_FIRST INT64_C(1000000000000000)
#define NUMBER_STEP  1000

enum { KIND_COUNT = 3, BATCH_MAX = 6, KNOWN_TRIES = 8 };

/* Ids that are asked for at once: few; as many as a piece of the library's, and more; all of a second, and more. */
enum { MINT_FEW = 8, MINT_SOME = 300, MINT_MANY = 80000, MINT_SECOND = 1100000 };

struct entity {
    uint64_t id; /* 0: nobody knows it */
    uint32_t slice;
    uint16_t kind;
    bool is_brought; /* by who wrote it */
};

static struct {
    const struct scene *scene;
    struct entity *items;
    uint32_t count, capacity;
    int64_t last_number;
} entities;

void entity_begin(const struct scene *scene)
{
    entities.scene = scene;
    entities.items = NULL;
    entities.count = entities.capacity = 0;
    entities.last_number = NUMBER_FIRST;
}

void entity_end(void)
{
    world_put(entities.items);
    entities.items = NULL;
}

static uint32_t key_of(uint32_t entity)
{
    return world_swarm()->key_count + entity;
}

static uint32_t draw_slice(void)
{
    const struct scene *scene = entities.scene;
    return world_below(16) ? scene->slices[world_below(scene->slice_count)] : SKV_SHARD_ANY;
}

/* --- ids --- */

static size_t draw_count(void)
{
    uint64_t lot = world_below(2048);
    return lot == 0    ? MINT_SECOND
           : lot < 33  ? world_between(MINT_MANY / 4, MINT_MANY)
           : lot < 512 ? world_between(1, MINT_SOME)
                       : world_between(1, MINT_FEW);
}

static enum skv_status mint(struct skv *kv, uint32_t slice, size_t id_count)
{
    uint64_t *ids = malloc(id_count * sizeof *ids);
    assert(ids);
    enum skv_status status = skv_mint(kv, slice, ids, id_count, NULL);
    if (status == SKV_OK) {
        count(COUNT_MINT);
        mints_tell(ids, id_count);
    } else if (status != SKV_UNAVAILABLE) {
        violation("mint: %s: %s", skv_status_name(status), skv_error()->text);
    }
    for (size_t i = 0; i < id_count && status == SKV_OK && slice != SKV_SHARD_ANY; i++) {
        if (skv_id_shard(ids[i]) != slice) {
            violation("an id of slice %u for %u", skv_id_shard(ids[i]), slice);
        }
    }
    free(ids);
    return status;
}

/* --- documents --- */

static void pack_document(struct buffer *out, uint32_t entity, int64_t number)
{
    char *text = NULL;
    struct skv_value value = value_of_number(number, &text);
    pack_map(out, 2);
    pack_text(out, "entity");
    pack_uint(out, entity);
    pack_text(out, "value");
    pack_str(out, bytes_of(value.bytes.data, value.bytes.len));
    assert(!out->failed);
    free(text);
}

/* The number within stands as text in the record's memory. */
static uint32_t read_document(const struct skv_record *record, struct skv_value *value)
{
    struct unpack in = unpack_of(bytes_of(record->encoded.data, record->encoded.len));
    uint32_t pair_count = unpack_map(&in);
    bool is_ours = pair_count == 2 && bytes_equal(unpack_text(&in), bytes_text("entity"));
    uint64_t entity = unpack_uint(&in);
    is_ours &= bytes_equal(unpack_text(&in), bytes_text("value"));
    struct bytes text = unpack_text(&in);
    if (!unpack_is_done(&in) || !is_ours || entity >= entities.count) {
        violation("a document that nobody wrote, with id %" PRIu64, record->id);
    }
    *value = skv_str(text.data, text.len);
    return (uint32_t)entity;
}

/* What was put once has one id, unless what was answered for could get lost. */
static void learn(uint32_t number, uint64_t id)
{
    struct entity *entity = &entities.items[number];
    if (entity->id == id || history_is_torn(key_of(number))) {
        return;
    }
    if (entity->id) {
        violation("entity %u, which was put once, has the ids %" PRIu64 " and %" PRIu64, number,
                  entity->id, id);
    }
    if (entity->slice != SKV_SHARD_ANY && id_shard(id) != entity->slice) {
        violation("entity %u has id %" PRIu64 " of slice %u, not of %u", number, id, id_shard(id),
                  entity->slice);
    }
    if (!entity->is_brought) {
        mints_tell(&id, 1);
    }
    entity->id = id;
}

/* --- put --- */

static uint32_t add(uint32_t slice)
{
    if (entities.count == entities.capacity) {
        entities.capacity = entities.capacity ? 2 * entities.capacity : 64;
        entities.items = world_resize(entities.items, entities.capacity * sizeof(struct entity));
    }
    uint32_t number = entities.count++;
    entities.items[number] =
        (struct entity){.slice = slice, .kind = (uint16_t)(1 + number % KIND_COUNT)};
    history_add_key();
    if (slice == SKV_SHARD_ANY) {
        history_place(key_of(number), NULL, world_swarm()->has_evicting);
    } else {
        scene_place_key(entities.scene, key_of(number), id_slice_point(slice, 0));
    }
    return number;
}

static int64_t next_number(void)
{
    entities.last_number += NUMBER_STEP;
    return entities.last_number;
}

/* Asks for it, in the history. */
static struct operation ask_put(uint32_t slice, bool may_expire, struct entity_wish *wish)
{
    *wish = (struct entity_wish){.entity = add(slice)};
    struct operation operation = {
        .deed = DEED_WRITE,
        .key = key_of(wish->entity),
        .argument = next_number(),
    };
    if (may_expire) {
        client_draw_time_to_live(&operation);
    }
    wish->kind = entities.items[wish->entity].kind;
    wish->key = operation.key;
    pack_document(&wish->document, wish->entity, operation.argument);
    wish->number = history_ask(&operation);
    return operation;
}

void entity_wish(struct entity_wish *wish)
{
    uint32_t slice = entities.scene->slices[world_below(entities.scene->slice_count)];
    (void)ask_put(slice, false, wish);
    wish->point = id_slice_point(slice, world_random());
}

void entity_note(const struct entity_wish *wish, enum skv_status status, uint64_t id)
{
    if (status == SKV_OK) {
        count(COUNT_PUT);
        learn(wish->entity, id);
    }
    client_note(wish->key, wish->number, status, &(struct skv_record){0});
}

static struct skv_call call_of(const struct operation *operation)
{
    return (struct skv_call){.ttl_ms = operation->ttl_ms, .sliding = operation->is_sliding};
}

static enum skv_status put(struct skv *kv, uint32_t slice)
{
    struct entity_wish wish;
    struct operation operation = ask_put(slice, true, &wish);
    struct skv_call call = call_of(&operation);
    uint64_t id = 0;
    enum skv_status status = skv_entity_put(
        kv, slice, wish.kind, skv_msgpack(wish.document.data, wish.document.len), &call, &id);
    entity_note(&wish, status, id);
    buffer_fini(&wish.document);
    return status;
}

static void put_batch(struct skv *kv)
{
    struct entity_wish wishes[BATCH_MAX];
    struct skv_batch *batch = skv_batch_new(kv);
    uint32_t put_count = (uint32_t)world_between(1, BATCH_MAX);
    assert(batch);
    for (uint32_t i = 0; i < put_count; i++) {
        uint32_t slice = draw_slice();
        struct operation operation = ask_put(slice, true, &wishes[i]);
        struct skv_call call = call_of(&operation);
        struct buffer *document = &wishes[i].document;
        skv_batch_entity_put(batch, slice, wishes[i].kind,
                             skv_msgpack(document->data, document->len), &call);
        buffer_fini(document);
    }
    (void)!skv_batch_run(batch);
    for (uint32_t i = 0; i < put_count; i++) {
        const struct skv_record *record = skv_batch_record(batch, i);
        enum skv_status status = skv_batch_status(batch, i);
        if (status == SKV_OK && !record) {
            violation("a batch's put %u is done and has no record", i);
        }
        entity_note(&wishes[i], status, record ? record->id : 0);
    }
    skv_batch_free(batch);
}

/* --- what has an id --- */

static bool draw_known(uint32_t *entity)
{
    for (int i = 0; i < KNOWN_TRIES && entities.count; i++) {
        *entity = (uint32_t)world_below(entities.count);
        if (entities.items[*entity].id) {
            return true;
        }
    }
    return false;
}

/* Its document is its own, and its kind; the history gets the number within. */
static void note_read(uint32_t entity, uint32_t number, const struct skv_record *record)
{
    struct skv_record plain = *record;
    if (read_document(record, &plain.value) != entity ||
        record->kind != entities.items[entity].kind || record->point != id_point(record->id)) {
        violation("id %" PRIu64 " has a document or kind that is not its own", record->id);
    }
    client_note(key_of(entity), number, SKV_OK, &plain);
}

static void get(struct skv *kv, uint32_t entity)
{
    struct skv_record record = {0};
    uint32_t number = history_ask(&(struct operation){.deed = DEED_READ, .key = key_of(entity)});
    enum skv_status status = skv_entity_get(kv, entities.items[entity].id, NULL, &record);
    if (status == SKV_OK) {
        note_read(entity, number, &record);
    } else {
        client_note(key_of(entity), number, status, NULL);
    }
    skv_record_fini(&record);
}

/* Whatever version is there, but something: that it was not is a condition that did not hold. */
static void update(struct skv *kv, uint32_t entity)
{
    struct operation operation = {
        .deed = DEED_WRITE_IF_VERSION, .key = key_of(entity), .argument = next_number()};
    client_draw_time_to_live(&operation);
    struct skv_call call = call_of(&operation);
    call.has_kind = world_below(2);
    call.kind = call.has_kind ? entities.items[entity].kind : 0;
    struct skv_record record = {0};
    struct buffer document = {0};
    pack_document(&document, entity, operation.argument);
    uint32_t number = history_ask(&operation);
    enum skv_status status = skv_entity_update(
        kv, entities.items[entity].id, skv_msgpack(document.data, document.len), &call, &record);
    client_note(operation.key, number, status == SKV_NOT_FOUND ? SKV_CONDITION : status,
                status == SKV_OK ? &record : NULL);
    buffer_fini(&document);
    skv_record_fini(&record);
}

static void remove_one(struct skv *kv, uint32_t entity)
{
    uint32_t number = history_ask(&(struct operation){.deed = DEED_DELETE, .key = key_of(entity)});
    enum skv_status status = skv_entity_delete(kv, entities.items[entity].id, NULL);
    client_note(key_of(entity), number, status, NULL);
}

/* --- an id that it brings along, as an import does (RULES I1) --- */

/* Near to those that its server is about to give. */
static uint64_t draw_id(uint32_t slice)
{
    uint64_t point = id_slice_point(slice, world_random());
    const struct node *server = daemon_node(scene_owner(entities.scene, point));
    uint64_t now_ms = world_most_wall_ms(server, world_now_us(), world_now_us());
    uint64_t id = 0;
    (void)id_compose(now_ms + world_below(3000) - 1500 - ID_ORIGIN_MS, slice,
                     (uint32_t)world_below(MINT_FEW), &id);
    return id;
}

/* What is there with this id, or is too far ahead, is as good as not asked for. */
static void bring(struct skv *kv)
{
    struct entity_wish wish;
    uint8_t memory[SKV_ID_KEY_LEN];
    uint32_t slice = entities.scene->slices[world_below(entities.scene->slice_count)];
    uint64_t id = draw_id(slice);
    if (mints_is_given(id)) {
        return; /* what was put with it may be gone by now, and this would be taken for it */
    }
    (void)ask_put(slice, false, &wish);
    const struct skv_call call = {
        .table = "entities", .if_absent = true, .has_kind = true, .kind = wish.kind};
    entities.items[wish.entity].is_brought = true;
    enum skv_status status =
        skv_write(kv, skv_key_of_id(id, memory), skv_msgpack(wish.document.data, wish.document.len),
                  &call, NULL);
    bool is_void = status == SKV_CONDITION || status == SKV_INVALID;
    if (status == SKV_OK) {
        count(COUNT_BROUGHT);
        mints_bring(id);
        entities.items[wish.entity].id = id;
    }
    client_note(wish.key, wish.number, is_void ? SKV_UNAVAILABLE : status, &(struct skv_record){0});
    buffer_fini(&wish.document);
}

/* --- scans --- */

/* `numbers`: of the reads, by entity; those that were put meanwhile have none. */
static void take_scanned(uint32_t *numbers, uint32_t asked, const struct skv_record *record)
{
    struct skv_value value;
    uint32_t entity = read_document(record, &value);
    if (!entities.items[entity].is_brought && !mints_is_given(record->id)) {
        violation("a scan brought id %" PRIu64 ", which nobody gave", record->id);
    }
    learn(entity, record->id);
    if (entity >= asked) {
        return;
    }
    if (!numbers[entity]) {
        violation("a scan brought entity %u twice, or one of another kind", entity);
    }
    note_read(entity, numbers[entity], record);
    numbers[entity] = 0;
}

static bool scan_all(struct skv *kv, uint32_t *numbers, uint16_t kind, client_visit *visit,
                     void *context)
{
    const struct skv_scan_options options = {
        .table = "entities", .has_kind = kind != 0, .kind = kind};
    struct skv_scan *scan = NULL;
    uint32_t asked = entities.count;
    uint64_t point = 0;
    const struct skv_record *record;
    if (skv_scan_open(kv, &options, &scan) != SKV_OK) {
        return false;
    }
    while ((record = skv_scan_next(scan)) != NULL) {
        if (record->point < point) {
            violation("a scan went back, to id %" PRIu64, record->id);
        }
        point = record->point;
        take_scanned(numbers, asked, record);
        if (visit) {
            visit(context, record);
        }
    }
    return skv_scan_close(scan) == SKV_OK;
}

/* `kind`: 0 for all. */
static bool scan(struct skv *kv, uint16_t kind, client_visit *visit, void *context)
{
    uint32_t asked = entities.count;
    uint32_t *numbers = calloc(asked + 1, sizeof *numbers);
    assert(numbers);
    for (uint32_t i = 0; i < asked; i++) {
        if (!kind || entities.items[i].kind == kind) {
            numbers[i] = history_ask(&(struct operation){.deed = DEED_READ, .key = key_of(i)});
        }
    }
    bool is_whole = scan_all(kv, numbers, kind, visit, context);
    for (uint32_t i = 0; i < asked; i++) {
        if (numbers[i]) {
            client_note(key_of(i), numbers[i], is_whole ? SKV_NOT_FOUND : SKV_UNAVAILABLE, NULL);
        }
    }
    free(numbers);
    return is_whole;
}

bool entity_scan(struct skv *kv, client_visit *visit, void *context)
{
    return scan(kv, 0, visit, context);
}

/* --- --- */

static void act_on(struct skv *kv, uint64_t lot)
{
    uint32_t entity;
    if (!draw_known(&entity)) {
        (void)put(kv, draw_slice());
    } else if (lot < 3) {
        get(kv, entity);
    } else if (lot < 5) {
        update(kv, entity);
    } else {
        remove_one(kv, entity);
    }
}

void entity_act(struct skv *kv)
{
    uint64_t lot = world_below(100);
    if (lot < 35) {
        (void)mint(kv, draw_slice(), draw_count());
    } else if (lot < 65) {
        (void)put(kv, draw_slice());
    } else if (lot < 68) {
        put_batch(kv);
    } else if (lot < 73) {
        bring(kv);
    } else if (lot < 74) {
        (void)scan(kv, (uint16_t)world_between(1, KIND_COUNT), NULL, NULL);
    } else {
        act_on(kv, world_below(6));
    }
}

/* Full, or a clock that is behind, is an answer, too. */
static bool is_answered(enum skv_status status, uint64_t refused_before)
{
    return status == SKV_OK || status == SKV_FULL || mints_refused() > refused_before;
}

bool entity_try_all(struct skv *kv)
{
    for (uint32_t i = 0; i < entities.scene->slice_count; i++) {
        uint64_t refused = mints_refused();
        if (!is_answered(mint(kv, entities.scene->slices[i], 1), refused)) {
            return false;
        }
        refused = mints_refused();
        if (!is_answered(put(kv, entities.scene->slices[i]), refused)) {
            return false;
        }
    }
    return true;
}
