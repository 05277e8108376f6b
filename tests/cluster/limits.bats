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

# A limit on the length of files stands for a full disk: the kernel refuses to let the tree grow.
@test "on a full disk growing writes are refused, reads and deletes go on, and then writes again" {
  start_shardd a
  start_shardd b
  write_map
  start_bootstrapd
  shardkv --timeout 10000 write first 1
  end TERM a b
  local name i refused=0
  for name in a b; do
    launch "$name" bash -c "ulimit -f 6000 && exec shardd --listen $(address $name) --data $home/$name"
  done
  head -c 500000 /dev/zero >"$home/value"
  for i in {1..40}; do
    run shardkv --timeout 10000 write "key$i" --bytes - <"$home/value"
    if [ "$status" -eq 4 ]; then
      refused=$((refused + 1))
      says "disk is full"
    else
      [ "$status" -eq 0 ]
    fi
  done
  [ "$refused" -gt 5 ]
  expect 0 shardkv read first
  for i in {2..10}; do
    shardkv delete "key$i" || [ $? -eq 1 ]
  done
  expect 0 shardkv pop key1
  expect 0 shardkv write small 1
  # What was acknowledged is there after a crash on the full disk.
  end KILL a b
  for name in a b; do
    launch "$name" bash -c "ulimit -f 6000 && exec shardd --listen $(address $name) --data $home/$name"
  done
  [ "$(shardkv --timeout 10000 read small)" = 1 ]
  expect 1 shardkv read key1
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
