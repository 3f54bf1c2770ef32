/* gateway/dialects/native_request.c - see gateway/dialects/native_request.h. */
#include "gateway/dialects/native_request.h"

#include <errno.h>
#include <string.h>

#include "gateway/sandbox.h"
#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/json.h"

#define IN(op)   (1U << GW_NATIVE_##op)
#define MAX_INT  (INT64_C(1) << 53) /* exact in every JSON implementation */
#define TEXT_MAX 4096               /* bytes of a name, a path or an id */
#define EXECUTES (IN(EXECUTE) | IN(REST_EXECUTE))
#define ASKS     (IN(COMPLETE) | IN(INSPECT))

_Static_assert(GW_NATIVE_OP_N <= 32, "an op is a bit of unsigned");

/* Those that come with a name are WebSocket messages. */
static const char *const ops[GW_NATIVE_OP_N] = {
    [GW_NATIVE_EXECUTE] = "execute",
    [GW_NATIVE_INPUT] = "input",
    [GW_NATIVE_INTERRUPT] = "interrupt",
    [GW_NATIVE_ATTACH] = "attach",
    [GW_NATIVE_DETACH] = "detach",
    [GW_NATIVE_CREATE_CONTEXT] = "create_context",
    [GW_NATIVE_LIST_CONTEXTS] = "list_contexts",
    [GW_NATIVE_DELETE_CONTEXT] = "delete_context",
    [GW_NATIVE_RESTART_CONTEXT] = "restart_context",
    [GW_NATIVE_COMPLETE] = "complete",
    [GW_NATIVE_INSPECT] = "inspect",
    [GW_NATIVE_LIST_KERNELSPECS] = "list_kernelspecs",
    [GW_NATIVE_CREATE_SANDBOX] = "create_sandbox",
    [GW_NATIVE_LIST_SANDBOXES] = "list_sandboxes",
    [GW_NATIVE_DELETE_SANDBOX] = "delete_sandbox",
    [GW_NATIVE_PING] = "ping",
};

enum type {
	T_NAME,  /* string without NUL, not empty, at most TEXT_MAX bytes */
	T_TEXT,  /* any string */
	T_INT,   /* integer from 0 to max */
	T_BOOL,  /* true or false */
	T_MAP,   /* object of strings */
	T_ENV,   /* the same, and fit for environment variables */
	T_ORPHAN /* "finish" or "interrupt" */
};

struct key {
	const char *name;
	enum type type;
	size_t offset;
	unsigned ops;      /* where it is allowed */
	unsigned required; /* where it must be given */
	int64_t max;
};

#define AT(field) offsetof(struct gw_native_request, field)

/* clang-format off */
static const struct key keys[] = {
	{"after",         T_INT,    AT(after),         IN(ATTACH), 0, MAX_INT},
	{"code",          T_TEXT,   AT(code),          EXECUTES | ASKS, EXECUTES | ASKS, 0},
	{"context",       T_NAME,   AT(context),       EXECUTES | ASKS | IN(INTERRUPT) | IN(DELETE_CONTEXT) | IN(RESTART_CONTEXT),
	                                               ASKS | IN(DELETE_CONTEXT) | IN(RESTART_CONTEXT), 0},
	{"cursor_pos",    T_INT,    AT(cursor_pos),    ASKS, ASKS, MAX_INT},
	{"cwd",           T_NAME,   AT(cwd),           EXECUTES | IN(CREATE_CONTEXT), 0, 0},
	{"detach",        T_BOOL,   AT(detach),        IN(REST_EXECUTE), 0, 0},
	{"detail_level",  T_INT,    AT(detail_level),  IN(INSPECT), 0, 1},
	{"envs",          T_ENV,    AT(envs),          EXECUTES | IN(CREATE_CONTEXT) | IN(CREATE_SANDBOX), 0, 0},
	{"eof",           T_BOOL,   AT(eof),           IN(INPUT) | IN(REST_INPUT), 0, 0},
	{"execution",     T_NAME,   AT(execution),     IN(INPUT) | IN(INTERRUPT) | IN(ATTACH) | IN(DETACH),
	                                               IN(INPUT) | IN(ATTACH) | IN(DETACH), 0},
	{"kill_after_ms", T_INT,    AT(kill_after_ms), IN(INTERRUPT) | IN(REST_INTERRUPT), 0, MAX_INT},
	{"labels",        T_MAP,    AT(labels),        IN(CREATE_SANDBOX), 0, 0},
	{"language",      T_NAME,   AT(language),      EXECUTES | IN(CREATE_CONTEXT), 0, 0},
	{"name",          T_NAME,   AT(name),          IN(CREATE_SANDBOX), 0, 0},
	{"on_disconnect", T_ORPHAN, AT(finish),        EXECUTES, 0, 0},
	{"rich",          T_BOOL,   AT(rich),          EXECUTES, 0, 0},
	{"sandbox",       T_NAME,   AT(sandbox),       EXECUTES | IN(CREATE_CONTEXT) | IN(LIST_CONTEXTS) | IN(DELETE_SANDBOX),
	                                               IN(DELETE_SANDBOX), 0},
	{"silent",        T_BOOL,   AT(silent),        EXECUTES, 0, 0},
	{"stdin",         T_BOOL,   AT(stdin_ask),     EXECUTES, 0, 0},
	{"timeout_ms",    T_INT,    AT(timeout_ms),    EXECUTES | IN(CREATE_SANDBOX), 0, MAX_INT},
	{"value",         T_TEXT,   AT(value),         IN(INPUT) | IN(REST_INPUT), 0, 0},
	{"wait",          T_BOOL,   AT(wait),          IN(REST_EXECUTE), 0, 0},
};
/* clang-format on */

