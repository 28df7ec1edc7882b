// The forest for blocks.
#include "forest_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "forest_splits.hpp"
#include "forest_trees.hpp"

namespace distilrank {
namespace {

constexpr int32_t kBundle = 4; // trees at most

// How far the middle half of a tree's leaves lie apart; `values` is memory.
double middle_half(const TreeView &tree, std::vector<double> &values) {
    values.assign(tree.value, tree.value + tree.nodes + 1);
    const auto quarter = std::ptrdiff_t(values.size() / 4);
    const auto upper = values.end() - 1 - quarter, lower = values.begin() + quarter;
    std::nth_element(values.begin(), upper, values.end());
    const double high = *upper;
    std::nth_element(values.begin(), lower, values.end());
    return high - *lower;
}

} // namespace

class BlockModel::Builder {
public:
    Builder(BlockModel &model, const distilrank_forest &forest, const LeafRanges &ranges)
        : model_(model), forest_(forest), ranges_(ranges), splits_(sorted_splits(forest)) {}

    void build() {
        add_searches();
        find_quantum();
        reserve();
        Trees(forest_).each([&](int64_t, const TreeView &tree) { add_tree(tree); });
        end();
    }

private:
    BlockModel &model_;
    const distilrank_forest &forest_;
    const LeafRanges &ranges_;
    const Splits splits_; // the place of a threshold is its condition's number
    std::map<std::tuple<int32_t, int>, int32_t> missing_; // condition, by feature and kind
    // Conditions by what they are made of: a threshold's, and a route's bits; -1: not yet.
    std::vector<std::array<int32_t, 8>> routed_;
    std::vector<std::vector<ForestNode>> levels_; // of the bundle that is being made
    int32_t first_tree_ = 0, slots_ = 0;          // of that bundle

    // Of the tree that is being added, by slot: the leaves [from, until) below, and its level.
    struct Part {
        int32_t from, until;
        size_t level;
    };
    std::vector<Part> parts_;
    std::vector<int32_t> count_;

    int32_t new_condition() { return int32_t(model_.n_conditions_++); }

