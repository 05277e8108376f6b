/* SPDX-License-Identifier: MIT */

/*
 * The checker of histories, by histories that a register, a counter and a place to pop from gave to several
 * clients at once: it takes them as they are, and finds each fault that is put into them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "io/memory.h"
#include "tests/sim/history.h"
#include "tests/torture/chronicle.h"
#include "tests/unit/dice.h"

enum { CLIENTS = 5, STEPS = 900, SEEDS = 40, STEP = 1000 };

enum model { REGISTER, COUNTER, PLACE, MODELS };

/* What the key holds: the truth, step by step. */
struct truth {
    bool is_there;
    int64_t value;
    uint64_t version;
    uint64_t last_version;
};

/* Asked; carried out at some step; answered at a later one. */
struct client {
    bool is_busy, is_done, is_lost;
    uint32_t number;
    struct operation operation;
};

static void write_now(struct truth *truth, struct operation *operation, int64_t value)
{
    truth->is_there = operation->was_there = true;
    truth->value = value;
    truth->version = operation->version = ++truth->last_version;
}

static void look_now(const struct truth *truth, struct operation *operation)
{
    operation->was_there = truth->is_there;
    operation->result = truth->is_there ? truth->value : 0;
    operation->version = truth->is_there ? truth->version : 0;
}

static void carry_out(struct truth *truth, struct operation *operation)
{
    switch (operation->deed) {
    case DEED_WRITE:
        write_now(truth, operation, operation->argument);
        break;
    case DEED_WRITE_IF_ABSENT:
        operation->is_refused = truth->is_there;
        if (truth->is_there) {
            operation->version = truth->version;
        } else {
            write_now(truth, operation, operation->argument);
        }
        break;
    case DEED_INCR:
        operation->result = (truth->is_there ? truth->value : 0) + operation->argument;
        write_now(truth, operation, operation->result);
        break;
    case DEED_POP:
        look_now(truth, operation);
        truth->is_there = false;
        break;
    default:
        look_now(truth, operation);
        break;
    }
}

static enum deed draw_deed(struct dice *dice, enum model model)
{
    static const enum deed deeds[MODELS][4] = {
        [REGISTER] = {DEED_READ, DEED_READ, DEED_WRITE, DEED_WRITE_IF_ABSENT},
        [COUNTER] = {DEED_READ, DEED_INCR, DEED_INCR, DEED_INCR},
        [PLACE] = {DEED_WRITE_IF_ABSENT, DEED_WRITE, DEED_POP, DEED_POP},
    };
    return deeds[model][dice_below(dice, 4)];
}

/* One client goes on: asks, has it carried out, or is answered. One in thirty never is, whatever became of it. */
static void step(struct chronicle *chronicle, struct truth *truth, struct client *client,
                 struct dice *dice, enum model model, int64_t number)
{
    if (!client->is_busy) {
        *client = (struct client){.is_busy = true, .is_lost = dice_below(dice, 30) == 0};
        client->operation.deed = draw_deed(dice, model);
        client->operation.argument = model == COUNTER ? 1 + dice_below(dice, 9) : number * STEP;
        client->number = chronicle_ask(chronicle, &client->operation);
    } else if (!client->is_done && !(client->is_lost && dice_below(dice, 2))) {
        carry_out(truth, &client->operation);
        client->is_done = true;
    } else {
        if (!client->is_lost) {
            chronicle_answer(chronicle, client->number, &client->operation);
        }
        client->is_busy = false;
    }
}

static struct chronicle *record(uint64_t seed, enum model model)
{
    struct chronicle *chronicle = chronicle_new(1);
    struct client clients[CLIENTS] = {0};
    struct truth truth = {0};
    struct dice dice = {seed};
    for (int64_t i = 0; i < STEPS; i++) {
        step(chronicle, &truth, &clients[dice_below(&dice, CLIENTS)], &dice, model, i + 1);
    }
    return chronicle;
}

static enum chronicle_verdict check(struct chronicle *chronicle)
{
    uint32_t furthest = 0;
    return chronicle_check(chronicle, 0, &furthest);
}

static void check_seed(uint64_t seed)
{
    for (enum model model = REGISTER; model < MODELS; model++) {
        struct chronicle *chronicle = record(seed, model);
        if (check(chronicle) != CHRONICLE_LINEARIZABLE) {
            fail_msg("seed %u, model %d", (unsigned)seed, (int)model);
        }
        chronicle_free(chronicle);
    }
}

static void whatever_one_key_did_for_several_clients_is_linearizable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        check_seed(seed);
    }
}

/* --- faults --- */

