/* gateway/dialects/osb_body.c - see gateway/dialects/osb_sandbox.h: the body of a create. */
#include "gateway/dialects/osb_sandbox.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "gateway/dialects/osb.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

#define TOLD_MAX (64U << 10) /* bytes of what is only repeated, each */
#define NOTE_MAX 4096
#define THEIRS   "opensandbox.io/" /* the lifecycle server's own keys */

struct reader {
	struct gw_osb_create *c;
	struct buf unenforced; /* names, comma-separated */
	struct err *err;
};

/* Reads a value of the right type; returns 0 or a code with err. */
typedef int read_fn(struct reader *r, const char *name, const json_t *v);

/* --- what cannot be enforced -------------------------------------------------------------- */

/* The name may be a client's own word: it goes to the log too. */
static void
unenforced(struct reader *r, const char *name, const char *member)
{
	char a[LOG_SAFE_MAX];
	char b[LOG_SAFE_MAX] = "";

	(void)log_safe(name, strlen(name), a);
	if (member != NULL)
		(void)log_safe(member, strlen(member), b);
	(void)buf_printf(&r->unenforced, "%s%s%s%s", r->unenforced.len > 0 ? ", " : "", a,
	                 member != NULL ? "." : "", b);
}

static bool
is_nothing(const json_t *v)
{
	return v == NULL || json_is_null(v) || json_is_false(v) ||
	       (json_is_object(v) && json_object_size(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0);
}

/* A policy that says no more than {"enabled": false} asks for nothing. */
static int
read_policy(struct reader *r, const char *name, const json_t *v)
{
	bool asks = !is_nothing(v) && !json_is_object(v);
	const char *key;
	json_t *member;

	json_object_foreach ((json_t *)(uintptr_t)v, key, member)
		asks = asks || !is_nothing(member);
	if (asks)
		unenforced(r, name, NULL);
	return 0;
}

static int
read_resources(struct reader *r, const char *name, const json_t *v)
{
	const char *key;
	json_t *member;
	int rc = gw_strings_check(v, name, r->err);

	if (rc == 0)
		json_object_foreach ((json_t *)(uintptr_t)v, key, member)
			unenforced(r, name, key);
	return rc;
}

/* Whether this machine is what was asked for. */
static bool
is_here(const char *os, const char *arch)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}};
	struct utsname here;

	if (strcmp(os, "linux") != 0 || uname(&here) != 0)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(here.machine, names[i][0]) == 0)
			return strcmp(arch, names[i][1]) == 0;
	return false;
}

static int
read_platform(struct reader *r, const char *name, const json_t *v)
{
	const char *os = json_string_value(json_object_get(v, "os"));
	const char *arch = json_string_value(json_object_get(v, "arch"));

	if (os == NULL || arch == NULL)
		return err_set(r->err, -EINVAL, "%s: expected the strings os and arch", name);
	if (strlen(os) + strlen(arch) > TOLD_MAX)
		return err_set(r->err, -EINVAL, "%s has more than %u bytes", name, TOLD_MAX);
	if (!is_here(os, arch))
		unenforced(r, name, NULL);
	json_object_set_new(r->c->told, name, json_pack("{s:s, s:s}", "os", os, "arch", arch));
	return 0;
}

/* --- fields that mean something here ------------------------------------------------------ */

static int
read_image(struct reader *r, const char *name, const json_t *v)
{
	const char *uri = json_string_value(json_object_get(v, "uri"));

	if (uri == NULL || uri[strspn(uri, " \t\r\n")] == '\0')
		return err_set(r->err, -EINVAL, "%s.uri: expected a string", name);
	r->c->rq.image = uri;
	if (!is_nothing(json_object_get(v, "auth")))
		unenforced(r, name, "auth");
	return 0;
}

static int
read_timeout(struct reader *r, const char *name, const json_t *v)
{
	json_int_t s = json_integer_value(v);

	if (s < 1 || s > GW_OSB_LIFE_MAX_MS / 1000)
		return err_set(r->err, -EINVAL, "%s: expected 1 to %lld seconds", name,
		               (long long)(GW_OSB_LIFE_MAX_MS / 1000));
	r->c->rq.timeout_ms = (uint64_t)s * 1000;
	return 0;
}

