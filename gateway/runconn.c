/* gateway/runconn.c - see gateway/runconn.h. */
#include "gateway/runconn.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/origin.h"
#include "wire/base/err.h"
#include "wire/base/list.h"
#include "wire/base/mem.h"

#define PIECE      16384 /* bytes of a request body in one write */
#define READ_MAX   65536
#define LINE_BYTES 4096 /* bytes of the terminal in one read */

struct gw_runconn {
	struct lws_context *ctx;
	struct lws_vhost *vhost;
	char *host;
	char *prefix; /* of every path: "" or "/..." */
	char *auth;   /* "Bearer ...", or NULL */
	int port;
	bool tls;
	struct list reqs;
	bool closing;      /* nobody wants to know any more */
	struct lws *input; /* watches a duplicate of fd 0, or NULL */
	gw_runconn_input_fn *input_fn;
	void *input_arg;
};

struct req {
	struct list node;
	struct gw_runconn *rc;
	char *body;
	size_t len;
	size_t sent;
	bool complete; /* the whole answer came */
	const struct gw_runconn_ops *ops;
	void *arg;
};

/* --- one request ------------------------------------------------------------------------ */

static void
req_free(struct req *q)
{
	list_del(&q->node);
	mem_free(q->body);
	mem_free(q);
}

/* The only way out. */
static void
end(struct req *q, struct lws *wsi, const char *why)
{
	const struct gw_runconn_ops *ops = q->ops;
	void *arg = q->arg;

	if (wsi != NULL)
		lws_set_opaque_user_data(wsi, NULL);
	req_free(q);
	ops->ended(arg, why);
}

static int
add_headers(const struct req *q, struct lws *wsi, unsigned char **p, unsigned char *limit)
{
	const struct {
		const char *name;
		const char *value;
	} headers[] = {
	    {"authorization:", q->rc->auth},
	    {"content-type:", "application/json"},
	};
	char length[24];
	int n = snprintf(length, sizeof(length), "%zu", q->len);

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		const char *v = headers[i].value;

		if (v != NULL && lws_add_http_header_by_name(
				     wsi, (const unsigned char *)headers[i].name,
				     (const unsigned char *)v, (int)strlen(v), p, limit))
			return -1;
	}
	if (lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH,
	                                 (unsigned char *)length, n, p, limit))
		return -1;
	lws_client_http_body_pending(wsi, 1);
	lws_callback_on_writable(wsi);
	return 0;
}

static int
send_body(struct req *q, struct lws *wsi)
{
	unsigned char piece[LWS_PRE + PIECE];
	size_t n = q->len - q->sent < PIECE ? q->len - q->sent : PIECE;
	bool last = q->sent + n == q->len;

	if (n == 0)
		return 0;
	memcpy(piece + LWS_PRE, q->body + q->sent, n);
	if (lws_write(wsi, piece + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
	    0)
		return -1;
	q->sent += n;
	if (last)
		lws_client_http_body_pending(wsi, 0);
	else
		lws_callback_on_writable(wsi);
	return 0;
}

static int
receive(struct lws *wsi)
{
	char space[LWS_PRE + READ_MAX];
	char *p = space + LWS_PRE;
	int len = READ_MAX;

	return lws_http_client_read(wsi, &p, &len) < 0 ? -1 : 0; /* calls HTTP_READ */
}

static int
on_http(struct req *q, struct lws *wsi, enum lws_callback_reasons why, void *in, size_t len)
{
	unsigned char **p = in;

	switch ((int)why) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
		return add_headers(q, wsi, p, *p + len);
	case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
		return send_body(q, wsi);
	case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
		q->ops->status(q->arg, (int)lws_http_client_http_response(wsi));
		return 0;
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
		return receive(wsi);
	case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
		q->ops->data(q->arg, in, len);
		return 0;
	case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
		q->complete = true;
		return -1; /* one request per connection */
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		end(q, wsi, in != NULL ? in : "connection failed");
		return 0;
	case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
		end(q, wsi, q->complete ? NULL : "the connection broke");
		return 0;
	default:
		return 0;
	}
}

