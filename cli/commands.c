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

static const struct argument_spec id_mint_options[] = {
    {"count", 0, ARGUMENT_NUMBER, FIELD(count), "N", "so many (1)"},
};

static const struct argument_spec id_show_options[] = {
    {"origin", 0, ARGUMENT_NUMBER, FIELD(origin_ms), "MS",
     "where time begins: origin_ms of the map (1379365531352)"},
};

static const struct argument_spec entity_put_options[] = {
    {"ttl", 0, ARGUMENT_TEXT, FIELD(ttl), "TIME",
     "it expires after 500ms, 10s, 5m, 2h, 7d (a plain number: seconds)"},
    {"sliding", 0, ARGUMENT_FLAG, FIELD(sliding), NULL, "each read restarts its time to live"},
};

static const struct argument_spec entity_get_options[] = {
    {"raw", 0, ARGUMENT_FLAG, FIELD(raw), NULL, "the bytes of its MessagePack, as they were put"},
};

static const struct argument_spec entity_update_options[] = {
    {"kind", 0, ARGUMENT_TEXT, FIELD(kind), "K", "another kind than it had"},
    {"if-version", 0, ARGUMENT_NUMBER, FIELD(if_version), "N", "only if this version is there"},
    {"ttl", 0, ARGUMENT_TEXT, FIELD(ttl), "TIME",
     "it expires after 500ms, 10s, 5m, 2h, 7d (a plain number: seconds)"},
    {"sliding", 0, ARGUMENT_FLAG, FIELD(sliding), NULL, "each read restarts its time to live"},
};

