// K-means from end to end: train, predict, evaluate, convert, and what goes wrong.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "lambdaml/base/random.h"

#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using base::Json;
using testing::ElementsAre;
using testing::HasSubstr;

using Rows = std::vector<std::vector<double>>;

std::vector<double> Numbers(const std::string& line) {
  std::istringstream text(line);
  std::vector<double> numbers;
  for (double number = 0; text >> number;) numbers.push_back(number);
  return numbers;
}

std::string Libsvm(const Rows& rows, const char* label = "1") {
  std::string text;
  for (const auto& row : rows) {
    text += label;
    for (size_t j = 0; j < row.size(); ++j) {
      if (row[j] != 0) text += fmt::format(" {}:{}", j + 1, row[j]);
    }
    text += '\n';
  }
  return text;
}

// Rows around three places, in turns.
Rows ThreeGroups(size_t count) {
  const Rows places = {{0, 0, 5}, {10, 0, 5}, {0, 10, 5}};
  base::Random random(1);
  Rows rows;
  for (size_t r = 0; r < count; ++r) {
    std::vector<double> row = places[r % 3];
    for (double& value : row) value += std::round(random.Normal() * 64) / 64;
    rows.push_back(std::move(row));
  }
  return rows;
}

class KmeansTest : public Workbench {
 protected:
  KmeansTest() : rows_(ThreeGroups(90)) { Write("data", Libsvm(rows_)); }

  // Trains, with other options than the usual, and gives the log's records.
  std::vector<Json> Train(const std::map<std::string, std::string>& others = {}) const {
    std::map<std::string, std::string> options = {{"model", "kmeans"}, {"data", "data"},
                                                  {"n_clusters", "3"}, {"workers", "3"},
                                                  {"output", "c.txt"}, {"log", "log"}};
    for (const auto& [name, value] : others) options[name] = value;
    Arguments arguments = {"train"};
    for (const auto& [name, value] : options) {
      arguments.push_back("--" + name);
      arguments.push_back(value);
    }
    Succeed(arguments);
    return Log("log");
  }

  Rows Centroids(std::string_view name = "c.txt") const {
    Rows centroids;
    for (const std::string& line : ReadLines(name)) centroids.push_back(Numbers(line));
    return centroids;
  }

  Rows rows_;
};

TEST_F(KmeansTest, FindsTheGroups) {
  Train({{"init", "first"}});
  for (size_t c = 0; c < 3; ++c) {
    for (size_t j = 0; j < 3; ++j) {
      double mean = 0;
      for (size_t r = c; r < rows_.size(); r += 3) mean += rows_[r][j] / 30;
      EXPECT_NEAR(Centroids()[c][j], mean, 1e-5);
    }
  }
}

TEST_F(KmeansTest, EveryStartGivesTheSameForAnyNumberOfWorkersInBothPatterns) {
  Variants variants;
  for (const std::string init : {"first", "random", "k-means++", "k-means||"}) {
    const Json alone = Train({{"init", init}, {"workers", "1"}}).back();
    const Rows expected = Centroids();
    for (const std::string workers : {"2", "5"}) {
      for (const std::string sync_mode : {"reduce", "reduce_scatter"}) {
        variants.Try(fmt::format("{} {} {}", init, workers, sync_mode), [&] {
          const Json summary =
              Train({{"init", init}, {"workers", workers}, {"sync_mode", sync_mode}}).back();
          EXPECT_EQ(summary.At("stopped_by").AsString(), "convergence");
          EXPECT_EQ(summary.At("epochs").AsInteger(), alone.At("epochs").AsInteger());
          const Rows centroids = Centroids();
          for (size_t c = 0; c < 3; ++c) {
            for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(centroids[c][j], expected[c][j], 1e-5);
          }
        });
      }
    }
  }
}

TEST_F(KmeansTest, TheLogTellsEachEpochsInertiaMovementChangesAndSizes) {
  const std::vector<Json> records = Train({{"init", "first"}});
  ASSERT_GE(records.size(), 2U);
  double before = records.back().At("extra").At("initial_inertia").AsNumber();
  for (const Json& record : records) {
    EXPECT_EQ(record.Find("loss"), nullptr);
    EXPECT_LE(record.At("inertia").AsNumber(), before);
    before = record.At("inertia").AsNumber();
    int64_t rows = 0;
    for (const Json& size : record.At("cluster_sizes").AsArray()) rows += size.AsInteger();
    EXPECT_EQ(rows, 90);
    if (record.At("event").AsString() != "epoch") continue;
    for (const char* name : {"movement", "changed", "empty", "reseeded"}) {
      EXPECT_NE(record.At("extra").Find(name), nullptr) << name;
    }
  }
  const Json& summary = records.back();
  EXPECT_EQ(summary.At("optim").AsString(), "lloyd");
  EXPECT_EQ(summary.At("model").AsString(), "kmeans");
  EXPECT_EQ(records[records.size() - 2].At("inertia").AsNumber(), summary.At("inertia").AsNumber());
}

