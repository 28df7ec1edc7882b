#include "forest_model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <tuple>

namespace distilrank {
namespace {

[[noreturn]] void refuse(const std::string &sentence) { throw std::invalid_argument(sentence); }

constexpr int kMissing = DISTILRANK_ZERO_IS_MISSING | DISTILRANK_NAN_IS_MISSING;
constexpr int32_t kBundle = 4; // trees at most
// Nodes of all trees: leaves and nodes of 16 bytes have 32-bit offsets.
constexpr int64_t kMost = std::numeric_limits<int32_t>::max() / 32;

// One tree's part of the forest's arrays.
struct TreeView {
    int64_t nodes;
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
            use(tree, TreeView{nodes, forest_.feature + node, forest_.threshold + node,
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

void check_node(const TreeView &tree, int64_t node, int64_t n_features, const std::string &where) {
    if (tree.feature[node] < 0 || tree.feature[node] >= n_features)
        refuse(where + " looks at feature " + std::to_string(tree.feature[node]) +
               ", expected 0 to " + std::to_string(n_features - 1));
    if (std::isnan(tree.threshold[node])) refuse(where + " has a threshold that is NaN");
    if (tree.route && tree.route[node] & ~(kMissing | DISTILRANK_DEFAULT_LEFT))
        refuse(where + " has unknown bits in its route");
}

void check_tree(const TreeView &tree, int64_t n_features, const std::string &name) {
    std::vector<bool> node_seen(size_t(tree.nodes)), leaf_seen(size_t(tree.nodes) + 1);
    for (int64_t node = 0; node < tree.nodes; ++node) {
        const std::string where = name + ", node " + std::to_string(node);
        check_node(tree, node, n_features, where);
        for (const int32_t child : {tree.left[node], tree.right[node]}) {
            const int64_t index = child < 0 ? ~int64_t{child} : child;
            std::vector<bool> &seen = child < 0 ? leaf_seen : node_seen;
            if (index >= int64_t(seen.size()))
                refuse(where + " has a child that the tree lacks: " + std::to_string(child));
            if (child >= 0 && child <= node)
                refuse(where + " has a child that does not stand after it: " + std::to_string(child));
            if (seen[size_t(index)])
                refuse(where + " has a child that another node has: " + std::to_string(child));
            seen[size_t(index)] = true;
        }
    }
    for (int64_t leaf = 0; leaf <= tree.nodes; ++leaf)
        if (!std::isfinite(tree.value[leaf]))
            refuse(name + ", leaf " + std::to_string(leaf) + " has a value that is not finite");
}

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
    Trees(forest).each([&](int64_t tree, const TreeView &view) {
        check_tree(view, forest.n_features, "tree " + std::to_string(tree));
    });
}

float float_not_above(double x) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    constexpr float most = std::numeric_limits<float>::max();
    if (x == double(infinity)) return infinity;
    if (x >= double(most)) return most;
    if (x < double(-most)) return -infinity;
    const float rounded = float(x);
    return double(rounded) > x ? std::nextafter(rounded, -infinity) : rounded;
}

// ---- Blocks ----

class BlockModel::Builder {
public:
    Builder(BlockModel &model, const distilrank_forest &forest) : model_(model), forest_(forest) {}

    void build() {
        find_thresholds();
        add_searches();
        find_quantum();
        Trees(forest_).each([&](int64_t, const TreeView &tree) { add_tree(tree); });
        end();
    }

private:
    BlockModel &model_;
    const distilrank_forest &forest_;
    std::map<int32_t, std::vector<float>> thresholds_;   // of each feature in use, sorted
    std::map<int32_t, std::vector<int32_t>> conditions_; // of those thresholds
    std::map<std::tuple<int32_t, int>, int32_t> missing_; // condition, by feature and kind
    std::map<std::tuple<int32_t, int>, int32_t> routed_;  // condition, by what it is made of
    std::vector<std::vector<ForestNode>> levels_;         // of the bundle that is being made
    int32_t first_tree_ = 0, slots_ = 0;                  // of that bundle

