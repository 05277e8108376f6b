#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# An old copy of bootstrapd's directory was restored: its map is put together again from the servers (RULES M4).

setup() {
  load lib
  load moving
}

teardown() {
  end_cluster
}

# Servers a and b have half of the circle each, c has nothing; `before` has 2,000 records.
start_three() {
  start_cluster
  start_shardd c
  fill 2000
  export_to before
}

# A copy of bootstrapd's directory, as it stands.
copy_directory() {
  end KILL bootstrapd
  cp -a "$home/bootstrapd" "$home/copy"
  start_bootstrapd
}

change_map() {
  shardkv server add "$(address c)" --capacity 8GiB >/dev/null
  shardkv --timeout 20000 move low --to "$(address c)" >/dev/null
  shardkv --timeout 20000 move high --to "$(address c)" --part 0.25 >/dev/null
  shardkv shard resize low 2GiB >/dev/null
}

restore_directory() {
  end KILL bootstrapd
  rm -rf "$home/bootstrapd"
  cp -a "$home/copy" "$home/bootstrapd"
  start_bootstrapd
}

# But for what recovery raises, and who starts when.
map_without_numbers() {
  shardkv --json map get | jq -S 'del(.revision, .instance, .shards[].epoch)'
}

is_refused_as_a_copy() {
  says_so "shardkv map recover" shardkv --timeout 1000 status
}

is_serving() {
  shardkv --json status | jq -e '.problem == null and all(.servers[]; .state == "serving")'
}

@test "a map that was restored from an old copy is put together from the servers" {
  start_three
  copy_directory
  change_map
  map_without_numbers >"$home/map.before"
  restore_directory
  await is_refused_as_a_copy
  expect 4 shardkv shard resize low 3GiB
  says "shardkv map recover"
  # The servers serve what they have meanwhile.
  is_as_before
  expect 0 shardkv map recover --dry-run
  says "shard low: 0.0 to 0.5, 2GiB, on server $(address c)"
  says "nothing was changed"
  expect 4 shardkv shard resize low 3GiB
  expect 0 shardkv map recover
  says "recovered from the servers: 3 maps"
  await is_serving
  map_without_numbers >"$home/map.after"
  diff "$home/map.before" "$home/map.after"
  is_as_before
  expect 0 shardkv map log
  says "recovered from the servers"
  expect 0 shardkv map recover
  says "nothing to recover"
  # Changes and moves work again, and so does bootstrapd's next start.
  expect 0 shardkv shard resize low 3GiB
  expect 0 shardkv --timeout 20000 move low --to "$(address a)"
  end KILL bootstrapd
  start_bootstrapd
  await is_serving
  owns a low
  is_as_before
  # The directory that was lost comes back: the servers know better.
  end KILL bootstrapd
  mv "$home/bootstrapd" "$home/recovered"
  cp -a "$home/copy" "$home/bootstrapd"
  start_bootstrapd
  await is_refused_as_a_copy
}

@test "a copy that was started less often than the lost directory is recovered, too" {
  start_three
  copy_directory
  change_map
  end KILL bootstrapd
  start_bootstrapd
  end KILL bootstrapd
  start_bootstrapd
  await is_serving
  restore_directory
  await is_refused_as_a_copy
  expect 4 shardkv shard resize low 3GiB
  expect 0 shardkv map recover
  await is_serving
  owns c low
  is_as_before
  expect 0 shardkv shard resize low 3GiB
}

@test "without a server that may know more it is recovered only when that is accepted" {
  start_three
  copy_directory
  change_map
  end KILL b bootstrapd
  restore_directory
  await is_refused_as_a_copy
  expect 4 shardkv map recover
  says "not in reach: $(address b)"
  says "--accept-missing"
  expect 0 shardkv map recover --accept-missing
  says "given up: what only these servers knew"
  start_shardd b
  await is_serving
  is_as_before
}

# The same answers, whatever is asked for: nobody knows whether there is a newer map.
is_refused_for_nobody() {
  local option
  for option in "" --dry-run; do
    expect 4 shardkv map recover ${option:+"$option"}
    says "not in reach: "
    says "$(address a) ("
    says "$(address b) ("
    says "--accept-missing"
    expect 4 shardkv map recover --accept-missing ${option:+"$option"}
    says "no server has answered"
    says "$(address b) ("
  done
}

@test "that there is nothing to recover is said only if servers have answered" {
  start_cluster
  expect 0 shardkv map recover
  says "nothing to recover"
  end KILL b
  expect 4 shardkv map recover
  says "not in reach: $(address b)"
  expect 0 shardkv map recover --accept-missing
  says "nothing to recover"
  end KILL a
  is_refused_for_nobody
}

# At the same addresses; everything is at rest afterwards.
set_aside() { # FOLDER
  end KILL bootstrapd a b
  mkdir "$home/$1"
  mv "$home/bootstrapd" "$home/a" "$home/b" "$home/$1"
}

@test "from servers of another cluster nothing is known" {
  start_cluster
  set_aside first
  start_cluster
  set_aside second
  mv "$home/first/bootstrapd" "$home/bootstrapd"
  mv "$home/second/a" "$home/second/b" "$home"
  start_shardd a
  start_shardd b
  start_bootstrapd
  is_refused_for_nobody
}

holds_size() { # NAME SIZE
  shardkv -b "$(address "$1")" map get | grep -F "\"$2\""
}

@test "a size that a copy gave while nobody answered is put back, and named" {
  start_cluster
  copy_directory
  shardkv shard resize low 2GiB >/dev/null
  shardkv shard resize high 4GiB >/dev/null
  await holds_size a 4GiB
  await holds_size b 4GiB
  end KILL a b
  restore_directory
  expect 0 shardkv shard resize low 3GiB
  start_shardd a
  start_shardd b
  await is_refused_as_a_copy
  expect 0 shardkv map recover --dry-run
  says "shard low: 0.0 to 0.5, 2GiB, on server $(address a)"
  says "size 3GiB -> 2GiB"
  expect 0 shardkv map recover
  says "size 3GiB -> 2GiB"
  await is_serving
  holds_size bootstrapd 2GiB
}

@test "a copy is not recovered while another bootstrapd is at work" {
  start_three
  cp -a "$home/bootstrapd" "$home/copy"
  launch second bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/copy"
  change_map
  expect 4 shardkv -b "$(address second)" map recover
  says "another bootstrapd is at work"
  await is_serving
}

@test "a move that goes on is gone on with after a recovery" {
  start_three
  copy_directory
  shardkv server add "$(address c)" >/dev/null
  number=$(shardkv --json move low --to "$(address c)" --rate 1KB --detach | jq .move)
  await is_move "$number" '.records > 0'
  restore_directory
  await is_refused_as_a_copy
  expect 0 shardkv map recover
  await says_so going shardkv moves
  await owns c low
  await is_serving
  is_as_before
}

# The source holds requests, the target has all: bootstrapd dies before it commits, or the target before it opens.
recover_at() { # READY|COMMITTED
  start_three_stalling 2000
  end KILL bootstrapd
  cp -a "$home/bootstrapd" "$home/copy"
  start_bootstrapd_stalling
  "$1"
  end KILL bootstrapd
  forget_stall bootstrapd
  restore_directory
  unstall c
  await is_refused_as_a_copy
  expect 0 shardkv map recover
  await owns c low
  await is_serving
  is_as_before
}

@test "a move whose requests are held is decided after a recovery" {
  recover_at reach_ready
}

@test "a move that was decided, and told to the servers, stays so after a recovery" {
  recover_at reach_committed
}
