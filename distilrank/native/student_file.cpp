#include "student_file.hpp"

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "file_error.hpp"
#include "letor_decimal.hpp"
#include "safetensors.hpp"

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

template <typename Number, typename Bits>
Number from_little_endian(const char *bytes) {
    static_assert(sizeof(Number) == sizeof(Bits));
    Bits bits = 0;
    for (size_t k = sizeof(Bits); k-- > 0;)
        bits = static_cast<Bits>(bits << 8 | static_cast<unsigned char>(bytes[k]));
    Number number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

class StudentFile {
public:
    explicit StudentFile(std::string_view file) : file_(read_safetensors(file)) {}

    Arrays read() const {
        check_format();
        Arrays arrays;
        arrays.mean = numbers<double, uint64_t>("mean", "F64", {any});
        const auto features = static_cast<int64_t>(arrays.mean.size());
        arrays.scale = numbers<double, uint64_t>("scale", "F64", {features});
        for (size_t f = 0; f < arrays.scale.size(); ++f)
            if (!(arrays.scale[f] > 0))
                refuse_file("tensor 'scale' is not above 0 at place " + std::to_string(f));
        if (file_.tensors.count("fill"))
            arrays.fill = numbers<float, uint32_t>("fill", "F32", {features});
        read_layers(arrays, features);
        check_architecture(arrays.widths);
        return arrays;
    }

private:
    static constexpr int64_t any = -1;
    Safetensors file_;

    const std::string *metadata(const char *key) const {
        const auto found = file_.metadata.find(key);
        return found == file_.metadata.end() ? nullptr : &found->second;
    }

    void check_format() const {
        const std::string *format = metadata("format"), *activation = metadata("activation");
        if (!format || format->compare(0, kFormat.size(), kFormat))
            refuse_file("the file is safetensors but no network of distilrank: its format is " +
                        (format ? quoted(*format) : "not said") + ", expected " +
                        std::string(kFormat) + std::to_string(kPlain) + " or " +
                        std::to_string(kWithFill));
        const int64_t number = whole_number(format->data() + kFormat.size(),
                                            format->data() + format->size(), 1'000'000);
        if (number > kWithFill)
            refuse_file("the file has format " + quoted(*format) +
                        ", made by a newer distilrank; this one reads " + std::to_string(kPlain) +
                        " and " + std::to_string(kWithFill));
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

    // A tensor's numbers; `shape` has `any` where every length will do.
    template <typename Number, typename Bits>
    std::vector<Number> numbers(const std::string &name, const std::string &dtype,
                                const std::vector<int64_t> &shape) const {
        const Tensor &tensor = named(name);
        if (tensor.dtype != dtype)
            refuse_file("tensor " + quoted(name) + " is of type " + tensor.dtype + ", expected " +
                        dtype);
        bool fits = tensor.shape.size() == shape.size();
        for (size_t k = 0; fits && k < shape.size(); ++k)
            fits = shape[k] == any || shape[k] == tensor.shape[k];
        if (!fits) {
            std::string expected = shape_text(shape);
            const size_t place = expected.find("-1");
            if (place != expected.npos) expected.replace(place, 2, "any");
            refuse_file("tensor " + quoted(name) + " has shape " + shape_text(tensor.shape) +
                        ", expected " + expected);
        }
        std::vector<Number> found(tensor.bytes.size() / sizeof(Number));
        for (size_t k = 0; k < found.size(); ++k) {
            found[k] = from_little_endian<Number, Bits>(tensor.bytes.data() + k * sizeof(Number));
            if (!std::isfinite(found[k]))
                refuse_file("tensor " + quoted(name) + " is NaN or infinite at place " +
                            std::to_string(k));
        }
        return found;
    }

    const Tensor &named(const std::string &name) const {
        const auto found = file_.tensors.find(name);
        if (found == file_.tensors.end())
            refuse_file("tensor " + quoted(name) + " is missing");
        return found->second;
    }

    void read_layers(Arrays &arrays, int64_t features) const {
        arrays.widths = {features};
        for (size_t layer = 0; !layer || file_.tensors.count("weight" + std::to_string(layer));
             ++layer) {
            const std::string number = std::to_string(layer);
            arrays.weights.push_back(
                numbers<float, uint32_t>("weight" + number, "F32", {any, arrays.widths.back()}));
            arrays.widths.push_back(named("weight" + number).shape[0]);
            arrays.biases.push_back(
                numbers<float, uint32_t>("bias" + number, "F32", {arrays.widths.back()}));
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
        const std::string *said = metadata("architecture");
        if (said && *said != found)
            refuse_file("the metadata says architecture " + quoted(*said) + ", the tensors make " +
                        quoted(found));
    }
};

} // namespace

std::unique_ptr<Scorer> read_student(std::string_view file, const distilrank_options &options) {
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
