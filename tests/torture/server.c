/* SPDX-License-Identifier: MIT */
#include "tests/torture/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/clock.h"
#include "proto/pack.h"
#include "tests/torture/talk.h"
#include "tests/unit/sample_map.h"

#define READY_MS_MAX 60000
#define END_MS_MAX   10000

static void die(const char *what)
{
    perror(what);
    abort();
}

bool server_has_option(const char *program, const char *option)
{
    char command[512];
    char line[512];
    char wanted[64];
    bool has = false;
    (void)snprintf(command, sizeof(command), "%s --help 2>&1", program);
    (void)snprintf(wanted, sizeof(wanted), "--%s ", option);
    FILE *help = popen(command, "r"); /* NOLINT(cert-env33-c): a test's own command */
    while (help && fgets(line, sizeof(line), help)) {
        has |= strstr(line, wanted) != NULL;
    }
    if (help) {
        pclose(help);
    }
    return has;
}

/* --- the process --- */

enum { ENVIRONMENT_MAX = 512 };

static void fill_environment(const struct server_config *config, char *environment[])
{
    size_t count = 0;
    for (char **next = environ; *next && count < ENVIRONMENT_MAX; next++) {
        environment[count++] = *next;
    }
    for (size_t i = 0; config->environment[i]; i++) {
        environment[count++] = (char *)(uintptr_t)config->environment[i];
    }
    environment[count] = NULL;
}

static void fill_arguments(const struct server_config *config, const char *arguments[])
{
    size_t count = 0;
    arguments[count++] = config->program;
    arguments[count++] = "--listen";
    arguments[count++] = config->listen ? config->listen : "127.0.0.1:0";
    arguments[count++] = "--data";
    arguments[count++] = config->data;
    for (size_t i = 0; config->arguments[i]; i++) {
        arguments[count++] = config->arguments[i];
    }
    arguments[count] = NULL;
}

/* This thread, and what it starts. */
static void enter(int net)
{
    if (setns(net, CLONE_NEWNET) != 0) {
        die("setns");
    }
}

static pid_t spawn(const struct server_config *config, posix_spawn_file_actions_t *actions,
                   const char **arguments, char **environment)
{
    pid_t pid = 0;
    int home = config->net ? open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC) : -1;
    if (config->net) {
        enter(config->net);
    }
    errno = posix_spawn(&pid, config->program, actions, NULL, (char **)(uintptr_t)arguments,
                        environment);
    if (errno != 0) {
        die(config->program);
    }
    if (config->net) {
        enter(home);
        close(home);
    }
    return pid;
}

