/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/notify.h"

/* systemd's end: an abstract socket, named by the process. */
static int open_systemd(char name[32])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int name_len = snprintf(name, 32, "@notify_test.%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)name_len - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)name_len);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    return fd;
}

static void expect(int fd, const char *expected)
{
    char state[100];
    ssize_t len = recv(fd, state, sizeof(state) - 1, 0);
    assert_true(len > 0);
    state[len] = '\0';
    assert_string_equal(state, expected);
}

static void systemd_is_told(void **state)
{
    (void)state;
    char name[32];
    int fd = open_systemd(name);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    notify_ready();
    expect(fd, "READY=1");
    notify_stopping();
    expect(fd, "STOPPING=1");
    close(fd);
}

static void without_systemd_nothing_happens(void **state)
{
    (void)state;
    char path[300];
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    notify_ready();
    assert_int_equal(setenv("NOTIFY_SOCKET", "@notify_test.nobody", 1), 0);
    notify_ready();
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_ready();
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_is_told),
        cmocka_unit_test(without_systemd_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
