/* SPDX-License-Identifier: MIT */
#include "cli/bench_rebalance_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/bench_child.h"

#define NS_PER_S  1e9
#define NS_PER_MS 1e6

enum { PATH_LEN = 4096 };

/* FILE.svg's name with another ending. */
static void path_beside(const char *path, const char *ending, char beside[PATH_LEN])
{
    size_t len = strlen(path);
    size_t kept = len > 4 && strcmp(path + len - 4, ".svg") == 0 ? len - 4 : len;
    (void)snprintf(beside, PATH_LEN, "%.*s%s", (int)kept, path, ending);
}

static double at_s(const struct bench_rebalance_result *result, uint64_t ns)
{
    uint64_t begun_ns = result->timeline->begun_ns;
    return ns > begun_ns ? (double)(ns - begun_ns) / NS_PER_S : 0;
}

static double ms(uint64_t ns)
{
    return (double)ns / NS_PER_MS;
}

/* --- data --- */

static void write_stretches(const struct bench_rebalance_result *result, FILE *file)
{
    const struct bench_timeline *timeline = result->timeline;
    const double stretch_s = (double)BENCH_STRETCH_NS / NS_PER_S;
    (void)fprintf(file, "# time operations/s p50 p99 max\n");
    for (uint64_t i = 0; i < timeline->stretch_count; i++) {
        const struct bench_stretch *stretch = &timeline->stretches[i];
        (void)fprintf(file, "%.2f %.0f %.3f %.3f %.3f\n", (double)(i + 1) * stretch_s,
                      (double)stretch->count / stretch_s, ms(stretch->p50_ns), ms(stretch->p99_ns),
                      ms(stretch->max_ns));
    }
}

static void write_moves(const struct bench_rebalance_result *result, FILE *file)
{
    (void)fprintf(file, "\n\n# begun opened over records freeze drain sync commit open\n");
    for (uint32_t i = 0; i < result->move_count; i++) {
        const struct bench_move_times *move = &result->moves[i];
        (void)fprintf(file, "%.6f %.6f %.6f %" PRIu64, at_s(result, move->begun_ns),
                      at_s(result, move->opened_ns), at_s(result, move->over_ns), move->records);
        for (unsigned j = 0; j < MOVE_HOLD_COUNT; j++) {
            if (move->has_hold) {
                (void)fprintf(file, " %" PRIu64, move->hold_us[j]);
            } else {
                (void)fprintf(file, " -");
            }
        }
        (void)fprintf(file, "\n");
    }
}

static void write_phases(const struct bench_rebalance_result *result, FILE *file)
{
    static const char *const names[BENCH_PHASE_COUNT] = {"before", "during", "deleting", "after"};
    (void)fprintf(file, "\n\n# phase operations/s p50 p99 p99.9 max\n");
    for (unsigned i = 0; i < BENCH_PHASE_COUNT; i++) {
        const struct bench_phase_tally *tally = &result->timeline->phases[i];
        if (tally->begun_ns != 0) {
            (void)fprintf(file, "%s %.0f %.3f %.3f %.3f %.3f\n", names[i],
                          bench_timeline_ops_per_s(result->timeline, (enum bench_phase)i),
                          ms(bench_histogram_quantile(&tally->times, 0.5)),
                          ms(bench_histogram_quantile(&tally->times, 0.99)),
                          ms(bench_histogram_quantile(&tally->times, 0.999)),
                          ms(tally->times.max_ns));
        }
    }
}

static enum exit_code write_data(const struct bench_rebalance_result *result, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file) {
        write_stretches(result, file);
        write_moves(result, file);
        write_phases(result, file);
    }
    if (!file || fclose(file) != 0) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "bench: --plot: cannot write %s: %s", path,
                           strerror(errno));
    }
    return EXIT_CODE_DONE;
}

/* --- script --- */

