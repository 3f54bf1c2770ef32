/* Unit test of wire/msg: frames in every wrong shape, the fields of right ones, and sending. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/json.h"
#include "wire/msg.h"

#define KEY        "secret"
#define FRAMES_MAX 12
#define D          "<IDS|MSG>"
#define SIG        "@" /* stands for the right signature */
#define HEADER     "{\"msg_id\":\"m1\",\"msg_type\":\"stream\"}"
#define PARENT     "{\"msg_id\":\"p1\",\"extra\":1}"
#define CONTENT    "{\"name\":\"stdout\",\"text\":\"hi\"}"

static struct wire_sign *sign;

static struct wire_slice
slice(const char *s)
{
	return (struct wire_slice){s, strlen(s)};
}

/* Parse text[0..] up to NULL as frames; a frame "@" becomes the signature of the four frames
 * after it. */
static int
parse(const char *const *text, struct wire_msg *m)
{
	static char hex[WIRE_SIGN_HEXLEN + 1];
	static struct wire_slice frames[FRAMES_MAX]; /* borrowed by m */
	size_t n = 0;

	for (; text[n] != NULL; n++)
		frames[n] = slice(text[n]);
	for (size_t i = 0; i + 4 < n; i++) {
		if (strcmp(text[i], SIG) != 0)
			continue;
		wire_sign_digest(sign, &frames[i + 1], hex);
		frames[i] = slice(hex);
	}
	return wire_msg_parse(m, WIRE_IOPUB, sign, frames, n);
}

/* clang-format off */
static const struct {
	const char *why;
	const char *frames[FRAMES_MAX];
} malformed[] = {
	{"nothing",                {NULL}},
	{"one empty frame",        {""}},
	{"only the delimiter",     {D}},
	{"no delimiter",           {"id", SIG, HEADER, PARENT, "{}", CONTENT}},
	{"delimiter in a frame",   {"x<IDS|MSG>", SIG, HEADER, PARENT, "{}", CONTENT}},
	{"delimiter cut",          {"<IDS|MSG", SIG, HEADER, PARENT, "{}", CONTENT}},
	{"no signature",           {D}},
	{"three parts",            {D, SIG, HEADER, PARENT, CONTENT}},
	{"signature frame absent", {D, HEADER, PARENT, "{}", CONTENT}},
	{"signature empty",        {D, "", HEADER, PARENT, "{}", CONTENT}},
	{"signature wrong",        {D, "fff34ec7f76c30d40733049b129a2d4a2d4635268682e56a54362962df6b4906", HEADER, PARENT, "{}", CONTENT}},
	{"header not JSON",        {D, SIG, "{", PARENT, "{}", CONTENT}},
	{"header null",            {D, SIG, "null", PARENT, "{}", CONTENT}},
	{"header an array",        {D, SIG, "[]", PARENT, "{}", CONTENT}},
	{"header without type",    {D, SIG, "{\"msg_id\":\"x\"}", PARENT, "{}", CONTENT}},
	{"type empty",             {D, SIG, "{\"msg_type\":\"\"}", PARENT, "{}", CONTENT}},
	{"type a number",          {D, SIG, "{\"msg_type\":7}", PARENT, "{}", CONTENT}},
	{"parent not JSON",        {D, SIG, HEADER, "", "{}", CONTENT}},
	{"parent an array",        {D, SIG, HEADER, "[]", "{}", CONTENT}},
	{"metadata a string",      {D, SIG, HEADER, PARENT, "\"x\"", CONTENT}},
	{"content empty",          {D, SIG, HEADER, PARENT, "{}", ""}},
	{"content null",           {D, SIG, HEADER, PARENT, "{}", "null"}},
	{"content an array",       {D, SIG, HEADER, PARENT, "{}", "[]"}},
	{"content pickled",        {D, SIG, HEADER, PARENT, "{}", "\x80\x04\x95"}},
};

