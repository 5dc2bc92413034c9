#include "lambdaml/data/libsvm_reader.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/libsvm_parser.h"
#include "lambdaml/data/line_windows.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;

void CheckOptions(const LibsvmOptions& options) {
  if (options.index_base != 0 && options.index_base != 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--index_base is {}, it must be 0 or 1", options.index_base));
  }
  const int64_t n_features = options.n_features.value_or(1);
  if (n_features < 1 || n_features > kFeaturesMax) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--n_features is {}, it must be 1 to {}", n_features, kFeaturesMax));
  }
}

Dataset View(const SparseBuilder& sparse) { return {sparse.view(), sparse.labels(), nullptr}; }
Dataset View(const DenseBuilder& dense) { return {dense.view(), dense.labels(), nullptr}; }

// Reads one source. Rows are parsed as sparse until the layout is known, which for a dense one is
// after the first window.
class Reader {
 public:
  Reader(ByteSource& source, const LibsvmOptions& options)
      : options_(options),
        name_(source.name()),
        windows_(source, number::kPaddingBytes, kLineBytesMax),
        parser_(name_, options.index_base, options.n_features.value_or(kFeaturesMax),
                options.n_features.has_value()) {}

  Dataset Read() {
    for (;;) {
      const std::string_view lines = windows_.Next(parser_.line() + 1);
      if (lines.empty()) return Finish();
      if (dense_.has_value()) {
        ParseDense(lines);
        continue;
      }
      parser_.ParseSparse(lines, sparse_);
      // An undecided kAuto is settled by the first rows; Finish puts right a wrong guess.
      if (!decided_ && sparse_.rows() > 0) {
        decided_ = true;
        if (WantsDense(sparse_.nonzeros(), sparse_.rows(), Width(sparse_.width()))) GoDense();
      }
    }
  }

 private:
  // n_features if it is declared, else what the rows need.
  int64_t Width(int64_t width_seen) const { return options_.n_features.value_or(width_seen); }

  bool WantsDense(int64_t nonzeros, int64_t rows, int64_t width) const {
    if (options_.layout != Layout::kAuto) return options_.layout == Layout::kDense;
    const double cells = static_cast<double>(rows) * static_cast<double>(width);
    return static_cast<double>(nonzeros) >= kDenseDensityMin * cells;
  }

  void GoDense() {
    width_seen_ = sparse_.width();
    nonzeros_ = sparse_.nonzeros();
    dense_.emplace(Width(width_seen_));
    dense_->Append(View(sparse_));
    sparse_ = SparseBuilder();
  }

  void GoSparse() {
    sparse_.Append(View(*dense_));
    dense_.reset();
  }

  void ParseDense(std::string_view lines) {
    const int64_t rows_before = dense_->rows();
    if (const auto stats = parser_.ParseDense(lines, *dense_)) {
      nonzeros_ += stats->features;
      width_seen_ = std::max(width_seen_, stats->width);
      return;
    }
    // Some column is beyond the width: parse the window again to learn how wide it is.
    dense_->TruncateRows(rows_before);
    SparseBuilder window;
    parser_.ParseSparse(lines, window);
    width_seen_ = std::max(width_seen_, window.width());
    nonzeros_ += window.nonzeros();
    const Dataset rows = View(window);
    if (!WantsDense(nonzeros_, rows_before + window.rows(), width_seen_)) {
      GoSparse();
      sparse_.Append(rows);
      return;
    }
    // An eighth to spare: a file that widens with every window is not moved every time.
    if (width_seen_ > dense_->width()) dense_->SetWidth(width_seen_ + width_seen_ / 8);
    dense_->Append(rows);
  }

  Dataset Finish() {
    const int64_t rows = dense_.has_value() ? dense_->rows() : sparse_.rows();
    const int64_t width = Width(dense_.has_value() ? width_seen_ : sparse_.width());
    if (rows == 0) throw Error(ErrorCode::kInvalidData, fmt::format("{}: no rows", name_));
    if (width == 0) {
      throw Error(ErrorCode::kInvalidData,
                  fmt::format("{}: no row has a feature; --n_features would say how many there are",
                              name_));
    }
    const int64_t nonzeros = dense_.has_value() ? nonzeros_ : sparse_.nonzeros();
    const bool wants_dense = WantsDense(nonzeros, rows, width);
    if (wants_dense && !dense_.has_value()) GoDense();
    if (!wants_dense && dense_.has_value()) GoSparse();
    if (!wants_dense) return std::move(sparse_).Finish(width);
    dense_->SetWidth(width);
    return std::move(*dense_).Finish();
  }

  const LibsvmOptions& options_;
  const std::string& name_;
  LineWindows windows_;
  LibsvmParser parser_;
  SparseBuilder sparse_;
  std::optional<DenseBuilder> dense_;  // takes over from sparse_
  int64_t width_seen_ = 0;             // of the dense rows, which may have columns to spare
  int64_t nonzeros_ = 0;               // features that the dense rows' lines spelled out
  bool decided_ = false;
};

}  // namespace

Dataset ReadLibsvm(ByteSource& source, const LibsvmOptions& options) {
  CheckOptions(options);
  try {
    return Reader(source, options).Read();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kResourceExhausted) throw;
    throw Error(error.code(), fmt::format("{}: {}", source.name(), error.message()));
  }
}

}  // namespace lambdaml::data
