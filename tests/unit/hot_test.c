/* SPDX-License-Identifier: MIT */
#include "shardd/hot.h"

#include "tests/unit/hot_model.h"

#include "proto/point.h"
#include "proto/table.h"

#define KEYS      4000
#define STEPS     120000
#define BATCH_MAX 700

static const uint64_t UPPER = UINT64_MAX;

/* --- where keys stand --- */

static uint64_t points_of_a_thousandth(uint16_t table, struct bytes key)
{
    return UINT64_C(0x123456789abcdef0) + table_point(table, key) / 1000;
}

static uint64_t points_of_one_bound(uint16_t table, struct bytes key)
{
    return UINT64_C(0xffffffff00000000) | table_point(table, key) >> 32;
}

/* Two points that thousands share, and the last one; whatever the table. */
static uint64_t points_of_a_crowd(uint16_t table, struct bytes key)
{
    static const uint64_t points[] = {UINT64_C(77) << 40, (UINT64_C(77) << 40) + 1, UINT64_MAX};
    (void)table;
    return points[point_of_key(key) % 3];
}

/* Half everywhere, half in one block. */
static uint64_t points_of_both(uint16_t table, struct bytes key)
{
    uint64_t point = table_point(table, key);
    return point & 1 ? point : point >> 14;
}

static const struct point_set {
    const char *name;
    hot_point_function *point_of;
} point_sets[] = {
    {"the whole circle", table_point},        {"a thousandth", points_of_a_thousandth},
    {"one bound", points_of_one_bound},       {"equal points", points_of_a_crowd},
    {"everywhere and dense", points_of_both},
};

/* --- one run beside a model --- */

struct run {
    struct dice dice;
    struct model model;
    struct arena *arena;
    struct hot *hot;
    struct hot_item items[BATCH_MAX];
    struct known *item_keys[BATCH_MAX];
    struct edition item_editions[BATCH_MAX];
    enum hot_state item_states[BATCH_MAX];
    uint32_t item_count;
    bool is_batch;
    struct {
        uint64_t records, batches, changed_in_batch, evictions, fetches, clears, spills, victims;
    } seen;
};

static struct known *pick(struct run *run)
{
    return &run->model.keys[dice_below(&run->dice, (uint32_t)run->model.count)];
}

static struct hot_record *find(struct run *run, const struct known *known)
{
    return hot_find(run->hot, known->point, known->table, known_key(known));
}

static uint64_t any_point(struct run *run)
{
    switch (dice_below(&run->dice, 4)) {
    case 0:
        return 0;
    case 1:
        return dice_roll(&run->dice);
    default:
        return pick(run)->point + dice_below(&run->dice, 3) - 1;
    }
}

/* The edition here is about to be replaced, or forgotten: the batch keeps it. */
static void leave_edition(struct run *run, struct known *known)
{
    if (known->is_here && known->is_in_batch) {
        run->model.limbo_len += known_class_len(known);
        run->seen.changed_in_batch++;
    }
    known->is_in_batch = false;
}

static struct edition any_edition(struct run *run)
{
    struct dice *dice = &run->dice;
    uint32_t size = dice_below(dice, 100);
    struct edition edition = {.version = ++run->model.clock,
                              .value_len = dice_below(dice, size == 0 ? MODEL_VALUE_MAX : 128)};
    if (dice_below(dice, 4) == 0) {
        edition.expiry_ms = dice_roll(dice);
        edition.ttl_ms = dice_below(dice, 1000);
        edition.flags = (uint8_t)dice_below(dice, 2);
    }
    if (dice_below(dice, 8) == 0) {
        edition.kind = (uint16_t)dice_roll(dice);
    }
    return edition;
}

static void put(struct run *run, struct known *known, const struct edition *edition,
                enum hot_state state, bool is_dirty)
{
    struct hot_record *entry = find(run, known);
    struct record record = known_record(known, edition);
    assert_int_equal(entry != NULL, known->is_here);
    leave_edition(run, known);
    entry = hot_put(run->hot, entry, &record, state, is_dirty);
    known->is_here = true;
    known->is_dirty = is_dirty;
    known->state = state;
    known->here = *edition;
    assert_int_equal(hot_state(entry), state);
    assert_int_equal(hot_version(entry), edition->version);
    run->seen.records++;
}