static const struct argument_spec entity_scan_options[] = {
    {"kind", 0, ARGUMENT_TEXT, FIELD(kind), "K", "only those of this kind"},
    {"skip-damaged", 0, ARGUMENT_FLAG, FIELD(skip_damaged), NULL,
     "tell of records that cannot be read, and go on behind them"},
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

static const struct argument_spec backup_options[] = {
    {"resume", 0, ARGUMENT_FLAG, FIELD(resume), NULL, "go on behind the last whole piece in DIR"},
    {"verify", 0, ARGUMENT_FLAG, FIELD(verify), NULL,
     "look whether the backup in DIR is whole; no server is asked"},
    {"skip-damaged", 0, ARGUMENT_FLAG, FIELD(skip_damaged), NULL,
     "tell of records that cannot be read, and go on behind them"},
    {"piece-size", 0, ARGUMENT_TEXT, FIELD(size), "SIZE", "of a file, 4KiB to 1TiB (64MiB)"},
};

static const struct argument_spec restore_options[] = {
    {"merge", 0, ARGUMENT_FLAG, FIELD(merge), NULL,
     "into a cluster that has records; those of the backup replace them"},
    {"if-absent", 0, ARGUMENT_FLAG, FIELD(if_absent), NULL, "leave what is there as it is"},
    {"from-piece", 0, ARGUMENT_NUMBER, FIELD(from_piece), "N",
     "go on where one has stopped: with this piece"},
};

static const struct argument_spec map_init_options[] = {
    {"server", 0, ARGUMENT_LIST, FIELD(servers), "HOST:PORT", "once for each server"},
    {"size", 0, ARGUMENT_TEXT, FIELD(size), "SIZE", "of each shard: 1GiB, 100MB, ..."},
};

static const struct argument_spec map_apply_options[] = {
    {"dry-run", 0, ARGUMENT_FLAG, FIELD(dry_run), NULL, "print the changes, make none"},
};

static const struct argument_spec map_recover_options[] = {
    {"dry-run", 0, ARGUMENT_FLAG, FIELD(dry_run), NULL, "print what would be taken, take nothing"},
    {"accept-missing", 0, ARGUMENT_FLAG, FIELD(accept_missing), NULL,
     "go on without servers that do not answer: what only they know, and hold, is given up"},
};

static const struct argument_spec shard_reset_options[] = {
    {"accept-loss", 0, ARGUMENT_FLAG, FIELD(accept_loss), NULL,
     "yes, what the shard held is given up"},
};

static const struct argument_spec map_log_options[] = {
    {"limit", 0, ARGUMENT_NUMBER, FIELD(limit), "N", "the last N changes"},
};

static const struct argument_spec server_add_options[] = {
    {"capacity", 0, ARGUMENT_TEXT, FIELD(capacity), "SIZE",
     "what its shards' sizes may add up to: 100GiB, ..."},
};

static const struct argument_spec server_drain_options[] = {
    {"undo", 0, ARGUMENT_FLAG, FIELD(undo), NULL, "no longer"},
};

static const struct argument_spec move_options[] = {
    {"to", 0, ARGUMENT_TEXT, FIELD(to), "SERVER", "its address or id; needed"},
    {"part", 0, ARGUMENT_TEXT, FIELD(part), "SHARE", "only the end of the shard, of that share"},
    {"from", 0, ARGUMENT_TEXT, FIELD(from), "BOUND", "only what lies from there on, 0 to 1"},
    {"until", 0, ARGUMENT_TEXT, FIELD(until), "BOUND", "only what lies before it"},
    {"rate", 0, ARGUMENT_TEXT, FIELD(rate), "RATE", "at most so many bytes a second: 10MB, ..."},
    {"detach", 0, ARGUMENT_FLAG, FIELD(detach), NULL, "do not wait for its end"},
    {"force", 0, ARGUMENT_FLAG, FIELD(force), NULL,
     "even if the clocks of both servers are a minute apart"},
};

static const struct argument_spec move_undo_options[] = {
    {"accept-loss", 0, ARGUMENT_FLAG, FIELD(accept_loss), NULL,
     "even if the target does not answer: what it was written is given up"},
};

static const struct argument_spec moves_options[] = {
    {"all", 0, ARGUMENT_FLAG, FIELD(all), NULL, "those, too, that are over"},
};

static const struct argument_spec rebalance_options[] = {
    {"by", 0, ARGUMENT_TEXT, FIELD(by), "bytes|load", "what is to be even (bytes)"},
    {"run", 0, ARGUMENT_FLAG, FIELD(run), NULL, "have bootstrapd do it, and wait for the end"},
    {"detach", 0, ARGUMENT_FLAG, FIELD(detach), NULL, "with --run: do not wait"},
    {"stop", 0, ARGUMENT_FLAG, FIELD(stop), NULL, "call off the moves that have not begun"},
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
    {"count", 0, ARGUMENT_NUMBER, FIELD(bench.count), "N", "mint: ids in each call (1)"},
    {"shards", 0, ARGUMENT_NUMBER, FIELD(bench.shards), "N",
     "mint, put: logical shards, evenly spread (mint 1, put 64)"},
    {"share", 0, ARGUMENT_TEXT, FIELD(bench.share), "F",
     "rebalance: of the hash space that moves, 0 to 1 (all of the shard)"},
    {"shard", 0, ARGUMENT_TEXT, FIELD(bench.shard), "NAME",
     "rebalance: that moves, or whose beginning does (the first); mint, put: the first logical "
     "shard (0)"},
    {"to", 0, ARGUMENT_TEXT, FIELD(to), "HOST:PORT", "rebalance: where it moves (another server)"},
    {"moves", 0, ARGUMENT_NUMBER, FIELD(bench.moves), "N", "rebalance: there, back, ... (1)"},
    {"parts", 0, ARGUMENT_NUMBER, FIELD(bench.parts), "N",
     "rebalance: that it moves in, asked for at once (1)"},
    {"moving-only", 0, ARGUMENT_FLAG, FIELD(bench.moving_only), NULL,
     "rebalance: the load is on what moves alone"},
    {"local", 0, ARGUMENT_NUMBER, FIELD(bench.local), "N",
     "rebalance: start a bootstrapd and N servers for it, and end them"},
    {"cluster-pipeline", 0, ARGUMENT_NUMBER, FIELD(bench.cluster_pipeline), "N",
     "rebalance of --redis: keys that redis-cli moves at once (10)"},
    {"plot", 0, ARGUMENT_TEXT, FIELD(bench.plot), "FILE.svg",
     "rebalance: throughput and p99 over time, by gnuplot; its data and script beside it"},
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

#define SHARD_DETAIL                                                                               \
    "SHARD is 0 to 8191, or - for any, spread evenly, or @KEY: that of KEY's record.\n"

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
    {"id mint", "SHARD", "print new ids of a logical shard, one in a line",
     SHARD_DETAIL "With --count they grow from line to line; - draws the shards anew for each\n"
                  "65536. There are 1024 ids a millisecond and shard: more take their time.\n",
     OPTIONS(id_mint_options), 1, 1, id_mint},
    {"id show", "ID", "print when an id was given, its logical shard and its sequence",
     "It stands in the id: no server is asked. --origin is for a cluster whose map has another.\n",
     OPTIONS(id_show_options), 1, 1, id_show},
    {"entity put", "SHARD KIND JSON", "put a document under a new id, which is printed",
     SHARD_DETAIL "KIND is yours, 0 to 65535. JSON is an object, - all of standard input.\n",
     OPTIONS(entity_put_options), 3, 3, entity_put},
    {"entity get", "ID", "print the document of an entity",
     "With --json all of the record: import takes it.\n", OPTIONS(entity_get_options), 1, 1,
     entity_get},
    {"entity update", "ID JSON", "put another document in place of an entity's",
     "It keeps its id, and its kind without --kind. Without --ttl it lives for ever.\n",
     OPTIONS(entity_update_options), 2, 2, entity_update},
    {"entity delete", "ID", "delete an entity", NULL, NO_OPTIONS, 1, 1, entity_delete},
    {"entity scan", "", "print all entities, in hash order: id, kind, document",
     "So those of a logical shard stand together. With --json as lines of export.\n",
     OPTIONS(entity_scan_options), 0, 0, entity_scan},
    {"keys", "", "print all keys, in hash order",
     "A key with control characters, or not UTF-8, is printed as the shell quotes it: $'a\\nb';\n"
     "with --json as key_base64.\n",
     OPTIONS(keys_options), 0, 0, keys_list},
    {"import", "FILE|-", "write the records of a file",
     "jsonl: one {\"key\":...,\"value\":...} in each line, as export writes it; an entity's has\n"
     "\"id\" and \"kind\" in place of \"key\".\n"
     "lines: key|value, as pyshard reads it: {...} is JSON, digits an integer, 1.5 a float.\n"
     "Bad lines are reported by number and left out. The counts at the end are of done, existing,\n"
     "expired (its ttl_ms is 0: left out), refused, unknown (may have been done), unsent and bad\n"
     "lines; the exit status is that of the worst of them (2 for bad lines). After a batch that\n"
     "stayed unanswered the rest is unsent.\n",
     OPTIONS(import_options), 1, 1, import_run},
    {"export", "[FILE]", "print all records as jsonl, in hash order",
     "Entities come last: \"id\" and \"kind\" stand in place of \"key\".\n"
     "What expires has its ttl_ms, the time left; if it slides, full_ttl_ms and sliding, too.\n"
     "A damaged record ends it, with exit status 3; with --skip-damaged that is the status at the "
     "end.\n",
     OPTIONS(export_options), 0, 1, export_run},
    {"backup", "DIR", "write all records into a directory of files, while the cluster serves",
     "Each record is as at some moment of the run; one that is there throughout is in it once.\n"
     "DIR is new or empty. A manifest comes last: without it the backup is unfinished, and\n"
     "--resume goes on with it (a finished one it verifies). Damaged records are as in export.\n"
     "--verify reads all of it again: exit status 2 when a file is missing or damaged, which is\n"
     "then named.\n",
     OPTIONS(backup_options), 1, 1, backup_run},
    {"restore", "DIR", "write the records of a backup into an empty cluster of any shape",
     "All of the backup is read and verified before the first record is written. What expires\n"
     "goes on with the time that is left of it; what has expired is left out and counted. A\n"
     "failure stops it and says how to go on: to write a record twice does no harm. Records get\n"
     "new versions; entities keep their ids.\n",
     OPTIONS(restore_options), 1, 1, restore_run},
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
    {"map recover", "", "put bootstrapd's map together again from what the servers hold",
     "For a bootstrapd whose directory is an old copy: it changes nothing, and status says so. If\n"
     "the newer directory is there, use that instead; after this one it must never be started.\n"
     "Waiting moves are given up; those that had begun go on. A server that did not answer and\n"
     "comes back follows the new map.\n",
     OPTIONS(map_recover_options), 0, 0, map_commands_recover},
    {"map log", "", "print who changed what in the map, and when",
     "The last thousand changes, the oldest first.\n", OPTIONS(map_log_options), 0, 0, map_log},
    {"shard list", "", "print all shards: bounds, server, records, bytes, size", NULL, NO_OPTIONS,
     0, 0, shard_list},
    {"shard resize", "NAME SIZE", "set how many bytes a shard may hold", NULL, NO_OPTIONS, 2, 2,
     shard_resize},
    {"shard reset", "NAME", "let a shard whose data is lost start with what is there",
     "What its server had reserved for ids is given up, too: first see that its clock is right, "
     "or\n"
     "ids can come again.\n",
     OPTIONS(shard_reset_options), 1, 1, shard_reset},
    {"server add", "HOST:PORT", "make an empty server known; it gets what is moved to it",
     "See rebalance: without --capacity all servers are to have the same.\n",
     OPTIONS(server_add_options), 1, 1, server_add},
    {"server list", "", "print all servers, those that own nothing, too", NULL, NO_OPTIONS, 0, 0,
     server_list},
    {"server drain", "SERVER", "move everything off a server, and nothing to it",
     "SERVER is its address or its id. The moves begin by themselves: see moves.\n",
     OPTIONS(server_drain_options), 1, 1, server_drain},
    {"server remove", "SERVER", "forget a server that owns nothing", NULL, NO_OPTIONS, 1, 1,
     server_remove},
    {"server set-address", "SERVER HOST:PORT", "tell where a server is to be found from now on",
     NULL, NO_OPTIONS, 2, 2, server_set_address},
    {"move pause", "MOVE", "let a move stand; changes go on", NULL, NO_OPTIONS, 1, 1, move_pause},
    {"move resume", "MOVE", "let a paused move go on", NULL, NO_OPTIONS, 1, 1, move_resume},
    {"move abort", "MOVE", "give up a move that is not decided: nothing has moved then", NULL,
     NO_OPTIONS, 1, 1, move_abort},
    {"move undo", "MOVE", "give the range back, as long as the target has not opened it",
     "For a target that has gone after the decision. If it never answers again, --accept-loss.\n",
     OPTIONS(move_undo_options), 1, 1, move_undo},
    {"move throttle", "MOVE RATE", "let a move take at most so many bytes a second; 0: no limit",
     NULL, NO_OPTIONS, 2, 2, move_throttle},
    {"move", "SHARD", "move a shard, or a part of it, to another server while it serves",
     "All of it unless --part, --from or --until say less; a part is made a shard of its own. It\n"
     "waits for its end and shows how far it is; Ctrl-C leaves it going. With --json an object\n"
     "for each look. Exit status 4 when it came to nothing: the shard is where it was.\n",
     OPTIONS(move_options), 1, 1, move_start},
    {"moves", "", "print the moves that wait or go on", NULL, OPTIONS(moves_options), 0, 0,
     moves_list},
    {"rebalance", "", "print what would have to move so that each server has its share",
     "By capacity; equal shares where none is told. A server within 5 % of it is left alone.\n"
     "With --run bootstrapd does it, each server in one move at a time, and goes on after any\n"
     "crash. Ctrl-C stops the looking on, --stop the moves that have not begun.\n",
     OPTIONS(rebalance_options), 0, 0, rebalance_run},
    {"ping", "[ADDR]", "measure the way to each daemon and back", NULL, NO_OPTIONS, 0, 1, ping_all},
    {"bench", "WORKLOAD", "measure how fast the cluster is; writes over its records",
     "read, write, mixed: of uniform keys; ycsb-a ... ycsb-f: YCSB's. Keys are 0000000000000000,\n"
     "0000000000000001, ...: never in a cluster that has records of such names. It loads, warms "
     "up\n"
     "and measures; Ctrl-C ends it with what was measured. Times are in microseconds.\n"
     "mint: ids, of which none may come twice; put: entities of --value-size bytes, which stay.\n"
     "Neither loads anything; what mints goes after its logical shard when that moves.\n"
     "rebalance [mixed|read|write|idle]: moves a range while it measures, --seconds before and "
     "after,\n"
     "and reads all back: what was acknowledged and is gone is lost, what was done twice doubled. "
     "Its\n"
     "keys begin with r, --connections (16 deep unless told) are to each server. --redis is one of "
     "a\n"
     "Redis Cluster there, which redis-cli reshards.\n",
     OPTIONS(bench_options), 1, 2, bench_run},
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
     "can be read; if it cannot be read at all, --without-tree keeps what the log has. If no\n"
     "checkpoint of the log can be read, the server begins with the tree, and says up to which "
     "stamp\n"
     "that has all.\n",
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
