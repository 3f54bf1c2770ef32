/* tests/fake/fake_zygote.c - a zygote that does what it is told, see kernelmgr/launch_zygote.h.
 *
 * The kernels that it forks run the shell script in their variable SCRIPT.  Its own variables:
 *   FAKE_LOG     a file; each zygote adds "zygote" when it starts, and "fork FILE" for a request,
 *                FILE being the connection file
 *   FAKE_ZYGOTE  what the first, second, ... zygote of that log does, with ; between; the last
 *                one's is done by all that follow.  WORD:N is done at the Nth request, the others
 *                are forked:
 *     ok           fork each
 *     never        do not get ready
 *     exit         say why on stderr and exit with status 3 instead of getting ready
 *     again        say twice that it is ready
 *     early        answer before that
 *     deaf FILE    read no request until FILE exists
 *     refuse:N     answer with an error
 *     die:N        die
 *     born:N       fork, and die before the answer
 *     told:N       fork, answer and die
 *     both:N       fork, answer, and answer with an error too
 *     held:N FILE  leave a process behind that nobody knows, which has the pipe until FILE
 *                  exists, and die
 *     mute:N       answer no more
 *     hold:N FILE  fork, and answer when FILE exists
 *     close:N      close the socket and stay
 *     garbage:N    answer no JSON
 *     wrong:N      answer another request
 *     large:N      answer too much
 *     nobody:N     answer with the pid of no child
 *     grow:N       take 64 MiB more, and fork
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCK        3
#define REQUEST_MAX (4U << 20)
#define GROW_BYTES  (64U << 20)
#define LOOK_US     1000

static struct {
	char word[16], file[200];
	unsigned at; /* the request; 0: none */
} told;
static char *id; /* KERNELBRIDGE_KERNEL_ID where /proc shows it */

