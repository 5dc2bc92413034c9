// Jobs from files: TOML, LambdaML's JSON payloads, and the command line on top.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using base::Json;

class JobFileTest : public Workbench {
 protected:
  JobFileTest() { Write("data", SeparableSample()); }

  Json SummaryOf(const Arguments& arguments) const {
    Succeed(Join({"train"}, arguments));
    return Log("log").back();
  }
};

TEST_F(JobFileTest, ATomlFileHoldsTheNamesOfTheOptions) {
  Write("job.toml", R"(# a job
data = "data"
model = "sparse_svm"
optim = "grad_avg"   # not ADMM
sync_mode = "reduce_scatter"
workers = 2
n_epochs = 3
lr = 1e-1
bias = false
output = "m"
log = "log"
)");
  const Json summary = SummaryOf({"job.toml"});
  EXPECT_EQ(summary.At("model").AsString(), "sparse_svm");
  EXPECT_EQ(summary.At("optim").AsString(), "grad_avg");
  EXPECT_EQ(summary.At("sync_mode").AsString(), "reduce_scatter");
  EXPECT_EQ(summary.At("n_workers").AsInteger(), 2);
  EXPECT_EQ(summary.At("epochs").AsInteger(), 3);
  EXPECT_EQ(summary.At("model_path").AsString(), "m");
}

TEST_F(JobFileTest, TheCommandLineOverridesTheFile) {
  Write("job.toml", "data = \"nowhere\"\noptim = \"grad_avg\"\nn_workers = 4\nn_epochs = 50\n");
  const Json summary =
      SummaryOf({"job.toml", "--data", "data", "--workers", "3", "--n-epochs=2", "--log", "log"});
  EXPECT_EQ(summary.At("n_workers").AsInteger(), 3);
  EXPECT_EQ(summary.At("epochs").AsInteger(), 2);
}

TEST_F(JobFileTest, AFileAndTheSameOptionsGiveTheSameModel) {
  Write("job.toml", "data = \"data\"\nlambda = 0.01\nseed = 5\noutput = \"from_file\"\n");
  Succeed({"train", "job.toml"});
  Succeed({"train", "--data", "data", "--lambda", "0.01", "--seed", "5", "--output", "from_line"});
  EXPECT_EQ(Read("from_file"), Read("from_line"));
}

TEST_F(JobFileTest, APayloadOfLambdamlsTriggerIsAJob) {
  Write("payload.json", fmt::format(R"({{
    "dataset": "data", "data_bucket": "{0}", "dataset_type": "dense_libsvm",
    "n_features": 8, "n_classes": 2, "n_workers": 3, "worker_index": 0,
    "tmp_bucket": "{0}/channel", "merged_bucket": "{0}/merged", "key_col": "key",
    "model": "lr", "optim": "admm", "sync_mode": "reduce", "file": "0_3", "lr": 0.1,
    "batch_size": 10, "n_epochs": 2, "valid_ratio": 0.2, "n_admm_epochs": 4, "lambda": 0.01,
    "rho": "0.01", "function_name": "lambda_core"}})",
                                    folder()));
  const Json summary = SummaryOf({"payload.json", "--output", "m", "--log", "log"});
  EXPECT_EQ(summary.At("n_workers").AsInteger(), 3);
  EXPECT_EQ(summary.At("epochs").AsInteger(), 4);
  EXPECT_THAT(summary.At("channel").AsString(), ::testing::HasSubstr("/channel"));
  EXPECT_GE(summary.At("valid_accuracy").AsNumber(), 0.8);
  EXPECT_FALSE(Exists("merged"));
}

TEST_F(JobFileTest, MistakesAreNamedWithFileAndLine) {
  struct Mistake {
    std::string_view text;
    std::string_view said;
  };
  for (const Mistake& mistake : {
           Mistake{"data = \"data\"\nn_epoch = 3\n",
                   "job.toml:2: n_epoch: unknown key \"n_epoch\""},
           Mistake{"data = \"data\"\nlr = \"fast\"\n", "job.toml:2: lr: \"fast\" is not a number"},
           Mistake{"data = \"data\"\n\nlr = -1\n", "job.toml:3: lr: -1 is"},
           Mistake{"workers = 2.5\n", "job.toml:1: workers: 2.5 is not a whole number"},
           Mistake{"model = \"tree\"\n", "job.toml:1: model: \"tree\" is not one of lr, svm"},
           Mistake{"data = [\"a\", \"b\"]\n", "job.toml:1: data: must be a string"},
           Mistake{"data = \"x\"\ndata = \"y\"\n", "job.toml:2"},
           Mistake{"workers = 1\nn_workers = 2\n", "given twice"},
           Mistake{"data = \n", "job.toml:1"},
           Mistake{"[data]\npath = \"x\"\n", "job.toml:1: data: must be"},
           Mistake{"data\n", "job.toml:1"},
       }) {
    SCOPED_TRACE(mistake.text);
    Write("job.toml", mistake.text);
    Refuse({"train", "job.toml"}, 2, {mistake.said});
  }
}

TEST_F(JobFileTest, MistakesInJsonAreNamedWithTheKeyOrThePlace) {
  struct Mistake {
    std::string_view text;
    std::string_view said;
  };
  for (const Mistake& mistake :
       {Mistake{R"({"data":"data","n_epoch":3})", "job.json: n_epoch: unknown key"},
        Mistake{R"({"data":"data","lr":true})", "job.json: lr: \"true\" is not a number"},
        Mistake{"{\"data\":\"data\",\n \"lr\":}", "job.json:2:"},
        Mistake{R"({"lr":1,"lr":2})", "key \"lr\" twice"},
        Mistake{R"({"workers":1,"n_workers":2})", "given twice"},
        Mistake{R"({"data":"data"} x)", "job.json:1:"},
        Mistake{R"({"data":"data","start_epoch":2})", "start_epoch"}}) {
    SCOPED_TRACE(mistake.text);
    Write("job.json", mistake.text);
    Refuse({"train", "job.json"}, 2, {mistake.said});
  }
}

TEST_F(JobFileTest, AMissingOrHugeJobFileIsRefused) {
  Refuse({"train", "none.toml"}, 3, {"none.toml"});
  Write("huge.toml", std::string(2 << 20, '#'));
  Refuse({"train", "huge.toml"}, 2, {"huge.toml", "too large"});
  Refuse({"train", "."}, 2, {"."});
}

}  // namespace
}  // namespace lambdaml::test
