// Arrays that begin at a cache line, which vectors of 64 bytes want.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace lambdaml::model::kmeans {

inline constexpr std::align_val_t kAlignment{64};

struct AlignedDelete {
  void operator()(void* array) const { ::operator delete(array, kAlignment); }
};

template <typename T>
using AlignedArray = std::unique_ptr<T[], AlignedDelete>;

// `count` zeros.
template <typename T>
AlignedArray<T> MakeAligned(size_t count) {
  auto* const array = static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  std::uninitialized_value_construct_n(array, count);
  return AlignedArray<T>(array);
}

}  // namespace lambdaml::model::kmeans
