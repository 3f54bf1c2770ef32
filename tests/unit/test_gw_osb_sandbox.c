/* Unit test of gateway/dialects/osb_{body,sandbox,list}.c: OpenSandbox's lifecycle. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_sandbox.h"
#include "gateway/time.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define IMAGE "\"image\": {\"uri\": \"i\"}"

/* --- asking ------------------------------------------------------------------------------- */

/* Call handler.  id is what its path names, or NULL; query or NULL. */
static void
ask(struct rig *r, struct gw_http *x, gw_http_fn *handler, const char *id,
    const struct fake_pair *query, const char *body)
{
	static char param[64];
	static char port[16];
	static const struct fake_pair params[] = {{"id", param}, {"port", port}, {NULL, NULL}};

	fake_http_init(x, "POST", "/");
	(void)snprintf(param, sizeof(param), "%s", id != NULL ? id : "");
	(void)snprintf(port, sizeof(port), "%s", body);
	x->params = id != NULL ? params : NULL;
	x->query = query;
	x->origin = "https://[::1]:8443";
	handler(r->core, x, body, strlen(body));
	rig_settle(r);
}

/* The JSON of the answer, which has that status; owned by the caller. */
static json_t *
answered(struct rig *r, gw_http_fn *handler, const char *id, const char *body, int status)
{
	struct gw_http x;
	json_t *v;

	ask(r, &x, handler, id, NULL, body);
	if (!x.ended || x.status != status)
		fail_msg("%d %s instead of %d for %s", x.status, x.body.data, status, body);
	v = json_loads(x.body.len > 0 ? x.body.data : "null", JSON_DECODE_ANY, NULL);
	fake_http_fini(&x);
	return v;
}

static const char *
text_at(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* The answer is an error with that code, whose message holds text. */
static void
refused(struct rig *r, gw_http_fn *handler, const char *id, const char *body, int status,
        const char *code, const char *text)
{
	json_t *o = answered(r, handler, id, body, status);

	if (strcmp(text_at(o, "code"), code) != 0 ||
	    strstr(text_at(o, "message"), text) == NULL)
		fail_msg("%s: %s instead of %s: ... %s", text_at(o, "code"),
		         text_at(o, "message"), code, text);
	assert_int_equal(json_object_size(o), 2);
	json_decref(o);
}

static void
done(struct rig *r, gw_http_fn *handler, const char *id, const char *body, int status)
{
	json_decref(answered(r, handler, id, body, status));
}

/* A sandbox made with body. */
static struct gw_sandbox *
made(struct rig *r, const char *body)
{
	json_t *o = answered(r, gw_osb_create, NULL, body, 202);
	struct gw_sandbox *sb = gw_sandbox_find(r->core, text_at(o, "id"));

	assert_non_null(sb);
	json_decref(o);
	return sb;
}

/* --- bodies of a create ------------------------------------------------------------------- */

static void
what_is_not_enforced_is_named(void **state)
{
	static const struct {
		const char *fields;
		const char *want;
	} cases[] = {
	    {"\"timeout\": 60", ""},
	    {"\"timeout\": null, \"volumes\": null, \"networkPolicy\": null", ""},
	    {"\"networkPolicy\": {}, \"volumes\": [], \"resourceLimits\": {}", ""},
	    {"\"secureAccess\": false, \"credentialProxy\": {\"enabled\": false}", ""},
	    {"\"secureAccess\": true", "secureAccess"},
	    {"\"resourceLimits\": {\"memory\": \"2Gi\", \"cpu\": \"1\"}",
	     "resourceLimits.memory, resourceLimits.cpu"},
	    {"\"resourceRequests\": {\"gpu\": \"1\"}", "resourceRequests.gpu"},
	    {"\"networkPolicy\": {\"defaultAction\": \"deny\", \"egress\": []}",
	     "networkPolicy"},
	    {"\"volumes\": [{\"name\": \"v\"}], \"networkPolicy\": {\"egress\": [1]}",
	     "networkPolicy, volumes"},
	    {"\"credentialProxy\": {\"enabled\": true}", "credentialProxy"},
	    {"\"lifecycle\": {\"preStart\": {\"command\": [\"x\"]}}", "lifecycle"},
	    {"\"platform\": {\"os\": \"windows\", \"arch\": \"amd64\"}", "platform"},
	    {"\"platform\": {\"os\": \"linux\", \"arch\": \"z80\"}", "platform"},
	    {"\"entrypoint\": [\"tail\", \"-f\", \"/dev/null\"]", ""},
	    {"\"entrypoint\": [\"sleep\", \"infinity\"]", ""},
	    {"\"entrypoint\": [\"/opt/opensandbox/code-interpreter.sh\"]", ""},
	    {"\"entrypoint\": [\"python\", \"main.py\"]", "entrypoint"},
	    {"\"entrypoint\": [\"tail\"]", "entrypoint"},
	    {"\"extensions\": {\"storage.id\": \"7\"}", ""},
	    {"\"extensions\": {\"access.renew.extend.seconds\": \"300\"}",
	     "extensions.access.renew.extend.seconds"},
	    {"\"new\\nfield\": 1, \"other\": {}, \"off\": false", "new\\x0afield"},
	};
	struct gw_osb_create c;
	char body[512];
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *have;

		(void)snprintf(body, sizeof(body), "{" IMAGE ", %s}", cases[i].fields);
		assert_int_equal(gw_osb_create_parse(body, strlen(body), &c, &err), 0);
		have = text_at(json_object_get(c.told, "notes"), GW_OSB_NOT_ENFORCED);
		if (strcmp(have, cases[i].want) != 0)
			fail_msg("%s: '%s'", body, have);
		gw_osb_create_fini(&c);
	}
}

