// LightGBM's model text, by the rules of distilrank/lightgbm_text.py.
#pragma once

#include <memory>
#include <string_view>

#include "scorer.hpp"

namespace distilrank {

// Numerical `<=` splits, missing values routed as LightGBM routes them. Throws
// std::invalid_argument with a sentence that names the tree.
std::unique_ptr<Scorer> read_lightgbm(std::string_view file, const distilrank_options &options);

} // namespace distilrank
