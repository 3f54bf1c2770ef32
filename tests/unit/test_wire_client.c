/* Unit test of wire/client against a kernel of bare ZMQ sockets, scripted by the test.
 *
 * The test plays the kernel between two runs of the loop: it waits for a
 * request on the real socket, answers as a kernel would (or would not), and
 * runs the loop until the client has told what must come of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "wire/base/loop.h"
#include "wire/client.h"
#include "wire/connfile.h"
#include "wire/json.h"
#include "wire/msg.h"

#define DEADLINE_MS 20000
#define FRAMES_MAX  12
#define FRAME_BYTES 4096
#define TRACE_MAX   256

struct world {
	struct loop *lp;
	struct loop_timer *expiry;
	struct wire_connfile *cf;
	struct wire_client *client;
	struct wire_sign *sign;
	struct wire_req *req;
	char dir[32];
	void *ctx, *kernel[WIRE_CHANNEL_N];
	json_t *parent;    /* header of the last request that the kernel read */
	char identity[64]; /* and who sent it: a ZMQ routing id */
	size_t identity_n;
	char trace[TRACE_MAX];   /* what the client told, in order */
	const char *stop_at;     /* stop the loop when this was told */
	void (*hook)(void);      /* called by every callback */
	struct loop_timer *look; /* pending: has the kernel something to read? */
};

static struct world *w; /* of the test that runs */

/* ---- what the client tells ---- */

static void
trace(const char *what, const char *detail)
{
	size_t n = strlen(w->trace);

	(void)snprintf(w->trace + n, sizeof(w->trace) - n, "%s:%s ", what, detail);
	if (w->hook != NULL)
		w->hook();
	if (w->stop_at != NULL && strstr(w->trace, w->stop_at) != NULL)
		loop_stop(w->lp);
}

static const char *
detail_of(const struct wire_msg *m)
{
	return m->state[0] == '\0' ? m->type : m->state;
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	assert_ptr_equal(arg, w);
	trace("stray", detail_of(m));
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	assert_ptr_equal(arg, &w->req);
	trace("message", detail_of(m));
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	assert_ptr_equal(arg, &w->req);
	trace("reply", m->type);
}

static void
on_done(void *arg, int status)
{
	char text[16];

	assert_ptr_equal(arg, &w->req);
	(void)snprintf(text, sizeof(text), "%d", status);
	trace("done", text);
}

static const struct wire_client_ops client_ops = {.stray = on_stray};
static const struct wire_req_ops req_ops = {
    .message = on_message, .reply = on_reply, .done = on_done};

static void
on_expiry(void *arg)
{
	(void)arg;
	fail_msg("deadline passed; told so far: %s; wanted: %s", w->trace, w->stop_at);
}

/* Run the loop until the client has told what. */
static void
run_until(const char *what)
{
	w->stop_at = what;
	if (strstr(w->trace, what) == NULL)
		loop_run(w->lp);
	w->stop_at = NULL;
}

static void
on_stop(void *arg)
{
	(void)arg;
	loop_stop(w->lp);
}

/* ---- the kernel ---- */

static void
bind_kernel(enum wire_channel_kind kind)
{
	int timeout = DEADLINE_MS, zero = 0;
	void *s = zmq_socket(w->ctx, kind == WIRE_IOPUB ? ZMQ_XPUB : ZMQ_ROUTER);

	assert_non_null(s);
	(void)zmq_setsockopt(s, ZMQ_RCVTIMEO, &timeout, sizeof(timeout));
	(void)zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof(zero));
	assert_int_equal(zmq_bind(s, wire_connfile_endpoint(w->cf, kind)), 0);
	w->kernel[kind] = s;
}

/* Read one request; its header becomes the parent of what follows.  Returns its content, owned by
 * the caller. */
