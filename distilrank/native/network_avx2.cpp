// The network scorer for AVX2 and FMA.
#include <cstdint>
#include <immintrin.h>

namespace distilrank {
namespace {

struct Simd {
    using Vector = __m256;
    static constexpr int kWidth = 8;
    static constexpr int kVectors = 2, kHeight = 6; // 12 of 16 registers
    static constexpr int kFewRows = 4;
    static constexpr int64_t kFew = 8;

    static Vector zero() { return _mm256_setzero_ps(); }
    static Vector load(const float *from) { return _mm256_loadu_ps(from); }
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

    // Column `first` + c of 8 rows, c < count, as out[c].
    static void transposed(const float *const *row, int64_t first, int count, Vector *out) {
        const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(count),
                                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        Vector a[8], b[8];
        for (int r = 0; r < 8; ++r) a[r] = _mm256_maskload_ps(row[r] + first, mask);
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
} // namespace distilrank

#include "network_kernels.hpp"

const distilrank::NetworkKernels distilrank::network_avx2 = kKernels;
