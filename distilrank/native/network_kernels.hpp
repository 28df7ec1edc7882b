// Scoring a network, written once over what one instruction set offers (`Simd`), for fp32 and bf16.
// Included by files that are compiled for one instruction set each: everything is their own copy.
//
// Many documents are scored in blocks, feature-major: activations are (unit, document), a vector is
// neighbouring documents. Few documents are scored row by row: activations are (document, unit), a
// vector is neighbouring units. Both are the same register tile with the operands exchanged.
#include "network.hpp"

namespace distilrank {
namespace {

// How numbers become words, in fp32: each is one.
template <class Isa>
struct Fp32 : Isa {
    using Vector = typename Isa::Vector;
    static constexpr int kPerWord = 1;
    // sum + one * right, word by word
    static Vector dot(Vector sum, Vector one, Vector right) { return Isa::fma(one, right, sum); }
    static Vector pack(const Vector *units) { return units[0]; }
    static void store_units(float *to, Vector x) { Isa::store(to, x); }
};

// bf16 is the upper half of a float; a word's products are summed in fp32. For processors without
// instructions for it: the same scores, but for the order of rounding.
template <class Isa>
struct Bf16 : Isa {
    using Vector = typename Isa::Vector;
    static constexpr int kPerWord = 2;
    static Vector dot(Vector sum, Vector one, Vector right) {
        sum = Isa::fma(Isa::lower(one), Isa::lower(right), sum);
        return Isa::fma(Isa::upper(one), Isa::upper(right), sum);
    }
    static Vector pack(const Vector *units) { return Isa::packed(units[0], units[1]); }
    static void store_units(float *to, Vector x) { Isa::store_halves(to, x); }
};

// The operand whose words are broadcast one by one.
struct Broadcast {
    const float *data;
    int64_t row, depth; // strides
};

template <class Simd>
struct NetworkCode {
    using Vector = typename Simd::Vector;
    static constexpr int kWidth = Simd::kWidth, kPerWord = Simd::kPerWord;
    static constexpr int64_t kBlock = kWidth * Simd::kVectors;
    // That many documents behind whole vectors are cheaper scored row by row.
    static constexpr int64_t kRest = kWidth * 5 / 8;
    static constexpr float kMissing = 3.4028234663852886e+38f; // the largest float

    static Vector clamped(const NetworkLayer &layer, Vector x) {
        return Simd::clamp(x, Simd::broadcast(&layer.low), Simd::broadcast(&layer.high));
    }

    // What a tile's result is written as.
    enum Form {
        kUnits, // words of neighbouring rows: activations of a block
        kRows,  // words of neighbouring columns: activations of few documents
        kScores // floats
    };

    // out[r][v] = clamp(bias + sum over k of a[r][k] b[k][v]), R rows and V vectors. The bias is
    // one number a column where the result is rows, else one a row.
    template <int R, int V, Form kForm>
    __attribute__((noinline)) static void tile(Broadcast a, const float *b, int64_t b_stride,
                                               const NetworkLayer &layer, const float *bias,
                                               float *out, int64_t out_stride) {
        Vector sum[R][V];
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v)
                sum[r][v] = kForm == kRows ? Simd::load(bias + v * kWidth) : Simd::broadcast(bias + r);
        const float *left = a.data;
        for (int64_t k = layer.depth; k > 0; --k) {
            Vector right[V];
            for (int v = 0; v < V; ++v) right[v] = Simd::load(b + v * kWidth);
            for (int r = 0; r < R; ++r) {
                const Vector one = Simd::broadcast(left + r * a.row);
                for (int v = 0; v < V; ++v) sum[r][v] = Simd::dot(sum[r][v], one, right[v]);
            }
            left += a.depth;
            b += b_stride;
        }
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) sum[r][v] = clamped(layer, sum[r][v]);
        if constexpr (kForm == kRows) {
            for (int r = 0; r < R; ++r)
                for (int v = 0; v < V; ++v)
                    Simd::store_units(out + r * out_stride + v * (kWidth / kPerWord), sum[r][v]);
        } else {
            constexpr int kStep = kForm == kUnits ? kPerWord : 1;
            for (int r = 0; r + kStep <= R; r += kStep)
                for (int v = 0; v < V; ++v) {
                    Vector units[kStep];
                    for (int u = 0; u < kStep; ++u) units[u] = sum[r + u][v];
                    Simd::store(out + r / kStep * out_stride + v * kWidth,
                                kForm == kUnits ? Simd::pack(units) : units[0]);
                }
        }
    }

