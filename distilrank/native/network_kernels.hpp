// Scoring a network, for one instruction set: the includer has defined `Simd` in this anonymous
// namespace, and is compiled for that set. Everything here is the includer's own copy.
//
// Many documents are scored in blocks, feature-major: activations are (unit, document), a vector is
// neighbouring documents. Few documents are scored row by row: activations are (document, unit), a
// vector is neighbouring units. Both are the same register tile with the operands exchanged.
#include "network.hpp"

namespace distilrank {
namespace {

using Vector = Simd::Vector;
constexpr int kWidth = Simd::kWidth;
constexpr int64_t kBlock = kWidth * Simd::kVectors;
constexpr float kMissing = 3.4028234663852886e+38f; // the largest float

// The operand whose numbers are broadcast one by one.
struct Broadcast {
    const float *data;
    int64_t row, depth; // strides
};

// out[r][v] = clamp(bias + sum over k of a[r][k] b[k][v]), R rows and V vectors.
// The bias is one number a row, or one a column.
template <int R, int V, bool kBiasOfRow>
__attribute__((noinline)) void tile(Broadcast a, const float *b, int64_t b_stride, const NetworkLayer &layer,
          const float *bias, float *out, int64_t out_stride) {
    Vector sum[R][V];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v)
            sum[r][v] = kBiasOfRow ? Simd::broadcast(bias + r) : Simd::load(bias + v * kWidth);
    const float *left = a.data;
    for (int64_t k = layer.inputs; k > 0; --k) {
        Vector right[V];
        for (int v = 0; v < V; ++v) right[v] = Simd::load(b + v * kWidth);
        for (int r = 0; r < R; ++r) {
            const Vector one = Simd::broadcast(left + r * a.row);
            for (int v = 0; v < V; ++v) sum[r][v] = Simd::fma(one, right[v], sum[r][v]);
        }
        left += a.depth;
        b += b_stride;
    }
    const Vector low = Simd::broadcast(&layer.low), high = Simd::broadcast(&layer.high);
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v)
            Simd::store(out + r * out_stride + v * kWidth, Simd::clamp(sum[r][v], low, high));
}

// `tile` of `rows` rows, 1 to R.
template <int R, int V, bool kBiasOfRow, typename... Arguments>
void tile_of(int64_t rows, const Arguments &...arguments) {
    if constexpr (R > 1)
        if (rows < R) return tile_of<R - 1, V, kBiasOfRow>(rows, arguments...);
    tile<R, V, kBiasOfRow>(arguments...);
}

// ---- Blocks: activations are (unit, V vectors of documents) ----

template <int V>
void dense_block(const NetworkLayer &layer, const float *in, float *out) {
    const float *weights = layer.panels, *bias = layer.bias;
    for (int64_t p = 0; p < layer.n_panels; ++p) {
        const int64_t height = layer.heights[p];
        tile_of<Simd::kHeight, V, true>(height, Broadcast{weights, 1, height}, in, V * kWidth,
                                        layer, bias, out, V * kWidth);
        weights += height * layer.inputs;
        bias += height;
        out += height * V * kWidth;
    }
}

template <int V>
void sparse_block(const NetworkLayer &layer, const float *in, float *out) {
    const Vector low = Simd::broadcast(&layer.low), high = Simd::broadcast(&layer.high);
    int64_t at = layer.starts[0];
    for (int64_t row = 0; row < layer.outputs; ++row) {
        Vector sum[V];
        for (int v = 0; v < V; ++v) sum[v] = Simd::broadcast(layer.bias + row);
        for (const int64_t end = layer.starts[row + 1]; at < end; ++at) {
            const Vector one = Simd::broadcast(layer.values + at);
            const float *column = in + int64_t{layer.indices[at]} * (V * kWidth);
            for (int v = 0; v < V; ++v)
                sum[v] = Simd::fma(one, Simd::load(column + v * kWidth), sum[v]);
        }
        for (int v = 0; v < V; ++v) Simd::store(out + v * kWidth, Simd::clamp(sum[v], low, high));
        out += V * kWidth;
    }
}

// Centred features of n documents, 1 to V vectors of them, as (feature, document). What lies behind
// the last document is a copy of it.
template <int V>
void transpose_block(const Network &network, const float *rows, int64_t n, int64_t stride,
                     float *out) {
    for (int v = 0; v < V; ++v) {
        const float *row[kWidth];
        for (int64_t r = 0; r < kWidth; ++r) {
            const int64_t document = v * kWidth + r;
            row[r] = rows + (document < n ? document : n - 1) * stride;
        }
        for (int64_t feature = 0; feature < network.features; feature += kWidth) {
            const int64_t left = network.features - feature;
            const int count = left < kWidth ? static_cast<int>(left) : kWidth;
            Vector part[kWidth];
            Simd::transposed(row, feature, count, part);
            for (int r = 0; r < count; ++r) {
                Vector value = part[r] - Simd::broadcast(network.centre + feature + r);
                if (network.fill)
                    value = Simd::replace(part[r], Simd::broadcast(&kMissing), value,
                                          Simd::broadcast(network.fill + feature + r));
                Simd::store(out + ((feature + r) * V + v) * kWidth, value);
            }
        }
    }
}

