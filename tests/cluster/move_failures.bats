#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What may go wrong with a move: each has an outcome, and a message that tells of it.

setup() {
  load lib
  load moving
}

teardown() {
  end_cluster
}

ends_as() { # COURSE
  await is_move "$number" ".course == \"$1\""
}

@test "target full: each try says so, the range stays with its source, and goes when there is room" {
  start_shardd a
  start_shardd b
  launch c bash -c "ulimit -S -f 3000 && exec shardd --listen 127.0.0.1:0 --data $home/c --log-segment 256KiB --log-size 1MiB"
  write_map
  start_bootstrapd
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
  shardkv server add "$(address c)" >/dev/null
  fill 60000
  export_to before
  start_move
  # The source tells what it was refused, the target why it refused: whichever is heard first.
  await says_so "this server's disk is full)" shardkv moves
  await is_move "$number" '.course == "going" and .tries > 2'
  owns a low
  is_as_before
  # What came is gone before the next try.
  prlimit --pid "$(pid c)" --fsize=unlimited:
  ends_as "done"
  owns c low
  is_as_before
}

@test "source killed while its requests are held: the target has all, so it opens" {
  start_three_stalling
  reach_frozen
  end KILL a
  unstall c
  await owns c low
  start_stalling a
  ends_as "done"
  is_as_before
}

@test "target killed while it stores READY: it is begun anew, and done" {
  start_three_stalling
  reach_frozen
  end KILL c
  forget_stall c
  start_stalling c
  ends_as "done"
  owns c low
  is_as_before
}

@test "target killed when all is ready: it opens when it is back, and nobody else does meanwhile" {
  start_three_stalling
  reach_ready
  end KILL c
  unstall bootstrapd
  await is_in_phase committed
  await says_so "waits for the target, $(address c): down" shardkv moves
  # Neither of both serves: whoever asks hears that it cannot be now, not that nothing is there.
  expect 3 shardkv --timeout 300 read key1
  run shardkv move abort "$number"
  says "is committed: undo it, or let it end"
  start_stalling c
  ends_as "done"
  owns c low
  is_as_before
}

@test "bootstrapd killed while it commits: it goes on by what its map says" {
  start_three_stalling
  reach_ready
  end KILL bootstrapd
  forget_stall bootstrapd
  start_bootstrapd_stalling
  ends_as "done"
  owns c low
  is_as_before
}

# The target sleeps when it is committed, and dies: what was sent to it dies with it.
reach_committed_without_target() {
  reach_ready
  kill -STOP "$(pid c)"
  unstall bootstrapd
  await is_in_phase committed
}

@test "undo: a target that was not told in time gives the range back, and the move is undone" {
  start_three_stalling
  reach_committed_without_target
  expect 0 shardkv move undo "$number"
  says "is asked to be undone"
  await is_in_phase undo
  end KILL c
  start_stalling c
  ends_as undone
  owns a low
  is_as_before
  expect 0 shardkv map log
  says "the target is asked to give it back"
  says "undone: the source has the range again"
  await says_so "nothing moves" shardkv moves
  # Nothing of it is left at the target, and it can have the range as before.
  expect 0 shardkv move low --to "$(address c)"
  is_as_before
}

@test "undo: once the target has opened it is refused, with the way back" {
  start_three_stalling
  reach_committed
  stall a log
  unstall c
  await is_in_phase opened
  expect 4 shardkv move undo "$number"
  says "the target has opened: move the range back"
  expect 4 shardkv move undo "$number" --accept-loss
  says "the target has opened: move the range back"
  unstall a
  ends_as "done"
  is_as_before
}

@test "undo --accept-loss: a target that is gone for good gives nothing back, and the source goes on" {
  start_three_stalling
  reach_committed_without_target
  end KILL c
  expect 0 shardkv move undo "$number"
  await is_in_phase undo
  # It waits for the target: that may have opened.
  expect 0 shardkv moves
  says "$number"
  expect 0 shardkv move undo "$number" --accept-loss
  ends_as undone
  owns a low
  is_as_before
  # A target that comes back after all has nothing to say about it.
  start_stalling c
  await is_up c
  is_as_before
  expect 0 shardkv move low --to "$(address c)"
  is_as_before
}

