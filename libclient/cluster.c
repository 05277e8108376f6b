/* SPDX-License-Identifier: MIT */
#include "libclient/cluster.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_LEN_MAX 512

void cluster_log(const struct cluster *cluster, enum log_level level, const char *format, ...)
{
    if (!cluster->options.log) {
        return;
    }
    char line[LINE_LEN_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    for (char *c = line; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
    cluster->options.log(cluster->options.log_context, (int)level, line);
}
