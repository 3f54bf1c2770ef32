/* kernelmgr/cause.h - why a kernel ended, as a phrase for a client. */
#ifndef KM_CAUSE_H
#define KM_CAUSE_H

#include <stddef.h>

#define KM_CAUSE_MAX 512

/* Write the phrase for how (struct km_launcher_ops, km_exited_fn): "exit code 3", "signal
 * 11", "the process is gone". */
void km_cause_exit(int how, char out[KM_CAUSE_MAX]);

/* Append ": " and the end of tail, a process's stderr: its last lines in one, valid UTF-8,
 * without terminal sequences, starting with "... " if it was cut.  Nothing is appended when
 * it is empty. */
void km_cause_quote(char out[KM_CAUSE_MAX], const char *tail);

#endif /* KM_CAUSE_H */
