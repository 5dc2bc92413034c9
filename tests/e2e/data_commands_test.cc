// data describe, split, convert, generate; folders of shards and compressed files as inputs.
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using base::Json;
using ::testing::HasSubstr;

class DataCommandsTest : public Workbench {
 protected:
  Json Describe(const std::string& data, const Arguments& more = {}) const {
    return Json::Parse(Succeed(Join({"data", "describe", data, "--json"}, more)), "describe");
  }
};

TEST_F(DataCommandsTest, DescribeCountsRowsFeaturesNonZerosAndLabels) {
  Write("data", "# a comment\n2 1:0.5 4:-3 # x\n\n1\r\n+1 qid:3 2:0 3:1e-3\n2 1:7");
  const Json json = Describe("data");
  EXPECT_EQ(json.At("rows").AsInteger(), 4);
  EXPECT_EQ(json.At("n_features").AsInteger(), 4);
  EXPECT_EQ(json.At("nonzeros").AsInteger(), 4);
  EXPECT_EQ(json.At("value_min").AsNumber(), -3);
  EXPECT_EQ(json.At("value_max").AsNumber(), 7);
  EXPECT_EQ(json.At("labels").Dump(), R"([{"label":1,"rows":2},{"label":2,"rows":2}])");
  EXPECT_EQ(Describe("data", {"--n_features", "9"}).At("n_features").AsInteger(), 9);
  EXPECT_EQ(Describe("data", {"--index_base", "0"}).At("n_features").AsInteger(), 5);
  const std::string text = Succeed({"data", "describe", "data"});
  EXPECT_THAT(text, HasSubstr("rows       4\n"));
  EXPECT_THAT(text, HasSubstr("label      1: 2 rows\n"));
}

TEST_F(DataCommandsTest, GenerateRepeatsFromItsSeedAndGrowsFromTheFront) {
  for (const std::string kind : {"higgs", "rcv1", "blobs"}) {
    SCOPED_TRACE(kind);
    const auto generate = [&](const std::string& rows, const std::string& seed) {
      Succeed({"data", "generate", kind, "--rows", rows, "--seed", seed, "--output", "g"});
      return Read("g");
    };
    const std::string text = generate("50", "1");
    EXPECT_EQ(generate("50", "1"), text);
    EXPECT_NE(generate("50", "2"), text);
    EXPECT_THAT(generate("60", "1"), ::testing::StartsWith(text));
    EXPECT_EQ(Describe("g").At("rows").AsInteger(), 60);
  }
}

TEST_F(DataCommandsTest, ConvertThereAndBackKeepsEveryNumber) {
  for (const std::string kind : {"higgs", "rcv1"}) {
    SCOPED_TRACE(kind);
    Succeed({"data", "generate", kind, "--rows", "40", "--output", "a.libsvm"});
    Succeed({"data", "convert", "a.libsvm", "--output", "b.npz"});
    Succeed({"data", "convert", "b.npz", "--output", "c.libsvm"});
    Succeed({"data", "convert", "c.libsvm", "--output", "d", "--format", "npz"});
    EXPECT_EQ(Read("c.libsvm"), Read("a.libsvm"));
    EXPECT_EQ(Read("d"), Read("b.npz"));
    EXPECT_EQ(Describe("a.libsvm").Dump(), Describe("b.npz").Dump());
  }
}

TEST_F(DataCommandsTest, SplitWritesShardsAndAManifestThatAddUp) {
  Write("data", SeparableSample({.rows = 103, .density = 0.3}));
  for (const std::string format : {"npz", "libsvm"}) {
    SCOPED_TRACE(format);
    const std::string folder = "shards_" + format;
    Succeed({"data", "split", "data", "--parts", "5", "--format", format, "--output", folder});
    const Json manifest = Json::Parse(Read(folder + "/manifest.json"), "manifest");
    EXPECT_EQ(manifest.At("rows").AsInteger(), 103);
    EXPECT_EQ(manifest.At("n_features").AsInteger(), 8);
    ASSERT_EQ(manifest.At("shards").AsArray().size(), 5U);
    int64_t rows = 0;
    for (size_t i = 0; i < 5; ++i) {
      const Json& shard = manifest.At("shards").AsArray()[i];
      const std::string name = fmt::format("{}_5", i);
      EXPECT_EQ(shard.At("name").AsString(), name);
      const Json described = Describe(folder + "/" + name);
      EXPECT_EQ(described.At("rows").AsInteger(), shard.At("rows").AsInteger());
      EXPECT_EQ(described.At("nonzeros").AsInteger(), shard.At("nonzeros").AsInteger());
      EXPECT_EQ(described.At("labels").Dump(), shard.At("labels").Dump());
      EXPECT_EQ(static_cast<int64_t>(Read(folder + "/" + name).size()),
                shard.At("size_bytes").AsInteger());
      rows += shard.At("rows").AsInteger();
    }
    EXPECT_EQ(rows, 103);
    EXPECT_EQ(Describe(folder).At("labels").Dump(), Describe("data").At("labels").Dump());
  }
}

TEST_F(DataCommandsTest, ShufflingRepeatsFromItsSeed) {
  Write("data", SeparableSample());
  const auto split = [&](const std::string& folder, const Arguments& more) {
    Succeed(Join(
        {"data", "split", "data", "--parts", "3", "--format", "libsvm", "--output", folder}, more));
    return Read(folder + "/0_3") + Read(folder + "/1_3") + Read(folder + "/2_3");
  };
  const std::string plain = split("a", {});
  const std::string shuffled = split("b", {"--shuffle", "--seed", "5"});
  EXPECT_NE(shuffled, plain);
  EXPECT_EQ(split("c", {"--shuffle", "--seed", "5"}), shuffled);
  EXPECT_NE(split("d", {"--shuffle", "--seed", "6"}), shuffled);
}

