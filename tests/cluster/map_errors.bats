#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A wrong map file: exit status 1, and file, entry and field are named.

setup() {
  load lib
}

entry() { # NAME START END [MORE]
  printf '{"name":"%s","start":%s,"end":%s,"size":"1GiB","host":"127.0.0.1","port":5050%s}' "$1" "$2" "$3" "${4:-}"
}

refused() { # JSON WORD...
  printf '%s' "$1" >"$home/map.json"
  expect 1 bootstrapd -n --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/data"
  says "map.json"
  local word
  for word in "${@:2}"; do
    says "$word"
  done
}

@test "a gap is named" {
  refused "{\"shards\":[$(entry a 0 0.5),$(entry b 0.75 1)]}" 0.5 0.75
}

@test "an uncovered end is named" {
  refused "{\"shards\":[$(entry a 0 0.5)]}" 0.5 1.0
}

@test "an overlap is named with both entries" {
  refused "{\"shards\":[$(entry a 0 0.6),$(entry b 0.5 1)]}" '"a"' '"b"' 0.5 0.6
}

@test "a duplicate name is named" {
  refused "{\"shards\":[$(entry a 0 0.5),$(entry a 0.5 1)]}" '"a"' name
}

@test "an unknown field is named with its entry" {
  refused "{\"shards\":[$(entry a 0 0.5),$(entry b 0.5 1 ',"colour":"red"')]}" 'shards[1]' colour
}

@test "a bad size is named" {
  refused "$(entry a 0 1 | sed 's/"1GiB"/"12 elephants"/; s/.*/{"shards":[&]}/')" 'shards[0]' size
}

@test "a wrong type is named" {
  refused "{\"shards\":[$(entry a '"zero"' 1)]}" 'shards[0]' start
}

@test "truncated JSON is named by line" {
  refused '{"shards":[{"name":"a",' line
}

@test "hypervault's own sample is refused with the uncovered part" {
  refused '{"shards":[{"name":"a","logical_shards":"1-9","size":"1GiB","host":"127.0.0.1","port":1},
    {"name":"b","logical_shards":"9-17","size":"1GiB","host":"127.0.0.1","port":2}]}' \
    '0.0 to 0.0001220703, logical shards 0-1 ' '0.0020751953 to 1.0, logical shards 17-8192 '
}

@test "wrong logical shards are named with their entry" {
  slices() { entry "$1" 0 1 | sed 's/"start":0,"end":1/"logical_shards":"'"$2"'"/'; }
  refused "{\"shards\":[$(slices a 0-9),$(slices b 9-8193)]}" 'shards[1]' '"b"' logical_shards '"9-8193"' 8192
  refused "{\"shards\":[$(slices a 0-09)]}" 'shards[0]' '"a"' logical_shards '"0-09"' 'leading zeros'
  refused "{\"shards\":[$(slices a '0-8192","end":"0.5' | sed 's/"0.5"/0.5/')]}" 'shards[0]' '"a"' end 0.5 '"0-8192"'
}

@test "a missing map file and a missing --config are said" {
  expect 1 bootstrapd -n --listen 127.0.0.1:0 --config "$home/none.json" --data "$home/data"
  says none.json
  expect 1 bootstrapd --listen 127.0.0.1:0 --data "$home/data"
  says --config
}
