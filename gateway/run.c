/* gateway/run.c - see gateway/run.h. */
#include "gateway/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "gateway/config.h"
#include "gateway/files.h"
#include "gateway/runconn.h"
#include "gateway/text.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define URL_DEFAULT  "http://127.0.0.1:8686"
#define CODE_MAX     (64U << 20)
#define LINE_MAX_B   (1U << 30) /* one event */
#define TIMEOUT_MAX  1e12       /* s */
#define ID_MAX       64
#define EXIT_RAISED  1
#define EXIT_USAGE   2
#define EXIT_NO_GATE 3
#define EXIT_SIGNAL  128

static volatile sig_atomic_t interrupts; /* Ctrl-C so far */
static struct gw_runconn *wake_me;       /* for the signal handler */

struct run {
	struct gw_runconn *rc;
	struct buf in;        /* the answer, up to a line's end */
	struct buf typed;     /* the terminal, up to a line's end */
	int status;           /* HTTP status of the answer, 0: none yet */
	int exit_code;        /* -1: not known yet */
	int interrupts;       /* of those, handled */
	char id[ID_MAX];      /* of the execution, "" until it is known */
	bool asked;           /* the code waits for a line */
	bool hidden;          /* and the terminal does not echo */
	bool typed_all;       /* stdin is at its end */
	struct termios saved; /* while hidden */
};

struct options {
	const char *url;
	const char *token;
	const char *language;
	const char *context;
	const char *file;
	uint64_t timeout_ms;
};

/* --- writing ---------------------------------------------------------------------------- */

static void
echo(struct run *r, bool on)
{
	struct termios t;

	if (on && r->hidden) {
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &r->saved);
		(void)fputc('\n', stderr);
		r->hidden = false;
	} else if (!on && tcgetattr(STDIN_FILENO, &r->saved) == 0) {
		t = r->saved;
		t.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t);
		r->hidden = true;
	}
}

/* After Ctrl-C, output that nobody takes is dropped, so that the gateway hears of it. */
static void
put(struct run *r, int fd, const char *text, size_t len)
{
	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		ssize_t n;

		if (interrupts > 0 && poll(&p, 1, 0) == 0)
			return;
		n = write(fd, text, len);
		if (n < 0 && errno == EPIPE)
			r->exit_code = EXIT_SIGNAL + SIGPIPE;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n < 0 && errno == EAGAIN)
			(void)poll(&p, 1, -1);
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void
put_string(struct run *r, int fd, const json_t *v)
{
	put(r, fd, json_string_value(v), json_string_length(v));
}

