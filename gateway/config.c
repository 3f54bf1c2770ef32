/* gateway/config.c - see gateway/config.h. */
#include "gateway/config.h"

#include <ctype.h>
#include <czmq.h> /* zconfig only */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/config_value.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

enum type { T_STRING, T_LIST, T_NUMBER, T_BOOL };

struct key {
	const char *name;
	enum type type;
	size_t offset;
	const char *def;
	uint64_t min, max;   /* T_NUMBER */
	const char *choices; /* T_STRING: "a|b", or NULL for anything */
	bool fixed;          /* a reload cannot change it */
	const char *help;
};

#define AT(field)     offsetof(struct gw_config, field)
#define FOREVER       (UINT64_C(1) << 53) /* 285,000 years in ms; exact in JSON */
#define MIB           (UINT64_C(1) << 20)

#define PATH_SHOWN    60   /* bytes of a file's path in errors */
#define STATE_DIR_MAX 1024 /* paths below it are made in 4096 bytes, and some are removed */
#define KEY_LETTERS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

/* clang-format off */
static const struct key keys[] = {
	{"allow_hosts", T_LIST, AT(allow_hosts), "", 0, 0, NULL, true,
	 "Further names that a Host header may have; * for any"},
	{"allow_origins", T_LIST, AT(allow_origins), "", 0, 0, NULL, true,
	 "Further web origins that may use the gateway, like https://app.example; * for any"},
	{"auth", T_STRING, AT(auth), "token", 0, 0, "token|none", true,
	 "token: every client shows the gateway's token; none: for loopback only"},
	{"command_log_bytes", T_NUMBER, AT(command_log_bytes), "67108864", 4096, FOREVER, NULL, false,
	 "Output of one background command that is kept"},
	{"drain_ms", T_NUMBER, AT(drain_ms), "30000", 0, FOREVER, NULL, false,
	 "After SIGTERM, executions may run this long before they are ended"},
	{"e2b_domain", T_STRING, AT(e2b_domain), "", 0, 0, NULL, true,
	 "Domain told to E2B's clients: 49999-SANDBOX.DOMAIN must lead here; empty: none is told"},
	{"event_high_bytes", T_NUMBER, AT(event_high_bytes), "1048576", 65536, 1024 * MIB, NULL, false,
	 "A client this far behind makes the kernel wait"},
	{"event_log_bytes", T_NUMBER, AT(event_log_bytes), "4194304", 65536, 1024 * MIB, NULL, false,
	 "Events of an execution that are kept for a client that attaches again"},
	{"idle_timeout_ms", T_NUMBER, AT(idle_timeout_ms), "60000", 100, FOREVER, NULL, true,
	 "Idle keep-alive connections and half-sent requests are closed after this"},
	{"insecure", T_BOOL, AT(insecure), "false", 0, 0, NULL, true,
	 "Allow auth = none on an address that is not loopback"},
	{"interrupt_grace_ms", T_NUMBER, AT(interrupt_grace_ms), "2000", 1, FOREVER, NULL, false,
	 "A kernel that ignores the interrupt of a timeout is killed after this"},
	{"keep_executions", T_NUMBER, AT(keep_executions), "1000", 0, 1000000, NULL, false,
	 "Finished executions kept for clients that attach again, at most"},
	{"keep_executions_bytes", T_NUMBER, AT(keep_executions_bytes), "268435456", 0, FOREVER, NULL, false,
	 "Events of finished executions that are kept, all together"},
	{"keep_executions_ms", T_NUMBER, AT(keep_executions_ms), "60000", 0, FOREVER, NULL, false,
	 "How long a finished execution is kept"},
	{"kernel_buffer_bytes", T_NUMBER, AT(kernel_buffer_bytes), "67108864", 65536, FOREVER, NULL, false,
	 "Output held for a slow client where the kernel cannot wait; more is cut, and the cut is marked"},
	{"languages_file", T_STRING, AT(languages_file), "", 0, 0, NULL, true,
	 "Table of languages and kernels in place of the built-in one, see docs/languages.md"},
	{"launcher", T_STRING, AT(launcher), "zygote", 0, 0, "zygote|local", true,
	 "zygote: kernels that can be are forked from one that is loaded; local: each is a program started anew"},
	{"listen", T_LIST, AT(listen), "127.0.0.1:8686", 0, 0, NULL, true,
	 "ADDRESS:PORT, may be repeated; port 0: any free one"},
	{"log_format", T_STRING, AT(log_format), "text", 0, 0, "text|json", false,
	 "Form of the log lines on stderr"},
	{"log_level", T_STRING, AT(log_level), "info", 0, 0, "error|warn|info|debug", false,
	 "Lines above this level are dropped"},
	{"max_body_bytes", T_NUMBER, AT(max_body_bytes), "67108864", 1024, 4096 * MIB, NULL, true,
	 "Largest HTTP request body"},
	{"max_commands", T_NUMBER, AT(max_commands), "64", 1, 100000, NULL, false,
	 "Commands running at once in one sandbox"},
	{"max_connections", T_NUMBER, AT(max_connections), "4096", 1, 1000000, NULL, true,
	 "Client connections at once"},
	{"max_contexts", T_NUMBER, AT(max_contexts), "512", 1, 100000, NULL, true,
	 "Contexts at once, each with a kernel process"},
	{"max_header_bytes", T_NUMBER, AT(max_header_bytes), "16384", 1024, 65535, NULL, true,
	 "Largest HTTP request head"},
	{"max_kernel_message_bytes", T_NUMBER, AT(max_kernel_message_bytes), "1073741824", MIB, MIB * MIB, NULL, true,
	 "Largest message of a kernel; one that sends a larger one is ended"},
	{"max_message_bytes", T_NUMBER, AT(max_message_bytes), "67108864", 1024, 4096 * MIB, NULL, true,
	 "Largest WebSocket message from a client"},
	{"max_output_bytes", T_NUMBER, AT(max_output_bytes), "0", 0, FOREVER, NULL, false,
	 "Output of one execution before it is stopped with `overrun`; 0: no limit"},
	{"max_queue", T_NUMBER, AT(max_queue), "1000", 1, 1000000, NULL, false,
	 "Executions waiting in one context"},
	{"max_sandboxes", T_NUMBER, AT(max_sandboxes), "256", 1, 100000, NULL, false,
	 "Sandboxes at once"},
	{"max_upload_bytes", T_NUMBER, AT(max_upload_bytes), "17179869184", 1024, FOREVER, NULL, false,
	 "Largest file that a client may write into a sandbox"},
	{"ping_every_ms", T_NUMBER, AT(ping_every_ms), "25000", 1000, FOREVER, NULL, true,
	 "Keepalive of WebSockets; two unanswered pings close one"},
	{"pool_bytes", T_NUMBER, AT(pool_bytes), "536870912", 0, FOREVER, NULL, false,
	 "Memory of the kernels that wait for a context, all together"},
	{"pool_python", T_NUMBER, AT(pool_python), "2", 0, 1000, NULL, false,
	 "Python kernels that are started ahead and wait for a context; more while many are asked for"},
	{"prefix", T_STRING, AT(prefix), "${XDG_DATA_HOME:-~/.local/share}/kernelbridge", 0, 0, NULL, true,
	 "Where scripts/install-kernels puts kernels"},
	{"send_high_bytes", T_NUMBER, AT(send_high_bytes), "65536", 4096, 1024 * MIB, NULL, true,
	 "Bytes queued for a client before it counts as slow"},
	{"send_low_bytes", T_NUMBER, AT(send_low_bytes), "16384", 1024, 1024 * MIB, NULL, true,
	 "Bytes queued for a slow client when it may get more"},
	{"start_timeout_ms", T_NUMBER, AT(start_timeout_ms), "60000", 100, FOREVER, NULL, false,
	 "A kernel that has not answered by then could not start"},
	{"state_dir", T_STRING, AT(state_dir), "${XDG_STATE_HOME:-~/.local/state}/kernelbridge", 0, 0, NULL, true,
	 "Token, sandboxes' homes, connection files"},
	{"stop_grace_ms", T_NUMBER, AT(stop_grace_ms), "2000", 1, FOREVER, NULL, false,
	 "From asking a kernel to stop to SIGTERM, and from there to SIGKILL"},
	{"strict_policies", T_BOOL, AT(strict_policies), "false", 0, 0, NULL, false,
	 "Refuse a sandbox with a policy that cannot be enforced, instead of saying so in its metadata"},
	{"token_file", T_STRING, AT(token_file), "", 0, 0, NULL, true,
	 "File with the token; empty: `token` in state_dir, made at the first start"},
	{"zygote_preload", T_LIST, AT(zygote_preload), "numpy,pandas,matplotlib.pyplot", 0, 0, NULL, true,
	 "Python modules that forked kernels have loaded already, those that are installed"},
};
/* clang-format on */

