/* SPDX-License-Identifier: MIT */
#include "tests/torture/tortures.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/clock.h"
#include "libclient/shardkv.h"
#include "proto/map.h"
#include "proto/pack.h"
#include "proto/point.h"
#include "tests/torture/cluster.h"
#include "tests/torture/crowd.h"
#include "tests/torture/visitors.h"

/*
 * Real records, moved to and fro between three servers as an operator moves them, while clients read and write:
 *
 *     Debian's package index ─> import ─> a sum of it
 *         ─> shardkv move, one after another: a shard, its end (--part), what lies between bounds (--from, --until);
 *            meanwhile visitors read the index and write keys of their own, and a crowd is at some keys, in rounds
 *         ─> every acknowledged write is there, each key's history is linearizable ─> export ─> the same sum
 *
 * Nobody dies and nothing is cut: every move is done, and no call of a client fails. Where apt knows no packages, those
 * that are installed are the index. Runs in the repository's root, with jq.
 */

enum {
    CALL_TIMEOUT_MS = 10000,
    TICK_US = 5000,
    COMMAND_LEN = 1024,
    OPTIONS_LEN = 96,
    SUM_LEN = 65
};
enum { KEY_COUNT = 60, CROWD_THREADS = 4, MOVES_PER_ROUND = 10 };

/* From so many shards on they are moved whole, and so is what is narrower. */
enum { SHARDS_MAX = 24 };
#define WIDTH_MIN (BOUND_END / 64)

/* A command takes no longer, or never ends. */
#define PATIENCE_US UINT64_C(120000000)

enum form { FORM_WHOLE, FORM_PART, FORM_FROM, FORM_UNTIL, FORM_BETWEEN, FORMS };

struct index {
    struct scene scene;
    struct cluster cluster;
    struct dice dice;
    struct skv *kv;
    struct visitors *visitors;
    struct crowd *crowd;
    char crowd_name[32];
    char addresses[CLUSTER_ADDRESSES_LEN];
    char sum[SUM_LEN], sum_after[SUM_LEN];
    uint32_t move_count, done_count, form_count[FORMS];
    uint32_t shards_most;
    uint32_t operation_count;
    uint32_t violation_count;
    struct crowd_totals totals;
};

static void fail(struct index *index, const char *what)
{
    printf("# VIOLATION: SEED=%" PRIu64 ", after %u moves: %s\n", index->scene.seed,
           index->done_count, what);
    index->violation_count++;
}

/* --- commands --- */

/* What each of them finds: the programs, the cluster, and the scratch folder. */
static void set_environment(const struct index *index)
{
    char path[SCENE_PATH_LEN + 4096];
    const char *shardd = index->scene.shardd;
    const char *before = getenv("PATH");
    (void)snprintf(path, sizeof(path), "%.*s:%s", (int)(strrchr(shardd, '/') - shardd), shardd,
                   before ? before : "/usr/bin:/bin");
    (void)setenv("PATH", path, 1);
    (void)setenv("AT", index->scene.home, 1);
    (void)setenv("SHARDKV_BOOTSTRAP", index->cluster.daemons[CLUSTER_BOOTSTRAPD].address, 1);
}

static pid_t spawn(const char *command)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Meanwhile daemons that end by themselves are noticed. False: one has, or it took too long. */
static bool await(struct index *index, pid_t pid, int *status)
{
    uint64_t deadline_us = clock_mono_us() + PATIENCE_US;
    while (waitpid(pid, status, WNOHANG) == 0) {
        bool are_up = cluster_hear(&index->cluster);
        if (!are_up || clock_mono_us() > deadline_us) {
            fail(index, are_up ? "a command does not end" : "a daemon has ended by itself");
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, status, 0);
            return false;
        }
        usleep(TICK_US);
    }
    return true;
}

