# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Completion of shardkv for bash: copy it to /usr/share/bash-completion/completions/shardkv, or source it.
# The words are those of `shardkv help`.

# The options that COMMAND takes besides the global ones.
_shardkv_options() { # COMMAND
  case $1 in
  'id mint') echo --count ;;
  'id show') echo --origin ;;
  'entity put') echo --ttl --sliding ;;
  'entity get') echo --raw ;;
  'entity update') echo --kind --if-version --ttl --sliding ;;
  'entity scan') echo --kind --skip-damaged ;;
  write) echo --bytes --if-absent --if-version --ttl --sliding ;;
  expire) echo --ttl --never --sliding --if-version ;;
  status) echo --watch --count ;;
  read | pop) echo --raw ;;
  keys) echo --prefix --skip-damaged ;;
  export) echo --skip-damaged ;;
  backup) echo --resume --verify --skip-damaged --piece-size ;;
  restore) echo --merge --if-absent --from-piece ;;
  import) echo --format --if-absent --acks ;;
  bench) echo --records --value-size --connections --pipeline --seconds --warmup --rate --zipf --no-load --server-pid --redis --echo --count --shards --share --shard --to --moves --parts --moving-only --local --cluster-pipeline --plot ;;
  'log dump') echo --from --limit ;;
  'log salvage') echo --to --without-tree ;;
  'map init') echo --server --size ;;
  'map apply') echo --dry-run ;;
  'map recover') echo --dry-run --accept-missing ;;
  'map log') echo --limit ;;
  'shard reset' | 'move undo') echo --accept-loss ;;
  'server add') echo --capacity ;;
  'server drain') echo --undo ;;
  'move pause' | 'move resume' | 'move abort' | 'move throttle') ;;
  'move '*) echo --to --part --from --until --rate --detach --force ;;
  moves) echo --all ;;
  rebalance) echo --by --run --detach --stop ;;
  esac
}

# The words of the command that stand before the cursor, without options and their values.
_shardkv_words() {
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    -b | --bootstrap | --timeout | --if-version | --prefix | --format | --acks | --server | --size | --records | --value-size | --connections | --pipeline | --seconds | --warmup | --rate | --server-pid | --redis | --echo | --share | --shard | --moves | --parts | --local | --cluster-pipeline | --plot | --ttl | --count | --from | --limit | --to | --piece-size | --from-piece | --capacity | --part | --until | --by | --kind | --origin) i=$((i + 1)) ;;
    -*) ;;
    *) printf '%s\n' "${COMP_WORDS[i]}" ;;
    esac
  done
}

_shardkv() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words command offer=
  mapfile -t words < <(_shardkv_words)
  command=${words[0]:-}
  case $command in
  map | shard | log | server | move | id | entity) command="$command ${words[1]:-}" ;;
  esac
  case $previous in
  --format) offer='jsonl lines' ;;
  --by) offer='bytes load' ;;
  --acks | --to | --plot) compopt -o default && return ;;
  -b | --bootstrap | --timeout | --if-version | --prefix | --server | --size | --records | --value-size | --connections | --pipeline | --seconds | --warmup | --rate | --server-pid | --redis | --echo | --share | --shard | --moves | --parts | --local | --cluster-pipeline | --ttl | --count | --from | --limit | --piece-size | --from-piece | --capacity | --part | --until | --kind | --origin) return ;;
  *)
    case $current in
    -*) offer="--bootstrap --json --timeout --help --version $(_shardkv_options "$command")" ;;
    *)
      case $command in
      '' | help) offer='write read pop delete exists incr expire id entity keys import export backup restore status map shard server move moves rebalance log ping bench version help' ;;
      bench) offer='read write mixed ycsb-a ycsb-b ycsb-c ycsb-d ycsb-e ycsb-f mint put rebalance' ;;
      'id ') offer='mint show' ;;
      'entity ') offer='put get update delete scan' ;;
      'map ') offer='get init apply log' ;;
      'shard ') offer='list resize reset' ;;
      'server ') offer='add list drain remove set-address' ;;
      'move ') offer='pause resume abort undo throttle' ;;
      'log ') offer='verify dump salvage' ;;
      import | export | backup | restore | 'map init' | 'map apply' | 'log '*) compopt -o default && return ;;
      esac
      ;;
    esac
    ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$current")
}

complete -F _shardkv shardkv
