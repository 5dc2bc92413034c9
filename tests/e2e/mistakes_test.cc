// What users get wrong: one clear message, the documented exit code, no result, nothing left behind
// (Workbench::Refuse checks all of these).
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;

// The exit codes of --help.
constexpr int kUsage = 2;
constexpr int kInput = 3;
constexpr int kJob = 4;

class MistakesTest : public Workbench {
 protected:
  MistakesTest() { Write("data", SeparableSample()); }

  // Refuses `train --data data --output m` with these arguments.
  void RefuseTraining(const Arguments& arguments, int exit_code,
                      std::initializer_list<std::string_view> said) const {
    Refuse(Join({"train", "--data", "data", "--output", "m"}, arguments), exit_code, said);
  }
};

TEST_F(MistakesTest, WrongFlagsAndCommandsAreUsage) {
  Refuse({}, kUsage, {"--help"});
  Refuse({"tarin"}, kUsage, {"tarin", "lambdaml --help"});
  Refuse({"data"}, kUsage, {"lambdaml data --help"});
  Refuse({"train", "--data", "data", "--wokers", "3"}, kUsage,
         {"--wokers", "lambdaml train --help"});
  Refuse({"train", "--data"}, kUsage, {"--data", "lambdaml train --help"});
  Refuse({"train", "--data", "data", "--workers", "2", "--workers", "3"}, kUsage, {"--workers"});
  Refuse({"predict", "m", "--data", "data"}, kUsage, {"--output", "lambdaml predict --help"});
  Refuse({"evaluate"}, kUsage, {"model", "lambdaml evaluate --help"});
  Refuse({"data", "split", "data", "--output", "s"}, kUsage, {"--parts"});
  Refuse({"data", "generate", "spirals", "--rows", "5", "--output", "g"}, kUsage, {"spirals"});
  Refuse({"data", "generate", "higgs", "--rows", "0", "--output", "g"}, kUsage, {"--rows"});
  Refuse({"data", "describe", "data", "--index_base", "2"}, kUsage, {"--index_base"});
}

TEST_F(MistakesTest, WrongValuesAreUsage) {
  RefuseTraining({"--lr", "fast"}, kUsage, {"--lr", "\"fast\" is not a number"});
  RefuseTraining({"--workers", "0"}, kUsage, {"--workers", "not within 1 to 1000"});
  RefuseTraining({"--model", "tree"}, kUsage, {"--model", "lr, svm, sparse_lr, sparse_svm"});
  RefuseTraining({"--optim", "adam"}, kUsage, {"--optim", "grad_avg, model_avg, admm"});
  RefuseTraining({"--valid_ratio", "1"}, kUsage, {"--valid_ratio"});
  RefuseTraining({"--bias", "maybe"}, kUsage, {"--bias", "maybe"});
  RefuseTraining({"--patience", "3"}, kUsage, {"--patience", "--valid_ratio"});
  RefuseTraining({"--regularizer", "l2", "--optim", "grad_avg"}, kUsage, {"--lambda"});
  RefuseTraining({"--n_classes", "3"}, kUsage, {"--n_classes 3", "2"});
  RefuseTraining({"--memory_mb", "64"}, kUsage, {"--memory_mb", "128"});
  Refuse({"train", "--model", "lr"}, kUsage, {"--data"});
}

TEST_F(MistakesTest, TooManyWorkersForTheRowsIsUsage) {
  RefuseTraining({"--workers", "121"}, kUsage, {"120 rows", "121 workers", "--workers 120"});
}

TEST_F(MistakesTest, ValidationThatLeavesNothingToTrainOrValidateIsUsage) {
  Write("data", "1 1:1\n-1 1:2\n1 1:3\n-1 1:4\n");
  RefuseTraining({"--workers", "4", "--valid_ratio", "0.01", "--patience", "2"}, kUsage,
                 {"--valid_ratio"});
}

