#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Ranges move between three servers of a cluster that serves: what the operator sees, and what becomes of the records.

setup() {
  load lib
}

teardown() {
  end_cluster
}

# Servers a and b have half of the circle each, c has nothing.
start_three() {
  start_cluster
  start_shardd c
  shardkv server add "$(address c)" >/dev/null
}

# COUNT records of about a hundred bytes: filled.jsonl.
fill() { # COUNT
  seq 1 "$1" | sed 's/.*/{"key":"key&","value":"the value of & and some bytes more, so that it has about a hundred"}/' >"$home/filled.jsonl"
  shardkv import "$home/filled.jsonl" >"$home/import.out"
}

export_to() { shardkv export "$home/$1" && LC_ALL=C sort -o "$home/$1" "$home/$1"; } # FILE

# What all shards hold together, as their servers count it now.
totals() { shardkv --json status | jq -ce '[.servers[].shards[]] | [map(.records), map(.bytes)] | map(add)'; }

# Waits until `shardkv COMMAND` says PATTERN: what bootstrapd does by itself takes its time.
await_says() { # PATTERN shardkv ARGUMENT...
  local pattern=$1 try
  shift
  for ((try = 0; try < 400; try++)); do
    run "$@"
    grep -qF -- "$pattern" <<<"$output" && return 0
    # A refused ping takes one round trip: this paces the loop without a clock.
    shardkv --timeout 50 -b 127.0.0.1:1 ping >/dev/null 2>&1 || true
  done
  says "$pattern"
}

owns() { # NAME SHARD
  shardkv --json shard list | jq -e --arg at "$(address "$1")" --arg shard "$2" \
    'any(.shards[]; .name == $shard and .server == $at)' >/dev/null
}

# How many shards NAME has.
shards_of() { shardkv --json server list | jq --arg at "$(address "$1")" '.servers[] | select(.address == $at) | .shards'; }

# A move that waits for more: so slow that it does not end by itself. Its number.
start_slow() { # SHARD NAME
  shardkv --json move "$1" --to "$(address "$2")" --rate 1KB --detach | jq .move
}

@test "a whole shard moves: export, counts and bytes are equal before and after, and the end is told" {
  start_three
  fill 20000
  export_to before
  local counted
  counted=$(totals)
  expect 0 shardkv move low --to "$(address c)"
  says "moved "
  says "sums equal"
  says "longest hold"
  says "freeze"
  owns c low
  export_to after
  cmp "$home/before" "$home/after"
  [ "$(totals)" = "$counted" ]
  # A move as it should be is nothing to be warned of.
  expect 1 grep -h level=warning "$home/a.err" "$home/c.err" "$home/bootstrapd.err"
  grep -qF "handed over to $(address c) at epoch" "$home/a.err"
  # The source has deleted its copy, so it can have the range again.
  expect 0 shardkv move low --to "$(address a)"
  owns a low
  export_to after
  cmp "$home/before" "$home/after"
  [ "$(totals)" = "$counted" ]
}

@test "progress is a JSON object for each look, and the last has what was moved" {
  start_three
  fill 20000
  expect 0 shardkv --json move low --to "$(address c)" --rate 700KB
  jq -es 'length >= 2 and all(.[]; .shard == "low" and .percent <= 100)' <<<"$output"
  jq -es '.[-1] | .course == "done" and .percent == 100 and .records > 9000 and .bytes > 900000
    and .sums_equal and .longest_hold_ms > 0 and (.hold_us | keys == ["commit", "drain", "freeze", "open", "sync"])' <<<"$output"
  jq -es 'any(.[]; .course == "going" and .records_left > 0 and .bytes_per_s > 0)' <<<"$output"
}

@test "the end, the beginning and the middle of a shard move on their own, and parts that come together join" {
  start_three
  fill 6000
  export_to before
  expect 0 shardkv move low --to "$(address c)" --part 0.5
  [ "$(shards_of c)" -eq 1 ]
  expect 0 shardkv --json shard list
  jq -e --arg c "$(address c)" 'any(.shards[]; .server == $c and .start == 0.25 and .end == 0.5)' <<<"$output"
  expect 0 shardkv move high --to "$(address c)" --from 0.6 --until 0.7
  expect 0 shardkv --json shard list
  jq -e --arg c "$(address c)" 'any(.shards[]; .server == $c and .start == 0.6 and .end == 0.7)' <<<"$output"
  jq -e '.shards | length == 5' <<<"$output"
  local name
  name=$(jq -r --arg c "$(address c)" '.shards[] | select(.server == $c and .start == 0.25) | .name' <<<"$output")
  expect 0 shardkv move "$name" --to "$(address a)"
  await_says '"end":0.5' shardkv --json shard list
  jq -e --arg a "$(address a)" 'any(.shards[]; .server == $a and .start == 0 and .end == 0.5)' <<<"$output"
  export_to after
  cmp "$home/before" "$home/after"
}

