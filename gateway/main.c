/* gateway/main.c - the program: options, wiring, signals, drain. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/core.h"
#include "gateway/dialects/dialects.h"
#include "gateway/files.h"
#include "gateway/origin.h"
#include "gateway/run.h"
#include "gateway/server.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/channel.h"

#define EXIT_STARTUP 1
#define EXIT_USAGE   2

static const struct gw_dialect *const dialects[] = {
    &gw_native,
    &gw_page,
    &gw_daytona,
    &gw_e2b,
    &gw_e2b_contexts,
    &gw_e2b_sandboxes,
    &gw_e2b_sandboxes_v2,
    &gw_osb,
    &gw_osb_events,
    &gw_osb_execd,
    &gw_osb_uploads,
    &gw_admin,
    NULL,
};

enum phase {
	SERVING,
	DRAINING, /* executions finish, nothing new begins */
	STOPPING, /* they were told to end; their clients hear of it */
	LEAVING   /* kernels, processes and connections go */
};

struct app {
	struct loop *lp;
	struct gw_config *cfg;   /* the newest */
	struct gw_config *first; /* what the fixed keys are borrowed from */
	struct gw_auth *auth;
	struct gw_core *core;
	struct gw_server *server;
	char *token;
	int argc; /* options, for reloads */
	char **argv;
	struct loop_signal *on_term, *on_int, *on_hup;
	enum phase phase;
	uint64_t phase_since_ms;
	struct loop_timer *check; /* pending unless SERVING: is it time for the next phase? */
};

#define CHECK_MS 20
#define LEAVE_MS 2000 /* for clients to take what is left and say goodbye */

static void
usage(void)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	gw_config_help(&b);
	(void)printf("usage: kernelbridge [--config FILE] [--key=value ...]\n"
	             "       kernelbridge run FILE|-       run a file on a running gateway\n"
	             "       kernelbridge --print-config | --check-config [--config FILE] "
	             "[--key=value ...]\n"
	             "       kernelbridge --help | --version\n\n"
	             "Settings: defaults < --config FILE < environment KERNELBRIDGE_KEY < "
	             "--key=value.\n\n"
	             "%s",
	             b.data);
	buf_fini(&b);
}

/* --- the end: drain, then stop, then leave ------------------------------------------------ */

static void on_check(void *arg);

static void
check_soon(struct app *a)
{
	loop_timer_free(a->check);
	a->check = loop_timer_new(a->lp, CHECK_MS, on_check, a);
}

static void
enter(struct app *a, enum phase phase)
{
	a->phase = phase;
	a->phase_since_ms = loop_now_ms(a->lp);
	if (phase == STOPPING)
		gw_core_stop(a->core, "the gateway is stopping");
	else if (phase == LEAVING)
		gw_server_close_all(a->server);
	check_soon(a);
}

static void
on_check(void *arg)
{
	struct app *a = arg;
	uint64_t ms = loop_now_ms(a->lp) - a->phase_since_ms;
	bool late = ms >= LEAVE_MS;
	bool gone = gw_core_kernels(a->core) == 0 &&
	            (!gw_core_has_processes(a->core) || late) &&
	            (gw_server_connections(a->server) == 0 || late);

	if (a->phase == DRAINING &&
	    (gw_core_executions(a->core) == 0 || ms >= a->cfg->drain_ms))
		enter(a, STOPPING);
	else if (a->phase == STOPPING && (gw_core_executions(a->core) == 0 || late))
		enter(a, LEAVING);
	else if (a->phase == LEAVING && gone)
		loop_stop(a->lp);
	else
		check_soon(a);
}

static void
on_stop(void *arg)
{
	struct app *a = arg;

	switch (a->phase) {
	case SERVING:
		log_info(NULL, "draining: %zu executions run", gw_core_executions(a->core));
		gw_core_drain(a->core);
		gw_server_drain(a->server);
		enter(a, DRAINING);
		break;
	case DRAINING:
		log_warn(NULL, "asked again: stopping without waiting for executions");
		enter(a, STOPPING);
		break;
	case STOPPING:
	case LEAVING:
	default:
		loop_stop(a->lp);
		break;
	}
}

static void
setup_log(const struct gw_config *cfg)
{
	log_setup((enum log_level)log_level_parse(cfg->log_level),
	          strcmp(cfg->log_format, "json") == 0);
}

/* Returns what gw_auth_token_file() does; *ret is owned by the caller. */
static int
read_token(const struct gw_config *cfg, char **ret, struct err *err)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/token", cfg->state_dir);
	return gw_auth_token_file(cfg->token_file[0] != '\0' ? cfg->token_file : path, ret,
	                          err);
}

static void
drop_token(char *token)
{
	if (token != NULL)
		sodium_memzero(token, strlen(token));
	mem_free(token);
}

