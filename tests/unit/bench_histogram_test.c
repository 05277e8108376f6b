/* SPDX-License-Identifier: MIT */
#include "cli/bench_histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static uint64_t median_of_one(uint64_t time_ns, uint64_t greater_ns)
{
    struct bench_histogram histogram = {0};
    bench_histogram_add(&histogram, time_ns);
    bench_histogram_add(&histogram, greater_ns);
    return bench_histogram_quantile(&histogram, 0.5);
}

static void a_time_up_to_1000_s_is_known_within_a_64th(void **state)
{
    (void)state;
    for (uint64_t time_ns = 1; time_ns <= 1000 * SECOND; time_ns += 1 + time_ns / 97) {
        uint64_t seen_ns = median_of_one(time_ns, 2000 * SECOND);
        assert_true(seen_ns >= time_ns);
        assert_true((seen_ns - time_ns) * 64 <= time_ns);
    }
}

static void both_edges_of_each_power_of_two_are_known_within_a_64th(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits < BENCH_HISTOGRAM_MAX_BITS; bits++) {
        for (uint64_t time_ns = (UINT64_C(1) << bits) - 1; time_ns <= (UINT64_C(1) << bits) + 1;
             time_ns++) {
            uint64_t seen_ns = median_of_one(time_ns, 2000 * SECOND);
            assert_true(seen_ns >= time_ns && (seen_ns - time_ns) * 64 <= time_ns);
        }
    }
}

static void quantiles_are_those_of_a_known_distribution(void **state)
{
    struct bench_histogram histogram = {0};
    (void)state;
    for (uint64_t us = 1; us <= 1000; us++) {
        bench_histogram_add(&histogram, us * 1000);
    }
    assert_int_equal(histogram.count, 1000);
    assert_int_equal(histogram.max_ns, 1000000);
    assert_in_range(bench_histogram_quantile(&histogram, 0.5), 500000, 508000);
    assert_in_range(bench_histogram_quantile(&histogram, 0.99), 990000, 1000000);
    assert_int_equal(bench_histogram_quantile(&histogram, 1), 1000000);
    assert_in_range(bench_histogram_quantile(&histogram, 0), 1000, 1016);
}

static void no_quantile_is_above_the_greatest_time(void **state)
{
    struct bench_histogram histogram = {0};
    (void)state;
    bench_histogram_add(&histogram, 1000001);
    assert_int_equal(bench_histogram_quantile(&histogram, 0.5), 1000001);
    assert_int_equal(bench_histogram_quantile(&histogram, 0.999), 1000001);
}

static void what_is_beyond_the_last_bucket_counts_in_it(void **state)
{
    struct bench_histogram histogram = {0};
    (void)state;
    bench_histogram_add(&histogram, UINT64_MAX);
    bench_histogram_add(&histogram, 5000 * SECOND);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram.max_ns, UINT64_MAX);
    assert_true(bench_histogram_quantile(&histogram, 0.5) >= 1000 * SECOND);
}

static void an_empty_one_has_no_times(void **state)
{
    struct bench_histogram histogram = {0};
    (void)state;
    assert_int_equal(bench_histogram_quantile(&histogram, 0.5), 0);
}

static void two_merged_are_as_one(void **state)
{
    struct bench_histogram one = {0}, other = {0}, both = {0};
    (void)state;
    for (uint64_t i = 0; i < 2000; i++) {
        bench_histogram_add(i % 3 ? &one : &other, i * i);
        bench_histogram_add(&both, i * i);
    }
    bench_histogram_merge(&one, &other);
    assert_memory_equal(&one, &both, sizeof(both));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_up_to_1000_s_is_known_within_a_64th),
        cmocka_unit_test(both_edges_of_each_power_of_two_are_known_within_a_64th),
        cmocka_unit_test(quantiles_are_those_of_a_known_distribution),
        cmocka_unit_test(no_quantile_is_above_the_greatest_time),
        cmocka_unit_test(what_is_beyond_the_last_bucket_counts_in_it),
        cmocka_unit_test(an_empty_one_has_no_times),
        cmocka_unit_test(two_merged_are_as_one),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
