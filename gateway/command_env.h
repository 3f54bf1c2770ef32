/* gateway/command_env.h - CORE: the environment of one command.
 *
 * The gateway's own (without KERNELBRIDGE_*), HOME (the sandbox's home), the sandbox's variables,
 * JUPYTER_PORT (the gateway's at 127.0.0.1, where it listens there) and EXECD_ENVS (a file in the
 * sandbox's folder), what that file says (envfile.h), and the request's variables: each over those
 * before.
 */
#ifndef GW_COMMAND_ENV_H
#define GW_COMMAND_ENV_H

#include <jansson.h>

struct gw_command_env;
struct gw_sandbox;
struct km_env;

/* The environment, lent until return, or NULL, with why saying what is wrong with it. */
typedef void gw_command_env_fn(void *arg, struct km_env *env, const char *why);

/* Make it and call done(arg, ...) once, later.  over: object of strings or NULL, the request's;
 * copied.  Owned by the caller, who frees it, also after done. */
struct gw_command_env *gw_command_env_new(struct gw_sandbox *sb, const json_t *over,
                                          gw_command_env_fn *done, void *arg);
void gw_command_env_free(struct gw_command_env *e); /* NULL is fine */

/* For a context that is to have the variables of a command: those that the gateway itself does not
 * have so, as an object of strings, which may be any bytes; owned by the caller. */
json_t *gw_command_env_vars(const struct km_env *env);

#endif /* GW_COMMAND_ENV_H */
