/* gateway/dialects/e2b_body.c - see gateway/dialects/e2b.h: what the interpreter is asked.
 *
 * Refusals have the shape of FastAPI 0.111 with pydantic 2, which E2B's server is made of.
 */
#include <errno.h>
#include <string.h>

#include "gateway/dialects/e2b.h"
#include "gateway/sandbox.h"
#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/utf8.h"
#include "wire/json.h"

#define ECHO_MAX   (64U << 10) /* of a body that is told back to its sender */
#define FAULTS_MAX 100         /* told of one body: each takes a kilobyte */

/* A body being read. */
struct reader {
	json_t *root;
	json_t *detail; /* array; empty: all is well */
	bool echo;      /* values are told back */
};

/* --- what is wrong ------------------------------------------------------------------------ */

/* Add a fault of member (and of key in it), both may be NULL; or none where there are many. */
static void
fault(struct reader *r, const char *type, const char *member, const char *key, const char *msg,
      json_t *input)
{
	json_t *loc;

	if (json_array_size(r->detail) >= FAULTS_MAX)
		return;
	loc = json_pack("[s]", "body");
	if (member != NULL)
		json_array_append_new(loc, json_string(member));
	if (key != NULL)
		json_array_append_new(loc, json_string(key));
	json_array_append_new(
	    r->detail,
	    json_pack("{s:s, s:o, s:s, s:o}", "type", type, "loc", loc, "msg", msg, "input",
	              r->echo && input != NULL ? json_incref(input) : json_null()));
}

/* jansson's words quote the body, which may be anything. */
static void
fault_syntax(struct reader *r, const char *body, size_t len)
{
	json_error_t why = {.text = "", .position = 0};
	const char *text;

	json_decref(json_loadb(body, len, JSON_ALLOW_NUL | JSON_DECODE_ANY, &why));
	text = why.text[0] != '\0' ? why.text : "this is no JSON";
	json_array_append_new(
	    r->detail, json_pack("{s:s, s:[s, i], s:s, s:{}, s:{s:s%}}", "type", "json_invalid",
	                         "loc", "body", why.position, "msg", "JSON decode error",
	                         "input", "ctx", "error", text, utf8_span(text, strlen(text))));
}

static void
fault_value(struct reader *r, const char *member, const char *why, json_t *input)
{
	struct err err;

	(void)err_set(&err, 0, "Value error, %s", why);
	fault(r, "value_error", member, NULL, err.text, input);
}

/* --- reading ------------------------------------------------------------------------------ */

static void
begin(struct reader *r, const char *body, size_t len)
{
	*r = (struct reader){.detail = json_array(), .echo = len <= ECHO_MAX};
	if (len == 0) {
		fault(r, "missing", NULL, NULL, "Field required", NULL);
		return;
	}
	if (!wire_json_is_few(body, len, GW_TEXT_VALUES_MAX)) {
		fault(r, "too_long", NULL, NULL, "The body has more than 65536 values", NULL);
		return;
	}
	r->root = wire_json_parse(body, len);
	if (r->root == NULL)
		fault_syntax(r, body, len);
	else if (!json_is_object(r->root))
		fault(r, "model_attributes_type", NULL, NULL,
		      "Input should be a valid dictionary or object to extract fields from",
		      r->root);
}

/* Returns 0, or -EINVAL with *detail and nothing else left. */
static int
end(struct reader *r, json_t **detail)
{
	if (json_array_size(r->detail) == 0) {
		json_decref(r->detail);
		return 0;
	}
	json_decref(r->root);
	*detail = r->detail;
	return -EINVAL;
}

/* A string that may be missing, null or empty: NULL for all three. */
static const char *
optional_string(struct reader *r, const char *member)
{
	json_t *v = json_object_get(r->root, member);

	if (v == NULL || json_is_null(v))
		return NULL;
	if (!json_is_string(v))
		fault(r, "string_type", member, NULL, "Input should be a valid string", v);
	else if (strlen(json_string_value(v)) != json_string_length(v))
		fault_value(r, member, "it holds a NUL", v);
	return json_string_length(v) > 0 ? json_string_value(v) : NULL;
}

/* The same without the spaces around it, which E2B's server ignores here. */
static const char *
optional_word(struct reader *r, const char *member)
{
	static const char spaces[] = " \t\r\n";
	const char *s = optional_string(r, member);
	size_t skip = s != NULL ? strspn(s, spaces) : 0;
	size_t len = s != NULL ? strlen(s) : 0;

	if (s == NULL)
		return NULL;
	while (len > skip && strchr(spaces, s[len - 1]) != NULL)
		len--;
	json_object_set_new(r->root, member, json_stringn(s + skip, len - skip));
	return len > skip ? json_string_value(json_object_get(r->root, member)) : NULL;
}

static void
read_code(struct reader *r, struct gw_exec_request *rq)
{
	json_t *v = json_object_get(r->root, "code");

	if (v == NULL)
		fault(r, "missing", "code", NULL, "Field required", r->root);
	else if (!json_is_string(v))
		fault(r, "string_type", "code", NULL, "Input should be a valid string", v);
	rq->code = json_string_value(v);
	rq->code_len = json_string_length(v);
}

static void
read_envs(struct reader *r, struct gw_exec_request *rq)
{
	static const char member[] = "env_vars";
	json_t *o = json_object_get(r->root, member);
	size_t before = json_array_size(r->detail);
	const char *key;
	struct err err;
	json_t *v;

	if (o == NULL || json_is_null(o))
		return;
	if (!json_is_object(o)) {
		fault(r, "dict_type", member, NULL, "Input should be a valid dictionary", o);
		return;
	}
	if (json_object_size(o) <= GW_ENV_VARS_MAX)
		json_object_foreach (o, key, v)
			if (!json_is_string(v))
				fault(r, "string_type", member, key,
				      "Input should be a valid string", v);
	if (json_array_size(r->detail) == before && gw_env_check(o, member, &err) != 0)
		fault_value(r, member, err.text, o);
	rq->envs = o;
}

int
gw_e2b_parse_execute(const char *body, size_t len, struct gw_e2b_execute *ret, json_t **detail)
{
	struct gw_e2b_execute e = {
	    .rq = {.stdin_mode = GW_STDIN_DENY, .orphan = GW_ORPHAN_INTERRUPT, .rich = true}};
	struct reader r;
	int rc;

	begin(&r, body, len);
	if (json_is_object(r.root)) {
		read_code(&r, &e.rq);
		e.context = optional_string(&r, "context_id");
		e.language = optional_word(&r, "language");
		read_envs(&r, &e.rq);
	}
	rc = end(&r, detail);
	if (rc == 0) {
		e.root = r.root;
		*ret = e;
	}
	return rc;
}

int
gw_e2b_parse_context(const char *body, size_t len, struct gw_e2b_context *ret, json_t **detail)
{
	struct gw_e2b_context c = {0};
	struct reader r;
	int rc;

	begin(&r, body, len);
	if (json_is_object(r.root)) {
		c.language = optional_word(&r, "language");
		c.cwd = optional_string(&r, "cwd");
	}
	rc = end(&r, detail);
	if (rc == 0) {
		c.root = r.root;
		*ret = c;
	}
	return rc;
}
