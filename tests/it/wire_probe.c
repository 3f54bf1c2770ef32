/* tests/it/wire_probe.c - what wire/ makes of a real kernel, for test_wire_*.py.
 *
 * wire_probe CONNECTION_FILE: for each line of standard input, a JSON object with
 *   type     message type of a request; "ready" asks kernel_info_request again and again until
 *            its reply and its idle came, "open" leaves the kernel for the one of `file`
 *   content  its content
 *   control  true: sent on control, not on shell
 *   input    answer to each input_request (default: none is given)
 *   after    a text: once it was printed,
 *     send     a request of this type is sent on control, or
 *     signal   this one is sent to the process
 *     pid
 *     close    true: and the client is closed
 *   reply_only  true: its idle is not waited for
 *   leave    a process: when it ends, the client is closed
 *   pause_ms stop reading iopub for so long from the start
 * prints one line: {"status": of done, "id": msg_id, "reply": content or null, "messages":
 * [[type, content]...], "stray": [[type, parent's msg_id, content]...], "dropped": count, "live":
 * bool}.  stray has what came since the last line.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/client.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define FILE_MAX    65536
#define AGAIN_MS    100
#define LAST_MS     500
#define DEADLINE_MS 60000

struct probe {
	struct loop *lp;
	struct wire_client *client;
	struct wire_req *req;
	struct loop_timer *pause, *expiry, *again;
	struct loop_fd *process;
	json_t *step;     /* borrowed */
	json_t *messages; /* of this step */
	json_t *stray;
	json_t *reply;
	char id[WIRE_UUID_LEN + 1];
	int status;
};

/* The content of m, owned by the caller. */
static json_t *
content_of(const struct wire_msg *m)
{
	return m->content != NULL ? json_incref(m->content)
	                          : json_pack("{s:s}", "execution_state", m->state);
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	struct probe *p = arg;

	(void)json_array_append_new(
	    p->stray, json_pack("[s, s, o]", m->type, m->parent_id, content_of(m)));
}

/* The text of `after` was printed. */
static void
intervene(struct probe *p)
{
	static const struct wire_req_ops nothing = {0};
	const char *type = json_string_value(json_object_get(p->step, "send"));
	const struct wire_ask ask = {.channel = WIRE_CONTROL, .type = type, .wait_idle = true};
	json_int_t pid = json_integer_value(json_object_get(p->step, "pid"));
	json_int_t sig = json_integer_value(json_object_get(p->step, "signal"));

	if (type != NULL)
		(void)wire_client_request(p->client, &ask, &nothing, NULL);
	if (pid > 0)
		(void)kill((pid_t)pid, (int)sig);
	if (json_is_true(json_object_get(p->step, "close")))
		wire_client_close(p->client);
	(void)json_object_del(p->step, "after");
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	struct probe *p = arg;
	const char *text = json_string_value(json_object_get(m->content, "text"));
	const char *mark = json_string_value(json_object_get(p->step, "after"));
	const char *input = json_string_value(json_object_get(p->step, "input"));

	(void)json_array_append_new(p->messages, json_pack("[s, o]", m->type, content_of(m)));
	if (text != NULL && mark != NULL && strstr(text, mark) != NULL)
		intervene(p);
	if (strcmp(m->type, "input_request") == 0 && input != NULL)
		(void)wire_client_input_reply(p->client, p->req, input, strlen(input));
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	struct probe *p = arg;

	p->reply = json_incref(m->content);
}

static void
on_done(void *arg, int status)
{
	struct probe *p = arg;

	p->status = status;
	loop_stop(p->lp);
}

static void
on_resume(void *arg)
{
	struct probe *p = arg;

	wire_client_resume(p->client);
}

static void
on_expiry(void *arg)
{
	(void)arg;
	(void)fprintf(stderr, "wire_probe: no end after a minute\n");
	_Exit(3);
}

