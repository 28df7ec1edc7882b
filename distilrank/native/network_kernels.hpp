// Scoring a network, written once over what one instruction set offers (`Isa`) and over what its
// numbers are. Included by files that are compiled for one instruction set each: everything is
// their own copy.
//
// Many documents are scored in blocks, feature-major; few are scored row by row. Both are the same
// register tile with the operands exchanged.
#pragma once

#include "network_few.hpp"

namespace distilrank {
namespace {

template <class Isa, class First, class Rest, class Tiles = NoTiles>
struct NetworkCode {
    using Block = BlockCode<Isa, First, Rest, Tiles>;
    using Few = FewCode<Isa, First, Rest>;
    static constexpr int kWidth = Isa::kWidth;
    static constexpr int64_t kBlock = kWidth * Isa::kVectors;
    // That many documents behind whole vectors are cheaper scored row by row.
    static constexpr int64_t kRest = Tiles::kThere ? kWidth / 4 : kWidth * 5 / 8;

    // The next block's rows come into the cache while this one's layers are computed.
    static void prefetch(const Network &network, const float *rows, int64_t n, int64_t stride) {
        constexpr int64_t kLine = 64 / sizeof(float);
        for (int64_t r = 0; r < n; ++r)
            for (int64_t f = 0; f < network.features; f += kLine)
                __builtin_prefetch(rows + r * stride + f, 0, 2);
    }

    static void score(const Network &network, const NetworkBuffers &buffers, const float *rows,
                      int64_t n, int64_t stride, float *scores) {
        [[maybe_unused]] const typename Tiles::Session session(n > kRest);
        while (n > 0) {
            int64_t taken = n < kBlock ? n : kBlock;
            const int64_t behind = n - taken;
            prefetch(network, rows + taken * stride, behind < kBlock ? behind : kBlock, stride);
            const int64_t rest = taken % kWidth;
            if (taken > kWidth && rest <= kRest) taken -= rest;
            if (taken <= 2) {
                taken = 1; // two at once would have to read the weights of zeros too
                scores[0] = Few::score_document(network, buffers, rows);
            } else if (taken <= (Tiles::kThere ? kRest : kWidth))
                Few::template score_some<1>(network, buffers, rows, taken, stride, scores);
            else Block::score_vectors(network, buffers, rows, taken, stride, scores);
            rows += taken * stride;
            scores += taken;
            n -= taken;
        }
    }

    static constexpr NetworkKernels kernels(const char *level, const char *instruction = "") {
        return {level,        instruction,     kWidth,         static_cast<int32_t>(kBlock),
                Block::kHeight, First::kPerWord, Rest::kPerWord, Tiles::kThere,
                score};
    }
};

template <class Isa>
using CodeFp32 = NetworkCode<Isa, Fp32<Isa>, Fp32<Isa>>;
template <class Isa, class Tiles = NoTiles>
using CodeBf16 = NetworkCode<Isa, Bf16<Isa>, Bf16<Isa>, Tiles>;
template <class Isa, class Tiles = NoTiles>
using CodeFp32ThenBf16 = NetworkCode<Isa, Fp32<Isa>, Bf16<Isa>, Tiles>;
template <class Isa, class Tiles = NoTiles>
using CodeFp32ThenInt8 = NetworkCode<Isa, Fp32<Isa>, Int8<Isa>, Tiles>;

} // namespace
} // namespace distilrank