static json_t *
kernel_read(enum wire_channel_kind kind, const char *want_type)
{
	static char bytes[FRAMES_MAX][FRAME_BYTES];
	struct wire_slice frames[FRAMES_MAX];
	struct wire_msg m;
	json_t *content;
	size_t n = 0;
	int more = 1;

	while (more) {
		size_t size = sizeof(more);
		int len = zmq_recv(w->kernel[kind], bytes[n], FRAME_BYTES, 0);

		assert_in_range(len, 0, FRAME_BYTES);
		frames[n] = (struct wire_slice){bytes[n], (size_t)len};
		n++;
		assert_int_equal(zmq_getsockopt(w->kernel[kind], ZMQ_RCVMORE, &more, &size), 0);
	}
	assert_in_range(frames[0].len, 1, sizeof(w->identity));
	memcpy(w->identity, frames[0].ptr, frames[0].len);
	w->identity_n = frames[0].len;
	assert_int_equal(wire_msg_parse(&m, kind, w->sign, frames, n), 0);
	assert_string_equal(m.type, want_type);
	json_decref(w->parent);
	w->parent = wire_json_parse(m.raw[WIRE_HEADER].ptr, m.raw[WIRE_HEADER].len);
	content = json_incref(m.content);
	wire_msg_fini(&m);
	return content;
}

static void
kernel_take(enum wire_channel_kind kind, const char *want_type)
{
	json_decref(kernel_read(kind, want_type));
}

