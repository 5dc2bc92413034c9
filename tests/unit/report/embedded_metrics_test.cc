// The shape of the lines against the specification: Amazon CloudWatch user guide, "Specification:
// Embedded metric format".
#include "lambdaml/report/embedded_metrics.h"

#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <string>

#include "lambdaml/base/json.h"

namespace lambdaml::report {
namespace {

const std::set<std::string> kUnits = {"Seconds",
                                      "Microseconds",
                                      "Milliseconds",
                                      "Bytes",
                                      "Kilobytes",
                                      "Megabytes",
                                      "Gigabytes",
                                      "Terabytes",
                                      "Bits",
                                      "Kilobits",
                                      "Megabits",
                                      "Gigabits",
                                      "Terabits",
                                      "Percent",
                                      "Count",
                                      "Bytes/Second",
                                      "Kilobytes/Second",
                                      "Megabytes/Second",
                                      "Gigabytes/Second",
                                      "Terabytes/Second",
                                      "Bits/Second",
                                      "Kilobits/Second",
                                      "Megabits/Second",
                                      "Gigabits/Second",
                                      "Terabits/Second",
                                      "Count/Second",
                                      "None"};

WorkerMetrics Sample() {
  return {.time_epoch_ms = 1574109732004,
          .model = "lr",
          .job_id = "lambdaml-1",
          .rank = 2,
          .generation = 3,
          .attempt = 1,
          .epoch = 7,
          .loss = 0.25,
          .accuracy = 0.875,
          .epoch_seconds = 1.5,
          .round_ms = 12.5,
          .bytes_read = 4096,
          .bytes_written = 1024};
}

std::set<std::string> MetricsOf(const base::Json& line) {
  std::set<std::string> names;
  for (const base::Json& metric :
       line.At("_aws").At("CloudWatchMetrics").AsArray().at(0).At("Metrics").AsArray()) {
    names.insert(metric.At("Name").AsString());
  }
  return names;
}

TEST(EmbeddedMetrics, EveryLineHasTheShapeThatCloudWatchSpecifies) {
  const std::string text = ToEmbeddedMetrics(Sample());
  EXPECT_EQ(text.find('\n'), text.npos) << "an event is one line";
  const base::Json line = base::Json::Parse(text, "line");
  const base::Json& metadata = line.At("_aws");
  EXPECT_EQ(metadata.AsObject().size(), 2U) << "no members but those of the specification";
  EXPECT_EQ(metadata.At("Timestamp").AsInteger(), 1574109732004);
  for (const base::Json& directive : metadata.At("CloudWatchMetrics").AsArray()) {
    EXPECT_EQ(directive.AsObject().size(), 3U);
    const std::string& name_space = directive.At("Namespace").AsString();
    EXPECT_TRUE(!name_space.empty() && name_space.size() <= 1024);
    for (const base::Json& set : directive.At("Dimensions").AsArray()) {
      EXPECT_LE(set.AsArray().size(), 30U);
      for (const base::Json& dimension : set.AsArray()) {
        const std::string& value = line.At(dimension.AsString()).AsString();
        EXPECT_TRUE(!value.empty() && value.size() <= 1024);
      }
    }
    const base::Json::Array& metrics = directive.At("Metrics").AsArray();
    EXPECT_TRUE(!metrics.empty() && metrics.size() <= 100);
    for (const base::Json& metric : metrics) {
      EXPECT_TRUE(kUnits.contains(metric.At("Unit").AsString()));
      EXPECT_TRUE(line.At(metric.At("Name").AsString()).is_number());
    }
  }
}

TEST(EmbeddedMetrics, LossAccuracyTimesAndBytesAreMetrics) {
  const base::Json line = base::Json::Parse(ToEmbeddedMetrics(Sample()), "line");
  EXPECT_EQ(MetricsOf(line), (std::set<std::string>{"Loss", "Accuracy", "EpochTime", "RoundTime",
                                                    "BytesRead", "BytesWritten"}));
  EXPECT_EQ(line.At("Loss").AsNumber(), 0.25);
  EXPECT_EQ(line.At("RoundTime").AsNumber(), 12.5);
  EXPECT_EQ(line.At("BytesRead").AsNumber(), 4096);
  EXPECT_EQ(line.At("Job").AsString(), "lambdaml-1");
  EXPECT_EQ(line.At("Epoch").AsInteger(), 7);
}

TEST(EmbeddedMetrics, WhatIsNotMeasuredOrNotFiniteIsLeftOut) {
  WorkerMetrics metrics = Sample();
  metrics.loss = std::numeric_limits<double>::quiet_NaN();
  metrics.accuracy.reset();
  metrics.round_ms.reset();
  const base::Json line = base::Json::Parse(ToEmbeddedMetrics(metrics), "line");
  EXPECT_EQ(MetricsOf(line), (std::set<std::string>{"EpochTime", "BytesRead", "BytesWritten"}));
  EXPECT_EQ(line.Find("Loss"), nullptr);
}

}  // namespace
}  // namespace lambdaml::report
