/* gateway/language.h - CORE: what languages are called, and how they differ.
 *
 * The table is configs/languages.json, built in; `languages_file` replaces it.  It maps a
 * language and its aliases to a kernelspec, and says of each how a run's variables and
 * directory are set and taken back where the kernel does not do that itself, and what it needs
 * of us otherwise.  docs/languages.md describes the format.  Nothing else in the gateway
 * knows a language by name.
 */
#ifndef GW_LANGUAGE_H
#define GW_LANGUAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct km_spec;
struct km_spec_path;

#define GW_LANGUAGE_DEFAULT "python" /* where a client names none */

/* One row; constant.  What was not given is NULL, false or 0. */
struct gw_language {
	char *name;        /* canonical, lower case */
	char **aliases;    /* NULL-terminated, or NULL */
	char *kernelspec;  /* preferred; never NULL */
	char *install;     /* what to tell scripts/install-kernels; never NULL */
	char *version_env; /* variable of a sandbox that says which version */
	bool message;      /* interrupt by message, where kernel.json says nothing */
	bool tcp;          /* no ipc */
	bool exit_ends;    /* exit() of the language ends the kernel */
	bool ansi_c;       /* quote as $'...', else as "..." */
	/* Code around a run, with placeholders; see docs/languages.md. */
	char *enter, *enter_each, *enter_cd;
	char *leave, *leave_each, *leave_cd;
	char *flush; /* code that prints {mark} */
	char *setup; /* code that makes a kernel wait for its reader */
};

/* Open to language*.c only. */
struct gw_languages {
	struct gw_language *row;
	size_t n;
};

/* Read a table from bytes; what names them in errors.  Returns 0 with *ret owned by the caller,
 * or -EINVAL with err naming language and key. */
int gw_languages_parse(const char *what, const char *bytes, size_t len,
                       struct gw_languages **ret, struct err *err);
/* The table of file path, or the built-in one where path is "".  Also what
 * gw_files_read() returns. */
int gw_languages_load(const char *path, struct gw_languages **ret, struct err *err);
void gw_languages_free(struct gw_languages *t);

/* The row called name, or with such an alias, without case; NULL: none. */
const struct gw_language *gw_languages_find(const struct gw_languages *t, const char *name);

/* The kernelspec for name, which is a language, an alias, a kernelspec, or the language of one.
 * env (object or NULL) are a sandbox's variables: the language's version variable chooses
 * among what is installed.  Returns 0 with *spec owned by the caller, -EINVAL (a malformed
 * name, a broken kernel.json) or -ENOENT with err: not installed and the command that installs
 * it, or no such version and those there are. */
int gw_language_choose(const struct gw_languages *t, const struct km_spec_path *path,
                       const char *name, const json_t *env, struct km_spec **spec,
                       struct err *err);

/* Append which versions env asks for that are not installed, as
 * "GO_VERSION=1.24 (installed: 1.26.6), ..."; nothing where there are none. */
void gw_language_unmet(const struct gw_languages *t, const struct km_spec_path *path,
                       const json_t *env, struct buf *ret);

/* The row for a kernelspec that was found by its own name: by that, else by its language; NULL:
 * none. */
const struct gw_language *gw_language_of(const struct gw_languages *t,
                                         const struct km_spec *spec);

/* Give spec what the table says and its kernel.json does not.  l may be NULL. */
void gw_language_adapt(const struct gw_language *l, struct km_spec *spec);

/* Append code that sets env (object of strings or NULL) and cwd (or NULL), and code that takes
 * both back; home is the directory that the context began in.  Returns 0, or with err -ENOTSUP
 * when the language cannot, -EMSGSIZE or -ENOMEM of the buffer. */
int gw_language_enter(const struct gw_language *l, const json_t *env, const char *cwd,
                      struct buf *ret, struct err *err);
int gw_language_leave(const struct gw_language *l, const json_t *env, const char *cwd,
                      const char *home, struct buf *ret, struct err *err);

/* Append code that prints mark; l has `flush`.  Returns 0, or -EMSGSIZE or -ENOMEM. */
int gw_language_flush(const struct gw_language *l, const char *mark, struct buf *ret);

#endif /* GW_LANGUAGE_H */
