/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_STALL_H
#define TORTURE_STALL_H

/*
 * What stall_preload.so is told. The daemon's next sync waits as long as a file is there, beside its data directory:
 *
 *     DATA.stall-log     of log or map store: nothing more becomes durable, so nothing is done or said of it
 *     DATA.stall-tree    of the tree: slices go on, but no transaction ends
 *     DATA.waits         is there while one waits
 *
 * The process goes on meanwhile: syncs are other threads' work.
 */

#define STALL_DATA "TORTURE_DATA" /* the data directory, by the environment */

#define STALL_LOG   ".stall-log"
#define STALL_TREE  ".stall-tree"
#define STALL_WAITS ".waits"

#endif
