/* SPDX-License-Identifier: MIT */

/*
 * shardd, the shard server.
 *
 *     main ─> server ─> request ─> arguments, reply, stat
 *                          ├─> mover ─> stream                                        ranges that move
 *                          ├─> membership ─> session, control, division ─> ownership ─> moving   who owns what
 *                          └─> store                                                  what is kept
 *                                ├─> execute ─> hot ─> arena        operations, records in memory
 *                                │      ├─> minter                  ids
 *                                │      └─> retry ─> result ─> seal
 *                                ├─> log ─> segment                 what is durable
 *                                ├─> sweep ─> swept, clear, pressure     hot table to tree
 *                                ├─> fetch, slice, patrol           tree to memory, scans, what is to go
 *                                ├─> hand, import                   a range as it leaves, and as it comes
 *                                ├─> saving, emptying ─> interval   a change of what is owned; what a move has left
 *                                ├─> counting ─> hand               parts of what is to be divided
 *                                ├─> recount ─> tally               after log salvage
 *                                ├─> room, measure, supply          the disk, the tree's part of it, memory ahead
 *                                └─> recovery                     mend, before it: a damaged tree
 *
 * Below them all: tree, account, op, range. The mover goes by membership and store, too, and saving by counting and
 * tally.
 */

#include <errno.h>
#include <malloc.h>
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

/* Larger ones are mistakes. */
#define SIZE_MAX_OF_OPTION (UINT64_C(1) << 50)

struct settings {
    const char *listen;
    const char *data;
    uint64_t connection_max;
    const char *durability;
    const char *memory;
    const char *log_size;
    const char *log_segment;
    bool is_to_compact;
    bool is_to_mend;
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
        {"durability", 0, OPTION_TEXT, "disk|os",
         "when a write is answered: when it is on the disk, or when it is with the operating system, "
         "which a power cut may cost a second of (disk)", {.text = &settings->durability}},
        {"memory", 0, OPTION_TEXT, "SIZE",
         "what records and all else may take of memory (256MiB)", {.text = &settings->memory}},
        {"log-size", 0, OPTION_TEXT, "SIZE",
         "what the log may take of the disk (1GiB)", {.text = &settings->log_size}},
        {"log-segment", 0, OPTION_TEXT, "SIZE",
         "a file of the log (64MiB)", {.text = &settings->log_segment}},
        {"compact", 0, OPTION_FLAG, NULL,
         "first write the tree's file anew, without the room in it that is free",
         {.flag = &settings->is_to_compact}},
        {"salvage-tree", 0, OPTION_FLAG, NULL,
         "first write the tree anew from what can be read of it; only in what shardkv log salvage wrote",
         {.flag = &settings->is_to_mend}},
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

static uint64_t check_size(const char *option, const char *text, uint64_t least,
                           const char *least_text)
{
    uint64_t size;
    if (!size_parse(bytes_text(text), &size)) {
        logline_die("--%s: \"%s\" is no size, such as 64MiB", option, text);
    }
    if (size < least || size > SIZE_MAX_OF_OPTION) {
        logline_die("--%s: %s is too %s: at least %s", option, text,
                    size < least ? "small" : "large", least_text);
    }
    return size;
}

/* How the store is to be kept. Ends the process when it is wrong. */
static void check_store(const struct settings *settings, struct shardd_config *config)
{
    bool is_os = strcmp(settings->durability, "os") == 0;
    if (!is_os && strcmp(settings->durability, "disk") != 0) {
        logline_die("--durability: \"%s\" is neither disk nor os", settings->durability);
    }
    config->durability = is_os ? DURABILITY_OS : DURABILITY_DISK;
    config->memory_limit = check_size("memory", settings->memory, STORE_MEMORY_MIN, "16MiB");
    config->segment_len =
        check_size("log-segment", settings->log_segment, LOG_SEGMENT_LEN_MIN, "64KiB");
    config->log_limit = check_size("log-size", settings->log_size, 4 * config->segment_len,
                                   "four times --log-segment");
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
    config.is_to_compact = settings->is_to_compact;
    config.is_to_mend = settings->is_to_mend;
    check_store(settings, &config);
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

/*
 * RULES F3: what is freed goes back to the system. Left to itself, the allocator learns from large blocks that are
 * freed to keep them, and several loads of different value sizes leave it with half of a small --memory in holes. Each
 * block of the system's costs a page fault every 4 KiB, though, half of what moving large values takes: so where there
 * is more memory, blocks are large from a larger size on.
 */
#define LARGE_BLOCK_MIN   (256u << 10)
#define LARGE_BLOCK_MAX   (8u << 20)
#define LARGE_BLOCK_SHIFT 7 /* of --memory */

static void set_allocator(uint64_t memory_limit)
{
    uint64_t share = memory_limit >> LARGE_BLOCK_SHIFT;
    uint64_t len = share < LARGE_BLOCK_MIN ? LARGE_BLOCK_MIN : share;
    len = len < LARGE_BLOCK_MAX ? len : LARGE_BLOCK_MAX;
    (void)mallopt(M_MMAP_THRESHOLD, (int)len);
    (void)mallopt(M_TRIM_THRESHOLD, (int)len);
}

static int serve(const struct shardd_config *config)
{
    char error[512];
    char address[ADDRESS_TEXT_LEN];
    struct process process = {.loop = loop_new()};
    set_allocator(config->memory_limit);
    /* A limit on the size of files is then met as a full disk. */
    (void)signal(SIGXFSZ, SIG_IGN);
    /* Whoever ends it while it recovers is heard when it is up: the log then gets its end. */
    loop_on_signal(process.loop, SIGTERM, on_signal, &process);
    loop_on_signal(process.loop, SIGINT, on_signal, &process);
    process.shardd = shardd_open(process.loop, config, error, sizeof(error));
    if (!process.shardd) {
        logline(LOGLINE_ERROR, "%s", error);
        loop_free(process.loop);
        return EXIT_FAILURE;
    }
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
    struct settings settings = {
        .listen = "127.0.0.1:5050",
        .connection_max = 10000,
        .durability = "disk",
        .memory = "256MiB",
        .log_size = "1GiB",
        .log_segment = "64MiB",
    };
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
