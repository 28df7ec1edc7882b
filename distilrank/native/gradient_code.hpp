// A batch's gradient, written once over what an instruction set offers (`Isa`) and over what
// multiplies (`Product`). Included by files that are compiled for one instruction set each:
// everything is their own copy.
//
// A block of documents goes forward and back through all layers before the next one: what lies in
// between stays in the core's cache. Back-propagation is Rumelhart et al. (Nature 1986); ReLU6 passes
// a gradient where its input lies between the bounds.
#pragma once

#include "gradient.hpp"
#include "avx512.hpp"

namespace distilrank {
namespace {

constexpr int64_t kWidth = 16;          // floats of a vector
constexpr float kZero = 0, kSix = 6;    // ReLU6's bounds

// left (rows, depth) of rows `left_stride` words apart, right in columns `right_stride` apart.
struct Operands {
    const float *left;
    int64_t left_stride;
    const float *right;
    int64_t right_stride, depth;
};

// In registers: tiles of 6 rows by up to 4 vectors; words are pairs of bf16, or floats.
template <class Isa, bool kPairs = true>
struct VectorProduct {
    using Vector = typename Isa::Vector;
    static constexpr int64_t kRows = 6;
    static_assert(kRows <= kSlack, "rows that a product writes too many");

    struct Session {};
    static constexpr int64_t depth(int64_t words) { return words; }

    static Vector dot(Vector sum, Vector one, Vector other) {
        if constexpr (kPairs) return Isa::dot_pairs(sum, one, other);
        else return Isa::fma(one, other, sum);
    }

    template <int V, class Finish>
    static void tile(const Operands &of, int64_t row, int64_t column, const Finish &finish) {
        Vector sum[kRows][V];
        for (int r = 0; r < kRows; ++r)
            for (int v = 0; v < V; ++v) sum[r][v] = Isa::zero();
        const float *left = of.left + row * of.left_stride;
        const float *right = of.right + column * of.right_stride;
        for (int64_t k = 0; k < of.depth; ++k) {
            Vector vectors[V];
            for (int v = 0; v < V; ++v)
                vectors[v] = Isa::load(right + v * of.right_stride + k * kWidth);
            for (int r = 0; r < kRows; ++r) {
                const Vector one = Isa::broadcast(left + r * of.left_stride + k);
                for (int v = 0; v < V; ++v) sum[r][v] = dot(sum[r][v], one, vectors[v]);
            }
        }
        for (int r = 0; r < kRows; r += 2)
            for (int v = 0; v < V; ++v) finish(row + r, column + v, sum[r][v], sum[r + 1][v]);
    }

    template <int V, class Finish>
    static void rows_of(const Operands &of, int64_t rows, int64_t column, const Finish &finish) {
        for (int64_t row = 0; row < rows; row += kRows) tile<V>(of, row, column, finish);
    }

    // finish(row, column, its vector, the next row's) for all even rows and all columns.
    template <class Finish>
    static void multiply(const Operands &of, int64_t rows, int64_t columns, const Finish &finish) {
        const int64_t groups = (columns + 3) / 4;
        for (int64_t group = 0; group < groups; ++group) {
            const int64_t column = columns * group / groups;
            switch (columns * (group + 1) / groups - column) {
            case 4: rows_of<4>(of, rows, column, finish); break;
            case 3: rows_of<3>(of, rows, column, finish); break;
            case 2: rows_of<2>(of, rows, column, finish); break;
            default: rows_of<1>(of, rows, column, finish);
            }
        }
    }
};

template <class Isa, class Product>
struct GradientCode {
    using Vector = typename Isa::Vector;

    // Units' values as the next layer's inputs.
    struct Forward {
        const float *bias;
        const GradientLayer &next;
        int64_t pairs_stride;

        void operator()(int64_t row, int64_t column, Vector x, Vector y) const {
            const Vector low = Isa::broadcast(&kZero), high = Isa::broadcast(&kSix);
            const Vector offset = Isa::load(bias + column * kWidth);
            x = Isa::clamp(x + offset, low, high);
            y = Isa::clamp(y + offset, low, high);
            keep(next, pairs_stride, row, column, x, y);
        }
    };

