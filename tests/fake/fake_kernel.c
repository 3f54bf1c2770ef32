/* tests/fake/fake_kernel.c - a Jupyter kernel that does what the code says, exactly.
 *
 *	fake_kernel -f CONNECTION_FILE
 *
 * The code of an execute_request is a script, one command per line; empty lines are skipped:
 *
 *	print TEXT         TEXT and a newline on stdout; one message
 *	stderr TEXT        the same on stderr
 *	flood BYTES        exactly BYTES on stdout, lines of 63 x, in messages of 64 KiB
 *	display N          N display_data messages, text/plain "1" to "N", display_id likewise
 *	update ID TEXT     update_display_data of display_id ID
 *	clear              clear_output, wait true
 *	result TEXT        execute_result, text/plain TEXT
 *	error NAME VALUE   iopub error, reply error; ends the script
 *	sleep MS           interruptible, as are flood, hang, wait and input: a SIGINT or an
 *	                   interrupt_request makes it end as error KeyboardInterrupt
 *	hang               until interrupted
 *	deaf               for ever: ignores interrupts, SIGINT and SIGTERM
 *	exit CODE          hand over what was sent, then _exit(CODE)
 *	die SIGNAL         the same, then kill itself by the signal number
 *	input PROMPT       input_request; prints the answer
 *	password PROMPT    the same with password true
 *	env NAME           prints the metadata's kernelbridge.env.NAME, else the process's NAME
 *	touch PATH         make a file: tells a test that the script has come here
 *	wait PATH          until the file exists
 *	badsig             output "badsig" with a wrong signature
 *	dupsig             output "dupsig", the same frames twice
 *	noparent           output "noparent" with parent_header null
 *	badutf8            output "bad?utf8", the ? being the byte 0x80
 *
 * and, about the end of this execution, wherever they stand:
 *
 *	late TEXT          TEXT on stdout after idle (after the reply, with noidle)
 *	reply-first        50 ms after the output the reply, and 50 ms later idle
 *	idle-first         idle, and 50 ms later the reply
 *	noreply            no reply
 *	noidle             no idle
 *	aborted            reply aborted, without execution_count; nothing else is run
 *	traceback-string   an error reply's traceback is a string, not a list
 *
 * Anything else is an error SyntaxError.  kernel_info, complete, inspect, is_complete and interrupt
 * requests are answered; other types get busy and idle, but no reply, as from ipykernel.
 * While a script runs, shell requests wait and control is served.
 *
 * The environment says how it starts and stops:
 *
 *	FAKE_START=silent      binds, and never answers a request
 *	FAKE_START=exit:CODE   a line on stderr, and exits
 *	FAKE_START=slow:PATH   binds, and answers nothing before the file exists
 *	FAKE_START=oldpub      iopub is a plain PUB: no iopub_welcome, drops what is not read
 *	FAKE_START=mute        answers, but never publishes anything
 *	FAKE_SHUTDOWN=ignore   shutdown_request is not honoured
 *	FAKE_SHUTDOWN=deaf     nor is SIGTERM
 *
 * Its iopub blocks rather than drops (metadata.kernelbridge.waits may be true), except with oldpub.
 * It ends with its parent.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake/fake.h"
#include "wire/base/mem.h"

#define GAP_MS  50 /* between the two ends of an execution, where their order matters */

#define SHELL   (1U << WIRE_SHELL)
#define CONTROL (1U << WIRE_CONTROL)

static struct fake the_kernel; /* global for on_sigint() */

static void
on_sigint(int signum)
{
	(void)signum;
	the_kernel.interrupted = 1;
}

uint64_t
fake_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void serve_control(struct fake *f);

bool
fake_tick(struct fake *f)
{
	if ((fake_wire_wait(f->w, CONTROL, FAKE_TICK_MS) & CONTROL) != 0)
		serve_control(f);
	return !f->interrupted;
}

bool
fake_publish_bytes(struct fake *f, const struct fake_request *r, const char *type,
                   const char *content, size_t len, unsigned wrong)
{
	if (f->mute)
		return true;
	while (!fake_wire_publish(f->w, r, type, content, len, wrong))
		if (!fake_tick(f))
			return false;
	return true;
}

