/* SPDX-License-Identifier: MIT */
#include "cli/bench_workload.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proto/id.h"
#include "proto/point.h"
#include "tests/unit/sample_map.h"

#define SEED      UINT64_C(20240607)
#define DRAWS     2000000
#define VALUE_LEN 100

/* --- zipf --- */

static void assert_share(uint64_t seen, double expected)
{
    double share = (double)seen / DRAWS;
    /* Five standard deviations of a share of so many draws. */
    double tolerance = 5 * sqrt(expected * (1 - expected) / DRAWS);
    if (fabs(share - expected) > tolerance) {
        fail_msg("share %.5f, not %.5f +- %.5f", share, expected, tolerance);
    }
}

static void the_two_top_ranks_come_as_often_as_zipf_says(void **state)
{
    struct bench_zipf zipf;
    struct bench_random random = {SEED};
    uint64_t first = 0, second = 0;
    (void)state;
    printf("# seed %llu\n", (unsigned long long)SEED);
    bench_zipf_init(&zipf, 1000);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t rank = bench_zipf_rank(&zipf, &random);
        assert_true(rank < 1000);
        first += rank == 0;
        second += rank == 1;
    }
    assert_share(first, 1 / zipf.zeta);
    assert_share(second, pow(2, -0.99) / zipf.zeta);
}

/* The inverse is exact for the top alone: of the ten next it is within a tenth. */
static void the_next_ranks_come_nearly_as_often_as_zipf_says(void **state)
{
    struct bench_zipf zipf;
    struct bench_random random = {SEED};
    uint64_t seen = 0;
    double expected = 0;
    (void)state;
    bench_zipf_init(&zipf, 1000);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t rank = bench_zipf_rank(&zipf, &random);
        seen += rank >= 2 && rank < 12;
    }
    for (int rank = 2; rank < 12; rank++) {
        expected += pow(rank + 1, -0.99) / zipf.zeta;
    }
    assert_true(fabs((double)seen / DRAWS - expected) < expected / 10);
}

static void growing_step_by_step_is_as_beginning_with_all(void **state)
{
    struct bench_zipf grown, whole;
    (void)state;
    bench_zipf_init(&grown, 2);
    for (uint64_t count = 3; count <= 500; count++) {
        bench_zipf_grow(&grown, count);
    }
    bench_zipf_init(&whole, 500);
    assert_true(fabs(grown.zeta - whole.zeta) < 1e-9);
    assert_true(fabs(grown.eta - whole.eta) < 1e-9);
}

static void the_scrambled_top_record_has_what_ycsb_gives_it(void **state)
{
    struct bench_zipf zipf;
    struct bench_random random = {SEED};
    uint64_t top = bench_zipf_scramble(0, 1000003);
    uint64_t seen = 0;
    (void)state;
    printf("# seed %llu\n", (unsigned long long)SEED);
    bench_zipf_init_scrambled(&zipf);
    for (int i = 0; i < DRAWS; i++) {
        seen += bench_zipf_scramble(bench_zipf_rank(&zipf, &random), 1000003) == top;
    }
    /* And a little more: of 10^10 ranks others fall on it, too. */
    assert_share(seen, 1 / zipf.zeta);
}

/* --- workloads --- */

static struct bench_cluster single_cluster(void)
{
    struct bench_cluster cluster;
    struct address address = {.host = "127.0.0.1", .port = 1};
    assert_true(bench_cluster_init_single(&cluster, &address));
    return cluster;
}

/* Shares of 1/4, 1/2 and 1/4 of the circle, the second in two ranges. */
static struct map three_servers(void)
{
    return SAMPLE_MAP(
        1, {.name = "a", .end = QUARTER, .owner = 1}, {.name = "b", .end = HALF, .owner = 2},
        {.name = "c", .end = 3 * QUARTER, .owner = 3}, {.name = "d", .end = BOUND_END, .owner = 2});
}

static void an_unknown_workload_is_none(void **state)
{
    (void)state;
    assert_null(bench_mix_find("ycsb-g"));
    assert_non_null(bench_mix_find("ycsb-f"));
}

