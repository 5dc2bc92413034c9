#include "lambdaml/report/table.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/units.h"

namespace lambdaml::report {
namespace {

constexpr size_t kBarWidth = 20;
constexpr std::string_view kEraseLine = "\r\x1b[K";

std::string FormatLoss(double loss) {
  const double size = std::abs(loss);
  const bool readable = loss == 0 || (size >= 1e-3 && size < 1e3);
  return readable ? fmt::format("{:.6f}", loss) : fmt::format("{:.3e}", loss);
}

// An inertia, being a sum, is a large number whose digits matter.
std::string FormatObjective(Objective objective, double value) {
  return objective == Objective::kLoss ? FormatLoss(value) : fmt::format("{:#.8g}", value);
}

std::string FormatPercent(double share, int decimals) {
  return fmt::format("{:.{}f} %", share * 100, decimals);
}

std::string LossOrDash(const std::optional<double>& loss) { return loss ? FormatLoss(*loss) : "-"; }

std::string PercentOrDash(const std::optional<double>& share) {
  return share ? FormatPercent(*share, 2) : "-";
}

// Counts with all their digits.
std::string FormatNumber(double value) {
  const bool is_count = std::floor(value) == value && std::abs(value) < 1e9;
  return is_count ? fmt::format("{:.0f}", value) : fmt::format("{:.4g}", value);
}

std::string ExtraOrDash(const NamedNumbers& extra, std::string_view name) {
  for (const auto& [candidate, value] : extra) {
    if (candidate == name) return FormatNumber(value);
  }
  return "-";
}

void AddCell(std::string& line, std::string_view text, size_t width) {
  fmt::format_to(std::back_inserter(line), "  {:>{}}", text, width);
}

size_t ExtraWidth(std::string_view name) { return std::max<size_t>(name.size(), 10); }

size_t ObjectiveWidth(Objective objective) { return objective == Objective::kLoss ? 11 : 14; }

// One line of the summary: a name in a column of its own, and what there is to say.
std::string Entry(std::string_view name, std::string_view text) {
  return fmt::format("  {:<11} {}\n", name, text);
}

std::string Result(Objective objective, double loss, const std::optional<double>& accuracy) {
  std::string text =
      fmt::format("{} {}", ObjectiveName(objective), FormatObjective(objective, loss));
  if (accuracy) text += fmt::format(", accuracy {}", FormatPercent(*accuracy, 2));
  return text;
}

std::string Clusters(const std::vector<int64_t>& sizes) {
  constexpr size_t kShownMax = 20;
  const auto count = [](int64_t value) { return base::FormatCount(static_cast<uint64_t>(value)); };
  std::string text = fmt::format("{} of ", sizes.size());
  if (sizes.size() > kShownMax) {
    const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
    text += fmt::format("{} to {}", count(*least), count(*most));
  } else {
    for (size_t i = 0; i < sizes.size(); ++i)
      text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  }
  text += " rows";
  const auto empty = std::count(sizes.begin(), sizes.end(), 0);
  if (empty > 0) text += fmt::format("; {} empty", empty);
  return text;
}

std::string Time(const RunSummary& summary) {
  const TimeParts& time = summary.time;
  return fmt::format(
      "{} in all; a worker, on average: start-up {}, load {}, compute {}, synchronise {}",
      base::FormatSeconds(summary.wall_seconds), base::FormatSeconds(time.startup_seconds),
      base::FormatSeconds(time.load_seconds), base::FormatSeconds(time.compute_seconds),
      base::FormatSeconds(time.synchronise_seconds));
}

std::string Functions(const RunSummary& summary) {
  return fmt::format(
      "{} of {} MB, {} billed, {:.4g} GB-s",
      summary.invocations == 1
          ? "1 invocation"
          : base::FormatCount(static_cast<uint64_t>(summary.invocations)) + " invocations",
      base::FormatCount(static_cast<uint64_t>(summary.memory_mb)),
      base::FormatSeconds(static_cast<double>(summary.billed_ms) / 1000), summary.gb_seconds);
}

std::string Requests(const ServiceUse& use) {
  std::string text = fmt::format("{} reads, {} writes", base::FormatCount(use.get_requests),
                                 base::FormatCount(use.put_requests));
  if (use.list_requests > 0)
    text += fmt::format(", {} lists", base::FormatCount(use.list_requests));
  if (use.delete_requests > 0) {
    text += fmt::format(", {} deletes", base::FormatCount(use.delete_requests));
  }
  if (use.retries > 0) text += fmt::format(", {} retries", base::FormatCount(use.retries));
  text += fmt::format("; {} read, {} written", base::FormatBytes(use.bytes_read),
                      base::FormatBytes(use.bytes_written));
  if (use.read_units + use.write_units > 0) {
    text += fmt::format("; {} read units, {} write units", base::FormatCount(use.read_units),
                        base::FormatCount(use.write_units));
  }
  if (use.waiting_seconds > 0) {
    text += fmt::format("; waited {} in all", base::FormatSeconds(use.waiting_seconds));
  }
  return text;
}

// Services that cost nothing go without saying.
std::string Dollars(const RunSummary& summary) {
  std::string parts;
  for (const CostItem& item : summary.cost) {
    if (item.dollars == 0 && item.is_counted) continue;
    if (!parts.empty()) parts += ", ";
    parts += item.is_counted
                 ? fmt::format("{} {}", item.service, base::FormatDollars(item.dollars))
                 : fmt::format("{}: node-hours not counted, give --cache_node TYPE", item.service);
  }
  if (!parts.empty()) parts = fmt::format(" ({})", parts);
  return fmt::format("{}{}{} at {} prices of {}",
                     summary.platform == "local" ? "nothing here; on AWS " : "",
                     base::FormatDollars(TotalDollars(summary.cost)), parts, summary.prices_region,
                     summary.prices_as_of);
}

}  // namespace

EpochTable::EpochTable(const EpochRecord& first)
    : objective_(first.objective),
      has_accuracy_(first.accuracy.has_value()),
      has_valid_loss_(first.valid_loss.has_value()),
      has_valid_accuracy_(first.valid_accuracy.has_value()) {
  for (const auto& [name, value] : first.extra) extra_names_.push_back(name);
}

std::string EpochTable::Header() const {
  std::string line = "epoch";
  AddCell(line, ObjectiveName(objective_), ObjectiveWidth(objective_));
  if (has_accuracy_) AddCell(line, "accuracy", 9);
  if (has_valid_loss_) AddCell(line, "valid loss", 11);
  if (has_valid_accuracy_) AddCell(line, "valid acc", 9);
  for (const std::string& name : extra_names_) AddCell(line, name, ExtraWidth(name));
  AddCell(line, "seconds", 8);
  AddCell(line, "sync", 5);
  return line;
}

std::string EpochTable::Line(const EpochRecord& record) const {
  std::string line = fmt::format("{:>5}", record.epoch);
  AddCell(line, FormatObjective(objective_, record.loss), ObjectiveWidth(objective_));
  if (has_accuracy_) AddCell(line, PercentOrDash(record.accuracy), 9);
  if (has_valid_loss_) AddCell(line, LossOrDash(record.valid_loss), 11);
  if (has_valid_accuracy_) AddCell(line, PercentOrDash(record.valid_accuracy), 9);
  for (const std::string& name : extra_names_) {
    AddCell(line, ExtraOrDash(record.extra, name), ExtraWidth(name));
  }
  AddCell(line, fmt::format("{:.3f}", record.seconds), 8);
  AddCell(line, FormatPercent(record.sync_share, 0), 5);
  return line;
}

std::string FormatProgress(const Progress& progress, int width) {
  const double done =
      static_cast<double>(progress.epoch) + std::clamp(progress.epoch_share, 0., 1.);
  const double share =
      progress.n_epochs > 0 ? std::clamp(done / static_cast<double>(progress.n_epochs), 0., 1.) : 0;
  const auto filled = static_cast<size_t>(share * static_cast<double>(kBarWidth));
  std::string line = fmt::format(
      "[{}{}] epoch {}/{}", std::string(filled, '='), std::string(kBarWidth - filled, ' '),
      std::min(progress.epoch + 1, progress.n_epochs), progress.n_epochs);
  if (progress.loss) {
    line += fmt::format(", {} {}", ObjectiveName(progress.objective),
                        FormatObjective(progress.objective, *progress.loss));
  }
  line += fmt::format(", {}", base::FormatSeconds(progress.elapsed_seconds));
  if (share > 0 && share < 1) {
    const double left_seconds = progress.elapsed_seconds * (1 - share) / share;
    line += fmt::format(", {} left", base::FormatSeconds(left_seconds));
  }
  // A terminal wraps after its last column, and then there would be two lines to overwrite.
  const auto room = static_cast<size_t>(std::max(width - 1, 0));
  if (line.size() > room) line.resize(room);
  return std::string(kEraseLine) + line;
}

std::string ClearProgress() { return std::string(kEraseLine); }

std::string FormatSummary(const RunSummary& summary) {
  std::string text = fmt::format(
      "{} trained with {}, {} worker{} ({}), on {} rows of {} features\n", summary.model,
      summary.optim, summary.worker_count, summary.worker_count == 1 ? "" : "s", summary.sync_mode,
      base::FormatCount(static_cast<uint64_t>(summary.rows)),
      base::FormatCount(static_cast<uint64_t>(summary.n_features)));
  text += Entry("epochs", fmt::format("{}, ended by {}", summary.epochs, summary.stopped_by));
  text += Entry("training", Result(summary.objective, summary.loss, summary.accuracy));
  if (summary.regularizer != "none") {
    text += Entry("penalty", fmt::format("{}, lambda {:.4g}, part of the training loss",
                                         summary.regularizer, summary.lambda));
  }
  if (summary.valid_loss) {
    text +=
        Entry("validation", Result(summary.objective, *summary.valid_loss, summary.valid_accuracy));
  }
  if (summary.test_loss) {
    text += Entry("test", Result(summary.objective, *summary.test_loss, summary.test_accuracy));
  }
  if (!summary.cluster_sizes.empty()) text += Entry("clusters", Clusters(summary.cluster_sizes));
  for (const auto& [name, value] : summary.extra) text += Entry(name, fmt::format("{:.6g}", value));
  text += Entry("time", Time(summary));
  text += Entry("functions", Functions(summary));
  for (const ServiceUse& use : summary.services) text += Entry(use.service, Requests(use));
  text += Entry("cost", Dollars(summary));
  text += Entry("model", summary.model_path);
  return text;
}

}  // namespace lambdaml::report
