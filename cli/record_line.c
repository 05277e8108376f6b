/* SPDX-License-Identifier: MIT */
#include "cli/record_line.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/id_text.h"
#include "libclient/shardkv.h"
#include "proto/endian.h"
#include "proto/json.h"
#include "proto/limits.h"
#include "proto/pack.h"
#include "proto/table.h"
#include "proto/unpack.h"

void record_line_fini(struct record_line *line)
{
    buffer_fini(&line->key);
    buffer_fini(&line->value);
    buffer_fini(&line->scratch);
}

__attribute__((format(printf, 2, 3))) static bool fail(struct record_line *line, const char *format,
                                                       ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line->error, sizeof(line->error), format, arguments);
    va_end(arguments);
    return false;
}

/* --- jsonl: the object is taken apart here, so that a value may use all the depth it has --- */

struct scanner {
    const char *begin, *next, *end;
};

static void skip_space(struct scanner *in)
{
    while (in->next < in->end && strchr(" \t\r\n", *in->next) && *in->next) {
        in->next++;
    }
}

static bool take(struct scanner *in, char expected)
{
    skip_space(in);
    if (in->next == in->end || *in->next != expected) {
        return false;
    }
    in->next++;
    return true;
}

static bool fail_at(struct record_line *line, const struct scanner *in, const char *text)
{
    return fail(line, "column %zu: %s", (size_t)(in->next - in->begin) + 1, text);
}

/* From the opening quote to behind the closing one, or to the end. */
static void skip_string(struct scanner *in)
{
    in->next++;
    while (in->next < in->end && *in->next != '"') {
        in->next += *in->next == '\\' && in->next + 1 < in->end ? 2 : 1;
    }
    in->next += in->next < in->end;
}

/* The text up to what ends a name or a value; whether it is one, json_parse says. */
static struct bytes take_token(struct scanner *in)
{
    skip_space(in);
    const char *begin = in->next;
    size_t depth = 0;

    while (in->next < in->end) {
        char byte = *in->next;
        if (depth == 0 && (byte == ',' || byte == ':' || byte == '}')) {
            break;
        }
        if (byte == '"') {
            skip_string(in);
            continue;
        }
        depth += byte == '{' || byte == '[';
        depth -= depth > 0 && (byte == '}' || byte == ']');
        in->next++;
    }
    return bytes_of(begin, (size_t)(in->next - begin));
}

static bool parse_token(struct record_line *line, const struct scanner *in, struct bytes token,
                        struct buffer *object)
{
    struct json_error error;
    buffer_clear(object);
    if (token.len == 0) {
        return fail_at(line, in, "something is missing here");
    }
    if (json_parse(token, object, &error)) {
        return true;
    }
    size_t offset = (size_t)((const char *)token.data - in->begin);
    return fail(line, "column %zu: %s", offset + (error.column ? error.column : 1), error.text);
}

/* Parses a token that must be a string into scratch; *text points there. */
static bool parse_string(struct record_line *line, const struct scanner *in, struct bytes token,
                         struct bytes *text)
{
    if (!parse_token(line, in, token, &line->scratch)) {
        return false;
    }
    struct unpack object = unpack_of(buffer_bytes(&line->scratch));
    if (unpack_peek(&object) != UNPACK_STR) {
        return fail(line, "column %zu: a string is needed",
                    (size_t)((const char *)token.data - in->begin) + 1);
    }
    *text = unpack_text(&object);
    return true;
}

enum member {
    MEMBER_KEY,
    MEMBER_KEY_BASE64,
    MEMBER_ID,
    MEMBER_KIND,
    MEMBER_VALUE,
    MEMBER_TTL_MS,
    MEMBER_FULL_TTL_MS,
    MEMBER_SLIDING,
    MEMBER_IGNORED, /* what `read --json` prints and the cluster gives anew */
    MEMBER_UNKNOWN,
};

