/* SPDX-License-Identifier: MIT */
#include "proto/status.h"

struct row {
    const char *name;
    const char *text;
    enum status_class class;
};

static const struct row rows[] = {
#define X(name, code, class, text) [(code)] = {#name, text, STATUS_CLASS_##class},
    STATUS_TABLE(X)
#undef X
};

static const struct row stranger = {
    "UNKNOWN",
    "an error that this version does not know",
    STATUS_CLASS_UNKNOWN,
};

static const struct row *find(uint32_t code)
{
    return code < sizeof rows / sizeof rows[0] && rows[code].name ? &rows[code] : &stranger;
}

const char *status_name(uint32_t code)
{
    return find(code)->name;
}

const char *status_text(uint32_t code)
{
    return find(code)->text;
}

enum status_class status_class(uint32_t code)
{
    return find(code)->class;
}
