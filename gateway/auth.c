/* gateway/auth.c - see gateway/auth.h. */
#include "gateway/auth.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/err.h"
#include "wire/base/mem.h"

#define TOKEN_BYTES     32 /* of a token that we make; twice as many hex digits */
#define TOKEN_FILE_MAX  1024
#define DIGEST_BYTES    32
#define MAC_HEX         (2 * (size_t)crypto_auth_BYTES)
#define DERIVED_PREFIX  "kb1."
#define DERIVED_PURPOSE "kernelbridge sandbox token"

struct gw_auth {
	bool none;
	unsigned char salt[crypto_generichash_KEYBYTES]; /* of this process, for digests */
	unsigned char token[DIGEST_BYTES];       /* salted digest of the gateway's token */
	unsigned char key[crypto_auth_KEYBYTES]; /* what sandbox tokens are made with */
};

/* Equal lengths make the comparison's time independent of the secret. */
static void
digest(const struct gw_auth *a, const char *token, unsigned char ret[DIGEST_BYTES])
{
	(void)crypto_generichash(ret, DIGEST_BYTES, (const unsigned char *)token, strlen(token),
	                         a->salt, sizeof(a->salt));
}

struct gw_auth *
gw_auth_new(bool none, const char *token)
{
	struct gw_auth *a = mem_new(sizeof(*a));
	int rc = sodium_init();

	assert(rc >= 0);
	(void)rc;
	a->none = none;
	randombytes_buf(a->salt, sizeof(a->salt));
	gw_auth_set_token(a, token != NULL ? token : "");
	return a;
}

void
gw_auth_free(struct gw_auth *a)
{
	if (a == NULL)
		return;
	sodium_memzero(a, sizeof(*a));
	mem_free(a);
}

void
gw_auth_set_token(struct gw_auth *a, const char *token)
{
	unsigned char purpose[crypto_auth_KEYBYTES];

	if (token[0] == '\0') { /* no token at all: one that nobody knows */
		randombytes_buf(a->token, sizeof(a->token));
		randombytes_buf(a->key, sizeof(a->key));
		return;
	}
	digest(a, token, a->token);
	(void)crypto_generichash(purpose, sizeof(purpose),
	                         (const unsigned char *)DERIVED_PURPOSE,
	                         sizeof(DERIVED_PURPOSE) - 1, NULL, 0);
	(void)crypto_auth(a->key, (const unsigned char *)token, strlen(token), purpose);
}

/* Read all of fd as a token: printable ASCII, trailing white space cut. */
static int
read_token(int fd, const char *path, char **ret, struct err *err)
{
	char text[TOKEN_FILE_MAX + 1];
	ssize_t n = read(fd, text, sizeof(text) - 1);
	int rc = 0;

	if (n < 0)
		return err_set(err, -EIO, "%s: %s", path, strerrordesc_np(errno));
	if (n == TOKEN_FILE_MAX) { /* and perhaps there is more */
		sodium_memzero(text, sizeof(text));
		return err_set(err, -EINVAL, "%s: a token has less than %d bytes", path,
		               TOKEN_FILE_MAX);
	}
	while (n > 0 && (unsigned char)text[n - 1] <= ' ')
		n--;
	text[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			rc = -EINVAL;
	if (n == 0)
		rc = err_set(err, -EINVAL, "%s: the token file is empty", path);
	else if (rc != 0)
		(void)err_set(err, rc, "%s: a token is printable ASCII without spaces", path);
	else
		*ret = mem_strdup(text);
	sodium_memzero(text, sizeof(text));
	return rc;
}

static int
write_token(int fd, const char *path, char **ret, struct err *err)
{
	unsigned char raw[TOKEN_BYTES];
	char text[2 * TOKEN_BYTES + 2];
	ssize_t want = 2 * TOKEN_BYTES + 1, n;
	int rc = sodium_init();

	assert(rc >= 0);
	randombytes_buf(raw, sizeof(raw));
	(void)sodium_bin2hex(text, sizeof(text), raw, sizeof(raw));
	text[want - 1] = '\n';
	n = write(fd, text, (size_t)want);
	text[want - 1] = '\0';
	rc = 0;
	if (n != want) {
		rc = err_set(err, -EIO, "%s: %s", path,
		             n < 0 ? strerrordesc_np(errno) : "disk full");
		(void)unlink(path);
	} else {
		*ret = mem_strdup(text);
	}
	sodium_memzero(raw, sizeof(raw));
	sodium_memzero(text, sizeof(text));
	return rc;
}

int
gw_auth_token_file(const char *path, char **ret, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc;
	struct stat st;

	if (fd >= 0) {
		rc = write_token(fd, path, ret, err);
		(void)close(fd);
		return rc;
	}
	fd = errno == EEXIST ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = err_set(err, -EIO, "%s: %s", path, strerrordesc_np(errno));
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	if ((st.st_mode & 077) != 0)
		rc = err_set(err, -EACCES, "%s: others may read the token; chmod 600 it", path);
	else
		rc = read_token(fd, path, ret, err);
	(void)close(fd);
	return rc;
}

bool
gw_auth_check(const struct gw_auth *a, const char *token)
{
	unsigned char d[DIGEST_BYTES];

	if (a->none)
		return true;
	if (token == NULL)
		return false;
	digest(a, token, d);
	return sodium_memcmp(d, a->token, sizeof(d)) == 0;
}

static void
mac_hex(const struct gw_auth *a, const char *sandbox, size_t len, char ret[MAC_HEX + 1])
{
	unsigned char mac[crypto_auth_BYTES];

	(void)crypto_auth(mac, (const unsigned char *)sandbox, len, a->key);
	(void)sodium_bin2hex(ret, MAC_HEX + 1, mac, sizeof(mac));
}

char *
gw_auth_sandbox_token(const struct gw_auth *a, const char *sandbox)
{
	size_t len = strlen(sandbox), size = sizeof(DERIVED_PREFIX) + len + 1 + MAC_HEX;
	char *ret = mem_new(size);

	(void)snprintf(ret, size, DERIVED_PREFIX "%s.", sandbox);
	mac_hex(a, sandbox, len, ret + sizeof(DERIVED_PREFIX) + len);
	return ret;
}

char *
gw_auth_token_sandbox(const struct gw_auth *a, const char *token)
{
	char want[MAC_HEX + 1], *ret;
	const char *id, *dot;

	if (strncmp(token, DERIVED_PREFIX, sizeof(DERIVED_PREFIX) - 1) != 0)
		return NULL;
	id = token + sizeof(DERIVED_PREFIX) - 1;
	dot = strrchr(token, '.');
	if (dot <= id || strlen(dot + 1) != MAC_HEX)
		return NULL;
	mac_hex(a, id, (size_t)(dot - id), want);
	if (sodium_memcmp(want, dot + 1, MAC_HEX) != 0)
		return NULL;
	ret = mem_new((size_t)(dot - id) + 1);
	memcpy(ret, id, (size_t)(dot - id));
	return ret;
}
