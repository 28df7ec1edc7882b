// Dense lines by AVX-512, in two steps. First, where tokens end: 64 bytes at a time are compared to
// a space, and the places of the hits are put one after the other. Second, eight tokens at a time:
// their bytes are brought to eight lanes of 64 bits by one permutation of the 128 bytes they lie
// in, checked against the ids, and turned into digits, doubles and floats side by side. Where a
// value has more than eight digits, or is no short decimal, its eight tokens are read again.
//
// The idea of an index of structural bytes: G. Langdale and D. Lemire, Parsing Gigabytes of JSON
// per Second, 2019.
#include "letor_avx512.hpp"

#include <algorithm>

#include "letor_decimal.hpp"

#if defined(__x86_64__) && defined(__GNUC__)

// GCC's own header reads undefined registers on purpose, and warns of it.
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

// The compiler takes these instructions only in the functions marked so: nothing else in the
// library may use them.
#define AVX512                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vbmi2,"    \
                          "bmi,bmi2,popcnt")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) inline

namespace distilrank {
namespace {

constexpr int kLanes = 8;
// The bytes that one permutation reaches.
constexpr uint32_t kReach = 128;
// No line goes on for so long; places are numbers of 32 bits.
constexpr ptrdiff_t kFarthest = 1 << 30;

// Each lane's 16 bytes, most significant digit first: `low` has the last 8 of them.
struct Words {
    __m512i high, low;
};

AVX512_INLINE __m512i ones() { return _mm512_set1_epi64(-1); }

// A mask of each lane's last `count` bytes, in the last 8 bytes and in the 8 before them.
AVX512_INLINE Words last_bytes(__m512i count) {
    const __m512i bits = _mm512_slli_epi64(count, 3);
    const __m512i from = _mm512_sub_epi64(_mm512_set1_epi64(64), bits);
    const __m512i zero = _mm512_setzero_si512();
    return {_mm512_sllv_epi64(ones(), _mm512_add_epi64(from, _mm512_set1_epi64(64))),
            _mm512_sllv_epi64(ones(), _mm512_max_epi64(from, zero))};
}

// The number that each lane's 16 digits, as bytes of 0 to 9, are: neighbours are joined four times.
AVX512_INLINE __m512i joined(Words digits) {
    const __m512i tens = _mm512_set1_epi16(10 | 1 << 8);
    const __m512i hundreds = _mm512_set1_epi32(100 | 1 << 16);
    const __m512i high = _mm512_madd_epi16(_mm512_maddubs_epi16(digits.high, tens), hundreds);
    const __m512i low = _mm512_madd_epi16(_mm512_maddubs_epi16(digits.low, tens), hundreds);
    const __m512i fours = _mm512_packus_epi32(low, high);
    const __m512i eights = _mm512_madd_epi16(fours, _mm512_set1_epi32(10000 | 1 << 16));
    const __m512i zero = _mm512_setzero_si512();
    return _mm512_add_epi64(
        _mm512_unpacklo_epi32(eights, zero),
        _mm512_mul_epu32(_mm512_unpackhi_epi32(eights, zero), _mm512_set1_epi64(100000000)));
}

// Eight short decimals: each lane's text is the last `length` of its bytes. Gives their digits, how
// many of them are decimals (16 stands for none), and a mask of the lanes that are none.
AVX512_INLINE __mmask8 short_decimals(Words text, __m512i length, __mmask8 negative,
                                      __m512i &number, __m512i &decimals) {
    const __m512i point = _mm512_set1_epi8('.'), one = _mm512_set1_epi64(1);
    const Words inside = last_bytes(length);
    const __m512i high = _mm512_and_si512(text.high, inside.high);
    const __m512i low = _mm512_and_si512(text.low, inside.low);
    const __m512i point_high = _mm512_movm_epi8(_mm512_cmpeq_epi8_mask(high, point));
    const __m512i point_low = _mm512_movm_epi8(_mm512_cmpeq_epi8_mask(low, point));
    // How many bits follow the last point: 128 where there is none.
    const __mmask8 not_low = _mm512_testn_epi64_mask(point_low, point_low);
    const __m512i after_low = _mm512_lzcnt_epi64(point_low);
    const __m512i after_high = _mm512_lzcnt_epi64(point_high);
    const __m512i after = _mm512_mask_add_epi64(after_low, not_low, after_low, after_high);
    const __mmask8 has_point = _mm512_cmpneq_epi64_mask(after, _mm512_set1_epi64(128));
    // The digits before the point move up over it.
    const __m512i all = _mm512_set1_epi64(64);
    const __m512i stay_low = _mm512_sllv_epi64(ones(), _mm512_sub_epi64(all, after_low));
    const __m512i stay_high =
        _mm512_maskz_sllv_epi64(not_low, ones(), _mm512_sub_epi64(all, after_high));
    constexpr int select = 0xca;
    const __m512i moved_low =
        _mm512_ternarylogic_epi64(stay_low, low, _mm512_shldi_epi64(low, high, 8), select);
    const __m512i moved_high =
        _mm512_ternarylogic_epi64(stay_high, high, _mm512_slli_epi64(high, 8), select);

    __m512i count = _mm512_mask_sub_epi64(length, negative, length, one);
    count = _mm512_mask_sub_epi64(count, has_point, count, one);
    const Words counted = last_bytes(count);
    const __m512i naught = _mm512_set1_epi8('0');
    const Words digits{_mm512_and_si512(_mm512_sub_epi8(moved_high, naught), counted.high),
                       _mm512_and_si512(_mm512_sub_epi8(moved_low, naught), counted.low)};
    const __m512i largest = _mm512_max_epu8(digits.high, digits.low);
    const __m512i wrong = _mm512_movm_epi8(_mm512_cmpgt_epu8_mask(largest, _mm512_set1_epi8(9)));
    number = joined(digits);
    decimals = _mm512_srli_epi64(after, 3);
    return static_cast<__mmask8>(
        _mm512_test_epi64_mask(wrong, wrong) |
        _mm512_cmpge_epu64_mask(_mm512_sub_epi64(count, one), _mm512_set1_epi64(kLongestShort)) |
        _mm512_cmpgt_epu64_mask(length, _mm512_set1_epi64(16)));
}

// Each lane's eight bytes from `places` (repeated in all bytes) + `first` (likewise) on.
AVX512_INLINE __m512i eight_at(const __m512i text[2], __m512i places, int64_t first) {
    const __m512i index = _mm512_add_epi8(places, _mm512_set1_epi64(0x0706050403020100 + first));
    return _mm512_permutex2var_epi8(text[0], index, text[1]);
}

// Before the place: no carry goes from byte to byte of 7, 6, ... 0 + these.
constexpr auto kEight = static_cast<int64_t>(0xf8f8f8f8f8f8f8f8);
constexpr auto kNine = static_cast<int64_t>(0xf7f7f7f7f7f7f7f7);
constexpr auto kSixteen = static_cast<int64_t>(0xf0f0f0f0f0f0f0f0);

// How many tokens the lanes have from this column on.
inline unsigned lanes(size_t column, size_t width) {
    return static_cast<unsigned>(std::min<size_t>(kLanes, width - column));
}

// Eight tokens of ` id:value`, from stop to stop. Lanes are tokens.
struct Tokens {
    __m512i text[2];      // the kReach bytes from the first token on
    __m512i starts, ends; // places in them, repeated in all bytes of a lane
    __m512i head;         // a token's first eight bytes
    __mmask8 other;       // another id
    __mmask8 negative;    // a minus before the value
    __m512i bits;         // 8 times the value's length
};

AVX512_INLINE Tokens tokens_at(const char *line, const uint32_t *stops, const Prefixes &prefixes,
                               size_t column) {
    Tokens found;
    const char *base = line + stops[0];
    found.text[0] = _mm512_loadu_si512(base);
    found.text[1] = _mm512_loadu_si512(base + 64);
    const __m512i places =
        _mm512_sub_epi32(_mm512_loadu_si512(stops), _mm512_set1_epi32(static_cast<int>(stops[0])));
    // Byte 4 k of the places to all bytes of lane k, and byte 4 (k + 1).
    const __m512i lane = _mm512_set_epi64(
        0x1c1c1c1c1c1c1c1c, 0x1818181818181818, 0x1414141414141414, 0x1010101010101010,
        0x0c0c0c0c0c0c0c0c, 0x0808080808080808, 0x0404040404040404, 0);
    found.starts = _mm512_permutexvar_epi8(lane, places);
    found.ends = _mm512_permutexvar_epi8(_mm512_add_epi8(lane, _mm512_set1_epi8(4)), places);
    found.head = eight_at(found.text, found.starts, 0);
    found.other = _mm512_test_epi64_mask(
        _mm512_xor_si512(found.head, _mm512_loadu_si512(&prefixes.text[column])),
        _mm512_loadu_si512(&prefixes.mask[column]));
    found.negative = _mm512_testn_epi64_mask(
        _mm512_xor_si512(found.head, _mm512_loadu_si512(&prefixes.minus_text[column])),
        _mm512_loadu_si512(&prefixes.minus_mask[column]));
    const __m512i size = _mm512_maskz_sub_epi8(0x0101010101010101, found.ends, found.starts);
    found.bits =
        _mm512_slli_epi64(_mm512_sub_epi64(size, _mm512_loadu_si512(&prefixes.length[column])), 3);
    return found;
}

AVX512_INLINE void store(float *row, __mmask8 wanted, __mmask8 negative, __m512i digits,
                         __m512d power) {
    const __m512d exact = _mm512_div_pd(_mm512_cvtepi64_pd(digits), power);
    const __m256i bits = _mm256_castps_si256(_mm512_cvtpd_ps(exact));
    const __m256i sign = _mm256_set1_epi32(INT32_MIN);
    _mm256_mask_storeu_epi32(row, wanted, _mm256_mask_or_epi32(bits, negative, bits, sign));
}

// Values of at most eight digits; false where one is no such.
AVX512_INLINE bool short_values(const Tokens &tokens, unsigned count, float *row) {
    const auto wanted = static_cast<__mmask8>(_bzhi_u32(255, count));
    const __m512i all = _mm512_set1_epi64(64), eight = _mm512_set1_epi64(8);
    const __m512i last = eight_at(tokens.text, tokens.ends, kEight);
    const __m512i moved = eight_at(tokens.text, tokens.ends, kNine);
    // How many bits follow the last point, which may be another value's.
    const __m512i points = _mm512_movm_epi8(_mm512_cmpeq_epi8_mask(last, _mm512_set1_epi8('.')));
    const __m512i after = _mm512_lzcnt_epi64(points);
    const __mmask8 has_point =
        _mm512_mask_cmplt_epu64_mask(_mm512_test_epi64_mask(points, points), after, tokens.bits);
    // The digits before the point move up over it.
    const __m512i stay = _mm512_sllv_epi64(ones(), _mm512_sub_epi64(all, after));
    constexpr int c_ask_a_else_b = 0xe4;
    const __m512i text =
        _mm512_mask_ternarylogic_epi64(last, has_point, moved, stay, c_ask_a_else_b);
    // The digits are the bytes from this bit on.
    __m512i from = _mm512_sub_epi64(all, tokens.bits);
    from = _mm512_mask_add_epi64(from, tokens.negative, from, eight);
    from = _mm512_mask_add_epi64(from, has_point, from, eight);
    const __m512i digits = _mm512_and_si512(_mm512_sub_epi8(text, _mm512_set1_epi8('0')),
                                            _mm512_sllv_epi64(ones(), from));
    const uint64_t bytes = _bzhi_u64(~uint64_t{0}, 8 * count);
    const uint64_t no_digit = _mm512_cmpgt_epu8_mask(digits, _mm512_set1_epi8(9)) & bytes;
    const auto no_length = _mm512_cmpgt_epu64_mask(from, _mm512_set1_epi64(56));
    const __m512i fours =
        _mm512_madd_epi16(_mm512_maddubs_epi16(digits, _mm512_set1_epi16(10 | 1 << 8)),
                          _mm512_set1_epi32(100 | 1 << 16));
    const __m512i eights = _mm512_add_epi64(_mm512_mul_epu32(fours, _mm512_set1_epi64(10000)),
                                            _mm512_srli_epi64(fours, 32));
    const __m512d power = _mm512_permutexvar_pd(_mm512_maskz_srli_epi64(has_point, after, 3),
                                                _mm512_load_pd(kPowers));
    store(row, wanted, tokens.negative, eights, power);
    return !(no_digit | ((no_length | tokens.other) & wanted));
}

// Values of at most 15 digits.
AVX512 __attribute__((noinline)) bool long_values(const char *line, const uint32_t *stops,
                                                  const Prefixes &prefixes, size_t column,
                                                  unsigned count, float *row) {
    const auto wanted = static_cast<__mmask8>(_bzhi_u32(255, count));
    const Tokens tokens = tokens_at(line, stops, prefixes, column);
    const Words words{eight_at(tokens.text, tokens.ends, kSixteen),
                      eight_at(tokens.text, tokens.ends, kEight)};
    __m512i digits, decimals;
    const __mmask8 wrong =
        short_decimals(words, _mm512_srli_epi64(tokens.bits, 3), tokens.negative, digits, decimals);
    const __m512d power =
        _mm512_permutex2var_pd(_mm512_load_pd(kPowers), decimals, _mm512_load_pd(kPowers + 8));
    store(row, wanted, tokens.negative, digits, power);
    return !((wrong | tokens.other) & wanted);
}

// The same tokens one by one, with any decimal.
__attribute__((noinline)) bool single_tokens(const char *line, const uint32_t *stops,
                                             const Prefixes &prefixes, size_t column, size_t count,
                                             float *row) {
    for (size_t k = 0; k < count; ++k) {
        const char *at = line + stops[k];
        uint64_t head;
        std::memcpy(&head, at, sizeof head);
        if ((head & prefixes.mask[column + k]) != prefixes.text[column + k]) return false;
        at += prefixes.length[column + k];
        float &value = row[column + k];
        if (!short_decimal(at, value) && !other_decimal(at, value)) return false;
        if (at != line + stops[k + 1]) return false;
    }
    return true;
}

// The places of spaces and control characters from `line` on, at least `wanted`; line ends are
// passed by, since no prefix has one. False where the text ends before, or they stand too dense.
AVX512_INLINE bool find_stops(const char *line, const char *end, size_t wanted, uint32_t *stops) {
    const __m512i places = _mm512_set_epi64(
        0x3f3e3d3c3b3a3938, 0x3736353433323130, 0x2f2e2d2c2b2a2928, 0x2726252423222120,
        0x1f1e1d1c1b1a1918, 0x1716151413121110, 0x0f0e0d0c0b0a0908, 0x0706050403020100);
    size_t count = 0;
    for (uint32_t block = 0;; block += 64) {
        const __m512i bytes = _mm512_loadu_si512(line + block);
        const uint64_t here = _mm512_cmple_epu8_mask(bytes, _mm512_set1_epi8(' '));
        const __m128i first = _mm512_castsi512_si128(_mm512_maskz_compress_epi8(here, places));
        _mm512_storeu_si512(stops + count,
                            _mm512_add_epi32(_mm512_cvtepu8_epi32(first),
                                             _mm512_set1_epi32(static_cast<int>(block))));
        // A token has at least 4 bytes: more stops than 16 are no regular line.
        const auto added = static_cast<size_t>(_mm_popcnt_u64(here));
        if (added > 16) return false;
        count += added;
        if (count >= wanted) return true;
        if (end - line <= block + 64) return false;
    }
}

} // namespace

bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
}

