// Networks made ready for the kernels: checked, the z-score folded in, cleared of what does not
// count, packed. The kernels themselves are compiled once an instruction set.
#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu.hpp"
#include "scorer.hpp"

namespace distilrank {
namespace {

constexpr int64_t kWidest = 1 << 20, kMostLayers = 1 << 10, kMostWeights = int64_t{1} << 30;
// At most this share of non-zeros, and a layer is stored sparse: measured, see docs/native.md.
constexpr double kSparse = 0.3;

[[noreturn]] void refuse(const std::string &sentence) { throw std::invalid_argument(sentence); }

int64_t rounded_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

// ---- The model as numbers, in double ----

struct Dense {
    int64_t inputs = 0, outputs = 0;
    std::vector<double> weights, bias; // (outputs, inputs), (outputs)
    double *row(int64_t output) { return weights.data() + output * inputs; }
    const double *row(int64_t output) const { return weights.data() + output * inputs; }
};

std::string named(int64_t layer) { return "layer " + std::to_string(layer + 1); }

void check_shape(const distilrank_network &given) {
    if (given.n_layers < 1 || given.n_layers > kMostLayers)
        refuse("a network has 1 to " + std::to_string(kMostLayers) + " layers, not " +
               std::to_string(given.n_layers));
    if (!given.widths || !given.weights || !given.biases || !given.mean || !given.scale)
        refuse("one of the network's arrays is missing: the pointer is NULL");
    for (int64_t l = 0; l <= given.n_layers; ++l)
        if (given.widths[l] < 1 || given.widths[l] > kWidest)
            refuse((l ? named(l - 1) + " has " + std::to_string(given.widths[l]) + " outputs"
                      : "the network has " + std::to_string(given.widths[l]) + " features") +
                   ", not 1 to " + std::to_string(kWidest));
    for (int64_t l = 0; l < given.n_layers; ++l) {
        if (given.widths[l] * given.widths[l + 1] > kMostWeights)
            refuse(named(l) + " has more than " + std::to_string(kMostWeights) + " weights");
        if (!given.weights[l] || !given.biases[l])
            refuse(named(l) + " has no weights or no biases: the pointer is NULL");
    }
    if (given.widths[given.n_layers] != 1)
        refuse("the last layer has " + std::to_string(given.widths[given.n_layers]) +
               " outputs; a score is one");
}

// All numbers are finite and every scale is positive.
void check_numbers(const distilrank_network &given) {
    for (int64_t l = 0; l < given.n_layers; ++l) {
        const int64_t outputs = given.widths[l + 1], size = given.widths[l] * outputs;
        const auto finite = [](float value) { return std::isfinite(value); };
        if (!std::all_of(given.weights[l], given.weights[l] + size, finite))
            refuse(named(l) + " has a weight that is NaN or infinite");
        if (!std::all_of(given.biases[l], given.biases[l] + outputs, finite))
            refuse(named(l) + " has a bias that is NaN or infinite");
    }
    for (int64_t f = 0; f < given.widths[0]; ++f) {
        if (!std::isfinite(given.mean[f]))
            refuse("the mean of feature " + std::to_string(f + 1) + " is NaN or infinite");
        if (!std::isfinite(given.scale[f]) || given.scale[f] <= 0)
            refuse("the scale of feature " + std::to_string(f + 1) + " is not a positive number");
    }
}

// The layers, with the scale folded into the first one: its input is x - float(mean), exact for x
// near the mean, and what is left of the mean is in the bias.
std::vector<Dense> folded(const distilrank_network &given) {
    std::vector<Dense> layers(static_cast<size_t>(given.n_layers));
    for (int64_t l = 0; l < given.n_layers; ++l) {
        Dense &layer = layers[static_cast<size_t>(l)];
        layer.inputs = given.widths[l];
        layer.outputs = given.widths[l + 1];
        layer.weights.assign(given.weights[l], given.weights[l] + layer.inputs * layer.outputs);
        layer.bias.assign(given.biases[l], given.biases[l] + layer.outputs);
    }
    Dense &first = layers.front();
    for (int64_t output = 0; output < first.outputs; ++output)
        for (int64_t f = 0; f < first.inputs; ++f) {
            double &weight = first.row(output)[f];
            weight /= given.scale[f];
            first.bias[static_cast<size_t>(output)] -=
                weight * (given.mean[f] - static_cast<double>(static_cast<float>(given.mean[f])));
            if (!(std::fabs(weight) <= static_cast<double>(std::numeric_limits<float>::max())))
                refuse("a weight of layer 1 by the scale of feature " + std::to_string(f + 1) +
                       " is beyond the largest float");
        }
    return layers;
}

// ---- What does not count ----

void keep_outputs(Dense &layer, const std::vector<int64_t> &kept) {
    std::vector<double> weights, bias;
    weights.reserve(kept.size() * static_cast<size_t>(layer.inputs));
    for (const int64_t output : kept) {
        weights.insert(weights.end(), layer.row(output), layer.row(output) + layer.inputs);
        bias.push_back(layer.bias[static_cast<size_t>(output)]);
    }
    layer.weights = std::move(weights);
    layer.bias = std::move(bias);
    layer.outputs = static_cast<int64_t>(kept.size());
}

void keep_inputs(Dense &layer, const std::vector<int64_t> &kept) {
    std::vector<double> weights;
    weights.reserve(kept.size() * static_cast<size_t>(layer.outputs));
    for (int64_t output = 0; output < layer.outputs; ++output)
        for (const int64_t input : kept) weights.push_back(layer.row(output)[input]);
    layer.weights = std::move(weights);
    layer.inputs = static_cast<int64_t>(kept.size());
}

int64_t non_zeros(const Dense &layer, int64_t output) {
    return layer.inputs - std::count(layer.row(output), layer.row(output) + layer.inputs, 0.0);
}

bool is_sparse(int64_t count, const Dense &layer) {
    return static_cast<double>(count) <= kSparse * static_cast<double>(layer.inputs * layer.outputs);
}

double relu6(double value) { return std::clamp(value, 0.0, 6.0); }

// Neurons that nothing reads are left out; so are those that read nothing, whose constant goes into
// the next layer's bias. The outputs of what will be a sparse layer are sorted by their weights'
// number: the kernel's inner loop then ends where the branch predictor expects it.
void simplify(std::vector<Dense> &layers) {
    for (size_t l = layers.size() - 1; l > 0; --l) {
        std::vector<int64_t> read;
        for (int64_t input = 0; input < layers[l].inputs; ++input) {
            bool used = false;
            for (int64_t output = 0; output < layers[l].outputs && !used; ++output)
                used = layers[l].row(output)[input] != 0;
            if (used) read.push_back(input);
        }
        keep_inputs(layers[l], read);
        keep_outputs(layers[l - 1], read);
    }
    for (size_t l = 0; l + 1 < layers.size(); ++l) {
        Dense &layer = layers[l], &next = layers[l + 1];
        std::vector<int64_t> kept;
        for (int64_t output = 0; output < layer.outputs; ++output) {
            if (non_zeros(layer, output)) kept.push_back(output);
            else
                for (int64_t reader = 0; reader < next.outputs; ++reader)
                    next.bias[static_cast<size_t>(reader)] +=
                        next.row(reader)[output] * relu6(layer.bias[static_cast<size_t>(output)]);
        }
        std::vector<int64_t> count(static_cast<size_t>(layer.outputs));
        for (const int64_t output : kept) count[static_cast<size_t>(output)] = non_zeros(layer, output);
        const auto total = std::accumulate(count.begin(), count.end(), int64_t{0});
        if (is_sparse(total, layer))
            std::stable_sort(kept.begin(), kept.end(), [&](int64_t a, int64_t b) {
                return count[static_cast<size_t>(a)] < count[static_cast<size_t>(b)];
            });
        keep_outputs(layer, kept);
        keep_inputs(next, kept);
    }
}

// Every layer's outputs, and the features, made a multiple of a word's numbers by zeros.
void fill_words(std::vector<Dense> &layers, int64_t per_word) {
    for (size_t l = 0; l < layers.size(); ++l) {
        Dense &layer = layers[l];
        Dense wider;
        wider.inputs = rounded_up(layer.inputs, per_word);
        wider.outputs = l + 1 < layers.size() ? rounded_up(layer.outputs, per_word) : 1;
        wider.weights.resize(static_cast<size_t>(wider.inputs * wider.outputs));
        wider.bias = layer.bias;
        wider.bias.resize(static_cast<size_t>(wider.outputs));
        for (int64_t output = 0; output < layer.outputs; ++output)
            std::copy_n(layer.row(output), layer.inputs, wider.row(output));
        layer = std::move(wider);
    }
}

// ---- Packed ----

uint32_t bits_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// The nearest bf16, ties to even; the largest floats stay finite.
uint32_t bf16(double value) {
    const uint32_t bits = bits_of(static_cast<float>(value));
    const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (rounded & 0x7fff) == 0x7f80 ? bits >> 16 : rounded;
}

// Word `k` of one output's weights. Adding 0 makes -0, which masks leave behind, a word of no bits.
float word(const double *row, int64_t k, int64_t per_word) {
    if (per_word == 1) return static_cast<float>(row[k] + 0.0);
    const uint32_t bits = bf16(row[2 * k] + 0.0) | bf16(row[2 * k + 1] + 0.0) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};
template <typename T>
using Aligned = std::unique_ptr<T[], Free>;

// `size` zeros, aligned to 64 bytes.
template <typename T>
Aligned<T> zeros(int64_t size) {
    const size_t bytes = (static_cast<size_t>(size) * sizeof(T) + 64) / 64 * 64;
    auto *memory = static_cast<T *>(std::aligned_alloc(64, bytes));
    if (!memory) throw std::bad_alloc();
    std::fill_n(memory, bytes / sizeof(T), T{});
    return Aligned<T>(memory);
}

// A packed network and the arrays it points into; immutable once made, shared by clones.
class Model {
public:
    Model(const std::vector<Dense> &layers, const distilrank_network &given,
          const NetworkKernels &kernels);

