// A network as its kernels read it. Nothing but plain types: files that are compiled for one
// instruction set include this, and nothing of the standard library that the linker could share.
#pragma once

#include <cstdint>

namespace distilrank {

// y = clamp(W x + b). Every array is aligned to 64 bytes.
struct NetworkLayer {
    int64_t inputs, outputs;
    int64_t padded; // outputs, rounded up to whole vectors
    float low, high; // the bounds of ReLU6, or none: infinities
    const float *bias; // (padded), zeros at the end

    // Dense: the weights twice, for blocks of documents and for few.
    const float *panels; // panels of `heights[p]` outputs, one after the other: (inputs, height)
    const int32_t *heights;
    int64_t n_panels;
    const float *columns; // (inputs, padded)

    // Sparse (`starts` is not NULL): outputs sorted by their number of weights, again twice.
    const int32_t *starts; // (outputs + 1): CSR, for blocks
    const int32_t *indices;
    const float *values;
    // For one document: slices of one vector of outputs, each as long as its longest output,
    // (length, width); shorter ones are filled up with zeros.
    const int32_t *slice_starts; // (padded / width + 1), in vectors
    const int32_t *slice_indices;
    const float *slice_values;
};

struct Network {
    int64_t features;
    const float *centre; // (features): taken off every value, so that no large sums cancel
    const float *fill;   // (features): stands for a missing value once it is centred; NULL: nothing does
    const NetworkLayer *layers;
    int64_t n_layers;
};

// One thread's buffers, each aligned to 64 bytes and large enough for `NetworkKernels::buffer`
// floats a unit of the widest layer or of the features, rounded up to whole vectors.
struct NetworkBuffers {
    float *activations[2];
    float *active_values;   // (widest)
    int32_t *active_indices; // (widest)
};

// One instruction set's code, and the shapes it wants the weights in.
struct NetworkKernels {
    int32_t width;   // floats of a vector
    int32_t block;   // documents scored together
    int32_t height;  // most outputs of a panel
    void (*score)(const Network &, const NetworkBuffers &, const float *rows, int64_t n,
                  int64_t stride, float *scores);
};

extern const NetworkKernels network_portable;
#if defined(__x86_64__)
extern const NetworkKernels network_avx2, network_avx512;
#endif

} // namespace distilrank
