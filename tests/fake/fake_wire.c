/* tests/fake/fake_wire.c - see tests/fake/fake_wire.h. */
#include "tests/fake/fake_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define FILE_MAX   65536
#define FRAMES_MAX 64
#define LINGER_MS  1000
#define SEND_HWM   16 /* as the gateway's own launcher sets it */

struct fake_wire {
	void *ctx;
	void *socks[WIRE_CHANNEL_N];
	struct wire_sign *sign;
	char session[WIRE_UUID_LEN + 1];
	bool old_pub;
};

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "fake_kernel: %s: %s\n", what, strerrordesc_np(errno));
	_exit(100);
}

static struct wire_connfile *
read_connfile(const char *path)
{
	struct wire_connfile *cf = NULL;
	struct err err = {""};
	char *text = mem_new(FILE_MAX);
	FILE *f = fopen(path, "r");
	size_t len;

	check(f != NULL, path);
	len = fread(text, 1, FILE_MAX, f);
	(void)fclose(f);
	check(wire_connfile_parse(text, len, &cf, &err) == 0, err.text);
	mem_free(text);
	return cf;
}

static void *
open_socket(const struct fake_wire *w, const struct wire_connfile *cf,
            enum wire_channel_kind kind)
{
	const int one = 1, hwm = SEND_HWM, linger = LINGER_MS;
	int type = ZMQ_ROUTER;
	void *s;

	if (kind == WIRE_IOPUB)
		type = w->old_pub ? ZMQ_PUB : ZMQ_XPUB;
	s = zmq_socket(w->ctx, type);
	check(s != NULL, "zmq_socket");
	(void)zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof(linger));
	if (type == ZMQ_ROUTER)
		(void)zmq_setsockopt(s, ZMQ_ROUTER_HANDOVER, &one, sizeof(one));
	if (type == ZMQ_XPUB) {
		(void)zmq_setsockopt(s, ZMQ_XPUB_NODROP, &one, sizeof(one));
		(void)zmq_setsockopt(s, ZMQ_SNDHWM, &hwm, sizeof(hwm));
	}
	check(zmq_bind(s, wire_connfile_endpoint(cf, kind)) == 0, "zmq_bind");
	return s;
}

struct fake_wire *
fake_wire_open(const char *path, bool old_pub)
{
	struct wire_connfile *cf = read_connfile(path);
	struct fake_wire *w = mem_new(sizeof(*w));

	w->old_pub = old_pub;
	w->ctx = zmq_ctx_new();
	w->sign = wire_sign_new(wire_connfile_key(cf), strlen(wire_connfile_key(cf)));
	wire_uuid(w->session);
	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		w->socks[i] = open_socket(w, cf, (enum wire_channel_kind)i);
	wire_connfile_free(cf);
	return w;
}

/* Receive a whole message.  Returns the number of frames, 0 when there is none. */
static size_t
receive(void *sock, zmq_msg_t msgs[FRAMES_MAX], struct wire_slice frames[FRAMES_MAX])
{
	size_t n = 0;
	bool more = true;

	while (more) {
		check(n < FRAMES_MAX, "too many frames");
		(void)zmq_msg_init(&msgs[n]);
		if (zmq_msg_recv(&msgs[n], sock, ZMQ_DONTWAIT) < 0) {
			check(errno == EAGAIN || errno == EINTR, "zmq_msg_recv");
			return 0;
		}
		frames[n] = (struct wire_slice){zmq_msg_data(&msgs[n]), zmq_msg_size(&msgs[n])};
		more = zmq_msg_more(&msgs[n]) != 0;
		n++;
	}
	return n;
}

static void
release(zmq_msg_t *msgs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)zmq_msg_close(&msgs[i]);
}

/* Send frames; only the first can block.  Returns false if it would. */
static bool
send_frames(void *sock, const struct wire_slice *frames, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int flags = ZMQ_DONTWAIT | (i + 1 < n ? ZMQ_SNDMORE : 0);

		while (zmq_send(sock, frames[i].ptr, frames[i].len, flags) < 0) {
			if (errno == EAGAIN && i == 0)
				return false;
			check(errno == EINTR || errno == EAGAIN, "zmq_send");
		}
	}
	return true;
}

static void
serve_heartbeat(struct fake_wire *w)
{
	struct wire_slice frames[FRAMES_MAX];
	zmq_msg_t msgs[FRAMES_MAX];
	size_t n = receive(w->socks[WIRE_HB], msgs, frames);

	(void)send_frames(w->socks[WIRE_HB], frames, n);
	release(msgs, n);
}

/* JEP 65: a subscription is answered by iopub_welcome. */
static void
serve_subscription(struct fake_wire *w)
{
	struct wire_slice frames[FRAMES_MAX];
	zmq_msg_t msgs[FRAMES_MAX];
	size_t n = receive(w->socks[WIRE_IOPUB], msgs, frames);

	if (n > 0 && frames[0].len > 0 && ((const char *)frames[0].ptr)[0] == 1) {
		static const char text[] = "{\"subscription\": \"\"}";

		(void)fake_wire_publish(w, NULL, "iopub_welcome", text, sizeof(text) - 1, 0);
	}
	release(msgs, n);
}

