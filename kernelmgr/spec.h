/* kernelmgr/spec.h - kernelspecs: find and read kernel.json.
 *
 * Source: jupyter_client "Making kernels for Jupyter", kernel specs.  Searched in order,
 * first wins: each directory of $JUPYTER_PATH, the gateway's own prefix, the user's data
 * directory ($JUPYTER_DATA_DIR or ~/.local/share/jupyter), /usr/local/share/jupyter,
 * /usr/share/jupyter; each with /kernels/NAME/kernel.json.  Names are compared without case.
 */
#ifndef KM_SPEC_H
#define KM_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct err;
struct km_spec_path;

enum km_interrupt_mode { KM_INTERRUPT_SIGNAL, KM_INTERRUPT_MESSAGE };

/* One kernel.json.  Every field is owned by the spec and constant. */
struct km_spec {
	char *name;         /* its directory's name, lower case */
	char *dir;          /* resource directory */
	char *display_name; /* never NULL */
	char *language;     /* lower case, "" if not given */
	char **argv;      /* with {connection_file} {prefix} {resource_dir}; NULL-terminated */
	json_t *env;      /* object of strings; ${VAR} is expanded at launch */
	json_t *metadata; /* object */
	enum km_interrupt_mode interrupt_mode;
	bool interrupt_given; /* kernel.json has an interrupt_mode */
	/* Of metadata.kernelbridge: */
	bool waits;     /* it blocks rather than drops output */
	bool stdin_eof; /* without stdin, code that reads meets the end of file */
	bool tcp;       /* transport is "tcp", or there is no metadata.kernelbridge */
	bool
	    complete; /* a run's output is there at its idle, whatever the language table says */
	bool takes_env; /* "env": a run's variables and cwd come in its request's metadata */
	bool assign; /* it can be given a cwd and variables once it runs: km_kernel_assign() */
	char *version; /* of the language; "" if not given */
	char **zygote; /* argv of a program that forks such kernels: launch_zygote.h; or NULL */
	/* Variables that are read only when the program starts, a last * for any end, those with
	 * a first ! excepted; a launch that sets one of them cannot be forked or assigned.
	 * NULL-terminated, or NULL. */
	char **start_env;
};

/* True if env, an object or NULL, sets none of spec's start_env. */
bool km_spec_env_is_late(const struct km_spec *spec, const json_t *env);

/* The search path.  prefix is the gateway's own ("" for none). Environment is read now. */
struct km_spec_path *km_spec_path_new(const char *prefix);
void km_spec_path_free(struct km_spec_path *p);

/* Read the kernelspec called name.  Returns 0 with *ret owned by the caller, -EINVAL (name
 * has other characters than [a-z0-9._-], or its kernel.json is broken: err says where and
 * how), or -ENOENT (err lists the names that exist). */
int km_spec_find(const struct km_spec_path *p, const char *name, struct km_spec **ret,
                 struct err *err);
/* Read the first kernelspec whose language is language; NULL language matches any.  Same
 * errors. */
int km_spec_find_language(const struct km_spec_path *p, const char *language,
                          struct km_spec **ret, struct err *err);
/* Visit every readable spec once, in search order, shadowed names skipped; lent until
 * return. */
void km_spec_each(const struct km_spec_path *p,
                  void (*fn)(void *arg, const struct km_spec *spec), void *arg);

/* Parse the bytes of a kernel.json found in dir (name is dir's last part).  Returns 0 or
 * -EINVAL. */
int km_spec_parse(const char *name, const char *dir, const char *bytes, size_t len,
                  struct km_spec **ret, struct err *err);
void km_spec_free(struct km_spec *s);

#endif /* KM_SPEC_H */