void server_spawn(struct server *server, const struct server_config *config)
{
    const char *arguments[SERVER_ARGUMENTS_MAX + 6];
    char *environment[ENVIRONMENT_MAX + SERVER_ENVIRONMENT_MAX + 1];
    posix_spawn_file_actions_t actions;
    int pipe_ends[2];
    fill_arguments(config, arguments);
    fill_environment(config, environment);
    if (pipe2(pipe_ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0) {
        die("pipe");
    }
    *server = (struct server){.words = pipe_ends[0]};
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
    server->copy = config->words_path ? fopen(config->words_path, "ae") : NULL;
    server->pid = spawn(config, &actions, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
}

/* False at the end, or after `timeout_ms` without a word. */
static bool read_words(struct server *server, int timeout_ms)
{
    struct pollfd one = {.fd = server->words, .events = POLLIN};
    char heard[1024];
    if (poll(&one, 1, timeout_ms) <= 0) {
        return false;
    }
    ssize_t got = read(server->words, heard, sizeof(heard));
    size_t len = got > 0 ? (size_t)got : 0;
    size_t room = sizeof(server->said) - 1 - server->said_len;
    if (server->copy && len) {
        (void)fwrite(heard, 1, len, server->copy);
    }
    len = len < room ? len : room;
    memcpy(server->said + server->said_len, heard, len);
    server->said_len += len;
    server->said[server->said_len] = '\0';
    return got > 0;
}

bool server_hear(struct server *server)
{
    siginfo_t ended = {0};
    while (read_words(server, 0)) {
    }
    return waitid(P_PID, (id_t)server->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0;
}

bool server_await(struct server *server)
{
    static const char ready[] = "ready: listening on ";
    do {
        const char *line = strstr(server->said, ready);
        if (line && strchr(line, '\n')) {
            const char *colon = strchr(line + sizeof(ready) - 1, ':');
            server->port = colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
            return true;
        }
    } while (read_words(server, READY_MS_MAX));
    return false;
}

void server_signal(const struct server *server, int signal_number)
{
    if (server->pid > 0) {
        kill(server->pid, signal_number);
    }
}

static bool has_ended_within(pid_t pid, int timeout_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    bool has_ended = fd < 0 || poll(&one, 1, timeout_ms) > 0;
    if (fd >= 0) {
        close(fd);
    }
    return has_ended;
}

int server_reap(struct server *server)
{
    int status = -1;
    bool has_ended = has_ended_within(server->pid, END_MS_MAX);
    if (!has_ended) {
        server_signal(server, SIGKILL);
    }
    if (waitpid(server->pid, &status, 0) != server->pid) {
        die("waitpid");
    }
    while (read_words(server, 0)) {
    }
    close(server->words);
    if (server->copy) {
        (void)fclose(server->copy);
    }
    server->pid = 0;
    return has_ended ? status : -1;
}

void server_kill(struct server *server)
{
    if (server->pid > 0) {
        server_signal(server, SIGKILL);
        (void)server_reap(server);
    }
}

/* --- the bootstrapd's part --- */

static void pack_greeting(struct buffer *params)
{
    uint8_t id[ID_LEN];
    pack_array(params, 1);
    pack_map(params, 5);
    pack_text(params, "role");
    pack_text(params, "bootstrapd");
    pack_text(params, "cluster");
    sample_id('c', id);
    pack_bin(params, bytes_of(id, ID_LEN));
    pack_text(params, "instance");
    sample_id('i', id);
    pack_bin(params, bytes_of(id, ID_LEN));
    pack_text(params, "term");
    pack_uint(params, 1);
    pack_text(params, "revision");
    pack_uint(params, 1);
}

/* The server's id, out of what it says of itself. */
static bool find_server(struct bytes said, uint8_t id[ID_LEN])
{
    struct unpack in = unpack_of(said);
    uint32_t count = unpack_map(&in);
    for (uint32_t i = 0; i < count; i++) {
        bool is_it = bytes_equal(unpack_text(&in), bytes_text("server"));
        struct unpack value = unpack_of(unpack_skip(&in));
        struct bytes bytes = is_it ? unpack_text(&value) : bytes_of(NULL, 0);
        if (is_it && bytes.len == ID_LEN) {
            memcpy(id, bytes.data, ID_LEN);
            return true;
        }
    }
    return false;
}

static void pack_whole_map(const uint8_t id[ID_LEN], bool is_new, uint64_t size,
                           struct buffer *params)
{
    struct map map =
        SAMPLE_MAP(2, {"low", HALF, 2, 1, is_new, size}, {"high", BOUND_END, 2, 1, is_new, size});
    for (uint32_t i = 0; i < map.entry_count; i++) {
        memcpy(map.entries[i].server, id, ID_LEN);
    }
    buffer_clear(params);
    pack_array(params, 1);
    map_pack(&map, params);
    map_fini(&map);
}

bool server_found(struct server *server, bool is_new, uint64_t size, char *error, size_t error_len)
{
    struct rpc_message message = {.code = STATUS_OK, .text = bytes_text("no answer")};
    struct buffer params = {0};
    uint8_t id[ID_LEN];
    struct talk *talk = talk_open(server->port);
    pack_greeting(&params);
    bool is_founded = talk_call(talk, "hello", buffer_bytes(&params), &message) &&
                      message.code == STATUS_OK && find_server(message.result, id);
    if (is_founded) {
        pack_whole_map(id, is_new, size, &params);
        is_founded = talk_call(talk, "map.push", buffer_bytes(&params), &message) &&
                     message.code == STATUS_OK;
    }
    if (!is_founded) {
        (void)snprintf(error, error_len, "founding: %s: %.*s", status_name(message.code),
                       (int)message.text.len, (const char *)message.text.data);
    }
    buffer_fini(&params);
    talk_close(talk);
    return is_founded;
}