template <int V>
void score_block(const Network &network, const NetworkBuffers &buffers, const float *rows,
                 int64_t n, int64_t stride, float *scores) {
    float *in = buffers.activations[0], *out = buffers.activations[1];
    transpose_block<V>(network, rows, n, stride, in);
    for (int64_t l = 0; l < network.n_layers; ++l) {
        const NetworkLayer &layer = network.layers[l];
        if (layer.starts) sparse_block<V>(layer, in, out);
        else dense_block<V>(layer, in, out);
        float *const done = out;
        out = in;
        in = done;
    }
    for (int64_t document = 0; document < n; ++document) scores[document] = in[document];
}

template <int V>
void score_vectors(int64_t vectors, const Network &network, const NetworkBuffers &buffers,
                   const float *rows, int64_t n, int64_t stride, float *scores) {
    if constexpr (V > 1)
        if (vectors < V)
            return score_vectors<V - 1>(vectors, network, buffers, rows, n, stride, scores);
    score_block<V>(network, buffers, rows, n, stride, scores);
}

// ---- Few documents: activations are (document, unit) ----

// One document through a dense layer: a matrix-vector product that streams the weights, but for
// those of inputs that are zero, as every second is after ReLU6.
template <int V>
void vector_product(const NetworkLayer &layer, const NetworkBuffers &buffers, int64_t active,
                    int64_t column, float *out) {
    Vector sum[V];
    for (int v = 0; v < V; ++v) sum[v] = Simd::load(layer.bias + column + v * kWidth);
    for (int64_t k = 0; k < active; ++k) {
        const Vector one = Simd::broadcast(buffers.active_values + k);
        const float *weights =
            layer.columns + int64_t{buffers.active_indices[k]} * layer.padded + column;
        for (int v = 0; v < V; ++v)
            sum[v] = Simd::fma(one, Simd::load(weights + v * kWidth), sum[v]);
    }
    const Vector low = Simd::broadcast(&layer.low), high = Simd::broadcast(&layer.high);
    for (int v = 0; v < V; ++v)
        Simd::store(out + column + v * kWidth, Simd::clamp(sum[v], low, high));
}

template <int V>
void vector_product_of(int64_t vectors, const NetworkLayer &layer, const NetworkBuffers &buffers,
                       int64_t active, int64_t column, float *out) {
    if constexpr (V > 1)
        if (vectors < V)
            return vector_product_of<V - 1>(vectors, layer, buffers, active, column, out);
    vector_product<V>(layer, buffers, active, column, out);
}

void dense_document(const NetworkLayer &layer, const NetworkBuffers &buffers, const float *in,
                    float *out) {
    int64_t active = 0;
    for (int64_t k = 0; k < layer.inputs; ++k) {
        buffers.active_values[active] = in[k];
        buffers.active_indices[active] = static_cast<int32_t>(k);
        active += in[k] != 0;
    }
    constexpr int kVectors = Simd::kHeight;
    for (int64_t column = 0; column < layer.padded; column += kVectors * kWidth) {
        const int64_t left = (layer.padded - column) / kWidth;
        vector_product_of<kVectors>(left, layer, buffers, active, column, out);
    }
}

void sparse_document(const NetworkLayer &layer, const float *in, float *out) {
    const Vector low = Simd::broadcast(&layer.low), high = Simd::broadcast(&layer.high);
    const int64_t slices = layer.padded / kWidth;
    int64_t at = 0;
    for (int64_t slice = 0; slice < slices; ++slice) {
        Vector sum = Simd::load(layer.bias + slice * kWidth);
        for (const int64_t end = layer.slice_starts[slice + 1]; at < end; ++at)
            sum = Simd::fma(Simd::load(layer.slice_values + at * kWidth),
                            Simd::gather(in, layer.slice_indices + at * kWidth), sum);
        Simd::store(out + slice * kWidth, Simd::clamp(sum, low, high));
    }
}

