#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The limits of DESIGN §3 and §4, met from outside.

setup() {
  load lib
}

teardown() {
  end_cluster
}

@test "a full shard refuses what grows, with used and limit, and goes on with the rest" {
  start_cluster 1KiB
  local i refused=0
  for i in {1..60}; do
    run shardkv write "key$i" "$i"
    if [ "$status" -eq 4 ]; then
      refused=$((refused + 1))
      says 1024
    fi
  done
  [ "$refused" -gt 30 ]
  local kept
  kept=$(shardkv keys | head -1)
  expect 0 shardkv read "$kept"
  expect 0 shardkv write "$kept" 7
  expect 4 shardkv write "$kept" "$(printf 'x%.0s' {1..2000})"
  expect 0 shardkv pop "$kept"
  expect 0 shardkv write "$kept" 8
}

@test "a shard that evicts takes every write, stays within its size and counts what it gave up" {
  start_shardd a
  start_shardd b
  write_map 1KiB
  jq '.shards[].when_full = "evict"' "$home/map.json" >"$home/evict.json"
  mv "$home/evict.json" "$home/map.json"
  start_bootstrapd
  local i
  for i in {1..60}; do
    expect 0 shardkv --timeout 10000 write "key$i" "$i"
  done
  expect 0 shardkv --json status
  jq -e 'all(.servers[].shards[]; .when_full == "evict" and .bytes <= .size)
         and ([.servers[].shards[].evictions] | add) == 60 - ([.servers[].shards[].records] | add)
         and ([.servers[].evictions] | add) == ([.servers[].shards[].evictions] | add)' <<<"$output"
  [ "$(shardkv read key60)" = 60 ]
  # What is larger than the whole shard has no room, whoever goes.
  expect 4 shardkv write large "$(printf 'x%.0s' {1..2000})"
  says 1024
}

# It was refused as full: all that could go was in the tree alone.
@test "a shard that evicts takes a large value although nothing in it is in memory" {
  start_shardd a --log-segment 64KiB --log-size 256KiB
  cat >"$home/map.json" <<END
{ "shards": [ { "name": "all", "start": 0.0, "end": 1.0, "size": "1MiB", "when_full": "evict", "host": "127.0.0.1", "port": $(port a) } ] }
END
  start_bootstrapd
  seq 1 9000 | sed 's/.*/{"key":"small&","value":"a value of some length"}/' >"$home/small.jsonl"
  expect 0 shardkv import "$home/small.jsonl"
  await all_is_in_the_tree
  end TERM a
  start_shardd a
  shardkv --timeout 10000 exists large || [ $? -eq 1 ]
  [ "$(shardkv --json status | jq '.servers[0].hot_records')" -lt 100 ]
  head -c 400000 /dev/zero >"$home/value"
  expect 0 shardkv write large --bytes - <"$home/value"
  expect 0 shardkv --json status
  # No more has gone than was wanted.
  jq -e '.servers[0].shards[0] | .bytes <= .size and .bytes > .size * 15 / 16' <<<"$output"
  [ "$(shardkv read large --raw | wc -c)" -eq 400000 ]
}

# Starts NAME again with files of at most KIB KiB: a limit on the length of files stands for a full disk. The log's
# are prepared within it; the kernel refuses to let the tree grow.
start_on_little_disk() { # NAME KIB
  launch "$1" bash -c "ulimit -S -f $2 && exec shardd --listen $(address "$1") --data $home/$1 --log-segment 1MiB --log-size 8MiB"
}

start_on_full_disk() {
  local name
  start_shardd a
  start_shardd b
  write_map
  start_bootstrapd
  shardkv --timeout 10000 write first 1
  end TERM a b
  for name in a b; do
    start_on_little_disk "$name" 6000
  done
  head -c 500000 /dev/zero >"$home/value"
}

fill() { # FIRST LAST; counts in $refused what was refused
  local i
  refused=0
  for ((i = $1; i <= $2; i++)); do
    local code=0
    output=$(shardkv --timeout 10000 write "key$i" --bytes - <"$home/value" 2>&1) || code=$?
    if [ "$code" -eq 4 ]; then
      refused=$((refused + 1))
      says "disk is full"
    else
      [ "$code" -eq 0 ]
    fi
  done
}

