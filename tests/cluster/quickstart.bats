#!/usr/bin/env bats
# shellcheck disable=SC2016
# SPDX-License-Identifier: MIT
# What README's quick start and a person at the command line see.

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

@test "a word is stored as a string and read back" {
  expect 0 shardkv write test "hello world"
  says "str"
  expect 0 shardkv read test
  [ "$output" = "hello world" ]
}

@test "an object is stored as a map, popped once, and is gone" {
  expect 0 shardkv write test1 '{"hello":"world"}'
  says "map"
  expect 0 shardkv pop test1
  [ "$output" = '{"hello":"world"}' ]
  expect 1 shardkv read test1
  expect 1 shardkv pop test1
}

@test "json of read has key, value, hash, version and size" {
  shardkv write five 5
  expect 0 shardkv --json read five
  jq -e '.key == "five" and .value == 5 and .hash >= 0 and .hash < 1
         and (.version | type) == "string" and .size == 4 + 1 + 64' <<<"$output"
  expect 0 shardkv --json write five 5
  jq -e 'has("value") | not' <<<"$output"
}

@test "numbers, u64 and floats print back exactly" {
  local value
  for value in 0 -1 18446744073709551615 9223372036854775808 -9223372036854775808 0.1 1e300 -0.0 \
    3.141592653589793 5e-324 true null '"05"' '[1,2.5,"x",{"a":null}]' '{"$bin":"AAEC"}' '{"$ext":[5,"AAE="]}' \
    '{"$map":[[1,2],["a",3]]}'; do
    shardkv write exact "$value"
    expect 0 shardkv --json read exact
    [ "$(jq -c . <<<"$output" | wc -l)" -eq 1 ]
    says "\"value\":$value"
  done
}

@test "a bare word that does not print back identically is a string" {
  local word
  for word in 05 1.00 '{ "a": 1 }' 'hello' '+1'; do
    shardkv write word "$word"
    expect 0 shardkv --json read word
    jq -e --arg word "$word" '.value == $word' <<<"$output"
  done
}

@test "raw bytes go in and come out" {
  head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
  shardkv write blob - --bytes <"$BATS_TEST_TMPDIR/bytes"
  shardkv read blob --raw | cmp - "$BATS_TEST_TMPDIR/bytes"
}

@test "conditions: if-absent and if-version, exit status 4" {
  shardkv delete cond || true
  expect 0 shardkv write cond 1 --if-absent
  expect 4 shardkv write cond 2 --if-absent
  says "cond"
  local version
  version=$(shardkv --json read cond | jq -r .version)
  expect 0 shardkv write cond 2 --if-version "$version"
  expect 4 shardkv write cond 3 --if-version "$version"
  [ "$(shardkv read cond)" = 2 ]
}

@test "incr counts from nothing, refuses what is no integer" {
  shardkv delete count || true
  expect 0 shardkv incr count
  [ "$output" = 1 ]
  expect 0 shardkv incr count 41
  [ "$output" = 42 ]
  expect 0 shardkv incr count -- -50
  [ "$output" = -8 ]
  shardkv write count word
  expect 4 shardkv incr count
}

@test "delete and exists tell whether there was one" {
  shardkv write there 1
  expect 0 shardkv exists there
  expect 0 shardkv delete there
  expect 1 shardkv exists there
  expect 1 shardkv delete there
}

@test "keys lists by prefix" {
  local i
  for i in 1 2 3 4 5; do
    shardkv write "prefix:$i" "$i" >/dev/null
  done
  expect 0 shardkv keys --prefix prefix:
  [ "$(sort <<<"$output" | tr '\n' ' ')" = "prefix:1 prefix:2 prefix:3 prefix:4 prefix:5 " ]
}

@test "status shows both servers, as json too" {
  expect 0 shardkv --json status
  jq -e '.map_revision >= 1 and (.servers | length) == 2
         and all(.servers[]; has("address") and has("id") and .state == "serving" and (.shards | length) == 1)
         and all(.servers[].shards[]; has("name") and has("start") and has("end") and has("epoch")
                 and has("records") and has("bytes") and .size == 1073741824)' <<<"$output"
  expect 0 shardkv status
  says "low"
  says "high"
}

@test "any server's address will do" {
  shardkv write anywhere 1
  expect 0 shardkv -b "$(address a)" read anywhere
  expect 0 shardkv -b "$(address b)" read anywhere
  expect 0 shardkv -b "127.0.0.1:1,$(address b)" read anywhere
}

@test "an unknown command suggests the right one" {
  expect 2 shardkv get test
  says "read"
  expect 2 shardkv wriet test 1
  says "write"
  expect 2 shardkv read
}

@test "empty, oversized and deep input is refused with its name" {
  expect 4 shardkv write "" 1
  says "key"
  expect 4 shardkv write "$(printf 'k%.0s' {1..481})" 1
  says "480"
  expect 0 shardkv write "$(printf 'k%.0s' {1..480})" 1
  expect 4 shardkv write big - --bytes < <(head -c $((8 * 1024 * 1024 + 1)) /dev/zero)
  says "big"
  expect 0 shardkv write big - --bytes < <(head -c $((8 * 1024 * 1024 - 5)) /dev/zero)
  local deep
  deep=$(printf '[%.0s' {1..33})$(printf ']%.0s' {1..33})
  shardkv write deep "$deep"
  [ "$(shardkv --json read deep | jq -r '.value | type')" = string ]
}

