#include "lambdaml/train/cnn_defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/train/job_defaults.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

wire::Job Resolved(const std::map<std::string, std::string>& options) {
  wire::Job job;
  job.model = wire::ModelKind::kMobileNet;
  job.data = "dir/cifar.bin.zst";
  for (const auto& [name, text] : options) wire::SetOptionFromText(job, name, text, name);
  ResolveJob(job);
  return job;
}

void ExpectRefusal(const std::map<std::string, std::string>& options, const std::string& said) {
  try {
    Resolved(options);
    ADD_FAILURE() << "accepted: " << said;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.message(), HasSubstr(said));
  }
}

TEST(CnnJob, ItsDefaultsTrainWell) {
  const wire::Job job = Resolved({});
  EXPECT_EQ(job.optim, wire::Optim::kGradAvg);
  EXPECT_EQ(job.lr, 0.05);
  EXPECT_EQ(job.momentum, 0.9);
  EXPECT_EQ(job.lambda, 5e-4);
  EXPECT_EQ(job.batch_size, 64);
  EXPECT_EQ(job.n_epochs, 10);
  EXPECT_EQ(job.keep, wire::KeptEpoch::kLast);
  EXPECT_FALSE(job.augment);
  EXPECT_EQ(job.output, "cifar.safetensors");
  EXPECT_EQ(EpochsMax(job), 10);
}

TEST(CnnJob, WhatIsGivenStays) {
  const wire::Job job = Resolved({{"lambda", "0"}, {"momentum", "0"}, {"valid_ratio", "0.1"}});
  EXPECT_EQ(job.regularizer, wire::Regularizer::kNone);
  EXPECT_EQ(job.lambda, 0);
  EXPECT_EQ(job.momentum, 0);
  EXPECT_EQ(job.keep, wire::KeptEpoch::kBest);
  EXPECT_EQ(Resolved({{"regularizer", "none"}}).lambda, 0);
  EXPECT_EQ(Resolved({{"sync_mode", "async"}}).momentum, 0);
}

TEST(CnnJob, EveryNetworkHasItsName) {
  EXPECT_EQ(ArchitectureOf(Resolved({{"model", "resnet"}}).model), nn::Architecture::kResNet50);
  EXPECT_EQ(ArchitectureOf(Resolved({{"model", "resnet50"}}).model), nn::Architecture::kResNet50);
  EXPECT_EQ(ArchitectureOf(Resolved({{"model", "resnet18"}}).model), nn::Architecture::kResNet18);
  EXPECT_EQ(ArchitectureOf(wire::ModelKind::kLr), std::nullopt);
}

TEST(CnnJob, ALambdamlPayloadNamesPicklesAndMeansTheFolderOfShards) {
  wire::Job job =
      wire::JobFromJson(base::Json::Parse(R"({"data_bucket":"/cifar","train_file":"training_3.pt",
        "test_file":"test.pt","n_features":1024,"n_classes":10,"n_workers":10,
        "tmp_bucket":"/tmp-params","merged_bucket":"/merged-params","cp_bucket":"/cp",
        "model":"resnet","optim":"grad_avg","sync_mode":"reduce_scatter","lr":0.01,
        "batch_size":256,"n_epochs":5})",
                                          "payload"),
                        "payload");
  ResolveJob(job);
  EXPECT_EQ(job.data, "/cifar/");
  EXPECT_EQ(job.test, "/cifar/test.bin");
  EXPECT_EQ(job.model, wire::ModelKind::kResNet50);
  EXPECT_EQ(job.batch_size, 256);
  EXPECT_EQ(job.lr, 0.01);
}

TEST(CnnJob, WhatCannotWorkIsRefused) {
  ExpectRefusal({{"optim", "admm"}}, "give grad_avg or model_avg");
  ExpectRefusal({{"regularizer", "l1"}}, "--regularizer l1 is not for networks");
  ExpectRefusal({{"dataset_type", "sparse_libsvm"}}, "networks learn from images");
  ExpectRefusal({{"n_features", "28"}}, "--n_features 28");
  ExpectRefusal({{"n_classes", "257"}}, "--n_classes 257");
  ExpectRefusal({{"patience", "3"}}, "--patience needs validation rows");
  ExpectRefusal({{"patience", "3"}, {"valid_ratio", "0.1"}, {"sync_mode", "async"}},
                "--patience needs a synchronous");
  ExpectRefusal({{"keep", "best"}, {"sync_mode", "async"}}, "--keep best needs a synchronous");
  ExpectRefusal({{"exchange", "float16"}, {"sync_mode", "async"}},
                "--exchange float16 needs a synchronous --sync_mode");
  ExpectRefusal({{"data", "train.pt"}}, "PyTorch's pickles are not read");
  ExpectRefusal({{"test", "test.pt"}}, "PyTorch's pickles are not read");
  for (const auto& [name, text] : std::map<std::string, std::string>{{"index_base", "0"},
                                                                     {"bias", "false"},
                                                                     {"n_clusters", "3"},
                                                                     {"n_admm_epochs", "3"},
                                                                     {"rho", "1"},
                                                                     {"local_solver", "sgd"},
                                                                     {"tolerance", "0.1"},
                                                                     {"init", "first"},
                                                                     {"threshold", "1"}}) {
    ExpectRefusal({{name, text}}, "--" + name + " means nothing to --model mobilenet");
  }
}

}  // namespace
}  // namespace lambdaml::train
