// A network as its kernels read it. Nothing but plain types: files that are compiled for one
// instruction set include this, and nothing of the standard library that the linker could share.
#pragma once

#include <cstdint>

namespace distilrank {

// Numbers are kept in words of 32 bits, typed float whatever is in them: one float, a pair of bf16
// or four whole numbers of 8 bits, of neighbouring inputs, the first in the lowest bits. `depth`
// counts words.
//
// y = clamp(W x + b); where W and x are whole numbers, y = clamp(scale * (W x) + b).
// Every array is aligned to 64 bytes.
struct NetworkLayer {
    int64_t depth; // words of inputs
    int64_t outputs;
    int64_t padded;     // outputs, rounded up to whole vectors
    float low, high;    // the bounds of ReLU6, or none: infinities
    const float *bias;  // (padded), zeros at the end
    const float *scale; // (padded), of whole numbers

    // Dense: the weights twice, for blocks of documents and for few.
    const float *panels; // panels of `heights[p]` outputs, one after the other: (depth, height)
    const int32_t *heights;
    int64_t n_panels;
    const float *columns; // (depth, padded)
    // And for blocks on AMX, else NULL: tiles of 16 outputs by 16 words, (outputs, depth) of tiles,
    // zeros where they reach further than the layer.
    const float *tiles;

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
    // Where time is to be told apart, else NULL: seconds are added for reading the rows, then for
    // each layer.
    double *seconds;
};

// What the numbers of a network are: the first layer's and those of all others.
enum NetworkNumbers { kFp32, kBf16, kFp32ThenBf16, kFp32ThenInt8, kNetworkNumbers };

// One instruction set's code for one kind of numbers, and the shapes it wants the weights in.
struct NetworkKernels {
    const char *level, *instruction; // for describe(); the instruction may be ""
    int32_t width;    // floats of a vector
    int32_t block;    // documents scored together
    int32_t height;   // most outputs of a panel
    int32_t first_per_word, per_word; // numbers of a word: the features, and all other layers' inputs
    bool tiles;       // layers behind the first want `NetworkLayer::tiles`, and so does the first,
                      // where its numbers are the same
    void (*score)(const Network &, const NetworkBuffers &, const float *rows, int64_t n,
                  int64_t stride, float *scores);
};

// By NetworkNumbers; those without a `score` are not there.
extern const NetworkKernels network_portable[kNetworkNumbers];
#if defined(__x86_64__)
extern const NetworkKernels network_avx2[kNetworkNumbers];
extern const NetworkKernels network_avx512[kNetworkNumbers];
extern const NetworkKernels network_vdpbf16[kNetworkNumbers]; // AVX512_BF16: bf16 alone
extern const NetworkKernels network_vnni[kNetworkNumbers];    // AVX512_VNNI: int8 alone
extern const NetworkKernels network_amx[kNetworkNumbers];     // AMX, with both: not fp32
#endif

} // namespace distilrank
