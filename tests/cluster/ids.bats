#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031
# SPDX-License-Identifier: MIT
# Ids and entities at the command line, and on their way through export, import, backup and restore.

setup_file() {
  export CLUSTER_HOME=$BATS_FILE_TMPDIR/shared
  mkdir "$CLUSTER_HOME"
  load lib
  start_cluster
}

setup() {
  load lib
}

# What a test started for itself.
teardown() {
  local directory
  for directory in "$BATS_TEST_TMPDIR"/*/; do
    home=${directory%/}
    end_cluster
  done
}

teardown_file() {
  load lib
  end_cluster
}

# From now on daemons are those of a cluster of this test.
other() { # NAME
  home=$BATS_TEST_TMPDIR/$1
  mkdir -p "$home"
}

@test "README's example says what README says" {
  local line code wanted
  sed -n '/^### Ids/,/^### /p' README.md | sed -n '/^```$/,/^```$/p' | sed '/^```$/d' >"$BATS_TEST_TMPDIR/example"
  [ "$(grep -c shardkv "$BATS_TEST_TMPDIR/example")" -ge 6 ]
  while read -r line; do
    code=${line%%  #*}
    wanted=${line#*  # }
    eval "$code" >"$BATS_TEST_TMPDIR/said"
    if [ "$wanted" != "$line" ] && [ "$(cat "$BATS_TEST_TMPDIR/said")" != "$(eval "echo \"${wanted//\"/\\\"}\"")" ]; then
      echo "$code" >&2
      cat "$BATS_TEST_TMPDIR/said" >&2
      return 1
    fi
  done <"$BATS_TEST_TMPDIR/example"
}

@test "an id is taken apart without a server" {
  export SHARDKV_BOOTSTRAP=127.0.0.1:1
  expect 0 shardkv id show 307821103844175873
  [ "$output" = "2014-11-15 14:11:06.450 UTC, shard 12, sequence 1" ]
  expect 0 shardkv id show 307821103844175873 --json
  [ "$output" = '{"id":"307821103844175873","created":"2014-11-15T14:11:06.450Z","shard":12,"sequence":1}' ]
  # Instagram's own example, from its own origin.
  expect 0 shardkv id show --origin 1314220021721 11637205501278089
  [ "$output" = "2011-09-09 22:28:04.721 UTC, shard 1341, sequence 905" ]
  expect 0 shardkv id show 18446744073709551615
  [ "$output" = "2083-05-24 12:53:06.903 UTC, shard 8191, sequence 1023" ]
  expect 0 shardkv id show 0
  [ "$output" = "2013-09-16 21:05:31.352 UTC, shard 0, sequence 0" ]
}

# Of ids, one in a line, in FILE.
shards_of() { # FILE
  awk '{ print }' "$1" | while read -r id; do echo $((id >> 10 & 8191)); done | sort -un
}

@test "minted ids grow, are of the shard that was asked for, and of now" {
  local before after
  before=$(date +%s%3N)
  expect 0 shardkv id mint 8191
  [ "${#lines[@]}" -eq 1 ]
  shardkv id mint 8191 --count 70000 >"$BATS_TEST_TMPDIR/ids"
  after=$(date +%s%3N)
  [ "$(wc -l <"$BATS_TEST_TMPDIR/ids")" -eq 70000 ]
  (echo "$output" && cat "$BATS_TEST_TMPDIR/ids") | sort -nuc
  [ "$(shards_of "$BATS_TEST_TMPDIR/ids")" = 8191 ]
  local first last
  first=$((output >> 23))
  last=$(($(tail -1 "$BATS_TEST_TMPDIR/ids") >> 23))
  # A clock may be lifted by a second (RULES I3).
  [ $((first + 1379365531352)) -ge $((before - 1000)) ]
  [ $((last + 1379365531352)) -le $((after + 2000)) ]
  expect 0 shardkv --json id mint 0 --count 2
  jq -se 'length == 2 and all(.[]; (.id | type) == "string" and (keys == ["id"]))' <<<"$output"
}

@test "a shard of - spreads over all servers, and @KEY is that of the key" {
  shardkv id mint - --count 5000 >"$BATS_TEST_TMPDIR/ids"
  [ "$(sort -u "$BATS_TEST_TMPDIR/ids" | wc -l)" -eq 5000 ]
  shards_of "$BATS_TEST_TMPDIR/ids" >"$BATS_TEST_TMPDIR/shards"
  [ "$(wc -l <"$BATS_TEST_TMPDIR/shards")" -gt 100 ]
  [ "$(awk '$1 < 4096' "$BATS_TEST_TMPDIR/shards" | wc -l)" -gt 50 ]
  [ "$(awk '$1 >= 4096' "$BATS_TEST_TMPDIR/shards" | wc -l)" -gt 50 ]
  shardkv write user:31341 1 >/dev/null
  local hash id
  hash=$(shardkv --json read user:31341 | jq .hash)
  id=$(shardkv entity put @user:31341 1 '{}')
  [ $((id >> 10 & 8191)) -eq "$(jq -n "$hash * 8192 | floor")" ]
}

@test "what is put is got under its id, with its kind, and lives in its slice" {
  expect 0 shardkv entity put 12 1 '{"beep":"boop"}'
  local id=$output
  expect 0 shardkv entity get "$id"
  [ "$output" = '{"beep":"boop"}' ]
  expect 0 shardkv entity get "$id" --json
  jq -e --arg id "$id" '.id == $id and .kind == 1 and .value == {"beep":"boop"} and (.version | type) == "string"
         and .size == 8 + 11 + 64 and (.hash * 8192 | floor) == 12 and .ttl_ms == null' <<<"$output"
  expect 0 shardkv --json entity put 8191 65535 '{ "a": { "b": [1, 2.5, null, {"$bin":"AAE="}] } }'
  jq -e '(.id | type) == "string" and .kind == 65535' <<<"$output"
  id=$(jq -r .id <<<"$output")
  expect 0 shardkv entity get "$id"
  [ "$output" = '{"a":{"b":[1,2.5,null,{"$bin":"AAE="}]}}' ]
  expect 0 shardkv id show "$id" --json
  jq -e '.shard == 8191' <<<"$output"
  # The largest document, over standard input, and its bytes.
  (printf '{"blob":"' && head -c 8000000 /dev/zero | tr '\0' x && printf '"}') >"$BATS_TEST_TMPDIR/large"
  id=$(shardkv entity put 0 0 - <"$BATS_TEST_TMPDIR/large")
  (cat "$BATS_TEST_TMPDIR/large" && echo) | cmp - <(shardkv entity get "$id")
  shardkv entity get --raw "$id" | head -c 6 | cmp - <(printf '\x81\xa4blob')
}

@test "update leaves id and kind, and needs something there" {
  local id version
  id=$(shardkv entity put 5 7 '{"n":1}')
  expect 0 shardkv entity update "$id" '{"n":2}'
  says "updated $id"
  expect 0 shardkv entity get --json "$id"
  jq -e '.kind == 7 and .value.n == 2' <<<"$output"
  version=$(jq -r .version <<<"$output")
  expect 0 shardkv --json entity update "$id" '{"n":3}' --kind 0 --if-version "$version"
  jq -e --arg id "$id" '.id == $id and (.version | type) == "string"' <<<"$output"
  expect 0 shardkv entity get --json "$id"
  jq -e '.kind == 0 and .value.n == 3' <<<"$output"
  expect 4 shardkv entity update "$id" '{"n":4}' --if-version "$version"
  says "$id"
  expect 1 shardkv entity update 1 '{}'
  says "update 1: $(address a): there is no entity with this id"
  expect 1 shardkv entity update 1 '{}' --if-version "$version"
  says "there is no entity with this id"
  expect 1 shardkv entity get 1
}

@test "what is deleted is gone, and its id is not given again" {
  local id
  id=$(shardkv entity put 5 7 '{"n":1}')
  expect 0 shardkv entity delete "$id"
  expect 1 shardkv entity get "$id"
  says "$id"
  expect 1 shardkv entity delete "$id"
  [ "$(shardkv entity put 5 7 '{"n":1}')" -gt "$id" ]
  id=$(shardkv entity put 5 7 '{"n":1}')
  expect 0 shardkv --json entity delete "$id"
  jq -e --arg id "$id" '.id == $id and .deleted' <<<"$output"
}

@test "entities expire and slide like other records" {
  local id
  id=$(shardkv entity put - 1 '{}' --ttl 1h --sliding)
  expect 0 shardkv entity get --json "$id"
  jq -e '.ttl_ms > 3500000 and .full_ttl_ms == 3600000 and .sliding' <<<"$output"
  expect 0 shardkv entity update "$id" '{}'
  expect 0 shardkv entity get --json "$id"
  jq -e '.ttl_ms == null' <<<"$output"
  id=$(shardkv entity put - 1 '{}' --ttl 50ms)
  local end=$((SECONDS + 20))
  while shardkv entity get "$id" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ]
  done
  expect 1 shardkv entity get "$id"
}

@test "scan lists all entities, or those of a kind, those of a shard together" {
  other scan
  start_cluster
  local kind i
  for kind in 1 2 3; do
    for i in {1..20}; do
      shardkv entity put $((kind * 2000 + i % 2)) $kind "{\"kind\":$kind,\"i\":$i}" >/dev/null
    done
  done
  shardkv write "no entity" 1 >/dev/null
  expect 0 shardkv entity scan
  [ "${#lines[@]}" -eq 60 ]
  [ "$(while read -r id _; do echo $((id >> 10 & 8191)); done <<<"$output" | uniq | tr '\n' ' ')" = \
    "2000 2001 4000 4001 6000 6001 " ]
  expect 0 shardkv entity scan --kind 2
  [ "${#lines[@]}" -eq 20 ]
  grep -qE '^[0-9]+ 2 \{"kind":2,"i":[0-9]+\}$' <<<"${lines[0]}"
  expect 0 shardkv entity scan --kind 2 --json
  jq -se 'length == 20 and all(.[]; .kind == 2 and .value.kind == 2 and (.id | type) == "string" and (has("key") | not))' <<<"$output"
  expect 0 shardkv entity scan --kind 0
  [ -z "$output" ]
  expect 0 shardkv keys
  [ "$output" = "no entity" ]
  [ "$(shardkv --json status | jq '[.servers[].shards[].records] | add')" -eq 61 ]
}

# COUNT entities of three kinds over all shards, some that expire, and as many records with keys.
fill() { # COUNT
  seq 1 "$1" | sed 's/.*/{"key":"key&","value":"the value of & and some bytes more, so that it has about a hundred"}/' |
    shardkv import - >/dev/null
  shardkv id mint - --count "$1" | awk '{ printf "{\"id\":\"%s\",\"kind\":%d,\"value\":{\"n\":%d,\"text\":\"some bytes\"}%s}\n",
    $1, NR % 3 * 32767, NR, NR % 10 ? "" : ",\"ttl_ms\":3600000,\"full_ttl_ms\":7200000,\"sliding\":true" }' >"$home/entities.jsonl"
  expect 0 shardkv --json import "$home/entities.jsonl"
  jq -e --argjson n "$1" '.done == $n and .bad == 0' <<<"$output"
}

