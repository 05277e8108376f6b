/* SPDX-License-Identifier: MIT */
#include "cli/arguments.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/suggest.h"

#define FIELD(name) offsetof(struct arguments, name)

static const struct argument_spec global_specs[] = {
    {"bootstrap", 'b', ARGUMENT_TEXT, FIELD(bootstrap), "ADDR[,ADDR...]",
     "any servers or bootstrapds (else $SHARDKV_BOOTSTRAP, else 127.0.0.1:5040)"},
    {"json", 0, ARGUMENT_FLAG, FIELD(json), NULL, "print JSON, one object per line"},
    {"timeout", 0, ARGUMENT_NUMBER, FIELD(timeout_ms), "MS",
     "of each call to the cluster (2000; import, backup and restore: 30000)"},
    {"help", 'h', ARGUMENT_FLAG, FIELD(help), NULL, "what a command does and takes"},
    {"version", 'V', ARGUMENT_FLAG, FIELD(version), NULL, "of this program"},
};

const struct argument_table arguments_global = {
    global_specs,
    sizeof(global_specs) / sizeof(global_specs[0]),
};

bool arguments_init(struct arguments *arguments, int argc, char **argv)
{
    size_t room = (size_t)argc + 1;
    memset(arguments, 0, sizeof(*arguments));
    arguments->next = argv + (argc > 0);
    arguments->words.items = calloc(room, sizeof(*arguments->words.items));
    arguments->servers.items = calloc(room, sizeof(*arguments->servers.items));
    if (arguments->words.items && arguments->servers.items) {
        return true;
    }
    arguments_fini(arguments);
    return false;
}

void arguments_fini(struct arguments *arguments)
{
    free(arguments->words.items);
    free(arguments->servers.items);
    arguments->words = (struct argument_list){0};
    arguments->servers = (struct argument_list){0};
}

/* Decimal digits and nothing else, from 1 to UINT64_MAX. */
static bool parse_number(const char *text, uint64_t *number)
{
    uint64_t value = 0;
    if (!*text) {
        return false;
    }
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text)) {
            return false;
        }
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (value == 0) {
        return false;
    }
    *number = value;
    return true;
}

static bool is_number(const char *text)
{
    uint64_t number;
    return text && parse_number(text, &number);
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] && !isdigit((unsigned char)text[1]);
}

/* `name_len` bytes of `name`, with or without dashes as it was written. */
static bool names_it(const struct argument_spec *spec, const char *text, size_t name_len)
{
    if (text[1] != '-') {
        return spec->letter && spec->letter == text[1];
    }
    return strlen(spec->name) == name_len - 2 && memcmp(spec->name, text + 2, name_len - 2) == 0;
}

static const struct argument_spec *find_in(const struct argument_table *table, const char *text,
                                           size_t name_len)
{
    for (unsigned i = 0; table && i < table->count; i++) {
        if (names_it(&table->specs[i], text, name_len)) {
            return &table->specs[i];
        }
    }
    return NULL;
}

static void collect_names(const struct argument_table *table, struct suggest *suggest)
{
    for (unsigned i = 0; table && i < table->count; i++) {
        suggest_offer(suggest, table->specs[i].name);
    }
}

static bool fail_unknown(struct arguments *arguments, const struct argument_table *table,
                         const char *text, size_t name_len)
{
    struct suggest suggest;
    suggest_init(&suggest, text + strspn(text, "-"));
    collect_names(&arguments_global, &suggest);
    collect_names(table, &suggest);
    const char *name = suggest_best(&suggest);
    int shown_len = name_len > 60 ? 60 : (int)name_len;
    if (name) {
        (void)snprintf(arguments->error, sizeof(arguments->error),
                       "no option %.*s (did you mean --%s?)", shown_len, text, name);
    } else {
        (void)snprintf(arguments->error, sizeof(arguments->error),
                       "no option %.*s (what begins with - and is none goes behind --)", shown_len,
                       text);
    }
    return false;
}

static bool store(struct arguments *arguments, const struct argument_spec *spec, const char *value)
{
    char *field = (char *)arguments + spec->offset;
    switch (spec->kind) {
    case ARGUMENT_FLAG:
        *(bool *)(void *)field = true;
        break;
    case ARGUMENT_TEXT:
        *(const char **)(void *)field = value;
        break;
    case ARGUMENT_NUMBER:
    case ARGUMENT_COUNT:
        if (!parse_number(value, (uint64_t *)(void *)field)) {
            (void)snprintf(arguments->error, sizeof(arguments->error),
                           "--%s takes a whole number above 0, not \"%.60s\"", spec->name, value);
            return false;
        }
        break;
    case ARGUMENT_LIST: {
        struct argument_list *list = (struct argument_list *)(void *)field;
        list->items[list->count++] = value;
        break;
    }
    }
    return true;
}

/* What is attached to the option itself: behind `=`, or behind a letter; NULL if nothing is. */
static const char *attached_value(const char *text, size_t name_len)
{
    if (text[1] != '-') {
        return text[2] ? text + 2 : NULL;
    }
    return text[name_len] == '=' ? text + name_len + 1 : NULL;
}

static bool take_option(struct arguments *arguments, const struct argument_table *table,
                        const char *text)
{
    size_t name_len = strcspn(text, "=");
    const struct argument_spec *spec = find_in(&arguments_global, text, name_len);
    if (!spec) {
        spec = find_in(table, text, name_len);
    }
    if (!spec) {
        return fail_unknown(arguments, table, text, name_len);
    }
    const char *value = attached_value(text, name_len);
    if (spec->kind == ARGUMENT_FLAG) {
        if (value) {
            (void)snprintf(arguments->error, sizeof(arguments->error), "--%s takes no value",
                           spec->name);
            return false;
        }
        return store(arguments, spec, NULL);
    }
    if (!value && spec->kind == ARGUMENT_COUNT && !is_number(*arguments->next)) {
        value = "1";
    }
    if (!value && *arguments->next) {
        value = *arguments->next++;
    }
    if (!value) {
        (void)snprintf(arguments->error, sizeof(arguments->error), "--%s needs %s", spec->name,
                       spec->operand);
        return false;
    }
    return store(arguments, spec, value);
}

enum arguments_result arguments_next(struct arguments *arguments,
                                     const struct argument_table *table, const char **word)
{
    while (*arguments->next) {
        const char *text = *arguments->next++;
        if (arguments->options_ended || !is_option(text)) {
            *word = text;
            return ARGUMENTS_WORD;
        }
        if (strcmp(text, "--") == 0) {
            arguments->options_ended = true;
        } else if (!take_option(arguments, table, text)) {
            return ARGUMENTS_WRONG;
        }
    }
    return ARGUMENTS_END;
}

bool arguments_take_rest(struct arguments *arguments, const struct argument_table *table)
{
    const char *word = NULL;
    enum arguments_result result = arguments_next(arguments, table, &word);
    while (result == ARGUMENTS_WORD) {
        arguments->words.items[arguments->words.count++] = word;
        result = arguments_next(arguments, table, &word);
    }
    return result == ARGUMENTS_END;
}