bool
fake_publish(struct fake *f, const struct fake_request *r, const char *type, json_t *content)
{
	char *text = json_dumps(content, JSON_COMPACT);
	bool ok = fake_publish_bytes(f, r, type, text, strlen(text), 0);

	free(text);
	json_decref(content);
	return ok;
}

void
fake_publish_always(struct fake *f, const struct fake_request *r, const char *type,
                    json_t *content)
{
	while (!fake_publish(f, r, type, json_incref(content)))
		f->interrupted = 0;
	json_decref(content);
}

static void
status(struct fake *f, const struct fake_request *r, const char *state)
{
	json_t *content = json_pack("{s:s}", "execution_state", state);

	/* while control is served, something that can be interrupted may wait for the
	 * subscriber */
	if (r->channel == WIRE_CONTROL)
		(void)fake_publish(f, r, "status", content);
	else
		fake_publish_always(f, r, "status", content);
}

/* content is taken. */
static void
reply(struct fake *f, const struct fake_request *r, const char *type, json_t *content)
{
	char *text = json_dumps(content, JSON_COMPACT);

	fake_wire_answer(f->w, r, r->channel, type, text);
	free(text);
	json_decref(content);
}

bool
fake_stream(struct fake *f, const char *name, const char *text, const char *end, unsigned wrong)
{
	json_t *content = json_pack("{s:s,s:s+}", "name", name, "text", text, end);
	char *bytes = json_dumps(content, JSON_COMPACT);
	bool ok = fake_publish_bytes(f, f->run, "stream", bytes, strlen(bytes), wrong);

	free(bytes);
	json_decref(content);
	return ok;
}

static json_t *
end_content(const struct fake *f)
{
	json_t *traceback;

	if (strcmp(f->status, "aborted") == 0)
		return json_pack("{s:s}", "status", f->status);
	if (strcmp(f->status, "ok") == 0)
		return json_pack("{s:s,s:i,s:{},s:[]}", "status", f->status, "execution_count",
		                 f->count, "user_expressions", "payload");
	traceback = f->traceback_string ? json_sprintf("%s: %s", f->ename, f->evalue)
	                                : json_pack("[s++]", f->ename, ": ", f->evalue);
	return json_pack("{s:s,s:i,s:s,s:s,s:o}", "status", f->status, "execution_count",
	                 f->count, "ename", f->ename, "evalue", f->evalue, "traceback",
	                 traceback);
}

static void
end_gap(struct fake *f, bool wanted)
{
	uint64_t end = fake_now_ms() + GAP_MS;

	while (wanted && fake_now_ms() < end)
		(void)fake_tick(f);
}

static void
end_execution(struct fake *f)
{
	if (f->idle_first && !f->noidle)
		status(f, f->run, "idle");
	end_gap(f, f->idle_first || f->reply_first);
	if (!f->noreply)
		reply(f, f->run, "execute_reply", end_content(f));
	end_gap(f, f->reply_first);
	if (!f->idle_first && !f->noidle)
		status(f, f->run, "idle");
	if (f->late[0] != '\0')
		(void)fake_stream(f, "stdout", f->late, "\n", 0);
}

static void
execute(struct fake *f, const struct fake_request *r)
{
	const char *code = json_string_value(json_object_get(r->content, "code"));
	bool silent = json_is_true(json_object_get(r->content, "silent"));

	f->run = r;
	f->status = "ok";
	f->late[0] = '\0';
	f->reply_first = f->idle_first = f->noreply = f->noidle = f->traceback_string = false;
	f->interrupted = 0; /* one that came while idle is lost, as in ipykernel */
	fake_script_look(f, code != NULL ? code : "");
	if (!silent && strcmp(f->status, "aborted") != 0) {
		f->count++;
		(void)fake_publish(f, r, "execute_input",
		                   json_pack("{s:s,s:i}", "code", code != NULL ? code : "",
		                             "execution_count", f->count));
	}
	if (strcmp(f->status, "aborted") != 0)
		fake_script_run(f, code != NULL ? code : "");
	end_execution(f);
	mem_free(f->ename);
	mem_free(f->evalue);
	f->ename = f->evalue = NULL;
	f->run = NULL;
}

