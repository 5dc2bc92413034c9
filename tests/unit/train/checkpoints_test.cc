#include "lambdaml/train/checkpoints.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

#include "support/processes.h"
#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

using base::ErrorCode;
using testing::AnyOf;
using testing::Eq;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kRanks = 3;
constexpr const char* kJob = R"({"model":"lr","lr":0.1})";

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(30)); }

std::string SharedState(int64_t number) { return fmt::format("what all know after {}", number); }
std::string OwnState(int64_t number, int64_t rank) { return fmt::format("{} of {}", number, rank); }

class CheckpointsTest : public testing::Test {
 protected:
  Checkpoints Open(const std::string& job = "job") const { return {folder_.path(), job}; }

  // Checkpoint `number` up to its manifest, which is returned.
  static CheckpointManifest PutParts(Checkpoints& checkpoints, int64_t number,
                                     const std::string& job = "job") {
    CheckpointManifest manifest = {.number = number,
                                   .job_id = job,
                                   .generation = static_cast<uint64_t>(number / 2),
                                   .rounds = 10,
                                   .rounds_ended = 20,
                                   .epochs = 5 * number,
                                   .shared = {},
                                   .ranks = {}};
    manifest.shared = checkpoints.PutShared(number, base::AsBytes(SharedState(number)), Soon());
    for (int64_t rank = 0; rank < kRanks; ++rank) {
      manifest.ranks.push_back(
          checkpoints.PutRank(number, rank, base::AsBytes(OwnState(number, rank)), Soon()));
    }
    return manifest;
  }

  static CheckpointManifest PutWhole(Checkpoints& checkpoints, int64_t number) {
    const CheckpointManifest manifest = PutParts(checkpoints, number);
    checkpoints.PutManifest(manifest, Soon());
    return manifest;
  }

  // That everything in it reads as it was written.
  static void ExpectWhole(Checkpoints& checkpoints, const CheckpointManifest& manifest) {
    EXPECT_EQ(checkpoints.Shared(manifest, Soon()).text(), SharedState(manifest.number));
    for (int64_t rank = 0; rank < kRanks; ++rank) {
      EXPECT_EQ(checkpoints.Rank(manifest, rank, Soon()).text(), OwnState(manifest.number, rank));
    }
  }

  // All files by their names in the folder.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
      if (!entry.is_regular_file()) continue;
      files[entry.path().lexically_relative(folder_.path())] =
          std::string(base::MapFile(entry.path()).text());
    }
    return files;
  }

  void Write(const std::string& name, const std::string& bytes) const {
    base::WriteFileAtomic(folder_.path() + "/" + name, base::AsBytes(bytes));
  }

  TemporaryFolder folder_;
};

ErrorCode CodeOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

TEST_F(CheckpointsTest, ThereIsNoneUntilTheManifestStands) {
  Checkpoints checkpoints = Open();
  EXPECT_EQ(checkpoints.Latest(Soon()), std::nullopt);
  const CheckpointManifest first = PutParts(checkpoints, 1);
  EXPECT_EQ(checkpoints.Latest(Soon()), std::nullopt) << "parts alone are no checkpoint";
  EXPECT_FALSE(checkpoints.HasState(Soon()));
  checkpoints.PutManifest(first, Soon());
  EXPECT_EQ(Open().Latest(Soon()), first);
  EXPECT_TRUE(checkpoints.HasState(Soon()));
  ExpectWhole(checkpoints, first);
}

TEST_F(CheckpointsTest, AWriterThatDiesAnywhereLeavesTheOneBefore) {
  Checkpoints checkpoints = Open();
  const CheckpointManifest first = PutWhole(checkpoints, 1);
  const std::map<std::string, std::string> before = Files();
  PutWhole(checkpoints, 2);
  std::map<std::string, std::string> after = Files();
  // In the order in which they are written: `latest`, which was raised, and the manifest, last.
  const std::string manifest = "job/2.manifest";
  ASSERT_TRUE(after.contains(manifest));
  std::filesystem::remove(folder_.path() + "/" + manifest);
  EXPECT_EQ(Open().Latest(Soon()), first) << "latest says 2 already";
  Write("latest", before.at("latest"));
  EXPECT_EQ(Open().Latest(Soon()), first) << "only parts of 2 are there";
}

