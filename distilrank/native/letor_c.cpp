// The parser's part of the C interface: no exception leaves it.
#include <exception>

#include "letor.hpp"

struct distilrank_letor {
    distilrank::LetorParser parser;
};

namespace {

template <typename Result, typename Work> Result guarded(distilrank_letor *letor, Work work) {
    try {
        return work(letor->parser);
    } catch (const std::exception &) {
        letor->parser.fail(DISTILRANK_LETOR_MEMORY, nullptr, 0);
        return Result{-1};
    }
}

} // namespace

int32_t distilrank_abi(void) { return DISTILRANK_ABI; }

int32_t distilrank_letor_best_level(void) { return distilrank::best_level(); }

distilrank_letor *distilrank_letor_create(int64_t n_features, int64_t longest_line,
                                          int32_t returning, int32_t level) {
    try {
        return new distilrank_letor{{n_features, longest_line, returning != 0, level}};
    } catch (const std::exception &) {
        return nullptr;
    }
}

int32_t distilrank_letor_feed(distilrank_letor *letor, const char *bytes, size_t size) {
    return guarded<int32_t>(letor, [&](auto &parser) {
        parser.feed(bytes, size);
        return 0;
    });
}

int32_t distilrank_letor_finish(distilrank_letor *letor) {
    return guarded<int32_t>(letor, [](auto &parser) {
        parser.finish();
        return 0;
    });
}

int64_t distilrank_letor_rows(distilrank_letor *letor, int64_t capacity, float *features,
                              uint8_t *labels, int64_t *qids) {
    return guarded<int64_t>(
        letor, [&](auto &parser) { return parser.rows(capacity, features, labels, qids); });
}

distilrank_letor_error distilrank_letor_problem_of(const distilrank_letor *letor) {
    return letor->parser.error();
}

void distilrank_letor_destroy(distilrank_letor *letor) { delete letor; }
