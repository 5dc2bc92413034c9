// The stores that the conformance suites run over. A new store is one function that returns a
// backend and one line in each suite's INSTANTIATE_TEST_SUITE_P.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "lambdaml/store/store.h"

namespace lambdaml::test {

// A place where Store objects meet, as those of the workers of a job do; emptied with the object.
// Places on one server must not see each other's keys.
class StorePlace {
 public:
  virtual ~StorePlace() = default;
  virtual std::unique_ptr<store::Store> Open() = 0;
};

struct StoreBackend {
  std::string name;
  bool is_shared_by_processes = false;
  std::function<std::unique_ptr<StorePlace>()> make_place;

  // Why it cannot be tested here, as in "redis-server is not installed"; empty if it can.
  std::string skip_reason = {};
  // How much the suites ask of it: services whose calls take milliseconds are spared.
  int race_rounds = 100;  // how often threads race each other in one test
  int key_count = 1100;   // of a large listing; beyond a page of 1000, if the service has pages
};

inline std::ostream& operator<<(std::ostream& out, const StoreBackend& backend) {
  return out << backend.name;
}

StoreBackend MemoryBackend();
StoreBackend FileBackend();
// Values of at most 4096 bytes, so that longer messages go in segments.
StoreBackend SmallValuesBackend();

}  // namespace lambdaml::test