#define KEYS_N (sizeof(keys) / sizeof(keys[0]))

static const char *
type_name(const json_t *v)
{
	static const char *const names[] = {
	    [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",
	    [JSON_STRING] = "a string",  [JSON_INTEGER] = "an integer",
	    [JSON_REAL] = "a real",      [JSON_TRUE] = "true",
	    [JSON_FALSE] = "false",      [JSON_NULL] = "null",
	};

	return names[json_typeof(v)];
}

static int
expected(const char *key, const char *what, const json_t *v, struct err *err)
{
	return err_set(err, -EINVAL, "'%s' must be %s, not %s", key, what, type_name(v));
}

static bool
has_nul(const json_t *v)
{
	return strlen(json_string_value(v)) != json_string_length(v);
}

static int
read_name(const struct key *k, const json_t *v, const char **ret, struct err *err)
{
	if (!json_is_string(v))
		return expected(k->name, "a string", v, err);
	if (json_string_length(v) == 0 || json_string_length(v) > TEXT_MAX || has_nul(v))
		return err_set(err, -EINVAL,
		               "'%s' must have 1 to %d bytes and no NUL character", k->name,
		               TEXT_MAX);
	*ret = json_string_value(v);
	return 0;
}

static int
read_text(const struct key *k, const json_t *v, struct wire_slice *ret, struct err *err)
{
	if (!json_is_string(v))
		return expected(k->name, "a string", v, err);
	*ret = (struct wire_slice){json_string_value(v), json_string_length(v)};
	return 0;
}

static int
read_int(const struct key *k, const json_t *v, uint64_t *ret, struct err *err)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v))
		return expected(k->name, "an integer", v, err);
	if (n < 0 || n > k->max)
		return err_set(err, -EINVAL, "'%s' must be from 0 to %lld, not %lld", k->name,
		               (long long)k->max, (long long)n);
	*ret = (uint64_t)n;
	return 0;
}

static int
read_map(const struct key *k, json_t *v, json_t **ret, struct err *err)
{
	int rc;

	if (!json_is_object(v))
		return expected(k->name, "an object of strings", v, err);
	rc = k->type == T_ENV ? gw_env_check(v, k->name, err)
	                      : gw_strings_check(v, k->name, err);
	if (rc == 0)
		*ret = v;
	return rc;
}

static int
read_orphan(const struct key *k, const json_t *v, bool *ret, struct err *err)
{
	const char *s = json_string_value(v);

	if (s == NULL)
		return expected(k->name, "a string", v, err);
	if (strcmp(s, "finish") != 0 && strcmp(s, "interrupt") != 0)
		return err_set(err, -EINVAL, "'%s' must be \"finish\" or \"interrupt\"",
		               k->name);
	*ret = s[0] == 'f';
	return 0;
}

static int
read_key(const struct key *k, json_t *v, struct gw_native_request *rq, struct err *err)
{
	void *at = (char *)rq + k->offset;

	switch (k->type) {
	case T_NAME:
		return read_name(k, v, at, err);
	case T_TEXT:
		return read_text(k, v, at, err);
	case T_INT:
		return read_int(k, v, at, err);
	case T_MAP:
	case T_ENV:
		return read_map(k, v, (json_t **)at, err);
	case T_ORPHAN:
		return read_orphan(k, v, at, err);
	case T_BOOL:
		break;
	}
	if (!json_is_boolean(v))
		return expected(k->name, "true or false", v, err);
	*(bool *)at = json_is_true(v);
	return 0;
}

static const struct key *
find_key(const char *name, enum gw_native_op op)
{
	for (size_t i = 0; i < KEYS_N; i++) {
		if (strcmp(keys[i].name, name) == 0 && (keys[i].ops & (1U << op)) != 0)
			return &keys[i];
	}
	return NULL;
}

