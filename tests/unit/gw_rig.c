/* tests/unit/gw_rig.c - see tests/unit/gw_rig.h. */
#include "tests/unit/gw_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define SETTLE_TURNS 8 /* context, run, pump: each posts the next */

static void
write_spec(const char *dir, const char *name, const char *json)
{
	static const char *const above[] = {"share", "share/jupyter", "share/jupyter/kernels"};
	char path[512];
	FILE *f;

	for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, above[i]);
		(void)mkdir(path, 0700);
	}
	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, above[2], name);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/%s/kernel.json", dir, above[2], name);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs(json, f);
	assert_int_equal(fclose(f), 0);
}

struct rig *
rig_new(void)
{
	struct rig *r = mem_new(sizeof(*r));
	char state[512];
	char prefix[512];
	char *argv[] = {state, prefix};
	struct err err;

	log_setup(LOG_ERROR, false);
	r->dir = run_tmpdir();
	assert_non_null(r->dir);
	assert_int_equal(setenv("HOME", r->dir, 1), 0);
	write_spec(r->dir, "python3",
	           "{\"argv\": [\"python3\", \"{connection_file}\"], "
	           "\"display_name\": \"Python 3\", \"language\": \"python\", "
	           "\"metadata\": {\"kernelbridge\": {\"env\": true, "
	           "\"waits\": true}}}");
	(void)snprintf(state, sizeof(state), "--state_dir=%s/state", r->dir);
	(void)snprintf(prefix, sizeof(prefix), "--prefix=%s", r->dir);
	paper_start_rc = 0;
	list_init(&paper_kernels); /* a test that failed may have left some */
	memset(gw_metric, 0, sizeof(gw_metric));
	memset(gw_metric_done, 0, sizeof(*gw_metric_done) * GW_DONE_N);
	r->lp = loop_new();
	assert_int_equal(gw_config_load(2, argv, &r->cfg, &err), 0);
	if (gw_core_new(r->lp, r->cfg, NULL, &r->core, &err) != 0)
		fail_msg("gw_core_new: %s", err.text);
	r->sandbox = gw_sandbox_find(r->core, GW_SANDBOX_DEFAULT);
	assert_non_null(r->sandbox);
	r->ctx = gw_ctx_find(r->sandbox, "default");
	assert_non_null(r->ctx);
	rig_settle(r);
	return r;
}

struct rig *
rig_ready(void)
{
	struct rig *r = rig_new();

	paper_ready(paper_newest());
	rig_settle(r);
	return r;
}

void
rig_free(struct rig *r)
{
	static const enum gw_metric_id gauges[] = {
	    GW_M_SANDBOXES,          GW_M_CONTEXTS,        GW_M_EXECUTIONS_QUEUED,
	    GW_M_EXECUTIONS_RUNNING, GW_M_EXECUTIONS_KEPT, GW_M_EVENTS_BYTES,
	    GW_M_COMMANDS_RUNNING,   GW_M_POOL_KERNELS,
	};

	gw_core_free(r->core);
	loop_free(r->lp);
	gw_config_free(r->cfg);
	run_remove(r->dir);
	mem_free(r);
	assert_int_equal(paper_count(), 0);
	for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
		if (gw_metric[gauges[i]] != 0)
			fail_msg("gauge %d is %lld", (int)gauges[i],
			         (long long)gw_metric[gauges[i]]);
	}
}

struct rig *
rig_with_auth(void)
{
	struct rig *r = rig_ready();

	r->core->auth = gw_auth_new(false, "token");
	return r;
}

void
rig_end(struct rig *r)
{
	struct gw_auth *auth = r->core->auth;

	do
		rig_settle(r);
	while (paper_obey());
	rig_free(r);
	gw_auth_free(auth);
}

struct settle {
	struct loop_task task;
	unsigned turns;
};

static void
on_turn(void *arg)
{
	struct settle *s = arg;

	if (++s->turns < SETTLE_TURNS)
		loop_task_post(&s->task);
	else
		loop_stop(s->task.lp);
}

void
rig_settle(struct rig *r)
{
	struct settle s = {.turns = 0};

	loop_task_init(&s.task, r->lp, on_turn, &s);
	loop_task_post(&s.task);
	loop_run(r->lp);
}

struct wait_n {
	const unsigned *n;
	unsigned want;
};

static bool
is_there(void *arg)
{
	const struct wait_n *w = arg;

	return *w->n >= w->want;
}

void
rig_wait_n(struct rig *r, const unsigned *n, unsigned want)
{
	struct wait_n w = {n, want};

	assert_true(run_until(r->lp, is_there, &w));
}

/* --- the tape --------------------------------------------------------------------------- */

static void
write_text(struct tape *t, const struct gw_event *ev)
{
	t->text_bytes += ev->text.len;
	if (ev->text.len > t->longest)
		t->longest = ev->text.len;
	if (ev->text.len > 64)
		(void)buf_printf(&t->text, " #%zu", ev->text.len);
	else
		(void)buf_printf(&t->text, " %s", (const char *)ev->text.ptr);
}

