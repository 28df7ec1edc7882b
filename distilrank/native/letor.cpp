// LETOR lines to arrays. Each line is tried on the fast path, which takes only what published
// files look like; whatever it does not take goes to any_line, which knows the whole form and
// says what is wrong.
#include "letor.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <string_view>
#include <system_error>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace distilrank {
namespace {

constexpr size_t kPad = 32;
constexpr size_t kShown = 40;
// Prefixes are kept for this many ids; a line with more features leaves the fast path.
constexpr int64_t kPrefixes = 1 << 16;
constexpr int kLongestShort = 15;
// Dense lines are parsed so many side by side: where a token ends is known only after its bytes
// have been looked at, and a processor fills that wait with the other lines' work.
constexpr int kTogether = 2;
// After a group of lines that was not all dense, so many are parsed one by one.
constexpr int kAlone = 16;
// 10^15 < 2^53: a short decimal's digits and its power of ten are exact as doubles, so that one
// division rounds correctly (W. D. Clinger, How to Read Floating Point Numbers Accurately, 1990).
constexpr double kPowers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What bytes.split() of Python splits at.
inline bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

inline uint64_t eight_bytes(const char *at) {
    uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
}

// False for NaN too.
inline bool within_float(double value) {
    return std::fabs(value) <= static_cast<double>(std::numeric_limits<float>::max());
}

// A whole number of at least one digit up to `most` (below 2^63); -1 where the text is none.
int64_t whole_number(const char *at, const char *end, int64_t most) {
    if (at == end) return -1;
    int64_t value = 0;
    for (; at != end; ++at) {
        if (!is_digit(*at)) return -1;
        const int64_t digit = *at - '0';
        if (digit > most || value > (most - digit) / 10) return -1;
        value = value * 10 + digit;
    }
    return value;
}

#if defined(__SSE2__)

// The last n bytes of a vector are those of the vector at kLast + n.
alignas(32) constexpr uint8_t kLast[32] = {
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

inline __m128i load(const void *at) { return _mm_loadu_si128(static_cast<const __m128i *>(at)); }

// Sixteen bytes of 0 to 9, the most significant first, as one number: pairs of neighbours are
// joined four times.
inline uint64_t sixteen_digits(__m128i digits) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i tens = _mm_set1_epi32(10 | 1 << 16);
    const __m128i pairs = _mm_packs_epi32(_mm_madd_epi16(_mm_unpacklo_epi8(digits, zero), tens),
                                          _mm_madd_epi16(_mm_unpackhi_epi8(digits, zero), tens));
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
    const __m128i packed = _mm_packs_epi32(fours, fours);
    const __m128i eights = _mm_madd_epi16(packed, _mm_set1_epi32(10000 | 1 << 16));
    const auto both = static_cast<uint64_t>(_mm_cvtsi128_si64(eights));
    return (both & 0xffffffff) * 100000000 + (both >> 32);
}

// [-]digits[.[digits]] of at most 15 bytes up to a space or line end, where `at` then stands.
// No branch depends on the value: its length changes from token to token.
inline bool short_decimal(const char *&at, float &value) {
    const __m128i bytes = load(at);
    const auto found = [](__m128i mask) { return static_cast<uint32_t>(_mm_movemask_epi8(mask)); };
    const __m128i shifted = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    const uint32_t digits =
        found(_mm_cmpeq_epi8(_mm_min_epu8(shifted, _mm_set1_epi8(9)), shifted));
    const uint32_t points = found(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
    const uint32_t stops = found(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(' ')),
                                              _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'))));
    const uint32_t stop = stops | 1u << 16;
    const int length = __builtin_ctz(stop);
    const uint32_t negative = *at == '-';
    // What is no digit: at most one byte, and that a point.
    const uint32_t other = (stop ^ (stop - 1)) >> 1 & ~digits & ~negative;
    const int has_point = other != 0;
    const int count = length - static_cast<int>(negative) - has_point;
    if ((other & ~points) | (other & (other - 1)) || length > kLongestShort || count < 1)
        return false;
    const int decimals = length - has_point - __builtin_ctz(other | 1u << (length - has_point));
    // The bytes that end with the token; those before the point move up over it.
    const char *end = at + length;
    const __m128i after = load(end - 16), before = load(end - 16 - has_point);
    const __m128i is_after = load(kLast + decimals);
    __m128i number =
        _mm_or_si128(_mm_and_si128(is_after, after), _mm_andnot_si128(is_after, before));
    number = _mm_and_si128(_mm_sub_epi8(number, _mm_set1_epi8('0')), load(kLast + count));
    const double exact = static_cast<double>(static_cast<int64_t>(sixteen_digits(number)));
    const auto positive = static_cast<float>(exact / kPowers[decimals]);
    uint32_t bits;
    std::memcpy(&bits, &positive, sizeof bits);
    bits |= negative << 31;
    std::memcpy(&value, &bits, sizeof bits);
    at = end;
    return true;
}

#else

inline bool short_decimal(const char *&at, float &value) {
    const char *here = at, *const start = at;
    const bool negative = *here == '-';
    here += negative;
    int64_t digits = 0;
    int count = 0, decimals = 0;
    bool point = false;
    for (; here - start <= kLongestShort && (is_digit(*here) || (*here == '.' && !point)); ++here) {
        if (*here == '.') {
            point = true;
            continue;
        }
        digits = digits * 10 + (*here - '0');
        ++count;
        decimals += point;
    }
    if (!count || here - start > kLongestShort || (*here != ' ' && *here != '\n')) return false;
    const auto positive = static_cast<float>(static_cast<double>(digits) / kPowers[decimals]);
    value = negative ? -positive : positive;
    at = here;
    return true;
}

#endif

inline bool same_letters(const char *at, const char *end, std::string_view word) {
    return static_cast<size_t>(end - at) == word.size() &&
           std::equal(at, end, word.begin(), [](char a, char b) { return (a | 32) == b; });
}

// A decimal whose double is 0 or infinite: is it the large kind? By the place of its first digit
// that is not 0.
bool is_large(const char *at, const char *end) {
    const char *exponent = std::find_if(at, end, [](char c) { return (c | 32) == 'e'; });
    const char *point = std::find(at, exponent, '.');
    const char *first = std::find_if(at, exponent, [](char c) { return c >= '1' && c <= '9'; });
    int64_t place = first < point ? point - first : point - first + 1;
    if (exponent != end) {
        const bool negative = exponent[1] == '-';
        const char *from = exponent + 1 + (negative || exponent[1] == '+');
        int64_t power = 0;
        for (; from != end && power < (int64_t{1} << 40); ++from) power = power * 10 + (*from - '0');
        place += negative ? -power : power;
    }
    return place > 0;
}

// What Python's float() takes, without its underscores; false where the text is no number.
bool any_decimal(const char *at, const char *end, double &value) {
    const bool negative = at != end && *at == '-';
    at += at != end && (*at == '-' || *at == '+');
    const char *here = at;
    size_t digits = 0;
    for (; here != end && is_digit(*here); ++here) ++digits;
    if (here != end && *here == '.')
        for (++here; here != end && is_digit(*here); ++here) ++digits;
    if (!digits) {
        const bool infinite = same_letters(at, end, "inf") || same_letters(at, end, "infinity");
        value = infinite ? std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
        return infinite || same_letters(at, end, "nan");
    }
    if (here != end && (*here == 'e' || *here == 'E')) {
        ++here;
        here += here != end && (*here == '-' || *here == '+');
        if (here == end || !is_digit(*here)) return false;
        while (here != end && is_digit(*here)) ++here;
    }
    if (here != end) return false;
    value = 0;
    if (std::from_chars(at, end, value).ec == std::errc::result_out_of_range)
        value = is_large(at, end) ? std::numeric_limits<double>::infinity() : 0.0;
    if (negative) value = -value;
    return true;
}

// The value at `at` that is no short decimal, up to a space, line end or comment; false where it is
// no number or none for a float.
__attribute__((noinline)) bool other_decimal(const char *&at, float &row_value) {
    const char *end = at;
    while (!is_space(*end) && *end != '#') ++end;
    double value;
    if (!any_decimal(at, end, value) || !within_float(value)) return false;
    row_value = static_cast<float>(value);
    at = end;
    return true;
}

} // namespace

LetorParser::LetorParser(int64_t n_features, int64_t longest_line)
    : n_features_(n_features), longest_line_(longest_line), text_(2 * kPad), begin_(kPad),
      stop_(kPad), end_(kPad), named_in_(static_cast<size_t>(n_features)) {
    for (int64_t id = 1; id <= std::min(n_features, kPrefixes); ++id) {
        const std::string text = " " + std::to_string(id) + ":";
        Prefix prefix{0, 0, static_cast<int64_t>(text.size())};
        std::memcpy(&prefix.text, text.data(), text.size());
        std::memset(&prefix.mask, 255, text.size());
        prefixes_.push_back(prefix);
    }
    prefixes_.push_back({1, 0, 0});
}

void LetorParser::feed(const char *bytes, size_t size) {
    if (begin_ > kPad) {
        std::memmove(&text_[kPad], &text_[begin_], end_ - begin_);
        stop_ -= begin_ - kPad;
        end_ -= begin_ - kPad;
        begin_ = kPad;
    }
    // Grows as a vector does, so that many small blocks of one long line stay cheap.
    if (text_.size() < end_ + size + kPad)
        text_.resize(std::max(end_ + size + kPad, text_.size() + text_.size() / 2));
    if (!size) return;
    std::memcpy(&text_[end_], bytes, size);
    for (size_t from = size; from > 0; --from) {
        if (bytes[from - 1] == '\n') {
            stop_ = end_ + from;
            break;
        }
    }
    end_ += size;
}

void LetorParser::finish() {
    if (end_ > stop_) feed("\n", 1);
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
    while (!problem_ && count < capacity && begin_ < stop_) {
        const char *at = &text_[begin_];
        float *row = features + count * n_features_;
        Document documents[kTogether];
        if (fast && alone-- <= 0 && count + kTogether <= capacity) {
            if (const char *next = dense_lines(at, row, documents)) {
                for (int k = 0; k < kTogether && !problem_; ++k) {
                    ++line_;
                    keep(documents[k]);
                }
                begin_ += static_cast<size_t>(next - at);
                continue;
            }
            alone = kAlone;
        }
        ++line_;
        const char *next = fast ? regular_line(at, row, documents[0]) : nullptr;
        bool found = next != nullptr;
        if (!found) {
            const char *end = line_end(at);
            next = end + 1;
            found = end - at <= longest_line_ && any_line(at, end, row, documents[0]);
        }
        if (next - at - 1 > longest_line_) fail(DISTILRANK_LETOR_LONG, nullptr, 0);
        if (problem_) break;
        begin_ += static_cast<size_t>(next - at);
        if (found) keep(documents[0]);
    }
    if (!problem_ && begin_ == stop_ && static_cast<int64_t>(end_ - begin_) > longest_line_) {
        ++line_;
        fail(DISTILRANK_LETOR_LONG, nullptr, 0);
    }
    // Rows before the error are handed out first.
    return count || !problem_ ? count : -1;
}

const char *LetorParser::line_end(const char *at) const {
    return static_cast<const char *>(
        std::memchr(at, '\n', static_cast<size_t>(text_.data() + stop_ - at)));
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

// The fastest path: kTogether lines, each with all ids in order. Gives the next line's start, or
// null where they are not so, with anything in the rows.
const char *LetorParser::dense_lines(const char *at, float *rows, Document *documents) const {
    if (n_features_ > kPrefixes) return nullptr;
    const char *places[kTogether], *next = at;
    for (int k = 0; k < kTogether; ++k) {
        if (next == text_.data() + stop_) return nullptr;
        places[k] = regular_head(next, documents[k]);
        const char *end = line_end(next);
        if (!places[k] || end - next > longest_line_) return nullptr;
        next = end + 1;
    }
    const Prefix *prefixes = prefixes_.data();
    for (int64_t column = 0; column < n_features_; ++column) {
        const Prefix prefix = prefixes[column];
        uint64_t differ = 0;
        for (const char *place : places) differ |= (eight_bytes(place) & prefix.mask) ^ prefix.text;
        if (differ) return nullptr;
        for (int k = 0; k < kTogether; ++k) {
            places[k] += prefix.length;
            float &value = rows[k * n_features_ + column];
            if (!short_decimal(places[k], value) && !other_decimal(places[k], value)) return nullptr;
        }
    }
    for (const char *place : places)
        if (!regular_end(place)) return nullptr;
    return next;
}

// The fast path: `label qid:Q 1:v 2:v ...` with single spaces and ids that go up. Gives the next
// line's start, or null for a line that it does not take, with anything in the row.
const char *LetorParser::regular_line(const char *at, float *row, Document &document) const {
    at = regular_head(at, document);
    if (!at) return nullptr;
    std::fill_n(row, n_features_, 0.0f);
    const Prefix *prefixes = prefixes_.data();
    const auto known = static_cast<int64_t>(prefixes_.size()) - 1;
    for (int64_t column = 0;; ++column) {
        const Prefix &prefix = prefixes[column];
        if ((eight_bytes(at) & prefix.mask) == prefix.text) {
            at += prefix.length;
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
    else if (!within_float(value))
        problem = DISTILRANK_LETOR_RANGE;
    else
        row[id - 1] = static_cast<float>(value);
    if (problem) fail(problem, at, static_cast<size_t>(end - at));
    return !problem;
}

bool LetorParser::enter_query(int64_t qid) {
    if (qid == query_) return true;
    query_ = qid;
    if (queries_.insert(qid).second) return true;
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

// ---- The C interface: no exception leaves it ----

struct distilrank_letor {
    distilrank::LetorParser parser;
};

namespace {

template <typename Result, typename Work>
Result guarded(distilrank_letor *letor, Work work) {
    try {
        return work(letor->parser);
    } catch (const std::exception &) {
        letor->parser.fail(DISTILRANK_LETOR_MEMORY, nullptr, 0);
        return Result{-1};
    }
}

} // namespace

int32_t distilrank_abi(void) { return DISTILRANK_ABI; }

distilrank_letor *distilrank_letor_create(int64_t n_features, int64_t longest_line) {
    try {
        return new distilrank_letor{{n_features, longest_line}};
    } catch (const std::exception &) {
        return nullptr;
    }
}

int32_t distilrank_letor_feed(distilrank_letor *letor, const char *bytes, size_t size) {
    return guarded<int32_t>(letor, [&](auto &parser) {
        parser.feed(bytes, size);
        return 0;
    });
}

int32_t distilrank_letor_finish(distilrank_letor *letor) {
    return guarded<int32_t>(letor, [](auto &parser) {
        parser.finish();
        return 0;
    });
}

int64_t distilrank_letor_rows(distilrank_letor *letor, int64_t capacity, float *features,
                              uint8_t *labels, int64_t *qids) {
    return guarded<int64_t>(letor, [&](auto &parser) {
        return parser.rows(capacity, features, labels, qids);
    });
}

distilrank_letor_error distilrank_letor_problem_of(const distilrank_letor *letor) {
    return letor->parser.error();
}

void distilrank_letor_destroy(distilrank_letor *letor) { delete letor; }
