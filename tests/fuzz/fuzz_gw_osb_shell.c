/* tests/fuzz/fuzz_gw_osb_shell.c - the fields of a request for a command: any JSON, any cwd. */
#include <assert.h>
#include <string.h>

#include "gateway/dialects/osb_shell.h"
#include "gateway/sandbox.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define HOME "/home/of/it"

static void
check(int rc, const struct err *err)
{
	assert(rc == 0 || (err->text[0] != '\0' && utf8_valid(err->text, strlen(err->text))));
}

static void
read_cwd(const json_t *o)
{
	static char home[] = HOME;
	json_t *env = json_pack("{s:s, s:s}", "A", "/a", "_b1", "~");
	const struct gw_sandbox sb = {.home = home, .env = env};
	char *cwd = NULL;
	struct err err = {""};
	int rc = gw_osb_shell_cwd(o, &sb, json_object_get(o, "envs"), &cwd, &err);

	check(rc, &err);
	assert(rc == 0 || cwd == NULL);
	if (cwd != NULL)
		assert(cwd[0] == '/' && strlen(cwd) <= 4095 + sizeof(HOME));
	mem_free(cwd);
	json_decref(env);
}

static void
read_fields(const json_t *o)
{
	const char *text = NULL;
	uint64_t ms = 0;
	json_int_t n = -1;
	bool flag = false;
	struct err err = {""};
	int rc = gw_osb_shell_command(o, &text, &err);

	check(rc, &err);
	assert((rc == 0) == (text != NULL && text[0] != '\0'));
	check(gw_osb_shell_timeout(o, &ms, &err), &err);
	assert(ms <= INT64_MAX);
	check(gw_osb_shell_number(o, "uid", &n, &err), &err);
	assert(n >= -1);
	check(gw_osb_shell_flag(o, "background", &flag, &err), &err);
	read_cwd(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *o = json_loadb((const char *)data, size, 0, NULL);
	json_t *cwd = json_stringn((const char *)data, size);

	if (o != NULL)
		read_fields(o);
	json_decref(o);
	if (cwd != NULL && strlen(json_string_value(cwd)) == size) {
		o = json_pack("{s:O}", "cwd", cwd);
		read_cwd(o);
		json_decref(o);
	}
	json_decref(cwd);
	return 0;
}
