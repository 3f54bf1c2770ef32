/* tests/fuzz/fuzz_wire_msg.c - frames of a kernel to a message, and back.
 *
 * Input: frames one after the other, each two bytes of length (big endian) and
 * that many bytes; the last one may be short.  No key, so that every byte of
 * the JSON is reached; signatures have their own unit test.
 */
#include <assert.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/base/utf8.h"
#include "wire/msg.h"

#define FRAMES_MAX 16

static size_t
split(const uint8_t *data, size_t size, struct wire_slice frames[FRAMES_MAX])
{
	size_t n = 0;

	while (n < FRAMES_MAX && size >= 2) {
		size_t len = (size_t)data[0] << 8 | data[1];

		if (len > size - 2)
			len = size - 2;
		frames[n++] = (struct wire_slice){data + 2, len};
		data += 2 + len;
		size -= 2 + len;
	}
	return n;
}

/* What was read can be written, and reads the same again. */
static void
check_round_trip(const struct wire_sign *sign, const struct wire_msg *m)
{
	static const struct wire_slice empty;
	struct wire_slice parent = utf8_valid(m->raw[0].ptr, m->raw[0].len) ? m->raw[0] : empty;
	struct wire_out *o =
	    wire_out_new(sign, "session", m->type, parent, m->metadata, m->content);
	const struct wire_slice *frames;
	struct wire_msg again;
	size_t n;

	assert(o != NULL);
	frames = wire_out_frames(o, &n);
	for (size_t i = 0; i < n; i++)
		assert(utf8_valid(frames[i].ptr, frames[i].len));
	assert(wire_msg_parse(&again, WIRE_SHELL, sign, frames, n) == 0);
	assert(m->content == NULL || json_equal(m->content, again.content));
	assert(json_object_size(m->metadata) == json_object_size(again.metadata));
	assert(again.metadata == NULL || json_equal(m->metadata, again.metadata));
	assert(strcmp(m->type, again.type) == 0);
	assert(strcmp(parent.len > 0 ? m->id : "", again.parent_id) == 0);
	wire_msg_fini(&again);
	wire_out_free(o);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_slice frames[FRAMES_MAX];
	struct wire_sign *sign = wire_sign_new("", 0);
	size_t n = split(data, size, frames);
	struct wire_msg m;

	if (wire_msg_parse(&m, WIRE_IOPUB, sign, frames, n) == 0) {
		assert(m.type[0] != '\0' && m.buffers_n < n);
		assert((m.content == NULL) == (strcmp(m.type, "status") == 0));
		check_round_trip(sign, &m);
		wire_msg_fini(&m);
	}
	wire_sign_free(sign);
	return 0;
}
