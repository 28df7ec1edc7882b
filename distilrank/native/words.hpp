// How numbers become words of 32 bits, over what one instruction set offers (`Isa`). For each kind:
// - kPerWord: numbers of a word; kWhole: sums are whole numbers, to be scaled
// - dot: sum + weights * activations, word by word
// - clamp: ReLU6, or whatever a layer's bounds are
// - pack: kPerWord units' vectors as one of words, for activations of (unit, document)
// - store_units: one vector of neighbouring units as words, for activations of (document, unit)
#pragma once

#include <cstdint>

namespace distilrank {
namespace {

template <class Isa>
struct Fp32 {
    using Vector = typename Isa::Vector;
    static constexpr int kPerWord = 1;
    static constexpr bool kWhole = false;
    static Vector dot(Vector sum, Vector weight, Vector active) {
        return Isa::fma(weight, active, sum);
    }
    static Vector clamp(Vector x, Vector low, Vector high) { return Isa::clamp(x, low, high); }
    static Vector pack(const Vector *units) { return units[0]; }
    static void store_units(float *to, Vector x) { Isa::store(to, x); }
};

// The upper half of a float, rounded to the nearest; a word's products are summed in fp32.
template <class Isa>
struct Bf16 {
    using Vector = typename Isa::Vector;
    static constexpr int kPerWord = 2;
    static constexpr bool kWhole = false;
    static Vector dot(Vector sum, Vector weight, Vector active) {
        return Isa::dot_pairs(sum, weight, active);
    }
    static Vector clamp(Vector x, Vector low, Vector high) { return Isa::clamp(x, low, high); }
    static Vector pack(const Vector *units) { return Isa::packed(units[0], units[1]); }
    static void store_units(float *to, Vector x) { Isa::store_halves(to, x); }
};

// Weights from -127 to 127, activations from 0 to 255 in place of 0 to 6, sums of 32 bits. See
// distilrank/quantise.py. There is no NaN among whole numbers: it becomes the lower bound.
template <class Isa>
struct Int8 {
    using Vector = typename Isa::Vector;
    static constexpr int kPerWord = 4;
    static constexpr bool kWhole = true;
    static Vector dot(Vector sum, Vector weight, Vector active) {
        return Isa::dot_bytes(sum, weight, active);
    }
    static Vector clamp(Vector x, Vector low, Vector high) {
        return Isa::clamp_numbers(x, low, high);
    }
    static Vector pack(const Vector *units) { return Isa::packed_bytes(units); }
    static void store_units(float *to, Vector x) { Isa::store_bytes(to, x); }
};

} // namespace
} // namespace distilrank
