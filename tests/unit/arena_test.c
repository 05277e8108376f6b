/* SPDX-License-Identifier: MIT */
#include "shardd/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/dice.h"

#define SLAB_LEN ((size_t)64 << 10)
#define SLAB_MAX 16384u
#define PIECES   2000

struct piece {
    uint8_t *memory;
    size_t len;
    uint8_t mark;
};

static int setup(void **state)
{
    *state = arena_new();
    return 0;
}

static int teardown(void **state)
{
    arena_free_all(*state);
    return 0;
}

static void a_class_is_at_most_an_eighth_longer_than_what_was_asked(void **state)
{
    (void)state;
    assert_int_equal(arena_class_len(134), 136);
    assert_int_equal(arena_class_len(0), 8);
    size_t before = 0;
    for (size_t len = 1; len <= SLAB_MAX; len++) {
        size_t class_len = arena_class_len(len);
        assert_true(class_len >= len && class_len >= before);
        assert_true(class_len - len < (len <= 1024 ? 8 : len / 8 + 1));
        assert_int_equal(class_len % 8, 0);
        assert_int_equal(arena_class_len(class_len), class_len);
        before = class_len;
    }
}

static void what_is_larger_than_a_class_counts_with_its_overhead(void **state)
{
    struct arena *arena = *state;
    size_t len = 100000;
    void *memory = arena_get(arena, len);
    memset(memory, 1, len);
    assert_true(arena_class_len(len) >= len + 16 && arena_class_len(len) < len + 64);
    assert_int_equal(arena_held(arena), arena_class_len(len));
    assert_int_equal(arena_used(arena), arena_class_len(len));
    arena_put(arena, memory, len);
    assert_int_equal(arena_held(arena), 0);
    assert_int_equal(arena_used(arena), 0);
}

static void memory_of_every_length_is_aligned_and_nobody_elses(void **state)
{
    static struct piece pieces[PIECES];
    struct arena *arena = *state;
    for (size_t i = 0; i < PIECES; i++) {
        size_t len = 1 + i * 10;
        pieces[i] = (struct piece){arena_get(arena, len), len, (uint8_t)(i * 7)};
        assert_int_equal((uintptr_t)pieces[i].memory % 8, 0);
        memset(pieces[i].memory, pieces[i].mark, len);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t at = 0; at < pieces[i].len; at++) {
            assert_int_equal(pieces[i].memory[at], pieces[i].mark);
        }
        arena_put(arena, pieces[i].memory, pieces[i].len);
    }
    assert_int_equal(arena_used(arena), 0);
    assert_int_equal(arena_held(arena), 0);
}

/* Marks stand at both ends: whoever else is given a piece would overwrite them. */
/* Whoever overwrites in place goes by the class. The sanitizers see a byte behind the end. */
static void every_length_of_a_class_fits_where_another_was_asked(void **state)
{
    struct arena *arena = *state;
    for (size_t len = 16000; len < 17000; len += 7) {
        size_t longest = len;
        while (arena_class_len(longest + 1) == arena_class_len(len)) {
            longest++;
        }
        void *memory = arena_get(arena, len);
        memset(memory, 1, longest);
        arena_put(arena, memory, longest);
    }
    assert_int_equal(arena_used(arena), 0);
}

static void get(struct arena *arena, struct dice *dice, struct piece *piece)
{
    piece->len = dice_below(dice, 100) == 0 ? 1 + dice_below(dice, 60000)
                                            : 1 + dice_below(dice, 1u << dice_below(dice, 15));
    piece->mark = (uint8_t)dice_roll(dice);
    piece->memory = arena_get(arena, piece->len);
    piece->memory[0] = piece->mark;
    piece->memory[piece->len - 1] = piece->mark;
}

static void put(struct arena *arena, struct piece *piece)
{
    assert_int_equal(piece->memory[0], piece->mark);
    assert_int_equal(piece->memory[piece->len - 1], piece->mark);
    arena_put(arena, piece->memory, piece->len);
    piece->memory = NULL;
}

