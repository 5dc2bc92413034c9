#include "lambdaml/wire/rank_order_sum.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lambdaml/base/check.h"

namespace lambdaml::wire {
namespace {

constexpr size_t kBlockSize = 2048;  // elements: 16 KB of float64

void StartAt(const float* terms, size_t count, double* sums) {
  for (size_t i = 0; i < count; ++i) sums[i] = 0.0 + static_cast<double>(terms[i]);
}

template <typename Number>
void Add(const Number* terms, size_t count, double* sums) {
  for (size_t i = 0; i < count; ++i) sums[i] += static_cast<double>(terms[i]);
}

void Round(const double* sums, size_t count, float* out) {
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(sums[i]);
}

void SumScalars(std::span<const VectorView> terms, std::span<double> scalars) {
  std::array<double, kBlockSize> sums;
  for (size_t begin = 0; begin < scalars.size(); begin += kBlockSize) {
    const size_t count = std::min(kBlockSize, scalars.size() - begin);
    std::fill_n(sums.begin(), count, 0.0);
    for (const VectorView& term : terms) {
      Add(term.scalars.data() + begin, count, sums.data());
    }
    std::copy_n(sums.begin(), count, scalars.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

// Adds the elements [begin, begin + count) of a dense term.
void AddDense(const VectorView& terms, size_t begin, size_t count, double* sums) {
  if (terms.precision == Precision::kFloat32) return Add(terms.values.data() + begin, count, sums);
  std::array<float, kBlockSize> widened;
  const auto block = std::span(widened).first(count);
  Float16().widen(terms.halves.subspan(begin, count), block);
  Add(block.data(), count, sums);
}

// Adds the stored elements below `end` from position `next` on; returns the position after them.
size_t AddSparse(const VectorView& terms, size_t next, size_t begin, size_t end, double* sums) {
  for (; next < terms.indices.size() && terms.indices[next] < end; ++next) {
    const bool is_half = terms.precision == Precision::kFloat16;
    const float value = is_half ? Widened(terms.halves[next]) : terms.values[next];
    sums[terms.indices[next] - begin] += static_cast<double>(value);
  }
  return next;
}

}  // namespace

void SumInRankOrder(std::span<const VectorView> terms, std::span<double> scalars,
                    std::span<float> vector) {
  for (const VectorView& term : terms) {
    LAMBDAML_CHECK(term.scalars.size() == scalars.size() && term.element_count == vector.size());
  }
  SumScalars(terms, scalars);

  std::array<double, kBlockSize> sums;
  std::vector<size_t> next(terms.size(), 0);  // position in each sparse term
  for (size_t begin = 0; begin < vector.size(); begin += kBlockSize) {
    const size_t end = std::min(begin + kBlockSize, vector.size());
    const bool starts_dense = !terms.empty() && !terms.front().is_sparse &&
                              terms.front().precision == Precision::kFloat32;
    if (starts_dense) {
      StartAt(terms.front().values.data() + begin, end - begin, sums.data());
    } else {
      std::fill_n(sums.begin(), end - begin, 0.0);
    }
    for (size_t rank = starts_dense ? 1 : 0; rank < terms.size(); ++rank) {
      if (terms[rank].is_sparse) {
        next[rank] = AddSparse(terms[rank], next[rank], begin, end, sums.data());
      } else {
        AddDense(terms[rank], begin, end - begin, sums.data());
      }
    }
    Round(sums.data(), end - begin, vector.data() + begin);
  }
}

}  // namespace lambdaml::wire