static void each_workload_has_its_shares(void **state)
{
    static const char *const names[] = {"read",   "write",  "mixed",  "ycsb-a", "ycsb-b",
                                        "ycsb-c", "ycsb-d", "ycsb-e", "ycsb-f"};
    struct bench_cluster cluster = single_cluster();
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct bench_workload workload;
        const struct bench_mix *mix = bench_mix_find(names[i]);
        uint64_t seen[BENCH_KIND_COUNT] = {0};
        assert_true(bench_workload_init(&workload, mix, &cluster, 1000, VALUE_LEN));
        for (int n = 0; n < 100000; n++) {
            struct bench_op op = {0};
            assert_true(bench_workload_next(&workload, 0, &op));
            assert_true(op.record < workload.record_count);
            seen[op.kind]++;
        }
        for (int kind = 0; kind < BENCH_KIND_COUNT; kind++) {
            assert_true(labs((long)seen[kind] - 1000L * mix->percent[kind]) < 1000);
        }
        assert_int_equal(workload.record_count, 1000 + seen[BENCH_INSERT]);
        bench_workload_fini(&workload);
    }
    bench_cluster_fini(&cluster);
}

static void scans_take_1_to_100_records(void **state)
{
    struct bench_cluster cluster = single_cluster();
    struct bench_workload workload;
    uint32_t least = 1000, most = 0;
    (void)state;
    assert_true(
        bench_workload_init(&workload, bench_mix_find("ycsb-e"), &cluster, 1000, VALUE_LEN));
    for (int i = 0; i < 10000; i++) {
        struct bench_op op = {0};
        assert_true(bench_workload_next(&workload, 0, &op));
        if (op.kind == BENCH_SCAN) {
            least = op.limit < least ? op.limit : least;
            most = op.limit > most ? op.limit : most;
        }
    }
    assert_int_equal(least, 1);
    assert_int_equal(most, 100);
    bench_workload_fini(&workload);
    bench_cluster_fini(&cluster);
}

static void the_latest_records_are_read_most(void **state)
{
    struct bench_cluster cluster = single_cluster();
    struct bench_workload workload;
    uint64_t reads = 0, recent = 0;
    (void)state;
    assert_true(
        bench_workload_init(&workload, bench_mix_find("ycsb-d"), &cluster, 100000, VALUE_LEN));
    for (int i = 0; i < 10000; i++) {
        struct bench_op op = {0};
        uint64_t count = workload.record_count;
        assert_true(bench_workload_next(&workload, 0, &op));
        if (op.kind == BENCH_READ) {
            reads++;
            recent += op.record + 100 >= count;
        }
    }
    assert_true(recent * 3 > reads);
    bench_workload_fini(&workload);
    bench_cluster_fini(&cluster);
}

static void loading_gives_each_record_once_to_the_server_that_has_it(void **state)
{
    struct map map = three_servers();
    struct bench_cluster cluster;
    struct bench_workload workload;
    uint8_t seen[1000] = {0};
    (void)state;
    assert_true(bench_cluster_init(&cluster, &map));
    assert_int_equal(cluster.server_count, 3);
    assert_true(bench_workload_init_load(&workload, &cluster, 1000, VALUE_LEN));
    for (uint32_t server = 0; server < cluster.server_count; server++) {
        struct bench_op op = {0};
        while (bench_workload_next(&workload, server, &op)) {
            uint64_t point = point_of_key(bytes_of(op.key, sizeof(op.key)));
            assert_int_equal(bench_cluster_find(&cluster, point), server);
            assert_int_equal(op.kind, BENCH_INSERT);
            seen[op.record]++;
        }
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(seen[i], 1);
    }
    bench_workload_fini(&workload);
    bench_cluster_fini(&cluster);
}

static void each_server_gets_a_connection_and_the_others_go_by_share(void **state)
{
    struct map map = three_servers();
    struct bench_cluster cluster;
    uint32_t seen[3] = {0};
    (void)state;
    assert_true(bench_cluster_init(&cluster, &map));
    for (uint32_t i = 0; i < 43; i++) {
        seen[bench_cluster_server_of(&cluster, i, 43)]++;
    }
    assert_int_equal(seen[0], 11);
    assert_int_equal(seen[1], 21);
    assert_int_equal(seen[2], 11);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(bench_cluster_server_of(&cluster, i, 3), i);
    }
    bench_cluster_fini(&cluster);
}

