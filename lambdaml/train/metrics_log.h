// A worker's measurements of each epoch, to its log (--metrics cloudwatch).
#pragma once

#include "lambdaml/comm/channel.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/train/peers.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Threads: one.
class MetricsLog {
 public:
  // All must live as long.
  MetricsLog(const wire::Job& job, const comm::Channel& channel, const Peers& peers);

  // One line on standard output; of loss and accuracy, which are the same everywhere, from rank 0
  // only. Nothing unless the job asks for it.
  void Write(const report::EpochRecord& record);

 private:
  const wire::Job& job_;
  const comm::Channel& channel_;
  const Peers& peers_;
  comm::CommStats stats_;     // as of the epoch before
  store::Counters counters_;  // likewise
};

}  // namespace lambdaml::train
