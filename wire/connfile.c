/* wire/connfile.c - see wire/connfile.h. */
#include "wire/connfile.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire/base/err.h"
#include "wire/base/mem.h"

#define KEY_BYTES    32
#define ENDPOINT_MAX 320
#define SUN_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define SCHEME       "hmac-sha256"
#define PORT_MIN     10240
#define PORT_TRIES   64

/* clang-format off */
static const char *const port_keys[WIRE_CHANNEL_N] = {
	[WIRE_SHELL]   = "shell_port",
	[WIRE_IOPUB]   = "iopub_port",
	[WIRE_STDIN]   = "stdin_port",
	[WIRE_CONTROL] = "control_port",
	[WIRE_HB]      = "hb_port",
};
/* clang-format on */

struct wire_connfile {
	bool ipc;
	char *ip; /* tcp: address; ipc: prefix of the socket paths */
	char *key;
	int ports[WIRE_CHANNEL_N];
	char endpoints[WIRE_CHANNEL_N][ENDPOINT_MAX];
	char *path; /* of the file made here, or NULL */
};

static int
system_error(struct err *err, const char *path)
{
	return err_set(err, -EIO, "%s: %s", path, strerrordesc_np(errno));
}

static int
make_endpoints(struct wire_connfile *cf, struct err *err)
{
	size_t scheme_len = strlen("ipc://");

	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		size_t n = (size_t)snprintf(cf->endpoints[i], ENDPOINT_MAX, "%s://%s%c%d",
		                            cf->ipc ? "ipc" : "tcp", cf->ip,
		                            cf->ipc ? '-' : ':', cf->ports[i]);

		if (n >= ENDPOINT_MAX || (cf->ipc && n - scheme_len > SUN_PATH_MAX))
			return err_set(err, -EINVAL, "ip: '%.80s...' is too long for a socket",
			               cf->ip);
	}
	return 0;
}

static void
make_key(struct wire_connfile *cf)
{
	unsigned char raw[KEY_BYTES];

	randombytes_buf(raw, sizeof(raw));
	cf->key = mem_new(2 * KEY_BYTES + 1);
	sodium_bin2hex(cf->key, 2 * KEY_BYTES + 1, raw, sizeof(raw));
	sodium_memzero(raw, sizeof(raw));
}

/* Where the ports begin that the system gives to connections; 0: unknown. */
static unsigned
first_ephemeral(void)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	char line[32] = "";
	unsigned long first;

	if (f == NULL)
		return 0;
	(void)fgets(line, sizeof(line), f);
	(void)fclose(f);
	first = strtoul(line, NULL, 10);
	return first <= UINT16_MAX ? (unsigned)first : 0;
}

/* Bind fd to a port of 127.0.0.1 that is free.  One below the ephemeral ports, if there are any: a
 * client that comes back again and again to an ephemeral port where nobody listens yet is given that
 * very port for its own end, sooner or later, and is then connected to itself. */
static int
bind_free(int fd, unsigned first)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int rc = -1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < PORT_TRIES && rc != 0 && first > PORT_MIN + PORT_TRIES; i++) {
		sin.sin_port =
		    htons((uint16_t)(PORT_MIN + randombytes_uniform(first - PORT_MIN)));
		rc = bind(fd, (struct sockaddr *)&sin, len);
	}
	sin.sin_port = htons(0);
	if (rc != 0 && bind(fd, (struct sockaddr *)&sin, len) != 0)
		return -EIO;
	if (getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
		return -EIO;
	return ntohs(sin.sin_port);
}

/* Bind five sockets at once, so that no port comes twice, and close them. */
static int
pick_ports(struct wire_connfile *cf)
{
	unsigned first = first_ephemeral();
	int fds[WIRE_CHANNEL_N], rc = 0;

	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		cf->ports[i] = fds[i] >= 0 ? bind_free(fds[i], first) : -EIO;
		if (cf->ports[i] < 0)
			rc = -EIO;
	}
	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
	return rc;
}