static void
send_frames(enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
{
	void *s = w->kernel[kind];

	if (kind != WIRE_IOPUB)
		assert_true(zmq_send(s, w->identity, w->identity_n, ZMQ_SNDMORE) >= 0);
	for (size_t i = 0; i < n; i++)
		assert_true(zmq_send(s, frames[i].ptr, frames[i].len,
		                     i + 1 < n ? ZMQ_SNDMORE : 0) >= 0);
}

/* A message with parent (NULL: {}); owned by the caller. */
static struct wire_out *
kernel_out(const char *type, json_t *parent, json_t *content)
{
	char *text = parent != NULL ? json_dumps(parent, 0) : NULL;
	const struct wire_slice header = {text, text != NULL ? strlen(text) : 0};
	struct wire_out *o = wire_out_new(w->sign, "kernel", type, header, NULL, content);

	free(text);
	assert_non_null(o);
	return o;
}

/* Send a message with parent (NULL: {}) and content, which is taken. */
static void
kernel_send(enum wire_channel_kind kind, const char *type, json_t *parent, json_t *content)
{
	struct wire_out *o = kernel_out(type, parent, content);
	const struct wire_slice *frames;
	size_t n;

	frames = wire_out_frames(o, &n);
	send_frames(kind, frames, n);
	wire_out_free(o);
	json_decref(content);
}

static void
kernel_status(const char *state)
{
	kernel_send(WIRE_IOPUB, "status", w->parent,
	            json_pack("{s:s}", "execution_state", state));
}

static void
kernel_reply(void)
{
	kernel_send(WIRE_SHELL, "execute_reply", w->parent, json_pack("{s:s}", "status", "ok"));
}

/* ---- set-up ---- */

static int
setup(void **state)
{
	static const struct wire_client_conf conf = {.kernel_waits = true};
	static struct world world;
	const char *key;
	char topic[4];

	(void)state;
	memset(&world, 0, sizeof(world));
	w = &world;
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/client.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(wire_channel_setup(16), 0);
	assert_int_equal(wire_connfile_create(w->dir, "k", "ipc", "x", &w->cf, NULL), 0);
	key = wire_connfile_key(w->cf);
	w->sign = wire_sign_new(key, strlen(key));
	w->ctx = zmq_ctx_new();
	for (int i = 0; i < WIRE_HB; i++)
		bind_kernel((enum wire_channel_kind)i);
	w->lp = loop_new();
	w->expiry = loop_timer_new(w->lp, DEADLINE_MS, on_expiry, NULL);
	w->client = wire_client_new(w->lp, w->cf, &conf, &client_ops, w);
	assert_non_null(w->client);
	assert_int_equal(zmq_recv(w->kernel[WIRE_IOPUB], topic, sizeof(topic), 0), 1);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	wire_client_free(w->client);
	loop_timer_free(w->expiry);
	loop_free(w->lp);
	wire_channel_term();
	for (int i = 0; i < WIRE_HB; i++)
		(void)zmq_close(w->kernel[i]);
	(void)zmq_ctx_term(w->ctx);
	wire_sign_free(w->sign);
	wire_connfile_free(w->cf);
	json_decref(w->parent);
	return rmdir(w->dir);
}

static void
on_look(void *arg)
{
	int events = 0;
	size_t size = sizeof(events);

	(void)arg;
	loop_timer_free(w->look);
	w->look = NULL;
	assert_int_equal(zmq_getsockopt(w->kernel[WIRE_SHELL], ZMQ_EVENTS, &events, &size), 0);
	if ((events & ZMQ_POLLIN) != 0)
		loop_stop(w->lp);
	else
		w->look = loop_timer_new(w->lp, 1, on_look, NULL);
}

/* Send an execute_request and let the kernel read it.  One that may ask for input is sent once
 * stdin is connected, so the loop runs meanwhile. */
static void
execute_with(bool stdin_too)
{
	json_t *content = json_pack("{s:s}", "code", "1");

	w->req = wire_client_request(w->client,
	                             &(struct wire_ask){.channel = WIRE_SHELL,
	                                                .type = "execute_request",
	                                                .content = content,
	                                                .wait_idle = true,
	                                                .stdin_too = stdin_too},
	                             &req_ops, &w->req);
	json_decref(content);
	w->look = loop_timer_new(w->lp, 0, on_look, NULL);
	do {
		loop_run(w->lp);
	} while (w->look != NULL);
	kernel_take(WIRE_SHELL, "execute_request");
	assert_string_equal(json_string_value(json_object_get(w->parent, "msg_id")),
	                    wire_req_id(w->req));
}

static void
execute(void)
{
	execute_with(false);
}

static void
execute_that_may_ask(void)
{
	execute_with(true);
}

/* ---- tests ---- */

static void
reply_first(void **state)
{
	(void)state;
	execute();
	kernel_status("busy");
	run_until("message:busy");
	kernel_reply();
	run_until("reply:execute_reply");
	kernel_status("idle");
	run_until("done:0");
	assert_string_equal(w->trace, "message:busy reply:execute_reply message:idle done:0 ");
}

static void
idle_first(void **state)
{
	(void)state;
	execute();
	kernel_status("idle");
	run_until("message:idle");
	kernel_reply();
	run_until("done:0");
	assert_string_equal(w->trace, "message:idle reply:execute_reply done:0 ");
}

static void
reply_alone_where_idle_is_not_awaited(void **state)
{
	(void)state;
	w->req = wire_client_request(
	    w->client, &(struct wire_ask){.channel = WIRE_SHELL, .type = "complete_request"},
	    &req_ops, &w->req);
	kernel_take(WIRE_SHELL, "complete_request");
	kernel_reply();
	run_until("done:0");
	kernel_status("idle");
	run_until("stray:idle"); /* it is nobody's now */
	assert_string_equal(w->trace, "reply:execute_reply done:0 stray:idle ");
}

static void
idle_without_reply_ends(void **state)
{
	(void)state;
	execute();
	kernel_status("busy");
	kernel_status("idle");
	run_until("done:");
	assert_string_equal(w->trace, "message:busy message:idle done:-74 "); /* EBADMSG */
}

static void
look_for_question(void *arg)
{
	zmq_pollitem_t items[] = {{.socket = w->kernel[WIRE_SHELL], .events = ZMQ_POLLIN},
	                          {.socket = w->kernel[WIRE_CONTROL], .events = ZMQ_POLLIN}};
	struct loop_timer **t = arg;

	loop_timer_free(*t);
	*t = loop_timer_new(w->lp, 10, look_for_question, t);
	if (zmq_poll(items, 2, 0) > 0)
		loop_stop(w->lp);
}

static void
take_question(enum wire_channel_kind kind)
{
	struct loop_timer *t = NULL;

	look_for_question(&t);
	loop_run(w->lp);
	loop_timer_free(t);
	kernel_take(kind, "kernel_info_request");
}

/* The kernel dropped our idle at its send mark: the idle of a later question proves it. */
static void
dropped_idle_ends(void **state)
{
	(void)state;
	execute();
	kernel_reply();
	for (int i = 0; i < 2; i++) {
		take_question(WIRE_SHELL);
		kernel_status("busy");
		kernel_send(WIRE_SHELL, "kernel_info_reply", w->parent, json_object());
	}
	kernel_status("idle");
	run_until("done:");
	assert_string_equal(w->trace, "reply:execute_reply done:-5 "); /* EIO */
}

/* ... and where it was only late, all is well, and the question's own idle is nobody's. */
static void
late_idle_is_in_time(void **state)
{
	(void)state;
	json_t *parent;

	execute();
	kernel_reply();
	parent = json_incref(w->parent);
	take_question(WIRE_SHELL);
	kernel_send(WIRE_IOPUB, "status", parent,
	            json_pack("{s:s}", "execution_state", "idle"));
	kernel_send(WIRE_SHELL, "kernel_info_reply", w->parent, json_object());
	kernel_status("idle");
	run_until("stray:idle");
	assert_string_equal(w->trace, "reply:execute_reply message:idle done:0 stray:idle ");
	json_decref(parent);
}

static void
second_reply_says_nothing(void **state)
{
	(void)state;
	execute();
	kernel_reply();
	kernel_reply();
	run_until("reply:");
	kernel_status("idle");
	run_until("done:0");
	assert_string_equal(w->trace, "reply:execute_reply message:idle done:0 ");
}

static void
requests_are_told_apart(void **state)
{
	(void)state;
	struct wire_req *other = NULL;
	json_t *first;

	execute();
	first = json_incref(w->parent);
	other = wire_client_request(w->client,
	                            &(struct wire_ask){.channel = WIRE_SHELL,
	                                               .type = "complete_request",
	                                               .wait_idle = true},
	                            &req_ops, &w->req);
	assert_string_not_equal(wire_req_id(other), wire_req_id(w->req));
	kernel_take(WIRE_SHELL, "complete_request");
	kernel_send(WIRE_SHELL, "complete_reply", w->parent, json_object());
	run_until("reply:complete_reply");
	kernel_status("idle");
	run_until("done:0");
	json_decref(w->parent);
	w->parent = first;
	kernel_status("idle");
	kernel_reply();
	run_until("execute_reply done:0");
}

static void
what_is_nobodys_is_stray(void **state)
{
	(void)state;
	json_t *unknown = json_pack("{s:s}", "msg_id", "somebody else's");

	assert_false(wire_client_iopub_live(w->client));
	execute_that_may_ask();
	kernel_send(WIRE_IOPUB, "iopub_welcome", NULL, json_object());
	run_until("stray:iopub_welcome");
	assert_true(wire_client_iopub_live(w->client));
	kernel_send(WIRE_IOPUB, "iopub_welcome", NULL, json_object()); /* filtered */
	kernel_send(WIRE_IOPUB, "status", NULL,
	            json_pack("{s:s}", "execution_state", "starting"));
	kernel_send(WIRE_IOPUB, "stream", unknown, json_object());
	kernel_send(WIRE_SHELL, "execute_reply", unknown, json_object()); /* dropped */
	kernel_send(WIRE_STDIN, "input_request", unknown, json_object());
	run_until("stray:input_request");
	run_until("stray:stream");
	kernel_status("idle");
	kernel_reply();
	run_until("done:0");
	kernel_send(WIRE_IOPUB, "stream", w->parent, json_object()); /* a thread prints on */
	run_until("done:0 stray:stream");
	assert_null(strstr(strstr(w->trace, "iopub_welcome") + 1, "iopub_welcome"));
	json_decref(unknown);
}

static void
forged_and_broken_messages_are_dropped(void **state)
{
	(void)state;
	struct wire_sign *wrong = wire_sign_new("wrong", 5), *right = w->sign;
	const struct wire_slice junk[] = {{"junk", 4}, {"<IDS|MSG>", 9}, {"", 0}};

	execute();
	w->sign = wrong;
	kernel_status("idle");
	w->sign = right;
	send_frames(WIRE_IOPUB, junk, 3);
	kernel_status("busy");
	run_until("message:busy");
	assert_string_equal(w->trace, "message:busy ");
	assert_int_equal(wire_client_dropped(w->client), 2);
	wire_sign_free(wrong);
}

/* The very same frames twice: a kernel's doing, not an attack. */
static void
duplicates_pass(void **state)
{
	(void)state;
	struct wire_out *o;
	const struct wire_slice *frames;
	size_t n;

	execute();
	o = kernel_out("stream", w->parent, NULL);
	frames = wire_out_frames(o, &n);
	send_frames(WIRE_IOPUB, frames, n);
	send_frames(WIRE_IOPUB, frames, n);
	run_until("message:stream message:stream");
	assert_int_equal(wire_client_dropped(w->client), 0);
	wire_out_free(o);
}

static void
ask_for_input(void)
{
	w->trace[0] = '\0';
	kernel_send(WIRE_STDIN, "input_request", w->parent, json_pack("{s:s}", "prompt", "?"));
	run_until("message:input_request");
}

static void
input_is_answered_once(void **state)
{
	(void)state;
	json_t *request, *content;

	execute_that_may_ask();
	request = json_incref(w->parent);
	assert_int_equal(wire_client_input_reply(w->client, w->req, "early", 5), -ENOENT);
	ask_for_input();
	assert_int_equal(wire_client_input_reply(w->client, w->req, "\xff", 1), -EINVAL);
	assert_int_equal(wire_client_input_reply(w->client, w->req, "a\0\xc3\xa9", 4), 0);
	assert_int_equal(wire_client_input_reply(w->client, w->req, "twice", 5), -ENOENT);
	content = kernel_read(WIRE_STDIN, "input_reply");
	assert_int_equal(json_string_length(json_object_get(content, "value")), 4);
	json_decref(content);
	json_decref(w->parent);
	w->parent = request;
	ask_for_input(); /* not answered: the reply ends the wait */
	kernel_reply();
	run_until("reply:");
	assert_int_equal(wire_client_input_reply(w->client, w->req, "late", 4), -ENOENT);
}

/* The input_request overtakes output: it waits for the idle of a question that comes after. */
static void
input_comes_after_what_was_published_before(void **state)
{
	(void)state;
	json_t *request;

	execute_that_may_ask();
	request = json_incref(w->parent);
	wire_client_pause(w->client); /* so that no time can pass that matters */
	kernel_send(WIRE_STDIN, "input_request", request, json_pack("{s:s}", "prompt", "?"));
	take_question(WIRE_CONTROL);
	assert_string_equal(w->trace, "");
	kernel_send(WIRE_IOPUB, "stream", request, json_object());
	kernel_send(WIRE_CONTROL, "kernel_info_reply", w->parent, json_object());
	kernel_status("idle");
	wire_client_resume(w->client);
	run_until("message:input_request");
	assert_string_equal(w->trace, "message:stream message:input_request ");
	assert_int_equal(wire_client_input_reply(w->client, w->req, "x", 1), 0);
	json_decref(request);
}

/* A kernel that is interrupted at its prompt: nobody is asked any more. */
static void
input_that_was_not_told_ends_with_the_reply(void **state)
{
	(void)state;
	execute_that_may_ask();
	wire_client_pause(w->client);
	kernel_send(WIRE_STDIN, "input_request", w->parent, json_pack("{s:s}", "prompt", "?"));
	kernel_reply();
	run_until("reply:");
	kernel_status("idle");
	wire_client_resume(w->client);
	run_until("done:");
	assert_string_equal(w->trace, "reply:execute_reply message:idle done:0 ");
}

/* The kernel's stdin never answers: the request stays here, and its end is told. */
static void
what_waits_for_stdin_ends_with_the_client(void **state)
{
	(void)state;
	(void)zmq_unbind(w->kernel[WIRE_STDIN], wire_connfile_endpoint(w->cf, WIRE_STDIN));
	w->req = wire_client_request(w->client,
	                             &(struct wire_ask){.channel = WIRE_SHELL,
	                                                .type = "execute_request",
	                                                .wait_idle = true,
	                                                .stdin_too = true},
	                             &req_ops, &w->req);
	wire_client_close(w->client);
	run_until("done:-32");
}

static void
pause_holds_output_not_replies(void **state)
{
	(void)state;
	execute();
	kernel_status("busy");
	run_until("message:busy");
	wire_client_pause(w->client);
	kernel_status("idle");
	kernel_reply();
	run_until("reply:");
	assert_string_equal(w->trace, "message:busy reply:execute_reply ");
	wire_client_resume(w->client);
	run_until("done:0");
}

static void
close_completes_everything(void **state)
{
	(void)state;
	struct wire_req *after;

	execute();
	wire_client_close(w->client);
	after = wire_client_request(
	    w->client, &(struct wire_ask){.channel = WIRE_CONTROL, .type = "interrupt_request"},
	    &req_ops, &w->req);
	assert_non_null(after);
	wire_client_close(w->client); /* again: fine */
	wire_client_pause(w->client);
	wire_client_resume(w->client);
	assert_int_equal(wire_client_input_reply(w->client, w->req, "x", 1), -ENOENT);
	assert_string_equal(w->trace, ""); /* never from inside */
	run_until("done:-32 done:-32");
	assert_int_equal(EPIPE, 32);
}

/* Freed between the close and its completion: silent, as ever. */
static void
freed_after_close(void **state)
{
	(void)state;
	struct wire_req *first;

	execute();
	first = w->req;
	execute();
	wire_client_close(w->client);
	wire_req_free(first);
	run_until("done:-32");
	wire_client_close(w->client);
	loop_later(w->lp, on_stop, NULL);
	loop_run(w->lp);
	assert_string_equal(w->trace, "done:-32 ");
}

static void
what_is_not_json_fails(void **state)
{
	(void)state;
	json_t *content = json_object();

	assert_int_equal(json_object_set_new(content, "code", json_string_nocheck("\xff")), 0);
	w->req = wire_client_request(w->client,
	                             &(struct wire_ask){.channel = WIRE_SHELL,
	                                                .type = "execute_request",
	                                                .content = content,
	                                                .wait_idle = true},
	                             &req_ops, &w->req);
	assert_string_equal(wire_req_id(w->req), "");
	kernel_send(WIRE_IOPUB, "status", NULL, json_pack("{s:s}", "execution_state", "idle"));
	run_until("done:-22");
	run_until("stray:idle"); /* a message without parent is not its own */
	assert_int_equal(EINVAL, 22);
	json_decref(content);
}

static void
freed_request_is_silent(void **state)
{
	(void)state;
	execute();
	wire_req_free(w->req);
	wire_req_free(NULL);
	kernel_status("idle");
	kernel_reply();
	run_until("stray:idle");
	execute();
	kernel_reply();
	kernel_status("idle");
	run_until("done:0");
	assert_null(strstr(w->trace, "stray:idle message:idle message:idle"));
}

static void
free_request(void)
{
	w->hook = NULL;
	wire_req_free(w->req);
}

static void
free_client(void)
{
	w->hook = NULL;
	wire_client_free(w->client);
	w->client = NULL;
}

static void
close_client(void)
{
	w->hook = NULL;
	wire_client_close(w->client);
}

/* Play a whole run with hook called by the first callback, and let what remains happen. */
static void
play(void (*hook)(void), const char *until)
{
	struct loop_timer *t;

	execute();
	w->hook = hook;
	kernel_reply();
	kernel_status("idle");
	run_until(until);
	/* What might still be told would be told in the next turns. */
	t = loop_timer_new(w->lp, 20, on_stop, NULL);
	loop_run(w->lp);
	loop_timer_free(t);
}

static void
request_freed_in_reply(void **state)
{
	(void)state;
	play(free_request, "reply:");
	assert_null(strstr(w->trace, "done:"));
}

static void
client_freed_in_reply(void **state)
{
	(void)state;
	play(free_client, "reply:");
	assert_string_equal(w->trace, "reply:execute_reply ");
}

static void
client_closed_in_reply(void **state)
{
	(void)state;
	play(close_client, "done:");
	assert_string_equal(w->trace, "reply:execute_reply done:-32 ");
}

/* The hook that frees when done was told, whatever came before it. */
static void
free_all_when_done(void)
{
	if (strstr(w->trace, "done:") == NULL)
		return;
	wire_req_free(w->req); /* goes by itself: harmless */
	free_client();
}

static void
everything_freed_in_done(void **state)
{
	(void)state;
	play(free_all_when_done, "done:0");
	assert_string_equal(strstr(w->trace, "done:"), "done:0 ");
}

static void
client_freed_in_stray(void **state)
{
	(void)state;
	w->hook = free_client;
	kernel_send(WIRE_IOPUB, "status", NULL,
	            json_pack("{s:s}", "execution_state", "starting"));
	run_until("stray:starting");
}

static void
client_freed_with_requests(void **state)
{
	(void)state;
	execute();
	execute();
	free_client();
	loop_later(w->lp, on_stop, NULL);
	loop_run(w->lp);
	assert_string_equal(w->trace, "");
	wire_client_free(NULL);
}

static void
no_sockets_left(void **state)
{
	(void)state;
	static const struct wire_client_conf conf;
	struct wire_client *clients[16] = {w->client};
	int n = 1;

	while (n < 16 &&
	       (clients[n] = wire_client_new(w->lp, w->cf, &conf, NULL, NULL)) != NULL)
		n++;
	assert_int_equal(errno, EMFILE);
	assert_int_equal(n, 8); /* of 16 sockets */
	while (--n > 0)
		wire_client_free(clients[n]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(reply_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(idle_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(reply_alone_where_idle_is_not_awaited, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(idle_without_reply_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(dropped_idle_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(late_idle_is_in_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(second_reply_says_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(requests_are_told_apart, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_nobodys_is_stray, setup, teardown),
	    cmocka_unit_test_setup_teardown(forged_and_broken_messages_are_dropped, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(duplicates_pass, setup, teardown),
	    cmocka_unit_test_setup_teardown(input_is_answered_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(input_comes_after_what_was_published_before, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(input_that_was_not_told_ends_with_the_reply, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(what_waits_for_stdin_ends_with_the_client, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(pause_holds_output_not_replies, setup, teardown),
	    cmocka_unit_test_setup_teardown(close_completes_everything, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_after_close, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_not_json_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_request_is_silent, setup, teardown),
	    cmocka_unit_test_setup_teardown(request_freed_in_reply, setup, teardown),
	    cmocka_unit_test_setup_teardown(client_freed_in_reply, setup, teardown),
	    cmocka_unit_test_setup_teardown(client_closed_in_reply, setup, teardown),
	    cmocka_unit_test_setup_teardown(everything_freed_in_done, setup, teardown),
	    cmocka_unit_test_setup_teardown(client_freed_in_stray, setup, teardown),
	    cmocka_unit_test_setup_teardown(client_freed_with_requests, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_sockets_left, setup, teardown),
	};

	return cmocka_run_group_tests_name("wire/client", tests, NULL, NULL);
}
