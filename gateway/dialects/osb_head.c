/* gateway/dialects/osb_head.c - see gateway/dialects/osb_head.h. */
#include "gateway/dialects/osb_head.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/dialect.h"
#include "wire/base/buf.h"

#define DISPOSITION_MAX 2048 /* a name has 255 bytes, of 4 each */
#define DATE            "%a, %d %b %Y %H:%M:%S GMT"

void
gw_osb_head_init(struct gw_osb_head *h, struct gw_http *x, const struct stat *st)
{
	struct tm tm;

	*h = (struct gw_osb_head){.x = x, .changed = st->st_mtim.tv_sec};
	(void)snprintf(h->etag, sizeof(h->etag), "\"%llx-%llx%08lx-%llx\"",
	               (unsigned long long)st->st_ino, (unsigned long long)st->st_mtim.tv_sec,
	               (unsigned long)st->st_mtim.tv_nsec, (unsigned long long)st->st_size);
	if (gmtime_r(&h->changed, &tm) == NULL ||
	    strftime(h->date, sizeof(h->date), DATE, &tm) == 0)
		h->date[0] = '\0';
}

/* --- conditions --------------------------------------------------------------------------- */

bool
gw_osb_head_has_tag(const char *list, const char *tag)
{
	size_t n = strlen(tag);

	for (;;) {
		list += strspn(list, " \t,");
		if (*list == '\0')
			return false;
		if (*list == '*')
			return true;
		if (strncmp(list, "W/", 2) == 0)
			list += 2;
		if (strncmp(list, tag, n) == 0)
			return true;
		/* An entity tag may hold a comma. */
		if (*list == '"' && strchr(list + 1, '"') != NULL)
			list = strchr(list + 1, '"') + 1;
		else
			list += strcspn(list, ",");
	}
}

bool
gw_osb_head_is_known(const struct gw_osb_head *h)
{
	const char *tags = gw_http_header(h->x, "if-none-match");
	const char *since = gw_http_header(h->x, "if-modified-since");
	struct tm tm = {0};
	const char *end;

	if (tags != NULL)
		return gw_osb_head_has_tag(tags, h->etag);
	if (since == NULL)
		return false;
	end = strptime(since, DATE, &tm);
	return end != NULL && *end == '\0' && h->changed <= timegm(&tm);
}

bool
gw_osb_head_may_range(const struct gw_osb_head *h)
{
	const char *want = gw_http_header(h->x, "if-range");

	return want == NULL || strcmp(want, h->etag) == 0 ||
	       (want[0] != '\0' && strcmp(want, h->date) == 0);
}

/* --- the head ----------------------------------------------------------------------------- */

/* What a quoted string may hold without being read in two ways. */
static bool
is_plain(char ch)
{
	return ch >= ' ' && ch < 0x7f && strchr("\"\\%", ch) == NULL;
}

/* RFC 8187, attr-char. */
static bool
is_attr(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
	       (ch >= 'A' && ch <= 'Z') || (ch != '\0' && strchr("!#$&+-.^_`|~", ch) != NULL);
}

void
gw_osb_head_disposition(const char *path, struct buf *ret)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	bool plain = true;

	(void)buf_printf(ret, "attachment; filename=\"");
	for (const char *p = name; *p != '\0'; p++) {
		plain = plain && is_plain(*p);
		(void)buf_append(ret, is_plain(*p) ? p : "_", 1);
	}
	(void)buf_append(ret, "\"", 1);
	if (plain)
		return;
	(void)buf_printf(ret, "; filename*=UTF-8''");
	for (const char *p = name; *p != '\0'; p++)
		(void)buf_printf(ret, is_attr(*p) ? "%c" : "%%%02X", (unsigned char)*p);
}

void
gw_osb_head_add(const struct gw_osb_head *h)
{
	gw_http_add_header(h->x, "ETag", h->etag);
	if (h->date[0] != '\0')
		gw_http_add_header(h->x, "Last-Modified", h->date);
}

void
gw_osb_head_add_file(const struct gw_osb_head *h, const char *path, bool ranges)
{
	struct buf b;

	buf_init(&b, DISPOSITION_MAX);
	gw_osb_head_disposition(path, &b);
	gw_http_add_header(h->x, "Content-Disposition", b.data);
	buf_fini(&b);
	gw_http_add_header(h->x, "Accept-Ranges", ranges ? "bytes" : "none");
}
