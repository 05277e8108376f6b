/* SPDX-License-Identifier: MIT */
#include "bootstrapd/greeting.h"

#include "proto/pack.h"

static void pack_id(struct buffer *out, const char *name, const uint8_t id[ID_LEN])
{
    pack_text(out, name);
    pack_bin(out, bytes_of(id, ID_LEN));
}

void greeting_pack(const struct cluster *cluster, const struct site *site, struct buffer *params)
{
    const struct ledger *ledger = cluster_ledger(cluster);
    uint8_t expected[ID_LEN];
    cluster_expected_server(cluster, site, expected);
    const struct map_server *seen = map_find_server(&ledger->map, expected);
    pack_array(params, 1);
    pack_map(params, 8);
    pack_text(params, "role");
    pack_text(params, "bootstrapd");
    pack_id(params, "instance", ledger->map.instance);
    pack_text(params, "term");
    pack_uint(params, ledger->term);
    pack_text(params, "revision");
    pack_uint(params, ledger->map.revision);
    pack_id(params, "expect", expected);
    pack_text(params, "seen_incarnation");
    pack_uint(params, seen ? seen->incarnation : 0);
    pack_text(params, "seen_start");
    pack_uint(params, seen ? seen->start : 0);
    pack_id(params, "cluster", ledger->map.cluster);
}

/* An id, or nil where that is allowed: zero. */
static void unpack_id_or_nil(struct unpack *in, uint8_t id[ID_LEN])
{
    if (unpack_peek(in) == UNPACK_NIL) {
        unpack_nil(in);
    } else {
        unpack_id(in, id);
    }
}

static void unpack_hello_field(struct unpack *in, struct site_hello *hello)
{
    struct bytes name = unpack_text(in);
    if (bytes_equal(name, bytes_text("server"))) {
        unpack_id_or_nil(in, hello->server);
    } else if (bytes_equal(name, bytes_text("cluster"))) {
        unpack_id_or_nil(in, hello->cluster);
    } else if (bytes_equal(name, bytes_text("incarnation"))) {
        hello->incarnation = unpack_uint(in);
    } else if (bytes_equal(name, bytes_text("start"))) {
        hello->start = unpack_uint(in);
    } else if (bytes_equal(name, bytes_text("restored"))) {
        hello->is_restored = unpack_bool(in);
    } else if (bytes_equal(name, bytes_text("epoch"))) {
        hello->epoch = unpack_uint(in);
    } else if (bytes_equal(name, bytes_text("revision"))) {
        hello->revision = unpack_uint(in);
    } else if (bytes_equal(name, bytes_text("term"))) {
        hello->term = unpack_uint(in);
    } else if (bytes_equal(name, bytes_text("at_work"))) {
        unpack_id_or_nil(in, hello->at_work);
    } else if (bytes_equal(name, bytes_text("now_ms"))) {
        hello->now_ms = unpack_uint(in);
    } else if (bytes_equal(name, bytes_text("stamp"))) {
        hello->stamp = unpack_uint(in);
    } else {
        unpack_skip(in);
    }
}

bool greeting_unpack(struct bytes result, struct site_hello *hello)
{
    struct unpack in = unpack_of(result);
    uint32_t pair_count = unpack_map(&in);
    *hello = (struct site_hello){0};
    for (uint32_t i = 0; i < pair_count && unpack_is_fine(&in); i++) {
        unpack_hello_field(&in, hello);
    }
    return unpack_is_done(&in) && !id_bytes_is_zero(hello->server);
}

bool greeting_unpack_refusal(struct bytes detail, uint64_t *term)
{
    struct unpack in = unpack_of(detail);
    if (unpack_peek(&in) != UNPACK_ARRAY) {
        return false;
    }
    uint32_t count = unpack_array(&in);
    uint64_t told = unpack_uint(&in);
    bool is_alone = unpack_peek(&in) == UNPACK_NIL;
    if (count < 2 || !is_alone || !unpack_is_fine(&in)) {
        return false;
    }
    *term = told;
    return true;
}