static int
read_env(struct reader *r, const char *name, const json_t *v)
{
	r->c->rq.env = v;
	return gw_env_check(v, name, r->err);
}

static int
read_metadata(struct reader *r, const char *name, const json_t *v)
{
	int rc = gw_osb_metadata_check(v, false, r->err);

	r->c->rq.labels = v;
	return rc == 0 ? gw_strings_size(v, GW_SANDBOX_LABELS_MAX, name, r->err) : rc;
}

/* Nothing is started here: what would only keep a container alive is as good as done, and so is
 * the image's script that starts execd. */
static bool
only_waits(const json_t *entrypoint)
{
	static const char script[] = "/code-interpreter.sh";
	const char *first = json_string_value(json_array_get(entrypoint, 0));
	const char *last =
	    json_string_value(json_array_get(entrypoint, json_array_size(entrypoint) - 1));
	size_t n = strlen(first);

	if (json_array_size(entrypoint) == 1)
		return n >= sizeof(script) - 1 &&
		       strcmp(first + n - (sizeof(script) - 1), script) == 0;
	return (strcmp(first, "tail") == 0 && strcmp(last, "/dev/null") == 0) ||
	       (strcmp(first, "sleep") == 0 && strcmp(last, "infinity") == 0);
}

static int
read_entrypoint(struct reader *r, const char *name, const json_t *v)
{
	size_t bytes = 0;
	size_t i;
	json_t *word;

	if (json_array_size(v) == 0)
		return err_set(r->err, -EINVAL, "%s is empty", name);
	json_array_foreach ((json_t *)(uintptr_t)v, i, word) {
		if (!json_is_string(word))
			return err_set(r->err, -EINVAL, "%s[%zu] is not a string", name, i);
		bytes += json_string_length(word) + 1;
	}
	if (bytes > TOLD_MAX)
		return err_set(r->err, -EINVAL, "%s has more than %u bytes", name, TOLD_MAX);
	if (!only_waits(v))
		unenforced(r, name, NULL);
	json_object_set_new(r->c->told, name, json_deep_copy(v));
	return 0;
}

static int
read_extensions(struct reader *r, const char *name, const json_t *v)
{
	static const char renew[] = "access.renew.extend.seconds";
	int rc = gw_strings_check(v, name, r->err);

	if (rc == 0)
		rc = gw_strings_size(v, TOLD_MAX, name, r->err);
	if (rc != 0)
		return rc;
	if (json_object_get(v, "poolRef") != NULL)
		return err_set(r->err, -ENOTSUP, "%s.poolRef: there are no pools here", name);
	if (json_object_get(v, renew) != NULL)
		unenforced(r, name, renew);
	if (json_object_size(v) > 0)
		json_object_set_new(r->c->told, name, json_deep_copy(v));
	return 0;
}

static int
read_unserved(struct reader *r, const char *name, const json_t *v)
{
	(void)v;
	return err_set(r->err, -ENOTSUP, "%s: snapshots and templates are not served here",
	               name);
}

/* --- the body ----------------------------------------------------------------------------- */

/* In the order in which they are named where they cannot be enforced. */
static const struct field {
	const char *name;
	json_type type; /* JSON_FALSE: a boolean */
	read_fn *read;
} fields[] = {
    {"credentialProxy", JSON_OBJECT, read_policy},
    {"entrypoint", JSON_ARRAY, read_entrypoint},
    {"env", JSON_OBJECT, read_env},
    {"extensions", JSON_OBJECT, read_extensions},
    {"image", JSON_OBJECT, read_image},
    {"lifecycle", JSON_OBJECT, read_policy},
    {"metadata", JSON_OBJECT, read_metadata},
    {"networkPolicy", JSON_OBJECT, read_policy},
    {"platform", JSON_OBJECT, read_platform},
    {"resourceLimits", JSON_OBJECT, read_resources},
    {"resourceRequests", JSON_OBJECT, read_resources},
    {"secureAccess", JSON_FALSE, read_policy},
    {"snapshotId", JSON_STRING, read_unserved},
    {"templateId", JSON_STRING, read_unserved},
    {"timeout", JSON_INTEGER, read_timeout},
    {"volumes", JSON_ARRAY, read_policy},
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static int
check_type(const struct field *f, const json_t *v, struct err *err)
{
	static const struct {
		json_type type;
		const char *words;
	} types[] = {{JSON_OBJECT, "an object"},
	             {JSON_ARRAY, "an array"},
	             {JSON_STRING, "a string"},
	             {JSON_INTEGER, "a whole number"},
	             {JSON_FALSE, "true or false"}};
	json_type have = json_is_true(v) ? JSON_FALSE : json_typeof(v);
	size_t i = 0;

	if (have == f->type)
		return 0;
	while (types[i].type != f->type)
		i++;
	return err_set(err, -EINVAL, "%s: expected %s", f->name, types[i].words);
}

static bool
is_known(const char *name)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (strcmp(fields[i].name, name) == 0)
			return true;
	return false;
}