    Network network{};
    int64_t widest = 0; // units of the widest layer or the features, in whole vectors

private:
    void pack_dense(const Dense &layer, const NetworkKernels &kernels, NetworkLayer &packed);
    void pack_sparse(const Dense &layer, const NetworkKernels &kernels, NetworkLayer &packed);
    void pack_slices(const Dense &layer, int64_t width, NetworkLayer &packed);

    template <typename T>
    T *kept(int64_t size, std::vector<Aligned<T>> &where) {
        where.push_back(zeros<T>(size));
        return where.back().get();
    }
    float *floats(int64_t size) { return kept(size, floats_); }
    int32_t *integers(int64_t size) { return kept(size, integers_); }

    std::vector<NetworkLayer> layers_;
    std::vector<Aligned<float>> floats_;
    std::vector<Aligned<int32_t>> integers_;
};

Model::Model(const std::vector<Dense> &layers, const distilrank_network &given,
             const NetworkKernels &kernels) {
    network.features = given.widths[0];
    const int64_t padded = rounded_up(network.features, kernels.width);
    float *centre = floats(padded), *fill = floats(padded);
    for (int64_t f = 0; f < network.features; ++f) {
        centre[f] = static_cast<float>(given.mean[f]);
        fill[f] = given.fill ? given.fill[f] - centre[f] : 0.0f;
    }
    network.centre = centre;
    network.fill = given.fill ? fill : nullptr;
    widest = padded;
    for (const Dense &layer : layers) {
        constexpr float kNone = std::numeric_limits<float>::infinity();
        const bool last = &layer == &layers.back();
        NetworkLayer packed{};
        packed.depth = layer.inputs / kernels.per_word;
        packed.outputs = layer.outputs;
        packed.padded = rounded_up(layer.outputs, kernels.width);
        packed.low = last ? -kNone : 0;
        packed.high = last ? kNone : 6;
        float *bias = floats(packed.padded);
        std::transform(layer.bias.begin(), layer.bias.end(), bias,
                       [](double value) { return static_cast<float>(value); });
        packed.bias = bias;
        int64_t count = 0;
        for (int64_t output = 0; output < layer.outputs; ++output) count += non_zeros(layer, output);
        if (!last && is_sparse(count, layer)) pack_sparse(layer, kernels, packed);
        else pack_dense(layer, kernels, packed);
        widest = std::max(widest, packed.padded);
        layers_.push_back(packed);
    }
    network.layers = layers_.data();
    network.n_layers = static_cast<int64_t>(layers_.size());
}

// Panels of nearly equal heights, in whole words: with the last one padded instead, 50 outputs would
// cost 54.
void Model::pack_dense(const Dense &layer, const NetworkKernels &kernels, NetworkLayer &packed) {
    packed.n_panels = (layer.outputs + kernels.height - 1) / kernels.height;
    float *panel = floats(packed.depth * layer.outputs);
    float *columns = floats(packed.depth * packed.padded);
    int32_t *heights = integers(packed.n_panels);
    packed.panels = panel;
    packed.columns = columns;
    packed.heights = heights;
    const int64_t unit = layer.outputs == 1 ? 1 : kernels.per_word, units = layer.outputs / unit;
    int64_t first = 0;
    for (int64_t p = 0; p < packed.n_panels; ++p) {
        const int64_t end = units * (p + 1) / packed.n_panels * unit;
        heights[p] = static_cast<int32_t>(end - first);
        for (int64_t k = 0; k < packed.depth; ++k)
            for (int64_t output = first; output < end; ++output)
                *panel++ = word(layer.row(output), k, kernels.per_word);
        first = end;
    }
    for (int64_t k = 0; k < packed.depth; ++k)
        for (int64_t output = 0; output < layer.outputs; ++output)
            columns[k * packed.padded + output] = word(layer.row(output), k, kernels.per_word);
}

void Model::pack_sparse(const Dense &layer, const NetworkKernels &kernels, NetworkLayer &packed) {
    std::vector<int32_t> found;
    std::vector<float> numbers;
    int32_t *starts = integers(layer.outputs + 1);
    for (int64_t output = 0; output < layer.outputs; ++output) {
        for (int64_t k = 0; k < packed.depth; ++k) {
            const float value = word(layer.row(output), k, kernels.per_word);
            if (!bits_of(value)) continue;
            found.push_back(static_cast<int32_t>(k));
            numbers.push_back(value);
        }
        starts[output + 1] = static_cast<int32_t>(found.size());
    }
    int32_t *indices = integers(starts[layer.outputs]);
    float *values = floats(starts[layer.outputs]);
    std::copy(found.begin(), found.end(), indices);
    std::copy(numbers.begin(), numbers.end(), values);
    packed.starts = starts;
    packed.indices = indices;
    packed.values = values;
    pack_slices(layer, kernels.width, packed);
}

// From the CSR arrays. What fills a slice up reads the output's own last input: an infinite or NaN
// input then harms no output that it does not harm anyway.
void Model::pack_slices(const Dense &layer, int64_t width, NetworkLayer &packed) {
    const int64_t slices = packed.padded / width;
    int32_t *starts = integers(slices + 1);
    const auto length = [&](int64_t output) {
        return output < layer.outputs ? packed.starts[output + 1] - packed.starts[output] : 0;
    };
    for (int64_t slice = 0; slice < slices; ++slice) {
        int32_t longest = 0;
        for (int64_t lane = 0; lane < width; ++lane)
            longest = std::max(longest, length(slice * width + lane));
        starts[slice + 1] = starts[slice] + longest;
    }
    int32_t *indices = integers(starts[slices] * width);
    float *values = floats(starts[slices] * width);
    for (int64_t output = 0; output < layer.outputs; ++output)
        for (int32_t j = 0; j < starts[output / width + 1] - starts[output / width]; ++j) {
            const int64_t at = (starts[output / width] + j) * width + output % width;
            const int32_t from = packed.starts[output] + std::min(j, length(output) - 1);
            if (length(output)) indices[at] = packed.indices[from];
            if (j < length(output)) values[at] = packed.values[from];
        }
    packed.slice_starts = starts;
    packed.slice_indices = indices;
    packed.slice_values = values;
}

// ---- The scorer ----

const NetworkKernels &kernels_of(distilrank_level level, bool bf16) {
#if defined(__x86_64__)
    if (level >= DISTILRANK_AVX512 && bf16 && has_avx512_bf16()) return network_vdpbf16;
    if (level >= DISTILRANK_AVX512) return bf16 ? network_avx512_bf16 : network_avx512;
    if (level == DISTILRANK_AVX2) return bf16 ? network_avx2_bf16 : network_avx2;
#endif
    static_cast<void>(level);
    return bf16 ? network_portable_bf16 : network_portable;
}

class NetworkScorer final : public Scorer {
public:
    NetworkScorer(std::shared_ptr<const Model> model, distilrank_level level,
                  const NetworkKernels &kernels)
        : model_(std::move(model)), level_(level), kernels_(kernels) {
        const int64_t size = model_->widest * kernels_.block;
        for (int side = 0; side < 2; ++side) {
            activations_[side] = zeros<float>(size);
            buffers_.activations[side] = activations_[side].get();
        }
        values_ = zeros<float>(model_->widest);
        indices_ = zeros<int32_t>(model_->widest);
        buffers_.active_values = values_.get();
        buffers_.active_indices = indices_.get();
    }

