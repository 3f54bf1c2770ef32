/* Unit test of wire/base/log and wire/base/err: the lines, byte for byte. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire/base/err.h"
#include "wire/base/log.h"

#define STAMP_LEN 24 /* 2026-11-21T10:09:56.497Z */

static const struct log_id ctx = {"ctx", "7f3a"};

struct capture {
	int pipe[2];
	int real;
	char text[16384];
};

static void
begin(struct capture *c)
{
	assert_int_equal(pipe(c->pipe), 0);
	c->real = dup(STDERR_FILENO);
	assert_true(dup2(c->pipe[1], STDERR_FILENO) >= 0);
}

/* What was written since begin(), as a string. */
static const char *
end(struct capture *c)
{
	ssize_t n;

	assert_true(dup2(c->real, STDERR_FILENO) >= 0);
	close(c->real);
	close(c->pipe[1]);
	n = read(c->pipe[0], c->text, sizeof(c->text) - 1);
	close(c->pipe[0]);
	assert_true(n >= 0);
	c->text[n] = '\0';
	return c->text;
}

/* The line at *text without its time, and go on to the next. */
static const char *
next_line(const char **text)
{
	static char line[256];
	const char *end = strchr(*text, '\n');

	assert_non_null(end);
	(void)snprintf(line, sizeof(line), "%.*s", (int)(end - *text - STAMP_LEN),
	               *text + STAMP_LEN);
	*text = end + 1;
	return line;
}

static void
text_lines(void **state)
{
	(void)state;
	static struct capture c;
	const char *line;

	log_setup(LOG_INFO, false);
	begin(&c);
	errno = ENOENT;
	log_info(&ctx, "ready after %d ms", 12);
	assert_int_equal(errno, ENOENT);
	line = end(&c);
	assert_int_equal(line[10], 'T');
	assert_int_equal(line[STAMP_LEN - 1], 'Z');
	assert_string_equal(line + STAMP_LEN, " info  ctx=7f3a ready after 12 ms\n");

	begin(&c);
	log_error(NULL, "two\nlines\x1b[31m");
	assert_string_equal(end(&c) + STAMP_LEN, " error two\\x0alines\\x1b[31m\n");
}

static void
levels_drop_lines(void **state)
{
	(void)state;
	static struct capture c;

	log_setup(LOG_WARN, false);
	begin(&c);
	log_info(NULL, "unseen");
	log_debug(NULL, "unseen");
	log_warn(NULL, "seen");
	assert_string_equal(end(&c) + STAMP_LEN, " warn  seen\n");
	assert_int_equal(log_level_parse("error"), LOG_ERROR);
	assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
	assert_int_equal(log_level_parse("DEBUG"), -EINVAL);
	assert_int_equal(log_level_parse(""), -EINVAL);
}

static void
json_lines(void **state)
{
	(void)state;
	static struct capture c;
	const char *line;

	log_setup(LOG_DEBUG, true);
	begin(&c);
	log_debug(&ctx, "a \"b\" \\ \n \xc3\xa9 \x80 end");
	line = end(&c);
	assert_memory_equal(line, "{\"time\":\"", 9);
	assert_string_equal(line + 9 + STAMP_LEN,
	                    "\",\"level\":\"debug\",\"ctx\":\"7f3a\","
	                    "\"msg\":\"a \\\"b\\\" \\\\ \\u000a \xc3\xa9 \\ufffd end\"}\n");
	begin(&c);
	log_error(NULL, "x");
	assert_string_equal(end(&c) + 9 + STAMP_LEN, "\",\"level\":\"error\",\"msg\":\"x\"}\n");
}

static void
long_sentences_are_cut(void **state)
{
	(void)state;
	static struct capture c;
	static char huge[5000], worst[2000];
	size_t len;

	memset(huge, 'a', sizeof(huge) - 1);
	memset(worst, '\x01', sizeof(worst) - 1);
	log_setup(LOG_INFO, false);
	begin(&c);
	log_info(NULL, "%s", huge);
	len = strlen(end(&c));
	assert_true(len < 1100);
	assert_string_equal(c.text + len - 5, "a...\n");

	log_setup(LOG_INFO, true);
	begin(&c);
	log_info(NULL, "%s", worst);
	len = strlen(end(&c));
	assert_string_equal(c.text + len - 12, "\\u0001...\"}\n");
}

static void
safe_text(void **state)
{
	(void)state;
	char buf[LOG_SAFE_MAX], all[65];

	assert_string_equal(log_safe("plain text", 10, buf), "plain text");
	assert_string_equal(log_safe("a\0\n\\\xff", 5, buf), "a\\x00\\x0a\\x5c\\xff");
	assert_string_equal(log_safe("", 0, buf), "");
	memset(all, '\xff', sizeof(all));
	assert_int_equal(strlen(log_safe(all, 64, buf)), 64 * 4);
	memset(all, 'a', sizeof(all));
	assert_int_equal(strlen(log_safe(all, 65, buf)), 64 + 3);
	assert_string_equal(buf + 63, "a...");
}

static void
err_says_and_returns(void **state)
{
	(void)state;
	struct err e;
	char huge[400];

	assert_int_equal(err_set(&e, -EINVAL, "port %d", 7), -EINVAL);
	assert_string_equal(e.text, "port 7");
	assert_int_equal(err_set(NULL, -EIO, "nobody"), -EIO);
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(err_set(&e, -EIO, "%s", huge), -EIO);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

/* A full pipe: nothing waits for its reader, who is told afterwards how much is missing. */
static void
nobody_reads(void **state)
{
	(void)state;
	static struct capture c;
	static char full[1 << 20];
	const char *line;
	int flags;

	log_setup(LOG_INFO, false);
	begin(&c);
	flags = fcntl(c.pipe[1], F_GETFL);
	assert_int_equal(fcntl(c.pipe[1], F_SETFL, flags | O_NONBLOCK), 0);
	assert_true(write(c.pipe[1], full, sizeof(full)) > 0);
	assert_int_equal(fcntl(c.pipe[1], F_SETFL, flags), 0);
	for (int i = 0; i < 3; i++)
		log_info(&ctx, "for nobody");
	assert_true(read(c.pipe[0], full, sizeof(full)) > 0);
	log_info(&ctx, "for somebody");
	log_info(&ctx, "and again");
	line = end(&c);
	assert_string_equal(next_line(&line), " warn  nobody read stderr: lines lost=3");
	assert_string_equal(next_line(&line), " info  ctx=7f3a for somebody");
	assert_string_equal(next_line(&line), " info  ctx=7f3a and again");
	assert_string_equal(line, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_lines),   cmocka_unit_test(levels_drop_lines),
	    cmocka_unit_test(json_lines),   cmocka_unit_test(long_sentences_are_cut),
	    cmocka_unit_test(safe_text),    cmocka_unit_test(err_says_and_returns),
	    cmocka_unit_test(nobody_reads),
	};

	return cmocka_run_group_tests_name("wire/base/log", tests, NULL, NULL);
}
