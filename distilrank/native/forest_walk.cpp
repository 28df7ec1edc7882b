#include "forest_walk.hpp"

#include <cmath>

#include "distilrank.h"
#include "forest_program.hpp"

namespace distilrank {
namespace {

constexpr int kTrees = 16; // walked side by side: their loads overlap

// NaN is zero where it is not missing.
inline float zero_if_nan(float value) { return value == value ? value : 0.0f; }

inline bool is_missing(float value, uint8_t route) {
    const bool nan = value != value;
    return (nan && route & DISTILRANK_NAN_IS_MISSING) ||
           (route & DISTILRANK_ZERO_IS_MISSING && (nan || (value >= -kZero && value <= kZero)));
}

template <bool routed>
inline uint32_t next(const WalkForest &forest, const float *row, uint32_t at) {
    const WalkNode &node = *reinterpret_cast<const WalkNode *>(
        reinterpret_cast<const char *>(forest.nodes) + at);
    const float value = row[node.feature];
    if constexpr (routed) {
        const uint8_t route = forest.routes[at / sizeof(WalkNode)];
        if (is_missing(value, route)) return node.child[!(route & DISTILRANK_DEFAULT_LEFT)];
        return node.child[zero_if_nan(value) > node.threshold];
    }
    // A look-up, not a branch: which way a document goes cannot be foreseen.
    return node.child[value > node.threshold];
}

template <bool routed, int trees>
double walk(const WalkForest &forest, const uint32_t *roots, const float *row) {
    uint32_t at[trees];
    for (int tree = 0; tree < trees; ++tree) at[tree] = roots[tree];
    uint32_t moved;
    do {
        moved = 0;
        for (int tree = 0; tree < trees; ++tree) at[tree] = next<routed>(forest, row, at[tree]);
        for (int tree = 0; tree < trees; ++tree) {
            const uint32_t to = next<routed>(forest, row, at[tree]);
            moved |= at[tree] ^ to;
            at[tree] = to;
        }
    } while (moved);
    double sum = 0;
    for (int tree = 0; tree < trees; ++tree) sum += forest.values[at[tree] / sizeof(WalkNode)];
    return sum;
}

template <bool routed>
void walk_all(const WalkForest &forest, const float *rows, int64_t n, int64_t stride,
              float *scores) {
    double sums[kWalkDocuments];
    for (int64_t document = 0; document < n; ++document) sums[document] = forest.offset;
    int64_t tree = 0;
    for (; tree + kTrees <= forest.n_trees; tree += kTrees)
        for (int64_t document = 0; document < n; ++document)
            sums[document] +=
                walk<routed, kTrees>(forest, forest.roots + tree, rows + document * stride);
    for (; tree < forest.n_trees; ++tree)
        for (int64_t document = 0; document < n; ++document)
            sums[document] += walk<routed, 1>(forest, forest.roots + tree, rows + document * stride);
    for (int64_t document = 0; document < n; ++document) scores[document] = float(sums[document]);
}

} // namespace

void walk_forest(const WalkForest &forest, const float *rows, int64_t n, int64_t stride,
                 float *clean, float *scores) {
    const int64_t width = forest.n_features;
    for (; n > 0; n -= kWalkDocuments, rows += kWalkDocuments * stride, scores += kWalkDocuments) {
        const int64_t now = n < kWalkDocuments ? n : kWalkDocuments;
        if (forest.routes) {
            walk_all<true>(forest, rows, now, stride, scores);
            continue;
        }
        for (int64_t document = 0; document < now; ++document)
            for (int64_t feature = 0; feature < width; ++feature)
                clean[document * width + feature] = zero_if_nan(rows[document * stride + feature]);
        walk_all<false>(forest, clean, now, width, scores);
    }
}

} // namespace distilrank
