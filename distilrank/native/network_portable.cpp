// The network scorer for any processor: vectors of four floats, which the compiler maps to what
// there is (SSE2, NEON).
#include <cstdint>

namespace distilrank {
namespace {

struct Simd {
    typedef float Vector __attribute__((vector_size(16)));
    static constexpr int kWidth = 4;
    static constexpr int kVectors = 2, kHeight = 6; // 12 of 16 registers
    static constexpr int kFewRows = 4;
    static constexpr int64_t kFew = 4;

    static Vector zero() { return Vector{}; }
    static Vector load(const float *from) { return Vector{from[0], from[1], from[2], from[3]}; }
    static Vector broadcast(const float *from) { return Vector{*from, *from, *from, *from}; }
    static void store(float *to, Vector x) {
        for (int lane = 0; lane < kWidth; ++lane) to[lane] = x[lane];
    }
    static Vector fma(Vector x, Vector y, Vector z) { return x * y + z; }
    // NaN passes: no comparison with it is true.
    static Vector clamp(Vector x, Vector low, Vector high) {
        x = x < low ? low : x;
        return x > high ? high : x;
    }
    static Vector replace(Vector x, Vector what, Vector other, Vector by) {
        return x == what ? by : other;
    }
    static Vector gather(const float *from, const int32_t *indices) {
        return Vector{from[indices[0]], from[indices[1]], from[indices[2]], from[indices[3]]};
    }

    // Column `first` + c of 4 rows, c < count, as out[c].
    static void transposed(const float *const *row, int64_t first, int count, Vector *out) {
        for (int c = 0; c < count; ++c) {
            const int64_t at = first + c;
            out[c] = Vector{row[0][at], row[1][at], row[2][at], row[3][at]};
        }
    }
};

} // namespace
} // namespace distilrank

#include "network_kernels.hpp"

const distilrank::NetworkKernels distilrank::network_portable = kKernels;
