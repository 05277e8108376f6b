/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_SCENE_H
#define TORTURE_SCENE_H

/*
 * What the tortures share: where the programs are, a data directory of their own, a server in it.
 *
 *     build/bin/shardd                       or SHARDD from the environment
 *     build/tests/torture/torture            this program
 *     build/tests/torture/NAME_preload.so
 */

#include "tests/torture/picture.h"
#include "tests/torture/server.h"
#include "tests/torture/tap.h"
#include "tests/unit/dice.h"

enum { SCENE_PATH_LEN = 512, SCENE_SETTINGS_MAX = 4 };

struct scene {
    struct tap tap;
    bool is_quiet; /* a violation is what is wanted: nothing is said of it */
    uint64_t seed;
    char shardd[SCENE_PATH_LEN];
    char torture[SCENE_PATH_LEN]; /* the folder of this program */
    char home[SCENE_PATH_LEN];    /* a scratch folder in memory */
    char data[SCENE_PATH_LEN + 16];
    bool has_durability, has_memory, has_log_segment, has_log_size;
    char settings[SCENE_SETTINGS_MAX][64]; /* what config's arguments point at */
    struct server_config config;
    struct server server;
};

/* `is_in_memory`: the data directory is in /dev/shm, if there is one. */
void scene_init(struct scene *scene, uint64_t seed, bool is_in_memory);

/* Ends the server and removes the files. The process's exit status. */
int scene_end(struct scene *scene);

/* The server's level and sizes, as far as it has options for them; choice 0: the smallest log and memory. */
enum { SCENE_CHOICES = 9 };
void scene_set_settings(struct scene *scene, uint32_t choice, bool is_os);
void scene_draw_settings(struct scene *scene, struct dice *dice, bool is_os);

/* A library to be loaded first, with NAME=VALUE of its own; they must outlive it. Ends with NULL. */
void scene_preload(struct scene *scene, char preload[SCENE_PATH_LEN + 32], const char *name,
                   const char *const *environment);

/* Started and ready; else false, and its words are printed. */
bool scene_start(struct scene *scene);

/* Ends a server that gives no answer, prints its last words, and tells whether it had ended before. */
const char *scene_why_silent(struct scene *scene);

/* An empty data directory. */
void scene_clear(struct scene *scene);

/* A file or a folder and all that is in it. */
void scene_remove(const char *path);

/* For whoever looks into a fault: copies these of the scratch folder ("trace data") to TMPDIR/torture-NAME, and says so. */
void scene_keep(const struct scene *scene, const char *what, const char *name);

/* All records of the running server. False: said why. */
bool scene_picture(struct scene *scene, uint32_t key_count, struct picture *picture);

/* Preloaded libraries and the sanitizers' own do not go together. */
bool scene_is_sanitized(void);

#endif
