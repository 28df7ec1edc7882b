// A check of the forest scorer that needs no Python, for other processors and their emulators:
// random forests, every level, against one comparison at a time. Built with -DCHECK=ON.
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "distilrank.h"

namespace {

struct Forest {
    std::vector<int64_t> n_nodes;
    std::vector<int32_t> feature, left, right;
    std::vector<double> threshold, value;
    std::vector<uint8_t> route;

    // A tree grown as LightGBM grows one: some leaf becomes a node, node after node.
    void grow(int leaves, int n_features, std::mt19937 &random) {
        const size_t first = left.size();
        n_nodes.push_back(leaves - 1);
        for (int node = 0; node < leaves - 1; ++node) {
            int leaf = 0;
            if (node) {
                std::vector<int32_t> *sides[] = {&left, &right};
                for (int32_t *child = nullptr; !child;) {
                    child = &(*sides[random() % 2])[first + random() % size_t(node)];
                    if (*child >= 0) child = nullptr;
                    else leaf = ~*child, *child = node;
                }
            }
            left.push_back(~leaf);
            right.push_back(~(node + 1));
            feature.push_back(int32_t(random() % unsigned(n_features)));
            threshold.push_back(double(int(random() % 7) - 3) / 2);
            route.push_back(uint8_t(random() % 8));
        }
        for (int leaf = 0; leaf < leaves; ++leaf) value.push_back(double(random()) / 4e9 - 0.5);
    }

    double score(const float *row) const {
        double sum = 0;
        size_t node = 0, leaf = 0;
        for (const int64_t nodes : n_nodes) {
            int32_t at = nodes ? 0 : ~0;
            while (at >= 0) at = child(node + size_t(at), row);
            sum += value[leaf + size_t(~at)];
            node += size_t(nodes);
            leaf += size_t(nodes) + 1;
        }
        return sum;
    }

    int32_t child(size_t at, const float *row) const {
        const float x = row[feature[at]];
        const bool nan = std::isnan(x), zero = nan || std::fabs(x) <= 1e-35f;
        const bool missing = (nan && route[at] & DISTILRANK_NAN_IS_MISSING) ||
                             (zero && route[at] & DISTILRANK_ZERO_IS_MISSING);
        const bool goes_left = missing ? route[at] & DISTILRANK_DEFAULT_LEFT
                                       : (nan ? 0.0 : double(x)) <= threshold[at];
        return goes_left ? left[at] : right[at];
    }
};

// The number of wrong scores.
int check(int leaves, int trees, int32_t level, std::mt19937 &random) {
    constexpr int kFeatures = 9, kRows = 700;
    Forest forest;
    for (int tree = 0; tree < trees; ++tree) forest.grow(leaves, kFeatures, random);
    std::vector<float> rows(kFeatures * kRows), scores(kRows);
    for (float &x : rows) x = random() % 9 ? float(int(random() % 17) - 8) / 4 : NAN;
    const distilrank_forest arrays{kFeatures, trees, forest.n_nodes.data(), forest.feature.data(),
                                   forest.threshold.data(), forest.left.data(), forest.right.data(),
                                   forest.route.data(), forest.value.data()};
    const distilrank_options options{level, 0};
    char error[200] = "";
    distilrank_scorer *scorer = distilrank_scorer_forest(&arrays, &options, error, sizeof error);
    int wrong = scorer ? 0 : 1;
    for (const int64_t n : {1, 20, 100, 200, kRows}) {
        if (!scorer) break;
        wrong += distilrank_scorer_score(scorer, rows.data(), n, kFeatures, scores.data(), error,
                                         sizeof error);
        for (int64_t row = 0; row < n; ++row)
            wrong += std::fabs(forest.score(rows.data() + row * kFeatures) -
                               double(scores[size_t(row)])) > 1e-5;
    }
    std::printf("%4d leaves x %3d, %s: %d wrong %s\n", leaves, trees,
                distilrank_scorer_describe(scorer), wrong, error);
    distilrank_scorer_destroy(scorer);
    return wrong;
}

} // namespace

int main() {
    std::mt19937 random(1);
    int wrong = 0;
    for (int32_t level = DISTILRANK_PORTABLE; level <= DISTILRANK_AVX512; ++level)
        for (const int leaves : {1, 2, 13, 64, 256, 300}) wrong += check(leaves, 21, level, random);
    return wrong != 0;
}