/* Keys that exclude or need one another. */
static int
check_together(const struct gw_native_request *rq, struct err *err)
{
	unsigned op = 1U << rq->op;
	bool given = rq->value.ptr != NULL;

	if ((op & EXECUTES) != 0 && rq->context != NULL &&
	    (rq->language != NULL || rq->sandbox != NULL))
		return err_set(err, -EINVAL, "'context' goes without 'language' and 'sandbox'");
	if ((op & IN(INTERRUPT)) != 0 && (rq->context != NULL) == (rq->execution != NULL))
		return err_set(err, -EINVAL, "give either 'execution' or 'context'");
	if ((op & (IN(INPUT) | IN(REST_INPUT))) != 0 && given == rq->eof)
		return err_set(err, -EINVAL, "give either 'value' or 'eof': true");
	if (rq->wait && (rq->detach || rq->stdin_ask))
		return err_set(err, -EINVAL, "'wait' goes without 'detach' and 'stdin'");
	return 0;
}

static int
read_keys(struct gw_native_request *rq, bool is_message, struct err *err)
{
	const char *name;
	json_t *v;
	int rc;

	json_object_foreach (rq->root, name, v) {
		const struct key *k = find_key(name, rq->op);
		char safe[LOG_SAFE_MAX];

		if (is_message && (strcmp(name, "id") == 0 || strcmp(name, "op") == 0))
			continue;
		if (k == NULL)
			return err_set(err, -EINVAL, "unknown key '%.64s'",
			               log_safe(name, strlen(name), safe));
		rc = read_key(k, v, rq, err);
		if (rc != 0)
			return rc;
	}
	for (size_t i = 0; i < KEYS_N; i++) {
		if ((keys[i].required & (1U << rq->op)) != 0 &&
		    json_object_get(rq->root, keys[i].name) == NULL)
			return err_set(err, -EINVAL, "'%s' is missing", keys[i].name);
	}
	return check_together(rq, err);
}

static int
load(const char *text, size_t len, struct gw_native_request *ret, struct err *err)
{
	json_error_t why;

	*ret = (struct gw_native_request){.op = GW_NATIVE_OP_N};
	if (!wire_json_is_few(text, len, GW_TEXT_VALUES_MAX))
		return err_set(err, -EINVAL, "has more than %u values", GW_TEXT_VALUES_MAX);
	ret->root = json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
	if (ret->root == NULL)
		return err_set(err, -EINVAL, "not JSON: %s (line %d, column %d)", why.text,
		               why.line, why.column);
	if (!json_is_object(ret->root))
		return err_set(err, -EINVAL, "must be a JSON object, not %s",
		               type_name(ret->root));
	return 0;
}

static int
read_id(struct gw_native_request *rq, struct err *err)
{
	const json_t *id = json_object_get(rq->root, "id");

	if (id == NULL)
		return err_set(err, -EINVAL, "'id' is missing");
	if (!json_is_string(id) && !json_is_integer(id))
		return expected("id", "a string or an integer", id, err);
	if (json_string_length(id) > TEXT_MAX)
		return err_set(err, -EINVAL, "'id' must have at most %d bytes", TEXT_MAX);
	rq->id = id;
	return 0;
}

static int
read_op(struct gw_native_request *rq, struct err *err)
{
	const json_t *v = json_object_get(rq->root, "op");
	const char *name = json_string_value(v);
	char safe[LOG_SAFE_MAX];

	if (v == NULL)
		return err_set(err, -EINVAL, "'op' is missing");
	if (name == NULL)
		return expected("op", "a string", v, err);
	for (unsigned i = 0; i < GW_NATIVE_OP_N; i++) {
		if (ops[i] != NULL && strcmp(ops[i], name) == 0 && !has_nul(v)) {
			rq->op = (enum gw_native_op)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "unknown op '%.64s'", log_safe(name, strlen(name), safe));
}

int
gw_native_request_parse(const char *text, size_t len, struct gw_native_request *ret,
                        struct err *err)
{
	int rc = load(text, len, ret, err);

	if (rc == 0)
		rc = read_id(ret, err);
	if (rc == 0)
		rc = read_op(ret, err);
	if (rc == 0)
		rc = read_keys(ret, true, err);
	return rc;
}

int
gw_native_request_parse_body(enum gw_native_op op, const char *text, size_t len,
                             struct gw_native_request *ret, struct err *err)
{
	int rc = len > 0 ? load(text, len, ret, err) : load("{}", 2, ret, err);

	ret->op = op;
	return rc == 0 ? read_keys(ret, false, err) : rc;
}

void
gw_native_request_fini(struct gw_native_request *rq)
{
	json_decref(rq->root);
	rq->root = NULL;
}
