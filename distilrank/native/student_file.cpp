#include "student_file.hpp"

#include <string>
#include <vector>

#include "file_error.hpp"
#include "letor_decimal.hpp"
#include "tensor_numbers.hpp"

namespace distilrank {
namespace {

constexpr std::string_view kFormat = "distilrank-student-";
constexpr int64_t kPlain = 1, kWithFill = 2; // the formats' numbers

struct Arrays {
    std::vector<int64_t> widths;
    std::vector<std::vector<float>> weights, biases;
    std::vector<double> mean, scale;
    std::vector<float> fill; // empty: none
};

class StudentFile {
public:
    explicit StudentFile(const Safetensors &file) : file_(file) {}

    Arrays read() const {
        check_format();
        Arrays arrays;
        arrays.mean = finite_numbers_of<double>(file_, "mean", {kAnyLength});
        const auto features = static_cast<int64_t>(arrays.mean.size());
        arrays.scale = finite_numbers_of<double>(file_, "scale", {features});
        for (size_t f = 0; f < arrays.scale.size(); ++f)
            if (!(arrays.scale[f] > 0))
                refuse_file("tensor 'scale' is not above 0 at place " + std::to_string(f));
        if (file_.tensors.count("fill"))
            arrays.fill = finite_numbers_of<float>(file_, "fill", {features});
        read_layers(arrays, features);
        check_architecture(arrays.widths);
        return arrays;
    }

private:
    const Safetensors &file_;

    void check_format() const {
        const std::string *format = metadata_of(file_, "format");
        const std::string *activation = metadata_of(file_, "activation");
        if (!format || format->compare(0, kFormat.size(), kFormat))
            refuse_file("the file is safetensors but no model of distilrank: its format is " +
                        (format ? quoted(*format) : "not said") + ", expected " +
                        std::string(kFormat) + std::to_string(kPlain) + " or " +
                        std::to_string(kWithFill) + ", or a forest's");
        format_number(*format, kFormat, kWithFill);
        const bool fills = file_.tensors.count("fill");
        const std::string expected =
            std::string(kFormat) + std::to_string(fills ? kWithFill : kPlain);
        if (*format != expected)
            refuse_file("the file has format " + quoted(*format) + ", expected " + expected +
                        (fills ? " with" : " without") + " a tensor 'fill'");
        if (!activation || *activation != "relu6")
            refuse_file("the file's activation is " +
                        (activation ? quoted(*activation) : "not said") + ", expected 'relu6'");
    }

    void read_layers(Arrays &arrays, int64_t features) const {
        arrays.widths = {features};
        for (size_t layer = 0; !layer || file_.tensors.count("weight" + std::to_string(layer));
             ++layer) {
            const std::string number = std::to_string(layer);
            arrays.weights.push_back(finite_numbers_of<float>(file_, "weight" + number,
                                                              {kAnyLength, arrays.widths.back()}));
            arrays.widths.push_back(tensor_of(file_, "weight" + number).shape[0]);
            arrays.biases.push_back(
                finite_numbers_of<float>(file_, "bias" + number, {arrays.widths.back()}));
        }
        if (arrays.widths.back() != 1)
            refuse_file("the last layer has " + std::to_string(arrays.widths.back()) +
                        " outputs, expected 1");
        for (const auto &[name, tensor] : file_.tensors)
            if (!is_used(name, arrays.weights.size()))
                refuse_file("tensor " + quoted(name) + " belongs to no layer of a network of " +
                            std::to_string(arrays.weights.size()));
    }

    static bool is_used(const std::string &name, size_t layers) {
        if (name == "mean" || name == "scale" || name == "fill") return true;
        for (const std::string prefix : {"weight", "bias"}) {
            if (name.compare(0, prefix.size(), prefix)) continue;
            const int64_t layer = whole_number(name.data() + prefix.size(),
                                               name.data() + name.size(), 1'000'000'000);
            return layer >= 0 && static_cast<size_t>(layer) < layers &&
                   name == prefix + std::to_string(layer);
        }
        return false;
    }

    void check_architecture(const std::vector<int64_t> &widths) const {
        std::string found;
        for (const int64_t width : widths) found += (found.empty() ? "" : "-") + std::to_string(width);
        const std::string *said = metadata_of(file_, "architecture");
        if (said && *said != found)
            refuse_file("the metadata says architecture " + quoted(*said) + ", the tensors make " +
                        quoted(found));
    }
};

} // namespace

std::unique_ptr<Scorer> read_student(const Safetensors &file, const distilrank_options &options) {
    const Arrays arrays = StudentFile(file).read();
    std::vector<const float *> weights, biases;
    for (size_t layer = 0; layer < arrays.weights.size(); ++layer) {
        weights.push_back(arrays.weights[layer].data());
        biases.push_back(arrays.biases[layer].data());
    }
    distilrank_network network{};
    network.n_layers = static_cast<int64_t>(weights.size());
    network.widths = arrays.widths.data();
    network.weights = weights.data();
    network.biases = biases.data();
    network.mean = arrays.mean.data();
    network.scale = arrays.scale.data();
    network.fill = arrays.fill.empty() ? nullptr : arrays.fill.data();
    return make_network(network, options);
}

} // namespace distilrank
