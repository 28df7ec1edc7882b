// Many documents, in blocks: activations are (unit, V vectors of documents), a vector is
// neighbouring documents.
#pragma once

#include "network_tile.hpp"

namespace distilrank {
namespace {

// For processors without AMX.
struct NoTiles {
    static constexpr bool kThere = false;
    struct Session {
        explicit Session(bool) {}
    };
};

template <class Isa, class First, class Rest, class Tiles>
struct BlockCode : TileCode<Isa> {
    using Base = TileCode<Isa>;
    using Vector = typename Isa::Vector;
    static constexpr int kWidth = Isa::kWidth;
    // Panels are whole words of what they write, and few enough for the registers.
    static constexpr int kHeight = Isa::kHeight / Rest::kPerWord * Rest::kPerWord;

    template <class In, int V>
    static void dense(const NetworkLayer &layer, const float *in, float *out) {
        const float *weights = layer.panels;
        int64_t first = 0;
        for (int64_t p = 0; p < layer.n_panels; ++p) {
            const int64_t height = layer.heights[p];
            Base::template tile_of<In, Rest, kHeight, V, kUnits>(
                height, Broadcast{weights, 1, height}, in, int64_t{V * kWidth}, layer, first, out,
                int64_t{V * kWidth});
            weights += height * layer.depth;
            first += height;
            out += height / Rest::kPerWord * V * kWidth;
        }
    }

    template <class In, int V>
    static void last(const NetworkLayer &layer, const float *in, float *out) {
        Base::template tile<In, Fp32<Isa>, 1, V, kScores>(
            Broadcast{layer.panels, 1, 1}, in, V * kWidth, layer, 0, out, V * kWidth);
    }

    template <class In, int V>
    static void sparse(const NetworkLayer &layer, const float *in, float *out) {
        int64_t at = layer.starts[0];
        for (int64_t row = 0; row < layer.outputs; row += Rest::kPerWord) {
            Vector sum[V][Rest::kPerWord];
            for (int u = 0; u < Rest::kPerWord; ++u) {
                const Vector bias = Isa::broadcast(layer.bias + row + u);
                const Vector scale = Isa::broadcast(layer.scale + row + u);
                for (int v = 0; v < V; ++v) sum[v][u] = Base::template initial<In>(bias);
                for (const int64_t end = layer.starts[row + u + 1]; at < end; ++at) {
                    const Vector one = Isa::broadcast(layer.values + at);
                    const float *column = in + int64_t{layer.indices[at]} * (V * kWidth);
                    for (int v = 0; v < V; ++v)
                        sum[v][u] = In::dot(sum[v][u], one, Isa::load(column + v * kWidth));
                }
                for (int v = 0; v < V; ++v)
                    sum[v][u] = Base::template finished<In, Rest>(layer, sum[v][u], scale, bias);
            }
            for (int v = 0; v < V; ++v) Isa::store(out + v * kWidth, Rest::pack(sum[v]));
            out += V * kWidth;
        }
    }

    template <class In, int V>
    static void hidden(const NetworkLayer &layer, const float *in, float *out) {
        if (layer.starts) return sparse<In, V>(layer, in, out);
        if constexpr (Tiles::kThere && In::kPerWord > 1)
            Tiles::template dense<Isa, In, Rest, V>(layer, in, out);
        else dense<In, V>(layer, in, out);
    }

    // Tiles read whole tiles of words; behind a layer's units their weights are zero, and these
    // words must be numbers.
    template <int V>
    static void fill_tile(int64_t words, float *activations) {
        if constexpr (Tiles::kThere)
            for (int64_t word = words; word % Tiles::kRows; ++word)
                for (int v = 0; v < V; ++v)
                    Isa::store(activations + (word * V + v) * kWidth, Isa::zero());
    }

    // Centred features of n documents, 1 to V vectors of them, as (feature, document). What lies
    // behind the last document is a copy of it.
    template <int V>
    static void transpose(const Network &network, const float *rows, int64_t n, int64_t stride,
                          float *out) {
        constexpr int kPerWord = First::kPerWord;
        const float *fill = network.fill ? network.fill : network.centre;
        for (int v = 0; v < V; ++v) {
            const float *row[kWidth];
            for (int64_t r = 0; r < kWidth; ++r) {
                const int64_t document = v * kWidth + r;
                row[r] = rows + (document < n ? document : n - 1) * stride;
            }
            for (int64_t first = 0; first < network.features; first += kWidth) {
                const int64_t left = network.features - first;
                const int count = left < kWidth ? static_cast<int>(left) : kWidth;
                Vector part[kWidth];
                Isa::transposed(row, first, count, part);
                float *to = out + (first / kPerWord * V + v) * kWidth;
                for (int c = 0; c < count; c += kPerWord) {
                    for (int u = c; u < c + kPerWord; ++u)
                        part[u] = Base::centred(network, part[u],
                                                Isa::broadcast(network.centre + first + u),
                                                Isa::broadcast(fill + first + u));
                    Isa::store(to, First::pack(part + c));
                    to += V * kWidth;
                }
            }
        }
        fill_tile<V>((network.features + kPerWord - 1) / kPerWord, out);
    }

    template <int V>
    static void score(const Network &network, const NetworkBuffers &buffers, const float *rows,
                      int64_t n, int64_t stride, float *scores) {
        float *in = buffers.activations[0], *out = buffers.activations[1];
        Laps laps(buffers.seconds);
        transpose<V>(network, rows, n, stride, in);
        laps.next();
        const NetworkLayer *layer = network.layers;
        const NetworkLayer *const end = layer + network.n_layers - 1;
        if (layer == end) last<First, V>(*end, in, out);
        else {
            for (; layer < end; ++layer) {
                if (layer == network.layers) hidden<First, V>(*layer, in, out);
                else hidden<Rest, V>(*layer, in, out);
                fill_tile<V>(layer->outputs / Rest::kPerWord, out);
                swap(in, out);
                laps.next();
            }
            last<Rest, V>(*end, in, out);
        }
        laps.next();
        for (int64_t document = 0; document < n; ++document) scores[document] = out[document];
    }

    // `score` of as many vectors as n documents take.
    template <int V = Isa::kVectors>
    static void score_vectors(const Network &network, const NetworkBuffers &buffers,
                              const float *rows, int64_t n, int64_t stride, float *scores) {
        if constexpr (V > 1)
            if (n <= (V - 1) * kWidth)
                return score_vectors<V - 1>(network, buffers, rows, n, stride, scores);
        score<V>(network, buffers, rows, n, stride, scores);
    }
};

} // namespace
} // namespace distilrank
