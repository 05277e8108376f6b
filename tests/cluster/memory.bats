#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# RULES F3 from outside: what a server holds in memory stays within --memory and a little more.

setup() {
  load lib
}

teardown() {
  end_cluster
}

# Sanitizers have memory of their own.
is_sanitized() {
  grep -q __sanitizer "$bin/shardd"
}

push() { # VALUE-SIZE; 200 MB into 16 MiB
  local peak keys
  start_one --memory 16MiB
  read -r peak keys < <(/usr/bin/python3 tests/cluster/push_writes.py "$(address a)" "$(pid a)" 200 "$1")
  echo "at most $peak MiB with $keys keys of $1 bytes"
  [ "$keys" -gt 0 ]
  is_sanitized || [ "$peak" -lt 80 ]
  [ "$(shardkv keys | wc -l)" -eq "$keys" ]
}

# What nobody reads, or nobody ends, stays below so many MiB, and a client that behaves is served.
be_hostile() { # MIB PROGRAM [scans|halves]
  start_one --memory 64MiB
  run /usr/bin/python3 "tests/cluster/$2" "$(address a)" "$(pid a)" "${@:3}"
  echo "$output"
  [ "$status" -eq 0 ]
  says "served again"
  is_sanitized || [ "$(sed -n 's/.*memory \([0-9]*\) MiB/\1/p' <<<"$output")" -lt "$1" ]
}

@test "200 MB of small writes do not fill the memory of a server that has 16 MiB, and all are kept" {
  push 1000
}

@test "200 MB of large writes do not fill it either" {
  push 100000
}

@test "large replies that nobody reads are bounded, and whoever reads is served" {
  be_hostile 160 unread_replies.py
}

@test "large scans that many ask for and nobody reads are bounded in sum" {
  be_hostile 140 hostile_clients.py scans
}

@test "large requests that many begin and nobody ends are bounded in sum" {
  be_hostile 140 hostile_clients.py halves
}