TEST_F(CheckpointsTest, TheManifestIsTheLastThingWritten) {
  Checkpoints checkpoints = Open();
  PutWhole(checkpoints, 1);
  const CheckpointManifest second = PutParts(checkpoints, 2);
  // Who sees `latest` at 2 without its manifest takes 1; the other way about 2 would be deleted by
  // nobody, and found by nobody.
  test::RunInThreads(2, [&](int thread) {
    Checkpoints own = Open();
    if (thread == 0) {
      own.PutManifest(second, Soon());
    } else {
      EXPECT_TRUE(own.WaitFor(2, Soon()));
      EXPECT_EQ(own.Latest(Soon()), second);
    }
  });
}

TEST_F(CheckpointsTest, LatestNeverGoesBack) {
  Checkpoints checkpoints = Open();
  const CheckpointManifest first = PutParts(checkpoints, 1);
  const CheckpointManifest second = PutParts(checkpoints, 2);
  const CheckpointManifest third = PutWhole(checkpoints, 3);
  // Invocations that slept through newer checkpoints.
  checkpoints.PutManifest(second, Soon());
  checkpoints.PutManifest(first, Soon());
  EXPECT_EQ(Open().Latest(Soon()), third);
  EXPECT_FALSE(Files().contains("job/1.manifest")) << "nobody would delete it";
}

TEST_F(CheckpointsTest, LatestIsTheHighestOfManyRaisedAtOnce) {
  // However they interleave: it is raised by compare-and-swap.
  for (int64_t round = 0; round < 20; ++round) {
    const std::string job = fmt::format("job{}", round);
    Checkpoints checkpoints = Open(job);
    std::vector<CheckpointManifest> manifests;
    for (int64_t number = 1; number <= 4; ++number) {
      manifests.push_back(PutParts(checkpoints, number, job));
    }
    test::RunInThreads(4, [&](int thread) {
      Open(job).PutManifest(manifests[static_cast<size_t>(thread)], Soon());
    });
    EXPECT_EQ(Open(job).Latest(Soon()), manifests.back());
  }
}

TEST_F(CheckpointsTest, AManifestThatStandsIsNotReplaced) {
  // Two invocations of rank 0, each with parts of its own: the others know those of the first.
  Checkpoints one = Open();
  Checkpoints other = Open();
  const CheckpointManifest first = PutParts(one, 1);
  const CheckpointManifest second = PutParts(other, 1);
  EXPECT_NE(first, second);
  one.PutManifest(first, Soon());
  other.PutManifest(second, Soon());
  EXPECT_EQ(Open().Latest(Soon()), first);
}

TEST_F(CheckpointsTest, AnotherJobsStateIsNotTaken) {
  Checkpoints mine = Open();
  PutWhole(mine, 1);
  Checkpoints foreign = Open("another");
  EXPECT_EQ(foreign.Latest(Soon()), std::nullopt);
  EXPECT_EQ(CodeOf([&] {
              std::string warning;
              foreign.Settle(Soon(), &warning);
            }),
            ErrorCode::kNotFound);
  EXPECT_EQ(Checkpoints::JobIn(folder_.path(), Soon()), "job");
  // A file of another job under this one's name.
  std::filesystem::create_directories(folder_.path() + "/another");
  Write("another/1.manifest", Files().at("job/1.manifest"));
  Write("latest", "another 1");
  EXPECT_EQ(CodeOf([&] { foreign.Latest(Soon()); }), ErrorCode::kCorrupt);
}

TEST_F(CheckpointsTest, OneOfANewerFormatIsRefusedNamingTheVersions) {
  Checkpoints checkpoints = Open();
  PutWhole(checkpoints, 1);
  std::string text = Files().at("job/1.manifest");
  const std::string version = "\"version\": 1";
  const size_t at = text.find(version);
  ASSERT_NE(at, std::string::npos) << text;
  Write("job/1.manifest", text.replace(at, version.size(), "\"version\": 7"));
  try {
    checkpoints.Latest(Soon());
    ADD_FAILURE() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_THAT(error.message(), HasSubstr("version 7, this program reads 1"));
  }
}

