// How the readers of model files say what is wrong with one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace distilrank {

// `sentence` is for the person whose file it is; it does not name the file.
[[noreturn]] inline void refuse_file(const std::string &sentence) {
    throw std::invalid_argument(sentence);
}

// The start of what was found, for a sentence that stays ASCII whatever the file holds.
inline std::string quoted(std::string_view found) {
    constexpr size_t most = 40;
    std::string text(found.substr(0, most));
    std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return "'" + text + (found.size() > most ? "...'" : "'");
}

} // namespace distilrank
