// Numbers in LETOR text, inside libdistilrank.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace distilrank {

// Vectors may be read so far before and after a token.
constexpr size_t kBefore = 32;
constexpr size_t kAfter = 192;

constexpr int kLongestShort = 15;
// 10^15 < 2^53: a short decimal's digits and its power of ten are exact as doubles, so that one
// division rounds correctly (W. D. Clinger, How to Read Floating Point Numbers Accurately, 1990).
alignas(64) constexpr double kPowers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                          1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What bytes.split() of Python splits at.
inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// A whole number of at least one digit up to `most` (below 2^63); -1 where the text is none.
int64_t whole_number(const char *at, const char *end, int64_t most);

// What Python's float() takes, without its underscores; false where the text is no number.
bool any_decimal(const char *at, const char *end, double &value);

// `value` as a float; the largest double, a missing value, becomes the largest float. False where
// it is NaN or beyond the floats.
bool as_float(double value, float &rounded);

// The value at `at` that is no short decimal, up to a space, line end or comment; false where it is
// no number or none for a float.
bool other_decimal(const char *&at, float &value);

#if defined(__SSE2__)

// The last n bytes of a vector are those of the vector at kLast + n.
alignas(32) constexpr uint8_t kLast[32] = {
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

inline __m128i load(const void *at) { return _mm_loadu_si128(static_cast<const __m128i *>(at)); }

// Sixteen bytes of 0 to 9, the most significant first, as one number: pairs of neighbours are
// joined four times.
inline uint64_t sixteen_digits(__m128i digits) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i tens = _mm_set1_epi32(10 | 1 << 16);
    const __m128i pairs = _mm_packs_epi32(_mm_madd_epi16(_mm_unpacklo_epi8(digits, zero), tens),
                                          _mm_madd_epi16(_mm_unpackhi_epi8(digits, zero), tens));
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
    const __m128i packed = _mm_packs_epi32(fours, fours);
    const __m128i eights = _mm_madd_epi16(packed, _mm_set1_epi32(10000 | 1 << 16));
    const auto both = static_cast<uint64_t>(_mm_cvtsi128_si64(eights));
    return (both & 0xffffffff) * 100000000 + (both >> 32);
}

// [-]digits[.[digits]] of at most 15 bytes up to a space or line end, where `at` then stands.
// No branch depends on the value: its length changes from token to token.
inline bool short_decimal(const char *&at, float &value) {
    const __m128i bytes = load(at);
    const auto found = [](__m128i mask) { return static_cast<uint32_t>(_mm_movemask_epi8(mask)); };
    const __m128i shifted = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    const uint32_t digits =
        found(_mm_cmpeq_epi8(_mm_min_epu8(shifted, _mm_set1_epi8(9)), shifted));
    const uint32_t points = found(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
    const uint32_t stops = found(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')),
                                              _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'))));
    const uint32_t stop = stops | 1u << 16;
    const int length = __builtin_ctz(stop);
    const uint32_t negative = *at == '-';
    // What is no digit: at most one byte, and that a point.
    const uint32_t other = (stop ^ (stop - 1)) >> 1 & ~digits & ~negative;
    const int has_point = other != 0;
    const int count = length - static_cast<int>(negative) - has_point;
    if ((other & ~points) | (other & (other - 1)) || length > kLongestShort || count < 1)
        return false;
    const int decimals = length - has_point - __builtin_ctz(other | 1u << (length - has_point));
    // The bytes that end with the token; those before the point move up over it.
    const char *end = at + length;
    const __m128i after = load(end - 16), before = load(end - 16 - has_point);
    const __m128i is_after = load(kLast + decimals);
    __m128i number =
        _mm_or_si128(_mm_and_si128(is_after, after), _mm_andnot_si128(is_after, before));
    number = _mm_and_si128(_mm_sub_epi8(number, _mm_set1_epi8('0')), load(kLast + count));
    const double exact = static_cast<double>(static_cast<int64_t>(sixteen_digits(number)));
    const auto positive = static_cast<float>(exact / kPowers[decimals]);
    uint32_t bits;
    std::memcpy(&bits, &positive, sizeof bits);
    bits |= negative << 31;
    std::memcpy(&value, &bits, sizeof bits);
    at = end;
    return true;
}

#else

inline bool short_decimal(const char *&at, float &value) {
    const char *here = at, *const start = at;
    const bool negative = *here == '-';
    here += negative;
    int64_t digits = 0;
    int count = 0, decimals = 0;
    bool point = false;
    for (; here - start <= kLongestShort && (is_digit(*here) || (*here == '.' && !point)); ++here) {
        if (*here == '.') {
            point = true;
            continue;
        }
        digits = digits * 10 + (*here - '0');
        ++count;
        decimals += point;
    }
    if (!count || here - start > kLongestShort || (*here != ' ' && *here != '\n')) return false;
    const auto positive = static_cast<float>(static_cast<double>(digits) / kPowers[decimals]);
    value = negative ? -positive : positive;
    at = here;
    return true;
}

#endif

} // namespace distilrank
