#include "lambdaml/model/linear_model_file.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"

#include "tests/unit/model/linear_reference.h"

namespace lambdaml::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MadeData;
using testing::MakeData;
using testing::MakeParameters;
using ::testing::StartsWith;

LinearModel MakeModel(LinearShape shape, LinearLoss loss, std::vector<double> labels) {
  return {.loss = loss,
          .shape = shape,
          .labels = std::move(labels),
          .weights = MakeParameters(shape.parameter_count(), 12)};
}

void ExpectSame(const LinearModel& a, const LinearModel& b) {
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.one_vs_rest, b.one_vs_rest);
  EXPECT_EQ(a.shape, b.shape);
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.weights, b.weights);
  EXPECT_EQ(a.metadata, b.metadata);
}

TEST(LinearModelFile, WritesLiblinearsFormatWithATrailer) {
  const LinearModel model{.loss = LinearLoss::kLogistic,
                          .shape = {2, 2, true},
                          .labels = {-1, 1},
                          .weights = {0.1F, -2, 1e-20F},
                          .metadata = {{"trained_by", "a test"}}};
  EXPECT_THAT(FormatLinearModel(model),
              StartsWith("solver_type L2R_LR\nnr_class 2\nlabel 1 -1\nnr_feature 2\nbias 1\nw\n"
                         "0.1 \n-2 \n1e-20 \nlambdaml_model 1\nloss logistic\n"
                         "trained_by a test\nchecksum "));
}

TEST(LinearModelFile, ReadsBackWhatItWrote) {
  for (const LinearLoss loss : {LinearLoss::kLogistic, LinearLoss::kHinge}) {
    for (const bool bias : {true, false}) {
      ExpectSame(ParseLinearModel(FormatLinearModel(MakeModel({7, 2, bias}, loss, {-1, 1})), "m"),
                 MakeModel({7, 2, bias}, loss, {-1, 1}));
      ExpectSame(
          ParseLinearModel(FormatLinearModel(MakeModel({7, 3, bias}, loss, {5, 0.25, -3})), "m"),
          MakeModel({7, 3, bias}, loss, {5, 0.25, -3}));
    }
  }
  LinearModel model = MakeModel({3, 2, true}, LinearLoss::kHinge, {1e300, 1.5});
  model.metadata = {{"a", "  spaces are kept "}, {"b", ""}};
  ExpectSame(ParseLinearModel(FormatLinearModel(model), "m"), model);
  model = MakeModel({3, 4, true}, LinearLoss::kLogistic, {0, 1, 2, 3});
  model.one_vs_rest = true;
  ExpectSame(ParseLinearModel(FormatLinearModel(model), "m"), model);
  model = MakeModel({0, 2, false}, LinearLoss::kLogistic, {0, 1});
  ExpectSame(ParseLinearModel(FormatLinearModel(model), "m"), model);
}

TEST(LinearModelFile, ReadsTheBiasFeaturesValue) {
  const std::string head = "solver_type L2R_LR\r\nnr_class 2\r\nlabel 7 3\r\nnr_feature 1\r\n";
  const LinearModel ten = ParseLinearModel(head + "bias 10\r\nw\r\n2 \r\n0.5 \r\n", "m");
  EXPECT_TRUE(ten.shape.bias);
  EXPECT_THAT(ten.weights, ElementsAre(2, 5));
  EXPECT_THAT(ten.labels, ElementsAre(3, 7));
  const LinearModel zero = ParseLinearModel(head + "bias 0\nw\n2\n0.5\n", "m");
  EXPECT_FALSE(zero.shape.bias);
  EXPECT_THAT(zero.weights, ElementsAre(2));
}

TEST(LinearModelFile, TurnsTwoColumnsOfTwoClassesIntoOne) {
  const LinearModel model = ParseLinearModel(
      "solver_type MCSVM_CS\nnr_class 2\nlabel 7 3\nnr_feature 2\nbias -1\nw\n1 3\n0 -1\n", "m");
  EXPECT_THAT(model.weights, ElementsAre(2, -1));
  EXPECT_THAT(model.labels, ElementsAre(7, 3));
  EXPECT_EQ(model.loss, LinearLoss::kHinge);
}

std::string ErrorOf(std::string_view text) {
  try {
    ParseLinearModel(text, "m");
  } catch (const base::Error& error) {
    return error.message();
  }
  return "accepted";
}

