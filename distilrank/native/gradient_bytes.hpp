// A batch's gradient with the hidden layers' products in int8: four bytes a word, in vpdpbusd. The
// first layer, whose inputs have no bounds, multiplies in the words of `Words`; the last, of one
// output, in floats of rounded activations.
//
// Forward as int8 scores (distilrank/quantise.py). On the way back gradients of a layer's outputs
// are rounded twice, at random so that they are right on average: for its inputs' gradients in
// steps of a document's largest, for its weights' in steps of a unit's largest in the block. A
// weight's step is its output's, which is multiplied into the gradient before it is rounded.
//
// Written for AVX-512 alone; four documents at a time make whole words.
#pragma once

#include "gradient_code.hpp"
#include "gradient_codes.hpp"

namespace distilrank {
namespace {

template <class Isa, class Words>
struct ByteGradient : GradientCode<Isa, Words, VectorProduct<Isa, Words, 8, 4>> {
    using Code = GradientCode<Isa, Words, VectorProduct<Isa, Words, 8, 4>>;
    using Vector = typename Isa::Vector;
    using Code::kBlock, Code::kPerWord, Code::kColumn, Code::vectors, Code::words, Code::live;

    using First = VectorProduct<Isa, Words, 8, 4>;
    using FirstSums = VectorProduct<Isa, Words, 8, 2, true>;
    using Onward = VectorProduct<Isa, Bytes<false>, 8, 4>;
    using Back = VectorProduct<Isa, Bytes<true>, 8, 4>;
    using Sums = VectorProduct<Isa, Bytes<true>, 8, 2, true>;

    static constexpr int64_t kBytes = 4, kByteColumn = kBlock / kBytes * kWidth;
    static constexpr int64_t kByteVector = kWidth / kBytes; // words of a vector of units
    // A largest gradient below this is none: its step would have no inverse.
    static constexpr float kNone = 1e-30f;

    // Words of a layer's units, as bytes.
    static int64_t bytes(int64_t units) { return whole_units(units) / kBytes; }
    static int64_t byte_depth(int64_t units) { return (units + kBytes - 1) / kBytes; }
    static __m512i as_words(Vector x) { return _mm512_castps_si512(x); }

    // ---- Forward ----

    // Four documents' units as the next layer's inputs. kWhole: the sums are of codes.
    template <bool kSurvey, bool kWhole>
    struct Forward {
        const GradientLayer &layer, &next;
        bool *numbers; // false once a value is none

        void operator()(int64_t row, int64_t column, Vector a, Vector b, Vector c, Vector d) const {
            const Vector low = Isa::broadcast(&kZero), high = Isa::broadcast(&kSix);
            const Vector offset = Isa::load(layer.bias + column * kWidth);
            const Vector step =
                Isa::load(layer.steps + column * kWidth) * _mm512_set1_ps(kActivationStep);
            const Vector code = _mm512_set1_ps(1 / kActivationStep);
            float *const at = layer.seen + column * kWidth;
            uint16_t *const open = next.open + row / 4 * bytes(next.inputs) + column * kByteVector;
            Vector x[4] = {a, b, c, d}, seen = Isa::load(at);
            __mmask16 odd = 0;
            for (int r = 0; r < 4; ++r) {
                x[r] = kWhole ? Isa::fma(x[r], step, offset) : x[r] + offset;
                if constexpr (kSurvey) seen = Isa::larger(seen, x[r]);
                open[r] = _mm512_cmp_ps_mask(low, x[r], _CMP_LT_OQ) &
                          _mm512_cmp_ps_mask(x[r], high, _CMP_LT_OQ);
                odd |= _mm512_cmp_ps_mask(x[r], x[r], _CMP_UNORD_Q);
                x[r] = Isa::clamp_numbers(x[r], low, high);
                if constexpr (!kSurvey) seen = Isa::either(seen, x[r]);
                x[r] = x[r] * code;
            }
            if (odd) *numbers = false;
            Isa::store(at, seen);
            const Vector codes = Isa::packed_bytes(x);
            const int64_t stride = bytes(next.inputs);
            Codes::store_rows(next.rows + row * stride + column * kByteVector, stride,
                              Codes::rows(as_words(codes)));
            Isa::store(next.columns + column * kByteColumn + row / kBytes * kWidth, codes);
        }
    };

