// Networks from end to end: images, training, warm starts, predictions, PyTorch, mistakes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <png.h>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using base::Json;
using testing::HasSubstr;

constexpr size_t kRecordBytes = 3073;

// All combinations, not only those that a push waits for.
bool IsFullMatrix() { return std::getenv("LAMBDAML_TEST_ALL") != nullptr; }

constexpr const char* kPython = "/usr/bin/python3";

// What the first group of a pattern finds in a text.
std::string FoundIn(const std::string& text, const std::string& pattern) {
  std::smatch match;
  EXPECT_TRUE(std::regex_search(text, match, std::regex(pattern))) << text;
  return match[1];
}

class CnnTest : public Workbench {
 protected:
  CnnTest() {
    Succeed({"data", "generate", "cifar10", "--n_classes", "3", "--rows", "54", "--seed", "2",
             "--output", "all.bin"});
    const std::string all = Read("all.bin");
    Write("images.bin", all.substr(0, 24 * kRecordBytes));
    Write("few.bin", all.substr(0, 12 * kRecordBytes));
    Write("test.bin", all.substr(24 * kRecordBytes));
  }

  // Names and values of `more` take the place of the usual ones.
  static Arguments TrainArguments(const Arguments& more) {
    std::map<std::string, std::string> options = {
        {"--model", "mobilenet"}, {"--data", "images.bin"},     {"--n_classes", "3"},
        {"--workers", "2"},       {"--n_epochs", "1"},          {"--batch_size", "8"},
        {"--lr", "0.02"},         {"--output", "m.safetensors"}};
    for (size_t i = 0; i + 1 < more.size(); i += 2) options[more[i]] = more[i + 1];
    Arguments arguments = {"train"};
    for (const auto& [name, value] : options) {
      arguments.push_back(name);
      arguments.push_back(value);
    }
    return arguments;
  }
  // Trains and returns the summary.
  Json Train(const Arguments& more = {}) const {
    Succeed(TrainArguments(Join(more, Arguments{"--log", "log"})));
    return Log("log").back();
  }
  std::string ModelOf(const Arguments& more) const {
    Train(more);
    return Read("m.safetensors");
  }
  // Leaves m.safetensors as a plain run would, which is made once for all tests.
  void PutModel() const {
    static const std::string model = ModelOf({});
    Write("m.safetensors", model);
  }
};

// A safetensors file: the bytes of each tensor by its name, the metadata as "__metadata__".
std::map<std::string, std::string> TensorsOf(const std::string& file) {
  uint64_t header_size = 0;
  std::memcpy(&header_size, file.data(), sizeof header_size);
  const std::string data = file.substr(8 + header_size);
  std::map<std::string, std::string> tensors;
  const Json header = Json::Parse(file.substr(8, header_size), "safetensors");
  for (const auto& [name, entry] : header.AsObject()) {
    if (name == "__metadata__") {
      tensors[name] = entry.Dump();
      continue;
    }
    const Json::Array& offsets = entry.At("data_offsets").AsArray();
    const auto begin = static_cast<size_t>(offsets[0].AsInteger());
    tensors[name] = data.substr(begin, static_cast<size_t>(offsets[1].AsInteger()) - begin);
  }
  return tensors;
}

TEST_F(CnnTest, LearnsArtificialImagesWithinSeconds) {
  Succeed({"data", "generate", "cifar10", "--rows", "1300", "--output", "all.bin"});
  const std::string all = Read("all.bin");
  Write("train.bin", all.substr(0, 1000 * kRecordBytes));
  Write("test.bin", all.substr(1000 * kRecordBytes));
  const std::string out = Succeed({"train",
                                   "--model",
                                   "mobilenet",
                                   "--data",
                                   "train.bin",
                                   "--test",
                                   "test.bin",
                                   "--workers",
                                   "2",
                                   "--n_epochs",
                                   "4",
                                   "--batch_size",
                                   "8",
                                   "--lr",
                                   "0.02",
                                   "--lr_schedule",
                                   "cosine",
                                   "--output",
                                   "m.safetensors",
                                   "--log",
                                   "log"});
  const std::vector<Json> log = Log("log");
  ASSERT_EQ(log.size(), 5U);
  const Json& summary = log.back();
  EXPECT_GE(summary.At("test_accuracy").AsNumber(), 0.9);
  EXPECT_EQ(log[3].At("extra").At("test_accuracy").AsNumber(),
            summary.At("test_accuracy").AsNumber());
  EXPECT_THAT(out, HasSubstr("mobilenet trained with grad_avg, 2 workers (reduce), on 1,000 rows"));
  const Json evaluation = Evaluate("m.safetensors", "test.bin");
  EXPECT_EQ(evaluation.At("rows").AsInteger(), 300);
  EXPECT_NEAR(evaluation.At("accuracy").AsNumber(), summary.At("test_accuracy").AsNumber(), 1e-9);
  EXPECT_NEAR(evaluation.At("loss").AsNumber(), summary.At("test_loss").AsNumber(), 1e-4);
}