/* The reply to everything but execute_request; NULL: none. */
static json_t *
answer_content(const struct fake_request *r)
{
	if (strcmp(r->type, "kernel_info_request") == 0)
		return json_pack("{s:s,s:s,s:s,s:s,s:{s:s,s:s},s:s,s:[]}", "status", "ok",
		                 "protocol_version", "5.3", "implementation", "fake",
		                 "implementation_version", "1", "language_info", "name", "fake",
		                 "version", "1", "banner", "fake", "help_links");
	if (strcmp(r->type, "complete_request") == 0)
		return json_pack("{s:s,s:[s,s],s:i,s:O,s:{}}", "status", "ok", "matches",
		                 "print", "prompt", "cursor_start", 0, "cursor_end",
		                 json_object_get(r->content, "cursor_pos"), "metadata");
	if (strcmp(r->type, "inspect_request") == 0)
		return json_pack("{s:s,s:b,s:{s:s},s:{}}", "status", "ok", "found", 1, "data",
		                 "text/plain", "a fake", "metadata");
	if (strcmp(r->type, "is_complete_request") == 0)
		return json_pack("{s:s}", "status", "complete");
	if (strcmp(r->type, "interrupt_request") == 0)
		return json_pack("{s:s}", "status", "ok");
	if (strcmp(r->type, "shutdown_request") == 0)
		return json_pack("{s:s,s:O}", "status", "ok", "restart",
		                 json_object_get(r->content, "restart"));
	return NULL;
}

static void
serve(struct fake *f, struct fake_request *r)
{
	char type[64];
	json_t *content;

	if (r == NULL)
		return;
	if (strcmp(r->type, "interrupt_request") == 0)
		f->interrupted = 1; /* first: the subscriber may be slow */
	else if (strcmp(r->type, "shutdown_request") == 0)
		f->leaving = !f->keeps_on;
	status(f, r, "busy");
	if (strcmp(r->type, "execute_request") == 0) {
		execute(f, r);
		fake_request_free(r);
		return;
	}
	content = answer_content(r);
	if (content != NULL) {
		(void)snprintf(type, sizeof(type), "%.*sreply",
		               (int)(strlen(r->type) - strlen("request")), r->type);
		reply(f, r, type, content);
	}
	status(f, r, "idle");
	fake_request_free(r);
}

static void
serve_control(struct fake *f)
{
	struct fake_request *r = fake_wire_receive(f->w, WIRE_CONTROL);

	serve(f, r);
}

static void
start(struct fake *f, const char *connection_file)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nothing sets any */
	const char *how = getenv("FAKE_START"), *stop = getenv("FAKE_SHUTDOWN");
	struct sigaction sa = {.sa_handler = on_sigint};

	how = how != NULL ? how : "";
	if (strncmp(how, "exit:", 5) == 0) {
		(void)fprintf(stderr, "fake_kernel: FAKE_START=%s\n", how);
		_exit((int)strtol(how + 5, NULL, 10));
	}
	f->mute = strcmp(how, "mute") == 0;
	f->keeps_on = stop != NULL;
	if (stop != NULL && strcmp(stop, "deaf") == 0)
		(void)signal(SIGTERM, SIG_IGN);
	(void)sigaction(SIGINT, &sa, NULL);
	f->w = fake_wire_open(connection_file, f->mute || strcmp(how, "oldpub") == 0);
	while (strcmp(how, "silent") == 0 ||
	       (strncmp(how, "slow:", 5) == 0 && access(how + 5, F_OK) != 0))
		(void)fake_wire_wait(f->w, 0, FAKE_TICK_MS);
}

int
main(int argc, char **argv)
{
	struct fake *f = &the_kernel;
	unsigned ready;

	if (argc != 3 || strcmp(argv[1], "-f") != 0) {
		(void)fprintf(stderr, "usage: fake_kernel -f CONNECTION_FILE\n");
		return 2;
	}
	(void)prctl(PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L);
	start(f, argv[2]);
	while (!f->leaving) {
		ready = fake_wire_wait(f->w, SHELL | CONTROL, FAKE_TICK_MS * 50);
		if ((ready & CONTROL) != 0)
			serve_control(f);
		else if ((ready & SHELL) != 0)
			serve(f, fake_wire_receive(f->w, WIRE_SHELL));
	}
	fake_wire_close(f->w);
	return 0;
}
