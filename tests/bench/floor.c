/* tests/bench/floor.c - the least that one execution costs: a bare client of wire/.
 *
 * floor CONNECTION_FILE N: run `1` N times, one after the other, on the kernel
 * that the file names, after ten runs to warm up.  Prints one JSON object with
 * n, min_ms, p50_ms and p99_ms of the time from request to reply and idle.
 * Everything that the gateway adds is measured against this.
 *
 * floor CONNECTION_FILE first CODE: run CODE once as soon as the kernel answers.
 * Prints asked_us, first_us and done_us: when it was sent, when the first of its
 * output came, and when it ended, of the monotonic clock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/client.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define FILE_MAX    65536
#define WARM_UP     10
#define ASK_MS      10 /* a kernel answers them all, in a millisecond each */
#define DEADLINE_MS 120000

struct floor {
	struct loop *lp;
	struct wire_client *client;
	struct wire_req *asked;    /* the kernel_info_request in flight */
	struct loop_timer *again;  /* pending: ask again */
	struct loop_timer *expiry; /* pending: give up */
	json_t *content;
	uint64_t sent_us;
	uint64_t *took_us;
	size_t n;          /* runs wanted, warm-up included */
	bool once;         /* n is 1: when, not how long */
	uint64_t first_us; /* of the first output; 0: none yet */
	size_t done;       /* runs complete */
	int status;
};

static void ask(struct floor *f);
static void run_next(struct floor *f);

static void
stop(struct floor *f, const char *why)
{
	if (why != NULL)
		(void)fprintf(stderr, "floor: %s\n", why);
	f->status = why == NULL ? 0 : 1;
	loop_stop(f->lp);
}

static void
on_run(void *arg, int status)
{
	struct floor *f = arg;

	f->took_us[f->done++] = loop_clock_us() - f->sent_us;
	if (status != 0)
		stop(f, "the kernel did not answer");
	else if (f->done == f->n)
		stop(f, NULL);
	else
		run_next(f);
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	struct floor *f = arg;

	if (f->first_us == 0 && strcmp(m->type, "stream") == 0)
		f->first_us = loop_clock_us();
}

static void
run_next(struct floor *f)
{
	static const struct wire_req_ops ops = {.done = on_run};
	static const struct wire_req_ops told = {.message = on_message, .done = on_run};

	f->sent_us = loop_clock_us();
	(void)wire_client_request(f->client,
	                          &(struct wire_ask){.channel = WIRE_SHELL,
	                                             .type = "execute_request",
	                                             .content = f->content,
	                                             .wait_idle = true},
	                          f->once ? &told : &ops, f);
}

static void
on_info(void *arg, int status)
{
	struct floor *f = arg;

	f->asked = NULL;
	if (status != 0) {
		stop(f, "the kernel did not answer kernel_info_request");
		return;
	}
	loop_timer_free(f->again);
	f->again = NULL;
	run_next(f);
}

/* The first questions may come before the subscription is live: their idle is lost. */
static void
on_again(void *arg)
{
	struct floor *f = arg;

	loop_timer_free(f->again);
	f->again = NULL;
	wire_req_free(f->asked);
	ask(f);
}

static void
ask(struct floor *f)
{
	static const struct wire_req_ops ops = {.done = on_info};

	f->again = loop_timer_new(f->lp, ASK_MS, on_again, f);
	f->asked = wire_client_request(f->client,
	                               &(struct wire_ask){.channel = WIRE_SHELL,
	                                                  .type = "kernel_info_request",
	                                                  .wait_idle = true},
	                               &ops, f);
}

static void
on_expiry(void *arg)
{
	stop(arg, "gave up after two minutes");
}

static struct wire_connfile *
read_connfile(const char *path)
{
	struct wire_connfile *cf = NULL;
	struct err err = {"cannot be read"};
	char bytes[FILE_MAX];
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, bytes, sizeof(bytes));
		(void)close(fd);
	}
	if (n < 0 || wire_connfile_parse(bytes, (size_t)n, &cf, &err) != 0)
		(void)fprintf(stderr, "floor: %s: %s\n", path, err.text);
	return cf;
}

static int
by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(struct floor *f)
{
	size_t n = f->n - WARM_UP;
	uint64_t *t = f->took_us + WARM_UP;

	size_t middle = n / 2, last = n * 99 / 100;

	qsort(t, n, sizeof(*t), by_size);
	printf("{\"n\": %zu, \"min_ms\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", n,
	       (double)t[0] / 1000, (double)t[middle] / 1000, (double)t[last] / 1000);
}

static void
report_once(const struct floor *f)
{
	uint64_t done_us = f->sent_us + f->took_us[0];

	printf("{\"asked_us\": %" PRIu64 ", \"first_us\": %" PRIu64 ", \"done_us\": %" PRIu64
	       "}\n",
	       f->sent_us, f->first_us, done_us);
}

static int
measure(struct floor *f, const struct wire_connfile *cf, const char *code)
{
	static const struct wire_client_conf conf;

	f->lp = loop_new();
	f->content = json_pack("{s:s, s:b, s:b, s:{}, s:b, s:b}", "code", code, "silent", 0,
	                       "store_history", 1, "user_expressions", "allow_stdin", 0,
	                       "stop_on_error", 1);
	f->took_us = mem_new(f->n * sizeof(*f->took_us));
	f->status = 1;
	f->client = wire_client_new(f->lp, cf, &conf, NULL, NULL);
	if (f->client != NULL) {
		f->expiry = loop_timer_new(f->lp, DEADLINE_MS, on_expiry, f);
		ask(f);
		loop_run(f->lp);
		if (f->status == 0 && f->once)
			report_once(f);
		else if (f->status == 0)
			report(f);
	}
	loop_timer_free(f->again);
	loop_timer_free(f->expiry);
	wire_client_free(f->client);
	loop_free(f->lp);
	json_decref(f->content);
	mem_free(f->took_us);
	return f->status;
}

int
main(int argc, char **argv)
{
	struct floor f = {0};
	struct wire_connfile *cf = argc == 3 || argc == 4 ? read_connfile(argv[1]) : NULL;
	long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	int status = 2;

	f.once = argc == 4 && strcmp(argv[2], "first") == 0;
	if (!f.once && (n < 1 || n > 1000000))
		(void)fprintf(stderr, "usage: floor CONNECTION_FILE N\n"
		                      "       floor CONNECTION_FILE first CODE\n");
	else if (cf != NULL && wire_channel_setup(16) == 0) {
		f.n = f.once ? 1 : (size_t)n + WARM_UP;
		status = measure(&f, cf, f.once ? argv[3] : "1");
		wire_channel_term();
	}
	wire_connfile_free(cf);
	return status;
}
