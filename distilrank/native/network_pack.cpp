#include "network_pack.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <utility>

namespace distilrank {
namespace {

constexpr int64_t kTile = 16; // outputs and words of an AMX tile of weights

int64_t rounded_up(int64_t value, int64_t multiple) {
    return (value + multiple - 1) / multiple * multiple;
}

// A layer's inputs and outputs made multiples of a word's numbers by zeros.
Dense whole_words(const Dense &layer, int64_t inputs_per_word, int64_t outputs_per_word) {
    Dense wider;
    wider.inputs = rounded_up(layer.inputs, inputs_per_word);
    wider.outputs = rounded_up(layer.outputs, outputs_per_word);
    wider.weights.resize(static_cast<size_t>(wider.inputs * wider.outputs));
    wider.bias = layer.bias;
    wider.scale = layer.scale;
    wider.bias.resize(static_cast<size_t>(wider.outputs));
    wider.scale.resize(static_cast<size_t>(wider.outputs));
    for (int64_t output = 0; output < layer.outputs; ++output)
        std::copy_n(layer.row(output), layer.inputs, wider.row(output));
    return wider;
}

// A layer's output in other units.
void multiply(Dense &layer, bool whole, double unit) {
    for (double &bias : layer.bias) bias *= unit;
    for (double &number : whole ? layer.scale : layer.weights) number *= unit;
}

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
    uint32_t bits = 0;
    for (int64_t number = per_word - 1; number >= 0; --number) {
        const double value = row[k * per_word + number] + 0.0;
        if (per_word == 2) bits = bits << 16 | bf16(value);
        else bits = bits << 8 | (static_cast<uint32_t>(static_cast<int32_t>(value)) & 255);
    }
    float result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

template <typename T>
Zeros<T> zeros(int64_t size) {
    const size_t bytes = (static_cast<size_t>(size) * sizeof(T) + 64) / 64 * 64;
    auto *memory = static_cast<T *>(std::aligned_alloc(64, bytes));
    if (!memory) throw std::bad_alloc();
    std::fill_n(memory, bytes / sizeof(T), T{});
    return Zeros<T>(memory);
}

} // namespace

Zeros<float> zero_floats(int64_t size) { return zeros<float>(size); }
Zeros<int32_t> zero_integers(int64_t size) { return zeros<int32_t>(size); }

PackedNetwork::PackedNetwork(std::vector<Dense> layers, const distilrank_network &given,
                             const NetworkKernels &kernels, double sparse)
    : kernels_(kernels) {
    pack_features(given, kernels.width);
    const bool int8 = kernels.per_word == 4;
    for (size_t l = 0; l < layers.size(); ++l) {
        const bool last = l + 1 == layers.size();
        if (int8 && !last) multiply(layers[l], l > 0, kMostCode / kMostActive);
        const int64_t per_word = l ? kernels.per_word : kernels.first_per_word;
        layers_.push_back(pack(whole_words(layers[l], per_word, last ? 1 : kernels.per_word), per_word,
                               last, !last && is_sparse(layers[l], sparse)));
        widest = std::max(widest, layers_.back().padded);
    }
    network.layers = layers_.data();
    network.n_layers = static_cast<int64_t>(layers_.size());
}

void PackedNetwork::pack_features(const distilrank_network &given, int64_t width) {
    network.features = given.widths[0];
    widest = rounded_up(network.features, width);
    float *centre = floats(widest), *fill = floats(widest);
    for (int64_t f = 0; f < network.features; ++f) {
        centre[f] = static_cast<float>(given.mean[f]);
        fill[f] = given.fill ? given.fill[f] - centre[f] : 0.0f;
    }
    network.centre = centre;
    network.fill = given.fill ? fill : nullptr;
}

NetworkLayer PackedNetwork::pack(const Dense &layer, int64_t per_word, bool last, bool sparse) {
    constexpr float kNone = std::numeric_limits<float>::infinity();
    const double most = kernels_.per_word == 4 ? kMostCode : kMostActive;
    const auto as_float = [](double value) { return static_cast<float>(value); };
    NetworkLayer packed{};
    packed.depth = layer.inputs / per_word;
    packed.outputs = layer.outputs;
    packed.padded = rounded_up(layer.outputs, kernels_.width);
    packed.low = last ? -kNone : 0;
    packed.high = last ? kNone : as_float(most);
    float *bias = floats(packed.padded), *scale = floats(packed.padded);
    std::transform(layer.bias.begin(), layer.bias.end(), bias, as_float);
    std::transform(layer.scale.begin(), layer.scale.end(), scale, as_float);
    packed.bias = bias;
    packed.scale = scale;
    if (sparse) pack_sparse(layer, per_word, packed);
    else pack_dense(layer, per_word, packed);
    if (kernels_.tiles && per_word > 1 && !sparse && !last) pack_tiles(layer, per_word, packed);
    return packed;
}

// Panels of nearly equal heights, in whole words: with the last one padded instead, 50 outputs would
// cost 54.
void PackedNetwork::pack_dense(const Dense &layer, int64_t per_word, NetworkLayer &packed) {
    packed.n_panels = (layer.outputs + kernels_.height - 1) / kernels_.height;
    float *panel = floats(packed.depth * layer.outputs);
    float *columns = floats(packed.depth * packed.padded);
    int32_t *heights = integers(packed.n_panels);
    packed.panels = panel;
    packed.columns = columns;
    packed.heights = heights;
    const int64_t unit = layer.outputs == 1 ? 1 : kernels_.per_word, units = layer.outputs / unit;
    int64_t first = 0;
    for (int64_t p = 0; p < packed.n_panels; ++p) {
        const int64_t end = units * (p + 1) / packed.n_panels * unit;
        heights[p] = static_cast<int32_t>(end - first);
        for (int64_t k = 0; k < packed.depth; ++k)
            for (int64_t output = first; output < end; ++output)
                *panel++ = word(layer.row(output), k, per_word);
        first = end;
    }
    for (int64_t k = 0; k < packed.depth; ++k)
        for (int64_t output = 0; output < layer.outputs; ++output)
            columns[k * packed.padded + output] = word(layer.row(output), k, per_word);
}

void PackedNetwork::pack_tiles(const Dense &layer, int64_t per_word, NetworkLayer &packed) {
    const int64_t outputs = (layer.outputs + kTile - 1) / kTile;
    const int64_t depth = (packed.depth + kTile - 1) / kTile;
    float *tiles = floats(outputs * depth * kTile * kTile);
    for (int64_t output = 0; output < layer.outputs; ++output)
        for (int64_t k = 0; k < packed.depth; ++k) {
            const int64_t tile = output / kTile * depth + k / kTile;
            tiles[(tile * kTile + output % kTile) * kTile + k % kTile] =
                word(layer.row(output), k, per_word);
        }
    packed.tiles = tiles;
}

void PackedNetwork::pack_sparse(const Dense &layer, int64_t per_word, NetworkLayer &packed) {
    std::vector<int32_t> found;
    std::vector<float> numbers;
    int32_t *starts = integers(layer.outputs + 1);
    for (int64_t output = 0; output < layer.outputs; ++output) {
        for (int64_t k = 0; k < packed.depth; ++k) {
            const float value = word(layer.row(output), k, per_word);
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
    pack_slices(layer, packed);
}

// From the CSR arrays. What fills a slice up reads the output's own last input: an infinite or NaN
// input then harms no output that it does not harm anyway.
void PackedNetwork::pack_slices(const Dense &layer, NetworkLayer &packed) {
    const int64_t width = kernels_.width;
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

} // namespace distilrank
