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
    {"ttl", 0, ARGUMENT_TEXT, FIELD(ttl), "TIME",
     "it expires after 500ms, 10s, 5m, 2h, 7d (a plain number: seconds)"},
    {"sliding", 0, ARGUMENT_FLAG, FIELD(sliding), NULL, "each read restarts its time to live"},
};

static const struct argument_spec expire_options[] = {
    {"ttl", 0, ARGUMENT_TEXT, FIELD(ttl), "TIME",
     "from now on: 500ms, 10s, 5m, 2h, 7d (a plain number: seconds)"},
    {"never", 0, ARGUMENT_FLAG, FIELD(never), NULL, "it lives for ever"},
    {"sliding", 0, ARGUMENT_FLAG, FIELD(sliding), NULL, "each read restarts its time to live"},
    {"if-version", 0, ARGUMENT_NUMBER, FIELD(if_version), "N", "only if this version is there"},
};

static const struct argument_spec status_options[] = {
    {"watch", 0, ARGUMENT_COUNT, FIELD(watch_s), "[SECONDS]",
     "show it again each second, or as often as told, until interrupted"},
    {"count", 0, ARGUMENT_NUMBER, FIELD(count), "N", "with --watch: end when it was shown N times"},
};

static const struct argument_spec fetch_options[] = {
    {"raw", 0, ARGUMENT_FLAG, FIELD(raw), NULL,
     "exactly the bytes of a str or bin, of others the MessagePack; no newline"},
};

static const struct argument_spec keys_options[] = {
    {"prefix", 0, ARGUMENT_TEXT, FIELD(prefix), "P", "only keys that begin so"},
    {"skip-damaged", 0, ARGUMENT_FLAG, FIELD(skip_damaged), NULL,
     "tell of records that cannot be read, and go on behind them"},
};

