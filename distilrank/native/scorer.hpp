// What forests and networks have in common behind the C interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "distilrank.h"

namespace distilrank {

// A model made ready to score, with buffers of its own. Creating throws std::invalid_argument with
// a sentence for the person whose model it is.
class Scorer {
public:
    virtual ~Scorer() = default;
    // `n` rows of n_features() floats, `stride` floats apart. Allocates nothing, throws nothing.
    virtual void score(const float *rows, int64_t n, int64_t stride, float *scores) noexcept = 0;
    // The same, adding what each of n_steps() took to `seconds`; a model of one step takes no notice.
    virtual int64_t n_steps() const { return 0; }
    virtual void profile(const float *rows, int64_t n, int64_t stride, float *scores,
                         double *seconds) noexcept {
        static_cast<void>(seconds);
        score(rows, n, stride, scores);
    }
    // Shares the model, has its own buffers.
    virtual std::unique_ptr<Scorer> clone() const = 0;
    virtual int64_t n_features() const = 0;
    virtual std::string describe() const = 0;
};

std::unique_ptr<Scorer> make_forest(const distilrank_forest &forest, const distilrank_options &options);
std::unique_ptr<Scorer> make_network(const distilrank_network &network,
                                     const distilrank_options &options);

} // namespace distilrank
