# shellcheck shell=bash
# shellcheck disable=SC2154  # what install-kernels sets
# java: JJava from PyPI behind our own main class; Java itself from Debian. One kernelspec per Java
# below /usr/lib/jvm that has the compiler: java is Debian's default, java21 and the like the others.
#
# JJava's own launcher starts a second JVM; here there is one. Its flags: a start in little time and
# memory, and the packages that JJava and our classes look into. $prefix/java holds the jar.

java_source=$root/kernelmgr/kernels/java

install_java() {
	local want home name default=/usr/lib/jvm/default-java
	local -A taken=()
	need_apt default-jre-headless
	want=$(hash_of "$venv_made" -- "$java_source" "${BASH_SOURCE[0]}")
	if ! stamped "$prefix/java/.jar" "$want"; then
		say "installing the Java kernel"
		java_jar "$prefix/java"
		echo "$want" >"$prefix/java/.jar"
	fi
	for home in "$default" /usr/lib/jvm/*/; do
		home=$(realpath "$home")
		[[ -z ${taken[$home]-} ]] || continue
		java_can_compile "$home" || continue
		name=java
		[[ $home == "$(realpath "$default")" ]] || name=java$(java_version "$home" | cut -d . -f 1)
		[[ -z ${taken[$name]-} ]] || continue
		taken[$home]=1 taken[$name]=1
		java_spec "$name" "$home" "$want"
	done
}

# java_jar DIR: put jjava.jar there.
java_jar() {
	rm -rf "$1"
	mkdir -p "$1"
	venv_install --no-deps --require-hashes --target "$1/new" -r "$java_source/requirements.txt"
	mv "$1/new/share/jupyter/kernels/java/jjava.jar" "$1"
	rm -rf "$1/new"
}

# java_can_compile HOME: true where a JVM in HOME has what the kernel needs.
java_can_compile() {
	[[ -x $1/bin/java ]] && "$1/bin/java" --list-modules 2>/dev/null | grep -q '^jdk\.jshell@'
}

# java_version HOME: what the JVM calls itself, such as 17.0.15.
java_version() {
	"$1/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.version = //p'
}

# java_spec NAME HOME WANT
java_spec() {
	local version want classes=$prefix/share/jupyter/kernels/$1/classes
	version=$(java_version "$2")
	want=$(hash_of "$2" "$version" "$3" -- "$java_source" "${BASH_SOURCE[0]}")
	put_already "$1" "$want" && return
	say "putting the kernelspec $1 (Java $version)"
	put_spec "$1" "JAVA=$2/bin/java" "VERSION=$version" "CLASSES=$classes" <<-'END'
		{
		 "argv": [
		  "/bin/sh", "-c", "[ -n \"$LC_ALL$LC_CTYPE$LANG\" ] || export LANG=C.UTF-8; exec \"$@\"", "java",
		  "@JAVA@", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m",
		  "-Dfile.encoding=UTF-8",
		  "--add-opens=jdk.jshell/jdk.jshell=ALL-UNNAMED",
		  "--add-opens=java.base/java.util=ALL-UNNAMED",
		  "--add-opens=java.base/java.lang=ALL-UNNAMED",
		  "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
		  "-cp", "@CLASSES@:@PREFIX@/java/jjava.jar",
		  "org.dflib.jjava.distro.Kernelbridge", "{connection_file}"
		 ],
		 "display_name": "Java @VERSION@",
		 "language": "java",
		 "interrupt_mode": "message",
		 "metadata": {"kernelbridge": {
		  "transport": "tcp", "version": "@VERSION@", "env": true, "waits": true, "stdin_eof": true
		 }}
		}
	END
	rm -rf "$classes"
	"$2/bin/java" -m jdk.compiler/com.sun.tools.javac.Main -d "$classes" -cp "$prefix/java/jjava.jar" \
		--add-exports java.base/jdk.internal.misc=ALL-UNNAMED "$java_source"/src/*.java >&2
	check "$1" 'System.out.println(6 * 7);' 42
	put_done "$1" "$want"
}
