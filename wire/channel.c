/* wire/channel.c - see wire/channel.h.
 *
 * czmq keeps the context and configures the sockets.  They are made by libzmq,
 * since zsock_new() ends the process when no descriptor is left, and frames go
 * through libzmq, so that a received one is lent where it lies, without a copy.
 */
#include "wire/channel.h"

#include <assert.h>
#include <czmq.h>
#include <errno.h>
#include <sodium.h>
#include <sys/stat.h>
#include <zmq.h>

#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define BATCH      64    /* messages per turn: a flood does not starve the others */
#define FRAMES_MAX 65536 /* of one message; longer ones are skipped */
/* A kernel binds 40 ms (forked) to 500 ms (spawned) after we connect: waiting up to ZMQ's
 * usual 100 ms would show in every start, and trying costs 0.1 ms CPU for four sockets. */
#define RECONNECT_MS     10
#define RECONNECT_MAX_MS 30
/* A DEALER's receive mark: a kernel answers few requests at once, and what it sends to a socket
 * that is not looked at is dropped on its own side beyond this. */
#define ANSWERS_HWM 64

struct wire_channel {
	struct loop *lp; /* borrowed */
	enum wire_channel_kind kind;
	void *socket; /* NULL once freed */
	struct loop_fd *watch;
	struct loop_task again; /* something may be left to read */
	wire_channel_fn *fn;
	loop_fn *connected; /* not told yet, or NULL */
	int peer; /* descriptor, ZMQ's own, that a message came over; -1: none did yet */
	struct stat peer_was; /* then */
	void *arg;
	bool paused;
	size_t mark;     /* the receive mark; 0: none */
	size_t read_n;   /* messages received */
	size_t told_n;   /* of them ZMQ's writer knows */
	zmq_msg_t *msgs; /* the message being lent: msgs[0..room) */
	struct wire_slice *frames;
	size_t room;
};

static size_t open_n; /* channels not freed yet */

int
wire_channel_setup(int max_sockets)
{
	if (sodium_init() < 0)
		return -EIO;
	if (max_sockets < 1)
		return -EINVAL;
	zsys_handler_set(NULL); /* signals belong to the program */
	if (zsys_init() == NULL)
		return -EIO;
	zsys_set_logstream(NULL); /* and so does its output */
	if ((size_t)max_sockets > zsys_socket_limit())
		return -EINVAL;
	zsys_set_max_sockets((size_t)max_sockets);
	return 0;
}

void
wire_channel_term(void)
{
	assert(open_n == 0);
	zsys_shutdown();
}

static void
make_room(struct wire_channel *ch)
{
	size_t room = ch->room == 0 ? 16 : ch->room * 2;
	zmq_msg_t *msgs = mem_new(room * sizeof(*msgs));

	for (size_t i = 0; i < ch->room; i++) {
		(void)zmq_msg_init(&msgs[i]);
		(void)zmq_msg_move(&msgs[i], &ch->msgs[i]);
	}
	mem_free(ch->msgs);
	ch->msgs = msgs;
	ch->frames = mem_realloc(ch->frames, room * sizeof(*ch->frames));
	ch->room = room;
}

static void
close_frames(struct wire_channel *ch, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)zmq_msg_close(&ch->msgs[i]);
}

/* A signal that comes while ZMQ looks for what its threads have done ends a call with EINTR,
 * before it did anything: also in the middle of a message, and also with ZMQ_DONTWAIT. */

