/* SPDX-License-Identifier: MIT */

/*
 * Uses the installed library as a stranger would, and prints what it saw:
 *
 *     cc stranger.c $(pkg-config --cflags --libs shardkv) && ./a.out 127.0.0.1:5040
 *
 * It keeps to what C and C++ have in common. Its keys begin with "stranger/", its entities are of kind 4711; it
 * removes both.
 * Exits 0 when all went as the header says.
 */

#include <shardkv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 100
#define KIND  4711

/* {"n": 7} */
static const unsigned char DOCUMENT[] = {0x81, 0xa1, 0x6e, 0x07};
static const unsigned char OTHER_DOCUMENT[] = {0x81, 0xa1, 0x6e, 0x08};

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

static void take_an_id_apart(void)
{
    const uint64_t known = UINT64_C(307821103844175873);
    uint64_t id = 0;
    if (skv_id_shard(known) != 12 || skv_id_sequence(known) != 1 ||
        skv_id_created_ms(known, 0) != UINT64_C(1416060666450)) {
        fail("a known id is taken apart wrongly");
    }
    if (!skv_id_compose(UINT64_C(1416060666450), 12, 1, 0, &id) || id != known ||
        skv_id_compose(UINT64_C(1416060666450), SKV_SHARD_COUNT, 1, 0, &id) || id != known) {
        fail("a known id is composed wrongly");
    }
}

static void mint(struct skv *kv, uint32_t shard, size_t id_count)
{
    static uint64_t ids[100000];
    expect("mint", skv_mint(kv, shard, ids, id_count, NULL), SKV_OK);
    for (size_t i = 0; i < id_count; i++) {
        if ((i > 0 && ids[i] <= ids[i - 1]) ||
            (shard < SKV_SHARD_COUNT && skv_id_shard(ids[i]) != shard)) {
            fail("minted ids do not grow, or are of another shard");
        }
    }
    printf("mint: %lu ids, the last of %llu ms since 1970\n", (unsigned long)id_count,
           (unsigned long long)skv_id_created_ms(ids[id_count - 1], skv_origin_ms(kv)));
}

static void expect_document(const struct skv_record *rec, uint64_t id,
                            const unsigned char *document)
{
    if (rec->id != id || rec->kind != KIND || rec->encoded.len != sizeof(DOCUMENT) ||
        memcmp(rec->encoded.data, document, sizeof(DOCUMENT)) != 0) {
        fail("what was got is not what was put");
    }
}

static void use_one_entity(struct skv *kv)
{
    struct skv_value document = skv_msgpack(DOCUMENT, sizeof(DOCUMENT));
    struct skv_value other = skv_msgpack(OTHER_DOCUMENT, sizeof(OTHER_DOCUMENT));
    struct skv_record rec;
    struct skv_call call;
    uint8_t memory[SKV_ID_KEY_LEN];
    uint64_t id = 0;
    memset(&rec, 0, sizeof(rec));
    memset(&call, 0, sizeof(call));
    call.table = "entities";
    expect("put", skv_entity_put(kv, 12, KIND, document, NULL, &id), SKV_OK);
    printf("put: id %llu of logical shard %u\n", (unsigned long long)id, skv_id_shard(id));
    expect("get", skv_entity_get(kv, id, NULL, &rec), SKV_OK);
    expect_document(&rec, id, DOCUMENT);
    expect("update", skv_entity_update(kv, id, other, NULL, &rec), SKV_OK);
    expect("read by its key", skv_read(kv, skv_key_of_id(id, memory), &call, &rec), SKV_OK);
    expect_document(&rec, id, OTHER_DOCUMENT);
    expect("delete entity", skv_entity_delete(kv, id, NULL), SKV_OK);
    expect("delete entity again", skv_entity_delete(kv, id, NULL), SKV_NOT_FOUND);
    expect("get after delete", skv_entity_get(kv, id, NULL, &rec), SKV_NOT_FOUND);
    expect("update after delete", skv_entity_update(kv, id, other, NULL, NULL), SKV_NOT_FOUND);
    expect("put beside a key",
           skv_entity_put(kv, skv_shard_of_key(skv_key("stranger/one")), KIND, document, NULL, &id),
           SKV_OK);
    expect("delete entity", skv_entity_delete(kv, id, NULL), SKV_OK);
    expect("put of no map", skv_entity_put(kv, 12, KIND, skv_int(1), NULL, &id), SKV_INVALID);
    expect("put into no shard", skv_entity_put(kv, SKV_SHARD_COUNT, KIND, document, NULL, &id),
           SKV_INVALID);
    skv_record_fini(&rec);
}

static void put_batch(struct skv_batch *batch, uint64_t *ids)
{
    for (int i = 0; i < ITEMS; i++) {
        skv_batch_entity_put(batch, SKV_SHARD_ANY, KIND, skv_msgpack(DOCUMENT, sizeof(DOCUMENT)),
                             NULL);
    }
    expect("batch of puts", skv_batch_run(batch), SKV_OK);
    for (size_t i = 0; i < ITEMS; i++) {
        ids[i] = skv_batch_record(batch, i)->id;
    }
    skv_batch_clear(batch);
}

static void scan_entities(struct skv *kv, uint16_t kind, int wanted)
{
    struct skv_scan *scan = NULL;
    struct skv_scan_options options;
    const struct skv_record *rec;
    int seen = 0;
    memset(&options, 0, sizeof(options));
    options.table = "entities";
    options.has_kind = true;
    options.kind = kind;
    expect("scan by kind", skv_scan_open(kv, &options, &scan), SKV_OK);
    while ((rec = skv_scan_next(scan)) != NULL) {
        expect_document(rec, rec->id, DOCUMENT);
        seen++;
    }
    expect("scan by kind to the end", skv_scan_close(scan), SKV_OK);
    printf("scan: %d of kind %u\n", seen, kind);
    if (seen != wanted) {
        fail("the scan saw another number of entities than were put");
    }
}

static void use_many_entities(struct skv *kv, struct skv_batch *batch)
{
    uint64_t ids[ITEMS];
    put_batch(batch, ids);
    scan_entities(kv, KIND, ITEMS);
    scan_entities(kv, KIND + 1, 0);
    for (int i = 0; i < ITEMS; i++) {
        skv_batch_entity_get(batch, ids[i], NULL);
    }
    expect("batch of gets", skv_batch_run(batch), SKV_OK);
    for (size_t i = 0; i < ITEMS; i++) {
        expect_document(skv_batch_record(batch, i), ids[i], DOCUMENT);
    }
    skv_batch_clear(batch);
    for (int i = 0; i < ITEMS; i++) {
        skv_batch_entity_delete(batch, ids[i], NULL);
    }
    expect("batch of deletes", skv_batch_run(batch), SKV_OK);
    skv_batch_clear(batch);
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
    take_an_id_apart();
    mint(kv, 12, 1);
    mint(kv, 8191, 70000);
    mint(kv, SKV_SHARD_ANY, 1000);
    use_one_entity(kv);
    use_many_entities(kv, batch);
    ask(kv);
    skv_batch_free(batch);
    skv_close(kv);
    return 0;
}