static void
say(struct run *r, const char *what, const char *more)
{
	char text[600];
	int n = snprintf(text, sizeof(text), "kernelbridge: %s%s%s\n", what,
	                 more != NULL ? ": " : "", more != NULL ? more : "");

	put(r, STDERR_FILENO, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* --- requests beside the execution ------------------------------------------------------ */

static void
ignore_status(void *arg, int status)
{
	(void)arg;
	(void)status;
}

static void
ignore_data(void *arg, const char *ptr, size_t len)
{
	(void)arg;
	(void)ptr;
	(void)len;
}

static void
ignore_end(void *arg, const char *why)
{
	(void)arg;
	(void)why; /* the execution's own stream tells */
}

static const struct gw_runconn_ops aside = {ignore_status, ignore_data, ignore_end};

/* body is taken. */
static void
tell(struct run *r, const char *what, json_t *body)
{
	char path[ID_MAX + 40];

	(void)snprintf(path, sizeof(path), "/v1/executions/%s/%s", r->id, what);
	gw_runconn_post(r->rc, path, body, &aside, r);
}

static void
on_interrupt(struct run *r)
{
	if (interrupts > 1 || r->id[0] == '\0')
		r->exit_code = EXIT_SIGNAL + SIGINT; /* leaving interrupts it as well */
	else if (r->interrupts == 0)
		tell(r, "interrupt", json_object());
	r->interrupts = interrupts;
}

/* --- the terminal ----------------------------------------------------------------------- */

static void on_typed(void *arg, const char *ptr, size_t len);

/* Answer with the next line, or with the end of file; or wait for one. */
static void
answer_input(struct run *r)
{
	char *nl = r->typed.len > 0 ? memchr(r->typed.data, '\n', r->typed.len) : NULL;
	size_t len = nl != NULL ? (size_t)(nl - r->typed.data) : r->typed.len;

	if (nl == NULL && !r->typed_all) {
		gw_runconn_watch(r->rc, on_typed, r);
		return;
	}
	gw_runconn_unwatch(r->rc);
	echo(r, true);
	r->asked = false;
	if (nl == NULL && len == 0)
		tell(r, "input", json_pack("{s:b}", "eof", 1));
	else
		tell(
		    r, "input",
		    json_pack("{s:s%}", "value", r->typed.data, utf8_span(r->typed.data, len)));
	buf_consume(&r->typed, nl != NULL ? len + 1 : len);
}

static void
on_typed(void *arg, const char *ptr, size_t len)
{
	struct run *r = arg;

	if (len == 0 || buf_append(&r->typed, ptr, len) != 0)
		r->typed_all = true;
	if (r->asked)
		answer_input(r);
	else
		gw_runconn_unwatch(r->rc);
}

static void
on_ask(struct run *r, const json_t *ev)
{
	if (json_is_true(json_object_get(ev, "password")))
		echo(r, false);
	put_string(r, STDOUT_FILENO, json_object_get(ev, "prompt"));
	r->asked = true;
	answer_input(r);
}

/* --- events ----------------------------------------------------------------------------- */

static void
on_bundle(struct run *r, const json_t *ev)
{
	const json_t *text = json_object_get(json_object_get(ev, "bundle"), "text/plain");

	if (!json_is_string(text))
		return;
	put_string(r, STDOUT_FILENO, text);
	put(r, STDOUT_FILENO, "\n", 1);
}

static void
on_error(struct run *r, const json_t *ev)
{
	const json_t *plain = json_object_get(json_object_get(ev, "plain"), "traceback");
	char *text = json_is_string(plain)
	                 ? mem_strdup(json_string_value(plain))
	                 : gw_text_traceback(json_object_get(ev, "traceback"));
	size_t len = strlen(text);

	put(r, STDERR_FILENO, text, len);
	if (len > 0 && text[len - 1] != '\n')
		put(r, STDERR_FILENO, "\n", 1);
	if (len == 0)
		say(r, json_string_value(json_object_get(ev, "name")),
		    json_string_value(json_object_get(ev, "value")));
	mem_free(text);
}

static void
on_done(struct run *r, const json_t *ev)
{
	const char *how = json_string_value(json_object_get(ev, "how"));
	const char *why = json_string_value(json_object_get(ev, "why"));

	if (how != NULL && strcmp(how, "ok") == 0) {
		r->exit_code = EXIT_SUCCESS;
	} else if (how != NULL && strcmp(how, "interrupted") == 0) {
		r->exit_code = EXIT_SIGNAL + SIGINT;
	} else {
		r->exit_code = EXIT_RAISED;
		if (how != NULL && strcmp(how, "error") != 0 && strcmp(how, "kernel_died") != 0)
			say(r, how, why);
	}
}

static void
on_event(struct run *r, const json_t *ev)
{
	const char *kind = json_string_value(json_object_get(ev, "event"));
	const char *id = json_string_value(json_object_get(ev, "execution"));

	if (kind == NULL || id == NULL)
		return;
	if (r->id[0] == '\0')
		(void)snprintf(r->id, sizeof(r->id), "%s", id);
	if (strcmp(kind, "stdout") == 0)
		put_string(r, STDOUT_FILENO, json_object_get(ev, "text"));
	else if (strcmp(kind, "stderr") == 0)
		put_string(r, STDERR_FILENO, json_object_get(ev, "text"));
	else if (strcmp(kind, "result") == 0 || strcmp(kind, "display") == 0)
		on_bundle(r, ev);
	else if (strcmp(kind, "error") == 0)
		on_error(r, ev);
	else if (strcmp(kind, "input") == 0)
		on_ask(r, ev);
	else if (strcmp(kind, "cut") == 0)
		say(r, "output is missing here", "it was not read in time");
	else if (strcmp(kind, "done") == 0)
		on_done(r, ev);
}

/* --- the answer ------------------------------------------------------------------------- */

static void
on_status(void *arg, int status)
{
	struct run *r = arg;

	r->status = status;
}

static void
take_lines(struct run *r)
{
	const char *from = r->in.data;
	const char *end = r->in.data + r->in.len;
	const char *nl;

	while (r->exit_code < 0 && (nl = memchr(from, '\n', (size_t)(end - from))) != NULL) {
		json_t *ev = json_loadb(from, (size_t)(nl - from), JSON_ALLOW_NUL, NULL);

		on_event(r, ev);
		json_decref(ev);
		from = nl + 1;
	}
	buf_consume(&r->in, (size_t)(from - r->in.data));
}

static void
on_data(void *arg, const char *ptr, size_t len)
{
	struct run *r = arg;

	if (r->exit_code >= 0)
		return;
	if (buf_append(&r->in, ptr, len) != 0) {
		say(r, "the gateway sent an event that is too large", NULL);
		r->exit_code = EXIT_NO_GATE;
	} else if (r->status == 200 && memchr(ptr, '\n', len) != NULL) {
		take_lines(r);
	}
}

static void
on_ended(void *arg, const char *why)
{
	struct run *r = arg;
	json_t *body;
	const char *message;
	char what[64];

	if (r->exit_code >= 0)
		return;
	r->exit_code = EXIT_NO_GATE;
	if (r->status == 0) {
		say(r, "cannot reach the gateway", why);
	} else if (r->status == 200) {
		say(r, "the gateway went away before the code had ended", NULL);
	} else {
		body = json_loadb(r->in.data, r->in.len, 0, NULL);
		message = json_string_value(
		    json_object_get(json_object_get(body, "error"), "message"));
		(void)snprintf(what, sizeof(what), "the gateway refused (%d)", r->status);
		say(r, what, message);
		json_decref(body);
	}
}

static const struct gw_runconn_ops execution = {on_status, on_data, on_ended};

/* --- options ---------------------------------------------------------------------------- */

static int
usage(const char *what, const char *which)
{
	if (what != NULL)
		(void)fprintf(stderr, "kernelbridge run: %s%s\n", what, which);
	(void)fprintf(
	    what != NULL ? stderr : stdout,
	    "usage: kernelbridge run [--url URL] [--token TOKEN] [--language LANGUAGE | "
	    "--context ID]\n"
	    "                        [--timeout SECONDS] FILE|-\n"
	    "URL and TOKEN default to $KERNELBRIDGE_URL (else %s) and\n"
	    "$KERNELBRIDGE_TOKEN (else the local gateway's token file).\n"
	    "Exit status: 0; 1 the code raised; 2 usage; 3 no gateway; 130 interrupted.\n",
	    URL_DEFAULT);
	return what != NULL ? EXIT_USAGE : EXIT_SUCCESS;
}

static int
parse_seconds(const char *text, uint64_t *ret_ms)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != '\0' || !(s >= 0) || s > TIMEOUT_MAX)
		return -EINVAL;
	*ret_ms = (uint64_t)(s * 1000 + 0.999);
	return 0;
}

