// Bit-sliced forests for AVX-512 with VBMI and GFNI; compiled for those (see CMakeLists.txt).
#include <immintrin.h>

#include "forest_block.hpp"

namespace distilrank {
namespace {

struct Avx512Forest : PortableForest {
    // b | (a & c) as a truth table over a (most significant), b, c.
    static constexpr int kEither = 0xEC;

    template <typename V>
    static V either(V a, V b, V c) {
        if constexpr (sizeof(V) == 64)
            return V(_mm512_ternarylogic_epi64(__m512i(a), __m512i(b), __m512i(c), kEither));
        else if constexpr (sizeof(V) == 32)
            return V(_mm256_ternarylogic_epi64(__m256i(a), __m256i(b), __m256i(c), kEither));
        else if constexpr (sizeof(V) == 16)
            return V(_mm_ternarylogic_epi64(__m128i(a), __m128i(b), __m128i(c), kEither));
        else
            return b | (a & c);
    }

    // 4 features of 16 documents: lane l of a vector takes the 4 features of document 4 l + place.
    static void transpose4(const float *const *row, int feature, float *out, int documents) {
        __m512 part[4];
        for (int place = 0; place < 4; ++place) {
            __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(row[place] + feature));
            v = _mm512_mask_broadcast_f32x4(v, 0x00F0, _mm_loadu_ps(row[place + 4] + feature));
            v = _mm512_mask_broadcast_f32x4(v, 0x0F00, _mm_loadu_ps(row[place + 8] + feature));
            part[place] =
                _mm512_mask_broadcast_f32x4(v, 0xF000, _mm_loadu_ps(row[place + 12] + feature));
        }
        const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(part[0], part[1]));
        const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(part[0], part[1]));
        const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(part[2], part[3]));
        const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(part[2], part[3]));
        _mm512_store_pd(out, _mm512_unpacklo_pd(low01, low23));
        _mm512_store_pd(out + documents, _mm512_unpackhi_pd(low01, low23));
        _mm512_store_pd(out + 2 * documents, _mm512_unpacklo_pd(high01, high23));
        _mm512_store_pd(out + 3 * documents, _mm512_unpackhi_pd(high01, high23));
    }

    static void transpose(const float *rows, int64_t n, int64_t stride, int first, int n_features,
                          int documents, float *columns) {
        const int count = n_features - first < kTile ? n_features - first : kTile;
        if (count < 4) return PortableForest::transpose(rows, n, stride, first, n_features, documents, columns);
        for (int document = 0; document < documents; document += 16) {
            const float *row[16];
            for (int place = 0; place < 16; ++place)
                row[place] = row_of(rows, n, stride, document + place) + first;
            int feature = 0;
            for (; feature + 4 <= count; feature += 4)
                transpose4(row, feature, columns + feature * documents + document, documents);
            if (feature < count) // the last 4, some of them once more
                transpose4(row, count - 4, columns + (count - 4) * documents + document, documents);
        }
    }

    template <int levels>
    static void search_levels(const float *table, const float *column, int documents,
                              uint64_t *bits) {
        __m512 tree[16]; // as many as there are: the others are not looked at
        for (int part = 0; part < (levels < 4 ? 1 : 1 << (levels - 4)); ++part)
            tree[part] = _mm512_load_ps(table + 16 * part);
        const __m512 root = _mm512_set1_ps(table[1]);
        const __m512i one = _mm512_set1_epi32(1), nan_to_zero = _mm512_set1_epi32(0x88);
        __mmask16 *out = reinterpret_cast<__mmask16 *>(bits);
        const int step = documents / 16;
        for (int group = 0; group < step; ++group) {
            __m512 x = _mm512_load_ps(column + 16 * group);
            x = _mm512_fixupimm_ps(x, x, nan_to_zero, 0);
            __mmask16 above[8];
            above[0] = _mm512_cmp_ps_mask(x, root, _CMP_GT_OQ);
            __m512i at = _mm512_mask_add_epi32(_mm512_set1_epi32(2), above[0], _mm512_set1_epi32(2), one);
            for (int level = 1; level < levels; ++level) {
                __m512 pivot;
                if (level < 4) pivot = _mm512_permutexvar_ps(at, tree[0]);
                else if (level == 4) pivot = _mm512_permutexvar_ps(at, tree[1]);
                else if (level == 5) pivot = _mm512_permutex2var_ps(tree[2], at, tree[3]);
                else if (level == 6)
                    pivot = _mm512_mask_blend_ps(above[0],
                                                 _mm512_permutex2var_ps(tree[4], at, tree[5]),
                                                 _mm512_permutex2var_ps(tree[6], at, tree[7]));
                else {
                    const __m512 low = _mm512_mask_blend_ps(
                        above[1], _mm512_permutex2var_ps(tree[8], at, tree[9]),
                        _mm512_permutex2var_ps(tree[10], at, tree[11]));
                    const __m512 high = _mm512_mask_blend_ps(
                        above[1], _mm512_permutex2var_ps(tree[12], at, tree[13]),
                        _mm512_permutex2var_ps(tree[14], at, tree[15]));
                    pivot = _mm512_mask_blend_ps(above[0], low, high);
                }
                above[level] = _mm512_cmp_ps_mask(x, pivot, _CMP_GT_OQ);
                if (level + 1 < levels) {
                    at = _mm512_add_epi32(at, at);
                    at = _mm512_mask_add_epi32(at, above[level], at, one);
                }
            }
            for (int level = 0; level < levels; ++level) out[level * step + group] = above[level];
        }
    }

    static void search(const float *table, int levels, const float *column, int documents,
                       uint64_t *bits) {
        switch (levels) {
        case 1: return search_levels<1>(table, column, documents, bits);
        case 2: return search_levels<2>(table, column, documents, bits);
        case 3: return search_levels<3>(table, column, documents, bits);
        case 4: return search_levels<4>(table, column, documents, bits);
        case 5: return search_levels<5>(table, column, documents, bits);
        case 6: return search_levels<6>(table, column, documents, bits);
        case 7: return search_levels<7>(table, column, documents, bits);
        default: return search_levels<8>(table, column, documents, bits);
        }
    }

    // Words of the code's bits, (8, words), as one vector a word: its 64-bit parts are the bits' words.
    template <int words>
    static void gather_codes(const uint64_t *codes, __m512i *out) {
        const __m512i *in = reinterpret_cast<const __m512i *>(codes);
        if constexpr (words == 1) {
            out[0] = _mm512_load_si512(in);
        } else if constexpr (words == 2) {
            const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
            const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
            out[0] = _mm512_permutex2var_epi64(_mm512_load_si512(in), even, _mm512_load_si512(in + 1));
            out[1] = _mm512_permutex2var_epi64(_mm512_load_si512(in), odd, _mm512_load_si512(in + 1));
        } else if constexpr (words == 4) {
            const __m512i pick01 = _mm512_setr_epi64(0, 4, 8, 12, 1, 5, 9, 13);
            const __m512i pick23 = _mm512_setr_epi64(2, 6, 10, 14, 3, 7, 11, 15);
            __m512i low[2], high[2];
            for (int half = 0; half < 2; ++half) {
                const __m512i a = _mm512_load_si512(in + 2 * half), b = _mm512_load_si512(in + 2 * half + 1);
                low[half] = _mm512_permutex2var_epi64(a, pick01, b);
                high[half] = _mm512_permutex2var_epi64(a, pick23, b);
            }
            out[0] = _mm512_shuffle_i64x2(low[0], low[1], 0x44);
            out[1] = _mm512_shuffle_i64x2(low[0], low[1], 0xEE);
            out[2] = _mm512_shuffle_i64x2(high[0], high[1], 0x44);
            out[3] = _mm512_shuffle_i64x2(high[0], high[1], 0xEE);
        } else {
            __m512i pair[8], quad[8];
            for (int row = 0; row < 8; row += 2) {
                const __m512i a = _mm512_load_si512(in + row), b = _mm512_load_si512(in + row + 1);
                pair[row] = _mm512_unpacklo_epi64(a, b);     // words 0, 2, 4, 6
                pair[row + 1] = _mm512_unpackhi_epi64(a, b); // words 1, 3, 5, 7
            }
            for (int odd = 0; odd < 2; ++odd)
                for (int half = 0; half < 2; ++half) {
                    const __m512i a = pair[4 * half + odd], b = pair[4 * half + 2 + odd];
                    quad[4 * odd + half] = _mm512_shuffle_i64x2(a, b, 0x88);     // words 0, 4
                    quad[4 * odd + 2 + half] = _mm512_shuffle_i64x2(a, b, 0xDD); // words 2, 6
                }
            // quad[..]: [w r01, w+4 r01, w r23, w+4 r23]
            for (int odd = 0; odd < 2; ++odd)
                for (int two = 0; two < 2; ++two) {
                    const __m512i a = quad[4 * odd + 2 * two], b = quad[4 * odd + 2 * two + 1];
                    out[odd + 2 * two] = _mm512_shuffle_i64x2(a, b, 0x88);
                    out[odd + 2 * two + 4] = _mm512_shuffle_i64x2(a, b, 0xDD);
                }
        }
    }

    // Leaf codes of 64 documents, a byte each, from the words of the code's bits.
    static __m512i code_bytes(__m512i words) {
        alignas(64) static constexpr uint8_t order[64] = {
            56, 48, 40, 32, 24, 16, 8,  0, 57, 49, 41, 33, 25, 17, 9,  1, 58, 50, 42, 34, 26, 18,
            10, 2,  59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 28, 20, 12, 4,  61, 53, 45, 37,
            29, 21, 13, 5,  62, 54, 46, 38, 30, 22, 14, 6,  63, 55, 47, 39, 31, 23, 15, 7};
        words = _mm512_permutexvar_epi8(_mm512_load_si512(order), words);
        // Multiplied by the rows of the matrix, unit vectors give its columns.
        return _mm512_gf2p8affine_epi64_epi8(_mm512_set1_epi64(int64_t(0x8040201008040201ull)), words, 0);
    }

    // The values' bytes for 64 codes.
    template <int parts>
    static __m512i look_up(__m512i code, const uint8_t *table, __mmask64 seventh, __mmask64 eighth) {
        __m512i found = _mm512_permutexvar_epi8(code, _mm512_load_si512(table));
        if constexpr (parts >= 2)
            found = _mm512_mask_permutexvar_epi8(found, seventh, code, _mm512_load_si512(table + 64));
        if constexpr (parts == 4) {
            found = _mm512_mask_permutexvar_epi8(found, eighth, code, _mm512_load_si512(table + 128));
            found = _mm512_mask_permutexvar_epi8(found, seventh & eighth, code,
                                                 _mm512_load_si512(table + 192));
        }
        return found;
    }

    // One tree's values, added to 16-bit sums: all[] of both bytes of a lane, high[] of the upper.
    template <int parts>
    static void add_tree(__m512i words, const uint8_t *table, __mmask64 seventh, __mmask64 eighth,
                         __m512i *all, __m512i *high) {
        const __m512i code = code_bytes(words);
        for (int byte = 0; byte < kValueBytes; ++byte) {
            const __m512i found = look_up<parts>(code, table + 64 * parts * byte, seventh, eighth);
            all[byte] = _mm512_add_epi16(all[byte], found);
            high[byte] = _mm512_add_epi16(high[byte], _mm512_srli_epi16(found, 8));
        }
    }

    // sums: of each word two halves, for the values' lower and upper 16 bits, of (even and odd
    // documents, first and second half of each 128-bit lane) 16 32-bit sums.
    static void add_sums(const __m512i *all, const __m512i *high, uint64_t *sums) {
        __m512i *sum = reinterpret_cast<__m512i *>(sums);
        const __m512i weights = _mm512_set1_epi32(0x01000001);
        for (int pair = 0; pair < 2; ++pair) {
            const __m512i *whole = all + 2 * pair, *odd = high + 2 * pair;
            __m512i even[2];
            for (int byte = 0; byte < 2; ++byte)
                even[byte] = _mm512_sub_epi16(whole[byte], _mm512_slli_epi16(odd[byte], 8));
            const __m512i parts[4] = {
                _mm512_unpacklo_epi16(even[0], even[1]), _mm512_unpackhi_epi16(even[0], even[1]),
                _mm512_unpacklo_epi16(odd[0], odd[1]), _mm512_unpackhi_epi16(odd[0], odd[1])};
            for (int part = 0; part < 4; ++part, ++sum)
                *sum = _mm512_add_epi32(*sum, _mm512_madd_epi16(parts[part], weights));
        }
    }

    template <int words>
    static void add_leaves(const ForestProgram &program, int first, int last, const uint64_t *codes,
                           uint64_t *sums) {
        __m512i gathered[kTogether][words];
        for (int tree = first; tree < last; ++tree)
            gather_codes<words>(codes + (tree - first) * kCodeBits * words, gathered[tree - first]);
        for (int word = 0; word < words; ++word) {
            __m512i all[kValueBytes] = {}, high[kValueBytes] = {};
            for (int tree = first; tree < last; ++tree) {
                const uint8_t *table = program.value_bytes + program.trees[tree].bytes;
                const __m512i one = gathered[tree - first][word];
                const int bits = program.trees[tree].code_bits;
                const uint64_t *code = codes + (tree - first) * kCodeBits * words + word;
                if (bits <= 6) add_tree<1>(one, table, 0, 0, all, high);
                else if (bits == 7) add_tree<2>(one, table, code[6 * words], 0, all, high);
                else add_tree<4>(one, table, code[6 * words], code[7 * words], all, high);
            }
            add_sums(all, high, sums + word * kWordBits);
        }
    }

    static void finish(const ForestProgram &program, int64_t n, const uint64_t *sums, float *scores) {
        const uint32_t *all = reinterpret_cast<const uint32_t *>(sums);
        for (int64_t document = 0; document < n; ++document) {
            const int64_t inside = document % 64, lane = inside / 16, place = inside % 16 / 2;
            const uint32_t *sum = all + document / 64 * 128 + inside % 2 * 32 + place / 4 * 16 +
                                  lane * 4 + place % 4;
            scores[document] =
                float(program.offset + program.quantum * (double(sum[0]) + 65536.0 * double(sum[64])));
        }
    }
};

} // namespace

void score_forest_avx512(const ForestProgram &program, const ForestBuffers &buffers,
                         const float *rows, int64_t n, int64_t stride, float *scores) {
    score_forest<Avx512Forest>(program, buffers, rows, n, stride, scores);
}

} // namespace distilrank
