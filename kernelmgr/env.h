/* kernelmgr/env.h - the environment of a process to be started. */
#ifndef KM_ENV_H
#define KM_ENV_H

#include <jansson.h>

struct err;
struct km_env;

/* Empty.  Never returns NULL. */
struct km_env *km_env_new(void);
void km_env_free(struct km_env *e);

/* Add what this process has itself, without the names that start with KERNELBRIDGE_. */
void km_env_inherit(struct km_env *e);

/* Set name to a copy of value, replacing what it was. */
void km_env_set(struct km_env *e, const char *name, const char *value);

/* Value of name, borrowed until the next change; NULL if it is not set. */
const char *km_env_find(const struct km_env *e, const char *name);

/* Set every pair of vars, an object of strings or NULL.  With values, $NAME and ${NAME} in
 * them become what they are in values, $$ becomes $, and names that are not set stay as they
 * are (jupyter_client, _apply_env_substitutions(); Python's string.Template).  Returns 0, or
 * -EINVAL (a name is empty or has '=', a value is not a string, has a NUL, or is larger than
 * an exec takes) with err filled. */
int km_env_add(struct km_env *e, json_t *vars, const struct km_env *values, struct err *err);

/* NULL-terminated "NAME=value" strings for exec, borrowed until the next change. */
char *const *km_env_list(const struct km_env *e);

#endif /* KM_ENV_H */
