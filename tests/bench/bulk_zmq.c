/* tests/bench/bulk_zmq.c - see tests/bench/bulk.h: straight to a kernel. */
#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/client.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define FILE_MAX    65536
#define ASK_MS      100
#define DEADLINE_MS 120000
#define CONTENT     3 /* of the parts after signature */

struct direct {
	struct loop *lp;
	struct wire_client *client; /* NULL: bare sockets */
	struct wire_channel *shell, *iopub;
	struct wire_sign *sign;
	struct wire_req *asked;
	struct loop_timer *again;
	json_t *content;
	struct bulk_check *check;
	bool running; /* the code, not the question before */
	bool idle, replied;
	uint64_t from_us, took_us;
};

static void ask(struct direct *d);

static void
on_expiry(void *arg)
{
	(void)arg;
	net_die("no end after two minutes");
}

static void
end(struct direct *d)
{
	d->took_us = net_now_us() - d->from_us;
	loop_stop(d->lp);
}

/* --- by wire/client --------------------------------------------------------------------- */

static void
on_message(void *arg, const struct wire_msg *m)
{
	struct direct *d = arg;

	bulk_check_take(d->check, m->raw[CONTENT].ptr, m->raw[CONTENT].len, true);
}

static void
on_done(void *arg, int status)
{
	if (status != 0)
		net_die("the kernel did not answer");
	end(arg);
}

static void
run_client(struct direct *d)
{
	static const struct wire_req_ops ops = {.message = on_message, .done = on_done};
	const struct wire_ask what = {.channel = WIRE_SHELL,
	                              .type = "execute_request",
	                              .content = d->content,
	                              .wait_idle = true};

	(void)wire_client_request(d->client, &what, &ops, d);
}

/* --- by bare sockets -------------------------------------------------------------------- */

static void
send_bare(struct direct *d, const char *type, json_t *content)
{
	static const struct wire_slice no_parent;
	struct wire_out *o = wire_out_new(d->sign, "bulk", type, no_parent, NULL, content);
	size_t n;
	const struct wire_slice *frames = wire_out_frames(o, &n);

	if (wire_channel_send(d->shell, frames, n) != 0)
		net_die("send");
	wire_out_free(o);
}

static bool
holds(struct wire_slice s, const char *text)
{
	return memmem(s.ptr, s.len, text, strlen(text)) != NULL;
}

static void
start(struct direct *d)
{
	loop_timer_free(d->again);
	d->again = NULL;
	d->running = true;
	d->idle = d->replied = false;
	d->from_us = net_now_us();
	if (d->client != NULL)
		run_client(d);
	else
		send_bare(d, "execute_request", d->content);
}

/* Only its own requests run on the kernel, so any idle after the execute_input is ours. */
static void
on_frames(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
{
	struct direct *d = arg;
	const struct wire_slice *header = frames + n - 4;

	if (n < 6)
		return;
	if (kind == WIRE_SHELL)
		d->replied = d->running ? holds(header[0], "\"execute_reply\"") : true;
	else if (holds(header[0], "\"status\""))
		d->idle = d->idle || (holds(header[CONTENT], "\"idle\"") &&
		                      (!d->running || holds(header[1], "\"execute_request\"")));
	else if (d->running)
		bulk_check_take(d->check, header[CONTENT].ptr, header[CONTENT].len, true);
	if (d->running && d->idle && d->replied)
		end(d);
	else if (!d->running && d->idle && d->replied)
		start(d);
}

/* --- until iopub is live ---------------------------------------------------------------- */

static void
on_info(void *arg, int status)
{
	struct direct *d = arg;

	d->asked = NULL;
	if (status != 0)
		net_die("the kernel did not answer kernel_info_request");
	start(d);
}

static void
on_again(void *arg)
{
	struct direct *d = arg;

	loop_timer_free(d->again);
	d->again = NULL;
	wire_req_free(d->asked);
	ask(d);
}

static void
ask(struct direct *d)
{
	static const struct wire_req_ops ops = {.done = on_info};
	static const struct wire_ask question = {
	    .channel = WIRE_SHELL, .type = "kernel_info_request", .wait_idle = true};

	d->again = loop_timer_new(d->lp, ASK_MS, on_again, d);
	if (d->client != NULL)
		d->asked = wire_client_request(d->client, &question, &ops, d);
	else
		send_bare(d, question.type, NULL);
}

static void
open_bare(struct direct *d, const struct wire_connfile *cf)
{
	struct wire_channel_conf conf = {.kind = WIRE_IOPUB};

	conf.endpoint = wire_connfile_endpoint(cf, WIRE_IOPUB);
	d->iopub = wire_channel_new(d->lp, &conf, on_frames, d);
	conf.kind = WIRE_SHELL;
	conf.endpoint = wire_connfile_endpoint(cf, WIRE_SHELL);
	d->shell = wire_channel_new(d->lp, &conf, on_frames, d);
	if (d->iopub == NULL || d->shell == NULL)
		net_die("socket");
}

static struct wire_connfile *
read_connfile(const char *path)
{
	struct wire_connfile *cf = NULL;
	struct err err;
	char bytes[FILE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;

	if (n < 0 || wire_connfile_parse(bytes, (size_t)n, &cf, &err) != 0)
		net_die(path);
	(void)close(fd);
	return cf;
}

void
bulk_zmq(struct bulk_run *r, const char *connfile, bool parsed)
{
	static const struct wire_client_conf conf;
	struct direct d = {.check = &r->check};
	struct wire_connfile *cf = read_connfile(connfile);
	const char *key = wire_connfile_key(cf);
	struct loop_timer *expiry;

	if (wire_channel_setup(16) != 0)
		net_die("ZMQ");
	d.lp = loop_new();
	expiry = loop_timer_new(d.lp, DEADLINE_MS, on_expiry, NULL);
	d.content = json_pack("{s:s%, s:b, s:b, s:{}, s:b, s:b}", "code", r->code, r->len,
	                      "silent", 0, "store_history", 1, "user_expressions",
	                      "allow_stdin", 0, "stop_on_error", 1);
	d.sign = wire_sign_new(key, strlen(key));
	if (parsed)
		d.client = wire_client_new(d.lp, cf, &conf, NULL, NULL);
	else
		open_bare(&d, cf);
	ask(&d);
	loop_run(d.lp);
	loop_timer_free(expiry);
	wire_client_free(d.client);
	wire_channel_free(d.iopub);
	wire_channel_free(d.shell);
	wire_sign_free(d.sign);
	json_decref(d.content);
	wire_connfile_free(cf);
	loop_free(d.lp);
	wire_channel_term();
	r->took_us = d.took_us;
	r->ended = true;
}
