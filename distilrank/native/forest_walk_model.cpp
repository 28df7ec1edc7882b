// The forest for walks: its trees' nodes in one array, each tree's in preorder.
#include <algorithm>
#include <vector>

#include "forest_model.hpp"
#include "forest_trees.hpp"

namespace distilrank {
namespace {

uint32_t offset_of(size_t node) { return uint32_t(node * sizeof(WalkNode)); }

} // namespace

// By slot of the tree that is being added: memory.
struct WalkModel::Shape {
    std::vector<int32_t> leaves; // below
    std::vector<int32_t> place;  // in the tree's preorder
    std::vector<int32_t> depth;
};

WalkModel::WalkModel(const distilrank_forest &forest) : n_features_(int32_t(forest.n_features)) {
    size_t nodes = 0;
    bool routed = false;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        if (tree.nodes) nodes += tree.slots();
        for (int64_t node = 0; node < tree.nodes && !routed; ++node) routed = tree.route_of(node);
    });
    nodes_.reset(new WalkNode[nodes]);
    values_.reset(new double[nodes]);
    if (routed) routes_.resize(nodes);
    std::vector<uint32_t> roots;
    std::vector<int32_t> depths;
    Shape shape;
    size_t next = 0;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        if (!tree.nodes) offset_ += tree.value[0];
        roots.push_back(offset_of(next));
        depths.push_back(tree.nodes ? add(tree, next, shape) : 0);
    });
    std::vector<size_t> order;
    for (size_t tree = 0; tree < roots.size(); ++tree)
        if (depths[tree]) order.push_back(tree);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return depths[a] < depths[b]; });
    for (const size_t tree : order) roots_.push_back(roots[tree]);
}

// In preorder: a left child lies near its parent. Gives the most comparisons on the way to a leaf.
int32_t WalkModel::add(const TreeView &tree, size_t &next, Shape &shape) {
    auto &[leaves, place, depth] = shape;
    tree.count_leaves(leaves);
    place.resize(tree.slots());
    depth.resize(tree.slots());
    place[0] = depth[0] = 0;
    int32_t most = 0;
    for (int64_t k = 0; k < tree.nodes; ++k) {
        const size_t left = tree.slot(tree.left[k]), right = tree.slot(tree.right[k]);
        const int32_t at = place[size_t(k)];
        place[left] = at + 1;
        place[right] = at + 2 * leaves[left]; // a tree of so many leaves has one node less
        depth[left] = depth[right] = depth[size_t(k)] + 1;
        most = std::max(most, depth[left]);
        const size_t here = next + size_t(at);
        nodes_[here] = {float_not_above(tree.threshold[k]), uint32_t(tree.feature[k]),
                        {offset_of(next + size_t(place[left])), offset_of(next + size_t(place[right]))}};
        if (!routes_.empty()) routes_[here] = uint8_t(tree.route_of(k));
    }
    for (int64_t leaf = 0; leaf <= tree.nodes; ++leaf) {
        const size_t here = next + size_t(place[size_t(tree.nodes + leaf)]);
        nodes_[here] = {0, 0, {offset_of(here), offset_of(here)}};
        values_[here] = tree.value[leaf];
    }
    next += tree.slots();
    return most;
}

WalkForest WalkModel::forest() const {
    return {n_features_, int64_t(roots_.size()), nodes_.get(),
            routes_.empty() ? nullptr : routes_.data(), values_.get(), roots_.data(), offset_};
}

} // namespace distilrank
