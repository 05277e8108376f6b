/* SPDX-License-Identifier: MIT */
#include "tests/sim/checker.h"

#include "tests/sim/heap.h"

#include <stddef.h>

/* States of the search for one key: what a healthy history needs is a few per operation. */
#define STATES_MAX (1u << 20)

struct state {
    bool is_there;
    bool is_value_unknown; /* a sum that may have begun anew after an eviction */
    uint32_t expiring_by;  /* the operation that gave it its time to live, from 1; 0: it has none */
    int64_t value;
    uint64_t version;      /* 0: not known, or nothing there */
    uint64_t last_version; /* the highest known of any record of this key */
};

/* --- the model --- */

static bool may_be_same(uint64_t version, uint64_t other_version)
{
    return version == 0 || other_version == 0 || version == other_version;
}

/* A read tells the version of what an operation without an answer wrote. */
static bool learn_version(struct state *state, uint64_t version)
{
    if (!may_be_same(state->version, version)) {
        return false;
    }
    if (state->version == 0 && version) {
        if (version <= state->last_version) {
            return false;
        }
        state->version = state->last_version = version;
    }
    return true;
}

/* The model, and what it is applied to. */
struct model {
    const struct operation *operations;
    bool may_evict;
};

/* Nobody asked for it: expired, or evicted. */
static bool may_be_gone(const struct model *model, const struct state *state,
                        const struct operation *operation)
{
    return model->may_evict ||
           (state->expiring_by &&
            history_may_expire(&model->operations[state->expiring_by - 1], operation));
}

static bool must_be_gone(const struct model *model, const struct state *state,
                         const struct operation *operation)
{
    return state->expiring_by &&
           history_must_expire(&model->operations[state->expiring_by - 1], operation);
}

static bool put(const struct model *model, struct state *state, const struct operation *operation,
                int64_t value, uint64_t version)
{
    if (version && version <= state->last_version) {
        return false;
    }
    bool is_sum = operation->deed == DEED_INCR;
    state->expiring_by = operation->ttl_ms ? (uint32_t)(operation - model->operations) + 1
                         : is_sum          ? state->expiring_by
                                           : 0;
    state->is_there = true;
    state->is_value_unknown = false;
    state->value = value;
    state->version = version;
    state->last_version = version ? version : state->last_version;
    return true;
}

static void clear(struct state *state)
{
    state->is_there = false;
    state->is_value_unknown = false;
    state->expiring_by = 0;
    state->value = 0;
    state->version = 0;
}

/* RULES R3: what an answer has shown to be gone stays so. */
static bool find(const struct model *model, struct state *state, const struct operation *operation,
                 bool was_there)
{
    if (was_there) {
        return state->is_there && !must_be_gone(model, state, operation);
    }
    if (state->is_there && !may_be_gone(model, state, operation)) {
        return false;
    }
    clear(state);
    return true;
}

static bool learn_value(struct state *state, int64_t value)
{
    if (state->is_value_unknown) {
        state->is_value_unknown = false;
        state->value = value;
    }
    return state->value == value;
}

static bool look(const struct model *model, struct state *state, const struct operation *operation)
{
    if (!find(model, state, operation, operation->was_there)) {
        return false;
    }
    bool has_value =
        operation->was_there && (operation->deed == DEED_READ || operation->deed == DEED_POP);
    return !has_value ||
           (learn_value(state, operation->result) && learn_version(state, operation->version));
}

static bool is_held_back(const struct model *model, struct state *state,
                         const struct operation *operation)
{
    if (operation->deed == DEED_WRITE_IF_ABSENT) {
        return find(model, state, operation, true) && learn_version(state, operation->version);
    }
    if (operation->version == 0) {
        return find(model, state, operation, false);
    }
    return find(model, state, operation, true) &&
           operation->version != operation->condition_version &&
           learn_version(state, operation->version);
}

