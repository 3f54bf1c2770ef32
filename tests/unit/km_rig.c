/* tests/unit/km_rig.c - see tests/unit/km_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernelmgr/launch_local.h"
#include "kernelmgr/launch_zygote.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/reaper.h"
#include "tests/unit/km_rig.h"
#include "wire/base/err.h"
#include "wire/channel.h"
#include "wire/client.h"
#include "wire/msg.h"

static const char *
prefix(void)
{
	const char *p = getenv("KERNELBRIDGE_PREFIX");

	return p != NULL ? p : KM_TEST_PREFIX;
}

static void
on_exited(void *arg, int how)
{
	(void)arg;
	(void)how;
}

/* From now on what can be forked is: the first start while a zygote loads would be spawned. */
static void
load_zygote(struct rig *r)
{
	const struct km_launch what = {
	    .spec = r->python, .connection_file = "/none", .kernel_id = "00000000", .cwd = "/"};
	struct km_job *job;

	r->forks = true;
	assert_int_equal(r->launcher->ops->start(r->launcher, &what, on_exited, r, &job, NULL),
	                 0);
	r->launcher->ops->free(job);
}

static void
open_launcher(struct rig *r)
{
	const char *name = getenv("KM_TEST_LAUNCHER");
	struct km_launch_zygote_config cfg = {
	    .lp = r->lp, .reaper = r->reaper, .prefix = prefix(), .starting_max = 4};

	r->launcher = r->local = km_launch_local_new(r->lp, r->reaper, prefix());
	if (name == NULL || strcmp(name, "zygote") != 0)
		return;
	cfg.local = r->local;
	r->launcher = km_launch_zygote_new(&cfg);
	if (r->python != NULL && r->python->zygote != NULL)
		load_zygote(r);
}

int
rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct km_spec_path *path = km_spec_path_new(prefix());

	assert_int_equal(wire_channel_setup(100), 0);
	(void)km_spec_find(path, "python3", &r->python, NULL);
	km_spec_path_free(path);
	r->lp = loop_new();
	r->reaper = km_reaper_new(r->lp);
	open_launcher(r);
	r->run_dir = run_tmpdir();
	r->grace_ms = RIG_GRACE_MS;
	*state = r;
	return 0;
}

bool
rig_is_clear(void *arg)
{
	const struct rig *r = arg;
	unsigned zygotes = r->launcher != r->local ? km_launch_zygote_count(r->launcher) : 0;

	return km_reaper_pending(r->reaper) == zygotes;
}

static unsigned
count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n - 2;
}

bool
rig_once(void *arg)
{
	return (*(unsigned *)arg)++ > 0;
}

void
rig_assert_clean(struct rig *r)
{
	unsigned turns = 0;

	assert_true(run_until(r->lp, rig_is_clear, r));
	assert_true(run_until(r->lp, rig_once, &turns)); /* what waits for the end of a turn */
	assert_int_equal(count_entries(r->run_dir), 0);
	for (int st = 0; st < KM_KSTATE_N; st++)
		assert_int_equal(km_kernel_count((enum km_kstate)st), 0);
}

void
rig_free_kernel(struct rig *r)
{
	km_kernel_free(r->k);
	r->k = NULL;
	rig_assert_clean(r);
}

static bool
is_empty(void *reaper)
{
	return km_reaper_pending(reaper) == 0;
}

int
rig_teardown(void **state)
{
	struct rig *r = *state;

	rig_free_kernel(r);
	if (r->launcher != r->local) {
		km_launch_zygote_stop(r->launcher);
		assert_true(run_until(r->lp, is_empty, r->reaper));
		km_launch_zygote_free(r->launcher);
	}
	km_spec_free(r->python);
	km_launch_local_free(r->local);
	km_reaper_free(r->reaper);
	loop_free(r->lp);
	wire_channel_term();
	run_remove(r->run_dir);
	free(r);
	return 0;
}

static void
on_ready(void *arg)
{
	struct rig *r = arg;

	r->ready_n++;
	assert_int_equal(r->died_n, 0);
	if (r->free_in_ready) {
		km_kernel_free(r->k);
		r->k = NULL;
	}
}

static void
on_died(void *arg, bool started, const char *why)
{
	struct rig *r = arg;

	r->died_n++;
	r->started = started;
	(void)snprintf(r->why, sizeof(r->why), "%s", why);
	assert_int_equal(km_kernel_state(r->k), KM_DEAD);
	assert_int_equal(km_kernel_pid(r->k), 0);
	if (r->free_in_died) {
		km_kernel_free(r->k);
		r->k = NULL;
	}
}

static const char *
text_of(const struct wire_msg *m)
{
	const char *text = json_string_value(json_object_get(m->content, "text"));

	return text != NULL ? text : "";
}