TEST_F(MistakesTest, MissingOrUnreadableInputIsNamed) {
  Refuse({"train", "--data", "nowhere"}, kInput, {"nowhere"});
  RefuseTraining({"--test", "nowhere"}, kInput, {"nowhere"});
  RefuseTraining({"--init_model", "nowhere"}, kInput, {"nowhere"});
  RefuseTraining({"--prices", "nowhere"}, kInput, {"nowhere"});
  Refuse({"evaluate", "nowhere", "--data", "data"}, kInput, {"nowhere"});
  Refuse({"predict", "nowhere", "--data", "data", "--output", "p"}, kInput, {"nowhere"});
  Refuse({"data", "describe", "nowhere"}, kInput, {"nowhere"});
}

TEST_F(MistakesTest, AFileThatMayNotBeReadIsNamed) {
  std::filesystem::permissions(Path("data"), std::filesystem::perms::none);
  if (::access(Path("data").c_str(), R_OK) == 0) {
    // Root reads everything, unless it gives up the capability to.
    constexpr const char* kSetpriv = "/usr/bin/setpriv";
    if (!std::filesystem::exists(kSetpriv)) GTEST_SKIP() << "root, and no setpriv to be less";
    const Outcome outcome = RunShell(
        "exec setpriv --bounding-set=-dac_override,-dac_read_search "
        "--inh-caps=-dac_override,-dac_read_search $LAMBDAML train --data data");
    EXPECT_EQ(outcome.exit_code, kJob);
    EXPECT_THAT(outcome.err, ::testing::AllOf(HasSubstr("data"), HasSubstr("ermission denied")));
    EXPECT_EQ(outcome.out, "");
    return;
  }
  Refuse({"train", "--data", "data"}, kJob, {"data", "ermission denied"});
}

TEST_F(MistakesTest, FoldersThatAreNoDataSetAreInput) {
  std::filesystem::create_directory(Path("empty"));
  Refuse({"train", "--data", "empty"}, kInput, {"empty"});
  Write("other/notes.txt", "nothing");
  Refuse({"train", "--data", "other"}, kInput, {"other"});
  Write("gap/0_3", SeparableSample());
  Write("gap/2_3", SeparableSample());
  Refuse({"train", "--data", "gap"}, kInput, {"1_3"});
  Write("manifest/manifest.json", "{}");
  Refuse({"train", "--data", "manifest"}, kInput, {"manifest.json"});
  Refuse({"evaluate", "m", "--data", "empty"}, kInput, {"m"});
}

TEST_F(MistakesTest, FeaturesBeyondTheDeclaredWidthAreNamedWithTheirLine) {
  Write("data", "1 1:1\n-1 1:1 9:1\n1 2:1\n-1 1:1\n");
  RefuseTraining({"--n_features", "8"}, kInput, {"data:2: ", "9", "8"});
}

TEST_F(MistakesTest, DataOfOneLabelOrTooManyIsInput) {
  Write("data", "1 1:1\n1 1:2\n1 1:3\n1 1:4\n");
  RefuseTraining({}, kInput, {"data: ", "label"});
  std::string many;
  for (int i = 0; i < 1001; ++i) many += std::to_string(i) + " 1:1\n";
  Write("data", many);
  RefuseTraining({}, kInput, {"data: ", "label"});
}

TEST_F(MistakesTest, ChannelsThatDoNotExistAreUsage) {
  RefuseTraining({"--channel", "gopher://x"}, kUsage, {"gopher://x", "file:///dir"});
  RefuseTraining({"--channel", "s3://bucket"}, kUsage, {"s3", "--region"});
  RefuseTraining({"--channel", "file://relative"}, kUsage, {"file://relative", "absolute"});
}

TEST_F(MistakesTest, OutputsThatCannotBeWrittenAreFoundBeforeTheTraining) {
  Refuse({"train", "--data", "data", "--output", "none/m"}, kInput, {"none"});
  std::filesystem::create_directory(Path("folder"));
  Refuse({"train", "--data", "data", "--output", "folder"}, kUsage, {"folder"});
  Refuse({"train", "--data", "data", "--output", "./data"}, kUsage, {"./data", "training data"});
  Succeed({"train", "--data", "data", "--output", "m"});
  Refuse({"predict", "m", "--data", "data", "--output", "none/p"}, kInput, {"none/p"});
  Refuse({"predict", "m", "--data", "data", "--output", "folder"}, kUsage, {"folder"});
  Refuse({"data", "convert", "data", "--output", "none/c"}, kInput, {"none/c"});
  Refuse({"data", "generate", "blobs", "--rows", "9", "--output", "none/g"}, kInput, {"none/g"});
}

