/* gateway/cmdlog.h - CORE: the file that a command in the background prints to.
 *
 * It is written in threads, one write at a time, so that a slow disk makes the command wait and
 * nothing else.
 */
#ifndef GW_CMDLOG_H
#define GW_CMDLOG_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct gw_cmdlog;
struct loop;

struct gw_cmdlog_ops {
	/* Room again, after -EAGAIN. */
	void (*drained)(void *arg);
	/* All is written, after _end(); the last call, once. */
	void (*closed)(void *arg);
};

/* Make the file path, 0600, for at most max bytes and a last line that says that there was more.
 * Returns it, owned by the caller, or NULL with err: the system refused. */
struct gw_cmdlog *gw_cmdlog_new(struct loop *lp, const char *path, uint64_t max,
                                const struct gw_cmdlog_ops *ops, void *arg, struct err *err);

/* Append.  Returns 0, or -EAGAIN: taken, but no more until drained.  What the file cannot hold (its
 * ceiling, a full disk) is dropped. */
int gw_cmdlog_write(struct gw_cmdlog *l, const char *data, size_t len);

/* No more will be written. */
void gw_cmdlog_end(struct gw_cmdlog *l);

/* Bytes that are in the file. */
uint64_t gw_cmdlog_bytes(const struct gw_cmdlog *l);

/* Forget it; the file stays.  NULL is fine. */
void gw_cmdlog_free(struct gw_cmdlog *l);

/* Remove a file, in a thread. */
void gw_cmdlog_remove(struct loop *lp, const char *path);

#endif /* GW_CMDLOG_H */
