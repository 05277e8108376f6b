/* SPDX-License-Identifier: MIT */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

/*
 * Clients that use the library as a program would, and write down what they asked and were told.
 */

#include "libclient/shardkv.h"
#include "tests/sim/history.h"
#include "tests/sim/scene.h"

struct client;

/* Adds its actor to the scene. */
struct client *client_new(struct scene *scene, uint32_t number);
void client_free(struct client *client);

/* --- also for the observer --- */

/* Opens until it works or `deadline_us` has come; then NULL. */
struct skv *client_open(const struct scene *scene, uint32_t timeout_ms, uint64_t deadline_us);

/* What an operation of the history came to. `record` may be NULL. */
void client_note(uint32_t key, uint32_t number, enum skv_status status,
                 const struct skv_record *record);

/* Of the seed's lengths, or none. */
void client_draw_time_to_live(struct operation *operation);

/* Reads several keys in one batch. False unless each got an answer. */
bool client_read_keys(struct skv *kv, const uint32_t *keys, uint32_t key_count);

/*
 * Scans the whole, each key and entity of which counts as a read of it. False unless it reached the end. `visit`
 * may be NULL.
 */
typedef void client_visit(void *context, const struct skv_record *record);
bool client_scan(struct skv *kv, client_visit *visit, void *context);

#endif
