// Functions that are invoked late, and more than once, as Lambda may: a platform of this machine
// behind a URL, for `--platform http`.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/random.h"
#include "lambdaml/faas/event_loop.h"
#include "lambdaml/faas/http_server.h"
#include "lambdaml/faas/invoker.h"
#include "lambdaml/faas/local_platform.h"

namespace lambdaml::test {

struct InvocationFaults {
  uint64_t seed = 0;
  double duplicate_probability = 0;  // that an invocation is made once more
  double delay_probability = 0;      // that it begins late; a duplicate always may
  base::Duration delay_max = std::chrono::milliseconds(500);
};

// Threads: one.
class UnreliablePlatform {
 public:
  // Its workers work in `folder`, which must exist.
  UnreliablePlatform(const std::string& folder,
                     std::vector<std::pair<std::string, std::string>> environment,
                     const InvocationFaults& faults);
  UnreliablePlatform(const UnreliablePlatform&) = delete;
  UnreliablePlatform& operator=(const UnreliablePlatform&) = delete;
  ~UnreliablePlatform();

  std::string url() const { return url_; }
  uint64_t duplicates() const { return duplicates_; }  // so far
  uint64_t delays() const { return delays_; }

  // Ends all workers.
  void Shutdown() { platform_.Shutdown(); }

 private:
  void OnRequest(const faas::HttpRequest& request, const faas::HttpServer::Respond& respond);
  base::Duration DrawDelay();
  void InvokeLater(const std::string& payload, base::Duration delay,
                   const faas::HttpServer::Respond& respond);
  faas::HttpResponse Invoke(const std::string& payload) const;

  const InvocationFaults faults_;
  std::atomic<uint64_t> duplicates_{0};
  std::atomic<uint64_t> delays_{0};
  base::Random random_;  // of the loop's thread
  faas::LocalPlatform platform_;
  std::unique_ptr<faas::Invoker> invoker_;

  faas::EventLoop loop_;
  std::unique_ptr<faas::HttpServer> server_;  // of the loop's thread
  std::string url_;
  std::thread loop_thread_;
  std::vector<std::thread> invocations_;  // of the loop's thread while it runs
};

}  // namespace lambdaml::test