static enum member member_of(struct bytes name)
{
    static const struct {
        const char *name;
        enum member member;
    } members[] = {
        {"key", MEMBER_KEY},
        {"key_base64", MEMBER_KEY_BASE64},
        {"id", MEMBER_ID},
        {"kind", MEMBER_KIND},
        {"value", MEMBER_VALUE},
        {"ttl_ms", MEMBER_TTL_MS},
        {"full_ttl_ms", MEMBER_FULL_TTL_MS},
        {"sliding", MEMBER_SLIDING},
        {"hash", MEMBER_IGNORED},
        {"version", MEMBER_IGNORED},
        {"size", MEMBER_IGNORED},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (bytes_equal(name, bytes_text(members[i].name))) {
            return members[i].member;
        }
    }
    return MEMBER_UNKNOWN;
}

static bool parse_key(struct record_line *line, const struct scanner *in, struct bytes token,
                      bool is_base64)
{
    struct bytes text = {0};
    if (!parse_string(line, in, token, &text)) {
        return false;
    }
    buffer_clear(&line->key);
    if (!is_base64) {
        buffer_append_bytes(&line->key, text);
        return true;
    }
    return base64_parse(text, &line->key) || fail(line, "key_base64 is not base64");
}

/* A string, since a number of JSON is exact only to 2^53. */
static bool parse_id(struct record_line *line, const struct scanner *in, struct bytes token)
{
    struct bytes text = {0};
    uint64_t id = 0;
    if (!parse_string(line, in, token, &text)) {
        return false;
    }
    if (!id_text_parse(text, &id)) {
        return fail(line, "column %zu: an id is needed, a string of digits from 0 to 2^64-1",
                    (size_t)((const char *)token.data - in->begin) + 1);
    }
    uint8_t key[ID_KEY_LEN];
    endian_put_be64(key, id);
    buffer_clear(&line->key);
    buffer_append(&line->key, key, sizeof(key));
    line->is_entity = true;
    return true;
}

static bool parse_kind(struct record_line *line, const struct scanner *in, struct bytes token)
{
    if (!parse_token(line, in, token, &line->scratch)) {
        return false;
    }
    struct unpack object = unpack_of(buffer_bytes(&line->scratch));
    line->kind = (uint16_t)unpack_uint_max(&object, UINT16_MAX);
    return unpack_is_fine(&object) ||
           fail(line, "column %zu: a kind is needed, a whole number from 0 to %u",
                (size_t)((const char *)token.data - in->begin) + 1, UINT16_MAX);
}

/* A whole number of at most TTL_MS_MAX; null leaves *ms as it is. */
static bool parse_ttl(struct record_line *line, const struct scanner *in, struct bytes token,
                      uint64_t *ms)
{
    if (!parse_token(line, in, token, &line->scratch)) {
        return false;
    }
    struct unpack object = unpack_of(buffer_bytes(&line->scratch));
    if (unpack_peek(&object) == UNPACK_NIL) {
        return true;
    }
    uint64_t number = unpack_uint_max(&object, TTL_MS_MAX);
    if (!unpack_is_fine(&object)) {
        return fail(line, "column %zu: milliseconds are needed, a whole number from 0 to 2^46",
                    (size_t)((const char *)token.data - in->begin) + 1);
    }
    *ms = number;
    return true;
}

static bool parse_left(struct record_line *line, const struct scanner *in, struct bytes token)
{
    uint64_t left_ms = UINT64_MAX; /* null */
    bool is_parsed = parse_ttl(line, in, token, &left_ms);
    line->expiry.left_ms = left_ms == UINT64_MAX ? -1 : (int64_t)left_ms;
    return is_parsed;
}

static bool parse_sliding(struct record_line *line, const struct scanner *in, struct bytes token)
{
    if (!parse_token(line, in, token, &line->scratch)) {
        return false;
    }
    struct unpack object = unpack_of(buffer_bytes(&line->scratch));
    line->expiry.is_sliding = unpack_bool(&object);
    return unpack_is_fine(&object) || fail(line, "column %zu: true or false is needed",
                                           (size_t)((const char *)token.data - in->begin) + 1);
}