std::string WithLine(const std::string& from, const std::string& to) {
  std::string text =
      "solver_type L2R_LR\nnr_class 2\nlabel 1 -1\nnr_feature 2\nbias -1\nw\n0.5\n0.25\n";
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST(LinearModelFile, RefusesWhatIsNoModelWithThePlace) {
  EXPECT_EQ(ErrorOf(WithLine("w\n", "w\n")), "accepted");
  EXPECT_EQ(ErrorOf(""), "m:1: the file ends before the weights (a line \"w\")");
  EXPECT_EQ(ErrorOf(WithLine("L2R_LR", "L2R_L2LOSS_SVR")),
            "m:1: L2R_L2LOSS_SVR models do not classify; only classifiers can be used");
  EXPECT_EQ(ErrorOf(WithLine("L2R_LR", "ONECLASS_SVM")),
            "m:1: ONECLASS_SVM models do not classify; only classifiers can be used");
  EXPECT_EQ(ErrorOf(WithLine("L2R_LR", "X\x01")), "m:1: solver_type \"X?\" is not known");
  EXPECT_EQ(ErrorOf(WithLine("nr_class 2", "nr_class two")),
            "m:2: nr_class: \"two\" is not a number that fits");
  EXPECT_EQ(ErrorOf(WithLine("nr_class 2", "nr_class 0")),
            "m:2: nr_class must be in [1, 1048576], not 0");
  EXPECT_EQ(ErrorOf(WithLine("nr_class 2\nlabel 1 -1", "nr_class 1\nlabel 1")),
            "m:6: the model has one class only; it cannot tell any apart");
  EXPECT_EQ(ErrorOf(WithLine("nr_class 2\n", "")), "m:2: labels before nr_class");
  EXPECT_EQ(ErrorOf(WithLine("label 1 -1", "label 1")), "m:3: a label is missing");
  EXPECT_EQ(ErrorOf(WithLine("label 1 -1", "label 1 1")), "m:3: two labels are the same");
  EXPECT_EQ(ErrorOf(WithLine("label 1 -1", "label 1 -1 2")), "m:3: unexpected \"2\"");
  EXPECT_EQ(ErrorOf(WithLine("label 1 -1", "label 1 0.5")),
            "m:3: a label: \"0.5\" is not a number that fits");
  EXPECT_EQ(ErrorOf(WithLine("label 1 -1\n", "")), "m:5: the header has no line \"label\"");
  EXPECT_EQ(ErrorOf(WithLine("bias -1", "nr_feature 3")),
            "m:5: nr_feature stands here a second time");
  EXPECT_EQ(ErrorOf(WithLine("bias -1", "bias nan")),
            "m:5: bias: \"nan\" is not a number that fits");
  EXPECT_EQ(ErrorOf(WithLine("bias -1", "colour red")),
            "m:5: \"colour\" is not a line of a LIBLINEAR model's header");
  EXPECT_EQ(ErrorOf(WithLine("nr_feature 2", "nr_feature 2000000000")),
            "m:6: 2000000000 weights cannot stand in the 9 bytes that follow");
  EXPECT_EQ(ErrorOf(WithLine("0.25\n", "")), "m:8: the file ends after 1 of 2 lines of weights");
  EXPECT_EQ(ErrorOf(WithLine("0.25", "inf")), "m:8: a weight: \"inf\" is not a number that fits");
  EXPECT_EQ(ErrorOf(WithLine("0.25", "+-1")), "m:8: a weight: \"+-1\" is not a number that fits");
  EXPECT_EQ(ErrorOf(WithLine("0.25", "1e39")), "m:8: weight 1e+39 is beyond what a model can hold");
  EXPECT_EQ(ErrorOf(WithLine("0.25", "1 2")), "m:8: unexpected \"2\"");
  EXPECT_EQ(ErrorOf(WithLine("0.25\n", "1\n2\n")), "m:9: text after the weights");
}

TEST(LinearModelFile, RefusesABrokenTrailer) {
  const std::string good =
      FormatLinearModel(MakeModel({2, 2, false}, LinearLoss::kLogistic, {0.5, 1}));
  ASSERT_EQ(ErrorOf(good), "accepted");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return ErrorOf(text);
  };
  EXPECT_EQ(with("lambdaml_model 1", "lambdaml_model 2"),
            "m:9: version \"2\" of the model format is not known");
  EXPECT_EQ(with("loss logistic", "loss hinge"),
            "m:10: loss \"hinge\" does not go with the solver_type");
  EXPECT_THAT(with("labels 0.5", "labels 0.75"), HasSubstr("the file was changed"));
  EXPECT_EQ(with("labels 0.5 1", "labels 0.5 0.5"), "m:11: two labels are the same");
  EXPECT_EQ(with("labels 0.5 1", "LABELS 0.5 1"), "m:11: \"LABELS\" is not a line of the trailer");
  EXPECT_EQ(ErrorOf(good.substr(0, good.find("checksum"))),
            "m:12: the file ends before its checksum");
  EXPECT_EQ(ErrorOf(good + "more\n"), "m:13: text after the end of the model");
  EXPECT_EQ(ErrorOf(good + "\n\n"), "accepted");
}

