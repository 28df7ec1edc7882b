// The steps of bit-sliced scoring, whatever the instruction set; see forest_program.hpp.
//
// Included once by each instruction set's file, which gives a class Isa with
//     transpose(rows, n, stride, first, count, n_features, documents, columns)
//     search(table, levels, column, documents, bits)      bits: (levels, words)
//     missing(column, documents, nan, zero)               either may be NULL
//     either(a, b, c) = b | (a & c)                       on vectors of words
//     add_leaves<words>(program, first, last, codes, sums), finish(program, n, documents, sums, scores)
// Everything is in an anonymous namespace: code for one processor must not stand in for another's.
#pragma once

#include "forest_program.hpp"

namespace distilrank {
namespace {

template <int words>
struct Vector {
    typedef uint64_t type __attribute__((vector_size(8 * words)));
};
template <>
struct Vector<1> {
    typedef uint64_t type;
};

template <typename Isa, int words>
struct ForestBlock {
    using V = typename Vector<words>::type;
    static constexpr int documents = words * kWordBits;

    const ForestProgram &program;
    const ForestBuffers &buffers;

    V *conditions() const { return reinterpret_cast<V *>(buffers.conditions); }

    // above[v] = "the value of these bits is above v"; above[-1] is all ones.
    static void decode(const V *bits, int count, V *above) {
        above[-1] = ~V{};
        above[0] = bits[0];
        for (int bit = 1; bit < count; ++bit) {
            const int half = 1 << bit;
            above[half - 1] = V{};
            for (int value = half - 1; value >= 0; --value) {
                const V here = above[value], before = above[value - 1];
                above[2 * value + 1] = here;
                above[2 * value] = Isa::either(before, here, bits[bit]);
            }
        }
        above[(1 << count) - 1] = V{};
    }

    // All conditions "rank > r" of a search, from the bits of the ranks.
    void conclude(const ForestSearch &search, const V *bits) const {
        V high_space[18], low_space[18];
        V *high = high_space + 1, *low = low_space + 1;
        V *out = conditions() + search.first;
        const int low_bits = search.levels < 4 ? search.levels : 4;
        const int high_bits = search.levels - low_bits;
        decode(bits + high_bits, low_bits, low);
        if (!high_bits) {
            for (int rank = 0; rank < search.count; ++rank) out[rank] = low[rank];
            return;
        }
        decode(bits, high_bits, high);
        for (int rank = 0, part = 0; rank < search.count; ++part) {
            const int left = search.count - rank, size = left < 16 ? left : 16;
            const V here = high[part], before = high[part - 1];
            for (int value = 0; value < size; ++value)
                out[rank + value] = Isa::either(before, here, low[value]);
            rank += size;
        }
    }

    void find_conditions(const float *rows, int64_t n, int64_t stride) const {
        alignas(64) V bits[kSearchBits];
        const ForestSearch *search = program.searches, *end = search + program.n_searches;
        while (search < end) {
            const int first = search->feature & ~(kTile - 1);
            Isa::transpose(rows, n, stride, first, program.n_features, documents, buffers.columns);
            for (; search < end && search->feature < first + kTile; ++search) {
                float *column = buffers.columns + (search->feature - first) * documents;
                if (search->nan >= 0 || search->zero >= 0)
                    Isa::missing(column, documents, plane(search->nan), plane(search->zero));
                Isa::search(program.tables + search->table, search->levels, column, documents,
                            reinterpret_cast<uint64_t *>(bits));
                conclude(*search, bits);
            }
        }
        for (int route = 0; route < program.n_routes; ++route) {
            const ForestRoute &way = program.routes[route];
            const V from = conditions()[way.from], missing = conditions()[way.missing];
            conditions()[way.to] = way.left ? from & ~missing : from | missing;
        }
    }

    uint64_t *plane(int condition) const {
        return condition < 0 ? nullptr : buffers.conditions + int64_t{condition} * words;
    }

    static V &at(V *base, size_t offset) {
        return *reinterpret_cast<V *>(reinterpret_cast<char *>(base) + offset * words);
    }

    // The codes of a bundle's trees.
    void split(const ForestBundle &bundle, V *codes) const {
        V *reach = reinterpret_cast<V *>(buffers.reach), *condition = conditions();
        const ForestTree *tree = program.trees + bundle.first_tree;
        const ForestTree *end_tree = program.trees + bundle.end_tree;
        for (const ForestTree *one = tree; one < end_tree; ++one) reach[one->slot] = ~V{};
        const ForestNode *node = program.nodes + bundle.first_node;
        for (const ForestNode *end = program.nodes + bundle.end_node; node < end; ++node) {
            __builtin_prefetch(&at(condition, node[kAhead].condition));
            at(reach, node->at) = Isa::either(at(reach, node->from), at(reach, node->until),
                                              at(condition, node->condition));
        }
        for (; tree < end_tree; ++tree, codes += kCodeBits)
            if (tree->leaves == 64) gray<64>(reach + tree->slot, 64, codes);
            else gray<0>(reach + tree->slot, tree->leaves, codes);
    }

    template <int fixed>
    static void gray(const V *reach, int leaves, V *codes) {
        const int end = fixed ? fixed : leaves;
#pragma GCC unroll 8
        for (int bit = 0; bit < kCodeBits; ++bit) {
            V even = V{}, odd = V{};
            const int step = 2 << bit;
            int at = 1 << bit;
            for (; at + step < end; at += 2 * step) {
                even ^= reach[at];
                odd ^= reach[at + step];
            }
            if (at < end) even ^= reach[at];
            codes[bit] = even ^ odd;
        }
    }