static bool parse_member(struct record_line *line, const struct scanner *in, enum member member,
                         struct bytes token)
{
    switch (member) {
    case MEMBER_KEY:
    case MEMBER_KEY_BASE64:
        return parse_key(line, in, token, member == MEMBER_KEY_BASE64);
    case MEMBER_ID:
        return parse_id(line, in, token);
    case MEMBER_KIND:
        return parse_kind(line, in, token);
    case MEMBER_VALUE:
        return parse_token(line, in, token, &line->value);
    case MEMBER_TTL_MS:
        return parse_left(line, in, token);
    case MEMBER_FULL_TTL_MS:
        return parse_ttl(line, in, token, &line->expiry.ttl_ms);
    case MEMBER_SLIDING:
        return parse_sliding(line, in, token);
    case MEMBER_IGNORED:
    case MEMBER_UNKNOWN: /* refused before */
        break;
    }
    return parse_token(line, in, token, &line->scratch);
}

/* `seen`: a bit for each member that may stand but once. */
static bool take_member(struct record_line *line, struct scanner *in, unsigned *seen)
{
    struct bytes name = {0};
    if (!parse_string(line, in, take_token(in), &name)) {
        return false;
    }
    enum member member = member_of(name);
    if (member == MEMBER_UNKNOWN) {
        return fail(line,
                    "unknown field \"%.*s\"; there are key, key_base64, id, kind, value, ttl_ms, "
                    "full_ttl_ms, sliding",
                    name.len > 60 ? 60 : (int)name.len, (const char *)name.data);
    }
    unsigned bit = 1u << (member == MEMBER_KEY_BASE64 || member == MEMBER_ID ? MEMBER_KEY : member);
    if (member != MEMBER_IGNORED && (*seen & bit)) {
        return fail(line, "column %zu: a second %.*s", (size_t)(in->next - in->begin) + 1,
                    (int)name.len, (const char *)name.data);
    }
    *seen |= bit;
    if (!take(in, ':')) {
        return fail_at(line, in, "a colon is missing");
    }
    return parse_member(line, in, member, take_token(in));
}

static bool settle_expiry(struct record_line *line)
{
    struct record_expiry *expiry = &line->expiry;
    if (expiry->left_ms < 0) {
        return (expiry->ttl_ms == 0 && !expiry->is_sliding) ||
               fail(line, "full_ttl_ms and sliding need ttl_ms");
    }
    uint64_t left_ms = (uint64_t)expiry->left_ms;
    if (expiry->ttl_ms == 0) {
        expiry->ttl_ms = left_ms;
    } else if (left_ms > expiry->ttl_ms) {
        expiry->left_ms = (int64_t)expiry->ttl_ms;
    }
    return true;
}

/* A key or an id with its kind, and a value. */
static bool check_members(struct record_line *line, unsigned seen)
{
    bool has_kind = seen & 1u << MEMBER_KIND;
    if (!(seen & 1u << MEMBER_KEY)) {
        return fail(line, "the key is missing");
    }
    if (has_kind != line->is_entity) {
        return fail(line, has_kind ? "a kind goes with an id, not with a key"
                                   : "the kind is missing, which goes with an id");
    }
    return (seen & 1u << MEMBER_VALUE) || fail(line, "the value is missing");
}

static bool parse_jsonl(struct record_line *line, struct bytes text)
{
    struct scanner in = {text.data, text.data, (const char *)text.data + text.len};
    unsigned seen = 0;
    if (!take(&in, '{')) {
        return fail_at(line, &in, "a line is one object: {\"key\":...,\"value\":...}");
    }
    do {
        if (!take_member(line, &in, &seen)) {
            return false;
        }
    } while (take(&in, ','));
    if (!take(&in, '}')) {
        return fail_at(line, &in, "a comma or the closing brace is missing");
    }
    skip_space(&in);
    if (in.next != in.end) {
        return fail_at(line, &in, "something follows the object");
    }
    return check_members(line, seen) && settle_expiry(line);
}

