/* gateway/seat.h - CORE: the tie between a kernel and who holds it: a context, or the pool.
 *
 * When its holder leaves it, the seat stays with the core until the process is reaped, so no
 * kernel is ever forgotten.  A holder may pass its seat on: that is how a kernel that was
 * started ahead comes to its context.
 */
#ifndef GW_SEAT_H
#define GW_SEAT_H

#include <jansson.h>
#include <stdbool.h>

struct err;
struct gw_core;
struct gw_home;
struct gw_seat;
struct km_kernel;
struct km_spec;
struct list;
struct wire_msg;

/* Called later, never from inside a gw_seat function; the holder may leave the seat in them. */
struct gw_seat_ops {
	/* Its kernel answers, and has been given what gw_seat_assign() said. */
	void (*ready)(void *holder);
	/* gw_seat_assign() failed, or the kernel died before it was done: why is a phrase, lent
	 * until return.  The seat is the holder's no more.  NULL for one that never assigns. */
	void (*refused)(void *holder, const char *why);
	/* The kernel is gone, see kernelmgr/kernel.h; the seat goes when this returns. */
	void (*died)(void *holder, bool started, const char *why);
	/* Output that belongs to no live request.  May be NULL. */
	void (*stray)(void *holder, const struct wire_msg *m);
};

struct gw_seat_plan {
	struct km_spec *spec;          /* the seat's, if it is made */
	const char *cwd;               /* absolute */
	const json_t *env;             /* object of strings or NULL; borrowed for the call */
	const struct gw_seat_ops *ops; /* static */
	void *holder;
};

/* Launch a kernel.  Returns 0 with *ret the holder's, -EBUSY (so many kernels still end that
 * there may be no more), or what km_kernel_start() does, with err. */
int gw_seat_new(struct gw_core *core, const struct gw_seat_plan *plan, struct gw_seat **ret,
                struct err *err);

/* Another holder from now on, ready or not. */
void gw_seat_pass(struct gw_seat *seat, const struct gw_seat_ops *ops, void *holder);
/* Give its ready kernel, which was started ahead, a directory and variables; ready or refused
 * follows. */
void gw_seat_assign(struct gw_seat *seat, const char *cwd, json_t *env);
/* It holds home until the kernel is gone, whose directory may be there.  Once. */
void gw_seat_hold_home(struct gw_seat *seat, struct gw_home *home);

/* Stop the kernel in the background; nobody is told any more.  *seat becomes NULL. */
void gw_seat_leave(struct gw_seat **seat);
/* Kill and release it at once, whoever holds it. */
void gw_seat_free(struct gw_seat *seat);

/* The kernel, in any state; borrowed. */
struct km_kernel *gw_seat_kernel(const struct gw_seat *seat);
/* The same if it answers and is its holder's for good, else NULL. */
struct km_kernel *gw_seat_answering(const struct gw_seat *seat);
/* The name of the kernel's state, "starting" until ready is called. */
const char *gw_seat_state(const struct gw_seat *seat);
const struct km_spec *gw_seat_spec(const struct gw_seat *seat);
/* What is at a node of the core's seats. */
struct gw_seat *gw_seat_at(struct list *node);

#endif /* GW_SEAT_H */
