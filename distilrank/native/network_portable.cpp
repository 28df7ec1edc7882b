// The network scorer for any processor: vectors of four floats, which the compiler maps to what
// there is (SSE2, NEON).
#include <cstdint>

#include "network_kernels.hpp"

namespace distilrank {
namespace {

struct Portable {
    typedef float Vector __attribute__((vector_size(16)));
    static constexpr int kWidth = 4;
    typedef int32_t Bits __attribute__((vector_size(16)));
    static constexpr int kVectors = 2, kHeight = 6; // a tile is 12 of 16 registers
    static constexpr int kFewRows = 4;              // by 3 vectors

    static Vector zero() { return Vector{}; }
    static Vector load(const float *from) { return Vector{from[0], from[1], from[2], from[3]}; }
    static Vector load_part(const float *from, int count) {
        Vector x{};
        for (int lane = 0; lane < count; ++lane) x[lane] = from[lane];
        return x;
    }
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
    // NaN becomes the lower bound.
    static Vector clamp_numbers(Vector x, Vector low, Vector high) {
        x = x > low ? x : low;
        return x < high ? x : high;
    }
    static Vector replace(Vector x, Vector what, Vector other, Vector by) {
        return x == what ? by : other;
    }
    static Vector gather(const float *from, const int32_t *indices) {
        return Vector{from[indices[0]], from[indices[1]], from[indices[2]], from[indices[3]]};
    }

    // The words that are not zero, side by side, with their numbers from `first` on; how many.
    static int64_t active(const float *words, int count, int32_t first, float *values,
                          int32_t *indices) {
        int64_t found = 0;
        for (int32_t lane = 0; lane < count; ++lane) {
            int32_t bits;
            __builtin_memcpy(&bits, words + lane, sizeof bits);
            values[found] = words[lane];
            indices[found] = first + lane;
            found += bits != 0;
        }
        return found;
    }

    // bf16 in words: the halves as floats, two vectors of floats as words, one as half as many.
    static Vector lower(Vector words) { return reinterpret_cast<Vector>(as_bits(words) << 16); }
    static Vector upper(Vector words) { return reinterpret_cast<Vector>(as_bits(words) & -65536); }
    static Bits as_bits(Vector x) { return reinterpret_cast<Bits>(x); }
    // To the nearest, ties to even, in the lower half; NaN stays NaN: its lower half is dropped.
    static Bits rounded(Vector x) {
        const Bits bits = as_bits(x), up = 0x7fff + ((bits >> 16) & 1);
        return ((bits + (up & (x == x))) >> 16) & 0xffff;
    }
    static Vector packed(Vector low, Vector high) {
        return reinterpret_cast<Vector>(rounded(low) | (rounded(high) << 16));
    }
    static void store_halves(float *to, Vector x) {
        const Bits halves = rounded(x);
        const Bits words{halves[0] | (halves[1] << 16), halves[2] | (halves[3] << 16), 0, 0};
        for (int word = 0; word < 2; ++word) to[word] = reinterpret_cast<Vector>(words)[word];
    }

    static Vector dot_pairs(Vector sum, Vector one, Vector other) {
        sum = fma(lower(one), lower(other), sum);
        return fma(upper(one), upper(other), sum);
    }

    // Whole numbers: sums of 32 bits as floats; weights of -127 to 127 times activations of 0 to
    // 255, four of each in a word, added up; and numbers of 0 to 255 from floats, to the nearest.
    static Vector from_whole(Vector sum) { return __builtin_convertvector(as_bits(sum), Vector); }
    static Vector dot_bytes(Vector sum, Vector weight, Vector active) {
        Bits total = as_bits(sum);
        for (int byte = 0; byte < 4; ++byte)
            total += ((as_bits(weight) << (24 - 8 * byte)) >> 24) *
                     ((as_bits(active) >> (8 * byte)) & 255);
        return reinterpret_cast<Vector>(total);
    }
    // Behind 2^23 there are no fractions: adding it rounds, ties to even, into the lowest bits.
    static Bits nearest(Vector x) { return as_bits(x + 8388608.0f) & 255; }
    static Vector packed_bytes(const Vector *units) {
        return reinterpret_cast<Vector>(nearest(units[0]) | (nearest(units[1]) << 8) |
                                        (nearest(units[2]) << 16) | (nearest(units[3]) << 24));
    }
    static void store_bytes(float *to, Vector x) {
        const Bits whole = nearest(x);
        const int32_t word = whole[0] | (whole[1] << 8) | (whole[2] << 16) | (whole[3] << 24);
        __builtin_memcpy(to, &word, sizeof word);
    }

    // Column `first` + c of 4 rows as out[c]; zeros where c is not below count.
    static void transposed(const float *const *row, int64_t first, int count, Vector *out) {
        for (int c = 0; c < kWidth; ++c) {
            const int64_t at = first + c;
            out[c] = c < count ? Vector{row[0][at], row[1][at], row[2][at], row[3][at]} : zero();
        }
    }
};

} // namespace

const NetworkKernels network_portable[kNetworkNumbers] = {
    CodeFp32<Portable>::kernels("portable"), CodeBf16<Portable>::kernels("portable"),
    CodeFp32ThenBf16<Portable>::kernels("portable"),
    CodeFp32ThenInt8<Portable>::kernels("portable")};

} // namespace distilrank
