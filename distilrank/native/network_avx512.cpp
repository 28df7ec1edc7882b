// The network scorer for AVX-512.
#include "network_avx512.hpp"
#include "network_kernels.hpp"

namespace distilrank {

const NetworkKernels network_avx512 = NetworkCode<Fp32<Avx512>>::kernels;
const NetworkKernels network_avx512_bf16 = NetworkCode<Bf16<Avx512>>::kernels;

} // namespace distilrank
