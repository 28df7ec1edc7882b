// The network scorer for AVX2 and FMA.
#include <cstdint>
#include <immintrin.h>

#include "network_kernels.hpp"

namespace distilrank {
namespace {

struct Avx2 {
    using Vector = __m256;
    static constexpr int kWidth = 8;
    static constexpr int kVectors = 2, kHeight = 6; // a tile is 12 of 16 registers
    static constexpr int kFewRows = 4;              // by 3 vectors

    static Vector zero() { return _mm256_setzero_ps(); }
    static Vector load(const float *from) { return _mm256_loadu_ps(from); }
    static Vector load_part(const float *from, int count) {
        return _mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(count),
                                                           _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
    }
    static Vector broadcast(const float *from) { return _mm256_set1_ps(*from); }
    static void store(float *to, Vector x) { _mm256_storeu_ps(to, x); }
    static Vector fma(Vector x, Vector y, Vector z) { return _mm256_fmadd_ps(x, y, z); }
    // NaN passes: min and max give their second operand then.
    static Vector clamp(Vector x, Vector low, Vector high) {
        return _mm256_min_ps(high, _mm256_max_ps(low, x));
    }
    // NaN becomes the lower bound.
    static Vector clamp_numbers(Vector x, Vector low, Vector high) {
        return _mm256_min_ps(_mm256_max_ps(x, low), high);
    }
    static Vector replace(Vector x, Vector what, Vector other, Vector by) {
        return _mm256_blendv_ps(other, by, _mm256_cmp_ps(x, what, _CMP_EQ_OQ));
    }
    static Vector gather(const float *from, const int32_t *indices) {
        const auto at = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(indices));
        return _mm256_i32gather_ps(from, at, 4);
    }

    // The words that are not zero, side by side, with their numbers from `first` on; how many.
    static int64_t active(const float *words, int count, int32_t first, float *values,
                          int32_t *indices) {
        int64_t found = 0;
        for (int32_t lane = 0; lane < count; ++lane) {
            int32_t bits;
            __builtin_memcpy(&bits, words + lane, sizeof bits);
            values[found] = words[lane];
            indices[found] = first + lane;
            found += bits != 0;
        }
        return found;
    }

    // bf16 in words: the halves as floats, two vectors of floats as words, one as half as many.
    static Vector lower(Vector words) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(words), 16));
    }
    static Vector upper(Vector words) {
        return _mm256_castsi256_ps(
            _mm256_and_si256(_mm256_castps_si256(words), _mm256_set1_epi32(-65536)));
    }
    // To the nearest, ties to even, in the upper half; NaN stays NaN: its lower half is dropped.
    static __m256i rounded(Vector x) {
        const __m256i bits = _mm256_castps_si256(x);
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
        const __m256i up = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        const __m256i number = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q));
        return _mm256_add_epi32(bits, _mm256_and_si256(up, number));
    }
    static Vector packed(Vector low, Vector high) {
        return _mm256_castsi256_ps(
            _mm256_blend_epi16(_mm256_srli_epi32(rounded(low), 16), rounded(high), 0xaa));
    }
    static void store_halves(float *to, Vector x) {
        const __m256i halves = _mm256_srli_epi32(rounded(x), 16);
        const __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(halves, halves), 0x08);
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm256_castsi256_si128(both));
    }

    static Vector dot_pairs(Vector sum, Vector one, Vector other) {
        sum = fma(lower(one), lower(other), sum);
        return fma(upper(one), upper(other), sum);
    }

    // Whole numbers: sums of 32 bits as floats; weights of -127 to 127 times activations of 0 to
    // 255, four of each in a word, added up; and numbers of 0 to 255 from floats, to the nearest.
    static Vector from_whole(Vector sum) { return _mm256_cvtepi32_ps(_mm256_castps_si256(sum)); }
    // Products of bytes next to each other may be beyond 16 bits: first the even, then the odd ones.
    static Vector dot_bytes(Vector sum, Vector weight, Vector active) {
        const __m256i w = _mm256_castps_si256(weight), a = _mm256_castps_si256(active);
        const __m256i even = _mm256_madd_epi16(_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8),
                                               _mm256_and_si256(a, _mm256_set1_epi16(255)));
        const __m256i odd = _mm256_madd_epi16(_mm256_srai_epi16(w, 8), _mm256_srli_epi16(a, 8));
        return _mm256_castsi256_ps(
            _mm256_add_epi32(_mm256_castps_si256(sum), _mm256_add_epi32(even, odd)));
    }
    static Vector packed_bytes(const Vector *units) {
        const __m256i first = _mm256_or_si256(
            _mm256_cvtps_epi32(units[0]), _mm256_slli_epi32(_mm256_cvtps_epi32(units[1]), 8));
        const __m256i second = _mm256_or_si256(
            _mm256_slli_epi32(_mm256_cvtps_epi32(units[2]), 16),
            _mm256_slli_epi32(_mm256_cvtps_epi32(units[3]), 24));
        return _mm256_castsi256_ps(_mm256_or_si256(first, second));
    }
    static void store_bytes(float *to, Vector x) {
        const __m256i whole = _mm256_cvtps_epi32(x);
        const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(whole),
                                               _mm256_extracti128_si256(whole, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i *>(to), _mm_packus_epi16(halves, halves));
    }

    // Column `first` + c of 8 rows as out[c]; zeros where c is not below count.
    static void transposed(const float *const *row, int64_t first, int count, Vector *out) {
        Vector a[8], b[8];
        for (int r = 0; r < 8; ++r) a[r] = load_part(row[r] + first, count);
        // In both halves, 4x4 blocks; then the halves themselves.
        for (int r = 0; r < 8; r += 4) {
            const Vector low0 = _mm256_unpacklo_ps(a[r], a[r + 1]);
            const Vector low1 = _mm256_unpacklo_ps(a[r + 2], a[r + 3]);
            const Vector high0 = _mm256_unpackhi_ps(a[r], a[r + 1]);
            const Vector high1 = _mm256_unpackhi_ps(a[r + 2], a[r + 3]);
            b[r] = _mm256_shuffle_ps(low0, low1, 0x44);
            b[r + 1] = _mm256_shuffle_ps(low0, low1, 0xee);
            b[r + 2] = _mm256_shuffle_ps(high0, high1, 0x44);
            b[r + 3] = _mm256_shuffle_ps(high0, high1, 0xee);
        }
        for (int c = 0; c < 4; ++c) {
            out[c] = _mm256_permute2f128_ps(b[c], b[c + 4], 0x20);
            out[c + 4] = _mm256_permute2f128_ps(b[c], b[c + 4], 0x31);
        }
    }
};

} // namespace

const NetworkKernels network_avx2[kNetworkNumbers] = {
    CodeFp32<Avx2>::kernels("avx2"), CodeBf16<Avx2>::kernels("avx2"),
    CodeFp32ThenBf16<Avx2>::kernels("avx2"), CodeFp32ThenInt8<Avx2>::kernels("avx2")};

} // namespace distilrank
