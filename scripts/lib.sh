# shellcheck shell=bash
# What the scripts share. Sourced, never run. Sets $root, the top of the source tree.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# shellcheck disable=SC2034  # used by run and test
build_packages=(
	build-essential pkg-config cmake ninja-build
	libzmq3-dev libczmq-dev libsodium-dev libssl-dev libjansson-dev
	libwebsockets-dev libwebsockets-evlib-uv libuv1-dev
	python3 python3-venv
)

say() {
	printf -- '-- %s\n' "$*" >&2
}

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# need_apt PACKAGE...: install the Debian packages that are missing; with sudo where needed, else
# print the command to run and stop.
need_apt() {
	command -v dpkg-query >/dev/null || die "this is not a Debian system; install what provides: $*"
	local -A have=()
	local name
	while read -r name; do
		have[$name]=1
	done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
		sed -n 's/^installed //p')
	local missing=()
	for name in "$@"; do
		[[ ${have[$name]-} ]] || missing+=("$name")
	done
	((${#missing[@]})) || return 0
	local as_root=()
	if ((EUID != 0)); then
		# Not sudo -v: it wants a password where any rule does, though the last one needs none.
		if ! command -v sudo >/dev/null || ! sudo true; then
			die "packages are missing and there is no way to become root; run this as root, then try again:
  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
		fi
		as_root=(sudo)
	fi
	say "installing Debian packages: ${missing[*]}"
	"${as_root[@]}" apt-get update -qq >&2
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends "${missing[@]}" >&2
}

# kernel_prefix: where the gateway's own kernels live (config key `prefix`), absolute.
kernel_prefix() {
	realpath -m "${KERNELBRIDGE_PREFIX:-${XDG_DATA_HOME:-$HOME/.local/share}/kernelbridge}"
}

# hash_of WORD... -- PATH...: one hash of the words and of every file below the paths.
hash_of() {
	local words=()
	while [[ $1 != -- ]]; do
		words+=("$1")
		shift
	done
	shift
	{
		printf '%s\0' "${words[@]}"
		find "$@" -type f -not -path '*/__pycache__/*' -not -path '*/build/*' \
			-not -path '*.egg-info/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
	} | sha256sum | cut -d ' ' -f 1
}

# stamped FILE HASH: true where FILE says that HASH was the last thing done.
stamped() {
	[[ -f $1 && $(<"$1") == "$2" ]]
}

# build PRESET CMAKE_ARG... -- BUILD_ARG...: configure where that was not done, then build.
build() {
	local preset=$1 configure=()
	shift
	while (($#)) && [[ $1 != -- ]]; do
		configure+=("$1")
		shift
	done
	shift || true
	cd "$root" || exit
	if ! [[ -f build/$preset/build.ninja ]] || ! cache_has "build/$preset" "${configure[@]}"; then
		say "configuring preset $preset"
		cmake --preset "$preset" "${configure[@]}" >"build/$preset.configure.log" 2>&1 || {
			cat "build/$preset.configure.log" >&2
			die "cmake --preset $preset failed"
		}
	fi
	cmake --build "build/$preset" "$@" >&2
}

# cache_has DIR -DNAME=VALUE...: true where the CMake cache of DIR holds these values already.
cache_has() {
	local cache=$1/CMakeCache.txt arg name
	shift
	for arg in "$@"; do
		name=${arg%%=*}
		grep -q "^${name#-D}:[A-Z]*=${arg#*=}\$" "$cache" || return 1
	done
}
