# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# A cluster of real processes for one test: daemons on port 0 and data under $BATS_TEST_TMPDIR (or
# $BATS_FILE_TMPDIR when a whole file shares one). Each daemon NAME has NAME.pid, NAME.err and, once
# it said `ready:`, NAME.address. Only what was started here is ended, by process id.

build=${BUILD:-build}
bin=$PWD/$build/bin
PATH=$bin:$PATH
home=${CLUSTER_HOME:-$BATS_TEST_TMPDIR}
# Sanitized builds tell of leaks and races on standard error; an operator's test must see them as failures.
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=print_stacktrace=1

# Starts PROGRAM in the background as NAME and waits for its ready line; fails with its words if it ends first.
launch() { # NAME PROGRAM ARGUMENT...
  local name=$1 line errors
  shift
  rm -f "$home/$name.pipe"
  mkfifo "$home/$name.pipe"
  "$@" </dev/null >"$home/$name.out" 2>"$home/$name.pipe" 3>&- &
  echo $! >"$home/$name.pid"
  disown
  exec {errors}<"$home/$name.pipe"
  : >"$home/$name.err"
  while read -r line <&$errors; do
    printf '%s\n' "$line" >>"$home/$name.err"
    if [[ $line == "ready: listening on "* ]]; then
      echo "${line#ready: listening on }" >"$home/$name.address"
      cat <&$errors >>"$home/$name.err" 3>&- &
      disown
      exec {errors}<&-
      return 0
    fi
  done
  exec {errors}<&-
  echo "$name did not start:" >&2
  cat "$home/$name.err" >&2
  return 1
}

address() { cat "$home/$1.address"; }
port() { sed 's/.*://' "$home/$1.address"; }
pid() { cat "$home/$1.pid"; }

# Waits until the process of NAME has ended, whatever way.
await_end() { tail -f --pid="$(pid "$1")" /dev/null 3>&-; }

end() { # SIGNAL NAME...
  local signal=$1 name
  shift
  for name in "$@"; do
    kill "-$signal" "$(pid "$name")" 2>/dev/null || true
    await_end "$name"
  done
}

# A server that ran before comes back at its old address.
start_shardd() { # NAME [FLAG...]
  local name=$1 listen=127.0.0.1:0
  shift
  [ ! -s "$home/$name.address" ] || listen=$(address "$name")
  launch "$name" shardd --listen "$listen" --data "$home/$name" "$@"
}

start_bootstrapd() {
  local listen=127.0.0.1:0
  [ ! -s "$home/bootstrapd.address" ] || listen=$(address bootstrapd)
  launch bootstrapd bootstrapd --listen "$listen" --config "$home/map.json" --data "$home/bootstrapd"
  SHARDKV_BOOTSTRAP=$(address bootstrapd)
  export SHARDKV_BOOTSTRAP
}

# Two servers a and b, half of the circle each, SIZE (1GiB) bytes a shard.
write_map() { # [SIZE]
  cat >"$home/map.json" <<END
{ "shards": [
    { "name": "low", "start": 0.0, "end": 0.5, "size": "${1:-1GiB}", "host": "127.0.0.1", "port": $(port a) },
    { "name": "high", "start": 0.5, "end": 1.0, "size": "${1:-1GiB}", "host": "127.0.0.1", "port": $(port b) } ] }
END
}

start_cluster() { # [SIZE]
  start_shardd a
  start_shardd b
  write_map "${1:-}"
  start_bootstrapd
  # Founding ends when both servers have opened their ranges; a read by the library waits for it.
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
}

# One server a with all of the circle.
start_one() { # FLAG...
  start_shardd a "$@"
  cat >"$home/map.json" <<END
{ "shards": [ { "name": "all", "start": 0.0, "end": 1.0, "size": "4GiB", "host": "127.0.0.1", "port": $(port a) } ] }
END
  start_bootstrapd
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
}

# For teardown: whatever still runs.
end_cluster() {
  local file
  for file in "$home"/*.pid; do
    [ -e "$file" ] || continue
    kill -KILL "$(cat "$file")" 2>/dev/null || true
  done
}

# Runs a command that must exit with STATUS; its output is in $output, as bats' run leaves it.
expect() { # STATUS COMMAND...
  local wanted=$1
  shift
  run "$@"
  if [ "$status" -ne "$wanted" ]; then
    echo "exit status $status instead of $wanted: $*" >&2
    echo "$output" >&2
    return 1
  fi
}

# bats does not see a failing `!`.
refute() { # COMMAND...
  if "$@"; then
    echo "should have failed: $*" >&2
    return 1
  fi
}

# The last output has PATTERN (a fixed string) in it.
says() {
  if ! grep -qF -- "$1" <<<"$output"; then
    echo "not said: $1" >&2
    echo "$output" >&2
    return 1
  fi
}

# Until COMMAND succeeds, which it must before long.
await() { # COMMAND...
  local end=$((SECONDS + 30))
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$end" ]; then
      echo "not before long: $*" >&2
      "$@" >&2
      return 1
    fi
  done
}

all_is_in_the_tree() {
  shardkv --json status | jq -e 'all(.servers[]; .dirty_records == 0 and .applied_stamp == .stamp)'
}

# Every copy of TEXT in the tree of a.
flip_in_tree() { # TEXT
  /usr/bin/python3 - "$home/a/tree" "$1" <<'END'
import sys
path, text = sys.argv[1], sys.argv[2].encode()
with open(path, "r+b") as file:
    pages = file.read()
    assert text in pages
    file.seek(0)
    file.write(pages.replace(text, text[:-1] + b"?"))
END
}
