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

// The quanta of each column: the same for all if their largest numbers are within 2^24 of one
// another, which loses nothing that matters and saves looking them up.
class SumGrid {
 public:
  // For columns whose numbers have a magnitude up to max_abs[j], up to `count` of which are added.
  SumGrid(std::span<const float> max_abs, int64_t count);

  // Whether all low parts of row x are 0 (pixels, counts).
  bool IsCoarse(const float* x) const;

  // high[j] += sign · high part of x[j], low likewise; sign is 1 or -1. low may be nullptr if all
  // low parts are 0.
  void Add(const float* x, double sign, double* high, double* low) const;
  void Add(const SparseRow& x, double sign, double* high, double* low) const;

 private:
  struct Parts {
    double high;
    double low;
  };
  static Parts Split(double x, double high_magic, double low_magic) {
    const double high = (x + high_magic) - high_magic;
    return {high, ((x - high) + low_magic) - low_magic};
  }

  bool is_uniform_ = true;
  // Adding a constant whose last digit is worth q1 rounds to a multiple of q1.
  std::vector<double> high_magic_;
  std::vector<double> low_magic_;
};

// The largest magnitude in each column.
std::vector<float> ColumnMaxima(const data::Dataset& dataset, base::ThreadPool& pool);

}  // namespace lambdaml::model::kmeans
