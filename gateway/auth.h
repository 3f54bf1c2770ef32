/* gateway/auth.h - who may come in: the gateway's token, and tokens made for one sandbox.
 *
 * Comparisons take constant time (libsodium); tokens are wiped when freed and never logged.
 */
#ifndef GW_AUTH_H
#define GW_AUTH_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct gw_auth;

/* mode "none" accepts everyone.  token is copied. */
struct gw_auth *gw_auth_new(bool none, const char *token);
void gw_auth_free(struct gw_auth *a);

/* Read the token of file path (trailing newline cut), or make one (64 hex digits) and write
 * it there, 0600, when there is none.  Returns 0 with *ret owned by the caller, -EACCES
 * (file readable by others), -EINVAL (empty) or -EIO, with err filled. */
int gw_auth_token_file(const char *path, char **ret, struct err *err);

/* Replace the gateway's token (SIGHUP). */
void gw_auth_set_token(struct gw_auth *a, const char *token);

/* True if token (may be NULL) is the gateway's, or everyone is accepted. */
bool gw_auth_check(const struct gw_auth *a, const char *token);

/* A token good for one sandbox only, "kb1.<sandbox id>.<mac>", owned by the caller: derived from
 * the gateway's, so nothing is stored. */
char *gw_auth_sandbox_token(const struct gw_auth *a, const char *sandbox);

/* The sandbox that a derived token is good for, or NULL; owned by the caller. */
char *gw_auth_token_sandbox(const struct gw_auth *a, const char *token);

#endif /* GW_AUTH_H */
