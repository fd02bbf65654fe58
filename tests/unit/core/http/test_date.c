#include "core/http/date.h"
#include "tests/unit/core/http/http_test.h"

#include <time.h>

static void expect_date(uint64_t unix_s, const char *wanted) {
    uint8_t date[HTTP_DATE_BYTES];
    http_date_write(unix_s, date);
    http_test_is(span_make(date, sizeof date), wanted);
}

Test(date, rfc_9110_example) {
    expect_date(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
}

Test(date, ends_of_days_months_years_and_centuries) {
    expect_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    expect_date(86399, "Thu, 01 Jan 1970 23:59:59 GMT");
    expect_date(86400, "Fri, 02 Jan 1970 00:00:00 GMT");
    expect_date(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
    expect_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    expect_date(951868800, "Wed, 01 Mar 2000 00:00:00 GMT");
    expect_date(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT");
    expect_date(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
    expect_date(1704067199, "Sun, 31 Dec 2023 23:59:59 GMT");
}

Test(date, the_last_year_with_four_digits) {
    expect_date(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
    expect_date(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT");
    expect_date(UINT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
}

Test(date, as_the_c_library_says_for_every_eleventh_day) {
    for (uint64_t unix_s = 5; unix_s < 253402300799; unix_s += 11 * 86400 + 3661) {
        time_t at = (time_t)unix_s;
        struct tm parts;
        char wanted[64];
        cr_assert_not_null(gmtime_r(&at, &parts));
        cr_assert_eq(strftime(wanted, sizeof wanted, "%a, %d %b %Y %H:%M:%S GMT", &parts),
                     (size_t)HTTP_DATE_BYTES);
        expect_date(unix_s, wanted);
    }
}
