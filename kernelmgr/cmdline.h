/* kernelmgr/cmdline.h - a kernelspec's argv, made ready to execute. */
#ifndef KM_CMDLINE_H
#define KM_CMDLINE_H

struct km_spec;

/* What the templates stand for; borrowed. */
struct km_cmdline_vars {
	const char *connection_file; /* {connection_file} */
	const char *prefix;          /* {prefix} */
	const char *resource_dir;    /* {resource_dir} */
};

/* Copy argv (NULL-terminated) with the templates replaced, anywhere within an argument;
 * unknown ones stay (jupyter_client, format_kernel_cmd()).  Owned by the caller; never NULL. */
char **km_cmdline_new(char *const *argv, const struct km_cmdline_vars *vars);
/* Copy words (NULL-terminated, or NULL: none) as they are; to be freed likewise. */
char **km_cmdline_copy(char *const *words);
void km_cmdline_free(char **argv);

/* Path of the program that name stands for, owned by the caller, or NULL if there is none.
 * With a slash it is taken as it is.  Else it is looked up in the environment that owns the
 * kernelspec directory dir (ENV/share/jupyter/kernels/NAME), then in PREFIX/venv (Jupyter replaces
 * "python" by its own interpreter), then in search_path ("a:b"). */
char *km_cmdline_program(const char *name, const char *dir, const char *prefix,
                         const char *search_path);

#endif /* KM_CMDLINE_H */
