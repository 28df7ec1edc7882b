// Single documents from root to leaf, several trees at a time: for few documents, and for forests
// that do not suit blocks.
#pragma once

#include <cstdint>

namespace distilrank {

// Nodes of a tree in preorder: the left child stands next. A leaf has threshold NaN, so that every
// value goes right, and right is the leaf itself.
struct WalkNode {
    float threshold;
    int32_t feature, right;
};

struct WalkForest {
    int32_t n_features;
    int64_t n_trees;
    const WalkNode *nodes;
    const uint8_t *routes; // (nodes); NULL: nothing is missing
    const double *values;  // (nodes), of leaves
    const int32_t *roots;  // (n_trees), trees of like depth together
    double offset;
};

constexpr int kWalkDocuments = 16; // at most, of one call

// `clean` is memory for kWalkDocuments rows of n_features.
void walk_forest(const WalkForest &forest, const float *rows, int64_t n, int64_t stride,
                 float *clean, float *scores);

} // namespace distilrank
