// The numbers of a safetensors file's tensors, for the readers of models.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "file_error.hpp"
#include "letor_decimal.hpp"
#include "safetensors.hpp"

namespace distilrank {

constexpr int64_t kAnyLength = -1; // in the shape that is expected

// NULL where the file does not say it.
inline const std::string *metadata_of(const Safetensors &file, const char *key) {
    const auto found = file.metadata.find(key);
    return found == file.metadata.end() ? nullptr : &found->second;
}

// The number behind `prefix` of a file's format; a later one than `last` is refused.
inline int64_t format_number(const std::string &format, std::string_view prefix, int64_t last) {
    const int64_t number =
        whole_number(format.data() + prefix.size(), format.data() + format.size(), 1'000'000);
    if (number > last)
        refuse_file("the file has format " + quoted(format) +
                    ", made by a newer distilrank; this one reads " +
                    (last == 1 ? "1" : "1 and " + std::to_string(last)));
    return number;
}

inline const Tensor &tensor_of(const Safetensors &file, const std::string &name) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) refuse_file("tensor " + quoted(name) + " is missing");
    return found->second;
}

template <typename Number>
constexpr const char *type_of() {
    if (std::is_same_v<Number, float>) return "F32";
    if (std::is_same_v<Number, double>) return "F64";
    return std::is_same_v<Number, int32_t> ? "I32" : "U8";
}

// Refuses a tensor of another type or shape; `shape` has kAnyLength where every length will do.
inline void check_tensor(const Tensor &tensor, const std::string &name, const char *dtype,
                         const std::vector<int64_t> &shape) {
    if (tensor.dtype != dtype)
        refuse_file("tensor " + quoted(name) + " is of type " + tensor.dtype + ", expected " +
                    dtype);
    bool fits = tensor.shape.size() == shape.size();
    for (size_t k = 0; fits && k < shape.size(); ++k)
        fits = shape[k] == kAnyLength || shape[k] == tensor.shape[k];
    if (fits) return;
    std::string expected = shape_text(shape);
    const size_t place = expected.find("-1");
    if (place != expected.npos) expected.replace(place, 2, "any");
    refuse_file("tensor " + quoted(name) + " has shape " + shape_text(tensor.shape) +
                ", expected " + expected);
}

template <typename Number>
std::vector<Number> numbers_of(const Safetensors &file, const std::string &name,
                               const std::vector<int64_t> &shape) {
    const Tensor &tensor = tensor_of(file, name);
    check_tensor(tensor, name, type_of<Number>(), shape);
    std::vector<Number> found(tensor.bytes.size() / sizeof(Number));
    if (!found.empty()) std::memcpy(found.data(), tensor.bytes.data(), tensor.bytes.size());
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    auto *const bytes = reinterpret_cast<unsigned char *>(found.data());
    for (size_t k = 0; k < found.size(); ++k)
        std::reverse(bytes + k * sizeof(Number), bytes + (k + 1) * sizeof(Number));
#endif
    return found;
}

// The same where they lie, or copied where the processor would not read them there.
template <typename Number>
class Numbers {
public:
    Numbers(const Safetensors &file, const std::string &name, const std::vector<int64_t> &shape) {
        const Tensor &tensor = tensor_of(file, name);
        check_tensor(tensor, name, type_of<Number>(), shape);
        data_ = reinterpret_cast<const Number *>(tensor.bytes.data());
        const bool aligned = reinterpret_cast<uintptr_t>(data_) % alignof(Number) == 0;
        if (aligned && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) return;
        copy_ = numbers_of<Number>(file, name, shape);
        data_ = copy_.data();
    }

    Numbers(const Numbers &) = delete; // `data_` may point into `copy_`
    Numbers &operator=(const Numbers &) = delete;

    const Number *data() const { return data_; }

private:
    const Number *data_;
    std::vector<Number> copy_;
};

// Numbers that must be finite.
template <typename Number>
std::vector<Number> finite_numbers_of(const Safetensors &file, const std::string &name,
                                      const std::vector<int64_t> &shape) {
    std::vector<Number> found = numbers_of<Number>(file, name, shape);
    for (size_t k = 0; k < found.size(); ++k)
        if (!std::isfinite(found[k]))
            refuse_file("tensor " + quoted(name) + " is NaN or infinite at place " +
                        std::to_string(k));
    return found;
}

} // namespace distilrank