/* --- the terminal ----------------------------------------------------------------------- */

static int
on_input(struct gw_runconn *rc, struct lws *wsi)
{
	char text[LINE_BYTES];
	ssize_t n;

	if (rc->input != wsi)
		return -1;
	n = read((int)lws_get_socket_fd(wsi), text, sizeof(text));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	rc->input_fn(rc->input_arg, text, n > 0 ? (size_t)n : 0);
	return rc->input == wsi ? 0 : -1;
}

/* A pipe at its end without a byte left: poll says hang-up, and nothing to read. */
static void
on_input_closed(struct gw_runconn *rc, const struct lws *wsi)
{
	if (rc->input != wsi || rc->closing)
		return;
	rc->input = NULL;
	rc->input_fn(rc->input_arg, "", 0);
}

void
gw_runconn_watch(struct gw_runconn *rc, gw_runconn_input_fn *fn, void *arg)
{
	lws_sock_file_fd_type fd = {.filefd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)};

	rc->input_fn = fn;
	rc->input_arg = arg;
	if (rc->input != NULL) {
		(void)close(fd.filefd);
		return;
	}
	if (fd.filefd >= 0)
		rc->input = lws_adopt_descriptor_vhost(rc->vhost, LWS_ADOPT_RAW_FILE_DESC, fd,
		                                       "run", NULL);
	if (rc->input == NULL)
		fn(arg, "", 0);
}

void
gw_runconn_unwatch(struct gw_runconn *rc)
{
	if (rc->input != NULL)
		lws_set_timeout(rc->input, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	rc->input = NULL;
}

/* --- the loop --------------------------------------------------------------------------- */

static int
on_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t len)
{
	struct req *q = lws_get_opaque_user_data(wsi);

	(void)user;
	if (why == LWS_CALLBACK_RAW_RX_FILE)
		return on_input(lws_context_user(lws_get_context(wsi)), wsi);
	if (why == LWS_CALLBACK_RAW_CLOSE_FILE) {
		on_input_closed(lws_context_user(lws_get_context(wsi)), wsi);
		return 0;
	}
	return q != NULL && !q->rc->closing ? on_http(q, wsi, why, in, len) : 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "run", .callback = on_event, .rx_buffer_size = READ_MAX},
    {.name = NULL},
};

void
gw_runconn_post(struct gw_runconn *rc, const char *path, json_t *body,
                const struct gw_runconn_ops *ops, void *arg)
{
	struct req *q = mem_new(sizeof(*q));
	char where[512];
	struct lws_client_connect_info i = {
	    .context = rc->ctx,
	    .vhost = rc->vhost,
	    .address = rc->host,
	    .port = rc->port,
	    .path = where,
	    .host = rc->host,
	    .method = "POST",
	    .protocol = "run",
	    .local_protocol_name = "run",
	    .ssl_connection = rc->tls ? LCCSCF_USE_SSL : 0,
	    .opaque_user_data = q,
	};

	q->rc = rc;
	q->body = json_dumps(body, JSON_COMPACT);
	q->len = strlen(q->body);
	q->ops = ops;
	q->arg = arg;
	list_add_before(&rc->reqs, &q->node);
	json_decref(body);
	(void)snprintf(where, sizeof(where), "%s%s", rc->prefix, path);
	/* When it fails at once, CLIENT_CONNECTION_ERROR has told already. */
	(void)lws_client_connect_via_info(&i);
}

void
gw_runconn_turn(struct gw_runconn *rc)
{
	(void)lws_service(rc->ctx, 0);
}

void
gw_runconn_wake(struct gw_runconn *rc)
{
	lws_cancel_service(rc->ctx);
}

/* --- its life --------------------------------------------------------------------------- */

