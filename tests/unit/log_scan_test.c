/* SPDX-License-Identifier: MIT */
#include "proto/log_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "proto/endian.h"
#include "tests/unit/dice.h"
#include "tests/unit/log_builder.h"

enum { SECTOR_LEN = 512, SEGMENT_FIELDS_END = 120 };

#define SEGMENT_LEN (8u << 10)

static enum log_verdict scan(const struct build *build, struct build_found *found)
{
    return build_scan(build, build->segment_count, 0, found);
}

/* A checkpoint and a put, both durable. */
static struct build begun(void)
{
    struct build build = {.last = 1000};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    build_put(&build, 10);
    build_sync(&build);
    return build;
}

/* Three segments, with every type of record, stopped. */
static struct build stopped(void)
{
    struct build build = begun();
    for (unsigned i = 1; i < 3; i++) {
        build_put(&build, 100 + i);
        build_put(&build, 33);
        build_sync(&build);
        build_marker(&build, 0);
        build_sync(&build);
        buffer_append(&build.payload, "\1 state", 7);
        build_record(&build, LOG_CONTROL, 1, 0, 0);
        build_segment(&build, SEGMENT_LEN, NULL, 0);
        build_checkpoint(&build);
    }
    build_put(&build, 77);
    build_sync(&build);
    build_marker(&build, 0);
    build_sync(&build);
    build_checkpoint(&build);
    build_sync(&build);
    build_marker(&build, LOG_IS_STOP);
    return build;
}

static void a_stopped_log_is_fine_and_told_in_order(void **state)
{
    (void)state;
    struct build build = stopped();
    struct build_found found = {0};
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.accepted, build.record_count);
    assert_int_equal(found.scan.segment_count, 3);
    assert_true(found.scan.is_stopped);
    assert_int_equal(found.scan.last, build.last);
    assert_int_equal(found.scan.durable, build.last);
    assert_int_equal(found.scan.chain, build.chain);
    assert_int_equal(found.scan.end, build_last(&build)->end);
    assert_int_equal(found.scan.proven_last, build.last);
    build_fini(&build);
}

static void a_log_that_just_ends_is_fine_but_not_stopped(void **state)
{
    (void)state;
    struct build build = begun();
    build_put(&build, 10);
    struct build_found found = {0};
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_false(found.scan.is_stopped);
    build_fini(&build);
}

/* --- which durable stamps make it damage --- */

/* x, then a record whose durable stamp is `durable`. */
static enum log_verdict scan_vouched(uint64_t durable, bool is_marker)
{
    struct build build = begun();
    struct build_found found = {0};
    uint32_t x = build.record_count;
    build_put(&build, 10);
    build.durable = durable;
    if (is_marker) {
        build_marker(&build, 0);
    } else {
        build_put(&build, 10);
    }
    build_break(&build, x);
    enum log_verdict verdict = scan(&build, &found);
    assert_int_equal(found.accepted, 2);
    assert_int_equal(found.scan.end, build.records[x].offset);
    build_fini(&build);
    return verdict;
}

static void a_durable_stamp_at_or_above_what_is_missing_is_damage(void **state)
{
    (void)state;
    assert_int_equal(scan_vouched(1000, false), LOG_SCAN_TORN);
    assert_int_equal(scan_vouched(1001, false), LOG_SCAN_TORN);
    assert_int_equal(scan_vouched(1002, false), LOG_SCAN_DAMAGED);
    assert_int_equal(scan_vouched(UINT64_MAX, false), LOG_SCAN_DAMAGED);
}

static void the_trees_durable_stamp_counts_the_same(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    uint64_t last = build.last;
    build_put(&build, 10);
    assert_int_equal(build_scan(&build, 1, last + 1, &found), LOG_SCAN_FINE);
    assert_int_equal(build_scan(&build, 1, last + 2, &found), LOG_SCAN_DAMAGED);
    build_break(&build, build.record_count - 1);
    assert_int_equal(build_scan(&build, 1, last, &found), LOG_SCAN_TORN);
    assert_int_equal(build_scan(&build, 1, last + 1, &found), LOG_SCAN_DAMAGED);
    assert_non_null(strstr(found.text, "offset "));
    build_fini(&build);
}