#define KEYS (sizeof(keys) / sizeof(keys[0]))

/* --- values ----------------------------------------------------------------------------- */

static void *
field(const struct gw_config *cfg, const struct key *k)
{
	return (char *)(uintptr_t)cfg + k->offset;
}

static int
set(struct gw_config *cfg, const struct key *k, const char *value, struct err *err)
{
	void *at = field(cfg, k);
	bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;

	switch (k->type) {
	case T_NUMBER:
		return gw_config_value_number(k->name, value, k->min, k->max, at, err);
	case T_BOOL:
		if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
			return err_set(err, -EINVAL, "%s = %.40s: expected true or false",
			               k->name, value);
		*(bool *)at = yes;
		return 0;
	case T_LIST:
		gw_config_value_split(at, value);
		return 0;
	case T_STRING:
	default:
		if (k->choices != NULL && !gw_config_value_is_choice(k->choices, value))
			return err_set(err, -EINVAL, "%s = %.40s: expected %s", k->name, value,
			               k->choices);
		mem_free(*(char **)at);
		*(char **)at = gw_config_value_expand(value);
		return 0;
	}
}

/* --- names ------------------------------------------------------------------------------ */

/* Edits between a and b (Levenshtein), for names of at most 63 bytes. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b) < 63 ? strlen(b) : 63;

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1] != '\0' && i < 64; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

static int
find_key(const char *name, const struct key **ret, struct err *err)
{
	const struct key *near = &keys[0];

	for (size_t i = 0; i < KEYS; i++) {
		if (strcmp(keys[i].name, name) == 0) {
			*ret = &keys[i];
			return 0;
		}
		if (distance(name, keys[i].name) < distance(name, near->name))
			near = &keys[i];
	}
	return err_set(err, -EINVAL, "unknown setting '%.60s'; the nearest is '%s'", name,
	               near->name);
}

/* --- sources, weakest first: each may replace, not extend, a list of the one before ------- */

