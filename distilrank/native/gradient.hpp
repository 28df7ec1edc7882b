// A batch's gradient as its kernels compute it. Nothing but plain types: files that are compiled for
// one instruction set include this, and nothing of the standard library that the linker could share.
//
// A word is a float, or a pair of bf16 typed float: of neighbouring units, or of neighbouring
// documents. A product is a left operand, rows of words, times a right one in columns: for each
// vector of 16 units the words, (depth, 16).
#pragma once

#include <cstdint>

namespace distilrank {

// Words of the documents that go through the network together: 96 documents, or 192 in pairs. Whole
// tiles and vectors.
constexpr int64_t kBlockWords = 96;
// Units are rounded up to this: a tile's depth, and whole vectors.
constexpr int64_t kUnits = 32;
// A register tile may have that many rows more than there are.
constexpr int64_t kSlack = 6;

constexpr int64_t whole_units(int64_t units) { return (units + kUnits - 1) / kUnits * kUnits; }

// A layer and its buffers, each aligned to 64 bytes and zero where nothing is written; `in` and
// `out` are its inputs and outputs in whole units, `per` the numbers of a word.
struct GradientLayer {
    int64_t inputs, outputs;
    const float *weights, *bias;            // (outputs, inputs), (outputs)
    float *weight_gradient, *bias_gradient; // the same shapes: what is asked for

    float *forward;   // weights in columns: (out / 16, in / per, 16), words of neighbouring inputs;
                      // of the last layer in fp32: (in)
    float *backward;  // transposed: (in / 16, out / per, 16), words of neighbouring outputs
    float *padded;    // (out) the bias
    float *sums;      // (out + kSlack, in) the weights' gradient
    float *bias_sums; // (out)
    float *rows;      // (block, in / per) inputs, words of neighbouring units
    float *columns;   // (in / 16, block words, 16) inputs, words of neighbouring documents
};

// The buffers of what comes back through the layers, for the widest of them.
struct GradientBuffers {
    float *rows[2];   // (block, widest / per) gradients, words of neighbouring units
    float *documents; // (block words, widest) the same, words of neighbouring documents
    float *turned;    // (widest + kSlack, block words) those, transposed
    float *scratch;   // (16, widest / per) some weights as words
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

// One instruction set's code for one kind of words.
struct GradientKernels {
    const char *level;
    // Adds up the gradient, gives the sum of the squared errors.
    double (*run)(const GradientNetwork &, const GradientBatch &);
    void (*score)(const GradientNetwork &, const GradientBatch &, float *scores);
};

#if defined(__x86_64__)
extern const GradientKernels gradient_avx512;  // fp32
extern const GradientKernels gradient_vdpbf16; // bf16 with AVX512_BF16
extern const GradientKernels gradient_amx;     // bf16
#endif

} // namespace distilrank