    // Two documents' units as a layer's inputs.
    static void keep(const GradientLayer &layer, int64_t pairs_stride, int64_t row, int64_t column,
                     Vector x, Vector y) {
        const int64_t words = whole_units(layer.inputs) / 2;
        float *const to = layer.rows + row * words + column * (kWidth / 2);
        Isa::store_halves(to, x);
        Isa::store_halves(to + words, y);
        Isa::store(layer.pairs + column * pairs_stride + row / 2 * kWidth, Isa::packed(x, y));
    }

    // The gradients of a layer's inputs as those of the units they came from.
    struct Backward {
        const GradientLayer &layer;
        float *rows, *pairs, *bias_sums;

        void operator()(int64_t row, int64_t column, Vector x, Vector y) const {
            const Vector low = Isa::broadcast(&kZero), high = Isa::broadcast(&kSix);
            const int64_t units = whole_units(layer.inputs), words = units / 2;
            const int64_t at = row * words + column * (kWidth / 2);
            x = Isa::where_between(Isa::load_halves(layer.rows + at), low, high, x);
            y = Isa::where_between(Isa::load_halves(layer.rows + at + words), low, high, y);
            Isa::store_halves(rows + at, x);
            Isa::store_halves(rows + at + words, y);
            Isa::store(pairs + row / 2 * units + column * kWidth, Isa::packed(x, y));
            float *const sums = bias_sums + column * kWidth;
            Isa::store(sums, Isa::load(sums) + (x + y));
        }
    };

    struct Sum {
        float *sums;
        int64_t stride;

        void operator()(int64_t row, int64_t column, Vector x, Vector y) const {
            float *const to = sums + row * stride + column * kWidth;
            Isa::store(to, Isa::load(to) + x);
            Isa::store(to + stride, Isa::load(to + stride) + y);
        }
    };

    static int64_t vectors(int64_t units) { return (units + kWidth - 1) / kWidth; }
    static constexpr int64_t kPairsStride = kGradientBlock / 2 * kWidth;

    // Units' values as the next layer's inputs in fp32.
    struct Whole {
        const float *bias;
        float *units;
        int64_t stride;

        void operator()(int64_t row, int64_t column, Vector x, Vector y) const {
            const Vector low = Isa::broadcast(&kZero), high = Isa::broadcast(&kSix);
            const Vector offset = Isa::load(bias + column * kWidth);
            float *const to = units + row * stride + column * kWidth;
            Isa::store(to, Isa::clamp(x + offset, low, high));
            Isa::store(to + stride, Isa::clamp(y + offset, low, high));
        }
    };

    static Vector load_some(const float *from, int64_t count) {
        return count < kWidth ? Isa::load_part(from, count > 0 ? static_cast<int>(count) : 0)
                              : Isa::load(from);
    }

    // ---- Before the batch: weights as words ----

    static void pack_forward(const GradientLayer &layer, float *words) {
        const int64_t stride = whole_units(layer.inputs) / 2;
        for (int64_t output = 0; output < layer.outputs; output += kWidth) {
            const float *row[kWidth];
            for (int64_t o = 0; o < kWidth; ++o) {
                float *const to = words + o * stride;
                const bool there = output + o < layer.outputs;
                const float *from = layer.weights + (there ? (output + o) * layer.inputs : 0);
                for (int64_t i = 0; i < 2 * stride; i += kWidth)
                    Isa::store_halves(to + i / 2,
                                      there ? load_some(from + i, layer.inputs - i) : Isa::zero());
                row[o] = to;
            }
            float *const column = layer.forward + output * stride;
            for (int64_t k = 0; k < stride; k += kWidth) {
                Vector turned[kWidth];
                Isa::transposed(row, k, kWidth, turned);
                for (int64_t w = 0; w < kWidth; ++w)
                    Isa::store(column + (k + w) * kWidth, turned[w]);
            }
        }
    }

    static void pack_backward(const GradientLayer &layer) {
        const int64_t stride = whole_units(layer.outputs) / 2 * kWidth;
        for (int64_t output = 0; output < layer.outputs; output += 2) {
            const float *const from = layer.weights + output * layer.inputs;
            const bool both = output + 1 < layer.outputs;
            for (int64_t i = 0; i < layer.inputs; i += kWidth) {
                const int64_t left = layer.inputs - i;
                const Vector x = load_some(from + i, left);
                const Vector y = both ? load_some(from + layer.inputs + i, left) : Isa::zero();
                Isa::store(layer.backward + i / kWidth * stride + output / 2 * kWidth,
                           Isa::packed(x, y));
            }
        }
    }

    // ---- A block of documents ----

