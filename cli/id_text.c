/* SPDX-License-Identifier: MIT */
#include "cli/id_text.h"

#include <stdio.h>
#include <time.h>

#include "proto/id.h"
#include "proto/limits.h"

static bool parse_number(struct bytes text, uint64_t max, uint64_t *number)
{
    const uint8_t *digits = text.data;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)digits[i] - '0';
        if (digit > 9 || value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (text.len == 0) {
        return false;
    }
    *number = value;
    return true;
}

bool id_text_parse(struct bytes text, uint64_t *id)
{
    return parse_number(text, UINT64_MAX, id);
}

bool id_text_parse_shard(const char *word, uint32_t *shard)
{
    uint64_t number = SKV_SHARD_ANY;
    if (word[0] == '@') {
        struct skv_bytes key = skv_key(word + 1);
        if (key.len == 0 || key.len > KEY_LEN_MAX) {
            return false;
        }
        number = skv_shard_of_key(key);
    } else if (strcmp(word, "-") != 0 &&
               !parse_number(bytes_text(word), ID_SHARD_COUNT - 1, &number)) {
        return false;
    }
    *shard = (uint32_t)number;
    return true;
}

bool id_text_parse_kind(const char *word, uint16_t *kind)
{
    uint64_t number;
    if (!parse_number(bytes_text(word), UINT16_MAX, &number)) {
        return false;
    }
    *kind = (uint16_t)number;
    return true;
}

enum exit_code id_text_take(const struct session *session, unsigned index, uint64_t *id)
{
    const char *word = session_word(session, index);
    return id_text_parse(bytes_text(word), id)
               ? EXIT_CODE_DONE
               : session_say_usage(session, "ID is a number from 0 to 2^64-1, not \"%.60s\"", word);
}

enum exit_code id_text_take_shard(const struct session *session, unsigned index, uint32_t *shard)
{
    const char *word = session_word(session, index);
    if (id_text_parse_shard(word, shard)) {
        return EXIT_CODE_DONE;
    }
    return session_say_usage(session,
                             "SHARD is 0 to 8191, - for any, spread evenly, or @KEY, the slice "
                             "that KEY (1 to 480 bytes) hashes to, not \"%.60s\"",
                             word);
}

enum exit_code id_text_take_kind(const struct session *session, const char *name, const char *word,
                                 uint16_t *kind)
{
    return id_text_parse_kind(word, kind)
               ? EXIT_CODE_DONE
               : session_say_usage(session, "%s is 0 to 65535, not \"%.60s\"", name, word);
}

void id_text_print_time(uint64_t ms, bool is_json, char text[ID_TEXT_TIME_LEN])
{
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    size_t len = 0;
    if (gmtime_r(&seconds, &parts)) {
        len = strftime(text, ID_TEXT_TIME_LEN, is_json ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S",
                       &parts);
    }
    text[len] = '\0';
    if (len > 0) {
        (void)snprintf(text + len, ID_TEXT_TIME_LEN - len, ".%03u%s", (unsigned)(ms % 1000),
                       is_json ? "Z" : " UTC");
    }
}
