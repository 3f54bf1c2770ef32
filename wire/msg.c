/* wire/msg.c - see wire/msg.h. */
#include "wire/msg.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/base/mem.h"
#include "wire/json.h"

#define DELIMITER    "<IDS|MSG>"
#define USERNAME     "kernelbridge"
#define VERSION      "5.3" /* of the messages sent: interrupt_request is the newest of them */
#define DATE_MAX     40
#define FIXED_FRAMES (1 + 1 + WIRE_SIGN_PARTS) /* delimiter, signature, parts */

enum { HEADER, PARENT, METADATA, CONTENT }; /* the signed parts */

struct wire_out {
	char id[WIRE_UUID_LEN + 1];
	char signature[WIRE_SIGN_HEXLEN + 1];
	char *parts[WIRE_SIGN_PARTS]; /* jansson's allocations */
	struct wire_slice frames[FIXED_FRAMES];
};

/* Index of the delimiter among frames[0..n), or n. */
static size_t
find_delimiter(const struct wire_slice *frames, size_t n)
{
	size_t i = 0;

	while (i < n && (frames[i].len != sizeof(DELIMITER) - 1 ||
	                 memcmp(frames[i].ptr, DELIMITER, frames[i].len) != 0))
		i++;
	return i;
}

/* An object out of a part, owned by the caller; null counts as {} where may_be_null. */
static json_t *
parse_object(struct wire_slice part, bool may_be_null)
{
	json_t *v = wire_json_parse(part.ptr, part.len);

	if (may_be_null && json_is_null(v)) {
		json_decref(v);
		v = json_object();
	}
	if (!json_is_object(v)) {
		json_decref(v);
		v = NULL;
	}
	return v;
}

static const char *
string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s == NULL ? "" : s;
}

int
wire_msg_parse(struct wire_msg *m, enum wire_channel_kind channel, const struct wire_sign *sign,
               const struct wire_slice *frames, size_t n)
{
	size_t at = find_delimiter(frames, n);

	*m = (struct wire_msg){.channel = channel};
	if (n - at < FIXED_FRAMES)
		return -EBADMSG;
	memcpy(m->raw, frames + at + 2, sizeof(m->raw));
	if (wire_sign_verify(sign, m->raw, frames[at + 1]) != 0)
		return -EBADMSG;
	m->buffers = frames + at + FIXED_FRAMES;
	m->buffers_n = n - at - FIXED_FRAMES;
	m->header = parse_object(m->raw[HEADER], false);
	m->parent = parse_object(m->raw[PARENT], true);
	m->metadata = parse_object(m->raw[METADATA], true);
	m->content = parse_object(m->raw[CONTENT], false);
	m->type = string_of(m->header, "msg_type");
	m->id = string_of(m->header, "msg_id");
	m->parent_id = string_of(m->parent, "msg_id");
	if (m->header == NULL || m->parent == NULL || m->metadata == NULL ||
	    m->content == NULL || m->type[0] == '\0') {
		wire_msg_fini(m);
		return -EBADMSG;
	}
	return 0;
}

void
wire_msg_fini(struct wire_msg *m)
{
	json_decref(m->header);
	json_decref(m->parent);
	json_decref(m->metadata);
	json_decref(m->content);
	*m = (struct wire_msg){.type = "", .id = "", .parent_id = ""};
}

struct wire_slice
wire_msg_text(const json_t *v)
{
	if (!json_is_string(v))
		return (struct wire_slice){"", 0};
	return (struct wire_slice){json_string_value(v), json_string_length(v)};
}

/* ISO 8601 in UTC with microseconds, as jupyter_client writes it. */
static void
put_date(char out[DATE_MAX])
{
	struct timespec now = {0};
	struct tm tm = {0};
	size_t n;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, DATE_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, DATE_MAX - n, ".%06ldZ", now.tv_nsec / 1000);
}

static char *
dump(const json_t *v)
{
	return v == NULL ? strdup("{}") : json_dumps(v, JSON_COMPACT);
}

static char *
dump_header(const char *id, const char *session, const char *type)
{
	char date[DATE_MAX];
	json_t *h;
	char *text;

	put_date(date);
	h = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "msg_id", id, "session", session,
	              "username", USERNAME, "date", date, "msg_type", type, "version", VERSION);
	text = h == NULL ? NULL : json_dumps(h, JSON_COMPACT);
	json_decref(h);
	return text;
}

struct wire_out *
wire_out_new(const struct wire_sign *sign, const char *session, const char *type,
             json_t *parent_header, json_t *metadata, json_t *content)
{
	struct wire_out *o = mem_new(sizeof(*o));
	struct wire_slice *signed_parts = &o->frames[2];

	wire_uuid(o->id);
	o->parts[HEADER] = dump_header(o->id, session, type);
	o->parts[PARENT] = dump(parent_header);
	o->parts[METADATA] = dump(metadata);
	o->parts[CONTENT] = dump(content);
	for (size_t i = 0; i < WIRE_SIGN_PARTS; i++) {
		if (o->parts[i] == NULL) {
			wire_out_free(o);
			return NULL;
		}
		signed_parts[i] = (struct wire_slice){o->parts[i], strlen(o->parts[i])};
	}
	wire_sign_digest(sign, signed_parts, o->signature);
	o->frames[0] = (struct wire_slice){DELIMITER, sizeof(DELIMITER) - 1};
	o->frames[1] = (struct wire_slice){o->signature, strlen(o->signature)};
	return o;
}

void
wire_out_free(struct wire_out *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < WIRE_SIGN_PARTS; i++)
		free(o->parts[i]);
	mem_free(o);
}

const char *
wire_out_id(const struct wire_out *o)
{
	return o->id;
}

const struct wire_slice *
wire_out_frames(const struct wire_out *o, size_t *ret_n)
{
	*ret_n = FIXED_FRAMES;
	return o->frames;
}

void
wire_uuid(char out[WIRE_UUID_LEN + 1])
{
	unsigned char b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* RFC 4122: version 4 */
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80); /* and variant 1 */
	(void)snprintf(out, WIRE_UUID_LEN + 1,
	               "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	               b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
	               b[12], b[13], b[14], b[15]);
}