static json_t *
to_json(const struct wire_connfile *cf, const char *kernel_name)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "transport", cf->ipc ? "ipc" : "tcp",
	                      "ip", cf->ip, "key", cf->key, "signature_scheme", SCHEME,
	                      "kernel_name", kernel_name);

	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		(void)json_object_set_new(o, port_keys[i], json_integer(cf->ports[i]));
	return o;
}

static int
write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A new file and nobody else's: never follow, never overwrite. */
static int
write_file(struct wire_connfile *cf, const char *path, const char *kernel_name, struct err *err)
{
	json_t *o = to_json(cf, kernel_name);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_INDENT(2));
	int rc = -EIO, fd = -1;

	if (text == NULL) {
		rc = err_set(err, -EINVAL, "%s: its name or kernel is not UTF-8", path);
		goto out;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = system_error(err, path);
		goto out;
	}
	cf->path = mem_strdup(path);
	rc = write_all(fd, text, strlen(text));
	if (rc != 0)
		rc = system_error(err, path);
out:
	if (fd >= 0 && close(fd) != 0 && rc == 0)
		rc = system_error(err, path);
	if (text != NULL)
		sodium_memzero(text, strlen(text));
	free(text);
	json_decref(o);
	return rc;
}

/* The directory is what guards the sockets: their own modes follow the umask. */
static int
check_dir(const char *dir, struct err *err)
{
	struct stat st;

	if (stat(dir, &st) != 0)
		return system_error(err, dir);
	if (!S_ISDIR(st.st_mode) || (st.st_mode & 077) != 0)
		return err_set(err, -EIO, "%s: is not a directory of mode 0700", dir);
	return 0;
}

int
wire_connfile_create(const char *dir, const char *id, const char *transport,
                     const char *kernel_name, struct wire_connfile **ret, struct err *err)
{
	char real[PATH_MAX], path[PATH_MAX];
	struct wire_connfile *cf = NULL;
	int n, rc;

	if (strcmp(transport, "ipc") != 0 && strcmp(transport, "tcp") != 0)
		return err_set(err, -EINVAL, "transport: '%s' is neither ipc nor tcp",
		               transport);
	if (id[0] == '\0' || id[0] == '.' || strchr(id, '/') != NULL)
		return err_set(err, -EINVAL, "id: '%.40s' is no file name", id);
	if (realpath(dir, real) == NULL) /* the kernel runs in another directory */
		return system_error(err, dir);
	rc = check_dir(real, err);
	if (rc != 0)
		return rc;
	n = snprintf(path, sizeof(path), "%s/%s", real, id);
	if (n >= (int)(sizeof(path) - strlen(".json")))
		return err_set(err, -EINVAL, "%s: is too long", real);
	cf = mem_new(sizeof(*cf));
	cf->ipc = transport[0] == 'i';
	cf->ip = mem_strdup(cf->ipc ? path : "127.0.0.1");
	make_key(cf);
	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		cf->ports[i] = i + 1;
	if (!cf->ipc && pick_ports(cf) != 0) {
		rc = err_set(err, -EIO, "no free port on 127.0.0.1");
		goto out;
	}
	rc = make_endpoints(cf, err);
	if (rc != 0)
		goto out;
	memcpy(path + n, ".json", sizeof(".json"));
	rc = write_file(cf, path, kernel_name, err);
out:
	if (rc == 0)
		*ret = cf;
	else
		wire_connfile_free(cf);
	return rc;
}

/* The string at key of o into an owned copy. */
static int
get_string(const json_t *o, const char *key, char **ret, struct err *err)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return err_set(err, -EINVAL, "%s: is %s", key,
		               v == NULL ? "missing" : "not a string");
	*ret = mem_strdup(json_string_value(v));
	return 0;
}

