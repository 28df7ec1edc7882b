// AMX's instructions: eight tiles of 16 rows by 64 bytes. Instructions: Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 2.
#pragma once

#include <cstdint>

namespace distilrank {
namespace {

#ifdef DISTILRANK_TILE_MODEL
// What the instructions do, in plain code: for tests on processors without them.
struct TileUnit {
    static inline thread_local uint32_t tiles[8][16][16];

    static void configure() {}
    static void release() {}
    template <int T>
    static void zero() {
        __builtin_memset(tiles[T], 0, sizeof tiles[T]);
    }
    template <int T>
    static void load(const float *from, int64_t stride) {
        for (int row = 0; row < 16; ++row)
            __builtin_memcpy(tiles[T][row], from + row * stride, sizeof tiles[T][row]);
    }
    template <int T>
    static void store(float *to, int64_t stride) {
        for (int row = 0; row < 16; ++row)
            __builtin_memcpy(to + row * stride, tiles[T][row], sizeof tiles[T][row]);
    }
    static float as_float(uint32_t bits) {
        float value;
        __builtin_memcpy(&value, &bits, sizeof value);
        return value;
    }
    template <int C, int A, int B>
    static void dot_pairs() {
        for (int m = 0; m < 16; ++m)
            for (int k = 0; k < 16; ++k)
                for (int n = 0; n < 16; ++n) {
                    const uint32_t a = tiles[A][m][k], b = tiles[B][k][n];
                    float sum = as_float(tiles[C][m][n]);
                    sum += as_float(a << 16) * as_float(b << 16);
                    sum += as_float(a & 0xffff0000) * as_float(b & 0xffff0000);
                    __builtin_memcpy(&tiles[C][m][n], &sum, sizeof sum);
                }
    }
    template <int C, int A, int B>
    static void dot_bytes() {
        for (int m = 0; m < 16; ++m)
            for (int k = 0; k < 16; ++k)
                for (int n = 0; n < 16; ++n)
                    for (int byte = 0; byte < 32; byte += 8) {
                        const auto a = static_cast<int8_t>(tiles[A][m][k] >> byte);
                        const auto b = static_cast<uint8_t>(tiles[B][k][n] >> byte);
                        tiles[C][m][n] += static_cast<uint32_t>(a * b);
                    }
    }
};
#else
// The compiler's own intrinsics want a tile's number as a literal; a template has none.
struct TileUnit {
    static void configure() {
        struct {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
            uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
        } const configuration;
        static_assert(sizeof configuration == 64, "as the instruction wants it");
        __asm__ volatile("ldtilecfg %0" : : "m"(configuration));
    }
    static void release() { __asm__ volatile("tilerelease"); }
    template <int T>
    static void zero() {
        __asm__ volatile("tilezero %%tmm%c0" : : "i"(T));
    }
    template <int T>
    static void load(const float *from, int64_t stride) {
        __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(from), "r"(stride * 4), "i"(T)
                         : "memory");
    }
    template <int T>
    static void store(float *to, int64_t stride) {
        __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                         :
                         : "r"(to), "r"(stride * 4), "i"(T)
                         : "memory");
    }
    template <int C, int A, int B>
    static void dot_pairs() {
        __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
    }
    // Signed weights on the left, unsigned activations on the right.
    template <int C, int A, int B>
    static void dot_bytes() {
        __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
    }
};
#endif

} // namespace
} // namespace distilrank