static void a_record_behind_a_hole_vouches_for_nothing_by_being_there(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    uint32_t x = build.record_count;
    for (unsigned i = 0; i < 5; i++) {
        build_put(&build, 10 + i);
    }
    build_break(&build, x);
    build_break(&build, x + 2);
    assert_int_equal(scan(&build, &found), LOG_SCAN_TORN);
    assert_int_equal(found.accepted, x);
    assert_int_equal(found.scan.end, build.records[x].offset);
    build_fini(&build);
}

/* --- records that take no stamp --- */

static void any_marker_vouches_for_all_before_it(void **state)
{
    (void)state;
    assert_int_equal(scan_vouched(1001, true), LOG_SCAN_DAMAGED);
    assert_int_equal(scan_vouched(1002, true), LOG_SCAN_DAMAGED);
}

static void a_lost_checkpoint_or_marker_is_damage_if_a_marker_stands_behind(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    build_marker(&build, 0);
    build_sync(&build);
    build_checkpoint(&build);
    build_sync(&build);
    build_marker(&build, LOG_IS_STOP);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    for (uint32_t i = 0; i + 1 < build.record_count; i++) {
        build_break(&build, i);
        assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
        assert_int_equal(found.scan.end, build.records[i].offset);
        build_break(&build, i);
    }
    build_break(&build, build.record_count - 1);
    assert_int_equal(scan(&build, &found), LOG_SCAN_TORN);
    build_fini(&build);
}

/* RULES L2: it was synced before its segment had a name. */
static void a_segment_without_its_checkpoint_is_damage(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    uint32_t x = build.record_count;
    build_checkpoint(&build);
    build_put(&build, 10);
    build_break(&build, x);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    assert_int_equal(found.scan.end, LOG_SEGMENT_HEADER_LEN);
    assert_string_equal(found.text, "offset 4096: no whole checkpoint");
    build_fini(&build);
}

static void the_oldest_segments_checkpoint_must_be_there(void **state)
{
    (void)state;
    struct build build = {.last = 1000};
    struct build_found found = {0};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    build_checkpoint(&build);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    build_break(&build, 0);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    build_fini(&build);
}

/* After an unclean start (RULES N2): the checkpoint holds a raised stamp, the tail is torn again. */
static void a_torn_record_behind_a_raised_checkpoint_is_torn(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    uint64_t last = build.last;
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build.raised = last + (UINT64_C(1) << 32);
    build_checkpoint(&build);
    build_sync(&build);
    assert_int_equal(build.durable, last);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.scan.last, last);
    build_put(&build, 10);
    build_put(&build, 10);
    build_break(&build, build.record_count - 2);
    assert_int_equal(scan(&build, &found), LOG_SCAN_TORN);
    assert_int_equal(found.scan.last, last);
    build_sync(&build);
    build_put(&build, 10);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    build_fini(&build);
}

/* RULES L4: copies of what was not proven keep their stamps, below the checkpoint's. */
static void copies_may_stand_behind_a_raised_checkpoint(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    uint64_t last = build.last;
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build.raised = last + (UINT64_C(1) << 32);
    build_checkpoint(&build);
    build.raised = 0;
    uint32_t copy = build.record_count;
    build_put(&build, 10);
    build_sync(&build);
    build.raised = last + (UINT64_C(1) << 32);
    build_put(&build, 10);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.scan.last, last + (UINT64_C(1) << 32));
    build_break(&build, copy);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    build_fini(&build);
}

/* The checkpoint before them tells that all up to the last was synced with it (RULES L4). */
static void copies_that_are_lost_with_their_marker_are_damage(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    uint64_t last = build.last;
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build.raised = last + (UINT64_C(1) << 32);
    build.durable = last + 2;
    build_checkpoint(&build);
    build.raised = 0;
    uint32_t copy = build.record_count;
    build_put(&build, 10);
    build_put(&build, 10);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.scan.proven_last, last + 2);
    build_marker(&build, 0);
    build_break(&build, copy + 2);
    assert_int_equal(scan(&build, &found), LOG_SCAN_TORN);
    build_break(&build, copy + 1);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    assert_int_equal(found.scan.end, build.records[copy + 1].offset);
    build_fini(&build);
}

