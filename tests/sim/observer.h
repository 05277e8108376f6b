/* SPDX-License-Identifier: MIT */
#ifndef SIM_OBSERVER_H
#define SIM_OBSERVER_H

/*
 * The client that watches: it asks for maps, reads keys after each restart, edits the map as a
 * person would; and when the faults are over, it sees that everything works again and adds up.
 */

#include "tests/sim/scene.h"

/* Adds its actor to the scene, as the last one. */
void observer_new(struct scene *scene);

#endif
