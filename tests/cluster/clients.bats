#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Others who use what is installed: a foreign MessagePack client, and a stranger's C program.

setup() {
  load lib
}

teardown() {
  end_cluster
}

@test "a MessagePack client of another language writes, reads and pops, following WRONG_SHARD" {
  start_cluster
  run /usr/bin/python3 tests/cluster/foreign_client.py "$(address a)"
  echo "$output"
  [ "$status" -eq 0 ]
  says redirected
}

# CFLAGS of sanitized builds must not leak into the stranger's.
install_tree() {
  local sanitize=
  case $build in
  */address*) sanitize=-fsanitize=address,undefined ;;
  */thread*) sanitize=-fsanitize=thread ;;
  esac
  stranger_flags=$sanitize
  env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s install ${SANITIZE:+SANITIZE="$SANITIZE"} PREFIX=/opt/shardkv DESTDIR="$home/root" >/dev/null
  export PKG_CONFIG_PATH=$home/root/opt/shardkv/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$home/root
}

@test "a stranger's program builds against the installed tree, as C and as C++, shared and static, and works" {
  start_cluster
  install_tree
  local flags source=tests/cluster/stranger/stranger.c
  read -ra flags <<<"$(pkg-config --cflags --libs shardkv) $stranger_flags"
  gcc -std=c11 -Wall -Wextra -Wpedantic -Werror $source "${flags[@]}" -o "$home/c"
  g++ -x c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror $source -x none "${flags[@]}" -o "$home/cpp"
  read -ra flags <<<"$(pkg-config --cflags shardkv) $stranger_flags"
  gcc -std=c11 $source "${flags[@]}" "$home/root/opt/shardkv/lib/libshardkv.a" -pthread -o "$home/static"
  local program
  for program in c cpp static; do
    LD_LIBRARY_PATH=$home/root/opt/shardkv/lib expect 0 "$home/$program" "$SHARDKV_BOOTSTRAP"
    echo "$output"
  done
}

@test "the library shows only its own names" {
  run nm -D --defined-only "$build/lib/libshardkv.so.0"
  [ -n "$output" ]
  refute grep -vE ' (skv_[a-z_]+(@@SHARDKV_0)?|SHARDKV_0)$' <<<"$output"
  run nm --defined-only --extern-only "$build/lib/libshardkv.a"
  refute grep -E '^[0-9a-f]+ . ' <<<"$(grep -v ' skv_' <<<"$output")"
}

# Bytes of what both servers keep of clients for their retries.
remembered() { shardkv --json status | jq '[.servers[].results_bytes] | add'; }

@test "a command that has written leaves nothing of itself: a script may run as many as it likes" {
  start_cluster
  local before try
  # What a server makes its first results in stays.
  for try in $(seq 10); do
    shardkv write "first$try" 1 >/dev/null
  done
  before=$(remembered)
  for try in $(seq 60); do
    shardkv write "key$try" 1 >/dev/null
    shardkv incr counter >/dev/null
    shardkv pop "key$try" >/dev/null
  done
  # The last word of the last one may be on its way.
  until [ "$(remembered)" -le "$before" ]; do :; done
}