TEST_F(CnnTest, BothPatternsAndRepetitionsGiveTheSameBytes) {
  Variants variants;
  for (const std::string optim : {"grad_avg", "model_avg"}) {
    for (const std::string workers : {"2", "3"}) {
      for (const std::string exchange : {"float32", "float16"}) {
        if (workers == "3" && exchange == "float16") continue;
        variants.Try(fmt::format("{} × {} {}", optim, workers, exchange), [&] {
          const Arguments job = {"--optim",    optim,    "--workers", workers,
                                 "--exchange", exchange, "--augment", "true"};
          const std::string expected = ModelOf(Join(job, Arguments{"--sync_mode", "reduce"}));
          EXPECT_EQ(ModelOf(Join(job, Arguments{"--sync_mode", "reduce_scatter"})), expected);
          EXPECT_NE(ModelOf(Join(job, Arguments{"--seed", "1"})), expected);
        });
      }
    }
  }
}

TEST_F(CnnTest, AllNetworksTrainWithAllAlgorithms) {
  Variants variants;
  for (const std::string model : {"mobilenet", "resnet18", "resnet"}) {
    for (const std::string optim : {"grad_avg", "model_avg"}) {
      for (const std::string sync_mode : {"reduce", "reduce_scatter", "async"}) {
        // The rest is what other tests do.
        const bool is_usual = model == "mobilenet" && sync_mode == "async";
        if (!is_usual && !IsFullMatrix()) continue;
        variants.Try(fmt::format("{} {} {}", model, optim, sync_mode), [&] {
          const Json summary =
              Train({"--model", model, "--optim", optim, "--sync_mode", sync_mode, "--data",
                     "few.bin", "--test", "few.bin", "--memory_mb", "3500"});
          EXPECT_EQ(summary.At("rows").AsInteger(), 12);
          const Json evaluation = Evaluate("m.safetensors", "few.bin");
          EXPECT_NEAR(evaluation.At("accuracy").AsNumber(), summary.At("test_accuracy").AsNumber(),
                      1e-9);
        });
      }
    }
  }
}

TEST_F(CnnTest, AWarmStartGoesOnFromTheModelAndItsNormalisation) {
  Train({"--n_epochs", "2"});
  std::filesystem::rename(Path("m.safetensors"), Path("first.safetensors"));
  const auto first = TensorsOf(Read("first.safetensors"));
  // A rate of nothing changes no weight; the statistics follow the batches.
  const Arguments still = {"--lr", "0", "--data", "test.bin"};
  const auto cold = TensorsOf(ModelOf(still));
  const auto warm = TensorsOf(ModelOf(Join(still, Arguments{"--init_model", "first.safetensors"})));
  for (const auto& [name, bytes] : first) {
    const bool is_statistic =
        name.find(".running_") != name.npos || name.find(".num_batches_tracked") != name.npos;
    EXPECT_EQ(warm.at(name) == bytes, !is_statistic) << name;
  }
  EXPECT_NE(cold.at("linear.weight"), first.at("linear.weight"));
  EXPECT_NE(cold.at("__metadata__"), first.at("__metadata__"));
  Refuse(TrainArguments({"--init_model", "first.safetensors", "--model", "resnet18"}), 2,
         {"--init_model first.safetensors: it is a mobilenet, not a resnet18"});
  Refuse(TrainArguments({"--init_model", "first.safetensors", "--n_classes", "10"}), 2,
         {"it has 3 classes; give --n_classes 3"});
  Refuse(TrainArguments({"--init_model", "images.bin"}), 3, {"not a safetensors file"});
}

