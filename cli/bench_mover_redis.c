/* SPDX-License-Identifier: MIT */

/*
 * Moves slots of Redis Cluster by `redis-cli --cluster reshard`, which takes a master's lowest slots. Records that went
 * over are what the target has more: nothing is added or deleted meanwhile.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/bench_child.h"
#include "cli/bench_mover.h"
#include "cli/bench_redis_cluster.h"

#define SLOT_SHIFT 18

/* The answer as a text of its own; empty when there is none. */
static bool ask_text(const struct address *address, const char *command, char *text,
                     size_t text_len, char error[256])
{
    struct buffer answer = {0};
    bool is_answered = bench_redis_ask(address, command, &answer, error);
    (void)snprintf(text, text_len, "%.*s", (int)answer.len,
                   answer.data ? (const char *)answer.data : "");
    buffer_fini(&answer);
    return is_answered;
}

static bool count_records(const struct address *address, uint64_t *count, char error[256])
{
    char text[64];
    bool is_answered = ask_text(address, "DBSIZE", text, sizeof(text), error);
    *count = strtoull(text, NULL, 10);
    return is_answered;
}

static bool reshard(const struct bench_mover_order *order, const struct bench_mover_step *step,
                    char error[256])
{
    char from[64], to[64], slots[32], pipeline[32], address[ADDRESS_TEXT_LEN];
    if (!ask_text(&step->source, "CLUSTER MYID", from, sizeof(from), error) ||
        !ask_text(&step->target, "CLUSTER MYID", to, sizeof(to), error)) {
        return false;
    }
    address_print(&step->source, address);
    (void)snprintf(slots, sizeof(slots), "%" PRIu64,
                   (step->end >> SLOT_SHIFT) - (step->start >> SLOT_SHIFT));
    (void)snprintf(pipeline, sizeof(pipeline), "%" PRIu64, order->cluster_pipeline);
    const char *const argv[] = {
        "redis-cli",     "--cluster", "reshard",         address, "--cluster-from",     from,
        "--cluster-to",  to,          "--cluster-slots", slots,   "--cluster-pipeline", pipeline,
        "--cluster-yes", NULL};
    pid_t child = bench_child_start(argv, order->output);
    int status = child > 0 ? bench_child_wait(child) : -1;
    if (status != 0) {
        char words[160];
        bench_child_last_words(order->output, words, sizeof(words));
        (void)snprintf(error, 256, "redis-cli --cluster reshard ended with %d: %s", status, words);
    }
    return status == 0;
}

static bool move(const struct bench_mover_order *order, uint32_t index,
                 const struct bench_mover_step *step, int pipe, char error[256])
{
    uint64_t before = 0, after = 0;
    struct bench_news news = {.kind = BENCH_NEWS_BEGUN, .step = index};
    if (!count_records(&step->target, &before, error)) {
        return false;
    }
    bench_mover_tell(pipe, &news);
    if (!reshard(order, step, error) || !count_records(&step->target, &after, error)) {
        return false;
    }
    news = (struct bench_news){.kind = BENCH_NEWS_OPENED, .step = index, .records = after - before};
    bench_mover_tell(pipe, &news);
    news.kind = BENCH_NEWS_OVER;
    bench_mover_tell(pipe, &news);
    return true;
}

static bool run(const struct bench_mover_order *order, int pipe, char error[256])
{
    struct bench_mover_step step;
    bool is_fine = true;
    for (uint32_t i = 0; is_fine && bench_mover_step_of(order, i, &step); i++) {
        is_fine = move(order, i, &step, pipe, error);
    }
    return is_fine;
}

const struct bench_mover_body bench_mover_redis = {run};
