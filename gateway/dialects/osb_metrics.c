/* gateway/dialects/osb_metrics.c - what this machine has and uses: GET /metrics and
 * /metrics/watch.
 *
 * Of the machine, or of the container where cgroup v2 limits it: a sandbox has no share of its own
 * yet.  cpu_used_pct is of all processors together (0 to 100) since the last look that is at least
 * LOOK_MS old; the first answer's is since the machine started.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/sandbox.h"
#include "wire/base/buf.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define LOOK_MS   500
#define WATCH_MS  1000
#define MIB       (1024.0 * 1024.0)
#define LINE_SIZE 512

/* --- reading ------------------------------------------------------------------------------ */

/* Processor time since the machine started, in ticks. */
struct ticks {
	unsigned long long all;
	unsigned long long idle;
};

/* The process's: two answers in a row share a look. */
static struct {
	struct ticks then;
	uint64_t at_ms;
	double pct;
} last;

/* The first line of a small file of the kernel's; "" where there is none. */
static void
read_line(const char *path, char out[LINE_SIZE])
{
	FILE *f = fopen(path, "re");

	if (f == NULL || fgets(out, LINE_SIZE, f) == NULL)
		out[0] = '\0';
	if (f != NULL)
		(void)fclose(f);
}

static struct ticks
read_ticks(void)
{
	struct ticks t = {0, 0};
	char line[LINE_SIZE];
	char *p = line;

	read_line("/proc/stat", line);
	p += strcspn(p, " ");
	for (unsigned i = 0; i < 8; i++) { /* guests' time is in the first two */
		unsigned long long n = strtoull(p, &p, 10);

		t.all += n;
		if (i == 3 || i == 4) /* idle, iowait */
			t.idle += n;
	}
	return t;
}

static double
cpu_used_pct(uint64_t now_ms)
{
	struct ticks now;

	if (last.at_ms != 0 && now_ms - last.at_ms < LOOK_MS)
		return last.pct;
	now = read_ticks();
	if (now.all > last.then.all && now.idle >= last.then.idle)
		last.pct = 100.0 * (1.0 - (double)(now.idle - last.then.idle) /
		                              (double)(now.all - last.then.all));
	last.then = now;
	last.at_ms = now_ms;
	return last.pct;
}

static double
cpu_count(void)
{
	double n = (double)sysconf(_SC_NPROCESSORS_ONLN);
	char line[LINE_SIZE];
	char *p = line;
	double quota;
	double period;

	read_line("/sys/fs/cgroup/cpu.max", line); /* "200000 100000", or "max 100000" */
	quota = strtod(line, &p);
	period = p != line ? strtod(p, NULL) : 0;
	return quota > 0 && period > 0 && quota / period < n ? quota / period : n;
}

/* In KiB, of a line of /proc/meminfo. */
static void
read_memory(double *ret_total, double *ret_free)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[LINE_SIZE];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "MemTotal:", 9) == 0)
			*ret_total = strtod(line + 9, NULL);
		else if (strncmp(line, "MemAvailable:", 13) == 0)
			*ret_free = strtod(line + 13, NULL);
	}
	if (f != NULL)
		(void)fclose(f);
}

static void
memory_mib(double *ret_total, double *ret_used)
{
	double total = 0;
	double available = 0;
	char line[LINE_SIZE];
	double limit;

	read_memory(&total, &available);
	*ret_total = total / 1024.0;
	*ret_used = (total - available) / 1024.0;
	read_line("/sys/fs/cgroup/memory.max", line); /* bytes, or "max" */
	limit = strtod(line, NULL) / MIB;
	if (limit <= 0 || limit >= *ret_total)
		return;
	read_line("/sys/fs/cgroup/memory.current", line);
	*ret_total = limit;
	*ret_used = strtod(line, NULL) / MIB;
}

static json_t *
look(const struct gw_core *core)
{
	double total;
	double used;

	memory_mib(&total, &used);
	return json_pack("{s:f, s:f, s:f, s:f, s:I}", "cpu_count", cpu_count(), "cpu_used_pct",
	                 cpu_used_pct(loop_now_ms(core->lp)), "mem_total_mib", total,
	                 "mem_used_mib", used, "timestamp", (json_int_t)gw_osb_now());
}

void
gw_osb_metrics(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)body;
	(void)len;
	if (gw_osb_sandbox(core, x) != NULL)
		gw_http_reply_json(x, 200, look(core));
}

/* --- watching ----------------------------------------------------------------------------- */

struct watch {
	struct gw_http *x;
	struct gw_core *core; /* borrowed */
	struct loop_timer *tick;
	bool full;
	char sandbox[64]; /* id */
};

static void
watch_free(struct watch *w)
{
	loop_timer_free(w->tick);
	mem_free(w);
}

static void
on_drained(void *arg)
{
	struct watch *w = arg;

	w->full = false;
}

static void
on_closed(void *arg)
{
	watch_free(arg);
}

/* One look, as a line of JSON and an empty line; a client that does not read misses it. */
static void
tell(struct watch *w)
{
	json_t *o = look(w->core);
	char *text = json_dumps(o, JSON_COMPACT);
	struct buf b;

	buf_init(&b, 4096);
	if (!w->full && buf_printf(&b, "%s\n\n", text) == 0)
		w->full = gw_http_stream_write(w->x, b.data, b.len) == -EAGAIN;
	buf_fini(&b);
	mem_free(text);
	json_decref(o);
}

static void
on_tick(void *arg)
{
	struct watch *w = arg;

	loop_timer_free(w->tick);
	w->tick = NULL;
	if (gw_sandbox_find(w->core, w->sandbox) == NULL) {
		gw_http_stream_end(w->x);
		watch_free(w);
		return;
	}
	w->tick = loop_timer_new(w->core->lp, WATCH_MS, on_tick, w);
	tell(w);
}

static const struct gw_http_ops watch_ops = {.drained = on_drained, .closed = on_closed};

void
gw_osb_metrics_watch(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	struct watch *w;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	gw_http_add_header(x, "Cache-Control", "no-cache");
	gw_http_add_header(x, "X-Accel-Buffering", "no"); /* nginx: pass each event on */
	gw_http_stream_begin(x, 200, "text/event-stream");
	if (strcmp(gw_http_method(x), "HEAD") == 0) { /* it has all, and may ask the next */
		gw_http_stream_end(x);
		return;
	}
	w = mem_new(sizeof(*w));
	w->x = x;
	w->core = core;
	(void)snprintf(w->sandbox, sizeof(w->sandbox), "%s", sb->id.id);
	gw_http_set_ops(x, &watch_ops, w);
	w->tick = loop_timer_new(core->lp, WATCH_MS, on_tick, w);
	tell(w);
}
