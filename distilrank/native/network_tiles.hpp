// Dense layers of a block on AMX (tile_unit.hpp).
//
// Weights are the left tile (16 outputs by 16 words), activations the right one (16 words by 16
// documents), as they lie in a block; a product is (16 outputs, 16 documents), which vectors then
// finish into the next layer's words.
#pragma once

#include "network_block.hpp"
#include "tile_unit.hpp"

namespace distilrank {
namespace {

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
