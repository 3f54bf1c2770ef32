# shellcheck shell=bash
# shellcheck disable=SC2154  # what install-kernels sets
# bash: bash_kernel behind our own kernelbridge_bash (put_packages).

install_bash() {
	local want
	want=$(hash_of "$venv_made" "$package" "$BASH_VERSION" -- "${BASH_SOURCE[0]}" \
		"$python_source/requirements-bash.txt")
	put_already bash "$want" && return
	say "installing the kernel bash"
	venv_install --no-deps -r "$python_source/requirements-bash.txt"
	put_spec bash "VERSION=${BASH_VERSION%%[^0-9.]*}" <<-'END'
		{
		 "argv": ["@PREFIX@/venv/bin/python", "-P", "-m", "kernelbridge_bash", "-f", "{connection_file}"],
		 "display_name": "Bash",
		 "language": "bash",
		 "interrupt_mode": "signal",
		 "kernel_protocol_version": "5.5",
		 "metadata": {
		  "kernelbridge": {
		   "package": "kernelbridge_bash",
		   "version": "@VERSION@",
		   "env": true,
		   "waits": true,
		   "stdin_eof": true
		  }
		 }
		}
	END
	# shellcheck disable=SC2016  # for the bash in the kernel
	check bash 'echo $((6 * 7))' 42
	put_done bash "$want"
}
