#include "lambdaml/model/linear_model_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <optional>

#include "lambdaml/base/check.h"
#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"

namespace lambdaml::model {
namespace {

constexpr std::string_view kTrailerName = "lambdaml_model";
constexpr std::string_view kTrailerVersion = "1";
constexpr int64_t kFeaturesMax = std::numeric_limits<int32_t>::max() - 1;
constexpr int64_t kClassesMax = 1 << 20;

enum class Kind { kLogistic, kHinge, kMultiClassHinge };

struct Solver {
  std::string_view name;
  Kind kind;
};

constexpr Solver kSolvers[] = {
    {"L2R_LR", Kind::kLogistic},      {"L2R_LR_DUAL", Kind::kLogistic},
    {"L1R_LR", Kind::kLogistic},      {"L2R_L1LOSS_SVC_DUAL", Kind::kHinge},
    {"L2R_L2LOSS_SVC", Kind::kHinge}, {"L2R_L2LOSS_SVC_DUAL", Kind::kHinge},
    {"L1R_L2LOSS_SVC", Kind::kHinge}, {"MCSVM_CS", Kind::kMultiClassHinge},
};
constexpr std::string_view kNoClassifiers[] = {"L2R_L2LOSS_SVR", "L2R_L2LOSS_SVR_DUAL",
                                               "L2R_L1LOSS_SVR_DUAL", "ONECLASS_SVM"};

bool IsMetadataKey(std::string_view key) {
  return !key.empty() &&
         key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

bool IsInt32(double value) {
  return value >= std::numeric_limits<int32_t>::min() &&
         value <= std::numeric_limits<int32_t>::max() && value == std::trunc(value);
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view word) {
  if (word.starts_with('+')) {
    word.remove_prefix(1);
    if (word.starts_with('-')) return std::nullopt;
  }
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>) {
    if (!std::isfinite(value)) return std::nullopt;
  }
  return value;
}

// The next word of a line, or an empty one at its end.
std::string_view TakeWord(std::string_view* line) {
  constexpr std::string_view kBlank = " \t";
  line->remove_prefix(std::min(line->find_first_not_of(kBlank), line->size()));
  const std::string_view word = line->substr(0, line->find_first_of(kBlank));
  line->remove_prefix(word.size());
  return word;
}

// Goes through a model file line by line.
class Parser {
 public:
  Parser(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {}

  LinearModel Parse() {
    ParseHeader();
    ParseWeights();
    ApplyBias();
    while (NextLine()) {
      if (TrimmedLine().empty()) continue;
      ParseTrailer();
      break;
    }
    while (NextLine()) {
      if (!TrimmedLine().empty()) Fail("text after the end of the model");
    }
    return std::move(model_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what,
                         base::ErrorCode code = base::ErrorCode::kInvalidData) const {
    throw base::Error(code, fmt::format("{}:{}: {}", origin_, line_number_, what));
  }

  // Moves to the next line; false at the end of the text.
  bool NextLine() {
    if (position_ >= text_.size()) return false;
    line_begin_ = position_;
    const size_t end = std::min(text_.find('\n', position_), text_.size());
    line_ = text_.substr(position_, end - position_);
    if (line_.ends_with('\r')) line_.remove_suffix(1);
    position_ = end + 1;
    ++line_number_;
    return true;
  }

  std::string_view TrimmedLine() const {
    std::string_view line = line_;
    return TakeWord(&line);
  }

  void ExpectEnd(std::string_view rest) const {
    if (const std::string_view word = TakeWord(&rest); !word.empty()) {
      Fail(fmt::format("unexpected \"{}\"", Shown(word)));
    }
  }

  // What an error shows of a word from a file that may be anything.
  static std::string Shown(std::string_view word) {
    std::string shown(word.substr(0, 40));
    for (char& c : shown) {
      if (c < ' ' || c > '~') c = '?';
    }
    return shown;
  }

  template <typename Number>
  Number TakeNumber(std::string_view* rest, std::string_view what) const {
    const std::string_view word = TakeWord(rest);
    if (word.empty()) Fail(fmt::format("{} is missing", what));
    const std::optional<Number> value = ParseNumber<Number>(word);
    if (!value) Fail(fmt::format("{}: \"{}\" is not a number that fits", what, Shown(word)));
    return *value;
  }

  template <typename Number>
  Number TakeOnlyNumber(std::string_view rest, std::string_view what, Number low,
                        Number high) const {
    const Number value = TakeNumber<Number>(&rest, what);
    ExpectEnd(rest);
    if (value < low || value > high) {
      Fail(fmt::format("{} must be in [{}, {}], not {}", what, low, high, value));
    }
    return value;
  }

  void ParseHeader() {
    while (NextLine()) {
      std::string_view rest = line_;
      const std::string_view key = TakeWord(&rest);
      if (key == "w") {
        ExpectEnd(rest);
        return FinishHeader();
      }
      ParseHeaderLine(key, rest);
    }
    ++line_number_;
    Fail("the file ends before the weights (a line \"w\")");
  }

  void ParseHeaderLine(std::string_view key, std::string_view rest) {
    const auto once = [&](bool seen) {
      if (seen) Fail(fmt::format("{} stands here a second time", key));
    };
    if (key == "solver_type") {
      once(kind_.has_value());
      ParseSolver(TakeWord(&rest));
      ExpectEnd(rest);
    } else if (key == "nr_class") {
      once(n_classes_.has_value());
      n_classes_ = TakeOnlyNumber<int64_t>(rest, key, 1, kClassesMax);
    } else if (key == "label") {
      once(!header_labels_.empty());
      ParseLabels<int32_t>(rest, &header_labels_);
    } else if (key == "nr_feature") {
      once(n_features_.has_value());
      n_features_ = TakeOnlyNumber<int64_t>(rest, key, 0, kFeaturesMax);
    } else if (key == "bias") {
      once(bias_value_.has_value());
      constexpr double kLargest = std::numeric_limits<double>::max();
      bias_value_ = TakeOnlyNumber<double>(rest, key, -kLargest, kLargest);
    } else {
      Fail(fmt::format("\"{}\" is not a line of a LIBLINEAR model's header", Shown(key)));
    }
  }

  void ParseSolver(std::string_view name) {
    for (const Solver& solver : kSolvers) {
      if (solver.name == name) kind_ = solver.kind;
    }
    if (kind_) return;
    if (std::ranges::find(kNoClassifiers, name) != std::end(kNoClassifiers)) {
      Fail(fmt::format("{} models do not classify; only classifiers can be used", name));
    }
    Fail(fmt::format("solver_type \"{}\" is not known", Shown(name)));
  }

  template <typename Number>
  void ParseLabels(std::string_view rest, std::vector<double>* labels) {
    if (!n_classes_) Fail("labels before nr_class");
    for (int64_t c = 0; c < *n_classes_; ++c) {
      labels->push_back(static_cast<double>(TakeNumber<Number>(&rest, "a label")));
    }
    ExpectEnd(rest);
    std::vector<double> sorted = *labels;
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end()) Fail("two labels are the same");
  }

  void FinishHeader() {
    const auto need = [&](bool seen, std::string_view key) {
      if (!seen) Fail(fmt::format("the header has no line \"{}\"", key));
    };
    need(kind_.has_value(), "solver_type");
    need(n_classes_.has_value(), "nr_class");
    need(!header_labels_.empty(), "label");
    need(n_features_.has_value(), "nr_feature");
    need(bias_value_.has_value(), "bias");
    if (*n_classes_ < 2) Fail("the model has one class only; it cannot tell any apart");
    model_.loss = *kind_ == Kind::kLogistic ? LinearLoss::kLogistic : LinearLoss::kHinge;
    model_.one_vs_rest = *kind_ == Kind::kLogistic && *n_classes_ > 2;
    model_.shape = {*n_features_, static_cast<int>(*n_classes_), *bias_value_ >= 0};
    model_.labels = header_labels_;
    if (one_column()) std::swap(model_.labels[0], model_.labels[1]);
  }

  // Two classes with one weight for each feature.
  bool one_column() const { return *n_classes_ == 2 && *kind_ != Kind::kMultiClassHinge; }

  void ParseWeights() {
    const int64_t columns = one_column() ? 1 : *n_classes_;
    const int64_t lines = *n_features_ + (model_.shape.bias ? 1 : 0);
    // A number and what follows it take two bytes: a header alone cannot make us allocate much.
    const auto left = static_cast<int64_t>(text_.size() - std::min(position_, text_.size()));
    if (lines * columns > (left + 1) / 2) {
      Fail(fmt::format("{} weights cannot stand in the {} bytes that follow", lines * columns,
                       left));
    }
    model_.weights.reserve(static_cast<size_t>(lines * columns));
    std::vector<double> row(static_cast<size_t>(columns));
    for (int64_t j = 0; j < lines; ++j) {
      if (!NextLine()) {
        ++line_number_;
        Fail(fmt::format("the file ends after {} of {} lines of weights", j, lines));
      }
      std::string_view rest = line_;
      for (double& value : row) value = TakeNumber<double>(&rest, "a weight");
      ExpectEnd(rest);
      AddRow(row, j == *n_features_);
    }
  }

  void AddRow(const std::vector<double>& row, bool is_bias) {
    const double scale = is_bias ? *bias_value_ : 1.0;
    const auto add = [&](double value) {
      const double scaled = value * scale;
      if (!(std::abs(scaled) <= static_cast<double>(std::numeric_limits<float>::max()))) {
        Fail(fmt::format("weight {} is beyond what a model can hold", scaled));
      }
      model_.weights.push_back(static_cast<float>(scaled));
    };
    if (model_.shape.n_classes == 2 && row.size() == 2) return add(row[1] - row[0]);
    for (const double value : row) add(value);
  }

  // A bias feature of value 0 is none.
  void ApplyBias() {
    if (*bias_value_ != 0) return;
    model_.shape.bias = false;
    model_.weights.resize(static_cast<size_t>(model_.shape.parameter_count()));
  }

  void ParseTrailer() {
    std::string_view rest = line_;
    if (TakeWord(&rest) != kTrailerName) Fail("text after the weights");
    const std::string_view version = TakeWord(&rest);
    ExpectEnd(rest);
    if (version != kTrailerVersion) {
      Fail(fmt::format("version \"{}\" of the model format is not known", Shown(version)));
    }
    bool has_loss = false;
    while (NextLine()) {
      rest = line_;
      const std::string_view key = TakeWord(&rest);
      if (key == "checksum") {
        CheckChecksum(rest);
        if (!has_loss) Fail("the trailer has no line \"loss\"");
        return;
      }
      if (key == "loss") {
        if (has_loss) Fail("loss stands here a second time");
        ParseLoss(rest);
        has_loss = true;
      } else if (key == "labels") {
        model_.labels.clear();
        ParseLabels<double>(rest, &model_.labels);
      } else if (!IsMetadataKey(key) || rest.find('\r') != std::string_view::npos) {
        Fail(fmt::format("\"{}\" is not a line of the trailer", Shown(key)));
      } else {
        model_.metadata.emplace_back(key, rest.substr(std::min<size_t>(1, rest.size())));
      }
    }
    ++line_number_;
    Fail("the file ends before its checksum");
  }

  void ParseLoss(std::string_view rest) {
    const std::string_view name = TakeWord(&rest);
    ExpectEnd(rest);
    if (*kind_ == Kind::kMultiClassHinge && name == "logistic") {
      model_.loss = LinearLoss::kLogistic;
    } else if (name != (model_.loss == LinearLoss::kLogistic ? "logistic" : "hinge")) {
      Fail(fmt::format("loss \"{}\" does not go with the solver_type", Shown(name)));
    }
  }

  void CheckChecksum(std::string_view rest) const {
    const std::string_view stated = TakeWord(&rest);
    ExpectEnd(rest);
    const std::string actual =
        base::ChecksumHex(base::Checksum64(base::AsBytes(text_.substr(0, line_begin_))));
    if (stated != actual) {
      Fail(fmt::format("checksum {} stated, {} found: the file was changed", Shown(stated), actual),
           base::ErrorCode::kCorrupt);
    }
  }

  std::string_view text_;
  std::string_view origin_;
  size_t position_ = 0;
  size_t line_begin_ = 0;
  int64_t line_number_ = 0;
  std::string_view line_;

  std::optional<Kind> kind_;
  std::optional<int64_t> n_classes_;
  std::optional<int64_t> n_features_;
  std::optional<double> bias_value_;
  std::vector<double> header_labels_;
  LinearModel model_;
};

std::string_view SolverName(const LinearModel& model) {
  if (model.loss == LinearLoss::kHinge) return "L2R_L1LOSS_SVC_DUAL";
  return model.shape.n_classes == 2 || model.one_vs_rest ? "L2R_LR" : "MCSVM_CS";
}

void CheckSavable(const LinearModel& model) {
  LAMBDAML_CHECK(model.shape.n_classes >= 2);
  LAMBDAML_CHECK(static_cast<int64_t>(model.weights.size()) == model.shape.parameter_count());
  LAMBDAML_CHECK(static_cast<int>(model.labels.size()) == model.shape.n_classes);
  for (const auto& [key, value] : model.metadata) {
    LAMBDAML_CHECK(key != "loss" && key != "labels" && key != "checksum");
    LAMBDAML_CHECK(IsMetadataKey(key));
    LAMBDAML_CHECK(value.find_first_of("\r\n") == std::string::npos);
  }
  // A diverged model is the user's business, not a bug.
  for (const float weight : model.weights) {
    if (!std::isfinite(weight)) {
      throw base::Error(base::ErrorCode::kInvalidData,
                        "the model has weights that are not finite: training has diverged");
    }
  }
}

}  // namespace

std::string FormatLinearModel(const LinearModel& model) {
  CheckSavable(model);
  const bool integral = std::ranges::all_of(model.labels, IsInt32);
  // The header's labels in LIBLINEAR's order, and the classes they belong to.
  std::vector<int> order(model.labels.size());
  for (size_t c = 0; c < order.size(); ++c) order[c] = static_cast<int>(c);
  if (order.size() == 2) std::swap(order[0], order[1]);

  fmt::memory_buffer text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "solver_type {}\nnr_class {}\nlabel", SolverName(model),
                 model.shape.n_classes);
  for (const int c : order) {
    fmt::format_to(out, " {}",
                   integral ? static_cast<int32_t>(model.labels[static_cast<size_t>(c)]) : c);
  }
  fmt::format_to(out, "\nnr_feature {}\nbias {}\nw\n", model.shape.n_features,
                 model.shape.bias ? 1 : -1);
  const auto columns = static_cast<size_t>(model.shape.n_outputs());
  for (size_t i = 0; i < model.weights.size(); ++i) {
    fmt::format_to(out, "{}{}", model.weights[i], (i + 1) % columns == 0 ? " \n" : " ");
  }
  fmt::format_to(out, "{} {}\nloss {}\n", kTrailerName, kTrailerVersion,
                 model.loss == LinearLoss::kLogistic ? "logistic" : "hinge");
  if (!integral) {
    fmt::format_to(out, "labels");
    for (const double label : model.labels) fmt::format_to(out, " {}", label);
    fmt::format_to(out, "\n");
  }
  for (const auto& [key, value] : model.metadata) fmt::format_to(out, "{} {}\n", key, value);
  const std::string_view body(text.data(), text.size());
  const std::string checksum = base::ChecksumHex(base::Checksum64(base::AsBytes(body)));
  return fmt::format("{}checksum {}\n", body, checksum);
}

LinearModel ParseLinearModel(std::string_view text, std::string_view origin) {
  return Parser(text, origin).Parse();
}

}  // namespace lambdaml::model
