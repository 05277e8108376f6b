/* SPDX-License-Identifier: MIT */
#include "libclient/explain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "proto/endian.h"
#include "proto/json.h"
#include "proto/status.h"

/* Longer keys and texts are cut, and say so. */
#define KEY_SHOWN_MAX  64
#define SAID_SHOWN_MAX 240

struct line {
    char *text;
    size_t len;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    size_t room = EXPLAIN_TEXT_LEN - line->len;
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line->text + line->len, room, format, arguments);
    va_end(arguments);
    if (len > 0) {
        line->len += (size_t)len < room ? (size_t)len : room - 1;
    }
}

static bool is_control(uint8_t byte)
{
    return byte < 0x20 || byte == 0x7f;
}

static bool is_printable(struct bytes key)
{
    const uint8_t *bytes = key.data;
    for (size_t i = 0; i < key.len; i++) {
        if (is_control(bytes[i])) {
            return false;
        }
    }
    return utf8_is_valid(key);
}

/* At most `max` bytes, without cutting through a character. */
static size_t shown_len(struct bytes text, size_t max)
{
    if (text.len <= max) {
        return text.len;
    }
    const uint8_t *bytes = text.data;
    while (max > 0 && (bytes[max] & 0xc0) == 0x80) {
        max--;
    }
    return max;
}

static void add_text_key(struct line *line, struct bytes key)
{
    size_t len = shown_len(key, KEY_SHOWN_MAX);
    add(line, " \"%.*s%s\"", (int)len, (const char *)key.data, len < key.len ? "..." : "");
}

static void add_binary_key(struct line *line, struct bytes key)
{
    const uint8_t *bytes = key.data;
    add(line, " 0x");
    for (size_t i = 0; i < key.len && i < KEY_SHOWN_MAX / 2; i++) {
        add(line, "%02x", bytes[i]);
    }
    add(line, "%s", key.len > KEY_SHOWN_MAX / 2 ? "..." : "");
}

static void add_key(struct line *line, const struct explanation *explanation)
{
    struct bytes key = explanation->key;
    if (explanation->has_shard) {
        add(line, " in logical shard %" PRIu32, explanation->shard);
    } else if (explanation->is_id) {
        add(line, " %" PRIu64, endian_get_be64(key.data));
    } else if (key.len > 0 && is_printable(key)) {
        add_text_key(line, key);
    } else if (key.len > 0) {
        add_binary_key(line, key);
    }
}

/* What a peer says may be anything: it stays on the line. */
static void add_said(struct line *line, const char *said)
{
    size_t from = line->len;
    add(line, ": %.*s", (int)shown_len(bytes_text(said), SAID_SHOWN_MAX), said);
    for (size_t i = from; i < line->len; i++) {
        if (is_control((uint8_t)line->text[i])) {
            line->text[i] = '?';
        }
    }
}

static const char *unavailable_advice(const struct explanation *explanation)
{
    switch (explanation->wire_code) {
    case STATUS_OK: /* no server answered */
        if (explanation->ids_came > 0) {
            return "try again"; /* one runs: it gave those */
        }
        return explanation->key.len > 0 || explanation->has_shard
                   ? "is shardd running there?"
                   : "is shardd or bootstrapd running there?";
    case STATUS_DATA_MISSING:
        return "see `shardkv status`";
    case STATUS_DAMAGED:
        return "restore it from a copy, or delete it";
    case STATUS_CLOCK_BEHIND:
        return "set it right; see `shardkv status`";
    default:
        return "try again";
    }
}

static void add_time(struct line *line, const struct explanation *explanation)
{
    if (explanation->timeout_ms == 0) {
        return;
    }
    if (explanation->ids_came > 0) {
        add(line, "; %" PRIu64 " of %" PRIu64 " ids came", explanation->ids_came,
            explanation->ids_wanted);
    } else {
        add(line, "; no server could serve it");
    }
    add(line, " within %" PRIu32 " ms", explanation->timeout_ms);
}

static void add_advice(struct line *line, const struct explanation *explanation)
{
    switch (explanation->status) {
    case SKV_UNAVAILABLE:
        add_time(line, explanation);
        add(line, ": %s", unavailable_advice(explanation));
        break;
    case SKV_UNKNOWN:
        add(line, "; it may have been done%s",
            explanation->has_shard ? ", under an id that nobody was told"
                                   : ": read before you write again");
        break;
    case SKV_CONDITION:
        if (explanation->version > 0) {
            add(line, "; version %" PRIu64 " is there", explanation->version);
        }
        break;
    case SKV_OK:
    case SKV_FULL: /* the server has said what helps */
    case SKV_NOT_FOUND:
    case SKV_INVALID:
    case SKV_DENIED:
    case SKV_NO_MEMORY:
        break;
    }
}

void explain(const struct explanation *explanation, char text[EXPLAIN_TEXT_LEN])
{
    struct line line = {.text = text};
    add(&line, "%.64s", explanation->method);
    add_key(&line, explanation);
    if (explanation->server[0]) {
        add(&line, ": %s", explanation->server);
    }
    if (explanation->said[0]) {
        add_said(&line, explanation->said);
    }
    add_advice(&line, explanation);
}
