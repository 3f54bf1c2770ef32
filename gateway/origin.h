/* gateway/origin.h - EDGE: which Host names and Origins may use a gateway.
 *
 * A web page elsewhere must not reach a gateway on loopback: not by a name of its
 * own that resolves to 127.0.0.1 (Host), and not from its own origin (Origin).
 */
#ifndef GW_ORIGIN_H
#define GW_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

struct gw_origin_rules {
	bool any_literal;               /* listening beyond loopback: any IP address will do */
	const char *own;                /* the listener's address, without brackets */
	const char *const *allow_hosts; /* NULL-terminated or NULL; "*" any */
	const char *const *allow_origins;
	const char
	    *domain; /* names below it will do; a port in it is not looked at; NULL: none */
};

/* host is a Host header: name, name:port, [v6] or [v6]:port. */
bool gw_origin_host_ok(const struct gw_origin_rules *r, const char *host);

/* origin is an Origin header, self "http://host:port" as the client named this gateway. */
bool gw_origin_same(const char *origin, const char *self);
bool gw_origin_ok(const struct gw_origin_rules *r, const char *origin, const char *self);

/* True if the IP address text (v4 or v6, no brackets) is loopback. */
bool gw_origin_is_loopback(const char *address);

#endif /* GW_ORIGIN_H */
