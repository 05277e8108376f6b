/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_TORTURES_H
#define TORTURE_TORTURES_H

/* Fault tests with real processes. Each prints TAP and gives the process's exit status. */

#include <stdbool.h>
#include <stdint.h>

/* kill -9 under load. */
int torture_kill(uint64_t seed, uint32_t round_count);

/* Power cuts, out of recorded runs. `only`: that state alone; UINT32_MAX: all. */
int torture_power(uint64_t seed, uint32_t state_count, uint32_t only);

/* A full disk. `real_count`: so many rounds more on a small file system, where one may be mounted. */
int torture_full(uint64_t seed, uint32_t round_count, uint32_t real_count);

/* Each write and each sync fails once, up to `step` apart. */
int torture_eio(uint64_t seed, uint32_t step);

/* A log with flipped bytes or without its end, at every `step`-th byte. */
int torture_damage(uint64_t seed, uint32_t step);

/* Moves to and fro between three servers under load, and kill -9. */
int torture_move(uint64_t seed, uint32_t seconds);

/* The same, but ways between the daemons are cut instead. */
int torture_links(uint64_t seed, uint32_t seconds);

/* Moves under load, and the package index (the first `stanza_max` of it; 0: all) is as it was. */
int torture_index(uint64_t seed, uint32_t move_count, uint32_t stanza_max);

/* Minting and putting under moves, `kill_count` kills, and clocks that are stepped: no id is given twice. */
int torture_ids(uint64_t seed, uint32_t kill_count);

/* `count` entities, put over a cluster that grows to four servers meanwhile; `durability`: of these, "disk" or "os". */
int torture_entities(uint64_t seed, uint32_t count, const char *durability);

/* Each way cut at each phase of a move; every `step`-th of these, or `only` that one. */
int torture_phases(uint64_t seed, uint32_t step, uint32_t only);

#endif
