/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_FULL_H
#define TORTURE_FULL_H

/* What full_preload.so is told, by the environment. */

#define FULL_DATA   "TORTURE_DATA"   /* the data directory */
#define FULL_BUDGET "TORTURE_BUDGET" /* a file: bytes that all files in it may have together */
#define FULL_SHORT  "TORTURE_SHORT"  /* if set: what still fits of a write is written */

#endif
