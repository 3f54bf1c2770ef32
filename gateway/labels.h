/* gateway/labels.h - CORE: finding sandboxes by their labels. */
#ifndef GW_LABELS_H
#define GW_LABELS_H

#include <jansson.h>
#include <stdbool.h>

/* Read "a=b&c=d", whose names and values are percent-encoded that many times more than the query
 * they came in (the first time '+' is a space), into an object of strings owned by the caller.
 * What is no encoding stays as it is; what is not UTF-8 is left out. */
json_t *gw_labels_parse(const char *text, unsigned times);

/* True if labels have all that are wanted. */
bool gw_labels_match(const json_t *labels, const json_t *wanted);

#endif /* GW_LABELS_H */
