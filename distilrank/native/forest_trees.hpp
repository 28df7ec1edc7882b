// The trees of a forest that was given, one after the other.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

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
    if (!(double(rounded) > x)) return rounded;
    // The float before it, by its bits: a call of nextafter() takes several times as long.
    if (rounded == 0) return -std::numeric_limits<float>::denorm_min();
    int32_t bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    bits += rounded > 0 ? -1 : 1;
    float before;
    std::memcpy(&before, &bits, sizeof before);
    return before;
}

} // namespace distilrank