/* Where the value of an option goes, or NULL. */
static const char **
option_slot(struct options *o, const char *name, size_t len, const char **timeout)
{
	const struct {
		const char *name;
		const char **slot;
	} known[] = {
	    {"--url", &o->url},         {"--token", &o->token}, {"--language", &o->language},
	    {"--context", &o->context}, {"--timeout", timeout},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) == len && strncmp(known[i].name, name, len) == 0)
			return known[i].slot;
	}
	return NULL;
}

/* Returns -1 to go on, or an exit status. */
static int
read_options(int argc, char **argv, struct options *o)
{
	const char *timeout = NULL;
	bool only_files = false;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		const char *eq = strchr(a, '=');
		const char **slot;

		if (!only_files && strcmp(a, "--") == 0) {
			only_files = true;
		} else if (!only_files && (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0)) {
			return usage(NULL, NULL);
		} else if (only_files || a[0] != '-' || a[1] == '\0') {
			if (o->file != NULL)
				return usage("one FILE only, not also ", a);
			o->file = a;
		} else {
			slot = option_slot(o, a, eq != NULL ? (size_t)(eq - a) : strlen(a),
			                   &timeout);
			if (slot == NULL)
				return usage("unknown option ", a);
			if (eq == NULL && i + 1 == argc)
				return usage("a value is missing after ", a);
			*slot = eq != NULL ? eq + 1 : argv[++i];
		}
	}
	if (o->file == NULL)
		return usage("FILE is missing", "");
	if (o->language != NULL && o->context != NULL)
		return usage("--context goes without --language", "");
	if (timeout != NULL && parse_seconds(timeout, &o->timeout_ms) != 0)
		return usage("--timeout is not a number of seconds: ", timeout);
	return -1;
}

/* --- what to run, and where ------------------------------------------------------------- */

