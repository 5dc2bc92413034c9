// A run as people read it: a table with one line per epoch, a progress line, a summary. Pure
// functions to text; the caller knows where it goes and whether that is a terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/report/run_record.h"

namespace lambdaml::report {

// The epochs of a run in aligned columns. Which columns there are is fixed by the first record:
// what it did not measure has no column, and its extra numbers have one each.
class EpochTable {
 public:
  explicit EpochTable(const EpochRecord& first);

  // The names of the columns; no final newline.
  std::string Header() const;
  // One epoch; "-" where the record lacks a column's number. No final newline.
  std::string Line(const EpochRecord& record) const;

 private:
  Objective objective_;
  bool has_accuracy_;
  bool has_valid_loss_;
  bool has_valid_accuracy_;
  std::vector<std::string> extra_names_;
};

// How far a run is.
struct Progress {
  int64_t epoch = 0;  // finished ones
  int64_t n_epochs = 0;
  double epoch_share = 0;  // of the running epoch: 0..1
  Objective objective = Objective::kLoss;
  std::optional<double> loss = {};  // the objective
  double elapsed_seconds = 0;       // of training
};

// A line that overwrites itself on a terminal `width` columns wide: bar, epochs, objective, time
// left. It starts with a carriage return, erases what was there, and never wraps.
std::string FormatProgress(const Progress& progress, int width);

// Erases the progress line.
std::string ClearProgress();

// The block at the end of a run, each line with its newline.
std::string FormatSummary(const RunSummary& summary);

}  // namespace lambdaml::report
