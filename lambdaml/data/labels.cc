#include "lambdaml/data/labels.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;

bool LabelLess(const LabelCount& count, double label) { return count.label < label; }

// Adds `rows` to the count of `label`.
void AddTo(LabelCounts& counts, double label, int64_t rows) {
  const auto at = std::lower_bound(counts.begin(), counts.end(), label, LabelLess);
  if (at != counts.end() && at->label == label) {
    at->rows += rows;
  } else {
    counts.insert(at, {label, rows});
  }
}

[[noreturn]] void ThrowTooManyClasses() {
  throw Error(ErrorCode::kInvalidData,
              fmt::format("more than {} distinct labels: they look like the targets of a "
                          "regression, not like classes",
                          kClassesMax));
}

}  // namespace

std::optional<LabelCounts> CountLabels(std::span<const double> labels) {
  LabelCounts counts;
  for (const double label : labels) {
    AddTo(counts, label, 1);
    if (counts.size() > kClassesMax) return std::nullopt;
  }
  return counts;
}

std::optional<LabelCounts> MergeCounts(const std::optional<LabelCounts>& a,
                                       const std::optional<LabelCounts>& b) {
  if (!a.has_value() || !b.has_value()) return std::nullopt;
  LabelCounts merged = *a;
  for (const LabelCount& count : *b) AddTo(merged, count.label, count.rows);
  if (merged.size() > kClassesMax) return std::nullopt;
  return merged;
}

LabelMap::LabelMap(std::vector<double> labels) : labels_(std::move(labels)) {
  std::sort(labels_.begin(), labels_.end());
  labels_.erase(std::unique(labels_.begin(), labels_.end()), labels_.end());
  if (labels_.size() > kClassesMax) ThrowTooManyClasses();
  if (labels_.size() < 2) {
    throw Error(ErrorCode::kInvalidData,
                labels_.empty() ? std::string("there is no label to train a classifier on")
                                : fmt::format("every row has the label {}: a classifier needs at "
                                              "least two",
                                              labels_.front()));
  }
}

LabelMap LabelMap::FromCounts(const std::optional<LabelCounts>& counts) {
  if (!counts.has_value()) ThrowTooManyClasses();
  std::vector<double> labels;
  for (const LabelCount& count : *counts) labels.push_back(count.label);
  return LabelMap(std::move(labels));
}

std::optional<int> LabelMap::FindClass(double label) const {
  const auto at = std::lower_bound(labels_.begin(), labels_.end(), label);
  if (at == labels_.end() || *at != label) return std::nullopt;
  return static_cast<int>(at - labels_.begin());
}

std::vector<int32_t> LabelMap::ClassesOf(std::span<const double> labels) const {
  std::vector<int32_t> classes;
  classes.reserve(labels.size());
  for (const double label : labels) {
    const auto class_index = FindClass(label);
    if (!class_index) {
      throw Error(ErrorCode::kInvalidData, fmt::format("row {}: label {} is none of the {} labels "
                                                       "known",
                                                       classes.size() + 1, label, class_count()));
    }
    classes.push_back(*class_index);
  }
  return classes;
}

}  // namespace lambdaml::data
