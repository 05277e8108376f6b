/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_SERVER_H
#define TORTURE_SERVER_H

/*
 * A real shardd as a process of its own, started in milliseconds, with or without a library that is
 * loaded before others; and the bootstrapd's part towards it: one map, two shards, both its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct talk;

enum { SERVER_ARGUMENTS_MAX = 12, SERVER_ENVIRONMENT_MAX = 8, SERVER_WORDS_LEN = 4096 };

struct server_config {
    const char *program;
    const char *data;
    const char *arguments[SERVER_ARGUMENTS_MAX + 1];     /* further ones, NULL behind them */
    const char *environment[SERVER_ENVIRONMENT_MAX + 1]; /* NAME=VALUE, added */
    const char *listen;                                  /* NULL: 127.0.0.1, any port */
    const char *words_path; /* what it says is appended there, too; NULL: nowhere */
    int net;                /* the network namespace that it starts in; 0: this one */
};

struct server {
    pid_t pid; /* 0: none runs */
    int words; /* its standard error */
    uint16_t port;
    FILE *copy;                  /* of its words; NULL: none */
    char said[SERVER_WORDS_LEN]; /* as far as it was read */
    size_t said_len;
};

/* Whether `shardd --help` names it. `option` without its dashes. */
bool server_has_option(const char *program, const char *option);

/* Returns at once: see server_await. */
void server_spawn(struct server *server, const struct server_config *config);

/* Until it is ready. False: it has ended, or said nothing for a minute; server->said tells what it said. */
bool server_await(struct server *server);

/* Takes in what it said meanwhile: one that is not heard stops when the pipe is full. False: it has ended. */
bool server_hear(struct server *server);

void server_signal(const struct server *server, int signal_number);

/* Until the process has ended; its status as waitpid gives it. -1: not within ten seconds; it was killed. */
int server_reap(struct server *server);

/* kill -9, and its end. */
void server_kill(struct server *server);

/*
 * Founds the cluster, or goes on with it: greets as a bootstrapd and pushes the map. `is_new`: the
 * server may open its shards empty. False with `error` filled.
 */
bool server_found(struct server *server, bool is_new, uint64_t size, char *error, size_t error_len);

#endif
