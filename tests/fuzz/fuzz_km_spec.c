/* tests/fuzz/fuzz_km_spec.c - bytes of a kernel.json, and what a launch makes of it. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "kernelmgr/cmdline.h"
#include "kernelmgr/env.h"
#include "kernelmgr/spec.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/err.h"

static void
check_fields(const struct km_spec *s)
{
	assert(strcmp(s->name, "fuzz") == 0 && strcmp(s->dir, "/d/Fuzz") == 0);
	assert(s->argv != NULL && s->argv[0] != NULL && s->argv[0][0] != '\0');
	assert(s->display_name != NULL && s->language != NULL);
	assert(json_is_object(s->env) && json_is_object(s->metadata));
	assert(s->interrupt_mode == KM_INTERRUPT_SIGNAL ||
	       s->interrupt_mode == KM_INTERRUPT_MESSAGE);
	assert(s->zygote == NULL || (s->zygote[0] != NULL && s->zygote[0][0] != '\0'));
	for (char *const *p = s->start_env; p != NULL && *p != NULL; p++)
		assert(**p != '\0' && strchr(*p, '=') == NULL);
	assert(km_spec_env_is_late(s, NULL));
	assert(s->start_env != NULL || km_spec_env_is_late(s, s->env));
}

static void
launch(const struct km_spec *s)
{
	const struct km_cmdline_vars vars = {
	    .connection_file = "/run/c.json", .prefix = "/p", .resource_dir = s->dir};
	char **argv = km_cmdline_new(s->argv, &vars);
	struct km_env *values = km_env_new(), *env = km_env_new();
	struct err err = {""};
	int rc;

	for (int i = 0; s->argv[i] != NULL; i++)
		assert(argv[i] != NULL);
	km_env_set(values, "HOME", "/home/x");
	rc = km_env_add(env, s->env, values, &err);
	assert(rc == 0 || (rc == -EINVAL && err.text[0] != '\0'));
	for (char *const *var = km_env_list(env); *var != NULL; var++)
		assert(strchr(*var, '=') > *var);
	km_cmdline_free(argv);
	km_env_free(values);
	km_env_free(env);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct km_spec *s = NULL;
	struct err err = {""};
	int rc = km_spec_parse("Fuzz", "/d/Fuzz", (const char *)data, size, &s, &err);

	assert(rc == 0 || rc == -EINVAL);
	assert((rc == 0) == (s != NULL) && (rc == 0) == (err.text[0] == '\0'));
	if (rc == 0) {
		check_fields(s);
		launch(s);
	}
	km_spec_free(s);
	return 0;
}
