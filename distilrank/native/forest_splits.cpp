#include "forest_splits.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "forest_trees.hpp"

namespace distilrank {
namespace {

// A threshold as a number, then its node.
using Split = uint64_t;
using Memory = std::unique_ptr<Split[]>; // not cleared first

constexpr int kDigitBits = 11, kDigits = 3; // of a threshold
constexpr uint32_t kMask = (1u << kDigitBits) - 1;
using Counts = std::array<std::array<uint32_t, kMask + 1>, kDigits>;

// Floats as numbers that compare alike; a zero's sign does not count.
uint32_t ordered(float threshold) {
    const float number = threshold + 0.0f;
    uint32_t bits;
    std::memcpy(&bits, &number, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

float threshold_of(Split split) {
    uint32_t bits = uint32_t(split >> 32);
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    float threshold;
    std::memcpy(&threshold, &bits, sizeof threshold);
    return threshold;
}

uint32_t digit(Split split, int place) { return uint32_t(split >> (32 + place * kDigitBits)) & kMask; }

template <typename Counters>
void to_places(Counters &counts) {
    uint32_t before = 0;
    for (uint32_t &count : counts) before += std::exchange(count, before);
}

// By digits from the lowest on: a comparison of each with each other costs several times as much.
void sort_by_threshold(Memory &splits, Memory &other, size_t count, Counts &counts) {
    for (int place = 0; place < kDigits; ++place) {
        uint32_t *const next = counts[size_t(place)].data();
        to_places(counts[size_t(place)]);
        for (size_t k = 0; k < count; ++k) other[next[digit(splits[k], place)]++] = splits[k];
        splits.swap(other);
    }
}

} // namespace

Splits sorted_splits(const distilrank_forest &forest) {
    size_t nodes = 0;
    Trees(forest).each([&](int64_t, const TreeView &tree) { nodes += size_t(tree.nodes); });
    Memory splits(new Split[nodes]), sorted(new Split[nodes]);
    std::vector<uint32_t> place(size_t(forest.n_features)); // of each feature's splits
    const auto counts = std::make_unique<Counts>();
    for (size_t node = 0; node < nodes; ++node) {
        const Split split = uint64_t{ordered(float_not_above(forest.threshold[node]))} << 32 | node;
        splits[node] = split;
        ++place[size_t(forest.feature[node])];
        for (int k = 0; k < kDigits; ++k) ++(*counts)[size_t(k)][digit(split, k)];
    }
    sort_by_threshold(splits, sorted, nodes, *counts);
    to_places(place);
    for (size_t k = 0; k < nodes; ++k)
        sorted[place[size_t(forest.feature[uint32_t(splits[k])])]++] = splits[k];
    Splits found;
    found.thresholds.resize(nodes);
    found.place.resize(nodes);
    int32_t end = 0;
    size_t at = 0;
    for (int64_t feature = 0; feature < forest.n_features; ++feature) {
        const size_t until = place[size_t(feature)];
        if (at == until) continue;
        const int32_t first = end;
        for (uint64_t last = 0; at < until; ++at) {
            // No threshold is 0 as such a number: those bits are a NaN's.
            const Split split = sorted[at];
            end += split >> 32 != std::exchange(last, split >> 32);
            found.thresholds[size_t(end) - 1] = threshold_of(split);
            found.place[uint32_t(split)] = end - 1;
        }
        found.features.push_back({int32_t(feature), first, end});
    }
    found.thresholds.resize(size_t(end));
    return found;
}

} // namespace distilrank
