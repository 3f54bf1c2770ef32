/* gateway/dialects/native_results.h - the results of a run in one array, up to a ceiling.  Pure. */
#ifndef GW_NATIVE_RESULTS_H
#define GW_NATIVE_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "wire/base/list.h"
#include "wire/base/table.h"

struct gw_event;

/* Embedded. */
struct gw_native_results {
	json_t *array;
	size_t bytes, max; /* about what the array takes, and may */
	bool truncated;    /* something did not fit, and is missing */
	struct table ids;  /* of struct shown, by display id */
	struct list shown;
};

void gw_native_results_init(struct gw_native_results *r, size_t max);
void gw_native_results_fini(struct gw_native_results *r);

/* Take note of a DISPLAY, a RESULT or an UPDATE, which replaces every earlier bundle with its
 * display id.  One that does not fit is dropped. */
void gw_native_results_add(struct gw_native_results *r, const struct gw_event *ev);

/* The array with all updates in it, owned by the caller; r is to be freed then. */
json_t *gw_native_results_take(struct gw_native_results *r);

#endif /* GW_NATIVE_RESULTS_H */