static const struct argument_spec export_options[] = {
    {"skip-damaged", 0, ARGUMENT_FLAG, FIELD(skip_damaged), NULL,
     "tell of records that cannot be read, and go on behind them"},
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

static const struct argument_spec bench_options[] = {
    {"records", 0, ARGUMENT_NUMBER, FIELD(bench.records), "N", "that are loaded (100000)"},
    {"value-size", 0, ARGUMENT_NUMBER, FIELD(bench.value_size), "BYTES", "of each value (100)"},
    {"connections", 0, ARGUMENT_NUMBER, FIELD(bench.connections), "C", "to all servers (50)"},
    {"pipeline", 0, ARGUMENT_NUMBER, FIELD(bench.pipeline), "P",
     "requests in flight on each connection (1)"},
    {"seconds", 0, ARGUMENT_NUMBER, FIELD(bench.seconds), "S", "that are measured (10)"},
    {"warmup", 0, ARGUMENT_NUMBER, FIELD(bench.warmup), "S", "before them (1)"},
    {"rate", 0, ARGUMENT_NUMBER, FIELD(bench.rate), "R",
     "operations a second, in time whatever the server does (as fast as it answers)"},
    {"zipf", 0, ARGUMENT_FLAG, FIELD(bench.zipf), NULL, "few records take most, by Zipf 0.99"},
    {"no-load", 0, ARGUMENT_FLAG, FIELD(bench.no_load), NULL, "the records are there already"},
    {"server-pid", 0, ARGUMENT_TEXT, FIELD(bench.server_pids), "PID[,PID...]",
     "tell what these processes used, too"},
    {"redis", 0, ARGUMENT_TEXT, FIELD(bench.redis), "HOST:PORT", "ask this Redis instead"},
    {"echo", 0, ARGUMENT_TEXT, FIELD(bench.echo), "HOST:PORT", "ask this tests/bench/echo_server"},
};

static const struct argument_spec log_dump_options[] = {
    {"from", 0, ARGUMENT_NUMBER, FIELD(from_stamp), "STAMP", "leave out what is below it"},
    {"limit", 0, ARGUMENT_NUMBER, FIELD(limit), "N", "end after N lines"},
};

static const struct argument_spec log_salvage_options[] = {
    {"to", 0, ARGUMENT_TEXT, FIELD(to), "NEW", "a directory that is empty or not there yet"},
    {"without-tree", 0, ARGUMENT_FLAG, FIELD(without_tree), NULL,
     "the tree cannot be read: give up what is in the log no longer"},
};

const struct command commands[] = {
    {"write", "KEY VALUE", "write or overwrite a record",
     "A VALUE that is JSON in the form in which it is printed back is that value; any other is a\n"
     "string (what is not UTF-8: bin). So 5 is an integer, 05 a string, \"5\" in quotes a string.\n"
     "VALUE - reads standard input, to the last byte. A KEY that begins with - goes behind --.\n"
     "Without --ttl what is written lives for ever, whatever was there.\n",
     OPTIONS(write_options), 2, 2, data_write},
    {"read", "KEY", "print the value of a record",
     "A string is printed as text, anything else as JSON; with --json the whole record: ttl_ms is\n"
     "the time left, null if it lives for ever. On a terminal a second line tells of it.\n",
     OPTIONS(fetch_options), 1, 1, data_read},
    {"pop", "KEY", "print the value of a record and delete it, in one step", NULL,
     OPTIONS(fetch_options), 1, 1, data_pop},
    {"delete", "KEY", "delete a record", NULL, NO_OPTIONS, 1, 1, data_delete},
    {"exists", "KEY", "tell whether there is a record: yes or no, exit status 0 or 1", NULL,
     NO_OPTIONS, 1, 1, data_exists},
    {"incr", "KEY [BY]", "add to an integer (1 unless told) and print the sum",
     "Nothing there counts as 0. BY may be negative. The record expires when it would have.\n",
     NO_OPTIONS, 1, 2, data_incr},
    {"expire", "KEY", "tell when a record is to expire",
     "Needs --ttl or --never. The value stays, the version is new.\n", OPTIONS(expire_options), 1,
     1, data_expire},
    {"keys", "", "print all keys, in hash order",
     "A key with control characters, or not UTF-8, is printed as the shell quotes it: $'a\\nb';\n"
     "with --json as key_base64.\n",
     OPTIONS(keys_options), 0, 0, keys_list},
    {"import", "FILE|-", "write the records of a file",
     "jsonl: one {\"key\":...,\"value\":...} in each line, as export writes it.\n"
     "lines: key|value, as pyshard reads it: {...} is JSON, digits an integer, 1.5 a float.\n"
     "Bad lines are reported by number and left out. The counts at the end are of done, existing,\n"
     "expired (its ttl_ms is 0: left out), refused, unknown (may have been done), unsent and bad\n"
     "lines; the exit status is that of the worst of them (2 for bad lines). After a batch that\n"
     "stayed unanswered the rest is unsent.\n",
     OPTIONS(import_options), 1, 1, import_run},
    {"export", "[FILE]", "print all records as jsonl, in hash order",
     "What expires has its ttl_ms, the time left; if it slides, full_ttl_ms and sliding, too.\n"
     "A damaged record ends it, with exit status 3; with --skip-damaged that is the status at the "
     "end.\n",
     OPTIONS(export_options), 0, 1, export_run},
    {"status", "", "show the servers and their shards",
     "Exit status 3 unless all are serving and nothing is wrong; warnings do not count. What a\n"
     "server does not tell is -. With --watch and --json: one object per line.\n",
     OPTIONS(status_options), 0, 0, status_show},
    {"map get", "", "print the range map", NULL, NO_OPTIONS, 0, 0, map_commands_get},
    {"map init", "[FILE]", "write the map of a new cluster, for bootstrapd --config",
     "Equal ranges, in the order of the servers. A FILE that is there is not overwritten.\n",
     OPTIONS(map_init_options), 0, 1, map_commands_init},
    {"map apply", "FILE", "make the map that of an edited file", NULL, OPTIONS(map_apply_options),
     1, 1, map_commands_apply},
    {"shard reset", "NAME", "let a shard whose data is lost start with what is there", NULL,
     OPTIONS(shard_reset_options), 1, 1, shard_reset},
    {"ping", "[ADDR]", "measure the way to each daemon and back", NULL, NO_OPTIONS, 0, 1, ping_all},
    {"bench", "WORKLOAD", "measure how fast the cluster is; writes over its records",
     "read, write, mixed: of uniform keys; ycsb-a ... ycsb-f: YCSB's. Keys are 0000000000000000,\n"
     "0000000000000001, ...: never in a cluster that has records of such names. It loads, warms "
     "up\n"
     "and measures; Ctrl-C ends it with what was measured. Times are in microseconds.\n",
     OPTIONS(bench_options), 1, 1, bench_run},
    {"log verify", "DIR", "look whether the log of a server that is stopped is whole",
     "Exit status 0 also when it is torn, which a crash may leave and the server mends; 1 when it\n"
     "is damaged, its newest segment, log.newest or the tree missing. What the tree has is not\n"
     "looked at: the server does.\n",
     NO_OPTIONS, 1, 1, log_verify},
    {"log dump", "DIR", "print a line for each record and operation of a log",
     "What is whole behind damage is printed, too. Exit status 1 when there is damage.\n",
     OPTIONS(log_dump_options), 1, 1, log_dump},
    {"log salvage", "DIR", "write anew what can be read of a damaged log, and the tree",
     "The only way past damage, and it loses data: it says what it left behind. A server starts "
     "on\n"
     "NEW in place of DIR, which stays as it is, and counts the records first. The tree is copied "
     "as\n"
     "it is: if it is damaged, start shardd --data NEW --salvage-tree once, which keeps what of "
     "it\n"
     "can be read; if it cannot be read at all, --without-tree keeps what the log has.\n",
     OPTIONS(log_salvage_options), 1, 1, log_salvage},
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
