# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# For tests of moves that stand still at a phase: of a daemon that was started by a `..._stalling` function, the next
# sync of log (of bootstrapd: map store) or tree waits for as long as it is told to (tests/torture/stall.h), so that
# nothing more becomes durable there, and nothing is said that must be.

says_so() { # PATTERN COMMAND...
  local pattern=$1 said
  shift
  said=$("$@" 2>&1) || true
  grep -F -- "$pattern" <<<"$said" || {
    echo "$said"
    return 1
  }
}

skip_if_sanitized() {
  case $build in
  *address* | *thread*) skip "a preloaded library and the sanitizers do not go together" ;;
  esac
}

preload() { # NAME: a library of tests/torture
  echo "$PWD/$build/tests/torture/$1_preload.so"
}

listen_of() { # NAME: where it was, or any port
  if [ -s "$home/$1.address" ]; then address "$1"; else echo 127.0.0.1:0; fi
}

start_stalling() { # NAME
  launch "$1" env LD_PRELOAD="$(preload stall)" TORTURE_DATA="$home/$1" \
    shardd --listen "$(listen_of "$1")" --data "$home/$1" --log-segment 1MiB --log-size 16MiB
}

start_bootstrapd_stalling() {
  launch bootstrapd env LD_PRELOAD="$(preload stall)" TORTURE_DATA="$home/bootstrapd" \
    bootstrapd --listen "$(listen_of bootstrapd)" --config "$home/map.json" --data "$home/bootstrapd"
  SHARDKV_BOOTSTRAP=$(address bootstrapd)
  export SHARDKV_BOOTSTRAP
}

stall() { # NAME log|tree
  : >"$home/$1.stall-$2"
}

waits() { # NAME
  [ -e "$home/$1.waits" ]
}

# Its wait has ended when this returns.
unstall() { # NAME
  rm -f "$home/$1.stall-log" "$home/$1.stall-tree"
  await refute waits "$1"
}

# For a process that was killed while it waited.
forget_stall() { # NAME
  rm -f "$home/$1.stall-log" "$home/$1.stall-tree" "$home/$1.waits"
}

# COUNT records of about a hundred bytes.
fill() { # COUNT
  seq 1 "$1" | sed 's/.*/{"key":"key&","value":"the value of & and some bytes more, so that it has about a hundred"}/' >"$home/filled.jsonl"
  shardkv import "$home/filled.jsonl" >"$home/import.out"
}

export_to() { # FILE
  shardkv --timeout 10000 export "$home/$1" && LC_ALL=C sort -o "$home/$1" "$home/$1"
}

is_as_before() {
  export_to after && cmp "$home/before" "$home/after"
}

owns() { # NAME SHARD
  shardkv --json shard list | jq -e --arg at "$(address "$1")" --arg shard "$2" \
    'any(.shards[]; .name == $shard and .server == $at)' >/dev/null
}

is_up() { # NAME
  shardkv --json server list | jq -e --arg at "$(address "$1")" 'any(.servers[]; .address == $at and .state == "up")'
}

# Of move NUMBER, whether FILTER holds.
is_move() { # NUMBER FILTER
  shardkv --json moves --all | jq -e --argjson n "$1" ".moves[] | select(.move == \$n) | $2" >/dev/null
}

reason_of() { # NUMBER
  shardkv --json moves --all | jq -r --argjson n "$1" '.moves[] | select(.move == $n) | .reason'
}

# Servers a and b have half of the circle each, c has nothing.
start_three_stalling() {
  skip_if_sanitized
  start_stalling a
  start_stalling b
  start_stalling c
  write_map
  start_bootstrapd_stalling
  shardkv --timeout 10000 exists founding >/dev/null || [ $? -eq 1 ]
  shardkv server add "$(address c)" >/dev/null
  fill "${1:-4000}"
  export_to before
}

# Of low to c; its number is in $number.
start_move() { # OPTION...
  number=$(shardkv --json move low --to "$(address c)" --detach "$@" | jq .move)
}

# Such a move stands where each of these says. Their order is that of the phases.
reach_copying() {
  start_move --rate 1KB
  await is_move "$number" '.records > 0'
}

# The source holds requests; the target has all and is about to say READY.
reach_frozen() {
  reach_copying
  stall c log
  shardkv move throttle "$number" 0
  await is_move "$number" '.state == "frozen"'
  await waits c
}

# bootstrapd is about to commit.
reach_ready() {
  reach_frozen
  stall bootstrapd log
  unstall c
  await waits bootstrapd
}

# The target is about to open.
reach_committed() {
  reach_ready
  stall c log
  unstall bootstrapd
  await is_in_phase committed
  await waits c
}

is_in_phase() { # PHASE
  shardkv --json shard list | jq -e --arg phase "$1" 'any(.shards[]; .name == "low" and .move == $phase)'
}
