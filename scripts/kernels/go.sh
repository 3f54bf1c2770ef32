# shellcheck shell=bash
# shellcheck disable=SC2154  # what install-kernels sets
# go: gonb, built from the Go module proxy with a small patch (what it changes: its first lines).
# Everything lies in $prefix/go: root (the toolchain), bin (gonb, goimports), cache (what has been
# compiled, the standard library from the start). What a cell fetches goes to its own $HOME/go.

go_source=$root/kernelmgr/kernels/go

install_go() {
	local want go=$prefix/go
	want=$(hash_of "$prefix" -- "$go_source/requirements.txt")
	if ! stamped "$go/.root" "$want"; then
		say "installing the Go toolchain"
		go_toolchain "$go"
		echo "$want" >"$go/.root"
	fi
	want=$(hash_of "$want" "$venv_made" -- "$go_source" "${BASH_SOURCE[0]}")
	[[ -x $go/bin/gonb ]] && put_already go "$want" && return
	say "building the Go kernel, and the standard library for its cells"
	go_build "$go"
	say "putting the kernelspec go"
	put_spec go "VERSION=$(sed -n 's/^go\([0-9]\)/\1/p' "$go/root/VERSION")" <<-'END'
		{
		 "argv": [
		  "@PREFIX@/go/bin/gonb", "--raw_error", "--logtostderr=false", "--log_file=/dev/null", "--stderrthreshold=FATAL",
		  "--kernel", "{connection_file}"
		 ],
		 "display_name": "Go",
		 "language": "go",
		 "interrupt_mode": "signal",
		 "env": {
		  "PATH": "@PREFIX@/go/bin:@PREFIX@/go/root/bin:${PATH}",
		  "GOROOT": "@PREFIX@/go/root",
		  "GOCACHE": "@PREFIX@/go/cache",
		  "GOTOOLCHAIN": "local"
		 },
		 "metadata": {"kernelbridge": {"version": "@VERSION@", "env": true, "stdin_eof": true}}
		}
	END
	check go $'import "fmt"\nfunc main() { fmt.Println(6 * 7) }' 42
	put_done go "$want"
}

# go_toolchain DIR: put the toolchain into DIR/root.
go_toolchain() {
	local new=$1/new
	rm -rf "$1/root" "$new"
	mkdir -p "$1"
	venv_install --no-deps --require-hashes --no-compile --target "$new" -r "$go_source/requirements.txt"
	mv "$new/go" "$1/root"
	rm -rf "$new"
}

# go_build DIR: build DIR/bin, and fill DIR/cache so that a first cell waits for no compiler. The
# modules are only needed here.
go_build() {
	local work modules=(github.com/janpfeifer/gonb golang.org/x/tools/cmd/goimports)
	need_apt patch
	work=$(mktemp -d)
	mkdir "$work/src" "$1/bin" 2>/dev/null || true
	cp "$go_source"/go.{mod,sum} "$work/src"
	(
		export PATH=$1/root/bin:$PATH GOROOT=$1/root GOTOOLCHAIN=local GOFLAGS=-modcacherw GO111MODULE=on
		export GOPATH=$work/path GOMODCACHE=$work/path/pkg/mod GOCACHE=$1/cache GOENV=off GOWORK=off
		cd "$work/src"
		go mod vendor
		patch -s -p1 -d "vendor/${modules[0]}" <"$go_source/gonb.patch"
		go build -ldflags='-s -w' -o "$1/bin/" "${modules[@]}"
		GOFLAGS='' go build std
	) >"$1/build.log" 2>&1 || {
		rm -rf "$work"
		die "the Go kernel could not be built: $(tail -n 1 "$1/build.log") (all of it: $1/build.log)"
	}
	rm -rf "$work"
}
