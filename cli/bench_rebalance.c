/* SPDX-License-Identifier: MIT */

/*
 * Loads records, moves a range while a load goes on, and reads all back.
 *
 *     load │ warm up │ before │ during │ deleting │ after │ drain │ read back
 *                             └─ asked └─ target  └─ source has nothing left
 *                                         serves
 *
 *     bench_rebalance ──> bench_traffic ──> bench_route, bench_ledger, bench_timeline
 *            │       └──> bench_mover: bench_mover_shardkv, bench_mover_redis
 *            └──> bench_local      bench_rebalance_report, bench_rebalance_plot
 */

#include "cli/bench_rebalance.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/bench_child.h"
#include "cli/bench_io.h"
#include "cli/bench_local.h"
#include "cli/bench_mover.h"
#include "cli/bench_rebalance_report.h"
#include "cli/bench_redis_cluster.h"
#include "cli/bench_traffic.h"
#include "io/listener.h"
#include "proto/noun.h"
#include "proto/point.h"

#define RECORDS_MAX      UINT64_C(1000000000)
#define VALUE_SIZE_MAX   (1u << 20)
#define CONNECTIONS_MAX  10000
#define RATE_MAX         UINT64_C(1000000000)
#define SECONDS_MAX      1000000
#define STEPS_MAX        100000
#define UNDER_WAY_MAX    (1u << 20)
#define CLUSTER_PIPELINE 10 /* redis-cli's own */

/* Of Redis Cluster's slots in places. */
#define SLOT_SHIFT 18

/* Beside connections: standard files, the poller, the pipe, the library's. */
#define OTHER_FILES 64

struct rebalance {
    struct session *session;
    struct bench_options options;
    struct bench_traffic_load load; /* while the range moves */
    double share;                   /* 0: all of the shard */
    bool is_redis;
    struct bench_local local;
    struct session own; /* of the local cluster */
    struct bench_driver driver;
    struct bench_route route;
    struct bench_ledger ledger;
    struct bench_timeline timeline;
    struct bench_traffic *traffic;
    struct bench_mover_order order;
    uint32_t *moving; /* records in the range */
    struct bench_move_times *moves;
    uint32_t move_count;
    pid_t mover;
    int pipe;
    char output[4096]; /* a file for redis-cli's words */
};

/* --- what was asked for --- */

static void set_default(uint64_t *number, uint64_t value)
{
    if (*number == 0) {
        *number = value;
    }
}

static enum exit_code check_numbers(const struct session *session,
                                    const struct bench_options *options)
{
    const struct {
        const char *name;
        uint64_t number, min, max;
    } limits[] = {
        {"records", options->records, 1, RECORDS_MAX},
        {"value-size", options->value_size, BENCH_TRAFFIC_VALUE_MIN, VALUE_SIZE_MAX},
        {"connections", options->connections, 1, CONNECTIONS_MAX},
        {"pipeline", options->pipeline, 1, BENCH_SLOTS_MAX},
        {"connections times --pipeline", options->connections * options->pipeline, 1,
         UNDER_WAY_MAX},
        {"seconds", options->seconds, 1, SECONDS_MAX},
        {"warmup", options->warmup, 1, SECONDS_MAX},
        {"rate", options->rate, 0, RATE_MAX},
        {"moves", options->moves, 1, STEPS_MAX},
        {"parts", options->parts, 1, STEPS_MAX},
        {"local", options->local, 0, BENCH_LOCAL_MAX},
    };
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i].number < limits[i].min || limits[i].number > limits[i].max) {
            return session_say_usage(session, "--%s is %llu to %llu", limits[i].name,
                                     (unsigned long long)limits[i].min,
                                     (unsigned long long)limits[i].max);
        }
    }
    return EXIT_CODE_DONE;
}

