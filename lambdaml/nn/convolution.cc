// Convolutions on oneDNN. The forward and backward kernels each want the weights in a layout of
// their own, and the gradients come in a third; they are reordered from and to the flat spans just
// before and after use, through buffers that live for that moment only.
#include <optional>
#include <unordered_map>

#include <dnnl.hpp>

#include "lambdaml/nn/depthwise.h"
#include "lambdaml/nn/layer.h"
#include "lambdaml/nn/onednn.h"

namespace lambdaml::nn {
namespace {

using dnnl::algorithm;
using dnnl::memory;

// Geometry and layouts that all three directions of one convolution share.
struct Shapes {
  memory::desc source;
  memory::desc weights;        // of any layout: the kernel chooses
  memory::desc plain_weights;  // as in the flat span
  memory::desc destination;
  memory::dims strides;
  memory::dims padding;
};

Shapes DescribeShapes(const LayerPlace& place) {
  using Tag = memory::format_tag;
  constexpr auto kFloat = memory::data_type::f32;
  const LayerSpec& spec = place.spec;
  const Tag blocked = place.block == 16 ? Tag::nChw16c : Tag::nChw8c;
  const bool is_grouped = spec.groups > 1;
  memory::dims weights = {place.out.channels, place.in.channels / spec.groups, spec.kernel,
                          spec.kernel};
  if (is_grouped) {
    weights[0] /= spec.groups;
    weights.insert(weights.begin(), spec.groups);
  }
  const int64_t padding = (spec.kernel - 1) / 2;
  const Tag source = place.input == MemoryPlan::kNone ? Tag::nchw : blocked;
  return {.source = {{place.rows, place.in.channels, place.in.side, place.in.side}, kFloat, source},
          .weights = {weights, kFloat, Tag::any},
          .plain_weights = {weights, kFloat, is_grouped ? Tag::goihw : Tag::oihw},
          .destination = {{place.rows, place.out.channels, place.out.side, place.out.side},
                          kFloat,
                          blocked},
          .strides = {spec.stride, spec.stride},
          .padding = {padding, padding}};
}

dnnl::primitive_attr Attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

using ForwardPd = dnnl::convolution_forward::primitive_desc;
using BackwardDataPd = dnnl::convolution_backward_data::primitive_desc;
using BackwardWeightsPd = dnnl::convolution_backward_weights::primitive_desc;

// nullopt when oneDNN has no such kernel.
template <typename Pd, typename... Arguments>
std::optional<Pd> TryDescribe(const Arguments&... arguments) {
  const Pd pd(arguments..., true);
  return pd ? std::optional<Pd>(pd) : std::nullopt;
}

std::optional<ForwardPd> DescribeForward(const Shapes& shapes, algorithm how) {
  const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_training, how, shapes.source,
                                             shapes.weights, shapes.destination, shapes.strides,
                                             shapes.padding, shapes.padding);
  return TryDescribe<ForwardPd>(desc, Attributes(), Engine());
}

std::optional<BackwardDataPd> DescribeBackwardData(const Shapes& shapes, algorithm how,
                                                   const ForwardPd& forward) {
  const dnnl::convolution_backward_data::desc desc(how, shapes.source, shapes.weights,
                                                   shapes.destination, shapes.strides,
                                                   shapes.padding, shapes.padding);
  return TryDescribe<BackwardDataPd>(desc, Attributes(), Engine(), forward);
}

std::optional<BackwardWeightsPd> DescribeBackwardWeights(const Shapes& shapes, algorithm how,
                                                         const ForwardPd& forward) {
  const dnnl::convolution_backward_weights::desc desc(how, shapes.source, shapes.weights,
                                                      shapes.destination, shapes.strides,
                                                      shapes.padding, shapes.padding);
  return TryDescribe<BackwardWeightsPd>(desc, Attributes(), Engine(), forward);
}

// Winograd's algorithm needs a half to a third of the time of the direct one where oneDNN has it:
// 3 x 3, stride 1, AVX-512.
template <typename Describe>
auto Choose(bool may_be_winograd, const Describe& describe) {
  if (may_be_winograd) {
    if (const auto pd = describe(algorithm::convolution_winograd)) return *pd;
  }
  if (const auto pd = describe(algorithm::convolution_direct)) return *pd;
  throw dnnl::error(dnnl_unimplemented, "oneDNN has no kernel for a convolution");
}

// The buffers of one kernel: weights in its own layout, and scratch memory.
struct Workspace {
  MemoryPlan::Buffer weights = MemoryPlan::kNone;
  MemoryPlan::Buffer scratch = MemoryPlan::kNone;
};

template <typename Pd>
Workspace PlanWorkspace(const Pd& pd, const memory::desc& weights, int moment, MemoryPlan& plan) {
  return {plan.Add(weights.get_size(), moment), plan.Add(pd.scratchpad_desc().get_size(), moment)};
}

memory At(const memory::desc& desc, const float* data) {
  // oneDNN's handles are not const; what is passed as an input is only read.
  return {desc, Engine(), const_cast<float*>(data)};
}

class Convolution final : public Layer {
 public:
  Convolution(const LayerPlace& place, MemoryPlan& plan)
      : place_(place), shapes_(DescribeShapes(place)) {
    forward_pd_ =
        Choose(may_be_winograd(), [this](algorithm how) { return DescribeForward(shapes_, how); });
    forward_space_ =
        PlanWorkspace(forward_pd_, forward_pd_.weights_desc(), place_.forward_moment, plan);
  }