static int
parse_port(const char *text, int *ret)
{
	int port = 0;

	if (text[0] == '\0' || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
		return -EINVAL;
	for (const char *p = text; *p != '\0'; p++)
		port = 10 * port + (*p - '0');
	if (port == 0 || port > 65535)
		return -EINVAL;
	*ret = port;
	return 0;
}

/* "HOST[:PORT][/PREFIX]"; host is cut to pieces. */
static int
parse_place(struct gw_runconn *rc, char *host)
{
	char *slash = strchr(host, '/');
	char *colon;
	size_t len;

	if (slash != NULL) {
		rc->prefix = mem_strdup(slash);
		*slash = '\0';
		len = strlen(rc->prefix);
		while (len > 0 && rc->prefix[len - 1] == '/')
			rc->prefix[--len] = '\0';
	} else {
		rc->prefix = mem_strdup("");
	}
	colon = host[0] == '[' ? strstr(host, "]:") : strrchr(host, ':');
	if (colon != NULL) {
		colon += host[0] == '[';
		if (parse_port(colon + 1, &rc->port) != 0)
			return -EINVAL;
		*colon = '\0';
	}
	len = strlen(host);
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		host++;
	}
	rc->host = mem_strdup(host);
	return rc->host[0] == '\0' || strpbrk(rc->host, "@?# ") != NULL ? -EINVAL : 0;
}

static int
parse_url(struct gw_runconn *rc, const char *url, struct err *err)
{
	bool plain = strncmp(url, "http://", 7) == 0;
	char *place;
	int status;

	rc->tls = strncmp(url, "https://", 8) == 0;
	rc->port = rc->tls ? 443 : 80;
	if (!plain && !rc->tls)
		return err_set(err, -EINVAL, "'%.100s' is not http://HOST:PORT", url);
	place = mem_strdup(strchr(url, '/') + 2);
	status = parse_place(rc, place);
	mem_free(place);
	if (status != 0)
		return err_set(err, -EINVAL, "'%.100s' is not http://HOST:PORT", url);
	return 0;
}

int
gw_runconn_new(const char *url, struct gw_runconn **ret, struct err *err)
{
	struct gw_runconn *rc = mem_new(sizeof(*rc));
	struct lws_context_creation_info info = {
	    .port = CONTEXT_PORT_NO_LISTEN,
	    .protocols = protocols,
	    .user = rc,
	    .pt_serv_buf_size = READ_MAX,
	    .timeout_secs = 3600, /* a body takes what it takes */
	    .connect_timeout_secs = 10,
	};
	int status;

	list_init(&rc->reqs);
	status = parse_url(rc, url, err);
	if (status == 0) {
		lws_set_log_level(0, NULL);
		info.options = rc->tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0;
		rc->ctx = lws_create_context(&info);
		if (rc->ctx == NULL)
			status = err_set(err, -EIO, "libwebsockets does not start");
	}
	if (status != 0) {
		gw_runconn_free(rc);
		return status;
	}
	rc->vhost = lws_get_vhost_by_name(rc->ctx, "default");
	*ret = rc;
	return 0;
}

static void
forget_token(struct gw_runconn *rc)
{
	if (rc->auth != NULL)
		mem_wipe(rc->auth, strlen(rc->auth));
	mem_free(rc->auth);
	rc->auth = NULL;
}

void
gw_runconn_set_token(struct gw_runconn *rc, const char *token)
{
	size_t size = strlen(token) + sizeof("Bearer ");

	forget_token(rc);
	rc->auth = mem_new(size);
	(void)snprintf(rc->auth, size, "Bearer %s", token);
}

bool
gw_runconn_is_local(const struct gw_runconn *rc)
{
	return strcmp(rc->host, "localhost") == 0 || gw_origin_is_loopback(rc->host);
}

void
gw_runconn_free(struct gw_runconn *rc)
{
	if (rc == NULL)
		return;
	rc->closing = true;
	if (rc->ctx != NULL)
		lws_context_destroy(rc->ctx);
	while (!list_empty(&rc->reqs))
		req_free(list_entry(rc->reqs.next, struct req, node));
	mem_free(rc->host);
	mem_free(rc->prefix);
	forget_token(rc);
	mem_free(rc);
}