    // `tile` of `rows` rows, 1 to R.
    template <int R, int V, Form kForm, typename... Arguments>
    static void tile_of(int64_t rows, const Arguments &...arguments) {
        if constexpr (R > 1)
            if (rows < R) return tile_of<R - 1, V, kForm>(rows, arguments...);
        tile<R, V, kForm>(arguments...);
    }

    // ---- Blocks: activations are (unit, V vectors of documents) ----

    template <int V>
    static void dense_block(const NetworkLayer &layer, const float *in, float *out) {
        const float *weights = layer.panels, *bias = layer.bias;
        for (int64_t p = 0; p < layer.n_panels; ++p) {
            const int64_t height = layer.heights[p];
            tile_of<Simd::kHeight, V, kUnits>(height, Broadcast{weights, 1, height}, in, V * kWidth,
                                              layer, bias, out, V * kWidth);
            weights += height * layer.depth;
            bias += height;
            out += height / kPerWord * V * kWidth;
        }
    }

    template <int V>
    static void last_block(const NetworkLayer &layer, const float *in, float *out) {
        tile<1, V, kScores>(Broadcast{layer.panels, 1, 1}, in, V * kWidth, layer, layer.bias, out,
                            V * kWidth);
    }

    template <int V>
    static void sparse_block(const NetworkLayer &layer, const float *in, float *out) {
        int64_t at = layer.starts[0];
        for (int64_t row = 0; row < layer.outputs; row += kPerWord) {
            Vector sum[V][kPerWord];
            for (int u = 0; u < kPerWord; ++u) {
                for (int v = 0; v < V; ++v) sum[v][u] = Simd::broadcast(layer.bias + row + u);
                for (const int64_t end = layer.starts[row + u + 1]; at < end; ++at) {
                    const Vector one = Simd::broadcast(layer.values + at);
                    const float *column = in + int64_t{layer.indices[at]} * (V * kWidth);
                    for (int v = 0; v < V; ++v)
                        sum[v][u] = Simd::dot(sum[v][u], one, Simd::load(column + v * kWidth));
                }
                for (int v = 0; v < V; ++v) sum[v][u] = clamped(layer, sum[v][u]);
            }
            for (int v = 0; v < V; ++v) Simd::store(out + v * kWidth, Simd::pack(sum[v]));
            out += V * kWidth;
        }
    }

    static Vector centred(const Network &network, Vector x, Vector centre, Vector fill) {
        const Vector value = x - centre;
        return network.fill ? Simd::replace(x, Simd::broadcast(&kMissing), value, fill) : value;
    }

