// The gradient of a network's squared error behind the C interface: buffers, and what goes in and out.
#include "gradient.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "cpu.hpp"
#include "distilrank.h"

namespace distilrank {
namespace {

const GradientKernels *kernels_of(int32_t precision, int32_t level) {
#if defined(__x86_64__)
    const auto usable = usable_level(static_cast<distilrank_level>(level));
    if (precision == DISTILRANK_FP32) return usable >= DISTILRANK_AVX512 ? &gradient_avx512 : nullptr;
    if (precision != DISTILRANK_BF16) return nullptr;
    if (usable >= DISTILRANK_AMX) return &gradient_amx;
    if (usable >= DISTILRANK_AVX512 && has_avx512_bf16()) return &gradient_vdpbf16;
#else
    static_cast<void>(precision);
    static_cast<void>(level);
#endif
    return nullptr;
}

struct alignas(64) Line {
    float words[16];
};

class Gradient {
public:
    Gradient(const int64_t *widths, int64_t n_layers, const GradientKernels &kernels)
        : kernels_(kernels), layers_(static_cast<size_t>(n_layers)) {
        int64_t widest = 0;
        for (int64_t l = 0; l < n_layers; ++l) {
            GradientLayer &layer = layers_[static_cast<size_t>(l)];
            layer.inputs = widths[l];
            layer.outputs = widths[l + 1];
            const int64_t in = whole_units(layer.inputs), out = whole_units(layer.outputs);
            // Enough for floats; pairs of bf16 take half of some.
            layer.forward = floats(in * out);
            layer.backward = floats(in * out);
            layer.padded = floats(out);
            layer.sums = floats((out + kSlack) * in);
            layer.bias_sums = floats(out);
            layer.rows = floats(kBlockWords * in);
            layer.columns = floats(kBlockWords * in);
            widest = std::max({widest, in, out});
        }
        GradientBuffers &buffers = network_.buffers;
        for (float *&rows : buffers.rows) rows = floats(kBlockWords * widest);
        buffers.documents = floats(kBlockWords * widest);
        buffers.turned = floats((widest + kSlack) * kBlockWords);
        buffers.scratch = floats(16 * widest);
        network_.layers = layers_.data();
        network_.n_layers = n_layers;
    }

    double run(const distilrank_step &step) {
        take(step);
        for (size_t l = 0; l < layers_.size(); ++l) {
            GradientLayer &layer = layers_[l];
            layer.weight_gradient = step.weight_gradients[l];
            layer.bias_gradient = step.bias_gradients[l];
            const int64_t in = whole_units(layer.inputs), out = whole_units(layer.outputs);
            std::fill_n(layer.sums, (out + kSlack) * in, 0.0f);
            std::fill_n(layer.bias_sums, out, 0.0f);
        }
        const double squares = kernels_.run(network_, batch_of(step));
        for (const GradientLayer &layer : layers_) give(layer);
        return squares;
    }

    void score(const distilrank_step &step, float *scores) {
        take(step);
        kernels_.score(network_, batch_of(step), scores);
    }

private:
    float *floats(int64_t size) {
        memory_.emplace_back(static_cast<size_t>((size + 15) / 16));
        return memory_.back().data()->words;
    }

    static GradientBatch batch_of(const distilrank_step &step) {
        return {step.rows, step.n, step.stride, step.targets, step.factor};
    }

    void take(const distilrank_step &step) {
        for (size_t l = 0; l < layers_.size(); ++l) {
            GradientLayer &layer = layers_[l];
            layer.weights = step.weights[l];
            layer.bias = step.biases[l];
            std::copy_n(layer.bias, layer.outputs, layer.padded);
        }
        const GradientLayer &last = layers_.back();
        std::copy_n(last.weights, last.inputs, last.forward);
    }

    static void give(const GradientLayer &layer) {
        for (int64_t o = 0; o < layer.outputs; ++o)
            std::copy_n(layer.sums + o * whole_units(layer.inputs), layer.inputs,
                        layer.weight_gradient + o * layer.inputs);
        std::copy_n(layer.bias_sums, layer.outputs, layer.bias_gradient);
    }

    const GradientKernels &kernels_;
    std::vector<GradientLayer> layers_;
    std::vector<std::vector<Line>> memory_;
    GradientNetwork network_{};
};

} // namespace
} // namespace distilrank

struct distilrank_gradient {
    distilrank::Gradient gradient;
};

using distilrank::kernels_of;

distilrank_gradient *distilrank_gradient_create(const int64_t *widths, int64_t n_layers,
                                                int32_t precision, int32_t level) {
    // Wider layers than this are no shallow network, and sizes could overflow.
    constexpr int64_t kWidest = 1 << 16, kDeepest = 64;
    if (!widths || n_layers < 2 || n_layers > kDeepest || widths[n_layers] != 1) return nullptr;
    for (int64_t l = 0; l < n_layers; ++l)
        if (widths[l] < 1 || widths[l] > kWidest) return nullptr;
    const distilrank::GradientKernels *const kernels = kernels_of(precision, level);
    if (!kernels) return nullptr;
    try {
        return new distilrank_gradient{{widths, n_layers, *kernels}};
    } catch (const std::exception &) {
        return nullptr;
    }
}

double distilrank_gradient_run(distilrank_gradient *gradient, const distilrank_step *step) {
    return gradient->gradient.run(*step);
}

void distilrank_gradient_score(distilrank_gradient *gradient, const distilrank_step *step,
                               float *scores) {
    gradient->gradient.score(*step, scores);
}

const char *distilrank_gradient_level(int32_t precision, int32_t level) {
    const distilrank::GradientKernels *const kernels = kernels_of(precision, level);
    return kernels ? kernels->level : "";
}

void distilrank_gradient_destroy(distilrank_gradient *gradient) { delete gradient; }