static bool is_fetching(const struct known *known)
{
    return known->is_here && known->state == HOT_FETCHING;
}

static void write_key(struct run *run, struct known *known)
{
    struct edition edition = any_edition(run);
    bool is_deletion = dice_below(&run->dice, 4) == 0;
    put(run, known, &edition, is_deletion ? HOT_DELETED : HOT_RECORD, true);
}

/* RULES S5, as a server does it: pinned, then what the tree has. */
static void fetch_key(struct run *run, struct known *known)
{
    struct edition none = {0};
    struct hot_record *entry;
    if (!known->is_here && !hot_is_complete(run->hot, known->point)) {
        put(run, known, &none, HOT_FETCHING, false);
        entry = find(run, known);
        assert_null(hot_waiters(entry));
        hot_set_waiters(entry, known);
    } else if (is_fetching(known)) {
        entry = find(run, known);
        assert_ptr_equal(hot_waiters(entry), known);
        put(run, known, known->is_in_tree ? &known->tree : &none,
            known->is_in_tree ? HOT_RECORD : HOT_ABSENT, false);
        run->seen.fetches++;
    }
}

static void touch_key(struct run *run, struct known *known)
{
    if (!known->is_here || known->state != HOT_RECORD) {
        return;
    }
    uint64_t expiry_ms = 1 + dice_roll(&run->dice) / 2;
    leave_edition(run, known);
    struct hot_record *entry = hot_touch(run->hot, known->point, find(run, known), expiry_ms);
    known->here.expiry_ms = expiry_ms;
    known->is_dirty = true;
    assert_ptr_equal(find(run, known), entry);
}

static void remove_key(struct run *run, struct known *known)
{
    if (known->is_here && !known->is_dirty && known->state != HOT_FETCHING) {
        hot_remove(run->hot, known->point, find(run, known));
        known->is_here = false;
    }
}

static void look_at_key(struct run *run, struct known *known)
{
    struct hot_view view;
    struct hot_record *entry = find(run, known);
    assert_int_equal(entry != NULL, known->is_here);
    if (entry) {
        hot_view(run->hot, known->point, entry, &view);
        assert_view(known, &view);
    } else if (known->is_in_tree) {
        assert_false(hot_is_complete(run->hot, known->point));
    }
}

/* --- sweeping --- */

