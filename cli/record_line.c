/* SPDX-License-Identifier: MIT */
#include "cli/record_line.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"
#include "proto/limits.h"
#include "proto/pack.h"
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
    MEMBER_VALUE,
    MEMBER_IGNORED, /* what `read --json` prints and the cluster gives anew */
    MEMBER_UNKNOWN,
};

static enum member member_of(struct bytes name)
{
    static const struct {
        const char *name;
        enum member member;
    } members[] = {
        {"key", MEMBER_KEY},      {"key_base64", MEMBER_KEY_BASE64}, {"value", MEMBER_VALUE},
        {"hash", MEMBER_IGNORED}, {"version", MEMBER_IGNORED},       {"size", MEMBER_IGNORED},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (bytes_equal(name, bytes_text(members[i].name))) {
            return members[i].member;
        }
    }
    return MEMBER_UNKNOWN;
}

struct members_seen {
    bool key;
    bool value;
};

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

static bool take_member(struct record_line *line, struct scanner *in, struct members_seen *seen)
{
    struct bytes name = {0};
    if (!parse_string(line, in, take_token(in), &name)) {
        return false;
    }
    enum member member = member_of(name);
    if (member == MEMBER_UNKNOWN) {
        return fail(line, "unknown field \"%.*s\"; there are key, key_base64, value",
                    name.len > 60 ? 60 : (int)name.len, (const char *)name.data);
    }
    bool is_key = member == MEMBER_KEY || member == MEMBER_KEY_BASE64;
    if ((is_key && seen->key) || (member == MEMBER_VALUE && seen->value)) {
        return fail_at(line, in, is_key ? "a second key" : "a second value");
    }
    if (!take(in, ':')) {
        return fail_at(line, in, "a colon is missing");
    }
    struct bytes token = take_token(in);
    if (is_key) {
        seen->key = true;
        return parse_key(line, in, token, member == MEMBER_KEY_BASE64);
    }
    seen->value = seen->value || member == MEMBER_VALUE;
    return parse_token(line, in, token, member == MEMBER_VALUE ? &line->value : &line->scratch);
}

static bool parse_jsonl(struct record_line *line, struct bytes text)
{
    struct scanner in = {text.data, text.data, (const char *)text.data + text.len};
    struct members_seen seen = {0};
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
    if (!seen.key || !seen.value) {
        return fail(line, "the %s is missing", seen.key ? "value" : "key");
    }
    return true;
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
    return json_parse(text, &line->value, &error) ||
           fail(line, "value, column %u: %s", error.column, error.text);
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
    return true;
}

bool record_line_parse(struct record_line *line, enum record_line_format format, struct bytes text)
{
    line->error[0] = '\0';
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

void record_line_print(struct bytes key, struct bytes value, struct buffer *text)
{
    size_t line_start = text->len;
    append_text(text, utf8_is_valid(key) ? "{\"key\":" : "{\"key_base64\":");
    if (!json_quote(key, text)) {
        append_base64(text, key);
    }
    append_text(text, ",\"value\":");
    size_t value_start = text->len;
    bool is_printed = json_print(value, text);
    if (!is_printed || text->len + 2 - line_start > RECORD_LINE_LEN_MAX) {
        text->len = value_start;
        append_text(text, "{\"$msgpack\":");
        append_base64(text, value);
        append_text(text, "}");
    }
    append_text(text, "}\n");
}