TEST_F(DataCommandsTest, AFolderOfShardsTrainsLikeAFile) {
  Write("data", SeparableSample());
  Succeed({"data", "split", "data", "--parts", "5", "--output", "shards", "--shuffle"});
  Succeed({"data", "split", "data", "--parts", "2", "--output", "text", "--format", "libsvm"});
  Write("lambdaml/0_2", Read("text/0_2"));
  Write("lambdaml/1_2", Read("text/1_2"));
  Variants variants;
  for (const std::string folder : {"shards", "text", "lambdaml"}) {
    for (const std::string workers : {"1", "2", "4", "5", "7"}) {
      for (const std::string model : {"lr", "sparse_svm"}) {
        variants.Try(fmt::format("{} {} × {}", folder, model, workers), [&] {
          Succeed({"train", "--data", folder, "--model", model, "--workers", workers, "--output",
                   "m", "--log", "log"});
          EXPECT_EQ(Log("log").back().At("rows").AsInteger(), 120);
          EXPECT_GE(Evaluate("m", folder).At("accuracy").AsNumber(), 0.97);
        });
      }
    }
  }
}

TEST_F(DataCommandsTest, CompressedFilesAreReadAsTheyAre) {
  Write("data", SeparableSample());
  const std::string expected = Describe("data").Dump();
  Succeed({"train", "--data", "data", "--output", "m"});
  const std::string model = Read("m");
  for (const Arguments& tool : {Arguments{"gzip", "-k", "data"}, Arguments{"zstd", "-q", "data"}}) {
    const std::string program = "/usr/bin/" + tool[0];
    if (!std::filesystem::exists(program)) GTEST_SKIP() << program << " is not installed";
    RunTool(program, Arguments(tool.begin() + 1, tool.end()));
  }
  for (const std::string name : {"data.gz", "data.zst"}) {
    EXPECT_EQ(Describe(name).Dump(), expected) << name;
    Succeed({"train", "--data", name, "--output", "m"});
    EXPECT_EQ(Read("m"), model) << name;
    // The name does not matter; the first bytes do.
    std::filesystem::rename(Path(name), Path("renamed"));
    EXPECT_EQ(Describe("renamed").Dump(), expected) << name;
  }
}

TEST_F(DataCommandsTest, NumpyAndScipyReadTheBinaryShards) {
  Write("data", SeparableSample({.density = 0.3}));
  const std::string python = "/usr/bin/python3";
  if (!std::filesystem::exists(python) || RunProgram({.program = python,
                                                      .arguments = {"-c", "import scipy"},
                                                      .environment = {},
                                                      .working_directory = "/"},
                                                     RunTimeout())
                                                  .status.exit_code != 0) {
    GTEST_SKIP() << "SciPy is not installed (Debian: python3-scipy)";
  }
  Succeed({"data", "convert", "data", "--layout", "sparse", "--output", "sparse.npz"});
  const std::string nonzeros =
      RunTool(python, {"-c", "import scipy.sparse as s; print(s.load_npz('sparse.npz').nnz)"});
  EXPECT_EQ(std::stoll(nonzeros), Describe("data").At("nonzeros").AsInteger());
  Succeed({"data", "convert", "data", "--layout", "dense", "--output", "dense.npz"});
  EXPECT_THAT(RunTool(python, {"-c",
                               "import numpy as n; d = n.load('dense.npz'); "
                               "print(sorted(a.shape for a in d.values()))"}),
              HasSubstr("(120, 8)"));
}

TEST_F(DataCommandsTest, WhatCannotBeReadIsRefusedWithItsPlace) {
  struct Mistake {
    std::string_view text;
    std::string_view said;
  };
  for (const Mistake& mistake :
       {Mistake{"1 1:0.5\n1 1:x\n", "bad:2: "}, Mistake{"1 1:1\n\n-1 0:1\n", "bad:3: "},
        Mistake{"1 2:1 2:1\n", "bad:1: "}, Mistake{"1 1:nan\n", "bad:1: "}, Mistake{"", "bad"},
        Mistake{"\x1f\x8b garbage", "bad"}, Mistake{"PK\x03\x04 x", "bad"},
        Mistake{"one 1:1\n", "bad:1: "}, Mistake{"1 1:1 2\n", "bad:1: "}}) {
    SCOPED_TRACE(mistake.text);
    Write("bad", mistake.text);
    Refuse({"data", "describe", "bad"}, 3, {mistake.said});
    Refuse({"data", "convert", "bad", "--output", "c.npz"}, 3, {mistake.said});
    Refuse({"data", "split", "bad", "--parts", "2", "--output", "s"}, 3, {mistake.said});
    Refuse({"train", "--data", "bad"}, 3, {mistake.said});
  }
}

TEST_F(DataCommandsTest, DamagedShardsAreRefused) {
  Write("data", SeparableSample());
  Succeed({"data", "split", "data", "--parts", "2", "--output", "shards"});
  const std::string shard = Read("shards/1_2");
  std::string flipped = shard;
  flipped[shard.size() / 2] ^= 1;
  Write("shards/1_2", flipped);
  Refuse({"data", "describe", "shards"}, 3, {"shards/1_2"});
  Write("shards/1_2", shard.substr(0, shard.size() / 2));
  Refuse({"data", "describe", "shards"}, 3, {"shards/1_2"});
  std::filesystem::remove(Path("shards/1_2"));
  Refuse({"data", "describe", "shards"}, 3, {"shards: ", "1_2"});
}

}  // namespace
}  // namespace lambdaml::test
