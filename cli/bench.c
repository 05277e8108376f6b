/* SPDX-License-Identifier: MIT */

/*
 * The load generator: loads its records, warms up, measures, prints.
 *
 *     bench ──> bench_client ──> bench_workload ──> bench_zipf, bench_cluster
 *       │            ├──> bench_ids
 *       │            └──> bench_driver: bench_shardkv, bench_redis, bench_echo
 *       └──> bench_report ──> bench_histogram          bench_process
 */

#include <stdio.h>
#include <stdlib.h>

#include "cli/actions.h"
#include "cli/bench_process.h"
#include "cli/bench_rebalance.h"
#include "cli/bench_report.h"
#include "io/listener.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/noun.h"

#define NS_PER_S UINT64_C(1000000000)

/* Loading is not measured, but waited for: few connections, deep pipelines. */
#define LOAD_CONNECTIONS 16
#define LOAD_PIPELINE    64

#define CONNECTIONS_MAX 60000
#define RECORDS_MAX     UINT64_C(1000000000000)
#define RATE_MAX        UINT64_C(1000000000)
#define SECONDS_MAX     1000000

/* Of one call (proto/PROTOCOL.md). */
#define MINT_COUNT_MAX 65536

/* Unless told: so many that servers of any small cluster have some each. */
#define PUT_SHARDS 64

/* Beside connections: standard files, the poller, the library's. */
#define OTHER_FILES 64

struct bench {
    struct session *session;
    struct bench_mix mix;
    struct bench_options options;
    struct bench_processes processes;
    struct bench_driver driver;
    struct bench_cluster cluster;
    struct bench_slices slices;
    struct bench_ids *ids; /* of mint and put */
    struct bench_tally tally;
};

/* --- what was asked for --- */

static bool gives_ids(const struct bench *bench)
{
    return bench->mix.keys == BENCH_KEYS_IDS;
}

static void set_default(uint64_t *number, uint64_t value)
{
    if (*number == 0) {
        *number = value;
    }
}

static enum exit_code check_most(const struct session *session, const char *name, uint64_t number,
                                 uint64_t max)
{
    if (number <= max) {
        return EXIT_CODE_DONE;
    }
    return session_say_usage(session, "--%s is at most %llu", name, (unsigned long long)max);
}

static enum exit_code check_numbers(const struct session *session,
                                    const struct bench_options *options)
{
    const struct {
        const char *name;
        uint64_t number;
        uint64_t max;
    } limits[] = {
        {"records", options->records, RECORDS_MAX},
        {"value-size", options->value_size, VALUE_LEN_MAX - 5}, /* 5: the head of a bin */
        {"connections", options->connections, CONNECTIONS_MAX},
        {"pipeline", options->pipeline, BENCH_SLOTS_MAX},
        {"seconds", options->seconds, SECONDS_MAX},
        {"warmup", options->warmup, SECONDS_MAX},
        {"rate", options->rate, RATE_MAX},
        {"count", options->count, MINT_COUNT_MAX},
        {"shards", options->shards, ID_SHARD_COUNT},
    };
    enum exit_code code = EXIT_CODE_DONE;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && code == EXIT_CODE_DONE; i++) {
        code = check_most(session, limits[i].name, limits[i].number, limits[i].max);
    }
    return code;
}

static enum exit_code take_options(struct bench *bench)
{
    struct session *session = bench->session;
    struct bench_options *options = &bench->options;
    *options = session->arguments->bench;
    set_default(&options->records, 100000);
    set_default(&options->value_size, 100);
    set_default(&options->connections, 50);
    set_default(&options->pipeline, 1);
    set_default(&options->seconds, 10);
    set_default(&options->warmup, 1);
    if (options->redis && options->echo) {
        return session_say_usage(session, "--redis and --echo exclude each other");
    }
    if (!bench_processes_parse(options->server_pids, &bench->processes)) {
        return session_say_usage(session, "--server-pid takes PID[,PID...], at most %d",
                                 BENCH_PIDS_MAX);
    }
    return check_numbers(session, options);
}