/* --- pyshard's lines --- */

static size_t count_digits(struct bytes text, size_t from)
{
    const char *bytes = text.data;
    size_t count = 0;
    while (from + count < text.len && isdigit((unsigned char)bytes[from + count])) {
        count++;
    }
    return count;
}

static bool encode_integer(struct record_line *line, const char *digits)
{
    errno = 0;
    unsigned long long number = strtoull(digits, NULL, 10);

    if (errno == ERANGE) {
        return fail(line, "an integer above 2^64-1: it can only be a string, in jsonl");
    }
    pack_uint(&line->value, number);
    return true;
}

static bool encode_float(struct record_line *line, const char *digits)
{
    errno = 0;
    double number = strtod(digits, NULL);

    if (errno == ERANGE && number > 1) {
        return fail(line, "a number too large for a float: it can only be a string, in jsonl");
    }
    pack_float(&line->value, number);
    return true;
}

/* `is_number` tells digits from digits.digits; strto* need the text to end with a zero byte. */
static bool encode_number(struct record_line *line, struct bytes text, bool is_integer)
{
    buffer_clear(&line->scratch);
    buffer_append_bytes(&line->scratch, text);
    buffer_append(&line->scratch, "", 1);
    if (line->scratch.failed) {
        return fail(line, "out of memory");
    }
    const char *digits = (const char *)line->scratch.data;
    return is_integer ? encode_integer(line, digits) : encode_float(line, digits);
}

static bool encode_braces(struct record_line *line, struct bytes text)
{
    struct json_error error;
    if (json_parse(text, &line->value, &error)) {
        return true;
    }
    return error.column ? fail(line, "value, column %u: %s", error.column, error.text)
                        : fail(line, "value: %s", error.text);
}

static bool encode_typed(struct record_line *line, struct bytes text)
{
    const char *bytes = text.data;
    size_t whole = count_digits(text, 0);
    if (text.len >= 2 && bytes[0] == '{' && bytes[text.len - 1] == '}') {
        return encode_braces(line, text);
    }
    if (whole > 0 && whole == text.len) {
        return encode_number(line, text, true);
    }
    if (whole > 0 && bytes[whole] == '.') {
        size_t fraction = count_digits(text, whole + 1);
        if (fraction > 0 && whole + 1 + fraction == text.len) {
            return encode_number(line, text, false);
        }
    }
    if (!utf8_is_valid(text)) {
        return fail(line, "the value is not UTF-8: bytes need jsonl and {\"$bin\":\"base64\"}");
    }
    pack_str(&line->value, text);
    return true;
}

static bool parse_lines(struct record_line *line, struct bytes text)
{
    const char *begin = text.data;
    const char *bar = text.len ? memchr(begin, '|', text.len) : NULL;
    if (!bar) {
        return fail(line, "no | between key and value");
    }
    if (begin[text.len - 1] == '\r') {
        text.len--;
    }
    size_t key_len = (size_t)(bar - begin);
    buffer_append(&line->key, begin, key_len);
    return encode_typed(line, bytes_of(bar + 1, text.len - key_len - 1));
}

/* --- both --- */

static bool is_map(struct bytes value)
{
    struct unpack in = unpack_of(value);
    return unpack_peek(&in) == UNPACK_MAP;
}

