// The network scorer for AVX-512 (F, BW, DQ, VL).
#include <cstdint>
#include <immintrin.h>

namespace distilrank {
namespace {

struct Simd {
    using Vector = __m512;
    static constexpr int kWidth = 16;
#ifdef ALT
    static constexpr int kVectors = 2, kHeight = 12;
#else
    static constexpr int kVectors = 4, kHeight = 6; // 24 of 32 registers
#endif
    static constexpr int kFewRows = 8;
    static constexpr int64_t kFew = 16;

    static Vector zero() { return _mm512_setzero_ps(); }
    static Vector load(const float *from) { return _mm512_loadu_ps(from); }
    static Vector broadcast(const float *from) { return _mm512_set1_ps(*from); }
    static void store(float *to, Vector x) { _mm512_storeu_ps(to, x); }
    static Vector fma(Vector x, Vector y, Vector z) { return _mm512_fmadd_ps(x, y, z); }
    // NaN passes: min and max give their second operand then.
    static Vector clamp(Vector x, Vector low, Vector high) {
        return _mm512_min_ps(high, _mm512_max_ps(low, x));
    }
    static Vector replace(Vector x, Vector what, Vector other, Vector by) {
        return _mm512_mask_mov_ps(other, _mm512_cmp_ps_mask(x, what, _CMP_EQ_OQ), by);
    }
    static Vector gather(const float *from, const int32_t *indices) {
        return _mm512_i32gather_ps(_mm512_loadu_si512(indices), from, 4);
    }

    // Column `first` + c of 16 rows, c < count, as out[c].
    static void transposed(const float *const *row, int64_t first, int count, Vector *out) {
        const auto mask = static_cast<__mmask16>((1u << count) - 1);
        Vector a[16], b[16];
        for (int r = 0; r < 16; ++r) a[r] = _mm512_maskz_loadu_ps(mask, row[r] + first);
        // In every lane of 4 columns, 4x4 blocks; then the lanes themselves.
        for (int r = 0; r < 16; r += 4) {
            const Vector low0 = _mm512_unpacklo_ps(a[r], a[r + 1]);
            const Vector low1 = _mm512_unpacklo_ps(a[r + 2], a[r + 3]);
            const Vector high0 = _mm512_unpackhi_ps(a[r], a[r + 1]);
            const Vector high1 = _mm512_unpackhi_ps(a[r + 2], a[r + 3]);
            b[r] = _mm512_shuffle_ps(low0, low1, 0x44);
            b[r + 1] = _mm512_shuffle_ps(low0, low1, 0xee);
            b[r + 2] = _mm512_shuffle_ps(high0, high1, 0x44);
            b[r + 3] = _mm512_shuffle_ps(high0, high1, 0xee);
        }
        for (int c = 0; c < 4; ++c) {
            const Vector even0 = _mm512_shuffle_f32x4(b[c], b[c + 4], 0x88);
            const Vector odd0 = _mm512_shuffle_f32x4(b[c], b[c + 4], 0xdd);
            const Vector even1 = _mm512_shuffle_f32x4(b[c + 8], b[c + 12], 0x88);
            const Vector odd1 = _mm512_shuffle_f32x4(b[c + 8], b[c + 12], 0xdd);
            out[c] = _mm512_shuffle_f32x4(even0, even1, 0x88);
            out[c + 4] = _mm512_shuffle_f32x4(odd0, odd1, 0x88);
            out[c + 8] = _mm512_shuffle_f32x4(even0, even1, 0xdd);
            out[c + 12] = _mm512_shuffle_f32x4(odd0, odd1, 0xdd);
        }
    }
};

} // namespace
} // namespace distilrank

#include "network_kernels.hpp"

const distilrank::NetworkKernels distilrank::network_avx512 = kKernels;
