// The path for dense lines on processors with AVX-512, chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace distilrank {

// What ` id:` looks like as the 8 bytes at its place in the text, for ids 1, 2, ...
struct Prefixes {
    std::vector<uint64_t> text, mask, length;
    // The same with a minus sign behind it.
    std::vector<uint64_t> minus_text, minus_mask;
    // Room for the line at hand: where its tokens end, and which of them have to be read again.
    std::vector<uint32_t> stops, again;

    // `shown` has at most 7 bytes.
    void add(const std::string &shown) {
        const auto eight = [](std::string bytes) {
            bytes.resize(8);
            uint64_t word;
            std::memcpy(&word, bytes.data(), sizeof word);
            return word;
        };
        text.push_back(eight(shown));
        mask.push_back(eight(std::string(shown.size(), '\xff')));
        length.push_back(shown.size());
        minus_text.push_back(eight(shown + "-"));
        minus_mask.push_back(eight(std::string(shown.size() + 1, '\xff')));
    }

    // After the last one: what no text looks like, up to whole vectors.
    void close() {
        do {
            text.push_back(1);
            minus_text.push_back(1);
            for (auto *zeros : {&mask, &length, &minus_mask}) zeros->push_back(0);
        } while (text.size() % 8);
        stops.resize(text.size() + 128);
        again.resize(text.size() / 8);
    }
};

bool has_avx512();

// All values of a line with the ids from 1 to n_features in order, single spaces between them; `at`
// is the space before the first id. Gives the first byte after the last value, or null where the
// line is not so, with anything in the row. kAfter bytes from `end` on can be read.
const char *dense_values_avx512(const char *at, const char *end, Prefixes &prefixes,
                                int64_t n_features, float *row);

} // namespace distilrank
