/* SPDX-License-Identifier: MIT */
#include "shardd/line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/endian.h"
#include "tests/unit/dice.h"

/* The first ones stay throughout a walk; the others come and go. */
enum { STAYING = 3000, ALL = 20000 };

struct met {
    uint32_t counts[ALL];
};

static void client_of(uint32_t number, uint8_t client[ID_LEN])
{
    memset(client, 0, ID_LEN);
    endian_put_le32(client, number);
}

static void on_line(void *context, struct line *line)
{
    struct met *met = context;
    met->counts[endian_get_le32(line->client)]++;
}

static void add(struct lines *lines, uint32_t first, uint32_t end)
{
    uint8_t client[ID_LEN];
    for (uint32_t i = first; i < end; i++) {
        client_of(i, client);
        (void)lines_get(lines, client);
    }
}

static void remove_some(struct lines *lines, uint32_t first, uint32_t end)
{
    uint8_t client[ID_LEN];
    for (uint32_t i = first; i < end; i++) {
        client_of(i, client);
        struct line *line = lines_find(lines, client);
        if (line) {
            lines_remove(lines, line);
        }
    }
}

/* The table grows and shrinks by most of its size again and again. */
static void a_walk_meets_each_line_that_stays_once_whatever_comes_and_goes(void **state)
{
    (void)state;
    struct dice dice = dice_of(21);
    for (int round = 0; round < 20; round++) {
        static struct met met;
        struct lines lines;
        uint64_t cursor = 0;
        memset(&met, 0, sizeof(met));
        lines_init(&lines);
        add(&lines, 0, STAYING + dice_below(&dice, ALL - STAYING));
        while (lines_walk(&lines, &cursor, on_line, &met)) {
            uint32_t number = STAYING + dice_below(&dice, ALL - STAYING);
            uint32_t roll = dice_below(&dice, 1000);
            if (roll == 0) {
                add(&lines, STAYING, number);
            } else if (roll == 1) {
                remove_some(&lines, number, ALL);
            }
        }
        for (uint32_t i = 0; i < STAYING; i++) {
            assert_int_equal(met.counts[i], 1);
        }
        lines_fini(&lines);
    }
}

static void a_walk_of_a_table_at_rest_meets_all(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 1023, 1024, 1025, 5000, ALL};
    for (int i = 0; i < 7; i++) {
        static struct met met;
        struct lines lines;
        uint64_t cursor = 0;
        memset(&met, 0, sizeof(met));
        lines_init(&lines);
        add(&lines, 0, counts[i]);
        while (lines_walk(&lines, &cursor, on_line, &met)) {
        }
        for (uint32_t j = 0; j < ALL; j++) {
            assert_int_equal(met.counts[j], j < counts[i]);
        }
        lines_fini(&lines);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_meets_each_line_that_stays_once_whatever_comes_and_goes),
        cmocka_unit_test(a_walk_of_a_table_at_rest_meets_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
