/* tests/fuzz/fuzz_km_cause.c - what a kernel wrote to stderr, quoted for a client. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernelmgr/cause.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/utf8.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char out[KM_CAUSE_MAX] = "exit code 1", *tail = calloc(1, size + 1);

	assert(tail != NULL);
	for (size_t i = 0; i < size; i++)
		tail[i] = (char)(data[i] != 0 ? data[i] : ' ');
	km_cause_quote(out, tail);
	assert(strncmp(out, "exit code 1", 11) == 0);
	assert(out[11] == '\0' || strncmp(out + 11, ": ", 2) == 0);
	assert(utf8_valid(out, strlen(out)));
	for (const char *p = out; *p != '\0'; p++)
		assert((unsigned char)*p >= ' ' && *p != 0x7f);
	free(tail);
	return 0;
}
