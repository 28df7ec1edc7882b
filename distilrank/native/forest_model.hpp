// A forest that was checked, and what it becomes for scoring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "aligned.hpp"
#include "distilrank.h"
#include "forest_program.hpp"
#include "forest_walk.hpp"

namespace distilrank {

struct TreeView;

// Throws std::invalid_argument with a sentence for whatever a scorer could stumble over.
void check_forest(const distilrank_forest &forest);

// What the leaves of a forest's trees lie between.
struct LeafRanges {
    explicit LeafRanges(const distilrank_forest &forest); // checked

    std::vector<double> low; // each tree's smallest value
    double widest = 0;       // of the trees' largest less their smallest values
    int64_t most = 0;        // leaves of a tree
};

// The forest for scoring documents by the block; see forest_program.hpp.
class BlockModel {
public:
    // `forest` was checked and suits; the ranges are its own.
    BlockModel(const distilrank_forest &forest, const LeafRanges &ranges);

    // Why the forest cannot be scored by the block; empty where it can.
    static std::string unsuited(const distilrank_forest &forest, const LeafRanges &ranges);

    ForestProgram program() const;
    size_t n_conditions() const { return n_conditions_; }

private:
    std::vector<ForestSearch> searches_;
    Aligned<float> tables_;
    std::vector<ForestRoute> routes_;
    std::vector<ForestBundle> bundles_;
    std::vector<ForestTree> trees_;
    std::vector<ForestNode> nodes_;
    std::vector<uint32_t> values_;
    Aligned<uint8_t> value_bytes_;
    double quantum_ = 1, offset_ = 0;
    int32_t n_features_;
    size_t n_conditions_ = 0;

    class Builder;
};

// The forest for walking single documents from root to leaf.
class WalkModel {
public:
    explicit WalkModel(const distilrank_forest &forest); // checked
    WalkForest forest() const;

private:
    // Memory that nobody clears first: every one of them is written.
    std::unique_ptr<WalkNode[]> nodes_;
    std::unique_ptr<double[]> values_; // of leaves; others are not looked at
    std::vector<uint8_t> routes_; // empty where nothing is missing anywhere
    std::vector<uint32_t> roots_;
    double offset_ = 0;
    int32_t n_features_;

    struct Shape;
    int32_t add(const TreeView &tree, size_t &next, Shape &shape);
};

} // namespace distilrank
