/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/help.h"
#include "cli/suggest.h"

#define FIELD(name) offsetof(struct arguments, name)
#define OPTIONS(specs)                                                                             \
    {                                                                                              \
        (specs), sizeof(specs) / sizeof((specs)[0])                                                \
    }
#define NO_OPTIONS                                                                                 \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static const struct argument_spec write_options[] = {
    {"bytes", 0, ARGUMENT_FLAG, FIELD(bytes), NULL, "store the bytes of VALUE as they are, as bin"},
    {"if-absent", 0, ARGUMENT_FLAG, FIELD(if_absent), NULL, "only if there is nothing"},
    {"if-version", 0, ARGUMENT_NUMBER, FIELD(if_version), "N", "only if this version is there"},
};

static const struct argument_spec fetch_options[] = {
    {"raw", 0, ARGUMENT_FLAG, FIELD(raw), NULL,
     "exactly the bytes of a str or bin, of others the MessagePack; no newline"},
};

static const struct argument_spec keys_options[] = {
    {"prefix", 0, ARGUMENT_TEXT, FIELD(prefix), "P", "only keys that begin so"},
};

static const struct argument_spec import_options[] = {
    {"format", 0, ARGUMENT_TEXT, FIELD(format), "jsonl|lines", "of the input (jsonl)"},
    {"if-absent", 0, ARGUMENT_FLAG, FIELD(if_absent), NULL, "leave what is there as it is"},
    {"acks", 0, ARGUMENT_TEXT, FIELD(acks), "FILE",
     "append the number of each line once it is acknowledged"},
};

static const struct argument_spec map_init_options[] = {
    {"server", 0, ARGUMENT_LIST, FIELD(servers), "HOST:PORT", "once for each server"},
    {"size", 0, ARGUMENT_TEXT, FIELD(size), "SIZE", "of each shard: 1GiB, 100MB, ..."},
};

static const struct argument_spec map_apply_options[] = {
    {"dry-run", 0, ARGUMENT_FLAG, FIELD(dry_run), NULL, "print the changes, make none"},
};

static const struct argument_spec shard_reset_options[] = {
    {"accept-loss", 0, ARGUMENT_FLAG, FIELD(accept_loss), NULL,
     "yes, what the shard held is given up"},
};

const struct command commands[] = {
    {"write", "KEY VALUE", "write or overwrite a record",
     "A VALUE that is JSON in the form in which it is printed back is that value; any other is a\n"
     "string (what is not UTF-8: bin). So 5 is an integer, 05 a string, \"5\" in quotes a string.\n"
     "VALUE - reads standard input, to the last byte. A KEY that begins with - goes behind --.\n",
     OPTIONS(write_options), 2, 2, data_write},
    {"read", "KEY", "print the value of a record",
     "A string is printed as text, anything else as JSON; with --json the whole record.\n",
     OPTIONS(fetch_options), 1, 1, data_read},
    {"pop", "KEY", "print the value of a record and delete it, in one step", NULL,
     OPTIONS(fetch_options), 1, 1, data_pop},
    {"delete", "KEY", "delete a record", NULL, NO_OPTIONS, 1, 1, data_delete},
    {"exists", "KEY", "tell whether there is a record: yes or no, exit status 0 or 1", NULL,
     NO_OPTIONS, 1, 1, data_exists},
    {"incr", "KEY [BY]", "add to an integer (1 unless told) and print the sum",
     "Nothing there counts as 0. BY may be negative.\n", NO_OPTIONS, 1, 2, data_incr},
    {"keys", "", "print all keys, in hash order",
     "A key with control characters, or not UTF-8, is printed as the shell quotes it: $'a\\nb';\n"
     "with --json as key_base64.\n",
     OPTIONS(keys_options), 0, 0, keys_list},
    {"import", "FILE|-", "write the records of a file",
     "jsonl: one {\"key\":...,\"value\":...} in each line, as export writes it.\n"
     "lines: key|value, as pyshard reads it: {...} is JSON, digits an integer, 1.5 a float.\n"
     "Bad lines are reported by number and left out. The counts at the end are of done, existing,\n"
     "refused, unknown (may have been done), unsent and bad lines; the exit status is that of the\n"
     "worst of them (2 for bad lines). After a batch that stayed unanswered the rest is unsent.\n",
     OPTIONS(import_options), 1, 1, import_run},
    {"export", "[FILE]", "print all records as jsonl, in hash order", NULL, NO_OPTIONS, 0, 1,
     export_run},
    {"status", "", "show the servers and their shards",
     "Exit status 3 unless all are serving and nothing is wrong.\n", NO_OPTIONS, 0, 0, status_show},
    {"map get", "", "print the range map", NULL, NO_OPTIONS, 0, 0, map_commands_get},
    {"map init", "[FILE]", "write the map of a new cluster, for bootstrapd --config",
     "Equal ranges, in the order of the servers. A FILE that is there is not overwritten.\n",
     OPTIONS(map_init_options), 0, 1, map_commands_init},
    {"map apply", "FILE", "make the map that of an edited file", NULL, OPTIONS(map_apply_options),
     1, 1, map_commands_apply},
    {"shard reset", "NAME", "let a shard whose data is lost start with what is there", NULL,
     OPTIONS(shard_reset_options), 1, 1, shard_reset},
    {"ping", "[ADDR]", "measure the way to each daemon and back", NULL, NO_OPTIONS, 0, 1, ping_all},
    {"version", "", "print the version of this program, and of the daemons in reach", NULL,
     NO_OPTIONS, 0, 0, version_show},
    {"help", "[COMMAND]", "print this, or what a command does and takes", NULL, NO_OPTIONS, 0, 2,
     help_run},
};

const unsigned command_count = sizeof(commands) / sizeof(commands[0]);

/* The length of `first` when it is the first of two words of the name, else 0. */
static size_t group_len(const struct command *command, const char *first)
{
    size_t len = strlen(first);
    return strncmp(command->name, first, len) == 0 && command->name[len] == ' ' ? len : 0;
}

const struct command *commands_find(const char *first, const char *second)
{
    for (unsigned i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        size_t len = group_len(command, first);
        if (strcmp(command->name, first) == 0 ||
            (len && second && strcmp(command->name + len + 1, second) == 0)) {
            return command;
        }
    }
    return NULL;
}

bool commands_is_group(const char *first)
{
    for (unsigned i = 0; i < command_count; i++) {
        if (group_len(&commands[i], first)) {
            return true;
        }
    }
    return false;
}

const char *commands_suggest(const char *word)
{
    const char *synonym = suggest_synonym(word);
    struct suggest suggest;
    suggest_init(&suggest, word);
    for (unsigned i = 0; i < command_count; i++) {
        suggest_offer(&suggest, commands[i].name);
    }
    return synonym ? synonym : suggest_best(&suggest);
}
