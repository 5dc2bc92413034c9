#include "lambdaml/ps/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"

namespace lambdaml::ps {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class JournalTest : public ::testing::Test {
 protected:
  // Opens the journal and notes the rounds of its records.
  Journal Open() {
    rounds_.clear();
    bodies_.clear();
    return {path_, [this](const Record& record, const BodyPlace&) {
              rounds_.push_back(record.round);
              bodies_.emplace_back(base::AsText(record.body));
            }};
  }
  static Record ResultOf(uint64_t round, std::string_view body) {
    return {.kind = RecordKind::kResult,
            .generation = 3,
            .round = round,
            .slice = 1,
            .slice_count = 2,
            .body = base::AsBytes(body)};
  }

  base::TemporaryDirectory directory_{::testing::TempDir(), "ps_journal_"};
  std::string path_ = directory_.path() + "/a.job";
  std::vector<uint64_t> rounds_;
  std::vector<std::string> bodies_;
};

TEST_F(JournalTest, WhatWasAppendedIsThereAfterReopening) {
  {
    Journal journal = Open();
    EXPECT_THAT(rounds_, IsEmpty());
    const BodyPlace first = journal.Append(ResultOf(1, "one"));
    journal.Append(ResultOf(2, ""));
    journal.Append(ResultOf(UINT64_MAX, std::string(100'000, 'x')));
    EXPECT_EQ(journal.Read(first).text(), "one");
  }
  Journal journal = Open();
  EXPECT_THAT(rounds_, ElementsAre(1, 2, UINT64_MAX));
  EXPECT_THAT(bodies_, ElementsAre("one", "", std::string(100'000, 'x')));
  const BodyPlace place = journal.Append(ResultOf(4, "four"));
  EXPECT_EQ(journal.Read(place).text(), "four");
}

TEST_F(JournalTest, AnInterruptedWriteIsCutOffWhereverItEnds) {
  {
    Journal journal = Open();
    journal.Append(ResultOf(1, "one"));
    journal.Append(ResultOf(2, "two"));
  }
  const base::Blob whole = base::Blob::Copy(base::MapFile(path_).span());
  for (size_t size = 0; size < whole.size(); ++size) {
    base::WriteFileAtomic(path_, whole.span().first(size));
    Journal journal = Open();
    const size_t record_size = whole.size() / 2;
    EXPECT_EQ(rounds_.size(), size / record_size) << size;
    EXPECT_EQ(journal.size_bytes(), size / record_size * record_size);
    journal.Append(ResultOf(3, "three"));
    Open();
    EXPECT_EQ(rounds_.back(), 3U);
  }
}

TEST_F(JournalTest, NoDamagedByteGoesUnnoticed) {
  {
    Journal journal = Open();
    journal.Append(ResultOf(1, "one"));
    journal.Append(ResultOf(2, "two"));
  }
  const base::Blob whole = base::Blob::Copy(base::MapFile(path_).span());
  base::Random random(1);
  for (size_t position = 0; position < whole.size(); ++position) {
    base::Bytes damaged(whole.span().begin(), whole.span().end());
    damaged[position] ^= static_cast<std::byte>(1 + random.Below(255));
    base::WriteFileAtomic(path_, damaged);
    Open();
    EXPECT_EQ(rounds_.size(), position < whole.size() / 2 ? 0U : 1U) << position;
  }
}

TEST_F(JournalTest, GarbageIsAnEmptyJournal) {
  base::Random random(2);
  for (int i = 0; i < 200; ++i) {
    base::Bytes garbage(random.Below(500));
    for (std::byte& byte : garbage) byte = static_cast<std::byte>(random.Below(256));
    base::WriteFileAtomic(path_, garbage);
    EXPECT_EQ(Open().size_bytes(), 0U);
    EXPECT_THAT(rounds_, IsEmpty());
  }
}

TEST_F(JournalTest, IsReplacedAsAWholeOrNotAtAll) {
  Journal journal = Open();
  journal.Append(ResultOf(1, "one"));
  EXPECT_THROW(journal.Replace([](Journal& fresh) {
    fresh.Append(ResultOf(8, "eight"));
    throw base::Error(base::ErrorCode::kResourceExhausted, "disk full");
  }),
               base::Error);
  Open();
  EXPECT_THAT(rounds_, ElementsAre(1));
  BodyPlace place;
  journal.Replace([&](Journal& fresh) { place = fresh.Append(ResultOf(9, "nine")); });
  EXPECT_EQ(journal.Read(place).text(), "nine");
  journal.Append(ResultOf(10, "ten"));
  Open();
  EXPECT_THAT(rounds_, ElementsAre(9, 10));
  journal.Remove();
  EXPECT_FALSE(base::FileExists(path_));
}

}  // namespace
}  // namespace lambdaml::ps