static bool lets_write(const struct model *model, struct state *state,
                       const struct operation *operation)
{
    switch (operation->deed) {
    case DEED_WRITE_IF_ABSENT:
        return find(model, state, operation, false);
    case DEED_WRITE_IF_VERSION:
        return find(model, state, operation, true) &&
               learn_version(state, operation->condition_version);
    default:
        return true;
    }
}

static bool add(const struct model *model, struct state *state, const struct operation *operation)
{
    bool may_begin = !state->is_there || may_be_gone(model, state, operation);
    int64_t before = operation->result - operation->argument;
    if (state->is_there && (state->is_value_unknown || state->value == before)) {
        return put(model, state, operation, operation->result, operation->version);
    }
    if (!may_begin || before != 0) {
        return false;
    }
    clear(state);
    return put(model, state, operation, operation->result, operation->version);
}

/* The effect and the answer. False: the answer cannot be, with this state before. */
static bool apply_answered(const struct model *model, struct state *state,
                           const struct operation *operation)
{
    if (operation->is_refused) {
        return is_held_back(model, state, operation);
    }
    switch (operation->deed) {
    case DEED_READ:
    case DEED_EXISTS:
        return look(model, state, operation);
    case DEED_POP:
    case DEED_DELETE:
        if (!look(model, state, operation)) {
            return false;
        }
        clear(state);
        return true;
    case DEED_WRITE:
    case DEED_WRITE_IF_ABSENT:
    case DEED_WRITE_IF_VERSION:
        return lets_write(model, state, operation) &&
               put(model, state, operation, operation->argument, operation->version);
    case DEED_INCR:
        return add(model, state, operation);
    case DEED_EXPIRE:
        return find(model, state, operation, operation->was_there) &&
               (!operation->was_there ||
                put(model, state, operation, state->value, operation->version));
    }
    return false;
}

static bool add_open(const struct model *model, struct state *state,
                     const struct operation *operation)
{
    bool is_unknown =
        state->is_there && (state->is_value_unknown || may_be_gone(model, state, operation));
    int64_t sum = (state->is_there ? state->value : 0) + operation->argument;
    bool is_put = put(model, state, operation, is_unknown ? 0 : sum, 0);
    state->is_value_unknown = is_unknown;
    return is_put;
}

/* The effect alone. False: it has none in this state. */
static bool apply_open(const struct model *model, struct state *state,
                       const struct operation *operation)
{
    switch (operation->deed) {
    case DEED_READ:
    case DEED_EXISTS:
        return false;
    case DEED_POP:
    case DEED_DELETE:
        if (!state->is_there) {
            return false;
        }
        clear(state);
        return true;
    case DEED_WRITE:
    case DEED_WRITE_IF_ABSENT:
    case DEED_WRITE_IF_VERSION:
        return lets_write(model, state, operation) &&
               put(model, state, operation, operation->argument, 0);
    case DEED_INCR:
        return add_open(model, state, operation);
    case DEED_EXPIRE:
        return state->is_there && put(model, state, operation, state->value, 0);
    }
    return false;
}

/* --- what was tried: sets of operations that have taken effect, with the state they led to --- */

struct tried {
    uint64_t *places; /* hashes, 0: free */
    size_t place_count;
    size_t used;
};