    // Up to the last layer's inputs; how many rows that were.
    template <bool kSurvey>
    static int64_t forward(const GradientNetwork &network, const GradientBatch &batch,
                           int64_t first, int64_t there, bool *numbers) {
        const int64_t rows = (there + First::kRows - 1) / First::kRows * First::kRows;
        Code::pack_documents(network.layers[0], batch, first, there, rows);
        network.live[0] = network.layers[0].inputs;
        for (int64_t l = 0; l + 1 < network.n_layers; ++l) {
            const GradientLayer &layer = network.layers[l], &next = network.layers[l + 1];
            const Vector start = Isa::broadcast(kSurvey ? &kLeast : &kZero);
            for (int64_t o = 0; o < layer.outputs; o += kWidth) Isa::store(layer.seen + o, start);
            const int64_t stride = l ? bytes(layer.inputs) : words(layer.inputs);
            const int64_t depth = l ? byte_depth(network.live[l]) : Code::depth(layer.inputs);
            const Operands operands{layer.rows, stride, layer.forward, stride * kWidth, depth};
            if (l)
                Onward::multiply(operands, rows, vectors(layer.outputs),
                                 Forward<kSurvey, true>{layer, next, numbers});
            else
                First::multiply(operands, rows, vectors(layer.outputs),
                                Forward<kSurvey, false>{layer, next, numbers});
            network.live[l + 1] = kSurvey ? next.inputs : live(layer);
        }
        return rows;
    }

    static Vector last_inputs(const GradientLayer &last, int64_t row, int64_t column) {
        const float *const from = last.rows + row * bytes(last.inputs) + column * kByteVector;
        return Codes::load_units(from) * _mm512_set1_ps(kActivationStep);
    }

    static float score_row(const GradientLayer &last, int64_t row) {
        Vector sum = Isa::zero();
        for (int64_t c = 0; c < vectors(last.inputs); ++c)
            sum = Isa::fma(last_inputs(last, row, c), Isa::load(last.forward + c * kWidth), sum);
        return Isa::total(sum) + *last.bias;
    }

    // ---- Back ----

    // The gradients of a layer's inputs as those of the units they came from, `before` it. kWhole:
    // the sums are of codes, and those units' gradients will be rounded, but for the first layer's.
    template <bool kWhole, bool kFirst>
    struct Backward {
        const GradientLayer &layer, &before;
        const GradientBuffers &buffers;

        void operator()(int64_t row, int64_t column, Vector a, Vector b, Vector c, Vector d) const {
            const int64_t units = whole_units(layer.inputs), unit = column * kWidth;
            const uint16_t *const open =
                layer.open + row / 4 * bytes(layer.inputs) + column * kByteVector;
            Vector x[4] = {a, b, c, d};
            for (int r = 0; r < 4; ++r) {
                if constexpr (kWhole)
                    x[r] = Isa::fma(x[r], Isa::broadcast(buffers.row_steps + row + r),
                                    Isa::broadcast(buffers.row_offsets + row + r));
                x[r] = _mm512_maskz_mov_ps(open[r], x[r]);
            }
            float *const sums = before.bias_sums + unit;
            Isa::store(sums, Isa::load(sums) + ((x[0] + x[1]) + (x[2] + x[3])));
            if constexpr (kFirst) {
                float *const to = buffers.documents + row / kPerWord * units + unit;
                Words::store_documents(to, units, x[0], x[1]);
                Words::store_documents(to + 2 / kPerWord * units, units, x[2], x[3]);
                return;
            }
            const Vector step = Isa::load(before.steps + unit);
            float *const most = buffers.unit_most + unit;
            Vector largest = Isa::load(most);
            for (int r = 0; r < 4; ++r) {
                Isa::store(buffers.rows[0] + (row + r) * units + unit, x[r]);
                const Vector size = _mm512_abs_ps(x[r]);
                largest = Isa::larger(largest, size);
                float *const row_most = buffers.row_most + (row + r) * kWidth;
                Isa::store(row_most, Isa::larger(Isa::load(row_most), size * step));
            }
            Isa::store(most, largest);
        }
    };

    template <bool kWhole, class Take>
    static void back_to(const GradientNetwork &network, int64_t l, int64_t rows, const Take &take) {
        const GradientLayer &layer = network.layers[l], &before = network.layers[l - 1];
        const GradientBuffers &buffers = network.buffers;
        if (l == 1) return take(Backward<kWhole, true>{layer, before, buffers});
        for (int64_t i = 0; i < layer.inputs; i += kWidth)
            Isa::store(buffers.unit_most + i, Isa::zero());
        for (int64_t row = 0; row < rows; ++row)
            Isa::store(buffers.row_most + row * kWidth, Isa::zero());
        take(Backward<kWhole, false>{layer, before, buffers});
    }

