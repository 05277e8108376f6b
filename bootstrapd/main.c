/* SPDX-License-Identifier: MIT */

/*
 * bootstrapd: holds the range map of a cluster and tells it to servers and clients.
 *
 *     main -> server -> request -> watch
 *                          |
 *                     coordinator -> push -> greeting -------+
 *                          |          +---+                  v
 *                          |              v               cluster -> numbers -> site
 *                          |--> orders -> conduct -> parts   |  +-> plan -> ledger -> history -> moves
 *                          |       +--------+--> admission --+
 *                          |--> rebalance -> balance --------^
 *                          |--> survey -> greeting, recover -+
 *                          |--> admin -----------------------+
 *                          +--> mapstore -> slot, ledger
 *
 * An arrow says "knows of"; what stands right of coordinator is pure, but for push, survey and mapstore.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bootstrapd/server.h"
#include "io/listener.h"
#include "io/notify.h"
#include "io/options.h"
#include "io/standard.h"
#include "proto/buffer.h"
#include "proto/limits.h"

struct settings {
    const char *listen;
    const char *map_name;
    const char *data_path;
    uint64_t connection_max;
    bool is_insecure_allowed;
    bool is_auto;
    bool is_check;
};

struct daemon {
    struct loop *loop;
    struct bootstrapd *bootstrapd;
};

static int complain(const char *what)
{
    (void)fprintf(stderr, "bootstrapd: %s\n", what);
    return EXIT_FAILURE;
}

static enum options_result parse_options(int argc, char **argv, struct settings *settings)
{
    const struct option_spec specs[] = {
        {"listen", 0, OPTION_TEXT, "HOST:PORT",
         "where to listen (127.0.0.1:5040); port 0: a free one", .out.text = &settings->listen},
        {"config", 0, OPTION_TEXT, "FILE", "the map that founds the cluster when DIR is empty",
         .out.text = &settings->map_name},
        {"data", 0, OPTION_TEXT, "DIR", "where the map is kept; needed",
         .out.text = &settings->data_path},
        {"max-connections", 0, OPTION_NUMBER, "N", "clients at a time (10000)",
         .out.number = &settings->connection_max},
        {"insecure-bind", 0, OPTION_FLAG, NULL, "allow --listen on an address that is not loopback",
         .out.flag = &settings->is_insecure_allowed},
        {"auto-rebalance", 0, OPTION_FLAG, NULL,
         "move ranges unasked when a server is a tenth off its share",
         .out.flag = &settings->is_auto},
        {"check", 'n', OPTION_FLAG, NULL, "check options and map, then exit",
         .out.flag = &settings->is_check},
    };
    enum options_result result = options_parse(
        argc, argv, "bootstrapd",
        "Holds the range map of a shardkv cluster and tells it to servers and clients.", specs,
        sizeof(specs) / sizeof(*specs));
    if (result == OPTIONS_RUN && !settings->data_path) {
        complain("--data DIR is needed (see bootstrapd --help)");
        result = OPTIONS_USAGE;
    }
    return result;
}

static bool check_listen(const struct settings *settings, struct bootstrapd_config *config,
                         char *error, size_t error_len)
{
    if (!address_parse(bytes_text(settings->listen), &config->listen)) {
        (void)snprintf(error, error_len, "--listen %s: not a HOST:PORT", settings->listen);
        return false;
    }
    if (!address_is_loopback(&config->listen) && !settings->is_insecure_allowed) {
        (void)snprintf(
            error, error_len,
            "--listen %s: not a loopback address, and whoever reaches it may change everything: "
            "nothing is encrypted or asked for a secret. In a trusted network add --insecure-bind",
            settings->listen);
        return false;
    }
    if (settings->connection_max == 0 || settings->connection_max > UINT32_MAX) {
        (void)snprintf(error, error_len, "--max-connections %llu: not between 1 and %u",
                       (unsigned long long)settings->connection_max, UINT32_MAX);
        return false;
    }
    config->connection_max = (uint32_t)settings->connection_max;
    config->is_auto = settings->is_auto;
    return listener_raise_file_limit(config->connection_max, error, error_len);
}

/* At most what `shardkv map apply` could send. */
static bool read_map(const char *name, struct buffer *text, char *error, size_t error_len)
{
    FILE *file = fopen(name, "re");
    uint8_t *to = buffer_reserve(text, FRAME_LEN_MAX);
    const char *fault = NULL;
    if (!file || !to) {
        fault = strerror(errno);
    } else {
        text->len = fread(to, 1, FRAME_LEN_MAX, file);
        if (ferror(file)) {
            fault = strerror(errno);
        } else if (text->len == FRAME_LEN_MAX) {
            fault = "too large for a map";
        }
    }
    if (file) {
        (void)fclose(file);
    }
    if (fault) {
        (void)snprintf(error, error_len, "%s: %s", name, fault);
    }
    return !fault;
}

static bool check_settings(const struct settings *settings, struct bootstrapd_config *config,
                           struct buffer *map_text, char *error, size_t error_len)
{
    config->data_path = settings->data_path;
    config->map_name = settings->map_name;
    if (!check_listen(settings, config, error, error_len)) {
        return false;
    }
    if (!settings->map_name) {
        return true;
    }
    if (!read_map(settings->map_name, map_text, error, error_len)) {
        return false;
    }
    config->map_text = buffer_bytes(map_text);
    return bootstrapd_check_map(config, error, error_len);
}

static void on_stopped(void *context)
{
    loop_stop(context);
}

static void on_signal(void *context)
{
    const struct daemon *daemon = context;
    notify_stopping();
    bootstrapd_stop(daemon->bootstrapd, on_stopped, daemon->loop);
}

static int run(const struct bootstrapd_config *config)
{
    char error[512];
    char address[ADDRESS_TEXT_LEN];
    int exit_status = EXIT_FAILURE;
    struct daemon daemon = {.loop = loop_new()};
    daemon.bootstrapd = bootstrapd_open(daemon.loop, config, error, sizeof(error));
    if (!daemon.bootstrapd) {
        complain(error);
        goto out;
    }
    loop_on_signal(daemon.loop, SIGTERM, on_signal, &daemon);
    loop_on_signal(daemon.loop, SIGINT, on_signal, &daemon);
    address_print(bootstrapd_address(daemon.bootstrapd), address);
    (void)fprintf(stderr, "ready: listening on %s\n", address);
    notify_ready();
    loop_run(daemon.loop);
    exit_status = EXIT_SUCCESS;
out:
    bootstrapd_free(daemon.bootstrapd);
    loop_free(daemon.loop);
    return exit_status;
}

int main(int argc, char **argv)
{
    char error[512];
    struct settings settings = {.listen = "127.0.0.1:5040", .connection_max = 10000};
    struct bootstrapd_config config = {0};
    struct buffer map_text = {0};
    int exit_status = EXIT_SUCCESS;
    if (!standard_open()) {
        return complain("cannot open /dev/null");
    }
    switch (parse_options(argc, argv, &settings)) {
    case OPTIONS_EXIT:
        return EXIT_SUCCESS;
    case OPTIONS_USAGE:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    if (!check_settings(&settings, &config, &map_text, error, sizeof(error))) {
        exit_status = complain(error);
    } else if (!settings.is_check) {
        exit_status = run(&config);
    }
    buffer_fini(&map_text);
    return exit_status;
}
