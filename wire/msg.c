/* wire/msg.c - see wire/msg.h. */
#include "wire/msg.h"

#include <errno.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"
#include "wire/json.h"
#include "wire/json_put.h"

#define DELIMITER     "<IDS|MSG>"
#define USERNAME      "kernelbridge"
#define VERSION       "5.3" /* of the messages sent: interrupt_request is the newest of them */
#define DATE_MAX      40
#define TYPICAL_BYTES 700 /* of an execute_request with short code */
#define UUID_BYTES    16
#define UUIDS_AHEAD   64
#define FIXED_FRAMES  (1 + 1 + WIRE_SIGN_PARTS) /* delimiter, signature, parts */

struct wire_out {
	char id[WIRE_UUID_LEN + 1];
	char signature[WIRE_SIGN_HEXLEN + 1];
	struct buf text; /* the four parts, one behind the other */
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

static bool
is_empty_object(struct wire_slice part)
{
	return part.len == 2 && memcmp(part.ptr, "{}", 2) == 0;
}

/* An object out of a part into *ret, owned by the caller, or NULL for one without members. */
static int
parse_metadata(struct wire_slice part, json_t **ret)
{
	json_t *v;
	int rc;

	*ret = NULL;
	if (is_empty_object(part))
		return 0;
	v = wire_json_parse(part.ptr, part.len);
	if (json_is_object(v)) {
		*ret = v;
		return 0;
	}
	rc = json_is_null(v) ? 0 : -EBADMSG;
	json_decref(v);
	return rc;
}

/* parent_header is null in some kernels' messages without one. */
static int
pick_parent(struct wire_slice part, char ret[WIRE_MSG_NAME])
{
	const struct wire_json_pick id = {"msg_id", ret, WIRE_MSG_NAME};
	json_t *v;
	int rc = wire_json_pick(part.ptr, part.len, &id, 1);

	if (rc == 0)
		return 0;
	ret[0] = '\0';
	v = wire_json_parse(part.ptr, part.len);
	rc = json_is_null(v) ? 0 : -EBADMSG;
	json_decref(v);
	return rc;
}

static int
parse_content(struct wire_msg *m)
{
	const struct wire_slice part = m->raw[WIRE_CONTENT];
	const struct wire_json_pick state = {"execution_state", m->names[3], WIRE_MSG_NAME};

	if (strcmp(m->type, "status") == 0)
		return wire_json_pick(part.ptr, part.len, &state, 1);
	m->content = wire_json_parse(part.ptr, part.len);
	return json_is_object(m->content) ? 0 : -EBADMSG;
}

int
wire_msg_parse(struct wire_msg *m, enum wire_channel_kind channel, const struct wire_sign *sign,
               const struct wire_slice *frames, size_t n)
{
	size_t at = find_delimiter(frames, n);
	const struct wire_json_pick names[] = {{"msg_type", m->names[0], WIRE_MSG_NAME},
	                                       {"msg_id", m->names[1], WIRE_MSG_NAME}};

	*m = (struct wire_msg){.channel = channel};
	if (n - at < FIXED_FRAMES)
		return -EBADMSG;
	memcpy(m->raw, frames + at + 2, sizeof(m->raw));
	if (wire_sign_verify(sign, m->raw, frames[at + 1]) != 0)
		return -EBADMSG;
	m->buffers = frames + at + FIXED_FRAMES;
	m->buffers_n = n - at - FIXED_FRAMES;
	m->type = m->names[0];
	m->id = m->names[1];
	m->parent_id = m->names[2];
	m->state = m->names[3];
	if (wire_json_pick(m->raw[WIRE_HEADER].ptr, m->raw[WIRE_HEADER].len, names, 2) != 0 ||
	    pick_parent(m->raw[WIRE_PARENT], m->names[2]) != 0 || m->type[0] == '\0' ||
	    parse_metadata(m->raw[WIRE_METADATA], &m->metadata) != 0)
		return -EBADMSG;
	if (parse_content(m) != 0) {
		wire_msg_fini(m);
		return -EBADMSG;
	}
	return 0;
}

void
wire_msg_fini(struct wire_msg *m)
{
	json_decref(m->metadata);
	json_decref(m->content);
	*m = (struct wire_msg){.type = "", .id = "", .parent_id = "", .state = ""};
}

struct wire_slice
wire_msg_text(const json_t *v)
{
	if (!json_is_string(v))
		return (struct wire_slice){"", 0};
	return (struct wire_slice){json_string_value(v), json_string_length(v)};
}

/* ISO 8601 in UTC with microseconds, as jupyter_client writes it; the seconds are made once. */
static void
put_date(char out[DATE_MAX])
{
	static char day[24];
	static time_t made = -1;
	struct timespec now = {0};
	struct tm tm = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != made) {
		(void)gmtime_r(&now.tv_sec, &tm);
		(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
		made = now.tv_sec;
	}
	(void)snprintf(out, DATE_MAX, "%s.%06ldZ", day, now.tv_nsec / 1000 % 1000000);
}

static int
put_header(struct buf *b, const char *id, const char *session, const char *type)
{
	const char *const members[][2] = {
	    {"{\"msg_id\":", id},         {",\"session\":", session},
	    {",\"username\":", USERNAME}, {",\"version\":", VERSION},
	    {",\"msg_type\":", type},
	};
	char date[DATE_MAX];
	int rc = 0;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && rc == 0; i++) {
		const char *value = members[i][1];

		rc = buf_append(b, members[i][0], strlen(members[i][0]));
		if (rc == 0)
			rc = wire_json_put_string(b, (struct wire_slice){value, strlen(value)},
			                          WIRE_JSON_PLAIN);
	}
	put_date(date);
	return rc == 0 ? buf_printf(b, ",\"date\":\"%s\"}", date) : rc;
}