static enum exit_code take_workload(struct rebalance *run)
{
    static const struct {
        const char *name;
        enum bench_traffic_kind kind;
        uint32_t read_percent;
    } workloads[] = {{"mixed", BENCH_TRAFFIC_MIX, 50},
                     {"read", BENCH_TRAFFIC_MIX, 100},
                     {"write", BENCH_TRAFFIC_MIX, 0},
                     {"idle", BENCH_TRAFFIC_IDLE, 0}};
    const struct session *session = run->session;
    const char *name = session->arguments->words.count > 1 ? session_word(session, 1) : "mixed";
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        if (strcmp(workloads[i].name, name) == 0) {
            run->load = (struct bench_traffic_load){.kind = workloads[i].kind,
                                                    .read_percent = workloads[i].read_percent,
                                                    .record_count = run->options.records,
                                                    .rate = run->options.rate};
            return EXIT_CODE_DONE;
        }
    }
    return session_say_usage(session, "rebalance takes mixed, read, write or idle, not \"%s\"",
                             name);
}

static enum exit_code take_share(struct rebalance *run)
{
    const char *text = run->options.share;
    char *end = NULL;
    if (!text) {
        return EXIT_CODE_DONE;
    }
    run->share = strtod(text, &end);
    if (end == text || *end || !(run->share > 0 && run->share <= 1)) {
        return session_say_usage(run->session, "--share is above 0 and at most 1, not \"%s\"",
                                 text);
    }
    return EXIT_CODE_DONE;
}

static enum exit_code take_options(struct rebalance *run)
{
    struct bench_options *options = &run->options;
    *options = run->session->arguments->bench;
    set_default(&options->records, 100000);
    set_default(&options->value_size, 100);
    set_default(&options->connections, 50);
    set_default(&options->pipeline, 16);
    set_default(&options->seconds, 10);
    set_default(&options->warmup, 1);
    set_default(&options->moves, 1);
    set_default(&options->parts, 1);
    set_default(&options->cluster_pipeline, CLUSTER_PIPELINE);
    run->is_redis = options->redis;
    if (options->echo || options->zipf || options->no_load || options->server_pids ||
        options->count || options->shards) {
        return session_say_usage(run->session, "rebalance takes no --echo, --zipf, --no-load, "
                                               "--server-pid, --count and --shards");
    }
    if (run->is_redis && (options->local || options->shard)) {
        return session_say_usage(run->session, "--redis goes without --local and --shard");
    }
    enum exit_code code = check_numbers(run->session, options);
    if (code == EXIT_CODE_DONE) {
        code = take_share(run);
    }
    return code == EXIT_CODE_DONE ? take_workload(run) : code;
}

/* --- against whom --- */

static enum exit_code start_local(struct rebalance *run)
{
    if (run->options.local == 0) {
        return EXIT_CODE_DONE;
    }
    enum exit_code code = bench_local_start(&run->local, (unsigned)run->options.local);
    run->own = *run->session;
    run->own.addresses = run->local.bootstrap;
    run->session = &run->own;
    return code;
}

/* The range that moves: of [start, end), which one server has, the beginning. */
static enum exit_code set_range(struct rebalance *run, uint64_t start, uint64_t end)
{
    uint64_t width = (uint64_t)(run->share * (double)BENCH_PLACE_END);
    width = run->is_redis ? width >> SLOT_SHIFT << SLOT_SHIFT : width;
    width = run->share > 0 ? width : end - start;
    if (width < run->options.parts || width > end - start) {
        return session_say_usage(run->session, "--share: the shard is %.6f of the hash space",
                                 (double)(end - start) / (double)BENCH_PLACE_END);
    }
    run->order.start = start;
    run->order.end = start + width;
    return EXIT_CODE_DONE;
}

static enum exit_code find_shard(struct rebalance *run, const struct map *map)
{
    const char *name = run->options.shard;
    const struct map_entry *entry = name ? map_find_name(map, bytes_text(name)) : &map->entries[0];
    if (!entry) {
        return session_say_usage(run->session, "there is no shard \"%s\"", name);
    }
    return set_range(run, entry->start, entry->end);
}