static void
this_machine_is_a_platform(void **state)
{
	struct gw_osb_create c;
	struct utsname here;
	char body[128];
	struct err err;

	(void)state;
	assert_int_equal(uname(&here), 0);
	(void)snprintf(body, sizeof(body),
	               "{" IMAGE ", \"platform\": {\"os\": \"linux\", \"arch\": \"%s\"}}",
	               strcmp(here.machine, "aarch64") == 0 ? "arm64" : "amd64");
	assert_int_equal(gw_osb_create_parse(body, strlen(body), &c, &err), 0);
	assert_null(json_object_get(c.told, "notes"));
	assert_non_null(json_object_get(c.told, "platform"));
	gw_osb_create_fini(&c);
}

static void
an_image_with_a_secret_keeps_none(void **state)
{
	static const char body[] =
	    "{\"image\": {\"uri\": \"i\", \"auth\": {\"username\": \"u\", "
	    "\"password\": \"hush\"}}}";
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb = made(r, body);
	char *told = json_dumps(sb->told, 0);

	(void)state;
	assert_null(strstr(told, "hush"));
	assert_non_null(strstr(told, "image.auth"));
	mem_free(told);
	gw_sandbox_delete(sb, "");
	rig_end(r);
}

static void
bodies_that_are_refused(void **state)
{
	static const struct {
		const char *body;
		const char *text;
	} cases[] = {
	    {"", "error parsing request"},
	    {"[]", "not an object"},
	    {"{", "error parsing request"},
	    {"{}", "image is required"},
	    {"{\"image\": null}", "image is required"},
	    {"{\"image\": \"i\"}", "image: expected an object"},
	    {"{\"image\": {}}", "image.uri"},
	    {"{\"image\": {\"uri\": \" \"}}", "image.uri"},
	    {"{\"image\": {\"uri\": 1}}", "image.uri"},
	    {"{\"image\": {\"uri\": \"a\\u0000b\"}}", "error parsing request"},
	    {"{" IMAGE ", \"timeout\": 0}", "timeout"},
	    {"{" IMAGE ", \"timeout\": -1}", "timeout"},
	    {"{" IMAGE ", \"timeout\": 1.5}", "timeout: expected a whole number"},
	    {"{" IMAGE ", \"timeout\": true}", "timeout"},
	    {"{" IMAGE ", \"timeout\": \"60\"}", "timeout"},
	    {"{" IMAGE ", \"timeout\": 9223372036854775807}", "timeout"},
	    {"{" IMAGE ", \"env\": []}", "env: expected an object"},
	    {"{" IMAGE ", \"env\": {\"A\": 1}}", "env.A is not a string"},
	    {"{" IMAGE ", \"env\": {\"A=B\": \"1\"}}", "cannot be a variable's name"},
	    {"{" IMAGE ", \"metadata\": \"x\"}", "metadata: expected an object"},
	    {"{" IMAGE ", \"metadata\": {\"a\": null}}", "metadata.a is not a string"},
	    {"{" IMAGE ", \"metadata\": {\"kernelbridge.x\": \"\"}}", "reserved"},
	    {"{" IMAGE ", \"metadata\": {\"opensandbox.io/id\": \"\"}}", "reserved"},
	    {"{" IMAGE ", \"entrypoint\": []}", "entrypoint is empty"},
	    {"{" IMAGE ", \"entrypoint\": \"x\"}", "entrypoint: expected an array"},
	    {"{" IMAGE ", \"entrypoint\": [1]}", "entrypoint[0] is not a string"},
	    {"{" IMAGE ", \"extensions\": {\"a\": 1}}", "extensions.a is not a string"},
	    {"{" IMAGE ", \"platform\": {\"os\": \"linux\"}}", "platform"},
	    {"{" IMAGE ", \"platform\": \"linux\"}", "platform: expected an object"},
	    {"{" IMAGE ", \"resourceLimits\": {\"cpu\": 1}}", "resourceLimits.cpu"},
	    {"{" IMAGE ", \"resourceRequests\": []}", "resourceRequests"},
	    {"{" IMAGE ", \"networkPolicy\": \"deny\"}", "networkPolicy: expected an object"},
	    {"{" IMAGE ", \"volumes\": {}}", "volumes: expected an array"},
	    {"{" IMAGE ", \"secureAccess\": 1}", "secureAccess: expected true or false"},
	    {"{" IMAGE ", \"credentialProxy\": true}", "credentialProxy"},
	    {"{" IMAGE ", \"lifecycle\": []}", "lifecycle"},
	    {"{" IMAGE ", \"snapshotId\": 1}", "snapshotId: expected a string"},
	};
	static const char *const unserved[] = {
	    "{\"snapshotId\": \"s\"}",
	    "{" IMAGE ", \"snapshotId\": \"s\"}",
	    "{\"templateId\": \"t\"}",
	    "{" IMAGE ", \"extensions\": {\"poolRef\": \"p\"}}",
	};
	struct rig *r = rig_with_auth();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refused(r, gw_osb_create, NULL, cases[i].body, 400, GW_OSB_BAD_BODY,
		        cases[i].text);
	for (size_t i = 0; i < sizeof(unserved) / sizeof(unserved[0]); i++)
		refused(r, gw_osb_create, NULL, unserved[i], 400, GW_OSB_UNSUPPORTED, "");
	assert_int_equal(gw_metric[GW_M_SANDBOXES], 1);
	rig_end(r);
}

