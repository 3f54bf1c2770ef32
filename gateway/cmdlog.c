/* gateway/cmdlog.c - see gateway/cmdlog.h. */
#include "gateway/cmdlog.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define HIGH_BYTES 262144 /* waiting to be written: more makes the command wait */
#define ROOM_BYTES (HIGH_BYTES + 1048576)

/* One write, in a thread. */
struct job {
	struct gw_cmdlog *l; /* NULL: its owner has gone, fd is the job's */
	int fd;
	struct buf bytes;
	size_t done;
	int e;
};

struct gw_cmdlog {
	struct loop *lp; /* borrowed */
	int fd;
	uint64_t max, taken, written;
	struct buf next; /* to be written after job */
	struct job *job; /* running, or NULL */
	bool over;       /* the ceiling was met */
	bool failed;     /* the file takes no more */
	bool waits;      /* drained is due */
	bool ending;     /* closed is due */
	struct loop_task close;
	const struct gw_cmdlog_ops *ops;
	void *arg;
};

static void go_on(struct gw_cmdlog *l);

static void
job_free(struct job *job)
{
	buf_fini(&job->bytes);
	mem_free(job);
}

/* In a thread. */
static void
write_job(void *arg)
{
	struct job *job = arg;

	while (job->done < job->bytes.len && job->e == 0) {
		ssize_t n =
		    write(job->fd, job->bytes.data + job->done, job->bytes.len - job->done);

		if (n > 0)
			job->done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			job->e = n == 0 ? EIO : errno;
	}
}

static void
on_written(void *arg)
{
	struct job *job = arg;
	struct gw_cmdlog *l = job->l;

	if (l == NULL) {
		(void)close(job->fd);
	} else {
		l->job = NULL;
		l->written += job->done;
		if (job->e != 0) {
			l->failed = true;
			buf_fini(&l->next);
			log_warn(NULL, "cannot write a command's log: %s",
			         strerrordesc_np(job->e));
		}
	}
	job_free(job);
	if (l != NULL)
		go_on(l);
}

static void
start_job(struct gw_cmdlog *l)
{
	struct job *job = mem_new(sizeof(*job));

	job->l = l;
	job->fd = l->fd;
	job->bytes = l->next; /* moved */
	buf_init(&l->next, ROOM_BYTES);
	l->job = job;
	loop_work(l->lp, write_job, on_written, job);
}

static void
go_on(struct gw_cmdlog *l)
{
	if (l->job == NULL && l->next.len > 0)
		start_job(l);
	if (l->job == NULL && l->ending)
		loop_task_post(&l->close);
	if (l->waits && l->next.len < HIGH_BYTES) {
		l->waits = false;
		l->ops->drained(l->arg); /* may free l */
	}
}

static void
on_close(void *arg)
{
	struct gw_cmdlog *l = arg;

	l->ops->closed(l->arg);
}

struct gw_cmdlog *
gw_cmdlog_new(struct loop *lp, const char *path, uint64_t max, const struct gw_cmdlog_ops *ops,
              void *arg, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	struct gw_cmdlog *l;

	if (fd < 0) {
		(void)err_set(err, -EIO, "cannot make the command's log: %s",
		              strerrordesc_np(errno));
		return NULL;
	}
	l = mem_new(sizeof(*l));
	l->lp = lp;
	l->fd = fd;
	l->max = max;
	l->ops = ops;
	l->arg = arg;
	buf_init(&l->next, ROOM_BYTES);
	loop_task_init(&l->close, lp, on_close, l);
	return l;
}

int
gw_cmdlog_write(struct gw_cmdlog *l, const char *data, size_t len)
{
	uint64_t room = l->max - l->taken;
	int rc = 0;

	assert(!l->ending);
	if (l->over || l->failed)
		return 0;
	if (len > room) {
		l->over = true;
		len = (size_t)room;
	}
	l->taken += len;
	rc = buf_append(&l->next, data, len);
	if (rc == 0 && l->over)
		rc = buf_printf(&l->next,
		                "\n[the log is full: only the first %llu bytes are kept]\n",
		                (unsigned long long)l->max);
	l->failed = rc != 0; /* no memory: the reader does not wait for -EAGAIN */
	if (l->job == NULL && l->next.len > 0)
		start_job(l);
	l->waits = l->next.len >= HIGH_BYTES;
	return l->waits ? -EAGAIN : 0;
}

void
gw_cmdlog_end(struct gw_cmdlog *l)
{
	l->ending = true;
	go_on(l);
}

uint64_t
gw_cmdlog_bytes(const struct gw_cmdlog *l)
{
	return l->written;
}

void
gw_cmdlog_free(struct gw_cmdlog *l)
{
	if (l == NULL)
		return;
	if (l->job != NULL)
		l->job->l = NULL; /* and fd is its own now */
	else
		(void)close(l->fd);
	loop_task_cancel(&l->close);
	buf_fini(&l->next);
	mem_free(l);
}

static void
unlink_path(void *path)
{
	(void)unlink(path);
}

void
gw_cmdlog_remove(struct loop *lp, const char *path)
{
	loop_work(lp, unlink_path, mem_free, mem_strdup(path));
}