static size_t model_find(const struct model *model, uint64_t point)
{
    size_t low = 0;
    size_t high = model->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (model->keys[middle].point < point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_due(const struct known *known, uint64_t durable)
{
    return known->is_here && known->is_dirty && known->here.version <= durable;
}

/* The items are the next due keys, in order, none left out. */
static void take_batch(struct run *run, uint64_t start, uint64_t durable)
{
    size_t k = model_find(&run->model, start);
    for (uint32_t i = 0; i < run->item_count; i++, k++) {
        while (k < run->model.count && !is_due(&run->model.keys[k], durable)) {
            k++;
        }
        assert_true(k < run->model.count);
        struct known *known = &run->model.keys[k];
        struct hot_view view;
        hot_item_view(&run->items[i], &view);
        assert_view(known, &view);
        known->is_in_batch = true;
        run->item_keys[i] = known;
        run->item_editions[i] = known->here;
        run->item_states[i] = known->state;
    }
}

static void assert_none_due(const struct run *run, uint64_t start, uint64_t end, uint64_t durable)
{
    for (size_t k = model_find(&run->model, start); k < run->model.count; k++) {
        const struct known *known = &run->model.keys[k];
        assert_true(known->point >= end || !is_due(known, durable) || known->is_in_batch);
    }
}

static void collect(struct run *run)
{
    uint64_t start = any_point(run);
    uint64_t last = any_point(run);
    if (start > last) {
        last = UPPER;
    }
    uint64_t durable = run->model.clock - dice_below(&run->dice, 200);
    durable = durable > run->model.clock ? 0 : durable;
    uint32_t item_max = 1 + dice_below(&run->dice, BATCH_MAX);
    uint64_t point = start;
    bool is_end = false;
    run->hot->is_crowded = false; /* what it holds back has a test of its own */
    run->item_count = hot_collect(run->hot, &point, last, durable, run->items, item_max,
                                  1 + dice_below(&run->dice, 5000), &is_end);
    assert_true(run->item_count <= item_max);
    take_batch(run, start, durable);
    uint64_t end = is_end ? last : point - 1;
    assert_true(is_end || (point >= start && point <= last));
    if (is_end || point > start) {
        assert_none_due(run, start, end, durable);
    }
    run->is_batch = true;
    run->seen.batches += run->item_count > 0;
}

static void finish_item(struct run *run, uint32_t i, bool is_swept)
{
    struct known *known = run->item_keys[i];
    if (is_swept) {
        known->is_in_tree = run->item_states[i] == HOT_RECORD;
        known->tree = run->item_editions[i];
    }
    if (known->is_in_batch && is_swept) {
        known->is_dirty = false;
        known->is_here = known->state != HOT_DELETED;
    }
    known->is_in_batch = false;
}

static void finish_batch(struct run *run)
{
    bool is_swept = dice_below(&run->dice, 3) != 0;
    for (uint32_t i = 0; i < run->item_count; i++) {
        struct hot_view view;
        hot_item_view(&run->items[i], &view);
        assert_int_equal(view.state, run->item_states[i]);
        assert_edition(&view.record, &run->item_editions[i]);
        assert_true(view.state != HOT_RECORD ||
                    bytes_equal(view.record.value, edition_value(&run->item_editions[i])));
    }
    for (uint32_t i = 0; i < run->item_count; i++) {
        finish_item(run, i, is_swept);
    }
    (is_swept ? hot_swept : hot_not_swept)(run->hot, run->items, run->item_count);
    run->model.limbo_len = 0;
    run->is_batch = false;
}

static void sweep(struct run *run)
{
    if (run->is_batch) {
        finish_batch(run);
    } else {
        collect(run);
    }
}

/* --- walking --- */

struct walk {
    struct run *run;
    size_t next; /* the model's */
    uint64_t last;
    bool with_clean;
    bool may_miss; /* clean ones may be gone */
    uint32_t left; /* visits until it has seen enough */
    uint32_t gone;
};

static bool is_expected(const struct walk *walk, const struct known *known)
{
    return known->is_here && (walk->with_clean || known->is_dirty);
}

static void miss(const struct walk *walk, struct known *known)
{
    assert_true(walk->may_miss && !known->is_dirty && known->state != HOT_FETCHING);
    known->is_here = false;
}

static bool is_the_key(const struct known *known, const struct record *record)
{
    return known->point == record->point && known->table == record->table &&
           bytes_equal(known_key(known), record->key);
}

static bool visit(void *context, const struct hot_view *view)
{
    struct walk *walk = context;
    struct model *model = &walk->run->model;
    while (!is_the_key(&model->keys[walk->next], &view->record)) {
        if (is_expected(walk, &model->keys[walk->next])) {
            miss(walk, &model->keys[walk->next]);
            walk->gone++;
        }
        walk->next++;
        assert_true(walk->next < model->count);
    }
    assert_true(is_expected(walk, &model->keys[walk->next]));
    assert_view(&model->keys[walk->next++], view);
    return --walk->left > 0;
}

static uint32_t walk_from(struct run *run, uint64_t start, struct walk walk)
{
    walk.run = run;
    walk.next = model_find(&run->model, start);
    hot_walk(run->hot, start, walk.last, walk.with_clean, visit, &walk);
    for (; walk.left > 0 && walk.next < run->model.count; walk.next++) {
        struct known *known = &run->model.keys[walk.next];
        if (known->point <= walk.last && is_expected(&walk, known)) {
            miss(&walk, known);
            walk.gone++;
        }
    }
    return walk.gone;
}

static void walk_some(struct run *run)
{
    uint64_t start = any_point(run);
    uint64_t last = any_point(run);
    walk_from(run, start,
              (struct walk){.last = last >= start ? last : UPPER,
                            .with_clean = dice_below(&run->dice, 2) == 0,
                            .left = dice_below(&run->dice, 3) == 0 ? 5 : UINT32_MAX});
}

/* --- memory --- */

static void evict(struct run *run)
{
    size_t target = dice_below(&run->dice, 10) == 0 ? 0 : hot_used(run->hot) - 20000;
    uint32_t gone = hot_evict(run->hot, target, 1 + dice_below(&run->dice, 5000));
    struct walk walk = {.last = UPPER, .with_clean = true, .may_miss = true, .left = UINT32_MAX};
    assert_int_equal(walk_from(run, 0, walk), gone);
    run->seen.evictions += gone;
}

static void clear_key(struct run *run, struct known *known, bool is_complete)
{
    leave_edition(run, known);
    known->is_here = false;
    known->is_dirty = false;
    known->is_in_tree = known->is_in_tree && !is_complete;
}

static void clear(struct run *run)
{
    uint64_t start = any_point(run);
    uint64_t last = any_point(run);
    if (last < start || last - start > UPPER / 8) {
        last = start | UPPER >> dice_below(&run->dice, 16);
    }
    bool is_complete = dice_below(&run->dice, 2) == 0;
    if (is_complete && run->is_batch) {
        finish_batch(run); /* it would bring to the tree what was cleared (RULES V2) */
    }
    for (size_t k = model_find(&run->model, start); k < run->model.count; k++) {
        if (run->model.keys[k].point <= last) {
            clear_key(run, &run->model.keys[k], is_complete);
        }
    }
    hot_clear(run->hot, start, last, is_complete);
    run->seen.clears++;
}

static void look_for_victim(struct run *run)
{
    uint64_t point = any_point(run);
    uint64_t start = point;
    struct hot_view view;
    if (!hot_next_victim(run->hot, &point, UPPER, 1 + dice_below(&run->dice, 5000), &view)) {
        return;
    }
    size_t k = model_find(&run->model, view.record.point);
    while (!is_the_key(&run->model.keys[k], &view.record)) {
        k++;
    }
    assert_true(view.record.point >= start && view.state == HOT_RECORD);
    assert_view(&run->model.keys[k], &view);
    assert_int_equal(point, view.record.point + 1);
    run->seen.victims++;
}

/* --- steps --- */

static void step(struct run *run)
{
    struct known *known = pick(run);
    uint32_t die = dice_below(&run->dice, 1000);
    if (die < 400 && !is_fetching(known)) {
        write_key(run, known);
    } else if (die < 650) {
        fetch_key(run, known);
    } else if (die < 700) {
        touch_key(run, known);
    } else if (die < 720) {
        remove_key(run, known);
    } else if (die < 985) {
        look_at_key(run, known);
    } else if (die < 990) {
        sweep(run);
    } else if (die < 994) {
        walk_some(run);
    } else if (die < 997) {
        look_for_victim(run);
    } else if (die < 999) {
        evict(run);
    } else if (dice_below(&run->dice, 8) == 0) {
        clear(run);
    }
}

static void run_start(struct run *run, const struct point_set *set)
{
    run->dice = dice_of(11);
    printf("# %s\n", set->name);
    model_init(&run->model, &run->dice, KEYS, set->point_of);
    run->arena = arena_new();
    run->hot = hot_new_with(run->arena, true, set->point_of);
}

static void run_stop(struct run *run)
{
    if (run->is_batch) {
        finish_batch(run);
    }
    hot_free(run->hot);
    assert_int_equal(arena_used(run->arena), 0);
    arena_free_all(run->arena);
    model_fini(&run->model);
}

static void the_table_does_what_its_model_does(void **state)
{
    static struct run run;
    run = (struct run){0};
    run_start(&run, *state);
    for (uint32_t i = 0; i < STEPS; i++) {
        step(&run);
        if (i % 1000 == 0) {
            assert_counters(run.hot, run.arena, &run.model);
        }
    }
    printf("# %" PRIu64 " puts, %" PRIu64 " batches, %" PRIu64 " changed in one, %" PRIu64
           " fetched, %" PRIu64 " evicted, %" PRIu64 " victims, %" PRIu64 " cleared\n",
           run.seen.records, run.seen.batches, run.seen.changed_in_batch, run.seen.fetches,
           run.seen.evictions, run.seen.victims, run.seen.clears);
    assert_true(run.seen.batches > 0 && run.seen.changed_in_batch > 0 && run.seen.fetches > 0);
    assert_true(run.seen.evictions > 0 && run.seen.victims > 0 && run.seen.clears > 0);
    run_stop(&run);
}

/* --- growth --- */

struct bed {
    struct arena *arena;
    struct hot *hot;
};

static void bed_open(struct bed *bed, hot_point_function *point_of)
{
    bed->arena = arena_new();
    bed->hot = hot_new_with(bed->arena, true, point_of);
}

static void bed_close(struct bed *bed)
{
    hot_free(bed->hot);
    arena_free_all(bed->arena);
}

/* Keys are numbers; values too. */
static struct record numbered(const struct bed *bed, const uint64_t *number)
{
    struct bytes key = bytes_of(number, sizeof(*number));
    return (struct record){.point = bed->hot->point_of(TABLE_DEFAULT, key),
                           .key = key,
                           .value = key,
                           .version = *number + 1};
}

static struct hot_record *find_number(const struct bed *bed, uint64_t number)
{
    struct record record = numbered(bed, &number);
    return hot_find(bed->hot, record.point, 0, record.key);
}

static struct hot_record *put_number(const struct bed *bed, uint64_t number, enum hot_state state,
                                     bool is_dirty)
{
    struct record record = numbered(bed, &number);
    return hot_put(bed->hot, find_number(bed, number), &record, state, is_dirty);
}

static void each_put_moves_a_bounded_number_of_entries(void **state)
{
    const struct point_set *set = *state;
    struct bed bed;
    bed_open(&bed, set->point_of);
    uint64_t worst = 0;
    uint64_t count = set->point_of == points_of_a_crowd ? 20000 : 200000;
    for (uint64_t i = 0; i < count; i++) {
        struct record record = numbered(&bed, &i);
        uint64_t before = hot_moved(bed.hot);
        hot_put(bed.hot, NULL, &record, HOT_RECORD, true);
        uint64_t moved = hot_moved(bed.hot) - before;
        worst = moved > worst ? moved : worst;
    }
    printf("# %s: at most %" PRIu64 " moved, %.1f for each put\n", set->name, worst,
           (double)hot_moved(bed.hot) / (double)count);
    assert_true(worst < 1000);
    assert_int_equal(assert_inside(bed.hot), count);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(hot_version(find_number(&bed, i)), i + 1);
    }
    assert_null(find_number(&bed, count));
    bed_close(&bed);
}

static void buckets_take_about_ten_bytes_for_a_record(void **state)
{
    const struct point_set *set = *state;
    struct bed bed;
    bed_open(&bed, set->point_of);
    for (uint64_t i = 0; i < 300000; i++) {
        put_number(&bed, i, HOT_RECORD, false);
    }
    struct hot_stat stat;
    hot_stat(bed.hot, &stat);
    size_t buckets_len = bed.hot->blocks_len + bed.hot->directory_len;
    printf("# %s: %.1f bytes of %.1f\n", set->name, (double)buckets_len / 300000,
           (double)stat.table_len / 300000);
    assert_true(buckets_len < (size_t)15 * 300000);
    bed_close(&bed);
}

struct expected {
    hot_point_function *point_of;
    uint64_t first, last;
    uint64_t count;
};

static const struct expected everywhere = {table_point, 0, UINT64_MAX, 200000};
static const struct expected narrow = {points_of_a_thousandth, UINT64_C(0x123456789abcdef0),
                                       UINT64_C(0x123456789abcdef0) + UINT64_MAX / 1000, 2500};

static void a_table_that_expects_its_records_moves_none(void **state)
{
    const struct expected *expected = *state;
    struct bed bed;
    bed_open(&bed, expected->point_of);
    put_number(&bed, 0, HOT_RECORD, true);
    hot_expect(bed.hot, expected->first, expected->last,
               (expected->last - expected->first) / expected->count);
    printf("# %.1f bytes for each\n", (double)bed.hot->blocks_len / (double)expected->count);
    for (uint64_t i = 1; i < expected->count; i++) {
        put_number(&bed, i, HOT_RECORD, true);
    }
    assert_true(hot_moved(bed.hot) < 2000); /* in the sector of the one that came before */
    assert_true(bed.hot->blocks_len < expected->count * HOT_ROOM_LEN * 3 / 2);
    assert_int_equal(assert_inside(bed.hot), expected->count);
    for (uint64_t i = 0; i < expected->count; i++) {
        assert_int_equal(hot_version(find_number(&bed, i)), i + 1);
    }
    bed_close(&bed);
}

static void room_for_what_does_not_come_goes_when_memory_is_short(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, table_point);
    hot_expect(bed.hot, 0, UPPER, UPPER / 200000);
    assert_true(bed.hot->blocks_len > UINT64_C(200000) * 8);
    put_number(&bed, 1, HOT_RECORD, true);
    hot_evict(bed.hot, 0, UINT32_MAX);
    assert_true(bed.hot->blocks_len <= 128);
    assert_int_equal(assert_inside(bed.hot), 1);
    hot_expect(bed.hot, 0, UPPER, UPPER / 200000);
    hot_clear(bed.hot, 0, UPPER, true);
    assert_int_equal(bed.hot->blocks_len, 0);
    assert_int_equal(arena_held(bed.arena), 0);
    bed_close(&bed);
}