struct values {
	char **list[KEYS]; /* what one source said, in order */
};

static void
values_fini(struct values *v)
{
	for (size_t i = 0; i < KEYS; i++)
		gw_config_value_free_list(v->list[i]);
}

static int
say(struct values *v, const char *name, const char *value, struct err *err)
{
	const struct key *k = NULL;
	int rc = find_key(name, &k, err);

	if (rc == 0)
		gw_config_value_push(&v->list[k - keys], value, strlen(value));
	return rc;
}

/* Put the place before err's text; of a long path, the end tells.  Returns rc. */
static int
at(const char *path, unsigned number, int rc, struct err *err)
{
	const struct err why = *err;
	size_t len = strlen(path);

	return err_set(err, rc, "%s:%u: %s", path + (len > PATH_SHOWN ? len - PATH_SHOWN : 0),
	               number, why.text);
}

/* What is wrong with line[0..len), or NULL. */
static const char *
fault(const char *line, size_t len)
{
	size_t key = strspn(line, " \t");
	size_t end = key + strspn(line + key, KEY_LETTERS);
	const char *p = line + end + strspn(line + end, " \t");

	if (strlen(line) != len)
		return "it holds a NUL";
	if (strchr("\r\n#", line[key]) != NULL)
		return NULL;
	if (end == key || *p != '=')
		return "expected key = value";
	p++;
	p += strspn(p, " \t");
	if ((*p == '"' || *p == '\'') && strchr(p + 1, *p) == NULL)
		return "a quote is not closed";
	if (key % 4 != 0 || line[0] == '\t')
		return "the line is indented";
	return NULL;
}

