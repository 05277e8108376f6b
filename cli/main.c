/* SPDX-License-Identifier: MIT */

/*
 * shardkv, the command line of a cluster.
 *
 *     main ──> commands, help ──> data id entity keys import export backup restore bench log
 *                                 status map_commands map_log shard server move rebalance ping
 *                                   └──> session, ask, watch, input, operand, record_line, value_text, id_text, server_stat
 *                                          └──> arguments, json_writer, table, moving, progress ──> output, failure
 *
 * Of the library only shardkv.h is used: whatever this can, any program can.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"
#include "io/standard.h"

static enum exit_code print_version(void)
{
    (void)printf("shardkv %s\n", skv_version());
    return EXIT_CODE_DONE;
}

/* Without a command there is only what the global options ask for. */
static enum exit_code run_without_command(const struct arguments *arguments)
{
    if (arguments->version) {
        return print_version();
    }
    help_print_all(arguments->help ? stdout : stderr);
    return arguments->help ? EXIT_CODE_DONE : EXIT_CODE_USAGE;
}

/* Says what is missing or too much. */
static bool has_its_words(const struct session *session, const struct command *command)
{
    unsigned count = session->arguments->words.count;
    if (count >= command->words_min && count <= command->words_max) {
        return true;
    }
    if (*command->operands) {
        (void)session_say_usage(session, "it takes %s; %u given", command->operands, count);
    } else {
        (void)session_say_usage(session, "it takes no arguments");
    }
    return false;
}

static enum exit_code run_command(struct arguments *arguments, const struct command *command)
{
    struct session session;
    bool is_taken = arguments_take_rest(arguments, &command->options);
    session_init(&session, command->name, arguments);
    if (!is_taken) {
        return session_say_usage(&session, "%s", arguments->error);
    }
    if (arguments->version) {
        return print_version();
    }
    if (arguments->help) {
        help_print_command(command, stdout);
        return EXIT_CODE_DONE;
    }
    if (arguments->timeout_ms > UINT32_MAX) {
        return session_say_usage(&session, "--timeout is at most %u ms", UINT32_MAX);
    }
    if (!has_its_words(&session, command)) {
        return EXIT_CODE_USAGE;
    }
    enum exit_code code = command->run(&session);
    session_fini(&session);
    return code;
}

/* "map" alone is no command; help is what somebody who asks for it that way wants. */
static enum exit_code run_group(const struct arguments *arguments, const char *first,
                                const char *second)
{
    if (arguments->help && !second) {
        help_print_group(first, stdout);
        return EXIT_CODE_DONE;
    }
    if (!second) {
        return failure_say(EXIT_CODE_USAGE, "%s: which? see: shardkv help %s", first, first);
    }
    char name[64];
    int len = snprintf(name, sizeof(name), "%s %s", first, second);
    if (len < (int)sizeof(name) && commands_suggest(name)) {
        return help_say_unknown(name);
    }
    return failure_say(EXIT_CODE_USAGE, "there is no command \"%s %s\"; see: shardkv help %s",
                       first, second, first);
}

/*
 * The word behind that of a group: of "move" it may be the first argument of the command that has that name itself. Its
 * options may stand before it.
 */
static enum arguments_result take_second(struct arguments *arguments, const char *first,
                                         const char **second)
{
    const struct command *itself = commands_find(first, NULL);
    enum arguments_result result =
        arguments_next(arguments, itself ? &itself->options : NULL, second);
    if (result == ARGUMENTS_WORD && itself &&
        (arguments->options_ended || commands_find(first, *second) == itself)) {
        arguments->words.items[arguments->words.count++] = *second;
        *second = NULL;
    }
    return result;
}

static enum exit_code run(struct arguments *arguments)
{
    const char *first = NULL, *second = NULL;
    enum arguments_result result = arguments_next(arguments, NULL, &first);
    if (result == ARGUMENTS_END) {
        return run_without_command(arguments);
    }
    bool is_group = result == ARGUMENTS_WORD && commands_is_group(first);
    if (is_group) {
        result = take_second(arguments, first, &second);
    }
    if (result == ARGUMENTS_WRONG) {
        return failure_say(EXIT_CODE_USAGE, "%s; see: shardkv help", arguments->error);
    }
    const struct command *command = commands_find(first, second);
    if (command) {
        return run_command(arguments, command);
    }
    return is_group ? run_group(arguments, first, second) : help_say_unknown(first);
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!standard_open()) {
        return (int)failure_say(EXIT_CODE_UNAVAILABLE, "cannot open /dev/null: %s",
                                strerror(errno));
    }
    if (!arguments_init(&arguments, argc, argv)) {
        return (int)failure_say_no_memory();
    }
    enum exit_code code = output_finish(run(&arguments));
    arguments_fini(&arguments);
    return (int)code;
}