static void a_table_that_empties_gives_its_memory_back(void **state)
{
    const struct point_set *set = *state;
    struct bed bed;
    bed_open(&bed, set->point_of);
    for (uint64_t i = 0; i < 20000; i++) {
        put_number(&bed, i, HOT_RECORD, false);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        struct record record = numbered(&bed, &i);
        hot_remove(bed.hot, record.point, find_number(&bed, i));
    }
    assert_int_equal(arena_held(bed.arena), 0);
    assert_int_equal(bed.hot->blocks_len, 0);
    assert_int_equal(assert_inside(bed.hot), 0);
    bed_close(&bed);
}

static void keys_that_share_a_deep_prefix_do_not_grow_directories_without_bound(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, points_of_one_bound);
    for (uint64_t i = 0; i < 20000; i++) {
        put_number(&bed, i, HOT_RECORD, false);
    }
    assert_true(bed.hot->directory_len <= sizeof(uint64_t) << DEPTH_LIMIT);
    hot_clear(bed.hot, 0, UPPER, true);
    assert_int_equal(bed.hot->directory_len, 0);
    bed_close(&bed);
}

/* --- single rules --- */

static void a_record_of_134_bytes_takes_136(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, table_point);
    uint8_t value[102] = {0};
    struct record record = {.key = bytes_text("sixteen bytes ok"),
                            .value = bytes_of(value, sizeof(value)),
                            .version = 1};
    record.point = point_of_key(record.key);
    hot_put(bed.hot, NULL, &record, HOT_RECORD, true);
    assert_int_equal(arena_used(bed.arena) - bed.hot->blocks_len, 136);
    assert_int_equal(hot_dirty_len(bed.hot), 136);
    bed_close(&bed);
}