    static void pack_documents(const GradientLayer &layer, const GradientBatch &batch, int64_t first,
                               int64_t there, int64_t rows) {
        for (int64_t row = 0; row < rows; row += 2) {
            const float *const from = batch.rows + (first + row) * batch.stride;
            for (int64_t i = 0; i < layer.inputs; i += kWidth) {
                const int64_t left = layer.inputs - i;
                const Vector x = row < there ? load_some(from + i, left) : Isa::zero();
                const Vector y =
                    row + 1 < there ? load_some(from + batch.stride + i, left) : Isa::zero();
                keep(layer, kPairsStride, row, i / kWidth, x, y);
            }
        }
    }

    static void forward(const GradientLayer &layer, const GradientLayer &next, int64_t rows) {
        const int64_t stride = whole_units(layer.inputs) / 2;
        Product::multiply({layer.rows, stride, layer.forward, stride * kWidth,
                           Product::depth((layer.inputs + 1) / 2)},
                          rows, vectors(layer.outputs), Forward{layer.padded, next, kPairsStride});
    }

    // The last layer, of one output, in fp32 there and back. The sum of the squared errors.
    static double last_layer(const GradientLayer &layer, const GradientBatch &batch, int64_t first,
                        int64_t there, int64_t rows, const Backward &backward) {
        const int64_t words = whole_units(layer.inputs) / 2, columns = vectors(layer.inputs);
        double squares = 0;
        float bias_sum = 0;
        for (int64_t row = 0; row < rows; row += 2) {
            float slope[2] = {0, 0};
            const float *const units = layer.rows + row * words;
            for (int64_t r = 0; r < 2 && row + r < there; ++r) {
                Vector sum = Isa::zero();
                for (int64_t c = 0; c < columns; ++c)
                    sum = Isa::fma(Isa::load_halves(units + r * words + c * (kWidth / 2)),
                                   Isa::load(layer.forward + c * kWidth), sum);
                const float error = Isa::total(sum) + *layer.bias - batch.targets[first + row + r];
                squares += double{error} * double{error};
                slope[r] = 2 * batch.factor * error;
            }
            bias_sum += slope[0] + slope[1];
            const Vector x = Isa::broadcast(slope), y = Isa::broadcast(slope + 1);
            for (int64_t c = 0; c < columns; ++c) {
                const float *const at = units + c * (kWidth / 2);
                float *const sums = layer.sums + c * kWidth;
                Isa::store(sums, Isa::fma(Isa::load_halves(at), x,
                                          Isa::fma(Isa::load_halves(at + words), y,
                                                   Isa::load(sums))));
                const Vector weights = Isa::load(layer.forward + c * kWidth);
                backward(row, c, x * weights, y * weights);
            }
        }
        *layer.bias_sums += bias_sum;
        return squares;
    }

    // pairs (rows / 2, units) as turned (units, block / 2).
    static void turn(const GradientBuffers &buffers, int64_t units, int64_t rows) {
        const int64_t stride = whole_units(units);
        for (int64_t pair = 0; pair < rows / 2; pair += kWidth) {
            const float *row[kWidth];
            for (int64_t r = 0; r < kWidth; ++r) row[r] = buffers.pairs + (pair + r) * stride;
            for (int64_t unit = 0; unit < units; unit += kWidth) {
                Vector turned[kWidth];
                Isa::transposed(row, unit, kWidth, turned);
                for (int64_t u = 0; u < kWidth; ++u)
                    Isa::store(buffers.turned + (unit + u) * (kGradientBlock / 2) + pair, turned[u]);
            }
        }
    }

    static Backward backward_of(const GradientNetwork &network, int64_t layer) {
        const GradientBuffers &buffers = network.buffers;
        return {network.layers[layer], buffers.rows[layer % 2], buffers.pairs,
                layer ? network.layers[layer - 1].bias_sums : nullptr};
    }

