/* kernelmgr/zygote_msg.h - what gateway and zygote say to each other: launch_zygote.h.  Pure. */
#ifndef KM_ZYGOTE_MSG_H
#define KM_ZYGOTE_MSG_H

#include <stddef.h>
#include <sys/types.h>

#define KM_ZYGOTE_MSG_MAX 16384 /* of what a zygote says */

enum km_zygote_word { KM_ZYGOTE_READY, KM_ZYGOTE_FORKED, KM_ZYGOTE_REFUSED };

struct km_zygote_msg {
	enum km_zygote_word word;
	unsigned n;    /* FORKED, REFUSED: the request's, never 0 */
	pid_t pid;     /* FORKED: > 1 */
	char why[200]; /* REFUSED: as much of it as fits */
};

/* Returns 0, or -EBADMSG: no packet of a zygote. */
int km_zygote_msg_parse(const char *bytes, size_t len, struct km_zygote_msg *ret);

/* What to fork; everything is borrowed. */
struct km_zygote_fork {
	unsigned n;
	const char *connection_file, *kernel_id, *cwd;
	char *const *env; /* "NAME=value", NULL-terminated: all of it */
};

/* The packet, owned by the caller (mem_free()); NULL: something in it is not UTF-8. */
char *km_zygote_msg_fork(const struct km_zygote_fork *what);

#endif /* KM_ZYGOTE_MSG_H */
