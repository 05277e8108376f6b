#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# log verify, dump and salvage on what real servers leave (RULES L3).

load lib

setup() {
  start_cluster
  for key in one two three four five; do
    shardkv write "$key" "value of $key" >/dev/null
  done
}

# A record of operations in the middle of the log of NAME.
middle_operations() { # NAME
  shardkv log dump "$home/$1" --json |
    /usr/bin/python3 -c 'import json, sys
records = [json.loads(line) for line in sys.stdin]
found = [r for r in records if r.get("record") == "operations"]
found = found[len(found) // 2]
print(found["file"], found["offset"])'
}

# What `status` counts in all shards, and what an export has: key, value and 64 bytes a record.
same_counts() {
  diff <(shardkv status --json | /usr/bin/python3 -c 'import json, sys
shards = [shard for server in json.load(sys.stdin)["servers"] for shard in server["shards"]]
print(sum(s["records"] for s in shards), sum(s["bytes"] for s in shards))') \
    <(shardkv export | /usr/bin/python3 -c 'import json, msgpack, sys
records = [json.loads(line) for line in sys.stdin]
print(len(records), sum(len(r["key"]) + len(msgpack.packb(r["value"])) + 64 for r in records))')
}

# The salvaged directory takes the place of the damaged one.
take_place() { # NAME
  rm -rf "$home/damaged"
  mv "$home/$1" "$home/damaged"
  mv "$home/new" "$home/$1"
}

teardown() { end_cluster; }

# The offset of the last record in the log of NAME that has operations.
last_operations() { # NAME
  shardkv log dump "$home/$1" --json |
    /usr/bin/python3 -c 'import json, sys
records = [json.loads(line) for line in sys.stdin]
found = [r for r in records if r.get("record") == "operations"]
print(found[-1]["file"], found[-1]["offset"])'
}

flip_byte() { # FILE OFFSET
  /usr/bin/python3 -c 'import sys
with open(sys.argv[1], "r+b") as log:
    log.seek(int(sys.argv[2]))
    byte = log.read(1)[0]
    log.seek(int(sys.argv[2]))
    log.write(bytes([byte ^ 1]))' "$1" "$2"
}

@test "a running server's directory is in use" {
  expect 2 shardkv log verify "$home/a"
  says "in use"
}

@test "a log is fine after a clean stop, and after kill -9 of a quiet server" {
  end TERM a
  end KILL b
  expect 0 shardkv log verify "$home/a"
  says "the server was stopped"
  expect 0 shardkv log verify "$home/b"
  says "the server was not stopped"
}

@test "a dump tells what was written" {
  end TERM a b
  run cat <(shardkv log dump "$home/a") <(shardkv log dump "$home/b")
  for key in one two three four five; do
    says "key $key size"
  done
}

@test "damage is named by verify and by the server, and salvage is the way past it" {
  local file offset
  end TERM a
  read -r file offset < <(last_operations a)
  flip_byte "$home/a/$file" "$offset"
  expect 1 shardkv log verify "$home/a"
  says "damaged: $file: offset $offset: "
  refute start_shardd a
  grep -F "$file" "$home/a.err"

  expect 0 shardkv log salvage "$home/a" --to "$home/new"
  says "left behind: $file:$offset to "
  expect 0 shardkv log verify "$home/new"
  mv "$home/a" "$home/damaged"
  mv "$home/new" "$home/a"
  start_shardd a
  expect 0 shardkv --timeout 10000 write six 6
  expect 0 shardkv keys
  says six
}

@test "a sound log that has nothing but its checkpoint is salvaged to one that is" {
  await all_is_in_the_tree
  end TERM a bootstrapd
  start_shardd a
  end TERM a
  refute grep operations <(shardkv log dump "$home/a")
  expect 0 shardkv log salvage "$home/a" --to "$home/new"
  expect 0 shardkv log verify "$home/new"
  take_place a
  start_shardd a
}

# RULES S8: it kept the accounts of before what it left behind.
@test "what is salvaged is counted before it is served, also when that is killed" {
  local file offset key
  for key in {1..40}; do
    shardkv write "$key" "value of $key" >/dev/null
  done
  same_counts
  end TERM a
  read -r file offset < <(middle_operations a)
  flip_byte "$home/a/$file" $((offset + 150))
  expect 0 shardkv log salvage "$home/a" --to "$home/new"
  says "with the headers of 1 record of"
  take_place a
  for key in 1 2 3; do
    touch "$home/a/recount"
    start_shardd a
    end KILL a
  done
  start_shardd a
  shardkv --timeout 10000 read 1 >/dev/null || [ $? -eq 1 ]
  same_counts
  shardkv delete 2 || [ $? -eq 1 ]
  end TERM a
  [ ! -e "$home/a/recount" ]
  expect 0 shardkv log verify "$home/a"
  start_shardd a
  shardkv --timeout 10000 read 1 >/dev/null || [ $? -eq 1 ]
  same_counts
}

@test "a newest segment that is missing is named, and what is left is salvaged" {
  local segments newest
  end KILL a
  segments=("$home"/a/log-*)
  newest=${segments[-1]##*/}
  cp "$home/a/$newest" "$home/kept"
  start_shardd a
  end KILL a
  segments=("$home"/a/log-*)
  newest=${segments[-1]##*/}
  rm "$home/a/$newest"
  expect 1 shardkv log verify "$home/a"
  says "damaged: $newest is missing: log.newest tells of it"
  refute start_shardd a
  grep -F "$newest" "$home/a.err"
  expect 0 shardkv log salvage "$home/a" --to "$home/new"
  says "left behind: $newest, which is missing"
  take_place a
  start_shardd a
  expect 0 shardkv --timeout 10000 write six 6
  same_counts
}

# The same byte in each segment.
flip_segments() { # NAME OFFSET
  local file
  for file in "$home/$1"/log-*; do
    flip_byte "$file" "$2"
  done
}

# RULES S11: byte 88 is of the salt, without which no record can be read; 4097 of the first checkpoint.
@test "where no checkpoint can be read, salvage begins with the tree, and all that is left is served" {
  local key
  end TERM a b
  flip_segments a 88
  flip_segments b 4097
  expect 1 shardkv log verify "$home/a"
  refute start_shardd a
  refute start_shardd b
  expect 3 shardkv log salvage "$home/a" --to "$home/new" --without-tree
  says "no checkpoint can be read, and the tree is given up"
  rm -rf "$home/new"
  expect 0 shardkv log salvage "$home/a" --to "$home/new"
  says "left behind: log-"
  says "no checkpoint can be read: the server begins with the tree"
  take_place a
  expect 0 shardkv log verify "$home/a"
  cp -r "$home/a" "$home/new"
  start_shardd a
  grep -F "log salvage found no checkpoint: this server begins with the tree" "$home/a.err"
  rm -rf "$home/kept"
  mv "$home/new" "$home/kept"
  expect 0 shardkv log salvage "$home/b" --to "$home/new"
  take_place b
  start_shardd b
  for key in one two three four five six; do
    expect 0 shardkv --timeout 10000 write "$key" again
  done
  same_counts
  end TERM a
  start_shardd a
  expect 0 shardkv --timeout 10000 read one
  same_counts

  end KILL a
  rm -rf "$home/a"
  mv "$home/kept" "$home/a"
  flip_byte "$home/a/tree" 16
  flip_byte "$home/a/tree" 4112
  refute start_shardd a
  grep -F "$home/a/tree: " "$home/a.err"
}

@test "a tree that is damaged or missing is named, and given up only when told" {
  end TERM a
  cp "$home/a/tree" "$home/whole"
  truncate -s 5000 "$home/a/tree"
  refute start_shardd a
  grep -F "$home/a/tree: " "$home/a.err"
  grep -F "see: shardkv help log salvage" "$home/a.err"
  rm "$home/a/tree"
  refute start_shardd a
  grep -F "$home/a/tree: is missing, and there is a log beside it" "$home/a.err"
  expect 1 shardkv log verify "$home/a"
  says "damaged: tree is missing"
  expect 3 shardkv log salvage "$home/a" --to "$home/new"
  says "without-tree"
  rm -rf "$home/new"
  expect 0 shardkv log salvage "$home/a" --to "$home/new" --without-tree
  says "left behind: tree"
  take_place a
  start_shardd a
  expect 0 shardkv --timeout 10000 write six 6
  same_counts
  rm "$home/a/tree"
  end TERM a
  refute start_shardd a
}

@test "what can be read of a damaged tree is kept" {
  local key page
  refute start_shardd c --salvage-tree
  grep -F "is not what shardkv log salvage wrote" "$home/c.err"
  for key in {1..40}; do
    shardkv write "$key" "value of $key" >/dev/null
  done
  end TERM a
  expect 0 shardkv log salvage "$home/a" --to "$home/new"
  take_place a
  page=$(($(stat -c %s "$home/a/tree") / 4096 / 2))
  flip_byte "$home/a/tree" $((page * 4096 + 12))
  start_shardd a --salvage-tree
  grep -F "the tree was written anew" "$home/a.err"
  expect 0 shardkv --timeout 10000 write six 6
  same_counts
  refute test -e "$home/a/tree-compact"
}
