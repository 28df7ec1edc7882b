// What a scorer could stumble over.
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "forest_model.hpp"
#include "forest_trees.hpp"

namespace distilrank {
namespace {

// Nodes of all trees: leaves and nodes of 16 bytes have 32-bit offsets.
constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 32;

[[noreturn]] void refuse(const std::string &sentence) { throw std::invalid_argument(sentence); }

class Checked {
public:
    Checked(int64_t index, const TreeView &tree) : index_(index), tree_(tree) {}

    // `seen` is memory.
    void check(int64_t n_features, std::vector<uint8_t> &seen) const {
        seen.assign(tree_.slots(), 0);
        for (int64_t node = 0; node < tree_.nodes; ++node) {
            check_node(node, n_features);
            check_child(node, tree_.left[node], seen);
            check_child(node, tree_.right[node], seen);
        }
        for (int64_t leaf = 0; leaf <= tree_.nodes; ++leaf)
            if (!std::isfinite(tree_.value[leaf])) refuse_leaf(leaf);
    }

private:
    int64_t index_;
    const TreeView &tree_;

    std::string name() const { return "tree " + std::to_string(index_); }

    // Sentences are made apart from the checks, which are made small and quick by that.
    [[noreturn]] void refuse_leaf(int64_t leaf) const {
        refuse(name() + ", leaf " + std::to_string(leaf) + " has a value that is not finite");
    }
    [[noreturn]] void refuse_node(int64_t node, const char *why) const {
        refuse(name() + ", node " + std::to_string(node) + why);
    }
    [[noreturn]] void refuse_child(int64_t node, const char *which, int32_t child) const {
        refuse_node(node, (" has a child that " + std::string(which) + ": " +
                           std::to_string(child)).c_str());
    }
    [[noreturn]] void refuse_feature(int64_t node, int64_t n_features) const {
        refuse_node(node, (" looks at feature " + std::to_string(tree_.feature[node]) +
                           ", expected 0 to " + std::to_string(n_features - 1)).c_str());
    }

    void check_node(int64_t node, int64_t n_features) const {
        if (tree_.feature[node] < 0 || tree_.feature[node] >= n_features)
            refuse_feature(node, n_features);
        if (std::isnan(tree_.threshold[node])) refuse_node(node, " has a threshold that is NaN");
        if (tree_.route && tree_.route[node] & ~(kMissing | DISTILRANK_DEFAULT_LEFT))
            refuse_node(node, " has unknown bits in its route");
    }

    void check_child(int64_t node, int32_t child, std::vector<uint8_t> &seen) const {
        if (child >= tree_.nodes || child < -tree_.nodes - 1)
            refuse_child(node, "the tree lacks", child);
        // As unsigned numbers leaves are beyond all nodes: no branch on what nobody foresees.
        if (uint32_t(child) <= uint64_t(node)) refuse_child(node, "does not stand after it", child);
        uint8_t &known = seen[tree_.slot(child)];
        if (known) refuse_child(node, "another node has", child);
        known = 1;
    }
};

} // namespace

void check_forest(const distilrank_forest &forest) {
    if (forest.n_features < 0 || forest.n_features > kMost)
        refuse("the forest has " + std::to_string(forest.n_features) + " features");
    if (forest.n_trees < 0 || forest.n_trees > kMost)
        refuse("the forest has " + std::to_string(forest.n_trees) + " trees");
    if (!forest.n_trees) return;
    if (!forest.n_nodes || !forest.value) refuse("the forest's n_nodes or value is NULL");
    int64_t nodes = 0;
    for (int64_t tree = 0; tree < forest.n_trees; ++tree) {
        const int64_t here = forest.n_nodes[tree];
        if (here < 0 || here > kMost || (nodes += here) > kMost)
            refuse("tree " + std::to_string(tree) + " has " + std::to_string(here) +
                   " nodes, expected 0 or more and at most " + std::to_string(kMost) +
                   " in all trees");
    }
    if (nodes && !(forest.feature && forest.threshold && forest.left && forest.right))
        refuse("the forest's feature, threshold, left or right is NULL");
    std::vector<uint8_t> seen;
    Trees(forest).each([&](int64_t tree, const TreeView &view) {
        Checked(tree, view).check(forest.n_features, seen);
    });
}

} // namespace distilrank