static void write_shade(double from_s, double to_s, const char *color, FILE *file)
{
    if (to_s > from_s) {
        (void)fprintf(file,
                      "set object rectangle from %.6f, graph 0 to %.6f, graph 1 fillcolor '%s' "
                      "fillstyle solid noborder behind\n",
                      from_s, to_s, color);
    }
}

/* Blue while a range moves, lighter while the source deletes what it gave away. */
static void write_shades(const struct bench_rebalance_result *result, FILE *file)
{
    for (uint32_t i = 0; i < result->move_count; i++) {
        const struct bench_move_times *move = &result->moves[i];
        double opened_s = at_s(result, move->opened_ns);
        write_shade(at_s(result, move->begun_ns), opened_s, "#c8d4e8", file);
        write_shade(opened_s, at_s(result, move->over_ns), "#eef1f6", file);
    }
}

/* Within single quotes of gnuplot. */
static void write_quoted(const char *text, FILE *file)
{
    (void)fputc('\'', file);
    for (const char *at = text; *at; at++) {
        (void)fputs(*at == '\'' ? "''" : (const char[]){*at, '\0'}, file);
    }
    (void)fputs("'\n", file);
}

static enum exit_code write_script(const struct bench_rebalance_result *result, const char *path,
                                   const char *data, const char *picture)
{
    FILE *file = fopen(path, "we");
    if (!file) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "bench: --plot: cannot write %s: %s", path,
                           strerror(errno));
    }
    (void)fprintf(file, "data = ");
    write_quoted(data, file);
    (void)fprintf(file, "set output ");
    write_quoted(picture, file);
    (void)fprintf(file,
                  "set terminal svg size 800,480 font 'sans,12' background 'white'\n"
                  "set multiplot layout 2,1 title '%s: a range moves (shaded) under load'\n"
                  "set grid ytics linecolor '#dddddd'\nset key off\nset xrange [0:*]\n"
                  "set lmargin 12\n",
                  result->driver);
    write_shades(result, file);
    (void)fprintf(file,
                  "set yrange [0:*]\nset ylabel 'operations/s'\nset format y '%%.0s %%c'\n"
                  "plot data index 0 using 1:2 with lines linewidth 2 linecolor '#2a5db0'\n"
                  "set yrange [*:*]\nset logscale y\nset ylabel 'p99, ms'\nset format y '%%g'\n"
                  "set xlabel 'seconds'\n"
                  "plot data index 0 using 1:($4 > 0 ? $4 : 1/0) with lines linewidth 2 "
                  "linecolor '#b0402a'\n"
                  "unset multiplot\n");
    return fclose(file) == 0
               ? EXIT_CODE_DONE
               : failure_say(EXIT_CODE_UNAVAILABLE, "bench: --plot: cannot write %s", path);
}

static enum exit_code draw(const char *script, const char *output)
{
    const char *const argv[] = {"gnuplot", script, NULL};
    char words[256];
    pid_t child = bench_child_start(argv, output);
    int status = child > 0 ? bench_child_wait(child) : -1;
    if (status == 0) {
        (void)remove(output);
        return EXIT_CODE_DONE;
    }
    bench_child_last_words(output, words, sizeof(words));
    return failure_say(EXIT_CODE_UNAVAILABLE,
                       "bench: --plot: gnuplot (Debian: gnuplot-nox) did not draw it: %s; %s is "
                       "what it was to draw",
                       words, script);
}

enum exit_code bench_rebalance_plot(const struct bench_rebalance_result *result, const char *path)
{
    char data[PATH_LEN], script[PATH_LEN], output[PATH_LEN];
    path_beside(path, ".dat", data);
    path_beside(path, ".gp", script);
    path_beside(path, ".gp.out", output);
    enum exit_code code = write_data(result, data);
    if (!bench_rebalance_has_load(result)) {
        return code;
    }
    if (code == EXIT_CODE_DONE) {
        code = write_script(result, script, data, path);
    }
    if (code == EXIT_CODE_DONE) {
        code = draw(script, output);
    }
    return code;
}