static const struct {
	const char *why;
	const char *frames[FRAMES_MAX];
	const char *id, *parent_id;
	size_t buffers_n;
} wellformed[] = {
	{"topic",               {"stream.stdout", D, SIG, HEADER, PARENT, "{}", CONTENT}, "m1", "p1", 0},
	{"no identity",         {D, SIG, HEADER, PARENT, "{}", CONTENT}, "m1", "p1", 0},
	{"many identities",     {"a", "", "b", "c", D, SIG, HEADER, PARENT, "{}", CONTENT}, "m1", "p1", 0},
	{"parent null",         {D, SIG, HEADER, "null", "{}", CONTENT}, "m1", "", 0},
	{"parent empty",        {D, SIG, HEADER, "{}", "{}", CONTENT}, "m1", "", 0},
	{"parent id a number",  {D, SIG, HEADER, "{\"msg_id\":5}", "{}", CONTENT}, "m1", "", 0},
	{"metadata null",       {D, SIG, HEADER, PARENT, "null", CONTENT}, "m1", "p1", 0},
	{"no id",               {D, SIG, "{\"msg_type\":\"stream\"}", PARENT, "{}", CONTENT}, "", "p1", 0},
	{"buffers, unsigned",   {"t", D, SIG, HEADER, PARENT, "{}", CONTENT, "\x01\x02", "", D}, "m1", "p1", 3},
	{"delimiter once more", {D, SIG, HEADER, PARENT, "{}", CONTENT, D}, "m1", "p1", 1},
	{"content empty object", {D, SIG, HEADER, PARENT, "{}", "{}"}, "m1", "p1", 0},
};
/* clang-format on */

static void
malformed_frames_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct wire_msg m;

		if (parse(malformed[i].frames, &m) != -EBADMSG)
			fail_msg("accepted: %s", malformed[i].why);
	}
}

static void
wellformed_frames_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wellformed) / sizeof(wellformed[0]); i++) {
		struct wire_msg m;

		if (parse(wellformed[i].frames, &m) != 0)
			fail_msg("refused: %s", wellformed[i].why);
		assert_string_equal(m.type, "stream");
		assert_string_equal(m.id, wellformed[i].id);
		assert_string_equal(m.parent_id, wellformed[i].parent_id);
		assert_int_equal(m.buffers_n, wellformed[i].buffers_n);
		assert_int_equal(m.channel, WIRE_IOPUB);
		assert_true(m.metadata == NULL && json_is_object(m.content));
		wire_msg_fini(&m);
	}
}

/* A name is a C string of its own: escapes are read, a NUL ends it, what is too long is cut. */
static void
names_are_strings(void **state)
{
	(void)state;
	char header[256], lengthy[200];
	const char *const frames[] = {D,
	                              SIG,
	                              header,
	                              "{\"msg_id\":1,\"msg_\\u0069d\":\"p\\u00e9\\u0000x\"}",
	                              "{\"a\":[]}",
	                              CONTENT,
	                              NULL};
	struct wire_msg m;

	memset(lengthy, 'x', sizeof(lengthy));
	(void)snprintf(header, sizeof(header), "{\"msg_type\":\"s\",\"msg_id\":\"%.150s\"}",
	               lengthy);
	assert_int_equal(parse(frames, &m), 0);
	assert_string_equal(m.type, "s");
	assert_int_equal(strlen(m.id), WIRE_MSG_NAME - 1);
	assert_string_equal(m.parent_id, "p\xc3\xa9");
	assert_true(json_is_array(json_object_get(m.metadata, "a")));
	wire_msg_fini(&m);
}

/* The same bytes twice are two messages: replay is the transport's affair. */
static void
duplicate_signatures_are_tolerated(void **state)
{
	(void)state;
	struct wire_msg m;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(parse(wellformed[0].frames, &m), 0);
		wire_msg_fini(&m);
	}
}