# Without the time that is left, which runs on.
timeless() { sed 's/"ttl_ms":[0-9]*,/"ttl_ms":0,/' "$1"; }

@test "import of export is the identity for entities, too, in a cluster of another shape" {
  other one
  start_one
  fill 3000
  shardkv export "$home/exported.jsonl"
  [ "$(grep -c '^{"key"' "$home/exported.jsonl")" -eq 3000 ]
  # The default table first, then entities, in hash order: by their shards.
  grep -n '^{"id"' "$home/exported.jsonl" | head -1 | grep -q '^3001:'
  cmp <(timeless "$home/entities.jsonl" | LC_ALL=C sort) <(timeless "$home/exported.jsonl" | grep '^{"id"' | LC_ALL=C sort)
  other two
  start_cluster
  expect 0 shardkv --json import "$BATS_TEST_TMPDIR/one/exported.jsonl"
  jq -e '.done == 6000' <<<"$output"
  shardkv export "$home/exported.jsonl"
  cmp <(timeless "$BATS_TEST_TMPDIR/one/exported.jsonl") <(timeless "$home/exported.jsonl")
  local id
  id=$(sed -n '3s/{"id":"\([0-9]*\)".*/\1/p' "$BATS_TEST_TMPDIR/one/entities.jsonl")
  expect 0 shardkv entity get --json "$id"
  jq -e '.kind == 0 and .value.n == 3' <<<"$output"
  # And what get tells of an entity is a line of import.
  shardkv entity delete "$id" >/dev/null
  expect 0 shardkv import - <<<"$output"
  expect 0 shardkv --json import --if-absent "$BATS_TEST_TMPDIR/one/exported.jsonl"
  jq -e '.existing == 6000 and .done == 0' <<<"$output"
}