static void what_has_no_stamp_is_proven_by_a_stamp_behind_it(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    build_put(&build, 10);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.scan.proven_end, LOG_SEGMENT_HEADER_LEN);
    assert_int_equal(found.scan.proven_last, build_last(&build)->header.previous_last);
    build_sync(&build);
    uint64_t proven = build.last, proven_end = build_last(&build)->end;
    build_checkpoint(&build);
    build_put(&build, 10);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.scan.durable, proven);
    assert_int_equal(found.scan.proven_last, proven);
    assert_int_equal(found.scan.proven_end, proven_end);
    build_fini(&build);
}

/* --- segments --- */

static void what_lies_behind_a_sealed_end_is_not_looked_at(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    uint64_t last = build.last, chain = build.chain;
    build_put(&build, 10);
    /* A recovery cut it: the next segment follows the record before. */
    build.last = last;
    build.chain = chain;
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    build_put(&build, 12);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.accepted, build.record_count - 1);
    memset(build.segments[0].bytes + build.records[2].offset, 0xa5, 40);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    build_fini(&build);
}

/* Nothing behind its checkpoint was proven, and recovery copied all of it. */
static void a_segment_may_end_where_it_begins(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    uint64_t last = build.last, chain = build.chain;
    build_checkpoint(&build);
    build_put(&build, 10);
    build.last = last;
    build.chain = chain;
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.scan.segment_count, 3);
    build_fini(&build);
}

static void a_segment_proves_all_before_it(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    build_put(&build, 10);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_true(found.scan.durable < build.last);
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_checkpoint(&build);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.scan.durable, build.last);
    build_fini(&build);
}

static void a_stop_with_something_behind_it_was_none(void **state)
{
    (void)state;
    struct build build = begun();
    struct build_found found = {0};
    build_marker(&build, LOG_IS_STOP);
    build_put(&build, 10);
    build_put(&build, 10);
    build_break(&build, build.record_count - 2);
    assert_int_equal(scan(&build, &found), LOG_SCAN_TORN);
    assert_false(found.scan.is_stopped);
    build_fini(&build);
}

static void a_missing_segment_is_damage(void **state)
{
    (void)state;
    struct build build = stopped();
    struct build_found found = {0};
    struct build without = build;
    without.segments[1] = build.segments[2];
    without.segment_count = 2;
    assert_int_equal(scan(&without, &found), LOG_SCAN_DAMAGED);
    assert_non_null(strstr(found.text, "8, is missing"));

    struct log_scan alone = {0};
    char text[LOG_SCAN_TEXT_LEN];
    struct bytes first = bytes_of(build.segments[0].bytes, SEGMENT_LEN);
    struct bytes third = bytes_of(build.segments[2].bytes, SEGMENT_LEN);
    assert_int_equal(
        log_scan_segment(&alone, first, &build.segments[1].header, 0, NULL, NULL, text),
        LOG_SCAN_FINE);
    assert_int_equal(log_scan_segment(&alone, third, NULL, 0, NULL, NULL, text), LOG_SCAN_DAMAGED);
    build_fini(&build);
}

/* Log salvage could not tell whose it is. */
static void a_segment_of_no_server_may_be_followed_by_one_that_has_its_own(void **state)
{
    (void)state;
    struct build build = stopped();
    struct build_found found = {0};
    struct log_segment_header *header = &build.segments[0].header;
    memset(header->cluster, 0, ID_LEN);
    memset(header->server, 0, ID_LEN);
    log_segment_header_encode(header, build.segments[0].bytes);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    memset(build.segments[2].header.server, 0, ID_LEN);
    log_segment_header_encode(&build.segments[2].header, build.segments[2].bytes);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    build_fini(&build);
}

static void a_segment_of_another_place_is_damage(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct build build = stopped();
        struct build_found found = {0};
        struct log_segment_header *header = &build.segments[1].header;
        header->cluster[0] ^= i == 0;
        header->server[3] ^= i == 1;
        header->previous_last += i == 2;
        header->previous_chain += i == 3;
        log_segment_header_encode(header, build.segments[1].bytes);
        assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
        assert_int_equal(found.segment, i < 2 ? 1 : 0);
        build_fini(&build);
    }
}

