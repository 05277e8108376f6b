/* SPDX-License-Identifier: MIT */

/*
 * shardd, the shard server.
 *
 *     main ─> server ─> request ─> arguments, reply
 *                          ├─> membership ─> session, control ─> ownership     who owns what
 *                          └─> store ─> engine ─> clear                        what is kept
 *                                          └─> execute ─> scan
 *                                                 └─> retry ─> account ─> result ─> seal
 *
 * Below them all: tree, op, range.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/listener.h"
#include "io/logline.h"
#include "io/notify.h"
#include "io/options.h"
#include "io/standard.h"
#include "shardd/server.h"

enum { EXIT_USAGE = 2 };

/* At most so many descriptors are asked of the kernel. */
#define CONNECTION_MAX 1000000

struct settings {
    const char *listen;
    const char *data;
    uint64_t connection_max;
    bool is_insecure;
    bool is_check;
};

static enum options_result parse_settings(int argc, char **argv, struct settings *settings)
{
    /* clang-format off */
    const struct option_spec specs[] = {
        {"listen", 0, OPTION_TEXT, "HOST:PORT",
         "where to listen; port 0 picks a free one (127.0.0.1:5050)", {.text = &settings->listen}},
        {"data", 0, OPTION_TEXT, "DIR",
         "where the records are kept; made if need be", {.text = &settings->data}},
        {"max-connections", 0, OPTION_NUMBER, "N",
         "clients at a time (10000)", {.number = &settings->connection_max}},
        {"insecure-bind", 0, OPTION_FLAG, NULL,
         "allow an address that others can reach: whoever does can read and write",
         {.flag = &settings->is_insecure}},
        {"check", 'n', OPTION_FLAG, NULL,
         "check the options, and exit", {.flag = &settings->is_check}},
    };
    /* clang-format on */
    return options_parse(argc, argv, "shardd", "Keeps the records of hash ranges, and serves them.",
                         specs, sizeof(specs) / sizeof(specs[0]));
}

/* What can be known before anything is opened. Ends the process when it is wrong. */
static struct shardd_config check_settings(const struct settings *settings)
{
    struct shardd_config config = {.data = settings->data};
    char error[256];
    if (!address_parse(bytes_text(settings->listen), &config.listen)) {
        logline_die("--listen: \"%s\" is no HOST:PORT", settings->listen);
    }
    if (!address_is_loopback(&config.listen) && !settings->is_insecure) {
        logline_die(
            "--listen: %s can be reached from outside, and whoever reaches it can read and "
            "write everything: there are no secrets yet; if you want that, add --insecure-bind",
            settings->listen);
    }
    if (settings->connection_max == 0 || settings->connection_max > CONNECTION_MAX) {
        logline_die("--max-connections: must be from 1 to %d", CONNECTION_MAX);
    }
    config.connection_max = (uint32_t)settings->connection_max;
    if (!listener_raise_file_limit(config.connection_max, error, sizeof(error))) {
        logline_die("--max-connections: %s", error);
    }
    return config;
}

struct process {
    struct loop *loop;
    struct shardd *shardd;
};

static void on_stopped(void *context)
{
    const struct process *process = context;
    loop_stop(process->loop);
}

static void on_signal(void *context)
{
    struct process *process = context;
    notify_stopping();
    shardd_stop(process->shardd, on_stopped, process);
}

static int serve(const struct shardd_config *config)
{
    char error[512];
    char address[ADDRESS_TEXT_LEN];
    struct process process = {.loop = loop_new()};
    /* A limit on the size of files is then met as a full disk. */
    (void)signal(SIGXFSZ, SIG_IGN);
    process.shardd = shardd_open(process.loop, config, error, sizeof(error));
    if (!process.shardd) {
        logline(LOGLINE_ERROR, "%s", error);
        loop_free(process.loop);
        return EXIT_FAILURE;
    }
    loop_on_signal(process.loop, SIGTERM, on_signal, &process);
    loop_on_signal(process.loop, SIGINT, on_signal, &process);
    address_print(shardd_address(process.shardd), address);
    (void)fprintf(stderr, "ready: listening on %s\n", address);
    notify_ready();
    loop_run(process.loop);
    shardd_free(process.shardd);
    loop_free(process.loop);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct settings settings = {.listen = "127.0.0.1:5050", .connection_max = 10000};
    if (!standard_open()) {
        logline_die("cannot open /dev/null: %s", strerror(errno));
    }
    switch (parse_settings(argc, argv, &settings)) {
    case OPTIONS_RUN:
        break;
    case OPTIONS_EXIT:
        return EXIT_SUCCESS;
    case OPTIONS_USAGE:
        return EXIT_USAGE;
    }
    if (!settings.data) {
        (void)fprintf(stderr, "shardd: --data DIR is missing; see shardd --help\n");
        return EXIT_USAGE;
    }
    struct shardd_config config = check_settings(&settings);
    return settings.is_check ? EXIT_SUCCESS : serve(&config);
}