static enum exit_code take_mix(struct bench *bench)
{
    struct bench_mix *mix = &bench->mix;
    const char *name = session_word(bench->session, 0);
    const struct bench_mix *found = bench_mix_find(name);
    if (!found) {
        return session_say_usage(
            bench->session,
            "there is no workload \"%s\"; read, write, mixed, ycsb-a ... ycsb-f, mint, put, "
            "rebalance",
            name);
    }
    *mix = *found;
    if (bench->options.zipf && mix->keys == BENCH_KEYS_UNIFORM) {
        mix->keys = BENCH_KEYS_ZIPF;
    }
    bench->options.zipf = mix->keys == BENCH_KEYS_ZIPF;
    if (mix->keys == BENCH_KEYS_LATEST && bench->options.records < 2) {
        return session_say_usage(bench->session, "%s needs --records 2 at least", name);
    }
    return EXIT_CODE_DONE;
}

/* The number of a logical shard, without sign and spaces. */
static bool parse_shard(const char *text, uint32_t *shard)
{
    size_t len = strlen(text);
    if (len == 0 || len > 4 || strspn(text, "0123456789") != len) {
        return false;
    }
    *shard = (uint32_t)strtoul(text, NULL, 10);
    return *shard < ID_SHARD_COUNT;
}

static enum exit_code take_id_options(struct bench *bench)
{
    struct session *session = bench->session;
    struct bench_options *options = &bench->options;
    bool is_put = bench->mix.percent[BENCH_PUT] > 0;
    if (!gives_ids(bench)) {
        return options->shard || options->shards || options->count
                   ? session_say_usage(session, "--count, --shard and --shards are of mint and put")
                   : EXIT_CODE_DONE;
    }
    if (options->redis || options->echo) {
        return session_say_usage(session, "%s is of shardkv alone", bench->mix.name);
    }
    if (options->shard && !parse_shard(options->shard, &bench->slices.first)) {
        return session_say_usage(session, "--shard: \"%s\" is no logical shard, 0 to %u",
                                 options->shard, ID_SHARD_COUNT - 1);
    }
    if (is_put && options->value_size < BENCH_DOCUMENT_LEN_MIN) {
        return session_say_usage(session, "--value-size: a document takes %d bytes at least",
                                 BENCH_DOCUMENT_LEN_MIN);
    }
    if (is_put && options->count) {
        return session_say_usage(session, "--count is of mint");
    }
    set_default(&options->count, 1);
    set_default(&options->shards, is_put && !options->shard ? PUT_SHARDS : 1);
    bench->slices.count = (uint32_t)options->shards;
    bench->ids = bench_ids_new();
    return bench->ids ? EXIT_CODE_DONE : failure_say_no_memory();
}

/* --- against whom --- */

static enum exit_code find_single(struct bench *bench, const char *text)
{
    struct address address;
    if (!address_parse(bytes_text(text), &address)) {
        return session_say_usage(bench->session, "\"%s\" is no HOST:PORT", text);
    }
    return bench_cluster_init_single(&bench->cluster, &address) ? EXIT_CODE_DONE
                                                                : failure_say_no_memory();
}

static enum exit_code find_cluster(struct bench *bench)
{
    struct map map = {0};
    const struct bench_options *options = &bench->options;
    if (options->redis || options->echo) {
        return find_single(bench, options->redis ? options->redis : options->echo);
    }
    enum exit_code code = session_get_map(bench->session, &map);
    if (code == EXIT_CODE_DONE && !bench_cluster_init(&bench->cluster, &map)) {
        code = failure_say_no_memory();
    }
    if (code == EXIT_CODE_DONE && !gives_ids(bench) &&
        options->connections < bench->cluster.server_count) {
        code = session_say_usage(bench->session, "--connections: there are %u servers",
                                 bench->cluster.server_count);
    }
    return code;
}

static bool init_driver(struct bench *bench, uint32_t slot_count)
{
    const struct bench_options *options = &bench->options;
    bench_driver_fini(&bench->driver);
    if (options->redis) {
        return bench_redis_init(&bench->driver, options->value_size);
    }
    if (options->echo) {
        return bench_echo_init(&bench->driver, options->value_size);
    }
    return bench_shardkv_init(&bench->driver, options->value_size, slot_count) &&
           (!gives_ids(bench) ||
            bench_shardkv_add_ids(&bench->driver, (uint32_t)options->count, options->value_size));
}

/* --- running --- */

