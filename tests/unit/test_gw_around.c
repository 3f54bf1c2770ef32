/* tests/unit/test_gw_around.c - variables and a directory of one run, in kernels that need code
 * of ours for it; late output; an exit that ends the kernel. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/context.h"
#include "gateway/exec.h"
#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "tests/unit/paper_kernel.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static const char languages[] =
    "{\"python\": {\"kernelspec\": \"python3\"},"
    " \"zed\": {\"exit\": \"kernel\", \"enter\": \"in {each}{cd}\","
    " \"enter_each\": \"{name}={value} \", \"enter_cd\": \"cd {path}\","
    " \"leave\": \"out {each}{cd}\", \"leave_each\": \"{name} \", \"leave_cd\": \"cd {path}\"},"
    " \"mark\": {\"flush\": \"{mark}\", \"enter\": \"in\", \"enter_each\": \"{name}\","
    " \"leave\": \"out\"},"
    " \"dumb\": {}}";

struct stage {
	struct rig *r;
	char *file;
	struct gw_ctx *ctx;
	struct km_kernel *k;
	struct tape *t;
	json_t *envs;
};

/* A context of language, whose kernel is ready; ours is the kernelspec's metadata.kernelbridge. */
static struct stage
stage_with(const char *language, const char *ours)
{
	struct stage s = {.t = tape_new()};
	char *dir = run_tmpdir();
	char path[512];
	struct err err;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/languages.json", dir);
	s.file = dir;
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs(languages, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(setenv("KERNELBRIDGE_LANGUAGES_FILE", path, 1), 0);
	s.r = rig_ready();
	assert_int_equal(unsetenv("KERNELBRIDGE_LANGUAGES_FILE"), 0);
	(void)snprintf(
	    path, sizeof(path),
	    "{\"argv\": [\"x\"], \"language\": \"%s\", \"metadata\": {\"kernelbridge\": %s}}",
	    language, ours);
	rig_spec(s.r, language, path);
	assert_int_equal(gw_ctx_new(s.r->sandbox,
	                            &(struct gw_ctx_request){.language = language, .cwd = "/"},
	                            &s.ctx, &err),
	                 0);
	s.k = paper_newest();
	paper_ready(s.k);
	rig_settle(s.r);
	s.envs = json_pack("{s:s}", "A", "1");
	return s;
}

static struct stage
stage_new(const char *language)
{
	return stage_with(language, "{}");
}

static void
stage_free(struct stage *s)
{
	tape_free(s->t);
	json_decref(s->envs);
	rig_free(s->r);
	run_remove(s->file);
}

static struct gw_exec *
run(struct stage *s, const json_t *envs, const char *cwd, struct tape *t)
{
	const struct gw_exec_request rq = {
	    .code = "code", .code_len = 4, .envs = envs, .cwd = cwd};
	struct gw_exec *ex = rig_exec_with(s->ctx, &rq, t);

	rig_settle(s->r);
	return ex;
}

static const char *
sent(const struct stage *s)
{
	return json_string_value(json_object_get(s->k->content, "code"));
}

static void
end(struct stage *s, const char *status)
{
	paper_finish(s->k, status);
	rig_settle(s->r);
}

static void
set_run_and_taken_back(void **state)
{
	struct stage s = stage_new("zed");

	(void)state;
	(void)run(&s, s.envs, "/tmp", s.t);
	assert_string_equal(sent(&s), "in \"A\"=\"1\" cd \"/tmp\"");
	assert_true(json_is_true(json_object_get(s.k->content, "silent")));
	assert_null(s.k->metadata);
	paper_print(s.k, "noise");
	end(&s, "ok");
	assert_string_equal(sent(&s), "code");
	assert_null(s.k->metadata);
	paper_input(s.k, 3);
	paper_print(s.k, "hi");
	end(&s, "ok");
	assert_string_equal(sent(&s), "out \"A\" cd \"/\"");
	paper_print(s.k, "more noise");
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 started 1|3 stdout hi");
	end(&s, "ok");
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 started 1|3 stdout hi|4 done ok");
	assert_int_equal(s.k->executes_n, 3);
	stage_free(&s);
}

static void
a_plain_run_is_one_request(void **state)
{
	struct stage s = stage_new("zed");

	(void)state;
	(void)run(&s, NULL, NULL, s.t);
	assert_string_equal(sent(&s), "code");
	end(&s, "ok");
	assert_int_equal(s.k->executes_n, 1);
	assert_int_equal(s.t->done_n, 1);
	stage_free(&s);
}

/* A kernel that counts what we ask for as well. */
static void
counts_are_the_clients(void **state)
{
	struct stage s = stage_new("zed");
	struct tape *second = tape_new();

	(void)state;
	(void)run(&s, s.envs, NULL, s.t);
	paper_input(s.k, 1);
	end(&s, "ok");
	paper_input(s.k, 2);
	end(&s, "ok");
	paper_input(s.k, 3);
	end(&s, "ok");
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 started 1|3 done ok");
	(void)run(&s, NULL, NULL, second);
	paper_input(s.k, 4);
	end(&s, "ok");
	assert_string_equal(tape_text(second), "1 accepted 0|2 started 2|3 done ok");
	tape_free(second);
	stage_free(&s);
}

static void
what_cannot_be_set_fails_the_run(void **state)
{
	struct stage s = stage_new("zed");

	(void)state;
	(void)run(&s, s.envs, NULL, s.t);
	paper_say(s.k, "error",
	          json_pack("{s:s, s:s, s:[]}", "ename", "E", "evalue", "no", "traceback"),
	          NULL);
	end(&s, "error");
	assert_string_equal(sent(&s), "out \"A\" "); /* what was set is taken back */
	end(&s, "ok");
	assert_int_equal(s.k->executes_n, 2);
	assert_int_equal(s.t->how, GW_DONE_ERROR);
	assert_non_null(strstr(tape_text(s.t), "error E: no"));
	stage_free(&s);
}

static void
a_language_that_cannot_says_so(void **state)
{
	struct stage s = stage_new("dumb");

	(void)state;
	(void)run(&s, s.envs, NULL, s.t);
	assert_int_equal(s.k->executes_n, 0);
	assert_int_equal(s.t->how, GW_DONE_ERROR);
	assert_non_null(strstr(tape_text(s.t), "error NotSupported"));
	stage_free(&s);
}

static void
an_unknown_kernelspec_says_so(void **state)
{
	struct stage s = stage_new("stranger");

	(void)state;
	(void)run(&s, s.envs, NULL, s.t);
	assert_int_equal(s.k->executes_n, 0);
	assert_int_equal(s.t->how, GW_DONE_ERROR);
	assert_non_null(strstr(tape_text(s.t), "stranger"));
	stage_free(&s);
}

/* A stop before the code, and one after it: both leave what was there. */
static void
stopped_at_each_step(void **state)
{
	struct stage s = stage_new("zed");
	struct tape *second = tape_new();
	struct gw_exec *ex = run(&s, s.envs, NULL, s.t);

	(void)state;
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	rig_settle(s.r);
	assert_true(s.k->interrupts_n > 0);
	end(&s, "ok");
	assert_string_equal(sent(&s), "out \"A\" ");
	end(&s, "ok");
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 done interrupted");

	ex = run(&s, s.envs, NULL, second);
	end(&s, "ok");
	end(&s, "ok");
	assert_string_equal(sent(&s), "out \"A\" ");
	s.k->interrupts_n = 0;
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	rig_settle(s.r);
	assert_int_equal(s.k->interrupts_n, 0);
	end(&s, "ok");
	assert_int_equal(second->how, GW_DONE_OK);
	tape_free(second);
	stage_free(&s);
}

static void
a_kernel_that_dies_meanwhile(void **state)
{
	struct stage s = stage_new("zed");

	(void)state;
	(void)run(&s, s.envs, NULL, s.t);
	end(&s, "ok");
	end(&s, "error");
	paper_die(s.k, "signal 9");
	rig_settle(s.r);
	assert_int_equal(s.t->done_n, 1);
	assert_int_equal(s.t->how, GW_DONE_ERROR); /* as the code ended */
	stage_free(&s);
}

static void
one_that_hangs_is_killed(void **state)
{
	struct stage s = stage_new("zed");

	(void)state;
	s.r->cfg->interrupt_grace_ms = 1;
	(void)run(&s, s.envs, NULL, s.t);
	end(&s, "ok");
	end(&s, "ok");
	rig_wait_n(s.r, &s.k->kills_n, 1);
	paper_die(s.k, "signal 9");
	rig_settle(s.r);
	assert_int_equal(s.t->how, GW_DONE_OK);
	stage_free(&s);
}

/* What the kernel is to print, as it prints it, after some output. */
static const char *
mark_after(const struct stage *s, const char *output)
{
	static char text[128];
	const char *code = sent(s); /* a literal */

	(void)snprintf(text, sizeof(text), "%s%.*s\n", output, (int)strlen(code) - 2, code + 1);
	return text;
}

static void
all_before_the_mark_is_its_own(void **state)
{
	struct stage s = stage_new("mark");

	(void)state;
	(void)run(&s, s.envs, NULL, s.t);
	end(&s, "ok");
	end(&s, "error");
	assert_int_equal(strlen(sent(&s)), 36 + 2);
	paper_print(s.k, "a");
	paper_print(s.k, mark_after(&s, "b"));
	paper_print(s.k, "c"); /* the mark does not end it before the reply */
	assert_string_equal(sent(&s) + 37, "\"");
	end(&s, "ok");
	assert_string_equal(sent(&s), "out");
	end(&s, "ok");
	assert_string_equal(
	    tape_text(s.t),
	    "1 accepted 0|2 error Interrupt: stop []|3 stdout abc|4 done error");
	assert_int_equal(s.k->executes_n, 4);
	stage_free(&s);
}

static void
a_kernel_that_is_complete_needs_no_mark(void **state)
{
	struct stage s = stage_with("mark", "{\"complete\": true}");

	(void)state;
	(void)run(&s, NULL, NULL, s.t);
	end(&s, "ok");
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 done ok");
	assert_int_equal(s.k->executes_n, 1);
	stage_free(&s);
}

static void
a_mark_may_come_after_its_idle(void **state)
{
	struct stage s = stage_new("mark");
	struct gw_exec *ex = run(&s, NULL, NULL, s.t);
	json_t *content = json_pack("{s:s, s:s}", "name", "stdout", "text", "late");
	struct wire_msg m = {.type = "stream", .content = content};

	(void)state;
	end(&s, "ok");
	end(&s, "ok");
	assert_int_equal(s.t->done_n, 0);
	m.parent_id = ex->flush_id;
	s.k->ops.stray(s.k->arg, &m);
	json_object_set_new(content, "text", json_string(mark_after(&s, "")));
	s.k->ops.stray(s.k->arg, &m);
	rig_settle(s.r);
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 stdout late|3 done ok");
	json_decref(content);
	stage_free(&s);
}

static void
a_kernel_that_prints_no_mark(void **state)
{
	struct stage s = stage_new("mark");

	(void)state;
	s.r->cfg->interrupt_grace_ms = 1;
	(void)run(&s, NULL, NULL, s.t);
	end(&s, "ok");
	rig_wait_n(s.r, &s.k->kills_n, 1); /* nor replies */
	paper_die(s.k, "signal 9");
	rig_settle(s.r);
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 done ok");
	stage_free(&s);
}

static void
an_exit_is_no_crash(void **state)
{
	struct stage s = stage_new("zed");

	(void)state;
	(void)run(&s, NULL, NULL, s.t);
	s.k->exit_code = 3;
	paper_die(s.k, "exit code 3");
	rig_settle(s.r);
	assert_int_equal(s.t->how, GW_DONE_ERROR);
	assert_non_null(strstr(tape_text(s.t), "error SystemExit: 3"));
	stage_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(set_run_and_taken_back),
	    cmocka_unit_test(a_plain_run_is_one_request),
	    cmocka_unit_test(counts_are_the_clients),
	    cmocka_unit_test(what_cannot_be_set_fails_the_run),
	    cmocka_unit_test(a_language_that_cannot_says_so),
	    cmocka_unit_test(an_unknown_kernelspec_says_so),
	    cmocka_unit_test(stopped_at_each_step),
	    cmocka_unit_test(a_kernel_that_dies_meanwhile),
	    cmocka_unit_test(one_that_hangs_is_killed),
	    cmocka_unit_test(all_before_the_mark_is_its_own),
	    cmocka_unit_test(a_kernel_that_is_complete_needs_no_mark),
	    cmocka_unit_test(a_mark_may_come_after_its_idle),
	    cmocka_unit_test(a_kernel_that_prints_no_mark),
	    cmocka_unit_test(an_exit_is_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