TEST(LinearModelFile, SurvivesAnyDamage) {
  LinearModel model = MakeModel({6, 3, true}, LinearLoss::kLogistic, {0.5, 1, 2});
  const std::string good = FormatLinearModel(model);
  base::Random random(99);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string text = good;
    const uint64_t damages = 1 + random.Below(4);
    for (uint64_t d = 0; d < damages && !text.empty(); ++d) {
      const size_t at = random.Below(text.size());
      switch (random.Below(4)) {
        case 0:
          text[at] = static_cast<char>(random.Below(256));
          break;
        case 1:
          text.erase(at, random.Below(20));
          break;
        case 2:
          text.insert(at, text.substr(random.Below(text.size()), random.Below(30)));
          break;
        default:
          text.resize(at);
      }
    }
    try {
      FormatLinearModel(ParseLinearModel(text, "m"));  // what is accepted can be written again
    } catch (const base::Error& error) {
      EXPECT_THAT(error.message(), StartsWith("m:"));
    }
  }
}

TEST(LinearModelFile, RefusesToWriteADivergedModel) {
  LinearModel model = MakeModel({2, 2, true}, LinearLoss::kLogistic, {0, 1});
  model.weights[1] = std::nanf("");
  EXPECT_THROW(FormatLinearModel(model), base::Error);
}

// The real programs, where they are installed (Debian: liblinear-tools).
class Liblinear : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v liblinear-predict liblinear-train > /dev/null") != 0) {
      GTEST_SKIP() << "liblinear-predict is not installed (Debian: liblinear-tools)";
    }
  }

  std::string File(const std::string& name) const { return folder_.path() + "/" + name; }
  void Write(const std::string& name, std::string_view text) const {
    base::WriteFileAtomic(File(name), base::AsBytes(text));
  }

  void WriteLibsvm(const MadeData& data, const std::vector<double>& labels) const {
    std::ofstream out(File("data"));
    out.precision(9);
    const data::SparseRows& x = data.sparse.sparse();
    for (size_t r = 0; r < data.classes.size(); ++r) {
      out << labels[static_cast<size_t>(data.classes[r])];
      for (int64_t i = x.row_offsets[r]; i < x.row_offsets[r + 1]; ++i) {
        const auto at = static_cast<size_t>(i);
        out << ' ' << x.columns[at] + 1 << ':' << x.values[at];
      }
      out << '\n';
    }
  }

  bool Run(const std::string& command) const {
    return std::system((command + " > " + File("log") + " 2>&1").c_str()) == 0;
  }

  bool RunPredict(const std::string& options) const {
    return Run("liblinear-predict " + options + " " + File("data") + " " + File("model") + " " +
               File("out"));
  }

  std::vector<double> PredictedLabels() const {
    std::ifstream in(File("out"));
    std::vector<double> labels;
    for (double label = 0; in >> label;) labels.push_back(label);
    return labels;
  }

  // The columns of `-b 1` output in the order of our classes, row after row.
  std::vector<double> PredictedProbabilities(const std::vector<double>& labels) const {
    std::ifstream in(File("out"));
    std::string line;
    std::getline(in, line);
    std::istringstream header(line);
    std::string word;
    header >> word;  // "labels"
    std::vector<size_t> column_class;
    for (double label = 0; header >> label;) {
      column_class.push_back(
          static_cast<size_t>(std::find(labels.begin(), labels.end(), label) - labels.begin()));
    }
    std::vector<double> probabilities;
    for (double label = 0; in >> label;) {
      std::vector<double> row(labels.size());
      for (const size_t c : column_class) in >> row[c];
      probabilities.insert(probabilities.end(), row.begin(), row.end());
    }
    return probabilities;
  }

  void ExpectLabels(const LinearModel& model, const MadeData& data) {
    const Predictions ours = Predict(model, data.sparse, pool_);
    std::vector<double> labels;
    for (const int32_t c : ours.classes) labels.push_back(model.labels[static_cast<size_t>(c)]);
    EXPECT_EQ(PredictedLabels(), labels);
  }

  base::TemporaryDirectory folder_{::testing::TempDir(), "liblinear-"};
  base::ThreadPool pool_{1};
};

