/* Unit test of gateway/runconn: which addresses are this machine's, and get its token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/runconn.h"
#include "wire/base/err.h"

static void
only_loopback_is_local(void **state)
{
	static const struct {
		const char *url;
		bool local;
	} cases[] = {
	    {"http://127.0.0.1:8686", true},    {"http://127.9.8.7", true},
	    {"http://localhost:8686", true},    {"http://[::1]:8686", true},
	    {"https://localhost/below", true},  {"http://127.example.com:8686", false},
	    {"http://127.0.0.1.nip.io", false}, {"http://localhost.example.com", false},
	    {"http://192.0.2.1:8686", false},   {"http://[2001:db8::1]:8686", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_runconn *rc;
		struct err err;

		assert_int_equal(gw_runconn_new(cases[i].url, &rc, &err), 0);
		if (gw_runconn_is_local(rc) != cases[i].local)
			fail_msg("%s", cases[i].url);
		gw_runconn_free(rc);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(only_loopback_is_local)};

	return cmocka_run_group_tests_name("gateway/runconn", tests, NULL, NULL);
}
