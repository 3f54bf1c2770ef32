#!/bin/sh
# config.sh KERNELBRIDGE ROOT - fail if configs/ does not say what the program says.
set -eu
bin=$1 root=$2
run() {
	env -i HOME=/nonexistent ASAN_OPTIONS="${ASAN_OPTIONS-}" "$bin" "$@"
}
if ! run --print-config | diff -u "$root/configs/kernelbridge.cfg" -; then
	echo "  -> run: $bin --print-config >configs/kernelbridge.cfg"
	exit 1
fi
for f in "$root"/configs/*.cfg; do
	run --check-config --config "$f" >/dev/null || {
		echo "  -> $f"
		exit 1
	}
done