static bool take_map(struct bench_route *route, const struct map *map)
{
    bool is_fine = true;
    for (uint32_t i = 0; i < map->entry_count && is_fine; i++) {
        const struct map_entry *entry = &map->entries[i];
        uint32_t server = bench_route_server(route, &entry->address);
        is_fine = server != UINT32_MAX &&
                  bench_route_set(route, entry->start, entry->end, server, entry->epoch);
    }
    for (uint32_t i = 0; i < map->server_count && is_fine; i++) {
        is_fine = bench_route_server(route, &map->servers[i].address) != UINT32_MAX;
    }
    return is_fine;
}

static enum exit_code find_shards(struct rebalance *run)
{
    struct map map = {0};
    enum exit_code code = session_get_map(run->session, &map);
    if (code == EXIT_CODE_DONE && !take_map(&run->route, &map)) {
        code = failure_say_no_memory();
    }
    if (code == EXIT_CODE_DONE) {
        code = find_shard(run, &map);
    }
    map_fini(&map);
    return code;
}

static enum exit_code find_slots(struct rebalance *run)
{
    struct buffer nodes = {0};
    struct address address;
    char error[256] = "";
    if (!address_parse(bytes_text(run->options.redis), &address)) {
        return session_say_usage(run->session, "\"%s\" is no HOST:PORT", run->options.redis);
    }
    bool is_answered = bench_redis_ask(&address, "CLUSTER NODES", &nodes, error);
    bool is_taken = is_answered && bench_redis_take_nodes(buffer_bytes(&nodes), &run->route);
    buffer_fini(&nodes);
    if (!is_taken || run->route.server_count < 2) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "bench: %s",
                           is_answered ? "this is no Redis Cluster of two masters or more" : error);
    }
    return set_range(run, 0, bench_route_end(&run->route, 0));
}

static enum exit_code find_target(struct rebalance *run)
{
    const char *to = run->session->arguments->to;
    struct bench_route *route = &run->route;
    uint32_t source = bench_route_find(route, (uint32_t)run->order.start);
    uint32_t target = source + 1 < route->server_count ? source + 1 : 0;
    if (to) {
        struct address address;
        if (!address_parse(bytes_text(to), &address)) {
            return session_say_usage(run->session, "\"%s\" is no HOST:PORT", to);
        }
        target = bench_route_server(route, &address);
    }
    if (target == UINT32_MAX) {
        return failure_say_no_memory();
    }
    if (target == source) {
        return session_say_usage(run->session, "there is no other server to move to");
    }
    assert(route->servers); /* the cluster has one at least */
    run->order.source = route->servers[source];
    run->order.target = route->servers[target];
    return EXIT_CODE_DONE;
}

static enum exit_code find_cluster(struct rebalance *run)
{
    enum exit_code code = run->is_redis ? find_slots(run) : find_shards(run);
    return code == EXIT_CODE_DONE ? find_target(run) : code;
}

/* --- preparing --- */

static bool is_moving(const struct rebalance *run, uint64_t record)
{
    uint8_t key[BENCH_KEY_LEN];
    bench_traffic_key(record, key);
    uint32_t place = run->driver.body->place(bytes_of(key, sizeof(key)));
    return place >= run->order.start && place < run->order.end;
}

static enum exit_code pick_moving(struct rebalance *run)
{
    uint64_t count = 0;
    if (!run->options.moving_only) {
        return EXIT_CODE_DONE;
    }
    run->moving = calloc(run->options.records, sizeof(*run->moving));
    for (uint64_t i = 0; run->moving && i < run->options.records; i++) {
        if (is_moving(run, i)) {
            run->moving[count++] = (uint32_t)i;
        }
    }
    if (!run->moving) {
        return failure_say_no_memory();
    }
    if (count == 0) {
        return session_say_usage(run->session, "--moving-only: no record is in what moves");
    }
    run->load.records = run->moving;
    run->load.record_count = count;
    return EXIT_CODE_DONE;
}

