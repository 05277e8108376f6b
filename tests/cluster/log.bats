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
