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

const NetworkKernels network_avx2 = NetworkCode<Fp32<Avx2>>::kernels;
const NetworkKernels network_avx2_bf16 = NetworkCode<Bf16<Avx2>>::kernels;

} // namespace distilrank