static int
receive_frame(zmq_msg_t *msg, void *socket)
{
	int rc;

	do
		rc = zmq_msg_recv(msg, socket, ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	return rc;
}

static int
send_frame(void *socket, struct wire_slice frame, int flags)
{
	int rc;

	do
		rc = zmq_send(socket, frame.ptr, frame.len, flags | ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	return rc;
}

static int
connect_to(void *socket, const char *endpoint)
{
	int rc;

	do
		rc = zmq_connect(socket, endpoint);
	while (rc < 0 && errno == EINTR);
	return rc;
}

/* Reading ZMQ_EVENTS also makes ZMQ do what it has to do, and rearms ZMQ_FD. */
static int
events_of(void *socket)
{
	int events = 0, rc;
	size_t size = sizeof(events);

	do
		rc = zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);
	while (rc < 0 && errno == EINTR);
	return rc == 0 ? events : 0;
}

/* Receive one whole message into ch->msgs.  Returns its number of frames, 0 if it has too many
 * (those are read and forgotten), or -1 when none is there: errno is EAGAIN then, and ZMQ has
 * done all that there was to do. */
static int
receive(struct wire_channel *ch)
{
	size_t n = 0;
	bool more = true, too_many = false;

	while (more) {
		if (n == FRAMES_MAX) {
			close_frames(ch, n);
			n = 0;
			too_many = true;
		}
		if (n == ch->room)
			make_room(ch);
		(void)zmq_msg_init(&ch->msgs[n]);
		if (receive_frame(&ch->msgs[n], ch->socket) < 0)
			return -1; /* only the first can fail: messages arrive whole */
		more = zmq_msg_more(&ch->msgs[n]) != 0;
		n++;
	}
	if (too_many) {
		close_frames(ch, n);
		n = 0;
	}
	return (int)n;
}

static void
count_read(struct wire_channel *ch)
{
	ch->read_n++;
	if (ch->mark > 0 && ch->read_n % ((ch->mark + 1) / 2) == 0)
		ch->told_n = ch->read_n;
}

/* ZMQ says which descriptor a message was read from, and closes it when the connection ends. */
static void
note_peer(struct wire_channel *ch)
{
	ch->peer = zmq_msg_get(&ch->msgs[0], ZMQ_SRCFD);
	if (ch->peer >= 0 && fstat(ch->peer, &ch->peer_was) != 0)
		ch->peer = -1;
}

/* Deliver one message.  Returns false when none is there. */
static bool
deliver(struct wire_channel *ch)
{
	int n = receive(ch);

	if (n < 0)
		return false;
	count_read(ch);
	if (ch->peer < 0 && n > 0)
		note_peer(ch);
	for (int i = 0; i < n; i++)
		ch->frames[i] =
		    (struct wire_slice){zmq_msg_data(&ch->msgs[i]), zmq_msg_size(&ch->msgs[i])};
	ch->fn(ch->arg, ch->kind, ch->frames, (size_t)n);
	close_frames(ch, (size_t)n);
	return true;
}

static void
look_again(struct wire_channel *ch)
{
	int events = events_of(ch->socket);

	if (((events & ZMQ_POLLIN) != 0 && !ch->paused) ||
	    ((events & ZMQ_POLLOUT) != 0 && ch->connected != NULL))
		loop_task_post(&ch->again);
}

/* With ZMQ_IMMEDIATE a socket is writable only once the hand-shake with its peer is done. */
static void
tell_connected(struct wire_channel *ch)
{
	loop_fn *fn = ch->connected;

	if (fn == NULL || (events_of(ch->socket) & ZMQ_POLLOUT) == 0)
		return;
	ch->connected = NULL;
	fn(ch->arg); /* may free ch */
}

/* A look takes two system calls; a receive that found nothing was one already. */
static void
run(void *arg)
{
	struct wire_channel *ch = arg;
	bool empty = false;

	tell_connected(ch);
	for (int i = 0; i < BATCH && !ch->paused && !empty && ch->socket != NULL; i++)
		empty = !deliver(ch) && errno == EAGAIN; /* fn may free or pause ch */
	if (ch->socket != NULL && (!empty || ch->connected != NULL))
		look_again(ch);
}

static void
on_fd(void *arg, unsigned events)
{
	(void)events;
	run(arg);
}

static void
configure(void *sock, const struct wire_channel_conf *conf)
{
	const int64_t max = (int64_t)conf->frame_max_bytes;

	zsock_set_linger(sock, 0);
	zsock_set_ipv6(sock, 0);
	zsock_set_reconnect_ivl(sock, RECONNECT_MS);
	zsock_set_reconnect_ivl_max(sock, RECONNECT_MAX_MS);
	zsock_set_sndhwm(sock, 0);
	if (conf->frame_max_bytes > 0)
		(void)zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &max, sizeof(max));
	if (conf->kind == WIRE_IOPUB) {
		zsock_set_rcvhwm(sock, conf->iopub_hwm);
		zsock_set_subscribe(sock, "");
		return;
	}
	zsock_set_rcvhwm(sock, ANSWERS_HWM);
	zsock_set_immediate(sock, conf->connected != NULL);
	if (conf->identity != NULL)
		zsock_set_identity(sock, conf->identity);
}

