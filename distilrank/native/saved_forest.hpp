// A forest as distilrank/forest_file.py saves it.
#pragma once

#include <memory>

#include "safetensors.hpp"
#include "scorer.hpp"

namespace distilrank {

// Whether the file says that it holds a forest, of whatever format.
bool is_forest_file(const Safetensors &file);

// Format distilrank-forest-1. Throws std::invalid_argument with a sentence.
std::unique_ptr<Scorer> read_forest_file(const Safetensors &file,
                                         const distilrank_options &options);

} // namespace distilrank
