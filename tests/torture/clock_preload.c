/* SPDX-License-Identifier: MIT */

/*
 * The wall clock is ahead, or behind, by so many milliseconds:
 *
 *     TORTURE_CLOCK_MS     from the start to the end; milliseconds in decimal
 *     TORTURE_CLOCK        a file of eight bytes, int64_t as the machine has it: whoever writes there steps the clock
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/torture/preload.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static __typeof__(&clock_gettime) real;
static const volatile int64_t *file_ms; /* NULL: there is none */
static int64_t fixed_ms;

static void begin(void)
{
    const char *path = preload_setting("TORTURE_CLOCK");
    real = REAL(clock_gettime);
    fixed_ms = strtoll(preload_setting("TORTURE_CLOCK_MS"), NULL, 10);
    int fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *page = mmap(NULL, sizeof(*file_ms), PROT_READ, MAP_SHARED, fd, 0);
        file_ms = page == MAP_FAILED ? NULL : page;
        close(fd);
    }
    if (*path && !file_ms) {
        perror(path);
        abort();
    }
}

static void add_ms(struct timespec *time, int64_t ms)
{
    int64_t ns = time->tv_nsec + ms % 1000 * 1000000;
    time->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
    time->tv_nsec = ns + (ns < 0 ? 1000000000 : 0) - (ns >= 1000000000 ? 1000000000 : 0);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)pthread_once(&once, begin);
    int result = real(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) {
        add_ms(now, fixed_ms + (file_ms ? *file_ms : 0));
    }
    return result;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