static struct bench_client *open_client(struct bench *bench, struct bench_workload *workload,
                                        uint32_t connections, uint32_t pipeline, uint64_t rate)
{
    char error[256] = "out of memory";
    const struct bench_client_config config = {.driver = &bench->driver,
                                               .cluster = &bench->cluster,
                                               .connections = connections,
                                               .pipeline = pipeline,
                                               .rate = rate,
                                               .ids = bench->ids,
                                               .mint_count = (uint32_t)bench->options.count};
    struct bench_client *client = init_driver(bench, pipeline)
                                      ? bench_client_open(&config, workload, error, sizeof(error))
                                      : NULL;
    if (!client) {
        (void)failure_say(EXIT_CODE_UNAVAILABLE, "bench: %s", error);
    }
    return client;
}

static bool is_empty(const struct bench_tally *tally)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++) {
        count += tally->kinds[i].count;
    }
    return count == 0;
}

static enum exit_code say_ended(const struct bench_tally *tally, enum bench_ended ended,
                                const char *what)
{
    if (tally->errors > 0) {
        enum exit_code code =
            ended == BENCH_ENDED_BROKEN ? EXIT_CODE_UNAVAILABLE : EXIT_CODE_REFUSED;
        return failure_say(code, "bench: %s: %llu %s; the first: %s", what,
                           (unsigned long long)tally->errors,
                           noun_of(tally->errors, "error", "errors"), tally->first_error);
    }
    if (ended == BENCH_ENDED_TIME && is_empty(tally)) {
        return failure_say(EXIT_CODE_UNKNOWN, "bench: %s: nothing was answered", what);
    }
    return EXIT_CODE_DONE;
}

/* Not measured: all of it must be done before anything is. */
static enum exit_code load(struct bench *bench)
{
    struct bench_workload workload;
    struct bench_client *client = NULL;
    struct bench_tally *tally = &bench->tally;
    uint32_t connections = bench->cluster.server_count > LOAD_CONNECTIONS
                               ? bench->cluster.server_count
                               : LOAD_CONNECTIONS;
    enum exit_code code = EXIT_CODE_UNAVAILABLE;
    if (!bench_workload_init_load(&workload, &bench->cluster, bench->options.records,
                                  bench->options.value_size)) {
        bench_workload_fini(&workload);
        return failure_say_no_memory();
    }
    client = open_client(bench, &workload, connections, LOAD_PIPELINE, 0);
    if (client) {
        enum bench_ended ended = bench_client_run(client, 0, tally);
        code = say_ended(tally, ended, "loading");
        if (ended == BENCH_ENDED_INTERRUPTED) {
            code = failure_say(EXIT_CODE_UNKNOWN, "bench: interrupted while loading");
        }
    }
    bench_client_close(client);
    bench_workload_fini(&workload);
    return code;
}

static enum exit_code sample_cpu(const struct bench *bench, uint64_t *cpu_ns)
{
    if (bench_processes_cpu_ns(&bench->processes, cpu_ns)) {
        return EXIT_CODE_DONE;
    }
    return failure_say(EXIT_CODE_USAGE, "bench: --server-pid: there is no such process");
}

static enum exit_code print_result(const struct bench *bench, struct bench_result *result)
{
    result->workload = bench->mix.name;
    result->driver = bench->driver.name;
    result->options = bench->options;
    result->tally = &bench->tally;
    result->has_ids = gives_ids(bench);
    result->slices = bench->slices;
    result->has_server = bench->processes.count > 0 &&
                         bench_processes_memory(&bench->processes, &result->server_memory);
    return bench->session->arguments->json ? bench_report_print_json(result)
                                           : bench_report_print_table(result);
}

/* Ids are wrong in the warm-up, too. */
static void end_warmup(struct bench_tally *tally)
{
    uint64_t wrong_ids = tally->wrong_ids;
    const char *wrong = tally->wrong;
    *tally = (struct bench_tally){.errors = wrong_ids};
    if (wrong) {
        (void)snprintf(tally->first_error, sizeof(tally->first_error), "%s", wrong);
    }
}