/* The file may hold another token now: the old one opens nothing from here on. */
static void
reload_token(struct app *a)
{
	char *token;
	struct err err;

	if (read_token(a->cfg, &token, &err) != 0) {
		log_error(NULL, "the token stays as it was: %s", err.text);
		return;
	}
	gw_auth_set_token(a->auth, token);
	drop_token(a->token);
	a->token = token;
}

static void
on_reload(void *arg)
{
	struct app *a = arg;
	struct gw_config *cfg;
	struct gw_config *old = a->cfg;
	const char *fixed;
	struct err err;

	if (gw_config_load(a->argc, a->argv, &cfg, &err) != 0) {
		log_error(NULL, "reload refused, nothing changed: %s", err.text);
		return;
	}
	fixed = gw_config_fixed_difference(old, cfg);
	if (fixed != NULL) {
		log_error(NULL, "reload refused, nothing changed: '%s' needs a restart", fixed);
		gw_config_free(cfg);
		return;
	}
	a->cfg = cfg;
	gw_core_set_config(a->core, cfg);
	setup_log(cfg);
	if (old != a->first)
		gw_config_free(old);
	reload_token(a);
	log_info(NULL, "configuration reloaded");
}

/* --- the start ---------------------------------------------------------------------------- */

static bool
is_loopback(const char *listen)
{
	char host[256];
	const char *from = listen[0] == '[' ? listen + 1 : listen;
	const char *end = listen[0] == '[' ? strchr(listen, ']') : strrchr(listen, ':');

	if (end == NULL || (size_t)(end - from) >= sizeof(host))
		return false;
	(void)snprintf(host, sizeof(host), "%.*s", (int)(end - from), from);
	return strcmp(host, "localhost") == 0 || gw_origin_is_loopback(host);
}

static int
check_auth(const struct gw_config *cfg, struct err *err)
{
	if (strcmp(cfg->auth, "none") != 0 || cfg->insecure)
		return 0;
	for (char **l = cfg->listen; *l != NULL; l++) {
		if (!is_loopback(*l))
			return err_set(
			    err, -EINVAL,
			    "auth = none on %s, which is not loopback: use a token, or add "
			    "--insecure",
			    *l);
	}
	return 0;
}

static int
open_auth(struct app *a, struct err *err)
{
	int rc = gw_files_mkdirs(a->cfg->state_dir, err);

	if (rc == 0)
		rc = read_token(a->cfg, &a->token, err);
	if (rc == 0)
		a->auth = gw_auth_new(strcmp(a->cfg->auth, "none") == 0, a->token);
	return rc;
}

/* Descriptors for all that the limits allow. */
static uint64_t
descriptors(const struct gw_config *cfg)
{
	return 64 + cfg->max_connections + 12 * cfg->max_contexts;
}

/* Descriptors and ZMQ sockets for every context that the limits allow. */
static int
raise_limits(const struct gw_config *cfg, struct err *err)
{
	uint64_t need = descriptors(cfg);
	int sockets = (int)(4 * cfg->max_contexts + 64);
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < need) {
		rl.rlim_cur = rl.rlim_max < need ? rl.rlim_max : need;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
		if (rl.rlim_cur < need)
			log_warn(
			    NULL,
			    "%llu descriptors allowed, %llu needed for max_connections = %llu "
			    "and max_contexts = %llu",
			    (unsigned long long)rl.rlim_cur, (unsigned long long)need,
			    (unsigned long long)cfg->max_connections,
			    (unsigned long long)cfg->max_contexts);
	}
	if (wire_channel_setup(sockets) != 0)
		return err_set(err, -EIO, "ZMQ refuses %d sockets", sockets);
	return 0;
}

static int
open_server(struct app *a, struct err *err)
{
	const struct gw_config *c = a->cfg;
	const struct gw_server_config cfg = {
	    .lp = a->lp,
	    .core = a->core,
	    .auth = a->auth,
	    .dialects = dialects,
	    .listen = (const char *const *)c->listen,
	    .allow_origins = (const char *const *)c->allow_origins,
	    .allow_hosts = (const char *const *)c->allow_hosts,
	    .domain = c->e2b_domain,
	    .max_body_bytes = c->max_body_bytes,
	    .max_message_bytes = c->max_message_bytes,
	    .max_header_bytes = c->max_header_bytes,
	    .max_connections = c->max_connections,
	    .max_descriptors = descriptors(c),
	    .send_high_bytes = c->send_high_bytes,
	    .send_low_bytes = c->send_low_bytes,
	    .idle_timeout_ms = c->idle_timeout_ms,
	    .ping_every_ms = c->ping_every_ms,
	};

	return gw_server_start(&cfg, &a->server, err);
}

