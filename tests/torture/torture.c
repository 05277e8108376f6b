/* SPDX-License-Identifier: MIT */

/*
 * Fault tests with real processes.
 *
 *     torture kill   --rounds N              kill -9 under load
 *     torture power  --states N [--only I]   power cuts
 *     torture full   --rounds N [--real N]   a full disk
 *     torture eio    --step N                failing writes and syncs
 *     torture damage --step N                flipped bytes, and logs without their end
 *     torture move   --seconds N             moves to and fro under load, and kill -9
 *     torture links  --seconds N             the same with ways between daemons cut instead
 *     torture phases --step N [--only I]     each way cut at each phase of a move
 *     torture index  --moves N [--stanzas N] moves under load, and the package index as it was
 *     torture ids    --kills N               ids under moves, kill -9 and stepped clocks
 *     torture entities --count N [--durability os]  entities put while two rebalances run
 *
 * --seed S repeats a run as far as the machine's timing allows; a state of `power` and a cut of `phases` are
 * repeated by seed and number (--only). SHARDD names another server program.
 *
 *     torture ─> kill, power, full, eio, damage ─> scene ─> server ─> talk
 *         |        |       '─> rebuild          load ─> judge ─> history, picture ─> operation
 *         |─> move, phases, index ─> crowd ─> chronicle ─> checker of tests/sim
 *         |                          ballast, visitors, mover, view, links ─> cluster ─> server
 *         '─> ids, entities ─> minters, view, clocks ─> cluster
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/torture/scene.h"
#include "tests/torture/tortures.h"

struct settings {
    uint64_t seed;
    uint32_t count; /* of rounds, states, steps */
    uint32_t only;
    uint32_t real_count;
    uint32_t stanza_max;
    const char *durability;
};

static struct settings parse(int argc, char **argv)
{
    const char *seed = getenv("SEED");
    struct settings settings = {.seed = seed ? strtoull(seed, NULL, 0) : 1,
                                .count = 1,
                                .only = UINT32_MAX,
                                .durability = "disk"};
    for (int i = 2; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--real") == 0) {
            settings.real_count = (uint32_t)strtoul(value, NULL, 0);
        } else if (strcmp(argv[i], "--stanzas") == 0) {
            settings.stanza_max = (uint32_t)strtoul(value, NULL, 0);
        } else if (strcmp(argv[i], "--durability") == 0) {
            settings.durability = value;
        } else if (strcmp(argv[i], "--seed") == 0) {
            settings.seed = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--only") == 0) {
            settings.only = (uint32_t)strtoul(value, NULL, 0);
        } else {
            settings.count = (uint32_t)strtoul(value, NULL, 0);
        }
    }
    return settings;
}

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "";
    struct settings settings = parse(argc, argv);
    if (strcmp(which, "kill") == 0) {
        return torture_kill(settings.seed, settings.count);
    }
    if (strcmp(which, "damage") == 0) {
        return torture_damage(settings.seed, settings.count);
    }
    if (strcmp(which, "move") == 0) {
        return torture_move(settings.seed, settings.count);
    }
    if (strcmp(which, "links") == 0) {
        return torture_links(settings.seed, settings.count);
    }
    if (strcmp(which, "index") == 0) {
        return torture_index(settings.seed, settings.count, settings.stanza_max);
    }
    if (strcmp(which, "ids") == 0) {
        return torture_ids(settings.seed, settings.count);
    }
    if (strcmp(which, "entities") == 0) {
        return torture_entities(settings.seed, settings.count, settings.durability);
    }
    if (scene_is_sanitized()) {
        printf("1..0 # SKIP a preloaded library and the sanitizers do not go together\n");
        return EXIT_SUCCESS;
    }
    if (strcmp(which, "phases") == 0) {
        return torture_phases(settings.seed, settings.count, settings.only);
    }
    if (strcmp(which, "power") == 0) {
        return torture_power(settings.seed, settings.count, settings.only);
    }
    if (strcmp(which, "full") == 0) {
        return torture_full(settings.seed, settings.count, settings.real_count);
    }
    if (strcmp(which, "eio") == 0) {
        return torture_eio(settings.seed, settings.count);
    }
    (void)fprintf(stderr,
                  "usage: torture kill|power|full|eio|damage|move|links|phases|index|ids|entities, "
                  "see tests/torture/torture.c\n");
    return 2;
}
