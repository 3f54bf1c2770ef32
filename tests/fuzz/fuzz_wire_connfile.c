/* tests/fuzz/fuzz_wire_connfile.c - bytes of a connection file that somebody else wrote. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "wire/base/err.h"
#include "wire/connfile.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_connfile *cf = NULL;
	struct err err = {""};
	int rc = wire_connfile_parse((const char *)data, size, &cf, &err);

	assert(rc == 0 || rc == -EINVAL);
	assert((rc == 0) == (cf != NULL) && (rc == 0) == (err.text[0] == '\0'));
	for (int i = 0; rc == 0 && i < WIRE_CHANNEL_N; i++) {
		const char *e = wire_connfile_endpoint(cf, (enum wire_channel_kind)i);

		assert(strncmp(e, "ipc://", 6) == 0 || strncmp(e, "tcp://", 6) == 0);
	}
	assert(rc != 0 || (wire_connfile_path(cf) == NULL && wire_connfile_key(cf) != NULL));
	wire_connfile_free(cf);
	return 0;
}
