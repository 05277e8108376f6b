#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What `shardkv status` shows of servers and shards, and how --watch follows.

setup_file() {
  export CLUSTER_HOME=$BATS_FILE_TMPDIR
  load lib
  start_cluster
}

setup() {
  load lib
}

teardown_file() {
  load lib
  end_cluster
}

numbers='["hot_bytes", "table_bytes", "dirty_bytes", "log_queue_bytes", "output_bytes", "input_bytes",
  "scan_bytes", "waiting_bytes", "moving_bytes", "results_bytes", "memory_limit", "hot_records", "dirty_records", "cold_reads", "evictions", "expirations", "log_bytes",
  "log_limit", "sync_p50_us", "sync_p99_us", "sync_max_us",
  "group_p50_bytes", "group_p99_bytes", "cpu_user_ms", "cpu_system_ms",
  "tree_used_bytes", "tree_reusable_bytes", "tree_file_bytes", "disk_free_bytes", "connections",
  "clock_behind_ms", "ids_ahead_ms"]'

@test "json has every number of every server, and stamps as strings" {
  shardkv write counted 1
  expect 0 shardkv --json status
  [ "$(wc -l <<<"$output")" -eq 1 ]
  jq -e --argjson names "$numbers" \
    'all(.servers[]; . as $server | all($names[]; $server[.] | type == "number"))' <<<"$output"
  jq -e 'all(.servers[] | .stamp, .durable_stamp, .applied_stamp; type == "string")' <<<"$output"
  jq -e 'all(.servers[]; .durability == "disk" and .disk_full == false and .warnings == [])' <<<"$output"
  jq -e 'all(.servers[]; .disk_free_bytes > 0 and .memory_limit > 0)' <<<"$output"
  jq -e 'all(.servers[].shards[]; .when_full == "reject" and .evictions == 0 and .expirations >= 0)' <<<"$output"
  jq -e '[.servers[].shards[].records] | add >= 1' <<<"$output"
}

@test "the table has a row for each shard, and lines for each server" {
  expect 0 shardkv status
  says SHARD
  says EVICTED
  says reject
  local row
  for row in memory records log stamps sync group cpu tree disk network clock; do
    [ "$(grep -cE "^  $row +[a-z]" <<<"$output")" -eq 2 ]
  done
  says "durability disk"
}

@test "a shard's when_full is set by map apply, and shown by map get and status" {
  shardkv map get >"$BATS_TEST_TMPDIR/map.json"
  jq '(.shards[] | select(.name == "low")).when_full = "evict"' "$BATS_TEST_TMPDIR/map.json" >"$BATS_TEST_TMPDIR/evict.json"
  expect 0 shardkv map apply "$BATS_TEST_TMPDIR/evict.json"
  says evict
  shardkv map get | jq -e '.shards[] | select(.name == "low") | .when_full == "evict"'
  # The map reaches the servers soon after.
  local end=$((SECONDS + 20))
  until shardkv --json status | jq -e '[.servers[].shards[] | select(.name == "low")][0].when_full == "evict"'; do
    [ $SECONDS -lt $end ]
  done
  expect 0 shardkv status
  says evict
  jq '(.shards[] | select(.name == "low")).when_full = "drop"' "$BATS_TEST_TMPDIR/map.json" >"$BATS_TEST_TMPDIR/wrong.json"
  expect 2 shardkv map apply "$BATS_TEST_TMPDIR/wrong.json"
  says when_full
}

@test "--watch --count shows it so often and ends; json is one object per line" {
  expect 0 shardkv --json status --watch 1 --count 3
  [ "${#lines[@]}" -eq 3 ]
  local line
  for line in "${lines[@]}"; do
    jq -e '.servers | length == 2' <<<"$line"
  done
  expect 0 shardkv status --watch --count 2
  [ "$(grep -c '^map revision' <<<"$output")" -eq 2 ]
}

@test "--watch follows until it is interrupted" {
  local out=$BATS_TEST_TMPDIR/watched
  shardkv --json status --watch >"$out" 3>&- &
  local watcher=$!
  # Two lines have come, one second apart: it goes on by itself.
  timeout 20 tail -n +1 -F --pid=$watcher "$out" 2>/dev/null 3>&- | head -n 2 >"$out.first"
  [ "$(wc -l <"$out.first")" -eq 2 ]
  kill -TERM $watcher
  local status=0
  wait $watcher || status=$?
  [ "$status" -eq $((128 + 15)) ]
}

@test "what does not go together is usage" {
  expect 2 shardkv status --count 3
  expect 2 shardkv status --watch 100000
  expect 2 shardkv status --watch=0
  expect 2 shardkv status 5
}

@test "a silent server is down, with what the map knows of it" {
  end KILL b
  expect 3 shardkv --json status
  # The line of the problem stands behind, from standard error.
  jq -e '[.servers[] | select(.state == "down")] | length == 1 and .[0].hot_bytes == null and .[0].durability == null
         and .[0].shards[0].when_full == "reject" and .[0].shards[0].evictions == null' <<<"${lines[0]}"
  expect 3 shardkv status
  says down
  start_shardd b
}
