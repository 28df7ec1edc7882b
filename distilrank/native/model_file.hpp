// A scorer from a model's file, whatever kind of model it holds.
#pragma once

#include <memory>
#include <string_view>

#include "scorer.hpp"

namespace distilrank {

// Both throw std::invalid_argument with a sentence that does not repeat the path.
std::unique_ptr<Scorer> read_model(std::string_view file, const distilrank_options &options);
std::unique_ptr<Scorer> open_model(const char *path, const distilrank_options &options);

} // namespace distilrank