@test "an older map restored: it is said, nothing is changed, and the target goes on serving" {
  start_three_stalling
  reach_copying
  end TERM bootstrapd
  cp -r "$home/bootstrapd" "$home/older"
  start_bootstrapd_stalling
  shardkv move throttle "$number" 0
  ends_as "done"
  owns c low
  end TERM bootstrapd
  mv "$home/bootstrapd" "$home/newer"
  mv "$home/older" "$home/bootstrapd"
  start_bootstrapd_stalling
  # Started as often as the newer one, it is taken for a copy beside that; once more, and it is seen what it is.
  await says_so "it runs on a copy of the other's directory" shardkv status
  end TERM bootstrapd
  start_bootstrapd_stalling
  await says_so "an old copy of it was restored" shardkv status
  expect 4 shardkv move high --to "$(address c)"
  says "an old copy of it was restored"
  # By what the servers say themselves.
  export SHARDKV_BOOTSTRAP
  SHARDKV_BOOTSTRAP=$(address b)
  is_as_before
  expect 0 shardkv write while-behind 1
  expect 0 shardkv delete while-behind
  SHARDKV_BOOTSTRAP=$(address bootstrapd)
  end TERM bootstrapd
  rm -r "$home/bootstrapd"
  mv "$home/newer" "$home/bootstrapd"
  start_bootstrapd_stalling
  await says_so "it runs on a copy of the other's directory" shardkv status
  end TERM bootstrapd
  start_bootstrapd_stalling
  await is_up c
  expect 0 shardkv move high --to "$(address c)"
  is_as_before
}

@test "source whose disk vanished after commit: the target has all, and when the source is removed the move is over" {
  start_three_stalling
  reach_committed
  end KILL a
  rm -r "$home/a"
  forget_stall a
  unstall c
  await owns c low
  is_as_before
  await says_so "open: waits for the source, $(address a): down" shardkv moves
  # Another disk at its address is not taken for it.
  start_stalling a
  await says_so "owns nothing: remove that one to add this one" shardkv server list
  is_as_before
  await says_so "open: waits for the source, $(address a): refused" shardkv moves
  expect 0 shardkv server remove "$(address a)"
  ends_as "done"
  expect 0 shardkv map log
  says "done: the source is removed, its copy is not looked at"
  expect 0 shardkv server add "$(address a)"
  expect 0 shardkv move low --to "$(address a)"
  is_as_before
}

@test "two bootstrapds: the second is refused, and the move of the first goes on" {
  start_three_stalling
  reach_copying
  cp -r "$home/bootstrapd" "$home/copy"
  launch second bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/copy"
  SHARDKV_BOOTSTRAP=$(address second) await says_so refused shardkv --timeout 500 status
  # It has the move in its map, too, and can do nothing about it.
  SHARDKV_BOOTSTRAP=$(address second) run shardkv --timeout 1000 move abort "$number"
  is_move "$number" '.course == "going" and .tries == 1'
  shardkv move throttle "$number" 0
  ends_as "done"
  owns c low
  is_as_before
}

start_clock() { # NAME AHEAD_MS
  launch "$1" env LD_PRELOAD="$(preload clock)" TORTURE_CLOCK_MS="$2" \
    shardd --listen "$(listen_of "$1")" --data "$home/$1"
}

@test "clocks apart: seconds are told, minutes are refused, and --force moves all the same" {
  skip_if_sanitized
  start_shardd a
  start_shardd b
  start_clock c 5000
  write_map
  start_bootstrapd
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
  shardkv server add "$(address c)" >/dev/null
  fill 4000
  export_to before
  expect 0 shardkv move low --to "$(address c)"
  expect 0 shardkv map log
  grep -qE 'the clocks of source and target are [45][0-9]{3} ms apart' <<<"$output"
  end TERM c
  start_clock c 120000
  await is_up c
  expect 4 shardkv --timeout 10000 move high --to "$(address c)"
  says "the clocks of source and target are"
  owns b high
  expect 0 shardkv move high --to "$(address c)" --force
  owns c high
  is_as_before
}

@test "a copy that cannot be read again is kept, and moves say why" {
  start_three_stalling
  await all_is_in_the_tree
  reach_committed
  flip_in_tree "the value of 17 and"
  unstall c
  await is_in_phase opened
  await says_so "copy is kept" shardkv moves
  expect 0 shardkv moves
  says "open: the source's copy is kept: "
  is_as_before
  # Whoever wants no more of it removes the source.
  expect 0 shardkv server remove "$(address a)"
  ends_as "done"
  is_as_before
}

@test "aborted: when the move is over, its shard shows nothing of it" {
  start_three_stalling
  reach_copying
  is_in_phase copy
  expect 0 shardkv move abort "$number"
  ends_as aborted
  await says_so "nothing moves" shardkv moves
  shardkv --json shard list | jq -e 'all(.shards[]; .move == null)'
}