    // Through the last layer, there and back. The sum of the squared errors.
    template <class Take>
    static double turn_round(const GradientLayer &last, const GradientBatch &batch, int64_t first,
                             int64_t there, int64_t rows, int64_t columns, const Take &backward) {
        double squares = 0;
        float bias_sum = 0;
        for (int64_t row = 0; row < rows; row += 4) {
            Vector slope[4];
            for (int64_t r = 0; r < 4; ++r) {
                slope[r] = Isa::zero();
                if (row + r >= there) continue;
                const float error = score_row(last, row + r) - batch.targets[first + row + r];
                squares += double{error} * double{error};
                const float own = 2 * batch.factor * error;
                bias_sum += own;
                slope[r] = Isa::broadcast(&own);
            }
            for (int64_t c = 0; c < columns; ++c) {
                float *const sums = last.sums + c * kWidth;
                Vector sum = Isa::load(sums);
                for (int64_t r = 0; r < 4; ++r)
                    sum = Isa::fma(last_inputs(last, row + r, c), slope[r], sum);
                Isa::store(sums, sum);
                const Vector weights = Isa::load(last.forward + c * kWidth);
                backward(row, c, slope[0] * weights, slope[1] * weights, slope[2] * weights,
                         slope[3] * weights);
            }
        }
        *last.bias_sums += bias_sum;
        return squares;
    }

    static float inverse(float most) { return most > kNone ? kWeightCodes * kParts / most : 0; }

    // The gradients of a layer's outputs as codes: rows (block, outputs / 4) for the way back,
    // documents (block / 4, outputs) for the weights' gradient.
    static void round(const GradientLayer &layer, const GradientBuffers &buffers, int64_t columns,
                      int64_t rows, Noise &noise) {
        const int64_t units = whole_units(layer.outputs), stride = bytes(layer.outputs);
        for (int64_t u = 0; u < columns * kWidth; ++u) {
            buffers.unit_inverses[u] = inverse(buffers.unit_most[u]);
            buffers.unit_most[u] *= kActivationStep / kWeightCodes; // a product's step
        }
        for (int64_t row = 0; row < rows; row += 4) {
            Vector scale[4];
            for (int r = 0; r < 4; ++r) {
                const float most =
                    _mm512_reduce_max_ps(Isa::load(buffers.row_most + (row + r) * kWidth));
                buffers.row_steps[row + r] = most / kWeightCodes;
                const float factor = inverse(most);
                scale[r] = Isa::broadcast(&factor);
            }
            __m512i sums = _mm512_setzero_si512();
            for (int64_t c = 0; c < columns; ++c) {
                const float *const from = buffers.rows[0] + row * units + c * kWidth;
                const Vector step = Isa::load(layer.steps + c * kWidth);
                const Vector unit = Isa::load(buffers.unit_inverses + c * kWidth);
                Vector x[4];
                for (int r = 0; r < 4; ++r) x[r] = Isa::load(from + r * units);
                _mm512_storeu_si512(buffers.documents + row / kBytes * units + c * kWidth,
                                    Codes::rounded(x[0] * unit, x[1] * unit, x[2] * unit,
                                                   x[3] * unit, noise.next()));
                for (int r = 0; r < 4; ++r) x[r] = x[r] * step * scale[r];
                const __m512i codes =
                    Codes::rows(Codes::rounded(x[0], x[1], x[2], x[3], noise.next()));
                sums = Codes::add_rows(sums, codes);
                Codes::store_rows(buffers.rows[1] + row * stride + c * kByteVector, stride, codes);
            }
            // Weights had 128 added.
            Codes::store_sums(buffers.row_offsets + row, sums, -128);
            for (int r = 0; r < 4; ++r) buffers.row_offsets[row + r] *= buffers.row_steps[row + r];
        }
    }

    struct StepSum {
        float *sums;
        int64_t stride;
        const float *steps; // of each row's products

        void operator()(int64_t row, int64_t column, Vector a, Vector b) const {
            float *const to = sums + row * stride + column * kWidth;
            Isa::store(to, Isa::fma(a, Isa::broadcast(steps + row), Isa::load(to)));
            Isa::store(to + stride,
                       Isa::fma(b, Isa::broadcast(steps + row + 1), Isa::load(to + stride)));
        }
    };

