// Stands in for what a library of forest scorers alone (-DSCORERS=FORESTS) leaves out.
#include <stdexcept>

#include "model_file.hpp"
#include "scorer.hpp"

namespace distilrank {

namespace {

[[noreturn]] void refuse() {
    throw std::invalid_argument("this library was built to score forests given as arrays, and nothing else");
}

} // namespace

std::unique_ptr<Scorer> make_network(const distilrank_network &, const distilrank_options &) {
    refuse();
}

std::unique_ptr<Scorer> open_model(const char *, const distilrank_options &) { refuse(); }

std::unique_ptr<Scorer> read_model(std::string_view, const distilrank_options &) { refuse(); }

} // namespace distilrank
