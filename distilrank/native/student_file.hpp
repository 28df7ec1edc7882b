// A network as distilrank/student.py saves it.
#pragma once

#include <memory>
#include <string_view>

#include "scorer.hpp"

namespace distilrank {

// Formats distilrank-student-1 and -2, the latter with values that take the place of missing ones.
// Throws std::invalid_argument with a sentence.
std::unique_ptr<Scorer> read_student(std::string_view file, const distilrank_options &options);

} // namespace distilrank
