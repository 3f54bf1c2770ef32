/* Unit test of gateway/dialects/osb_files_body: what clients ask of files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/osb_files.h"
#include "gateway/fs.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

typedef int read_fn(const char *body, size_t len, json_t **ret, struct err *err);

static struct err err;

/* Read body, which must be good; owned by the caller. */
static json_t *
good(read_fn *read, const char *body)
{
	json_t *all = NULL;

	if (read(body, strlen(body), &all, &err) != 0)
		fail_msg("%s: %s", body, err.text);
	return all;
}

/* Read body, which must be refused with words that have why. */
static void
bad(read_fn *read, const char *body, const char *why)
{
	json_t *all = NULL;

	assert_int_equal(read(body, strlen(body), &all, &err), -EINVAL);
	assert_null(all);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s: %s", body, err.text);
}

static mode_t
mode_of(const char *item)
{
	json_t *o = json_loads(item, 0, NULL);
	mode_t mode = gw_osb_files_mode(o);

	json_decref(o);
	return mode;
}

static void
modes(void **state)
{
	(void)state;
	assert_int_equal(mode_of("{\"mode\": 755}"), 0755);
	assert_int_equal(mode_of("{\"mode\": 7}"), 07);
	assert_int_equal(mode_of("{\"mode\": 640}"), 0640);
	assert_int_equal(mode_of("{\"mode\": 777}"), 0777);
	assert_int_equal(mode_of("{\"mode\": 0}"), GW_FS_MODE_KEEP);
	assert_int_equal(mode_of("{\"mode\": null}"), GW_FS_MODE_KEEP);
	assert_int_equal(mode_of("{}"), GW_FS_MODE_KEEP);
}

static void
permissions(void **state)
{
	read_fn *read = gw_osb_files_permissions;
	json_t *all;

	(void)state;
	all = good(read,
	           "{\"a\": {\"mode\": 755, \"owner\": null, \"group\": \"g\"}, \"b\": {}}");
	assert_int_equal(json_object_size(all), 2);
	json_decref(all);
	json_decref(good(read, "{}"));
	json_decref(good(read, "{\"a\": {\"other\": [1]}}"));
	bad(read, "{\"a/b\": {\"mode\": 778}}", "a/b: mode");
	bad(read, "{\"a\": {\"mode\": 788}}", "mode");
	bad(read, "{\"a\": {\"mode\": 1777}}", "mode");
	bad(read, "{\"a\": {\"mode\": 493}}", "mode");
	bad(read, "{\"a\": {\"mode\": -1}}", "mode");
	bad(read, "{\"a\": {\"mode\": 6.0}}", "mode");
	bad(read, "{\"a\": {\"mode\": \"755\"}}", "mode");
	bad(read, "{\"a\": {\"mode\": true}}", "mode");
	bad(read, "{\"a\": {\"owner\": 5}}", "a: owner is not a string");
	bad(read, "{\"a\": {\"group\": {}}}", "a: group is not a string");
	bad(read, "{\"a\": 755}", "a: is not an object");
	bad(read, "{\"a\": null}", "a: is not an object");
	bad(read, "[]", "not an object");
	bad(read, "null", "error parsing request");
	bad(read, "", "error parsing request");
	bad(read, "{\"a\": {}", "error parsing request");
	bad(read, "{\"a\\u0000b\": {}}", "error parsing request");
	bad(read, "{\"a\": {\"owner\": \"x\\u0000\"}}", "error parsing request");
}

static void
replacements(void **state)
{
	read_fn *read = gw_osb_files_replacements;

	(void)state;
	json_decref(good(read, "{\"a\": {\"old\": \"x\", \"new\": \"\"}}"));
	json_decref(good(read, "{\"a\": {\"old\": \"x\"}}"));
	bad(read, "{\"a\": {\"old\": \"\", \"new\": \"x\"}}",
	    "a: old content must not be empty");
	bad(read, "{\"a\": {\"new\": \"x\"}}", "old content must not be empty");
	bad(read, "{\"a\": {\"old\": 1, \"new\": \"x\"}}", "a: old is not a string");
	bad(read, "{\"a\": {\"old\": \"x\", \"new\": []}}", "a: new is not a string");
	bad(read, "{\"a\": \"x\"}", "a: is not an object");
	bad(read, "[{}]", "not an object");
}

static void
moves(void **state)
{
	read_fn *read = gw_osb_files_moves;

	(void)state;
	json_decref(good(read, "[{\"src\": \"a\", \"dest\": \"b\"}]"));
	json_decref(good(read, "[]"));
	bad(read, "[{\"src\": \"a\"}]", "no dest");
	bad(read, "[{\"src\": \"a\", \"dest\": \"\"}]", "no dest");
	bad(read, "[{\"dest\": \"a\"}]", "no src");
	bad(read, "[{\"src\": 1, \"dest\": \"b\"}]", "src is not a string");
	bad(read, "[\"a\"]", "not an object");
	bad(read, "[{\"src\": \"a\", \"dest\": \"b\"}, {\"src\": 1}, 2]",
	    "item 1: src is not a string");
	bad(read, "[{\"src\": \"a\", \"dest\": \"b\"}, 2]", "item 1 is not an object");
	bad(read, "{\"src\": \"a\", \"dest\": \"b\"}", "not an array");
}

static void
too_many(void **state)
{
	json_t *all = NULL;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_append(&b, "[", 1), 0);
	for (unsigned i = 0; i <= GW_OSB_FILES_MAX; i++)
		assert_int_equal(
		    buf_printf(&b, "%s{\"src\": \"a\", \"dest\": \"b\"}", i > 0 ? "," : ""), 0);
	assert_int_equal(buf_append(&b, "]", 1), 0);
	assert_int_equal(gw_osb_files_moves(b.data, b.len, &all, &err), -EMSGSIZE);
	assert_null(all);
	buf_fini(&b);
}

static void
depths(void **state)
{
	static const char *const no[] = {
	    "-1",  "+1", " 1", "1 ",         "1.5",
	    "0x1", "a",  "-",  "2147483648", "99999999999999999999"};
	unsigned n = 9;

	(void)state;
	assert_int_equal(gw_osb_files_depth(NULL, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(gw_osb_files_depth("", &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(gw_osb_files_depth("0", &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(gw_osb_files_depth("2147483647", &n, &err), 0);
	assert_int_equal(n, 2147483647);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_int_equal(gw_osb_files_depth(no[i], &n, &err), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(modes),        cmocka_unit_test(permissions),
	    cmocka_unit_test(replacements), cmocka_unit_test(moves),
	    cmocka_unit_test(too_many),     cmocka_unit_test(depths),
	};

	return cmocka_run_group_tests_name("gw/osb_files", tests, NULL, NULL);
}
