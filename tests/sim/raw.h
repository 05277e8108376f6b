/* SPDX-License-Identifier: MIT */
#ifndef SIM_RAW_H
#define SIM_RAW_H

/*
 * Clients that speak the protocol themselves, to do what the library never does: the doubler sends
 * one request (RULES Q1) on two connections, the second time early or late; the dawdler begins a
 * message and does not go on.
 */

#include "tests/sim/scene.h"

/* Each adds its actor to the scene. */
void doubler_new(struct scene *scene);
void dawdler_new(struct scene *scene);

#endif
