/* SPDX-License-Identifier: MIT */
#include "io/standard.h"

#include <fcntl.h>
#include <unistd.h>

bool standard_open(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) {
        /* The wrong way round: nothing can be read from the one, nor written to the others. */
        int mode = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        /* The lowest free number is the one that open() takes. */
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", mode) != descriptor) {
            return false;
        }
    }
    return true;
}