TEST_F(CheckpointsTest, TheLastTwoAreKeptAndADamagedOneGivesWayToTheOneBefore) {
  Checkpoints checkpoints = Open();
  const CheckpointManifest first = PutWhole(checkpoints, 1);
  const CheckpointManifest second = PutWhole(checkpoints, 2);
  PutWhole(checkpoints, 3);
  for (int64_t rank = 0; rank < kRanks; ++rank) checkpoints.Delete(first, rank, Soon());
  for (const auto& [name, bytes] : Files()) {
    EXPECT_TRUE(name == "latest" || name.starts_with("job/2.") || name.starts_with("job/3."))
        << name;
  }
  std::filesystem::remove(folder_.path() + "/job/3.manifest");
  std::string warning;
  EXPECT_EQ(Open().Settle(Soon(), &warning), second);
  EXPECT_THAT(warning, HasSubstr("going on from the checkpoint before it"));
  EXPECT_EQ(Open().Latest(Soon()), second);
}

// Whatever byte of whatever file is changed or missing: a job that is resumed goes on from a whole
// checkpoint with the options that it had, or is told why not.
TEST_F(CheckpointsTest, ADamagedByteAnywhereNeverGoesUnnoticed) {
  Checkpoints checkpoints = Open();
  checkpoints.PutJob(kJob, Soon());
  const std::vector<CheckpointManifest> whole = {PutWhole(checkpoints, 1),
                                                 PutWhole(checkpoints, 2)};
  base::Random random(3);
  for (const auto& [name, bytes] : Files()) {
    for (size_t i = 0; i <= bytes.size(); ++i) {
      std::string damaged = bytes;
      if (i == bytes.size()) {
        damaged.resize(random.Below(bytes.size()));
      } else {
        damaged[i] = static_cast<char>(damaged[i] ^ (1 << random.Below(8)));
      }
      Write(name, damaged);
      SCOPED_TRACE(fmt::format("{}, byte {} of {}: {}", name, i, bytes.size(), damaged));
      try {
        Checkpoints resumed = Open(Checkpoints::JobIn(folder_.path(), Soon()));
        EXPECT_EQ(resumed.Job(Soon()), kJob);
        std::string warning;
        const CheckpointManifest manifest = resumed.Settle(Soon(), &warning);
        EXPECT_THAT(manifest, AnyOf(Eq(whole[0]), Eq(whole[1])));
        ExpectWhole(resumed, manifest);
      } catch (const base::Error& error) {
        EXPECT_THAT(error.code(),
                    AnyOf(ErrorCode::kCorrupt, ErrorCode::kNotFound, ErrorCode::kInvalidArgument))
            << error.message();
      }
      Write(name, bytes);
      Write("latest", "job 2");  // Settle may have gone back
      if (HasFailure()) return;
    }
  }
}

TEST_F(CheckpointsTest, ADamagedPartIsRefusedNamingIt) {
  Checkpoints checkpoints = Open();
  const CheckpointManifest manifest = PutWhole(checkpoints, 1);
  Write("job/" + manifest.ranks[1].name, "short");
  EXPECT_NO_THROW(checkpoints.Rank(manifest, 0, Soon()));
  EXPECT_EQ(CodeOf([&] { checkpoints.Rank(manifest, 1, Soon()); }), ErrorCode::kCorrupt);
  EXPECT_EQ(CodeOf([&] { checkpoints.Rank(manifest, 7, Soon()); }), ErrorCode::kCorrupt);
  std::filesystem::remove(folder_.path() + "/job/" + manifest.ranks[1].name);
  EXPECT_EQ(CodeOf([&] { checkpoints.Rank(manifest, 1, Soon()); }), ErrorCode::kNotFound);
}

TEST_F(CheckpointsTest, DeleteAllLeavesOtherJobsAlone) {
  Checkpoints old = Open("old");
  const CheckpointManifest kept = PutParts(old, 1, "old");
  old.PutManifest(kept, Soon());
  Checkpoints checkpoints = Open();
  checkpoints.PutJob(kJob, Soon());
  PutWhole(checkpoints, 1);
  checkpoints.PutAsync(0, base::AsBytes("state"), Soon());
  EXPECT_EQ(checkpoints.Async(0, Soon())->text(), "state");
  old.DeleteAll(Soon());
  EXPECT_EQ(checkpoints.Job(Soon()), kJob);
  EXPECT_TRUE(checkpoints.HasState(Soon()));
  checkpoints.DeleteAll(Soon());
  EXPECT_THAT(Files(), IsEmpty());
}

}  // namespace
}  // namespace lambdaml::train
