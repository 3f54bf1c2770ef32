/* tests/fake/fake_script.c - the commands of a script; fake_kernel.c documents them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/fake.h"
#include "wire/base/mem.h"

#define FLOOD_PIECE 65536

#define STDIN       (1U << WIRE_STDIN)

typedef bool command_fn(struct fake *f, const char *arg); /* false ends the script */

/* The script ends with an error. */
static bool
fail(struct fake *f, const char *name, const char *value)
{
	f->status = "error";
	f->ename = mem_strdup(name);
	f->evalue = mem_strdup(value);
	f->interrupted = 0;
	fake_publish_always(f, f->run, "error",
	                    json_pack("{s:s,s:s,s:[s,s++]}", "ename", name, "evalue", value,
	                              "traceback", "Traceback (most recent call last):", name,
	                              ": ", value));
	return false;
}

static bool
go_on(struct fake *f, bool ok)
{
	return ok || fail(f, "KeyboardInterrupt", "");
}

static bool
do_print(struct fake *f, const char *arg)
{
	return go_on(f, fake_stream(f, "stdout", arg, "\n", 0));
}

static bool
do_stderr(struct fake *f, const char *arg)
{
	return go_on(f, fake_stream(f, "stderr", arg, "\n", 0));
}

static bool
do_flood(struct fake *f, const char *arg)
{
	unsigned long long left = strtoull(arg, NULL, 10);
	char *piece = mem_new(FLOOD_PIECE + 1);
	bool ok = true;

	while (ok && left > 0) {
		size_t n = left < FLOOD_PIECE ? (size_t)left : FLOOD_PIECE;

		for (size_t i = 0; i < n; i++)
			piece[i] = i % 64 == 63 ? '\n' : 'x';
		piece[n] = '\0';
		ok = fake_stream(f, "stdout", piece, "", 0);
		left -= n;
	}
	mem_free(piece);
	return go_on(f, ok);
}

static bool
show(struct fake *f, const char *type, const char *id, const char *text)
{
	return fake_publish(f, f->run, type,
	                    json_pack("{s:{s:s},s:{},s:{s:s}}", "data", "text/plain", text,
	                              "metadata", "transient", "display_id", id));
}

static bool
do_display(struct fake *f, const char *arg)
{
	long n = strtol(arg, NULL, 10);
	bool ok = true;

	for (long i = 1; ok && i <= n; i++) {
		char id[24];

		(void)snprintf(id, sizeof(id), "%ld", i);
		ok = show(f, "display_data", id, id);
	}
	return go_on(f, ok);
}

static bool
do_update(struct fake *f, const char *arg)
{
	size_t len = strcspn(arg, " ");
	char id[64];

	(void)snprintf(id, sizeof(id), "%.*s", (int)len, arg);
	return go_on(f, show(f, "update_display_data", id, arg + len + (arg[len] == ' ')));
}

static bool
do_clear(struct fake *f, const char *arg)
{
	(void)arg;
	return go_on(f, fake_publish(f, f->run, "clear_output", json_pack("{s:b}", "wait", 1)));
}

static bool
do_result(struct fake *f, const char *arg)
{
	return go_on(f,
	             fake_publish(f, f->run, "execute_result",
	                          json_pack("{s:i,s:{s:s},s:{}}", "execution_count", f->count,
	                                    "data", "text/plain", arg, "metadata")));
}

static bool
do_error(struct fake *f, const char *arg)
{
	size_t len = strcspn(arg, " ");
	char name[128];

	(void)snprintf(name, sizeof(name), "%.*s", (int)len, arg);
	return fail(f, name, arg + len + (arg[len] == ' '));
}

static bool
do_sleep(struct fake *f, const char *arg)
{
	uint64_t end = fake_now_ms() + (uint64_t)strtoull(arg, NULL, 10);
	bool ok = !f->interrupted;

	while (ok && fake_now_ms() < end)
		ok = fake_tick(f);
	return go_on(f, ok);
}

static bool
do_hang(struct fake *f, const char *arg)
{
	(void)arg;
	while (fake_tick(f))
		;
	return go_on(f, false);
}

static bool
do_deaf(struct fake *f, const char *arg)
{
	(void)arg;
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	while (true)
		(void)fake_tick(f);
	return false;
}

static bool
do_exit(struct fake *f, const char *arg)
{
	fake_wire_close(f->w);
	_exit((int)strtol(arg, NULL, 10));
}

static bool
do_die(struct fake *f, const char *arg)
{
	int signum = (int)strtol(arg, NULL, 10);

	fake_wire_close(f->w);
	(void)signal(signum, SIG_DFL);
	(void)raise(signum);
	_exit(101);
}