    void find_thresholds() {
        Trees(forest_).each([&](int64_t, const TreeView &tree) {
            for (int64_t node = 0; node < tree.nodes; ++node)
                thresholds_[tree.feature[node]].push_back(float_not_above(tree.threshold[node]));
        });
        for (auto &[feature, values] : thresholds_) {
            std::sort(values.begin(), values.end());
            values.erase(std::unique(values.begin(), values.end()), values.end());
        }
    }

    int32_t new_condition() { return int32_t(model_.n_conditions_++); }

    // A feature with many thresholds is searched in several parts.
    void add_searches() {
        for (const auto &[feature, values] : thresholds_)
            for (size_t first = 0; first < values.size(); first += kThresholds) {
                const size_t count = std::min(values.size() - first, size_t(kThresholds));
                add_search(feature, values.data() + first, int32_t(count));
                for (size_t rank = 0; rank < count; ++rank)
                    conditions_[feature].push_back(new_condition());
            }
    }

    void add_search(int32_t feature, const float *sorted, int32_t count) {
        int32_t levels = 1;
        while ((1 << levels) - 1 < count) ++levels;
        const auto table = model_.tables_.size();
        // A multiple of 16 floats keeps every table aligned; what lies behind is never reached.
        model_.tables_.resize(table + size_t(std::max(16, 1 << levels)),
                              std::numeric_limits<float>::infinity());
        for (int32_t level = 0; level < levels; ++level)
            for (int32_t path = 0; path < 1 << level; ++path) {
                const int32_t rank = (path << (levels - level)) + (1 << (levels - level - 1)) - 1;
                if (rank < count)
                    model_.tables_[table + size_t((1 << level) + path)] = sorted[rank];
            }
        model_.searches_.push_back({feature, levels, count, int32_t(model_.n_conditions_), -1, -1,
                                    int64_t(table)});
    }

    uint32_t condition_of(const TreeView &tree, int64_t node) {
        const int32_t feature = tree.feature[node];
        const std::vector<float> &sorted = thresholds_[feature];
        const auto place = std::lower_bound(sorted.begin(), sorted.end(),
                                            float_not_above(tree.threshold[node]));
        const int32_t plain = conditions_[feature][size_t(place - sorted.begin())];
        const int route = tree.route_of(node);
        if (!route) return uint32_t(plain);
        const auto [known, is_new] = routed_.try_emplace({plain, route}, 0);
        if (is_new) {
            known->second = new_condition();
            model_.routes_.push_back({known->second, plain, missing_of(feature, route),
                                      (route & DISTILRANK_DEFAULT_LEFT) != 0});
        }
        return uint32_t(known->second);
    }

    int32_t missing_of(int32_t feature, int route) {
        const int kind = route & DISTILRANK_ZERO_IS_MISSING ? 1 : 0;
        const auto [known, is_new] = missing_.try_emplace({feature, kind}, 0);
        if (is_new) {
            known->second = new_condition();
            for (ForestSearch &search : model_.searches_)
                if (search.feature == feature) {
                    (kind ? search.zero : search.nan) = known->second;
                    break;
                }
        }
        return known->second;
    }

    // Values count from their tree's smallest, in quanta: the widest tree's take 32 bits.
    void find_quantum() {
        double widest = 0;
        Trees(forest_).each([&](int64_t, const TreeView &tree) {
            const auto [low, high] = std::minmax_element(tree.value, tree.value + tree.nodes + 1);
            widest = std::max(widest, *high - *low);
            model_.offset_ += *low;
        });
        model_.quantum_ = widest > 0 ? widest / 4294967295.0 : 1.0;
    }

    void add_tree(const TreeView &tree) {
        const int32_t leaves = int32_t(tree.nodes) + 1, trees = int32_t(model_.trees_.size());
        if (slots_ + leaves > kLeaves || trees - first_tree_ == kBundle) end_bundle();
        int32_t bits = 0;
        while (1 << bits < leaves) ++bits;
        model_.trees_.push_back({leaves, bits, slots_, 0, int64_t(model_.values_.size()),
                                 int64_t(model_.value_bytes_.size())});
        const std::vector<int32_t> leaf_at = add_nodes(tree);
        slots_ += leaves;
        add_values(tree, leaf_at, bits);
    }