  InputGradients PlanBackward(const std::vector<MemoryPlan::Buffer>& output_gradients,
                              MemoryPlan& plan) override {
    const int moment = place_.backward_moment;
    output_gradient_ = output_gradients.front();
    plan.Use(output_gradient_, moment);
    plan.Use(place_.input, moment);
    if (is_depthwise()) {
      weights_space_.scratch = plan.AddFloats(DepthwisePartialCount(place_), moment);
    } else {
      backward_weights_pd_ = Choose(may_be_winograd(), [this](algorithm how) {
        return DescribeBackwardWeights(shapes_, how, forward_pd_);
      });
      weights_space_ = PlanWorkspace(backward_weights_pd_, backward_weights_pd_.diff_weights_desc(),
                                     moment, plan);
    }
    if (place_.input == MemoryPlan::kNone) return {};
    backward_data_pd_ = Choose(may_be_winograd(), [this](algorithm how) {
      return DescribeBackwardData(shapes_, how, forward_pd_);
    });
    data_space_ = PlanWorkspace(backward_data_pd_, backward_data_pd_.weights_desc(), moment, plan);
    input_gradient_ = plan.Add(shapes_.source.get_size(), moment);
    return {.input = input_gradient_};
  }

  void Prepare() override {
    forward_ = dnnl::convolution_forward(forward_pd_);
    to_forward_ = Reorder(shapes_.plain_weights, forward_pd_.weights_desc());
    if (backward_weights_pd_) {
      backward_weights_ = dnnl::convolution_backward_weights(backward_weights_pd_);
      from_gradient_ = Reorder(backward_weights_pd_.diff_weights_desc(), shapes_.plain_weights);
    }
    if (backward_data_pd_) {
      backward_data_ = dnnl::convolution_backward_data(backward_data_pd_);
      to_backward_ = Reorder(shapes_.plain_weights, backward_data_pd_.weights_desc());
    }
  }

  void Forward(const Pass& pass) const override {
    const memory weights = Weights(pass, to_forward_, forward_pd_.weights_desc(), forward_space_);
    forward_.execute(Stream(), {{DNNL_ARG_SRC, At(shapes_.source, Input(pass))},
                                {DNNL_ARG_WEIGHTS, weights},
                                {DNNL_ARG_DST, At(shapes_.destination, pass.At(place_.output))},
                                {DNNL_ARG_SCRATCHPAD, At(forward_pd_.scratchpad_desc(),
                                                         pass.At(forward_space_.scratch))}});
  }

