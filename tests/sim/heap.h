/* SPDX-License-Identifier: MIT */
#ifndef SIM_HEAP_H
#define SIM_HEAP_H

/*
 * Whose memory is whose. The simulator is linked with malloc and its like wrapped, so that what is
 * allocated in a node's name goes with its process, as it does when a real one is killed: at any
 * moment, without a destructor running. What belongs to the world itself (packets, disks) is
 * allocated with world_get and given back with world_put.
 */

#include <stddef.h>

struct node;

/* Frees all that the node's process has allocated. */
void heap_drop(const struct node *node);

/* Allocations of the node's process that are alive. */
size_t heap_count(const struct node *node);

/* After the last node is gone. */
void heap_end(void);

/* The world's own: never NULL. world_get is zeroed; world_resize is not. NULL may be put. */
void *world_get(size_t count, size_t len);
void *world_resize(void *memory, size_t len);
void world_put(void *memory);

#endif