static void
bodies_that_are_too_large(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb = made(r, "{" IMAGE "}");
	char *body = mem_new(2U << 20);

	(void)state;
	(void)memset(body, ' ', (2U << 20) - 1);
	refused(r, gw_osb_create, NULL, body, 413, GW_OSB_BAD_BODY, "bytes");
	refused(r, gw_osb_event, NULL, body, 413, GW_OSB_BAD_BODY, "bytes");
	(void)memset(body, 'v', 70000);
	(void)memcpy(body, "{\"k\": \"", 7);
	(void)memcpy(body + 70000, "\"}", 3);
	refused(r, gw_osb_patch_metadata, sb->id.id, body, 400, GW_OSB_BAD_BODY, "65536");
	assert_int_equal(json_object_size(sb->labels), 0);
	(void)memset(body, ' ', (1U << 20) + 1);
	body[(1U << 20) + 1] = '\0';
	refused(r, gw_osb_patch_metadata, sb->id.id, body, 413, GW_OSB_BAD_BODY, "1048576");
	refused(r, gw_osb_renew, sb->id.id, body, 413, GW_OSB_BAD_BODY, "1048576");
	mem_free(body);
	gw_sandbox_delete(sb, "");
	rig_end(r);
}

/* What is only repeated. */
static void
what_is_too_long_to_be_told(void **state)
{
	static const struct {
		const char *begin;
		const char *end;
		const char *says;
	} cases[] = {
	    {"{" IMAGE ", \"entrypoint\": [\"", "\"]}", "entrypoint has more than 65536 bytes"},
	    {"{" IMAGE ", \"extensions\": {\"a\": \"", "\"}}",
	     "extensions has more than 65536 bytes"},
	    {"{" IMAGE ", \"platform\": {\"os\": \"linux\", \"arch\": \"", "\"}}",
	     "platform has more than 65536 bytes"},
	    {"{" IMAGE ", \"metadata\": {\"a\": \"", "\"}}",
	     "metadata has more than 65536 bytes"},
	    {"{\"image\": {\"uri\": \"", "\"}}", "image has more than 1024 bytes"},
	};
	struct rig *r = rig_with_auth();
	char *body = mem_new(66001);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)memset(body, 'v', 66000);
		(void)memcpy(body, cases[i].begin, strlen(cases[i].begin));
		(void)memcpy(body + 66000 - strlen(cases[i].end), cases[i].end,
		             strlen(cases[i].end));
		refused(r, gw_osb_create, NULL, body, 400, GW_OSB_BAD_BODY, cases[i].says);
	}
	mem_free(body);
	rig_end(r);
}

