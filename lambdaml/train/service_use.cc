#include "lambdaml/train/service_use.h"

#include <string>

#include "lambdaml/base/clock.h"

namespace lambdaml::train {

report::ServiceUse UseOf(const store::Store& store) {
  const store::Counters counters = store.counters();
  return {.service = std::string(store.capabilities().service),
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

}  // namespace lambdaml::train