TEST_F(KmeansTest, TheTableAndTheSummaryShowInertia) {
  const std::string out = Succeed({"train", "--model", "kmeans", "--data", "data", "--n_clusters",
                                   "3", "--workers", "2", "--output", "c.npy", "--test", "data"});
  EXPECT_THAT(out, HasSubstr("epoch         inertia    movement     changed"));
  EXPECT_THAT(out, HasSubstr("kmeans trained with lloyd, 2 workers (reduce), on 90 rows"));
  EXPECT_THAT(out, HasSubstr("  training    inertia "));
  EXPECT_THAT(out, HasSubstr("  test        inertia "));
  EXPECT_THAT(out, HasSubstr("  clusters    3 of 30, 30, 30 rows"));
}

TEST_F(KmeansTest, PredictGivesClusterAndDistanceOfEachRow) {
  Train();
  Succeed({"predict", "c.txt", "--data", "data", "--output", "p"});
  const std::vector<std::string> lines = ReadLines("p");
  const Rows centroids = Centroids();
  ASSERT_EQ(lines.size(), rows_.size());
  for (size_t r = 0; r < lines.size(); ++r) {
    const std::vector<double> line = Numbers(lines[r]);
    ASSERT_EQ(line.size(), 2U);
    std::vector<double> distances;
    for (const auto& centroid : centroids) {
      distances.push_back(std::hypot(rows_[r][0] - centroid[0], rows_[r][1] - centroid[1],
                                     rows_[r][2] - centroid[2]));
    }
    const auto nearest = std::min_element(distances.begin(), distances.end());
    EXPECT_EQ(line[0], static_cast<double>(nearest - distances.begin()));
    EXPECT_NEAR(line[1], *nearest, 1e-6);
  }
}

TEST_F(KmeansTest, EvaluateAgreesWithTheTrainingOnTheSameRows) {
  const Json summary = Train({{"test", "data"}}).back();
  const Json evaluation = Evaluate("c.txt", "data");
  const double inertia = summary.At("inertia").AsNumber();
  EXPECT_EQ(evaluation.At("rows").AsInteger(), 90);
  EXPECT_EQ(evaluation.At("n_clusters").AsInteger(), 3);
  EXPECT_NEAR(evaluation.At("inertia").AsNumber(), inertia, 1e-8 * inertia);
  EXPECT_NEAR(summary.At("test_inertia").AsNumber(), inertia, 1e-8 * inertia);
  EXPECT_EQ(evaluation.At("cluster_sizes").Dump(), summary.At("cluster_sizes").Dump());
  EXPECT_THAT(
      Succeed({"evaluate", "c.txt", "--data", "data"}),
      AllOf(HasSubstr("rows      90\n"), HasSubstr("inertia   "), HasSubstr("clusters  3\n")));
}

TEST_F(KmeansTest, NpyAndTextHoldTheSameCentroids) {
  Train({{"seed", "5"}});
  Train({{"seed", "5"}, {"output", "c.npy"}});
  EXPECT_TRUE(Read("c.npy").starts_with("\x93NUMPY"));
  EXPECT_EQ(Evaluate("c.npy", "data").Dump(), Evaluate("c.txt", "data").Dump());
}

TEST_F(KmeansTest, TheDefaultOutputIsNamedAfterTheData) {
  Succeed({"train", "--model", "kmeans", "--data", "data", "--n_clusters", "2", "--workers", "2"});
  EXPECT_TRUE(Exists("data.npy"));
}

TEST_F(KmeansTest, LabelsOfAnyKindDoNotMatter) {
  Train({{"init", "first"}});
  const std::string expected = Read("c.txt");
  std::string regression;
  for (size_t r = 0; r < rows_.size(); ++r) {
    regression += Libsvm({rows_[r]}, fmt::format("{}", 0.37 * static_cast<double>(r)).c_str());
  }
  Write("data", regression);
  Train({{"init", "first"}});
  EXPECT_EQ(Read("c.txt"), expected);
}

TEST_F(KmeansTest, DenseAndSparseRowsGiveTheSameCentroids) {
  Train({{"dataset_type", "dense_libsvm"}});
  const std::string dense = Read("c.txt");
  Train({{"dataset_type", "sparse_libsvm"}});
  EXPECT_EQ(Read("c.txt"), dense);
}

