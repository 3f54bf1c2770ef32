/* gateway/dialects/e2b_line.c - see gateway/dialects/e2b_line.h.
 *
 * Text and images are most of all plain ASCII: they are copied run by run, which is a hundred
 * times faster than jansson's way.
 */
#include "gateway/dialects/e2b_line.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "gateway/event.h"
#include "gateway/text.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

#define EACH(byte)  (0x0101010101010101ULL * (byte))
#define HIGH_BITS   EACH(0x80ULL)
#define REPLACEMENT 0xFFFD

/* What E2B's server says when it loses a kernel or the way to it (protocols: E2B, 3.1); ours
 * adds the reason. */
#define RESTARTING "Context was restarted"
#define CLOSED     "Connection to the execution was closed before the execution was finished"

/* --- strings ---------------------------------------------------------------------------- */

/* A byte that stands for itself in a JSON string, and is ASCII. */
static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static uint64_t
has_zero(uint64_t w)
{
	return (w - EACH(1ULL)) & ~w & HIGH_BITS;
}

/* Length of the run of plain bytes at p. */
static size_t
plain_span(const char *p, const char *end)
{
	const char *q = p;
	uint64_t w;

	for (; end - q >= 8; q += 8) {
		memcpy(&w, q, sizeof(w));
		if ((((w - EACH(0x20ULL)) | w) & HIGH_BITS) != 0 ||
		    has_zero(w ^ EACH((uint64_t)'"')) != 0 ||
		    has_zero(w ^ EACH((uint64_t)'\\')) != 0)
			break;
	}
	while (q < end && is_plain((unsigned char)*q))
		q++;
	return (size_t)(q - p);
}

/* Read the character at p, at least two bytes long in valid UTF-8.  Returns its length. */
static size_t
read_wide(const char *p, const char *end, uint32_t *ret)
{
	const unsigned char c = (unsigned char)*p;
	const size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
	uint32_t cp = c & (0x7FU >> n);

	if (c < 0xC2 || c > 0xF4 || (size_t)(end - p) < n) {
		*ret = REPLACEMENT;
		return 1;
	}
	for (size_t i = 1; i < n; i++)
		cp = cp << 6 | ((unsigned char)p[i] & 0x3FU);
	*ret = cp;
	return n;
}

static int
put_unit(struct buf *b, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	const char text[6] = {
	    '\\',          'u', hex[unit >> 12 & 15], hex[unit >> 8 & 15], hex[unit >> 4 & 15],
	    hex[unit & 15]};

	return buf_append(b, text, sizeof(text));
}

/* Write the character at *p, which is not plain, and step over it. */
static int
put_escape(struct buf *b, const char **p, const char *end)
{
	static const char names[] = "\"\"\\\\\nn\tt\rr\bb\ff";
	const char c = **p;
	uint32_t cp;
	int rc;

	for (const char *s = names; *s != '\0'; s += 2) {
		const char text[2] = {'\\', s[1]};

		if (*s == c) {
			(*p)++;
			return buf_append(b, text, sizeof(text));
		}
	}
	if ((unsigned char)c < 0x80) {
		(*p)++;
		return put_unit(b, (unsigned char)c);
	}
	*p += read_wide(*p, end, &cp);
	if (cp < 0x10000)
		return put_unit(b, cp);
	rc = put_unit(b, 0xD800 + ((cp - 0x10000) >> 10));
	return rc == 0 ? put_unit(b, 0xDC00 + ((cp - 0x10000) & 0x3FF)) : rc;
}

static int
put_string(struct buf *b, const char *p, size_t len)
{
	const char *end = p + len;
	int rc = buf_append(b, "\"", 1);

	while (rc == 0 && p < end) {
		size_t run = plain_span(p, end);

		rc = buf_append(b, p, run);
		p += run;
		if (rc == 0 && p < end)
			rc = put_escape(b, &p, end);
	}
	return rc == 0 ? buf_append(b, "\"", 1) : rc;
}

static int
put(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

/* ,"key": and a string */
static int
put_member(struct buf *b, const char *key, const char *p, size_t len)
{
	int rc = buf_printf(b, ",\"%s\":", key);

	return rc == 0 ? put_string(b, p, len) : rc;
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

static int
dump(const char *text, size_t len, void *arg)
{
	return buf_append(arg, text, len);
}

static int
put_value(struct buf *b, const json_t *v)
{
	if (json_is_string(v))
		return put_string(b, json_string_value(v), json_string_length(v));
	return json_dump_callback(v, dump, b,
	                          JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) == 0
	           ? 0
	           : -EMSGSIZE;
}

/* E2B cuts the quotes of a string's repr; escapes inside stay. */
static int
put_text(struct buf *b, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	if (len == 0 || (s[0] != '\'' && s[0] != '"') || s[len - 1] != s[0])
		return put_value(b, v);
	return put_string(b, s + 1, len > 1 ? len - 2 : 0);
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
			rc = i == 0 ? put_text(b, v) : put_value(b, v);
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
			rc = put_string(b, mime, strlen(mime));
		if (rc == 0)
			rc = put(b, ":");
		if (rc == 0)
			rc = put_value(b, v);
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
		rc = put_member(b, "text", ev->text.ptr, ev->text.len);
	if (rc == 0)
		rc = put_member(b, "timestamp", now, strlen(now));
	return rc == 0 ? put(b, "}\n") : rc;
}

static int
put_error(struct buf *b, const char *name, struct wire_slice value, const char *traceback)
{
	int rc = put(b, "{\"type\":\"error\"");

	if (rc == 0)
		rc = put_member(b, "name", name, strlen(name));
	if (rc == 0)
		rc = put_member(b, "value", value.ptr != NULL ? value.ptr : "", value.len);
	if (rc == 0)
		rc = put_member(b, "traceback", traceback, strlen(traceback));
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
	return rc == 0 ? put(&l->out, "{\"type\":\"end_of_execution\"}\n") : rc;
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

void
gw_e2b_line_event(struct gw_e2b_line *l, const struct gw_event *ev, const char *now)
{
	static const char lost[] =
	    "{\"type\":\"error\",\"name\":\"OutputLost\",\"value\":\"The gateway had no memory "
	    "for a part of the output\",\"traceback\":\"\"}\n";
	size_t before = l->out.len;

	if (put_event(l, ev, now) == 0)
		return;
	l->out.len = before; /* no half line */
	if (l->out.cap > 0)
		l->out.data[before] = '\0';
	buf_fini(&l->held);
	(void)buf_append(&l->held, lost, sizeof(lost) - 1);
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