    // A feature with many thresholds is searched in several parts.
    void add_searches() {
        for (const Splits::Feature &of : splits_.features)
            for (int32_t first = of.first; first < of.end; first += kThresholds) {
                const int32_t count = std::min(of.end - first, kThresholds);
                add_search(of.feature, splits_.thresholds.data() + first, count);
                model_.n_conditions_ += size_t(count);
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
        const int32_t plain = splits_.place[size_t(tree.first + node)];
        const int route = tree.route_of(node);
        if (!route) return uint32_t(plain);
        if (routed_.empty()) {
            std::array<int32_t, 8> none;
            none.fill(-1);
            routed_.assign(splits_.thresholds.size(), none);
        }
        int32_t &known = routed_[size_t(plain)][size_t(route)];
        if (known < 0) {
            known = new_condition();
            model_.routes_.push_back({known, plain, missing_of(tree.feature[node], route),
                                      (route & DISTILRANK_DEFAULT_LEFT) != 0});
        }
        return uint32_t(known);
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
        for (const double low : ranges_.low) model_.offset_ += low;
        model_.quantum_ = ranges_.widest > 0 ? ranges_.widest / 4294967295.0 : 1.0;
    }

    // Memory that grows by and by is copied over and over.
    void reserve() {
        size_t nodes = 0, values = 0, bytes = 0;
        Trees(forest_).each([&](int64_t, const TreeView &tree) {
            const size_t size = size_t{1} << code_bits(tree);
            nodes += size_t(tree.nodes);
            values += size;
            bytes += row_of(size) * kValueBytes;
        });
        model_.nodes_.reserve(nodes + kAhead);
        model_.values_.reserve(values);
        model_.value_bytes_.reserve(bytes);
    }

    void add_tree(const TreeView &tree) {
        const int32_t leaves = int32_t(tree.nodes) + 1, trees = int32_t(model_.trees_.size());
        if (slots_ + leaves > kLeaves || trees - first_tree_ == kBundle) end_bundle();
        model_.trees_.push_back({leaves, code_bits(tree), slots_, 0, int64_t(model_.values_.size()),
                                 int64_t(model_.value_bytes_.size())});
        add_nodes(tree);
        slots_ += leaves;
        add_values(tree, ranges_.low[size_t(trees)]);
    }

    static int32_t code_bits(const TreeView &tree) {
        int32_t bits = 0;
        while (int64_t{1} << bits < tree.nodes + 1) ++bits;
        return bits;
    }

    static size_t row_of(size_t values) { return std::max(values, size_t{64}); }

    void end_bundle() {
        const int32_t first = int32_t(model_.nodes_.size());
        for (std::vector<ForestNode> &level : levels_) {
            model_.nodes_.insert(model_.nodes_.end(), level.begin(), level.end());
            level.clear(); // keeps its memory for the next bundle
        }
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

    // The tree's nodes into the bundle's levels, and its leaves from left to right.
    void add_nodes(const TreeView &tree) {
        tree.count_leaves(count_);
        parts_.resize(tree.slots());
        parts_[0] = {0, int32_t(tree.nodes) + 1, 0};
        for (int64_t node = 0; node < tree.nodes; ++node) {
            const auto [from, until, level] = parts_[size_t(node)];
            const size_t left = tree.slot(tree.left[node]), right = tree.slot(tree.right[node]);
            const int32_t at = from + count_[left];
            parts_[left] = {from, at, level + 1};
            parts_[right] = {at, until, level + 1};
            const int32_t beyond = until == tree.nodes + 1 ? kLeaves : slots_ + until;
            if (levels_.size() <= level) levels_.resize(level + 1);
            levels_[level].push_back({8 * condition_of(tree, node), offset(slots_ + from),
                                      offset(beyond), offset(slots_ + at), 0});
        }
    }

    static uint16_t offset(int32_t slot) { return uint16_t(8 * slot); }

    void add_values(const TreeView &tree, double low) {
        const size_t size = size_t{1} << model_.trees_.back().code_bits, row = row_of(size);
        const size_t first = model_.values_.size(), first_byte = model_.value_bytes_.size();
        model_.values_.resize(first + size, 0);
        model_.value_bytes_.resize(first_byte + kValueBytes * row, 0);
        uint32_t *const values = model_.values_.data() + first;
        for (int64_t leaf = 0; leaf <= tree.nodes; ++leaf) {
            const auto at = size_t(parts_[size_t(tree.nodes + leaf)].from);
            values[at ^ at >> 1] = rounded((tree.value[leaf] - low) / model_.quantum_);
        }
        for (size_t byte = 0; byte < kValueBytes; ++byte) {
            uint8_t *const bytes = model_.value_bytes_.data() + first_byte + byte * row;
            for (size_t code = 0; code < size; ++code)
                bytes[code] = uint8_t(values[code] >> (8 * byte));
        }
    }

    // To the nearest whole number, halves to the even one: from 2^52 on doubles have no fractions.
    static uint32_t rounded(double quanta) {
        constexpr double beyond = 4503599627370496.0;
        return uint32_t(std::min((quanta + beyond) - beyond, 4294967295.0));
    }
};

LeafRanges::LeafRanges(const distilrank_forest &forest) {
    low.reserve(size_t(forest.n_trees));
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        double least = tree.value[0], largest = least;
        for (int64_t leaf = 1; leaf <= tree.nodes; ++leaf) {
            least = std::min(least, tree.value[leaf]);
            largest = std::max(largest, tree.value[leaf]);
        }
        low.push_back(least);
        widest = std::max(widest, largest - least);
        most = std::max(most, tree.nodes + 1);
    });
}

BlockModel::BlockModel(const distilrank_forest &forest, const LeafRanges &ranges)
    : n_features_(int32_t(forest.n_features)) {
    Builder(*this, forest, ranges).build();
}

std::string BlockModel::unsuited(const distilrank_forest &forest, const LeafRanges &ranges) {
    constexpr int64_t kTrees = 65536; // 32-bit sums of 16-bit halves hold as many
    if (forest.n_trees > kTrees) return "more than 65536 trees";
    const double widest = ranges.widest;
    if (ranges.most > kLeaves) return "a tree has more than 256 leaves";
    // Leaves are rounded to 2^-33 of the widest tree's range: far too little to be seen, unless
    // that range is beyond comparison with what most leaves say: those of some tree at least.
    bool compares = !(widest > 0);
    std::vector<double> values;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        if (!compares) compares = widest < 1e4 * middle_half(tree, values);
    });
    if (!compares) return "a leaf's value is far from all others";
    return "";
}

ForestProgram BlockModel::program() const {
    return {n_features_, int32_t(trees_.size()), int32_t(searches_.size()), int32_t(routes_.size()),
            int32_t(bundles_.size()), searches_.data(), tables_.data(), routes_.data(),
            bundles_.data(), trees_.data(), nodes_.data(), values_.data(), value_bytes_.data(),
            quantum_, offset_};
}

} // namespace distilrank
