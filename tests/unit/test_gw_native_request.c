/* Unit test of gateway/dialects/native_request: what is read, and how what is wrong is named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/native_request.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

static int
parse(const char *text, struct gw_native_request *rq, struct err *err)
{
	return gw_native_request_parse(text, strlen(text), rq, err);
}

static void
execute_with_every_key(void **state)
{
	struct gw_native_request rq;
	struct err err;

	(void)state;
	assert_int_equal(
	    parse("{\"id\": \"r1\", \"op\": \"execute\", \"code\": \"a\\u0000b\","
	          "\"language\": \"python\", \"sandbox\": \"s\", \"envs\": {\"K\": \"v\"},"
	          "\"timeout_ms\": 1500, \"stdin\": true, \"silent\": true,"
	          "\"on_disconnect\": \"finish\"}",
	          &rq, &err),
	    0);
	assert_int_equal(rq.op, GW_NATIVE_EXECUTE);
	assert_string_equal(json_string_value(rq.id), "r1");
	assert_int_equal(rq.code.len, 3);
	assert_memory_equal(rq.code.ptr, "a\0b", 3);
	assert_string_equal(rq.language, "python");
	assert_string_equal(rq.sandbox, "s");
	assert_string_equal(json_string_value(json_object_get(rq.envs, "K")), "v");
	assert_int_equal(rq.timeout_ms, 1500);
	assert_true(rq.stdin_ask && rq.silent && rq.finish);
	assert_null(rq.context);
	gw_native_request_fini(&rq);
}

static void
every_op_is_known(void **state)
{
	static const struct {
		enum gw_native_op op;
		const char *json;
	} cases[] = {
	    {GW_NATIVE_EXECUTE,
	     "{\"id\":1,\"op\":\"execute\",\"code\":\"\",\"context\":\"c\"}"},
	    {GW_NATIVE_INPUT, "{\"id\":1,\"op\":\"input\",\"execution\":\"e\",\"value\":\"\"}"},
	    {GW_NATIVE_INPUT, "{\"id\":1,\"op\":\"input\",\"execution\":\"e\",\"eof\":true}"},
	    {GW_NATIVE_INTERRUPT, "{\"id\":1,\"op\":\"interrupt\",\"execution\":\"e\"}"},
	    {GW_NATIVE_INTERRUPT,
	     "{\"id\":1,\"op\":\"interrupt\",\"context\":\"c\",\"kill_after_ms\":1}"},
	    {GW_NATIVE_ATTACH, "{\"id\":1,\"op\":\"attach\",\"execution\":\"e\",\"after\":3}"},
	    {GW_NATIVE_DETACH, "{\"id\":1,\"op\":\"detach\",\"execution\":\"e\"}"},
	    {GW_NATIVE_CREATE_CONTEXT, "{\"id\":1,\"op\":\"create_context\",\"cwd\":\"/\"}"},
	    {GW_NATIVE_LIST_CONTEXTS, "{\"id\":1,\"op\":\"list_contexts\"}"},
	    {GW_NATIVE_DELETE_CONTEXT,
	     "{\"id\":1,\"op\":\"delete_context\",\"context\":\"c\"}"},
	    {GW_NATIVE_RESTART_CONTEXT,
	     "{\"id\":1,\"op\":\"restart_context\",\"context\":\"c\"}"},
	    {GW_NATIVE_COMPLETE,
	     "{\"id\":1,\"op\":\"complete\",\"context\":\"c\",\"code\":\"\",\"cursor_pos\":0}"},
	    {GW_NATIVE_INSPECT, "{\"id\":1,\"op\":\"inspect\",\"context\":\"c\",\"code\":\"\","
	                        "\"cursor_pos\":0,\"detail_level\":1}"},
	    {GW_NATIVE_LIST_KERNELSPECS, "{\"id\":1,\"op\":\"list_kernelspecs\"}"},
	    {GW_NATIVE_CREATE_SANDBOX,
	     "{\"id\":1,\"op\":\"create_sandbox\",\"labels\":{\"a=\":\"b\"}}"},
	    {GW_NATIVE_LIST_SANDBOXES, "{\"id\":1,\"op\":\"list_sandboxes\"}"},
	    {GW_NATIVE_DELETE_SANDBOX,
	     "{\"id\":1,\"op\":\"delete_sandbox\",\"sandbox\":\"s\"}"},
	    {GW_NATIVE_PING, "{\"id\":1,\"op\":\"ping\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_native_request rq;
		struct err err;

		if (parse(cases[i].json, &rq, &err) != 0)
			fail_msg("%s: %s", cases[i].json, err.text);
		assert_int_equal(rq.op, cases[i].op);
		gw_native_request_fini(&rq);
	}
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *json;
		bool has_id;
		const char *says;
	} cases[] = {
	    {"", false, "not JSON: "},
	    {"{\"id\": 1, \"op\": ", false, "not JSON: "},
	    {"{\"id\": 1, \"op\": \"\\ud800\"}", false, "not JSON: "},
	    {"[]", false, "must be a JSON object, not an array"},
	    {"{\"op\": \"ping\"}", false, "'id' is missing"},
	    {"{\"id\": null, \"op\": \"ping\"}", false,
	     "'id' must be a string or an integer, not null"},
	    {"{\"id\": 1.5, \"op\": \"ping\"}", false,
	     "'id' must be a string or an integer, not a real"},
	    {"{\"id\": 1}", true, "'op' is missing"},
	    {"{\"id\": 1, \"op\": 2}", true, "'op' must be a string, not an integer"},
	    {"{\"id\": 1, \"op\": \"fly\"}", true, "unknown op 'fly'"},
	    {"{\"id\": 1, \"op\": \"ping\\u0000\"}", true, "unknown op 'ping'"},
	    {"{\"id\": 1, \"op\": \"rest\"}", true, "unknown op 'rest'"},
	    {"{\"id\": 1, \"op\": \"ping\", \"code\": \"\"}", true, "unknown key 'code'"},
	    {"{\"id\": 1, \"op\": \"execute\"}", true, "'code' is missing"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": 1}", true,
	     "'code' must be a string, not an integer"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"timeout\": 3}", true,
	     "unknown key 'timeout'"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"timeout_ms\": -1}", true,
	     "'timeout_ms' must be from 0 to 9007199254740992, not -1"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"timeout_ms\": 1.5}", true,
	     "'timeout_ms' must be an integer, not a real"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"timeout_ms\": "
	     "99999999999999999999}",
	     false, "not JSON: too big integer"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"stdin\": 1}", true,
	     "'stdin' must be true or false, not an integer"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"envs\": [\"a\"]}", true,
	     "'envs' must be an object of strings, not an array"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"envs\": {\"A\": 1}}", true,
	     "envs.A"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"envs\": {\"A=B\": \"\"}}",
	     true, "A=B"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"envs\": {\"A\": \"\\u0000\"}}",
	     true, "envs.A"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"on_disconnect\": \"die\"}",
	     true, "'on_disconnect' must be \"finish\" or \"interrupt\""},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"context\": \"\"}", true,
	     "'context' must have 1 to 4096 bytes"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"context\": \"a\\u0000\"}",
	     true, "no NUL"},
	    {"{\"id\": 1, \"op\": \"execute\", \"code\": \"\", \"context\": \"c\", "
	     "\"language\": \"r\"}",
	     true, "'context' goes without 'language' and 'sandbox'"},
	    {"{\"id\": 1, \"op\": \"interrupt\"}", true, "either 'execution' or 'context'"},
	    {"{\"id\": 1, \"op\": \"interrupt\", \"execution\": \"e\", \"context\": \"c\"}",
	     true, "either 'execution' or 'context'"},
	    {"{\"id\": 1, \"op\": \"input\", \"execution\": \"e\"}", true,
	     "either 'value' or 'eof'"},
	    {"{\"id\": 1, \"op\": \"input\", \"execution\": \"e\", \"value\": \"\", \"eof\": "
	     "true}",
	     true, "either 'value' or 'eof'"},
	    {"{\"id\": 1, \"op\": \"inspect\", \"context\": \"c\", \"code\": \"\", "
	     "\"cursor_pos\": 0,"
	     "\"detail_level\": 2}",
	     true, "'detail_level' must be from 0 to 1, not 2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_native_request rq;
		struct err err = {""};

		if (parse(cases[i].json, &rq, &err) != -EINVAL)
			fail_msg("accepted: %s", cases[i].json);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].json, err.text);
		if ((rq.id != NULL) != cases[i].has_id)
			fail_msg("id of %s", cases[i].json);
		gw_native_request_fini(&rq);
	}
}

static void
nesting_and_number_have_an_end(void **state)
{
	struct gw_native_request rq;
	struct err err;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(buf_append(&b, "[", 1), 0);
	assert_int_equal(gw_native_request_parse(b.data, b.len, &rq, &err), -EINVAL);
	assert_non_null(strstr(err.text, "depth"));
	gw_native_request_fini(&rq);
	for (int i = 0; i < 65536; i++)
		assert_int_equal(buf_append(&b, ",", 1), 0);
	assert_int_equal(gw_native_request_parse(b.data, b.len, &rq, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 65536 values"));
	gw_native_request_fini(&rq);
	buf_fini(&b);
}

static void
bodies_have_no_id_and_no_op(void **state)
{
	static const struct {
		enum gw_native_op op;
		const char *json;
		const char *says; /* NULL: fine */
	} cases[] = {
	    {GW_NATIVE_CREATE_CONTEXT, "", NULL},
	    {GW_NATIVE_CREATE_CONTEXT, "{\"language\": \"python\"}", NULL},
	    {GW_NATIVE_CREATE_CONTEXT, "{\"id\": 1}", "unknown key 'id'"},
	    {GW_NATIVE_REST_EXECUTE, "", "'code' is missing"},
	    {GW_NATIVE_REST_EXECUTE, "{\"code\": \"1\", \"wait\": true}", NULL},
	    {GW_NATIVE_REST_EXECUTE, "{\"code\": \"1\", \"wait\": true, \"detach\": true}",
	     "'wait'"},
	    {GW_NATIVE_REST_EXECUTE, "{\"code\": \"1\", \"wait\": true, \"stdin\": true}",
	     "'wait'"},
	    {GW_NATIVE_REST_INPUT, "{}", "either 'value' or 'eof'"},
	    {GW_NATIVE_REST_INTERRUPT, "{\"execution\": \"e\"}", "unknown key 'execution'"},
	    {GW_NATIVE_REST_EMPTY, "{\"a\": 1}", "unknown key 'a'"},
	    {GW_NATIVE_REST_EMPTY, "null", "must be a JSON object, not null"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_native_request rq;
		struct err err = {""};
		int rc = gw_native_request_parse_body(cases[i].op, cases[i].json,
		                                      strlen(cases[i].json), &rq, &err);

		if ((rc == 0) != (cases[i].says == NULL))
			fail_msg("%s: %d %s", cases[i].json, rc, err.text);
		if (rc != 0 && strstr(err.text, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].json, err.text);
		gw_native_request_fini(&rq);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(execute_with_every_key),
	    cmocka_unit_test(every_op_is_known),
	    cmocka_unit_test(what_is_wrong_is_named),
	    cmocka_unit_test(nesting_and_number_have_an_end),
	    cmocka_unit_test(bodies_have_no_id_and_no_op),
	};

	return cmocka_run_group_tests_name("gw/native_request", tests, NULL, NULL);
}
