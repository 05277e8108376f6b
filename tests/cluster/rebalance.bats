#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Each server of a real cluster gets its share, by bytes and by load: the plan, what is done of it, and that it is enough.

setup() {
  load lib
}

teardown() {
  end_cluster
}

# Servers a and b have half of the circle each, c has nothing; COUNT records of about a hundred bytes: filled.jsonl.
start_filled() { # COUNT
  start_cluster
  start_shardd c
  shardkv server add "$(address c)" >/dev/null
  seq 1 "$1" | sed 's/.*/{"key":"key&","value":"the value of & and some bytes more, so that it has about a hundred"}/' >"$home/filled.jsonl"
  shardkv import "$home/filled.jsonl" >"$home/import.out"
}

# Of a plan by bytes: the servers have told all that was written, 20,000 records with 64 bytes beside each.
all_counted='.servers | map(.before) | add > 20000 * 64'

# A plan's `servers`, each within 5 % of its share: before, or after.
is_even() { # before|after
  jq -e --arg when "$1" 'all(.servers[]; (.[$when] - .share | fabs) <= .share * 0.051)'
}

# Writes the records of shard low again and again, COUNT a second, until the test is over.
load_low() { # COUNT
  local records
  await_plan bytes "$all_counted"
  records=$(shardkv --json shard list | jq '.shards[] | select(.name == "low") | .records')
  shardkv keys | head -n "$records" | sed 's/.*/{"key":"&","value":"written again, and again, under a load that is steady"}/' >"$home/low.jsonl"
  /usr/bin/python3 tests/cluster/steady_lines.py "$home/low.jsonl" "$1" 3>&- 2>/dev/null |
    shardkv import - >/dev/null 2>"$home/load.err" 3>&- &
  echo $! >"$home/load.pid"
  disown
}

# Plans until FILTER holds: how much they are used servers tell every five seconds, between two such times.
await_plan() { # bytes|load JQ-FILTER
  local try
  for ((try = 0; try < 600; try++)); do
    run shardkv --json rebalance --by "$1"
    [ "$status" -eq 0 ] && jq -e "$2" <<<"$output" >/dev/null && return 0
    # A refused ping takes one round trip: this paces the loop without a clock.
    shardkv --timeout 50 -b 127.0.0.1:1 ping >/dev/null 2>&1 || true
  done
  echo "$output" >&2
  return 1
}

@test "by bytes an empty server gets its third, and a second plan is empty" {
  start_filled 20000
  expect 0 shardkv --json rebalance
  jq -e "$all_counted" <<<"$output"
  is_even after <<<"$output"
  jq -e '.by == "bytes" and .bytes <= .least * 1.05 and (.moves | length) >= 2 and .first_move == 0' <<<"$output"
  expect 0 shardkv rebalance --run
  says "sums equal"
  expect 0 shardkv --json rebalance
  jq -e "$all_counted" <<<"$output"
  is_even before <<<"$output"
  jq -e '.moves == []' <<<"$output"
  expect 0 shardkv rebalance
  says "nothing to move"
  [ "$(shardkv export | jq -r .key | sort | sha256sum)" = "$(jq -r .key "$home/filled.jsonl" | sort | sha256sum)" ]
}

@test "by load the shard that all ask gives two thirds of it away, and a second plan on the same load is empty" {
  start_filled 20000
  load_low 4000
  await_plan load '[.servers[].before] | add > 500 and sort[1] < 20'
  jq -e '.by == "load" and (.moves | length) >= 2 and all(.moves[]; .shard == "low")' <<<"$output"
  is_even after <<<"$output"
  jq -e --arg a "$(address a)" --arg b "$(address b)" --arg c "$(address c)" \
    'all(.moves[]; .from == $a) and ([.moves[].to] | unique) == ([$b, $c] | unique)' <<<"$output"
  expect 0 shardkv rebalance --by load --run
  says "sums equal"
  # What was measured while parts moved says little: writes waited, and came together afterwards.
  await_plan load '.moves == [] and all(.servers[]; .before > 100)'
  is_even before <<<"$output"
  kill -0 "$(pid load)"
  [ ! -s "$home/load.err" ]
}

@test "what has not begun is called off by --stop, and what is under way ends" {
  start_filled 20000
  expect 0 shardkv --json rebalance --run --detach
  local count
  count=$(jq '.moves | length' <<<"$output")
  jq -e '.first_move > 0' <<<"$output"
  expect 0 shardkv --json rebalance --stop
  jq -e --argjson count "$count" '.called_off <= $count' <<<"$output"
  until [ "$(shardkv moves)" = "nothing moves" ]; do :; done
  expect 0 shardkv --json moves --all
  jq -e 'all(.moves[]; .course == "done" or .course == "aborted")' <<<"$output"
  [ "$(shardkv keys | wc -l)" -eq 20000 ]
}
