#include "lambdaml/data/libsvm_writer.h"

#include <charconv>
#include <string>

#include "lambdaml/base/check.h"

namespace lambdaml::data {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
// Of an index, or of the shortest form of a float or a double, with what stands before it.
constexpr size_t kNumberBytesMax = 32;

class TextBuffer {
 public:
  explicit TextBuffer(const ByteSink& sink) : sink_(sink), text_(kBufferBytes, '\0') {}

  void Put(char c) { text_[used_++] = c; }
  template <typename Number>
  void Put(Number number) {
    char* const begin = text_.data() + used_;
    const auto [end, error] = std::to_chars(begin, begin + kNumberBytesMax, number);
    LAMBDAML_CHECK(error == std::errc());
    used_ += static_cast<size_t>(end - begin);
  }
  // Call before each label and each feature: makes sure that they fit.
  void MakeRoom() {
    if (text_.size() - used_ < 3 * kNumberBytesMax) Flush();
  }
  void Flush() {
    sink_(base::AsBytes(std::string_view(text_).substr(0, used_)));
    used_ = 0;
  }

 private:
  const ByteSink& sink_;
  std::string text_;
  size_t used_ = 0;
};

void PutFeature(TextBuffer& text, int64_t column, float value) {
  text.MakeRoom();
  text.Put(' ');
  text.Put(column + 1);
  text.Put(':');
  text.Put(value);
}

bool HasLastColumn(const SparseRows& sparse) {
  for (size_t r = 0; r < static_cast<size_t>(sparse.rows); ++r) {
    const int64_t end = sparse.row_offsets[r + 1];
    if (end > sparse.row_offsets[r] &&
        sparse.columns[static_cast<size_t>(end) - 1] == sparse.n_features - 1) {
      return true;
    }
  }
  return false;
}

}  // namespace

void EncodeLibsvm(const Dataset& dataset, const ByteSink& sink, bool keep_width) {
  const bool mark_width = keep_width && !dataset.is_dense() && !HasLastColumn(dataset.sparse());
  TextBuffer text(sink);
  for (int64_t r = 0; r < dataset.rows(); ++r) {
    text.MakeRoom();
    text.Put(dataset.labels[static_cast<size_t>(r)]);
    if (dataset.is_dense()) {
      const float* const values = dataset.dense().row(r);
      for (int64_t j = 0; j < dataset.n_features(); ++j) PutFeature(text, j, values[j]);
    } else {
      const SparseRows& sparse = dataset.sparse();
      const auto begin = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(r)]);
      const auto end = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(r) + 1]);
      for (size_t i = begin; i < end; ++i) PutFeature(text, sparse.columns[i], sparse.values[i]);
      if (mark_width && r == 0) PutFeature(text, sparse.n_features - 1, 0.0F);
    }
    text.Put('\n');
  }
  text.Flush();
}

}  // namespace lambdaml::data
