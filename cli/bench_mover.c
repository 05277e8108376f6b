/* SPDX-License-Identifier: MIT */
#include "cli/bench_mover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/bench_child.h"
#include "cli/bench_io.h"

/* So that news are never torn. */
_Static_assert(sizeof(struct bench_news) <= PIPE_BUF, "news go through a pipe in one piece");

bool bench_mover_step_of(const struct bench_mover_order *order, uint32_t index,
                         struct bench_mover_step *step)
{
    uint32_t round = index / order->parts;
    uint64_t part = index % order->parts;
    uint64_t width = order->end - order->start;
    bool is_back = round % 2 == 1;
    if (round >= order->rounds) {
        return false;
    }
    step->start = order->start + width * part / order->parts;
    step->end = order->start + width * (part + 1) / order->parts;
    step->source = is_back ? order->target : order->source;
    step->target = is_back ? order->source : order->target;
    return true;
}

struct work {
    const struct bench_mover_body *body;
    const struct bench_mover_order *order;
    int pipe;
};

static int work_on(void *context)
{
    const struct work *work = context;
    struct bench_news news = {.kind = BENCH_NEWS_END};
    if (!work->body->run(work->order, work->pipe, news.text)) {
        news.kind = BENCH_NEWS_FAILED;
    }
    bench_mover_tell(work->pipe, &news);
    return 0;
}

pid_t bench_mover_start(const struct bench_mover_body *body, const struct bench_mover_order *order,
                        int *pipe)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    struct work work = {body, order, ends[1]};
    pid_t child = bench_child_fork(work_on, &work);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
    } else {
        *pipe = ends[0];
    }
    return child;
}

void bench_mover_tell(int pipe, const struct bench_news *news)
{
    struct bench_news timed = *news;
    timed.at_ns = timed.at_ns == 0 ? bench_now_ns() : timed.at_ns;
    /* A reader that is gone needs no news. */
    (void)!write(pipe, &timed, sizeof(timed));
}

bool bench_mover_hear(int pipe, struct bench_news *news)
{
    ssize_t len = 0;
    do {
        len = read(pipe, news, sizeof(*news));
    } while (len < 0 && errno == EINTR);
    return len == (ssize_t)sizeof(*news);
}