TEST_F(KmeansTest, AFolderOfShardsGivesWhatItsRowsInOneFileGive) {
  Succeed({"data", "split", "data", "--parts", "7", "--output", "shards"});
  Variants variants;
  for (const char* workers : {"1", "3", "7", "9"}) {  // 9: the rows are split anew
    variants.Try(workers, [&] {
      Train({{"data", "shards"}, {"workers", workers}, {"init", "first"}});
      const Rows from_shards = Centroids();
      // A folder's rows are its shards' one after the other.
      std::string text;
      for (size_t shard = 0; shard < 7; ++shard) {
        for (size_t r = shard; r < rows_.size(); r += 7) text += Libsvm({rows_[r]});
      }
      Write("joined", text);
      Train({{"data", "joined"}, {"workers", "2"}, {"init", "first"}});
      const Rows from_file = Centroids();
      for (size_t c = 0; c < from_file.size(); ++c) {
        for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(from_shards[c][j], from_file[c][j], 1e-6);
      }
    });
  }
}

TEST_F(KmeansTest, ARunMayGoOnFromCentroids) {
  const double whole = Train({{"init", "first"}}).back().At("inertia").AsNumber();
  Train({{"init", "first"}, {"n_epochs", "1"}, {"output", "start.npy"}});
  Succeed({"train", "--model", "kmeans", "--data", "data", "--init_model", "start.npy", "--workers",
           "2", "--output", "c.txt", "--log", "log"});
  EXPECT_NEAR(Log("log").back().At("inertia").AsNumber(), whole, 1e-8 * whole);
}

TEST_F(KmeansTest, MiniBatchesLearnTooSynchronouslyAndAsynchronously) {
  const double best = Train().back().At("inertia").AsNumber();
  for (const char* sync_mode : {"reduce", "reduce_scatter", "async"}) {
    const Json summary =
        Train({{"batch_size", "5"}, {"sync_mode", sync_mode}, {"init", "first"}}).back();
    EXPECT_EQ(summary.At("optim").AsString(), "mini_batch");
    EXPECT_EQ(summary.At("epochs").AsInteger(), 10);
    EXPECT_LT(summary.At("inertia").AsNumber(), 1.2 * best) << sync_mode;
    EXPECT_NEAR(Evaluate("c.txt", "data").At("inertia").AsNumber(),
                summary.At("inertia").AsNumber(), 1e-6 * best);
  }
}

TEST_F(KmeansTest, ALambdamlPayloadIsAJob) {
  Succeed({"data", "split", "data", "--parts", "2", "--output", "bucket/rows"});
  Write("payload.json", fmt::format(R"({{"dataset":"rows","data_bucket":"{0}/bucket",
    "dataset_type":"dense_libsvm","n_features":3,"tmp_bucket":"{0}/tmp","merged_bucket":"{0}/tmp",
    "n_clusters":3,"n_epochs":10,"threshold":0.0001,"sync_mode":"reduce","n_workers":2}})",
                                    folder()));
  Succeed({"train", "payload.json", "--output", "c.txt", "--log", "log"});
  const Json summary = Log("log").back();
  EXPECT_EQ(summary.At("model").AsString(), "kmeans");
  EXPECT_EQ(Centroids().size(), 3U);
}

TEST_F(KmeansTest, ConstantDataAndTooManyClustersEndWithEmptyOnes) {
  Write("data", Libsvm(Rows(12, {1, 2, 3})));
  const Json constant = Train().back();
  EXPECT_EQ(constant.At("inertia").AsNumber(), 0);
  EXPECT_THAT(constant.At("cluster_sizes").Dump(), HasSubstr("12"));
  Write("data", Libsvm({{1, 1}, {2, 2}, {1, 1}, {2, 2}, {1, 1}}));
  const std::string out = Succeed({"train", "--model", "kmeans", "--data", "data", "--n_clusters",
                                   "4", "--workers", "2", "--output", "c.txt"});
  EXPECT_THAT(out, HasSubstr("rows; 2 empty"));
}

TEST_F(KmeansTest, OneClusterIsTheMeanOfAllRows) {
  Write("data", Libsvm({{1, 10}, {2, 20}, {6, 0}}));
  Train({{"n_clusters", "1"}});
  EXPECT_EQ(Centroids(), (Rows{{3, 10}}));
}