@test "limits and times to live go along, a record that slides goes on sliding, and what has expired is gone" {
  start_three
  fill 2000
  local key
  for key in k1 k2 k3 k4 k5 k6 k7 k8; do
    shardkv write "short-$key" 1 --ttl 300ms
    shardkv write "long-$key" 2 --ttl 1h
    shardkv write "slides-$key" 3 --ttl 2s --sliding
  done
  expect 0 shardkv shard resize low 64MiB
  expect 0 shardkv move low --to "$(address c)"
  expect 0 shardkv move high --to "$(address c)"
  expect 0 shardkv --json shard list
  jq -e 'any(.shards[]; .name == "low" and .size == 67108864)' <<<"$output"
  # Twenty reads, a tenth of its life apart, keep it.
  local try
  for ((try = 0; try < 20; try++)); do
    for key in k1 k2 k3 k4 k5 k6 k7 k8; do
      shardkv read "slides-$key" >/dev/null
    done
    shardkv --timeout 50 -b 127.0.0.1:1 ping >/dev/null 2>&1 || true
  done
  for key in k1 k2 k3 k4 k5 k6 k7 k8; do
    await_says no shardkv exists "short-$key"
    expect 0 shardkv --json read "long-$key"
    jq -e '.ttl_ms > 3400000 and .ttl_ms <= 3600000' <<<"$output"
    expect 0 shardkv --json read "slides-$key"
    jq -e '.sliding and .ttl_ms > 500' <<<"$output"
  done
}

@test "who asks again after a move gets the answer that was lost, and nothing is done twice" {
  start_three
  local first again
  first=$(/usr/bin/python3 tests/cluster/retry_after_move.py ask "$(address a)")
  expect 0 shardkv move low --to "$(address c)"
  expect 0 shardkv move high --to "$(address c)"
  again=$(/usr/bin/python3 tests/cluster/retry_after_move.py again "$(address c)")
  [ "$first" = "$again" ]
  grep -qF "the value" <<<"$again"
  expect 0 shardkv read counter0
  says 7
  # With a kill in between, too: the results are the target's own now.
  end KILL c
  start_shardd c
  again=$(/usr/bin/python3 tests/cluster/retry_after_move.py again "$(address c)")
  [ "$first" = "$again" ]
}

@test "a move that is detached is listed, paused, resumed and throttled, and ends as done" {
  start_three
  fill 6000
  export_to before
  local number
  number=$(start_slow low c)
  expect 0 shardkv moves
  says low
  says "$(address c)"
  expect 0 shardkv move pause "$number"
  await_says paused shardkv moves
  shardkv write while-paused 1
  expect 0 shardkv --json moves
  jq -e --argjson n "$number" '.moves | length == 1 and .[0].move == $n and .[0].paused' <<<"$output"
  expect 0 shardkv move resume "$number"
  expect 0 shardkv move throttle "$number" 0
  await_says "nothing moves" shardkv moves
  expect 0 shardkv --json moves --all
  jq -e --argjson n "$number" 'any(.moves[]; .move == $n and .course == "done")' <<<"$output"
  owns c low
  shardkv delete while-paused
  export_to after
  cmp "$home/before" "$home/after"
}

@test "a move that is aborted leaves all where it was, and the target has nothing of it" {
  start_three
  fill 6000
  export_to before
  local number counted
  counted=$(totals)
  number=$(start_slow low c)
  await_says going shardkv moves
  expect 0 shardkv move abort "$number"
  await_says aborted shardkv moves --all
  owns a low
  [ "$(shards_of c)" -eq 0 ]
  export_to after
  cmp "$home/before" "$home/after"
  [ "$(totals)" = "$counted" ]
  expect 0 shardkv move low --to "$(address c)"
}