static bool
is_status(const struct wire_msg *m)
{
	return strcmp(m->type, "status") == 0;
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	struct rig *r = arg;
	size_t len = strlen(r->strays);

	if (!is_status(m))
		(void)snprintf(r->strays + len, sizeof(r->strays) - len, "%s %s\n", m->type,
		               text_of(m));
}

static const struct km_kernel_ops ops = {.ready = on_ready, .died = on_died, .stray = on_stray};

int
rig_start_with(struct rig *r, const struct km_spec *spec, uint64_t start_ms, struct err *err)
{
	const struct km_kernel_config cfg = {
	    .lp = r->lp,
	    .launcher = r->launcher,
	    .spec = spec,
	    .run_dir = r->run_dir,
	    .cwd = "/tmp",
	    .start_timeout_ms = start_ms,
	    .stop_grace_ms = r->grace_ms,
	};

	return km_kernel_start(&cfg, &ops, r, &r->k, err);
}

bool
rig_is_ready(void *arg)
{
	const struct rig *r = arg;

	return r->ready_n > 0 || r->died_n > 0;
}

bool
rig_is_dead(void *arg)
{
	return ((struct rig *)arg)->died_n > 0;
}

bool
rig_is_done(void *arg)
{
	return ((struct rig *)arg)->done_n > 0;
}

bool
rig_has_text(void *arg)
{
	return ((struct rig *)arg)->text[0] != '\0';
}

void
rig_must_start(struct rig *r, const struct km_spec *spec)
{
	struct err err = {""};

	if (rig_start_with(r, spec, RIG_START_MS, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(km_kernel_state(r->k), KM_STARTING);
	assert_int_equal(km_kernel_count(KM_STARTING), 1);
	assert_true(r->forks || km_kernel_pid(r->k) > 0);
	assert_int_equal(r->ready_n, 0);
}

void
rig_must_be_ready(struct rig *r, const struct km_spec *spec)
{
	rig_must_start(r, spec);
	assert_true(run_until(r->lp, rig_is_ready, r));
	if (r->died_n > 0)
		fail_msg("%s", r->why);
	assert_int_equal(km_kernel_state(r->k), KM_READY);
	assert_int_equal(r->ready_n, 1);
}

struct km_spec *
rig_shell_spec(const char *script, bool tcp)
{
	json_t *root = json_pack("{s:[s,s,s], s:{s:{s:s}}}", "argv", "sh", "-c", script,
	                         "metadata", "kernelbridge", "transport", tcp ? "tcp" : "ipc");
	char *bytes = json_dumps(root, 0);
	struct km_spec *spec = NULL;

	assert_int_equal(km_spec_parse("shell", "/r", bytes, strlen(bytes), &spec, NULL), 0);
	free(bytes);
	json_decref(root);
	return spec;
}

/* Note what came, unless it was the same before. */
static void
note(struct rig *r, const char *what)
{
	size_t len = strlen(r->order), n = strlen(what);

	if (len > n && strncmp(r->order + len - n - 1, what, n) == 0)
		return;
	(void)snprintf(r->order + len, sizeof(r->order) - len, "%s ", what);
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	struct rig *r = arg;

	note(r, is_status(m) && m->state[0] != '\0' ? m->state : m->type);
	if (strcmp(m->type, "stream") == 0) {
		strncat(r->text, text_of(m), sizeof(r->text) - strlen(r->text) - 1);
		r->out_bytes += strlen(text_of(m));
	}
	if (strcmp(m->type, "input_request") == 0)
		assert_int_equal(km_kernel_input_reply(r->k, r->req, "answer", 6), 0);
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	struct rig *r = arg;
	const char *ename = json_string_value(json_object_get(m->content, "ename"));

	note(r, "reply");
	(void)snprintf(r->reply_status, sizeof(r->reply_status), "%s",
	               json_string_value(json_object_get(m->content, "status")));
	(void)snprintf(r->ename, sizeof(r->ename), "%s", ename != NULL ? ename : "");
}

static void
on_done(void *arg, int status)
{
	struct rig *r = arg;

	r->done_n++;
	r->done_status = status;
	assert_int_equal(r->died_n, 0);
}

static const struct wire_req_ops exec_ops = {
    .message = on_message, .reply = on_reply, .done = on_done};

void
rig_execute(struct rig *r, const char *code)
{
	json_t *content = json_pack("{s:s, s:b, s:b, s:{}, s:b, s:b}", "code", code, "silent",
	                            0, "store_history", 1, "user_expressions", "allow_stdin",
	                            r->allow_stdin, "stop_on_error", 0);

	r->done_n = 0;
	r->out_bytes = 0;
	r->text[0] = r->reply_status[0] = r->ename[0] = r->order[0] = r->strays[0] = '\0';
	r->req = km_kernel_execute(r->k, content, NULL, &exec_ops, r);
	assert_non_null(r->req);
	json_decref(content);
}