TEST_F(KmeansTest, MistakesAreRefusedBeforeAnythingStarts) {
  const Arguments train = {"train", "--model", "kmeans", "--data", "data", "--output", "m"};
  Write("narrow.txt", "1 2\n3 4\n5 6\n");
  Write("three.txt", "1 2 3\n4 5 6\n");
  Write("nan", "1 1:nan\n");
  Write("inf", "1 1:2\n1 1:inf\n");
  Write("wide", "1 4:1\n");
  Refuse(train, 2, {"--n_clusters"});
  Refuse(Join(train, Arguments{"--n_clusters", "91"}), 2, {"--n_clusters 91", "only 90 rows"});
  Refuse(Join(train, Arguments{"--n_clusters", "0"}), 2, {"--n_clusters", "not within"});
  Refuse(Join(train, Arguments{"--n_clusters", "3", "--lr", "0.1"}), 2,
         {"--lr means nothing to --model kmeans"});
  Refuse(Join(train, Arguments{"--n_clusters", "3", "--optim", "admm"}), 2, {"--optim"});
  Refuse(Join(train, Arguments{"--n_clusters", "3", "--sync_mode", "async"}), 2,
         {"give --batch_size"});
  Refuse(Join(train, Arguments{"--n_clusters", "3", "--workers", "91"}), 2, {"too few"});
  Refuse(Join(train, Arguments{"--init_model", "narrow.txt"}), 2, {"2 features, the data 3"});
  Refuse(Join(train, Arguments{"--init_model", "three.txt", "--n_clusters", "3"}), 2,
         {"has 2 centroids"});
  Refuse(Join(train, Arguments{"--init_model", "nowhere.npy"}), 3, {"nowhere.npy"});
  Refuse(Join(train, Arguments{"--init_model", "data"}), 3, {"data"});
  Refuse(Join(train, Arguments{"--n_clusters", "3", "--test", "wide"}), 2,
         {"--test wide has 4 features, the data 3"});
  Refuse({"train", "--data", "data", "--n_clusters", "3", "--output", "m"}, 2,
         {"--n_clusters means nothing to --model lr"});
  Refuse({"train", "--model", "kmeans", "--n_clusters", "1", "--data", "nan", "--output", "m"}, 3,
         {"nan:1", "nan"});
  Refuse({"train", "--model", "kmeans", "--n_clusters", "1", "--data", "inf", "--output", "m"}, 3,
         {"inf:2", "inf"});
}

TEST_F(KmeansTest, ModelsAndDataThatDoNotFitAreRefused) {
  Write("c.txt", "1 2\n3 4\n");
  Write("c.nan", "1 nan\n");
  Refuse({"predict", "c.txt", "--data", "data", "--output", "p"}, 3,
         {"data has 3 features, the centroids only 2"});
  Refuse({"evaluate", "c.txt", "--data", "data"}, 3, {"data has 3 features"});
  Refuse({"predict", "c.txt", "--data", "data", "--output", "p", "--probabilities"}, 2,
         {"--probabilities"});
  Refuse({"evaluate", "c.nan", "--data", "data"}, 3, {"c.nan"});
}

// Two images of 2x2 pixels and their labels.
constexpr std::string_view kImages(
    "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02\x33\0\0\xff\0\0\xff\0", 24);
constexpr std::string_view kLabels("\0\0\x08\x01\0\0\0\x02\x07\x03", 10);

TEST_F(KmeansTest, IdxFilesAreConvertedAndReadAsTheyAre) {
  Write("images", kImages);
  Write("labels", kLabels);
  Succeed({"data", "convert", "images", "--labels", "labels", "--output", "x.libsvm"});
  EXPECT_THAT(ReadLines("x.libsvm"), ElementsAre("7 1:0.2 2:0 3:0 4:1", "3 1:0 2:0 3:1 4:0"));
  Succeed({"data", "convert", "images", "--output", "x.npz"});
  EXPECT_THAT(Succeed({"data", "describe", "images"}), HasSubstr("features   4"));
  EXPECT_EQ(Succeed({"data", "describe", "images", "--json"}),
            Succeed({"data", "describe", "x.npz", "--json"}));
  Succeed({"train", "--model", "kmeans", "--data", "images", "--n_clusters", "2", "--workers", "1",
           "--init", "first", "--output", "c.txt"});
  EXPECT_THAT(ReadLines("c.txt"), ElementsAre("0.2 0 0 1", "0 0 1 0"));
}

TEST_F(KmeansTest, IdxFilesThatDoNotFitAreRefused) {
  Write("images", kImages);
  Write("labels", kLabels);
  Write("short", kImages.substr(0, 20));
  Refuse({"data", "convert", "short", "--output", "x.npz"}, 3, {"short", "truncated"});
  Refuse({"data", "convert", "labels", "--output", "x.npz"}, 3, {"labels, not of rows"});
  Refuse({"data", "convert", "data", "--labels", "labels", "--output", "x.npz"}, 3,
         {"2 labels for 90 rows"});
  Refuse({"data", "convert", "images", "--labels", "images", "--output", "x.npz"}, 3,
         {"not of labels"});
}

}  // namespace
}  // namespace lambdaml::test
