/* tests/fuzz/fuzz_km_zygote_msg.c - what a zygote says; and the same bytes as an environment, in a
 * request that must say it again. */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "kernelmgr/zygote_msg.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define VARS_MAX 64

static void
check_answer(const char *bytes, size_t len)
{
	struct km_zygote_msg m;
	int rc = km_zygote_msg_parse(bytes, len, &m);

	assert(rc == 0 || rc == -EBADMSG);
	if (rc != 0 || m.word == KM_ZYGOTE_READY)
		return;
	assert(m.n > 0);
	if (m.word == KM_ZYGOTE_FORKED)
		assert(m.pid > 1);
	else
		assert(strlen(m.why) < sizeof(m.why));
}

static void
check_request(char *text)
{
	char *env[VARS_MAX + 1] = {NULL}, *bytes, *rest = text;
	struct km_zygote_fork f = {
	    .n = 1, .connection_file = "/c", .kernel_id = "id", .cwd = "/", .env = env};
	bool valid = utf8_valid(text, strlen(text));
	json_t *root, *vars;

	for (size_t n = 0; n < VARS_MAX && rest != NULL; n++)
		env[n] = strsep(&rest, "\n");
	bytes = km_zygote_msg_fork(&f);
	assert(bytes != NULL || !valid);
	if (bytes == NULL)
		return;
	root = json_loads(bytes, 0, NULL);
	assert(root != NULL);
	vars = json_object_get(root, "env");
	for (size_t n = 0; n < VARS_MAX && env[n] != NULL; n++) {
		const char *value = strchr(env[n], '=');

		if (value == NULL)
			continue;
		assert(
		    json_is_string(json_object_getn(vars, env[n], (size_t)(value - env[n]))));
	}
	json_decref(root);
	mem_free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_new(size + 1);

	if (size > 0)
		memcpy(text, data, size);
	check_answer(text, size);
	check_request(text);
	mem_free(text);
	return 0;
}
