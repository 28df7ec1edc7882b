// A network as its kernels read it. Nothing but plain types: files that are compiled for one
// instruction set include this, and nothing of the standard library that the linker could share.
#pragma once

#include <cstdint>

namespace distilrank {

// Numbers are kept in words of 32 bits, typed float whatever is in them: one float, or a pair of
// bf16 of neighbouring inputs, the first in the lower half. `depth` counts words.
//
// y = clamp(W x + b). Every array is aligned to 64 bytes.
struct NetworkLayer {
    int64_t depth; // words of inputs
    int64_t outputs;
    int64_t padded;  // outputs, rounded up to whole vectors
    float low, high; // the bounds of ReLU6, or none: infinities
    const float *bias; // (padded), zeros at the end

    // Dense: the weights twice, for blocks of documents and for few.
    const float *panels; // panels of `heights[p]` outputs, one after the other: (depth, height)
    const int32_t *heights;
    int64_t n_panels;
    const float *columns; // (depth, padded)

    // Sparse (`starts` is not NULL): outputs sorted by their number of weights, again twice.
    const int32_t *starts; // (outputs + 1): CSR, for blocks
    const int32_t *indices; // of words
    const float *values;
    // For one document: slices of one vector of outputs, each as long as its longest output,
    // (length, width); shorter ones are filled up with zeros.
    const int32_t *slice_starts; // (padded / width + 1), in vectors
    const int32_t *slice_indices;
    const float *slice_values;
};

struct Network {
    int64_t features;
    // Both are zero behind the last feature, up to a whole vector.
    const float *centre; // (features): taken off every value, so that no large sums cancel
    const float *fill;   // (features): stands for a missing value once centred; NULL: nothing does
    const NetworkLayer *layers; // the last one is dense and has one output
    int64_t n_layers;
};

// One thread's buffers, aligned to 64 bytes.
struct NetworkBuffers {
    float *activations[2];   // (widest layer or features, in whole vectors; block)
    float *active_values;    // (widest)
    int32_t *active_indices; // (widest)
};

// One instruction set's code for one precision, and the shapes it wants the weights in.
struct NetworkKernels {
    int32_t width;    // floats of a vector
    int32_t block;    // documents scored together
    int32_t height;   // most outputs of a panel
    int32_t per_word; // numbers of a word
    void (*score)(const Network &, const NetworkBuffers &, const float *rows, int64_t n,
                  int64_t stride, float *scores);
};

extern const NetworkKernels network_portable, network_portable_bf16;
#if defined(__x86_64__)
extern const NetworkKernels network_avx2, network_avx2_bf16;
extern const NetworkKernels network_avx512, network_avx512_bf16; // the latter without AVX512_BF16
extern const NetworkKernels network_vdpbf16;                     // with it
#endif

} // namespace distilrank