@test "bad lines of entities are reported by number and the rest goes on" {
  printf '%s\n' '{"id":"1","kind":1,"value":{"a":1}}' '{"id":2,"kind":1,"value":{}}' '{"id":"3","value":{}}' \
    '{"id":"4","kind":1,"value":5}' '{"key":"k","kind":1,"value":5}' '{"id":"6","kind":65536,"value":{}}' \
    '{"id":"7","kind":0,"value":{"a":2}}' >"$BATS_TEST_TMPDIR/bad.jsonl"
  expect 2 shardkv import "$BATS_TEST_TMPDIR/bad.jsonl"
  local number
  for number in 2 3 4 5 6; do
    says "line $number: "
  done
  says "2 done"
  [ "$(shardkv entity get 1)" = '{"a":1}' ]
  [ "$(shardkv entity get 7)" = '{"a":2}' ]
}

@test "a backup has both tables, goes on where it stopped, and is restored with ids and kinds" {
  local backup=$BATS_TEST_TMPDIR/backup
  other from
  start_cluster
  fill 3000
  expect 0 shardkv --json backup "$backup" --piece-size 32KiB
  jq -e '.records == 6000 and .pieces > 8' <<<"$output"
  jq -e '.format == 2 and .origin_ms == 1379365531352 and ([.pieces[].table] | unique) == ["default","entities"]
         and ([.pieces[] | select(.table == "entities").records] | add) == 3000
         and ([.pieces[] | select(.from == "").table]) == ["default","entities"]' "$backup/manifest.json"
  expect 0 shardkv -b 127.0.0.1:1 backup "$backup" --verify
  says "is whole: 6000 records"
  # From within the second table, from between both, and from within the first.
  local first_of_entities piece
  first_of_entities=$(jq '[.pieces[].table] | index("entities") + 1' "$backup/manifest.json")
  for piece in $((first_of_entities + 1)) "$first_of_entities" 2; do
    cp -r "$backup" "$backup.$piece"
    rm "$backup.$piece/manifest.json" "$backup.$piece/$(printf 'records-%06d' "$piece")"
    expect 0 shardkv --json backup "$backup.$piece" --resume --piece-size 32KiB
    jq -e --argjson kept $((piece - 1)) '.kept_pieces == $kept and .records == 6000' <<<"$output"
    expect 0 shardkv backup "$backup.$piece" --verify
  done
  shardkv export "$home/exported.jsonl"

  other to
  start_one
  expect 0 shardkv --json restore "$backup.2"
  jq -e '.written == 6000 and .expired == 0' <<<"$output"
  shardkv export "$home/exported.jsonl"
  cmp <(timeless "$BATS_TEST_TMPDIR/from/exported.jsonl") <(timeless "$home/exported.jsonl")
  # Where there are entities alone it is not empty either.
  other entities
  start_one
  local id
  id=$(shardkv entity put 3 1 '{}')
  expect 4 shardkv restore "$backup"
  says "is not empty"
  says "id $id"
  expect 0 shardkv restore "$backup" --merge
  [ "$(shardkv --json status | jq '[.servers[].shards[].records] | add')" -eq 6001 ]
}

