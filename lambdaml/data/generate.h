// Synthetic data sets of any size from a seed.
//
// Rows come in blocks of kBlockRows, and block b depends on (kind, shape, seed, b) only: the first
// n rows are the same in every data set of at least n rows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/save.h"

namespace lambdaml::data {

enum class GeneratorKind {
  kHiggs,  // 28 dense features shaped as those of HIGGS: momenta and masses skewed to the right,
           // angles, b-tags of few values; labels 0 and 1 that differ in means (logistic
           // regression gets 64 % right) and in the widths of mass peaks (which it cannot see)
  kRcv1,   // 47,236 features, about 75 non-zeros a row, frequencies by Zipf's law, tf-idf values,
           // rows of length 1; labels -1 and 1 that a linear model tells apart to about 95 %
  kBlobs,  // n_classes Gaussian clouds in n_features dimensions; labels 0, 1, …
};

// "higgs", "rcv1", "blobs".
std::string_view GeneratorKindName(GeneratorKind kind);
std::optional<GeneratorKind> GeneratorKindFromName(std::string_view name);

struct GenerateOptions {
  GeneratorKind kind = GeneratorKind::kHiggs;
  int64_t rows = 1000;
  uint64_t seed = 1;
  std::optional<int64_t> n_features = std::nullopt;  // blobs only: 10 unless given
  std::optional<int64_t> n_classes = std::nullopt;   // blobs only: 3 unless given
};

inline constexpr int64_t kBlockRows = 4096;

// The data set in memory. Errors: kInvalidArgument for options out of range or of another kind.
Dataset Generate(const GenerateOptions& options);

// The same to a file, whole or not at all. libsvm text is written block by block; .npz needs the
// memory of the matrix. Errors: as Generate and base::AtomicFile.
void GenerateFile(const GenerateOptions& options, const std::string& path, FileFormat format);

}  // namespace lambdaml::data
