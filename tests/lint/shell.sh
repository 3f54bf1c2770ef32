#!/bin/sh
# shell.sh ROOT - fail if shellcheck finds fault with a script of ours; skipped where it is missing.
set -eu
cd "$1"
command -v shellcheck >/dev/null || exit 77
find scripts .ci tests -name node_modules -prune -o -type f -print |
	while read -r f; do
		head -c 64 "$f" | head -n 1 | grep -aqE '^#!.*(bash|/sh)$|^# shellcheck shell' || continue
		printf '%s\n' "$f"
	done | xargs shellcheck --external-sources --source-path=.
