/* tests/fuzz/fuzz_gw_osb_files.c - what clients ask of files.
 *
 * Input: a byte that says of what kind, then the body.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "gateway/dialects/osb_files.h"
#include "gateway/fs.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static void
check_refusal(int rc, const struct err *err)
{
	assert(rc == -EINVAL || rc == -EMSGSIZE);
	assert(err->text[0] != '\0');
}

static void
permissions(const char *body, size_t len)
{
	struct err err = {""};
	const char *path;
	json_t *item;
	json_t *all;
	int rc = gw_osb_files_permissions(body, len, &all, &err);

	if (rc != 0) {
		check_refusal(rc, &err);
		return;
	}
	json_object_foreach (all, path, item) {
		mode_t mode = gw_osb_files_mode(item);

		assert(mode == GW_FS_MODE_KEEP || (mode > 0 && mode <= 0777));
	}
	json_decref(all);
}

static void
replacements(const char *body, size_t len)
{
	struct err err = {""};
	const char *path;
	json_t *item;
	json_t *all;
	int rc = gw_osb_files_replacements(body, len, &all, &err);

	if (rc != 0) {
		check_refusal(rc, &err);
		return;
	}
	json_object_foreach (all, path, item)
		assert(json_string_value(json_object_get(item, "old"))[0] != '\0');
	json_decref(all);
}

static void
moves(const char *body, size_t len)
{
	struct err err = {""};
	json_t *item;
	json_t *all;
	size_t i;
	int rc = gw_osb_files_moves(body, len, &all, &err);

	if (rc != 0) {
		check_refusal(rc, &err);
		return;
	}
	assert(json_array_size(all) <= GW_OSB_FILES_MAX);
	json_array_foreach (all, i, item) {
		assert(json_string_length(json_object_get(item, "src")) > 0);
		assert(json_string_length(json_object_get(item, "dest")) > 0);
	}
	json_decref(all);
}

static void
depth(const char *body, size_t len)
{
	char *text = mem_new(len + 1);
	struct err err = {""};
	unsigned n;
	int rc;

	memcpy(text, body, len);
	rc = gw_osb_files_depth(text, &n, &err);
	if (rc != 0)
		check_refusal(rc, &err);
	mem_free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(const char *body, size_t len) = {permissions, replacements,
	                                                              moves, depth};

	if (size > 0)
		kinds[data[0] % 4]((const char *)data + 1, size - 1);
	return 0;
}