    void end_bundle() {
        const int32_t first = int32_t(model_.nodes_.size());
        for (const std::vector<ForestNode> &level : levels_)
            model_.nodes_.insert(model_.nodes_.end(), level.begin(), level.end());
        levels_.clear();
        slots_ = 0;
        const int32_t end = int32_t(model_.trees_.size());
        if (end > first_tree_)
            model_.bundles_.push_back({first_tree_, end, first, int32_t(model_.nodes_.size())});
        first_tree_ = end;
    }

    void end() {
        end_bundle();
        model_.nodes_.resize(model_.nodes_.size() + kAhead); // looked at, but not used
    }

    // Leaves below every node.
    static std::vector<int32_t> count_leaves(const TreeView &tree) {
        std::vector<int32_t> count(size_t(tree.nodes), 0);
        for (int64_t node = tree.nodes - 1; node >= 0; --node)
            for (const int32_t child : {tree.left[node], tree.right[node]})
                count[size_t(node)] += child < 0 ? 1 : count[size_t(child)];
        return count;
    }

    // The tree's nodes into the bundle's levels; gives the leaves from left to right.
    std::vector<int32_t> add_nodes(const TreeView &tree) {
        const std::vector<int32_t> count = count_leaves(tree);
        std::vector<int32_t> leaf_at(size_t(tree.nodes) + 1, 0);
        struct Part {
            int32_t node, from, until;
            size_t level;
        };
        std::vector<Part> parts{{tree.nodes ? 0 : ~0, 0, int32_t(tree.nodes) + 1, 0}};
        while (!parts.empty()) {
            const auto [node, from, until, level] = parts.back();
            parts.pop_back();
            if (node < 0) {
                leaf_at[size_t(from)] = ~node;
                continue;
            }
            const int32_t left = tree.left[node], right = tree.right[node];
            const int32_t at = from + (left < 0 ? 1 : count[size_t(left)]);
            const int32_t beyond = until == tree.nodes + 1 ? kLeaves : slots_ + until;
            if (levels_.size() <= level) levels_.resize(level + 1);
            levels_[level].push_back({8 * condition_of(tree, node), offset(slots_ + from),
                                      offset(beyond), offset(slots_ + at), 0});
            parts.push_back({left, from, at, level + 1});
            parts.push_back({right, at, until, level + 1});
        }
        return leaf_at;
    }

    static uint16_t offset(int32_t slot) { return uint16_t(8 * slot); }

