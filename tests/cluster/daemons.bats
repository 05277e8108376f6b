#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Starting, refusing and stopping: the daemons as an operator meets them.

setup() {
  load lib
}

teardown() {
  end_cluster
}

@test "help and version" {
  local program
  for program in shardd bootstrapd shardkv; do
    expect 0 "$program" --help
    says "$program"
    expect 0 "$program" --version
    says "$program 0."
  done
}

@test "each command of help has its summary in one column, also one that is longer than its own" {
  expect 0 shardkv help
  grep -qx "  server set-address SERVER HOST:PORT" <<<"$output"
  grep -qE '^ {27}tell where a server is to be found' <<<"$output"
  refute grep -E '^  .{24}[^ ]' <<<"$(sed '/^options/,$d; /server set-address/d; /entity put/d' <<<"$output")"
}

@test "unknown flags and stray arguments are usage errors" {
  expect 2 shardd --listen 127.0.0.1:0 --data "$home/d" --colour red
  says colour
  expect 2 shardd --listen 127.0.0.1:0 --data "$home/d" stray
  says stray
  expect 2 bootstrapd --listen
}

@test "check mode starts nothing and leaves nothing" {
  expect 0 shardd -n --listen 127.0.0.1:0 --data "$home/d"
  [ ! -e "$home/d/tree" ]
}

@test "an address that is none is named" {
  expect 1 shardd --listen nonsense --data "$home/d"
  says nonsense
}

@test "a non-loopback address needs --insecure-bind, and the refusal says why" {
  expect 1 shardd --listen 0.0.0.0:0 --data "$home/d"
  says --insecure-bind
  expect 1 bootstrapd --listen 0.0.0.0:0 --data "$home/m"
  says --insecure-bind
  launch d shardd --listen 0.0.0.0:0 --data "$home/d" --insecure-bind
}

@test "a port in use is named" {
  start_shardd a
  expect 1 shardd --listen "$(address a)" --data "$home/other"
  says "$(address a)"
  says "in use"
}

@test "a data directory that another process holds is refused" {
  start_shardd a
  expect 1 shardd --listen 127.0.0.1:0 --data "$home/a"
  says "$home/a"
  says "in use"
}

@test "a data directory that cannot be made or written is named" {
  touch "$home/file"
  expect 1 shardd --listen 127.0.0.1:0 --data "$home/file"
  says "$home/file"
  expect 1 shardd --listen 127.0.0.1:0 --data "$home/none/deeper"
  says "$home/none/deeper"
}

@test "more connections than the hard file limit allows are refused" {
  expect 1 bash -c "ulimit -n 1000 && exec shardd --listen 127.0.0.1:0 --data $home/d --max-connections 10000"
  says 10000
}

@test "the soft file limit is raised to what is needed" {
  launch d bash -c "ulimit -Sn 256 && exec shardd --listen 127.0.0.1:0 --data $home/d --max-connections 2000"
  [ "$(awk '/Max open files/ { print $4 }' "/proc/$(pid d)/limits")" -ge 2000 ]
}

@test "SIGTERM ends a daemon with status 0" {
  start_cluster
  local name
  for name in bootstrapd a; do
    kill -TERM "$(pid "$name")"
    await_end "$name"
    refute grep 'level=error' "$home/$name.err"
  done
  # The status is known only to the shell that started it, so once more in the foreground.
  run timeout --preserve-status -s TERM 1 shardd --listen 127.0.0.1:0 --data "$home/c"
  [ "$status" -eq 0 ]
}

@test "an unreachable cluster ends within the deadline with status 3, and is named" {
  local before after
  before=$(date +%s%N)
  expect 3 shardkv -b 127.0.0.1:1 --timeout 500 read test
  after=$(date +%s%N)
  says 127.0.0.1:1
  [ $(((after - before) / 1000000)) -lt 2000 ]
}

@test "a client goes on while bootstrapd is away, and after it came back" {
  start_cluster
  shardkv write before 1
  end KILL bootstrapd
  expect 0 shardkv -b "$(address a)" write during 2
  expect 0 shardkv -b "$(address a)" read before
  start_bootstrapd
  expect 0 shardkv read during
}

@test "either side may start first" {
  # bootstrapd first: the servers' ports must be known, so they run once before.
  start_shardd a
  start_shardd b
  write_map
  end TERM a b
  rm -r "$home/a" "$home/b"
  start_bootstrapd
  start_shardd a
  start_shardd b
  expect 0 shardkv --timeout 10000 write test 1
  expect 0 shardkv read test
}

@test "a restarted cluster has its data, and grows its versions" {
  start_cluster
  local before after
  shardkv write test 1
  before=$(shardkv --json read test | jq -r .version)
  end KILL a b bootstrapd
  start_shardd a
  start_shardd b
  start_bootstrapd
  [ "$(shardkv read test)" = 1 ]
  shardkv write test 2
  after=$(shardkv --json read test | jq -r .version)
  [ "$after" -gt "$before" ]
}

@test "the systemd units verify" {
  local unit
  # With this build's programs in place of the installed ones, so that they are there to be checked.
  for unit in shardd@ bootstrapd; do
    sed "s|/usr/bin|$bin|" "config/systemd/$unit.service" >"$home/$unit.service"
  done
  for unit in shardd@5050 bootstrapd; do
    run systemd-analyze verify --man=no "$home/$unit.service"
    echo "$output"
    refute grep -F "$unit.service:" <<<"$output"
    refute grep -F "$home/" <<<"$output"
  done
}
