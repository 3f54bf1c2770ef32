/* gateway/metrics.h - counters and gauges from one list, as Prometheus text.
 *
 * One process, one loop, so they are plain numbers in a table: gw_metric[GW_M_X]++.
 */
#ifndef GW_METRICS_H
#define GW_METRICS_H

#include <stdint.h>

struct buf;

enum gw_metric_id {
	GW_M_CONNECTIONS,         /* gauge */
	GW_M_WEBSOCKETS,          /* gauge */
	GW_M_CONNECTIONS_REFUSED, /* counter */
	GW_M_HTTP_REQUESTS,       /* counter */
	GW_M_REFUSED_AUTH,        /* counter */
	GW_M_REFUSED_ORIGIN,      /* counter */
	GW_M_SANDBOXES,           /* gauge */
	GW_M_CONTEXTS,            /* gauge */
	GW_M_COMMANDS_RUNNING,    /* gauge */
	GW_M_EXECUTIONS_QUEUED,   /* gauge */
	GW_M_EXECUTIONS_RUNNING,  /* gauge */
	GW_M_EXECUTIONS_KEPT,     /* gauge: finished, kept for attach */
	GW_M_KERNEL_STARTS,       /* counter */
	GW_M_KERNEL_DEATHS,       /* counter */
	GW_M_POOL_KERNELS,        /* gauge: ready, waiting for a context */
	GW_M_POOL_HITS,           /* counter: contexts that got one of them */
	GW_M_POOL_MISSES,         /* counter: that could have, but none was there */
	GW_M_ZYGOTES,             /* gauge */
	GW_M_MESSAGES_DROPPED,    /* counter: bad signature or bytes */
	GW_M_OUTPUT_CUT,          /* counter: bytes that slow clients missed */
	GW_M_KERNELS_PAUSED,      /* gauge: they wait for a slow client */
	GW_M_LATE_OUTPUT,         /* counter: output after its execution was done */
	GW_M_EVENTS_BYTES,        /* gauge: held in event logs */
	GW_M_N
};

extern int64_t gw_metric[GW_M_N];
/* Finished executions by enum gw_done. */
extern int64_t gw_metric_done[];

/* Append Prometheus text format 0.0.4 of all of them. */
void gw_metrics_print(struct buf *b);

#endif /* GW_METRICS_H */
