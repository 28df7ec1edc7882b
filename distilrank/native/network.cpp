// Networks behind the one handle: which kernels score them, with what buffers.
#include "network.hpp"

#include <memory>
#include <string>
#include <utility>

#include "cpu.hpp"
#include "network_model.hpp"
#include "network_pack.hpp"
#include "scorer.hpp"

namespace distilrank {
namespace {

// At most this share of non-zeros, and a layer is stored sparse: measured, see docs/native.md.
constexpr double kSparse = 0.3, kSparseBesideTiles = 0.05;

const NetworkKernels *kernels_of(distilrank_level level) {
#if defined(__x86_64__)
    if (level >= DISTILRANK_AVX512) return network_avx512;
    if (level == DISTILRANK_AVX2) return network_avx2;
#endif
    static_cast<void>(level);
    return network_portable;
}

// The kernels of the highest level up to `level`, with its extensions.
const NetworkKernels &kernels_of(distilrank_level level, NetworkNumbers numbers) {
#if defined(__x86_64__)
    if (level >= DISTILRANK_AMX && network_amx[numbers].score) return network_amx[numbers];
    if (level >= DISTILRANK_AVX512 && has_quick_bf16() && network_vdpbf16[numbers].score)
        return network_vdpbf16[numbers];
    if (level >= DISTILRANK_AVX512 && has_avx512_vnni() && network_vnni[numbers].score)
        return network_vnni[numbers];
#endif
    return kernels_of(level)[numbers];
}

// bf16 reads the features in fp32 where the first layer is sparse: there it has no pairs to gain
// from, and would round the features for nothing.
NetworkNumbers numbers_of(int32_t precision, bool sparse_first) {
    if (precision == DISTILRANK_INT8) return kFp32ThenInt8;
    if (precision == DISTILRANK_BF16) return sparse_first ? kFp32ThenBf16 : kBf16;
    return kFp32;
}

class NetworkScorer final : public Scorer {
public:
    NetworkScorer(std::shared_ptr<const PackedNetwork> model, const NetworkKernels &kernels,
                  int32_t precision)
        : model_(std::move(model)), kernels_(kernels), precision_(precision) {
        const int64_t size = model_->widest * kernels_.block;
        for (int side = 0; side < 2; ++side) {
            activations_[side] = zero_floats(size);
            buffers_.activations[side] = activations_[side].get();
        }
        values_ = zero_floats(model_->widest);
        indices_ = zero_integers(model_->widest);
        buffers_.active_values = values_.get();
        buffers_.active_indices = indices_.get();
    }

    void score(const float *rows, int64_t n, int64_t stride, float *scores) noexcept override {
        kernels_.score(model_->network, buffers_, rows, n, stride, scores);
    }
    int64_t n_steps() const override { return 1 + model_->network.n_layers; }
    void profile(const float *rows, int64_t n, int64_t stride, float *scores,
                 double *seconds) noexcept override {
        NetworkBuffers timed = buffers_;
        timed.seconds = seconds;
        kernels_.score(model_->network, timed, rows, n, stride, scores);
    }
    std::unique_ptr<Scorer> clone() const override {
        return std::make_unique<NetworkScorer>(model_, kernels_, precision_);
    }
    int64_t n_features() const override { return model_->network.features; }
    std::string describe() const override;

private:
    std::shared_ptr<const PackedNetwork> model_;
    const NetworkKernels &kernels_;
    const int32_t precision_;
    NetworkBuffers buffers_{};
    Zeros<float> activations_[2], values_;
    Zeros<int32_t> indices_;
};

std::string NetworkScorer::describe() const {
    static const char *const kPrecisions[] = {"fp32", "bf16", "int8"};
    std::string text = "{\"kind\": \"network\", \"level\": \"";
    text += kernels_.level;
    text += "\", \"precision\": \"";
    text += kPrecisions[precision_];
    if (*kernels_.instruction) text += std::string("\", \"instruction\": \"") + kernels_.instruction;
    text += "\", \"block\": " + std::to_string(kernels_.block);
    text += ", \"layers\": [";
    for (int64_t l = 0; l < model_->network.n_layers; ++l) {
        const NetworkLayer &layer = model_->network.layers[l];
        const int64_t per_word = l ? kernels_.per_word : kernels_.first_per_word;
        text += l ? ", {" : "{";
        text += "\"inputs\": " + std::to_string(layer.depth * per_word);
        text += ", \"outputs\": " + std::to_string(layer.outputs);
        text += layer.starts ? ", \"sparse\": true, \"non_zeros\": " +
                                   std::to_string(layer.starts[layer.outputs])
                             : std::string(", \"sparse\": false");
        text += "}";
    }
    return text + "]}";
}

} // namespace

std::unique_ptr<Scorer> make_network(const distilrank_network &network,
                                     const distilrank_options &options) {
    const auto level = usable_level(static_cast<distilrank_level>(options.level));
    const bool int8 = options.precision == DISTILRANK_INT8;
    const bool tiles = level >= DISTILRANK_AMX && options.precision != DISTILRANK_FP32;
    double sparse = tiles && !int8 ? kSparseBesideTiles : kSparse;
    std::vector<Dense> layers = network_layers(network, int8, sparse);
    const bool sparse_first = layers.size() > 1 && is_sparse(layers[0], sparse);
    const NetworkKernels &kernels = kernels_of(level, numbers_of(options.precision, sparse_first));
    auto model = std::make_shared<const PackedNetwork>(std::move(layers), network, kernels, sparse);
    return std::make_unique<NetworkScorer>(std::move(model), kernels, options.precision);
}

} // namespace distilrank