AVX512 const char *dense_values_avx512(const char *at, const char *end, Prefixes &prefixes,
                                       int64_t n_features, float *row) {
    const auto width = static_cast<size_t>(n_features);
    uint32_t *const stops = prefixes.stops.data(), *const again = prefixes.again.data();
    end = at + std::min(end - at, kFarthest);
    if (*at != ' ' || !find_stops(at, end, width + 1, stops)) return nullptr;
    size_t left_over = 0;
    for (size_t column = 0; column < width; column += kLanes) {
        const unsigned count = lanes(column, width);
        const bool near = stops[column + count] - stops[column] <= kReach;
        const Tokens tokens = tokens_at(at, stops + column, prefixes, column);
        // No branch: the processor would learn only at the end of a long chain that it went astray.
        again[left_over] = static_cast<uint32_t>(column);
        left_over += !(short_values(tokens, count, row + column) & near);
    }
    for (size_t k = 0; k < left_over; ++k) {
        const size_t column = again[k];
        const unsigned count = lanes(column, width);
        const bool near = stops[column + count] - stops[column] <= kReach;
        if (near && long_values(at, stops + column, prefixes, column, count, row + column))
            continue;
        if (!single_tokens(at, stops + column, prefixes, column, count, row)) return nullptr;
    }
    return at + stops[width];
}

} // namespace distilrank

#else

namespace distilrank {

bool has_avx512() { return false; }

const char *dense_values_avx512(const char *, const char *, Prefixes &, int64_t, float *) {
    return nullptr;
}

} // namespace distilrank

#endif
