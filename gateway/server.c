/* gateway/server.c - see gateway/server.h and gateway/edge.h: listeners, limits, the clock. */
#include "gateway/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/edge.h"
#include "gateway/metrics.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define ACCEPTS_MAX 64  /* in one turn */
#define REFUSED_MAX 64  /* connections that are being told "too many"; beyond, closed at once */
#define TICK_MAX_MS 500 /* how late a deadline may be noticed */
#define BACKLOG     1024
#define HOST_MAX    256

struct gw_listener {
	struct gw_server *s;
	int fd;
	struct loop_fd *watch;
	char own[INET6_ADDRSTRLEN];
	char url[INET6_ADDRSTRLEN + 24];
	struct gw_origin_rules rules;
};

const struct gw_origin_rules *
gw_edge_rules(const struct gw_listener *l)
{
	return &l->rules;
}

bool
gw_edge_may_warn(struct gw_server *s, struct gw_edge_warn *w, uint64_t *ret_held)
{
	uint64_t now = loop_now_ms(s->cfg.lp);

	if (now < w->next_ms) {
		w->held++;
		return false;
	}
	w->next_ms = now + 1000;
	*ret_held = w->held;
	w->held = 0;
	return true;
}

/* --- accepting ---------------------------------------------------------------------------- */

/* No descriptor is left: use the spare one to take the client off the queue, or accept would be
 * ready for ever. */
