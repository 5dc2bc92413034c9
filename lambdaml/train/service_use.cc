#include "lambdaml/train/service_use.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "lambdaml/base/clock.h"

namespace lambdaml::train {
namespace {

report::ServiceUse UseOf(std::string_view service, const store::Counters& counters) {
  return {.service = std::string(service),
          .get_requests = counters.get_requests,
          .put_requests = counters.put_requests,
          .list_requests = counters.list_requests,
          .delete_requests = counters.delete_requests,
          .bytes_read = counters.bytes_read,
          .bytes_written = counters.bytes_written,
          .retries = counters.retries,
          .read_units = counters.read_units,
          .write_units = counters.write_units,
          .waiting_seconds = base::Seconds(counters.waiting)};
}

}  // namespace

report::ServiceUse UseOf(const store::Store& store) {
  return UseOf(store.capabilities().service, store.counters());
}

report::ServiceUse UseOf(const comm::Channel& channel) {
  return UseOf(channel.service(), channel.counters());
}

void AddUse(std::vector<report::ServiceUse>& total, const report::ServiceUse& use) {
  const auto same = std::ranges::find(total, use.service, &report::ServiceUse::service);
  if (same == total.end()) {
    total.push_back(use);
  } else {
    *same += use;
  }
}

}  // namespace lambdaml::train
