// What all splits of a forest ask for: each feature's thresholds, sorted and each once.
#pragma once

#include <cstdint>
#include <vector>

#include "distilrank.h"

namespace distilrank {

struct Splits {
    // A feature that some tree looks at; its thresholds are those from `first` to `end`.
    struct Feature {
        int32_t feature;
        int32_t first, end;
    };

    std::vector<Feature> features; // sorted
    std::vector<float> thresholds; // as floats compare; sorted for each feature
    std::vector<int32_t> place;    // (all trees' nodes) of each one's threshold
};

// `forest` was checked.
Splits sorted_splits(const distilrank_forest &forest);

} // namespace distilrank