@test "on a full disk growing writes are refused, reads and deletes go on, and then writes again" {
  start_on_full_disk
  fill 1 60
  [ "$refused" -gt 5 ]
  expect 0 shardkv read first
  local i name
  # Enough that what was acknowledged and is in the log alone finds its place in the tree, and more.
  for i in {2..40}; do
    shardkv delete "key$i" || [ $? -eq 1 ]
  done
  # With an identity, as the command line always has: the popped value is kept as its result.
  expect 0 shardkv pop key1
  await shardkv --timeout 10000 write small 1
  # What was acknowledged is there after a crash on the full disk.
  fill 61 140
  [ "$refused" -gt 0 ]
  end KILL a b
  for name in a b; do
    start_on_little_disk "$name" 6000
  done
  [ "$(shardkv --timeout 10000 read small)" = 1 ]
  expect 1 shardkv read key1
  # It started on the full disk, and what makes room goes on.
  for i in {11..140}; do
    shardkv --timeout 10000 delete "key$i" || [ $? -eq 1 ]
  done
  await shardkv --timeout 10000 write again 1
}

# Each server looks for itself, once a second.
all_have_room() {
  shardkv --json status | jq -e 'all(.servers[]; .disk_full == false)'
}

@test "when a full disk has room again, writes are taken again" {
  start_on_full_disk
  fill 1 60
  [ "$refused" -gt 5 ]
  shardkv --json status 2>/dev/null | jq -e 'any(.servers[]; .disk_full)'
  local name
  for name in a b; do
    prlimit --pid "$(pid "$name")" --fsize=unlimited:
  done
  await all_have_room
  fill 1001 1010
  [ "$refused" -eq 0 ]
}

log_waits() {
  shardkv --json status | jq -e '.servers[0].log_queue_bytes > 0'
}

# Its first segment is as short as may be: a map is more than it has room for.
@test "a server whose log waits for room on a full disk ends when it is told to" {
  start_one --log-segment 2MiB --log-size 16MiB
  expect 0 shardkv --timeout 10000 write first 1
  end TERM a
  start_on_little_disk a 100
  sed -i 's/4GiB/5GiB/' "$home/map.json"
  shardkv map apply "$home/map.json" || true
  await log_waits
  kill -TERM "$(pid a)"
  await refute kill -0 "$(pid a)"
  await grep -F "the disk is full: it ends without what has no room" "$home/a.err"
  start_shardd a
  [ "$(shardkv --timeout 10000 read first)" = 1 ]
}

@test "a value larger than the log's limit does not stop the writes behind it" {
  start_one --memory 16MiB --log-segment 64KiB --log-size 256KiB
  head -c 400000 /dev/zero >"$home/value"
  expect 0 shardkv --timeout 10000 write large --bytes - <"$home/value"
  local i
  for i in {1..5}; do
    expect 0 shardkv --timeout 10000 write "key$i" "$i"
    expect 0 shardkv --timeout 10000 write large --bytes - <"$home/value"
  done
  expect 0 shardkv --timeout 10000 delete large
}

@test "10,000 idle connections do not hinder" {
  [ "$(ulimit -Hn)" -ge 10100 ] || ulimit -Hn
  start_cluster
  run /usr/bin/python3 tests/cluster/idle_connections.py "$(address a)" 9990 shardkv -b "$(address a)" write test 1
  echo "$output"
  [ "$status" -eq 0 ]
  says "9990 open"
}

@test "a client that never reads its replies is cut off, and others are served" {
  start_cluster
  run /usr/bin/python3 tests/cluster/never_reads.py "$(address a)"
  echo "$output"
  [ "$status" -eq 0 ]
  says "cut off"
  expect 0 shardkv write test 1
}

@test "garbage, cut requests and wrong arguments are answered or cut off, never more" {
  start_cluster
  run /usr/bin/python3 tests/cluster/bad_bytes.py "$(address a)" "$(address bootstrapd)"
  echo "$output"
  [ "$status" -eq 0 ]
  expect 0 shardkv write test 1
  kill -0 "$(pid a)"
  kill -0 "$(pid bootstrapd)"
}
