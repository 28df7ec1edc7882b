// Random networks against a plain double pass, where Python is not at hand: a foreign processor's
// build under an emulator, say. Prints what was checked; fails where a score is wrong.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "distilrank.h"

namespace {

using Numbers = std::vector<double>;
std::mt19937 generator(1);

double normal() { return std::normal_distribution<double>()(generator); }
int64_t up_to(int64_t most) { return std::uniform_int_distribution<int64_t>(1, most)(generator); }

struct Network {
    std::vector<int64_t> widths;
    std::vector<std::vector<float>> weights, biases;
    Numbers mean, scale;

    Network() {
        const int64_t n_layers = up_to(4);
        for (int64_t l = 0; l < n_layers; ++l) widths.push_back(up_to(70));
        widths.push_back(1);
        for (size_t l = 0; l + 1 < widths.size(); ++l) {
            const double kept = std::uniform_real_distribution<>(0.01, 1.5)(generator);
            std::vector<float> weight(static_cast<size_t>(widths[l] * widths[l + 1]));
            std::vector<float> bias(static_cast<size_t>(widths[l + 1]));
            for (float &value : weight)
                if (std::uniform_real_distribution<>()(generator) < kept)
                    value = static_cast<float>(normal() / std::sqrt(widths[l]));
            for (float &value : bias) value = static_cast<float>(normal());
            weights.push_back(weight);
            biases.push_back(bias);
        }
        for (int64_t f = 0; f < widths[0]; ++f) {
            mean.push_back(100 * normal());
            scale.push_back(1 + std::fabs(normal()));
        }
    }

    double score(const float *row) const {
        Numbers in(mean.size());
        for (size_t f = 0; f < in.size(); ++f)
            in[f] = (static_cast<double>(row[f]) - mean[f]) / scale[f];
        for (size_t l = 0; l < weights.size(); ++l) {
            Numbers out(biases[l].begin(), biases[l].end());
            for (size_t o = 0; o < out.size(); ++o) {
                for (size_t i = 0; i < in.size(); ++i)
                    out[o] += static_cast<double>(weights[l][o * in.size() + i]) * in[i];
                if (l + 1 < weights.size()) out[o] = std::clamp(out[o], 0.0, 6.0);
            }
            in = out;
        }
        return in[0];
    }
};

// The largest error, as a share of the largest score there can be.
double error_of(const Network &network, int32_t precision) {
    std::vector<const float *> weights, biases;
    for (const auto &weight : network.weights) weights.push_back(weight.data());
    for (const auto &bias : network.biases) biases.push_back(bias.data());
    const distilrank_network given{static_cast<int64_t>(weights.size()), network.widths.data(),
                                   weights.data(), biases.data(), network.mean.data(),
                                   network.scale.data(), 0};
    const distilrank_options options{DISTILRANK_BEST, precision};
    char error[500] = "";
    distilrank_scorer *scorer = distilrank_scorer_network(&given, &options, error, sizeof error);
    if (!scorer) {
        std::printf("refused: %s\n", error);
        return INFINITY;
    }
    const int64_t n = up_to(80), features = network.widths[0], stride = features + up_to(3) - 1;
    std::vector<float> rows(static_cast<size_t>(n * stride)), scores(static_cast<size_t>(n));
    for (int64_t r = 0; r < n; ++r)
        for (int64_t f = 0; f < features; ++f)
            rows[static_cast<size_t>(r * stride + f)] = static_cast<float>(
                network.mean[static_cast<size_t>(f)] + network.scale[static_cast<size_t>(f)] * normal());
    if (distilrank_scorer_score(scorer, rows.data(), n, stride, scores.data(), error, sizeof error))
        return INFINITY;
    distilrank_scorer_destroy(scorer);
    double largest = std::fabs(static_cast<double>(network.biases.back()[0])), worst = 0;
    for (const float weight : network.weights.back()) largest += 6 * std::fabs(static_cast<double>(weight));
    for (int64_t r = 0; r < n; ++r) {
        const double expected = network.score(rows.data() + r * stride);
        const double found = static_cast<double>(scores[static_cast<size_t>(r)]);
        worst = std::max(worst, std::fabs(found - expected) / largest);
    }
    return worst;
}

} // namespace

int main() {
    double worst[3] = {0, 0, 0};
    for (int turn = 0; turn < 1000; ++turn) {
        const Network network;
        for (int32_t precision : {DISTILRANK_FP32, DISTILRANK_BF16, DISTILRANK_INT8})
            worst[precision] = std::max(worst[precision], error_of(network, precision));
    }
    std::printf("1000 networks; largest error as a share of the largest score: fp32 %.1e, bf16 %.1e, "
                "int8 %.1e\n",
                worst[0], worst[1], worst[2]);
    return worst[0] < 2e-6 && worst[1] < 1e-2 && worst[2] < 2e-2 ? 0 : 1;
}
