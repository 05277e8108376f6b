/* SPDX-License-Identifier: MIT */
#ifndef SIM_LOGVIEW_H
#define SIM_LOGVIEW_H

/*
 * What a server's log says, read from its disk with nothing but proto/: to tell how a recovery finds it,
 * and that a second recovery finds what the first one left (RULES L4).
 */

#include <stdbool.h>
#include <stdint.h>

struct disk;

struct logview {
    bool is_there;
    bool is_torn;         /* a record at its end was not written whole */
    bool is_stopped;      /* cleanly */
    uint32_t clear_count; /* intervals that were emptied */
    uint32_t state_count; /* changes of the control state */
    uint32_t eviction_count;
    uint32_t expiration_count;
    uint32_t touch_count;
    /*
     * Of all that has a stamp, in order. Control state counts by its stamp: recovery puts the newest in
     * place of an older one.
     */
    uint64_t digest;
    uint64_t last; /* stamp */
};

/* A log that is damaged shows up to there; that is for the server to refuse. */
void logview_look(const struct disk *disk, struct logview *view);

#endif
