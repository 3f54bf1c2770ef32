# shellcheck shell=bash
# shellcheck disable=SC2154  # what install-kernels sets
# r: IRkernel, R and all their packages from Debian, behind our kernel.R. The kernelspec is r.
#
# R reads no profile, environment file or workspace of the user's. Without a locale of its own it
# gets one that knows UTF-8, else R prints <U+00E9> for an é.

r_source=$root/kernelmgr/kernels/r

install_r() {
	local want version
	need_apt r-base-core r-cran-irkernel
	version=$(R --no-echo --vanilla -e 'cat(as.character(getRversion()))')
	want=$(hash_of "$venv_made" "$version" -- "$r_source" "${BASH_SOURCE[0]}")
	put_already r "$want" && return
	say "putting the kernelspec r"
	put_spec r "R=$(command -v R)" "VERSION=$version" <<-'END'
		{
		 "argv": [
		  "/bin/sh", "-c", "[ -n \"$LC_ALL$LC_CTYPE$LANG\" ] || export LANG=C.UTF-8; exec \"$@\"", "r",
		  "@R@", "--no-echo", "--no-restore", "--no-save", "--no-init-file",
		  "--file=@PREFIX@/share/jupyter/kernels/r/kernel.R", "--args", "{connection_file}"
		 ],
		 "display_name": "R",
		 "language": "r",
		 "interrupt_mode": "signal",
		 "env": {"R_ENVIRON_USER": "/dev/null"},
		 "metadata": {"kernelbridge": {"version": "@VERSION@", "env": true, "stdin_eof": true}}
		}
	END
	install -m 644 "$r_source/kernel.R" "$prefix/share/jupyter/kernels/r/kernel.R"
	check r 'cat(6 * 7, "\n")' 42
	put_done r "$want"
}
