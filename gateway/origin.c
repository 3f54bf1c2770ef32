/* gateway/origin.c - see gateway/origin.h. */
#include "gateway/origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 255 /* RFC 1035 */

struct authority {
	char name[NAME_MAX_LEN + 1]; /* lower case, no brackets, no last dot */
	char port[6];                /* "" when not given */
};

/* Returns false if s is no host[:port]. */
static bool
split(const char *s, struct authority *ret)
{
	const char *name = s, *end, *port;

	if (*s == '[') {
		name = s + 1;
		end = strchr(name, ']');
		if (end == NULL)
			return false;
		port = end + 1;
	} else {
		end = name + strcspn(name, ":");
		port = end;
	}
	if (end == name || (size_t)(end - name) > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; name + i < end; i++) {
		char c = name[i];

		ret->name[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		ret->name[i + 1] = '\0';
	}
	if (ret->name[end - name - 1] == '.')
		ret->name[end - name - 1] = '\0';
	if (*port == ':')
		port++;
	else if (*port != '\0')
		return false;
	if (strlen(port) >= sizeof(ret->port) || port[strspn(port, "0123456789")] != '\0')
		return false;
	memcpy(ret->port, port, strlen(port) + 1);
	return true;
}

static bool
is_literal(const char *name)
{
	struct in6_addr a;

	return inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1;
}

bool
gw_origin_is_loopback(const char *address)
{
	struct in_addr a4;
	struct in6_addr a6;

	if (inet_pton(AF_INET, address, &a4) == 1)
		return ntohl(a4.s_addr) >> 24 == IN_LOOPBACKNET;
	if (inet_pton(AF_INET6, address, &a6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&a6) ||
		       (IN6_IS_ADDR_V4MAPPED(&a6) && a6.s6_addr[12] == IN_LOOPBACKNET);
	return false;
}

/* "localhost" and below it: resolvers answer these with loopback (RFC 6761, section 6.3). */
static bool
is_localhost(const char *name)
{
	size_t len = strlen(name);

	return strcmp(name, "localhost") == 0 ||
	       (len > 10 && strcmp(name + len - 10, ".localhost") == 0);
}

/* domain is a name or name:port. */
static bool
is_below(const char *name, const char *domain)
{
	size_t len = strlen(name), below = domain != NULL ? strcspn(domain, ":") : 0;

	return below > 0 && len > below + 1 && name[len - below - 1] == '.' &&
	       strncasecmp(name + len - below, domain, below) == 0;
}

static bool
listed(const char *const *list, const char *what)
{
	for (; list != NULL && *list != NULL; list++)
		if (strcmp(*list, "*") == 0 || strcasecmp(*list, what) == 0)
			return true;
	return false;
}

bool
gw_origin_host_ok(const struct gw_origin_rules *r, const char *host)
{
	struct authority a = {.name = ""};

	if (!split(host, &a))
		return false;
	return is_localhost(a.name) || gw_origin_is_loopback(a.name) ||
	       (r->own != NULL && strcasecmp(r->own, a.name) == 0) ||
	       (r->any_literal && is_literal(a.name)) || is_below(a.name, r->domain) ||
	       listed(r->allow_hosts, a.name) || listed(r->allow_hosts, host);
}

/* Cut "scheme://host:port" and fill in the port that its scheme implies. */
static bool
split_origin(const char *s, char scheme[8], struct authority *ret)
{
	const char *sep = strstr(s, "://");

	if (sep == NULL || sep - s > 7)
		return false;
	memcpy(scheme, s, (size_t)(sep - s));
	scheme[sep - s] = '\0';
	if (!split(sep + 3, ret))
		return false;
	if (ret->port[0] == '\0')
		(void)snprintf(ret->port, sizeof(ret->port), "%s",
		               strcasecmp(scheme, "https") == 0 ? "443" : "80");
	return true;
}

bool
gw_origin_same(const char *origin, const char *self)
{
	struct authority a = {.name = ""}, b = {.name = ""};
	char sa[8], sb[8];

	return split_origin(origin, sa, &a) && split_origin(self, sb, &b) &&
	       strcasecmp(sa, sb) == 0 && strcmp(a.name, b.name) == 0 &&
	       strcmp(a.port, b.port) == 0;
}

bool
gw_origin_ok(const struct gw_origin_rules *r, const char *origin, const char *self)
{
	return gw_origin_same(origin, self) || listed(r->allow_origins, origin);
}
