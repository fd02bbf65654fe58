#include "core/http/date.h"

#include <string.h>

#include "core/base/pure.h"

enum { DAY_S = 24 * 3600 };
static const uint64_t UNIX_S_MAX = 253402300799; // 9999-12-31 23:59:59

static void date_put_number(uint8_t *target, uint32_t digits, uint32_t number) {
    for (uint32_t i = digits; i > 0; i--) {
        target[i - 1] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

void http_date_write(uint64_t unix_s, uint8_t target[HTTP_DATE_BYTES]) {
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; // 1970-01-01 was a Thursday
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t bounded_s = unix_s < UNIX_S_MAX ? unix_s : UNIX_S_MAX;
    uint32_t days = (uint32_t)(bounded_s / DAY_S);
    uint32_t second = (uint32_t)(bounded_s % DAY_S);
    // Days since 0000-03-01, so that a leap day is the last of its year; eras of 400 years.
    uint32_t shifted = days + 719468;
    uint32_t era_day = shifted % 146097;
    uint32_t era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
    uint32_t year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    uint32_t march_month = (5 * year_day + 2) / 153; // 0 is March
    uint32_t day = year_day - (153 * march_month + 2) / 5 + 1;
    uint32_t month = march_month < 10 ? march_month + 2 : march_month - 10; // 0 is January
    uint32_t year = shifted / 146097 * 400 + era_year + (month < 2 ? 1 : 0);
    memcpy(target, "---, -- --- ---- --:--:-- GMT", HTTP_DATE_BYTES);
    memcpy(target, weekdays + days % 7 * 3, 3);
    date_put_number(target + 5, 2, day);
    memcpy(target + 8, months + month * 3, 3);
    date_put_number(target + 12, 4, year);
    date_put_number(target + 17, 2, second / 3600);
    date_put_number(target + 20, 2, second / 60 % 60);
    date_put_number(target + 23, 2, second % 60);
}
