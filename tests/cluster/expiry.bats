#!/usr/bin/env bats
# shellcheck disable=SC2016
# SPDX-License-Identifier: MIT
# Records that expire, as a person at the command line sees them (RULES R3, R4).

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

# Until the command fails with status 1; a record that stays is a failure after 20 seconds.
await_gone() { # COMMAND...
  local end=$((SECONDS + 20)) status=0
  while [ "$status" -eq 0 ]; do
    [ $SECONDS -lt $end ] || return 1
    status=0
    "$@" >/dev/null 2>&1 || status=$?
  done
  [ "$status" -eq 1 ]
}

# The time left of KEY in ms, or null.
left() { # KEY
  shardkv --json read "$1" | jq .ttl_ms
}

version() { # KEY
  shardkv --json read "$1" | jq -r .version
}

@test "write --ttl says when it expires, and read tells the time left" {
  expect 0 shardkv write short 1 --ttl 1h
  says "expires in 1 h"
  expect 0 shardkv --json read short
  jq -e '.ttl_ms > 3000000 and .ttl_ms <= 3600000 and (has("sliding") | not)' <<<"$output"
  expect 0 shardkv --json write short 1 --ttl 7d
  jq -e '.ttl_ms == 604800000' <<<"$output"
  # Without --ttl nothing is said, and what is printed is the value alone.
  expect 0 shardkv write long 1
  refute says expires
  expect 0 shardkv --json read long
  jq -e 'has("ttl_ms") and .ttl_ms == null' <<<"$output"
  [ "$(shardkv read short 2>&1)" = 1 ]
}

@test "on a terminal read says it in words" {
  script -qec true /dev/null || skip "there are no pseudo-terminals here: /dev/pts is not mounted"
  shardkv write worded hello --ttl 2h --sliding
  expect 0 script -qec "shardkv read worded" /dev/null
  says hello
  says "expires in"
  says "sliding: 2 h from each read on"
}

@test "what is due is gone for read, exists, keys, export and pop" {
  shardkv write due 1 --ttl 300ms
  await_gone shardkv exists due
  expect 1 shardkv read due
  expect 1 shardkv exists due
  says no
  expect 1 shardkv pop due
  expect 1 shardkv delete due
  expect 1 shardkv expire due --ttl 1h
  refute grep -qx due <(shardkv keys)
  [ "$(shardkv export | jq -r .key | grep -cx due)" -eq 0 ]
  # And its key is free again.
  expect 0 shardkv write due 2 --if-absent
  [ "$(shardkv read due)" = 2 ]
}

@test "what is due counts no more, once it is removed" {
  local before
  before=$(shardkv --json status | jq '[.servers[].shards[].records] | add')
  local i
  for i in {1..20}; do
    shardkv write "counted$i" 1 --ttl 200ms >/dev/null
  done
  local end=$((SECONDS + 30))
  while [ "$(shardkv --json status | jq '[.servers[].shards[].records] | add')" -gt "$before" ]; do
    [ $SECONDS -lt $end ]
    shardkv keys >/dev/null
    for i in {1..20}; do
      shardkv read "counted$i" >/dev/null 2>&1 || [ $? -eq 1 ]
    done
  done
}

@test "a rewrite restarts the time to live, or ends it" {
  shardkv write again 1 --ttl 1h
  shardkv write again 2 --ttl 2h
  [ "$(left again)" -gt 3600000 ]
  shardkv write again 3
  [ "$(left again)" = null ]
}

@test "incr keeps the expiry" {
  shardkv delete counter || true
  shardkv write counter 5 --ttl 1h
  [ "$(shardkv incr counter)" = 6 ]
  [ "$(left counter)" -gt 3000000 ]
  [ "$(left counter)" -le 3600000 ]
}

@test "--sliding: a read restarts the time to live" {
  expect 0 shardkv write session 1 --ttl 1h --sliding
  expect 0 shardkv --json read session
  jq -e '.full_ttl_ms == 3600000 and .sliding and .ttl_ms <= 3600000' <<<"$output"
  # Nearly over, as an import can make it: the scan of an export is no read.
  echo '{"key":"session","value":1,"ttl_ms":600000,"full_ttl_ms":3600000,"sliding":true}' | shardkv import -
  [ "$(shardkv export | jq 'select(.key == "session").ttl_ms')" -le 600000 ]
  expect 0 shardkv read session
  [ "$(shardkv export | jq 'select(.key == "session").ttl_ms')" -gt 3000000 ]
}

