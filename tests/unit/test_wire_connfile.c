/* Unit test of wire/connfile: files made, files read, and what is wrong with them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "wire/base/err.h"
#include "wire/connfile.h"

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/connfile.XXXXXX");
	return mkdtemp(dir) == NULL;
}

/* Fails when a test left a file. */
static int
teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static json_t *
load(const char *path)
{
	json_t *o = json_load_file(path, 0, NULL);

	assert_non_null(o);
	return o;
}

static void
ipc_file(void **state)
{
	(void)state;
	struct wire_connfile *cf = NULL, *read_back = NULL;
	struct err err;
	struct stat st;
	char want[128], *text;
	json_t *o;

	assert_int_equal(wire_connfile_create(dir, "k1", "ipc", "python3", &cf, &err), 0);
	(void)snprintf(want, sizeof(want), "%s/k1.json", dir);
	assert_string_equal(wire_connfile_path(cf), want);
	assert_int_equal(stat(want, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(strlen(wire_connfile_key(cf)), 64);
	(void)snprintf(want, sizeof(want), "ipc://%s/k1-1", dir);
	assert_string_equal(wire_connfile_endpoint(cf, WIRE_SHELL), want);

	o = load(wire_connfile_path(cf));
	assert_string_equal(json_string_value(json_object_get(o, "kernel_name")), "python3");
	assert_string_equal(json_string_value(json_object_get(o, "signature_scheme")),
	                    "hmac-sha256");
	text = json_dumps(o, 0);
	assert_int_equal(wire_connfile_parse(text, strlen(text), &read_back, &err), 0);
	assert_null(wire_connfile_path(read_back));
	assert_string_equal(wire_connfile_key(read_back), wire_connfile_key(cf));
	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		assert_string_equal(
		    wire_connfile_endpoint(cf, (enum wire_channel_kind)i),
		    wire_connfile_endpoint(read_back, (enum wire_channel_kind)i));
	wire_connfile_free(read_back);
	assert_int_equal(access(wire_connfile_path(cf), F_OK), 0); /* it was not made there */
	wire_connfile_free(cf);
	free(text);
	json_decref(o);
}

static void
free_removes_sockets(void **state)
{
	(void)state;
	struct wire_connfile *cf = NULL;

	assert_int_equal(wire_connfile_create(dir, "k", "ipc", "x", &cf, NULL), 0);
	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		FILE *f = fopen(wire_connfile_endpoint(cf, (enum wire_channel_kind)i) + 6, "w");

		assert_non_null(f);
		(void)fclose(f);
	}
	wire_connfile_free(cf); /* teardown: the directory is empty */
	wire_connfile_free(NULL);
}

static void
tcp_file_has_five_ports(void **state)
{
	(void)state;
	struct wire_connfile *cf = NULL;
	const char *const prefix = "tcp://127.0.0.1:";
	long first_ephemeral = 0;
	char line[64] = "";
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	first_ephemeral = strtol(line, NULL, 10);
	assert_int_equal(wire_connfile_create(dir, "k", "tcp", "x", &cf, NULL), 0);
	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		const char *a = wire_connfile_endpoint(cf, (enum wire_channel_kind)i);

		assert_memory_equal(a, prefix, strlen(prefix));
		assert_in_range(strtol(a + strlen(prefix), NULL, 10), 1024,
		                first_ephemeral - 1);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(
			    a, wire_connfile_endpoint(cf, (enum wire_channel_kind)j));
	}
	wire_connfile_free(cf);
}

static void
keys_differ(void **state)
{
	(void)state;
	struct wire_connfile *a = NULL, *b = NULL;

	assert_int_equal(wire_connfile_create(dir, "a", "ipc", "x", &a, NULL), 0);
	assert_int_equal(wire_connfile_create(dir, "b", "ipc", "x", &b, NULL), 0);
	assert_string_not_equal(wire_connfile_key(a), wire_connfile_key(b));
	wire_connfile_free(a);
	wire_connfile_free(b);
}

static void
refused_to_make(void **state)
{
	(void)state;
	char longid[128];
	const struct {
		const char *why, *dir, *id, *transport;
		int rc;
	} bad[] = {
	    {"transport", dir, "k", "udp", -EINVAL},
	    {"id with a slash", dir, "a/b", "ipc", -EINVAL},
	    {"id that is a parent", dir, "..", "ipc", -EINVAL},
	    {"empty id", dir, "", "ipc", -EINVAL},
	    {"path of 108 bytes", dir, longid, "ipc", -EINVAL},
	    {"no directory", "/nonexistent", "k", "ipc", -EIO},
	    {"open to others", "/tmp", "k", "ipc", -EIO},
	    {"not a directory", "/dev/null", "k", "tcp", -EIO},
	};

	memset(longid, 'i', sizeof(longid));
	longid[108 - strlen(dir) - strlen("/-1")] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct wire_connfile *cf = NULL;
		struct err err = {""};

		if (wire_connfile_create(bad[i].dir, bad[i].id, bad[i].transport, "x", &cf,
		                         &err) != bad[i].rc ||
		    cf != NULL || err.text[0] == '\0')
			fail_msg("%s: %s", bad[i].why, err.text);
	}
}