static void
announce(const struct app *a)
{
	const char *url;
	const char *token = strcmp(a->cfg->auth, "token") == 0 ? a->token : "";
	char exe[4096] = "kernelbridge";
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n > 0)
		exe[n] = '\0';
	for (size_t i = 0; (url = gw_server_url(a->server, i)) != NULL; i++)
		(void)printf("kernelbridge: listening on %s/%s%s\n", url,
		             token[0] != '\0' ? "?token=" : "", token);
	(void)printf("kernelbridge: try  echo 'print(6 * 7)' | %s%s%s%s run --url %s -\n",
	             token[0] != '\0' ? "KERNELBRIDGE_TOKEN=" : "", token,
	             token[0] != '\0' ? " " : "", exe, gw_server_url(a->server, 0));
	(void)fflush(stdout);
}

/* For commands that look for the gateway. */
static void
tell_port(struct app *a)
{
	a->core->port = gw_server_port_of_loopback(a->server);
	if (a->core->port == 0)
		log_warn(
		    NULL,
		    "nothing listens on 127.0.0.1: OpenSandbox's CodeInterpreter.create() "
		    "looks for the gateway there from within a sandbox, and fails after 30 s");
}

static int
serve(struct app *a, struct err *err)
{
	int rc = check_auth(a->cfg, err);

	if (rc == 0)
		rc = open_auth(a, err);
	if (rc == 0)
		rc = raise_limits(a->cfg, err);
	if (rc == 0)
		rc = gw_core_new(a->lp, a->cfg, a->auth, &a->core, err);
	if (rc == 0)
		rc = open_server(a, err);
	if (rc != 0)
		return rc;
	tell_port(a);
	a->on_term = loop_signal_new(a->lp, SIGTERM, on_stop, a);
	a->on_int = loop_signal_new(a->lp, SIGINT, on_stop, a);
	a->on_hup = loop_signal_new(a->lp, SIGHUP, on_reload, a);
	announce(a);
	loop_run(a->lp);
	log_info(NULL, "stopped");
	return 0;
}

static void
close_app(struct app *a)
{
	loop_timer_free(a->check);
	loop_signal_free(a->on_term);
	loop_signal_free(a->on_int);
	loop_signal_free(a->on_hup);
	gw_server_free(a->server);
	gw_core_free(a->core);
	gw_auth_free(a->auth);
	drop_token(a->token);
	loop_free(a->lp);
	wire_channel_term();
	if (a->cfg != a->first)
		gw_config_free(a->cfg);
	gw_config_free(a->first);
}

/* The verbs that only look at the configuration.  Returns an exit code, or -1 to serve. */
static int
look(int argc, char **argv)
{
	struct gw_config *cfg;
	struct err err;
	struct buf b;
	bool print = strcmp(argv[0], "--print-config") == 0;

	if (strcmp(argv[0], "--help") == 0) {
		usage();
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[0], "--version") == 0) {
		(void)printf("kernelbridge %s\n", KB_VERSION);
		return EXIT_SUCCESS;
	}
	if (!print && strcmp(argv[0], "--check-config") != 0)
		return -1;
	if (gw_config_load(argc - 1, argv + 1, &cfg, &err) != 0) {
		(void)fprintf(stderr, "kernelbridge: %s\n", err.text);
		return EXIT_USAGE;
	}
	buf_init(&b, 1 << 20);
	gw_config_print(cfg, &b);
	(void)printf("%s", print ? b.data : "configuration is fine\n");
	buf_fini(&b);
	gw_config_free(cfg);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct app a = {.argc = argc - 1, .argv = argv + 1};
	struct err err;
	int rc;

	/* Of a gateway in whose kernel this one was started: our reaper would take what has it, and
	 * is no kernel of ours, for left behind.
	 * NOLINTNEXTLINE(concurrency-mt-unsafe): no thread is there yet */
	(void)unsetenv("KERNELBRIDGE_KERNEL_ID");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* an upload that is too large for the system fails */
	json_set_alloc_funcs(mem_raw, mem_free);
	json_object_seed(0);
	if (sodium_init() < 0)
		return EXIT_STARTUP;
	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return gw_run_main(argc - 1, argv + 1);
	if (argc > 1 && (rc = look(argc - 1, argv + 1)) >= 0)
		return rc;
	if (gw_config_load(a.argc, a.argv, &a.cfg, &err) != 0) {
		(void)fprintf(stderr, "kernelbridge: %s\n", err.text);
		return EXIT_USAGE;
	}
	a.first = a.cfg;
	setup_log(a.cfg);
	a.lp = loop_new();
	rc = serve(&a, &err);
	if (rc != 0)
		(void)fprintf(stderr, "kernelbridge: %s\n", err.text);
	close_app(&a);
	return rc == 0 ? EXIT_SUCCESS : EXIT_STARTUP;
}
