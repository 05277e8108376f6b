#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Whose data is it: another cluster's, another disk's, another bootstrapd's (RULES M3, M4, M5).

setup() {
  load lib
}

teardown() {
  end_cluster
}

# Waits until `shardkv COMMAND` says PATTERN: the daemons find each other in their own time.
await_says() { # PATTERN shardkv ARGUMENT...
  local pattern=$1 try
  shift
  for ((try = 0; try < 200; try++)); do
    run "$@"
    grep -qF -- "$pattern" <<<"$output" && return 0
    # A refused ping takes one round trip: this paces the loop without a clock.
    shardkv --timeout 50 -b 127.0.0.1:1 ping >/dev/null 2>&1 || true
  done
  says "$pattern"
}

@test "an edited map file against an existing directory is refused with the way out" {
  start_cluster
  end TERM bootstrapd
  sed -i 's/1GiB/2GiB/' "$home/map.json"
  expect 1 bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/bootstrapd"
  says "use: shardkv map apply"
}

@test "map apply changes the sizes, and the file is accepted afterwards" {
  start_cluster
  sed -i 's/1GiB/2GiB/' "$home/map.json"
  expect 0 shardkv map apply "$home/map.json"
  says low
  expect 0 shardkv --json status
  jq -e 'all(.servers[].shards[]; .size == 2147483648)' <<<"$output"
  end TERM bootstrapd
  start_bootstrapd
}

@test "a change is logged with the revision that it made" {
  start_cluster
  sed -i 's/1GiB/2GiB/' "$home/map.json"
  expect 0 shardkv map apply "$home/map.json"
  expect 0 shardkv --json map get
  grep -F "revision $(jq -r .revision <<<"$output"): shard low: size" "$home/bootstrapd.err"
}

@test "after another file was applied, bootstrapd still starts with the one that founded the cluster" {
  start_cluster
  sed 's/1GiB/2GiB/' "$home/map.json" >"$home/other.json"
  expect 0 shardkv map apply "$home/other.json"
  end TERM bootstrapd
  start_bootstrapd
  expect 0 shardkv --json status
  jq -e 'all(.servers[].shards[]; .size == 2147483648)' <<<"$output"
}

@test "a map that would move points is refused" {
  start_cluster
  sed -i 's/0\.5, "size/0.25, "size/; s/"start": 0\.5/"start": 0.25/' "$home/map.json"
  expect 4 shardkv map apply "$home/map.json"
  says move
}

@test "an emptied data directory is DATA_MISSING until it is reset, which costs its data" {
  start_cluster
  local i
  for i in {1..20}; do
    shardkv write "key$i" "$i" >/dev/null
  done
  end KILL a
  rm -r "$home/a"
  start_shardd a
  await_says "data missing" shardkv status
  # Nothing is served quietly as empty.
  local missing=0
  for i in {1..20}; do
    run shardkv --timeout 300 read "key$i"
    [ "$status" -eq 0 ] || { [ "$status" -eq 3 ] && missing=$((missing + 1)); }
  done
  [ "$missing" -gt 0 ]
  expect 2 shardkv shard reset low
  says --accept-loss
  expect 0 shardkv shard reset low --accept-loss
  expect 0 shardkv --timeout 10000 write key1 1
  expect 0 shardkv --timeout 10000 keys
  [ "$(wc -l <<<"$output")" -le 21 ]
  grep -q "reset" "$home/bootstrapd.err"
}

@test "a disk that comes back after its shard was reset does not serve what it held" {
  start_cluster
  local i
  for i in {1..20}; do
    shardkv write "key$i" "$i" >/dev/null
  done
  end KILL a
  mv "$home/a" "$home/old"
  start_shardd a
  await_says "data missing" shardkv status
  expect 0 shardkv shard reset low --accept-loss
  expect 0 shardkv --timeout 10000 keys
  local left
  left=$(grep -c . <<<"$output")
  end KILL a
  mv "$home/a" "$home/new"
  mv "$home/old" "$home/a"
  start_shardd a
  await_says "data missing" shardkv status
  local found=0
  for i in {1..20}; do
    run shardkv --timeout 300 read "key$i"
    [ "$status" -ne 0 ] || found=$((found + 1))
  done
  [ "$found" -eq "$left" ]
  grep -q "shard low: closed" "$home/a.err"
}