TEST_F(CnnTest, FoldersAndShardsTrainLikeAFile) {
  const std::string text = Read("images.bin");
  Write("cifar/data_batch_1.bin", text.substr(0, 16 * kRecordBytes));
  Write("cifar/data_batch_2.bin", text.substr(16 * kRecordBytes));
  Write("cifar/test_batch.bin", Read("test.bin"));
  const std::string expected = ModelOf({"--test", "test.bin"});
  EXPECT_EQ(ModelOf({"--data", "cifar"}), expected);
  EXPECT_EQ(Log("log").back().At("test_accuracy").AsNumber(),
            Evaluate("m.safetensors", "cifar").At("accuracy").AsNumber());
  // What `split --shuffle` makes is what the trigger makes.
  Succeed(
      {"data", "split", "cifar", "--parts", "2", "--shuffle", "--seed", "0", "--output", "shards"});
  EXPECT_TRUE(Exists("shards/training_1.bin"));
  EXPECT_EQ(Read("shards/test.bin"), Read("test.bin"));
  EXPECT_EQ(ModelOf({"--data", "shards"}), expected);
  Json description = Json::Parse(Succeed({"data", "describe", "shards", "--json"}), "describe");
  EXPECT_EQ(description.At("rows").AsInteger(), 24);
  EXPECT_EQ(description.At("mean").AsArray().size(), 3U);
}

TEST_F(CnnTest, EachNetworkTrainsInTheMemoryThatIsSaidAndPyTorchLoadsIt) {
  if (!std::filesystem::exists(kPython) ||
      RunShell(fmt::format("{} -c 'import torch'", kPython)).exit_code != 0) {
    GTEST_SKIP() << "PyTorch is not installed (Debian: python3-torch)";
  }
  Variants variants;
  for (const std::string model : {"mobilenet", "resnet18", "resnet50"}) {
    variants.Try(model, [&] {
      const Arguments options = {"--model", model, "--batch_size", "12"};
      const Outcome refusal = Run(TrainArguments(Join(options, Arguments{"--memory_mb", "128"})));
      const std::string said_mb = FoundIn(refusal.err, "needs about (\\d+) MB");
      const Arguments job = TrainArguments(Join(options, Arguments{"--memory_mb", said_mb}));
      const std::string used =
          RunTool(kPython, Join({LAMBDAML_PEAK_MEMORY, LAMBDAML_PROGRAM_PATH}, job));
      EXPECT_LE(std::stod(used), std::stod(said_mb));
      EXPECT_GE(std::stod(used), 0.5 * std::stod(said_mb)) << "an estimate far too high";
      Succeed({"predict", "m.safetensors", "--data", "few.bin", "--probabilities", "--output",
               "p.txt"});
      RunTool(kPython, {LAMBDAML_TORCH_CHECK, LAMBDAML_TORCH_NETWORKS, "m.safetensors", "few.bin",
                        "p.txt", "copy.safetensors"});
      EXPECT_EQ(Evaluate("copy.safetensors", "few.bin").Dump(),
                Evaluate("m.safetensors", "few.bin").Dump());
    });
  }
}

// A PNG file of a record's pixels, each `scale` times as large both ways.
std::string PngOf(const std::string& record, uint32_t scale) {
  const uint32_t side = 32 * scale;
  std::string pixels;
  for (uint32_t y = 0; y < side; ++y) {
    for (uint32_t x = 0; x < side; ++x) {
      for (size_t channel = 0; channel < 3; ++channel) {
        pixels += record[1 + channel * 1024 + size_t{y / scale} * 32 + x / scale];
      }
    }
  }
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = side;
  image.height = side;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string file(size, '\0');
  EXPECT_NE(png_image_write_to_memory(&image, file.data(), &size, 0, pixels.data(), 0, nullptr), 0);
  file.resize(size);
  return file;
}

TEST_F(CnnTest, PredictsRecordsAndPicturesAlike) {
  PutModel();
  const auto predict = [&](const std::string& data) {
    Succeed({"predict", "m.safetensors", "--data", data, "--probabilities", "--output", "p.txt"});
    return ReadLines("p.txt");
  };
  const std::vector<std::string> records = predict("test.bin");
  ASSERT_EQ(records.size(), 31U);
  EXPECT_EQ(records[0], "labels 0 1 2");
  const std::string test = Read("test.bin");
  for (const uint32_t scale : {1U, 3U}) {
    Write("p.png", PngOf(test.substr(0, kRecordBytes), scale));
    const std::vector<std::string> picture = predict("p.png");
    ASSERT_EQ(picture.size(), 2U);
    EXPECT_EQ(picture[1].front(), records[1].front());
    std::istringstream ours(picture[1]);
    std::istringstream theirs(records[1]);
    for (double a = 0, b = 0; ours >> a && theirs >> b;) EXPECT_NEAR(a, b, 1e-5);
  }
  Succeed({"predict", "m.safetensors", "--data", "test.bin", "--output", "p.txt"});
  EXPECT_EQ(ReadLines("p.txt").size(), 30U);
  EXPECT_EQ(ReadLines("p.txt")[0].size(), 1U);
}