static int
get_ports(const json_t *o, struct wire_connfile *cf, struct err *err)
{
	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		const json_t *v = json_object_get(o, port_keys[i]);
		json_int_t port = json_integer_value(v);

		if (!json_is_integer(v))
			return err_set(err, -EINVAL, "%s: is %s", port_keys[i],
			               v == NULL ? "missing" : "not an integer");
		if (port < 1 || port > 65535)
			return err_set(err, -EINVAL, "%s: %lld is out of range", port_keys[i],
			               (long long)port);
		cf->ports[i] = (int)port;
	}
	return 0;
}

/* jupyter_client takes any hashlib name here; kernels in the wild have hmac-sha256. */
static int
check_scheme(const json_t *o, const struct wire_connfile *cf, struct err *err)
{
	const json_t *v = json_object_get(o, "signature_scheme");

	if (cf->key[0] == '\0' || v == NULL)
		return 0;
	if (!json_is_string(v) || strcmp(json_string_value(v), SCHEME) != 0)
		return err_set(err, -EINVAL, "signature_scheme: is not " SCHEME);
	return 0;
}

static int
check_transport(const json_t *o, struct wire_connfile *cf, struct err *err)
{
	const json_t *v = json_object_get(o, "transport");
	const char *name = v == NULL ? "tcp" : json_string_value(v);

	if (name == NULL || (strcmp(name, "ipc") != 0 && strcmp(name, "tcp") != 0))
		return err_set(err, -EINVAL, "transport: is neither ipc nor tcp");
	cf->ipc = name[0] == 'i';
	v = json_object_get(o, "curve_publickey");
	if (v != NULL && !json_is_null(v))
		return err_set(err, -EINVAL, "curve_publickey: encryption is not supported");
	return 0;
}

int
wire_connfile_parse(const char *bytes, size_t len, struct wire_connfile **ret, struct err *err)
{
	struct wire_connfile *cf = NULL;
	json_error_t je;
	json_t *o = json_loadb(bytes, len, 0, &je);
	int rc;

	if (!json_is_object(o)) {
		rc = err_set(err, -EINVAL, "connection file: %s",
		             o == NULL ? je.text : "is not an object");
		goto out;
	}
	cf = mem_new(sizeof(*cf));
	rc = check_transport(o, cf, err);
	if (rc == 0)
		rc = get_string(o, "ip", &cf->ip, err);
	if (rc == 0 && cf->ip[0] == '\0')
		rc = err_set(err, -EINVAL, "ip: is empty");
	if (rc == 0)
		rc = get_string(o, "key", &cf->key, err);
	if (rc == 0)
		rc = check_scheme(o, cf, err);
	if (rc == 0)
		rc = get_ports(o, cf, err);
	if (rc == 0)
		rc = make_endpoints(cf, err);
	if (rc == 0) {
		*ret = cf;
		cf = NULL;
	}
out:
	wire_connfile_free(cf);
	json_decref(o);
	return rc;
}

static void
remove_files(struct wire_connfile *cf)
{
	(void)unlink(cf->path);
	for (int i = 0; cf->ipc && i < WIRE_CHANNEL_N; i++)
		(void)unlink(cf->endpoints[i] + strlen("ipc://"));
}

void
wire_connfile_free(struct wire_connfile *cf)
{
	if (cf == NULL)
		return;
	if (cf->path != NULL)
		remove_files(cf);
	if (cf->key != NULL)
		sodium_memzero(cf->key, strlen(cf->key));
	mem_free(cf->key);
	mem_free(cf->ip);
	mem_free(cf->path);
	mem_free(cf);
}

const char *
wire_connfile_path(const struct wire_connfile *cf)
{
	return cf->path;
}

const char *
wire_connfile_key(const struct wire_connfile *cf)
{
	return cf->key;
}

const char *
wire_connfile_endpoint(const struct wire_connfile *cf, enum wire_channel_kind kind)
{
	assert((unsigned)kind < WIRE_CHANNEL_N);
	return cf->endpoints[kind];
}