@test "entities are not restored where ids count from another origin" {
  local backup=$BATS_TEST_TMPDIR/backup
  shardkv entity put 3 1 '{}' >/dev/null
  expect 0 shardkv backup "$backup"
  other another
  start_shardd a
  cat >"$home/map.json" <<END
{ "origin_ms": 1600000000000,
  "shards": [ { "name": "all", "start": 0.0, "end": 1.0, "size": "4GiB", "host": "127.0.0.1", "port": $(port a) } ] }
END
  start_bootstrapd
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
  expect 4 shardkv restore "$backup"
  says "1379365531352"
  says "1600000000000"
  expect 0 shardkv entity scan
  [ -z "$output" ]
  local id
  id=$(shardkv entity put 3 1 '{}')
  [ "$(shardkv id show --origin 1600000000000 "$id" | cut -d- -f1)" = "$(date -u +%Y)" ]
}

@test "a backup of the version before ids is verified and restored" {
  cp -r tests/cluster/backup_format_1 "$BATS_TEST_TMPDIR/old"
  expect 0 shardkv backup "$BATS_TEST_TMPDIR/old" --verify
  says "is whole: 100 records"
  other new
  start_one
  expect 0 shardkv restore "$BATS_TEST_TMPDIR/old"
  says "100 written"
  [ "$(shardkv read key77)" = '{"n":77,"text":"the value of 77"}' ]
}

