/* tests/bench/bulk.c - see tests/bench/bulk.h; tests/bench/volume drives it.
 *
 * bulk zmq|wire CONNECTION_FILE CODE KEY WANT
 * bulk native|e2b|daytona PORT TOKEN CODE KEY WANT
 * runs the code in the file CODE once and prints {"ms", "messages", "bytes", "complete"}: of how
 * many messages with a string at KEY how many bytes were, from the first on, those of the file
 * WANT, and whether that was all of it and nothing else.
 */
#include "bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_MAX 64

uint64_t
bulk_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
bulk_die(const char *why)
{
	(void)fprintf(stderr, "bulk: %s: %s\n", why, strerrordesc_np(errno));
	exit(1);
}

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
		bulk_die(path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		bulk_die(path);
	(void)close(fd);
	*ret_len = (size_t)st.st_size;
	return p;
}

static uint64_t
run(char **argv, bool direct, const char *code, size_t len, struct bulk_check *c)
{
	int port = direct ? 0 : (int)strtol(argv[2], NULL, 10);

	if (direct)
		return bulk_zmq(argv[2], strcmp(argv[1], "wire") == 0, code, len, c);
	if (strcmp(argv[1], "native") == 0)
		return bulk_native(port, argv[3], code, len, c);
	if (strcmp(argv[1], "e2b") == 0)
		return bulk_e2b(port, argv[3], code, len, c);
	return bulk_daytona(port, argv[3], code, len, c);
}

int
main(int argc, char **argv)
{
	bool direct = argc > 1 && (strcmp(argv[1], "zmq") == 0 || strcmp(argv[1], "wire") == 0);
	struct bulk_check c = {0};
	char key[KEY_MAX];
	const char *code;
	size_t len;
	uint64_t us;

	if (argc != (direct ? 6 : 7)) {
		(void)fprintf(stderr,
		              "usage: bulk zmq|wire CONNECTION_FILE CODE KEY WANT\n"
		              "       bulk native|e2b|daytona PORT TOKEN CODE KEY WANT\n");
		return 2;
	}
	argv += direct ? -1 : 0; /* so that the last three are at 4, 5, 6 */
	code = map_file(argv[4], &len);
	c.want = map_file(argv[6], &c.want_len);
	c.key_len = (size_t)snprintf(key, sizeof(key), "\"%s\":", argv[5]);
	c.key = key;
	argv += direct ? 1 : 0;
	us = run(argv, direct, code, len, &c);
	(void)printf("{\"ms\": %.3f, \"messages\": %zu, \"bytes\": %zu, \"complete\": %s}\n",
	             (double)us / 1e3, c.messages, c.at,
	             !c.wrong && !c.open && c.at == c.want_len ? "true" : "false");
	return 0;
}
