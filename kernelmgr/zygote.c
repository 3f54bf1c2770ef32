/* kernelmgr/zygote.c - see kernelmgr/zygote.h.
 *
 * There is one way out: its process is reaped.  Whatever is wrong kills it, and what it answered
 * before is read then, so that of each request it is known whether it was answered.
 */
#include "kernelmgr/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernelmgr/cause.h"
#include "kernelmgr/cmdline.h"
#include "kernelmgr/env.h"
#include "kernelmgr/launch.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/proc.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spec.h"
#include "kernelmgr/tail.h"
#include "kernelmgr/zygote_msg.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

#define ID_LEN      8
#define TURN_MAX    64 /* packets read in a turn */
#define LOOK_EVERY  64 /* forks between looks at its memory */
#define BLOAT_TIMES 2
#define HANGUP_MS   1000 /* from the socket's end to its own */

struct km_zygote {
	struct log_id id;
	struct loop *lp; /* borrowed */
	pid_t pid;       /* also its process group; 0 once reaped */
	struct km_watch *watch;
	struct km_tail *tail;
	int sock; /* -1: what it says is not heard any more */
	struct loop_fd *on_sock;
	bool blocked;                /* on_sock waits for room too */
	struct list asked;           /* km_zygote_ask */
	struct loop_timer *deadline; /* pending while it owes something */
	uint64_t reply_ms, born_ms;
	bool ready;
	unsigned forks_n;
	size_t ready_bytes; /* what it took when it was ready */
	bool bloated, retiring;
	char why[80]; /* why it was killed; "": it was not */
	const struct km_zygote_ops *ops;
	void *arg;
};

static void
unwatch(struct km_zygote *z)
{
	loop_fd_free(z->on_sock);
	z->on_sock = NULL;
}

static void
close_sock(struct km_zygote *z)
{
	unwatch(z);
	if (z->sock >= 0)
		(void)close(z->sock);
	z->sock = -1;
}

static void
fail(struct km_zygote *z, const char *why)
{
	if (z->pid == 0 || z->why[0] != '\0')
		return;
	(void)snprintf(z->why, sizeof(z->why), "%s", why);
	unwatch(z); /* what it says until it is dead is read then */
	(void)killpg(z->pid, SIGKILL);
}

void
km_zygote_kill(struct km_zygote *z)
{
	fail(z, "not needed any more");
}

void
km_zygote_retire(struct km_zygote *z)
{
	z->retiring = true;
	if (list_empty(&z->asked))
		km_zygote_kill(z);
}

/* --- what it owes --------------------------------------------------------------------------- */

static void
on_late(void *arg)
{
	struct km_zygote *z = arg;

	if (z->on_sock == NULL)
		fail(z, "it closed its socket");
	else
		fail(z, z->ready ? "it did not answer" : "it did not get ready");
}

/* From now on it has ms to say something; 0: it owes nothing. */
static void
set_deadline(struct km_zygote *z, uint64_t ms)
{
	loop_timer_free(z->deadline);
	z->deadline = ms > 0 ? loop_timer_new(z->lp, ms, on_late, z) : NULL;
}

static void
look_at_memory(struct km_zygote *z)
{
	if (z->pid == 0 || z->bloated || z->forks_n % LOOK_EVERY != 0)
		return;
	z->bloated = km_proc_resident(z->pid) > BLOAT_TIMES * z->ready_bytes;
	if (z->bloated)
		z->ops->bloated(z->arg);
}

static void
take_ready(struct km_zygote *z)
{
	z->ready = true;
	z->ready_bytes = z->pid != 0 ? km_proc_resident(z->pid) : 0;
	set_deadline(z, 0);
	log_info(&z->id, "ready after_ms=%llu bytes=%zu",
	         (unsigned long long)(loop_now_ms(z->lp) - z->born_ms), z->ready_bytes);
	z->ops->ready(z->arg);
}

static struct km_zygote_ask *
find_ask(const struct km_zygote *z, unsigned n)
{
	struct list *it, *tmp;

	list_each (it, tmp, &z->asked) {
		struct km_zygote_ask *a = list_entry(it, struct km_zygote_ask, node);

		if (a->n == n)
			return a;
	}
	return NULL;
}

static void
take_answer(struct km_zygote *z, struct km_zygote_ask *a, const struct km_zygote_msg *m)
{
	list_del(&a->node);
	set_deadline(z, list_empty(&z->asked) ? 0 : z->reply_ms);
	if (m->word == KM_ZYGOTE_REFUSED) {
		a->fn(a->arg, -EIO, 0, m->why);
		return;
	}
	z->forks_n++;
	a->fn(a->arg, 0, m->pid, "");
	look_at_memory(z);
}