static bool check_limits(struct record_line *line)
{
    if (line->key.failed || line->value.failed || line->scratch.failed) {
        return fail(line, "out of memory");
    }
    if (line->key.len == 0 || line->key.len > KEY_LEN_MAX) {
        return fail(line, "the key has %zu bytes; 1 to %d are allowed", line->key.len, KEY_LEN_MAX);
    }
    if (line->value.len > VALUE_LEN_MAX) {
        return fail(line, "the value has %zu bytes; at most %u are allowed", line->value.len,
                    VALUE_LEN_MAX);
    }
    if (line->is_entity && !is_map(buffer_bytes(&line->value))) {
        return fail(line, "the value of an entity is a map");
    }
    return true;
}

bool record_line_parse(struct record_line *line, enum record_line_format format, struct bytes text)
{
    line->error[0] = '\0';
    line->expiry = (struct record_expiry){.left_ms = -1};
    line->is_entity = false;
    line->kind = 0;
    buffer_clear(&line->key);
    buffer_clear(&line->value);
    buffer_clear(&line->scratch);
    bool is_parsed =
        format == RECORD_LINE_JSONL ? parse_jsonl(line, text) : parse_lines(line, text);
    return is_parsed && check_limits(line);
}

static void append_text(struct buffer *buffer, const char *text)
{
    buffer_append_bytes(buffer, bytes_text(text));
}

static void append_base64(struct buffer *text, struct bytes data)
{
    append_text(text, "\"");
    base64_print(data, text);
    append_text(text, "\"");
}

/* Longer than what stands behind the value, with the line's end. */
#define TAIL_LEN_MAX 96

static void print_tail(const struct record_expiry *expiry, struct buffer *text)
{
    char tail[TAIL_LEN_MAX] = "";
    int len = 0;
    if (expiry->left_ms >= 0) {
        len = snprintf(tail, sizeof(tail), ",\"ttl_ms\":%" PRId64, expiry->left_ms);
    }
    if (expiry->left_ms >= 0 && expiry->is_sliding) {
        (void)snprintf(tail + len, sizeof(tail) - (size_t)len,
                       ",\"full_ttl_ms\":%" PRIu64 ",\"sliding\":true", expiry->ttl_ms);
    }
    append_text(text, tail);
    append_text(text, "}\n");
}

/* `line_start` is where the line begins: what is too long for one is told in another form. */
static void print_value(struct bytes value, const struct record_expiry *expiry, size_t line_start,
                        struct buffer *text)
{
    append_text(text, ",\"value\":");
    size_t value_start = text->len;
    bool is_printed = json_print(value, text);
    if (!is_printed || text->len + TAIL_LEN_MAX - line_start > RECORD_LINE_LEN_MAX) {
        text->len = value_start;
        append_text(text, "{\"$msgpack\":");
        append_base64(text, value);
        append_text(text, "}");
    }
    print_tail(expiry, text);
}

void record_line_print(struct bytes key, struct bytes value, const struct record_expiry *expiry,
                       struct buffer *text)
{
    size_t line_start = text->len;
    append_text(text, utf8_is_valid(key) ? "{\"key\":" : "{\"key_base64\":");
    if (!json_quote(key, text)) {
        append_base64(text, key);
    }
    print_value(value, expiry, line_start, text);
}

void record_line_print_entity(uint64_t id, uint16_t kind, struct bytes value,
                              const struct record_expiry *expiry, struct buffer *text)
{
    char start[64];
    size_t line_start = text->len;
    (void)snprintf(start, sizeof(start), "{\"id\":\"%" PRIu64 "\",\"kind\":%u", id, kind);
    append_text(text, start);
    print_value(value, expiry, line_start, text);
}

void record_line_print_record(const struct skv_record *record, bool has_id, struct buffer *text)
{
    const struct record_expiry expiry = {
        .left_ms = record->ttl_ms, .ttl_ms = record->full_ttl_ms, .is_sliding = record->sliding};
    struct bytes value = bytes_of(record->encoded.data, record->encoded.len);
    if (has_id) {
        record_line_print_entity(record->id, record->kind, value, &expiry, text);
    } else {
        record_line_print(bytes_of(record->key.data, record->key.len), value, &expiry, text);
    }
}
