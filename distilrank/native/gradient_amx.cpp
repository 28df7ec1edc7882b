// A batch's gradient in bf16 for AMX, which comes with AVX512_BF16.
#include "gradient_code.hpp"
#include "tile_unit.hpp"

namespace distilrank {
namespace {

using Isa = Vdpbf16<Avx512>;

// In AMX's tiles: 2 x 2 of 16 rows by 16 columns. Sums are tiles 0 to 3, what is multiplied stands
// in tiles 4, 5 (left) and 6, 7 (right).
struct TileProduct {
    static constexpr int64_t kSize = 16, kRows = 2 * kSize;

    struct Session {
        Session() { TileUnit::configure(); }
        ~Session() { TileUnit::release(); }
    };
    // Buffers are zero up to whole tiles.
    static constexpr int64_t depth(int64_t words) { return (words + kSize - 1) / kSize * kSize; }

    template <bool kTwo>
    static void sum(const Operands &of, int64_t row, int64_t column, float *sums) {
        TileUnit::zero<0>();
        TileUnit::zero<2>();
        if constexpr (kTwo) TileUnit::zero<1>();
        if constexpr (kTwo) TileUnit::zero<3>();
        const float *const left = of.left + row * of.left_stride;
        const float *const right = of.right + column * of.right_stride;
        for (int64_t k = 0; k < of.depth; k += kSize) {
            TileUnit::load<4>(left + k, of.left_stride);
            TileUnit::load<6>(right + k * kSize, kSize);
            TileUnit::dot_pairs<0, 4, 6>();
            TileUnit::load<5>(left + k + kSize * of.left_stride, of.left_stride);
            TileUnit::dot_pairs<2, 5, 6>();
            if constexpr (kTwo) {
                TileUnit::load<7>(right + of.right_stride + k * kSize, kSize);
                TileUnit::dot_pairs<1, 4, 7>();
                TileUnit::dot_pairs<3, 5, 7>();
            }
        }
        TileUnit::store<0>(sums, kRows);
        TileUnit::store<2>(sums + kSize * kRows, kRows);
        if constexpr (kTwo) TileUnit::store<1>(sums + kSize, kRows);
        if constexpr (kTwo) TileUnit::store<3>(sums + kSize * kRows + kSize, kRows);
    }

    static constexpr int64_t columns(int64_t vectors) { return (vectors + 1) / 2 * 2; }

    // See VectorProduct.
    template <class Finish>
    static void multiply(const Operands &of, int64_t rows, int64_t columns, const Finish &finish) {
        alignas(64) float sums[kRows * kRows];
        for (int64_t column = 0; column < columns; column += 2)
            for (int64_t row = 0; row < rows; row += kRows) {
                const int64_t taken = columns - column > 1 ? 2 : 1;
                if (taken == 2) sum<true>(of, row, column, sums);
                else sum<false>(of, row, column, sums);
                for (int64_t r = 0; r < kRows; r += 2)
                    for (int64_t c = 0; c < taken; ++c) {
                        const float *const at = sums + r * kRows + c * kSize;
                        finish(row + r, column + c, Isa::load(at), Isa::load(at + kRows));
                    }
            }
    }
};

} // namespace

const GradientKernels gradient_amx = GradientCode<Isa, Pairs<Isa>, TileProduct>::kernels("amx");

} // namespace distilrank
