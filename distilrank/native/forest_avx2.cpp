// Bit-sliced forests for AVX2; compiled for it (see CMakeLists.txt).
#include <immintrin.h>

#include "forest_block.hpp"

namespace distilrank {
namespace {

struct Avx2Forest : PortableForest {
    // 4 features of 8 documents: lane l of a vector takes the 4 features of document 4 l + place.
    static void transpose4(const float *const *row, int feature, float *out, int documents) {
        __m256 part[4];
        for (int place = 0; place < 4; ++place)
            part[place] = _mm256_insertf128_ps(
                _mm256_castps128_ps256(_mm_loadu_ps(row[place] + feature)),
                _mm_loadu_ps(row[place + 4] + feature), 1);
        const __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(part[0], part[1]));
        const __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(part[0], part[1]));
        const __m256d low23 = _mm256_castps_pd(_mm256_unpacklo_ps(part[2], part[3]));
        const __m256d high23 = _mm256_castps_pd(_mm256_unpackhi_ps(part[2], part[3]));
        const __m256d columns[4] = {
            _mm256_unpacklo_pd(low01, low23), _mm256_unpackhi_pd(low01, low23),
            _mm256_unpacklo_pd(high01, high23), _mm256_unpackhi_pd(high01, high23)};
        for (int place = 0; place < 4; ++place)
            _mm256_store_ps(out + place * documents, _mm256_castpd_ps(columns[place]));
    }

    static void transpose(const float *rows, int64_t n, int64_t stride, int first, int n_features,
                          int documents, float *columns) {
        const int count = n_features - first < kTile ? n_features - first : kTile;
        if (count < 4)
            return PortableForest::transpose(rows, n, stride, first, n_features, documents, columns);
        for (int document = 0; document < documents; document += 8) {
            const float *row[8];
            for (int place = 0; place < 8; ++place)
                row[place] = row_of(rows, n, stride, document + place) + first;
            int feature = 0;
            for (; feature + 4 <= count; feature += 4)
                transpose4(row, feature, columns + feature * documents + document, documents);
            if (feature < count) // the last 4, some of them once more
                transpose4(row, count - 4, columns + (count - 4) * documents + document, documents);
        }
    }

    static void search(const float *table, int levels, const float *column, int documents,
                       uint64_t *bits) {
        uint8_t *out = reinterpret_cast<uint8_t *>(bits);
        const int step = documents / 8;
        const __m256 root = _mm256_set1_ps(table[1]), top = _mm256_load_ps(table);
        for (int group = 0; group < step; ++group) {
            __m256 x = _mm256_load_ps(column + 8 * group);
            x = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q)); // NaN is 0
            __m256i at = _mm256_set1_epi32(1);
            for (int level = 0; level < levels; ++level) {
                const __m256 pivot = level == 0  ? root
                                     : level < 3 ? _mm256_permutevar8x32_ps(top, at)
                                                 : _mm256_i32gather_ps(table, at, 4);
                const __m256 above = _mm256_cmp_ps(x, pivot, _CMP_GT_OQ);
                out[level * step + group] = uint8_t(_mm256_movemask_ps(above));
                at = _mm256_sub_epi32(_mm256_add_epi32(at, at), _mm256_castps_si256(above));
            }
        }
    }

    // Leaf codes of 32 documents, a byte each: every bit's word is spread to bytes and masked.
    static __m256i code_bytes(const uint64_t *codes, int words, int half, int bits) {
        const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2,
                                                2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
        const __m256i each = _mm256_set1_epi64x(int64_t(0x8040201008040201ull));
        __m256i code = _mm256_setzero_si256();
        for (int bit = 0; bit < bits; ++bit) {
            const int32_t word = int32_t(uint32_t(codes[bit * words] >> (32 * half)));
            const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(word), spread);
            const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, each), each);
            code = _mm256_or_si256(code, _mm256_and_si256(set, _mm256_set1_epi8(char(1 << bit))));
        }
        return code;
    }

    template <int words>
    static void add_leaves(const ForestProgram &program, int first, int last, const uint64_t *codes,
                           uint64_t *sums) {
        for (int tree = first; tree < last; ++tree, codes += kCodeBits * words) {
            const int *values = reinterpret_cast<const int *>(program.values + program.trees[tree].values);
            const int bits = program.trees[tree].code_bits;
            for (int word = 0; word < words; ++word)
                for (int half = 0; half < 2; ++half) {
                    alignas(32) uint8_t code[32];
                    _mm256_store_si256(reinterpret_cast<__m256i *>(code),
                                       code_bytes(codes + word, words, half, bits));
                    __m256i *sum = reinterpret_cast<__m256i *>(sums + word * kWordBits + 32 * half);
                    for (int group = 0; group < 32; group += 8, sum += 2) {
                        const __m256i at = _mm256_cvtepu8_epi32(
                            _mm_loadl_epi64(reinterpret_cast<const __m128i *>(code + group)));
                        const __m256i found = _mm256_i32gather_epi32(values, at, 4);
                        const __m256i low = _mm256_cvtepu32_epi64(_mm256_castsi256_si128(found));
                        const __m256i high = _mm256_cvtepu32_epi64(_mm256_extracti128_si256(found, 1));
                        sum[0] = _mm256_add_epi64(sum[0], low);
                        sum[1] = _mm256_add_epi64(sum[1], high);
                    }
                }
        }
    }
};

} // namespace

void score_forest_avx2(const ForestProgram &program, const ForestBuffers &buffers, const float *rows,
                       int64_t n, int64_t stride, float *scores) {
    score_forest<Avx2Forest>(program, buffers, rows, n, stride, scores);
}

} // namespace distilrank
