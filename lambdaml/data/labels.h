// Labels of a data set, any finite numbers, and the classes 0..n-1 that a classifier works with.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lambdaml::data {

// More distinct labels than this are taken for a regression's targets.
inline constexpr size_t kClassesMax = 1000;

struct LabelCount {
  double label = 0;
  int64_t rows = 0;

  bool operator==(const LabelCount&) const = default;
};

// Ascending by label, no label twice.
using LabelCounts = std::vector<LabelCount>;

// How many rows have each label; nothing when there are more than kClassesMax distinct ones.
std::optional<LabelCounts> CountLabels(std::span<const double> labels);

// The counts of two sets of rows together; nothing under the same limit, or if one is nothing.
std::optional<LabelCounts> MergeCounts(const std::optional<LabelCounts>& a,
                                       const std::optional<LabelCounts>& b);

// Which class a label is: its place among the distinct labels in ascending order. So the map of a
// job depends on its label set only, not on the shard that a worker sees.
class LabelMap {
 public:
  // From distinct or repeated labels in any order. Errors: kInvalidData when there is only one
  // label, or more than kClassesMax.
  explicit LabelMap(std::vector<double> labels);

  // The labels of all rows counted. Errors: as above; "nothing" means too many.
  static LabelMap FromCounts(const std::optional<LabelCounts>& counts);

  int class_count() const { return static_cast<int>(labels_.size()); }
  double label(int class_index) const { return labels_[static_cast<size_t>(class_index)]; }
  std::span<const double> labels() const { return labels_; }  // ascending

  // Nothing for a label that is not in the map.
  std::optional<int> FindClass(double label) const;

  // The class of each row. Errors: kInvalidData, naming the row, for a label not in the map.
  std::vector<int32_t> ClassesOf(std::span<const double> labels) const;

 private:
  std::vector<double> labels_;
};

}  // namespace lambdaml::data
