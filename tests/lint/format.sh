#!/bin/sh
# format.sh ROOT - fail if clang-format 14 would change a C file of ours.
set -eu
cd "$1"
tool=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$tool" ]; then
	echo "clang-format is missing: apt install clang-format"
	exit 1
fi
case $("$tool" --version) in
*"version 14."*) ;;
*)
	echo "$tool is not version 14, which .clang-format is for"
	exit 77 # others format some lines otherwise
	;;
esac
find wire kernelmgr gateway tests -name node_modules -prune -o -name '*.[ch]' -print0 |
	xargs -0 "$tool" --dry-run -Werror