static uint64_t mix(uint64_t word)
{
    word = (word ^ word >> 32) * UINT64_C(0xd6e8feb86659fd93);
    word = (word ^ word >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return word ^ word >> 32;
}

/* Begins with a number of its own: mix(0) is 0, and small versions must not look like places in a set. */
static uint64_t hash_state(const struct state *state)
{
    uint64_t hash = mix((uint64_t)state->value + state->is_there + UINT64_C(0x9e3779b97f4a7c15));
    hash = mix(hash + ((uint64_t)state->expiring_by << 1 | state->is_value_unknown));
    hash = mix(hash + state->version);
    return mix(hash + state->last_version);
}

static void place(struct tried *tried, uint64_t hash)
{
    size_t at = hash & (tried->place_count - 1);
    while (tried->places[at]) {
        at = (at + 1) & (tried->place_count - 1);
    }
    tried->places[at] = hash;
}

static void grow(struct tried *tried)
{
    struct tried larger = {.place_count = tried->place_count ? 4 * tried->place_count : 1024};
    larger.places = world_get(larger.place_count, sizeof(uint64_t));
    for (size_t i = 0; i < tried->place_count; i++) {
        if (tried->places[i]) {
            place(&larger, tried->places[i]);
        }
    }
    larger.used = tried->used;
    world_put(tried->places);
    *tried = larger;
}

/* False: it was there. */
static bool remember(struct tried *tried, uint64_t hash)
{
    if (2 * tried->used >= tried->place_count) {
        grow(tried);
    }
    hash |= 1;
    for (size_t at = hash & (tried->place_count - 1); tried->places[at];
         at = (at + 1) & (tried->place_count - 1)) {
        if (tried->places[at] == hash) {
            return false;
        }
    }
    place(tried, hash);
    tried->used++;
    return true;
}

/* --- the search --- */

struct choice {
    uint32_t operation;
    struct state before;
};

/*
 * A step chooses the next operation to take effect. Those with an answer are tried first, in the
 * order of their asking; one without is a guess, made only when they lead nowhere.
 */
struct search {
    struct model model;
    const struct operation *operations;
    uint32_t count;
    uint32_t answered_left;
    uint32_t first_left; /* all before it have taken effect, or need not */
    bool *is_chosen;
    bool *is_seen; /* what it would write is in somebody's answer */
    struct choice *choices;
    uint32_t choice_count;
    uint32_t most_choices;
    uint64_t set_hash;
    struct state state;
    struct tried tried;
};

static bool is_answered(const struct operation *operation)
{
    return operation->answered != MOMENT_NEVER;
}

static bool is_left(const struct search *search, uint32_t index)
{
    return !search->is_chosen[index] && !search->operations[index].is_void;
}

/* Nothing that was asked after this moment may go next. */
static uint64_t earliest_answer(const struct search *search)
{
    uint64_t earliest = MOMENT_NEVER;
    for (uint32_t i = search->first_left; i < search->count; i++) {
        const struct operation *operation = &search->operations[i];
        if (operation->asked > earliest) {
            break;
        }
        if (is_left(search, i) && operation->answered < earliest) {
            earliest = operation->answered;
        }
    }
    return earliest;
}

static bool is_behind_open_one(const struct search *search, const struct operation *operation)
{
    if (!operation->after) {
        return false;
    }
    const struct operation *before = &search->operations[operation->after - 1];
    return is_answered(before) && is_left(search, operation->after - 1);
}

static bool removes(const struct operation *operation)
{
    return operation->deed == DEED_POP || operation->deed == DEED_DELETE;
}

/* Nobody could tell which of the two took effect. */
static bool are_twins(const struct search *search, uint32_t index, uint32_t other_index)
{
    const struct operation *one = &search->operations[index];
    const struct operation *other = &search->operations[other_index];
    if (one->deed != other->deed) {
        return removes(one) && removes(other);
    }
    if (one->ttl_ms != other->ttl_ms || one->is_sliding != other->is_sliding) {
        return false;
    }
    bool are_unseen =
        one->deed == DEED_WRITE && !search->is_seen[index] && !search->is_seen[other_index];
    return are_unseen ||
           (one->argument == other->argument && one->condition_version == other->condition_version);
}

/*
 * Of open twins the first one goes first: it may go wherever the other may, unless it has to go
 * behind something. (Otherwise every subset of them would be tried.)
 */
static bool has_earlier_twin(const struct search *search, uint32_t index)
{
    for (uint32_t i = search->first_left; i < index; i++) {
        const struct operation *other = &search->operations[i];
        if (is_left(search, i) && !is_answered(other) && !other->after &&
            are_twins(search, index, i)) {
            return true;
        }
    }
    return false;
}

static bool choose(struct search *search, uint32_t index)
{
    const struct operation *operation = &search->operations[index];
    if (!is_answered(operation) && has_earlier_twin(search, index)) {
        return false;
    }
    struct state state = search->state;
    bool fits = is_answered(operation) ? apply_answered(&search->model, &state, operation)
                                       : apply_open(&search->model, &state, operation);
    uint64_t set_hash = search->set_hash ^ mix(index + 1);
    if (!fits || is_behind_open_one(search, operation) ||
        !remember(&search->tried, set_hash ^ hash_state(&state))) {
        return false;
    }
    search->choices[search->choice_count++] = (struct choice){index, search->state};
    search->is_chosen[index] = true;
    search->answered_left -= is_answered(operation);
    search->set_hash = set_hash;
    search->state = state;
    if (search->choice_count > search->most_choices) {
        search->most_choices = search->choice_count;
    }
    while (search->first_left < search->count &&
           is_answered(&search->operations[search->first_left]) &&
           !is_left(search, search->first_left)) {
        search->first_left++;
    }
    return true;
}

static uint32_t take_back(struct search *search)
{
    const struct choice *choice = &search->choices[--search->choice_count];
    uint32_t index = choice->operation;
    search->is_chosen[index] = false;
    search->answered_left += is_answered(&search->operations[index]);
    search->set_hash ^= mix(index + 1);
    search->state = choice->before;
    if (index < search->first_left) {
        search->first_left = index;
    }
    return index;
}

/* The first from `from` on that can go next, among those with or without an answer. */
static bool choose_one(struct search *search, uint32_t from, uint64_t earliest, bool with_answer)
{
    for (uint32_t i = from; i < search->count && search->operations[i].asked < earliest; i++) {
        if (is_left(search, i) && is_answered(&search->operations[i]) == with_answer &&
            choose(search, i)) {
            return true;
        }
    }
    return false;
}

/* Goes on behind the choice `last` (count: from the start). False: nothing is left to try here. */
static bool advance(struct search *search, uint32_t last)
{
    uint64_t earliest = earliest_answer(search);
    bool is_guess = last < search->count && !is_answered(&search->operations[last]);
    uint32_t from = last < search->count ? last + 1 : search->first_left;
    if (!is_guess && choose_one(search, from, earliest, true)) {
        return true;
    }
    return choose_one(search, is_guess ? last + 1 : 0, earliest, false);
}

static enum checker_result run(struct search *search)
{
    uint32_t last = search->count;
    while (search->answered_left) {
        if (search->tried.used > STATES_MAX) {
            return CHECKER_GAVE_UP;
        }
        if (advance(search, last)) {
            last = search->count;
        } else if (search->choice_count) {
            last = take_back(search);
        } else {
            return CHECKER_BROKEN;
        }
    }
    return CHECKER_LINEARIZABLE;
}

static bool is_value_seen(const struct search *search, int64_t value)
{
    for (uint32_t i = 0; i < search->count; i++) {
        const struct operation *operation = &search->operations[i];
        if (is_answered(operation) && operation->result == value) {
            return true;
        }
    }
    return false;
}

static void begin(struct search *search)
{
    search->is_chosen = world_get(search->count, sizeof(bool));
    search->is_seen = world_get(search->count, sizeof(bool));
    search->choices = world_get(search->count, sizeof(struct choice));
    for (uint32_t i = 0; i < search->count; i++) {
        const struct operation *operation = &search->operations[i];
        search->answered_left += is_answered(operation) && !operation->is_void;
        search->is_seen[i] = !is_answered(operation) && is_value_seen(search, operation->argument);
    }
}

enum checker_result checker_run(const struct operation *operations, uint32_t count,
                                uint32_t *furthest)
{
    struct search search = {
        .model = {operations, count > 0 && history_may_evict(operations[0].key)},
        .operations = operations,
        .count = count,
    };
    begin(&search);
    enum checker_result result = run(&search);
    *furthest = search.most_choices;
    world_put(search.is_chosen);
    world_put(search.is_seen);
    world_put(search.choices);
    world_put(search.tried.places);
    return result;
}
