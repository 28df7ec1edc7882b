// What AVX-512 (F, BW, DQ, VL) offers networks' kernels, and AVX512_BF16 and AVX512_VNNI where
// the file that includes this is compiled for them.
#pragma once

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
    // NaN becomes the lower bound.
    static Vector clamp_numbers(Vector x, Vector low, Vector high) {
        return _mm512_min_ps(_mm512_max_ps(x, low), high);
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

    static Vector load_halves(const float *from) {
        const auto halves = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
    }

    static Vector either(Vector x, Vector y) { return _mm512_or_ps(x, y); } // of their bits
    static Vector larger(Vector x, Vector y) { return _mm512_max_ps(x, y); }
    static float total(Vector x) { return _mm512_reduce_add_ps(x); }
    // y where x lies between two bounds, else 0.
    static Vector where_between(Vector x, Vector low, Vector high, Vector y) {
        return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(low, x, _CMP_LT_OQ) &
                                       _mm512_cmp_ps_mask(x, high, _CMP_LT_OQ),
                                   y);
    }

    static Vector dot_pairs(Vector sum, Vector one, Vector other) {
        sum = fma(lower(one), lower(other), sum);
        return fma(upper(one), upper(other), sum);
    }

    // Whole numbers: sums of 32 bits as floats; weights of -127 to 127 times activations of 0 to
    // 255, four of each in a word, added up; and numbers of 0 to 255 from floats, to the nearest.
    static Vector from_whole(Vector sum) { return _mm512_cvtepi32_ps(_mm512_castps_si512(sum)); }
    // Products of bytes next to each other may be beyond 16 bits: first the even, then the odd ones.
    static Vector dot_bytes(Vector sum, Vector weight, Vector active) {
        const __m512i w = _mm512_castps_si512(weight), a = _mm512_castps_si512(active);
        const __m512i even = _mm512_madd_epi16(_mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8),
                                               _mm512_and_si512(a, _mm512_set1_epi16(255)));
        const __m512i odd = _mm512_madd_epi16(_mm512_srai_epi16(w, 8), _mm512_srli_epi16(a, 8));
        return _mm512_castsi512_ps(
            _mm512_add_epi32(_mm512_castps_si512(sum), _mm512_add_epi32(even, odd)));
    }
    static Vector packed_bytes(const Vector *units) {
        const __m512i first = _mm512_or_si512(
            _mm512_cvtps_epi32(units[0]), _mm512_slli_epi32(_mm512_cvtps_epi32(units[1]), 8));
        const __m512i second = _mm512_or_si512(
            _mm512_slli_epi32(_mm512_cvtps_epi32(units[2]), 16),
            _mm512_slli_epi32(_mm512_cvtps_epi32(units[3]), 24));
        return _mm512_castsi512_ps(_mm512_or_si512(first, second));
    }
    static void store_bytes(float *to, Vector x) {
        _mm_storeu_si128(reinterpret_cast<__m128i *>(to),
                         _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)));
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

#ifdef __AVX512BF16__
template <class Base>
struct Vdpbf16 : Base {
    using Vector = __m512;
    static __m512bh as_bf16(Vector words) { return reinterpret_cast<__m512bh>(words); }
    static Vector dot_pairs(Vector sum, Vector one, Vector other) {
        return _mm512_dpbf16_ps(sum, as_bf16(one), as_bf16(other));
    }
    // The instruction puts one vector behind the other; words want them interleaved.
    static Vector packed(Vector low, Vector high) {
        const __m512i order = _mm512_setr_epi32(
            0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007,
            0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
        const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
        return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both));
    }
    static void store_halves(float *to, Vector x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to),
                            reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    }
};
#endif

#ifdef __AVX512VNNI__
template <class Base>
struct Vnni : Base {
    using Vector = __m512;
    static Vector dot_bytes(Vector sum, Vector weight, Vector active) {
        return _mm512_castsi512_ps(_mm512_dpbusd_epi32(
            _mm512_castps_si512(sum), _mm512_castps_si512(active), _mm512_castps_si512(weight)));
    }
};
#endif

} // namespace
} // namespace distilrank
