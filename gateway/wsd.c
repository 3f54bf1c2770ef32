/* gateway/wsd.c - see gateway/edge.h: the libwebsockets context, on our loop. */
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "gateway/ws.h"
#include "wire/base/mem.h"

#define READ_BYTES      (16U << 10) /* of one read, and of each WebSocket's buffer */
#define LWS_FDS_LEAST   65536 /* its tables are sized by the limit; a million would be 24 MB */
#define CLOSE_TURNS_MAX 10000

static void
on_lws_log(int level, const char *line)
{
	(void)level;
	log_debug(NULL, "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

/* Its descriptor tables are as large as the limit says: make it say less while they are made. */
static struct lws_context *
make_context(const struct lws_context_creation_info *info, rlim_t need)
{
	const rlim_t most = need > LWS_FDS_LEAST ? need : LWS_FDS_LEAST;
	struct rlimit rl = {0, 0}, low;
	struct lws_context *ctx;

	(void)getrlimit(RLIMIT_NOFILE, &rl);
	low = rl;
	if (low.rlim_cur > most)
		low.rlim_cur = most;
	(void)setrlimit(RLIMIT_NOFILE, &low);
	ctx = lws_create_context(info);
	(void)setrlimit(RLIMIT_NOFILE, &rl);
	return ctx;
}

struct gw_wsd *
gw_wsd_new(struct gw_server *s)
{
	/* Its own pings would hang up on a reader that stalls for ten seconds after 300. */
	static const lws_retry_bo_t no_pings;
	struct gw_wsd *d = mem_new(sizeof(*d));
	struct lws_context_creation_info info;

	*d = (struct gw_wsd){.s = s, .loops = {loop_uv(s->cfg.lp)}};
	d->protocols[0] = (struct lws_protocols){
	    .name = "",
	    .callback = gw_ws_on_lws,
	    .per_session_data_size = 1, /* without, there is no DROP_PROTOCOL */
	    .rx_buffer_size = READ_BYTES,
	    .tx_packet_size = GW_EDGE_QUEUE_MAX,
	};
	memset(&info, 0, sizeof(info));
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.protocols = d->protocols;
	info.options = LWS_SERVER_OPTION_LIBUV;
	info.foreign_loops = d->loops;
	info.user = d;
	info.retry_and_idle_policy = &no_pings;
	info.pcontext = &d->ctx;
	info.pt_serv_buf_size = READ_BYTES + LWS_PRE;
	lws_set_log_level(LLL_WARN, on_lws_log);
	d->ctx = make_context(&info, s->cfg.max_descriptors);
	d->vhost = d->ctx != NULL ? lws_get_vhost_by_name(d->ctx, "default") : NULL;
	if (d->vhost != NULL)
		return d;
	gw_wsd_free(d);
	return NULL;
}

static void
count_closing(uv_handle_t *h, void *arg)
{
	*(size_t *)arg += uv_is_closing(h) != 0;
}

/* libwebsockets frees its own uv handles' memory in its second destroy, so they must have been
 * closed by then: run the loop until nothing is closing. */
static void
settle(uv_loop_t *loop)
{
	size_t closing = 1;

	for (int i = 0; closing > 0 && i < CLOSE_TURNS_MAX; i++) {
		(void)uv_run(loop, UV_RUN_NOWAIT);
		closing = 0;
		uv_walk(loop, count_closing, &closing);
	}
}

void
gw_wsd_free(struct gw_wsd *d)
{
	if (d == NULL)
		return;
	if (d->ctx != NULL)
		lws_context_destroy(d->ctx);
	settle(d->loops[0]);
	if (d->ctx != NULL)
		lws_context_destroy(d->ctx);
	lws_set_log_level(0, NULL);
	mem_free(d);
}
