#include "lightgbm_text.hpp"

#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "file_error.hpp"
#include "letor_decimal.hpp"

namespace distilrank {
namespace {

using Text = std::string_view;

// LightGBM's kZeroThreshold is a float: what is at most this far from 0 counts as 0.
constexpr double kZero = static_cast<double>(1e-35f);
// decision_type: bit 0 = categorical, bit 1 = default left, then the kind of missing value.
constexpr int32_t kCategorical = 1, kDefaultLeft = 2, kKindAt = 2;
constexpr uint8_t kMissing[] = {0, DISTILRANK_ZERO_IS_MISSING, DISTILRANK_NAN_IS_MISSING};

// Few files have fewer bytes for a node; memory for all of them is asked for once.
constexpr size_t kNodeBytes = 32;

// A forest's arrays, every one of them as long as numbers were read for it.
struct Arrays {
    int64_t n_features = 0;
    std::vector<int64_t> n_nodes;
    std::vector<int32_t> feature, left, right;
    std::vector<double> threshold, value;
    std::vector<uint8_t> route;

    void reserve(size_t nodes) {
        for (std::vector<int32_t> *each : {&feature, &left, &right}) each->reserve(nodes);
        for (std::vector<double> *each : {&threshold, &value}) each->reserve(nodes);
        route.reserve(nodes);
    }
};

// Takes what comes before `mark` off the text, and the mark; all where it is not there: false.
bool take(Text &text, Text mark, Text &before) {
    const size_t place = text.find(mark);
    before = text.substr(0, place);
    text = place == text.npos ? Text() : text.substr(place + mark.size());
    return place != text.npos;
}

// Line ends of other systems, as Python reads them.
std::string with_line_feeds(Text text) {
    std::string found;
    found.reserve(text.size());
    for (size_t k = 0; k < text.size(); ++k)
        if (text[k] != '\r') found += text[k];
        else if (k + 1 == text.size() || text[k + 1] != '\n') found += '\n';
    return found;
}

// A token of up to nine digits that ends in a space or with the text; `at` then stands behind it.
bool short_integer(const char *&at, const char *end, int32_t &value) {
    const char *here = at;
    const bool negative = here != end && *here == '-';
    here += negative;
    const char *const digits = here;
    int32_t found = 0;
    for (; here != end && is_digit(*here); ++here) {
        if (here - digits == 9) return false;
        found = found * 10 + (*here - '0');
    }
    if (here == digits || (here != end && *here != ' ')) return false;
    value = negative ? -found : found;
    at = here;
    return true;
}

// The same of a number that begins with a digit and is within the doubles.
bool plain_decimal(const char *&at, const char *end, double &value) {
    const char *const digits = at + (at != end && *at == '-');
    if (digits == end || !is_digit(*digits)) return false;
    const auto [stop, error] = std::from_chars(at, end, value);
    if (error != std::errc() || (stop != end && *stop != ' ')) return false;
    at = stop;
    return true;
}

// The `key=value` lines of a block; the last of a key counts.
class Fields {
public:
    Fields(Text block, std::string where) : where_(std::move(where)) {
        for (Text line; !block.empty();) {
            take(block, "\n", line);
            const size_t equals = line.find('=');
            if (equals != line.npos)
                lines_.push_back({line.substr(0, equals), line.substr(equals + 1)});
        }
    }

    const std::string &where() const { return where_; }

    Text value(Text key, Text otherwise) const {
        const Text *const found = find(key);
        return found ? *found : otherwise;
    }

    // Put exactly `count` numbers behind those that `into` has.
    void doubles(Text key, int64_t count, std::vector<double> &into) const {
        each<double>(key, count, into, plain_decimal,
                     [&](Text token) { return number(key, token); });
    }
    void integers(Text key, int64_t count, std::vector<int32_t> &into) const {
        each<int32_t>(key, count, into, short_integer,
                      [&](Text token) { return integer(key, token); });
    }

private:
    // `quick` takes the tokens that files have, `any` whatever else may be a number.
    template <typename Number, typename Quick, typename Any>
    void each(Text key, int64_t count, std::vector<Number> &into, Quick quick, Any any) const {
        const Text *const place = find(key);
        if (!place) refuse_file(where_ + ": " + std::string(key) + " is missing");
        const Text line = *place;
        // What str.split() of Python splits ASCII at.
        const auto space = [](char c) { return is_space(c) || (c >= '\x1c' && c <= '\x1f'); };
        const char *at = line.data(), *const end = at + line.size();
        int64_t found = 0;
        for (;; ++found) {
            while (at != end && space(*at)) ++at;
            if (at == end) break;
            Number value;
            if (!quick(at, end, value)) {
                const char *const start = at;
                while (at != end && !space(*at)) ++at;
                value = any(Text(start, size_t(at - start)));
            }
            into.push_back(value);
        }
        if (found != count)
            refuse_file(where_ + ": " + std::string(key) + " has " + std::to_string(found) +
                        " values, expected " + std::to_string(count));
    }

    double number(Text key, Text token) const {
        double found;
        if (!any_decimal(token.data(), token.data() + token.size(), found))
            refuse_file(where_ + ": " + std::string(key) +
                        " holds something that is no number: " + quoted(token));
        return found;
    }

    int32_t integer(Text key, Text token) const {
        const double found = number(key, token);
        if (found == std::trunc(found) && std::fabs(found) < 2147483648.0)
            return static_cast<int32_t>(found);
        refuse_file(where_ + ": " + std::string(key) + " holds " + quoted(token) +
                    ", expected whole numbers");
    }

