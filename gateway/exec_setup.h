/* gateway/exec_setup.h - CORE: what a kernel is told once, before the first run that it gets.
 *
 * A kernel that drops output at its send mark can sometimes be made to wait from inside: a stock
 * ipykernel by one socket option.  Where its kernelspec does not say `waits` and the language table
 * has `setup`, that code is run as a silent request; where it succeeds, the kernel waits.  Its
 * failure says nothing: then output is cut as exec_cut.h tells.
 */
#ifndef GW_EXEC_SETUP_H
#define GW_EXEC_SETUP_H

#include <stdbool.h>

struct gw_exec;

/* True if ex's kernel has not been told yet. */
bool gw_exec_setup_needed(const struct gw_exec *ex);

/* Tell it, then gw_exec_enter(). */
void gw_exec_setup(struct gw_exec *ex);

#endif /* GW_EXEC_SETUP_H */
