/* SPDX-License-Identifier: MIT */
#ifndef BOOTSTRAPD_SLOT_H
#define BOOTSTRAPD_SLOT_H

/*
 * One slot of the map store, as bytes; no I/O here.
 *
 *     0   8 bytes, "skvmap\r\n"
 *     8   u32 format, 1
 *     12  u32 payload length
 *     16  u64 sequence: raised by one with each write, so the higher valid slot is the newer
 *     24  u64 XXH3_64 of the payload
 *     32  u64 XXH3_64 of bytes 0..31: the length is trusted only after it
 *     40  the payload; what lies behind it is not looked at
 *     all little-endian; later formats keep bytes 0..11 and 32..39 where they are
 */

#include "proto/buffer.h"

#define SLOT_FORMAT     1
#define SLOT_HEADER_LEN 40

enum slot_fault { SLOT_FINE, SLOT_DAMAGED /* or never written */, SLOT_NEWER_FORMAT };

struct slot {
    uint64_t sequence;
    struct bytes payload; /* points into what was decoded */
};

/* Appends a slot; payload.len fits 32 bits. */
void slot_encode(const struct slot *slot, struct buffer *out);

/* *slot is untouched unless SLOT_FINE. */
enum slot_fault slot_decode(struct bytes stored, struct slot *slot);

#endif