static void an_overwrite_of_the_same_class_stays_in_place_unless_it_is_in_the_batch(void **state)
{
    (void)state;
    struct bed bed;
    struct hot_item item;
    bool is_end;
    uint64_t point = 0;
    bed_open(&bed, table_point);
    struct hot_record *entry = put_number(&bed, 1, HOT_RECORD, true);
    assert_ptr_equal(put_number(&bed, 1, HOT_RECORD, true), entry);
    assert_int_equal(hot_collect(bed.hot, &point, UPPER, 10, &item, 1, UINT32_MAX, &is_end), 1);
    assert_ptr_equal(item.entry, entry);
    struct hot_record *newer = put_number(&bed, 1, HOT_RECORD, true);
    assert_ptr_not_equal(newer, entry);
    hot_swept(bed.hot, &item, 1);
    assert_int_equal(hot_arc_dirty(bed.hot, (unsigned)(item.point >> 58)), 1);
    assert_ptr_equal(find_number(&bed, 1), newer);
    bed_close(&bed);
}

static void a_put_from_the_entrys_own_bytes_is_right(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, table_point);
    struct hot_record *entry = put_number(&bed, 5, HOT_RECORD, true);
    struct hot_view view;
    uint64_t number = 5;
    struct record record = numbered(&bed, &number);
    hot_view(bed.hot, record.point, entry, &view);
    view.record.expiry_ms = 99;
    view.record.value = bytes_of(view.record.value.data, 4);
    entry = hot_put(bed.hot, entry, &view.record, HOT_RECORD, true);
    hot_view(bed.hot, record.point, entry, &view);
    assert_int_equal(view.record.expiry_ms, 99);
    assert_true(bytes_equal(view.record.value, bytes_of(&number, 4)));
    assert_ptr_equal(find_number(&bed, 5), entry);
    bed_close(&bed);
}