    // A tree has some fifteen lines: looking through them takes less than keeping them sorted.
    const Text *find(Text key) const {
        for (auto line = lines_.rbegin(); line != lines_.rend(); ++line)
            if (line->first == key) return &line->second;
        return nullptr;
    }

    std::vector<std::pair<Text, Text>> lines_;
    std::string where_;
};

// The number of features of a forest whose score is the plain sum of its trees.
int64_t read_header(Text head, size_t file_size) {
    const Fields header(head, "the header");
    const Text classes = header.value("num_tree_per_iteration", "1");
    if (classes != "1")
        refuse_file("the forest scores " + quoted(classes) +
                    " classes, expected 1: one score a document");
    for (Text rest = head, line; !rest.empty();) {
        take(rest, "\n", line);
        if (line == "average_output")
            refuse_file("the forest averages its trees; train with boosting=gbdt");
    }
    const Text index = header.value("max_feature_idx", "");
    const int64_t last = whole_number(index.data(), index.data() + index.size(), 999'999'999);
    if (last < 0 || index.size() > 9)
        refuse_file("the header gives no whole number max_feature_idx but " + quoted(index));
    // A scorer's buffers grow with the features. LightGBM names each of them in the file.
    if (static_cast<size_t>(last) >= file_size)
        refuse_file("the header announces " + std::to_string(last + 1) +
                    " features, expected no more than the file's " + std::to_string(file_size) +
                    " bytes");
    return last + 1;
}

uint8_t route_of(int32_t decision, const std::string &where) {
    if (decision & kCategorical)
        refuse_file(where + ": categorical splits are not supported; train on numbers only");
    if (decision < 0 || decision >> kKindAt >= static_cast<int32_t>(std::size(kMissing)))
        refuse_file(where + ": decision_type " + std::to_string(decision) +
                    " has an unknown kind of missing value");
    const uint8_t missing = kMissing[decision >> kKindAt];
    const bool left = missing && decision & kDefaultLeft;
    return static_cast<uint8_t>(missing | (left ? DISTILRANK_DEFAULT_LEFT : 0));
}

// A threshold that sends what LightGBM takes for 0 the way of 0, comparing with `<=` alone.
double around_zero(double threshold) {
    if (threshold >= -kZero && threshold < 0)
        return std::nextafter(-kZero, -std::numeric_limits<double>::infinity());
    return threshold >= 0 && threshold < kZero ? kZero : threshold;
}

// The tree's shape, features and numbers are checked when the scorer is made.
void add_tree(const Fields &fields, Arrays &arrays) {
    std::vector<int32_t> numbers;
    fields.integers("num_leaves", 1, numbers);
    const int64_t leaves = numbers[0], nodes = leaves - 1;
    if (leaves < 1)
        refuse_file(fields.where() + ": num_leaves is " + std::to_string(leaves) +
                    ", expected at least 1");
    if (fields.value("is_linear", "0") != "0")
        refuse_file(fields.where() +
                    ": linear leaves are not supported; train with linear_tree=false");
    fields.doubles("leaf_value", leaves, arrays.value);
    arrays.n_nodes.push_back(nodes);
    if (!nodes) return;
    numbers.clear();
    fields.integers("decision_type", nodes, numbers);
    for (const int32_t decision : numbers)
        arrays.route.push_back(route_of(decision, fields.where()));
    fields.integers("split_feature", nodes, arrays.feature);
    fields.doubles("threshold", nodes, arrays.threshold);
    for (auto k = arrays.threshold.end() - nodes; k != arrays.threshold.end(); ++k)
        *k = around_zero(*k);
    fields.integers("left_child", nodes, arrays.left);
    fields.integers("right_child", nodes, arrays.right);
}

Arrays read_text(Text text) {
    Arrays arrays;
    const size_t size = text.size();
    const size_t end = text.find("\nend of trees");
    Text blocks = text.substr(0, end), head;
    bool more = take(blocks, "\nTree=", head);
    if (head.substr(0, 5) != "tree\n")
        refuse_file("the file is no LightGBM model text: it has no header after 'tree'");
    if (end == text.npos) refuse_file("the file is cut short: 'end of trees' is missing");
    arrays.n_features = read_header(head, size);
    arrays.reserve(size / kNodeBytes);
    Text block;
    for (int64_t tree = 0; more; ++tree) {
        more = take(blocks, "\nTree=", block);
        add_tree(Fields(block, "tree " + std::to_string(tree)), arrays);
    }
    if (arrays.n_nodes.empty()) refuse_file("the file holds no tree");
    return arrays;
}

} // namespace

std::unique_ptr<Scorer> read_lightgbm(std::string_view file, const distilrank_options &options) {
    std::string translated;
    if (file.find('\r') != file.npos) file = translated = with_line_feeds(file);
    const Arrays arrays = read_text(file);
    distilrank_forest forest{};
    forest.n_features = arrays.n_features;
    forest.n_trees = static_cast<int64_t>(arrays.n_nodes.size());
    forest.n_nodes = arrays.n_nodes.data();
    forest.feature = arrays.feature.data();
    forest.threshold = arrays.threshold.data();
    forest.left = arrays.left.data();
    forest.right = arrays.right.data();
    forest.route = arrays.route.data();
    forest.value = arrays.value.data();
    return make_forest(forest, options);
}

} // namespace distilrank
