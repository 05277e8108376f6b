/* SPDX-License-Identifier: MIT */
#include "tests/torture/links.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMMAND_LEN = 512, NOBODY = 99, PROBE_PORT = 9, PROBE_MS = 100 };

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

static bool enter_user_namespace(void)
{
    unsigned uid = getuid();
    unsigned gid = getgid();
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 &&
           write_text("/proc/self/setgroups", "deny") && map_id("/proc/self/uid_map", uid) &&
           map_id("/proc/self/gid_map", gid);
}

bool links_enter(void)
{
    /* Root needs no user namespace, and in a chroot there is none to be had. */
    return (unshare(CLONE_NEWNET) == 0 || enter_user_namespace()) &&
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

static struct sockaddr_in probe_address(uint32_t index)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PROBE_PORT)};
    address.sin_addr.s_addr = htonl(0x0a4d0000u + 10 + index);
    return address;
}

/* A socket stays in the network that it was made in. -1: cannot be made. */
static int open_probe(int net, uint32_t index)
{
    struct sockaddr_in address = probe_address(index);
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int probe = setns(net, CLONE_NEWNET) == 0 ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (probe >= 0 && bind(probe, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(probe);
        probe = -1;
    }
    if (setns(home, CLONE_NEWNET) != 0) {
        perror("setns");
        abort();
    }
    close(home);
    return probe;
}

/* What came late, of an earlier question, is no answer. */
static void empty_probe(int probe)
{
    char bytes[8];
    while (recv(probe, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
    }
}

bool links_carries(const struct links *links, uint32_t from, uint32_t to)
{
    struct sockaddr_in address = probe_address(to);
    struct pollfd one = {.fd = links->probes[to], .events = POLLIN};
    empty_probe(one.fd);
    bool is_sent = sendto(links->probes[from], "?", 1, 0, (const struct sockaddr *)&address,
                          sizeof(address)) == 1;
    return is_sent && poll(&one, 1, PROBE_MS) == 1;
}

struct links_count links_count(const struct daemon *daemon)
{
    char path[64];
    char line[1024];
    struct links_count count = {0};
    (void)snprintf(path, sizeof(path), "/proc/%d/net/snmp", (int)daemon->server.pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        /* Tcp: algorithm, least and most timeout, connections, begun, 6 others, sent again */
        unsigned long long begun;
        unsigned long long again;
        if (sscanf(line, "Tcp: %*d %*d %*d %*d %llu %*u %*u %*u %*u %*u %*u %llu", &begun,
                   &again) == 2) {
            count = (struct links_count){again, begun};
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return count;
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
                 i, 10 + i, 10 + i, i) ||
            (links->probes[i] = open_probe(links->nets[i], i)) < 0) {
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
            if (links->probes[i] > 0) {
                close(links->probes[i]);
            }
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
