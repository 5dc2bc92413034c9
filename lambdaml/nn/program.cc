#include "lambdaml/nn/program.h"

#include <algorithm>
#include <numeric>

#include "lambdaml/nn/onednn.h"

namespace lambdaml::nn {
namespace {

// Where each layer's parameters and statistics begin and end in the flat spans.
struct StateRange {
  size_t parameter_begin = 0;
  size_t parameter_end = 0;
  size_t statistic_begin = 0;
};

std::vector<StateRange> FindState(const Blueprint& blueprint, const StateLayout& layout) {
  std::vector<StateRange> ranges(blueprint.layers.size());
  auto parameter = layout.parameters.begin();
  auto statistic = layout.statistics.begin();
  size_t parameter_end = 0;
  size_t statistic_end = 0;
  for (const int i : blueprint.state_order) {
    const std::string prefix = blueprint.layers[static_cast<size_t>(i)].name + ".";
    StateRange& range = ranges[static_cast<size_t>(i)];
    range.parameter_begin = parameter_end;
    range.statistic_begin = statistic_end;
    for (; parameter != layout.parameters.end() && parameter->name.starts_with(prefix);
         ++parameter) {
      parameter_end = parameter->offset + parameter->size;
    }
    for (; statistic != layout.statistics.end() && statistic->name.starts_with(prefix);
         ++statistic) {
      statistic_end = statistic->offset + statistic->size;
    }
    range.parameter_end = parameter_end;
  }
  return ranges;
}

// Layers run backward from the last. After layer i has, all gradients from final[i] on are final:
// the flat order differs from the order of computation where a block has a shortcut.
std::vector<size_t> FindFinalOffsets(const std::vector<StateRange>& ranges) {
  std::vector<size_t> final_offsets(ranges.size());
  size_t waiting_end = 0;  // of the parameters of all layers that run backward later
  for (size_t i = 0; i < ranges.size(); ++i) {
    final_offsets[i] = waiting_end;
    waiting_end = std::max(waiting_end, ranges[i].parameter_end);
  }
  return final_offsets;
}

std::unique_ptr<Layer> MakeLayer(const LayerPlace& place, MemoryPlan& plan) {
  switch (place.spec.kind) {
    case LayerSpec::Kind::kConvolution:
      return MakeConvolution(place, plan);
    case LayerSpec::Kind::kBatchNorm:
      return MakeBatchNorm(place, plan);
    case LayerSpec::Kind::kAveragePool:
      return MakeAveragePool(place, plan);
    case LayerSpec::Kind::kLinear:
      break;
  }
  return MakeLinear(place, plan);
}

}  // namespace

Program::Program(const Blueprint& blueprint, const StateLayout& layout, int64_t rows,
                 int thread_count)
    : rows_(rows), n_classes_(blueprint.values.back().channels) {
  PlanForward(blueprint, layout, thread_count);
  PlanBackward(blueprint);
  plan_.Place();
}

void Program::PlanForward(const Blueprint& blueprint, const StateLayout& layout, int thread_count) {
  const std::vector<StateRange> ranges = FindState(blueprint, layout);
  final_offsets_ = FindFinalOffsets(ranges);
  values_.assign(blueprint.values.size(), MemoryPlan::kNone);  // value 0, the image, is no buffer
  const auto layer_count = static_cast<int>(blueprint.layers.size());
  for (int i = 0; i < layer_count; ++i) {
    const LayerSpec& spec = blueprint.layers[static_cast<size_t>(i)];
    const auto input = static_cast<size_t>(spec.input);
    const auto output = static_cast<size_t>(spec.output);
    const StateRange& range = ranges[static_cast<size_t>(i)];
    values_[output] = plan_.AddFloats(rows_ * blueprint.values[output].size(), i);
    plan_.Use(values_[input], i);
    const LayerPlace place = {.spec = spec,
                              .in = blueprint.values[input],
                              .out = blueprint.values[output],
                              .rows = rows_,
                              .block = ChannelBlock(),
                              .thread_count = thread_count,
                              .forward_moment = i,
                              .backward_moment = 2 * layer_count - i,
                              .parameter_offset = range.parameter_begin,
                              .statistic_offset = range.statistic_begin,
                              .input = values_[input],
                              .residual = spec.residual < 0
                                              ? MemoryPlan::kNone
                                              : values_[static_cast<size_t>(spec.residual)],
                              .output = values_[output]};
    layers_.push_back(MakeLayer(place, plan_));
  }
  plan_.Use(values_.back(), layer_count);  // the loss
}

void Program::PlanBackward(const Blueprint& blueprint) {
  std::vector<std::vector<MemoryPlan::Buffer>> gradients(values_.size());
  gradients.back() = {values_.back()};  // the loss replaces the logits by their gradients
  for (size_t i = layers_.size(); i-- > 0;) {
    const LayerSpec& spec = blueprint.layers[i];
    const Layer::InputGradients of =
        layers_[i]->PlanBackward(gradients[static_cast<size_t>(spec.output)], plan_);
    if (of.input != MemoryPlan::kNone) {
      gradients[static_cast<size_t>(spec.input)].push_back(of.input);
    }
    if (of.residual != MemoryPlan::kNone) {
      gradients[static_cast<size_t>(spec.residual)].push_back(of.residual);
    }
  }
}

void Program::Prepare() {
  for (const auto& layer : layers_) layer->Prepare();
}

std::span<float> Program::Forward(const Pass& pass) const {
  for (const auto& layer : layers_) layer->Forward(pass);
  return {pass.At(values_.back()), static_cast<size_t>(rows_ * n_classes_)};
}

void Program::Backward(const Pass& pass,
                       const std::function<void(size_t)>& on_gradients_ready) const {
  size_t last_offset = SIZE_MAX;
  for (size_t i = layers_.size(); i-- > 0;) {
    layers_[i]->Backward(pass);
    if (on_gradients_ready && final_offsets_[i] < last_offset) {
      last_offset = final_offsets_[i];
      on_gradients_ready(last_offset);
    }
  }
}

}  // namespace lambdaml::nn
