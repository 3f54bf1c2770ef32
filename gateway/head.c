/* gateway/head.c - see gateway/head.h. */
#include "gateway/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/base/err.h"
#include "wire/base/mem.h"

/* RFC 9110, section 5.6.2. */
static bool
is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		      (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL)))
			return false;
	}
	return len > 0;
}

size_t
gw_head_end(const char *buf, size_t len)
{
	size_t skip = 0;
	const char *p;

	while (len - skip >= 2 && buf[skip] == '\r' && buf[skip + 1] == '\n')
		skip += 2; /* empty lines before a request are allowed, section 2.2 */
	p = memmem(buf + skip, len - skip, "\r\n\r\n", 4);
	return p == NULL ? 0 : (size_t)(p - buf) + 4;
}

/* That of the line which is being read. */
static size_t
line_number(const struct gw_head *h)
{
	return h->method == NULL ? 1 : h->n + 2;
}

/* "/path?query", or the same after "http://host" (RFC 9112, section 3.2.2). */
static int
parse_target(struct gw_head *h, char *target, size_t len, struct err *err)
{
	char *path = target, *q;

	if (len > GW_HEAD_TARGET_MAX)
		return err_set(err, 414, "the URL is too long");
	for (size_t i = 0; i < len; i++)
		if (target[i] <= 0x20 || target[i] >= 0x7f)
			return err_set(err, 400, "the URL has characters that must be encoded");
	if (strncasecmp(target, "http://", 7) == 0) {
		path = strchr(target + 7, '/');
		if (path == NULL || path == target + 7)
			return err_set(err, 400, "the URL has no path or no host");
		memmove(target, target + 7, (size_t)(path - target) - 7);
		path[-7] = '\0';
		h->host = target;
	}
	if (path[0] != '/')
		return err_set(err, 400, "the URL must start with a slash");
	q = strchr(path, '?');
	h->path = path;
	h->query = path + strlen(path);
	if (q != NULL) {
		*q = '\0';
		h->query = q + 1;
	}
	q = strchr(h->query, '#');
	if (q != NULL || strchr(path, '#') != NULL)
		return err_set(err, 400, "a URL's fragment is not for servers");
	return 0;
}