static void
longest_path_that_fits(void **state)
{
	(void)state;
	struct wire_connfile *cf = NULL;
	char id[128];

	memset(id, 'i', sizeof(id));
	id[107 - strlen(dir) - strlen("/-1")] = '\0';
	assert_int_equal(wire_connfile_create(dir, id, "ipc", "x", &cf, NULL), 0);
	wire_connfile_free(cf);
}

/* A second kernel of the same name is an error, and leaves the first one's file alone. */
static void
never_overwrites(void **state)
{
	(void)state;
	struct wire_connfile *cf = NULL, *again = NULL;
	struct err err;

	assert_int_equal(wire_connfile_create(dir, "k", "ipc", "x", &cf, &err), 0);
	assert_int_equal(wire_connfile_create(dir, "k", "ipc", "x", &again, &err), -EIO);
	assert_int_equal(access(wire_connfile_path(cf), F_OK), 0);
	wire_connfile_free(cf);
}

#define GOOD                                                                                   \
	"\"transport\":\"ipc\",\"ip\":\"/k/"                                                   \
	"a\",\"key\":\"s\",\"shell_port\":1,\"iopub_port\":2,"                                 \
	"\"stdin_port\":3,\"control_port\":4,\"hb_port\":5"

/* Later keys win, so that each case says only what differs. */
static const struct {
	const char *text;
	const char *fault; /* how the sentence starts, or NULL: taken */
} files[] = {
    {"{" GOOD "}", NULL},
    {"{" GOOD ",\"signature_scheme\":\"hmac-sha256\"}", NULL},
    {"{" GOOD ",\"key\":\"\",\"signature_scheme\":\"\"}", NULL},
    {"{" GOOD ",\"key\":\"\",\"signature_scheme\":\"hmac-md5\"}", NULL},
    {"{" GOOD ",\"curve_publickey\":null,\"unknown\":[]}", NULL},
    {"{" GOOD ",\"signature_scheme\":\"hmac-md5\"}", "signature_scheme:"},
    {"{" GOOD ",\"signature_scheme\":\"sha256\"}", "signature_scheme:"},
    {"{" GOOD ",\"signature_scheme\":1}", "signature_scheme:"},
    {"{" GOOD ",\"transport\":\"udp\"}", "transport:"},
    {"{" GOOD ",\"transport\":null}", "transport:"},
    {"{" GOOD ",\"ip\":\"\"}", "ip:"},
    {"{" GOOD ",\"ip\":7}", "ip:"},
    {"{" GOOD ",\"key\":null}", "key:"},
    {"{" GOOD ",\"shell_port\":0}", "shell_port:"},
    {"{" GOOD ",\"iopub_port\":65536}", "iopub_port:"},
    {"{" GOOD ",\"stdin_port\":-1}", "stdin_port:"},
    {"{" GOOD ",\"control_port\":\"4\"}", "control_port:"},
    {"{" GOOD ",\"hb_port\":5.0}", "hb_port:"},
    {"{" GOOD ",\"curve_publickey\":\"x\"}", "curve_publickey:"},
    {"{\"ip\":\"/k\"}", "key:"},
    {"{}", "ip:"},
    {"[]", "connection file:"},
    {"", "connection file:"},
    {"{\"transport\":", "connection file:"},
    {"{" GOOD ",\"key\":\"a\\u0000b\"}", "connection file:"},
};

static void
files_of_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct wire_connfile *cf = NULL;
		struct err err = {""};
		const char *want = files[i].fault;
		int rc = wire_connfile_parse(files[i].text, strlen(files[i].text), &cf, &err);

		if (want == NULL ? rc != 0
		                 : rc != -EINVAL || strncmp(err.text, want, strlen(want)) != 0)
			fail_msg("%s -> %d %s", files[i].text, rc, err.text);
		assert_int_equal(cf != NULL, rc == 0);
		wire_connfile_free(cf);
	}
}

static void
endpoints_of_both_transports(void **state)
{
	(void)state;
	struct wire_connfile *cf = NULL;
	const char *const tcp = "{" GOOD ",\"transport\":\"tcp\",\"ip\":\"10.0.0.7\"}";
	const char *const ipc = "{" GOOD "}";

	assert_int_equal(wire_connfile_parse(tcp, strlen(tcp), &cf, NULL), 0);
	assert_string_equal(wire_connfile_endpoint(cf, WIRE_IOPUB), "tcp://10.0.0.7:2");
	assert_string_equal(wire_connfile_endpoint(cf, WIRE_HB), "tcp://10.0.0.7:5");
	wire_connfile_free(cf);
	assert_int_equal(wire_connfile_parse(ipc, strlen(ipc), &cf, NULL), 0);
	assert_string_equal(wire_connfile_endpoint(cf, WIRE_CONTROL), "ipc:///k/a-4");
	wire_connfile_free(cf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(ipc_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(free_removes_sockets, setup, teardown),
	    cmocka_unit_test_setup_teardown(tcp_file_has_five_ports, setup, teardown),
	    cmocka_unit_test_setup_teardown(keys_differ, setup, teardown),
	    cmocka_unit_test_setup_teardown(refused_to_make, setup, teardown),
	    cmocka_unit_test_setup_teardown(longest_path_that_fits, setup, teardown),
	    cmocka_unit_test_setup_teardown(never_overwrites, setup, teardown),
	    cmocka_unit_test(files_of_others),
	    cmocka_unit_test(endpoints_of_both_transports),
	};

	return cmocka_run_group_tests_name("wire/connfile", tests, NULL, NULL);
}
