/* gateway/event.c - see gateway/event.h. */
#include "gateway/event.h"

#include <assert.h>

static const char *const event_names[GW_EV_N] = {
    [GW_EV_ACCEPTED] = "accepted", [GW_EV_STARTED] = "started", [GW_EV_STDOUT] = "stdout",
    [GW_EV_STDERR] = "stderr",     [GW_EV_DISPLAY] = "display", [GW_EV_UPDATE] = "update",
    [GW_EV_CLEAR] = "clear",       [GW_EV_RESULT] = "result",   [GW_EV_ERROR] = "error",
    [GW_EV_INPUT] = "input",       [GW_EV_CUT] = "cut",         [GW_EV_DONE] = "done",
};

static const char *const done_names[GW_DONE_N] = {
    [GW_DONE_OK] = "ok",           [GW_DONE_ERROR] = "error",
    [GW_DONE_ABORTED] = "aborted", [GW_DONE_INTERRUPTED] = "interrupted",
    [GW_DONE_TIMEOUT] = "timeout", [GW_DONE_KERNEL_DIED] = "kernel_died",
    [GW_DONE_OVERRUN] = "overrun",
};

const char *
gw_event_name(enum gw_event_kind kind)
{
	assert((unsigned)kind < GW_EV_N);
	return event_names[kind];
}

const char *
gw_done_name(enum gw_done how)
{
	assert((unsigned)how < GW_DONE_N);
	return done_names[how];
}
