/* Unit test of wire/channel against bare ZMQ sockets over ipc. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "wire/base/loop.h"
#include "wire/channel.h"

#define MAX_SOCKETS  64
#define DEADLINE_MS  30000
#define ECHOES       20000
#define WINDOW       8
#define FLOOD        5000
#define PER_TURN     64
#define FRAMES_LIMIT 65536
#define FRAME_MAX    ((size_t)8 << 20)
#define INTERRUPTS                                                                             \
	3 /* in an interrupted test, so many-th look of ZMQ for commands ends with EINTR */

struct world {
	struct loop *lp;
	struct loop_timer *expiry;
	struct wire_channel *ch;
	char dir[32], path[64], endpoint[80];
	void *ctx, *peer;
	int got;      /* messages delivered */
	int want;     /* stop the loop at so many */
	int sent;     /* of an echo test */
	int turn_got; /* delivered in this turn */
	int turn_max;
	size_t last_n; /* frames of the last message */
	struct loop_task each_turn, kick;
};

static struct world *w; /* of the test that runs */

static _Thread_local bool interrupted; /* this thread's looks are */

/* In the place of poll(2), also for libzmq: as if a signal had come in the middle of it. */
int poll_or_signal(struct pollfd *fds, nfds_t n, int timeout_ms) __asm__("poll")
    __attribute__((visibility("default")));

int
poll_or_signal(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	static _Thread_local unsigned looks;
	const struct timespec left = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};

	if (interrupted && timeout_ms == 0 && ++looks % INTERRUPTS == 0) {
		errno = EINTR;
		return -1;
	}
	return ppoll(fds, n, timeout_ms < 0 ? NULL : &left, NULL);
}

static void
on_expiry(void *arg)
{
	(void)arg;
	fail_msg("deadline passed after %d messages", w->got);
}

static int
setup(void **state)
{
	static struct world world;

	(void)state;
	memset(&world, 0, sizeof(world));
	w = &world;
	interrupted = false;
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/channel.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	(void)snprintf(w->endpoint, sizeof(w->endpoint), "ipc://%s", w->path);
	assert_int_equal(wire_channel_setup(MAX_SOCKETS), 0);
	w->lp = loop_new();
	w->expiry = loop_timer_new(w->lp, DEADLINE_MS, on_expiry, NULL);
	w->ctx = zmq_ctx_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	wire_channel_free(w->ch);
	loop_timer_free(w->expiry);
	loop_free(w->lp);
	if (w->peer != NULL)
		(void)zmq_close(w->peer);
	(void)zmq_ctx_term(w->ctx);
	wire_channel_term();
	(void)unlink(w->path);
	return rmdir(w->dir);
}

/* A socket of the other side, which never blocks the test for ever. */
static void
bind_peer(int type)
{
	int timeout = DEADLINE_MS, zero = 0;

	w->peer = zmq_socket(w->ctx, type);
	assert_non_null(w->peer);
	(void)zmq_setsockopt(w->peer, ZMQ_RCVTIMEO, &timeout, sizeof(timeout));
	(void)zmq_setsockopt(w->peer, ZMQ_SNDTIMEO, &timeout, sizeof(timeout));
	(void)zmq_setsockopt(w->peer, ZMQ_LINGER, &zero, sizeof(zero));
	(void)zmq_setsockopt(w->peer, ZMQ_SNDHWM, &zero, sizeof(zero));
	assert_int_equal(zmq_bind(w->peer, w->endpoint), 0);
}

static void
open_channel(enum wire_channel_kind kind, int hwm, wire_channel_fn *fn)
{
	struct wire_channel_conf conf = {.kind = kind,
	                                 .endpoint = w->endpoint,
	                                 .identity = kind == WIRE_IOPUB ? NULL : "me",
	                                 .iopub_hwm = hwm,
	                                 .frame_max_bytes = FRAME_MAX};

	w->ch = wire_channel_new(w->lp, &conf, fn, w);
	assert_non_null(w->ch);
}