static enum exit_code raise_file_limit(const struct rebalance *run)
{
    char error[256];
    uint64_t wanted = run->options.connections * (run->route.server_count + 1) + OTHER_FILES;
    if (wanted <= UINT32_MAX && listener_raise_file_limit((uint32_t)wanted, error, sizeof(error))) {
        return EXIT_CODE_DONE;
    }
    return failure_say(EXIT_CODE_USAGE, "bench: --connections: %s", error);
}

static bool init_driver(struct rebalance *run)
{
    size_t value_len = run->options.value_size;
    return run->is_redis
               ? bench_redis_init(&run->driver, value_len)
               : bench_shardkv_init(&run->driver, value_len, (uint32_t)run->options.pipeline);
}

static enum exit_code open_traffic(struct rebalance *run)
{
    char error[512] = "out of memory";
    const struct bench_traffic_config config = {
        .driver = &run->driver,
        .route = &run->route,
        .ledger = &run->ledger,
        .timeline = &run->timeline,
        .value_len = run->options.value_size,
        .connections = (uint32_t)run->options.connections,
        .pipeline = (uint32_t)run->options.pipeline,
    };
    bool is_ready = init_driver(run) && bench_ledger_init(&run->ledger, run->options.records);
    run->traffic = is_ready ? bench_traffic_open(&config, error, sizeof(error)) : NULL;
    return run->traffic ? EXIT_CODE_DONE : failure_say(EXIT_CODE_UNAVAILABLE, "bench: %s", error);
}

static enum exit_code make_output(struct rebalance *run)
{
    if (!run->is_redis) {
        return EXIT_CODE_DONE;
    }
    bench_child_scratch(run->output, sizeof(run->output));
    int fd = mkstemp(run->output);
    if (fd >= 0) {
        close(fd);
        return EXIT_CODE_DONE;
    }
    enum exit_code code = failure_say(EXIT_CODE_UNAVAILABLE, "bench: cannot make %s: %s",
                                      run->output, strerror(errno));
    run->output[0] = '\0';
    return code;
}

static enum exit_code prepare(struct rebalance *run)
{
    run->order.session = run->session;
    run->order.rounds = (uint32_t)run->options.moves;
    run->order.parts = (uint32_t)run->options.parts;
    run->order.cluster_pipeline = run->options.cluster_pipeline;
    run->order.output = run->output;
    run->moves = calloc(run->options.moves * run->options.parts, sizeof(*run->moves));
    if (!run->moves) {
        return failure_say_no_memory();
    }
    enum exit_code code = make_output(run);
    if (code == EXIT_CODE_DONE) {
        code = raise_file_limit(run);
    }
    if (code == EXIT_CODE_DONE) {
        code = open_traffic(run);
    }
    return code == EXIT_CODE_DONE ? pick_moving(run) : code;
}

/* --- running --- */

static enum exit_code say_ended(const struct rebalance *run, enum bench_traffic_ended ended,
                                const char *what)
{
    const struct bench_traffic_counts *counts = bench_traffic_counts(run->traffic);
    if (ended == BENCH_TRAFFIC_INTERRUPTED) {
        return failure_say(EXIT_CODE_UNKNOWN, "bench: interrupted while %s", what);
    }
    if (ended == BENCH_TRAFFIC_BROKEN) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "bench: %s: %s", what, counts->first_error);
    }
    return EXIT_CODE_DONE;
}

static enum exit_code go_on(struct rebalance *run, const struct bench_traffic_load *load,
                            uint64_t seconds, const char *what)
{
    enum bench_traffic_ended ended =
        bench_traffic_run(run->traffic, load, seconds * BENCH_NS_PER_S, -1);
    return say_ended(run, ended, what);
}

/* With nothing under way there is nothing to measure before and after. */
static enum exit_code stay(struct rebalance *run, uint64_t seconds, const char *what)
{
    return run->load.kind == BENCH_TRAFFIC_IDLE ? EXIT_CODE_DONE
                                                : go_on(run, &run->load, seconds, what);
}