/* Returns false when it breaks the protocol. */
static bool
take(struct km_zygote *z, const char *bytes, size_t len)
{
	struct km_zygote_ask *a;
	struct km_zygote_msg m;

	if (km_zygote_msg_parse(bytes, len, &m) != 0 || (m.word == KM_ZYGOTE_READY) == z->ready)
		return false;
	if (m.word == KM_ZYGOTE_READY) {
		take_ready(z);
		return true;
	}
	a = find_ask(z, m.n);
	if (a == NULL)
		return m.word == KM_ZYGOTE_REFUSED; /* its kernel answered, then died */
	take_answer(z, a, &m);
	if (z->retiring)
		km_zygote_retire(z);
	return true;
}

/* One that ends before it has read all that it was asked is told of once, before what it has
 * answered (Linux, unix_release_sock()). */
static ssize_t
receive(int sock, char *bytes, size_t size)
{
	ssize_t n = recv(sock, bytes, size, MSG_DONTWAIT | MSG_TRUNC);

	return n < 0 && errno == ECONNRESET ? recv(sock, bytes, size, MSG_DONTWAIT | MSG_TRUNC)
	                                    : n;
}

/* Read one packet.  Returns false when there is no more for now, or for ever. */
static bool
read_once(struct km_zygote *z)
{
	char bytes[KM_ZYGOTE_MSG_MAX];
	ssize_t n = receive(z->sock, bytes, sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n > 0 && (size_t)n <= sizeof(bytes) && take(z, bytes, (size_t)n))
		return z->sock >= 0;
	if (n <= 0) { /* most likely it has ended: how is known soon */
		unwatch(z);
		set_deadline(z, z->pid != 0 ? HANGUP_MS : 0);
		return false;
	}
	fail(z, "it broke the protocol");
	close_sock(z); /* nothing that follows can be trusted */
	return false;
}

static void watch_sock(struct km_zygote *z);

static void
on_sock(void *arg, unsigned events)
{
	struct km_zygote *z = arg;

	if ((events & LOOP_WRITE) != 0 && z->blocked) {
		z->blocked = false;
		watch_sock(z);
		z->ops->room(z->arg);
	}
	for (int i = 0; i < TURN_MAX && z->sock >= 0 && z->on_sock != NULL && read_once(z); i++)
		;
}

static void
watch_sock(struct km_zygote *z)
{
	unsigned events = LOOP_READ | (z->blocked ? LOOP_WRITE : 0U);

	loop_fd_free(z->on_sock);
	z->on_sock = loop_fd_new(z->lp, z->sock, events, on_sock, z);
	if (z->on_sock == NULL)
		fail(z, "its socket cannot be watched");
}

/* --- its end -------------------------------------------------------------------------------- */

static void
on_reaped(void *arg, int status)
{
	struct km_zygote *z = arg;
	char why[KM_CAUSE_MAX];

	km_cause_exit(km_launch_how(status), why);
	if (z->why[0] != '\0')
		(void)snprintf(why, sizeof(why), "%s", z->why);
	z->pid = 0;
	if (z->sock >= 0)
		(void)shutdown(z->sock, SHUT_RD); /* no kernel says that it is there, unheard */
	while (z->sock >= 0 && read_once(z))
		;
	close_sock(z);
	set_deadline(z, 0);
	km_tail_close(z->tail);
	km_cause_quote(why, km_tail_text(z->tail));
	while (!list_empty(&z->asked)) {
		struct km_zygote_ask *a = list_entry(z->asked.next, struct km_zygote_ask, node);

		list_del(&a->node);
		a->fn(a->arg, -EPIPE, 0, why);
	}
	z->ops->ended(z->arg, why); /* frees z */
}

void
km_zygote_free(struct km_zygote *z)
{
	if (z == NULL)
		return;
	if (z->pid != 0)
		(void)killpg(z->pid, SIGKILL);
	while (!list_empty(&z->asked))
		list_del(z->asked.next);
	km_watch_free(z->watch); /* the reaper does the rest */
	close_sock(z);
	set_deadline(z, 0);
	km_tail_free(z->tail);
	loop_later(z->lp, mem_free, z); /* on_sock() may be on the stack */
}

/* --- its start ------------------------------------------------------------------------------ */