  void Backward(const Pass& pass) const override {
    if (backward_data_pd_) BackwardData(pass);
    float* const gradient = pass.gradients + place_.parameter_offset;
    if (is_depthwise()) {
      DepthwiseWeightGradient(place_, Input(pass), pass.At(output_gradient_),
                              pass.At(weights_space_.scratch), gradient);
    } else {
      BackwardWeights(pass, gradient);
    }
  }

 private:
  bool is_depthwise() const { return place_.spec.groups > 1; }
  bool may_be_winograd() const {
    return place_.spec.kernel == 3 && place_.spec.stride == 1 && !is_depthwise() &&
           place_.input != MemoryPlan::kNone;
  }

  const float* Input(const Pass& pass) const {
    return place_.input == MemoryPlan::kNone ? pass.images : pass.At(place_.input);
  }

  static dnnl::reorder Reorder(const memory::desc& from, const memory::desc& to) {
    return dnnl::reorder(dnnl::reorder::primitive_desc(Engine(), from, Engine(), to));
  }

  memory Weights(const Pass& pass, const dnnl::reorder& reorder, const memory::desc& desc,
                 const Workspace& space) const {
    memory plain = At(shapes_.plain_weights, pass.parameters + place_.parameter_offset);
    memory own = At(desc, pass.At(space.weights));
    reorder.execute(Stream(), plain, own);
    return own;
  }

  void BackwardData(const Pass& pass) const {
    const memory weights =
        Weights(pass, to_backward_, backward_data_pd_.weights_desc(), data_space_);
    backward_data_.execute(
        Stream(), {{DNNL_ARG_DIFF_SRC, At(shapes_.source, pass.At(input_gradient_))},
                   {DNNL_ARG_WEIGHTS, weights},
                   {DNNL_ARG_DIFF_DST, At(shapes_.destination, pass.At(output_gradient_))},
                   {DNNL_ARG_SCRATCHPAD,
                    At(backward_data_pd_.scratchpad_desc(), pass.At(data_space_.scratch))}});
  }

  void BackwardWeights(const Pass& pass, float* gradient) const {
    memory own = At(backward_weights_pd_.diff_weights_desc(), pass.At(weights_space_.weights));
    backward_weights_.execute(
        Stream(), {{DNNL_ARG_SRC, At(shapes_.source, Input(pass))},
                   {DNNL_ARG_DIFF_WEIGHTS, own},
                   {DNNL_ARG_DIFF_DST, At(shapes_.destination, pass.At(output_gradient_))},
                   {DNNL_ARG_SCRATCHPAD,
                    At(backward_weights_pd_.scratchpad_desc(), pass.At(weights_space_.scratch))}});
    memory plain = At(shapes_.plain_weights, gradient);
    from_gradient_.execute(Stream(), own, plain);
  }

  LayerPlace place_;
  Shapes shapes_;

  ForwardPd forward_pd_;
  dnnl::convolution_forward forward_;
  dnnl::reorder to_forward_;
  Workspace forward_space_;

  BackwardDataPd backward_data_pd_;  // empty: the input is the image
  dnnl::convolution_backward_data backward_data_;
  dnnl::reorder to_backward_;
  Workspace data_space_;

  BackwardWeightsPd backward_weights_pd_;  // empty: depthwise
  dnnl::convolution_backward_weights backward_weights_;
  dnnl::reorder from_gradient_;
  Workspace weights_space_;

  MemoryPlan::Buffer output_gradient_ = MemoryPlan::kNone;
  MemoryPlan::Buffer input_gradient_ = MemoryPlan::kNone;
};

}  // namespace

std::unique_ptr<Layer> MakeConvolution(const LayerPlace& place, MemoryPlan& plan) {
  return std::make_unique<Convolution>(place, plan);
}

}  // namespace lambdaml::nn