TEST_F(Liblinear, PredictsTheSameLabelsWithOurModels) {
  for (const LinearLoss loss : {LinearLoss::kLogistic, LinearLoss::kHinge}) {
    for (const int n_classes : {2, 4}) {
      for (const bool bias : {true, false}) {
        const MadeData data = MakeData(300, 12, n_classes, 3);
        const std::vector<double> labels =
            n_classes == 2 ? std::vector<double>{-1, 1} : std::vector<double>{3, 1, 2, 9};
        const LinearModel model = MakeModel({12, n_classes, bias}, loss, labels);
        WriteLibsvm(data, labels);
        Write("model", FormatLinearModel(model));
        ASSERT_TRUE(RunPredict(""));
        ExpectLabels(model, data);
      }
    }
  }
}

TEST_F(Liblinear, PredictsTheSameProbabilitiesWithOurBinaryModels) {
  const MadeData data = MakeData(300, 12, 2, 3);
  const LinearModel model = MakeModel({12, 2, true}, LinearLoss::kLogistic, {4, 7});
  WriteLibsvm(data, model.labels);
  Write("model", FormatLinearModel(model));
  ASSERT_TRUE(RunPredict("-b 1"));
  const std::vector<double> theirs = PredictedProbabilities(model.labels);
  const Predictions ours = Predict(model, data.sparse, pool_);
  ASSERT_EQ(theirs.size(), ours.probabilities.size());
  for (size_t i = 0; i < theirs.size(); ++i) {
    EXPECT_NEAR(theirs[i], ours.probabilities[i], 2e-5 * theirs[i] + 1e-12);
  }
}

TEST_F(Liblinear, RefusesProbabilitiesOfOurSoftmaxModels) {
  const MadeData data = MakeData(30, 12, 3, 3);
  const LinearModel model = MakeModel({12, 3, true}, LinearLoss::kLogistic, {1, 2, 3});
  WriteLibsvm(data, model.labels);
  Write("model", FormatLinearModel(model));
  EXPECT_FALSE(RunPredict("-b 1"));
}

TEST_F(Liblinear, TrainsModelsThatWePredictTheSameWith) {
  for (const int n_classes : {2, 3}) {
    const MadeData data = MakeData(200, 10, n_classes, 3);
    WriteLibsvm(data, {5, -2, 8});
    for (const int solver : {0, 1, 2, 3, 4, 5, 6, 7}) {
      for (const std::string bias : {"-1", "0", "1", "7.5"}) {
        SCOPED_TRACE("-s " + std::to_string(solver) + " -B " + bias);
        ASSERT_TRUE(Run("liblinear-train -s " + std::to_string(solver) + " -B " + bias + " " +
                        File("data") + " " + File("model")));
        const LinearModel model = ParseLinearModel(base::MapFile(File("model")).text(), "model");
        EXPECT_EQ(model.shape.bias, bias[0] != '-' && bias[0] != '0');
        ASSERT_TRUE(RunPredict(""));
        ExpectLabels(model, data);
        if (model.loss != LinearLoss::kLogistic) continue;
        ASSERT_TRUE(RunPredict("-b 1"));
        const std::vector<double> theirs = PredictedProbabilities(model.labels);
        const Predictions ours = Predict(model, data.sparse, pool_);
        ASSERT_EQ(theirs.size(), ours.probabilities.size());
        for (size_t i = 0; i < theirs.size(); ++i) {
          EXPECT_NEAR(theirs[i], ours.probabilities[i], 2e-5);
        }
      }
    }
  }
}

TEST_F(Liblinear, TrainsRegressionModelsThatWeRefuse) {
  const MadeData data = MakeData(50, 4, 2, 3);
  WriteLibsvm(data, {0.5, 2});
  for (const int solver : {11, 12, 13, 21}) {
    if (!Run("liblinear-train -s " + std::to_string(solver) + " " + File("data") + " " +
             File("model"))) {
      continue;  // a version without this solver
    }
    EXPECT_THROW(ParseLinearModel(base::MapFile(File("model")).text(), "model"), base::Error)
        << solver;
  }
}

}  // namespace
}  // namespace lambdaml::model