static void
note(const char *what, const char *file)
{
	char line[512];
	int fd = open(getenv("FAKE_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	int n =
	    snprintf(line, sizeof(line), "%s%s%s\n", what, file[0] != '\0' ? " " : "", file);

	if (fd < 0 || write(fd, line, (size_t)n) != n)
		_exit(4);
	(void)close(fd);
}

/* Zygotes that started before. */
static unsigned
generation(void)
{
	FILE *f = fopen(getenv("FAKE_LOG"), "re");
	char line[512];
	unsigned n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strcmp(line, "zygote\n") == 0;
	if (f != NULL)
		(void)fclose(f);
	return n;
}

static void
read_orders(void)
{
	const char *s = getenv("FAKE_ZYGOTE");
	unsigned skip = generation();

	while (skip-- > 0 && strchr(s, ';') != NULL)
		s = strchr(s, ';') + 1;
	(void)sscanf(s, "%15[a-z]", told.word);
	s += strlen(told.word);
	if (*s == ':')
		told.at = (unsigned)strtoul(s + 1, NULL, 10);
	if (strchr(s, ' ') != NULL)
		(void)sscanf(strchr(s, ' ') + 1, "%199[^;]", told.file);
}

static bool
is_told(const char *word)
{
	return strcmp(told.word, word) == 0;
}

static void
wait_for_file(void)
{
	while (access(told.file, F_OK) != 0)
		(void)usleep(LOOK_US);
}

static void
say(const char *text, size_t len)
{
	(void)send(SOCK, text, len, MSG_NOSIGNAL);
}

static void
answer(json_int_t n, const char *key, json_t *value)
{
	json_t *root = json_pack("{s:I}", "n", n);
	char *text;

	(void)json_object_set_new(root, key, value);
	text = json_dumps(root, 0);
	say(text, strlen(text));
	free(text);
	json_decref(root);
}

/* Become the kernel. */
static void
become(json_t *request, int out)
{
	json_t *env = json_object_get(request, "env"), *value;
	char **vars = calloc(json_object_size(env) + 1, sizeof(*vars));
	char sh[] = "/bin/sh", dash_c[] = "-c", *script = NULL;
	char *argv[] = {sh, dash_c, NULL, NULL};
	const char *name;
	size_t n = 0;

	if (chdir(json_string_value(json_object_get(request, "cwd"))) != 0)
		_exit(126);
	json_object_foreach (env, name, value) {
		if (asprintf(&vars[n++], "%s=%s", name, json_string_value(value)) < 0)
			_exit(126);
		if (strcmp(name, "SCRIPT") == 0)
			script = strdup(json_string_value(value));
	}
	argv[2] = script;
	(void)dup2(out, 1);
	(void)dup2(out, 2);
	(void)close_range(3, ~0U, 0);
	(void)execve(sh, argv, vars);
	_exit(127);
}

/* Returns the kernel's pid. */
static pid_t
fork_twice(json_t *request, int out)
{
	const char *kernel_id = json_string_value(json_object_get(request, "kernel_id"));
	int fds[2];
	pid_t pid = -1, between;

	if (pipe2(fds, O_CLOEXEC) != 0)
		_exit(5);
	between = fork();
	if (between != 0) {
		(void)close(fds[1]);
		(void)waitpid(between, NULL, 0);
		if (read(fds[0], &pid, sizeof(pid)) != sizeof(pid))
			pid = -1;
		(void)close(fds[0]);
		return pid;
	}
	between = getpid();
	memcpy(id, kernel_id, strlen(id));
	if (fork() != 0)
		_exit(0);
	(void)setsid();
	pid = getpid();
	if (write(fds[1], &pid, sizeof(pid)) != sizeof(pid))
		_exit(5);
	while (getppid() == between)
		(void)usleep(100);
	become(request, out);
	return 0;
}

static void
leave_behind(int out)
{
	char *none[] = {NULL}, sh[] = "/bin/sh", dash_c[] = "-c", script[300];
	char *argv[] = {sh, dash_c, script, NULL};
	int fds[2];

	(void)snprintf(script, sizeof(script), "until test -e %s; do sleep 0.01; done",
	               told.file);
	if (pipe2(fds, O_CLOEXEC) != 0)
		_exit(5);
	if (fork() == 0) {
		(void)setsid();
		(void)dup2(out, 1);
		(void)execve(sh, argv, none); /* closes all others */
		_exit(127);
	}
	(void)close(fds[1]);
	if (read(fds[0], script, 1) != 0) /* until it has another environment */
		_exit(5);
	(void)close(fds[0]);
}

/* What is told to be done instead of an answer. */
static void
instead(int out)
{
	static char large[20000];

	if (is_told("held"))
		leave_behind(out);
	if (is_told("die") || is_told("held"))
		(void)kill(getpid(), SIGKILL);
	if (is_told("garbage"))
		say("{\"n\": ", 6);
	if (is_told("large"))
		say(memset(large, ' ', sizeof(large)), sizeof(large));
	if (is_told("mute"))
		told.at = 0; /* and then it waits for ever */
	if (is_told("close"))
		(void)close(SOCK);
	for (;;)
		(void)pause();
}

static void
grow(void)
{
	static char *more;

	more = malloc(GROW_BYTES);
	if (more != NULL)
		(void)memset(more, 1, GROW_BYTES); /* kept for good */
}

static bool
does_fork(void)
{
	return is_told("grow") || is_told("born") || is_told("told") || is_told("hold") ||
	       is_told("both");
}

static void
serve_one(json_t *request, int out, unsigned count)
{
	json_int_t n = json_integer_value(json_object_get(request, "n"));
	bool now = told.at == count;
	pid_t pid;

	note("fork", json_string_value(json_object_get(request, "connection_file")));
	if (now && is_told("refuse")) {
		answer(n, "error", json_string("told to refuse"));
		return;
	}
	if (now && is_told("grow"))
		grow();
	if (now && is_told("nobody")) {
		answer(n, "pid", json_integer(getpid()));
		return;
	}
	if (now && is_told("wrong")) {
		answer(n + 1000, "pid", json_integer(getpid()));
		return;
	}
	if (now && !does_fork())
		instead(out);
	pid = fork_twice(request, out);
	if (now && is_told("hold"))
		wait_for_file();
	if (now && is_told("born"))
		(void)kill(getpid(), SIGKILL);
	answer(n, "pid", json_integer(pid));
	if (now && is_told("told"))
		(void)kill(getpid(), SIGKILL);
	if (now && is_told("both"))
		answer(n, "error", json_string("told to say more"));
}

/* Returns false at the end of the socket. */
static bool
serve(char *bytes, unsigned count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = REQUEST_MAX};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &control,
	                   .msg_controllen = sizeof(control)};
	ssize_t len = recvmsg(SOCK, &m, MSG_CMSG_CLOEXEC);
	json_t *request;
	int out;

	if (len <= 0)
		return false;
	request = json_loadb(bytes, (size_t)len, 0, NULL);
	if (request == NULL || CMSG_FIRSTHDR(&m) == NULL)
		_exit(6);
	memcpy(&out, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(out));
	serve_one(request, out, count);
	(void)close(out);
	json_decref(request);
	return true;
}

int
main(void)
{
	static const char ready[] = "{\"ready\": true}";
	static char bytes[REQUEST_MAX];
	unsigned count = 1;

	(void)fcntl(SOCK, F_SETFD, FD_CLOEXEC);
	id = getenv("KERNELBRIDGE_KERNEL_ID");
	if (id == NULL)
		return 7;
	read_orders();
	note("zygote", "");
	if (is_told("exit")) {
		(void)fprintf(stderr, "first line\ntold to exit\n");
		return 3;
	}
	while (is_told("never"))
		(void)pause();
	if (is_told("early"))
		answer(1, "pid", json_integer(getpid()));
	say(ready, sizeof(ready) - 1);
	if (is_told("again"))
		say(ready, sizeof(ready) - 1);
	if (is_told("deaf"))
		wait_for_file();
	while (serve(bytes, count))
		count++;
	return 0;
}