static void
count(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
{
	(void)arg;
	(void)kind;
	(void)frames;
	w->last_n = n;
	if (++w->got == w->want)
		loop_stop(w->lp);
}

/* An XPUB tells of the subscription: from then on nothing is lost. */
static void
await_subscription(void)
{
	char topic[8];

	assert_int_equal(zmq_recv(w->peer, topic, sizeof(topic), 0), 1);
	assert_int_equal(topic[0], 1);
}

static void
publish(int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(zmq_send(w->peer, &i, sizeof(i), 0), sizeof(i));
}

static void
run_until(int want)
{
	w->want = want;
	if (w->got < want)
		loop_run(w->lp);
	assert_int_equal(w->got, want);
}

static void
signals_stay_with_the_program(void **state)
{
	(void)state;
	struct sigaction sa;

	assert_int_equal(sigaction(SIGINT, NULL, &sa), 0);
	assert_true(sa.sa_handler == SIG_DFL);
	assert_int_equal(sigaction(SIGTERM, NULL, &sa), 0);
	assert_true(sa.sa_handler == SIG_DFL);
}

static void
on_known_frames(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames,
                size_t n)
{
	assert_ptr_equal(arg, w);
	assert_int_equal(kind, WIRE_IOPUB);
	assert_int_equal(n, 3);
	assert_int_equal(frames[0].len, 5);
	assert_memory_equal(frames[0].ptr, "topic", 5);
	assert_int_equal(frames[1].len, 0);
	assert_int_equal(frames[2].len, 3);
	assert_memory_equal(frames[2].ptr, "a\0b", 3);
	count(arg, kind, frames, n);
}

static void
iopub_takes_everything(void **state)
{
	(void)state;
	bind_peer(ZMQ_XPUB);
	open_channel(WIRE_IOPUB, 0, on_known_frames);
	await_subscription();
	(void)zmq_send(w->peer, "topic", 5, ZMQ_SNDMORE);
	(void)zmq_send(w->peer, "", 0, ZMQ_SNDMORE);
	(void)zmq_send(w->peer, "a\0b", 3, 0);
	run_until(1);
}

static void
dealer_shows_its_identity(void **state)
{
	(void)state;
	const struct wire_slice frames[] = {{"x", 1}, {"", 0}};
	char got[8];

	open_channel(WIRE_SHELL, 0, count); /* before anybody is bound */
	assert_int_equal(wire_channel_send(w->ch, frames, 2), 0);
	bind_peer(ZMQ_ROUTER);
	assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 2);
	assert_memory_equal(got, "me", 2);
	assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 1);
	assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 0);
	(void)zmq_send(w->peer, "me", 2, ZMQ_SNDMORE);
	(void)zmq_send(w->peer, "y", 1, 0);
	run_until(1);
	assert_int_equal(w->last_n, 1);
}

/* Nobody ever binds: what is queued must not hold up the end. */
static void
unsent_messages_do_not_linger(void **state)
{
	(void)state;
	const struct wire_slice frame = {"x", 1};

	open_channel(WIRE_CONTROL, 0, count);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(wire_channel_send(w->ch, &frame, 1), 0);
}

/* A send makes ZMQ take in what has arrived, and with it the notification of it. */
static void
send_swallows_no_wake_up(void **state)
{
	(void)state;
	const struct wire_slice frame = {"x", 1};
	char got[8];

	bind_peer(ZMQ_ROUTER);
	open_channel(WIRE_SHELL, 0, count);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(wire_channel_send(w->ch, &frame, 1), 0);
		assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 2);
		assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 1);
		(void)zmq_send(w->peer, "me", 2, ZMQ_SNDMORE);
		(void)zmq_send(w->peer, "y", 1, 0);
		(void)poll(NULL, 0, 20); /* let it arrive: else this round proves nothing */
		assert_int_equal(wire_channel_send(w->ch, &frame, 1), 0);
		assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 2);
		assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 1);
		run_until(i + 1);
	}
}

static void *
echo_server(void *socket)
{
	char id[16], body[64];

	for (int i = 0; i < ECHOES; i++) {
		int idn = zmq_recv(socket, id, sizeof(id), 0);
		int n = zmq_recv(socket, body, sizeof(body), 0);

		if (idn < 0 || n < 0)
			return NULL;
		(void)zmq_send(socket, id, (size_t)idn, ZMQ_SNDMORE);
		(void)zmq_send(socket, body, (size_t)n, 0);
	}
	return socket;
}

static void
send_one(void)
{
	const struct wire_slice frame = {&w->sent, sizeof(w->sent)};

	if (w->sent < ECHOES) {
		assert_int_equal(wire_channel_send(w->ch, &frame, 1), 0);
		w->sent++;
	}
}

