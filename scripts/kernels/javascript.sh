# shellcheck shell=bash
# shellcheck disable=SC2154  # what install-kernels sets
# javascript and typescript: Deno, one binary out of a wheel, and a kernelspec for each. Its Jupyter
# part is patched (what that changes: the first lines of jupyter.patch). What it compiles and what
# cells import from npm lies in $prefix/deno, not in a user's home.

deno_source=$root/kernelmgr/kernels/deno

install_javascript() {
	deno_kernel javascript "JavaScript (Deno)"
}

install_typescript() {
	deno_kernel typescript "TypeScript (Deno)"
}

# deno_kernel NAME TITLE
deno_kernel() {
	local want
	want=$(hash_of "$venv_made" -- "${BASH_SOURCE[0]}" "$deno_source")
	put_already "$1" "$want" && return
	say "installing the kernel $1"
	put_deno
	put_spec "$1" "NAME=$1" "TITLE=$2" "VERSION=$(node_version)" <<-'END'
		{
		 "argv": ["@PREFIX@/venv/bin/deno", "jupyter", "--kernel", "--conn", "{connection_file}"],
		 "display_name": "@TITLE@",
		 "language": "@NAME@",
		 "interrupt_mode": "message",
		 "env": {"NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": "@PREFIX@/deno"},
		 "metadata": {"kernelbridge": {"transport": "tcp", "complete": true, "version": "@VERSION@"}}
		}
	END
	check "$1" 'const kbCheck: number = 6 * 7; console.log(kbCheck)' 42
	put_done "$1" "$want"
}

# The binary, anew where it or the patch has changed.
put_deno() {
	local bin=$prefix/venv/bin want
	want=$(hash_of "$venv_made" -- "$deno_source")
	stamped "$prefix/venv/.deno" "$want" && return
	need_apt patch
	venv_install --no-deps --force-reinstall -r "$deno_source/requirements.txt"
	"$bin/python" "$deno_source/embed.py" "$bin/deno" "$deno_source/jupyter.patch" ||
		die "the JavaScript kernel could not be patched"
	echo "$want" >"$prefix/venv/.deno"
}

# The version of Node that this Deno is compatible with.
node_version() {
	NO_COLOR=1 DENO_NO_UPDATE_CHECK=1 DENO_DIR=$prefix/deno "$prefix/venv/bin/deno" eval 'console.log(process.versions.node)'
}
