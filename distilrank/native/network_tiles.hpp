// Dense layers of a block on AMX: eight tiles of 16 rows by 64 bytes.
//
// Weights are the left tile (16 outputs by 16 words), activations the right one (16 words by 16
// documents), as they lie in a block; a product is (16 outputs, 16 documents), which vectors then
// finish into the next layer's words. Instructions: Intel 64 and IA-32 Architectures Software
// Developer's Manual, volume 2.
#pragma once

#include "network_block.hpp"

namespace distilrank {
namespace {

#ifdef DISTILRANK_TILE_MODEL
// What the instructions do, in plain code: for tests on processors without them.
struct TileUnit {
    static inline thread_local uint32_t tiles[8][16][16];

    static void configure() {}
    static void release() {}
    template <int T>
    static void zero() {
        __builtin_memset(tiles[T], 0, sizeof tiles[T]);
    }
    template <int T>
    static void load(const float *from, int64_t stride) {
        for (int row = 0; row < 16; ++row)
            __builtin_memcpy(tiles[T][row], from + row * stride, sizeof tiles[T][row]);
    }
    template <int T>
    static void store(float *to, int64_t stride) {
        for (int row = 0; row < 16; ++row)
            __builtin_memcpy(to + row * stride, tiles[T][row], sizeof tiles[T][row]);
    }
    static float as_float(uint32_t bits) {
        float value;
        __builtin_memcpy(&value, &bits, sizeof value);
        return value;
    }
    template <int C, int A, int B>
    static void dot_pairs() {
        for (int m = 0; m < 16; ++m)
            for (int k = 0; k < 16; ++k)
                for (int n = 0; n < 16; ++n) {
                    const uint32_t a = tiles[A][m][k], b = tiles[B][k][n];
                    float sum = as_float(tiles[C][m][n]);
                    sum += as_float(a << 16) * as_float(b << 16);
                    sum += as_float(a & 0xffff0000) * as_float(b & 0xffff0000);
                    __builtin_memcpy(&tiles[C][m][n], &sum, sizeof sum);
                }
    }
    template <int C, int A, int B>
    static void dot_bytes() {
        for (int m = 0; m < 16; ++m)
            for (int k = 0; k < 16; ++k)
                for (int n = 0; n < 16; ++n)
                    for (int byte = 0; byte < 32; byte += 8) {
                        const auto a = static_cast<int8_t>(tiles[A][m][k] >> byte);
                        const auto b = static_cast<uint8_t>(tiles[B][k][n] >> byte);
                        tiles[C][m][n] += static_cast<uint32_t>(a * b);
                    }
    }
};
#else
// The compiler's own intrinsics want a tile's number as a literal; a template has none.
struct TileUnit {
    static void configure() {
        struct {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } const configuration;
        static_assert(sizeof configuration == 64, "as the instruction wants it");
        __asm__ volatile("ldtilecfg %0" : : "m"(configuration));
    }
    static void release() { __asm__ volatile("tilerelease"); }
    template <int T>
    static void zero() {
        __asm__ volatile("tilezero %%tmm%c0" : : "i"(T));
    }
    template <int T>
    static void load(const float *from, int64_t stride) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(from), "r"(stride * 4), "i"(T)
                         : "memory");
    }
    template <int T>
    static void store(float *to, int64_t stride) {
        __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                         :
                         : "r"(to), "r"(stride * 4), "i"(T)
                         : "memory");
    }
    template <int C, int A, int B>
    static void dot_pairs() {
        __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
    }
    // Signed weights on the left, unsigned activations on the right.
    template <int C, int A, int B>
    static void dot_bytes() {
        __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
    }
};
#endif

struct AmxTiles {
    static constexpr bool kThere = true;
    static constexpr int64_t kRows = 16; // and columns
    static constexpr int64_t kSize = kRows * kRows;

    // Holds the tiles, which cost something to set up, while more than a few documents are scored.
    struct Session {
        explicit Session(bool needed) : held(needed) {
            if (held) TileUnit::configure();
        }
        ~Session() {
            if (held) TileUnit::release();
        }
        const bool held;
    };

    template <class In, int C, int A, int B>
    static void dot() {
        if constexpr (In::kWhole) TileUnit::dot_bytes<C, A, B>();
        else TileUnit::dot_pairs<C, A, B>();
    }

    // Up to 2 x 2 tiles of a layer's product: tiles 0 to 3, from weights in 4, 5, activations in 6, 7.
    struct Group {
        int64_t output;      // the first
        int vector;          // of documents, the first
        bool rows, columns;  // two of them, else one
    };