TEST_F(MistakesTest, ALogNeverTakesThePlaceOfAFileOfTheRun) {
  Write("data", "1 1:1\n-1 1:2\n");
  Refuse({"train", "--data", "data", "--log", "./data", "--output", "m"}, kUsage, {"--log ./data"});
  Refuse({"train", "--data", "data", "--log", "m", "--output", "m"}, kUsage, {"--log m"});
  EXPECT_EQ(Read("data"), "1 1:1\n-1 1:2\n");
}

TEST_F(MistakesTest, TestLabelsThatTheTrainingDataLackFailBeforeTheTraining) {
  Write("data", "1 1:1\n-1 1:2\n");
  Write("other", "1 1:1\n5 1:2\n");
  Refuse({"train", "--data", "data", "--test", "other", "--workers", "1", "--output", "m"}, kInput,
         {"--test other", "row 2", "label 5"});
}

TEST_F(MistakesTest, AFailedRunLeavesAnExistingModelAlone) {
  Write("m", "precious");
  RefuseTraining({"--lr", "fast"}, kUsage, {});
  RefuseTraining({"--channel", "gopher://x"}, kUsage, {});
  EXPECT_EQ(Read("m"), "precious");
}

TEST_F(MistakesTest, ModelsThatDoNotFitAreRefusedAsWarmStarts) {
  Write("wide_data", SeparableSample({.n_features = 9}));
  Succeed({"train", "--data", "wide_data", "--output", "wide"});
  RefuseTraining({"--init_model", "wide"}, kUsage, {"wide", "9 features", "8"});
  Write("other_labels", SeparableSample({.negative = "3", .positive = "4"}));
  Succeed({"train", "--data", "other_labels", "--output", "labels"});
  RefuseTraining({"--init_model", "labels"}, kUsage, {"labels", "3, 4"});
  RefuseTraining({"--init_model", "wide", "--n_features", "9", "--bias", "false"}, kUsage,
                 {"bias"});
}

TEST_F(MistakesTest, DamagedModelsAreNamedWithTheirLine) {
  Succeed({"train", "--data", "data", "--output", "good"});
  const std::string good = Read("good");
  struct Damage {
    std::string text;
    std::string_view said;
  };
  for (const Damage& damage :
       {Damage{"", "m"}, Damage{"not a model\n", "m:1"}, Damage{good.substr(0, 60), "m"},
        Damage{good.substr(0, good.size() / 2), "m"},
        Damage{good.substr(0, good.find("\nw\n") + 3) + "x" + good.substr(good.find("\nw\n") + 3),
               "m:"}}) {
    Write("m", damage.text);
    Refuse({"evaluate", "m", "--data", "data"}, kInput, {damage.said});
    Refuse({"predict", "m", "--data", "data", "--output", "p"}, kInput, {damage.said});
    RefuseTraining({"--init_model", "m"}, kInput, {damage.said});
  }
}

TEST_F(MistakesTest, EvaluatingUnknownLabelsIsInput) {
  Succeed({"train", "--data", "data", "--output", "m"});
  Write("other", "7 1:1\n");
  Refuse({"evaluate", "m", "--data", "other"}, kInput, {"label 7", "-1, 1"});
}

TEST_F(MistakesTest, AFunctionWithTooLittleMemoryGetsAdvice) {
  // Little text, but 200 MB once a worker has made it dense.
  std::string text;
  for (int i = 0; i < 1000; ++i) text += i % 2 == 0 ? "1 1:1\n" : "-1 2:1\n";
  Write("data", text + "1 50000:1\n");
  Succeed({"data", "split", "data", "--parts", "1", "--layout", "dense", "--format", "libsvm",
           "--output", "shards"});
  const Outcome outcome =
      Run({"train", "--data", "shards", "--workers", "1", "--memory_mb", "128", "--output", "m"});
  EXPECT_EQ(outcome.exit_code, kJob);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, ::testing::StartsWith("lambdaml: worker 0 of 1 failed: "));
  EXPECT_THAT(outcome.err, HasSubstr("--memory_mb"));
  EXPECT_FALSE(Exists("m"));
}

}  // namespace
}  // namespace lambdaml::test
