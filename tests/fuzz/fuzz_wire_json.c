/* tests/fuzz/fuzz_wire_json.c - any bytes as JSON: our reader and jansson agree.
 *
 * What jansson takes, ours takes to the same value (but for a NUL byte after a number, which
 * jansson does not see); what ours takes is written and read again without a change, by both.
 */
#include <assert.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/base/buf.h"
#include "wire/base/utf8.h"
#include "wire/json.h"
#include "wire/json_put.h"

#define FLAGS (JSON_ALLOW_NUL | JSON_DECODE_ANY)

static void
check_written(const json_t *v, enum wire_json_escape how)
{
	struct buf b;
	json_t *again, *theirs;

	buf_init(&b, SIZE_MAX / 4);
	assert(wire_json_put(&b, v, how) == 0);
	assert(utf8_valid(b.data, b.len));
	for (size_t i = 0; how == WIRE_JSON_ASCII && i < b.len; i++)
		assert((unsigned char)b.data[i] < 0x80);
	assert(how != WIRE_JSON_LINES ||
	       (strstr(b.data, "\xC2\x85") == NULL && strstr(b.data, "\xE2\x80\xA8") == NULL &&
	        strstr(b.data, "\xE2\x80\xA9") == NULL));
	again = wire_json_parse(b.data, b.len);
	theirs = json_loadb(b.data, b.len, FLAGS, NULL);
	assert(json_equal(v, again) && json_equal(v, theirs));
	json_decref(again);
	json_decref(theirs);
	buf_fini(&b);
}

/* Members are found without values as they are with them. */
static void
check_picked(const uint8_t *data, size_t size, const json_t *v)
{
	char msg_id[8], a[2];
	const struct wire_json_pick picks[] = {{"msg_id", msg_id, sizeof(msg_id)},
	                                       {"a", a, sizeof(a)}};
	int rc = wire_json_pick((const char *)data, size, picks, 2);

	assert((rc == 0) == json_is_object(v));
	for (size_t i = 0; i < 2 && rc == 0; i++) {
		const char *want = json_string_value(json_object_get(v, picks[i].key));
		size_t len = strlen(picks[i].ret);

		assert(utf8_valid(picks[i].ret, len));
		assert(want != NULL || len == 0);
		assert(want == NULL || strncmp(want, picks[i].ret, len) == 0);
		assert(want == NULL || want[len] == '\0' || picks[i].size - 1 - len < 4);
	}
}

/* How many values v is of. */
static size_t
count(json_t *v)
{
	const char *key;
	json_t *one;
	size_t i, n = 1;

	json_array_foreach (v, i, one)
		n += count(one);
	json_object_foreach (v, key, one)
		n += count(one);
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *ours = wire_json_parse((const char *)data, size);
	json_t *theirs = json_loadb((const char *)data, size, FLAGS, NULL);

	assert(theirs == NULL || memchr(data, '\0', size) != NULL ||
	       (ours != NULL && json_equal(ours, theirs)));
	check_picked(data, size, ours);
	if (ours != NULL) {
		assert(!wire_json_is_few((const char *)data, size, count(ours) - 1));
		check_written(ours, WIRE_JSON_PLAIN);
		check_written(ours, WIRE_JSON_ASCII);
		check_written(ours, WIRE_JSON_LINES);
	}
	json_decref(ours);
	json_decref(theirs);
	return 0;
}
