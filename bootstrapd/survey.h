/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_SURVEY_H
#define BOOTSTRAPD_SURVEY_H

/*
 * Asks all servers for the maps that they hold, each on a connection of its own, as a client would: one that refuses
 * this bootstrapd answers, too.
 *
 *     addresses of the own map ─> hello, map.get ─> if it is newer: its addresses ─> ...
 *
 * It ends when all have answered, or cannot be reached, or SURVEY_WITHIN_MS have passed.
 */

#include "bootstrapd/recover.h"
#include "io/loop.h"

/* Who asks waits for two seconds. */
#define SURVEY_WITHIN_MS 1500

struct survey;

/* Copies what it needs of `map`. `on_done` comes once, not from inside. */
struct survey *survey_new(struct loop *loop, const struct map *map, loop_callback *on_done,
                          void *context);

/* Once it is done, as long as the survey is there. */
const struct recover_answers *survey_answers(const struct survey *survey);

/* No callback comes after it, and it may be called from inside on_done. NULL is allowed. */
void survey_free(struct survey *survey);

#endif