@test "a move whose target has gone for good is aborted; there is nothing to undo before it is decided" {
  start_three
  fill 2000
  export_to before
  local number
  number=$(start_slow low c)
  await_says going shardkv moves
  end KILL c
  expect 4 shardkv move undo "$number"
  says "is not committed: abort it"
  expect 0 shardkv move abort "$number"
  # Its end waits for the target; the range does not.
  await_says '"low"' shardkv --json shard list
  owns a low
  shardkv write meanwhile 1
  shardkv delete meanwhile
  export_to after
  cmp "$home/before" "$home/after"
  start_shardd c
  await_says "nothing moves" shardkv moves
  expect 0 shardkv --json moves --all
  jq -e --argjson n "$number" 'any(.moves[]; .move == $n and .course == "aborted")' <<<"$output"
}

@test "a move goes on after each of the three has been killed in the midst of it" {
  start_three
  fill 6000
  export_to before
  local name number
  for name in a c bootstrapd; do
    number=$(start_slow low c)
    await_says going shardkv moves
    end KILL "$name"
    if [ "$name" = bootstrapd ]; then start_bootstrapd; else start_shardd "$name"; fi
    await_says "\"move\":$number," shardkv --json moves --all
    # The throttle is of the move, whoever was killed.
    shardkv move throttle "$number" 0
    await_says "nothing moves" shardkv moves
    expect 0 shardkv --json moves --all
    jq -e --argjson n "$number" 'any(.moves[]; .move == $n and .course == "done")' <<<"$output"
    owns c low
    export_to after
    cmp "$home/before" "$home/after"
    expect 0 shardkv move low --to "$(address a)"
  done
}

@test "a drained server is emptied by itself, gets nothing, and can be removed then, but not before" {
  start_three
  fill 6000
  export_to before
  expect 4 shardkv server remove "$(address a)"
  says "owns shards: drain it first"
  expect 0 shardkv server drain "$(address a)"
  says "is being drained"
  local try
  for ((try = 0; try < 400; try++)); do
    [ "$(shards_of a)" -gt 0 ] || break
    shardkv --timeout 50 -b 127.0.0.1:1 ping >/dev/null 2>&1 || true
  done
  [ "$(shards_of a)" -eq 0 ]
  await_says "nothing moves" shardkv moves
  expect 4 shardkv move high --to "$(address a)"
  says drain
  expect 0 shardkv server remove "$(address a)"
  expect 0 shardkv --json server list
  jq -e --arg a "$(address a)" 'all(.servers[]; .address != $a)' <<<"$output"
  end TERM a
  export_to after
  cmp "$home/before" "$home/after"
}

@test "a server that comes back at another port is told by set-address, and has what it had" {
  start_three
  fill 2000
  export_to before
  expect 0 shardkv move low --to "$(address c)" --part 0.5
  local old
  old=$(address c)
  end KILL c
  rm "$home/c.address"
  start_shardd c
  [ "$(address c)" != "$old" ]
  expect 0 shardkv server set-address "$old" "$(address c)"
  [ "$(shards_of c)" -eq 1 ]
  export_to after
  cmp "$home/before" "$home/after"
  # Moves go by the new address, too.
  expect 0 shardkv move high --to "$(address c)"
}

@test "a move that cannot be is refused with what is wrong, and nothing has changed" {
  start_three
  fill 2000
  expect 4 shardkv move low --to 127.0.0.1:1
  says 127.0.0.1:1
  expect 4 shardkv move nowhere --to "$(address c)"
  says nowhere
  expect 4 shardkv move low --to "$(address a)"
  says low
  expect 4 shardkv move low --to "$(address c)" --from 0.5 --until 0.75
  says low
  expect 2 shardkv move low
  says "--to SERVER is needed"
  expect 4 shardkv move abort 77
  says 77
  local number
  number=$(start_slow low c)
  await_says going shardkv moves
  expect 4 shardkv move low --to "$(address b)"
  says "$number"
  shardkv move abort "$number"
  await_says "nothing moves" shardkv moves
  end KILL c
  await_says "down" shardkv server list
  expect 3 shardkv move low --to "$(address c)"
  says "$(address c)"
  says down
  owns a low
}

@test "a target whose capacity is taken is refused with what there is room for" {
  start_cluster
  start_shardd c
  expect 0 shardkv server add "$(address c)" --capacity 100MiB
  expect 4 shardkv move low --to "$(address c)"
  says capacity
  owns a low
  expect 0 shardkv shard resize low 64MiB
  expect 0 shardkv move low --to "$(address c)"
}

@test "who changed what in the map is told in order" {
  start_three
  fill 500
  shardkv move low --to "$(address c)" >/dev/null
  expect 0 shardkv map log
  says "added"
  says "copy to"
  says "committed"
  says "done"
}