unsigned
fake_wire_wait(struct fake_wire *w, unsigned kinds, int ms)
{
	zmq_pollitem_t items[WIRE_CHANNEL_N];
	unsigned ready = 0;

	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		bool wanted = (kinds & (1U << i)) != 0 || i == WIRE_HB ||
		              (i == WIRE_IOPUB && !w->old_pub);

		items[i] = (zmq_pollitem_t){.socket = w->socks[i]};
		items[i].events = wanted ? ZMQ_POLLIN : 0;
	}
	if (zmq_poll(items, WIRE_CHANNEL_N, ms) <= 0)
		return 0;
	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		ready |= (items[i].revents & ZMQ_POLLIN) != 0 ? 1U << i : 0;
	if ((ready & (1U << WIRE_HB)) != 0)
		serve_heartbeat(w);
	if ((ready & (1U << WIRE_IOPUB)) != 0)
		serve_subscription(w);
	return ready & kinds;
}

struct fake_request *
fake_wire_receive(struct fake_wire *w, enum wire_channel_kind kind)
{
	struct wire_slice frames[FRAMES_MAX];
	zmq_msg_t msgs[FRAMES_MAX];
	size_t n = receive(w->socks[kind], msgs, frames);
	struct fake_request *r = NULL;
	struct wire_msg m;

	if (n > 0 && wire_msg_parse(&m, kind, w->sign, frames, n) == 0) {
		r = mem_new(sizeof(*r));
		r->channel = kind;
		r->type = mem_strdup(m.type);
		r->header = mem_new(m.raw[0].len + 1);
		memcpy(r->header, m.raw[0].ptr, m.raw[0].len);
		r->peer_len = frames[0].len;
		r->peer = mem_new(r->peer_len + 1);
		memcpy(r->peer, frames[0].ptr, r->peer_len);
		r->content = json_incref(m.content);
		r->metadata = m.metadata != NULL ? json_incref(m.metadata) : json_object();
		wire_msg_fini(&m);
	}
	release(msgs, n);
	return r;
}

void
fake_request_free(struct fake_request *r)
{
	if (r == NULL)
		return;
	mem_free(r->type);
	mem_free(r->header);
	mem_free(r->peer);
	json_decref(r->content);
	json_decref(r->metadata);
	mem_free(r);
}

/* What differs from message to message. */
struct out {
	struct wire_slice first; /* routing id or topic */
	const char *parent, *type;
	struct wire_slice content;
	unsigned wrong;
};

static char *
make_header(const struct fake_wire *w, const char *type)
{
	char id[WIRE_UUID_LEN + 1], *text;
	json_t *header;

	wire_uuid(id);
	header = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "msg_id", id, "session", w->session,
	                   "username", "fake", "date", "2026-01-01T00:00:00.000000Z",
	                   "msg_type", type, "version", "5.3");
	text = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	return text;
}

static bool
send_message(struct fake_wire *w, void *sock, const struct out *o)
{
	static const char delimiter[] = "<IDS|MSG>", empty[] = "{}";
	char hex[WIRE_SIGN_HEXLEN + 1], *header = make_header(w, o->type);
	const struct wire_slice parts[WIRE_SIGN_PARTS] = {{header, strlen(header)},
	                                                  {o->parent, strlen(o->parent)},
	                                                  {empty, sizeof(empty) - 1},
	                                                  o->content};
	bool ok;

	wire_sign_digest(w->sign, parts, hex);
	if ((o->wrong & FAKE_BAD_SIGNATURE) != 0)
		hex[0] = hex[0] == '0' ? '1' : '0';
	const struct wire_slice frames[] = {o->first,
	                                    {delimiter, sizeof(delimiter) - 1},
	                                    {hex, strlen(hex)},
	                                    parts[0],
	                                    parts[1],
	                                    parts[2],
	                                    parts[3]};
	const size_t n = sizeof(frames) / sizeof(frames[0]);

	ok = send_frames(sock, frames, n);
	while (ok && (o->wrong & FAKE_TWICE) != 0 && !send_frames(sock, frames, n))
		(void)fake_wire_wait(w, 0, 1);
	free(header);
	return ok;
}

bool
fake_wire_publish(struct fake_wire *w, const struct fake_request *r, const char *type,
                  const char *content, size_t len, unsigned wrong)
{
	struct out o = {.first = {type, strlen(type)},
	                .parent = r != NULL ? r->header : "{}",
	                .type = type,
	                .content = {content, len},
	                .wrong = wrong};

	if ((wrong & FAKE_NO_PARENT) != 0)
		o.parent = "null";
	return send_message(w, w->socks[WIRE_IOPUB], &o);
}

void
fake_wire_answer(struct fake_wire *w, const struct fake_request *r, enum wire_channel_kind kind,
                 const char *type, const char *content)
{
	const struct out o = {.first = {r->peer, r->peer_len},
	                      .parent = r->header,
	                      .type = type,
	                      .content = {content, strlen(content)}};

	(void)send_message(w, w->socks[kind], &o); /* a ROUTER drops what has no reader */
}

void
fake_wire_close(struct fake_wire *w)
{
	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		(void)zmq_close(w->socks[i]);
	while (zmq_ctx_term(w->ctx) != 0 && errno == EINTR)
		;
	wire_sign_free(w->sign);
	mem_free(w);
}
