/* SPDX-License-Identifier: MIT */
#ifndef CLI_ACTIONS_H
#define CLI_ACTIONS_H

/*
 * What the commands do, by the file in which they stand. Each prints its result on standard output,
 * a failure as one line on standard error, and returns how it ended.
 */

#include "cli/session.h"

typedef enum exit_code action(struct session *session);

action data_write, data_read, data_pop, data_delete, data_exists, data_incr, data_expire;
action keys_list, import_run, export_run;
action status_show, ping_all, version_show;
action map_commands_get, map_commands_init, map_commands_apply, shard_reset;
action bench_run;
action log_verify, log_dump, log_salvage;

#endif
