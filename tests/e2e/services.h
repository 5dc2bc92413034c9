// The services a channel can be on, as real servers of this test program.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/store/store.h"

#include "support/servers/server_process.h"

namespace lambdaml::test {

struct Service {
  std::string name;
  std::string kind;                      // Capabilities::service
  std::function<std::string()> new_url;  // a place on it where nothing is yet
  std::function<ServerProcess&()> process;
  int epochs_of_a_second = 0;  // epochs of one small round each: about that many, or more
};

// All of them, started when first used. Where one is not installed the test that calls this is
// skipped.
const std::vector<Service>& AllServices();
const Service& ServiceOf(const std::string& kind);

// The reason to skip a test that needs all services, or "".
std::string MissingServices();

// "NAME=value" with which programs may use the services. This program has them too.
std::vector<std::string> ServiceCredentials();

// The keys that are left at a URL. A DynamoDB table that does not exist has none.
std::vector<std::string> KeysLeft(const std::string& url);

}  // namespace lambdaml::test
