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
action id_mint, id_show;
action entity_put, entity_get, entity_update, entity_delete, entity_scan;
action keys_list, import_run, export_run;
action backup_run, backup_verify, restore_run;
action status_show, ping_all, version_show;
action map_commands_get, map_commands_init, map_commands_apply, map_commands_recover, map_log;
action shard_list, shard_resize, shard_reset;
action server_add, server_list, server_drain, server_remove, server_set_address;
action move_start, move_pause, move_resume, move_abort, move_undo, move_throttle, moves_list;
action rebalance_run;
action bench_run;
action log_verify, log_dump, log_salvage;

#endif
