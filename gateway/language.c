/* gateway/language.c - see gateway/language.h. */
#include "gateway/language.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernelmgr/spec.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"
#include "wire/json_put.h"

/* --- choosing a kernelspec ---------------------------------------------------------------- */

void
gw_language_adapt(const struct gw_language *l, struct km_spec *spec)
{
	if (l == NULL)
		return;
	if (l->message && !spec->interrupt_given)
		spec->interrupt_mode = KM_INTERRUPT_MESSAGE;
	spec->tcp = spec->tcp || l->tcp;
}

/* Where numbers begin in a version as people and kernels write it: "v20", "go1.24". */
static const char *
digits(const char *s)
{
	return s + strcspn(s, "0123456789");
}

static const char *
version_of(const struct km_spec *spec)
{
	if (spec->version[0] != '\0')
		return digits(spec->version);
	if (*digits(spec->display_name) != '\0')
		return digits(spec->display_name);
	return digits(spec->name);
}

/* True if have is want, or want with more numbers after it. */
static bool
version_fits(const char *want, const char *have)
{
	size_t n;

	want = digits(want);
	n = strlen(want);
	return n > 0 && strncmp(want, have, n) == 0 && (have[n] < '0' || have[n] > '9');
}

static int
version_cmp(const char *a, const char *b)
{
	char *end_a, *end_b;
	unsigned long x = strtoul(a, &end_a, 10);
	unsigned long y = strtoul(b, &end_b, 10);

	if (end_a == a || end_b == b)
		return (end_a != a) - (end_b != b);
	if (x != y)
		return x < y ? -1 : 1;
	return version_cmp(end_a + (*end_a == '.'), end_b + (*end_b == '.'));
}

/* A search among what is installed. */
struct search {
	const struct gw_languages *t;
	const struct gw_language *row;
	const char *want; /* version, or NULL: any */
	char best[256];   /* kernelspec's name, "": none */
	char version[64]; /* its */
	struct buf there; /* what there is, for the error */
	bool unnamed;     /* as versions only */
};

static void
consider(void *arg, const struct km_spec *spec)
{
	struct search *s = arg;
	const char *have = version_of(spec);
	bool preferred = strcmp(spec->name, s->row->kernelspec) == 0;

	if (gw_language_of(s->t, spec) != s->row)
		return;
	(void)buf_printf(&s->there, s->unnamed ? "%s%.0s%s" : "%s%s (%s)",
	                 s->there.len > 0 ? ", " : "", spec->name,
	                 have[0] != '\0' ? have : "version not known");
	if (s->want != NULL && !version_fits(s->want, have))
		return;
	if (s->best[0] != '\0' && !preferred &&
	    (s->want == NULL || strcmp(s->best, s->row->kernelspec) == 0 ||
	     version_cmp(have, s->version) <= 0))
		return;
	(void)snprintf(s->best, sizeof(s->best), "%s", spec->name);
	(void)snprintf(s->version, sizeof(s->version), "%s", have);
}

static int
choose(const struct gw_languages *t, const struct km_spec_path *path,
       const struct gw_language *row, const json_t *env, struct km_spec **ret, struct err *err)
{
	struct search s = {.t = t, .row = row};
	int rc;

	if (row->version_env != NULL)
		s.want = json_string_value(json_object_get(env, row->version_env));
	if (s.want == NULL || s.want[0] == '\0') {
		s.want = NULL;
		rc = km_spec_find(path, row->kernelspec, ret, err);
		if (rc != -ENOENT)
			return rc;
	}
	buf_init(&s.there, 4096);
	km_spec_each(path, consider, &s);
	if (s.best[0] != '\0')
		rc = km_spec_find(path, s.best, ret, err);
	else if (s.there.len == 0)
		rc = err_set(err, -ENOENT,
		             "no kernel for %s is installed; this installs one: "
		             "scripts/install-kernels %s",
		             row->name, row->install);
	else
		rc = err_set(err, -ENOENT, "no %s kernel has %s = %.20s; installed: %s",
		             row->name, row->version_env, s.want, s.there.data);
	buf_fini(&s.there);
	return rc;
}

int
gw_language_choose(const struct gw_languages *t, const struct km_spec_path *path,
                   const char *name, const json_t *env, struct km_spec **spec, struct err *err)
{
	const struct gw_language *l = gw_languages_find(t, name);
	struct err ignored;
	int rc;

	if (l != NULL)
		return choose(t, path, l, env, spec, err);
	rc = km_spec_find(path, name, spec, err);
	if (rc == -ENOENT && km_spec_find_language(path, name, spec, &ignored) == 0)
		rc = 0;
	return rc;
}

static void
put_unmet(const struct gw_languages *t, const struct km_spec_path *path,
          const struct gw_language *row, const char *want, struct buf *ret)
{
	struct search s = {.t = t, .row = row, .want = want, .unnamed = true};
	char safe[LOG_SAFE_MAX];

	buf_init(&s.there, 4096);
	km_spec_each(path, consider, &s);
	if (s.best[0] == '\0')
		(void)buf_printf(ret, "%s%s=%s (installed: %s)", ret->len > 0 ? ", " : "",
		                 row->version_env, log_safe(want, strlen(want), safe),
		                 s.there.len > 0 ? s.there.data : "none");
	buf_fini(&s.there);
}

/* Some languages share a variable. */
static bool
is_asked_before(const struct gw_languages *t, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (t->row[k].version_env != NULL &&
		    strcmp(t->row[k].version_env, t->row[i].version_env) == 0)
			return true;
	return false;
}

