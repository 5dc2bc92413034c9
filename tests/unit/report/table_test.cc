#include "lambdaml/report/table.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace lambdaml::report {
namespace {

using testing::HasSubstr;

TEST(EpochTableTest, ShowsWhatEveryRunMeasures) {
  const EpochRecord record = {.epoch = 1, .loss = 0.693147, .seconds = 0.0123, .sync_share = 0.344};
  const EpochTable table(record);
  EXPECT_EQ(table.Header(), "epoch         loss   seconds   sync");
  EXPECT_EQ(table.Line(record), "    1     0.693147     0.012   34 %");
}

TEST(EpochTableTest, AddsAColumnForEachThingMeasured) {
  const EpochRecord record = {.epoch = 12,
                              .loss = 0.5,
                              .accuracy = 0.8481,
                              .valid_loss = 0.25,
                              .valid_accuracy = 1,
                              .seconds = 123.4567,
                              .sync_share = 1,
                              .extra = {{"primal_residual", 0.00123456}, {"rho", 2}}};
  const EpochTable table(record);
  EXPECT_EQ(table.Header(),
            "epoch         loss   accuracy   valid loss  valid acc  primal_residual         rho"
            "   seconds   sync");
  EXPECT_EQ(table.Line(record),
            "   12     0.500000    84.81 %     0.250000   100.00 %         0.001235           2"
            "   123.457  100 %");
}

TEST(EpochTableTest, ADashStandsForWhatALaterEpochDidNotMeasure) {
  const EpochTable table({.accuracy = 0.5, .valid_loss = 1, .extra = {{"rho", 1}}});
  EXPECT_EQ(table.Line({.epoch = 2, .loss = 1}),
            "    2     1.000000          -            -           -     0.000    0 %");
}

TEST(EpochTableTest, LossesOfAnySizeStayInTheirColumn) {
  const EpochTable table({});
  for (const double loss : {0.0, 1e-9, 0.001, 1.0, 999.9999999, 1000.0, 1e300, -1e300, std::nan(""),
                            std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(table.Line({.loss = loss}).size(), table.Header().size()) << loss;
  }
  EXPECT_EQ(table.Line({.loss = 1.5e-9}), "    0    1.500e-09     0.000    0 %");
}

TEST(EpochTableTest, AnInertiaHasItsNameAndItsDigits) {
  const EpochRecord record = {.epoch = 3,
                              .objective = Objective::kInertia,
                              .loss = 97507.395467,
                              .seconds = 0.5,
                              .extra = {{"movement", 0.00123456}, {"changed", 123456}}};
  const EpochTable table(record);
  EXPECT_EQ(table.Header(), "epoch         inertia    movement     changed   seconds   sync");
  EXPECT_EQ(table.Line(record), "    3       97507.395    0.001235      123456     0.500    0 %");
  for (const double inertia : {0.0, 1e-9, 0.5, 389420.671917, 999999999.0, 1e9, 1e300}) {
    EXPECT_EQ(table.Line({.objective = Objective::kInertia, .loss = inertia}).size(),
              table.Header().size())
        << inertia;
  }
}

TEST(ProgressTest, ShowsBarEpochLossAndTimeLeft) {
  EXPECT_EQ(
      FormatProgress(
          {.epoch = 2, .n_epochs = 10, .epoch_share = 0.5, .loss = 0.5, .elapsed_seconds = 5}, 100),
      "\r\x1b[K[=====               ] epoch 3/10, loss 0.500000, 5.00 s, 15.00 s left");
}

TEST(ProgressTest, ShowsInertiaWhereThatIsTheObjective) {
  EXPECT_EQ(FormatProgress({.epoch = 1,
                            .n_epochs = 2,
                            .objective = Objective::kInertia,
                            .loss = 12.5,
                            .elapsed_seconds = 1},
                           100),
            "\r\x1b[K[==========          ] epoch 2/2, inertia 12.500000, 1.00 s, 1.00 s left");
}

TEST(ProgressTest, SaysNothingOfTheTimeLeftBeforeTheStartAndAfterTheEnd) {
  EXPECT_EQ(FormatProgress({.n_epochs = 10}, 100),
            "\r\x1b[K[                    ] epoch 1/10, 0.0 ms");
  EXPECT_EQ(FormatProgress({.epoch = 10, .n_epochs = 10, .elapsed_seconds = 2}, 100),
            "\r\x1b[K[====================] epoch 10/10, 2.00 s");
}

TEST(ProgressTest, NeverReachesTheLastColumn) {
  const Progress progress = {.epoch = 2, .n_epochs = 10, .loss = 1, .elapsed_seconds = 5};
  EXPECT_EQ(FormatProgress(progress, 31), "\r\x1b[K[====                ] epoch 3");
  EXPECT_EQ(FormatProgress(progress, 1), "\r\x1b[K");
  EXPECT_EQ(FormatProgress(progress, 0), "\r\x1b[K");
}

TEST(ProgressTest, WithoutEpochsThereIsNoShare) {
  EXPECT_EQ(FormatProgress({}, 100), "\r\x1b[K[                    ] epoch 0/0, 0.0 ms");
}

TEST(ProgressTest, ClearingErasesTheLine) { EXPECT_EQ(ClearProgress(), "\r\x1b[K"); }

RunSummary SmallSummary() {
  RunSummary summary;
  summary.model = "lr";
  summary.optim = "grad_avg";
  summary.sync_mode = "reduce";
  summary.regularizer = "l2";
  summary.lambda = 1e-6;
  summary.platform = "local";
  summary.worker_count = 4;
  summary.rows = 1'000'000;
  summary.n_features = 28;
  summary.epochs = 10;
  summary.stopped_by = "n_epochs";
  summary.loss = 0.340967;
  summary.accuracy = 0.848148;
  summary.wall_seconds = 1.24;
  summary.time = {.startup_seconds = 0.021,
                  .load_seconds = 0.004,
                  .compute_seconds = 0.3,
                  .synchronise_seconds = 0.12};
  summary.invocations = 4;
  summary.memory_mb = 1769;
  summary.billed_ms = 1984;
  summary.gb_seconds = 3.42743;
  summary.services = {{.service = "file",
                       .get_requests = 1234,
                       .put_requests = 400,
                       .bytes_read = 1'200'000,
                       .bytes_written = 400'000}};
  summary.cost = {{"lambda", 0.0000579}, {"file", 0}};
  summary.prices_as_of = "2025-07-01";
  summary.prices_region = "us-east-1";
  summary.model_path = "heart.model";
  return summary;
}

TEST(SummaryTest, TellsResultTimeUseCostAndModel) {
  EXPECT_EQ(FormatSummary(SmallSummary()),
            "lr trained with grad_avg, 4 workers (reduce), on 1,000,000 rows of 28 features\n"
            "  epochs      10, ended by n_epochs\n"
            "  training    loss 0.340967, accuracy 84.81 %\n"
            "  penalty     l2, lambda 1e-06, part of the training loss\n"
            "  time        1.24 s in all; a worker, on average: start-up 21 ms, load 4.0 ms, "
            "compute 300 ms, synchronise 120 ms\n"
            "  functions   4 invocations of 1,769 MB, 1.98 s billed, 3.427 GB-s\n"
            "  file        1,234 reads, 400 writes; 1.2 MB read, 400.0 KB written\n"
            "  cost        nothing here; on AWS $0.0000579 (lambda $0.0000579) at "
            "us-east-1 prices of 2025-07-01\n"
            "  model       heart.model\n");
}

TEST(SummaryTest, TellsInertiaAndClustersOfKmeans) {
  RunSummary summary;
  summary.model = "kmeans";
  summary.optim = "lloyd";
  summary.regularizer = "none";
  summary.objective = Objective::kInertia;
  summary.loss = 97507.395467;
  summary.test_loss = 7000.5;
  summary.cluster_sizes = {762, 0, 12345};
  const std::string text = FormatSummary(summary);
  EXPECT_THAT(text, HasSubstr("  training    inertia 97507.395\n"));
  EXPECT_THAT(text, HasSubstr("  test        inertia 7000.5000\n"));
  EXPECT_THAT(text, HasSubstr("  clusters    3 of 762, 0, 12345 rows; 1 empty\n"));
  summary.cluster_sizes.assign(25, 40);
  summary.cluster_sizes[3] = 7;
  summary.cluster_sizes[4] = 12345;
  EXPECT_THAT(FormatSummary(summary), HasSubstr("  clusters    25 of 7 to 12,345 rows\n"));
}

TEST(SummaryTest, TellsValidationTestAndExtraNumbersWhenMeasured) {
  RunSummary summary = SmallSummary();
  summary.accuracy.reset();
  summary.valid_loss = 0.36;
  summary.valid_accuracy = 0.8333;
  summary.test_loss = 0.35;
  summary.extra = {{"primal_residual", 0.0012345678}};
  summary.worker_count = 1;
  summary.invocations = 1;
  summary.services[0].list_requests = 2;
  summary.services[0].delete_requests = 3000;
  summary.regularizer = "none";
  summary.platform = "aws";
  EXPECT_EQ(FormatSummary(summary),
            "lr trained with grad_avg, 1 worker (reduce), on 1,000,000 rows of 28 features\n"
            "  epochs      10, ended by n_epochs\n"
            "  training    loss 0.340967\n"
            "  validation  loss 0.360000, accuracy 83.33 %\n"
            "  test        loss 0.350000\n"
            "  primal_residual 0.00123457\n"
            "  time        1.24 s in all; a worker, on average: start-up 21 ms, load 4.0 ms, "
            "compute 300 ms, synchronise 120 ms\n"
            "  functions   1 invocation of 1,769 MB, 1.98 s billed, 3.427 GB-s\n"
            "  file        1,234 reads, 400 writes, 2 lists, 3,000 deletes; 1.2 MB read, 400.0 KB "
            "written\n"
            "  cost        $0.0000579 (lambda $0.0000579) at us-east-1 prices of "
            "2025-07-01\n"
            "  model       heart.model\n");
}

TEST(SummaryTest, TellsRetriesUnitsAndWaiting) {
  RunSummary summary = SmallSummary();
  summary.services = {{.service = "dynamodb",
                       .get_requests = 20,
                       .put_requests = 10,
                       .bytes_read = 2000,
                       .bytes_written = 1000,
                       .retries = 3,
                       .read_units = 40,
                       .write_units = 1050,
                       .waiting_seconds = 1.5}};
  EXPECT_THAT(
      FormatSummary(summary),
      HasSubstr("  dynamodb    20 reads, 10 writes, 3 retries; 2.0 KB read, 1.0 KB written; "
                "40 read units, 1,050 write units; waited 1.50 s in all\n"));
}

TEST(SummaryTest, SaysThatACacheWhoseNodesAreNotKnownIsNotCounted) {
  RunSummary summary = SmallSummary();
  summary.cost.push_back({.service = "redis", .is_counted = false});
  EXPECT_THAT(FormatSummary(summary),
              HasSubstr("on AWS $0.0000579 (lambda $0.0000579, redis: node-hours not counted, give "
                        "--cache_node TYPE) at us-east-1"));
}

}  // namespace
}  // namespace lambdaml::report