static void what_is_used_and_held_is_known_after_any_order_of_gets_and_puts(void **state)
{
    static struct piece pieces[PIECES];
    struct arena *arena = *state;
    struct dice dice = dice_of(20);
    size_t used = 0;
    for (int round = 0; round < 300000; round++) {
        struct piece *piece = &pieces[dice_below(&dice, PIECES)];
        if (piece->memory) {
            used -= arena_class_len(piece->len);
            put(arena, piece);
        } else {
            get(arena, &dice, piece);
            used += arena_class_len(piece->len);
        }
        assert_int_equal(arena_used(arena), used);
        assert_true(arena_held(arena) >= used);
    }
    for (size_t i = 0; i < PIECES; i++) {
        if (pieces[i].memory) {
            put(arena, &pieces[i]);
        }
    }
    assert_int_equal(arena_used(arena), 0);
    assert_int_equal(arena_held(arena), 0);
}

static void a_slab_that_empties_serves_another_class(void **state)
{
    static void *items[SLAB_LEN / 64];
    struct arena *arena = *state;
    for (size_t i = 0; i < SLAB_LEN / 128; i++) {
        items[i] = arena_get(arena, 128);
    }
    size_t held = arena_held(arena);
    for (size_t i = 0; i < SLAB_LEN / 128; i++) {
        arena_put(arena, items[i], 128);
    }
    assert_int_equal(arena_held(arena), 0);
    for (size_t i = 0; i < SLAB_LEN / 64; i++) {
        items[i] = arena_get(arena, 64);
    }
    assert_int_equal(arena_held(arena), held);
}

static void a_slab_is_filled_before_another_is_taken(void **state)
{
    struct arena *arena = *state;
    (void)arena_get(arena, 100);
    size_t held = arena_held(arena);
    size_t count = 1;
    for (; arena_held(arena) == held; count++) {
        (void)arena_get(arena, 100);
    }
    assert_int_equal(arena_held(arena), held + SLAB_LEN);
    assert_in_range(count - 1, (SLAB_LEN - 4096) / 104, SLAB_LEN / 104); /* the block has a head */
}

static void blocks_that_empty_are_given_back_and_may_come_again(void **state)
{
    static void *items[2000];
    struct arena *arena = *state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 2000; i++) {
            items[i] = arena_get(arena, SLAB_MAX);
            memset(items[i], round, SLAB_MAX);
        }
        /* Four of 16 KiB fill a slab; the first slab of a block has its head. */
        assert_true(arena_held(arena) <= 2000 * SLAB_MAX * 65 / 64);
        for (size_t i = 0; i < 2000; i++) {
            arena_put(arena, items[(i * 7) % 2000], SLAB_MAX);
        }
        assert_int_equal(arena_held(arena), 0);
    }
}

static void a_block_that_is_given_is_used_before_another_is_made(void **state)
{
    struct arena *arena = *state;
    assert_false(arena_wants_block(arena));
    (void)arena_get(arena, 100);
    while (arena_wants_block(arena)) {
        arena_give_block(arena, arena_block_new());
    }
    for (size_t i = 0; !arena_wants_block(arena); i++) {
        memset(arena_get(arena, SLAB_MAX), 1, SLAB_MAX);
        assert_true(i < 1000);
    }
    assert_true(arena_held(arena) >= 32 * SLAB_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_is_at_most_an_eighth_longer_than_what_was_asked),
        cmocka_unit_test_setup_teardown(what_is_larger_than_a_class_counts_with_its_overhead, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(memory_of_every_length_is_aligned_and_nobody_elses, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            what_is_used_and_held_is_known_after_any_order_of_gets_and_puts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slab_that_empties_serves_another_class, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slab_is_filled_before_another_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(every_length_of_a_class_fits_where_another_was_asked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_block_that_is_given_is_used_before_another_is_made, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(blocks_that_empty_are_given_back_and_may_come_again, setup,
                                        teardown),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
