#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Ids when replies are lost, ranges move, and a server's clock is wrong.

setup() {
  load lib
  load moving
}

teardown() {
  end_cluster
}

retry_put() { # lose|again|mint NAME
  /usr/bin/python3 tests/cluster/retry_put.py "$1" "$(address "$2")"
}

has_entities() { # COUNT
  [ "$(shardkv entity scan | wc -l)" -eq "$1" ]
}

# Their clock may be set while they run: the file has eight bytes, milliseconds.
set_clock() { # NAME MS
  /usr/bin/python3 -c 'import os, struct, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.pwrite(file, struct.pack("=q", int(sys.argv[2])), 0)' "$home/$1.clock" "$2"
}

start_with_clock() { # NAME
  launch "$1" env LD_PRELOAD="$(preload clock)" TORTURE_CLOCK="$home/$1.clock" \
    shardd --listen "$(listen_of "$1")" --data "$home/$1"
}

@test "a put whose reply was lost has the same id when it is asked again, over moves and a kill, and one record" {
  start_cluster
  start_shardd c
  shardkv server add "$(address c)" >/dev/null
  retry_put lose a
  await has_entities 10
  local first
  first=$(retry_put again a)
  [ "$(sort -u <<<"$first")" = "$(shardkv --json entity scan | jq -r .id | sort -u)" ]
  expect 0 shardkv move low --to "$(address c)"
  expect 0 shardkv move high --to "$(address c)"
  [ "$(retry_put again c)" = "$first" ]
  end KILL c
  start_shardd c
  [ "$(retry_put again c)" = "$first" ]
  has_entities 10
}

@test "who mints again after a lost reply has other ids, also after a move and a kill" {
  start_cluster
  start_shardd c
  shardkv server add "$(address c)" >/dev/null
  retry_put mint a >"$home/ids"
  expect 0 shardkv move low --to "$(address c)"
  retry_put mint a >>"$home/ids"
  end KILL b c
  start_shardd b
  start_shardd c
  retry_put mint a >>"$home/ids"
  [ "$(wc -l <"$home/ids")" -eq 60 ]
  [ "$(sort -u "$home/ids" | wc -l)" -eq 60 ]
}

@test "a clock hours behind: nothing is minted, status says so; minutes behind: ids go on above, after a start, too" {
  skip_if_sanitized
  set_clock a 0
  start_with_clock a
  cat >"$home/map.json" <<END
{ "shards": [ { "name": "all", "start": 0.0, "end": 1.0, "size": "4GiB", "host": "127.0.0.1", "port": $(port a) } ] }
END
  start_bootstrapd
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
  shardkv id mint 12 >"$home/ids"
  expect 0 shardkv status
  refute says warning 2>/dev/null
  set_clock a -300000
  shardkv id mint 12 >>"$home/ids"
  end TERM a
  start_with_clock a
  shardkv id mint 12 --count 3 >>"$home/ids"
  end TERM a
  start_with_clock a
  shardkv id mint 12 >>"$home/ids"
  end KILL a
  start_with_clock a
  shardkv id mint 12 >>"$home/ids"
  set_clock a -7200000
  expect 3 shardkv id mint 12
  says "clock is more than 10 minutes behind"
  expect 3 shardkv entity put 12 1 '{"n":1}'
  end TERM a
  start_with_clock a
  expect 3 shardkv id mint 12
  expect 0 shardkv status
  says "behind the ids that it gave: it gives none until the clock is set right"
  has_entities 0
  set_clock a 3600000
  shardkv id mint 12 >>"$home/ids"
  expect 0 shardkv status
  refute says "behind the ids" 2>/dev/null
  [ "$(wc -l <"$home/ids")" -eq 8 ]
  sort -nuc "$home/ids"
}