/* --- create and get ----------------------------------------------------------------------- */

static void
a_sandbox_is_made(void **state)
{
	static const char body[] =
	    "{\"image\": {\"uri\": \"i:1\"}, \"timeout\": 600, \"env\": {\"K\": \"V\"}, "
	    "\"metadata\": {\"a\": \"b\"}, \"entrypoint\": [\"x\", \"y\"], \"extensions\": "
	    "{\"e\": "
	    "\"f\"}, \"resourceLimits\": {\"cpu\": \"1\"}}";
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb;
	const json_t *metadata;
	struct gw_http x;
	char where[128];
	json_t *o;
	json_t *got;

	(void)state;
	ask(r, &x, gw_osb_create, NULL, NULL, body);
	assert_int_equal(x.status, 202);
	o = json_loads(x.body.data, 0, NULL);
	sb = gw_sandbox_find(r->core, text_at(o, "id"));
	assert_non_null(sb);
	(void)snprintf(where, sizeof(where), "Location: /v1/sandboxes/%s\n", sb->id.id);
	assert_string_equal(x.added.data, where);
	fake_http_fini(&x);

	assert_string_equal(text_at(json_object_get(o, "status"), "state"), "Running");
	assert_int_equal(gw_time_parse(text_at(o, "expiresAt")) -
	                     gw_time_parse(text_at(o, "createdAt")),
	                 600000);
	assert_string_equal(text_at(json_object_get(o, "image"), "uri"), "i:1");
	assert_string_equal(text_at(json_object_get(o, "extensions"), "e"), "f");
	assert_int_equal(json_array_size(json_object_get(o, "entrypoint")), 2);
	assert_null(json_object_get(o, "platform"));
	metadata = json_object_get(o, "metadata");
	assert_int_equal(json_object_size(metadata), 3);
	assert_string_equal(text_at(metadata, "a"), "b");
	assert_string_equal(text_at(metadata, GW_OSB_NOT_ENFORCED),
	                    "entrypoint, resourceLimits.cpu");
	assert_string_equal(text_at(metadata, GW_OSB_HOME), sb->home);
	assert_int_equal(json_object_size(sb->labels), 1); /* other dialects see no more */
	assert_string_equal(text_at(sb->env, "K"), "V");
	assert_true(list_empty(&sb->contexts));

	got = answered(r, gw_osb_get, sb->id.id, "", 200);
	assert_true(json_equal(got, o));
	json_decref(got);
	json_decref(o);
	gw_sandbox_delete(sb, "");
	rig_end(r);
}

