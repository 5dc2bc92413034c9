#include "lambdaml/nn/architecture.h"

#include <fmt/format.h>
#include <functional>
#include <numeric>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/nn/blueprint.h"

namespace lambdaml::nn {
namespace {

size_t Append(std::vector<TensorInfo>& tensors, size_t& count, TensorInfo info) {
  info.offset = count;
  info.size = static_cast<size_t>(
      std::accumulate(info.shape.begin(), info.shape.end(), int64_t{1}, std::multiplies<>()));
  count += info.size;
  tensors.push_back(std::move(info));
  return tensors.size() - 1;
}

void AppendParameter(StateLayout& layout, std::string name, std::vector<int64_t> shape,
                     int64_t fan_in) {
  const size_t index =
      Append(layout.parameters, layout.parameter_count,
             {.name = std::move(name), .shape = std::move(shape), .fan_in = fan_in});
  layout.entries.push_back({StateLayout::Kind::kParameter, index});
}

void AppendStatistic(StateLayout& layout, std::string name, int64_t channels) {
  const size_t index = Append(layout.statistics, layout.statistic_count,
                              {.name = std::move(name), .shape = {channels}});
  layout.entries.push_back({StateLayout::Kind::kStatistic, index});
}

void AppendLayer(StateLayout& layout, const Blueprint& blueprint, const LayerSpec& layer) {
  const int64_t in = blueprint.values[static_cast<size_t>(layer.input)].channels;
  const int64_t out = blueprint.values[static_cast<size_t>(layer.output)].channels;
  switch (layer.kind) {
    case LayerSpec::Kind::kConvolution: {
      const int64_t group_in = in / layer.groups;
      AppendParameter(layout, layer.name + ".weight", {out, group_in, layer.kernel, layer.kernel},
                      group_in * layer.kernel * layer.kernel);
      break;
    }
    case LayerSpec::Kind::kBatchNorm:
      AppendParameter(layout, layer.name + ".weight", {out}, 0);
      AppendParameter(layout, layer.name + ".bias", {out}, 0);
      AppendStatistic(layout, layer.name + ".running_mean", out);
      AppendStatistic(layout, layer.name + ".running_var", out);
      layout.entries.push_back({StateLayout::Kind::kBatchCount, layout.batch_counts.size()});
      layout.batch_counts.push_back(layer.name + ".num_batches_tracked");
      break;
    case LayerSpec::Kind::kAveragePool:
      break;
    case LayerSpec::Kind::kLinear:
      AppendParameter(layout, layer.name + ".weight", {out, in}, in);
      AppendParameter(layout, layer.name + ".bias", {out}, in);
      break;
  }
}

}  // namespace

std::string_view ArchitectureName(Architecture architecture) {
  switch (architecture) {
    case Architecture::kMobileNet:
      return "mobilenet";
    case Architecture::kResNet18:
      return "resnet18";
    case Architecture::kResNet50:
      break;
  }
  return "resnet50";
}

StateLayout DescribeState(Architecture architecture, int64_t n_classes) {
  if (n_classes < 1 || n_classes > kClassesMax) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("a network has 1 to {} classes, not {}", kClassesMax, n_classes));
  }
  const Blueprint blueprint = MakeBlueprint(architecture, n_classes);
  StateLayout layout;
  for (const int i : blueprint.state_order) {
    AppendLayer(layout, blueprint, blueprint.layers[static_cast<size_t>(i)]);
  }
  return layout;
}

}  // namespace lambdaml::nn
