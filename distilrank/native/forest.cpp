#include "scorer.hpp"

#include <stdexcept>

namespace distilrank {

std::unique_ptr<Scorer> make_forest(const distilrank_forest &, const distilrank_options &) {
    throw std::invalid_argument("not built yet");
}

} // namespace distilrank
