/* gateway/envfile.h - CORE: the file of a sandbox in which its commands keep variables for the next
 * ones, as execd has it (EXECD_ENVS).  Pure.
 *
 * Lines NAME=VALUE, perhaps with "export " before; empty ones, those that begin with # and those
 * that are none of this are skipped.  VALUE is in single quotes (taken as it is), in double quotes
 * (\n \t \r \" \\ \$ are characters, variables are replaced), both over several lines if need be,
 * or what the line has (variables are replaced, spaces around it cut).  $NAME and ${NAME} become
 * what a line before, or else the environment, says; nothing if neither does.
 */
#ifndef GW_ENVFILE_H
#define GW_ENVFILE_H

#include <stddef.h>

struct err;
struct km_env;

#define GW_ENVFILE_MAX      (1U << 20) /* bytes of the file, and of what variables add to it */
#define GW_ENVFILE_VARS_MAX 1024
/* variables that values refer to, in all: each is looked for among those that are outside */
#define GW_ENVFILE_NAMED_MAX 4096

/* Set in env what text[0..len) says.  Returns 0, or with err -EMSGSIZE (more than the above), or
 * -EINVAL: a value is larger than a program can be given; env may have some of it then. */
int gw_envfile_parse(const char *text, size_t len, struct km_env *env, struct err *err);

#endif /* GW_ENVFILE_H */
