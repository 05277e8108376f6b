#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A record in the tree that fails its checksum (RULES S10), as a person at the command line meets it.

setup() {
  load lib
}

teardown() {
  end_cluster
}

# Ten records, of which key5 is damaged.
start_damaged() {
  start_one --log-segment 64KiB --log-size 256KiB
  local i
  for i in {0..9}; do
    shardkv write "key$i" "the value of $i"
  done
  await all_is_in_the_tree
  end TERM a
  flip_in_tree "the value of 5"
  start_shardd a
}

@test "a damaged record is named where it ends a scan, and what stands before it is given" {
  start_damaged
  local command
  for command in keys export; do
    expect 3 shardkv --timeout 10000 "$command"
    says 'fails its checksum: key "key5", point 0x'
    says --skip-damaged
  done
  expect 3 shardkv read key5
  says key5
}

@test "--skip-damaged tells of it and goes on behind it, with an exit status" {
  start_damaged
  local command
  for command in keys export; do
    status=0
    shardkv --timeout 10000 "$command" --skip-damaged >"$home/out" 2>"$home/err" || status=$?
    [ "$status" -eq 3 ]
    [ "$(wc -l <"$home/out")" -eq 9 ]
    [ "$(grep -c key5 "$home/out")" -eq 0 ]
    grep -qE '^shardkv: left out: .*checksum, at point 0x[0-9a-f]{16}: key key5$' "$home/err"
    grep -qx 'shardkv: 1 damaged record was left out' "$home/err"
  done
  expect 3 shardkv export --skip-damaged "$home/copy.jsonl"
  [ "$(wc -l <"$home/copy.jsonl")" -eq 9 ]
  # Whoever writes it anew, or deletes it, is rid of it.
  expect 0 shardkv delete key5
  expect 0 shardkv keys
  expect 0 shardkv export --skip-damaged
  [ "$(wc -l <<<"$output")" -eq 9 ]
}
