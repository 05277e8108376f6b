/* SPDX-License-Identifier: MIT */
#include "cli/bench_local.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/bench_child.h"

#define READY "ready: listening on "

/* Between looks at what a program that starts has said. */
#define LOOK_NS 2000000

#define FOUNDING_MS 60000

enum { PATH_LEN = 4096 + 64 };

/* "shardd" beside this program; as it stands, for the shell's way, when that cannot be told. */
static void find_program(const char *name, char path[PATH_LEN])
{
    char own[PATH_LEN] = "";
    ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash = len > 0 ? strrchr(own, '/') : NULL;
    if (slash) {
        *slash = '\0';
        (void)snprintf(path, PATH_LEN, "%.4000s/%.60s", own, name);
    } else {
        (void)snprintf(path, PATH_LEN, "%s", name);
    }
}

static void path_in(const struct bench_local *local, const char *name, const char *ending,
                    char path[PATH_LEN])
{
    (void)snprintf(path, PATH_LEN, "%s/%.40s%s", local->home, name, ending);
}

/* The word behind READY in the file. */
static bool find_ready(const char *path, char address[ADDRESS_TEXT_LEN])
{
    char line[1024];
    bool is_found = false;
    FILE *file = fopen(path, "re");
    while (file && !is_found && fgets(line, sizeof(line), file)) {
        is_found = strncmp(line, READY, strlen(READY)) == 0 && strchr(line, '\n');
    }
    if (is_found) {
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(address, ADDRESS_TEXT_LEN, "%.*s", ADDRESS_TEXT_LEN - 1,
                       line + strlen(READY));
    }
    if (file) {
        (void)fclose(file);
    }
    return is_found;
}

static enum exit_code await_ready(const struct bench_local *local, const char *name, pid_t *child,
                                  char address[ADDRESS_TEXT_LEN])
{
    const struct timespec moment = {.tv_nsec = LOOK_NS};
    char path[PATH_LEN];
    char words[512];
    path_in(local, name, ".err", path);
    while (!find_ready(path, address)) {
        if (!bench_child_runs(*child)) {
            *child = 0;
            bench_child_last_words(path, words, sizeof(words));
            return failure_say(EXIT_CODE_UNAVAILABLE, "bench: %s did not start: %s", name, words);
        }
        (void)nanosleep(&moment, NULL);
    }
    return EXIT_CODE_DONE;
}

static enum exit_code start_server(struct bench_local *local, unsigned index,
                                   char address[ADDRESS_TEXT_LEN])
{
    char name[32], program[PATH_LEN], data[PATH_LEN], errors[PATH_LEN];
    (void)snprintf(name, sizeof(name), "shardd-%u", index);
    find_program("shardd", program);
    path_in(local, name, "", data);
    path_in(local, name, ".err", errors);
    const char *const argv[] = {program, "--listen", "127.0.0.1:0", "--data", data, NULL};
    local->servers[index] = bench_child_start(argv, errors);
    local->count = index + 1;
    return await_ready(local, name, &local->servers[index], address);
}

static bool write_map(const char *path, unsigned count,
                      char addresses[BENCH_LOCAL_MAX][ADDRESS_TEXT_LEN])
{
    FILE *file = fopen(path, "we");
    if (!file) {
        return false;
    }
    (void)fprintf(file, "{ \"shards\": [");
    for (unsigned i = 0; i < count; i++) {
        struct address address = {0};
        (void)address_parse(bytes_text(addresses[i]), &address);
        (void)fprintf(file,
                      "%s\n  { \"name\": \"shard%u\", \"start\": %.9f, \"end\": %.9f, "
                      "\"size\": \"1TiB\", \"host\": \"%s\", \"port\": %u }",
                      i ? "," : "", i, (double)i / count, (double)(i + 1) / count, address.host,
                      address.port);
    }
    (void)fprintf(file, " ] }\n");
    return fclose(file) == 0;
}

static enum exit_code start_bootstrapd(struct bench_local *local)
{
    char program[PATH_LEN], config[PATH_LEN], data[PATH_LEN], errors[PATH_LEN];
    find_program("bootstrapd", program);
    path_in(local, "map", ".json", config);
    path_in(local, "bootstrapd", "", data);
    path_in(local, "bootstrapd", ".err", errors);
    const char *const argv[] = {program, "--listen", "127.0.0.1:0", "--config",
                                config,  "--data",   data,          NULL};
    local->bootstrapd = bench_child_start(argv, errors);
    return await_ready(local, "bootstrapd", &local->bootstrapd, local->bootstrap);
}

/* Until each server has taken its part: the library asks again and again. */
static enum exit_code await_founding(const struct bench_local *local)
{
    const struct skv_options options = {.timeout_ms = FOUNDING_MS};
    struct skv *kv = NULL;
    enum skv_status status = skv_open(local->bootstrap, &options, &kv);
    if (status == SKV_OK) {
        status = skv_exists(kv, skv_key("founding"), NULL);
    }
    enum exit_code code =
        status == SKV_OK || status == SKV_NOT_FOUND
            ? EXIT_CODE_DONE
            : failure_say(EXIT_CODE_UNAVAILABLE, "bench: --local: %s", skv_error()->text);
    skv_close(kv);
    return code;
}

static enum exit_code make_home(struct bench_local *local)
{
    bench_child_scratch(local->home, sizeof(local->home));
    if (mkdtemp(local->home)) {
        return EXIT_CODE_DONE;
    }
    enum exit_code code = failure_say(EXIT_CODE_USAGE, "bench: --local: cannot make %s: %s",
                                      local->home, strerror(errno));
    local->home[0] = '\0';
    return code;
}

enum exit_code bench_local_start(struct bench_local *local, unsigned count)
{
    char addresses[BENCH_LOCAL_MAX][ADDRESS_TEXT_LEN];
    char path[PATH_LEN];
    enum exit_code code = make_home(local);
    for (unsigned i = 0; i < count && code == EXIT_CODE_DONE; i++) {
        code = start_server(local, i, addresses[i]);
    }
    if (code != EXIT_CODE_DONE) {
        return code;
    }
    path_in(local, "map", ".json", path);
    if (!write_map(path, count, addresses)) {
        return failure_say(EXIT_CODE_UNAVAILABLE, "bench: --local: cannot write %s: %s", path,
                           strerror(errno));
    }
    code = start_bootstrapd(local);
    return code == EXIT_CODE_DONE ? await_founding(local) : code;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
    (void)stat;
    (void)kind;
    (void)where;
    return remove(path);
}

void bench_local_end(struct bench_local *local)
{
    bench_child_end(local->bootstrapd);
    for (unsigned i = 0; i < local->count; i++) {
        bench_child_end(local->servers[i]);
    }
    if (*local->home) {
        (void)nftw(local->home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    *local = (struct bench_local){0};
}
