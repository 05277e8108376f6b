#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# RULES F2: the tree's file does not shrink by itself; `shardd --compact` makes it.

setup() {
  load lib
  start_shardd a --log-size 1MiB --log-segment 64KiB
  cat >"$home/map.json" <<END
{ "shards": [ { "name": "all", "start": 0.0, "end": 1.0, "size": "1GiB", "host": "127.0.0.1", "port": $(port a) } ] }
END
  start_bootstrapd
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
  local i
  for i in {1..300}; do
    printf '{"key":"key%d","value":"%010000d"}\n' "$i" "$i"
  done | shardkv import -
  for i in {1..250}; do
    shardkv delete "key$i"
  done >"$home/deleted"
  await_numbers '.dirty_records == 0'
  shardkv export | sort >"$home/before.jsonl"
}

# Until the server's numbers are as the EXPRESSION says: it sweeps and counts at its ease.
await_numbers() { # EXPRESSION
  local end=$((SECONDS + 40))
  until shardkv --json status 2>/dev/null | jq -e ".servers[0] | $1" >/dev/null; do
    [ "$SECONDS" -lt "$end" ]
  done
}

teardown() {
  end_cluster
}

tree_len() { stat -c %s "$home/a/tree"; }

is_same() {
  shardkv --timeout 10000 export | sort >"$home/after.jsonl"
  cmp "$home/before.jsonl" "$home/after.jsonl"
}

@test "--compact makes the tree's file small, says so, and loses nothing" {
  end TERM a
  local before
  before=$(tree_len)
  # One that did not come to its end is no hindrance.
  echo "half made" >"$home/a/tree-compact"
  start_shardd a --compact
  local after
  after=$(sed -n "s/.*the tree is compact: $before bytes before, \([0-9]*\) after.*/\1/p" "$home/a.err")
  [ "$after" -lt $((before / 2)) ]
  [ "$(tree_len)" -lt $((before / 2)) ] # it grows again: the copy of the control state, for one (RULES S11)
  [ ! -e "$home/a/tree-compact" ]
  is_same
}

@test "without room for the second file nothing starts, and nothing is changed" {
  end TERM a
  local sum
  sum=$(sha256sum <"$home/a/tree")
  run bash -c "ulimit -f 100 && exec shardd --listen $(address a) --data $home/a --compact"
  [ "$status" -eq 1 ]
  says "tree: cannot be made compact: "
  [ "$(sha256sum <"$home/a/tree")" = "$sum" ]
  [ ! -e "$home/a/tree-compact" ]
  start_shardd a
  is_same
}

@test "status tells what of the tree's file is used and what can be used again" {
  await_numbers '.tree_used_bytes > 100000 and .tree_reusable_bytes > 100000
         and .tree_file_bytes >= .tree_used_bytes + .tree_reusable_bytes'
}
