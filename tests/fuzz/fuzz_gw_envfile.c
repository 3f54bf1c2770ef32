/* fuzz_gw_envfile.c - bytes of the file in which commands keep variables. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "gateway/envfile.h"
#include "kernelmgr/env.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/err.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct km_env *env = km_env_new();
	struct err err = {""};
	unsigned n = 0;
	int rc;

	km_env_set(env, "HOME", "/home/x");
	rc = gw_envfile_parse((const char *)data, size, env, &err);
	assert(rc == 0 || rc == -EINVAL || rc == -EMSGSIZE);
	assert((rc == 0) == (err.text[0] == '\0'));
	assert(km_env_find(env, "HOME") != NULL);
	for (char *const *var = km_env_list(env); *var != NULL; var++, n++) {
		size_t name = strcspn(*var, "=");

		assert(name > 0 && (*var)[name] == '=' && ((*var)[0] < '0' || (*var)[0] > '9'));
		assert(strspn(*var, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		                    "0123456789_") == name);
	}
	assert(n <= GW_ENVFILE_VARS_MAX + 1);
	km_env_free(env);
	return 0;
}
