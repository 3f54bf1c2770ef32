/* gateway/dialects/osb_event.c - see gateway/dialects/osb_event.h. */
#include "gateway/dialects/osb_event.h"

#include <inttypes.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/json_put.h"

static int
put(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

static struct wire_slice
slice(const char *text)
{
	return (struct wire_slice){text, strlen(text)};
}

static int
put_string(struct buf *b, struct wire_slice text)
{
	return wire_json_put_string(b, text, WIRE_JSON_LINES);
}

/* End an event that began at the length before; rc is of what was put since.  No half event
 * stays. */
static int
end(struct buf *b, size_t before, int rc, int64_t now)
{
	if (rc == 0)
		rc = buf_printf(b, ",\"timestamp\":%" PRId64 "}\n\n", now);
	if (rc != 0) {
		b->len = before;
		if (b->cap > 0)
			b->data[before] = '\0';
	}
	return rc;
}

int
gw_osb_put_init(struct buf *b, int64_t now, const char *id)
{
	return gw_osb_put_text(b, now, "init", slice(id));
}

int
gw_osb_put_ping(struct buf *b, int64_t now)
{
	return gw_osb_put_text(b, now, "ping", slice("pong"));
}

int
gw_osb_put_text(struct buf *b, int64_t now, const char *type, struct wire_slice text)
{
	size_t before = b->len;
	int rc = buf_printf(b, "{\"type\":\"%s\",\"text\":", type);

	if (rc == 0)
		rc = put_string(b, text);
	return end(b, before, rc, now);
}

int
gw_osb_put_count(struct buf *b, int64_t now, json_int_t count)
{
	size_t before = b->len;

	return end(b, before,
	           buf_printf(b, "{\"type\":\"execution_count\",\"execution_count\":%lld",
	                      (long long)count),
	           now);
}

/* --- results ---------------------------------------------------------------------------- */

static int
put_bundle(struct buf *b, const json_t *bundle)
{
	const char *comma = "";
	const char *mime;
	size_t len;
	json_t *v;
	int rc = 0;

	json_object_keylen_foreach((json_t *)(uintptr_t)bundle, mime, len, v)
	{
		if (rc == 0)
			rc = put(b, comma);
		if (rc == 0)
			rc = strcmp(mime, "text/plain") == 0
			         ? put(b, "\"text\"")
			         : put_string(b, (struct wire_slice){mime, len});
		if (rc == 0)
			rc = put(b, ":");
		if (rc == 0)
			rc = wire_json_put(b, v, WIRE_JSON_LINES);
		comma = ",";
	}
	return rc;
}

int
gw_osb_put_result(struct buf *b, int64_t now, const json_t *bundle)
{
	size_t before = b->len;
	int rc = put(b, "{\"type\":\"result\",\"results\":{");

	if (rc == 0)
		rc = put_bundle(b, bundle);
	if (rc == 0)
		rc = put(b, "}");
	return end(b, before, rc, now);
}

/* --- the end of a run ------------------------------------------------------------------- */

int
gw_osb_put_error(struct buf *b, int64_t now, const char *name, const char *value,
                 const json_t *traceback)
{
	return gw_osb_put_raised(b, now, name, slice(value), traceback);
}

int
gw_osb_put_raised(struct buf *b, int64_t now, const char *name, struct wire_slice value,
                  const json_t *traceback)
{
	size_t before = b->len;
	int rc = put(b, "{\"type\":\"error\",\"error\":{\"ename\":");

	if (rc == 0)
		rc = put_string(b, slice(name));
	if (rc == 0)
		rc = put(b, ",\"evalue\":");
	if (rc == 0)
		rc = put_string(b, value);
	if (rc == 0)
		rc = put(b, ",\"traceback\":");
	if (rc == 0)
		rc = traceback != NULL ? wire_json_put(b, traceback, WIRE_JSON_LINES)
		                       : put(b, "[]");
	if (rc == 0)
		rc = put(b, "}");
	return end(b, before, rc, now);
}

int
gw_osb_put_complete(struct buf *b, int64_t now, uint64_t elapsed_ms)
{
	size_t before = b->len;

	return end(b, before,
	           buf_printf(b, "{\"type\":\"execution_complete\",\"execution_time\":%" PRIu64,
	                      elapsed_ms),
	           now);
}
