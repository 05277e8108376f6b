#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Real input: the Debian package index goes in, comes out equal, and survives kill -9 in the middle.

setup_file() {
  apt-cache dumpavail 2>/dev/null | tests/cluster/packages_to_jsonl >"$BATS_FILE_TMPDIR/index.jsonl"
  # Without package lists there is what is installed: fewer stanzas, the same shape.
  [ -s "$BATS_FILE_TMPDIR/index.jsonl" ] ||
    tests/cluster/packages_to_jsonl </var/lib/dpkg/status >"$BATS_FILE_TMPDIR/index.jsonl"
  sum "$BATS_FILE_TMPDIR/index.jsonl" >"$BATS_FILE_TMPDIR/index.sum"
  echo "# $(wc -l <"$BATS_FILE_TMPDIR/index.jsonl") stanzas" >&3
}

# Order and spelling apart: each line in one form, sorted.
sum() { jq -cS . "$1" | LC_ALL=C sort | sha256sum; }

setup() {
  load lib
  index=$BATS_FILE_TMPDIR/index.jsonl
  count=$(wc -l <"$index")
  start_cluster
}

teardown() {
  end_cluster
}

exported_equals_index() {
  shardkv export >"$home/exported.jsonl"
  [ "$(wc -l <"$home/exported.jsonl")" -eq "$count" ]
  [ "$(sum "$home/exported.jsonl")" = "$(cat "$BATS_FILE_TMPDIR/index.sum")" ]
}

@test "the package index is imported, counted, exported, and equal" {
  expect 0 shardkv --json import "$index"
  jq -e --argjson n "$count" '.done == $n and .unknown == 0 and .unsent == 0 and .refused == 0' <<<"${lines[-1]}"
  [ "$(shardkv keys | wc -l)" -eq "$count" ]
  [ "$(shardkv --json status | jq '[.servers[].shards[].records] | add')" -eq "$count" ]
  exported_equals_index
}

@test "kill -9 in the middle of the import: every acknowledged line is there, and a second import completes it" {
  shardkv import "$index" --acks "$home/acks" --timeout 500 >"$home/import.out" 2>&1 3>&- &
  local import=$!
  # Some lines have been acknowledged: now.
  tail -n +1 -F --pid=$import "$home/acks" 2>/dev/null 3>&- | head -n $((count / 10)) >/dev/null
  end KILL a
  wait $import || true
  start_shardd a
  [ -s "$home/acks" ]
  [ -z "$(LC_ALL=C sort -n "$home/acks" | uniq -d)" ]
  shardkv --timeout 10000 export >"$home/after.jsonl"
  jq -r .key "$home/after.jsonl" | LC_ALL=C sort >"$home/keys.after"
  awk 'NR == FNR { acked[$1]; next } FNR in acked' "$home/acks" "$index" | jq -r .key | LC_ALL=C sort >"$home/keys.acked"
  echo "# $(wc -l <"$home/keys.acked") of $count acknowledged before the crash, $(wc -l <"$home/keys.after") there" >&3
  [ "$(LC_ALL=C comm -13 "$home/keys.after" "$home/keys.acked" | wc -l)" -eq 0 ]
  expect 0 shardkv --json import "$index" --if-absent
  jq -e --argjson n "$count" '.done + .existing == $n' <<<"${lines[-1]}"
  exported_equals_index
}

@test "bad lines are reported by number and the rest goes on" {
  printf '%s\n' '{"key":"a","value":1}' 'nonsense' '{"key":"b"}' '{"key":"","value":1}' '{"key":"c","value":3}' \
    '{"key":"d","value":1,"colour":2}' >"$home/bad.jsonl"
  run shardkv import "$home/bad.jsonl"
  [ "$status" -ne 0 ]
  says "line 2"
  says "line 3"
  says "line 4"
  says "line 6"
  [ "$(shardkv read a)" = 1 ]
  [ "$(shardkv read c)" = 3 ]
}

@test "pyshard's key|value lines are typed as pyshard typed them" {
  printf '%s\n' 'k1|{"a":1}' 'k2|5' 'k3|1.5' 'k4|word' 'k5|a|b' | shardkv import - --format lines
  [ "$(shardkv read k1)" = '{"a":1}' ]
  [ "$(shardkv --json read k2 | jq -c .value)" = 5 ]
  [ "$(shardkv --json read k3 | jq -c .value)" = 1.5 ]
  [ "$(shardkv --json read k4 | jq -c .value)" = '"word"' ]
}

@test "import of export is the identity for every kind of value and key" {
  /usr/bin/python3 tests/cluster/random_values.py "$(address a)" "$(address b)" 2000
  shardkv export >"$home/first.jsonl"
  [ "$(wc -l <"$home/first.jsonl")" -eq 2000 ]
  shardkv import "$home/first.jsonl"
  shardkv export | cmp - "$home/first.jsonl"
  /usr/bin/python3 tests/cluster/random_values.py "$(address a)" "$(address b)" 2000 check
}
