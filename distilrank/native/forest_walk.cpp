#include "forest_walk.hpp"

#include <cmath>

#include "distilrank.h"
#include "forest_program.hpp"

namespace distilrank {
namespace {

constexpr int kTrees = 8; // walked side by side: their loads overlap

// NaN is zero where it is not missing.
inline float zero_if_nan(float value) { return value == value ? value : 0.0f; }

inline bool is_missing(float value, uint8_t route) {
    const bool nan = value != value;
    return (nan && route & DISTILRANK_NAN_IS_MISSING) ||
           (route & DISTILRANK_ZERO_IS_MISSING && (nan || (value >= -kZero && value <= kZero)));
}

template <bool routed>
inline int32_t next(const WalkForest &forest, const float *row, int32_t at) {
    const WalkNode &node = forest.nodes[at];
    const float value = row[node.feature];
    if constexpr (routed) {
        if (is_missing(value, forest.routes[at]))
            return forest.routes[at] & DISTILRANK_DEFAULT_LEFT ? at + 1 : node.right;
        return zero_if_nan(value) <= node.threshold ? at + 1 : node.right;
    }
    // Arithmetic, not a branch: which way a document goes cannot be foreseen.
    const int32_t goes_left = -int32_t(value <= node.threshold);
    return node.right + ((at + 1 - node.right) & goes_left);
}

template <bool routed, int trees>
double walk(const WalkForest &forest, const int32_t *roots, const float *row) {
    int32_t at[trees];
    for (int tree = 0; tree < trees; ++tree) at[tree] = roots[tree];
    int32_t moved;
    do {
        moved = 0;
        for (int tree = 0; tree < trees; ++tree) {
            const int32_t once = next<routed>(forest, row, at[tree]);
            const int32_t twice = next<routed>(forest, row, once);
            moved |= at[tree] ^ twice;
            at[tree] = twice;
        }
    } while (moved);
    double sum = 0;
    for (int tree = 0; tree < trees; ++tree) sum += forest.values[at[tree]];
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
