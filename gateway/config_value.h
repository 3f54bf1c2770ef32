/* gateway/config_value.h - CORE: the values of settings as people write them.  Pure. */
#ifndef GW_CONFIG_VALUE_H
#define GW_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* A list is a NULL-terminated array of strings, or NULL; it and its items are owned by its
 * holder. */
void gw_config_value_free_list(char **l);
/* Append a copy of ptr[0..len). */
void gw_config_value_push(char ***l, const char *ptr, size_t len);
/* Append what is between the commas and blanks of value; *l is not NULL afterwards. */
void gw_config_value_split(char ***l, const char *value);

/* True if value is one of the words between the bars of choices. */
bool gw_config_value_is_choice(const char *choices, const char *value);

/* Set *ret to a whole number from min to max.  Returns 0, or -EINVAL with err filled, which calls
 * the value by name. */
int gw_config_value_number(const char *name, const char *value, uint64_t min, uint64_t max,
                           uint64_t *ret, struct err *err);

/* A path with ~/ or ${NAME:-default} at its start replaced from the environment; owned by the
 * caller. */
char *gw_config_value_expand(const char *value);

#endif /* GW_CONFIG_VALUE_H */
