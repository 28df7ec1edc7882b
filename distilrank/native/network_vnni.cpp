// The int8 network scorer for AVX-512 with AVX512_VNNI.
#include "avx512.hpp"
#include "network_kernels.hpp"

namespace distilrank {

const NetworkKernels network_vnni[kNetworkNumbers] = {
    {}, {}, {}, CodeFp32ThenInt8<Vnni<Avx512>>::kernels("avx512", "vpdpbusd")};

} // namespace distilrank
