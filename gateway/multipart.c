/* gateway/multipart.c - see gateway/multipart.h.
 *
 * A delimiter is CRLF, two dashes and the boundary; then padding and CRLF, or two dashes for the
 * last.  What was matched of it when the bytes ended is not kept: it is a copy of the delimiter's
 * own beginning, and becomes data from there when it turns out to be none.
 */
#include "gateway/multipart.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define BOUNDARY_MAX  70 /* RFC 2046, section 5.1.1 */
#define DELIMITER_MAX (4 + BOUNDARY_MAX)
#define TAIL_MAX      16 /* padding after a delimiter, and CR */
#define NAME_MAX_LEN  256

enum at {
	AT_CONTENT,   /* in the data of a part, or before the first */
	AT_DELIMITER, /* the same, and the first bytes of a delimiter were seen */
	AT_TAIL,      /* after a delimiter: padding, CRLF, or a dash */
	AT_TAIL_LF,
	AT_DASH, /* after delimiter and dash */
	AT_HEADERS,
	AT_EPILOGUE,
};

struct gw_multipart {
	enum at at;
	bool in_part;
	/* The delimiter, and behind it the tail that was read after it. */
	char held[DELIMITER_MAX + TAIL_MAX];
	size_t delimiter_len;
	size_t held_n; /* how much of it was seen */
	size_t
	    imply_n; /* of that, implied: CRLF was the headers', or is before the first byte */
	struct buf headers;
	size_t outside_n; /* bytes before the first part and after the last */
	unsigned parts_n;
	char name[NAME_MAX_LEN + 1];
	struct gw_multipart_event *out; /* of this step */
	struct err *err;
};

static int
bad(struct err *err, const char *why)
{
	return err_set(err, -EBADMSG, "multipart: %s", why);
}

/* --- parameters of a header --------------------------------------------------------------- */

struct span {
	const char *p;
	size_t len;
};

static bool
is_token(char ch)
{
	return (unsigned char)ch > 0x20 && (unsigned char)ch < 0x7f &&
	       strchr("()<>@,;:\\\"/[]?=", ch) == NULL;
}

/* What a boundary may hold (RFC 2046, bchars); unquoted, clients write more than tokens. */
static bool
is_value(char ch)
{
	return is_token(ch) || (ch != '\0' && strchr("()/:?=@[]<>", ch) != NULL);
}

static void
skip_space(struct span *s)
{
	while (s->len > 0 && (*s->p == ' ' || *s->p == '\t'))
		s->p++, s->len--;
}

static bool
take_char(struct span *s, char ch)
{
	if (s->len == 0 || *s->p != ch)
		return false;
	s->p++, s->len--;
	return true;
}

static struct span
take_while(struct span *s, bool (*may)(char))
{
	struct span got = {s->p, 0};

	while (got.len < s->len && may(s->p[got.len]))
		got.len++;
	s->p += got.len;
	s->len -= got.len;
	return got;
}

static bool
is_word(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

/* The rest of a quoted string into out[0..max], unescaped, and its end. */
static int
take_quoted(struct span *s, char *out, size_t max, size_t *ret_len)
{
	size_t n = 0;

	while (!take_char(s, '"')) {
		if (s->len > 1 && *s->p == '\\')
			s->p++, s->len--;
		if (s->len == 0)
			return -EBADMSG;
		if (n < max)
			out[n] = *s->p;
		n++;
		s->p++, s->len--;
	}
	*ret_len = n;
	return 0;
}

/* The value of the first parameter called want in s, which begins at a semicolon; what follows it
 * is not looked at: there are clients that do not escape file names.  Returns its length, which may
 * be more than the max bytes that were kept, 0: there is none, or it is empty. */
static size_t
parameter(struct span s, const char *want, char *out, size_t max)
{
	for (;;) {
		struct span name, value;
		size_t len;

		skip_space(&s);
		if (!take_char(&s, ';'))
			return 0;
		skip_space(&s);
		name = take_while(&s, is_token);
		skip_space(&s);
		if (!take_char(&s, '='))
			return 0;
		skip_space(&s);
		if (take_char(&s, '"')) {
			if (take_quoted(&s, out, max, &len) < 0)
				return 0;
		} else {
			value = take_while(&s, is_value);
			len = value.len;
			memcpy(out, value.p, len < max ? len : max);
		}
		if (is_word(name, want))
			return len;
	}
}

static bool
is_boundary(const char *s, size_t len)
{
	for (size_t i = 0; i < len && len <= BOUNDARY_MAX; i++)
		if (s[i] == '\0' ||
		    strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		           "'()+_,-./:=? ",
		           s[i]) == NULL)
			return false;
	return len > 0 && len <= BOUNDARY_MAX && s[len - 1] != ' ';
}