/* zconfig_load() neither says which line is wrong nor releases what it had read of the file. */
static int
check_lines(const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	const char *what = NULL;
	char *line = NULL;
	size_t cap = 0;
	unsigned number = 0;
	ssize_t n = 0;

	if (f == NULL)
		return err_set(err, -EINVAL, "cannot read %.100s: %s", path,
		               strerrordesc_np(errno));
	while (what == NULL && (n = getline(&line, &cap, f)) >= 0) {
		number++;
		what = fault(line, (size_t)n);
	}
	free(line);
	(void)fclose(f);
	if (what == NULL)
		return 0;
	(void)err_set(err, -EINVAL, "%s", what);
	return at(path, number, -EINVAL, err);
}

/* Put before err's text where file path gives name for the n-th time, from 0.  Returns rc. */
static int
at_line(const char *path, const char *name, size_t n, int rc, struct err *err)
{
	FILE *f = fopen(path, "re");
	size_t len = strlen(name);
	char *line = NULL;
	size_t cap = 0;
	unsigned number = 0;
	bool found = false;

	while (f != NULL && !found && getline(&line, &cap, f) >= 0) {
		number++;
		found = strncmp(line, name, len) == 0 &&
		        strchr(" \t\r\n=", line[len]) != NULL && n-- == 0;
	}
	free(line);
	if (f != NULL)
		(void)fclose(f);
	return at(path, number, rc, err);
}

/* path is the file that v came from, or NULL. */
static int
apply(struct gw_config *cfg, const struct values *v, const char *path, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < KEYS && rc == 0; i++) {
		if (v->list[i] != NULL && keys[i].type == T_LIST) {
			gw_config_value_free_list(*(char ***)field(cfg, &keys[i]));
			*(char ***)field(cfg, &keys[i]) = NULL;
		}
		for (size_t j = 0; v->list[i] != NULL && v->list[i][j] != NULL && rc == 0;
		     j++) {
			rc = set(cfg, &keys[i], v->list[i][j], err);
			if (rc != 0 && path != NULL)
				rc = at_line(path, keys[i].name, j, rc, err);
		}
	}
	return rc;
}

static int
read_item(zconfig_t *item, struct values *v, struct err *err)
{
	if (zconfig_child(item) != NULL)
		return err_set(err, -EINVAL, "'%.60s' has indented lines below it",
		               zconfig_name(item));
	return say(v, zconfig_name(item), zconfig_value(item), err);
}

static int
read_file(const char *path, struct values *v, struct err *err)
{
	struct stat st;
	zconfig_t *root = NULL;
	zconfig_t *item;
	int rc = 0;

	if (stat(path, &st) != 0)
		return err_set(err, -EINVAL, "cannot read %.100s: %s", path,
		               strerrordesc_np(errno));
	if (!S_ISDIR(st.st_mode)) { /* to zconfig, a folder is an empty file */
		rc = check_lines(path, err);
		if (rc != 0)
			return rc;
		root = zconfig_load(path);
	}
	if (root == NULL)
		return err_set(err, -EINVAL, "cannot read %.100s as `key = value` lines", path);
	for (item = zconfig_child(root); item != NULL && rc == 0; item = zconfig_next(item)) {
		rc = read_item(item, v, err);
		if (rc != 0)
			rc = at_line(path, zconfig_name(item), 0, rc, err);
	}
	zconfig_destroy(&root);
	return rc;
}