static bool
ask(struct fake *f, const char *prompt, bool password)
{
	json_t *content = json_pack("{s:s,s:b}", "prompt", prompt, "password", password);
	char *text = json_dumps(content, JSON_COMPACT);
	struct fake_request *answer = NULL;
	const char *value;
	bool ok = true;

	if (!json_is_true(json_object_get(f->run->content, "allow_stdin")))
		ok = fail(f, "StdinNotImplementedError", "raw_input was called");
	else
		fake_wire_answer(f->w, f->run, WIRE_STDIN, "input_request", text);
	while (ok && answer == NULL) {
		if (!fake_tick(f))
			ok = go_on(f, false);
		else if ((fake_wire_wait(f->w, STDIN, 0) & STDIN) != 0)
			answer = fake_wire_receive(f->w, WIRE_STDIN);
	}
	if (ok) {
		value = json_string_value(json_object_get(answer->content, "value"));
		ok = do_print(f, value != NULL ? value : "");
	}
	fake_request_free(answer);
	json_decref(content);
	free(text);
	return ok;
}

static bool
do_input(struct fake *f, const char *arg)
{
	return ask(f, arg, false);
}

static bool
do_password(struct fake *f, const char *arg)
{
	return ask(f, arg, true);
}

static bool
do_env(struct fake *f, const char *arg)
{
	json_t *ours = json_object_get(f->run->metadata, "kernelbridge");
	const char *value =
	    json_string_value(json_object_get(json_object_get(ours, "env"), arg));

	if (value == NULL)
		value = getenv(arg); /* NOLINT(concurrency-mt-unsafe): nothing sets any */
	return do_print(f, value != NULL ? value : "");
}

static bool
do_touch(struct fake *f, const char *arg)
{
	FILE *file = fopen(arg, "w");

	if (file == NULL || fclose(file) != 0)
		return fail(f, "OSError", arg);
	return true;
}

static bool
do_wait(struct fake *f, const char *arg)
{
	bool ok = !f->interrupted;

	while (ok && access(arg, F_OK) != 0)
		ok = fake_tick(f);
	return go_on(f, ok);
}

static bool
do_badsig(struct fake *f, const char *arg)
{
	(void)arg;
	return go_on(f, fake_stream(f, "stdout", "badsig", "\n", FAKE_BAD_SIGNATURE));
}

static bool
do_dupsig(struct fake *f, const char *arg)
{
	(void)arg;
	return go_on(f, fake_stream(f, "stdout", "dupsig", "\n", FAKE_TWICE));
}

static bool
do_noparent(struct fake *f, const char *arg)
{
	(void)arg;
	return go_on(f, fake_stream(f, "stdout", "noparent", "\n", FAKE_NO_PARENT));
}

static bool
do_badutf8(struct fake *f, const char *arg)
{
	static const char text[] = "{\"name\": \"stdout\", \"text\": \"bad\x80utf8\\n\"}";

	(void)arg;
	return go_on(f, fake_publish_bytes(f, f->run, "stream", text, sizeof(text) - 1, 0));
}

static const struct {
	const char *word;
	command_fn *fn;
} commands[] = {
    {"print", do_print},     {"stderr", do_stderr}, {"flood", do_flood},
    {"display", do_display}, {"update", do_update}, {"clear", do_clear},
    {"result", do_result},   {"error", do_error},   {"sleep", do_sleep},
    {"hang", do_hang},       {"deaf", do_deaf},     {"exit", do_exit},
    {"die", do_die},         {"input", do_input},   {"password", do_password},
    {"env", do_env},         {"touch", do_touch},   {"wait", do_wait},
    {"badsig", do_badsig},   {"dupsig", do_dupsig}, {"noparent", do_noparent},
    {"badutf8", do_badutf8},
};

/* A word about the end of the execution.  Returns false if it is none. */
static bool
is_about_end(struct fake *f, const char *word, const char *arg)
{
	const struct {
		const char *word;
		bool *flag;
	} flags[] = {
	    {"reply-first", &f->reply_first},
	    {"idle-first", &f->idle_first},
	    {"noreply", &f->noreply},
	    {"noidle", &f->noidle},
	    {"traceback-string", &f->traceback_string},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (strcmp(word, flags[i].word) == 0)
			return *flags[i].flag = true;
	if (strcmp(word, "late") == 0)
		(void)snprintf(f->late, sizeof(f->late), "%s", arg);
	else if (strcmp(word, "aborted") == 0)
		f->status = "aborted";
	else
		return false;
	return true;
}

/* Run one line, or only look for words about the end. */
static bool
run_line(struct fake *f, const char *line, bool only_look)
{
	size_t len = strcspn(line, " ");
	char word[32];
	const char *arg = line + len + (line[len] == ' ');

	(void)snprintf(word, sizeof(word), "%.*s", (int)len, line);
	if (is_about_end(f, word, arg) || only_look || len == 0)
		return true;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(word, commands[i].word) == 0)
			return commands[i].fn(f, arg);
	return fail(f, "SyntaxError", line);
}

static void
run_script(struct fake *f, const char *code, bool only_look)
{
	char *copy = mem_strdup(code), *line = copy;
	bool ok = true;

	while (ok && line != NULL) {
		char *next = strchr(line, '\n');

		if (next != NULL)
			*next++ = '\0';
		ok = run_line(f, line, only_look);
		line = next;
	}
	mem_free(copy);
}

void
fake_script_look(struct fake *f, const char *code)
{
	run_script(f, code, true);
}

void
fake_script_run(struct fake *f, const char *code)
{
	run_script(f, code, false);
}
