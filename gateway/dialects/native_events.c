/* gateway/dialects/native_events.c - see gateway/dialects/native_events.h. */
#include "gateway/dialects/native_events.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/event.h"
#include "wire/base/buf.h"
#include "wire/json_put.h"

int
gw_native_events_string(struct buf *b, struct wire_slice text)
{
	return wire_json_put_string(b, text, WIRE_JSON_PLAIN);
}

static json_t *
or_empty_object(json_t *v)
{
	return v != NULL ? json_incref(v) : json_object();
}

static json_t *
bundle_fields(const struct gw_event *ev)
{
	json_t *o = json_pack("{s:O, s:o}", "bundle", ev->bundle, "metadata",
	                      or_empty_object(ev->metadata));

	if (ev->id != NULL)
		json_object_set_new(o, "display_id", json_string(ev->id));
	if (ev->kind == GW_EV_RESULT)
		json_object_set_new(o, "count", json_integer(ev->count));
	return o;
}

static json_t *
error_fields(const struct gw_event *ev)
{
	json_t *o =
	    json_pack("{s:s, s:o, s:o}", "name", ev->name != NULL ? ev->name : "", "value",
	              json_stringn_nocheck(ev->text.ptr, ev->text.len), "traceback",
	              ev->traceback != NULL ? json_incref(ev->traceback) : json_array());

	if (ev->plain != NULL)
		json_object_set(o, "plain", ev->plain);
	return o;
}

json_t *
gw_native_events_fields(const struct gw_event *ev)
{
	if (ev->kind == GW_EV_ERROR)
		return error_fields(ev);
	if (ev->kind == GW_EV_DISPLAY || ev->kind == GW_EV_UPDATE || ev->kind == GW_EV_RESULT)
		return bundle_fields(ev);
	return NULL;
}

static int
append_error(struct buf *b, const struct gw_event *ev)
{
	json_t *fields = error_fields(ev);
	int rc = buf_append(b, ",", 1);

	if (rc == 0)
		rc = wire_json_put_members(b, fields, WIRE_JSON_PLAIN);
	json_decref(fields);
	return rc == 0 ? buf_append(b, "}", 1) : rc;
}

static int
append_text(struct buf *b, const char *key, struct wire_slice text)
{
	int rc = buf_printf(b, ",\"%s\":", key);

	return rc == 0 ? gw_native_events_string(b, text) : rc;
}

/* The same fields as bundle_fields(), without making them. */
static int
append_bundle(struct buf *b, const struct gw_event *ev)
{
	int rc = buf_printf(b, ",\"bundle\":");

	if (rc == 0)
		rc = wire_json_put(b, ev->bundle, WIRE_JSON_PLAIN);
	if (rc == 0)
		rc = buf_printf(b, ",\"metadata\":");
	if (rc == 0)
		rc = ev->metadata != NULL ? wire_json_put(b, ev->metadata, WIRE_JSON_PLAIN)
		                          : buf_append(b, "{}", 2);
	if (rc == 0 && ev->id != NULL)
		rc = append_text(b, "display_id", (struct wire_slice){ev->id, strlen(ev->id)});
	if (rc == 0 && ev->kind == GW_EV_RESULT)
		rc = buf_printf(b, ",\"count\":%lld", (long long)ev->count);
	return rc == 0 ? buf_append(b, "}", 1) : rc;
}

static int
append_done(struct buf *b, const struct gw_event *ev)
{
	int rc = buf_printf(b, ",\"how\":\"%s\",\"elapsed_ms\":%llu", gw_done_name(ev->how),
	                    (unsigned long long)ev->elapsed_ms);

	if (rc == 0 && ev->count > 0)
		rc = buf_printf(b, ",\"count\":%lld", (long long)ev->count);
	if (rc == 0 && ev->text.len > 0)
		rc = append_text(b, "why", ev->text);
	return rc == 0 ? buf_append(b, "}", 1) : rc;
}

static int
append_input(struct buf *b, const struct gw_event *ev)
{
	int rc = append_text(b, "prompt", ev->text);

	return rc == 0 ? buf_printf(b, ",\"password\":%s}", ev->flag ? "true" : "false") : rc;
}

int
gw_native_events_encode(struct buf *b, const char *execution, const struct gw_event *ev)
{
	int rc = buf_printf(b, "{\"execution\":\"%s\",\"seq\":%llu,\"event\":\"%s\"", execution,
	                    (unsigned long long)ev->seq, gw_event_name(ev->kind));

	if (rc != 0)
		return rc;
	switch (ev->kind) {
	case GW_EV_ACCEPTED:
		return buf_printf(b, ",\"position\":%lld}", (long long)ev->count);
	case GW_EV_STARTED:
		return buf_printf(b, ",\"count\":%lld}", (long long)ev->count);
	case GW_EV_STDOUT:
	case GW_EV_STDERR:
		rc = append_text(b, "text", ev->text);
		return rc == 0 ? buf_append(b, "}", 1) : rc;
	case GW_EV_CLEAR:
		return buf_printf(b, ",\"wait\":%s}", ev->flag ? "true" : "false");
	case GW_EV_INPUT:
		return append_input(b, ev);
	case GW_EV_CUT:
		return buf_printf(b, ",\"bytes\":%llu,\"messages\":%llu}",
		                  (unsigned long long)ev->cut_bytes,
		                  (unsigned long long)ev->cut_messages);
	case GW_EV_DONE:
		return append_done(b, ev);
	case GW_EV_DISPLAY:
	case GW_EV_UPDATE:
	case GW_EV_RESULT:
		return append_bundle(b, ev);
	case GW_EV_ERROR:
	case GW_EV_N:
		break;
	}
	return append_error(b, ev);
}