    void score(const float *rows, int64_t n, int64_t stride, float *scores) noexcept override {
        kernels_.score(model_->network, buffers_, rows, n, stride, scores);
    }
    std::unique_ptr<Scorer> clone() const override {
        return std::make_unique<NetworkScorer>(model_, level_, kernels_);
    }
    int64_t n_features() const override { return model_->network.features; }
    std::string describe() const override;

private:
    std::shared_ptr<const Model> model_;
    distilrank_level level_;
    const NetworkKernels &kernels_;
    NetworkBuffers buffers_{};
    Aligned<float> activations_[2], values_;
    Aligned<int32_t> indices_;
};

std::string NetworkScorer::describe() const {
    std::string text = "{\"kind\": \"network\", \"level\": \"";
    text += level_name(level_);
    text += kernels_.per_word == 1 ? "\", \"precision\": \"fp32\"" : "\", \"precision\": \"bf16\"";
#if defined(__x86_64__)
    if (&kernels_ == &network_vdpbf16) text += ", \"instruction\": \"vdpbf16ps\"";
#endif
    text += ", \"block\": " + std::to_string(kernels_.block);
    text += ", \"layers\": [";
    for (int64_t l = 0; l < model_->network.n_layers; ++l) {
        const NetworkLayer &layer = model_->network.layers[l];
        text += l ? ", {" : "{";
        text += "\"inputs\": " + std::to_string(layer.depth * kernels_.per_word);
        text += ", \"outputs\": " + std::to_string(layer.outputs);
        text += layer.starts ? ", \"sparse\": true, \"non_zeros\": " +
                                   std::to_string(layer.starts[layer.outputs])
                             : std::string(", \"sparse\": false");
        text += "}";
    }
    return text + "]}";
}

} // namespace

std::unique_ptr<Scorer> make_network(const distilrank_network &network,
                                     const distilrank_options &options) {
    check_shape(network);
    check_numbers(network);
    if (options.precision == DISTILRANK_INT8)
        refuse("networks are scored in fp32 or bf16, not in int8");
    auto level = usable_level(static_cast<distilrank_level>(options.level));
    level = std::min(level, DISTILRANK_AVX512); // tiles are not used yet
    const NetworkKernels &kernels = kernels_of(level, options.precision == DISTILRANK_BF16);
    std::vector<Dense> layers = folded(network);
    simplify(layers);
    fill_words(layers, kernels.per_word);
    auto model = std::make_shared<const Model>(layers, network, kernels);
    return std::make_unique<NetworkScorer>(std::move(model), level, kernels);
}

} // namespace distilrank
