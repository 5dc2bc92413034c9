#include "lambdaml/train/metrics_log.h"

#include <chrono>
#include <cstdio>
#include <string>

#include "lambdaml/report/embedded_metrics.h"
#include "lambdaml/train/job_record.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {

MetricsLog::MetricsLog(const wire::Job& job, const comm::Channel& channel, const Peers& peers)
    : job_(job),
      channel_(channel),
      peers_(peers),
      stats_(peers.stats()),
      counters_(channel.counters()) {}

void MetricsLog::Write(const report::EpochRecord& record) {
  if (job_.metrics != wire::MetricsKind::kCloudWatch) return;
  const comm::CommStats stats = peers_.stats();
  const store::Counters counters = channel_.counters();
  report::WorkerMetrics metrics = {
      .time_epoch_ms = NowEpochMs(),
      .model = std::string(wire::NameOf(job_.model)),
      .job_id = job_.job_id,
      .rank = job_.worker_index,
      .generation = job_.generation,
      .attempt = job_.attempt,
      .epoch = record.epoch,
      .epoch_seconds = record.seconds,
      .bytes_read = counters.bytes_read - counters_.bytes_read,
      .bytes_written = counters.bytes_written - counters_.bytes_written};
  if (job_.worker_index == 0) {
    metrics.loss = record.loss;
    metrics.accuracy = record.accuracy;
  }
  if (stats.rounds > stats_.rounds) {
    const double seconds = base::Seconds(stats.communicating - stats_.communicating);
    metrics.round_ms = 1000 * seconds / static_cast<double>(stats.rounds - stats_.rounds);
  }
  stats_ = stats;
  counters_ = counters;
  const std::string line = report::ToEmbeddedMetrics(metrics) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

}  // namespace lambdaml::train