@test "ping reaches every server" {
  expect 0 shardkv ping
  says "$(address a)"
  says "$(address b)"
}

@test "map get is a file that map apply takes, without a change" {
  shardkv map get >"$BATS_TEST_TMPDIR/map.json"
  expect 0 shardkv map apply --dry-run "$BATS_TEST_TMPDIR/map.json"
  sed 's/"size": "1GiB"/"size": "2GiB"/' "$BATS_TEST_TMPDIR/map.json" >"$BATS_TEST_TMPDIR/larger.json"
  local before
  before=$(shardkv --json status | jq .map_revision)
  expect 0 shardkv map apply --dry-run "$BATS_TEST_TMPDIR/larger.json"
  says "low"
  [ "$(shardkv --json status | jq .map_revision)" -eq "$before" ]
}

@test "map get shows logical shards, which map apply takes beside start and end or in their place" {
  shardkv map get >"$BATS_TEST_TMPDIR/map.json"
  jq -e '[.shards[].logical_shards] == ["0-4096", "4096-8192"]' "$BATS_TEST_TMPDIR/map.json"
  jq 'del(.shards[].start, .shards[].end)' "$BATS_TEST_TMPDIR/map.json" >"$BATS_TEST_TMPDIR/slices.json"
  expect 0 shardkv map apply --dry-run "$BATS_TEST_TMPDIR/slices.json"
  says "no change"
  jq '.shards[1].end = 0.75' "$BATS_TEST_TMPDIR/map.json" >"$BATS_TEST_TMPDIR/other.json"
  expect 2 shardkv map apply --dry-run "$BATS_TEST_TMPDIR/other.json"
  says 'shards[1] "high": end: 0.75, but logical_shards "4096-8192" says 1.0'
}

@test "map init writes a file that bootstrapd accepts" {
  shardkv map init --server 127.0.0.1:7001 --server 127.0.0.1:7002 --server 127.0.0.1:7003 --size 1GiB \
    >"$BATS_TEST_TMPDIR/three.json"
  jq -e '(.shards | length) == 3 and .shards[0].start == 0 and .shards[2].end == 1' "$BATS_TEST_TMPDIR/three.json"
  expect 0 bootstrapd -n --listen 127.0.0.1:0 --config "$BATS_TEST_TMPDIR/three.json" --data "$BATS_TEST_TMPDIR/none"
}

@test "map init --json prints one object on one line, too" {
  expect 0 shardkv --json map init --server 127.0.0.1:7001 --size 1GiB
  [ "$(wc -l <<<"$output")" -eq 1 ]
  jq -e '.shards[0].port == 7001' <<<"$output"
  expect 0 shardkv --json map init --server 127.0.0.1:7001 --size 1GiB "$BATS_TEST_TMPDIR/one.json"
  [ "$(jq -r .file <<<"$output")" = "$BATS_TEST_TMPDIR/one.json" ]
}

@test "a mistyped second word suggests the right one" {
  expect 2 shardkv map gte
  says "did you mean map get?"
}

@test "closed standard output and input are errors, not somebody's socket" {
  shardkv write closed 1
  expect 3 bash -c 'shardkv export >&-'
  says "cannot write standard output"
  expect 3 bash -c 'shardkv read closed >&-'
  expect 2 bash -c 'shardkv import - <&-'
  says "cannot read -"
  expect 2 bash -c 'shardkv write closed - <&-'
  expect 1 bash -c 'shardkv read nothing-there <&- >&- 2>&-'
  expect 0 shardkv read closed
  [ "$output" = 1 ]
}

@test "a change that was made and cannot be printed is not called undone" {
  expect 5 bash -c 'shardkv write unprinted 5 >/dev/full'
  says "but the record is written"
  expect 5 bash -c 'shardkv incr unprinted >/dev/full'
  says "but the sum is stored"
  expect 3 bash -c 'shardkv read unprinted >/dev/full'
  expect 0 shardkv read unprinted
  [ "$output" = 6 ]
  expect 5 bash -c 'shardkv pop unprinted --raw >&-'
  says "but the record is gone"
  [ "${#lines[@]}" -eq 1 ]
  expect 1 shardkv read unprinted
  shardkv write unprinted "$(printf 'v%.0s' {1..20000})" >/dev/null
  expect 5 bash -c 'shardkv --json delete unprinted >/dev/full'
  [ "${#lines[@]}" -eq 1 ]
  expect 5 bash -c 'echo "{\"key\":\"unprinted\",\"value\":1}" | shardkv import - >/dev/full'
  expect 0 shardkv read unprinted
}

@test "a daemon started with closed descriptors has no socket in their place" {
  local program number
  launch closed-shardd bash -c "exec shardd --listen 127.0.0.1:0 --data $home/closed <&- >&-"
  launch closed-bootstrapd bash -c \
    "exec bootstrapd --listen 127.0.0.1:0 --config $home/map.json --data $home/closed-map <&- >&-"
  for program in closed-shardd closed-bootstrapd; do
    for number in 0 1; do
      [ "$(readlink "/proc/$(pid $program)/fd/$number")" = /dev/null ]
    done
    end TERM $program
  done
}
