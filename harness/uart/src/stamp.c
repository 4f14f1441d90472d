/* Time stamps at the start of a line: the bench's ISO stamp, "[   0.001]", "12:34:56.789", "I (1234) ". */
#include "hil_uart.h"

static bool digits(const uint8_t *p, size_t n, size_t at, size_t count, unsigned *out) {
    if (at + count > n)
        return false;
    unsigned value = 0;
    for (size_t i = at; i < at + count; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        value = value * 10 + (unsigned)(p[i] - '0');
    }
    *out = value;
    return true;
}

/* ".123456": the fraction and where it ends. */
static size_t fraction(const uint8_t *p, size_t n, size_t at, double *out) {
    double scale = 0.1, value = 0;
    if (at >= n || (p[at] != '.' && p[at] != ','))
        return at;
    size_t i = at + 1;
    for (; i < n && p[i] >= '0' && p[i] <= '9' && i - at <= 9; i++) {
        value += scale * (p[i] - '0');
        scale /= 10;
    }
    *out += value;
    return i;
}

static bool clock_at(const uint8_t *p, size_t n, size_t at, double *seconds, size_t *end) {
    unsigned h, m, s;
    if (!digits(p, n, at, 2, &h) || !digits(p, n, at + 3, 2, &m) || !digits(p, n, at + 6, 2, &s) ||
        p[at + 2] != ':' || p[at + 5] != ':' || h > 23 || m > 59 || s > 60)
        return false;
    *seconds = h * 3600.0 + m * 60.0 + s;
    *end = fraction(p, n, at + 8, seconds);
    return true;
}

/* Days since 1970 of a civil date (proleptic Gregorian). */
static long days(unsigned year, unsigned month, unsigned day) {
    long y = (long)year - (month <= 2);
    long era = y / 400, yoe = y - era * 400;
    long doy = (153 * ((long)month + (month > 2 ? -3 : 9)) + 2) / 5 + (long)day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static size_t iso(const uint8_t *p, size_t n, double *t) {
    unsigned year, month, day;
    double seconds;
    size_t end;
    if (n < 20 || !digits(p, n, 0, 4, &year) || p[4] != '-' || !digits(p, n, 5, 2, &month) || p[7] != '-' ||
        !digits(p, n, 8, 2, &day) || (p[10] != 'T' && p[10] != ' ') || month < 1 || month > 12 || day < 1 ||
        day > 31 || year < 1970 || !clock_at(p, n, 11, &seconds, &end))
        return 0;
    if (end < n && p[end] == 'Z')
        end++;
    *t = (double)days(year, month, day) * 86400.0 + seconds;
    return end;
}

static size_t bracket(const uint8_t *p, size_t n, double *t) {
    size_t i = 1;
    while (i < n && p[i] == ' ' && i < 16)
        i++;
    size_t start = i;
    double seconds = 0;
    if (clock_at(p, n, i, &seconds, &i)) { /* Zephyr: [00:00:05.123,000] */
        while (i < n && i - start < 24 && (p[i] == ',' || (p[i] >= '0' && p[i] <= '9')))
            i++;
        if (i >= n || p[i] != ']')
            return 0;
        *t = seconds;
        return i + 1;
    }
    seconds = 0;
    i = start;
    while (i < n && p[i] >= '0' && p[i] <= '9' && i - start < 10)
        seconds = seconds * 10 + (p[i++] - '0');
    if (i == start || i >= n || p[i] != '.')
        return 0; /* "[1234]" may be anything: no unit */
    i = fraction(p, n, i, &seconds);
    if (i >= n || p[i] != ']')
        return 0;
    *t = seconds;
    return i + 1;
}

static size_t esp(const uint8_t *p, size_t n, double *t) {
    if (n < 5 || p[1] != ' ' || p[2] != '(' ||
        (p[0] != 'I' && p[0] != 'W' && p[0] != 'E' && p[0] != 'D' && p[0] != 'V'))
        return 0;
    double ms = 0;
    size_t i = 3;
    while (i < n && p[i] >= '0' && p[i] <= '9' && i < 15)
        ms = ms * 10 + (p[i++] - '0');
    if (i == 3 || i >= n || p[i] != ')')
        return 0;
    *t = ms / 1000;
    return i + 1;
}

size_t hil_uart_stamp(const uint8_t *p, size_t n, double *t) {
    if (n < 5)
        return 0;
    size_t end = iso(p, n, t);
    if (end == 0 && p[0] == '[')
        end = bracket(p, n, t);
    if (end == 0 && p[0] >= '0' && p[0] <= '9') {
        if (!clock_at(p, n, 0, t, &end))
            end = 0;
    }
    if (end == 0)
        end = esp(p, n, t);
    if (end == 0)
        return 0;
    if (end < n && p[end] != ' ' && p[end] != ':' && p[end] != '\t' && p[end] != ']')
        return 0;
    return end < n ? end + 1 : end;
}
