/* kernelmgr/zygotes.h - the zygotes of one kernelspec in one trust domain: at most one that serves,
 * its successor while that loads, and those that finish what they were asked for.
 *
 * One that ends by itself is replaced: at once if it forked a kernel, else after a second, doubled,
 * up to a minute, with each that could not get ready or fork.
 */
#ifndef KM_ZYGOTES_H
#define KM_ZYGOTES_H

#include <stdbool.h>
#include <stdint.h>

struct km_reaper;
struct km_spec;
struct km_zygote_ask;
struct km_zygotes;
struct loop;

struct km_zygotes_config {
	struct loop *lp; /* borrowed, as all the others; they outlive the zygotes */
	struct km_reaper *reaper;
	const char *prefix;
	char *const *preload;
	uint64_t boot_ms, reply_ms, retry_ms;
};

enum km_zygotes_state {
	KM_ZYGOTES_NONE, /* there is none, and none loads */
	KM_ZYGOTES_LOADING,
	KM_ZYGOTES_SERVING /* km_zygotes_ask() */
};

/* changed(arg) is called, later, when the state has changed, when there is room after -EAGAIN, and
 * when a zygote has ended.  cfg is borrowed for its whole life, spec and domain (NULL: the
 * gateway's own) for the call.  Starts nothing.  Never returns NULL. */
struct km_zygotes *km_zygotes_new(const struct km_zygotes_config *cfg,
                                  const struct km_spec *spec, const char *domain,
                                  void (*changed)(void *arg), void *arg);
/* Kill what runs; nothing is called any more.  Legal in changed; NULL is fine. */
void km_zygotes_free(struct km_zygotes *zs);

/* True if they are for kernels of that name and domain. */
bool km_zygotes_are_named(const struct km_zygotes *zs, const struct km_spec *spec,
                          const char *domain);
/* True if such a zygote would be started from spec as well. */
bool km_zygotes_are_like(const struct km_zygotes *zs, const struct km_spec *spec);
/* The domain; NULL: the gateway's own. */
const char *km_zygotes_domain(const struct km_zygotes *zs);

enum km_zygotes_state km_zygotes_state(const struct km_zygotes *zs);
/* Start one if there is none and none is to be tried later.  Returns true if it did. */
bool km_zygotes_want(struct km_zygotes *zs);
/* Kill what runs and start no more; changed follows for each. */
void km_zygotes_end(struct km_zygotes *zs);

/* As km_zygote_ask(); -EPIPE also where none serves. */
int km_zygotes_ask(struct km_zygotes *zs, struct km_zygote_ask *a, const char *packet, int fd);

/* Processes that run. */
unsigned km_zygotes_count(const struct km_zygotes *zs);

#endif /* KM_ZYGOTES_H */
