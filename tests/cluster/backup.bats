#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Backups of a cluster that serves, and what can happen to them until they are restored.

setup() {
  load lib
  backup=$BATS_TEST_TMPDIR/backup
}

teardown() {
  local directory
  for directory in "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR"/*/; do
    home=${directory%/}
    end_cluster
  done
}

# From now on daemons are those of another cluster NAME.
other() { # NAME
  home=$BATS_TEST_TMPDIR/$1
  mkdir -p "$home"
}

# The map of one server a whose shard has SIZE.
write_one() { # SIZE
  cat >"$home/map.json" <<END
{ "shards": [ { "name": "all", "start": 0.0, "end": 1.0, "size": "$1", "host": "127.0.0.1", "port": $(port a) } ] }
END
}

await_founding() {
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
}

# A cluster of three servers, whose shards are of different lengths.
start_three() {
  start_shardd a
  start_shardd b
  start_shardd c
  cat >"$home/map.json" <<END
{ "shards": [
    { "name": "one", "start": 0.0, "end": 0.2, "size": "1GiB", "host": "127.0.0.1", "port": $(port a) },
    { "name": "two", "start": 0.2, "end": 0.9, "size": "1GiB", "host": "127.0.0.1", "port": $(port b) },
    { "name": "three", "start": 0.9, "end": 1.0, "size": "1GiB", "host": "127.0.0.1", "port": $(port c) } ] }
END
  start_bootstrapd
  await_founding
}

# COUNT records of about a hundred bytes: filled.jsonl.
fill() { # COUNT
  seq 1 "$1" | sed 's/.*/{"key":"key&","value":"the value of & and some bytes more, so that it has about a hundred"}/' >"$home/filled.jsonl"
  shardkv import "$home/filled.jsonl" >"$home/import.out"
}

sorted() { LC_ALL=C sort "$1"; }

# What is in the cluster is what was filled.
is_as_filled() {
  shardkv export "$home/exported.jsonl"
  cmp <(sorted "$BATS_TEST_TMPDIR/filled.jsonl") <(sorted "$home/exported.jsonl")
}