static int
read_fields(struct reader *r)
{
	const char *name;
	json_t *v;
	int rc = 0;

	for (size_t i = 0; i < FIELDS && rc == 0; i++) {
		v = json_object_get(r->c->root, fields[i].name);
		if (v == NULL || json_is_null(v))
			continue;
		rc = check_type(&fields[i], v, r->err);
		if (rc == 0)
			rc = fields[i].read(r, fields[i].name, v);
	}
	if (rc == 0 && r->c->rq.image == NULL)
		rc = err_set(r->err, -EINVAL, "image is required");
	if (rc == 0)
		json_object_foreach (r->c->root, name, v)
			if (!is_known(name) && !is_nothing(v))
				unenforced(r, name, NULL);
	return rc;
}

static int
load(const char *body, size_t len, json_t **ret, struct err *err)
{
	json_error_t why = {.text = ""};

	if (len > GW_OSB_BODY_MAX)
		return err_set(err, -EMSGSIZE, "the body has more than %u bytes",
		               GW_OSB_BODY_MAX);
	*ret = json_loadb(body, len, 0, &why);
	if (json_is_object(*ret))
		return 0;
	return err_set(err, -EINVAL, "error parsing request: %.120s",
	               *ret != NULL ? "the body is not an object" : why.text);
}

int
gw_osb_create_parse(const char *body, size_t len, struct gw_osb_create *ret, struct err *err)
{
	struct gw_osb_create c = {.told = json_object()};
	struct reader r = {.c = &c, .err = err};
	int rc = load(body, len, &c.root, err);

	buf_init(&r.unenforced, NOTE_MAX);
	if (rc == 0)
		rc = read_fields(&r);
	if (rc == 0 && r.unenforced.len > 0)
		gw_osb_note(c.told, GW_OSB_NOT_ENFORCED, r.unenforced.data);
	buf_fini(&r.unenforced);
	if (rc != 0) {
		gw_osb_create_fini(&c);
		return rc;
	}
	c.rq.told = c.told;
	*ret = c;
	return 0;
}

void
gw_osb_create_fini(struct gw_osb_create *c)
{
	json_decref(c->root);
	json_decref(c->told);
}

void
gw_osb_note(json_t *told, const char *key, const char *text)
{
	json_t *notes = json_object_get(told, "notes");

	if (notes == NULL) {
		json_object_set_new(told, "notes", json_object());
		notes = json_object_get(told, "notes");
	}
	json_object_set_new(notes, key, json_string(text));
}

/* --- metadata ----------------------------------------------------------------------------- */

int
gw_osb_metadata_check(const json_t *o, bool patch, struct err *err)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)o, key, v) {
		if (!json_is_string(v) && !(patch && json_is_null(v)))
			return err_set(err, -EINVAL, "metadata.%.60s is not a string", key);
		if (strncmp(key, GW_OSB_OURS, strlen(GW_OSB_OURS)) == 0 ||
		    strncmp(key, THEIRS, strlen(THEIRS)) == 0)
			return err_set(err, -EINVAL,
			               "metadata.%.60s: names that begin with %s or %s are "
			               "reserved",
			               key, GW_OSB_OURS, THEIRS);
	}
	return 0;
}
