/* gateway/command_request.h - CORE: what a client asks of a command, checked before it is made. */
#ifndef GW_COMMAND_REQUEST_H
#define GW_COMMAND_REQUEST_H

struct err;
struct gw_command_request;
struct gw_sandbox;

/* Returns 0, -EINVAL or -ECANCELED with err, as gw_command_new() says; the cwd is not looked at. */
int gw_command_request_check(const struct gw_sandbox *sb, const struct gw_command_request *rq,
                             struct err *err);

/* The folder that cwd means in sb: relative to the home, also as ~/..., or absolute; NULL or "" is
 * the home.  Returns 0 with *ret owned by the caller, or -ENOENT with err. */
int gw_command_request_cwd(const struct gw_sandbox *sb, const char *cwd, char **ret,
                           struct err *err);

/* The command's text, or its words, bounded and valid UTF-8; owned by the caller. */
char *gw_command_request_text(const struct gw_command_request *rq);

#endif /* GW_COMMAND_REQUEST_H */