int
gw_multipart_new(const char *content_type, struct gw_multipart **ret, struct err *err)
{
	const char *type = content_type != NULL ? content_type : "";
	size_t type_len = strcspn(type, "; \t");
	struct span rest = {type + type_len, strlen(type + type_len)};
	char boundary[BOUNDARY_MAX];
	struct gw_multipart *m;
	size_t len;

	if (!is_word((struct span){type, type_len}, "multipart/form-data"))
		return err_set(err, -EBADMSG, "Content-Type is not multipart/form-data");
	len = parameter(rest, "boundary", boundary, sizeof(boundary));
	if (!is_boundary(boundary, len))
		return bad(err, "Content-Type has no boundary of 1 to 70 characters");
	m = mem_new(sizeof(*m));
	memcpy(m->held, "\r\n--", 4);
	memcpy(m->held + 4, boundary, len);
	m->delimiter_len = 4 + len;
	/* The first delimiter may be the first line. */
	m->at = AT_DELIMITER;
	m->held_n = m->imply_n = 2;
	buf_init(&m->headers, GW_MULTIPART_HEADER_MAX);
	*ret = m;
	return 0;
}

void
gw_multipart_free(struct gw_multipart *m)
{
	if (m == NULL)
		return;
	buf_fini(&m->headers);
	mem_free(m);
}

bool
gw_multipart_is_done(const struct gw_multipart *m)
{
	return m->at == AT_EPILOGUE;
}

/* --- headers of a part -------------------------------------------------------------------- */

/* One line, without its CRLF. */
static int
on_header(struct gw_multipart *m, struct span line)
{
	struct span name = take_while(&line, is_token);
	struct span word;
	size_t len;

	if (name.len == 0 || !take_char(&line, ':'))
		return bad(m->err, "a header of a part has no name");
	skip_space(&line);
	if (is_word(name, "content-transfer-encoding")) {
		word = take_while(&line, is_token);
		if (!is_word(word, "binary") && !is_word(word, "8bit") &&
		    !is_word(word, "7bit"))
			return bad(m->err, "encoded parts are not supported");
	}
	if (!is_word(name, "content-disposition"))
		return 0;
	if (m->name[0] != '\0' || !is_word(take_while(&line, is_token), "form-data"))
		return bad(m->err, "a part is no form-data");
	len = parameter(line, "name", m->name, NAME_MAX_LEN);
	if (len == 0 || len > NAME_MAX_LEN)
		return bad(m->err, "a part has no name of 1 to 256 bytes");
	m->name[len] = '\0';
	return 0;
}

/* The block is complete: lines, each with its CRLF. */
static int
on_headers(struct gw_multipart *m)
{
	struct span s = {m->headers.data, m->headers.len};
	int rc;

	m->name[0] = '\0';
	while (s.len > 0) {
		const char *end = memmem(s.p, s.len, "\r\n", 2);
		struct span line = {s.p, (size_t)(end - s.p)};

		for (size_t i = 0; i < line.len; i++)
			if (line.p[i] == '\0' || line.p[i] == '\r' || line.p[i] == '\n')
				return bad(m->err,
				           "a header of a part has a control character");
		rc = on_header(m, line);
		if (rc < 0)
			return rc;
		s.p += line.len + 2;
		s.len -= line.len + 2;
	}
	if (m->name[0] == '\0')
		return bad(m->err, "a part has no Content-Disposition");
	return 0;
}

/* It ends with an empty line. */
static bool
is_block(const struct buf *h)
{
	return (h->len == 2 && memcmp(h->data, "\r\n", 2) == 0) ||
	       (h->len >= 4 && memcmp(h->data + h->len - 4, "\r\n\r\n", 4) == 0);
}

/* Gather them until an empty line. */
static int
in_headers(struct gw_multipart *m, const char *buf, size_t len, size_t *ret_used)
{
	size_t i = 0;
	int rc;

	while (i < len) {
		const char *lf = memchr(buf + i, '\n', len - i);
		size_t n = lf != NULL ? (size_t)(lf - buf) + 1 - i : len - i;
		struct buf *h = &m->headers;

		if (buf_append(h, buf + i, n) < 0)
			return err_set(
			    m->err, -EMSGSIZE,
			    "multipart: the headers of a part have more than %d bytes",
			    GW_MULTIPART_HEADER_MAX);
		i += n;
		if (!is_block(h))
			continue;
		h->len -= 2;
		rc = on_headers(m);
		if (rc < 0)
			return rc;
		buf_consume(h, h->len);
		m->in_part = true;
		/* A part without a byte may end at once. */
		m->at = AT_DELIMITER;
		m->held_n = m->imply_n = 2;
		*m->out =
		    (struct gw_multipart_event){.what = GW_MULTIPART_BEGIN, .name = m->name};
		break;
	}
	*ret_used = i;
	return 0;
}

/* --- content and delimiters --------------------------------------------------------------- */

static int
outside(struct gw_multipart *m, size_t n)
{
	m->outside_n += n;
	if (m->outside_n <= GW_MULTIPART_HEADER_MAX)
		return 0;
	return err_set(m->err, -EMSGSIZE, "multipart: more than %d bytes outside of parts",
	               GW_MULTIPART_HEADER_MAX);
}

