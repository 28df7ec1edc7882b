// Memory for kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace distilrank {

// Memory as wide vectors want it.
template <typename T>
struct CacheAligned {
    using value_type = T;
    CacheAligned() = default;
    template <typename U>
    CacheAligned(const CacheAligned<U> &) {}
    T *allocate(size_t n) {
        if (n > SIZE_MAX / 2 / sizeof(T)) throw std::bad_alloc();
        return static_cast<T *>(::operator new(n * sizeof(T), std::align_val_t(64)));
    }
    void deallocate(T *p, size_t) { ::operator delete(p, std::align_val_t(64)); }
    template <typename U>
    bool operator==(const CacheAligned<U> &) const { return true; }
    template <typename U>
    bool operator!=(const CacheAligned<U> &) const { return false; }
};
template <typename T>
using Aligned = std::vector<T, CacheAligned<T>>;

} // namespace distilrank
