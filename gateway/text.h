/* gateway/text.h - CORE: making a kernel's text fit for plain readers. */
#ifndef GW_TEXT_H
#define GW_TEXT_H

#include <jansson.h>

/* The lines of a traceback list as one string, without ANSI escapes, each line ended by one newline; owned
 * by the caller.  NULL or empty gives "". */
char *gw_text_traceback(const json_t *lines);

#endif /* GW_TEXT_H */
