/* gateway/metrics.c - see gateway/metrics.h. */
#include "gateway/metrics.h"

#include "gateway/event.h"
#include "kernelmgr/kernel.h"
#include "wire/base/buf.h"
#include "wire/client.h"

int64_t gw_metric[GW_M_N];
int64_t gw_metric_done[GW_DONE_N];

/* clang-format off */
static const struct {
	const char *name;
	const char *type;
	const char *help;
} list[GW_M_N] = {
	[GW_M_CONNECTIONS]         = {"connections",               "gauge",   "Open client connections"},
	[GW_M_WEBSOCKETS]          = {"websockets",                "gauge",   "Open WebSockets"},
	[GW_M_CONNECTIONS_REFUSED] = {"connections_refused_total", "counter", "Connections over max_connections"},
	[GW_M_HTTP_REQUESTS]       = {"http_requests_total",       "counter", "HTTP requests, upgrades included"},
	[GW_M_REFUSED_AUTH]        = {"refused_auth_total",        "counter", "Requests without a good token"},
	[GW_M_REFUSED_ORIGIN]      = {"refused_origin_total",      "counter", "Requests with a foreign Origin or Host"},
	[GW_M_SANDBOXES]           = {"sandboxes",                 "gauge",   "Sandboxes"},
	[GW_M_CONTEXTS]            = {"contexts",                  "gauge",   "Contexts"},
	[GW_M_COMMANDS_RUNNING]    = {"commands_running",          "gauge",   "Commands, also those in the background"},
	[GW_M_EXECUTIONS_QUEUED]   = {"executions_queued",         "gauge",   "Executions waiting in their context"},
	[GW_M_EXECUTIONS_RUNNING]  = {"executions_running",        "gauge",   "Executions in a kernel"},
	[GW_M_EXECUTIONS_KEPT]     = {"executions_kept",           "gauge",   "Finished executions kept for attach"},
	[GW_M_KERNEL_STARTS]       = {"kernel_starts_total",       "counter", "Kernels launched"},
	[GW_M_KERNEL_DEATHS]       = {"kernel_deaths_total",       "counter", "Kernel processes that ended"},
	[GW_M_POOL_KERNELS]        = {"pool_kernels",              "gauge",   "Kernels that were started ahead and wait for a context"},
	[GW_M_POOL_HITS]           = {"pool_hits_total",           "counter", "Contexts that got a kernel of the pool"},
	[GW_M_POOL_MISSES]         = {"pool_misses_total",         "counter", "Contexts that could have, when the pool was empty"},
	[GW_M_ZYGOTES]             = {"zygotes",                   "gauge",   "Processes that fork kernels"},
	[GW_M_MESSAGES_DROPPED]    = {"messages_dropped_total",    "counter", "Kernel messages with a bad signature or bad bytes"},
	[GW_M_OUTPUT_CUT]          = {"output_cut_bytes_total",    "counter", "Output that slow clients missed, of kernels that cannot wait"},
	[GW_M_KERNELS_PAUSED]      = {"kernels_paused",            "gauge",   "Kernels that wait for a slow client"},
	[GW_M_LATE_OUTPUT]         = {"late_output_total",         "counter", "Kernel outputs after their execution was done"},
	[GW_M_EVENTS_BYTES]        = {"events_bytes",              "gauge",   "Bytes held in event logs"},
};
/* clang-format on */

void
gw_metrics_print(struct buf *b)
{
	gw_metric[GW_M_MESSAGES_DROPPED] = (int64_t)wire_client_dropped_all();
	for (unsigned i = 0; i < GW_M_N; i++)
		(void)buf_printf(b,
		                 "# HELP kernelbridge_%s %s\n# TYPE kernelbridge_%s %s\n"
		                 "kernelbridge_%s %lld\n",
		                 list[i].name, list[i].help, list[i].name, list[i].type,
		                 list[i].name, (long long)gw_metric[i]);
	(void)buf_printf(b, "# HELP kernelbridge_executions_total Finished executions\n"
	                    "# TYPE kernelbridge_executions_total counter\n");
	for (unsigned i = 0; i < GW_DONE_N; i++)
		(void)buf_printf(b, "kernelbridge_executions_total{how=\"%s\"} %lld\n",
		                 gw_done_name((enum gw_done)i), (long long)gw_metric_done[i]);
	(void)buf_printf(b, "# HELP kernelbridge_kernels Kernel processes by state, those that "
	                    "wait in the pool included\n"
	                    "# TYPE kernelbridge_kernels gauge\n");
	for (unsigned i = 0; i < KM_DEAD; i++)
		(void)buf_printf(b, "kernelbridge_kernels{state=\"%s\"} %u\n",
		                 km_kstate_name((enum km_kstate)i),
		                 km_kernel_count((enum km_kstate)i));
}
