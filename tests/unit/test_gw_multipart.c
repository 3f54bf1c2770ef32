/* Unit test of gateway/multipart: forms read at every split, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/multipart.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

#define TYPE    "multipart/form-data; boundary=b"
#define FORM(n) "Content-Disposition: form-data; name=" n "\r\n"

/* Feed piece to m, and write into out what comes: "[name:data]", open where it has no end. */
static int
feed(struct gw_multipart *m, const char *piece, size_t len, struct buf *out, struct err *err)
{
	struct gw_multipart_event ev;
	int rc = 0;

	do {
		size_t used = 0;

		rc = gw_multipart_step(m, piece, len, &used, &ev, err);
		if (rc < 0)
			break;
		assert_true(used <= len);
		assert_true(ev.what != GW_MULTIPART_NEED || used == len);
		piece += used;
		len -= used;
		if (ev.what == GW_MULTIPART_BEGIN)
			assert_int_equal(buf_printf(out, "[%s:", ev.name), 0);
		else if (ev.what == GW_MULTIPART_END)
			assert_int_equal(buf_append(out, "]", 1), 0);
		else if (ev.what == GW_MULTIPART_DATA)
			assert_true(ev.len > 0 && buf_append(out, ev.data, ev.len) == 0);
	} while (ev.what != GW_MULTIPART_NEED);
	return rc;
}

/* The whole of text in pieces cut at a and b.  Returns the last code; *done: it may end here. */
static int
read_cut(const char *type, const char *text, size_t a, size_t b, struct buf *out, bool *done)
{
	struct gw_multipart *m;
	struct err err = {.text = ""};
	size_t len = strlen(text);
	int rc;

	assert_int_equal(gw_multipart_new(type, &m, &err), 0);
	rc = feed(m, text, a, out, &err);
	if (rc == 0)
		rc = feed(m, text + a, b - a, out, &err);
	if (rc == 0)
		rc = feed(m, text + b, len - b, out, &err);
	assert_true((rc == 0) == (err.text[0] == '\0'));
	*done = rc == 0 && gw_multipart_is_done(m);
	gw_multipart_free(m);
	return rc;
}

/* At every two splits, text is read as want; "!": it is refused, "?": it is not complete. */
static void
check(const char *type, const char *text, const char *want)
{
	size_t len = strlen(text);

	for (size_t a = 0; a <= len; a++) {
		for (size_t b = a; b <= len; b += 1 + len / 40) {
			struct buf out;
			bool done;
			int rc;

			buf_init(&out, SIZE_MAX / 4);
			rc = read_cut(type, text, a, b, &out, &done);
			if (strcmp(want, "!") == 0 && rc != -EBADMSG)
				fail_msg("taken: %s", text);
			else if (strcmp(want, "?") == 0 && (rc != 0 || done))
				fail_msg("complete: %s", text);
			else if (want[0] == '[' || want[0] == '\0') {
				assert_int_equal(rc, 0);
				assert_true(done);
				assert_string_equal(out.data != NULL ? out.data : "", want);
			}
			buf_fini(&out);
		}
	}
}

/* Every byte on its own. */
static void
check_bytewise(const char *text, const char *want)
{
	struct gw_multipart *m;
	struct buf out;

	buf_init(&out, SIZE_MAX / 4);
	assert_int_equal(gw_multipart_new(TYPE, &m, NULL), 0);
	for (const char *p = text; *p != '\0'; p++)
		assert_int_equal(feed(m, p, 1, &out, NULL), 0);
	assert_true(gw_multipart_is_done(m));
	assert_string_equal(out.data, want);
	gw_multipart_free(m);
	buf_fini(&out);
}

static void
forms(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	    {"--b\r\n" FORM("m") "\r\n{}\r\n--b\r\n" FORM("f") "\r\ndata\r\n--b--\r\n",
	     "[m:{}][f:data]"},
	    {"--b\r\n" FORM("f") "\r\n\r\n--b--", "[f:]"},
	    {"--b\r\n" FORM("f") "\r\n--b--",
	     "[f:]"}, /* not even the empty line's CRLF twice */
	    {"--b\r\n" FORM("f") "\r\n\r\n\r\n--b--", "[f:\r\n]"},
	    {"--b--\r\n", ""},
	    {"preamble\r\nmore --b\r\n--b\r\n" FORM(
		 "f") "\r\nx\r\n--b--\r\nepilogue\r\n--b\r\n",
	     "[f:x]"},
	    {"--b \t\r\n" FORM("f") "\r\nx\r\n--b  \r\n" FORM("g") "\r\ny\r\n--b--  ",
	     "[f:x][g:y]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(TYPE, cases[i].text, cases[i].want);
		if (cases[i].want[0] != '\0')
			check_bytewise(cases[i].text, cases[i].want);
	}
}