    template <class In, bool kRows2, bool kColumns2>
    static void multiply(const float *weights, int64_t depth_tiles, const float *in,
                         int64_t stride) {
        TileUnit::zero<0>();
        if constexpr (kColumns2) TileUnit::zero<1>();
        if constexpr (kRows2) TileUnit::zero<2>();
        if constexpr (kRows2 && kColumns2) TileUnit::zero<3>();
        for (int64_t k = 0; k < depth_tiles; ++k) {
            const float *left = weights + k * kSize, *right = in + k * kRows * stride;
            TileUnit::load<4>(left, kRows);
            TileUnit::load<6>(right, stride);
            dot<In, 0, 4, 6>();
            if constexpr (kColumns2) {
                TileUnit::load<7>(right + kRows, stride);
                dot<In, 1, 4, 7>();
            }
            if constexpr (kRows2) {
                TileUnit::load<5>(left + depth_tiles * kSize, kRows);
                dot<In, 2, 5, 6>();
            }
            if constexpr (kRows2 && kColumns2) dot<In, 3, 5, 7>();
        }
    }

    static constexpr int64_t kSums = 2 * kRows; // from one output's sums to the next one's

    static void store_sums(const Group &group, float *sums) {
        TileUnit::store<0>(sums, kSums);
        if (group.columns) TileUnit::store<1>(sums + kRows, kSums);
        if (group.rows) TileUnit::store<2>(sums + kRows * kSums, kSums);
        if (group.rows && group.columns) TileUnit::store<3>(sums + kRows * kSums + kRows, kSums);
    }

    // Sums as the next layer's words.
    template <class Isa, class In, class Out, int V>
    static void finish(const NetworkLayer &layer, const Group &group, const float *sums,
                       float *out) {
        using Vector = typename Isa::Vector;
        const int64_t most = group.rows ? 2 * kRows : kRows, left = layer.outputs - group.output;
        const Vector low = Isa::broadcast(&layer.low), high = Isa::broadcast(&layer.high);
        for (int64_t row = 0; row < (left < most ? left : most); row += Out::kPerWord) {
            const float *bias = layer.bias + group.output + row;
            const float *scale = layer.scale + group.output + row;
            for (int column = 0; column < (group.columns ? 2 : 1); ++column) {
                Vector units[Out::kPerWord];
                for (int u = 0; u < Out::kPerWord; ++u) {
                    const Vector sum = Isa::load(sums + (row + u) * kSums + column * kRows);
                    const Vector offset = Isa::broadcast(bias + u);
                    if constexpr (In::kWhole)
                        units[u] = Isa::fma(Isa::from_whole(sum), Isa::broadcast(scale + u), offset);
                    else units[u] = sum + offset;
                    units[u] = Out::clamp(units[u], low, high);
                }
                const int64_t word = (group.output + row) / Out::kPerWord;
                Isa::store(out + (word * V + group.vector + column) * kRows, Out::pack(units));
            }
        }
    }

    // While one group is multiplied, the one before is finished: the two share no instruction's unit.
    template <class Isa, class In, class Out, int V>
    static void dense(const NetworkLayer &layer, const float *in, float *out) {
        static_assert(Isa::kWidth == kRows, "a vector is a tile's row");
        alignas(64) float sums[2][2 * kRows * kSums];
        const int64_t depth_tiles = (layer.depth + kRows - 1) / kRows;
        Group before{};
        int turn = 0;
        for (int64_t output = 0; output < layer.outputs; output += 2 * kRows)
            for (int vector = 0; vector < V; vector += 2, ++turn) {
                const Group group{output, vector, layer.outputs - output > kRows, V - vector > 1};
                const float *weights = layer.tiles + output / kRows * depth_tiles * kSize;
                const float *documents = in + vector * kRows;
                const auto multiplied = group.rows ? group.columns ? multiply<In, true, true>
                                                                   : multiply<In, true, false>
                                        : group.columns ? multiply<In, false, true>
                                                        : multiply<In, false, false>;
                multiplied(weights, depth_tiles, documents, V * kRows);
                if (turn) finish<Isa, In, Out, V>(layer, before, sums[(turn - 1) % 2], out);
                store_sums(group, sums[turn % 2]);
                before = group;
            }
        finish<Isa, In, Out, V>(layer, before, sums[(turn - 1) % 2], out);
    }
};

} // namespace
} // namespace distilrank
