/* SPDX-License-Identifier: MIT */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

/* What a peer may send and a record may be. Every decoder bounds by these before it allocates. */

#include <stdint.h>

#define KEY_LEN_MAX      480        /* bytes; 8 of point, 2 of table and LMDB's 511 leave 501 */
#define VALUE_LEN_MAX    (8u << 20) /* bytes of one encoded MessagePack object */
#define FRAME_LEN_MAX    ((8u << 20) + (64u << 10)) /* bytes of a whole request or response */
#define DEPTH_MAX        32                         /* nested arrays and maps of one value */
#define RECORD_OVERHEAD  64         /* bytes that a record counts for beyond key and value */
#define RETRY_OPEN_MAX   512        /* results kept per client and server (RULES Q2) */
#define RETRY_DONE_LAST  UINT64_MAX /* `done` of a client of which nothing comes any more */
#define SCAN_RECORDS_MAX 4096       /* records in one reply of `scan` */
#define SCAN_BYTES_MAX   (1u << 20) /* bytes in one reply of `scan`, but always one record */
#define NAME_LEN_MAX     63         /* bytes of a shard's or a table's name */
#define HOST_LEN_MAX     253        /* bytes of a host name (RFC 1035) */
#define ID_LEN           16         /* random ids of clusters, servers and clients */
#define TTL_MS_MAX       (UINT64_C(1) << 46) /* 2,231 years: now and it fit a stamp's 48 bits */

#endif
