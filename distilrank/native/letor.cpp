// LETOR text to arrays: which text is parsed next, line after line. Each line is tried on the fast
// paths (letor_regular.cpp), which take only what published files look like; whatever they do not
// take goes to the general path (letor_any.cpp), which also says what is wrong.
//
// A block is parsed where it lies. Only the lines at its edges are copied: those cut by an edge,
// and those so near to it that a vector around a token would reach beyond the block.
#include "letor.hpp"

#include <algorithm>
#include <cstring>

#include "letor_decimal.hpp"

namespace distilrank {
namespace {

constexpr size_t kShown = 40;
// After lines that were not dense, so many are parsed one by one.
constexpr int kAlone = 16;

// The end of the last whole line; `from` where there is none.
const char *after_last_line(const char *from, const char *to) {
    while (to > from && to[-1] != '\n') --to;
    return to;
}

} // namespace

int32_t best_level() { return has_avx512() ? DISTILRANK_LETOR_AVX512 : DISTILRANK_LETOR_BASE; }

LetorParser::LetorParser(int64_t n_features, int64_t longest_line, bool returning, int32_t level)
    : n_features_(n_features), longest_line_(longest_line), returning_(returning),
      level_(level < 0 ? best_level() : std::min(level, best_level())), text_(kBefore + kAfter),
      rest_(kBefore), end_(kBefore), named_in_(static_cast<size_t>(n_features)) {
    begin_ = stop_ = text_.data() + kBefore;
    make_prefixes();
}

void LetorParser::feed(const char *bytes, size_t size) {
    put_back();
    block_ = block_start_ = bytes;
    block_end_ = bytes + size;
}

// Keep what has not been parsed of the block before: nothing, where rows() had given 0.
void LetorParser::put_back() {
    if (begin_ < stop_) {
        const auto place = reinterpret_cast<uintptr_t>(begin_);
        const auto text = reinterpret_cast<uintptr_t>(text_.data());
        if (place >= text && place < text + text_.size())
            rest_ = place - text;
        else
            block_ = begin_;
    }
    take(block_end_);
    begin_ = text_.data() + rest_;
    stop_ = after_last_line(begin_, text_.data() + end_);
    rest_ += static_cast<size_t>(stop_ - begin_);
}

void LetorParser::finish() {
    put_back();
    if (rest_ < end_) feed("\n", 1);
}

// Copy the block up to `to` behind what text_ has not parsed yet.
void LetorParser::take(const char *to) {
    if (rest_ > kBefore) {
        std::memmove(&text_[kBefore], &text_[rest_], end_ - rest_);
        end_ -= rest_ - kBefore;
        rest_ = kBefore;
    }
    const auto size = static_cast<size_t>(to - block_);
    // Grows as a vector does, so that many small blocks of one long line stay cheap.
    if (text_.size() < end_ + size + kAfter)
        text_.resize(std::max(end_ + size + kAfter, text_.size() + text_.size() / 2));
    if (size) std::memcpy(&text_[end_], block_, size);
    end_ += size;
    block_ = to;
}

// Find more whole lines once those of the window are parsed; false where the block has no more.
bool LetorParser::next_window() {
    while (block_ < block_end_) {
        const auto size = static_cast<size_t>(block_end_ - block_);
        if (rest_ == end_ && size > kAfter && block_ - block_start_ >= ptrdiff_t{kBefore}) {
            begin_ = block_;
            stop_ = after_last_line(block_, block_end_ - kAfter);
            if (begin_ < stop_) {
                block_ = stop_;
                return true;
            }
        }
        const char *to = block_end_;
        if (size > kBefore + kAfter) {
            const void *found = std::memchr(block_ + kBefore, '\n', size - kBefore - kAfter);
            if (found) to = static_cast<const char *>(found) + 1;
        }
        const auto added = static_cast<size_t>(to - block_);
        take(to);
        const char *end = text_.data() + end_;
        stop_ = after_last_line(end - added, end);
        begin_ = text_.data() + rest_;
        if (stop_ > end - added) {
            rest_ += static_cast<size_t>(stop_ - begin_);
            return true;
        }
        stop_ = begin_;
    }
    return false;
}

int64_t LetorParser::rows(int64_t capacity, float *features, uint8_t *labels, int64_t *qids) {
    int64_t count = 0;
    int alone = 0;
    const auto keep = [&](const Document &document) {
        if (!enter_query(document.qid)) return;
        labels[count] = document.label;
        qids[count] = document.qid;
        ++count;
    };
    while (!problem_ && count < capacity && (begin_ < stop_ || next_window())) {
        float *row = features + count * n_features_;
        Document documents[kTogether];
        int lines = static_cast<int>(std::min<int64_t>(capacity - count, kTogether));
        const char *next = nullptr;
        if (level_ >= DISTILRANK_LETOR_BASE && alone-- <= 0) {
            next = dense_lines(begin_, row, documents, lines);
            if (!next) alone = kAlone;
        }
        if (next) {
            for (int k = 0; k < lines && !problem_; ++k) {
                ++line_;
                keep(documents[k]);
            }
            begin_ = next;
            continue;
        }
        ++line_;
        if (level_ >= DISTILRANK_LETOR_BASE) next = regular_line(begin_, row, documents[0]);
        bool found = next != nullptr;
        if (!found) {
            const char *end = line_end(begin_);
            next = end + 1;
            found = end - begin_ <= longest_line_ && any_line(begin_, end, row, documents[0]);
        }
        if (next - begin_ - 1 > longest_line_) fail(DISTILRANK_LETOR_LONG, nullptr, 0);
        if (problem_) break;
        begin_ = next;
        if (found) keep(documents[0]);
    }
    if (!problem_ && count<capacity &&static_cast<int64_t>(end_ - rest_)> longest_line_) {
        ++line_;
        fail(DISTILRANK_LETOR_LONG, nullptr, 0);
    }
    // Rows before the error are handed out first.
    return count || !problem_ ? count : -1;
}

bool LetorParser::enter_query(int64_t qid) {
    if (qid == query_) return true;
    query_ = qid;
    if (returning_ || queries_.insert(qid).second) return true;
    const std::string text = std::to_string(qid);
    fail(DISTILRANK_LETOR_BACK, text.data(), text.size());
    return false;
}

void LetorParser::fail(int32_t problem, const char *text, size_t size) {
    problem_ = problem;
    if (size) at_fault_.assign(text, std::min(size, kShown));
}

distilrank_letor_error LetorParser::error() const {
    return {problem_, line_, at_fault_.data(), at_fault_.size()};
}

} // namespace distilrank