static bool
may_be_empty(const struct key *k)
{
	return k->type == T_LIST || (k->type == T_STRING && k->def[0] == '\0');
}

static int
read_environment(struct values *v, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < KEYS && rc == 0; i++) {
		char name[80] = "KERNELBRIDGE_";
		size_t n = strlen(name);
		const char *value;

		for (const char *p = keys[i].name; *p != '\0'; p++)
			name[n++] = (char)toupper((unsigned char)*p);
		value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
		if (value != NULL && (value[0] != '\0' || may_be_empty(&keys[i])))
			rc = say(v, keys[i].name, value, err);
	}
	return rc;
}

/* *ret_file is borrowed from argv, NULL when --config is not given. */
static int
read_arguments(int argc, char **argv, struct values *v, const char **ret_file, struct err *err)
{
	int rc = 0;

	for (int i = 0; i < argc && rc == 0; i++) {
		char name[64];
		const char *eq = strchr(argv[i], '=');
		size_t len = eq != NULL ? (size_t)(eq - argv[i]) : strlen(argv[i]);
		const char *value = eq != NULL ? eq + 1 : NULL;

		if (strncmp(argv[i], "--", 2) != 0 || len - 2 >= sizeof(name))
			return err_set(err, -EINVAL, "unexpected argument '%.60s'", argv[i]);
		(void)snprintf(name, sizeof(name), "%.*s", (int)(len - 2), argv[i] + 2);
		if (value == NULL && strcmp(name, "insecure") == 0)
			value = "true";
		if (value == NULL && i + 1 < argc)
			value = argv[++i];
		if (value == NULL)
			rc = err_set(err, -EINVAL, "--%s needs a value", name);
		else if (strcmp(name, "config") == 0)
			*ret_file = value;
		else
			rc = say(v, name, value, err);
	}
	return rc;
}

static int
check(const struct gw_config *cfg, struct err *err)
{
	if (cfg->listen[0] == NULL)
		return err_set(err, -EINVAL, "listen is empty: expected ADDRESS:PORT");
	if (cfg->send_low_bytes >= cfg->send_high_bytes)
		return err_set(err, -EINVAL, "send_low_bytes must be below send_high_bytes");
	if (cfg->prefix[0] == '\0')
		return err_set(err, -EINVAL, "prefix is empty: expected a path");
	if (cfg->state_dir[0] != '/')
		return err_set(err, -EINVAL, "state_dir = %.60s: expected an absolute path",
		               cfg->state_dir);
	if (strlen(cfg->state_dir) > STATE_DIR_MAX)
		return err_set(err, -EINVAL, "state_dir = %.60s...: longer than %d bytes",
		               cfg->state_dir, STATE_DIR_MAX);
	return 0;
}

int
gw_config_load(int argc, char **argv, struct gw_config **ret, struct err *err)
{
	struct gw_config *cfg = mem_new(sizeof(*cfg));
	struct values defaults = {{0}};
	struct values file = {{0}};
	struct values env = {{0}};
	struct values args = {{0}};
	const char *path = NULL;
	int rc = 0;

	for (size_t i = 0; i < KEYS && rc == 0; i++)
		rc = say(&defaults, keys[i].name, keys[i].def, err);
	if (rc == 0)
		rc = read_arguments(argc, argv, &args, &path, err);
	if (rc == 0 && path != NULL)
		rc = read_file(path, &file, err);
	if (rc == 0)
		rc = read_environment(&env, err);
	if (rc == 0)
		rc = apply(cfg, &defaults, NULL, err);
	if (rc == 0)
		rc = apply(cfg, &file, path, err);
	if (rc == 0)
		rc = apply(cfg, &env, NULL, err);
	if (rc == 0)
		rc = apply(cfg, &args, NULL, err);
	if (rc == 0)
		rc = check(cfg, err);
	values_fini(&defaults);
	values_fini(&file);
	values_fini(&env);
	values_fini(&args);
	if (rc != 0)
		gw_config_free(cfg);
	else
		*ret = cfg;
	return rc;
}

