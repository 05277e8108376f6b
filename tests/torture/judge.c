/* SPDX-License-Identifier: MIT */
#include "tests/torture/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/memory.h"

bool judge_is_seen(const struct state *state, const struct picture *picture, uint32_t key)
{
    const struct seen *seen = &picture->keys[key];
    if (seen->is_there != state->is_there || seen->is_strange) {
        return false;
    }
    if (!seen->is_there) {
        return true;
    }
    bool is_version_fine =
        state->version ? seen->version == state->version : seen->version > state->version_floor;
    return seen->number == state->number && is_version_fine &&
           operation_fits_expiry(state, seen->ttl_ms, picture->told_ms_min, picture->told_ms_max);
}

/* False: the operation had an answer that does not go with this. */
static bool replay(const struct operation *operation, struct state *state)
{
    if (operation->is_refused) {
        return true;
    }
    struct state before = *state;
    struct reply expected = operation_apply(operation, state);
    return !operation->is_answered ||
           operation_fits(operation, &before, &expected, &operation->reply);
}

uint32_t judge_prefixes(const struct history *history, const struct course *course,
                        uint32_t required, const struct picture *picture, uint32_t key, bool *fits)
{
    struct state state = course->base;
    uint32_t fit_count = 0;
    bool is_possible = true;
    for (uint32_t i = 0; i <= course->count; i++) {
        fits[i] = is_possible && i >= required && judge_is_seen(&state, picture, key);
        fit_count += fits[i];
        is_possible = is_possible && i < course->count &&
                      replay(course_operation(history, course, i), &state);
    }
    return fit_count;
}

/* --- what was sent again --- */

static bool is_same_reply(const struct reply *a, const struct reply *b)
{
    return a->code == b->code && a->is_found == b->is_found && a->number == b->number &&
           a->version == b->version;
}

/*
 * It had taken place before the crash: the stored result is given. That it is to be sent later says nothing
 * of it; FULL would, and wrongly (RULES Q1: the result is looked up first).
 */
static bool repeat_fits_stored(const struct operation *original, const struct operation *repeat,
                               const struct state *before, const struct reply *expected)
{
    if (status_class(repeat->reply.code) == STATUS_CLASS_RETRY) {
        return true;
    }
    return original->is_answered ? is_same_reply(&original->reply, &repeat->reply)
                                 : operation_fits(repeat, before, expected, &repeat->reply);
}

static bool prefix_fits_repeats(const struct history *history, const struct course *course,
                                const struct operation *const *repeats, uint32_t prefix,
                                const struct seen *seen, struct state *state)
{
    const struct operation *writer = NULL; /* whose version is the one that is seen */
    *state = course->base;
    for (uint32_t i = 0; i < prefix; i++) {
        const struct operation *operation = course_operation(history, course, i);
        struct state before = *state;
        struct reply expected = {0};
        if (!operation->is_refused) {
            expected = operation_apply(operation, state);
        }
        if (operation->is_refused || !operation_changes(operation->kind)) {
            continue;
        }
        bool is_put =
            state->is_there && operation->kind != OPERATION_EXPIRE && expected.code == STATUS_OK;
        writer = is_put ? repeats[i] : expected.code == STATUS_OK ? NULL : writer;
        if (repeats[i] && !repeat_fits_stored(operation, repeats[i], &before, &expected)) {
            return false;
        }
    }
    if (state->is_there) {
        state->version = seen->version;
        state->version_floor = seen->version;
    }
    if (writer && !writer->is_refused && writer->reply.version != seen->version) {
        return false;
    }
    for (uint32_t i = 0; i < course->count; i++) {
        bool has_run = i < prefix && !course_operation(history, course, i)->is_refused;
        if (repeats[i] && !has_run && !replay(repeats[i], state)) {
            return false;
        }
    }
    return true;
}

bool judge_repeats(const struct history *history, const struct course *course,
                   const struct repeats *repeats, uint32_t key, bool *fits, struct state *left)
{
    bool is_any = false;
    for (uint32_t i = 0; i <= course->count; i++) {
        struct state state;
        fits[i] = fits[i] &&
                  prefix_fits_repeats(history, course, repeats->operations, i,
                                      &repeats->before->keys[key], &state) &&
                  judge_is_seen(&state, repeats->after, key);
        if (fits[i] && !is_any) {
            *left = state;
            is_any = true;
        }
    }
    /* What was not told is learnt from what is seen. */
    if (is_any && left->is_there) {
        left->version = left->version_floor = repeats->after->keys[key].version;
    }
    return is_any;
}

/* --- all that was answered is there --- */

uint32_t judge_required(const struct history *history, const struct course *course)
{
    uint32_t required = course->count;
    while (required > 0 && !course_operation(history, course, required - 1)->is_answered) {
        required--;
    }
    return required;
}

static enum judgement judge_as_it_is(const struct history *history, const struct course *course,
                                     const struct repeats *repeats, uint32_t key,
                                     struct state *left)
{
    bool *fits = memory_get(course->count + 1, sizeof(*fits));
    uint32_t required = judge_required(history, course);
    enum judgement judgement = JUDGEMENT_LOST;
    if (judge_prefixes(history, course, required, repeats->before, key, fits) > 0) {
        bool is_once = judge_repeats(history, course, repeats, key, fits, left);
        judgement = is_once ? JUDGEMENT_FINE : JUDGEMENT_NOT_ONCE;
    }
    free(fits);
    return judgement;
}