void
gw_language_unmet(const struct gw_languages *t, const struct km_spec_path *path,
                  const json_t *env, struct buf *ret)
{
	for (size_t i = 0; i < t->n; i++) {
		const char *name = t->row[i].version_env;
		const char *want =
		    name != NULL ? json_string_value(json_object_get(env, name)) : NULL;

		if (want != NULL && want[0] != '\0' && !is_asked_before(t, i))
			put_unmet(t, path, &t->row[i], want, ret);
	}
}

/* --- code around a run -------------------------------------------------------------------- */

/* Each returns 0, or -EMSGSIZE or -ENOMEM of the buffer. */

static int
quote_ansi_c(const char *s, struct buf *b)
{
	int rc = buf_append(b, "$'", 2);

	for (; *s != '\0' && rc == 0; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < ' ' || c >= 0x7f) /* some kernels split code at U+2028 */
			rc = buf_printf(b, "\\%03o", c);
		else if (c == '\'' || c == '\\')
			rc = buf_printf(b, "\\%c", c);
		else
			rc = buf_append(b, s, 1);
	}
	return rc == 0 ? buf_append(b, "'", 1) : rc;
}

/* Append s as a literal of the language. */
static int
quote(const struct gw_language *l, const char *s, struct buf *b)
{
	return l->ansi_c ? quote_ansi_c(s, b)
	                 : wire_json_put_string(b, (struct wire_slice){s, strlen(s)},
	                                        WIRE_JSON_PLAIN);
}

/* One side of the code: the frame, what it repeats, and how it changes directory. */
struct side {
	const struct gw_language *l;
	const char *frame, *each, *cd;
	const json_t *env;
	const char *path; /* or NULL */
};

struct hole {
	const char *name;
	const char *text; /* quoted when filled in */
};

/* The hole that code begins with, or NULL. */
static const struct hole *
hole_at(const char *code, const struct hole *holes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strncmp(code, holes[i].name, strlen(holes[i].name)) == 0)
			return &holes[i];
	}
	return NULL;
}

/* Append code with its holes filled. */
static int
fill(const struct gw_language *l, const char *code, const struct hole *holes, size_t n,
     struct buf *b)
{
	int rc = 0;

	while (*code != '\0' && rc == 0) {
		const struct hole *h = hole_at(code, holes, n);

		rc = h != NULL ? quote(l, h->text, b) : buf_append(b, code, 1);
		code += h != NULL ? strlen(h->name) : 1;
	}
	return rc;
}

static int
fill_each(const struct side *s, struct buf *b)
{
	const char *name;
	json_t *v;
	int rc = 0;

	json_object_foreach ((json_t *)(uintptr_t)s->env, name, v) {
		const struct hole holes[] = {{"{name}", name},
		                             {"{value}", json_string_value(v)}};

		if (rc == 0)
			rc = fill(s->l, s->each != NULL ? s->each : "", holes, 2, b);
	}
	return rc;
}

static int
fill_cd(const struct side *s, struct buf *b)
{
	const struct hole hole = {"{path}", s->path};

	return s->path != NULL && s->cd != NULL ? fill(s->l, s->cd, &hole, 1, b) : 0;
}

static int
fill_frame(const struct side *s, struct buf *b, struct err *err)
{
	int rc = 0;

	for (const char *p = s->frame; *p != '\0' && rc == 0;) {
		if (strncmp(p, "{each}", 6) == 0) {
			rc = fill_each(s, b);
			p += 6;
		} else if (strncmp(p, "{cd}", 4) == 0) {
			rc = fill_cd(s, b);
			p += 4;
		} else {
			rc = buf_append(b, p++, 1);
		}
	}
	return rc == 0 ? 0
	               : err_set(err, rc, "the variables of the run are too large: %s",
	                         strerrordesc_np(-rc));
}

static int
check_able(const struct gw_language *l, const json_t *env, const char *cwd, struct err *err)
{
	if (l->enter == NULL || (json_object_size(env) > 0 && l->enter_each == NULL))
		return err_set(err, -ENOTSUP,
		               "%s: variables cannot be set for one run, says the language "
		               "table",
		               l->name);
	if (cwd != NULL && l->enter_cd == NULL)
		return err_set(err, -ENOTSUP,
		               "%s cannot change its directory: make a context with that cwd",
		               l->name);
	return 0;
}

int
gw_language_enter(const struct gw_language *l, const json_t *env, const char *cwd,
                  struct buf *ret, struct err *err)
{
	const struct side s = {.l = l,
	                       .frame = l->enter,
	                       .each = l->enter_each,
	                       .cd = l->enter_cd,
	                       .env = env,
	                       .path = cwd};
	int rc = check_able(l, env, cwd, err);

	return rc == 0 ? fill_frame(&s, ret, err) : rc;
}

int
gw_language_leave(const struct gw_language *l, const json_t *env, const char *cwd,
                  const char *home, struct buf *ret, struct err *err)
{
	const struct side s = {.l = l,
	                       .frame = l->leave != NULL ? l->leave : "",
	                       .each = l->leave_each,
	                       .cd = l->leave_cd,
	                       .env = env,
	                       .path = cwd != NULL ? home : NULL};
	int rc = check_able(l, env, cwd, err);

	return rc == 0 ? fill_frame(&s, ret, err) : rc;
}

int
gw_language_flush(const struct gw_language *l, const char *mark, struct buf *ret)
{
	const struct hole hole = {"{mark}", mark};

	return fill(l, l->flush, &hole, 1, ret);
}
