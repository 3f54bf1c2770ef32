/* gateway/dialects/osb_files_body.c - see gateway/dialects/osb_files.h. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/dialects/osb_files.h"
#include "gateway/fs.h"
#include "gateway/text.h"
#include "wire/base/err.h"

#define SAME "error parsing request: " /* as execd begins */

/* Checks one item, which err calls name. */
typedef int check_fn(const json_t *item, const char *name, struct err *err);

static bool
is_nothing(const json_t *v)
{
	return v == NULL || json_is_null(v);
}

static int
check_string(const json_t *item, const char *name, const char *key, struct err *err)
{
	const json_t *v = json_object_get(item, key);

	if (is_nothing(v) || json_is_string(v))
		return 0;
	return err_set(err, -EINVAL, SAME "%.100s: %s is not a string", name, key);
}

/* Read text, check all items of the object or array that it must be. */
static int
read_items(const char *body, size_t len, bool array, check_fn *check, json_t **ret,
           struct err *err)
{
	json_error_t why = {.text = ""};
	json_t *all = json_loadb(body, len, 0, &why);
	const char *key;
	char name[32];
	json_t *item;
	size_t i;
	int rc = 0;

	if (all == NULL)
		return err_set(err, -EINVAL, SAME "%.150s", why.text);
	if (array ? !json_is_array(all) : !json_is_object(all))
		rc = err_set(err, -EINVAL, SAME "the body is not an %s",
		             array ? "array" : "object");
	else if ((array ? json_array_size(all) : json_object_size(all)) > GW_OSB_FILES_MAX)
		rc = err_set(err, -EMSGSIZE, "more than %d items", GW_OSB_FILES_MAX);
	if (rc == 0 && array) {
		json_array_foreach (all, i, item) {
			(void)snprintf(name, sizeof(name), "item %zu", i);
			rc = check(item, name, err);
			if (rc != 0)
				break;
		}
	} else if (rc == 0) {
		json_object_foreach (all, key, item)
			rc = rc == 0 ? check(item, key, err) : rc;
	}
	if (rc == 0)
		*ret = all;
	else
		json_decref(all);
	return rc;
}

/* --- permissions -------------------------------------------------------------------------- */

static int
check_permission(const json_t *item, const char *name, struct err *err)
{
	const json_t *mode = json_object_get(item, "mode");
	json_int_t n = json_integer_value(mode);
	int rc;

	if (!json_is_object(item))
		return err_set(err, -EINVAL, SAME "%.100s: is not an object", name);
	if (!is_nothing(mode) &&
	    (!json_is_integer(mode) || n < 0 || n > 777 || n % 10 > 7 || n / 10 % 10 > 7))
		return err_set(err, -EINVAL,
		               SAME "%.100s: mode is not a number of octal digits up to 777, "
		                    "like 644",
		               name);
	rc = check_string(item, name, "owner", err);
	return rc == 0 ? check_string(item, name, "group", err) : rc;
}

int
gw_osb_files_permissions(const char *body, size_t len, json_t **ret, struct err *err)
{
	return read_items(body, len, false, check_permission, ret, err);
}

int
gw_osb_files_metadata(const char *text, size_t len, json_t **ret, struct err *err)
{
	json_error_t why = {.text = ""};
	json_t *item = json_loadb(text, len, 0, &why);
	const char *path = json_string_value(json_object_get(item, "path"));
	int rc;

	if (item == NULL)
		return err_set(err, -EINVAL, "metadata: %.150s", why.text);
	rc = check_permission(item, "metadata", err);
	if (rc == 0 && (path == NULL || path[0] == '\0'))
		rc = err_set(err, -EINVAL, "metadata path is empty");
	else if (rc == 0 && strlen(path) >= PATH_MAX)
		rc = err_set(err, -EINVAL, "metadata: path has more than %d bytes",
		             PATH_MAX - 1);
	if (rc == 0)
		*ret = item;
	else
		json_decref(item);
	return rc;
}

mode_t
gw_osb_files_mode(const json_t *item)
{
	mode_t n = (mode_t)json_integer_value(json_object_get(item, "mode"));

	return n == 0 ? GW_FS_MODE_KEEP : n / 100 << 6 | n / 10 % 10 << 3 | n % 10;
}

/* --- text and names ----------------------------------------------------------------------- */

static int
check_replacement(const json_t *item, const char *name, struct err *err)
{
	int rc;

	if (!json_is_object(item))
		return err_set(err, -EINVAL, SAME "%.100s: is not an object", name);
	rc = check_string(item, name, "old", err);
	if (rc == 0)
		rc = check_string(item, name, "new", err);
	if (rc == 0 && json_string_length(json_object_get(item, "old")) == 0)
		rc = err_set(err, -EINVAL, "%.100s: old content must not be empty", name);
	return rc;
}

int
gw_osb_files_replacements(const char *body, size_t len, json_t **ret, struct err *err)
{
	return read_items(body, len, false, check_replacement, ret, err);
}

static int
check_move(const json_t *item, const char *name, struct err *err)
{
	int rc;

	if (!json_is_object(item))
		return err_set(err, -EINVAL, SAME "%s is not an object", name);
	rc = check_string(item, name, "src", err);
	if (rc == 0)
		rc = check_string(item, name, "dest", err);
	if (rc == 0 && (json_string_length(json_object_get(item, "src")) == 0 ||
	                json_string_length(json_object_get(item, "dest")) == 0))
		rc = err_set(err, -EINVAL, SAME "%s has no src, or no dest", name);
	return rc;
}

int
gw_osb_files_moves(const char *body, size_t len, json_t **ret, struct err *err)
{
	return read_items(body, len, true, check_move, ret, err);
}

int
gw_osb_files_depth(const char *text, unsigned *ret, struct err *err)
{
	uint64_t n = 1;
	struct err why;

	if (text != NULL && text[0] != '\0' && gw_text_number(text, 0, INT_MAX, &n, &why) != 0)
		return err_set(err, -EINVAL, "invalid query parameter 'depth': %.40s", text);
	*ret = (unsigned)n;
	return 0;
}
