/* Unit test of gateway/origin: which names and pages may use a gateway. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/origin.h"

static const char *const hosts[] = {"gw.example", NULL};
static const char *const origins[] = {"https://ide.example", NULL};
static const char *const any[] = {"*", NULL};

static const struct gw_origin_rules loopback = {
    .own = "127.0.0.1", .allow_hosts = hosts, .allow_origins = origins};
static const struct gw_origin_rules lan = {.own = "0.0.0.0", .any_literal = true};

static void
host_names(void **state)
{
	static const char *const good[] = {"localhost",  "LOCALHOST:80",   "localhost.:80",
	                                   "127.0.0.1",  "127.9.8.7:8686", "[::1]:8686",
	                                   "[::1]",      "a.localhost:1",  "gw.example:8686",
	                                   "GW.example", "127.0.0.1:"};
	static const char *const bad[] = {"evil.example",
	                                  "localhost.evil.example",
	                                  "evil.example:127",
	                                  "127.0.0.1.evil.example",
	                                  "127.0.0.1@evil.example",
	                                  "1.2.3.4",
	                                  "[::2]",
	                                  "",
	                                  ":80",
	                                  "localhost:8x",
	                                  "localhost:123456",
	                                  "[::1",
	                                  "[::1]x",
	                                  "127.1",
	                                  "0x7f000001",
	                                  "2130706433",
	                                  ".localhost",
	                                  "xlocalhost"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!gw_origin_host_ok(&loopback, good[i]))
			fail_msg("refused %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (gw_origin_host_ok(&loopback, bad[i]))
			fail_msg("allowed %s", bad[i]);
}

static void
beyond_loopback_any_address_will_do(void **state)
{
	(void)state;
	assert_true(gw_origin_host_ok(&lan, "192.168.1.7:8686"));
	assert_true(gw_origin_host_ok(&lan, "[2001:db8::1]:8686"));
	assert_true(gw_origin_host_ok(&lan, "localhost"));
	assert_false(gw_origin_host_ok(&lan, "gw.example"));
	assert_true(
	    gw_origin_host_ok(&(struct gw_origin_rules){.allow_hosts = any}, "x.example"));
}

static void
names_below_a_domain(void **state)
{
	static const struct gw_origin_rules named = {.domain = "Boxes.example"};
	static const struct gw_origin_rules with_port = {.domain = "boxes.example:8443"};
	static const char *const good[] = {"49999-abc.boxes.example", "a.b.BOXES.example:8443",
	                                   "x.boxes.example.:1"};
	static const char *const bad[] = {"boxes.example",
	                                  ".boxes.example",
	                                  "x.example",
	                                  "xboxes.example",
	                                  "49999-abc.boxes.example.evil",
	                                  "a.boxes.examplf"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!gw_origin_host_ok(&named, good[i]) ||
		    !gw_origin_host_ok(&with_port, good[i]))
			fail_msg("refused %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (gw_origin_host_ok(&named, bad[i]) || gw_origin_host_ok(&with_port, bad[i]))
			fail_msg("allowed %s", bad[i]);
	assert_false(gw_origin_host_ok(&(struct gw_origin_rules){.domain = ""}, "x.example"));
	assert_false(
	    gw_origin_host_ok(&(struct gw_origin_rules){.domain = ":80"}, "x.example"));
}

static void
pages(void **state)
{
	static const struct {
		bool ok;
		const char *origin, *self;
	} cases[] = {
	    {true, "http://localhost:8686", "http://localhost:8686"},
	    {true, "HTTP://LocalHost:8686", "http://localhost:8686"},
	    {true, "http://localhost", "http://localhost:80"},
	    {true, "https://localhost:443", "https://localhost"},
	    {true, "http://[::1]:1", "http://[::1]:1"},
	    {true, "https://ide.example", "http://localhost:8686"},
	    {false, "https://localhost:8686", "http://localhost:8686"},
	    {false, "http://localhost:8687", "http://localhost:8686"},
	    {false, "http://127.0.0.1:8686", "http://localhost:8686"},
	    {false, "http://ide.example", "http://localhost:8686"},
	    {false, "https://ide.example.evil", "http://localhost:8686"},
	    {false, "null", "http://localhost:8686"},
	    {false, "", "http://localhost:8686"},
	    {false, "http://", "http://localhost:8686"},
	    {false, "chrome-extension://abc", "http://localhost:8686"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (gw_origin_ok(&loopback, cases[i].origin, cases[i].self) != cases[i].ok)
			fail_msg("%s at %s", cases[i].origin, cases[i].self);
	assert_true(
	    gw_origin_ok(&(struct gw_origin_rules){.allow_origins = any}, "null", "http://h"));
}

static void
loopback_addresses(void **state)
{
	(void)state;
	assert_true(gw_origin_is_loopback("127.0.0.1"));
	assert_true(gw_origin_is_loopback("127.255.0.1"));
	assert_true(gw_origin_is_loopback("::1"));
	assert_true(gw_origin_is_loopback("::ffff:127.0.0.1"));
	assert_false(gw_origin_is_loopback("0.0.0.0"));
	assert_false(gw_origin_is_loopback("::"));
	assert_false(gw_origin_is_loopback("localhost"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(host_names),
	    cmocka_unit_test(beyond_loopback_any_address_will_do),
	    cmocka_unit_test(names_below_a_domain),
	    cmocka_unit_test(pages),
	    cmocka_unit_test(loopback_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
