/* gateway/time.c - see gateway/time.h. */
#include "gateway/time.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Two digits, or -1. */
static int
read_two(const char *p)
{
	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return -1;
	return 10 * (p[0] - '0') + (p[1] - '0');
}

/* Read "+01:00", "-0130" or "Z" as ms; false if it is none of them. */
static bool
read_zone(const char *p, int64_t *ret)
{
	const int sign = *p == '-' ? -1 : 1;
	int hours;
	int minutes;

	*ret = 0;
	if (strcmp(p, "Z") == 0 || strcmp(p, "z") == 0)
		return true;
	if (*p != '+' && *p != '-' && *p != ' ')
		return false;
	hours = read_two(p + 1);
	if (hours < 0)
		return false;
	p += p[3] == ':' ? 4 : 3;
	minutes = read_two(p);
	*ret = (int64_t)(hours * 60 + minutes) * 60000 * sign;
	return minutes >= 0 && p[2] == '\0';
}

int64_t
gw_time_parse(const char *text)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t ms = 0;
	int64_t zone;
	int64_t unit = 100;

	if (p == NULL)
		return -1;
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			ms += (*p - '0') * unit;
	}
	if (!read_zone(p, &zone))
		return -1;
	ms += (int64_t)timegm(&tm) * 1000 - zone;
	return ms >= 0 ? ms : -1;
}
