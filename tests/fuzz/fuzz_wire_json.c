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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *ours = wire_json_parse((const char *)data, size);
	json_t *theirs = json_loadb((const char *)data, size, FLAGS, NULL);

	assert(theirs == NULL || memchr(data, '\0', size) != NULL ||
	       (ours != NULL && json_equal(ours, theirs)));
	if (ours != NULL) {
		check_written(ours, WIRE_JSON_PLAIN);
		check_written(ours, WIRE_JSON_ASCII);
		check_written(ours, WIRE_JSON_LINES);
	}
	json_decref(ours);
	json_decref(theirs);
	return 0;
}
