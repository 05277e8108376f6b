/* SPDX-License-Identifier: MIT */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

/*
 * MessagePack to JSON text and back, exactly: json_parse(json_print(x)) is x, byte for byte, for
 * every valid x.
 *
 *     what JSON lacks            is written
 *     bin                        {"$bin":"base64"}
 *     ext                        {"$ext":[type,"base64"]}
 *     map with other keys        {"$map":[[key,value],...]}   also when a key repeats, begins with $
 *                                                             or has a NUL
 *     anything else              {"$msgpack":"base64"}        float 32, NaN, infinities, str that is not
 *                                                             UTF-8, integers and lengths in a longer form
 *                                                             than needed
 *
 * Integers from -2^63 to 2^64-1 are plain numbers; a float always has a point or an exponent and
 * the fewest digits that read back.
 */

#include "proto/buffer.h"

struct json_error {
    uint32_t line, column; /* from 1; 0 when there is no place */
    char text[160];
};

/* Appends the text of one object, on one line. False when `object` is not exactly one valid object. */
bool json_print(struct bytes object, struct buffer *json);

/* Appends the MessagePack of one JSON text; a repeated key is an error. False: *error says what and where. */
bool json_parse(struct bytes json, struct buffer *object, struct json_error *error);

/* Appends `text` quoted and escaped. False unless it is UTF-8 (nothing is appended). */
bool json_quote(struct bytes text, struct buffer *json);

bool utf8_is_valid(struct bytes text);

/* Bytes up to the first that is no UTF-8. */
size_t utf8_prefix_len(struct bytes text);

void base64_print(struct bytes data, struct buffer *text);
bool base64_parse(struct bytes text, struct buffer *data);

#endif