static void
empty_key_accepts_any_signature(void **state)
{
	(void)state;
	struct wire_sign *none = wire_sign_new("", 0);
	const char *const sigs[] = {"", "anything"};

	for (size_t i = 0; i < 2; i++) {
		const struct wire_slice frames[] = {slice(D),      slice(sigs[i]),
		                                    slice(HEADER), slice("{}"),
		                                    slice("{}"),   slice(CONTENT)};
		struct wire_msg m;

		assert_int_equal(wire_msg_parse(&m, WIRE_SHELL, none, frames, 6), 0);
		assert_memory_equal(m.raw[3].ptr, CONTENT, m.raw[3].len);
		wire_msg_fini(&m);
	}
	wire_sign_free(none);
}

/* The digest covers the bytes as they came: another spelling of the same JSON is another
 * message. */
static void
signature_covers_bytes_not_values(void **state)
{
	(void)state;
	const char *const frames[] = {D, NULL, HEADER, PARENT, "{ }", CONTENT, NULL};
	const struct wire_slice signed_parts[] = {slice(HEADER), slice(PARENT), slice("{}"),
	                                          slice(CONTENT)};
	static char hex[WIRE_SIGN_HEXLEN + 1]; /* parse() keeps it */
	const char *with_sig[7];
	struct wire_msg m;

	wire_sign_digest(sign, signed_parts, hex);
	memcpy(with_sig, frames, sizeof(frames));
	with_sig[1] = hex;
	assert_int_equal(parse(with_sig, &m), -EBADMSG);
	with_sig[4] = "{}";
	assert_int_equal(parse(with_sig, &m), 0);
	wire_msg_fini(&m);
}

static void
text_may_hold_nul(void **state)
{
	(void)state;
	json_t *v = json_stringn("a\0b", 3), *n = json_integer(1);
	struct wire_slice s = wire_msg_text(v);

	assert_int_equal(s.len, 3);
	assert_memory_equal(s.ptr, "a\0b", 3);
	assert_int_equal(wire_msg_text(n).len, 0);
	assert_int_equal(wire_msg_text(NULL).len, 0);
	assert_non_null(wire_msg_text(NULL).ptr);
	json_decref(v);
	json_decref(n);
}

static void
outgoing_message_has_every_field(void **state)
{
	(void)state;
	json_t *content = json_pack("{s:s}", "code", "'\xc3\xa9\xf0\x9f\x98\x80'");
	struct wire_out *o =
	    wire_out_new(sign, "sess", "execute_request", slice(""), NULL, content);
	const char *const fields[] = {"msg_id", "session",  "username",
	                              "date",   "msg_type", "version"};
	const struct wire_slice *frames;
	struct wire_msg m;
	const char *date;
	json_t *header;
	size_t n;

	frames = wire_out_frames(o, &n);
	assert_int_equal(n, 6);
	assert_int_equal(frames[1].len, WIRE_SIGN_HEXLEN);
	assert_memory_equal(frames[3].ptr, "{}", frames[3].len);
	assert_memory_equal(frames[4].ptr, "{}", frames[4].len);
	assert_memory_equal(frames[5].ptr, "{\"code\":\"'\xc3\xa9\xf0\x9f\x98\x80'\"}",
	                    frames[5].len);
	assert_int_equal(wire_msg_parse(&m, WIRE_SHELL, sign, frames, n), 0);
	header = wire_json_parse(m.raw[WIRE_HEADER].ptr, m.raw[WIRE_HEADER].len);
	assert_int_equal(json_object_size(header), 6);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_true(json_is_string(json_object_get(header, fields[i])));
	assert_string_equal(m.type, "execute_request");
	assert_string_equal(m.id, wire_out_id(o));
	date = json_string_value(json_object_get(header, "date"));
	assert_int_equal(strlen(date), strlen("2026-11-21T10:09:56.497123Z"));
	assert_int_equal(date[strlen(date) - 1], 'Z');
	assert_true(json_equal(m.content, content));
	json_decref(header);
	wire_msg_fini(&m);
	wire_out_free(o);
	json_decref(content);
}

