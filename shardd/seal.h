/* SPDX-License-Identifier: MIT */
#ifndef SHARDD_SEAL_H
#define SHARDD_SEAL_H

/*
 * The envelope of every stored value that is not a record: LMDB 0.9 pages carry no checksum
 * (RULES S10), and a later version must be told from damage.
 *
 *     0   u64 LE  checksum: XXH3_64 of all behind it, plus XXH3_64 of the key it is stored under
 *     8   u8      format, from 1
 *     9   the payload: MessagePack
 */

#include "proto/buffer.h"

#define SEAL_LEN 9

/* Empties `out` and leaves room for the seal; the caller appends the payload. */
void seal_begin(struct buffer *out, uint8_t format);

/* Fills in the checksum. Ends the process when `out` failed to get memory. */
void seal_end(struct buffer *out, struct bytes key);

enum seal_fault { SEAL_FINE, SEAL_DAMAGED, SEAL_NEWER_FORMAT };

/* *payload points into `stored`; untouched unless SEAL_FINE. `format` is the newest that is understood. */
enum seal_fault seal_open(struct bytes stored, struct bytes key, uint8_t format,
                          struct bytes *payload);

#endif
