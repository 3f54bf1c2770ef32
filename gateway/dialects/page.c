/* gateway/dialects/page.c - the page at / and its files, built into the program.
 *
 * The page is for everyone: it holds no secret and can do nothing without a token.  Its policy
 * allows no inline script and no connection but to this gateway.  HTML that code outputs is
 * shown by frame.html, in an origin of its own that reaches nothing at all.
 */
#include <stddef.h>
#include <string.h>

#include "gateway/dialect.h"
#include "gateway/dialects/dialects.h"
#include "playground.h" /* made from gateway/playground/ by cmake/embed.cmake */

#define PAGE_POLICY                                                                            \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: "       \
	"blob:; "                                                                              \
	"connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "          \
	"frame-ancestors 'none'"
#define FRAME_POLICY                                                                           \
	"sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "              \
	"style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:; "          \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

struct file {
	const char *name;
	const char *type;
	const char *policy;
	const unsigned char *data;
	size_t len;
};

#define FILE_OF(array) (array), sizeof(array)

static const struct file files[] = {
    {"", "text/html; charset=utf-8", PAGE_POLICY, FILE_OF(index_html)},
    {"app.js", "text/javascript; charset=utf-8", PAGE_POLICY, FILE_OF(app_js)},
    {"connection.js", "text/javascript; charset=utf-8", PAGE_POLICY, FILE_OF(connection_js)},
    {"output.js", "text/javascript; charset=utf-8", PAGE_POLICY, FILE_OF(output_js)},
    {"terminal.js", "text/javascript; charset=utf-8", PAGE_POLICY, FILE_OF(terminal_js)},
    {"style.css", "text/css; charset=utf-8", PAGE_POLICY, FILE_OF(style_css)},
    {"icon.svg", "image/svg+xml", PAGE_POLICY, FILE_OF(icon_svg)},
    {"frame.html", "text/html; charset=utf-8", FRAME_POLICY, FILE_OF(frame_html)},
};

static void
serve(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const char *name = gw_http_param(x, "file");

	(void)core;
	(void)body;
	(void)len;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		const struct file *f = &files[i];

		if (strcmp(name != NULL ? name : "", f->name) != 0)
			continue;
		gw_http_add_header(x, "content-security-policy", f->policy);
		gw_http_add_header(x, "referrer-policy", "no-referrer");
		gw_http_add_header(x, "cross-origin-opener-policy", "same-origin");
		gw_http_add_header(x, "cache-control", "no-cache");
		gw_http_reply(x, 200, f->type, f->data, f->len);
		return;
	}
	gw_http_reply(x, 404, "text/plain; charset=utf-8", "no such file\n", 13);
}

static const struct gw_route routes[] = {
    {.method = "GET", .path = "/", .access = GW_ACCESS_PUBLIC, .http = serve},
    {.method = "GET", .path = "/playground/{file}", .access = GW_ACCESS_PUBLIC, .http = serve},
    {.method = NULL},
};

const struct gw_dialect gw_page = {.name = "page", .prefix = "/playground", .routes = routes};