static void
outgoing_reply_carries_its_parent(void **state)
{
	(void)state;
	static const char parent[] = "{\"msg_id\": \"p1\", \"own\":\"kept\"}";
	json_t *metadata = json_pack("{s:{s:i}}", "kernelbridge", "n", 1);
	struct wire_out *o =
	    wire_out_new(sign, "s", "input_reply", slice(parent), metadata, NULL);
	const struct wire_slice *frames;
	struct wire_msg m;
	size_t n;

	frames = wire_out_frames(o, &n);
	assert_int_equal(wire_msg_parse(&m, WIRE_STDIN, sign, frames, n), 0);
	assert_string_equal(m.parent_id, "p1");
	assert_int_equal(m.raw[WIRE_PARENT].len, strlen(parent));
	assert_memory_equal(m.raw[WIRE_PARENT].ptr, parent, strlen(parent));
	assert_true(json_equal(m.metadata, metadata));
	assert_int_equal(json_object_size(m.content), 0);
	wire_msg_fini(&m);
	wire_out_free(o);
	json_decref(metadata);
}

/* A kernel drops a message whose signature it has seen: the same request twice must differ. */
static void
same_request_never_signs_the_same(void **state)
{
	(void)state;
	struct wire_out *a = wire_out_new(sign, "s", "t", slice(""), NULL, NULL);
	struct wire_out *b = wire_out_new(sign, "s", "t", slice(""), NULL, NULL);
	size_t n;

	assert_string_not_equal(wire_out_id(a), wire_out_id(b));
	assert_memory_not_equal(wire_out_frames(a, &n)[1].ptr, wire_out_frames(b, &n)[1].ptr,
	                        WIRE_SIGN_HEXLEN);
	wire_out_free(a);
	wire_out_free(b);
	wire_out_free(NULL);
}

static void
what_is_not_json_is_not_sent(void **state)
{
	(void)state;
	json_t *content = json_object();

	assert_int_equal(json_object_set_new(content, "code", json_string_nocheck("\xff")), 0);
	assert_null(wire_out_new(sign, "s", "t", slice(""), NULL, content));
	json_decref(content);
}

static void
uuids_are_version_4(void **state)
{
	(void)state;
	char a[WIRE_UUID_LEN + 1], b[WIRE_UUID_LEN + 1];

	wire_uuid(a);
	wire_uuid(b);
	assert_int_equal(strlen(a), WIRE_UUID_LEN);
	assert_int_equal(strspn(a, "0123456789abcdef-"), WIRE_UUID_LEN);
	assert_int_equal(a[14], '4');
	assert_non_null(strchr("89ab", a[19]));
	assert_string_not_equal(a, b);
}

static int
setup(void **state)
{
	(void)state;
	sign = wire_sign_new(KEY, strlen(KEY));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	wire_sign_free(sign);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(malformed_frames_are_refused),
	    cmocka_unit_test(wellformed_frames_are_read),
	    cmocka_unit_test(names_are_strings),
	    cmocka_unit_test(duplicate_signatures_are_tolerated),
	    cmocka_unit_test(empty_key_accepts_any_signature),
	    cmocka_unit_test(signature_covers_bytes_not_values),
	    cmocka_unit_test(text_may_hold_nul),
	    cmocka_unit_test(outgoing_message_has_every_field),
	    cmocka_unit_test(outgoing_reply_carries_its_parent),
	    cmocka_unit_test(same_request_never_signs_the_same),
	    cmocka_unit_test(what_is_not_json_is_not_sent),
	    cmocka_unit_test(uuids_are_version_4),
	};

	return cmocka_run_group_tests_name("wire/msg", tests, setup, teardown);
}