    static double block(const GradientNetwork &network, const GradientBatch &batch, int64_t first,
                        int64_t there, Noise &noise) {
        const GradientLayer *const layers = network.layers;
        const GradientBuffers &buffers = network.buffers;
        const int64_t last = network.n_layers - 1;
        bool numbers = true;
        const int64_t rows = forward<false>(network, batch, first, there, &numbers);
        double squares = numbers ? 0 : __builtin_nan("");
        back_to<false>(network, last, rows, [&](const auto &backward) {
            squares += turn_round(layers[last], batch, first, there, rows,
                                  vectors(network.live[last]), backward);
        });
        for (int64_t l = last - 1; l > 0; --l) {
            const GradientLayer &layer = layers[l];
            const int64_t outputs = network.live[l + 1], columns = vectors(network.live[l]);
            round(layer, buffers, vectors(outputs), rows, noise);
            const int64_t stride = bytes(layer.outputs);
            Sums::multiply({buffers.documents, whole_units(layer.outputs), layer.columns,
                            kByteColumn, rows / kBytes},
                           outputs, columns,
                           StepSum{layer.sums, whole_units(layer.inputs), buffers.unit_most});
            back_to<true>(network, l, rows, [&](const auto &backward) {
                Back::multiply({buffers.rows[1], stride, layer.backward, stride * kWidth,
                                byte_depth(outputs)},
                               rows, columns, backward);
            });
        }
        FirstSums::multiply({buffers.documents, whole_units(layers->outputs), layers->columns,
                             kColumn, rows / kPerWord},
                            network.live[1], vectors(layers->inputs),
                            typename Code::Sum{layers->sums, whole_units(layers->inputs),
                                               network.live[1]});
        return squares;
    }

    // ---- Before the batch: weights as codes ----

    // kBack: for the way back, too.
    template <bool kBack>
    static void pack(const GradientLayer &layer, float *scratch) {
        const int64_t units = whole_units(layer.inputs), stride = bytes(layer.inputs);
        auto *const codes = reinterpret_cast<int8_t *>(scratch);
        for (int64_t output = 0; output < layer.outputs; output += kWidth) {
            const float *row[kWidth];
            for (int64_t o = 0; o < kWidth; ++o) {
                row[o] = scratch + o * stride;
                round_row(layer, output + o, codes + o * units);
            }
            Code::pack_column(row, stride, layer.forward + output * stride);
            for (int64_t o = 0; kBack && o < kWidth; o += kBytes)
                for (int64_t i = 0; i < units; i += kWidth)
                    Codes::store_unsigned(layer.backward + i * bytes(layer.outputs) +
                                              (output + o) / kBytes * kWidth,
                                          codes + o * units + i, units);
        }
    }

    // Sizes are compared as whole numbers, where what is no number is the largest.
    static void round_row(const GradientLayer &layer, int64_t output, int8_t *to) {
        const int64_t units = whole_units(layer.inputs);
        const float *const from = layer.weights + output * units;
        __m512i most = _mm512_setzero_si512();
        for (int64_t i = 0; i < units; i += kWidth)
            most = _mm512_max_epu32(most, as_words(_mm512_abs_ps(Isa::load(from + i))));
        const uint32_t bits = _mm512_reduce_max_epu32(most);
        float largest;
        __builtin_memcpy(&largest, &bits, sizeof largest);
        layer.steps[output] = largest / kWeightCodes;
        const float factor = largest > kNone ? kWeightCodes / largest : 0;
        const Vector scale = Isa::broadcast(&factor);
        for (int64_t i = 0; i < units; i += kWidth)
            Isa::store_bytes(reinterpret_cast<float *>(to + i), Isa::load(from + i) * scale);
    }

    template <bool kBack>
    static void pack(const GradientNetwork &network) {
        Code::pack_forward(network.layers[0], network.buffers.scratch);
        for (int64_t l = 1; l + 1 < network.n_layers; ++l)
            pack<kBack>(network.layers[l], network.buffers.scratch);
    }

    // ---- All of them ----

    static double run(const GradientNetwork &network, const GradientBatch &batch) {
        pack<true>(network);
        Noise noise(batch.seed);
        double squares = 0;
        Code::in_blocks(batch.n, [&](int64_t first, int64_t there) {
            squares += block(network, batch, first, there, noise);
        });
        return squares;
    }

    static void score(const GradientNetwork &network, const GradientBatch &batch, float *scores) {
        pack<false>(network);
        const GradientLayer &last = network.layers[network.n_layers - 1];
        Code::in_blocks(batch.n, [&](int64_t first, int64_t there) {
            bool numbers = true;
            forward<false>(network, batch, first, there, &numbers);
            for (int64_t row = 0; row < there; ++row)
                scores[first + row] = numbers ? score_row(last, row) : __builtin_nanf("");
        });
    }

    static void survey(const GradientNetwork &network, const GradientBatch &batch) {
        pack<false>(network);
        bool numbers = true;
        forward<true>(network, batch, 0, batch.n, &numbers);
    }

    static constexpr GradientKernels kernels(const char *level) {
        return {level, run, score, survey};
    }
};

} // namespace
} // namespace distilrank
