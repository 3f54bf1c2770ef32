/* gateway/run.h - EDGE: `kernelbridge run FILE|-`: a client of a running gateway.
 *
 * Talks the native API (docs/native-api.md) over HTTP: the execution's events come as one
 * stream, so a reader of our stdout that is slow makes the kernel wait.
 */
#ifndef GW_RUN_H
#define GW_RUN_H

/* argv after the verb `run`.  Returns the exit status: 0, 1 (the code raised, or did not end
 * by itself), 2 (usage), 3 (no gateway, or it refused), 130 (interrupted by Ctrl-C). */
int gw_run_main(int argc, char **argv);

#endif /* GW_RUN_H */
