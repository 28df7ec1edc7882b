// The network scorer for AVX-512.
#include "avx512.hpp"
#include "network_kernels.hpp"

namespace distilrank {

const NetworkKernels network_avx512[kNetworkNumbers] = {
    CodeFp32<Avx512>::kernels("avx512"), CodeBf16<Avx512>::kernels("avx512"),
    CodeFp32ThenBf16<Avx512>::kernels("avx512"), CodeFp32ThenInt8<Avx512>::kernels("avx512")};

} // namespace distilrank