static enum exit_code measure(struct bench *bench, struct bench_client *client)
{
    struct bench_result result = {0};
    struct bench_tally *tally = &bench->tally;
    uint64_t begin_ns = 0, end_ns = 0;
    enum bench_ended ended = bench_client_run(client, bench->options.warmup * NS_PER_S, tally);
    if (ended == BENCH_ENDED_TIME) {
        end_warmup(tally);
        enum exit_code code = sample_cpu(bench, &begin_ns);
        if (code != EXIT_CODE_DONE) {
            return code;
        }
        uint64_t own_ns = bench_process_own_cpu_ns();
        ended = bench_client_run(client, bench->options.seconds * NS_PER_S, tally);
        result.client_cpu_ns = bench_process_own_cpu_ns() - own_ns;
        /* A server that has died is told of as a broken connection. */
        if (bench_processes_cpu_ns(&bench->processes, &end_ns)) {
            result.server_cpu_ns = end_ns - begin_ns;
        }
    }
    result.was_interrupted = ended == BENCH_ENDED_INTERRUPTED;
    enum exit_code code = print_result(bench, &result);
    return failure_worst(code, say_ended(tally, ended, bench->mix.name));
}

static enum exit_code run(struct bench *bench)
{
    const struct bench_options *options = &bench->options;
    struct bench_workload workload;
    enum exit_code code = EXIT_CODE_UNAVAILABLE;
    bench->tally = (struct bench_tally){0};
    if (!bench_workload_init(&workload, &bench->mix, &bench->cluster, options->records,
                             options->value_size)) {
        bench_workload_fini(&workload);
        return failure_say_no_memory();
    }
    if (gives_ids(bench)) {
        workload.slices = bench->slices;
    }
    struct bench_client *client = open_client(bench, &workload, (uint32_t)options->connections,
                                              (uint32_t)options->pipeline, options->rate);
    if (client) {
        code = measure(bench, client);
    }
    bench_client_close(client);
    bench_workload_fini(&workload);
    return code;
}

static enum exit_code check_driver(const struct bench *bench)
{
    bool is_foreign = bench->options.redis || bench->options.echo;
    if (is_foreign && bench->mix.percent[BENCH_SCAN] > 0) {
        return session_say_usage(bench->session,
                                 "%s scans, which neither Redis nor the echo server can",
                                 bench->mix.name);
    }
    return EXIT_CODE_DONE;
}

static enum exit_code raise_file_limit(const struct bench *bench)
{
    char error[256];
    uint32_t wanted = (uint32_t)bench->options.connections + OTHER_FILES;
    if (listener_raise_file_limit(wanted, error, sizeof(error))) {
        return EXIT_CODE_DONE;
    }
    return failure_say(EXIT_CODE_USAGE, "bench: --connections: %s", error);
}

/* Options that only `rebalance` takes, and a second word. */
static bool is_rebalance_told(const struct session *session)
{
    const struct arguments *told = session->arguments;
    const struct bench_options *options = &told->bench;
    return told->words.count > 1 || told->to || options->share || options->moves ||
           options->parts || options->moving_only || options->local || options->cluster_pipeline ||
           options->plot;
}

enum exit_code bench_run(struct session *session)
{
    if (strcmp(session_word(session, 0), "rebalance") == 0) {
        return bench_rebalance_run(session);
    }
    if (is_rebalance_told(session)) {
        return session_say_usage(session, "a second word, --share, --to, --moves, --parts, "
                                          "--moving-only, --local, --cluster-pipeline and --plot "
                                          "are of `bench rebalance`");
    }
    struct bench *bench = calloc(1, sizeof(*bench));
    if (!bench) {
        return failure_say_no_memory();
    }
    bench->session = session;
    enum exit_code code = take_options(bench);
    if (code == EXIT_CODE_DONE) {
        code = take_mix(bench);
    }
    if (code == EXIT_CODE_DONE) {
        code = check_driver(bench);
    }
    if (code == EXIT_CODE_DONE) {
        code = take_id_options(bench);
    }
    if (code == EXIT_CODE_DONE) {
        code = raise_file_limit(bench);
    }
    if (code == EXIT_CODE_DONE) {
        code = find_cluster(bench);
    }
    if (code == EXIT_CODE_DONE && !bench->options.no_load && !gives_ids(bench)) {
        code = load(bench);
    }
    if (code == EXIT_CODE_DONE) {
        code = run(bench);
    }
    bench_driver_fini(&bench->driver);
    bench_cluster_fini(&bench->cluster);
    bench_ids_free(bench->ids);
    free(bench);
    return code;
}