# One bit of FILE, in its middle.
flip() { # FILE
  /usr/bin/python3 - "$1" <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    data = bytearray(file.read())
    data[len(data) // 2] ^= 1
    file.seek(0)
    file.write(data)
END
}

@test "a backup taken under writes has what was there throughout exactly once, and is restored to one shard and to three" {
  start_cluster
  fill 20000
  # Others come, change and go meanwhile, all over the circle.
  (
    while [ ! -e "$home/enough" ]; do
      sed 's/key\([0-9]\)/load\1/' "$home/filled.jsonl" | head -3000 | shardkv import - >/dev/null
      for i in {1..20}; do
        shardkv delete "load$i" >/dev/null
      done
      : >"$home/written"
    done
  ) 3>&- &
  local load=$!
  until [ -e "$home/written" ]; do :; done
  expect 0 shardkv --json backup "$backup" --piece-size 64KiB
  : >"$home/enough"
  wait $load
  jq -e '.records >= 20000 and .records <= 23000 and .pieces > 10 and .damaged == 0' <<<"$output"
  local records
  records=$(jq .records <<<"$output")
  jq -e --argjson n "$records" '.format == 2 and all(.pieces[:-1][]; .table == "default") and (.cluster | length) == 32
         and .records == $n and ([.pieces[].records] | add) == $n and .pieces[0].from == ""' "$backup/manifest.json"
  expect 0 shardkv -b 127.0.0.1:1 backup "$backup" --verify
  says "is whole: $records records"

  other one
  start_one
  expect 0 shardkv --json restore "$backup"
  jq -e --argjson n "$records" '.records == $n and .of_records == $n and .written == $n and .expired == 0 and .existing == 0' <<<"$output"
  shardkv export "$home/exported.jsonl"
  other three
  start_three
  expect 0 shardkv restore "$backup"
  says "$records of $records records"
  shardkv export "$home/exported.jsonl"
  cmp "$BATS_TEST_TMPDIR/one/exported.jsonl" "$home/exported.jsonl"
  [ "$(wc -l <"$home/exported.jsonl")" -eq "$records" ]
  cmp <(sorted "$BATS_TEST_TMPDIR/filled.jsonl") <(grep '"key":"key' "$home/exported.jsonl" | LC_ALL=C sort)
}

@test "every kind of value and key comes back, and an empty cluster makes a backup, too" {
  start_cluster
  expect 0 shardkv backup "$backup.empty"
  says "0 records in 2 pieces"
  expect 0 shardkv backup "$backup.empty" --verify
  expect 0 shardkv restore "$backup.empty"
  /usr/bin/python3 tests/cluster/random_values.py "$(address a)" "$(address b)" 2000
  head -c 5000000 /dev/urandom >"$home/large"
  shardkv write large --bytes - <"$home/large"
  shardkv export "$home/before.jsonl"
  expect 0 shardkv backup "$backup"
  other new
  start_one
  expect 0 shardkv restore "$backup"
  shardkv export | cmp - "$BATS_TEST_TMPDIR/before.jsonl"
  shardkv read large --raw | cmp - "$BATS_TEST_TMPDIR/large"
}

@test "what expires keeps the time that is left of it, and what has expired is left out and counted" {
  start_cluster
  shardkv write long 1 --ttl 1h
  shardkv write sliding 2 --ttl 2h --sliding
  shardkv write ever 3
  shardkv write short 4 --ttl 3s
  expect 0 shardkv backup "$backup"
  says "4 records"
  local end=$((SECONDS + 20))
  while shardkv exists short >/dev/null; do
    [ $SECONDS -lt $end ]
  done
  other new
  start_one
  expect 0 shardkv --json restore "$backup"
  jq -e '.records == 4 and .written == 3 and .expired == 1' <<<"$output"
  expect 0 shardkv --json read long
  jq -e '.ttl_ms > 3500000 and .ttl_ms < 3598000' <<<"$output"
  shardkv export "$home/exported.jsonl"
  jq -se 'any(.[]; .key == "sliding" and .sliding and .full_ttl_ms == 7200000 and .ttl_ms < 7198000)
          and any(.[]; .key == "ever" and (has("ttl_ms") | not)) and length == 3' "$home/exported.jsonl"
}

@test "after kill -9 a backup is unfinished, and --resume goes on behind the last whole piece" {
  start_cluster
  fill 40000
  shardkv backup "$backup" --piece-size 16KiB >/dev/null 2>&1 3>&- &
  local taking=$!
  until [ -e "$backup/records-000005" ]; do :; done
  kill -KILL $taking
  wait $taking || true
  [ ! -e "$backup/manifest.json" ]
  expect 2 shardkv backup "$backup"
  says "--resume goes on with it"
  expect 2 shardkv backup --verify "$backup"
  says "unfinished"
  expect 2 shardkv restore "$backup"
  says "unfinished"
  # What stands behind a piece that is gone, or was not finished, is taken anew.
  rm "$backup/records-000004"
  : >"$backup/records-000099.part"
  expect 0 shardkv --json backup "$backup" --resume --piece-size 1MiB
  jq -e '.kept_pieces == 3 and .records == 40000' <<<"${lines[-1]}"
  [ ! -e "$backup/records-000099.part" ]
  expect 0 shardkv backup "$backup" --verify
  says "is whole: 40000 records"
  expect 0 shardkv backup "$backup" --resume
  says "is whole: 40000 records"
  expect 2 shardkv backup "$backup"
  says "another directory"
  other new
  start_one
  expect 0 shardkv restore "$backup"
  is_as_filled
}

@test "a backup of another cluster is not gone on with" {
  start_cluster
  fill 100
  expect 0 shardkv backup "$backup"
  rm "$backup/manifest.json"
  other new
  start_one
  expect 2 shardkv backup "$backup" --resume
  says "is a backup of cluster"
  [ -e "$backup/records-000001" ]
}

@test "files that are damaged, missing, unreadable or of a newer version are named, and nothing is restored" {
  start_cluster
  fill 5000
  expect 0 shardkv backup "$backup" --piece-size 64KiB
  other new
  start_one
  local case word
  for case in flipped shortened missing unreadable swapped newer manifest-flipped manifest-newer manifest-unreadable; do
    cp -r "$backup" "$backup.$case"
    word="records-000003"
    [[ $case != manifest-* ]] || word=manifest.json
    case $case in
    *flipped) flip "$backup.$case/$word" ;;
    shortened) truncate -s -1 "$backup.$case/$word" ;;
    missing) rm "$backup.$case/$word" ;;
    *unreadable) rm "$backup.$case/$word" && mkdir "$backup.$case/$word" ;;
    swapped) cp "$backup/records-000004" "$backup.$case/$word" ;;
    newer) printf '\2' | dd of="$backup.$case/$word" bs=1 seek=8 conv=notrunc status=none ;;
    manifest-newer) echo '{"format":3}' >"$backup.$case/$word" ;;
    esac
    expect 2 shardkv backup "$backup.$case" --verify
    says "$backup.$case/$word: "
    [[ $case != *newer ]] || says "newer version"
    expect 2 shardkv restore "$backup.$case"
    says "$backup.$case/$word: "
    expect 0 shardkv keys
    [ -z "$output" ]
  done
  # All faults are said, not the first alone.
  rm "$backup.flipped/records-000001"
  expect 2 shardkv backup "$backup.flipped" --verify
  says "records-000001: it is missing"
  says "records-000003: damaged at byte"
  expect 2 shardkv backup "$backup.nowhere" --verify
  says "$backup.nowhere"
}