static void begin_phase(struct rebalance *run, enum bench_phase phase, uint64_t at_ns)
{
    if (run->timeline.phase != phase || run->timeline.begun_ns == 0) {
        bench_timeline_begin(&run->timeline, phase, at_ns);
    }
}

static bool is_last(const struct rebalance *run, uint32_t step)
{
    return step + 1 == run->options.moves * run->options.parts;
}

/* Those of the end may be more than those when the target opened: servers tell in their own time. */
static void take_figures(struct bench_move_times *move, const struct bench_news *news)
{
    move->records = news->records;
    move->has_hold = news->has_hold;
    memcpy(move->hold_us, news->hold_us, sizeof(move->hold_us));
}

/* Of many moves one after another the load sees one: deleting beside which another goes on counts as moving. */
static void take_news(struct rebalance *run, const struct bench_news *news)
{
    struct bench_move_times *move = &run->moves[news->step];
    if (news->kind == BENCH_NEWS_BEGUN) {
        move->begun_ns = news->at_ns;
        run->move_count = news->step + 1;
        begin_phase(run, BENCH_PHASE_DURING, news->at_ns);
    } else if (news->kind == BENCH_NEWS_OPENED) {
        move->opened_ns = news->at_ns;
        take_figures(move, news);
        if (is_last(run, news->step) && !run->is_redis) {
            begin_phase(run, BENCH_PHASE_DELETING, news->at_ns);
        }
    } else if (news->kind == BENCH_NEWS_OVER) {
        move->over_ns = news->at_ns;
        take_figures(move, news);
        if (is_last(run, news->step)) {
            begin_phase(run, BENCH_PHASE_AFTER, news->at_ns);
        }
    }
}

static enum exit_code hear(struct rebalance *run, bool *is_over)
{
    struct bench_news news = {0};
    if (!bench_mover_hear(run->pipe, &news)) {
        return failure_say(EXIT_CODE_UNKNOWN, "bench: the process that asked for the move is gone");
    }
    if (news.kind == BENCH_NEWS_FAILED) {
        return failure_say(EXIT_CODE_REFUSED, "bench: the move: %s",
                           *news.text ? news.text : "it could not be asked for");
    }
    take_news(run, &news);
    *is_over = news.kind == BENCH_NEWS_END;
    return EXIT_CODE_DONE;
}

static enum exit_code move_range(struct rebalance *run)
{
    enum exit_code code = EXIT_CODE_DONE;
    bool is_over = false;
    run->mover = bench_mover_start(run->is_redis ? &bench_mover_redis : &bench_mover_shardkv,
                                   &run->order, &run->pipe);
    if (run->mover < 0) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "bench: cannot start a process");
    }
    while (code == EXIT_CODE_DONE && !is_over) {
        enum bench_traffic_ended ended = bench_traffic_run(run->traffic, &run->load, 0, run->pipe);
        code = ended == BENCH_TRAFFIC_EVENT ? hear(run, &is_over)
                                            : say_ended(run, ended, "the range moves");
    }
    return code;
}

static enum exit_code load(struct rebalance *run)
{
    const struct bench_traffic_load each = {.kind = BENCH_TRAFFIC_LOAD,
                                            .record_count = run->options.records};
    enum exit_code code = go_on(run, &each, 0, "loading");
    const struct bench_traffic_counts *counts = bench_traffic_counts(run->traffic);
    if (code == EXIT_CODE_DONE && counts->errors > 0) {
        code = failure_say(EXIT_CODE_REFUSED, "bench: loading: %llu %s; the first: %s",
                           (unsigned long long)counts->errors,
                           noun_of(counts->errors, "error", "errors"), counts->first_error);
    }
    return code;
}

static enum exit_code measure(struct rebalance *run)
{
    enum exit_code code = go_on(run, &run->load, run->options.warmup, "warming up");
    if (code == EXIT_CODE_DONE) {
        begin_phase(run, BENCH_PHASE_BEFORE, bench_now_ns());
        code = stay(run, run->options.seconds, "measuring");
    }
    if (code == EXIT_CODE_DONE) {
        code = move_range(run);
    }
    if (code == EXIT_CODE_DONE) {
        code = stay(run, run->options.seconds, "measuring");
    }
    bench_timeline_end(&run->timeline, bench_now_ns());
    return code;
}

