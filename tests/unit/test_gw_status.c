/* Unit test of gateway/status: every code of the closed set, and what is not in it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/status.h"

static void
codes(void **state)
{
	static const struct {
		int rc;
		int http;
		const char *word;
	} cases[] = {
	    {0, 200, "ok"},
	    {-EINVAL, 400, "invalid"},
	    {-EBADMSG, 400, "invalid"},
	    {-EACCES, 403, "forbidden"},
	    {-ENOENT, 404, "not_found"},
	    {-EEXIST, 409, "exists"},
	    {-EMSGSIZE, 413, "too_large"},
	    {-EBUSY, 429, "busy"},
	    {-ENOMEM, 429, "busy"},
	    {-ECANCELED, 503, "stopping"},
	    {-ETIMEDOUT, 504, "timeout"},
	    {-EIO, 500, "failed"},
	    {-EPIPE, 500, "failed"},
	    {-EPERM, 500, "failed"},
	    {EINVAL, 500, "failed"}, /* no -errno at all */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(gw_status_http(cases[i].rc), cases[i].http);
		assert_string_equal(gw_status_word(cases[i].rc), cases[i].word);
	}
}

static void
phrases(void **state)
{
	(void)state;
	assert_string_equal(gw_status_phrase(200), "OK");
	assert_string_equal(gw_status_phrase(404), "Not Found");
	assert_string_equal(gw_status_phrase(502), "Bad Gateway");
	assert_string_equal(gw_status_phrase(599), "Error");
	assert_string_equal(gw_status_phrase(0), "Error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(codes),
	    cmocka_unit_test(phrases),
	};

	return cmocka_run_group_tests_name("gw/status", tests, NULL, NULL);
}
