// The bf16 network scorer for AVX-512 with AVX512_BF16.
#include "network_avx512.hpp"
#include "network_kernels.hpp"

namespace distilrank {
namespace {

struct Vdpbf16 : Avx512 {
    static constexpr int kPerWord = 2;
    static __m512bh as_bf16(Vector words) { return reinterpret_cast<__m512bh>(words); }
    static Vector dot(Vector sum, Vector one, Vector right) {
        return _mm512_dpbf16_ps(sum, as_bf16(one), as_bf16(right));
    }
    // The instruction puts one vector behind the other; words want them interleaved.
    static Vector pack(const Vector *units) {
        const __m512i order = _mm512_setr_epi32(
            0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007,
            0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
        const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(units[1], units[0]));
        return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both));
    }
    static void store_units(float *to, Vector x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(to),
                            reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    }
};

} // namespace

const NetworkKernels network_vdpbf16 = NetworkCode<Vdpbf16>::kernels;

} // namespace distilrank
