// What a worker measures in an epoch, as a line of its log from which CloudWatch makes metrics: the
// embedded metric format (Amazon CloudWatch user guide, "Specification: Embedded metric format").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lambdaml::report {

struct WorkerMetrics {
  int64_t time_epoch_ms = 0;
  std::string model;  // "lr", …: the metrics' only dimension
  std::string
      job_id;  // this and the next four can be searched for, but cost no metric of their own
  int64_t rank = 0;
  int64_t generation = 0;
  int64_t attempt = 1;
  int64_t epoch = 0;

  std::optional<double> loss = {};  // of all ranks together, from one of them
  std::optional<double> accuracy = {};
  double epoch_seconds = 0;
  std::optional<double> round_ms = {};  // mean of the epoch's rounds, waiting included
  uint64_t bytes_read = 0;              // from the channel, in this epoch
  uint64_t bytes_written = 0;
};

// One line of JSON, without its end. A number that is not finite is left out, as the format has
// none.
std::string ToEmbeddedMetrics(const WorkerMetrics& metrics);

}  // namespace lambdaml::report