static void
tell(struct probe *p)
{
	json_t *out;

	out = json_pack("{s:i, s:s?, s:o?, s:o, s:o, s:I, s:b}", "status", p->status, "id",
	                p->id[0] != '\0' ? p->id : NULL, "reply", p->reply, "messages",
	                p->messages, "stray", p->stray, "dropped",
	                (json_int_t)wire_client_dropped(p->client), "live",
	                wire_client_iopub_live(p->client));
	p->stray = json_array();
	(void)json_dumpf(out, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	(void)puts("");
	(void)fflush(stdout);
	json_decref(out);
}

static void
request(struct probe *p, const char *type)
{
	static const struct wire_req_ops ops = {
	    .message = on_message, .reply = on_reply, .done = on_done};
	json_t *content = json_object_get(p->step, "content");
	bool control = json_is_true(json_object_get(p->step, "control"));
	const struct wire_ask ask = {
	    .channel = control ? WIRE_CONTROL : WIRE_SHELL,
	    .type = type,
	    .content = content,
	    .wait_idle = !json_is_true(json_object_get(p->step, "reply_only")),
	    .stdin_too = json_is_true(json_object_get(content, "allow_stdin")),
	};

	p->req = wire_client_request(p->client, &ask, &ops, p);
	(void)snprintf(p->id, sizeof(p->id), "%s", wire_req_id(p->req));
}

/* The subscription was not live when the kernel answered: its idle is lost. */
static void
on_again(void *arg)
{
	struct probe *p = arg;

	loop_timer_free(p->again);
	wire_req_free(p->req);
	json_decref(p->reply);
	p->reply = NULL;
	json_array_clear(p->messages);
	p->again = loop_timer_new(p->lp, AGAIN_MS, on_again, p);
	request(p, "kernel_info_request");
}

static void
on_gone(void *arg)
{
	struct probe *p = arg;

	wire_client_close(p->client);
}

/* What it sent before its end may still be under way. */
static void
on_exit_of(void *arg, unsigned events)
{
	struct probe *p = arg;

	(void)events;
	loop_fd_free(p->process);
	p->process = NULL;
	p->again = loop_timer_new(p->lp, LAST_MS, on_gone, p);
}

static void
play(struct probe *p, const char *type)
{
	json_int_t pause_ms = json_integer_value(json_object_get(p->step, "pause_ms"));
	json_int_t leave = json_integer_value(json_object_get(p->step, "leave"));
	int pidfd = leave > 0 ? pidfd_open((pid_t)leave, 0) : -1;

	if (pidfd >= 0)
		p->process = loop_fd_new(p->lp, pidfd, LOOP_READ, on_exit_of, p);
	p->messages = json_array();
	p->reply = NULL;
	if (strcmp(type, "ready") == 0)
		on_again(p);
	else
		request(p, type);
	if (pause_ms > 0) {
		wire_client_pause(p->client);
		p->pause = loop_timer_new(p->lp, (uint64_t)pause_ms, on_resume, p);
	}
	loop_run(p->lp);
	loop_timer_free(p->pause);
	loop_timer_free(p->again);
	p->pause = p->again = NULL;
	loop_fd_free(p->process);
	p->process = NULL;
	if (pidfd >= 0)
		(void)close(pidfd);
	tell(p);
}

static struct wire_connfile *
read_connfile(const char *path)
{
	struct wire_connfile *cf = NULL;
	struct err err = {"cannot be read"};
	static char bytes[FILE_MAX];
	FILE *f = fopen(path, "re");
	size_t n = f == NULL ? 0 : fread(bytes, 1, sizeof(bytes), f);

	if (f != NULL)
		(void)fclose(f);
	if (wire_connfile_parse(bytes, n, &cf, &err) != 0)
		(void)fprintf(stderr, "wire_probe: %s: %s\n", path, err.text);
	return cf;
}

static void
open_file(struct probe *p, const char *path)
{
	static const struct wire_client_ops ops = {.stray = on_stray};
	static const struct wire_client_conf conf;
	struct wire_connfile *cf = read_connfile(path);

	wire_client_free(p->client);
	p->client = cf != NULL ? wire_client_new(p->lp, cf, &conf, &ops, p) : NULL;
	wire_connfile_free(cf);
}

int
main(int argc, char **argv)
{
	struct probe p = {0};

	if (argc != 2 || wire_channel_setup(16) != 0)
		return 2;
	p.lp = loop_new();
	p.stray = json_array();
	open_file(&p, argv[1]);
	while (p.client != NULL &&
	       (p.step = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
		const char *type = json_string_value(json_object_get(p.step, "type"));
		const char *file = json_string_value(json_object_get(p.step, "file"));

		p.expiry = loop_timer_new(p.lp, DEADLINE_MS, on_expiry, NULL);
		if (strcmp(type, "open") == 0)
			open_file(&p, file);
		else
			play(&p, type);
		loop_timer_free(p.expiry);
		json_decref(p.step);
	}
	wire_client_free(p.client);
	json_decref(p.stray);
	loop_free(p.lp);
	wire_channel_term();
	return p.client == NULL;
}