/* No optional field is null: the SDKs read that as a value. */
static void
what_is_not_there_is_left_out(void **state)
{
	static const char *const want[] = {"id", "status", "createdAt", "metadata",
	                                   "entrypoint"};
	struct rig *r = rig_with_auth();
	json_t *o = answered(r, gw_osb_get, GW_SANDBOX_DEFAULT, "", 200);

	(void)state;
	assert_int_equal(json_object_size(o), sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_non_null(json_object_get(o, want[i]));
	assert_string_equal(
	    json_string_value(json_array_get(json_object_get(o, "entrypoint"), 0)), "tail");
	json_decref(o);
	rig_end(r);
}

static void
a_strict_gateway_refuses_policies(void **state)
{
	struct rig *r = rig_with_auth();

	(void)state;
	r->cfg->strict_policies = true;
	refused(r, gw_osb_create, NULL,
	        "{" IMAGE ", \"networkPolicy\": {\"defaultAction\": \"deny\"}, "
	        "\"resourceLimits\": {\"cpu\": \"1\"}}",
	        400, "POLICY_NOT_ENFORCED",
	        "networkPolicy, resourceLimits.cpu (strict_policies");
	assert_int_equal(gw_metric[GW_M_SANDBOXES], 1);
	gw_sandbox_delete(made(r, "{" IMAGE "}"), "");
	rig_end(r);
}

static void
versions_that_are_not_installed(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb;

	(void)state;
	rig_spec(r, "gonb",
	         "{\"argv\": [\"x\"], \"display_name\": \"Go\", \"language\": \"go\", "
	         "\"metadata\": {\"kernelbridge\": {\"version\": \"1.26.6\"}}}");
	sb = made(r, "{" IMAGE ", \"env\": {\"GO_VERSION\": \"1.24\", \"JAVA_VERSION\": "
	             "\"21\", \"NODE_VERSION\": \"\"}}");
	assert_string_equal(
	    text_at(json_object_get(sb->told, "notes"), GW_OSB_NOT_INSTALLED),
	    "JAVA_VERSION=21 (installed: none), GO_VERSION=1.24 (installed: 1.26.6)");
	gw_sandbox_delete(sb, "");
	r->cfg->strict_policies = true;
	refused(r, gw_osb_create, NULL, "{" IMAGE ", \"env\": {\"GO_VERSION\": \"1.24\"}}", 400,
	        "POLICY_NOT_ENFORCED", "GO_VERSION=1.24 (installed: 1.26.6)");
	sb = made(r, "{" IMAGE ", \"env\": {\"GO_VERSION\": \"1.26\"}}");
	assert_null(json_object_get(sb->told, "notes"));
	gw_sandbox_delete(sb, "");
	rig_end(r);
}

static void
too_many_sandboxes(void **state)
{
	struct rig *r = rig_with_auth();

	(void)state;
	r->cfg->max_sandboxes = 1;
	refused(r, gw_osb_create, NULL, "{" IMAGE "}", 429, "TOO_MANY_SANDBOXES", "limit");
	rig_end(r);
}

/* --- the rest of its life ----------------------------------------------------------------- */

static void
nobody_knows_it(void **state)
{
	static gw_http_fn *const handlers[] = {
	    gw_osb_get,    gw_osb_kill,     gw_osb_renew,          gw_osb_pause,
	    gw_osb_resume, gw_osb_endpoint, gw_osb_patch_metadata,
	};
	struct rig *r = rig_with_auth();

	(void)state;
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		refused(r, handlers[i], "no-such", "{}", 404, GW_OSB_NO_SANDBOX, "no-such");
	rig_end(r);
}

static void
the_default_sandbox_stays(void **state)
{
	struct rig *r = rig_with_auth();

	(void)state;
	refused(r, gw_osb_kill, GW_SANDBOX_DEFAULT, "", 409, "DEFAULT_SANDBOX", "killed");
	refused(r, gw_osb_pause, GW_SANDBOX_DEFAULT, "", 409, "DEFAULT_SANDBOX", "paused");
	refused(r, gw_osb_renew, GW_SANDBOX_DEFAULT, "{}", 409, "DEFAULT_SANDBOX", "expire");
	assert_non_null(gw_sandbox_find(r->core, GW_SANDBOX_DEFAULT));
	rig_end(r);
}

/* {"expiresAt": now + seconds} */
static const char *
renewal(long seconds)
{
	static char body[80];
	char at[32];

	gw_core_time((uint64_t)seconds * 1000, at);
	(void)snprintf(body, sizeof(body), "{\"expiresAt\": \"%s\"}", at);
	return body;
}

static void
renewing(void **state)
{
	static const char *const bad[] = {"{\"expiresAt\": \"2020-01-01T00:00:00Z\"}",
	                                  "{\"expiresAt\": \"tomorrow\"}",
	                                  "{\"expiresAt\": 1}",
	                                  "{\"expiresAt\": null}",
	                                  "{}",
	                                  "{\"expiresAt\": \"9999-01-01T00:00:00Z\"}"};
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb = made(r, "{" IMAGE "}");
	json_t *o;

	(void)state;
	assert_string_equal(sb->ends, "");
	o = answered(r, gw_osb_renew, sb->id.id, renewal(1000), 200);
	assert_string_equal(text_at(o, "expiresAt"), sb->ends);
	assert_int_equal(json_object_size(o), 1);
	assert_in_range(gw_time_parse(sb->ends) - gw_osb_now(), 990000, 1000100);
	json_decref(o);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(r, gw_osb_renew, sb->id.id, bad[i], 400, "INVALID_EXPIRATION",
		        "expiresAt");
	refused(r, gw_osb_renew, sb->id.id, "[]", 400, GW_OSB_BAD_BODY, "");
	assert_in_range(gw_time_parse(sb->ends) - gw_osb_now(), 980000, 1000100);
	gw_sandbox_delete(sb, "");
	rig_end(r);
}

static void
pausing(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb = made(r, "{" IMAGE ", \"timeout\": 1000}");
	const char *id = sb->id.id;
	json_t *o;

	(void)state;
	refused(r, gw_osb_resume, id, "", 409, "SANDBOX_NOT_PAUSED", "");
	done(r, gw_osb_pause, id, "", 202);
	o = answered(r, gw_osb_get, id, "", 200);
	assert_string_equal(text_at(json_object_get(o, "status"), "state"), "Paused");
	assert_null(json_object_get(o, "expiresAt"));
	json_decref(o);
	refused(r, gw_osb_pause, id, "", 409, "SANDBOX_PAUSED", id);
	refused(r, gw_osb_renew, id, renewal(1000), 409, "SANDBOX_PAUSED", "");
	refused(r, gw_osb_endpoint, id, "44772", 409, "SANDBOX_PAUSED", "");
	done(r, gw_osb_resume, id, "", 202);
	assert_in_range(gw_time_parse(sb->ends) - gw_osb_now(), 980000, 1000100);
	gw_sandbox_stop(sb, "stopped elsewhere");
	o = answered(r, gw_osb_get, id, "", 200);
	assert_string_equal(text_at(json_object_get(o, "status"), "reason"), "STOPPED");
	json_decref(o);
	done(r, gw_osb_resume, id, "", 202);
	assert_in_range(gw_time_parse(sb->ends) - gw_osb_now(), 980000, 1000100);
	done(r, gw_osb_kill, id, "", 204);
	assert_int_equal(gw_metric[GW_M_SANDBOXES], 1);
	rig_end(r);
}

static void
patching_metadata(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb =
	    made(r, "{" IMAGE ", \"metadata\": {\"a\": \"1\", \"b\": \"2\"}}");
	const char *id = sb->id.id;
	json_t *o = answered(r, gw_osb_patch_metadata, id,
	                     "{\"a\": null, \"b\": \"3\", \"c\": \"4\", \"d\": null}", 200);
	char *labels = json_dumps(sb->labels, JSON_COMPACT | JSON_SORT_KEYS);

	(void)state;
	assert_string_equal(labels, "{\"b\":\"3\",\"c\":\"4\"}");
	assert_string_equal(text_at(json_object_get(o, "metadata"), "c"), "4");
	assert_string_equal(text_at(o, "id"), id);
	json_decref(o);
	mem_free(labels);
	done(r, gw_osb_patch_metadata, id, "{}", 200);
	refused(r, gw_osb_patch_metadata, id, "{\"x\": 1, \"b\": null}", 400, GW_OSB_BAD_BODY,
	        "metadata.x");
	refused(r, gw_osb_patch_metadata, id, "{\"kernelbridge.home\": null}", 400,
	        GW_OSB_BAD_BODY, "reserved");
	refused(r, gw_osb_patch_metadata, id, "", 400, GW_OSB_BAD_BODY, "");
	assert_int_equal(json_object_size(sb->labels), 2);
	gw_sandbox_delete(sb, "");
	rig_end(r);
}

static void
endpoints(void **state)
{
	static const char *const bad[] = {"0", "65536", "99999", "-1",
	                                  "x", "",      "1e3",   "123456"};
	static const struct fake_pair signed_one[] = {{"expires", "1"}, {NULL, NULL}};
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb = made(r, "{" IMAGE "}");
	struct gw_http x;
	char want[128], *of;
	json_t *o;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *port = i == 0 ? "44772" : "18080";

		(void)snprintf(want, sizeof(want), "[::1]:8443/sandboxes/%s/proxy/%s",
		               sb->id.id, port);
		o = answered(r, gw_osb_endpoint, sb->id.id, port, 200);
		assert_string_equal(text_at(o, "endpoint"), want);
		of = gw_auth_token_sandbox(r->core->auth, text_at(json_object_get(o, "headers"),
		                                                  "X-EXECD-ACCESS-TOKEN"));
		assert_string_equal(of, sb->id.id);
		mem_free(of);
		json_decref(o);
	}
	o = answered(r, gw_osb_endpoint, sb->id.id, "8080", 200);
	assert_string_equal(text_at(o, "endpoint"), "[::1]:8080");
	assert_int_equal(json_object_size(o), 1);
	json_decref(o);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(r, gw_osb_endpoint, sb->id.id, bad[i], 400, "INVALID_PORT", "65535");
	ask(r, &x, gw_osb_endpoint, sb->id.id, signed_one, "44772");
	assert_int_equal(x.status, 400);
	assert_non_null(strstr(x.body.data, GW_OSB_UNSUPPORTED));
	fake_http_fini(&x);
	gw_sandbox_delete(sb, "");
	rig_end(r);
}

