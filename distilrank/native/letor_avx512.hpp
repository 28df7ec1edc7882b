// The path for dense lines on processors with AVX-512, chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace distilrank {

// What ` id:` looks like as the 8 bytes at its place in the text, for ids 1, 2, ...
struct Prefixes {
    std::vector<uint64_t> text, mask, length;

    void add(uint64_t new_text, uint64_t new_mask, uint64_t new_length) {
        text.push_back(new_text);
        mask.push_back(new_mask);
        length.push_back(new_length);
    }
};

// So much room `stops` needs beyond the number of features.
constexpr size_t kStopsBeyond = 96;

bool has_avx512();

// All values of a line with the ids from 1 to n_features in order, single spaces between them; `at`
// is the space before the first id. Gives the first byte after the last value, or null where the
// line is not so, with anything in the row.
const char *dense_values_avx512(const char *at, const Prefixes &prefixes, int64_t n_features,
                                uint32_t *stops, float *row);

} // namespace distilrank