@test "--resume takes a damaged piece anew" {
  start_cluster
  fill 5000
  expect 0 shardkv backup "$backup" --piece-size 64KiB
  rm "$backup/manifest.json"
  flip "$backup/records-000003"
  expect 0 shardkv backup "$backup" --resume
  says "records-000003: damaged"
  says "2 pieces were there"
  expect 0 shardkv backup "$backup" --verify
  says "is whole: 5000 records"
}

@test "a cluster that has records is refused, merged into, or left as it is where it has them" {
  start_cluster
  fill 3000
  expect 0 shardkv backup "$backup" --piece-size 64KiB
  shardkv write key7 changed
  shardkv delete key8
  shardkv write mine 1
  expect 4 shardkv restore "$backup"
  says "is not empty"
  [ "$(shardkv read key7)" = changed ]
  expect 0 shardkv --json restore "$backup" --merge --if-absent
  jq -e '.written == 1 and .existing == 2999' <<<"$output"
  [ "$(shardkv read key7)" = changed ]
  expect 0 shardkv --json restore "$backup" --merge
  jq -e '.written == 3000 and .existing == 0' <<<"$output"
  [ "$(shardkv read key7)" != changed ]
  [ "$(shardkv read mine)" = 1 ]
}

@test "a restore that was killed is done again, and one that a full shard stopped goes on from its piece" {
  start_cluster
  fill 40000
  expect 0 shardkv backup "$backup" --piece-size 64KiB
  other new
  start_one
  shardkv restore "$backup" >/dev/null 2>&1 3>&- &
  local restoring=$!
  until [ "$(shardkv --json status | jq '[.servers[].shards[].records] | add')" -gt 2000 ]; do :; done
  kill -KILL $restoring
  wait $restoring || true
  expect 4 shardkv restore "$backup"
  expect 0 shardkv restore "$backup" --merge
  is_as_filled
  expect 2 shardkv restore "$backup" --merge --from-piece 999999
  says "--from-piece is at most"

  other small
  start_shardd a
  write_one 1MiB
  start_bootstrapd
  await_founding
  expect 4 shardkv restore "$backup"
  says "--merge --from-piece"
  local piece
  piece=$(sed -n 's/.*--from-piece \([0-9]*\) goes on.*/\1/p' <<<"$output")
  [ "$piece" -gt 1 ]
  jq '.shards[0].size = "1GiB"' <(shardkv map get) >"$home/larger.json"
  shardkv map apply "$home/larger.json"
  expect 0 shardkv restore "$backup" --merge --from-piece "$piece"
  is_as_filled
}

@test "a disk that is full is said, with the file, and --resume goes on when there is room" {
  start_cluster
  fill 5000
  # A limit on the length of files stands for it.
  expect 3 bash -c "trap '' XFSZ; ulimit -S -f 32; exec shardkv backup $backup --piece-size 64KiB"
  says "cannot write $backup/records-000001.part: "
  says "--resume goes on with it"
  expect 0 shardkv backup "$backup" --resume
  expect 0 shardkv backup "$backup" --verify
  says "5000 records"
  expect 2 shardkv backup "$home"
  says "is not empty"
}

@test "a damaged record ends a backup, and with --skip-damaged is told once, left out and counted" {
  start_one --log-segment 64KiB --log-size 256KiB
  fill 3000
  await all_is_in_the_tree
  end TERM a
  sed -i 's/the value of 1234 and some/the value of 1234 and same/' "$home/a/tree"
  start_shardd a
  expect 3 shardkv --timeout 10000 backup "$backup" --piece-size 16KiB
  says "key1234"
  says --skip-damaged
  says --resume
  expect 3 shardkv backup "$backup" --resume --skip-damaged --piece-size 16KiB
  says "key key1234"
  [ "$(grep -c "left out: " <<<"$output")" -eq 1 ]
  says "1 damaged record was left out"
  jq -e '.records == 2999 and .damaged == 1 and ([.pieces[].damaged] | add) == 1' "$backup/manifest.json"
  expect 0 shardkv backup "$backup" --verify
  says "1 damaged record was left out when it was made"
  other new
  start_one
  expect 0 shardkv restore "$backup"
  [ "$(shardkv keys | wc -l)" -eq 2999 ]
}
