#include "network_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

namespace distilrank {
namespace {

constexpr int64_t kWidest = 1 << 20, kMostLayers = 1 << 10, kMostWeights = int64_t{1} << 30;

// Small enough to be taken times 255 / 6 for int8.
constexpr double kLargest = static_cast<double>(std::numeric_limits<float>::max()) / 64;

[[noreturn]] void refuse(const std::string &sentence) { throw std::invalid_argument(sentence); }

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
        if (!(std::fabs(given.mean[f]) <= kLargest))
            refuse("the mean of feature " + std::to_string(f + 1) +
                   " is NaN, infinite or beyond the largest float");
        if (given.fill && !std::isfinite(given.fill[f]))
            refuse("what fills in for feature " + std::to_string(f + 1) + " is NaN or infinite");
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
        layer.scale.assign(static_cast<size_t>(layer.outputs), 1);
    }
    Dense &first = layers.front();
    for (int64_t output = 0; output < first.outputs; ++output)
        for (int64_t f = 0; f < first.inputs; ++f) {
            double &weight = first.row(output)[f];
            weight /= given.scale[f];
            first.bias[static_cast<size_t>(output)] -=
                weight * (given.mean[f] - static_cast<double>(static_cast<float>(given.mean[f])));
            if (!(std::fabs(weight) <= kLargest))
                refuse("a weight of layer 1 by the scale of feature " + std::to_string(f + 1) +
                       " is beyond the largest float");
        }
    return layers;
}

// Weights as whole numbers from -127 to 127, one step an output; the scale turns their sum with
// whole activations into the layer's own. The nearest number, ties to even, as in quantise.py.
void quantise(Dense &layer) {
    constexpr double kMostWeight = 127;
    for (int64_t output = 0; output < layer.outputs; ++output) {
        double *row = layer.row(output), largest = 0;
        for (int64_t input = 0; input < layer.inputs; ++input)
            largest = std::max(largest, std::fabs(row[input]));
        const double step = largest / kMostWeight;
        for (int64_t input = 0; input < layer.inputs; ++input)
            row[input] = step > 0 ? std::nearbyint(row[input] / step) : 0;
        layer.scale[static_cast<size_t>(output)] = step * kMostActive / kMostCode;
    }
}

// ---- What does not count ----

void keep_outputs(Dense &layer, const std::vector<int64_t> &kept) {
    std::vector<double> weights, bias, scale;
    weights.reserve(kept.size() * static_cast<size_t>(layer.inputs));
    for (const int64_t output : kept) {
        weights.insert(weights.end(), layer.row(output), layer.row(output) + layer.inputs);
        bias.push_back(layer.bias[static_cast<size_t>(output)]);
        scale.push_back(layer.scale[static_cast<size_t>(output)]);
    }
    layer.weights = std::move(weights);
    layer.bias = std::move(bias);
    layer.scale = std::move(scale);
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

// What a neuron gives that reads nothing.
double constant(double bias, bool int8) {
    const double active = std::clamp(bias, 0.0, kMostActive);
    return int8 ? std::nearbyint(active * kMostCode / kMostActive) : active;
}

void drop_unread(Dense &layer, Dense &next) {
    std::vector<int64_t> read;
    for (int64_t input = 0; input < next.inputs; ++input) {
        bool used = false;
        for (int64_t output = 0; output < next.outputs && !used; ++output)
            used = next.row(output)[input] != 0;
        if (used) read.push_back(input);
    }
    keep_inputs(next, read);
    keep_outputs(layer, read);
}

// Neurons that read nothing go into the next layer's bias. Those of what will be a sparse layer are
// sorted by their weights' number: the kernel's inner loop then ends where the branch predictor
// expects it.
void fold_constants(Dense &layer, Dense &next, bool int8, double sparse) {
    std::vector<int64_t> kept, count(static_cast<size_t>(layer.outputs));
    for (int64_t output = 0; output < layer.outputs; ++output) {
        const auto at = static_cast<size_t>(output);
        count[at] = layer.non_zeros(output);
        if (count[at]) kept.push_back(output);
        else
            for (int64_t reader = 0; reader < next.outputs; ++reader) {
                const auto to = static_cast<size_t>(reader);
                next.bias[to] += next.scale[to] * next.row(reader)[output] *
                                 constant(layer.bias[at], int8);
            }
    }
    if (is_sparse(layer, sparse))
        std::stable_sort(kept.begin(), kept.end(), [&](int64_t a, int64_t b) {
            return count[static_cast<size_t>(a)] < count[static_cast<size_t>(b)];
        });
    keep_outputs(layer, kept);
    keep_inputs(next, kept);
}

} // namespace

int64_t Dense::non_zeros(int64_t output) const {
    return inputs - std::count(row(output), row(output) + inputs, 0.0);
}

int64_t Dense::non_zeros() const {
    return inputs * outputs - std::count(weights.begin(), weights.end(), 0.0);
}

bool is_sparse(const Dense &layer, double sparse) {
    return static_cast<double>(layer.non_zeros()) <=
           sparse * static_cast<double>(layer.inputs * layer.outputs);
}

std::vector<Dense> network_layers(const distilrank_network &given, bool int8, double sparse) {
    check_shape(given);
    check_numbers(given);
    std::vector<Dense> layers = folded(given);
    if (int8) std::for_each(layers.begin() + 1, layers.end(), quantise);
    for (size_t l = layers.size() - 1; l > 0; --l) drop_unread(layers[l - 1], layers[l]);
    for (size_t l = 0; l + 1 < layers.size(); ++l)
        fold_constants(layers[l], layers[l + 1], int8, sparse);
    return layers;
}

} // namespace distilrank
