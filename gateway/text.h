/* gateway/text.h - CORE: a kernel's text made fit for plain readers, and a client's numbers. */
#ifndef GW_TEXT_H
#define GW_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/sign.h" /* struct wire_slice */

struct err;

/* The lines of a traceback list as one string, without ANSI escapes, each line ended by one
 * newline; owned by the caller.  NULL or empty gives "". */
char *gw_text_traceback(const json_t *lines);
/* The same, with nothing put between them. */
char *gw_text_joined(const json_t *lines);

/* A JSON string of text (valid UTF-8), owned by the caller.  Of a longer text it is the two
 * ends, at most max bytes in all, and between them a line that says how many bytes were left
 * out. */
json_t *gw_text_ends(struct wire_slice text, size_t max);

/* A request has no more values in its JSON, with all its variables (wire/json.h). */
#define GW_TEXT_VALUES_MAX 65536U

/* Read text as a number: decimal digits, nothing else.  Returns 0, or -EINVAL with err saying
 * "expected a number from min to max" (or "from min on", where max is as large as can be). */
int gw_text_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
                   struct err *err);

#endif /* GW_TEXT_H */
