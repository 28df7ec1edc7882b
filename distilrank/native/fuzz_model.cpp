// Fuzzes the readers of model files: whatever bytes come, a sentence or a scorer that scores.
// docs/native.md has the commands. With clang it is a libFuzzer target; with another compiler a
// plain program that mutates files by itself: fuzz_model [seconds] [seed] FILE...
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "distilrank.h"

namespace {

constexpr int64_t kRows = 9; // some walk, some go by the block
// A damaged count makes rows that wide; scoring them would only take time.
constexpr int64_t kWidest = 5000;

void require(bool right) {
    if (!right) std::abort();
}

std::vector<float> some_rows(int64_t stride) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    constexpr float largest = std::numeric_limits<float>::max();
    const float values[] = {0,    1,     -1,       0.5f,    1e-35f,  -1e-36f, 3.25f,
                            1e9f, -1e9f, infinity, -largest, largest, NAN};
    std::vector<float> rows(static_cast<size_t>(kRows * stride));
    for (size_t k = 0; k < rows.size(); ++k) rows[k] = values[k * 7 % std::size(values)];
    return rows;
}

// Alone and together, and by a clone: the same bits from the same calls.
void score(distilrank_scorer *scorer) {
    const int64_t features = distilrank_scorer_features(scorer), stride = features + 1;
    require(features >= 0 && std::strlen(distilrank_scorer_describe(scorer)) > 2);
    if (features > kWidest) return;
    const std::vector<float> rows = some_rows(stride);
    distilrank_scorer *clone = distilrank_scorer_clone(scorer, nullptr, 0);
    require(clone);
    for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{3}, kRows}) {
        std::vector<float> one(static_cast<size_t>(n)), other(static_cast<size_t>(n));
        require(!distilrank_scorer_score(scorer, rows.data(), n, stride, one.data(), nullptr, 0));
        require(!distilrank_scorer_score(clone, rows.data(), n, stride, other.data(), nullptr, 0));
        require(!n || !std::memcmp(one.data(), other.data(), 4 * one.size()));
    }
    distilrank_scorer_destroy(clone);
}

// Where a change has moved the end of a safetensors header, its length follows.
void repair_length(uint8_t *data, size_t size) {
    if (size < 9 || data[8] != '{') return;
    const uint8_t close[] = {'}', '}'};
    const uint8_t *end = std::search(data + 8, data + size, close, close + 2);
    if (end == data + size) return;
    for (end += 2; end != data + size && *end == ' ';) ++end;
    auto length = static_cast<uint64_t>(end - data - 8);
    for (size_t k = 0; k < 8; ++k, length >>= 8) data[k] = static_cast<uint8_t>(length);
}

} // namespace

// The size chooses the options, so that no byte of a seed file is taken for them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    distilrank_options options{};
    options.precision = static_cast<int32_t>(size % 3);
    options.level = size / 3 % 2 ? DISTILRANK_PORTABLE : DISTILRANK_BEST;
    char error[500] = "";
    distilrank_scorer *scorer = distilrank_scorer_read(data, size, &options, error, sizeof error);
    require(scorer ? !*error : *error != 0);
    for (const char *at = error; *at; ++at) require(*at >= ' ' && *at <= '~');
    if (scorer) score(scorer);
    distilrank_scorer_destroy(scorer);
    return 0;
}

#ifndef STANDALONE

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, most);
    if (seed % 4) repair_length(data, size);
    return size;
}

#else

#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>

namespace {

class Mutator {
public:
    explicit Mutator(uint64_t seed) : random_(seed) {}

    uint64_t below(uint64_t most) { return random_() % most; }

    void change(std::string &text) {
        const char *tokens[] = {"0",     "-1",   "7",  "1e999", "nan",     "4294967297", "9999999999",
                                "[",     "{",    "\"", "\\u12", "\n",      "=",          "\nTree=",
                                " ",     ",",    "}",  "F64",   "\xc3\xa9", "\x01",       "1.5"};
        const size_t at = text.empty() ? 0 : below(text.size());
        const size_t length = std::min<size_t>(1 + below(below(3) ? 3 : 200), text.size() - at);
        switch (below(6)) {
        case 0: text.erase(at, length); break;
        case 1: text.insert(at, text.substr(text.size() - at > length ? at : 0, length)); break;
        case 2: text.insert(at, tokens[below(std::size(tokens))]); break;
        case 3: text.replace(at, length, tokens[below(std::size(tokens))]); break;
        case 4: text.resize(below(20) ? text.size() : at); break;
        default:
            if (!text.empty()) text[at] = static_cast<char>(below(2) ? '0' + below(10) : below(256));
        }
    }

private:
    std::mt19937_64 random_;
};

} // namespace

int main(int count, char **arguments) {
    const double seconds = count > 1 ? std::atof(arguments[1]) : 60;
    Mutator mutator(count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1);
    std::vector<std::string> seeds;
    for (int k = 3; k < count; ++k) {
        std::ifstream file(arguments[k], std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    if (seeds.empty()) seeds.push_back("tree\n");
    const auto start = std::chrono::steady_clock::now();
    int64_t runs = 0;
    for (;
         std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds;
         ++runs) {
        std::string input = seeds[mutator.below(seeds.size())];
        for (uint64_t k = mutator.below(5); k > 0; --k) mutator.change(input);
        // A copy of exactly this size lets the address sanitizer see a read beyond it.
        std::vector<uint8_t> bytes(input.begin(), input.end());
        if (mutator.below(4)) repair_length(bytes.data(), bytes.size());
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    std::printf("%lld runs, no mishap\n", static_cast<long long>(runs));
    return 0;
}

#endif