@test "a damaged entity is told by its id and left out" {
  other damaged
  start_one --log-segment 64KiB --log-size 256KiB
  local id
  fill 3000
  id=$(grep '"n":1234,' "$home/entities.jsonl" | sed 's/{"id":"\([0-9]*\)".*/\1/')
  shardkv entity update "$id" '{"text":"this one is damaged"}'
  await all_is_in_the_tree
  end TERM a
  sed -i 's/this one is damaged/this one is DAMAGED/' "$home/a/tree"
  start_shardd a
  expect 3 shardkv --timeout 10000 entity scan
  says --skip-damaged
  expect 3 shardkv export --skip-damaged "$home/exported.jsonl"
  says "id $id"
  [ "$(grep -c . "$home/exported.jsonl")" -eq 5999 ]
  expect 3 shardkv backup "$BATS_TEST_TMPDIR/backup" --skip-damaged --piece-size 32KiB
  says "id $id"
  [ "$(grep -c "left out: " <<<"$output")" -eq 1 ]
}

@test "what is wrong is named, with what and where" {
  local shard
  for shard in 8192 -1 12a @ 1-9; do
    expect 2 shardkv id mint "$shard"
    says "SHARD is 0 to 8191"
    says "not \"$shard\""
    expect 2 shardkv entity put "$shard" 1 '{}'
    says "not \"$shard\""
  done
  expect 2 shardkv entity put 1 65536 '{}'
  says "KIND is 0 to 65535, not \"65536\""
  expect 2 shardkv entity scan --kind -1
  says "--kind is 0 to 65535, not \"-1\""
  expect 2 shardkv entity put 1 1 '{"a":}'
  says "the document cannot be read: line 1, column 6: "
  # What is wrong with JSON that is none of ours has no place.
  expect 2 shardkv entity put 1 1 '{"$bin":1}'
  says 'the document cannot be read: "$bin" must be a text in base64'
  expect 2 shardkv entity update 5 '{"a":{"$ext":[1]}}'
  says 'the document cannot be read: "$ext" must be [type, text in base64]'
  expect 2 shardkv entity put 1 1 '{"$name":1}'
  says 'the document cannot be read: "$name": keys that begin with $'
  expect 2 shardkv entity put 1 1 '{"$bin":"AAE="}'
  says "a document is an object"
  expect 2 shardkv entity update 5 '[1]'
  says "a document is an object"
  expect 2 shardkv entity get 18446744073709551616
  says "ID is a number from 0 to 2^64-1, not \"18446744073709551616\""
  expect 2 shardkv id show --origin 281474976710656 1
  says "--origin is at most"
  expect 2 shardkv id mint 1 --count 0
  says "--count"
  expect 2 shardkv mint 1
  says "did you mean id mint?"
  expect 2 shardkv entity delet 5
  says "did you mean entity delete?"
  expect 3 shardkv -b 127.0.0.1:1 --timeout 300 entity put 1 1 '{}'
  says "127.0.0.1:1"
  expect 5 bash -c "shardkv entity put 1 1 '{}' >/dev/full"
  says "but the entity is put"
}
