// What AVX-512 (F, BW, DQ, VL) offers the network's kernels.
#include <cstdint>
#include <immintrin.h>

namespace distilrank {
namespace {

struct Avx512 {
    using Vector = __m512;
    static constexpr int kWidth = 16;
    static constexpr int kVectors = 4, kHeight = 6; // a tile is 24 of 32 registers
    static constexpr int kFewRows = 8;              // by 3 vectors

    static Vector zero() { return _mm512_setzero_ps(); }
    static Vector load(const float *from) { return _mm512_loadu_ps(from); }
    static Vector load_part(const float *from, int count) {
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
    }
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
        // Zen 4's gather instruction is microcode and slower than this.
        float lane[16];
        for (int l = 0; l < 16; ++l) lane[l] = from[indices[l]];
        return _mm512_setr_ps(lane[0], lane[1], lane[2], lane[3], lane[4], lane[5], lane[6],
                              lane[7], lane[8], lane[9], lane[10], lane[11], lane[12], lane[13],
                              lane[14], lane[15]);
    }

    // The words that are not zero, side by side, with their numbers from `first` on; how many. A
    // whole vector is written.
    static int64_t active(const float *words, int count, int32_t first, float *values,
                          int32_t *indices) {
        const __m512i numbers = _mm512_add_epi32(
            _mm512_set1_epi32(first),
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
        const __m512i bits = _mm512_castps_si512(load_part(words, count));
        const __mmask16 kept = _mm512_test_epi32_mask(bits, bits);
        // To a register first: compressing into memory is microcode on some processors.
        _mm512_storeu_si512(values, _mm512_maskz_compress_epi32(kept, bits));
        _mm512_storeu_si512(indices, _mm512_maskz_compress_epi32(kept, numbers));
        return __builtin_popcount(kept);
    }

    // bf16 in words: the halves as floats, two vectors of floats as words, one as half as many.
    static Vector lower(Vector words) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(words), 16));
    }
    static Vector upper(Vector words) {
        return _mm512_castsi512_ps(
            _mm512_and_si512(_mm512_castps_si512(words), _mm512_set1_epi32(-65536)));
    }
    // To the nearest, ties to even, in the upper half; NaN stays NaN: its lower half is dropped.
    static __m512i rounded(Vector x) {
        const __m512i bits = _mm512_castps_si512(x);
        const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        const __m512i up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        return _mm512_mask_add_epi32(bits, _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), bits, up);
    }
    static Vector packed(Vector low, Vector high) {
        return _mm512_castsi512_ps(_mm512_mask_blend_epi16(
            0xaaaaaaaa, _mm512_srli_epi32(rounded(low), 16), rounded(high)));
    }
    static void store_halves(float *to, Vector x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to),
                            _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded(x), 16)));
    }

    // Column `first` + c of 16 rows as out[c]; zeros where c is not below count.
    static void transposed(const float *const *row, int64_t first, int count, Vector *out) {
        Vector a[16], b[16];
        for (int r = 0; r < 16; ++r) a[r] = load_part(row[r] + first, count);
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