TEST_F(CnnTest, EvaluateGivesAConfusionMatrix) {
  PutModel();
  const Json json = Evaluate("m.safetensors", "test.bin");
  int64_t rows = 0;
  int64_t correct = 0;
  const Json::Array& confusion = json.At("confusion").AsArray();
  ASSERT_EQ(confusion.size(), 3U);
  for (size_t k = 0; k < 3; ++k) {
    for (const Json& count : confusion[k].AsArray()) rows += count.AsInteger();
    correct += confusion[k].AsArray()[k].AsInteger();
  }
  EXPECT_EQ(rows, 30);
  EXPECT_NEAR(json.At("accuracy").AsNumber(), static_cast<double>(correct) / 30, 1e-12);
  const std::string text = Succeed({"evaluate", "m.safetensors", "--data", "test.bin"});
  EXPECT_THAT(text, HasSubstr("accuracy  "));
  EXPECT_THAT(text, HasSubstr("confusion: a line for each class"));
}

TEST_F(CnnTest, KeepsTheBestEpochAndStopsEarly) {
  const Json summary = Train({"--valid_ratio", "0.2", "--n_epochs", "6", "--patience", "1"});
  double best = -1;
  for (const Json& record : Log("log")) {
    if (record.At("event").AsString() != "epoch") continue;
    best = std::max(best, record.At("valid_accuracy").AsNumber());
  }
  EXPECT_EQ(summary.At("valid_accuracy").AsNumber(), best);
}

TEST_F(CnnTest, MistakesAreSaidBeforeAnythingStarts) {
  const std::string text = Read("images.bin");
  Write("cut.bin", text.substr(0, 5 * kRecordBytes + 100));
  Refuse(TrainArguments({"--data", "cut.bin"}), 3, {"cut.bin: 15465 bytes are 5 records"});
  Refuse(TrainArguments({"--n_classes", "2"}), 3,
         {"images.bin: record ", "label 2 is not below --n_classes 2"});
  Refuse(TrainArguments({"--workers", "25"}), 2, {"images.bin has 24 images", "--workers 24"});
  Refuse(TrainArguments({"--optim", "admm"}), 2, {"--optim admm is for convex models"});
  Refuse(TrainArguments({"--memory_mb", "128"}), 2, {"--memory_mb 128 is too little: mobilenet"});
  Refuse(TrainArguments({"--model", "resnet50", "--batch_size", "12", "--memory_mb", "1000"}), 2,
         {"resnet50 with --batch_size 12 needs about", "or less, or --memory_mb"});
  Refuse(TrainArguments({"--keep", "best"}), 2, {"--keep best needs images to judge by"});
  Write("libsvm", "1 1:1\n0 2:1\n");
  Refuse(TrainArguments({"--data", "libsvm"}), 3, {"libsvm: 12 bytes"});
  Refuse({"train", "--model", "lr", "--data", "cut.bin"}, 3, {"cut.bin"});
  Write("folder/readme", "no images");
  Refuse(TrainArguments({"--data", "folder"}), 3, {"folder holds no images"});
}

TEST_F(CnnTest, BadFilesToPredictAreRefused) {
  PutModel();
  const auto refuse = [&](const std::string& data, const std::string& said) {
    Refuse({"predict", "m.safetensors", "--data", data, "--output", "p"}, 3, {said});
  };
  const std::string png = PngOf(Read("test.bin").substr(0, kRecordBytes), 1);
  Write("cut.png", png.substr(0, png.size() / 2));
  refuse("cut.png", "cut.png: bad PNG file");
  Write("text.jpg", "this is no picture");
  refuse("text.jpg", "text.jpg: neither a PNG nor a JPEG file");
  refuse("missing.png", "missing.png");
  refuse("m.safetensors", "m.safetensors: ");
  Write("cut.safetensors", Read("m.safetensors").substr(0, 100'000));
  Refuse({"predict", "cut.safetensors", "--data", "test.bin", "--output", "p"}, 3,
         {"cut.safetensors: "});
  Write("p.png", png);
  Refuse({"evaluate", "m.safetensors", "--data", "p.png"}, 2, {"has no label to evaluate by"});
}

}  // namespace
}  // namespace lambdaml::test
