// The forest for walks: its trees' nodes in one array, each tree's in preorder.
#include <algorithm>
#include <vector>

#include "forest_model.hpp"
#include "forest_trees.hpp"

namespace distilrank {
namespace {

uint32_t offset_of(size_t node) { return uint32_t(node * sizeof(WalkNode)); }

} // namespace

// What is still to be added, and where its parent keeps its place.
struct WalkModel::Open {
    int32_t child, depth;
    uint32_t *link;
};

WalkModel::WalkModel(const distilrank_forest &forest) : n_features_(int32_t(forest.n_features)) {
    size_t nodes = 0;
    bool routed = false;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        if (tree.nodes) nodes += size_t(2 * tree.nodes + 1);
        for (int64_t node = 0; node < tree.nodes && !routed; ++node) routed = tree.route_of(node);
    });
    nodes_.resize(nodes);
    values_.resize(nodes);
    if (routed) routes_.resize(nodes);
    std::vector<uint32_t> roots;
    std::vector<int32_t> depths;
    std::vector<Open> open;
    size_t next = 0;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        if (!tree.nodes) offset_ += tree.value[0];
        roots.push_back(offset_of(next));
        depths.push_back(tree.nodes ? add(tree, next, open) : 0);
    });
    std::vector<size_t> order;
    for (size_t tree = 0; tree < roots.size(); ++tree)
        if (depths[tree]) order.push_back(tree);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return depths[a] < depths[b]; });
    for (const size_t tree : order) roots_.push_back(roots[tree]);
}

// In preorder: a left child lies near its parent. Gives the most comparisons on the way to a leaf.
int32_t WalkModel::add(const TreeView &tree, size_t &next, std::vector<Open> &open) {
    int32_t most = 0;
    open.push_back({0, 0, nullptr});
    while (!open.empty()) {
        const auto [child, depth, link] = open.back();
        open.pop_back();
        const size_t here = next++;
        const uint32_t self = offset_of(here);
        if (link) *link = self;
        WalkNode &node = nodes_[here];
        most = std::max(most, depth);
        if (child < 0) {
            node.child[0] = node.child[1] = self;
            values_[here] = tree.value[~child];
            continue;
        }
        node.threshold = float_not_above(tree.threshold[child]);
        node.feature = uint32_t(tree.feature[child]);
        if (!routes_.empty()) routes_[here] = uint8_t(tree.route_of(child));
        open.push_back({tree.right[child], depth + 1, &node.child[1]});
        open.push_back({tree.left[child], depth + 1, &node.child[0]});
    }
    return most;
}

WalkForest WalkModel::forest() const {
    return {n_features_, int64_t(roots_.size()), nodes_.data(),
            routes_.empty() ? nullptr : routes_.data(), values_.data(), roots_.data(), offset_};
}

} // namespace distilrank
