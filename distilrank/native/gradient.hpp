// A batch's gradient as its kernels compute it. Nothing but plain types: files that are compiled for
// one instruction set include this, and nothing of the standard library that the linker could share.
//
// A word is a float, or a pair of bf16 or four bytes typed float: of neighbouring units, or of
// neighbouring documents. A product is a left operand, rows of words, times a right one in columns:
// for each vector of 16 units the words, (depth, 16).
//
// Many units of a trained network are silent: 0 for all documents, as ReLU6 makes them. Nothing
// comes of them and nothing goes back through them. A batch's units are put in an order in which
// the silent ones stand last, and a block's products leave out those behind the last that is not.
#pragma once

#include <cstdint>

namespace distilrank {

// Words of the documents that go through the network together, as its first layer has them: 96
// documents, or 192 in pairs. Whole tiles and vectors.
constexpr int64_t kBlockWords = 96;
constexpr int64_t kMostDocuments = 2 * kBlockWords;
// Units are rounded up to this: a tile's depth, and whole vectors.
constexpr int64_t kUnits = 32;
// A register tile may have that many rows more than there are.
constexpr int64_t kSlack = 8;

constexpr int64_t whole_units(int64_t units) { return (units + kUnits - 1) / kUnits * kUnits; }

// A layer and its buffers, each aligned to 64 bytes and zero where nothing is written; `in` and
// `out` are its inputs and outputs in whole units, `per` the numbers of a word.
struct GradientLayer {
    int64_t inputs, outputs;

    float *weights;   // (out, in) in the units' order
    float *bias;      // (out) likewise
    float *forward;   // weights in columns: (out / 16, in / per, 16), words of neighbouring inputs;
                      // of the last layer in fp32: (in)
    float *backward;  // transposed: (in / 16, out / per, 16), words of neighbouring outputs
    float *sums;      // (out, in) the weights' gradient
    float *bias_sums; // (out)
    float *seen;      // (out) of each unit what shows whether it was silent
    float *rows;      // (block, in / per) inputs, words of neighbouring units
    float *columns;   // (in / 16, block words, 16) inputs, words of neighbouring documents

    // In int8 alone.
    float *steps;   // (out) of the weights' codes
    uint16_t *open; // (block / 4, in / 16, 4) a bit of each of 16 inputs: it lies between the bounds
};

// The buffers of what comes back through the layers, for the widest of them.
struct GradientBuffers {
    float *rows[2];   // (block, widest / per) gradients, words of neighbouring units
    float *documents; // (block words, widest) the same, words of neighbouring documents
    float *turned;    // (widest + kSlack, block words) those, transposed
    float *scratch;   // (16, widest / per) some weights as words

    // In int8 alone, of the gradients of a layer's outputs.
    float *row_most;      // (block, 16) a document's largest size times its step, of every 16th
    float *row_steps;     // (block) of a document's codes
    float *row_offsets;   // (block) what the sums of its products have too much
    float *unit_most;     // (widest) a unit's largest size, later the step of its products
    float *unit_inverses; // (widest) of a unit's steps
};

struct GradientNetwork {
    const GradientLayer *layers; // ReLU6 after each but the last, which has one output
    int64_t n_layers;            // at least 2
    int64_t *live;               // (n_layers) a block's inputs up to the last that is not silent
    GradientBuffers buffers;
};

// Documents as z-scores, and what they should score.
struct GradientBatch {
    const float *rows;
    int64_t n, stride;
    const float *targets;
    float factor; // of the squared error that the gradient is that of
    uint32_t seed; // of rounding at random, in int8
};

// One instruction set's code for one kind of words.
struct GradientKernels {
    const char *level;
    // Adds up the gradient, gives the sum of the squared errors.
    double (*run)(const GradientNetwork &, const GradientBatch &);
    void (*score)(const GradientNetwork &, const GradientBatch &, float *scores);
    // Leaves each unit's largest value before ReLU6 in `seen`, of at most kBlockWords documents.
    void (*survey)(const GradientNetwork &, const GradientBatch &);
};

#if defined(__x86_64__)
extern const GradientKernels gradient_avx512;  // fp32
extern const GradientKernels gradient_vdpbf16; // bf16 with AVX512_BF16
extern const GradientKernels gradient_amx;     // bf16
// int8 with AVX512_VNNI; the first layer in fp32, or in bf16 with AVX512_BF16.
extern const GradientKernels gradient_vnni, gradient_vnni_bf16;
#endif

} // namespace distilrank