static void a_swept_deletion_goes_and_the_block_stays_complete(void **state)
{
    (void)state;
    struct bed bed;
    struct hot_item item;
    bool is_end;
    uint64_t point = 0;
    bed_open(&bed, table_point);
    put_number(&bed, 1, HOT_DELETED, true);
    assert_int_equal(hot_value(find_number(&bed, 1)).len, 0);
    assert_int_equal(hot_collect(bed.hot, &point, UPPER, 10, &item, 1, UINT32_MAX, &is_end), 1);
    assert_true(is_end);
    hot_swept(bed.hot, &item, 1);
    assert_null(find_number(&bed, 1));
    assert_true(hot_is_complete(bed.hot, item.point));
    bed_close(&bed);
}

static void an_evicted_record_makes_its_block_incomplete_and_an_absent_key_does_not(void **state)
{
    (void)state;
    struct bed bed;
    uint64_t number = 1;
    bed_open(&bed, table_point);
    struct record record = numbered(&bed, &number);
    put_number(&bed, 1, HOT_ABSENT, false);
    assert_int_equal(hot_evict(bed.hot, 0, UINT32_MAX), 1);
    assert_true(hot_is_complete(bed.hot, record.point));
    put_number(&bed, 1, HOT_RECORD, false);
    assert_int_equal(hot_evict(bed.hot, 0, UINT32_MAX), 1);
    assert_false(hot_is_complete(bed.hot, record.point));
    bed_close(&bed);
}