// One output: its weights lie one after the other (columns and slices of an output are padded).
float dot_product(const NetworkLayer &layer, const float *in) {
    const float *weights = layer.panels;
    Vector sum[2] = {Simd::zero(), Simd::zero()};
    int64_t k = 0;
    for (; k + 2 * kWidth <= layer.inputs; k += 2 * kWidth)
        for (int v = 0; v < 2; ++v)
            sum[v] = Simd::fma(Simd::load(weights + k + v * kWidth),
                               Simd::load(in + k + v * kWidth), sum[v]);
    float total[kWidth];
    Simd::store(total, sum[0] + sum[1]);
    float result = layer.bias[0];
    for (; k < layer.inputs; ++k) result += weights[k] * in[k];
    for (int step = kWidth / 2; step > 0; step /= 2)
        for (int lane = 0; lane < step; ++lane) total[lane] += total[lane + step];
    result += total[0];
    return result < layer.low ? layer.low : result > layer.high ? layer.high : result;
}

void centred_document(const Network &network, const float *row, float *out) {
    for (int64_t feature = 0; feature < network.features; ++feature)
        out[feature] = row[feature] - network.centre[feature];
    if (!network.fill) return;
    for (int64_t feature = 0; feature < network.features; ++feature)
        out[feature] = row[feature] == kMissing ? network.fill[feature] : out[feature];
}

float score_document(const Network &network, const NetworkBuffers &buffers, const float *row) {
    float *in = buffers.activations[0], *out = buffers.activations[1];
    centred_document(network, row, in);
    for (int64_t l = 0; l < network.n_layers; ++l) {
        const NetworkLayer &layer = network.layers[l];
        if (layer.starts) sparse_document(layer, in, out);
        else if (layer.outputs == 1) out[0] = dot_product(layer, in);
        else dense_document(layer, buffers, in, out);
        float *const done = out;
        out = in;
        in = done;
    }
    return in[0];
}

// The tile again, with documents as rows and outputs as columns.
template <int V>
void dense_columns(const NetworkLayer &layer, Broadcast in, int64_t n, int64_t column, float *out) {
    for (int64_t first = 0; first < n; first += Simd::kFewRows) {
        const int64_t left = n - first;
        const Broadcast rows{in.data + first * in.row, in.row, in.depth};
        tile_of<Simd::kFewRows, V, false>(
            left < Simd::kFewRows ? left : Simd::kFewRows, rows, layer.columns + column,
            layer.padded, layer, layer.bias + column, out + first * layer.padded + column,
            layer.padded);
    }
}

void dense_few(const NetworkLayer &layer, Broadcast in, int64_t n, float *out) {
    int64_t column = 0;
    for (; column + 3 * kWidth <= layer.padded; column += 3 * kWidth)
        dense_columns<3>(layer, in, n, column, out);
    const int64_t left = (layer.padded - column) / kWidth;
    if (left == 2) dense_columns<2>(layer, in, n, column, out);
    else if (left == 1) dense_columns<1>(layer, in, n, column, out);
}

// At most one vector of documents. Sparse layers run feature-major as long as all layers before
// are sparse too; the first dense layer reads that and writes rows.
void score_few(const Network &network, const NetworkBuffers &buffers, const float *rows, int64_t n,
               int64_t stride, float *scores) {
    float *in = buffers.activations[0], *out = buffers.activations[1];
    Broadcast layout{in, 1, kWidth};
    if (network.layers[0].starts) transpose_block<1>(network, rows, n, stride, in);
    else {
        layout = {in, network.features, 1};
        for (int64_t r = 0; r < n; ++r)
            centred_document(network, rows + r * stride, in + r * network.features);
    }
    for (int64_t l = 0; l < network.n_layers; ++l) {
        const NetworkLayer &layer = network.layers[l];
        layout.data = in;
        if (layer.starts && layout.row == 1) sparse_block<1>(layer, in, out);
        else {
            if (layer.starts)
                for (int64_t r = 0; r < n; ++r)
                    sparse_document(layer, in + r * layout.row, out + r * layer.padded);
            else if (layer.outputs == 1 && layout.depth == 1)
                for (int64_t r = 0; r < n; ++r)
                    out[r * layer.padded] = dot_product(layer, in + r * layout.row);
            else dense_few(layer, layout, n, out);
            layout = {out, layer.padded, 1};
        }
        float *const done = out;
        out = in;
        in = done;
    }
    for (int64_t r = 0; r < n; ++r) scores[r] = in[r * layout.row];
}

void score(const Network &network, const NetworkBuffers &buffers, const float *rows, int64_t n,
           int64_t stride, float *scores) {
    while (n > 0) {
        int64_t taken = n < kBlock ? n : kBlock;
        if (taken == 1) scores[0] = score_document(network, buffers, rows);
        else if (taken <= Simd::kFew) score_few(network, buffers, rows, taken, stride, scores);
        else
            score_vectors<Simd::kVectors>((taken + kWidth - 1) / kWidth, network, buffers, rows,
                                          taken, stride, scores);
        rows += taken * stride;
        scores += taken;
        n -= taken;
    }
}

constexpr NetworkKernels kKernels{kWidth, static_cast<int32_t>(kBlock), Simd::kHeight, score};

} // namespace
} // namespace distilrank
