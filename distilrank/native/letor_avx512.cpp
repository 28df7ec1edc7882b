// Dense lines by AVX-512, in two steps. First, where tokens end: 64 bytes at a time are compared to
// a space, and the places of the hits are put one after the other. Second, eight tokens at a time:
// their bytes are brought to eight lanes of 64 bits by one permutation of the 128 bytes they lie in,
// checked against the ids, and turned into digits, doubles and floats side by side. What is no
// short decimal makes its eight tokens go one by one.
//
// The idea of an index of structural bytes: G. Langdale and D. Lemire, Parsing Gigabytes of JSON per
// Second, 2019.
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
    return _mm512_add_epi64(_mm512_unpacklo_epi32(eights, zero),
                            _mm512_mul_epu32(_mm512_unpackhi_epi32(eights, zero),
                                             _mm512_set1_epi64(100000000)));
}

// `value / 10^decimals`, as floats; a count of 16 decimals stands for none.
AVX512_INLINE __m256 divided(__m512i value, __m512i decimals) {
    const __m512d power =
        _mm512_permutex2var_pd(_mm512_load_pd(kPowers), decimals, _mm512_load_pd(kPowers + 8));
    return _mm512_cvtpd_ps(_mm512_div_pd(_mm512_cvtepi64_pd(value), power));
}

// Eight short decimals: each lane's text is the last `length` of its bytes. Gives a mask of the
// lanes that are none.
AVX512_INLINE __mmask8 short_decimals(Words text, __m512i length, __mmask8 negative,
                                      __m256 &values) {
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
    values = divided(joined(digits), _mm512_srli_epi64(after, 3));
    values = _mm256_castsi256_ps(_mm256_mask_or_epi32(
        _mm256_castps_si256(values), negative, _mm256_castps_si256(values),
        _mm256_set1_epi32(INT32_MIN)));
    return static_cast<__mmask8>(
        _mm512_test_epi64_mask(wrong, wrong) |
        _mm512_cmpge_epu64_mask(_mm512_sub_epi64(count, one), _mm512_set1_epi64(kLongestShort)) |
        _mm512_cmpgt_epu64_mask(length, _mm512_set1_epi64(16)));
}

// The bytes of `text` from each lane's place on.
AVX512_INLINE __m512i eight_at(const __m512i text[2], __m512i places, int64_t first) {
    const __m512i repeat = _mm512_broadcast_i32x4(
        _mm_set_epi64x(0x0808080808080808, 0));
    const __m512i index = _mm512_add_epi8(_mm512_shuffle_epi8(places, repeat),
                                          _mm512_set1_epi64(0x0706050403020100 + first));
    return _mm512_permutex2var_epi8(text[0], index, text[1]);
}

AVX512_INLINE __m512i wide(const uint32_t *at) {
    return _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at)));
}

// Eight tokens, each from its stop up to the next; false where one is not ` id:<short decimal>`.
AVX512_INLINE bool eight_tokens(const char *base, const uint32_t *stops, const Prefixes &prefixes,
                                size_t column, __mmask8 wanted, float *row) {
    const __m512i origin = _mm512_set1_epi64(stops[0]);
    const __m512i starts = _mm512_sub_epi64(wide(stops), origin);
    const __m512i ends = _mm512_sub_epi64(wide(stops + 1), origin);
    const __m512i text[2] = {_mm512_loadu_si512(base), _mm512_loadu_si512(base + 64)};
    const __m512i prefix = _mm512_loadu_si512(&prefixes.text[column]);
    const __m512i mask = _mm512_loadu_si512(&prefixes.mask[column]);
    const __m512i before = _mm512_loadu_si512(&prefixes.length[column]);
    const __m512i head = eight_at(text, starts, 0);
    const __mmask8 other =
        _mm512_test_epi64_mask(_mm512_xor_si512(head, prefix), mask);
    const __m512i sign = _mm512_and_si512(_mm512_srlv_epi64(head, _mm512_slli_epi64(before, 3)),
                                          _mm512_set1_epi64(255));
    const __mmask8 negative = _mm512_cmpeq_epi64_mask(sign, _mm512_set1_epi64('-'));
    // -16 and -8 in every byte, without a carry from byte to byte: see eight_at.
    const Words words{eight_at(text, ends, static_cast<int64_t>(0xf0f0f0f0f0f0f0f0)),
                      eight_at(text, ends, static_cast<int64_t>(0xf8f8f8f8f8f8f8f8))};
    const __m512i length = _mm512_sub_epi64(_mm512_sub_epi64(ends, starts), before);
    __m256 values;
    const __mmask8 wrong = short_decimals(words, length, negative, values);
    _mm256_mask_storeu_ps(row + column, wanted, values);
    return !((wrong | other) & wanted);
}

// The same tokens one by one, with any decimal.
bool single_tokens(const char *line, const uint32_t *stops, const Prefixes &prefixes, size_t column,
                   size_t count, float *row) {
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

// The places of spaces and control characters from `line` on, at least `wanted`; false where the
// line ends before or they stand too dense.
AVX512 bool find_stops(const char *line, size_t wanted, uint32_t *stops) {
    const __m512i places = _mm512_set_epi64(
        0x3f3e3d3c3b3a3938, 0x3736353433323130, 0x2f2e2d2c2b2a2928, 0x2726252423222120,
        0x1f1e1d1c1b1a1918, 0x1716151413121110, 0x0f0e0d0c0b0a0908, 0x0706050403020100);
    size_t count = 0;
    for (uint32_t block = 0;; block += 64) {
        const __m512i bytes = _mm512_loadu_si512(line + block);
        const uint64_t found = _mm512_cmple_epu8_mask(bytes, _mm512_set1_epi8(' '));
        const uint64_t ends = _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8('\n'));
        const uint64_t here = found & (ends ^ (ends - 1));
        const __m128i first = _mm512_castsi512_si128(_mm512_maskz_compress_epi8(here, places));
        _mm512_storeu_si512(stops + count, _mm512_add_epi32(_mm512_cvtepu8_epi32(first),
                                             _mm512_set1_epi32(static_cast<int>(block))));
        // A token has at least 4 bytes: more stops than 16 are no regular line.
        const auto added = static_cast<size_t>(_mm_popcnt_u64(here));
        if (added > 16) return false;
        count += added;
        if (count >= wanted) return true;
        if (ends) return false;
    }
}

} // namespace

bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2");
}

AVX512 const char *dense_values_avx512(const char *at, const Prefixes &prefixes, int64_t n_features,
                                       uint32_t *stops, float *row) {
    const auto width = static_cast<size_t>(n_features);
    if (!find_stops(at, width + 1, stops)) return nullptr;
    for (size_t column = 0; column < width; column += kLanes) {
        const size_t count = std::min<size_t>(kLanes, width - column);
        const uint32_t *places = stops + column;
        const auto wanted = static_cast<__mmask8>(_bzhi_u32(255, static_cast<unsigned>(count)));
        if (places[count] - places[0] <= kReach &&
            eight_tokens(at + places[0], places, prefixes, column, wanted, row))
            continue;
        if (!single_tokens(at, places, prefixes, column, count, row)) return nullptr;
    }
    return at + stops[width];
}

} // namespace distilrank

#else

namespace distilrank {

bool has_avx512() { return false; }

const char *dense_values_avx512(const char *, const Prefixes &, int64_t, uint32_t *, float *) {
    return nullptr;
}

} // namespace distilrank

#endif