/* Data that looks like a boundary for a while. */
static void
look_alikes(void **state)
{
	static const char *const data[] = {
	    "\r",
	    "\n",
	    "\r\n",
	    "\r\n-",
	    "\r\n--",
	    "--b",
	    "--b--",
	    "\n--b--",
	    "\r--b--",
	    "\r\n--c",
	    "\r\n --b--",
	    "\r\n--B--",
	    "\r\n--bb",
	    "\r\n--b-",
	    "\r\n--b-\r\n",
	    "\r\n--b x",
	    "\r\n--b\r",
	    "\r\n--b\rx",
	    "\r\n--b \r\r",
	    "\r\n--b -",
	    "\r\n--b                              \r\n",
	    "\r\r\r\n\r\n-\r\n--\r\n--c\r\n",
	    "\r\n--b\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		char text[256], want[256];

		/* A part's first line may be its boundary. */
		(void)snprintf(text, sizeof(text), "--b\r\n" FORM("f") "\r\n.%s\r\n--b--\r\n",
		               data[i]);
		(void)snprintf(want, sizeof(want), "[f:.%s]", data[i]);
		check(TYPE, text, want);
		check_bytewise(text, want);
	}
}

static void
names(void **state)
{
	static const struct {
		const char *headers, *want;
	} cases[] = {
	    {FORM("file"), "[file:]"},
	    {FORM("\"file\""), "[file:]"},
	    {FORM("\"a \\\"b\\\" \\\\ c\""), "[a \"b\" \\ c:]"},
	    {FORM("\"\xc3\xa4; name=x\""), "[\xc3\xa4; name=x:]"},
	    {"content-DISPOSITION:FORM-DATA;NAME=f\r\n", "[f:]"},
	    {"Content-Disposition: form-data; filename=\"; name=\\\"x\\\"\"; name=f\r\n",
	     "[f:]"},
	    {"Content-Disposition: form-data ; name = \"f\" ; filename=\"a\"b\"\r\n", "[f:]"},
	    {"Content-Type: text/plain\r\n" FORM("f") "X-Other: \xff\r\n", "[f:]"},
	    {FORM("f") "Content-Transfer-Encoding: BINARY\r\n", "[f:]"},
	    {"", "!"},
	    {"Content-Type: text/plain\r\n", "!"},
	    {"Content-Disposition: form-data\r\n", "!"},
	    {"Content-Disposition: form-data; name=\r\n", "!"},
	    {"Content-Disposition: form-data; name=\"\"\r\n", "!"},
	    {"Content-Disposition: form-data; name=\"f\r\n", "!"},
	    {"Content-Disposition: form-data; name*=UTF-8''f\r\n", "!"},
	    {"Content-Disposition: attachment; name=f\r\n", "!"},
	    {FORM("f") FORM("g"), "!"},
	    {FORM("f") "Content-Transfer-Encoding: base64\r\n", "!"},
	    {"Content-Disposition: form-data;\r\n name=f\r\n", "!"}, /* folded */
	    {FORM("f") " folded\r\n", "!"},
	    {FORM("f") ": no name\r\n", "!"},
	    {FORM("f") "no colon\r\n", "!"},
	    {FORM("f") "X: a\rb\r\n", "!"},
	    {FORM("f") "X: a\nb\r\n", "!"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];

		(void)snprintf(text, sizeof(text), "--b\r\n%s\r\n\r\n--b--", cases[i].headers);
		check(TYPE, text, cases[i].want);
	}
}

