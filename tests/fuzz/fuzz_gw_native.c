/* tests/fuzz/fuzz_gw_native.c - a client's bytes to a native request, and text to an event.
 *
 * Input: one byte that says where the rest comes from: 0 a WebSocket message, n the body of
 * the REST request whose op is n - 1, 255 text that code prints.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "gateway/dialects/native.h"
#include "gateway/dialects/native_events.h"
#include "gateway/dialects/native_request.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/utf8.h"

#define TEXT 255

/* A refusal is a sentence that fits in an answer. */
static void
check_refusal(int rc, const struct err *err)
{
	json_t *error;

	assert(rc == -EINVAL && err->text[0] != '\0');
	error = gw_native_error(rc, err->text);
	assert(json_string_length(json_object_get(error, "message")) > 0);
	json_decref(error);
}

static void
check_request(const struct gw_native_request *rq)
{
	const char *const names[] = {rq->context,  rq->cwd,  rq->execution,
	                             rq->language, rq->name, rq->sandbox};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert(names[i] == NULL || names[i][0] != '\0');
	assert(rq->envs == NULL || json_is_object(rq->envs));
	assert(rq->code.ptr == NULL || utf8_valid(rq->code.ptr, rq->code.len));
	assert(!rq->wait || !rq->detach);
}

static void
check_text(const char *text, size_t len)
{
	json_t *v;
	struct buf b;

	if (!utf8_valid(text, len))
		return;
	buf_init(&b, 1 << 24);
	assert(gw_native_events_string(&b, (struct wire_slice){text, len}) == 0);
	v = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert(json_string_length(v) == len && memcmp(json_string_value(v), text, len) == 0);
	json_decref(v);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct gw_native_request rq;
	struct err err = {""};
	int rc;

	if (size == 0)
		return 0;
	if (data[0] == TEXT) {
		check_text(text, size - 1);
		return 0;
	}
	if (data[0] == 0)
		rc = gw_native_request_parse(text, size - 1, &rq, &err);
	else
		rc = gw_native_request_parse_body(
		    (enum gw_native_op)((data[0] - 1) % GW_NATIVE_OP_N), text, size - 1, &rq,
		    &err);
	if (rc != 0)
		check_refusal(rc, &err);
	else
		check_request(&rq);
	gw_native_request_fini(&rq);
	return 0;
}
