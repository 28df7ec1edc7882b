// The trees of a forest that was given, one after the other.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "distilrank.h"

namespace distilrank {

constexpr int kMissing = DISTILRANK_ZERO_IS_MISSING | DISTILRANK_NAN_IS_MISSING;

// One tree's part of the forest's arrays.
struct TreeView {
    int64_t first, nodes; // of all trees' nodes its first, and how many it has
    const int32_t *feature;
    const double *threshold;
    const int32_t *left, *right;
    const uint8_t *route; // may be NULL
    const double *value;

    // The route's bits that say something, 0 where nothing is missing.
    int route_of(int64_t node) const {
        return route && route[node] & kMissing ? route[node] : 0;
    }

    // Where a child stands among the tree's nodes with its leaves behind them. Without a branch:
    // which child is a leaf no processor foresees.
    size_t slot(int32_t child) const {
        const int32_t leaf = child >> 31; // all bits, or none
        return size_t((child ^ leaf) + (leaf & int32_t(nodes)));
    }
    size_t slots() const { return size_t(2 * nodes + 1); }

    // By slot, the leaves below it; `count` is memory. Children stand behind their parents.
    void count_leaves(std::vector<int32_t> &count) const {
        count.assign(slots(), 1);
        int32_t *const below = count.data();
        for (int64_t node = nodes - 1; node >= 0; --node)
            below[node] = below[slot(left[node])] + below[slot(right[node])];
    }
};

class Trees {
public:
    explicit Trees(const distilrank_forest &forest) : forest_(forest) {}

    template <typename Use>
    void each(Use use) const {
        int64_t node = 0, leaf = 0;
        for (int64_t tree = 0; tree < forest_.n_trees; ++tree) {
            const int64_t nodes = forest_.n_nodes[tree];
            use(tree, TreeView{node, nodes, forest_.feature + node, forest_.threshold + node,
                               forest_.left + node, forest_.right + node,
                               forest_.route ? forest_.route + node : nullptr,
                               forest_.value + leaf});
            node += nodes;
            leaf += nodes + 1;
        }
    }

private:
    const distilrank_forest &forest_;
};

// The largest float that is not above x: float values compare with both alike.
inline float float_not_above(double x) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    constexpr float most = std::numeric_limits<float>::max();
    if (x >= double(most)) return x == double(infinity) ? infinity : most;
    if (x < double(-most)) return -infinity;
    const float rounded = float(x);
    const bool above = double(rounded) > x;
    if (above && rounded == 0) return -std::numeric_limits<float>::denorm_min();
    // The float before it, by its bits: nextafter() takes several times as long, and so does a
    // branch on what is true of every other threshold.
    int32_t bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    bits += int32_t(above) * (bits < 0 ? 1 : -1);
    float before;
    std::memcpy(&before, &bits, sizeof before);
    return before;
}

} // namespace distilrank
