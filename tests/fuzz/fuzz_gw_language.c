/* tests/fuzz/fuzz_gw_language.c - a language table, and the literals that a run's values become.
 *
 * Input: a byte; even: the rest is a table; odd: a name, a newline, a value, quoted in both ways,
 * which must read back as they were and stay on one line.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/language.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/utf8.h"

static const char two[] = "{\"json\": {\"enter\": \"{each}\", \"enter_each\": \"{value}\","
			  " \"leave\": \"{each}\", \"leave_each\": \"{name}\"},"
			  " \"ansi\": {\"quote\": \"ansi-c\", \"enter\": \"{each}\","
			  " \"enter_each\": \"{value}\", \"leave\": \"{each}\","
			  " \"leave_each\": \"{name}\"}}";

static void
table(const char *text, size_t len)
{
	struct gw_languages *t;
	struct err err = {""};

	if (gw_languages_parse("fuzz", text, len, &t, &err) != 0) {
		assert(err.text[0] != '\0');
		return;
	}
	for (size_t i = 0; i < t->n; i++)
		assert(gw_languages_find(t, t->row[i].name) == &t->row[i]);
	gw_languages_free(t);
}

/* What bash makes of $'...'. */
static void
read_ansi_c(const char *code, struct buf *ret)
{
	size_t len = strlen(code);

	assert(len >= 3 && strncmp(code, "$'", 2) == 0 && code[len - 1] == '\'');
	for (const char *p = code + 2; p < code + len - 1; p++) {
		char c = *p;

		assert((unsigned char)c >= ' ' && c != 0x7f && c != '\'');
		if (c == '\\' && (p[1] == '\'' || p[1] == '\\')) {
			c = *++p;
		} else if (c == '\\') {
			c = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 3;
		}
		(void)buf_append(ret, &c, 1);
	}
}

static void
check(const struct gw_languages *t, const json_t *env, const char *name, const char *value)
{
	const struct gw_language *json = gw_languages_find(t, "json");
	const struct gw_language *ansi = gw_languages_find(t, "ansi");
	struct buf code, back;
	json_t *read;

	buf_init(&code, 1 << 24);
	buf_init(&back, 1 << 24);
	assert(gw_language_enter(json, env, NULL, &code, NULL) == 0);
	read = json_loads(code.data, JSON_DECODE_ANY, NULL);
	assert(read != NULL && strcmp(json_string_value(read), value) == 0);
	assert(strchr(code.data, '\n') == NULL);
	json_decref(read);
	buf_fini(&code);

	assert(gw_language_leave(ansi, env, NULL, "/", &code, NULL) == 0);
	read_ansi_c(code.data, &back);
	assert(strcmp(back.len > 0 ? back.data : "", name) == 0);
	buf_fini(&code);
	buf_fini(&back);
	assert(gw_language_enter(ansi, env, NULL, &code, NULL) == 0);
	read_ansi_c(code.data, &back);
	assert(strcmp(back.len > 0 ? back.data : "", value) == 0);
	buf_fini(&code);
	buf_fini(&back);
}

static void
literals(const char *text, size_t len)
{
	struct gw_languages *t = NULL;
	struct buf clean;
	char *value;
	json_t *env;

	buf_init(&clean, 1 << 22);
	(void)utf8_repair(&clean, text, len);
	value = clean.len > 0 ? strchr(clean.data, '\n') : NULL;
	if (value != NULL && strlen(clean.data) == clean.len) {
		*value++ = '\0';
		assert(gw_languages_parse("two", two, sizeof(two) - 1, &t, NULL) == 0);
		env = json_object();
		json_object_set_new(env, clean.data, json_string(value));
		check(t, env, clean.data, value);
		json_decref(env);
		gw_languages_free(t);
	}
	buf_fini(&clean);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		table((const char *)data + 1, size - 1);
	else
		literals((const char *)data + 1, size - 1);
	return 0;
}
