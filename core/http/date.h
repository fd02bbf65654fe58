// The Date field of replies (RFC 9110 6.6.1). Pure.
#pragma once
#include <stdint.h>

enum { HTTP_DATE_BYTES = 29 };

// IMF-fixdate (RFC 9110 5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`, of a time in seconds since
// 1970-01-01 UTC. From the year 10000 on it writes the last second before.
void http_date_write(uint64_t unix_s, uint8_t target[HTTP_DATE_BYTES]);