static void a_file_of_another_length_is_damage(void **state)
{
    (void)state;
    struct build build = begun();
    struct log_scan found = {0};
    char text[LOG_SCAN_TEXT_LEN];
    for (size_t len = 0; len < SEGMENT_LEN; len++) {
        found = (struct log_scan){0};
        assert_int_equal(log_scan_segment(&found, bytes_of(build.segments[0].bytes, len), NULL, 0,
                                          NULL, NULL, text),
                         LOG_SCAN_DAMAGED);
    }
    build_fini(&build);
}

static void bytes_of_an_earlier_use_are_never_records(void **state)
{
    (void)state;
    struct build old = begun();
    for (unsigned i = 0; i < 9; i++) {
        build_put(&old, 10);
        build_sync(&old);
    }
    struct build build = {.last = old.last};
    struct build_found found = {0};
    build_segment(&build, SEGMENT_LEN, old.segments[0].bytes, SEGMENT_LEN);
    build_checkpoint(&build);
    build_put(&build, 9);
    build_sync(&build);
    assert_int_equal(scan(&build, &found), LOG_SCAN_TORN);
    assert_int_equal(found.accepted, 2);
    build_marker(&build, LOG_IS_STOP);
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    assert_int_equal(found.accepted, 3);
    build_fini(&old);
    build_fini(&build);
}

/* --- what is whole and yet cannot be --- */

static void a_record_that_cannot_stand_there_is_damage(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        struct build build = begun();
        struct build_found found = {0};
        build.last -= i == 0;                   /* a stamp twice */
        build.chain ^= i == 1;                  /* follows another record */
        build.raised = i == 6 ? UINT64_MAX : 0; /* the stamps wrap */
        enum log_type type = i == 2 ? (enum log_type)9 : i == 3 ? LOG_CHECKPOINT : LOG_OPERATIONS;
        build_record(&build, type, i == 4 ? 0 : 1, 0, i == 5 ? 2 : 0);
        assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
        assert_int_equal(found.accepted, 2);
        build_fini(&build);
    }
}

static void a_segment_begins_with_a_checkpoint(void **state)
{
    (void)state;
    struct build build = {.last = 1000};
    struct build_found found = {0};
    build_segment(&build, SEGMENT_LEN, NULL, 0);
    build_put(&build, 10);
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    assert_string_equal(found.text, "offset 4096: the first record is no checkpoint");
    build_fini(&build);
}

static void what_the_visitor_refuses_is_damage(void **state)
{
    (void)state;
    struct build build = stopped();
    struct build_found found = {.refuse_at = 5};
    assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
    assert_int_equal(found.accepted, 5);
    assert_string_equal(found.text, "");
    build_fini(&build);
}

/* --- every byte, every prefix, every subset of sectors --- */

static void every_byte_up_to_the_last_marker_is_looked_at(void **state)
{
    (void)state;
    struct build build = stopped();
    struct build_found found = {0};
    build.segments[2].end = build.records[build.record_count - 1].offset;
    for (uint32_t i = 0; i < build.segment_count; i++) {
        uint8_t *bytes = build.segments[i].bytes;
        for (uint64_t at = 0; at < build.segments[i].end; at++) {
            uint8_t flips[] = {0xff, (uint8_t)(1u << (at & 7)), 0x80};
            for (size_t k = 0; k < sizeof flips; k++) {
                bytes[at] ^= flips[k];
                assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
                assert_int_equal(found.segment, i);
                bytes[at] ^= flips[k];
            }
        }
    }
    assert_int_equal(scan(&build, &found), LOG_SCAN_FINE);
    build_fini(&build);
}

/* Up to `end` of that segment; the zeros behind a record are the same as those that replaced them. */
static uint32_t whole_records(const struct build *build, uint32_t segment, uint64_t end)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < build->record_count; i++) {
        const struct build_record *record = &build->records[i];
        uint64_t padding = record->len - LOG_RECORD_HEADER_LEN - record->header.payload_len;
        count += record->segment < segment ||
                 (record->segment == segment && record->offset + record->len - padding <= end);
    }
    return count;
}

