// Fuzzes the LETOR parser: every fast path that this processor can take, on text cut anywhere,
// against the general path on the whole text. docs/native.md has the commands. With clang it is a
// libFuzzer target; with another compiler a plain program that mutates lines by itself:
// fuzz_letor [seconds] [seed].
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "letor.hpp"

namespace {

constexpr int64_t kLongestLine = 400;

struct Outcome {
    std::vector<float> features;
    std::vector<uint8_t> labels;
    std::vector<int64_t> qids;
    int32_t problem;
    int64_t line;
    std::string text;
};

// Parse in blocks and capacities that `cuts` chooses, in one block where it is empty.
Outcome parse(const std::string &text, int64_t n_features, bool returning, const std::string &cuts,
              int32_t level) {
    distilrank::LetorParser parser(n_features, kLongestLine, returning, level);
    Outcome found{};
    size_t at = 0, turn = 0;
    const auto next = [&](size_t most) {
        return cuts.empty() ? most : static_cast<uint8_t>(cuts[turn++ % cuts.size()]) % most;
    };
    std::vector<char> block;
    for (bool more = true; more;) {
        if (at < text.size()) {
            const size_t size = std::min(text.size() - at, 1 + next(text.size()));
            // A copy of exactly this size lets the address sanitizer see a read beyond it.
            block = std::vector<char>(text.begin() + static_cast<std::ptrdiff_t>(at),
                                      text.begin() + static_cast<std::ptrdiff_t>(at + size));
            parser.feed(block.data(), size);
            at += size;
        } else {
            parser.finish();
            more = false;
        }
        for (int64_t count = 1; count > 0;) {
            const auto capacity = static_cast<int64_t>(1 + next(8));
            std::vector<float> features(static_cast<size_t>(capacity * n_features));
            std::vector<uint8_t> labels(static_cast<size_t>(capacity));
            std::vector<int64_t> qids(static_cast<size_t>(capacity));
            count = parser.rows(capacity, features.data(), labels.data(), qids.data());
            more = more && count >= 0;
            if (count <= 0) break;
            found.features.insert(found.features.end(), features.begin(),
                                  features.begin() + count * n_features);
            found.labels.insert(found.labels.end(), labels.begin(), labels.begin() + count);
            found.qids.insert(found.qids.end(), qids.begin(), qids.begin() + count);
        }
    }
    const distilrank_letor_error error = parser.error();
    found.problem = error.problem;
    found.line = error.problem ? error.line : 0;
    found.text.assign(error.text, error.size);
    return found;
}

bool same(const Outcome &a, const Outcome &b) {
    // Bytes, since -0 equals 0.
    return a.labels == b.labels && a.qids == b.qids && a.problem == b.problem && a.line == b.line &&
           a.text == b.text && a.features.size() == b.features.size() &&
           (a.features.empty() ||
            !std::memcmp(a.features.data(), b.features.data(), 4 * a.features.size()));
}

} // namespace

// The first byte is the number of features and whether queries may come back, the second the number
// of the bytes after it that choose the cuts.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const int64_t n_features = 1 + data[0] % 32;
    const bool returning = data[0] & 128;
    const size_t cut_bytes = std::min<size_t>(size - 2, data[1] % 16);
    const auto *start = reinterpret_cast<const char *>(data) + 2;
    const std::string cuts(start, cut_bytes), text(start + cut_bytes, size - 2 - cut_bytes);
    const Outcome expected = parse(text, n_features, returning, "", DISTILRANK_LETOR_GENERAL);
    for (int32_t level = DISTILRANK_LETOR_BASE; level <= distilrank::best_level(); ++level)
        if (!same(parse(text, n_features, returning, cuts, level), expected)) std::abort();
    return 0;
}

#ifdef STANDALONE
#include <chrono>
#include <cstdio>
#include <random>

int main(int count, char **arguments) {
    const double seconds = count > 1 ? std::atof(arguments[1]) : 60;
    std::mt19937_64 random(count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1);
    const auto below = [&](uint64_t most) { return random() % most; };
    const char *values[] = {"0",
                            "1",
                            "-3",
                            "0.75000",
                            "22.076928",
                            "1e-5",
                            "-0.0",
                            "123456789",
                            ".5",
                            "0.1234567890123456",
                            "3.5e38",
                            "nan",
                            "1e400",
                            "1e-400",
                            "-inf",
                            "5.",
                            "1.7976931348623157e308",
                            ""};
    const char *ends[] = {"\n", " \n", "\r\n", " # 1:1\n", "", "\n\n"};
    const auto start = std::chrono::steady_clock::now();
    int64_t runs = 0;
    for (;
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds;
         ++runs) {
        const uint64_t width = 1 + below(32), cuts = below(16);
        std::string input{static_cast<char>(width - 1 + 128 * below(2)), static_cast<char>(cuts)};
        for (uint64_t k = 0; k < cuts; ++k) input.push_back(static_cast<char>(random()));
        for (uint64_t line = 0, lines = below(8); line < lines; ++line) {
            input += std::to_string(below(5)) + " qid:" + std::to_string(line / 3);
            for (uint64_t id = 1; id <= width; ++id)
                if (below(20))
                    input += " " + std::to_string(id) + ":" + values[below(below(3) ? 6 : 18)];
            input += ends[below(6)];
        }
        for (uint64_t k = input.size() > 1 ? below(4) : 0; k > 0; --k)
            input[1 + below(input.size() - 1)] =
                below(2) ? " :.-#\n\r0919"[below(11)] : static_cast<char>(random());
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(input.data()), input.size());
    }
    std::printf("%lld runs, no difference\n", static_cast<long long>(runs));
    return 0;
}
#endif