static void
events_of_sdks(void **state)
{
	struct rig *r = rig_with_auth();

	(void)state;
	done(r, gw_osb_event, NULL, "{\"eventType\": \"sandbox.create\"}", 204);
	refused(r, gw_osb_event, NULL, "nonsense", 400, GW_OSB_BAD_BODY, "");
	refused(r, gw_osb_event, NULL, "[]", 400, GW_OSB_BAD_BODY, "");
	rig_end(r);
}

/* --- lists -------------------------------------------------------------------------------- */

/* Ask for the list: its items by the value of their metadata "n", newest first. */
static void
list_is(struct rig *r, const struct fake_pair *query, const char *want, const char *pages)
{
	char have[64] = "";
	struct gw_http x;
	size_t i;
	json_t *all;
	const json_t *one;
	char *text;

	ask(r, &x, gw_osb_list, NULL, query, "");
	if (x.status != 200)
		fail_msg("%s", x.body.data);
	all = json_loads(x.body.data, 0, NULL);
	fake_http_fini(&x);
	json_array_foreach (json_object_get(all, "items"), i, one)
		(void)snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s ",
		               text_at(json_object_get(one, "metadata"), "n"));
	text = json_dumps(json_object_get(all, "pagination"), JSON_COMPACT);
	if (strcmp(have, want) != 0 || strcmp(text, pages) != 0)
		fail_msg("'%s' %s instead of '%s' %s", have, text, want, pages);
	mem_free(text);
	json_decref(all);
}