/* Zeros from there on, and the segments behind it gone. */
static uint64_t checkpoint_end(const struct build *build, uint32_t segment)
{
    uint32_t i = 0;
    while (build->records[i].segment < segment) {
        i++;
    }
    return build->records[i].offset + build->records[i].len;
}

static void every_shorter_prefix_is_torn_or_refused(void **state)
{
    (void)state;
    struct build build = stopped();
    for (uint32_t i = 0; i < build.segment_count; i++) {
        uint8_t whole[SEGMENT_LEN];
        memcpy(whole, build.segments[i].bytes, SEGMENT_LEN);
        for (uint64_t at = build.segments[i].end; at-- > 0;) {
            struct build_found found = {0};
            build.segments[i].bytes[at] = 0;
            enum log_verdict verdict = build_scan(&build, i + 1, 0, &found);
            if (verdict == LOG_SCAN_DAMAGED) {
                assert_true(at < checkpoint_end(&build, i));
                continue;
            }
            assert_int_equal(found.accepted, whole_records(&build, i, at));
            assert_int_equal(found.scan.chain, build.records[found.accepted - 1].header.chain);
        }
        memcpy(build.segments[i].bytes, whole, SEGMENT_LEN);
    }
    build_fini(&build);
}

/* Appends and syncs as they come, in files that were used before or not. */
static struct build random_log(struct dice *dice, const uint8_t *old)
{
    struct build build = {.last = 1000};
    uint32_t steps = 1 + dice_below(dice, 60);
    build_segment(&build, SEGMENT_LEN, old, SEGMENT_LEN);
    build_checkpoint(&build);
    build_sync(&build);
    while (steps-- > 0) {
        uint32_t what = dice_below(dice, 10);
        bool is_full = SEGMENT_LEN - build_last(&build)->end < 1400;
        if (is_full && build.segment_count == 4) {
            break;
        }
        if (is_full) {
            build_segment(&build, SEGMENT_LEN, old, SEGMENT_LEN);
            build_checkpoint(&build);
            build_sync(&build);
        } else if (what < 7) {
            build_put(&build, dice_below(dice, dice_below(dice, 4) ? 64 : 1200));
        } else if (what < 9) {
            build_sync(&build);
        } else {
            build_sync(&build);
            build_marker(&build, 0);
        }
    }
    return build;
}

static uint32_t records_before(const struct build *build, uint64_t offset)
{
    uint32_t count = build->record_count;
    while (count > 0 && build->records[count - 1].segment == build->segment_count - 1 &&
           build->records[count - 1].offset >= offset) {
        count--;
    }
    return count;
}

/* Each sector behind `from` stays or is as it was before; sectors are written whole. */
static void lose_sectors(struct build *build, struct dice *dice, const uint8_t *old, uint64_t from)
{
    uint8_t *bytes = build_last(build)->bytes;
    uint32_t chance = 1 + dice_below(dice, 4);
    for (uint64_t sector = from / SECTOR_LEN * SECTOR_LEN; sector < SEGMENT_LEN;
         sector += SECTOR_LEN) {
        uint64_t start = sector < from ? from : sector;
        if (dice_below(dice, 4) < chance) {
            memcpy(bytes + start, old + start, sector + SECTOR_LEN - start);
        }
    }
}

static void fill_old(uint8_t old[SEGMENT_LEN], bool is_used)
{
    memset(old, 0, SEGMENT_LEN);
    if (is_used) {
        struct build before = stopped();
        memcpy(old, before.segments[1].bytes, SEGMENT_LEN);
        memcpy(old + 5000, before.segments[0].bytes + 4096, 2000);
        build_fini(&before);
    }
}

static void a_crash_is_never_refused_and_cuts_nothing_durable(void **state)
{
    (void)state;
    struct dice dice = dice_of(31);
    uint8_t old[SEGMENT_LEN];
    unsigned torn = 0;
    for (unsigned round = 0; round < 4000; round++) {
        fill_old(old, round % 2);
        struct build build = random_log(&dice, old);
        struct build_found found = {0};
        lose_sectors(&build, &dice, old, build.synced_end);
        enum log_verdict verdict = build_scan(&build, build.segment_count, build.durable, &found);
        assert_int_not_equal(verdict, LOG_SCAN_DAMAGED);
        torn += verdict == LOG_SCAN_TORN;
        assert_true(found.accepted >= records_before(&build, build.synced_end));
        assert_true(found.scan.last >= build.durable);
        assert_true(found.scan.durable <= build.durable);
        assert_true(found.scan.proven_end <= build.synced_end);
        const struct build_record *accepted = &build.records[found.accepted - 1];
        assert_int_equal(found.scan.chain, accepted->header.chain);
        build_fini(&build);
    }
    assert_true(torn > 100);
}