static void what_is_dirty_or_awaited_is_never_evicted(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, table_point);
    put_number(&bed, 1, HOT_RECORD, true);
    put_number(&bed, 2, HOT_DELETED, true);
    put_number(&bed, 3, HOT_FETCHING, false);
    put_number(&bed, 4, HOT_RECORD, false);
    assert_int_equal(hot_evict(bed.hot, 0, UINT32_MAX), 1);
    assert_non_null(find_number(&bed, 1));
    assert_non_null(find_number(&bed, 2));
    assert_non_null(find_number(&bed, 3));
    assert_null(find_number(&bed, 4));
    bed_close(&bed);
}

static void what_was_used_gets_a_second_chance(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, table_point);
    for (uint64_t i = 0; i < 1000; i++) {
        put_number(&bed, i, HOT_RECORD, false);
    }
    for (uint64_t i = 0; i < 100; i++) {
        assert_non_null(find_number(&bed, i));
    }
    /* A whole lap looks at 4096 arcs and the buckets in them. */
    uint32_t gone = 0;
    while (bed.hot->hand < UPPER / 2 || gone == 0) {
        gone += hot_evict(bed.hot, 0, 1);
    }
    while (bed.hot->hand > UPPER / 2) {
        gone += hot_evict(bed.hot, 0, 1);
    }
    assert_int_equal(gone, 900);
    assert_int_equal(hot_evict(bed.hot, 0, UINT32_MAX), 100);
    bed_close(&bed);
}

static struct record in_table(uint16_t table, const uint8_t id[ID_KEY_LEN], uint64_t version)
{
    struct bytes key = bytes_of(id, ID_KEY_LEN);
    return (struct record){.point = table_point(table, key),
                           .table = table,
                           .key = key,
                           .value = key,
                           .version = version};
}

