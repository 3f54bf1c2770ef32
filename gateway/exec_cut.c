/* gateway/exec_cut.c - see gateway/exec_cut.h.
 *
 * The marker is logged when something else is, or when output goes on: until then it would grow,
 * and what a sink has taken cannot.
 */
#include "gateway/exec_cut.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/core.h"
#include "gateway/exec.h"
#include "gateway/exec_feed.h"
#include "gateway/metrics.h"
#include "kernelmgr/kernel.h"

/* What sinks have not taken of earlier runs of its context. */
static size_t
older_bytes(const struct gw_exec *ex)
{
	const struct list *it;
	size_t sum = 0;

	for (it = ex->core->kept.next; it != &ex->core->kept; it = it->next) {
		const struct gw_exec *old = list_entry(it, struct gw_exec, node);

		if (!list_empty(&old->sinks) && strcmp(old->ctx_id.id, ex->ctx_id.id) == 0)
			sum += gw_exec_behind(old);
	}
	return sum;
}

/* A client that leaves runs unread and sends more code gets no new room with each. */
static size_t
limit(const struct gw_exec *ex)
{
	size_t max = ex->core->cfg->kernel_buffer_bytes;
	size_t least = ex->core->cfg->event_high_bytes;

	if (least > max)
		least = max;
	return ex->older_bytes > max - least ? least : max - ex->older_bytes;
}

bool
gw_exec_cut_drops(struct gw_exec *ex, size_t bytes)
{
	if (km_kernel_waits(ex->kernel))
		return false;
	if (!ex->drops)
		ex->drops = gw_exec_behind(ex) > limit(ex);
	if (!ex->drops)
		return false;
	ex->cut_bytes += bytes;
	ex->cut_messages++;
	gw_metric[GW_M_OUTPUT_CUT] += (int64_t)bytes;
	return true;
}

void
gw_exec_cut_balance(struct gw_exec *ex)
{
	size_t behind = gw_exec_behind(ex);

	if (ex->kernel == NULL || km_kernel_waits(ex->kernel))
		return;
	ex->older_bytes = behind > 0 ? older_bytes(ex) : 0;
	if (!ex->drops || behind > limit(ex) / 2)
		return;
	ex->drops = false;
	gw_exec_cut_mark(ex);
}

void
gw_exec_cut_mark(struct gw_exec *ex)
{
	struct gw_event ev = {
	    .kind = GW_EV_CUT, .cut_bytes = ex->cut_bytes, .cut_messages = ex->cut_messages};
	char text[160];
	int n;

	if (ex->cut_messages == 0)
		return;
	n = snprintf(text, sizeof(text),
	             "%s[kernelbridge: %" PRIu64 " bytes of output were cut here, as they were "
	             "not read in time (kernel_buffer_bytes)]\n",
	             ex->in_line ? "\n" : "", ex->cut_bytes);
	ev.text = (struct wire_slice){text, (size_t)n};
	ex->in_line = false;
	ex->cut_bytes = ex->cut_messages = 0;
	gw_exec_append(ex, &ev);
}
