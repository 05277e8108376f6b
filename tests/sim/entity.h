/* SPDX-License-Identifier: MIT */
#ifndef SIM_ENTITY_H
#define SIM_ENTITY_H

/*
 * Entities, and ids without any, in the scene's slices. An entity is there from when somebody asks for it: its history
 * is that of a key behind all others, its id is found out from the answer or from a scan.
 *
 *     asked: number, slice, kind  ->  a record {"entity": number, "value": "4711000:vvv"}, of one id  ->  read, update, delete
 *
 * So a put that was carried out twice shows as a number with two ids.
 */

#include "tests/sim/client.h"

void entity_begin(const struct scene *scene);
void entity_end(void);

/* What a client does next: mints, puts, gets, updates, deletes, or scans those of a kind. */
void entity_act(struct skv *kv);

/* All of them, as client_scan does with keys. */
bool entity_scan(struct skv *kv, client_visit *visit, void *context);

/* An id of each slice and an entity in it: false when somebody could not be reached. */
bool entity_try_all(struct skv *kv);

/* --- for who speaks to servers without the library --- */

struct entity_wish {
    uint64_t point;
    struct buffer document;
    uint32_t entity;
    uint32_t key, number; /* of its history */
    uint16_t kind;
};

/* To be put: it is asked now. The document is the caller's. */
void entity_wish(struct entity_wish *wish);

/* With SKV_OK its id is `id`. */
void entity_note(const struct entity_wish *wish, enum skv_status status, uint64_t id);

#endif
