#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What an operator gets wrong about servers, shards, moves and backups: told what is wrong and where, and nothing has changed.

setup() {
  load lib
  start_cluster
  start_shardd c
  revision=$(map_revision)
}

teardown() {
  end_cluster
}

map_revision() { shardkv --json status | jq .map_revision; }

@test "servers: an address that is none, nobody there, one that is known, one that owns something" {
  expect 2 shardkv server add somewhere
  says '"somewhere" is no HOST:PORT'
  expect 2 shardkv server add 127.0.0.1:0
  says '"127.0.0.1:0" is no HOST:PORT'
  expect 2 shardkv server set-address "$(address a)" 127.0.0.1:0
  says '"127.0.0.1:0" is no HOST:PORT'
  expect 3 shardkv server add 127.0.0.1:1
  says "shardkv: server add: $(address bootstrapd): server 127.0.0.1:1: down"
  expect 4 shardkv server add "$(address bootstrapd)"
  says "server $(address bootstrapd): refused: this is a bootstrapd, not a server"
  expect 4 shardkv server add "$(address a)"
  says "$(address a) is in the map"
  expect 2 shardkv server add "$(address c)" --capacity 0
  says 'not "0"'
  expect 4 shardkv server drain 127.0.0.1:9
  says "no server has the address or id 127.0.0.1:9"
  expect 4 shardkv server remove "$(address a)"
  says "server $(address a): owns shards: drain it first"
  expect 4 shardkv server set-address "$(address a)" "$(address b)"
  says "$(address b) is another server's"
  [ "$(map_revision)" = "$revision" ]
}

@test "moves: a shard, a server or a part that is none, and a server that has it" {
  expect 4 shardkv move nowhere --to "$(address b)"
  says "no shard has the name nowhere"
  expect 4 shardkv move low --to 127.0.0.1:9
  says "no server has the address or id 127.0.0.1:9"
  expect 4 shardkv move low --to "$(address a)"
  says "shard low: server $(address a) has it"
  expect 2 shardkv move low --to "$(address b)" --part 0
  says '--part is above 0 and at most 1, not "0"'
  expect 2 shardkv move low --to "$(address b)" --part 1.5
  says 'not "1.5"'
  expect 2 shardkv move low --to "$(address b)" --part 0.5 --from 0.1
  says "--part excludes --from and --until"
  expect 2 shardkv move low --to "$(address b)" --from 0.4 --until 0.2
  says "--from 0.4 is not below --until 0.2"
  expect 2 shardkv move low --to "$(address b)" --until 2
  says '--until is a bound from 0 to 1, not "2"'
  expect 4 shardkv move low --to "$(address b)" --from 0.4 --until 0.7
  says "shard low goes from 0.0 to 0.5: what moves must lie in it"
  expect 2 shardkv move low --to "$(address b)" --rate -1
  says 'not "-1"'
  expect 4 shardkv move throttle 7 1MB
  says "no move that waits or goes on has the number 7"
  expect 2 shardkv move throttle 7 -1MB
  says 'not "-1MB"'
  [ "$(map_revision)" = "$revision" ]
}

@test "shards: a size that is none, and a name that is none" {
  expect 2 shardkv shard resize low 0
  says 'at least 1024: not "0"'
  expect 4 shardkv shard resize nowhere 1GiB
  says "no shard has the name nowhere"
  expect 4 shardkv shard reset nowhere --accept-loss
  says "no shard has the name nowhere"
  expect 2 shardkv rebalance --by size
  says '--by is bytes or load, not "size"'
  expect 2 shardkv rebalance --run --stop
  says "--run and --stop exclude each other"
  [ "$(map_revision)" = "$revision" ]
}

@test "backups: a directory that has something, or is none, and a cluster that has something" {
  shardkv write key value >/dev/null
  mkdir "$home/full"
  : >"$home/full/note"
  expect 2 shardkv backup "$home/full"
  says "$home/full is not empty"
  expect 2 shardkv backup "$home/full/note"
  says "$home/full/note: Not a directory"
  expect 2 shardkv restore "$home/full"
  says "$home/full: unfinished, or no backup"
  expect 2 shardkv restore "$home/nowhere"
  says "$home/nowhere: No such file or directory"
  expect 2 shardkv backup "$home/none/backup"
  says "$home/none/backup: the directory $home/none is missing: make it first"
  shardkv backup "$home/backup" >/dev/null
  expect 2 shardkv backup "$home/backup"
  says "$home/backup has a finished backup"
  expect 4 shardkv restore "$home/backup"
  says 'it has "key"'
}