    static double block(const GradientNetwork &network, const GradientBatch &batch, int64_t first,
                        int64_t there) {
        const GradientLayer *const layers = network.layers;
        const int64_t last = network.n_layers - 1;
        const int64_t rows = (there + Product::kRows - 1) / Product::kRows * Product::kRows;
        pack_documents(layers[0], batch, first, there, rows);
        for (int64_t l = 0; l < last; ++l) forward(layers[l], layers[l + 1], rows);
        const double squares =
            last_layer(layers[last], batch, first, there, rows, backward_of(network, last));
        for (int64_t l = last - 1; l >= 0; --l) {
            const GradientLayer &layer = layers[l];
            const int64_t in = whole_units(layer.inputs), out = whole_units(layer.outputs);
            turn(network.buffers, layer.outputs, rows);
            Product::multiply({network.buffers.turned, kGradientBlock / 2, layer.pairs, kPairsStride,
                               Product::depth(rows / 2)},
                              layer.outputs, vectors(layer.inputs), Sum{layer.sums, in});
            if (l)
                Product::multiply({network.buffers.rows[(l + 1) % 2], out / 2, layer.backward,
                                   out / 2 * kWidth, Product::depth((layer.outputs + 1) / 2)},
                                  rows, vectors(layer.inputs), backward_of(network, l));
        }
        return squares;
    }

    // ---- Scores alone, in fp32 ----

    static void pack_whole(const GradientLayer &layer) {
        const float *row[kWidth];
        for (int64_t output = 0; output < layer.outputs; output += kWidth) {
            for (int64_t o = 0; o < kWidth; ++o) {
                const int64_t there = output + o < layer.outputs ? output + o : output;
                row[o] = layer.weights + there * layer.inputs;
            }
            float *const column = layer.whole + output * layer.inputs;
            for (int64_t i = 0; i < layer.inputs; i += kWidth) {
                const int64_t left = layer.inputs - i, count = left < kWidth ? left : kWidth;
                Vector turned[kWidth];
                Isa::transposed(row, i, static_cast<int>(count), turned);
                for (int64_t k = 0; k < count; ++k) Isa::store(column + (i + k) * kWidth, turned[k]);
            }
        }
    }

    static void score(const GradientNetwork &network, const float *rows, int64_t n, int64_t stride,
                      float *scores) {
        using Floats = VectorProduct<Isa, false>;
        const GradientLayer *const layers = network.layers, &last = layers[network.n_layers - 1];
        for (int64_t l = 0; l + 1 < network.n_layers; ++l) pack_whole(layers[l]);
        for (int64_t first = 0; first < n; first += kGradientBlock) {
            const int64_t taken = n - first < kGradientBlock ? n - first : kGradientBlock;
            float *in = network.buffers.units[0], *out = network.buffers.units[1];
            for (int64_t row = 0; row < taken; ++row)
                for (int64_t i = 0; i < layers[0].inputs; i += kWidth)
                    Isa::store(in + row * whole_units(layers[0].inputs) + i,
                               load_some(rows + (first + row) * stride + i, layers[0].inputs - i));
            for (int64_t l = 0; l + 1 < network.n_layers; ++l) {
                const GradientLayer &layer = layers[l];
                Floats::multiply({in, whole_units(layer.inputs), layer.whole, layer.inputs * kWidth,
                                  layer.inputs},
                                 taken, vectors(layer.outputs),
                                 Whole{layer.padded, out, whole_units(layer.outputs)});
                swap(in, out);
            }
            for (int64_t row = 0; row < taken; ++row) {
                Vector sum = Isa::zero();
                for (int64_t i = 0; i < last.inputs; i += kWidth)
                    sum = Isa::fma(load_some(in + row * whole_units(last.inputs) + i, last.inputs - i),
                                   Isa::load(last.forward + i), sum);
                scores[first + row] = Isa::total(sum) + *last.bias;
            }
        }
    }

    static void swap(float *&one, float *&other) {
        float *const kept = one;
        one = other;
        other = kept;
    }

    // ---- A batch ----

    static double run(const GradientNetwork &network, const GradientBatch &batch) {
        [[maybe_unused]] const typename Product::Session session{};
        const int64_t last = network.n_layers - 1;
        for (int64_t l = 0; l < last; ++l) {
            pack_forward(network.layers[l], network.buffers.words);
            if (l) pack_backward(network.layers[l]);
        }
        // Blocks of about the same size: a small one at the end would cost as much.
        const int64_t blocks = (batch.n + kGradientBlock - 1) / kGradientBlock;
        double squares = 0;
        for (int64_t b = 0, first = 0; b < blocks; ++b) {
            const int64_t next = batch.n * (b + 1) / blocks;
            squares += block(network, batch, first, next - first);
            first = next;
        }
        return squares;
    }
};

template <class Isa, class Product>
constexpr GradientKernels gradient_kernels(const char *level) {
    using Code = GradientCode<Isa, Product>;
    return {level, Code::run, Code::score};
}

} // namespace
} // namespace distilrank
