/* SPDX-License-Identifier: MIT */
#include "libclient/error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local struct skv_error last_error;

enum skv_status error_set(const struct skv_error *error)
{
    last_error = *error;
    return error->status;
}

enum skv_status error_say(enum skv_status status, const char *format, ...)
{
    last_error = (struct skv_error){.status = status};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(last_error.text, sizeof(last_error.text), format, arguments);
    va_end(arguments);
    return status;
}

const struct skv_error *skv_error(void)
{
    return &last_error;
}

const char *skv_status_name(enum skv_status status)
{
    switch (status) {
    case SKV_OK:
        return "SKV_OK";
    case SKV_NOT_FOUND:
        return "SKV_NOT_FOUND";
    case SKV_CONDITION:
        return "SKV_CONDITION";
    case SKV_FULL:
        return "SKV_FULL";
    case SKV_INVALID:
        return "SKV_INVALID";
    case SKV_DENIED:
        return "SKV_DENIED";
    case SKV_UNAVAILABLE:
        return "SKV_UNAVAILABLE";
    case SKV_UNKNOWN:
        return "SKV_UNKNOWN";
    case SKV_NO_MEMORY:
        return "SKV_NO_MEMORY";
    }
    return "SKV_?";
}
