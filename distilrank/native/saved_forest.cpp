#include "saved_forest.hpp"

#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "file_error.hpp"
#include "json.hpp"
#include "tensor_numbers.hpp"

namespace distilrank {
namespace {

constexpr std::string_view kFormat = "distilrank-forest-";

void check_format(const std::string &format) {
    format_number(format, kFormat, 1);
    if (format != std::string(kFormat) + "1")
        refuse_file("the file has format " + quoted(format) + ", expected distilrank-forest-1");
}

// The header names every feature: a scorer's buffers grow with them, and so does the file.
int64_t count_features(const Safetensors &file) {
    const std::string *const names = metadata_of(file, "features");
    if (!names) refuse_file("the file does not name its features");
    int64_t count = 0;
    JsonReader json(*names, "the list of features");
    json.array([&] {
        json.string();
        ++count;
    });
    json.end();
    return count;
}

void check_names(const Safetensors &file) {
    for (const auto &[name, tensor] : file.tensors) {
        bool known = false;
        for (const char *each :
             {"n_nodes", "feature", "threshold", "left", "right", "route", "value"})
            known = known || name == each;
        if (!known) refuse_file("tensor " + quoted(name) + " belongs to no forest");
    }
}

// Each tree's number of nodes.
std::vector<int64_t> read_sizes(const Safetensors &file) {
    const auto sizes = numbers_of<int32_t>(file, "n_nodes", {kAnyLength});
    if (sizes.empty()) refuse_file("the file holds no tree");
    for (size_t tree = 0; tree < sizes.size(); ++tree)
        if (sizes[tree] < 0)
            refuse_file("tensor 'n_nodes' is below 0 at place " + std::to_string(tree));
    return {sizes.begin(), sizes.end()};
}

} // namespace

bool is_forest_file(const Safetensors &file) {
    const std::string *const format = metadata_of(file, "format");
    return format && !format->compare(0, kFormat.size(), kFormat);
}

// The trees' shape, features and numbers are checked when the scorer is made.
std::unique_ptr<Scorer> read_forest_file(const Safetensors &file,
                                         const distilrank_options &options) {
    check_format(*metadata_of(file, "format"));
    check_names(file);
    const std::vector<int64_t> n_nodes = read_sizes(file);
    const auto trees = static_cast<int64_t>(n_nodes.size());
    const int64_t nodes = std::accumulate(n_nodes.begin(), n_nodes.end(), int64_t{0});
    const Numbers<int32_t> feature(file, "feature", {nodes});
    const Numbers<double> threshold(file, "threshold", {nodes});
    const Numbers<int32_t> left(file, "left", {nodes});
    const Numbers<int32_t> right(file, "right", {nodes});
    const Numbers<double> value(file, "value", {nodes + trees});
    std::optional<Numbers<uint8_t>> route;
    if (file.tensors.count("route")) route.emplace(file, "route", std::vector<int64_t>{nodes});
    distilrank_forest forest{};
    forest.n_features = count_features(file);
    forest.n_trees = trees;
    forest.n_nodes = n_nodes.data();
    forest.feature = feature.data();
    forest.threshold = threshold.data();
    forest.left = left.data();
    forest.right = right.data();
    forest.route = route ? route->data() : nullptr;
    forest.value = value.data();
    return make_forest(forest, options);
}

} // namespace distilrank
