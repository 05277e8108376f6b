/* SPDX-License-Identifier: MIT */
#include "cli/value_text.h"

#include <stdio.h>

#include "proto/json.h"
#include "proto/noun.h"
#include "proto/pack.h"
#include "proto/unpack.h"

/* Appends the value if `text` is JSON in exactly the form in which it would be printed. */
static bool encode_json(struct bytes text, struct buffer *object)
{
    struct buffer parsed = {0};
    struct buffer printed = {0};
    struct json_error error;
    bool is_same = json_parse(text, &parsed, &error) &&
                   json_print(buffer_bytes(&parsed), &printed) &&
                   bytes_equal(buffer_bytes(&printed), text);
    if (is_same) {
        buffer_append_bytes(object, buffer_bytes(&parsed));
    }
    object->failed = object->failed || parsed.failed || printed.failed;
    buffer_fini(&printed);
    buffer_fini(&parsed);
    return is_same;
}

void value_text_encode(struct bytes text, struct buffer *object)
{
    if (!utf8_is_valid(text)) {
        pack_bin(object, text);
    } else if (!encode_json(text, object)) {
        pack_str(object, text);
    }
}

static void describe_counted(const char *name, uint64_t count, const char *unit,
                             char text[VALUE_TEXT_LEN])
{
    (void)snprintf(text, VALUE_TEXT_LEN, "%s (%llu %s%s)", name, (unsigned long long)count, unit,
                   noun_of(count, "", "s"));
}

void value_text_describe(struct bytes object, char text[VALUE_TEXT_LEN])
{
    static const char *const names[] = {
        [UNPACK_NIL] = "nil", [UNPACK_BOOL] = "bool",    [UNPACK_UINT] = "int",
        [UNPACK_INT] = "int", [UNPACK_FLOAT] = "float",  [UNPACK_STR] = "str",
        [UNPACK_BIN] = "bin", [UNPACK_ARRAY] = "list",   [UNPACK_MAP] = "map",
        [UNPACK_EXT] = "ext", [UNPACK_NONE] = "nothing",
    };
    struct unpack in = unpack_of(object);
    enum unpack_type type = unpack_peek(&in);
    int8_t ext_type = 0;
    switch (type) {
    case UNPACK_STR:
    case UNPACK_BIN:
        describe_counted(names[type], unpack_text(&in).len, "byte", text);
        break;
    case UNPACK_EXT:
        describe_counted(names[type], unpack_ext(&in, &ext_type).len, "byte", text);
        break;
    case UNPACK_ARRAY:
        describe_counted(names[type], unpack_array(&in), "element", text);
        break;
    case UNPACK_MAP:
        describe_counted(names[type], unpack_map(&in), "pair", text);
        break;
    case UNPACK_NIL:
    case UNPACK_BOOL:
    case UNPACK_UINT:
    case UNPACK_INT:
    case UNPACK_FLOAT:
    case UNPACK_NONE:
        (void)snprintf(text, VALUE_TEXT_LEN, "%s", names[type]);
        break;
    }
}
