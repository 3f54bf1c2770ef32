/* gateway/dialects/e2b_line.c - see gateway/dialects/e2b_line.h. */
#include "gateway/dialects/e2b_line.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "gateway/event.h"
#include "gateway/text.h"
#include "wire/base/mem.h"
#include "wire/json_put.h"
#include "wire/sign.h"

/* What E2B's server says when it loses a kernel or the way to it (protocols: E2B, 3.1); ours
 * adds the reason. */
#define RESTARTING "Context was restarted"
#define CLOSED     "Connection to the execution was closed before the execution was finished"
#define END        "{\"type\":\"end_of_execution\"}\n"

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

/* ,"key": and a string */
static int
put_member(struct buf *b, const char *key, struct wire_slice text)
{
	int rc = buf_printf(b, ",\"%s\":", key);

	return rc == 0 ? wire_json_put_string(b, text, WIRE_JSON_ASCII) : rc;
}

/* --- results ---------------------------------------------------------------------------- */

/* In the order in which E2B's server writes them. */
static const struct {
	const char *mime;
	const char *field;
} fields[] = {
    {"text/plain", "text"},        {"text/html", "html"},
    {"text/markdown", "markdown"}, {"image/svg+xml", "svg"},
    {"image/png", "png"},          {"image/jpeg", "jpeg"},
    {"application/pdf", "pdf"},    {"text/latex", "latex"},
    {"application/json", "json"},  {"application/javascript", "javascript"},
    {"e2b/data", "data"},          {"e2b/chart", "chart"},
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool
is_field(const char *mime)
{
	for (size_t i = 0; i < FIELDS; i++)
		if (strcmp(fields[i].mime, mime) == 0)
			return true;
	return false;
}

/* E2B cuts the quotes of a string's repr; escapes inside stay. */
static int
put_text(struct buf *b, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	if (len == 0 || (s[0] != '\'' && s[0] != '"') || s[len - 1] != s[0])
		return wire_json_put(b, v, WIRE_JSON_ASCII);
	return wire_json_put_string(b, (struct wire_slice){s + 1, len > 1 ? len - 2 : 0},
	                            WIRE_JSON_ASCII);
}

static int
put_fields(struct buf *b, const json_t *bundle)
{
	int rc = 0;

	for (size_t i = 0; i < FIELDS && rc == 0; i++) {
		const json_t *v = json_object_get(bundle, fields[i].mime);

		if (v == NULL || json_is_null(v))
			continue;
		rc = buf_printf(b, ",\"%s\":", fields[i].field);
		if (rc == 0)
			rc = i == 0 ? put_text(b, v) : wire_json_put(b, v, WIRE_JSON_ASCII);
	}
	return rc;
}

static int
put_extra(struct buf *b, json_t *bundle)
{
	const char *mime;
	const char *comma = "";
	json_t *v;
	int rc = put(b, ",\"extra\":{");

	json_object_foreach (bundle, mime, v) {
		if (rc != 0 || is_field(mime))
			continue;
		rc = put(b, comma);
		if (rc == 0)
			rc = wire_json_put_string(b, slice(mime), WIRE_JSON_ASCII);
		if (rc == 0)
			rc = put(b, ":");
		if (rc == 0)
			rc = wire_json_put(b, v, WIRE_JSON_ASCII);
		comma = ",";
	}
	return rc == 0 ? put(b, "}") : rc;
}

static int
put_result(struct buf *b, const struct gw_event *ev)
{
	int rc = put(b, "{\"type\":\"result\"");

	if (rc == 0)
		rc = put_fields(b, ev->bundle);
	if (rc == 0)
		rc = put_extra(b, ev->bundle);
	if (rc == 0)
		rc = put(b, ev->kind == GW_EV_RESULT ? ",\"is_main_result\":true}\n"
		                                     : ",\"is_main_result\":false}\n");
	return rc;
}

/* --- the other lines -------------------------------------------------------------------- */

static int
put_stream(struct buf *b, const struct gw_event *ev, const char *now)
{
	int rc =
	    put(b, ev->kind == GW_EV_STDOUT ? "{\"type\":\"stdout\"" : "{\"type\":\"stderr\"");

	if (rc == 0)
		rc = put_member(b, "text", ev->text);
	if (rc == 0)
		rc = put_member(b, "timestamp", slice(now));
	return rc == 0 ? put(b, "}\n") : rc;
}

static int
put_error(struct buf *b, const char *name, struct wire_slice value, const char *traceback)
{
	int rc = put(b, "{\"type\":\"error\"");

	if (rc == 0)
		rc = put_member(b, "name", slice(name));
	if (rc == 0)
		rc = put_member(b, "value", value);
	if (rc == 0)
		rc = put_member(b, "traceback", slice(traceback));
	return rc == 0 ? put(b, "}\n") : rc;
}

/* exit(), sys.exit() and sys.exit(0) end a run without an error. */
static bool
is_clean_exit(const struct gw_event *ev)
{
	const char *v = ev->text.ptr != NULL ? ev->text.ptr : "";

	return strcmp(ev->name, "SystemExit") == 0 &&
	       (v[0] == '\0' || strcmp(v, "0") == 0 || strcmp(v, "None") == 0);
}

/* The first error of a run is the one that its client gets. */
static int
hold_error(struct buf *held, const struct gw_event *ev)
{
	char *traceback;
	int rc;

	if (held->len > 0 || is_clean_exit(ev))
		return 0;
	traceback = gw_text_joined(ev->traceback);
	rc = put_error(held, ev->name, ev->text, traceback);
	mem_free(traceback);
	return rc;
}

/* An error of ours: what, and why where that is known. */
static int
put_reason(struct buf *b, const char *name, const char *what, const struct gw_event *done)
{
	const char *why = done->text.len > 0 ? done->text.ptr : NULL;
	struct buf value;
	int rc;

	buf_init(&value, SIZE_MAX / 4);
	rc =
	    buf_printf(&value, "%s%s%s", what, why != NULL ? ": " : "", why != NULL ? why : "");
	if (rc == 0)
		rc = put_error(b, name, (struct wire_slice){value.data, value.len}, "");
	buf_fini(&value);
	return rc;
}

static int
put_end(struct gw_e2b_line *l, const struct gw_event *ev)
{
	int rc = 0;

	if (ev->how == GW_DONE_KERNEL_DIED)
		rc = put_reason(&l->out, "ContextRestarting", RESTARTING, ev);
	else if (ev->how == GW_DONE_ABORTED)
		rc = put_reason(&l->out, "UnexpectedEndOfExecution", CLOSED, ev);
	else if (ev->how == GW_DONE_OVERRUN)
		rc = put_reason(&l->out, "OutputLimitExceeded",
		                "The execution wrote more than the gateway allows", ev);
	else if (ev->how == GW_DONE_TIMEOUT)
		rc = put_reason(&l->out, "ExecutionTimeout", "Execution timed out", ev);
	else if (l->held.len > 0)
		rc = buf_append(&l->out, l->held.data, l->held.len);
	else if (ev->how == GW_DONE_INTERRUPTED)
		rc = put_reason(&l->out, "ExecutionInterrupted", "Execution was interrupted",
		                ev);
	buf_fini(&l->held);
	return rc == 0 ? put(&l->out, END) : rc;
}

static int
put_event(struct gw_e2b_line *l, const struct gw_event *ev, const char *now)
{
	switch (ev->kind) {
	case GW_EV_STARTED:
		return buf_printf(
		    &l->out, "{\"type\":\"number_of_executions\",\"execution_count\":%lld}\n",
		    (long long)ev->count);
	case GW_EV_STDOUT:
	case GW_EV_STDERR:
	case GW_EV_CUT:
		return put_stream(&l->out, ev, now);
	case GW_EV_RESULT:
	case GW_EV_DISPLAY:
		return put_result(&l->out, ev);
	case GW_EV_ERROR:
		return hold_error(&l->held, ev);
	case GW_EV_DONE:
		return put_end(l, ev);
	case GW_EV_ACCEPTED:
	case GW_EV_UPDATE:
	case GW_EV_CLEAR:
	case GW_EV_INPUT:
	case GW_EV_N:
	default:
		return 0;
	}
}

int
gw_e2b_line_event(struct gw_e2b_line *l, const struct gw_event *ev, const char *now)
{
	static const char lost[] =
	    "{\"type\":\"error\",\"name\":\"OutputLost\",\"value\":\"The gateway had no memory "
	    "for a part of the output\",\"traceback\":\"\"}\n" END;
	size_t before = l->out.len;
	size_t len = sizeof(lost) - 1;

	if (put_event(l, ev, now) == 0)
		return 0;
	l->out.len = before; /* no half line */
	if (l->out.cap > 0)
		l->out.data[before] = '\0';
	buf_fini(&l->held);
	if (ev->kind == GW_EV_DONE)
		return buf_append(&l->out, lost, len) == 0 ? 0 : -ENOMEM;
	(void)buf_append(&l->held, lost, len - strlen(END));
	return 0;
}

void
gw_e2b_line_keepalive(struct gw_e2b_line *l)
{
	(void)put(&l->out, "{\"type\":\"keepalive\"}\n");
}

void
gw_e2b_line_init(struct gw_e2b_line *l)
{
	buf_init(&l->out, SIZE_MAX / 4);
	buf_init(&l->held, SIZE_MAX / 4);
}

void
gw_e2b_line_fini(struct gw_e2b_line *l)
{
	buf_fini(&l->out);
	buf_fini(&l->held);
}
