/* SPDX-License-Identifier: MIT */
#include "cli/bench_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/json_writer.h"
#include "cli/table.h"
#include "proto/noun.h"

#define NS_PER_US 1000.0
#define NS_PER_S  1e9

static double quantile_us(const struct bench_histogram *histogram, double fraction)
{
    return (double)bench_histogram_quantile(histogram, fraction) / NS_PER_US;
}

static double ops_per_s(uint64_t count, const struct bench_tally *tally)
{
    return tally->elapsed_ns ? (double)count * NS_PER_S / (double)tally->elapsed_ns : 0;
}

static double us_per_op(uint64_t cpu_ns, uint64_t count)
{
    return count ? (double)cpu_ns / NS_PER_US / (double)count : 0;
}

/* NULL when out of memory: a histogram is too large for the stack's taste. */
static struct bench_histogram *merge_all(const struct bench_tally *tally)
{
    struct bench_histogram *all = calloc(1, sizeof(*all));
    for (unsigned i = 0; all && i < BENCH_KIND_COUNT; i++) {
        bench_histogram_merge(all, &tally->kinds[i]);
    }
    return all;
}

/* --- JSON --- */

static void write_times(struct json_writer *writer, const struct bench_histogram *histogram,
                        const struct bench_tally *tally)
{
    json_writer_number(writer, "operations", histogram->count);
    json_writer_float(writer, "ops_per_s", ops_per_s(histogram->count, tally));
    json_writer_float(writer, "p50_us", quantile_us(histogram, 0.5));
    json_writer_float(writer, "p99_us", quantile_us(histogram, 0.99));
    json_writer_float(writer, "p999_us", quantile_us(histogram, 0.999));
    json_writer_float(writer, "max_us", (double)histogram->max_ns / NS_PER_US);
}

static void write_kinds(struct json_writer *writer, const struct bench_tally *tally)
{
    json_writer_open(writer, "kinds", '{');
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++) {
        if (tally->kinds[i].count > 0) {
            json_writer_open(writer, bench_kind_name((enum bench_kind)i), '{');
            write_times(writer, &tally->kinds[i], tally);
            json_writer_close(writer, '}');
        }
    }
    json_writer_close(writer, '}');
}

static void write_options(struct json_writer *writer, const struct bench_result *result)
{
    const struct bench_options *options = &result->options;
    json_writer_text(writer, "workload", bytes_text(result->workload));
    json_writer_text(writer, "driver", bytes_text(result->driver));
    json_writer_number(writer, "records", options->records);
    json_writer_number(writer, "value_size", options->value_size);
    json_writer_number(writer, "connections", options->connections);
    json_writer_number(writer, "pipeline", options->pipeline);
    json_writer_number(writer, "rate", options->rate);
    json_writer_bool(writer, "zipf", options->zipf);
    json_writer_number(writer, "warmup", options->warmup);
}

/* What a put gives is one id each: its operations tell all. */
static void write_ids(struct json_writer *writer, const struct bench_result *result)
{
    const struct bench_tally *tally = result->tally;
    json_writer_number(writer, "shard", result->slices.first);
    json_writer_number(writer, "shards", result->slices.count);
    json_writer_number(writer, "count", result->options.count);
    json_writer_number(writer, "ids", tally->ids);
    json_writer_float(writer, "ids_per_s", ops_per_s(tally->ids, tally));
    json_writer_float(writer, "longest_gap_us", (double)tally->longest_gap_ns / NS_PER_US);
}

static void write_server(struct json_writer *writer, const struct bench_result *result,
                         uint64_t count)
{
    if (result->has_server) {
        json_writer_float(writer, "server_cpu_us_per_op", us_per_op(result->server_cpu_ns, count));
        json_writer_number(writer, "server_rss_anon", result->server_memory);
    } else {
        json_writer_null(writer, "server_cpu_us_per_op");
        json_writer_null(writer, "server_rss_anon");
    }
}

enum exit_code bench_report_print_json(const struct bench_result *result)
{
    const struct bench_tally *tally = result->tally;
    struct bench_histogram *all = merge_all(tally);
    struct json_writer writer = {0};
    if (!all) {
        return failure_say_no_memory();
    }
    json_writer_open(&writer, NULL, '{');
    write_options(&writer, result);
    json_writer_float(&writer, "seconds", (double)tally->elapsed_ns / NS_PER_S);
    json_writer_bool(&writer, "interrupted", result->was_interrupted);
    write_times(&writer, all, tally);
    if (result->has_ids) {
        write_ids(&writer, result);
    }
    json_writer_number(&writer, "errors", tally->errors);
    if (*tally->first_error) {
        json_writer_text(&writer, "first_error", bytes_text(tally->first_error));
    }
    json_writer_number(&writer, "missing", tally->missing);
    write_server(&writer, result, all->count);
    json_writer_float(&writer, "client_cpu_us_per_op",
                      us_per_op(result->client_cpu_ns, all->count));
    write_kinds(&writer, tally);
    json_writer_close(&writer, '}');
    free(all);
    return json_writer_print(&writer);
}

/* --- a table --- */

static void cell_decimal(struct table *table, double number)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "%.1f", number);
    table_cell(table, text);
}

static void add_row(struct table *table, const char *name, const struct bench_histogram *histogram,
                    const struct bench_tally *tally)
{
    table_cell(table, name);
    table_cell_number(table, histogram->count);
    table_cell_number(table, (uint64_t)ops_per_s(histogram->count, tally));
    cell_decimal(table, quantile_us(histogram, 0.5));
    cell_decimal(table, quantile_us(histogram, 0.99));
    cell_decimal(table, quantile_us(histogram, 0.999));
    cell_decimal(table, (double)histogram->max_ns / NS_PER_US);
}

static void print_rest(const struct bench_result *result, uint64_t count)
{
    if (result->has_server) {
        (void)printf("server: %.3f us of CPU an operation, %" PRIu64 " MiB of memory\n",
                     us_per_op(result->server_cpu_ns, count), result->server_memory >> 20);
    }
    if (result->has_ids) {
        (void)printf("%" PRIu64 " ids, %.0f/s; longest time without one %.1f us\n",
                     result->tally->ids, ops_per_s(result->tally->ids, result->tally),
                     (double)result->tally->longest_gap_ns / NS_PER_US);
    }
    (void)printf("client: %.3f us of CPU an operation\n", us_per_op(result->client_cpu_ns, count));
    (void)printf("%" PRIu64 " %s, %" PRIu64 " not found\n", result->tally->errors,
                 noun_of(result->tally->errors, "error", "errors"), result->tally->missing);
}

enum exit_code bench_report_print_table(const struct bench_result *result)
{
    static const char *const headings[] = {"KIND",   "OPERATIONS", "PER S", "P50 US",
                                           "P99 US", "P99.9 US",   "MAX US"};
    const struct bench_tally *tally = result->tally;
    struct bench_histogram *all = merge_all(tally);
    struct table table;
    if (!all) {
        return failure_say_no_memory();
    }
    table_init_headed(&table, "lrrrrrr", headings);
    for (unsigned i = 0; i < BENCH_KIND_COUNT; i++) {
        if (tally->kinds[i].count > 0 && tally->kinds[i].count < all->count) {
            add_row(&table, bench_kind_name((enum bench_kind)i), &tally->kinds[i], tally);
        }
    }
    add_row(&table, result->workload, all, tally);
    enum exit_code code = table_print(&table);
    print_rest(result, all->count);
    free(all);
    return code;
}
