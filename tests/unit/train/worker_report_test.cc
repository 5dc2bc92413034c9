#include "lambdaml/train/worker_report.h"

#include <gtest/gtest.h>
#include <limits>

#include "lambdaml/base/error.h"

namespace lambdaml::train {
namespace {

WorkerReport MakeReport() {
  WorkerReport report;
  report.rank = 3;
  report.started_epoch_ms = 1'700'000'000'123;
  report.load_seconds = 0.125;
  report.compute_seconds = 1.1;
  report.synchronise_seconds = 2.2;
  report.resident_bytes_max = 5'000'000'000;
  report.rows = 77;
  report.uses = {{.service = "file", .get_requests = 1, .put_requests = 2, .list_requests = 3},
                 {.service = "s3", .delete_requests = 4, .bytes_read = 5, .bytes_written = 6}};
  report.outcome = {.epochs = 9,
                    .stopped_by = "convergence",
                    .loss = 0.1,
                    .accuracy = 0.3,
                    .valid_loss = 0.4,
                    .valid_accuracy = 0.5,
                    .details = {{"primal_residual", 1e-5}, {"dual_residual", 3e-7}},
                    .cluster_sizes = {3, 0, 5}};
  return report;
}

TEST(WorkerReport, SurvivesTheWayToTheTrigger) {
  const WorkerReport report = MakeReport();
  const WorkerReport back =
      WorkerReportFromJson(base::Json::Parse(ToJson(report).Dump(), "response"));
  EXPECT_EQ(back.rank, report.rank);
  EXPECT_EQ(back.started_epoch_ms, report.started_epoch_ms);
  EXPECT_EQ(back.load_seconds, report.load_seconds);
  EXPECT_EQ(back.compute_seconds, report.compute_seconds);
  EXPECT_EQ(back.synchronise_seconds, report.synchronise_seconds);
  EXPECT_EQ(back.resident_bytes_max, report.resident_bytes_max);
  EXPECT_EQ(back.rows, report.rows);
  EXPECT_EQ(back.uses, report.uses);
  EXPECT_EQ(back.outcome, report.outcome);
}

TEST(WorkerReport, ALackingOrWrongMemberIsInvalidData) {
  const base::Json whole = ToJson(MakeReport());
  const auto expect_refusal = [](const base::Json& json) {
    try {
      WorkerReportFromJson(json);
      ADD_FAILURE() << "accepted " << json.Dump();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    }
  };
  for (const auto& [name, value] : whole.AsObject()) {
    base::Json without = base::Json::EmptyObject();
    for (const auto& [key, member] : whole.AsObject()) {
      if (key != name) without.Set(key, member);
    }
    expect_refusal(without);
    base::Json wrong = whole;
    wrong.Set(name, value.is_bool() ? base::Json(7) : base::Json(true));
    expect_refusal(wrong);
  }
}

TEST(WorkerReport, WhatAModelDoesNotMeasureStaysOpen) {
  WorkerReport report;
  report.outcome.loss = 0.5;
  EXPECT_EQ(WorkerReportFromJson(ToJson(report)).outcome, report.outcome);
}

}  // namespace
}  // namespace lambdaml::train
