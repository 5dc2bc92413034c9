// Sums of many float32 numbers that do not depend on any order: exact, rounded once at the end.
//
// A number x is cut into a high part, the nearest multiple of a quantum q1, and the rest, rounded
// to a multiple of q2. With 2^e > max |x| of its column and at most 2^b numbers in a sum,
//
//   q1 = 2^(e + b − 52)       q2 = q1 · 2^(b − 52)
//
// every partial sum of high parts is a multiple of q1 below 2^53·q1, so a float64 holds it exactly,
// and likewise the low parts. So numbers can be added and taken out again in any order, by any
// thread, and what remains is the same bits. Only digits below q2/2 are lost, of each number once:
// none at all if 2^20 rows have a column whose numbers are within 2^38 of one another.
// Source of the idea: Demmel and Nguyen 2013, "Fast reproducible floating-point summation".
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_distance.h"

namespace lambdaml::model::kmeans {

// A row of sums in two parts: for every four columns a cache line of four high and four low parts.
inline constexpr int64_t kPartsColumns = 4;
inline int64_t PartsSize(int64_t n_features) {
  return (n_features + kPartsColumns - 1) / kPartsColumns * 2 * kPartsColumns;
}
inline size_t HighAt(size_t j) { return j / 4 * 8 + j % 4; }
inline size_t LowAt(size_t j) { return HighAt(j) + 4; }
inline double SumAt(const double* parts, size_t j) { return parts[HighAt(j)] + parts[LowAt(j)]; }

// The quanta of each column: the same for all if their largest numbers are within 2^24 of one
// another, which loses nothing that matters and saves looking them up.
class SumGrid {
 public:
  // For columns whose numbers have a magnitude up to max_abs[j], up to `count` of which are added.
  SumGrid(std::span<const float> max_abs, int64_t count);

  // Adds sign · x, sign being 1 or -1, to a row of PartsSize() numbers.
  void Add(const float* x, double sign, double* parts) const;
  void Add(const SparseRow& x, double sign, double* parts) const;

  // Takes x out of one row of sums and adds it to another, at the cost of little more than one.
  void Move(const float* x, double* from, double* to) const;
  void Move(const SparseRow& x, double* from, double* to) const;

 private:
  template <typename Use>
  void ForEachPart(const float* x, const Use& use) const;
  template <typename Use>
  void ForEachPart(const SparseRow& x, const Use& use) const;

  int64_t n_features_;
  bool is_uniform_ = true;
  // Adding a constant whose last digit is worth q1 rounds to a multiple of q1. One per column, and
  // more up to a multiple of kPartsColumns.
  std::vector<double> high_magic_;
  std::vector<double> low_magic_;
};

// The largest magnitude in each column.
std::vector<float> ColumnMaxima(const data::Dataset& dataset, base::ThreadPool& pool);

}  // namespace lambdaml::model::kmeans