#define PAGE(page, size, items, pages, more)                                                   \
	"{\"page\":" #page ",\"pageSize\":" #size ",\"totalItems\":" #items                    \
	",\"totalPages\":" #pages ",\"hasNextPage\":" #more "}"

static void
lists(void **state)
{
	static const struct {
		struct fake_pair query[4];
		const char *want;
		const char *pages;
	} cases[] = {
	    {{{NULL, NULL}}, "3 2 1  ", PAGE(1, 20, 4, 1, false)},
	    {{{"state", "Running"}}, "3 1  ", PAGE(1, 20, 3, 1, false)},
	    {{{"state", "paused"}}, "2 ", PAGE(1, 20, 1, 1, false)},
	    {{{"state", "Paused"}, {"state", "Running"}}, "3 2 1  ", PAGE(1, 20, 4, 1, false)},
	    {{{"state", "Failed"}}, "", PAGE(1, 20, 0, 0, false)},
	    {{{"metadata", "k=a%20b"}}, "3 1 ", PAGE(1, 20, 2, 1, false)},
	    {{{"metadata", "k=a b&n=1"}}, "1 ", PAGE(1, 20, 1, 1, false)},
	    {{{"metadata", "kernelbridge.not-enforced=volumes"}},
	     "2 ",
	     PAGE(1, 20, 1, 1, false)},
	    {{{"metadata", ""}, {"pageSize", "2"}}, "3 2 ", PAGE(1, 2, 4, 2, true)},
	    {{{"page", "2"}, {"pageSize", "2"}}, "1  ", PAGE(2, 2, 4, 2, false)},
	    {{{"page", "3"}, {"pageSize", "2"}}, "", PAGE(3, 2, 4, 2, false)},
	    {{{"state", "Running"}, {"metadata", "n=2"}}, "", PAGE(1, 20, 0, 0, false)},
	};
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb[] = {
	    made(r, "{" IMAGE ", \"metadata\": {\"n\": \"1\", \"k\": \"a b\"}}"),
	    made(r, "{" IMAGE ", \"metadata\": {\"n\": \"2\"}, \"volumes\": [1]}"),
	    made(r, "{" IMAGE ", \"metadata\": {\"n\": \"3\", \"k\": \"a b\"}}")};

	(void)state;
	gw_sandbox_pause(sb[1]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		list_is(r, cases[i].query, cases[i].want, cases[i].pages);
	for (size_t i = 0; i < 3; i++)
		gw_sandbox_delete(sb[i], "");
	rig_end(r);
}

static void
lists_that_are_refused(void **state)
{
	static const struct fake_pair cases[] = {
	    {"page", "0"},
	    {"page", "-1"},
	    {"page", "x"},
	    {"page", ""},
	    {"page", "1.5"},
	    {"page", "1000001"},
	    {"pageSize", "0"},
	    {"pageSize", "201"},
	    {"pageSize", "1 "},
	    {"metadata", "a"},
	    {"metadata", "a=1&b"},
	    {"metadata", "&"},
	    {"page", "99999999999999999999"},
	};
	struct rig *r = rig_with_auth();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fake_pair query[] = {cases[i], {NULL, NULL}};
		struct gw_http x;

		ask(r, &x, gw_osb_list, NULL, query, "");
		if (x.status != 400 || strstr(x.body.data, cases[i].name) == NULL)
			fail_msg("%s=%s: %s", cases[i].name, cases[i].value, x.body.data);
		fake_http_fini(&x);
	}
	rig_end(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_enforced_is_named),
	    cmocka_unit_test(this_machine_is_a_platform),
	    cmocka_unit_test(an_image_with_a_secret_keeps_none),
	    cmocka_unit_test(bodies_that_are_refused),
	    cmocka_unit_test(bodies_that_are_too_large),
	    cmocka_unit_test(what_is_too_long_to_be_told),
	    cmocka_unit_test(a_sandbox_is_made),
	    cmocka_unit_test(what_is_not_there_is_left_out),
	    cmocka_unit_test(a_strict_gateway_refuses_policies),
	    cmocka_unit_test(versions_that_are_not_installed),
	    cmocka_unit_test(too_many_sandboxes),
	    cmocka_unit_test(nobody_knows_it),
	    cmocka_unit_test(the_default_sandbox_stays),
	    cmocka_unit_test(renewing),
	    cmocka_unit_test(pausing),
	    cmocka_unit_test(patching_metadata),
	    cmocka_unit_test(endpoints),
	    cmocka_unit_test(events_of_sdks),
	    cmocka_unit_test(lists),
	    cmocka_unit_test(lists_that_are_refused),
	};

	return cmocka_run_group_tests_name("gw/osb_sandbox", tests, NULL, NULL);
}
