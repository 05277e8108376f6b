/* SPDX-License-Identifier: MIT */
#include "tests/sim/lastwords.h"

#include "tests/sim/world.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define HAS_DEATH_CALLBACK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define HAS_DEATH_CALLBACK 1
#endif
#endif

/* The linker's (-Wl,--wrap): what assert() calls. */
_Noreturn void __wrap___assert_fail(const char *expression, const char *file, unsigned line,
                                    const char *function);

void __wrap___assert_fail(const char *expression, const char *file, unsigned line,
                          const char *function)
{
    violation("%s:%u: %s: assertion failed: %s", file, line, function, expression);
}

static struct sigaction before;

/* Of this program all is lost, so only what a signal handler may do. */
static void say_seed(void)
{
    static const char text[] = "\nnot ok 1 - the process crashed at seed ";
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\n';
    for (uint64_t rest = world_seed(); at > 0 && (rest || at == sizeof digits - 1); rest /= 10) {
        digits[--at] = (char)('0' + rest % 10);
    }
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
        write(STDOUT_FILENO, digits + at, sizeof digits - at) < 0) {
        _exit(2);
    }
}

static void on_fault(int signal_number)
{
    say_seed();
    sigaction(signal_number, &before, NULL); /* the instruction runs again, into that one's hands */
}

void lastwords_prepare(void)
{
    struct sigaction action = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &action, &before);
#ifdef HAS_DEATH_CALLBACK
    __sanitizer_set_death_callback(say_seed);
#endif
}
