/* SPDX-License-Identifier: MIT */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

/* What a run of the load generator has measured, for people and as JSON. */

#include "cli/bench_client.h"
#include "cli/bench_options.h"
#include "cli/failure.h"

struct bench_result {
    const char *workload;
    const char *driver;
    struct bench_options options; /* with what was not told filled in */
    const struct bench_tally *tally;
    bool has_ids; /* of mint and put */
    struct bench_slices slices;
    bool was_interrupted;
    uint64_t client_cpu_ns;
    bool has_server; /* processes were named: the next two are known */
    uint64_t server_cpu_ns;
    uint64_t server_memory; /* bytes */
};

enum exit_code bench_report_print_json(const struct bench_result *result);
enum exit_code bench_report_print_table(const struct bench_result *result);

#endif
