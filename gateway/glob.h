/* gateway/glob.h - CORE: patterns of names: which paths do they match.  Pure.
 *
 *	*       any run of characters, but no slash      ?       one character, but no slash
 *	[a-z]   one of these; [!a-z] and [^a-z]: none    {a,b}   one or the other
 *	**      as a whole part: any number of folders   \x      x itself
 *
 * A name that begins with a dot is matched like any other.  A character is one of UTF-8; a byte
 * that belongs to none counts as one.
 */
#ifndef GW_GLOB_H
#define GW_GLOB_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct gw_glob;

#define GW_GLOB_MAX       1024 /* bytes of a pattern */
#define GW_GLOB_FORMS_MAX 256  /* what its {,} spell out */

/* Returns 0 with *ret owned by the caller, -EINVAL (empty, or something is not closed), or
 * -EMSGSIZE (too long, too many forms). */
int gw_glob_new(const char *pattern, struct gw_glob **ret, struct err *err);
void gw_glob_free(struct gw_glob *g); /* NULL is fine */

/* Whether g matches path ("a/b", relative): a form with a slash is matched with all of it, one
 * without with its last name. */
bool gw_glob_match(struct gw_glob *g, const char *path);

/* How many steps all matches took so far, a class being as many as it is long: less than twice the
 * length of form times length of path times its folders for each. */
uint64_t gw_glob_steps(const struct gw_glob *g);

#endif /* GW_GLOB_H */
