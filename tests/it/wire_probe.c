/* tests/it/wire_probe.c - what wire/ makes of a real kernel, for test_wire_kernels.py.
 *
 * wire_probe CONNECTION_FILE: for each line of standard input, a JSON object with
 *   type     message type of a request to send on shell
 *   content  its content
 *   input    answer to each input_request (default: none is given)
 *   interrupt_after  send interrupt_request on control once this text was printed
 *   pause_ms stop reading iopub for so long from the start
 * prints one line: {"status": of done, "reply": content or null, "messages":
 * [[type, content]...], "stray": [type...], "dropped": count, "live": bool}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/client.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define FILE_MAX    65536
#define DEADLINE_MS 120000

struct probe {
	struct loop *lp;
	struct wire_client *client;
	struct wire_req *req;
	struct loop_timer *pause, *expiry;
	json_t *step;     /* borrowed */
	json_t *messages; /* of this step */
	json_t *stray;
	json_t *reply;
	int status;
};

static void
on_stray(void *arg, const struct wire_msg *m)
{
	struct probe *p = arg;

	(void)json_array_append_new(p->stray, json_string(m->type));
}

static void
interrupt(struct probe *p)
{
	static const struct wire_req_ops nothing = {0};
	static const struct wire_ask ask = {
	    .channel = WIRE_CONTROL, .type = "interrupt_request", .wait_idle = true};

	(void)wire_client_request(p->client, &ask, &nothing, NULL);
	(void)json_object_del(p->step, "interrupt_after");
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	struct probe *p = arg;
	const char *text = json_string_value(json_object_get(m->content, "text"));
	const char *mark = json_string_value(json_object_get(p->step, "interrupt_after"));
	const char *input = json_string_value(json_object_get(p->step, "input"));

	(void)json_array_append_new(p->messages, json_pack("[s, O]", m->type, m->content));
	if (text != NULL && mark != NULL && strstr(text, mark) != NULL)
		interrupt(p);
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
	(void)fprintf(stderr, "wire_probe: no end after two minutes\n");
	_Exit(3);
}

static void
play(struct probe *p)
{
	static const struct wire_req_ops ops = {
	    .message = on_message, .reply = on_reply, .done = on_done};
	json_int_t pause_ms = json_integer_value(json_object_get(p->step, "pause_ms"));
	json_t *content = json_object_get(p->step, "content");
	const struct wire_ask ask = {
	    .channel = WIRE_SHELL,
	    .type = json_string_value(json_object_get(p->step, "type")),
	    .content = content,
	    .wait_idle = true,
	    .stdin_too = json_is_true(json_object_get(content, "allow_stdin")),
	};
	json_t *out;

	p->messages = json_array();
	p->reply = NULL;
	p->req = wire_client_request(p->client, &ask, &ops, p);
	if (pause_ms > 0) {
		wire_client_pause(p->client);
		p->pause = loop_timer_new(p->lp, (uint64_t)pause_ms, on_resume, p);
	}
	loop_run(p->lp);
	loop_timer_free(p->pause);
	p->pause = NULL;
	out = json_pack("{s:i, s:o?, s:o, s:o, s:I, s:b}", "status", p->status, "reply",
	                p->reply, "messages", p->messages, "stray", p->stray, "dropped",
	                (json_int_t)wire_client_dropped(p->client), "live",
	                wire_client_iopub_live(p->client));
	p->stray = json_array();
	(void)json_dumpf(out, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	(void)puts("");
	(void)fflush(stdout);
	json_decref(out);
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

int
main(int argc, char **argv)
{
	static const struct wire_client_ops ops = {.stray = on_stray};
	struct probe p = {0};
	struct wire_connfile *cf = argc == 2 ? read_connfile(argv[1]) : NULL;

	if (cf == NULL || wire_channel_setup(16) != 0)
		return 2;
	p.lp = loop_new();
	p.stray = json_array();
	p.client = wire_client_new(p.lp, cf, false, &ops, &p);
	p.expiry = loop_timer_new(p.lp, DEADLINE_MS, on_expiry, NULL);
	while (p.client != NULL &&
	       (p.step = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
		play(&p);
		json_decref(p.step);
	}
	loop_timer_free(p.expiry);
	wire_client_free(p.client);
	wire_connfile_free(cf);
	json_decref(p.stray);
	loop_free(p.lp);
	wire_channel_term();
	return p.client == NULL;
}
