#include "lambdaml/train/cnn_model_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <span>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/data/safetensors.h"

namespace lambdaml::train {
namespace {

constexpr std::string_view kArchitectureKey = "lambdaml.architecture";
constexpr std::string_view kMeanKey = "lambdaml.mean";
constexpr std::string_view kDeviationKey = "lambdaml.deviation";
constexpr std::array kArchitectures = {nn::Architecture::kMobileNet, nn::Architecture::kResNet18,
                                       nn::Architecture::kResNet50};
// Every network ends with this layer: classes x features.
constexpr std::string_view kLastWeight = "linear.weight";

std::string FormatChannels(const std::array<float, data::kImageChannels>& channels) {
  return fmt::format("{}", fmt::join(channels, " "));
}

class Parser {
 public:
  Parser(base::Blob file, std::string_view origin)
      : origin_(origin), file_(data::ParseSafetensors(std::move(file), origin)) {}

  CnnModel Parse() {
    CnnModel model;
    model.n_classes = ClassCount();
    model.architecture = FindArchitecture();
    model.normalisation = ParseNormalisation();
    const nn::StateLayout layout = nn::DescribeState(model.architecture, model.n_classes);
    if (file_.tensors.size() != layout.entries.size()) {
      Fail(fmt::format("{} tensors instead of the {} of {}", file_.tensors.size(),
                       layout.entries.size(), nn::ArchitectureName(model.architecture)));
    }
    model.parameters.resize(layout.parameter_count);
    for (const nn::TensorInfo& info : layout.parameters) Read(info, model.parameters);
    model.statistics.resize(layout.statistic_count);
    for (const nn::TensorInfo& info : layout.statistics) Read(info, model.statistics);
    for (const std::string& name : layout.batch_counts) {
      model.batch_count = std::max(model.batch_count, ReadCount(name));
    }
    return model;
  }

 private:
  [[noreturn]] void Fail(std::string_view what) const {
    throw base::Error(base::ErrorCode::kInvalidData, fmt::format("{}: {}", origin_, what));
  }

  const data::Tensor& Find(const std::string& name) const {
    const data::Tensor* const tensor = file_.Find(name);
    if (tensor == nullptr) Fail(fmt::format("tensor {} is missing", name));
    return *tensor;
  }

  int64_t ClassCount() const {
    const data::Tensor* const last = file_.Find(kLastWeight);
    if (last == nullptr || last->shape.size() != 2) {
      Fail(fmt::format("no network of ours: it has no matrix {}", kLastWeight));
    }
    const int64_t n_classes = last->shape.front();
    if (n_classes < 1 || n_classes > nn::kClassesMax) {
      Fail(fmt::format("{}: {} classes", kLastWeight, n_classes));
    }
    return n_classes;
  }

  // Names tell architectures apart: a tensor of one that the others lack.
  nn::Architecture FindArchitecture() const {
    const std::string* const named = file_.FindMetadata(kArchitectureKey);
    for (const nn::Architecture architecture : kArchitectures) {
      if (named != nullptr) {
        if (*named == nn::ArchitectureName(architecture)) return architecture;
        continue;
      }
      const nn::StateLayout layout = nn::DescribeState(architecture, 1);
      const bool has_all = std::ranges::all_of(layout.parameters, [&](const nn::TensorInfo& info) {
        return file_.Find(info.name) != nullptr;
      });
      if (has_all && file_.tensors.size() == layout.entries.size()) return architecture;
    }
    if (named != nullptr) Fail(fmt::format("unknown architecture \"{}\"", *named));
    Fail("its tensors are those of none of our networks");
  }

  std::optional<data::Normalisation> ParseNormalisation() const {
    const std::string* const mean = file_.FindMetadata(kMeanKey);
    const std::string* const deviation = file_.FindMetadata(kDeviationKey);
    if (mean == nullptr && deviation == nullptr) return std::nullopt;
    if (mean == nullptr || deviation == nullptr) Fail("mean without deviation, or the reverse");
    const data::Normalisation result = {.mean = ParseChannels(kMeanKey, *mean),
                                        .deviation = ParseChannels(kDeviationKey, *deviation)};
    for (const float value : result.deviation) {
      if (!(value > 0)) Fail(fmt::format("{}: {} is not above 0", kDeviationKey, value));
    }
    return result;
  }