    // Centred features of n documents, 1 to V vectors of them, as (feature, document). What lies
    // behind the last document is a copy of it.
    template <int V>
    static void transpose_block(const Network &network, const float *rows, int64_t n,
                                int64_t stride, float *out) {
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
                Simd::transposed(row, first, count, part);
                float *to = out + (first / kPerWord * V + v) * kWidth;
                for (int c = 0; c < count; c += kPerWord) {
                    for (int u = c; u < c + kPerWord; ++u)
                        part[u] = centred(network, part[u],
                                          Simd::broadcast(network.centre + first + u),
                                          Simd::broadcast(fill + first + u));
                    Simd::store(to, Simd::pack(part + c));
                    to += V * kWidth;
                }
            }
        }
    }

    template <int V>
    static void score_block(const Network &network, const NetworkBuffers &buffers,
                            const float *rows, int64_t n, int64_t stride, float *scores) {
        float *in = buffers.activations[0], *out = buffers.activations[1];
        transpose_block<V>(network, rows, n, stride, in);
        for (int64_t l = 0; l + 1 < network.n_layers; ++l) {
            const NetworkLayer &layer = network.layers[l];
            if (layer.starts) sparse_block<V>(layer, in, out);
            else dense_block<V>(layer, in, out);
            swap(in, out);
        }
        last_block<V>(network.layers[network.n_layers - 1], in, out);
        for (int64_t document = 0; document < n; ++document) scores[document] = out[document];
    }

    template <int V>
    static void score_vectors(int64_t vectors, const Network &network,
                              const NetworkBuffers &buffers, const float *rows, int64_t n,
                              int64_t stride, float *scores) {
        if constexpr (V > 1)
            if (vectors < V)
                return score_vectors<V - 1>(vectors, network, buffers, rows, n, stride, scores);
        score_block<V>(network, buffers, rows, n, stride, scores);
    }

    static void swap(float *&one, float *&other) {
        float *const kept = one;
        one = other;
        other = kept;
    }

    // ---- Few documents: activations are (document, unit) ----

    // One document through a dense layer: a matrix-vector product that streams the weights, but
    // for those of words that are zero, as half of the units are after ReLU6.
    template <int V>
    static void vector_product(const NetworkLayer &layer, const NetworkBuffers &buffers,
                               int64_t active, int64_t column, float *out) {
        Vector sum[V];
        for (int v = 0; v < V; ++v) sum[v] = Simd::load(layer.bias + column + v * kWidth);
        for (int64_t k = 0; k < active; ++k) {
            const Vector one = Simd::broadcast(buffers.active_values + k);
            const float *weights =
                layer.columns + int64_t{buffers.active_indices[k]} * layer.padded + column;
            for (int v = 0; v < V; ++v)
                sum[v] = Simd::dot(sum[v], one, Simd::load(weights + v * kWidth));
        }
        for (int v = 0; v < V; ++v)
            Simd::store_units(out + (column + v * kWidth) / kPerWord, clamped(layer, sum[v]));
    }

    template <int V>
    static void vector_product_of(int64_t vectors, const NetworkLayer &layer,
                                  const NetworkBuffers &buffers, int64_t active, int64_t column,
                                  float *out) {
        if constexpr (V > 1)
            if (vectors < V)
                return vector_product_of<V - 1>(vectors, layer, buffers, active, column, out);
        vector_product<V>(layer, buffers, active, column, out);
    }

    static void dense_document(const NetworkLayer &layer, const NetworkBuffers &buffers,
                               const float *in, float *out) {
        int64_t active = 0;
        for (int64_t k = 0; k < layer.depth; k += kWidth) {
            const int64_t left = layer.depth - k;
            const int count = left < kWidth ? static_cast<int>(left) : kWidth;
            active += Simd::active(in + k, count, static_cast<int32_t>(k),
                                   buffers.active_values + active, buffers.active_indices + active);
        }
        constexpr int kMost = 8;
        for (int64_t column = 0; column < layer.padded; column += kMost * kWidth)
            vector_product_of<kMost>((layer.padded - column) / kWidth, layer, buffers, active,
                                     column, out);
    }

    static void sparse_document(const NetworkLayer &layer, const float *in, float *out) {
        const int64_t slices = layer.padded / kWidth;
        int64_t at = 0;
        for (int64_t slice = 0; slice < slices; ++slice) {
            Vector sum = Simd::load(layer.bias + slice * kWidth);
            for (const int64_t end = layer.slice_starts[slice + 1]; at < end; ++at)
                sum = Simd::dot(sum, Simd::load(layer.slice_values + at * kWidth),
                                Simd::gather(in, layer.slice_indices + at * kWidth));
            Simd::store_units(out + slice * (kWidth / kPerWord), clamped(layer, sum));
        }
    }

    // The last layer: its panel is one row of weights.
    static float last_document(const NetworkLayer &layer, const float *in) {
        Vector sum[2] = {Simd::zero(), Simd::zero()};
        int64_t k = 0;
        for (; k + 2 * kWidth <= layer.depth; k += 2 * kWidth)
            for (int v = 0; v < 2; ++v)
                sum[v] = Simd::dot(sum[v], Simd::load(layer.panels + k + v * kWidth),
                                   Simd::load(in + k + v * kWidth));
        for (; k < layer.depth; k += kWidth) {
            const int64_t left = layer.depth - k;
            const int count = left < kWidth ? static_cast<int>(left) : kWidth;
            sum[0] = Simd::dot(sum[0], Simd::load_part(layer.panels + k, count),
                               Simd::load_part(in + k, count));
        }
        float total[kWidth];
        Simd::store(total, sum[0] + sum[1]);
        for (int step = kWidth / 2; step > 0; step /= 2)
            for (int lane = 0; lane < step; ++lane) total[lane] += total[lane + step];
        return layer.bias[0] + total[0];
    }

    static void centred_document(const Network &network, const float *row, float *out) {
        const float *fill = network.fill ? network.fill : network.centre;
        for (int64_t first = 0; first < network.features; first += kWidth) {
            const int64_t left = network.features - first;
            const Vector x = left < kWidth ? Simd::load_part(row + first, static_cast<int>(left))
                                           : Simd::load(row + first);
            Simd::store_units(out + first / kPerWord,
                              centred(network, x, Simd::load(network.centre + first),
                                      Simd::load(fill + first)));
        }
    }

    static float score_document(const Network &network, const NetworkBuffers &buffers,
                                const float *row) {
        float *in = buffers.activations[0], *out = buffers.activations[1];
        centred_document(network, row, in);
        for (int64_t l = 0; l + 1 < network.n_layers; ++l) {
            const NetworkLayer &layer = network.layers[l];
            if (layer.starts) sparse_document(layer, in, out);
            else dense_document(layer, buffers, in, out);
            swap(in, out);
        }
        return last_document(network.layers[network.n_layers - 1], in);
    }

    // The tile again, with documents as rows and outputs as columns.
    template <int V>
    static void dense_columns(const NetworkLayer &layer, Broadcast in, int64_t n, int64_t column,
                              float *out) {
        const int64_t out_stride = layer.padded / kPerWord;
        for (int64_t first = 0; first < n; first += Simd::kFewRows) {
            const int64_t left = n - first;
            tile_of<Simd::kFewRows, V, kRows>(
                left < Simd::kFewRows ? left : Simd::kFewRows,
                Broadcast{in.data + first * in.row, in.row, in.depth}, layer.columns + column,
                layer.padded, layer, layer.bias + column,
                out + first * out_stride + column / kPerWord, out_stride);
        }
    }

    static void dense_few(const NetworkLayer &layer, Broadcast in, int64_t n, float *out) {
        int64_t column = 0;
        for (; column + 3 * kWidth <= layer.padded; column += 3 * kWidth)
            dense_columns<3>(layer, in, n, column, out);
        const int64_t left = (layer.padded - column) / kWidth;
        if (left == 2) dense_columns<2>(layer, in, n, column, out);
        else if (left == 1) dense_columns<1>(layer, in, n, column, out);
    }

    // At most one vector of documents. Sparse layers run feature-major as long as all layers
    // before are sparse too; the first dense layer reads that and writes rows.
    static void score_few(const Network &network, const NetworkBuffers &buffers, const float *rows,
                          int64_t n, int64_t stride, float *scores) {
        float *in = buffers.activations[0], *out = buffers.activations[1];
        bool by_rows = !network.layers[0].starts;
        // Of one document's activations; an odd number of features is rounded up.
        int64_t width = (network.features + kWidth - 1) / kWidth * kWidth / kPerWord;
        if (by_rows)
            for (int64_t r = 0; r < n; ++r)
                centred_document(network, rows + r * stride, in + r * width);
        else transpose_block<1>(network, rows, n, stride, in);
        for (int64_t l = 0; l + 1 < network.n_layers; ++l) {
            const NetworkLayer &layer = network.layers[l];
            const int64_t next = layer.padded / kPerWord;
            if (!by_rows && layer.starts) sparse_block<1>(layer, in, out);
            else if (layer.starts)
                for (int64_t r = 0; r < n; ++r)
                    sparse_document(layer, in + r * width, out + r * next);
            else {
                dense_few(layer, by_rows ? Broadcast{in, width, 1} : Broadcast{in, 1, kWidth}, n,
                          out);
                by_rows = true;
            }
            width = next;
            swap(in, out);
        }
        const NetworkLayer &last = network.layers[network.n_layers - 1];
        if (!by_rows) last_block<1>(last, in, out);
        for (int64_t r = 0; r < n; ++r)
            scores[r] = by_rows ? last_document(last, in + r * width) : out[r];
    }

    // The next block's rows come into the cache while this one's layers are computed.
    static void prefetch(const Network &network, const float *rows, int64_t n, int64_t stride) {
        constexpr int64_t kLine = 64 / sizeof(float);
        for (int64_t r = 0; r < n; ++r)
            for (int64_t f = 0; f < network.features; f += kLine)
                __builtin_prefetch(rows + r * stride + f, 0, 2);
    }

    static void score(const Network &network, const NetworkBuffers &buffers, const float *rows,
                      int64_t n, int64_t stride, float *scores) {
        while (n > 0) {
            int64_t taken = n < kBlock ? n : kBlock;
            const int64_t behind = n - taken;
            prefetch(network, rows + taken * stride, behind < kBlock ? behind : kBlock, stride);
            const int64_t rest = taken % kWidth;
            if (taken > kWidth && rest <= kRest) taken -= rest;
            if (taken <= 2) {
                taken = 1; // two at once would have to read the weights of zeros too
                scores[0] = score_document(network, buffers, rows);
            } else if (taken <= kWidth) score_few(network, buffers, rows, taken, stride, scores);
            else
                score_vectors<Simd::kVectors>((taken + kWidth - 1) / kWidth, network, buffers, rows,
                                              taken, stride, scores);
            rows += taken * stride;
            scores += taken;
            n -= taken;
        }
    }

    static constexpr NetworkKernels kernels{kWidth, static_cast<int32_t>(kBlock), Simd::kHeight,
                                            kPerWord, score};
};

} // namespace
} // namespace distilrank
