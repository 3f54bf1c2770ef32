/* gateway/status.c - see gateway/status.h. */
#include "gateway/status.h"

#include <errno.h>
#include <stddef.h>

static const struct {
	int rc;
	int http;
	const char *word;
} table[] = {
    {0, 200, "ok"},
    {-EINVAL, 400, "invalid"},
    {-EBADMSG, 400, "invalid"},
    {-EACCES, 403, "forbidden"},
    {-ENOENT, 404, "not_found"},
    {-EEXIST, 409, "exists"},
    {-EMSGSIZE, 413, "too_large"},
    {-EBUSY, 429, "busy"},
    {-ENOMEM, 429, "busy"},
    {-ECANCELED, 503, "stopping"},
    {-ETIMEDOUT, 504, "timeout"},
    {-EIO, 500, "failed"}, /* last: stands for every other code */
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static size_t
row(int rc)
{
	size_t i = 0;

	while (i < ROWS - 1 && table[i].rc != rc)
		i++;
	return i;
}

int
gw_status_http(int rc)
{
	return table[row(rc)].http;
}

const char *
gw_status_word(int rc)
{
	return table[row(rc)].word;
}

const char *
gw_status_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {204, "No Content"},
	    {206, "Partial Content"},
	    {302, "Found"},
	    {304, "Not Modified"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {410, "Gone"},
	    {411, "Length Required"},
	    {413, "Payload Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {416, "Range Not Satisfiable"},
	    {417, "Expectation Failed"},
	    {422, "Unprocessable Content"},
	    {426, "Upgrade Required"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Error";
}