static void
what_is_not_complete(void **state)
{
	static const char *const cases[] = {
	    "",
	    "no boundary at all\r\n",
	    "--b",
	    "--b-",
	    "--b\r\n",
	    "--b\r\n" FORM("f"),
	    "--b\r\n" FORM("f") "\r\n",
	    "--b\r\n" FORM("f") "\r\ndata",
	    "--b\r\n" FORM("f") "\r\ndata\r\n--b",
	    "--b\r\n" FORM("f") "\r\ndata\r\n--b\r\n",
	    "--b\n" FORM("f") "\r\ndata\n--b--\n", /* LF only */
	    "--b\r\nContent-Disposition: form-data; name=f\n\ndata\n--b--\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(TYPE, cases[i], "?");
}

static void
boundaries(void **state)
{
	static const struct {
		const char *type;
		int rc;
	} cases[] = {
	    {"multipart/form-data; boundary=b", 0},
	    {"Multipart/Form-Data;charset=utf-8 ; Boundary=\"b\"", 0},
	    {"multipart/form-data; boundary=----WebKitFormBoundaryAbC", 0},
	    {"multipart/form-data; boundary=\"a'()+_,-./:=? z\"", 0},
	    {"multipart/form-data; boundary=a/b:c=d?e", 0},
	    {"multipart/form-data; x=\"; boundary=\\\"n\"; boundary=b; y=z", 0},
	    {"multipart/form-data; boundary="
	     "1234567890123456789012345678901234567890123456789012345678901234567890",
	     0},
	    {"multipart/form-data; boundary="
	     "12345678901234567890123456789012345678901234567890123456789012345678901",
	     -EBADMSG},
	    {NULL, -EBADMSG},
	    {"", -EBADMSG},
	    {"application/json", -EBADMSG},
	    {"multipart/mixed; boundary=b", -EBADMSG},
	    {"multipart/form-data", -EBADMSG},
	    {"multipart/form-data; boundary=", -EBADMSG},
	    {"multipart/form-data; boundary=\"\"", -EBADMSG},
	    {"multipart/form-data; boundary=\"b", -EBADMSG},
	    {"multipart/form-data; boundary=\"b \"", -EBADMSG},
	    {"multipart/form-data; boundary=\"b\\\r\"", -EBADMSG},
	    {"multipart/form-data; boundary=\"b*\"", -EBADMSG},
	    {"multipart/form-data; xboundary=b", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_multipart *m = NULL;
		struct err err = {.text = ""};
		int rc = gw_multipart_new(cases[i].type, &m, &err);

		if (rc != cases[i].rc)
			fail_msg("%s: %d", cases[i].type, rc);
		assert_true((rc == 0) == (m != NULL) && (rc == 0) == (err.text[0] == '\0'));
		gw_multipart_free(m);
	}
	check("multipart/form-data; boundary=\"a'()+_,-./:=? z\"",
	      "--a'()+_,-./:=? z\r\n" FORM("f") "\r\nx\r\n--a'()+_,-./:=? z--", "[f:x]");
}

/* Repeat text n times through m. */
static int
feed_n(struct gw_multipart *m, const char *text, size_t n, struct err *err)
{
	struct buf out;
	int rc = 0;

	buf_init(&out, SIZE_MAX / 4);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = feed(m, text, strlen(text), &out, err);
	buf_fini(&out);
	return rc;
}

static void
ceilings(void **state)
{
	static const struct {
		const char *first, *again;
		size_t fine, too_many;
		const char *why;
	} cases[] = {
	    {"", "0123456789\r\n", 1300, 1400, "outside of parts"},
	    {"--b--", "0123456789\r\n", 1300, 1400, "outside of parts"},
	    {"--b\r\n", "X: 0123456789\r\n", 1000, 1100, "headers of a part"},
	    {"--b\r\n", "x", 16384, 16385, "headers of a part"},
	    {"", "--b\r\n" FORM("f") "\r\n\r\n", 2000, 2001, "2000 parts"},
	    {"--b\r\n" FORM("f") "\r\n", "data without end\r\n", 100000, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int over = 0; over < 2; over++) {
			struct gw_multipart *m;
			struct err err = {.text = ""};
			int rc;

			assert_int_equal(gw_multipart_new(TYPE, &m, NULL), 0);
			assert_int_equal(feed_n(m, cases[i].first, 1, &err), 0);
			rc = feed_n(m, cases[i].again, over ? cases[i].too_many : cases[i].fine,
			            &err);
			gw_multipart_free(m);
			if (!over || cases[i].why == NULL) {
				assert_int_equal(rc, 0);
				continue;
			}
			assert_int_equal(rc, -EMSGSIZE);
			assert_non_null(strstr(err.text, cases[i].why));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(forms),      cmocka_unit_test(look_alikes),
	    cmocka_unit_test(names),      cmocka_unit_test(what_is_not_complete),
	    cmocka_unit_test(boundaries), cmocka_unit_test(ceilings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
