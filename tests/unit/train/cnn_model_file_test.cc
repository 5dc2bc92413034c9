#include "lambdaml/train/cnn_model_file.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <span>

#include "lambdaml/base/error.h"
#include "lambdaml/data/safetensors.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

CnnModel ModelWith(nn::Architecture architecture, int64_t n_classes) {
  CnnModel model;
  model.architecture = architecture;
  model.n_classes = n_classes;
  model.normalisation =
      data::Normalisation{.mean = {0.1F, 0.2F, 0.3F}, .deviation = {0.4F, 1e-3F, 3}};
  const nn::StateLayout layout = nn::DescribeState(architecture, n_classes);
  for (size_t i = 0; i < layout.parameter_count; ++i) {
    model.parameters.push_back(static_cast<float>(i) * 1e-3F - 2);
  }
  for (size_t i = 0; i < layout.statistic_count; ++i) {
    model.statistics.push_back(static_cast<float>(i) * 1e-4F);
  }
  model.batch_count = 123;
  return model;
}

CnnModel Parse(base::Bytes file) { return ParseCnnModel(base::Blob(std::move(file)), "m"); }

std::string Refusal(const base::Bytes& file) {
  try {
    Parse(file);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    return error.message();
  }
  return "no error";
}

// The file with its parts changed by `change`.
base::Bytes Changed(const base::Bytes& file, const std::function<void(data::TensorFile&)>& change) {
  data::TensorFile parsed = data::ParseSafetensors(base::Blob(file), "m");
  change(parsed);
  return data::FormatSafetensors(parsed.metadata, parsed.tensors);
}

TEST(CnnModelFile, EveryNetworkComesBackBitForBit) {
  for (const nn::Architecture architecture :
       {nn::Architecture::kMobileNet, nn::Architecture::kResNet18, nn::Architecture::kResNet50}) {
    for (const int64_t n_classes : {2, 10}) {
      const CnnModel model = ModelWith(architecture, n_classes);
      const base::Bytes file = FormatCnnModel(model);
      const CnnModel read = Parse(file);
      EXPECT_EQ(read.architecture, architecture);
      EXPECT_EQ(read.n_classes, n_classes);
      EXPECT_EQ(read.normalisation, model.normalisation);
      EXPECT_EQ(read.parameters, model.parameters);
      EXPECT_EQ(read.statistics, model.statistics);
      EXPECT_EQ(read.batch_count, 123);
      EXPECT_EQ(FormatCnnModel(read), file);
    }
  }
}

TEST(CnnModelFile, AFileOfAnotherProgramIsKnownByItsTensors) {
  for (const nn::Architecture architecture :
       {nn::Architecture::kMobileNet, nn::Architecture::kResNet18, nn::Architecture::kResNet50}) {
    const base::Bytes file =
        Changed(FormatCnnModel(ModelWith(architecture, 10)), [](data::TensorFile& parsed) {
          parsed.metadata = {{"format", "pt"}};
        });
    const CnnModel read = Parse(file);
    EXPECT_EQ(read.architecture, architecture);
    EXPECT_FALSE(read.normalisation.has_value());
  }
}

TEST(CnnModelFile, WhatANetworkHoldsIsSetAgain) {
  const CnnModel model = ModelWith(nn::Architecture::kMobileNet, 3);
  nn::Network network({.n_classes = 3, .batch_size_max = 1});
  SetNetwork(model, network);
  const CnnModel copy = ModelOf(network, *model.normalisation);
  EXPECT_EQ(copy.parameters, model.parameters);
  EXPECT_EQ(copy.statistics, model.statistics);
  EXPECT_EQ(copy.batch_count, 123);
}

TEST(CnnModelFile, FilesThatAreNoNetworkOfOursAreRefused) {
  const base::Bytes file = FormatCnnModel(ModelWith(nn::Architecture::kMobileNet, 3));
  const std::vector<float> bad(32 * 3 * 3 * 3, std::nanf(""));
  const auto find = [](data::TensorFile& parsed, std::string_view name) {
    return std::ranges::find(parsed.tensors, name, &data::Tensor::name);
  };
  struct Case {
    std::function<void(data::TensorFile&)> change;
    std::string said;
  };
  for (const Case& c : std::vector<Case>{
           {[&](data::TensorFile& f) { f.tensors.erase(find(f, "linear.weight")); },
            "m: no network of ours: it has no matrix linear.weight"},
           {[&](data::TensorFile& f) { f.tensors.erase(find(f, "bn1.running_mean")); },
            "tensors instead of the"},
           {[&](data::TensorFile& f) { find(f, "bn1.running_mean")->name = "x"; },
            "m: tensor bn1.running_mean is missing"},
           {[&](data::TensorFile& f) { f.metadata[1].second = "resnet18"; }, "of resnet18"},
           {[&](data::TensorFile& f) { f.metadata[1].second = "vgg"; },
            "unknown architecture \"vgg\""},
           {[&](data::TensorFile& f) {
              f.metadata.clear();
              find(f, "conv1.weight")->name = "x";
            },
            "those of none of our networks"},
           {[&](data::TensorFile& f) { f.metadata[2].second = "1 2"; }, "is not three numbers"},
           {[&](data::TensorFile& f) { f.metadata[2].second = "1 2 3 4"; }, "is not three numbers"},
           {[&](data::TensorFile& f) { f.metadata[2].second = "1,2,3"; }, "is not three numbers"},
           {[&](data::TensorFile& f) { f.metadata[2].second = "1 2 nan"; }, "is not three numbers"},
           {[&](data::TensorFile& f) { f.metadata[3].second = "1 0 1"; }, "0 is not above 0"},
           {[&](data::TensorFile& f) { f.metadata.pop_back(); }, "mean without deviation"},
           {[&](data::TensorFile& f) {
              find(f, "conv1.weight")->shape = {3, 32, 3, 3};
            },
            "conv1.weight: it must be float32 of shape (32, 3, 3, 3)"},
           {[&](data::TensorFile& f) {
              find(f, "conv1.weight")->bytes = std::as_bytes(std::span(bad));
            },
            "conv1.weight: not all finite"}}) {
    EXPECT_THAT(Refusal(Changed(file, c.change)), HasSubstr(c.said));
  }
  EXPECT_THAT(Refusal({}), HasSubstr("m: not a safetensors file"));
}

}  // namespace
}  // namespace lambdaml::train
