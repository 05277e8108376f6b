/* SPDX-License-Identifier: MIT */
#include "io/memory.h"

#include <stdlib.h>
#include <string.h>

#include "io/logline.h"

static void *demand(void *memory)
{
    if (memory == NULL) {
        logline_die("out of memory");
    }
    return memory;
}

void *memory_get(size_t count, size_t len)
{
    return demand(calloc(count, len));
}

void *memory_resize(void *memory, size_t count, size_t len)
{
    return demand(reallocarray(memory, count, len));
}

char *memory_copy_text(const char *text)
{
    return demand(strdup(text));
}

void memory_must(bool was_there)
{
    if (!was_there) {
        logline_die("out of memory");
    }
}