struct wire_channel *
wire_channel_new(struct loop *lp, const struct wire_channel_conf *conf, wire_channel_fn *fn,
                 void *arg)
{
	struct wire_channel *ch;
	void *sock = zmq_socket(zsys_init(), conf->kind == WIRE_IOPUB ? ZMQ_SUB : ZMQ_DEALER);

	assert(conf->kind != WIRE_HB);
	if (sock == NULL)
		return NULL;
	configure(sock, conf);
	ch = mem_new(sizeof(*ch));
	*ch = (struct wire_channel){.lp = lp, .kind = conf->kind, .fn = fn, .arg = arg};
	ch->socket = sock;
	ch->peer = -1;
	ch->connected = conf->connected;
	ch->mark = (size_t)conf->iopub_hwm;
	loop_task_init(&ch->again, lp, run, ch);
	if (connect_to(sock, conf->endpoint) == 0)
		ch->watch = loop_fd_new(lp, zsock_fd(sock), LOOP_READ, on_fd, ch);
	if (ch->watch == NULL) {
		int saved = errno;

		(void)zmq_close(sock);
		mem_free(ch);
		errno = saved;
		return NULL;
	}
	open_n++;
	look_again(ch);
	return ch;
}

static void
release(void *arg)
{
	struct wire_channel *ch = arg;

	mem_free(ch->msgs);
	mem_free(ch->frames);
	mem_free(ch);
}

void
wire_channel_free(struct wire_channel *ch)
{
	if (ch == NULL)
		return;
	assert(ch->socket != NULL);
	loop_task_cancel(&ch->again);
	loop_fd_free(ch->watch);
	(void)zmq_close(ch->socket);
	ch->socket = NULL;
	open_n--;
	loop_later(ch->lp, release, ch); /* deliver() may be on the stack */
}

int
wire_channel_send(struct wire_channel *ch, const struct wire_slice *frames, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		if (send_frame(ch->socket, frames[i], i + 1 < n ? ZMQ_SNDMORE : 0) < 0)
			rc = -EPIPE;
	look_again(ch);
	return rc;
}

void
wire_channel_pause(struct wire_channel *ch)
{
	ch->paused = true;
	loop_task_cancel(&ch->again);
}

void
wire_channel_resume(struct wire_channel *ch)
{
	ch->paused = false;
	look_again(ch);
}

void
wire_channel_mute(struct wire_channel *ch)
{
	loop_fd_free(ch->watch);
	ch->watch = NULL;
}

void
wire_channel_unmute(struct wire_channel *ch)
{
	if (ch->watch == NULL)
		ch->watch = loop_fd_new(ch->lp, zsock_fd(ch->socket), LOOP_READ, on_fd, ch);
	look_again(ch);
}

void
wire_channel_look(struct wire_channel *ch)
{
	run(ch);
}

bool
wire_channel_is_cut(const struct wire_channel *ch)
{
	struct stat is;

	return ch->peer >= 0 &&
	       (fstat(ch->peer, &is) != 0 || is.st_ino != ch->peer_was.st_ino ||
	        is.st_dev != ch->peer_was.st_dev);
}

/* ZMQ tells the writer what was read when that is a multiple of half the mark, and the writer waits
 * when what it knows to be read is a mark behind what it wrote.  So a mark must not go up, since
 * that multiple may then be beyond what there is to read; and not so far down that the writer
 * waits for what was read already, since nothing more is read then. */
void
wire_channel_set_hwm(struct wire_channel *ch, int hwm)
{
	size_t least = 2 * (ch->read_n - ch->told_n + 2); /* one may be read ahead */

	ch->mark = (size_t)hwm > least ? (size_t)hwm : least;
	zsock_set_rcvhwm(ch->socket, (int)ch->mark);
	look_again(ch); /* setting an option handles what ZMQ_FD told of */
}
