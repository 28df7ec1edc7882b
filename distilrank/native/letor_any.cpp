// The general path: any line that parse_letor of distilrank/letor.py reads, and what is wrong with
// the others.
#include <algorithm>
#include <cstring>
#include <limits>

#include "letor.hpp"
#include "letor_decimal.hpp"

namespace distilrank {

// Any line of the form, token by token, as parse_letor of distilrank/letor.py reads it. True for
// a document, false for an empty line or after an error.
bool LetorParser::any_line(const char *at, const char *end, float *row, Document &document) {
    end = std::find(at, end, '#');
    const auto next_token = [&](const char *&from, const char *&to) {
        from = std::find_if_not(at, end, is_space);
        to = at = std::find_if(from, end, is_space);
        return from != to;
    };
    const char *from, *to;
    if (!next_token(from, to)) return false;
    const int64_t label = whole_number(from, to, 255);
    if (label < 0) {
        fail(DISTILRANK_LETOR_LABEL, from, static_cast<size_t>(to - from));
        return false;
    }
    document.label = static_cast<uint8_t>(label);
    if (!next_token(from, to)) {
        fail(DISTILRANK_LETOR_NO_QID, nullptr, 0);
        return false;
    }
    document.qid = -1;
    if (to - from > 4 && std::memcmp(from, "qid:", 4) == 0)
        document.qid = whole_number(from + 4, to, std::numeric_limits<int64_t>::max());
    if (document.qid < 0) {
        fail(DISTILRANK_LETOR_QID, from, static_cast<size_t>(to - from));
        return false;
    }
    std::fill_n(row, n_features_, 0.0f);
    bool twice = false;
    while (next_token(from, to)) {
        if (!feature(from, to, row)) return false;
        const int64_t id = whole_number(from, std::find(from, to, ':'), n_features_);
        int64_t &named = named_in_[static_cast<size_t>(id - 1)];
        twice |= named == line_;
        named = line_;
    }
    // After all else, as the reference says it.
    if (twice) fail(DISTILRANK_LETOR_TWICE, nullptr, 0);
    return !twice;
}

bool LetorParser::feature(const char *at, const char *end, float *row) {
    const char *colon = std::find(at, end, ':');
    const int64_t id = whole_number(at, colon, n_features_);
    double value = 0;
    int32_t problem = DISTILRANK_LETOR_FINE;
    if (id < 1)
        problem = DISTILRANK_LETOR_ID;
    else if (colon == end || !any_decimal(colon + 1, end, value))
        problem = DISTILRANK_LETOR_NUMBER;
    else if (!as_float(value, row[id - 1]))
        problem = DISTILRANK_LETOR_RANGE;
    if (problem) fail(problem, at, static_cast<size_t>(end - at));
    return !problem;
}

} // namespace distilrank
