// Tables of the DynamoDB store: made on request, shared, deleted only by who made them.
#include <atomic>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/store/dynamodb_store.h"

#include "support/processes.h"
#include "support/servers/dynamodb_server.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::Deadline;
using base::ErrorCode;
using testing::AllOf;
using testing::HasSubstr;
using Keys = std::vector<std::string>;

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

class DynamoDbTablesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!DynamoDbServer::IsInstalled()) GTEST_SKIP() << DynamoDbServer::kMissing;
    table_ = DynamoDbServer::NewTable();
  }

  std::unique_ptr<store::DynamoDbStore> Open(const std::string& parameters = "") const {
    return OpenDynamoDb(DynamoDbServer::Shared().Url(table_, parameters));
  }

  bool TableExists() const {
    try {
      Open()->List("", Soon());
    } catch (const base::Error& error) {
      if (error.code() == ErrorCode::kNotFound) return false;
      throw;
    }
    return true;
  }

  std::string table_;
};

TEST_F(DynamoDbTablesTest, AMissingTableIsAnErrorThatSaysHowToCreateIt) {
  const auto store = Open();
  const std::vector<std::function<void()>> calls = {
      [&] { store->Prepare(Soon()); },
      [&] { store->Get("key", Soon()); },
      [&] { store->Put("key", {}, Soon()); },
      [&] {
        store->PutAll(std::vector<store::KeyValue>{{"key", {}}}, Soon());
      },
      [&] { store->Wait("key", Soon()); },
      [&] { store->Delete(Keys{"key"}, Soon()); },
      [&] { store->List("", Soon()); }};
  for (size_t i = 0; i < calls.size(); ++i) {
    try {
      calls[i]();
      ADD_FAILURE() << i;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNotFound) << i;
      EXPECT_THAT(error.message(),
                  AllOf(HasSubstr("there is no such table in us-east-1"), HasSubstr("create=true"),
                        HasSubstr("create-table"), HasSubstr("AttributeName=key,KeyType=HASH"),
                        HasSubstr("--table-name " + table_)))
          << i;
    }
  }
}

TEST_F(DynamoDbTablesTest, AKeyOfAnotherNameIsAnErrorThatNamesTheColumn) {
  const auto owner = Open("&create=true&key_col=id");
  owner->Prepare(Soon());
  owner->Put("key", AsBytes("value"), Soon());
  EXPECT_EQ(Open("&key_col=id")->Get("key", Soon())->text(), "value");
  const auto wrong = Open("&create=true");
  for (const std::function<void()>& call : std::vector<std::function<void()>>{
           [&] { wrong->Prepare(Soon()); }, [&] { wrong->Get("key", Soon()); },
           [&] { wrong->Put("key", {}, Soon()); }, [&] { wrong->Wait("key", Soon()); },
           [&] {
             wrong->PutAll(std::vector<store::KeyValue>{{"key", {}}}, Soon());
           }}) {
    try {
      call();
      ADD_FAILURE();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.message(), HasSubstr("key_col"));
    }
  }
  owner->TearDown("", Soon());
}

TEST_F(DynamoDbTablesTest, WhoMadeATableDeletesIt) {
  const auto owner = Open("&create=true");
  owner->Prepare(Soon());
  EXPECT_TRUE(TableExists());
  const auto worker = Open("&create=true");
  worker->Put("job/all/1.0", AsBytes("x"), Soon());
  owner->TearDown("job/", Soon());
  EXPECT_FALSE(TableExists());
  EXPECT_EQ(owner->counters().write_units, 0U);  // its items went for nothing
}

TEST_F(DynamoDbTablesTest, WhoFoundATableLeavesItAndDeletesItsOwnKeys) {
  Open("&create=true")->Prepare(Soon());
  const auto guest = Open("&create=true");
  guest->Prepare(Soon());
  guest->Put("job1/x", AsBytes("x"), Soon());
  guest->Put("job2/x", AsBytes("x"), Soon());
  guest->TearDown("job1/", Soon());
  EXPECT_EQ(Open()->List("", Soon()), Keys{"job2/x"});
}

TEST_F(DynamoDbTablesTest, ATableThatOthersUseByNowStays) {
  const auto owner = Open("&create=true");
  owner->Prepare(Soon());
  owner->Put("job1/x", AsBytes("x"), Soon());
  Open()->Put("job2/x", AsBytes("x"), Soon());
  owner->TearDown("job1/", Soon());
  EXPECT_EQ(Open()->List("", Soon()), Keys{"job2/x"});
}

TEST_F(DynamoDbTablesTest, ATableThatIsGoneHoldsNothingToTearDown) {
  const auto owner = Open("&create=true");
  owner->Prepare(Soon());
  owner->TearDown("job/", Soon());
  owner->TearDown("job/", Soon());
  Open()->TearDown("job/", Soon());
  EXPECT_FALSE(TableExists());
}

TEST_F(DynamoDbTablesTest, OfThoseWhoMakeATableAtOnceOneOwnsIt) {
  std::vector<std::unique_ptr<store::DynamoDbStore>> stores;
  for (int i = 0; i < 6; ++i) stores.push_back(Open("&create=true"));
  RunInThreads(6, [&](int i) {
    stores[static_cast<size_t>(i)]->Prepare(Soon());
    stores[static_cast<size_t>(i)]->Put(fmt::format("{}/x", i), AsBytes("x"), Soon());
  });
  // The owner's table would go with the last key.
  for (auto& store : stores) store->DeletePrefix("", Soon());
  int deleted = 0;
  for (auto& store : stores) {
    const bool before = TableExists();
    if (before) store->TearDown("", Soon());
    if (before && !TableExists()) ++deleted;
  }
  EXPECT_EQ(deleted, 1);
}

}  // namespace
}  // namespace lambdaml::test
