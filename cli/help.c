/* SPDX-License-Identifier: MIT */
#include "cli/help.h"

#include <string.h>

#include "cli/json_writer.h"

/* Of a command with its operands: all but the longest, so that summaries stay within 100 columns. */
#define COMMAND_WIDTH 24

static const char exit_status_help[] =
    "exit status:\n"
    "  0 done   1 not found   2 wrong usage or input   3 unavailable or timed out: not done\n"
    "  4 refused (condition, full, invalid, denied)    5 outcome unknown: may have been done\n"
    "Data goes to standard output; what went wrong is one line on standard error, --json or not.\n";

/* A command that is longer than its column has the line for itself. */
static void print_row(const char *left, const char *summary, FILE *stream)
{
    if (strlen(left) > COMMAND_WIDTH) {
        (void)fprintf(stream, "  %s\n", left);
        left = "";
    }
    (void)fprintf(stream, "  %-*s %s\n", COMMAND_WIDTH, left, summary);
}

static void print_commands(const char *first, FILE *stream)
{
    size_t first_len = first ? strlen(first) : 0;
    for (unsigned i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        char left[64];
        if (first && strncmp(command->name, first, first_len) != 0) {
            continue;
        }
        (void)snprintf(left, sizeof(left), "%s %s", command->name, command->operands);
        print_row(left, command->summary, stream);
    }
}

static void print_options(const struct argument_table *table, FILE *stream)
{
    for (unsigned i = 0; i < table->count; i++) {
        const struct argument_spec *spec = &table->specs[i];
        char left[64];
        (void)snprintf(left, sizeof(left), "%c%c%s--%s%s%s", spec->letter ? '-' : ' ',
                       spec->letter ? spec->letter : ' ', spec->letter ? ", " : "  ", spec->name,
                       spec->operand ? " " : "", spec->operand ? spec->operand : "");
        (void)fprintf(stream, "  %-32s %s\n", left, spec->help);
    }
}

void help_print_all(FILE *stream)
{
    (void)fputs("usage: shardkv [OPTION...] COMMAND [ARGUMENT...]\n\n", stream);
    print_commands(NULL, stream);
    (void)fputs("\noptions, before or behind the command:\n", stream);
    print_options(&arguments_global, stream);
    (void)fprintf(stream, "\n%s", exit_status_help);
}

void help_print_command(const struct command *command, FILE *stream)
{
    (void)fprintf(stream, "usage: shardkv %s%s%s%s\n\n%s.\n", command->name,
                  command->options.count ? " [OPTION...]" : "", *command->operands ? " " : "",
                  command->operands, command->summary);
    if (command->detail) {
        (void)fprintf(stream, "\n%s", command->detail);
    }
    if (command->options.count) {
        (void)fputs("\noptions:\n", stream);
        print_options(&command->options, stream);
    }
    if (commands_is_group(command->name)) {
        (void)fputs("\nbeside it:\n", stream);
        print_commands(command->name, stream);
    }
    (void)fputs("\noptions of all commands: see shardkv help\n", stream);
}

void help_print_group(const char *first, FILE *stream)
{
    (void)fprintf(stream, "usage: shardkv %s COMMAND\n\n", first);
    print_commands(first, stream);
}

static enum exit_code print_json(const struct command *command)
{
    struct json_writer writer = {0};
    json_writer_open(&writer, NULL, '{');
    json_writer_text(&writer, "command", bytes_text(command->name));
    json_writer_text(&writer, "operands", bytes_text(command->operands));
    json_writer_text(&writer, "summary", bytes_text(command->summary));
    json_writer_open(&writer, "options", '[');
    for (unsigned i = 0; i < command->options.count; i++) {
        json_writer_text(&writer, NULL, bytes_text(command->options.specs[i].name));
    }
    json_writer_close(&writer, ']');
    json_writer_close(&writer, '}');
    return json_writer_print(&writer);
}

static enum exit_code print_all_json(void)
{
    enum exit_code code = EXIT_CODE_DONE;
    for (unsigned i = 0; i < command_count && code == EXIT_CODE_DONE; i++) {
        code = print_json(&commands[i]);
    }
    return code;
}

enum exit_code help_run(struct session *session)
{
    const struct argument_list *words = &session->arguments->words;
    if (words->count == 0) {
        if (session->arguments->json) {
            return print_all_json();
        }
        help_print_all(stdout);
        return EXIT_CODE_DONE;
    }
    const char *second = words->count > 1 ? words->items[1] : NULL;
    const struct command *command = commands_find(words->items[0], second);
    if (command && session->arguments->json) {
        return print_json(command);
    }
    if (command) {
        help_print_command(command, stdout);
    } else if (commands_is_group(words->items[0])) {
        help_print_group(words->items[0], stdout);
    } else {
        return help_say_unknown(words->items[0]);
    }
    return EXIT_CODE_DONE;
}

enum exit_code help_say_unknown(const char *word)
{
    const char *name = commands_suggest(word);
    if (name) {
        return failure_say(EXIT_CODE_USAGE, "there is no command \"%s\"; did you mean %s?", word,
                           name);
    }
    return failure_say(EXIT_CODE_USAGE, "there is no command \"%s\"; see: shardkv help", word);
}
