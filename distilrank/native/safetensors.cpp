#include "safetensors.hpp"

#include <algorithm>
#include <utility>

#include "file_error.hpp"
#include "json.hpp"

namespace distilrank {
namespace {

// The format's own limit.
constexpr uint64_t kLongestHeader = 100'000'000;

struct Place {
    int64_t begin = 0, end = 0; // in the bytes after the header
};

uint64_t header_size(std::string_view file) {
    if (file.size() < 8)
        refuse_file("the file is cut short: it has " + std::to_string(file.size()) +
                    " bytes, expected the 8 of the header's length");
    uint64_t size = 0;
    for (size_t k = 8; k-- > 0;) size = size << 8 | static_cast<unsigned char>(file[k]);
    if (size > kLongestHeader)
        refuse_file("the file announces a header of " + std::to_string(size) +
                    " bytes, expected at most " + std::to_string(kLongestHeader));
    if (size > file.size() - 8)
        refuse_file("the file is cut short: it announces a header of " + std::to_string(size) +
                    " bytes, and has " + std::to_string(file.size() - 8) + " after the length");
    return size;
}

int64_t item_size(const std::string &dtype, const std::string &name) {
    if (dtype == "U8") return 1;
    if (dtype == "F32" || dtype == "I32") return 4;
    if (dtype == "F64") return 8;
    refuse_file("tensor " + quoted(name) + " is of type " + quoted(dtype) +
                ", expected F32, F64, I32 or U8");
}

// The bytes of `shape`; -1 where they are more than `most`.
int64_t size_of(const std::vector<int64_t> &shape, int64_t item, int64_t most) {
    if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
    int64_t size = item;
    for (const int64_t length : shape) {
        if (size > most / length) return -1;
        size *= length;
    }
    return size;
}

Place read_place(JsonReader &json, const std::string &name) {
    std::vector<int64_t> offsets;
    json.array([&] { offsets.push_back(json.whole_number()); });
    if (offsets.size() != 2)
        refuse_file("tensor " + quoted(name) + " has " + std::to_string(offsets.size()) +
                    " data_offsets, expected 2");
    return {offsets[0], offsets[1]};
}

Tensor read_tensor(JsonReader &json, const std::string &name, std::string_view data, Place &place) {
    Tensor tensor;
    bool seen[3] = {};
    const auto once = [&](int field) {
        if (std::exchange(seen[field], true))
            refuse_file("tensor " + quoted(name) + " is described twice over in the header");
    };
    json.object([&](const std::string &key) {
        if (key == "dtype") {
            once(0);
            tensor.dtype = json.string();
        } else if (key == "shape") {
            once(1);
            json.array([&] { tensor.shape.push_back(json.whole_number()); });
        } else if (key == "data_offsets") {
            once(2);
            place = read_place(json, name);
        } else {
            refuse_file("tensor " + quoted(name) + " has " + quoted(key) +
                        " in the header, expected dtype, shape and data_offsets alone");
        }
    });
    if (!(seen[0] && seen[1] && seen[2]))
        refuse_file("tensor " + quoted(name) + " lacks its dtype, shape or data_offsets");
    const auto most = static_cast<int64_t>(data.size());
    if (place.begin > place.end || place.end > most)
        refuse_file("tensor " + quoted(name) + " lies from byte " + std::to_string(place.begin) +
                    " to " + std::to_string(place.end) + " of " + std::to_string(most) +
                    ": the file is cut short or its header is wrong");
    const int64_t size = place.end - place.begin;
    if (size_of(tensor.shape, item_size(tensor.dtype, name), most) != size)
        refuse_file("tensor " + quoted(name) + " has " + std::to_string(size) +
                    " bytes, which is not what " + tensor.dtype + " of shape " +
                    shape_text(tensor.shape) + " takes");
    tensor.bytes = data.substr(static_cast<size_t>(place.begin), static_cast<size_t>(size));
    return tensor;
}

// Each tensor starts where the one before it ends, and the last ends with the file.
void check_places(std::vector<std::pair<Place, std::string>> places, size_t data_size) {
    std::sort(places.begin(), places.end(), [](const auto &a, const auto &b) {
        return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
    });
    int64_t expected = 0;
    for (const auto &[place, name] : places) {
        if (place.begin != expected)
            refuse_file("tensor " + quoted(name) + " starts at byte " +
                        std::to_string(place.begin) + ", expected " + std::to_string(expected) +
                        ": tensors overlap or leave a gap");
        expected = place.end;
    }
    if (static_cast<size_t>(expected) != data_size)
        refuse_file("the file has " + std::to_string(data_size) +
                    " bytes after its header, expected " + std::to_string(expected));
}

} // namespace

std::string shape_text(const std::vector<int64_t> &shape) {
    constexpr size_t most = 8;
    std::string text = "[";
    for (size_t k = 0; k < shape.size() && k < most; ++k)
        text += (k ? ", " : "") + std::to_string(shape[k]);
    return text + (shape.size() > most ? ", ...]" : "]");
}

Safetensors read_safetensors(std::string_view file) {
    const auto size = static_cast<size_t>(header_size(file));
    const std::string_view data = file.substr(8 + size);
    Safetensors found;
    std::vector<std::pair<Place, std::string>> places;
    bool described = false;
    JsonReader json(file.substr(8, size), "the safetensors header");
    json.object([&](const std::string &key) {
        if (key == "__metadata__") {
            if (std::exchange(described, true)) refuse_file("the header has __metadata__ twice");
            json.object([&](const std::string &name) {
                if (!found.metadata.emplace(name, json.string()).second)
                    refuse_file("the header's metadata has " + quoted(name) + " twice");
            });
            return;
        }
        Place place;
        Tensor tensor = read_tensor(json, key, data, place);
        if (!found.tensors.emplace(key, std::move(tensor)).second)
            refuse_file("the header has tensor " + quoted(key) + " twice");
        places.emplace_back(place, key);
    });
    json.end();
    check_places(std::move(places), data.size());
    return found;
}

} // namespace distilrank
