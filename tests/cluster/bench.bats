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

@test "bench rebalance moves a range under load and finds every acknowledged operation" {
  local keys='["after","before","bytes_moved","doubled","during","errors","longest_hold_ms","lost","mb_per_s","records_moved","records_per_s","seconds"]'
  run --separate-stderr shardkv bench rebalance --records 3000 --value-size 32 --seconds 1 --rate 2000 \
    --connections 4 --share 0.25 --moves 2 --json
  [ "$status" -eq 0 ]
  jq -e "keys == $keys" <<<"$output"
  jq -e '.errors == 0 and .lost == 0 and .doubled == 0 and .records_moved > 1000' <<<"$output"
  jq -e '.before, .during, .after | keys == ["ops_per_s","p50_us","p999_us","p99_us"]' <<<"$output"
  jq -e '.before.ops_per_s > 0 and .after.p50_us > 0 and .longest_hold_ms > 0' <<<"$output"
}

@test "bench rebalance tells of what somebody else has deleted, and of an incr that it never sent" {
  shardkv bench rebalance read --records 1000 --seconds 1 --rate 500 --connections 4 --json >"$home/result" 2>"$home/errors" 3>&- &
  local bench=$! status=0
  until shardkv exists r0000000000003e7 >/dev/null; do :; done
  shardkv delete r00000000000000a
  shardkv incr r00000000000000f 5
  wait "$bench" || status=$?
  [ "$status" -eq 4 ]
  jq -e '.lost >= 1 and .doubled >= 5 and .errors == 0' "$home/result"
  grep 'acknowledged operations: .* lost, .* doubled' "$home/errors"
}

@test "bench rebalance starts a cluster of its own, and leaves nothing of it" {
  export TMPDIR=$home/scratch
  mkdir "$TMPDIR"
  run --separate-stderr shardkv bench rebalance idle --local 2 --records 1000 --connections 2
  [ "$status" -eq 0 ]
  [[ $output == *"read back: 1000 records; 0 lost, 0 doubled, 0 errors"* ]]
  [ -z "$(ls "$TMPDIR")" ]
}

# The times of each move in the data of a plot: when it was asked for, when it opened, when it was over.
move_times() { awk '/^# begun/ { is_in = 1; next } /^#/ { is_in = 0 } is_in && NF { print $1, $2, $3 }' "$1"; } # FILE

@test "bench rebalance asks for all parts of a round at once, and tells of each in its order" {
  run --separate-stderr shardkv bench rebalance idle --records 4000 --share 0.25 --parts 6 --moves 2 --json --plot "$home/parts.svg"
  [ "$status" -eq 0 ]
  jq -e '.errors == 0 and .lost == 0 and .doubled == 0 and .records_moved > 1500' <<<"$output"
  # Those that wait wait for others: the time counts once.
  jq -e --argjson asked "$(move_times "$home/parts.dat" | awk '{ sum += $2 - $1 } END { print sum }')" '.seconds < $asked' <<<"$output"
  run move_times "$home/parts.dat"
  [ "${#lines[@]}" -eq 12 ]
  # They open one behind the other.
  awk '$2 < before || $3 < $2 { exit 1 } { before = $2 }' <<<"$output"
  # The second round begins when the first has opened.
  awk 'NR <= 6 { opened = $2 } NR > 6 && $1 < opened { exit 1 }' <<<"$output"
}

@test "bench mint gets ids one by one and in batches, none twice" {
  run --separate-stderr shardkv bench mint --shard 5000 --seconds 1 --connections 4 --json
  [ "$status" -eq 0 ]
  jq -e '.ids > 0 and .ids == .operations and .ids_per_s > 0 and .longest_gap_us > 0 and .errors == 0' <<<"$output"
  jq -e '.shard == 5000 and .shards == 1 and .count == 1 and .kinds.mint.operations == .operations' <<<"$output"
  run --separate-stderr shardkv bench mint --shard 8191 --shards 3 --count 5000 --connections 6 --pipeline 2 --seconds 1 --json
  [ "$status" -eq 0 ]
  jq -e '.ids > 0 and .ids <= 5000 * .operations and .ids_per_s > 0 and .errors == 0' <<<"$output"
}

@test "bench mint goes after its logical shard when that moves" {
  shardkv bench mint --shard 12 --connections 2 --seconds 1000 --json >"$home/result" 3>&- &
  local bench=$!
  # Longer than its warm-up, whose refusals do not count.
  local end=$((SECONDS + 3))
  while [ "$SECONDS" -lt "$end" ]; do
    shardkv move low --to "$(address b)"
    shardkv move low --to "$(address a)"
  done
  kill -INT "$bench"
  wait "$bench"
  jq -e '.ids > 0 and .errors == 0' "$home/result"
}

@test "bench put puts entities on both servers, each with an id of its own" {
  run --separate-stderr shardkv bench put --seconds 1 --connections 8 --pipeline 4 --json
  [ "$status" -eq 0 ]
  jq -e '.ids > 0 and .ids == .operations and .errors == 0 and .shards == 64' <<<"$output"
  [ "$(shardkv --json status | jq '[.servers[].shards[].records] | min > 0')" = true ]
}

@test "bench refuses what it cannot do, before it writes anything" {
  expect 2 shardkv bench ycsb-e --redis 127.0.0.1:1
  says "neither Redis nor the echo server can"
  expect 2 shardkv bench faster
  says 'there is no workload "faster"'
  expect 2 shardkv bench read --connections 1
  says "there are 2 servers"
  expect 2 shardkv bench read --share 0.5
  says "are of \`bench rebalance\`"
  expect 2 shardkv bench read --count 2
  says "are of mint and put"
  expect 2 shardkv bench mint --shard 8192
  says "is no logical shard"
  expect 2 shardkv bench mint --count 65537
  says "at most 65536"
  expect 2 shardkv bench put --value-size 4
  says "5 bytes at least"
  expect 2 shardkv bench mint --redis 127.0.0.1:1
  says "of shardkv alone"
  expect 2 shardkv bench rebalance --share 2
  says "above 0 and at most 1"
  expect 2 shardkv bench rebalance faster
  says "takes mixed, read, write or idle"
  expect 0 shardkv keys
  [ -z "$output" ]
}
