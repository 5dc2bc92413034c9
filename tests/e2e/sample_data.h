// Small data sets that the tests write themselves.
#pragma once

#include <cstdint>
#include <string>

namespace lambdaml::test {

struct SampleOptions {
  int rows = 120;
  int n_features = 8;
  double density = 1;  // of the values
  const char* negative = "-1";
  const char* positive = "1";
  uint64_t seed = 1;
  // Of the plane that separates the classes; samples of one plane are training and test data.
  uint64_t plane_seed = 1;
};

// libsvm text of rows that a plane separates with a margin, so that every algorithm can learn them.
std::string SeparableSample(const SampleOptions& options = {});

}  // namespace lambdaml::test