static int
put_object(struct buf *b, const json_t *v)
{
	return v == NULL ? buf_append(b, "{}", 2) : wire_json_put(b, v, WIRE_JSON_PLAIN);
}

/* Append the four parts; ends[i] is where the i-th does. */
static int
put_parts(struct wire_out *o, const char *const header[2], struct wire_slice parent,
          const json_t *const objects[2], size_t ends[WIRE_SIGN_PARTS])
{
	struct buf *b = &o->text;
	int rc = put_header(b, o->id, header[0], header[1]);

	ends[WIRE_HEADER] = b->len;
	if (rc == 0)
		rc = parent.len == 0 ? buf_append(b, "{}", 2)
		                     : buf_append(b, parent.ptr, parent.len);
	ends[WIRE_PARENT] = b->len;
	if (rc == 0)
		rc = put_object(b, objects[0]);
	ends[WIRE_METADATA] = b->len;
	if (rc == 0)
		rc = put_object(b, objects[1]);
	ends[WIRE_CONTENT] = b->len;
	return rc == 0 && !utf8_valid(b->data, b->len) ? -EINVAL : rc;
}

struct wire_out *
wire_out_new(const struct wire_sign *sign, const char *session, const char *type,
             struct wire_slice parent, const json_t *metadata, const json_t *content)
{
	struct wire_out *o = mem_new(sizeof(*o));
	struct wire_slice *signed_parts = &o->frames[2];
	size_t ends[WIRE_SIGN_PARTS];

	wire_uuid(o->id);
	buf_init(&o->text,
	         SIZE_MAX / 2); /* as large as what a client sent, which had a limit */
	if (buf_reserve(&o->text, TYPICAL_BYTES) != 0 ||
	    put_parts(o, (const char *const[]){session, type}, parent,
	              (const json_t *const[]){metadata, content}, ends) != 0) {
		wire_out_free(o);
		return NULL;
	}
	for (size_t i = 0, from = 0; i < WIRE_SIGN_PARTS; from = ends[i++])
		signed_parts[i] = (struct wire_slice){o->text.data + from, ends[i] - from};
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
	buf_fini(&o->text);
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
	static const char hex[] = "0123456789abcdef";
	static unsigned char pool[UUID_BYTES * UUIDS_AHEAD]; /* one system call for many */
	static size_t used = sizeof(pool);
	unsigned char *b;

	if (used == sizeof(pool)) {
		randombytes_buf(pool, sizeof(pool));
		used = 0;
	}
	b = pool + used;
	used += UUID_BYTES;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* RFC 4122: version 4 */
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80); /* and variant 1 */
	for (size_t i = 0; i < UUID_BYTES; i++) {
		*out++ = hex[b[i] >> 4];
		*out++ = hex[b[i] & 15];
		if (i == 3 || i == 5 || i == 7 || i == 9)
			*out++ = '-';
	}
	*out = '\0';
	sodium_memzero(b, UUID_BYTES);
}
