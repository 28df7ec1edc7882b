// The bf16 network scorer for AVX-512 with AVX512_BF16.
#include "avx512.hpp"
#include "network_kernels.hpp"

namespace distilrank {
namespace {

using Isa = Vdpbf16<Avx512>;

} // namespace

const NetworkKernels network_vdpbf16[kNetworkNumbers] = {
    {}, CodeBf16<Isa>::kernels("avx512", "vdpbf16ps"),
    CodeFp32ThenBf16<Isa>::kernels("avx512", "vdpbf16ps"), {}};

} // namespace distilrank
