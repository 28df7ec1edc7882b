// A network's layers as numbers, in double: checked, the z-score folded in, quantised where asked
// for, and cleared of what does not count.
#pragma once

#include <cstdint>
#include <vector>

#include "distilrank.h"

namespace distilrank {

// y = scale * (W x) + b.
struct Dense {
    int64_t inputs = 0, outputs = 0;
    std::vector<double> weights, bias; // (outputs, inputs), (outputs)
    std::vector<double> scale;         // (outputs): 1 but where weights are whole numbers
    double *row(int64_t output) { return weights.data() + output * inputs; }
    const double *row(int64_t output) const { return weights.data() + output * inputs; }
    int64_t non_zeros(int64_t output) const;
    int64_t non_zeros() const;
};

// Of a hidden layer's output: ReLU6's, as whole numbers where they are int8's.
constexpr double kMostCode = 255, kMostActive = 6;

// Throws std::invalid_argument with a sentence for the person whose network it is. `sparse` is the
// largest share of weights with which a layer is stored sparse: the outputs of such layers come
// sorted by their number of weights.
std::vector<Dense> network_layers(const distilrank_network &given, bool int8, double sparse);

// Whether `layer` is stored sparse.
bool is_sparse(const Dense &layer, double sparse);

} // namespace distilrank