    void add_values(const TreeView &tree, const std::vector<int32_t> &leaf_at, int32_t bits) {
        const double low = *std::min_element(tree.value, tree.value + tree.nodes + 1);
        const size_t size = size_t{1} << bits, first = model_.values_.size();
        model_.values_.resize(first + size, 0);
        for (size_t leaf = 0; leaf < leaf_at.size(); ++leaf) {
            const double quanta = (tree.value[leaf_at[leaf]] - low) / model_.quantum_;
            model_.values_[first + (leaf ^ leaf >> 1)] =
                uint32_t(std::min(std::nearbyint(quanta), 4294967295.0));
        }
        const size_t row = std::max(size, size_t{64}), bytes = model_.value_bytes_.size();
        model_.value_bytes_.resize(bytes + kValueBytes * row, 0);
        for (size_t byte = 0; byte < kValueBytes; ++byte)
            for (size_t code = 0; code < size; ++code)
                model_.value_bytes_[bytes + byte * row + code] =
                    uint8_t(model_.values_[first + code] >> (8 * byte));
    }
};

BlockModel::BlockModel(const distilrank_forest &forest) : n_features_(int32_t(forest.n_features)) {
    Builder(*this, forest).build();
}

std::string BlockModel::unsuited(const distilrank_forest &forest) {
    constexpr int64_t kTrees = 65536; // 32-bit sums of 16-bit halves hold as many
    if (forest.n_trees > kTrees) return "more than 65536 trees";
    int64_t most = 0;
    double widest = 0, spread = 0;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        most = std::max(most, tree.nodes + 1);
        std::vector<double> sorted(tree.value, tree.value + tree.nodes + 1);
        std::sort(sorted.begin(), sorted.end());
        widest = std::max(widest, sorted.back() - sorted.front());
        const size_t quarter = sorted.size() / 4;
        spread = std::max(spread, sorted[sorted.size() - 1 - quarter] - sorted[quarter]);
    });
    if (most > kLeaves) return "a tree has more than 256 leaves";
    // Leaves are rounded to 2^-33 of the widest tree's range: far too little to be seen, unless
    // that range is beyond comparison with what most leaves say.
    if (!(widest < 1e4 * spread) && widest > 0) return "a leaf's value is far from all others";
    return "";
}

ForestProgram BlockModel::program() const {
    return {n_features_, int32_t(trees_.size()), int32_t(searches_.size()), int32_t(routes_.size()),
            int32_t(bundles_.size()), searches_.data(), tables_.data(), routes_.data(),
            bundles_.data(), trees_.data(), nodes_.data(), values_.data(), value_bytes_.data(),
            quantum_, offset_};
}

// ---- Walks ----

namespace {

uint32_t offset_of(size_t node) { return uint32_t(node * sizeof(WalkNode)); }

std::vector<int32_t> depths(const distilrank_forest &forest) {
    std::vector<int32_t> found;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        std::vector<int32_t> depth(size_t(tree.nodes), 1);
        int32_t most = 0;
        for (int64_t node = 0; node < tree.nodes; ++node) {
            most = std::max(most, depth[size_t(node)]);
            for (const int32_t child : {tree.left[node], tree.right[node]})
                if (child >= 0) depth[size_t(child)] = depth[size_t(node)] + 1;
        }
        found.push_back(most);
    });
    return found;
}

} // namespace

WalkModel::WalkModel(const distilrank_forest &forest) : n_features_(int32_t(forest.n_features)) {
    bool routed = false;
    std::vector<uint32_t> roots;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        if (!tree.nodes) offset_ += tree.value[0];
        roots.push_back(offset_of(nodes_.size()));
        struct Open {
            int32_t child;
            size_t parent, side;
        };
        std::vector<Open> open;
        if (tree.nodes) open.push_back({0, SIZE_MAX, 0});
        while (!open.empty()) { // in preorder: a left child lies near its parent
            const auto [child, parent, side] = open.back();
            open.pop_back();
            const size_t here = nodes_.size();
            const uint32_t self = offset_of(here);
            if (parent != SIZE_MAX) nodes_[parent].child[side] = self;
            const bool leaf = child < 0;
            nodes_.push_back({leaf ? 0 : float_not_above(tree.threshold[child]),
                              leaf ? 0 : uint32_t(tree.feature[child]), {self, self}});
            values_.push_back(leaf ? tree.value[~child] : 0);
            routes_.push_back(uint8_t(leaf ? 0 : tree.route_of(child)));
            routed |= routes_.back() != 0;
            if (leaf) continue;
            open.push_back({tree.right[child], here, 1});
            open.push_back({tree.left[child], here, 0});
        }
    });
    if (!routed) routes_ = {};
    const std::vector<int32_t> depth = depths(forest);
    std::vector<size_t> order;
    for (size_t tree = 0; tree < roots.size(); ++tree)
        if (depth[tree]) order.push_back(tree);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return depth[a] < depth[b]; });
    for (const size_t tree : order) roots_.push_back(roots[tree]);
}

WalkForest WalkModel::forest() const {
    return {n_features_, int64_t(roots_.size()), nodes_.data(),
            routes_.empty() ? nullptr : routes_.data(), values_.data(), roots_.data(), offset_};
}

} // namespace distilrank
