/* gateway/time.h - CORE: times as clients write them. */
#ifndef GW_TIME_H
#define GW_TIME_H

#include <stdint.h>

/* Milliseconds since 1970 of an RFC 3339 time, or -1.  A '+' of the offset may have become a
 * space, as query strings decode it; finer fractions are cut. */
int64_t gw_time_parse(const char *text);

#endif /* GW_TIME_H */
