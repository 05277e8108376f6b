#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The load generator against real servers: that it works, not how fast anything is.

bats_require_minimum_version 1.5.0

setup() {
  load lib
  start_cluster
}

teardown() {
  end_cluster
}

@test "a short run of bench loads its records, asks both servers, and has no errors" {
  run --separate-stderr shardkv bench mixed --records 1000 --seconds 1 --json \
    --server-pid "$(pid a),$(pid b)"
  [ "$status" -eq 0 ]
  jq -e '.operations > 0 and .errors == 0 and .missing == 0 and .ops_per_s > 0' <<<"$output"
  jq -e '.p50_us > 0 and .p99_us >= .p50_us and .p999_us >= .p99_us and .max_us >= .p999_us' <<<"$output"
  jq -e '.server_cpu_us_per_op > 0 and .kinds.read.operations + .kinds.write.operations == .operations' <<<"$output"
  expect 0 shardkv keys --prefix 00000000
  [ "$(wc -l <<<"$output")" -eq 1000 ]
}

@test "bench ends at an interrupt with what was measured until then" {
  shardkv bench ycsb-e --records 100 --warmup 1 --seconds 1000 --json --rate 200 >"$home/result" 3>&- &
  local bench=$!
  # Its writes show that it runs: loading is done and the first insert is there.
  until shardkv exists 0000000000000064 >/dev/null; do :; done
  kill -INT "$bench"
  wait "$bench"
  jq -e '.interrupted and .errors == 0' "$home/result"
}

@test "bench refuses what it cannot do, before it writes anything" {
  expect 2 shardkv bench ycsb-e --redis 127.0.0.1:1
  says "neither Redis nor the echo server can"
  expect 2 shardkv bench faster
  says 'there is no workload "faster"'
  expect 2 shardkv bench read --connections 1
  says "there are 2 servers"
  expect 0 shardkv keys
  [ -z "$output" ]
}