/* argv with preload after it, in one array: the words stay whose they are. */
static char **
join(char *const *argv, char *const *preload)
{
	size_t n = 0, more = 0;
	char **ret;

	while (argv[n] != NULL)
		n++;
	while (preload != NULL && preload[more] != NULL)
		more++;
	ret = mem_new((n + more + 1) * sizeof(*ret));
	for (size_t i = 0; i < n; i++)
		ret[i] = argv[i];
	for (size_t i = 0; i < more; i++)
		ret[n + i] = preload[i];
	return ret;
}

static int
open_sock(struct km_zygote *z, int *ret_theirs, struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return err_set(err, -EBUSY, "no socket for a zygote: %s",
		               strerrordesc_np(errno));
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK); /* our end only */
	z->sock = fds[0];
	*ret_theirs = fds[1];
	return 0;
}

static int
spawn(struct km_zygote *z, const struct km_zygote_config *cfg, struct err *err)
{
	const struct km_launch what = {
	    .spec = cfg->spec, .connection_file = "", .kernel_id = z->id.id, .cwd = "/"};
	char **words = join(cfg->spec->zygote, cfg->preload), **argv = NULL;
	struct km_env *env = NULL;
	struct km_launched made;
	int theirs = -1;
	int rc = km_launch_env(&what, &env, err);

	if (rc == 0)
		rc = km_launch_argv(words, &what, cfg->prefix, env, &argv, err);
	if (rc == 0)
		rc = open_sock(z, &theirs, err);
	if (rc == 0)
		rc = km_launch_spawn(&what, argv, env, theirs, &made, err);
	if (theirs >= 0)
		(void)close(theirs);
	if (rc == 0) {
		z->pid = made.pid;
		z->tail = km_tail_new(cfg->lp, made.out, NULL, NULL);
	}
	km_cmdline_free(argv);
	km_env_free(env);
	mem_free(words);
	return rc;
}

int
km_zygote_new(const struct km_zygote_config *cfg, const struct km_zygote_ops *ops, void *arg,
              struct km_zygote **ret, struct err *err)
{
	struct km_zygote *z = mem_new(sizeof(*z));
	char uuid[WIRE_UUID_LEN + 1];
	int rc;

	wire_uuid(uuid);
	z->id.kind = "zygote";
	(void)snprintf(z->id.id, sizeof(z->id.id), "%.*s", ID_LEN, uuid);
	z->lp = cfg->lp;
	z->sock = -1;
	z->reply_ms = cfg->reply_ms;
	z->born_ms = loop_now_ms(cfg->lp);
	z->ops = ops;
	z->arg = arg;
	list_init(&z->asked);
	rc = spawn(z, cfg, err);
	if (rc != 0) {
		km_zygote_free(z);
		return rc;
	}
	z->watch = km_reaper_watch(cfg->reaper, z->pid, z->id.id, on_reaped, z);
	set_deadline(z, cfg->boot_ms);
	watch_sock(z);
	log_info(&z->id, "started spec=%s pid=%d", cfg->spec->name, (int)z->pid);
	*ret = z;
	return 0;
}

/* --- requests ------------------------------------------------------------------------------- */

static int
send_packet(int sock, const char *packet, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	/* sendmsg(2) changes nothing of it */
	struct iovec iov = {.iov_base = (void *)(uintptr_t)packet, .iov_len = strlen(packet)};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &control,
	                   .msg_controllen = sizeof(control.room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : -errno;
}

int
km_zygote_ask(struct km_zygote *z, struct km_zygote_ask *a, const char *packet, int fd)
{
	int rc;

	if (z->on_sock == NULL || !z->ready)
		return -EPIPE;
	rc = z->blocked ? -EAGAIN : send_packet(z->sock, packet, fd);
	switch (rc) {
	case 0:
		if (list_empty(&z->asked))
			set_deadline(z, z->reply_ms);
		list_add_before(&z->asked, &a->node);
		return 0;
	case -EMSGSIZE:
		return rc;
	case -EAGAIN:
	case -EINTR:
	case -ENOBUFS:
	case -ENOMEM:
	case -ETOOMANYREFS: /* descriptors in flight */
		z->blocked = true;
		watch_sock(z);
		return -EAGAIN;
	default:
		return -EPIPE; /* its end is on its way */
	}
}

unsigned
km_zygote_forks(const struct km_zygote *z)
{
	return z->forks_n;
}

const struct log_id *
km_zygote_id(const struct km_zygote *z)
{
	return &z->id;
}
