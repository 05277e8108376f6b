/* SPDX-License-Identifier: MIT */
#include "shardd/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "shardd/seal.h"
#include "tests/unit/sample_map.h"

static struct ownership sample(void)
{
    struct ownership own = {.incarnation = 7, .term = 3, .starts = {8, 9}, .start_count = 2};
    sample_id(1, own.server);
    sample_id('c', own.cluster);
    sample_id('i', own.instance);
    own.map = SAMPLE_MAP(5, {"low", HALF, 4, 1, false, 2048}, {"high", BOUND_END, 5, 2, true, 0});
    own.map.entries[0].when_full = WHEN_FULL_EVICT;
    own.ranges = calloc(2, sizeof(*own.ranges));
    own.ranges[0] = (struct range){.end = QUARTER, .limit = 2048};
    own.ranges[1] = (struct range){.start = QUARTER, .end = HALF, .limit = 2048};
    own.range_count = 2;
    return own;
}

static void what_is_encoded_comes_back(void **state)
{
    (void)state;
    struct ownership own = sample();
    struct ownership decoded;
    struct buffer stored = {0};
    struct buffer again = {0};
    char error[256] = "";
    control_encode(&own, &stored);
    assert_true(control_decode(buffer_bytes(&stored), &decoded, error, sizeof(error)));
    assert_int_equal(decoded.incarnation, 7);
    assert_true(ownership_has_started(&decoded, 7, 9) && ownership_has_started(&decoded, 6, 8));
    assert_false(ownership_has_started(&decoded, 7, 8) || ownership_has_started(&decoded, 5, 8));
    assert_int_equal(decoded.map.revision, 5);
    assert_int_equal(decoded.range_count, 2);
    assert_int_equal(decoded.ranges[1].end, HALF);
    assert_int_equal(decoded.ranges[1].limit, 2048);
    assert_int_equal(decoded.ranges[1].when_full, WHEN_FULL_EVICT);
    assert_int_equal(decoded.ranges[1].epoch, 4);
    control_encode(&decoded, &again);
    assert_true(bytes_equal(buffer_bytes(&stored), buffer_bytes(&again)));
    ownership_fini(&own);
    ownership_fini(&decoded);
    buffer_fini(&stored);
    buffer_fini(&again);
}

static void a_server_without_a_cluster_comes_back(void **state)
{
    (void)state;
    struct ownership own = {.incarnation = 1};
    struct ownership decoded;
    struct buffer stored = {0};
    char error[256] = "";
    sample_id(1, own.server);
    control_encode(&own, &stored);
    assert_true(control_decode(buffer_bytes(&stored), &decoded, error, sizeof(error)));
    assert_true(id_bytes_is_zero(decoded.cluster));
    assert_int_equal(decoded.map.revision, 0);
    assert_int_equal(decoded.range_count, 0);
    ownership_fini(&decoded);
    buffer_fini(&stored);
}

static void every_flipped_bit_is_damage(void **state)
{
    (void)state;
    struct ownership own = sample();
    struct ownership decoded;
    struct buffer stored = {0};
    char error[256] = "";
    control_encode(&own, &stored);
    for (size_t bit = 0; bit < 8 * stored.len; bit++) {
        stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(control_decode(buffer_bytes(&stored), &decoded, error, sizeof(error)));
        assert_string_equal(error, "control state: damaged");
        stored.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ownership_fini(&own);
    buffer_fini(&stored);
}

static void every_shorter_prefix_is_damage(void **state)
{
    (void)state;
    struct ownership own = sample();
    struct ownership decoded;
    struct buffer stored = {0};
    char error[256] = "";
    control_encode(&own, &stored);
    for (size_t len = 0; len < stored.len; len++) {
        assert_false(control_decode(bytes_of(stored.data, len), &decoded, error, sizeof(error)));
    }
    ownership_fini(&own);
    buffer_fini(&stored);
}

static void a_newer_format_is_named(void **state)
{
    (void)state;
    struct ownership decoded;
    struct buffer stored = {0};
    char error[256] = "";
    seal_begin(&stored, 2);
    seal_end(&stored, bytes_text("control"));
    assert_false(control_decode(buffer_bytes(&stored), &decoded, error, sizeof(error)));
    assert_non_null(strstr(error, "newer version"));
    buffer_fini(&stored);
}

static void a_range_outside_its_entry_is_refused(void **state)
{
    (void)state;
    struct ownership own = sample();
    struct ownership decoded;
    struct buffer stored = {0};
    char error[256] = "";
    own.ranges[1].end = HALF + 1;
    control_encode(&own, &stored);
    assert_false(control_decode(buffer_bytes(&stored), &decoded, error, sizeof(error)));
    ownership_fini(&own);
    buffer_fini(&stored);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_comes_back),
        cmocka_unit_test(a_server_without_a_cluster_comes_back),
        cmocka_unit_test(every_flipped_bit_is_damage),
        cmocka_unit_test(every_shorter_prefix_is_damage),
        cmocka_unit_test(a_newer_format_is_named),
        cmocka_unit_test(a_range_outside_its_entry_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
