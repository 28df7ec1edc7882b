// A batch's gradient as its kernels compute it. Nothing but plain types: files that are compiled for
// one instruction set include this, and nothing of the standard library that the linker could share.
//
// A word is a pair of bf16, typed float: of neighbouring units, or of neighbouring documents. A
// product is a left operand, rows of words, times a right one in columns: for each vector of 16
// units the words, (depth, 16).
#pragma once

#include <cstdint>

namespace distilrank {

// Documents that go through the network together; whole tiles and vectors of pairs.
constexpr int64_t kGradientBlock = 192;
// Units are rounded up to this: a tile's depth, and whole vectors.
constexpr int64_t kUnits = 32;
// A register tile may have that many rows more than there are.
constexpr int64_t kSlack = 6;

constexpr int64_t whole_units(int64_t units) { return (units + kUnits - 1) / kUnits * kUnits; }

// A layer and its buffers, each aligned to 64 bytes and zero where nothing is written; `in` and
// `out` are its inputs and outputs in whole units.
struct GradientLayer {
    int64_t inputs, outputs;
    const float *weights, *bias;            // (outputs, inputs), (outputs)
    float *weight_gradient, *bias_gradient; // the same shapes: what is asked for

    float *forward;   // weights in columns: (out / 16, in / 2, 16), words of neighbouring inputs;
                      // of the last layer in fp32: (in)
    float *whole;     // the same in fp32: (out / 16, inputs, 16)
    float *backward;  // transposed: (in / 16, out / 2, 16), words of neighbouring outputs
    float *padded;    // (out) the bias
    float *sums;      // (out + kSlack, in) the weights' gradient
    float *bias_sums; // (out)
    float *rows;      // (block, in / 2) inputs, words of neighbouring units
    float *pairs;     // in columns: (in / 16, block / 2, 16), words of neighbouring documents
};

// The buffers of what comes back through the layers, for the widest of them.
struct GradientBuffers {
    float *rows[2]; // (block, widest / 2) gradients, as a layer's inputs are
    float *pairs;   // (block / 2, widest) words of neighbouring documents
    float *turned;  // (widest + kSlack, block / 2) the same, transposed
    float *words;   // (16, widest / 2) some weights as words
    float *units[2]; // (block, widest) inputs in fp32
};

struct GradientNetwork {
    const GradientLayer *layers; // ReLU6 after each but the last, which has one output
    int64_t n_layers;            // at least 2
    GradientBuffers buffers;
};

// Documents as z-scores, and what they should score.
struct GradientBatch {
    const float *rows;
    int64_t n, stride;
    const float *targets;
    float factor; // of the squared error that the gradient is that of
};

// One instruction set's code.
struct GradientKernels {
    const char *level;
    // Adds up the gradient, gives the sum of the squared errors.
    double (*run)(const GradientNetwork &, const GradientBatch &);
    // In fp32, from the weights as they are.
    void (*score)(const GradientNetwork &, const float *rows, int64_t n, int64_t stride,
                  float *scores);
};

#if defined(__x86_64__)
extern const GradientKernels gradient_vdpbf16; // AVX-512 with AVX512_BF16
extern const GradientKernels gradient_amx;
#endif

} // namespace distilrank