static void
write_json(struct tape *t, json_t *v)
{
	char *s = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	if (s != NULL)
		(void)buf_printf(&t->text, " %s", s);
	mem_free(s);
}

static void
write_details(struct tape *t, const struct gw_event *ev)
{
	switch (ev->kind) {
	case GW_EV_ACCEPTED:
	case GW_EV_STARTED:
		(void)buf_printf(&t->text, " %lld", (long long)ev->count);
		break;
	case GW_EV_STDOUT:
	case GW_EV_STDERR:
		write_text(t, ev);
		break;
	case GW_EV_CUT:
		(void)buf_printf(&t->text, " %llu in %llu", (unsigned long long)ev->cut_bytes,
		                 (unsigned long long)ev->cut_messages);
		break;
	case GW_EV_INPUT:
		(void)buf_printf(&t->text, " %s%s", (const char *)ev->text.ptr,
		                 ev->flag ? " secret" : "");
		break;
	case GW_EV_DISPLAY:
	case GW_EV_UPDATE:
	case GW_EV_RESULT:
		if (ev->id != NULL)
			(void)buf_printf(&t->text, " %s", ev->id);
		write_json(t, ev->bundle);
		break;
	case GW_EV_CLEAR:
		(void)buf_printf(&t->text, "%s", ev->flag ? " wait" : "");
		break;
	case GW_EV_ERROR:
		(void)buf_printf(&t->text, " %s: %s", ev->name, (const char *)ev->text.ptr);
		write_json(t, ev->traceback);
		if (ev->plain != NULL)
			(void)buf_printf(&t->text, " plain");
		break;
	case GW_EV_DONE:
		(void)buf_printf(&t->text, " %s%s%s", gw_done_name(ev->how),
		                 ev->text.len > 0 ? ": " : "",
		                 ev->text.len > 0 ? (const char *)ev->text.ptr : "");
		break;
	case GW_EV_N:
	default:
		fail_msg("event of kind %d", (int)ev->kind);
	}
}

static int
on_event(struct gw_sink *s, const struct gw_event *ev)
{
	struct tape *t = list_entry(s, struct tape, sink);

	assert_false(t->gone);
	assert_int_equal(t->done_n, 0);     /* DONE is last */
	assert_true(ev->seq > t->last_seq); /* in order, each once */
	assert_true(ev->text.ptr == NULL || ((const char *)ev->text.ptr)[ev->text.len] == '\0');
	t->last_seq = ev->seq;
	t->events_n++;
	(void)buf_printf(&t->text, "%s%llu %s", t->text.len > 0 ? "|" : "",
	                 (unsigned long long)ev->seq, gw_event_name(ev->kind));
	write_details(t, ev);
	if (ev->kind == GW_EV_DONE) {
		t->done_n++;
		t->how = ev->how;
		assert_null(s->exec);
	}
	if (ev->seq == t->unhook_at || ev->seq == t->free_at) {
		gw_sink_unhook(s);
		t->gone = true;
		if (ev->seq == t->free_at)
			tape_free(t);
		return 0;
	}
	return t->stalls || ev->seq == t->stall_at ? -EAGAIN : 0;
}

static const struct gw_sink_ops tape_ops = {.event = on_event};

struct tape *
tape_new(void)
{
	struct tape *t = mem_new(sizeof(*t));

	gw_sink_init(&t->sink, &tape_ops);
	buf_init(&t->text, 1 << 20);
	return t;
}

void
tape_free(struct tape *t)
{
	gw_sink_unhook(&t->sink);
	buf_fini(&t->text);
	mem_free(t);
}

const char *
tape_text(const struct tape *t)
{
	return t->text.data;
}

struct gw_exec *
rig_exec_with(struct gw_ctx *ctx, const struct gw_exec_request *rq, struct tape *t)
{
	struct gw_exec *ex;
	struct err err;

	if (gw_exec_new(ctx, rq, &ex, &err) != 0)
		fail_msg("gw_exec_new: %s", err.text);
	if (t != NULL)
		gw_sink_hook(&t->sink, ex, 0);
	return ex;
}

struct gw_exec *
rig_exec(struct gw_ctx *ctx, const char *code, struct tape *t)
{
	const struct gw_exec_request rq = {.code = code, .code_len = strlen(code)};

	return rig_exec_with(ctx, &rq, t);
}

static void
on_told(void *arg, int status, const char *why)
{
	struct waiter *w = arg;

	w->calls_n++;
	w->status = status;
	(void)snprintf(w->why, sizeof(w->why), "%s", why != NULL ? why : "");
}

void
rig_wait(struct gw_ctx *c, struct waiter *w)
{
	*w = (struct waiter){.status = 1};
	gw_ctx_wait(c, &w->w, on_told, w);
}

const char *
rig_meta(const struct km_kernel *k, const char *key)
{
	return json_string_value(
	    json_object_get(json_object_get(k->metadata, "kernelbridge"), key));
}

void
rig_spec(struct rig *r, const char *name, const char *json)
{
	write_spec(r->dir, name, json);
}