@test "exists is no read: what slides is gone although it was looked for" {
  shardkv write looked 1 --ttl 300ms --sliding
  await_gone shardkv exists looked
}

@test "expire sets, changes and ends the time to live, and makes a new version" {
  shardkv write plain 1
  local before
  before=$(version plain)
  expect 0 shardkv expire plain --ttl 1h
  says "expires in 1 h"
  [ "$(left plain)" -le 3600000 ]
  [ "$(version plain)" -gt "$before" ]
  [ "$(shardkv read plain)" = 1 ]
  expect 0 shardkv --json expire plain --ttl 2h --sliding
  jq -e '.ttl_ms == 7200000 and .full_ttl_ms == 7200000 and .sliding and has("version")' <<<"$output"
  expect 0 shardkv expire plain --never
  says "lives for ever"
  [ "$(left plain)" = null ]
  expect 0 shardkv expire plain --ttl 200ms
  await_gone shardkv exists plain
}

@test "expire of nothing is status 1, of another version status 4" {
  expect 1 shardkv expire nobody --ttl 1h
  expect 1 shardkv expire nobody --never
  shardkv write held 1
  expect 4 shardkv expire held --ttl 1h --if-version 7
  expect 0 shardkv expire held --ttl 1h --if-version "$(version held)"
}

@test "what is no time, or does not go together, is usage" {
  local time
  for time in 0 0s 10x ten -5 1.5s "" 99999999d; do
    expect 2 shardkv write wrong 1 --ttl "$time"
    expect 2 shardkv expire wrong --ttl "$time"
  done
  expect 2 shardkv write wrong 1 --sliding
  expect 2 shardkv expire wrong
  expect 2 shardkv expire wrong --ttl 1h --never
  expect 2 shardkv expire wrong --never --sliding
  expect 1 shardkv exists wrong
}

@test "export and import keep the time left, the time to live and whether it slides" {
  local file=$BATS_TEST_TMPDIR/export.jsonl
  shardkv write kept1 1 --ttl 1h
  shardkv write kept2 2 --ttl 2h --sliding
  shardkv write kept3 3
  shardkv export | grep '"kept' >"$file"
  [ "$(wc -l <"$file")" -eq 3 ]
  jq -es 'sort_by(.key) | (.[0] | .ttl_ms <= 3600000 and (has("full_ttl_ms") | not))
          and (.[1] | .full_ttl_ms == 7200000 and .sliding) and (.[2] | has("ttl_ms") | not)' "$file"
  # As if an hour and a half had passed for the second.
  jq -c 'if .key == "kept2" then .ttl_ms = 1800000 else . end' "$file" >"$file.later"
  local key
  for key in kept1 kept2 kept3; do
    shardkv delete "$key"
  done
  expect 0 shardkv --json import "$file.later"
  jq -e '.done == 3 and .expired == 0' <<<"${lines[-1]}"
  [ "$(left kept1)" -le 3600000 ]
  [ "$(left kept1)" -gt 3000000 ]
  [ "$(left kept3)" = null ]
  # A read would restart what slides: an export is none.
  shardkv export | jq -es '.[] | select(.key == "kept2") | .ttl_ms <= 1800000 and .full_ttl_ms == 7200000 and .sliding'
  shardkv read kept2
  [ "$(left kept2)" -gt 3600000 ]
}

@test "a line whose time is over is left out, counted and no failure" {
  printf '%s\n' '{"key":"over1","value":1,"ttl_ms":0}' '{"key":"over2","value":1,"ttl_ms":60000}' \
    >"$BATS_TEST_TMPDIR/over.jsonl"
  expect 0 shardkv import "$BATS_TEST_TMPDIR/over.jsonl"
  says "1 done"
  says "1 expired"
  expect 1 shardkv exists over1
  expect 0 shardkv exists over2
}

@test "expiry outlives kill -9: what lives goes on, what is due does not come back" {
  shardkv write survivor 1 --ttl 1h
  shardkv write mortal 1 --ttl 300ms
  await_gone shardkv exists mortal
  end KILL a b
  start_shardd a
  start_shardd b
  expect 1 shardkv --timeout 10000 read mortal
  expect 0 shardkv --timeout 10000 read survivor
  [ "$(left survivor)" -le 3600000 ]
}
