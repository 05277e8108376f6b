/* SPDX-License-Identifier: MIT */
#include "tests/torture/links.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMMAND_LEN = 512, NOBODY = 99 };

/* --- namespaces --- */

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return is_written;
}

static bool map_id(const char *path, unsigned id)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "0 %u 1", id);
    return write_text(path, text);
}

/* `format`: a shell command, in the network `net` (0: this one). False: it failed. */
static bool run(int net, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool run(int net, const char *format, ...)
{
    char command[COMMAND_LEN];
    int status = -1;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    pid_t pid = fork();
    if (pid == 0) {
        if (net && setns(net, CLONE_NEWNET) != 0) {
            _exit(127);
        }
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool links_enter(void)
{
    unsigned uid = getuid();
    unsigned gid = getgid();
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
           write_text("/proc/self/setgroups", "deny") && map_id("/proc/self/uid_map", uid) &&
           map_id("/proc/self/gid_map", gid) &&
           run(0, "exec 2>/dev/null; ip link set lo up && ip link add br0 type bridge && "
                  "ip addr add 10.77.0.1/24 dev br0 && ip link set br0 up");
}

/* A process has the new network until it is open here, and veth's other end is in it. */
static int make_net(uint32_t index)
{
    char path[64];
    int ends[2];
    char byte = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return 0;
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWNET) == 0 && write(ends[1], "n", 1) == 1) {
            (void)pause();
        }
        _exit(1);
    }
    close(ends[1]);
    bool is_made = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
    int net = is_made ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    is_made = net > 0 &&
              run(0,
                  "ip link add e%u type veth peer name p%u && ip link set e%u master br0 up && "
                  "ip link set p%u netns %d",
                  index, index, index, index, (int)pid);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return is_made ? net : 0;
}

/* --- ways --- */

/* Of daemon `from`, to whom packets for `to` go. */
static bool point_way(const struct links *links, uint32_t from, uint32_t to, uint32_t receiver)
{
    return run(links->nets[from],
               "ip neigh replace 10.77.0.%u lladdr 02:00:00:00:00:%02u dev p%u nud permanent",
               10 + to, receiver, from);
}

bool links_open(struct links *links, struct cluster *cluster)
{
    *links = (struct links){0};
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        struct daemon *daemon = &cluster->daemons[i];
        links->nets[i] = make_net(i);
        if (links->nets[i] == 0 ||
            !run(links->nets[i],
                 "ip link set lo up && ip link set p%u address 02:00:00:00:00:%02u up && "
                 "ip addr add 10.77.0.%u/24 dev p%u",
                 i, 10 + i, 10 + i, i)) {
            printf("# the network of %s cannot be made\n", daemon->name);
            return false;
        }
        daemon->config.net = links->nets[i];
        daemon->config.arguments[3] = "--insecure-bind";
        if (!daemon->config.arguments[2]) {
            daemon->config.arguments[2] = "--insecure-bind";
            daemon->config.arguments[3] = NULL;
        }
        (void)snprintf(daemon->host, sizeof(daemon->host), "10.77.0.%u", 10 + i);
    }
    return true;
}

void links_close(struct links *links)
{
    for (uint32_t i = 0; i < CLUSTER_DAEMONS; i++) {
        if (links->nets[i] > 0) {
            close(links->nets[i]);
            (void)run(0, "ip link del e%u 2>/dev/null", i);
        }
    }
    *links = (struct links){0};
}

void links_cut(struct links *links, uint32_t from, uint32_t to)
{
    links->is_cut[from][to] = point_way(links, from, to, NOBODY);
}

void links_mend_all(struct links *links)
{
    for (uint32_t from = 0; from < CLUSTER_DAEMONS; from++) {
        for (uint32_t to = 0; to < CLUSTER_DAEMONS; to++) {
            if (links->is_cut[from][to]) {
                links->is_cut[from][to] = !point_way(links, from, to, 10 + to);
            }
        }
    }
}
