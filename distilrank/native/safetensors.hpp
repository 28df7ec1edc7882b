// The safetensors format: a JSON header, then the tensors' bytes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace distilrank {

struct Tensor {
    std::string dtype; // F32, F64, I32 or U8
    std::vector<int64_t> shape;
    std::string_view bytes; // little-endian, row after row; as many as dtype and shape say
};

struct Safetensors {
    std::map<std::string, std::string> metadata;
    std::map<std::string, Tensor> tensors;
};

// `file` must outlive what is read from it. Throws std::invalid_argument with a sentence where the
// tensors do not lie side by side from the header to the file's end, each of its shape's size.
Safetensors read_safetensors(std::string_view file);

// "[2, 3]"
std::string shape_text(const std::vector<int64_t> &shape);

} // namespace distilrank
