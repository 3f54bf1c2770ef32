/* tests/unit/zygote_rig.c - see tests/unit/zygote_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernelmgr/launch_local.h"
#include "kernelmgr/proc.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spec.h"
#include "tests/unit/zygote_rig.h"
#include "wire/base/err.h"
#include "wire/base/log.h"

#define LONG_MS  600000
#define RETRY_MS 60000
#define TURNS    10

int
zr_setup(void **state)
{
	struct zr *r = calloc(1, sizeof(*r));

	log_setup(LOG_ERROR, false);
	r->dir = run_tmpdir();
	r->lp = loop_new();
	r->reaper = km_reaper_new(r->lp);
	(void)snprintf(r->log, sizeof(r->log), "%s/log", r->dir);
	(void)snprintf(r->go, sizeof(r->go), "%s/go", r->dir);
	*state = r;
	return 0;
}

static bool
is_clear(void *arg)
{
	return km_reaper_pending(arg) == 0;
}

static void
count(void *arg, pid_t pid)
{
	(void)pid;
	(*(unsigned *)arg)++;
}

unsigned
zr_children(void)
{
	unsigned n = 0;

	km_proc_children(count, &n);
	return n;
}

int
zr_teardown(void **state)
{
	struct zr *r = *state;

	if (r->jobs_n != 0)
		return -1; /* a test failed: its jobs are gone with its stack */
	if (r->launcher != NULL) {
		km_launch_zygote_stop(r->launcher);
		zr_go(r);
		assert_true(run_until(r->lp, is_clear, r->reaper));
		zr_turns(r);
		assert_int_equal(km_launch_zygote_count(r->launcher), 0);
		assert_int_equal(zr_children(), 0);
		assert_int_equal(run_count_fds(), r->fds);
	}
	km_launch_zygote_free(r->launcher);
	km_launch_local_free(r->local);
	km_reaper_free(r->reaper);
	km_spec_free(r->spec);
	loop_free(r->lp);
	run_remove(r->dir);
	free(r);
	return 0;
}

static void
make_spec(struct zr *r, const char *orders)
{
	char text[1024], *bytes;
	struct err err = {""};
	const char *mark = strstr(orders, "%s");
	json_t *root;

	(void)snprintf(text, sizeof(text), "%.*s%s%s",
	               (int)(mark != NULL ? (size_t)(mark - orders) : strlen(orders)), orders,
	               mark != NULL ? r->go : "", mark != NULL ? mark + 2 : "");
	root = json_pack("{s:[s,s,s], s:{s:s,s:s,s:s}, s:{s:{s:[s,s],s:[s]}}}", "argv", "sh",
	                 "-c", "eval \"$SCRIPT\"", "env", "FAKE_ZYGOTE", text, "FAKE_LOG",
	                 r->log, "FROM_SPEC", "<${KM_TEST_OUTER}>", "metadata", "kernelbridge",
	                 "zygote", FAKE_ZYGOTE, "{prefix}", "start_env", "STARTER*");
	bytes = json_dumps(root, 0);
	if (km_spec_parse("forked", "/r", bytes, strlen(bytes), &r->spec, &err) != 0)
		fail_msg("%s", err.text);
	free(bytes);
	json_decref(root);
}

void
zr_open(struct zr *r, const char *orders, unsigned max)
{
	static char word[] = "preloaded";
	static char *preload[] = {word, NULL};
	struct km_launch_zygote_config cfg = {
	    .lp = r->lp,
	    .reaper = r->reaper,
	    .prefix = "/nowhere/prefix",
	    .preload = preload,
	    .starting_max = max,
	    .boot_ms = r->boot_ms,
	    .reply_ms = r->reply_ms,
	    .retry_ms = r->retry_ms > 0 ? r->retry_ms : RETRY_MS,
	    .start_ms = r->start_ms > 0 ? r->start_ms : LONG_MS,
	};

	zr_turns(r); /* what the loop opens when it first runs */
	r->fds = run_count_fds();
	make_spec(r, orders);
	r->local = cfg.local = km_launch_local_new(r->lp, r->reaper, "/nowhere/prefix");
	r->launcher = km_launch_zygote_new(&cfg);
}

void
zr_open_loaded(struct zr *r, const char *orders, unsigned max)
{
	struct zj first, second;

	zr_open(r, orders, max);
	zr_start(r, &first, "exit 0"); /* by the local launcher */
	zr_start(r, &second, "exit 0");
	zr_wait_pid(&second);
	assert_string_equal(zr_by(&second), "zygote");
	assert_int_equal(zr_wait(&first), 0);
	assert_int_equal(zr_wait(&second), 0);
	zr_free(&first);
	zr_free(&second);
}