/* `format`: a shell command. False: it failed, which is a violation. */
static bool run(struct index *index, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool run(struct index *index, const char *format, ...)
{
    char command[COMMAND_LEN];
    int status = -1;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    (void)fflush(stdout);
    pid_t pid = spawn(command);
    bool is_done = pid > 0 && await(index, pid, &status) && status == 0;
    if (!is_done) {
        fail(index, command);
    }
    return is_done;
}

/* --- the index --- */

/* Order and spelling apart: each line in one form, sorted. */
#define SUM_OF "jq -cS . | LC_ALL=C sort | sha256sum | cut -c1-64"

static bool read_sum(const struct index *index, const char *name, char sum[SUM_LEN])
{
    char path[SCENE_PATH_LEN + 32];
    (void)snprintf(path, sizeof(path), "%s/%s", index->scene.home, name);
    FILE *file = fopen(path, "re");
    bool is_read = file && fgets(sum, SUM_LEN, file) && strlen(sum) == SUM_LEN - 1;
    if (file) {
        (void)fclose(file);
    }
    return is_read;
}

/* `stanza_max`: of its beginning; 0: all. */
static bool make_index(struct index *index, uint32_t stanza_max)
{
    return run(index,
               "apt-cache dumpavail 2>/dev/null | "
               "awk -v RS= -v ORS='\\n\\n' -v n=%u 'n && NR > n { exit } 1' | "
               "tests/cluster/packages_to_jsonl >$AT/index.jsonl; [ -s $AT/index.jsonl ] || "
               "tests/cluster/packages_to_jsonl </var/lib/dpkg/status >$AT/index.jsonl; "
               "echo \"# $(wc -l <$AT/index.jsonl) stanzas\"; [ -s $AT/index.jsonl ]",
               stanza_max) &&
           run(index, "<$AT/index.jsonl " SUM_OF " >$AT/index.sum") &&
           read_sum(index, "index.sum", index->sum);
}

static bool import_index(struct index *index)
{
    return run(index, "shardkv import $AT/index.jsonl >$AT/import.out 2>&1 || "
                      "{ sed 's/^/# /' $AT/import.out; false; }");
}

/* What is not a visitor's or of the crowd: their keys begin with an underscore, as no package does. */
static void compare_export(struct index *index)
{
    if (!run(index, "shardkv --timeout 30000 export $AT/exported.jsonl >$AT/export.out 2>&1 && "
                    "grep -v '^{\"key\":\"_' $AT/exported.jsonl | " SUM_OF " >$AT/after.sum") ||
        !read_sum(index, "after.sum", index->sum_after)) {
        fail(index, "no export");
    } else if (strcmp(index->sum, index->sum_after) != 0) {
        (void)run(index, "jq -cS . $AT/index.jsonl | LC_ALL=C sort >$AT/before; "
                         "grep -v '^{\"key\":\"_' $AT/exported.jsonl | jq -cS . | LC_ALL=C sort | "
                         "diff $AT/before - | cut -c1-200 | head -n 40 | sed 's/^/# /'");
        fail(index, "the export is not the index");
    }
}

/* --- moves --- */

static bool get_map(struct index *index, struct map *map)
{
    struct skv_record record = {0};
    struct map_error error;
    const char *bootstrapd = index->cluster.daemons[CLUSTER_BOOTSTRAPD].address;
    bool is_told = skv_request(index->kv, bootstrapd, "map.get",
                               (struct skv_value){.type = SKV_NIL}, 0, &record) == SKV_OK;
    struct unpack in = unpack_of(bytes_of(record.encoded.data, record.encoded.len));
    is_told = is_told && map_unpack(&in, map, &error);
    skv_record_fini(&record);
    if (!is_told) {
        fail(index, "bootstrapd does not tell the map");
    }
    return is_told;
}

static const char *draw_target(struct index *index, const struct map_entry *entry)
{
    uint32_t lot = dice_below(&index->dice, CLUSTER_SERVERS - 1);
    uint32_t owner = 0;
    while (owner + 1 < CLUSTER_SERVERS &&
           index->cluster.daemons[owner].server.port != entry->address.port) {
        owner++;
    }
    return index->cluster.daemons[(owner + 1 + lot) % CLUSTER_SERVERS].address;
}

static enum form draw_form(struct index *index, const struct map *map,
                           const struct map_entry *entry)
{
    bool may_split = map->entry_count < SHARDS_MAX && entry->end - entry->start >= WIDTH_MIN;
    /* Whole ones are as frequent as all others with bounds. */
    static const enum form forms[] = {FORM_WHOLE, FORM_WHOLE, FORM_WHOLE, FORM_PART,   FORM_PART,
                                      FORM_PART,  FORM_FROM,  FORM_UNTIL, FORM_BETWEEN};
    enum form form = forms[dice_below(&index->dice, sizeof(forms) / sizeof(forms[0]))];
    return may_split ? form : FORM_WHOLE;
}

/* The options that say which part. */
static void print_form(struct index *index, const struct map_entry *entry, enum form form,
                       char options[OPTIONS_LEN])
{
    char from[BOUND_TEXT_LEN];
    char until[BOUND_TEXT_LEN];
    uint64_t width = entry->end - entry->start;
    bound_print(entry->start + width / 1000 * (1 + dice_below(&index->dice, 499)), from);
    bound_print(entry->end - width / 1000 * (1 + dice_below(&index->dice, 499)), until);
    switch (form) {
    case FORM_PART:
        (void)snprintf(options, OPTIONS_LEN, "--part 0.%02u", 5 + dice_below(&index->dice, 90));
        break;
    case FORM_FROM:
        (void)snprintf(options, OPTIONS_LEN, "--from %s", from);
        break;
    case FORM_UNTIL:
        (void)snprintf(options, OPTIONS_LEN, "--until %s", until);
        break;
    case FORM_BETWEEN:
        (void)snprintf(options, OPTIONS_LEN, "--from %s --until %s", from, until);
        break;
    case FORM_WHOLE:
    case FORMS:
        options[0] = '\0';
        break;
    }
}

/* One in three slowly, so that much is written behind its hand. */
static void add_rate(struct index *index, char options[OPTIONS_LEN])
{
    if (dice_below(&index->dice, 3) == 0) {
        size_t len = strlen(options);
        (void)snprintf(options + len, OPTIONS_LEN - len, " --rate %uMB",
                       5 + dice_below(&index->dice, 20));
    }
}

/* False: it came to nothing, or nobody answers. */
static bool move_one(struct index *index)
{
    struct map map = {0};
    char options[OPTIONS_LEN];
    if (!get_map(index, &map)) {
        return false;
    }
    const struct map_entry *entry = &map.entries[dice_below(&index->dice, map.entry_count)];
    enum form form = draw_form(index, &map, entry);
    print_form(index, entry, form, options);
    add_rate(index, options);
    bool is_done = run(index,
                       "shardkv --json move %s --to %s %s >$AT/move.out 2>&1 || "
                       "{ tail -n 2 $AT/move.out | sed 's/^/# /'; false; } && "
                       "tail -n 1 $AT/move.out >>$AT/moves.jsonl",
                       entry->name, draw_target(index, entry), options);
    index->shards_most =
        map.entry_count > index->shards_most ? map.entry_count : index->shards_most;
    index->form_count[form] += is_done;
    index->done_count += is_done;
    map_fini(&map);
    return is_done;
}

/* --- the load --- */

static void start_crowd(struct index *index, uint32_t round)
{
    (void)snprintf(index->crowd_name, sizeof(index->crowd_name), "_round-%u", round);
    const struct crowd_config config = {
        .addresses = index->addresses,
        .name = index->crowd_name,
        .seed = index->scene.seed * 10000 + round,
        .key_count = KEY_COUNT,
        .thread_count = CROWD_THREADS,
        .timeout_ms = CALL_TIMEOUT_MS,
    };
    index->crowd = crowd_start(&config);
}

static void end_crowd(struct index *index)
{
    crowd_stop(index->crowd);
    (void)crowd_read_all(index->crowd);
    if (!crowd_is_explained(index->crowd, &index->operation_count)) {
        fail(index, "the history of a key");
    }
    if (crowd_violation(index->crowd)[0]) {
        fail(index, crowd_violation(index->crowd));
    }
    crowd_add_totals(index->crowd, &index->totals);
    crowd_free(index->crowd);
    index->crowd = NULL;
}

static void move_all(struct index *index)
{
    for (uint32_t i = 0; i < index->move_count && index->violation_count == 0;) {
        uint32_t left = index->move_count - i;
        uint32_t count = left < MOVES_PER_ROUND ? left : MOVES_PER_ROUND;
        start_crowd(index, i);
        for (uint32_t end = i + count; i < end && move_one(index); i++) {
        }
        end_crowd(index);
        if (visitors_violation(index->visitors)[0]) {
            fail(index, visitors_violation(index->visitors));
        }
    }
}

static void check_visitors(struct index *index)
{
    visitors_stop(index->visitors);
    visitors_read_own(index->visitors);
    if (visitors_violation(index->visitors)[0] && index->violation_count == 0) {
        fail(index, visitors_violation(index->visitors));
    }
}

/* --- --- */

static bool begin(struct index *index)
{
    const struct skv_options options = {.timeout_ms = CALL_TIMEOUT_MS};
    const struct daemon *daemons = index->cluster.daemons;
    cluster_init(&index->cluster, &index->scene);
    if (!cluster_start(&index->cluster) ||
        skv_open(daemons[CLUSTER_BOOTSTRAPD].address, &options, &index->kv) != SKV_OK) {
        fail(index, "the cluster does not start");
        return false;
    }
    set_environment(index);
    cluster_print_addresses(&index->cluster, index->addresses);
    return true;
}

static void print_total(const struct index *index)
{
    struct visitors_totals visited = {0};
    const uint32_t *forms = index->form_count;
    if (index->visitors) {
        visitors_get_totals(index->visitors, &visited);
    }
    uint64_t longest_us = visited.longest_us > index->totals.longest_us ? visited.longest_us
                                                                        : index->totals.longest_us;
    printf("# sha256 before: %s\n# sha256 after:  %s\n", index->sum, index->sum_after);
    printf(
        "# total: %u of %u moves done: %u whole, %u --part, %u --from, %u --until, %u both; up "
        "to %u shards; %" PRIu64 " reads of the index, %" PRIu64
        " writes acknowledged, their %" PRIu64 " keys there; %u operations checked: %" PRIu64
        " done, %" PRIu64 " not, %" PRIu64 " unknown, the longest took %" PRIu64 " ms; %u faults\n",
        index->done_count, index->move_count, forms[FORM_WHOLE], forms[FORM_PART], forms[FORM_FROM],
        forms[FORM_UNTIL], forms[FORM_BETWEEN], index->shards_most, visited.read, visited.wrote,
        visited.kept, index->operation_count, index->totals.done, index->totals.unavailable,
        index->totals.unknown, longest_us / 1000, index->violation_count);
}

static void print_moves(struct index *index)
{
    (void)run(
        index,
        "jq -rs '\"# moved: \\(map(.records) | add) records, \\(map(.bytes) | add) bytes; longest "
        "holds: median \\(map(.longest_hold_ms) | sort[length / 2 | floor]) ms, at most "
        "\\(map(.longest_hold_ms) | max) ms\"' $AT/moves.jsonl");
}

static void keep(const struct index *index)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "index-%" PRIu64, index->scene.seed);
    scene_keep(&index->scene, "*", name);
}

int torture_index(uint64_t seed, uint32_t move_count, uint32_t stanza_max)
{
    static struct index index;
    index = (struct index){.dice = {seed}, .move_count = move_count};
    scene_init(&index.scene, seed, false);
    if (begin(&index) && make_index(&index, stanza_max) && import_index(&index)) {
        index.visitors = visitors_start(index.kv, index.addresses, seed, CALL_TIMEOUT_MS);
        if (index.visitors) {
            move_all(&index);
            check_visitors(&index);
            compare_export(&index);
            print_moves(&index);
        } else {
            fail(&index, "the index cannot be read");
        }
    }
    print_total(&index);
    tap_result(&index.scene.tap, index.violation_count == 0,
               "moves under load: the package index is as it was, and what was written is there");
    visitors_free(index.visitors);
    skv_close(index.kv);
    cluster_end(&index.cluster);
    if (index.violation_count) {
        keep(&index);
    }
    return scene_end(&index.scene);
}
