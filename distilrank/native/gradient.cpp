// The gradient of a network's squared error behind the C interface: buffers, and what goes in and out.
#include "gradient.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "aligned.hpp"
#include "cpu.hpp"
#include "distilrank.h"

namespace distilrank {
namespace {

const GradientKernels *kernels_of(int32_t precision, int32_t level) {
#if defined(__x86_64__)
    const auto usable = usable_level(static_cast<distilrank_level>(level));
    if (precision == DISTILRANK_FP32) return usable >= DISTILRANK_AVX512 ? &gradient_avx512 : nullptr;
    if (precision == DISTILRANK_INT8) {
        if (usable < DISTILRANK_AVX512 || !has_avx512_vnni()) return nullptr;
        return has_quick_bf16() ? &gradient_vnni_bf16 : &gradient_vnni;
    }
    if (precision != DISTILRANK_BF16) return nullptr;
    if (usable >= DISTILRANK_AMX) return &gradient_amx;
    if (usable >= DISTILRANK_AVX512 && has_avx512_bf16()) return &gradient_vdpbf16;
#else
    static_cast<void>(precision);
    static_cast<void>(level);
#endif
    return nullptr;
}

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
            for (float **matrix : {&layer.weights, &layer.forward, &layer.backward, &layer.sums})
                *matrix = floats(out * in);
            for (float **vector : {&layer.bias, &layer.bias_sums, &layer.seen, &layer.steps})
                *vector = floats(out);
            layer.rows = floats(kBlockWords * in);
            layer.columns = floats(kBlockWords * in);
            opened_.emplace_back(static_cast<size_t>(kMostDocuments * in / 16));
            layer.open = opened_.back().data();
            widest = std::max({widest, in, out});
        }
        GradientBuffers &buffers = network_.buffers;
        for (float *&rows : buffers.rows) rows = floats(kMostDocuments * widest);
        buffers.documents = floats(kBlockWords * widest);
        buffers.turned = floats((widest + kSlack) * kBlockWords);
        buffers.scratch = floats(16 * widest);
        buffers.row_most = floats(kMostDocuments * 16);
        for (float **vector : {&buffers.row_steps, &buffers.row_offsets})
            *vector = floats(kMostDocuments);
        for (float **vector : {&buffers.unit_most, &buffers.unit_inverses}) *vector = floats(widest);
        for (int64_t l = 0; l <= n_layers; ++l) {
            orders_.emplace_back(static_cast<size_t>(widths[l]));
            std::iota(orders_.back().begin(), orders_.back().end(), 0);
        }
        live_.resize(layers_.size());
        network_.layers = layers_.data();
        network_.n_layers = n_layers;
        network_.live = live_.data();
    }

    double run(const distilrank_step &step) {
        arrange(step);
        for (const GradientLayer &layer : layers_) {
            const int64_t in = whole_units(layer.inputs), out = whole_units(layer.outputs);
            std::fill_n(layer.sums, out * in, 0.0f);
            std::fill_n(layer.bias_sums, out, 0.0f);
        }
        const double squares = kernels_.run(network_, batch_of(step));
        for (size_t l = 0; l < layers_.size(); ++l) give(l, step);
        return squares;
    }

    void score(const distilrank_step &step, float *scores) {
        arrange(step);
        kernels_.score(network_, batch_of(step), scores);
    }

private:
    float *floats(int64_t size) {
        return memory_.emplace_back(static_cast<size_t>(size)).data();
    }

    static GradientBatch batch_of(const distilrank_step &step) {
        return {step.rows, step.n, step.stride, step.targets, step.factor, step.seed};
    }

    // Units in an order that is the batch's alone: by their largest value in some of it, so that
    // silent ones stand last.
    void arrange(const distilrank_step &step) {
        for (size_t l = 1; l < layers_.size(); ++l) std::iota(orders_[l].begin(), orders_[l].end(), 0);
        take(step);
        // Of so few documents the look costs little beside the batch.
        GradientBatch some = batch_of(step);
        some.n = std::min(kBlockWords, step.n / 16);
        if (some.n < 8) return;
        kernels_.survey(network_, some);
        for (size_t l = 1; l < layers_.size(); ++l) {
            float *const seen = layers_[l - 1].seen;
            for (size_t o = 0; o < orders_[l].size(); ++o) // NaN has no place in an order
                if (std::isnan(seen[o])) seen[o] = std::numeric_limits<float>::max();
            std::stable_sort(orders_[l].begin(), orders_[l].end(),
                             [seen](int32_t one, int32_t other) { return seen[one] > seen[other]; });
        }
        take(step);
    }

    void take(const distilrank_step &step) {
        for (size_t l = 0; l < layers_.size(); ++l) {
            GradientLayer &layer = layers_[l];
            const std::vector<int32_t> &inputs = orders_[l], &outputs = orders_[l + 1];
            const bool same = std::is_sorted(inputs.begin(), inputs.end());
            float *to = layer.weights;
            for (size_t o = 0; o < outputs.size(); ++o, to += whole_units(layer.inputs)) {
                const float *const from = step.weights[l] + outputs[o] * layer.inputs;
                if (same) std::copy_n(from, layer.inputs, to);
                else for (size_t i = 0; i < inputs.size(); ++i) to[i] = from[inputs[i]];
                layer.bias[o] = step.biases[l][outputs[o]];
            }
        }
        const GradientLayer &last = layers_.back();
        std::copy_n(last.weights, last.inputs, last.forward);
    }

    void give(size_t l, const distilrank_step &step) const {
        const GradientLayer &layer = layers_[l];
        const std::vector<int32_t> &inputs = orders_[l], &outputs = orders_[l + 1];
        const bool same = std::is_sorted(inputs.begin(), inputs.end());
        const float *from = layer.sums;
        for (size_t o = 0; o < outputs.size(); ++o, from += whole_units(layer.inputs)) {
            float *const to = step.weight_gradients[l] + outputs[o] * layer.inputs;
            if (same) std::copy_n(from, layer.inputs, to);
            else for (size_t i = 0; i < inputs.size(); ++i) to[inputs[i]] = from[i];
            step.bias_gradients[l][outputs[o]] = layer.bias_sums[o];
        }
    }

    const GradientKernels &kernels_;
    std::vector<GradientLayer> layers_;
    std::vector<std::vector<int32_t>> orders_; // of the features, and of each layer's outputs
    std::vector<int64_t> live_;
    std::vector<Aligned<float>> memory_;
    std::vector<Aligned<uint16_t>> opened_;
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
    // So that no size overflows; memory ends long before.
    constexpr int64_t kWidest = 1 << 24, kDeepest = 64;
    if (!widths || n_layers < 2 || n_layers > kDeepest || widths[n_layers] != 1) return nullptr;
    for (int64_t l = 0; l < n_layers; ++l)
        if (widths[l] < 1 || widths[l] > kWidest) return nullptr;
    // Sums of that many products of codes, 127 * 255 at most, fit 32 bits.
    constexpr int64_t kMostCodes = 66000;
    for (int64_t l = 1; precision == DISTILRANK_INT8 && l < n_layers; ++l)
        if (widths[l] > kMostCodes) return nullptr;
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
