// A network as distilrank/student.py saves it.
#pragma once

#include <memory>

#include "safetensors.hpp"
#include "scorer.hpp"

namespace distilrank {

// Formats distilrank-student-1 and -2, the latter with values that take the place of missing ones.
// Throws std::invalid_argument with a sentence.
std::unique_ptr<Scorer> read_student(const Safetensors &file, const distilrank_options &options);

} // namespace distilrank