    void score(const float *rows, int64_t n, int64_t stride, float *scores) const {
        find_conditions(rows, n, stride);
        V *reach = reinterpret_cast<V *>(buffers.reach), *codes = reinterpret_cast<V *>(buffers.codes);
        reach[kLeaves] = V{};
        for (int document = 0; document < documents; ++document) buffers.sums[document] = 0;
        const ForestBundle *bundle = program.bundles, *end = bundle + program.n_bundles;
        while (bundle < end) {
            const int first = bundle->first_tree;
            int last = first;
            for (; bundle < end && bundle->end_tree <= first + kTogether; ++bundle) {
                split(*bundle, codes + (bundle->first_tree - first) * kCodeBits);
                last = bundle->end_tree;
            }
            Isa::template add_leaves<words>(program, first, last, buffers.codes, buffers.sums);
        }
        Isa::finish(program, n, buffers.sums, scores);
    }
};

// The narrowest block that holds n rows.
template <typename Isa>
void score_forest(const ForestProgram &program, const ForestBuffers &buffers, const float *rows,
                  int64_t n, int64_t stride, float *scores) {
    if (n <= kWordBits) ForestBlock<Isa, 1>{program, buffers}.score(rows, n, stride, scores);
    else if (n <= 2 * kWordBits) ForestBlock<Isa, 2>{program, buffers}.score(rows, n, stride, scores);
    else if (n <= 4 * kWordBits) ForestBlock<Isa, 4>{program, buffers}.score(rows, n, stride, scores);
    else ForestBlock<Isa, 8>{program, buffers}.score(rows, n, stride, scores);
}

// Steps that any instruction set may fall back on.
struct PortableForest {
    template <typename V>
    static V either(V a, V b, V c) {
        return b | (a & c);
    }

    static const float *row_of(const float *rows, int64_t n, int64_t stride, int64_t document) {
        return rows + (document < n ? document : n - 1) * stride;
    }

    static void transpose(const float *rows, int64_t n, int64_t stride, int first, int n_features,
                          int documents, float *columns) {
        const int count = n_features - first < kTile ? n_features - first : kTile;
        for (int document = 0; document < documents; ++document) {
            const float *row = row_of(rows, n, stride, document) + first;
            for (int feature = 0; feature < count; ++feature)
                columns[feature * documents + document] = row[feature];
        }
    }

    static void missing(const float *column, int documents, uint64_t *nan, uint64_t *zero) {
        for (int word = 0; word < documents / kWordBits; ++word) {
            uint64_t is_nan = 0, is_zero = 0;
            for (int bit = 0; bit < kWordBits; ++bit) {
                const float value = column[word * kWordBits + bit];
                is_nan |= uint64_t{value != value} << bit;
                is_zero |= uint64_t{value >= -kZero && value <= kZero} << bit;
            }
            if (nan) nan[word] = is_nan;
            if (zero) zero[word] = is_nan | is_zero;
        }
    }

    static void search(const float *table, int levels, const float *column, int documents,
                       uint64_t *bits) {
        const int words = documents / kWordBits;
        for (int word = 0; word < words; ++word) {
            float value[kWordBits];
            int32_t at[kWordBits];
            for (int bit = 0; bit < kWordBits; ++bit) {
                const float x = column[word * kWordBits + bit];
                value[bit] = x == x ? x : 0.0f;
                at[bit] = 1;
            }
            for (int level = 0; level < levels; ++level) {
                uint64_t above = 0;
                for (int bit = 0; bit < kWordBits; ++bit) {
                    const int32_t is = value[bit] > table[at[bit]];
                    at[bit] = 2 * at[bit] + is;
                    above |= uint64_t(is) << bit;
                }
                bits[level * words + word] = above;
            }
        }
    }

    // The bits of an 8 x 8 matrix, a byte a row, mirrored on the diagonal (H. S. Warren, Hacker's
    // Delight, 7-3).
    static uint64_t mirrored(uint64_t x) {
        uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAull;
        x ^= t ^ (t << 7);
        t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCull;
        x ^= t ^ (t << 14);
        t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0ull;
        return x ^ t ^ (t << 28);
    }

    template <int words>
    static void add_leaves(const ForestProgram &program, int first, int last, const uint64_t *codes,
                           uint64_t *sums) {
        for (int tree = first; tree < last; ++tree, codes += kCodeBits * words) {
            const uint32_t *values = program.values + program.trees[tree].values;
            const int bits = program.trees[tree].code_bits;
            for (int word = 0; word < words; ++word)
                for (int byte = 0; byte < 8; ++byte) {
                    uint64_t rows = 0;
                    for (int bit = 0; bit < bits; ++bit)
                        rows |= (codes[bit * words + word] >> (8 * byte) & 255) << (8 * bit);
                    rows = mirrored(rows);
                    uint64_t *sum = sums + word * kWordBits + 8 * byte;
                    for (int document = 0; document < 8; ++document)
                        sum[document] += values[rows >> (8 * document) & 255];
                }
        }
    }

    static void finish(const ForestProgram &program, int64_t n, const uint64_t *sums, float *scores) {
        for (int64_t document = 0; document < n; ++document)
            scores[document] =
                float(program.offset + program.quantum * double(int64_t(sums[document])));
    }
};

} // namespace
} // namespace distilrank
