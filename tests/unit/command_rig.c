/* tests/unit/command_rig.c - see tests/unit/command_rig.h. */
#include "tests/unit/command_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "kernelmgr/reaper.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static int
on_output(void *arg, int stream, const char *data, size_t len)
{
	struct reader *rd = arg;

	assert_int_equal(rd->ended_n, 0);
	assert_true(len > 0 && (stream == 1 || stream == 2));
	assert_false(rd->stalled);
	rd->outputs_n++;
	assert_int_equal(buf_append(stream == 1 ? &rd->out : &rd->err, data, len), 0);
	rd->stalled = rd->stalls;
	return rd->stalls ? -EAGAIN : 0;
}

static void
on_ended(void *arg, const struct gw_command_end *e)
{
	struct reader *rd = arg;

	rd->ended_n++;
	rd->code = e->code;
	(void)snprintf(rd->why, sizeof(rd->why), "%s", e->why);
	rd->c = NULL;
}

static const struct gw_command_ops reader_ops = {.output = on_output, .ended = on_ended};

static void
reader_init(struct reader *rd)
{
	memset(rd, 0, sizeof(*rd));
	buf_init(&rd->out, 64U << 20);
	buf_init(&rd->err, 64U << 20);
}

void
reader_fini(struct reader *rd)
{
	buf_fini(&rd->out);
	buf_fini(&rd->err);
}

const char *
reader_text(const struct buf *b)
{
	return b->len > 0 ? b->data : "";
}

/* Start rq, which must be fine. */
struct gw_command *
command_start(struct gw_sandbox *sb, const struct gw_command_request *rq, struct reader *rd)
{
	struct gw_command *c = NULL;
	struct err err = {""};

	if (rd != NULL)
		reader_init(rd);
	if (gw_command_new(sb, rq, &reader_ops, rd, &c, &err) != 0)
		fail_msg("gw_command_new: %s", err.text);
	assert_non_null(c);
	if (rd != NULL) {
		assert_int_equal(rd->outputs_n + rd->ended_n, 0);
		rd->c = c;
		(void)snprintf(rd->id, sizeof(rd->id), "%s", gw_command_id(c));
	}
	return c;
}

/* Make rq and return the error's text, "" for none; the code goes to *rc. */
const char *
command_refusal(struct rig *r, const struct gw_command_request *rq, int *rc)
{
	static struct err err;
	struct gw_command *c = NULL;
	int64_t running = gw_metric[GW_M_COMMANDS_RUNNING];

	err.text[0] = '\0';
	*rc = gw_command_new(r->sandbox, rq, &reader_ops, NULL, &c, &err);
	assert_null(c);
	assert_int_equal(gw_metric[GW_M_COMMANDS_RUNNING], running);
	return err.text;
}

/* Run command to its end in the foreground. */
void
command_run(struct rig *r, const char *command, struct reader *rd)
{
	const struct gw_command_request rq = {.command = command};

	(void)command_start(r->sandbox, &rq, rd);
	rig_wait_n(r, &rd->ended_n, 1);
}

struct ended {
	struct gw_sandbox *sb;
	const char *id;
};

static bool
has_ended(void *arg)
{
	const struct ended *e = arg;
	struct gw_command *c = gw_command_find(e->sb, e->id);

	return c == NULL || !command_runs(c);
}

void
command_wait(struct rig *r, struct gw_command *c)
{
	struct ended e = {r->sandbox, gw_command_id(c)};

	assert_true(run_until(r->lp, has_ended, &e));
}

bool
command_is_clear(void *arg)
{
	return km_reaper_pending(((struct rig *)arg)->core->reaper) == 0;
}

/* Let nothing be left, and release. */
void
command_leave(struct rig *r)
{
	gw_core_stop(r->core, "end of test");
	assert_true(run_until(r->lp, command_is_clear, r));
	assert_int_equal(gw_metric[GW_M_COMMANDS_RUNNING], 0);
	while (paper_obey())
		rig_settle(r);
	rig_free(r);
}

/* A text of its description, lent until the next call. */
const char *
command_text(const struct gw_command *c, const char *key)
{
	static char text_of[70000];
	json_t *o = gw_command_describe(c);
	const char *v = json_string_value(json_object_get(o, key));

	assert_non_null(v);
	(void)snprintf(text_of, sizeof(text_of), "%s", v);
	json_decref(o);
	return text_of;
}

json_int_t
command_number(const struct gw_command *c, const char *key)
{
	json_t *o = gw_command_describe(c);
	json_t *v = json_object_get(o, key);
	json_int_t n = json_integer_value(v);

	assert_true(json_is_integer(v));
	json_decref(o);
	return n;
}

bool
command_runs(const struct gw_command *c)
{
	json_t *o = gw_command_describe(c);
	bool running = json_is_true(json_object_get(o, "running"));

	json_decref(o);
	return running;
}

struct gw_sandbox *
command_sandbox(struct rig *r, json_t *env)
{
	const struct gw_sandbox_request rq = {.name = "mine", .env = env};
	struct gw_sandbox *sb = NULL;
	struct err err = {""};

	if (gw_sandbox_new(r->core, &rq, &sb, &err) != 0)
		fail_msg("%s", err.text);
	json_decref(env);
	return sb;
}

void
command_write_envs(const struct gw_sandbox *sb, const char *content)
{
	char path[600];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/envs", sb->folder->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs(content, f);
	(void)fclose(f);
}

bool
command_path_is_gone(void *path)
{
	struct stat st;

	return stat(path, &st) != 0;
}

bool
command_fds_are(void *arg)
{
	return run_count_fds() == *(unsigned *)arg;
}
