/* Unit test of gateway/sandbox: what makes one, names, variables, the end of one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "tests/unit/paper_kernel.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static void
variables(void **state)
{
	static const struct {
		const char *json;
		int rc;
		const char *says;
	} cases[] = {
	    {"null", 0, ""},
	    {"{}", 0, ""},
	    {"{\"A\": \"1\", \"\xc3\xa9\": \"\"}", 0, ""},
	    {"[]", -EINVAL, "envs is not an object"},
	    {"\"A=1\"", -EINVAL, "envs is not an object"},
	    {"{\"A\": 1}", -EINVAL, "envs.A is not a string"},
	    {"{\"A\": null}", -EINVAL, "envs.A is not a string"},
	    {"{\"\": \"1\"}", -EINVAL, "cannot be a variable's name"},
	    {"{\"A=B\": \"1\"}", -EINVAL, "'A=B' cannot be a variable's name"},
	    {"{\"A\": \"x\\u0000y\"}", -EINVAL, "envs.A holds a NUL"},
	};

	(void)state;
	assert_int_equal(gw_env_check(NULL, "envs", NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *o = json_loads(cases[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		struct err err = {""};

		assert_non_null(o);
		assert_int_equal(gw_env_check(o, "envs", &err), cases[i].rc);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].json, err.text);
		json_decref(o);
	}
}

/* Each is looked for among those before it, on the loop: without a ceiling one request of some
 * megabytes would hold it for hours. */
static void
variables_have_ceilings(void **state)
{
	char name[GW_ENV_NAME_MAX + 2];
	json_t *o = json_object();
	struct err err;

	(void)state;
	memset(name, 'A', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	json_object_set_new(o, name, json_string(""));
	assert_int_equal(gw_env_check(o, "envs", &err), -EINVAL);
	assert_non_null(strstr(err.text, "at most 255 bytes"));
	json_object_clear(o);
	json_object_set_new(o, name + 1, json_string(""));
	for (int i = 1; i < GW_ENV_VARS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "A%d", i);
		json_object_set_new(o, name, json_string(""));
	}
	assert_int_equal(gw_env_check(o, "envs", &err), 0);
	json_object_set_new(o, "B", json_string(""));
	assert_int_equal(gw_env_check(o, "envs", &err), -EINVAL);
	assert_string_equal(err.text, "envs has more than 4096 variables");
	json_decref(o);
}

/* n bytes; owned by the caller. */
static char *
long_text(size_t n)
{
	char *s = mem_new(n + 1);

	memset(s, 'x', n);
	return s;
}

/* Lists repeat what a client says of its sandboxes. */
static void
sandboxes_have_ceilings(void **state)
{
	struct rig *r = rig_ready();
	char *label = long_text(GW_SANDBOX_LABELS_MAX);
	char *var = long_text(GW_SANDBOX_ENV_MAX);
	char *name = long_text(GW_SANDBOX_NAME_MAX + 1);
	json_t *labels = json_pack("{s:s}", "A", label);
	json_t *env = json_pack("{s:s}", "A", var);
	struct gw_sandbox_request cases[] = {
	    {.labels = labels}, {.env = env}, {.name = name}, {.image = name}};
	static const char *const says[] = {
	    "labels has more than 65536 bytes", "env has more than 1048576 bytes",
	    "name has more than 1024 bytes", "image has more than 1024 bytes"};
	struct gw_sandbox *sb;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(gw_sandbox_new(r->core, &cases[i], &sb, &err), -EINVAL);
		assert_string_equal(err.text, says[i]);
	}
	json_object_set_new(labels, "A", json_string(label + 1));
	json_object_set_new(env, "A", json_string(var + 1));
	cases[0] = (struct gw_sandbox_request){
	    .labels = labels, .env = env, .name = name + 1, .image = name + 1};
	assert_int_equal(gw_sandbox_new(r->core, &cases[0], &sb, &err), 0);
	json_decref(labels);
	json_decref(env);
	mem_free(label);
	mem_free(var);
	mem_free(name);
	rig_free(r);
}

static void
a_sandbox_gives_its_kernels_home_and_variables(void **state)
{
	struct rig *r = rig_ready();
	json_t *env = json_pack("{s:s}", "A", "1");
	const struct gw_sandbox_request rq = {.name = "mine", .env = env, .labels = env};
	struct gw_sandbox *sb;
	struct gw_ctx *c;
	struct stat st;
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	json_object_set_new(env, "A", json_string("changed later"));
	json_decref(env);
	assert_ptr_equal(gw_sandbox_find(r->core, "mine"), sb);
	assert_ptr_equal(gw_sandbox_find(r->core, sb->id.id), sb);
	assert_null(gw_sandbox_find(r->core, "yours"));
	assert_string_equal(json_string_value(json_object_get(sb->labels, "A")), "1");
	assert_int_equal(stat(sb->home, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(gw_ctx_default(sb, "python", &c, &err), 0);
	assert_string_equal(json_string_value(json_object_get(paper_newest()->env, "A")), "1");
	assert_string_equal(paper_newest()->cwd, sb->home);
	assert_null(gw_ctx_find(r->sandbox, gw_ctx_id(c))); /* it is in the other one */
	assert_ptr_equal(gw_ctx_find_any(r->core, gw_ctx_id(c)), c);
	rig_free(r);
}

static void
what_is_refused(void **state)
{
	struct rig *r = rig_ready();
	json_t *bad = json_pack("{s:i}", "A", 1);
	struct gw_sandbox_request rq = {.name = "one"};
	struct gw_sandbox *sb;
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), -EEXIST);
	rq.name = sb->id.id; /* another one's id */
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), -EEXIST);
	rq.name = GW_SANDBOX_DEFAULT;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), -EEXIST);
	rq.name = "two";
	rq.env = bad;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), -EINVAL);
	assert_non_null(strstr(err.text, "env.A"));
	rq.env = NULL;
	rq.labels = bad;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), -EINVAL);
	assert_non_null(strstr(err.text, "labels.A"));
	rq.labels = NULL;
	r->cfg->max_sandboxes = 2;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), -EBUSY);
	assert_non_null(strstr(err.text, "max_sandboxes"));
	assert_int_equal(gw_metric[GW_M_SANDBOXES], 2);
	json_decref(bad);
	rig_free(r);
}

