# shellcheck shell=bash
# shellcheck disable=SC2154  # what install-kernels sets
# python: ipykernel behind kernelbridge_kernel (put_packages). The kernelspec is python3.

install_python() {
	local science want
	science=$(hash_of "$venv_made" -- "$python_source/requirements-science.txt")
	if ((with_science)) && ! stamped "$prefix/venv/.science" "$science"; then
		say "adding numpy, pandas and matplotlib"
		venv_install -r "$python_source/requirements-science.txt"
		echo "$science" >"$prefix/venv/.science"
	fi
	want=$(hash_of "$venv_made" "$package" -- "${BASH_SOURCE[0]}")
	put_already python3 "$want" && return
	say "putting the kernelspec python3"
	put_spec python3 "VERSION=$(python_version)" <<-'END'
		{
		 "argv": ["@PREFIX@/venv/bin/python", "-P", "-m", "kernelbridge_kernel", "-f", "{connection_file}"],
		 "display_name": "Python 3",
		 "language": "python",
		 "interrupt_mode": "signal",
		 "kernel_protocol_version": "5.5",
		 "metadata": {
		  "debugger": false,
		  "supported_encryption": ["curve"],
		  "kernelbridge": {
		   "package": "kernelbridge_kernel",
		   "version": "@VERSION@",
		   "env": true,
		   "waits": true,
		   "stdin_eof": true,
		   "assign": true,
		   "zygote": ["@PREFIX@/venv/bin/python", "-P", "-m", "kernelbridge_kernel.zygote"],
		   "start_env": [
		    "PYTHONASYNCIODEBUG", "PYTHONCASEOK", "PYTHONCOERCECLOCALE", "PYTHONDEBUG", "PYTHONDEVMODE",
		    "PYTHONDONTWRITEBYTECODE", "PYTHONDUMPREFS*", "PYTHONEXECUTABLE", "PYTHONFAULTHANDLER",
		    "PYTHONHASHSEED", "PYTHONHOME", "PYTHONINSPECT", "PYTHONINTMAXSTRDIGITS",
		    "PYTHONIOENCODING", "PYTHONMALLOC*", "PYTHONNODEBUGRANGES", "PYTHONNOUSERSITE",
		    "PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONPROFILEIMPORTTIME",
		    "PYTHONPYCACHEPREFIX", "PYTHONSAFEPATH", "PYTHONTRACEMALLOC", "PYTHONTZPATH",
		    "PYTHONUSERBASE", "PYTHONUTF8", "PYTHONVERBOSE", "PYTHONWARN*",
		    "LANG", "LANGUAGE", "LC_*", "LD_*", "MALLOC_*", "GLIBC_TUNABLES",
		    "OMP_*", "GOMP_*", "KMP_*", "OPENBLAS_*", "GOTO_NUM_THREADS", "MKL_*", "BLIS_*", "NUMEXPR_*",
		    "MPLBACKEND", "MPLCONFIGDIR", "MATPLOTLIBRC", "NPY_*", "NUMPY_*", "PANDAS_*", "PYZMQ_*"
		   ]
		  }
		 }
		}
	END
	check python3 'print(6 * 7)' 42
	put_done python3 "$want"
}

python_version() {
	"$prefix/venv/bin/python" -c 'import platform; print(platform.python_version())'
}
