// The LETOR parser behind distilrank.h, as a class: letor_c.cpp and the fuzzer use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "distilrank.h"
#include "letor_avx512.hpp"

namespace distilrank {

int32_t best_level();

class LetorParser {
public:
    LetorParser(int64_t n_features, int64_t longest_line, bool returning, int32_t level);

    void feed(const char *bytes, size_t size);
    void finish();
    int64_t rows(int64_t capacity, float *features, uint8_t *labels, int64_t *qids);
    distilrank_letor_error error() const;
    void fail(int32_t problem, const char *text, size_t size);

private:
    // Dense lines are parsed so many side by side: where a token ends is known only after its bytes
    // have been looked at, and a processor fills that wait with the other lines' work.
    static constexpr int kTogether = 2;

    // One document's label and qid; the features go straight to their row.
    struct Document {
        uint8_t label;
        int64_t qid;
    };

    // letor.cpp: which text is parsed, and what becomes of a line's document.
    bool next_window();
    void take(const char *to);
    void put_back();
    bool enter_query(int64_t qid);

    // letor_regular.cpp: the fast paths. Each gives the next line's start, or null for what it does
    // not take, with anything in the rows.
    void make_prefixes();
    const char *line_end(const char *at) const;
    static const char *regular_head(const char *at, Document &document);
    const char *regular_end(const char *at) const;
    const char *dense_lines(const char *at, float *rows, Document *documents, int &lines);
    const char *dense_pair(const char *at, float *rows, Document *documents) const;
    const char *regular_line(const char *at, float *row, Document &document) const;

    // letor_any.cpp: any line. True for a document, false for an empty line or after an error.
    bool any_line(const char *at, const char *end, float *row, Document &document);
    bool feature(const char *at, const char *end, float *row);

    int64_t n_features_, longest_line_;
    bool returning_;
    int32_t level_;
    Prefixes prefixes_;

    // Whole lines to parse now: in the block that was fed, or in text_.
    const char *begin_, *stop_;
    // What is left of the block after that, and where it began.
    const char *block_ = nullptr, *block_end_ = nullptr, *block_start_ = nullptr;
    // kBefore bytes, the lines at the edges of blocks, kAfter bytes; [rest_, end_) is not parsed
    // and in no window yet.
    std::vector<char> text_;
    size_t rest_, end_;

    int64_t line_ = 0;
    std::vector<int64_t> named_in_; // the line that named a feature last
    std::unordered_set<int64_t> queries_;
    int64_t query_ = -1;

    int32_t problem_ = DISTILRANK_LETOR_FINE;
    std::string at_fault_;
};

} // namespace distilrank
