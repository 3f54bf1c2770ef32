/* Unit test of gateway/command: programs in a sandbox, real ones, beside kernels on paper. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "gateway/command.h"
#include "kernelmgr/reaper.h"
#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* --- a reader ----------------------------------------------------------------------------- */

struct reader {
	struct gw_command *c; /* NULL once it ended */
	struct buf out, err;
	unsigned outputs_n, ended_n;
	bool stalls; /* takes one piece at a time */
	bool stalled;
	int code;
	char why[300];
};

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

static void
reader_fini(struct reader *rd)
{
	buf_fini(&rd->out);
	buf_fini(&rd->err);
}

static const char *
text(const struct buf *b)
{
	return b->len > 0 ? b->data : "";
}

/* Start rq, which must be fine. */
static struct gw_command *
start(struct gw_sandbox *sb, const struct gw_command_request *rq, struct reader *rd)
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
	}
	return c;
}

/* Run command to its end in the foreground. */
static void
run(struct rig *r, const char *command, struct reader *rd)
{
	const struct gw_command_request rq = {.command = command};

	(void)start(r->sandbox, &rq, rd);
	rig_wait_n(r, &rd->ended_n, 1);
}

static bool
is_clear(void *arg)
{
	return km_reaper_pending(((struct rig *)arg)->core->reaper) == 0;
}

/* Let nothing be left, and release. */
static void
leave(struct rig *r)
{
	gw_core_stop(r->core, "end of test");
	assert_true(run_until(r->lp, is_clear, r));
	assert_int_equal(gw_metric[GW_M_COMMANDS_RUNNING], 0);
	while (paper_obey())
		rig_settle(r);
	rig_free(r);
}

/* --- tests -------------------------------------------------------------------------------- */

static void
output_and_status(void **state)
{
	static const struct {
		const char *command, *out, *err;
		int code;
		const char *why;
	} cases[] = {
	    {"echo hi", "hi\n", "", 0, "exit status 0"},
	    {"echo oops >&2; exit 7", "", "oops\n", 7, "exit status 7"},
	    {"printf 'a\\0b'; printf '\\377' >&2", "a", "\377", 0, "exit status 0"},
	    {"kill -TERM $$", "", "", 143, "killed by signal 15 (Terminated)"},
	    {"kill -KILL $$", "", "", 137, "killed by signal 9 (Killed)"},
	    {"nosuchprogram", "", "bash: line 1: nosuchprogram: command not found\n", 127,
	     "exit status 127"},
	    {"cat", "", "", 0, "exit status 0"},
	};
	struct rig *r = rig_new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reader rd;

		run(r, cases[i].command, &rd);
		assert_string_equal(text(&rd.out), cases[i].out);
		assert_string_equal(text(&rd.err), cases[i].err);
		assert_int_equal(rd.code, cases[i].code);
		assert_string_equal(rd.why, cases[i].why);
		reader_fini(&rd);
	}
	leave(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(output_and_status),
	};

	return cmocka_run_group_tests_name("gw/command", tests, NULL, NULL);
}
