// The inner loop of the libsvm reader: windows of whole lines into a sink. Internal to data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/data/builder.h"
#include "lambdaml/data/number.h"

namespace lambdaml::data {

// What dense rows do not show: how many features the lines spelled out.
struct WindowStats {
  int64_t features = 0;
  int64_t width = 0;  // the largest column plus 1
};

// Threads: one caller.
class LibsvmParser {
 public:
  // Columns from column_end on are refused; as exceeding --n_features if width_is_declared.
  LibsvmParser(std::string name, int index_base, int64_t column_end, bool width_is_declared)
      : name_(std::move(name)),
        index_base_(static_cast<uint64_t>(index_base)),
        column_end_(static_cast<uint64_t>(column_end)),
        width_is_declared_(width_is_declared) {}

  // Parses whole lines, beyond which number::kPaddingBytes are readable. Adds a row for each line
  // that is not blank. Errors: kInvalidData as "name:line: what".
  void ParseSparse(std::string_view lines, SparseBuilder& rows);

  // As ParseSparse. When a column is beyond the width of `rows` it returns nothing, with some rows
  // added and line() as before.
  std::optional<WindowStats> ParseDense(std::string_view lines, DenseBuilder& rows);

  int64_t line() const { return line_; }  // lines parsed so far

 private:
  template <typename Sink>
  bool ParseLines(std::string_view lines, Sink& sink);
  template <typename Sink>
  const char* ParseLine(const char* p, Sink& sink) const;
  template <typename Sink>
  const char* ParseFeatures(const char* p, Sink& sink) const;
  const char* ParseLabel(const char* p, double* label) const;
  const char* SkipQueryId(const char* p) const;
  const char* EndOfLine(const char* p) const;

  [[noreturn]] void Fail(std::string_view what) const;
  [[noreturn]] void FailAtNumber(const char* p, std::string_view what) const;
  [[noreturn]] void FailAtIndex(const char* p, uint64_t column_min) const;

  std::string name_;
  uint64_t index_base_;
  uint64_t column_end_;
  bool width_is_declared_;
  int64_t line_ = 0;
};

}  // namespace lambdaml::data
