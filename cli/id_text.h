/* SPDX-License-Identifier: MIT */
#ifndef CLI_ID_TEXT_H
#define CLI_ID_TEXT_H

/*
 * Ids, logical shards and kinds as somebody types and reads them.
 *
 *     id       307821103844175873     64 bits without a sign
 *     shard    12                     0 to 8191
 *              -                      any: they spread evenly
 *              @KEY                   the slice that KEY hashes to
 *     kind     1                      0 to 65535
 *     time     2014-11-15 14:11:06.450 UTC, in JSON 2014-11-15T14:11:06.450Z
 */

#include "cli/session.h"

/* Decimal digits and nothing else. False: it is none, and *id is untouched; so with the others. */
bool id_text_parse(struct bytes text, uint64_t *id);

bool id_text_parse_shard(const char *word, uint32_t *shard);
bool id_text_parse_kind(const char *word, uint16_t *kind);

/* The same of word `index` of a command, or for a kind of `word` with the name of its place; what is none is said. */
enum exit_code id_text_take(const struct session *session, unsigned index, uint64_t *id);
enum exit_code id_text_take_shard(const struct session *session, unsigned index, uint32_t *shard);
enum exit_code id_text_take_kind(const struct session *session, const char *name, const char *word,
                                 uint16_t *kind);

enum { ID_TEXT_TIME_LEN = 40 };

/* "" for what is no time. */
void id_text_print_time(uint64_t ms, bool is_json, char text[ID_TEXT_TIME_LEN]);

#endif