static void
shed(struct gw_listener *l)
{
	static struct gw_edge_warn warn;
	struct gw_server *s = l->s;
	uint64_t held;
	int fd;

	(void)close(s->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		(void)close(fd);
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	gw_metric[GW_M_CONNECTIONS_REFUSED]++;
	if (gw_edge_may_warn(s, &warn, &held))
		log_warn(NULL, "no descriptor left for a client, connection closed more=%llu",
		         (unsigned long long)held);
}

static void
take(struct gw_listener *l, int fd, const struct sockaddr *sa, socklen_t len)
{
	static struct gw_edge_warn warn;
	struct gw_server *s = l->s;
	char peer[INET6_ADDRSTRLEN] = "?";
	uint64_t held;

	if (s->open_n >= s->cfg.max_connections) {
		gw_metric[GW_M_CONNECTIONS_REFUSED]++;
		if (gw_edge_may_warn(s, &warn, &held))
			log_warn(NULL, "too many connections, refusing open=%zu more=%llu",
			         s->open_n, (unsigned long long)held);
		if (s->refused_n >= REFUSED_MAX) {
			(void)close(fd);
			return;
		}
	}
	(void)getnameinfo(sa, len, peer, sizeof(peer), NULL, 0, NI_NUMERICHOST);
	gw_conn_new(s, l, fd, peer);
}

static void
on_acceptable(void *arg, unsigned events)
{
	struct gw_listener *l = arg;

	(void)events;
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		int fd =
		    accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take(l, fd, (struct sockaddr *)&ss, len);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		           errno == ENOMEM) {
			shed(l);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

/* --- listening ---------------------------------------------------------------------------- */

/* Cut "ADDR:PORT" or "[v6]:PORT" in two. */
static int
split_listen(const char *text, char host[HOST_MAX], const char **ret_port, struct err *err)
{
	const char *colon = strrchr(text, ':'), *end = colon, *name = text;

	if (colon == NULL)
		return err_set(err, -EINVAL, "listen address '%s' is not ADDR:PORT", text);
	if (*text == '[' && end > text && end[-1] == ']') {
		name++;
		end--;
	} else if (strchr(text, ':') != colon) {
		return err_set(err, -EINVAL, "listen address '%s': write IPv6 as [ADDR]:PORT",
		               text);
	}
	if (end == name || end - name >= HOST_MAX || colon[1] == '\0' ||
	    colon[1 + strspn(colon + 1, "0123456789")] != '\0' ||
	    strtoul(colon + 1, NULL, 10) > 65535)
		return err_set(err, -EINVAL, "listen address '%s' is not ADDR:PORT", text);
	memcpy(host, name, (size_t)(end - name));
	host[end - name] = '\0';
	*ret_port = colon + 1;
	return 0;
}

/* SO_REUSEADDR only lets a restart pass TIME_WAIT: a port that someone listens on stays taken. */
static int
bind_socket(int fd, const struct addrinfo *ai, const char *text, struct err *err)
{
	int one = 1;

	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
		if (errno == EADDRINUSE)
			return err_set(err, -EADDRINUSE, "cannot listen on %s: address in use",
			               text);
		return err_set(err, errno == EADDRNOTAVAIL ? -EINVAL : -EIO,
		               "cannot listen on %s: %s", text, strerrordesc_np(errno));
	}
	return 0;
}

/* What the socket is bound to, for the URL and the Host check. */
static void
name_listener(struct gw_listener *l)
{
	struct sockaddr_storage ss = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(ss);
	char port[8] = "";

	(void)getsockname(l->fd, (struct sockaddr *)&ss, &len);
	(void)getnameinfo((struct sockaddr *)&ss, len, l->own, sizeof(l->own), port,
	                  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	(void)snprintf(l->url, sizeof(l->url),
	               ss.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", l->own,
	               port);
	l->rules = (struct gw_origin_rules){
	    .any_literal = !gw_origin_is_loopback(l->own),
	    .own = l->own,
	    .allow_hosts = l->s->cfg.allow_hosts,
	    .allow_origins = l->s->cfg.allow_origins,
	    .domain = l->s->cfg.domain,
	};
}

static int
open_listener(struct gw_listener *l, const char *text, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *ai = NULL;
	const char *port = NULL;
	char host[HOST_MAX];
	int rc = split_listen(text, host, &port, err);

	if (rc < 0)
		return rc;
	rc = getaddrinfo(host, port, &hints, &ai);
	if (rc != 0)
		return err_set(err, -EINVAL, "listen address '%s': %s", text, gai_strerror(rc));
	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = l->fd < 0
	         ? err_set(err, -EIO, "cannot listen on %s: %s", text, strerrordesc_np(errno))
	         : bind_socket(l->fd, ai, text, err);
	freeaddrinfo(ai);
	if (rc < 0)
		return rc;
	name_listener(l);
	l->watch = loop_fd_new(l->s->cfg.lp, l->fd, LOOP_READ, on_acceptable, l);
	return l->watch != NULL ? 0 : err_set(err, -EIO, "cannot watch %s", text);
}

static void
close_listener(struct gw_listener *l)
{
	loop_fd_free(l->watch);
	l->watch = NULL;
	if (l->fd >= 0)
		(void)close(l->fd);
	l->fd = -1;
}

/* --- the clock ---------------------------------------------------------------------------- */

static void
on_clock(void *arg)
{
	struct gw_server *s = arg;
	uint64_t now = loop_now_ms(s->cfg.lp);
	struct list *it, *tmp;

	loop_timer_free(s->clock);
	s->clock = loop_timer_new(s->cfg.lp, s->tick_ms, on_clock, s);
	list_each (it, tmp, &s->conns)
		gw_conn_tick(list_entry(it, struct gw_conn, node), now);
	list_each (it, tmp, &s->websockets)
		gw_ws_tick(gw_ws_of_node(it), now);
}

static uint64_t
tick_of(const struct gw_server_config *cfg)
{
	uint64_t ms = cfg->idle_timeout_ms < cfg->ping_every_ms || cfg->ping_every_ms == 0
	                  ? cfg->idle_timeout_ms
	                  : cfg->ping_every_ms;

	ms /= 4;
	return ms < 10 ? 10 : ms > TICK_MAX_MS ? TICK_MAX_MS : ms;
}

/* --- life --------------------------------------------------------------------------------- */

/* Returns an owned copy of a NULL-terminated list; NULL is an empty one. */
static char **
copy_list(const char *const *list)
{
	size_t n = 0;
	char **copy;

	while (list != NULL && list[n] != NULL)
		n++;
	copy = mem_new((n + 1) * sizeof(*copy));
	while (n-- > 0)
		copy[n] = mem_strdup(list[n]);
	return copy;
}

static void
free_list(char **list)
{
	for (char **p = list; *p != NULL; p++)
		mem_free(*p);
	mem_free(list);
}

int
gw_server_start(const struct gw_server_config *cfg, struct gw_server **ret, struct err *err)
{
	struct gw_server *s = mem_new(sizeof(*s));
	size_t n = 0;
	int rc = 0;

	*s = (struct gw_server){.cfg = *cfg, .spare_fd = -1};
	s->allow_hosts = copy_list(cfg->allow_hosts);
	s->allow_origins = copy_list(cfg->allow_origins);
	s->cfg.allow_hosts = (const char *const *)s->allow_hosts;
	s->cfg.allow_origins = (const char *const *)s->allow_origins;
	list_init(&s->conns);
	list_init(&s->websockets);
	while (cfg->listen[n] != NULL)
		n++;
	s->listeners = mem_new((n + 1) * sizeof(*s->listeners));
	for (; s->listeners_n < n && rc == 0; s->listeners_n++) {
		struct gw_listener *l = &s->listeners[s->listeners_n];

		*l = (struct gw_listener){.s = s, .fd = -1};
		rc = open_listener(l, cfg->listen[s->listeners_n], err);
	}
	s->wsd = rc == 0 ? gw_wsd_new(s) : NULL;
	if (rc == 0 && s->wsd == NULL)
		rc =
		    err_set(err, -EIO,
		            "libwebsockets cannot use libuv: is libwebsockets-evlib-uv there?");
	if (rc < 0) {
		gw_server_free(s);
		return rc;
	}
	s->scratch = mem_new(GW_EDGE_READ_MAX);
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	s->routes = gw_route_table_new(cfg->dialects);
	s->tick_ms = tick_of(cfg);
	s->clock = loop_timer_new(cfg->lp, s->tick_ms, on_clock, s);
	*ret = s;
	return 0;
}

const char *
gw_server_url(const struct gw_server *s, size_t i)
{
	return i < s->listeners_n ? s->listeners[i].url : NULL;
}

unsigned
gw_server_port_of_loopback(const struct gw_server *s)
{
	for (size_t i = 0; i < s->listeners_n; i++) {
		const struct gw_listener *l = &s->listeners[i];

		if (strcmp(l->own, "127.0.0.1") == 0 || strcmp(l->own, "0.0.0.0") == 0)
			return (unsigned)strtoul(strrchr(l->url, ':') + 1, NULL, 10);
	}
	return 0;
}

void
gw_server_drain(struct gw_server *s)
{
	s->draining = true;
	for (size_t i = 0; i < s->listeners_n; i++)
		close_listener(&s->listeners[i]);
}

void
gw_server_close_all(struct gw_server *s)
{
	struct list *it, *tmp;

	gw_server_drain(s);
	s->stopping = true;
	list_each (it, tmp, &s->conns)
		gw_conn_wind_up(list_entry(it, struct gw_conn, node));
	gw_ws_close_all(s);
}

size_t
gw_server_connections(const struct gw_server *s)
{
	return s->open_n;
}

void
gw_server_free(struct gw_server *s)
{
	struct list *it, *tmp;

	if (s == NULL)
		return;
	loop_timer_free(s->clock);
	gw_server_drain(s);
	list_each (it, tmp, &s->conns)
		gw_conn_drop(list_entry(it, struct gw_conn, node), "the gateway stops");
	gw_wsd_free(s->wsd);
	gw_route_table_free(s->routes);
	if (s->spare_fd >= 0)
		(void)close(s->spare_fd);
	free_list(s->allow_hosts);
	free_list(s->allow_origins);
	mem_free(s->listeners);
	mem_wipe(s->scratch, GW_EDGE_READ_MAX);
	mem_free(s->scratch);
	mem_free(s);
}
