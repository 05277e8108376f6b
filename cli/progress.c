/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "io/clock.h"
#include "proto/noun.h"

/* Five times a second moves smoothly and costs nothing. */
#define SHOW_EVERY_MS 200

/* Longer times left are guesses about another day. */
#define LEFT_MAX_S (UINT64_C(100) * 3600)

void progress_start(struct progress *progress)
{
    progress->is_shown = isatty(STDERR_FILENO) != 0;
    progress->started_ms = clock_mono_ms();
    progress->next_ms = progress->started_ms + SHOW_EVERY_MS;
}

uint64_t progress_elapsed_ms(const struct progress *progress)
{
    uint64_t elapsed_ms = clock_mono_ms() - progress->started_ms;
    return elapsed_ms ? elapsed_ms : 1;
}

void progress_show(struct progress *progress, uint64_t count, uint64_t done, uint64_t total)
{
    char text[PROGRESS_TEXT_LEN];
    uint64_t now_ms = clock_mono_ms();
    if (!progress->is_shown || now_ms < progress->next_ms) {
        return;
    }
    progress->next_ms = now_ms + SHOW_EVERY_MS;
    progress_print(count, done, total, progress_elapsed_ms(progress), text);
    (void)fprintf(stderr, "\r\033[K%s", text);
}

void progress_clear(const struct progress *progress)
{
    if (progress->is_shown) {
        (void)fputs("\r\033[K", stderr);
    }
}

static void print_left(uint64_t left_s, char *text, size_t text_len)
{
    if (left_s > LEFT_MAX_S) {
        (void)snprintf(text, text_len, ", more than %" PRIu64 " h left", LEFT_MAX_S / 3600);
    } else if (left_s >= 3600) {
        (void)snprintf(text, text_len, ", %" PRIu64 " h %02" PRIu64 " min left", left_s / 3600,
                       left_s / 60 % 60);
    } else if (left_s >= 60) {
        (void)snprintf(text, text_len, ", %" PRIu64 " min %02" PRIu64 " s left", left_s / 60,
                       left_s % 60);
    } else {
        (void)snprintf(text, text_len, ", %" PRIu64 " s left", left_s);
    }
}

void progress_print(uint64_t count, uint64_t done, uint64_t total, uint64_t elapsed_ms,
                    char text[PROGRESS_TEXT_LEN])
{
    double elapsed_s = (double)(elapsed_ms ? elapsed_ms : 1) / 1000;
    int len = snprintf(text, PROGRESS_TEXT_LEN, "%" PRIu64 " %s, %.0f/s", count,
                       noun_of(count, "record", "records"), (double)count / elapsed_s);
    if (total == 0 || done == 0) {
        return;
    }
    /* What is counted may grow while it is read. */
    double share = done < total ? (double)done / (double)total : 1;
    len += snprintf(text + len, PROGRESS_TEXT_LEN - (size_t)len, ", %.0f %%", share * 100);
    double left_s = elapsed_s * (1 - share) / share;
    print_left(left_s < (double)LEFT_MAX_S + 1 ? (uint64_t)(left_s + 0.5) : LEFT_MAX_S + 1,
               text + len, PROGRESS_TEXT_LEN - (size_t)len);
}