static void a_server_without_records_is_asked_nothing(void **state)
{
    struct map map = three_servers();
    struct bench_cluster cluster;
    struct bench_workload workload;
    uint32_t idle = 0;
    (void)state;
    assert_true(bench_cluster_init(&cluster, &map));
    assert_true(bench_workload_init(&workload, bench_mix_find("read"), &cluster, 1, VALUE_LEN));
    for (uint32_t server = 0; server < cluster.server_count; server++) {
        struct bench_op op = {0};
        idle += !bench_workload_next(&workload, server, &op);
    }
    assert_int_equal(idle, cluster.server_count - 1);
    bench_workload_fini(&workload);
    bench_cluster_fini(&cluster);
}

/* Eight slices, 1,024 apart: two or more of each server. */
static void puts_go_to_the_slices_servers_evenly(void **state)
{
    struct map map = three_servers();
    struct bench_cluster cluster;
    struct bench_workload workload;
    uint32_t seen[ID_SHARD_COUNT] = {0};
    (void)state;
    assert_true(bench_cluster_init(&cluster, &map));
    assert_true(bench_workload_init(&workload, bench_mix_find("put"), &cluster, 1, VALUE_LEN));
    workload.slices = (struct bench_slices){1000, 8};
    for (uint32_t server = 0; server < cluster.server_count; server++) {
        for (int i = 0; i < 1000; i++) {
            struct bench_op op = {0};
            assert_true(bench_workload_next(&workload, server, &op));
            assert_int_equal(op.kind, BENCH_PUT);
            assert_int_equal(bench_cluster_find(&cluster, op.point), server);
            seen[op.point >> 51]++;
        }
    }
    uint32_t all = 0;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t slice = (1000 + i * 1024) % ID_SHARD_COUNT;
        assert_true(seen[slice] > 150);
        all += seen[slice];
    }
    assert_int_equal(all, 3000);
    bench_workload_fini(&workload);
    bench_cluster_fini(&cluster);
}

static void connections_that_mint_are_shared_out_among_the_slices(void **state)
{
    struct bench_cluster cluster = single_cluster();
    struct bench_workload workload;
    (void)state;
    assert_true(bench_workload_init(&workload, bench_mix_find("mint"), &cluster, 1, VALUE_LEN));
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(bench_workload_home(&workload, i, 10) >> 51, 0);
    }
    workload.slices = (struct bench_slices){ID_SHARD_COUNT - 1, 2};
    for (uint32_t i = 0; i < 10; i++) {
        uint64_t slice = i < 5 ? ID_SHARD_COUNT - 1 : ID_SHARD_COUNT / 2 - 1;
        assert_int_equal(bench_workload_home(&workload, i, 10) >> 51, slice);
    }
    bench_workload_fini(&workload);
    bench_cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_two_top_ranks_come_as_often_as_zipf_says),
        cmocka_unit_test(the_next_ranks_come_nearly_as_often_as_zipf_says),
        cmocka_unit_test(growing_step_by_step_is_as_beginning_with_all),
        cmocka_unit_test(the_scrambled_top_record_has_what_ycsb_gives_it),
        cmocka_unit_test(an_unknown_workload_is_none),
        cmocka_unit_test(each_workload_has_its_shares),
        cmocka_unit_test(scans_take_1_to_100_records),
        cmocka_unit_test(the_latest_records_are_read_most),
        cmocka_unit_test(loading_gives_each_record_once_to_the_server_that_has_it),
        cmocka_unit_test(each_server_gets_a_connection_and_the_others_go_by_share),
        cmocka_unit_test(a_server_without_records_is_asked_nothing),
        cmocka_unit_test(puts_go_to_the_slices_servers_evenly),
        cmocka_unit_test(connections_that_mint_are_shared_out_among_the_slices),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
