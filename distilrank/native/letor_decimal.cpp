// The numbers that the fast paths leave over.
#include "letor_decimal.hpp"

#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <system_error>

namespace distilrank {
namespace {

bool same_letters(const char *at, const char *end, std::string_view word) {
    return static_cast<size_t>(end - at) == word.size() &&
           std::equal(at, end, word.begin(), [](char a, char b) { return (a | 32) == b; });
}

// A decimal whose double is 0 or infinite: is it the large kind? By the place of its first digit
// that is not 0.
bool is_large(const char *at, const char *end) {
    const char *exponent = std::find_if(at, end, [](char c) { return (c | 32) == 'e'; });
    const char *point = std::find(at, exponent, '.');
    const char *first = std::find_if(at, exponent, [](char c) { return c >= '1' && c <= '9'; });
    int64_t place = first < point ? point - first : point - first + 1;
    if (exponent != end) {
        const bool negative = exponent[1] == '-';
        const char *from = exponent + 1 + (negative || exponent[1] == '+');
        int64_t power = 0;
        for (; from != end && power < (int64_t{1} << 40); ++from)
            power = power * 10 + (*from - '0');
        place += negative ? -power : power;
    }
    return place > 0;
}

} // namespace

int64_t whole_number(const char *at, const char *end, int64_t most) {
    if (at == end) return -1;
    int64_t value = 0;
    for (; at != end; ++at) {
        if (!is_digit(*at)) return -1;
        const int64_t digit = *at - '0';
        if (digit > most || value > (most - digit) / 10) return -1;
        value = value * 10 + digit;
    }
    return value;
}

bool any_decimal(const char *at, const char *end, double &value) {
    const bool negative = at != end && *at == '-';
    at += at != end && (*at == '-' || *at == '+');
    const char *here = at;
    size_t digits = 0;
    for (; here != end && is_digit(*here); ++here) ++digits;
    if (here != end && *here == '.')
        for (++here; here != end && is_digit(*here); ++here) ++digits;
    if (!digits) {
        const bool infinite = same_letters(at, end, "inf") || same_letters(at, end, "infinity");
        value = infinite ? std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
        if (negative) value = -value;
        return infinite || same_letters(at, end, "nan");
    }
    if (here != end && (*here == 'e' || *here == 'E')) {
        ++here;
        here += here != end && (*here == '-' || *here == '+');
        if (here == end || !is_digit(*here)) return false;
        while (here != end && is_digit(*here)) ++here;
    }
    if (here != end) return false;
    value = 0;
    if (std::from_chars(at, end, value).ec == std::errc::result_out_of_range)
        value = is_large(at, end) ? std::numeric_limits<double>::infinity() : 0.0;
    if (negative) value = -value;
    return true;
}

bool as_float(double value, float &rounded) {
    constexpr float largest = std::numeric_limits<float>::max();
    if (value == std::numeric_limits<double>::max()) {
        rounded = largest;
        return true;
    }
    // False for NaN too.
    if (!(std::fabs(value) <= static_cast<double>(largest))) return false;
    rounded = static_cast<float>(value);
    return true;
}

bool other_decimal(const char *&at, float &value) {
    const char *end = at;
    while (!is_space(*end) && *end != '#') ++end;
    double exact;
    if (!any_decimal(at, end, exact) || !as_float(exact, value)) return false;
    at = end;
    return true;
}

} // namespace distilrank