  std::array<float, data::kImageChannels> ParseChannels(std::string_view key,
                                                        std::string_view text) const {
    std::array<float, data::kImageChannels> channels = {};
    const char* at = text.data();
    const char* const end = at + text.size();
    for (size_t i = 0; i < channels.size(); ++i) {
      if (i > 0 && (at == end || *at++ != ' ')) at = end;
      const auto [stop, error] = std::from_chars(at, end, channels[i]);
      if (error != std::errc() || !std::isfinite(channels[i])) {
        Fail(fmt::format("{}: \"{}\" is not three numbers", key, text));
      }
      at = stop;
    }
    if (at != end) Fail(fmt::format("{}: \"{}\" is not three numbers", key, text));
    return channels;
  }

  void Read(const nn::TensorInfo& info, std::vector<float>& target) const {
    const data::Tensor& tensor = Find(info.name);
    if (tensor.type != data::TensorType::kFloat32 || tensor.shape != info.shape) {
      Fail(fmt::format("{}: it must be float32 of shape ({})", info.name,
                       fmt::join(info.shape, ", ")));
    }
    std::memcpy(target.data() + info.offset, tensor.bytes.data(), tensor.bytes.size());
    for (size_t i = info.offset; i < info.offset + info.size; ++i) {
      if (!std::isfinite(target[i])) Fail(fmt::format("{}: not all finite", info.name));
    }
  }

  int64_t ReadCount(const std::string& name) const {
    const data::Tensor& tensor = Find(name);
    int64_t count = 0;
    if (tensor.type != data::TensorType::kInt64 || tensor.bytes.size() != sizeof(count)) {
      Fail(fmt::format("{}: it must be one int64", name));
    }
    std::memcpy(&count, tensor.bytes.data(), sizeof(count));
    if (count < 0) Fail(fmt::format("{}: {} is below 0", name, count));
    return count;
  }

  std::string_view origin_;
  data::TensorFile file_;
};

}  // namespace

CnnModel ModelOf(nn::Network& network, const data::Normalisation& normalisation) {
  const auto copy = [](std::span<const float> values) {
    return std::vector<float>(values.begin(), values.end());
  };
  return {.architecture = network.options().architecture,
          .n_classes = network.options().n_classes,
          .normalisation = normalisation,
          .parameters = copy(network.parameters()),
          .statistics = copy(network.statistics()),
          .batch_count = network.batch_count()};
}

void SetNetwork(const CnnModel& model, nn::Network& network) {
  std::ranges::copy(model.parameters, network.parameters().begin());
  std::ranges::copy(model.statistics, network.statistics().begin());
  network.set_batch_count(model.batch_count);
}

base::Bytes FormatCnnModel(const CnnModel& model) {
  const nn::StateLayout layout = nn::DescribeState(model.architecture, model.n_classes);
  std::vector<std::pair<std::string, std::string>> metadata = {
      {"format", "pt"},
      {std::string(kArchitectureKey), std::string(nn::ArchitectureName(model.architecture))}};
  if (model.normalisation) {
    metadata.emplace_back(kMeanKey, FormatChannels(model.normalisation->mean));
    metadata.emplace_back(kDeviationKey, FormatChannels(model.normalisation->deviation));
  }
  const auto part = [](const nn::TensorInfo& info, const std::vector<float>& values) {
    return data::Tensor{.name = info.name,
                        .type = data::TensorType::kFloat32,
                        .shape = info.shape,
                        .bytes = std::as_bytes(std::span(values).subspan(info.offset, info.size))};
  };
  std::vector<data::Tensor> tensors;
  for (const nn::StateLayout::Entry& entry : layout.entries) {
    switch (entry.kind) {
      case nn::StateLayout::Kind::kParameter:
        tensors.push_back(part(layout.parameters[entry.index], model.parameters));
        break;
      case nn::StateLayout::Kind::kStatistic:
        tensors.push_back(part(layout.statistics[entry.index], model.statistics));
        break;
      case nn::StateLayout::Kind::kBatchCount:
        tensors.push_back({.name = layout.batch_counts[entry.index],
                           .type = data::TensorType::kInt64,
                           .shape = {},
                           .bytes = std::as_bytes(std::span(&model.batch_count, 1))});
        break;
    }
  }
  return data::FormatSafetensors(metadata, std::move(tensors));
}

CnnModel ParseCnnModel(base::Blob file, std::string_view origin) {
  return Parser(std::move(file), origin).Parse();
}

}  // namespace lambdaml::train