void
gw_config_free(struct gw_config *cfg)
{
	if (cfg == NULL)
		return;
	for (size_t i = 0; i < KEYS; i++) {
		if (keys[i].type == T_STRING)
			mem_free(*(char **)field(cfg, &keys[i]));
		else if (keys[i].type == T_LIST)
			gw_config_value_free_list(*(char ***)field(cfg, &keys[i]));
	}
	mem_free(cfg);
}

/* --- printing --------------------------------------------------------------------------- */

static void
print_value(const struct gw_config *cfg, const struct key *k, struct buf *b)
{
	const void *at = field(cfg, k);

	if (k->type == T_NUMBER)
		(void)buf_printf(b, "%llu", (unsigned long long)*(const uint64_t *)at);
	else if (k->type == T_BOOL)
		(void)buf_printf(b, "%s", *(const bool *)at ? "true" : "false");
	else if (k->type == T_STRING)
		(void)buf_printf(b, "%s", *(char *const *)at);
	else
		for (char *const *l = *(char **const *)at; *l != NULL; l++)
			(void)buf_printf(b, "%s%s", *l, l[1] != NULL ? "," : "");
}

const char *
gw_config_fixed_difference(const struct gw_config *a, const struct gw_config *b)
{
	const char *found = NULL;

	for (size_t i = 0; i < KEYS && found == NULL; i++) {
		struct buf x;
		struct buf y;

		if (!keys[i].fixed)
			continue;
		buf_init(&x, MIB);
		buf_init(&y, MIB);
		print_value(a, &keys[i], &x);
		print_value(b, &keys[i], &y);
		if (x.len != y.len || (x.len > 0 && memcmp(x.data, y.data, x.len) != 0))
			found = keys[i].name;
		buf_fini(&x);
		buf_fini(&y);
	}
	return found;
}

/* As it would be written: a path that is the default's in this environment as the default. */
static void
print_setting(const struct gw_config *cfg, const struct key *k, struct buf *b)
{
	const char *value = k->type == T_STRING ? *(char *const *)field(cfg, k) : "";
	char *def = gw_config_value_expand(k->def);

	if (k->type == T_STRING && strcmp(def, value) == 0)
		(void)buf_printf(b, "%s", k->def);
	else if (strchr(value, '#') != NULL) /* would begin a comment */
		(void)buf_printf(b, "\"%s\"", value);
	else
		print_value(cfg, k, b);
	mem_free(def);
}

void
gw_config_print(const struct gw_config *cfg, struct buf *b)
{
	(void)buf_printf(
	    b, "# kernelbridge: every setting.  A line starting with # is a comment.\n");
	for (size_t i = 0; i < KEYS; i++) {
		struct buf value;

		buf_init(&value, MIB);
		print_setting(cfg, &keys[i], &value);
		(void)buf_printf(b, "\n# %s%s\n%s =%s%s\n", keys[i].help,
		                 keys[i].fixed ? "" : " (reloadable)", keys[i].name,
		                 value.len > 0 ? " " : "", value.data);
		buf_fini(&value);
	}
}

void
gw_config_help(struct buf *b)
{
	for (size_t i = 0; i < KEYS; i++) {
		(void)buf_printf(b, "  --%s=%s\n      %s", keys[i].name, keys[i].def,
		                 keys[i].help);
		if (keys[i].type == T_NUMBER)
			(void)buf_printf(b, " [%llu..%llu]", (unsigned long long)keys[i].min,
			                 (unsigned long long)keys[i].max);
		else if (keys[i].choices != NULL)
			(void)buf_printf(b, " [%s]", keys[i].choices);
		(void)buf_printf(b, "\n");
	}
}
