/* SPDX-License-Identifier: MIT */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

/* One run of one command: its arguments, and the cluster once it is needed. */

#include "cli/arguments.h"
#include "cli/failure.h"
#include "libclient/shardkv.h"
#include "proto/map.h"

struct session {
    const char *command; /* "write", for messages */
    const struct arguments *arguments;
    const char *addresses; /* where to look for the cluster: "host:port,host:port" */
    struct skv *kv;        /* NULL until session_open */
};

void session_init(struct session *session, const char *command, const struct arguments *arguments);
void session_fini(struct session *session);

/* Finds the cluster; says why when it cannot. Nothing happens if it is open already. */
enum exit_code session_open(struct session *session);

/* Fails for addresses that are none alone: for commands that ask daemons by name, map or not. */
enum exit_code session_open_without_map(struct session *session);

/* Word `index` of the command; it must be there. */
const char *session_word(const struct session *session, unsigned index);

/* "shardkv: write: ...; see: shardkv help write" */
enum exit_code session_say_usage(const struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes the next of `addresses`. False at the end, or at one that is no host:port. */
bool session_next_address(const char **addresses, struct address *address);

/* The map, from whoever answers first; says why when it cannot be had. */
enum exit_code session_get_map(struct session *session, struct map *map);

/*
 * Asks the bootstrapd among the addresses; a server's refusal of a method that it does not know, or
 * nobody at all at an address, leads to the next one. `params` is an encoded array, empty for none.
 * The session is open.
 */
enum skv_status session_try_bootstrapd(struct session *session, const char *method,
                                       struct bytes params, struct skv_record *result);

/* The same, and says why it failed. */
enum exit_code session_ask_bootstrapd(struct session *session, const char *method,
                                      struct bytes params, struct skv_record *result);

static inline struct bytes session_bytes(struct skv_bytes bytes)
{
    return bytes_of(bytes.data, bytes.len);
}

static inline struct skv_bytes session_skv_bytes(struct bytes bytes)
{
    return (struct skv_bytes){bytes.data, bytes.len};
}

#endif