/* Read the file whole.  Returns 0 or -errno with err. */
static int
read_code(const char *file, struct buf *code, struct err *err)
{
	bool is_stdin = strcmp(file, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(file, "rbe");
	char piece[65536];
	size_t n;
	int rc = 0;

	if (f == NULL)
		return err_set(err, -EINVAL, "cannot read %.120s: %s", file,
		               strerrordesc_np(errno));
	while (rc == 0 && (n = fread(piece, 1, sizeof(piece), f)) > 0)
		rc = buf_append(code, piece, n);
	if (rc != 0)
		rc =
		    err_set(err, -EINVAL, "%.120s is larger than %u MiB", file, CODE_MAX >> 20);
	else if (ferror(f))
		rc = err_set(err, -EINVAL, "cannot read %.120s: %s", file,
		             strerrordesc_np(errno));
	else if (!utf8_valid(code->len > 0 ? code->data : "", code->len))
		rc = err_set(err, -EINVAL, "%.120s is not UTF-8 text", file);
	if (!is_stdin)
		(void)fclose(f);
	return rc;
}

/* The token of the gateway on this machine, from its file; none is fine: it says so itself. */
static void
use_token_file(struct gw_runconn *rc)
{
	struct gw_config *cfg = NULL;
	struct err err;
	char path[4096];
	char *token = NULL;
	size_t len;

	if (gw_config_load(0, NULL, &cfg, &err) != 0)
		return;
	(void)snprintf(path, sizeof(path), "%s/token", cfg->state_dir);
	if (gw_files_read(cfg->token_file[0] != '\0' ? cfg->token_file : path, 4096, &token,
	                  &len, &err) == 0) {
		token[strcspn(token, "\r\n")] = '\0';
		gw_runconn_set_token(rc, token);
		mem_wipe(token, len);
	}
	mem_free(token);
	gw_config_free(cfg);
}

static int
connect_to(const struct options *o, struct gw_runconn **ret, struct err *err)
{
	const char *url = o->url != NULL
	                      ? o->url
	                      : getenv("KERNELBRIDGE_URL"); /* NOLINT(concurrency-mt-unsafe) */
	const char *token =
	    o->token != NULL ? o->token
			     : getenv("KERNELBRIDGE_TOKEN"); /* NOLINT(concurrency-mt-unsafe) */
	int rc = gw_runconn_new(url != NULL && url[0] != '\0' ? url : URL_DEFAULT, ret, err);

	if (rc != 0)
		return rc;
	if (token != NULL && token[0] != '\0')
		gw_runconn_set_token(*ret, token);
	else if (gw_runconn_is_local(*ret))
		use_token_file(*ret);
	return 0;
}

static json_t *
request_of(const struct options *o, const struct buf *code)
{
	/* Where the code came from stdin, a read of it meets the end of file. */
	json_t *q = json_pack("{s:s%, s:b, s:s, s:I}", "code", code->len > 0 ? code->data : "",
	                      code->len, "stdin", 1, "on_disconnect", "interrupt", "timeout_ms",
	                      (json_int_t)o->timeout_ms);

	if (o->language != NULL)
		json_object_set_new(q, "language", json_string(o->language));
	if (o->context != NULL)
		json_object_set_new(q, "context", json_string(o->context));
	return q;
}

static void
on_sigint(int signum)
{
	(void)signum;
	interrupts++;
	gw_runconn_wake(wake_me);
}

/* Run until the exit status is known. */
static int
run(struct gw_runconn *rc, json_t *request)
{
	struct run r = {.rc = rc, .exit_code = -1};
	struct sigaction sa = {.sa_handler = on_sigint};

	buf_init(&r.in, LINE_MAX_B);
	buf_init(&r.typed, CODE_MAX);
	wake_me = rc;
	(void)sigaction(SIGINT, &sa, NULL);
	gw_runconn_post(rc, "/v1/executions", request, &execution, &r);
	while (r.exit_code < 0) {
		gw_runconn_turn(rc);
		if (interrupts > r.interrupts && r.exit_code < 0)
			on_interrupt(&r);
	}
	(void)signal(SIGINT, SIG_IGN); /* rc goes */
	gw_runconn_unwatch(rc);
	echo(&r, true);
	buf_fini(&r.in);
	buf_fini(&r.typed);
	return r.exit_code;
}

int
gw_run_main(int argc, char **argv)
{
	struct options o = {0};
	struct gw_runconn *rc = NULL;
	struct buf code;
	struct err err;
	int status = read_options(argc, argv, &o);

	if (status >= 0)
		return status;
	buf_init(&code, CODE_MAX);
	if (read_code(o.file, &code, &err) != 0 || connect_to(&o, &rc, &err) != 0) {
		(void)fprintf(stderr, "kernelbridge run: %s\n", err.text);
		status = EXIT_USAGE;
	} else {
		status = run(rc, request_of(&o, &code));
	}
	gw_runconn_free(rc);
	buf_fini(&code);
	return status;
}