/* RULES N1: where entries are moved as the table grows, their points follow from table and key. */
static void the_same_bytes_in_two_tables_are_two_records_each_at_its_own_point(void **state)
{
    enum { COUNT = 50000 };
    static const uint16_t tables[] = {TABLE_DEFAULT, TABLE_ENTITIES};
    (void)state;
    struct arena *arena = arena_new();
    struct hot *hot = hot_new(arena, true);
    uint8_t id[ID_KEY_LEN];
    for (uint64_t i = 0; i < COUNT; i++) {
        endian_put_be64(id, i << 10);
        for (size_t t = 0; t < 2; t++) {
            struct record record = in_table(tables[t], id, 2 * i + t + 1);
            assert_null(hot_find(hot, record.point, record.table, record.key));
            hot_put(hot, NULL, &record, HOT_RECORD, true);
        }
    }
    assert_int_equal(assert_inside(hot), 2 * COUNT);
    for (uint64_t i = 0; i < COUNT; i++) {
        endian_put_be64(id, i << 10);
        for (size_t t = 0; t < 2; t++) {
            struct record record = in_table(tables[t], id, 0);
            struct hot_record *entry = hot_find(hot, record.point, record.table, record.key);
            assert_non_null(entry);
            assert_int_equal(hot_version(entry), 2 * i + t + 1);
            assert_null(hot_peek(hot, record.point, tables[1 - t], record.key));
        }
    }
    hot_free(hot);
    arena_free_all(arena);
}

/* RULES S2: a round ends, however often some keys with one point are written. */
static void a_crowd_at_one_point_that_is_written_again_and_again_holds_up_nobody(void **state)
{
    (void)state;
    static struct hot_item items[100];
    struct bed bed;
    uint64_t point = 0;
    bool is_end = false;
    uint64_t clock = 10000;
    bed_open(&bed, points_of_a_crowd);
    for (uint64_t i = 0; i < 6000; i++) {
        put_number(&bed, i, HOT_RECORD, true);
    }
    uint32_t calls = 0;
    for (; !is_end && calls < 1000; calls++) {
        uint32_t count =
            hot_collect(bed.hot, &point, UPPER, clock, items, 100, UINT32_MAX, &is_end);
        for (uint32_t i = 0; i < count; i++) {
            struct hot_view view;
            hot_item_view(&items[i], &view);
            view.record.version = ++clock;
            hot_put(bed.hot, hot_find(bed.hot, view.record.point, 0, view.record.key), &view.record,
                    HOT_RECORD, true);
        }
        hot_swept(bed.hot, items, count);
    }
    assert_true(is_end);
    assert_true(calls <= 6000 / 100 + 10);
    bed_close(&bed);
}

int main(void)
{
#define WITH(test, set)                                                                            \
    {                                                                                              \
#test, test, NULL, NULL, (void *)(uintptr_t)&point_sets[set]                               \
    }
#define WITH_ALL(test) WITH(test, 0), WITH(test, 1), WITH(test, 2), WITH(test, 3), WITH(test, 4)
    const struct CMUnitTest tests[] = {
        WITH_ALL(the_table_does_what_its_model_does),
        WITH_ALL(each_put_moves_a_bounded_number_of_entries),
        WITH(buckets_take_about_ten_bytes_for_a_record, 0),
        WITH(buckets_take_about_ten_bytes_for_a_record, 1),
        {"a_table_that_expects_its_records_moves_none", a_table_that_expects_its_records_moves_none,
         NULL, NULL, (void *)(uintptr_t)&everywhere},
        {"a_table_that_expects_its_records_moves_none", a_table_that_expects_its_records_moves_none,
         NULL, NULL, (void *)(uintptr_t)&narrow},
        cmocka_unit_test(room_for_what_does_not_come_goes_when_memory_is_short),
        WITH_ALL(a_table_that_empties_gives_its_memory_back),
        cmocka_unit_test(keys_that_share_a_deep_prefix_do_not_grow_directories_without_bound),
        cmocka_unit_test(a_record_of_134_bytes_takes_136),
        cmocka_unit_test(an_overwrite_of_the_same_class_stays_in_place_unless_it_is_in_the_batch),
        cmocka_unit_test(a_put_from_the_entrys_own_bytes_is_right),
        cmocka_unit_test(a_swept_deletion_goes_and_the_block_stays_complete),
        cmocka_unit_test(an_evicted_record_makes_its_block_incomplete_and_an_absent_key_does_not),
        cmocka_unit_test(what_is_dirty_or_awaited_is_never_evicted),
        cmocka_unit_test(what_was_used_gets_a_second_chance),
        cmocka_unit_test(the_same_bytes_in_two_tables_are_two_records_each_at_its_own_point),
        cmocka_unit_test(a_crowd_at_one_point_that_is_written_again_and_again_holds_up_nobody),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