static bool
is_gone(void *arg)
{
	struct stat st;

	return stat(arg, &st) != 0;
}

static void
deletion_takes_everything(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_sandbox_request rq = {.name = "mine"};
	struct tape *t = tape_new();
	struct gw_sandbox *sb;
	struct gw_ctx *c;
	struct err err;
	char home[512];

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	assert_int_equal(gw_ctx_new(sb, &(struct gw_ctx_request){.cwd = NULL}, &c, &err), 0);
	(void)rig_exec(c, "1", t);
	(void)snprintf(home, sizeof(home), "%s", sb->home);
	gw_sandbox_delete(sb, "sandbox deleted");
	assert_null(gw_sandbox_find(r->core, "mine"));
	rig_settle(r);
	assert_false(is_gone(home)); /* its kernel has not ended */
	while (paper_obey())
		rig_settle(r);
	assert_true(run_until(r->lp, is_gone, home));
	assert_string_equal(tape_text(t), "1 accepted 0|2 done aborted: sandbox deleted");
	tape_free(t);
	rig_free(r);
}

struct brief {
	struct rig *r;
	const char *home;
};

static bool
has_ended(void *arg)
{
	const struct brief *b = arg;
	struct stat st;

	(void)paper_obey();
	return gw_sandbox_find(b->r->core, "brief") == NULL && stat(b->home, &st) != 0;
}

static bool
has_paused(void *arg)
{
	return ((const struct gw_sandbox *)arg)->paused;
}

static void
a_paused_sandbox_keeps_its_time(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_sandbox_request rq = {.timeout_ms = 86400000, .pauses = true};
	struct gw_sandbox *sb;
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	gw_sandbox_pause(sb);
	assert_in_range(sb->left_ms, 86400000 - 60000, 86400000);
	gw_sandbox_pause(sb); /* changes nothing */
	assert_in_range(sb->left_ms, 86400000 - 60000, 86400000);
	gw_sandbox_resume(sb, sb->left_ms);
	assert_non_null(sb->expiry);
	assert_true(sb->ends[0] != '\0');

	gw_sandbox_set_timeout(sb, 0);
	gw_sandbox_pause(sb);
	assert_int_equal(sb->left_ms, 0);
	gw_sandbox_resume(sb, sb->left_ms);
	assert_null(sb->expiry);

	gw_sandbox_set_timeout(sb, 2); /* it is over: next time it has as much again */
	assert_true(run_until(r->lp, has_paused, sb));
	assert_int_equal(sb->left_ms, 2);
	rig_free(r);
}

static void
a_sandbox_ends_when_its_time_has_come(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_sandbox_request rq = {
	    .name = "brief", .image = "i", .timeout_ms = 86400000};
	struct gw_sandbox *sb;
	struct gw_ctx *c;
	struct err err;
	char *home;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	assert_string_equal(sb->image, "i");
	assert_true(strcmp(sb->ends, sb->created) > 0);
	home = mem_strdup(sb->home);
	gw_sandbox_pause(sb);
	assert_string_equal(sb->ends, "");
	assert_int_equal(gw_ctx_default(sb, NULL, &c, &err), -EINVAL);
	assert_non_null(strstr(err.text, "paused"));
	gw_sandbox_resume(sb, 0);
	assert_string_equal(sb->ends, "");
	assert_int_equal(gw_ctx_default(sb, NULL, &c, &err), 0);
	gw_sandbox_set_timeout(sb, UINT64_MAX);
	assert_string_equal(sb->ends, "9999-12-31T23:59:59.999Z");
	gw_sandbox_set_timeout(sb, 1);
	assert_true(run_until(r->lp, has_ended, &(struct brief){r, home}));
	mem_free(home);
	gw_sandbox_set_timeout(r->sandbox, 1);
	assert_null(r->sandbox->expiry);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(variables),
	    cmocka_unit_test(variables_have_ceilings),
	    cmocka_unit_test(sandboxes_have_ceilings),
	    cmocka_unit_test(a_sandbox_gives_its_kernels_home_and_variables),
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(deletion_takes_everything),
	    cmocka_unit_test(a_paused_sandbox_keeps_its_time),
	    cmocka_unit_test(a_sandbox_ends_when_its_time_has_come),
	};

	return cmocka_run_group_tests_name("gw/sandbox", tests, NULL, NULL);
}
