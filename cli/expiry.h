/* SPDX-License-Identifier: MIT */
#ifndef CLI_EXPIRY_H
#define CLI_EXPIRY_H

/* When a record expires: as it is asked for, and as it is told. */

#include "cli/duration.h"
#include "cli/json_writer.h"
#include "cli/session.h"

/* Takes --ttl and --sliding; what is wrong with them is said. *ttl_ms is 0 without --ttl. */
enum exit_code expiry_take(const struct session *session, uint64_t *ttl_ms);

/* As in record_line.h, and null for what lives for ever. */
void expiry_add(struct json_writer *writer, const struct skv_record *record);

enum { EXPIRY_TEXT_LEN = 2 * DURATION_TEXT_LEN + 40 };

/* ", expires in 9.3 s, sliding: 10 s from each read on"; "" for what lives for ever. */
void expiry_print(const struct skv_record *record, char text[EXPIRY_TEXT_LEN]);

/* A second line on a terminal, for a person alone: a script that wants to know takes --json. */
void expiry_tell(const struct skv_record *record);

#endif