static int
content(struct gw_multipart *m, const char *data, size_t len)
{
	if (!m->in_part)
		return outside(m, len);
	if (len > 0)
		*m->out = (struct gw_multipart_event){
		    .what = GW_MULTIPART_DATA, .data = data, .len = len};
	return 0;
}

/* What was held is no delimiter, but content up to keep bytes from its end, where another one may
 * begin. */
static int
let_go(struct gw_multipart *m, size_t keep)
{
	size_t from = m->imply_n;
	size_t n = m->held_n - from - keep;

	m->at = keep > 0 ? AT_DELIMITER : AT_CONTENT;
	m->held_n = keep;
	m->imply_n = 0;
	return content(m, m->held + from, n);
}

/* Data up to the next delimiter, or to what may be the beginning of one. */
static int
in_content(struct gw_multipart *m, const char *buf, size_t len, size_t *ret_used)
{
	size_t want = m->delimiter_len;
	const char *hit = memmem(buf, len, m->held, want);
	size_t n = len, held = 0;

	if (hit != NULL) {
		n = (size_t)(hit - buf);
		held = want;
	} else {
		size_t tail = len < want - 1 ? len : want - 1;
		const char *cr = memrchr(buf + len - tail, '\r', tail);

		/* Only its first byte is a CR. */
		if (cr != NULL && memcmp(cr, m->held, (size_t)(buf + len - cr)) == 0) {
			n = (size_t)(cr - buf);
			held = len - n;
		}
	}
	if (held > 0) {
		m->at = hit != NULL ? AT_TAIL : AT_DELIMITER;
		m->held_n = held;
		m->imply_n = 0;
	}
	*ret_used = n + held;
	return content(m, buf, n);
}

static int
in_delimiter(struct gw_multipart *m, const char *buf, size_t len, size_t *ret_used)
{
	size_t i = 0;

	while (i < len && m->held_n < m->delimiter_len && buf[i] == m->held[m->held_n])
		i++, m->held_n++;
	*ret_used = i;
	if (m->held_n == m->delimiter_len)
		m->at = AT_TAIL;
	else if (i < len)
		return let_go(m, 0);
	return 0;
}

/* The delimiter was one: the part before it is complete. */
static void
end_part(struct gw_multipart *m)
{
	if (m->in_part)
		m->out->what = GW_MULTIPART_END;
	m->in_part = false;
	m->held_n = m->imply_n = 0;
}

static int
next_part(struct gw_multipart *m)
{
	end_part(m);
	m->at = AT_HEADERS;
	if (++m->parts_n <= GW_MULTIPART_PARTS_MAX)
		return 0;
	return err_set(m->err, -EMSGSIZE, "multipart: more than %d parts",
	               GW_MULTIPART_PARTS_MAX);
}

/* One byte after a delimiter. */
static int
in_tail(struct gw_multipart *m, char ch, size_t *ret_used)
{
	size_t tail = m->held_n - m->delimiter_len;

	*ret_used = 1;
	if (m->at == AT_TAIL_LF && ch == '\n')
		return next_part(m);
	if (m->at == AT_DASH && ch == '-') {
		end_part(m);
		m->at = AT_EPILOGUE;
		return 0;
	}
	if (m->at == AT_TAIL && ch == '-' && tail == 0)
		m->at = AT_DASH;
	else if (m->at == AT_TAIL && ch == '\r')
		m->at = AT_TAIL_LF;
	else if (m->at != AT_TAIL || (ch != ' ' && ch != '\t') || tail == TAIL_MAX - 1) {
		*ret_used = 0;
		return let_go(m, m->at == AT_TAIL_LF ? 1 : 0);
	}
	m->held[m->held_n++] = ch;
	return 0;
}

static int
turn(struct gw_multipart *m, const char *buf, size_t len, size_t *ret_used)
{
	switch (m->at) {
	case AT_CONTENT:
		return in_content(m, buf, len, ret_used);
	case AT_DELIMITER:
		return in_delimiter(m, buf, len, ret_used);
	case AT_TAIL:
	case AT_TAIL_LF:
	case AT_DASH:
		return in_tail(m, *buf, ret_used);
	case AT_HEADERS:
		return in_headers(m, buf, len, ret_used);
	case AT_EPILOGUE:
		break;
	}
	*ret_used = len;
	return outside(m, len);
}

int
gw_multipart_step(struct gw_multipart *m, const char *buf, size_t len, size_t *ret_used,
                  struct gw_multipart_event *ret, struct err *err)
{
	size_t used = 0;
	int rc = 0;

	*ret = (struct gw_multipart_event){.what = GW_MULTIPART_NEED};
	m->out = ret;
	m->err = err;
	while (rc == 0 && used < len && ret->what == GW_MULTIPART_NEED) {
		size_t n = 0;

		rc = turn(m, buf + used, len - used, &n);
		used += n;
	}
	assert(used <= len);
	*ret_used = used;
	m->out = NULL;
	m->err = NULL;
	return rc;
}
