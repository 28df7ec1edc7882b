// Codes of int8 for gradients: four rows of 16 numbers as 16 words of four bytes, one of each row.
#pragma once

#include "avx512.hpp"
#include "gradient.hpp"
#include "words.hpp"

namespace distilrank {
namespace {

// The words' numbers, four to each: distilrank/quantise.py has the scheme of weights and activations.
constexpr float kActivationCodes = 255, kWeightCodes = 127;
constexpr float kActivationStep = 6 / kActivationCodes;
// Gradients are rounded at random by a byte: sums are of 1 / 256 of a step.
constexpr float kParts = 256;

// Marsaglia's xorshift (Journal of Statistical Software 2003) in 16 lanes. A seed of 0 gives 0 for
// ever: rounding down, which a reference can repeat.
class Noise {
public:
    explicit Noise(uint32_t seed) {
        alignas(64) uint32_t lanes[16];
        for (uint32_t lane = 0; lane < 16; ++lane) {
            // Murmur3's last step, so that neighbours have nothing in common.
            uint32_t x = seed + lane * 0x9e3779b9u;
            x = (x ^ (x >> 16)) * 0x85ebca6bu;
            x = (x ^ (x >> 13)) * 0xc2b2ae35u;
            lanes[lane] = seed ? (x ^ (x >> 16)) | 1u : 0;
        }
        state_ = _mm512_load_si512(lanes);
    }

    __m512i next() {
        state_ = _mm512_xor_si512(state_, _mm512_slli_epi32(state_, 13));
        state_ = _mm512_xor_si512(state_, _mm512_srli_epi32(state_, 17));
        state_ = _mm512_xor_si512(state_, _mm512_slli_epi32(state_, 5));
        return state_;
    }

private:
    __m512i state_;
};

struct Codes {
    // Numbers of at most 127 * kParts in size as signed codes, the next lower or higher one: how
    // often which, so that they are right on average.
    static __m512i rounded(__m512 a, __m512 b, __m512 c, __m512 d, __m512i noise) {
        const __m512i even = paired(a, c), odd = paired(b, d);
        const __m512i bytes = _mm512_set1_epi16(255);
        const __m512i first = _mm512_add_epi16(even, _mm512_and_si512(noise, bytes));
        const __m512i second = _mm512_add_epi16(odd, _mm512_srli_epi16(noise, 8));
        return _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, _mm512_srli_epi16(first, 8), second);
    }

    // The same words as rows of 16 bytes, one behind the other.
    static __m512i rows(__m512i words) {
        const __m512i in_lane = _mm512_broadcast_i32x4(
            _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
        const __m512i lanes =
            _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        return _mm512_permutexvar_epi32(lanes, _mm512_shuffle_epi8(words, in_lane));
    }

    static void store_rows(float *to, int64_t stride, __m512i rows) {
        store_row<0>(to, rows);
        store_row<1>(to + stride, rows);
        store_row<2>(to + 2 * stride, rows);
        store_row<3>(to + 3 * stride, rows);
    }

    // Adds up rows' signed bytes: four partial sums of each row, side by side.
    static __m512i add_rows(__m512i sums, __m512i rows) {
        return _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), rows);
    }
    static void store_sums(float *to, __m512i sums, float factor) {
        alignas(64) int32_t parts[16];
        _mm512_store_si512(parts, sums);
        for (int r = 0; r < 4; ++r) {
            const int32_t *const of = parts + 4 * r;
            to[r] = factor * static_cast<float>(of[0] + of[1] + of[2] + of[3]);
        }
    }

    // 16 units' codes as floats.
    static __m512 load_units(const float *from) {
        return _mm512_cvtepi32_ps(
            _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from))));
    }

    // Four rows of 16 signed codes, `stride` bytes apart, as words of codes with 128 added.
    static void store_unsigned(float *to, const int8_t *from, int64_t stride) {
        __m128i row[4];
        for (int r = 0; r < 4; ++r)
            row[r] = _mm_loadu_si128(reinterpret_cast<const __m128i *>(from + r * stride));
        const __m128i pairs[4] = {
            _mm_unpacklo_epi8(row[0], row[1]), _mm_unpackhi_epi8(row[0], row[1]),
            _mm_unpacklo_epi8(row[2], row[3]), _mm_unpackhi_epi8(row[2], row[3])};
        const __m128i words[4] = {
            _mm_unpacklo_epi16(pairs[0], pairs[2]), _mm_unpackhi_epi16(pairs[0], pairs[2]),
            _mm_unpacklo_epi16(pairs[1], pairs[3]), _mm_unpackhi_epi16(pairs[1], pairs[3])};
        for (int w = 0; w < 4; ++w)
            _mm_storeu_si128(reinterpret_cast<__m128i *>(to + 4 * w),
                             _mm_xor_si128(words[w], _mm_set1_epi8(-128)));
    }

private:
    // Two vectors of whole numbers as the halves of words.
    static __m512i paired(__m512 low, __m512 high) {
        return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_cvtps_epi32(low),
                                       _mm512_slli_epi32(_mm512_cvtps_epi32(high), 16));
    }

    template <int kRow>
    static void store_row(float *to, __m512i rows) {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm512_extracti32x4_epi32(rows, kRow));
    }
};

// What bytes are multiplied by: activations, unsigned, by weights; gradients of outputs, signed, by
// activations or by weights that are unsigned with 128 added.
template <bool kSignedLeft>
struct Bytes {
    // The type that the instruction has in the compiler: of another one GCC 12 keeps a copy in memory.
    typedef int32_t Sum __attribute__((vector_size(64)));

    static Sum none() { return Sum{}; }
    static __m512 floats(Sum sum) { return _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(sum)); }
    static Sum dot(Sum sum, __m512 one, __m512 vector) {
        const __m512i left = _mm512_castps_si512(one), right = _mm512_castps_si512(vector);
        const auto whole = reinterpret_cast<__m512i>(sum);
        return reinterpret_cast<Sum>(kSignedLeft ? _mm512_dpbusd_epi32(whole, right, left)
                                                 : _mm512_dpbusd_epi32(whole, left, right));
    }
};

} // namespace
} // namespace distilrank