static void
on_exited(void *arg, int how)
{
	struct zj *j = arg;

	j->how = how;
	j->told_n++;
	assert_int_equal(zr_pid(j), 0);
	if (j->free_in_exited)
		zr_free(j);
}

int
zr_try(struct zr *r, struct zj *j, const char *script, json_t *more, const char *domain,
       struct err *err)
{
	json_t *env = json_pack("{s:s}", "SCRIPT", script);
	char file[64], id[16];
	const struct km_launch what = {.spec = r->spec,
	                               .connection_file = file,
	                               .kernel_id = id,
	                               .cwd = r->dir,
	                               .env = env,
	                               .domain = domain};
	static unsigned last;
	int rc;

	(void)snprintf(file, sizeof(file), "/run/%04u.json", ++last);
	(void)snprintf(id, sizeof(id), "k%07u", last);
	(void)json_object_update(env, more);
	json_decref(more);
	*j = (struct zj){.r = r, .how = ZR_NOT_YET};
	rc = r->launcher->ops->start(r->launcher, &what, on_exited, j, &j->job, err);
	r->jobs_n += rc == 0;
	json_decref(env);
	return rc;
}

void
zr_start(struct zr *r, struct zj *j, const char *script)
{
	struct err err = {""};

	if (zr_try(r, j, script, NULL, NULL, &err) != 0)
		fail_msg("%s", err.text);
}

void
zr_free(struct zj *j)
{
	j->r->jobs_n -= j->job != NULL;
	j->r->launcher->ops->free(j->job);
	j->job = NULL;
}

pid_t
zr_pid(const struct zj *j)
{
	return j->r->launcher->ops->pid(j->job);
}

const char *
zr_by(const struct zj *j)
{
	return j->r->launcher->ops->by(j->job);
}

const char *
zr_tail(const struct zj *j)
{
	return j->r->launcher->ops->stderr_tail(j->job);
}

void
zr_signal(const struct zj *j, int signum)
{
	j->r->launcher->ops->signal(j->job, signum);
}

void
zr_ready(const struct zj *j)
{
	j->r->launcher->ops->ready(j->job);
}

static bool
has_pid(void *arg)
{
	const struct zj *j = arg;

	return zr_pid(j) != 0 || j->told_n > 0;
}

void
zr_wait_pid(struct zj *j)
{
	assert_true(run_until(j->r->lp, has_pid, j));
}

static bool
has_exited(void *arg)
{
	return ((struct zj *)arg)->told_n > 0;
}

int
zr_wait(struct zj *j)
{
	assert_true(run_until(j->r->lp, has_exited, j));
	assert_int_equal(j->told_n, 1);
	return j->how;
}

static bool
counts_down(void *arg)
{
	unsigned *n = arg;

	return *n == 0 || --*n == 0;
}

void
zr_turns(struct zr *r)
{
	unsigned n = TURNS;

	assert_true(run_until(r->lp, counts_down, &n));
}

void
zr_go(struct zr *r)
{
	FILE *f = fopen(r->go, "we");

	assert_non_null(f);
	(void)fclose(f);
}

unsigned
zr_logged(const struct zr *r, const char *word)
{
	FILE *f = fopen(r->log, "re");
	char line[512];
	unsigned n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strncmp(line, word, strlen(word)) == 0;
	if (f != NULL)
		(void)fclose(f);
	return n;
}

/* What a wait is for. */
struct target {
	const struct zr *r;
	const char *word;
	unsigned n;
};

static bool
is_logged(void *arg)
{
	const struct target *t = arg;

	return zr_logged(t->r, t->word) >= t->n;
}

void
zr_wait_logged(struct zr *r, const char *word, unsigned n)
{
	struct target t = {.r = r, .word = word, .n = n};

	assert_true(run_until(r->lp, is_logged, &t));
}

static unsigned
zygotes(const struct zr *r)
{
	return r->launcher != NULL ? km_launch_zygote_count(r->launcher) : 0;
}

static bool
has_children(void *arg)
{
	const struct target *t = arg;

	return zr_children() == t->n + zygotes(t->r);
}

void
zr_wait_children(struct zr *r, unsigned n)
{
	struct target t = {.r = r, .n = n};

	if (!run_until(r->lp, has_children, &t))
		fail_msg("%u children and %u zygotes, not %u", zr_children() - zygotes(r),
		         zygotes(r), n);
}

static bool
has_zygotes(void *arg)
{
	const struct target *t = arg;

	return km_launch_zygote_count(t->r->launcher) == t->n;
}

void
zr_wait_zygotes(struct zr *r, unsigned n)
{
	struct target t = {.r = r, .n = n};

	if (!run_until(r->lp, has_zygotes, &t))
		fail_msg("%u zygotes, not %u", km_launch_zygote_count(r->launcher), n);
}
