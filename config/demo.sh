#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# demo.sh start | stop: a cluster of one bootstrapd and two shardd on loopback (config/map.json), and
# the quick start. Everything it keeps is in build/demo; it ends only what it started, by process id.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=build/bin
home=build/demo

# Whether the process that we started as NAME still runs: the id may meanwhile be somebody else's.
runs() { # NAME
  local pid
  pid=$(cat "$home/$1.pid" 2>/dev/null) || return 1
  case $(readlink "/proc/$pid/exe" 2>/dev/null) in
  "$PWD/$bin/"*) return 0 ;;
  *) return 1 ;;
  esac
}

# The program was built anew since.
is_outdated() { # NAME
  case $(readlink "/proc/$(cat "$home/$1.pid")/exe") in
  *" (deleted)") return 0 ;;
  *) return 1 ;;
  esac
}

end() { # NAME
  local pid
  pid=$(cat "$home/$1.pid")
  kill -TERM "$pid"
  while runs "$1"; do
    sleep 0.05
  done
  rm -f "$home/$1.pid"
  echo "$1 stopped (process $pid)"
}

launch() { # NAME PROGRAM ARGUMENT...
  local name=$1
  shift
  if runs "$name" && is_outdated "$name"; then
    end "$name"
  fi
  if runs "$name"; then
    echo "$name is running already (process $(cat "$home/$name.pid"))"
    return
  fi
  echo "\$ $*"
  : >"$home/$name.err" # else the line of an earlier start is found, or no file at all
  "$@" </dev/null >"$home/$name.out" 2>"$home/$name.err" &
  echo $! >"$home/$name.pid"
  disown
  until grep -q '^ready:' "$home/$name.err"; do
    # Not runs(): until our child has become the program, it still is this shell.
    if ! kill -0 $! 2>/dev/null; then
      echo "$name did not start:" >&2
      cat "$home/$name.err" >&2
      echo "the demo needs ports 5040, 5050 and 5051 on 127.0.0.1" >&2
      exit 1
    fi
    sleep 0.05
  done
}

show() { # WANTED-EXIT-STATUS shardkv ARGUMENT...
  local wanted=$1 status=0
  shift
  printf '$ %s' "$1"
  local word
  for word in "${@:2}"; do
    case $word in
    *[\ \"{}]*) printf " '%s'" "$word" ;;
    *) printf ' %s' "$word" ;;
    esac
  done
  echo
  PATH=$PWD/$bin:$PATH "$@" || status=$?
  [ "$status" -eq "$wanted" ] || {
    echo "exit status $status, expected $wanted" >&2
    exit 1
  }
}

start() {
  mkdir -p "$home"
  launch shardd-5050 $bin/shardd --listen 127.0.0.1:5050 --data $home/shardd-5050
  launch shardd-5051 $bin/shardd --listen 127.0.0.1:5051 --data $home/shardd-5051
  launch bootstrapd $bin/bootstrapd --listen 127.0.0.1:5040 --config config/map.json --data $home/bootstrapd
  echo
  show 0 shardkv write test "hello world"
  show 0 shardkv write test1 '{"hello":"world"}'
  show 0 shardkv read test
  show 0 shardkv read test1
  show 0 shardkv pop test1
  echo "# test1 is gone now: exit status 1 says that there is nothing"
  show 1 shardkv read test1
  show 0 shardkv status
  echo
  echo "the cluster stays up; try: $bin/shardkv help      stop it: make demo-stop"
}

stop() {
  local name
  for name in bootstrapd shardd-5050 shardd-5051; do
    if runs "$name"; then
      end "$name"
    else
      echo "$name is not running"
    fi
  done
}

case ${1:-} in
start) start ;;
stop) stop ;;
*)
  echo "usage: demo.sh start|stop" >&2
  exit 2
  ;;
esac
