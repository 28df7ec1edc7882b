// The fast paths: lines as published files have them, `label qid:Q 1:v 2:v ...` with single spaces.
#include <algorithm>
#include <cstring>
#include <string>

#include "letor.hpp"
#include "letor_decimal.hpp"

namespace distilrank {
namespace {

// Prefixes are kept for this many ids; a line with more features leaves the fast path.
constexpr int64_t kPrefixes = 1 << 16;

inline uint64_t eight_bytes(const char *at) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
}

} // namespace

void LetorParser::make_prefixes() {
    for (int64_t id = 1; id <= std::min(n_features_, kPrefixes); ++id) {
        prefixes_.add(" " + std::to_string(id) + ":");
    }
    prefixes_.close();
}

const char *LetorParser::line_end(const char *at) const {
    return static_cast<const char *>(std::memchr(at, '\n', static_cast<size_t>(stop_ - at)));
}

// `label qid:Q` as published files have it; the first byte after it, or null.
const char *LetorParser::regular_head(const char *at, Document &document) {
    if (!is_digit(at[0]) || std::memcmp(at + 1, " qid:", 5) != 0) return nullptr;
    document.label = static_cast<uint8_t>(at[0] - '0');
    at += 6;
    const char *const start = at;
    document.qid = 0;
    for (; is_digit(*at); ++at) {
        if (at - start == 18) return nullptr;
        document.qid = document.qid * 10 + (*at - '0');
    }
    return at == start ? nullptr : at;
}

// What may follow the last feature: the next line's start, or null.
const char *LetorParser::regular_end(const char *at) const {
    at += *at == ' ';
    if (*at == '#') return line_end(at) + 1;
    at += *at == '\r';
    return *at == '\n' ? at + 1 : nullptr;
}

// The next lines, each with all ids in order, at most `lines`: sets how many.
const char *LetorParser::dense_lines(const char *at, float *rows, Document *documents, int &lines) {
    if (n_features_ > kPrefixes) return nullptr;
    if (level_ < DISTILRANK_LETOR_AVX512)
        return lines == kTogether ? dense_pair(at, rows, documents) : nullptr;
    lines = 1;
    const char *place = regular_head(at, *documents);
    if (place) place = dense_values_avx512(place, stop_, prefixes_, n_features_, rows);
    if (place) place = regular_end(place);
    return place && place - at - 1 <= longest_line_ ? place : nullptr;
}

const char *LetorParser::dense_pair(const char *at, float *rows, Document *documents) const {
    const char *places[kTogether], *next = at;
    for (int k = 0; k < kTogether; ++k) {
        if (next == stop_) return nullptr;
        places[k] = regular_head(next, documents[k]);
        const char *end = line_end(next);
        if (!places[k] || end - next > longest_line_) return nullptr;
        next = end + 1;
    }
    for (int64_t column = 0; column < n_features_; ++column) {
        const auto id = static_cast<size_t>(column);
        uint64_t differ = 0;
        for (const char *place : places)
            differ |= (eight_bytes(place) & prefixes_.mask[id]) ^ prefixes_.text[id];
        if (differ) return nullptr;
        for (int k = 0; k < kTogether; ++k) {
            places[k] += prefixes_.length[id];
            float &value = rows[k * n_features_ + column];
            if (!short_decimal(places[k], value) && !other_decimal(places[k], value))
                return nullptr;
        }
    }
    for (const char *place : places)
        if (!regular_end(place)) return nullptr;
    return next;
}

// One line whose ids go up.
const char *LetorParser::regular_line(const char *at, float *row, Document &document) const {
    at = regular_head(at, document);
    if (!at) return nullptr;
    std::fill_n(row, n_features_, 0.0f);
    const int64_t known = std::min(n_features_, kPrefixes);
    for (int64_t column = 0;; ++column) {
        const auto place = static_cast<size_t>(column);
        if ((eight_bytes(at) & prefixes_.mask[place]) == prefixes_.text[place]) {
            at += prefixes_.length[place];
        } else {
            if (const char *next = regular_end(at)) return next;
            if (*at++ != ' ') return nullptr;
            // A sparse line names a later id.
            int64_t id = 0;
            for (const char *from = at; is_digit(*at); ++at) {
                if (at - from == 9) return nullptr;
                id = id * 10 + (*at - '0');
            }
            if (id <= column || id > known || *at++ != ':') return nullptr;
            column = id - 1;
        }
        if (!short_decimal(at, row[column]) && !other_decimal(at, row[column])) return nullptr;
    }
}

} // namespace distilrank
