// What a batch's gradient is multiplied in: words, and the product of them in vectors.
#pragma once

#include "avx512.hpp"
#include "gradient.hpp"
#include "words.hpp"

namespace distilrank {
namespace {

constexpr int64_t kWidth = 16; // floats of a vector

// Words that can be read again, too. `store_documents` takes two documents' units, whose words lie
// `next` apart where they have one each. `none` is where a sum of products starts, `floats` the sum.
template <class Isa>
struct Pairs : Bf16<Isa> {
    using Vector = typename Isa::Vector;
    static Vector none() { return Isa::zero(); }
    static Vector floats(Vector sum) { return sum; }
    static Vector load_units(const float *from) { return Isa::load_halves(from); }
    static void store_documents(float *to, int64_t, Vector x, Vector y) {
        Isa::store(to, Isa::packed(x, y));
    }
};

template <class Isa>
struct Floats : Fp32<Isa> {
    using Vector = typename Isa::Vector;
    static Vector none() { return Isa::zero(); }
    static Vector floats(Vector sum) { return sum; }
    static Vector load_units(const float *from) { return Isa::load(from); }
    static void store_documents(float *to, int64_t next, Vector x, Vector y) {
        Isa::store(to, x);
        Isa::store(to + next, y);
    }
};

// left (rows, depth) of rows `left_stride` words apart, right in columns `right_stride` apart. A left
// operand that is turned is (depth, rows): its words of one step in depth are `left_stride` apart.
struct Operands {
    const float *left;
    int64_t left_stride;
    const float *right;
    int64_t right_stride, depth;
};

// In registers: tiles of kTall rows by up to kWide vectors, 24 of 32 registers. Sums are handed on
// kTogether rows at a time.
template <class Isa, class Words, int kTall = 6, int kTogether = 2, bool kTurned = false>
struct VectorProduct {
    using Vector = typename Isa::Vector;
    static constexpr int64_t kRows = kTall, kWide = 24 / kTall;
    static_assert(kRows <= kSlack, "rows that a product writes too many");
    static_assert(kTall % kTogether == 0 && (kTogether == 2 || kTogether == 4), "whole hands");

    struct Session {};
    static constexpr int64_t depth(int64_t words) { return words; }
    static constexpr int64_t columns(int64_t vectors) { return vectors; }

    template <int V, class Finish>
    static void tile(const Operands &of, int64_t row, int64_t column, const Finish &finish) {
        decltype(Words::none()) sum[kRows][V];
        for (int r = 0; r < kRows; ++r)
            for (int v = 0; v < V; ++v) sum[r][v] = Words::none();
        const int64_t next_row = kTurned ? 1 : of.left_stride;
        const int64_t next_word = kTurned ? of.left_stride : 1;
        const float *left = of.left + row * next_row;
        const float *right = of.right + column * of.right_stride;
        for (int64_t k = 0; k < of.depth; ++k) {
            Vector vectors[V];
            for (int v = 0; v < V; ++v)
                vectors[v] = Isa::load(right + v * of.right_stride + k * kWidth);
            for (int r = 0; r < kRows; ++r) {
                const Vector one = Isa::broadcast(left + r * next_row + k * next_word);
                for (int v = 0; v < V; ++v) sum[r][v] = Words::dot(sum[r][v], one, vectors[v]);
            }
        }
        const auto of_row = [&sum](int r, int v) { return Words::floats(sum[r][v]); };
        for (int r = 0; r < kRows; r += kTogether)
            for (int v = 0; v < V; ++v)
                if constexpr (kTogether == 2)
                    finish(row + r, column + v, of_row(r, v), of_row(r + 1, v));
                else
                    finish(row + r, column + v, of_row(r, v), of_row(r + 1, v), of_row(r + 2, v),
                           of_row(r + 3, v));
    }

    template <int V, class Finish>
    static void rows_of(const Operands &of, int64_t rows, int64_t column, const Finish &finish) {
        for (int64_t row = 0; row < rows; row += kRows) tile<V>(of, row, column, finish);
    }

    // finish(row, column, its vector, those of the next rows) for all rows and all columns.
    template <class Finish>
    static void multiply(const Operands &of, int64_t rows, int64_t columns, const Finish &finish) {
        const int64_t groups = (columns + kWide - 1) / kWide;
        for (int64_t group = 0; group < groups; ++group) {
            const int64_t column = columns * group / groups;
            switch (columns * (group + 1) / groups - column) {
            case 4:
                if constexpr (kWide >= 4) rows_of<4>(of, rows, column, finish);
                break;
            case 3: rows_of<3>(of, rows, column, finish); break;
            case 2: rows_of<2>(of, rows, column, finish); break;
            default: rows_of<1>(of, rows, column, finish);
            }
        }
    }
};

} // namespace
} // namespace distilrank