static enum exit_code verify(struct rebalance *run, uint64_t *verified)
{
    const struct bench_traffic_load drain = {.kind = BENCH_TRAFFIC_DRAIN};
    const struct bench_traffic_load each = {.kind = BENCH_TRAFFIC_VERIFY,
                                            .record_count = run->options.records};
    enum exit_code code = go_on(run, &drain, 0, "the last answers come");
    uint64_t before = bench_traffic_counts(run->traffic)->done;
    if (code == EXIT_CODE_DONE) {
        code = go_on(run, &each, 0, "reading back");
    }
    *verified = bench_traffic_counts(run->traffic)->done - before;
    return code;
}

/* --- what came of it --- */

static enum exit_code report(const struct rebalance *run, uint64_t verified)
{
    const struct bench_traffic_counts *counts = bench_traffic_counts(run->traffic);
    const struct bench_rebalance_result result = {
        .driver = run->driver.name,
        .timeline = &run->timeline,
        .moves = run->moves,
        .move_count = run->move_count,
        .record_len = BENCH_KEY_LEN + run->options.value_size,
        .errors = counts->errors,
        .redirects = counts->redirects,
        .lost = run->ledger.lost,
        .doubled = run->ledger.doubled,
        .verified = verified,
    };
    enum exit_code code = run->session->arguments->json ? bench_rebalance_print_json(&result)
                                                        : bench_rebalance_print_table(&result);
    if (run->options.plot) {
        code = failure_worst(code, bench_rebalance_plot(&result, run->options.plot));
    }
    if (counts->errors > 0) {
        code = failure_worst(code, failure_say(EXIT_CODE_REFUSED, "bench: %llu %s; the first: %s",
                                               (unsigned long long)counts->errors,
                                               noun_of(counts->errors, "error", "errors"),
                                               counts->first_error));
    }
    if (result.lost + result.doubled > 0) {
        code = failure_worst(code, failure_say(EXIT_CODE_REFUSED,
                                               "bench: acknowledged operations: %llu lost, "
                                               "%llu doubled",
                                               (unsigned long long)result.lost,
                                               (unsigned long long)result.doubled));
    }
    return code;
}

static enum exit_code run_all(struct rebalance *run)
{
    uint64_t verified = 0;
    enum exit_code code = load(run);
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    code = measure(run);
    if (code == EXIT_CODE_DONE) {
        code = verify(run, &verified);
    }
    return failure_worst(code, report(run, verified));
}

static void fini(struct rebalance *run)
{
    if (run->mover > 0) {
        bench_child_end(run->mover);
        (void)close(run->pipe);
    }
    if (*run->output) {
        (void)unlink(run->output);
    }
    bench_traffic_close(run->traffic);
    bench_ledger_fini(&run->ledger);
    bench_timeline_fini(&run->timeline);
    bench_driver_fini(&run->driver);
    bench_route_fini(&run->route);
    free(run->moving);
    free(run->moves);
    if (run->session == &run->own) {
        session_fini(&run->own);
    }
    bench_local_end(&run->local);
}

enum exit_code bench_rebalance_run(struct session *session)
{
    struct rebalance *run = calloc(1, sizeof(*run));
    if (!run) {
        return failure_say_no_memory();
    }
    run->session = session;
    enum exit_code code = take_options(run);
    if (code == EXIT_CODE_DONE) {
        code = start_local(run);
    }
    if (code == EXIT_CODE_DONE) {
        code = find_cluster(run);
    }
    if (code == EXIT_CODE_DONE) {
        code = prepare(run);
    }
    if (code == EXIT_CODE_DONE) {
        code = run_all(run);
    }
    fini(run);
    free(run);
    return code;
}