static void a_sector_lost_of_what_was_proven_is_always_refused(void **state)
{
    (void)state;
    struct dice dice = dice_of(32);
    uint8_t old[SEGMENT_LEN];
    unsigned refused = 0;
    for (unsigned round = 0; round < 2000; round++) {
        fill_old(old, round % 2);
        struct build build = random_log(&dice, old);
        struct build_found found = {0};
        assert_int_not_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
        uint64_t proven_end = found.scan.proven_end;
        uint32_t index = dice_below(&dice, build.segment_count);
        struct build_segment *segment = &build.segments[index];
        uint64_t limit = index + 1 < build.segment_count ? segment->end : proven_end;
        uint64_t start = dice_below(&dice, (uint32_t)(limit / SECTOR_LEN)) * (uint64_t)SECTOR_LEN;
        uint8_t *sector = segment->bytes + start;
        uint8_t lost[SECTOR_LEN] = {0};
        memcpy(lost, start < LOG_SEGMENT_HEADER_LEN ? lost : old + start, SECTOR_LEN);
        if (memcmp(sector, lost, SECTOR_LEN) != 0) {
            memcpy(sector, lost, SECTOR_LEN);
            assert_int_equal(scan(&build, &found), LOG_SCAN_DAMAGED);
            refused++;
        }
        build_fini(&build);
    }
    assert_true(refused > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_log_is_fine_and_told_in_order),
        cmocka_unit_test(a_log_that_just_ends_is_fine_but_not_stopped),
        cmocka_unit_test(a_durable_stamp_at_or_above_what_is_missing_is_damage),
        cmocka_unit_test(the_trees_durable_stamp_counts_the_same),
        cmocka_unit_test(a_record_behind_a_hole_vouches_for_nothing_by_being_there),
        cmocka_unit_test(any_marker_vouches_for_all_before_it),
        cmocka_unit_test(a_lost_checkpoint_or_marker_is_damage_if_a_marker_stands_behind),
        cmocka_unit_test(a_segment_without_its_checkpoint_is_damage),
        cmocka_unit_test(the_oldest_segments_checkpoint_must_be_there),
        cmocka_unit_test(a_torn_record_behind_a_raised_checkpoint_is_torn),
        cmocka_unit_test(copies_may_stand_behind_a_raised_checkpoint),
        cmocka_unit_test(copies_that_are_lost_with_their_marker_are_damage),
        cmocka_unit_test(what_has_no_stamp_is_proven_by_a_stamp_behind_it),
        cmocka_unit_test(what_lies_behind_a_sealed_end_is_not_looked_at),
        cmocka_unit_test(a_segment_may_end_where_it_begins),
        cmocka_unit_test(a_segment_proves_all_before_it),
        cmocka_unit_test(a_stop_with_something_behind_it_was_none),
        cmocka_unit_test(a_missing_segment_is_damage),
        cmocka_unit_test(a_segment_of_no_server_may_be_followed_by_one_that_has_its_own),
        cmocka_unit_test(a_segment_of_another_place_is_damage),
        cmocka_unit_test(a_file_of_another_length_is_damage),
        cmocka_unit_test(bytes_of_an_earlier_use_are_never_records),
        cmocka_unit_test(a_record_that_cannot_stand_there_is_damage),
        cmocka_unit_test(a_segment_begins_with_a_checkpoint),
        cmocka_unit_test(what_the_visitor_refuses_is_damage),
        cmocka_unit_test(every_byte_up_to_the_last_marker_is_looked_at),
        cmocka_unit_test(every_shorter_prefix_is_torn_or_refused),
        cmocka_unit_test(a_crash_is_never_refused_and_cuts_nothing_durable),
        cmocka_unit_test(a_sector_lost_of_what_was_proven_is_always_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