# Stops a, keeps a copy, goes on writing, and starts the copy in its place, COUNT times.
restore_old_copy() { # COUNT
  local i
  for i in {1..10}; do
    shardkv write "key$i" stale >/dev/null
  done
  end TERM a
  cp -a "$home/a" "$home/copy"
  start_shardd a
  # Of a start that bootstrapd has not seen it cannot tell.
  await_says '"incarnation": "2"' shardkv map get
  for i in {1..10}; do
    shardkv --timeout 10000 write "key$i" new >/dev/null
  done
  end TERM a
  mv "$home/a" "$home/newer"
  mv "$home/copy" "$home/a"
  for ((i = 1; i < $1; i++)); do
    start_shardd a
    await_says "restored copy" shardkv status
    end TERM a
  done
  start_shardd a
  await_says "restored copy" shardkv status
}

@test "a restored copy of a server's data serves nothing, however often it is started" {
  start_cluster
  restore_old_copy 3
  local i refused=0
  for i in {1..10}; do
    run shardkv --timeout 300 read "key$i"
    [[ $output != *stale* ]]
    [ "$status" -ne 3 ] || refused=$((refused + 1))
  done
  [ "$refused" -gt 0 ]
  # The newer data comes back.
  end TERM a
  rm -r "$home/a"
  mv "$home/newer" "$home/a"
  start_shardd a
  for i in {1..10}; do
    expect 0 shardkv --timeout 10000 read "key$i"
    says new
  done
}

@test "a restored copy is taken as it is by a reset with --accept-loss" {
  start_cluster
  restore_old_copy 1
  expect 0 shardkv shard reset low --accept-loss
  local i old=0
  for i in {1..10}; do
    expect 0 shardkv --timeout 10000 read "key$i"
    [[ $output != *stale* ]] || old=$((old + 1))
  done
  [ "$old" -gt 0 ]
  # It is the data from now on: what was given up is not.
  end TERM a
  rm -r "$home/a"
  mv "$home/newer" "$home/a"
  start_shardd a
  await_says "restored" shardkv status
}

@test "a daemon in the directory of the other kind is refused" {
  start_cluster
  end TERM a bootstrapd
  expect 1 shardd --listen 127.0.0.1:0 --data "$home/bootstrapd"
  says "is a bootstrapd's directory"
  expect 1 bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/a"
  says "not a bootstrapd's directory"
}

@test "a reset waits for the server that shall have the shard, and says so" {
  start_cluster
  end KILL a
  await_says "down" shardkv status
  expect 3 shardkv shard reset low --accept-loss
  says "does not answer at $(address a)"
}

@test "a bootstrapd that hangs makes reading the map unavailable, not unknown" {
  start_cluster
  kill -STOP "$(pid bootstrapd)"
  expect 3 shardkv --timeout 300 map get
  kill -CONT "$(pid bootstrapd)"
  says "$(address bootstrapd)"
}

@test "a server with another cluster's data is refused" {
  start_cluster
  end TERM bootstrapd
  mv "$home/bootstrapd" "$home/first"
  start_bootstrapd
  await_says "wrong cluster" shardkv --timeout 300 status
  end TERM bootstrapd
  rm -r "$home/bootstrapd"
  mv "$home/first" "$home/bootstrapd"
  start_bootstrapd
  expect 0 shardkv write test 1
}

@test "a second bootstrapd on a copied directory is refused while the first lives" {
  start_cluster
  cp -r "$home/bootstrapd" "$home/copy"
  launch second bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/copy"
  SHARDKV_BOOTSTRAP=$(address second) await_says "refused" shardkv --timeout 500 status
  SHARDKV_BOOTSTRAP=$(address second) expect 3 shardkv --timeout 500 status
  # One trouble is one line.
  [ "$(grep -c "server $(address a): refused" <<<"$output")" -le 1 ]
  expect 0 shardkv write test 1
  expect 0 shardkv --json status
  jq -e 'all(.servers[]; .state == "serving")' <<<"$output"
}

@test "of two copies of one directory that were started equally often the servers take one" {
  start_cluster
  end TERM bootstrapd
  cp -r "$home/bootstrapd" "$home/copy"
  start_bootstrapd
  launch second bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/copy"
  await_says "refused" shardkv -b "$(address second),$(address bootstrapd)" --timeout 500 status
  # Whichever it is, it stays: the other one's term and instance are not its own.
  end TERM bootstrapd second
  start_bootstrapd
  expect 0 shardkv --timeout 10000 write test 1
}

@test "a second bootstrapd on the same directory is refused" {
  start_cluster
  expect 1 bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/bootstrapd"
  says "in use"
}

@test "a founded directory without a valid slot refuses to start" {
  start_cluster
  end TERM bootstrapd
  local size
  size=$(stat -c %s "$home/bootstrapd/map")
  head -c "$size" /dev/zero >"$home/bootstrapd/map"
  expect 1 bootstrapd --listen 127.0.0.1:0 --config "$home/map.json" --data "$home/bootstrapd"
  says "$home/bootstrapd"
}