/* With each subset of those from `place` on that have no answer taken for refused. */
static enum judgement judge_with_refusals(struct history *history, const struct course *course,
                                          const struct repeats *repeats, uint32_t key,
                                          uint32_t place, struct state *left)
{
    enum judgement best = judge_as_it_is(history, course, repeats, key, left);
    for (uint32_t i = place; i < course->count && best != JUDGEMENT_FINE; i++) {
        struct operation *operation = course_operation(history, course, i);
        if (!operation->is_answered && operation_changes(operation->kind)) {
            operation->is_refused = true;
            enum judgement judgement =
                judge_with_refusals(history, course, repeats, key, i + 1, left);
            operation->is_refused = false;
            best = judgement > best ? judgement : best;
        }
    }
    return best;
}

enum judgement judge_settled(struct history *history, const struct course *course,
                             const struct repeats *repeats, uint32_t key, bool may_refuse,
                             struct state *left)
{
    return may_refuse ? judge_with_refusals(history, course, repeats, key, 0, left)
                      : judge_as_it_is(history, course, repeats, key, left);
}

/* --- level os: what is lost is a suffix --- */

/* The stamp of its effect, as far as it was told; 0: not known. */
static uint64_t stamp_of(const struct operation *operation)
{
    bool tells = operation->kind == OPERATION_WRITE || operation->kind == OPERATION_WRITE_ABSENT ||
                 operation->kind == OPERATION_INCR || operation->kind == OPERATION_EXPIRE;
    return tells && operation->is_answered ? operation->reply.version : 0;
}

uint32_t judge_cuts(const struct history *history, const struct course *course, const bool *fits,
                    struct cut *cuts)
{
    uint32_t cut_count = 0;
    struct cut cut = {0, UINT64_MAX};
    for (uint32_t i = 0; i <= course->count; i++) {
        cut.high = UINT64_MAX;
        for (uint32_t later = i; later < course->count && cut.high == UINT64_MAX; later++) {
            uint64_t stamp = stamp_of(course_operation(history, course, later));
            cut.high = stamp ? stamp : UINT64_MAX;
        }
        bool is_joined = fits[i] && cut_count > 0 && cuts[cut_count - 1].high >= cut.low;
        if (is_joined) {
            cuts[cut_count - 1].high = cut.high;
        } else if (fits[i]) {
            cuts[cut_count++] = cut;
        }
        uint64_t stamp = i < course->count ? stamp_of(course_operation(history, course, i)) : 0;
        cut.low = stamp ? stamp : cut.low;
    }
    return cut_count;
}

static int compare_lows(const void *a, const void *b)
{
    const struct cut *one = a;
    const struct cut *two = b;
    return (one->low > two->low) - (one->low < two->low);
}

static int compare_highs(const void *a, const void *b)
{
    const uint64_t *one = a;
    const uint64_t *two = b;
    return (*one > *two) - (*one < *two);
}

/* The cuts of one key do not overlap, so a stamp in as many cuts as there are keys is in one of each. */
bool judge_has_common_cut(struct cut *cuts, uint32_t cut_count, uint32_t key_count)
{
    uint64_t *highs = memory_get(cut_count + 1, sizeof(*highs));
    uint32_t ended = 0;
    bool has = key_count == 0;
    for (uint32_t i = 0; i < cut_count; i++) {
        highs[i] = cuts[i].high;
    }
    qsort(cuts, cut_count, sizeof(*cuts), compare_lows);
    qsort(highs, cut_count, sizeof(*highs), compare_highs);
    for (uint32_t i = 0; i < cut_count && !has; i++) {
        while (highs[ended] <= cuts[i].low) {
            ended++;
        }
        has = i + 1 - ended == key_count;
    }
    free(highs);
    return has;
}

/* --- for people --- */

void judge_explain(const struct history *history, const struct course *course, uint32_t required,
                   const struct picture *picture, uint32_t key)
{
    const struct seen *seen = &picture->keys[key];
    printf("# key %u is %s, number %" PRId64 ", version %" PRIu64 ", ttl %" PRId64 "%s\n", key,
           seen->is_there ? "there" : "absent", seen->number, seen->version, seen->ttl_ms,
           seen->is_strange ? ", strange" : "");
    printf("# it was %s, number %" PRId64 ", version %" PRIu64 ", floor %" PRIu64
           ", expiry %" PRIu64 " to %" PRIu64 "; then, at least the first %u of\n",
           course->base.is_there ? "there" : "absent", course->base.number, course->base.version,
           course->base.version_floor, course->base.expiry_ms_min, course->base.expiry_ms_max,
           required);
    for (uint32_t i = 0; i < course->count; i++) {
        char text[OPERATION_TEXT_LEN];
        operation_print(course_operation(history, course, i), text);
        printf("#   %u: %s\n", i, text);
    }
}
