/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_REBUILD_H
#define TORTURE_REBUILD_H

/*
 * Data directories as a power cut may have left them, out of a recorded run.
 *
 *     events   w1 w2 [sync w3 w4 sync] w5 │ cut          durable: w1 w2
 *                                                        w3 w4 w5: each there, lost or (one) torn
 *
 * Rules:
 *  - Durable is what was recorded before the begin of a sync of its file that has ended, and O_DSYNC writes.
 *  - Of the rest any subset is there; one write may be torn at multiples of 512 bytes. A lost one that
 *    would have lengthened its file may have done that, with zeros.
 *  - Names (made, renamed, unlinked) are durable by a sync of the directory. Of the rest the first few are there, or
 *    any that make sense.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/bytes.h"
#include "tests/unit/dice.h"

struct rebuild;

/* Reads the trace. NULL: it is none. */
struct rebuild *rebuild_open(const char *trace);
void rebuild_close(struct rebuild *rebuild);

uint32_t rebuild_event_count(const struct rebuild *rebuild);

/* The event that begins at or behind this place of the trace file. */
uint32_t rebuild_event_at(const struct rebuild *rebuild, uint64_t place);

/* Whether what happens here decides something: a sync's end, a name. */
bool rebuild_is_turn(const struct rebuild *rebuild, uint32_t event);

/* What was sent to a client, whole responses: calls back with each, and the event before which it left. */
typedef void rebuild_response(void *context, uint32_t event, struct bytes frame);
void rebuild_responses(const struct rebuild *rebuild, rebuild_response *on_response, void *context);

/* The first `event` events have happened. Only forward. */
void rebuild_advance(struct rebuild *rebuild, uint32_t event);

/* How a state was made, for whoever reads a failure. */
enum { REBUILD_TEXT_LEN = 256 };

/*
 * Makes `path`, which must not exist, and its files. `drop_durable`: one durable write is lost, too,
 * which a test of the test must find; it is undone by the next call.
 */
void rebuild_write(struct rebuild *rebuild, struct dice *dice, bool drop_durable, const char *path,
                   char text[REBUILD_TEXT_LEN]);

#endif
