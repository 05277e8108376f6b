#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# deps.sh GROUP...: installs what is missing of the groups named in config/packages.txt.
# Prints the command before it runs it, asks on a terminal, uses sudo when not root.
# Off Debian it prints the pkg-config names that are missing and exits 2.
set -euo pipefail
list=$(dirname "$0")/packages.txt

wanted() { # column GROUP...
  local column=$1 group
  shift
  for group in "$@"; do
    awk -v g="$group" -v c="$column" '$1 == g && $c != "" { print $c }' "$list"
  done
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  missing=()
  for name in $(wanted 3 "$@"); do
    pkg-config --exists "$name" 2>/dev/null || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && exit 0
  echo "missing libraries (pkg-config names): ${missing[*]}" >&2
  echo "install their development packages and run the command again" >&2
  exit 2
fi

missing=()
for package in $(wanted 2 "$@"); do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
install=("${sudo[@]}" apt-get install -y --no-install-recommends "${missing[@]}")
echo "needed: ${install[*]}"
if [ -t 0 ] && [ -t 1 ]; then
  read -r -p "run it? [Y/n] " answer
  case $answer in
  [nN]*) exit 1 ;;
  esac
fi
export DEBIAN_FRONTEND=noninteractive
# A machine that never fetched the package lists, or whose lists are old, needs them first.
"${install[@]}" || { "${sudo[@]}" apt-get update && "${install[@]}"; }
