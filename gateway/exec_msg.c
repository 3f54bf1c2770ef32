/* gateway/exec_msg.c - see gateway/exec_msg.h. */
#include "gateway/exec_msg.h"

#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/exec.h"
#include "gateway/exec_cut.h"
#include "gateway/exec_feed.h"
#include "wire/msg.h"

static const char *
text_of(const json_t *content, const char *key)
{
	const char *s = json_string_value(json_object_get(content, key));

	return s != NULL ? s : "";
}

/* How many of the n that the kernel has counted were code of ours around a client's.  Some
 * kernels count such silent requests (JJava) and some do not, whether they announce them (Deno,
 * IRkernel) or not.  A client's code counts one, so what is more was ours. */
static json_int_t
counted_of_ours(struct gw_ctx *c, json_int_t n)
{
	if (c->surrounded && n > c->asked + 1)
		c->unasked += n - c->asked - 1;
	c->surrounded = false;
	c->asked = n;
	return c->unasked;
}

static void
started(struct gw_exec *ex, const json_t *content)
{
	struct gw_event ev = {.kind = GW_EV_STARTED};
	json_int_t n = json_integer_value(json_object_get(content, "execution_count"));

	if (ex->count != 0)
		return;
	n -= counted_of_ours(ex->ctx, n);
	ex->count = n > 0 ? n : 1;
	ev.count = ex->count;
	gw_exec_append(ex, &ev);
}

/* Append ev, which shows bytes of output, if the limit allows; DONE(overrun) tells of a cut. */
static void
output(struct gw_exec *ex, const struct gw_event *ev, size_t bytes)
{
	uint64_t max = ex->core->cfg->max_output_bytes;

	if (ex->cut)
		return;
	ex->output_bytes += bytes;
	ex->cut = max > 0 && ex->output_bytes > max;
	if (ex->cut)
		gw_exec_stop(ex, GW_DONE_OVERRUN, ex->core->cfg->interrupt_grace_ms);
	else if (!gw_exec_cut_drops(ex, bytes))
		gw_exec_append(ex, ev);
}

void
gw_exec_msg_stream(struct gw_exec *ex, const json_t *content, struct wire_slice text)
{
	bool err = strcmp(text_of(content, "name"), "stderr") == 0;
	struct gw_event ev = {.kind = err ? GW_EV_STDERR : GW_EV_STDOUT, .text = text};

	if (text.len == 0)
		return;
	output(ex, &ev, text.len);
	if (err && !ex->drops)
		ex->in_line = ((const char *)text.ptr)[text.len - 1] != '\n';
}

static void
bundle(struct gw_exec *ex, const struct wire_msg *m, enum gw_event_kind kind)
{
	json_t *transient = json_object_get(m->content, "transient");
	json_t *metadata = json_object_get(m->content, "metadata");
	struct gw_event ev = {.kind = kind, .count = ex->count};

	ev.bundle = json_object_get(m->content, "data");
	ev.metadata = json_is_object(metadata) ? metadata : NULL;
	ev.id = json_string_value(json_object_get(transient, "display_id"));
	if (json_is_object(ev.bundle))
		output(ex, &ev, m->raw[3].len);
}

/* The plain traceback of our own Python kernel, or NULL. */
static json_t *
plain_of(const json_t *metadata)
{
	json_t *o = json_object_get(metadata, "kernelbridge");
	bool whole = json_is_string(json_object_get(o, "name")) &&
	             json_is_string(json_object_get(o, "value")) &&
	             json_is_string(json_object_get(o, "traceback"));

	return whole ? o : NULL;
}

void
gw_exec_msg_error(struct gw_exec *ex, const json_t *content, const json_t *metadata)
{
	json_t *tb = json_object_get(content, "traceback");
	json_t *list = json_is_array(tb) ? json_incref(tb) : json_array();
	struct gw_event ev = {
	    .kind = GW_EV_ERROR,
	    .name = text_of(content, "ename"),
	    .text = wire_msg_text(json_object_get(content, "evalue")),
	    .traceback = list,
	    .plain = plain_of(metadata),
	};

	if (json_is_string(tb)) /* one string: jjava */
		json_array_append(list, tb);
	if (!ex->saw_error || !gw_exec_cut_drops(ex, ev.text.len))
		gw_exec_append(ex, &ev);
	ex->saw_error = true;
	json_decref(list);
}

static void
input(struct gw_exec *ex, const json_t *content)
{
	struct wire_slice prompt = wire_msg_text(json_object_get(content, "prompt"));
	struct gw_event ev = {.kind = GW_EV_INPUT, .text = prompt};

	ev.flag = json_is_true(json_object_get(content, "password"));
	ex->input_waits = true;
	if (ex->stdin_mode == GW_STDIN_ASK) {
		gw_exec_append(ex, &ev);
		return;
	}
	ev.kind = GW_EV_STDOUT;
	ev.flag = false;
	output(ex, &ev, prompt.len);
	(void)gw_exec_input(ex, "\x04", 1); /* ipykernel: end of file */
}

static void
clear(struct gw_exec *ex, const json_t *content)
{
	struct gw_event ev = {.kind = GW_EV_CLEAR};

	ev.flag = json_is_true(json_object_get(content, "wait"));
	if (!gw_exec_cut_drops(ex, 0))
		gw_exec_append(ex, &ev);
}

void
gw_exec_msg_take(struct gw_exec *ex, const struct wire_msg *m)
{
	/* A silent run is not announced by execute_input: busy is the next best sign. */
	if (ex->silent || strcmp(m->type, "status") != 0)
		ex->began = true;
	if (strcmp(m->type, "stream") == 0)
		gw_exec_msg_stream(ex, m->content,
		                   wire_msg_text(json_object_get(m->content, "text")));
	else if (strcmp(m->type, "execute_input") == 0)
		started(ex, m->content);
	else if (strcmp(m->type, "execute_result") == 0)
		bundle(ex, m, GW_EV_RESULT);
	else if (strcmp(m->type, "display_data") == 0)
		bundle(ex, m, GW_EV_DISPLAY);
	else if (strcmp(m->type, "update_display_data") == 0)
		bundle(ex, m, GW_EV_UPDATE);
	else if (strcmp(m->type, "error") == 0)
		gw_exec_msg_error(ex, m->content, m->metadata);
	else if (strcmp(m->type, "input_request") == 0)
		input(ex, m->content);
	else if (strcmp(m->type, "clear_output") == 0)
		clear(ex, m->content);
}
