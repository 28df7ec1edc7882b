// A network's arrays as its kernels read them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "network.hpp"
#include "network_model.hpp"

namespace distilrank {

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};
template <typename T>
using Zeros = std::unique_ptr<T[], Free>;

// `size` zeros, aligned to 64 bytes.
Zeros<float> zero_floats(int64_t size);
Zeros<int32_t> zero_integers(int64_t size);

// A packed network and the arrays it points into; immutable once made, shared by clones.
class PackedNetwork {
public:
    // `sparse` is that of network_layers().
    PackedNetwork(std::vector<Dense> layers, const distilrank_network &given,
                  const NetworkKernels &kernels, double sparse);
    PackedNetwork(const PackedNetwork &) = delete;

    Network network{};
    int64_t widest = 0; // units of the widest layer or the features, in whole vectors

private:
    void pack_features(const distilrank_network &given, int64_t width);
    NetworkLayer pack(const Dense &layer, int64_t per_word, bool last, bool sparse);
    void pack_dense(const Dense &layer, int64_t per_word, NetworkLayer &packed);
    void pack_tiles(const Dense &layer, int64_t per_word, NetworkLayer &packed);
    void pack_sparse(const Dense &layer, int64_t per_word, NetworkLayer &packed);
    void pack_slices(const Dense &layer, NetworkLayer &packed);

    float *floats(int64_t size) { return floats_.emplace_back(zero_floats(size)).get(); }
    int32_t *integers(int64_t size) { return integers_.emplace_back(zero_integers(size)).get(); }

    const NetworkKernels &kernels_;
    std::vector<NetworkLayer> layers_;
    std::vector<Zeros<float>> floats_;
    std::vector<Zeros<int32_t>> integers_;
};

} // namespace distilrank
