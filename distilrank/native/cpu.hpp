// What this processor has; the one place where that is asked.
#pragma once

#include "distilrank.h"

namespace distilrank {

// The best level of this processor and operating system that is not above `most`
// (DISTILRANK_BEST: no bound). AMX needs the system's leave, which is asked for here once.
distilrank_level usable_level(distilrank_level most);

// What some processors of the AVX-512 level have.
bool has_avx512_bf16();
bool has_quick_bf16(); // the same, quicker than fp32's multiply-add of unpacked pairs
bool has_avx512_vnni();

const char *level_name(distilrank_level level);

} // namespace distilrank
