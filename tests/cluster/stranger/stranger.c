/* SPDX-License-Identifier: MIT */

/*
 * Uses the installed library as a stranger would, and prints what it saw:
 *
 *     cc stranger.c $(pkg-config --cflags --libs shardkv) && ./a.out 127.0.0.1:5040
 *
 * It keeps to what C and C++ have in common. Its keys begin with "stranger/"; it removes them.
 * Exits 0 when all went as the header says.
 */

#include <shardkv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 100

static void fail(const char *what)
{
    (void)fprintf(stderr, "stranger: %s: %s: %s\n", what, skv_status_name(skv_error()->status),
                  skv_error()->text);
    exit(1);
}

static void expect(const char *what, enum skv_status got, enum skv_status wanted)
{
    if (got != wanted) {
        (void)fprintf(stderr, "stranger: %s: wanted %s, got %s\n", what, skv_status_name(wanted),
                      skv_status_name(got));
        fail(what);
    }
    printf("%s: %s\n", what, skv_status_name(got));
}

static void use_one_key(struct skv *kv)
{
    struct skv_bytes key = skv_key("stranger/one");
    struct skv_record rec;
    struct skv_call only_new;
    memset(&rec, 0, sizeof(rec));
    memset(&only_new, 0, sizeof(only_new));
    only_new.if_absent = true;
    expect("write", skv_write(kv, key, skv_text("hello world"), NULL, &rec), SKV_OK);
    uint64_t version = rec.version;
    expect("read", skv_read(kv, key, NULL, &rec), SKV_OK);
    if (rec.value.type != SKV_STR || rec.value.bytes.len != 11 || rec.version != version ||
        memcmp(rec.value.bytes.data, "hello world", 11) != 0) {
        fail("what was read is not what was written");
    }
    printf("read: \"%.*s\" at %.3f of the circle\n", (int)rec.value.bytes.len,
           (const char *)rec.value.bytes.data, skv_fraction(rec.point));
    expect("write if absent", skv_write(kv, key, skv_int(1), &only_new, NULL), SKV_CONDITION);
    if (skv_error()->version != version) {
        fail("the condition names another version");
    }
    expect("exists", skv_exists(kv, key, NULL), SKV_OK);
    expect("pop", skv_pop(kv, key, NULL, &rec), SKV_OK);
    expect("pop again", skv_pop(kv, key, NULL, &rec), SKV_NOT_FOUND);
    expect("exists after pop", skv_exists(kv, key, NULL), SKV_NOT_FOUND);
    skv_record_fini(&rec);
}

static void count(struct skv *kv)
{
    struct skv_bytes key = skv_key("stranger/counter");
    int64_t sum = 0;
    expect("incr", skv_incr(kv, key, 40, NULL, &sum), SKV_OK);
    expect("incr", skv_incr(kv, key, 2, NULL, &sum), SKV_OK);
    printf("incr: %lld\n", (long long)sum);
    if (sum != 42) {
        fail("40 and 2 are not 42");
    }
    expect("delete", skv_delete(kv, key, NULL), SKV_OK);
    expect("delete again", skv_delete(kv, key, NULL), SKV_NOT_FOUND);
}

static void print_key(char *text, size_t size, int i)
{
    (void)snprintf(text, size, "stranger/batch/%d", i);
}

static void write_batch(struct skv_batch *batch)
{
    char key[64];
    for (int i = 0; i < ITEMS; i++) {
        print_key(key, sizeof(key), i);
        skv_batch_write(batch, skv_key(key), skv_int(i), NULL);
    }
    expect("batch of writes", skv_batch_run(batch), SKV_OK);
    skv_batch_clear(batch);
}

static void read_batch(struct skv_batch *batch)
{
    char key[64];
    for (int i = 0; i < ITEMS; i++) {
        print_key(key, sizeof(key), i);
        skv_batch_read(batch, skv_key(key), NULL);
    }
    expect("batch of reads", skv_batch_run(batch), SKV_OK);
    for (size_t i = 0; i < skv_batch_count(batch); i++) {
        const struct skv_record *rec = skv_batch_record(batch, i);
        if (skv_batch_status(batch, i) != SKV_OK || !rec || rec->value.type != SKV_INT ||
            rec->value.integer != (int64_t)i) {
            fail(skv_batch_text(batch, i));
        }
    }
    skv_batch_clear(batch);
}

static void delete_batch(struct skv_batch *batch)
{
    char key[64];
    for (int i = 0; i < ITEMS; i++) {
        print_key(key, sizeof(key), i);
        skv_batch_delete(batch, skv_key(key), NULL);
    }
    expect("batch of deletes", skv_batch_run(batch), SKV_OK);
    skv_batch_clear(batch);
}

static void scan(struct skv *kv)
{
    struct skv_scan *scan = NULL;
    struct skv_scan_options options;
    char cursor[2048] = "";
    int seen = 0;
    memset(&options, 0, sizeof(options));
    options.prefix = skv_key("stranger/batch/");
    expect("scan", skv_scan_open(kv, &options, &scan), SKV_OK);
    while (seen < ITEMS / 2 && skv_scan_next(scan) != NULL) {
        seen++;
        (void)snprintf(cursor, sizeof(cursor), "%s", skv_scan_cursor(scan));
    }
    expect("scan left half-way", skv_scan_close(scan), SKV_OK);
    options.cursor = cursor;
    expect("scan from its cursor", skv_scan_open(kv, &options, &scan), SKV_OK);
    while (skv_scan_next(scan) != NULL) {
        seen++;
    }
    expect("scan to the end", skv_scan_close(scan), SKV_OK);
    printf("scan: %d records\n", seen);
    if (seen != ITEMS) {
        fail("the scan saw another number of records than were written");
    }
}

static void ask(struct skv *kv)
{
    struct skv_record rec;
    struct skv_value none;
    memset(&rec, 0, sizeof(rec));
    memset(&none, 0, sizeof(none));
    expect("ping", skv_request(kv, NULL, "ping", none, 0, &rec), SKV_OK);
    if (rec.value.type != SKV_NIL) {
        fail("ping brought something");
    }
    expect("unknown method", skv_request(kv, NULL, "no.such", none, 0, &rec), SKV_INVALID);
    skv_record_fini(&rec);
}

int main(int argc, char **argv)
{
    struct skv *kv = NULL;
    printf("libshardkv %s\n", skv_version());
    expect("open", skv_open(argc > 1 ? argv[1] : "127.0.0.1:5040", NULL, &kv), SKV_OK);
    struct skv_batch *batch = skv_batch_new(kv);
    if (!batch) {
        fail("no memory");
    }
    use_one_key(kv);
    count(kv);
    write_batch(batch);
    read_batch(batch);
    scan(kv);
    delete_batch(batch);
    ask(kv);
    skv_batch_free(batch);
    skv_close(kv);
    return 0;
}
