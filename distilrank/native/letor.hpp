// The LETOR parser behind distilrank.h, as a class: letor.cpp and the fuzzer use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "distilrank.h"

namespace distilrank {

class LetorParser {
public:
    LetorParser(int64_t n_features, int64_t longest_line);

    void feed(const char *bytes, size_t size);
    void finish();
    int64_t rows(int64_t capacity, float *features, uint8_t *labels, int64_t *qids);
    distilrank_letor_error error() const;
    void fail(int32_t problem, const char *text, size_t size);

    // The fuzzer turns the fast path off, to compare both.
    bool fast = true;

private:
    // One document's label and qid; the features go straight to their row.
    struct Document {
        uint8_t label;
        int64_t qid;
    };
    // What ` id:` looks like as the 8 bytes at its place in the text.
    struct Prefix {
        uint64_t text, mask;
        int64_t length;
    };

    const char *line_end(const char *at) const;
    static const char *regular_head(const char *at, Document &document);
    const char *regular_end(const char *at) const;
    const char *dense_lines(const char *at, float *rows, Document *documents) const;
    const char *regular_line(const char *at, float *row, Document &document) const;
    bool any_line(const char *at, const char *end, float *row, Document &document);
    bool feature(const char *at, const char *end, float *row);
    bool enter_query(int64_t qid);

    int64_t n_features_, longest_line_;
    std::vector<Prefix> prefixes_; // of ids 1, 2, ...; the last one is met by no text

    // kPad bytes, what was fed and not parsed yet, kPad bytes: vectors may be read around a token.
    std::vector<char> text_;
    size_t begin_, stop_, end_; // stop_: after the last whole line

    int64_t line_ = 0;
    std::vector<int64_t> named_in_; // the line that named a feature last
    std::unordered_set<int64_t> queries_;
    int64_t query_ = -1;

    int32_t problem_ = DISTILRANK_LETOR_FINE;
    std::string at_fault_;
};

} // namespace distilrank
