// Few documents, row by row: activations are (document, unit), a vector is neighbouring units.
#pragma once

#include "network_block.hpp"

namespace distilrank {
namespace {

template <class Isa, class First, class Rest>
struct FewCode : BlockCode<Isa, First, Rest, NoTiles> {
    using Base = BlockCode<Isa, First, Rest, NoTiles>;
    using Vector = typename Isa::Vector;
    static constexpr int kWidth = Isa::kWidth;

    static void centred_document(const Network &network, const float *row, float *out) {
        const float *fill = network.fill ? network.fill : network.centre;
        for (int64_t first = 0; first < network.features; first += kWidth) {
            const int64_t left = network.features - first;
            const Vector x = left < kWidth ? Isa::load_part(row + first, static_cast<int>(left))
                                           : Isa::load(row + first);
            First::store_units(out + first / First::kPerWord,
                               Base::centred(network, x, Isa::load(network.centre + first),
                                             Isa::load(fill + first)));
        }
    }

    // Words of one document's centred features, whole vectors of features.
    static int64_t feature_words(const Network &network) {
        return (network.features + kWidth - 1) / kWidth * kWidth / First::kPerWord;
    }

    template <class In>
    static void store_finished(const NetworkLayer &layer, Vector sum, int64_t column, float *out) {
        const Vector done = Base::template finished<In, Rest>(
            layer, sum, Isa::load(layer.scale + column), Isa::load(layer.bias + column));
        Rest::store_units(out + column / Rest::kPerWord, done);
    }

    // ---- One document ----

    // Through a dense layer: a matrix-vector product that streams the weights, but for those of
    // words that are zero, as half of the units are after ReLU6.
    template <class In, int V>
    static void vector_product(const NetworkLayer &layer, const NetworkBuffers &buffers,
                               int64_t active, int64_t column, float *out) {
        Vector sum[V];
        for (int v = 0; v < V; ++v)
            sum[v] = Base::template initial<In>(Isa::load(layer.bias + column + v * kWidth));
        for (int64_t k = 0; k < active; ++k) {
            const Vector one = Isa::broadcast(buffers.active_values + k);
            const float *weights =
                layer.columns + int64_t{buffers.active_indices[k]} * layer.padded + column;
            for (int v = 0; v < V; ++v)
                sum[v] = In::dot(sum[v], Isa::load(weights + v * kWidth), one);
        }
        for (int v = 0; v < V; ++v) store_finished<In>(layer, sum[v], column + v * kWidth, out);
    }

    template <class In, int V>
    static void vector_product_of(int64_t vectors, const NetworkLayer &layer,
                                  const NetworkBuffers &buffers, int64_t active, int64_t column,
                                  float *out) {
        if constexpr (V > 1)
            if (vectors < V)
                return vector_product_of<In, V - 1>(vectors, layer, buffers, active, column, out);
        vector_product<In, V>(layer, buffers, active, column, out);
    }

    template <class In>
    static void dense_document(const NetworkLayer &layer, const NetworkBuffers &buffers,
                               const float *in, float *out) {
        int64_t active = 0;
        for (int64_t k = 0; k < layer.depth; k += kWidth) {
            const int64_t left = layer.depth - k;
            const int count = left < kWidth ? static_cast<int>(left) : kWidth;
            active += Isa::active(in + k, count, static_cast<int32_t>(k),
                                  buffers.active_values + active, buffers.active_indices + active);
        }
        constexpr int kMost = 8;
        for (int64_t column = 0; column < layer.padded; column += kMost * kWidth)
            vector_product_of<In, kMost>((layer.padded - column) / kWidth, layer, buffers, active,
                                         column, out);
    }

    template <class In>
    static void sparse_document(const NetworkLayer &layer, const float *in, float *out) {
        const int64_t slices = layer.padded / kWidth;
        int64_t at = 0;
        for (int64_t slice = 0; slice < slices; ++slice) {
            Vector sum = Base::template initial<In>(Isa::load(layer.bias + slice * kWidth));
            for (const int64_t end = layer.slice_starts[slice + 1]; at < end; ++at)
                sum = In::dot(sum, Isa::load(layer.slice_values + at * kWidth),
                              Isa::gather(in, layer.slice_indices + at * kWidth));
            store_finished<In>(layer, sum, slice * kWidth, out);
        }
    }

    template <class In>
    static void hidden_document(const NetworkLayer &layer, const NetworkBuffers &buffers,
                                const float *in, float *out) {
        if (layer.starts) sparse_document<In>(layer, in, out);
        else dense_document<In>(layer, buffers, in, out);
    }

