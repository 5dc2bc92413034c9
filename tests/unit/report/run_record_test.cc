#include "lambdaml/report/run_record.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::report {
namespace {

using base::Json;

EpochRecord FullEpoch() {
  return {.epoch = 3,
          .loss = 0.25,
          .accuracy = 0.875,
          .valid_loss = 0.5,
          .valid_accuracy = 0.75,
          .seconds = 1.5,
          .sync_share = 0.125,
          .extra = {{"primal_residual", 0.01}, {"dual_residual", 2}}};
}

RunSummary FullSummary() {
  RunSummary summary;
  summary.model = "lr";
  summary.optim = "admm";
  summary.sync_mode = "reduce_scatter";
  summary.regularizer = "l1";
  summary.lambda = 0.25;
  summary.platform = "local";
  summary.channel = "file:///tmp/job";
  summary.worker_count = 4;
  summary.rows = 1000;
  summary.n_features = 28;
  summary.epochs = 10;
  summary.stopped_by = "convergence";
  summary.loss = 0.5;
  summary.accuracy = 0.75;
  summary.valid_loss = 0.625;
  summary.valid_accuracy = 0.5;
  summary.test_loss = 1;
  summary.test_accuracy = 0.25;
  summary.extra = {{"objective", 0.75}};
  summary.wall_seconds = 2.5;
  summary.time = {.startup_seconds = 0.125,
                  .load_seconds = 0.25,
                  .compute_seconds = 1,
                  .synchronise_seconds = 0.5};
  summary.invocations = 4;
  summary.generations = 3;
  summary.restarts = 2;
  summary.memory_mb = 1769;
  summary.billed_ms = 8000;
  summary.gb_seconds = 13.5;
  summary.services = {{.service = "file",
                       .get_requests = 1,
                       .put_requests = 2,
                       .list_requests = 3,
                       .delete_requests = 4,
                       .bytes_read = 5,
                       .bytes_written = 6,
                       .retries = 7,
                       .read_units = 8,
                       .write_units = 9,
                       .waiting_seconds = 0.5}};
  summary.cost = {{"lambda", 0.5}, {"file", 0.25}, {"redis", 0, false}};
  summary.prices_as_of = "2001-02-03";
  summary.prices_region = "here";
  summary.model_path = "a.model";
  return summary;
}

TEST(RunRecordTest, AnEpochIsOneJsonLineWithStableKeys) {
  EXPECT_EQ(ToJson(FullEpoch()).Dump(),
            R"({"event":"epoch","epoch":3,"loss":0.25,"accuracy":0.875,"valid_loss":0.5,)"
            R"("valid_accuracy":0.75,"seconds":1.5,"sync_share":0.125,)"
            R"("extra":{"primal_residual":0.01,"dual_residual":2}})");
}

TEST(RunRecordTest, WhatWasNotMeasuredIsLeftOut) {
  EXPECT_EQ(ToJson(EpochRecord{.epoch = 1, .loss = 2, .seconds = 0.5}).Dump(),
            R"({"event":"epoch","epoch":1,"loss":2,"seconds":0.5,"sync_share":0})");
}

TEST(RunRecordTest, ASummaryIsOneJsonLineWithStableKeys) {
  EXPECT_EQ(ToJson(FullSummary()).Dump(),
            R"({"event":"summary","model":"lr","optim":"admm","sync_mode":"reduce_scatter",)"
            R"("regularizer":"l1","lambda":0.25,)"
            R"("platform":"local","channel":"file:///tmp/job","n_workers":4,"rows":1000,)"
            R"("n_features":28,"epochs":10,"stopped_by":"convergence","loss":0.5,"accuracy":0.75,)"
            R"("valid_loss":0.625,"valid_accuracy":0.5,"test_loss":1,"test_accuracy":0.25,)"
            R"("extra":{"objective":0.75},"wall_seconds":2.5,)"
            R"("seconds":{"startup":0.125,"load":0.25,"compute":1,"synchronise":0.5},)"
            R"("invocations":4,"generations":3,"restarts":2,"memory_mb":1769,)"
            R"("billed_ms":8000,"gb_seconds":13.5,)"
            R"("services":[{"service":"file","get_requests":1,"put_requests":2,"list_requests":3,)"
            R"("delete_requests":4,"bytes_read":5,"bytes_written":6,"retries":7,"read_units":8,)"
            R"("write_units":9,"waiting_seconds":0.5}],"dollars":0.75,)"
            R"("cost":[{"service":"lambda","dollars":0.5},{"service":"file","dollars":0.25},)"
            R"({"service":"redis","dollars":null}],)"
            R"("prices_as_of":"2001-02-03","prices_region":"here","model_path":"a.model"})");
}

TEST(RunRecordTest, AnErrorIsOneJsonLineWithCodeAndMessage) {
  EXPECT_EQ(ToJson(base::Error(base::ErrorCode::kUnavailable, "worker 2 died")).Dump(),
            R"({"event":"error","code":"Unavailable","message":"worker 2 died"})");
}

TEST(RunRecordTest, RecordsReadBackTheSame) {
  const auto again = [](const Json& json) { return Json::Parse(json.Dump(), "log"); };
  EXPECT_EQ(EpochFromJson(again(ToJson(FullEpoch()))), FullEpoch());
  EXPECT_EQ(EpochFromJson(again(ToJson(EpochRecord{}))), EpochRecord{});
  EXPECT_EQ(SummaryFromJson(again(ToJson(FullSummary()))), FullSummary());
  EXPECT_EQ(SummaryFromJson(again(ToJson(RunSummary{}))), RunSummary{});
}

TEST(RunRecordTest, KmeansHasAnInertiaWhereOthersHaveALoss) {
  const EpochRecord epoch = {.epoch = 2,
                             .objective = Objective::kInertia,
                             .loss = 12.5,
                             .seconds = 1,
                             .extra = {{"changed", 3}},
                             .cluster_sizes = {4, 0, 5}};
  EXPECT_EQ(ToJson(epoch).Dump(),
            R"({"event":"epoch","epoch":2,"inertia":12.5,"seconds":1,"sync_share":0,)"
            R"("extra":{"changed":3},"cluster_sizes":[4,0,5]})");
  EXPECT_EQ(EpochFromJson(ToJson(epoch)), epoch);
  RunSummary summary = FullSummary();
  summary.objective = Objective::kInertia;
  summary.cluster_sizes = {1, 2};
  const Json json = ToJson(summary);
  EXPECT_EQ(json.At("inertia").AsNumber(), summary.loss);
  EXPECT_EQ(json.At("test_inertia").AsNumber(), summary.test_loss);
  EXPECT_EQ(json.Find("loss"), nullptr);
  EXPECT_EQ(SummaryFromJson(json), summary);
}

TEST(RunRecordTest, ALossThatIsNotANumberIsNullAndReadsBackAsOne) {
  const EpochRecord record = {.loss = std::numeric_limits<double>::infinity(),
                              .valid_loss = std::nan("")};
  const Json json = ToJson(record);
  EXPECT_EQ(json.Dump(), R"({"event":"epoch","epoch":0,"loss":null,"valid_loss":null,"seconds":0,)"
                         R"("sync_share":0})");
  const EpochRecord again = EpochFromJson(Json::Parse(json.Dump(), "log"));
  EXPECT_TRUE(std::isnan(again.loss));
  EXPECT_TRUE(std::isnan(again.valid_loss.value()));
}

TEST(RunRecordTest, CountsThatOlderProgramsDoNotWriteAreZero) {
  const Json json =
      Json::Parse(R"({"service":"s3","get_requests":1,"put_requests":2,"list_requests":3,)"
                  R"("delete_requests":4,"bytes_read":5,"bytes_written":6})",
                  "log");
  EXPECT_EQ(ServiceUseFromJson(json), (ServiceUse{.service = "s3",
                                                  .get_requests = 1,
                                                  .put_requests = 2,
                                                  .list_requests = 3,
                                                  .delete_requests = 4,
                                                  .bytes_read = 5,
                                                  .bytes_written = 6}));
}

TEST(RunRecordTest, UnknownKeysAreIgnored) {
  Json json = ToJson(FullEpoch());
  json.Set("added_later", 1);
  EXPECT_EQ(EpochFromJson(json), FullEpoch());
}

TEST(RunRecordTest, WhatIsNotSuchARecordIsRefused) {
  EXPECT_THROW(EpochFromJson(ToJson(FullSummary())), base::Error);
  EXPECT_THROW(SummaryFromJson(ToJson(FullEpoch())), base::Error);
  EXPECT_THROW(EpochFromJson(Json::Parse(R"({"event":"epoch"})", "log")), base::Error);
  EXPECT_THROW(EpochFromJson(Json::Parse("[]", "log")), base::Error);
  Json json = ToJson(FullEpoch());
  json.Set("seconds", "soon");
  EXPECT_THROW(EpochFromJson(json), base::Error);
  Json summary = ToJson(FullSummary());
  Json use = summary.At("services").AsArray()[0];
  use.Set("bytes_read", -1);
  summary.Set("services", Json(Json::Array{use}));
  EXPECT_THROW(SummaryFromJson(summary), base::Error);
}

}  // namespace
}  // namespace lambdaml::report
