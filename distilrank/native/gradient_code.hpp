// A batch's gradient, written once over what an instruction set offers (`Isa`) and over what
// multiplies (`Product`). Included by files that are compiled for one instruction set each:
// everything is their own copy.
//
// A block of documents goes forward and back through all layers before the next one: what lies in
// between stays in the core's cache. Back-propagation is Rumelhart et al. (Nature 1986); ReLU6 passes
// a gradient where its input lies between the bounds.
#pragma once

#include "gradient_product.hpp"

namespace distilrank {
namespace {

constexpr float kZero = 0, kSix = 6; // ReLU6's bounds
constexpr float kLeast = -3.4028234663852886e+38f;

inline uint32_t as_bits(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

template <class Isa, class Words, class Product>
struct GradientCode {
    using Vector = typename Isa::Vector;
    static constexpr int64_t kPerWord = Words::kPerWord, kBlock = kBlockWords * kPerWord;
    static constexpr int64_t kUnitWords = kWidth / kPerWord; // of a vector of units
    static constexpr int64_t kColumn = kBlockWords * kWidth; // of a block's documents
    static_assert(kBlock % Product::kRows == 0, "a block is whole tiles");

    static int64_t vectors(int64_t units) { return (units + kWidth - 1) / kWidth; }
    // Words of a row of units, and those that are not all zero.
    static int64_t words(int64_t units) { return whole_units(units) / kPerWord; }
    static int64_t depth(int64_t units) {
        return Product::depth((units + kPerWord - 1) / kPerWord);
    }
    static Vector load_some(const float *from, int64_t count) {
        return count < kWidth ? Isa::load_part(from, count > 0 ? static_cast<int>(count) : 0)
                              : Isa::load(from);
    }

    // ---- What becomes of two rows' sums ----

    // Two documents' units as a layer's inputs.
    static void keep(const GradientLayer &layer, int64_t row, int64_t column, Vector x, Vector y) {
        const int64_t stride = words(layer.inputs);
        float *const to = layer.rows + row * stride + column * kUnitWords;
        Words::store_units(to, x);
        Words::store_units(to + stride, y);
        Words::store_documents(layer.columns + column * kColumn + row / kPerWord * kWidth, kWidth, x,
                               y);
    }

    // A unit that is not 0 leaves some bit in `seen`, NaN too; a survey its largest value.
    template <bool kSurvey>
    struct Forward {
        const GradientLayer &layer, &next;

        void operator()(int64_t row, int64_t column, Vector x, Vector y) const {
            const Vector low = Isa::broadcast(&kZero), high = Isa::broadcast(&kSix);
            const Vector offset = Isa::load(layer.bias + column * kWidth);
            float *const seen = layer.seen + column * kWidth;
            x = x + offset;
            y = y + offset;
            if constexpr (kSurvey)
                Isa::store(seen, Isa::larger(Isa::load(seen), Isa::larger(x, y)));
            x = Isa::clamp(x, low, high);
            y = Isa::clamp(y, low, high);
            if constexpr (!kSurvey)
                Isa::store(seen, Isa::either(Isa::load(seen), Isa::either(x, y)));
            keep(next, row, column, x, y);
        }
    };

    // The gradients of a layer's inputs as those of the units they came from.
    struct Backward {
        const GradientLayer &layer;
        float *rows, *documents, *bias_sums;

        void operator()(int64_t row, int64_t column, Vector x, Vector y) const {
            const Vector low = Isa::broadcast(&kZero), high = Isa::broadcast(&kSix);
            const int64_t units = whole_units(layer.inputs), stride = units / kPerWord;
            const int64_t at = row * stride + column * kUnitWords;
            x = Isa::where_between(Words::load_units(layer.rows + at), low, high, x);
            y = Isa::where_between(Words::load_units(layer.rows + at + stride), low, high, y);
            Words::store_units(rows + at, x);
            Words::store_units(rows + at + stride, y);
            Words::store_documents(documents + row / kPerWord * units + column * kWidth, units, x, y);
            float *const sums = bias_sums + column * kWidth;
            Isa::store(sums, Isa::load(sums) + (x + y));
        }
    };

    struct Sum {
        float *sums;
        int64_t stride, rows;

        void operator()(int64_t row, int64_t column, Vector x, Vector y) const {
            if (row >= rows) return; // a tile may have more
            float *const to = sums + row * stride + column * kWidth;
            Isa::store(to, Isa::load(to) + x);
            Isa::store(to + stride, Isa::load(to + stride) + y);
        }
    };

    // ---- Before the batch: weights as words ----

    static void pack_forward(const GradientLayer &layer, float *scratch) {
        const int64_t stride = words(layer.inputs);
        for (int64_t output = 0; output < layer.outputs; output += kWidth) {
            const float *row[kWidth];
            for (int64_t o = 0; o < kWidth; ++o) {
                float *const to = scratch + o * stride;
                const float *const from = layer.weights + (output + o) * whole_units(layer.inputs);
                for (int64_t i = 0; i < stride * kPerWord; i += kWidth)
                    Words::store_units(to + i / kPerWord, Isa::load(from + i));
                row[o] = to;
            }
            pack_column(row, stride, layer.forward + output * stride);
        }
    }

    // 16 rows of `depth` words as a column of the right operand.
    static void pack_column(const float *const *row, int64_t depth, float *to) {
        for (int64_t k = 0; k < depth; k += kWidth) {
            Vector turned[kWidth];
            const int64_t count = depth - k < kWidth ? depth - k : kWidth;
            Isa::transposed(row, k, static_cast<int>(count), turned);
            for (int64_t w = 0; w < count; ++w) Isa::store(to + (k + w) * kWidth, turned[w]);
        }
    }

    static void pack_backward(const GradientLayer &layer) {
        const int64_t stride = words(layer.outputs) * kWidth;
        for (int64_t output = 0; output < layer.outputs; output += 2) {
            const float *const from = layer.weights + output * whole_units(layer.inputs);
            for (int64_t i = 0; i < layer.inputs; i += kWidth) {
                const Vector x = Isa::load(from + i);
                const Vector y = Isa::load(from + whole_units(layer.inputs) + i);
                Words::store_documents(
                    layer.backward + i / kWidth * stride + output / kPerWord * kWidth, kWidth, x, y);
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
                keep(layer, row, i / kWidth, x, y);
            }
        }
    }

    // Units up to the last that is not silent.
    static int64_t live(const GradientLayer &layer) {
        int64_t units = layer.outputs;
        while (units && !as_bits(layer.seen[units - 1])) --units;
        return units;
    }

    // Up to the last layer's inputs; how many rows that were.
    template <bool kSurvey>
    static int64_t forward(const GradientNetwork &network, const GradientBatch &batch, int64_t first,
                           int64_t there) {
        const int64_t rows = (there + Product::kRows - 1) / Product::kRows * Product::kRows;
        pack_documents(network.layers[0], batch, first, there, rows);
        network.live[0] = network.layers[0].inputs;
        for (int64_t l = 0; l + 1 < network.n_layers; ++l) {
            const GradientLayer &layer = network.layers[l], &next = network.layers[l + 1];
            const Vector start = Isa::broadcast(kSurvey ? &kLeast : &kZero);
            for (int64_t o = 0; o < layer.outputs; o += kWidth) Isa::store(layer.seen + o, start);
            const int64_t stride = words(layer.inputs);
            Product::multiply(
                {layer.rows, stride, layer.forward, stride * kWidth, depth(network.live[l])}, rows,
                vectors(layer.outputs), Forward<kSurvey>{layer, next});
            network.live[l + 1] = kSurvey ? next.inputs : live(layer);
        }
        return rows;
    }

    // The last layer has one output, and is fp32.
    static float score_row(const GradientLayer &last, int64_t row) {
        const float *const units = last.rows + row * words(last.inputs);
        Vector sum = Isa::zero();
        for (int64_t c = 0; c < vectors(last.inputs); ++c)
            sum = Isa::fma(Words::load_units(units + c * kUnitWords),
                           Isa::load(last.forward + c * kWidth), sum);
        return Isa::total(sum) + *last.bias;
    }

    // Through the last layer, there and back. The sum of the squared errors.
    static double turn_round(const GradientLayer &last, const GradientBatch &batch, int64_t first,
                             int64_t there, int64_t rows, int64_t columns,
                             const Backward &backward) {
        const int64_t stride = words(last.inputs);
        double squares = 0;
        float bias_sum = 0;
        for (int64_t row = 0; row < rows; row += 2) {
            float slope[2] = {0, 0};
            for (int64_t r = 0; r < 2 && row + r < there; ++r) {
                const float error = score_row(last, row + r) - batch.targets[first + row + r];
                squares += double{error} * double{error};
                slope[r] = 2 * batch.factor * error;
            }
            bias_sum += slope[0] + slope[1];
            const Vector x = Isa::broadcast(slope), y = Isa::broadcast(slope + 1);
            for (int64_t c = 0; c < columns; ++c) {
                const float *const at = last.rows + row * stride + c * kUnitWords;
                float *const sums = last.sums + c * kWidth;
                const Vector before = Isa::fma(Words::load_units(at + stride), y, Isa::load(sums));
                Isa::store(sums, Isa::fma(Words::load_units(at), x, before));
                const Vector weights = Isa::load(last.forward + c * kWidth);
                backward(row, c, x * weights, y * weights);
            }
        }
        *last.bias_sums += bias_sum;
        return squares;
    }

    // documents (words, all units) as turned (units, words).
    static void turn(const GradientBuffers &buffers, int64_t all, int64_t units, int64_t rows) {
        const int64_t stride = whole_units(all);
        for (int64_t word = 0; word < rows / kPerWord; word += kWidth) {
            const float *row[kWidth];
            for (int64_t r = 0; r < kWidth; ++r) row[r] = buffers.documents + (word + r) * stride;
            for (int64_t unit = 0; unit < units; unit += kWidth) {
                Vector turned[kWidth];
                Isa::transposed(row, unit, kWidth, turned);
                for (int64_t u = 0; u < kWidth; ++u)
                    Isa::store(buffers.turned + (unit + u) * kBlockWords + word, turned[u]);
            }
        }
    }

    static Backward backward_of(const GradientNetwork &network, int64_t layer) {
        const GradientBuffers &buffers = network.buffers;
        return {network.layers[layer], buffers.rows[layer % 2], buffers.documents,
                layer ? network.layers[layer - 1].bias_sums : nullptr};
    }

    static double block(const GradientNetwork &network, const GradientBatch &batch, int64_t first,
                        int64_t there) {
        const GradientLayer *const layers = network.layers;
        const int64_t last = network.n_layers - 1;
        const int64_t rows = forward<false>(network, batch, first, there);
        const double squares = turn_round(layers[last], batch, first, there, rows,
                                          live_columns(network, last), backward_of(network, last));
        for (int64_t l = last - 1; l >= 0; --l) {
            const GradientLayer &layer = layers[l];
            const int64_t outputs = network.live[l + 1];
            turn(network.buffers, layer.outputs, outputs, rows);
            Product::multiply({network.buffers.turned, kBlockWords, layer.columns, kColumn,
                               Product::depth(rows / kPerWord)},
                              outputs, vectors(network.live[l]),
                              Sum{layer.sums, whole_units(layer.inputs), outputs});
            const int64_t stride = words(layer.outputs);
            if (l)
                Product::multiply({network.buffers.rows[(l + 1) % 2], stride, layer.backward,
                                   stride * kWidth, depth(outputs)},
                                  rows, live_columns(network, l), backward_of(network, l));
        }
        return squares;
    }

    // Vectors of a layer's inputs whose gradients are wanted: all that the next product reads.
    static int64_t live_columns(const GradientNetwork &network, int64_t layer) {
        return Product::columns(vectors(network.live[layer]));
    }

    // ---- All of them ----

    // Blocks of about the same size: a small one at the end would cost as much.
    template <class Take>
    static void in_blocks(int64_t n, const Take &take) {
        const int64_t blocks = (n + kBlock - 1) / kBlock;
        for (int64_t b = 0; b < blocks; ++b) {
            const int64_t first = n * b / blocks;
            take(first, n * (b + 1) / blocks - first);
        }
    }

    static double run(const GradientNetwork &network, const GradientBatch &batch) {
        [[maybe_unused]] const typename Product::Session session{};
        for (int64_t l = 0; l + 1 < network.n_layers; ++l) {
            pack_forward(network.layers[l], network.buffers.scratch);
            if (l) pack_backward(network.layers[l]);
        }
        double squares = 0;
        in_blocks(batch.n, [&](int64_t first, int64_t there) {
            squares += block(network, batch, first, there);
        });
        return squares;
    }

    static void score(const GradientNetwork &network, const GradientBatch &batch, float *scores) {
        [[maybe_unused]] const typename Product::Session session{};
        for (int64_t l = 0; l + 1 < network.n_layers; ++l)
            pack_forward(network.layers[l], network.buffers.scratch);
        const GradientLayer &last = network.layers[network.n_layers - 1];
        in_blocks(batch.n, [&](int64_t first, int64_t there) {
            forward<false>(network, batch, first, there);
            for (int64_t row = 0; row < there; ++row) scores[first + row] = score_row(last, row);
        });
    }

    static void survey(const GradientNetwork &network, const GradientBatch &batch) {
        [[maybe_unused]] const typename Product::Session session{};
        for (int64_t l = 0; l + 1 < network.n_layers; ++l)
            pack_forward(network.layers[l], network.buffers.scratch);
        forward<true>(network, batch, 0, batch.n);
    }

    static constexpr GradientKernels kernels(const char *level) {
        return {level, run, score, survey};
    }
};

} // namespace
} // namespace distilrank
