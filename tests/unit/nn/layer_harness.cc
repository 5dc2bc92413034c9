#include "tests/unit/nn/layer_harness.h"

#include <algorithm>

namespace lambdaml::nn {

LayerHarness::LayerHarness(LayerSpec spec, ValueShape in, ValueShape out, int64_t rows,
                           int thread_count, bool input_is_image) {
  place_.in = in;
  place_.out = out;
  place_.rows = rows;
  place_.block = ChannelBlock();
  place_.thread_count = thread_count;
  place_.forward_moment = 0;
  place_.backward_moment = 1;
  place_.output = plan_.AddFloats(rows * out.size(), 0);
  if (!input_is_image) place_.input = plan_.AddFloats(rows * in.size(), 0);
  if (spec.residual >= 0) place_.residual = plan_.AddFloats(rows * out.size(), 0);
  place_.spec = std::move(spec);
}

size_t LayerHarness::At(const ValueShape& shape, int64_t n, int64_t c, int64_t p) const {
  const int64_t pixels = shape.side * shape.side;
  const int64_t block = place_.block;
  if (!is_blocked(shape)) return static_cast<size_t>((n * shape.channels + c) * pixels + p);
  return static_cast<size_t>(((n * shape.channels / block + c / block) * pixels + p) * block +
                             c % block);
}

void LayerHarness::Write(MemoryPlan::Buffer buffer, const ValueShape& shape, const Values& plain) {
  auto* const to = reinterpret_cast<float*>(aligned_ + plan_.offset(buffer));
  const int64_t pixels = shape.side * shape.side;
  size_t i = 0;
  for (int64_t n = 0; n < place_.rows; ++n) {
    for (int64_t c = 0; c < shape.channels; ++c) {
      for (int64_t p = 0; p < pixels; ++p) to[At(shape, n, c, p)] = plain.at(i++);
    }
  }
}

Values LayerHarness::Read(MemoryPlan::Buffer buffer, const ValueShape& shape) const {
  if (buffer == MemoryPlan::kNone) return {};
  const auto* const from = reinterpret_cast<const float*>(aligned_ + plan_.offset(buffer));
  const int64_t pixels = shape.side * shape.side;
  Values plain;
  for (int64_t n = 0; n < place_.rows; ++n) {
    for (int64_t c = 0; c < shape.channels; ++c) {
      for (int64_t p = 0; p < pixels; ++p) plain.push_back(from[At(shape, n, c, p)]);
    }
  }
  return plain;
}

LayerRun LayerHarness::Run(const LayerInputs& inputs, size_t parameter_count) {
  LayerRun run;
  run.statistics = inputs.statistics;
  run.parameter_gradients.resize(parameter_count);
  WithThreads(place_.thread_count, [&] {
    const auto make = [&]() -> std::unique_ptr<Layer> {
      switch (place_.spec.kind) {
        case LayerSpec::Kind::kConvolution:
          return MakeConvolution(place_, plan_);
        case LayerSpec::Kind::kBatchNorm:
          return MakeBatchNorm(place_, plan_);
        case LayerSpec::Kind::kAveragePool:
          return MakeAveragePool(place_, plan_);
        case LayerSpec::Kind::kLinear:
          break;
      }
      return MakeLinear(place_, plan_);
    };
    const std::unique_ptr<Layer> layer = make();
    std::vector<MemoryPlan::Buffer> gradients;
    for (size_t i = 0; i < inputs.output_gradients.size(); ++i) {
      gradients.push_back(plan_.AddFloats(place_.rows * place_.out.size(), 1));
    }
    Layer::InputGradients found;
    if (!gradients.empty()) found = layer->PlanBackward(gradients, plan_);
    plan_.Use(place_.output, 1);  // read below
    plan_.Place();
    memory_.resize(plan_.size_bytes() + MemoryPlan::kAlignmentBytes);
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    aligned_ = memory_.data() + (MemoryPlan::kAlignmentBytes - address % 64) % 64;
    layer->Prepare();
    if (place_.input != MemoryPlan::kNone) Write(place_.input, place_.in, inputs.input);
    if (place_.residual != MemoryPlan::kNone) Write(place_.residual, place_.out, inputs.residual);
    const Pass pass = {.memory = aligned_,
                       .plan = &plan_,
                       .images = inputs.input.data(),
                       .parameters = inputs.parameters.data(),
                       .gradients = run.parameter_gradients.data(),
                       .statistics = run.statistics.data(),
                       .is_training = inputs.is_training};
    layer->Forward(pass);
    run.output = Read(place_.output, place_.out);
    if (gradients.empty()) return;
    for (size_t i = 0; i < gradients.size(); ++i) {
      Write(gradients[i], place_.out, inputs.output_gradients[i]);
    }
    layer->Backward(pass);
    run.input_gradient = Read(found.input, place_.in);
    run.residual_gradient = Read(found.residual, place_.out);
  });
  return run;
}

Doubles Differences(const Function& f, const Doubles& weights, const Doubles& x,
                    const std::vector<size_t>& at) {
  constexpr double kStep = 1e-5;
  const auto value = [&](const Doubles& point) {
    const Doubles y = f(point);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += weights.at(i) * y[i];
    return sum;
  };
  Doubles differences;
  Doubles point = x;
  for (const size_t i : at) {
    point[i] = x[i] + kStep;
    const double above = value(point);
    point[i] = x[i] - kStep;
    differences.push_back((above - value(point)) / (2 * kStep));
    point[i] = x[i];
  }
  return differences;
}

std::vector<size_t> Spread(size_t size, size_t count) {
  std::vector<size_t> places;
  count = std::min(size, count);
  for (size_t i = 0; i < count; ++i) places.push_back(i * size / count);
  return places;
}

double RelativeError(const Doubles& got, const Doubles& want) {
  double error = 0;
  double scale = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = std::abs(got.at(i) - want[i]);
    error = difference > error || std::isnan(difference) ? difference : error;
    scale = std::max(scale, std::abs(want[i]));
  }
  return error / scale;
}

Doubles Picked(const Values& got, const std::vector<size_t>& at) {
  Doubles picked;
  for (const size_t i : at) picked.push_back(static_cast<double>(got.at(i)));
  return picked;
}

}  // namespace lambdaml::nn
