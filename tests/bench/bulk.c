/* tests/bench/bulk.c - see tests/bench/bulk.h; tests/bench/volume.py drives it.
 *
 * bulk zmq|wire CONNECTION_FILE CODE KEY WANT
 * bulk [--stall MS] native|e2b|opensandbox|daytona PLACE TOKEN CODE KEY WANT   (PLACE: net.h)
 * runs the code in the file CODE once and prints an object: "ms"; of how many "messages" with a
 * string at KEY how many "bytes" were, from the first on, those of the file WANT; how many there
 * were in "total", of how many in "want"; whether that was "complete": all of it and nothing
 * else; how large the "largest" frame was; whether the run "ended".  With --stall the client
 * reads nothing for so long after the first output.
 */
#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net.h"

#define KEY_MAX 64

/* The quote of [p, end) that ends the string that p is inside of, or NULL. */
static const char *
string_end(const struct bulk_check *c, const char *p, const char *end)
{
	const char *from = p + (c->escaped ? 1 : 0);

	for (p = from; p < end; p++) {
		const char *b;

		p = memchr(p, '"', (size_t)(end - p));
		if (p == NULL)
			return NULL;
		for (b = p; b > from && b[-1] == '\\'; b--)
			;
		if ((p - b) % 2 == 0)
			return p;
	}
	return NULL;
}

/* More of the value, from p. */
static void
take_value(struct bulk_check *c, const char *p, const char *end)
{
	const char *q = string_end(c, p, end);
	const char *b = end;
	size_t n = (size_t)((q != NULL ? q : end) - p);

	c->open = q == NULL;
	while (q == NULL && b > p && b[-1] == '\\')
		b--;
	if (q == NULL)
		c->escaped = (end - b + (b == p && c->escaped)) % 2 != 0;
	c->total += n;
	if (n > c->want_len - c->at || memcmp(c->want + c->at, p, n) != 0)
		c->wrong = true;
	else if (!c->wrong)
		c->at += n;
}

void
bulk_check_take(struct bulk_check *c, const char *json, size_t len, bool begins)
{
	const char *end = json + len;
	const char *p = json;

	if (begins && c->open)
		c->wrong = true; /* the last value had no end */
	if (begins) {
		c->open = c->escaped = false;
		p = memmem(json, len, c->key, c->key_len);
		if (p == NULL)
			return;
		p += c->key_len;
		while (p < end && *p == ' ')
			p++;
		if (p == end || *p++ != '"')
			return;
		c->messages++;
		c->open = true;
	}
	if (c->open)
		take_value(c, p, end);
}

static const char *
map_file(const char *path, size_t *ret_len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		net_die(path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		net_die(path);
	(void)close(fd);
	*ret_len = (size_t)st.st_size;
	return p;
}

/* argv: WAY and what follows it. */
static void
run(struct bulk_run *r, char **argv, bool direct)
{
	static const struct {
		const char *way;
		const char *base; /* of a kernelbridge */
		void (*run)(struct bulk_run *r, const struct net_place *to);
	} ways[] = {
	    {"native", "", bulk_native},
	    {"e2b", "", bulk_e2b},
	    {"opensandbox", "/sandboxes/default/proxy/44772", bulk_opensandbox},
	    {"daytona", "/daytona/toolbox/default", bulk_daytona},
	};
	struct net_place to;

	if (direct) {
		bulk_zmq(r, argv[1], strcmp(argv[0], "wire") == 0);
		return;
	}
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[0], ways[i].way) != 0)
			continue;
		net_place_parse(argv[1], ways[i].base, argv[2], &to);
		ways[i].run(r, &to);
		return;
	}
	net_die(argv[0]);
}

static void
report(const struct bulk_run *r)
{
	const struct bulk_check *c = &r->check;
	bool complete = r->ended && !c->wrong && !c->open && c->at == c->want_len;

	(void)printf("{\"ms\": %.3f, \"messages\": %zu, \"bytes\": %zu, \"total\": %zu, "
	             "\"want\": %zu, \"complete\": %s, \"largest\": %zu, \"ended\": %s}\n",
	             (double)r->took_us / 1e3, c->messages, c->at, c->total, c->want_len,
	             complete ? "true" : "false", r->largest, r->ended ? "true" : "false");
}

int
main(int argc, char **argv)
{
	struct bulk_run r = {0};
	char key[KEY_MAX];
	bool direct;
	int last;

	if (argc > 3 && strcmp(argv[1], "--stall") == 0) {
		r.stall_ms = (unsigned)strtoul(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	direct = argc > 1 && (strcmp(argv[1], "zmq") == 0 || strcmp(argv[1], "wire") == 0);
	last = direct ? 3 : 4; /* the first of the last three */
	if (argc != last + 3) {
		(void)fprintf(
		    stderr,
		    "usage: bulk zmq|wire CONNECTION_FILE CODE KEY WANT\n"
		    "       bulk [--stall MS] native|e2b|opensandbox|daytona PLACE TOKEN "
		    "CODE KEY WANT\n");
		return 2;
	}
	r.code = map_file(argv[last], &r.len);
	r.check.key_len = (size_t)snprintf(key, sizeof(key), "\"%s\":", argv[last + 1]);
	r.check.key = key;
	r.check.want = map_file(argv[last + 2], &r.check.want_len);
	run(&r, argv + 1, direct);
	report(&r);
	return 0;
}