static bool is_fit(const struct operation *operation, enum deed deed)
{
    return operation->deed == deed && operation->answered != MOMENT_NEVER && operation->was_there &&
           !operation->is_refused;
}

/* The first of that kind from the middle on; NULL: there is none. */
static struct operation *find(struct chronicle *chronicle, enum deed deed)
{
    uint32_t count = 0;
    struct operation *operations = chronicle_of_key(chronicle, 0, &count);
    for (uint32_t i = count / 2; i < count; i++) {
        if (is_fit(&operations[i], deed)) {
            return &operations[i];
        }
    }
    return NULL;
}

static struct operation *find_before(struct chronicle *chronicle, const struct operation *end,
                                     enum deed deed)
{
    uint32_t count = 0;
    struct operation *operations = chronicle_of_key(chronicle, 0, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (is_fit(&operations[i], deed) && operations[i].answered < end->asked) {
            return &operations[i];
        }
    }
    return NULL;
}

/* An old value is seen again: of a source that went on, or a target that dropped a change. */
static bool read_again_what_was_overwritten(struct chronicle *chronicle)
{
    struct operation *later = find(chronicle, DEED_READ);
    struct operation *earlier = later ? find_before(chronicle, later, DEED_READ) : NULL;
    if (!earlier || earlier->version == later->version) {
        return false;
    }
    later->result = earlier->result;
    later->version = earlier->version;
    return true;
}

static bool read_nothing(struct chronicle *chronicle)
{
    struct operation *operation = find(chronicle, DEED_READ);
    if (!operation) {
        return false;
    }
    operation->was_there = false;
    operation->result = 0;
    operation->version = 0;
    return true;
}

static bool take_a_version_twice(struct chronicle *chronicle)
{
    struct operation *later = find(chronicle, DEED_WRITE);
    struct operation *earlier = later ? find_before(chronicle, later, DEED_WRITE) : NULL;
    if (!earlier) {
        return false;
    }
    later->version = earlier->version;
    return true;
}

static bool read_what_nobody_wrote(struct chronicle *chronicle)
{
    struct operation *operation = find(chronicle, DEED_READ);
    if (!operation) {
        return false;
    }
    operation->result++;
    return true;
}

/* All sums from one on are off: it was done twice. */
static bool add_twice(struct chronicle *chronicle)
{
    uint32_t count = 0;
    struct operation *operations = chronicle_of_key(chronicle, 0, &count);
    const struct operation *twice = find(chronicle, DEED_INCR);
    for (uint32_t i = 0; twice && i < count; i++) {
        if (operations[i].asked > twice->answered) {
            operations[i].result += operations[i].was_there ? twice->argument : 0;
        }
    }
    return twice != NULL;
}

static bool lose_an_increment(struct chronicle *chronicle)
{
    struct operation *operation = find(chronicle, DEED_INCR);
    if (!operation) {
        return false;
    }
    operation->result -= operation->argument;
    return true;
}

static bool pop_twice(struct chronicle *chronicle)
{
    struct operation *later = find(chronicle, DEED_POP);
    struct operation *earlier = later ? find_before(chronicle, later, DEED_POP) : NULL;
    if (!earlier) {
        return false;
    }
    later->result = earlier->result;
    later->version = earlier->version;
    return true;
}

struct fault {
    const char *name;
    enum model model;
    bool (*spoil)(struct chronicle *chronicle); /* false: this history has nothing fit for it */
};

/*
 * Not every history shows every fault: what overlaps may have gone before, and what no answer tells of may have been done.
 * Most do.
 */
static void each_fault_is_found_in_most_histories_that_have_it(void **state)
{
    static const struct fault faults[] = {
        {"an old value", REGISTER, read_again_what_was_overwritten},
        {"a lost record", REGISTER, read_nothing},
        {"a version given twice", REGISTER, take_a_version_twice},
        {"a value of nobody", REGISTER, read_what_nobody_wrote},
        {"an increment done twice", COUNTER, add_twice},
        {"a lost increment", COUNTER, lose_an_increment},
        {"a value popped twice", PLACE, pop_twice},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint32_t spoilt = 0;
        uint32_t found = 0;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            struct chronicle *chronicle = record(seed, faults[i].model);
            bool is_spoilt = faults[i].spoil(chronicle);
            spoilt += is_spoilt;
            found += is_spoilt && check(chronicle) == CHRONICLE_BROKEN;
            chronicle_free(chronicle);
        }
        printf("# %s: found in %u of %u\n", faults[i].name, found, spoilt);
        assert_true(spoilt > SEEDS / 2);
        assert_true(found * 10 >= spoilt * 7);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_one_key_did_for_several_clients_is_linearizable),
        cmocka_unit_test(each_fault_is_found_in_most_histories_that_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