static int
parse_request_line(struct gw_head *h, char *line, struct err *err)
{
	char *target = strchr(line, ' '), *version = strrchr(line, ' ');

	if (target == NULL || target == version || !is_token(line, (size_t)(target - line)))
		return err_set(err, 400, "not an HTTP request");
	*target++ = '\0';
	*version++ = '\0';
	h->method = line;
	if (strncmp(version, "HTTP/", 5) != 0)
		return err_set(err, 400, "not an HTTP request");
	if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
		return err_set(err, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	h->http10 = version[7] == '0';
	return parse_target(h, target, strlen(target), err);
}

static int
parse_field(struct gw_head *h, char *line, struct err *err)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (colon == NULL || !is_token(line, (size_t)(colon - line)))
		return err_set(err, 400, "line %zu of the head is no header", line_number(h));
	if (h->n == GW_HEAD_FIELDS_MAX)
		return err_set(err, 431, "too many header lines: at most %d",
		               GW_HEAD_FIELDS_MAX);
	*colon = '\0';
	for (char *p = line; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
	for (value = colon + 1; *value == ' ' || *value == '\t'; value++)
		;
	for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t');)
		*--end = '\0';
	for (const char *p = value; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return err_set(err, 400, "line %zu of the head has a control character",
			               line_number(h));
	h->field[h->n++] = (struct gw_head_field){.name = line, .value = value};
	return 0;
}

static size_t
count(const struct gw_head *h, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		n += strcmp(h->field[i].name, name) == 0;
	return n;
}

/* RFC 9112, section 6: where the body ends, or why that cannot be said. */
static int
parse_framing(struct gw_head *h, struct err *err)
{
	const char *te = gw_head_get(h, "transfer-encoding");
	const char *cl = gw_head_get(h, "content-length");

	if (te != NULL && cl != NULL)
		return err_set(err, 400, "both Content-Length and Transfer-Encoding");
	if (count(h, "transfer-encoding") > 1 || count(h, "content-length") > 1)
		return err_set(err, 400, "the length of the body is given twice");
	if (te != NULL) {
		if (h->http10 || strcasecmp(te, "chunked") != 0)
			return err_set(err, 501, "the only Transfer-Encoding is chunked");
		h->chunked = true;
	}
	if (cl != NULL) {
		size_t digits = strspn(cl, "0123456789");

		if (digits == 0 || digits > 18 || cl[digits] != '\0')
			return err_set(err, 400, "a malformed Content-Length");
		h->length = strtoull(cl, NULL, 10);
	}
	return 0;
}

static int
parse_meaning(struct gw_head *h, struct err *err)
{
	const char *expect = gw_head_get(h, "expect"), *host = gw_head_get(h, "host");
	int status;

	if (count(h, "host") > 1 || (host == NULL && !h->http10))
		return err_set(err, 400, "exactly one Host header is needed");
	if (h->host == NULL)
		h->host = host;
	status = parse_framing(h, err);
	if (status != 0)
		return status;
	h->keep_alive = h->http10 ? gw_head_list_has(h, "connection", "keep-alive")
	                          : !gw_head_list_has(h, "connection", "close");
	if (expect != NULL && !h->http10) {
		if (strcasecmp(expect, "100-continue") != 0)
			return err_set(err, 417, "the only expectation is 100-continue");
		h->wants_continue = h->chunked || h->length > 0;
	}
	h->websocket = !h->http10 && gw_head_list_has(h, "connection", "upgrade") &&
	               gw_head_list_has(h, "upgrade", "websocket");
	return 0;
}

int
gw_head_parse(struct gw_head *h, const char *buf, size_t len, struct err *err)
{
	char *line, *next;
	int status = 0;

	*h = (struct gw_head){.text = mem_new(len + 1), .len = len};
	memcpy(h->text, buf, len);
	if (memchr(buf, '\0', len) != NULL)
		return err_set(err, 400, "a zero byte in the request");
	for (line = h->text; strncmp(line, "\r\n", 2) == 0; line += 2)
		;
	/* Only a blank line is the end: what follows another would be read by nobody. */
	for (; status == 0 && *line != '\0' && strcmp(line, "\r\n") != 0; line = next) {
		next = strchr(line, '\n'); /* there is one: the head ends with a blank line */
		if (next == line || next[-1] != '\r')
			return err_set(err, 400, "line %zu of the head ends without CR",
			               line_number(h));
		next[-1] = '\0';
		next++;
		if (strchr(line, '\r') != NULL)
			return err_set(err, 400, "line %zu of the head has a stray CR",
			               line_number(h));
		status = h->method == NULL ? parse_request_line(h, line, err)
		                           : parse_field(h, line, err);
	}
	if (status == 0 && h->method == NULL)
		return err_set(err, 400, "not an HTTP request");
	return status != 0 ? status : parse_meaning(h, err);
}

void
gw_head_fini(struct gw_head *h)
{
	mem_wipe(h->text, h->len);
	mem_free(h->text);
	h->text = NULL;
	h->n = 0;
}

const char *
gw_head_get(const struct gw_head *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->field[i].name, name) == 0)
			return h->field[i].value;
	return NULL;
}

/* The next element of one field's list, which moves past it; 0 at the end. */
static size_t
next_element(const char **list, const char **ret)
{
	const char *p = *list;
	size_t len;

	while (*p == ',' || *p == ' ' || *p == '\t')
		p++;
	len = strcspn(p, ",");
	*ret = p;
	*list = p + len;
	while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
		len--;
	return len;
}

size_t
gw_head_list_next(struct gw_head_list *l, const char **ret)
{
	size_t len = 0;

	while ((l->rest == NULL || (len = next_element(&l->rest, ret)) == 0) &&
	       l->at < l->h->n) {
		const struct gw_head_field *f = &l->h->field[l->at++];

		l->rest = strcmp(f->name, l->name) == 0 ? f->value : NULL;
	}
	return len;
}

bool
gw_head_list_has(const struct gw_head *h, const char *name, const char *token)
{
	struct gw_head_list l = {.h = h, .name = name};
	const char *el;
	size_t len;

	while ((len = gw_head_list_next(&l, &el)) > 0)
		if (len == strlen(token) && strncasecmp(el, token, len) == 0)
			return true;
	return false;
}
