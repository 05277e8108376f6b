/* SPDX-License-Identifier: MIT */
#include "cli/bench_rebalance_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/json_writer.h"
#include "cli/table.h"
#include "proto/noun.h"

#define NS_PER_S  1e9
#define NS_PER_US 1000.0
#define BYTES_MB  1e6

static const char *const phase_names[BENCH_PHASE_COUNT] = {
    [BENCH_PHASE_BEFORE] = "before",
    [BENCH_PHASE_DURING] = "during",
    [BENCH_PHASE_DELETING] = "deleting",
    [BENCH_PHASE_AFTER] = "after",
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / NS_PER_S : 0;
}

static double quantile_us(const struct bench_rebalance_result *result, unsigned phase,
                          double fraction)
{
    const struct bench_histogram *times = &result->timeline->phases[phase].times;
    return (double)bench_histogram_quantile(times, fraction) / NS_PER_US;
}

static uint64_t hold_of(const struct bench_move_times *move)
{
    uint64_t sum_us = 0;
    for (unsigned i = 0; i < MOVE_HOLD_COUNT; i++) {
        sum_us += move->hold_us[i];
    }
    return sum_us;
}

struct sum {
    uint64_t records;
    double seconds;
    const struct bench_move_times *longest; /* hold; NULL: none is known */
};

/* While several moves wait for one another the time counts once. They open in their order. */
static struct sum sum_of(const struct bench_rebalance_result *result)
{
    struct sum sum = {0};
    uint64_t counted_ns = 0;
    for (uint32_t i = 0; i < result->move_count; i++) {
        const struct bench_move_times *move = &result->moves[i];
        sum.records += move->records;
        sum.seconds += seconds(larger(move->begun_ns, counted_ns), move->opened_ns);
        counted_ns = larger(move->opened_ns, counted_ns);
        if (move->has_hold && (!sum.longest || hold_of(move) > hold_of(sum.longest))) {
            sum.longest = move;
        }
    }
    return sum;
}

static double per_s(double count, double seconds_taken)
{
    return seconds_taken > 0 ? count / seconds_taken : 0;
}

static double bytes_of_records(const struct bench_rebalance_result *result, uint64_t records)
{
    return (double)records * (double)result->record_len;
}

bool bench_rebalance_has_load(const struct bench_rebalance_result *result)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < BENCH_PHASE_COUNT; i++) {
        count += result->timeline->phases[i].count;
    }
    return count > 0;
}

/* --- JSON --- */

static void write_phase(struct json_writer *writer, const struct bench_rebalance_result *result,
                        enum bench_phase phase)
{
    json_writer_open(writer, phase_names[phase], '{');
    json_writer_float(writer, "ops_per_s", bench_timeline_ops_per_s(result->timeline, phase));
    json_writer_float(writer, "p50_us", quantile_us(result, phase, 0.5));
    json_writer_float(writer, "p99_us", quantile_us(result, phase, 0.99));
    json_writer_float(writer, "p999_us", quantile_us(result, phase, 0.999));
    json_writer_close(writer, '}');
}

enum exit_code bench_rebalance_print_json(const struct bench_rebalance_result *result)
{
    struct sum sum = sum_of(result);
    double bytes = bytes_of_records(result, sum.records);
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_number(&writer, "records_moved", sum.records);
    json_writer_number(&writer, "bytes_moved", (uint64_t)bytes);
    json_writer_float(&writer, "seconds", sum.seconds);
    json_writer_float(&writer, "records_per_s", per_s((double)sum.records, sum.seconds));
    json_writer_float(&writer, "mb_per_s", per_s(bytes / BYTES_MB, sum.seconds));
    if (sum.longest) {
        json_writer_float(&writer, "longest_hold_ms", (double)hold_of(sum.longest) / 1000);
    } else {
        json_writer_null(&writer, "longest_hold_ms");
    }
    json_writer_number(&writer, "errors", result->errors);
    json_writer_number(&writer, "lost", result->lost);
    json_writer_number(&writer, "doubled", result->doubled);
    write_phase(&writer, result, BENCH_PHASE_BEFORE);
    write_phase(&writer, result, BENCH_PHASE_DURING);
    write_phase(&writer, result, BENCH_PHASE_AFTER);
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

/* --- a table --- */

static void cell_decimal(struct table *table, double number, int digits)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "%.*f", digits, number);
    table_cell(table, text);
}

static void add_row(struct table *table, const struct bench_rebalance_result *result,
                    enum bench_phase phase)
{
    const struct bench_phase_tally *tally = &result->timeline->phases[phase];
    table_cell(table, phase_names[phase]);
    cell_decimal(table, seconds(tally->begun_ns, tally->ended_ns), 3);
    table_cell_number(table, (uint64_t)bench_timeline_ops_per_s(result->timeline, phase));
    cell_decimal(table, quantile_us(result, phase, 0.5), 1);
    cell_decimal(table, quantile_us(result, phase, 0.99), 1);
    cell_decimal(table, quantile_us(result, phase, 0.999), 1);
    cell_decimal(table, (double)tally->times.max_ns / NS_PER_US, 1);
}

static void print_moved(const struct bench_rebalance_result *result)
{
    struct sum sum = sum_of(result);
    double bytes = bytes_of_records(result, sum.records);
    (void)printf("moved: %" PRIu64 " %s, %.1f MB, in %.3f s: %.0f records/s, %.1f MB/s, %u %s\n",
                 sum.records, noun_of(sum.records, "record", "records"), bytes / BYTES_MB,
                 sum.seconds, per_s((double)sum.records, sum.seconds),
                 per_s(bytes / BYTES_MB, sum.seconds), result->move_count,
                 noun_of(result->move_count, "move", "moves"));
    if (sum.longest) {
        const uint64_t *us = sum.longest->hold_us;
        (void)printf("longest hold: %.2f ms = freeze %.2f + drain %.2f + sync %.2f + commit %.2f + "
                     "open %.2f\n",
                     (double)hold_of(sum.longest) / 1000, (double)us[MOVE_HOLD_FREEZE] / 1000,
                     (double)us[MOVE_HOLD_DRAIN] / 1000, (double)us[MOVE_HOLD_SYNC] / 1000,
                     (double)us[MOVE_HOLD_COMMIT] / 1000, (double)us[MOVE_HOLD_OPEN] / 1000);
    }
    (void)printf("read back: %" PRIu64 " %s; %" PRIu64 " lost, %" PRIu64 " doubled, %" PRIu64
                 " %s, %" PRIu64 " %s\n",
                 result->verified, noun_of(result->verified, "record", "records"), result->lost,
                 result->doubled, result->errors, noun_of(result->errors, "error", "errors"),
                 result->redirects, noun_of(result->redirects, "redirect", "redirects"));
}

static enum exit_code print_phases(const struct bench_rebalance_result *result)
{
    static const char *const headings[] = {"PHASE",  "SECONDS",  "PER S", "P50 US",
                                           "P99 US", "P99.9 US", "MAX US"};
    struct table table;
    table_init_headed(&table, "lrrrrrr", headings);
    for (unsigned i = 0; i < BENCH_PHASE_COUNT; i++) {
        if (result->timeline->phases[i].begun_ns != 0) {
            add_row(&table, result, (enum bench_phase)i);
        }
    }
    return table_print(&table);
}

enum exit_code bench_rebalance_print_table(const struct bench_rebalance_result *result)
{
    enum exit_code code = EXIT_CODE_DONE;
    if (bench_rebalance_has_load(result)) {
        code = print_phases(result);
    }
    print_moved(result);
    return code;
}
