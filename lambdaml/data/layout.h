// How a data set's features are held in memory.
#pragma once

#include <optional>
#include <string_view>

namespace lambdaml::data {

enum class Layout {
  kAuto,    // decided from the density, see kDenseDensityMin
  kDense,   // DenseRows
  kSparse,  // SparseRows
};

// kAuto chooses dense from this share of non-zeros on. In bytes the layouts are equal at 0.5 (4 per
// cell against 8 per non-zero), but dense kernels stream with full vectors where sparse ones
// gather, so dense wins earlier; below a quarter it would waste more memory than the speed is
// worth.
inline constexpr double kDenseDensityMin = 0.25;

// "auto", "dense", "sparse".
std::string_view LayoutName(Layout layout);
std::optional<Layout> LayoutFromName(std::string_view name);

}  // namespace lambdaml::data