    // The last layer: its panel is one row of weights.
    template <class In>
    static float last_document(const NetworkLayer &layer, const float *in) {
        Vector sum[2] = {Isa::zero(), Isa::zero()};
        int64_t k = 0;
        for (; k + 2 * kWidth <= layer.depth; k += 2 * kWidth)
            for (int v = 0; v < 2; ++v)
                sum[v] = In::dot(sum[v], Isa::load(layer.panels + k + v * kWidth),
                                 Isa::load(in + k + v * kWidth));
        for (; k < layer.depth; k += kWidth) {
            const int64_t left = layer.depth - k;
            const int count = left < kWidth ? static_cast<int>(left) : kWidth;
            sum[0] = In::dot(sum[0], Isa::load_part(layer.panels + k, count),
                             Isa::load_part(in + k, count));
        }
        if constexpr (In::kWhole)
            for (Vector &each : sum) each = Isa::from_whole(each);
        float total[kWidth];
        Isa::store(total, sum[0] + sum[1]);
        for (int step = kWidth / 2; step > 0; step /= 2)
            for (int lane = 0; lane < step; ++lane) total[lane] += total[lane + step];
        return In::kWhole ? total[0] * layer.scale[0] + layer.bias[0] : layer.bias[0] + total[0];
    }

    static float score_document(const Network &network, const NetworkBuffers &buffers,
                                const float *row) {
        float *in = buffers.activations[0], *out = buffers.activations[1];
        Laps laps(buffers.seconds);
        centred_document(network, row, in);
        laps.next();
        const NetworkLayer *layer = network.layers;
        const NetworkLayer *const end = layer + network.n_layers - 1;
        float score;
        if (layer == end) score = last_document<First>(*end, in);
        else {
            hidden_document<First>(*layer, buffers, in, out);
            laps.next();
            while (++layer < end) {
                swap(in, out);
                hidden_document<Rest>(*layer, buffers, in, out);
                laps.next();
            }
            score = last_document<Rest>(*end, out);
        }
        laps.next();
        return score;
    }

    // ---- Some ----

    // The tile again, with documents as rows and outputs as columns.
    template <class In, int V>
    static void dense_columns(const NetworkLayer &layer, Broadcast in, int64_t n, int64_t column,
                              float *out) {
        const int64_t out_stride = layer.padded / Rest::kPerWord;
        for (int64_t first = 0; first < n; first += Isa::kFewRows) {
            const int64_t left = n - first;
            Base::template tile_of<In, Rest, Isa::kFewRows, V, kRows>(
                left < Isa::kFewRows ? left : Isa::kFewRows,
                Broadcast{in.data + first * in.row, in.row, in.depth}, layer.columns + column,
                layer.padded, layer, column, out + first * out_stride + column / Rest::kPerWord,
                out_stride);
        }
    }

    template <class In>
    static void dense_some(const NetworkLayer &layer, Broadcast in, int64_t n, float *out) {
        int64_t column = 0;
        for (; column + 3 * kWidth <= layer.padded; column += 3 * kWidth)
            dense_columns<In, 3>(layer, in, n, column, out);
        const int64_t left = (layer.padded - column) / kWidth;
        if (left == 2) dense_columns<In, 2>(layer, in, n, column, out);
        else if (left == 1) dense_columns<In, 1>(layer, in, n, column, out);
    }

    // Where one layer's activations lie: (unit, document) until the first dense layer.
    struct Activations {
        float *data, *other;
        bool by_rows;
        int64_t width; // words from one document to the next, by rows
    };

    template <class In, int V>
    static void hidden_some(const NetworkLayer &layer, int64_t n, Activations &at) {
        const int64_t next = layer.padded / Rest::kPerWord;
        if (!at.by_rows && layer.starts) Base::template sparse<In, V>(layer, at.data, at.other);
        else if (layer.starts)
            for (int64_t r = 0; r < n; ++r)
                sparse_document<In>(layer, at.data + r * at.width, at.other + r * next);
        else {
            dense_some<In>(layer, at.by_rows ? Broadcast{at.data, at.width, 1}
                                             : Broadcast{at.data, 1, V * kWidth}, n, at.other);
            at.by_rows = true;
        }
        at.width = next;
        swap(at.data, at.other);
    }

    template <class In, int V>
    static void last_some(const NetworkLayer &layer, int64_t n, const Activations &at,
                          float *scores) {
        if (!at.by_rows) Base::template last<In, V>(layer, at.data, at.other);
        for (int64_t r = 0; r < n; ++r)
            scores[r] = at.by_rows ? last_document<In>(layer, at.data + r * at.width) : at.other[r];
    }

    // At most V vectors of documents. Sparse layers run feature-major as long as all layers before
    // are sparse too; the first dense layer reads that and writes rows.
    template <int V>
    static void score_some(const Network &network, const NetworkBuffers &buffers, const float *rows,
                           int64_t n, int64_t stride, float *scores) {
        Activations at{buffers.activations[0], buffers.activations[1], !network.layers[0].starts,
                       feature_words(network)};
        Laps laps(buffers.seconds);
        if (at.by_rows)
            for (int64_t r = 0; r < n; ++r)
                centred_document(network, rows + r * stride, at.data + r * at.width);
        else Base::template transpose<V>(network, rows, n, stride, at.data);
        laps.next();
        const NetworkLayer *layer = network.layers;
        const NetworkLayer *const end = layer + network.n_layers - 1;
        if (layer == end) last_some<First, V>(*end, n, at, scores);
        else {
            hidden_some<First, V>(*layer, n, at);
            laps.next();
            while (++layer < end) {
                hidden_some<Rest, V>(*layer, n, at);
                laps.next();
            }
            last_some<Rest, V>(*end, n, at, scores);
        }
        laps.next();
    }
};

} // namespace
} // namespace distilrank
