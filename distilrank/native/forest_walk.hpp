// Single documents from root to leaf, several trees at a time: for few documents, and for forests
// that do not suit blocks.
#pragma once

#include <cstdint>

namespace distilrank {

// A value above the threshold goes to child[1], else to child[0]; both lead a leaf to itself.
struct WalkNode {
    float threshold;
    uint32_t feature;
    uint32_t child[2]; // in bytes from the first node
};

struct WalkForest {
    int32_t n_features;
    int64_t n_trees;
    const WalkNode *nodes;
    const uint8_t *routes; // (nodes); NULL: nothing is missing
    const double *values;  // (nodes), of leaves
    const uint32_t *roots; // (n_trees) in bytes from the first node, trees of like depth together
    double offset;
};

constexpr int kWalkDocuments = 16; // at most, of one call

// `clean` is memory for kWalkDocuments rows of n_features.
void walk_forest(const WalkForest &forest, const float *rows, int64_t n, int64_t stride,
                 float *clean, float *scores);

} // namespace distilrank