static void
on_kick(void *arg)
{
	(void)arg;
	send_one();
}

/* Some answers from inside the callback, some later: both swallow notifications. */
static void
on_echo(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
{
	assert_int_equal(n, 1);
	assert_memory_equal(frames[0].ptr, &w->got, sizeof(w->got)); /* in order */
	if (w->got % 3 == 0)
		loop_later(w->lp, on_kick, NULL);
	else
		send_one();
	count(arg, kind, frames, n);
}

static void
no_wake_up_is_lost(void **state)
{
	(void)state;
	pthread_t thread;
	void *result = NULL;

	bind_peer(ZMQ_ROUTER);
	assert_int_equal(pthread_create(&thread, NULL, echo_server, w->peer), 0);
	open_channel(WIRE_SHELL, 0, on_echo);
	for (int i = 0; i < WINDOW; i++)
		send_one();
	run_until(ECHOES);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
}

static void
signals_interrupt_no_exchange(void **state)
{
	interrupted = true;
	no_wake_up_is_lost(state);
}

/* Every hundredth frame ZMQ looks for commands, so in the middle of messages too. */
static void
signals_cut_no_message(void **state)
{
	(void)state;
	bind_peer(ZMQ_XPUB);
	open_channel(WIRE_IOPUB, 0, on_known_frames);
	await_subscription();
	for (int i = 0; i < FLOOD; i++) {
		(void)zmq_send(w->peer, "topic", 5, ZMQ_SNDMORE);
		(void)zmq_send(w->peer, "", 0, ZMQ_SNDMORE);
		(void)zmq_send(w->peer, "a\0b", 3, 0);
	}
	interrupted = true;
	run_until(FLOOD);
}

static void
on_each_turn(void *arg)
{
	(void)arg;
	if (w->turn_got > w->turn_max)
		w->turn_max = w->turn_got;
	w->turn_got = 0;
	loop_task_post(&w->each_turn);
}

static void
on_flood(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
{
	w->turn_got++;
	count(arg, kind, frames, n);
}

/* Once from the descriptor and once from the task: twice 64 at most. */
static void
flood_comes_in_slices(void **state)
{
	(void)state;
	bind_peer(ZMQ_XPUB);
	open_channel(WIRE_IOPUB, 0, on_flood);
	await_subscription();
	publish(FLOOD);
	loop_task_init(&w->each_turn, w->lp, on_each_turn, NULL);
	loop_task_post(&w->each_turn);
	run_until(FLOOD);
	loop_task_cancel(&w->each_turn);
	assert_in_range(w->turn_max, 1, 2 * PER_TURN);
}

static void
on_pausing(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
{
	assert_memory_equal(frames[0].ptr, &w->got, sizeof(w->got));
	if (w->got == 9) {
		wire_channel_pause(w->ch);
		loop_stop(w->lp);
	}
	count(arg, kind, frames, n);
}

static void
stop(void *arg)
{
	(void)arg;
	loop_stop(w->lp);
}

static void
pause_holds_and_resume_delivers(void **state)
{
	(void)state;
	struct loop_timer *t;

	bind_peer(ZMQ_XPUB);
	open_channel(WIRE_IOPUB, 0, on_pausing);
	await_subscription();
	publish(100);
	loop_run(w->lp);
	assert_int_equal(w->got, 10);
	t = loop_timer_new(w->lp, 50, stop, NULL); /* what could come would come now */
	loop_run(w->lp);
	loop_timer_free(t);
	assert_int_equal(w->got, 10);
	wire_channel_resume(w->ch);
	assert_int_equal(w->got, 10); /* never from inside */
	run_until(100);
}

static void
bind_waiting_peer(void)
{
	int one = 1, mark = 16, soon = 300;

	w->peer = zmq_socket(w->ctx, ZMQ_XPUB);
	(void)zmq_setsockopt(w->peer, ZMQ_XPUB_NODROP, &one, sizeof(one));
	(void)zmq_setsockopt(w->peer, ZMQ_SNDHWM, &mark, sizeof(mark));
	(void)zmq_setsockopt(w->peer, ZMQ_SNDTIMEO, &soon, sizeof(soon));
	assert_int_equal(zmq_bind(w->peer, w->endpoint), 0);
}

/* How many messages of len bytes the paused channel and its publisher hold; they arrive when it
 * goes on. */
static int
held(size_t len)
{
	static char body[65536];
	int sent = 0;

	wire_channel_pause(w->ch);
	while (sent < 100000 && zmq_send(w->peer, body, len, 0) >= 0)
		sent++;
	assert_int_equal(errno, EAGAIN);
	wire_channel_resume(w->ch);
	run_until(w->got + sent);
	return sent;
}

/* A publisher that waits is held once both sides are full, and loses nothing. */
static void
small_mark_holds_the_publisher(void **state)
{
	(void)state;
	bind_waiting_peer();
	open_channel(WIRE_IOPUB, 16, count);
	await_subscription();
	assert_in_range(held(4096), 32, 2000);
}

static void
a_mark_set_later_holds_it_too(void **state)
{
	(void)state;
	bind_waiting_peer();
	open_channel(WIRE_IOPUB, 65536, count);
	await_subscription();
	for (int i = 0; i < 100; i++) { /* what is read already holds nobody */
		assert_int_equal(zmq_send(w->peer, "x", 1, 0), 1);
		run_until(i + 1);
	}
	wire_channel_set_hwm(w->ch, 16);
	for (int i = 100; i < 1000; i++) {
		assert_int_equal(zmq_send(w->peer, "x", 1, 0), 1);
		run_until(i + 1);
	}
	assert_in_range(held(4096), 32, 2000);
}

/* What nobody asked for, on a socket that is not looked at, is the kernel's to keep: a ROUTER tells
 * here that it holds what it can, and would drop. */
static void
answers_that_nobody_reads_do_not_pile_up(void **state)
{
	static char body[4096];
	const struct wire_slice frame = {"x", 1};
	int one = 1, mark = 16, soon = 300, sent = 0;
	char got[8];

	(void)state;
	w->peer = zmq_socket(w->ctx, ZMQ_ROUTER);
	(void)zmq_setsockopt(w->peer, ZMQ_ROUTER_MANDATORY, &one, sizeof(one));
	(void)zmq_setsockopt(w->peer, ZMQ_SNDHWM, &mark, sizeof(mark));
	(void)zmq_setsockopt(w->peer, ZMQ_SNDTIMEO, &soon, sizeof(soon));
	assert_int_equal(zmq_bind(w->peer, w->endpoint), 0);
	open_channel(WIRE_SHELL, 0, count);
	wire_channel_mute(w->ch);
	assert_int_equal(wire_channel_send(w->ch, &frame, 1), 0);
	assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 2);
	assert_int_equal(zmq_recv(w->peer, got, sizeof(got), 0), 1);
	while (sent < 100000 && zmq_send(w->peer, "me", 2, ZMQ_SNDMORE) >= 0 &&
	       zmq_send(w->peer, body, sizeof(body), 0) >= 0)
		sent++;
	assert_int_equal(errno, EAGAIN);
	assert_in_range(sent, 64, 2000);
	wire_channel_unmute(w->ch);
	run_until(sent);
}

static void
on_freeing(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
{
	count(arg, kind, frames, n);
	wire_channel_free(w->ch);
	w->ch = NULL;
	assert_memory_equal(frames[0].ptr, "\0\0\0\0", 4); /* lent until return */
	loop_later(w->lp, stop, NULL);
}

static void
freed_inside_its_callback(void **state)
{
	(void)state;
	bind_peer(ZMQ_XPUB);
	open_channel(WIRE_IOPUB, 0, on_freeing);
	await_subscription();
	publish(100);
	loop_run(w->lp);
	assert_int_equal(w->got, 1);
}

static void
look_for_cut(void *arg)
{
	(void)arg;
	if (wire_channel_is_cut(w->ch))
		loop_stop(w->lp);
	else
		loop_task_post(&w->each_turn);
}

/* A frame over the ceiling ends the connection, which ZMQ does not tell; one at it does not. */
static void
too_long_a_frame_cuts(void **state)
{
	(void)state;
	char *text = calloc(1, FRAME_MAX + 1);

	assert_non_null(text);
	bind_peer(ZMQ_XPUB);
	open_channel(WIRE_IOPUB, 0, count);
	assert_false(wire_channel_is_cut(w->ch)); /* nothing has come yet */
	await_subscription();
	assert_int_equal(zmq_send(w->peer, text, FRAME_MAX, 0), FRAME_MAX);
	run_until(1);
	assert_false(wire_channel_is_cut(w->ch));
	loop_task_init(&w->each_turn, w->lp, look_for_cut, NULL);
	loop_task_post(&w->each_turn);
	assert_int_equal(zmq_send(w->peer, text, FRAME_MAX + 1, 0), FRAME_MAX + 1);
	w->want = -1;
	loop_run(w->lp);
	assert_true(wire_channel_is_cut(w->ch));
	assert_int_equal(w->got, 1);
	free(text);
}

static void
too_many_frames_come_as_none(void **state)
{
	(void)state;
	bind_peer(ZMQ_XPUB);
	open_channel(WIRE_IOPUB, 0, count);
	await_subscription();
	for (int i = 0; i < FRAMES_LIMIT; i++)
		(void)zmq_send(w->peer, "f", 1, ZMQ_SNDMORE);
	(void)zmq_send(w->peer, "last", 4, 0);
	run_until(1);
	assert_int_equal(w->last_n, 0);
	for (int i = 0; i < FRAMES_LIMIT - 1; i++)
		(void)zmq_send(w->peer, "f", 1, ZMQ_SNDMORE);
	(void)zmq_send(w->peer, "last", 4, 0);
	run_until(2);
	assert_int_equal(w->last_n, FRAMES_LIMIT);
}

static void
bad_endpoint_is_refused(void **state)
{
	(void)state;
	struct wire_channel_conf conf = {.kind = WIRE_IOPUB, .endpoint = "nonsense"};

	assert_null(wire_channel_new(w->lp, &conf, count, w));
	assert_int_equal(errno, EINVAL);
}

static void
sockets_run_out(void **state)
{
	(void)state;
	struct wire_channel *all[MAX_SOCKETS + 1];
	struct wire_channel_conf conf = {.kind = WIRE_CONTROL, .endpoint = w->endpoint};
	int n = 0;

	while (n <= MAX_SOCKETS && (all[n] = wire_channel_new(w->lp, &conf, count, w)) != NULL)
		n++;
	assert_int_equal(errno, EMFILE);
	assert_int_equal(n, MAX_SOCKETS);
	while (n > 0)
		wire_channel_free(all[--n]);
	assert_int_equal(wire_channel_setup(0), -EINVAL);
	assert_int_equal(wire_channel_setup(1 << 30), -EINVAL);
}

static void
descriptors_run_out(void **state)
{
	(void)state;
	struct wire_channel_conf conf = {.kind = WIRE_CONTROL, .endpoint = w->endpoint};
	struct rlimit had, few;

	open_channel(WIRE_SHELL, 0, count); /* ZMQ's threads run */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
	few = (struct rlimit){.rlim_cur = 3, .rlim_max = had.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_null(wire_channel_new(w->lp, &conf, count, w));
	assert_int_equal(errno, EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(signals_stay_with_the_program, setup, teardown),
	    cmocka_unit_test_setup_teardown(iopub_takes_everything, setup, teardown),
	    cmocka_unit_test_setup_teardown(dealer_shows_its_identity, setup, teardown),
	    cmocka_unit_test_setup_teardown(unsent_messages_do_not_linger, setup, teardown),
	    cmocka_unit_test_setup_teardown(send_swallows_no_wake_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_wake_up_is_lost, setup, teardown),
	    cmocka_unit_test_setup_teardown(signals_interrupt_no_exchange, setup, teardown),
	    cmocka_unit_test_setup_teardown(signals_cut_no_message, setup, teardown),
	    cmocka_unit_test_setup_teardown(flood_comes_in_slices, setup, teardown),
	    cmocka_unit_test_setup_teardown(pause_holds_and_resume_delivers, setup, teardown),
	    cmocka_unit_test_setup_teardown(small_mark_holds_the_publisher, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_mark_set_later_holds_it_too, setup, teardown),
	    cmocka_unit_test_setup_teardown(answers_that_nobody_reads_do_not_pile_up, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(freed_inside_its_callback, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_many_frames_come_as_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(too_long_a_frame_cuts, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_endpoint_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(sockets_run_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(descriptors_run_out, setup, teardown),
	};

	return cmocka_run_group_tests_name("wire/channel", tests, NULL, NULL);
}
