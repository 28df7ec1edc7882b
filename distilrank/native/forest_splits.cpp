#include "forest_splits.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "forest_trees.hpp"

namespace distilrank {
namespace {

struct Split {
    uint64_t key; // feature, then threshold
    int32_t node;
};

constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;

// Floats as numbers that compare alike; a zero's sign does not count.
uint32_t ordered(float threshold) {
    const float number = threshold + 0.0f;
    uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

float threshold_of(uint64_t key) {
    uint32_t bits = uint32_t(key);
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    float threshold;
    std::memcpy(&threshold, &bits, sizeof threshold);
    return threshold;
}

// By digits from the lowest on: a comparison of each with each other costs several times as much.
void sort_by_key(std::vector<Split> &splits, uint64_t most) {
    std::vector<Split> other(splits.size());
    for (int shift = 0; shift < 64 && most >> shift; shift += kDigitBits) {
        std::array<size_t, kDigits> place{};
        for (const Split &split : splits) ++place[split.key >> shift & (kDigits - 1)];
        size_t before = 0;
        for (size_t &count : place) before += std::exchange(count, before);
        for (const Split &split : splits)
            other[place[split.key >> shift & (kDigits - 1)]++] = split;
        splits.swap(other);
    }
}

} // namespace

Splits sorted_splits(const distilrank_forest &forest) {
    std::vector<Split> splits;
    uint64_t most = 0;
    Trees(forest).each([&](int64_t, const TreeView &tree) {
        for (int64_t node = 0; node < tree.nodes; ++node) {
            const uint64_t feature = uint32_t(tree.feature[node]);
            const uint64_t key = feature << 32 | ordered(float_not_above(tree.threshold[node]));
            splits.push_back({key, int32_t(tree.first + node)});
            most |= key;
        }
    });
    sort_by_key(splits, most);
    Splits found;
    found.place.resize(splits.size());
    uint64_t last = 0;
    for (const Split &split : splits) {
        const auto feature = int32_t(split.key >> 32);
        const auto end = int32_t(found.thresholds.size());
        const bool is_first = found.features.empty();
        if (is_first || feature != found.features.back().feature)
            found.features.push_back({feature, end, end});
        if (is_first || split.key != last) {
            found.thresholds.push_back(threshold_of(split.key));
            found.features.back().end = end + 1;
        }
        last = split.key;
        found.place[size_t(split.node)] = int32_t(found.thresholds.size()) - 1;
    }
    return found;
}

} // namespace distilrank
