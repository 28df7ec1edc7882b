// The C interface of the scorers: no exception leaves it, and nothing wrong gets further.
#include "scorer.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "model_file.hpp"

struct distilrank_scorer {
    std::unique_ptr<distilrank::Scorer> scorer;
    std::string description;
};

namespace {

void say(const char *sentence, char *error, size_t size) {
    if (!error || !size) return;
    const size_t length = std::min(std::strlen(sentence), size - 1);
    std::memcpy(error, sentence, length);
    error[length] = 0;
}

template <typename Make>
distilrank_scorer *made(Make make, char *error, size_t size) {
    try {
        auto scorer = make();
        std::string description = scorer->describe();
        return new distilrank_scorer{std::move(scorer), std::move(description)};
    } catch (const std::bad_alloc &) {
        say("no memory left for a scorer", error, size);
    } catch (const std::exception &problem) {
        say(problem.what(), error, size);
    }
    return nullptr;
}

distilrank_options checked(const distilrank_options *options) {
    const distilrank_options chosen = options ? *options : distilrank_options{};
    if (chosen.level < DISTILRANK_BEST || chosen.level > DISTILRANK_AMX)
        throw std::invalid_argument("options.level is none of enum distilrank_level");
    if (chosen.precision < DISTILRANK_FP32 || chosen.precision > DISTILRANK_INT8)
        throw std::invalid_argument("options.precision is none of enum distilrank_precision");
    return chosen;
}

template <typename Model>
const Model &given(const Model *model) {
    if (!model) throw std::invalid_argument("no model was given: the pointer is NULL");
    return *model;
}

// What is wrong with what is to be scored, or NULL.
const char *wrong_batch(const distilrank_scorer *scorer, const float *rows, int64_t n,
                        int64_t stride, const float *scores) {
    if (!scorer) return "no scorer was given: the pointer is NULL";
    if (n < 0) return "n is negative";
    if (n && (!rows || !scores)) return "rows or scores is NULL";
    if (n && stride < scorer->scorer->n_features())
        return "stride is less than the model's number of features";
    return nullptr;
}

} // namespace

distilrank_scorer *distilrank_scorer_forest(const distilrank_forest *forest,
                                            const distilrank_options *options, char *error,
                                            size_t size) {
    return made([&] { return distilrank::make_forest(given(forest), checked(options)); }, error,
                size);
}

distilrank_scorer *distilrank_scorer_network(const distilrank_network *network,
                                             const distilrank_options *options, char *error,
                                             size_t size) {
    return made([&] { return distilrank::make_network(given(network), checked(options)); }, error,
                size);
}

distilrank_scorer *distilrank_scorer_open(const char *path, const distilrank_options *options,
                                          char *error, size_t size) {
    return made([&] { return distilrank::open_model(&given(path), checked(options)); }, error,
                size);
}

distilrank_scorer *distilrank_scorer_read(const void *bytes, size_t n_bytes,
                                          const distilrank_options *options, char *error,
                                          size_t size) {
    const auto *text = static_cast<const char *>(bytes);
    return made(
        [&] { return distilrank::read_model({&given(text), n_bytes}, checked(options)); }, error,
        size);
}

distilrank_scorer *distilrank_scorer_clone(const distilrank_scorer *scorer, char *error,
                                           size_t size) {
    return made([&] { return given(scorer).scorer->clone(); }, error, size);
}

int32_t distilrank_scorer_score(distilrank_scorer *scorer, const float *rows, int64_t n,
                                int64_t stride, float *scores, char *error, size_t size) {
    const char *wrong = wrong_batch(scorer, rows, n, stride, scores);
    if (wrong) {
        say(wrong, error, size);
        return 1;
    }
    scorer->scorer->score(rows, n, stride, scores);
    return 0;
}

int32_t distilrank_scorer_call(const distilrank_call *call, const float *rows, float *scores) {
    if (!call) return 1;
    return distilrank_scorer_score(call->scorer, rows, call->n, call->stride, scores, call->error,
                                   call->size);
}

int64_t distilrank_scorer_features(const distilrank_scorer *scorer) {
    return scorer ? scorer->scorer->n_features() : -1;
}

int64_t distilrank_scorer_steps(const distilrank_scorer *scorer) {
    return scorer ? scorer->scorer->n_steps() : 0;
}

int32_t distilrank_scorer_profile(distilrank_scorer *scorer, const float *rows, int64_t n,
                                  int64_t stride, float *scores, double *seconds, char *error,
                                  size_t size) {
    const char *wrong = wrong_batch(scorer, rows, n, stride, scores);
    if (!wrong && !seconds) wrong = "seconds is NULL";
    if (!wrong && !scorer->scorer->n_steps()) wrong = "only networks are timed step by step";
    if (wrong) {
        say(wrong, error, size);
        return 1;
    }
    scorer->scorer->profile(rows, n, stride, scores, seconds);
    return 0;
}

const char *distilrank_scorer_describe(const distilrank_scorer *scorer) {
    return scorer ? scorer->description.c_str() : "{}";
}

void distilrank_scorer_destroy(distilrank_scorer *scorer) { delete scorer; }
